/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which limits hold, and where each number comes from.
 *
 * Three steps. A chain of sections (the most general first) says for each key
 * whose line holds. What such a line says may need the host or another limit
 * ("50%", "90% of MemoryMax", a device by path), so it is resolved to the
 * kernel's values, with its line packed into LimitEntry.origin: every number
 * can be asked where it comes from. And what several parties want on one
 * cgroup is combined, which is where safety lies: the tightest wins, nothing
 * that policy does not name is touched, and nobody's limit is raised unasked.
 *
 * Tightest is only a question for ceilings. A protection (MemoryMin) or a weight
 * takes from others what it gives, so where one has to be careful (names not
 * known yet) the careful answer is the smaller claim, down to none at all.
 */

#include "ceiling.h"
#include "num.h"
#include "value.h"

/* ---- the chain of sections ---- */

#define CHAIN_MAX 5

/* Without [Container] sections. */
typedef struct Chain {
        const PolicySection *sections[CHAIN_MAX];
        size_t n;
        const char *tenant; /* NULL: not known */
        bool unassigned;
} Chain;

static const PolicySection *plan_of(const Policy *p, const PolicyTenant *t) {
        const PolicyPlan *plan = t && t->plan ? policy_find_plan(p, t->plan) : NULL;

        return plan ? &plan->section : NULL;
}

/* sums: for what [Defaults] does not give to "unassigned". */
static Chain chain_make(const Policy *p, const PolicyTenant *rule, const char *tenant, bool sums) {
        const PolicyTenant *template = rule && rule->tenant_format ? rule : NULL,
                           *own = template ? NULL : rule;
        const PolicySection *own_plan, *template_plan;
        Chain c = {};

        if (!rule)
                tenant = POLICY_UNASSIGNED;
        else if (own)
                tenant = own->name;
        if (!own && tenant)
                own = policy_find_tenant(p, tenant);
        c.tenant = tenant;
        c.unassigned = tenant && STR_EQ(tenant, POLICY_UNASSIGNED);

        own_plan = plan_of(p, own);
        template_plan = own_plan ? NULL : plan_of(p, template);
        if (!sums || !c.unassigned)
                c.sections[c.n++] = &p->defaults;
        if (template_plan)
                c.sections[c.n++] = template_plan;
        if (template)
                c.sections[c.n++] = &template->section;
        if (own_plan)
                c.sections[c.n++] = own_plan;
        if (own)
                c.sections[c.n++] = &own->section;
        return c;
}

static bool container_holds(const PolicyContainer *c, const Chain *chain, const char *name) {
        return chain->tenant && name && policy_container_matches(c, chain->tenant, name);
}

/* ---- settings ---- */

typedef struct Decided {
        bool by_section[_PK_MAX]; /* set or reset there */
        const PolicyValue *values[_PK_MAX]; /* NULL: the default holds */
} Decided;

/* Called with the most special section first. */
static void decide(Decided *d, const PolicySection *s) {
        for (PolicyKey k = 0; k < _PK_MAX; k++) {
                const PolicyValue *v = &s->values[k];

                if (d->by_section[k] || (!v->set && !v->reset))
                        continue;
                d->by_section[k] = true;
                d->values[k] = v->set ? v : NULL;
        }
}

static uint64_t decided(const Decided *d, PolicyKey k) {
        return d->values[k] ? d->values[k]->u : policy_key_default(k, false)->u;
}

/* [Host] bounds everybody; who says nothing follows it. */
static void settle_mode(const Policy *p, const PolicyValue *wish, Settings *s) {
        const PolicyValue *host = &p->host.values[PK_MODE];
        const PolicyValue *bound = host->set ? host : policy_key_default(PK_MODE, true);
        const PolicyValue *v = wish && wish->u <= bound->u ? wish : bound;

        s->mode = (Mode)v->u;
        s->mode_ref = v->ref;
}

