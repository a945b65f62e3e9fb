/* SPDX-License-Identifier: Apache-2.0 */

/* When to look at what: traces of a cgroup's life, and the promises about a thousand of them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "random.h"
#include "tier.h"

#define SEC USEC_PER_SEC
#define MSEC USEC_PER_MSEC
#define START (1000 * SEC)
#define SPREAD UINT64_C(4711)
#define MIB (UINT64_C(1) << 20)

static void bump(Sample *s, SampleField f, uint64_t by) { sample_put(s, f, s->v[f] + by); }

/* ---- one cgroup, and the loop of a guard ---- */

typedef struct World {
        TierState t;
        Sample kernel; /* what the files say now */
        Sample last; /* what was read */
        bool looked; /* ever */
        uint64_t spread;
        uint64_t n_probes, n_looks, n_slow;
} World;

static void world_init(World *w, usec_t now, uint64_t spread) {
        *w = (World){ .spread = spread };
        for (SampleField f = 0; f <= SAMPLE_FROZEN; f++)
                sample_put(&w->kernel, f, 1000);
        sample_put(&w->kernel, SAMPLE_MEMORY, 100 * MIB);
        sample_put(&w->kernel, SAMPLE_POPULATED, 1);
        sample_put(&w->kernel, SAMPLE_FROZEN, 0);
        tier_init(&w->t, now);
}

static void read_files(World *w, uint32_t files, Sample *s) {
        for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++) {
                if (!(files & SAMPLE_FILE_BIT(f)))
                        continue;
                for (SampleMask rest = sample_file_fields(f); rest; rest &= rest - 1) {
                        SampleField field = sample_first(rest);

                        sample_put(s, field, w->kernel.v[field]);
                }
        }
}

/* Looks where a look is due; returns the files that were read. */
static uint32_t beat(World *w, usec_t now) {
        uint32_t files = tier_due(&w->t, now);
        Sample s = w->last;

        if (files == 0)
                return 0;
        s.at = now;
        read_files(w, files, &s);
        if (files == tier_files_probe() && tier_probe_moved(&w->last, &s)) {
                files |= tier_files_hot();
                read_files(w, files, &s);
        }
        tier_step(&w->t, w->looked ? &w->last : NULL, &s, files, w->spread);
        w->looked = true;
        w->last = s;
        w->n_probes += files == tier_files_probe();
        w->n_slow += files == tier_files_all();
        w->n_looks++;
        return files;
}

/* Beats for a while: [from, to), nothing changes. */
static void idle(World *w, usec_t from, usec_t to) {
        for (usec_t now = from; now < to; now += SEC)
                (void)beat(w, now);
}

/* ---- tables ---- */

static void test_names(void **state) {
        (void)state;
        assert_string_equal(tier_to_string(TIER_HOT), "hot");
        assert_string_equal(tier_to_string(TIER_COLD), "cold");
        assert_string_equal(tier_to_string((TierLevel)99), "unknown");
        for (TierWhy w = 0; w < _TIER_WHY_MAX; w++)
                for (TierWhy v = 0; v < w; v++)
                        assert_string_not_equal(tier_why_to_string(w), tier_why_to_string(v));
        assert_string_equal(tier_why_to_string(TIER_WHY_QUIET), "quiet");
        assert_string_equal(tier_why_to_string((TierWhy)-1), "unknown");
}

static void test_files(void **state) {
        (void)state;
        assert_int_equal(tier_files_probe() & ~tier_files_hot(), 0);
        assert_int_equal(tier_files_all() & ~tier_files_hot(),
                         SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_PIDS_PEAK));
        assert_int_equal(tier_files_all(), SAMPLE_FILES_ALL);
        assert_int_equal(__builtin_popcount(tier_files_probe()), 3);
}

