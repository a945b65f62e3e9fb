/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whole episodes: timed demands in, acts out, minutes of pressure in milliseconds. What the world is made of, and the
 * promises that each step is held to beside what is asked for here, is in world.c.
 */

#include "scenekit.h"
#include "world.h"

static const Demand quiet = { .cpus = 0.2, .threads = 2, .memory = 100 * M, .tasks = 10 };

static uint32_t add(World *w, const char *name, Demand base) {
        uint32_t i = world_add(w, 0, PARTY_CONTAINER, name);

        w->parties[i].base = base;
        return i;
}

static double cpu_part(const WorldParty *p) { return p->cpu_wanted > 0 ? p->cpu_given / p->cpu_wanted : 1; }
static double ops_part(const WorldParty *p) { return p->ops_wanted > 0 ? p->ops_given / p->ops_wanted : 1; }

/* Seconds in which the victim got four fifths of what it wanted of CPUs and disk. */
static unsigned good_seconds(World *w, uint32_t victim, unsigned seconds) {
        unsigned n = 0;

        for (; seconds > 0; seconds--) {
                world_run(w, 1);
                n += cpu_part(&w->parties[victim]) > 0.8 && ops_part(&w->parties[victim]) > 0.8;
        }
        return n;
}

/* Seconds until nothing of ours stands any more. */
static unsigned until_released(World *w, unsigned most) {
        unsigned s = 0;

        while (world_n_leased(w) > 0 && s < most) {
                world_run(w, 1);
                s++;
        }
        return s;
}

static void explain(const World *w, uint32_t i, Resource r, const char *words) {
        _cleanup_buf_ Buf out = BUF_INIT;

        judge_explain(&w->parties[i].memory, r, w->parties[i].name, &out);
        assert_int_equal(buf_error(&out), 0);
        if (!strstr(buf_str(&out), words))
                fail_msg("\"%s\" does not say \"%s\"", buf_str(&out), words);
}

/* Two hogs of the same weight leave a victim less than its guarantee. */
static World *cpu_world(uint32_t *ret_web, uint32_t hogs[static 2], usec_t until) {
        World *w = world_new(4, 8 * G, 0);

        *ret_web = add(w, "web", (Demand){ .cpus = 1.8, .threads = 2, .memory = 200 * M });
        w->parties[*ret_web].settings.cpu_guarantee = 2 * S;
        for (unsigned i = 0; i < 2; i++) {
                hogs[i] = add(w, i ? "hog-b" : "hog-a", (Demand){});
                w->parties[hogs[i]].noise =
                        (Demand){ .from = 20 * S, .until = until, .cpus = 8, .threads = 8 };
        }
        for (unsigned i = 0; i < 4; i++)
                (void)add(w, "quiet", quiet);
        return w;
}

static void test_cpu(void **state) {
        uint32_t web, hogs[2];
        _cleanup_world_ World *w = cpu_world(&web, hogs, 120 * S);

        (void)state;
        world_run(w, 20);
        assert_int_equal(w->n_external + world_n_hard(w), 0);
        world_run(w, 3);
        assert_true(cpu_part(&w->parties[web]) < 0.75);
        world_run(w, 7);
        assert_true(cpu_part(&w->parties[web]) > 0.8);
        explain(w, web, RESOURCE_CPU, "because of others");
        explain(w, hogs[0], RESOURCE_CPU, "is held back");
        world_run(w, 89); /* in the last second the hogs end in its middle */
        assert_true(cpu_part(&w->parties[web]) > 0.8);
        /* Nobody else is held back, nobody dies, and nobody is pushed below what it is entitled to. */
        assert_int_equal(world_n_leased(w), 2);
        assert_true(w->parties[hogs[0]].cpu_given > 0.5);
        world_run(w, 1);
        assert_in_range(until_released(w, 100), 5, 60);
        assert_int_equal(w->n_kills, 0);
}

static Demand fsyncs(void) {
        return (Demand){ .cpus = 0.3,
                         .threads = 2,
                         .memory = 200 * M,
                         .ops = 120,
                         .op_bytes = 8192,
                         .depth = 1,
                         .writes = true };
}

/* A working set of pages that are read over and over, and whoever takes the memory that it lives in. */
static World *memory_world(uint64_t swap, uint32_t *ret_db, uint32_t *ret_hog) {
        World *w = world_new(4, 8 * G, swap);

        *ret_db = add(w, "db",
                      (Demand){ .cpus = 0.5, .threads = 8, .memory = G, .cache = 4 * G, .touches = 40000 });
        *ret_hog = add(w, "hog", quiet);
        (void)add(w, "other", quiet);
        w->parties[*ret_hog].settings.kill = KILL_LAST;
        w->parties[*ret_hog].noise = (Demand){
                .from = 120 * S, .cpus = 1, .threads = 1, .memory = 60 * G, .memory_rate = 100 * M
        };
        return w;
}

static void test_memory(void **state) {
        uint32_t db, hog, log;
        _cleanup_world_ World *w = memory_world(0, &db, &hog);

        (void)state;
        log = add(w, "log", fsyncs());
        w->parties[log].base.from = 120 * S; /* the working set was read by then */
        world_run(w, 120);
        assert_int_equal(world_n_hard(w), 0);
        for (unsigned i = 0; i < 120 && w->parties[hog].n_deaths == 0; i++)
                world_run(w, 1);
        /* The working set is read back from the disk, which hurts others: that is not its idea. */
        assert_true(w->n_nobody[ACT_WHY_HARM] > 0);
        assert_int_equal(w->parties[db].n_acts[ACT_THROTTLE], 0);
        /* Squeezed first; that frees nothing where there is no swap, so in the end it dies, and it alone. */
        assert_true(w->parties[hog].n_acts[ACT_THROTTLE] > 0);
        assert_int_equal(w->n_kills, 1);
        assert_int_equal(w->parties[hog].n_deaths, 1);
        assert_int_equal(w->n_oom, 0);
        assert_int_equal(world_n_leased(w), 0);
        world_run(w, 120);
        assert_true(w->parties[db].cached > 3.9 * (double)G);
        assert_int_equal(w->parties[db].memory.harm[RESOURCE_MEMORY].class, HARM_NONE);
}

static void test_memory_swap(void **state) {
        uint32_t db, hog;
        _cleanup_world_ World *w = memory_world(4 * G, &db, &hog);

        (void)state;
        for (unsigned i = 0; i < 360; i++) {
                world_run(w, 1);
                /* At a ceiling of ours it does not thrash at its own. */
                for (unsigned k = 0; k < w->n_verdicts; k++)
                        assert_int_not_equal(w->verdicts[k].act.why, ACT_WHY_THRASH);
        }
        assert_true(w->parties[hog].n_acts[ACT_THROTTLE] > 0);
        assert_int_equal(w->n_oom, 0);
        assert_int_equal(w->parties[db].n_deaths, 0);
}

/* One took most of what there was, and rests; another takes a little more each second: the first is to blame when it runs out.
 * Who has had more than either for long is not. */
