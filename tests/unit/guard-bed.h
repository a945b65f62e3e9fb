/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A whole guard over plain directories: the cgroups, the engines' files and the policy are the test's own, nothing of the
 * host is touched, no bus is connected to. Counters are what the test writes into cpu.stat. Only root can have files that
 * are root's: others skip.
 */

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"
#include "guard.h"

#define BED_WAIT (10 * USEC_PER_SEC)

typedef struct Bed {
        char root[64], cgroup[80], run[80], state[80], names[80], policy[80], netlink[96], journal[96];
        const char *dirs[2];
        Guard *g;
        bool loaded;
} Bed;

/* ---- files ---- */

static inline void bed_mkdirs(char *path) {
        for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
                *p = '\0';
                assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

static inline void bed_write(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static inline int bed_remove(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

/* Of a cgroup: all that it ever used. */
static inline void bed_cpu(Bed *b, const char *cgroup, unsigned msec) {
        char path[512], text[128];

        (void)snprintf(path, sizeof(path), "%s%s/cpu.stat", b->cgroup, cgroup);
        (void)snprintf(text, sizeof(text), "usage_usec %u000\nuser_usec %u000\nsystem_usec 0\n", msec, msec);
        bed_write(path, text);
}

static inline void bed_mkcg(Bed *b, const char *cgroup) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s%s", b->cgroup, cgroup);
        bed_mkdirs(path);
        bed_cpu(b, cgroup, 0);
}

static inline void bed_rmcg(Bed *b, const char *cgroup) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s%s", b->cgroup, cgroup);
        assert_int_equal(nftw(path, bed_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* A container of Docker's below that slice, with a label `project`; its path into ret. */
static inline void bed_docker(Bed *b, const char *slice, unsigned n, const char *project, char ret[256]) {
        char path[512], text[512];

        (void)snprintf(path, sizeof(path), "%s/var/lib/docker/containers/%064x", b->names, n);
        bed_mkdirs(path);
        (void)snprintf(path, sizeof(path), "%s/var/lib/docker/containers/%064x/config.v2.json", b->names, n);
        (void)snprintf(text, sizeof(text),
                       "{\"ID\":\"%064x\",\"Name\":\"/c%u\",\"Config\":{\"Labels\":{\"project\":\"%s\"}}}", n,
                       n, project);
        bed_write(path, text);
        (void)snprintf(ret, 256, "%s/docker-%064x.scope", slice, n);
        bed_mkcg(b, ret);
}

/* "name:x:uid:…" */
static inline void bed_users(Bed *b, const char *passwd) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/etc", b->names);
        bed_mkdirs(path);
        (void)snprintf(path, sizeof(path), "%s/etc/passwd", b->names);
        (void)unlink(path);
        if (passwd)
                bed_write(path, passwd);
        else /* whoever wants to read it gets an error */
                assert_int_equal(symlink("passwd", path), 0);
}

/* ---- the guard ---- */

#define BED_UNTIL(b, condition)                                               \
        do {                                                                  \
                usec_t bed_end = clock_monotonic() + BED_WAIT;                \
                                                                              \
                while (!(condition)) {                                        \
                        assert_true(clock_monotonic() < bed_end);             \
                        assert_true(sd_event_run((b)->g->event, 10000) >= 0); \
                }                                                             \
        } while (0)

static inline void bed_put_policy(Bed *b, const char *text) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/50-test.ini", b->policy);
        bed_write(path, text);
}

static inline void bed_start(Bed *b, const char *policy) {
        const GuardConfig config = { .cgroup_root = b->cgroup,
                                     .run_dir = b->run,
                                     .state_dir = b->state,
                                     .netlink_socket = b->netlink,
                                     .journal_socket = b->journal,
                                     .names_root = b->names,
                                     .policy_dirs = b->dirs,
                                     .no_bus = true };

        usec_t end = clock_monotonic() + BED_WAIT;
        int r;

        bed_put_policy(b, policy);
        /* A helper of the one before has its lock as long as it has not come to close it, or to die. */
        while ((r = guard_new(&config, &b->g)) == -EALREADY && clock_monotonic() < end)
                (void)usleep(1000);
        assert_int_equal(r, 0);
        BED_UNTIL(b, names_n_pending(b->g->names) == 0);
        b->g->settled = true;
}

static inline void bed_stop(Bed *b) { b->g = guard_free(b->g); }

static inline void bed_loaded(Guard *g, void *user, int result, const char *report) {
        Bed *b = user;

        (void)g;
        if (result < 0)
                fail_msg("%s", report);
        b->loaded = true;
}

/* The tree as it is now, and what the names helper says of it. */
static inline void bed_sync(Bed *b) {
        bool more = true;

        while (more)
                assert_int_equal(tree_dispatch(b->g->tree, &more), 0);
        BED_UNTIL(b, names_n_pending(b->g->names) == 0);
}

static inline void bed_reload(Bed *b, const char *policy) {
        bed_put_policy(b, policy);
        b->loaded = false;
        loader_reload(b->g, bed_loaded, b, NULL);
        BED_UNTIL(b, b->loaded);
        bed_sync(b);
}

static inline Target *bed_target(Bed *b, const char *cgroup) {
        TreeNode *n = tree_find_path(b->g->tree, cgroup);

        return n ? n->user : NULL;
}

static inline const char *bed_tenant(Bed *b, const char *cgroup) {
        const Target *t = bed_target(b, cgroup);

        return t && t->tenant ? t->tenant->name : "-";
}

/* Slices last, as in a beat. */
static inline void bed_look(Bed *b) {
        for (int slices = 0; slices < 2; slices++) {
                size_t i = 0;
                Target *t;

                while ((t = map_next(&b->g->targets, &i)))
                        if (t->container == !slices)
                                measure_ask(b->g, t);
        }
}

/* CPU time of its total, in ms. */
static inline unsigned bed_total(Bed *b, const char *tenant) {
        BookParts parts;

        assert_int_equal(ledgers_parts(b->g, tenant, map_get_str(&b->g->tenants, tenant), &parts), 0);
        return (unsigned)(parts.total.v[BOOK_CPU_USEC] / 1000);
}

static inline uint64_t bed_starts(Bed *b, const char *tenant) {
        BookParts parts;

        assert_int_equal(ledgers_parts(b->g, tenant, map_get_str(&b->g->tenants, tenant), &parts), 0);
        return parts.total.v[BOOK_STARTS];
}

/* Events of that kind whose text has that in it; the text of the last one into ret. */
static inline unsigned bed_events(Bed *b, const char *kind, const char *part, const char **ret) {
        unsigned n = 0;

        for (size_t i = 0; i < b->g->n_events; i++) {
                const Event *e = &b->g->events[(b->g->events_head + i) % EVENTS_MAX];

                if (!STR_EQ(e->kind, kind) || !strstr(e->text, part))
                        continue;
                n++;
                if (ret)
                        *ret = e->text;
        }
        return n;
}

static inline int bed_setup(void **state) {
        Bed *b = calloc(1, sizeof(*b));

        if (!b)
                return -1;
        (void)snprintf(b->root, sizeof(b->root), "/dev/shm/bailiff-guard-XXXXXX");
        if (!mkdtemp(b->root)) {
                (void)snprintf(b->root, sizeof(b->root), "/tmp/bailiff-guard-XXXXXX");
                assert_non_null(mkdtemp(b->root));
        }
        (void)snprintf(b->cgroup, sizeof(b->cgroup), "%s/cgroup", b->root);
        (void)snprintf(b->run, sizeof(b->run), "%s/run", b->root);
        (void)snprintf(b->state, sizeof(b->state), "%s/state", b->root);
        (void)snprintf(b->names, sizeof(b->names), "%s/names", b->root);
        (void)snprintf(b->policy, sizeof(b->policy), "%s/policy", b->root);
        (void)snprintf(b->netlink, sizeof(b->netlink), "%s/run/netlink", b->root);
        (void)snprintf(b->journal, sizeof(b->journal), "%s/run/journal", b->root);
        b->dirs[0] = b->policy;
        bed_mkdirs(b->cgroup);
        bed_mkdirs(b->run);
        bed_mkdirs(b->state);
        bed_mkdirs(b->names);
        bed_mkdirs(b->policy);
        *state = b;
        return 0;
}

static inline int bed_teardown(void **state) {
        Bed *b = *state;

        bed_stop(b);
        (void)nftw(b->root, bed_remove, 16, FTW_DEPTH | FTW_PHYS);
        free(b);
        return 0;
}
