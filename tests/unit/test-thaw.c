/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Real freezes of real cgroups (cgroup-bed.h), with whatever can happen to guard and helper in between. Nothing
 * here needs to be quick: states are waited for.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "act.h"
#include "cgroup-bed.h"
#include "num.h"
#include "thaw.h"

#define PATIENCE (20 * USEC_PER_SEC)
#define MSEC USEC_PER_MSEC
#define LONG (600 * USEC_PER_SEC)

typedef struct News {
        uint64_t id;
        ThawNews news;
        int error;
} News;

static News log_[1024];
static size_t n_log;
static Thaw *again; /* done() begins once more with the same cgroup */
static int again_fd;

static void on_done(void *user, uint64_t id, ThawNews news, int error) {
        assert_ptr_equal(user, log_);
        assert_true(n_log < ARRAY_SIZE(log_));
        log_[n_log++] = (News){ id, news, error };
        if (again && news == THAW_OVER) {
                Thaw *t = steal_ptr(again);

                assert_int_equal(thaw_begin(t, again_fd, id, LONG), 0);
        }
}

static Thaw *thaw_start(void) {
        Thaw *t = NULL;

        n_log = 0;
        assert_int_equal(thaw_new(NULL, on_done, log_, &t), 0);
        return t;
}

/* As an event loop would: until there are n news. */
static void run(Thaw *t, size_t n) {
        usec_t end = clock_monotonic() + PATIENCE;

        for (;;) {
                struct pollfd p = { .fd = thaw_get_fd(t), .events = POLLIN };
                usec_t now = clock_monotonic(), next;

                assert_true(thaw_dispatch(t, now) <= 0);
                if (n_log >= n)
                        return;
                assert_true(now < end);
                next = MIN_OF(thaw_next_time(t), end);
                (void)poll(&p, 1, next > now ? (int)((next - now + 999) / 1000) : 0);
        }
}

static void assert_news(size_t i, const Cg *g, ThawNews news, int error) {
        assert_true(i < n_log);
        if (log_[i].id != g->id || log_[i].news != news || log_[i].error != error)
                fail_msg("news %zu: %d (%d), not %d (%d)", i, log_[i].news, log_[i].error, news, error);
}

static void begin(Thaw *t, const Cg *g, usec_t span) {
        size_t n = n_log;

        assert_int_equal(thaw_begin(t, g->fd, g->id, span), 0);
        run(t, n + 1);
        assert_news(n, g, THAW_FROZEN, 0);
        assert_int_equal(act_read_freeze(g->fd), 1);
}

static void wait_freeze(const Cg *g, int state) {
        usec_t end = clock_monotonic() + PATIENCE;

        while (act_read_freeze(g->fd) != state) {
                assert_true(clock_monotonic() < end);
                bed_sleep(MSEC);
        }
}

static void wait_helper_dead(Thaw *t) {
        char path[64], text[1024];
        usec_t end = clock_monotonic() + PATIENCE;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", thaw_pid(t));
        for (;;) {
                ssize_t n = fd_read_at(AT_FDCWD, path, text, sizeof(text));

                if (n < 0 || strstr(text, ") Z "))
                        return;
                assert_true(clock_monotonic() < end);
                bed_sleep(MSEC);
        }
}

static void wait_helper_stopped(Thaw *t) {
        char path[64], text[1024];
        usec_t end = clock_monotonic() + PATIENCE;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", thaw_pid(t));
        assert_int_equal(kill(thaw_pid(t), SIGSTOP), 0);
        do {
                assert_true(clock_monotonic() < end);
                assert_true(fd_read_at(AT_FDCWD, path, text, sizeof(text)) > 0);
        } while (!strstr(text, ") T "));
}

#define NEED_BED()              \
        do {                    \
                (void)state;    \
                if (bed_fd < 0) \
                        skip(); \
        } while (0)

