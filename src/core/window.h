/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What happened to a cgroup within the last PressureWindowSec= (layer: core,
 * pure). Three points of its counters, half a window apart, so that the span
 * that deltas are over is always between half a window and a whole one (in the
 * first half window: as long as it is seen). avg10 of the kernel lags by
 * seconds; deltas of `total` do not.
 */

#include "sample.h"

/* Fields that the judge looks at over time. */
#define WINDOW_FIELDS_MAX 24
#define WINDOW_POINTS 3
#define WINDOW_RECENT (USEC_PER_SEC / 2)
#define WINDOW_STALLS 4 /* of these fields are stalls that window_share() is asked for */

typedef struct WindowPoint {
        usec_t at; /* 0: none */
        uint32_t have; /* 1 << index of window_fields */
        uint64_t v[WINDOW_FIELDS_MAX];
} WindowPoint;

/* All zero is a fresh one. */
typedef struct Window {
        WindowPoint points[WINDOW_POINTS]; /* [0] the oldest, the last one the newest */
        unsigned n;
        /* what the stalls grew by before the oldest point, from the point that was the oldest before it */
        uint64_t past[WINDOW_STALLS];
        usec_t past_span;
        WindowPoint last; /* an earlier look, for window_recent() */
} Window;

/* After each look. width: PressureWindowSec=. A sample as old as the newest point feeds nothing. A counter that went back,
 * or a gap of more than 4 widths, begins anew. */
void window_feed(Window *w, const Sample *now, usec_t width);
/* From the oldest to the newest point; 0: nothing is known yet. Longer than a window where looks are that rare. */
usec_t window_span(const Window *w);
/* Growth of a counter over the span. False: not known. */
bool window_delta(const Window *w, SampleField f, uint64_t *ret);
/* Growth of a counter since the look before the newest, or in the last WINDOW_RECENT if looks come faster: what happened just now. */
bool window_recent(const Window *w, SampleField f, uint64_t *ret, usec_t *ret_span);
/* Change of a gauge (memory, tasks) over the span, or just now; may be negative. */
bool window_change(const Window *w, SampleField f, int64_t *ret);
bool window_change_recent(const Window *w, SampleField f, int64_t *ret, usec_t *ret_span);
/* A second, over the span; 0 where not known. */
uint64_t window_per_sec(const Window *w, SampleField f);
/*
 * Stall over time in permyriad, of `width` where less was seen yet: what fell into a window that is not full yet is
 * no more than it is of the whole one, so that the first look at a short stall does not pass for a long one, and a
 * long one is seen as soon as it is target · width long. A steady stall has a steady share. False: not known.
 */
bool window_share(const Window *w, SampleField stall, usec_t width, unsigned *ret_permyriad);
