/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rows of the history: what a cgroup or a tenant used in a short time, and what many such rows come to
 * (layer: core, pure). Counters are those of the books (books.h) and are sums; gauges say what was, and in a row made of others
 * keep its lowest, mean, highest and 95th percentile.
 */

#include "books.h"

typedef enum UsageGauge {
        USAGE_CPU_PERMYRIAD, /* CPU time over the time of the row: 10000 is one CPU */
        USAGE_MEMORY,
        USAGE_WORKING_SET,
        USAGE_SWAP,
        USAGE_TASKS,
        USAGE_MEMORY_PEAK, /* the highest within the row, as far as anybody knows */
        _USAGE_GAUGE_MAX,
} UsageGauge;
const char *usage_gauge_name(UsageGauge g); /* "memory_bytes"; stable */

typedef struct UsageStat {
        uint64_t min, mean, max, p95;
} UsageStat;

typedef struct UsageRow {
        uint64_t time; /* s since 1970: the end of its slot */
        uint64_t span_msec; /* that its counters are of; of a row made of others their sum */
        uint64_t looks; /* rows that it was made of; 1: it is none of those */
        uint32_t have; /* gauges, 1 << UsageGauge */
        uint64_t counters[_BOOK_COUNTERS];
        UsageStat gauges[_USAGE_GAUGE_MAX]; /* of a single one all four are the same */
} UsageRow;

void usage_row_set_gauge(UsageRow *row, UsageGauge g, uint64_t v);
/* CPU_PERMYRIAD, from its counters and its span. */
void usage_row_set_cpu(UsageRow *row);
/* As if both had been one: sums add up, means are weighted by span, the 95th percentile is the higher one (an upper bound). */
void usage_row_merge(UsageRow *to, const UsageRow *from);
/* Its counters, and its highest as sampled peaks. */
void usage_row_to_book(const UsageRow *row, Book *ret);

/* ---- a cgroup's rows, from looks at it ---- */

#define USAGEROW_SLOT_SEC 10
#define USAGEROW_QUIET_SEC \
        300 /* one that does nothing has a row in each such part of the hour all the same */

/* The end of the slot of `sec` seconds that a time (s) is in: slots are (end - sec, end]. */
uint64_t usagerow_slot_end(uint64_t time, uint64_t sec);

/* All zero at first. */
typedef struct UsageTally {
        Book book; /* since its last row */
        Sample last;
        uint64_t last_at; /* realtime µs of it; 0: never looked at */
        uint64_t row_from; /* realtime µs: the end of its last row */
        uint64_t slot; /* of last */
        uint64_t
                done; /* rows up to there (s) are on file, from a time before this one; 0 once it is beyond */
        uint32_t gauges_have; /* of its last row */
        uint64_t gauges[_USAGE_GAUGE_MAX];
} UsageTally;

/*
 * A look, in the order of time. True: *ret is the row of the slot before, which is complete with it: all that was used up to its
 * last look. A slot in which nothing happened makes no row, and goes into the next that does. The same looks give the same rows,
 * so those that are read again after a restart (`done`) are not told twice. born: it began under our eyes.
 */
bool usagerow_look(UsageTally *t, const Sample *s, uint64_t realtime, bool born, UsageRow *ret);
/* It ended: its last row, if there is one. */
bool usagerow_end(UsageTally *t, uint64_t realtime, BookEnd how, UsageRow *ret);

/* ---- many rows of one subject into one ---- */

typedef struct RollupValue {
        uint64_t v;
        uint64_t weight; /* ms */
} RollupValue;

typedef struct Rollup {
        UsageRow sum;
        unsigned __int128 weighted[_USAGE_GAUGE_MAX]; /* value · ms */
        uint64_t weights[_USAGE_GAUGE_MAX];
        RollupValue *values[_USAGE_GAUGE_MAX];
        size_t n[_USAGE_GAUGE_MAX], alloc[_USAGE_GAUGE_MAX];
} Rollup;

void rollup_deinit(Rollup *r);
/* A row, in any order; one made of others counts by its mean and its percentile. -ENOMEM. */
int rollup_add(Rollup *r, const UsageRow *row);
/* Exact of raw rows: sums, extremes, the mean weighted by time, and the value that was not exceeded in 95 % of the time. */
void rollup_finish(Rollup *r, uint64_t time, UsageRow *ret);
