/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A report (format/report.h) of this host, from the history. */

#include <jansson.h>

#include "history-db.h"

typedef struct ReportQuestion {
        uint64_t from, to; /* realtime µs */
        const char *tenant; /* NULL: all */
        uint64_t cpus, memory_bytes; /* that the host has; 0: not known */
        const char *host; /* its name */
} ReportQuestion;

/* 0; a HistoryDbState: the history cannot be read; -ENOMEM. */
int report_from_history(HistoryDb *db, const ReportQuestion *q, json_t **ret);
