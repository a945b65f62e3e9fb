/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tenants: who is theirs, what their sum is, and how it is held. On one slice
 * of a tenant's own the sum is exact; else core/share divides it among the
 * parts, and each share is a lease. Nothing here writes a limit.
 */

#include "guard.h"

#define ADVISORY_AGAIN (2 * USEC_PER_SEC)

void tenant_free(Tenant *t) {
        if (!t)
                return;
        limit_set_deinit(&t->sum);
        free(t->members);
        free(t->slices);
        free(t);
}

void target_drop_from(Target **list, size_t *n, const Target *t) {
        for (size_t i = 0; i < *n; i++)
                if (list[i] == t) {
                        list[i] = list[--*n];
                        return;
                }
}

void tenant_leave(Target *t) {
        Tenant *tenant = t->tenant;

        if (!tenant)
                return;
        target_drop_from(tenant->members, &tenant->n_members, t);
        target_drop_from(tenant->slices, &tenant->n_slices, t);
        tenant->dirty = true;
        t->tenant = NULL;
}

int tenant_join(Tenant *tenant, Target *t) {
        int r;

        if (t->container) {
                r = GROW(tenant->members, tenant->n_members, tenant->members_alloc);
                if (r < 0)
                        return r;
                tenant->members[tenant->n_members++] = t;
        } else {
                r = GROW(tenant->slices, tenant->n_slices, tenant->slices_alloc);
                if (r < 0)
                        return r;
                tenant->slices[tenant->n_slices++] = t;
        }
        t->tenant = tenant;
        tenant->dirty = true;
        return 0;
}

int world_device(void *user, const char *path, dev_t *ret) {
        const Guard *g = user;

        for (size_t i = 0; i < g->loaded->n_devices; i++) {
                const PolicyDevice *d = &g->loaded->devices[i];

                if (!STR_EQ(d->path, path))
                        continue;
                if (d->result != 0 && d->dev == 0)
                        return d->result;
                *ret = d->dev;
                return 0;
        }
        return -ENODEV;
}

bool world_device_writeback(void *user, dev_t dev) {
        const Guard *g = user;

        for (size_t i = 0; i < g->loaded->n_devices; i++)
                if (g->loaded->devices[i].dev == dev && !g->loaded->devices[i].writeback)
                        return false;
        return true;
}

CeilingEnv guard_env(Guard *g) { return (CeilingEnv){ .host = &g->host, .device = world_device, .user = g }; }

void tenant_refresh(Guard *g, Tenant *t) {
        CeilingEnv env = guard_env(g);

        ceiling_settings(guard_policy(g), t->rule, t->name, NULL, &t->settings);
        if (ceiling_tenant(guard_policy(g), t->rule, t->name, &env, &t->sum) < 0)
                limit_set_clear(&t->sum);
        t->has_sum = t->sum.n > 0;
        t->dirty = true;
}

static size_t template_count(const Guard *g, const PolicyTenant *rule) {
        size_t n = 0, i = 0;
        Tenant *t;

        while ((t = map_next(&g->tenants, &i)))
                if (t->rule == rule)
                        n++;
        return n;
}

/* The tenant of that name, made when it is new; "unassigned" where a template's bound is reached. */
Tenant *tenant_get(Guard *g, const WhoResult *who) {
        Tenant *t = map_get_str(&g->tenants, who->tenant);

        if (t) {
                if (t->rule != who->rule) {
                        t->rule = who->rule;
                        t->template = who->template;
                        tenant_refresh(g, t);
                }
                return t;
        }
        if (who->template && who->rule->max_tenants > 0 &&
            template_count(g, who->rule) >= who->rule->max_tenants) {
                WhoResult none = { .tenant = "unassigned" };

                announce_tenant(g, ANNOUNCE_DEGRADED, "unassigned",
                                "template %s has reached MaxTenants=%llu; %s stays unassigned",
                                who->rule->name, (unsigned long long)who->rule->max_tenants, who->tenant);
                return tenant_get(g, &none);
        }
        t = calloc(1, sizeof(*t));
        if (!t)
                return NULL;
        memcpy(t->name, who->tenant, sizeof(t->name));
        t->rule = who->rule;
        t->template = who->template;
        t->next = USEC_INFINITY;
        if (map_put_str(&g->tenants, t->name, t) < 0) {
                tenant_free(t);
                return NULL;
        }
        tenant_refresh(g, t);
        return t;
}

