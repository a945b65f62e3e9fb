/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Clocks of clock_gettime(2), in microseconds. What decides is given its time; these are for who asks it to. */

#include <time.h>

#include "macro.h"

static inline usec_t clock_usec(clockid_t id) {
        struct timespec ts;

        (void)clock_gettime(id, &ts);
        return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

static inline usec_t clock_monotonic(void) { return clock_usec(CLOCK_MONOTONIC); }
static inline usec_t clock_realtime(void) { return clock_usec(CLOCK_REALTIME); }
