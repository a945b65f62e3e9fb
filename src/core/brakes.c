/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What keeps a guard from doing harm itself. Kills and deaths are remembered in rings of fixed size; a budget or a storm is
 * nothing but a count of what lies within a window, so neither a clock that stands nor a guard that slept makes them drift.
 */

#include "brakes.h"
#include "num.h"

static bool within(usec_t at, usec_t window, usec_t now) { return at > 0 && now - MIN_OF(at, now) < window; }

/* ---- budgets ---- */

unsigned budget_left(const Budget *b, unsigned max, usec_t window, usec_t now) {
        unsigned spent = 0;

        max = MIN_OF(max, (unsigned)BUDGET_MAX);
        for (unsigned i = 0; i < b->n; i++)
                spent += within(b->at[(b->head + i) % BUDGET_MAX], window, now);
        return max > spent ? max - spent : 0;
}

void budget_spend(Budget *b, usec_t now) {
        if (b->n == BUDGET_MAX) {
                b->at[b->head] = now;
                b->head = (b->head + 1) % BUDGET_MAX;
        } else
                b->at[(b->head + b->n++) % BUDGET_MAX] = now;
}

/* ---- storms ---- */

void brakes_died(Brakes *b, usec_t now) {
        if (b->n_deaths == STORM_MAX) {
                b->deaths[b->deaths_head] = now;
                b->deaths_head = (b->deaths_head + 1) % STORM_MAX;
        } else
                b->deaths[(b->deaths_head + b->n_deaths++) % STORM_MAX] = now;
}

bool brakes_storm(Brakes *b, const HostRules *rules, unsigned n_containers, usec_t now) {
        bool was = brakes_in_storm(b, now);
        uint64_t died = 0;

        for (unsigned i = 0; i < b->n_deaths; i++)
                died += within(b->deaths[(b->deaths_head + i) % STORM_MAX], rules->storm_window, now);
        /* Those that died are containers, too: a share of those that were. More than are remembered are a storm on any host. */
        if (died < STORM_MIN ||
            (died < STORM_MAX && died * 10000 <= (n_containers + died) * rules->storm_permyriad))
                return false;
        b->storm_until = num_add_sat(now, rules->storm_window);
        return !was;
}

bool brakes_in_storm(const Brakes *b, usec_t now) { return now < b->storm_until; }

/* ---- kills ---- */

ActWhy brakes_may_kill(const Brakes *b, const HostRules *rules, const Budget *tenant, unsigned tenant_max,
                       usec_t tenant_window, bool urgent, usec_t now) {
        usec_t settle = urgent && b->killing == 0 ? BRAKES_SETTLE_URGENT : BRAKES_SETTLE;

        if (brakes_in_storm(b, now))
                return ACT_WHY_STORM;
        if (budget_left(&b->host, rules->kill_budget, rules->kill_window, now) == 0)
                return ACT_WHY_BUDGET;
        if (tenant_window > 0 && budget_left(tenant, tenant_max, tenant_window, now) == 0)
                return ACT_WHY_BUDGET;
        if (within(b->last_kill, settle, now))
                return ACT_WHY_SETTLING;
        return ACT_WHY_HARM;
}

void brakes_killed(Brakes *b, Budget *tenant, uint64_t id, usec_t now) {
        budget_spend(&b->host, now);
        budget_spend(tenant, now);
        b->last_kill = now;
        b->killing = id;
}

void brakes_unknown(Brakes *b, usec_t at) {
        for (unsigned i = 0; i < BUDGET_MAX; i++)
                budget_spend(&b->host, at);
}

bool brakes_is_again(const Brakes *b, uint64_t id) { return id != 0 && b->killing == id; }

ActWhy brakes_may_kill_again(const Brakes *b, usec_t now) {
        if (brakes_in_storm(b, now))
                return ACT_WHY_STORM;
        return within(b->last_kill, BRAKES_SETTLE, now) ? ACT_WHY_SETTLING : ACT_WHY_HARM;
}

void brakes_killed_again(Brakes *b, usec_t now) { b->last_kill = now; }

void brakes_empty(Brakes *b, uint64_t id) {
        if (b->killing == id)
                b->killing = 0;
}

bool brakes_may_throttle(const HostRules *rules, unsigned n_containers, unsigned n_throttled) {
        uint64_t max = (uint64_t)n_containers * rules->max_throttled / 10000;

        return n_throttled < MAX_OF(max, UINT64_C(1));
}
