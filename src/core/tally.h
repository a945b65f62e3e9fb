/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What processes did, summed up by the cgroup they are in (layer: core, pure). A group is the outermost container of a
 * path, or the path itself; the group `nobody` has what could not be told. Sums are taken away by whoever tells them on, so that a
 * listener who is slow gets more at once and nothing is kept twice.
 */

#include "map.h"

#define TALLY_GROUPS_MAX 4096 /* beyond: nobody's */
#define TALLY_PATH_MAX 4095
#define TALLY_IDLE_USEC (60 * USEC_PER_SEC) /* a group that did nothing for so long is forgotten */

typedef enum TallyCount {
        TALLY_FORKS, /* processes that it started */
        TALLY_THREADS,
        TALLY_EXECS,
        TALLY_EXITS,
        TALLY_UIDS, /* changes of user */
        TALLY_CORES,
        _TALLY_COUNT_MAX,
} TallyCount;

/* Of tasks that ended, over their whole lives. Delays: 0 where kernel.task_delayacct is off. */
typedef enum TallyTask {
        TALLY_TASKS,
        TALLY_CPU_USEC, /* as the kernel bills it, in many a kernel by ticks: right on average, not for one short life */
        TALLY_RUN_USEC, /* as the scheduler has it, exact up to its last look: too little, by less than a tick a task; 0: not told */
        TALLY_READ_BYTES,
        TALLY_WRITE_BYTES,
        TALLY_DELAY_CPU_USEC,
        TALLY_DELAY_BLKIO_USEC,
        TALLY_DELAY_SWAP_USEC,
        TALLY_DELAY_RECLAIM_USEC,
        TALLY_DELAY_THRASH_USEC,
        TALLY_DELAY_COMPACT_USEC,
        _TALLY_TASK_MAX,
} TallyTask;

typedef struct TallyGroup {
        uint32_t id; /* never used twice; 0: nobody */
        char *path; /* NULL: nobody */
        bool container; /* who is in it stays in it */
        bool told; /* the listener knows its path */
        bool counted, recorded; /* there is something in counts, in tasks */
        uint64_t counts[_TALLY_COUNT_MAX], tasks[_TALLY_TASK_MAX];
        usec_t used; /* last, about */
} TallyGroup;

typedef struct Tally {
        Map by_path, by_id;
        TallyGroup nobody;
        uint32_t last_id;
        uint64_t n_refused; /* groups beyond the bound, or without memory */
} Tally;

void tally_init(Tally *t);
void tally_deinit(Tally *t);
/* The group of a path as in /proc/PID/cgroup behind "0::"; nobody for what is no such path. */
TallyGroup *tally_group(Tally *t, const char *path, usec_t now);
TallyGroup *tally_find(const Tally *t, uint32_t id); /* NULL: it was forgotten; also for 0 */
void tally_count(TallyGroup *g, TallyCount what, uint64_t n, usec_t now);
void tally_record(TallyGroup *g, const uint64_t tasks[_TALLY_TASK_MAX], usec_t now);
/* Another listener: nothing was told yet, and nothing is owed. */
void tally_restart(Tally *t);
/* Forgets one that was idle; true, and its id, where there was one. Those whose sums were not taken stay. */
bool tally_expire(Tally *t, usec_t now, uint32_t *ret_id, bool *ret_told);
/* for (size_t i = 0; (g = tally_next(&t, &i));) nobody comes last. */
TallyGroup *tally_next(Tally *t, size_t *i);
