/* SPDX-License-Identifier: Apache-2.0 */

/* What no party takes: memory that becomes more, disks that are steadily busy, and the bursts that are somebody's after all. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "rest.h"

#define SEC USEC_PER_SEC
#define MIB (UINT64_C(1) << 20)
#define START (1000 * SEC)
#define DISK 0x800

static void test_memory(void **state) {
        Rest r = {};
        usec_t at = START;

        (void)state;
        assert_int_equal(rest_memory(NULL), 0);
        assert_int_equal(rest_memory_grown(NULL), 0);
        assert_int_equal(rest_memory_growth(NULL), 0);
        assert_int_equal(rest_memory_span(NULL), 0);
        for (unsigned i = 0; i < 90; i++)
                rest_feed_memory(&r, 500 * MIB, at += SEC);
        assert_int_equal(rest_memory(&r), 500 * MIB);
        assert_int_equal(rest_memory_grown(&r), 0);
        assert_int_equal(rest_memory_growth(&r), 0);
        for (unsigned i = 1; i <= 20; i++)
                rest_feed_memory(&r, (500 + 50 * i) * MIB, at += SEC);
        assert_int_equal(rest_memory_grown(&r), 1000 * MIB);
        assert_int_equal(rest_memory_growth(&r), 50 * MIB * rest_memory_span(&r) / SEC);
        /* A cgroup went, and its cache is nobody's now: that is not taken. */
        rest_forget_memory(&r);
        rest_feed_memory(&r, 3000 * MIB, at += SEC);
        rest_feed_memory(&r, 3000 * MIB, at += SEC);
        assert_int_equal(rest_memory_grown(&r), 0);
        assert_int_equal(rest_memory_growth(&r), 0);
}

static void test_disk(void **state) {
        Rest r = {};
        usec_t at = START;

        (void)state;
        assert_int_equal(rest_on_disk(NULL, DISK, at), 0);
        for (unsigned i = 0; i < 10; i++)
                rest_feed_disk(&r, DISK, 0, at += SEC);
        assert_int_equal(rest_on_disk(&r, DISK, at), 0);
        /* Two slots, then it is the least that was seen in them. */
        for (unsigned i = 0; i < 2; i++)
                rest_feed_disk(&r, DISK, 900 + i, at += SEC);
        assert_int_equal(rest_on_disk(&r, DISK, at), 0);
        for (unsigned i = 0; i < 6; i++)
                rest_feed_disk(&r, DISK, 900 + i, at += SEC);
        assert_in_range(rest_on_disk(&r, DISK, at), 900, 905);
        assert_int_equal(rest_on_disk(&r, DISK + 1, at), 0);
        /* Nobody asked for a while: it is not known. */
        assert_int_equal(rest_on_disk(&r, DISK, at + 2 * REST_SLOT_USEC), 0);
        rest_feed_disk(&r, DISK, 900, at += 60 * SEC);
        assert_int_equal(rest_on_disk(&r, DISK, at), 0);
}

/* The host's look came before the party's: half of the time its burst is nobody's. */
static void test_burst(void **state) {
        Rest r = {};
        usec_t at = START;

        (void)state;
        for (unsigned i = 0; i < 120; i++) {
                rest_feed_disk(&r, DISK, i % 2 ? 1000 : 0, at += SEC);
                assert_int_equal(rest_on_disk(&r, DISK, at), 0);
        }
}

static void test_many(void **state) {
        Rest r = {};
        usec_t at = START;

        (void)state;
        for (unsigned s = 0; s < 8; s++, at += SEC)
                for (unsigned d = 0; d < REST_DISKS_MAX + 4; d++)
                        rest_feed_disk(&r, d, 500, at);
        assert_int_equal(r.n_disks, REST_DISKS_MAX);
        assert_int_equal(rest_on_disk(&r, REST_DISKS_MAX - 1, at), 500);
        assert_int_equal(rest_on_disk(&r, REST_DISKS_MAX, at), 0);
        /* Who is idle makes room. */
        at += 10 * SEC;
        for (unsigned s = 0; s < 8; s++, at += SEC)
                rest_feed_disk(&r, REST_DISKS_MAX, 500, at);
        assert_int_equal(rest_on_disk(&r, REST_DISKS_MAX, at), 500);
        assert_int_equal(r.n_disks, REST_DISKS_MAX);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_disk),
                cmocka_unit_test(test_burst),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
