/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Limits that contradict each other, as far as that holds on every host.
 *
 * Numbers meet in a chain of sections ([Defaults], plan, tenant, [Container]):
 * a MemoryHigh of the plan with a MemoryMax of the tenant. So each chain that
 * the policy can produce is looked at as a view. A contradiction between two
 * lines is reported at the more special of the two, since that is the one
 * written with the other in mind; the same pair comes up in the view of every
 * tenant of a plan and is reported once.
 *
 * Errors are what has no meaning (a reference to nothing, a circle, more
 * guaranteed than allowed), warnings what has one that nobody can have meant.
 */

#include "map.h"
#include "num.h"
#include "policy-internal.h"
#include "value.h"

#define VIEW_MAX 4

typedef struct View {
        const PolicySection *chain[VIEW_MAX];
        struct {
                const char *type, *name, *container;
        } who[VIEW_MAX];
        size_t n;
        size_t sums_from; /* limits of the tenant as a whole begin here: [Defaults] gives unassigned none */
        bool certain; /* somebody's: what refers to nothing here needs another view to be good for anything */
} View;

typedef struct Check {
        const Policy *policy;
        Diags *diags;
        Map reported; /* u64: two lines in one */
        Map references; /* u64: LimitExpr * → &dangling or &resolved */
        int error;
} Check;

static char dangling, resolved;

static void view_add(View *v, const PolicySection *s, const char *type, const char *name,
                     const char *container) {
        v->chain[v->n] = s;
        v->who[v->n].type = type;
        v->who[v->n].name = name;
        v->who[v->n].container = container;
        v->n++;
}

/* [Defaults], plan, tenant or template; each but the first may be NULL. */
static View view_of(const Policy *p, const PolicyPlan *plan, const PolicyTenant *t, const char *type) {
        View v = { .certain = t };

        if (t && t->plan)
                plan = policy_find_plan(p, t->plan);
        if (t && STR_EQ(type, "Tenant") && STR_EQ(t->name, POLICY_UNASSIGNED))
                v.sums_from = 1;
        view_add(&v, &p->defaults, "Defaults", NULL, NULL);
        if (plan)
                view_add(&v, &plan->section, "Plan", plan->name, NULL);
        if (t)
                view_add(&v, &t->section, type, t->name, NULL);
        return v;
}

/* Where in the view this expression or value stands. */
static size_t view_find(const View *v, const void *member) {
        for (size_t i = v->n; i-- > 0;) {
                const PolicySection *s = v->chain[i];
                uintptr_t at = (uintptr_t)member, l = (uintptr_t)s->limits,
                          c = (uintptr_t)s->container_limits;

                if ((at >= (uintptr_t)s && at < (uintptr_t)(s + 1)) ||
                    (at >= l && at < l + s->n_limits * sizeof(*s->limits)) ||
                    (at >= c && at < c + s->n_container_limits * sizeof(*s->container_limits)))
                        return i;
        }
        return 0;
}

static const LimitExpr *get(const View *v, bool container, Limit limit) {
        size_t from = container ? 0 : v->sums_from;

        return policy_limits_get(v->chain + from, v->n - from, container, limit, NULL);
}

/* ---- reporting ---- */

static bool first_time(Check *c, PolicyRef a, PolicyRef b, unsigned kind) {
        /* file 10 bits, line 18 bits each: POLICY_FILES_MAX, and a longer file gets one report for two */
        uint64_t key = ((uint64_t)(a.file & 0x3ff) << 18 | (a.line & 0x3ffff)) << 32 |
                       ((uint64_t)(b.file & 0x3ff) << 18 | (b.line & 0x3ffff)) << 4 | kind;
        int r = map_put_u64(&c->reported, key, &resolved);

        if (r < 0 && r != -EEXIST)
                c->error = r;
        return r == 0;
}

static void complain(Check *c, const View *v, size_t at, DiagLevel level, PolicyRef ref, const char *key,
                     const Buf *text) {
        _cleanup_buf_ Buf label = BUF_INIT;

        buf_puts(&label, v->who[at].type);
        if (v->who[at].name)
                buf_printf(&label, " %s", v->who[at].name);
        if (v->who[at].container)
                buf_printf(&label, "/%s", v->who[at].container);
        if (buf_error(&label) < 0 || buf_error(text) < 0)
                c->error = -ENOMEM;
        policy_complain(c->policy, c->diags, level, ref, buf_str(&label), key, "%s", buf_str(text));
}

/* ---- numbers ---- */

