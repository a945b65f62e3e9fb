/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plain directories where what is written and read is the matter, real cgroups (cgroup-bed.h) where the kernel is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "act.h"
#include "cgroup-bed.h"

#define PATIENCE (20 * USEC_PER_SEC)

/* By the linker's --wrap: nothing in act.c may allocate. */
static unsigned long n_allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);
void *__wrap_malloc(size_t n) {
        n_allocations++;
        return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
        n_allocations++;
        return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
        n_allocations++;
        return __real_realloc(p, n);
}
void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        n_allocations++;
        return __real_reallocarray(p, n, size);
}
void __wrap_free(void *p) { __real_free(p); }

#define UNALLOCATED(call)                              \
        ({                                             \
                unsigned long before_ = n_allocations; \
                int r_ = (call);                       \
                if (n_allocations != before_)          \
                        fail_msg(#call " allocated");  \
                r_;                                    \
        })

/* ---- plain directories ---- */

static char dir[] = "/tmp/test-act-XXXXXX";
static int dir_fd = -1;

static int setup_all(void **state) {
        if (!mkdtemp(dir))
                return -1;
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return dir_fd < 0 ? -1 : bed_setup(state);
}

static int teardown_all(void **state) {
        dir_fd = fd_close(dir_fd);
        return rmdir(dir) < 0 ? -1 : bed_teardown(state);
}

static void put_file(const Cg *g, const char *file, const char *text) {
        assert_int_equal(fd_write_file_atomic(g->fd, file, text, strlen(text), 0644, false), 0);
}

static void assert_file(const Cg *g, const char *file, const char *expected) {
        char text[256];

        assert_true(fd_read_at(g->fd, file, text, sizeof(text)) >= 0);
        assert_string_equal(text, expected);
}

static void remove_dir(Cg *g, int parent, const char *name) {
        static const char *const files[] = { "cgroup.procs", "cgroup.freeze", "cgroup.kill", "cgroup.events",
                                             "memory.high",  "cpu.max",       "link" };

        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                (void)unlinkat(g->fd, files[i], 0);
        assert_int_equal(unlinkat(parent, name, AT_REMOVEDIR), 0);
        g->fd = fd_close(g->fd);
}

static void test_write(void **state) {
        Cg g = cg_new(dir_fd, "w");

        (void)state;
        put_file(&g, "cpu.max", "max 100000");
        assert_int_equal(symlinkat("cpu.max", g.fd, "link"), 0);
        assert_int_equal(UNALLOCATED(act_write(g.fd, g.id, "cpu.max", "50000 100000")), 0);
        assert_file(&g, "cpu.max", "50000 100000");
        assert_int_equal(act_write(g.fd, g.id + 1, "cpu.max", "1"), CG_GONE); /* another one than was meant */
        assert_int_equal(act_write(g.fd, g.id, "memory.high", "1"), -ENOENT);
        assert_int_equal(act_write(g.fd, g.id, "link", "1"), -ELOOP);
        assert_file(&g, "cpu.max", "50000 100000");
        assert_int_equal(act_write(-1, g.id, "cpu.max", "1"), CG_GONE);
        /* Removed, while its directory is held. */
        int held = dup(g.fd);
        remove_dir(&g, dir_fd, "w");
        assert_int_equal(act_write(held, g.id, "cpu.max", "1"), CG_GONE);
        assert_int_equal(act_kill(held, g.id), CG_GONE);
        assert_int_equal(act_stop(held, g.id, getpid(), SIGKILL), CG_GONE);
        assert_int_equal(act_populated(held), 0);
        assert_int_equal(act_read_freeze(held), -ENOENT);
        fd_close(held);
}

static void test_texts(void **state) {
        static const struct {
                const char *file, *text;
                int r;
        } rows[] = {
                { "cgroup.freeze", "0\n", 0 },
                { "cgroup.freeze", "1\n", 1 },
                { "cgroup.freeze", "", -EBADMSG },
                { "cgroup.freeze", "2\n", -EBADMSG },
                { "cgroup.freeze", "10\n", -EBADMSG },
                { "cgroup.freeze", "1111111111111111111", -EFBIG },
                { "cgroup.freeze", NULL, -ENOENT },
                { "cgroup.events", "populated 1\nfrozen 0\n", 1 },
                { "cgroup.events", "populated 0\nfrozen 1\n", 0 },
                { "cgroup.events", "frozen 1\npopulated 1\n", 1 },
                { "cgroup.events", "unpopulated 1\n", -EBADMSG },
                { "cgroup.events", "populated ", -EBADMSG },
                { "cgroup.events", "populated x\n", -EBADMSG },
                { "cgroup.events", "", -EBADMSG },
                { "cgroup.events", NULL, -ENOENT },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Cg g = cg_new(dir_fd, "t");
                int r;

                if (rows[i].text)
                        put_file(&g, rows[i].file, rows[i].text);
                r = strcmp(rows[i].file, "cgroup.freeze") == 0 ? UNALLOCATED(act_read_freeze(g.fd))
                                                               : UNALLOCATED(act_populated(g.fd));
                if (r != rows[i].r)
                        fail_msg("row %zu: %d", i, r);
                remove_dir(&g, dir_fd, "t");
        }
}

static void test_thaw(void **state) {
        static const struct {
                const char *text;
                int r;
                const char *after;
        } rows[] = {
                { "1\n", ACT_THAWED, "0\n" }, { "0\n", 0, "0\n" },     { "", -EBADMSG, "" },
                { "2\n", -EBADMSG, "2\n" },   { NULL, -ENOENT, NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Cg g = cg_new(dir_fd, "thaw");
                int r;

                if (rows[i].text)
                        put_file(&g, "cgroup.freeze", rows[i].text);
                /* Another one than was meant. */
                assert_int_equal(act_thaw(g.fd, g.id + 1), CG_GONE);
                if (rows[i].text)
                        assert_file(&g, "cgroup.freeze", rows[i].text);
                r = UNALLOCATED(act_thaw(g.fd, g.id));
                if (r != rows[i].r)
                        fail_msg("row %zu: %d", i, r);
                if (rows[i].after)
                        assert_file(&g, "cgroup.freeze", rows[i].after);
                remove_dir(&g, dir_fd, "thaw");
        }
        Cg g = cg_new(dir_fd, "thaw");
        int held = dup(g.fd);

        put_file(&g, "cgroup.freeze", "1\n");
        remove_dir(&g, dir_fd, "thaw");
        assert_int_equal(act_thaw(held, g.id), CG_GONE);
        fd_close(held);
}

static pid_t sleeper(void) {
        pid_t pid = fork();

        if (pid == 0)
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (pid == 0)
                (void)pause();
        return pid;
}

static bool ended_by(pid_t pid, int signal) {
        usec_t end = clock_monotonic() + PATIENCE;
        int status;

        while (waitpid(pid, &status, WNOHANG) == 0) {
                assert_true(clock_monotonic() < end);
                bed_sleep(USEC_PER_MSEC);
        }
        return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

static bool runs(pid_t pid) { return waitpid(pid, NULL, WNOHANG) == 0; }

/* A kernel before 5.14: by hand, in it and below it, and frozen afterwards as before. */
static void test_kill_by_hand(void **state) {
        static const char *const frozen[] = { "0\n", "1\n" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(frozen); i++) {
                Cg g = cg_new(dir_fd, "k"), below = cg_new(g.fd, "b");
                pid_t a = sleeper(), b = sleeper(), other = sleeper();
                char text[64];

                (void)snprintf(text, sizeof(text), "%d\n0\n", a);
                put_file(&g, "cgroup.procs", text);
                (void)snprintf(text, sizeof(text), "%d\n", b);
                put_file(&below, "cgroup.procs", text);
                /* The root of the tree has neither file. */
                assert_int_equal(act_kill(g.fd, g.id), -EOPNOTSUPP);
                put_file(&g, "cgroup.freeze", "junk");
                assert_int_equal(act_kill(g.fd, g.id), -EBADMSG);
                put_file(&g, "cgroup.freeze", frozen[i]);
                assert_int_equal(act_kill(g.fd, g.id + 1), CG_GONE);
                assert_true(runs(a) && runs(b));
                assert_int_equal(UNALLOCATED(act_kill(g.fd, g.id)), 0);
                assert_true(ended_by(a, SIGKILL) && ended_by(b, SIGKILL) && runs(other));
                assert_file(&g, "cgroup.freeze", frozen[i]);
                /* Where the kernel does it, it is left to it. */
                (void)snprintf(text, sizeof(text), "%d\n", other);
                put_file(&g, "cgroup.procs", text);
                put_file(&g, "cgroup.kill", "");
                assert_int_equal(act_kill(g.fd, g.id), 0);
                assert_file(&g, "cgroup.kill", "1");
                assert_true(runs(other));
                (void)kill(other, SIGKILL);
                assert_true(ended_by(other, SIGKILL));
                remove_dir(&below, g.fd, "b");
                remove_dir(&g, dir_fd, "k");
        }
}

/* ---- real cgroups ---- */

static void wait_empty(const Cg *g) {
        usec_t end = clock_monotonic() + PATIENCE;

        while (UNALLOCATED(act_populated(g->fd)) == 1) {
                assert_true(clock_monotonic() < end);
                (void)waitpid(-1, NULL, WNOHANG);
                bed_sleep(USEC_PER_MSEC);
        }
        assert_int_equal(act_populated(g->fd), 0);
}

static void test_real_kill(void **state) {
        (void)state;
        if (bed_fd < 0)
                skip();
        for (unsigned frozen = 0; frozen < 2; frozen++) {
                char name[16];
                (void)snprintf(name, sizeof(name), "kill%u", frozen);
                Cg g = cg_new(bed_fd, name), below = cg_new(g.fd, "below"),
                   beside = cg_new(bed_fd, frozen ? "b1" : "b0");
                pid_t other = cg_sleeper(&beside), kids[20];

                assert_int_equal(act_populated(g.fd), 0);
                assert_int_equal(act_kill(g.fd, g.id), 0); /* nobody is there */
                for (size_t i = 0; i < ARRAY_SIZE(kids); i++)
                        kids[i] = cg_sleeper(i % 2 ? &g : &below);
                assert_int_equal(act_populated(g.fd), 1);
                assert_int_equal(UNALLOCATED(act_write(g.fd, g.id, "cgroup.freeze", frozen ? "1" : "0")), 0);
                assert_int_equal(act_read_freeze(g.fd), frozen);
                assert_int_equal(act_kill(g.fd, g.id + 1), CG_GONE);
                assert_int_equal(act_populated(g.fd), 1);
                assert_int_equal(UNALLOCATED(act_kill(g.fd, g.id)), 0);
                for (size_t i = 0; i < ARRAY_SIZE(kids); i++)
                        assert_true(ended_by(kids[i], SIGKILL));
                wait_empty(&g);
                assert_int_equal(act_read_freeze(g.fd), frozen);
                assert_true(runs(other));
                assert_int_equal(unlinkat(g.fd, "below", AT_REMOVEDIR), 0);
                assert_int_equal(unlinkat(bed_fd, name, AT_REMOVEDIR), 0);
                assert_int_equal(act_kill(g.fd, g.id), CG_GONE);
                assert_int_equal(act_stop(g.fd, g.id, other, SIGKILL), CG_GONE);
                assert_int_equal(act_write(g.fd, g.id, "cgroup.freeze", "1"), CG_GONE);
                assert_int_equal(act_populated(g.fd), 0);
                assert_true(runs(other));
                fd_close(g.fd);
                fd_close(below.fd);
                fd_close(beside.fd);
        }
}

/* cgroup.kill is not for threaded cgroups; its processes, which live in the domain above, are killed by hand. */
static void test_real_threaded(void **state) {
        (void)state;
        if (bed_fd < 0)
                skip();
        Cg g = cg_new(bed_fd, "domain"), t = cg_new(g.fd, "threaded");
        pid_t a, b;

        if (fd_write_at(t.fd, "cgroup.type", "threaded") < 0)
                skip();
        a = cg_sleeper(&g);
        b = cg_fork(&g);
        if (b == 0) {
                if (fd_write_at(t.fd, "cgroup.threads", "0") < 0)
                        _exit(98);
                for (;;)
                        (void)pause();
        }
        for (usec_t end = clock_monotonic() + PATIENCE; act_populated(t.fd) != 1;) {
                assert_true(clock_monotonic() < end);
                bed_sleep(USEC_PER_MSEC);
        }
        assert_int_equal(fd_write_at(t.fd, "cgroup.kill", "1"), -EOPNOTSUPP);
        assert_int_equal(UNALLOCATED(act_kill(t.fd, t.id)), 0);
        assert_true(ended_by(b, SIGKILL));
        assert_true(runs(a));
        assert_int_equal(act_read_freeze(t.fd), 0);
        fd_close(t.fd);
        fd_close(g.fd);
}

/* Processes that fork as fast as they can: frozen, none gets away. */
static void test_real_forks_by_hand(void **state) {
        (void)state;
        if (bed_fd < 0)
                skip();
        Cg g = cg_new(bed_fd, "forks"), t = cg_new(g.fd, "threaded");

        if (fd_write_at(t.fd, "cgroup.type", "threaded") < 0)
                skip();
        if (cg_fork(&g) == 0) {
                if (fd_write_at(t.fd, "cgroup.threads", "0") < 0)
                        _exit(98);
                /* A chain: each forks the next one and ends. */
                for (usec_t end = clock_monotonic() + PATIENCE; clock_monotonic() < end;)
                        if (fork() > 0)
                                _exit(0);
                _exit(0);
        }
        for (usec_t end = clock_monotonic() + PATIENCE; act_populated(t.fd) != 1;)
                assert_true(clock_monotonic() < end);
        assert_int_equal(act_kill(t.fd, t.id), 0);
        wait_empty(&t);
        fd_close(t.fd);
        fd_close(g.fd);
}

static void test_real_stop(void **state) {
        enum { MAIN, BELOW, NOBODY };
        static const struct {
                const char *what;
                bool at_top, below;
                char main; /* 'm': the one at the top, 'b': the one below, 'o': one outside, '-': none, 't': no such process */
                int hit; /* who is signalled */
        } rows[] = {
                { "the main process", true, true, 'm', MAIN },
                { "the main process below", true, true, 'b', BELOW },
                { "one outside", true, true, 'o', MAIN },
                { "nobody named", true, true, '-', MAIN },
                { "one that is no more", true, false, 't', MAIN },
                { "nobody at the top", false, true, '-', BELOW },
                { "an outsider, nobody at the top", false, true, 'o', BELOW },
                { "empty", false, false, 'o', NOBODY },
                { "empty, nobody named", false, false, '-', NOBODY },
        };

        (void)state;
        if (bed_fd < 0)
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char name[16];
                (void)snprintf(name, sizeof(name), "stop%zu", i);
                Cg g = cg_new(bed_fd, name), below = cg_new(g.fd, "below");
                pid_t top = rows[i].at_top ? cg_sleeper(&g) : 0,
                      deep = rows[i].below ? cg_sleeper(&below) : 0;
                pid_t outside = sleeper(), named = 0, dead = fork();
                int r;

                if (dead == 0)
                        _exit(0);
                assert_int_equal(waitpid(dead, NULL, 0), dead);
                switch (rows[i].main) {
                case 'm':
                        named = top;
                        break;
                case 'b':
                        named = deep;
                        break;
                case 'o':
                        named = outside;
                        break;
                case 't':
                        named = dead;
                        break;
                default:
                        break;
                }
                assert_int_equal(act_stop(g.fd, g.id + 1, named, SIGKILL), CG_GONE);
                r = UNALLOCATED(act_stop(g.fd, g.id, named, SIGUSR1));
                if (r != (rows[i].hit == NOBODY ? -ESRCH : 0))
                        fail_msg("%s: %d", rows[i].what, r);
                if (rows[i].hit == MAIN) {
                        assert_true(ended_by(top, SIGUSR1));
                        top = 0;
                } else if (rows[i].hit == BELOW) {
                        assert_true(ended_by(deep, SIGUSR1));
                        deep = 0;
                }
                assert_true(runs(outside) && (top == 0 || runs(top)) && (deep == 0 || runs(deep)));
                for (size_t k = 0; k < 3; k++) {
                        pid_t pid = k == 0 ? outside : k == 1 ? top : deep;

                        if (pid == 0)
                                continue;
                        (void)kill(pid, SIGKILL);
                        assert_true(ended_by(pid, SIGKILL));
                }
                fd_close(below.fd);
                fd_close(g.fd);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_write),
                cmocka_unit_test(test_texts),
                cmocka_unit_test(test_thaw),
                cmocka_unit_test(test_kill_by_hand),
                cmocka_unit_test_teardown(test_real_kill, bed_clear_all),
                cmocka_unit_test_teardown(test_real_threaded, bed_clear_all),
                cmocka_unit_test_teardown(test_real_forks_by_hand, bed_clear_all),
                cmocka_unit_test_teardown(test_real_stop, bed_clear_all),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
