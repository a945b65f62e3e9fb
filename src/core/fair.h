/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What each party is entitled to (layer: core, pure): by weights, level by level, among those that are active; never
 * less than CPUGuarantee=, never more than a quota of its own or above it allows.
 *
 * Active is who used more than 1 % of the resource over the window, or waits for it. An entitlement is of the host's
 * capacity: CPU in µs per second, IO in permyriad of device time. What siblings leave unused of theirs goes to the
 * others in proportion to their weights (as the kernel's schedulers do), so that the sum of what the
 * active are entitled to is the capacity where they want that much. Nobody is entitled to more than it may want.
 */

#include "scene.h"

typedef struct FairShare {
        uint64_t cpu_used,
                cpu_entitled; /* µs per second; used: over the window or just now, whichever is more */
        uint64_t
                cpu_quota; /* the tightest of its own and of all above, but for a lease of ours; LIMIT_INFINITY: none */
        /* Of the one device where the party's part is largest: its part of all traffic of the host's cgroups there, and what
         * it is entitled to. Operations and bytes count by how busy each keeps a disk, cost.usage where io.cost runs. */
        unsigned io_part, io_entitled; /* permyriad */
        dev_t io_dev; /* 0: it did nothing */
        uint64_t memory, memory_entitled; /* bytes: what is protected, or guaranteed; 0: nothing */
        bool cpu_active, io_active;
        struct { /* fair_compute()'s own */
                uint32_t first, next; /* of what is below, beside */
                uint32_t bucket, peer; /* of containers by tenant */
                uint64_t used, low, high, share;
        } work;
} FairShare;

/* One per party, in their order. */
void fair_compute(const Scene *scene, FairShare *ret);

/* How much of its time a device had something to do, over the host's io_span; permyriad. False: not known. */
bool fair_device_busy(const Scene *scene, dev_t dev, unsigned *ret_permyriad);
/* The busiest device that is written to, what whoever only waits is taken to wait for: a journal is written on others' behalf, and so
 * are pages of a file that a cgroup of the past has written first. *ret_dev 0: none is. False: it is not known how busy any is. */
bool fair_device_written(const Scene *scene, dev_t *ret_dev, unsigned *ret_permyriad);
/* A party's part of what all parties' cgroups (the outermost containers and services) and the rest of the host did on a device;
 * permyriad. Asks all parties. */
unsigned fair_device_part(const Scene *scene, uint32_t party, dev_t dev);
unsigned fair_device_rest(const Scene *scene, dev_t dev); /* the part of the rest of the host */
/*
 * CPU time used on the host, permyriad of all CPUs: by the host's own account, or by its cgroups' if that is more, for
 * the host's counts ticks, of which a machine that is short of time loses some. fair: of this scene. False: not known.
 */
bool fair_cpu_busy(const Scene *scene, const FairShare *fair, unsigned *ret_permyriad);
