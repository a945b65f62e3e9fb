/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Files are given as the kernel's own text. Each row is a lease, what the file
 * says, and what reconciliation is to see of it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "overlay.h"
#include "random.h"

#define PAGE 4096
#define MB (UINT64_C(1) << 20)
#define MAXV LIMIT_INFINITY
#define MS USEC_PER_MSEC

static bool refuse_memory;

/* By the linker's --wrap. */
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return refuse_memory ? NULL : __real_reallocarray(p, n, size);
}

static void read_text(LimitSet *set, LimitFile file, const char *text) {
        assert_int_equal(limits_parse_file(file, text, strlen(text), set), 0);
}

static void assert_text(LimitFile file, dev_t dev, const LimitSet *set, const char *expected) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r = limits_format_file(file, dev, set, NULL, &b);

        if (!expected) {
                assert_int_equal(r, -ENOENT);
                return;
        }
        assert_int_equal(r, 0);
        assert_string_equal(buf_str(&b), expected);
}

static void limit_set_cleanup(LimitSet *s) { limit_set_deinit(s); }
#define _cleanup_set_ _cleanup_(limit_set_cleanup)

typedef struct Row {
        OverlayLease lease; /* as on file */
        LimitFile file;
        const char *actual; /* NULL: no such file */
        const char *seen; /* NULL: no such knob */
        bool rewrite, changed;
        uint64_t beneath; /* afterwards */
        usec_t beneath_period;
} Row;

#define CPU(v, p, b, bp) \
        { .knob = { .limit = LIMIT_CPU_QUOTA }, .value = v, .period = p, .beneath = b, .beneath_period = bp }
#define KNOB(l, v, b) \
        { .knob = { .limit = l }, .value = v, .beneath = b }

