/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Worlds at random, ten minutes each: quiet at first, then anybody may make any noise for some minutes, then quiet again. What
 * must never happen is checked at every step (world.c). Here: what must hold at the end, and that the order in
 * which parties come is nobody's advantage.
 *
 * A failure names its world; WORLD_SEED=… runs that one alone, WORLD_LOUD=1 tells what was done.
 */

#include "random.h"
#include "world.h"

#define WORLDS 200
#define NOISE_ENDS (420 * S)
#define SEED_FIRST UINT64_C(20240601)

static uint64_t below(uint64_t n) { return next_random() % n; }
static double part(void) { return (double)below(1000) / 1000; }
static bool one_of(unsigned n) { return below(n) == 0; }

static void make_noise(World *w, Demand *d) {
        d->from = (60 + below(240)) * S;
        d->until = MIN_OF(d->from + (10 + below(240)) * S, NOISE_ENDS);
        if (one_of(3)) {
                d->on = (1 + below(30)) * S;
                d->off = (1 + below(30)) * S;
        }
        switch (below(6)) {
        case 0:
                d->cpus = d->threads = (double)(1 + below(3 * w->n_cpus));
                break;
        case 1:
                d->memory = 1 + below(2 * w->memory);
                d->memory_rate = (1 + below(400)) * M;
                break;
        case 2:
                d->ops = (double)(50 + below(30000));
                d->op_bytes = one_of(2) ? 4096 : 131072;
                d->depth = (double)(1 + below(64));
                d->writes = one_of(2);
                break;
        case 3:
                d->cache = 1 + below(w->memory);
                d->touches = (double)below(100000);
                break;
        case 4:
                d->tasks = (double)(100 + below(100000));
                d->forks = (double)(1 + below(3000));
                break;
        default: /* it is quiet */
                break;
        }
}

static void make_settings(World *w, WorldParty *p, unsigned n_parties) {
        static const unsigned priorities[] = { 50, 100, 100, 100, 200 };
        Settings *s = &p->settings;

        s->priority = priorities[below(ARRAY_SIZE(priorities))];
        s->throttle = (unsigned)(one_of(3) ? below(32) : 15);
        s->kill = (KillWish)below(_KILL_MAX);
        s->kill_grace = below(3) * 5 * S;
        s->mode = one_of(6) ? (Mode)below(_MODE_MAX) : MODE_ENFORCE;
        if (one_of(4))
                s->cpu_guarantee = (1 + below(10)) * w->n_cpus * S / n_parties / 10;
        if (one_of(4))
                p->limits.cpu_weight = (unsigned)(10 + below(1000));
        if (one_of(5))
                p->limits.cpu_quota = (1 + below(20)) * S / 5;
        if (one_of(5))
                p->limits.memory_max = (1 + below(16)) * 512 * M;
        if (one_of(6))
                p->limits.memory_protected = below(8) * 128 * M;
        if (one_of(4))
                p->limits.tasks_max = 100 + below(20000);
        p->protected_why = one_of(12) ? "Protect=" : NULL;
        p->ignores_stop = one_of(3);
        p->restart_after = one_of(2) ? (1 + below(20)) * S : 0;
}

static World *make_world(uint64_t seed) {
        static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l" };
        uint32_t slices[3] = {}, n = 0;
        unsigned n_parties;
        World *w;

        random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        for (unsigned i = 0; i < 8; i++)
                (void)next_random();
        w = world_new((unsigned)(2 + below(7)), (4 + below(12)) * G, one_of(2) ? 0 : (1 + below(4)) * G);
        w->rules.mode = one_of(6) ? (Mode)below(_MODE_MAX) : MODE_ENFORCE;
        w->max_ops = 20000;
        w->max_bytes = 1e9;
        w->rules.kill_budget = (unsigned)below(6);
        w->rules.max_throttled = (unsigned)(1000 + below(9000));
        w->tenant_budget = one_of(2) ? UINT32_MAX : (unsigned)below(3);
        w->pid_max = one_of(2) ? 32768 : 4000;
        for (; n < below(4); n++)
                slices[n] = world_add(w, 0, PARTY_GROUP, "slice");
        n_parties = (unsigned)(3 + below(ARRAY_SIZE(names) - 2));
        for (unsigned i = 0; i < n_parties; i++) {
                uint32_t k = world_add(w, n > 0 ? slices[below(n)] : 0,
                                       one_of(8) ? PARTY_SERVICE : PARTY_CONTAINER, names[i]);
                WorldParty *p = &w->parties[k];

                make_settings(w, p, n_parties);
                /* All together they have room. */
                p->base =
                        (Demand){ .cpus = part() * w->n_cpus / n_parties / 2,
                                  .threads = (double)(1 + below(4)),
                                  .memory = (uint64_t)(part() * (double)w->memory / n_parties / 4),
                                  .cache = one_of(2) ? 0
                                                     : (uint64_t)(part() * (double)w->memory / n_parties / 8),
                                  .touches = part() * 20000,
                                  .ops = one_of(2) ? 0 : part() * 2000 / n_parties,
                                  .op_bytes = 8192,
                                  .depth = 1,
                                  .writes = one_of(2),
                                  .tasks = (double)below(50) };
                if (!one_of(3))
                        make_noise(w, &p->noise);
        }
        return w;
}

