/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a step of the judge knows before it does anything: what everybody suffers, which victims belong together, and
 * who is to blame for each group of them.
 *
 * Harm is found over a window, and so outlives its cause by some seconds. Those are not for acting: a victim counts for
 * a step further only while the last look, too, says that it waits, and for memory only while the host reclaims or runs out.
 * To let go is another matter: that waits until the harm is over by the window as well.
 */

#include "judge-internal.h"
#include "num.h"

#define PERMYRIAD 10000
#define TASKS_SPAN (USEC_PER_SEC / 4) /* over less, a rise is noise */

/* Whether a is worse than b: the same whatever the order in the scene. */
static bool is_worse(const Harm *a, const Harm *b) {
        if (a->urgent != b->urgent)
                return a->urgent;
        if (a->share != b->share)
                return a->share > b->share;
        if (a->resource != b->resource)
                return a->resource > b->resource; /* memory and tasks run out, the rest waits */
        return a->id < b->id;
}

/* Of the host: whether it reclaims, or would be out of memory soon. That some run into ceilings, of their own or ours, is no
 * shortage, though PSI of the host counts their waiting, too. */
static void note_memory(const Sample *now, PartyMemory *m) {
        uint64_t available = now->v[SAMPLE_HOST_MEMORY_AVAILABLE];
        uint64_t scans = num_add_sat(now->v[SAMPLE_PGSCAN], now->v[SAMPLE_HOST_ALLOCSTALL]);
        usec_t span = now->at - m->looked_at;

        m->shrinks = scans > m->scans_total ||
                     (available < m->available &&
                      num_muldiv(m->available - available, HARM_HORIZON, span) > available);
        m->scans_total = scans;
        m->available = available;
}

static void note_tasks(const Scene *s) {
        PartyMemory *m = s->parties[0].memory;
        usec_t span = s->now - MIN_OF(m->tasks_at, s->now);

        if (m->tasks_at > 0 && span < TASKS_SPAN)
                return;
        m->tasks_per_sec = 0;
        if (m->tasks_at > 0 && m->tasks > 0 && s->host_tasks > m->tasks)
                m->tasks_per_sec = num_muldiv(s->host_tasks - m->tasks, USEC_PER_SEC, span);
        m->tasks = s->host_tasks;
        m->tasks_at = s->now;
}

/* A window says what was; whether it goes on, the last look does. */
static void note_stalls(const Sample *now, PartyMemory *m) {
        static const SampleField some[_RESOURCE_MAX] = { SAMPLE_CPU_SOME, SAMPLE_MEMORY_SOME, SAMPLE_IO_SOME,
                                                         _SAMPLE_MAX };

        if (now->at <= m->looked_at)
                return;
        for (int r = 0; r < _RESOURCE_MAX && some[r] != _SAMPLE_MAX; r++) {
                uint64_t total = now->v[some[r]];
                usec_t span = now->at - m->looked_at;

                m->stall_now[r] = PERMYRIAD;
                if (m->looked_at > 0 && total >= m->stall_total[r])
                        m->stall_now[r] = (unsigned)MIN_OF(
                                num_muldiv(total - m->stall_total[r], PERMYRIAD, span), (uint64_t)PERMYRIAD);
                m->stall_total[r] = total;
        }
        note_memory(now, m);
        m->looked_at = now->at;
}

void judge_look(JudgeStep *t) {
        const Scene *s = t->scene;

        for (uint32_t i = 0; i < s->n; i++) {
                const Party *p = &s->parties[i];

                if (!p->now)
                        continue;
                harm_feed(p);
                note_stalls(p->now, p->memory);
        }
        if (s->n > 0)
                note_tasks(s);
        fair_compute(s, t->judge->fair);
        for (uint32_t i = 0; i < s->n; i++) {
                PartyMemory *m = s->parties[i].memory;

                for (int r = 0; r < _RESOURCE_MAX; r++) {
                        Harm h = { .calm = true };

                        harm_judge(s, t->judge->fair, i, (Resource)r, &m->harm[r], &h);
                        h.party = i;
                        h.id = s->parties[i].id;
                        h.resource = (Resource)r;
                        t->judge->harms[(size_t)i * _RESOURCE_MAX + (size_t)r] = h;
                        m->harm[r] = h;
                }
                m->harm_seen = s->now;
                if (s->parties[i].kind != PARTY_CONTAINER)
                        continue;
                harm_thrash(s, i, &m->thrash);
                /* At a ceiling of ours it does as it was meant to. */
                m->thrash.found = m->thrash.found && !s->parties[i].leased[LEVER_MEMORY];
        }
        if (s->n > 0)
                memcpy(t->judge->host, s->parties[0].memory->harm, sizeof(t->judge->host));
}

/* ---- groups of victims ---- */

static void add_group(JudgeStep *t, const JudgeGroup *g) {
        JudgeGroup *groups = t->judge->groups;
        unsigned at = t->n_groups;

        while (at > 0 && is_worse(g->worst[0], groups[at - 1].worst[0]))
                at--;
        if (at == JUDGE_GROUPS_MAX)
                return;
        t->n_groups = MIN_OF(t->n_groups + 1, (unsigned)JUDGE_GROUPS_MAX);
        memmove(&groups[at + 1], &groups[at], (t->n_groups - at - 1) * sizeof(*groups));
        groups[at] = *g;
}

