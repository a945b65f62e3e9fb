/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the page share: numbers as people read them, and its parts. */

#include "jsonget.h"
#include "report-model.h"
#include "report-svg.h"

void page_cpus(Buf *out, double permyriad); /* "1.25": CPUs */
void page_bytes(Buf *out, double bytes); /* "1.50 GiB" */
void page_percent(Buf *out, double permyriad); /* "12.5 %" */
void page_hours(Buf *out, double usec); /* "812.4 h" */
void page_gib_hours(Buf *out, double kib_seconds); /* "12.5 GiB·h" */
typedef enum PageTime {
        PAGE_TIME, /* "Mon 5 Jan 2026, 13:05" */
        PAGE_TIME_SHORT, /* "Mon 5 Jan 13:05" */
        PAGE_TIME_DAY, /* "5 Jan" */
        PAGE_TIME_CLOCK, /* "13:05" */
        PAGE_TIME_ZONE, /* "CET" */
} PageTime;
void page_time(Buf *out, uint64_t usec, PageTime how); /* local */
void page_span(Buf *out, uint64_t usec); /* "2d 3h" */
/* A name that a tenant gave, escaped, no longer than `width` columns. */
void page_name(Buf *out, const char *name, size_t width);

/* What all parts need of a report, looked at once. */
#define PAGE_STACKED 8
typedef struct Page {
        const json_t *report;
        uint64_t from, to, start, step; /* µs */
        size_t points;
        bool many_hosts;
        const json_t *large[REPORT_TOP]; /* with curves, the one that used most CPU time first */
        size_t n_large;
        const json_t *stacked[PAGE_STACKED]; /* those of them in the stacks, by what they used of both */
        size_t n_stacked;
        PlotMark gaps[REPORT_GAPS_MAX];
        size_t n_gaps;
} Page;
void page_init(Page *p, const json_t *report);
double page_place(const Page *p, uint64_t usec); /* on the axis of times: 0 to 1 */
/* "acme", or "acme on host7" where there are many. */
void page_tenant(const Page *p, Buf *out, const json_t *tenant);

/* ---- report-charts.c ---- */

void charts_overview(const Page *p, Buf *out);
void charts_top(const Page *p, Buf *out);
void charts_pressure(const Page *p, Buf *out);
void charts_tenants(const Page *p, Buf *out);
void charts_week(const Page *p, Buf *out);
