/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Looks at captured cgroups in temporary directories. What only a kernel does (ENODEV on a kept fd, peaks that are
 * reset) is seen with BAILIFF_TEST_CGROUP=/path/of/a/writable/cgroup2/directory.
 */

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "fdio.h"
#include "meter.h"

#define N_CGROUPS 6
#define SEC USEC_PER_SEC
#define BIT(f) SAMPLE_FILE_BIT(SAMPLE_FILE_##f)

typedef struct Fixture {
        char root[64], proc[96];
        int rootfd, procfd;
        int fds[N_CGROUPS]; /* c0, c1, … */
        MeterCg cgs[N_CGROUPS];
        Meter *m; /* two may have kept fds */
        size_t n_open; /* fds of this process before the Meter */
} Fixture;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static size_t count_fds(void) {
        size_t n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void put(int dirfd, const char *name, const char *text) {
        int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        fd_close(fd);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        *state = f;
        (void)snprintf(f->root, sizeof(f->root), "/tmp/bailiff-meter-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        f->rootfd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(f->proc, sizeof(f->proc), "%s/proc", f->root);
        assert_int_equal(mkdir(f->proc, 0755), 0);
        f->procfd = open(f->proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < N_CGROUPS; i++) {
                char name[8];

                (void)snprintf(name, sizeof(name), "c%d", i);
                assert_int_equal(mkdirat(f->rootfd, name, 0755), 0);
                f->fds[i] = openat(f->rootfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                assert_true(f->fds[i] >= 0);
                f->cgs[i] = METER_CG_INIT;
                f->cgs[i].dirfd = f->fds[i];
                put(f->fds[i], "cpu.stat", "usage_usec 100\nuser_usec 60\nsystem_usec 40\n");
                put(f->fds[i], "memory.current", "4096\n");
                put(f->fds[i], "cgroup.events", "populated 1\nfrozen 0\n");
        }
        f->n_open = count_fds();
        assert_int_equal(meter_new(f->proc, 2, &f->m), 0);
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        for (int i = 0; i < N_CGROUPS; i++)
                meter_cg_deinit(f->m, &f->cgs[i]);
        f->m = meter_free(f->m);
        assert_int_equal(count_fds(), f->n_open); /* it keeps nothing open */
        for (int i = 0; i < N_CGROUPS; i++)
                fd_close(f->fds[i]);
        fd_close(f->procfd);
        fd_close(f->rootfd);
        (void)nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static MeterStats stats_of(const Fixture *f) {
        MeterStats s;

        meter_get_stats(f->m, &s);
        return s;
}

static void remove_group(const Fixture *f, int i) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/c%d", f->root, i);
        assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void test_new(void **state) {
        Meter *m = NULL;

        (void)state;
        assert_int_equal(meter_new("/nonexistent", 2, &m), -ENOENT);
        assert_null(m);
        assert_int_equal(meter_new("/dev/null", 2, &m), -ENOTDIR);
        assert_null(meter_free(NULL));
        /* More than a MeterCg can name. */
        assert_int_equal(meter_new("/proc", 100000, &m), 0);
        assert_null(meter_free(m));
}

static void test_look(void **state) {
        Fixture *f = *state;
        MeterCg *cg = &f->cgs[0];
        Sample s = {};

        /* Without a directory there is nobody. */
        assert_int_equal(
                meter_look(f->m, &(MeterCg){ .dirfd = -1, .slot = -1 }, SAMPLE_FILES_ALL, true, 1, &s),
                CG_GONE);

        put(cg->dirfd, "memory.stat", "anon 5\n");
        put(cg->dirfd, "io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n");
        put(cg->dirfd, "pids.current", "not a number\n");
        assert_int_equal(mkdirat(cg->dirfd, "pids.peak", 0755), 0); /* EISDIR */
        assert_int_equal(symlinkat("cpu.stat", cg->dirfd, "pids.events"), 0); /* ELOOP */
        sample_put(&s, SAMPLE_PIDS, 77);
        sample_put(&s, SAMPLE_IRQ_FULL, 78);
        sample_put(&s, SAMPLE_HOST_SWAP_FREE, 79);
        assert_int_equal(meter_look(f->m, cg, SAMPLE_FILES_ALL, false, 5 * SEC, &s), 0);
        assert_int_equal(s.at, 5 * SEC);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 100);
        assert_int_equal(s.v[SAMPLE_MEMORY], 4096);
        assert_int_equal(s.v[SAMPLE_ANON], 5);
        assert_int_equal(s.v[SAMPLE_IO_WBYTES], 2);
        assert_int_equal(s.v[SAMPLE_POPULATED], 1);
        assert_int_equal(s.v[SAMPLE_HOST_SWAP_FREE], 79);
        assert_false(sample_has(&s, SAMPLE_PIDS));
        assert_false(sample_has(&s, SAMPLE_PIDS_PEAK));
        assert_false(sample_has(&s, SAMPLE_PIDS_EVENTS_MAX));
        assert_false(sample_has(&s, SAMPLE_IRQ_FULL));
        assert_int_equal(cg->io.n, 1);
        assert_int_equal(stats_of(f).n_looks, 1);
        assert_int_equal(stats_of(f).n_files, 6);
        assert_int_equal(stats_of(f).n_kept_fds, 0);
        assert_int_equal(stats_of(f).n_fd_failures, 0);
        assert_int_equal(stats_of(f).psi_error, 0);

        /* Only what was asked for; the rest stays, however old. */
        put(cg->dirfd, "cpu.stat", "usage_usec 200\nuser_usec 160\nsystem_usec 40\n");
        put(cg->dirfd, "memory.current", "8192\n");
        assert_int_equal(meter_look(f->m, cg, BIT(CPU_STAT), false, 6 * SEC, &s), 0);
        assert_int_equal(s.at, 6 * SEC);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 200);
        assert_int_equal(s.v[SAMPLE_MEMORY], 4096);
        assert_int_equal(s.v[SAMPLE_IO_WBYTES], 2);

        /* A file that goes takes its fields and its devices along. */
        assert_int_equal(unlinkat(cg->dirfd, "io.stat", 0), 0);
        assert_int_equal(meter_look(f->m, cg, BIT(IO_STAT) | BIT(MEMORY_CURRENT), false, 7 * SEC, &s), 0);
        assert_false(sample_has(&s, SAMPLE_IO_WBYTES));
        assert_int_equal(s.v[SAMPLE_IO_WBYTES], 0);
        assert_int_equal(cg->io.n, 0);
        assert_int_equal(s.v[SAMPLE_MEMORY], 8192);
}

static void test_missing(void **state) {
        Fixture *f = *state;
        MeterCg *cg = &f->cgs[0];
        Sample s = {};

        assert_int_equal(meter_look(f->m, cg, BIT(CPU_STAT) | BIT(MEMORY_SWAP_CURRENT), false, 1, &s), 0);
        assert_int_equal(cg->missing, BIT(MEMORY_SWAP_CURRENT));
        /* It is there now, which nobody asks until a full look does. */
        put(cg->dirfd, "memory.swap.current", "5\n");
        assert_int_equal(meter_look(f->m, cg, BIT(CPU_STAT) | BIT(MEMORY_SWAP_CURRENT), false, 2, &s), 0);
        assert_false(sample_has(&s, SAMPLE_SWAP));
        assert_int_equal(meter_look(f->m, cg, BIT(CPU_STAT) | METER_PROBE_MISSING, false, 3, &s), 0);
        assert_int_equal(cg->missing, BIT(MEMORY_SWAP_CURRENT)); /* not of these files */
        assert_int_equal(meter_look(f->m, cg, BIT(MEMORY_SWAP_CURRENT) | METER_PROBE_MISSING, false, 4, &s),
                         0);
        assert_int_equal(cg->missing, 0);
        assert_int_equal(s.v[SAMPLE_SWAP], 5);
}

static void test_gone(void **state) {
        Fixture *f = *state;
        Sample s = {};

        assert_int_equal(meter_look(f->m, &f->cgs[0], BIT(CPU_STAT) | BIT(MEMORY_CURRENT), false, SEC, &s),
                         0);
        assert_int_equal(meter_look(f->m, &f->cgs[1], BIT(IRQ_PRESSURE), false, SEC, &s), 0);
        assert_int_equal(f->cgs[1].missing, BIT(IRQ_PRESSURE));
        remove_group(f, 0);
        remove_group(f, 1);
        assert_int_equal(meter_look(f->m, &f->cgs[0], SAMPLE_FILES_ALL, true, 2 * SEC, &s), CG_GONE);
        assert_int_equal(s.at, SEC);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 100); /* as it was */
        assert_int_equal(s.v[SAMPLE_MEMORY], 4096);
        assert_int_equal(stats_of(f).n_kept_cgroups, 0);
        /* Of a cgroup all of whose files were missing, too. */
        assert_int_equal(meter_look(f->m, &f->cgs[1], BIT(IRQ_PRESSURE), false, 2 * SEC, &s), CG_GONE);

        /* On a captured tree an open file outlives its name: it says what it said, and the next one shows the end. */
        assert_int_equal(meter_look(f->m, &f->cgs[2], BIT(CPU_STAT), true, 2 * SEC, &s), 0);
        put(f->fds[2], "cpu.stat", "usage_usec 300\n");
        remove_group(f, 2);
        assert_int_equal(meter_look(f->m, &f->cgs[2], BIT(CPU_STAT) | BIT(MEMORY_CURRENT), true, 3 * SEC, &s),
                         CG_GONE);
        assert_int_equal(s.at, 3 * SEC);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 300);
        assert_int_equal(s.v[SAMPLE_MEMORY], 4096);
        assert_false(sample_has(&s, SAMPLE_CPU_USER)); /* of a file that was read */
}

