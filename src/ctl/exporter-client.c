/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As little HTTP as it takes: one request of version 1.0, whose answer ends with the connection. The exporter is started by its
 * socket where an administrator has enabled that; where there is none, the sentence says how.
 *
 * Numbers of incidents begin anew with a guard that lost its own, so there may be several of one number: an incident's events are
 * those that lie in its time, too.
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
#define EVENTS_MAX 10000 /* that the exporter tells at once */
#define INCIDENTS_OF_NAME 5
#define SLACK (10 * USEC_PER_SEC) /* an event may be a moment before its incident, or after it */

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
        if (r == -ETIMEDOUT)
                buf_printf(error, "bailiff-exporter does not answer within %d s", PATIENCE_SEC);
        else
                buf_printf(error,
                           "bailiff-exporter, which keeps the history, cannot be reached (%s); start it "
                           "with: systemctl enable --now bailiff-exporter.socket bailiff-exporter.service",
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

void exporter_escape(Buf *b, const char *text) {
        for (; *text; text++)
                if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", *text))
                        buf_putc(b, *text);
                else
                        buf_printf(b, "%%%02X", (unsigned char)*text);
}

/* ---- what the guard does not know any more ---- */

static int get_array(const char *socket_path, const Buf *path, const char *key, json_t **ret, Buf *error) {
        json_t *j = NULL;
        int r = buf_error(path) < 0 ? STATUS_FAILED : exporter_get(socket_path, buf_str(path), &j, error);

        if (r != STATUS_DONE)
                return r;
        *ret = json_incref(json_object_get(j, key));
        json_decref(j);
        return json_is_array(*ret) ? STATUS_DONE
                                   : fail(error, STATUS_FAILED, "bailiff-exporter says nothing");
}

static int get_incidents(const char *socket_path, const char *parameter, const char *value, unsigned max,
                         json_t **ret, Buf *error) {
        _cleanup_buf_ Buf path = BUF_INIT;

        buf_printf(&path, "/api/v1/incidents?since=10y&max=%u&%s=", max, parameter);
        exporter_escape(&path, value);
        return get_array(socket_path, &path, "incidents", ret, error);
}

static bool is_within(const json_t *incident, const json_t *event) {
        uint64_t at = json_number(event, "time"), opened = json_number(incident, "opened"),
                 closed = json_number(incident, "closed");

        return at + SLACK >= opened && (closed == 0 || at <= closed + SLACK);
}

/* Of each incident its events, the oldest first as the whole is. */
static int get_events_of(const char *socket_path, const json_t *incidents, json_t *to, Buf *error) {
        for (size_t i = json_array_size(incidents); i-- > 0;) {
                const json_t *incident = json_array_get(incidents, i);
                _cleanup_buf_ Buf path = BUF_INIT;
                json_t *events = NULL, *e;
                size_t k;
                int r;

                buf_printf(&path, "/api/v1/events?since=10y&max=1000&incident=%llu",
                           (unsigned long long)json_number(incident, "id"));
                r = get_array(socket_path, &path, "events", &events, error);
                json_array_foreach(events, k, e) if (is_within(incident, e))(void) json_array_append(to, e);
                json_decref(events);
                if (r != STATUS_DONE)
                        return r;
        }
        return STATUS_DONE;
}

/* *ret_kind: what it is that was found. */
static int find_incidents(const char *socket_path, const char *what, json_t **ret, const char **ret_kind,
                          Buf *error) {
        bool container = strncmp(what, "container:", 10) == 0, tenant = strncmp(what, "tenant:", 7) == 0;
        const char *name = container ? what + 10 : tenant ? what + 7 : what;
        int r;

        if (*what == '#') {
                *ret_kind = "incident";
                return get_incidents(socket_path, "incident", what + 1, 1, ret, error);
        }
        if (!tenant) {
                *ret_kind = "container";
                r = get_incidents(socket_path, "container", name, INCIDENTS_OF_NAME, ret, error);
                if (r != STATUS_DONE || container || json_array_size(*ret) > 0)
                        return r;
                json_decref(*ret);
                *ret = NULL;
        }
        *ret_kind = "tenant";
        return get_incidents(socket_path, "tenant", name, INCIDENTS_OF_NAME, ret, error);
}

static json_t *subject_of(const char *kind, const json_t *incident) {
        bool tenant = STR_EQ(kind, "tenant");

        return json_pack("{s:s, s:O?, s:O?, s:O?}", "kind", kind, "name",
                         json_member(incident, tenant ? "tenant" : "container"), "tenant",
                         json_member(incident, "tenant"), "cgroup",
                         tenant ? NULL : json_member(incident, "cgroup"));
}

int exporter_get_why(const char *socket_path, const char *what, uint64_t now, json_t **ret, Buf *error) {
        json_t *incidents = NULL, *events = json_array(), *why = NULL;
        const char *kind = NULL;
        int r = find_incidents(socket_path, what, &incidents, &kind, error);

        if (r == STATUS_DONE && json_array_size(incidents) == 0)
                r = fail(error, STATUS_FAILED, "bailiff-exporter keeps no incident of that name or number");
        if (r == STATUS_DONE)
                r = get_events_of(socket_path, incidents, events, error);
        if (r == STATUS_DONE) {
                why = json_pack("{s:I, s:s, s:o, s:n, s:O, s:O}", "time", (json_int_t)now, "what", what,
                                "subject", subject_of(kind, json_array_get(incidents, 0)), "now", "incidents",
                                incidents, "events", events);
                if (!why)
                        r = fail(error, STATUS_FAILED, "out of memory");
        }
        json_decref(incidents);
        json_decref(events);
        if (r == STATUS_DONE)
                *ret = why;
        return r;
}

int exporter_get_events(const char *socket_path, uint64_t since_usec, uint32_t max, json_t **ret,
                        Buf *error) {
        _cleanup_buf_ Buf path = BUF_INIT;

        buf_printf(&path, "/api/v1/events?since=%llus&max=%u",
                   (unsigned long long)MAX_OF(since_usec / USEC_PER_SEC, UINT64_C(1)),
                   max > 0 ? MIN_OF(max, (uint32_t)EVENTS_MAX) : EVENTS_MAX);
        return exporter_get(socket_path, buf_str(&path), ret, error);
}

void exporter_join_events(json_t *events, const json_t *kept) {
        uint64_t oldest =
                json_array_size(events) > 0 ? json_number(json_array_get(events, 0), "time") : UINT64_MAX;
        size_t i, n = 0;
        json_t *e;

        json_array_foreach((json_t *)(uintptr_t)kept, i, e) if (json_number(e, "time") < oldest) n +=
                json_array_insert(events, n, e) == 0;
}
