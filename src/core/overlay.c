/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases over files, compared knob by knob.
 *
 * A knob whose file holds the lease's value shows what lies beneath; any other
 * value was written by somebody after us, so it is what lies beneath now. No
 * memory of who wrote when is needed for that, and a guard that was away for a
 * while comes to the same result as one that watched.
 *
 * cpu.max is one file with two numbers. The lease holds only where both are the
 * lease's: a quota that happens to be the same with another period is
 * somebody's own. The period compared with is the one that was really written
 * (limit_cpu_period()).
 *
 * What is compared with a tolerance is kept without one: a memory value that the
 * kernel rounded down to pages is still the one that was asked for, but a CPU
 * quota that is only nearly the old one is another.
 */

#include "overlay.h"

static const LimitKnob period_knob = { .limit = LIMIT_CPU_PERIOD };

/* What the kernel holds for a lease's knob. */
typedef struct Held {
        uint64_t value;
        usec_t period; /* LIMIT_CPU_QUOTA only, else 0 */
} Held;

static bool is_quota(const OverlayLease *l) { return l->knob.limit == LIMIT_CPU_QUOTA; }

static Held read_held(const OverlayLease *l, const LimitSet *actual) {
        Held h = { .value = LIMIT_INFINITY };

        (void)limit_set_get(actual, l->knob, &h.value);
        if (is_quota(l) && !limit_set_get(actual, period_knob, &h.period))
                h.period = limit_info(LIMIT_CPU_PERIOD)->unset;
        return h;
}

/* A lease of "max" holds nobody back: there is nothing of ours to be found. */
static bool is_ours(const OverlayLease *l, const Held *h, uint64_t page_size) {
        return !limit_equal(l->knob.limit, l->value, LIMIT_INFINITY, page_size) &&
               limit_equal(l->knob.limit, h->value, l->value, page_size) &&
               (!is_quota(l) || h->period == limit_cpu_period(l->value, l->period));
}

static bool is_beneath(const OverlayLease *l, const Held *h, uint64_t page_size) {
        if (limit_info(l->knob.limit)->is_memory)
                return limit_equal(l->knob.limit, h->value, l->beneath, page_size);
        return h->value == l->beneath &&
               (!is_quota(l) || h->period == limit_cpu_period(l->beneath, l->beneath_period));
}

/* The file reads as without the lease. What is put is there already (a value
 * that is not "max" was read from there), so this cannot fail. */
static void show_beneath(const OverlayLease *l, LimitSet *actual) {
        LimitEntry *e = limit_set_find(actual, l->knob);

        e->value = l->beneath;
        e->origin = 0;
        if (is_quota(l))
                limit_set_find(actual, period_knob)->value = limit_cpu_period(l->beneath, l->beneath_period);
        /* io.max is read without what is not limited. */
        if (limit_info(l->knob.limit)->per_device && l->beneath == LIMIT_INFINITY)
                (void)limit_set_remove(actual, l->knob);
}

int overlay_read(OverlayLease *leases, size_t n, LimitSet *actual, uint64_t page_size) {
        /* Files give quota and period together; a set that has only the first gets the second now, while nothing
         * is changed yet. */
        for (size_t i = 0; i < n; i++) {
                Held h = read_held(&leases[i], actual);
                int r;

                if (!is_quota(&leases[i]) || !is_ours(&leases[i], &h, page_size) ||
                    limit_set_find(actual, period_knob))
                        continue;
                r = limit_set_put(actual, period_knob, h.period, 0);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < n; i++) {
                OverlayLease *l = &leases[i];
                Held h = read_held(l, actual);

                l->rewrite = l->changed = false;
                if (is_ours(l, &h, page_size)) {
                        show_beneath(l, actual);
                        continue;
                }
                l->rewrite = limit_looser(l->knob.limit, h.value, l->value, page_size);
                if (is_beneath(l, &h, page_size))
                        continue;
                l->changed = true;
                l->beneath = h.value;
                l->beneath_period = h.period;
        }
        return 0;
}

bool overlay_give_back(const OverlayLease *l, const LimitSet *actual, uint64_t page_size, LimitEntry *ret,
                       usec_t *ret_period) {
        Held h = read_held(l, actual);

        if (!is_ours(l, &h, page_size))
                return false;
        *ret = (LimitEntry){ .knob = l->knob, .value = l->beneath };
        *ret_period = is_quota(l) ? limit_cpu_period(l->beneath, l->beneath_period) : 0;
        return true;
}
