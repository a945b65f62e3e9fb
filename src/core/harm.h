/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who suffers, and whose doing it is (layer: core, pure; DESIGN.md "Harm, blame, ladder"; PSI:
 * Documentation/accounting/psi.rst).
 *
 * Harm is a stall above the target AND above what is normal for this party in calm. It is external only when
 * everything speaks for it; what cannot be told apart is mixed, and mixed is never acted upon:
 *
 *  CPU     The party is not throttled, and none above it is (nr_throttled over nr_periods at each level; a throttled
 *          period explains its part of the stall), our own leases included; it gets less than it is entitled to (fair.h);
 *          CPUs are busy (HARM_CPU_BUSY). More runnable threads than entitlement is its own doing: who gets 95 % of it is no victim.
 *  memory  It did not run into its own memory.high or memory.max, nor did a group above it (memory.events.local); the host
 *          itself reclaims (pgscan of the host, allocation stalls) or is short, and the party lost pages (refaults, scans, swap) or waits.
 *          Who grows more than all others together makes it reclaim itself.
 *  IO      It is not near its io.max, nor a group above (HARM_NEAR_LIMIT of a rate on a device); a device that it uses (or, where it
 *          only waits, e.g. for a journal: any device that is written) is busy (HARM_DEVICE_BUSY), and others do most of that;
 *          it gets less of it than it is entitled to.
 *  pids    The host as a whole: tasks near pid_max, or on the way there so fast that it would be reached within
 *          HARM_TASKS_HORIZON (PARTY_HOST only). `urgent` where hardly anybody can fork any more.
 *  Nobody is a victim within StartupGraceSec= of its birth, or while frozen. PARTY_GROUP never is.
 *
 * The host (PARTY_HOST) is harmed in memory where the whole of it stalls (memory full) or where available memory (and free swap) falls
 * so that it would be gone within HARM_HORIZON, or is at its end (HARM_HOST_AVAILABLE_END). `urgent` where all stall, where it falls
 * and is short already, and where the end would come within a minute; a fall from plenty may end of itself. In CPU and IO it is not harmed by itself: somebody must be.
 */

#include "fair.h"
#include "had.h"

#define HARM_CPU_BUSY 8500 /* permyriad of all CPUs */
#define HARM_DEVICE_BUSY 6000
#define HARM_NEAR_LIMIT 8500 /* of an io.max */
#define HARM_ENTITLED 9500 /* of the entitlement: no victim */
#define HARM_MIXED_OWN 1000 /* own part of the stall, permyriad, from which on it is mixed … */
#define HARM_OWN_OWN 5000 /* … and own */
#define HARM_ABOVE_BASELINE 150 /* percent of the baseline that harm must exceed */
#define HARM_CALM 80 /* percent of the threshold below which harm that was is over */
#define HARM_HOST_MEMORY_FULL 1000 /* permyriad: the whole host waits for memory */
#define HARM_HOST_AVAILABLE_LOW 1000 /* permyriad of memory: falling below is short */
#define HARM_HOST_AVAILABLE_END 400 /* the end is near, if swap is, too */
#define HARM_HOST_SWAP_END 1000 /* permyriad of swap free */
#define HARM_HORIZON (10 * USEC_PER_SEC)
#define HARM_HOST_TASKS 8000 /* permyriad of pid_max */
#define HARM_HOST_TASKS_LOW 5000 /* where their rise counts from */
#define HARM_HOST_TASKS_END 9500
#define HARM_TASKS_HORIZON (2 * USEC_PER_SEC)
#define HARM_TARGET_DEFAULT_CPU 3000 /* permyriad, for who has no settings */
#define HARM_TARGET_DEFAULT_IO 2000
#define HARM_TARGET_DEFAULT_MEMORY 1000
#define HARM_WINDOW_DEFAULT (10 * USEC_PER_SEC)
#define HARM_GRACE_DEFAULT (60 * USEC_PER_SEC)

typedef struct Harm {
        uint32_t party; /* index in the scene */
        uint64_t id;
        Resource resource;
        HarmClass class;
        HarmWhy why;
        uint32_t why_party; /* of HARM_WHY_GROUP_…: the group; else NO_PARTY */
        unsigned share, target, baseline; /* permyriad; baseline 0: not known */
        unsigned own; /* part of the stall that its own ceilings explain, permyriad of the stall */
        unsigned confidence; /* percent that the class is right, for people */
        dev_t dev; /* of io: the contended device; 0: none */
        bool urgent; /* no time for grace */
        bool calm; /* below HARM_CALM of the threshold */
} Harm;

/* Feeds what is remembered of the party, its window and what it had; once per look. */
void harm_feed(const Party *p);
/* Of one party and resource. before: what was found in the step before, for hysteresis (class HARM_NONE at first). */
void harm_judge(const Scene *scene, const FairShare *fair, uint32_t party, Resource resource,
                const Harm *before, Harm *ret);

/* The host gets tasks so fast that it will have run out of them within HARM_TASKS_HORIZON. */
bool harm_tasks_rise(const Scene *scene);

/*
 * Thrash at its own ceiling: hits of its memory.high or memory.max, refaults, pressure high (of memory; of IO where at least half
 * of what it reads are refaults), reads from disk high, nobody OOM-killed; over the window. It is told always, and acted upon (by
 * the levers in ladder.h) only when its reading hurts somebody.
 */
typedef struct Thrash {
        bool found;
        uint64_t hits, refaults; /* a second */
        uint64_t read_bytes; /* a second */
        unsigned memory_some; /* permyriad */
} Thrash;
#define THRASH_HITS 5 /* a second */
#define THRASH_REFAULTS 200 /* pages a second */
#define THRASH_SOME 2000 /* permyriad */
void harm_thrash(const Scene *scene, uint32_t party, Thrash *ret);
