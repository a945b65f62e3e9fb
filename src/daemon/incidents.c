/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tells what the judge did, or would have done, and what an operator did: an event each, with what it rests on;
 * acts on one culprit are gathered into incidents (core/incident.h says which), which are opened and closed by signal.
 *
 * By the time something is told it has happened. Where memory lacks, the event is poorer or belongs to no incident,
 * and that is all: of half of the evidence another story could be made, so it is all of it or none.
 */

#include <jansson.h>
#include <stdio.h>

#include "guard.h"
#include "telling.h"

#define OTHERS "(others)" /* containers of a tenant that have no count of their own */

/* ---- which event ---- */

static Announce announce_of(const Act *a, const Thrash *thrash) {
        static const Announce kinds[_ACT_MAX] = {
                [ACT_NOTIFY] = ANNOUNCE_NOTIFY, [ACT_THROTTLE] = ANNOUNCE_THROTTLE,
                [ACT_RELAX] = ANNOUNCE_RELAX,   [ACT_RELEASE] = ANNOUNCE_UNTHROTTLE,
                [ACT_FREEZE] = ANNOUNCE_FREEZE, [ACT_THAW] = ANNOUNCE_THAW,
                [ACT_STOP] = ANNOUNCE_STOP,     [ACT_KILL] = ANNOUNCE_KILL,
                [ACT_ALARM] = ANNOUNCE_ALARM,
        };

        if (a->why == ACT_WHY_STORM)
                return ANNOUNCE_STORM;
        if (a->kind == ACT_NOTIFY && (thrash->found || a->why == ACT_WHY_THRASH))
                return ANNOUNCE_THRASH;
        return kinds[a->kind];
}

/* ---- what it rests on, for the journal ---- */

static const Party *party_at(const Guard *g, uint32_t i) {
        return i < g->judging->scene.n ? &g->judging->scene.parties[i] : NULL;
}

static void put_name(Buf *b, const Party *p) {
        if (b->len > 0)
                buf_putc(b, '\n');
        buf_printf(b, "%s%s%s", p && p->tenant ? p->tenant : "", p && p->tenant ? "/" : "",
                   p ? p->name : "kernel");
}

/* A line for each victim: "beta/db cpu 4200 of 3000 external contended" */
static void put_harms(const Guard *g, const Verdict *v, Buf *b) {
        for (unsigned i = 0; i < v->n_victims && i < VERDICT_VICTIMS_MAX; i++) {
                const Harm *h = &v->victims[i];

                put_name(b, party_at(g, h->party));
                buf_printf(b, " %s %u of %u %s %s", resource_to_string(h->resource), h->share, h->target,
                           harm_class_to_string(h->class), harm_why_to_string(h->why));
        }
}

/* A line for each candidate, the worst first: "acme/web 3100 culprit" */
static void put_blame(const Guard *g, const Verdict *v, Buf *b) {
        for (unsigned i = 0; i < v->blame.n && i < CANDIDATES_MAX; i++) {
                const Candidate *c = &v->blame.candidates[i];

                put_name(b, party_at(g, c->party));
                buf_printf(b, " %u %s", c->score, blame_why_to_string(c->why));
        }
}

static unsigned victims_of(const Guard *g, const Verdict *v, IncidentVictim ret[static VERDICT_VICTIMS_MAX]) {
        unsigned n = 0;

        for (unsigned i = 0; i < v->n_victims && i < VERDICT_VICTIMS_MAX; i++) {
                const Party *p = party_at(g, v->victims[i].party);

                if (!p)
                        continue;
                (void)snprintf(ret[n].name, sizeof(ret[n].name), "%s", p->name);
                (void)snprintf(ret[n].tenant, sizeof(ret[n].tenant), "%s", p->tenant ? p->tenant : "");
                n++;
        }
        return n;
}

/* ---- what would have been done ---- */

static void would_free(WouldCount *w) {
        free(w->key);
        free(w->tenant);
        free(w->name);
        free(w->cgroup);
        free(w);
}

