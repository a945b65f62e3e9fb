/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The host as a whole: it runs out of memory, or of tasks. Memory ends in three ways: everybody waits for it; it falls so fast
 * that it would be gone before anything slower than a kill could help; it is nearly gone, and swap with it. What is left is
 * available memory and free swap together.
 */

#include "harm-internal.h"
#include "num.h"

#define PERMYRIAD 10000
#define FALL_SPAN USEC_PER_SEC /* over less, a fall is noise */
#define END_HORIZON (6 * HARM_HORIZON) /* where the end is near anyway */
#define AVAILABLE_CALM 125 /* percent of HARM_HOST_AVAILABLE_END */

typedef struct Reserve { /* memory that is left: available, and swap */
        uint64_t left;
        usec_t gone_in; /* at the rate of the window; USEC_INFINITY: it does not fall */
        uint64_t permyriad; /* available, of all memory */
        bool swap_ends; /* there is none, or little of it is free */
} Reserve;

static usec_t gone_in(uint64_t left, int64_t available, int64_t swap, usec_t span) {
        if (__builtin_add_overflow(available, swap, &available) || available >= 0)
                return USEC_INFINITY;
        return num_muldiv(left, span, -(uint64_t)available);
}

static bool reserve_of(const Scene *scene, Reserve *ret) {
        const Party *host = &scene->parties[0];
        const Window *w = &host->memory->window;
        int64_t available, swap = 0;
        uint64_t swap_free = 0;
        usec_t span;
        Reserve r = { .gone_in = USEC_INFINITY, .swap_ends = true };

        if (!host->now || !sample_has(host->now, SAMPLE_HOST_MEMORY_AVAILABLE) || scene->memory_bytes == 0)
                return false;
        r.left = host->now->v[SAMPLE_HOST_MEMORY_AVAILABLE];
        r.permyriad = MIN_OF(num_muldiv(r.left, PERMYRIAD, scene->memory_bytes), (uint64_t)PERMYRIAD);
        if (scene->swap_bytes > 0 && sample_has(host->now, SAMPLE_HOST_SWAP_FREE)) {
                swap_free = MIN_OF(host->now->v[SAMPLE_HOST_SWAP_FREE], scene->swap_bytes);
                r.swap_ends = num_muldiv(swap_free, PERMYRIAD, scene->swap_bytes) < HARM_HOST_SWAP_END;
        }
        r.left = num_add_sat(r.left, swap_free);
        if (window_change(w, SAMPLE_HOST_MEMORY_AVAILABLE, &available) && window_span(w) >= FALL_SPAN) {
                if (scene->swap_bytes > 0)
                        (void)window_change(w, SAMPLE_HOST_SWAP_FREE, &swap);
                r.gone_in = gone_in(r.left, available, swap, window_span(w));
        }
        /* A sudden fall hardly shows over the window. Far from the end it may be noise. */
        if (r.left < num_muldiv(scene->memory_bytes, HARM_HOST_AVAILABLE_LOW, PERMYRIAD) &&
            window_change_recent(w, SAMPLE_HOST_MEMORY_AVAILABLE, &available, &span)) {
                swap = 0;
                if (scene->swap_bytes > 0)
                        (void)window_change_recent(w, SAMPLE_HOST_SWAP_FREE, &swap, &span);
                r.gone_in = MIN_OF(r.gone_in, gone_in(r.left, available, swap, span));
        }
        *ret = r;
        return true;
}

void harm_judge_host_memory(const HarmCase *c) {
        Harm *h = c->harm;
        Reserve r = { .gone_in = USEC_INFINITY, .permyriad = PERMYRIAD };
        bool stalls, falls, low, ends, known;
        unsigned beyond;

        h->target = HARM_HOST_MEMORY_FULL;
        known = window_share(c->window, SAMPLE_MEMORY_FULL, c->width, &h->share);
        stalls = known && h->share >= h->target;
        known = reserve_of(c->scene, &r) || known;
        falls = r.gone_in < HARM_HORIZON;
        low = r.left < num_muldiv(c->scene->memory_bytes, HARM_HOST_AVAILABLE_LOW, PERMYRIAD);
        ends = r.permyriad < HARM_HOST_AVAILABLE_END && r.swap_ends;
        h->calm = h->share < h->target * HARM_CALM / 100 && !falls && !ends &&
                  (r.permyriad * 100 >= (uint64_t)HARM_HOST_AVAILABLE_END * AVAILABLE_CALM || !r.swap_ends);
        h->why = known ? HARM_WHY_BELOW_TARGET : HARM_WHY_UNKNOWN;
        if (!stalls && !falls && !ends && (h->calm || !c->before || c->before->class != HARM_EXTERNAL)) {
                h->confidence = known ? harm_confidence(c, harm_margin(h->share, h->target, 0)) : 0;
                return;
        }
        beyond = MAX_OF(harm_margin(h->share, h->target, PERMYRIAD), harm_margin(r.gone_in, HARM_HORIZON, 0));
        beyond = MAX_OF(beyond, harm_margin(r.permyriad, HARM_HOST_AVAILABLE_END, 0));
        /* A fall may end of itself (a start that allocates what it needs) while there is plenty: no hurry then. */
        h->urgent = stalls || (falls && low) || (ends && r.gone_in < END_HORIZON);
        harm_set_class(c, HARM_EXTERNAL, HARM_WHY_HOST, beyond);
}

/* At the rate of the last looks. A bomb takes a second or two from a few to all of them. */
bool harm_tasks_rise(const Scene *scene) {
        uint64_t rate = scene->parties[0].memory->tasks_per_sec;
        uint64_t left = scene->pid_max - MIN_OF(scene->host_tasks, scene->pid_max);

        return rate > 0 && num_muldiv(left, USEC_PER_SEC, rate) < HARM_TASKS_HORIZON &&
               scene->host_tasks >= num_muldiv(scene->pid_max, HARM_HOST_TASKS_LOW, PERMYRIAD);
}

void harm_judge_host_tasks(const HarmCase *c) {
        const Scene *scene = c->scene;
        Harm *h = c->harm;
        bool rises;

        h->target = HARM_HOST_TASKS;
        if (scene->host_tasks == 0 || scene->pid_max == 0)
                return;
        h->share = (unsigned)MIN_OF(num_muldiv(scene->host_tasks, PERMYRIAD, scene->pid_max),
                                    (uint64_t)PERMYRIAD);
        rises = harm_tasks_rise(scene);
        h->calm = h->share < h->target * HARM_CALM / 100 && !rises;
        h->why = HARM_WHY_BELOW_TARGET;
        h->confidence = 100; /* it is a count */
        if (h->share >= h->target || rises || (c->before && c->before->class == HARM_EXTERNAL && !h->calm)) {
                h->class = HARM_EXTERNAL;
                h->why = HARM_WHY_HOST;
                h->urgent = h->share >= HARM_HOST_TASKS_END;
        }
}
