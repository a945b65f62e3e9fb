/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "baseline.h"

#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)

static const SampleField fields[_BASELINE_MAX] = { SAMPLE_CPU_SOME, SAMPLE_MEMORY_SOME, SAMPLE_IO_SOME };

/* A cgroup whose counters we wind on. */
typedef struct Clock {
        Baseline b;
        Sample s;
} Clock;

static void init(Clock *c) {
        *c = (Clock){ .s = { .at = SEC } };
        for (int r = 0; r < _BASELINE_MAX; r++)
                sample_put(&c->s, fields[r], 1000);
}

/* One span with these shares in permyriad. */
static void feed(Clock *c, usec_t span, unsigned cpu, unsigned memory, unsigned io) {
        const unsigned shares[_BASELINE_MAX] = { cpu, memory, io };
        Sample before = c->s;

        c->s.at += span;
        for (int r = 0; r < _BASELINE_MAX; r++)
                c->s.v[fields[r]] += span * shares[r] / 10000;
        baseline_feed(&c->b, &before, &c->s);
}

static void feed_cpu(Clock *c, usec_t total, usec_t span, unsigned share) {
        for (usec_t t = 0; t < total; t += span)
                feed(c, span, share, 0, 0);
}

static unsigned get(const Clock *c, BaselineResource r) {
        unsigned v = 0, days = 77;

        assert_true(baseline_get(&c->b, r, &v, &days));
        assert_in_range(days, 0, BASELINE_DAYS);
        return v;
}

static unsigned days_of(const Clock *c) {
        unsigned v, days = 77;

        assert_true(baseline_get(&c->b, BASELINE_CPU, &v, &days));
        return days;
}

/* Plus or minus what a test allows. */
static void assert_near(unsigned v, unsigned expected, unsigned by) {
        assert_in_range(v, expected - MIN_OF(by, expected), expected + by);
}

static void test_names(void **state) {
        (void)state;
        assert_string_equal(baseline_resource_to_string(BASELINE_CPU), "cpu");
        assert_string_equal(baseline_resource_to_string(BASELINE_MEMORY), "memory");
        assert_string_equal(baseline_resource_to_string(BASELINE_IO), "io");
        assert_string_equal(baseline_resource_to_string(_BASELINE_MAX), "unknown");
}

static void test_too_little(void **state) {
        unsigned v = 4711, days = 4712;
        Clock c;

        (void)state;
        init(&c);
        for (int i = 0; i < BASELINE_MIN_OBSERVATIONS; i++) {
                assert_false(baseline_get(&c.b, BASELINE_CPU, &v, &days));
                assert_true(v == 4711 && days == 4712);
                feed_cpu(&c, BASELINE_SPAN_USEC, SEC, 250);
        }
        assert_true(baseline_get(&c.b, BASELINE_CPU, &v, NULL));
        assert_int_equal(v, 250);
        assert_int_equal(days_of(&c), 0);
}