static void test_took_it(void **state) {
        _cleanup_world_ World *w = world_new(4, 16 * G, 2 * G);
        uint32_t db = add(w, "db", (Demand){ .cpus = 0.5, .cache = 2 * G, .touches = 20000 });
        uint32_t old = add(w, "old", (Demand){ .cpus = 0.2, .memory = 7 * G });
        uint32_t fast = add(w, "fast", (Demand){});
        uint32_t slow = add(w, "slow", (Demand){});

        (void)state;
        w->parties[fast].noise =
                (Demand){ .from = 120 * S, .cpus = 0.5, .memory = 5 * G, .memory_rate = 100 * M };
        w->parties[slow].noise =
                (Demand){ .from = 125 * S, .cpus = 0.5, .memory = 60 * G, .memory_rate = 20 * M };
        world_run(w, 120);
        assert_int_equal(world_n_hard(w), 0);
        for (unsigned i = 0; i < 120 && world_n_leased(w) == 0; i++)
                world_run(w, 1);
        assert_int_equal(w->parties[fast].anon + w->parties[fast].swapped >= 4.9 * (double)G, 1);
        assert_true(world_leased(&w->parties[fast]));
        assert_false(world_leased(&w->parties[slow]));
        world_run(w, 60);
        assert_int_equal(w->parties[old].n_acts[ACT_THROTTLE], 0);
        assert_int_equal(w->parties[db].n_acts[ACT_THROTTLE], 0);
}

/* It does not end when asked: killed after its grace, and that is one kill to all budgets. */
static void test_stop(void **state) {
        uint32_t db, hog;
        _cleanup_world_ World *w = memory_world(0, &db, &hog);
        WorldParty *p = &w->parties[hog];
        usec_t asked;

        (void)state;
        p->noise.memory_rate = 200 * M;
        p->ignores_stop = true;
        w->tenant_budget = 2;
        for (unsigned i = 0; i < 300 && p->n_acts[ACT_STOP] == 0; i++)
                world_run(w, 1);
        assert_int_equal(p->n_acts[ACT_STOP], 1);
        assert_int_equal(p->n_acts[ACT_KILL], 0);
        asked = w->now;
        for (unsigned i = 0; i < 60 && p->n_deaths == 0; i++)
                world_run(w, 1);
        assert_int_equal(p->n_acts[ACT_KILL], 1);
        assert_in_range(w->now - asked, p->settings.kill_grace, p->settings.kill_grace + 3 * S);
        assert_int_equal(w->n_kills, 1);
        assert_int_equal(p->memory.n_kills, 1);
        assert_int_equal(budget_left(&w->budget, 2, w->rules.kill_window, w->now), 1);
        assert_int_equal(budget_left(&w->judge->brakes.host, 4, w->rules.kill_window, w->now), 3);
}

/* What cannot die yet (it waits for a disk) is killed again and again: one kill to all budgets, even if that one was the last. */
static void test_kill_again(void **state) {
        for (unsigned grace = 0; grace < 2; grace++) {
                uint32_t db, hog;
                _cleanup_world_ World *w = memory_world(0, &db, &hog);
                WorldParty *p = &w->parties[hog];
                unsigned alarms;

                w->rules.kill_budget = w->tenant_budget = 1;
                p->noise.memory_rate = 200 * M;
                p->ignores_stop = p->outlives_kill = true;
                if (grace == 0)
                        p->settings.kill_grace = 0;
                for (unsigned i = 0; i < 300 && p->n_acts[ACT_KILL] == 0; i++)
                        world_run(w, 1);
                assert_int_equal(p->n_acts[ACT_STOP] > 0, grace > 0);
                alarms = p->n_acts[ACT_ALARM];
                world_run(w, 40);
                assert_in_range(p->n_acts[ACT_KILL], 2, 3);
                assert_int_equal(p->n_acts[ACT_ALARM], alarms);
                assert_int_equal(w->n_kills, 1);
                assert_int_equal(p->memory.n_kills, 1);
                assert_int_equal(w->judge->brakes.host.n, 1);
                assert_int_equal(w->budget.n, 1);
                /* In a storm that ends, too. */
                w->judge->brakes.storm_until = USEC_INFINITY;
                world_run(w, 40);
                assert_in_range(p->n_acts[ACT_KILL], 2, 3);
                assert_int_equal(p->n_deaths, 0);
        }
        (void)state;
}

/* An earlier guard's kills: no more than what they left; the one that is not gone yet goes on to be killed. */
static void test_kills_before(void **state) {
        for (unsigned same = 0; same < 2; same++) {
                uint32_t db, hog;
                _cleanup_world_ World *w = memory_world(0, &db, &hog);
                WorldParty *p = &w->parties[hog];

                p->noise.memory_rate = 200 * M;
                w->rules.kill_budget = 1;
                world_run(w, 100);
                w->killed_id = same ? p->id : 4711;
                brakes_killed(&w->judge->brakes, &w->budget, w->killed_id, w->now);
                world_run(w, 120);
                assert_int_equal(p->n_acts[ACT_STOP] + p->n_acts[ACT_KILL] > 0, same);
                assert_int_equal(p->n_acts[ACT_ALARM] > 0, !same);
                assert_int_equal(p->n_deaths > 0, same);
                assert_int_equal(w->budget.n, 1);
        }
        (void)state;
}

/* Two are at the end of their ladders at the same moment: one goes first. */
static void test_one_kill(void **state) {
        uint32_t db, hog, bomb;
        _cleanup_world_ World *w = memory_world(0, &db, &hog);

        (void)state;
        w->parties[hog].noise.memory_rate = 200 * M;
        bomb = add(w, "bomb", quiet);
        w->parties[bomb].settings.kill = KILL_LAST;
        w->parties[bomb].noise = (Demand){ .from = 100 * S, .tasks = 1e6, .forks = 2000 };
        w->rules.max_throttled = 10000;
        for (unsigned i = 0; i < 300 && !(w->parties[hog].memory.ladders[RESOURCE_MEMORY].harm_at == w->now &&
                                          w->parties[bomb].memory.ladders[RESOURCE_PIDS].harm_at == w->now);
             i++)
                world_run(w, 1);
        for (unsigned i = 0; i < 2; i++) {
                Ladder *l = i ? &w->parties[hog].memory.ladders[RESOURCE_MEMORY]
                              : &w->parties[bomb].memory.ladders[RESOURCE_PIDS];

                for (int lever = 0; lever <= LEVER_PIDS; lever++)
                        l->levers[lever].failed = true;
                l->exhausted_at = l->step_at = 1;
        }
        world_run(w, 1);
        assert_int_equal(w->n_kills, 1);
        world_run(w, 60);
        assert_int_equal(w->n_kills, 2);
}

