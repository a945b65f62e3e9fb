/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which links of this namespace lead into that of a process.
 *
 * Four kinds of request, each answered before the next: the number which the namespace of the process has in ours, all links, and
 * each master's name by its index. A namespace gets its number when a link that leads into it is told of, not
 * before; where it has none yet, all links are asked for once more than that.
 *
 * The kernel answers while it is asked, and goes on with a long answer while we read, so nothing here waits. Links that
 * come or go meanwhile have the kernel say that something may be missing: then all are asked for again, some times.
 *
 * It is asked seldom, when somebody wants to see it, so no socket is kept.
 */

#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "linksock.h"

#define MESSAGE_MAX 32768 /* the kernel's longest datagram of a dump that nobody asked more for */
#define DATAGRAMS_MAX 4096 /* of one answer */
#define TRIES 3

static void cleanup_socket(struct nl_sock **sk) { nl_socket_free(*sk); }
static void cleanup_message(struct nl_msg **m) { nlmsg_free(*m); }

static int from_nl(int r) {
        switch (-r) {
        case NLE_PERM:
        case NLE_NOACCESS:
                return -EPERM;
        case NLE_NOMEM:
                return -ENOMEM;
        case NLE_AF_NOSUPPORT:
        case NLE_PROTO_MISMATCH:
                return -EOPNOTSUPP;
        default:
                return r < 0 ? -EIO : 0;
        }
}

static int read_answer(struct nl_sock *sk, LinkAnswer *a) {
        _Alignas(struct nlmsghdr) char buf[MESSAGE_MAX];
        int r = 0;

        for (unsigned i = 0; i < DATAGRAMS_MAX && !a->done && r >= 0; i++) {
                struct sockaddr_nl from = {};
                socklen_t from_len = sizeof(from);
                ssize_t len = recvfrom(nl_socket_get_fd(sk), buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC,
                                       (struct sockaddr *)&from, &from_len);

                if (len < 0 && errno == EINTR)
                        continue;
                if (len < 0)
                        return errno == EAGAIN ? -EIO : -errno;
                if ((size_t)len > sizeof(buf))
                        return -EMSGSIZE;
                if (from.nl_pid == 0)
                        r = linkrec_read(a, buf, (size_t)len);
        }
        if (r < 0)
                return r;
        return a->done ? a->error : -EIO;
}

static int ask(struct nl_sock *sk, uint16_t type, int flags, const void *head, size_t head_len,
               const uint32_t *pid, LinkAnswer *a) {
        _cleanup_(cleanup_message) struct nl_msg *m = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
        int r;

        if (!m || nlmsg_append(m, (void *)head, head_len, NLMSG_ALIGNTO) < 0 ||
            (pid && nla_put_u32(m, NETNSA_PID, *pid) < 0))
                return -ENOMEM;
        r = nl_send_auto(sk, m);
        if (r < 0)
                return from_nl(r);
        a->seq = nlmsg_hdr(m)->nlmsg_seq;
        return read_answer(sk, a);
}

static int ask_nsid(struct nl_sock *sk, uint32_t pid, int32_t *ret) {
        const struct rtgenmsg head = { .rtgen_family = AF_UNSPEC };
        LinkAnswer a;
        int r;

        linkrec_begin(&a, LINK_WANT_NONE);
        r = ask(sk, RTM_GETNSID, 0, &head, sizeof(head), &pid, &a);
        *ret = a.nsid;
        return r;
}

static int ask_links(struct nl_sock *sk, int32_t want, LinkAnswer *ret) {
        const struct ifinfomsg head = { .ifi_family = AF_UNSPEC };

        for (unsigned i = 0; i < TRIES; i++) {
                int r;

                linkrec_begin(ret, want);
                r = ask(sk, RTM_GETLINK, NLM_F_DUMP, &head, sizeof(head), NULL, ret);
                if (r < 0 || !ret->changed)
                        return r;
        }
        return -EAGAIN;
}

/* One that has gone meanwhile has no name. */
static int ask_master(struct nl_sock *sk, uint32_t index, NlLink *l) {
        const struct ifinfomsg head = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index };
        LinkAnswer a;
        int r;

        linkrec_begin(&a, LINK_WANT_ANY);
        r = ask(sk, RTM_GETLINK, 0, &head, sizeof(head), NULL, &a);
        if (r >= 0 && a.n > 0)
                memcpy(l->master, a.links[0].name, sizeof(l->master));
        return r == -ENODEV ? 0 : r;
}

int linksock_ask(uint32_t pid, LinkAnswer *ret) {
        _cleanup_(cleanup_socket) struct nl_sock *sk = nl_socket_alloc();
        int32_t nsid;
        int r;

        linkrec_begin(ret, LINK_WANT_NONE);
        if (!sk)
                return -ENOMEM;
        nl_socket_disable_auto_ack(sk);
        r = from_nl(nl_connect(sk, NETLINK_ROUTE));
        if (r >= 0)
                r = ask_nsid(sk, pid, &nsid);
        if (r >= 0 && nsid < 0) {
                r = ask_links(sk, LINK_WANT_NONE, ret);
                if (r >= 0)
                        r = ask_nsid(sk, pid, &nsid);
        }
        if (r < 0 || nsid < 0)
                return r;
        r = ask_links(sk, nsid, ret);
        for (size_t i = 0; i < ret->n && r >= 0; i++)
                if (ret->master[i] > 0)
                        r = ask_master(sk, ret->master[i], &ret->links[i]);
        return r;
}
