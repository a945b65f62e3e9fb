/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A small HTTP server for reading (adapter: http; libmicrohttpd and GnuTLS), driven by the caller's event loop: no threads.
 * GET and HEAD only, no cookies, no CORS; every answer carries the headers that keep browsers from doing anything with it.
 *
 * An answer that takes its time may come later: handle() says http_request_defer(), and the loop goes on.
 */

#include <netinet/in.h>
#include <sys/socket.h>

#include "buf.h"

typedef enum HttpKind {
        HTTP_UNIX, /* who may connect is the socket's mode */
        HTTP_LOOPBACK, /* TCP without TLS: Host must be this host's, for a web page may reach it */
        HTTP_TLS,
} HttpKind;

typedef struct HttpConnection HttpConnection;

#define HTTP_PARAMETERS_MAX 16
typedef struct HttpParameter { /* "?since=…", decoded */
        const char *name, *value; /* value "": none */
} HttpParameter;

/* Lives for the call of handle(). */
typedef struct HttpRequest {
        HttpKind kind;
        const char *path; /* decoded; begins with '/' */
        const char *accept; /* the header; NULL: none */
        HttpParameter parameters[HTTP_PARAMETERS_MAX]; /* requests with more are refused */
        size_t n_parameters;
        HttpConnection *connection;
} HttpRequest;
/* The first of that name; NULL: not given. */
const char *http_request_parameter(const HttpRequest *r, const char *name);

typedef struct HttpAnswer {
        unsigned status; /* 200 at first */
        const char *type; /* content type; a literal */
        const char *
                policy; /* Content-Security-Policy, a literal; NULL: nothing may be loaded, not even styles */
        Buf body; /* empty at first; taken */
} HttpAnswer;

/* From handle(): its answer is not looked at, and comes with http_answer(); within HTTP_REQUEST_USEC, or nobody is there any more to
 * read it. NULL: it cannot. */
HttpConnection *http_request_defer(const HttpRequest *r);
/* Still in handle(): it is answered now after all. */
void http_request_answer_now(const HttpRequest *r);
/* Once, from the loop's thread; needed also where the server was freed or renewed twice meanwhile (nobody reads it then). a's body is
 * taken. The server is to be run then. */
void http_answer(HttpConnection *c, HttpAnswer *a);

typedef struct HttpOptions {
        int fd; /* listening; taken */
        HttpKind kind;
        const char *certificate, *key, *client_ca; /* PEM texts, of TLS; client_ca NULL: nobody needs one */
        uint16_t port; /* of HTTP_LOOPBACK */
        unsigned connections_max, connections_max_per_address;
        size_t unsent_max; /* bytes of answers that are not read yet, of all servers of this process; 0: HTTP_UNSENT_MAX */
        void (*handle)(void *user, const HttpRequest *r, HttpAnswer *a);
        void *user;
} HttpOptions;

#define HTTP_MEMORY_MAX 16384 /* of a request's line and headers */
#define HTTP_UNSENT_MAX ((size_t)64 << 20) /* beyond it 503, but for the first */
#define HTTP_IDLE_SEC 15
#define HTTP_REQUEST_USEC \
        (30 * USEC_PER_SEC) /* for a request, and for its answer to pass, however busy it looks */
/* The same while three quarters of all connections are taken: who does not ask, and who does not read. */
#define HTTP_CROWDED_ASK_USEC (2 * USEC_PER_SEC)
#define HTTP_CROWDED_READ_USEC (10 * USEC_PER_SEC)

typedef struct HttpServer HttpServer;

/* o->fd is taken also where it fails. -EINVAL: the certificate or key is none; -ENOMEM; -EIO: libmicrohttpd does not say why. */
int http_server_new(const HttpOptions *o, HttpServer **ret);
/* Answers that are still to come are answered with 503. */
HttpServer *http_server_free(HttpServer *s);
DEFINE_CLEANUP(HttpServer *, http_server_free)
int http_server_fd(const HttpServer *s); /* readable: call run */
/* Does what is due, and ends connections that take too long. *ret_again: when to call at the latest; USEC_INFINITY: only when the
 * fd is readable. now: monotonic. */
void http_server_run(HttpServer *s, usec_t now, usec_t *ret_again);
unsigned http_server_connections(const HttpServer *s);
/* Other certificates (PEM texts as in HttpOptions) for connections from now on; those that there are end after their next answer, or
 * within HTTP_REQUEST_USEC. -EINVAL: they are none, and it goes on with those that it has; -ENOMEM. */
int http_server_renew(HttpServer *s, const char *certificate, const char *key, const char *client_ca);

/* ---- certificate.c ---- */

/* When the first certificate of a PEM text begins and ends to be valid, s since 1970. -EINVAL: it is none. */
int http_certificate_times(const char *pem, uint64_t *ret_from, uint64_t *ret_until);

/* ---- address.c ---- */

typedef struct HttpAddress {
        union {
                struct sockaddr sa;
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
        };
        socklen_t len;
        bool loopback;
        uint16_t port;
} HttpAddress;
/* "127.0.0.1:9477", "[::1]:9477", "localhost:9477"; no other names, for what a name means changes. -EINVAL. */
int http_address_parse(const char *text, HttpAddress *ret);
/* A listening socket; negative errno. */
int http_address_listen(const HttpAddress *a);
/* The Host header (NULL: none) of a request to a loopback port is of this host. */
bool http_host_is_local(const char *host, uint16_t port);
