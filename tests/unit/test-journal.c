/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A datagram socket of our own stands for journald: read it and it takes
 * messages, leave it and it fills up, unlink it and it is being restarted.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "journal.h"

#define ID "0123456789abcdef0123456789ABCDEF"

static char dir[] = "/tmp/test-journal-XXXXXX";
static char path[64];
static int server = -1;

static void server_start(void) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        memcpy(sa.sun_path, path, strlen(path) + 1);
        server = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(server >= 0);
        assert_int_equal(bind(server, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

static void server_stop(void) {
        server = fd_close(server);
        (void)unlink(path);
}

static int setup_all(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        (void)snprintf(path, sizeof(path), "%s/socket", dir);
        return 0;
}

static int teardown_all(void **state) {
        (void)state;
        return rmdir(dir);
}

static int setup(void **state) {
        (void)state;
        server_start();
        return 0;
}

static int teardown(void **state) {
        (void)state;
        server_stop();
        return 0;
}

static Journal *new_journal(void) {
        Journal *j = NULL;

        assert_int_equal(journal_new(path, "bailiffd", false, &j), 0);
        return j;
}

static JournalStats stats_of(const Journal *j) {
        JournalStats s;

        journal_get_stats(j, &s);
        return s;
}

typedef struct Received {
        char data[JOURNAL_ENTRY_MAX + 1];
        size_t len;
} Received;

static bool receive(Received *r) {
        ssize_t n = recv(server, r->data, sizeof(r->data) - 1, 0);

        if (n < 0)
                return false;
        r->len = (size_t)n;
        r->data[n] = '\0';
        return true;
}

/* As journald parses it. Returns the field's value, NULL when there is none; fails on a malformed entry. */
static char *field(const Received *r, const char *name) {
        const char *p = r->data, *end = p + r->len;
        char *found = NULL;

        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t)(end - p)), *equal, *value;
                size_t name_len, n;

                assert_non_null(newline);
                equal = memchr(p, '=', (size_t)(newline - p));
                if (equal) {
                        name_len = (size_t)(equal - p);
                        value = equal + 1;
                        n = (size_t)(newline - value);
                } else {
                        uint64_t le;

                        name_len = (size_t)(newline - p);
                        assert_true((size_t)(end - newline) > 1 + sizeof(le));
                        memcpy(&le, newline + 1, sizeof(le));
                        n = (size_t)le64toh(le);
                        value = newline + 1 + sizeof(le);
                        assert_true(n < (size_t)(end - value));
                        assert_int_equal(value[n], '\n');
                }
                assert_true(name_len > 0);
                if (name_len == strlen(name) && memcmp(p, name, name_len) == 0) {
                        assert_null(found);
                        found = strndup(value, n);
                        assert_non_null(found);
                }
                p = value + n + 1;
        }
        return found;
}

static void assert_field(const Received *r, const char *name, const char *value) {
        _cleanup_free_ char *got = field(r, name);

        if (!value) {
                assert_null(got);
                return;
        }
        assert_non_null(got);
        assert_string_equal(got, value);
}

static void test_fields(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        char long_name[66];
        const JournalField fields[] = {
                { "BAILIFF_TENANT", "acme" },
                { "BAILIFF_CGROUP", "two\nlines\n" },
                { "BAILIFF_EMPTY", "" },
                { "BAILIFF_EQUAL", "a=b" },
                { "BAILIFF_NONE", NULL },
                { "lower", "x" },
                { "_TRUSTED", "x" },
                { "1DIGIT", "x" },
                { "", "x" },
                { "WITH=EQUAL", "x" },
                { "WITH\nNEWLINE", "x" },
                { long_name, "x" },
        };
        Received r;

        (void)state;
        memset(long_name, 'A', sizeof(long_name) - 1);
        long_name[sizeof(long_name) - 1] = '\0';
        journal_send(j, 5, ID, "throttled acme", fields, ARRAY_SIZE(fields));
        assert_true(receive(&r));
        assert_field(&r, "PRIORITY", "5");
        assert_field(&r, "SYSLOG_IDENTIFIER", "bailiffd");
        assert_field(&r, "MESSAGE", "throttled acme");
        assert_field(&r, "MESSAGE_ID", ID);
        assert_field(&r, "BAILIFF_TENANT", "acme");
        assert_field(&r, "BAILIFF_CGROUP", "two\nlines\n");
        assert_field(&r, "BAILIFF_EMPTY", "");
        assert_field(&r, "BAILIFF_EQUAL", "a=b");
        assert_field(&r, "BAILIFF_DELAYED", NULL);
        assert_field(&r, "BAILIFF_SHORTENED", NULL);
        for (size_t i = 4; i < ARRAY_SIZE(fields); i++)
                assert_null(strstr(r.data, "=x"));
        assert_false(receive(&r));
        assert_int_equal(stats_of(j).sent, 1);
        assert_int_equal(stats_of(j).queued, 0);
}

