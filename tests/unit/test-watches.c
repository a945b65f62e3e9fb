/* SPDX-License-Identifier: Apache-2.0 */

/* Processes whose end is awaited: told once, with what is known of it, whatever came first. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "watches.h"

static Watch *only_unchecked(Watches *w) {
        size_t i = 0;

        return watches_unchecked(w, &i);
}

static Watch *only_ended(Watches *w) {
        size_t i = 0;

        return watches_ended(w, &i);
}

static void test_exit(void **unused) {
        Watches w = {};
        uint32_t pid;

        (void)unused;
        assert_int_equal(watches_add(&w, 1, 70, 0), 0);
        assert_true(w.changed);
        assert_int_equal(watches_pids(&w, &pid, 1), 1);
        assert_int_equal(pid, 70);
        assert_false(w.changed);
        watches_looked(&w, only_unchecked(&w), true);
        assert_null(only_unchecked(&w));
        watches_exited(&w, 71, 9);
        assert_null(only_ended(&w));
        watches_exited(&w, 70, 9);
        watches_exited(&w, 70, 8); /* the first word counts */
        assert_non_null(only_ended(&w));
        assert_true(only_ended(&w)->known);
        assert_int_equal(only_ended(&w)->code, 9);
        assert_int_equal(watches_pids(&w, &pid, 1), 0);
        watches_remove(&w, 1);
        assert_null(only_ended(&w));
        assert_int_equal(w.n_ended + w.n_missing + w.n_unchecked, 0);
        watches_deinit(&w);
}

/* It was gone before it was listened to: its event may still come, and says more. */
static void test_missing(void **unused) {
        for (unsigned late = 0; late < 2; late++) {
                Watches w = {};

                (void)unused;
                assert_int_equal(watches_add(&w, 1, 70, 0), 0);
                watches_looked(&w, only_unchecked(&w), false);
                assert_null(only_ended(&w));
                if (late)
                        watches_exited(&w, 70, 768);
                watches_settle(&w);
                assert_int_equal(only_ended(&w)->known, late);
                assert_int_equal(only_ended(&w)->code, late ? 768 : 0);
                watches_deinit(&w);
                assert_int_equal(w.n_ended, 0);
        }
}

static void test_doubt(void **unused) {
        Watches w = {};
        size_t i = 0, n = 0;

        (void)unused;
        for (uint32_t pid = 2; pid < 12; pid++)
                assert_int_equal(watches_add(&w, pid, pid, 0), 0);
        for (Watch *one; (one = watches_unchecked(&w, &i));)
                watches_looked(&w, one, true);
        assert_null(only_unchecked(&w));
        watches_doubt(&w);
        watches_doubt(&w);
        assert_int_equal(w.n_unchecked, 10);
        i = 0;
        for (Watch *one; (one = watches_unchecked(&w, &i)); n++)
                watches_looked(&w, one, one->pid % 2);
        assert_int_equal(n, 10);
        watches_settle(&w);
        assert_int_equal(w.n_ended, 5);
        watches_deinit(&w);
}

static void test_taken_over(void **unused) {
        Watches w = {};

        (void)unused;
        assert_int_equal(watches_add(&w, 1, 70, 0), 0);
        /* The number is another process's now: the one before has ended, however. */
        assert_int_equal(watches_add(&w, 2, 70, 5), 0);
        assert_int_equal(only_ended(&w)->cookie, 1);
        assert_false(only_ended(&w)->known);
        /* The same name for another process: the one before is given up. */
        assert_int_equal(watches_add(&w, 2, 80, 5), 0);
        watches_exited(&w, 70, 9);
        assert_int_equal(w.n_ended, 1);
        watches_exited(&w, 80, 9);
        assert_int_equal(w.n_ended, 2);
        watches_remove(&w, 77);
        watches_deinit(&w);
}

static Watch *only_news(Watches *w) {
        size_t i = 0;

        return watches_news(w, &i);
}

static void test_execs(void **unused) {
        Watches w = {};

        (void)unused;
        assert_int_equal(watches_add(&w, 1, 70, 0), 0);
        assert_null(only_news(&w));
        watches_looked(&w, only_unchecked(&w), true);
        assert_int_equal(only_news(&w)->cookie, 1);
        assert_int_equal(only_news(&w)->n_execs, 0); /* there is one, and no more to tell */
        watches_told(&w, only_news(&w));
        assert_null(only_news(&w));
        watches_doubt(&w); /* to look again is no news */
        watches_looked(&w, only_unchecked(&w), true);
        assert_null(only_news(&w));
        watches_execed(&w, 71);
        assert_null(only_news(&w));
        for (unsigned i = 0; i < 3; i++)
                watches_execed(&w, 70);
        assert_int_equal(w.n_news, 1);
        watches_exited(&w, 70, 0);
        watches_execed(&w, 70); /* somebody else by now */
        assert_int_equal(only_news(&w)->n_execs, 3);
        assert_true(only_news(&w)->ended);
        watches_remove(&w, 1);
        assert_int_equal(w.n_news + w.n_ended, 0);
        /* Who was never there is no news. */
        assert_int_equal(watches_add(&w, 2, 80, 0), 0);
        watches_looked(&w, only_unchecked(&w), false);
        assert_null(only_news(&w));
        watches_deinit(&w);
}

static void test_bound(void **unused) {
        Watches w = {};

        (void)unused;
        for (uint32_t i = 1; i <= WATCHES_MAX; i++)
                assert_int_equal(watches_add(&w, i, i, 0), 0);
        assert_int_equal(watches_add(&w, WATCHES_MAX + 1, WATCHES_MAX + 1, 0), -ENOSPC);
        assert_int_equal(watches_add(&w, 1, 1, 0), 0); /* in its own place */
        watches_deinit(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exit),  cmocka_unit_test(test_missing),
                cmocka_unit_test(test_doubt), cmocka_unit_test(test_taken_over),
                cmocka_unit_test(test_bound), cmocka_unit_test(test_execs),
        };

        return cmocka_run_group_tests_name("watches", tests, NULL, NULL);
}
