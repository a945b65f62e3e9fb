/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How far one culprit is held back for one resource. One function a rung; each returns the next act or none, and
 * what it decides rests on three questions only: is there harm, is there calm, has the last step had its time.
 *
 * Harm and calm are not each other's opposite: between the two (and while somebody else is to blame) nothing is done,
 * neither tightened nor loosened.
 *
 * A dry ladder (observe) climbs as a wet one does, but slowly and on paper: there is no effect to wait for, so no lever
 * ever fails to help, and each rung is told once.
 *
 * A kill, and the signal before it, rest on one unbroken stretch of harm: any calm, and all that led there is to be done again.
 */

#include "ladder-internal.h"

#define WINDOW_LONGEST (10 * USEC_PER_SEC)
#define PRESSED_SHIFT 3 /* a calm that was in vain asks for one of 1 << this times */

/* ---- small questions ---- */

static usec_t since(usec_t at, usec_t now) { return now - MIN_OF(at, now); }

static usec_t patience(const Ladder *l, const LadderInput *in) {
        if (l->dry)
                return LADDER_DRY;
        return in->urgent ? LADDER_EFFECT_URGENT : MAX_OF(LADDER_EFFECT, MIN_OF(in->window, WINDOW_LONGEST));
}

/* By the lever of the resource itself: of any other, its use says nothing of the noise. */
static bool is_pressed(const Ladder *l, const LadderInput *in) {
        switch (in->resource) {
        case RESOURCE_CPU:
                return lever_pressed(in, &l->levers[LEVER_CPU], LEVER_CPU);
        case RESOURCE_IO:
                return lever_pressed(in, &l->levers[LEVER_IO], LEVER_IO);
        default:
                return false;
        }
}

/* There is more harm than when the last cut was made. */
static bool rises(const Ladder *l, const LadderInput *in) {
        return l->rung == RUNG_THROTTLE && !l->dry &&
               (uint64_t)in->share * 8 > (uint64_t)l->share_before * 9 &&
               since(l->step_at, in->now) >= LADDER_EFFECT;
}

/* By what levers this resource is eased, the first one first. */
static unsigned levers_of(const LadderInput *in, Lever ret[static 3]) {
        static const unsigned bit[] = { [LEVER_CPU] = THROTTLE_CPU,
                                        [LEVER_IO] = THROTTLE_IO,
                                        [LEVER_MEMORY] = THROTTLE_MEMORY,
                                        [LEVER_PIDS] = THROTTLE_PIDS };
        static const struct {
                Lever levers[3];
                unsigned n;
        } orders[_RESOURCE_MAX] = {
                [RESOURCE_CPU] = { { LEVER_CPU }, 1 },
                [RESOURCE_IO] = { { LEVER_IO, LEVER_CPU }, 2 },
                [RESOURCE_MEMORY] = { { LEVER_MEMORY, LEVER_IO, LEVER_CPU }, 3 },
                [RESOURCE_PIDS] = { { LEVER_PIDS, LEVER_CPU }, 2 },
        };
        unsigned n = 0;

        for (unsigned i = 0; (unsigned)in->resource < _RESOURCE_MAX && i < orders[in->resource].n; i++) {
                Lever lever = orders[in->resource].levers[i];

                /* What thrashes at its own ceiling has too little memory already: it is its reading that hurts. */
                if (in->thrash && lever == LEVER_MEMORY)
                        continue;
                if (in->throttle & bit[lever])
                        ret[n++] = lever;
        }
        return n;
}

static bool any_on(const Ladder *l) {
        for (Lever i = 0; i <= LEVER_PIDS; i++)
                if (l->levers[i].on)
                        return true;
        return false;
}

bool ladder_holds(const Ladder *l) { return !l->dry && (any_on(l) || l->frozen_until > 0); }

static bool helped(const Ladder *l, const LadderInput *in) {
        return in->calm || (uint64_t)in->share * 5 <= (uint64_t)l->share_before * 4;
}

/* ---- acts ---- */

typedef struct Step {
        Ladder *l;
        const LadderInput *in;
        Act *acts;
        unsigned n;
} Step;

