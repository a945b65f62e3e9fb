/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pid → group in one table of fixed size.
 *
 * Linear probing, at most half full, with removal that closes the gap, so that
 * nothing but the table itself is ever looked at and a storm of forks and
 * exits leaves no tombs behind. Where max is reached the hand goes round (the
 * clock of page replacement): who was asked for since it last came by is
 * passed over once. Who is forgotten wrongly costs one look into /proc.
 *
 * A reused pid needs no care of its own: its fork is an event like any other,
 * and replaces what was there, or removes it where nobody knows the parent. It is events that were lost that make the table lie;
 * whoever learns of that clears it.
 */

#include "lineage.h"

#define DEAD_MAX 16384 /* of one turn; more are left to the hand */

int lineage_init(Lineage *l, size_t max) {
        size_t size = 16;

        while (size < max * 2)
                size *= 2;
        *l = (Lineage){ .size = size, .max = max };
        l->slots = calloc(size, sizeof(LineageSlot));
        return l->slots ? 0 : -ENOMEM;
}

void lineage_deinit(Lineage *l) {
        free(l->slots);
        free(l->dead);
        *l = (Lineage){};
}

void lineage_clear(Lineage *l) {
        memset(l->slots, 0, l->size * sizeof(LineageSlot));
        l->n = l->n_dead = l->n_dead_before = 0;
}

/* Pids come in a row. */
static size_t home(const Lineage *l, uint32_t pid) { return (pid * UINT32_C(2654435761)) & (l->size - 1); }

static LineageSlot *slot_of(const Lineage *l, uint32_t pid) {
        size_t i;

        for (i = home(l, pid); l->slots[i].pid != 0 && l->slots[i].pid != pid; i = (i + 1) & (l->size - 1))
                ;
        return &l->slots[i];
}

/* Whoever was pushed beyond the freed slot on the way from home moves up. */
static void remove_slot(Lineage *l, size_t i) {
        size_t mask = l->size - 1;

        l->n--;
        for (size_t k = (i + 1) & mask; l->slots[k].pid != 0; k = (k + 1) & mask) {
                size_t h = home(l, l->slots[k].pid);

                if (((k - h) & mask) < ((k - i) & mask))
                        continue;
                l->slots[i] = l->slots[k];
                i = k;
        }
        l->slots[i] = (LineageSlot){};
}

static void evict(Lineage *l) {
        for (;; l->hand = (l->hand + 1) & (l->size - 1)) {
                LineageSlot *s = &l->slots[l->hand];

                if (s->pid == 0)
                        continue;
                if (s->used) {
                        s->used = false;
                        continue;
                }
                remove_slot(l, l->hand);
                l->n_evicted++;
                return;
        }
}

uint32_t lineage_find(Lineage *l, uint32_t pid) {
        LineageSlot *s = slot_of(l, pid);

        if (s->pid == 0)
                return 0;
        s->used = true;
        return s->group;
}

void lineage_put(Lineage *l, uint32_t pid, uint32_t group) {
        LineageSlot *s = slot_of(l, pid);

        if (s->pid == 0 && l->n >= l->max) {
                evict(l);
                s = slot_of(l, pid);
        }
        if (s->pid == 0)
                l->n++;
        *s = (LineageSlot){ .pid = pid, .group = group };
}

void lineage_remove(Lineage *l, uint32_t pid) {
        LineageSlot *s = slot_of(l, pid);

        if (s->pid != 0)
                remove_slot(l, (size_t)(s - l->slots));
}

void lineage_exit(Lineage *l, uint32_t pid) {
        LineageSlot *s = slot_of(l, pid);

        if (s->pid == 0 || s->dead || l->n_dead >= DEAD_MAX)
                return;
        if (GROW(l->dead, l->n_dead, l->dead_alloc) < 0)
                return;
        s->dead = true;
        l->dead[l->n_dead++] = pid;
}

void lineage_bury(Lineage *l) {
        for (size_t i = 0; i < l->n_dead_before; i++) {
                LineageSlot *s = slot_of(l, l->dead[i]);

                /* Else it lives again, or was forgotten. */
                if (s->pid != 0 && s->dead)
                        remove_slot(l, (size_t)(s - l->slots));
        }
        l->n_dead -= l->n_dead_before;
        if (l->n_dead > 0)
                memmove(l->dead, l->dead + l->n_dead_before, l->n_dead * sizeof(*l->dead));
        l->n_dead_before = l->n_dead;
}
