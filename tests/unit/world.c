/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The model, as simple as it can be and still show what the judge has to tell apart.
 *
 *  CPU     shared out level by level by weight, up to what is wanted and what quotas allow. Who gets the part q of what n
 *          threads want waits (some) 1 − qⁿ of the time.
 *  memory  anonymous memory grows to what is wanted; file pages are touched at random, and a touch of one that is not there
 *          is a refault, which reads the disk. What a limit of its own does not allow is reclaimed from the party, what the host
 *          lacks from everybody's file pages beyond protection, then from anonymous memory as far as there is swap. Above
 *          memory.high one grows by a trickle. Where nothing is left the largest anonymous memory dies.
 *  disk    one queue, served in turn: who has `depth` operations in it does depth / wait of them a second. The wait is
 *          what makes the device just busy all the time.
 *  tasks   are forked up to pids.max and to pid_max of the host; who may not fork waits for nothing, and fails.
 */

#include "world.h"

#define TICK (USEC_PER_SEC / 4)
#define DT 0.25
#define PAGE 4096.0
#define READAHEAD 4.0 /* pages of one read */
#define SWAP_RATE (200.0 * (double)M) /* a second */
#define TRICKLE (1.0 * (double)M) /* a second, above memory.high */
#define RESERVE_PART 0.01 /* of memory: the kernel keeps it free */
#define MIN_WAIT 0.0001

static void fatal(const World *w, const WorldParty *p, const char *what) {
        fail_msg("world %llu at %llu s: %s: %s", (unsigned long long)w->seed,
                 (unsigned long long)((w->now - WORLD_START) / USEC_PER_SEC), p ? p->name : "host", what);
}

World *world_new(unsigned n_cpus, uint64_t memory, uint64_t swap) {
        World *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->loud = getenv("WORLD_LOUD") != NULL;
        w->now = WORLD_START;
        w->n_cpus = n_cpus;
        w->memory = memory;
        w->swap = swap;
        w->pid_max = 32768;
        w->max_ops = 2000;
        w->max_bytes = 200e6;
        w->disk_wait = MIN_WAIT;
        w->next_id = 1000;
        w->refuse_lever = -1;
        w->tenant_budget = UINT32_MAX;
        w->rules = (HostRules){ .mode = MODE_ENFORCE,
                                .kill_budget = 4,
                                .kill_window = 3600 * USEC_PER_SEC,
                                .storm_permyriad = 2500,
                                .storm_window = 60 * USEC_PER_SEC,
                                .max_throttled = 5000 };
        assert_int_equal(judge_new(WORLD_MAX, &w->judge), 0);
        (void)world_add(w, 0, PARTY_HOST, "host");
        return w;
}

World *world_free(World *w) {
        for (uint32_t i = 0; w && i < w->n; i++) {
                limit_set_deinit(&w->parties[i].io_base);
                limit_set_deinit(&w->parties[i].io_force);
        }
        if (w)
                w->judge = judge_free(w->judge);
        free(w);
        return NULL;
}

static void be_born(World *w, WorldParty *p) {
        p->alive = true;
        p->id = w->next_id++;
        p->since = w->now;
        p->dies_at = p->died_at = p->frozen_until = 0;
        p->anon = p->swapped = p->cached = p->tasks = 0;
        p->warm = p->looked = false;
        p->device_before = p->device_now = (SampleDevice){ .dev = WORLD_DISK };
        memset(p->v, 0, sizeof(p->v));
        memset(p->n_lease, 0, sizeof(p->n_lease));
        p->sample = (Sample){};
}

uint32_t world_add(World *w, uint32_t parent, PartyKind kind, const char *name) {
        WorldParty *p = &w->parties[w->n];

        assert_true(w->n < WORLD_MAX);
        *p = (WorldParty){
                .name = name,
                .tenant = name,
                .kind = kind,
                .parent = parent,
                .limits = PARTY_LIMITS_NONE,
                .settings = { .mode = MODE_ENFORCE,
                              .priority = 100,
                              .throttle = THROTTLE_CPU | THROTTLE_IO | THROTTLE_MEMORY | THROTTLE_PIDS,
                              .kill = KILL_NEVER,
                              .kill_grace = 10 * USEC_PER_SEC,
                              .pressure_target = { HARM_TARGET_DEFAULT_CPU, HARM_TARGET_DEFAULT_IO,
                                                   HARM_TARGET_DEFAULT_MEMORY },
                              .pressure_window = HARM_WINDOW_DEFAULT,
                              .startup_grace = HARM_GRACE_DEFAULT,
                              .kill_budget = UINT32_MAX,
                              .kill_window = 3600 * USEC_PER_SEC },
        };
        be_born(w, p);
        p->since = 0;
        return w->n++;
}

bool world_leased(const WorldParty *p) {
        for (int l = 0; l <= LEVER_PIDS; l++)
                if (p->n_lease[l] > 0)
                        return true;
        return false;
}

unsigned world_n_leased(const World *w) {
        unsigned n = 0;

        for (uint32_t i = 0; i < w->n; i++)
                n += world_leased(&w->parties[i]);
        return n;
}

unsigned world_n_hard(const World *w) {
        static const ActKind hard[] = { ACT_THROTTLE, ACT_FREEZE, ACT_STOP, ACT_KILL };
        unsigned n = 0;

        for (uint32_t i = 0; i < w->n; i++)
                for (size_t k = 0; k < ARRAY_SIZE(hard); k++)
                        n += w->parties[i].n_acts[hard[k]];
        return n;
}

/* What is wanted. */

static bool is_active(const World *w, const Demand *d) {
        usec_t at = w->now - WORLD_START;

        if (at < d->from || (d->until != 0 && at >= d->until))
                return false;
        return d->off == 0 || (at - d->from) % (d->on + d->off) < d->on;
}

