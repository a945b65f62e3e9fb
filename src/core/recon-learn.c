/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What did others do since we last looked? Works on movements: a file that
 * holds something else than it did, where that is no write of ours, was moved
 * by somebody. What the movement means depends on its direction and on who
 * made it:
 *
 *  - Knobs that never held a value of ours have no memory worth keeping: the
 *    kernel's value is what others want.
 *  - Tighter than what we want to hold: respected, it is the new want. (This is
 *    safe only because our own writes are recognised first: a value of ours
 *    learnt as a want would never be given back.)
 *  - Looser: drift. Whether the value becomes the want too needs evidence of
 *    who made it, which may have to be asked for; until it is there the want
 *    stays what it was and nothing is written.
 *
 * What the engine's state file asks for bounds the want of a ceiling, so that a
 * limit that the engine's user paid for is not lost with the kernel's value.
 */

#include "recon-internal.h"

bool recon_actual(const ReconInput *in, LimitKnob knob, uint64_t *ret) {
        const LimitInfo *info = limit_info(knob.limit);

        if (!(in->have_files & UINT32_C(1) << info->file))
                return false;
        if (limit_set_get(in->actual, knob, ret))
                return true;
        if (!info->per_device)
                return false;
        *ret = info->unset; /* such files list only what is limited */
        return true;
}

bool recon_property(const ReconInput *in, LimitKnob knob, uint64_t *ret) {
        const LimitInfo *info = limit_info(knob.limit);

        if (!in->has_unit || !in->properties || !info->property)
                return false;
        if (!limit_set_get(in->properties, knob, ret))
                *ret = info->unset;
        return true;
}

bool recon_exact(Limit limit, bool engine_override) {
        return engine_override || limit == LIMIT_CPU_BURST || limit_info(limit)->sense == LIMIT_EXACT;
}

void recon_set_want(ReconKnob *k, uint64_t want) {
        k->want = want;
        k->have_want = want != limit_info(k->knob.limit)->unset;
}

static uint64_t bounded_want(LimitKnob knob, uint64_t want, bool have_engine, uint64_t engine) {
        return have_engine && !recon_exact(knob.limit, false) ? MIN_OF(want, engine) : want;
}

uint64_t recon_want(const ReconKnob *k) { return bounded_want(k->knob, k->want, k->have_engine, k->engine); }

bool recon_is_told(const ReconKnob *k, uint64_t value, uint64_t page_size) {
        return k->ours_property && (limit_equal(k->knob.limit, value, k->told, page_size) ||
                                    limit_equal(k->knob.limit, value, k->told_before, page_size));
}

static bool engine_value(const ReconInput *in, LimitKnob knob, uint64_t *ret) {
        return in->engine_wants && limit_set_get(in->engine_wants, knob, ret);
}

void recon_first_sight(ReconKnob *k, const ReconInput *in) {
        k->have_engine = engine_value(in, k->knob, &k->engine);
        k->have_actual = recon_actual(in, k->knob, &k->actual);
        recon_set_want(k, k->have_actual ? k->actual : limit_info(k->knob.limit)->unset);
        k->have_property = recon_property(in, k->knob, &k->property);
}

/* The engine's state file changed: that is its user's wish, also where the kernel holds our value. */
static void learn_engine(ReconKnob *k, const ReconInput *in) {
        uint64_t e;

        if (!in->engine_wants)
                return;
        if (engine_value(in, k->knob, &e)) {
                if (k->have_engine && e != k->engine && k->have_ours && !recon_exact(k->knob.limit, false))
                        recon_set_want(k, e);
                k->have_engine = true;
                k->engine = e;
        } else if (k->have_engine) {
                if (k->have_ours && !recon_exact(k->knob.limit, false))
                        recon_set_want(k, limit_info(k->knob.limit)->unset);
                k->have_engine = false;
        }
}

static bool just_reloaded(const ReconInput *in) {
        return in->last_reload != 0 && in->now - in->last_reload <= RECON_RELOAD_WINDOW;
}

