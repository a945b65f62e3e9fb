/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A window that slides, of three points: the oldest, one in the middle, the newest. A look replaces the newest point; once
 * that is half a window away from the middle one, it becomes the middle itself, and once the oldest is more
 * than a window ago, it goes. So deltas are always over the last half window
 * at least, and no more than a window plus the time between two looks.
 *
 * For rates that is good enough. A share of stall is held against a threshold, and a load that stalls evenly must not seem
 * to stall half as long each time the oldest point goes. So what the stalls grew by between the point that went and the
 * one that is the oldest now is kept, and as much of it is added as is missing of the window. What is kept
 * lies before all points, hence a stall that has just begun counts whole, and what is over leaves the window bit by bit.
 *
 * What happened just now is not over half a window, but since the look before, so that a share sees it at once, too, where
 * looks are rare or the window is short. The larger of the two shares is the one: neither can say more
 * than was there in some window.
 */

#include "num.h"
#include "window.h"

#define PERMYRIAD 10000
#define GAP_WIDTHS 4

static const SampleField window_fields[WINDOW_FIELDS_MAX] = {
        SAMPLE_CPU_SOME, /* the stalls come first: WINDOW_STALLS */
        SAMPLE_MEMORY_SOME,
        SAMPLE_MEMORY_FULL,
        SAMPLE_IO_SOME,
        SAMPLE_CPU_USAGE,
        SAMPLE_CPU_PERIODS,
        SAMPLE_CPU_THROTTLED,
        SAMPLE_MEMORY,
        SAMPLE_SWAP,
        SAMPLE_REFAULT_ANON,
        SAMPLE_REFAULT_FILE,
        SAMPLE_PGSCAN,
        SAMPLE_EVENTS_HIGH,
        SAMPLE_EVENTS_MAX,
        SAMPLE_EVENTS_OOM_KILL,
        SAMPLE_IO_RBYTES,
        SAMPLE_IO_WBYTES,
        SAMPLE_IO_RIOS,
        SAMPLE_IO_WIOS,
        SAMPLE_PIDS,
        SAMPLE_PIDS_EVENTS_MAX,
        SAMPLE_HOST_MEMORY_AVAILABLE,
        SAMPLE_HOST_SWAP_FREE,
        SAMPLE_HOST_ALLOCSTALL,
};

static int index_of(SampleField f) {
        for (int i = 0; i < WINDOW_FIELDS_MAX; i++)
                if (window_fields[i] == f)
                        return i;
        return -1;
}

static bool has(const WindowPoint *p, int i) { return p->have >> i & 1; }

static WindowPoint point_of(const Sample *s) {
        WindowPoint p = { .at = s->at };

        for (int i = 0; i < WINDOW_FIELDS_MAX; i++)
                if (sample_has(s, window_fields[i])) {
                        p.v[i] = s->v[window_fields[i]];
                        p.have |= UINT32_C(1) << i;
                }
        return p;
}

static bool went_back(const WindowPoint *before, const WindowPoint *now) {
        for (int i = 0; i < WINDOW_FIELDS_MAX; i++)
                if (sample_info(window_fields[i])->kind == SAMPLE_COUNTER && has(before, i) && has(now, i) &&
                    now->v[i] < before->v[i])
                        return true;
        return false;
}

static const WindowPoint *newest(const Window *w) { return &w->points[w->n - 1]; }

/* The oldest point goes. */
static void drop_oldest(Window *w) {
        w->past_span = w->points[1].at - w->points[0].at;
        for (int i = 0; i < WINDOW_STALLS; i++)
                w->past[i] = has(&w->points[0], i) && has(&w->points[1], i)
                                     ? w->points[1].v[i] - w->points[0].v[i]
                                     : 0;
        memmove(&w->points[0], &w->points[1], (w->n - 1) * sizeof(w->points[0]));
        w->n--;
}

