/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The judge at work. After each round of looks (each second, and whenever a
 * pressure trigger fired) a scene is made of what was seen: the host, the containers that did something, the
 * services that did, and the groups above all of these. core/judge says what is to be done; leasing.c does it,
 * incidents.c tells it, and how it went is told to the judge again.
 *
 * The scene holds references only; its arrays are kept from step to step, so a step on a host whose memory is gone
 * needs none, as long as not more parties than ever before are busy.
 */

#include <stdio.h>

#include "fdio.h"
#include "guard.h"
#include "num.h"

#define PARTIES_MAX 4096
#define PARTIES_FIRST 256
/* A container stays in the scene for so long after it was hot. */
#define LINGER_USEC (10 * USEC_PER_SEC)
/* After that the judge forgets it, unless it holds something back, or has killed in it. */
#define FORGET_USEC (60 * USEC_PER_SEC)
/* Under a lasting stall triggers fire many times a second; nothing is to be seen so soon after the last time. */
#define STEP_MIN_USEC (50 * USEC_PER_MSEC)
/* In the long run judging costs this part of a CPU at most, but once a second it is done in any case. */
#define STEPS_PART 10
#define STEPS_BURST (100 * USEC_PER_MSEC)
#define STEP_MAX_USEC (USEC_PER_SEC - USEC_PER_SEC / 8)
#define RECORDS_MAX 512
#define RESERVED_PIDS 300 /* kernel/pid.c */
#define HOST_AGE_USEC (200 * USEC_PER_MSEC)
#define TOPS_MAX 64 /* cgroups right below the root; of more it is not asked what they have */
#define REST_USEC (USEC_PER_SEC / 2) /* between two looks at what is in no cgroup */

/* ---- memories ---- */

Judged *judging_of(Guard *g, Target *t) {
        if (!t->judged && g->judging && (t->judged = calloc(1, sizeof(*t->judged))))
                t->judged->used_at = clock_monotonic(); /* or it would be forgotten before it was used */
        return t->judged;
}

Judged *judged_free(Judged *j) {
        if (j)
                limit_set_deinit(&j->io_leased);
        free(j);
        return NULL;
}

bool judged_hurt(const Judged *j) {
        for (Resource r = 0; j && r < _RESOURCE_MAX; r++)
                if (j->memory.harm[r].class >= HARM_MIXED)
                        return true;
        return false;
}

bool judging_disturbs(const Target *t) { return t->n_leases > 0 || judged_hurt(t->judged); }

static void record_drop(Judging *j, Record *r) {
        (void)map_remove_str(&j->records, r->key);
        free(r->key);
        free(r);
}

static void record_keep(Guard *g, Target *t) {
        Judging *j = g->judging;
        char key[512];
        Record *r;

        if (target_key(t, key, sizeof(key)) < 0)
                return;
        r = map_get_str(&j->records, key);
        if (!r) {
                if (j->records.n >= RECORDS_MAX || !(r = calloc(1, sizeof(*r))))
                        return;
                r->key = strdup(key);
                if (!r->key || map_put_str(&j->records, r->key, r) < 0) {
                        free(r->key);
                        free(r);
                        return;
                }
        }
        r->memory = t->judged->memory;
}

void judging_changed(Guard *g, Target *t) {
        Judging *j = g->judging;
        char key[512];
        Judged *judged;
        Record *r;

        if (!j || !t->container || !t->found || t->judged || target_key(t, key, sizeof(key)) < 0)
                return;
        r = map_get_str(&j->records, key);
        if (!r)
                return;
        if (judge_reborn(&r->memory, clock_monotonic()) && (judged = judging_of(g, t)))
                judged->memory = r->memory;
        record_drop(j, r);
}

void judging_gone(Guard *g, Target *t, bool alive) {
        Judging *j = g->judging;
        usec_t now = clock_monotonic();
        PartyMemory none = {};

        if (!j)
                return;
        if (alive)
                (void)leasing_release(g, t, _LEVER_INVALID, true);
        else {
                if (t->container && t->found)
                        judge_died(j->judge, t->judged ? &t->judged->memory : &none, t->id, now);
                if (t->judged && t->container && t->found)
                        record_keep(g, t);
                leasing_forget(g, t);
        }
        t->judged = judged_free(t->judged);
}

