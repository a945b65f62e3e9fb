/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A report (format/report-model.h) of many hosts, from a Prometheus server that scrapes their exporters. */

#include "prometheus.h"

typedef struct FleetQuestion {
        uint64_t from, to; /* s */
        const char *tenant, *host; /* NULL: all; host: "instance", with or without its port */
} FleetQuestion;

/* 0; -EIO with a sentence in error; -ENOMEM. */
int report_from_prometheus(Prometheus *p, const FleetQuestion *q, json_t **ret, Buf *error);
