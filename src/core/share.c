/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Dividing a tenant's sum where no cgroup of its own could carry it.
 *
 * Each ceiling is divided by water-filling: everybody may have the level, a
 * part that is capped below the level keeps to its cap, and the level rises
 * until the sum is used up. A turn does this three times.
 *
 *   equal    capped by a part's own ceiling alone: what everybody may claim
 *   target   capped by use too. Who is hungry has no cap but its own ceiling;
 *            who is sated has one at what it uses and room to grow. Caps are
 *            never above own ceilings, so the level is never below the
 *            equal one: nobody who wants its equal share has less. Where all
 *            caps leave something over, the lowest are raised to one level: a
 *            tenant at rest has equal shares, whoever wakes finds its own.
 *   settled  writes land in any order, so what a part holds or was given last
 *            is taken until the kernel is seen to hold less. Everybody shrinks
 *            at once and grows only into what is free, the smallest first; the
 *            rest of the growth waits for the next turn.
 *
 * An idle part's use runs into what it is left, which makes it hungry: one
 * turn takes from the others, the next one gives. Against thrashing, hunger
 * begins at four fifths of what is held while whoever has its cap is at two
 * thirds of it; and a cap moves in quanta and only if it is out by an eighth
 * of the equal share, downwards by a fifth of itself, too, which a load that
 * wobbles by a tenth either way does not reach.
 *
 * Running out of CPU time or IO is a matter of waiting; running out of memory,
 * swap or tasks kills or fails before the next turn could help. Of these a
 * part lends half of what it leaves unused at most, and never what its
 * floors keep; and of memory it lends memory.high alone: its memory.max stays at the
 * equal share, so that one which wakes and allocates at once is slowed down
 * and not killed for having lent. A part that is over its share is not rewarded for it with the others' shares.
 * Instead its memory.high is put to the share at once (the kernel then
 * reclaims from it and slows it down) while its memory.max, its swap and its
 * tasks keep room for what is there already; the sum is exceeded for so long,
 * and the result says so ("advisory"). Nobody waits for what floors hold.
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
#define QUANTA 64 /* of the sum, by which caps move */
#define RESERVE \
        8 /* the equal share's fraction that a sated part keeps, and by which a cap must be out to move */

typedef struct Slot {
        SharePart *part;
        size_t index; /* of the part */
        /* in units */
        uint64_t own, equal, cap, target, taken, share;
        uint64_t floor; /* 0: none */
        uint64_t wait; /* of the target, for others' writes to land */
        uint64_t low, high; /* for fill() */
        bool floor_unknown, hungry;
} Slot;

typedef struct Division {
        const LimitSet *sum;
        size_t n;
        uint64_t page_size;
        Slot *slots; /* ordered by id: whoever is first gets the odd unit */
        LimitSet *out; /* of parts, in their order */
        ShareMemory *memories; /* the same */
        ShareResult result;
} Division;

void share_memory_deinit(ShareMemory *m) {
        free(m->knobs);
        *m = (ShareMemory){};
}

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

        return a->part->id != b->part->id ? a->part->id < b->part->id ? -1 : 1 : 0;
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

static uint64_t at_level(const Slot *s, uint64_t level) { return MIN_OF(MAX_OF(level, s->low), s->high); }

static uint64_t filled(const Division *d, uint64_t level) {
        uint64_t sum = 0;

        for (size_t i = 0; i < d->n; i++)
                sum = num_add_sat(sum, at_level(&d->slots[i], level));
        return sum;
}

/* Shares out of low..high, on one level as far as these allow it, that add up to total as far as these do. */
static void fill(Division *d, uint64_t total) {
        uint64_t level = 0, top = total, sum, odd;

        while (level < top) {
                uint64_t mid = top - (top - level) / 2;

                if (filled(d, mid) <= total)
                        level = mid;
                else
                        top = mid - 1;
        }
        sum = filled(d, level);
        odd = total > sum ? total - sum : 0;
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];

                s->share = at_level(s, level);
                if (odd > 0 && s->share == level && s->high > level) {
                        s->share++;
                        odd--;
                }
        }
}

