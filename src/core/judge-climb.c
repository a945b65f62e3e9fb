/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose ladder has its turn, and what it is told of the world.
 *
 * Each has one turn a step, first those that must let go at once (a hold, a pause, a policy that forbids), then the groups'
 * culprits, then those that only hold. Wherever order matters it is that of scores and ids, never of the scene.
 *
 * In a group the candidates have their turns by score. One of them takes a step. Who takes none waits for the effect of its
 * last one, or is at its end. If it is at its end, the next is looked at. If it waits, then only the next that is
 * about as much to blame: of ten equal hogs nine need not run free until the first has shown that it was not the
 * only one, but who does a tenth of what the worst one does may well be none once that is held back. Who is only watched
 * waits for ever: nothing was done that could have helped. Never is one passed over that is out of reach: nobody
 * stands in for it. Who was asked to end, or killed, takes its time to be gone, and all that it has with it: until then nobody else is
 * looked at, for that is the effect to wait for.
 *
 * Of memory and the disk more is known than scores say. While somebody's memory grows, who merely has some is not to blame
 * that it runs out, however much it has; nor is who reads back what was taken from it. The same reads keep a disk busy, and
 * whoever shrinks that memory is to blame for them.
 */

#include "judge-internal.h"
#include "num.h"

#define PERMYRIAD 10000
#define ALIKE_DIVISOR 2 /* who has half of the score of one that waits need not wait for it */
#define GROWS 100 /* permyriad of all growth: from here on it is one of those that grow */

static const unsigned lever_bits[LEVER_PIDS + 1] = {
        [LEVER_CPU] = THROTTLE_CPU,
        [LEVER_IO] = THROTTLE_IO,
        [LEVER_MEMORY] = THROTTLE_MEMORY,
        [LEVER_PIDS] = THROTTLE_PIDS,
};

/* Something of ours stands on it that the policy as it is now would not have put there. */
static bool policy_forbids(const Scene *s, const Party *p) {
        const Settings *settings = judge_settings(p);

        if (judge_mode(s, p) < MODE_THROTTLE)
                return judge_holds(p->memory);
        for (int r = 0; r < _RESOURCE_MAX; r++)
                for (int l = 0; l <= LEVER_PIDS; l++)
                        if (p->memory->ladders[r].levers[l].on && !(settings->throttle & lever_bits[l]))
                                return true;
        return false;
}

static bool is_forbidden(const Scene *s, const Party *p) {
        return s->paused || p->held || p->protected_why || p->kind != PARTY_CONTAINER || policy_forbids(s, p);
}

static bool has_room(const JudgeStep *t) { return t->n + LADDER_ACTS_MAX <= VERDICTS_MAX; }

/* For whose sake p is held back: others may be hurt by the same, but it would not be for them. */
static void remember_victim(const JudgeStep *t, const Party *p, const Harm *h) {
        PartyMemory *m = p->memory;
        uint64_t *victims = m->victims[h->resource];
        unsigned *n = &m->n_victims[h->resource], share = 0, at = 0;

        if (!h || !blame_counts(p, &t->scene->parties[h->party]))
                return;
        while (at < *n && victims[at] != h->id)
                at++;
        if (at == ARRAY_SIZE(m->victims[0]))
                for (at = 0; at < *n && judge_still_hurt(t, p, h->resource, victims[at], &share);)
                        at++;
        if (at == ARRAY_SIZE(m->victims[0]))
                return;
        victims[at] = h->id;
        *n = MAX_OF(*n, at + 1);
}

/* Of those in a group for whose sake p may be held back, the one that waits most. NULL: there is none. */
static const Harm *worst_for(const JudgeStep *t, const Party *p, const JudgeGroup *g) {
        const Harm *worst = NULL;

        for (size_t i = 0; i < g->n; i++) {
                const Harm *h = g->victims[i];

                if (blame_counts(p, &t->scene->parties[h->party]) && (!worst || h->share > worst->share))
                        worst = h;
        }
        return worst;
}

