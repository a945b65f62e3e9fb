/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What keeps a guard from doing harm itself (layer: core, pure): kill budgets of host and tenant, one kill at a time,
 * the storm breaker, how many may be throttled, and the record of those who come again under the same name.
 */

#include "scene.h"

#define BRAKES_SETTLE (15 * USEC_PER_SEC) /* from one kill to the next */
#define BRAKES_SETTLE_URGENT \
        (2 * USEC_PER_SEC) /* where the host itself is at its end, and the one before is gone */
#define BUDGET_MAX 64 /* kills remembered; a larger budget counts as this */
#define STORM_MAX 256 /* deaths remembered */
#define STORM_MIN 3 /* fewer deaths than this are no storm, whatever their share */
#define RECORD_KEEP (600 * USEC_PER_SEC) /* after its last end */

typedef struct Budget { /* all zero is fresh */
        usec_t at[BUDGET_MAX]; /* ring of kills */
        unsigned n, head;
} Budget;
/* Kills left of `max` in `window`. */
unsigned budget_left(const Budget *b, unsigned max, usec_t window, usec_t now);
void budget_spend(Budget *b, usec_t now);

typedef struct Brakes {
        Budget host;
        usec_t deaths[STORM_MAX]; /* ring: containers that ended, of whatever cause */
        unsigned n_deaths, deaths_head;
        usec_t storm_until; /* no kills until then; told once per storm */
        usec_t last_kill;
        uint64_t killing; /* cgroup id of the last kill until it is empty; 0 */
} Brakes;

void brakes_died(Brakes *b, usec_t now); /* a container ended */
/* True once per storm: more than StormLimit= of the containers (at least STORM_MIN; STORM_MAX are always enough) died within its
 * window. The breaker stays for one more window after the last such moment. n_containers: that are left; those who died are added. */
bool brakes_storm(Brakes *b, const HostRules *rules, unsigned n_containers, usec_t now);
bool brakes_in_storm(const Brakes *b, usec_t now);
/* ACT_WHY_HARM: may be killed now; else ACT_WHY_BUDGET, …SETTLING, …STORM. tenant: its Budget and rules. */
ActWhy brakes_may_kill(const Brakes *b, const HostRules *rules, const Budget *tenant, unsigned tenant_max,
                       usec_t tenant_window, bool urgent, usec_t now);
/* An earlier guard's kills are told so, too, in their order. */
void brakes_killed(Brakes *b, Budget *tenant, uint64_t id, usec_t now);
/* How many kills there were is not known any more: the host's budget is spent for a window from then on. */
void brakes_unknown(Brakes *b, usec_t at);
/* That cgroup was the last to be killed and is not empty yet: to kill it again is the same kill. */
bool brakes_is_again(const Brakes *b, uint64_t id);
/* The same, of such a one: no budget is asked. */
ActWhy brakes_may_kill_again(const Brakes *b, usec_t now);
void brakes_killed_again(Brakes *b, usec_t now);
void brakes_empty(Brakes *b, uint64_t id); /* the one killed last has no process left */
/* May one more be throttled, of n_containers? At least one always. */
bool brakes_may_throttle(const HostRules *rules, unsigned n_containers, unsigned n_throttled);
