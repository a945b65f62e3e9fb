/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a cgroup wants of each ceiling, from what it used lately (layer: core,
 * pure): the use by which core/share divides a tenant's sum.
 *
 * It is the highest use seen, halved each DEMAND_HALF_LIFE_USEC, and never less than the last reading of what just stays
 * as it is (memory, swap, tasks). A pause is no reason to give a share away, half a minute is.
 */

#include "limits.h"
#include "sample.h"

#define DEMAND_HALF_LIFE_USEC (10 * USEC_PER_SEC)
#define DEMAND_SPAN_MIN_USEC \
        (USEC_PER_SEC / 5) /* rates are over at least this; a shorter look waits for the next */
#define DEMAND_HIT_USEC (20 * USEC_PER_SEC) /* for so long a ceiling that was hit counts as hit lately */
/* Nothing read for so long (more than two TIER_SLOW_USEC): nothing is known any more. */
#define DEMAND_STALE_USEC (150 * USEC_PER_SEC)

typedef enum DemandHit { DEMAND_HIT_CPU, DEMAND_HIT_MEMORY, DEMAND_HIT_TASKS, _DEMAND_HIT_MAX } DemandHit;

typedef struct DemandValue {
        uint64_t last, peak; /* a second for rates, else what was there */
        usec_t at, peak_at;
        bool known;
} DemandValue;

typedef struct DemandDevice {
        dev_t dev;
        uint64_t count[4]; /* as SampleDevice: rbytes, wbytes, rios, wios */
        DemandValue rate[4];
} DemandDevice;

/* All zero is a fresh one. */
typedef struct Demand {
        DemandValue cpu; /* µs per second */
        DemandValue memory, swap, tasks;
        usec_t cpu_at, io_at; /* of the counters below; 0: none yet */
        uint64_t cpu_count, periods, throttled;
        DemandDevice *devices; /* ordered by dev; at most SAMPLE_DEVICES_MAX */
        size_t n_devices;
        bool unlisted; /* there are more devices than io lists */
        bool have_hits[_DEMAND_HIT_MAX];
        uint64_t hits[_DEMAND_HIT_MAX]; /* of the events */
        usec_t hit_at[_DEMAND_HIT_MAX]; /* 0: never */
} Demand;

void demand_deinit(Demand *d);

/*
 * After each look at the cgroup: files (SAMPLE_FILE_BIT()) are those that were read, all else in s may be old. io: its
 * devices, used only with SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT); may be NULL. Counters that went back begin anew. A time
 * that went back feeds nothing. 0 or -ENOMEM: the devices are then as they were, the rest is fed.
 */
int demand_feed(Demand *d, const Sample *s, uint32_t files, const SampleIo *io);

/*
 * The demand for each ceiling of `sum` that is known, for SharePart.use; ret is replaced. A ceiling that was hit lately
 * has the origin SHARE_USE_HIT, others 0. Of a device that the cgroup did not use it is 0.
 * 0 or -ENOMEM, ret untouched.
 */
int demand_use(const Demand *d, const LimitSet *sum, usec_t now, LimitSet *ret);