typedef struct Number {
        bool of_host; /* permyriad of what the host has, else absolute */
        uint64_t v;
} Number;

/* What a memory limit comes to, as far as that can be said without a host. */
static bool resolve(const View *v, const LimitExpr *e, Number *ret) {
        uint64_t factors[_LIMIT_MAX];
        size_t n = 0;

        for (; e && e->kind == LIMIT_EXPR_PERMYRIAD_OF_LIMIT; e = get(v, e->container, e->of)) {
                if (n == ARRAY_SIZE(factors))
                        return false; /* a circle, reported elsewhere */
                factors[n++] = e->value;
        }
        if (!e || e->kind == LIMIT_EXPR_RESET)
                return false;
        *ret = (Number){ .of_host = e->kind == LIMIT_EXPR_PERMYRIAD_OF_HOST, .v = e->value };
        if (!ret->of_host && ret->v == LIMIT_INFINITY)
                return true;
        while (n-- > 0)
                ret->v = num_muldiv(ret->v, factors[n], 10000);
        return true;
}

static void print_key(Buf *out, bool container, Limit limit) {
        buf_printf(out, "%s%s", container ? "Container" : "", limit_info(limit)->key);
}

/* `low` must not be above `high`; why says what it means. */
static void check_order(Check *c, const View *v, bool low_container, Limit low, bool high_container,
                        Limit high, const char *why) {
        const LimitExpr *a = get(v, low_container, low), *b = get(v, high_container, high), *at;
        _cleanup_buf_ Buf text = BUF_INIT, key = BUF_INIT;
        size_t ia, ib;
        Number x, y;

        if (!a || !b || !resolve(v, a, &x) || !resolve(v, b, &y) || x.of_host != y.of_host || x.v <= y.v ||
            x.v == LIMIT_INFINITY)
                return;
        ia = view_find(v, a);
        ib = view_find(v, b);
        at = ib > ia || (ib == ia && b->ref.file == a->ref.file && b->ref.line > a->ref.line) ? b : a;
        if (!first_time(c, a->ref, b->ref, 0))
                return;

        print_key(&key, at->container, at->limit);
        buf_puts(&text, at == a ? "above " : "below ");
        print_key(&text, at == a ? high_container : low_container, at == a ? high : low);
        buf_putc(&text, '=');
        policy_limit_format(at == a ? b : a, &text);
        buf_printf(&text, " of %s:%u, %s", c->policy->files[(at == a ? b : a)->ref.file],
                   (at == a ? b : a)->ref.line, why);
        if (buf_error(&key) < 0)
                c->error = -ENOMEM;
        complain(c, v, MAX_OF(ia, ib), DIAG_WARNING, at->ref, buf_str(&key), &text);
}

static void check_guarantee(Check *c, const View *v) {
        const PolicyValue *g =
                policy_section_get(v->chain + v->sums_from, v->n - v->sums_from, PK_CPU_GUARANTEE);
        const LimitExpr *q = get(v, false, LIMIT_CPU_QUOTA);
        _cleanup_buf_ Buf text = BUF_INIT;
        size_t ig, iq;

        if (!g || !q || q->kind != LIMIT_EXPR_VALUE || q->value == LIMIT_INFINITY || g->u <= q->value)
                return;
        ig = view_find(v, g);
        iq = view_find(v, q);
        if (!first_time(c, g->ref, q->ref, 1))
                return;
        if (iq > ig || (iq == ig && q->ref.line > g->ref.line)) {
                buf_puts(&text, "below CPUGuarantee=");
                policy_value_format(PK_CPU_GUARANTEE, g, &text);
                buf_printf(&text, " of %s:%u, which could not be kept; expected at least as much",
                           c->policy->files[g->ref.file], g->ref.line);
                complain(c, v, iq, DIAG_ERROR, q->ref, "CPUQuota", &text);
        } else {
                buf_puts(&text, "above CPUQuota=");
                policy_limit_format(q, &text);
                buf_printf(&text, " of %s:%u, so it could not be kept; expected at most as much",
                           c->policy->files[q->ref.file], q->ref.line);
                complain(c, v, ig, DIAG_ERROR, g->ref, "CPUGuarantee", &text);
        }
}