static void device_rates(const Party *p, dev_t dev, uint64_t ret[static LADDER_VALUES_MAX]) {
        const SampleDevice *before = p->io_before ? sample_io_find(p->io_before, dev) : NULL;
        const SampleDevice *now = p->io_now ? sample_io_find(p->io_now, dev) : NULL;
        static const SampleDevice none;

        memset(ret, 0, LADDER_VALUES_MAX * sizeof(*ret));
        if (!now || p->io_span == 0)
                return;
        if (!before)
                before = &none;
#define RATE(x) (now->x > before->x ? num_muldiv(now->x - before->x, USEC_PER_SEC, p->io_span) : 0)
        ret[0] = RATE(rbytes);
        ret[1] = RATE(wbytes);
        ret[2] = RATE(rios);
        ret[3] = RATE(wios);
#undef RATE
}

/* A party is held back on one device at a time; on which, its lease says where there is one. */
static dev_t device_of(const JudgeStep *t, uint32_t party, const JudgeGroup *g) {
        const PartyMemory *m = t->scene->parties[party].memory;

        for (int r = 0; r < _RESOURCE_MAX; r++)
                if (m->ladders[r].levers[LEVER_IO].on && m->ladders[r].levers[LEVER_IO].n > 0)
                        return m->ladders[r].levers[LEVER_IO].values[0].knob.dev;
        return g && g->dev != 0 ? g->dev : t->judge->fair[party].io_dev;
}

static ActWhy may_kill(const JudgeStep *t, const Party *p, bool urgent) {
        const Judge *j = t->judge;
        TenantBudget b;

        if (t->killed)
                return ACT_WHY_SETTLING;
        /* What follows a stop signal was paid for by it. */
        if (p->memory->kill_spent)
                return brakes_in_storm(&j->brakes, t->scene->now) ? ACT_WHY_STORM : ACT_WHY_HARM;
        if (brakes_is_again(&j->brakes, p->id))
                return brakes_may_kill_again(&j->brakes, t->scene->now);
        b = t->ops->budget(t->ops->user, p);
        return brakes_may_kill(&j->brakes, &t->scene->rules, b.budget, b.max, b.window, urgent,
                               t->scene->now);
}

static uint64_t beneath(const Party *p, Lever l, uint64_t in_force) {
        return p->leased[l] ? p->beneath[l] : in_force;
}

/* CPUGuarantee= is the tenant's: it is left what the others of that tenant do not use of it. */
static uint64_t cpu_floor(const JudgeStep *t, uint32_t party) {
        const Scene *s = t->scene;
        const Party *p = &s->parties[party];
        uint64_t left = judge_settings(p)->cpu_guarantee;

        for (uint32_t i = 0; i < s->n && left > 0 && p->tenant; i++) {
                const Party *other = &s->parties[i];

                if (i != party && other->kind == PARTY_CONTAINER && other->tenant &&
                    STR_EQ(other->tenant, p->tenant))
                        left -= MIN_OF(left, t->judge->fair[i].cpu_used);
        }
        return MAX_OF(left, (uint64_t)LADDER_CPU_FLOOR);
}

/* Of all tasks of the host those that are too many for its harm to end. */
static uint64_t tasks_excess(const Scene *s) {
        uint64_t calm = num_muldiv(s->pid_max, (uint64_t)HARM_HOST_TASKS * HARM_CALM / 100, PERMYRIAD);

        return s->host_tasks - MIN_OF(calm, s->host_tasks);
}