/* What our own lease makes scarce for it: squeezed memory is read again, a slow disk makes memory wait. */
static bool is_our_doing(const Party *p, Resource r) {
        switch (r) {
        case RESOURCE_CPU:
                return p->leased[LEVER_CPU];
        case RESOURCE_MEMORY:
        case RESOURCE_IO:
                return p->leased[LEVER_MEMORY] || p->leased[LEVER_IO];
        default:
                return false;
        }
}

/*
 * What hurt until a moment ago leaves the window bit by bit, but nothing is to be done about it any more. Memory is waited
 * for a while after the last reclaim, too: by those whose pages come back.
 */
bool judge_goes_on(const JudgeStep *t, const Harm *h) {
        const Scene *s = t->scene;
        const Party *p = &s->parties[h->party];
        uint64_t low = num_muldiv(s->memory_bytes, HARM_HOST_AVAILABLE_LOW, PERMYRIAD);

        if (h->resource == RESOURCE_MEMORY && !s->parties[0].memory->shrinks &&
            s->parties[0].memory->available >= low)
                return false;
        /* Few enough, and no more than there were: whoever is held stays so, that is all. */
        if (h->resource == RESOURCE_PIDS)
                return h->share >= h->target || harm_tasks_rise(s);
        if (p->kind == PARTY_HOST)
                return true;
        return p->memory->stall_now[h->resource] >= num_muldiv(h->target, HARM_CALM, 100) &&
               !is_our_doing(p, h->resource);
}

void judge_add_to_group(JudgeGroup *g, const Harm *h) {
        unsigned at = g->n_worst;

        g->n++;
        while (at > 0 && is_worse(h, g->worst[at - 1]))
                at--;
        if (at == VERDICT_VICTIMS_MAX)
                return;
        g->n_worst = MIN_OF(g->n_worst + 1, (unsigned)VERDICT_VICTIMS_MAX);
        memmove(&g->worst[at + 1], &g->worst[at], (g->n_worst - at - 1) * sizeof(g->worst[0]));
        g->worst[at] = h;
}

/* First those that it goes on for: these make up groups. Who is not judged (Mode=off) is no victim either. */
static void group_resource(JudgeStep *t, Resource r) {
        const Harm **from = t->judge->victims + t->n_victims;
        size_t n = 0, all = 0, done = 0;

        for (uint32_t i = 0; i < t->scene->n; i++) {
                const Harm *h = judge_harm_of(t, i, r);

                if (h->class != HARM_EXTERNAL || judge_mode(t->scene, &t->scene->parties[i]) == MODE_OFF)
                        continue;
                from[all++] = h;
                if (!judge_goes_on(t, h))
                        continue;
                from[all - 1] = from[n];
                from[n++] = h;
        }
        t->n_victims += all;
        while (done < n) {
                JudgeGroup g = { .resource = r,
                                 .dev = r == RESOURCE_IO ? from[done]->dev : 0,
                                 .victims = from + done };

                for (size_t i = done; i < n; i++) {
                        const Harm *h = from[i];

                        if (r == RESOURCE_IO && h->dev != g.dev)
                                continue;
                        from[i] = from[done];
                        from[done++] = h;
                        judge_add_to_group(&g, h);
                }
                add_group(t, &g);
        }
}

static void blame_group(JudgeStep *t, JudgeGroup *g) {
        const Scene *s = t->scene;

        blame_rank(s, t->judge->fair, g->victims, g->n, g->resource, &g->blame);
        g->weight = g->worst[0]->share * (g->blame.n > 0 ? g->blame.candidates[0].score + UINT64_C(1) : 1);
        for (unsigned i = 0; i < g->blame.n; i++) {
                const Candidate *c = &g->blame.candidates[i];
                PartyMemory *m = c->party < s->n ? s->parties[c->party].memory : NULL;

                if (!m)
                        continue;
                m->blamed[g->resource] = c->why;
                m->score[g->resource] = c->score;
                m->blamed_at[g->resource] = s->now;
        }
}

void judge_form_groups(JudgeStep *t) {
        JudgeGroup *groups = t->judge->groups;

        for (int r = 0; r < _RESOURCE_MAX; r++)
                group_resource(t, (Resource)r);
        for (unsigned i = 0; i < t->n_groups; i++)
                blame_group(t, &groups[i]);
        /* They are in order of harm; now of harm × blame. */
        for (unsigned i = 1; i < t->n_groups; i++)
                for (unsigned k = i; k > 0 && groups[k].worst[0]->urgent == groups[k - 1].worst[0]->urgent &&
                                     groups[k].weight > groups[k - 1].weight;
                     k--) {
                        JudgeGroup g = groups[k];

                        groups[k] = groups[k - 1];
                        groups[k - 1] = g;
                }
}

bool judge_still_hurt(const JudgeStep *t, const Party *by, Resource r, uint64_t id, unsigned *share) {
        for (size_t i = 0; i < t->n_victims; i++) {
                const Harm *h = t->judge->victims[i];

                if (h->id != id || h->resource != r || !blame_counts(by, &t->scene->parties[h->party]))
                        continue;
                *share = MAX_OF(*share, h->share);
                return true;
        }
        return false;
}