/* Kill=never: it cannot be made to give back what it has, but it does not get more. */
static void test_memory_never(void **state) {
        uint32_t db, hog;
        _cleanup_world_ World *w = memory_world(0, &db, &hog);

        (void)state;
        w->parties[hog].settings.kill = KILL_NEVER;
        world_run(w, 300);
        assert_int_equal(w->n_oom + w->n_kills, 0);
        assert_true(w->parties[hog].n_acts[ACT_ALARM] > 0);
        assert_int_equal(w->parties[db].n_acts[ACT_THROTTLE], 0);
}

static void test_io(void **state) {
        _cleanup_world_ World *w = world_new(4, 8 * G, 0);
        uint32_t db = add(w, "db", fsyncs()), hog = add(w, "hog", quiet);

        (void)state;
        w->parties[hog].noise = (Demand){ .from = 20 * S,
                                          .until = 140 * S,
                                          .ops = 5000,
                                          .op_bytes = 65536,
                                          .depth = 64,
                                          .writes = true,
                                          .cpus = 0.2,
                                          .threads = 4 };
        world_run(w, 20);
        assert_int_equal(world_n_hard(w), 0);
        world_run(w, 1);
        assert_true(ops_part(&w->parties[db]) < 0.5);
        world_run(w, 9);
        assert_true(ops_part(&w->parties[db]) > 0.8);
        /* It is let go now and then, to see whether it still hurts, and each time later. */
        assert_in_range(good_seconds(w, db, 110), 85, 110);
        assert_in_range(until_released(w, 100), 1, 60);
        assert_int_equal(w->n_kills, 0);
        assert_int_equal(w->parties[db].n_acts[ACT_THROTTLE], 0);
}

static void test_forks(void **state) {
        _cleanup_world_ World *w = world_new(4, 8 * G, 0);
        uint32_t web = add(w, "web", quiet), bomb = add(w, "bomb", quiet);

        (void)state;
        w->parties[bomb].settings.kill = KILL_LAST;
        w->parties[bomb].noise = (Demand){ .from = 20 * S, .tasks = 1e6, .forks = 2000 };
        world_run(w, 45);
        /* There are no more of them from then on, and the host can fork. */
        assert_int_equal(w->parties[bomb].n_acts[ACT_THROTTLE] > 0, 1);
        assert_true(w->parties[bomb].tasks < 0.9 * (double)w->pid_max);
        world_run(w, 75);
        assert_true(w->parties[bomb].tasks < 0.9 * (double)w->pid_max);
        assert_int_equal(w->parties[bomb].n_deaths, 1);
        assert_int_equal(world_n_hard(w), w->parties[bomb].n_acts[ACT_THROTTLE] +
                                                  w->parties[bomb].n_acts[ACT_STOP] +
                                                  w->parties[bomb].n_acts[ACT_KILL]);
        assert_int_equal(w->parties[web].n_deaths, 0);
}

/* One that takes all tasks in two seconds: it is held before there are none, and no more than that as long as there is room. */
static void test_forks_fast(void **state) {
        _cleanup_world_ World *w = world_new(4, 8 * G, 0);
        uint32_t web = add(w, "web", quiet), bomb = add(w, "bomb", quiet);

        (void)state;
        w->pid_max = 32768;
        w->parties[bomb].settings.kill = KILL_PREFER;
        w->parties[bomb].noise =
                (Demand){ .from = 20 * S + S / 5, .until = 90 * S, .tasks = 1e6, .forks = 12000 };
        for (unsigned i = 0; i < 89; i++) {
                world_run(w, 1);
                assert_int_equal(world_n_leased(w), i < 21 ? 0 : 1);
                assert_true(w->parties[bomb].tasks + w->parties[web].tasks < 0.9 * (double)w->pid_max);
        }
        assert_int_equal(w->parties[bomb].n_acts[ACT_THROTTLE], 1);
        assert_int_equal(world_n_hard(w), 1);
        assert_in_range(until_released(w, 60), 1, 40);
}

/* Thousands of hits of its own limit, pages read again and again, no OOM kill, and the disk is everybody's. */
static void test_thrash(void **state) {
        _cleanup_world_ World *w = world_new(8, 64 * G, 0);
        uint32_t lxc = add(w, "lxc", (Demand){ .cpus = 1, .threads = 8, .memory = 1 * G });
        uint32_t db = add(w, "db", fsyncs());
        unsigned told = 0;

        (void)state;
        w->parties[lxc].settings.kill = KILL_LAST;
        w->parties[lxc].limits.memory_max = 4 * G;
        w->parties[lxc].noise =
                (Demand){ .from = 60 * S, .until = 360 * S, .cache = 6 * G, .touches = 200000 };
        world_run(w, 60);
        assert_int_equal(world_n_hard(w), 0);
        for (unsigned i = 0; i < 100; i++) {
                world_run(w, 1);
                for (unsigned k = 0; k < w->n_verdicts; k++)
                        told += w->verdicts[k].act.kind == ACT_NOTIFY &&
                                w->verdicts[k].act.why == ACT_WHY_THRASH;
        }
        assert_int_equal(told, 1);
        /* Its reads are held back, not its memory, and it lives. */
        assert_true(w->parties[lxc].n_acts[ACT_THROTTLE] > 0);
        assert_in_range(good_seconds(w, db, 200), 150, 200);
        assert_int_equal(w->n_kills + w->n_oom, 0);
        assert_int_equal(w->parties[db].n_acts[ACT_THROTTLE], 0);
        assert_in_range(until_released(w, 100), 0, 60);
}

/* Those whose waiting is nobody's fault, or out of reach: told at most. */

static void alone(World *w) { (void)add(w, "it", (Demand){ .cpus = 8, .threads = 8, .memory = G }); }

static void own_quota(World *w) {
        w->parties[add(w, "it", (Demand){ .cpus = 2, .threads = 4 })].limits.cpu_quota = 300000;
        (void)add(w, "batch", (Demand){ .cpus = 8, .threads = 8 });
}

static void group_quota(World *w) {
        uint32_t slice = world_add(w, 0, PARTY_GROUP, "slice");

        w->parties[slice].limits.cpu_quota = 500000;
        for (unsigned i = 0; i < 2; i++)
                w->parties[world_add(w, slice, PARTY_CONTAINER, i ? "sibling" : "it")].base =
                        (Demand){ .cpus = 1, .threads = 2 };
        (void)add(w, "batch", (Demand){ .cpus = 8, .threads = 8 });
}

static void build(World *w) {
        (void)add(w, "it", (Demand){ .cpus = 64, .threads = 64, .memory = G, .tasks = 200 });
        for (unsigned i = 0; i < 3; i++)
                (void)add(w, "small", quiet);
}

static void fsync_alone(World *w) {
        (void)add(w, "it",
                  (Demand){ .cpus = 0.2,
                            .threads = 2,
                            .ops = 5000,
                            .op_bytes = 4096,
                            .depth = 4,
                            .writes = true });
        (void)add(w, "small", quiet);
}

