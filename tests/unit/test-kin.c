/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Events of a world that is made up, with numbers that are given anew all the time, against what really
 * happened in it; as fast as a host makes them, with losses, and with a /proc that is asked too often.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "kin.h"

enum { PIDS = 400, GROUPS = 6 };
#define SECOND 5000 /* events */

static const char *const paths[GROUPS] = {
        "/init.scope",
        "/system.slice/ssh.service",
        "/docker/0000000000000000000000000000000000000000000000000000000000000001",
        "/docker/0000000000000000000000000000000000000000000000000000000000000002",
        "/docker/0000000000000000000000000000000000000000000000000000000000000003",
        "/docker/0000000000000000000000000000000000000000000000000000000000000004",
};

typedef struct World {
        int group[PIDS + 1]; /* of a process that lives; -1: nobody has that pid */
        uint64_t truth[GROUPS][_TALLY_COUNT_MAX];
        uint64_t all[_TALLY_COUNT_MAX];
        unsigned budget; /* looks */
        unsigned n_looks;
        uint64_t state;
} World;

static uint64_t dice(World *w, uint64_t n) {
        w->state ^= w->state << 13;
        w->state ^= w->state >> 7;
        w->state ^= w->state << 17;
        return w->state % n;
}

static KinPath path_of(void *user, uint32_t pid, char *path, size_t size) {
        World *w = user;

        w->n_looks++;
        if (w->budget == 0)
                return KIN_PATH_LATER;
        w->budget--;
        if (w->group[pid] < 0)
                return KIN_PATH_GONE;
        (void)snprintf(path, size, "%s", paths[w->group[pid]]);
        return KIN_PATH_FOUND;
}

static void world_init(World *w, uint64_t seed) {
        *w = (World){ .state = seed, .budget = UINT32_MAX };
        for (unsigned i = 0; i <= PIDS; i++)
                w->group[i] = i > 0 && i <= GROUPS ? (int)i - 1 : -1;
}

static uint32_t somebody(World *w) {
        for (;;) {
                uint32_t pid = (uint32_t)(1 + dice(w, PIDS));

                if (w->group[pid] >= 0)
                        return pid;
        }
}

/* What happens next; *ret_group: whose doing that is. */
static KinEvent happen(World *w, int *ret_group) {
        uint32_t pid = somebody(w), child = (uint32_t)(GROUPS + 1 + dice(w, PIDS - GROUPS));

        *ret_group = w->group[pid];
        if (w->group[child] < 0) {
                w->group[child] = w->group[pid];
                return (KinEvent){ .what = KIN_FORK, .pid = child, .tgid = child, .parent = pid };
        }
        if (pid > GROUPS && dice(w, 2)) {
                w->group[pid] = -1;
                return (KinEvent){ .what = KIN_EXIT, .pid = pid, .tgid = pid };
        }
        switch (dice(w, 3)) {
        case 0:
                return (KinEvent){ .what = KIN_EXEC, .pid = pid, .tgid = pid };
        case 1:
                return (KinEvent){ .what = KIN_FORK, .pid = PIDS + 1000, .tgid = pid, .parent = pid };
        default:
                return (KinEvent){ .what = KIN_UID, .pid = pid, .tgid = pid };
        }
}

static TallyCount counted_as(const KinEvent *e) {
        switch (e->what) {
        case KIN_FORK:
                return e->pid == e->tgid ? TALLY_FORKS : TALLY_THREADS;
        case KIN_EXEC:
                return TALLY_EXECS;
        case KIN_EXIT:
                return TALLY_EXITS;
        default:
                return TALLY_UIDS;
        }
}

static void forget_truth(World *w) {
        memset(w->truth, 0, sizeof(w->truth));
        memset(w->all, 0, sizeof(w->all));
}

/* Events as they happen; at the end of each turn of 100 the dead are buried. */
static void run(World *w, Kin *k, unsigned n, bool lost) {
        for (unsigned i = 0; i < n; i++) {
                int group;
                KinEvent e = happen(w, &group);

                if (lost)
                        continue;
                w->truth[group][counted_as(&e)]++;
                w->all[counted_as(&e)]++;
                kin_event(k, &e, 1);
                if (i % 100 == 99)
                        kin_turn(k);
        }
}

static uint64_t count_of(Kin *k, int group, TallyCount c) {
        return tally_group(&k->tally, paths[group], 1)->counts[c];
}

static void assert_truth(World *w, Kin *k) {
        for (int g = 0; g < GROUPS; g++)
                for (TallyCount c = 0; c < _TALLY_COUNT_MAX; c++)
                        if (count_of(k, g, c) != w->truth[g][c])
                                fail_msg("%s, count %d: %llu, but there were %llu", paths[g], (int)c,
                                         (unsigned long long)count_of(k, g, c),
                                         (unsigned long long)w->truth[g][c]);
}

static void assert_sum(World *w, Kin *k) {
        for (TallyCount c = 0; c < _TALLY_COUNT_MAX; c++) {
                uint64_t sum = k->tally.nobody.counts[c];

                for (int g = 0; g < GROUPS; g++)
                        sum += count_of(k, g, c);
                assert_int_equal(sum, w->all[c]);
        }
}