static void test_arguments(void **state) {
        static const struct {
                int priority;
                const char *expected;
        } rows[] = { { -1, "0" }, { 0, "0" }, { 7, "7" }, { 8, "7" }, { INT32_MAX, "7" } };
        static const char *const bad_ids[] = { "", "abc", ID "0", "0123456789abcdef0123456789abcdeX",
                                               "0123456789abcdef\n123456789abcdef" };
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        char long_path[200];
        Journal *none = NULL;
        Received r;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                journal_send(j, rows[i].priority, NULL, "", NULL, 0);
                assert_true(receive(&r));
                assert_field(&r, "PRIORITY", rows[i].expected);
                assert_field(&r, "MESSAGE", "");
                assert_field(&r, "MESSAGE_ID", NULL);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad_ids); i++) {
                journal_send(j, 6, bad_ids[i], "m", NULL, 0);
                assert_true(receive(&r));
                assert_field(&r, "MESSAGE_ID", NULL);
        }
        memset(long_path, 'x', sizeof(long_path) - 1);
        long_path[sizeof(long_path) - 1] = '\0';
        assert_int_equal(journal_new(long_path, "x", false, &none), -ENAMETOOLONG);
        assert_null(none);
        assert_null(journal_free(NULL));
}

/* journald does not read: nothing blocks, order stays, all comes later. */
static void test_stopped(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        unsigned n_sent, expected = 0;
        char text[32];
        Received r;

        (void)state;
        for (unsigned i = 0; i < 2000; i++) {
                (void)snprintf(text, sizeof(text), "message %u", i);
                journal_send(j, 6, NULL, text, NULL, 0);
        }
        n_sent = (unsigned)stats_of(j).sent;
        assert_true(n_sent > 0 && n_sent < 2000);
        assert_int_equal(stats_of(j).queued, 2000 - n_sent);
        assert_int_equal(stats_of(j).backlog_entries, 2000 - n_sent);
        assert_int_equal(stats_of(j).dropped, 0);
        assert_false(journal_flush(j));
        for (bool done = false; !done;) {
                while (receive(&r)) {
                        (void)snprintf(text, sizeof(text), "message %u", expected);
                        assert_field(&r, "MESSAGE", text);
                        assert_field(&r, "BAILIFF_DELAYED", expected < n_sent ? NULL : "1");
                        expected++;
                }
                done = journal_flush(j);
        }
        while (receive(&r))
                expected++;
        assert_int_equal(expected, 2000);
        assert_int_equal(stats_of(j).backlog_entries, 0);
        assert_int_equal(stats_of(j).backlog_bytes, 0);
        journal_send(j, 6, NULL, "at once again", NULL, 0);
        assert_true(receive(&r));
        assert_field(&r, "BAILIFF_DELAYED", NULL);
}