static uint64_t round_up(uint64_t v, uint64_t step) { return num_add_sat(v, step - 1) / step * step; }

/* What the part must keep of this knob because it is in use; 0: no such thing. False: unknown. */
static bool floor_of(const Division *d, const SharePart *p, Limit limit, uint64_t equal, uint64_t *ret) {
        uint64_t page = unit_of(d, LIMIT_MEMORY_MAX), step = page;

        *ret = 0;
        while (step < equal / FLOOR_STEPS)
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

static const ShareKept *kept(const SharePart *p, LimitKnob knob) {
        for (size_t i = 0; p->memory && i < p->memory->n; i++)
                if (limit_knob_cmp(p->memory->knobs[i].knob, knob) == 0)
                        return &p->memory->knobs[i];
        return NULL;
}

/* What a set of the part says, LIMIT_INFINITY where it does not. */
static uint64_t value_of(const LimitSet *set, LimitKnob knob) {
        uint64_t v = LIMIT_INFINITY;

        if (set)
                (void)limit_set_get(set, knob, &v);
        return v;
}

static uint64_t units(uint64_t value, uint64_t unit) {
        return value == LIMIT_INFINITY ? value : round_up(value, unit) / unit;
}

static void divide_equally(Division *d, LimitKnob knob, uint64_t total, uint64_t unit) {
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];
                uint64_t own = value_of(s->part->own, knob);

                s->own = own == LIMIT_INFINITY ? own : MAX_OF(own / unit, least_of(knob.limit));
                s->low = 0;
                s->high = s->own;
        }
        fill(d, total);
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];
                uint64_t floor;

                s->equal = s->share;
                s->floor_unknown = !floor_of(d, s->part, knob.limit, s->equal * unit, &floor);
                s->floor = units(floor, unit);
        }
}

/* What the part is held to now, or is about to be. */
static uint64_t held_to(const Slot *s, LimitKnob knob, uint64_t unit) {
        const ShareKept *k = kept(s->part, knob);
        uint64_t v = value_of(s->part->held, knob);

        if (knob.limit == LIMIT_MEMORY_MAX)
                v = MIN_OF(v, value_of(s->part->held, (LimitKnob){ .limit = LIMIT_MEMORY_HIGH }));
        if (k)
                v = MIN_OF(v, k->share);
        return v == LIMIT_INFINITY ? s->equal : units(v, unit);
}

/* Whether a hit of this ceiling kills, or fails what the program tried. */
static bool is_hard(Limit limit) {
        return limit == LIMIT_MEMORY_MAX || limit == LIMIT_MEMORY_SWAP_MAX || limit == LIMIT_TASKS_MAX;
}

static void cap_by_use(Slot *s, LimitKnob knob, uint64_t unit, uint64_t quantum, uint64_t band) {
        const LimitEntry *e = s->part->use ? limit_set_find(s->part->use, knob) : NULL;
        const ShareKept *k = kept(s->part, knob);
        uint64_t use = e ? units(e->value, unit) : 0, cap, least, before;

        s->cap = s->own;
        s->hungry = !e || e->origin == SHARE_USE_HIT ||
                    (use > 0 && use >= num_muldiv(held_to(s, knob, unit), 4, 5));
        if (s->hungry)
                return;
        least = round_up(MAX_OF(s->equal / RESERVE, s->floor), quantum);
        cap = num_add_sat(use, use / 2);
        if (is_hard(knob.limit) && use < s->equal)
                cap = MAX_OF(cap, use + (s->equal - use) / 2);
        cap = MAX_OF(round_up(cap, quantum), least);
        if (k && !k->hungry) {
                before = k->cap / unit;
                /* An old cap serves on if it is too large by little, or too small but far from hunger. */
                if (before >= cap ? before - cap < MAX_OF(band, before / 5) && cap > least
                                  : cap - before < band && use <= num_muldiv(before, 3, 4))
                        cap = MAX_OF(before, least);
        }
        s->cap = MIN_OF(cap, s->own);
}