static void test_without_loss(void **unused) {
        static World w;
        Kin k;

        (void)unused;
        world_init(&w, UINT64_C(0x9e3779b97f4a7c15));
        print_message("seed %llx\n", (unsigned long long)w.state);
        assert_int_equal(kin_init(&k, path_of, &w), 0);
        run(&w, &k, 10 * SECOND, false);
        assert_truth(&w, &k);
        assert_int_equal(k.tally.nobody.counted, false);
        /* A look for each program that starts outside of containers, and one for whoever was there before. */
        assert_true(w.n_looks <= w.truth[0][TALLY_EXECS] + w.truth[1][TALLY_EXECS] + GROUPS);
        kin_deinit(&k);
}

/* Events go missing for a second; all of them are counted again, and those of who is alive are his, at once. */
static void test_loss(void **unused) {
        static World w;
        Kin k;

        (void)unused;
        world_init(&w, 42);
        assert_int_equal(kin_init(&k, path_of, &w), 0);
        for (unsigned round = 0; round < 10; round++) {
                run(&w, &k, SECOND, false);
                run(&w, &k, SECOND, true);
                kin_lost(&k);
                /* All are met again, as the service does: then nobody is unknown. */
                for (uint32_t pid = 1; pid <= PIDS; pid++)
                        assert_true(kin_meet(&k, pid, 1));
        }
        assert_truth(&w, &k);
        assert_sum(&w, &k);
        kin_deinit(&k);
}

/* Without that the dead of before are nobody's, and nothing is lost of the sum. */
static void test_loss_unmet(void **unused) {
        static World w;
        uint64_t known = 0;
        Kin k;

        (void)unused;
        world_init(&w, 7);
        assert_int_equal(kin_init(&k, path_of, &w), 0);
        run(&w, &k, SECOND, false);
        run(&w, &k, SECOND, true);
        kin_lost(&k);
        run(&w, &k, SECOND, false);
        assert_sum(&w, &k);
        for (int g = 0; g < GROUPS; g++)
                known += count_of(&k, g, TALLY_FORKS);
        assert_int_equal(known, w.all[TALLY_FORKS]); /* parents live, and can be asked about */
        kin_deinit(&k);
}

static void test_budget(void **unused) {
        static World w;
        Kin k;

        (void)unused;
        world_init(&w, 11);
        assert_int_equal(kin_init(&k, path_of, &w), 0);
        w.budget = 3;
        run(&w, &k, SECOND, false);
        assert_sum(&w, &k);
        assert_int_equal(w.budget, 0);
        assert_int_equal(k.n_later > 0, true);
        /* With more of it everybody is somebody's again. */
        w.budget = UINT32_MAX;
        for (uint32_t pid = 1; pid <= PIDS; pid++)
                assert_true(kin_meet(&k, pid, 1));
        forget_truth(&w);
        tally_restart(&k.tally);
        run(&w, &k, SECOND, false);
        assert_truth(&w, &k);
        kin_deinit(&k);
}

/* Who is moved between fork and exec is found where it went; who is in a container stays there. */
static void test_moves(void **unused) {
        static World w;
        Kin k;

        (void)unused;
        world_init(&w, 1);
        assert_int_equal(kin_init(&k, path_of, &w), 0);
        w.group[50] = 0;
        kin_event(&k, &(KinEvent){ .what = KIN_FORK, .pid = 50, .tgid = 50, .parent = 1 }, 1);
        w.group[50] = 2;
        kin_event(&k, &(KinEvent){ .what = KIN_EXEC, .pid = 50, .tgid = 50 }, 1);
        assert_int_equal(count_of(&k, 2, TALLY_EXECS), 1);
        w.group[50] = 1; /* nobody does that */
        kin_event(&k, &(KinEvent){ .what = KIN_EXEC, .pid = 50, .tgid = 50 }, 1);
        assert_int_equal(count_of(&k, 2, TALLY_EXECS), 2);
        kin_deinit(&k);
}

/* The record of a task comes after its exit was seen, or before. */
static void test_records(void **unused) {
        const KinRecord r = { .tgid = 50, .tasks = { [TALLY_TASKS] = 1, [TALLY_CPU_USEC] = 20000 } };
        static World w;
        Kin k;

        (void)unused;
        world_init(&w, 1);
        assert_int_equal(kin_init(&k, path_of, &w), 0);
        w.group[50] = 2;
        kin_event(&k, &(KinEvent){ .what = KIN_FORK, .pid = 50, .tgid = 50, .parent = 3 }, 1);
        kin_record(&k, &r, 1);
        w.group[50] = -1;
        kin_event(&k, &(KinEvent){ .what = KIN_EXIT, .pid = 50, .tgid = 50 }, 1);
        kin_turn(&k);
        kin_record(&k, &r, 1);
        assert_int_equal(tally_group(&k.tally, paths[2], 1)->tasks[TALLY_CPU_USEC], 40000);
        kin_turn(&k);
        kin_record(&k, &r, 1);
        assert_int_equal(k.tally.nobody.tasks[TALLY_CPU_USEC], 20000);
        kin_deinit(&k);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_loss), cmocka_unit_test(test_loss),
                cmocka_unit_test(test_loss_unmet),   cmocka_unit_test(test_budget),
                cmocka_unit_test(test_moves),        cmocka_unit_test(test_records),
        };

        return cmocka_run_group_tests_name("kin", tests, NULL, NULL);
}
