/* SPDX-License-Identifier: Apache-2.0 */

/* What somebody has beyond what it had: takers and leakers, the robbed, and the noise. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "had.h"

#define SEC USEC_PER_SEC
#define MIB (UINT64_C(1) << 20)
#define START (1000 * SEC)

/* From one use to another in a straight line, a look a second. */
static usec_t run(Had *h, usec_t at, usec_t span, uint64_t from, uint64_t to, bool calm) {
        for (usec_t s = SEC; s <= span; s += SEC) {
                uint64_t part = s * 1000 / span;

                had_feed(h, to >= from ? from + (to - from) * part / 1000 : from - (from - to) * part / 1000,
                         at + s, calm);
        }
        return at + span;
}

static void test_taker(void **state) {
        Had h = {};
        usec_t at;

        (void)state;
        at = run(&h, START, 30 * SEC, 100 * MIB, 100 * MIB, true);
        assert_int_equal(had_grown(&h), 0);
        at = run(&h, at, 10 * SEC, 100 * MIB, 400 * MIB, true);
        assert_int_equal(had_grown(&h), 300 * MIB);
        /* It stops before anybody notices, and has taken it all the same; for a minute. */
        at = run(&h, at, 45 * SEC, 400 * MIB, 400 * MIB, true);
        assert_in_range(had_grown(&h), 299 * MIB, 310 * MIB);
        at = run(&h, at, 30 * SEC, 400 * MIB, 400 * MIB, true);
        assert_int_equal(had_grown(&h), 0);
}

static void test_leak(void **state) {
        Had h = {};
        usec_t at = START;

        (void)state;
        at = run(&h, at, 600 * SEC, 100 * MIB, 700 * MIB, true); /* 1 MiB a second, for ever */
        assert_in_range(had_grown(&h), 50 * MIB, 72 * MIB);
}

/* All of it is taken, stays away for a long incident, and comes back: no growth. What is more than that is. */
static void test_robbed(void **state) {
        Had h = {};
        usec_t at;

        (void)state;
        at = run(&h, START, 60 * SEC, 160 * MIB, 160 * MIB, true);
        at = run(&h, at, 5 * SEC, 160 * MIB, 6 * MIB, false);
        at = run(&h, at, 1800 * SEC, 6 * MIB, 6 * MIB, false);
        at = run(&h, at, 20 * SEC, 6 * MIB, 161 * MIB, false);
        assert_int_equal(had_grown(&h), 0);
        at = run(&h, at, 10 * SEC, 161 * MIB, 320 * MIB, false);
        assert_int_equal(had_grown(&h), 160 * MIB);
}

/* In calm it loses its claim bit by bit: half of it in some minutes. */
static void test_fades(void **state) {
        Had h = {};
        usec_t at;

        (void)state;
        at = run(&h, START, 120 * SEC, 1024 * MIB, 1024 * MIB, true);
        at = run(&h, at, 600 * SEC, 64 * MIB, 64 * MIB, true);
        assert_in_range(h.level, 350 * MIB, 520 * MIB);
        at = run(&h, at, 7200 * SEC, 64 * MIB, 64 * MIB, true);
        assert_in_range(h.level, 64 * MIB, 66 * MIB);
        at = run(&h, at, 10 * SEC, 64 * MIB, 512 * MIB, true);
        assert_in_range(had_grown(&h), 445 * MIB, 448 * MIB);
}

static void test_noise(void **state) {
        Had h = {};
        usec_t at;

        (void)state;
        at = run(&h, START, 60 * SEC, 1000 * MIB, 1000 * MIB, true);
        had_feed(&h, 1031 * MIB, at + SEC, true);
        assert_int_equal(had_grown(&h), 0);
        had_feed(&h, 1032 * MIB, at + 2 * SEC, true);
        assert_int_equal(had_grown(&h), 32 * MIB);
}

/* Not looked at for an hour, and a clock that stands still or went back. */
static void test_gaps(void **state) {
        Had h = {};
        usec_t at;

        (void)state;
        at = run(&h, START, 30 * SEC, 100 * MIB, 200 * MIB, true);
        had_feed(&h, 200 * MIB, at + 3600 * SEC, true);
        assert_int_equal(had_grown(&h), 0);
        had_feed(&h, 300 * MIB, at + 3600 * SEC, true);
        assert_int_equal(had_grown(&h), 100 * MIB);
        had_feed(&h, 320 * MIB, at, true);
        assert_int_equal(had_grown(&h), 120 * MIB);
        had_feed(&h, UINT64_MAX, at + 7200 * SEC, true);
        assert_true(had_grown(&h) > 0);
        had_feed(&h, 0, at + 7300 * SEC, true);
        assert_int_equal(had_grown(&h), 0);
}

static void test_growth(void **state) {
        Sample s = {};
        Window w = {};
        Had h = {};

        (void)state;
        assert_int_equal(had_growth(&h, &w), 0);
        for (usec_t i = 0; i <= 10; i++) {
                s.at = START + i * SEC;
                sample_put(&s, SAMPLE_MEMORY, (100 + i * 20) * MIB);
                sample_put(&s, SAMPLE_SWAP, i * 10 * MIB);
                window_feed(&w, &s, 4 * SEC);
                had_feed(&h, (100 + i * 30) * MIB, s.at, true);
        }
        assert_int_equal(had_growth(&h, &w), window_span(&w) / SEC * 30 * MIB);
        /* Swapped out is no less of it. */
        for (usec_t i = 11; i <= 30; i++) {
                s.at = START + i * SEC;
                sample_put(&s, SAMPLE_MEMORY, (300 - (i - 10) * 10) * MIB);
                sample_put(&s, SAMPLE_SWAP, (100 + (i - 10) * 10) * MIB);
                window_feed(&w, &s, 4 * SEC);
                had_feed(&h, 400 * MIB, s.at, true);
        }
        assert_int_equal(had_growth(&h, &w), 0);
        assert_int_equal(had_grown(&h), 300 * MIB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_taker),  cmocka_unit_test(test_leak),  cmocka_unit_test(test_robbed),
                cmocka_unit_test(test_fades),  cmocka_unit_test(test_noise), cmocka_unit_test(test_gaps),
                cmocka_unit_test(test_growth),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