/* What is frozen does not run; after its time it does. */
static void test_pulse(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;
        volatile uint64_t *counter;
        uint64_t seen;
        usec_t start;
        char text[256];

        NEED_BED();
        t = thaw_start();
        Cg g = cg_new(bed_fd, "pulse");
        counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(counter != MAP_FAILED);
        if (cg_fork(&g) == 0)
                for (;;) {
                        (*counter)++;
                        bed_sleep(100);
                }
        for (usec_t end = clock_monotonic() + PATIENCE; *counter == 0;)
                assert_true(clock_monotonic() < end);
        start = clock_monotonic();
        begin(t, &g, 300 * MSEC);
        do
                assert_true(fd_read_at(g.fd, "cgroup.events", text, sizeof(text)) > 0);
        while (!strstr(text, "frozen 1") && act_read_freeze(g.fd) == 1);
        seen = *counter;
        bed_sleep(50 * MSEC);
        assert_true(*counter == seen || act_read_freeze(g.fd) == 0);
        run(t, 2);
        assert_news(1, &g, THAW_OVER, 0);
        assert_true(clock_monotonic() - start >= 300 * MSEC);
        assert_int_equal(act_read_freeze(g.fd), 0);
        for (usec_t end = clock_monotonic() + PATIENCE; *counter == seen;)
                assert_true(clock_monotonic() < end);
        /* Before its time. */
        begin(t, &g, LONG);
        assert_int_equal(thaw_end(t, g.id), 0);
        run(t, 4);
        assert_news(3, &g, THAW_OVER, 0);
        assert_int_equal(act_read_freeze(g.fd), 0);
        assert_int_equal(thaw_end(t, g.id), 0); /* nothing to end */
        /* Again, from within done(). */
        begin(t, &g, LONG);
        again = t;
        again_fd = g.fd;
        assert_int_equal(thaw_end_all(t), 0);
        run(t, 7);
        assert_news(5, &g, THAW_OVER, 0);
        assert_news(6, &g, THAW_FROZEN, 0);
        /* At the end of it all. */
        t = thaw_free(t);
        assert_int_equal(act_read_freeze(g.fd), 0);
        assert_int_equal(n_log, 7);
        (void)munmap((void *)(uintptr_t)counter, 4096);
        fd_close(g.fd);
}

static void test_refused(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;
        _cleanup_fd_ int plain = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        NEED_BED();
        t = thaw_start();
        Cg g = cg_new(bed_fd, "refused"), gone = cg_new(bed_fd, "gone"), no = { .fd = plain };

        assert_int_equal(thaw_begin(t, -1, g.id, 1), -EINVAL);
        assert_int_equal(thaw_begin(t, g.fd, g.id, THAW_SPAN_MAX + 1), -EINVAL);
        /* Another one than was meant, one that is no more, one that is no cgroup. */
        assert_int_equal(thaw_begin(t, g.fd, g.id + 1000000, LONG), 0);
        run(t, 1);
        assert_int_equal(log_[0].news, THAW_GONE);
        assert_int_equal(unlinkat(bed_fd, "gone", AT_REMOVEDIR), 0);
        assert_int_equal(thaw_begin(t, gone.fd, gone.id, LONG), 0);
        run(t, 2);
        assert_news(1, &gone, THAW_GONE, 0);
        assert_int_equal(fstat(plain, &st), 0);
        no.id = st.st_ino;
        assert_int_equal(thaw_begin(t, plain, no.id, LONG), 0);
        run(t, 3);
        assert_news(2, &no, THAW_FAILED, -ENOENT);
        assert_int_equal(act_read_freeze(g.fd), 0);
        /* Once at a time. */
        begin(t, &g, LONG);
        assert_int_equal(thaw_begin(t, g.fd, g.id, LONG), -EEXIST);
        fd_close(gone.fd);
        fd_close(g.fd);
}