static const Row rows[] = {
        /* cpu.max: quota and period are one. */
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "50000 100000", "max 100000", false,
          false, MAXV, 100 * MS },
        { CPU(500000, 100 * MS, 2000000, 50 * MS), LIMIT_FILE_CPU_MAX, "50000 100000", "100000 50000", false,
          false, 2000000, 50 * MS },
        /* the period that limits_format_file() had to lengthen */
        { CPU(5000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "1000 200000", "max 100000", false, false,
          MAXV, 100 * MS },
        /* PID 1 wrote its own value: looser */
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "80000 100000", "80000 100000", true,
          true, 800000, 100 * MS },
        { CPU(500000, 100 * MS, 800000, 100 * MS), LIMIT_FILE_CPU_MAX, "max 100000", "max 100000", true, true,
          MAXV, 100 * MS },
        /* tighter */
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "20000 100000", "20000 100000", false,
          true, 200000, 100 * MS },
        /* what was there before is there again: nothing new, but to be written */
        { CPU(500000, 100 * MS, 800000, 100 * MS), LIMIT_FILE_CPU_MAX, "80000 100000", "80000 100000", true,
          false, 800000, 100 * MS },
        /* the lease's share with another period is somebody's own; it is no looser */
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "25000 50000", "25000 50000", false,
          true, 500000, 50 * MS },
        /* only the period is another */
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "max 250000", "max 250000", true, true,
          MAXV, 250 * MS },
        /* less than a percent off is ours, a percent is not */
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "50900 100000", "max 100000", false,
          false, MAXV, 100 * MS },
        { CPU(500000, 100 * MS, MAXV, 100 * MS), LIMIT_FILE_CPU_MAX, "51000 100000", "51000 100000", true,
          true, 510000, 100 * MS },
        /* kept to the last digit, though nearly what was beneath */
        { CPU(500000, 100 * MS, 800000, 100 * MS), LIMIT_FILE_CPU_MAX, "80500 100000", "80500 100000", true,
          true, 805000, 100 * MS },
        { CPU(500000, 100 * MS, 800000, 100 * MS), LIMIT_FILE_CPU_MAX, NULL, NULL, true, true, MAXV,
          100 * MS },

        /* Memory: pages. */
        { KNOB(LIMIT_MEMORY_HIGH, 100 * MB + 17, MAXV), LIMIT_FILE_MEMORY_HIGH, "104857600", "max", false,
          false, MAXV, 0 },
        { KNOB(LIMIT_MEMORY_HIGH, 100 * MB, 200 * MB + 5), LIMIT_FILE_MEMORY_HIGH, "104857600", "209715205",
          false, false, 200 * MB + 5, 0 },
        /* given back by hand: beneath stays what was asked for, not what it was rounded to */
        { KNOB(LIMIT_MEMORY_HIGH, 100 * MB, 200 * MB + 5), LIMIT_FILE_MEMORY_HIGH, "209715200", "209715200",
          true, false, 200 * MB + 5, 0 },
        { KNOB(LIMIT_MEMORY_HIGH, 100 * MB, MAXV), LIMIT_FILE_MEMORY_HIGH, "104861696", "104861696", true,
          true, 100 * MB + PAGE, 0 },
        { KNOB(LIMIT_MEMORY_HIGH, 100 * MB, MAXV), LIMIT_FILE_MEMORY_HIGH, "104853504", "104853504", false,
          true, 100 * MB - PAGE, 0 },
        { KNOB(LIMIT_MEMORY_HIGH, 0, MAXV), LIMIT_FILE_MEMORY_HIGH, "0", "max", false, false, MAXV, 0 },
        /* Nothing is above these. */
        { KNOB(LIMIT_MEMORY_HIGH, MAXV, 100 * MB), LIMIT_FILE_MEMORY_HIGH, "max", "max", false, true, MAXV,
          0 },
        { KNOB(LIMIT_MEMORY_HIGH, MAXV - 1, 100 * MB), LIMIT_FILE_MEMORY_HIGH, NULL, NULL, false, true, MAXV,
          0 },

        { KNOB(LIMIT_TASKS_MAX, 50, 400), LIMIT_FILE_PIDS_MAX, "50", "400", false, false, 400, 0 },
        { KNOB(LIMIT_TASKS_MAX, 50, 400), LIMIT_FILE_PIDS_MAX, "51", "51", true, true, 51, 0 },
        { KNOB(LIMIT_TASKS_MAX, 50, 400), LIMIT_FILE_PIDS_MAX, "max", "max", true, true, MAXV, 0 },
};

static void test_one(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Row *t = &rows[i];
                _cleanup_set_ LimitSet set = LIMIT_SET_INIT, raw = LIMIT_SET_INIT;
                OverlayLease l = t->lease;
                LimitEntry e = { .value = 4711 };
                usec_t period = 4711;
                bool ours;

                if (t->actual)
                        read_text(&set, t->file, t->actual);
                assert_int_equal(limit_set_copy(&raw, &set), 0);
                /* Out fields of an earlier call say nothing. */
                l.rewrite = l.changed = true;
                assert_int_equal(overlay_read(&l, 1, &set, PAGE), 0);
                assert_text(t->file, 0, &set, t->seen);
                if (l.rewrite != t->rewrite || l.changed != t->changed)
                        fail_msg("row %zu: rewrite %d, changed %d", i, l.rewrite, l.changed);
                assert_true(l.beneath == t->beneath);
                assert_true(l.beneath_period == t->beneath_period);
                assert_true(l.value == t->lease.value && l.period == t->lease.period);

                /* Given back is exactly what is ours, and what was beneath. */
                ours = overlay_give_back(&t->lease, &raw, PAGE, &e, &period);
                assert_int_equal(ours, !t->rewrite && !t->changed);
                if (!ours) {
                        assert_true(e.value == 4711 && period == 4711);
                        continue;
                }
                assert_int_equal(limit_knob_cmp(e.knob, t->lease.knob), 0);
                assert_true(e.value == t->beneath && period == t->beneath_period);
        }
}

