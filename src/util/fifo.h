/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A queue of things whose first member is a FifoItem. All zero is an empty one; it owns nothing. */

#include "macro.h"

typedef struct FifoItem FifoItem;
struct FifoItem {
        FifoItem *next;
};

typedef struct Fifo {
        FifoItem *first, *last;
        unsigned n;
} Fifo;

static inline void fifo_add(Fifo *f, FifoItem *item) {
        item->next = NULL;
        if (f->last)
                f->last->next = item;
        else
                f->first = item;
        f->last = item;
        f->n++;
}

/* The oldest; NULL: there is none. */
static inline void *fifo_take(Fifo *f) {
        FifoItem *item = f->first;

        if (!item)
                return NULL;
        f->first = item->next;
        if (!f->first)
                f->last = NULL;
        f->n--;
        return item;
}
