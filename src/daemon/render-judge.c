/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the judge saw and did as JSON (include/bailiff/bus.h: judged, harm, candidate, lease, incident, why).
 *
 * A verdict is rendered in the step that made it, for its indices are of that step's scene; it is kept as text with its event.
 * Everything else is of now. What one tenant may read of it is telling.c's.
 */

#include <jansson.h>
#include <stdio.h>

#include "guard.h"
#include "json.h"
#include "num.h"
#include "telling.h"

#define WHY_EVENTS_MAX 256 /* of one answer: the newest */

/* ---- parties ---- */

static const Party *party_at(const Guard *g, uint32_t i) {
        return i < g->judging->scene.n ? &g->judging->scene.parties[i] : NULL;
}

/* Path of the cgroup of that id. NULL: not known. */
static const char *path_of(const Guard *g, uint64_t id) {
        const Target *t = map_get_u64(&g->targets, id);
        const Bystander *b = t ? NULL : map_get_u64(&g->judging->bystanders, id);

        return t ? t->node->path : b ? b->node->path : NULL;
}

static void set_party(const Guard *g, json_t *o, const Party *p) {
        json_set_text(o, "name", p->name);
        json_set_text(o, "tenant", p->tenant);
        json_set_text(o, "cgroup", p->kind == PARTY_HOST ? "/" : path_of(g, p->id));
        json_set_text(o, "kind", party_kind_to_string(p->kind));
}

static void set_target(json_t *o, const Target *t) {
        json_set_text(o, "name", target_name(t));
        json_set_text(o, "tenant", t->tenant ? t->tenant->name : POLICY_UNASSIGNED);
        json_set_text(o, "cgroup", t->node->path);
        json_set_text(o, "kind", party_kind_to_string(t->container ? PARTY_CONTAINER : PARTY_GROUP));
}

/* ---- a verdict ---- */

static void set_harm(const Guard *g, json_t *o, const Harm *h, Resource r) {
        json_set_text(o, "resource", resource_to_string(r));
        json_set_text(o, "class", harm_class_to_string(h->class));
        json_set_text(o, "why", harm_why_to_string(h->why));
        json_set_text(o, "why_text", harm_why_text(h->why));
        json_set_int(o, "share_permyriad", h->share);
        json_set_int(o, "target_permyriad", h->target);
        if (h->baseline > 0)
                json_set_int(o, "baseline_permyriad", h->baseline);
        else
                json_set_null(o, "baseline_permyriad");
        json_set_int(o, "own_permyriad", h->own);
        json_set_int(o, "confidence_percent", h->confidence);
        if (h->dev)
                json_set_device(g, o, h->dev);
        else
                json_set_null(o, "device");
}

static json_t *render_candidate(const Guard *g, const Candidate *c) {
        const Party *p = party_at(g, c->party);
        json_t *o = json_object();

        if (p)
                set_party(g, o, p);
        else {
                json_set_text(o, "name", "the kernel");
                json_set_null(o, "tenant");
                json_set_null(o, "cgroup");
                json_set_text(o, "kind", party_kind_to_string(c->kind));
        }
        json_set_text(o, "why", blame_why_to_string(c->why));
        json_set_text(o, "why_text", blame_why_text(c->why));
        json_set_int(o, "score_permyriad", c->score);
        json_set_int(o, "used", c->used);
        json_set_int(o, "entitled", c->entitled);
        json_set_int(o, "growth_per_sec", c->growth);
        json_set_int(o, "grown", c->grown);
        json_set_int(o, "refaults_per_sec", c->refaults);
        if (c->forks > 0)
                json_set_int(o, "forks_per_sec", c->forks);
        if (p && p->settings)
                json_set_int(o, "priority", p->settings->priority);
        return o;
}

/* What our last act on io.max wrote; false: not known. */
static bool io_of_incident(const Incident *i, LimitKnob knob, uint64_t *ret) {
        for (unsigned k = 0; i && k < i->n_io; k++)
                if (limit_knob_cmp(i->io[k].knob, knob) == 0) {
                        *ret = i->io[k].value;
                        return true;
                }
        return false;
}

