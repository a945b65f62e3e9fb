/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Judging a scene: who is hurt, whose doing it is, and how far that one is held back.
 *
 * The parts know nothing of each other: harm.c looks at one party, blame.c at those who are hurt, ladder.c at one
 * culprit, brakes.c at kills. The judge is the order in which they have their turn, and what they hand to each other
 * (judge-look.c, judge-climb.c).
 *
 * Victims of one resource (of IO: of one device) are a group. Groups have their turn by harm × blame, urgent ones first, so
 * that what is scarce (a kill, the room that MaxThrottled= leaves) goes to where it helps most.
 *
 * A ladder goes back when those that it hurt are harmed by others no more. What was harm and is now not clear (mixed) or
 * their own doing counts as calm: nobody is held back for what nobody would be held back for anew.
 *
 * A container that ends leaves its record to the one that comes under its name: it was told already, and if it goes on
 * where the dead one ended, it is throttled at once.
 */

#include "judge-internal.h"
#include "num.h"

#define TELL_AGAIN (60 * USEC_PER_SEC)
#define TELL_AFTER USEC_PER_SEC
#define TELL_AFTER_KERNEL (3 * USEC_PER_SEC)
#define TELL_GAP (3 * USEC_PER_SEC)

int judge_new(uint32_t max_parties, Judge **ret) {
        _cleanup_(cleanup_judge_free) Judge *j = calloc(1, sizeof(*j));
        size_t n = MAX_OF(max_parties, UINT32_C(1));

        if (!j)
                return -ENOMEM;
        j->max_parties = max_parties;
        j->fair = calloc(n, sizeof(*j->fair));
        j->harms = calloc(n, sizeof(*j->harms) * _RESOURCE_MAX);
        j->victims = calloc(n, sizeof(*j->victims) * _RESOURCE_MAX);
        j->stepped = calloc(n, sizeof(*j->stepped));
        j->order = calloc(n, sizeof(*j->order));
        j->groups = calloc(JUDGE_GROUPS_MAX, sizeof(*j->groups));
        if (!j->fair || !j->harms || !j->victims || !j->stepped || !j->order || !j->groups)
                return -ENOMEM;
        *ret = steal_ptr(j);
        return 0;
}

Judge *judge_free(Judge *j) {
        if (!j)
                return NULL;
        free(j->fair);
        free(j->harms);
        free(j->victims);
        free(j->stepped);
        free(j->order);
        free(j->groups);
        free(j);
        return NULL;
}

bool judge_holds(const PartyMemory *m) {
        for (int r = 0; r < _RESOURCE_MAX; r++)
                if (ladder_holds(&m->ladders[r]))
                        return true;
        return false;
}

const Settings *judge_settings(const Party *p) {
        static const Settings builtin = {
                .mode = MODE_OBSERVE,
                .priority = 100,
                .throttle = THROTTLE_CPU | THROTTLE_IO | THROTTLE_MEMORY | THROTTLE_PIDS,
                .kill = KILL_NEVER,
                .kill_grace = 10 * USEC_PER_SEC,
                .pressure_window = HARM_WINDOW_DEFAULT,
        };

        return p->settings ? p->settings : &builtin;
}

Mode judge_mode(const Scene *s, const Party *p) { return MIN_OF(judge_settings(p)->mode, s->rules.mode); }

/* By id, without qsort(): that may allocate. */
static void order_parties(JudgeStep *t) {
        uint32_t *order = t->judge->order, n = t->scene->n, gap = 1;
        const Party *parties = t->scene->parties;

        for (uint32_t i = 0; i < n; i++)
                order[i] = i;
        while (gap < n / 3)
                gap = gap * 3 + 1;
        for (; gap > 0; gap /= 3)
                for (uint32_t i = gap; i < n; i++) {
                        uint32_t one = order[i], k = i;

                        for (; k >= gap && parties[order[k - gap]].id > parties[one].id; k -= gap)
                                order[k] = order[k - gap];
                        order[k] = one;
                }
}

Verdict *judge_add_verdict(JudgeStep *t, ActKind kind, ActWhy why, Resource r) {
        Verdict *v;

        if (t->n == VERDICTS_MAX)
                return NULL;
        v = &t->out[t->n++];
        *v = (Verdict){ .culprit = NO_PARTY,
                        .act = { .kind = kind, .why = why, .resource = r, .lever = _LEVER_INVALID },
                        .blame = { .resource = r, .culprit = NO_PARTY } };
        return v;
}

void judge_show_victims(Verdict *v, const JudgeGroup *g) {
        for (unsigned i = 0; i < g->n_worst; i++)
                v->victims[i] = *g->worst[i];
        v->n_victims = g->n_worst;
        v->n_victims_all = (unsigned)MIN_OF(g->n, (size_t)UINT_MAX);
}

