/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A small HTTP server for reading (adapter: http; libmicrohttpd and GnuTLS), driven by the caller's event loop: no threads.
 * GET and HEAD only, no cookies, no CORS; every answer carries the headers that keep browsers from doing anything with it.
 */

#include <netinet/in.h>
#include <sys/socket.h>

#include "buf.h"

typedef enum HttpKind {
        HTTP_UNIX, /* who may connect is the socket's mode */
        HTTP_LOOPBACK, /* TCP without TLS: Host must be this host's, for a web page may reach it */
        HTTP_TLS,
} HttpKind;

typedef struct HttpRequest {
        HttpKind kind;
        const char *path; /* decoded; begins with '/' */
        const char *accept; /* the header; NULL: none */
        struct MHD_Connection *connection;
} HttpRequest;
/* "?since=…", decoded; NULL: not given. Lives as long as the request. */
const char *http_request_parameter(const HttpRequest *r, const char *name);

typedef struct HttpAnswer {
        unsigned status; /* 200 at first */
        const char *type; /* content type; a literal */
        Buf body; /* empty at first; taken */
} HttpAnswer;

typedef struct HttpOptions {
        int fd; /* listening; taken */
        HttpKind kind;
        const char *certificate, *key, *client_ca; /* PEM texts, of TLS; client_ca NULL: nobody needs one */
        uint16_t port; /* of HTTP_LOOPBACK */
        unsigned connections_max, connections_max_per_address;
        void (*handle)(void *user, const HttpRequest *r, HttpAnswer *a);
        void *user;
} HttpOptions;

#define HTTP_MEMORY_MAX 16384 /* of a request's line and headers */
#define HTTP_IDLE_SEC 15
#define HTTP_REQUEST_USEC \
        (30 * USEC_PER_SEC) /* for a request and its answer to pass, however busy it looks */

typedef struct HttpServer HttpServer;

/* o->fd is taken also where it fails. -EINVAL: the certificate or key is none; -ENOMEM; -EIO: libmicrohttpd does not say why. */
int http_server_new(const HttpOptions *o, HttpServer **ret);
HttpServer *http_server_free(HttpServer *s);
DEFINE_CLEANUP(HttpServer *, http_server_free)
int http_server_fd(const HttpServer *s); /* readable: call run */
/* Does what is due, and ends connections that take too long. *ret_again: when to call at the latest; USEC_INFINITY: only when the
 * fd is readable. now: monotonic. */
void http_server_run(HttpServer *s, usec_t now, usec_t *ret_again);
unsigned http_server_connections(const HttpServer *s);

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