/* The limit in force before the act: as the scene had it. */
static uint64_t in_force(const Party *p, LimitKnob knob, const Incident *i) {
        uint64_t v = LIMIT_INFINITY;

        switch (knob.limit) {
        case LIMIT_CPU_QUOTA:
                return p->limits.cpu_quota;
        case LIMIT_MEMORY_HIGH:
                return p->limits.memory_high;
        case LIMIT_TASKS_MAX:
                return p->limits.tasks_max;
        default:
                if (p->leased[LEVER_IO] && io_of_incident(i, knob, &v))
                        return v;
                if (p->limits.io)
                        (void)limit_set_get(p->limits.io, knob, &v);
                return v;
        }
}

static void add_value(const Guard *g, json_t *a, LimitKnob knob, uint64_t from, uint64_t to) {
        json_t *o = json_object();

        json_set_knob(g, o, knob);
        json_set_limit_value(o, "from", knob, true, from);
        json_set_limit_value(o, "to", knob, true, to);
        (void)json_array_append_new(a, o);
}

/* A lease that is given back whole: to what lies beneath it. */
static void add_released(const Guard *g, json_t *a, const Party *p, Lever lever, const Incident *i) {
        static const Limit limits[] = {
                [LEVER_CPU] = LIMIT_CPU_QUOTA,
                [LEVER_MEMORY] = LIMIT_MEMORY_HIGH,
                [LEVER_PIDS] = LIMIT_TASKS_MAX,
        };
        uint64_t beneath;

        if (lever < 0 || lever >= LEVERS_LIMIT || !p->leased[lever])
                return;
        if (lever != LEVER_IO) {
                LimitKnob knob = { limits[lever], 0 };

                add_value(g, a, knob, in_force(p, knob, i), p->beneath[lever]);
                return;
        }
        for (unsigned k = 0; i && k < i->n_io; k++) {
                beneath = LIMIT_INFINITY;
                if (p->beneath_io)
                        (void)limit_set_get(p->beneath_io, i->io[k].knob, &beneath);
                add_value(g, a, i->io[k].knob, i->io[k].value, beneath);
        }
}

static json_t *render_values(const Guard *g, const Verdict *v, const Incident *i) {
        const Party *p = party_at(g, v->culprit);
        json_t *a = json_array();

        if (!p)
                return a;
        for (unsigned k = 0; k < v->act.n && k < LADDER_VALUES_MAX; k++)
                add_value(g, a, v->act.values[k].knob, in_force(p, v->act.values[k].knob, i),
                          v->act.values[k].value);
        if (v->act.kind == ACT_RELEASE && v->act.n == 0)
                add_released(g, a, p, v->act.lever, i);
        return a;
}

static void set_effect(json_t *o, const Act *a) {
        json_t *x;

        if (!a->have_effect) {
                json_set_null(o, "effect");
                return;
        }
        x = json_object();
        json_set_int(x, "before_permyriad", a->share_before);
        json_set_int(x, "now_permyriad", a->share_now);
        json_set_bool(x, "helped", a->helped);
        (void)json_object_set_new(o, "effect", x);
}

static void set_thrash(json_t *o, const Thrash *t) {
        json_t *x;

        if (!t->found) {
                json_set_null(o, "thrash");
                return;
        }
        x = json_object();
        json_set_int(x, "hits_per_sec", t->hits);
        json_set_int(x, "refaults_per_sec", t->refaults);
        json_set_int(x, "io_read_bytes_per_sec", t->read_bytes);
        json_set_int(x, "memory_some_permyriad", t->memory_some);
        (void)json_object_set_new(o, "thrash", x);
}