/* ---- what is only told ---- */

static ActWhy why_nobody(BlameWhy outcome) {
        switch (outcome) {
        case BLAME_PRIORITY:
                return ACT_WHY_PRIORITY;
        case BLAME_PROTECTED:
        case BLAME_SERVICE:
        case BLAME_KERNEL:
                return ACT_WHY_OUT_OF_REACH;
        case BLAME_MODE:
                return ACT_WHY_MODE;
        case BLAME_HELD:
                return ACT_WHY_POLICY;
        default:
                return ACT_WHY_HARM;
        }
}

/* The next look may find otherwise: whose cgroup has not been looked at yet, his use is "the kernel's" until then. */
static bool is_found_again(Judge *j, Resource r, BlameWhy outcome, usec_t now) {
        usec_t *since = &j->found_since[r][outcome], *at = &j->found_at[r][outcome];

        if (*at == 0 || now - *at > TELL_GAP)
                *since = now;
        *at = now;
        return now - *since >= (outcome == BLAME_KERNEL ? TELL_AFTER_KERNEL : TELL_AFTER);
}

/* Somebody takes too little to matter because he is held back. */
static bool is_held_already(const JudgeStep *t, const JudgeGroup *g) {
        if (g->blame.outcome != BLAME_SMALL && g->blame.outcome != BLAME_ENTITLED)
                return false;
        for (uint32_t i = 0; i < t->scene->n; i++)
                if (t->scene->parties[i].memory->ladders[g->resource].rung >= RUNG_THROTTLE)
                        return true;
        return false;
}

static void tell_nobody(JudgeStep *t, const JudgeGroup *g) {
        BlameWhy outcome = g->blame.outcome;
        usec_t *told_at;
        Verdict *v;

        if (g->told || (unsigned)outcome >= _BLAME_MAX ||
            !is_found_again(t->judge, g->resource, outcome, t->scene->now))
                return;
        told_at = &t->judge->told_at[g->resource][outcome];
        if (*told_at != 0 && t->scene->now - *told_at < TELL_AGAIN)
                return;
        v = judge_add_verdict(t, ACT_NOTIFY, why_nobody(outcome), g->resource);
        if (!v)
                return;
        *told_at = t->scene->now;
        v->blame = g->blame;
        judge_show_victims(v, g);
}

/* For those who ask for its victims. */
static void note_outcome(const JudgeStep *t, JudgeGroup *g) {
        if (t->scene->paused)
                g->blame.outcome = BLAME_HELD;
        for (size_t i = 0; i < g->n; i++) {
                PartyMemory *m = t->scene->parties[g->victims[i]->party].memory;

                m->outcome[g->resource] = g->told ? BLAME_CULPRIT : g->blame.outcome;
                m->outcome_at[g->resource] = t->scene->now;
        }
}

/* While it goes on, seen is now. */
static bool is_news(usec_t *seen, usec_t now) {
        bool news = *seen == 0 || now - *seen > LADDER_RELAPSE;

        *seen = now;
        return news;
}

static void tell_mixed(JudgeStep *t, Resource r) {
        JudgeGroup g = { .resource = r };
        Verdict *v;

        if (t->n == VERDICTS_MAX)
                return;
        for (uint32_t i = 0; i < t->scene->n; i++) {
                const Harm *h = judge_harm_of(t, i, r);

                if (h->class == HARM_MIXED &&
                    is_news(&t->scene->parties[i].memory->mixed_at[r], t->scene->now))
                        judge_add_to_group(&g, h);
        }
        if (g.n == 0)
                return;
        v = judge_add_verdict(t, ACT_NOTIFY, ACT_WHY_MIXED, r);
        judge_show_victims(v, &g);
}

static void tell_thrash(JudgeStep *t) {
        for (uint32_t i = 0; i < t->scene->n; i++) {
                uint32_t party = t->judge->order[i];
                const Party *p = &t->scene->parties[party];
                Verdict *v;

                if (p->kind != PARTY_CONTAINER || !p->memory->thrash.found || t->n == VERDICTS_MAX ||
                    !is_news(&p->memory->thrash_at, t->scene->now))
                        continue;
                v = judge_add_verdict(t, ACT_NOTIFY, ACT_WHY_THRASH, RESOURCE_MEMORY);
                v->culprit = party;
                v->thrash = p->memory->thrash;
                v->victims[0] = *judge_harm_of(t, party, RESOURCE_MEMORY);
                v->n_victims = v->n_victims_all = 1;
        }
}

/* ---- a step ---- */