static Act *act(Step *s, ActKind kind, ActWhy why, Lever lever) {
        Act *a = &s->acts[s->n++];
        Ladder *l = s->l;

        *a = (Act){ .kind = kind, .why = why, .resource = s->in->resource, .lever = lever, .would = l->dry };
        if (l->share_before > 0 && l->rung > RUNG_NOTIFY) {
                a->have_effect = true;
                a->share_before = l->share_before;
                a->share_now = s->in->calm ? 0 : s->in->share;
                a->helped = helped(l, s->in);
        }
        return a;
}

static void stepped(Step *s, LadderRung rung, Lever lever) {
        s->l->rung = rung;
        s->l->lever = lever;
        s->l->step_at = s->in->now;
        if (rung != RUNG_RELAX)
                s->l->share_before = s->in->share;
}

static void release(Step *s, Lever lever, ActWhy why) {
        LeverState *v = &s->l->levers[lever];

        if (!v->on)
                return;
        if (!s->l->dry)
                (void)act(s, ACT_RELEASE, why, lever);
        v->on = false;
        v->n = 0;
}

/* Everything back. */
static void end(Step *s, ActWhy why) {
        Ladder *l = s->l;
        usec_t now = s->in->now, span = l->calm_span;
        unsigned relapses = l->relapses;

        if (l->frozen_until > now && !l->dry)
                (void)act(s, ACT_THAW, why, LEVER_FREEZE);
        for (Lever i = 0; i <= LEVER_PIDS; i++)
                release(s, i, why);
        *l = (Ladder){ .ended_at = now, .calm_span = span, .relapses = relapses };
}

/* ---- throttling ---- */

static void throttle(Step *s, Lever lever) {
        LeverState *v = &s->l->levers[lever];
        Act *a = act(s, ACT_THROTTLE, s->in->thrash ? ACT_WHY_THRASH : ACT_WHY_HARM, lever);

        memcpy(a->values, v->values, sizeof(a->values));
        a->n = v->n;
        v->on = true;
        v->tries++;
        v->relaxed = 0;
        stepped(s, RUNG_THROTTLE, lever);
}

/* Of what runs out, a ceiling is worth having even where nobody feels better for it: without it there would be less each second. */
static bool stops_growth(Resource r, Lever lever) {
        return (r == RESOURCE_MEMORY && lever == LEVER_MEMORY) || (r == RESOURCE_PIDS && lever == LEVER_PIDS);
}

/* It comes to its end. */
static void finish(Step *s, Lever lever, bool is_last) {
        LeverState *v = &s->l->levers[lever];

        v->spent = v->on && (v->helped || is_last || stops_growth(s->in->resource, lever));
        if (v->spent)
                return;
        release(s, lever, ACT_WHY_NO_HELP);
        v->failed = true;
}

/* Cuts by the lever that is next. False: every lever is at its end. */
static bool throttle_next(Step *s) {
        Ladder *l = s->l;
        Lever levers[3];
        unsigned n = levers_of(s->in, levers);

        if (l->rung == RUNG_THROTTLE && l->lever >= 0 && l->lever <= LEVER_PIDS && helped(l, s->in)) {
                l->levers[l->lever].helped = true;
                l->levers[l->lever].tries = 0;
        }
        for (unsigned i = 0; i < n; i++) {
                LeverState *v = &l->levers[levers[i]];

                if (v->failed || v->spent || (l->dry && v->tries > 0))
                        continue;
                /* There are no more of them already; slower, they would only end later. */
                if (s->in->resource == RESOURCE_PIDS && levers[i] == LEVER_CPU && l->levers[LEVER_PIDS].on)
                        continue;
                if (v->tries < LADDER_TRIES && lever_cut(s->in, v, levers[i], l->relapses > 0)) {
                        throttle(s, levers[i]);
                        return true;
                }
                /* It has only just begun: the looks that its rates are of were before that, and say too little. */
                if (s->in->resource == RESOURCE_IO && levers[i] == LEVER_IO && s->in->dev != 0 && !v->on &&
                    v->tries == 0 && since(l->since, s->in->now) < LADDER_EFFECT)
                        return true;
                finish(s, levers[i], i + 1 == n);
        }
        return false;
}

/* The same lever again, before its time. */
static void throttle_soon(Step *s) {
        Ladder *l = s->l;
        LeverState *v;

        if (l->lever < 0 || l->lever > LEVER_PIDS)
                return;
        v = &l->levers[l->lever];
        if (v->on && !v->spent && v->tries < LADDER_TRIES && lever_above_entitlement(s->in, v, l->lever) &&
            lever_cut(s->in, v, l->lever, l->relapses > 0))
                throttle(s, l->lever);
}

