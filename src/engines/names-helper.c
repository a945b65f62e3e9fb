/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The names helper's loop: one question, the engine's files, one answer (or
 * two: see names.c). It knows nothing but its socket; whatever goes wrong here
 * ends it, and the guard starts another.
 */

#include <sys/socket.h>

#include "names-internal.h"
#include "names-wire.h"
#include "state.h"

static int send_info(int fd, uint64_t seq, uint32_t instalment, const ContainerInfo *info) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        r = names_encode(info, &b);
        if (r < 0)
                return r;
        if (b.len > NAMES_ANSWER_MAX)
                return -EMSGSIZE;
        for (size_t offset = 0; offset < b.len;) {
                size_t len = MIN_OF(b.len - offset, (size_t)NAMES_CHUNK_MAX);
                NamesChunk h = {
                        .seq = seq,
                        .offset = (uint32_t)offset,
                        .total = (uint32_t)b.len,
                        .instalment = instalment,
                };
                struct iovec iov[] = {
                        { .iov_base = &h, .iov_len = sizeof(h) },
                        { .iov_base = b.data + offset, .iov_len = len },
                };
                struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

                if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                offset += len;
        }
        return 0;
}

static int serve(int fd, const NamesConfig *c, const char *packet, size_t len) {
        _cleanup_(cleanup_container_info_free) ContainerInfo *info = NULL;
        NamesQuery q;
        NamesAsk h;
        int r;

        if (len < sizeof(h))
                return -EBADMSG;
        memcpy(&h, packet, sizeof(h));
        if (h.id_len > NAMES_ID_MAX || h.cgroup_len > NAMES_CGROUP_MAX ||
            len != sizeof(h) + h.id_len + h.cgroup_len + 2 || packet[sizeof(h) + h.id_len] != '\0' ||
            packet[len - 1] != '\0' || h.engine >= _ENGINE_MAX)
                return -EBADMSG;
        q = (NamesQuery){
                .engine = (Engine)h.engine,
                .id = packet + sizeof(h),
                .rootless = h.rootless,
                .uid = h.uid,
                .cgroup = packet + sizeof(h) + h.id_len + 1,
        };
        r = state_read(c, &q, &info);
        if (r < 0)
                return r;
        if (q.uid != (uid_t)-1 && !state_user_cached(c->root, q.uid)) {
                r = send_info(fd, h.seq, 0, info);
                if (r < 0)
                        return r;
        }
        r = state_read_user(c, q.uid, info);
        if (r < 0)
                return r;
        return send_info(fd, h.seq, 1, info);
}

int names_helper_main(int fd, void *user) {
        char packet[sizeof(NamesAsk) + NAMES_ID_MAX + NAMES_CGROUP_MAX + 2];

        for (;;) {
                ssize_t n = recv(fd, packet, sizeof(packet), MSG_TRUNC);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
                if ((size_t)n > sizeof(packet) || serve(fd, user, packet, (size_t)n) < 0)
                        return EXIT_FAILURE;
        }
}
