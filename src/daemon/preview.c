/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `policy diff`: what another policy would change of what runs here, before it is loaded. Each cgroup is worked out
 * under both, without shares: of a sum that is divided, the whole is told, as its tenant's. What the other policy
 * names is told also where its Mode= would not write it (the mode is with it); what is in force is what a mode that
 * writes has put there, else what the kernel holds. Nothing is queued or written.
 */

#include <jansson.h>
#include <stdio.h>

#include "cgfile.h"
#include "guard.h"
#include "json.h"
#include "num.h"

/* A tenant as the other policy has it. */
typedef struct Heir {
        char name[POLICY_NAME_MAX + 1];
        const PolicyTenant *rule;
        DangerUsage use; /* of its containers */
        TreeNode *slice; /* of its own, the outermost; it carries the sum if there is one only */
        size_t n_slices;
} Heir;

typedef struct Preview {
        Guard *g;
        json_t *changes;
        Mode host_before; /* under the policy in force */
        Map heirs;
        bool is_short; /* of memory */
} Preview;

/* What one row is about, and both sides of it. */
typedef struct Sides {
        const TreeNode *node; /* NULL: a sum that no slice carries */
        Target *target; /* NULL: none yet */
        const char *tenant;
        DangerUsage use;
        Mode mode; /* under the other policy */
        bool held; /* what `from` says is written; else the kernel's files tell what is in force */
        LimitSet from, to;
        LimitSet read; /* the kernel's files, of one that is no target */
} Sides;

static void sides_deinit(Sides *s) {
        limit_set_deinit(&s->from);
        limit_set_deinit(&s->to);
        limit_set_deinit(&s->read);
}

static DangerUsage usage_of(const CgUsage *u) {
        return (DangerUsage){
                .have_memory = u->have_memory,
                .have_swap = u->have_swap,
                .have_tasks = u->have_pids,
                .memory_bytes = u->memory_bytes,
                .swap_bytes = u->swap_bytes,
                .tasks = u->tasks,
        };
}

static void add_usage(DangerUsage *to, const DangerUsage *u) {
        to->have_memory |= u->have_memory;
        to->have_swap |= u->have_swap;
        to->have_tasks |= u->have_tasks;
        to->memory_bytes = num_add_sat(to->memory_bytes, u->have_memory ? u->memory_bytes : 0);
        to->swap_bytes = num_add_sat(to->swap_bytes, u->have_swap ? u->swap_bytes : 0);
        to->tasks = num_add_sat(to->tasks, u->have_tasks ? u->tasks : 0);
}

/* ---- rows ---- */

static void add_row(Preview *p, const Sides *s, LimitKnob knob, bool have_from, uint64_t from, bool have_to,
                    uint64_t to) {
        const Target *t = s->target;
        _cleanup_buf_ Buf danger = BUF_INIT;
        json_t *o = json_object();

        json_set_text(o, "cgroup", s->node ? s->node->path : NULL);
        json_set_text(o, "container", t && t->container ? target_name(t) : NULL);
        json_set_text(o, "tenant", s->tenant);
        json_set_knob(p->g, o, knob);
        json_set_limit_value(o, "from", knob, have_from, from);
        json_set_limit_value(o, "to", knob, have_to, to);
        json_set_text(o, "mode", mode_to_string(s->mode));
        if (have_to && ceiling_danger(knob, to, &s->use, &danger))
                json_set_text(o, "danger", buf_str(&danger));
        else
                json_set_null(o, "danger");
        (void)json_array_append_new(p->changes, o);
}

/* Is anything in force there now? */
static bool before(const Sides *s, LimitKnob knob, uint64_t *ret) {
        if (s->held)
                return limit_set_get(&s->from, knob, ret);
        return s->node && limit_set_get(s->target ? &s->target->actual : &s->read, knob, ret) &&
               *ret != limit_info(knob.limit)->unset;
}

static void compare(Preview *p, const Sides *s) {
        uint64_t v;

        for (size_t i = 0; i < s->to.n; i++) {
                const LimitEntry *e = &s->to.entries[i];
                bool have = before(s, e->knob, &v);

                if (!have || !limit_equal(e->knob.limit, v, e->value, p->g->host.page_size))
                        add_row(p, s, e->knob, have, have ? v : 0, true, e->value);
        }
        for (size_t i = 0; s->held && i < s->from.n; i++) {
                const LimitEntry *e = &s->from.entries[i];

                if (!limit_set_get(&s->to, e->knob, &v))
                        add_row(p, s, e->knob, true, e->value, false, 0);
        }
}

