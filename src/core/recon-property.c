/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What PID 1 is to be told. Only a unit's property survives a reload, so the
 * values that the kernel holds by our hand go there too; but one
 * SetUnitProperties makes PID 1 write nearly every limit file of the unit again from its
 * properties. Hence:
 *
 *  - The call is made once everything is settled, with everything at once: ours,
 *    what is given back, and every other value of the files that differs
 *    from the unit's properties, so that no file changes by it. Such a carried
 *    value leaves a drop-in of ours behind: it is remembered, and
 *    given back with the last value of our own.
 *  - PID 1 must neither sit in reclaim nor kill: no call while use is above
 *    what memory.high will be, nor where memory.max would come down on it.
 *  - Leases are not told: they end without anybody there to tell of the end. The call
 *    loosens them for a moment; recon_restore_foreign() puts them back.
 */

#include "num.h"
#include "recon-internal.h"

bool recon_is_for_unit(const ReconKnob *k) {
        return k->absent && !k->share && limit_info(k->knob.limit)->property;
}

/* A knob of ours that belongs into the property: it stands in the kernel, or only PID 1 can make its file. */
static bool is_ours(const ReconKnob *k) {
        if (!k->is_desired || !limit_info(k->knob.limit)->property)
                return false;
        return k->holds ? !k->share_ours : recon_is_for_unit(k);
}

static uint64_t our_value(const ReconKnob *k) { return k->holds ? k->ours : k->desired; }

static bool differs(const ReconStep *s, LimitKnob knob, uint64_t a, uint64_t b) {
        return !limit_equal(knob.limit, a, b, s->in->page_size);
}

