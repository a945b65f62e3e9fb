/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the cgroup tree to targets and tenants.
 *
 * The tree reports directories; a container (or a slice of a tenant's own)
 * becomes a Target. Its names come later, from the names helper; until then the
 * strictest candidate holds it. Whenever something about it becomes known, or
 * the policy changes, world_recompute() asks the core whose it is and what
 * holds there, and queues it for enforce.c. Nothing here writes a limit.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fdio.h"
#include "guard.h"

#define NAMES_TIMEOUT (5 * USEC_PER_SEC)
#define NAMES_TRIES 3

const char *target_name(const Target *t) {
        if (t->info && t->info->name)
                return t->info->name;
        if (t->container && t->cg.id[0])
                return t->cg.id;
        return t->node ? t->node->path : "?";
}

/* ---- targets ---- */

static void own_node_free(TreeNode *n) {
        if (!n)
                return;
        fd_close(n->fd);
        free((char *)n->path);
        free(n);
}

Target *target_free(Target *t) {
        if (!t)
                return NULL;
        if (t->leaving)
                own_node_free(t->node);
        container_info_free(t->info);
        limit_set_deinit(&t->policy);
        limit_set_deinit(&t->share);
        share_memory_deinit(&t->share_memory);
        limit_set_deinit(&t->desired);
        limit_set_deinit(&t->unshared);
        limit_set_deinit(&t->actual);
        limit_set_deinit(&t->properties);
        limit_set_deinit(&t->before_push);
        limit_set_deinit(&t->pushed);
        limit_set_deinit(&t->give_back_property);
        recon_deinit(&t->recon);
        unit_info_deinit(&t->unit);
        free(t->writing);
        if (t->hold)
                free(t->hold->reason);
        free(t->hold);
        judged_free(t->judged);
        free(t);
        return NULL;
}

void world_forget(Guard *g, Target *t) {
        control_keep_hold(g, t);
        tenant_leave(t);
        manager_cancel(g->manager, t->id);
        names_cancel(g->names, t->id);
        (void)map_remove_u64(&g->targets, t->id);
        target_drop_from(g->queue, &g->n_queue, t);
        target_free(t);
}

static bool ends_with(const char *s, const char *suffix) {
        size_t n = strlen(s), k = strlen(suffix);

        return n >= k && STR_EQ(s + n - k, suffix);
}

static uid_t uid_of(const Target *t) {
        if (t->cg.uid != (uid_t)-1)
                return t->cg.uid;
        return t->trust.owner != 0 ? t->trust.owner : (uid_t)-1;
}

/* machined's scopes look alike for containers and virtual machines, and a machine is never touched. */
static bool maybe_vm(const Target *t) { return t->engine == ENGINE_NSPAWN && !t->info; }

/* Whether we may write here at all, and if not, why. */
static void decide_reach(Guard *g, Target *t) {
        const char *why = NULL;

        t->protected_why = NULL;
        if (who_protected(guard_policy(g), t->node->path, t->engine,
                          t->tenant ? t->tenant->name : "unassigned", &why))
                t->protected_why = why;
        t->not_reconciled_why = maybe_vm(t)        ? "whether it is a virtual machine is not known yet"
                                : t->cg.kube       ? "kubelet owns it: reported, never changed"
                                : t->cg.rootless   ? "below a user manager: held at its user-UID.slice"
                                : t->protected_why ? "protected"
                                                   : NULL;
        t->reconciled = !t->not_reconciled_why;
}

/* The name that [Container] sections are matched with: one that only root can have given, else the id. */
static const char *policy_name(const Target *t, const WhoFacts *f) {
        return f->names_trusted && f->name ? f->name : t->cg.id;
}

static void facts_of(Target *t, WhoFacts *f, WhoLabel *labels) {
        const ContainerInfo *i = t->info;

        *f = (WhoFacts){
                .cgroup = t->node->path,
                .delegated_at = t->trust.delegated_at,
                .names_known = !t->names_pending,
                /* While they are pending no file has given a name that could be untrusted: any of them may still hold. */
                .names_trusted = (!i || i->trusted || t->names_pending) && t->trust.root_owned &&
                                 !t->trust.delegated && !t->cg.rootless,
                .uid = uid_of(t),
        };
        if (!i)
                return;
        f->name = i->name;
        f->user_name = i->user_name;
        f->groups = (const char *const *)i->groups;
        for (size_t k = 0; k < i->n_labels && k < NAMES_LABELS_MAX; k++)
                labels[k] = (WhoLabel){ i->labels[k].key, i->labels[k].value };
        f->labels = labels;
        f->n_labels = MIN_OF(i->n_labels, (size_t)NAMES_LABELS_MAX);
}

/* A slice as who_owns_slice() wants it; what is known of its user comes from the names helper. */
static WhoFacts slice_facts(const char *path, const Target *t) {
        const ContainerInfo *i = t ? t->info : NULL;

        return (WhoFacts){
                .cgroup = path,
                .uid = (uid_t)-1,
                .names_known = t && !t->names_pending,
                .user_name = i ? i->user_name : NULL,
                .groups = i ? (const char *const *)i->groups : NULL,
        };
}

static void ask_again(Guard *g, Target *t) {
        t->names_again = guard_now(g) + USEC_PER_SEC * (1ULL << MIN_OF(t->names_tries, 6U));
}

/* A slice begins to count for its tenant, or ceases to: what that tenant's containers below it have used until now was
 * outside of it, or in it, for ever. */
static void split_below(Guard *g, const Target *slice, const Tenant *tenant) {
        for (size_t i = 0; i < tenant->n_members; i++) {
                Target *t = tenant->members[i];
                const char *was = t->m.was_tenant;

                if (!cgpath_below(t->node->path, slice->node->path))
                        continue;
                if (was ? STR_EQ(was, tenant->name) : t->found)
                        measure_split(g, t);
        }
}

/* It counts anew for whoever has it next; it is still in its tenant's list. */
static void move_slice(Guard *g, Target *t) {
        if (!t->tenant)
                return;
        split_below(g, t, t->tenant);
        measure_move(g, t);
        tenant_leave(t);
}

/* One that has counted before, say while it was not known whose it is, may have counted what its containers' books have. */
static int join_slice(Guard *g, Tenant *tenant, Target *t) {
        if (t->m.last.at == 0)
                split_below(g, t, tenant);
        return tenant_join(tenant, t);
}

/* The outermost slice of a tenant carries its sum: those below it are no targets, the sum would be held twice. */
static void keep_outermost(Guard *g, Target *t) {
        Tenant *tenant = t->tenant;

        for (size_t i = tenant->n_slices; i-- > 0;) {
                const Target *other = tenant->slices[i];

                if (other != t && cgpath_below(t->node->path, other->node->path)) {
                        enforce_leave(g, t);
                        return;
                }
        }
        for (size_t i = tenant->n_slices; i-- > 0;)
                if (tenant->slices[i] != t && cgpath_below(tenant->slices[i]->node->path, t->node->path))
                        enforce_leave(g, tenant->slices[i]); /* the last one takes its place in the list */
}

static void recompute_slice(Guard *g, Target *t) {
        WhoFacts f = slice_facts(t->node->path, t);
        WhoResult who = {};
        Tenant *tenant;

        if (!who_owns_slice(guard_policy(g), &f, &who)) {
                t->who = who;
                if (!who.pending)
                        enforce_leave(g, t); /* its book goes to the tenant that it still has */
                else
                        move_slice(g, t);
                tenant_leave(t);
                limit_set_clear(&t->policy);
                if (!who.pending)
                        return;
                if (t->names_tries > 0)
                        ask_again(g, t);
                else if (!t->names_pending) {
                        t->names_pending = true;
                        world_ask_names(g, t, guard_now(g));
                }
                return;
        }
        t->who = who;
        tenant = tenant_get(g, &who);
        if (tenant && tenant != t->tenant) {
                move_slice(g, t);
                (void)join_slice(g, tenant, t);
        }
        if (t->tenant)
                keep_outermost(g, t);
        if (t->leaving)
                return;
        ceiling_settings(guard_policy(g), who.rule, who.tenant, NULL, &t->settings);
        decide_reach(g, t);
        measure_changed(g, t);
        enforce_queue(g, t);
}

/* What of it a template made the name of, as policy calls that. */
static void say_origin(const PolicyMatch *m, Buf *b) {
        switch (m->class) {
        case MATCH_USER:
                buf_puts(b, "user's name");
                return;
        case MATCH_SLICE:
                buf_puts(b, "slice");
                return;
        case MATCH_PATH:
                buf_puts(b, "path");
                return;
        case MATCH_LABEL:
                buf_printf(b, "label %s", m->label);
                return;
        case MATCH_NAME:
        case _MATCH_MAX:
        case _MATCH_INVALID:
                break;
        }
        buf_puts(b, "name");
}

/* Its own name is known, or has been waited for long enough. */
static bool name_settled(const Target *t) { return !t->names_pending || t->names_tries >= NAMES_TRIES; }

/* Once it is settled that no other match has the say. */
static void tell_bad_name(Guard *g, Target *t) {
        const WhoResult *who = &t->who;
        const PolicyTenant *from = who->bad_from;
        const Policy *p = guard_policy(g);
        _cleanup_buf_ Buf origin = BUF_INIT;

        if (who->pending || !name_settled(t) || (who->bad_name && t->bad_name_told))
                return;
        t->bad_name_told = who->bad_name;
        if (!who->bad_name)
                return;
        say_origin(&from->matches[0], &origin);
        announce(g, ANNOUNCE_DEGRADED, t, NULL, NULL,
                 "%s: what Tenant= of [Template %s] (%s:%u) makes of its %s is no valid name: unassigned",
                 target_name(t), from->name, p->files[from->tenant_format_ref.file],
                 from->tenant_format_ref.line, buf_str(&origin));
}

void world_recompute(Guard *g, Target *t) {
        WhoLabel labels[NAMES_LABELS_MAX];
        CeilingEnv env = guard_env(g);
        WhoResult who = {};
        const char *name;
        Tenant *tenant;
        WhoFacts f;
        bool told;
        int r;

        if (t->leaving)
                return;
        if (!t->container) {
                recompute_slice(g, t);
                return;
        }
        facts_of(t, &f, labels);
        who_resolve(guard_policy(g), &f, &who);
        told = t->who.contradiction && STR_EQ(t->who.contradicted, who.contradicted);
        tenant = tenant_get(g, &who);
        if (tenant && !STR_EQ(tenant->name, who.tenant)) {
                /* The template is full. */
                who.rule = NULL;
                who.template = false;
                memcpy(who.tenant, tenant->name, sizeof(who.tenant));
        }
        t->who = who;
        /* All but its user is known: whoever knows that did not answer. */
        if (who.pending && !t->names_pending && t->names_tries > 0)
                ask_again(g, t);
        if (tenant != t->tenant) {
                if (t->tenant && t->found)
                        measure_move(g, t);
                tenant_leave(t);
                if (tenant)
                        (void)tenant_join(tenant, t);
        }
        if (who.contradiction && !told)
                announce(g, ANNOUNCE_CONTRADICTION, t, NULL, NULL,
                         "%s: belongs to tenant %s by %s, but its labels or name claim %s; %s holds",
                         target_name(t), who.tenant, match_class_to_string(who.class), who.contradicted,
                         who.tenant);
        tell_bad_name(g, t);
        name = policy_name(t, &f);
        if (who.pending)
                r = ceiling_pending(guard_policy(g), &f, f.names_known ? name : NULL, &env, &t->settings,
                                    &t->policy);
        else {
                ceiling_settings(guard_policy(g), who.rule, who.tenant, name, &t->settings);
                r = ceiling_container(guard_policy(g), who.rule, who.tenant, name, &env, &t->policy);
        }
        if (r < 0)
                t->names_again = guard_now(g) + USEC_PER_SEC; /* out of memory: what held goes on holding */
        decide_reach(g, t);
        measure_changed(g, t);
        if (t->tenant)
                t->tenant->dirty = true;
        enforce_queue(g, t);
}

bool world_owns_slice(Guard *g, const TreeNode *node, WhoResult *ret) {
        const Target *t = node->user;
        WhoFacts f = slice_facts(node->path, t && !t->container ? t : NULL);

        return who_owns_slice(guard_policy(g), &f, ret);
}

int world_preview(Guard *g, Target *t, WhoResult *ret_who, Settings *ret_settings, LimitSet *ret) {
        WhoLabel labels[NAMES_LABELS_MAX];
        CeilingEnv env = guard_env(g);
        const char *name;
        WhoFacts f;

        facts_of(t, &f, labels);
        who_resolve(guard_policy(g), &f, ret_who);
        name = policy_name(t, &f);
        if (ret_who->pending)
                return ceiling_pending(guard_policy(g), &f, f.names_known ? name : NULL, &env, ret_settings,
                                       ret);
        ceiling_settings(guard_policy(g), ret_who->rule, ret_who->tenant, name, ret_settings);
        return ceiling_container(guard_policy(g), ret_who->rule, ret_who->tenant, name, &env, ret);
}

/* ---- names ---- */

/* Engines whose containers have a name in a file; the others carry it in their path, or have none. */
static bool needs_names(const Target *t) {
        return t->container && (t->engine == ENGINE_DOCKER || t->engine == ENGINE_PODMAN ||
                                t->engine == ENGINE_CONTAINERD || t->engine == ENGINE_CRIO);
}

/* Whose it is hangs on who its user is, and whoever knows that does not say. */
static bool lacks_user(const Target *t) {
        return !t->leaving && t->who.pending && !t->names_pending && t->names_tries > 0 &&
               uid_of(t) != (uid_t)-1 && !(t->info && t->info->groups);
}

static void tell_lookup(Guard *g, const Target *t) {
        unsigned uid = (unsigned)uid_of(t);
        const Target *other;
        size_t i = 0;

        if (lacks_user(t)) {
                if (!g->lookup_trouble)
                        announce(g, ANNOUNCE_LOOKUP_FAILED, t, NULL, NULL,
                                 "%s: who user %u is could not be looked up; it is tried again, and until it "
                                 "is "
                                 "known the strictest candidate holds",
                                 target_name(t), uid);
                g->lookup_trouble = true;
                return;
        }
        if (!g->lookup_trouble || uid_of(t) == (uid_t)-1 || !t->info || !t->info->groups)
                return;
        while ((other = map_next(&g->targets, &i)))
                if (lacks_user(other))
                        return;
        g->lookup_trouble = false;
        announce(g, ANNOUNCE_LOOKUP_ANSWERED, t, NULL, NULL,
                 "users can be looked up again: user %u is %s, and nothing waits for another", uid,
                 t->info->user_name ? t->info->user_name : "without a name");
}

static void names_done(void *user, uint64_t cookie, ContainerInfo *info, const char *why) {
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, cookie);

        if (!t || t->leaving) {
                container_info_free(info);
                if (t)
                        enforce_answered(g, t); /* it may have been asked for before the target left */
                return;
        }
        t->names_again = USEC_INFINITY;
        if (!info) {
                if (t->names_tries == 0)
                        announce(g, ANNOUNCE_DEGRADED, t, NULL, NULL, "%s: its names could not be read: %s",
                                 target_name(t), why ? why : "unknown");
        } else if (t->info && t->info->name && !info->name) {
                container_info_free(
                        info); /* its files go before its cgroup does; what is known stays known */
        } else {
                /* Not by its time alone: Docker writes the file again for each change of a container's state. */
                t->engine_asked_anew |= t->info && t->info->config_mtime_usec > 0 &&
                                        info->config_mtime_usec > t->info->config_mtime_usec &&
                                        !limit_set_same(&t->info->requested, &info->requested);
                container_info_free(t->info);
                t->info = info;
        }
        if (t->info && t->info->is_vm) {
                t->names_pending = false;
                enforce_leave(
                        g, t); /* machined calls it a virtual machine: no container, whatever its name says */
                enforce_answered(g, t);
                return;
        }
        /* State files can come a moment after the cgroup; while they cannot be read the strictest candidate holds. */
        t->names_pending = maybe_vm(t) || (needs_names(t) && (!t->info || !t->info->name));
        if (t->names_pending)
                ask_again(g, t);
        t->names_tries++;
        world_recompute(g, t);
        tell_lookup(g, t);
        if (t->leaving)
                return;
        if (t->container && !t->found && name_settled(t)) {
                t->found = true;
                measure_changed(g, t);
                judging_changed(g, t);
                announce(g, ANNOUNCE_FOUND, t, NULL, NULL, "found %s container %s of tenant %s%s%s",
                         engine_to_string(t->engine), target_name(t),
                         t->tenant ? t->tenant->name : "unassigned",
                         t->names_pending ? "; its name is not readable, the strictest candidate holds: "
                                          : "",
                         t->names_pending && t->info && t->info->problem ? t->info->problem : "");
                control_adopt_hold(g, t);
        }
        enforce_answered(g, t);
}

