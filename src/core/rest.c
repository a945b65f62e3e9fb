/* SPDX-License-Identifier: Apache-2.0 */

#include "rest.h"

#define WIDTH (10 * USEC_PER_SEC) /* of the window */

void rest_feed(Rest *r, uint64_t bytes, usec_t now) {
        Sample s = { .at = now };

        sample_put(&s, SAMPLE_MEMORY, bytes);
        window_feed(&r->window, &s, WIDTH);
        had_feed(&r->had, bytes, now, true);
}

void rest_forget(Rest *r) {
        r->window = (Window){};
        r->had = (Had){};
}

uint64_t rest_bytes(const Rest *r) { return r ? r->had.now : 0; }

uint64_t rest_grown(const Rest *r) { return r ? had_grown(&r->had) : 0; }

uint64_t rest_growth(const Rest *r) { return r ? had_growth(&r->had, &r->window) : 0; }

usec_t rest_span(const Rest *r) { return r ? window_span(&r->window) : 0; }