/* Who paused it before, or meanwhile, is the one to say when it goes on. */
static void test_foreign(void **state) {
        static const struct {
                const char *writes[3];
                bool end; /* by thaw_end(), else by its time */
                bool killed; /* the helper, before the writes */
        } rows[] = {
                { { "1" }, false, false },     { { "1" }, true, false },       { { "0" }, false, false },
                { { "0", "1" }, true, false }, { { "1", "0" }, false, false }, { { "1" }, false, true },
                { { "0", "1" }, false, true }, { { "0" }, false, true },
        };
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;

        NEED_BED();
        t = thaw_start();
        Cg g = cg_new(bed_fd, "foreign");
        cg_put(&g, "cgroup.freeze", "1");
        assert_int_equal(thaw_begin(t, g.fd, g.id, 1), 0);
        run(t, 1);
        assert_news(0, &g, THAW_FOREIGN, 0);
        assert_int_equal(thaw_end_all(t), 0);
        t = thaw_free(t);
        assert_int_equal(act_read_freeze(g.fd), 1);
        cg_put(&g, "cgroup.freeze", "0");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int last = 0;

                t = thaw_start();
                begin(t, &g, rows[i].end || rows[i].killed ? LONG : 200 * MSEC);
                if (rows[i].killed) {
                        assert_int_equal(kill(thaw_pid(t), SIGKILL), 0);
                        wait_helper_dead(t);
                }
                for (size_t k = 0; k < 3 && rows[i].writes[k]; k++) {
                        cg_put(&g, "cgroup.freeze", rows[i].writes[k]);
                        last = rows[i].writes[k][0] == '1';
                }
                if (rows[i].end)
                        assert_int_equal(thaw_end(t, g.id), 0);
                run(t, 2);
                if (rows[i].killed) {
                        /* It is the next helper that says so. */
                        assert_news(1, &g, THAW_TAKEN, 0);
                        assert_int_equal(thaw_begin(t, g.fd, g.id, LONG), 0);
                        run(t, 3);
                        assert_news(2, &g, last ? THAW_FOREIGN : THAW_FROZEN, 0);
                } else
                        assert_news(1, &g, THAW_TAKEN, 0);
                t = thaw_free(t);
                if (act_read_freeze(g.fd) != last)
                        fail_msg("row %zu", i);
                cg_put(&g, "cgroup.freeze", "0");
        }
        fd_close(g.fd);
}

static void test_removed(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;

        NEED_BED();
        t = thaw_start();
        for (unsigned i = 0; i < 2; i++) {
                Cg g = cg_new(bed_fd, "removed");

                n_log = 0;
                begin(t, &g, i ? LONG : 200 * MSEC);
                assert_int_equal(unlinkat(bed_fd, "removed", AT_REMOVEDIR), 0);
                if (i)
                        assert_int_equal(thaw_end(t, g.id), 0);
                run(t, 2);
                assert_news(1, &g, THAW_GONE, 0);
                fd_close(g.fd);
        }
}