json_t *render_judged(Guard *g, const Verdict *v, int result, const Incident *i) {
        const Party *culprit = party_at(g, v->culprit);
        const Act *act = &v->act;
        json_t *o, *a, *x;

        json_watch();
        o = json_object();
        json_set_text(o, "act", act_kind_to_string(act->kind));
        json_set_text(o, "why", act_why_to_string(act->why));
        json_set_text(o, "why_text", act_why_text(act->why));
        json_set_bool(o, "would", act->would);
        json_set_text(o, "error", result < 0 ? strerror(-result) : result > 0 ? "its cgroup is gone" : NULL);
        json_set_text(o, "resource", resource_to_string(act->resource));
        json_set_text(o, "lever", act->lever >= 0 ? lever_to_string(act->lever) : NULL);
        if (culprit) {
                x = json_object();
                set_party(g, x, culprit);
                (void)json_object_set_new(o, "culprit", x);
        } else
                json_set_null(o, "culprit");
        (void)json_object_set_new(o, "values", render_values(g, v, i));
        json_set_int(o, "span_usec", act->span);
        set_effect(o, act);
        a = json_array();
        for (unsigned k = 0; k < v->n_victims && k < VERDICT_VICTIMS_MAX; k++) {
                const Party *p = party_at(g, v->victims[k].party);

                if (!p)
                        continue;
                x = json_object();
                set_party(g, x, p);
                set_harm(g, x, &v->victims[k], v->victims[k].resource);
                (void)json_array_append_new(a, x);
        }
        (void)json_object_set_new(o, "victims", a);
        json_set_int(o, "victims_all", v->n_victims_all);
        a = json_array();
        for (unsigned k = 0; k < v->blame.n && k < CANDIDATES_MAX; k++)
                (void)json_array_append_new(a, render_candidate(g, &v->blame.candidates[k]));
        (void)json_object_set_new(o, "candidates", a);
        json_set_text(o, "outcome", v->blame.n > 0 ? blame_why_to_string(v->blame.outcome) : NULL);
        set_thrash(o, &v->thrash);
        if (json_is_short()) {
                json_decref(o);
                return NULL;
        }
        return o;
}

/* ---- leases ---- */

static json_t *render_lease(const Guard *g, const Lease *l, const Target *t) {
        bool limit = l->kind == LEASE_LIMIT;
        const Event *e = event_find(g, l->event);
        json_t *o = json_object();
        usec_t now = clock_monotonic();

        json_set_text(o, "cgroup", l->path);
        json_set_text(o, "container", t ? target_name(t) : NULL);
        json_set_text(o, "tenant", t && t->tenant ? t->tenant->name : NULL);
        if (limit) {
                json_set_knob(g, o, l->knob);
                json_set_limit_value(o, "value", l->knob, true, l->value);
                json_set_limit_value(o, "beneath", l->knob, true, l->beneath);
        } else {
                json_set_text(o, "limit", "freeze");
                json_set_null(o, "device");
        }
        json_set_text(o, "by", l->by_operator ? "operator" : "judge");
        json_set_text(o, "resource",
                      limit && !l->by_operator ? resource_to_string((Resource)l->resource) : NULL);
        json_set_text(o, "reason", l->reason);
        if (e)
                json_set_int(o, "since", e->realtime);
        else
                json_set_null(o, "since");
        if (l->end != USEC_INFINITY)
                json_set_int(o, "until", num_add_sat(clock_realtime(), l->end > now ? l->end - now : 0));
        else
                json_set_null(o, "until");
        if (l->event)
                json_set_int(o, "event", l->event);
        return o;
}

json_t *render_leases_of(Guard *g, const Target *t) {
        const Leases *leases = g->judging->leases;
        json_t *a = json_array();
        const Lease *l;

        if (t->n_leases == 0 || !leases)
                return a;
        for (size_t i = 0; (l = leases_next(leases, &i));)
                if (l->cgroup_id == t->id)
                        (void)json_array_append_new(a, render_lease(g, l, t));
        return a;
}

static json_t *render_rungs(const Target *t) {
        json_t *a = json_array();

        for (Resource r = 0; t->judged && r < _RESOURCE_MAX; r++) {
                LadderRung rung = t->judged->memory.ladders[r].rung;
                json_t *o;

                if (rung == RUNG_NONE)
                        continue;
                o = json_object();
                json_set_text(o, "resource", resource_to_string(r));
                json_set_text(o, "rung", ladder_rung_to_string(rung));
                (void)json_array_append_new(a, o);
        }
        return a;
}

