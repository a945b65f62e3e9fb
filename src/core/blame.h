/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who is to blame for a harmed resource (layer: core, pure): use above entitlement, in permyriad of the
 * resource. Every candidate keeps the terms of its score, for the morning after.
 *
 *  CPU     used − max(weight's share, CPUGuarantee=), of all CPUs.
 *  memory  half of it the share in what all took in the last minute (had.h: what only comes back is not taken) and will
 *          have taken HARM_HORIZON from now at the rate of the window; a third of it memory above protection or guarantee as
 *          part of the host's; a sixth the share in refaults and scans. Where nobody took any, the first one's weight goes to the second.
 *  IO      its part of the contended device − its weight's share of it.
 *  pids    half the share in the growth of tasks, half its tasks as part of all; forks that failed at its pids.max count as growth,
 *          and a tenth of those that are counted (most end again, but each takes an id meanwhile).
 *
 * Candidates are leaves: containers, services, and the kernel's (or nobody's) rest of the host (fair.h, rest.h; of memory only
 * its growth counts). The highest score decides: is it out of reach, of higher priority, or may not be touched, then nobody is held back, for
 * nobody stands in. Who is itself the only victim is none.
 */

#include "harm.h"

#define BLAME_MIN 500 /* permyriad: less is nobody's fault */
#define CANDIDATES_MAX 8 /* the highest scores; told, kept in events */

typedef struct Candidate {
        uint32_t party; /* index; NO_PARTY: the kernel's rest */
        uint64_t id;
        PartyKind kind;
        BlameWhy why;
        unsigned score;
        /* the terms */
        uint64_t used,
                entitled; /* CPU: µs per second; memory: bytes; IO: permyriad of the device; pids: tasks, TasksMax */
        uint64_t growth; /* memory: bytes a second; pids: tasks a second, failed forks too */
        uint64_t grown; /* memory: bytes more than it had a minute ago */
        uint64_t refaults; /* memory: pages a second, refaults and scans */
        uint64_t forks; /* pids: tasks started a second; 0 where they are not counted */
        unsigned growth_part, used_part, refault_part; /* permyriad, before weighting */
} Candidate;

typedef struct Blame {
        Resource resource;
        dev_t dev; /* of IO */
        Candidate candidates[CANDIDATES_MAX]; /* the highest first; ties by id */
        unsigned n;
        uint32_t culprit; /* party that may be held back; NO_PARTY */
        BlameWhy outcome; /* BLAME_CULPRIT, or why nobody is held back */
} Blame;

/* Whether p may be held back for the sake of v: not of itself, nor of a container of lower priority. */
bool blame_counts(const Party *p, const Party *v);
/*
 * victims: external harms of this resource, at least one (of PARTY_HOST for host-wide harm, which everybody's priority is below).
 * The culprit's priority must be at most that of one of the victims.
 */
void blame_rank(const Scene *scene, const FairShare *fair, const Harm *const *victims, size_t n,
                Resource resource, Blame *ret);
