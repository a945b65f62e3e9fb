/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What somebody had before the last minute, see had.h. The level only falls in calm, and then slowly: an incident may last for
 * longer than a minute, and who was robbed at its beginning has its claim until it ends.
 */

#include "had.h"
#include "num.h"

static void next_slot(Had *h, bool calm) {
        uint64_t oldest = h->slots[0];

        memmove(h->slots, h->slots + 1, (HAD_SLOTS - 1) * sizeof(h->slots[0]));
        h->slots[HAD_SLOTS - 1] = 0;
        /* Of a slot in which it was not seen nothing follows. */
        if (calm && oldest > 0)
                h->level -= h->level / HAD_FADES;
        h->level = MAX_OF(h->level, oldest);
}

void had_feed(Had *h, uint64_t use, usec_t now, bool calm) {
        usec_t slots;

        if (!h->fed) {
                *h = (Had){ .since = now, .level = use, .fed = true };
        } else if (now > h->since) {
                slots = (now - h->since) / HAD_SLOT_USEC;
                h->since += slots * HAD_SLOT_USEC;
                /* After a long time unseen nothing but the level is left. */
                for (usec_t i = 0; i < MIN_OF(slots, (usec_t)HAD_SLOTS); i++)
                        next_slot(h, calm);
        }
        h->now = use;
        h->slots[HAD_SLOTS - 1] = MAX_OF(h->slots[HAD_SLOTS - 1], use);
}

uint64_t had_grown(const Had *h) {
        uint64_t grown = h->now > h->level ? h->now - h->level : 0;

        return grown > h->level / HAD_NOISE ? grown : 0;
}

uint64_t had_growth(const Had *h, const Window *w) {
        int64_t memory = 0, swap = 0;

        (void)window_change(w, SAMPLE_MEMORY, &memory);
        (void)window_change(w, SAMPLE_SWAP, &swap);
        if (__builtin_add_overflow(memory, swap, &memory) || memory <= 0)
                return 0;
        return MIN_OF((uint64_t)memory, had_grown(h));
}