/* Leases on one cgroup: two fields of one line of io.max, another device, another file. */
static void test_several(void **state) {
        const dev_t sda = makedev(8, 0), sdb = makedev(8, 16);
        OverlayLease l[] = {
                { .knob = { LIMIT_IO_READ_BANDWIDTH_MAX, sda }, .value = 1000000, .beneath = MAXV },
                { .knob = { LIMIT_IO_WRITE_BANDWIDTH_MAX, sda }, .value = 2000000, .beneath = 9000000 },
                { .knob = { LIMIT_IO_WRITE_IOPS_MAX, sdb }, .value = 100, .beneath = MAXV },
                { .knob = { LIMIT_IO_READ_IOPS_MAX, sdb }, .value = 100, .beneath = 300 },
                CPU(500000, 100 * MS, MAXV, 100 * MS),
        };
        _cleanup_set_ LimitSet set = LIMIT_SET_INIT;

        (void)state;
        read_text(&set, LIMIT_FILE_IO_MAX,
                  "8:0 rbps=1000000 wbps=2000000 riops=max wiops=77\n8:16 rbps=max wbps=max riops=200 "
                  "wiops=100\n");
        read_text(&set, LIMIT_FILE_CPU_MAX, "50000 100000\n");
        assert_int_equal(overlay_read(l, ARRAY_SIZE(l), &set, PAGE), 0);
        assert_text(LIMIT_FILE_IO_MAX, sda, &set, "8:0 rbps=max wbps=9000000 riops=max wiops=77");
        assert_null(limit_set_find(&set, (LimitKnob){ LIMIT_IO_READ_BANDWIDTH_MAX, sda }));
        assert_text(LIMIT_FILE_IO_MAX, sdb, &set, "8:16 rbps=max wbps=max riops=200 wiops=max");
        assert_text(LIMIT_FILE_CPU_MAX, 0, &set, "max 100000");
        for (size_t i = 0; i < ARRAY_SIZE(l); i++) {
                assert_int_equal(l[i].rewrite, i == 3);
                assert_int_equal(l[i].changed, i == 3);
        }
        assert_int_equal(l[3].beneath, 200);

        /* The engine wiped the whole line of sda: nothing is limited there any more. */
        limit_set_clear(&set);
        read_text(&set, LIMIT_FILE_IO_MAX, "8:16 rbps=max wbps=max riops=100 wiops=100\n");
        read_text(&set, LIMIT_FILE_CPU_MAX, "50000 100000\n");
        assert_int_equal(overlay_read(l, ARRAY_SIZE(l), &set, PAGE), 0);
        assert_true(l[0].rewrite && !l[0].changed && l[0].beneath == MAXV);
        assert_true(l[1].rewrite && l[1].changed && l[1].beneath == MAXV);
        assert_true(!l[2].rewrite && !l[3].rewrite && l[3].beneath == 200);
        assert_text(LIMIT_FILE_IO_MAX, sda, &set, NULL);
        assert_text(LIMIT_FILE_IO_MAX, sdb, &set, "8:16 rbps=max wbps=max riops=200 wiops=max");
        assert_int_equal(overlay_read(NULL, 0, &set, PAGE), 0);
}

/* A set without a period, made by hand, gets one; where that fails all is as it was. */
static void test_no_memory(void **state) {
        _cleanup_set_ LimitSet set = LIMIT_SET_INIT, before = LIMIT_SET_INIT;
        OverlayLease l[] = {
                { .knob = { .limit = LIMIT_TASKS_MAX }, .value = 7, .beneath = 70 },
                CPU(500000, 100 * MS, 700000, 200 * MS),
        };

        (void)state;
        assert_int_equal(limit_set_put(&set, (LimitKnob){ .limit = LIMIT_CPU_QUOTA }, 500000, 3), 0);
        assert_int_equal(limit_set_put(&set, (LimitKnob){ .limit = LIMIT_TASKS_MAX }, 7, 3), 0);
        for (dev_t d = 1; set.n < set.alloc; d++) /* full, so that one more needs memory */
                assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_IO_READ_IOPS_MAX, d }, d, 0), 0);
        assert_int_equal(limit_set_copy(&before, &set), 0);
        refuse_memory = true;
        assert_int_equal(overlay_read(l, ARRAY_SIZE(l), &set, PAGE), -ENOMEM);
        refuse_memory = false;
        assert_true(limit_set_same(&set, &before));
        assert_true(l[0].beneath == 70 && l[1].beneath == 700000 && !l[0].changed && !l[1].changed);
        assert_int_equal(overlay_read(l, ARRAY_SIZE(l), &set, PAGE), 0);
        assert_text(LIMIT_FILE_CPU_MAX, 0, &set, "140000 200000");
        assert_text(LIMIT_FILE_PIDS_MAX, 0, &set, "70");
}

