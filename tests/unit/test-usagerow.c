/* SPDX-License-Identifier: Apache-2.0 */

/* Rows of the history: exact sums whatever the rhythm of looks, the same rows when looks are read again, percentiles. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "usagerow.h"

#define T0 (UINT64_C(1700000000) * USEC_PER_SEC) /* a whole slot, and 200 s after a quiet one began */

static uint64_t seed;

static uint64_t draw(uint64_t below) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % below;
}

static Sample sample(uint64_t realtime, uint64_t cpu, uint64_t memory) {
        Sample s = { .at = realtime - T0 + USEC_PER_SEC };

        sample_put(&s, SAMPLE_CPU_USAGE, cpu);
        sample_put(&s, SAMPLE_MEMORY, memory);
        sample_put(&s, SAMPLE_INACTIVE_FILE, memory / 4);
        sample_put(&s, SAMPLE_PIDS, 3);
        return s;
}

static bool look(UsageTally *t, usec_t after, uint64_t cpu, uint64_t memory, UsageRow *row) {
        Sample s = sample(T0 + after, cpu, memory);

        return usagerow_look(t, &s, T0 + after, false, row);
}

static void test_slots(void **state) {
        static const struct {
                uint64_t time, sec, end;
        } rows[] = { { 0, 10, 10 },     { 1, 10, 10 },     { 10, 10, 10 },   { 11, 10, 20 },
                     { 300, 300, 300 }, { 301, 300, 600 }, { 3599, 1, 3599 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(usagerow_slot_end(rows[i].time, rows[i].sec), rows[i].end);
}

static void test_rows(void **state) {
        UsageRow row = {};
        UsageTally t = {};

        (void)state;
        assert_false(look(&t, 1 * USEC_PER_SEC, 1000, 4096, &row)); /* what it used before is the past's */
        assert_false(look(&t, 6 * USEC_PER_SEC, 501000, 8192, &row));
        assert_true(look(&t, 11 * USEC_PER_SEC, 1001000, 8192, &row));
        assert_int_equal(row.time, T0 / USEC_PER_SEC + 10);
        assert_int_equal(row.span_msec, 5000);
        assert_int_equal(row.counters[BOOK_CPU_USEC], 500000);
        assert_int_equal(row.gauges[USAGE_CPU_PERMYRIAD].p95, 1000);
        assert_int_equal(row.gauges[USAGE_MEMORY].mean, 8192);
        assert_int_equal(row.gauges[USAGE_WORKING_SET].mean, 6144);
        assert_int_equal(row.gauges[USAGE_TASKS].max, 3);
        assert_false(row.have >> USAGE_SWAP & 1);
        /* It ends in the slot that it is in. */
        assert_true(usagerow_end(&t, T0 + 11 * USEC_PER_SEC, BOOK_END_READ, &row));
        assert_int_equal(row.time, T0 / USEC_PER_SEC + 20);
        assert_int_equal(row.counters[BOOK_CPU_USEC], 500000);
        assert_int_equal(row.counters[BOOK_ENDS], 1);
}

/* One that does nothing has a row when it stopped doing something, and one in five minutes. */
static void test_quiet(void **state) {
        uint64_t life = 0;
        size_t n = 0;
        UsageRow row;
        UsageTally t = {};

        (void)state;
        for (uint64_t s = 1; s <= 3600; s += 10)
                if (look(&t, s * USEC_PER_SEC, 5000, 1 << 20, &row)) {
                        n++;
                        life += row.counters[BOOK_LIFE_USEC];
                        assert_in_range(row.span_msec, 1, 310000);
                }
        assert_in_range(n, 12, 14);
        assert_in_range(life, 3200 * USEC_PER_SEC, 3600 * USEC_PER_SEC);
}

/* An end of nothing, and looks that were on file, tell nothing. */
static void test_done(void **state) {
        UsageRow row;
        UsageTally t = {};

        (void)state;
        assert_false(usagerow_end(&t, T0, BOOK_END_READ, &row));
        t.done = T0 / USEC_PER_SEC + 20;
        assert_false(look(&t, 5 * USEC_PER_SEC, 1000, 4096, &row));
        assert_false(look(&t, 15 * USEC_PER_SEC, 2000, 4096, &row));
        assert_false(look(&t, 25 * USEC_PER_SEC, 3500, 4096, &row));
        assert_true(look(&t, 35 * USEC_PER_SEC, 3600, 4096, &row));
        assert_int_equal(row.counters[BOOK_CPU_USEC], 1500); /* since the last one on file */
}

/* Set back by an hour: rows go on, sums are exact, and no row has a span beyond what went by. */
static void test_clock_back(void **state) {
        uint64_t sum = 0;
        UsageRow row;
        UsageTally t = {};

        (void)state;
        for (uint64_t s = 0; s < 60; s++) {
                uint64_t back = s >= 30 ? 3600 : 0;
                Sample x = sample(T0 + s * USEC_PER_SEC, s * 1000, 4096);

                if (usagerow_look(&t, &x, T0 + (s - back) * USEC_PER_SEC, false, &row)) {
                        sum += row.counters[BOOK_CPU_USEC];
                        assert_in_range(row.span_msec, 0, 32000);
                }
        }
        if (usagerow_end(&t, T0 - 3541 * USEC_PER_SEC, BOOK_END_READ, &row))
                sum += row.counters[BOOK_CPU_USEC];
        assert_int_equal(sum, 59000);
}

/* Property: whatever the looks' rhythm, rows add up to what the first and the last look differ by; and reading all of it again
 * from the beginning, told what is on file, tells exactly the rows that are not. */
static void test_sums(void **state) {
        (void)state;
        for (int round = 0; round < 300; round++) {
                uint64_t times[200], cpu[200], memory[200], sum = 0, n_rows = 0, stored, again = 0, at = 0;
                UsageRow rows[200], row;
                UsageTally t = {};

                for (size_t i = 0; i < 200; i++) {
                        at += 1 + draw(draw(5) == 0 ? 70000000 : 4000000);
                        times[i] = at;
                        cpu[i] = (i > 0 ? cpu[i - 1] : 777) + (draw(3) == 0 ? 0 : draw(1000000));
                        memory[i] = 4096 * (1 + draw(3));
                        if (look(&t, times[i], cpu[i], memory[i], &row))
                                rows[n_rows++] = row;
                }
                for (size_t i = 0; i < n_rows; i++) {
                        sum += rows[i].counters[BOOK_CPU_USEC];
                        assert_true(i == 0 || rows[i].time > rows[i - 1].time);
                        assert_int_equal(rows[i].time % USAGEROW_SLOT_SEC, 0);
                }
                sum += t.book.v[BOOK_CPU_USEC];
                assert_int_equal(sum, cpu[199] - cpu[0]);
                if (n_rows == 0)
                        continue;
                stored = draw(n_rows);
                t = (UsageTally){ .done = rows[stored].time };
                for (size_t i = 0; i < 200; i++)
                        if (look(&t, times[i], cpu[i], memory[i], &row)) {
                                again++;
                                /* What nothing happened in may lie in another row than it did: sums are the same. */
                                sum -= row.counters[BOOK_CPU_USEC];
                        }
                sum -= t.book.v[BOOK_CPU_USEC];
                for (size_t i = 0; i <= stored; i++)
                        sum -= rows[i].counters[BOOK_CPU_USEC];
                assert_int_equal(sum, 0);
                /* A row that was left out for quiet may be told now, since nothing is known of the one before it; and where that
                 * was the peak of the next one, once more so. Three in a row would take a drawn series that nobody will see. */
                assert_in_range(again + 2, n_rows - stored, n_rows - stored + 4);
        }
}

static UsageRow raw(uint64_t memory, uint64_t span, uint64_t cpu) {
        UsageRow row = { .span_msec = span, .looks = 1 };

        row.counters[BOOK_CPU_USEC] = cpu;
        usage_row_set_gauge(&row, USAGE_MEMORY, memory);
        usage_row_set_cpu(&row);
        return row;
}

static void test_rollup(void **state) {
        Rollup r = {};
        UsageRow row;

        (void)state;
        for (uint64_t i = 1; i <= 100; i++) {
                row = raw(i * 1000, 10000, i);
                assert_int_equal(rollup_add(&r, &row), 0);
        }
        rollup_finish(&r, 4711, &row);
        assert_int_equal(row.time, 4711);
        assert_int_equal(row.looks, 100);
        assert_int_equal(row.span_msec, 1000000);
        assert_int_equal(row.counters[BOOK_CPU_USEC], 5050);
        assert_int_equal(row.gauges[USAGE_MEMORY].min, 1000);
        assert_int_equal(row.gauges[USAGE_MEMORY].max, 100000);
        assert_int_equal(row.gauges[USAGE_MEMORY].mean, 50500);
        assert_int_equal(row.gauges[USAGE_MEMORY].p95, 95000);
        rollup_deinit(&r);
        /* Time counts, not the number of rows: 4 % of it is above. */
        row = raw(10, 96000, 0);
        assert_int_equal(rollup_add(&r, &row), 0);
        for (int i = 0; i < 40; i++) {
                row = raw(1000, 100, 0);
                assert_int_equal(rollup_add(&r, &row), 0);
        }
        rollup_finish(&r, 1, &row);
        assert_int_equal(row.gauges[USAGE_MEMORY].p95, 10);
        assert_int_equal(row.gauges[USAGE_MEMORY].max, 1000);
        rollup_deinit(&r);
        rollup_finish(&r, 5, &row);
        assert_int_equal(row.have, 0);
        rollup_deinit(&r);
}

/* Numbers that do not fit saturate, and a mean stays between its extremes. */
static void test_rollup_extremes(void **state) {
        Rollup r = {};
        UsageRow row;

        (void)state;
        for (int i = 0; i < 3; i++) {
                row = raw(UINT64_MAX, UINT32_MAX, UINT64_MAX);
                assert_int_equal(rollup_add(&r, &row), 0);
        }
        rollup_finish(&r, 1, &row);
        assert_true(row.counters[BOOK_CPU_USEC] == UINT64_MAX);
        assert_true(row.gauges[USAGE_MEMORY].mean == UINT64_MAX);
        rollup_deinit(&r);
}

/* Property: order does not matter, in pieces or at once. */
static void test_rollup_order(void **state) {
        (void)state;
        for (int round = 0; round < 200; round++) {
                size_t n = 1 + draw(60);
                UsageRow rows[60], a, b, merged = {};
                Rollup x = {}, y = {};

                for (size_t i = 0; i < n; i++)
                        rows[i] = raw(draw(1 << 30), 1 + draw(60000), draw(1000000));
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(rollup_add(&x, &rows[i]), 0);
                for (size_t i = n; i-- > 0;) {
                        assert_int_equal(rollup_add(&y, &rows[i]), 0);
                        usage_row_merge(&merged, &rows[i]);
                }
                rollup_finish(&x, 1, &a);
                rollup_finish(&y, 1, &b);
                assert_memory_equal(a.counters, b.counters, sizeof(a.counters));
                assert_memory_equal(a.gauges, b.gauges, sizeof(a.gauges));
                assert_memory_equal(a.counters, merged.counters, sizeof(a.counters));
                for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                        assert_true(a.gauges[g].min <= a.gauges[g].mean);
                        assert_true(a.gauges[g].mean <= a.gauges[g].max);
                        assert_true(a.gauges[g].p95 <= merged.gauges[g].p95);
                }
                rollup_deinit(&x);
                rollup_deinit(&y);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_slots),        cmocka_unit_test(test_rows),
                cmocka_unit_test(test_quiet),        cmocka_unit_test(test_done),
                cmocka_unit_test(test_clock_back),   cmocka_unit_test(test_sums),
                cmocka_unit_test(test_rollup),       cmocka_unit_test(test_rollup_extremes),
                cmocka_unit_test(test_rollup_order),
        };

        seed = (uint64_t)time(NULL) | 1;
        printf("# seed %llu\n", (unsigned long long)seed);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
