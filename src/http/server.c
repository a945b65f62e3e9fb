/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libmicrohttpd without threads of its own: it has an epoll fd, the caller waits for that and for a timeout. Most requests are
 * answered from memory at once, so a slow reader only holds its own answer. Where the caller says that the answer comes later the
 * connection is suspended, and libmicrohttpd asks for it again when it is resumed.
 *
 * What a client can take is bounded: the number of connections, of one address, the size of what it asks, the time that it may be
 * idle. That last one libmicrohttpd counts anew with each byte; so whoever has not got its answer after HTTP_REQUEST_USEC, or
 * has not asked for anything in that time, is cut off here. When connections run short that happens much sooner: whoever means to
 * ask does so at once.
 *
 * A client's certificate is verified with each request: GnuTLS asks for one in the handshake, and gives an answer to those that have
 * none too, which is then that they need one.
 *
 * libmicrohttpd takes certificates only at its start. So for other ones a second daemon takes over the listening socket, and the first
 * lives on until its connections have ended. Both are in one epoll fd of ours, which is the one that the caller has.
 */

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fdio.h"
#include "server.h"

struct HttpConnection {
        HttpConnection *next, *previous;
        HttpServer *server;
        struct MHD_Daemon *daemon;
        struct MHD_Connection *mhd;
        usec_t since; /* it came, it asked, or its last answer was sent */
        bool answering; /* an answer is on its way */
        size_t unsent; /* its bytes */
        bool waits; /* for one that comes later */
        bool owed; /* whoever is to answer later has not yet: it outlives its daemon for him; `mhd` is NULL then */
        bool answered; /* that has come: */
        HttpAnswer answer;
};

struct HttpServer {
        HttpOptions o;
        int epoll_fd, listen_fd; /* the latter is the daemon's */
        struct MHD_Daemon *daemon, *old; /* old: takes no connections any more; NULL: none */
        usec_t old_since;
        HttpConnection *connections;
        unsigned n;
        usec_t now;
};

/* Of all servers of this process, which has one loop: bytes of answers that are on their way. */
static size_t unsent;

/* ---- connections ---- */

static HttpConnection *connection_of(struct MHD_Connection *mhd) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

static struct MHD_Daemon *daemon_of(struct MHD_Connection *mhd) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_DAEMON);

        return info ? info->daemon : NULL;
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
        HttpServer *s = user;
        HttpConnection *c = *context;

        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                c = calloc(1, sizeof(*c));
                *context = c;
                if (!c)
                        return; /* it is not timed, then */
                *c = (HttpConnection){ .next = s->connections,
                                       .server = s,
                                       .daemon = daemon_of(mhd),
                                       .mhd = mhd,
                                       .since = s->now };
                if (c->next)
                        c->next->previous = c;
                s->connections = c;
                s->n++;
                return;
        }
        if (!c)
                return;
        if (c->previous)
                c->previous->next = c->next;
        else
                s->connections = c->next;
        if (c->next)
                c->next->previous = c->previous;
        s->n--;
        unsent -= c->unsent;
        buf_deinit(&c->answer.body);
        c->mhd = NULL;
        if (!c->owed)
                free(c);
        *context = NULL;
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code) {
        HttpConnection *c = connection_of(mhd);
        HttpServer *s = user;

        (void)context;
        (void)code;
        if (c) {
                c->since = s->now;
                c->answering = false;
                unsent -= c->unsent;
                c->unsent = 0;
        }
}

static usec_t patience(const HttpServer *s, const HttpConnection *c) {
        if (s->n * 4 < s->o.connections_max * 3)
                return HTTP_REQUEST_USEC;
        return c->answering ? HTTP_CROWDED_READ_USEC : HTTP_CROWDED_ASK_USEC;
}

static void cut_off_slow(HttpServer *s) {
        for (HttpConnection *c = s->connections; c; c = c->next) {
                const union MHD_ConnectionInfo *info;

                if (c->waits || s->now < c->since + patience(s, c))
                        continue;
                info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
                if (info)
                        (void)shutdown(info->connect_fd,
                                       SHUT_RDWR); /* libmicrohttpd sees that, and closes it */
        }
}