/* The first observations are of a start, which is like nothing that comes after. */
static void test_converges(void **state) {
        static const struct {
                unsigned start, share, seconds;
        } rows[] = {
                { 0, 0, 60 },       { 0, 1, 60 },        { 0, 30, 60 },      { 0, 300, 120 },
                { 0, 3000, 360 },   { 0, 10000, 660 },   { 10000, 0, 360 },  { 10000, 1, 360 },
                { 10000, 30, 300 }, { 10000, 3000, 60 }, { 5000, 300, 180 }, { 300, 5000, 180 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (unsigned wrong = 0; wrong <= 3; wrong += 3) {
                        Clock c;

                        init(&c);
                        feed_cpu(&c, wrong * BASELINE_SPAN_USEC, SEC, rows[i].start);
                        feed_cpu(&c, rows[i].seconds * SEC, SEC, rows[i].share);
                        if (get(&c, BASELINE_CPU) != rows[i].share)
                                fail_msg("%u after %u of %u: %u", rows[i].share, wrong, rows[i].start,
                                         get(&c, BASELINE_CPU));
                        /* And there it stays, to the unit. */
                        feed_cpu(&c, 20 * HOUR, BASELINE_SPAN_USEC, rows[i].share);
                        assert_int_equal(c.b.series[BASELINE_CPU].median, rows[i].share * 100);
                }
}

/* It is the median, not the mean, of whatever is observed. */
static void test_median(void **state) {
        static const struct {
                unsigned low, high, of_ten; /* so many of ten are high */
                unsigned min, max;
        } rows[] = {
                { 100, 9000, 1, 95, 120 },    { 100, 9000, 3, 95, 500 }, { 100, 9000, 7, 8000, 9000 },
                { 100, 9000, 9, 8900, 9000 }, { 0, 10000, 2, 0, 50 },    { 200, 210, 5, 195, 215 },
        };
        unsigned seed = (unsigned)getpid();

        (void)state;
        print_message("seed %u\n", seed);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Clock c;

                init(&c);
                for (usec_t t = 0; t < 23 * HOUR; t += BASELINE_SPAN_USEC)
                        feed(&c, BASELINE_SPAN_USEC,
                             (unsigned)rand_r(&seed) % 10 < rows[i].of_ten ? rows[i].high : rows[i].low, 0,
                             0);
                if (get(&c, BASELINE_CPU) < rows[i].min || get(&c, BASELINE_CPU) > rows[i].max)
                        fail_msg("row %zu: %u", i, get(&c, BASELINE_CPU));
        }
}

/* Shares that are spread evenly: the middle, without a drift to either side. */
static void test_no_drift(void **state) {
        unsigned seed = (unsigned)getpid();

        (void)state;
        print_message("seed %u\n", seed);
        for (unsigned middle = 20; middle <= 4000; middle *= 14) {
                Clock c;

                init(&c);
                for (usec_t t = 0; t < 23 * HOUR; t += BASELINE_SPAN_USEC)
                        feed(&c, BASELINE_SPAN_USEC, (unsigned)rand_r(&seed) % (2 * middle + 1), 0, 0);
                assert_near(get(&c, BASELINE_CPU), middle, middle / 8 + 1);
        }
}

static void test_wild_hour(void **state) {
        static const unsigned hours[] = { 1, 4, 12, 22 };

        (void)state;
        for (unsigned wild = 2000; wild <= 10000; wild += 8000)
                for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
                        Clock c;

                        init(&c);
                        feed_cpu(&c, hours[i] * HOUR, BASELINE_SPAN_USEC, 300);
                        feed_cpu(&c, HOUR, BASELINE_SPAN_USEC, wild);
                        /* How far it is out does not matter, and the later in the day the less. */
                        if (hours[i] >= 12)
                                assert_in_range(get(&c, BASELINE_CPU), 300, 375);
                        else
                                assert_in_range(get(&c, BASELINE_CPU), 300, 2000);
                        feed_cpu(&c, (23 - hours[i]) * HOUR, BASELINE_SPAN_USEC, 300);
                        assert_int_equal(days_of(&c), 1);
                        assert_in_range(get(&c, BASELINE_CPU), 300, 375);
                }
}