/* ---- both sides ---- */

static int wants_of(Guard *g, Target *t, LimitSet *ret) {
        ReconInput in = {
                .now = guard_now(g),
                .actual = &t->actual,
                .have_files = t->have_files,
                .engine_wants = t->info && t->info->requested.n > 0 ? &t->info->requested : NULL,
                .page_size = g->host.page_size,
        };

        return recon_wants(&t->recon, &in, ret);
}

/* `old` and `new`: what the policies name for it. */
static void add_sides(Preview *p, Sides *s, const LimitSet *old, bool old_override, const LimitSet *new,
                      bool new_override) {
        _cleanup_(limit_set_deinit) LimitSet wants = LIMIT_SET_INIT;
        int r = 0;

        if (s->target)
                r = wants_of(p->g, s->target, &wants);
        if (r >= 0 && s->held && old)
                r = ceiling_combine(old, NULL, &wants, old_override, &s->from);
        if (r >= 0 && s->mode > MODE_OFF)
                r = ceiling_combine(new, NULL, &wants, new_override, &s->to);
        if (r < 0)
                p->is_short = true;
        else
                compare(p, s);
}

static Heir *heir_of(Preview *p, const WhoResult *who) {
        Heir *h = map_get_str(&p->heirs, who->tenant);

        if (h) {
                h->rule = who_first_rule(h->rule, who->rule);
                return h;
        }
        h = calloc(1, sizeof(*h));
        if (!h)
                return NULL;
        memcpy(h->name, who->tenant, sizeof(h->name));
        h->rule = who->rule;
        if (map_put_str(&p->heirs, h->name, h) < 0) {
                free(h);
                return NULL;
        }
        return h;
}

static void add_target(Preview *p, Target *t) {
        _cleanup_(limit_set_deinit) LimitSet policy = LIMIT_SET_INIT;
        Settings settings = {};
        WhoResult who = {};
        DangerUsage use;
        Sides s;
        Heir *h;

        (void)cg_read_occupancy(t->node->fd, &t->usage);
        use = usage_of(&t->usage);
        if (world_preview(p->g, t, &who, &settings, &policy) < 0 || !(h = heir_of(p, &who))) {
                p->is_short = true;
                return;
        }
        add_usage(&h->use, &use);
        if (!t->reconciled)
                return;
        s = (Sides){
                .node = t->node,
                .target = t,
                .tenant = who.tenant,
                .use = use,
                .mode = MIN_OF(settings.mode, guard_host_mode(p->g, NULL)),
                .held = MIN_OF(t->settings.mode, p->host_before) >= MODE_CEILINGS,
        };
        add_sides(p, &s, &t->policy, t->settings.engine_override, &policy, settings.engine_override);
        sides_deinit(&s);
}

/* ---- sums ---- */

/* A slice above it is that tenant's, too. */
static bool is_inner(Preview *p, const TreeNode *n, const char *tenant) {
        WhoResult who = {};

        for (n = n->parent; n; n = n->parent)
                if (world_owns_slice(p->g, n, &who) && STR_EQ(who.tenant, tenant))
                        return true;
        return false;
}

static bool is_out_of_reach(Preview *p, const TreeNode *n, const char *tenant) {
        CgName name;

        return cgpath_classify(n->path, &name) < 0 || name.kube ||
               who_protected(guard_policy(p->g), n->path, ENGINE_NONE, tenant, NULL);
}

/* Who is a target by now does not matter: a load makes them anew. */
static void add_slice(Preview *p, TreeNode *n) {
        WhoResult who = {};
        Heir *h;

        if (n->class == TREE_UNIT || !world_owns_slice(p->g, n, &who) || is_inner(p, n, who.tenant) ||
            is_out_of_reach(p, n, who.tenant))
                return;
        h = heir_of(p, &who);
        if (!h)
                p->is_short = true;
        else if (h->n_slices++ == 0)
                h->slice = n;
}

static const TreeNode *carrier_then(const Heir *h) { return h && h->n_slices == 1 ? h->slice : NULL; }