/* The kernel takes no burst above the quota of one period (EINVAL). */
static void check_burst(Check *c, const View *v, bool container) {
        const LimitExpr *b = get(v, container, LIMIT_CPU_BURST), *q = get(v, container, LIMIT_CPU_QUOTA);
        const LimitExpr *period = get(v, container, LIMIT_CPU_PERIOD);
        _cleanup_buf_ Buf text = BUF_INIT;
        char usec[64];
        uint64_t most;

        if (!b || b->kind != LIMIT_EXPR_VALUE || !q || q->kind != LIMIT_EXPR_VALUE ||
            q->value == LIMIT_INFINITY)
                return;
        most = num_muldiv(q->value,
                          period && period->kind == LIMIT_EXPR_VALUE ? period->value : 100 * USEC_PER_MSEC,
                          USEC_PER_SEC);
        if (b->value <= most || !first_time(c, b->ref, q->ref, 2))
                return;
        buf_printf(&text, "more than %sCPUQuota=", container ? "Container" : "");
        policy_limit_format(q, &text);
        buf_printf(&text,
                   " of %s:%u gives in one period, only %s of it will hold; expected no more than that",
                   c->policy->files[q->ref.file], q->ref.line, value_format_usec(most, usec, sizeof(usec)));
        complain(c, v, view_find(v, b), DIAG_WARNING, b->ref, container ? "ContainerCPUBurst" : "CPUBurst",
                 &text);
}

/* ---- "90% of MemoryMax" ---- */

static bool container_rule_sets(const Policy *p, Limit limit) {
        for (size_t i = 0; i < p->n_containers; i++) {
                const PolicySection *s = &p->containers[i].section;

                if (policy_limits_get(&s, 1, true, limit, NULL))
                        return true;
        }
        return false;
}

static void note_reference(Check *c, const View *v, const LimitExpr *e) {
        uint64_t key = (uintptr_t)e;
        void *was = map_get_u64(&c->references, key);
        bool ok = get(v, e->container, e->of) || (e->container && container_rule_sets(c->policy, e->of));
        int r;

        if (was == &resolved || (was && !ok))
                return;
        if (was)
                map_remove_u64(&c->references, key);
        r = map_put_u64(&c->references, key, ok ? &resolved : &dangling);
        if (r < 0)
                c->error = r;
}

static void check_circle(Check *c, const View *v, const LimitExpr *start) {
        const LimitExpr *circle[_LIMIT_MAX], *e = start;
        _cleanup_buf_ Buf text = BUF_INIT, key = BUF_INIT;
        size_t n = 0;
        PolicyRef low, high;

        do {
                if (n == ARRAY_SIZE(circle))
                        return; /* leads into a circle without being part of it */
                circle[n++] = e;
                e = get(v, e->container, e->of);
        } while (e && e->kind == LIMIT_EXPR_PERMYRIAD_OF_LIMIT && e != start);
        if (e != start)
                return;

        low = high = start->ref; /* whichever of its members it is entered by, the circle is one */
        for (size_t i = 0; i < n; i++) {
                PolicyRef r = circle[i]->ref;

                if (r.file < low.file || (r.file == low.file && r.line < low.line))
                        low = r;
                if (r.file > high.file || (r.file == high.file && r.line > high.line))
                        high = r;
        }
        if (!first_time(c, low, high, 3))
                return;
        print_key(&key, start->container, start->limit);
        buf_puts(&text, "goes round in a circle: ");
        for (size_t i = 0; i < n; i++) {
                print_key(&text, circle[i]->container, circle[i]->limit);
                buf_puts(&text, " of ");
        }
        print_key(&text, start->container, start->limit);
        buf_puts(&text, "; expected a size in one of them");
        if (buf_error(&key) < 0)
                c->error = -ENOMEM;
        complain(c, v, view_find(v, start), DIAG_ERROR, start->ref, buf_str(&key), &text);
}

static void check_references(Check *c, const View *v, bool container) {
        size_t from = container ? 0 : v->sums_from;
        const LimitExpr *e;

        for (size_t i = 0; (e = policy_limits_next(v->chain + from, v->n - from, container, &i));)
                if (e->kind == LIMIT_EXPR_PERMYRIAD_OF_LIMIT) {
                        if (v->certain)
                                note_reference(c, v, e);
                        check_circle(c, v, e);
                }
}

/* After all views: what no view could resolve. What no view uses (a plan that nobody has yet) may still find its
 * other half. */
