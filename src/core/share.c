/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Dividing a tenant's sum where no cgroup of its own could carry it.
 *
 * Each ceiling is divided by water-filling: everybody may have the level, a
 * part whose own ceiling lies below the level keeps to that, and the level
 * rises until the sum is used up. The division ignores who uses how much: a
 * part that is over its share is not rewarded for it with the others' shares.
 * Instead its memory.high is put to the share at once (the kernel then
 * reclaims from it and slows it down) while its memory.max, its swap and its
 * tasks keep room for what is there already; the sum is exceeded for so long,
 * and the result says so ("advisory").
 *
 * Everything is integer arithmetic in units (a page, a byte per second, a
 * task); what does not divide evenly goes to the lowest cgroup ids, so that the
 * result is a function of the set of parts and not of their order.
 */

#include "ceiling.h"
#include "num.h"
#include "share.h"

#define FLOOR_STEPS 16 /* floors move by this fraction of a share */
#define TASKS_STEP 16
#define CPU_QUOTA_LEAST (USEC_PER_SEC / 100)

typedef struct Slot {
        uint64_t id, own, share; /* own and share in units */
        size_t part;
} Slot;

typedef struct Division {
        const LimitSet *sum;
        SharePart *parts;
        size_t n;
        uint64_t page_size;
        Slot *slots; /* of parts, ordered by what divide() needs */
        LimitSet *out; /* of parts, in their order */
        ShareResult result;
} Division;

const char *share_state_to_string(ShareState s) {
        static const char *const names[_SHARE_MAX] = {
                [SHARE_EXACT] = "exact",
                [SHARE_APPORTIONED] = "apportioned",
                [SHARE_ADVISORY] = "advisory",
        };

        return (unsigned)s < _SHARE_MAX ? names[s] : "unknown";
}

static int slot_cmp(const void *pa, const void *pb) {
        const Slot *a = pa, *b = pb;

        if (a->own != b->own)
                return a->own < b->own ? -1 : 1;
        if (a->id != b->id)
                return a->id < b->id ? -1 : 1;
        return 0;
}

/* Those that the level binds, by id alone: whoever is first gets the odd unit. */
static int slot_cmp_id(const void *pa, const void *pb) {
        const Slot *a = pa, *b = pb;

        return a->id != b->id ? a->id < b->id ? -1 : 1 : 0;
}

static uint64_t unit_of(const Division *d, Limit limit) {
        return limit_info(limit)->is_memory ? MAX_OF(d->page_size, (uint64_t)1) : 1;
}

/* In units. No swap at all is a fine share; no memory, CPU or IO is a hang. */
static uint64_t least_of(Limit limit) {
        switch (limit) {
        case LIMIT_CPU_QUOTA:
                return CPU_QUOTA_LEAST;
        case LIMIT_MEMORY_SWAP_MAX:
                return 0;
        default:
                return 1;
        }
}

/* Fills share of every slot; afterwards slots are in an order of their own. */
static void divide(Division *d, LimitKnob knob, uint64_t total) {
        uint64_t unit = unit_of(d, knob.limit), left = total / unit, level = 0, odd = 0;
        size_t done = 0;

        for (size_t i = 0; i < d->n; i++) {
                uint64_t own = LIMIT_INFINITY;

                if (d->parts[i].own)
                        (void)limit_set_get(d->parts[i].own, knob, &own);
                d->slots[i] = (Slot){ .id = d->parts[i].id, .part = i };
                d->slots[i].own = own == LIMIT_INFINITY ? own : own / unit;
        }
        qsort(d->slots, d->n, sizeof(*d->slots), slot_cmp);
        for (; done < d->n; done++) {
                Slot *s = &d->slots[done];

                level = left / (d->n - done);
                odd = left % (d->n - done);
                if (s->own > level)
                        break;
                s->share = s->own;
                left -= s->own;
        }
        qsort(d->slots + done, d->n - done, sizeof(*d->slots), slot_cmp_id);
        for (size_t i = done; i < d->n; i++)
                d->slots[i].share = level + (i - done < odd);
        for (size_t i = 0; i < d->n; i++)
                d->slots[i].share = MAX_OF(d->slots[i].share, least_of(knob.limit)) * unit;
}

static uint64_t round_up(uint64_t v, uint64_t step) { return num_add_sat(v, step - 1) / step * step; }

/* What the part must keep of this knob because it is in use; 0: no such thing. False: unknown. */
static bool floor_of(const Division *d, const SharePart *p, Limit limit, uint64_t share, uint64_t *ret) {
        uint64_t page = unit_of(d, LIMIT_MEMORY_MAX), step = page;

        *ret = 0;
        while (step < share / FLOOR_STEPS)
                step *= 2;
        switch (limit) {
        case LIMIT_MEMORY_MAX:
                if (p->have_memory)
                        *ret = round_up(num_add_sat(p->memory_bytes, p->memory_bytes / 10 + 1), step);
                return p->have_memory;
        case LIMIT_MEMORY_SWAP_MAX:
                if (p->have_swap)
                        *ret = round_up(p->swap_bytes, step);
                return p->have_swap;
        case LIMIT_TASKS_MAX:
                if (p->have_tasks)
                        *ret = round_up(num_add_sat(p->tasks, SHARE_TASKS_HEADROOM), TASKS_STEP);
                return p->have_tasks;
        default:
                return true;
        }
}