void ceiling_settings(const Policy *p, const PolicyTenant *rule, const char *tenant, const char *name,
                      Settings *ret) {
        Chain c = chain_make(p, rule, tenant, false);
        const PolicyValue *guarantee;
        Decided d = {};

        for (size_t i = p->n_containers; i-- > 0;)
                if (container_holds(&p->containers[i], &c, name))
                        decide(&d, &p->containers[i].section);
        for (size_t i = c.n; i-- > 0;)
                decide(&d, c.sections[i]);
        if (!d.by_section[PK_OPERATOR_HOLD_SEC] && p->host.values[PK_OPERATOR_HOLD_SEC].set)
                d.values[PK_OPERATOR_HOLD_SEC] = &p->host.values[PK_OPERATOR_HOLD_SEC];
        if (!d.by_section[PK_STARTUP_GRACE_SEC] && p->host.values[PK_STARTUP_GRACE_SEC].set)
                d.values[PK_STARTUP_GRACE_SEC] = &p->host.values[PK_STARTUP_GRACE_SEC];

        *ret = (Settings){
                .priority = (unsigned)decided(&d, PK_PRIORITY),
                .throttle = (unsigned)decided(&d, PK_THROTTLE),
                .kill = c.unassigned ? KILL_NEVER : (KillWish)decided(&d, PK_KILL),
                .kill_grace = decided(&d, PK_KILL_GRACE_SEC),
                .engine_override = decided(&d, PK_ENGINE_LIMITS) == 1,
                .sum = (SumKind)decided(&d, PK_SUM),
                .operator_hold = decided(&d, PK_OPERATOR_HOLD_SEC),
                .pressure_trigger = (unsigned)decided(&d, PK_PRESSURE_TRIGGER),
                .pressure_target = { (unsigned)decided(&d, PK_CPU_PRESSURE_TARGET),
                                     (unsigned)decided(&d, PK_IO_PRESSURE_TARGET),
                                     (unsigned)decided(&d, PK_MEMORY_PRESSURE_TARGET) },
                .pressure_window = decided(&d, PK_PRESSURE_WINDOW_SEC),
                .startup_grace = decided(&d, PK_STARTUP_GRACE_SEC),
                .kill_budget = d.values[PK_KILL_BUDGET] ? (unsigned)d.values[PK_KILL_BUDGET]->u : UINT_MAX,
                .kill_window = d.values[PK_KILL_BUDGET] ? d.values[PK_KILL_BUDGET]->u2 : 0,
        };
        settle_mode(p, d.values[PK_MODE], ret);

        /* A guarantee is a sum. */
        c = chain_make(p, rule, tenant, true);
        guarantee = policy_section_get(c.sections, c.n, PK_CPU_GUARANTEE);
        ret->cpu_guarantee = guarantee ? guarantee->u : 0;
}

/* ---- limits: from lines to the kernel's values ---- */

typedef struct Lines {
        const PolicySection *const *sections;
        size_t n;
        bool container; /* Container…=, or the tenant's own */
        const HostFacts *host;
} Lines;

/* Of the host; 0: not known. */
static bool resolve_of_host(const LimitExpr *e, const HostFacts *host, uint64_t *ret) {
        uint64_t whole;

        if (!host)
                return false;
        if (e->limit == LIMIT_MEMORY_SWAP_MAX)
                whole = host->swap_bytes; /* none at all is a number too */
        else if (limit_info(e->limit)->is_memory)
                whole = host->memory_bytes;
        else
                whole = host->pid_max;
        if (whole == 0 && e->limit != LIMIT_MEMORY_SWAP_MAX)
                return false;
        *ret = num_muldiv(whole, e->value, 10000);
        return true;
}

/* False: no limit. steps bounds what goes round in circles. */
static bool resolve(const Lines *l, const LimitExpr *e, unsigned steps, uint64_t *ret) {
        const LimitExpr *of;
        uint64_t base;

        switch (e->kind) {
        case LIMIT_EXPR_VALUE:
                *ret = e->value;
                return true;
        case LIMIT_EXPR_PERMYRIAD_OF_HOST:
                return resolve_of_host(e, l->host, ret);
        case LIMIT_EXPR_PERMYRIAD_OF_LIMIT:
                of = policy_limits_get(l->sections, l->n, l->container, e->of, NULL);
                if (!of || steps == 0 || !resolve(l, of, steps - 1, &base))
                        return false;
                if (base != LIMIT_INFINITY)
                        *ret = num_muldiv(base, e->value, 10000);
                else if (limit_info(e->limit)->sense == LIMIT_CEILING)
                        *ret = LIMIT_INFINITY;
                else
                        return false; /* half of no limit at all is nothing to protect */
                return true;
        case LIMIT_EXPR_RESET:
                break;
        }
        return false;
}