static bool is_frozen(const World *w, const WorldParty *p) { return p->frozen_until > w->now; }

static bool runs(const World *w, const WorldParty *p) {
        return p->alive && !is_frozen(w, p) && (p->kind == PARTY_CONTAINER || p->kind == PARTY_SERVICE);
}

/* The demands that it has now, at most two. */
static unsigned demands(const World *w, const WorldParty *p, const Demand *ret[static 2]) {
        unsigned n = 0;

        if (!runs(w, p))
                return 0;
        if (is_active(w, &p->base))
                ret[n++] = &p->base;
        if (is_active(w, &p->noise))
                ret[n++] = &p->noise;
        return n;
}

/* The limit in force: of ours and without us the tighter. */
static uint64_t limit_of(const WorldParty *p, Lever l, uint64_t beneath) {
        return p->n_lease[l] > 0 ? MIN_OF(beneath, p->lease[l][0].value) : beneath;
}

static double as_bound(uint64_t v) { return v == LIMIT_INFINITY ? 1e18 : (double)v; }

static void die(World *w, WorldParty *p) {
        judge_died(w->judge, &p->memory, p->id, w->now);
        p->alive = false;
        p->died_at = w->now;
        p->n_deaths++;
        p->anon = p->swapped = p->cached = p->tasks = 0;
        memset(p->n_lease, 0, sizeof(p->n_lease));
        if (w->loud)
                printf("%5llu s  %s is dead\n", (unsigned long long)((w->now - WORLD_START) / USEC_PER_SEC),
                       p->name);
}

static void live_and_die(World *w) {
        for (uint32_t i = 0; i < w->n; i++) {
                WorldParty *p = &w->parties[i];

                if (p->alive && p->dies_at != 0 && w->now >= p->dies_at)
                        die(w, p);
                if (!p->alive && p->restart_after != 0 && w->now - p->died_at >= p->restart_after) {
                        be_born(w, p);
                        (void)judge_reborn(&p->memory, w->now);
                }
        }
}

/* A counter of its subtree: those above count it, too. */
static void count(World *w, uint32_t party, SampleField f, double by) {
        for (; party != 0; party = w->parties[party].parent)
                w->parties[party].v[f] += by;
        w->parties[0].v[f] += by;
}

static uint32_t index_in(const World *w, const WorldParty *p) { return (uint32_t)(p - w->parties); }

/* Memory. */

static void reclaim_cache(WorldParty *p, double *need) {
        double d = MIN_OF(*need, p->cached);

        p->cached -= d;
        p->warm = p->warm || d > 0;
        *need -= d;
        p->v[SAMPLE_PGSCAN] += d / PAGE * 1.5;
        p->v[SAMPLE_PGSTEAL] += d / PAGE;
}

static void swap_out(World *w, WorldParty *p, double *need, double room) {
        double d = MIN_OF(MIN_OF(*need, p->anon), MIN_OF(room, (double)w->swap - w->swap_used));

        if (d <= 0)
                return;
        p->anon -= d;
        p->swapped += d;
        w->swap_used += d;
        *need -= d;
        p->v[SAMPLE_PGSCAN] += d / PAGE * 1.5;
        p->v[SAMPLE_PGSTEAL] += d / PAGE;
}

static void fault_in(World *w, WorldParty *p, const Demand *const *d, unsigned n) {
        double cache = 0, touches = 0, missing, done, back, all = p->anon + p->swapped;

        for (unsigned i = 0; i < n; i++) {
                cache += (double)d[i]->cache;
                touches += d[i]->touches;
        }
        p->faults = 0;
        p->cached = MIN_OF(p->cached, cache);
        if (cache > 0) {
                missing = touches * (1 - p->cached / cache);
                /* A thread that waits for a page asks for no other one. */
                done = MIN_OF(missing, 8 * READAHEAD / (w->disk_wait + MIN_WAIT));
                p->faults += done;
                p->cached = MIN_OF(cache, p->cached + done * DT * PAGE);
                count(w, index_in(w, p), p->warm ? SAMPLE_REFAULT_FILE : SAMPLE_PGMAJFAULT, done * DT);
                p->warm = p->warm || p->cached > cache * 0.95;
        }
        if (p->swapped > 0 && n > 0) {
                done = MIN_OF(4000 * p->swapped / all, 8 * READAHEAD / (w->disk_wait + MIN_WAIT));
                back = MIN_OF(done * DT * PAGE, p->swapped);
                p->faults += done;
                p->swapped -= back;
                p->anon += back;
                w->swap_used -= back;
                count(w, index_in(w, p), SAMPLE_REFAULT_ANON, done * DT);
        }
}

static void want_memory(World *w, WorldParty *p) {
        double anon = 0, rate = 0, high, over;
        const Demand *d[2];
        unsigned n = demands(w, p, d);

        if (!p->alive || is_frozen(w, p))
                return;
        for (unsigned i = 0; i < n; i++) {
                anon += (double)d[i]->memory;
                rate += (double)d[i]->memory_rate;
        }
        if (p->anon + p->swapped > anon) {
                double gone = MIN_OF(p->anon + p->swapped - anon, p->swapped);

                p->swapped -= gone;
                w->swap_used -= gone;
                p->anon = MIN_OF(p->anon, anon);
        }
        over = p->anon + p->cached - as_bound(limit_of(p, LEVER_MEMORY, p->limits.memory_high));
        if (rate > 0)
                p->anon = MIN_OF(anon - p->swapped, p->anon + (over >= 0 ? TRICKLE : rate) * DT);
        else
                p->anon = anon - p->swapped;
        fault_in(w, p, d, n);

        p->memory_stall = MIN_OF(0.98, p->faults / READAHEAD * (w->disk_wait + MIN_WAIT));
        high = as_bound(limit_of(p, LEVER_MEMORY, p->limits.memory_high));
        over = p->anon + p->cached - high;
        if (over > 0) {
                p->v[SAMPLE_EVENTS_HIGH] += 10;
                p->hit_high = true;
                reclaim_cache(p, &over);
                swap_out(w, p, &over, SWAP_RATE * DT);
                if (over > 0 && p->anon + p->swapped < anon)
                        p->memory_stall = MAX_OF(p->memory_stall, 0.9);
        }
        over = p->anon + p->cached - as_bound(p->limits.memory_max);
        if (over > 0) {
                p->v[SAMPLE_EVENTS_MAX] += 10;
                p->hit_max = true;
                reclaim_cache(p, &over);
                swap_out(w, p, &over, 1e18);
                if (over > PAGE) {
                        p->v[SAMPLE_EVENTS_OOM]++;
                        p->v[SAMPLE_EVENTS_OOM_KILL]++;
                        p->dies_at = w->now;
                }
        }
}