static TenantBudget budget_of(void *user, const Party *p) {
        Guard *g = user;

        return budgets_get(&g->judging->budgets, p, clock_monotonic());
}

/* ---- the scene ---- */

static uint64_t limit_or(const LimitSet *set, Limit limit, uint64_t otherwise) {
        uint64_t v;

        return limit_set_get_scalar(set, limit, &v) ? v : otherwise;
}

static PartyLimits limits_of(const LimitSet *set) {
        uint64_t min = limit_or(set, LIMIT_MEMORY_MIN, 0), low = limit_or(set, LIMIT_MEMORY_LOW, 0);

        return (PartyLimits){
                .cpu_quota = limit_or(set, LIMIT_CPU_QUOTA, LIMIT_INFINITY),
                .memory_high = limit_or(set, LIMIT_MEMORY_HIGH, LIMIT_INFINITY),
                .memory_max = limit_or(set, LIMIT_MEMORY_MAX, LIMIT_INFINITY),
                .memory_protected = MAX_OF(min, low),
                .tasks_max = limit_or(set, LIMIT_TASKS_MAX, LIMIT_INFINITY),
                .cpu_weight = (unsigned)limit_or(set, LIMIT_CPU_WEIGHT, 100),
                .io_weight = (unsigned)limit_or(set, LIMIT_IO_WEIGHT, 100),
                .io = set,
        };
}

static bool party_room(Judging *j) {
        uint32_t alloc = j->parties_alloc ? j->parties_alloc * 2 : PARTIES_FIRST;
        Target **owners;
        Party *parties;

        if (j->n_parties < j->parties_alloc)
                return true;
        if (j->n_parties >= PARTIES_MAX)
                return false;
        parties = reallocarray(j->parties, alloc, sizeof(*parties));
        if (parties)
                j->parties = parties;
        owners = reallocarray(j->owners, alloc, sizeof(*owners));
        if (owners)
                j->owners = owners;
        if (!parties || !owners)
                return false;
        j->parties_alloc = alloc;
        return true;
}

static uint32_t add(Judging *j, Party p, Target *owner) {
        if (!party_room(j))
                return NO_PARTY;
        j->parties[j->n_parties] = p;
        j->owners[j->n_parties] = owner;
        return j->n_parties++;
}

/* memory.events.local counted since the scene before: a limit right here was hit. */
static void local_events(int dirfd, Judged *judged, Party *p) {
        uint64_t high, max;

        if (cg_read_events_local(dirfd, &high, &max) != 0)
                return;
        p->have_local = true;
        if (judged->local_known) {
                p->local_high = high > judged->local_high;
                p->local_max = max > judged->local_max;
        }
        judged->local_known = true;
        judged->local_high = high;
        judged->local_max = max;
}

static bool limits_memory(const PartyLimits *l) {
        return l->memory_high != LIMIT_INFINITY || l->memory_max != LIMIT_INFINITY;
}

static uint32_t index_of_group(Guard *g, const TreeNode *node);

/* A slice of a tenant's own, or what is no target at all. */
static uint32_t add_group(Guard *g, const TreeNode *node, uint32_t parent) {
        Bystander *b = bystander_of(g, node);
        Judging *j = g->judging;
        Target *t = node->user;
        Judged *judged = NULL;
        Party p = { .id = node->id, .parent = parent, .kind = PARTY_GROUP, .name = node->path };
        uint32_t i;

        if (t && !t->container) {
                judged = judging_of(g, t);
                p.tenant = t->tenant ? t->tenant->name : NULL;
                p.limits = limits_of(&t->actual);
                p.now = t->m.last.at > 0 ? &t->m.last : NULL;
        } else if (b) {
                judged = b->judged = b->judged ? b->judged : calloc(1, sizeof(*b->judged));
                p.limits = limits_of(&b->limits);
                p.now = b->last.at > 0 ? &b->last : NULL;
        } else
                return parent;
        if (!judged)
                return parent;
        judged->used_at = j->scene.now;
        p.memory = &judged->memory;
        if (limits_memory(&p.limits))
                local_events(node->fd, judged, &p);
        i = add(j, p, t);
        if (i == NO_PARTY)
                return parent;
        if (t && !t->container) {
                t->scene_index = i;
                t->scene_made = j->n_scenes;
        } else {
                b->scene_index = i;
                b->scene_made = j->n_scenes;
        }
        return i;
}

