/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The history on disk (adapter: store, SQLite): bailiff-history(5) says what is in the file. One writer, and readers beside it,
 * each of which is used by one thread at a time.
 *
 * Whatever becomes of the file, the caller goes on: what could not be done is a HistoryDbState, told by each call from
 * begin to commit and kept in the status. Nothing but want of memory is a negative errno.
 *
 *   if (history_db_begin(db) == 0) { …ids, rows, events… }
 *   if (history_db_commit(db) == 0) all of it is on file, else none
 */

#include "history.h"
#include "usagerow.h"

#define HISTORY_DB_VERSION 1 /* PRAGMA user_version */
#define HISTORY_DB_SIZE_MIN (UINT64_C(8) << 20)

typedef enum HistoryDbState {
        HISTORY_DB_WELL,
        HISTORY_DB_FULL, /* the disk, or MaxSize with nothing left to give up */
        HISTORY_DB_READ_ONLY,
        HISTORY_DB_LOCKED, /* by somebody else, for longer than a moment */
        HISTORY_DB_LATER, /* written by a later version: not touched */
        HISTORY_DB_DAMAGED, /* and could not be set aside */
        HISTORY_DB_FAILED, /* anything else */
        HISTORY_DB_STOPPED, /* a reader, by history_db_set_stop() */
        HISTORY_DB_SLOW, /* not the file's own: who waits for it says so */
        _HISTORY_DB_STATE_MAX,
} HistoryDbState;
const char *history_db_state_to_string(HistoryDbState s); /* "ok" "full" "read-only" … */

typedef enum HistoryOf { HISTORY_OF_CGROUP, HISTORY_OF_TENANT, _HISTORY_OF_MAX } HistoryOf;
typedef enum HistoryGrain {
        HISTORY_RAW, /* 10 s */
        HISTORY_5MIN,
        HISTORY_1H,
        _HISTORY_GRAIN_MAX,
} HistoryGrain;

typedef struct HistoryDbOptions {
        const char *path;
        uint64_t keep_sec
                [_HISTORY_GRAIN_MAX]; /* events, incidents, policies and names are kept as long as the last */
        uint64_t max_bytes; /* of the file, ≥ HISTORY_DB_SIZE_MIN */
        uint64_t boot; /* tells one boot from another: ids of cgroups are only unique within one */
} HistoryDbOptions;

typedef struct HistoryDbStatus {
        HistoryDbState state;
        char text[256]; /* what it is, where it is not well; "" */
        uint64_t n_failed; /* transactions */
        HistoryDbState failed_state; /* of the last one of those, and why; they stay when it is well again */
        char failed_text[256];
        uint64_t n_set_aside; /* damaged files, since the start */
        char set_aside[256]; /* the last of them; "" */
        uint64_t bytes; /* of the file, without its journal */
        uint64_t used_bytes; /* of it */
        uint64_t oldest[_HISTORY_GRAIN_MAX]; /* s, of cgroups' rows; 0: none */
} HistoryDbStatus;

typedef struct HistoryDb HistoryDb;

/* Opens the file with the first begin. -ENOMEM. */
int history_db_new(const HistoryDbOptions *o, HistoryDb **ret);
HistoryDb *history_db_free(HistoryDb *db);
DEFINE_CLEANUP(HistoryDb *, history_db_free)
void history_db_get_status(HistoryDb *db, HistoryDbStatus *ret);

/* 0, or a HistoryDbState: then commit says the same, and all between may be left out. */
int history_db_begin(HistoryDb *db);
int history_db_commit(HistoryDb *db);

typedef struct HistoryCgroup {
        HistoryWho who;
        const char *engine, *id, *image; /* "" where not known (yet) */
        uint64_t ended; /* realtime µs; 0: it lives */
        const char *end; /* "read", "unread", "oom", or "" */
} HistoryCgroup;
/* Numbers in the file are good for as long as this is the same: another file may be open now, or what gave them was rolled back. */
uint64_t history_db_generation(const HistoryDb *db);
/* Its number in the file, made where it is new, its names brought up to date. */
int history_db_cgroup(HistoryDb *db, const HistoryCgroup *c, int64_t *ret);
int history_db_tenant(HistoryDb *db, const char *name, int64_t *ret);
/* A row whose time is there already is added to it. */
int history_db_put(HistoryDb *db, HistoryOf of, int64_t subject, const UsageRow *row);
/* What a tenant's book was when its last row was made, so that the next goes on from there. */
int history_db_put_total(HistoryDb *db, int64_t tenant, const Book *total);
/* 1 << HISTORY_…; 0 and *ret all zero where there is none. */
int history_db_get_total(HistoryDb *db, int64_t tenant, Book *ret);
/* One of each (time µs, id): the same again replaces it. text: JSON. */
int history_db_put_event(HistoryDb *db, uint64_t time, uint64_t id, const char *kind, const char *tenant,
                         const char *container, uint64_t incident, const char *json);