json_t *render_judged_now(Guard *g, const Target *t) {
        json_t *o = json_object();

        (void)g;
        (void)json_object_set_new(o, "rungs", render_rungs(t));
        return o;
}

/* ---- incidents ---- */

static json_t *render_incident(const Incident *i) {
        json_t *o = json_object(), *a;

        json_set_int(o, "id", i->id);
        json_set_text(o, "tenant", i->tenant);
        json_set_text(o, "container", i->container);
        json_set_text(o, "cgroup", i->cgroup);
        json_set_int(o, "cgroup_id", i->cgroup_id);
        json_set_int(o, "opened", i->opened);
        json_set_int(o, "last", i->last);
        if (i->closed)
                json_set_int(o, "closed", i->closed);
        else
                json_set_null(o, "closed");
        a = json_array();
        for (Resource r = 0; r < _RESOURCE_MAX; r++)
                if (i->resources >> r & 1)
                        (void)json_array_append_new(a, json_text_or_null(resource_to_string(r)));
        (void)json_object_set_new(o, "resources", a);
        json_set_int(o, "acts", i->n_acts);
        json_set_int(o, "would", i->n_would);
        json_set_int(o, "kills", i->n_kills);
        json_set_text(o, "rung", ladder_rung_to_string(i->rung));
        json_set_int(o, "worst_permyriad", i->worst);
        a = json_array();
        for (unsigned k = 0; k < i->n_victims; k++) {
                json_t *v = json_object();

                json_set_text(v, "name", i->victims[k].name);
                json_set_text(v, "tenant", *i->victims[k].tenant ? i->victims[k].tenant : NULL);
                (void)json_array_append_new(a, v);
        }
        (void)json_object_set_new(o, "victims", a);
        json_set_text(o, "text", i->text);
        a = json_array();
        for (unsigned k = MIN_OF(i->n_events, (unsigned)INCIDENT_EVENTS_MAX); k-- > 0;)
                (void)json_array_append_new(a, json_integer((json_int_t)incident_event(i, k)));
        (void)json_object_set_new(o, "events", a);
        return o;
}

json_t *render_incidents(Guard *g, uint32_t max) {
        const Incidents *all = &g->judging->incidents;
        json_t *a = json_array();

        for (size_t i = all->n; i-- > 0 && (max == 0 || all->n - i <= max);)
                (void)json_array_append_new(a, render_incident(all->list[i]));
        return json_pack("{s:o}", "incidents", a);
}

/* ---- why ---- */

typedef struct Question {
        Guard *g;
        const char *tenant; /* who reads it; NULL: all may be told */
        json_t *now, *incidents;
        uint64_t events[WHY_EVENTS_MAX]; /* a ring; in any order */
        size_t n_events;
} Question;

static bool may_read(const Question *q, const Target *t) {
        return !q->tenant || STR_EQ(t->tenant ? t->tenant->name : POLICY_UNASSIGNED, q->tenant);
}

static void ask_event(Question *q, uint64_t id) {
        size_t kept = MIN_OF(q->n_events, (size_t)WHY_EVENTS_MAX), oldest = 0;

        for (size_t i = 0; i < kept; i++) {
                if (q->events[i] == id)
                        return;
                if (q->events[i] < q->events[oldest])
                        oldest = i;
        }
        if (kept < WHY_EVENTS_MAX)
                q->events[q->n_events++] = id;
        else if (q->events[oldest] < id)
                q->events[oldest] = id;
}

/* What is kept of its newest event that has evidence. */
static json_t *newest_judged(const Guard *g, const Incident *i) {
        uint64_t id;

        for (unsigned k = 0; (id = incident_event(i, k)); k++) {
                const Event *e = event_find(g, id);

                if (e && e->judged)
                        return json_loads(e->judged, 0, NULL);
        }
        return NULL;
}

