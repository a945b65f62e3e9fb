/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Memory harm. Events of memory.high and memory.max say whose ceiling was hit. /proc/vmstat counts reclaim of the host only,
 * not that of cgroups at their limits, so that its scans are the evidence that the host itself is short; a background scan
 * now and then is normal (SCANS). Who grows most itself is not the victim of those who grow less.
 *
 * Thrash is the reverse: hits of an own ceiling that are no matter of others' doing, but keep a disk busy with pages that are
 * read again and again.
 */

#include "harm-internal.h"
#include "num.h"

#define PERMYRIAD 10000
#define SCANS 256 /* pages a second: 1 MiB/s */
#define GROWTH_MIN 100 /* permyriad of the host's memory, over the window: less is no growth that matters */
#define PAGE_BYTES 4096 /* of the least that a page is */
#define READS_MIN UINT64_C(262144) /* bytes a second: a third of what THRASH_REFAULTS of 4 KiB would be */

/* Hits of memory.high and memory.max in the window, of the subtree. False: not known. */
static bool limit_hits(const Window *w, uint64_t *ret) {
        uint64_t high, max;

        if (!window_delta(w, SAMPLE_EVENTS_HIGH, &high) || !window_delta(w, SAMPLE_EVENTS_MAX, &max))
                return false;
        *ret = num_add_sat(high, max);
        return true;
}

/* Whether this level hit its ceiling lately. */
static bool hits_ceiling(const HarmCase *c, uint32_t level, bool *unknown) {
        const Party *p = &c->scene->parties[level];
        bool limited = p->limits.memory_high != LIMIT_INFINITY || p->limits.memory_max != LIMIT_INFINITY;
        bool known;
        uint64_t hits = 0;

        if (p->have_local && (p->local_high || p->local_max))
                return true;
        known = limit_hits(&p->memory->window, &hits);
        /* All below a leaf is its own; counters of a group count the limits of all below it, so they only carry on what was
         * seen of the group itself, for as long as the window. */
        if (level == c->index || !p->have_local || harm_was(c, HARM_WHY_GROUP_MEMORY) ||
            harm_was(c, HARM_WHY_OUR_LEASE)) {
                *unknown = *unknown || (limited && !known && !p->have_local);
                return hits > 0 && (limited || level == c->index);
        }
        return false;
}

/* The host itself reclaims, or is short of memory; ret_beyond as harm_margin(). False and *unknown: nothing tells. */
static bool host_reclaims(const Scene *scene, unsigned *ret_beyond, bool *unknown) {
        const Party *host = &scene->parties[0];
        const Window *w = &host->memory->window;
        uint64_t stalls = 0, scans = 0;
        bool know_stalls = window_delta(w, SAMPLE_HOST_ALLOCSTALL, &stalls);
        bool know_scans = window_delta(w, SAMPLE_PGSCAN, &scans), know_available;

        know_available = host->now && sample_has(host->now, SAMPLE_HOST_MEMORY_AVAILABLE);
        if (stalls > 0 ||
            (know_available && host->now->v[SAMPLE_HOST_MEMORY_AVAILABLE] <
                                       num_muldiv(scene->memory_bytes, HARM_HOST_AVAILABLE_LOW, PERMYRIAD))) {
                *ret_beyond = PERMYRIAD;
                return true;
        }
        *unknown = !know_stalls && !know_scans && !know_available;
        *ret_beyond = PERMYRIAD / 2;
        return window_per_sec(w, SAMPLE_PGSCAN) >= SCANS;
}

static uint64_t growth_of(const Party *p) { return had_growth(&p->memory->had, &p->memory->window); }

/* The party's part in the growth of all containers, services and the rest of the host; permyriad, 0 where it hardly does. */
static unsigned growth_part(const HarmCase *c) {
        uint64_t all = rest_growth(c->scene->rest), own = growth_of(c->party);

        if (own == 0 || own < num_muldiv(c->scene->memory_bytes, GROWTH_MIN, PERMYRIAD))
                return 0;
        for (uint32_t i = 0; i < c->scene->n; i++) {
                const Party *p = &c->scene->parties[i];

                if (p->kind == PARTY_CONTAINER || p->kind == PARTY_SERVICE)
                        all = num_add_sat(all, growth_of(p));
        }
        return (unsigned)MIN_OF(num_muldiv(own, PERMYRIAD, all), (uint64_t)PERMYRIAD);
}

