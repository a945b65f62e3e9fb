/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is to be written now? One pass over the knobs that policy names and
 * those that are remembered:
 *
 *   targets    what each knob should hold: desired, plus what writing it takes along
 *              (memory.high while memory.max must wait, burst and period below a small quota)
 *   decide     per target: nothing to do, wait (evidence, back-off, hold, use too high), or write
 *   restore    per remembered knob without a target: give back what the kernel still holds of ours
 *   property   once all of that stands in the kernel: one call to PID 1 (recon-property.c)
 *   ledger     what must be on file before any of it
 *
 * All of it works on a copy of the knobs that replaces them at the end, so a
 * step that runs out of memory has not happened.
 */

#include "ceiling.h"
#include "num.h"
#include "recon-internal.h"

static void at(ReconStep *s, usec_t when) { s->plan->next = MIN_OF(s->plan->next, when); }

/* ---- targets ---- */

static ReconTarget *find_target(ReconStep *s, LimitKnob knob) {
        for (size_t i = 0; i < s->n_targets; i++)
                if (limit_knob_cmp(s->targets[i].knob, knob) == 0)
                        return &s->targets[i];
        return NULL;
}

static int add_target(ReconStep *s, LimitKnob knob, uint64_t value, uint32_t origin, bool lease) {
        if (GROW(s->targets, s->n_targets, s->targets_alloc) < 0)
                return -ENOMEM;
        s->targets[s->n_targets++] = (ReconTarget){ knob, value, origin, lease };
        return 0;
}

/* What holds of a knob when nobody of us asks for anything. */
static bool others_value(ReconStep *s, LimitKnob knob, uint64_t *ret) {
        const ReconKnob *k = recon_search(s->knobs, s->n, knob, NULL);

        if (!recon_actual(s->in, knob, ret))
                return false;
        if (k)
                *ret = recon_want(k);
        return true;
}

/*
 * The kernel refuses a quota below the burst, and a quota of less than 1 ms
 * per period. Where a foreign burst or period stands in the way of our quota
 * it is ours to change for as long as the quota is.
 */
static int add_cpu_targets(ReconStep *s) {
        const LimitKnob kq = { .limit = LIMIT_CPU_QUOTA }, kp = { .limit = LIMIT_CPU_PERIOD },
                        kb = { .limit = LIMIT_CPU_BURST };
        ReconTarget *t = find_target(s, kq), *period = find_target(s, kp);
        uint64_t quota, base, least, bound, burst;
        uint32_t origin;
        bool lease;
        int r;

        if (!t || t->value == LIMIT_INFINITY)
                return 0;
        quota = t->value;
        origin = t->origin;
        lease = t->lease;
        if (period)
                base = period->value;
        else if (!others_value(s, kp, &base))
                return 0;
        least = limit_cpu_period(quota, base);
        if (period)
                period->value = least;
        else if (least != base) {
                r = add_target(s, kp, least, origin, lease);
                if (r < 0)
                        return r;
        }
        bound = num_muldiv(quota, least, USEC_PER_SEC);
        t = find_target(s, kb);
        if (t)
                t->value = MIN_OF(t->value, bound);
        else if (others_value(s, kb, &burst) && burst > bound)
                return add_target(s, kb, bound, origin, lease);
        return 0;
}

static int add_targets(ReconStep *s) {
        for (size_t i = 0; !s->in->release && s->in->desired && i < s->in->desired->n; i++) {
                const LimitEntry *e = &s->in->desired->entries[i];
                int r;

                r = add_target(s, e->knob, e->value, e->origin, origin_kind(e->origin) == ORIGIN_SHARE);
                if (r < 0)
                        return r;
        }
        return add_cpu_targets(s);
}

/* ---- one write ---- */

