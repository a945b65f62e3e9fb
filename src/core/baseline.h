/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What stall is normal for a cgroup in calm (layer: core, pure). The judge
 * calls harm only what is above the target and above this.
 *
 * Slow and robust: within a day the median of the shares seen, by small steps,
 * so that how far one wild hour is out does not matter, only that it is; over
 * days the median of the last BASELINE_DAYS of those, so that one bad day (or
 * three of seven) moves nothing. Before the first day is over it is that day's
 * own estimate, and baseline_get() says how many days stand behind it.
 *
 * A share is stall time over time, in permyriad (10000 = always).
 */

#include "sample.h"

#define BASELINE_DAYS 7
#define BASELINE_DAY_USEC (24 * 3600 * USEC_PER_SEC)
#define BASELINE_SPAN_USEC (10 * USEC_PER_SEC) /* one observation is a share over at least this */
#define BASELINE_MIN_OBSERVATIONS 6 /* fewer are no baseline */

typedef enum BaselineResource { BASELINE_CPU, BASELINE_MEMORY, BASELINE_IO, _BASELINE_MAX } BaselineResource;

typedef struct BaselineSeries {
        uint32_t median; /* of the current day, in 1/100 permyriad */
        uint32_t n; /* observations of the current day */
        uint16_t days[BASELINE_DAYS]; /* permyriad; the oldest is overwritten */
        uint8_t n_days, next_day;
} BaselineSeries;

/* Plain data: kept in the books' file as it is. All zero is a fresh one. */
typedef struct Baseline {
        BaselineSeries series[_BASELINE_MAX];
        usec_t span; /* observed of the current observation, µs */
        usec_t day; /* observed of the current day, µs: time that nobody watched does not count */
        uint64_t stall[_BASELINE_MAX]; /* µs of the current observation */
        uint32_t have; /* bits 1 << BaselineResource of what the current observation knows */
} Baseline;

#define BASELINE_GAP_USEC (180 * USEC_PER_SEC) /* a longer span: nobody watched, it does not count */

/*
 * Feeds the time between two samples (PSI some totals). Both must have read the pressures themselves: where a value was
 * carried over from an earlier look, the time would be taken for calm. A counter that went back, or is missing: that
 * resource gives no observation of this span. Frozen time does not count.
 */
void baseline_feed(Baseline *b, const Sample *before, const Sample *now);
/* The normal share in permyriad (of an even number of days the lower of the middle two); false: too little is known.
 * ret_days (may be NULL): whole days behind it. */
bool baseline_get(const Baseline *b, BaselineResource r, unsigned *ret_permyriad, unsigned *ret_days);
const char *baseline_resource_to_string(BaselineResource r); /* "cpu" "memory" "io" */
