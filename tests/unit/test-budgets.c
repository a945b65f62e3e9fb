/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Budgets over restarts: guards that kill, die and begin again, as many as there are lives in a table. What one spent the next one
 * has not, of the host's and of the tenant's.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "budgets.h"
#include "fdio.h"

#define BOOT "0f3c5f5e-6a51-4b8e-9a0e-2f1d6f7a8b9c"
#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)
#define START (100 * SEC)
#define FILE_NAME "kills"

#include "store-bed.h"

static const HostRules rules = {
        .kill_budget = 4, .kill_window = HOUR, .storm_permyriad = 10000, .storm_window = SEC
};
static const Settings settings = { .kill_budget = 2, .kill_window = 2 * HOUR }, none = {};

/* One guard's life. */
typedef struct Life {
        Judge *judge;
        Budgets budgets;
        PartyMemory memory;
        Party party; /* the culprit of the moment */
        usec_t now;
        KillsStats found;
} Life;

static void begin(Life *l, usec_t now) {
        *l = (Life){ .now = now };
        assert_int_equal(judge_new(1, &l->judge), 0);
        assert_int_equal(budgets_open(&l->budgets, dir, BOOT, l->judge, now, &l->found), 0);
}

static void end(Life *l) {
        budgets_deinit(&l->budgets);
        l->judge = judge_free(l->judge);
}

static void next(Life *l) {
        usec_t now = l->now;

        end(l);
        begin(l, now);
}

static void look_at(Life *l, uint64_t id, const char *tenant, const Settings *s) {
        l->memory = (PartyMemory){};
        l->party = (Party){ .id = id, .tenant = tenant, .settings = s, .memory = &l->memory };
}

static TenantBudget get(void *user, const Party *p) {
        Life *l = user;

        return budgets_get(&l->budgets, p, l->now);
}

static ActWhy may_kill(Life *l) {
        TenantBudget b = get(l, &l->party);

        return brakes_may_kill(&l->judge->brakes, &rules, b.budget, b.max, b.window, false, l->now);
}

static int charge(Life *l) { return budgets_charge(&l->budgets, l->judge, &rules, &l->party, l->now); }

static void acted(Life *l, ActKind kind) {
        const JudgeOps ops = { .budget = get, .user = l };
        const Act a = { .kind = kind, .resource = RESOURCE_MEMORY, .lever = _LEVER_INVALID };

        judge_acted(l->judge, &ops, &l->party, &a, 0, l->now);
}

/* It is gone at once. */
static void end_one(Life *l, uint64_t id, const char *tenant, const Settings *s) {
        look_at(l, id, tenant, s);
        assert_int_equal(may_kill(l), ACT_WHY_HARM);
        assert_int_equal(charge(l), 1);
        acted(l, ACT_KILL);
        brakes_empty(&l->judge->brakes, id);
        l->now += BRAKES_SETTLE;
}

static unsigned on_file(Life *l) {
        KillsStats s;

        kills_get_stats(l->budgets.kills, &s);
        return s.n;
}

/* A guard that dies after each kill kills no more than one that lives. */
static void test_crash_loop(void **state) {
        for (unsigned crashes = 0; crashes < 2; crashes++) {
                const usec_t first = START;
                Life l;

                begin(&l, START);
                for (unsigned i = 0; i < 4; i++) {
                        end_one(&l, 10 + i, i < 2 ? "acme" : NULL, i < 2 ? &settings : &none);
                        if (crashes)
                                next(&l);
                        look_at(&l, 99, "acme", &settings);
                        assert_int_equal(may_kill(&l), i < 1 ? ACT_WHY_HARM : ACT_WHY_BUDGET);
                        look_at(&l, 99, "other", &settings);
                        assert_int_equal(may_kill(&l), i < 3 ? ACT_WHY_HARM : ACT_WHY_BUDGET);
                        assert_int_equal(budget_left(&l.judge->brakes.host, 4, HOUR, l.now), 3 - i);
                }
                /* After the host's window, and after the tenant's. */
                l.now = first + HOUR;
                if (crashes)
                        next(&l);
                assert_int_equal(may_kill(&l), ACT_WHY_HARM);
                look_at(&l, 99, "acme", &settings);
                assert_int_equal(may_kill(&l), ACT_WHY_BUDGET);
                l.now = first + 2 * HOUR;
                assert_int_equal(may_kill(&l), ACT_WHY_HARM);
                end(&l);
                (void)clear(NULL);
        }
        (void)state;
}