static int plan_write(ReconStep *s, ReconKnob *k, uint64_t value, uint64_t actual, bool give_back) {
        const uint64_t use = s->in->memory_bytes;
        const Limit l = k->knob.limit;
        bool lowers = value < actual;
        ReconPlan *p = s->plan;
        ReconWrite w = { .knob = k->knob, .value = value, .give_back = give_back };

        if (k->not_before > s->in->now) {
                k->state = k->error ? KNOB_UNWRITABLE : give_back ? KNOB_RESTORING : KNOB_PENDING;
                /* What the kernel keeps refusing is no reason to keep PID 1 uninformed of the rest. */
                s->unsettled = s->unsettled || !k->error;
                at(s, k->not_before);
                return 0;
        }
        s->unsettled = true;
        /* Generous, for use may grow before the helper comes to it. memory.max is guarded against that. */
        if (l == LIMIT_MEMORY_HIGH)
                w.may_block = value < num_add_sat(use, use);
        if (l == LIMIT_MEMORY_MAX)
                w.may_block = lowers && value < num_add_sat(use, use / 16);
        /* Also where it raises: by the time it is done somebody may have raised it further. */
        w.headroom_guard = l == LIMIT_MEMORY_MAX;
        if (GROW(p->writes, p->n_writes, p->writes_alloc) < 0)
                return -ENOMEM;
        p->writes[p->n_writes++] = w;
        k->in_flight = k->have_attempt = true;
        k->attempt = value;
        k->flight_since = s->in->now;
        k->state = give_back ? KNOB_RESTORING : KNOB_PENDING;
        return 0;
}

/* memory.max waits until use fits: true, and memory.high is to be put below it meanwhile. */
static bool must_squeeze(const ReconStep *s, const ReconKnob *k, uint64_t value, uint64_t actual) {
        return k->knob.limit == LIMIT_MEMORY_MAX && value < actual &&
               (!RECON_FITS(s->in->memory_bytes, value) || (k->squeezing && s->in->now < k->not_before));
}

static int squeeze(ReconStep *s, ReconKnob *k, uint64_t value, uint64_t actual) {
        const LimitKnob kh = { .limit = LIMIT_MEMORY_HIGH };
        uint64_t page = MAX_OF(s->in->page_size, (uint64_t)1), high = RECON_SQUEEZE_HIGH(value) / page * page;
        ReconTarget *t = find_target(s, kh);
        uint64_t others;
        int r = 0;

        if (!k->squeeze_told || !k->squeezing)
                r = recon_event(s->plan, k, RECON_SQUEEZE, &actual, 0);
        k->squeezing = k->squeeze_told = true;
        k->state = KNOB_SQUEEZING;
        s->unsettled = true;
        at(s, s->in->now + RECON_SQUEEZE_POLL);
        if (r < 0)
                return r;
        if (t) {
                if (t->value > high) {
                        t->value = high;
                        t->lease = true;
                }
        } else if (others_value(s, kh, &others) && others > high)
                return add_target(s, kh, high, k->origin, true);
        return 0;
}

static int write_or_squeeze(ReconStep *s, ReconKnob *k, uint64_t value, uint64_t actual, bool give_back) {
        if (must_squeeze(s, k, value, actual))
                return squeeze(s, k, value, actual);
        return plan_write(s, k, value, actual, give_back);
}

/* ---- drift ---- */

static usec_t last_trouble(const ReconKnob *k) { return MAX_OF(k->last_drift, k->last_repair); }

static void calm_down(ReconKnob *k, usec_t now) {
        bool long_ago = now - last_trouble(k) >= RECON_CALM;

        if (!long_ago && (k->fighting || now - k->last_repair <= RECON_FIGHT_WINDOW))
                return;
        k->fighting = false;
        k->backoff = 0;
        k->n_burst = 0;
}

/* The cause of a drift has just become known: tell it, once, and see whether an operator is to be left alone. */
static int judge(ReconStep *s, ReconKnob *k, uint64_t actual) {
        const ReconInput *in = s->in;
        bool news = k->drift_new, wish;
        int r = 0;

        k->judge = k->drift_new = false;
        if (news) {
                if (k->n_drifts > 0)
                        calm_down(k, in->now);
                k->n_drifts++;
                k->last_drift = in->now;
        }
        if (k->cause == DRIFT_PROPERTY && !in->engine_made && in->operator_hold > 0) {
                k->held_until = num_add_sat(in->now, in->operator_hold);
                k->cause_reported = k->cause;
                return recon_event(s->plan, k, RECON_HOLD, &actual, k->held_until);
        }
        if (in->now < k->held_until)
                return 0;
        if (k->cause != k->cause_reported || (news && !k->fighting))
                r = recon_event(s->plan, k, RECON_DRIFT, &actual, 0);
        k->cause_reported = k->cause;
        wish = k->cause == DRIFT_ENGINE || (k->cause == DRIFT_PROPERTY && in->engine_made);
        if (r == 0 && wish && !(k->have_reported && k->reported == actual)) {
                r = recon_event(s->plan, k, RECON_CAPPED, &actual, 0);
                k->reported = actual;
                k->have_reported = true;
        }
        return r;
}

