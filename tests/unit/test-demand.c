/* SPDX-License-Identifier: Apache-2.0 */

/* Demand from samples: traces of looks, and what is wanted when. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include <sys/sysmacros.h>

#include "demand.h"
#include "no-memory.h"
#include "random.h"
#include "share.h"

#define S USEC_PER_SEC
#define UNKNOWN UINT64_MAX
#define DISK makedev(8, 0)
#define OTHER makedev(259, 1)

static const SampleFile files_of[] = {
        SAMPLE_FILE_CPU_STAT,      SAMPLE_FILE_MEMORY_CURRENT, SAMPLE_FILE_MEMORY_SWAP_CURRENT,
        SAMPLE_FILE_MEMORY_EVENTS, SAMPLE_FILE_PIDS_CURRENT,   SAMPLE_FILE_PIDS_EVENTS,
};
static const SampleField fields_of[] = {
        SAMPLE_CPU_USAGE, SAMPLE_MEMORY, SAMPLE_SWAP, SAMPLE_EVENTS_MAX, SAMPLE_PIDS, SAMPLE_PIDS_EVENTS_MAX,
};

/* A look that read one field's file. */
static void feed(Demand *d, usec_t at, SampleField f, uint64_t v) {
        Sample s = { .at = at };
        size_t i = 0;

        while (fields_of[i] != f)
                i++;
        sample_put(&s, f, v);
        assert_int_equal(demand_feed(d, &s, SAMPLE_FILE_BIT(files_of[i]), NULL), 0);
}

static uint64_t use_of(const Demand *d, Limit limit, dev_t dev, usec_t now, bool *ret_hit) {
        _cleanup_(limit_set_deinit) LimitSet sum = LIMIT_SET_INIT, use = LIMIT_SET_INIT;
        const LimitKnob knob = { .limit = limit, .dev = dev };
        const LimitEntry *e;

        assert_int_equal(limit_set_put(&sum, knob, 1000, 77), 0);
        assert_int_equal(demand_use(d, &sum, now, &use), 0);
        e = limit_set_find(&use, knob);
        if (ret_hit)
                *ret_hit = e && e->origin == SHARE_USE_HIT;
        return e ? e->value : UNKNOWN;
}

