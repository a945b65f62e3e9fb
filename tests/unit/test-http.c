/* SPDX-License-Identifier: Apache-2.0 */

/* The HTTP server: addresses and Host in tables, answers over a socket pair of real sockets, hostile requests, slow clients. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fdio.h"
#include "server.h"

static usec_t now = 1000 * USEC_PER_SEC;

static void test_addresses(void **state) {
        static const struct {
                const char *text;
                int r;
                bool loopback;
        } rows[] = {
                { "127.0.0.1:9477", 0, true },
                { "127.8.8.8:1", 0, true },
                { "localhost:80", 0, true },
                { "[::1]:9477", 0, true },
                { "0.0.0.0:9477", 0, false },
                { "10.0.0.1:65535", 0, false },
                { "[::]:9477", 0, false },
                { "[::ffff:127.0.0.1]:9477", 0, false },
                { "", -EINVAL, false },
                { "127.0.0.1", -EINVAL, false },
                { "127.0.0.1:", -EINVAL, false },
                { "127.0.0.1:0", -EINVAL, false },
                { "127.0.0.1:65536", -EINVAL, false },
                { "127.0.0.1:x", -EINVAL, false },
                { "127.0.0.1:1 ", -EINVAL, false },
                { ":9477", -EINVAL, false },
                { "::1:9477", -EINVAL, false },
                { "[::1]9477", -EINVAL, false },
                { "[::1", -EINVAL, false },
                { "[127.0.0.1]:1", -EINVAL, false },
                { "example.com:80", -EINVAL, false },
                { "127.0.0.1.evil.example.very.long.name.indeed.example.com:1", -EINVAL, false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                HttpAddress a = { .port = 4711 };

                if (http_address_parse(rows[i].text, &a) != rows[i].r)
                        fail_msg("%s", rows[i].text);
                if (rows[i].r == 0)
                        assert_int_equal(a.loopback, rows[i].loopback);
                else
                        assert_int_equal(a.port, 4711);
        }
}

static void test_hosts(void **state) {
        static const struct {
                const char *host;
                bool ok;
        } rows[] = {
                { "localhost", true },
                { "LocalHost:9477", true },
                { "127.0.0.1:9477", true },
                { "127.0.0.1", true },
                { "[::1]:9477", true },
                { "[::1]", true },
                { NULL, false },
                { "", false },
                { "localhost:80", false },
                { "localhost.evil.com", false },
                { "127.0.0.1.evil.com", false },
                { "evil.com", false },
                { "localhost:9477:", false },
                { "127.0.0.2:9477", false },
                { "[::1]x", false },
                { "localhost:", false },
                { "evil.com:9477", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (http_host_is_local(rows[i].host, 9477) != rows[i].ok)
                        fail_msg("%s", rows[i].host);
}

/* ---- a server ---- */

static size_t n_handled;
static HttpConnection *deferred;

static void handle(void *user, const HttpRequest *r, HttpAnswer *a) {
        const char *q = http_request_parameter(r, "q");

        (void)user;
        n_handled++;
        if (STR_EQ(r->path, "/none")) {
                a->status = 404;
                return;
        }
        if (STR_EQ(r->path, "/oom")) {
                a->body.error = -ENOMEM;
                return;
        }
        if (STR_EQ(r->path, "/later")) {
                deferred = http_request_defer(r);
                return;
        }
        if (STR_EQ(r->path, "/all")) {
                for (size_t i = 0; i < r->n_parameters; i++)
                        buf_printf(&a->body, "%s=%s;", r->parameters[i].name, r->parameters[i].value);
                return;
        }
        if (STR_EQ(r->path, "/large")) {
                for (int i = 0; i < 100000; i++)
                        buf_puts(&a->body, "0123456789");
                return;
        }
        buf_printf(&a->body, "path %s q %s", r->path, q ? q : "-");
}

static HttpServer *serve(HttpKind kind, struct sockaddr_un *ret) {
        HttpOptions o = { .kind = kind,
                          .port = 9477,
                          .connections_max = 4,
                          .connections_max_per_address = 4,
                          .unsent_max = 2500000,
                          .handle = handle };
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        HttpServer *s = NULL;

        /* An abstract name that the kernel chooses. */
        o.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(o.fd >= 0);
        assert_int_equal(bind(o.fd, (struct sockaddr *)&a, sizeof(a.sun_family)), 0);
        assert_int_equal(getsockname(o.fd, (struct sockaddr *)ret, &(socklen_t){ sizeof(*ret) }), 0);
        assert_int_equal(listen(o.fd, 16), 0);
        assert_int_equal(http_server_new(&o, &s), 0);
        return s;
}