static void divide_by_use(Division *d, LimitKnob knob, uint64_t total, uint64_t unit, uint64_t quantum) {
        uint64_t band = MAX_OF(total / d->n / RESERVE, (uint64_t)1), sum = 0;

        for (size_t i = 0; i < d->n; i++) {
                cap_by_use(&d->slots[i], knob, unit, quantum, band);
                sum = num_add_sat(sum, d->slots[i].cap);
        }
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];

                s->low = sum >= total ? 0 : s->cap;
                s->high = sum >= total ? s->cap : s->own;
        }
        fill(d, total);
        for (size_t i = 0; i < d->n; i++)
                d->slots[i].target = MAX_OF(d->slots[i].share, least_of(knob.limit));
}

/* The most that the part may hold until new writes have landed. */
static uint64_t taken(const Slot *s, LimitKnob knob, uint64_t unit) {
        const ShareKept *k = kept(s->part, knob);
        uint64_t v = k ? k->share : s->part->held ? 0 : LIMIT_INFINITY;

        if (!s->part->held)
                return units(v, unit);
        /* memory.high holds it; memory.max only keeps what must not be killed. */
        if (knob.limit == LIMIT_MEMORY_MAX)
                v = MAX_OF(v, value_of(s->part->held, (LimitKnob){ .limit = LIMIT_MEMORY_HIGH }));
        /* What a floor holds will not be let go: to wait for it would let the others pay for it. */
        else if (!s->floor_unknown && s->floor <= s->target)
                v = MAX_OF(v, value_of(s->part->held, knob));
        return units(v, unit);
}

/*
 * The room that a turn frees for those who are below the equal share is theirs in the next: first come they, then
 * everybody, or new ones that wake each turn would put them off for ever.
 */
static void fill_free(Division *d, LimitKnob knob, uint64_t total) {
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];
                const ShareKept *k = kept(s->part, knob);

                s->low = s->taken;
                s->high = s->low;
                if (k && k->hungry)
                        s->high = MAX_OF(s->low, MIN_OF(s->target, s->equal));
        }
        fill(d, total);
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];

                s->low = s->share;
                s->high = MAX_OF(s->low, s->target);
        }
        fill(d, total);
}

static void settle(Division *d, LimitKnob knob, uint64_t total, uint64_t unit, uint64_t quantum) {
        uint64_t sum = 0;

        for (size_t i = 0; i < d->n; i++) {
                d->slots[i].taken = taken(&d->slots[i], knob, unit);
                sum = num_add_sat(sum, d->slots[i].taken);
        }
        fill_free(d, knob, total);
        for (size_t i = 0; i < d->n; i++) {
                Slot *s = &d->slots[i];
                const ShareKept *k = kept(s->part, knob);

                /* Crumbs are not worth a write, unless somebody is below the equal share. */
                if (s->share < s->target && s->share - s->taken < quantum && s->taken >= s->equal)
                        s->share = s->taken;
                /* Too much is held already, and what was given last may land before what is given now. */
                if (sum > total && k)
                        s->share = MIN_OF(s->share, k->share / unit);
                s->share = MAX_OF(MIN_OF(s->share, s->target), least_of(knob.limit));
                s->wait = s->target - s->share >= quantum ? s->target - s->share : 0;
        }
}

static void divide(Division *d, LimitKnob knob, uint64_t value) {
        uint64_t unit = unit_of(d, knob.limit), total = value / unit, quantum;

        quantum = MIN_OF(total / QUANTA, total / d->n / RESERVE);
        quantum = MAX_OF(quantum, knob.limit == LIMIT_CPU_QUOTA ? CPU_QUOTA_LEAST : 1);
        divide_equally(d, knob, total, unit);
        divide_by_use(d, knob, total, unit, quantum);
        settle(d, knob, total, unit, quantum);
}