void window_feed(Window *w, const Sample *now, usec_t width) {
        WindowPoint p;

        if (now->at == 0 || (w->n > 0 && now->at <= newest(w)->at))
                return;
        p = point_of(now);
        width = MAX_OF(width, (usec_t)1);
        if (w->n > 0 && ((now->at - newest(w)->at) / GAP_WIDTHS >= width || went_back(newest(w), &p)))
                *w = (Window){};
        if (w->n > 0 && (w->last.at == 0 || newest(w)->at - w->last.at >= WINDOW_RECENT))
                w->last = *newest(w);
        /* Either the newest one becomes the middle, or the new one takes its place. */
        if (w->n > 1 && newest(w)->at - w->points[w->n - 2].at < width / 2)
                w->n--;
        else if (w->n == WINDOW_POINTS)
                drop_oldest(w);
        w->points[w->n++] = p;
        if (w->n == WINDOW_POINTS && p.at - w->points[0].at > width && p.at - w->points[1].at >= width / 2)
                drop_oldest(w);
}

usec_t window_span(const Window *w) { return w->n > 1 ? newest(w)->at - w->points[0].at : 0; }

/* Growth from one point to the newest. */
static bool growth(const Window *w, const WindowPoint *from, int i, uint64_t *ret) {
        if (i < 0 || !has(from, i) || !has(newest(w), i) || newest(w)->v[i] < from->v[i])
                return false;
        *ret = newest(w)->v[i] - from->v[i];
        return true;
}

bool window_delta(const Window *w, SampleField f, uint64_t *ret) {
        return w->n > 1 && growth(w, &w->points[0], index_of(f), ret);
}

bool window_recent(const Window *w, SampleField f, uint64_t *ret, usec_t *ret_span) {
        if (w->n < 2 || !growth(w, &w->last, index_of(f), ret))
                return false;
        *ret_span = newest(w)->at - w->last.at;
        return true;
}

static bool change(const Window *w, const WindowPoint *since, int i, int64_t *ret) {
        uint64_t from, to;

        if (w->n < 2 || i < 0 || !has(since, i) || !has(newest(w), i))
                return false;
        from = since->v[i];
        to = newest(w)->v[i];
        if (to >= from)
                *ret = (int64_t)MIN_OF(to - from, (uint64_t)INT64_MAX);
        else
                *ret = -(int64_t)MIN_OF(from - to, (uint64_t)INT64_MAX);
        return true;
}

bool window_change(const Window *w, SampleField f, int64_t *ret) {
        return change(w, &w->points[0], index_of(f), ret);
}

bool window_change_recent(const Window *w, SampleField f, int64_t *ret, usec_t *ret_span) {
        if (!change(w, &w->last, index_of(f), ret))
                return false;
        *ret_span = newest(w)->at - w->last.at;
        return true;
}

uint64_t window_per_sec(const Window *w, SampleField f) {
        uint64_t v;

        return window_delta(w, f, &v) ? num_muldiv(v, USEC_PER_SEC, window_span(w)) : 0;
}

static uint64_t share_of(uint64_t stall, usec_t span, usec_t width) {
        return MIN_OF(num_muldiv(stall, PERMYRIAD, MAX_OF(span, width)), (uint64_t)PERMYRIAD);
}

bool window_share(const Window *w, SampleField stall, usec_t width, unsigned *ret_permyriad) {
        usec_t span = window_span(w), recent_span;
        uint64_t v, share = 0;
        bool known = false;
        int i = index_of(stall);

        width = MAX_OF(width, (usec_t)1);
        if (window_delta(w, stall, &v)) {
                if (span < width && w->past_span > 0 && i < WINDOW_STALLS)
                        v = num_add_sat(
                                v, num_muldiv(w->past[i], MIN_OF(width - span, w->past_span), w->past_span));
                share = share_of(v, span, width);
                known = true;
        }
        if (window_recent(w, stall, &v, &recent_span)) {
                share = MAX_OF(share, share_of(v, recent_span, width));
                known = true;
        }
        if (known)
                *ret_permyriad = (unsigned)share;
        return known;
}