/* One field fed at some times, one question after them. */
static void test_traces(void **state) {
        static const struct {
                const char *what;
                SampleField field;
                Limit limit;
                struct {
                        usec_t at;
                        uint64_t v;
                } feed[5];
                usec_t now;
                uint64_t use;
        } rows[] = {
                { "one look is no rate", SAMPLE_CPU_USAGE, LIMIT_CPU_QUOTA, { { S, 500 } }, S, UNKNOWN },
                { "a rate",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 500 }, { 3 * S, 1000500 } },
                  3 * S,
                  500000 },
                { "two halvings",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 0 }, { 2 * S, 800000 } },
                  22 * S,
                  200000 },
                { "half a halving",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 0 }, { 2 * S, 800000 }, { 3 * S, 800000 }, { 6 * S, 800000 } },
                  7 * S,
                  600000 },
                { "a new peak",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 0 }, { 2 * S, 800000 }, { 12 * S, 800000 }, { 13 * S, 1300000 } },
                  13 * S,
                  500000 },
                { "too soon after the look before",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 0 }, { S + S / 10, 800000 }, { 2 * S, 900000 } },
                  2 * S,
                  900000 },
                { "went back: anew",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 900000 }, { 2 * S, 100000 }, { 3 * S, 300000 } },
                  3 * S,
                  200000 },
                { "time went back: nothing",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { 3 * S, 100000 }, { 4 * S, 200000 }, { 2 * S, 900000 }, { 5 * S, 400000 } },
                  5 * S,
                  200000 },
                { "huge",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 0 }, { 2 * S - S / 2, UINT64_MAX } },
                  2 * S - S / 2,
                  UINT64_MAX },
                { "forgotten",
                  SAMPLE_CPU_USAGE,
                  LIMIT_CPU_QUOTA,
                  { { S, 0 }, { 2 * S, 800000 } },
                  2 * S + DEMAND_STALE_USEC + 1,
                  UNKNOWN },
                { "memory", SAMPLE_MEMORY, LIMIT_MEMORY_MAX, { { S, 4096 } }, S, 4096 },
                { "memory stays", SAMPLE_MEMORY, LIMIT_MEMORY_HIGH, { { S, 4096 } }, 100 * S, 4096 },
                { "a peak of memory fades",
                  SAMPLE_MEMORY,
                  LIMIT_MEMORY_HIGH,
                  { { S, 80000 }, { 2 * S, 30000 } },
                  11 * S,
                  40000 },
                { "to what is there",
                  SAMPLE_MEMORY,
                  LIMIT_MEMORY_HIGH,
                  { { S, 80000 }, { 2 * S, 30000 } },
                  31 * S,
                  30000 },
                { "memory forgotten",
                  SAMPLE_MEMORY,
                  LIMIT_MEMORY_HIGH,
                  { { S, 80000 } },
                  S + DEMAND_STALE_USEC + 1,
                  UNKNOWN },
                { "memory, time went back",
                  SAMPLE_MEMORY,
                  LIMIT_MEMORY_MAX,
                  { { 3 * S, 5000 }, { 2 * S, 9000 } },
                  3 * S,
                  5000 },
                { "swap", SAMPLE_SWAP, LIMIT_MEMORY_SWAP_MAX, { { S, 8192 } }, S, 8192 },
                { "tasks", SAMPLE_PIDS, LIMIT_TASKS_MAX, { { S, 12 }, { 2 * S, 3 } }, 2 * S, 12 },
                { "tasks say nothing of memory", SAMPLE_PIDS, LIMIT_MEMORY_MAX, { { S, 12 } }, S, UNKNOWN },
                { "weights are not used", SAMPLE_CPU_USAGE, LIMIT_CPU_WEIGHT, { { S, 1 } }, S, UNKNOWN },
                { "io unknown", SAMPLE_MEMORY, LIMIT_IO_READ_IOPS_MAX, { { S, 1 } }, S, UNKNOWN },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Demand d = {};
                uint64_t use;

                for (size_t k = 0; k < ARRAY_SIZE(rows[i].feed) && rows[i].feed[k].at > 0; k++)
                        feed(&d, rows[i].feed[k].at, rows[i].field, rows[i].feed[k].v);
                use = use_of(&d, rows[i].limit, 0, rows[i].now, NULL);
                if (use != rows[i].use)
                        fail_msg("%s: %llu", rows[i].what, (unsigned long long)use);
                demand_deinit(&d);
        }
}

/* What was not read this time is old news, and does not count again. */
static void test_files(void **state) {
        Sample s = { .at = S };
        Demand d = {};

        (void)state;
        sample_put(&s, SAMPLE_MEMORY, 4096);
        sample_put(&s, SAMPLE_PIDS, 5);
        assert_int_equal(demand_feed(&d, &s, SAMPLE_FILE_BIT(SAMPLE_FILE_PIDS_CURRENT), NULL), 0);
        assert_int_equal(use_of(&d, LIMIT_MEMORY_MAX, 0, S, NULL), UNKNOWN);
        assert_int_equal(use_of(&d, LIMIT_TASKS_MAX, 0, S, NULL), 5);
        /* read, but the kernel did not say */
        s = (Sample){ .at = 2 * S };
        assert_int_equal(demand_feed(&d, &s, SAMPLE_FILES_ALL, NULL), 0);
        assert_int_equal(use_of(&d, LIMIT_MEMORY_MAX, 0, 2 * S, NULL), UNKNOWN);
        assert_int_equal(use_of(&d, LIMIT_TASKS_MAX, 0, 2 * S, NULL), 5);
        demand_deinit(&d);
}