static void own_io_max(World *w) {
        WorldParty *p = &w->parties[add(w, "it", fsyncs())];

        assert_int_equal(
                limit_set_put(&p->io_base, (LimitKnob){ LIMIT_IO_WRITE_IOPS_MAX, WORLD_DISK }, 40, 0), 0);
        (void)add(w, "batch", (Demand){ .ops = 400, .op_bytes = 65536, .depth = 4 });
}

static void own_memory_max(World *w) {
        w->parties[add(w, "it", (Demand){ .cpus = 0.5, .threads = 4, .cache = 2 * G, .touches = 5000 })]
                .limits.memory_max = G;
        (void)add(w, "small", quiet);
}

static void backup(World *w) {
        (void)add(w, "it", fsyncs());
        w->parties[world_add(w, 0, PARTY_SERVICE, "backup.service")].base =
                (Demand){ .ops = 5000, .op_bytes = 65536, .depth = 64 };
        /* A container does a good deal, too, but nobody stands in. */
        (void)add(w, "batch", (Demand){ .ops = 5000, .op_bytes = 65536, .depth = 24 });
}

static void priority(World *w) {
        (void)add(w, "it", fsyncs());
        w->parties[add(w, "vip", (Demand){ .ops = 5000, .op_bytes = 65536, .depth = 64 })].settings.priority =
                200;
        (void)add(w, "batch", (Demand){ .ops = 5000, .op_bytes = 65536, .depth = 24 });
}

static void protection(World *w) {
        (void)add(w, "it", fsyncs());
        w->parties[add(w, "dns", (Demand){ .ops = 5000, .op_bytes = 65536, .depth = 64 })].protected_why =
                "Protect=";
}

static void start_up(World *w) {
        uint32_t i = add(w, "it", fsyncs());

        w->parties[i].since = w->now;
        w->parties[i].settings.startup_grace = 600 * S;
        (void)add(w, "hog", (Demand){ .ops = 5000, .op_bytes = 65536, .depth = 64 });
}