void world_ask_names(Guard *g, Target *t, usec_t now) {
        NamesQuery q = {
                .engine = t->engine,
                .id = t->cg.id,
                .rootless = t->cg.rootless,
                .uid = uid_of(t),
                .cgroup = t->node->path,
        };
        int r;

        r = names_submit(g->names, &q, now, NAMES_TIMEOUT, names_done, g, t->id);
        t->names_again = r < 0 ? now + USEC_PER_SEC : USEC_INFINITY;
        if (r < 0)
                enforce_answered(g, t);
}

/* ---- the tree ---- */

static TreeClass on_classify(void *user, const char *path, int fd, const TreeNode *parent) {
        Guard *g = user;
        CgName n;

        (void)fd;
        (void)parent;
        if (STR_EQ(path, "/"))
                return TREE_INTERIOR;
        if (cgpath_classify(path, &n) < 0)
                return TREE_SKIP;
        if (STR_EQ(path, "/bailiff.slice"))
                return TREE_SKIP; /* ourselves */
        switch (n.kind) {
        case CG_CONTAINER:
                return TREE_UNIT;
        case CG_HELPER:
                return TREE_SKIP;
        case CG_MACHINE_VM: /* none of ours, but what it takes is taken (bystander.c) */
                return TREE_INTERIOR;
        case CG_INTERIOR:
                break;
        }
        /* A user manager is entered whatever policy says: rootless containers live below it. */
        if (!n.rootless && !STR_EQ(path, "/init.scope") && !strstr(path, "/user@") &&
            (ends_with(path, ".service") || ends_with(path, ".scope")) &&
            who_names_unit(guard_policy(g), path))
                return TREE_UNIT;
        return TREE_INTERIOR;
}

