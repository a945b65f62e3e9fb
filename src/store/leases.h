/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file of leases (adapter: store): what the judge, or an operator, holds somebody back by, in /run/bailiff/leases.
 * A record is on file BEFORE the kernel sees the value, so that a guard that dies leaves nothing behind that nobody
 * knows how to give back (DESIGN.md "Leases").
 *
 * A file of slots (slotfile.h): putting and removing a lease allocates nothing and cannot fail for a full /run. One of another
 * boot, or that cannot be read, is set aside as leases.old.
 */

#include "limits.h"
#include "macro.h"

#define LEASES_MAX 256
#define LEASE_PATH_MAX 767 /* bytes; a cgroup with a longer path is not leased: -ENAMETOOLONG */
#define LEASE_REASON_MAX 95
#define LEASES_VERSION 1

typedef enum LeaseKind {
        LEASE_LIMIT, /* knob, value, beneath */
        LEASE_FREEZE, /* cgroup.freeze: 1 */
        _LEASE_KIND_MAX,
} LeaseKind;

typedef struct Lease {
        uint64_t cgroup_id;
        char path[LEASE_PATH_MAX + 1]; /* of the cgroup, below the root */
        LeaseKind kind;
        LimitKnob knob; /* LIMIT only */
        uint64_t value; /* what we wrote */
        uint64_t beneath; /* what is there without us: to be given back; LIMIT_INFINITY "max" */
        usec_t period, beneath_period; /* of LIMIT_CPU_QUOTA; else 0 */
        usec_t until; /* CLOCK_MONOTONIC: a guard that runs puts it off, beat by beat; past it anybody gives back */
        usec_t end; /* the operator's own end, USEC_INFINITY: none; never put off */
        uint64_t event; /* that explains it */
        uint8_t resource; /* Resource of core/verdict.h, for which it was taken */
        bool by_operator;
        char reason[LEASE_REASON_MAX + 1];
} Lease;

typedef struct Leases Leases;

typedef struct LeasesStats {
        unsigned n, n_damaged; /* slots of which neither copy could be read, at open */
        bool set_aside;
        bool locked; /* in memory */
} LeasesStats;

/*
 * dir is /run/bailiff (must exist); boot_id of this boot. read_only: nothing is made, renamed or changed (changes are -EROFS); a
 * missing file is no leases then. Negative errno: -ENOSPC where the room cannot be had: no lease may be taken then.
 */
int leases_open(const char *dir, const char *boot_id, bool read_only, Leases **ret);
Leases *leases_free(Leases *l);
DEFINE_CLEANUP(Leases *, leases_free)
/* Adds, or replaces the one of (cgroup_id, kind, knob). -ENOSPC: LEASES_MAX stand; -ENAMETOOLONG; -EINVAL: a nonsensical one. No allocation. */
int leases_put(Leases *l, const Lease *lease);
/* Nothing to remove is 0. */
int leases_remove(Leases *l, uint64_t cgroup_id, LeaseKind kind, LimitKnob knob);
/* Borrowed until the next change of it. NULL: none. */
const Lease *leases_find(const Leases *l, uint64_t cgroup_id, LeaseKind kind, LimitKnob knob);
/* for (size_t i = 0; (x = leases_next(l, &i));): removing the one just got is fine. */
const Lease *leases_next(const Leases *l, size_t *i);
/* Puts off `until` of all (never past `end`): one call a beat. */
void leases_extend(Leases *l, usec_t until);
void leases_get_stats(const Leases *l, LeasesStats *ret);
