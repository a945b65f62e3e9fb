/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tenants: who is theirs, what their sum is, and how it is held. On one slice
 * of a tenant's own the sum is exact; else core/share divides it among the
 * parts, and each share is a lease. Shares follow use: a sum that is divided is
 * divided anew each second, and at once where somebody's growth waited for
 * another's share to be taken. Nothing here writes a limit.
 */

#include "guard.h"

/* A sum that is divided is divided anew so often, less often among many parts. */
#define APPORTION_AGAIN USEC_PER_SEC
#define APPORTION_PART_USEC (5 * USEC_PER_MSEC)

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
                const PolicyTenant *rule = who_first_rule(t->rule, who->rule);

                if (t->rule != rule) {
                        t->rule = rule;
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
        t->lent = false;
        if (t->share.n > 0 || t->have_share) {
                limit_set_clear(&t->share);
                share_memory_deinit(&t->share_memory);
                t->have_share = false;
                enforce_queue(g, t);
        }
}

/* The whole sum on one slice of the tenant's own: exact, and no lease. */
static void hold_on_slice(Guard *g, Tenant *tenant, Target *slice) {
        slice->lent = false;
        clear_share(g, slice);
        if (!limit_set_same(&slice->policy, &tenant->sum) &&
            limit_set_copy(&slice->policy, &tenant->sum) >= 0)
                enforce_queue(g, slice);
        tenant->share = (ShareResult){ .state = SHARE_EXACT };
}

/* One part, and the sets that it points to. */
typedef struct Part {
        Target *target;
        LimitSet use, held, out;
} Part;

static Part *parts_free(Part *parts, size_t n) {
        for (size_t i = 0; parts && i < n; i++) {
                limit_set_deinit(&parts[i].use);
                limit_set_deinit(&parts[i].held);
                limit_set_deinit(&parts[i].out);
        }
        free(parts);
        return NULL;
}

/* Who shares the sum: the tenant's slices, and what lives outside of them. Others have no share. */
static size_t collect(Guard *g, Tenant *tenant, Part *parts) {
        size_t n = 0;

        for (size_t i = 0; i < tenant->n_slices; i++)
                if (tenant->slices[i]->reconciled)
                        parts[n++].target = tenant->slices[i];
        for (size_t i = 0; i < tenant->n_members; i++) {
                Target *t = tenant->members[i];

                if (t->reconciled && tenant->has_sum && !below_own_slice(tenant, t) &&
                    tenant->settings.sum != SUM_SLICE)
                        parts[n++].target = t;
                else
                        clear_share(g, t);
        }
        return n;
}

/* Whether what is given is written, so that what the kernel holds has a meaning for it. */
static bool is_written(const Guard *g, const Target *t) {
        return !g->paused && !g->released && !t->hold && t->have_share &&
               MIN_OF(t->settings.mode, guard_host_mode(g, NULL)) >= MODE_CEILINGS;
}

/* What the kernel holds of the sum's ceilings, or will when what is under way has been written, if that is more. A knob
 * that nobody writes there has what was given last: one that seemed to hold everything would keep all others from growing. */
static int read_held(const Target *t, const LimitSet *sum, LimitSet *ret) {
        int r = 0;

        for (size_t i = 0; i < sum->n && r >= 0; i++) {
                const LimitKnob knobs[] = { sum->entries[i].knob, { .limit = LIMIT_MEMORY_HIGH } };

                /* MemoryMax is held in memory.high, too. */
                for (size_t k = 0; k < (knobs[0].limit == LIMIT_MEMORY_MAX ? 2 : 1) && r >= 0; k++) {
                        const ReconKnob *x = recon_find(&t->recon, knobs[k]);
                        uint64_t given = 0, held = LIMIT_INFINITY;

                        (void)limit_set_get(&t->share, knobs[k], &given);
                        if (!(t->have_files >> limit_info(knobs[k].limit)->file & 1) ||
                            (x && (x->state == KNOB_UNWRITABLE || x->state == KNOB_OBSERVED ||
                                   x->state == KNOB_HELD)))
                                held = given;
                        else {
                                (void)limit_set_get(&t->actual, knobs[k], &held);
                                held = MAX_OF(held, given);
                                if (x && x->in_flight && x->have_attempt)
                                        held = MAX_OF(held, x->attempt);
                        }
                        if (held != LIMIT_INFINITY)
                                r = limit_set_put(ret, knobs[k], held, 0);
                }
        }
        return r;
}

/* What it uses: by the last look, which for one that does nothing is some seconds old; the writer looks again before it
 * lowers memory.max. */
