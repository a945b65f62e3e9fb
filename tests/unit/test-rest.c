/* SPDX-License-Identifier: Apache-2.0 */

/* Memory that is in no cgroup: that it becomes more, and that a cgroup which went left some behind. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "rest.h"

#define SEC USEC_PER_SEC
#define MIB (UINT64_C(1) << 20)
#define START (1000 * SEC)

static void test_memory(void **state) {
        Rest r = {};
        usec_t at = START;

        (void)state;
        assert_int_equal(rest_bytes(NULL), 0);
        assert_int_equal(rest_grown(NULL), 0);
        assert_int_equal(rest_growth(NULL), 0);
        assert_int_equal(rest_span(NULL), 0);
        for (unsigned i = 0; i < 90; i++)
                rest_feed(&r, 500 * MIB, at += SEC);
        assert_int_equal(rest_bytes(&r), 500 * MIB);
        assert_int_equal(rest_grown(&r), 0);
        assert_int_equal(rest_growth(&r), 0);
        for (unsigned i = 1; i <= 20; i++)
                rest_feed(&r, (500 + 50 * i) * MIB, at += SEC);
        assert_int_equal(rest_grown(&r), 1000 * MIB);
        assert_int_equal(rest_growth(&r), 50 * MIB * rest_span(&r) / SEC);
        /* A cgroup went, and its cache is nobody's now: that is not taken. */
        rest_forget(&r);
        rest_feed(&r, 3000 * MIB, at += SEC);
        rest_feed(&r, 3000 * MIB, at += SEC);
        assert_int_equal(rest_grown(&r), 0);
        assert_int_equal(rest_growth(&r), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
