/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listening to the process connector.
 *
 * The first request is the old form, which every kernel answers at once, before
 * the call that sends it returns: an answer with an error, or none at all where
 * nobody is there who could. The second, which names kinds, is known to
 * kernels from 6.6 on; older ones ignore it, newer ones do not answer it either, since
 * an answer is no event of a wanted kind. The socket's own filter is in place before the second, and serves where
 * the kernel does not choose.
 *
 * Before the socket is closed the kernel is told: kernels before 6.6 would go
 * on making events for nobody.
 */

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "cnsock.h"
#include "nlbatch.h"

static int request(Cnsock *s, bool listen, uint32_t events, uint32_t ack) {
        static const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        char buf[CNPROC_REQUEST_MAX];
        size_t len = cnproc_request(buf, listen, events, ack, s->port);

        if (sendto(s->fd, buf, len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
                return -errno;
        return 0;
}

void cnsock_close(Cnsock *s) {
        uint64_t n_events = s->n_events, n_lost = s->n_lost, n_bad = s->n_bad;

        if (!s->nl)
                return;
        if (s->fd >= 0)
                (void)request(s, false, 0, 0);
        nl_socket_free(s->nl);
        *s = CNSOCK_INIT;
        s->n_events = n_events;
        s->n_lost = n_lost;
        s->n_bad = n_bad;
}

static int filter(Cnsock *s, unsigned kinds, const uint32_t *pids, size_t n_pids) {
        struct sock_filter f[CNPROC_FILTER_MAX];
        struct sock_fprog p = { .filter = f };

        s->coarse = n_pids > CNPROC_WATCHED_MAX;
        if (!s->coarse) {
                p.len = (unsigned short)cnproc_filter(kinds, pids, n_pids, f);
                if (setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) >= 0)
                        return 0;
                /* Room for filters is bounded (net.core.optmem_max). */
                if (errno != ENOMEM || n_pids == 0)
                        return -errno;
                s->coarse = true;
        }
        p.len = (unsigned short)cnproc_filter(kinds | CNPROC_WATCHED_KINDS, NULL, 0, f);
        return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof(p)) < 0 ? -errno : 0;
}

/* What a call of libnl failed with: its own codes say less. */
static int nl_errno(int r) { return r >= 0 ? 0 : errno > 0 ? -errno : -EIO; }

static int open_socket(Cnsock *s, unsigned rcvbuf) {
        int r;

        s->nl = nl_socket_alloc();
        if (!s->nl)
                return -ENOMEM;
        nl_socket_disable_auto_ack(s->nl);
        errno = 0;
        r = nl_errno(nl_connect(s->nl, NETLINK_CONNECTOR));
        if (r < 0)
                return r;
        s->fd = nl_socket_get_fd(s->nl);
        s->port = nl_socket_get_local_port(s->nl);
        if (nl_socket_set_nonblocking(s->nl) < 0)
                return -EIO;
        s->rcvbuf = nlbatch_set_buffer(s->fd, rcvbuf);
        return 0;
}

/* The answer to the old request; that of an earlier one may come first. */
static int answered(Cnsock *s, uint32_t expected) {
        char buf[CNPROC_MESSAGE_MAX];

        for (;;) {
                ssize_t len = recv(s->fd, buf, sizeof(buf), MSG_TRUNC);
                CnprocKind kind = CNPROC_OTHER;
                uint32_t ack = 0;
                KinEvent e;
                int error = 0;

                if (len < 0 && (errno == EINTR || errno == ENOBUFS))
                        continue;
                if (len < 0)
                        return errno == EAGAIN ? -EOPNOTSUPP : -errno;
                if ((size_t)len <= sizeof(buf) &&
                    cnproc_parse(buf, (size_t)len, &kind, &e, &ack, &error) >= 0 && kind == CNPROC_ACK &&
                    ack == expected)
                        return -error;
        }
}

static int join(Cnsock *s) {
        uint32_t ack = s->port & 0x7fffffff;
        int r;

        errno = 0;
        r = nl_errno(nl_socket_add_membership(s->nl, CN_IDX_PROC));
        if (r < 0)
                return r;
        r = request(s, true, 0, ack);
        return r < 0 ? r : answered(s, ack + 1);
}

int cnsock_listen(Cnsock *s, unsigned kinds, const uint32_t *pids, size_t n_pids, unsigned rcvbuf) {
        bool fresh = !s->nl;
        int r;

        r = fresh ? open_socket(s, rcvbuf) : 0;
        /* Nothing but the answer, for a storm could push it out of a small buffer. */
        if (r >= 0 && fresh)
                r = filter(s, 0, NULL, 0);
        if (r >= 0 && fresh)
                r = join(s);
        if (r >= 0)
                r = filter(s, kinds, pids, n_pids);
        if (r >= 0 && fresh)
                (void)nlbatch_drops(s->fd, &s->drops);
        if (r >= 0)
                r = request(s, true, cnproc_events(kinds | (n_pids > 0 ? CNPROC_WATCHED_KINDS : 0)), 0);
        if (r < 0)
                cnsock_close(s);
        return r;
}

typedef struct Reading {
        Cnsock *s;
        CnsockEvent event;
        void *user;
} Reading;

static void take(void *user, const void *data, size_t len, bool ok) {
        const Reading *r = user;
        CnprocKind kind;
        KinEvent e;
        uint32_t ack;
        int error;

        if (!ok || cnproc_parse(data, len, &kind, &e, &ack, &error) < 0)
                r->s->n_bad++;
        else if (kind == CNPROC_EVENT) {
                r->s->n_events++;
                r->event(r->user, &e);
        }
}

ssize_t cnsock_read(Cnsock *s, size_t max, CnsockEvent event, void *user, uint64_t *ret_lost) {
        Reading r = { s, event, user };
        ssize_t n = nlbatch_read(s->fd, max, take, &r);

        *ret_lost = nlbatch_drops(s->fd, &s->drops);
        s->n_lost += *ret_lost;
        return n;
}
