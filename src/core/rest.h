/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is taken on the host and belongs to no party (layer: core, pure): a file
 * system whose cache is in no cgroup, a RAID that is rebuilt, a server in the kernel. It is
 * out of reach, but who is not told of it blames the next best container.
 *
 *  memory  MemTotal − MemFree − what the top cgroups have. How much there is says nothing, only that it becomes more.
 *  disks   traffic of the host's disks beyond that of all parties, but for what may be their journals (fair.c).
 *
 * Host and parties are not looked at in the same moment, so that a burst of a party is the rest's for a moment: what
 * counts is the least within the last REST_SLOT_USEC to twice that.
 */

#include "had.h"

#define REST_DISKS_MAX 16 /* of more, the others have no rest */
#define REST_SLOT_USEC (2 * USEC_PER_SEC)

typedef struct RestDisk {
        dev_t dev;
        usec_t since; /* of the slot under way */
        uint64_t low, before; /* the least in it, and in the one before; a second, in the unit of fair.c */
} RestDisk;

/* All zero is a fresh one. Kept by the caller from step to step. */
typedef struct Rest {
        RestDisk disks[REST_DISKS_MAX];
        unsigned n_disks;
        Window window; /* SAMPLE_MEMORY only */
        Had had;
} Rest;

/* bytes: that are in no cgroup. */
void rest_feed_memory(Rest *r, uint64_t bytes, usec_t now);
/* A cgroup at the top is gone: what is left of it is in none from now on, and so what was before is no measure. */
void rest_forget_memory(Rest *r);
uint64_t rest_memory(const Rest *r); /* bytes; NULL: 0, as below */
uint64_t rest_memory_grown(const Rest *r); /* bytes more than a minute ago */
uint64_t rest_memory_growth(const Rest *r); /* bytes over rest_memory_span() */
usec_t rest_memory_span(const Rest *r);

void rest_feed_disk(Rest *r, dev_t dev, uint64_t traffic, usec_t now);
uint64_t rest_on_disk(const Rest *r, dev_t dev, usec_t now);