/* A cold cgroup in the beat after a full sample; what it must do to be hot, and why it is then. */
static void test_active(void **state) {
        static const struct {
                SampleField field;
                int64_t by; /* within the span */
                usec_t span;
                TierWhy why;
                bool in_probe;
        } rows[] = {
                { SAMPLE_CPU_USAGE, 100000, 10 * SEC, TIER_WHY_CPU, true }, /* 1 % of 10 s */
                { SAMPLE_CPU_USAGE, 99000, 10 * SEC, TIER_WHY_QUIET, true },
                { SAMPLE_CPU_USAGE, 10000, SEC, TIER_WHY_CPU, true },
                { SAMPLE_CPU_USAGE, 10000, 2 * SEC, TIER_WHY_QUIET, true }, /* late, not active */
                { SAMPLE_CPU_USAGE, -1, 10 * SEC, TIER_WHY_CPU, true }, /* another life */
                { SAMPLE_CPU_USER, 5000000, 10 * SEC, TIER_WHY_QUIET, true },
                { SAMPLE_CPU_THROTTLED, 1, 10 * SEC, TIER_WHY_LIMIT, true },
                { SAMPLE_CPU_THROTTLED, -1, 10 * SEC, TIER_WHY_LIMIT, true },
                { SAMPLE_CPU_PERIODS, 100, 10 * SEC, TIER_WHY_QUIET, true },
                { SAMPLE_IO_SOME, 50000, 10 * SEC, TIER_WHY_STALL, true }, /* 0.5 % */
                { SAMPLE_IO_SOME, 49000, 10 * SEC, TIER_WHY_QUIET, true },
                { SAMPLE_IO_SOME, -1000, 10 * SEC, TIER_WHY_STALL, true },
                { SAMPLE_IO_FULL, 49000, 10 * SEC, TIER_WHY_QUIET, true },
                { SAMPLE_MEMORY, 10 * 1024 * 1024, 10 * SEC, TIER_WHY_MEMORY, true },
                { SAMPLE_MEMORY, 10 * 1024 * 1024 - 4096, 10 * SEC, TIER_WHY_QUIET, true },
                { SAMPLE_MEMORY, -10 * 1024 * 1024, 10 * SEC, TIER_WHY_MEMORY, true },
                { SAMPLE_MEMORY, -9 * 1024 * 1024, 10 * SEC, TIER_WHY_QUIET, true }, /* a gauge may fall */
                { SAMPLE_CPU_SOME, 5000, SEC, TIER_WHY_STALL, false },
                { SAMPLE_CPU_SOME, 4999, SEC, TIER_WHY_QUIET, false },
                { SAMPLE_MEMORY_SOME, 5000, SEC, TIER_WHY_STALL, false },
                { SAMPLE_IO_RBYTES, 256 * 1024, SEC, TIER_WHY_IO, false },
                { SAMPLE_IO_RBYTES, 256 * 1024 - 1, SEC, TIER_WHY_QUIET, false },
                { SAMPLE_IO_WBYTES, 3 * 256 * 1024, 3 * SEC, TIER_WHY_IO, false },
                { SAMPLE_IO_WBYTES, 256 * 1024, 3 * SEC, TIER_WHY_QUIET, false },
                { SAMPLE_IO_DBYTES, 256 * 1024, SEC, TIER_WHY_IO, false },
                { SAMPLE_IO_RIOS, 100, SEC, TIER_WHY_QUIET, false },
                { SAMPLE_IO_WBYTES, -1, SEC, TIER_WHY_IO, false },
                { SAMPLE_EVENTS_HIGH, 1, 10 * SEC, TIER_WHY_LIMIT, false },
                { SAMPLE_EVENTS_MAX, 1, 10 * SEC, TIER_WHY_LIMIT, false },
                { SAMPLE_EVENTS_OOM, 1, 10 * SEC, TIER_WHY_LIMIT, false },
                { SAMPLE_EVENTS_OOM_KILL, 1, 10 * SEC, TIER_WHY_LIMIT, false },
                { SAMPLE_EVENTS_OOM_KILL, -1, 10 * SEC, TIER_WHY_LIMIT, false },
                { SAMPLE_PIDS_EVENTS_MAX, 1, 10 * SEC, TIER_WHY_LIMIT, false },
                { SAMPLE_EVENTS_LOW, 1, 10 * SEC, TIER_WHY_QUIET, false }, /* its protection, no limit */
                { SAMPLE_PIDS, 50, SEC, TIER_WHY_QUIET, false },
                { SAMPLE_CPU_USAGE, 10000, 0, TIER_WHY_QUIET, true }, /* no time passed: no rate */
                { SAMPLE_EVENTS_MAX, 1, 0, TIER_WHY_LIMIT, false }, /* an event needs none */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                World w;
                Sample s, probe;
                bool hot = rows[i].why != TIER_WHY_QUIET;

                world_init(&w, START, SPREAD);
                idle(&w, START, START + 4 * SEC);
                assert_int_equal(w.t.level, TIER_COLD);
                w.last.at = w.t.rest_read = START + 3 * SEC;
                read_files(&w, tier_files_all(), &w.last);
                w.kernel.v[rows[i].field] += (uint64_t)rows[i].by;
                probe = s = w.last;
                probe.at = s.at = w.last.at + rows[i].span;
                read_files(&w, tier_files_probe(), &probe);
                read_files(&w, tier_files_all(), &s);
                if (tier_probe_moved(&w.last, &probe) != (hot && rows[i].in_probe))
                        fail_msg("row %zu: probe", i);
                tier_step(&w.t, &w.last, &s, tier_files_hot(), SPREAD);
                if (w.t.why != rows[i].why || w.t.level != (hot ? TIER_HOT : TIER_COLD))
                        fail_msg("row %zu: %s because of %s", i, tier_to_string(w.t.level),
                                 tier_why_to_string(w.t.why));
                if (hot) {
                        assert_int_equal(w.t.hot_until, s.at + TIER_QUIET_USEC);
                        assert_in_range(w.t.next, s.at + 1, s.at + TIER_HOT_USEC);
                } else
                        assert_in_range(w.t.next, s.at + 1, s.at + TIER_COLD_USEC);
                /* What is not had says nothing. */
                sample_clear(&s, SAMPLE_BIT(rows[i].field));
                w.t.hot_until = 0;
                tier_step(&w.t, &w.last, &s, tier_files_hot(), SPREAD);
                assert_int_equal(w.t.why, TIER_WHY_QUIET);
                assert_int_equal(w.t.level, TIER_COLD);
                s = w.last;
                sample_clear(&s, SAMPLE_ALL);
                s.at += SEC;
                assert_false(tier_probe_moved(&w.last, &s));
                assert_false(tier_probe_moved(&s, &w.last));
        }
}