static void ask(ReconStep *s, const ReconKnob *k) {
        const ReconInput *in = s->in;

        if (in->has_unit && !in->properties_unavailable && !in->properties &&
            limit_info(k->knob.limit)->property)
                s->plan->need_properties = true;
        if (in->engine_made && in->engine_wants && !in->engine_fresh)
                s->plan->need_engine = true;
        at(s, k->evidence_since + RECON_EVIDENCE_WAIT);
}

/* Something looser than the target stands in the file, and it is not ours. */
static int decide_drifted(ReconStep *s, ReconKnob *k, uint64_t value, uint64_t actual) {
        const usec_t now = s->in->now;
        usec_t due;
        int r;

        due = k->backoff ? k->last_repair + k->backoff : 0;
        if (k->drift_again && !k->unexplained && (now >= due || now < k->held_until)) {
                k->drift_again = false;
                k->unexplained = true;
                k->evidence_since = now;
                recon_explain(k, s->in);
        }
        if (k->unexplained) {
                k->state = now < k->held_until ? KNOB_HELD : KNOB_DRIFTED;
                s->unsettled = true;
                ask(s, k);
                return 0;
        }
        if (k->judge) {
                r = judge(s, k, actual);
                if (r < 0)
                        return r;
                due = k->backoff ? k->last_repair + k->backoff : 0;
        }
        if (now < k->held_until) {
                k->state = KNOB_HELD;
                at(s, k->held_until);
                return 0;
        }
        if (now < due) {
                k->state = KNOB_DRIFTED;
                s->unsettled = true;
                at(s, due);
                return 0;
        }
        return write_or_squeeze(s, k, value, actual, false);
}

/* ---- a knob with a target ---- */

static bool needs_write(const ReconStep *s, const ReconKnob *k, uint64_t value, uint64_t actual) {
        if (k->holds || recon_exact(k->knob.limit, s->in->engine_override))
                return !limit_equal(k->knob.limit, actual, value, s->in->page_size);
        return limit_looser(k->knob.limit, actual, value, s->in->page_size);
}

/* Whether PID 1 knows of what the kernel holds. */
static bool is_told(const ReconStep *s, const ReconKnob *k, uint64_t actual) {
        return s->in->has_unit && limit_info(k->knob.limit)->property && k->have_property &&
               limit_equal(k->knob.limit, k->property, actual, s->in->page_size);
}

static void stands(ReconStep *s, ReconKnob *k, uint64_t actual) {
        if (k->drift_open && !k->holds) { /* the target came to meet it */
                if (recon_is_told(k, actual, s->in->page_size))
                        recon_take_echo(k, actual);
                else if (!(k->held_before && recon_exact(k->knob.limit, s->in->engine_override)))
                        recon_set_want(k, actual);
        }
        recon_settle(k);
        k->held_until = 0;
        k->error = 0;
        k->not_before = k->retry_backoff = 0;
        k->squeezing = k->squeeze_told = false;
        if (k->holds && k->share_ours != k->share) {
                /* The same number, but no lease any more (or only one now). */
                k->share_ours = k->share;
                s->property_dirty = s->property_dirty || !k->share;
        }
        if (k->fighting && s->in->now - last_trouble(k) >= RECON_CALM)
                calm_down(k, s->in->now);
        if (k->fighting)
                at(s, last_trouble(k) + RECON_CALM);
        k->state = k->holds && (k->share_ours || !is_told(s, k, actual)) ? KNOB_KERNEL_ONLY : KNOB_OK;
}

