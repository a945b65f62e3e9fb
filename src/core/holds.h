/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Holds that wait for their target (layer: core, pure): of an earlier run of the guard, or of a container
 * that went. A container that is made again has another cgroup: what it is known by then is its key.
 */

#include "macro.h"

typedef struct KeptHold {
        uint64_t cgroup_id, until; /* realtime */
        char *cgroup; /* path */
        char *key; /* NULL: nobody comes again by that name */
        char *reason;
        uint32_t uid; /* who asked */
        bool give_back;
} KeptHold;
void kept_hold_deinit(KeptHold *h);

typedef struct KeptHolds {
        KeptHold *holds;
        size_t n, alloc;
} KeptHolds;
void kept_holds_deinit(KeptHolds *k);

/* Copies the strings. -ENOMEM: it is not kept. */
int kept_holds_add(KeptHolds *k, const KeptHold *h);
/* Takes out the one of that very cgroup, or else of that key (NULL: only of the cgroup). False: there is none. */
bool kept_holds_take(KeptHolds *k, uint64_t cgroup_id, const char *cgroup, const char *key, KeptHold *ret);
/* Those whose time is over go. True: there were some. */
bool kept_holds_expire(KeptHolds *k, uint64_t realtime);
