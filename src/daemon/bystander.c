/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is no container, but counts when somebody suffers: the host's own
 * services and those of its users, and virtual machines (a backup that uses the disk is out of reach, and nobody stands in
 * for it; a sshd that starves is a victim), and the groups between the root and
 * a party, whose quotas and weights decide who is entitled to what.
 *
 * On a calm host they are looked at each SLOW_USEC; while anything
 * stalls, or anybody is held back, each beat.
 */

#include <fcntl.h>

#include "guard.h"

/* Groups are only measured where they are no tenant's slices, and of those there may be thousands. */
#define SERVICES_MAX 1024
#define GROUPS_MAX 8192
#define SLOW_USEC (10 * USEC_PER_SEC)
#define LOOK_PART 20 /* looking at them costs no more than this part of a CPU */
#define LIMITS_USEC (30 * USEC_PER_SEC)
#define STALL_PERMYRIAD 300 /* of the host: something is going on */
#define ACTIVE_CPU_PERMYRIAD 50 /* of one CPU */

static const uint32_t service_files =
        SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_CURRENT) |
        SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_EVENTS) | SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT) |
        SAMPLE_FILE_BIT(SAMPLE_FILE_PIDS_CURRENT) | SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_PRESSURE) |
        SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_PRESSURE) | SAMPLE_FILE_BIT(SAMPLE_FILE_IO_PRESSURE);
static const uint32_t group_files =
        SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_CURRENT);

static bool has_suffix(const char *s, const char *suffix) {
        size_t n = strlen(s), k = strlen(suffix);

        return n >= k && STR_EQ(s + n - k, suffix);
}

/* A user manager is a group: its services are below it, and there may be containers. */
static bool is_service(const TreeNode *node) {
        static const char *const units[] = { ".service", ".scope", ".socket", ".mount", ".swap" };
        CgName name;

        if (cgpath_classify(node->path, &name) >= 0 && name.kind == CG_MACHINE_VM)
                return true;
        if (strncmp(cgpath_basename(node->path), "user@", strlen("user@")) == 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (has_suffix(node->path, units[i]))
                        return true;
        return false;
}

Bystander *bystander_of(Guard *g, const TreeNode *node) {
        return g->judging ? map_get_u64(&g->judging->bystanders, node->id) : NULL;
}

static bool below_service(Guard *g, const TreeNode *node) {
        for (const TreeNode *p = node->parent; p; p = p->parent) {
                const Bystander *b = bystander_of(g, p);

                if (b && b->kind == PARTY_SERVICE)
                        return true;
        }
        return false;
}

void bystander_appeared(Guard *g, TreeNode *node) {
        Judging *j = g->judging;
        bool service = is_service(node);
        Bystander *b;

        if (!j || !node->parent || node->class != TREE_INTERIOR || map_get_u64(&j->bystanders, node->id) ||
            (service ? j->n_services >= SERVICES_MAX : j->bystanders.n - j->n_services >= GROUPS_MAX) ||
            below_service(g, node))
                return;
        b = calloc(1, sizeof(*b));
        if (!b)
                return;
        b->node = node;
        b->kind = service ? PARTY_SERVICE : PARTY_GROUP;
        b->since = g->settled ? clock_monotonic() : 0;
        b->meter = METER_CG_INIT;
        b->meter.dirfd = node->fd;
        if (map_put_u64(&j->bystanders, node->id, b) < 0) {
                free(b);
                return;
        }
        j->n_services += service;
}

static void bystander_drop(Guard *g, Bystander *b) {
        meter_cg_deinit(g->measure->meter, &b->meter);
        sample_io_deinit(&b->io_before);
        limit_set_deinit(&b->limits);
        judged_free(b->judged);
        free(b);
}

void bystander_gone(Guard *g, TreeNode *node) {
        Bystander *b = g->judging ? map_remove_u64(&g->judging->bystanders, node->id) : NULL;

        if (!b)
                return;
        g->judging->n_services -= b->kind == PARTY_SERVICE;
        bystander_drop(g, b);
}

void bystander_free(Guard *g) {
        size_t i = 0;
        Bystander *b;

        while ((b = map_next(&g->judging->bystanders, &i)))
                bystander_drop(g, b);
        map_deinit(&g->judging->bystanders);
}

/* ---- looking ---- */

/* A slow backup needs hardly any CPU, and who waits for it none at all. */
static bool did_something(const Sample *before, const Sample *now) {
        uint64_t used;

        return tier_probe_moved(before, now) ||
               (sample_delta(before, now, SAMPLE_CPU_USAGE, &used) &&
                used >= (now->at - before->at) * ACTIVE_CPU_PERMYRIAD / 10000);
}

static void look(Guard *g, Bystander *b, uint32_t files, usec_t now) {
        Sample before = b->last;

        if (b->io_at > 0 && now - b->io_at < RATE_SPAN_MIN)
                files &= ~SAMPLE_FILE_BIT(
                        SAMPLE_FILE_IO_STAT); /* or there would never be two that are so far apart */
        if (files & SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT)) {
                if (b->io_at > 0) {
                        SampleIo was = b->meter.io;

                        b->meter.io = b->io_before;
                        b->io_before = was;
                        b->io_before_at = b->io_at;
                }
                b->io_at = now;
        }
        if (meter_look(g->measure->meter, &b->meter, files, false, now, &b->last) == CG_GONE)
                return; /* the tree says so in a moment */
        if (before.at > 0 && before.at < now) {
                b->active = did_something(&before, &b->last);
                if (b->kind == PARTY_SERVICE && !judged_hurt(b->judged))
                        baseline_feed(&b->baseline, &before, &b->last);
        }
        if (now - b->limits_at >= LIMITS_USEC || b->limits_at == 0) {
                uint32_t have;

                if (cg_read_limits(b->node->fd, &b->limits, &have) == 0)
                        b->limits_at = now;
        }
}