static double beyond_protection(const WorldParty *p) {
        double keep = (double)p->limits.memory_protected;

        return MAX_OF(0.0, MIN_OF(p->cached, p->anon + p->cached - keep));
}

static double memory_used(const World *w) {
        double used = (double)w->memory * 0.05;

        for (uint32_t i = 1; i < w->n; i++)
                used += w->parties[i].anon + w->parties[i].cached;
        return used;
}

static void kill_largest(World *w) {
        uint32_t worst = 0;

        for (uint32_t i = 1; i < w->n; i++)
                if (w->parties[i].alive && w->parties[i].anon > w->parties[worst].anon)
                        worst = i;
        if (worst == 0)
                return;
        w->n_oom++;
        w->oom_victim = worst;
        w->parties[0].v[SAMPLE_EVENTS_OOM_KILL]++;
        w->parties[worst].v[SAMPLE_EVENTS_OOM_KILL]++;
        if (w->loud)
                printf("OOM: ");
        die(w, &w->parties[worst]);
}

static void reclaim_host(World *w) {
        double need = memory_used(w) - (double)w->memory * (1 - RESERVE_PART), all = 0, anon = 0, part = 0,
               was;
        WorldParty *host = &w->parties[0];

        if (need <= 0)
                return;
        was = need;
        for (uint32_t i = 1; i < w->n; i++) {
                all += beyond_protection(&w->parties[i]);
                anon += w->parties[i].anon;
        }
        if (all > 0)
                part = MIN_OF(1.0, need / all);
        for (uint32_t i = 1; i < w->n && part > 0; i++) {
                double d = beyond_protection(&w->parties[i]) * part;

                need -= d;
                reclaim_cache(&w->parties[i], &d);
        }
        part = anon > 0 ? MIN_OF(1.0, need / anon) : 0;
        for (uint32_t i = 1; i < w->n && part > 0 && need > 0; i++) {
                double d = w->parties[i].anon * part, before = d;

                swap_out(w, &w->parties[i], &d, d);
                need -= before - d;
        }
        host->v[SAMPLE_PGSCAN] += was / PAGE * 1.5;
        host->v[SAMPLE_PGSTEAL] += (was - MAX_OF(need, 0.0)) / PAGE;
        host->v[SAMPLE_HOST_ALLOCSTALL] += was / PAGE / 32;
        if (need > 1)
                for (uint32_t i = 1; i < w->n; i++)
                        w->parties[i].memory_stall = MAX_OF(w->parties[i].memory_stall, 0.5);
        if (memory_used(w) > (double)w->memory)
                kill_largest(w);
}

/* The disk. */

typedef struct Stream {
        WorldParty *party;
        bool faults, writes;
        double want, bytes, depth, cost, got;
} Stream;

static double capped(const WorldParty *p, bool writes, double want, double bytes) {
        static const Limit bandwidth[] = { LIMIT_IO_READ_BANDWIDTH_MAX, LIMIT_IO_WRITE_BANDWIDTH_MAX };
        static const Limit ops[] = { LIMIT_IO_READ_IOPS_MAX, LIMIT_IO_WRITE_IOPS_MAX };
        uint64_t v;

        if (limit_set_get(&p->io_force, (LimitKnob){ bandwidth[writes], WORLD_DISK }, &v))
                want = MIN_OF(want, (double)v / bytes);
        if (limit_set_get(&p->io_force, (LimitKnob){ ops[writes], WORLD_DISK }, &v))
                want = MIN_OF(want, (double)v);
        return want;
}

static double load(Stream *streams, unsigned n, double wait) {
        double sum = 0;

        for (unsigned i = 0; i < n; i++) {
                Stream *s = &streams[i];

                s->got = MIN_OF(capped(s->party, s->writes, s->want, s->bytes),
                                s->depth / MAX_OF(wait, s->cost));
                sum += s->got * s->cost;
        }
        return sum;
}

