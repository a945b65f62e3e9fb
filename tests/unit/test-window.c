/* SPDX-License-Identifier: Apache-2.0 */

/* The sliding window: what is in it, what a share of stall is, and what it makes of bad samples. */

#include "scenekit.h"

#define SEC USEC_PER_SEC
#define MSEC USEC_PER_MSEC

static Sample stall_at(usec_t at, uint64_t stall) {
        Sample s = { .at = at };

        sample_put(&s, SAMPLE_CPU_SOME, stall);
        return s;
}

static void feed(Window *w, usec_t at, uint64_t stall, usec_t width) {
        Sample s = stall_at(at, stall);

        window_feed(w, &s, width);
}

static unsigned share(const Window *w, usec_t width) {
        unsigned v = 77777;

        (void)window_share(w, SAMPLE_CPU_SOME, width, &v);
        return v;
}

static void test_empty(void **state) {
        Window w = {};
        unsigned permyriad;
        int64_t change;
        uint64_t v;
        usec_t span;

        (void)state;
        for (int i = 0; i < 2; i++) { /* of nothing, and of one point */
                assert_int_equal(window_span(&w), 0);
                assert_false(window_delta(&w, SAMPLE_CPU_SOME, &v));
                assert_false(window_recent(&w, SAMPLE_CPU_SOME, &v, &span));
                assert_false(window_change(&w, SAMPLE_MEMORY, &change));
                assert_false(window_change_recent(&w, SAMPLE_MEMORY, &change, &span));
                assert_false(window_share(&w, SAMPLE_CPU_SOME, SEC, &permyriad));
                assert_int_equal(window_per_sec(&w, SAMPLE_CPU_SOME), 0);
                feed(&w, SEC, 5, SEC);
        }
}

/* A look a second, with a window of ten: the span is between half a window and a whole one. */
static void test_span(void **state) {
        Window w = {};

        (void)state;
        for (unsigned i = 1; i <= 100; i++) {
                feed(&w, i * SEC, i * 1000, 10 * SEC);
                if (i <= 11)
                        assert_int_equal(window_span(&w),
                                         MIN_OF((i - 1) * SEC, i == 11 ? 10 * SEC : 9 * SEC));
                else
                        assert_in_range(window_span(&w), 5 * SEC, 10 * SEC);
                if (i > 1)
                        assert_int_equal(window_per_sec(&w, SAMPLE_CPU_SOME), 1000);
        }
        /* nothing new: nothing changes */
        feed(&w, 100 * SEC, 999999, 10 * SEC);
        feed(&w, 99 * SEC, 999999, 10 * SEC);
        assert_int_equal(window_per_sec(&w, SAMPLE_CPU_SOME), 1000);
}