static void test_innocent(void **state) {
        static const struct {
                const char *name;
                void (*make)(World *w);
                Resource resource;
                const char *words;
                int why; /* that nobody is held back; -1: nothing is told */
        } rows[] = {
                { "alone", alone, RESOURCE_CPU, "by its own doing", -1 },
                { "own quota", own_quota, RESOURCE_CPU, "its own CPU quota", -1 },
                { "group's quota", group_quota, RESOURCE_CPU, "a group above it", -1 },
                { "parallel build", build, RESOURCE_CPU, "by its own doing", -1 },
                { "fsyncs alone", fsync_alone, RESOURCE_IO, "by its own doing", -1 },
                { "own io.max", own_io_max, RESOURCE_IO, "an IO limit of its own", -1 },
                { "own memory.max", own_memory_max, RESOURCE_MEMORY, "its own memory limit", -1 },
                { "backup", backup, RESOURCE_IO, "the host's own work", ACT_WHY_OUT_OF_REACH },
                { "priority", priority, RESOURCE_IO, "its priority is above", ACT_WHY_PRIORITY },
                { "protected", protection, RESOURCE_IO, "Protect=", ACT_WHY_OUT_OF_REACH },
                { "start-up", start_up, RESOURCE_IO, "only just started", -1 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_world_ World *w = world_new(4, 8 * G, 0);
                uint32_t it = 1;

                rows[i].make(w);
                while (!STR_EQ(w->parties[it].name, "it"))
                        it++;
                world_run(w, 181);
                if (world_n_hard(w) > 0 || w->n_writes > 0)
                        fail_msg("%s: %u acts", rows[i].name, world_n_hard(w));
                explain(w, it, rows[i].resource, rows[i].words);
                for (int why = 0; why < _ACT_WHY_MAX; why++) {
                        unsigned n = w->n_nobody[why];

                        if (why == ACT_WHY_MIXED)
                                continue;
                        /* Said again each minute. */
                        if (why == rows[i].why ? n < 3 || n > 4 : n > 0)
                                fail_msg("%s: %s was said %u times", rows[i].name,
                                         act_why_to_string((ActWhy)why), n);
                }
        }
}

/* Noise that comes and goes does not make the guard do so as well. */
static void test_on_off(void **state) {
        uint32_t web, hogs[2];
        _cleanup_world_ World *w = cpu_world(&web, hogs, 3600 * S);
        unsigned writes;

        (void)state;
        for (unsigned i = 0; i < 2; i++) {
                w->parties[hogs[i]].noise.on = 7 * S;
                w->parties[hogs[i]].noise.off = 7 * S;
        }
        world_run(w, 600);
        writes = w->n_writes;
        assert_in_range(writes, 2, 60);
        assert_true(good_seconds(w, web, 3000) > 2400);
        assert_in_range(w->n_writes - writes, 0, 300);
        assert_in_range(until_released(w, 100), 0, 60);
        assert_int_equal(w->n_kills, 0);
}

static void test_ten_hogs(void **state) {
        _cleanup_world_ World *w = world_new(4, 8 * G, 0);
        uint32_t web = add(w, "web", (Demand){ .cpus = 3.2, .threads = 4 });
        static const char *const names[] = { "h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9" };
        unsigned n_first = 0;

        (void)state;
        w->rules.max_throttled = 10000;
        w->parties[web].settings.cpu_guarantee = 3300000;
        for (unsigned i = 0; i < 10; i++) {
                uint32_t h = add(w, names[i], (Demand){});

                w->parties[h].noise = (Demand){ .from = 20 * S, .until = 200 * S, .cpus = 4, .threads = 4 };
                w->parties[h].limits.cpu_weight = i == 7 ? 150 : 100;
        }
        while (world_n_leased(w) == 0)
                world_run(w, 1);
        /* The worst one first, and the others do not wait for long. */
        assert_int_equal(world_n_leased(w), 1);
        assert_true(world_leased(&w->parties[web + 1 + 7]));
        for (; world_n_leased(w) < 10 && n_first < 60 && cpu_part(&w->parties[web]) < 0.8; n_first++)
                world_run(w, 1);
        assert_in_range(n_first, 1, 30);
        world_run(w, 30);
        assert_true(cpu_part(&w->parties[web]) > 0.8);
        assert_int_equal(w->n_kills, 0);
}

/* Ten that eat memory, and die of it one by one: only so many, and none in a storm. */
static void test_storm(void **state) {
        _cleanup_world_ World *w = world_new(4, 8 * G, 0);
        uint32_t db =
                add(w, "db",
                    (Demand){ .cpus = 0.5, .threads = 8, .memory = G, .cache = 2 * G, .touches = 20000 });
        static const char *const names[] = { "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9" };
        unsigned alarms = 0;

        (void)state;
        w->rules.max_throttled = 10000;
        w->rules.storm_permyriad = 1500;
        for (unsigned i = 0; i < 10; i++) {
                uint32_t h = add(w, names[i], quiet);

                w->parties[h].settings.kill = KILL_LAST;
                w->parties[h].restart_after = 5 * S;
                w->parties[h].noise =
                        (Demand){ .from = 100 * S, .memory = 6 * G, .memory_rate = (10 + i) * M };
        }
        for (unsigned i = 0; i < 300; i++) {
                world_run(w, 1);
                for (unsigned k = 0; k < w->n_verdicts; k++)
                        alarms +=
                                w->verdicts[k].culprit == NO_PARTY && w->verdicts[k].act.why == ACT_WHY_STORM;
        }
        assert_in_range(w->n_kills, 1, w->rules.kill_budget);
        assert_int_equal(w->parties[db].n_deaths, 0);
        assert_in_range(alarms, 1, 4);
}

static void test_observe(void **state) {
        uint32_t web, hogs[2];
        _cleanup_world_ World *w = cpu_world(&web, hogs, 120 * S);

        (void)state;
        w->rules.mode = MODE_OBSERVE;
        world_run(w, 300);
        assert_int_equal(w->n_writes, 0);
        assert_true(w->parties[hogs[0]].n_would + w->parties[hogs[1]].n_would > 0);
        assert_in_range(w->parties[hogs[0]].n_would, 0, 12);
}

/* Whom Mode=off takes out is no victim, and nobody is told about it. */
static void test_off(void **state) {
        for (unsigned i = 0; i < 2; i++) {
                uint32_t web, hogs[2];
                _cleanup_world_ World *w = cpu_world(&web, hogs, 120 * S);

                (void)state;
                if (i)
                        w->rules.mode = MODE_OFF;
                else
                        w->parties[web].settings.mode = MODE_OFF;
                world_run(w, 100);
                assert_int_equal(w->parties[web].memory.harm[RESOURCE_CPU].class, HARM_EXTERNAL);
                for (uint32_t k = 0; k < w->n; k++)
                        assert_int_equal(w->parties[k].n_would + w->parties[k].n_acts[ACT_NOTIFY], 0);
                for (int why = 0; why < _ACT_WHY_MAX; why++)
                        assert_int_equal(w->n_nobody[why], 0);
        }
}

/* What an operator, a policy or the end of a container does in the middle of it. */
static void test_interrupted(void **state) {
        uint32_t web, hogs[2];
        _cleanup_world_ World *w = cpu_world(&web, hogs, 600 * S);

        (void)state;
        world_run(w, 40);
        assert_int_equal(world_n_leased(w), 2);

        w->parties[hogs[0]].held = true;
        world_run(w, 1);
        assert_false(world_leased(&w->parties[hogs[0]]));
        world_run(w, 10);
        assert_false(world_leased(&w->parties[hogs[0]]));
        w->parties[hogs[0]].held = false;
        world_run(w, 30);
        assert_int_equal(world_n_leased(w), 2);

        memset(w->n_nobody, 0, sizeof(w->n_nobody));
        memset(w->judge->told_at, 0, sizeof(w->judge->told_at));
        w->paused = true;
        world_run(w, 1);
        assert_int_equal(world_n_leased(w), 0);
        world_run(w, 20);
        assert_int_equal(world_n_leased(w), 0);
        for (int why = 0; why < _ACT_WHY_MAX; why++)
                assert_int_equal(w->n_nobody[why], 0);
        explain(w, web, RESOURCE_CPU, "nobody is held back");
        w->paused = false;
        world_run(w, 20);
        assert_int_equal(world_n_leased(w), 2);

        w->rules.mode = MODE_CEILINGS;
        world_run(w, 1);
        assert_int_equal(world_n_leased(w), 0);
        w->rules.mode = MODE_ENFORCE;
        world_run(w, 20);
        assert_int_equal(world_n_leased(w), 2);

        /* The lever is taken out of Throttle=. */
        w->parties[hogs[1]].settings.throttle = THROTTLE_IO;
        world_run(w, 1);
        assert_false(world_leased(&w->parties[hogs[1]]));
        w->parties[hogs[1]].settings.throttle = THROTTLE_CPU;
        world_run(w, 20);
        assert_int_equal(world_n_leased(w), 2);
}

/* It ends, by itself or by us, and comes again under its name. */
static void test_restart(void **state) {
        uint32_t web, hogs[2];
        _cleanup_world_ World *w = cpu_world(&web, hogs, 600 * S);
        WorldParty *hog;
        unsigned told, seconds = 0;

        (void)state;
        world_run(w, 40);
        hog = &w->parties[hogs[0]];
        assert_true(world_leased(hog));
        hog->restart_after = 3 * S;
        hog->dies_at = w->now + S / 2;
        told = hog->n_acts[ACT_NOTIFY];
        world_run(w, 4);
        assert_int_equal(hog->n_deaths, 1);
        while (!world_leased(hog) && seconds < 30) {
                world_run(w, 1);
                seconds++;
        }
        /* At once: what it is, is known. */
        assert_in_range(seconds, 0, 15);
        assert_int_equal(hog->n_acts[ACT_NOTIFY], told);
        assert_int_equal(hog->memory.n_reborn, 1);
        world_run(w, 200);
        assert_int_equal(w->n_kills, 0);
}

static void test_restart_loop(void **state) {
        uint32_t db, hog;
        _cleanup_world_ World *w = memory_world(0, &db, &hog);

        (void)state;
        w->parties[hog].restart_after = 3 * S;
        w->parties[hog].noise.memory_rate = 200 * M;
        world_run(w, 900);
        assert_in_range(w->n_kills, 2, w->rules.kill_budget);
        assert_int_equal(w->parties[hog].memory.n_kills, w->n_kills);
        assert_int_equal(w->parties[hog].memory.n_reborn, w->parties[hog].n_deaths);
        assert_int_equal(w->parties[db].n_deaths, 0);
}

/* What the kernel refuses is not tried for ever. */
static void test_refused(void **state) {
        uint32_t web, hogs[2];
        _cleanup_world_ World *w = cpu_world(&web, hogs, 600 * S);

        (void)state;
        w->refuse_lever = LEVER_CPU;
        world_run(w, 300);
        assert_int_equal(world_n_leased(w), 0);
        assert_in_range(w->parties[hogs[0]].n_acts[ACT_THROTTLE], 0, 3);
}

static TenantBudget kit_budget(void *user, const Party *p) {
        (void)p;
        return (TenantBudget){ .budget = user, .max = UINT32_MAX, .window = 3600 * S };
}

static unsigned kit_step(Kit *k, Judge *j, Verdict verdicts[static VERDICTS_MAX]) {
        static Budget budget;
        const JudgeOps ops = { kit_budget, &budget };

        kit_tick(k, S);
        return judge_step(j, &ops, &k->scene, verdicts);
}

/* Partly its own quota, partly others: told once, the worst first, and nobody is touched. */
static void test_mixed(void **state) {
        static Verdict verdicts[VERDICTS_MAX];
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        _cleanup_(cleanup_judge_free) Judge *j = NULL;
        uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        unsigned told = 0;

        (void)state;
        assert_int_equal(judge_new(KIT_MAX, &j), 0);
        kit_cpu(k, hog, 3600000);
        kit_stall(k, hog, RESOURCE_CPU, 9000);
        for (unsigned i = 0; i < 6; i++) {
                uint32_t p = kit_add(k, KIT_HOST, PARTY_CONTAINER, "it");

                k->parties[p].id = 2000 - i; /* the later, the lower */
                k->settings[p].cpu_guarantee = S;
                k->parties[p].tenant = "it";
                k->parties[p].limits.cpu_quota = 2 * S;
                kit_cpu(k, p, 60000);
                kit_stall(k, p, RESOURCE_CPU, 6000);
                kit_throttled(k, p, 2000);
        }
        for (unsigned i = 0; i < 40; i++) {
                unsigned n = kit_step(k, j, verdicts);

                for (unsigned v = 0; v < n; v++) {
                        assert_int_equal(verdicts[v].act.kind, ACT_NOTIFY);
                        assert_int_equal(verdicts[v].act.why, ACT_WHY_MIXED);
                        assert_int_equal(verdicts[v].culprit, NO_PARTY);
                        assert_int_equal(verdicts[v].n_victims_all, 6);
                        assert_int_equal(verdicts[v].n_victims, VERDICT_VICTIMS_MAX);
                        for (unsigned h = 0; h < VERDICT_VICTIMS_MAX; h++)
                                assert_int_equal(verdicts[v].victims[h].id, 1995 + h);
                        told++;
                }
        }
        assert_int_equal(told, 1);
}

/*
 * Use that no cgroup explains is told once it is seen again, for its cgroup may only not have been looked at; where the next
 * look explains it, that is not told at all.
 */
static void test_unexplained(void **state) {
        static const struct { unsigned seconds, told; } rows[] = { { 1, 0 }, { 20, 1 } };

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
                static Verdict verdicts[VERDICTS_MAX];
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                _cleanup_(cleanup_judge_free) Judge *j = NULL;
                uint32_t p = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web");
                unsigned found = 0, told = 0;

                assert_int_equal(judge_new(KIT_MAX, &j), 0);
                k->settings[p].cpu_guarantee = 2 * S;
                kit_cpu(k, KIT_HOST, 3900000);
                kit_cpu(k, p, 100000);
                kit_stall(k, p, RESOURCE_CPU, 6000);
                for (unsigned i = 0; i < 60 && found < rows[row].seconds; i++) {
                        unsigned n = kit_step(k, j, verdicts);

                        found += k->parties[p].memory->harm[RESOURCE_CPU].class == HARM_EXTERNAL;
                        for (unsigned v = 0; v < n; v++)
                                told += verdicts[v].blame.outcome == BLAME_KERNEL;
                }
                assert_int_equal(found, rows[row].seconds);
                assert_int_equal(told, rows[row].told);
        }
}