/* ---- answers ---- */

static void refuse(HttpAnswer *a, unsigned status, const char *why) {
        a->status = status;
        a->type = "text/plain; charset=utf-8";
        buf_clear(&a->body);
        buf_puts(&a->body, why);
}

/* Whoever does not read what he asked for holds it in memory: of all of them together so much, and one in any case. */
static void bound_unsent(const HttpConnection *c, HttpAnswer *a) {
        size_t max = c->server->o.unsent_max > 0 ? c->server->o.unsent_max : HTTP_UNSENT_MAX;

        if (unsent == 0 || a->body.len <= max - MIN_OF(unsent, max))
                return;
        buf_deinit(&a->body);
        refuse(a, MHD_HTTP_SERVICE_UNAVAILABLE, "others have not read their answers yet\n");
}

static enum MHD_Result send_answer(struct MHD_Connection *mhd, HttpConnection *c, HttpAnswer *a) {
        const char *const headers[][2] = {
                { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
                { "Content-Security-Policy",
                  a->policy ? a->policy : "default-src 'none'; frame-ancestors 'none'" },
                { "Cross-Origin-Resource-Policy", "same-origin" },
                { "Referrer-Policy", "no-referrer" },
                { "X-Content-Type-Options", "nosniff" },
                { "X-Frame-Options", "DENY" },
        };
        struct MHD_Response *response;
        enum MHD_Result r;
        size_t len;
        char *body;

        if (c)
                bound_unsent(c, a);
        len = a->body.len;
        body = len > 0 ? buf_steal(&a->body) : NULL;
        response = MHD_create_response_from_buffer(body ? len : 0, body,
                                                   body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
        if (!response) {
                free(body);
                return MHD_NO;
        }
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
                (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
        if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
                (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        if (c && c->daemon == c->server->old)
                (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
        if (c) {
                c->answering = true;
                c->unsent = body ? len : 0;
                unsent += c->unsent;
        }
        r = MHD_queue_response(mhd, a->status, response);
        MHD_destroy_response(response);
        return r;
}

/* NULL: it may ask. */
static const char *unproven(struct MHD_Connection *mhd) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        unsigned status = 0, n = 0;

        if (!info || !gnutls_certificate_get_peers(info->tls_session, &n) || n == 0)
                return "a client certificate is required\n";
        if (gnutls_certificate_verify_peers2(info->tls_session, &status) != 0 || status != 0)
                return "the client certificate is not accepted\n";
        return NULL;
}

static enum MHD_Result take_parameter(void *user, enum MHD_ValueKind kind, const char *name,
                                      const char *value) {
        HttpRequest *r = user;

        (void)kind;
        if (r->n_parameters < HTTP_PARAMETERS_MAX)
                r->parameters[r->n_parameters] = (HttpParameter){ name, value ? value : "" };
        r->n_parameters++;
        return r->n_parameters <= HTTP_PARAMETERS_MAX ? MHD_YES : MHD_NO;
}

static void answer(HttpServer *s, struct MHD_Connection *mhd, HttpConnection *c, const char *url,
                   const char *method, HttpAnswer *a) {
        const char *host = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST), *why;
        HttpRequest r = {
                .kind = s->o.kind,
                .path = url,
                .accept = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT),
                .connection = c,
        };

        (void)MHD_get_connection_values(mhd, MHD_GET_ARGUMENT_KIND, take_parameter, &r);
        if (s->o.client_ca && (why = unproven(mhd)))
                refuse(a, MHD_HTTP_FORBIDDEN, why);
        else if (s->o.kind == HTTP_LOOPBACK && !http_host_is_local(host, s->o.port))
                refuse(a, MHD_HTTP_FORBIDDEN, "Host is not this host\n");
        else if (!STR_EQ(method, "GET") && !STR_EQ(method, "HEAD"))
                refuse(a, MHD_HTTP_METHOD_NOT_ALLOWED, "reading only\n");
        else if (r.n_parameters > HTTP_PARAMETERS_MAX)
                refuse(a, MHD_HTTP_BAD_REQUEST, "too many parameters\n");
        else
                s->o.handle(s->o.user, &r, a);
        if (buf_error(&a->body) < 0) {
                buf_deinit(&a->body);
                refuse(a, MHD_HTTP_SERVICE_UNAVAILABLE, "");
        }
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size,
                                  void **context) {
        static int seen;
        HttpServer *s = user;
        HttpConnection *c = connection_of(mhd);
        HttpAnswer a = { .status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8" };
        enum MHD_Result r;

        (void)version;
        (void)upload;
        /* The first call is for the headers. What may come as a body is thrown away. */
        if (!*context) {
                *context = &seen;
                if (c)
                        c->since = s->now;
                return MHD_YES;
        }
        if (*upload_size > 0) {
                *upload_size = 0;
                return MHD_YES;
        }
        if (c && c->answered) {
                a = c->answer;
                c->answer = (HttpAnswer){};
                c->answered = false;
        } else
                answer(s, mhd, c, url, method, &a);
        if (c && c->waits) {
                buf_deinit(&a.body);
                MHD_suspend_connection(mhd);
                return MHD_YES;
        }
        r = send_answer(mhd, c, &a);
        buf_deinit(&a.body);
        return r;
}

const char *http_request_parameter(const HttpRequest *r, const char *name) {
        for (size_t i = 0; i < MIN_OF(r->n_parameters, (size_t)HTTP_PARAMETERS_MAX); i++)
                if (STR_EQ(r->parameters[i].name, name))
                        return r->parameters[i].value;
        return NULL;
}

HttpConnection *http_request_defer(const HttpRequest *r) {
        HttpConnection *c = r->connection;

        if (c)
                c->waits = c->owed = true;
        return c;
}

void http_request_answer_now(const HttpRequest *r) {
        if (r->connection)
                r->connection->waits = r->connection->owed = false;
}

static void respond(HttpConnection *c, HttpAnswer *a) {
        if (buf_error(&a->body) < 0) {
                buf_deinit(&a->body);
                refuse(a, MHD_HTTP_SERVICE_UNAVAILABLE, "");
        }
        c->answer = *a;
        a->body = BUF_INIT;
        c->answered = true;
        c->waits = false;
        c->since = c->server->now;
        MHD_resume_connection(c->mhd);
}

void http_answer(HttpConnection *c, HttpAnswer *a) {
        c->owed = false;
        if (c->mhd && c->waits) {
                respond(c, a);
                return;
        }
        buf_deinit(&a->body); /* too late: its daemon was stopped, and has answered for itself */
        if (!c->mhd)
                free(c);
}

/* ---- the server ---- */

static void be_silent(void *user, const char *format, va_list ap) {
        (void)user;
        (void)format;
        (void)ap;
}

/* fd is taken only where it succeeds. */
static struct MHD_Daemon *start(HttpServer *s, int fd, const char *certificate, const char *key,
                                const char *client_ca) {
        const HttpOptions *o = &s->o;
        struct MHD_OptionItem tls[] = {
                { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)certificate },
                { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key },
                { MHD_OPTION_HTTPS_PRIORITIES, 0,
                  (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE" },
                { client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (void *)(uintptr_t)client_ca },
                { MHD_OPTION_END, 0, NULL },
        };
        struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
        struct MHD_Daemon *daemon = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME |
                        (o->kind == HTTP_TLS ? MHD_USE_TLS : 0),
                0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL,
                MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, o->connections_max,
                MHD_OPTION_PER_IP_CONNECTION_LIMIT, o->connections_max_per_address,
                MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                (unsigned)HTTP_IDLE_SEC, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
                MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_ARRAY,
                o->kind == HTTP_TLS ? tls : none, MHD_OPTION_END);

        return daemon;
}

static int epoll_fd_of(struct MHD_Daemon *daemon) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);

        return info ? info->epoll_fd : -1;
}

static int watch(const HttpServer *s, struct MHD_Daemon *daemon) {
        struct epoll_event e = { .events = EPOLLIN };

        return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, epoll_fd_of(daemon), &e) < 0 ? -errno : 0;
}