static int dial(const struct sockaddr_un *a) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)a, sizeof(a->sun_family) + 6), 0);
        return fd;
}

/* Serves and reads until the answer has ended (Connection: close) or nothing moves. */
static void converse(HttpServer *s, int fd, Buf *out) {
        char chunk[8192];

        for (int idle = 0; idle < 20;) {
                struct pollfd p[] = { { .fd = http_server_fd(s), .events = POLLIN },
                                      { .fd = fd, .events = POLLIN } };
                usec_t again;
                ssize_t n;

                http_server_run(s, now, &again);
                n = read(fd, chunk, sizeof(chunk));
                if (n == 0 || (n < 0 && errno != EAGAIN))
                        return;
                if (n > 0) {
                        buf_append(out, chunk, (size_t)n);
                        idle = 0;
                } else if (poll(p, 2, 10) == 0)
                        idle++;
        }
}

static void ask(HttpKind kind, const char *request, Buf *out) {
        struct sockaddr_un a;
        _cleanup_(cleanup_http_server_free) HttpServer *s = serve(kind, &a);
        _cleanup_fd_ int fd = dial(&a);

        assert_int_equal(fd_write_all(fd, request, strlen(request)), 0);
        converse(s, fd, out);
}

#define END " HTTP/1.1\r\nHost: localhost:9477\r\nConnection: close\r\n\r\n"

static void test_answers(void **state) {
        static const struct {
                HttpKind kind;
                const char *request, *status, *body; /* body NULL: whatever */
        } rows[] = {
                { HTTP_UNIX, "GET /a" END, "200", "path /a q -" },
                { HTTP_UNIX, "GET /a?q=x%20y&r=1" END, "200", "path /a q x y" },
                { HTTP_UNIX, "GET /%2e%2e/a" END, "200", "path /../a q -" },
                { HTTP_UNIX, "GET /all?a=1&b&a=%3d" END, "200", "a=1;b=;a==;" },
                { HTTP_UNIX, "GET /all?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a" END, "200", NULL },
                { HTTP_UNIX, "GET /all?a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a&a" END, "400",
                  "too many parameters\n" },
                { HTTP_UNIX, "HEAD /a" END, "200", "" },
                { HTTP_UNIX, "GET /none" END, "404", "" },
                { HTTP_UNIX, "GET /oom" END, "503", "" },
                { HTTP_UNIX,
                  "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "405",
                  "reading only\n" },
                { HTTP_UNIX, "DELETE /a" END, "405", NULL },
                { HTTP_UNIX, "OPTIONS *" END, "405", NULL },
                { HTTP_UNIX, "TRACE /a" END, "405", NULL },
                { HTTP_UNIX, "GET /a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "200",
                  NULL },
                { HTTP_LOOPBACK, "GET /a" END, "200", NULL },
                { HTTP_LOOPBACK, "GET /a HTTP/1.1\r\nHost: evil.example:9477\r\nConnection: close\r\n\r\n",
                  "403", NULL },
                { HTTP_LOOPBACK, "GET /a HTTP/1.0\r\n\r\n", "403", NULL },
                { HTTP_LOOPBACK,
                  "POST /a HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                  "403", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;
                const char *body;

                ask(rows[i].kind, rows[i].request, &out);
                body = strstr(buf_str(&out), "\r\n\r\n");
                if (!body || strncmp(buf_str(&out) + 9, rows[i].status, 3) != 0 ||
                    (rows[i].body && !STR_EQ(body + 4, rows[i].body)))
                        fail_msg("%s\n%s", rows[i].request, buf_str(&out));
                assert_non_null(strstr(buf_str(&out), "X-Content-Type-Options: nosniff"));
                assert_non_null(strstr(buf_str(&out), "Cache-Control: no-store"));
                assert_null(strcasestr(buf_str(&out), "Access-Control"));
                assert_null(strcasestr(buf_str(&out), "Set-Cookie"));
        }
}

static void test_large(void **state) {
        _cleanup_buf_ Buf out = BUF_INIT;

        (void)state;
        ask(HTTP_UNIX, "GET /large" END, &out);
        assert_true(out.len > 1000000 && out.len < 1001000);
}

/* Headers without end, a line without end, no HTTP at all: refused, and never handed on. */
static void test_hostile(void **state) {
        _cleanup_buf_ Buf headers = BUF_INIT, line = BUF_INIT, zero = BUF_INIT;
        const Buf *const all[] = { &headers, &line, &zero };

        (void)state;
        buf_puts(&headers, "GET /a HTTP/1.1\r\nHost: localhost\r\n");
        for (int i = 0; i < 2000; i++)
                buf_printf(&headers, "X-%d: 0123456789012345678901234567890123456789\r\n", i);
        buf_puts(&line, "GET /");
        for (int i = 0; i < 50000; i++)
                buf_putc(&line, 'a');
        buf_append(&zero, "\0\0\0GET / HTTP/9.9\r\n\r\n\x16\x03\x01", 24);
        n_handled = 0;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;
                struct sockaddr_un a;
                _cleanup_(cleanup_http_server_free) HttpServer *s = serve(HTTP_UNIX, &a);
                _cleanup_fd_ int fd = dial(&a);

                assert_true(write(fd, all[i]->data, all[i]->len) > 0); /* as much of it as goes */
                converse(s, fd, &out);
                assert_int_equal(n_handled, 0);
        }
}