static void do_io(World *w) {
        Stream streams[WORLD_MAX * 3];
        unsigned n = 0;
        double low = MIN_WAIT, high = 10;

        for (uint32_t i = 1; i < w->n; i++) {
                WorldParty *p = &w->parties[i];
                const Demand *d[2];
                unsigned n_d = demands(w, p, d);

                p->ops_want = p->ops_got = p->io_stall = 0;
                for (unsigned k = 0; k < n_d; k++)
                        if (d[k]->ops > 0)
                                streams[n++] = (Stream){ .party = p,
                                                         .writes = d[k]->writes,
                                                         .want = d[k]->ops,
                                                         .bytes = d[k]->op_bytes,
                                                         .depth = d[k]->depth };
                if (p->faults > 0 && n_d > 0)
                        streams[n++] = (Stream){ .party = p,
                                                 .faults = true,
                                                 .want = p->faults / READAHEAD,
                                                 .bytes = READAHEAD * PAGE,
                                                 .depth = 8 };
        }
        for (unsigned i = 0; i < n; i++)
                streams[i].cost = 1 / w->max_ops + streams[i].bytes / w->max_bytes;
        if (load(streams, n, MIN_WAIT) > 1)
                for (unsigned round = 0; round < 18; round++) {
                        double mid = (low + high) / 2;

                        if (load(streams, n, mid) > 1)
                                low = mid;
                        else
                                high = mid;
                }
        else
                high = MIN_WAIT;
        w->busy_usec += MIN_OF(load(streams, n, high), 1.0) * (double)TICK;
        w->disk_wait = high;
        for (unsigned i = 0; i < n; i++) {
                Stream *s = &streams[i];
                WorldParty *p = s->party;
                double done = s->got * DT, stall;

                stall = capped(p, s->writes, s->want, s->bytes) < s->want * 0.999
                                ? 1
                                : MIN_OF(1.0, s->got * MAX_OF(high, s->cost));
                p->io_stall = MAX_OF(p->io_stall, stall);
                count(w, index_in(w, p), s->writes ? SAMPLE_IO_WIOS : SAMPLE_IO_RIOS, done);
                count(w, index_in(w, p), s->writes ? SAMPLE_IO_WBYTES : SAMPLE_IO_RBYTES, done * s->bytes);
                if (!s->faults) {
                        p->ops_want += s->want;
                        p->ops_got += s->got;
                }
        }
}

/* CPUs. */

static double quota_of(const WorldParty *p) {
        return as_bound(limit_of(p, LEVER_CPU, p->limits.cpu_quota)) / 1e6;
}

/* What is wanted of it and below it, quotas considered. Children stand behind their parents. */
static void want_cpu(World *w, double wish[static WORLD_MAX]) {
        for (uint32_t i = 0; i < w->n; i++) {
                WorldParty *p = &w->parties[i];
                const Demand *d[2];
                unsigned n = demands(w, p, d);

                p->cpu_want = p->cpu_got = 0;
                for (unsigned k = 0; k < n; k++)
                        p->cpu_want += d[k]->cpus + (d[k]->forks > 0 ? p->tasks * 0.02 : 0);
                p->cpu_want *= 1 - p->memory_stall;
                wish[i] = p->cpu_want;
        }
        for (uint32_t i = w->n - 1; i > 0; i--) {
                wish[i] = MIN_OF(wish[i], quota_of(&w->parties[i]));
                wish[w->parties[i].parent] += wish[i];
        }
        wish[0] = MIN_OF(wish[0], (double)w->n_cpus);
}

/* Shares of what the parent got, by weight, up to what is wished. */
static void share_cpu(World *w, uint32_t parent, const double wish[static WORLD_MAX],
                      double got[static WORLD_MAX]) {
        bool full[WORLD_MAX] = {};
        double left = got[parent];

        for (bool again = true; again;) {
                double weights = 0, level;

                again = false;
                for (uint32_t i = parent + 1; i < w->n; i++)
                        if (w->parties[i].parent == parent && !full[i] && wish[i] > 0)
                                weights += w->parties[i].limits.cpu_weight;
                if (weights <= 0)
                        return;
                level = left / weights;
                for (uint32_t i = parent + 1; i < w->n; i++) {
                        double part = level * w->parties[i].limits.cpu_weight;

                        if (w->parties[i].parent != parent || full[i] || wish[i] <= 0)
                                continue;
                        got[i] = MIN_OF(part, wish[i]);
                        if (wish[i] <= part) {
                                full[i] = again = true;
                                left -= wish[i];
                        }
                }
        }
}

static double power(double q, double n) {
        double v = 1;

        for (unsigned i = 0; i < (unsigned)n && v > 0.001; i++)
                v *= q;
        return v;
}

static void do_cpu(World *w) {
        double wish[WORLD_MAX], got[WORLD_MAX] = {};
        bool busy;

        want_cpu(w, wish);
        got[0] = wish[0];
        busy = got[0] > w->n_cpus * 0.95;
        for (uint32_t i = 0; i < w->n; i++)
                share_cpu(w, i, wish, got);
        for (uint32_t i = 1; i < w->n; i++) {
                WorldParty *p = &w->parties[i];
                const Demand *d[2];
                unsigned n = demands(w, p, d);
                double threads = 0, q;

                p->v[SAMPLE_CPU_USAGE] += got[i] * (double)TICK;
                if (quota_of(p) < 1e6) {
                        p->v[SAMPLE_CPU_PERIODS] += 10 * DT;
                        if (got[i] > 0 && wish[i] >= quota_of(p) * 0.999 && got[i] >= wish[i] * 0.999)
                                p->v[SAMPLE_CPU_THROTTLED] += 10 * DT;
                }
                p->cpu_stall = 0;
                if (p->kind == PARTY_GROUP || p->cpu_want <= 0)
                        continue;
                for (unsigned k = 0; k < n; k++)
                        threads += MAX_OF(d[k]->threads, d[k]->cpus);
                threads += p->tasks * 0.02;
                p->cpu_got = got[i];
                q = got[i] / p->cpu_want;
                p->cpu_stall = q > 0.999 ? busy ? 0.03 : 0.0 : 1 - power(q, MAX_OF(threads, 1.0));
        }
        w->parties[0].v[SAMPLE_CPU_USAGE] += got[0] * (double)TICK;
}

/* Tasks. */

static double tasks_of_host(const World *w) {
        double n = 150;

        for (uint32_t i = 1; i < w->n; i++)
                n += w->parties[i].tasks;
        return n;
}

