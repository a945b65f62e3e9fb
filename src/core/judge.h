/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Judging (layer: core, pure): (scene, memories, now) → (verdicts, acts, memories). The same function runs live, in tests
 * (hours of pressure in microseconds) and in replay. No clock, no file, no allocation after judge_new().
 *
 * A step: feed the windows; fair shares; harm of every party and resource; for each resource with an external victim
 * (or a harmed host) blame; the culprit's ladder, and the ladders of all who are held back already; brakes over
 * everything: worst first, one kill at a time.
 */

#include "brakes.h"
#include "ladder.h"

/* Kept by the caller for as long as the party is known; all zero is a fresh one. It may be handed on to the cgroup that is made
 * anew under the same name (a restart loop): judge_reborn(). */
struct PartyMemory {
        Window window;
        Harm harm[_RESOURCE_MAX]; /* as of the last step that had it */
        usec_t harm_seen; /* when that was */
        /* of the last two looks: the stalls' totals, by resource, and what they grew by, permyriad of the time between */
        usec_t looked_at;
        uint64_t stall_total[_RESOURCE_MAX];
        unsigned stall_now[_RESOURCE_MAX];
        uint64_t scans_total, available; /* of the host */
        bool shrinks; /* of the host: it reclaims, or is about to run out */
        uint64_t tasks,
                tasks_per_sec; /* of the host: at tasks_at, and how fast they had become more by then */
        usec_t tasks_at;
        /* what became of its external harm in that step, and what it was as a candidate itself; at 0: nothing */
        BlameWhy outcome[_RESOURCE_MAX], blamed[_RESOURCE_MAX];
        usec_t outcome_at[_RESOURCE_MAX], blamed_at[_RESOURCE_MAX];
        unsigned score[_RESOURCE_MAX];
        usec_t mixed_at[_RESOURCE_MAX], thrash_at; /* seen last: told once while it goes on */
        Thrash thrash;
        Ladder ladders[_RESOURCE_MAX];
        Act told[_RESOURCE_MAX]; /* the last act per resource */
        usec_t told_at[_RESOURCE_MAX];
        /* whom it hurt: the worst victims of the episode, by resource */
        uint64_t victims[_RESOURCE_MAX][4];
        unsigned n_victims[_RESOURCE_MAX];
        bool kill_spent; /* by the stop signal: the kill that follows it is the same one to the budget */
        Had had;
        unsigned n_kills, n_reborn; /* of its record */
        usec_t died_at;
};

typedef struct Judge {
        Brakes brakes;
        Harm host[_RESOURCE_MAX]; /* of the host as a whole */
        uint32_t max_parties;
        FairShare *fair; /* scratch */
        Harm *harms; /* scratch: parties · resources */
        const Harm **victims; /* scratch: the external ones of them, group by group */
        uint8_t *stepped; /* scratch: 1 << Resource: that ladder had its turn */
        uint32_t *order; /* scratch: parties by id */
        struct JudgeGroup *groups; /* scratch */
        usec_t told_at[_RESOURCE_MAX][_BLAME_MAX]; /* that nobody is held back, and why */
        usec_t found_since[_RESOURCE_MAX][_BLAME_MAX],
                found_at[_RESOURCE_MAX][_BLAME_MAX]; /* the same, told or not */
        uint64_t n_steps;
} Judge;

/* One decision and all that it rests on. Indices are of the scene of this step. */
#define VERDICT_VICTIMS_MAX 4
typedef struct Verdict {
        uint32_t culprit; /* NO_PARTY: nobody is held back (act.why and blame.outcome say why) */
        Act act;
        Harm victims[VERDICT_VICTIMS_MAX]; /* the worst first */
        unsigned n_victims, n_victims_all;
        Blame blame; /* n 0: the step is about one who is held back already (relax, release) */
        Thrash thrash; /* found: it thrashes */
} Verdict;

#define VERDICTS_MAX 64 /* of one step; what does not fit comes with the next */

typedef struct TenantBudget { /* looked up by the judge through Scene's caller */
        Budget *budget;
        unsigned max;
        usec_t window;
} TenantBudget;

typedef struct JudgeOps {
        /* The kill budget of a party's tenant. budget never NULL. */
        TenantBudget (*budget)(void *user, const Party *p);
        void *user;
} JudgeOps;

int judge_new(uint32_t max_parties, Judge **ret); /* -ENOMEM */
Judge *judge_free(Judge *j);
DEFINE_CLEANUP(Judge *, judge_free)

/*
 * Parties beyond max_parties are not judged. Returns how many verdicts, the worst first: to be acted upon in this order.
 * The values of an act are all that the lease of its lever holds from then on.
 */
unsigned judge_step(Judge *j, const JudgeOps *ops, const Scene *scene, Verdict ret[static VERDICTS_MAX]);
/* To stop or kill p now would be charged: neither its stop signal nor the kill that it outlives so far was. */
bool judge_charges(const Judge *j, const Party *p);
/* How an act went (ladder_acted(), and for kills the brakes). Not for `would`. */
void judge_acted(Judge *j, const JudgeOps *ops, const Party *p, const Act *a, int result, usec_t now);
/* The cgroup is gone: keeps of the memory what a successor of that name inherits (record, ladders' rungs without leases). */
void judge_died(Judge *j, PartyMemory *m, uint64_t id, usec_t now);
/* Its name runs again, from `m` of the dead one. False: that is too long ago, it is a fresh one. */
bool judge_reborn(PartyMemory *m, usec_t now);
/* Anything of ours stands on it. */
bool judge_holds(const PartyMemory *m);

/* Why nothing is done about (or to) a party, for `why`: one sentence into out; resource by resource. */
void judge_explain(const PartyMemory *m, Resource r, const char *name, Buf *out);
/* The same of one that is cold (tier.h), and so was in no step. */
void judge_explain_quiet(const char *name, Buf *out);
