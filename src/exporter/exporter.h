/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The exporter's state, and the pages made of it. */

#include <jansson.h>

#include "collect.h"
#include "settings.h"
#include "openmetrics.h"
#include "push.h"

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
        HistoryDbState history; /* in the last round: what failed in it, if anything */
        char history_error[256];
        PushStatus push;
        uint64_t textfile_failures;
        int textfile_error; /* negative errno, of the last round; 0: none */
} ExporterStats;

typedef struct Pages {
        const Config *config;
        HistoryDb *db;
        Collect *collect;
        /* Answers of the guard as they came, for the API; "" where there is none yet. */
        Buf tenants_text, containers_text;
        json_t *status, *usage, *tenants, *observed; /* read; NULL: none yet */
        uint64_t details_at; /* realtime of containers_text */
        bool foreign_cadvisor; /* somebody else exports container_… here */
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
/* The answer to a request: r.path below "/". now: realtime µs. */
void pages_answer(Pages *p, const HttpRequest *r, HttpAnswer *a, uint64_t now);
/* The same without a connection: parameter(user, name) gives what is asked for, NULL where it is not. */
typedef const char *(*PagesParameter)(const void *user, const char *name);
void pages_api(Pages *p, const char *what, PagesParameter parameter, const void *user, HttpAnswer *a,
               uint64_t now);