/* What holds without the lease. */
static uint64_t lapse_value(const ReconStep *s, const ReconKnob *k) {
        uint64_t v;

        if (s->in->unshared && limit_set_get(s->in->unshared, k->knob, &v))
                return v;
        return recon_want(k);
}

/* Mode, pause or a hold forbid writing: only leases may end. */
static int decide_quiet(ReconStep *s, ReconKnob *k, uint64_t value, uint64_t actual) {
        const ReconInput *in = s->in;
        bool lift = in->paused || in->mode < MODE_CEILINGS, differs;
        int r = 0;

        if (lift && k->holds && k->share_ours) {
                k->lapse = lapse_value(s, k);
                if (!limit_equal(k->knob.limit, actual, k->lapse, in->page_size))
                        return plan_write(s, k, k->lapse, actual, true);
        }
        if (!k->held_before)
                recon_settle(k); /* nothing of ours was there: no repair is due later, a first write is */
        if (k->unexplained)
                k->evidence_since = 0; /* nobody was asked; the wait begins when somebody is */
        differs = k->is_desired && needs_write(s, k, value, actual);
        if (in->held && !lift)
                k->state = differs ? KNOB_HELD : KNOB_OK;
        else
                k->state = differs ? KNOB_OBSERVED : KNOB_OK;
        if (differs && in->mode == MODE_OBSERVE && !in->paused && !in->held &&
            !(k->have_would && k->would == value)) {
                r = recon_event(s->plan, k, RECON_WOULD, &actual, 0);
                k->would = value;
                k->have_would = true;
        }
        return r;
}

/*
 * No such file: the controller is not enabled here. That is PID 1's to do,
 * and it does it for a unit that has such a property; the file then comes with our value in it.
 */
static int decide_absent(ReconStep *s, ReconKnob *k) {
        bool told = k->ours_property && limit_equal(k->knob.limit, k->told, k->desired, s->in->page_size);

        k->absent = true;
        k->state = KNOB_UNWRITABLE;
        k->error = -ENOENT;
        if (s->writing && recon_is_for_unit(k) && s->in->has_unit && !told) {
                k->state = KNOB_PENDING;
                s->property_dirty = true;
        }
        return 0;
}

static int decide(ReconStep *s, const ReconTarget *t) {
        ReconKnob *k = recon_search(s->knobs, s->n, t->knob, NULL);
        uint64_t actual;

        if (!k->is_desired || k->desired != t->value) {
                k->squeeze_told = false;
                k->not_before = k->retry_backoff = 0; /* another value may be taken */
        }
        k->is_desired = true;
        k->carried = false;
        k->desired = t->value;
        k->origin = t->origin;
        k->share = t->lease;
        if (s->in->mode != MODE_OBSERVE)
                k->have_would = false;
        if (!recon_actual(s->in, t->knob, &actual))
                return decide_absent(s, k);
        if (k->error == -ENOENT)
                k->error = 0;
        if (k->absent && k->holds) {
                const uint64_t unset = limit_info(t->knob.limit)->unset;
                int r = recon_event(s->plan, k, RECON_SET, &unset, 0);

                if (r < 0)
                        return r;
        }
        k->absent = false;
        if (k->in_flight) {
                k->state = KNOB_PENDING;
                s->unsettled = true;
                return 0;
        }
        if (!s->writing)
                return decide_quiet(s, k, t->value, actual);
        if (t->lease)
                k->lapse = lapse_value(s, k);
        if (!needs_write(s, k, t->value, actual)) {
                stands(s, k, actual);
                return 0;
        }
        if (k->drift_open)
                return decide_drifted(s, k, t->value, actual);
        return write_or_squeeze(s, k, t->value, actual, false);
}

/* ---- a knob without one ---- */

/* What is given back is what others want now: the property is the last to say. It is not waited for long. */
static bool asks_first(ReconStep *s, ReconKnob *k) {
        const ReconInput *in = s->in;

        if (!in->has_unit || in->properties || in->properties_unavailable ||
            !limit_info(k->knob.limit)->property)
                return false;
        if (k->evidence_since == 0)
                k->evidence_since = in->now;
        if (in->now - k->evidence_since >= RECON_EVIDENCE_WAIT)
                return false;
        ask(s, k);
        s->unsettled = true;
        return true;
}

