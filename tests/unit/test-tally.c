/* SPDX-License-Identifier: Apache-2.0 */

/* Which group a path is, hostile paths and bounds included; sums that are taken away. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tally.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct Row {
        const char *path, *group; /* NULL: nobody's */
        bool container;
} Row;

static const Row rows[] = {
        { "/", "/", false },
        { "/system.slice/ssh.service", "/system.slice/ssh.service", false },
        { "/system.slice/docker-" ID ".scope", "/system.slice/docker-" ID ".scope", true },
        /* whatever it makes below its own is its own */
        { "/system.slice/docker-" ID ".scope/init/x", "/system.slice/docker-" ID ".scope", true },
        { "/docker/" ID "/docker/" ID, "/docker/" ID, true },
        /* it died with its cgroup */
        { "/docker/" ID " (deleted)", "/docker/" ID, true },
        { "/system.slice/docker-" ID ".scope/a (deleted)", "/system.slice/docker-" ID ".scope", true },
        { "", NULL, false },
        { "relative", NULL, false },
        { "/a/../b", NULL, false },
        { "/a\nb", NULL, false },
        { "/a\177", NULL, false },
        { "/../../x", NULL, false }, /* of another cgroup namespace */
};

static void test_paths(void **unused) {
        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                TallyGroup *g;
                Tally t;

                tally_init(&t);
                g = tally_group(&t, rows[i].path, 1);
                assert_non_null(g);
                if (!rows[i].group) {
                        if (g->id != 0)
                                fail_msg("row %zu: %s is a group: %s", i, rows[i].path, g->path);
                } else {
                        assert_int_not_equal(g->id, 0);
                        assert_string_equal(g->path, rows[i].group);
                        assert_int_equal(g->container, rows[i].container);
                        assert_ptr_equal(tally_group(&t, rows[i].path, 1), g);
                        assert_ptr_equal(tally_find(&t, g->id), g);
                }
                tally_deinit(&t);
        }
}

static void test_long_path(void **unused) {
        char path[TALLY_PATH_MAX + 3] = "/";
        Tally t;

        (void)unused;
        tally_init(&t);
        memset(path + 1, 'a', TALLY_PATH_MAX);
        path[TALLY_PATH_MAX + 1] = '\0';
        assert_int_equal(tally_group(&t, path, 1)->id, 0);
        tally_deinit(&t);
}

static void test_bound(void **unused) {
        TallyGroup *g;
        Tally t;
        size_t n = 0;

        (void)unused;
        tally_init(&t);
        for (unsigned i = 0; i < TALLY_GROUPS_MAX + 10; i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/s%u", i);
                g = tally_group(&t, path, 1);
                assert_int_equal(g->id != 0, i < TALLY_GROUPS_MAX);
        }
        assert_int_equal(t.n_refused, 10);
        for (size_t i = 0; (g = tally_next(&t, &i));)
                n++;
        assert_int_equal(n, TALLY_GROUPS_MAX + 1);
        assert_int_equal(g ? 1 : 0, 0);
        tally_deinit(&t);
}

static void test_expiry(void **unused) {
        const uint64_t used[_TALLY_TASK_MAX] = { 1, 2 };
        TallyGroup *a, *b;
        uint32_t id;
        bool told;
        Tally t;

        (void)unused;
        tally_init(&t);
        a = tally_group(&t, "/a", 5);
        b = tally_group(&t, "/b", 5);
        tally_record(b, used, 5);
        a->told = true;
        assert_false(tally_expire(&t, 5 + TALLY_IDLE_USEC - 1, &id, &told));
        assert_true(tally_expire(&t, 5 + TALLY_IDLE_USEC, &id, &told));
        assert_int_equal(id, 1);
        assert_true(told);
        /* What was not told yet stays, however long that takes. */
        assert_false(tally_expire(&t, USEC_INFINITY - 1, &id, &told));
        assert_int_equal(b->tasks[TALLY_CPU_USEC], 2);
        /* A new one has an id of its own. */
        assert_int_equal(tally_group(&t, "/a", 5)->id, 3);
        tally_restart(&t);
        assert_int_equal(b->tasks[TALLY_CPU_USEC], 0);
        assert_false(b->recorded);
        tally_deinit(&t);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_long_path),
                cmocka_unit_test(test_bound),
                cmocka_unit_test(test_expiry),
        };

        return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
