/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory that is taken on the host and belongs to no party (layer: core, pure): MemTotal − MemFree − what the top cgroups
 * have. A file system whose cache is in no cgroup, a driver, huge pages. It is out of reach, but who is not told of it blames
 * the next best container. How much there is says nothing, only that it becomes more. (What no party does on disks: fair.h.)
 */

#include "had.h"

/* All zero is a fresh one. Kept by the caller from step to step. */
typedef struct Rest {
        Window window; /* SAMPLE_MEMORY only */
        Had had;
} Rest;

/* bytes: that are in no cgroup. */
void rest_feed(Rest *r, uint64_t bytes, usec_t now);
/* A cgroup at the top is gone: what is left of it is in none from now on, and so what was before is no measure. */
void rest_forget(Rest *r);
uint64_t rest_bytes(const Rest *r); /* bytes; NULL: 0, as below */
uint64_t rest_grown(const Rest *r); /* bytes more than a minute ago */
uint64_t rest_growth(const Rest *r); /* bytes over rest_span() */
usec_t rest_span(const Rest *r);
