/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rates.h"
#include "tier.h"

static Sample at(usec_t when) { return (Sample){ .at = when }; }
static bool has(const Rates *r, Rate i) { return r->have >> i & 1; }

static void test_rates(void **state) {
        Sample a = at(USEC_PER_SEC), b = at(3 * USEC_PER_SEC); /* two seconds */
        Rates r = {};
        (void)state;

        sample_put(&a, SAMPLE_CPU_USAGE, 1000000);
        sample_put(&b, SAMPLE_CPU_USAGE, 4000000); /* one and a half CPUs */
        sample_put(&a, SAMPLE_MEMORY_SOME, 0);
        sample_put(&b, SAMPLE_MEMORY_SOME, 500000); /* a quarter of the time */
        sample_put(&a, SAMPLE_IO_RBYTES, 1000);
        sample_put(&a, SAMPLE_NET_TX_DROPPED, 7);
        sample_put(&b, SAMPLE_IO_RBYTES, 5000);
        sample_put(&b, SAMPLE_NET_TX_DROPPED, 27);
        sample_put(&a, SAMPLE_CPU_PERIODS, 10);
        sample_put(&b, SAMPLE_CPU_PERIODS, 30);
        sample_put(&a, SAMPLE_CPU_THROTTLED, 1);
        sample_put(&b, SAMPLE_CPU_THROTTLED, 6);
        sample_put(&b, SAMPLE_IO_SOME, 77); /* only now: no rate */
        rates_feed(&r, &a, tier_files_all());
        assert_int_equal(r.span, 0);
        assert_int_equal(r.have, 0);
        rates_feed(&r, &b, tier_files_hot());
        assert_int_equal(r.span, 2 * USEC_PER_SEC);
        assert_int_equal(r.v[RATE_CPU], 15000);
        assert_int_equal(r.v[RATE_MEMORY_SOME], 2500);
        assert_int_equal(r.v[RATE_IO_RBYTES], 2000);
        assert_int_equal(r.v[RATE_NET_TX_DROPPED], 10);
        assert_int_equal(r.v[RATE_THROTTLED], 2500);
        assert_int_equal(r.have, 1U << RATE_CPU | 1U << RATE_MEMORY_SOME | 1U << RATE_IO_RBYTES |
                                         1U << RATE_NET_TX_DROPPED | 1U << RATE_THROTTLED);
        /* a quota's period later somebody asks: that is no span to take a rate over */
        b.at += 20000;
        sample_put(&b, SAMPLE_CPU_USAGE, 4050000);
        rates_feed(&r, &b, tier_files_all());
        assert_int_equal(r.v[RATE_CPU], 15000);
        /* the next is from where the last was */
        b.at += USEC_PER_SEC - 20000;
        sample_put(&b, SAMPLE_CPU_USAGE, 4500000);
        rates_feed(&r, &b, tier_files_hot());
        assert_int_equal(r.span, USEC_PER_SEC);
        assert_int_equal(r.v[RATE_CPU], 5000);
        assert_int_equal(r.v[RATE_THROTTLED], 0);
}

/* A cold one: a probe each ten seconds, all of it each minute. */
static void test_probe(void **state) {
        Sample s = at(1); /* the guard has a clock of its own: not 0 */
        Rates r = {};
        (void)state;

        sample_put(&s, SAMPLE_CPU_USAGE, 0);
        sample_put(&s, SAMPLE_IO_SOME, 0);
        sample_put(&s, SAMPLE_CPU_SOME, 0);
        sample_put(&s, SAMPLE_IO_RBYTES, 0);
        rates_feed(&r, &s, tier_files_all());
        for (unsigned i = 1; i < 6; i++) {
                s.at += 10 * USEC_PER_SEC;
                sample_put(&s, SAMPLE_CPU_USAGE, i * 1000000);
                rates_feed(&r, &s, tier_files_probe());
                assert_int_equal(r.v[RATE_CPU], 1000);
                assert_int_equal(r.v[RATE_CPU_SOME], 0);
        }
        s.at += 10 * USEC_PER_SEC;
        sample_put(&s, SAMPLE_IO_SOME, 1000000);
        sample_put(&s, SAMPLE_CPU_SOME, 6000000);
        sample_put(&s, SAMPLE_IO_RBYTES, 600);
        rates_feed(&r, &s, tier_files_all());
        assert_int_equal(r.v[RATE_IO_SOME], 1000); /* of ten seconds */
        assert_int_equal(r.v[RATE_CPU_SOME], 1000); /* of a minute */
        assert_int_equal(r.v[RATE_IO_RBYTES], 10);
        /* quiet again: nobody read these anew, for there was nothing */
        s.at += 10 * USEC_PER_SEC;
        rates_feed(&r, &s, tier_files_probe());
        assert_int_equal(r.v[RATE_IO_RBYTES], 0);
        assert_true(has(&r, RATE_IO_RBYTES));
        /* less than a probe says nothing */
        s.at += 10 * USEC_PER_SEC;
        sample_put(&s, SAMPLE_CPU_USAGE, 90000000);
        rates_feed(&r, &s, SAMPLE_FILE_BIT(SAMPLE_FILE_CGROUP_EVENTS));
        assert_int_equal(r.v[RATE_CPU], 0);
}

static void test_edges(void **state) {
        Sample s = at(5);
        Rates r = {};
        (void)state;

        sample_put(&s, SAMPLE_CPU_USAGE, 10);
        sample_put(&s, SAMPLE_IO_WBYTES, 0);
        sample_put(&s, SAMPLE_CPU_PERIODS, 4);
        sample_put(&s, SAMPLE_CPU_THROTTLED, 4);
        rates_feed(&r, &s, tier_files_all());
        s.at += USEC_PER_SEC;
        sample_put(&s, SAMPLE_CPU_USAGE, 3); /* another life */
        sample_put(&s, SAMPLE_IO_WBYTES, UINT64_MAX);
        sample_put(&s, SAMPLE_CPU_THROTTLED, 5);
        rates_feed(&r, &s, tier_files_all());
        assert_false(has(&r, RATE_CPU));
        assert_int_equal(r.v[RATE_IO_WBYTES], UINT64_MAX);
        assert_int_equal(r.v[RATE_THROTTLED], 0); /* of no period */
        s.at -= USEC_PER_SEC / 2; /* a clock that went back */
        sample_put(&s, SAMPLE_CPU_USAGE, 1000000);
        rates_feed(&r, &s, tier_files_all());
        assert_false(has(&r, RATE_CPU));
        s.at += 2 * USEC_PER_SEC;
        sample_clear(&s, SAMPLE_BIT(SAMPLE_IO_WBYTES)); /* the kernel gives it no more */
        rates_feed(&r, &s, tier_files_all());
        assert_true(has(&r, RATE_CPU));
        assert_false(has(&r, RATE_IO_WBYTES));
        assert_int_equal(rate_per_sec(5, 0), 0);
        for (Rate i = 0; i < _RATE_MAX; i++)
                assert_non_null(rate_name(i));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rates),
                cmocka_unit_test(test_probe),
                cmocka_unit_test(test_edges),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