static void test_keep(void **state) {
        static const uint32_t hot = BIT(CPU_STAT) | BIT(MEMORY_CURRENT);
        Fixture *f = *state;
        MeterCg *a = &f->cgs[0], *b = &f->cgs[1], *c = &f->cgs[2];
        Sample s = {};

        assert_int_equal(meter_look(f->m, a, hot, true, SEC, &s), 0);
        assert_int_equal(stats_of(f).n_kept_fds, 2);
        assert_int_equal(stats_of(f).n_kept_cgroups, 1);
        /* A kept fd is read, not the name: another file has that now. */
        assert_int_equal(renameat(a->dirfd, "cpu.stat", a->dirfd, "away"), 0);
        put(a->dirfd, "cpu.stat", "usage_usec 7\n");
        put(a->dirfd, "away", "usage_usec 8\n");
        assert_int_equal(meter_look(f->m, a, hot, true, 2 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 8);
        /* Kept ones are used by looks that keep nothing, which add none. */
        assert_int_equal(meter_look(f->m, a, hot | BIT(CGROUP_EVENTS), false, 3 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 8);
        assert_int_equal(stats_of(f).n_kept_fds, 2);
        meter_cool(f->m, a);
        meter_cool(f->m, a);
        assert_int_equal(a->slot, -1);
        assert_int_equal(stats_of(f).n_kept_fds, 0);
        assert_int_equal(stats_of(f).n_kept_cgroups, 0);
        assert_int_equal(meter_look(f->m, a, hot, false, 4 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 7);

        /* Nothing to keep takes no slot. */
        assert_int_equal(meter_look(f->m, a, BIT(IRQ_PRESSURE), true, 5 * SEC, &s), 0);
        assert_int_equal(stats_of(f).n_kept_cgroups, 0);

        /* Two slots: the oldest use loses, but not one of a moment ago. */
        assert_int_equal(meter_look(f->m, a, hot, true, 10 * SEC, &s), 0);
        assert_int_equal(meter_look(f->m, b, hot, true, 11 * SEC, &s), 0);
        assert_int_equal(meter_look(f->m, a, hot, false, 12 * SEC, &s), 0); /* is a use */
        assert_int_equal(meter_look(f->m, c, hot, true, 11 * SEC + METER_HOLD_USEC - 1, &s), 0);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 100); /* read all the same */
        assert_int_equal(c->slot, -1);
        assert_int_equal(stats_of(f).n_evictions, 0);
        assert_int_equal(meter_look(f->m, c, hot, true, 11 * SEC + METER_HOLD_USEC, &s), 0);
        assert_true(a->slot >= 0 && b->slot == -1 && c->slot >= 0);
        assert_int_equal(stats_of(f).n_evictions, 1);
        assert_int_equal(stats_of(f).n_kept_fds, 4);
        assert_int_equal(meter_look(f->m, b, hot, false, 15 * SEC, &s), 0); /* evicted, not harmed */
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 100);
        /* A clock that went back is no reason to take anything away. */
        assert_int_equal(meter_look(f->m, b, hot, true, SEC, &s), 0);
        assert_int_equal(b->slot, -1);

        meter_cg_deinit(f->m, c);
        assert_int_equal(c->dirfd, -1);
        assert_int_equal(stats_of(f).n_kept_cgroups, 1);
}

static void test_keep_none(void **state) {
        Fixture *f = *state;
        Meter *m;
        MeterStats st;
        Sample s = {};

        assert_int_equal(meter_new(f->proc, 0, &m), 0);
        assert_int_equal(meter_look(m, &f->cgs[0], SAMPLE_FILES_ALL, true, SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 100);
        assert_int_equal(f->cgs[0].slot, -1);
        meter_get_stats(m, &st);
        assert_int_equal(st.n_kept_fds, 0);
        sample_io_deinit(&f->cgs[0].io);
        meter_free(m);
}

static void test_fd_limit(void **state) {
        static const uint32_t hot = BIT(CPU_STAT) | BIT(MEMORY_CURRENT) | BIT(CGROUP_EVENTS);
        Fixture *f = *state;
        struct rlimit old, low;
        Sample s = {};
        int top = openat(f->rootfd, ".", O_PATH | O_CLOEXEC); /* the next fd's number */

        fd_close(top);
        assert_true(top > 0);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        low = old;

        /* A quarter of so few is left alone: the first of three is kept. */
        low.rlim_cur = (rlim_t)(top + 1) * 4 / 3;
        if (low.rlim_cur - low.rlim_cur / 4 != (rlim_t)top + 1)
                low.rlim_cur++;
        assert_int_equal(low.rlim_cur - low.rlim_cur / 4, top + 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(meter_look(f->m, &f->cgs[0], hot, true, SEC, &s), 0);
        assert_true(sample_has(&s, SAMPLE_POPULATED));
        assert_int_equal(stats_of(f).n_kept_fds, 1);
        /* For the second cgroup there is none: it gets no slot either. */
        assert_int_equal(meter_look(f->m, &f->cgs[1], hot, true, SEC, &s), 0);
        assert_int_equal(f->cgs[1].slot, -1);
        assert_int_equal(stats_of(f).n_kept_cgroups, 1);
        assert_int_equal(stats_of(f).n_fd_failures, 0);

        /* None left: what is kept is given up, for reading comes first. */
        low.rlim_cur = (rlim_t)top + 1;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        s = (Sample){};
        assert_int_equal(meter_look(f->m, &f->cgs[1], hot, false, SEC, &s), 0);
        assert_true(sample_has(&s, SAMPLE_POPULATED));
        assert_int_equal(f->cgs[0].slot, -1);
        assert_int_equal(stats_of(f).n_evictions, 1);
        assert_int_equal(stats_of(f).n_kept_fds, 0);

        /* Not even that. What cannot be read is not had, and not taken for missing. */
        low.rlim_cur = (rlim_t)top;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(meter_look(f->m, &f->cgs[1], hot, true, 2 * SEC, &s), -EMFILE);
        assert_false(sample_has(&s, SAMPLE_CPU_USAGE));
        assert_false(sample_has(&s, SAMPLE_POPULATED));
        assert_int_equal(f->cgs[1].missing, 0);
        assert_int_equal(stats_of(f).n_fd_failures, 3);
        assert_int_equal(meter_look_host(f->m, f->rootfd, 2 * SEC, &s, NULL), -EMFILE);

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(meter_look(f->m, &f->cgs[1], hot, true, 3 * SEC, &s), 0);
        assert_true(sample_has(&s, SAMPLE_POPULATED));
        assert_int_equal(stats_of(f).n_kept_fds, 3);
}

/* Longer than the buffer that a Meter begins with, to the byte; and longer than anything. */
static void test_long(void **state) {
        Fixture *f = *state;
        MeterCg *cg = &f->cgs[0];

        for (size_t size = 16 * 1024 - 64; size <= 16 * 1024 + 64; size += 32) {
                _cleanup_buf_ Buf text = BUF_INIT;
                Sample s = {};

                while (text.len + 13 <= size - 14)
                        buf_puts(&text, "unheard_of 1\n");
                while (text.len < size - 14)
                        buf_putc(&text, 'x');
                buf_puts(&text, "\npgmajfault 9\n");
                assert_int_equal(text.len, size);
                put(cg->dirfd, "memory.stat", buf_str(&text));
                for (int keep = 0; keep < 2; keep++) {
                        assert_int_equal(meter_look(f->m, cg, BIT(MEMORY_STAT), keep, SEC, &s), 0);
                        assert_int_equal(s.v[SAMPLE_PGMAJFAULT], 9);
                }
                meter_cool(f->m, cg);
        }
        {
                _cleanup_buf_ Buf text = BUF_INIT;
                Sample s = {};

                while (text.len < 2 << 20)
                        buf_puts(&text, "anon 1\n");
                put(cg->dirfd, "memory.stat", buf_str(&text));
                assert_int_equal(meter_look(f->m, cg, BIT(MEMORY_STAT) | BIT(CPU_STAT), true, SEC, &s), 0);
                assert_false(sample_has(&s, SAMPLE_ANON));
                assert_true(sample_has(&s, SAMPLE_CPU_USAGE));
                assert_int_equal(stats_of(f).n_kept_fds, 1);
        }
}

/* Of kernels that do not reset. */
static void test_peaks(void **state) {
        static const uint32_t both = BIT(MEMORY_CURRENT) | BIT(MEMORY_PEAK);
        static const struct {
                const char *current, *peak;
                uint64_t want;
                PeakKind kind;
        } rows[] = {
                { "100\n", "900\n", 100, PEAK_SAMPLED }, /* of before anybody looked */
                { "300\n", "900\n", 300, PEAK_SAMPLED },
                { "200\n", "900\n", 300, PEAK_SAMPLED }, /* began with 300 */
                { "200\n", "901\n", 901, PEAK_RAISED },
                { "200\n", "901\n", 200, PEAK_SAMPLED },
                { "950\n", "950\n", 950, PEAK_RAISED },
                { "940\n", "950\n", 950, PEAK_RAISED }, /* it began there: no less, and no more */
                { "940\n", "950\n", 940, PEAK_SAMPLED },
                { "960\n", "955\n", 955,
                  PEAK_RAISED }, /* grew, between reading one and the other, and the kernel's counts */
                { "nonsense\n", "955\n", 960, PEAK_RAISED },
                { "1\n", "nonsense\n", 1, PEAK_SAMPLED },
                { "2\n", "955\n", 2, PEAK_SAMPLED },
        };
        Fixture *f = *state;
        MeterCg *cg = &f->cgs[0];
        Sample s = {};
        char text[64];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                put(cg->dirfd, "memory.current", rows[i].current);
                put(cg->dirfd, "memory.peak", rows[i].peak);
                assert_int_equal(meter_look(f->m, cg, both, i % 2, i * SEC, &s), 0);
                if (s.v[SAMPLE_MEMORY_PEAK] != rows[i].want || s.v[SAMPLE_PEAK_KIND] != rows[i].kind)
                        fail_msg("row %zu: %llu %s", i, (unsigned long long)s.v[SAMPLE_MEMORY_PEAK],
                                 peak_kind_to_string(s.v[SAMPLE_PEAK_KIND]));
                assert_true(sample_has(&s, SAMPLE_MEMORY_PEAK) && sample_has(&s, SAMPLE_PEAK_KIND));
                /* A captured tree is not written to. */
                assert_int_equal(fd_read_at(cg->dirfd, "memory.peak", text, sizeof(text)),
                                 strlen(rows[i].peak));
                assert_string_equal(text, rows[i].peak);
        }
        assert_false(cg->peak_resets);
        assert_false(stats_of(f).peaks_reset);

        /* Looks in between that do not ask for peaks see, too; and leave the peak of before alone. */
        for (int i = 3; i >= 0; i--) {
                (void)snprintf(text, sizeof(text), "%d\n", 500 + i);
                put(cg->dirfd, "memory.current", text);
                assert_int_equal(meter_look(f->m, cg, BIT(MEMORY_CURRENT), false, 20 * SEC, &s), 0);
                assert_int_equal(s.v[SAMPLE_MEMORY_PEAK], 2);
        }
        assert_int_equal(meter_look(f->m, cg, BIT(MEMORY_PEAK), false, 21 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_MEMORY_PEAK], 503);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], PEAK_SAMPLED);
}