/* A guarantee may rise, or its tenant's others use less of it. True: something was raised, that is enough for now. */
static bool lift_to_floors(Step *s) {
        Ladder *l = s->l;

        for (Lever lever = 0; lever <= LEVER_PIDS && !l->dry; lever++) {
                LeverState *v = &l->levers[lever];
                bool all = false;
                Act *a;

                if (!lever_lift(s->in, v, lever, &all))
                        continue;
                if (all) {
                        release(s, lever, ACT_WHY_FLOOR);
                        continue;
                }
                a = act(s, ACT_RELAX, ACT_WHY_FLOOR, lever);
                memcpy(a->values, v->values, sizeof(a->values));
                a->n = v->n;
        }
        return s->n > 0;
}

/* ---- beyond throttling ---- */

static bool may_freeze(const Step *s) {
        return (s->in->throttle & THROTTLE_FREEZE) && s->in->kill != KILL_PREFER &&
               s->l->pulses < LADDER_PULSES;
}

static bool freeze_next(Step *s) {
        Ladder *l = s->l;
        Act *a;

        if (!may_freeze(s))
                return false;
        if (l->frozen_until > s->in->now)
                return true;
        if (l->rung == RUNG_FREEZE && since(l->step_at, s->in->now) < LADDER_PULSE + LADDER_PULSE_REST)
                return true; /* it is frozen, or has its rest */
        a = act(s, ACT_FREEZE, ACT_WHY_HARM, LEVER_FREEZE);
        a->span = LADDER_PULSE;
        l->pulses++;
        l->frozen_until = s->in->now + LADDER_PULSE;
        stepped(s, RUNG_FREEZE, LEVER_FREEZE);
        return true;
}

/* How long all levers must have been at their end before somebody dies. */
static usec_t last_wait(const LadderInput *in) {
        usec_t wait = in->resource == RESOURCE_MEMORY || in->resource == RESOURCE_PIDS ? LADDER_EFFECT * 2
                                                                                       : LADDER_LAST;

        if (in->urgent)
                return 0;
        return in->kill == KILL_PREFER ? wait / 4 : wait;
}

static void alarm_once(Step *s, ActWhy why) {
        if (s->l->told_end & UINT32_C(1) << why)
                return;
        s->l->told_end |= UINT32_C(1) << why;
        (void)act(s, ACT_ALARM, why, s->l->lever);
}

static void note_ending(const Step *s) {
        if (!s->l->on_paper && s->l->ending_at == 0)
                s->l->ending_at = s->in->now;
}

static void stop(Step *s) {
        Ladder *l = s->l;
        Act *a = act(s, ACT_STOP, ACT_WHY_HARM, LEVER_STOP);

        a->would = l->on_paper;
        a->span = s->in->kill_grace;
        note_ending(s);
        l->stopped = true;
        stepped(s, RUNG_STOP, LEVER_STOP);
}

static void kill_it(Step *s) {
        act(s, ACT_KILL, ACT_WHY_HARM, LEVER_KILL)->would = s->l->on_paper;
        note_ending(s);
        stepped(s, RUNG_KILL, LEVER_KILL);
}

/* It was told of a death that then was none: what was on paper is to be done in earnest, from the signal on. */
static void in_earnest(Ladder *l, bool on_paper) {
        if (l->on_paper && !on_paper && l->rung >= RUNG_STOP) {
                l->rung = RUNG_THROTTLE;
                l->stopped = false;
                l->ending_at = 0;
        }
        l->on_paper = on_paper;
}

static void last_resort(Step *s) {
        const LadderInput *in = s->in;
        Ladder *l = s->l;
        usec_t waited;

        if (l->exhausted_at == 0)
                l->exhausted_at = in->now;
        if (in->kill == KILL_NEVER) {
                alarm_once(s, any_on(l) ? ACT_WHY_FLOOR : ACT_WHY_LEVERS);
                return;
        }
        in_earnest(l, l->dry || in->mode < MODE_ENFORCE);
        if (!l->stopped && since(l->exhausted_at, in->now) < last_wait(in))
                return;
        waited = since(l->step_at, in->now);
        if (l->rung == RUNG_KILL && (l->on_paper || waited < LADDER_AGAIN))
                return;
        if (l->rung == RUNG_STOP && waited < in->kill_grace && !in->urgent)
                return;
        /* To be asked to end is to be killed, as far as budgets go. */
        if (!l->on_paper && in->may_kill != ACT_WHY_HARM) {
                if (in->may_kill != ACT_WHY_SETTLING) /* another one's turn: that is no news */
                        alarm_once(s, in->may_kill);
                return;
        }
        if (!l->stopped && !in->urgent && in->kill_grace > 0)
                stop(s);
        else
                kill_it(s);
}