/* Of the group that a node is; made, with all above it, if it is not in the scene yet. */
static uint32_t index_of_group(Guard *g, const TreeNode *node) {
        Judging *j = g->judging;
        const Bystander *b;
        const Target *t;

        if (!node || !node->parent)
                return 0;
        t = node->user;
        if (t && !t->container && t->scene_made == j->n_scenes)
                return t->scene_index;
        b = bystander_of(g, node);
        if (b && b->scene_made == j->n_scenes)
                return b->scene_index;
        return add_group(g, node, index_of_group(g, node->parent));
}

static usec_t born(const Guard *g, const Target *t) {
        uint64_t now = clock_realtime(), age = now > t->since_realtime ? now - t->since_realtime : 0;
        usec_t clock = g->judging->scene.now;

        /* One that was there when the guard started may be as old as can be. */
        if (!t->m.born)
                return 0;
        return age < clock ? clock - age : 0;
}

/* The limits are read through the overlay: without our leases. Here they are put on top again. */
static void leased(const Guard *g, Target *t, Party *p) {
        LimitSet *io = &t->judged->io_leased;
        const Lease *l;

        p->beneath[LEVER_CPU] = p->limits.cpu_quota;
        p->beneath[LEVER_IO] = LIMIT_INFINITY;
        p->beneath[LEVER_MEMORY] = p->limits.memory_high;
        p->beneath[LEVER_PIDS] = p->limits.tasks_max;
        p->beneath_io = &t->actual;
        if (t->n_leases == 0 || !g->judging->leases)
                return;
        for (size_t i = 0; (l = leases_next(g->judging->leases, &i));) {
                Lever lever = leasing_lever(l);

                if (l->cgroup_id != t->id || lever < 0 || lever >= LEVERS_LIMIT)
                        continue;
                p->leased[lever] = true;
                if (lever == LEVER_IO) {
                        if (p->limits.io == &t->actual && limit_set_copy(io, &t->actual) >= 0) {
                                p->limits.io = io;
                        }
                        if (p->limits.io == io)
                                (void)limit_set_put(io, l->knob, l->value, 0);
                } else if (lever == LEVER_CPU)
                        p->limits.cpu_quota = MIN_OF(p->limits.cpu_quota, l->value);
                else if (lever == LEVER_MEMORY)
                        p->limits.memory_high = MIN_OF(p->limits.memory_high, l->value);
                else if (lever == LEVER_PIDS)
                        p->limits.tasks_max = MIN_OF(p->limits.tasks_max, l->value);
        }
}

static unsigned missing_levers(const Target *t) {
        static const struct {
                LimitFile file;
                unsigned lever;
        } levers[] = { { LIMIT_FILE_CPU_MAX, THROTTLE_CPU },
                       { LIMIT_FILE_IO_MAX, THROTTLE_IO },
                       { LIMIT_FILE_MEMORY_HIGH, THROTTLE_MEMORY },
                       { LIMIT_FILE_PIDS_MAX, THROTTLE_PIDS } };
        unsigned missing = 0;

        for (size_t i = 0; i < ARRAY_SIZE(levers); i++)
                if (!(t->have_files >> levers[i].file & 1))
                        missing |= levers[i].lever;
        return missing;
}