static WouldCount *would_of(Judging *j, const char *tenant, const char *name, const char *cgroup) {
        _cleanup_free_ char *key = NULL;
        WouldCount *w;

        if (asprintf(&key, "%s/%s", tenant, name) < 0) {
                key = NULL;
                return NULL;
        }
        w = map_get_str(&j->would, key);
        if (w)
                return w;
        if (j->would.n >= WOULD_MAX && !STR_EQ(name, OTHERS))
                return would_of(j, tenant, OTHERS, "");
        if (j->would.n >= 2 * WOULD_MAX)
                return NULL;
        w = calloc(1, sizeof(*w));
        if (!w)
                return NULL;
        w->key = steal_ptr(key);
        w->tenant = strdup(tenant);
        w->name = strdup(name);
        w->cgroup = strdup(cgroup);
        if (!w->tenant || !w->name || !w->cgroup || map_put_str(&j->would, w->key, w) < 0) {
                would_free(w);
                return NULL;
        }
        return w;
}

static void count_would(Guard *g, const Culprit *c, const Act *a, unsigned worst, uint64_t event) {
        WouldCount *w = would_of(g->judging, c->tenant, c->name, c->cgroup);

        if (!w)
                return;
        w->throttle += a->kind == ACT_THROTTLE;
        w->freeze += a->kind == ACT_FREEZE;
        w->stop += a->kind == ACT_STOP;
        w->kill += a->kind == ACT_KILL;
        /* What would have been done says more than that it was told. */
        if (a->kind != ACT_NOTIFY && (w->worst_event == 0 || worst > w->worst)) {
                w->worst = worst;
                w->worst_event = event;
        }
}

/* ---- telling ---- */

/* A lease on file says by which event it is explained. */
static void mark_leases(Guard *g, const Target *t, const Act *a, uint64_t event) {
        Leases *leases = g->judging->leases;
        const Lease *l;

        if (!leases || (a->kind != ACT_THROTTLE && a->kind != ACT_RELAX && a->kind != ACT_FREEZE))
                return;
        for (size_t i = 0; (l = leases_next(leases, &i));) {
                Lease marked = *l;

                if (l->cgroup_id != t->id || leasing_lever(l) != a->lever || l->event != 0)
                        continue;
                marked.event = event;
                (void)leases_put(leases, &marked);
        }
}

static Culprit culprit_of(const Target *t) {
        return (Culprit){
                .tenant = t->tenant ? t->tenant->name : POLICY_UNASSIGNED,
                .name = target_name(t),
                .cgroup = t->node->path,
                .cgroup_id = t->id,
        };
}

/* Nobody is held back: an event on the one who suffers most, if it is a container. */
static const Target *worst_victim(const Guard *g, const Verdict *v) {
        const Judging *j = g->judging;
        const Target *t;

        if (v->n_victims == 0 || v->victims[0].party >= j->n_parties)
                return NULL;
        t = j->owners[v->victims[0].party];
        return t && t->container ? t : NULL;
}