static Target *carrier_now(const Tenant *t) { return t && t->n_slices == 1 ? t->slices[0] : NULL; }

/* Whose sum is in force where `tenant` (NULL: a new one) is to have its own. NULL: nobody's. */
static const Tenant *in_force(const TreeNode *then, const Tenant *tenant) {
        const Target *t = then ? then->user : NULL;

        if (t && carrier_now(t->tenant) == t)
                return t->tenant;
        return then && carrier_now(tenant) ? NULL : tenant;
}

static void describe_node(Preview *p, const TreeNode *n, Sides *s) {
        CgUsage usage = {};
        uint32_t have;

        s->node = n;
        s->target = n->user;
        (void)cg_read_occupancy(n->fd, &usage);
        s->use = usage_of(&usage);
        if (!s->target && cg_read_limits(n->fd, &s->read, &have) < 0)
                p->is_short = true;
}

static bool is_held(const Preview *p, const Tenant *t) {
        return t && MIN_OF(t->settings.mode, p->host_before) >= MODE_CEILINGS;
}

static void add_sum(Preview *p, const Heir *h) {
        const TreeNode *then = carrier_then(h);
        const Tenant *was = in_force(then, map_get_str(&p->g->tenants, h->name));
        _cleanup_(limit_set_deinit) LimitSet sum = LIMIT_SET_INIT;
        CeilingEnv env = guard_env(p->g);
        Settings settings = {};
        Sides s;

        ceiling_settings(guard_policy(p->g), h->rule, h->name, NULL, &settings);
        if (ceiling_tenant(guard_policy(p->g), h->rule, h->name, &env, &sum) < 0)
                p->is_short = true;
        s = (Sides){
                .tenant = h->name,
                .use = h->use,
                .mode = MIN_OF(settings.mode, guard_host_mode(p->g, NULL)),
                .held = is_held(p, was),
        };
        if (then)
                describe_node(p, then, &s);
        add_sides(p, &s, was ? &was->sum : NULL, false, &sum, false);
        sides_deinit(&s);
}

static bool carries_then(const Preview *p, const TreeNode *n) {
        size_t i = 0;
        Heir *h;

        while ((h = map_next(&p->heirs, &i)))
                if (carrier_then(h) == n)
                        return true;
        return false;
}

/* A sum that nobody has any more, or that is held elsewhere then. */
static void add_given_back(Preview *p, const Tenant *tenant) {
        const Heir *h = map_get_str(&p->heirs, tenant->name);
        const Target *now = carrier_now(tenant);
        const LimitSet none = LIMIT_SET_INIT;
        Sides s = { .tenant = tenant->name, .mode = guard_host_mode(p->g, NULL), .held = is_held(p, tenant) };

        if ((h && (!now || !carrier_then(h))) || (now && carries_then(p, now->node)))
                return;
        if (now)
                describe_node(p, now->node, &s);
        add_sides(p, &s, &tenant->sum, false, &none, false);
        sides_deinit(&s);
}

json_t *render_diff(Guard *g, const LoadedPolicy *candidate) {
        Preview p = { .g = g, .host_before = guard_host_mode(g, NULL) };
        LoadedPolicy *loaded = g->loaded;
        TreeNode *node;
        Tenant *tenant;
        size_t i = 0;
        Target *t;
        Heir *h;

        if (candidate->refused)
                return json_pack("{s:b, s:s, s:[]}", "ok", 0, "report", candidate->report, "changes");
        p.changes = json_array();
        /* Only for the computation. */
        g->loaded = (LoadedPolicy *)candidate;
        while ((t = map_next(&g->targets, &i)))
                if (t->container && !t->leaving)
                        add_target(&p, t);
        i = 0;
        while ((node = tree_next(g->tree, &i)))
                add_slice(&p, node);
        i = 0;
        while ((h = map_next(&p.heirs, &i)))
                add_sum(&p, h);
        i = 0;
        while ((tenant = map_next(&g->tenants, &i)))
                add_given_back(&p, tenant);
        g->loaded = loaded;
        i = 0;
        while ((h = map_next(&p.heirs, &i)))
                free(h);
        map_deinit(&p.heirs);
        if (p.is_short) {
                json_decref(p.changes);
                return NULL;
        }
        return json_pack("{s:b, s:s, s:o}", "ok", 1, "report", candidate->report, "changes", p.changes);
}