static int remember(ShareMemory *m, LimitKnob knob, uint64_t share, uint64_t cap, bool hungry) {
        int r = GROW(m->knobs, m->n, m->alloc);

        if (r < 0)
                return r;
        m->knobs[m->n++] = (ShareKept){ .knob = knob, .share = share, .cap = cap, .hungry = hungry };
        return 0;
}

static int put(Division *d, size_t part, LimitKnob knob, uint64_t value, uint32_t origin) {
        uint64_t before;

        /* memory.high comes from MemoryHigh and from MemoryMax: the lower one. */
        if (knob.limit == LIMIT_MEMORY_HIGH && limit_set_get(&d->out[part], knob, &before) && before <= value)
                return 0;
        return limit_set_put(&d->out[part], knob, value, origin);
}

/* One slot's share, and the floors on top of it. */
static int give(Division *d, const LimitEntry *e, const Slot *s, uint32_t origin, uint64_t *sum) {
        const LimitKnob high = { .limit = LIMIT_MEMORY_HIGH };
        uint64_t unit = unit_of(d, e->knob.limit), share = d->n == 1 ? e->value : s->share * unit,
                 value = share;
        int r;

        r = remember(&d->memories[s->index], e->knob, share, s->hungry ? 0 : s->cap * unit, s->hungry);
        if (r < 0)
                return r;
        if (e->knob.limit == LIMIT_MEMORY_MAX && d->n > 1) {
                r = put(d, s->index, high, share, origin);
                if (r < 0)
                        return r;
        }
        if (s->floor_unknown)
                value = e->value;
        /* Steps are no reason to go beyond the sum, use is. */
        value = MAX_OF(value, s->floor * unit);
        if (d->n > 1 && s->wait > 0 && (value < s->target * unit || e->knob.limit == LIMIT_MEMORY_MAX))
                d->result.unsettled = true;
        *sum = num_add_sat(*sum, value);
        /* Whoever lent its memory and wants it back is slowed down by memory.high until the next turn, not killed. */
        if (e->knob.limit == LIMIT_MEMORY_MAX && d->n > 1)
                value = MAX_OF(value, s->equal * unit);
        return put(d, s->index, e->knob, value, origin);
}

static int apportion_ceiling(Division *d, const LimitEntry *e, uint32_t origin) {
        uint64_t sum = 0;
        int r;

        divide(d, e->knob, e->value);
        for (size_t i = 0; i < d->n; i++) {
                r = give(d, e, &d->slots[i], origin, &sum);
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
        _cleanup_free_ ShareMemory *memories = NULL;
        Division d = { .sum = sum, .n = n, .page_size = page_size };
        int r = 0;

        if (n > 0) {
                d.slots = slots = calloc(n, sizeof(*slots));
                d.out = out = calloc(n, sizeof(*out));
                d.memories = memories = calloc(n, sizeof(*memories));
                if (!slots || !out || !memories)
                        return -ENOMEM;
                for (size_t i = 0; i < n; i++)
                        slots[i] = (Slot){ .part = &parts[i], .index = i };
                qsort(slots, n, sizeof(*slots), slot_cmp);
                r = apportion(&d);
        }
        for (size_t i = 0; i < n; i++) {
                if (r == 0) {
                        LimitSet old = *parts[i].out;

                        *parts[i].out = out[i];
                        out[i] = old;
                }
                if (r == 0 && parts[i].memory) {
                        ShareMemory old = *parts[i].memory;

                        *parts[i].memory = memories[i];
                        memories[i] = old;
                }
                limit_set_deinit(&out[i]);
                share_memory_deinit(&memories[i]);
        }
        if (r == 0)
                *ret = d.result;
        return r;
}
