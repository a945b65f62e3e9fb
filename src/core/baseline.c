/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A running median in eight bytes, and a median of those.
 *
 * Spans between samples are put together to observations of at least BASELINE_SPAN_USEC. An
 * observation moves the day's median toward itself by one step, never beyond it: the median
 * is where as many pull up as down, and no single one pulls harder for being far out.
 *
 * The step is (STEP_BASE + STEP_GAIN · median) / n at the n-th observation of the day.
 * Divided by n, so that all observations of a day weigh alike and it settles; in proportion
 * to the median, for the shares of a busy disk and of an idle CPU are three orders of
 * magnitude apart; with a gain of 2 the error of a bad first guess falls with n², so that an
 * outlier at the start is forgotten within minutes, while one wild hour of a day moves it by
 * about a tenth.
 *
 * A day is BASELINE_DAY_USEC of observed time, not of the calendar. A new one begins at the
 * median of the last, with wide steps again. A day in which a resource was hardly observed
 * is none of its.
 */

#include "baseline.h"
#include "num.h"

#define PERMYRIAD 10000
#define SCALE 100 /* of BaselineSeries.median */
#define STEP_BASE (100 * SCALE)
#define STEP_GAIN 2

static const SampleField fields[_BASELINE_MAX] = {
        [BASELINE_CPU] = SAMPLE_CPU_SOME,
        [BASELINE_MEMORY] = SAMPLE_MEMORY_SOME,
        [BASELINE_IO] = SAMPLE_IO_SOME,
};

const char *baseline_resource_to_string(BaselineResource r) {
        static const char *const names[_BASELINE_MAX] = {
                [BASELINE_CPU] = "cpu",
                [BASELINE_MEMORY] = "memory",
                [BASELINE_IO] = "io",
        };

        return (unsigned)r < _BASELINE_MAX ? names[r] : "unknown";
}

static void observe(BaselineSeries *s, uint32_t share) {
        uint64_t step;
        uint32_t apart = share > s->median ? share - s->median : s->median - share;

        if (s->n < UINT32_MAX)
                s->n++;
        if (s->n == 1 && s->n_days == 0) {
                s->median = share;
                return;
        }
        step = (STEP_BASE + STEP_GAIN * (uint64_t)s->median) / s->n;
        step = MIN_OF(MAX_OF(step, (uint64_t)1), (uint64_t)apart);
        if (share > s->median)
                s->median += (uint32_t)step;
        else
                s->median -= (uint32_t)step;
}

static unsigned day_share(const BaselineSeries *s) { return (s->median + SCALE / 2) / SCALE; }

static void end_day(BaselineSeries *s) {
        if (s->n >= BASELINE_MIN_OBSERVATIONS) {
                s->next_day %= BASELINE_DAYS;
                s->days[s->next_day] = (uint16_t)MIN_OF(day_share(s), (unsigned)PERMYRIAD);
                s->next_day = (s->next_day + 1) % BASELINE_DAYS;
                s->n_days = (uint8_t)MIN_OF(s->n_days + 1, BASELINE_DAYS);
        }
        s->n = 0;
}

static void end_span(Baseline *b) {
        for (int r = 0; r < _BASELINE_MAX; r++) {
                if (b->have & 1U << r)
                        observe(&b->series[r],
                                (uint32_t)MIN_OF(num_muldiv(b->stall[r], PERMYRIAD * SCALE, b->span),
                                                 (uint64_t)PERMYRIAD * SCALE));
                b->stall[r] = 0;
        }
        b->day = num_add_sat(b->day, b->span);
        b->span = 0;
        b->have = 0;
        if (b->day < BASELINE_DAY_USEC)
                return;
        b->day = 0;
        for (int r = 0; r < _BASELINE_MAX; r++)
                end_day(&b->series[r]);
}

void baseline_feed(Baseline *b, const Sample *before, const Sample *now) {
        uint32_t have = 0;

        if (now->at <= before->at || now->at - before->at > BASELINE_GAP_USEC ||
            before->v[SAMPLE_FROZEN] != 0 || now->v[SAMPLE_FROZEN] != 0)
                return;
        for (int r = 0; r < _BASELINE_MAX; r++) {
                uint64_t stall;

                if (!sample_delta(before, now, fields[r], &stall))
                        continue;
                b->stall[r] = num_add_sat(b->stall[r], stall);
                have |= 1U << r;
        }
        /* What is missing of a part is missing of the whole. */
        b->have = b->span == 0 ? have : b->have & have;
        b->span = num_add_sat(b->span, now->at - before->at);
        if (b->span >= BASELINE_SPAN_USEC)
                end_span(b);
}

static int share_cmp(const void *pa, const void *pb) {
        const uint16_t *a = pa, *b = pb;

        return *a < *b ? -1 : *a > *b;
}

bool baseline_get(const Baseline *b, BaselineResource r, unsigned *ret_permyriad, unsigned *ret_days) {
        const BaselineSeries *s = &b->series[r];
        unsigned n_days = MIN_OF(s->n_days, (uint8_t)BASELINE_DAYS);
        uint16_t days[BASELINE_DAYS];

        if (n_days == 0 && s->n < BASELINE_MIN_OBSERVATIONS)
                return false;
        if (n_days > 0) {
                memcpy(days, s->days, sizeof(days));
                qsort(days, n_days, sizeof(*days), share_cmp);
                *ret_permyriad = days[(n_days - 1) / 2];
        } else
                *ret_permyriad = day_share(s);
        if (ret_days)
                *ret_days = n_days;
        return true;
}
