/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libmicrohttpd without threads of its own: it has an epoll fd, the caller waits for that and for a timeout. A request is answered
 * from memory at once, so nothing is ever half done, and a slow reader only holds its own answer.
 *
 * What a client can take is bounded: the number of connections, of one address, the size of what it asks, the time that it may be
 * idle. That last one libmicrohttpd counts anew with each byte; so whoever has not got its answer after HTTP_REQUEST_USEC, or
 * has not asked for anything in that time, is cut off here.
 *
 * A client's certificate is verified with each request: GnuTLS asks for one in the handshake, and gives an answer to those that have
 * none too, which is then that they need one.
 */

#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fdio.h"
#include "server.h"

typedef struct Connection Connection;
struct Connection {
        Connection *next, *previous;
        HttpServer *server;
        struct MHD_Connection *mhd;
        usec_t since; /* it came, or its last answer was sent */
};

struct HttpServer {
        HttpOptions o;
        struct MHD_Daemon *daemon;
        Connection *connections;
        unsigned n;
        usec_t now;
};

/* ---- connections ---- */

static void on_connection(void *user, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
        HttpServer *s = user;
        Connection *c = *context;

        if (code == MHD_CONNECTION_NOTIFY_STARTED) {
                c = calloc(1, sizeof(*c));
                *context = c;
                if (!c)
                        return; /* it is not timed, then */
                *c = (Connection){ .next = s->connections, .server = s, .mhd = mhd, .since = s->now };
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
        free(c);
        *context = NULL;
}

static void on_completed(void *user, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        HttpServer *s = user;

        (void)context;
        (void)code;
        if (info && info->socket_context)
                ((Connection *)info->socket_context)->since = s->now;
}

static void cut_off_slow(HttpServer *s) {
        for (Connection *c = s->connections; c; c = c->next) {
                const union MHD_ConnectionInfo *info;

                if (s->now < c->since + HTTP_REQUEST_USEC)
                        continue;
                info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
                if (info)
                        (void)shutdown(info->connect_fd,
                                       SHUT_RDWR); /* libmicrohttpd sees that, and closes it */
        }
}

/* ---- answers ---- */

static enum MHD_Result send_answer(struct MHD_Connection *mhd, HttpAnswer *a) {
        static const char *const headers[][2] = {
                { MHD_HTTP_HEADER_CACHE_CONTROL, "no-store" },
                { "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
                { "Cross-Origin-Resource-Policy", "same-origin" },
                { "Referrer-Policy", "no-referrer" },
                { "X-Content-Type-Options", "nosniff" },
                { "X-Frame-Options", "DENY" },
        };
        size_t len = a->body.len;
        char *body = len > 0 ? buf_steal(&a->body) : NULL;
        struct MHD_Response *response = MHD_create_response_from_buffer(
                body ? len : 0, body, body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
        enum MHD_Result r;

        if (!response) {
                free(body);
                return MHD_NO;
        }
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
        for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
                (void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
        if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
                (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        r = MHD_queue_response(mhd, a->status, response);
        MHD_destroy_response(response);
        return r;
}

static void refuse(HttpAnswer *a, unsigned status, const char *why) {
        a->status = status;
        a->type = "text/plain; charset=utf-8";
        buf_clear(&a->body);
        buf_puts(&a->body, why);
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

static void answer(HttpServer *s, struct MHD_Connection *mhd, const char *url, const char *method,
                   HttpAnswer *a) {
        const char *host = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST), *why;
        HttpRequest r = {
                .kind = s->o.kind,
                .path = url,
                .accept = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT),
                .connection = mhd,
        };

        if (s->o.client_ca && (why = unproven(mhd)))
                refuse(a, MHD_HTTP_FORBIDDEN, why);
        else if (s->o.kind == HTTP_LOOPBACK && !http_host_is_local(host, s->o.port))
                refuse(a, MHD_HTTP_FORBIDDEN, "Host is not this host\n");
        else if (!STR_EQ(method, "GET") && !STR_EQ(method, "HEAD"))
                refuse(a, MHD_HTTP_METHOD_NOT_ALLOWED, "reading only\n");
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
        HttpAnswer a = { .status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8" };
        enum MHD_Result r;

        (void)version;
        (void)upload;
        /* The first call is for the headers. What may come as a body is thrown away. */
        if (!*context) {
                *context = &seen;
                return MHD_YES;
        }
        if (*upload_size > 0) {
                *upload_size = 0;
                return MHD_YES;
        }
        answer(s, mhd, url, method, &a);
        r = send_answer(mhd, &a);
        buf_deinit(&a.body);
        return r;
}

const char *http_request_parameter(const HttpRequest *r, const char *name) {
        return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- the server ---- */

static void be_silent(void *user, const char *format, va_list ap) {
        (void)user;
        (void)format;
        (void)ap;
}

int http_server_new(const HttpOptions *o, HttpServer **ret) {
        _cleanup_fd_ int fd = o->fd;
        HttpServer *s = calloc(1, sizeof(*s));
        struct MHD_OptionItem tls[] = {
                { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->certificate },
                { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key },
                { MHD_OPTION_HTTPS_PRIORITIES, 0,
                  (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE" },
                { o->client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0,
                  (void *)(uintptr_t)o->client_ca },
                { MHD_OPTION_END, 0, NULL },
        };
        struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

        if (!s)
                return -ENOMEM;
        s->o = *o;
        s->o.fd = -1;
        s->daemon = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_USE_ERROR_LOG | (o->kind == HTTP_TLS ? MHD_USE_TLS : 0), 0, NULL, NULL,
                on_request, s, MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                MHD_OPTION_CONNECTION_LIMIT, o->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                o->connections_max_per_address, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_MAX,
                MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_SEC, MHD_OPTION_NOTIFY_CONNECTION,
                on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_ARRAY,
                o->kind == HTTP_TLS ? tls : none, MHD_OPTION_END);
        if (!s->daemon) {
                free(s);
                return o->kind == HTTP_TLS ? -EINVAL : -EIO;
        }
        (void)steal_fd(&fd); /* MHD_stop_daemon() closes it */
        *ret = s;
        return 0;
}

HttpServer *http_server_free(HttpServer *s) {
        if (!s)
                return NULL;
        MHD_stop_daemon(s->daemon);
        free(s);
        return NULL;
}

int http_server_fd(const HttpServer *s) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);

        return info ? info->epoll_fd : -1;
}

unsigned http_server_connections(const HttpServer *s) { return s->n; }

void http_server_run(HttpServer *s, usec_t now, usec_t *ret_again) {
        MHD_UNSIGNED_LONG_LONG msec;

        s->now = now;
        cut_off_slow(s);
        (void)MHD_run(s->daemon);
        *ret_again = USEC_INFINITY;
        if (MHD_get_timeout(s->daemon, &msec) == MHD_YES)
                *ret_again = now + msec * USEC_PER_MSEC;
        if (s->connections)
                *ret_again = MIN_OF(*ret_again, now + USEC_PER_SEC);
}