static void do_tasks(World *w) {
        for (uint32_t i = 1; i < w->n; i++) {
                WorldParty *p = &w->parties[i];
                double want = 0, rate = 0, room;
                const Demand *d[2];
                unsigned n = demands(w, p, d);

                if (n == 0)
                        continue;
                for (unsigned k = 0; k < n; k++) {
                        want += d[k]->tasks > 0 ? d[k]->tasks : d[k]->threads;
                        rate += d[k]->forks;
                }
                if (want <= p->tasks || rate <= 0) {
                        p->tasks = want;
                        continue;
                }
                room = MIN_OF(as_bound(limit_of(p, LEVER_PIDS, p->limits.tasks_max)) - p->tasks,
                              (double)w->pid_max - tasks_of_host(w));
                if (room < rate * DT) {
                        p->v[SAMPLE_PIDS_EVENTS_MAX] += rate * DT;
                        room = MAX_OF(room, 0.0);
                }
                p->tasks = MIN_OF(want, p->tasks + MIN_OF(room, rate * DT));
        }
}

static void count_stalls(World *w) {
        double worst[3] = {}, full = 1;
        bool any = false;

        for (uint32_t i = 1; i < w->n; i++) {
                WorldParty *p = &w->parties[i];
                const Demand *d[2];

                if (!p->alive || demands(w, p, d) == 0)
                        continue;
                p->v[SAMPLE_CPU_SOME] += p->cpu_stall * (double)TICK;
                p->v[SAMPLE_MEMORY_SOME] += p->memory_stall * (double)TICK;
                p->v[SAMPLE_IO_SOME] += p->io_stall * (double)TICK;
                worst[0] = MAX_OF(worst[0], p->cpu_stall);
                worst[1] = MAX_OF(worst[1], p->memory_stall);
                worst[2] = MAX_OF(worst[2], p->io_stall);
                full = MIN_OF(full, p->memory_stall);
                any = true;
        }
        w->parties[0].v[SAMPLE_CPU_SOME] += worst[0] * (double)TICK;
        w->parties[0].v[SAMPLE_MEMORY_SOME] += worst[1] * (double)TICK;
        w->parties[0].v[SAMPLE_IO_SOME] += worst[2] * (double)TICK;
        w->parties[0].v[SAMPLE_MEMORY_FULL] += any ? full * (double)TICK : 0;
}

static void tick(World *w) {
        w->now += TICK;
        live_and_die(w);
        for (uint32_t i = 1; i < w->n; i++) {
                w->parties[i].memory_stall = w->parties[i].faults = 0;
                want_memory(w, &w->parties[i]);
        }
        reclaim_host(w);
        do_tasks(w);
        do_io(w);
        do_cpu(w);
        count_stalls(w);
        for (uint32_t i = 1; i < w->n; i++) {
                WorldParty *p = &w->parties[i];

                p->cpu_wanted += p->cpu_want * DT;
                p->cpu_given += p->cpu_got * DT;
                p->ops_wanted += p->ops_want * DT;
                p->ops_given += p->ops_got * DT;
        }
}

/* The look at it. */

static void put_all(WorldParty *p, const SampleField *fields, size_t n) {
        for (size_t i = 0; i < n; i++)
                sample_put(&p->sample, fields[i], (uint64_t)p->v[fields[i]]);
}

static bool is_below(const World *w, uint32_t party, uint32_t top) {
        while (party > top)
                party = w->parties[party].parent;
        return party == top;
}

static SampleDevice device_of(const WorldParty *p) {
        return (SampleDevice){ .dev = WORLD_DISK,
                               .rbytes = (uint64_t)p->v[SAMPLE_IO_RBYTES],
                               .wbytes = (uint64_t)p->v[SAMPLE_IO_WBYTES],
                               .rios = (uint64_t)p->v[SAMPLE_IO_RIOS],
                               .wios = (uint64_t)p->v[SAMPLE_IO_WIOS] };
}

static void look_at_party(World *w, WorldParty *p) {
        static const SampleField fields[] = {
                SAMPLE_CPU_USAGE,     SAMPLE_CPU_PERIODS,
                SAMPLE_CPU_THROTTLED, SAMPLE_MEMORY,
                SAMPLE_SWAP,          SAMPLE_ANON,
                SAMPLE_FILE,          SAMPLE_REFAULT_ANON,
                SAMPLE_REFAULT_FILE,  SAMPLE_PGSCAN,
                SAMPLE_PGSTEAL,       SAMPLE_PGMAJFAULT,
                SAMPLE_EVENTS_HIGH,   SAMPLE_EVENTS_MAX,
                SAMPLE_EVENTS_OOM,    SAMPLE_EVENTS_OOM_KILL,
                SAMPLE_IO_RBYTES,     SAMPLE_IO_WBYTES,
                SAMPLE_IO_RIOS,       SAMPLE_IO_WIOS,
                SAMPLE_PIDS,          SAMPLE_PIDS_EVENTS_MAX,
                SAMPLE_CPU_SOME,      SAMPLE_MEMORY_SOME,
                SAMPLE_IO_SOME,       SAMPLE_POPULATED,
                SAMPLE_FROZEN,
        };

        p->v[SAMPLE_MEMORY] = p->v[SAMPLE_SWAP] = p->v[SAMPLE_ANON] = p->v[SAMPLE_FILE] = p->v[SAMPLE_PIDS] =
                0;
        for (uint32_t i = index_in(w, p); i < w->n; i++) {
                const WorldParty *below = &w->parties[i];

                if (!is_below(w, i, index_in(w, p)))
                        continue;
                p->v[SAMPLE_MEMORY] += below->anon + below->cached;
                p->v[SAMPLE_SWAP] += below->swapped;
                p->v[SAMPLE_ANON] += below->anon;
                p->v[SAMPLE_FILE] += below->cached;
                p->v[SAMPLE_PIDS] += below->tasks;
        }
        p->v[SAMPLE_POPULATED] = 1;
        p->v[SAMPLE_FROZEN] = is_frozen(w, p);
        p->sample.at = w->now;
        put_all(p, fields, ARRAY_SIZE(fields));
        p->device_before = p->device_now;
        p->device_now = device_of(p);
}