static void ask_incident(Question *q, const Incident *i) {
        json_t *o = render_incident(i), *judged;
        uint64_t id;

        if (q->tenant && !telling_concerns(o, q->tenant)) {
                json_decref(o);
                return;
        }
        if (q->tenant) {
                judged = newest_judged(q->g, i);
                telling_redact_incident(o, judged, q->tenant);
                json_decref(judged);
        }
        (void)json_array_append_new(q->incidents, o);
        for (unsigned k = 0; (id = incident_event(i, k)); k++)
                ask_event(q, id);
}

/* Nothing is weighed of who does nothing and waits for nothing. */
static bool was_never_weighed(const Target *t, const PartyMemory *m) {
        return m->harm_seen == 0 && (t->m.tier.level == TIER_COLD || t->m.tier.why == TIER_WHY_ASKED);
}

static void ask_target(Question *q, const Target *t) {
        static const PartyMemory none;
        const PartyMemory *m = t->judged ? &t->judged->memory : &none;
        json_t *o, *harms, *text;
        Resource n = _RESOURCE_MAX;

        if (!may_read(q, t))
                return;
        o = json_object();
        json_set_text(o, "container", target_name(t));
        json_set_text(o, "tenant", t->tenant ? t->tenant->name : POLICY_UNASSIGNED);
        harms = json_array();
        text = json_array();
        if (was_never_weighed(t, m)) {
                _cleanup_buf_ Buf b = BUF_INIT;

                judge_explain_quiet(target_name(t), &b);
                (void)json_array_append_new(text, json_text_or_null(buf_str(&b)));
                n = 0;
        }
        for (Resource r = 0; r < n; r++) {
                _cleanup_buf_ Buf b = BUF_INIT;
                json_t *h = json_object();

                set_target(h, t);
                set_harm(q->g, h, &m->harm[r], r);
                (void)json_array_append_new(harms, h);
                /* Tasks run short for all of the host: of one party there is only something to say when it is held back for it. */
                if (r != RESOURCE_PIDS || m->harm[r].class != HARM_NONE || m->ladders[r].rung != RUNG_NONE)
                        judge_explain(m, r, target_name(t), &b);
                if (b.len > 0)
                        (void)json_array_append_new(text, json_text_or_null(buf_str(&b)));
        }
        (void)json_object_set_new(o, "harms", harms);
        json_set_bool(o, "thrash", m->thrash.found);
        (void)json_object_set_new(o, "leases", render_leases_of(q->g, t));
        (void)json_object_set_new(o, "rungs", render_rungs(t));
        (void)json_object_set_new(o, "text", text);
        (void)json_array_append_new(q->now, o);
}

/* It suffers, or something of ours stands on it. */
static bool of_interest(const Target *t) {
        if (!t->container || t->leaving)
                return false;
        if (t->n_leases > 0)
                return true;
        for (Resource r = 0; t->judged && r < _RESOURCE_MAX; r++)
                if (t->judged->memory.harm[r].class != HARM_NONE ||
                    t->judged->memory.ladders[r].rung != RUNG_NONE)
                        return true;
        return false;
}

static json_t *render_subject(const Guard *g, const char *kind, const char *name, const char *tenant,
                              const char *cgroup, const Settings *s) {
        json_t *o = json_object();

        json_set_text(o, "kind", kind);
        json_set_text(o, "name", name);
        json_set_text(o, "tenant", tenant);
        json_set_text(o, "cgroup", cgroup);
        if (s) {
                json_set_text(o, "mode", mode_to_string(MIN_OF(s->mode, guard_host_mode(g, NULL))));
                json_set_text(o, "kill", kill_to_string(s->kill));
                json_set_int(o, "priority", s->priority);
        }
        return o;
}

static json_t *subject_of(const Guard *g, const char *kind, const Target *t) {
        return render_subject(g, kind, target_name(t), t->tenant ? t->tenant->name : POLICY_UNASSIGNED,
                              t->node->path, &t->settings);
}

static bool hurts(const Incident *i, const char *tenant, const char *name) {
        for (unsigned k = 0; k < i->n_victims; k++)
                if (STR_EQ(i->victims[k].tenant, tenant) && (!name || STR_EQ(i->victims[k].name, name)))
                        return true;
        return false;
}