static int put(Division *d, size_t part, LimitKnob knob, uint64_t value, uint32_t origin) {
        uint64_t before;

        /* memory.high comes from MemoryHigh and from MemoryMax: the lower one. */
        if (knob.limit == LIMIT_MEMORY_HIGH && limit_set_get(&d->out[part], knob, &before) && before <= value)
                return 0;
        return limit_set_put(&d->out[part], knob, value, origin);
}

static int apportion_ceiling(Division *d, const LimitEntry *e, uint32_t origin) {
        const LimitKnob high = { .limit = LIMIT_MEMORY_HIGH };
        uint64_t sum = 0;
        int r;

        divide(d, e->knob, e->value);
        for (size_t i = 0; i < d->n; i++) {
                const Slot *s = &d->slots[i];
                uint64_t least, value = d->n == 1 ? e->value : s->share;

                if (e->knob.limit == LIMIT_MEMORY_MAX && d->n > 1) {
                        r = put(d, s->part, high, value, origin);
                        if (r < 0)
                                return r;
                }
                if (!floor_of(d, &d->parts[s->part], e->knob.limit, s->share, &least))
                        value = e->value;
                /* Steps are no reason to go beyond the sum, use is. */
                if (value < least)
                        value = least;
                sum = num_add_sat(sum, value);
                r = put(d, s->part, e->knob, value, origin);
                if (r < 0)
                        return r;
        }
        if (sum > e->value)
                d->result.advisory[e->knob.limit] = true;
        return 0;
}

/* In proportion to the quota that the part got, for a burst must stay below it. */
static int apportion_burst(Division *d, const LimitEntry *e, uint32_t origin) {
        const LimitKnob quota = { .limit = LIMIT_CPU_QUOTA };
        uint64_t sum, part;
        bool have;
        int r;

        have = limit_set_get(d->sum, quota, &sum) && sum > 0;
        for (size_t i = 0; i < d->n; i++) {
                uint64_t value = e->value / d->n;

                if (have && limit_set_get(&d->out[i], quota, &part))
                        value = num_muldiv(e->value, MIN_OF(part, sum), sum);
                r = put(d, i, e->knob, value, origin);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int apportion_exact(Division *d, const LimitEntry *e, uint32_t origin) {
        uint64_t unit = unit_of(d, e->knob.limit), value = e->value;
        int r;

        if (limit_info(e->knob.limit)->is_memory && value != LIMIT_INFINITY && d->n > 1)
                value = value / unit / d->n * unit;
        for (size_t i = 0; i < d->n; i++) {
                r = put(d, i, e->knob, value, origin);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int apportion(Division *d) {
        int r = 0;

        /* Ordered by limit: the quota comes before its burst. */
        for (size_t i = 0; i < d->sum->n && r == 0; i++) {
                const LimitEntry *e = &d->sum->entries[i];
                uint32_t origin = origin_pack(ORIGIN_SHARE, origin_ref(e->origin));

                if (e->knob.limit == LIMIT_CPU_BURST)
                        r = apportion_burst(d, e, origin);
                else if (limit_info(e->knob.limit)->sense == LIMIT_EXACT)
                        r = apportion_exact(d, e, origin);
                else if (e->value != LIMIT_INFINITY)
                        r = apportion_ceiling(d, e, origin);
        }
        if (d->n > 1 && d->sum->n > 0)
                d->result.state = SHARE_APPORTIONED;
        for (Limit l = 0; l < _LIMIT_MAX; l++)
                if (d->result.advisory[l])
                        d->result.state = SHARE_ADVISORY;
        return r;
}

int share_apportion(const LimitSet *sum, SharePart *parts, size_t n, uint64_t page_size, ShareResult *ret) {
        _cleanup_free_ Slot *slots = NULL;
        _cleanup_free_ LimitSet *out = NULL;
        Division d = { .sum = sum, .parts = parts, .n = n, .page_size = page_size };
        int r = 0;

        if (n > 0) {
                d.slots = slots = calloc(n, sizeof(*slots));
                d.out = out = calloc(n, sizeof(*out));
                if (!slots || !out)
                        return -ENOMEM;
                r = apportion(&d);
        }
        for (size_t i = 0; i < n; i++) {
                if (r == 0) {
                        LimitSet old = *parts[i].out;

                        *parts[i].out = out[i];
                        out[i] = old;
                }
                limit_set_deinit(&out[i]);
        }
        if (r == 0)
                *ret = d.result;
        return r;
}
