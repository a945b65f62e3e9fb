/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The sockets of taskstats (generic netlink; layer: netlink): one for the records of every task that ends, one for
 * questions. Non-blocking; want CAP_NET_ADMIN and the host's user and pid namespaces.
 */

#include "taskrec.h"

struct nl_sock;

typedef struct Tasksock {
        struct nl_sock *exits, *questions; /* NULL: closed */
        int fd; /* of exits; -1 */
        uint16_t family;
        uint32_t drops;
        uint64_t n_records, n_lost, n_bad;
} Tasksock;
#define TASKSOCK_INIT ((Tasksock){ .fd = -1 })

/* Records of every task that ends, from now on. Negative errno (-EOPNOTSUPP: the kernel has none). */
int tasksock_listen(Tasksock *s, unsigned rcvbuf);
void tasksock_deafen(Tasksock *s); /* no records any more */
void tasksock_close(Tasksock *s);

/* Up to max records into ret; as cnsock_read(). */
ssize_t tasksock_read(Tasksock *s, KinRecord *ret, size_t max, uint64_t *ret_lost);
/* What the threads of a process used and waited for until now. -ESRCH: it has gone. */
int tasksock_ask(Tasksock *s, uint32_t tgid, KinRecord *ret);