/* The newest first. name NULL: of the whole tenant. */
static void ask_incidents_of(Question *q, const char *tenant, const char *name) {
        const Incidents *all = &q->g->judging->incidents;

        for (size_t k = all->n; k-- > 0;) {
                const Incident *i = all->list[k];

                if ((STR_EQ(i->tenant, tenant) && (!name || STR_EQ(i->container, name))) ||
                    hurts(i, tenant, name))
                        ask_incident(q, i);
        }
}

static json_t *ask_all(Question *q) {
        const Incidents *all = &q->g->judging->incidents;
        size_t i = 0;
        Target *t;

        while ((t = map_next(&q->g->targets, &i)))
                if (of_interest(t))
                        ask_target(q, t);
        for (size_t k = all->n; k-- > 0;)
                if (!all->list[k]->closed)
                        ask_incident(q, all->list[k]);
        return json_null();
}

static json_t *ask_one_incident(Question *q, const Incident *i) {
        const Target *t = map_get_u64(&q->g->targets, i->cgroup_id);

        if (t)
                ask_target(q, t);
        ask_incident(q, i);
        return render_subject(q->g, "incident", i->container, i->tenant, i->cgroup, t ? &t->settings : NULL);
}

static json_t *ask_one_event(Question *q, const Event *e) {
        const Target *t = e->cgroup_id ? map_get_u64(&q->g->targets, e->cgroup_id) : NULL;
        const Incident *i = e->incident ? incidents_by_id(&q->g->judging->incidents, e->incident) : NULL;

        if (t && t->container)
                ask_target(q, t);
        if (i)
                ask_incident(q, i);
        ask_event(q, e->id);
        return render_subject(q->g, "event", e->container, e->tenant, e->cgroup, t ? &t->settings : NULL);
}

static json_t *ask_tenant(Question *q, const Tenant *tenant) {
        for (size_t i = 0; i < tenant->n_members; i++)
                if (of_interest(tenant->members[i]))
                        ask_target(q, tenant->members[i]);
        ask_incidents_of(q, tenant->name, NULL);
        return render_subject(q->g, "tenant", tenant->name, tenant->name, NULL, &tenant->settings);
}

/* Who is gone may have left a story. NULL: nobody of that name did. */
static json_t *ask_gone(Question *q, const char *name) {
        const Incidents *all = &q->g->judging->incidents;

        if (strncmp(name, "container:", 10) == 0)
                name += 10;
        for (size_t k = all->n; k-- > 0;) {
                const Incident *i = all->list[k];

                if (!STR_EQ(i->container, name) && !STR_EQ(i->cgroup, name))
                        continue;
                ask_incidents_of(q, i->tenant, i->container);
                return render_subject(q->g, "container", i->container, i->tenant, i->cgroup, NULL);
        }
        return NULL;
}

static json_t *ask_name(Question *q, const char *name, const char **ret_error) {
        Tenant *tenant;
        Target *t = world_find(q->g, name, ret_error, &tenant);
        json_t *gone;

        if (t && t->container) {
                ask_target(q, t);
                ask_incidents_of(q, t->tenant ? t->tenant->name : POLICY_UNASSIGNED, target_name(t));
                return subject_of(q->g, "container", t);
        }
        if (t && !tenant)
                tenant = t->tenant;
        if (tenant)
                return ask_tenant(q, tenant);
        if (!*ret_error)
                *ret_error = "it belongs to no tenant";
        gone = strncmp(*ret_error, "ambiguous", 9) != 0 ? ask_gone(q, name) : NULL;
        if (gone)
                *ret_error = NULL;
        return gone;
}