void harm_judge_memory(const HarmCase *c) {
        bool unknown = false, unknown_host = false;
        unsigned beyond, part;

        for (uint32_t i = c->index; i != NO_PARTY && c->scene->parties[i].kind != PARTY_HOST;
             i = party_above(c->scene, i)) {
                HarmWhy why;

                if (!hits_ceiling(c, i, &unknown))
                        continue;
                why = harm_ceiling_why(c, i, LEVER_MEMORY, HARM_WHY_OWN_MEMORY, HARM_WHY_GROUP_MEMORY);
                harm_name_ceiling(c, i, why);
                harm_own(c, why, PERMYRIAD, PERMYRIAD);
                return;
        }
        if (!host_reclaims(c->scene, &beyond, &unknown_host)) {
                if (unknown_host)
                        harm_cannot_tell(c);
                else
                        harm_own(c, HARM_WHY_NO_RECLAIM, PERMYRIAD, PERMYRIAD);
                return;
        }
        if (unknown) {
                harm_cannot_tell(c);
                return;
        }
        part = growth_part(c);
        if (part > HARM_OWN_OWN) {
                harm_own(c, HARM_WHY_NO_RECLAIM, part, harm_margin(part, HARM_OWN_OWN, PERMYRIAD));
                return;
        }
        harm_set_class(c, HARM_EXTERNAL, HARM_WHY_CONTENDED,
                       MIN_OF(beyond, harm_margin(part, HARM_OWN_OWN, 0)));
}

/* ---- thrash ---- */

/* Waiting for pages that it had. The kernel counts that as memory's only where they were thrown out while in use; who rereads
 * far more than it may have waits for the disk, and reads little that is new. */
static bool waits_for_pages(const Party *p, const Thrash *t) {
        unsigned io_some = 0;

        (void)window_share(&p->memory->window, SAMPLE_IO_SOME, harm_width(p), &io_some);
        return t->memory_some >= THRASH_SOME ||
               (io_some >= THRASH_SOME && num_muldiv(t->refaults, PAGE_BYTES, 1) >= t->read_bytes / 2);
}

void harm_thrash(const Scene *scene, uint32_t party, Thrash *ret) {
        const Party *p = &scene->parties[party];
        const Window *w = &p->memory->window;
        uint64_t hits, refaults_anon = 0, refaults_file = 0, kills, reads = 0;
        Thrash t = {};

        if (limit_hits(w, &hits) && window_span(w) > 0)
                t.hits = num_muldiv(hits, USEC_PER_SEC, window_span(w));
        (void)window_delta(w, SAMPLE_REFAULT_ANON, &refaults_anon);
        (void)window_delta(w, SAMPLE_REFAULT_FILE, &refaults_file);
        if (window_span(w) > 0)
                t.refaults =
                        num_muldiv(num_add_sat(refaults_anon, refaults_file), USEC_PER_SEC, window_span(w));
        t.read_bytes = window_per_sec(w, SAMPLE_IO_RBYTES);
        (void)window_share(w, SAMPLE_MEMORY_SOME, harm_width(p), &t.memory_some);
        /* Somebody was killed: that frees memory, and is what would have been done. Without reads (zram) no disk is hurt. */
        t.found = (p->kind == PARTY_CONTAINER || p->kind == PARTY_SERVICE) && t.hits >= THRASH_HITS &&
                  t.refaults >= THRASH_REFAULTS && waits_for_pages(p, &t) &&
                  window_delta(w, SAMPLE_EVENTS_OOM_KILL, &kills) && kills == 0 &&
                  (!window_delta(w, SAMPLE_IO_RBYTES, &reads) || t.read_bytes >= READS_MIN);
        *ret = t;
}