/* False: evidence is still to come. */
static bool find_cause(const ReconKnob *k, const ReconInput *in, DriftCause *ret) {
        const Limit l = k->knob.limit;
        bool waited = in->now - k->evidence_since >= RECON_EVIDENCE_WAIT;
        bool can_ask = in->has_unit && limit_info(l)->property && !in->properties_unavailable;
        bool have_p, re_applied = false, is_engine = false;
        uint64_t p = 0, e;

        have_p = recon_property(in, k->knob, &p);
        if (can_ask && !have_p && !waited)
                return false;
        if (in->engine_made && in->engine_wants && !in->engine_fresh && !waited)
                return false;
        if (have_p && limit_equal(l, p, k->actual, in->page_size))
                re_applied =
                        just_reloaded(in) ||
                        (k->have_property && limit_equal(l, p, k->property, in->page_size)) ||
                        (k->adopted && limit_equal(l, p, recon_want(k), in->page_size)) ||
                        /* PID 1 makes the cgroup first and realizes the unit after: we may have been in between. */
                        (!in->engine_made && !k->have_property && !k->adopted) ||
                        recon_is_told(k, p, in->page_size);
        if (in->engine_made) {
                if (engine_value(in, k->knob, &e))
                        is_engine = limit_equal(l, e, k->actual, in->page_size);
                else
                        is_engine = in->engine_config_newer;
        }
        /* A reload a moment ago explains much, but not that the engine asks for this value only since we wrote. */
        if (re_applied && !(is_engine && in->engine_config_newer))
                *ret = DRIFT_RELOAD;
        else if (is_engine)
                *ret = DRIFT_ENGINE;
        else if (have_p && limit_equal(l, p, k->actual, in->page_size))
                *ret = DRIFT_PROPERTY;
        else if (have_p || !in->has_unit || !limit_info(l)->property)
                *ret = DRIFT_RAW;
        else
                *ret = DRIFT_UNKNOWN;
        return true;
}

void recon_explain(ReconKnob *k, const ReconInput *in) {
        uint64_t p;

        if (!find_cause(k, in, &k->cause))
                return;
        k->adopted = k->unexplained = false;
        k->judge = true;
        switch (k->cause) {
        case DRIFT_ENGINE:
        case DRIFT_PROPERTY:
                recon_set_want(k, k->actual);
                break;
        case DRIFT_RELOAD:
                /* Written again is no new wish; an edited unit file is. */
                if (recon_property(in, k->knob, &p) && !recon_is_told(k, p, in->page_size) &&
                    !(k->have_property && limit_equal(k->knob.limit, p, k->property, in->page_size)))
                        recon_set_want(k, k->actual);
                if (in->newborn && !just_reloaded(in))
                        recon_settle(k); /* we were too early: it is simply written again */
                break;
        case DRIFT_RAW:
        case DRIFT_UNKNOWN:
        case _DRIFT_MAX:
                break;
        }
}

void recon_settle(ReconKnob *k) {
        k->drift_open = k->drift_new = k->drift_again = k->unexplained = k->judge = false;
}

static void open_drift(ReconKnob *k, const ReconInput *in, bool held) {
        if (k->drift_open) {
                k->drift_again = true;
                return;
        }
        k->held_before = held;
        k->drift_open = k->drift_new = k->unexplained = true;
        k->drift_again = k->judge = false;
        k->evidence_since = in->now;
}

/* Whether the target is met by `a` as it stands. */
static bool satisfies(const ReconKnob *k, const ReconInput *in, uint64_t a) {
        if (recon_exact(k->knob.limit, in->engine_override))
                return limit_equal(k->knob.limit, a, k->desired, in->page_size);
        return !limit_looser(k->knob.limit, a, k->desired, in->page_size);
}

void recon_take_echo(ReconKnob *k, uint64_t actual) {
        k->have_ours = k->holds = true;
        k->share_ours = false;
        k->ours = actual;
}

/* PID 1 wrote what we told it: nobody's wish but ours, though the file held something else before. */
static void echoed(ReconKnob *k, const ReconInput *in, uint64_t a) {
        if (k->is_desired && !satisfies(k, in, a)) {
                k->holds = false;
                open_drift(k, in, true);
                return;
        }
        recon_take_echo(k, a);
        recon_settle(k);
}

/* The file holds `a`, which is not what it held and not what we wrote last. */
static void moved(ReconKnob *k, const ReconInput *in, uint64_t a) {
        bool exact = recon_exact(k->knob.limit, in->engine_override), held = k->holds;

        k->have_attempt = false;
        if (!k->carried && recon_is_told(k, a, in->page_size)) {
                echoed(k, in, a);
                return;
        }
        k->holds = false;
        if (!k->is_desired)
                recon_set_want(k, a);
        else if (satisfies(k, in, a)) {
                if (!exact || !held)
                        recon_set_want(k, a);
                recon_settle(k);
        } else {
                if (k->drift_open ? !k->held_before : !held)
                        recon_set_want(k, a);
                open_drift(k, in, held);
        }
}