static Target *target_new(Guard *g, TreeNode *node, bool container) {
        Target *t = map_get_u64(&g->targets, node->id);

        if (t) { /* was leaving, comes back before all was given back */
                if (t->leaving)
                        own_node_free(t->node);
                t->leaving = false;
                t->node = node;
                node->user = t;
                t->container = container;
                return t;
        }
        t = calloc(1, sizeof(*t));
        if (!t) {
                g->targets_missing = true;
                return NULL;
        }
        t->guard = g;
        t->node = node;
        t->id = node->id;
        t->container = container;
        t->next = USEC_INFINITY;
        t->names_again = USEC_INFINITY;
        t->since_realtime = clock_realtime();
        t->cg.uid = (uid_t)-1;
        if (map_put_u64(&g->targets, t->id, t) < 0) {
                g->targets_missing = true;
                return target_free(t);
        }
        node->user = t;
        return t;
}

/* What an earlier run of the guard knows about this cgroup. */
static void adopt(Guard *g, Target *t) {
        const LedgerRecord *r = NULL;

        if (!g->ledger || t->recon.n > 0)
                return;
        while ((r = ledger_next_of(g->ledger, t->id, r)))
                if (STR_EQ(r->path, t->node->path)) {
                        t->dropins_looked |= r->property;
                        t->foreign_dropins |= r->foreign_dropin ? 1U << r->knob.limit : 0;
                        (void)recon_adopt(&t->recon, &(ReconMemory){
                                                             .knob = r->knob,
                                                             .have_want = r->have_want,
                                                             .want = r->want,
                                                             .ours = r->ours,
                                                             .have_other = r->have_other,
                                                             .other = r->other,
                                                             .property = r->property,
                                                             .told = r->told,
                                                             .told_before = r->told_before,
                                                             .share = r->share,
                                                             .lapse = r->lapse,
                                                     });
                        if (r->share)
                                tenant_adopt_share(t, r->knob, r->ours);
                }
        control_adopt_hold(g, t);
        leasing_adopt(g, t);
}

