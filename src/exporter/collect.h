/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the guard told, as it is now (for metrics) and into the history. No bus, no clock and no thread: answers come from
 * guardlink.h, `realtime` is a parameter, and what is to be written is handed over as jobs, of which nothing here waits for the end.
 */

#include <jansson.h>

#include "ceilings.h"
#include "map.h"
#include "scribe.h"

typedef struct Subject {
        HistoryKind kind;
        uint64_t cgroup_id, since;
        char *tenant, *name, *cgroup; /* as the stream has them: any bytes */
        char *engine, *id, *image; /* NULL: not told yet */
        Ceilings ceilings;
        UsageTally tally; /* its last: all that is known, whenever it was told */
        UsageRow pending; /* rows that could not be written, as one */
        bool has_pending;
        unsigned under_way; /* rows of it that are in jobs */
        int64_t number; /* in the history; 0: not known */
        bool named; /* the history has its names, or they are in a job */
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
        bool measured; /* that is known: a stream was read */
        bool live; /* something of it is there */
        uint64_t listed; /* the count of usage jobs when the guard told of it last */
} TenantState;

typedef enum CollectWords {
        COLLECT_EVENTS,
        COLLECT_INCIDENTS,
        COLLECT_POLICY,
        _COLLECT_WORDS_MAX
} CollectWords;

typedef struct CollectOptions {
        HistoryJobs jobs;
        /* They are on file; or not, and are to be put again. */
        void (*written)(void *user, CollectWords what, bool ok);
        void *user;
} CollectOptions;

typedef struct Collect {
        CollectOptions o;
        HistoryReader *reader;
        Map by_index, by_cgroup; /* of Subject */
        Map tenants; /* by name, of TenantState */
        struct RowJob *filling; /* rows that are to be handed over; NULL: none */
        uint64_t generation; /* of numbers, see history_db_generation() */
        uint64_t first; /* realtime of the earliest look of this guard */
        uint64_t read_at; /* realtime of the stream that is read */
        bool begun; /* the history was asked what is on file already */
        bool asking; /* it is being asked */
        bool answered; /* it did, or could not, once */
        bool crowded; /* there is no room for more jobs, in this stream */
        bool usage_seen, usage_under_way;
        uint64_t n_usage; /* jobs of it */
        bool wants_details; /* somebody is new */
        int error; /* -ENOMEM while a stream is read */
} Collect;

/* All jobs are to be done before it is freed. */
int collect_new(const CollectOptions *o, Collect **ret);
Collect *collect_free(Collect *c);
DEFINE_CLEANUP(Collect *, collect_free)

/* Asks the history what is on file from before. The first stream should wait for the answer (Collect.answered): without it, rows
 * begin with that stream's time, so that none is there twice. */
void collect_begin(Collect *c, uint64_t realtime);
/* The answer to GetHistory(), asked for with the reader's instance and cursor. -EBADMSG, -EPROTONOSUPPORT: it cannot be read, and
 * is asked for from the beginning the next time; -ENOMEM. */
int collect_stream(Collect *c, const void *data, size_t len, uint64_t realtime);
/* ListContainers(): what the stream does not tell. */
void collect_details(Collect *c, const json_t *containers);
/* GetUsage("tenant"). -ENOMEM. */
int collect_usage(Collect *c, const json_t *usage, uint64_t realtime);
/* ListEvents(), ListIncidents(), GetPolicy(): CollectOptions.written tells what became of them. */
void collect_events(Collect *c, const json_t *events);
/* All incidents that the guard knows: one that was open and is not among them is closed, its guard has ended. */
void collect_incidents(Collect *c, const json_t *incidents, uint64_t realtime);
void collect_policy(Collect *c, const json_t *policy, uint64_t realtime);