static void test_peak_kinds(void **state) {
        static const uint32_t all =
                BIT(MEMORY_CURRENT) | BIT(MEMORY_PEAK) | BIT(MEMORY_SWAP_CURRENT) | BIT(MEMORY_SWAP_PEAK);
        Fixture *f = *state;
        MeterCg *cg = &f->cgs[0], *bare = &f->cgs[1];
        Sample s = {};

        /* The less exact of two; swap that nobody saw used is not asked (6.1 has no peak of it). */
        put(cg->dirfd, "memory.peak", "4096\n");
        put(cg->dirfd, "memory.swap.current", "0\n");
        assert_int_equal(meter_look(f->m, cg, all, false, SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], PEAK_RAISED);
        assert_true(sample_has(&s, SAMPLE_SWAP_PEAK) && s.v[SAMPLE_SWAP_PEAK] == 0);
        put(cg->dirfd, "memory.swap.current", "5\n");
        assert_int_equal(meter_look(f->m, cg, all, false, 2 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_SWAP_PEAK], 5);
        assert_int_equal(s.v[SAMPLE_MEMORY_PEAK], 4096);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], PEAK_SAMPLED);
        /* A peak file that appears late has a history that is not ours. */
        put(cg->dirfd, "memory.swap.peak", "9\n");
        assert_int_equal(meter_look(f->m, cg, all | METER_PROBE_MISSING, false, 3 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_SWAP_PEAK], 5);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], PEAK_SAMPLED);
        put(cg->dirfd, "memory.swap.peak", "10\n");
        assert_int_equal(meter_look(f->m, cg, all, false, 4 * SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_SWAP_PEAK], 10);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], PEAK_RAISED);

        /* Nothing is known: nothing is said. */
        assert_int_equal(unlinkat(bare->dirfd, "memory.current", 0), 0);
        assert_int_equal(meter_look(f->m, bare, all, false, 5 * SEC, &s), 0);
        assert_false(sample_has(&s, SAMPLE_MEMORY_PEAK) || sample_has(&s, SAMPLE_SWAP_PEAK) ||
                     sample_has(&s, SAMPLE_PEAK_KIND));
}