int http_server_new(const HttpOptions *o, HttpServer **ret) {
        _cleanup_fd_ int fd = o->fd;
        HttpServer *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->o = *o;
        s->o.fd = -1;
        s->listen_fd = fd;
        s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll_fd < 0) {
                r = -errno;
                return http_server_free(s), r;
        }
        s->daemon = start(s, fd, o->certificate, o->key, o->client_ca);
        if (!s->daemon)
                return http_server_free(s), o->kind == HTTP_TLS ? -EINVAL : -EIO;
        (void)steal_fd(&fd); /* MHD_stop_daemon() closes it */
        r = watch(s, s->daemon);
        if (r < 0)
                return http_server_free(s), r;
        *ret = s;
        return 0;
}

static void stop(HttpServer *s, struct MHD_Daemon *daemon) {
        if (!daemon)
                return;
        for (HttpConnection *c = s->connections; c; c = c->next)
                if (c->waits && c->daemon == daemon) {
                        HttpAnswer a = { .status = MHD_HTTP_SERVICE_UNAVAILABLE,
                                         .type = "text/plain; charset=utf-8" };

                        respond(c, &a);
                }
        (void)MHD_run(daemon); /* what was resumed is so with the next run */
        MHD_stop_daemon(daemon); /* its epoll fd leaves ours as it is closed */
}