static int add_ours(ReconStep *s) {
        for (size_t i = 0; i < s->n; i++) {
                const ReconKnob *k = &s->knobs[i];
                uint64_t p;
                int r;

                if (!is_ours(k) || !recon_property(s->in, k->knob, &p) ||
                    !differs(s, k->knob, p, our_value(k)))
                        continue;
                r = limit_set_put(&s->plan->property, k->knob, our_value(k), k->origin);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Properties that still say what we made them say, without a reason any more. */
static int add_give_back(ReconStep *s) {
        bool any_ours = false;

        for (size_t i = 0; i < s->n; i++)
                any_ours = any_ours || is_ours(&s->knobs[i]);
        for (size_t i = 0; i < s->n; i++) {
                ReconKnob *k = &s->knobs[i];
                uint64_t a, p;
                int r;

                if (k->is_desired || !k->ours_property || (k->carried && any_ours))
                        continue;
                if (k->holds)
                        continue; /* the kernel refuses to have it back; the property must not say otherwise */
                if (!recon_property(s->in, k->knob, &p) || !recon_is_told(k, p, s->in->page_size)) {
                        k->ours_property = false; /* it is somebody else's by now, or there is none */
                        continue;
                }
                if (!recon_actual(s->in, k->knob, &a))
                        a = recon_want(k);
                r = limit_set_put(&s->plan->property_give_back, k->knob, a, 0);
                if (r < 0)
                        return r;
                k->giving = true;
        }
        return 0;
}

static bool is_passed(const ReconStep *s, LimitKnob knob, uint64_t *ret) {
        return limit_set_get(&s->plan->property, knob, ret) ||
               limit_set_get(&s->plan->property_give_back, knob, ret);
}

static int carry(ReconStep *s, LimitKnob knob) {
        const ReconKnob *k = recon_search(s->knobs, s->n, knob, NULL);
        uint64_t a, p, passed;

        if (is_passed(s, knob, &passed) || (k && k->holds && k->share_ours))
                return 0;
        if (!recon_property(s->in, knob, &p) || !recon_actual(s->in, knob, &a) || !differs(s, knob, a, p))
                return 0;
        return limit_set_put(&s->plan->property, knob, a, 0);
}

static int add_carried(ReconStep *s) {
        const LimitSet *const sets[] = { s->in->actual, s->in->properties };

        for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
                for (size_t j = 0; j < sets[i]->n; j++) {
                        int r = carry(s, sets[i]->entries[j].knob);

                        if (r < 0)
                                return r;
                }
        return 0;
}

static bool names_kind(const LimitSet *set, Limit limit) {
        for (size_t i = 0; i < set->n; i++)
                if (set->entries[i].knob.limit == limit)
                        return true;
        return false;
}

/*
 * A list of devices is replaced as a whole, and is one drop-in: name those too
 * that stay as they are; in the set given back where nothing of the kind remains ours.
 */
static int complete_devices(ReconStep *s) {
        const LimitSet *p = s->in->properties;
        ReconPlan *plan = s->plan;

        for (size_t i = 0; i < p->n; i++) {
                const LimitEntry *e = &p->entries[i];
                uint64_t passed;
                int r;

                if (!limit_info(e->knob.limit)->per_device || is_passed(s, e->knob, &passed))
                        continue;
                r = 0;
                if (names_kind(&plan->property, e->knob.limit))
                        r = limit_set_put(&plan->property, e->knob, e->value, 0);
                else if (names_kind(&plan->property_give_back, e->knob.limit))
                        r = limit_set_put(&plan->property_give_back, e->knob, e->value, 0);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What the file will hold after the call. */
static bool result_of(const ReconStep *s, Limit limit, uint64_t *ret) {
        const LimitKnob knob = { .limit = limit };

        return is_passed(s, knob, ret) || recon_property(s->in, knob, ret);
}

static bool use_fits(const ReconStep *s) {
        const ReconKnob *max = recon_search(s->knobs, s->n, (LimitKnob){ .limit = LIMIT_MEMORY_MAX }, NULL);
        uint64_t use = s->in->memory_bytes, v, a;

        if (max && max->holds && max->share_ours && !RECON_FITS(use, max->ours))
                return false; /* the call would lose a lease that could not be put back */
        if (result_of(s, LIMIT_MEMORY_HIGH, &v) && use > v)
                return false;
        return !result_of(s, LIMIT_MEMORY_MAX, &v) || RECON_FITS(use, v) ||
               (recon_actual(s->in, (LimitKnob){ .limit = LIMIT_MEMORY_MAX }, &a) && v >= a);
}

/* From here on the drop-ins are ours: so the ledger is told before the call. */
static int take_over(ReconStep *s) {
        for (size_t i = 0; i < s->plan->property.n; i++) {
                const LimitEntry *e = &s->plan->property.entries[i];
                ReconKnob *k = recon_search(s->knobs, s->n, e->knob, NULL);
                uint64_t p;

                if (recon_property(s->in, e->knob, &p) && !differs(s, e->knob, p, e->value))
                        continue; /* a device named for completeness */
                if (!k) {
                        k = recon_insert(&s->knobs, &s->n, &s->alloc, e->knob);
                        if (!k)
                                return -ENOMEM;
                        recon_first_sight(k, s->in);
                        k->state = KNOB_OK;
                }
                k->carried = !k->is_desired;
                /* The call may fail, or time out and land later: then it is either of both. */
                k->told_before = recon_property(s->in, e->knob, &p) && recon_is_told(k, p, s->in->page_size)
                                         ? p
                                         : e->value;
                k->ours_property = true;
                k->told = e->value;
                if (recon_is_for_unit(k))
                        k->ours = e->value; /* for the ledger: that is what the file will hold */
        }
        return 0;
}

static void drop_sets(ReconStep *s) {
        for (size_t i = 0; i < s->n; i++)
                s->knobs[i].giving = false;
        limit_set_clear(&s->plan->property);
        limit_set_clear(&s->plan->property_give_back);
}

/* Is there anything to tell, as far as one can say without the properties? */
static bool is_due(const ReconStep *s) {
        bool giving = false, ours = false;

        for (size_t i = 0; i < s->n; i++) {
                giving = giving || (s->knobs[i].ours_property && !s->knobs[i].is_desired &&
                                    !s->knobs[i].carried && !s->knobs[i].holds);
                ours = ours || is_ours(&s->knobs[i]);
        }
        for (size_t i = 0; i < s->n && !ours; i++)
                giving = giving || (s->knobs[i].ours_property && s->knobs[i].carried);
        return giving || (ours && s->property_dirty);
}

static void forget_properties(ReconStep *s) {
        for (size_t i = 0; i < s->n; i++)
                s->knobs[i].ours_property = s->knobs[i].carried = s->knobs[i].giving = false;
}

int recon_plan_property(ReconStep *s) {
        const ReconInput *in = s->in;
        uint64_t high;
        int r;

        if (!in->has_unit) {
                forget_properties(s);
                return 0;
        }
        if (!s->writing || s->unsettled || s->property_in_flight || in->properties_unavailable || !is_due(s))
                return 0;
        if (in->now < s->push_not_before) {
                s->plan->next = MIN_OF(s->plan->next, s->push_not_before);
                return 0;
        }
        if (recon_actual(in, (LimitKnob){ .limit = LIMIT_MEMORY_HIGH }, &high) && in->memory_bytes > high) {
                s->plan->next = MIN_OF(s->plan->next, num_add_sat(in->now, RECON_FIT_POLL));
                return 0;
        }
        if (!in->properties) {
                s->plan->need_properties = true;
                return 0;
        }
        r = add_ours(s);
        if (r == 0)
                r = add_give_back(s);
        if (r < 0)
                return r;
        if (s->plan->property.n == 0 && s->plan->property_give_back.n == 0) {
                s->property_dirty = false;
                return 0;
        }
        r = add_carried(s);
        if (r == 0)
                r = complete_devices(s);
        if (r < 0)
                return r;
        if (!use_fits(s)) {
                drop_sets(s);
                s->plan->next = MIN_OF(s->plan->next, num_add_sat(in->now, RECON_FIT_POLL));
                return 0;
        }
        r = take_over(s);
        if (r < 0)
                return r;
        s->plan->push_property = true;
        s->property_in_flight = true;
        s->property_dirty = false;
        s->push_since = in->now;
        return 0;
}