/* Time to the next look, stall in it; what the share is then. */
static void test_share(void **state) {
        static const struct {
                const char *what;
                usec_t width;
                struct {
                        usec_t after, stall;
                        unsigned share;
                } looks[8];
        } rows[] = {
                { "a blip of 100 ms is nothing of ten seconds",
                  10 * SEC,
                  { { 100 * MSEC, 100 * MSEC, 100 }, { SEC, 0, 100 }, { SEC, 0, 100 } } },
                { "a stall is seen as soon as it is target times width long",
                  SEC,
                  { { SEC, 0, 0 }, { SEC, 0, 0 }, { 300 * MSEC, 300 * MSEC, 3000 } } },
                { "also where a look has just been",
                  SEC,
                  { { SEC, 0, 0 },
                    { 900 * MSEC, 0, 0 },
                    { 100 * MSEC, 100 * MSEC, 1000 },
                    { 200 * MSEC, 200 * MSEC, 3000 } } },
                { "and of a long window",
                  10 * SEC,
                  { { SEC, SEC, 1000 }, { SEC, SEC, 2000 }, { SEC, SEC, 3000 } } },
                { "looks are rare", SEC, { { 3 * SEC, 1500 * MSEC, 5000 }, { 3 * SEC, 0, 0 } } },
                { "the kernel's clock is ahead of ours", SEC, { { SEC, 1100 * MSEC, 10000 } } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                usec_t at = 5 * SEC;
                uint64_t stall = 1000000;
                Window w = {};

                feed(&w, at, stall, rows[i].width);
                for (size_t k = 0; k < 8 && rows[i].looks[k].after > 0; k++) {
                        at += rows[i].looks[k].after;
                        stall += rows[i].looks[k].stall;
                        feed(&w, at, stall, rows[i].width);
                        if (share(&w, rows[i].width) != rows[i].looks[k].share)
                                fail_msg("%s: look %zu: %u", rows[i].what, k, share(&w, rows[i].width));
                }
        }
}

/* A load that stalls evenly has one share, whichever point has just gone; and its end is seen within a window. */
static void test_steady(void **state) {
        Window w = {};
        uint64_t stall = 0;
        unsigned i;

        (void)state;
        for (i = 1; i <= 60; i++) {
                feed(&w, i * SEC, stall += 350 * MSEC, 10 * SEC);
                if (i > 10)
                        assert_in_range(share(&w, 10 * SEC), 3490, 3500);
        }
        for (unsigned last = 3500; i <= 71; i++) {
                feed(&w, i * SEC, stall, 10 * SEC);
                assert_true(share(&w, 10 * SEC) <= last);
                last = share(&w, 10 * SEC);
        }
        assert_int_equal(share(&w, 10 * SEC), 0);
}

static void test_recent(void **state) {
        Window w = {};
        uint64_t v;
        int64_t change;
        usec_t span;
        Sample s;

        (void)state;
        for (unsigned i = 1; i <= 30; i++) {
                s = stall_at(i * SEC, i < 30 ? 0 : 700);
                sample_put(&s, SAMPLE_MEMORY, i < 30 ? 1000 : 400);
                window_feed(&w, &s, 60 * SEC);
        }
        assert_true(window_recent(&w, SAMPLE_CPU_SOME, &v, &span));
        assert_int_equal(v, 700);
        assert_int_equal(span, SEC);
        assert_true(window_change(&w, SAMPLE_MEMORY, &change));
        assert_int_equal(change, -600);
        assert_true(window_change_recent(&w, SAMPLE_MEMORY, &change, &span));
        assert_int_equal(change, -600);
        /* a look that a trigger asked for, a moment later, does not make that moment all there is */
        s.at += 10 * MSEC;
        sample_put(&s, SAMPLE_CPU_SOME, 701);
        window_feed(&w, &s, 60 * SEC);
        s.at += 10 * MSEC;
        window_feed(&w, &s, 60 * SEC);
        assert_true(window_recent(&w, SAMPLE_CPU_SOME, &v, &span));
        assert_int_equal(span, 20 * MSEC);
        for (unsigned i = 0; i < 100; i++) {
                s.at += 10 * MSEC;
                window_feed(&w, &s, 60 * SEC);
        }
        assert_true(window_recent(&w, SAMPLE_CPU_SOME, &v, &span));
        assert_in_range(span, 10 * MSEC, 510 * MSEC);
}

static void test_fields(void **state) {
        Window w = {};
        Sample s = { .at = SEC };
        unsigned permyriad;
        uint64_t v;

        (void)state;
        sample_put(&s, SAMPLE_PIDS_EVENTS_MAX, 4);
        window_feed(&w, &s, SEC);
        s.at += SEC;
        sample_put(&s, SAMPLE_PIDS_EVENTS_MAX, 6);
        sample_put(&s, SAMPLE_IO_SOME, 6); /* only now */
        sample_put(&s, SAMPLE_KERNEL, 6); /* the judge does not ask for it */
        window_feed(&w, &s, SEC);
        assert_true(window_delta(&w, SAMPLE_PIDS_EVENTS_MAX, &v));
        assert_int_equal(v, 2);
        assert_false(window_delta(&w, SAMPLE_IO_SOME, &v));
        assert_false(window_delta(&w, SAMPLE_KERNEL, &v));
        assert_false(window_share(&w, SAMPLE_IO_SOME, SEC, &permyriad));
        assert_int_equal(window_per_sec(&w, SAMPLE_IO_SOME), 0);
        sample_clear(&s, SAMPLE_BIT(SAMPLE_PIDS_EVENTS_MAX));
        s.at += SEC;
        window_feed(&w, &s, SEC);
        assert_false(window_delta(&w, SAMPLE_PIDS_EVENTS_MAX, &v));
}

static void test_anew(void **state) {
        Window w = {};

        (void)state;
        feed(&w, 10 * SEC, 5000, SEC);
        feed(&w, 11 * SEC, 6000, SEC);
        feed(&w, 12 * SEC, 100, SEC); /* another life */
        assert_int_equal(window_span(&w), 0);
        feed(&w, 13 * SEC, 200, SEC);
        assert_int_equal(window_span(&w), SEC);
        feed(&w, 17 * SEC - 1, 300, SEC);
        assert_true(window_span(&w) > 0);
        feed(&w, 22 * SEC, 400, SEC); /* nobody looked */
        assert_int_equal(window_span(&w), 0);
        /* a gauge may fall */
        for (unsigned i = 0; i < 2; i++) {
                Sample s = { .at = (23 + i) * SEC };

                sample_put(&s, SAMPLE_MEMORY, 100 - 50 * i);
                window_feed(&w, &s, SEC);
        }
        assert_true(window_span(&w) > 0);
}

static void test_hostile(void **state) {
        static const usec_t widths[] = { 0, 1, SEC, USEC_INFINITY };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
                Window w = {};
                unsigned permyriad;
                int64_t change;
                Sample s = {};

                window_feed(&w, &s, widths[i]); /* never read */
                assert_int_equal(w.n, 0);
                s.at = 1;
                sample_put(&s, SAMPLE_CPU_SOME, 0);
                sample_put(&s, SAMPLE_MEMORY, UINT64_MAX);
                window_feed(&w, &s, widths[i]);
                s.at = 2;
                sample_put(&s, SAMPLE_CPU_SOME, UINT64_MAX);
                sample_put(&s, SAMPLE_MEMORY, 0);
                window_feed(&w, &s, widths[i]);
                assert_true(window_share(&w, SAMPLE_CPU_SOME, widths[i], &permyriad));
                assert_true(permyriad <= 10000);
                assert_true(window_change(&w, SAMPLE_MEMORY, &change));
                assert_true(change == -INT64_MAX);
                assert_true(window_per_sec(&w, SAMPLE_CPU_SOME) == UINT64_MAX);
                s.at = USEC_INFINITY;
                window_feed(&w, &s, widths[i]);
                assert_true(w.n >= 1 && w.n <= WINDOW_POINTS);
        }
}

