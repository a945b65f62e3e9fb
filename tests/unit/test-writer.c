/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plain directories stand in for cgroups (the inode is the id), FIFOs for
 * files whose write blocks in reclaim: opening one for writing waits for a
 * reader that never comes, and SIGKILL ends the wait.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "num.h"
#include "writer.h"

#define MSEC USEC_PER_MSEC

static char base[] = "/tmp/test-writer-XXXXXX";
static int base_fd = -1;

static unsigned count_fds(pid_t pid) {
        char path[64];
        unsigned n = 0;
        DIR *d;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        d = opendir(path);
        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n - 2;
}

typedef struct Group {
        char name[32];
        int fd;
        uint64_t id;
} Group;

static Group group_new(const char *name) {
        Group g = { .fd = -1 };
        struct stat st;

        (void)snprintf(g.name, sizeof(g.name), "%s", name);
        assert_int_equal(mkdirat(base_fd, name, 0755), 0);
        g.fd = openat(base_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(g.fd >= 0);
        assert_int_equal(fstat(g.fd, &st), 0);
        g.id = st.st_ino;
        return g;
}

static void group_file(const Group *g, const char *file, const char *text) {
        _cleanup_fd_ int fd = openat(g->fd, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void group_fifo(const Group *g, const char *file) { assert_int_equal(mkfifoat(g->fd, file, 0644), 0); }

static const char *group_read(const Group *g, const char *file) {
        static char text[256];

        assert_true(fd_read_at(g->fd, file, text, sizeof(text)) >= 0);
        return text;
}

static void group_free(Group *g) {
        _cleanup_fd_ int fd = openat(base_fd, g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0) {
                DIR *d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
                struct dirent *e;

                while ((e = readdir(d)))
                        (void)unlinkat(fd, e->d_name, 0);
                closedir(d);
                (void)unlinkat(base_fd, g->name, AT_REMOVEDIR);
        }
        g->fd = fd_close(g->fd);
}

#define RESULTS_MAX 8192
typedef struct Result {
        uint64_t cookie;
        usec_t at;
        int results[4];
        size_t n;
} Result;
static Result results[RESULTS_MAX];
static size_t n_results;

static void on_done(void *user, uint64_t cookie, const WriterWrite *writes, size_t n) {
        Result *r = &results[n_results++];

        assert_ptr_equal(user, results);
        assert_true(n_results <= RESULTS_MAX);
        *r = (Result){ .cookie = cookie, .at = clock_monotonic(), .n = n };
        for (size_t i = 0; i < n && i < ARRAY_SIZE(r->results); i++)
                r->results[i] = writes[i].result;
}

static const Result *result_of(uint64_t cookie) {
        for (size_t i = 0; i < n_results; i++)
                if (results[i].cookie == cookie)
                        return &results[i];
        return NULL;
}

static WriterWrite make(const char *file, const char *text) {
        WriterWrite x = { .result = 4711 };

        (void)snprintf(x.file, sizeof(x.file), "%s", file);
        (void)snprintf(x.text, sizeof(x.text), "%s", text);
        return x;
}

static void submit(Writer *w, const Group *g, const char *file, const char *text, bool may_block,
                   usec_t deadline, uint64_t cookie) {
        WriterWrite x = make(file, text);

        assert_int_equal(writer_submit(w, g->fd, g->id, &x, 1, may_block, deadline, on_done, results, cookie),
                         0);
}

/* Runs the writer as an event loop would, until n results are in or `for_usec` is over. */
static void run(Writer *w, size_t n, usec_t for_usec) {
        usec_t end = clock_monotonic() + for_usec;

        for (;;) {
                struct pollfd p = { .fd = writer_get_fd(w), .events = POLLIN };
                usec_t now = clock_monotonic(), t;

                assert_true(writer_dispatch(w, now) <= 0);
                if (n_results >= n && n > 0)
                        return;
                if (now >= end)
                        return;
                t = MIN_OF(writer_next_time(w), end);
                t = t > now ? (t - now + 999) / 1000 : 0;
                (void)poll(&p, 1, (int)t);
        }
}

static int setup(void **state) {
        Writer *w;

        n_results = 0;
        if (writer_new(&w) < 0)
                return -1;
        *state = w;
        return 0;
}

static int teardown(void **state) {
        writer_free(*state);
        return 0;
}

static void test_writes(void **state) {
        static const struct {
                const char *file, *text;
                bool guard;
                int result;
                const char *after;
        } table[] = {
                { "memory.max", "1000000", false, 0, "1000000" },
                { "memory.max", "max", true, 0, "max0000" },
                { "memory.max", "6400", true, 0, "6400000" }, /* used 6300 = 6400 - 6400/64 */
                { "memory.max", "6399", true, WRITER_ABOVE, "6400000" }, /* 6399 - 99 = 6300: see below */
                { "memory.max", "0", true, WRITER_ABOVE, "6400000" },
                { "memory.max", "junk", true, -EINVAL, "6400000" },
                { "memory.max", "99999999999999999999", true, -ERANGE, "6400000" },
                { "memory.high", "1", false, -ENOENT, NULL },
                { "cpu.weight", "100", false, -ELOOP, NULL },
        };
        Writer *w = *state;
        Group g = group_new("writes");

        group_file(&g, "cgroup.procs", "");
        group_file(&g, "memory.current", "6300\n");
        group_file(&g, "memory.max", "");
        assert_int_equal(symlinkat("memory.max", g.fd, "cpu.weight"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                WriterWrite x = make(table[i].file, table[i].text);
                int expected = table[i].result;

                x.headroom_guard = table[i].guard;
                if (STR_EQ(table[i].text, "6399"))
                        group_file(&g, "memory.current", "6301\n");
                assert_int_equal(writer_submit(w, g.fd, g.id, &x, 1, i % 2, clock_monotonic() + USEC_PER_SEC,
                                               on_done, results, i),
                                 0);
                run(w, i + 1, 2 * USEC_PER_SEC);
                assert_int_equal(n_results, i + 1);
                assert_int_equal(results[i].cookie, i);
                assert_int_equal(results[i].results[0], expected);
                if (table[i].after)
                        assert_string_equal(group_read(&g, "memory.max"), table[i].after);
        }
        /* No memory.current, no judgement: refused. */
        assert_int_equal(unlinkat(g.fd, "memory.current", 0), 0);
        WriterWrite x = make("memory.max", "5");
        x.headroom_guard = true;
        assert_int_equal(writer_submit(w, g.fd, g.id, &x, 1, false, USEC_INFINITY, on_done, results, 99), 0);
        run(w, ARRAY_SIZE(table) + 1, USEC_PER_SEC);
        assert_int_equal(result_of(99)->results[0], -ENOENT);
        assert_int_equal(writer_n_pending(w), 0);
        group_free(&g);
}

static void test_bad_arguments(void **state) {
        Writer *w = *state;
        WriterWrite x = make("memory.max", "1"), many[WRITER_WRITES_MAX + 1];
        static const char *const names[] = { "", ".", "..", "../x", "a/b", "/etc/passwd", "Memory", "a b" };
        Group g = group_new("bad");

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                WriterWrite y = make(names[i], "1");

                assert_int_equal(
                        writer_submit(w, g.fd, g.id, &y, 1, false, USEC_INFINITY, on_done, results, 0),
                        -EINVAL);
        }
        for (size_t i = 0; i < ARRAY_SIZE(many); i++)
                many[i] = x;
        assert_int_equal(writer_submit(w, g.fd, g.id, many, ARRAY_SIZE(many), false, USEC_INFINITY, on_done,
                                       results, 0),
                         -EINVAL);
        assert_int_equal(writer_submit(w, g.fd, g.id, many, 0, false, USEC_INFINITY, on_done, results, 0),
                         -EINVAL);
        assert_int_equal(writer_submit(w, -1, g.id, &x, 1, false, USEC_INFINITY, on_done, results, 0),
                         -EINVAL);
        memset(x.file, 'a', sizeof(x.file));
        assert_int_equal(writer_submit(w, g.fd, g.id, &x, 1, false, USEC_INFINITY, on_done, results, 0),
                         -EINVAL);
        x = make("a", "1");
        memset(x.text, '1', sizeof(x.text));
        assert_int_equal(writer_submit(w, g.fd, g.id, &x, 1, false, USEC_INFINITY, on_done, results, 0),
                         -EINVAL);
        assert_int_equal(writer_n_pending(w), 0);
        group_free(&g);
}

static void test_gone(void **state) {
        Writer *w = *state;
        Group g = group_new("gone");
        WriterWrite x[3] = { make("memory.max", "1"), make("memory.max", "2"), make("memory.max", "3") };

        group_file(&g, "cgroup.procs", "");
        group_file(&g, "memory.max", "");
        /* Another cgroup than was meant. */
        assert_int_equal(writer_submit(w, g.fd, g.id + 1, x, 3, false, USEC_INFINITY, on_done, results, 1),
                         0);
        assert_int_equal(writer_submit(w, g.fd, g.id + 1, x, 3, true, USEC_INFINITY, on_done, results, 2), 0);
        run(w, 2, USEC_PER_SEC);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(results[i].results[0], WRITER_GONE);
                assert_int_equal(results[i].results[1], WRITER_SKIPPED);
                assert_int_equal(results[i].results[2], WRITER_SKIPPED);
        }
        assert_string_equal(group_read(&g, "memory.max"), "");
        /* Removed while we hold its directory. */
        assert_int_equal(unlinkat(g.fd, "memory.max", 0), 0);
        assert_int_equal(unlinkat(g.fd, "cgroup.procs", 0), 0);
        assert_int_equal(unlinkat(base_fd, g.name, AT_REMOVEDIR), 0);
        submit(w, &g, "memory.max", "1", false, USEC_INFINITY, 3);
        run(w, 3, USEC_PER_SEC);
        assert_int_equal(result_of(3)->results[0], WRITER_GONE);
        group_free(&g);
}

/* Errors other than GONE and TIMEOUT do not stop a request; order within it is the array's. */
static void test_order_within(void **state) {
        Writer *w = *state;
        Group g = group_new("within");
        WriterWrite x[4] = { make("a", "1"), make("missing", "x"), make("a", "2"), make("a", "3") };

        group_file(&g, "cgroup.procs", "");
        group_file(&g, "a", "");
        assert_int_equal(writer_submit(w, g.fd, g.id, x, 4, true, USEC_INFINITY, on_done, results, 1), 0);
        run(w, 1, USEC_PER_SEC);
        assert_int_equal(results[0].results[0], 0);
        assert_int_equal(results[0].results[1], -ENOENT);
        assert_int_equal(results[0].results[2], 0);
        assert_int_equal(results[0].results[3], 0);
        assert_string_equal(group_read(&g, "a"), "3");
        group_free(&g);
}

/* Requests of one cgroup keep their order, also where a blocking one is followed by a quick one. */
static void test_order_between(void **state) {
        Writer *w = *state;
        Group g = group_new("between");
        _cleanup_fd_ int reader = -1;
        char got[64];
        ssize_t n;

        group_file(&g, "cgroup.procs", "");
        group_fifo(&g, "log");
        reader = openat(g.fd, "log", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        assert_true(reader >= 0);
        for (unsigned i = 0; i < 20; i++) {
                char text[2] = { (char)('a' + i), '\0' };

                submit(w, &g, "log", text, i % 3 == 0, USEC_INFINITY, i);
        }
        run(w, 20, USEC_PER_SEC);
        assert_int_equal(n_results, 20);
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(results[i].cookie, i);
        n = read(reader, got, sizeof(got) - 1);
        assert_int_equal(n, 20);
        got[n] = '\0';
        assert_string_equal(got, "abcdefghijklmnopqrst");
        group_free(&g);
}

/*
 * Eleven requests that block (three more than there are children), quick ones
 * of other cgroups and a quick one of a blocked cgroup.
 */
static void test_blocking(void **state) {
        Writer *w = *state;
        Group blocked[WRITER_CHILDS_MAX + 3], quick = group_new("quick");
        usec_t start = clock_monotonic();
        WriterWrite x[3];

        group_file(&quick, "cgroup.procs", "");
        group_file(&quick, "a", "");
        for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "blocked%zu", i);
                blocked[i] = group_new(name);
                group_file(&blocked[i], "cgroup.procs", "");
                group_file(&blocked[i], "a", "");
                group_fifo(&blocked[i], "memory.high");
                x[0] = make("a", "1");
                x[1] = make("memory.high", "1");
                x[2] = make("a", "2");
                assert_int_equal(writer_submit(w, blocked[i].fd, blocked[i].id, x, 3, true,
                                               start + 450 * MSEC, on_done, results, 100 + i),
                                 0);
        }
        submit(w, &blocked[0], "a", "9", false, start + 10 * USEC_PER_SEC, 200);
        for (size_t i = 0; i < 50; i++)
                submit(w, &quick, "a", "7", false, start + USEC_PER_SEC, i);
        run(w, 50, 400 * MSEC);
        assert_int_equal(n_results, 50);
        for (size_t i = 0; i < 50; i++) {
                assert_int_equal(results[i].cookie, i);
                assert_int_equal(results[i].results[0], 0);
        }
        assert_int_equal(writer_n_pending(w), ARRAY_SIZE(blocked) + 1);

        run(w, 50 + ARRAY_SIZE(blocked) + 1, USEC_PER_SEC);
        for (size_t i = 0; i < ARRAY_SIZE(blocked); i++) {
                const Result *r = result_of(100 + i);

                assert_non_null(r);
                assert_true(r->at >= start + 450 * MSEC);
                if (i < WRITER_CHILDS_MAX) {
                        assert_int_equal(r->results[0], 0);
                        assert_int_equal(r->results[1], WRITER_TIMEOUT);
                } else /* never started */
                        assert_int_equal(r->results[0], WRITER_TIMEOUT);
                assert_int_equal(r->results[2], WRITER_SKIPPED);
        }
        assert_int_equal(result_of(200)->results[0], 0);
        assert_string_equal(group_read(&blocked[0], "a"), "9");
        assert_string_equal(group_read(&blocked[1], "a"), "1");
        assert_int_equal(writer_n_restarts(w), 0);
        for (size_t i = 0; i < ARRAY_SIZE(blocked); i++)
                group_free(&blocked[i]);
        group_free(&quick);
}

static void test_many_queued(void **state) {
        Writer *w = *state;
        Group g[16];
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(g); i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "many%zu", i);
                g[i] = group_new(name);
                group_file(&g[i], "cgroup.procs", "");
                group_file(&g[i], "a", "");
        }
        for (;; n++) {
                WriterWrite x = make("a", "1");
                const Group *t = &g[n % ARRAY_SIZE(g)];
                int r = writer_submit(w, t->fd, t->id, &x, 1, n % 512 == 0, USEC_INFINITY, on_done, results,
                                      n);

                if (r == -EAGAIN)
                        break;
                if (r == -EMFILE) { /* a small RLIMIT_NOFILE of whoever runs the tests */
                        assert_true(n > 256);
                        break;
                }
                assert_int_equal(r, 0);
        }
        assert_true(n <= WRITER_PENDING_MAX);
        run(w, n, 10 * USEC_PER_SEC);
        assert_int_equal(n_results, n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(results[i].results[0], 0);
        assert_int_equal(writer_n_pending(w), 0);
        for (size_t i = 0; i < ARRAY_SIZE(g); i++)
                group_free(&g[i]);
}