/* Killed; stopped, which is seen by its being late. The next one thaws. */
static void test_helper_lost(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;

        NEED_BED();
        t = thaw_start();
        Cg a = cg_new(bed_fd, "lost-a"), b = cg_new(bed_fd, "lost-b");
        for (unsigned stopped = 0; stopped < 2; stopped++) {
                pid_t old = thaw_pid(t);
                usec_t late;

                n_log = 0;
                begin(t, &a, LONG);
                begin(t, &b, LONG);
                /* Not yet overdue; with the time of after that it is. */
                late = thaw_next_time(t);
                assert_true(late > clock_monotonic() && late != USEC_INFINITY);
                assert_int_equal(thaw_dispatch(t, late - 1), 0);
                assert_int_equal(n_log, 2);
                assert_int_equal(thaw_pid(t), old);
                if (stopped) {
                        wait_helper_stopped(t);
                        assert_int_equal(thaw_dispatch(t, late), 0);
                } else {
                        assert_int_equal(kill(old, SIGKILL), 0);
                        wait_helper_dead(t);
                }
                /* Nobody is told before they run again. */
                while (act_read_freeze(a.fd) == 1 || act_read_freeze(b.fd) == 1) {
                        assert_int_equal(n_log, 2);
                        run(t, n_log);
                        bed_sleep(MSEC);
                }
                run(t, 4);
                assert_int_equal(n_log, 4);
                for (size_t i = 2; i < 4; i++)
                        assert_int_equal(log_[i].news, THAW_OVER);
                assert_true(log_[2].id != log_[3].id);
                assert_int_not_equal(thaw_pid(t), old);
                /* At most one start a second. */
                if (!stopped) {
                        usec_t now = clock_monotonic();

                        while (thaw_begin(t, a.fd, a.id, LONG) == -EAGAIN)
                                assert_int_equal(thaw_dispatch(t, now), 0);
                        run(t, 5);
                        assert_news(4, &a, THAW_FROZEN, 0);
                        assert_int_equal(kill(thaw_pid(t), SIGKILL), 0);
                        wait_helper_dead(t);
                        assert_int_equal(thaw_dispatch(t, now), 0);
                        assert_int_equal(thaw_pid(t), 0);
                        assert_int_equal(thaw_begin(t, b.fd, b.id, LONG), -EAGAIN);
                        assert_int_equal(thaw_end(t, a.id), 0);
                        assert_int_equal(act_read_freeze(a.fd), 1);
                        assert_true(thaw_next_time(t) <= now + USEC_PER_SEC);
                        assert_int_equal(thaw_dispatch(t, thaw_next_time(t)), 0);
                        assert_int_not_equal(thaw_pid(t), 0);
                        wait_freeze(&a, 0);
                        while (thaw_begin(t, a.fd, a.id, LONG) == -EAGAIN)
                                assert_int_equal(thaw_dispatch(t, now), 0);
                        run(t, 7);
                        assert_int_equal(thaw_end(t, a.id), 0);
                        run(t, 8);
                        assert_news(7, &a, THAW_OVER, 0);
                }
        }
        fd_close(a.fd);
        fd_close(b.fd);
}