static void add_container(Guard *g, Target *t) {
        Judging *j = g->judging;
        Judged *judged = judging_of(g, t);
        Mode mode = MIN_OF(t->settings.mode, j->scene.rules.mode);
        uint32_t parent;
        Party p;

        if (!judged)
                return;
        parent = index_of_group(g, t->node->parent);
        p = (Party){
                .id = t->id,
                .parent = parent,
                .kind = PARTY_CONTAINER,
                .name = target_name(t),
                .tenant = t->tenant ? t->tenant->name : NULL,
                .settings = &t->settings,
                .limits = limits_of(&t->actual),
                .protected_why = t->not_reconciled_why,
                .missing = missing_levers(t),
                .held = t->hold != NULL || (mode < MODE_THROTTLE && judge_holds(&judged->memory)),
                .has_freeze = sample_has(&t->m.last, SAMPLE_FROZEN) &&
                              (!t->m.last.v[SAMPLE_FROZEN] || leasing_frozen(g, t)),
                .health_check = t->info && t->info->health_check,
                .since = born(g, t),
                .now = &t->m.last,
                .baseline = &t->m.baseline,
                .io_now = t->m.io_at > 0 ? &t->m.meter.io : NULL,
                .io_before = t->m.io_before_at > 0 ? &t->m.io_before : NULL,
                .io_span = t->m.io_before_at > 0 ? t->m.io_at - t->m.io_before_at : 0,
                .memory = &judged->memory,
        };
        p.have_forks = listening_forks(g, t, &p.forks_per_sec);
        leased(g, t, &p);
        if (limits_memory(&p.limits) && t->m.rates.v[RATE_MEMORY_SOME] > 0)
                local_events(t->node->fd, judged, &p);
        t->scene_index = add(j, p, t);
        t->scene_made = j->n_scenes;
}

static void add_service(Guard *g, Bystander *b) {
        Judging *j = g->judging;
        Party p;

        if (!b->judged && !(b->judged = calloc(1, sizeof(*b->judged))))
                return;
        if (b->active)
                b->judged->used_at = j->scene.now;
        p = (Party){
                .id = b->node->id,
                .parent = index_of_group(g, b->node->parent),
                .kind = PARTY_SERVICE,
                .name = cgpath_basename(b->node->path),
                .limits = limits_of(&b->limits),
                .protected_why = "a service of the host",
                .since = b->since,
                .now = &b->last,
                .baseline = &b->baseline,
                .io_now = b->io_at > 0 ? &b->meter.io : NULL,
                .io_before = b->io_before_at > 0 ? &b->io_before : NULL,
                .io_span = b->io_before_at > 0 ? b->io_at - b->io_before_at : 0,
                .memory = &b->judged->memory,
        };
        b->scene_index = add(j, p, NULL);
        b->scene_made = j->n_scenes;
}

static HostRules rules_of(const Guard *g) {
        const PolicySection *host = &guard_policy(g)->host;
        const PolicySection *const chain[] = { host };
        const PolicyKey keys[] = { PK_KILL_BUDGET, PK_STORM_LIMIT, PK_MAX_THROTTLED };
        const PolicyValue *v[ARRAY_SIZE(keys)];

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                v[i] = policy_section_get(chain, 1, keys[i]);
                if (!v[i])
                        v[i] = policy_key_default(keys[i], true);
        }
        return (HostRules){
                .mode = guard_host_mode(g, NULL),
                .kill_budget = (unsigned)v[0]->u,
                .kill_window = v[0]->u2,
                .storm_permyriad = (unsigned)v[1]->u,
                .storm_window = v[1]->u2,
                .max_throttled = (unsigned)v[2]->u,
        };
}

/* Tasks on the host: the fourth word of /proc/loadavg is running/all. */
static uint64_t host_tasks(const Guard *g) {
        char text[128];
        const char *p, *end;
        uint64_t n = 0;

        if (fd_read_at(g->measure->proc, "loadavg", text, sizeof(text)) < 0 || !(p = strchr(text, '/')))
                return 0;
        p++;
        end = text + strlen(text);
        return num_scan_u64(&p, end, &n) < 0 ? 0 : n;
}

/* Hot for something that it did: whoever is new is hot, too, and at the start of the guard everybody is new. */
static bool is_busy(const Target *t) {
        return t->m.tier.level == TIER_HOT && t->m.tier.why != TIER_WHY_NEW &&
               t->m.tier.why != TIER_WHY_ASKED;
}