static void learn_actual(ReconKnob *k, const ReconInput *in, uint64_t a) {
        const Limit l = k->knob.limit;

        if (k->have_attempt && limit_equal(l, a, k->attempt, in->page_size)) {
                /* A write whose outcome we were not told has arrived. */
                k->have_attempt = false;
                k->ours = k->attempt;
                k->have_ours = k->holds = true;
                k->share_ours = k->share;
                recon_settle(k);
        } else if (k->drift_open && k->held_before && limit_equal(l, a, k->ours, in->page_size)) {
                k->holds = true; /* whoever moved it moved it back */
                recon_settle(k);
        } else if (k->adopted && !limit_equal(l, a, k->ours, in->page_size) &&
                   limit_equal(l, a, recon_want(k), in->page_size))
                k->holds = false; /* remembered, but not written before the guard died */
        else if (!k->have_actual || !limit_equal(l, a, k->actual, in->page_size) ||
                 (k->holds && !limit_equal(l, a, k->ours, in->page_size)))
                moved(k, in, a); /* the last: in steps too small to be seen each */
        k->actual = a;
        k->have_actual = true;
        if (k->adopted)
                k->have_attempt =
                        false; /* the writer died with the guard: what it had not written, it will not */
        k->adopted = k->adopted && k->unexplained;
}

/*
 * A property that changed to what we never told PID 1 is somebody's wish, also
 * where the file does not show it (any more): a write of ours was on its way
 * just then, or a raw write came on top.
 */
static void learn_property(ReconKnob *k, const ReconInput *in) {
        const Limit l = k->knob.limit;
        bool known, changed;
        uint64_t p;

        if (!in->has_unit)
                k->have_property = false;
        if (k->unexplained || !recon_property(in, k->knob, &p))
                return;
        known = k->have_property || k->ours_property;
        changed = known && !(k->have_property && limit_equal(l, p, k->property, in->page_size));
        /* The tightest of all who ask counts, also when we see it for the first time. */
        if (!known && !recon_exact(l, false))
                changed = p < k->want;
        if (changed && (k->holds || (k->drift_open && k->held_before)) &&
            !limit_equal(l, p, k->ours, in->page_size) && !recon_is_told(k, p, in->page_size))
                recon_set_want(k, p);
        k->property = p;
        k->have_property = true;
}

/*
 * A write of ours is under way. What the file holds besides the old and the
 * new value is somebody else's, and will be gone in a moment.
 */
static void learn_in_flight(ReconKnob *k, const ReconInput *in, uint64_t a) {
        const Limit l = k->knob.limit;

        if (limit_equal(l, a, k->attempt, in->page_size) ||
            (k->have_actual && limit_equal(l, a, k->actual, in->page_size)))
                return;
        if (k->holds && k->is_desired && !satisfies(k, in, a))
                return; /* looser: if it stays it is drift, later */
        if (recon_is_told(k, a, in->page_size))
                return;
        recon_set_want(k, a);
        k->actual = a;
        k->have_actual = true;
        k->holds = false;
}

void recon_learn(Recon *r, const ReconInput *in) {
        if (r->property_in_flight && in->now - r->push_since >= RECON_FLIGHT_MAX) {
                r->property_in_flight = false; /* nobody answered */
                r->property_dirty = true;
        }
        for (size_t i = 0; i < r->n; i++) {
                ReconKnob *k = &r->knobs[i];
                uint64_t a;

                if (k->in_flight && in->now - k->flight_since >= RECON_FLIGHT_MAX)
                        k->in_flight = false; /* nobody answered; the kernel may hold it */
                learn_engine(k, in);
                if (k->in_flight) {
                        if (recon_actual(in, k->knob, &a))
                                learn_in_flight(k, in, a);
                        continue;
                }
                if (recon_actual(in, k->knob, &a))
                        learn_actual(k, in, a);
                if (k->unexplained) {
                        if (k->evidence_since == 0)
                                k->evidence_since = in->now;
                        recon_explain(k, in);
                }
                if (!r->property_in_flight)
                        learn_property(k, in);
        }
}

int recon_wants(const Recon *r, const ReconInput *in, LimitSet *ret) {
        LimitSet set = LIMIT_SET_INIT;
        int e = 0;

        for (size_t i = 0; i < in->actual->n && e == 0; i++) {
                const LimitEntry *a = &in->actual->entries[i];
                uint64_t engine = 0;
                bool have = engine_value(in, a->knob, &engine);

                if (!recon_find(r, a->knob))
                        e = limit_set_put(&set, a->knob, bounded_want(a->knob, a->value, have, engine), 0);
        }
        for (size_t i = 0; in->engine_wants && i < in->engine_wants->n && e == 0; i++) {
                const LimitEntry *w = &in->engine_wants->entries[i];

                if (!recon_find(r, w->knob) && !limit_set_find(&set, w->knob) &&
                    !recon_exact(w->knob.limit, false))
                        e = limit_set_put(&set, w->knob, w->value, 0);
        }
        for (size_t i = 0; i < r->n && e == 0; i++)
                e = limit_set_put(&set, r->knobs[i].knob, recon_want(&r->knobs[i]), 0);
        if (e < 0) {
                limit_set_deinit(&set);
                return e;
        }
        limit_set_deinit(ret);
        *ret = set;
        return 0;
}
