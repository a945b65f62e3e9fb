/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What one look at a container costs, and what a guard could pay for it. DIR
 * has the containers (bench/cgroups.h), the first N of them are looked at:
 *
 *   compare DIR N PASSES      all modes in turn
 *   one MODE DIR N PASSES     one mode alone: for instructions (valgrind), and for memory
 *   sweep DIR N SECONDS       a guard's beats in real time: tiers decide who is looked at; N of the usual way in turn
 *
 * Modes:
 *
 *   floor    what nobody can go below who uses files: the hot set's files on kept fds, a pread of each, no look
 *            at what was read
 *   usual    nine files by path, with stdio and sscanf
 *   hot      the guard: the hot set on kept fds, and what it does with each sample (books, baseline, tier, history)
 *   full     the guard's slow beat: all files, none kept, and the same
 *
 * What is printed is CPU time, user and system, in µs:
 *
 *   pass MODE N PASSES USEC                of a look at all N
 *   memory MODE N RSS KERNEL               bytes at the end, and what the own cgroup's kernel memory grew by
 *   sweep N SECONDS BEATS USUAL HOT LOOKS  µs of all beats; µs of the usual way for the N once; how many were hot
 *                                          in the mean, and looked at, a second
 *
 * The machine may be emulated, on a busy host: what else that does makes some looks take longer, and none shorter. So
 * modes take turns, AT_ONCE containers each, another one first each time, and USEC adds up the lower quartiles of
 * what these took, pass by pass. Ratios of such numbers mean something, the numbers themselves do not.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "baseline.h"
#include "books.h"
#include "cgroups.h"
#include "clock.h"
#include "fdio.h"
#include "history.h"
#include "meter.h"
#include "num.h"
#include "tier.h"
#include "usual.h"

#define TEXT_SIZE 4096
#define WARM_SECONDS 15 /* of a sweep: all are hot at first, and cold ones find their places */
#define SWEEP_KEPT 128 /* containers with kept fds, as the daemon has it */
#define AT_ONCE 50

typedef enum Mode { FLOOR, USUAL, HOT, FULL, _MODE_MAX } Mode;

/* A container as the guard has it. */
typedef struct Watched {
        MeterCg cg;
        uint64_t id;
        uint32_t index; /* in the history */
        Sample now;
        usec_t pressures_at; /* the look that read them last: what the baseline counts from */
        uint64_t pressures[_BASELINE_MAX];
        Book book;
        Baseline baseline;
        TierState tier;
} Watched;

typedef struct Guard {
        Meter *meter;
        History *history;
        Watched *watched;
        size_t n;
} Guard;

typedef struct Bench {
        Cgroups cgroups;
        int (*floor)[_SAMPLE_FILE_MAX]; /* kept fds, -1: no such file */
        Guard hot, full;
} Bench;

static int fail(const char *what, int error) { return bench_fail("sampling", what, error); }

static usec_t cpu_used(void) {
        struct rusage u;

        (void)getrusage(RUSAGE_SELF, &u);
        return (usec_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC +
               (usec_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* ---- floor ---- */

static int floor_prepare(Bench *b) {
        b->floor = calloc(b->cgroups.n, sizeof(*b->floor));
        if (!b->floor)
                return -ENOMEM;
        memset(b->floor, 0xff, b->cgroups.n * sizeof(*b->floor)); /* -1 */
        for (size_t i = 0; i < b->cgroups.n; i++)
                for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++) {
                        if (!(tier_files_hot() & SAMPLE_FILE_BIT(f)))
                                continue;
                        b->floor[i][f] =
                                openat(b->cgroups.all[i].dirfd, sample_file_name(f), O_RDONLY | O_CLOEXEC);
                        if (b->floor[i][f] < 0 && errno != ENOENT)
                                return -errno;
                }
        return 0;
}

static int floor_pass(Bench *b, size_t from, size_t to) {
        char text[TEXT_SIZE];

        for (size_t i = from; i < to; i++)
                for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++)
                        if (b->floor[i][f] >= 0 && pread(b->floor[i][f], text, sizeof(text), 0) < 0)
                                return -errno;
        return 0;
}

static void floor_deinit(Bench *b) {
        for (size_t i = 0; b->floor && i < b->cgroups.n; i++)
                for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++)
                        fd_close(b->floor[i][f]);
        free(b->floor);
}