/*
 * It hurts one of its own priority, and one of a lower one by the way. The first one is well again: for the other's sake it would
 * not have been held back, and is not now.
 */
static void test_for_whose_sake(void **state) {
        static Verdict verdicts[VERDICTS_MAX];
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        _cleanup_(cleanup_judge_free) Judge *j = NULL;
        uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        uint32_t equal = kit_add(k, KIT_HOST, PARTY_CONTAINER, "equal");
        uint32_t low = kit_add(k, KIT_HOST, PARTY_CONTAINER, "low");

        (void)state;
        assert_int_equal(judge_new(KIT_MAX, &j), 0);
        k->settings[hog].priority = k->settings[equal].priority = 200;
        kit_cpu(k, hog, 3600000);
        kit_cpu(k, equal, 200000);
        kit_cpu(k, low, 200000);
        kit_stall(k, hog, RESOURCE_CPU, 9000);
        kit_stall(k, equal, RESOURCE_CPU, 6000);
        kit_stall(k, low, RESOURCE_CPU, 8000);
        for (unsigned i = 0; i < 20; i++)
                (void)kit_step(k, j, verdicts);
        assert_true(judge_holds(&k->memories[hog]));
        assert_int_equal(k->memories[hog].n_victims[RESOURCE_CPU], 1);
        assert_int_equal(k->memories[hog].victims[RESOURCE_CPU][0], k->parties[equal].id);
        kit_stall(k, equal, RESOURCE_CPU, 0);
        for (unsigned i = 0; i < 60; i++)
                (void)kit_step(k, j, verdicts);
        assert_int_equal(k->memories[low].harm[RESOURCE_CPU].class, HARM_EXTERNAL);
        assert_false(judge_holds(&k->memories[hog]));
}

/* Who is held back takes too little to matter: that is no news, and `why` says that he is held back. */
static void test_held_already(void **state) {
        static const struct {
                LadderRung rung;
                unsigned told;
                const char *says;
        } rows[] = {
                { RUNG_NONE, 1, "but nobody is held back" },
                { RUNG_THROTTLE, 0, "whoever does it is being held back" },
        };

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
                static Verdict verdicts[VERDICTS_MAX];
                _cleanup_buf_ Buf said = BUF_INIT;
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                _cleanup_(cleanup_judge_free) Judge *j = NULL;
                uint32_t p = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web"),
                         hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                unsigned told = 0;

                assert_int_equal(judge_new(KIT_MAX, &j), 0);
                k->settings[p].cpu_guarantee = S;
                kit_cpu(k, p, 100000);
                kit_cpu(k, hog, 950000);
                for (unsigned i = 0; i < 3; i++)
                        kit_cpu(k, kit_add(k, KIT_HOST, PARTY_CONTAINER, "fair"), 950000);
                kit_stall(k, p, RESOURCE_CPU, 6000);
                for (unsigned i = 0; i < 30; i++) {
                        unsigned n;

                        k->parties[hog].memory->ladders[RESOURCE_CPU] = (Ladder){
                                .rung = rows[row].rung,
                                .levers[LEVER_CPU] = { .on = rows[row].rung == RUNG_THROTTLE,
                                                       .n = 1,
                                                       .values[0] = { .knob.limit = LIMIT_CPU_QUOTA,
                                                                      .value = S },
                                                       .begin[0] = 4 * S },
                                .since = k->scene.now,
                                .step_at = k->scene.now,
                                .harm_at = k->scene.now,
                        };
                        n = kit_step(k, j, verdicts);
                        for (unsigned v = 0; v < n; v++)
                                told += verdicts[v].act.kind == ACT_NOTIFY && verdicts[v].culprit == NO_PARTY;
                }
                assert_int_equal(told, rows[row].told);
                judge_explain(k->parties[p].memory, RESOURCE_CPU, "web", &said);
                assert_non_null(strstr(buf_str(&said), rows[row].says));
        }
}

static void test_quiet(void **state) {
        _cleanup_buf_ Buf said = BUF_INIT;

        (void)state;

        judge_explain_quiet("web", &said);
        assert_string_equal(
                buf_str(&said),
                "web is not hurt: it is quiet; it waits for CPUs, memory or IO less than 0.5 % of the "
                "time, and uses less than 1.0 % of a CPU.");
}