int history_db_put_incident(HistoryDb *db, uint64_t opened, uint64_t id, const char *tenant,
                            const char *container, uint64_t closed, const char *json);
/* Those that are open and not listed are closed at `closed` (realtime µs), in their JSON, too. is_listed is called for each that is open. */
int history_db_close_incidents(HistoryDb *db, uint64_t closed,
                               bool (*is_listed)(void *user, uint64_t opened, uint64_t id), void *user);
/* Only where it differs from the last one. */
int history_db_put_policy(HistoryDb *db, uint64_t time, const char *json);

/*
 * Between transactions: makes coarser rows of what is complete, and gives up what is too old or too much; a bounded piece of it
 * each time, some tens of milliseconds. now: s. Rows that come late are taken into coarser ones that were made already. may_forget
 * false: nothing is given up for its age (a clock that was just set may be set wrong).
 */
int history_db_maintain(HistoryDb *db, uint64_t now, bool may_forget);
/* The last piece was not all that can be done now: again soon, when others have had their turn. */
bool history_db_wants_more(const HistoryDb *db);
/* The end of the last row of each cgroup of this boot that has one in (since, until], s. */
int history_db_last_rows(HistoryDb *db, uint64_t since, uint64_t until,
                         void (*tell)(void *user, uint64_t cgroup_id, uint64_t time), void *user);

/* ---- asking ---- */

/* One that only reads, as the file is when reading begins; it opens and closes it each time. -ENOMEM. */
int history_db_new_reader(const char *path, HistoryDb **ret);
/* Between these two all that is asked is of the same moment. 0, or a HistoryDbState (then end is not needed). */
int history_db_read_begin(HistoryDb *reader);
void history_db_read_end(HistoryDb *reader);
/* Asked now and then while a reader reads; true: what is under way ends with HISTORY_DB_STOPPED. NULL: nobody. */
void history_db_set_stop(HistoryDb *reader, bool (*stop)(void *user), void *user);

typedef struct HistoryUsage {
        int64_t number; /* its number in the file */
        HistoryCgroup cgroup; /* of a tenant: only who.tenant; strings live for the call */
        uint64_t first, last; /* s: of its rows */
        UsageRow row; /* the sum, extremes and the mean; p95 is the highest of the rows' */
} HistoryUsage;
/* What each used in (from, to], s, from the coarsest rows that tell it; *ret_from: where they really begin (0: there is nothing). Takes
 * cgroups that are containers only. -E2BIG: more than HISTORY_SUBJECTS_MAX. */
#define HISTORY_SUBJECTS_MAX 20000
int history_db_usage(HistoryDb *db, HistoryOf of, uint64_t from, uint64_t to,
                     void (*tell)(void *user, const HistoryUsage *u), void *user, uint64_t *ret_from);
typedef enum HistoryWords {
        HISTORY_EVENTS, /* of (from, to]: the newest `max`, the oldest first */
        HISTORY_INCIDENTS, /* that were open at any time in [from, to]: the newest first */
        _HISTORY_WORDS_MAX
} HistoryWords;
typedef struct HistoryChoice {
        uint64_t from, to; /* µs */
        const char *tenant, *container; /* NULL: any */
        uint64_t incident; /* 0: any */
        uint32_t max;
} HistoryChoice;
int history_db_words(HistoryDb *db, HistoryWords words, const HistoryChoice *choice,
                     void (*tell)(void *user, const char *json), void *user);

/* ---- history-series.c: how it went ---- */

typedef struct HistoryReach {
        uint64_t from; /* s: where rows begin, no earlier than what was asked for; 0: there are none */
        unsigned grain_sec; /* of the coarsest of them */
} HistoryReach;
/* Of the rows that history_db_usage() would take. */
int history_db_reach(HistoryDb *db, uint64_t from, uint64_t to, HistoryReach *ret);
/* The rows themselves, in order of time: of every tenant, or of the host (subject 0), of which each boot is another cgroup.
 * Of a row no more than span, gauges of CPU and memory (less their lowest), CPU time and the time in which something waited. */
int history_db_tenant_rows(HistoryDb *db, uint64_t from, uint64_t to,
                           void (*tell)(void *user, int64_t tenant, const UsageRow *row), void *user);
int history_db_host_rows(HistoryDb *db, uint64_t from, uint64_t to,
                         void (*tell)(void *user, int64_t subject, const UsageRow *row), void *user);
/* The policy in force at `from` (µs) and those that came after it until `to`, the oldest first; the newest `max` of them. */
int history_db_policies(HistoryDb *db, uint64_t from, uint64_t to, uint32_t max,
                        void (*tell)(void *user, uint64_t time, const char *json), void *user);
/* How often the judge or an operator did something to each tenant in (from, to] µs; would: the mode did not allow it. Kinds are those
 * of events. */
int history_db_acts(HistoryDb *db, uint64_t from, uint64_t to,
                    void (*tell)(void *user, const char *tenant, const char *kind, bool would, uint64_t n),
                    void *user);
