/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How far one culprit is held back for one resource (layer: core, pure state machine).
 *
 *   NONE ─harm─► NOTIFY ─► THROTTLE (lever 1, cut, cut, … floor) ─► (lever 2 …) ─► FREEZE pulses ─► STOP ─grace─► KILL
 *                             │ calm for LADDER_CALM (·2 each time harm comes back within LADDER_RELAPSE, up to …_MAX)
 *                             ▼
 *                          RELAX, a step each LADDER_RELAX until it is at what it was ─► NONE
 *
 *  - A step waits for the effect of the one before: LADDER_EFFECT, or the pressure window if that is longer; LADDER_EFFECT_URGENT where it is urgent.
 *    While the share still rises a further cut by the same lever waits for LADDER_EFFECT only: what was done is not enough, that is certain already.
 *  - Cuts are multiplicative. CPU: to the entitlement, and from there on to the half of what is used; where harm came back after it was let go,
 *    to the half of what is used at once, but no further than to the entitlement. IO: to the half. Memory: to 7/8.
 *    pids: to what there is less what the host has too many, but not below the half. Never below the floor; where that rises, the lease does, at once.
 *    Steps back are additive: a fifth of what was cut off.
 *  - Helped: the worst victim's share fell by a fifth at least, or is calm. A lever that did not help in LADDER_TRIES cuts in a row (or
 *    is at its floor) stands where it ever helped; else it is released, and the next one tried. Where it is the last one, and for what runs
 *    out (memory by memory, pids by pids: it stops the growth) it stands all the same.
 *  - Levers by resource, of those in Throttle= and available, in this order:
 *       CPU: cpu.  IO: io, then memory's dirty pages by cpu.  memory: memory, io, cpu.  pids: pids; cpu only where pids cannot be had.
 *       A container that thrashes at its own ceiling: the same without memory, and of io its reading only. Then freeze, stop, kill.
 *  - Calm is not yet the end of the noise: who uses all that its CPU or IO lease leaves it would take more at once. Such a lease stands for
 *    LADDER_CALM (IO: twice that); where letting go was in vain before, ·8 each time, up to LADDER_PRESSED_MAX; from LADDER_PRESSED after it was last used up
 *    the usual calm holds, so that within a minute of the noise's end all is given back.
 *  - Freeze: pulses of LADDER_PULSE, LADDER_PULSE_REST apart, at most LADDER_PULSES in a row; only with THROTTLE_FREEZE.
 *  - Stop and kill: with MODE_ENFORCE and Kill= not never; for CPU and IO after LADDER_LAST without any calm with every lever at its
 *    end; for memory and pids as soon as all levers had their time. Kill=prefer skips freezing and waits a quarter of that. Urgent:
 *    no grace: straight to kill. After STOP the grace is KillGraceSec=; who is still there, and still does harm, is killed. Who is there
 *    LADDER_AGAIN later is killed again. For LADDER_ENDING its end is awaited (ladder_ends()): what that brings is to be seen first.
 *  - dry (Mode below throttle, observe): each step that would be taken is told once and taken for done, with LADDER_DRY between them; nothing is written,
 *    so nothing is released either: ACT_RELEASE is not told. Below MODE_ENFORCE, stop and kill are dry in the same way.
 */

#include "blame.h"

#define LADDER_EFFECT (2 * USEC_PER_SEC)
#define LADDER_EFFECT_URGENT (USEC_PER_SEC / 2)
#define LADDER_TRIES 3
#define LADDER_CALM (8 * USEC_PER_SEC)
#define LADDER_CALM_MAX (24 * USEC_PER_SEC)
#define LADDER_PRESSED (15 * USEC_PER_SEC)
#define LADDER_PRESSED_MAX (600 * USEC_PER_SEC)
#define LADDER_RELAPSE (60 * USEC_PER_SEC)
#define LADDER_RELAX (4 * USEC_PER_SEC)
#define LADDER_STEPS 5 /* back up */
#define LADDER_PULSE (2 * USEC_PER_SEC)
#define LADDER_PULSE_REST (3 * USEC_PER_SEC)
#define LADDER_PULSES 5
#define LADDER_LAST (60 * USEC_PER_SEC)
#define LADDER_AGAIN (15 * USEC_PER_SEC)
#define LADDER_ENDING (30 * USEC_PER_SEC)
#define LADDER_DRY (10 * USEC_PER_SEC)
#define LADDER_CPU_FLOOR (USEC_PER_SEC / 10) /* µs per second: 10 % of a CPU */
#define LADDER_MEMORY_FLOOR (16ull << 20)
#define LADDER_IO_BYTES_FLOOR (1000000ull)
#define LADDER_IO_OPS_FLOOR 50

typedef enum LadderRung {
        RUNG_NONE,
        RUNG_NOTIFY,
        RUNG_THROTTLE,
        RUNG_FREEZE,
        RUNG_STOP,
        RUNG_KILL,
        RUNG_RELAX, /* calm: going back */
        _RUNG_MAX,
} LadderRung;
const char *ladder_rung_to_string(LadderRung r);