/* Who was asked to end, or killed, takes its time to be gone: for so long nobody else is held back for what it does, of any
 * resource. On paper nobody ends. */
static void test_ending(void **state) {
        static const struct {
                Resource resource;
                LadderRung rung;
                bool on_paper;
                unsigned since; /* seconds */
                bool spared;
        } rows[] = {
                { RESOURCE_CPU, RUNG_KILL, false, 1, true },
                { RESOURCE_CPU, RUNG_STOP, false, 1, true },
                { RESOURCE_MEMORY, RUNG_KILL, false, 1, true },
                { RESOURCE_CPU, RUNG_KILL, false, 31, false },
                { RESOURCE_MEMORY, RUNG_KILL, false, 31, false },
                { RESOURCE_CPU, RUNG_KILL, true, 1, false },
                { RESOURCE_CPU, RUNG_THROTTLE, false, 1, false },
        };

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
                static Verdict verdicts[VERDICTS_MAX];
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                _cleanup_(cleanup_judge_free) Judge *j = NULL;
                uint32_t web = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web"), hogs[2];
                unsigned others = 0;

                assert_int_equal(judge_new(KIT_MAX, &j), 0);
                k->settings[web].cpu_guarantee = 2 * S;
                kit_cpu(k, web, 100000);
                kit_stall(k, web, RESOURCE_CPU, 6000);
                for (unsigned i = 0; i < 2; i++) {
                        hogs[i] = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                        k->settings[hogs[i]].kill = KILL_LAST;
                        kit_cpu(k, hogs[i], i == 0 ? 2000000 : 1900000);
                        kit_stall(k, hogs[i], RESOURCE_CPU, 9000);
                }
                k->scene.rules.max_throttled = 10000;
                if (rows[row].on_paper)
                        k->scene.rules.mode = MODE_THROTTLE;
                for (unsigned i = 0; i < 15; i++) {
                        Ladder *l = &k->parties[hogs[0]].memory->ladders[rows[row].resource];
                        usec_t then = k->scene.now - rows[row].since * S;
                        unsigned n;

                        *l = (Ladder){
                                .rung = rows[row].rung,
                                .lever = LEVER_KILL,
                                .stopped = true,
                                .on_paper = rows[row].on_paper,
                                .ending_at = rows[row].on_paper ? 0 : then,
                                .since = then,
                                .step_at = k->scene.now, /* nothing is due */
                                .harm_at = then,
                                .exhausted_at = then,
                                .told_end = UINT32_MAX,
                        };
                        for (unsigned lever = 0; lever <= LEVER_PIDS; lever++)
                                l->levers[lever].failed = true;
                        n = kit_step(k, j, verdicts);
                        for (unsigned v = 0; v < n; v++)
                                others += verdicts[v].culprit == hogs[1] &&
                                          verdicts[v].act.kind == ACT_THROTTLE;
                }
                assert_int_equal(others == 0, rows[row].spared);
        }
}

/* Two disks, two victims, two culprits; as far as there is room for them. */
static void test_disks(void **state) {
        static const struct {
                unsigned max_throttled, found;
        } rows[] = {
                { 10000, 2 }, /* neither waits for the other */
                { 2500, 1 }, /* of four: one */
        };

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
                static Verdict verdicts[VERDICTS_MAX];
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                _cleanup_(cleanup_judge_free) Judge *j = NULL;
                uint32_t hogs[2];
                unsigned found = 0;

                assert_int_equal(judge_new(KIT_MAX, &j), 0);
                k->scene.rules.max_throttled = rows[row].max_throttled;
                for (unsigned i = 0; i < 2; i++) {
                        uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");

                        hogs[i] = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                        kit_io(k, db, KIT_DISK + i, (SampleDevice){ .wbytes = 500000, .wios = 50 });
                        kit_io(k, hogs[i], KIT_DISK + i, (SampleDevice){ .wbytes = 100000000, .wios = 2000 });
                        kit_stall(k, db, RESOURCE_IO, 8000);
                        kit_stall(k, hogs[i], RESOURCE_IO, 9000);
                        kit_busy(k, KIT_DISK + i, 10000);
                }
                for (unsigned s = 0; s < 20 && found == 0; s++) {
                        unsigned n = kit_step(k, j, verdicts);

                        for (unsigned v = 0; v < n; v++) {
                                const Act *a = &verdicts[v].act;

                                if (a->kind != ACT_THROTTLE)
                                        continue;
                                found++;
                                assert_int_equal(a->lever, LEVER_IO);
                                assert_int_equal(verdicts[v].n_victims_all, 1);
                                for (unsigned i = 0; i < a->n; i++)
                                        assert_int_equal(a->values[i].knob.dev,
                                                         KIT_DISK + (verdicts[v].culprit == hogs[1]));
                        }
                }
                assert_int_equal(found, rows[row].found);
        }
}

/* Whom we hold back waits for what that makes scarce, too. It is no victim of others for that. */
static void test_our_doing(void **state) {
        static const struct {
                Lever lever; /* that holds the one that waits for the disk; -1: none */
                bool victim;
        } rows[] = {
                { _LEVER_INVALID, true }, { LEVER_CPU, true }, { LEVER_PIDS, true },
                { LEVER_MEMORY, false },  { LEVER_IO, false },
        };

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
                static Verdict verdicts[VERDICTS_MAX];
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                _cleanup_(cleanup_judge_free) Judge *j = NULL;
                uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
                uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                unsigned n = 0;

                assert_int_equal(judge_new(KIT_MAX, &j), 0);
                kit_io(k, db, KIT_DISK, (SampleDevice){ .wbytes = 500000, .wios = 50 });
                kit_io(k, hog, KIT_DISK, (SampleDevice){ .wbytes = 100000000, .wios = 2000 });
                kit_stall(k, db, RESOURCE_IO, 8000);
                kit_stall(k, hog, RESOURCE_IO, 9000);
                kit_busy(k, KIT_DISK, 10000);
                if (rows[row].lever >= 0)
                        k->parties[db].leased[rows[row].lever] = true;
                for (unsigned s = 0; s < 20; s++)
                        n += kit_step(k, j, verdicts);
                if ((n > 0) != rows[row].victim)
                        fail_msg("row %zu: %u verdicts", row, n);
        }
}