static void look_at_host(World *w) {
        static const SampleField fields[] = {
                SAMPLE_CPU_USAGE,
                SAMPLE_CPU_SOME,
                SAMPLE_MEMORY_SOME,
                SAMPLE_MEMORY_FULL,
                SAMPLE_IO_SOME,
                SAMPLE_MEMORY,
                SAMPLE_SWAP,
                SAMPLE_PGSCAN,
                SAMPLE_PGSTEAL,
                SAMPLE_REFAULT_ANON,
                SAMPLE_REFAULT_FILE,
                SAMPLE_EVENTS_OOM_KILL,
                SAMPLE_IO_RBYTES,
                SAMPLE_IO_WBYTES,
                SAMPLE_IO_RIOS,
                SAMPLE_IO_WIOS,
                SAMPLE_HOST_MEMORY_TOTAL,
                SAMPLE_HOST_MEMORY_FREE,
                SAMPLE_HOST_MEMORY_AVAILABLE,
                SAMPLE_HOST_SWAP_TOTAL,
                SAMPLE_HOST_SWAP_FREE,
                SAMPLE_HOST_DISK_BUSY_USEC,
                SAMPLE_HOST_ALLOCSTALL,
        };
        WorldParty *h = &w->parties[0];
        double free_bytes = MAX_OF(0.0, (double)w->memory - memory_used(w)), cached = 0;

        h->device_before = h->device_now;
        h->device_now = device_of(h);
        h->device_now.busy_usec = (uint64_t)w->busy_usec;
        for (uint32_t i = 1; i < w->n; i++)
                cached += w->parties[i].cached;
        h->v[SAMPLE_HOST_MEMORY_TOTAL] = (double)w->memory;
        h->v[SAMPLE_HOST_MEMORY_FREE] = free_bytes;
        h->v[SAMPLE_HOST_MEMORY_AVAILABLE] = free_bytes + cached;
        h->v[SAMPLE_HOST_SWAP_TOTAL] = (double)w->swap;
        h->v[SAMPLE_HOST_SWAP_FREE] = (double)w->swap - w->swap_used;
        h->v[SAMPLE_MEMORY] = (double)w->memory - free_bytes - cached;
        h->v[SAMPLE_SWAP] = w->swap_used;
        h->v[SAMPLE_HOST_DISK_BUSY_USEC] = w->busy_usec;
        h->sample.at = w->now;
        put_all(h, fields, ARRAY_SIZE(fields));
}

/* The scene. */

static int scene_before(const World *w, uint32_t a, uint32_t b) {
        /* By a hash of their names' places, if shuffled. */
        uint64_t x = (a + 1) * w->shuffle * UINT64_C(0x9e3779b97f4a7c15);
        uint64_t y = (b + 1) * w->shuffle * UINT64_C(0x9e3779b97f4a7c15);

        return w->shuffle == 0 ? a < b : (x >> 7) < (y >> 7);
}

static unsigned depth_of(const World *w, uint32_t party) {
        unsigned n = 0;

        for (; party != 0; party = w->parties[party].parent)
                n++;
        return n;
}

/* Who is alive: the parents first, else in any order. */
static uint32_t order_of_scene(World *w) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < w->n; i++) {
                uint32_t at = n;

                if (!w->parties[i].alive)
                        continue;
                while (at > 0 && (depth_of(w, i) < depth_of(w, w->of_scene[at - 1]) ||
                                  (depth_of(w, i) == depth_of(w, w->of_scene[at - 1]) &&
                                   scene_before(w, i, w->of_scene[at - 1])))) {
                        w->of_scene[at] = w->of_scene[at - 1];
                        at--;
                }
                w->of_scene[at] = i;
                n++;
        }
        return n;
}

static uint32_t parent_in_scene(const World *w, uint32_t n, const WorldParty *p) {
        for (uint32_t i = 0; i < n; i++)
                if (w->of_scene[i] == p->parent)
                        return i;
        return NO_PARTY;
}

static void force_io(WorldParty *p) {
        assert_int_equal(limit_set_copy(&p->io_force, &p->io_base), 0);
        for (unsigned i = 0; i < p->n_lease[LEVER_IO]; i++) {
                const LimitEntry *e = &p->lease[LEVER_IO][i];
                uint64_t v = LIMIT_INFINITY;

                (void)limit_set_get(&p->io_base, e->knob, &v);
                if (e->value < v)
                        assert_int_equal(limit_set_put(&p->io_force, e->knob, e->value, 0), 0);
        }
        p->limits.io = &p->io_force;
}

