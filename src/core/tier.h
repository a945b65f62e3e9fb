/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How often a cgroup is looked at, and at what (layer: core, pure). Cost
 * follows activity: a hot one is read each beat, a cold one is probed each
 * TIER_COLD_USEC with three cheap files, and read in full only when the probe
 * moved, or on the slow beat. Everything new is hot, for a start is when most
 * happens.
 *
 *   new ──► HOT ──(quiet for TIER_QUIET_USEC)──► COLD
 *            ▲                                    │ a probe moved, a trigger fired, a limit was hit,
 *            └────────────────────────────────────┘ its parent used CPU that nobody hot explains
 */

#include "sample.h"

#define TIER_HOT_USEC USEC_PER_SEC
#define TIER_COLD_USEC (10 * USEC_PER_SEC)
#define TIER_SLOW_USEC (60 * USEC_PER_SEC) /* everything, memory.stat too */
#define TIER_QUIET_USEC (5 * USEC_PER_SEC)
#define TIER_NEW_USEC (2 * USEC_PER_SEC) /* for so long a new one is hot whatever it does */

/* From here on a cgroup is active, measured over the time since its last sample. */
#define TIER_ACTIVE_CPU_PERMYRIAD 100 /* 1 % of one CPU */
#define TIER_ACTIVE_STALL_PERMYRIAD 50
#define TIER_ACTIVE_IO_BYTES (256 * 1024) /* a second */
#define TIER_ACTIVE_MEMORY_BYTES (1024 * 1024) /* change a second, either way */
#define TIER_GROWTH_BYTES (8 * 1024 * 1024) /* a second: memory.stat is worth its price */

typedef enum TierLevel { TIER_HOT, TIER_COLD, _TIER_MAX } TierLevel;
const char *tier_to_string(TierLevel t); /* "hot" "cold" */

typedef enum TierWhy { /* why it is hot */
                       TIER_WHY_NEW,
                       TIER_WHY_CPU,
                       TIER_WHY_STALL,
                       TIER_WHY_IO,
                       TIER_WHY_MEMORY,
                       TIER_WHY_LIMIT, /* a limit was hit, somebody was killed */
                       TIER_WHY_TRIGGER, /* a PSI trigger */
                       TIER_WHY_ASKED, /* somebody looks at it */
                       TIER_WHY_QUIET, /* it is cold */
                       _TIER_WHY_MAX,
} TierWhy;
const char *tier_why_to_string(TierWhy w);

typedef struct TierState {
        TierLevel level;
        TierWhy why;
        usec_t next; /* due for a look */
        usec_t next_slow; /* due for everything */
        usec_t hot_until; /* cold from then on, unless something happens */
        usec_t rest_read; /* when more than the probe's files was read last; 0: never */
} TierState;

/* A new cgroup, or all of them at the start of the guard: hot, due now, for everything. */
void tier_init(TierState *t, usec_t now);

/* What to read now: files as SAMPLE_FILE_BIT(), 0: not due. */
uint32_t tier_due(const TierState *t, usec_t now);
/* The files of each kind of look. */
uint32_t tier_files_probe(void); /* cpu.stat, io.pressure, memory.current */
uint32_t tier_files_hot(void); /* all but memory.stat, and pids.peak, which only ever rises */
uint32_t tier_files_all(void);
/* Whether the probe of a cold one says that it was active since the sample before, so that the rest must be read, too,
 * now. */
bool tier_probe_moved(const Sample *before, const Sample *probe);
/* Whether memory.stat decides something now (it is a third of a look's price): limits hit, memory stalls, fast growth. */
bool tier_wants_memory_stat(const Sample *before, const Sample *now);

/*
 * After a look (files: what it was to read): the next one, and hot or cold. Rates of the probe's files are over
 * now->at - before->at, those of others since these were read last. before NULL: the first look. spread is any number that
 * differs from cgroup to cgroup (its id): cold probes and slow beats are spread over their period by it, so that a thousand
 * idle ones are a hundred a second and not a thousand each tenth.
 */
void tier_step(TierState *t, const Sample *before, const Sample *now, uint32_t files, uint64_t spread);
/* Something said that this one matters (trigger, limit notification, question): hot and due at once. */
void tier_wake(TierState *t, usec_t now, TierWhy why);
/* Its parent's counters did not move: a cold one's probe, where it is due, is put off by one period, as if it had shown
 * nothing. Not so where everything is due. */
void tier_skip(TierState *t, usec_t now, uint64_t spread);
/*
 * CPU of a parent that its hot children and itself do not explain, in µs over a span: whether cold children are to be
 * probed before their time (more than TIER_ACTIVE_CPU_PERMYRIAD · 2 of a CPU).
 */
bool tier_unexplained(uint64_t parent_usec, uint64_t explained_usec, usec_t span);