static LadderInput input_of(const JudgeStep *t, uint32_t party, Resource r, const JudgeGroup *g) {
        const Scene *s = t->scene;
        const Party *p = &s->parties[party];
        const Settings *settings = judge_settings(p);
        const FairShare *fair = &t->judge->fair[party];
        const Harm *worst = g ? worst_for(t, p, g) : NULL;
        bool urgent = g && g->worst[0]->urgent;
        LadderInput in = {
                .now = s->now,
                .resource = r,
                .harmed = g != NULL,
                .urgent = urgent,
                .thrash = p->memory->thrash.found,
                .mode = judge_mode(s, p),
                .throttle = settings->throttle & ~p->missing,
                .kill = settings->kill,
                .kill_grace = settings->kill_grace,
                .window = settings->pressure_window,
                .may_throttle = judge_holds(p->memory) ||
                                brakes_may_throttle(&s->rules, s->n_containers, t->n_throttled),
                .may_kill = may_kill(t, p, urgent),
                .forbidden = is_forbidden(s, p),
                .gone = p->now && sample_has(p->now, SAMPLE_POPULATED) && p->now->v[SAMPLE_POPULATED] == 0,
                .cpu_used = fair->cpu_used,
                .cpu_entitled = fair->cpu_entitled,
                .cpu_floor = cpu_floor(t, party),
                .memory = p->now ? p->now->v[SAMPLE_MEMORY] : 0,
                /* What it was promised holds for us also where a group above it makes that inert in the kernel. */
                .memory_floor = MAX_OF(MAX_OF(fair->memory_entitled, p->limits.memory_protected),
                                       (uint64_t)LADDER_MEMORY_FLOOR),
                .tasks = p->now ? p->now->v[SAMPLE_PIDS] : 0,
                .tasks_excess = tasks_excess(s),
                .dev = device_of(t, party, g),
                .beneath_io = p->leased[LEVER_IO] ? p->beneath_io : p->limits.io,
        };

        if (!p->has_freeze)
                in.throttle &= ~(unsigned)THROTTLE_FREEZE;
        in.beneath[LEVER_CPU] = beneath(p, LEVER_CPU, p->limits.cpu_quota);
        in.beneath[LEVER_MEMORY] = beneath(p, LEVER_MEMORY, p->limits.memory_high);
        in.beneath[LEVER_PIDS] = beneath(p, LEVER_PIDS, p->limits.tasks_max);
        in.beneath[LEVER_IO] = LIMIT_INFINITY;
        device_rates(p, in.dev, in.io);
        if (g)
                in.share = worst ? worst->share : g->worst[0]->share;
        else {
                in.calm = true;
                for (unsigned i = 0; i < p->memory->n_victims[r]; i++)
                        if (judge_still_hurt(t, p, r, p->memory->victims[r][i], &in.share))
                                in.calm = false;
        }
        return in;
}

/* By one more value; all are of one device at most, so there is room. */
static void tighten(Act *a, const LimitEntry *e) {
        for (unsigned i = 0; i < a->n; i++)
                if (limit_knob_cmp(a->values[i].knob, e->knob) == 0) {
                        a->values[i].value = MIN_OF(a->values[i].value, e->value);
                        return;
                }
        if (a->n < LADDER_VALUES_MAX)
                a->values[a->n++] = *e;
}

/* Some of what its leases hold of io.max is none of these values. */
static bool gives_back_io(const Party *p, const Act *a) {
        size_t n = 0;

        for (size_t i = 0; i < p->limits.io->n; i++) {
                const LimitEntry *e = &p->limits.io->entries[i];
                uint64_t beneath = LIMIT_INFINITY;

                if (p->beneath_io)
                        (void)limit_set_get(p->beneath_io, e->knob, &beneath);
                n += e->value < beneath;
        }
        return n > a->n;
}

static bool same_values(const Act *a, const Act *b) {
        unsigned n = 0;

        for (unsigned i = 0; i < a->n; i++)
                for (unsigned k = 0; k < b->n; k++)
                        n += limit_knob_cmp(a->values[i].knob, b->values[k].knob) == 0 &&
                             a->values[i].value == b->values[k].value;
        return n == a->n && n == b->n;
}

/* Whether other limits are in force after it. */
static bool changes(const JudgeStep *t, uint32_t party, const Act *a) {
        const Party *p = &t->scene->parties[party];
        const uint64_t in_force[] = {
                [LEVER_CPU] = p->limits.cpu_quota,
                [LEVER_MEMORY] = p->limits.memory_high,
                [LEVER_PIDS] = p->limits.tasks_max,
        };
        const Act *last = NULL;

        if ((a->kind != ACT_THROTTLE && a->kind != ACT_RELAX) || !p->leased[a->lever])
                return true;
        /* The scene is older than another act of this step. */
        for (unsigned i = 0; i < t->n; i++)
                if (t->out[i].culprit == party && t->out[i].act.lever == a->lever &&
                    t->out[i].act.kind != ACT_ALARM)
                        last = &t->out[i].act;
        if (last)
                return !same_values(last, a);
        if (a->lever != LEVER_IO)
                return a->n == 0 || a->values[0].value != in_force[a->lever];
        for (unsigned i = 0; i < a->n; i++) {
                uint64_t v = LIMIT_INFINITY;

                if (p->limits.io)
                        (void)limit_set_get(p->limits.io, a->values[i].knob, &v);
                if (v != a->values[i].value)
                        return true;
        }
        return !p->limits.io || gives_back_io(p, a);
}

