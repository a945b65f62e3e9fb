/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A host to be judged, in miniature: CPUs, memory, swap, one disk and tasks, and parties that want some of them. world.c
 * says how it is modelled. Time passes in ticks; once a second there is a look at everybody, as the kernel would tell it,
 * a step of the judge, and what it wants is done.
 *
 * Whatever test it is for, each step is held to the promises that always hold; a breach of one fails the test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "judge.h"
#include "num.h"

#define WORLD_MAX 32
#define WORLD_DISK ((dev_t)0x800) /* 8:0 */
#define WORLD_START (1000 * USEC_PER_SEC)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define S USEC_PER_SEC

/* What a party would do if nobody kept it from it. */
typedef struct Demand {
        usec_t from, until; /* since the world's start; until 0: for ever */
        usec_t on, off; /* it rests for `off` after each `on`; 0: never */
        double cpus, threads; /* CPU time wanted, by so many runnable threads */
        uint64_t memory, memory_rate; /* anonymous, and how fast it grows to that */
        uint64_t cache; /* file pages read over and over */
        double touches; /* of those, a second */
        double ops, op_bytes, depth; /* of the disk: so many at a time */
        bool writes;
        double tasks, forks; /* a second; each task wants 2 % of a CPU where forks is not 0 */
} Demand;

typedef struct WorldParty {
        const char *name, *tenant;
        PartyKind kind;
        uint32_t parent; /* in World.parties */
        Demand base, noise;
        Settings settings;
        PartyLimits limits; /* without us; io is made of io_base and the lease */
        LimitSet io_base, io_force;
        const char *protected_why;
        bool held, ignores_stop, outlives_kill;
        usec_t restart_after; /* 0: once dead, it stays so */

        bool alive;
        uint64_t id;
        usec_t since, dies_at, died_at, frozen_until;
        double anon, swapped, cached, tasks; /* bytes, count */
        bool warm; /* its cache was whole once, or it lost some of it */
        LimitEntry lease[LEVER_PIDS + 1][LADDER_VALUES_MAX];
        unsigned n_lease[LEVER_PIDS + 1];
        bool hit_high, hit_max; /* since the last look */
        double v[_SAMPLE_MAX]; /* counters and gauges, exactly */
        Sample sample;
        SampleDevice device_before, device_now;
        SampleIo io_before, io_now;
        bool looked; /* at this life */
        PartyMemory memory;
        /* of this tick */
        double cpu_want, cpu_got, memory_stall, io_stall, cpu_stall;
        double ops_want, ops_got, faults;
        /* of the last second */
        double cpu_wanted, cpu_given, ops_wanted, ops_given;
        /* over all */
        unsigned n_acts[_ACT_MAX], n_would, n_deaths;
} WorldParty;

typedef struct World {
        usec_t now; /* monotonic */
        unsigned n_cpus;
        uint64_t memory, swap, pid_max;
        double max_ops, max_bytes; /* of the disk, a second */
        HostRules rules;
        bool paused;
        WorldParty parties[WORLD_MAX]; /* [0]: the host */
        uint32_t n;
        uint64_t next_id, shuffle; /* shuffle: seed of the order in the scene; 0: as they were added */
        int refuse_lever; /* such an act fails with -EOPNOTSUPP; -1: none */

        double disk_wait; /* for one operation, s */
        double busy_usec, swap_used;
        Judge *judge;
        Budget budget;
        unsigned tenant_budget;
        Party scene_parties[WORLD_MAX];
        uint32_t of_scene[WORLD_MAX]; /* index in the scene → in parties */
        usec_t kills[256];
        unsigned n_kills; /* to be killed again while it is not gone is none more */
        uint64_t killed_id; /* the last one */
        Verdict verdicts[VERDICTS_MAX]; /* of the last step */
        unsigned n_verdicts;
        /* over all */
        unsigned n_oom, n_writes, n_nobody[_ACT_WHY_MAX], n_external;
        uint32_t oom_victim;
        uint64_t digest; /* of all verdicts, by name, whatever the order in the scene */
        uint64_t seed; /* for who reads of a breach */
        bool loud; /* prints what is done */
} World;

World *world_new(unsigned n_cpus, uint64_t memory, uint64_t swap);
World *world_free(World *w);
DEFINE_CLEANUP(World *, world_free)
#define _cleanup_world_ _cleanup_(cleanup_world_free)
/* Alive from now on; mode enforce, kill never. parent 0: right below the host. */
uint32_t world_add(World *w, uint32_t parent, PartyKind kind, const char *name);
void world_run(World *w, unsigned seconds);
/* Something of ours is in force on it. */
bool world_leased(const WorldParty *p);
unsigned world_n_leased(const World *w);
/* Acts of all parties that tighten, stop or kill. */
unsigned world_n_hard(const World *w);
