/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The parts that a report is made of: an axis of round steps, curves and hours of the week as means weighted by time, and what is
 * known at all.
 *
 * Whatever comes in is a value that held over some time, in rows of any length. A row that reaches over several points goes
 * to each of them by its part. What no row reaches is null and stays a gap: a line through it would tell what nobody saw.
 */

#include <time.h>

#include "report-model.h"

#define GAP_LEAST 120.0 /* s; shorter ones are the rhythm of rows */

/* ---- the axis ---- */

void report_axis(uint64_t from, uint64_t to, uint64_t least, ReportAxis *ret) {
        static const uint64_t steps[] = { 10,   30,   60,    300,   600,   900,   1800,
                                          3600, 7200, 10800, 21600, 43200, 86400, 604800 };
        uint64_t step = steps[ARRAY_SIZE(steps) - 1];

        if (to <= from)
                to = from + 1;
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
                if (steps[i] >= least && (to - from) / steps[i] + 2 <= REPORT_POINTS_MAX) {
                        step = steps[i];
                        break;
                }
        while ((to - from) / step + 2 > REPORT_POINTS_MAX)
                step *= 2;
        ret->from = from - from % step;
        ret->step = step;
        ret->n = (size_t)((to - ret->from + step - 1) / step);
}

/* Calls for each point that (from, to] reaches, with how much of it. */
static void spread(const ReportAxis *axis, double from, double to,
                   void (*call)(void *user, size_t i, double seconds), void *user) {
        double begin = (double)axis->from, step = (double)axis->step, end = begin + step * (double)axis->n;

        from = MAX_OF(from, begin);
        to = MIN_OF(to, end);
        if (!(from < to))
                return;
        for (size_t i = (size_t)((from - begin) / step); i < axis->n; i++) {
                double low = begin + step * (double)i, part = MIN_OF(to, low + step) - MAX_OF(from, low);

                if (low >= to)
                        break;
                if (part > 0)
                        call(user, i, part);
        }
}

/* ---- curves ---- */

void report_series_deinit(ReportSeries *s) {
        for (int m = 0; m < _REPORT_MEASURE_MAX; m++)
                free(s->points[m]);
        *s = (ReportSeries){};
}

typedef struct Addition {
        ReportPoint *points;
        double value, max;
} Addition;

static void add_point(void *user, size_t i, double seconds) {
        const Addition *a = user;
        ReportPoint *p = &a->points[i];

        p->sum += a->value * seconds;
        p->max = p->weight > 0 ? MAX_OF(p->max, a->max) : a->max;
        p->weight += seconds;
}

int report_series_add(ReportSeries *s, const ReportAxis *axis, ReportMeasure m, double from, double to,
                      double value, double max) {
        Addition a = { .value = value, .max = max };

        if (!s->points[m] && !(s->points[m] = calloc(axis->n + 1, sizeof(*s->points[m]))))
                return -ENOMEM;
        a.points = s->points[m];
        spread(axis, from, to, add_point, &a);
        return 0;
}

static json_t *whole(double v) {
        return json_integer(v <= 0 ? 0 : v >= 9e15 ? (json_int_t)9e15 : (json_int_t)(v + 0.5));
}

static json_t *curve(const ReportPoint *points, const ReportAxis *axis, const double *cover, bool highest) {
        json_t *a = json_array();

        for (size_t i = 0; i < axis->n; i++) {
                double weight = cover ? cover[i] : points[i].weight;

                if (weight <= 0)
                        (void)json_array_append_new(a, json_null());
                else
                        (void)json_array_append_new(a,
                                                    whole(highest ? points[i].max : points[i].sum / weight));
        }
        return a;
}

