/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From events of processes to sums of cgroups (layer: core, pure): lineage.h says who is whose child, the
 * caller's path_of() answers where that is not known, tally.h has the sums.
 */

#include "lineage.h"
#include "tally.h"

typedef enum KinWhat {
        KIN_FORK, /* pid is the new task, tgid its process, parent the process that made it */
        KIN_EXEC,
        KIN_EXIT,
        KIN_UID,
        KIN_CORE,
        _KIN_WHAT_MAX,
        _KIN_WHAT_INVALID = -EINVAL,
} KinWhat;

typedef struct KinEvent {
        KinWhat what;
        uint32_t pid; /* the task's, tgid its process's */
        uint32_t tgid;
        uint32_t parent; /* KIN_FORK: tgid */
        uint32_t code; /* KIN_EXIT: as of wait(2) */
} KinEvent;

/* The task ended, as taskstats has it. */
typedef struct KinRecord {
        uint32_t tgid;
        uint64_t tasks[_TALLY_TASK_MAX];
} KinRecord;

typedef enum KinPath {
        KIN_PATH_FOUND,
        KIN_PATH_GONE, /* there is no such process */
        KIN_PATH_LATER, /* not in this turn: enough was asked */
} KinPath;
/* path: what stands behind "0::" in /proc/PID/cgroup. */
typedef KinPath (*KinPathOf)(void *user, uint32_t pid, char *path, size_t size);

typedef struct Kin {
        Lineage lineage;
        Tally tally;
        KinPathOf path_of;
        void *user;
        uint64_t n_asked, n_later, n_unknown; /* path_of() called; it put off; nobody's in the end */
} Kin;

int kin_init(Kin *k, KinPathOf path_of, void *user);
void kin_deinit(Kin *k);
void kin_event(Kin *k, const KinEvent *e, usec_t now);
void kin_record(Kin *k, const KinRecord *r, usec_t now);
/* A process that a look at /proc found, so that its death will be known. False: not in this turn. */
bool kin_meet(Kin *k, uint32_t pid, usec_t now);
/* All events of this turn are in, and the records that belong to them. */
void kin_turn(Kin *k);
/* Events were lost: nothing that is known of processes holds. */
void kin_lost(Kin *k);
