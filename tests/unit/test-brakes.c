/* SPDX-License-Identifier: Apache-2.0 */

/* Budgets, storms and settling: rows for the rules, a slow model of the budget for the ring. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "brakes.h"
#include "random.h"

#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)
#define START (1000 * SEC)

static const HostRules rules = {
        .mode = MODE_ENFORCE,
        .kill_budget = 4,
        .kill_window = HOUR,
        .storm_permyriad = 1000,
        .storm_window = 60 * SEC,
        .max_throttled = 2000,
};

static ActWhy may_kill(const Brakes *b, const Budget *tenant, unsigned max, bool urgent, usec_t now) {
        return brakes_may_kill(b, &rules, tenant, max, HOUR, urgent, now);
}

/* ---- budgets ---- */

static void test_budget(void **state) {
        static const struct {
                unsigned spent; /* one each ten seconds, from START on */
                unsigned max;
                usec_t window, now, left;
        } rows[] = {
                { 0, 3, HOUR, START, 3 },
                { 0, 0, HOUR, START, 0 },
                { 2, 3, HOUR, START + 20 * SEC, 1 },
                { 3, 3, HOUR, START + 30 * SEC, 0 },
                { 9, 3, HOUR, START + 90 * SEC, 0 }, /* overspent is no credit */
                { 3, 3, HOUR, START + HOUR - 1, 0 },
                { 3, 3, HOUR, START + HOUR, 1 }, /* the first one is a window ago */
                { 3, 3, HOUR, START + HOUR + 20 * SEC, 3 },
                { 3, 3, 0, START + 20 * SEC, 3 },
                { 3, 3, USEC_INFINITY, START + 1000 * HOUR, 0 },
                { 3, 3, HOUR, START - SEC, 0 }, /* a clock that went back gives nothing away */
                { 0, 1000, HOUR, START, BUDGET_MAX },
                { BUDGET_MAX + 9, 1000, 24 * HOUR, START + HOUR, 0 },
                { BUDGET_MAX + 9, 1000, 60 * SEC, START + 720 * SEC, BUDGET_MAX - 6 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Budget b = {};

                for (unsigned k = 0; k < rows[i].spent; k++)
                        budget_spend(&b, START + k * 10 * SEC);
                if (budget_left(&b, rows[i].max, rows[i].window, rows[i].now) != rows[i].left)
                        fail_msg("row %zu: %u left", i,
                                 budget_left(&b, rows[i].max, rows[i].window, rows[i].now));
        }
}

/* Never more in any window than there may be, by whoever asks before he spends. */
static void test_budget_random(void **state) {
        uint64_t seed = (uint64_t)time(NULL);

        (void)state;
        print_message("seed %llu\n", (unsigned long long)seed);
        random_state = seed | 1;
        for (unsigned round = 0; round < 200; round++) {
                static usec_t spent[2000];
                Budget b = {};
                unsigned max = (unsigned)(next_random() % (BUDGET_MAX + 10)), n = 0;
                usec_t window = 1 + next_random() % (100 * SEC), now = START;

                for (unsigned i = 0; i < ARRAY_SIZE(spent); i++) {
                        unsigned within = 0;

                        now += next_random() % (2 * SEC);
                        for (unsigned k = 0; k < n; k++)
                                within += now - spent[k] < window;
                        assert_int_equal(budget_left(&b, max, window, now),
                                         MIN_OF(max, (unsigned)BUDGET_MAX) - within);
                        if (budget_left(&b, max, window, now) == 0)
                                continue;
                        budget_spend(&b, now);
                        spent[n++] = now;
                }
        }
}

/* ---- kills ---- */

static void test_may_kill(void **state) {
        Brakes b = {};
        Budget tenant = {}, other = {};
        usec_t now = START;

        (void)state;
        assert_int_equal(may_kill(&b, &tenant, 2, false, now), ACT_WHY_HARM);
        brakes_killed(&b, &tenant, 7, now);
        /* One at a time, whosever it is. */
        assert_int_equal(may_kill(&b, &other, 2, false, now), ACT_WHY_SETTLING);
        assert_int_equal(may_kill(&b, &other, 2, false, now + BRAKES_SETTLE - 1), ACT_WHY_SETTLING);
        assert_int_equal(may_kill(&b, &other, 2, false, now + BRAKES_SETTLE), ACT_WHY_HARM);
        /* At the host's end it is sooner, but not before that one has gone. */
        assert_int_equal(may_kill(&b, &other, 2, true, now + BRAKES_SETTLE_URGENT), ACT_WHY_SETTLING);
        brakes_empty(&b, 8);
        assert_int_equal(may_kill(&b, &other, 2, true, now + BRAKES_SETTLE_URGENT), ACT_WHY_SETTLING);
        brakes_empty(&b, 7);
        assert_int_equal(may_kill(&b, &other, 2, true, now + BRAKES_SETTLE_URGENT - 1), ACT_WHY_SETTLING);
        assert_int_equal(may_kill(&b, &other, 2, true, now + BRAKES_SETTLE_URGENT), ACT_WHY_HARM);
        assert_int_equal(may_kill(&b, &other, 2, false, now + BRAKES_SETTLE_URGENT), ACT_WHY_SETTLING);
        /* The tenant's budget, */
        now += 60 * SEC;
        brakes_killed(&b, &tenant, 9, now);
        now += BRAKES_SETTLE;
        assert_int_equal(may_kill(&b, &tenant, 2, true, now), ACT_WHY_BUDGET);
        assert_int_equal(may_kill(&b, &other, 2, false, now), ACT_WHY_HARM);
        assert_int_equal(may_kill(&b, &other, 0, false, now), ACT_WHY_BUDGET);
        /* none of its own: only the host's bounds it, */
        assert_int_equal(brakes_may_kill(&b, &rules, &tenant, UINT32_MAX, 0, false, now), ACT_WHY_HARM);
        /* and the host's, which a tenant's does not widen. */
        brakes_killed(&b, &other, 10, now);
        brakes_killed(&b, &other, 11, now + BRAKES_SETTLE);
        now += 2 * BRAKES_SETTLE;
        assert_int_equal(may_kill(&b, &other, 60, true, now), ACT_WHY_BUDGET);
        assert_int_equal(may_kill(&b, &other, 60, false, START + HOUR), ACT_WHY_HARM);
}

/* To kill again what is not empty yet is the same kill: no budget, but a moment in between, and none in a storm. */
static void test_again(void **state) {
        Brakes b = {};
        Budget tenant = {};

        (void)state;
        assert_false(brakes_is_again(&b, 0));
        brakes_killed(&b, &tenant, 7, START);
        assert_true(brakes_is_again(&b, 7));
        assert_false(brakes_is_again(&b, 8));
        assert_int_equal(brakes_may_kill_again(&b, START + BRAKES_SETTLE - 1), ACT_WHY_SETTLING);
        assert_int_equal(brakes_may_kill_again(&b, START + BRAKES_SETTLE), ACT_WHY_HARM);
        assert_int_equal(may_kill(&b, &tenant, 1, false, START + BRAKES_SETTLE), ACT_WHY_BUDGET);
        brakes_killed_again(&b, START + BRAKES_SETTLE);
        assert_int_equal(tenant.n, 1);
        assert_int_equal(b.host.n, 1);
        assert_int_equal(brakes_may_kill_again(&b, START + 2 * BRAKES_SETTLE - 1), ACT_WHY_SETTLING);
        /* Nor is another's turn earlier. */
        assert_int_equal(may_kill(&b, &(Budget){}, 1, false, START + 2 * BRAKES_SETTLE - 1),
                         ACT_WHY_SETTLING);
        b.storm_until = START + HOUR;
        assert_int_equal(brakes_may_kill_again(&b, START + 2 * BRAKES_SETTLE), ACT_WHY_STORM);
        brakes_empty(&b, 7);
        assert_false(brakes_is_again(&b, 7));
        /* Another one after it: then it is one more. */
        brakes_killed(&b, &tenant, 7, START + HOUR);
        brakes_killed(&b, &tenant, 8, START + HOUR);
        assert_false(brakes_is_again(&b, 7));
}

/* Spent for a window, whatever the host's budget is; those after it count as ever. */
static void test_unknown(void **state) {
        const HostRules wide = { .kill_budget = UINT32_MAX, .kill_window = HOUR };
        Budget tenant = {};
        Brakes b = {};

        (void)state;
        brakes_unknown(&b, START);
        assert_int_equal(brakes_may_kill(&b, &wide, &tenant, 9, HOUR, true, START + HOUR - 1),
                         ACT_WHY_BUDGET);
        assert_int_equal(brakes_may_kill(&b, &wide, &tenant, 9, HOUR, true, START + HOUR), ACT_WHY_HARM);
        brakes_killed(&b, &tenant, 7, START + SEC);
        assert_int_equal(budget_left(&b.host, 4, HOUR, START + HOUR - 1), 0);
        assert_int_equal(budget_left(&b.host, 4, HOUR, START + HOUR), 3);
}

/* ---- storms ---- */

static void test_storm(void **state) {
        static const struct {
                unsigned deaths, left;
                bool storm;
        } rows[] = {
                { 0, 0, false },      { 2, 0, false }, /* both of two: no storm yet */
                { 3, 0, true },       { 3, 27, false }, /* a tenth is not more than a tenth */
                { 3, 26, true },      { 10, 90, false },   { 11, 90, true },
                { 255, 5000, false }, { 256, 5000, true }, /* no more are remembered */
                { 700, 5000, true },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Brakes b = {};

                for (unsigned k = 0; k < rows[i].deaths; k++)
                        brakes_died(&b, START + k);
                if (brakes_storm(&b, &rules, rows[i].left, START + SEC) != rows[i].storm)
                        fail_msg("row %zu", i);
                assert_true(brakes_in_storm(&b, START + SEC) == rows[i].storm);
                assert_int_equal(may_kill(&b, &(Budget){}, 9, true, START + SEC),
                                 rows[i].storm ? ACT_WHY_STORM : ACT_WHY_HARM);
        }
}

/* Told once, holds for a window after its last moment, and is news again after that. */
static void test_storm_passes(void **state) {
        Brakes b = {};
        usec_t now = START, last = 0;
        unsigned told = 0;

        (void)state;
        for (unsigned i = 0; i < 100; i++, now += SEC) {
                brakes_died(&b, now);
                told += brakes_storm(&b, &rules, 20, now);
        }
        assert_int_equal(told, 1);
        for (; brakes_in_storm(&b, now); now += SEC) {
                assert_false(brakes_storm(&b, &rules, 20, now));
                last = now;
        }
        /* Deaths are within the window for a minute, and the breaker holds for one more. */
        assert_in_range(last, START + 99 * SEC + 60 * SEC, START + 99 * SEC + 120 * SEC);
        for (unsigned i = 0; i < 3; i++)
                brakes_died(&b, now);
        assert_true(brakes_storm(&b, &rules, 20, now));
        assert_false(brakes_storm(&b, &rules, 20, now));
}

/* The ring keeps the last ones. */
static void test_storm_old(void **state) {
        Brakes b = {};

        (void)state;
        for (unsigned i = 0; i < 3 * STORM_MAX; i++)
                brakes_died(&b, START + i * SEC);
        assert_false(brakes_storm(&b, &rules, 10000, START + 3 * STORM_MAX * SEC));
        assert_true(brakes_storm(&b, &rules, 100, START + 3 * STORM_MAX * SEC));
        assert_false(brakes_storm(&b, &rules, 100, START + 9 * STORM_MAX * SEC));
        b = (Brakes){};
        for (unsigned i = 0; i < STORM_MAX; i++)
                brakes_died(&b, USEC_INFINITY - 1);
        assert_true(brakes_storm(&b, &rules, 1, USEC_INFINITY - 1));
        assert_true(brakes_in_storm(&b, USEC_INFINITY - 1)); /* no clock comes round */
}

static void test_may_throttle(void **state) {
        static const struct {
                unsigned permyriad, containers, throttled;
                bool may;
        } rows[] = {
                { 2000, 100, 19, true }, { 2000, 100, 20, false },
                { 2000, 4, 0, true },    { 2000, 4, 1, false },
                { 0, 100, 0, true },     { 0, 100, 1, false },
                { 2000, 0, 0, true },    { 10000, 3, 2, true },
                { 10000, 3, 3, false },  { 10000, UINT32_MAX, UINT32_MAX - 1, true },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const HostRules r = { .max_throttled = rows[i].permyriad };

                if (brakes_may_throttle(&r, rows[i].containers, rows[i].throttled) != rows[i].may)
                        fail_msg("row %zu", i);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_budget),       cmocka_unit_test(test_budget_random),
                cmocka_unit_test(test_may_kill),     cmocka_unit_test(test_again),
                cmocka_unit_test(test_unknown),      cmocka_unit_test(test_storm),
                cmocka_unit_test(test_storm_passes), cmocka_unit_test(test_storm_old),
                cmocka_unit_test(test_may_throttle),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