/* More than the backlog holds: the oldest go, and how many is told before the rest. */
static void test_overflow(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        _cleanup_free_ char *got = NULL;
        char filler[2001], number[16], count[24];
        const JournalField fields[] = { { "BAILIFF_NUMBER", number }, { "BAILIFF_FILLER", filler } };
        unsigned next;
        Received r;
        JournalStats s;

        (void)state;
        memset(filler, 'f', sizeof(filler) - 1);
        filler[sizeof(filler) - 1] = '\0';
        for (unsigned i = 0; i < 3000; i++) {
                (void)snprintf(number, sizeof(number), "%u", i);
                filler[1 + i % 1999] = '\0'; /* lengths that wrap around everywhere */
                journal_send(j, 6, NULL, "m", fields, ARRAY_SIZE(fields));
                filler[1 + i % 1999] = 'f';
                assert_true(stats_of(j).backlog_bytes <= JOURNAL_BACKLOG_BYTES);
        }
        s = stats_of(j);
        assert_true(s.dropped > 0);
        assert_int_equal(s.sent + s.backlog_entries + s.dropped, 3000);
        for (unsigned i = 0; i < s.sent; i++) {
                assert_true(receive(&r));
                (void)snprintf(number, sizeof(number), "%u", i);
                assert_field(&r, "BAILIFF_NUMBER", number);
        }
        assert_false(receive(&r));
        (void)journal_flush(j);
        assert_true(receive(&r));
        (void)snprintf(count, sizeof(count), "%u", (unsigned)s.dropped);
        assert_field(&r, "BAILIFF_DROPPED", count);
        assert_field(&r, "PRIORITY", "4");
        next = (unsigned)(s.sent + s.dropped);
        for (bool done = false;;) {
                while (receive(&r)) {
                        (void)snprintf(number, sizeof(number), "%u", next);
                        assert_field(&r, "BAILIFF_NUMBER", number);
                        assert_field(&r, "BAILIFF_DELAYED", "1");
                        got = field(&r, "BAILIFF_FILLER");
                        assert_int_equal(strlen(got), 1 + next % 1999);
                        free(steal_ptr(got));
                        next++;
                }
                if (done)
                        break;
                done = journal_flush(j);
        }
        assert_int_equal(next, 3000);
        assert_int_equal(stats_of(j).backlog_bytes, 0);
}

static void test_restart(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        Received r;

        (void)state;
        journal_send(j, 6, NULL, "one", NULL, 0);
        assert_true(receive(&r));
        /* Nobody listens, the socket file is still there: ECONNREFUSED. */
        server = fd_close(server);
        journal_send(j, 6, NULL, "two", NULL, 0);
        /* Gone: ENOENT. */
        server_stop();
        journal_send(j, 6, NULL, "three", NULL, 0);
        assert_false(journal_flush(j));
        assert_int_equal(stats_of(j).backlog_entries, 2);
        server_start();
        assert_true(journal_flush(j));
        assert_true(receive(&r));
        assert_field(&r, "MESSAGE", "two");
        assert_true(receive(&r));
        assert_field(&r, "MESSAGE", "three");
        assert_int_equal(stats_of(j).dropped, 0);
}

static void test_long(void **state) {
        enum { N = 200 * 1024 };
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        _cleanup_free_ char *big = malloc(N + 1), *got = NULL;
        JournalField fields[64];
        Received r;

        (void)state;
        assert_non_null(big);
        for (size_t i = 0; i < N; i += 2)
                memcpy(big + i, "\xc3\xa4", 2);
        big[N] = '\0';
        journal_send(j, 3, ID, big, NULL, 0);
        assert_true(receive(&r));
        assert_field(&r, "BAILIFF_SHORTENED", "1");
        assert_field(&r, "MESSAGE_ID", ID);
        got = field(&r, "MESSAGE");
        assert_in_range(strlen(got), 1024, JOURNAL_ENTRY_MAX);
        assert_int_equal(strlen(got) % 2, 0); /* whole characters */

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                fields[i] = (JournalField){ "BAILIFF_BIG", big };
        journal_send(j, 3, ID, "short", fields, ARRAY_SIZE(fields));
        assert_true(receive(&r));
        assert_field(&r, "MESSAGE", "short");
        assert_field(&r, "BAILIFF_SHORTENED", "1");
        assert_int_equal(stats_of(j).dropped, 0);
}