/* No room for the two fds that a helper needs, but for the one that the last one had: who was frozen is thawed all the same, and who was taken over is left alone. */
static void test_none_to_be_had(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;
        struct rlimit old, tight;
        usec_t start;
        int next;

        NEED_BED();
        t = thaw_start();
        Cg a = cg_new(bed_fd, "none-a"), b = cg_new(bed_fd, "none-b"), c = cg_new(bed_fd, "none-c");
        begin(t, &a, LONG);
        begin(t, &b, LONG);
        begin(t, &c, LONG);
        assert_int_equal(kill(thaw_pid(t), SIGKILL), 0);
        wait_helper_dead(t);
        cg_put(&b, "cgroup.freeze", "1");
        assert_int_equal(unlinkat(bed_fd, "none-c", AT_REMOVEDIR), 0);
        /* At most one start a second. */
        start = clock_monotonic() + 2 * USEC_PER_SEC;
        next = dup(bed_fd);
        assert_true(next >= 0 && getrlimit(RLIMIT_NOFILE, &old) == 0);
        (void)close(next);
        tight = (struct rlimit){ (rlim_t)next, old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        assert_int_equal(thaw_dispatch(t, start), -EMFILE);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(thaw_pid(t), 0);
        assert_int_equal(n_log, 6);
        assert_news(3, &a, THAW_OVER, 0);
        assert_news(4, &b, THAW_TAKEN, 0);
        assert_news(5, &c, THAW_GONE, 0);
        assert_int_equal(act_read_freeze(a.fd), 0);
        assert_int_equal(act_read_freeze(b.fd), 1);
        cg_put(&b, "cgroup.freeze", "0");
        /* Later there is one again. */
        assert_int_equal(thaw_dispatch(t, start + USEC_PER_SEC), 0);
        begin(t, &a, LONG);
        fd_close(a.fd);
        fd_close(b.fd);
        fd_close(c.fd);
}

/* Without a helper, or with one that does not move, freeing thaws all the same. */
static void test_free_without_helper(void **state) {
        NEED_BED();
        for (unsigned stopped = 0; stopped < 2; stopped++) {
                Thaw *t = thaw_start();
                Cg g = cg_new(bed_fd, stopped ? "free-s" : "free-k");
                Cg paused = cg_new(g.fd, "paused");
                pid_t pid = thaw_pid(t);

                begin(t, &g, LONG);
                begin(t, &paused, LONG);
                if (stopped)
                        wait_helper_stopped(t);
                else {
                        assert_int_equal(kill(pid, SIGKILL), 0);
                        wait_helper_dead(t);
                }
                cg_put(&paused, "cgroup.freeze", "1");
                t = thaw_free(t);
                assert_int_equal(act_read_freeze(g.fd), 0);
                assert_int_equal(act_read_freeze(paused.fd), 1);
                if (stopped) {
                        int status;

                        /* It goes on, sees that it was done without it, and lets be who paused it meanwhile. */
                        cg_put(&g, "cgroup.freeze", "1");
                        assert_int_equal(kill(pid, SIGCONT), 0);
                        assert_int_equal(waitpid(pid, &status, 0), pid);
                        assert_int_equal(status, 0);
                        assert_int_equal(act_read_freeze(g.fd), 1);
                        cg_put(&g, "cgroup.freeze", "0");
                }
                fd_close(g.fd);
                fd_close(paused.fd);
        }
}

/* The helper has begun to answer; most likely all are over when this returns, but nothing depends on it. */
static void run_nothing(Thaw *t) {
        struct pollfd p = { .fd = thaw_get_fd(t), .events = POLLIN };

        assert_int_equal(poll(&p, 1, (int)(PATIENCE / MSEC)), 1);
        bed_sleep(300 * MSEC);
}

static void test_many(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;
        Cg all[THAW_MAX + 1];
        char name[16];

        NEED_BED();
        t = thaw_start();
        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                (void)snprintf(name, sizeof(name), "many%zu", i);
                all[i] = cg_new(bed_fd, name);
        }
        for (unsigned round = 0; round < 2; round++) {
                n_log = 0;
                for (size_t i = 0; i < THAW_MAX; i++)
                        assert_int_equal(thaw_begin(t, all[i].fd, all[i].id, round ? 200 * MSEC : LONG), 0);
                assert_int_equal(thaw_begin(t, all[THAW_MAX].fd, all[THAW_MAX].id, LONG), -EBUSY);
                if (round) {
                        /* Nobody listens: they thaw by themselves, and all is told later. */
                        run_nothing(t);
                        for (size_t i = 0; i < THAW_MAX; i++)
                                wait_freeze(&all[i], 0);
                        assert_int_equal(n_log, 0);
                } else {
                        run(t, THAW_MAX);
                        for (size_t i = 0; i < THAW_MAX; i++) {
                                assert_int_equal(log_[i].news, THAW_FROZEN);
                                assert_int_equal(act_read_freeze(all[i].fd), 1);
                        }
                        assert_int_equal(thaw_end_all(t), 0);
                }
                run(t, 2 * (size_t)THAW_MAX);
                for (size_t i = 0; i < THAW_MAX; i++) {
                        unsigned frozen = 0, over = 0;

                        for (size_t k = 0; k < n_log; k++)
                                if (log_[k].id == all[i].id) {
                                        frozen += log_[k].news == THAW_FROZEN;
                                        over += log_[k].news == THAW_OVER;
                                }
                        assert_int_equal(frozen, 1);
                        assert_int_equal(over, 1);
                        assert_int_equal(act_read_freeze(all[i].fd), 0);
                }
                assert_int_equal(n_log, 2 * THAW_MAX);
        }
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                fd_close(all[i].fd);
}