/*
 * Somebody writes cpu.max and pids.max now and then, we write what overlay_read()
 * says. Whatever happens: the kernel never holds anything looser than the lease
 * after our turn, what is seen is always what others wrote last, and giving
 * back restores exactly that.
 */
static void test_random(void **state) {
        const uint64_t seed = 0x1ea5e;
        static const uint64_t quotas[] = { 100000, 500000, 500000, 800000, 2000000, MAXV };
        static const usec_t periods[] = { 10 * MS, 100 * MS, 100 * MS, 250 * MS };

        (void)state;
        print_message("seed %llu\n", (unsigned long long)seed);
        random_state = seed;
        for (unsigned round = 0; round < 2000; round++) {
                _cleanup_set_ LimitSet file = LIMIT_SET_INIT, seen = LIMIT_SET_INIT;
                OverlayLease l = CPU(500000, 100 * MS, MAXV, 100 * MS);
                uint64_t wish = MAXV, got;
                usec_t wish_period = 100 * MS, period;
                LimitEntry e;

                for (unsigned step = 0; step < 8; step++) {
                        if (random_below(2)) {
                                wish = quotas[random_below(ARRAY_SIZE(quotas))];
                                wish_period = periods[random_below(ARRAY_SIZE(periods))];
                                /* To write what the lease wrote cannot be told from it. */
                                if (wish == l.value && wish_period == l.period)
                                        wish = 600000;
                                assert_int_equal(limit_set_put(&file, l.knob, wish, 0), 0);
                                assert_int_equal(limit_set_put(&file,
                                                               (LimitKnob){ .limit = LIMIT_CPU_PERIOD },
                                                               wish_period, 0),
                                                 0);
                        }
                        assert_int_equal(limit_set_copy(&seen, &file), 0);
                        assert_int_equal(overlay_read(&l, 1, &seen, PAGE), 0);
                        if (file.n > 0) {
                                assert_true(limit_set_get(&seen, l.knob, &got) && got == wish);
                                assert_true(limit_set_get_scalar(&seen, LIMIT_CPU_PERIOD, &got) &&
                                            got == wish_period);
                        }
                        assert_true(l.beneath == wish && l.beneath_period == wish_period);
                        if (l.rewrite) {
                                assert_int_equal(limit_set_put(&file, l.knob, l.value, 0), 0);
                                assert_int_equal(limit_set_put(&file,
                                                               (LimitKnob){ .limit = LIMIT_CPU_PERIOD },
                                                               l.period, 0),
                                                 0);
                        }
                        assert_true(limit_set_get(&file, l.knob, &got) && got <= l.value);
                        /* A second look writes nothing. */
                        assert_int_equal(limit_set_copy(&seen, &file), 0);
                        assert_int_equal(overlay_read(&l, 1, &seen, PAGE), 0);
                        assert_false(l.rewrite || l.changed);
                }
                if (overlay_give_back(&l, &file, PAGE, &e, &period)) {
                        assert_true(e.value == wish && period == wish_period);
                } else
                        assert_true(limit_set_get(&file, l.knob, &got) && got == wish);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one),
                cmocka_unit_test(test_several),
                cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