static void add_slice(Guard *g, TreeNode *node) {
        WhoFacts f = slice_facts(node->path, NULL);
        WhoResult who = {};
        Target *t;

        if (node->user || !ends_with(node->path, ".slice") ||
            (!who_owns_slice(guard_policy(g), &f, &who) && !who.pending))
                return;
        /* The outermost slice of a tenant carries its sum. */
        for (const TreeNode *p = node->parent; p; p = p->parent) {
                const Target *above = p->user;

                if (above && !above->container && above->tenant && who.rule &&
                    STR_EQ(above->tenant->name, who.tenant))
                        return;
        }
        t = target_new(g, node, false);
        if (!t)
                return;
        (void)cgpath_classify(node->path, &t->cg);
        t->cg.rootless = false;
        (void)cg_read_trust(tree_root_fd(g->tree), node->path, &t->trust);
        (void)tree_watch_files(g->tree, node);
        adopt(g, t);
        measure_attach(g, t);
        recompute_slice(g, t);
}

static void on_appeared(void *user, TreeNode *node) {
        Guard *g = user;
        Target *t;

        if (node->class != TREE_UNIT) {
                bystander_appeared(g, node);
                add_slice(g, node);
                return;
        }
        t = target_new(g, node, true);
        if (!t)
                return;
        if (cgpath_classify(node->path, &t->cg) < 0)
                return;
        t->engine = t->cg.kind == CG_CONTAINER ? t->cg.engine : ENGINE_UNIT;
        if (t->engine == ENGINE_UNIT)
                (void)snprintf(t->cg.id, sizeof(t->cg.id), "%s", cgpath_basename(node->path));
        (void)cg_read_trust(tree_root_fd(g->tree), node->path, &t->trust);
        (void)tree_watch_files(g->tree, node);
        measure_attach(g, t);
        if (!t->info) {
                t->names_pending = true;
                t->names_due = guard_now(g) + GUARD_NAMES_USEC;
                if (g->settled && !g->reclassifying &&
                    (ends_with(node->path, ".scope") || ends_with(node->path, ".service")))
                        t->birth_due = guard_now(g) + GUARD_BIRTH_USEC;
                adopt(g, t);
                world_ask_names(g, t, guard_now(g));
        }
        world_recompute(g, t);
}