/* Operators, in the middle of it. */
static void meddle(World *w, uint64_t *dice) {
        WorldParty *p = &w->parties[1 + *dice / 7 % (w->n - 1)];

        switch (*dice % 16) {
        case 0:
                w->paused = true;
                break;
        case 1:
        case 2:
                w->paused = false;
                break;
        case 3:
                p->held = true;
                break;
        case 4:
        case 5:
                for (uint32_t i = 1; i < w->n; i++)
                        w->parties[i].held = false;
                break;
        case 6:
                p->settings.mode = (Mode)(*dice / 16 % _MODE_MAX);
                break;
        case 7:
                if (p->kind != PARTY_GROUP && p->alive)
                        p->dies_at = w->now + S / 2;
                break;
        default:
                break;
        }
        *dice = *dice * UINT64_C(6364136223846793005) + 1442695040888963407;
}

static void run_world(World *w, uint64_t seed) {
        uint64_t dice = seed | 1;

        for (unsigned i = 0; i < 42; i++) {
                world_run(w, 10);
                if (seed % 3 == 0)
                        meddle(w, &dice);
        }
        w->paused = false;
        world_run(w, 60);
}

static void check_end(const World *w) {
        if (w->rules.mode < MODE_THROTTLE)
                assert_int_equal(w->n_writes, 0);
        /* Nobody was hurt by others: nobody was touched. */
        if (w->n_external == 0)
                assert_int_equal(world_n_hard(w), 0);
        for (uint32_t i = 0; i < w->n; i++)
                if (world_leased(&w->parties[i]))
                        fail_msg("world %llu: %s is still held back", (unsigned long long)w->seed,
                                 w->parties[i].name);
}

static void test_worlds(void **state) {
        const char *only = getenv("WORLD_SEED");
        uint64_t first = SEED_FIRST, n = WORLDS;
        unsigned acts = 0, kills = 0, ooms = 0, external = 0;

        (void)state;
        if (only) {
                assert_int_equal(num_parse_u64(only, &first), 0);
                n = 1;
        }
        for (uint64_t seed = first; seed < first + n; seed++) {
                _cleanup_world_ World *w = make_world(seed);

                w->seed = seed;
                run_world(w, seed);
                check_end(w);
                acts += world_n_hard(w);
                kills += w->n_kills;
                ooms += w->n_oom;
                external += w->n_external > 0;
                if (seed % 2 == 0) {
                        _cleanup_world_ World *other = make_world(seed);

                        other->shuffle = seed | 1;
                        other->seed = seed;
                        run_world(other, seed);
                        if (other->digest != w->digest)
                                fail_msg("world %llu: the order matters", (unsigned long long)seed);
                }
        }
        print_message("worlds %llu to %llu: %u with victims, %u acts, %u kills, %u out of memory\n",
                      (unsigned long long)first, (unsigned long long)(first + n - 1), external, acts, kills,
                      ooms);
        /* They are not so tame that all of this holds of itself. */
        if (!only)
                assert_true(external > WORLDS / 4 && acts > WORLDS && kills > WORLDS / 20);
}

/* Numbers that no kernel would say, in scenes that no daemon would make: it ends, and what it says is about somebody. */

#define HOSTILE_PARTIES 12

static uint64_t any(void) {
        static const uint64_t odd[] = {
                0, 1, UINT64_MAX, UINT64_MAX - 1, INT64_MAX, UINT32_MAX, USEC_PER_SEC
        };

        return one_of(2) ? odd[below(ARRAY_SIZE(odd))] : next_random() >> below(64);
}