/* A helper that does not keep up is told so much and no more; afterwards all is as if it had been told once. */
static void test_bounded(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;
        unsigned n = 0;
        int r;

        NEED_BED();
        t = thaw_start();
        Cg g = cg_new(bed_fd, "bounded");
        begin(t, &g, LONG);
        wait_helper_stopped(t);
        while ((r = thaw_end(t, g.id)) == 0)
                assert_true(++n < 100000);
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(thaw_end_all(t), -EAGAIN);
        assert_int_equal(kill(thaw_pid(t), SIGCONT), 0);
        run(t, 2);
        assert_news(1, &g, THAW_OVER, 0);
        while ((r = thaw_begin(t, g.fd, g.id, LONG)) == -EAGAIN)
                bed_sleep(MSEC);
        assert_int_equal(r, 0);
        run(t, 3);
        assert_news(2, &g, THAW_FROZEN, 0);
        assert_int_equal(thaw_end(t, g.id), 0);
        run(t, 4);
        assert_news(3, &g, THAW_OVER, 0);
        assert_int_equal(n_log, 4);
        fd_close(g.fd);
}

static uint64_t status_field(pid_t pid, const char *key) {
        char path[64], text[4096], *p;
        uint64_t v;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
        assert_true(fd_read_at(AT_FDCWD, path, text, sizeof(text)) > 0);
        p = strstr(text, key);
        assert_non_null(p);
        p += strlen(key);
        p[strcspn(p, "\n")] = '\0';
        assert_int_equal(num_parse_hex64(p, &v), 0);
        return v;
}

/* Nothing that can be ignored reaches it, and it may do nothing but what root's files allow. */
static void test_stubborn(void **state) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;

        NEED_BED();
        t = thaw_start();
        Cg g = cg_new(bed_fd, "stubborn");
        begin(t, &g, LONG); /* it is up by now */
        assert_int_equal(status_field(thaw_pid(t), "CapEff:\t"), 0);
        assert_int_equal(status_field(thaw_pid(t), "CapPrm:\t"), 0);
        for (int s = 1; s <= SIGSYS; s++)
                if (s != SIGKILL && s != SIGSTOP)
                        assert_int_equal(kill(thaw_pid(t), s), 0);
        assert_int_equal(thaw_end(t, g.id), 0);
        run(t, 2);
        assert_news(1, &g, THAW_OVER, 0);
        fd_close(g.fd);
}

/* ---- what happens to the guard ---- */

/* A guard: freezes, says so, with its helper's pid, and does nothing any more. */
static pid_t guard_start(const char *dir, const Cg *g, usec_t span, pid_t *ret_helper) {
        int p[2];
        pid_t pid;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Thaw *t;
                pid_t helper;

                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                n_log = 0;
                if (thaw_new(dir, on_done, log_, &t) < 0 || thaw_begin(t, g->fd, g->id, span) < 0)
                        _exit(1);
                helper = thaw_pid(t);
                for (;;) {
                        struct pollfd q = { .fd = thaw_get_fd(t), .events = POLLIN };

                        (void)poll(&q, 1, -1);
                        (void)thaw_dispatch(t, clock_monotonic());
                        if (n_log > 0)
                                break;
                }
                if (log_[0].news != THAW_FROZEN || write(p[1], &helper, sizeof(helper)) != sizeof(helper))
                        _exit(1);
                for (;;)
                        (void)pause();
        }
        (void)close(p[1]);
        assert_int_equal(read(p[0], ret_helper, sizeof(*ret_helper)), sizeof(*ret_helper));
        (void)close(p[0]);
        return pid;
}

