/* SPDX-License-Identifier: Apache-2.0 */

/*
 * NAME as people say it: a tenant, a container's name, an engine's id or its beginning, a slice, a cgroup path.
 * And what a container is known by when it is made again.
 */

#include <stdio.h>

#include "guard.h"

int target_key(const Target *t, char *key, size_t size) {
        const char *name = t->info && t->info->name ? t->info->name : NULL;
        int n;

        /* Without a name that outlives it (an id is new each time) nobody comes again. */
        if (!name && t->engine == ENGINE_UNIT)
                name = t->cg.id;
        if (!name)
                return -ENOENT;
        n = snprintf(key, size, "%s/%s", t->tenant ? t->tenant->name : "unassigned", name);
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static bool match_name(const Target *t, const char *name) {
        size_t n = strlen(name);

        if (t->info && t->info->name && STR_EQ(t->info->name, name))
                return true;
        if (STR_EQ(t->cg.id, name))
                return true;
        return n >= 4 && strncmp(t->cg.id, name, n) == 0 && t->engine != ENGINE_UNIT;
}

Target *world_find(Guard *g, const char *name, const char **ret_error, Tenant **ret_tenant) {
        bool only_tenant = false, only_container = false, exact = false, forger, found_forger = false;
        Target *t, *found = NULL;
        Tenant *tenant = NULL;
        size_t i = 0, n = 0;

        *ret_tenant = NULL;
        *ret_error = NULL;
        if (strncmp(name, "tenant:", 7) == 0) {
                only_tenant = true;
                name += 7;
        } else if (strncmp(name, "container:", 10) == 0) {
                only_container = true;
                name += 10;
        }
        if (!*name) {
                *ret_error = "an empty name";
                return NULL;
        }
        if (name[0] == '/') {
                TreeNode *node = tree_find_path(g->tree, name);

                if (node && node->user)
                        return node->user;
                *ret_error = "no container or tenant slice has that cgroup path";
                return NULL;
        }
        if (!only_container)
                tenant = map_get_str(&g->tenants, name);
        while (!only_tenant && (t = map_next(&g->targets, &i))) {
                bool e;

                if (t->leaving)
                        continue;
                if (!t->container && STR_EQ(cgpath_basename(t->node->path), name))
                        return t;
                if (!t->container || !match_name(t, name))
                        continue;
                /* Below a delegation anybody can call himself anything: that never hides somebody else. */
                forger = t->cg.rootless || t->trust.delegated;
                if (forger && n > 0 && !found_forger)
                        continue;
                if (!forger && found_forger) {
                        n = 0;
                        exact = false;
                }
                found_forger = forger;
                e = (t->info && t->info->name && STR_EQ(t->info->name, name)) || STR_EQ(t->cg.id, name);
                if (exact && !e)
                        continue;
                n = e && !exact ? 1 : n + 1;
                exact = exact || e;
                found = t;
        }
        if (n > 1) {
                *ret_error =
                        "ambiguous: several containers have that name; use the engine id or the cgroup path";
                return NULL;
        }
        if (n == 1 && tenant) {
                *ret_error = "ambiguous: both a tenant and a container; say tenant:NAME or container:NAME";
                return NULL;
        }
        *ret_tenant = tenant;
        if (!found && !tenant)
                *ret_error = "no such tenant or container";
        return found;
}