void incidents_verdict(Guard *g, const Verdict *v, int result) {
        Judging *j = g->judging;
        Target *t = v->culprit < j->n_parties ? j->owners[v->culprit] : NULL;
        _cleanup_buf_ Buf text = BUF_INIT, harm = BUF_INIT, blame = BUF_INIT;
        unsigned worst = v->n_victims > 0 ? v->victims[0].share : 0;
        Announce what = announce_of(&v->act, &v->thrash);
        IncidentVictim victims[VERDICT_VICTIMS_MAX];
        usec_t now = clock_monotonic();
        bool opened = false;
        char in_short[300];
        Incident *i = NULL;
        Evidence evidence;
        Culprit c = {};
        uint64_t event;
        json_t *judged;

        if (t) {
                c = culprit_of(t);
                i = incidents_take(&j->incidents, &c, incident_opens(&v->act), announce_next_id(g), now,
                                   clock_realtime(), &opened);
        }
        judged = render_judged(g, v, result, i);
        telling_sentence(judged, &text);
        put_harms(g, v, &harm);
        put_blame(g, v, &blame);
        evidence = (Evidence){
                .judged = judged ? json_dumps(judged, JSON_COMPACT) : NULL,
                .resource = resource_to_string(v->act.resource),
                .harm = harm.len > 0 ? buf_str(&harm) : NULL,
                .blame = blame.len > 0 ? buf_str(&blame) : NULL,
        };
        json_decref(judged);
        (void)snprintf(in_short, sizeof(in_short), "%s%s%s%s: there is no memory to say more",
                       v->act.would  ? "would "
                       : result != 0 ? "could not "
                                     : "",
                       act_kind_to_string(v->act.kind), t ? " " : "", t ? c.name : "");
        event = announce_judged(g, what, t ? t : worst_victim(g, v), i ? i->id : 0, &evidence, NULL,
                                text.len > 0 && buf_error(&text) == 0 ? buf_str(&text) : in_short);
        if (!t)
                return;
        if (v->act.would)
                count_would(g, &c, &v->act, worst, event);
        else if (result == 0)
                mark_leases(g, t, &v->act, event);
        if (!i)
                return;
        if (opened || v->act.kind == ACT_THROTTLE)
                processes_explain(g, t, v->act.resource, event);
        incident_add(i,
                     &(IncidentAct){
                             .act = &v->act,
                             .done = !v->act.would && result == 0,
                             .event = event,
                             .worst = worst,
                             .victims = victims,
                             .n_victims = victims_of(g, v, victims),
                             .text = buf_str(&text),
                     },
                     now, clock_realtime());
        if (opened)
                bus_signal_incident(g, i, true);
}

void incidents_operator(Guard *g, Target *t, ActKind kind, const Caller *c, const char *text) {
        const Act act = {
                .kind = kind,
                .why = ACT_WHY_OPERATOR,
                .resource = _RESOURCE_INVALID,
                .lever = _LEVER_INVALID,
        };
        Culprit culprit = culprit_of(t);
        Leases *leases = g->judging->leases;
        usec_t now = clock_monotonic();
        const Lease *l;
        Incident *i;
        uint64_t event;
        bool opened;

        i = incidents_take(&g->judging->incidents, &culprit, false, 0, now, clock_realtime(), &opened);
        event = announce_judged(g, announce_of(&act, &(Thrash){}), t, i ? i->id : 0, NULL, c, text);
        for (size_t k = 0; leases && (l = leases_next(leases, &k));) {
                Lease marked = *l;

                if (l->cgroup_id != t->id || !l->by_operator || l->event != 0)
                        continue;
                marked.event = event;
                (void)leases_put(leases, &marked);
        }
        if (i)
                incident_add(i, &(IncidentAct){ .act = &act, .done = true, .event = event, .text = text },
                             now, clock_realtime());
}

/* ---- the end ---- */

/* Something of ours is on it, or on its way there. */
static bool stands(const Target *t) {
        if (!t || t->leaving)
                return false;
        if (t->n_leases > 0)
                return true;
        for (Resource r = 0; t->judged && r < _RESOURCE_MAX; r++)
                if (t->judged->memory.ladders[r].rung != RUNG_NONE)
                        return true;
        return false;
}

void incidents_beat(Guard *g, usec_t now) {
        Incidents *all = &g->judging->incidents;

        for (size_t k = 0; k < all->n; k++) {
                Incident *i = all->list[k];

                if (incident_step(i, stands(map_get_u64(&g->targets, i->cgroup_id)), now, clock_realtime()))
                        bus_signal_incident(g, i, false);
        }
}

void incidents_free(Guard *g) {
        WouldCount *w;

        incidents_deinit(&g->judging->incidents);
        for (size_t i = 0; (w = map_next(&g->judging->would, &i));)
                would_free(w);
        map_deinit(&g->judging->would);
}