/* When memory.stat is read besides the slow beat. */
static void test_memory_stat(void **state) {
        static const struct {
                SampleField field;
                int64_t by; /* within a second */
                bool wanted;
        } rows[] = {
                { SAMPLE_CPU_USAGE, 900000, false },
                { SAMPLE_IO_SOME, 900000, false },
                { SAMPLE_MEMORY_SOME, 4999, false },
                { SAMPLE_MEMORY_SOME, 5000, true },
                { SAMPLE_EVENTS_HIGH, 1, true },
                { SAMPLE_EVENTS_MAX, 1, true },
                { SAMPLE_EVENTS_OOM_KILL, 1, true },
                { SAMPLE_EVENTS_LOW, 1, false },
                { SAMPLE_CPU_THROTTLED, 1, false },
                { SAMPLE_PIDS_EVENTS_MAX, 1, false },
                { SAMPLE_MEMORY, TIER_GROWTH_BYTES, true },
                { SAMPLE_MEMORY, TIER_GROWTH_BYTES - 1, false },
                { SAMPLE_MEMORY, -2 * TIER_GROWTH_BYTES, false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                World w;
                Sample s;

                world_init(&w, START, SPREAD);
                (void)beat(&w, START);
                w.kernel.v[rows[i].field] += (uint64_t)rows[i].by;
                s = w.last;
                s.at += SEC;
                read_files(&w, tier_files_hot(), &s);
                if (tier_wants_memory_stat(&w.last, &s) != rows[i].wanted)
                        fail_msg("row %zu", i);
        }
}

static void test_unexplained(void **state) {
        static const struct {
                uint64_t parent, explained;
                usec_t span;
                bool result;
        } rows[] = {
                { 0, 0, SEC, false },
                { 20000, 0, SEC, false }, /* 2 % are still nothing */
                { 20101, 0, SEC, true },
                { 520101, 500000, SEC, true },
                { 520101, 500000, 2 * SEC, false },
                { 500000, 520101, SEC, false }, /* children counted later than the parent */
                { 20101, 0, 0, false },
                { UINT64_MAX, 0, 1, true },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (tier_unexplained(rows[i].parent, rows[i].explained, rows[i].span) != rows[i].result)
                        fail_msg("row %zu", i);
}

/* ---- traces ---- */

/* Each row: at which second, what happened since the row before, and what the beat then does. */
typedef struct Row {
        unsigned at;
        SampleField field;
        int64_t by;
        uint32_t (*files)(void); /* NULL: not due */
        TierLevel level;
        TierWhy why;
} Row;

static void run_trace(const Row *rows, size_t n) {
        World w;

        world_init(&w, START, 0);
        w.t.next_slow = START;
        for (size_t i = 0; i < n; i++) {
                uint32_t files, want = rows[i].files ? rows[i].files() : 0;

                w.kernel.v[rows[i].field] += (uint64_t)rows[i].by;
                files = beat(&w, START + rows[i].at * SEC);
                if (files != want || w.t.level != rows[i].level || w.t.why != rows[i].why)
                        fail_msg("row %zu: read %x and not %x, %s because of %s", i, files, want,
                                 tier_to_string(w.t.level), tier_why_to_string(w.t.why));
        }
}

/* Spread 0 is the slot 0: START is a whole slow period but 40 s, cold probes are at 0, 10, 20 s. */
static void test_life(void **state) {
        static const Row rows[] = {
                { 0, SAMPLE_CPU_USAGE, 0, tier_files_all, TIER_HOT, TIER_WHY_NEW },
                { 1, SAMPLE_CPU_USAGE, 0, tier_files_hot, TIER_HOT, TIER_WHY_NEW },
                { 2, SAMPLE_CPU_USAGE, 500000, tier_files_hot, TIER_HOT, TIER_WHY_CPU },
                { 3, SAMPLE_IO_WBYTES, 1 << 20, tier_files_hot, TIER_HOT, TIER_WHY_IO },
                { 4, SAMPLE_IO_WBYTES, 0, tier_files_hot, TIER_HOT, TIER_WHY_IO },
                { 5, SAMPLE_IO_WBYTES, 0, tier_files_hot, TIER_HOT, TIER_WHY_IO },
                { 6, SAMPLE_CPU_USAGE, 5000, tier_files_hot, TIER_HOT, TIER_WHY_IO },
                { 7, SAMPLE_CPU_USAGE, 5000, tier_files_hot, TIER_HOT, TIER_WHY_IO },
                { 8, SAMPLE_CPU_USAGE, 0, tier_files_hot, TIER_COLD, TIER_WHY_QUIET }, /* quiet for 5 s */
                { 9, SAMPLE_CPU_USAGE, 0, NULL, TIER_COLD, TIER_WHY_QUIET },
                { 10, SAMPLE_CPU_USAGE, 9000, tier_files_probe, TIER_COLD, TIER_WHY_QUIET },
                { 11, SAMPLE_CPU_USAGE, 50000, NULL, TIER_COLD, TIER_WHY_QUIET },
                { 19, SAMPLE_CPU_USAGE, 50000, NULL, TIER_COLD, TIER_WHY_QUIET },
                { 20, SAMPLE_IO_RIOS, 10, tier_files_all, TIER_HOT, TIER_WHY_CPU }, /* the slow beat */
                { 21, SAMPLE_CPU_USAGE, 0, tier_files_hot, TIER_HOT, TIER_WHY_CPU },
                { 25, SAMPLE_CPU_USAGE, 0, tier_files_hot, TIER_COLD, TIER_WHY_QUIET },
                { 30, SAMPLE_CPU_USAGE, 0, tier_files_probe, TIER_COLD, TIER_WHY_QUIET },
                { 40, SAMPLE_CPU_USAGE, 100000, tier_files_hot, TIER_HOT, TIER_WHY_CPU }, /* it moved */
                { 45, SAMPLE_CPU_USAGE, 0, tier_files_hot, TIER_COLD, TIER_WHY_QUIET },
                /* IO of a minute, found at the slow beat: no more than 200 KiB a second */
                { 50, SAMPLE_IO_RBYTES, 0, tier_files_probe, TIER_COLD, TIER_WHY_QUIET },
                { 60, SAMPLE_IO_RBYTES, 0, tier_files_probe, TIER_COLD, TIER_WHY_QUIET },
                { 70, SAMPLE_IO_RBYTES, 0, tier_files_probe, TIER_COLD, TIER_WHY_QUIET },
                { 80, SAMPLE_IO_RBYTES, 35 * 200 * 1024, tier_files_all, TIER_COLD, TIER_WHY_QUIET },
                { 140, SAMPLE_IO_RBYTES, 60 * 300 * 1024, tier_files_all, TIER_HOT, TIER_WHY_IO },
        };

        (void)state;
        assert_int_equal(START % TIER_SLOW_USEC, 40 * SEC);
        run_trace(rows, ARRAY_SIZE(rows));
}

/* A new one that does nothing is cold soon; a busy one never is. */
static void test_new_and_busy(void **state) {
        World w;

        (void)state;
        world_init(&w, START, SPREAD);
        idle(&w, START, START + TIER_NEW_USEC);
        assert_int_equal(w.t.level, TIER_HOT);
        assert_int_equal(w.t.why, TIER_WHY_NEW);
        (void)beat(&w, START + TIER_NEW_USEC);
        assert_int_equal(w.t.level, TIER_COLD);

        world_init(&w, START, SPREAD);
        for (usec_t i = 0; i < 1000; i++) {
                bump(&w.kernel, SAMPLE_CPU_USAGE, i % 4 == 1 ? 50000 : 0); /* with pauses */
                assert_true(beat(&w, START + i * SEC) != 0);
                assert_int_equal(w.t.level, TIER_HOT);
        }
        assert_in_range(w.n_slow, 17, 18); /* 1000 s / 60 s, and the first */
}

static void test_frozen(void **state) {
        World w;

        (void)state;
        world_init(&w, START, SPREAD);
        sample_put(&w.kernel, SAMPLE_FROZEN, 1);
        for (usec_t i = 0; i <= 5; i++) {
                bump(&w.kernel, SAMPLE_MEMORY_SOME, 900000);
                bump(&w.kernel, SAMPLE_EVENTS_HIGH, 1);
                (void)beat(&w, START + i * SEC);
        }
        assert_int_equal(w.t.level, TIER_COLD);
        /* Thawed, it is found at its next probe, which does not read that it is. */
        sample_put(&w.kernel, SAMPLE_FROZEN, 0);
        bump(&w.kernel, SAMPLE_CPU_USAGE, 5 * SEC);
        for (usec_t i = 6; i <= 15 && w.t.level == TIER_COLD; i++)
                (void)beat(&w, START + i * SEC);
        assert_int_equal(w.t.level, TIER_HOT);
        assert_int_equal(w.t.why, TIER_WHY_LIMIT); /* of while it was frozen: nobody has read it since */
}

/* What was frozen at the look before does not hide what a probe alone sees. */
static void test_frozen_before(void **state) {
        Sample s;
        World w;

        (void)state;
        world_init(&w, START, SPREAD);
        sample_put(&w.kernel, SAMPLE_FROZEN, 1);
        idle(&w, START, START + 5 * SEC);
        assert_int_equal(w.t.level, TIER_COLD);
        s = w.last;
        s.at += 10 * SEC;
        bump(&s, SAMPLE_CPU_USAGE, 10 * SEC);
        tier_step(&w.t, &w.last, &s, tier_files_probe(), SPREAD);
        assert_int_equal(w.t.why, TIER_WHY_CPU);
        tier_step(&w.t, &w.last, &s, tier_files_hot(), SPREAD);
        assert_int_equal(w.t.why, TIER_WHY_CPU); /* hot still, but not longer */
        assert_int_equal(w.t.hot_until, s.at + TIER_QUIET_USEC);
}

/* A look that has memory.stat because it was wanted is no slow beat. */
static void test_slow(void **state) {
        const uint32_t memory_stat = SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT);
        usec_t next_slow;
        Sample s;
        World w;

        (void)state;
        world_init(&w, START, SPREAD);
        assert_int_equal(beat(&w, START), tier_files_all());
        next_slow = w.t.next_slow;
        assert_in_range(next_slow, START + 1, START + TIER_SLOW_USEC);
        s = w.last;
        s.at = next_slow + SEC; /* it is overdue */
        tier_step(&w.t, &w.last, &s, tier_files_hot() | memory_stat, SPREAD);
        assert_int_equal(w.t.next_slow, next_slow);
        assert_int_equal(tier_due(&w.t, s.at + TIER_COLD_USEC), tier_files_all());
        tier_step(&w.t, &w.last, &s, tier_files_all(), SPREAD);
        assert_int_equal(w.t.next_slow, next_slow + TIER_SLOW_USEC);
}

static void test_wake(void **state) {
        World w;

        (void)state;
        world_init(&w, START, SPREAD);
        idle(&w, START, START + 100 * SEC);
        assert_int_equal(w.t.level, TIER_COLD);
        assert_int_equal(tier_due(&w.t, w.last.at), 0);
        w.t.next_slow = START + 200 * SEC;
        tier_wake(&w.t, START + 99 * SEC + 300 * MSEC, TIER_WHY_TRIGGER);
        assert_int_equal(w.t.level, TIER_HOT);
        assert_int_equal(beat(&w, START + 99 * SEC + 300 * MSEC), tier_files_hot());
        assert_int_equal(w.t.why, TIER_WHY_TRIGGER); /* nothing else says why */
        assert_int_equal(w.t.next, START + 100 * SEC + 300 * MSEC);
        idle(&w, START + 100 * SEC, START + 105 * SEC);
        assert_int_equal(w.t.level, TIER_HOT);
        idle(&w, START + 105 * SEC, START + 107 * SEC);
        assert_int_equal(w.t.level, TIER_COLD);
        /* Asked for again and again it stays hot. */
        for (usec_t i = 110; i < 200; i += 3) {
                tier_wake(&w.t, START + i * SEC, TIER_WHY_ASKED);
                idle(&w, START + i * SEC, START + (i + 3) * SEC);
                assert_int_equal(w.t.level, TIER_HOT);
                assert_int_equal(w.t.why, TIER_WHY_ASKED);
        }
}

static void test_skip(void **state) {
        TierState before;
        usec_t due;
        World w;

        (void)state;
        world_init(&w, START, SPREAD);
        idle(&w, START, START + 5 * SEC);
        assert_int_equal(w.t.level, TIER_COLD);
        w.t.next_slow = START + 1000 * SEC;
        due = w.t.next;
        before = w.t;
        tier_skip(&w.t, due - 1, SPREAD); /* not due: nothing to skip */
        assert_memory_equal(&w.t, &before, sizeof(before));
        tier_skip(&w.t, due, SPREAD);
        assert_int_equal(w.t.next, due + TIER_COLD_USEC);
        assert_int_equal(w.t.level, TIER_COLD);
        assert_int_equal(tier_due(&w.t, due), 0);
        /* It keeps its slot whenever that is noticed. */
        tier_skip(&w.t, due + TIER_COLD_USEC + 900 * MSEC, SPREAD);
        assert_int_equal(w.t.next, due + 2 * TIER_COLD_USEC);
        /* The slow beat is not skipped. */
        w.t.next_slow = w.t.next;
        due = w.t.next;
        tier_skip(&w.t, due, SPREAD);
        assert_int_equal(tier_due(&w.t, due), tier_files_all());
        /* Nor is a hot one. */
        tier_wake(&w.t, START + 60 * SEC, TIER_WHY_ASKED);
        before = w.t;
        tier_skip(&w.t, START + 60 * SEC, SPREAD);
        assert_memory_equal(&w.t, &before, sizeof(before));
}

/* A loop that is a little late now and then looks each beat all the same; after a long gap it catches nothing up. */
static void test_beat(void **state) {
        World w;

        (void)state;
        random_state = UINT64_C(0x9e3779b97f4a7c15);
        print_message("seed %llu\n", (unsigned long long)random_state);
        world_init(&w, START, SPREAD);
        for (usec_t i = 0; i < 500; i++) {
                bump(&w.kernel, SAMPLE_CPU_USAGE, 500000);
                (void)beat(&w, START + i * SEC + next_random() % (50 * MSEC));
        }
        assert_in_range(w.n_looks, 498, 500);
        w.n_looks = 0;
        bump(&w.kernel, SAMPLE_CPU_USAGE, 90 * SEC);
        for (usec_t i = 0; i < 30; i++)
                (void)beat(&w, START + 600 * SEC + i * 100 * MSEC);
        assert_int_equal(w.n_looks, 3);
        /* Late by 40 s with the CPU time of one second at 10 %: idle. */
        idle(&w, START + 603 * SEC, START + 620 * SEC);
        assert_int_equal(w.t.level, TIER_COLD);
        w.t.next_slow = START + 1000 * SEC;
        bump(&w.kernel, SAMPLE_CPU_USAGE, 100000);
        assert_int_equal(beat(&w, START + 660 * SEC), tier_files_probe());
        assert_int_equal(w.t.level, TIER_COLD);
}

/* ---- a thousand ---- */

/* Each idle one is probed once in each cold period and read once in each slow one, and no second has much more than its share. */
static void test_spread(void **state) {
        enum { N = 1000, FROM = 20, PERIODS = 24 };
        _cleanup_free_ World *w = calloc(N, sizeof(*w));

        (void)state;
        assert_non_null(w);
        for (uint64_t seed = 1; seed <= 20; seed++) {
                static const uint64_t strides[] = { 1, 2, 3, 7, 10, 64, 987, 1000, 4096, 60000000 };
                uint64_t stride = strides[seed % ARRAY_SIZE(strides)], first;
                uint64_t probes[N] = {}, slow[N] = {};

                random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
                first = next_random() >> (seed % 2 ? 20 : 50);
                for (size_t i = 0; i < N; i++)
                        world_init(&w[i], START, first + i * stride);
                for (usec_t s = 0; s < FROM + PERIODS * 10; s++) {
                        size_t n = 0;

                        for (size_t i = 0; i < N; i++) {
                                uint32_t files = beat(&w[i], START + s * SEC);

                                n += files != 0;
                                if (s >= FROM) {
                                        probes[i] += files != 0;
                                        slow[i] += files == tier_files_all();
                                }
                        }
                        if (s >= FROM && (n < 60 || n > 140))
                                fail_msg("seed %llu, stride %llu: %zu in second %llu",
                                         (unsigned long long)seed, (unsigned long long)stride, n,
                                         (unsigned long long)s);
                        if (s < FROM || (s - FROM) % 10 != 9)
                                continue;
                        for (size_t i = 0; i < N; i++)
                                if (probes[i] != (s - FROM) / 10 + 1)
                                        fail_msg("seed %llu: %llu probes of %zu until second %llu",
                                                 (unsigned long long)seed, (unsigned long long)probes[i], i,
                                                 (unsigned long long)s);
                }
                for (size_t i = 0; i < N; i++)
                        assert_int_equal(slow[i], PERIODS / 6);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),         cmocka_unit_test(test_files),
                cmocka_unit_test(test_active),        cmocka_unit_test(test_memory_stat),
                cmocka_unit_test(test_unexplained),   cmocka_unit_test(test_life),
                cmocka_unit_test(test_new_and_busy),  cmocka_unit_test(test_frozen),
                cmocka_unit_test(test_frozen_before), cmocka_unit_test(test_slow),
                cmocka_unit_test(test_wake),          cmocka_unit_test(test_skip),
                cmocka_unit_test(test_beat),          cmocka_unit_test(test_spread),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
