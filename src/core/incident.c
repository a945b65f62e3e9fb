/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Twenty steps on one culprit in ten minutes are one story, and one mail.
 *
 * An incident is known by its culprit's tenant and name, not by its cgroup: who is killed and comes again goes on
 * with its story. It is open from the first act that is more than a note until nothing of ours stands on the culprit
 * and nothing was done for INCIDENT_CALM_USEC. After that it stays for a while: what comes within INCIDENT_USEC of
 * the last act opens it again, under the same number.
 *
 * Spans are measured in monotonic time; realtime is only shown.
 */

#include <stdio.h>

#include "incident.h"

static Incident *incident_free(Incident *i) {
        if (!i)
                return NULL;
        free(i->tenant);
        free(i->container);
        free(i->cgroup);
        free(i->text);
        free(i);
        return NULL;
}
DEFINE_CLEANUP(Incident *, incident_free)

void incidents_deinit(Incidents *all) {
        for (size_t i = 0; i < all->n; i++)
                incident_free(all->list[i]);
        *all = (Incidents){};
}

Incident *incidents_of(const Incidents *all, const char *tenant, const char *name) {
        for (size_t i = all->n; i-- > 0;)
                if (STR_EQ(all->list[i]->container, name) && STR_EQ(all->list[i]->tenant, tenant))
                        return all->list[i];
        return NULL;
}

Incident *incidents_by_id(const Incidents *all, uint64_t id) {
        for (size_t i = all->n; i-- > 0;)
                if (all->list[i]->id == id)
                        return all->list[i];
        return NULL;
}

bool incident_opens(const Act *a) {
        switch (a->kind) {
        case ACT_NOTIFY:
                return a->why != ACT_WHY_MIXED && a->why != ACT_WHY_THRASH && a->why != ACT_WHY_CALM;
        case ACT_RELAX:
        case ACT_RELEASE:
        case ACT_THAW:
                return false;
        default:
                return true;
        }
}

static Incident *incident_new(const Culprit *c, uint64_t id, uint64_t realtime) {
        _cleanup_(cleanup_incident_free) Incident *i = calloc(1, sizeof(*i));

        if (!i)
                return NULL;
        i->id = id;
        i->cgroup_id = c->cgroup_id;
        i->opened = realtime;
        i->tenant = strdup(c->tenant);
        i->container = strdup(c->name);
        i->cgroup = strdup(c->cgroup);
        return i->tenant && i->container && i->cgroup ? steal_ptr(i) : NULL;
}

static void make_room(Incidents *all) {
        size_t k = 0;

        if (all->n < INCIDENTS_MAX)
                return;
        while (k < all->n && all->list[k]->closed == 0)
                k++;
        if (k == all->n)
                k = 0;
        incident_free(all->list[k]);
        all->n--;
        memmove(&all->list[k], &all->list[k + 1], (all->n - k) * sizeof(all->list[0]));
}

Incident *incidents_take(Incidents *all, const Culprit *c, bool opens, uint64_t fresh_id, usec_t now,
                         uint64_t realtime, bool *ret_opened) {
        Incident *i = incidents_of(all, c->tenant, c->name);

        *ret_opened = false;
        if (i && (i->closed == 0 || now - i->acted_at <= INCIDENT_USEC)) {
                if (i->cgroup_id != c->cgroup_id) {
                        char *cgroup = strdup(c->cgroup);

                        if (cgroup) {
                                free(i->cgroup);
                                i->cgroup = cgroup;
                        }
                        i->cgroup_id = c->cgroup_id;
                        i->n_io = 0;
                }
                if (i->closed != 0 && opens) {
                        i->closed = 0;
                        *ret_opened = true;
                }
                return i;
        }
        if (!opens)
                return NULL;
        i = incident_new(c, fresh_id, realtime);
        if (!i)
                return NULL;
        make_room(all);
        all->list[all->n++] = i;
        *ret_opened = true;
        return i;
}

static LadderRung rung_of(ActKind k) {
        switch (k) {
        case ACT_NOTIFY:
        case ACT_ALARM:
                return RUNG_NOTIFY;
        case ACT_THROTTLE:
                return RUNG_THROTTLE;
        case ACT_FREEZE:
                return RUNG_FREEZE;
        case ACT_STOP:
                return RUNG_STOP;
        case ACT_KILL:
                return RUNG_KILL;
        default:
                return RUNG_NONE;
        }
}

static void add_victim(Incident *i, const IncidentVictim *v) {
        for (unsigned k = 0; k < i->n_victims; k++)
                if (STR_EQ(i->victims[k].name, v->name) && STR_EQ(i->victims[k].tenant, v->tenant))
                        return;
        if (i->n_victims < INCIDENT_VICTIMS_MAX)
                i->victims[i->n_victims++] = *v;
}

static void keep_io(Incident *i, const Act *a) {
        if (a->lever != LEVER_IO)
                return;
        if (a->kind == ACT_RELEASE)
                i->n_io = 0;
        else if (a->kind == ACT_THROTTLE || a->kind == ACT_RELAX) {
                i->n_io = MIN_OF(a->n, (unsigned)LADDER_VALUES_MAX);
                memcpy(i->io, a->values, i->n_io * sizeof(i->io[0]));
        }
}

void incident_add(Incident *i, const IncidentAct *a, usec_t now, uint64_t realtime) {
        LadderRung rung = rung_of(a->act->kind);

        i->acted_at = now;
        i->last = realtime;
        i->quiet_since = 0;
        if (a->act->resource >= 0 && a->act->resource < _RESOURCE_MAX)
                i->resources |= 1u << a->act->resource;
        i->worst = MAX_OF(i->worst, a->worst);
        if (a->act->would)
                i->n_would++;
        else if (a->done && a->act->kind != ACT_NOTIFY && a->act->kind != ACT_ALARM)
                i->n_acts++;
        if (a->done && a->act->kind == ACT_KILL)
                i->n_kills++;
        if (a->done)
                keep_io(i, a->act);
        for (unsigned k = 0; k < a->n_victims; k++)
                add_victim(i, &a->victims[k]);
        i->events[i->n_events++ % INCIDENT_EVENTS_MAX] = a->event;
        if (rung != RUNG_NONE && rung >= i->rung) {
                char *text = strdup(a->text);

                i->rung = rung;
                if (text) {
                        free(i->text);
                        i->text = text;
                }
        }
}

bool incident_step(Incident *i, bool standing, usec_t now, uint64_t realtime) {
        if (i->closed != 0)
                return false;
        if (standing) {
                i->quiet_since = 0;
                return false;
        }
        if (i->quiet_since == 0)
                i->quiet_since = MAX_OF(now, (usec_t)1);
        if (now - i->quiet_since < INCIDENT_CALM_USEC)
                return false;
        i->closed = MAX_OF(realtime, (uint64_t)1);
        return true;
}

uint64_t incident_event(const Incident *i, unsigned k) {
        if (k >= i->n_events || k >= INCIDENT_EVENTS_MAX)
                return 0;
        return i->events[(i->n_events - 1 - k) % INCIDENT_EVENTS_MAX];
}
