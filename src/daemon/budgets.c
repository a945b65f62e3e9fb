/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kill budgets, kept over a restart. A guard that is killed or crashes in the middle of an episode is started again at once,
 * and finds the same culprits: if each began with a fresh budget, there would be no bound to what is killed. So each kill is in
 * /run/bailiff/kills before it is done (store/kills.c), and the next guard's judge is told of those first.
 *
 * In doubt nobody is killed. Where the file cannot be read, the host's budget counts as spent for one window; where it is full of
 * kills that a budget still counts, all budgets do. Only where there is no room for a file at all do the budgets live as
 * long as the guard.
 *
 * How long a record is kept is decided when it is made, by the windows that the policy has at that moment, and matters only
 * when the file is full.
 */

#include <stdio.h>

#include "policy.h"
#include "budgets.h"
#include "num.h"

static Budget nobody; /* no memory for a budget of its own: all such tenants share one */

static const char *tenant_of(const Party *p) { return p->tenant ? p->tenant : POLICY_UNASSIGNED; }

static Budget *budget_of(Budgets *b, const char *name) {
        Budget *one = map_get_str(&b->tenants, name);
        struct {
                Budget budget;
                char name[POLICY_NAME_MAX + 1];
        } * fresh;

        if (one)
                return one;
        fresh = calloc(1, sizeof(*fresh));
        if (!fresh)
                return &nobody;
        (void)snprintf(fresh->name, sizeof(fresh->name), "%s", name);
        if (map_put_str(&b->tenants, fresh->name, fresh) < 0) {
                free(fresh);
                return &nobody;
        }
        return &fresh->budget;
}

TenantBudget budgets_get(Budgets *b, const Party *p, usec_t now) {
        TenantBudget t = { .budget = budget_of(b, tenant_of(p)) };

        if (b->kills && !kills_has_room(b->kills, now))
                t.window = USEC_INFINITY; /* and 0 in it */
        else if (p->settings) {
                t.max = p->settings->kill_budget;
                t.window = p->settings->kill_window;
        }
        return t;
}

int budgets_charge(Budgets *b, const Judge *judge, const HostRules *rules, const Party *p, usec_t now) {
        usec_t window = MAX_OF(rules->kill_window, p->settings ? p->settings->kill_window : 0);
        Kill kill = { .at = now, .until = num_add_sat(now, window), .cgroup_id = p->id };
        int r;

        if (!b->kills || !judge_charges(judge, p))
                return 0;
        (void)snprintf(kill.tenant, sizeof(kill.tenant), "%s", tenant_of(p));
        r = kills_add(b->kills, &kill);
        return r < 0 ? r : 1;
}

void budgets_take_back(Budgets *b, const Party *p, usec_t now) { kills_remove(b->kills, p->id, now); }

static void remember(Budgets *b, Brakes *brakes) {
        const Kill *k = NULL;

        while ((k = kills_next(b->kills, k)))
                if (k->cgroup_id == 0)
                        brakes_unknown(brakes, k->at);
                else
                        brakes_killed(brakes, budget_of(b, k->tenant), k->cgroup_id, k->at);
}

int budgets_open(Budgets *b, const char *dir, const char *boot_id, Judge *judge, usec_t now,
                 KillsStats *ret) {
        int r = kills_open(dir, boot_id, &b->kills);

        if (r < 0)
                return r;
        kills_get_stats(b->kills, ret);
        if (ret->n_damaged > 0 || ret->set_aside)
                kills_write_off(b->kills, now);
        remember(b, &judge->brakes);
        return 0;
}

void budgets_deinit(Budgets *b) {
        Budget *one;

        for (size_t i = 0; (one = map_next(&b->tenants, &i));)
                free(one);
        map_deinit(&b->tenants);
        b->kills = kills_free(b->kills);
}