static void on_gone(void *user, TreeNode *node) {
        Guard *g = user;
        Target *t = node->user;
        bool alive, oom;

        measure_parent_gone(g, node);
        bystander_gone(g, node);
        judging_top_gone(g, node);
        if (!t)
                return;
        alive = tree_node_alive(node) == 1;
        if (alive && t->recon.n > 0) {
                /* Not gone, only no longer ours (the policy changed): give back what we set. */
                enforce_leave(g, t);
                return;
        }
        judging_gone(g, t, alive);
        if (!alive) {
                deaths_gone(g, t);
                arrears_gone(g, t);
        }
        oom = measure_detach(g, t, alive);
        if (t->container && t->found && !alive)
                announce(g, ANNOUNCE_GONE, t, NULL, NULL, "%s container %s of tenant %s is gone%s",
                         engine_to_string(t->engine), target_name(t),
                         t->tenant ? t->tenant->name : "unassigned",
                         oom ? "; the kernel had killed in it for memory" : "");
        if (g->ledger)
                (void)ledger_remove(g->ledger, t->id, NULL);
        node->user = NULL;
        world_forget(g, t);
}

void enforce_leave(Guard *g, Target *t) {
        TreeNode *own;

        if (t->leaving)
                return;
        own = calloc(1, sizeof(*own));
        if (!own)
                return;
        *own = (TreeNode){
                .id = t->id,
                .path = strdup(t->node->path),
                .fd = fcntl(t->node->fd, F_DUPFD_CLOEXEC, 3),
        };
        if (!own->path || own->fd < 0) {
                own_node_free(own);
                return;
        }
        judging_gone(g, t, true);
        if (!t->container && t->tenant)
                split_below(g, t, t->tenant);
        measure_detach(g, t, true);
        t->node->user = NULL;
        t->node = own;
        t->leaving = true;
        tenant_leave(t);
        enforce_queue(g, t);
}