static void feed_cpu(Demand *d, usec_t at, uint64_t periods, uint64_t throttled) {
        Sample s = { .at = at };

        sample_put(&s, SAMPLE_CPU_USAGE, at / 10);
        sample_put(&s, SAMPLE_CPU_PERIODS, periods);
        sample_put(&s, SAMPLE_CPU_THROTTLED, throttled);
        assert_int_equal(demand_feed(d, &s, SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT), NULL), 0);
}

static void test_hits(void **state) {
        Demand d = {};
        bool hit;

        (void)state;
        feed_cpu(&d, S, 100, 90); /* the past */
        feed_cpu(&d, 2 * S, 130, 92); /* two of thirty are none */
        (void)use_of(&d, LIMIT_CPU_QUOTA, 0, 2 * S, &hit);
        assert_false(hit);
        feed_cpu(&d, 3 * S, 140, 93);
        (void)use_of(&d, LIMIT_CPU_QUOTA, 0, 3 * S + DEMAND_HIT_USEC, &hit);
        assert_true(hit);
        (void)use_of(&d, LIMIT_CPU_QUOTA, 0, 3 * S + DEMAND_HIT_USEC + 1, &hit);
        assert_false(hit);
        feed_cpu(&d, 40 * S, 10, 1); /* another life's counters are no hit */
        (void)use_of(&d, LIMIT_CPU_QUOTA, 0, 40 * S, &hit);
        assert_false(hit);

        feed(&d, S, SAMPLE_MEMORY, 1);
        feed(&d, S, SAMPLE_PIDS, 1);
        feed(&d, S, SAMPLE_EVENTS_MAX, 7);
        feed(&d, S, SAMPLE_PIDS_EVENTS_MAX, 7);
        feed(&d, 2 * S, SAMPLE_EVENTS_MAX, 7);
        feed(&d, 2 * S, SAMPLE_PIDS_EVENTS_MAX, 3);
        (void)use_of(&d, LIMIT_MEMORY_MAX, 0, 2 * S, &hit);
        assert_false(hit);
        (void)use_of(&d, LIMIT_TASKS_MAX, 0, 2 * S, &hit);
        assert_false(hit);
        feed(&d, 3 * S, SAMPLE_EVENTS_MAX, 8);
        feed(&d, 3 * S, SAMPLE_PIDS_EVENTS_MAX, 4);
        (void)use_of(&d, LIMIT_MEMORY_HIGH, 0, 3 * S, &hit);
        assert_true(hit);
        (void)use_of(&d, LIMIT_TASKS_MAX, 0, 3 * S, &hit);
        assert_true(hit);
        demand_deinit(&d);
}

static int feed_io(Demand *d, usec_t at, SampleDevice *devices, size_t n, size_t n_unlisted) {
        const SampleIo io = { .devices = devices, .n = n, .n_unlisted = n_unlisted };
        Sample s = { .at = at };

        sample_put(&s, SAMPLE_IO_RBYTES, 0);
        return demand_feed(d, &s, SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT), &io);
}