/* ---- calm ---- */

/* What a disk has taken outlives a cut by seconds, so there a relapse costs more: not so soon. */
static usec_t calm_needed(const Ladder *l, const LadderInput *in) {
        unsigned first = in->resource == RESOURCE_IO ? 1 : 0;
        unsigned shift = l->relapses > 0 ? PRESSED_SHIFT * MIN_OF(l->relapses, 4U) : first;
        usec_t now = in->now;

        if (l->pressed_at == 0 || since(l->pressed_at, now) >= LADDER_PRESSED)
                return l->calm_span;
        return MAX_OF(l->calm_span, MIN_OF(LADDER_CALM << shift, LADDER_PRESSED_MAX));
}

static void calm(Step *s) {
        Ladder *l = s->l;
        usec_t now = s->in->now;
        bool left = false;

        if (l->calm_since == 0)
                l->calm_since = now;
        l->exhausted_at = 0;
        if (since(l->calm_since, now) < calm_needed(l, s->in))
                return;
        if (!any_on(l) || l->dry) {
                end(s, ACT_WHY_CALM);
                return;
        }
        if (l->rung == RUNG_RELAX && since(l->step_at, now) < LADDER_RELAX)
                return;
        l->pulses = 0;
        l->stopped = false;
        for (Lever lever = 0; lever <= LEVER_PIDS; lever++) {
                LeverState *v = &l->levers[lever];
                Act *a;

                if (!v->on)
                        continue;
                if (lever_relax(s->in, v, lever)) {
                        release(s, lever, ACT_WHY_CALM);
                        continue;
                }
                a = act(s, ACT_RELAX, ACT_WHY_CALM, lever);
                memcpy(a->values, v->values, sizeof(a->values));
                a->n = v->n;
                left = true;
        }
        if (!left) {
                end(s, ACT_WHY_CALM);
                return;
        }
        stepped(s, RUNG_RELAX, l->lever);
}

/* ---- harm ---- */

static void relapsed(Ladder *l) {
        l->relapses++;
        l->calm_span = MIN_OF(l->calm_span * 2, LADDER_CALM_MAX);
}

/* It came back while it was let go: what had come to its end may be cut again, and the next calm takes longer. */
static void resume(Ladder *l) {
        relapsed(l);
        /* The step before was one back: there is no effect to wait for, and it did not mean to help. */
        l->rung = RUNG_NOTIFY;
        for (Lever i = 0; i <= LEVER_PIDS; i++) {
                l->levers[i].tries = 0;
                l->levers[i].spent = false;
        }
}

static void begin(Step *s) {
        Ladder *l = s->l;
        usec_t now = s->in->now;
        /* Soon after the last time: this calm must last longer than the last one had to. */
        bool soon = l->ended_at > 0 && since(l->ended_at, now) < LADDER_RELAPSE;
        Ladder old = *l;

        *l = (Ladder){ .since = now, .calm_span = LADDER_CALM, .dry = s->in->mode < MODE_THROTTLE };
        if (soon) {
                l->relapses = old.relapses;
                l->calm_span = MAX_OF(old.calm_span, LADDER_CALM);
                relapsed(l);
        }
        (void)act(s, ACT_NOTIFY, ACT_WHY_HARM, _LEVER_INVALID);
        stepped(s, RUNG_NOTIFY, _LEVER_INVALID);
}

