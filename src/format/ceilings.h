/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ceilings as the guard tells them (bailiffd(8)), read into a small table, and as OpenMetrics (adapter: format). Where the number
 * comes from is a label of a metric of its own, …_ceiling_info, so that another line of policy that says the same number does not
 * begin the number's series anew.
 */

#include <jansson.h>

#include "limits.h"
#include "openmetrics.h"

#define CEILINGS_MAX 64 /* of one cgroup: what is beyond is left out */
#define CEILING_DEVICE_MAX 24

typedef struct Ceiling {
        Limit limit;
        char device[CEILING_DEVICE_MAX]; /* "254:0"; "": no limit of a device */
        uint64_t value; /* LIMIT_INFINITY: none */
        const char
                *origin; /* a literal: "defaults" "plan" "template" "tenant" "container" "share" "engine" … */
        bool advisory; /* of a tenant */
} Ceiling;

/* In the order that pages need. */
typedef struct Ceilings {
        Ceiling *items;
        size_t n;
} Ceilings;

void ceilings_deinit(Ceilings *c);
/* A container of ListContainers(): what its cgroup has. ret is replaced; -ENOMEM leaves it as it was. */
int ceilings_of_container(const json_t *container, Ceilings *ret);
/* A tenant of ListTenants(): its sum. */
int ceilings_of_tenant(const json_t *tenant, Ceilings *ret);
/* False: not known. */
bool ceilings_get(const Ceilings *c, Limit limit, uint64_t *ret);

/* Families of ceilings in the order of their names; the first one is the info. */
#define CEILING_FAMILIES 10
typedef struct CeilingFamily {
        const char *name; /* behind "bailiff_container_" or "bailiff_tenant_" */
        const char *unit, *help;
        Limit limit; /* _LIMIT_INVALID: the info */
} CeilingFamily;
const CeilingFamily *ceiling_families(void);
/* The samples of one family for one subject, behind its labels (at most METRIC_LABELS_MAX − 4). */
void ceilings_put(Metrics *m, const CeilingFamily *f, const Ceilings *c, const MetricLabel *labels, size_t n,
                  bool of_tenant);
