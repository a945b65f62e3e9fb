/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The exporter's state, and the pages made of it. */

#include <jansson.h>

#include "collect.h"
#include "openmetrics.h"
#include "push.h"
#include "queries.h"
#include "settings.h"

/* How the exporter itself does; also metrics of its own. */
typedef struct ExporterStats {
        uint64_t started; /* realtime µs, as all times here */
        uint64_t guard_seen; /* its last answer; 0: none yet */
        bool connected;
        char guard_error[256]; /* while it is not */
        uint64_t rounds, rounds_failed, rounds_skipped; /* a round still ran */
        uint64_t clock_jumps;
        uint64_t requests, refused; /* HTTP; those with a status from 400 on */
        uint64_t cpu_usec, rss_bytes;
        uint64_t certificate_until; /* s; 0: there is none */
        HistoryDbState history; /* in the last round: what failed in it, if anything; or that it is late */
        char history_error[256];
        PushStatus push;
        uint64_t textfile_failures;
        int textfile_error; /* negative errno, of the last round; 0: none */
} ExporterStats;

typedef struct Pages {
        const Config *config;
        HistoryDbStatus history; /* as it was when it was last looked at */
        Collect *collect;
        /* Answers of the guard as they came, for the API; "" where there is none yet. */
        Buf tenants_text, containers_text;
        json_t *status, *usage, *tenants, *observed; /* read; NULL: none yet */
        uint64_t details_at; /* realtime of containers_text */
        bool foreign_cadvisor; /* somebody else exports container_… here */
        /* Has a question answered later: 0. Negative errno: it cannot. */
        int (*ask)(void *user, const HttpRequest *r, const HistoryQuestion *q);
        void *ask_user;
        ExporterStats stats;
} Pages;

/* Whether the guard's answers say that a kubelet or cAdvisor runs on this host. */
bool pages_find_cadvisor(const json_t *status, const json_t *containers);
/* A page of metrics. 0; -ENOMEM; -EINVAL: a mistake of ours. */
int pages_metrics(const Pages *p, bool classic, Buf *out);
/* The same series, one by one: see Metrics.each. */
typedef void (*PagesEach)(void *user, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                          unsigned decimals);
int pages_each(const Pages *p, PagesEach each, void *user);
/* Name, type and meaning of every metric that there can be, tab-separated, a line each. */
int pages_list_metrics(Buf *out);
/* The answer to a request, or its question is asked (Pages.ask), and who answers it counts it. now: realtime µs. */
void pages_answer(Pages *p, const HttpRequest *r, HttpAnswer *a, uint64_t now);
void pages_count(Pages *p, const HttpAnswer *a);
/* Whether all of its parameters are known, and none is there twice; else a says so. */
bool pages_takes(const HttpRequest *r, HttpAnswer *a);
/* What is below /api/v1/: parameter(user, name) gives what is asked for, NULL where it is not. True: *ret is to be asked of the
 * history; false: a is the answer. */
typedef const char *(*PagesParameter)(const void *user, const char *name);
bool pages_api(Pages *p, const char *what, PagesParameter parameter, const void *user, HttpAnswer *a,
               uint64_t now, HistoryQuestion *ret);
