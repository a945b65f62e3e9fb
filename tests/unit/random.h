/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers by chance; a failed run is played again with SEED= of its output. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state = UINT64_C(0x2545f4914f6cdd1d); /* not 0 */

static inline uint64_t next_random(void) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        return random_state ^= random_state << 17;
}

static inline uint64_t random_below(uint64_t n) { return next_random() % n; }

static inline void seed_random(void) {
        const char *s = getenv("SEED");

        random_state = s ? strtoull(s, NULL, 10) : UINT64_C(0x2545f4914f6cdd1d);
        (void)printf("SEED=%llu\n", (unsigned long long)random_state);
}
