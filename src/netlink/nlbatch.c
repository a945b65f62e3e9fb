/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading what the kernel multicasts.
 *
 * When the buffer is full the kernel drops every datagram until it has been
 * read empty, and says so once (ENOBUFS). How many there were is the socket's own
 * drop count (SO_MEMINFO): exact, and without what filters of the socket
 * would have dropped anyway. Sequence numbers in messages do not
 * help, for they count what was filtered, too.
 */

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "nlbatch.h"

#define BATCH 64

ssize_t nlbatch_read(int fd, size_t max, NlbatchTake take, void *user) {
        static char bufs[BATCH][NLBATCH_MESSAGE_MAX]; /* one thread, and no place for 256 KiB on its stack */
        struct sockaddr_nl from[BATCH];
        struct iovec iov[BATCH];
        struct mmsghdr m[BATCH];
        size_t n = 0;

        while (n < max) {
                size_t want = MIN_OF(max - n, (size_t)BATCH);
                int got;

                for (size_t i = 0; i < want; i++) {
                        iov[i] = (struct iovec){ bufs[i], sizeof(bufs[i]) };
                        m[i].msg_hdr = (struct msghdr){ .msg_name = &from[i],
                                                        .msg_namelen = sizeof(from[i]),
                                                        .msg_iov = &iov[i],
                                                        .msg_iovlen = 1 };
                }
                got = recvmmsg(fd, m, (unsigned)want, MSG_DONTWAIT, NULL);
                if (got < 0 && (errno == EINTR || errno == ENOBUFS))
                        continue;
                if (got < 0 && errno != EAGAIN)
                        return -errno;
                for (int i = 0; i < got; i++)
                        take(user, bufs[i], m[i].msg_len,
                             m[i].msg_hdr.msg_namelen == sizeof(from[i]) && from[i].nl_pid == 0 &&
                                     !(m[i].msg_hdr.msg_flags & MSG_TRUNC));
                if (got < (int)want)
                        return (ssize_t)n + MAX_OF(got, 0);
                n += (size_t)got;
        }
        return (ssize_t)n;
}

uint64_t nlbatch_drops(int fd, uint32_t *before) {
        uint32_t info[SK_MEMINFO_VARS] = {}, n;
        socklen_t len = sizeof(info);

        if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
                return 0;
        n = info[SK_MEMINFO_DROPS] - *before;
        *before = info[SK_MEMINFO_DROPS];
        return n;
}

unsigned nlbatch_set_buffer(int fd, unsigned bytes) {
        int v = (int)MIN_OF(bytes, (unsigned)INT32_MAX / 2);
        socklen_t len = sizeof(v);

        if (v > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &v, sizeof(v)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v));
        return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, &len) == 0 && v > 0 ? (unsigned)v : 0;
}