/*
 * There is one file behind a lever, and a ladder a resource: what one of them lets go another may still hold, and what one
 * cuts another may have cut deeper. False: the act is none then.
 */
static bool reconcile(const JudgeStep *t, uint32_t party, Act *a) {
        const PartyMemory *m = t->scene->parties[party].memory;

        if (a->would)
                return true;
        for (int r = 0; r < _RESOURCE_MAX; r++) {
                const Ladder *other = &m->ladders[r];
                const LeverState *v;

                if (r == (int)a->resource || other->dry)
                        continue;
                if (a->kind == ACT_THAW && other->frozen_until > t->scene->now)
                        return false;
                if ((unsigned)a->lever > LEVER_PIDS)
                        continue;
                v = &other->levers[a->lever];
                if (!v->on)
                        continue;
                if (a->kind == ACT_RELEASE)
                        a->kind = ACT_RELAX;
                for (unsigned i = 0; i < v->n; i++)
                        tighten(a, &v->values[i]);
        }
        return changes(t, party, a);
}

static void note_act(JudgeStep *t, uint32_t party, Act *a, const JudgeGroup *g) {
        const Scene *s = t->scene;
        PartyMemory *m = s->parties[party].memory;
        Verdict *v = reconcile(t, party, a) ? judge_add_verdict(t, a->kind, a->why, a->resource) : NULL;

        if (!v)
                return;
        v->culprit = party;
        v->act = *a;
        v->thrash = m->thrash;
        if (g) {
                v->blame = g->blame;
                v->blame.culprit = party;
                v->blame.outcome = BLAME_CULPRIT;
                judge_show_victims(v, g);
        }
        m->told[a->resource] = *a;
        m->told_at[a->resource] = s->now;
        if (!a->would && (a->kind == ACT_KILL || a->kind == ACT_STOP))
                t->killed = true;
}

/* Returns how many acts came of it. g: the group that it is the culprit of; NULL: none. */
static unsigned run_ladder(JudgeStep *t, uint32_t party, Resource r, const JudgeGroup *g) {
        PartyMemory *m = t->scene->parties[party].memory;
        Ladder *l = &m->ladders[r];
        bool held = judge_holds(m);
        LadderInput in = input_of(t, party, r, g);
        Act acts[LADDER_ACTS_MAX];
        unsigned n;

        t->judge->stepped[party] |= (uint8_t)(1U << r);
        if (g)
                remember_victim(t, &t->scene->parties[party], worst_for(t, &t->scene->parties[party], g));
        for (unsigned i = 0; g && i < g->n_worst; i++)
                remember_victim(t, &t->scene->parties[party], g->worst[i]);
        n = ladder_step(l, &in, acts);
        for (unsigned i = 0; i < n; i++)
                note_act(t, party, &acts[i], g);
        if (l->rung == RUNG_NONE)
                m->n_victims[r] = 0;
        if (!held && judge_holds(m))
                t->n_throttled++;
        return n;
}

static bool had_turn(const JudgeStep *t, uint32_t party, Resource r) {
        return t->judge->stepped[party] & 1U << r;
}

/* Those that must let go. */
void judge_run_forbidden(JudgeStep *t) {
        for (uint32_t i = 0; i < t->scene->n; i++) {
                uint32_t party = t->judge->order[i];
                const Party *p = &t->scene->parties[party];

                for (int r = 0; r < _RESOURCE_MAX; r++)
                        if (p->memory->ladders[r].rung != RUNG_NONE && is_forbidden(t->scene, p) &&
                            has_room(t))
                                (void)run_ladder(t, party, (Resource)r, NULL);
        }
}

/* The others that are on their ladders, and no culprits now. */
void judge_run_holders(JudgeStep *t) {
        for (uint32_t i = 0; i < t->scene->n; i++) {
                uint32_t party = t->judge->order[i];
                const PartyMemory *m = t->scene->parties[party].memory;

                for (int r = 0; r < _RESOURCE_MAX; r++)
                        if ((m->ladders[r].rung != RUNG_NONE || ladder_holds(&m->ladders[r])) &&
                            !had_turn(t, party, (Resource)r) && has_room(t))
                                (void)run_ladder(t, party, (Resource)r, NULL);
        }
}

/* ---- culprits ---- */

