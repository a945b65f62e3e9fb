/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How much more memory somebody has than it had a minute ago (layer: core,
 * pure). A rate over a few seconds tells who takes memory at this moment: it
 * misses who took it all just before the others noticed, and it blames a
 * victim whose pages come back. So what counts is use (memory and swap) beyond the
 * most that it had until HAD_SLOTS · HAD_SLOT_USEC ago; what was taken from it in between
 * is its own when it comes back.
 */

#include "window.h"

#define HAD_SLOTS 6
#define HAD_SLOT_USEC (10 * USEC_PER_SEC)
#define HAD_NOISE 32 /* less than this part of what it had comes and goes */
#define HAD_FADES 64 /* in calm it loses its claim to what it has no more: this part of it each slot */

/* All zero is a fresh one. */
typedef struct Had {
        usec_t since; /* of the newest slot */
        uint64_t slots[HAD_SLOTS]; /* bytes: the most in each, the newest last */
        uint64_t level; /* bytes: the most before these */
        uint64_t now; /* bytes */
        bool fed;
} Had;

/* After each look. use: bytes of memory and swap. calm: nobody takes memory from it. */
void had_feed(Had *h, uint64_t use, usec_t now, bool calm);
/* Bytes beyond what it had; 0 where that is noise. Of one that was never seen before all that it had then is its own. */
uint64_t had_grown(const Had *h);
/* Bytes that it took over the window's span, without what only came back. */
uint64_t had_growth(const Had *h, const Window *w);
