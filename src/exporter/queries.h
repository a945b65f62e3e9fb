/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Questions to the history, answered by threads of their own that only read its file: some at a time, some more wait, and each
 * has a time that it may take. All calls are the loop's thread's.
 */

#include "history-db.h"
#include "server.h"

#define QUERIES_AT_ONCE 2
#define QUERIES_WAITING 16
#define QUERY_USEC (20 * USEC_PER_SEC) /* waiting included; less than HTTP_REQUEST_USEC */

typedef struct HistoryQuestion HistoryQuestion;
struct HistoryQuestion {
        /* Any thread's: makes the answer out of the question and a reader that has begun. 0; a HistoryDbState where it could not be
         * read; -ENOMEM; -E2BIG: it asks for too much. */
        int (*answer)(HistoryDb *reader, const HistoryQuestion *q, HttpAnswer *a);
        uint64_t from, to; /* realtime µs */
        char tenant[256], container[256]; /* "": any */
        uint64_t id; /* of an incident; 0: any */
        uint32_t max;
        bool tenants, containers, incidents;
        /* A report's: what the host has, 0 where it is not known; as a page for browsers. */
        uint64_t cpus, memory_bytes;
        char host[256];
        bool page;
};

/* Asks, and tells in *a also what went wrong. stop: of history_db_set_stop(); NULL: never. */
void query_answer(HistoryDb *reader, const HistoryQuestion *q, bool (*stop)(void *user), void *user,
                  HttpAnswer *a);

typedef struct QueriesOptions {
        const char *path; /* of the history */
        /* Called by queries_collect(); a is to be taken. */
        void (*answered)(void *user, void *cookie, HttpAnswer *a);
        void *user;
} QueriesOptions;

typedef struct Queries Queries;
/* -ENOMEM, -EAGAIN … where there can be no threads. */
int queries_new(const QueriesOptions *o, Queries **ret);
/* What is under way is stopped, and answered with 503. */
Queries *queries_free(Queries *q);
DEFINE_CLEANUP(Queries *, queries_free)
/* -EBUSY: as many as may wait do. */
int queries_add(Queries *q, const HistoryQuestion *question, void *cookie);
int queries_fd(const Queries *q); /* readable: collect */
void queries_collect(Queries *q);