static void test_host(void **state) {
        Fixture *f = *state;
        _cleanup_buf_ Buf text = BUF_INIT;
        SampleIo io = {};
        Sample s = {};

        sample_put(&s, SAMPLE_IRQ_FULL, 1);
        assert_int_equal(meter_look_host(f->m, f->rootfd, SEC, &s, &io), 0);
        assert_int_equal(s.have, 0);
        assert_int_equal(s.at, SEC);

        assert_int_equal(mkdirat(f->procfd, "pressure", 0755), 0);
        put(f->procfd, "pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
        put(f->procfd, "pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=6\n");
        put(f->procfd, "meminfo", "MemTotal: 100 kB\nMemAvailable: 60 kB\n");
        for (int i = 0; i < 2000; i++) /* beyond the first buffer */
                buf_printf(&text, "unheard_of_%d 0\n", i);
        buf_puts(&text, "oom_kill 3\n");
        put(f->procfd, "vmstat", buf_str(&text));
        put(f->procfd, "diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n");
        put(f->rootfd, "cpu.stat", "usage_usec 77\n");
        assert_int_equal(meter_look_host(f->m, f->rootfd, 2 * SEC, &s, &io), 0);
        assert_int_equal(s.v[SAMPLE_CPU_SOME], 5);
        assert_int_equal(s.v[SAMPLE_MEMORY_SOME], 6);
        assert_int_equal(s.v[SAMPLE_MEMORY], 40 * 1024);
        assert_int_equal(s.v[SAMPLE_EVENTS_OOM_KILL], 3);
        assert_int_equal(s.v[SAMPLE_IO_RBYTES], 3 * 512);
        assert_int_equal(s.v[SAMPLE_CPU_USAGE], 77);
        assert_false(sample_has(&s, SAMPLE_IO_SOME) || sample_has(&s, SAMPLE_IRQ_FULL));
        assert_non_null(sample_io_find(&io, makedev(8, 0)));

        assert_int_equal(unlinkat(f->procfd, "diskstats", 0), 0);
        assert_int_equal(meter_look_host(f->m, -1, 3 * SEC, &s, &io), 0);
        assert_false(sample_has(&s, SAMPLE_IO_RBYTES) || sample_has(&s, SAMPLE_CPU_USAGE));
        assert_int_equal(io.n, 0);
        sample_io_deinit(&io);
}

/* Whatever this machine has, in pieces of a page. */
static void test_real_proc(void **state) {
        Meter *m;
        Sample s = {};

        (void)state;
        assert_int_equal(meter_new("/proc", 1, &m), 0);
        assert_int_equal(meter_look_host(m, -1, SEC, &s, NULL), 0);
        assert_true(s.v[SAMPLE_HOST_MEMORY_TOTAL] > 1 << 20);
        assert_true(sample_has(&s, SAMPLE_PGFAULT) && sample_has(&s, SAMPLE_PGSCAN));
        meter_free(m);
}

/* ---- a real cgroup ---- */

/* A process in there, which takes and gives back so many bytes for each byte that it is told. */
static pid_t start_eater(int dirfd, size_t bytes, int *ret_fd) {
        int in[2], out[2];
        char text[16], c;
        pid_t pid;

        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(in[1]);
                (void)snprintf(text, sizeof(text), "%d", getpid());
                if (fd_write_at(dirfd, "cgroup.procs", text) < 0)
                        _exit(1);
                while (write(out[1], "", 1) == 1 && read(in[0], &c, 1) == 1) {
                        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

                        if (p == MAP_FAILED || munmap(p, bytes) < 0)
                                _exit(1);
                }
                _exit(0);
        }
        fd_close(in[0]);
        fd_close(out[1]);
        assert_int_equal(read(out[0], &c, 1), 1);
        ret_fd[0] = in[1];
        ret_fd[1] = out[0];
        return pid;
}

