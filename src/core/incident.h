/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What belongs to which incident (layer: core, pure): acts on one culprit, by tenant and name, of which none
 * came later than INCIDENT_USEC after the one before. INTERFACES.md "Journal".
 */

#include "ladder.h"
#include "policy.h"

#define INCIDENT_USEC (300 * USEC_PER_SEC)
#define INCIDENT_CALM_USEC \
        (60 * USEC_PER_SEC) /* nothing stands and nothing is done for so long: it is over */
#define INCIDENTS_MAX 256
#define INCIDENT_EVENTS_MAX 64
#define INCIDENT_VICTIMS_MAX 8
#define INCIDENT_NAME_MAX 127

typedef struct IncidentVictim {
        char name[INCIDENT_NAME_MAX + 1], tenant[POLICY_NAME_MAX + 1]; /* tenant "": none */
} IncidentVictim;

typedef struct Incident {
        uint64_t id;
        uint64_t cgroup_id;
        char *tenant, *container, *cgroup;
        uint64_t opened, last, closed; /* realtime; closed 0: open */
        usec_t acted_at; /* monotonic: the last act */
        usec_t quiet_since; /* monotonic: nothing stands since; 0: something does */
        unsigned resources; /* 1 << Resource */
        LadderRung rung; /* the highest */
        unsigned worst; /* permyriad: the worst victim's stall */
        unsigned n_acts, n_would, n_kills;
        IncidentVictim victims[INCIDENT_VICTIMS_MAX];
        unsigned n_victims;
        uint64_t events[INCIDENT_EVENTS_MAX];
        unsigned n_events; /* may be more than are kept: a ring */
        LimitEntry io
                [LADDER_VALUES_MAX]; /* what the last act wrote to io.max, for what the next one comes from */
        unsigned n_io;
        char *text; /* one sentence: of the strongest act, the last of these; NULL: no memory */
} Incident;

/* All zero is none. Owns its incidents. */
typedef struct Incidents {
        Incident *list[INCIDENTS_MAX]; /* the oldest first */
        size_t n;
} Incidents;

typedef struct Culprit { /* borrowed */
        const char *tenant, *name, *cgroup;
        uint64_t cgroup_id;
} Culprit;

typedef struct IncidentAct {
        const Act *act;
        bool done; /* neither would, nor failed */
        uint64_t event;
        unsigned worst; /* permyriad */
        const IncidentVictim *victims;
        unsigned n_victims;
        const char *text;
} IncidentAct;

void incidents_deinit(Incidents *all);
/* The newest of that culprit's, open or not. NULL: none. */
Incident *incidents_of(const Incidents *all, const char *tenant, const char *name);
Incident *incidents_by_id(const Incidents *all, uint64_t id);
/* Does an act open an incident? Steps back and mere notes do not: they belong to one that there is, or to none. */
bool incident_opens(const Act *a);
/*
 * The incident that an act of now belongs to. One that is open, or whose last act is not too long ago, goes on, and is opened again if
 * `opens`; else, if `opens`, a new one is made with `fresh_id`: the oldest that is over (if none is, the oldest) makes room.
 * *ret_opened: it was opened just now, anew or again. NULL: it belongs to none, or there is no memory.
 */
Incident *incidents_take(Incidents *all, const Culprit *c, bool opens, uint64_t fresh_id, usec_t now,
                         uint64_t realtime, bool *ret_opened);
/* The act happened, and is told as that event. */
void incident_add(Incident *i, const IncidentAct *a, usec_t now, uint64_t realtime);
/* Once a beat. standing: something of ours stands on the culprit, or its ladder is not at rest. True: it was closed just now. */
bool incident_step(Incident *i, bool standing, usec_t now, uint64_t realtime);
/* The k-th newest of its events that are kept, 0: the newest; 0: no more. */
uint64_t incident_event(const Incident *i, unsigned k);