json_t *report_series_to_json(const ReportSeries *s, const ReportAxis *axis, const double *cover) {
        static const char *const names[] = { "cpu_permyriad", "memory_bytes", "cpu_stall_permyriad",
                                             "memory_stall_permyriad", "io_stall_permyriad" },
                                 *const highest[] = { "cpu_max_permyriad", "memory_max_bytes" };
        json_t *o = json_object();

        for (size_t m = 0; m < _REPORT_MEASURE_MAX; m++) {
                if (!s->points[m])
                        continue;
                (void)json_object_set_new(o, names[m], curve(s->points[m], axis, cover, false));
                if (m < ARRAY_SIZE(highest) && !cover)
                        (void)json_object_set_new(o, highest[m], curve(s->points[m], axis, NULL, true));
        }
        return o;
}

/* ---- what is known ---- */

int report_cover_init(ReportCover *c, const ReportAxis *axis, double begin) {
        *c = (ReportCover){ .points = calloc(axis->n + 1, sizeof(double)), .begin = begin };
        return c->points ? 0 : -ENOMEM;
}

void report_cover_deinit(ReportCover *c) {
        free(c->points);
        *c = (ReportCover){};
}

static void cover_point(void *user, size_t i, double seconds) { ((double *)user)[i] += seconds; }

/* Up to `to`, of what is not covered so far. */
static void add_gap(ReportCover *c, double to) {
        double from = c->at > 0 ? c->at : c->begin;

        if (to - from < GAP_LEAST)
                return;
        if (c->n_gaps < REPORT_GAPS_MAX) {
                c->gaps[c->n_gaps].from = from;
                c->gaps[c->n_gaps].to = to;
        }
        c->n_gaps++;
}

/* The longest of the rows that end at one time says how far back it is known. */
static void take_row(ReportCover *c, const ReportAxis *axis) {
        double from = MAX_OF(c->row_at - c->row_span, MAX_OF((double)axis->from, c->at));

        if (c->row_span <= 0)
                return;
        if (from < c->row_at) {
                add_gap(c, from);
                spread(axis, from, c->row_at, cover_point, c->points);
                c->hours[report_hour_of_week((uint64_t)MAX_OF(0.0, (from + c->row_at) / 2))] +=
                        c->row_at - from;
                c->seconds += c->row_at - from;
                c->at = c->row_at;
        }
        c->row_span = 0;
}

void report_cover_add(ReportCover *c, const ReportAxis *axis, double to, double span) {
        if (to > c->row_at)
                take_row(c, axis);
        c->row_at = MAX_OF(c->row_at, to);
        c->row_span = MAX_OF(c->row_span, span);
}

void report_cover_finish(ReportCover *c, const ReportAxis *axis, double to) {
        take_row(c, axis);
        add_gap(c, to);
}

json_t *report_gaps_to_json(const ReportCover *c) {
        json_t *a = json_array();

        for (size_t i = 0; i < MIN_OF(c->n_gaps, (size_t)REPORT_GAPS_MAX); i++)
                (void)json_array_append_new(a, json_pack("{s:I, s:I}", "from",
                                                         (json_int_t)(c->gaps[i].from * 1e6), "to",
                                                         (json_int_t)(c->gaps[i].to * 1e6)));
        return a;
}

/* ---- the week ---- */

unsigned report_hour_of_week(uint64_t time) {
        time_t t = (time_t)time;
        struct tm tm;

        if (!localtime_r(&t, &tm))
                return 0;
        return ((unsigned)tm.tm_wday + 6) % 7 * 24 + (unsigned)tm.tm_hour;
}

static json_t *hours(const double *sums, const ReportCover *cover) {
        json_t *a = json_array();

        for (size_t i = 0; i < REPORT_HOURS; i++)
                (void)json_array_append_new(a, cover->hours[i] > 0 ? whole(sums[i] / cover->hours[i])
                                                                   : json_null());
        return a;
}

json_t *report_heat_to_json(const ReportHeat *h, const ReportCover *cover) {
        return json_pack("{s:o, s:o}", "cpu_permyriad", hours(h->cpu, cover), "memory_bytes",
                         hours(h->memory, cover));
}
