/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Linear probing in a power-of-two table, at most 3/4 full counting tombs.
 * The seed of string hashes is fixed: keys come from the kernel's own tree or
 * are bounded in number, and a test wants the same order twice.
 */

#include "map.h"

#define MAP_TOMB ((void *)1)

static uint64_t hash_u64(uint64_t x) {
        x ^= x >> 33;
        x *= 0xff51afd7ed558ccdULL;
        x ^= x >> 33;
        x *= 0xc4ceb9fe1a85ec53ULL;
        return x ^ x >> 33;
}

static uint64_t hash_str(const char *s) {
        uint64_t h = 0xcbf29ce484222325ULL;

        for (; *s; s++)
                h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
        return hash_u64(h);
}

static bool same(const MapSlot *s, uint64_t hash, const char *key) {
        return s->hash == hash && (!key || STR_EQ(s->key, key));
}

static size_t spread(const MapSlot *s) { return s->key ? s->hash : hash_u64(s->hash); }

void map_deinit(Map *m) {
        free(m->slots);
        *m = MAP_INIT;
}

static MapSlot *find(const Map *m, uint64_t hash, const char *key) {
        size_t i;

        if (m->size == 0)
                return NULL;
        for (i = (key ? hash : hash_u64(hash)) & (m->size - 1); m->slots[i].value;
             i = (i + 1) & (m->size - 1))
                if (m->slots[i].value != MAP_TOMB && same(&m->slots[i], hash, key))
                        return &m->slots[i];
        return NULL;
}

static void insert(Map *m, MapSlot s) {
        size_t i;

        for (i = spread(&s) & (m->size - 1); m->slots[i].value && m->slots[i].value != MAP_TOMB;
             i = (i + 1) & (m->size - 1))
                ;
        if (!m->slots[i].value)
                m->used++;
        m->slots[i] = s;
        m->n++;
}

static int put(Map *m, MapSlot s) {
        if (find(m, s.hash, s.key))
                return -EEXIST;
        if ((m->used + 1) * 4 > m->size * 3) {
                Map grown = { .size = 16 };

                while (grown.size < (m->n + 1) * 2)
                        grown.size *= 2;
                grown.slots = calloc(grown.size, sizeof(MapSlot));
                if (!grown.slots)
                        return -ENOMEM;
                for (size_t i = 0; i < m->size; i++)
                        if (m->slots[i].value && m->slots[i].value != MAP_TOMB)
                                insert(&grown, m->slots[i]);
                free(m->slots);
                *m = grown;
        }
        insert(m, s);
        return 0;
}

static void *take(Map *m, MapSlot *s) {
        void *v;

        if (!s)
                return NULL;
        v = s->value;
        *s = (MapSlot){ .value = MAP_TOMB };
        m->n--;
        return v;
}

int map_put_u64(Map *m, uint64_t key, void *value) {
        return put(m, (MapSlot){ .hash = key, .value = value });
}

void *map_get_u64(const Map *m, uint64_t key) {
        MapSlot *s = find(m, key, NULL);

        return s ? s->value : NULL;
}

void *map_remove_u64(Map *m, uint64_t key) { return take(m, find(m, key, NULL)); }

int map_put_str(Map *m, const char *key, void *value) {
        return put(m, (MapSlot){ .hash = hash_str(key), .key = key, .value = value });
}

void *map_get_str(const Map *m, const char *key) {
        MapSlot *s = find(m, hash_str(key), key);

        return s ? s->value : NULL;
}

void *map_remove_str(Map *m, const char *key) { return take(m, find(m, hash_str(key), key)); }

void *map_next(const Map *m, size_t *i) {
        while (*i < m->size) {
                void *v = m->slots[(*i)++].value;

                if (v && v != MAP_TOMB)
                        return v;
        }
        return NULL;
}