/* Looks at any time: points stay in order, the share is one, and never more than the worst stretch of the width had. */
static void test_random(void **state) {
        uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

        (void)state;
        print_message("seed %llx\n", (unsigned long long)x);
        for (unsigned round = 0; round < 200; round++) {
                usec_t width = SEC * (1 + round % 20), at = SEC;
                uint64_t stall = 0;
                unsigned permyriad;
                Window w = {};

                for (unsigned i = 0; i < 200; i++) {
                        usec_t step;

                        x ^= x << 13;
                        x ^= x >> 7;
                        x ^= x << 17;
                        step = 1 + x % (2 * SEC);
                        at += step;
                        stall += x % 3 == 0 ? step / 2 : 0; /* never more than half of the time */
                        feed(&w, at, stall, width);
                        for (unsigned k = 1; k < w.n; k++)
                                assert_true(w.points[k - 1].at < w.points[k].at);
                        assert_int_equal(w.points[w.n - 1].at, at);
                        if (window_share(&w, SAMPLE_CPU_SOME, width, &permyriad))
                                assert_true(permyriad <= 5000);
                        else
                                assert_int_equal(i, 0);
                        /* never older than a window, the time that looks were apart, and half a window that cannot go yet */
                        assert_true(window_span(&w) <= width * 3 / 2 + 2 * SEC);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty),  cmocka_unit_test(test_span),    cmocka_unit_test(test_share),
                cmocka_unit_test(test_steady), cmocka_unit_test(test_recent),  cmocka_unit_test(test_fields),
                cmocka_unit_test(test_anew),   cmocka_unit_test(test_hostile), cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
