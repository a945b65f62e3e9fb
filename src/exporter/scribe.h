/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The history's file has a thread of its own, which does what the loop hands it, in that order. A disk that others keep busy
 * for a minute holds up neither who scrapes nor the rounds: what comes meanwhile is kept by whoever hands it over (collect.h). All
 * calls are the loop's thread's.
 */

#include "fifo.h"
#include "history-db.h"

typedef struct HistoryJob HistoryJob;
struct HistoryJob {
        FifoItem item;
        /* The file's thread's. What it returns is the result: 0, or a HistoryDbState. */
        int (*run)(HistoryJob *j, HistoryDb *db);
        /* The loop's, once it has run: takes it. */
        void (*done)(HistoryJob *j);
        int result;
};

/* Who does jobs: for one a Scribe. */
typedef struct HistoryJobs {
        void (*submit)(void *user, HistoryJob *j);
        /* Whether there is room for one more that is large; waits for it a little. */
        bool (*has_room)(void *user);
        void *user;
} HistoryJobs;
/* Does them as they are submitted, without a thread. db is borrowed. */
HistoryJobs history_jobs_at_once(HistoryDb *db);

typedef struct Scribe Scribe;
/* -ENOMEM, -EAGAIN … where there can be no thread. */
int scribe_new(const HistoryDbOptions *o, Scribe **ret);
/* What was submitted is done first, however long it takes; what that submits has the result HISTORY_DB_STOPPED. */
Scribe *scribe_free(Scribe *w);
DEFINE_CLEANUP(Scribe *, scribe_free)
void scribe_submit(Scribe *w, HistoryJob *j);
int scribe_fd(const Scribe *w); /* readable: collect */
void scribe_collect(Scribe *w);
/* Whether no more than n jobs are not done, now or within usec; collects meanwhile. */
bool scribe_wait(Scribe *w, unsigned n, usec_t usec);
/* When the job under way began, monotonic; 0: there is none. */
usec_t scribe_since(Scribe *w);