static void test_days(void **state) {
        static const struct {
                unsigned days[10], n, expected;
        } rows[] = {
                { { 300 }, 1, 300 },
                { { 300, 9000 }, 2, 300 },
                { { 9000, 300 }, 2, 300 },
                { { 300, 9000, 300 }, 3, 300 },
                { { 300, 300, 300, 9000, 300, 300, 300 }, 7, 300 },
                { { 300, 300, 300, 300, 300, 300, 9000 }, 7, 300 },
                { { 9000, 300, 300, 9000, 300, 9000, 300 }, 7, 300 },
                { { 300, 300, 300, 300, 9000, 9000, 9000 }, 7, 300 },
                { { 300, 300, 300, 9000, 9000, 9000, 9000 }, 7, 9000 },
                /* The oldest goes. */
                { { 9000, 9000, 9000, 300, 300, 300, 300, 300, 9000, 9000 }, 10, 300 },
                { { 100, 200, 300, 400, 500, 600, 700 }, 7, 400 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                unsigned before = 0;
                Clock c;

                init(&c);
                for (unsigned d = 0; d < rows[i].n; d++) {
                        feed_cpu(&c, 12 * HOUR, BASELINE_SPAN_USEC, rows[i].days[d]);
                        /* A day that is not over says nothing where others are. */
                        if (d > 0)
                                assert_int_equal(get(&c, BASELINE_CPU), before);
                        feed_cpu(&c, 12 * HOUR, BASELINE_SPAN_USEC, rows[i].days[d]);
                        before = get(&c, BASELINE_CPU);
                        assert_int_equal(days_of(&c), MIN_OF(d + 1, (unsigned)BASELINE_DAYS));
                }
                if (get(&c, BASELINE_CPU) != rows[i].expected)
                        fail_msg("row %zu: %u", i, get(&c, BASELINE_CPU));
        }
}

static void test_does_not_count(void **state) {
        static const struct {
                const char *what;
                usec_t span;
                bool frozen_before, frozen_now;
        } rows[] = {
                { "a gap", BASELINE_GAP_USEC + 1, false, false },
                { "a night", 8 * HOUR, false, false },
                { "the clock stood", 0, false, false },
                { "frozen", 10 * SEC, true, true },
                { "froze", 10 * SEC, false, true },
                { "thawed", 10 * SEC, true, false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Clock c;
                Baseline was;

                init(&c);
                feed_cpu(&c, HOUR + 3 * SEC, SEC, 300); /* in the middle of an observation, too */
                was = c.b;
                for (int k = 0; k < 100; k++) {
                        Sample before = c.s, now;

                        c.s.at += rows[i].span;
                        c.s.v[SAMPLE_CPU_SOME] += rows[i].span;
                        now = c.s;
                        if (rows[i].frozen_before)
                                sample_put(&before, SAMPLE_FROZEN, 1);
                        sample_put(&now, SAMPLE_FROZEN, rows[i].frozen_now);
                        baseline_feed(&c.b, &before, &now);
                }
                if (memcmp(&was, &c.b, sizeof(was)) != 0)
                        fail_msg("%s counted", rows[i].what);
        }
        {
                /* Samples in the wrong order. */
                Clock c;
                Sample later;

                init(&c);
                later = c.s;
                later.at += 20 * SEC;
                baseline_feed(&c.b, &later, &c.s);
                assert_memory_equal(&c.b, &(Baseline){}, sizeof(c.b));
        }
}

/* A day is observed time: with 23 hours seen of it, and a week away, it is not over. */
static void test_day_is_observed(void **state) {
        Clock c;

        (void)state;
        init(&c);
        feed_cpu(&c, 23 * HOUR, BASELINE_SPAN_USEC, 300);
        feed(&c, 7 * 24 * HOUR, 9999, 9999, 9999);
        assert_int_equal(days_of(&c), 0);
        feed_cpu(&c, HOUR - BASELINE_SPAN_USEC, BASELINE_SPAN_USEC, 300);
        assert_int_equal(days_of(&c), 0);
        feed_cpu(&c, BASELINE_SPAN_USEC, BASELINE_SPAN_USEC, 300);
        assert_int_equal(days_of(&c), 1);
}

static void test_missing(void **state) {
        Clock c;
        Sample before;
        unsigned v;

        (void)state;
        init(&c);
        /* Memory goes back, or is missing, once in each observation: it has none, the others have theirs. */
        for (int i = 0; i < 100; i++) {
                for (int k = 0; k < 9; k++)
                        feed(&c, SEC, 100, 200, 300);
                before = c.s;
                c.s.at += SEC;
                c.s.v[SAMPLE_CPU_SOME] += SEC / 100;
                c.s.v[SAMPLE_IO_SOME] += SEC * 3 / 100;
                if (i % 2)
                        c.s.v[SAMPLE_MEMORY_SOME] = 0;
                else
                        before.have &= ~SAMPLE_BIT(SAMPLE_MEMORY_SOME);
                baseline_feed(&c.b, &before, &c.s);
        }
        assert_int_equal(get(&c, BASELINE_CPU), 100);
        assert_int_equal(get(&c, BASELINE_IO), 300);
        assert_false(baseline_get(&c.b, BASELINE_MEMORY, &v, NULL));
        /* And what it had gathered of a spoilt observation does not leak into the next. */
        for (int i = 0; i < 60; i++)
                feed(&c, SEC, 100, 200, 300);
        assert_int_equal(get(&c, BASELINE_MEMORY), 200);

        /* A day with hardly any of it is none of its days. */
        c.s.have &= ~SAMPLE_BIT(SAMPLE_MEMORY_SOME);
        c.b.series[BASELINE_MEMORY].n = BASELINE_MIN_OBSERVATIONS - 1;
        feed_cpu(&c, 24 * HOUR, BASELINE_SPAN_USEC, 100);
        assert_int_equal(days_of(&c), 1);
        assert_false(baseline_get(&c.b, BASELINE_MEMORY, &v, NULL));
}

/* A span of cold sampling is one observation, however long. */
static void test_cold(void **state) {
        static const usec_t spans[] = { 10 * SEC, 17 * SEC, 60 * SEC, BASELINE_GAP_USEC };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(spans); i++) {
                Clock c;

                init(&c);
                for (uint32_t n = 1; n <= 50; n++) {
                        feed(&c, spans[i], 300, 20, 1);
                        assert_int_equal(c.b.series[BASELINE_CPU].n, n);
                }
                assert_int_equal(c.b.day, 50 * spans[i]);
                assert_int_equal(c.b.span, 0);
                assert_int_equal(get(&c, BASELINE_CPU), 300);
                assert_int_equal(get(&c, BASELINE_MEMORY), 20);
                assert_int_equal(get(&c, BASELINE_IO), 1);
        }
        {
                /* Shorter ones are put together: their mean is one observation. */
                Clock c;

                init(&c);
                for (int k = 0; k < 100; k++)
                        feed(&c, SEC, k % 2 ? 0 : 600, 0, 0);
                assert_int_equal(c.b.series[BASELINE_CPU].n, 10);
                assert_int_equal(get(&c, BASELINE_CPU), 300);
        }
}

/* Which resource is which makes no difference, and none knows of the others. */
static void test_resources_independent(void **state) {
        unsigned seed = (unsigned)getpid();
        Clock a, b, c;

        (void)state;
        print_message("seed %u\n", seed);
        init(&a);
        init(&b);
        init(&c);
        for (int i = 0; i < 30000; i++) {
                unsigned x = (unsigned)rand_r(&seed) % 10001, y = (unsigned)rand_r(&seed) % 300,
                         z = (unsigned)rand_r(&seed) % 3;
                usec_t span = SEC + (usec_t)rand_r(&seed) % (20 * SEC);

                feed(&a, span, x, y, z);
                feed(&b, span, z, x, y);
                feed(&c, span, x, 0, 0);
        }
        assert_memory_equal(&a.b.series[BASELINE_CPU], &b.b.series[BASELINE_MEMORY], sizeof(BaselineSeries));
        assert_memory_equal(&a.b.series[BASELINE_MEMORY], &b.b.series[BASELINE_IO], sizeof(BaselineSeries));
        assert_memory_equal(&a.b.series[BASELINE_IO], &b.b.series[BASELINE_CPU], sizeof(BaselineSeries));
        assert_memory_equal(&a.b.series[BASELINE_CPU], &c.b.series[BASELINE_CPU], sizeof(BaselineSeries));
        assert_true(days_of(&a) > 1);
}

/* More stall than time (counters are read a moment apart), and states that nobody ever wrote. */
static void test_nonsense(void **state) {
        Clock c;
        unsigned v;

        (void)state;
        init(&c);
        for (int i = 0; i < 10; i++)
                feed(&c, BASELINE_SPAN_USEC, 20000, 1000000, 10001);
        for (int r = 0; r < _BASELINE_MAX; r++)
                assert_int_equal(get(&c, (BaselineResource)r), 10000);

        memset(&c.b, 0xff, sizeof(c.b));
        assert_true(baseline_get(&c.b, BASELINE_IO, &v, NULL));
        feed_cpu(&c, HOUR, SEC, 300);
        for (int r = 0; r < _BASELINE_MAX; r++)
                assert_true(baseline_get(&c.b, (BaselineResource)r, &v, NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_too_little),
                cmocka_unit_test(test_converges),
                cmocka_unit_test(test_median),
                cmocka_unit_test(test_no_drift),
                cmocka_unit_test(test_wild_hour),
                cmocka_unit_test(test_days),
                cmocka_unit_test(test_does_not_count),
                cmocka_unit_test(test_day_is_observed),
                cmocka_unit_test(test_missing),
                cmocka_unit_test(test_cold),
                cmocka_unit_test(test_resources_independent),
                cmocka_unit_test(test_nonsense),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