static int put_line(const Lines *l, const LimitExpr *e, const CeilingEnv *env, LimitSet *set) {
        LimitKnob knob = { .limit = e->limit };
        uint64_t value, old;

        if (!resolve(l, e, _LIMIT_MAX, &value))
                return 0;
        if (limit_info(e->limit)->per_device) {
                if (!e->device || !env->device || env->device(env->user, e->device, &knob.dev) != 0)
                        return 0;
                if (limit_set_get(set, knob, &old) && old <= value)
                        return 0; /* another path on the same disk */
        }
        return limit_set_put(set, knob, value, origin_pack(ORIGIN_POLICY, e->ref));
}

/* The limits that sections give, the most general first; ret is replaced. */
static int resolve_all(const PolicySection *const *sections, size_t n, bool container, const CeilingEnv *env,
                       LimitSet *ret) {
        Lines l = { .sections = sections, .n = n, .container = container, .host = env->host };
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        const LimitExpr *e;
        int r;

        for (size_t i = 0; (e = policy_limits_next(sections, n, container, &i));) {
                r = put_line(&l, e, env, &set);
                if (r < 0)
                        return r;
        }
        limit_set_deinit(ret);
        *ret = set;
        set = LIMIT_SET_INIT;
        return 0;
}

int ceiling_container(const Policy *p, const PolicyTenant *rule, const char *tenant, const char *name,
                      const CeilingEnv *env, LimitSet *ret) {
        _cleanup_free_ const PolicySection **sections = NULL;
        Chain c = chain_make(p, rule, tenant, false);
        size_t n = c.n, alloc = 0;

        /* Few limits are bound to a container's name: no memory where none is. */
        for (size_t i = 0; i < p->n_containers; i++) {
                if (p->containers[i].section.n_container_limits == 0 ||
                    !container_holds(&p->containers[i], &c, name))
                        continue;
                if (!sections) {
                        alloc = c.n + p->n_containers - i;
                        sections = calloc(alloc, sizeof(*sections));
                        if (!sections)
                                return -ENOMEM;
                        memcpy(sections, c.sections, c.n * sizeof(*sections));
                }
                sections[n++] = &p->containers[i].section;
        }
        return resolve_all(sections ? sections : c.sections, n, true, env, ret);
}

int ceiling_tenant(const Policy *p, const PolicyTenant *rule, const char *tenant, const CeilingEnv *env,
                   LimitSet *ret) {
        Chain c = chain_make(p, rule, tenant, true);

        return resolve_all(c.sections, c.n, false, env, ret);
}

/* ---- the strictest of several ---- */

/* Of two values of one limit the one that claims less, or is tighter. */
static uint64_t stricter(Limit limit, uint64_t a, uint64_t b) {
        /* a short target protects more */
        return limit == LIMIT_IO_DEVICE_LATENCY ? MAX_OF(a, b) : MIN_OF(a, b);
}

static int put_stricter(LimitSet *set, LimitKnob knob, const LimitEntry *a, const LimitEntry *b, bool mark) {
        uint64_t unset = limit_info(knob.limit)->unset;
        uint64_t value = stricter(knob.limit, a ? a->value : unset, b ? b->value : unset);
        const LimitEntry *by = a && a->value == value ? a : b && b->value == value ? b : NULL;
        uint32_t origin;

        if (!by || ((!a || !b) && value == unset))
                return 0; /* one of them leaves it to the kernel, and that is the stricter */
        origin = mark ? origin_pack(ORIGIN_STRICTEST, origin_ref(by->origin)) : by->origin;
        return limit_set_put(set, knob, value, origin);
}

/* The period belongs to the quota that holds. */
static int put_period(LimitSet *set, const LimitSet *a, const LimitSet *b, bool mark) {
        static const LimitKnob period = { LIMIT_CPU_PERIOD, 0 };
        uint64_t qa = LIMIT_INFINITY, qb = LIMIT_INFINITY;
        const LimitEntry *e;

        (void)limit_set_get_scalar(a, LIMIT_CPU_QUOTA, &qa);
        (void)limit_set_get_scalar(b, LIMIT_CPU_QUOTA, &qb);
        e = limit_set_find(qb < qa ? b : a, period);
        if (!e)
                return 0;
        return limit_set_put(set, period, e->value,
                             mark ? origin_pack(ORIGIN_STRICTEST, origin_ref(e->origin)) : e->origin);
}

