/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How often a cgroup is looked at.
 *
 * Hot ones keep a beat: the next look is due one period after this one was, not
 * after it came, so that a loop with a beat of its own that is now and then a
 * little late does not lose every other look. A loop that was late by more
 * than a beat begins anew, and catches nothing up.
 *
 * Cold ones and slow beats keep to a slot of their period that their id gives.
 * As the one period is a multiple of the other, and both slots come from one
 * number, a slow beat of a cold one takes the place of a probe.
 *
 * Activity is a rate over the time that really passed. The files of a probe
 * are read more often than the rest, so there are two such times: what only a
 * full look reads is held against the full look before. A counter that
 * went back belongs to somebody who was born meanwhile: active. A frozen
 * cgroup does nothing, whatever its counters say; but that it is frozen
 * counts only where this look read it, or nobody would notice a thaw.
 */

#include "num.h"
#include "tier.h"

#define PERMYRIAD 10000
#define FILES_SLOW (SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_PIDS_PEAK))
_Static_assert(TIER_SLOW_USEC % TIER_COLD_USEC == 0, "a slow beat is a cold one's probe, too");

const char *tier_to_string(TierLevel t) {
        static const char *const names[_TIER_MAX] = {
                [TIER_HOT] = "hot",
                [TIER_COLD] = "cold",
        };

        return (unsigned)t < _TIER_MAX ? names[t] : "unknown";
}

const char *tier_why_to_string(TierWhy w) {
        static const char *const names[_TIER_WHY_MAX] = {
                [TIER_WHY_NEW] = "new",         [TIER_WHY_CPU] = "cpu",       [TIER_WHY_STALL] = "stall",
                [TIER_WHY_IO] = "io",           [TIER_WHY_MEMORY] = "memory", [TIER_WHY_LIMIT] = "limit",
                [TIER_WHY_TRIGGER] = "trigger", [TIER_WHY_ASKED] = "asked",   [TIER_WHY_QUIET] = "quiet",
        };

        return (unsigned)w < _TIER_WHY_MAX ? names[w] : "unknown";
}

uint32_t tier_files_probe(void) {
        return SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_IO_PRESSURE) |
               SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_CURRENT);
}

uint32_t tier_files_hot(void) { return SAMPLE_FILES_ALL & ~FILES_SLOW; }

uint32_t tier_files_all(void) { return SAMPLE_FILES_ALL; }

/* ---- when ---- */

/* Ids come in a row, or in strides: all their bits must tell. */
static uint64_t mix(uint64_t x) {
        x ^= x >> 33;
        x *= 0xff51afd7ed558ccdULL;
        x ^= x >> 33;
        x *= 0xc4ceb9fe1a85ec53ULL;
        return x ^ x >> 33;
}

/* The first time after `at` that is its slot in the period. */
static usec_t next_slot(usec_t at, usec_t period, uint64_t spread) {
        usec_t slot = at - at % period + mix(spread) % period;

        return slot > at ? slot : slot + period;
}

static usec_t next_beat(const TierState *t, usec_t at) {
        usec_t next = t->next + TIER_HOT_USEC;

        return next > at && next <= at + TIER_HOT_USEC ? next : at + TIER_HOT_USEC;
}

void tier_init(TierState *t, usec_t now) {
        *t = (TierState){
                .level = TIER_HOT,
                .why = TIER_WHY_NEW,
                .next = now,
                .next_slow = now,
                .hot_until = now + TIER_NEW_USEC,
        };
}

uint32_t tier_due(const TierState *t, usec_t now) {
        if (now < t->next)
                return 0;
        if (now >= t->next_slow)
                return tier_files_all();
        return t->level == TIER_HOT ? tier_files_hot() : tier_files_probe();
}

void tier_wake(TierState *t, usec_t now, TierWhy why) {
        t->level = TIER_HOT;
        t->why = why;
        t->next = now;
        t->hot_until = now + TIER_QUIET_USEC;
}

void tier_skip(TierState *t, usec_t now, uint64_t spread) {
        if (t->level == TIER_COLD && now < t->next_slow)
                t->next = next_slot(now, TIER_COLD_USEC, spread);
}

/* ---- activity ---- */

typedef struct Look {
        const Sample *before, *now;
        usec_t probe_span, rest_span; /* since the probe's files, the others, were read before; 0: no rates */
} Look;

static usec_t span_between(usec_t before, usec_t now) { return now > before ? now - before : 0; }

/* How much a counter grew; true: it went back. */
static bool grew(const Look *l, SampleField f, uint64_t *ret) {
        *ret = 0;
        if (!sample_has(l->before, f) || !sample_has(l->now, f))
                return false;
        return !sample_delta(l->before, l->now, f, ret);
}

static bool reaches(uint64_t amount, uint64_t per, usec_t span, uint64_t threshold) {
        return span > 0 && num_muldiv(amount, per, span) >= threshold;
}

static bool share_reaches(const Look *l, SampleField f, usec_t span, uint64_t permyriad) {
        uint64_t d;

        return grew(l, f, &d) || reaches(d, PERMYRIAD, span, permyriad);
}

static bool any_grew(const Look *l, const SampleField *fields, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t d;

                if (grew(l, fields[i], &d) || d > 0)
                        return true;
        }
        return false;
}