static void show_party(World *w, uint32_t n, uint32_t at) {
        WorldParty *p = &w->parties[w->of_scene[at]];
        Party *s = &w->scene_parties[at];

        p->io_before = (SampleIo){ .devices = &p->device_before, .n = 1 };
        p->io_now = (SampleIo){ .devices = &p->device_now, .n = 1 };
        *s = (Party){ .id = p->id,
                      .parent = at == 0 ? NO_PARTY : parent_in_scene(w, n, p),
                      .kind = p->kind,
                      .name = p->name,
                      .tenant = p->tenant,
                      .settings = p->kind == PARTY_CONTAINER ? &p->settings : NULL,
                      .limits = p->limits,
                      .beneath_io = &p->io_base,
                      .protected_why = p->protected_why,
                      .held = p->held,
                      .has_freeze = p->kind == PARTY_CONTAINER,
                      .local_high = p->hit_high,
                      .local_max = p->hit_max,
                      .have_local = true,
                      .since = p->since,
                      .now = &p->sample,
                      .io_before = p->looked ? &p->io_before : NULL,
                      .io_now = p->looked ? &p->io_now : NULL,
                      .io_span = p->looked ? USEC_PER_SEC : 0,
                      .memory = &p->memory };
        for (int l = 0; l <= LEVER_PIDS; l++) {
                s->leased[l] = p->n_lease[l] > 0;
                s->beneath[l] = LIMIT_INFINITY;
        }
        s->beneath[LEVER_CPU] = p->limits.cpu_quota;
        s->beneath[LEVER_MEMORY] = p->limits.memory_high;
        s->beneath[LEVER_PIDS] = p->limits.tasks_max;
        s->limits.cpu_quota = limit_of(p, LEVER_CPU, p->limits.cpu_quota);
        s->limits.memory_high = limit_of(p, LEVER_MEMORY, p->limits.memory_high);
        s->limits.tasks_max = limit_of(p, LEVER_PIDS, p->limits.tasks_max);
}

/* What is always so. */

static void note_kill(World *w, const WorldParty *p) {
        unsigned within = 0;

        if (w->killed_id == p->id)
                return;
        w->killed_id = p->id;
        for (unsigned i = 0; i < w->n_kills; i++)
                within += w->now - w->kills[i] <= w->rules.kill_window;
        if (within >= w->rules.kill_budget)
                fatal(w, p, "beyond the kill budget");
        if (w->n_kills > 0 && w->now - w->kills[w->n_kills - 1] < BRAKES_SETTLE_URGENT)
                fatal(w, p, "killed before the one before was settled");
        assert_true(w->n_kills < ARRAY_SIZE(w->kills));
        w->kills[w->n_kills++] = w->now;
}

static void check_values(const World *w, const WorldParty *p, const Act *a) {
        uint64_t guarantee = MAX_OF(p->settings.cpu_guarantee, (uint64_t)LADDER_CPU_FLOOR);
        uint64_t memory = MAX_OF(p->limits.memory_protected, (uint64_t)LADDER_MEMORY_FLOOR);

        if (a->n == 0)
                fatal(w, p, "a throttle without values");
        for (unsigned i = 0; i < a->n; i++) {
                const LimitEntry *e = &a->values[i];
                uint64_t floor = 0, beneath = LIMIT_INFINITY;

                switch (e->knob.limit) {
                case LIMIT_CPU_QUOTA:
                        floor = guarantee;
                        beneath = p->limits.cpu_quota;
                        break;
                case LIMIT_MEMORY_HIGH:
                        floor = memory;
                        beneath = p->limits.memory_high;
                        break;
                case LIMIT_TASKS_MAX:
                        beneath = p->limits.tasks_max;
                        break;
                case LIMIT_IO_READ_BANDWIDTH_MAX:
                case LIMIT_IO_WRITE_BANDWIDTH_MAX:
                        floor = LADDER_IO_BYTES_FLOOR;
                        break;
                case LIMIT_IO_READ_IOPS_MAX:
                case LIMIT_IO_WRITE_IOPS_MAX:
                        floor = LADDER_IO_OPS_FLOOR;
                        break;
                default:
                        fatal(w, p, "a limit that no lever has");
                }
                (void)limit_set_get(&p->io_base, e->knob, &beneath);
                if (e->value < MIN_OF(floor, beneath))
                        fatal(w, p, "held below its floor");
                if (e->value > beneath && a->kind == ACT_THROTTLE)
                        fatal(w, p, "looser than without us");
        }
}

static bool may_blame(const World *w, const WorldParty *p, const Verdict *v) {
        for (unsigned i = 0; i < v->n_victims; i++) {
                const WorldParty *victim = &w->parties[w->of_scene[v->victims[i].party]];

                if (v->victims[i].class != HARM_EXTERNAL)
                        fatal(w, victim, "no victim");
                if (victim->kind != PARTY_CONTAINER || victim->settings.priority >= p->settings.priority ||
                    v->n_victims_all > v->n_victims)
                        return true;
        }
        return v->n_victims == 0;
}

static void check_verdict(World *w, const Verdict *v) {
        const Act *a = &v->act;
        WorldParty *p;
        Mode mode;

        if (v->culprit == NO_PARTY) {
                if (a->kind != ACT_NOTIFY && a->kind != ACT_ALARM)
                        fatal(w, NULL, "an act on nobody");
                w->n_nobody[a->why]++;
                return;
        }
        p = &w->parties[w->of_scene[v->culprit]];
        mode = MIN_OF(p->settings.mode, w->rules.mode);
        p->n_acts[a->kind] += !a->would;
        p->n_would += a->would;
        if (p->kind != PARTY_CONTAINER)
                fatal(w, p, "not a container");
        if (a->kind == ACT_NOTIFY || a->kind == ACT_ALARM)
                return;
        if (a->would) {
                if (mode >= MODE_ENFORCE)
                        fatal(w, p, "only would");
                return;
        }
        w->n_writes++;
        if (a->kind == ACT_RELEASE || a->kind == ACT_RELAX || a->kind == ACT_THAW) {
                if (!world_leased(p) && !is_frozen(w, p))
                        fatal(w, p, "nothing to give back");
                if (a->kind == ACT_RELAX)
                        check_values(w, p, a);
                return;
        }
        if (w->paused || p->held || p->protected_why || mode < MODE_THROTTLE)
                fatal(w, p, "out of reach");
        if (!may_blame(w, p, v))
                fatal(w, p, "its priority is higher than that of every victim");
        if (a->kind == ACT_THROTTLE)
                check_values(w, p, a);
        if (a->kind == ACT_FREEZE && (a->span > LADDER_PULSE || !(p->settings.throttle & THROTTLE_FREEZE)))
                fatal(w, p, "frozen for too long, or at all");
        if (a->kind == ACT_STOP || a->kind == ACT_KILL) {
                if (mode < MODE_ENFORCE || p->settings.kill == KILL_NEVER)
                        fatal(w, p, "killed");
                if (a->kind == ACT_STOP || p->n_acts[ACT_STOP] == 0 || !p->memory.kill_spent)
                        note_kill(w, p);
        }
}

