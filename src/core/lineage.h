/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which process belongs to which group, as far as forks told (layer: core, pure). Bounded: where
 * it is full, somebody who was not asked for lately is forgotten. Groups are ids of tally.h; 0 is nobody's.
 */

#include "macro.h"

#define LINEAGE_MAX 65536

typedef struct LineageSlot {
        uint32_t pid; /* 0: free */
        uint32_t group;
        bool used; /* since the hand came by */
        bool dead; /* its exit was seen */
} LineageSlot;

typedef struct Lineage {
        LineageSlot *slots;
        size_t size, n, max;
        size_t hand;
        uint32_t *dead; /* pids, those of the turns before first */
        size_t n_dead, n_dead_before, dead_alloc;
        uint64_t n_evicted;
} Lineage;

int lineage_init(Lineage *l, size_t max); /* -ENOMEM; nothing is allocated later but the list of the dead */
void lineage_deinit(Lineage *l);
/* Nothing in it can be relied on any more. */
void lineage_clear(Lineage *l);
/* 0: not known. */
uint32_t lineage_find(Lineage *l, uint32_t pid);
/* A pid that was known is another process now, or the same one elsewhere. pid and group are not 0. */
void lineage_put(Lineage *l, uint32_t pid, uint32_t group);
/* Whoever had that pid has gone. */
void lineage_remove(Lineage *l, uint32_t pid);
/* It stays findable until the second lineage_bury() from now: records of its death come after the event. */
void lineage_exit(Lineage *l, uint32_t pid);
void lineage_bury(Lineage *l);