/* One that dribbles is cut off although it is never idle; meanwhile others are served. */
static void test_slow(void **state) {
        struct sockaddr_un a;
        _cleanup_(cleanup_http_server_free) HttpServer *s = serve(HTTP_UNIX, &a);
        _cleanup_fd_ int slow = dial(&a);
        usec_t begin = now, again;
        bool cut = false;

        (void)state;
        assert_true(write(slow, "GET /a HTTP/1.1\r\nX: ", 20) == 20);
        for (; now < begin + 60 * USEC_PER_SEC && !cut; now += USEC_PER_SEC) {
                for (int i = 0; i < 3; i++)
                        http_server_run(s, now, &again);
                cut = send(slow, "x", 1, MSG_NOSIGNAL) < 0;
                if (now == begin + 10 * USEC_PER_SEC) {
                        _cleanup_fd_ int fd = dial(&a);
                        _cleanup_buf_ Buf out = BUF_INIT;

                        assert_int_equal(fd_write_all(fd, "GET /b" END, strlen("GET /b" END)), 0);
                        converse(s, fd, &out);
                        assert_non_null(strstr(buf_str(&out), "path /b"));
                }
        }
        assert_true(cut);
        assert_in_range(now - begin, 29 * USEC_PER_SEC, 35 * USEC_PER_SEC);
        http_server_run(s, now, &again);
        assert_int_equal(http_server_connections(s), 0);
}

/* More connections than there may be are not taken until one ends. */
static void test_flood(void **state) {
        struct sockaddr_un a;
        _cleanup_(cleanup_http_server_free) HttpServer *s = serve(HTTP_UNIX, &a);
        int fds[10];
        usec_t again;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = dial(&a);
                http_server_run(s, now, &again);
                assert_true(http_server_connections(s) <= 4);
        }
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                (void)fd_close(fds[i]);
        for (int i = 0; i < 30; i++)
                http_server_run(s, now, &again);
        assert_int_equal(http_server_connections(s), 0);
}

/* Who does not read holds his answer in memory: so much of that, then others are put off; until he goes. */
static void test_unread(void **state) {
        static const char request[] = "GET /large" END;
        struct sockaddr_un a;
        _cleanup_(cleanup_http_server_free) HttpServer *s = serve(HTTP_UNIX, &a);
        int fds[2];
        usec_t again;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = dial(&a);
                assert_int_equal(fd_write_all(fds[i], request, strlen(request)), 0);
                for (int k = 0; k < 10; k++)
                        http_server_run(s, now, &again);
        }
        for (int how = 0; how < 3; how++) {
                const char *const ask = how == 1 ? "GET /small" END : request;
                _cleanup_fd_ int fd = dial(&a);
                _cleanup_buf_ Buf out = BUF_INIT;

                assert_int_equal(fd_write_all(fd, ask, strlen(ask)), 0);
                converse(s, fd, &out);
                assert_non_null(strstr(buf_str(&out), how == 0 ? " 503 " : " 200 "));
                if (how == 1)
                        fds[0] = fd_close(fds[0]);
                for (int k = 0; k < 10; k++)
                        http_server_run(s, now, &again);
        }
        (void)fd_close(fds[1]);
}