static void harm(Step *s) {
        Ladder *l = s->l;
        const LadderInput *in = s->in;

        if (l->rung == RUNG_RELAX)
                resume(l);
        l->harm_at = in->now;
        l->calm_since = 0;
        if (l->rung == RUNG_NONE)
                begin(s);
        else if (l->rung != RUNG_NOTIFY && since(l->step_at, in->now) < patience(l, in)) {
                if (rises(l, in))
                        throttle_soon(s);
                return;
        }
        if (!in->may_throttle && !l->dry && !any_on(l)) {
                alarm_once(s, ACT_WHY_MAX_THROTTLED);
                return;
        }
        if (l->rung < RUNG_STOP) {
                if (l->rung != RUNG_FREEZE && throttle_next(s))
                        return;
                if (!in->urgent && freeze_next(s))
                        return;
        }
        last_resort(s);
}

bool ladder_ends(const Ladder *l, usec_t now) {
        return (l->rung == RUNG_STOP || l->rung == RUNG_KILL) && l->ending_at > 0 &&
               since(l->ending_at, now) < LADDER_ENDING;
}

/* ---- one step ---- */

unsigned ladder_step(Ladder *l, const LadderInput *in, Act ret[static LADDER_ACTS_MAX]) {
        Step s = { .l = l, .in = in, .acts = ret };

        if (is_pressed(l, in))
                l->pressed_at = in->now;
        if (l->frozen_until > 0 && in->now >= l->frozen_until)
                l->frozen_until = 0;
        /* Who is known from before may have a cgroup, and nobody in it yet: that it was told of stands for a calm. */
        if (in->forbidden || (in->gone && l->rung != RUNG_NOTIFY)) {
                if (l->rung != RUNG_NONE)
                        end(&s, in->gone ? ACT_WHY_CALM : ACT_WHY_POLICY);
                return s.n;
        }
        /* The mode was raised or lowered in the middle: a new episode. */
        if (l->rung != RUNG_NONE && l->dry != (in->mode < MODE_THROTTLE))
                end(&s, ACT_WHY_POLICY);
        if (lift_to_floors(&s))
                return s.n;
        if (in->harmed && !in->gone)
                harm(&s);
        else if (l->rung == RUNG_NONE)
                return s.n;
        else if (in->calm || in->gone)
                calm(&s);
        else
                l->calm_since = 0;
        return s.n;
}

void ladder_acted(Ladder *l, const Act *a, int result, usec_t now) {
        (void)now;
        if (result == 0 || a->would)
                return;
        /* Nothing happened: there is no effect to wait for, no pulse, no grace. */
        switch (a->kind) {
        case ACT_THROTTLE:
        case ACT_RELAX:
        case ACT_RELEASE:
                if (a->lever < 0 || a->lever > LEVER_PIDS)
                        return;
                l->levers[a->lever].on = false;
                l->levers[a->lever].n = 0;
                l->levers[a->lever].failed = true;
                l->step_at = 0;
                return;
        case ACT_FREEZE:
                l->frozen_until = 0;
                l->pulses = LADDER_PULSES;
                l->step_at = 0;
                return;
        case ACT_STOP:
                l->step_at = 0;
                l->ending_at = 0;
                return;
        case ACT_KILL:
                l->ending_at = 0;
                return;
        default:
                return;
        }
}

void ladder_adopt(Ladder *l, Resource r, Lever lever, const LimitEntry *values, unsigned n, usec_t now) {
        LeverState *v;

        (void)r;
        if (lever < 0 || lever > LEVER_PIDS || n == 0 || n > LADDER_VALUES_MAX)
                return;
        v = &l->levers[lever];
        *v = (LeverState){ .on = true, .tries = 1, .n = n };
        for (unsigned i = 0; i < n; i++) {
                v->values[i] = values[i];
                /* What it used is not known any more: five steps up double it. */
                v->begin[i] = values[i].value > LIMIT_INFINITY / 2 ? values[i].value : values[i].value * 2;
        }
        l->rung = RUNG_THROTTLE;
        l->lever = lever;
        l->since = l->step_at = l->harm_at = now;
        l->calm_span = LADDER_CALM;
}

const char *ladder_rung_to_string(LadderRung r) {
        static const char *const names[_RUNG_MAX] = {
                [RUNG_NONE] = "none",     [RUNG_NOTIFY] = "notify", [RUNG_THROTTLE] = "throttle",
                [RUNG_FREEZE] = "freeze", [RUNG_STOP] = "stop",     [RUNG_KILL] = "kill",
                [RUNG_RELAX] = "relax",
        };

        return (unsigned)r < _RUNG_MAX ? names[r] : "unknown";
}