/* ---- a tenant's sum ---- */

static bool below_own_slice(const Tenant *tenant, const Target *t) {
        for (size_t i = 0; i < tenant->n_slices; i++)
                if (tenant->slices[i]->reconciled &&
                    cgpath_below(t->node->path, tenant->slices[i]->node->path))
                        return true;
        return false;
}

static void clear_share(Guard *g, Target *t) {
        if (t->share.n > 0 || t->have_share) {
                limit_set_clear(&t->share);
                t->have_share = false;
                enforce_queue(g, t);
        }
}

/* The whole sum on one slice of the tenant's own: exact, and no lease. */
static void hold_on_slice(Guard *g, Tenant *tenant, Target *slice) {
        clear_share(g, slice);
        if (!limit_set_same(&slice->policy, &tenant->sum) &&
            limit_set_copy(&slice->policy, &tenant->sum) >= 0)
                enforce_queue(g, slice);
        tenant->share = (ShareResult){ .state = SHARE_EXACT };
}

void world_apportion(Guard *g, Tenant *tenant, usec_t now) {
        _cleanup_free_ SharePart *parts = NULL;
        _cleanup_free_ Target **who = NULL;
        _cleanup_free_ LimitSet *fresh = NULL;
        size_t n = 0, max = tenant->n_members + tenant->n_slices;
        ShareResult result = {};

        tenant->dirty = false;
        tenant->next = USEC_INFINITY;
        if (max == 0)
                return;
        parts = calloc(max, sizeof(*parts));
        who = calloc(max, sizeof(*who));
        fresh = calloc(max, sizeof(*fresh));
        if (!parts || !who || !fresh) {
                tenant->dirty = true;
                return;
        }
        for (size_t i = 0; i < tenant->n_slices; i++)
                if (tenant->slices[i]->reconciled)
                        who[n++] = tenant->slices[i];
        for (size_t i = 0; i < tenant->n_members; i++) {
                Target *t = tenant->members[i];

                if (t->reconciled && tenant->has_sum && !below_own_slice(tenant, t) &&
                    tenant->settings.sum != SUM_SLICE)
                        who[n++] = t;
                else
                        clear_share(g, t);
        }
        if (n == 0) {
                tenant->share = (ShareResult){};
                return;
        }
        if (n == 1 && !who[0]->container) {
                hold_on_slice(g, tenant, who[0]);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                Target *t = who[i];

                (void)cg_read_occupancy(t->node->fd, &t->usage);
                parts[i] = (SharePart){
                        .id = t->id,
                        .memory_bytes = t->usage.memory_bytes,
                        .swap_bytes = t->usage.swap_bytes,
                        .tasks = t->usage.tasks,
                        .have_memory = t->usage.have_memory,
                        .have_swap = t->usage.have_swap,
                        .have_tasks = t->usage.have_pids,
                        .own = t->container ? &t->policy : NULL,
                        .out = &fresh[i],
                };
        }
        if (share_apportion(&tenant->sum, parts, n, g->host.page_size, &result) >= 0) {
                for (size_t i = 0; i < n; i++) {
                        Target *t = who[i];

                        if (!t->container && t->policy.n > 0) {
                                limit_set_clear(&t->policy);
                                enforce_queue(g, t);
                        }
                        if (limit_set_same(&t->share, &fresh[i]) && t->have_share)
                                continue;
                        limit_set_deinit(&t->share);
                        t->share = fresh[i];
                        fresh[i] = LIMIT_SET_INIT;
                        t->have_share = true;
                        enforce_queue(g, t);
                }
                tenant->share = result;
                if (result.state == SHARE_ADVISORY)
                        tenant->next = now + ADVISORY_AGAIN;
        } else
                tenant->dirty = true;
        for (size_t i = 0; i < n; i++)
                limit_set_deinit(&fresh[i]);
}