static void test_helper_killed(void **state) {
        Writer *w = *state;
        Group a = group_new("killed-a"), b = group_new("killed-b");
        pid_t old = writer_pid(w);
        usec_t start;
        int fd = writer_get_fd(w);

        group_file(&a, "cgroup.procs", "");
        group_fifo(&a, "memory.high");
        group_file(&b, "cgroup.procs", "");
        group_file(&b, "a", "");
        submit(w, &a, "memory.high", "1", true, USEC_INFINITY, 1);
        submit(w, &a, "memory.high", "2", true, USEC_INFINITY, 2); /* still with us */
        run(w, 0, 30 * MSEC);
        assert_int_equal(kill(old, SIGKILL), 0);
        run(w, 2, USEC_PER_SEC);
        assert_int_equal(n_results, 2);
        assert_int_equal(result_of(1)->results[0], -ECONNRESET);
        assert_int_equal(result_of(2)->results[0], -ECONNRESET);
        submit(w, &b, "a", "1", false, USEC_INFINITY, 3);
        run(w, 3, 2 * USEC_PER_SEC);
        assert_int_equal(result_of(3)->results[0], 0);
        assert_true(writer_pid(w) != old && writer_pid(w) > 0);
        assert_int_equal(writer_get_fd(w), fd);
        assert_int_equal(writer_n_restarts(w), 1);

        /* Its child died with it: nobody has the FIFO open for writing any more. */
        assert_int_equal(openat(a.fd, "memory.high", O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
        assert_int_equal(errno, ENXIO);

        /* A second death within the second: requests wait, then go on. */
        start = clock_monotonic();
        assert_int_equal(kill(writer_pid(w), SIGKILL), 0);
        run(w, 0, 30 * MSEC);
        submit(w, &b, "a", "2", false, USEC_INFINITY, 4);
        run(w, 4, 3 * USEC_PER_SEC);
        assert_int_equal(result_of(4)->results[0], 0);
        assert_true(result_of(4)->at - start > 700 * MSEC);
        group_free(&a);
        group_free(&b);
}

/* A "quick" write that blocks: the helper itself hangs and is replaced. */
static void test_helper_stuck(void **state) {
        Writer *w = *state;
        Group a = group_new("stuck-a"), b = group_new("stuck-b");
        usec_t now = clock_monotonic();
        pid_t old = writer_pid(w);

        group_file(&a, "cgroup.procs", "");
        group_fifo(&a, "memory.high");
        group_file(&b, "cgroup.procs", "");
        group_file(&b, "a", "");
        submit(w, &a, "memory.high", "1", false, now + USEC_PER_SEC, 1);
        submit(w, &b, "a", "1", false, USEC_INFINITY, 2);
        run(w, 1, 100 * MSEC);
        assert_int_equal(n_results, 0);
        assert_int_equal(writer_next_time(w), now + USEC_PER_SEC + WRITER_GRACE_USEC);
        /* The guard's clock is a parameter: no need to wait. */
        assert_int_equal(writer_dispatch(w, now + USEC_PER_SEC + MSEC + WRITER_GRACE_USEC), 0);
        assert_int_equal(n_results, 2);
        assert_int_equal(result_of(1)->results[0], WRITER_TIMEOUT);
        assert_int_equal(result_of(2)->results[0], -ECONNRESET);
        submit(w, &b, "a", "1", false, USEC_INFINITY, 3);
        for (unsigned i = 0; i < 200 && n_results < 3; i++) {
                struct pollfd p = { .fd = writer_get_fd(w), .events = POLLIN };

                (void)poll(&p, 1, 10);
                assert_int_equal(writer_dispatch(w, now + (100 + i) * MSEC + WRITER_GRACE_USEC), 0);
        }
        assert_int_equal(result_of(3)->results[0], 0);
        assert_true(writer_pid(w) != old);
        group_free(&a);
        group_free(&b);
}

/* The helper holds none of our fds, whatever was open when it was forked, and survives nobody. */
static void test_helper_inherits_nothing(void **state _unused_) {
        _cleanup_fd_ int sfd = -1;
        int fds[32], status;
        Group g = group_new("inherit");
        sigset_t mask;
        Writer *w;
        pid_t pid;
        char path[64], text[4096];
        const char *p;
        int pipefd[2];

        sigemptyset(&mask);
        sigaddset(&mask, SIGUSR1);
        assert_int_equal(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
        sfd = signalfd(-1, &mask, SFD_CLOEXEC);
        assert_true(sfd >= 0);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = open("/dev/null", O_RDONLY); /* not even close-on-exec */
                assert_true(fds[i] >= 0);
        }
        assert_int_equal(writer_new(&w), 0);
        group_file(&g, "cgroup.procs", "");
        group_file(&g, "a", "");
        n_results = 0;
        submit(w, &g, "a", "1", false, USEC_INFINITY, 1);
        run(w, 1, USEC_PER_SEC);
        assert_int_equal(results[0].results[0], 0);
        assert_int_equal(count_fds(writer_pid(w)), 4);

        (void)snprintf(path, sizeof(path), "/proc/%d/status", writer_pid(w));
        assert_true(fd_read_at(AT_FDCWD, path, text, sizeof(text)) > 0);
        assert_non_null(strstr(text, "Name:\tbailiff-writer\n"));
        assert_non_null(strstr(text, "SigBlk:\t0000000000000000\n"));
        assert_non_null(strstr(text, "SigCgt:\t0000000000000000\n"));
        assert_non_null(strstr(text, "CapEff:\t0000000000000000\n"));
        assert_non_null(strstr(text, "CapPrm:\t0000000000000000\n"));
        p = strstr(text, "NoNewPrivs:");
        assert_non_null(p);
        assert_non_null(strstr(p, "\t1\n"));
        writer_free(w);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                close(fds[i]);
        assert_int_equal(sigprocmask(SIG_UNBLOCK, &mask, NULL), 0);

        /* A guard that is SIGKILLed takes its helper along: the pipe's end, which the
         * helper would hold had it kept it, is not the proof; the pid is. */
        assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                Writer *v;
                pid_t helper;

                if (writer_new(&v) < 0)
                        _exit(1);
                helper = writer_pid(v);
                if (write(pipefd[1], &helper, sizeof(helper)) != sizeof(helper))
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_true(pid > 0);
        pid_t helper;
        assert_int_equal(read(pipefd[0], &helper, sizeof(helper)), sizeof(helper));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        for (unsigned i = 0; i < 200; i++) {
                struct timespec ts = { .tv_nsec = 5000000 };
                ssize_t n;

                (void)snprintf(path, sizeof(path), "/proc/%d/stat", helper);
                n = fd_read_at(AT_FDCWD, path, text, sizeof(text));
                p = n > 0 ? strrchr(text, ')') : NULL;
                if (!p || p[2] == 'Z' || p[2] == 'X') {
                        helper = 0;
                        break;
                }
                nanosleep(&ts, NULL);
        }
        assert_int_equal(helper, 0);
        close(pipefd[0]);
        close(pipefd[1]);
        group_free(&g);
}

/* Submits the next from within the callback; the fifth finds a helper that does not answer any more. */
static void resubmit(void *user, uint64_t cookie, const WriterWrite *writes, size_t n) {
        Writer *w = user;
        struct stat st;

        n_results++;
        assert_int_equal(n, 1);
        if (cookie == 5) { /* from writer_free() */
                assert_int_equal(writes[0].result, -ECANCELED);
                assert_int_equal(
                        writer_submit(w, base_fd, 1, writes, 1, false, USEC_INFINITY, resubmit, w, 6),
                        -ECANCELED);
                return;
        }
        if (cookie == 4)
                assert_int_equal(kill(writer_pid(w), SIGSTOP), 0);
        assert_int_equal(fstat(base_fd, &st), 0);
        assert_int_equal(writer_submit(w, base_fd, st.st_ino, writes, 1, false, USEC_INFINITY, resubmit, w,
                                       cookie + 1),
                         0);
        assert_int_equal(writer_n_pending(w), 1);
}

static void test_free_and_leaks(void **state _unused_) {
        unsigned before = count_fds(getpid());
        Group g = group_new("leaks");
        Writer *w;
        int status;

        group_file(&g, "cgroup.procs", "");
        group_file(&g, "a", "");
        group_fifo(&g, "b");
        for (unsigned i = 0; i < 3; i++) {
                n_results = 0;
                assert_int_equal(writer_new(&w), 0);
                submit(w, &g, "a", "1", false, USEC_INFINITY, 1);
                submit(w, &g, "b", "1", true, USEC_INFINITY, 2);
                submit(w, &g, "a", "1", false, USEC_INFINITY, 3);
                run(w, 1, USEC_PER_SEC);
                if (i == 1) {
                        assert_int_equal(kill(writer_pid(w), SIGKILL), 0);
                        run(w, 3, USEC_PER_SEC);
                        assert_int_equal(n_results, 3);
                }
                assert_null(writer_free(w));
                assert_int_equal(n_results, 3);
                assert_int_equal(result_of(3)->results[0], i == 1 ? -ECONNRESET : -ECANCELED);
        }
        /* Callbacks may submit. */
        n_results = 0;
        assert_int_equal(writer_new(&w), 0);
        WriterWrite x = make("cgroup.none", "1");
        assert_int_equal(writer_submit(w, g.fd, g.id, &x, 1, false, USEC_INFINITY, resubmit, w, 1), 0);
        while (n_results < 4)
                run(w, 4, USEC_PER_SEC);
        assert_null(writer_free(w));
        assert_int_equal(n_results, 5);
        assert_null(writer_free(NULL));
        group_free(&g);
        assert_int_equal(count_fds(getpid()), before);
        /* No helper and no zombie is left. */
        assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_writes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_arguments, setup, teardown),
                cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_order_within, setup, teardown),
                cmocka_unit_test_setup_teardown(test_order_between, setup, teardown),
                cmocka_unit_test_setup_teardown(test_blocking, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_queued, setup, teardown),
                cmocka_unit_test_setup_teardown(test_helper_killed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_helper_stuck, setup, teardown),
                cmocka_unit_test(test_helper_inherits_nothing),
                cmocka_unit_test(test_free_and_leaks),
        };
        int r;

        if (!mkdtemp(base))
                return 1;
        base_fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        fd_close(base_fd);
        (void)rmdir(base);
        return r;
}