static bool stalls(const Guard *g) {
        const Rates *r = &g->measure->host_rates;

        return r->v[RATE_CPU_SOME] >= STALL_PERMYRIAD || r->v[RATE_MEMORY_SOME] >= STALL_PERMYRIAD / 3 ||
               r->v[RATE_IO_SOME] >= STALL_PERMYRIAD;
}

void bystander_beat(Guard *g, usec_t now) {
        Judging *j = g->judging;
        bool memory = g->measure->host_rates.v[RATE_MEMORY_SOME] > 0;
        usec_t cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        LeasesStats stats = {};
        size_t i = 0;
        Bystander *b;
        bool often;

        if (j->leases)
                leases_get_stats(j->leases, &stats);
        often = stalls(g) || stats.n > 0;
        if (!often)
                j->bystander_rounds = 0;
        if (now - j->bystanders_at <
            (often ? MIN_OF(j->bystanders_took * LOOK_PART, (usec_t)SLOW_USEC) : SLOW_USEC))
                return;
        j->bystanders_at = now;
        if (often)
                j->bystander_rounds = MIN_OF(j->bystander_rounds + 1, 2U);
        while ((b = map_next(&j->bystanders, &i))) {
                if (b->node->user) /* a slice of a tenant's own: it is measured as such */
                        continue;
                look(g, b,
                     b->kind == PARTY_SERVICE
                             ? service_files | (memory ? SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT) : 0)
                             : group_files,
                     now);
        }
        j->bystanders_took = clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu;
}

void bystander_refresh(Guard *g, usec_t age) {
        usec_t now = clock_monotonic();
        size_t i = 0;
        Bystander *b;

        if (!stalls(g))
                return;
        while ((b = map_next(&g->judging->bystanders, &i)))
                if (b->kind == PARTY_GROUP && !b->node->user && !b->node->parent->parent &&
                    now - b->last.at >= age)
                        look(g, b, group_files, now);
}