/* It dies between what is on file and what is done, or is told: spent. */
static void test_crash_between(void **state) {
        Life l;

        (void)state;
        begin(&l, START);
        look_at(&l, 10, "acme", &settings);
        assert_int_equal(charge(&l), 1);
        next(&l);
        assert_int_equal(budget_left(&l.judge->brakes.host, 4, HOUR, l.now), 3);
        /* One moment to settle, too; and that one is not gone. */
        look_at(&l, 11, "acme", &settings);
        assert_int_equal(may_kill(&l), ACT_WHY_SETTLING);
        l.now += BRAKES_SETTLE;
        assert_int_equal(may_kill(&l), ACT_WHY_HARM);
        look_at(&l, 10, "acme", &settings);
        assert_int_equal(charge(&l), 0);
        assert_int_equal(on_file(&l), 1);
        end(&l);
}

static void test_taken_back(void **state) {
        Life l;

        (void)state;
        begin(&l, START);
        end_one(&l, 10, "acme", &settings);
        look_at(&l, 11, "acme", &settings);
        assert_int_equal(charge(&l), 1);
        budgets_take_back(&l.budgets, &l.party, l.now);
        next(&l);
        assert_int_equal(on_file(&l), 1);
        assert_int_equal(budget_left(&l.judge->brakes.host, 4, HOUR, l.now), 3);
        end(&l);
}

/* A stop signal, the kill that follows it, and those after that are one. */
static void test_one_charge(void **state) {
        Life l;

        (void)state;
        begin(&l, START);
        look_at(&l, 10, "acme", &settings);
        assert_int_equal(charge(&l), 1);
        acted(&l, ACT_STOP);
        for (unsigned i = 0; i < 3; i++) {
                l.now += BRAKES_SETTLE;
                assert_int_equal(charge(&l), 0);
                acted(&l, ACT_KILL);
        }
        assert_int_equal(on_file(&l), 1);
        assert_int_equal(budget_left(&l.judge->brakes.host, 4, HOUR, l.now), 3);
        /* Empty at last: what dies under that id from then on is one more. */
        brakes_empty(&l.judge->brakes, 10);
        assert_int_equal(charge(&l), 1);
        end(&l);
}

/* In doubt nobody is killed, for one window, whatever guard asks. */
static void test_unreadable(void **state) {
        Life l;

        (void)state;
        assert_int_equal(fd_write_file_atomic(dir_fd, "kills", "nonsense", 8, 0600, false), 0);
        begin(&l, START);
        look_at(&l, 10, "acme", &settings);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(l.found.set_aside, i == 0);
                assert_int_equal(l.found.n_damaged, 0);
                look_at(&l, 10, "acme", &settings);
                assert_int_equal(may_kill(&l), ACT_WHY_BUDGET);
                l.now += 60 * SEC;
                next(&l);
        }
        l.now = START + HOUR - 1;
        look_at(&l, 10, "acme", &settings);
        assert_int_equal(may_kill(&l), ACT_WHY_BUDGET);
        l.now++;
        assert_int_equal(may_kill(&l), ACT_WHY_HARM);
        end(&l);
}

/* Full of kills that a budget counts: no room, nobody is killed, until the first of them is out of both windows. */
static void test_full(void **state) {
        Life l;

        (void)state;
        begin(&l, START);
        for (unsigned i = 0; i < KILLS_MAX; i++) {
                look_at(&l, 10 + i, "acme", &settings);
                assert_int_equal(charge(&l), 1);
        }
        next(&l);
        l.now = START + 2 * HOUR - 1;
        for (unsigned i = 0; i < 2; i++) {
                look_at(&l, 9999, i ? "other" : NULL, i ? &settings : &none);
                assert_int_equal(may_kill(&l), ACT_WHY_BUDGET);
                assert_int_equal(charge(&l), -ENOSPC);
        }
        l.now++;
        assert_int_equal(may_kill(&l), ACT_WHY_HARM);
        assert_int_equal(charge(&l), 1);
        end(&l);
}

/* No file: budgets as ever, and forgotten. */
static void test_no_file(void **state) {
        Life l = { .now = START };

        (void)state;
        assert_int_equal(judge_new(1, &l.judge), 0);
        assert_int_equal(budgets_open(&l.budgets, "/nonexistent", BOOT, l.judge, START, &l.found), -ENOENT);
        for (unsigned i = 0; i < 2; i++) {
                look_at(&l, 10 + i, "acme", &settings);
                assert_int_equal(may_kill(&l), ACT_WHY_HARM);
                assert_int_equal(charge(&l), 0);
                acted(&l, ACT_KILL);
                l.now += BRAKES_SETTLE;
        }
        look_at(&l, 99, "acme", &settings);
        assert_int_equal(may_kill(&l), ACT_WHY_BUDGET);
        end(&l);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_crash_loop, clear),
                cmocka_unit_test_teardown(test_crash_between, clear),
                cmocka_unit_test_teardown(test_taken_back, clear),
                cmocka_unit_test_teardown(test_one_charge, clear),
                cmocka_unit_test_teardown(test_unreadable, clear),
                cmocka_unit_test_teardown(test_full, clear),
                cmocka_unit_test_teardown(test_no_file, clear),
        };

        return cmocka_run_group_tests_name("budgets", tests, setup_all, teardown_all);
}