/* Too short a life for anybody to look at, but it was one: its tenant's books count it. By its path alone; where that
 * says nothing sure it is nobody's. */
static void on_missed(void *user, const char *path, const TreeNode *parent) {
        Guard *g = user;
        WhoFacts f = { .cgroup = path, .uid = (uid_t)-1 };
        WhoResult who = {};
        CgTrust trust = {};
        const Tenant *tenant;
        bool below = false;

        if (!g->settled || on_classify(g, path, -1, parent) != TREE_UNIT)
                return;
        if (cg_read_trust(tree_root_fd(g->tree), parent->path, &trust) < 0)
                return;
        f.delegated_at =
                trust.delegated_at == 0 && trust.owner != 0 ? strlen(parent->path) : trust.delegated_at;
        who_resolve(guard_policy(g), &f, &who);
        tenant = who.pending ? NULL : map_get_str(&g->tenants, who.tenant);
        for (size_t i = 0; tenant && i < tenant->n_slices; i++)
                below |= cgpath_below(path, tenant->slices[i]->node->path);
        ledgers_fold_missed(g, who.pending ? POLICY_UNASSIGNED : who.tenant, below);
        arrears_missed(g, path, who.pending ? POLICY_UNASSIGNED : who.tenant, below);
}

static void on_touched(void *user, TreeNode *node, const char *file) {
        Guard *g = user;
        Target *t = node->user;

        if (t && STR_EQ(file, "cgroup.events"))
                measure_touched(g, t);
        else if (t && STR_EQ(file, "memory.events"))
                measure_hit(g, t);
        if (!t || limit_file_from_name(file) < 0)
                return;
        if (guard_now(g) < t->birth_due) /* that is PID 1 at it: soon done */
                t->birth_due = MIN_OF(t->birth_due, guard_now(g) + GUARD_BIRTH_QUIET_USEC);
        enforce_queue(g, t);
}

