/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As little HTTP as it takes: one request of version 1.0, whose answer ends with the connection. The exporter is started by its
 * socket where an administrator has enabled that; where there is none, the sentence says how.
 */

#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "exporter-client.h"
#include "fdio.h"
#include "jsonget.h"

#define ANSWER_MAX (256U << 20)
#define PATIENCE_SEC 30

static int fail(Buf *error, int status, const char *text) {
        buf_clear(error);
        buf_puts(error, text);
        return status;
}

static int unreachable(Buf *error, int r) {
        buf_clear(error);
        if (r == -EACCES || r == -EPERM) {
                buf_puts(error, "bailiff-exporter may be asked by root and members of group bailiff only");
                return STATUS_REFUSED;
        }
        buf_printf(error,
                   "bailiff-exporter, which keeps more, cannot be reached (%s); start it with: systemctl "
                   "enable --now "
                   "bailiff-exporter.socket bailiff-exporter.service",
                   r == -ENOENT || r == -ECONNREFUSED ? "it does not run" : strerror(-r));
        return STATUS_UNREACHABLE;
}

static int dial(const char *path, int *ret) {
        const struct timeval patience = { .tv_sec = PATIENCE_SEC };
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        memcpy(a.sun_path, path, strlen(path) + 1);
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
                return -errno;
        *ret = steal_fd(&fd);
        return 0;
}

static int converse(int fd, const char *path, Buf *answer) {
        _cleanup_buf_ Buf request = BUF_INIT;
        char chunk[65536];
        ssize_t n;

        buf_printf(&request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
        if (buf_error(&request) < 0)
                return -ENOMEM;
        if (send(fd, request.data, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
                return errno ? -errno : -EIO;
        while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
                buf_append(answer, chunk, (size_t)n);
                if (answer->len > ANSWER_MAX)
                        return -EFBIG;
                if (buf_error(answer) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int read_answer(const Buf *answer, json_t **ret, Buf *error) {
        const char *text = buf_str(answer), *body = strstr(text, "\r\n\r\n");
        bool good = strncmp(text, "HTTP/1.", 7) == 0 && strncmp(text + 8, " 200", 4) == 0;
        json_t *j = NULL;

        if (body)
                j = json_loadb(body + 4, answer->len - (size_t)(body + 4 - text), 0, NULL);
        if (!j)
                return fail(error, STATUS_FAILED, "the answer of bailiff-exporter cannot be read");
        if (!good) {
                const char *why = json_text(j, "error");

                buf_clear(error);
                buf_printf(error, "bailiff-exporter: %s", why ? why : "it refuses, and does not say why");
                json_decref(j);
                return STATUS_FAILED;
        }
        *ret = j;
        return STATUS_DONE;
}

int exporter_get(const char *socket_path, const char *path, json_t **ret, Buf *error) {
        _cleanup_buf_ Buf answer = BUF_INIT;
        _cleanup_fd_ int fd = -1;
        int r = dial(socket_path, &fd);

        if (r >= 0)
                r = converse(fd, path, &answer);
        return r < 0 ? unreachable(error, r) : read_answer(&answer, ret, error);
}
