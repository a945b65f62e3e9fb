/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the judge sees at one moment (layer: core, pure): a plain snapshot, made
 * by the daemon from samples, policy and kernel's limits; nothing in it is
 * looked up later. Only parties that did something lately are in it (hot ones,
 * those above them, those that are held back), so its size follows activity.
 */

#include "baseline.h"
#include "ceiling.h"
#include "rest.h"
#include "sample.h"
#include "verdict.h"

#define NO_PARTY UINT32_MAX

/* In force in the kernel at this cgroup, whoever wrote it. LIMIT_INFINITY: none. */
typedef struct PartyLimits {
        uint64_t cpu_quota; /* µs per second */
        uint64_t memory_high, memory_max;
        uint64_t memory_protected; /* max(min, low) */
        uint64_t tasks_max;
        unsigned cpu_weight, io_weight; /* 1..10000 */
        const LimitSet *io; /* io.max: entries of the IO_… limits; NULL: none */
} PartyLimits;
#define PARTY_LIMITS_NONE \
        ((PartyLimits){ LIMIT_INFINITY, LIMIT_INFINITY, LIMIT_INFINITY, 0, LIMIT_INFINITY, 100, 100, NULL })

typedef struct PartyMemory PartyMemory; /* judge.h; the caller's, kept from step to step */

typedef struct Party {
        uint64_t id; /* cgroup id */
        uint32_t parent; /* index, smaller than the own one; the host's is NO_PARTY */
        PartyKind kind;
        const char *name, *tenant; /* borrowed; tenant NULL: none */
        const Settings *settings; /* of containers; NULL: built-in values */
        PartyLimits limits; /* as the kernel has them: our leases included */
        bool leased[LEVER_PIDS + 1]; /* we hold it back by this lever right now */
        uint64_t beneath[LEVER_PIDS + 1]; /* the value without our lease (cpu, memory, pids) */
        const LimitSet *beneath_io; /* io.max without our leases; NULL: none */
        const char *protected_why; /* NULL: not protected */
        bool held; /* an operator's hold: nothing of ours on it */
        unsigned
                missing; /* THROTTLE_* that cannot be pulled: the kernel has no such file here, its controller is not enabled */
        bool has_freeze; /* it may be frozen: it has cgroup.freeze and nobody else froze it */
        bool local_high, local_max; /* memory.events.local counted some since the last scene */
        bool have_local; /* that file was read; else EVENTS_… of the subtree count */
        bool health_check; /* never frozen unless Throttle= names it */
        bool have_forks; /* its forks are counted right now */
        uint64_t forks_per_sec; /* processes and threads that it starts */
        usec_t since; /* monotonic: it exists; 0: longer than we look */
        const Sample *now; /* the last look at it; NULL: none (a group that is not measured) */
        const Baseline *baseline; /* NULL: none */
        /* Devices at an earlier look and at the last, `io_span` apart; NULL, 0: not known. */
        const SampleIo *io_before, *io_now;
        usec_t io_span;
        PartyMemory *memory; /* never NULL */
} Party;

typedef struct HostRules { /* [Host] of the policy */
        Mode mode;
        unsigned kill_budget; /* kills in kill_window */
        usec_t kill_window;
        unsigned storm_permyriad; /* of the containers, in storm_window */
        usec_t storm_window;
        unsigned max_throttled; /* permyriad of the containers; at least one may always be */
} HostRules;

typedef struct Scene {
        usec_t now;
        const Party *parties; /* [0] is the host, its Sample meter_look_host()'s */
        uint32_t n;
        unsigned n_cpus;
        uint64_t memory_bytes, swap_bytes; /* of the host */
        uint64_t pid_max; /* min of kernel.pid_max and threads-max */
        uint64_t host_tasks; /* that exist now; 0: not known */
        unsigned n_containers; /* on the host, cold ones too */
        bool all_looked_at; /* services too, and twice since anything stalls: else traffic that is nobody's may be somebody's */
        const Rest *rest; /* memory of the host that is in no cgroup; NULL: it is not known */
        HostRules rules;
        bool paused; /* nothing may be held back; all is given back */
} Scene;

/* The party above, NO_PARTY at the top: for (p = party; p != NO_PARTY; p = party_above(scene, p)) ends, whatever the scene. */
static inline uint32_t party_above(const Scene *scene, uint32_t party) {
        uint32_t parent = scene->parties[party].parent;

        return parent < party ? parent : NO_PARTY;
}
