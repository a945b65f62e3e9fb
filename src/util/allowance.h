/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A part of one's time for some work: what it took is paid back as time goes by, and until then it may be ahead by no more
 * than a burst. So what is cheap may be done often, and what has become dear is done rarely, whatever the machine.
 */

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing spent yet. Times in µs. */
typedef struct Allowance {
        uint64_t at; /* paid back until then */
        uint64_t spent; /* and still owed */
} Allowance;

/* now: monotonic. One part in `part` (at least 1) of the time that has gone pays back. */
bool allowance_has(Allowance *a, uint64_t now, unsigned part, uint64_t burst);
void allowance_spend(Allowance *a, uint64_t cost);