/* ---- usual ---- */

static int usual_pass(Bench *b, size_t from, size_t to) {
        for (size_t i = from; i < to; i++) {
                Usual u;
                int r = usual_read(b->cgroups.all[i].path, &u);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- the guard ---- */

static int guard_init(Guard *g, const Cgroups *c, size_t max_kept, usec_t now) {
        int r;

        g->watched = calloc(c->n, sizeof(*g->watched));
        if (!g->watched)
                return -ENOMEM;
        g->n = c->n;
        r = meter_new("/proc", max_kept, &g->meter);
        if (r >= 0)
                r = history_new(1, HISTORY_BYTES_MAX, HISTORY_SPAN_USEC, &g->history);
        for (size_t i = 0; i < c->n; i++)
                g->watched[i].cg = METER_CG_INIT;
        for (size_t i = 0; r >= 0 && i < c->n; i++) {
                Watched *w = &g->watched[i];
                const HistoryWho who = { .kind = HISTORY_CONTAINER,
                                         .cgroup_id = i + 1,
                                         .tenant = "bench",
                                         .name = strrchr(c->all[i].path, '/') + 1,
                                         .cgroup = c->all[i].path };

                w->cg.dirfd = c->all[i].dirfd;
                w->id = i + 1;
                tier_init(&w->tier, now);
                r = history_add(g->history, &who, &w->index);
        }
        return r;
}

static void guard_deinit(Guard *g) {
        for (size_t i = 0; g->meter && i < g->n; i++)
                meter_cg_deinit(g->meter, &g->watched[i].cg);
        free(g->watched);
        g->history = history_free(g->history);
        g->meter = meter_free(g->meter);
}

/* What is normal is learnt from looks that read the pressures themselves, as the daemon does it. */
static void guard_learn(Watched *w, uint32_t files) {
        static const SampleField some[_BASELINE_MAX] = { SAMPLE_CPU_SOME, SAMPLE_MEMORY_SOME,
                                                         SAMPLE_IO_SOME };
        Sample before = { .at = w->pressures_at };

        if (!(files & SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_PRESSURE)))
                return; /* a probe */
        for (BaselineResource i = 0; i < _BASELINE_MAX; i++) {
                if (sample_has(&w->now, some[i]))
                        sample_put(&before, some[i], w->pressures[i]);
                w->pressures[i] = w->now.v[some[i]];
        }
        w->pressures_at = w->now.at;
        if (before.at > 0)
                baseline_feed(&w->baseline, &before, &w->now);
}

static int guard_account(Guard *g, Watched *w, const Sample *before, uint32_t files, uint64_t realtime) {
        if (before->at == 0)
                before = NULL; /* the first look */
        book_account(&w->book, before, &w->now, false);
        guard_learn(w, files);
        tier_step(&w->tier, before, &w->now, files, w->id);
        return history_append(g->history, w->index, &w->now, SAMPLE_ALL, realtime);
}

static int guard_look(Guard *g, Watched *w, uint32_t files, bool keep, usec_t now, uint64_t realtime) {
        const Sample before = w->now;
        int r = meter_look(g->meter, &w->cg, files, keep, now, &w->now);

        if (r != 0)
                return r < 0 ? r : -ESTALE;
        return guard_account(g, w, &before, files, realtime);
}

static int guard_pass(Guard *g, size_t from, size_t to, uint32_t files, bool keep) {
        usec_t now = clock_usec(CLOCK_MONOTONIC), realtime = clock_usec(CLOCK_REALTIME);

        for (size_t i = from; i < to; i++) {
                int r = guard_look(g, &g->watched[i], files, keep, now, realtime);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int hot_prepare(Bench *b) {
        return guard_init(&b->hot, &b->cgroups, b->cgroups.n, clock_usec(CLOCK_MONOTONIC));
}
static int hot_pass(Bench *b, size_t from, size_t to) {
        return guard_pass(&b->hot, from, to, tier_files_hot(), true);
}
static int full_prepare(Bench *b) {
        return guard_init(&b->full, &b->cgroups, 0, clock_usec(CLOCK_MONOTONIC));
}
static int full_pass(Bench *b, size_t from, size_t to) {
        return guard_pass(&b->full, from, to, tier_files_all(), false);
}

/* ---- modes ---- */

static const struct {
        const char *name;
        int (*prepare)(Bench *b); /* may be NULL */
        int (*pass)(Bench *b, size_t from, size_t to);
} modes[_MODE_MAX] = {
        [FLOOR] = { "floor", floor_prepare, floor_pass },
        [USUAL] = { "usual", NULL, usual_pass },
        [HOT] = { "hot", hot_prepare, hot_pass },
        [FULL] = { "full", full_prepare, full_pass },
};

static int bench_init(Bench *b, const char *dir, size_t n) {
        struct rlimit fds;

        if (getrlimit(RLIMIT_NOFILE, &fds) < 0)
                return -errno;
        fds.rlim_cur = fds.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &fds) < 0)
                return -errno;
        return cgroups_open(dir, n, &b->cgroups);
}

static void bench_deinit(Bench *b) {
        floor_deinit(b);
        guard_deinit(&b->hot);
        guard_deinit(&b->full);
        cgroups_deinit(&b->cgroups);
}

/* One pass before those that count: it fills the kernel's caches and opens what is kept. */
static int prepare(Bench *b, Mode mode) {
        int r = modes[mode].prepare ? modes[mode].prepare(b) : 0;

        return r < 0 ? r : modes[mode].pass(b, 0, b->cgroups.n);
}

static size_t n_parts(const Bench *b) { return (b->cgroups.n + AT_ONCE - 1) / AT_ONCE; }

static int measure_part(Bench *b, Mode mode, size_t part, usec_t *ret) {
        size_t from = part * AT_ONCE;
        usec_t before = cpu_used();
        int r = modes[mode].pass(b, from, MIN_OF(from + AT_ONCE, b->cgroups.n));

        *ret = cpu_used() - before;
        return r;
}

static int compare_usec(const void *a, const void *b) {
        usec_t x = *(const usec_t *)a, y = *(const usec_t *)b;

        return x < y ? -1 : x > y;
}

/* usec: of each part of the containers, of each pass: [part * passes + pass]. */
static void print_passes(const Bench *b, Mode mode, usec_t *usec, size_t passes) {
        usec_t sum = 0;

        for (size_t part = 0; part < n_parts(b); part++) {
                usec_t *of_part = usec + part * passes;

                qsort(of_part, passes, sizeof(*of_part), compare_usec);
                sum += of_part[passes / 4];
        }
        (void)printf("pass %s %zu %zu %llu\n", modes[mode].name, b->cgroups.n, passes,
                     (unsigned long long)sum);
}

static int compare(const char *dir, size_t n, size_t passes) {
        _cleanup_(bench_deinit) Bench b = {};
        _cleanup_free_ usec_t *usec = NULL;
        size_t each, turn = 0;
        int r = bench_init(&b, dir, n);

        if (r < 0)
                return fail(dir, r);
        each = n_parts(&b) * passes;
        usec = calloc(_MODE_MAX * each, sizeof(*usec));
        if (!usec)
                return fail(dir, -ENOMEM);
        for (Mode m = 0; m < _MODE_MAX; m++) {
                r = prepare(&b, m);
                if (r < 0)
                        return fail(modes[m].name, r);
        }
        for (size_t pass = 0; pass < passes; pass++, turn++)
                for (size_t part = 0; part < n_parts(&b); part++, turn++)
                        for (size_t i = 0; i < _MODE_MAX; i++) {
                                Mode m = (turn + i) % _MODE_MAX;

                                r = measure_part(&b, m, part, &usec[m * each + part * passes + pass]);
                                if (r < 0)
                                        return fail(modes[m].name, r);
                        }
        for (Mode m = 0; m < _MODE_MAX; m++)
                print_passes(&b, m, usec + m * each, passes);
        return 0;
}

/* ---- memory ---- */

/* Kernel memory of our own cgroup, in bytes; 0 where nothing tells (on a host without cgroup v2). */
static uint64_t kernel_bytes(void) {
        char line[TEXT_SIZE], path[TEXT_SIZE + 64];
        unsigned long long bytes = 0;
        FILE *f = fopen("/proc/self/cgroup", "re");

        if (!f)
                return 0;
        path[0] = '\0';
        while (fgets(line, sizeof(line), f))
                if (strncmp(line, "0::", 3) == 0) {
                        line[strcspn(line, "\n")] = '\0';
                        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.stat", line + 3);
                }
        (void)fclose(f);
        f = fopen(path, "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f) && sscanf(line, "kernel %llu", &bytes) != 1)
                ;
        (void)fclose(f);
        return bytes;
}

static uint64_t rss_bytes(void) {
        unsigned long long size, resident = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        if (!f)
                return 0;
        if (fscanf(f, "%llu %llu", &size, &resident) != 2)
                resident = 0;
        (void)fclose(f);
        return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void print_memory(const char *mode, size_t n, uint64_t kernel_before) {
        uint64_t kernel = kernel_bytes();

        (void)printf("memory %s %zu %llu %llu\n", mode, n, (unsigned long long)rss_bytes(),
                     (unsigned long long)(kernel - MIN_OF(kernel, kernel_before)));
}

static int one(const char *name, const char *dir, size_t n, size_t passes) {
        _cleanup_(bench_deinit) Bench b = {};
        uint64_t kernel = kernel_bytes();
        Mode mode = 0;
        int r;

        while (mode < _MODE_MAX && !STR_EQ(modes[mode].name, name))
                mode++;
        if (mode == _MODE_MAX)
                return fail(name, -EINVAL);
        r = bench_init(&b, dir, n);
        if (r >= 0)
                r = prepare(&b, mode);
        for (size_t i = 0; r >= 0 && i < passes; i++)
                r = modes[mode].pass(&b, 0, b.cgroups.n);
        if (r < 0)
                return fail(name, r);
        print_memory(name, b.cgroups.n, kernel);
        return 0;
}

/* ---- sweep ---- */

typedef struct Sweep {
        Guard guard;
        usec_t beats_usec, usual_usec; /* CPU time of both */
        size_t n_usual, next_usual;
        uint64_t n_hot, n_looks;
} Sweep;

/* As the daemon: a cold one is read in full only when its probe moved, memory.stat only when that decides something. */
static int sweep_look(Sweep *s, Watched *w, uint32_t files, usec_t now) {
        const Sample before = w->now;
        const uint32_t memory_stat = SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT);
        bool keep = w->tier.level == TIER_HOT;
        uint32_t more = 0;
        int r;

        s->n_looks++;
        r = meter_look(s->guard.meter, &w->cg, files, keep, now, &w->now);
        if (r == 0 && before.at > 0) {
                if (w->tier.level == TIER_COLD && tier_probe_moved(&before, &w->now))
                        more = tier_files_hot() & ~files;
                if (!(files & memory_stat) && tier_wants_memory_stat(&before, &w->now))
                        more |= memory_stat;
        }
        if (r == 0 && more)
                r = meter_look(s->guard.meter, &w->cg, more, keep, now, &w->now);
        if (r != 0)
                return r < 0 ? r : -ESTALE;
        r = guard_account(&s->guard, w, &before, files | more, clock_usec(CLOCK_REALTIME));
        if (w->tier.level == TIER_COLD)
                meter_cool(s->guard.meter, &w->cg);
        return r;
}

static int sweep_beat(Sweep *s, usec_t now) {
        for (size_t i = 0; i < s->guard.n; i++) {
                Watched *w = &s->guard.watched[i];
                uint32_t files = tier_due(&w->tier, now);
                int r = files ? sweep_look(s, w, files, now) : 0;

                if (r < 0)
                        return r;
                s->n_hot += w->tier.level == TIER_HOT;
        }
        return 0;
}

/* The usual way for the next few, so that it is measured in the same seconds. */
static int sweep_usual(Sweep *s, const Cgroups *c) {
        for (size_t i = 0; i < AT_ONCE; i++, s->n_usual++) {
                Usual u;
                int r = usual_read(c->all[s->next_usual].path, &u);

                if (r < 0)
                        return r;
                s->next_usual = (s->next_usual + 1) % c->n;
        }
        return 0;
}

static int sweep_second(Sweep *s, const Cgroups *c, usec_t at) {
        const struct timespec until = { .tv_sec = (time_t)(at / USEC_PER_SEC),
                                        .tv_nsec = (long)(at % USEC_PER_SEC) * 1000 };
        usec_t start, middle;
        int r;

        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        start = cpu_used();
        r = sweep_beat(s, clock_usec(CLOCK_MONOTONIC));
        middle = cpu_used();
        if (r >= 0)
                r = sweep_usual(s, c);
        s->beats_usec += middle - start;
        s->usual_usec += cpu_used() - middle;
        return r;
}

static int sweep_run(Sweep *s, const Cgroups *c, size_t seconds) {
        usec_t start = clock_usec(CLOCK_MONOTONIC);
        int r = guard_init(&s->guard, c, MIN_OF(c->n, (size_t)SWEEP_KEPT), start);

        for (size_t i = 0; r >= 0 && i < WARM_SECONDS + seconds; i++) {
                if (i == WARM_SECONDS) {
                        s->beats_usec = s->usual_usec = 0;
                        s->n_usual = s->n_hot = s->n_looks = 0;
                }
                r = sweep_second(s, c, start + i * TIER_HOT_USEC);
        }
        return r;
}

static int sweep(const char *dir, size_t n, size_t seconds) {
        _cleanup_(bench_deinit) Bench b = {};
        uint64_t kernel = kernel_bytes();
        Sweep s = {};
        int r = bench_init(&b, dir, n);

        if (r >= 0)
                r = sweep_run(&s, &b.cgroups, seconds);
        if (r >= 0) {
                (void)printf("sweep %zu %zu %llu %llu %llu %llu\n", b.cgroups.n, seconds,
                             (unsigned long long)s.beats_usec,
                             (unsigned long long)num_muldiv(s.usual_usec, b.cgroups.n, s.n_usual),
                             (unsigned long long)(s.n_hot / seconds),
                             (unsigned long long)(s.n_looks / seconds));
                print_memory("sweep", b.cgroups.n, kernel);
        }
        guard_deinit(&s.guard);
        return r < 0 ? fail("sweep", r) : 0;
}

int main(int argc, char **argv) {
        uint64_t n, times;

        if (argc >= 5 && num_parse_u64(argv[argc - 2], &n) == 0 &&
            num_parse_u64(argv[argc - 1], &times) == 0 && times > 0) {
                if (argc == 5 && STR_EQ(argv[1], "compare"))
                        return compare(argv[2], n, times);
                if (argc == 6 && STR_EQ(argv[1], "one"))
                        return one(argv[2], argv[3], n, times);
                if (argc == 5 && STR_EQ(argv[1], "sweep"))
                        return sweep(argv[2], n, times);
        }
        (void)fprintf(stderr, "sampling: see the head of bench/sampling.c\n");
        return 2;
}
