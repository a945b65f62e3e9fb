/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sums by cgroup.
 *
 * Paths come from the kernel, but their components are a tenant's: what is no
 * absolute path without control characters counts for nobody, as does
 * what is beyond the bound on groups. Everything inside a container is the container's, whatever
 * cgroups it makes below its own, so a tenant cannot use up the groups by mkdir.
 * Where there is no container in a path, it is itself a group: a service, a
 * session, or a unit that policy calls a container.
 */

#include "cgpath.h"
#include "num.h"
#include "tally.h"

#define DELETED " (deleted)"

void tally_init(Tally *t) { *t = (Tally){}; }

static void group_free(TallyGroup *g) {
        if (!g)
                return;
        free(g->path);
        free(g);
}

void tally_deinit(Tally *t) {
        TallyGroup *g;

        for (size_t i = 0; (g = map_next(&t->by_id, &i));)
                group_free(g);
        map_deinit(&t->by_id);
        map_deinit(&t->by_path);
        *t = (Tally){};
}

/* The part of the path that is the group's; 0: no path. */
static size_t outermost(char *path, bool *ret_container) {
        const char *c = NULL;
        size_t len, whole = strlen(path);
        CgName name;

        *ret_container = false;
        if (STR_EQ(path, "/"))
                return 1;
        if (cgpath_classify(path, &name) < 0)
                return 0;
        for (const char *p = path; *p; p++)
                if ((unsigned char)*p < ' ' || *p == 0x7f)
                        return 0;
        while (cgpath_next(path, &c, &len)) {
                char *end = path + (c - path) + len, kept = *end;
                int r;

                *end = '\0';
                r = cgpath_classify(path, &name);
                *end = kept;
                if (r >= 0 && (name.kind == CG_CONTAINER || name.kind == CG_MACHINE_VM)) {
                        *ret_container = true;
                        return (size_t)(end - path);
                }
        }
        return whole;
}

static TallyGroup *group_new(Tally *t, const char *path, bool container) {
        TallyGroup *g;

        if (t->by_id.n >= TALLY_GROUPS_MAX || t->last_id == UINT32_MAX)
                return NULL;
        g = calloc(1, sizeof(*g));
        if (!g)
                return NULL;
        g->id = t->last_id + 1;
        g->container = container;
        g->path = strdup(path);
        if (!g->path || map_put_u64(&t->by_id, g->id, g) < 0) {
                group_free(g);
                return NULL;
        }
        if (map_put_str(&t->by_path, g->path, g) < 0) {
                (void)map_remove_u64(&t->by_id, g->id);
                group_free(g);
                return NULL;
        }
        t->last_id = g->id;
        return g;
}

TallyGroup *tally_group(Tally *t, const char *path, usec_t now) {
        char copy[TALLY_PATH_MAX + 1];
        size_t len = strnlen(path, sizeof(copy));
        TallyGroup *g;
        bool container;

        if (len == sizeof(copy))
                return &t->nobody;
        memcpy(copy, path, len + 1);
        /* Of one that died with its cgroup. */
        if (len > strlen(DELETED) && STR_EQ(copy + len - strlen(DELETED), DELETED))
                copy[len - strlen(DELETED)] = '\0';
        len = outermost(copy, &container);
        if (len == 0)
                return &t->nobody;
        copy[len] = '\0';
        g = map_get_str(&t->by_path, copy);
        if (!g) {
                g = group_new(t, copy, container);
                if (!g) {
                        t->n_refused++;
                        return &t->nobody;
                }
        }
        g->used = now;
        return g;
}

TallyGroup *tally_find(const Tally *t, uint32_t id) { return id ? map_get_u64(&t->by_id, id) : NULL; }

void tally_count(TallyGroup *g, TallyCount what, uint64_t n, usec_t now) {
        g->counts[what] = num_add_sat(g->counts[what], n);
        g->counted = true;
        g->used = now;
}

void tally_record(TallyGroup *g, const uint64_t tasks[_TALLY_TASK_MAX], usec_t now) {
        for (unsigned i = 0; i < _TALLY_TASK_MAX; i++)
                g->tasks[i] = num_add_sat(g->tasks[i], tasks[i]);
        g->recorded = true;
        g->used = now;
}

static void forget_sums(TallyGroup *g) {
        memset(g->counts, 0, sizeof(g->counts));
        memset(g->tasks, 0, sizeof(g->tasks));
        g->counted = g->recorded = g->told = false;
}

void tally_restart(Tally *t) {
        TallyGroup *g;

        for (size_t i = 0; (g = map_next(&t->by_id, &i));)
                forget_sums(g);
        forget_sums(&t->nobody);
}

bool tally_expire(Tally *t, usec_t now, uint32_t *ret_id, bool *ret_told) {
        TallyGroup *g;

        for (size_t i = 0; (g = map_next(&t->by_id, &i));) {
                if (g->counted || g->recorded || now < num_add_sat(g->used, TALLY_IDLE_USEC))
                        continue;
                *ret_id = g->id;
                *ret_told = g->told;
                (void)map_remove_u64(&t->by_id, g->id);
                (void)map_remove_str(&t->by_path, g->path);
                group_free(g);
                return true;
        }
        return false;
}

TallyGroup *tally_next(Tally *t, size_t *i) {
        TallyGroup *g;

        if (*i == SIZE_MAX)
                return NULL;
        g = map_next(&t->by_id, i);
        if (g)
                return g;
        *i = SIZE_MAX;
        return &t->nobody;
}