static bool is_candidate(const Scene *s, const Candidate *c) {
        switch (c->why) {
        case BLAME_CULPRIT:
        case BLAME_LESS:
                return c->party < s->n && c->score >= BLAME_MIN && !is_forbidden(s, &s->parties[c->party]) &&
                       judge_mode(s, &s->parties[c->party]) != MODE_OFF;
        default:
                return false;
        }
}

/* Of a disk: it reads back what others took from its memory. */
static bool is_driven(const JudgeStep *t, const Candidate *c, Resource r) {
        return r == RESOURCE_IO && judge_harm_of(t, c->party, RESOURCE_MEMORY)->class == HARM_EXTERNAL &&
               judge_goes_on(t, judge_harm_of(t, c->party, RESOURCE_MEMORY));
}

static BlameWhy why_untouched(const JudgeStep *t, const JudgeGroup *g, const Candidate *c) {
        if (c->why != BLAME_CULPRIT && c->why != BLAME_LESS)
                return c->why;
        if (is_driven(t, c, g->resource))
                return BLAME_VICTIM;
        return judge_mode(t->scene, &t->scene->parties[c->party]) == MODE_OFF ? BLAME_MODE : BLAME_HELD;
}

static bool is_on_ladder(const JudgeStep *t, uint32_t party, Resource r) {
        LadderRung rung = t->scene->parties[party].memory->ladders[r].rung;

        return rung >= RUNG_THROTTLE && rung != RUNG_RELAX;
}

/* It has more than it had. */
static bool grows(const Candidate *c) { return c->growth_part >= GROWS; }

/* Somebody takes more memory, or did until we held it back: then who merely has some is not to blame for the shortage. */
static bool somebody_grows(const JudgeStep *t, const JudgeGroup *g) {
        if (g->resource != RESOURCE_MEMORY)
                return false;
        for (unsigned i = 0; i < g->blame.n; i++)
                if (grows(&g->blame.candidates[i]))
                        return true;
        for (uint32_t i = 0; i < t->scene->n; i++)
                if (is_on_ladder(t, i, RESOURCE_MEMORY))
                        return true;
        return false;
}

static bool merely_has(const JudgeStep *t, const Candidate *c) {
        return c->party < t->scene->n && !grows(c) && !is_on_ladder(t, c->party, RESOURCE_MEMORY);
}

/* By the ladder of this resource, or of any other. */
static bool is_ending(const JudgeStep *t, uint32_t party, bool other, Resource r) {
        const PartyMemory *m = t->scene->parties[party].memory;

        for (int i = 0; i < _RESOURCE_MAX; i++)
                if ((i != (int)r) == other && ladder_ends(&m->ladders[i], t->scene->now))
                        return true;
        return false;
}

void judge_run_group(JudgeStep *t, JudgeGroup *g) {
        bool growth = somebody_grows(t, g);
        unsigned alike = 0;

        for (unsigned i = 0; i < g->blame.n; i++) {
                const Candidate *c = &g->blame.candidates[i];
                const Ladder *l;

                /* Who is hurt, and takes more than all others together, does it to itself: nobody else is to blame. */
                if (c->why == BLAME_VICTIM && g->resource == RESOURCE_MEMORY &&
                    c->growth_part >= PERMYRIAD / 2) {
                        g->blame.outcome = BLAME_VICTIM;
                        return;
                }
                if (c->why == BLAME_VICTIM || (growth && merely_has(t, c))) {
                        if (c->why == BLAME_CULPRIT)
                                g->blame.outcome = BLAME_SMALL;
                        continue;
                }
                if (!is_candidate(t->scene, c) || is_driven(t, c, g->resource) || c->score < alike) {
                        if (!g->told)
                                g->blame.outcome = why_untouched(t, g, c);
                        return;
                }
                g->told = true;
                if (is_ending(t, c->party, true, g->resource))
                        return;
                if (!had_turn(t, c->party, g->resource) &&
                    (!has_room(t) || run_ladder(t, c->party, g->resource, g) > 0))
                        return;
                if (is_ending(t, c->party, false, g->resource))
                        return;
                l = &t->scene->parties[c->party].memory->ladders[g->resource];
                if (l->exhausted_at == 0 || l->dry)
                        alike = MAX_OF(alike, c->score / ALIKE_DIVISOR);
        }
}