/* What is done. */

static int do_act(World *w, WorldParty *p, const Act *a) {
        if ((int)a->lever == w->refuse_lever)
                return -EOPNOTSUPP;
        switch (a->kind) {
        case ACT_THROTTLE:
        case ACT_RELAX:
                memcpy(p->lease[a->lever], a->values, sizeof(a->values));
                p->n_lease[a->lever] = a->n;
                break;
        case ACT_RELEASE:
                p->n_lease[a->lever] = 0;
                break;
        case ACT_FREEZE:
                p->frozen_until = w->now + a->span;
                break;
        case ACT_THAW:
                p->frozen_until = 0;
                break;
        case ACT_STOP:
                if (!p->ignores_stop)
                        p->dies_at = w->now + 2 * USEC_PER_SEC;
                break;
        case ACT_KILL:
                if (!p->outlives_kill)
                        p->dies_at = w->now + USEC_PER_SEC / 4;
                break;
        default:
                break;
        }
        force_io(p);
        return 0;
}

static void print_verdict(const World *w, const Verdict *v) {
        const Act *a = &v->act;

        printf("%5llu s  %s%s %s %s, %s, %s%s", (unsigned long long)((w->now - WORLD_START) / USEC_PER_SEC),
               a->would ? "would " : "", act_kind_to_string(a->kind),
               v->culprit == NO_PARTY ? "nobody" : w->parties[w->of_scene[v->culprit]].name,
               resource_to_string(a->resource), lever_to_string(a->lever), act_why_to_string(a->why),
               v->culprit == NO_PARTY ? blame_why_to_string(v->blame.outcome) : "");
        for (unsigned i = 0; i < a->n; i++)
                printf(" %s=%llu", limit_info(a->values[i].knob.limit)->key,
                       (unsigned long long)a->values[i].value);
        for (unsigned i = 0; i < v->n_victims; i++)
                printf(" (%s %u%s)", w->parties[w->of_scene[v->victims[i].party]].name, v->victims[i].share,
                       v->victims[i].urgent ? "!" : "");
        printf("\n");
}

static uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * UINT64_C(0x100000001b3) ^ (h >> 31); }

/* A sum, so that the order within a step does not matter. */
static uint64_t digest_of(const World *w, const Verdict *v) {
        uint64_t h = mix(w->now, (uint64_t)v->act.kind);

        h = mix(h, v->culprit == NO_PARTY ? 0 : w->parties[w->of_scene[v->culprit]].id);
        h = mix(h, (uint64_t)v->act.why);
        h = mix(h, (uint64_t)v->act.resource);
        for (unsigned i = 0; i < v->act.n; i++)
                h = mix(h, v->act.values[i].value);
        return h;
}

static TenantBudget tenant_budget(void *user, const Party *p) {
        World *w = user;

        (void)p;
        return (TenantBudget){ .budget = &w->budget, .max = w->tenant_budget, .window = 3600 * USEC_PER_SEC };
}

static void judge_world(World *w) {
        const JudgeOps ops = { .budget = tenant_budget, .user = w };
        Scene scene = { .now = w->now,
                        .parties = w->scene_parties,
                        .n = order_of_scene(w),
                        .n_cpus = w->n_cpus,
                        .memory_bytes = w->memory,
                        .swap_bytes = w->swap,
                        .pid_max = w->pid_max,
                        .host_tasks = (uint64_t)tasks_of_host(w),
                        .rules = w->rules,
                        .paused = w->paused };

        for (uint32_t i = 0; i < scene.n; i++) {
                show_party(w, scene.n, i);
                scene.n_containers += w->scene_parties[i].kind == PARTY_CONTAINER;
        }
        w->n_verdicts = judge_step(w->judge, &ops, &scene, w->verdicts);
        for (uint32_t i = 0; i < scene.n; i++) {
                WorldParty *p = &w->parties[w->of_scene[i]];

                p->hit_high = p->hit_max = false;
                p->looked = true;
                for (int r = 0; r < _RESOURCE_MAX; r++)
                        w->n_external += p->memory.harm[r].class == HARM_EXTERNAL;
        }
        for (unsigned i = 0; i < w->n_verdicts; i++) {
                const Verdict *v = &w->verdicts[i];

                if (w->loud)
                        print_verdict(w, v);
                check_verdict(w, v);
                w->digest += digest_of(w, v);
                if (v->culprit == NO_PARTY || v->act.would || v->act.kind == ACT_NOTIFY ||
                    v->act.kind == ACT_ALARM)
                        continue;
                judge_acted(w->judge, &ops, &w->scene_parties[v->culprit], &v->act,
                            do_act(w, &w->parties[w->of_scene[v->culprit]], &v->act), w->now);
        }
}

void world_run(World *w, unsigned seconds) {
        for (; seconds > 0; seconds--) {
                for (uint32_t i = 0; i < w->n; i++) {
                        WorldParty *p = &w->parties[i];

                        p->cpu_wanted = p->cpu_given = p->ops_wanted = p->ops_given = 0;
                        force_io(p);
                }
                for (unsigned k = 0; k < USEC_PER_SEC / TICK; k++)
                        tick(w);
                look_at_host(w);
                for (uint32_t i = 1; i < w->n; i++)
                        if (w->parties[i].alive)
                                look_at_party(w, &w->parties[i]);
                judge_world(w);
        }
}