int ceiling_strictest(LimitSet *acc, const LimitSet *other, bool mark) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        int r;

        for (size_t i = 0, j = 0; i < acc->n || j < other->n;) {
                const LimitEntry *a = i < acc->n ? &acc->entries[i] : NULL;
                const LimitEntry *b = j < other->n ? &other->entries[j] : NULL;
                int cmp = !a ? 1 : !b ? -1 : limit_knob_cmp(a->knob, b->knob);
                LimitKnob knob = cmp <= 0 ? a->knob : b->knob;

                i += cmp <= 0;
                j += cmp >= 0;
                if (knob.limit == LIMIT_CPU_PERIOD)
                        continue;
                r = put_stricter(&set, knob, cmp <= 0 ? a : NULL, cmp >= 0 ? b : NULL, mark);
                if (r < 0)
                        return r;
        }
        r = put_period(&set, acc, other, mark);
        if (r < 0)
                return r;
        limit_set_deinit(acc);
        *acc = set;
        set = LIMIT_SET_INIT;
        return 0;
}

/* ---- names not known yet ---- */

typedef struct Pending {
        const Policy *policy;
        const CeilingEnv *env;
        const char *name; /* NULL: not known */
        bool all; /* also candidates that would not be held */
        bool begun;
        LimitSet acc;
        int error;
} Pending;

static int pending_fold(Pending *q, const LimitSet *set) {
        if (!q->begun) {
                int r = limit_set_copy(&q->acc, set);

                if (r < 0)
                        return r;
                q->begun = true; /* folded into itself below: that marks it */
        }
        return ceiling_strictest(&q->acc, set, true);
}

/* Whether a template can make a tenant of this name, a glob: "compose-%v" makes no "acme". Yes where it is
 * hard to tell. */
static bool template_may_make(const PolicyTenant *template, const char *tenant) {
        char glob[4 * POLICY_NAME_MAX];
        size_t n = 0;

        if (strpbrk(tenant, "*?[\\"))
                return true;
        for (const char *p = template->tenant_format; *p; p++) {
                if (n + 1 == sizeof(glob))
                        return true;
                glob[n++] = *p == '%' ? '*' : *p;
                if (*p == '%' && p[1])
                        p++; /* whatever it stands for */
        }
        glob[n] = '\0';
        return value_glob(glob, tenant);
}

/* It cannot be told yet whether this section holds. */
static bool container_may_hold(const PolicyContainer *c, const PolicyTenant *rule, const Chain *chain,
                               const char *name) {
        if (chain->tenant && name)
                return false;
        return (chain->tenant ? value_glob(c->tenant, chain->tenant) : template_may_make(rule, c->tenant)) &&
               (!name || value_glob(c->name, name));
}

/* As such, and once more with each [Container] section that may turn out to be meant. */
static int pending_candidate(Pending *q, const PolicyTenant *rule) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        Chain c = chain_make(q->policy, rule, NULL, false);
        const PolicySection *sections[CHAIN_MAX + 1];
        Settings s;
        int r;

        ceiling_settings(q->policy, rule, NULL, q->name, &s);
        if (s.mode < MODE_CEILINGS && !q->all)
                return pending_fold(q, &set);
        r = ceiling_container(q->policy, rule, NULL, q->name, q->env, &set);
        if (r < 0)
                return r;
        r = pending_fold(q, &set);
        memcpy(sections, c.sections, c.n * sizeof(*sections));
        for (size_t i = 0; r == 0 && i < q->policy->n_containers; i++) {
                const PolicyContainer *container = &q->policy->containers[i];

                if (container->section.n_container_limits == 0 ||
                    !container_may_hold(container, rule, &c, q->name))
                        continue;
                sections[c.n] = &container->section;
                r = resolve_all(sections, c.n + 1, true, q->env, &set);
                if (r == 0)
                        r = pending_fold(q, &set);
        }
        return r;
}

static void pending_each(void *user, const PolicyTenant *rule) {
        Pending *q = user;

        if (q->error == 0)
                q->error = pending_candidate(q, rule);
}

int ceiling_pending(const Policy *p, const WhoFacts *f, const char *name, const CeilingEnv *env,
                    Settings *ret_settings, LimitSet *ret) {
        Pending q = { .policy = p, .env = env, .name = name };
        Settings s;
        WhoResult who;

        who_resolve(p, f, &who);
        ceiling_settings(p, who.rule, who.tenant, name, &s);
        s.kill = KILL_NEVER;
        s.engine_override = false;

        q.all = s.mode < MODE_CEILINGS;
        who_candidates(p, f, pending_each, &q);
        if (q.error < 0) {
                limit_set_deinit(&q.acc);
                return q.error;
        }
        limit_set_deinit(ret);
        *ret = q.acc;
        *ret_settings = s;
        return 0;
}