HttpServer *http_server_free(HttpServer *s) {
        if (!s)
                return NULL;
        stop(s, s->old);
        stop(s, s->daemon);
        (void)fd_close(s->epoll_fd);
        free(s);
        return NULL;
}

int http_server_renew(HttpServer *s, const char *certificate, const char *key, const char *client_ca) {
        _cleanup_fd_ int fd = fcntl(s->listen_fd, F_DUPFD_CLOEXEC, 3);
        struct MHD_Daemon *daemon;
        int r;

        if (fd < 0)
                return -errno;
        daemon = start(s, fd, certificate, key, client_ca);
        if (!daemon)
                return -EINVAL;
        r = watch(s, daemon);
        if (r < 0) {
                (void)MHD_quiesce_daemon(daemon); /* the socket stays ours */
                MHD_stop_daemon(daemon);
                return r;
        }
        stop(s, s->old);
        s->old = s->daemon;
        s->old_since = s->now;
        (void)fd_close(MHD_quiesce_daemon(s->old));
        s->daemon = daemon;
        s->listen_fd = steal_fd(&fd);
        s->o.client_ca = client_ca;
        return 0;
}

int http_server_fd(const HttpServer *s) { return s->epoll_fd; }

unsigned http_server_connections(const HttpServer *s) { return s->n; }

static void run_daemon(struct MHD_Daemon *daemon, usec_t now, usec_t *again) {
        MHD_UNSIGNED_LONG_LONG msec;

        (void)MHD_run(daemon);
        if (MHD_get_timeout(daemon, &msec) == MHD_YES)
                *again = MIN_OF(*again, now + msec * USEC_PER_MSEC);
}

/* Nobody is left there, or has had all the time that there is. */
static bool old_is_over(const HttpServer *s) {
        bool any = false;

        for (const HttpConnection *c = s->connections; c; c = c->next) {
                if (c->daemon == s->old && c->waits)
                        return false;
                any |= c->daemon == s->old;
        }
        return !any || s->now >= s->old_since + HTTP_REQUEST_USEC;
}

void http_server_run(HttpServer *s, usec_t now, usec_t *ret_again) {
        s->now = now;
        cut_off_slow(s);
        *ret_again = USEC_INFINITY;
        run_daemon(s->daemon, now, ret_again);
        if (s->old)
                run_daemon(s->old, now, ret_again);
        if (s->old && old_is_over(s)) {
                stop(s, s->old);
                s->old = NULL;
        }
        if (s->connections || s->old)
                *ret_again = MIN_OF(*ret_again, now + USEC_PER_SEC);
}