/* An answer that comes later: others are served meanwhile, however long it takes; it comes to who asked, also where nobody is there
 * any more to read it; and the server may end before it comes, or be renewed twice, which ends all that the first one had. */
static void test_later(void **state) {
        static const char request[] = "GET /later" END, other[] = "GET /b" END;

        (void)state;
        for (int how = 0; how < 4; how++) {
                struct sockaddr_un a;
                HttpServer *s = serve(HTTP_UNIX, &a);
                _cleanup_fd_ int fd = dial(&a), second = -1;
                _cleanup_buf_ Buf none = BUF_INIT, out = BUF_INIT, out_of_second = BUF_INIT;
                HttpAnswer answer = { .status = 200, .type = "text/plain" };
                usec_t again;

                deferred = NULL;
                assert_int_equal(fd_write_all(fd, request, strlen(request)), 0);
                converse(s, fd, &none);
                assert_non_null(deferred);
                assert_int_equal(none.len, 0);
                now += 25 * USEC_PER_SEC;
                second = dial(&a);
                assert_int_equal(fd_write_all(second, other, strlen(other)), 0);
                converse(s, second, &out_of_second);
                assert_non_null(strstr(buf_str(&out_of_second), "path /b"));
                if (how == 1)
                        fd = fd_close(fd);
                buf_puts(&answer.body, "at last");
                if (how == 2) {
                        http_server_free(s);
                        http_answer(deferred, &answer);
                        continue;
                }
                for (int i = 0; how == 3 && i < 2; i++) {
                        assert_int_equal(http_server_renew(s, NULL, NULL, NULL), 0);
                        http_server_run(s, now, &again);
                }
                http_answer(deferred, &answer);
                if (how == 3) {
                        converse(s, fd, &out);
                        assert_non_null(strstr(buf_str(&out), " 503 "));
                }
                http_server_run(s, now, &again);
                if (how == 0) {
                        converse(s, fd, &out);
                        assert_non_null(strstr(buf_str(&out), "\r\n\r\nat last"));
                }
                for (int i = 0; i < 10; i++)
                        http_server_run(s, now, &again);
                assert_int_equal(http_server_connections(s), 0);
                http_server_free(s);
        }
}

/* Who does not ask makes room when connections run short. */
static void test_crowded(void **state) {
        struct sockaddr_un a;
        _cleanup_(cleanup_http_server_free) HttpServer *s = serve(HTTP_UNIX, &a);
        _cleanup_fd_ int fd = -1;
        _cleanup_buf_ Buf out = BUF_INIT;
        int fds[4];
        usec_t again;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = dial(&a);
                http_server_run(s, now, &again);
        }
        fd = dial(&a);
        assert_int_equal(fd_write_all(fd, "GET /b" END, strlen("GET /b" END)), 0);
        now += HTTP_CROWDED_ASK_USEC + 1;
        converse(s, fd, &out);
        assert_non_null(strstr(buf_str(&out), "path /b"));
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                (void)fd_close(fds[i]);
}

static void test_certificate_times(void **state) {
        static const char *const none[] = {
                "", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        };
        uint64_t from = 4711, until = 4711;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(none); i++)
                assert_int_equal(http_certificate_times(none[i], &from, &until), -EINVAL);
        assert_int_equal(from + until, 2 * 4711);
}

static void test_no_certificate(void **state) {
        HttpOptions o = {
                .kind = HTTP_TLS, .certificate = "no PEM", .key = "", .connections_max = 4, .handle = handle
        };
        HttpServer *s = NULL;

        (void)state;
        o.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(http_server_new(&o, &s), -EINVAL);
        assert_null(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses), cmocka_unit_test(test_hosts),
                cmocka_unit_test(test_answers),   cmocka_unit_test(test_large),
                cmocka_unit_test(test_hostile),   cmocka_unit_test(test_slow),
                cmocka_unit_test(test_flood),     cmocka_unit_test(test_no_certificate),
                cmocka_unit_test(test_unread),    cmocka_unit_test(test_later),
                cmocka_unit_test(test_crowded),   cmocka_unit_test(test_certificate_times),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