static bool takes_part(const Target *t, usec_t now) {
        if (!t->container || t->leaving || !t->m.attached || t->m.last.at == 0)
                return false;
        return is_busy(t) || t->n_leases > 0 ||
               (t->judged && (judge_holds(&t->judged->memory) || now - t->judged->used_at < LINGER_USEC));
}

typedef struct Tops { /* the cgroups right below the root */
        uint64_t memory;
        unsigned n;
        bool unknown; /* of one of them it is not known what it has */
} Tops;

static void add_top(Tops *tops, const TreeNode *node) {
        CgUsage u = {};

        if (tops->unknown || !node->parent || node->parent->parent)
                return;
        tops->unknown = ++tops->n > TOPS_MAX || cg_read_occupancy(node->fd, &u) < 0 || !u.have_memory;
        tops->memory = num_add_sat(tops->memory, u.memory_bytes);
}

/* Right after the host's own look: a hog runs on in between, and what it took by then must not be taken for the rest's. */
static void feed_rest(Guard *g, usec_t now) {
        const Sample *host = &g->measure->host;
        Judging *j = g->judging;
        uint64_t used;
        Tops tops = {};
        size_t i = 0;
        Bystander *b;
        Target *t;

        if (now - j->rest_at < REST_USEC || !sample_has(host, SAMPLE_HOST_MEMORY_TOTAL) ||
            !sample_has(host, SAMPLE_HOST_MEMORY_FREE))
                return;
        j->rest_at = now;
        while ((b = map_next(&j->bystanders, &i)))
                if (!b->node->user)
                        add_top(&tops, b->node);
        i = 0;
        while ((t = map_next(&g->targets, &i)))
                if (!t->leaving)
                        add_top(&tops, t->node);
        used = host->v[SAMPLE_HOST_MEMORY_TOTAL] -
               MIN_OF(host->v[SAMPLE_HOST_MEMORY_TOTAL], host->v[SAMPLE_HOST_MEMORY_FREE]);
        if (!tops.unknown && tops.n > 0)
                rest_feed(&j->rest, used - MIN_OF(used, tops.memory), now);
}

/* What is left of its memory is in no cgroup from now on. */
void judging_top_gone(Guard *g, const TreeNode *node) {
        if (g->judging && node->parent && !node->parent->parent)
                rest_forget(&g->judging->rest);
}

static void make_scene(Guard *g, usec_t now) {
        Judging *j = g->judging;
        Measure *m = g->measure;
        unsigned containers = 0;
        size_t i = 0;
        Bystander *b;
        Target *t;

        j->n_scenes++;
        j->n_parties = 0;
        j->scene = (Scene){
                .now = now,
                .n_cpus = g->host.n_cpus,
                .memory_bytes = g->host.memory_bytes,
                .swap_bytes = g->host.swap_bytes,
                /* The kernel does not give away the first few again. */
                .pid_max = g->host.pid_max > 2 * RESERVED_PIDS ? g->host.pid_max - RESERVED_PIDS
                                                               : g->host.pid_max,
                .host_tasks = host_tasks(g),
                .all_looked_at = j->bystander_rounds >= 2,
                .rest = &j->rest,
                .rules = rules_of(g),
                .paused = g->paused || g->released,
        };
        if (sample_has(&m->host, SAMPLE_HOST_SWAP_TOTAL))
                j->scene.swap_bytes = m->host.v[SAMPLE_HOST_SWAP_TOTAL];
        (void)add(j,
                  (Party){
                          .id = 1,
                          .parent = NO_PARTY,
                          .kind = PARTY_HOST,
                          .name = "host",
                          .limits = PARTY_LIMITS_NONE,
                          .now = &m->host,
                          .io_now = m->host_io_at > 0 ? &m->host_io : NULL,
                          .io_before = m->host_io_before_at > 0 ? &m->host_io_before : NULL,
                          .io_span = m->host_io_before_at > 0 ? m->host_io_at - m->host_io_before_at : 0,
                          .memory = &j->host_memory,
                  },
                  NULL);
        while ((t = map_next(&g->targets, &i))) {
                containers += t->container && !t->leaving;
                if (takes_part(t, now)) {
                        if (is_busy(t) && judging_of(g, t))
                                t->judged->used_at = now;
                        add_container(g, t);
                } else if (t->judged && t->container && now - t->judged->used_at > FORGET_USEC &&
                           t->judged->memory.n_kills == 0) {
                        t->judged = judged_free(t->judged);
                }
        }
        i = 0;
        while ((b = map_next(&j->bystanders, &i))) {
                /* With containers below it, it is one of the groups. */
                if (b->kind != PARTY_SERVICE || b->last.at == 0 || b->scene_made == j->n_scenes)
                        continue;
                if (b->active || (b->judged && now - b->judged->used_at < LINGER_USEC))
                        add_service(g, b);
                else if (b->judged && now - b->judged->used_at > FORGET_USEC)
                        b->judged = judged_free(b->judged);
        }
        j->scene.parties = j->parties;
        j->scene.n = j->n_parties;
        j->scene.n_containers = containers;
}