/* ---- what must hold on one cgroup ---- */

#define CPU_PERIOD_DEFAULT (100 * USEC_PER_MSEC)

/* What somebody wants there; false: nothing. */
static bool get(const LimitSet *set, LimitKnob knob, uint64_t *ret) {
        return set && limit_set_get(set, knob, ret);
}

/* Who names a knob: policy, else the share. */
static int combine_knob(LimitKnob knob, const LimitEntry *policy, const LimitEntry *share,
                        const LimitSet *wants, bool engine_override, LimitSet *set) {
        const LimitEntry *named = policy ? policy : share;
        uint64_t value, want;
        uint32_t origin;

        if (knob.limit == LIMIT_CPU_PERIOD || knob.limit == LIMIT_CPU_BURST)
                return policy ? limit_set_put(set, knob, policy->value, policy->origin) : 0;
        if (limit_info(knob.limit)->sense == LIMIT_EXACT)
                return limit_set_put(set, knob, named->value, named->origin);

        if (policy && share && share->value < policy->value)
                named = share;
        value = named->value;
        origin = named->origin;
        if (!engine_override && value == LIMIT_INFINITY)
                return 0;
        if (!engine_override && get(wants, knob, &want) && want < value) {
                value = want;
                origin = origin_pack(ORIGIN_ENGINE, (PolicyRef){});
        }
        return limit_set_put(set, knob, value, origin);
}

/* What the kernel refuses or what makes no sense together; it only ever lowers. */
static void reconcile_knobs(const LimitSet *wants, LimitSet *set) {
        static const Limit below_max[] = { LIMIT_MEMORY_HIGH, LIMIT_MEMORY_LOW, LIMIT_MEMORY_MIN };
        const LimitEntry *max = limit_set_find(set, (LimitKnob){ LIMIT_MEMORY_MAX, 0 });
        LimitEntry *burst = limit_set_find(set, (LimitKnob){ LIMIT_CPU_BURST, 0 });
        uint64_t quota = LIMIT_INFINITY, want, period;

        for (size_t i = 0; max && i < ARRAY_SIZE(below_max); i++) {
                LimitEntry *e = limit_set_find(set, (LimitKnob){ below_max[i], 0 });

                if (e && e->value > max->value) {
                        e->value = max->value;
                        e->origin = max->origin;
                }
        }
        if (!burst)
                return;
        /* A quota that is only the engine's binds too: it is in the same file. */
        if (!limit_set_get_scalar(set, LIMIT_CPU_QUOTA, &quota) &&
            get(wants, (LimitKnob){ LIMIT_CPU_QUOTA, 0 }, &want))
                quota = want;
        if (quota == LIMIT_INFINITY)
                return;
        if (!limit_set_get_scalar(set, LIMIT_CPU_PERIOD, &period) &&
            !get(wants, (LimitKnob){ LIMIT_CPU_PERIOD, 0 }, &period))
                period = CPU_PERIOD_DEFAULT;
        burst->value = MIN_OF(burst->value, num_muldiv(quota, period, USEC_PER_SEC));
}

int ceiling_combine(const LimitSet *policy, const LimitSet *share, const LimitSet *wants,
                    bool engine_override, LimitSet *ret) {
        static const LimitSet none = {};
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        const LimitSet *a = policy ? policy : &none, *b = share ? share : &none;
        int r;

        for (size_t i = 0, j = 0; i < a->n || j < b->n;) {
                const LimitEntry *p = i < a->n ? &a->entries[i] : NULL;
                const LimitEntry *s = j < b->n ? &b->entries[j] : NULL;
                int cmp = !p ? 1 : !s ? -1 : limit_knob_cmp(p->knob, s->knob);

                i += cmp <= 0;
                j += cmp >= 0;
                r = combine_knob(cmp <= 0 ? p->knob : s->knob, cmp <= 0 ? p : NULL, cmp >= 0 ? s : NULL,
                                 wants, engine_override, &set);
                if (r < 0)
                        return r;
        }
        reconcile_knobs(wants, &set);
        limit_set_deinit(ret);
        *ret = set;
        set = LIMIT_SET_INIT;
        return 0;
}
