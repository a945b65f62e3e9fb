/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the kernel counts of each container, as OpenMetrics (adapter: format): under the names, units and meanings of cAdvisor, so
 * that dashboards made for it work; or, where a cAdvisor exports those already, under our own.
 */

#include "ceilings.h"
#include "sample.h"

typedef struct CgroupSeries {
        const char *id, *name, *image, *tenant; /* of metrics_text(); id is the path of its cgroup */
        uint64_t since, seen; /* realtime µs: its start, the last look */
        const Sample *sample;
        const Ceilings *ceilings; /* NULL: not known */
} CgroupSeries;

/* In the order that the pages need; of two with the same id the first is kept. Returns how many are left. */
size_t cgroup_series_sort(CgroupSeries *series, size_t n);
/* "bailiff_container_…": ceilings, and every field of the samples; without `all` of those only counters that cAdvisor has no
 * name for. */
void metrics_cgroups(Metrics *m, const CgroupSeries *series, size_t n, const char *tenant_label, bool all);
/* "container_…" */
void metrics_cadvisor(Metrics *m, const CgroupSeries *series, size_t n, const char *tenant_label);