static void hostile_party(Party *p, uint32_t i, Sample *sample, Settings *settings, SampleIo io[static 2],
                          SampleDevice devices[static 4], PartyMemory *memory, usec_t now) {
        *settings = (Settings){ .mode = (Mode)below(_MODE_MAX),
                                .priority = (unsigned)below(1001),
                                .throttle = (unsigned)below(32),
                                .kill = (KillWish)below(_KILL_MAX),
                                .kill_grace = any(),
                                .cpu_guarantee = any(),
                                .pressure_target = { (unsigned)below(10001), (unsigned)below(10001), 0 },
                                .pressure_window = any(),
                                .startup_grace = any() };
        sample->at = one_of(8) ? any() : now;
        for (int f = 0; f < _SAMPLE_MAX; f++)
                if (!one_of(4))
                        sample_put(sample, (SampleField)f,
                                   one_of(2) ? sample->v[f] + below(USEC_PER_SEC) : any());
        for (unsigned k = 0; k < 4; k++)
                devices[k] = (SampleDevice){ .dev = WORLD_DISK + k % 2,
                                             .rbytes = any(),
                                             .wbytes = any(),
                                             .rios = any(),
                                             .busy_usec = any(),
                                             .cost_usage_usec = one_of(2) ? 0 : any() };
        io[0] = (SampleIo){ .devices = devices, .n = below(3) };
        io[1] = (SampleIo){ .devices = devices + 2, .n = below(3) };
        *p = (Party){ .id = 1 + i,
                      .parent = i == 0 ? NO_PARTY : (uint32_t)below(i),
                      .kind = i == 0 ? PARTY_HOST : (PartyKind)(1 + below(3)),
                      .name = "it",
                      .tenant = one_of(2) ? "tenant" : NULL,
                      .settings = one_of(4) ? NULL : settings,
                      .limits = { any(), any(), any(), any(), any(), (unsigned)below(10001),
                                  (unsigned)below(10001), NULL },
                      .protected_why = one_of(8) ? "it" : NULL,
                      .held = one_of(8),
                      .has_freeze = one_of(2),
                      .local_high = one_of(2),
                      .have_local = one_of(2),
                      .since = any(),
                      .now = one_of(8) ? NULL : sample,
                      .io_before = one_of(8) ? NULL : &io[0],
                      .io_now = one_of(8) ? NULL : &io[1],
                      .io_span = any(),
                      .memory = memory };
        for (int l = 0; l <= LEVER_PIDS; l++) {
                p->leased[l] = one_of(4);
                p->beneath[l] = any();
        }
}

static TenantBudget no_budget(void *user, const Party *p) {
        (void)p;
        return (TenantBudget){ .budget = user, .max = (unsigned)any(), .window = any() };
}

static void test_hostile(void **state) {
        static Verdict verdicts[VERDICTS_MAX];
        static PartyMemory memories[HOSTILE_PARTIES];
        static Sample samples[HOSTILE_PARTIES];
        Party parties[HOSTILE_PARTIES];
        Settings settings[HOSTILE_PARTIES];
        SampleIo io[HOSTILE_PARTIES][2];
        SampleDevice devices[HOSTILE_PARTIES][4];
        Budget budget = {};
        const JudgeOps ops = { no_budget, &budget };
        Judge *j;

        (void)state;
        random_state = SEED_FIRST;
        /* Fewer than there are. */
        assert_int_equal(judge_new(HOSTILE_PARTIES - 2, &j), 0);
        for (unsigned round = 0; round < 3000; round++) {
                Scene s = { .now = one_of(16) ? any() : (round + 1) * S,
                            .parties = parties,
                            .n = (uint32_t)below(HOSTILE_PARTIES + 1),
                            .n_cpus = (unsigned)below(9),
                            .memory_bytes = any(),
                            .swap_bytes = any(),
                            .pid_max = any(),
                            .host_tasks = any(),
                            .n_containers = (unsigned)any(),
                            .rules = { (Mode)below(_MODE_MAX), (unsigned)any(), any(), (unsigned)below(10001),
                                       any(), (unsigned)below(10001) },
                            .paused = one_of(8) };
                unsigned n;

                for (uint32_t i = 0; i < HOSTILE_PARTIES; i++)
                        hostile_party(&parties[i], i, &samples[i], &settings[i], io[i], devices[i],
                                      &memories[i], s.now);
                n = judge_step(j, &ops, &s, verdicts);
                assert_in_range(n, 0, VERDICTS_MAX);
                for (unsigned i = 0; i < n; i++) {
                        const Verdict *v = &verdicts[i];

                        assert_true(v->culprit == NO_PARTY || v->culprit < s.n);
                        assert_in_range(v->n_victims, 0, VERDICT_VICTIMS_MAX);
                        if (v->culprit != NO_PARTY)
                                judge_acted(j, &ops, &parties[v->culprit], &v->act, one_of(3) ? -EIO : 0,
                                            s.now);
                }
                for (uint32_t i = 0; i < s.n; i++) {
                        _cleanup_buf_ Buf out = BUF_INIT;

                        judge_explain(&memories[i], (Resource)below(_RESOURCE_MAX), "it", &out);
                        assert_true(out.len > 0);
                        if (one_of(50)) {
                                judge_died(j, &memories[i], parties[i].id, s.now);
                                (void)judge_reborn(&memories[i], any());
                        }
                }
        }
        assert_null(judge_free(j));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_worlds),
                cmocka_unit_test(test_hostile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