static void test_guard_lost(void **state) {
        static const struct {
                const char *name;
                int signals[2]; /* to the guard */
                int helper_signal; /* before */
                usec_t span;
                bool paused; /* somebody else pauses it before */
        } rows[] = {
                { "killed", { SIGKILL }, 0, LONG, false },
                { "terminated", { SIGTERM }, SIGTERM, LONG, false },
                { "stopped", { SIGSTOP }, 0, 300 * MSEC, false },
                { "stopped-term", { SIGSTOP }, SIGTERM, 300 * MSEC, false },
                { "stopped-killed", { SIGSTOP, SIGKILL }, SIGHUP, LONG, false },
                { "killed-paused", { SIGKILL }, 0, LONG, true },
        };

        NEED_BED();
        /* The helper of a guard that is dead becomes our child: we see how it ends. */
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Cg g = cg_new(bed_fd, rows[i].name);
                pid_t helper, guard = guard_start(NULL, &g, rows[i].span, &helper);
                int status;

                /* In "stopped" its time may be over already. */
                assert_true(rows[i].span < LONG || act_read_freeze(g.fd) == 1);
                if (rows[i].paused)
                        cg_put(&g, "cgroup.freeze", "1");
                if (rows[i].helper_signal)
                        assert_int_equal(kill(helper, rows[i].helper_signal), 0);
                for (size_t k = 0; k < 2 && rows[i].signals[k]; k++)
                        assert_int_equal(kill(guard, rows[i].signals[k]), 0);
                if (!rows[i].paused)
                        wait_freeze(&g, 0);
                /* A stopped guard keeps its helper. */
                assert_int_equal(kill(helper, 0), 0);
                (void)kill(guard, SIGKILL);
                assert_int_equal(waitpid(guard, NULL, 0), guard);
                assert_int_equal(waitpid(helper, &status, 0), helper);
                assert_int_equal(status, 0);
                assert_int_equal(act_read_freeze(g.fd), rows[i].paused);
                fd_close(g.fd);
        }
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* ---- what the next guard knows ---- */

static bool past_over(const char *dir, const Cg *g) {
        ThawPast past;

        thaw_past_read(dir, &past);
        return thaw_past_over(&past, g->id);
}

static void wait_past_over(const char *dir, const Cg *g) {
        usec_t end = clock_monotonic() + PATIENCE;

        while (!past_over(dir, g)) {
                assert_true(clock_monotonic() < end);
                bed_sleep(MSEC);
        }
}

/* The guard is as good as dead all the while: it hears nothing any more. */
static void test_past(void **state) {
        static const struct {
                const char *name;
                bool taken; /* somebody pauses it in the middle */
                bool helper_first; /* is killed, before that */
                bool over;
        } rows[] = {
                { "past-taken", true, false, true },
                { "past-unseen", true, true, false },
                { "past-thawed", false, false, true },
                { "past-frozen", false, true, false },
        };
        char dir[] = "/tmp/bailiff-thaw-XXXXXX", path[64];
        Thaw *t;

        NEED_BED();
        assert_non_null(mkdtemp(dir));
        (void)snprintf(path, sizeof(path), "%s/pulses", dir);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Cg g = cg_new(bed_fd, rows[i].name), other = { .id = g.id + 1000000 };
                pid_t helper, guard = guard_start(dir, &g, LONG, &helper);

                assert_false(past_over(dir, &g));
                if (rows[i].helper_first)
                        assert_int_equal(kill(helper, SIGKILL), 0);
                if (rows[i].taken)
                        cg_put(&g, "cgroup.freeze", "1");
                if (rows[i].taken && rows[i].over)
                        wait_past_over(dir, &g);
                assert_int_equal(kill(guard, SIGKILL), 0);
                assert_int_equal(waitpid(guard, NULL, 0), guard);
                assert_int_equal(waitpid(helper, NULL, 0), helper);
                if (past_over(dir, &g) != rows[i].over)
                        fail_msg("%s", rows[i].name);
                assert_false(past_over(dir, &other));
                assert_int_equal(act_read_freeze(g.fd), rows[i].taken || rows[i].helper_first);
                cg_put(&g, "cgroup.freeze", "0");
                fd_close(g.fd);
        }
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);

        /* The same cgroup again and again: what counts is the last time. */
        Cg g = cg_new(bed_fd, "past-again"), busy = cg_new(bed_fd, "past-busy");
        n_log = 0;
        assert_int_equal(thaw_new(dir, on_done, log_, &t), 0);
        begin(t, &g, LONG);
        assert_int_equal(thaw_end(t, g.id), 0);
        run(t, 2);
        assert_true(past_over(dir, &g));
        begin(t, &busy, LONG); /* in the place that was its own */
        begin(t, &g, LONG);
        assert_false(past_over(dir, &g));
        assert_int_equal(thaw_end(t, busy.id), 0);
        run(t, 5);
        assert_true(past_over(dir, &busy));
        begin(t, &busy, LONG);
        assert_int_equal(thaw_end(t, g.id), 0);
        run(t, 7);
        assert_true(past_over(dir, &g));
        assert_false(past_over(dir, &busy));
        assert_int_equal(thaw_end(t, busy.id), 0);
        run(t, 8);
        begin(t, &g, LONG); /* in another place than the last time */
        assert_false(past_over(dir, &g));
        t = thaw_free(t);
        assert_true(past_over(dir, &g));
        /* Another guard begins anew. Nobody believes another file. */
        assert_int_equal(thaw_new(dir, on_done, log_, &t), 0);
        assert_false(past_over(dir, &g));
        t = thaw_free(t);
        assert_int_equal(truncate(path, 100), 0);
        assert_false(past_over(dir, &g));
        assert_int_equal(unlink(path), 0);
        assert_false(past_over(dir, &g));
        fd_close(g.fd);
        fd_close(busy.fd);
        assert_int_equal(rmdir(dir), 0);
}