static void test_io(void **state) {
        SampleDevice devices[] = { { .dev = DISK, .rbytes = 1000, .wbytes = 2000, .rios = 10, .wios = 20 },
                                   { .dev = OTHER, .rbytes = 600 } };
        Demand d = {};

        (void)state;
        assert_int_equal(feed_io(&d, S, devices, 1, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, DISK, S, NULL), UNKNOWN);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, S, NULL), 0);
        devices[0] = (SampleDevice){ .dev = DISK, .rbytes = 3000, .wbytes = 6000, .rios = 18, .wios = 36 };
        assert_int_equal(feed_io(&d, 3 * S, devices, 2, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, DISK, 3 * S, NULL), 1000);
        assert_int_equal(use_of(&d, LIMIT_IO_WRITE_BANDWIDTH_MAX, DISK, 3 * S, NULL), 2000);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_IOPS_MAX, DISK, 3 * S, NULL), 4);
        assert_int_equal(use_of(&d, LIMIT_IO_WRITE_IOPS_MAX, DISK, 3 * S, NULL), 8);
        assert_int_equal(use_of(&d, LIMIT_IO_DEVICE_LATENCY, DISK, 3 * S, NULL), UNKNOWN);
        /* a disk used for the first time has counted from 0 */
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, 3 * S, NULL), 300);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, DISK, 13 * S, NULL), 500);
        /* gone, and one that is not listed is not known */
        assert_int_equal(feed_io(&d, 4 * S, devices, 1, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, 4 * S, NULL), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, 5 * S + DEMAND_STALE_USEC, NULL),
                         UNKNOWN);
        assert_int_equal(feed_io(&d, 5 * S, devices, 1, 3), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, 5 * S, NULL), UNKNOWN);
        assert_int_equal(feed_io(&d, 6 * S, devices, 2, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, 6 * S, NULL), UNKNOWN);
        devices[1].rbytes += 50;
        devices[0].rbytes = 5; /* went back */
        assert_int_equal(feed_io(&d, 7 * S, devices, 2, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, OTHER, 7 * S, NULL), 50);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, DISK, 13 * S, NULL), 500);
        assert_int_equal(feed_io(&d, 8 * S, NULL, 0, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_BANDWIDTH_MAX, DISK, 8 * S, NULL), 0);
        demand_deinit(&d);
}

/* Whatever is fed: never below what is used now, never above what ever was, and fading while nothing comes. */
static void test_random(void **state) {
        (void)state;
        for (unsigned round = 0; round < 2000; round++) {
                uint64_t highest = 0, last = 0, before;
                usec_t now = next_random() % 100 + 1;
                Demand d = {};

                for (unsigned i = next_random() % 20 + 1; i > 0; i--) {
                        now += next_random() % (5 * S);
                        last = next_random() >> next_random() % 64;
                        highest = MAX_OF(highest, last);
                        feed(&d, now, SAMPLE_MEMORY, last);
                        before = use_of(&d, LIMIT_MEMORY_MAX, 0, now, NULL);
                        assert_true(before >= last && before <= highest);
                }
                before = highest;
                for (usec_t later = 0; later < DEMAND_STALE_USEC; later += next_random() % (3 * S)) {
                        uint64_t use = use_of(&d, LIMIT_MEMORY_MAX, 0, now + later, NULL);

                        assert_true(use <= before && use >= last);
                        before = use;
                }
                demand_deinit(&d);
        }
}

static void test_no_memory(void **state) {
        _cleanup_(limit_set_deinit) LimitSet sum = LIMIT_SET_INIT, use = LIMIT_SET_INIT;
        SampleDevice devices[] = { { .dev = DISK }, { .dev = OTHER } };
        Demand d = {};

        (void)state;
        feed(&d, S, SAMPLE_MEMORY, 5);
        assert_int_equal(feed_io(&d, S, devices, 1, 0), 0);
        devices[0].rios = 9;
        assert_int_equal(limit_set_put(&sum, (LimitKnob){ .limit = LIMIT_MEMORY_MAX }, 1, 0), 0);
        assert_int_equal(limit_set_put(&use, (LimitKnob){ .limit = LIMIT_TASKS_MAX }, 3, 0), 0);
        allocations_left = 0;
        assert_int_equal(feed_io(&d, 2 * S, devices, 2, 0), -ENOMEM);
        assert_int_equal(demand_use(&d, &sum, S, &use), -ENOMEM);
        allocations_left = SIZE_MAX;
        assert_int_equal(use.n, 1);
        assert_int_equal(d.n_devices, 1);
        assert_int_equal(feed_io(&d, 4 * S, devices, 2, 0), 0);
        assert_int_equal(use_of(&d, LIMIT_IO_READ_IOPS_MAX, DISK, 4 * S, NULL), 3);
        demand_deinit(&d);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_traces), cmocka_unit_test(test_files),
                cmocka_unit_test(test_hits),   cmocka_unit_test(test_io),
                cmocka_unit_test(test_random), cmocka_unit_test(test_no_memory),
        };

        seed_random();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