#define LADDER_VALUES_MAX 4 /* knobs of one lever: io.max of one device */

typedef struct LeverState {
        bool on; /* a lease of ours stands */
        bool failed; /* unavailable, or did not help: not tried again in this episode */
        bool spent; /* at its end: stands as it is until it was let go a step */
        bool helped; /* a cut did, in this episode */
        unsigned tries; /* cuts since one helped */
        unsigned relaxed; /* steps back since the last cut */
        LimitEntry values[LADDER_VALUES_MAX]; /* what the lease holds */
        uint64_t begin[LADDER_VALUES_MAX]; /* what was used when it began: where relaxing ends */
        unsigned n;
} LeverState;

/* All zero is a fresh one. */
typedef struct Ladder {
        LadderRung rung;
        Lever lever; /* of the last step */
        LeverState levers[LEVER_PIDS + 1];
        unsigned share_before; /* the worst victim's, when the last step was taken */
        usec_t since; /* the episode began */
        usec_t step_at; /* the last step */
        usec_t harm_at, calm_since; /* harm was seen last; calm since (0: not) */
        usec_t pressed_at; /* a lease was used up last */
        usec_t exhausted_at; /* the last lever came to its end */
        usec_t calm_span; /* how long calm must last now */
        unsigned relapses; /* harm came back while it was let go, or soon after */
        usec_t ended_at; /* the last episode's end */
        usec_t frozen_until;
        unsigned pulses;
        bool stopped; /* the signal was sent */
        usec_t ending_at; /* it was asked to end, or killed, in this episode first; 0: not, or only on paper */
        bool on_paper; /* stop and kill were only told: the mode is below MODE_ENFORCE */
        uint32_t told_end; /* 1 << ActWhy: ACT_ALARM is told once for each */
        bool dry;
} Ladder;

typedef struct LadderInput {
        usec_t now;
        Resource resource;
        bool harmed; /* it is the culprit of a harm of this resource now */
        bool calm; /* none of those whom it hurt is harmed any more (Harm.calm) */
        unsigned share; /* the worst victim's, permyriad */
        bool urgent;
        bool thrash; /* it thrashes at its own ceiling */
        Mode mode; /* the lowest of host, tenant, container */
        unsigned throttle; /* THROTTLE_* of Throttle= that may be pulled (available ones) */
        KillWish kill;
        usec_t kill_grace, window;
        bool may_throttle; /* MaxThrottled= leaves room (or it is throttled already) */
        ActWhy may_kill; /* ACT_WHY_HARM: yes; else the brake: …BUDGET, …SETTLING, …STORM */
        bool forbidden; /* a hold, a pause, protected since: everything goes back at once */
        bool gone; /* there are no processes in it */
        /* what it uses and may not be pushed below */
        uint64_t cpu_used,
                cpu_floor; /* µs per second: floor = guarantee, else LADDER_CPU_FLOOR; cpu_entitled is what cuts aim at */
        uint64_t cpu_entitled;
        uint64_t memory, memory_floor;
        uint64_t tasks, tasks_excess; /* excess: of the host's, beyond what is calm */
        dev_t dev; /* contended */
        uint64_t io[LADDER_VALUES_MAX]; /* a second on dev: rbytes, wbytes, rios, wios */
        uint64_t beneath
                [LEVER_PIDS +
                 1]; /* the limit that is there without us (cpu, memory, pids); a lease is never looser */
        const LimitSet *beneath_io;
} LadderInput;

typedef struct Act {
        ActKind kind;
        ActWhy why;
        Resource resource;
        Lever lever;
        bool would; /* dry: told, not done */
        LimitEntry values[LADDER_VALUES_MAX]; /* of THROTTLE and RELAX; origin 0 */
        unsigned n;
        usec_t span; /* of FREEZE; STOP: the grace */
        /* what the step before brought, where there was one: the worst victim's share then and now */
        bool have_effect, helped;
        unsigned share_before, share_now;
} Act;

/* It was asked to end, or killed, and what its end brings may still be to come. */
bool ladder_ends(const Ladder *l, usec_t now);

#define LADDER_ACTS_MAX 8 /* of one step */
/* One step; returns how many acts. Total: any input, any state. */
unsigned ladder_step(Ladder *l, const LadderInput *in, Act ret[static LADDER_ACTS_MAX]);
/*
 * How an act went: 0; -errno or positive: the kernel refused, no such file, no room for a lease: the lever is unavailable (LeverState.failed), nothing is on.
 * For acts that were put off (…SETTLING) it is not called.
 */
void ladder_acted(Ladder *l, const Act *a, int result, usec_t now);
/* A lease of an earlier run of the guard stands: goes on as if it had been throttled by this one, until calm. */
void ladder_adopt(Ladder *l, Resource r, Lever lever, const LimitEntry *values, unsigned n, usec_t now);
/* Something of ours stands: it counts for MaxThrottled=. */
bool ladder_holds(const Ladder *l);