/* NULL with *ret_error: there is no such thing. */
static json_t *ask(Question *q, const char *what, const char **ret_error) {
        const Incident *i;
        const Event *e;
        uint64_t id;

        if (!*what)
                return ask_all(q);
        if (*what == '#') {
                if (num_parse_u64(what + 1, &id) < 0) {
                        *ret_error = "an incident is a number behind a #";
                        return NULL;
                }
                i = incidents_by_id(&q->g->judging->incidents, id);
                if (i)
                        return ask_one_incident(q, i);
                *ret_error = "no such incident is kept";
                return NULL;
        }
        if (num_parse_u64(what, &id) >= 0 && (e = event_find(q->g, id)))
                return ask_one_event(q, e);
        return ask_name(q, what, ret_error);
}

static int by_id(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static json_t *render_asked(Question *q) {
        json_t *a = json_array();

        if (q->n_events > 0)
                qsort(q->events, q->n_events, sizeof(q->events[0]), by_id);
        for (size_t i = 0; i < q->n_events; i++) {
                const Event *e = event_find(q->g, q->events[i]);
                json_t *o;

                if (!e)
                        continue;
                o = render_event(q->g, e);
                if (q->tenant && !telling_concerns(o, q->tenant)) {
                        json_decref(o);
                        continue;
                }
                if (q->tenant)
                        telling_redact_event(o, q->tenant);
                (void)json_array_append_new(a, o);
        }
        return a;
}

/* Of somebody else nothing is said but that it is somebody else. */
static void redact_subject(json_t *o, const char *tenant) {
        const char *whose = json_string_value(json_object_get(o, "tenant"));
        static const char *const keys[] = { "name", "tenant", "cgroup" };

        if (!json_is_object(o) || (whose && STR_EQ(whose, tenant)))
                return;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                json_set_null(o, keys[i]);
        (void)json_object_del(o, "mode");
        (void)json_object_del(o, "kill");
        (void)json_object_del(o, "priority");
}

json_t *render_why(Guard *g, const char *what, const char *for_tenant, const char **ret_error) {
        Question q = {
                .g = g,
                .tenant = *for_tenant ? for_tenant : NULL,
                .now = json_array(),
                .incidents = json_array(),
        };
        json_t *o, *subject;

        *ret_error = NULL;
        subject = ask(&q, what, ret_error);
        if (!subject) {
                json_decref(q.now);
                json_decref(q.incidents);
                return NULL;
        }
        if (q.tenant)
                redact_subject(subject, q.tenant);
        *ret_error = NULL;
        o = json_object();
        json_set_int(o, "time", clock_realtime());
        json_set_text(o, "what", what);
        (void)json_object_set_new(o, "subject", subject);
        (void)json_object_set_new(o, "now", q.now);
        (void)json_object_set_new(o, "incidents", q.incidents);
        (void)json_object_set_new(o, "events", render_asked(&q));
        return o;
}

/* ---- what would have been done ---- */

static int by_tenant_and_name(const void *a, const void *b) {
        const WouldCount *x = *(WouldCount *const *)a, *y = *(WouldCount *const *)b;
        int r = strcmp(x->tenant, y->tenant);

        return r ? r : strcmp(x->name, y->name);
}

static json_t *render_counts(const WouldCount *w) {
        json_t *o = json_object();

        json_set_int(o, "throttle", w->throttle);
        json_set_int(o, "freeze", w->freeze);
        json_set_int(o, "stop", w->stop);
        json_set_int(o, "kill", w->kill);
        return o;
}

json_t *render_observe_report(Guard *g) {
        const Map *would = &g->judging->would;
        _cleanup_free_ WouldCount **list = calloc(would->n + 1, sizeof(*list));
        json_t *tenants = json_array();
        size_t n = 0, i = 0;
        WouldCount *w;

        while (list && (w = map_next(would, &i)))
                list[n++] = w;
        if (n > 0)
                qsort(list, n, sizeof(*list), by_tenant_and_name);
        for (i = 0; i < n;) {
                const Tenant *tenant = map_get_str(&g->tenants, list[i]->tenant);
                json_t *o = json_object(), *a = json_array();
                WouldCount sum = { .tenant = list[i]->tenant };

                for (; i < n && STR_EQ(list[i]->tenant, sum.tenant); i++) {
                        json_t *x = json_object();
                        const Event *e;

                        w = list[i];
                        sum.throttle += w->throttle;
                        sum.freeze += w->freeze;
                        sum.stop += w->stop;
                        sum.kill += w->kill;
                        json_set_text(x, "name", w->name);
                        json_set_text(x, "cgroup", w->cgroup);
                        (void)json_object_set_new(x, "would", render_counts(w));
                        e = event_find(g, w->worst_event);
                        (void)json_object_set_new(x, "worst", e ? render_event(g, e) : json_null());
                        (void)json_array_append_new(a, x);
                }
                json_set_text(o, "name", sum.tenant);
                json_set_text(o, "mode",
                              tenant ? mode_to_string(MIN_OF(tenant->settings.mode, guard_host_mode(g, NULL)))
                                     : NULL);
                (void)json_object_set_new(o, "would", render_counts(&sum));
                (void)json_object_set_new(o, "containers", a);
                (void)json_array_append_new(tenants, o);
        }
        return json_pack("{s:I, s:o}", "since", (json_int_t)g->started_realtime, "tenants", tenants);
}

/* ---- status ---- */

static json_t *render_acts(const uint64_t counts[static _ACT_MAX]) {
        json_t *o = json_object();

        for (ActKind k = 0; k < _ACT_MAX; k++)
                json_set_int(o, act_kind_to_string(k), counts[k]);
        return o;
}

json_t *render_judge_status(Guard *g) {
        const Judging *j = g->judging;
        unsigned rungs[_RUNG_MAX] = {};
        json_t *o = json_object(), *x = json_object();
        usec_t now = clock_monotonic();
        size_t open = 0, i = 0;
        Target *t;

        while ((t = map_next(&g->targets, &i)))
                for (Resource r = 0; t->judged && r < _RESOURCE_MAX; r++)
                        rungs[t->judged->memory.ladders[r].rung]++;
        for (LadderRung r = RUNG_NOTIFY; r < _RUNG_MAX; r++)
                json_set_int(x, ladder_rung_to_string(r), rungs[r]);
        for (i = 0; i < j->incidents.n; i++)
                open += j->incidents.list[i]->closed == 0;
        json_set_int(o, "steps", j->judge->n_steps);
        json_set_int(o, "parties", j->n_parties);
        (void)json_object_set_new(o, "rung_counts", x);
        json_set_int(o, "incidents_open", open);
        if (j->n_scenes > 0)
                json_set_int(o, "kill_budget_left",
                             budget_left(&j->judge->brakes.host, j->scene.rules.kill_budget,
                                         j->scene.rules.kill_window, now));
        else
                json_set_null(o, "kill_budget_left");
        json_set_bool(o, "in_storm", brakes_in_storm(&j->judge->brakes, now));
        (void)json_object_set_new(o, "acts", render_acts(j->n_acts));
        (void)json_object_set_new(o, "would", render_acts(j->n_would));
        (void)json_object_set_new(o, "reaction_usec",
                                  json_pack("{s:I, s:I, s:I, s:I}", "last", (json_int_t)j->reaction.last,
                                            "p50", (json_int_t)loghist_quantile(&j->reaction, 5000), "p99",
                                            (json_int_t)loghist_quantile(&j->reaction, 9900), "max",
                                            (json_int_t)j->reaction.max));
        return o;
}

json_t *render_leases_status(Guard *g) {
        const Judging *j = g->judging;
        size_t limits = 0, frozen = 0;
        json_t *o = json_object();
        LeasesStats stats = {};
        const Lease *l;

        if (j->leases) {
                leases_get_stats(j->leases, &stats);
                for (size_t i = 0; (l = leases_next(j->leases, &i));) {
                        limits += l->kind == LEASE_LIMIT;
                        frozen += l->kind == LEASE_FREEZE;
                }
        }
        json_set_int(o, "limits", limits);
        json_set_int(o, "frozen", frozen);
        json_set_int(o, "damaged", stats.n_damaged);
        json_set_text(o, "error", j->leases_error < 0 ? strerror(-j->leases_error) : NULL);
        json_set_int(o, "thaw_pid", (uint64_t)thaw_pid(j->thaw));
        return o;
}
