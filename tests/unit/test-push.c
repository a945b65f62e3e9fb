/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pushing to a receiver that is a socket of the test's own and answers by a script: what is taken, what comes again and when, what is
 * given up, what outlives a restart, who it says to be. The clock for waiting is the test's; libcurl has its own.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "exporter.h"
#include "fdio.h"
#include "num.h"
#include "push.h"
#include "textfile.h"

#define SEC USEC_PER_SEC
#define T0 (UINT64_C(1700006400) * SEC)

static char dir[64];
static usec_t now = 1000 * SEC;

static int setup(void **state) {
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/dev/shm/test-push-XXXXXX");
        if (mkdtemp(dir))
                return 0;
        (void)snprintf(dir, sizeof(dir), "/tmp/test-push-XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int clear(void **state) {
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof(command), "cd %s && rm -rf ./*", dir);
        return system(command) == 0 ? 0 : -1;
}

static int teardown(void **state) { return clear(state) < 0 ? -1 : rmdir(dir); }

/* ---- verdicts ---- */

static void test_judge(void **state) {
        static const struct {
                unsigned status;
                PushVerdict verdict;
        } rows[] = {
                { 0, PUSH_AGAIN },     { 200, PUSH_SENT },    { 204, PUSH_SENT },    { 301, PUSH_GIVE_UP },
                { 400, PUSH_GIVE_UP }, { 401, PUSH_GIVE_UP }, { 404, PUSH_GIVE_UP }, { 413, PUSH_GIVE_UP },
                { 429, PUSH_AGAIN },   { 500, PUSH_AGAIN },   { 503, PUSH_AGAIN },   { 100, PUSH_GIVE_UP },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (push_judge(rows[i].status) != rows[i].verdict)
                        fail_msg("%u", rows[i].status);
}

static void test_wait(void **state) {
        static const struct {
                unsigned attempts;
                uint64_t retry_after, random;
                usec_t wait;
        } rows[] = {
                { 1, 0, 0, SEC / 2 },
                { 1, 0, SEC / 2, SEC },
                { 2, 0, 0, SEC },
                { 3, 0, 0, 2 * SEC },
                { 7, 0, 0, 30 * SEC },
                { 7, 0, 30 * SEC, 60 * SEC },
                { 1000000, 0, 0, 30 * SEC },
                { 1, 7, 0, 7 * SEC },
                { 7, 7, 0, 30 * SEC },
                { 1, UINT64_MAX, 0, 3600 * SEC },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(push_wait(rows[i].attempts, rows[i].retry_after, rows[i].random),
                                 rows[i].wait);
        for (unsigned i = 0; i < 1000; i++) {
                usec_t w = push_wait(5, 0, (uint64_t)random() * 2654435761);

                assert_true(w >= 8 * SEC && w <= 16 * SEC);
        }
}

/* ---- a receiver ---- */

typedef struct Receiver {
        int fd, client;
        uint16_t port;
        Buf request; /* the last whole one */
        const char *const
                *answers; /* "STATUS[ HEADER]\nBODY", one a request; the last one repeats; "" hangs up */
        unsigned requests;
} Receiver;

static Receiver receiver(const char *const *answers) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
        Receiver r = { .client = -1, .answers = answers };
        socklen_t len = sizeof(a);

        r.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(r.fd >= 0);
        assert_int_equal(bind(r.fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(r.fd, 8), 0);
        assert_int_equal(getsockname(r.fd, (struct sockaddr *)&a, &len), 0);
        r.port = ntohs(a.sin_port);
        return r;
}

static void receiver_end(Receiver *r) {
        fd_close(r->fd);
        fd_close(r->client);
        buf_deinit(&r->request);
}

static bool is_whole(const Buf *b) {
        const char *body = strstr(buf_str(b), "\r\n\r\n"), *p = strcasestr(buf_str(b), "content-length:");
        uint64_t n = 0;

        if (!body || !p)
                return false;
        p += strlen("content-length:");
        p += strspn(p, " ");
        assert_true(num_scan_u64(&p, buf_str(b) + b->len, &n) >= 0);
        return b->len >= (size_t)(body + 4 - buf_str(b)) + n;
}

static void answer(Receiver *r) {
        const char *text = *r->answers, *body = strchr(text, '\n'), *header = strchr(text, ' ');
        _cleanup_buf_ Buf out = BUF_INIT;

        r->requests++;
        if (r->answers[1])
                r->answers++;
        if (*text) {
                buf_printf(&out, "HTTP/1.1 %.3s X\r\nConnection: close\r\nContent-Length: %zu\r\n", text,
                           strlen(body + 1));
                if (header && header < body)
                        buf_printf(&out, "%.*s\r\n", (int)(body - header - 1), header + 1);
                buf_printf(&out, "\r\n%s", body + 1);
                (void)fd_write_all(r->client, buf_str(&out), out.len);
        }
        r->client = fd_close(r->client);
}

static void serve(Receiver *r) {
        char chunk[65536];
        ssize_t n;

        if (r->client < 0) {
                r->client = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC);
                buf_clear(&r->request);
                return;
        }
        n = read(r->client, chunk, sizeof(chunk));
        if (n <= 0) {
                r->client = fd_close(r->client);
                return;
        }
        buf_append(&r->request, chunk, (size_t)n);
        if (is_whole(&r->request))
                answer(r);
}

/* Until so many requests were answered and their end was seen, or it waits for a later time. */
static void drive(Push *p, Receiver *r, unsigned requests) {
        for (unsigned i = 0; i < 3000; i++) {
                struct pollfd fds[] = { { .fd = push_fd(p), .events = POLLIN },
                                        { .fd = r->client >= 0 ? r->client : r->fd, .events = POLLIN } };
                PushStatus s;
                usec_t again;

                push_run(p, now, T0, &again);
                push_get_status(p, &s);
                if (s.requests + s.failures >= requests)
                        return;
                (void)poll(fds, 2, 20);
                if (fds[1].revents)
                        serve(r);
        }
        fail_msg("%u requests, waited for %u", r->requests, requests);
}

/* ---- pushing ---- */

typedef struct Bed {
        Config config;
        Pages pages;
        Push *push;
        char url[64], state_dir[80], label[8];
} Bed;

static void bed_start(Bed *b, uint16_t port) {
        const PushOptions o = { .config = &b->config, .dir = b->state_dir, .host = "web1" };

        (void)snprintf(b->url, sizeof(b->url), "http://127.0.0.1:%u/api/v1/write", port);
        (void)snprintf(b->state_dir, sizeof(b->state_dir), "%s/push", dir);
        (void)snprintf(b->label, sizeof(b->label), "tenant");
        b->config.tenant_label = b->label;
        b->config.push.url = b->url;
        b->config.push.backlog_max_bytes = 1 << 20;
        b->pages.config = &b->config;
        assert_int_equal(push_new(&o, &b->push), 0);
}

static PushStatus collect(Bed *b) {
        PushStatus s;

        assert_int_equal(push_collect(b->push, &b->pages, T0), 0);
        push_get_status(b->push, &s);
        return s;
}

static PushStatus status(const Bed *b) {
        PushStatus s;

        push_get_status(b->push, &s);
        return s;
}

static void test_sent(void **state) {
        static const char *const answers[] = { "204\n", NULL };
        Receiver r = receiver(answers);
        Bed b = {};
        PushStatus s;
        usec_t again;

        (void)state;
        bed_start(&b, r.port);
        push_run(b.push, now, T0, &again);
        assert_int_equal(r.requests, 0);
        s = collect(&b);
        assert_true(s.backlog_samples > 5 && s.backlog_bytes > 0);
        drive(b.push, &r, 1);
        assert_int_equal(status(&b).samples, s.backlog_samples);
        assert_int_equal(status(&b).state, PUSH_WELL);
        assert_int_equal(status(&b).last_success, T0);
        assert_int_equal(status(&b).backlog_bytes, 0);
        assert_non_null(strstr(buf_str(&r.request), "POST /api/v1/write HTTP/1.1\r\n"));
        assert_non_null(strstr(buf_str(&r.request), "Content-Encoding: snappy\r\n"));
        assert_non_null(strstr(buf_str(&r.request), "Content-Type: application/x-protobuf\r\n"));
        assert_non_null(strstr(buf_str(&r.request), "X-Prometheus-Remote-Write-Version: 0.1.0\r\n"));
        assert_null(strstr(buf_str(&r.request), "Authorization"));
        assert_null(strstr(buf_str(&r.request), "Expect"));
        push_free(b.push);
        receiver_end(&r);
}

/* "Later" comes again, the same one, not before its time; "no" is given up. */
static void test_answers(void **state) {
        static const char *const answers[] = { "503\nno room\nat all",
                                               "429 Retry-After: 100\nslow down",
                                               "",
                                               "200\n",
                                               "400\nout of order sample\x1b[0m\nsecond line",
                                               "302 Location: http://127.0.0.1:1/\nelsewhere",
                                               "200\n",
                                               NULL };
        Receiver r = receiver(answers);
        _cleanup_buf_ Buf first = BUF_INIT;
        Bed b = {};
        usec_t again;
        uint64_t n;

        (void)state;
        bed_start(&b, r.port);
        n = collect(&b).backlog_samples;
        drive(b.push, &r, 1);
        buf_append(&first, r.request.data, r.request.len);
        assert_int_equal(status(&b).state, PUSH_FAILING);
        assert_string_equal(status(&b).error, "HTTP 503: no room");
        assert_int_equal(status(&b).backlog_samples, n);
        push_run(b.push, now, T0, &again);
        assert_true(again > now && again <= now + SEC);
        now += 2 * SEC;
        drive(b.push, &r, 2);
        assert_string_equal(status(&b).error, "HTTP 429: slow down");
        now += 99 * SEC;
        push_run(b.push, now, T0, &again);
        assert_int_equal(r.requests, 2);
        assert_true(again > now && again <= now + 100 * SEC);
        now += SEC;
        drive(b.push, &r, 3); /* hung up */
        assert_int_equal(status(&b).failures, 3);
        assert_true(*status(&b).error);
        now += 60 * SEC;
        drive(b.push, &r, 4);
        assert_int_equal(r.request.len, first.len);
        assert_memory_equal(r.request.data, first.data, first.len);
        assert_int_equal(status(&b).state, PUSH_WELL);
        assert_string_equal(status(&b).error, "");
        assert_int_equal(status(&b).samples, n);
        assert_int_equal(status(&b).dropped, 0);

        collect(&b);
        drive(b.push, &r, 5);
        assert_int_equal(status(&b).state, PUSH_REFUSED);
        assert_string_equal(status(&b).error, "HTTP 400: out of order sample?[0m");
        assert_int_equal(status(&b).dropped, n);
        assert_int_equal(status(&b).backlog_samples, 0);
        collect(&b);
        drive(b.push, &r, 6); /* a redirection is not followed */
        assert_int_equal(status(&b).dropped, 2 * n);
        collect(&b);
        drive(b.push, &r, 7);
        assert_int_equal(status(&b).state, PUSH_WELL);
        assert_int_equal(status(&b).requests, 2);
        push_free(b.push);
        receiver_end(&r);
}

/* Nobody is there; the next process, with somebody there, tells it. */
static void test_restart(void **state) {
        static const char *const answers[] = { "200\n", NULL };
        Receiver r = receiver(answers), nobody = receiver(answers);
        Bed b = {};
        uint64_t n;

        (void)state;
        fd_close(steal_fd(&nobody.fd));
        nobody.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        bed_start(&b, nobody.port);
        n = collect(&b).backlog_samples;
        for (unsigned i = 1; i <= 3; i++) {
                usec_t again;

                for (unsigned k = 0; k < 500 && status(&b).failures < i; k++) {
                        struct pollfd p = { .fd = push_fd(b.push), .events = POLLIN };

                        push_run(b.push, now, T0, &again);
                        if (status(&b).failures < i)
                                (void)poll(&p, 1, 20);
                }
                assert_int_equal(status(&b).failures, i);
                now += 60 * SEC;
                (void)collect(&b);
        }
        assert_int_equal(status(&b).backlog_samples, 4 * n);
        push_free(b.push);

        bed_start(&b, r.port);
        collect(&b);
        drive(b.push, &r, 5);
        assert_int_equal(status(&b).samples, 5 * n);
        assert_int_equal(status(&b).backlog_bytes, 0);
        push_free(b.push);
        receiver_end(&r);
        receiver_end(&nobody);
}

/* Who asks is in files, read for each attempt. */
static void test_auth(void **state) {
        static const char *const answers[] = { "200\n", NULL };
        Receiver r = receiver(answers);
        char file[96], name[] = "me";
        Bed b = {};

        (void)state;
        (void)snprintf(file, sizeof(file), "%s/secret", dir);
        b.config.push.user = name;
        b.config.push.password_file = file;
        bed_start(&b, r.port);
        collect(&b);
        drive(b.push, &r, 1);
        assert_int_equal(r.requests, 0);
        assert_non_null(strstr(status(&b).error, "RemoteWritePasswordFile="));
        assert_int_equal(fd_write_file_atomic(AT_FDCWD, file, "secret\nX: y\n", 12, 0600, false), 0);
        now += 60 * SEC;
        drive(b.push, &r, 2);
        assert_non_null(strstr(buf_str(&r.request), "Authorization: Basic bWU6c2VjcmV0\r\n"));
        push_free(b.push);

        b.config.push.user = b.config.push.password_file = NULL;
        b.config.push.token_file = file;
        bed_start(&b, r.port);
        collect(&b);
        drive(b.push, &r, 1);
        assert_non_null(strstr(buf_str(&r.request), "Authorization: Bearer secret\r\n"));
        assert_int_equal(fd_write_file_atomic(AT_FDCWD, file, "other", 5, 0600, false), 0);
        collect(&b);
        drive(b.push, &r, 2);
        assert_non_null(strstr(buf_str(&r.request), "Authorization: Bearer other\r\n"));
        assert_null(strstr(buf_str(&r.request), "secret"));
        push_free(b.push);
        receiver_end(&r);
}

/* ---- the file for node_exporter ---- */

static void test_textfile(void **state) {
        char label[] = "tenant", file[96], missing[96];
        const Config config = { .tenant_label = label, .containers = true };
        const Pages p = { .config = &config };
        _cleanup_free_ char *text = NULL;
        _cleanup_buf_ Buf page = BUF_INIT;
        struct stat st;
        size_t len;
        mode_t mask;

        (void)state;
        (void)snprintf(missing, sizeof(missing), "%s/missing", dir);
        assert_int_equal(textfile_write(missing, &p), -ENOENT);
        textfile_remove(missing);
        mask = umask(0077);
        assert_int_equal(textfile_write(dir, &p), 0);
        assert_int_equal(umask(mask), 0077);
        (void)snprintf(file, sizeof(file), "%s/" TEXTFILE_NAME, dir);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_int_equal(fd_read_regular_at(AT_FDCWD, file, 1 << 20, &text, &len, NULL, NULL), 0);
        assert_int_equal(pages_metrics(&p, true, &page), 0);
        assert_string_equal(text, buf_str(&page));
        textfile_remove(dir);
        assert_int_equal(stat(file, &st), -1);
}

int main(void) {
#define TEST(f) cmocka_unit_test_teardown(f, clear)
        const struct CMUnitTest tests[] = {
                TEST(test_judge),   TEST(test_wait), TEST(test_sent),     TEST(test_answers),
                TEST(test_restart), TEST(test_auth), TEST(test_textfile),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
