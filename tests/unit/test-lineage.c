/* SPDX-License-Identifier: Apache-2.0 */

/* Which process belongs to which group: by hand, and against a table without bounds. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lineage.h"

static uint64_t state;

static uint64_t dice(uint64_t n) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % n;
}

static void test_put_find(void **unused) {
        Lineage l;

        (void)unused;
        assert_int_equal(lineage_init(&l, 100), 0);
        assert_int_equal(lineage_find(&l, 7), 0);
        lineage_put(&l, 7, 1);
        lineage_put(&l, 8, 2);
        assert_int_equal(lineage_find(&l, 7), 1);
        lineage_put(&l, 7, 3); /* given anew */
        assert_int_equal(lineage_find(&l, 7), 3);
        assert_int_equal(l.n, 2);
        lineage_clear(&l);
        assert_int_equal(lineage_find(&l, 8), 0);
        assert_int_equal(l.n, 0);
        lineage_deinit(&l);
}

static void test_the_dead_stay_a_turn(void **unused) {
        Lineage l;

        (void)unused;
        assert_int_equal(lineage_init(&l, 100), 0);
        lineage_put(&l, 7, 1);
        lineage_put(&l, 8, 1);
        lineage_exit(&l, 7);
        lineage_exit(&l, 7); /* said twice */
        lineage_exit(&l, 9); /* nobody */
        lineage_bury(&l);
        assert_int_equal(lineage_find(&l, 7), 1);
        lineage_bury(&l);
        assert_int_equal(lineage_find(&l, 7), 0);
        assert_int_equal(lineage_find(&l, 8), 1);
        /* Its number is another's by the time that it is buried. */
        lineage_exit(&l, 8);
        lineage_put(&l, 8, 2);
        lineage_bury(&l);
        lineage_bury(&l);
        assert_int_equal(lineage_find(&l, 8), 2);
        lineage_deinit(&l);
}

static void test_full(void **unused) {
        Lineage l;

        (void)unused;
        assert_int_equal(lineage_init(&l, 64), 0);
        lineage_put(&l, 1, 9);
        for (uint32_t pid = 2; pid < 1000; pid++) {
                lineage_put(&l, pid, 1);
                assert_int_equal(lineage_find(&l, 1), 9); /* who is asked for all the time is not forgotten */
                assert_int_equal(lineage_find(&l, pid), 1);
                assert_true(l.n <= 64);
        }
        assert_int_equal(l.n_evicted, 999 - 64);
        lineage_deinit(&l);
}

/* Where nothing has to be forgotten it is a plain table, whatever comes and goes. */
static void test_as_a_table(void **unused) {
        enum { PIDS = 600 };
        static uint32_t plain[PIDS + 1];
        static unsigned dead[PIDS + 1]; /* turns since the exit; 0: alive */
        Lineage l;

        (void)unused;
        state = UINT64_C(0x2545f4914f6cdd1d);
        print_message("seed %llx\n", (unsigned long long)state);
        assert_int_equal(lineage_init(&l, PIDS), 0);
        for (unsigned turn = 0; turn < 200; turn++) {
                for (unsigned i = 0; i < 100; i++) {
                        uint32_t pid = (uint32_t)(1 + dice(PIDS));

                        if (dice(3) > 0) {
                                plain[pid] = (uint32_t)(1 + dice(50));
                                dead[pid] = 0;
                                lineage_put(&l, pid, plain[pid]);
                        } else if (plain[pid]) {
                                dead[pid] = dead[pid] ? dead[pid] : 1;
                                lineage_exit(&l, pid);
                        }
                }
                lineage_bury(&l);
                for (uint32_t pid = 1; pid <= PIDS; pid++) {
                        if (dead[pid] && dead[pid]++ == 2)
                                plain[pid] = dead[pid] = 0;
                        /* One that died twice within two turns may be buried with its forerunner. */
                        if (!dead[pid] || lineage_find(&l, pid) != 0)
                                assert_int_equal(lineage_find(&l, pid), plain[pid]);
                }
        }
        lineage_deinit(&l);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_put_find),
                cmocka_unit_test(test_the_dead_stay_a_turn),
                cmocka_unit_test(test_full),
                cmocka_unit_test(test_as_a_table),
        };

        return cmocka_run_group_tests_name("lineage", tests, NULL, NULL);
}