/* Where there can be no file there is none, and none of before. */
static void test_past_without_file(void **state) {
        char dir[] = "/tmp/bailiff-thaw-XXXXXX", path[64], blocked[64];
        Thaw *t;

        NEED_BED();
        assert_non_null(mkdtemp(dir));
        (void)snprintf(path, sizeof(path), "%s/pulses", dir);
        (void)snprintf(blocked, sizeof(blocked), "%s/pulses.new", dir);
        Cg g = cg_new(bed_fd, "past-none");
        n_log = 0;
        assert_int_equal(thaw_new(dir, on_done, log_, &t), 0);
        begin(t, &g, LONG);
        t = thaw_free(t);
        assert_true(past_over(dir, &g));
        assert_int_equal(mkdir(blocked, 0755), 0);
        assert_int_equal(thaw_new(dir, on_done, log_, &t), 0);
        assert_int_equal(access(path, F_OK), -1);
        begin(t, &g, LONG);
        t = thaw_free(t);
        assert_int_equal(act_read_freeze(g.fd), 0);
        assert_false(past_over(dir, &g));
        fd_close(g.fd);
        assert_int_equal(rmdir(blocked), 0);
        assert_int_equal(rmdir(dir), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_pulse, bed_clear_all),
                cmocka_unit_test_teardown(test_refused, bed_clear_all),
                cmocka_unit_test_teardown(test_foreign, bed_clear_all),
                cmocka_unit_test_teardown(test_removed, bed_clear_all),
                cmocka_unit_test_teardown(test_helper_lost, bed_clear_all),
                cmocka_unit_test_teardown(test_none_to_be_had, bed_clear_all),
                cmocka_unit_test_teardown(test_free_without_helper, bed_clear_all),
                cmocka_unit_test_teardown(test_many, bed_clear_all),
                cmocka_unit_test_teardown(test_bounded, bed_clear_all),
                cmocka_unit_test_teardown(test_stubborn, bed_clear_all),
                cmocka_unit_test_teardown(test_guard_lost, bed_clear_all),
                cmocka_unit_test_teardown(test_past, bed_clear_all),
                cmocka_unit_test_teardown(test_past_without_file, bed_clear_all),
        };
        int r;

        (void)bed_setup(NULL);
        /* All of them need one. */
        if (bed_fd < 0)
                return 77;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        return bed_teardown(NULL) < 0 ? 1 : r;
}