/* The socket takes less than we thought: EMSGSIZE shortens too. */
static void test_emsgsize(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = new_journal();
        _cleanup_free_ char *big = malloc(30001);
        int small = 1, fd = -1;
        Received r;

        (void)state;
        assert_non_null(big);
        memset(big, 'b', 30000);
        big[30000] = '\0';
        /* The journal's socket is the last one opened. */
        for (int i = 3; i < 64; i++) {
                int type;
                socklen_t len = sizeof(type);

                if (i != server && getsockopt(i, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM)
                        fd = i;
        }
        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        journal_send(j, 6, NULL, big, NULL, 0);
        assert_true(receive(&r));
        assert_field(&r, "BAILIFF_SHORTENED", "1");
        assert_true(r.len < 30000);
        assert_int_equal(stats_of(j).dropped, 0);
}

/* ---- stderr ---- */

static int saved_stderr = -1;

static int redirect_stderr(void) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
        (void)fd_close(fds[1]);
        assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
        return fds[0];
}

static void restore_stderr(void) {
        (void)dup2(saved_stderr, STDERR_FILENO);
        saved_stderr = fd_close(saved_stderr);
}

static void test_stderr(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = NULL;
        _cleanup_fd_ int out = redirect_stderr();
        char text[256];
        ssize_t n;
        Received r;
        int flags;

        (void)state;
        assert_int_equal(journal_new(path, "x", true, &j), 0);
        journal_send(j, 6, NULL, "evil \x1b[2J\nname \xc3\xa4", NULL, 0);
        n = read(out, text, sizeof(text) - 1);
        flags = fcntl(STDERR_FILENO, F_GETFL);
        restore_stderr();
        assert_true(n > 0);
        text[n] = '\0';
        /* a line of somebody's making is indented: it cannot pass for a message */
        assert_string_equal(text, "evil  [2J\n  name \xc3\xa4\n");
        assert_false(flags & O_NONBLOCK); /* whoever shares it is not surprised */
        assert_true(receive(&r));
        assert_field(&r, "MESSAGE", "evil \x1b[2J\nname \xc3\xa4");
}

/* No journal at all: stderr has it, nothing piles up; and when a journal comes it is used. */
static void test_stderr_only(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = NULL;
        _cleanup_fd_ int out = -1;
        char text[256];
        ssize_t n;
        Received r;

        (void)state;
        server_stop();
        out = redirect_stderr();
        assert_int_equal(journal_new(path, "x", true, &j), 0);
        journal_send(j, 6, NULL, "one", NULL, 0);
        n = read(out, text, sizeof(text));
        assert_int_equal(n, 4);
        assert_int_equal(stats_of(j).backlog_entries, 0);
        server_start();
        journal_send(j, 6, NULL, "two", NULL, 0);
        server_stop();
        journal_send(j, 6, NULL, "three", NULL, 0);
        assert_int_equal(stats_of(j).backlog_entries, 1);
        server_start();
        assert_true(journal_flush(j));
        restore_stderr();
        assert_true(receive(&r));
        assert_field(&r, "MESSAGE", "three");
}

/* Nobody reads stderr, then nobody has it open: never a wait, never a signal. */
static void test_stderr_stuck(void **state) {
        _cleanup_(cleanup_journal_free) Journal *j = NULL;
        _cleanup_fd_ int out = redirect_stderr();
        _cleanup_free_ char *big = malloc(8001);
        Received r;

        (void)state;
        assert_non_null(big);
        memset(big, 'b', 8000);
        big[8000] = '\0';
        assert_int_equal(journal_new(path, "x", true, &j), 0);
        for (unsigned i = 0; i < 100; i++) {
                journal_send(j, 6, NULL, big, NULL, 0);
                assert_true(receive(&r));
        }
        out = fd_close(out);
        (void)signal(SIGPIPE, SIG_DFL);
        journal_send(j, 6, NULL, "reader gone", NULL, 0);
        restore_stderr();
        assert_true(receive(&r));
        assert_int_equal(stats_of(j).sent, 101);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
                cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
                cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
                cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long, setup, teardown),
                cmocka_unit_test_setup_teardown(test_emsgsize, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stderr, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stderr_only, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stderr_stuck, setup, teardown),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
