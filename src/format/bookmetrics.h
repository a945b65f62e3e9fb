/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Books (GetUsage() in bus.h) and the guard's state as OpenMetrics (adapter: format); and books from and to JSON, which the
 * command, the exporter and their answers share.
 */

#include <jansson.h>

#include "books.h"
#include "openmetrics.h"

typedef enum UsageBy { USAGE_BY_TENANT, USAGE_BY_CONTAINER } UsageBy;

/* A "book" object. Fields that it does not have are 0 and not in *ret_have (1 << BookField). */
void usage_book_read(const json_t *o, Book *ret, uint64_t *ret_have);
json_t *usage_book_to_json(const Book *b);
/* The array of usage, in the order in which it is shown: by tenant, name, id, cgroup. *ret is the caller's (free()), its
 * elements are borrowed. -ENOMEM. */
int usage_sorted(const json_t *usage, UsageBy by, const json_t ***ret, size_t *ret_n);

/* What usage has of both lists, and of status (may be NULL) how the guard does; appended to out. 0, -ENOMEM. */
int usage_openmetrics(const json_t *usage, const json_t *status, Buf *out);

/* ---- parts of a page ---- */

/* Families, one to each field of the books, in the order of their names: "bailiff_container_…" and, for what cAdvisor has a name,
 * "container_…"; "bailiff_tenant_…". */
typedef enum BookFamilies { BOOKS_OF_CONTAINERS, BOOKS_OF_TENANTS, BOOKS_CADVISOR } BookFamilies;
/* 0, -ENOMEM. */
int metrics_books(Metrics *m, const json_t *usage, BookFamilies families, const char *tenant_label);

/* A number in a status object. */
typedef struct MetricOfStatus {
        /* "loop.beats"; of a text it becomes the label's name. "judge.acts[act]": numbers by their keys, which become that label.
         * "paused?": whether there is something (1) or null (0). */
        const char *path;
        const char *name;
        MetricType type;
        const char *unit;
        unsigned decimals;
        const char *help;
} MetricOfStatus;
/* "bailiff_guard_…", of GetStatus(). */
const MetricOfStatus *metrics_of_guard(size_t *ret_n);
void metrics_status(Metrics *m, const MetricOfStatus *rows, size_t n, const json_t *status);
/* Of a counter of the books: "bailiff_tenant_cpu_seconds_total" into buf, and what its values are to be multiplied with to be those
 * of the books. */
#define TENANT_METRIC_MAX 96
double metrics_tenant_counter(BookField f, char buf[static TENANT_METRIC_MAX]);