static void eat(const int *fds) {
        char c;

        assert_int_equal(write(fds[0], "", 1), 1);
        assert_int_equal(read(fds[1], &c, 1), 1);
}

static void check_reset(Meter *m, MeterCg *cg) {
        static const uint32_t files = BIT(MEMORY_CURRENT) | BIT(MEMORY_PEAK);
        const size_t bytes = 64 << 20;
        Sample s = {};
        int fds[2], status;
        pid_t pid = start_eater(cg->dirfd, bytes, fds);

        assert_int_equal(meter_look(m, cg, files, true, SEC, &s), 0);
        eat(fds);
        assert_int_equal(meter_look(m, cg, files, true, 2 * SEC, &s), 0);
        assert_true(s.v[SAMPLE_MEMORY_PEAK] >= bytes);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], cg->peak_resets ? PEAK_RESET : PEAK_RAISED);
        assert_int_equal(meter_look(m, cg, files, true, 3 * SEC, &s), 0);
        assert_true(s.v[SAMPLE_MEMORY_PEAK] < bytes);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], cg->peak_resets ? PEAK_RESET : PEAK_SAMPLED);
        eat(fds);
        assert_int_equal(meter_look(m, cg, files, true, 4 * SEC, &s), 0);
        if (cg->peak_resets) /* the second time is as high, and only a reset can tell */
                assert_true(s.v[SAMPLE_MEMORY_PEAK] >= bytes);
        /* Cold again: the lifetime peak, which did not rise. */
        meter_cool(m, cg);
        assert_false(cg->peak_resets);
        assert_int_equal(meter_look(m, cg, files, false, 5 * SEC, &s), 0);
        assert_true(s.v[SAMPLE_MEMORY_PEAK] < bytes);
        assert_int_equal(s.v[SAMPLE_PEAK_KIND], PEAK_SAMPLED);
        fd_close(fds[0]);
        fd_close(fds[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void test_cgroupfs(void **state) {
        const char *base = getenv("BAILIFF_TEST_CGROUP");
        MeterCg cg = METER_CG_INIT;
        char path[256];
        MeterStats st;
        Sample s = {};
        Meter *m;

        (void)state;
        if (!base)
                skip();
        (void)snprintf(path, sizeof(path), "%s/bailiff-meter-%d", base, getpid());
        assert_int_equal(mkdir(path, 0755), 0);
        cg.dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(meter_new("/proc", 4, &m), 0);
        assert_int_equal(meter_look(m, &cg, SAMPLE_FILES_ALL, true, SEC, &s), 0);
        assert_true(sample_has(&s, SAMPLE_CPU_USAGE));
        assert_true(sample_has(&s, SAMPLE_POPULATED) && !s.v[SAMPLE_POPULATED]);
        meter_get_stats(m, &st);
        assert_int_equal(st.n_kept_fds, st.n_files);
        assert_true(st.psi_error == -EOPNOTSUPP || sample_has(&s, SAMPLE_CPU_SOME));
        assert_int_equal(meter_look(m, &cg, SAMPLE_FILES_ALL, true, 2 * SEC, &s), 0);
        if (!(cg.missing & BIT(MEMORY_PEAK)))
                check_reset(m, &cg);
        else
                print_message("no memory controller: peaks not tried\n");
        assert_int_equal(meter_look(m, &cg, SAMPLE_FILES_ALL, true, 6 * SEC, &s), 0);
        while (rmdir(path) < 0) /* a process that was just reaped may still be counted */
                assert_int_equal(errno, EBUSY);
        /* By kept fds (ENODEV), by name (ENOENT). */
        assert_int_equal(meter_look(m, &cg, BIT(CPU_STAT), true, 7 * SEC, &s), CG_GONE);
        assert_int_equal(s.at, 6 * SEC);
        assert_int_equal(meter_look(m, &cg, BIT(CPU_PRESSURE), false, 7 * SEC, &s), CG_GONE);
        meter_cool(m, &cg);
        assert_int_equal(meter_look(m, &cg, BIT(CPU_STAT), false, 7 * SEC, &s), CG_GONE);
        assert_true(sample_has(&s, SAMPLE_CPU_USAGE));
        fd_close(cg.dirfd);
        meter_cg_deinit(m, &cg);
        meter_free(m);
}

/* ---- the network ---- */

#define NET_HEAD                                                                              \
        "Inter-|   Receive                                                |  Transmit\n"      \
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets " \
        "errs drop fifo colls carrier compressed\n"

/* A process in proc, its one interface having received and sent so much; in a namespace of its own. */
static void net_process(const Fixture *f, unsigned pid, unsigned rx, unsigned tx) {
        char name[64], text[512];

        (void)snprintf(name, sizeof(name), "%u", pid);
        (void)mkdirat(f->procfd, name, 0755);
        (void)snprintf(name, sizeof(name), "%u/net", pid);
        (void)mkdirat(f->procfd, name, 0755);
        (void)snprintf(name, sizeof(name), "%u/net/dev", pid);
        (void)snprintf(text, sizeof(text),
                       NET_HEAD "    lo: 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n"
                                "  eth0: %u 2 3 4 0 0 0 0 %u 6 7 8 0 0 0 0\n",
                       rx, tx);
        put(f->procfd, name, text);
}

static void net_same(const Fixture *f, unsigned pid, unsigned as) {
        char from[64], to[64];

        (void)snprintf(from, sizeof(from), "%u/net/dev", as);
        (void)snprintf(to, sizeof(to), "%u/net/dev", pid);
        assert_int_equal(unlinkat(f->procfd, to, 0), 0);
        assert_int_equal(linkat(f->procfd, from, f->procfd, to, 0), 0);
}

static void net_end(const Fixture *f, unsigned pid) {
        char name[128];

        (void)snprintf(name, sizeof(name), "%s/%u", f->proc, pid);
        assert_int_equal(nftw(name, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static bool has_net(const Sample *s) {
        SampleMask have = s->have & sample_file_fields(SAMPLE_FILE_NET_DEV);

        assert_true(have == 0 || have == sample_file_fields(SAMPLE_FILE_NET_DEV));
        return have != 0;
}

static void net_look(Fixture *f, int i, bool keep, Sample *s) {
        assert_int_equal(meter_look(f->m, &f->cgs[i], BIT(CPU_STAT) | BIT(NET_DEV), keep, s->at + SEC, s), 0);
}

static void test_net(void **state) {
        Fixture *f = *state;
        Sample s = {};

        net_process(f, 1, 1000, 1000);
        net_process(f, 50, 11, 5);
        put(f->fds[0], "cgroup.procs", "50\n");
        /* Nobody wants to know. */
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        assert_int_equal(f->cgs[0].net.state, NET_UNKNOWN);
        f->cgs[0].net.id = 10;
        net_look(f, 0, false, &s);
        assert_int_equal(f->cgs[0].net.state, NET_OWN);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 11);
        assert_int_equal(s.v[SAMPLE_NET_RX_PACKETS], 2);
        assert_int_equal(s.v[SAMPLE_NET_RX_ERRORS], 3);
        assert_int_equal(s.v[SAMPLE_NET_RX_DROPPED], 4);
        assert_int_equal(s.v[SAMPLE_NET_TX_BYTES], 5);
        assert_int_equal(s.v[SAMPLE_NET_TX_PACKETS], 6);
        assert_int_equal(s.v[SAMPLE_NET_TX_ERRORS], 7);
        assert_int_equal(s.v[SAMPLE_NET_TX_DROPPED], 8);
        /* Looks at other files leave it alone. */
        assert_int_equal(meter_look(f->m, &f->cgs[0], BIT(CPU_STAT), false, s.at, &s), 0);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 11);
        /* Without a process that may be asked nothing changes. */
        net_process(f, 51, 30, 30);
        net_end(f, 50);
        net_look(f, 0, false, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 11);
        /* In another namespace it begins with what that says by then. */
        put(f->fds[0], "cgroup.procs", "51\n");
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        net_look(f, 0, false, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 30);
        /* An interface has gone: the sum is less, and what it was is not counted again. */
        net_process(f, 51, 20, 40);
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        assert_int_equal(f->cgs[0].net.state, NET_OWN);
        net_look(f, 0, false, &s);
        assert_int_equal(s.v[SAMPLE_NET_TX_BYTES], 40);
        assert_int_equal(stats_of(f).n_net_damaged, 0);
        assert_int_equal(stats_of(f).net_error, 0);
}

static void test_net_first(void **state) {
        Fixture *f = *state;
        Sample s = {}, others = {}, later = {};

        /* As an engine makes it: no process, one in the host's namespace, one in its own. */
        net_process(f, 1, 1000, 1000);
        f->cgs[0].net.id = 10;
        net_look(f, 0, false, &s);
        assert_true(has_net(&s));
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 0);
        net_process(f, 60, 5, 5);
        put(f->fds[0], "cgroup.procs", "60\n");
        net_look(f, 0, false, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 5);
        net_process(f, 61, 0, 0);
        net_same(f, 61, 1);
        put(f->fds[1], "cgroup.procs", "61\n");
        f->cgs[1].net.id = 11;
        net_look(f, 1, false, &others);
        assert_true(has_net(&others));
        assert_int_equal(others.v[SAMPLE_NET_RX_BYTES], 0);
        assert_int_equal(f->cgs[1].net.state, NET_HOST);
        /* It stays there: it has none of its own. */
        net_look(f, 1, false, &others);
        assert_false(has_net(&others));
        /* What an earlier guard had counted is not begun anew. */
        sample_put(&later, SAMPLE_NET_RX_BYTES, 77);
        f->cgs[2].net.id = 12;
        net_look(f, 2, false, &later);
        assert_int_equal(later.v[SAMPLE_NET_RX_BYTES], 77);
}

/* A service of the host costs nothing each second; were it ever to leave the host's network, a full look tells. */
static void test_net_host(void **state) {
        Fixture *f = *state;
        Sample s = {};

        net_process(f, 1, 1000, 1000);
        net_process(f, 65, 0, 0);
        net_same(f, 65, 1);
        f->cgs[0].net.id = 10;
        put(f->fds[0], "cgroup.procs", "65\n");
        for (int i = 0; i < NET_HOST_LOOKS; i++)
                net_look(f, 0, true, &s);
        assert_int_equal(f->cgs[0].net.state, NET_HOST);
        net_end(f, 65);
        net_process(f, 66, 9, 9);
        put(f->fds[0], "cgroup.procs", "66\n");
        net_look(f, 0, true, &s);
        assert_int_equal(f->cgs[0].net.state, NET_HOST);
        assert_false(has_net(&s));
        assert_int_equal(
                meter_look(f->m, &f->cgs[0], BIT(NET_DEV) | METER_PROBE_MISSING, true, s.at + SEC, &s), 0);
        assert_int_equal(f->cgs[0].net.state, NET_OWN);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 9);
        net_process(f, 66, 10, 10);
        net_look(f, 0, true, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 10);
}

static void test_net_shared(void **state) {
        Fixture *f = *state;
        Sample s[3] = {};

        net_process(f, 1, 1000, 1000);
        net_process(f, 70, 100, 100);
        net_process(f, 71, 0, 0);
        net_same(f, 71, 70);
        for (int i = 0; i < 2; i++) {
                f->cgs[i].net.id = 10 + (uint64_t)i;
                put(f->fds[i], "cgroup.procs", i == 0 ? "70\n" : "71\n");
                net_look(f, i, true, &s[i]);
        }
        assert_true(has_net(&s[0]));
        assert_false(has_net(&s[1]));
        assert_int_equal(f->cgs[1].net.state, NET_SHARED);
        assert_int_equal(f->cgs[1].net.counted_at, 10);
        /* The other goes on with it, and with what is sent from now on. */
        meter_cg_deinit(f->m, &f->cgs[0]);
        net_look(f, 1, true, &s[1]);
        assert_int_equal(f->cgs[1].net.state, NET_OWN);
        assert_false(has_net(&s[1]));
        net_look(f, 1, true, &s[1]);
        assert_int_equal(s[1].v[SAMPLE_NET_RX_BYTES], 100);
}

static void test_net_kept(void **state) {
        Fixture *f = *state;
        Sample s = {};

        net_process(f, 1, 1000, 1000);
        net_process(f, 80, 5, 5);
        f->cgs[0].net.id = 10;
        put(f->fds[0], "cgroup.procs", "80\n");
        net_look(f, 0, true, &s);
        assert_int_equal(stats_of(f).n_kept_fds, 2);
        /* The process is kept, and asked, whatever the list says: */
        put(f->fds[0], "cgroup.procs", "");
        net_process(f, 80, 6, 6);
        net_look(f, 0, true, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 6);
        assert_int_equal(stats_of(f).n_kept_fds, 2);
        /* until a full look; */
        put(f->fds[0], "cgroup.procs", "81\n");
        net_process(f, 81, 7, 7);
        net_same(f, 81, 80);
        net_process(f, 81, 7, 7); /* the same file */
        assert_int_equal(meter_look(f->m, &f->cgs[0], BIT(CPU_STAT) | BIT(NET_DEV) | METER_PROBE_MISSING,
                                    true, s.at + SEC, &s),
                         0);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 7);
        net_end(f, 80);
        net_process(f, 81, 8, 8);
        net_look(f, 0, true, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 8); /* it is 81 that is kept */
        /* or until it ends. */
        net_process(f, 82, 9, 9);
        net_same(f, 82, 81);
        net_process(f, 82, 9, 9);
        net_end(f, 81);
        put(f->fds[0], "cgroup.procs", "82\n");
        net_look(f, 0, true, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 9);
        assert_int_equal(stats_of(f).n_kept_fds, 2);
        meter_cool(f->m, &f->cgs[0]);
        assert_int_equal(stats_of(f).n_kept_fds, 0);
        assert_int_equal(f->cgs[0].net.state, NET_OWN); /* cold, it counts all the same */
}

