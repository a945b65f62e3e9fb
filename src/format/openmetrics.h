/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * OpenMetrics 1.0 text (adapter: format), family by family into a Buf:
 *
 *   Metrics m = METRICS_INIT(&out);
 *   metrics_family(&m, "bailiff_tenant_cpu_seconds", METRIC_COUNTER, "seconds", "CPU time used.");
 *   metrics_sample(&m, labels, n, usec, 6);            bailiff_tenant_cpu_seconds_total{…} 1.5
 *   r = metrics_end(&m);
 *
 * Errors stick until metrics_end(). Scrapers reject a whole page for one series that is there twice, so order is
 * part of the contract: families ascend by name, samples of a family by their label values; with that
 * nothing can be there twice, and pages can be compared.
 */

#include "buf.h"

typedef enum MetricType {
        METRIC_COUNTER, /* a sample is NAME_total */
        METRIC_GAUGE, /* NAME; one that ends in _info has words in its labels and is 1 */
        METRIC_SUMMARY, /* of quantiles only: each sample has a label "quantile" */
        _METRIC_TYPE_MAX,
} MetricType;

typedef struct MetricLabel {
        const char *name, *value; /* value: any valid UTF-8 */
} MetricLabel;

#define METRIC_LABELS_MAX 8
#define METRIC_LABEL_BYTES 256 /* see metrics_text() */
#define METRICS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_CLASSIC_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct Metrics {
        Buf *out;
        Buf family; /* the one that is open */
        Buf whole; /* its name as samples have it, where somebody asks for that */
        Buf head; /* its TYPE, UNIT and HELP, until it has a sample */
        Buf last; /* label values of its last sample, each with its NUL */
        MetricType type;
        bool any; /* it has a sample */
        bool unwanted; /* it is left out */
        int error;
        /* The caller's, after METRICS_INIT: */
        bool classic; /* the text format that Prometheus had before (text/plain; version=0.0.4) */
        bool (*want)(void *user,
                     const char *name); /* false: a family is left out; name as samples have it. NULL: all */
        void (*tell)(void *user, const char *name, const char *type,
                     const char *help); /* each family, also one without a sample */
        void (*each)(void *user, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                     unsigned decimals); /* takes every sample, and there is no text; `out` may be NULL */
        void *user;
} Metrics;

#define METRICS_INIT(to) ((Metrics){ .out = (to) })

/* unit is what name ends in ("seconds", "bytes", "ratio"), NULL: a count. A family without a sample is not printed. */
void metrics_family(Metrics *m, const char *name, MetricType type, const char *unit, const char *help);
/* value · 10^-decimals, exactly. Every sample of a family has the same labels in the same order. */
void metrics_sample(Metrics *m, const MetricLabel *labels, size_t n, uint64_t value, unsigned decimals);
/* The last line. 0; -ENOMEM; -EINVAL: a name that is none, a unit that is not its end, something out of order or twice. */
int metrics_end(Metrics *m);

/* accept: the header's value, NULL: none. True: it takes OpenMetrics at least as gladly as text/plain. */
bool metrics_wants_openmetrics(const char *accept);
/* What anybody wrote, for a label: no more than max bytes, what is no UTF-8 as '?'. The caller's (free()); NULL: no memory. */
char *metrics_text(const char *s, size_t max);