/* ---- acting ---- */

/* Who waits for a disk or a CPU that we hold him back from cannot die before he had it. Tasks stay held. */
static int kill_it(Guard *g, Target *t) {
        static const Lever levers[] = { LEVER_CPU, LEVER_IO, LEVER_MEMORY };
        int r = leasing_kill(g, t);

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(levers); i++)
                (void)leasing_release(g, t, levers[i], false);
        return r;
}

/* Paid for before it is done. */
static int end_it(Guard *g, Target *t, const Party *p, int (*how)(Guard *g, Target *t)) {
        Judging *j = g->judging;
        usec_t now = clock_monotonic();
        int charged = budgets_charge(&j->budgets, j->judge, &j->scene.rules, p, now), r;

        if (charged < 0)
                return charged;
        r = how(g, t);
        if (r != 0 && charged > 0)
                budgets_take_back(&j->budgets, p, now);
        return r;
}

static int carry_out(Guard *g, Target *t, const Verdict *v) {
        const Party *p = &g->judging->parties[v->culprit];
        const Act *a = &v->act;
        char reason[LEASE_REASON_MAX + 1];

        (void)snprintf(reason, sizeof(reason), "%s: %s", resource_to_string(a->resource),
                       act_why_text(a->why));
        switch (a->kind) {
        case ACT_THROTTLE:
        case ACT_RELAX:
                return leasing_throttle(g, t, a->values, a->n, a->resource, false, USEC_INFINITY, reason);
        case ACT_RELEASE:
                (void)leasing_release(g, t, a->lever, false);
                return 0;
        case ACT_FREEZE:
                return leasing_freeze(g, t, a->span, false, reason);
        case ACT_THAW:
                return leasing_thaw(g, t);
        case ACT_STOP:
                return end_it(g, t, p, leasing_stop);
        case ACT_KILL:
                return end_it(g, t, p, kill_it);
        default:
                return 0;
        }
}

static bool writes(const Act *a) { return !a->would && a->kind != ACT_NOTIFY && a->kind != ACT_ALARM; }

static const JudgeOps *ops_of(Guard *g, JudgeOps *ops) {
        *ops = (JudgeOps){ .budget = budget_of, .user = g };
        return ops;
}

void judging_acted(Guard *g, Target *t, const Act *a, int result) {
        JudgeOps ops;
        Act copy = *a;
        const Party *p;

        if (!t->judged)
                return;
        p = t->scene_made == g->judging->n_scenes && t->scene_index < g->judging->n_parties
                    ? &g->judging->parties[t->scene_index]
                    : NULL;
        if (!p)
                return;
        for (Resource r = 0; r < _RESOURCE_MAX; r++)
                if (t->judged->memory.ladders[r].rung == RUNG_FREEZE) {
                        copy.resource = r;
                        judge_acted(g->judging->judge, ops_of(g, &ops), p, &copy, result, clock_monotonic());
                }
}

/* Once a second in any case; in between as often as it is worth it. */
static bool step_due(Judging *j, usec_t now) {
        usec_t since = now - j->step_at;

        return since >= STEP_MAX_USEC ||
               (since >= STEP_MIN_USEC && allowance_has(&j->steps, now, STEPS_PART, STEPS_BURST));
}