static void watch_brakes(JudgeStep *t) {
        Judge *j = t->judge;
        const Scene *s = t->scene;

        for (uint32_t i = 0; i < s->n; i++) {
                const Party *p = &s->parties[i];

                if (judge_holds(p->memory))
                        t->n_throttled++;
                if (p->now && sample_has(p->now, SAMPLE_POPULATED) && p->now->v[SAMPLE_POPULATED] == 0)
                        brakes_empty(&j->brakes, p->id);
        }
        /* Where nobody is killed anyway, many short lives are no news. */
        if (brakes_storm(&j->brakes, &s->rules, s->n_containers, s->now) && s->rules.mode >= MODE_ENFORCE)
                (void)judge_add_verdict(t, ACT_ALARM, ACT_WHY_STORM, RESOURCE_MEMORY);
}

/* The kill that a stop signal paid for is due until the ladder is down again. */
static void forget_spent(const Scene *s) {
        for (uint32_t i = 0; i < s->n; i++) {
                PartyMemory *m = s->parties[i].memory;
                bool killing = false;

                for (int r = 0; r < _RESOURCE_MAX; r++)
                        killing = killing || m->ladders[r].stopped;
                m->kill_spent = m->kill_spent && killing;
        }
}

unsigned judge_step(Judge *j, const JudgeOps *ops, const Scene *scene, Verdict ret[static VERDICTS_MAX]) {
        Scene s = *scene;
        JudgeStep t = { .judge = j, .ops = ops, .scene = &s, .out = ret };

        s.n = MIN_OF(s.n, j->max_parties);
        j->n_steps++;
        memset(j->stepped, 0, s.n * sizeof(*j->stepped));
        order_parties(&t);
        forget_spent(&s);
        judge_look(&t);
        watch_brakes(&t);
        judge_form_groups(&t);
        judge_run_forbidden(&t);
        for (unsigned i = 0; i < t.n_groups && !s.paused; i++)
                judge_run_group(&t, &j->groups[i]);
        judge_run_holders(&t);
        for (unsigned i = 0; i < t.n_groups; i++) {
                j->groups[i].told = j->groups[i].told || is_held_already(&t, &j->groups[i]);
                note_outcome(&t, &j->groups[i]);
                if (!s.paused)
                        tell_nobody(&t, &j->groups[i]);
        }
        for (int r = 0; r < _RESOURCE_MAX; r++)
                tell_mixed(&t, (Resource)r);
        tell_thrash(&t);
        return t.n;
}

bool judge_charges(const Judge *j, const Party *p) {
        return !p->memory->kill_spent && !brakes_is_again(&j->brakes, p->id);
}

void judge_acted(Judge *j, const JudgeOps *ops, const Party *p, const Act *a, int result, usec_t now) {
        PartyMemory *m = p->memory;

        if (a->would || (unsigned)a->resource >= _RESOURCE_MAX)
                return;
        ladder_acted(&m->ladders[a->resource], a, result, now);
        if (result != 0 || (a->kind != ACT_KILL && a->kind != ACT_STOP))
                return;
        if (judge_charges(j, p)) {
                brakes_killed(&j->brakes, ops->budget(ops->user, p).budget, p->id, now);
                m->n_kills++;
        } else if (!m->kill_spent)
                brakes_killed_again(&j->brakes, now);
        m->kill_spent = a->kind == ACT_STOP;
}

void judge_died(Judge *j, PartyMemory *m, uint64_t id, usec_t now) {
        PartyMemory heir = { .n_kills = m->n_kills, .n_reborn = m->n_reborn, .died_at = now };

        brakes_died(&j->brakes, now);
        brakes_empty(&j->brakes, id);
        for (int r = 0; r < _RESOURCE_MAX; r++) {
                const Ladder *l = &m->ladders[r];
                Ladder *to = &heir.ladders[r];

                to->calm_span = l->calm_span;
                to->ended_at = l->rung == RUNG_RELAX ? now : l->ended_at;
                if (l->rung == RUNG_NONE || l->rung == RUNG_RELAX)
                        continue;
                /* Told already: whatever it does next is met by a throttle at once. It may take a while to come to that. */
                to->rung = RUNG_NOTIFY;
                to->calm_span = MIN_OF(MAX_OF(l->calm_span, LADDER_CALM) * 2, LADDER_CALM_MAX);
                to->since = l->since;
                to->harm_at = l->harm_at;
                to->dry = l->dry;
                heir.n_victims[r] = m->n_victims[r];
                memcpy(heir.victims[r], m->victims[r], sizeof(m->victims[r]));
        }
        *m = heir;
}

bool judge_reborn(PartyMemory *m, usec_t now) {
        if (m->died_at == 0 || now - m->died_at > RECORD_KEEP) {
                *m = (PartyMemory){};
                return false;
        }
        m->n_reborn++;
        m->had = (Had){}; /* its successor begins anew */
        return true;
}
