/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Two small open-addressing hash maps: by uint64_t and by string. Values are
 * borrowed pointers, never NULL; string keys are borrowed too and must live as
 * long as the entry (usually they are a member of the value).
 */

#include "macro.h"

typedef struct MapSlot {
        uint64_t hash; /* the key itself in a U64Map */
        const char *key;
        void *value; /* NULL: free; MAP_TOMB: was removed */
} MapSlot;

typedef struct Map {
        MapSlot *slots;
        size_t n, used, size; /* entries, entries + tombs, slots (power of two) */
} Map;

#define MAP_INIT ((Map){})

void map_deinit(Map *m); /* frees the table, not the values */
/* -EEXIST where the key is taken, -ENOMEM. */
int map_put_u64(Map *m, uint64_t key, void *value);
void *map_get_u64(const Map *m, uint64_t key);
void *map_remove_u64(Map *m, uint64_t key);
int map_put_str(Map *m, const char *key, void *value);
void *map_get_str(const Map *m, const char *key);
void *map_remove_str(Map *m, const char *key);
/* Iteration: for (size_t i = 0; (v = map_next(&m, &i));). Removing the entry
 * just returned is allowed, putting is not. */
void *map_next(const Map *m, size_t *i);