void judging_step(Guard *g) {
        static Verdict verdicts[VERDICTS_MAX];
        Judging *j = g->judging;
        usec_t seen = clock_monotonic(), cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        JudgeOps ops;
        unsigned n;

        if (!j || !g->settled || j->stepping || (!g->paused && !step_due(j, seen)))
                return;
        j->stepping = true;
        measure_host(g, HOST_AGE_USEC);
        feed_rest(g, clock_monotonic());
        bystander_refresh(g, HOST_AGE_USEC);
        make_scene(g, clock_monotonic());
        n = judge_step(j->judge, ops_of(g, &ops), &j->scene, verdicts);
        for (unsigned i = 0; i < n; i++) {
                Verdict *v = &verdicts[i];
                Target *t = v->culprit < j->n_parties ? j->owners[v->culprit] : NULL;
                int r = 0;

                if (t && writes(&v->act)) {
                        r = carry_out(g, t, v);
                        judge_acted(j->judge, &ops, &j->parties[v->culprit], &v->act, r, clock_monotonic());
                        if (r == 0 && v->act.kind == ACT_THROTTLE)
                                loghist_add(&j->reaction, clock_monotonic() - seen);
                }
                if (v->act.would)
                        j->n_would[v->act.kind]++;
                else
                        j->n_acts[v->act.kind]++;
                incidents_verdict(g, v, r);
        }
        /* Nobody stalls for a task, so no trigger tells of it. */
        if (j->host_memory.harm[RESOURCE_PIDS].class == HARM_EXTERNAL && j->host_memory.tasks_per_sec > 0)
                triggers_search(g);
        j->step_at = clock_monotonic();
        allowance_spend(&j->steps, clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu);
        j->stepping = false;
}

void judging_forbid(Guard *g) {
        Judging *j = g->judging;
        size_t i = 0;
        Target *t;

        if (!j)
                return;
        (void)thaw_end_all(j->thaw);
        while ((t = map_next(&g->targets, &i)))
                if (t->n_leases > 0)
                        (void)leasing_release(g, t, _LEVER_INVALID, true);
        judging_step(g);
}

/* ---- the beat, set-up ---- */

void judging_beat(Guard *g, usec_t now) {
        Judging *j = g->judging;
        size_t i = 0;
        Record *r;

        if (!j)
                return;
        leasing_beat(g, now);
        bystander_beat(g, now);
        incidents_beat(g, now);
        while ((r = map_next(&j->records, &i)))
                if (now - r->memory.died_at > RECORD_KEEP)
                        record_drop(j, r);
}

static void open_budgets(Guard *g) {
        Judging *j = g->judging;
        KillsStats stats;
        int r = budgets_open(&j->budgets, g->config.run_dir, g->host.boot_id, j->judge, clock_monotonic(),
                             &stats);

        if (r < 0)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "there is no file for kills in %s (%s): the next guard begins with fresh kill "
                         "budgets",
                         g->config.run_dir, strerror(-r));
        else if (stats.n_damaged > 0 || stats.set_aside)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the file of kills in %s was %s: the host's kill budget counts as spent for now",
                         g->config.run_dir,
                         stats.set_aside ? "unreadable, and is set aside" : "damaged in part");
}

int judging_new(Guard *g) {
        Judging *j = calloc(1, sizeof(*j));
        int r;

        if (!j)
                return -ENOMEM;
        g->judging = j;
        if (!party_room(j))
                return -ENOMEM;
        r = judge_new(PARTIES_MAX, &j->judge);
        if (r >= 0)
                r = leasing_open(g);
        if (r >= 0)
                open_budgets(g);
        return r;
}

void judging_free(Guard *g) {
        Judging *j = g->judging;
        size_t i = 0;
        Record *r;

        if (!j)
                return;
        leasing_close(g);
        bystander_free(g);
        incidents_free(g);
        while ((r = map_next(&j->records, &i)))
                record_drop(j, r);
        map_deinit(&j->records);
        budgets_deinit(&j->budgets);
        judge_free(j->judge);
        free(j->parties);
        free(j->owners);
        free(j);
        g->judging = NULL;
}