/* Two ladders hold one file, and both let go: each act is one that changes what the file says. */
static void test_two_ladders(void **state) {
        static Verdict verdicts[VERDICTS_MAX];
        static const struct {
                Resource resource;
                uint64_t value;
        } holds[] = { { RESOURCE_IO, 5000000 }, { RESOURCE_MEMORY, 2000000 } };
        const LimitKnob reads = { LIMIT_IO_READ_BANDWIDTH_MAX, KIT_DISK },
                        writes = { LIMIT_IO_WRITE_BANDWIDTH_MAX, KIT_DISK };
        _cleanup_(limit_set_deinit) LimitSet beneath = LIMIT_SET_INIT, in_force = LIMIT_SET_INIT;
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        _cleanup_(cleanup_judge_free) Judge *j = NULL;
        uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        Party *p = &k->parties[hog];
        unsigned n_relaxed = 0, n_released = 0;

        (void)state;
        assert_int_equal(judge_new(KIT_MAX, &j), 0);
        kit_io(k, hog, KIT_DISK, (SampleDevice){ .rbytes = 100000, .rios = 10 });
        for (size_t i = 0; i < ARRAY_SIZE(holds); i++)
                ladder_adopt(&k->memories[hog].ladders[holds[i].resource], holds[i].resource, LEVER_IO,
                             &(LimitEntry){ reads, holds[i].value, 0 }, 1, k->scene.now);
        assert_int_equal(limit_set_put(&beneath, writes, 9000000, 0), 0);
        assert_int_equal(limit_set_copy(&in_force, &beneath), 0);
        assert_int_equal(limit_set_put(&in_force, reads, 2000000, 0), 0);
        p->limits.io = &in_force;
        p->beneath_io = &beneath;
        p->leased[LEVER_IO] = true;
        for (unsigned s = 0; s < 60 && n_released == 0; s++) {
                unsigned n = kit_step(k, j, verdicts);

                for (unsigned i = 0; i < n; i++) {
                        const Act *a = &verdicts[i].act;
                        uint64_t before = 0;

                        n_released += a->kind == ACT_RELEASE;
                        if (a->kind != ACT_RELAX)
                                continue;
                        n_relaxed++;
                        assert_int_equal(a->n, 1);
                        assert_true(limit_set_get(&in_force, reads, &before));
                        if (a->values[0].value == before)
                                fail_msg("second %u: from %llu to the same", s, (unsigned long long)before);
                        assert_int_equal(limit_set_put(&in_force, reads, a->values[0].value, 0), 0);
                }
        }
        /* Four steps back, and the fifth to what the other one holds still. */
        assert_int_equal(n_relaxed, 5);
        assert_int_equal(n_released, 1);
}

/* The one to blame is only watched. Whatever it goes on doing, who takes a little more than its part does not stand in for it. */
static void test_observed(void **state) {
        static const struct {
                Mode mode;
                bool other; /* somebody else's turn comes */
        } rows[] = { { MODE_OBSERVE, false },
                     { MODE_CEILINGS, false },
                     { MODE_THROTTLE, true },
                     { MODE_ENFORCE, true } };

        (void)state;
        for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
                static Verdict verdicts[VERDICTS_MAX];
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                _cleanup_(cleanup_judge_free) Judge *j = NULL;
                uint32_t web = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web");
                uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                uint32_t other = kit_add(k, KIT_HOST, PARTY_CONTAINER, "other");
                unsigned n_hog = 0, n_other = 0;

                assert_int_equal(judge_new(KIT_MAX, &j), 0);
                k->scene.rules.max_throttled = 10000;
                k->settings[web].cpu_guarantee = 2 * S;
                k->settings[hog].mode = rows[row].mode;
                k->parties[other].limits.cpu_weight = 10;
                kit_cpu(k, web, S / 4);
                kit_stall(k, web, RESOURCE_CPU, 6000);
                kit_cpu(k, hog, 3 * S);
                kit_cpu(k, other, S / 2);
                for (unsigned s = 0; s < 120; s++) {
                        unsigned n = kit_step(k, j, verdicts);

                        for (unsigned i = 0; i < n; i++) {
                                n_hog += verdicts[i].culprit == hog;
                                n_other += verdicts[i].culprit == other;
                                if (verdicts[i].culprit == hog && verdicts[i].act.kind == ACT_THROTTLE)
                                        assert_int_equal(verdicts[i].act.would,
                                                         rows[row].mode < MODE_THROTTLE);
                        }
                }
                assert_true(n_hog >= 2);
                if ((n_other > 0) != rows[row].other)
                        fail_msg("row %zu: %u acts on the other one", row, n_other);
        }
}

/* A record is kept for a while. */
static void test_record(void **state) {
        static const struct {
                usec_t later;
                bool kept;
        } rows[] = {
                { 0, true },
                { S, true },
                { RECORD_KEEP, true },
                { RECORD_KEEP + 1, false },
        };
        _cleanup_(cleanup_judge_free) Judge *j = NULL;
        PartyMemory fresh = {};

        (void)state;
        assert_int_equal(judge_new(1, &j), 0);
        assert_false(judge_reborn(&fresh, S));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                PartyMemory m = { .n_kills = 2, .window = { .n = 2 }, .kill_spent = true };

                m.ladders[RESOURCE_CPU] = (Ladder){ .rung = RUNG_THROTTLE };
                m.ladders[RESOURCE_CPU].levers[LEVER_CPU].on = true;
                m.ladders[RESOURCE_IO] = (Ladder){ .rung = RUNG_RELAX };
                judge_died(j, &m, 7, S);
                assert_false(judge_holds(&m));
                assert_int_equal(judge_reborn(&m, S + rows[i].later), rows[i].kept);
                assert_int_equal(m.n_kills, rows[i].kept ? 2 : 0);
                assert_int_equal(m.n_reborn, rows[i].kept);
                assert_int_equal(m.window.n, 0);
                assert_false(m.kill_spent);
                assert_int_equal(m.ladders[RESOURCE_CPU].rung, rows[i].kept ? RUNG_NOTIFY : RUNG_NONE);
                assert_int_equal(m.ladders[RESOURCE_IO].rung, RUNG_NONE);
                /* It may take a while to start, and to do it again. */
                if (rows[i].kept)
                        assert_int_equal(m.ladders[RESOURCE_CPU].calm_span, 2 * LADDER_CALM);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cpu),
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_memory_swap),
                cmocka_unit_test(test_took_it),
                cmocka_unit_test(test_stop),
                cmocka_unit_test(test_kill_again),
                cmocka_unit_test(test_kills_before),
                cmocka_unit_test(test_one_kill),
                cmocka_unit_test(test_quiet),
                cmocka_unit_test(test_ending),
                cmocka_unit_test(test_memory_never),
                cmocka_unit_test(test_io),
                cmocka_unit_test(test_forks),
                cmocka_unit_test(test_forks_fast),
                cmocka_unit_test(test_thrash),
                cmocka_unit_test(test_innocent),
                cmocka_unit_test(test_on_off),
                cmocka_unit_test(test_ten_hogs),
                cmocka_unit_test(test_storm),
                cmocka_unit_test(test_observe),
                cmocka_unit_test(test_off),
                cmocka_unit_test(test_interrupted),
                cmocka_unit_test(test_restart),
                cmocka_unit_test(test_restart_loop),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_unexplained),
                cmocka_unit_test(test_held_already),
                cmocka_unit_test(test_mixed),
                cmocka_unit_test(test_disks),
                cmocka_unit_test(test_our_doing),
                cmocka_unit_test(test_record),
                cmocka_unit_test(test_two_ladders),
                cmocka_unit_test(test_for_whose_sake),
                cmocka_unit_test(test_observed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