static void test_net_damaged(void **state) {
        Fixture *f = *state;
        _cleanup_buf_ Buf b = BUF_INIT;
        Sample s = {};

        net_process(f, 1, 1000, 1000);
        net_process(f, 90, 5, 5);
        f->cgs[0].net.id = 10;
        put(f->fds[0], "cgroup.procs", "90\n");
        net_look(f, 0, false, &s);
        /* Ten thousand interfaces: not cut off, not taken for less, and not read each second. */
        buf_puts(&b, NET_HEAD);
        for (unsigned i = 0; i < 10000; i++)
                buf_printf(&b, "dummy%u: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", i);
        put(f->procfd, "90/net/dev", buf_str(&b));
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        assert_int_equal(stats_of(f).n_net_damaged, 1);
        net_process(f, 90, 6, 6);
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        assert_int_equal(stats_of(f).n_net_damaged, 1);
        assert_int_equal(
                meter_look(f->m, &f->cgs[0], BIT(NET_DEV) | METER_PROBE_MISSING, false, s.at + SEC, &s), 0);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 6);
        put(f->procfd, "90/net/dev", NET_HEAD "eth0: 1 2\n");
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        assert_int_equal(stats_of(f).n_net_damaged, 2);
}

/* Whoever cannot tell the host's namespace would take the host's traffic for a container's. */
static void test_net_no_host(void **state) {
        Fixture *f = *state;
        Sample s = {};

        net_process(f, 95, 5, 5);
        f->cgs[0].net.id = 10;
        put(f->fds[0], "cgroup.procs", "95\n");
        net_look(f, 0, false, &s);
        assert_false(has_net(&s));
        assert_int_equal(f->cgs[0].net.state, NET_UNKNOWN);
        assert_int_equal(stats_of(f).net_error, -ENOENT);
        net_process(f, 1, 1000, 1000);
        net_look(f, 0, false, &s);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], 5);
        assert_int_equal(stats_of(f).net_error, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_new),
                cmocka_unit_test_setup_teardown(test_look, setup, teardown),
                cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_keep, setup, teardown),
                cmocka_unit_test_setup_teardown(test_keep_none, setup, teardown),
                cmocka_unit_test_setup_teardown(test_fd_limit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long, setup, teardown),
                cmocka_unit_test_setup_teardown(test_peaks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_peak_kinds, setup, teardown),
                cmocka_unit_test_setup_teardown(test_host, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net_first, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net_host, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net_shared, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net_damaged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_net_no_host, setup, teardown),
                cmocka_unit_test(test_real_proc),
                cmocka_unit_test(test_cgroupfs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