static void on_overflowed(void *user) {
        Guard *g = user;
        size_t i = 0;
        Target *t;

        announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                 "the kernel dropped notifications about cgroups; the tree was read anew and every limit is "
                 "looked at again");
        while ((t = map_next(&g->targets, &i)))
                enforce_queue(g, t);
}

const TreeOps world_tree_ops = {
        .classify = on_classify,
        .appeared = on_appeared,
        .gone = on_gone,
        .missed = on_missed,
        .touched = on_touched,
        .overflowed = on_overflowed,
};

/* ---- policy changes ---- */

void world_policy_changed(Guard *g) {
        size_t i = 0;
        Tenant *tenant;
        TreeNode *node;

        /* The old rules are gone: whoever points to one finds its new one by name, or goes with its last member. */
        while ((tenant = map_next(&g->tenants, &i))) {
                const PolicyTenant *rule = policy_find_tenant(guard_policy(g), tenant->name);

                tenant->rule = rule;
                tenant->template = false;
        }
        /* What was made a moment ago is new, and not only to this policy. */
        (void)tree_rescan(g->tree);
        g->reclassifying = true;
        (void)tree_reclassify(g->tree);
        /* Slices first: who lets go of one makes room for another below it. */
        i = 0;
        while ((node = tree_next(g->tree, &i)))
                if (node->user && node->class != TREE_UNIT)
                        world_recompute(g, node->user); /* may let go of it, which is no change of the tree */
        i = 0;
        while ((node = tree_next(g->tree, &i)))
                if (!node->user && node->class != TREE_UNIT)
                        add_slice(g, node);
        i = 0;
        while ((node = tree_next(g->tree, &i)))
                if (node->user && node->class == TREE_UNIT)
                        world_recompute(g, node->user);
        g->reclassifying = false;
        i = 0;
        while ((tenant = map_next(&g->tenants, &i))) {
                if (tenant->n_members == 0 && tenant->n_slices == 0) {
                        (void)map_remove_str(&g->tenants, tenant->name);
                        tenant_free(tenant);
                        continue;
                }
                tenant_refresh(g, tenant);
        }
}

/* ---- the slow beat ---- */

/* There was no memory for them when they appeared. */
static void find_missing(Guard *g) {
        TreeNode *node;
        size_t i = 0;

        g->targets_missing = false;
        while ((node = tree_next(g->tree, &i)))
                if (!node->user)
                        on_appeared(g, node);
}

void world_beat(Guard *g, usec_t now) {
        size_t i = 0;
        Tenant *tenant;
        Target *t;

        if (g->targets_missing)
                find_missing(g);
        while ((t = map_next(&g->targets, &i)))
                if (!t->leaving && now >= t->names_again)
                        world_ask_names(g, t, now);
        i = 0;
        while ((tenant = map_next(&g->tenants, &i))) {
                if (tenant->n_members == 0 && tenant->n_slices == 0) {
                        /* Tenants live as long as something is theirs. */
                        (void)map_remove_str(&g->tenants, tenant->name);
                        tenant_free(tenant);
                        continue;
                }
                if (now >= tenant->next)
                        tenant->dirty = true;
        }
}
