/* SPDX-License-Identifier: Apache-2.0 */

/* Which hold is whose: by cgroup over a restart of the guard, by key when the container is made again. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "holds.h"

static void add(KeptHolds *k, uint64_t id, const char *cgroup, const char *key, uint64_t until) {
        const KeptHold h = {
                .cgroup_id = id,
                .cgroup = (char *)cgroup,
                .key = (char *)key,
                .until = until,
                .reason = (char *)"why",
        };

        assert_int_equal(kept_holds_add(k, &h), 0);
}

static void test_take(void **state) {
        static const struct {
                uint64_t id;
                const char *cgroup, *key;
                uint64_t until; /* of the hold that is its own; 0: none */
        } rows[] = {
                { 1, "/a", NULL, 10 }, /* the very cgroup */
                { 1, "/a", "acme/other", 10 }, /* whatever it is called */
                { 1, "/b", NULL, 0 }, /* the id was given anew */
                { 9, "/a", NULL, 0 }, /* the path was */
                { 9, "/z", "acme/db", 10 }, /* made again */
                { 9, "/z", "other/db", 0 }, /* of another tenant */
                { 2, "/b", "acme/db", 20 }, /* its own goes before one of its name */
                { 3, "/c", "acme/web", 30 }, /* has no key, but the cgroup */
                { 9, "/c", "acme/web", 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                KeptHolds k = {};
                KeptHold h = {};
                bool found;

                add(&k, 2, "/b", "acme/web2", 20);
                add(&k, 1, "/a", "acme/db", 10);
                add(&k, 3, "/c", NULL, 30);
                found = kept_holds_take(&k, rows[i].id, rows[i].cgroup, rows[i].key, &h);
                assert_int_equal(found, rows[i].until != 0);
                assert_int_equal(h.until, rows[i].until);
                assert_int_equal(k.n, found ? 2 : 3);
                /* It is one target's only. */
                kept_hold_deinit(&h);
                if (found)
                        assert_false(kept_holds_take(&k, rows[i].id, rows[i].cgroup, NULL, &h));
                kept_holds_deinit(&k);
        }
}

static void test_expire(void **state) {
        KeptHolds k = {};
        KeptHold h = {};

        (void)state;
        assert_false(kept_holds_expire(&k, 100));
        for (uint64_t i = 1; i <= 20; i++)
                add(&k, i, "/x", "acme/x", i % 2 ? 50 : 150);
        assert_false(kept_holds_expire(&k, 49));
        assert_true(kept_holds_expire(&k, 50));
        assert_int_equal(k.n, 10);
        assert_false(kept_holds_expire(&k, 149));
        assert_true(kept_holds_take(&k, 2, "/x", NULL, &h));
        assert_int_equal(h.until, 150);
        assert_string_equal(h.reason, "why");
        kept_hold_deinit(&h);
        assert_true(kept_holds_expire(&k, 1000));
        assert_int_equal(k.n, 0);
        kept_holds_deinit(&k);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_take), cmocka_unit_test(test_expire) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
