/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The socket of the process connector (layer: netlink). Non-blocking; wants CAP_NET_ADMIN, the host's
 * network, user and pid namespaces.
 */

#include "cnproc.h"

struct nl_sock;

typedef struct Cnsock {
        struct nl_sock *nl; /* NULL: closed */
        int fd; /* its */
        uint32_t port;
        uint32_t drops; /* the socket's count, as of the last look */
        bool coarse; /* the filter of pids did not fit: all of CNPROC_WATCHED_KINDS come */
        uint64_t n_events, n_lost, n_bad;
        unsigned rcvbuf; /* bytes that the kernel grants */
} Cnsock;
#define CNSOCK_INIT ((Cnsock){ .fd = -1 })

/*
 * Listens to these kinds (bits 1 << KinWhat), and to CNPROC_WATCHED_KINDS of pids (sorted). *s is CNSOCK_INIT before, or open: then what it
 * listens to changes. rcvbuf: bytes, 0: the default. Negative errno, with *s closed where it was: of socket calls, what the kernel answered (-EPERM), or
 * -EOPNOTSUPP where it answered nothing (it was built without, or this is a container).
 */
int cnsock_listen(Cnsock *s, unsigned kinds, const uint32_t *pids, size_t n_pids, unsigned rcvbuf);
void cnsock_close(Cnsock *s);

typedef void (*CnsockEvent)(void *user, const KinEvent *e);
/*
 * Up to max events. How many there were: max, when there may be more. *ret_lost is set to how many were lost since the last
 * call. Negative errno: the socket is no good any more.
 */
ssize_t cnsock_read(Cnsock *s, size_t max, CnsockEvent event, void *user, uint64_t *ret_lost);
