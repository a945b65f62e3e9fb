/* SPDX-License-Identifier: Apache-2.0 */

#include "rest.h"

#define WIDTH (10 * USEC_PER_SEC) /* of the window */

/* ---- memory ---- */

void rest_feed_memory(Rest *r, uint64_t bytes, usec_t now) {
        Sample s = { .at = now };

        sample_put(&s, SAMPLE_MEMORY, bytes);
        window_feed(&r->window, &s, WIDTH);
        had_feed(&r->had, bytes, now, true);
}

void rest_forget_memory(Rest *r) {
        r->window = (Window){};
        r->had = (Had){};
}

uint64_t rest_memory(const Rest *r) { return r ? r->had.now : 0; }

uint64_t rest_memory_grown(const Rest *r) { return r ? had_grown(&r->had) : 0; }

uint64_t rest_memory_growth(const Rest *r) { return r ? had_growth(&r->had, &r->window) : 0; }

usec_t rest_memory_span(const Rest *r) { return r ? window_span(&r->window) : 0; }

/* ---- disks ---- */

static bool is_over(const RestDisk *d, usec_t now) {
        return now - MIN_OF(d->since, now) >= 2 * REST_SLOT_USEC;
}

/* One that nobody fed any more goes first. NULL: no room. */
static RestDisk *disk_of(Rest *r, dev_t dev, usec_t now) {
        RestDisk *free = r->n_disks < REST_DISKS_MAX ? &r->disks[r->n_disks] : NULL;

        for (unsigned i = 0; i < r->n_disks; i++) {
                if (r->disks[i].dev == dev)
                        return &r->disks[i];
                if (is_over(&r->disks[i], now))
                        free = &r->disks[i];
        }
        if (!free)
                return NULL;
        if (free == &r->disks[r->n_disks])
                r->n_disks++;
        *free = (RestDisk){ .dev = dev, .since = now };
        return free;
}

void rest_feed_disk(Rest *r, dev_t dev, uint64_t traffic, usec_t now) {
        RestDisk *d = disk_of(r, dev, now);

        if (!d)
                return;
        if (is_over(d, now))
                *d = (RestDisk){ .dev = dev, .since = now };
        if (now - MIN_OF(d->since, now) >= REST_SLOT_USEC) {
                d->before = d->low;
                d->low = traffic;
                d->since = now;
        }
        d->low = MIN_OF(d->low, traffic);
}

uint64_t rest_on_disk(const Rest *r, dev_t dev, usec_t now) {
        for (unsigned i = 0; r && i < r->n_disks; i++) {
                const RestDisk *d = &r->disks[i];

                if (d->dev == dev)
                        return is_over(d, now) ? 0 : MIN_OF(d->low, d->before);
        }
        return 0;
}
