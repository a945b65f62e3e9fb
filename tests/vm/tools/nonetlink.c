/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A kernel without CONFIG_CONNECTOR and CONFIG_TASKSTATS: a library for LD_PRELOAD that answers what such a one would. There is
 * no socket of that protocol, and generic netlink knows no family of that name; all else goes where it went.
 */

#include <errno.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>
#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int socket(int family, int type, int protocol) {
        if (family == AF_NETLINK && protocol == NETLINK_CONNECTOR) {
                errno = EPROTONOSUPPORT;
                return -1;
        }
        return (int)syscall(SYS_socket, family, type, protocol);
}

/* bailiff-netlink asks for no other family. */
__attribute__((visibility("default"))) int genl_ctrl_resolve(struct nl_sock *sk, const char *name) {
        (void)sk;
        (void)name;
        return -NLE_OBJ_NOTFOUND;
}
