/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A tenant's sum among parts that share no cgroup (layer: core, pure;
 * INTERFACES.md "A tenant's sum"). A part is a container, or a slice of the
 * tenant's own, for which we may write limits.
 *
 *  - One part: it gets the whole ceiling, to the byte.
 *  - Ceilings follow use. A part whose use is unknown, or that uses most of what it is held to, or ran into it lately, is
 *    hungry: it gets the equal share at least, and what the others lend. A sated one is capped at its use and a half, but
 *    never below an eighth of the equal share; of a ceiling whose hit kills or fails (MemoryMax, MemorySwapMax, TasksMax)
 *    it lends no more than half of what it leaves unused. With nobody hungry the rest makes shares as equal as
 *    possible, so that the sum is always given out. With all use unknown shares are equal.
 *  - A part that may not use its share anyway (a tighter ceiling of its own) leaves the rest to the others (water-filling).
 *  - Never over the sum in between: writes to several cgroups land one by one, so a part grows only into what
 *    nobody holds now. Growth that has to wait is ShareResult.unsettled.
 *  - Calm: caps move in steps, and only if they are out by an eighth of the equal share; see share.c.
 *  - MemoryMax: the share goes to memory.high (LIMIT_MEMORY_HIGH) and to
 *    memory.max; the latter is never below use plus 10 %, nor below the equal share, so that nobody is
 *    OOM-killed by a share, nor for having lent: it is memory.high that adds up to the sum. MemorySwapMax is never below the swap in use.
 *  - TasksMax: never below current plus 64.
 *  - A part whose use is unknown (have_… false) gets the tenant's whole ceiling for a knob
 *    with a floor (memory.max, swap, tasks), which makes it advisory; memory.high it shares.
 *  - Where these floors make the parts exceed the sum, the knob is advisory.
 *  - Sizes are whole pages, and floors move in steps of a sixteenth of the share,
 *    so that a use that wobbles does not rewrite files.
 *  - CPUBurst is divided in proportion to the quota's shares; protections
 *    (MemoryMin, MemoryLow) equally, without water-filling; weights, the CPU period and IO
 *    latency targets go to each part as they are.
 * The sum of shares exceeds the ceiling by floors only, and where there are more
 * parts than units to share (every part gets at least a page, 1 byte/s, 1
 * operation/s, 1 % of a CPU); both are advisory. Deterministic: the result does not depend on the order
 * of parts; where a sum does not divide evenly the lowest ids get one unit more.
 */

#include <stdint.h>

#include "limits.h"

#define SHARE_TASKS_HEADROOM 64

/* In the origin of an entry of `use`: it ran into this ceiling lately. */
#define SHARE_USE_HIT 1

typedef struct ShareKept {
        LimitKnob knob;
        uint64_t share; /* given last, before floors */
        uint64_t cap; /* of a sated part */
        bool hungry;
} ShareKept;

/* What one turn tells the next about a part. All zero is a fresh one; without it every turn is the first. */
typedef struct ShareMemory {
        ShareKept *knobs;
        size_t n, alloc;
} ShareMemory;
void share_memory_deinit(ShareMemory *m);

typedef struct SharePart {
        uint64_t id; /* cgroup id */
        uint64_t memory_bytes, swap_bytes, tasks; /* in use now; 0 when unknown */
        bool have_memory, have_tasks, have_swap;
        const LimitSet *own; /* the part's own ceilings (container policy and engine's), may be NULL */
        const LimitSet *
                use; /* demand per knob of the sum, as demand_use() tells; a knob that it lacks: unknown; may be NULL */
        /* What the kernel holds now, or will by a write under way if that is more; a knob that it lacks: no ceiling there.
         * NULL: not known, or nobody writes there; what was given last counts. For a single knob that is not written (no
         * such file, a hold) put in what was given last. */
        const LimitSet *held;
        ShareMemory *memory; /* kept by the caller for the part's life, replaced; may be NULL */
        LimitSet *out; /* result: the part's share (origin ORIGIN_SHARE with the sum's file and line) */
} SharePart;

typedef enum ShareState { SHARE_EXACT, SHARE_APPORTIONED, SHARE_ADVISORY, _SHARE_MAX } ShareState;
const char *share_state_to_string(ShareState s); /* "exact" "apportioned" "advisory" */

typedef struct ShareResult {
        ShareState state; /* the worst of all knobs; exact: at most one part, nothing floored */
        bool advisory[_LIMIT_MAX];
        bool unsettled; /* somebody's growth waits for writes to land: call again when held is known anew */
} ShareResult;

/*
 * sum: the tenant's ceilings. parts' out sets and memories are replaced, ret is filled. With no parts, exact. A ceiling of
 * LIMIT_INFINITY is no ceiling: nothing is put into out for it.
 * 0 or -ENOMEM: then out sets and memories are as they were.
 */
int share_apportion(const LimitSet *sum, SharePart *parts, size_t n, uint64_t page_size, ShareResult *ret);