static void report_dangling(Check *c, const PolicySection *s, const char *type, const char *name,
                            const char *container_name) {
        View v = {};

        view_add(&v, s, type, name, container_name);
        for (int container = 0; container < 2; container++) {
                const LimitExpr *l = container ? s->container_limits : s->limits;
                size_t n = container ? s->n_container_limits : s->n_limits;

                for (size_t i = 0; i < n; i++) {
                        _cleanup_buf_ Buf text = BUF_INIT, key = BUF_INIT;

                        if (map_get_u64(&c->references, (uintptr_t)&l[i]) != &dangling)
                                continue;
                        print_key(&key, container, l[i].limit);
                        buf_puts(&text, "refers to ");
                        print_key(&text, container, l[i].of);
                        buf_puts(
                                &text,
                                ", which is not set where this holds; expected it there or in a more general "
                                "section");
                        if (buf_error(&key) < 0)
                                c->error = -ENOMEM;
                        complain(c, &v, 0, DIAG_ERROR, l[i].ref, buf_str(&key), &text);
                }
        }
}

/* ---- views ---- */

static void check_view(Check *c, const View *v, bool containers_only) {
        static const char never_reached[] = "so it is never reached; expected less than the maximum";
        static const char idle_low[] = "which then adds nothing; expected MemoryLow above MemoryMin";
        static const char more_than_all[] = "so the tenant's limit comes first; expected no more than that";
        static const char more_than_max[] =
                "so not all of it can be protected; expected no more than the maximum";

        for (int container = containers_only; container < 2; container++) {
                check_references(c, v, container);
                check_order(c, v, container, LIMIT_MEMORY_HIGH, container, LIMIT_MEMORY_MAX, never_reached);
                check_order(c, v, container, LIMIT_MEMORY_MIN, container, LIMIT_MEMORY_LOW, idle_low);
                check_order(c, v, container, LIMIT_MEMORY_MIN, container, LIMIT_MEMORY_MAX, more_than_max);
                check_burst(c, v, container);
        }
        check_order(c, v, true, LIMIT_MEMORY_MAX, false, LIMIT_MEMORY_MAX, more_than_all);
        if (!containers_only)
                check_guarantee(c, v);
}

static void check_container_rule(Check *c, const PolicyContainer *rule) {
        const Policy *p = c->policy;
        bool any = false;

        if (rule->section.n_container_limits == 0)
                return;
        for (size_t i = 0; i < p->n_tenants + p->n_templates; i++) {
                bool template = i >= p->n_tenants;
                const PolicyTenant *t = template ? &p->templates[i - p->n_tenants] : &p->tenants[i];
                View v;

                if (!template && !value_glob(rule->tenant, t->name))
                        continue;
                v = view_of(p, NULL, t, template ? "Template" : "Tenant");
                view_add(&v, &rule->section, "Container", rule->tenant, rule->name);
                if (template) /* it may not hold there at all: only what it refers to */
                        check_references(c, &v, true);
                else
                        check_view(c, &v, true);
                any = true;
        }
        if (!any) {
                View v = view_of(p, NULL, NULL, NULL);

                view_add(&v, &rule->section, "Container", rule->tenant, rule->name);
                check_view(c, &v, true);
        }
}

int policy_check_limits(const Policy *p, Diags *diags) {
        Check c = { .policy = p, .diags = diags };
        View v;

        /* As they are, also before there is a tenant of the plan; what they refer to may come with one. */
        v = view_of(p, NULL, NULL, NULL);
        check_view(&c, &v, false);
        for (size_t i = 0; i < p->n_plans; i++) {
                v = view_of(p, &p->plans[i], NULL, NULL);
                check_view(&c, &v, false);
        }
        for (size_t i = 0; i < p->n_tenants; i++) {
                v = view_of(p, NULL, &p->tenants[i], "Tenant");
                check_view(&c, &v, false);
        }
        for (size_t i = 0; i < p->n_templates; i++) {
                v = view_of(p, NULL, &p->templates[i], "Template");
                check_view(&c, &v, false);
        }
        for (size_t i = 0; i < p->n_containers; i++)
                check_container_rule(&c, &p->containers[i]);

        report_dangling(&c, &p->defaults, "Defaults", NULL, NULL);
        for (size_t i = 0; i < p->n_plans; i++)
                report_dangling(&c, &p->plans[i].section, "Plan", p->plans[i].name, NULL);
        for (size_t i = 0; i < p->n_templates; i++)
                report_dangling(&c, &p->templates[i].section, "Template", p->templates[i].name, NULL);
        for (size_t i = 0; i < p->n_tenants; i++)
                report_dangling(&c, &p->tenants[i].section, "Tenant", p->tenants[i].name, NULL);
        for (size_t i = 0; i < p->n_containers; i++)
                report_dangling(&c, &p->containers[i].section, "Container", p->containers[i].tenant,
                                p->containers[i].name);
        map_deinit(&c.reported);
        map_deinit(&c.references);
        return c.error;
}