static bool memory_limit_hit(const Look *l) {
        static const SampleField fields[] = { SAMPLE_EVENTS_HIGH, SAMPLE_EVENTS_MAX, SAMPLE_EVENTS_OOM,
                                              SAMPLE_EVENTS_OOM_KILL };

        return any_grew(l, fields, ARRAY_SIZE(fields));
}

static bool limit_hit(const Look *l) {
        static const SampleField fields[] = { SAMPLE_CPU_THROTTLED, SAMPLE_PIDS_EVENTS_MAX };

        return memory_limit_hit(l) || any_grew(l, fields, ARRAY_SIZE(fields));
}

static bool stalls(const Look *l) {
        return share_reaches(l, SAMPLE_IO_SOME, l->probe_span, TIER_ACTIVE_STALL_PERMYRIAD) ||
               share_reaches(l, SAMPLE_CPU_SOME, l->rest_span, TIER_ACTIVE_STALL_PERMYRIAD) ||
               share_reaches(l, SAMPLE_MEMORY_SOME, l->rest_span, TIER_ACTIVE_STALL_PERMYRIAD);
}

static bool uses_cpu(const Look *l) {
        return share_reaches(l, SAMPLE_CPU_USAGE, l->probe_span, TIER_ACTIVE_CPU_PERMYRIAD);
}

static bool does_io(const Look *l) {
        static const SampleField fields[] = { SAMPLE_IO_RBYTES, SAMPLE_IO_WBYTES, SAMPLE_IO_DBYTES };
        uint64_t sum = 0, d;

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                if (grew(l, fields[i], &d))
                        return true;
                sum = num_add_sat(sum, d);
        }
        return reaches(sum, USEC_PER_SEC, l->rest_span, TIER_ACTIVE_IO_BYTES);
}

/* The change of memory, up and down. */
static void memory_change(const Look *l, uint64_t *ret_up, uint64_t *ret_down) {
        uint64_t before = l->before->v[SAMPLE_MEMORY], now = l->now->v[SAMPLE_MEMORY];
        bool known = sample_has(l->before, SAMPLE_MEMORY) && sample_has(l->now, SAMPLE_MEMORY);

        *ret_up = known && now > before ? now - before : 0;
        *ret_down = known && now < before ? before - now : 0;
}

static bool moves_memory(const Look *l) {
        uint64_t up, down;

        memory_change(l, &up, &down);
        return reaches(up + down, USEC_PER_SEC, l->probe_span, TIER_ACTIVE_MEMORY_BYTES);
}

/* Why it is active; the rarest reason says most. TIER_WHY_QUIET: it is not. */
static TierWhy activity(const Look *l) {
        if (limit_hit(l))
                return TIER_WHY_LIMIT;
        if (stalls(l))
                return TIER_WHY_STALL;
        if (uses_cpu(l))
                return TIER_WHY_CPU;
        if (does_io(l))
                return TIER_WHY_IO;
        if (moves_memory(l))
                return TIER_WHY_MEMORY;
        return TIER_WHY_QUIET;
}

bool tier_probe_moved(const Sample *before, const Sample *probe) {
        usec_t span = span_between(before->at, probe->at);
        const Look l = { .before = before, .now = probe, .probe_span = span, .rest_span = span };

        return activity(&l) != TIER_WHY_QUIET;
}

bool tier_wants_memory_stat(const Sample *before, const Sample *now) {
        usec_t span = span_between(before->at, now->at);
        const Look l = { .before = before, .now = now, .probe_span = span, .rest_span = span };
        uint64_t up, down;

        memory_change(&l, &up, &down);
        return memory_limit_hit(&l) ||
               share_reaches(&l, SAMPLE_MEMORY_SOME, span, TIER_ACTIVE_STALL_PERMYRIAD) ||
               reaches(up, USEC_PER_SEC, span, TIER_GROWTH_BYTES);
}

void tier_step(TierState *t, const Sample *before, const Sample *now, uint32_t files, uint64_t spread) {
        bool frozen = files & SAMPLE_FILE_BIT(SAMPLE_FILE_CGROUP_EVENTS) && now->v[SAMPLE_FROZEN];
        TierWhy why = TIER_WHY_QUIET;

        if (before && !frozen) {
                const Look l = { .before = before,
                                 .now = now,
                                 .probe_span = span_between(before->at, now->at),
                                 .rest_span = span_between(t->rest_read, now->at) };

                why = activity(&l);
        }
        if (files & ~tier_files_probe())
                t->rest_read = now->at;
        if ((files & FILES_SLOW) == FILES_SLOW)
                t->next_slow = next_slot(now->at, TIER_SLOW_USEC, spread);
        if (why != TIER_WHY_QUIET) {
                t->level = TIER_HOT;
                t->why = why;
                t->hot_until = now->at + TIER_QUIET_USEC;
        } else if (now->at >= t->hot_until) {
                t->level = TIER_COLD;
                t->why = TIER_WHY_QUIET;
        }
        t->next = t->level == TIER_HOT ? next_beat(t, now->at) : next_slot(now->at, TIER_COLD_USEC, spread);
}

bool tier_unexplained(uint64_t parent_usec, uint64_t explained_usec, usec_t span) {
        return parent_usec > explained_usec && span > 0 &&
               num_muldiv(parent_usec - explained_usec, PERMYRIAD, span) > TIER_ACTIVE_CPU_PERMYRIAD * 2;
}
