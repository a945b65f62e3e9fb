/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A report: what tenants used in a span of time, how that went, what was done (adapter: format). It is JSON, in the schema of
 * bailiff-exporter(8) "report", whoever makes it: the exporter of its history, bailiffctl of a Prometheus server; absent members are
 * what is not known, never an error. Here is what both make it of.
 */

#include <jansson.h>

#include "buf.h"

#define REPORT_POINTS_MAX 366
#define REPORT_TOP 20 /* tenants with curves of their own */
#define REPORT_HOURS 168 /* of a week; Monday's first is 0 */
#define REPORT_INCIDENTS_MAX 200
#define REPORT_GAPS_MAX 100

/* Points: i is of (from + i · step, from + (i + 1) · step]. Seconds. */
typedef struct ReportAxis {
        uint64_t from, step;
        size_t n;
} ReportAxis;
/* From before `from` to `to`, in round steps of `least` or more. */
void report_axis(uint64_t from, uint64_t to, uint64_t least, ReportAxis *ret);

typedef enum ReportMeasure {
        REPORT_CPU, /* permyriad: 10000 is one CPU */
        REPORT_MEMORY, /* bytes */
        REPORT_CPU_STALL, /* permyriad: 10000 is one container that waits all the time */
        REPORT_MEMORY_STALL,
        REPORT_IO_STALL,
        _REPORT_MEASURE_MAX,
} ReportMeasure;

typedef struct ReportPoint {
        double sum, weight, max; /* value · s; s */
} ReportPoint;
/* Curves of one; all zero at first. */
typedef struct ReportSeries {
        ReportPoint *points[_REPORT_MEASURE_MAX];
} ReportSeries;
void report_series_deinit(ReportSeries *s);
/* A value that was over (from, to], s, and the highest within. -ENOMEM. */
int report_series_add(ReportSeries *s, const ReportAxis *axis, ReportMeasure m, double from, double to,
                      double value, double max);
/* {"cpu_permyriad": [n|null…], …}; means, and for CPU and memory the highest. cover (may be NULL): divides by what it says each point
 * is known of instead of by the curve's own. NULL: no memory. */
json_t *report_series_to_json(const ReportSeries *s, const ReportAxis *axis, const double *cover);

/*
 * Of what time anything is known. Rows come in order of time; several may end at the same one. Whatever is not covered by any
 * is a gap, from `begin` on.
 */
typedef struct ReportCover {
        double seconds, *points; /* of axis */
        double hours[REPORT_HOURS];
        double begin, at; /* at: the end of what is covered so far; 0: nothing is */
        struct {
                double from, to;
        } gaps[REPORT_GAPS_MAX];
        size_t n_gaps; /* also those beyond */
        double row_at, row_span; /* the row that is not in it yet */
} ReportCover;
int report_cover_init(ReportCover *c, const ReportAxis *axis, double begin); /* s; -ENOMEM */
void report_cover_deinit(ReportCover *c);
void report_cover_add(ReportCover *c, const ReportAxis *axis, double to, double span);
void report_cover_finish(ReportCover *c, const ReportAxis *axis, double to);
json_t *report_gaps_to_json(const ReportCover *c);

/* Hour of the week in local time (s since 1970). */
unsigned report_hour_of_week(uint64_t time);
typedef struct ReportHeat {
        double cpu[REPORT_HOURS], memory[REPORT_HOURS]; /* value · s, of all together */
} ReportHeat;
json_t *report_heat_to_json(const ReportHeat *h, const ReportCover *cover);
