/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Effective values: which section of a chain has the say.
 *
 * A chain runs from the most general section to the most special one, so it is
 * read from its end. The first section that names a key decides; "Key=" decides
 * too, for "not set". For limits per device the word goes device by device,
 * and an empty one silences every more general section for all devices.
 */

#include "policy-internal.h"
#include "value.h"

size_t policy_tenant_chain(const Policy *p, const PolicyTenant *t, bool for_limits_of_tenant,
                           const PolicySection *ret[static 3]) {
        const PolicyPlan *plan = t && t->plan ? policy_find_plan(p, t->plan) : NULL;
        bool unassigned = !t || (!t->tenant_format && STR_EQ(t->name, POLICY_UNASSIGNED));
        size_t n = 0;

        if (!unassigned || !for_limits_of_tenant)
                ret[n++] = &p->defaults;
        if (plan)
                ret[n++] = &plan->section;
        if (t)
                ret[n++] = &t->section;
        return n;
}

static bool has_line(const LimitExpr *l, size_t n, PolicyRef ref) {
        for (size_t i = 0; i < n; i++)
                if (l[i].ref.file == ref.file && l[i].ref.line == ref.line)
                        return true;
        return false;
}

static bool has_limit_at(const PolicySection *s, PolicyRef ref) {
        return has_line(s->limits, s->n_limits, ref) ||
               has_line(s->container_limits, s->n_container_limits, ref);
}

const char *policy_layer_of(const Policy *p, PolicyRef ref) {
        if (ref.line == 0)
                return NULL;
        if (has_limit_at(&p->defaults, ref))
                return "defaults";
        for (size_t i = 0; i < p->n_plans; i++)
                if (has_limit_at(&p->plans[i].section, ref))
                        return "plan";
        for (size_t i = 0; i < p->n_templates; i++)
                if (has_limit_at(&p->templates[i].section, ref))
                        return "template";
        for (size_t i = 0; i < p->n_tenants; i++)
                if (has_limit_at(&p->tenants[i].section, ref))
                        return "tenant";
        for (size_t i = 0; i < p->n_containers; i++)
                if (has_limit_at(&p->containers[i].section, ref))
                        return "container";
        return NULL;
}

bool policy_container_matches(const PolicyContainer *c, const char *tenant, const char *name) {
        return value_glob(c->tenant, tenant) && value_glob(c->name, name);
}

const PolicyValue *policy_section_get(const PolicySection *const *chain, size_t n, PolicyKey key) {
        while (n-- > 0) {
                const PolicyValue *v = chain[n] ? &chain[n]->values[key] : NULL;

                if (v && v->set)
                        return v;
                if (v && v->reset)
                        return NULL;
        }
        return NULL;
}

static const LimitExpr *limits_of(const PolicySection *s, bool container, size_t *ret_n) {
        *ret_n = !s ? 0 : container ? s->n_container_limits : s->n_limits;
        return !s ? NULL : container ? s->container_limits : s->limits;
}

const LimitExpr *policy_limits_get(const PolicySection *const *chain, size_t n, bool container, Limit limit,
                                   const char *device) {
        while (n-- > 0) {
                bool reset = false;
                size_t n_limits;
                const LimitExpr *l = limits_of(chain[n], container, &n_limits);

                for (size_t i = 0; i < n_limits; i++) {
                        if (l[i].limit != limit)
                                continue;
                        if (l[i].kind == LIMIT_EXPR_RESET)
                                reset = true;
                        else if (!l[i].device || (device && STR_EQ(l[i].device, device)))
                                return &l[i];
                }
                if (reset)
                        return NULL;
        }
        return NULL;
}

const LimitExpr *policy_limits_next(const PolicySection *const *chain, size_t n, bool container, size_t *i) {
        size_t skip = *i;

        for (size_t k = 0; k < n; k++) {
                size_t n_limits;
                const LimitExpr *l = limits_of(chain[k], container, &n_limits);

                if (skip >= n_limits) {
                        skip -= n_limits;
                        continue;
                }
                for (; skip < n_limits; skip++) {
                        const LimitExpr *e = &l[skip];

                        (*i)++;
                        if (e->kind != LIMIT_EXPR_RESET &&
                            policy_limits_get(chain, n, container, e->limit, e->device) == e)
                                return e;
                }
                skip = 0;
        }
        return NULL;
}