static int restore(ReconStep *s, ReconKnob *k) {
        uint64_t actual, want = recon_want(k);

        if (k->is_desired) {
                k->is_desired = k->share = false;
                k->not_before = k->retry_backoff = k->held_until = k->evidence_since = 0;
                recon_settle(k);
        }
        if (!k->carried || s->in->release)
                k->state = KNOB_RESTORING;
        if (k->in_flight) {
                s->unsettled = true;
                return 0;
        }
        if (!recon_actual(s->in, k->knob, &actual)) {
                k->have_ours = k->holds = false; /* the file is gone, and the value with it */
                return 0;
        }
        if (!k->holds && !k->carried && recon_is_told(k, actual, s->in->page_size))
                recon_take_echo(k, actual); /* in place of something else */
        if (!s->writing) {
                if (k->holds && k->share_ours)
                        return decide_quiet(s, k, want, actual);
                if (!k->holds)
                        recon_set_want(k, actual);
                return 0;
        }
        if (k->holds && asks_first(s, k))
                return 0;
        if (k->holds && !limit_equal(k->knob.limit, actual, want, s->in->page_size)) {
                k->desired = want;
                return write_or_squeeze(s, k, want, actual, true);
        }
        if (!k->holds)
                recon_set_want(k, actual); /* left alone: whoever put it there wants it */
        /* Others hold it already, or what we wrote is what they want too. */
        k->have_ours = k->holds = k->share_ours = false;
        return 0;
}

/* ---- all of them ---- */

static uint8_t rank_of(const ReconWrite *w, const ReconInput *in) {
        uint64_t actual = 0;
        bool lowers;

        (void)recon_actual(in, w->knob, &actual);
        lowers = w->value < actual;
        if (w->knob.limit == LIMIT_CPU_BURST)
                return lowers ? 0 : 3; /* before the quota that it must fit, or after */
        if (w->may_block)
                return 4;
        return lowers ? 2 : 1;
}

static bool in_order(const ReconWrite *a, const ReconWrite *b) {
        LimitFile fa = limit_info(a->knob.limit)->file, fb = limit_info(b->knob.limit)->file;

        if (a->rank != b->rank)
                return a->rank < b->rank;
        if (fa != fb)
                return fa < fb;
        if (a->knob.dev != b->knob.dev)
                return a->knob.dev < b->knob.dev;
        return limit_knob_cmp(a->knob, b->knob) <= 0;
}

/* Loosening first, then tightening, what may block last; a file's knobs side by side. */
static void order_writes(ReconStep *s) {
        ReconPlan *p = s->plan;

        for (size_t i = 0; i < p->n_writes; i++)
                p->writes[i].rank = rank_of(&p->writes[i], s->in);
        for (size_t i = 0; i < p->n_writes; i++)
                for (size_t j = 0; j < p->n_writes; j++) {
                        ReconWrite *a = &p->writes[i], *b = &p->writes[j];

                        if (limit_info(a->knob.limit)->file == limit_info(b->knob.limit)->file &&
                            a->knob.dev == b->knob.dev)
                                a->rank = b->rank = MAX_OF(a->rank, b->rank);
                }
        for (size_t i = 1; i < p->n_writes; i++)
                for (size_t j = i; j > 0 && !in_order(&p->writes[j - 1], &p->writes[j]); j--) {
                        ReconWrite w = p->writes[j];

                        p->writes[j] = p->writes[j - 1];
                        p->writes[j - 1] = w;
                }
}

static int ensure(ReconStep *s, LimitKnob knob) {
        ReconKnob *k;

        if (recon_search(s->knobs, s->n, knob, NULL))
                return 0;
        k = recon_insert(&s->knobs, &s->n, &s->alloc, knob);
        if (!k)
                return -ENOMEM;
        recon_first_sight(k, s->in);
        return 0;
}