static int describe_part(Guard *g, const Tenant *tenant, Part *p, usec_t now, SharePart *ret) {
        Target *t = p->target;
        const Sample *s = &t->m.last;
        int r = 0;

        if (s->at == 0) {
                r = cg_read_occupancy(t->node->fd, &t->usage);
                if (r < 0)
                        return r;
        } else
                t->usage = (CgUsage){
                        .have_memory = sample_has(s, SAMPLE_MEMORY),
                        .have_swap = sample_has(s, SAMPLE_SWAP),
                        .have_pids = sample_has(s, SAMPLE_PIDS),
                        .memory_bytes = s->v[SAMPLE_MEMORY],
                        .swap_bytes = s->v[SAMPLE_SWAP],
                        .tasks = s->v[SAMPLE_PIDS],
                };
        *ret = (SharePart){
                .id = t->id,
                .memory_bytes = t->usage.memory_bytes,
                .swap_bytes = t->usage.swap_bytes,
                .tasks = t->usage.tasks,
                .have_memory = t->usage.have_memory,
                .have_swap = t->usage.have_swap,
                .have_tasks = t->usage.have_pids,
                /* What policy and engine leave it of the whole sum; before its first step policy alone. */
                .own = t->unshared.n > 0 ? &t->unshared
                       : t->container    ? &t->policy
                                         : NULL,
                .use = &p->use,
                .held = is_written(g, t) ? &p->held : NULL,
                .memory = &t->share_memory,
                .out = &p->out,
        };
        r = demand_use(&t->m.demand, &tenant->sum, now, &p->use);
        if (r >= 0 && ret->held)
                r = read_held(t, &tenant->sum, &p->held);
        return r;
}

/* It has less than everybody could have: when it wakes, that must be seen soon. */
static bool is_lent(const LimitSet *sum, const LimitSet *share, size_t n) {
        for (size_t i = 0; i < sum->n; i++) {
                const LimitEntry *e = &sum->entries[i];
                uint64_t v;

                if (limit_info(e->knob.limit)->sense == LIMIT_CEILING && e->value != LIMIT_INFINITY &&
                    limit_set_get(share, e->knob, &v) && v < e->value / n / 16 * 15)
                        return true;
        }
        return false;
}

static void give(Guard *g, Tenant *tenant, Part *p, size_t n) {
        Target *t = p->target;

        t->lent = is_lent(&tenant->sum, &p->out, n);
        if (!t->container && t->policy.n > 0) {
                limit_set_clear(&t->policy);
                enforce_queue(g, t);
        }
        if (limit_set_same(&t->share, &p->out) && t->have_share)
                return;
        limit_set_deinit(&t->share);
        t->share = p->out;
        p->out = LIMIT_SET_INIT;
        t->have_share = true;
        enforce_queue(g, t);
}

static int apportion(Guard *g, Tenant *tenant, Part *parts, size_t n, usec_t now) {
        _cleanup_free_ SharePart *shares = calloc(n, sizeof(*shares));
        int r = shares ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = describe_part(g, tenant, &parts[i], now, &shares[i]);
        if (r >= 0)
                r = share_apportion(&tenant->sum, shares, n, g->host.page_size, &tenant->share);
        for (size_t i = 0; i < n && r >= 0; i++)
                give(g, tenant, &parts[i], n);
        return r;
}

void tenant_adopt_share(Target *t, LimitKnob knob, uint64_t value) {
        ShareMemory *m = &t->share_memory;

        if (limit_set_put(&t->share, knob, value, origin_pack(ORIGIN_SHARE, (PolicyRef){})) < 0)
                return;
        t->have_share = true;
        if (GROW(m->knobs, m->n, m->alloc) == 0)
                m->knobs[m->n++] = (ShareKept){ .knob = knob, .share = value, .cap = value };
}

/* What an earlier run gave holds on until uses are known. */
static bool keep_adopted(const Guard *g, Tenant *tenant, const Part *parts, size_t n, usec_t now) {
        if (now >= g->shares_from)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!parts[i].target->have_share)
                        return false;
        tenant->share = (ShareResult){ .state = n > 1 ? SHARE_APPORTIONED : SHARE_EXACT };
        tenant->next = g->shares_from;
        return true;
}

void world_apportion(Guard *g, Tenant *tenant, usec_t now) {
        size_t n = 0, max = tenant->n_members + tenant->n_slices;
        Part *parts;

        tenant->dirty = false;
        tenant->next = USEC_INFINITY;
        if (max == 0)
                return;
        parts = calloc(max, sizeof(*parts));
        if (parts)
                n = collect(g, tenant, parts);
        if (!parts)
                tenant->dirty = true;
        else if (n == 0)
                tenant->share = (ShareResult){};
        else if (n == 1 && !parts[0].target->container)
                hold_on_slice(g, tenant, parts[0].target);
        else if (keep_adopted(g, tenant, parts, n, now))
                ;
        else if (apportion(g, tenant, parts, n, now) < 0)
                tenant->dirty = true;
        else if (n > 1)
                tenant->next = now + MAX_OF(APPORTION_AGAIN, n * APPORTION_PART_USEC);
        parts_free(parts, max);
}
