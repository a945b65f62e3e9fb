/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The kill budgets of tenants, and all kills on file: budgets.c. Knows no guard; judging.c tells what came of it.
 */

#include "judge.h"
#include "kills.h"
#include "map.h"

typedef struct Budgets { /* all zero: in memory only */
        Map tenants; /* name → Budget */
        Kills *kills; /* NULL: there is no file, the budgets live as long as the guard */
} Budgets;

/*
 * Opens the file in dir, and tells the judge of an earlier guard's kills. ret: what was found; where that is damaged or set aside,
 * the host's budget counts as spent from now on. Negative errno: there is no file, and the budgets are fresh.
 */
int budgets_open(Budgets *b, const char *dir, const char *boot_id, Judge *judge, usec_t now, KillsStats *ret);
void budgets_deinit(Budgets *b);
/* Of p's tenant, for JudgeOps. None is left in it while the file has no room. */
TenantBudget budgets_get(Budgets *b, const Party *p, usec_t now);
/* p is about to be stopped or killed: on file, where the judge charges for that. 1: it was added, to be taken back if it is not
 * done; 0: it costs nothing, or there is no file; negative errno: it may not be done. No allocation. */
int budgets_charge(Budgets *b, const Judge *judge, const HostRules *rules, const Party *p, usec_t now);
void budgets_take_back(Budgets *b, const Party *p, usec_t now); /* now: as it was charged */