static int decide_all(ReconStep *s) {
        const LimitKnob max = { .limit = LIMIT_MEMORY_MAX };
        const ReconTarget *t;
        ReconKnob *k;
        int r;

        r = add_targets(s);
        for (size_t i = 0; i < s->n_targets && r == 0; i++)
                r = ensure(s, s->targets[i].knob);
        if (r < 0)
                return r;
        /* memory.max first: while it waits it adds a target for memory.high. */
        t = find_target(s, max);
        k = recon_search(s->knobs, s->n, max, NULL);
        if (t) {
                const ReconTarget copy = *t; /* targets may grow meanwhile */

                r = decide(s, &copy);
        } else if (k)
                r = restore(s, k);
        for (size_t i = 0; i < s->n_targets && r == 0; i++) {
                if (limit_knob_cmp(s->targets[i].knob, max) == 0)
                        continue;
                r = ensure(s, s->targets[i].knob);
                if (r == 0)
                        r = decide(s, &s->targets[i]);
        }
        for (size_t i = 0; i < s->n && r == 0; i++)
                if (!find_target(s, s->knobs[i].knob) && limit_knob_cmp(s->knobs[i].knob, max) != 0)
                        r = restore(s, &s->knobs[i]);
        return r;
}

/* What the ledger must know, and what it may forget. */
static int keep_books(ReconStep *s) {
        ReconPlan *p = s->plan;
        size_t n = 0;

        for (size_t i = 0; i < s->n; i++) {
                ReconKnob *k = &s->knobs[i];
                bool ours = k->have_ours || k->ours_property || (k->have_attempt && k->is_desired);
                int r;

                if (ours) {
                        r = recon_remember(p, k);
                        if (r < 0)
                                return r;
                } else if (k->remembered) {
                        if (GROW(p->forget, p->n_forget, p->forget_alloc) < 0)
                                return -ENOMEM;
                        p->forget[p->n_forget++] = k->knob;
                        k->remembered = 0;
                }
                if (ours || k->is_desired || k->in_flight)
                        s->knobs[n++] = *k;
        }
        s->n = n;
        return 0;
}

static int step(ReconStep *s) {
        int r;

        r = decide_all(s);
        if (r < 0)
                return r;
        order_writes(s);
        r = recon_plan_property(s);
        if (r < 0)
                return r;
        return keep_books(s);
}

int recon_step(Recon *r, const ReconInput *in, ReconPlan *plan) {
        ReconStep s = {
                .in = in,
                .plan = plan,
                .n = r->n,
                .alloc = MAX_OF(r->n, (size_t)1),
                .writing = in->release || (in->mode >= MODE_CEILINGS && !in->paused && !in->held),
                .property_dirty = r->property_dirty,
                .property_in_flight = r->property_in_flight,
                .push_not_before = r->push_not_before,
                .push_since = r->push_since,
        };
        int e;

        recon_plan_clear(plan);
        s.knobs = reallocarray(NULL, s.alloc, sizeof(*s.knobs));
        if (!s.knobs)
                return -ENOMEM;
        if (r->n > 0)
                memcpy(s.knobs, r->knobs, r->n * sizeof(*s.knobs));
        e = step(&s);
        free(s.targets);
        if (e < 0) {
                free(s.knobs);
                recon_plan_clear(plan);
                return e;
        }
        if (s.n <= r->alloc && s.n > 0) {
                memcpy(r->knobs, s.knobs, s.n * sizeof(*s.knobs));
                free(s.knobs);
        } else {
                /* Ten thousand cgroups: no more than is needed. */
                void *fit = s.n > 0 ? reallocarray(s.knobs, s.n, sizeof(*s.knobs)) : NULL;

                free(r->knobs);
                if (s.n == 0) {
                        free(s.knobs);
                        s.knobs = NULL;
                        s.alloc = 0;
                } else if (fit) {
                        s.knobs = fit;
                        s.alloc = s.n;
                }
                r->knobs = s.knobs;
                r->alloc = s.alloc;
        }
        r->n = s.n;
        r->property_dirty = s.property_dirty;
        r->property_in_flight = s.property_in_flight;
        r->push_since = s.push_since;
        return 0;
}
