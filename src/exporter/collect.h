/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the guard told, as it is now (for metrics) and into the history. No bus and no clock: answers come from guardlink.h, `realtime`
 * is a parameter.
 */

#include <jansson.h>

#include "ceilings.h"
#include "history-db.h"
#include "map.h"

typedef struct Subject {
        HistoryKind kind;
        uint64_t cgroup_id, since;
        char *tenant, *name, *cgroup; /* as the stream has them: any bytes */
        char *engine, *id, *image; /* NULL: not told yet */
        Ceilings ceilings;
        UsageTally tally; /* its last: all that is known, whenever it was told */
        UsageRow pending; /* rows that could not be written, as one */
        bool has_pending;
        int64_t number; /* in the history; 0: not known */
        bool named; /* the history has its names */
        bool seen; /* in the stream that is being read */
        bool gone;
        uint64_t ended; /* realtime µs */
        const char *end;
} Subject;

typedef struct TenantState {
        char *name;
        int64_t number;
        bool has_base;
        Book base; /* what its rows tell up to */
        uint64_t row_at; /* realtime µs of its last row; 0: none in this run */
        /* now: of its slices, and of containers outside of them */
        uint64_t memory, working_set, swap, tasks, containers;
} TenantState;

typedef struct Collect {
        HistoryDb *db;
        HistoryReader *reader;
        Map by_index, by_cgroup; /* of Subject */
        Map tenants; /* by name, of TenantState */
        struct CollectRow {
                Subject *subject;
                UsageRow row;
        } * batch;
        size_t n_batch;
        uint64_t first; /* realtime of the earliest look of this guard */
        bool begun, usage_seen;
        bool wants_details; /* somebody is new */
        int error; /* -ENOMEM while a stream is read */
} Collect;

/* db is borrowed. */
int collect_new(HistoryDb *db, Collect **ret);
Collect *collect_free(Collect *c);
DEFINE_CLEANUP(Collect *, collect_free)

/* The answer to GetHistory(), asked for with the reader's instance and cursor. -EBADMSG, -EPROTONOSUPPORT: it cannot be read, and
 * is asked for from the beginning the next time; -ENOMEM. */
int collect_stream(Collect *c, const void *data, size_t len, uint64_t realtime);
/* ListContainers(): what the stream does not tell. */
void collect_details(Collect *c, const json_t *containers);
/* GetUsage("tenant"). -ENOMEM. */
int collect_usage(Collect *c, const json_t *usage, uint64_t realtime);
/* ListEvents(), ListIncidents(), GetPolicy(): 0, or a HistoryDbState: they are to be put again. */
int collect_events(Collect *c, const json_t *events);
int collect_incidents(Collect *c, const json_t *incidents);
int collect_policy(Collect *c, const json_t *policy, uint64_t realtime);
