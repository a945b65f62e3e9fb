/* SPDX-License-Identifier: Apache-2.0 */

/* Tenants' sums divided: tables for the rules, random tenants for the promises. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "ceiling.h"
#include "demand.h"
#include "no-memory.h"
#include "num.h"
#include "random.h"
#include "share.h"

#define PAGE UINT64_C(4096)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define INF LIMIT_INFINITY
#define N_MAX 12

typedef struct World {
        LimitSet sum;
        LimitSet own[N_MAX], use[N_MAX], held[N_MAX], out[N_MAX];
        ShareMemory memory[N_MAX];
        SharePart parts[N_MAX];
        size_t n;
        ShareResult result;
} World;

static LimitKnob knob(Limit l) { return (LimitKnob){ .limit = l }; }

static void put(LimitSet *s, Limit l, uint64_t v) {
        assert_int_equal(limit_set_put(s, knob(l), v, origin_pack(ORIGIN_POLICY, (PolicyRef){ 3, 77 })), 0);
}

static uint64_t get(const LimitSet *s, Limit l) {
        uint64_t v = UINT64_C(0xdead);

        (void)limit_set_get_scalar(s, l, &v);
        return v;
}

static SharePart *add(World *w, uint64_t id, uint64_t memory, uint64_t tasks) {
        SharePart *p = &w->parts[w->n];

        *p = (SharePart){ .id = id,
                          .memory_bytes = memory,
                          .tasks = tasks,
                          .own = &w->own[w->n],
                          .out = &w->out[w->n],
                          .have_memory = true,
                          .have_tasks = true,
                          .have_swap = true };
        w->n++;
        return p;
}

static void run(World *w) { assert_int_equal(share_apportion(&w->sum, w->parts, w->n, PAGE, &w->result), 0); }

static void done(World *w) {
        limit_set_deinit(&w->sum);
        for (size_t i = 0; i < N_MAX; i++) {
                limit_set_deinit(&w->own[i]);
                limit_set_deinit(&w->use[i]);
                limit_set_deinit(&w->held[i]);
                limit_set_deinit(&w->out[i]);
                share_memory_deinit(&w->memory[i]);
        }
        *w = (World){};
}

static void test_none(void **state) {
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, G);
        run(&w);
        assert_int_equal(w.result.state, SHARE_EXACT);
        done(&w);
}

static void test_one(void **state) {
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, G + 1);
        put(&w.sum, LIMIT_CPU_QUOTA, 1234567);
        put(&w.sum, LIMIT_TASKS_MAX, INF);
        put(&w.sum, LIMIT_CPU_WEIGHT, 50);
        add(&w, 7, 100 * M, 3);
        put(&w.own[0], LIMIT_CPU_QUOTA, 500000);
        put(&w.out[0], LIMIT_IO_WEIGHT, 1); /* of the turn before: replaced */
        run(&w);
        assert_int_equal(w.result.state, SHARE_EXACT);
        assert_int_equal(get(&w.out[0], LIMIT_MEMORY_MAX), G + 1);
        assert_null(limit_set_find(&w.out[0], knob(LIMIT_MEMORY_HIGH)));
        assert_int_equal(get(&w.out[0], LIMIT_CPU_QUOTA), 1234567);
        assert_int_equal(get(&w.out[0], LIMIT_CPU_WEIGHT), 50);
        assert_null(limit_set_find(&w.out[0], knob(LIMIT_TASKS_MAX)));
        assert_null(limit_set_find(&w.out[0], knob(LIMIT_IO_WEIGHT)));
        assert_int_equal(origin_kind(w.out[0].entries[0].origin), ORIGIN_SHARE);
        assert_int_equal(origin_ref(w.out[0].entries[0].origin).file, 3);
        assert_int_equal(origin_ref(w.out[0].entries[0].origin).line, 77);
        done(&w);
}

/* The level rises by what tight parts leave; the odd unit goes to the lowest ids. */
static void test_water(void **state) {
        static const struct {
                uint64_t sum, own[4], out[4];
        } rows[] = {
                { 4000000, { INF, INF, INF, INF }, { 1000000, 1000000, 1000000, 1000000 } },
                { 4000000, { 400000, INF, INF, INF }, { 400000, 1200000, 1200000, 1200000 } },
                { 4000000, { 400000, INF, 1000000, INF }, { 400000, 1300000, 1000000, 1300000 } },
                { 4000000, { 100000, 100000, 100000, 100000 }, { 100000, 100000, 100000, 100000 } },
                { 4000000,
                  { 0, INF, INF, 500 },
                  { 10000, 1990000, 1990000, 10000 } }, /* the least is part of the sum */
                { 4000003, { INF, INF, INF, INF }, { 1000000, 1000001, 1000001, 1000001 } },
                { 4000000, { 1000000, 1000001, INF, 2000000 }, { 1000000, 1000000, 1000000, 1000000 } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                static const uint64_t ids[] = { 40, 30, 20, 10 };
                World w = {};

                put(&w.sum, LIMIT_CPU_QUOTA, rows[i].sum);
                for (size_t k = 0; k < 4; k++) {
                        add(&w, ids[k], 0, 0);
                        if (rows[i].own[k] != INF)
                                put(&w.own[k], LIMIT_CPU_QUOTA, rows[i].own[k]);
                }
                run(&w);
                for (size_t k = 0; k < 4; k++)
                        if (get(&w.out[k], LIMIT_CPU_QUOTA) != rows[i].out[k])
                                fail_msg("row %zu part %zu: %llu", i, k,
                                         (unsigned long long)get(&w.out[k], LIMIT_CPU_QUOTA));
                assert_int_equal(w.result.state, SHARE_APPORTIONED);
                done(&w);
        }
}

static void test_floors(void **state) {
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, 3 * G);
        put(&w.sum, LIMIT_MEMORY_SWAP_MAX, 0);
        put(&w.sum, LIMIT_TASKS_MAX, 300);
        add(&w, 1, 2 * G, 90);
        add(&w, 2, 100 * M, 5);
        add(&w, 3, 0, 0)->have_memory = false;
        w.parts[0].swap_bytes = 5 * M;
        run(&w);
        /* the hog is squeezed, not killed; the others are not made to pay for it */
        assert_int_equal(get(&w.out[0], LIMIT_MEMORY_HIGH), G);
        assert_true(get(&w.out[0], LIMIT_MEMORY_MAX) >= 2 * G + 2 * G / 10);
        assert_true(get(&w.out[0], LIMIT_MEMORY_MAX) <= 2 * G + 2 * G / 10 + G / 8);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_HIGH), G);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_MAX), G);
        assert_int_equal(get(&w.out[2], LIMIT_MEMORY_HIGH), G);
        assert_int_equal(get(&w.out[2], LIMIT_MEMORY_MAX), 3 * G); /* use unknown */
        assert_true(get(&w.out[0], LIMIT_MEMORY_SWAP_MAX) >= 5 * M);
        assert_true(get(&w.out[0], LIMIT_TASKS_MAX) >= 90 + SHARE_TASKS_HEADROOM);
        assert_int_equal(get(&w.out[1], LIMIT_TASKS_MAX), 100);
        assert_true(w.result.advisory[LIMIT_MEMORY_MAX]);
        assert_true(w.result.advisory[LIMIT_TASKS_MAX]);
        assert_true(w.result.advisory[LIMIT_MEMORY_SWAP_MAX]);
        assert_int_equal(w.result.state, SHARE_ADVISORY);

        /* use falls, and is known: exact numbers again */
        w.parts[0].memory_bytes = 800 * M;
        w.parts[0].swap_bytes = 0;
        w.parts[0].tasks = 20;
        w.parts[2].have_memory = true;
        run(&w);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(get(&w.out[i], LIMIT_MEMORY_MAX), G);
        assert_int_equal(w.result.state, SHARE_APPORTIONED);
        done(&w);
}

/* A use that wobbles by a few pages does not change what is written. */
static void test_steps(void **state) {
        uint64_t last = 0;
        unsigned changes = 0;
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, 2 * G);
        add(&w, 1, 0, 0);
        add(&w, 2, 0, 0);
        for (uint64_t use = 1500 * M; use < 1700 * M; use += M) {
                w.parts[0].memory_bytes = use;
                run(&w);
                changes += last != get(&w.out[0], LIMIT_MEMORY_MAX);
                last = get(&w.out[0], LIMIT_MEMORY_MAX);
        }
        assert_in_range(changes, 2, 8);
        done(&w);
}

static void test_rest(void **state) {
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MIN, 3 * G);
        put(&w.sum, LIMIT_MEMORY_HIGH, 6 * G);
        put(&w.sum, LIMIT_MEMORY_MAX, 9 * G);
        put(&w.sum, LIMIT_CPU_QUOTA, 3000000);
        put(&w.sum, LIMIT_CPU_PERIOD, 50000);
        put(&w.sum, LIMIT_CPU_BURST, 30000);
        put(&w.sum, LIMIT_IO_WEIGHT, 200);
        for (uint64_t id = 1; id <= 3; id++)
                add(&w, id, 0, 0);
        put(&w.own[1], LIMIT_CPU_QUOTA, 500000);
        run(&w);
        for (size_t i = 0; i < 3; i++) {
                assert_int_equal(get(&w.out[i], LIMIT_MEMORY_MIN), G);
                assert_int_equal(get(&w.out[i], LIMIT_MEMORY_HIGH),
                                 2 * G); /* MemoryHigh is lower than the share of MemoryMax */
                assert_int_equal(get(&w.out[i], LIMIT_MEMORY_MAX), 3 * G);
                assert_int_equal(get(&w.out[i], LIMIT_CPU_PERIOD), 50000);
                assert_int_equal(get(&w.out[i], LIMIT_IO_WEIGHT), 200);
        }
        assert_int_equal(get(&w.out[0], LIMIT_CPU_BURST), 12500);
        assert_int_equal(get(&w.out[1], LIMIT_CPU_BURST), 5000);
        /* more parts than one percent each */
        limit_set_clear(&w.sum);
        put(&w.sum, LIMIT_CPU_QUOTA, 20000);
        run(&w);
        assert_int_equal(get(&w.out[2], LIMIT_CPU_QUOTA), 10000);
        assert_int_equal(w.result.state, SHARE_ADVISORY);
        done(&w);
}

static uint64_t amount(void) { return (next_random() % (8 * G)) >> next_random() % 12; }

static void random_world(World *w) {
        static const Limit limits[] = { LIMIT_MEMORY_HIGH, LIMIT_MEMORY_MAX, LIMIT_MEMORY_SWAP_MAX,
                                        LIMIT_CPU_QUOTA, LIMIT_TASKS_MAX };

        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                if (next_random() % 4)
                        put(&w->sum, limits[i], amount());
        for (size_t n = next_random() % N_MAX + 1; w->n < n;) {
                SharePart *p = add(w, next_random(), amount(), next_random() % 500);

                p->swap_bytes = amount();
                for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                        if (next_random() % 3 == 0)
                                put(&w->own[p - w->parts], limits[i], amount());
        }
}

static void check_world(World *w) {
        for (size_t k = 0; k < w->sum.n; k++) {
                const LimitEntry *e = &w->sum.entries[k];
                unsigned __int128 total = 0, high = 0;
                bool floored = false;

                for (size_t i = 0; i < w->n; i++) {
                        uint64_t v = get(w->parts[i].out, e->knob.limit);

                        total += v;
                        high += get(w->parts[i].out, LIMIT_MEMORY_HIGH);
                        floored = floored || v == PAGE || v == 10000 || v == 1;
                }
                if (e->knob.limit == LIMIT_MEMORY_HIGH || e->knob.limit == LIMIT_CPU_QUOTA) {
                        if (total > e->value && !floored)
                                fail_msg("limit %d: %zu parts exceed %llu", e->knob.limit, w->n,
                                         (unsigned long long)e->value);
                } else if (e->knob.limit == LIMIT_MEMORY_MAX && w->n > 1) {
                        /* memory.high adds up to it; memory.max is for those who lend and wake */
                        if (high > e->value && high > w->n * (unsigned __int128)PAGE)
                                fail_msg("%zu parts exceed %llu", w->n, (unsigned long long)e->value);
                } else if (total > e->value)
                        assert_true(w->result.advisory[e->knob.limit]);
                if (w->result.advisory[e->knob.limit])
                        assert_true(total > e->value);
        }
        for (size_t i = 0; i < w->n; i++) {
                uint64_t use = w->parts[i].memory_bytes;

                if (limit_set_find(w->parts[i].out, knob(LIMIT_MEMORY_MAX)))
                        assert_true(get(w->parts[i].out, LIMIT_MEMORY_MAX) >= use + use / 10);
                if (limit_set_find(w->parts[i].out, knob(LIMIT_MEMORY_SWAP_MAX)))
                        assert_true(get(w->parts[i].out, LIMIT_MEMORY_SWAP_MAX) >= w->parts[i].swap_bytes);
                if (limit_set_find(w->parts[i].out, knob(LIMIT_TASKS_MAX)))
                        assert_true(get(w->parts[i].out, LIMIT_TASKS_MAX) >= w->parts[i].tasks + 64);
        }
}

static void test_random(void **state) {
        (void)state;
        for (unsigned round = 0; round < 3000; round++) {
                LimitSet before[N_MAX] = {};
                World w = {};

                random_world(&w);
                run(&w);
                check_world(&w);
                /* the order of parts does not matter */
                for (size_t i = 0; i < w.n; i++)
                        assert_int_equal(limit_set_copy(&before[i], &w.out[i]), 0);
                for (size_t i = 0; i < w.n / 2; i++) {
                        SharePart p = w.parts[i];

                        w.parts[i] = w.parts[w.n - 1 - i];
                        w.parts[w.n - 1 - i] = p;
                }
                run(&w);
                for (size_t i = 0; i < w.n; i++) {
                        assert_int_equal(before[i].n, w.out[i].n);
                        for (size_t k = 0; k < before[i].n; k++)
                                assert_int_equal(before[i].entries[k].value, w.out[i].entries[k].value);
                        limit_set_deinit(&before[i]);
                }
                /* a part that goes leaves its share to the rest */
                if (w.n > 1) {
                        uint64_t high = get(w.parts[0].out, LIMIT_MEMORY_HIGH);

                        w.n--;
                        run(&w);
                        /* but for the last one, whose MemoryMax needs no memory.high */
                        if (w.n > 1)
                                assert_true(get(w.parts[0].out, LIMIT_MEMORY_HIGH) >= high);
                }
                done(&w);
        }
}

/* One turn from nothing: use known, the kernel holds no ceilings. */
static void test_use(void **state) {
        enum { UNKNOWN = 99999999, HIT };
        static const struct {
                uint64_t sum, use[3], own[3], out[3];
        } rows[] = {
                /* nobody knows: equal, the odd unit to the lowest id */
                { 3000001, { UNKNOWN, UNKNOWN, UNKNOWN }, { INF, INF, INF }, { 1000000, 1000000, 1000001 } },
                /* all at rest: equal too */
                { 3000000, { 0, 200000, 600000 }, { INF, INF, INF }, { 1000000, 1000000, 1000000 } },
                /* an idle one keeps an eighth (in steps of a 64th of the sum) */
                { 3000000, { 0, 1000000, 900000 }, { INF, INF, INF }, { 140625, 1429687, 1429688 } },
                { 3000000, { 0, 1000000, UNKNOWN }, { INF, INF, INF }, { 140625, 1429687, 1429688 } },
                /* a modest one its use and a half */
                { 3000000, { 400000, 1000000, 1000000 }, { INF, INF, INF }, { 609375, 1195312, 1195313 } },
                /* unless it ran into its ceiling */
                { 3000000, { HIT, 1000000, 1000000 }, { INF, INF, INF }, { 1000000, 1000000, 1000000 } },
                /* hungry, but for what its own ceiling allows: all idle get the rest */
                { 3000000, { 0, 0, 1000000 }, { INF, INF, 1200000 }, { 900000, 900000, 1200000 } },
                { 3000000, { 0, 0, 1000000 }, { 300000, INF, 500000 }, { 300000, 2200000, 500000 } },
                /* sated beyond its equal share, which was free */
                { 3000000, { 790000, 100000, 100000 }, { INF, INF, INF }, { 1218750, 890625, 890625 } },
                /* sated, but there is no room for all caps */
                { 3000000, { 790000, 790000, 790000 }, { INF, INF, INF }, { 1000000, 1000000, 1000000 } },
                /* less than a percent of a CPU is no step */
                { 90000, { 0, 30000, 30000 }, { INF, INF, INF }, { 10000, 40000, 40000 } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                World w = {};

                put(&w.sum, LIMIT_CPU_QUOTA, rows[i].sum);
                for (size_t k = 0; k < 3; k++) {
                        add(&w, 30 - k, 0, 0)->use = &w.use[k];
                        if (rows[i].own[k] != INF)
                                put(&w.own[k], LIMIT_CPU_QUOTA, rows[i].own[k]);
                        if (rows[i].use[k] == HIT)
                                assert_int_equal(
                                        limit_set_put(&w.use[k], knob(LIMIT_CPU_QUOTA), 0, SHARE_USE_HIT), 0);
                        else if (rows[i].use[k] != UNKNOWN)
                                assert_int_equal(
                                        limit_set_put(&w.use[k], knob(LIMIT_CPU_QUOTA), rows[i].use[k], 0),
                                        0);
                }
                run(&w);
                for (size_t k = 0; k < 3; k++)
                        if (get(&w.out[k], LIMIT_CPU_QUOTA) != rows[i].out[k])
                                fail_msg("row %zu part %zu: %llu", i, k,
                                         (unsigned long long)get(&w.out[k], LIMIT_CPU_QUOTA));
                assert_false(w.result.unsettled);
                done(&w);
        }
}

/* What hits of a ceiling break is lent by half, and not what floors keep. */
static void test_use_hard(void **state) {
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, 2 * G);
        put(&w.sum, LIMIT_TASKS_MAX, 200);
        for (size_t i = 0; i < 2; i++)
                add(&w, i + 1, i * 1000 * M, i * 100)->use = &w.use[i];
        put(&w.use[0], LIMIT_MEMORY_MAX, 0);
        put(&w.use[0], LIMIT_TASKS_MAX, 0);
        put(&w.use[1], LIMIT_MEMORY_MAX, 1000 * M);
        put(&w.use[1], LIMIT_TASKS_MAX, 100);
        run(&w);
        assert_int_equal(get(&w.out[0], LIMIT_MEMORY_HIGH), G / 2);
        assert_int_equal(get(&w.out[0], LIMIT_MEMORY_MAX), G); /* not killed for having lent */
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_HIGH), 3 * G / 2);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_MAX), 3 * G / 2);
        assert_int_equal(get(&w.out[0], LIMIT_TASKS_MAX), 66); /* 64, in steps of three */
        assert_int_equal(get(&w.out[1], LIMIT_TASKS_MAX), 176); /* its floor */
        assert_true(w.result.advisory[LIMIT_TASKS_MAX]);
        assert_false(w.result.advisory[LIMIT_MEMORY_MAX]);
        done(&w);
}

/* Each device for itself: who is idle on one may be busy on the other. */
static void test_use_devices(void **state) {
        const LimitKnob a = { LIMIT_IO_WRITE_BANDWIDTH_MAX, 1 }, b = { LIMIT_IO_WRITE_BANDWIDTH_MAX, 2 };
        static const uint64_t use[2][2] = { { 0, 6400000 }, { 6400000, 0 } };
        uint64_t v = 0;
        World w = {};

        (void)state;
        assert_int_equal(limit_set_put(&w.sum, a, 12800000, 0), 0);
        assert_int_equal(limit_set_put(&w.sum, b, 12800000, 0), 0);
        for (size_t i = 0; i < 2; i++) {
                add(&w, i + 1, 0, 0)->use = &w.use[i];
                assert_int_equal(limit_set_put(&w.use[i], a, use[i][0], 0), 0);
                assert_int_equal(limit_set_put(&w.use[i], b, use[i][1], 0), 0);
        }
        run(&w);
        assert_true(limit_set_get(&w.out[0], a, &v));
        assert_int_equal(v, 800000);
        assert_true(limit_set_get(&w.out[0], b, &v));
        assert_int_equal(v, 12000000);
        assert_true(limit_set_get(&w.out[1], a, &v));
        assert_int_equal(v, 12000000);
        done(&w);
}

/* Growth waits for what others hold, the smallest grows first, and floors are waited for by nobody. */
static void test_settle(void **state) {
        enum { NONE = 99999999 };
        static const struct {
                uint64_t held[3], out[3];
                bool unsettled;
        } rows[] = {
                { { 1000000, 1000000, 1000000 }, { 1000000, 1000000, 1000000 }, false },
                { { NONE, NONE, NONE }, { 1000000, 1000000, 1000000 }, false },
                { { NONE, 500000, 1000000 }, { 1000000, 500000, 1000000 }, true },
                { { 2600000, 200000, 200000 }, { 1000000, 200000, 200000 }, true },
                { { 1600000, 400000, 600000 }, { 1000000, 700000, 700000 }, true },
                { { 1600000, 300000, 800000 }, { 1000000, 600000, 800000 }, true },
                { { 1000000, 300000, 400000 }, { 1000000, 1000000, 1000000 }, false },
                { { 1500000, 300000, 1180000 },
                  { 1000000, 320000, 1000000 },
                  true }, /* little, but it is needed */
                { { 1010001, 990000, 999999 },
                  { 1000000, 990000, 999999 },
                  false }, /* crumbs are nothing to wait for */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                World w = {};

                put(&w.sum, LIMIT_CPU_QUOTA, 3000000);
                for (size_t k = 0; k < 3; k++) {
                        add(&w, k + 1, 0, 0)->held = &w.held[k];
                        if (rows[i].held[k] != NONE)
                                put(&w.held[k], LIMIT_CPU_QUOTA, rows[i].held[k]);
                }
                run(&w);
                for (size_t k = 0; k < 3; k++)
                        if (get(&w.out[k], LIMIT_CPU_QUOTA) != rows[i].out[k])
                                fail_msg("row %zu part %zu: %llu", i, k,
                                         (unsigned long long)get(&w.out[k], LIMIT_CPU_QUOTA));
                assert_int_equal(w.result.unsettled, rows[i].unsettled);
                done(&w);
        }
}

/* Who has the equal share already does not get the rest in crumbs. */
static void test_settle_crumbs(void **state) {
        static const uint64_t use[] = { 1000000, 1000000, 0 }, held[] = { 1000000, 1000000, 980000 };
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_CPU_QUOTA, 3000000);
        for (size_t i = 0; i < 3; i++) {
                SharePart *p = add(&w, i + 1, 0, 0);

                p->use = &w.use[i];
                p->held = &w.held[i];
                assert_int_equal(limit_set_put(&w.use[i], knob(LIMIT_CPU_QUOTA), use[i], 0), 0);
                put(&w.held[i], LIMIT_CPU_QUOTA, held[i]);
        }
        run(&w);
        assert_int_equal(get(&w.out[0], LIMIT_CPU_QUOTA), 1000000);
        assert_int_equal(get(&w.out[1], LIMIT_CPU_QUOTA), 1000000);
        assert_int_equal(get(&w.out[2], LIMIT_CPU_QUOTA), 140625);
        assert_true(w.result.unsettled);
        done(&w);
}

static void test_settle_memory(void **state) {
        World w = {};

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, 2 * G);
        for (size_t i = 0; i < 2; i++)
                add(&w, i + 1, 0, 0)->held = &w.held[i];
        /* the first has borrowed and holds it: its memory.high goes down, the other waits for that */
        w.parts[0].memory_bytes = 1400 * M;
        put(&w.held[0], LIMIT_MEMORY_HIGH, 3 * G / 2);
        put(&w.held[0], LIMIT_MEMORY_MAX, 1600 * M);
        put(&w.held[1], LIMIT_MEMORY_HIGH, G / 2);
        put(&w.held[1], LIMIT_MEMORY_MAX, G / 2);
        run(&w);
        assert_int_equal(get(&w.out[0], LIMIT_MEMORY_HIGH), G);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_HIGH), G / 2);
        assert_true(w.result.unsettled);
        /* but not for the memory itself */
        put(&w.held[0], LIMIT_MEMORY_HIGH, G);
        run(&w);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_HIGH), G);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_MAX), G);
        assert_true(w.result.advisory[LIMIT_MEMORY_MAX]);
        assert_false(w.result.unsettled);
        /* nor for a memory.max that follows use down */
        w.parts[0].memory_bytes = 100 * M;
        run(&w);
        assert_int_equal(get(&w.out[0], LIMIT_MEMORY_MAX), G);
        assert_int_equal(get(&w.out[1], LIMIT_MEMORY_MAX), G);
        assert_false(w.result.advisory[LIMIT_MEMORY_MAX]);
        assert_false(w.result.unsettled);
        done(&w);
}

/* ---- turns: CPU that is used as far as the kernel lets, samples each second ---- */

typedef struct Play {
        World w;
        Demand demand[N_MAX];
        uint64_t load[N_MAX]; /* what it would use, µs per second */
        uint64_t kernel[N_MAX], writing[N_MAX]; /* INF: no ceiling; no write */
        uint64_t used[N_MAX], throttled[N_MAX];
        unsigned changes[N_MAX];
        unsigned second;
} Play;

static void play_init(Play *p, uint64_t sum, size_t n) {
        put(&p->w.sum, LIMIT_CPU_QUOTA, sum);
        for (size_t i = 0; i < n; i++) {
                SharePart *part = add(&p->w, i + 1, 0, 0);

                part->use = &p->w.use[i];
                part->held = &p->w.held[i];
                part->memory = &p->w.memory[i];
                p->kernel[i] = p->writing[i] = INF;
        }
}

static void play_done(Play *p) {
        for (size_t i = 0; i < N_MAX; i++)
                demand_deinit(&p->demand[i]);
        done(&p->w);
}

static void check_sum(const Play *p, bool was_over) {
        uint64_t sum = 0;

        for (size_t i = 0; i < p->w.n; i++)
                sum = num_add_sat(sum, p->kernel[i]);
        if (sum > p->w.sum.entries[0].value && !was_over)
                fail_msg("second %u: the kernel holds %llu", p->second, (unsigned long long)sum);
}

static bool is_over(const Play *p) {
        uint64_t sum = 0;

        for (size_t i = 0; i < p->w.n; i++)
                sum = num_add_sat(sum, p->kernel[i]);
        return sum > p->w.sum.entries[0].value;
}

/* Writes that land, in some order and some of them late; one is under way for each part. */
static void land(Play *p, bool late) {
        size_t first = next_random() % p->w.n;

        for (size_t k = 0; k < 2 * p->w.n; k++) {
                size_t i = (first + k * (p->w.n - 1 + (p->w.n == 1))) % p->w.n;
                bool over = is_over(p);

                if (late && next_random() % 3 == 0)
                        continue;
                if (p->writing[i] != INF)
                        p->kernel[i] = p->writing[i];
                p->writing[i] = INF;
                check_sum(p, over);
                if (get(&p->w.out[i], LIMIT_CPU_QUOTA) != p->kernel[i])
                        p->writing[i] = get(&p->w.out[i], LIMIT_CPU_QUOTA);
        }
}

static void look(Play *p, size_t i) {
        Sample s = { .at = p->second * USEC_PER_SEC };

        p->used[i] += MIN_OF(p->load[i], p->kernel[i]);
        p->throttled[i] += p->load[i] > p->kernel[i] ? 10 : 0;
        sample_put(&s, SAMPLE_CPU_USAGE, p->used[i]);
        sample_put(&s, SAMPLE_CPU_PERIODS, p->second * 10);
        sample_put(&s, SAMPLE_CPU_THROTTLED, p->throttled[i]);
        assert_int_equal(demand_feed(&p->demand[i], &s, SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT), NULL), 0);
        assert_int_equal(demand_use(&p->demand[i], &p->w.sum, s.at, &p->w.use[i]), 0);
        limit_set_clear(&p->w.held[i]);
        if (p->kernel[i] != INF)
                put(&p->w.held[i], LIMIT_CPU_QUOTA,
                    p->writing[i] == INF ? p->kernel[i] : MAX_OF(p->kernel[i], p->writing[i]));
}

static void turn(Play *p, bool late) {
        uint64_t before[N_MAX];

        p->second++;
        for (size_t i = 0; i < p->w.n; i++) {
                look(p, i);
                before[i] = get(&p->w.out[i], LIMIT_CPU_QUOTA);
        }
        run(&p->w);
        for (size_t i = 0; i < p->w.n; i++)
                p->changes[i] += before[i] != get(&p->w.out[i], LIMIT_CPU_QUOTA);
        land(p, late);
}

/* Two busy, one idle that wakes in second 6 and sleeps from second 13 on; three CPUs. */
static void test_wake(void **state) {
        static const struct {
                unsigned second;
                uint64_t out[3];
                bool unsettled;
        } rows[] = {
                { 1, { 1000000, 1000000, 1000000 }, false }, /* nothing known */
                { 2, { 1000000, 1000000, 140625 }, true }, /* the idle one lends */
                { 3, { 1429688, 1429687, 140625 }, false }, /* and they have it */
                { 5, { 1429688, 1429687, 140625 }, false },
                { 6, { 1000000, 1000000, 140625 }, true }, /* it ran into what it kept */
                { 7, { 1000000, 1000000, 1000000 }, false }, /* and has its share */
                { 12, { 1000000, 1000000, 1000000 }, false },
                { 20, { 1000000, 1000000, 1000000 }, false }, /* a pause changes nothing */
                { 60, { 1429688, 1429687, 140625 }, false },
        };
        unsigned before = 0;
        Play p = {};

        (void)state;
        play_init(&p, 3000000, 3);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                while (p.second < rows[i].second) {
                        p.load[0] = p.load[1] = 4000000;
                        p.load[2] = p.second + 1 >= 6 && p.second + 1 < 13 ? 4000000 : 0;
                        turn(&p, false);
                }
                for (size_t k = 0; k < 3; k++)
                        if (get(&p.w.out[k], LIMIT_CPU_QUOTA) != rows[i].out[k])
                                fail_msg("second %u part %zu: %llu", p.second, k,
                                         (unsigned long long)get(&p.w.out[k], LIMIT_CPU_QUOTA));
                assert_int_equal(p.w.result.unsettled, rows[i].unsettled);
                before = p.changes[2];
        }
        assert_in_range(before, 4, 9); /* down in some steps, as its demand fades */
        play_done(&p);
}

/* Who wakes does not take the room that was made for who woke a turn before. */
static void test_wake_series(void **state) {
        Play p = {};

        (void)state;
        play_init(&p, 8000000, 8);
        while (p.second < 30) {
                for (size_t i = 0; i < p.w.n; i++)
                        p.load[i] = i == 0 || p.second + 1 >= 10 + i ? 8000000 : 0;
                turn(&p, false);
                for (size_t i = 1; i < p.w.n; i++)
                        if (p.second > 10 + i && get(&p.w.out[i], LIMIT_CPU_QUOTA) < 1000000)
                                fail_msg("second %u: part %zu has %llu", p.second, i,
                                         (unsigned long long)get(&p.w.out[i], LIMIT_CPU_QUOTA));
        }
        play_done(&p);
}

/* Loads that come and go are no reason to write each second. */
static void test_calm(void **state) {
        static const struct {
                const char *what;
                uint64_t load[3];
                uint64_t wobble; /* permille, either way */
                unsigned period; /* on for half of it; part 0 */
                unsigned most; /* changes of one part in a minute */
        } rows[] = {
                { "steady", { 4000000, 700000, 0 }, 0, 0, 0 },
                { "wobbling, rest", { 700000, 500000, 300000 }, 100, 0, 2 },
                { "wobbling, one hungry", { 4000000, 500000, 300000 }, 100, 0, 2 },
                { "wobbling at the edge of hunger", { 800000, 800000, 4000000 }, 100, 0, 2 },
                { "wobbling, small", { 4000000, 90000, 110000 }, 100, 0, 2 },
                { "7 s on and off", { 4000000, 4000000, 4000000 }, 0, 7, 2 },
                { "7 s on and off, one thread", { 1000000, 4000000, 4000000 }, 100, 7, 2 },
                { "7 s on and off among idle", { 4000000, 0, 0 }, 0, 7, 2 },
                { "7 s on and off, small", { 200000, 4000000, 4000000 }, 100, 7, 8 },
                { "90 s on and off", { 4000000, 4000000, 0 }, 0, 90, 10 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (unsigned round = 0; round < 20; round++) {
                        unsigned before[3];
                        Play p = {};

                        play_init(&p, 3000000, 3);
                        for (unsigned minute = 0; minute < 4; minute++) {
                                memcpy(before, p.changes, sizeof(before));
                                for (unsigned t = 0; t < 60; t++) {
                                        for (size_t k = 0; k < 3; k++) {
                                                uint64_t permille = 1000 - rows[i].wobble +
                                                                    next_random() % (2 * rows[i].wobble + 1);

                                                p.load[k] = rows[i].load[k] * permille / 1000;
                                        }
                                        if (rows[i].period > 0 &&
                                            p.second % rows[i].period >= rows[i].period / 2)
                                                p.load[0] = 0;
                                        turn(&p, false);
                                }
                                for (size_t k = 0; k < 3 && minute > 0; k++)
                                        if (p.changes[k] - before[k] > rows[i].most)
                                                fail_msg("%s: part %zu changed %u times", rows[i].what, k,
                                                         p.changes[k] - before[k]);
                        }
                        play_done(&p);
                }
}

/* A load that grows slowly is followed; it need not go hungry, and get everything for a turn, for that. */
static void test_creep(void **state) {
        Play p = {};

        (void)state;
        play_init(&p, 3000000, 3);
        p.load[1] = p.load[2] = 4000000;
        for (p.load[0] = 300000; p.load[0] < 600000; p.load[0] += 5000) {
                uint64_t share;

                turn(&p, false);
                share = get(&p.w.out[0], LIMIT_CPU_QUOTA);
                if (p.second > 3 && (share < p.load[0] / 4 * 5 || share > p.load[0] * 2))
                        fail_msg("second %u: %llu for %llu", p.second, (unsigned long long)share,
                                 (unsigned long long)p.load[0]);
        }
        assert_in_range(p.changes[0], 3, 12);
        play_done(&p);
}

/* Random loads and ceilings, writes that land late and in any order. */
static void test_play(void **state) {
        (void)state;
        for (unsigned round = 0; round < 1200; round++) {
                bool late = round % 2, capped = next_random() % 3 == 0;
                uint64_t most = 100000 * (next_random() % 80 + 1);
                unsigned hungry[N_MAX] = {}, before = 0;
                Play p = {};

                play_init(&p, most, next_random() % (N_MAX - 1) + 2);
                for (size_t i = 0; capped && i < p.w.n; i++)
                        if (next_random() % 2)
                                put(&p.w.own[i], LIMIT_CPU_QUOTA, most / (next_random() % 20 + 1) + 10000);
                for (unsigned t = 0; t < 60; t++) {
                        uint64_t sum = 0, level = UINT64_MAX;

                        for (size_t i = 0; i < p.w.n; i++) {
                                if (next_random() % 8 == 0)
                                        p.load[i] = next_random() % 3 ? next_random() % most : 0;
                                hungry[i] = p.load[i] > most ? hungry[i] + 1 : 0;
                        }
                        if (next_random() % 4 == 0)
                                p.load[next_random() % p.w.n] = 2 * most;
                        turn(&p, late);
                        level = most / p.w.n;
                        for (size_t i = 0; i < p.w.n; i++) {
                                uint64_t share = get(&p.w.out[i], LIMIT_CPU_QUOTA), own = INF;

                                sum += share;
                                (void)limit_set_get_scalar(&p.w.own[i], LIMIT_CPU_QUOTA, &own);
                                assert_true(share <= own);
                                if (!late && hungry[i] >= 3 && share < MIN_OF(level, own))
                                        fail_msg("round %u second %u: part %zu has %llu of %llu", round,
                                                 p.second, i, (unsigned long long)share,
                                                 (unsigned long long)level);
                        }
                        assert_true(sum <= MAX_OF(most, p.w.n * 10000));
                }
                /* at rest all of it is given out */
                for (unsigned t = 0; t < 60; t++)
                        turn(&p, late);
                for (size_t i = 0; i < p.w.n; i++)
                        before += p.changes[i];
                for (unsigned t = 0; t < 60; t++) {
                        uint64_t sum = 0;

                        turn(&p, late);
                        assert_false(p.w.result.unsettled);
                        for (size_t i = 0; i < p.w.n; i++)
                                sum += get(&p.w.out[i], LIMIT_CPU_QUOTA);
                        if (!capped)
                                assert_int_equal(sum, MAX_OF(most, p.w.n * 10000));
                }
                for (size_t i = 0; i < p.w.n; i++)
                        before -= p.changes[i];
                assert_int_equal(before, 0);
                play_done(&p);
        }
}

/* All knobs, use and held at random: any order of parts gives the same, and no write order exceeds the sum. */
static void put_some(World *w, LimitSet *set, uint64_t most) {
        for (size_t k = 0; k < w->sum.n; k++)
                if (next_random() % 4)
                        put(set, w->sum.entries[k].knob.limit,
                            next_random() % (w->sum.entries[k].value / most + 1));
}

static void test_orders(void **state) {
        (void)state;
        for (unsigned round = 0; round < 1000; round++) {
                ShareMemory memory[N_MAX] = {};
                LimitSet out[N_MAX] = {};
                World w = {};

                random_world(&w);
                for (size_t i = 0; i < w.n; i++) {
                        put_some(&w, &w.use[i], 1);
                        put_some(&w, &w.held[i], next_random() % 2 ? w.n : 1);
                        w.parts[i].use = &w.use[i];
                        w.parts[i].held = next_random() % 5 ? &w.held[i] : NULL;
                        w.parts[i].memory = &w.memory[i];
                }
                for (unsigned t = 0; t < 3; t++) {
                        bool unsettled;

                        for (size_t i = 0; i < w.n; i++) {
                                memory[i] = (ShareMemory){};
                                for (size_t k = 0; k < w.memory[i].n; k++) {
                                        assert_int_equal(GROW(memory[i].knobs, memory[i].n, memory[i].alloc),
                                                         0);
                                        memory[i].knobs[memory[i].n++] = w.memory[i].knobs[k];
                                }
                        }
                        run(&w);
                        check_world(&w);
                        unsettled = w.result.unsettled;
                        for (size_t i = 0; i < w.n; i++) {
                                assert_int_equal(limit_set_copy(&out[i], &w.out[i]), 0);
                                share_memory_deinit(&w.memory[i]);
                                w.memory[i] = memory[i];
                        }
                        for (size_t i = w.n; i > 1; i--) {
                                size_t k = next_random() % i;
                                SharePart part = w.parts[i - 1];

                                w.parts[i - 1] = w.parts[k];
                                w.parts[k] = part;
                        }
                        run(&w);
                        assert_int_equal(w.result.unsettled, unsettled);
                        for (size_t i = 0; i < w.n; i++)
                                assert_true(limit_set_same(&out[i], &w.out[i]));
                        for (size_t i = 0; i < w.n; i++) {
                                limit_set_clear(&w.use[i]);
                                put_some(&w, &w.use[i], 1);
                        }
                }
                for (size_t i = 0; i < w.n; i++)
                        limit_set_deinit(&out[i]);
                done(&w);
        }
}

/* Without memory nothing changes. */
static void test_no_memory(void **state) {
        World w = {};
        int r = -ENOMEM;

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, 2 * G);
        put(&w.sum, LIMIT_CPU_QUOTA, 2000000);
        add(&w, 1, 0, 0);
        add(&w, 2, 0, 0);
        put(&w.out[0], LIMIT_IO_WEIGHT, 5);
        w.parts[0].memory = &w.memory[0];
        for (size_t n = 0; r == -ENOMEM; n++) {
                assert_true(n < 100);
                allocations_left = n;
                r = share_apportion(&w.sum, w.parts, w.n, PAGE, &w.result);
                allocations_left = SIZE_MAX;
                if (r < 0)
                        assert_int_equal(get(&w.out[0], LIMIT_IO_WEIGHT), 5);
                if (r < 0)
                        assert_int_equal(w.memory[0].n, 0);
        }
        assert_int_equal(r, 0);
        assert_int_equal(w.memory[0].n, 2);
        assert_int_equal(get(&w.out[0], LIMIT_CPU_QUOTA), 1000000);
        done(&w);
}

static void test_origin(void **state) {
        uint32_t o = origin_pack(ORIGIN_STRICTEST, (PolicyRef){ 5000, 1000000 });

        (void)state;
        assert_int_equal(origin_kind(o), ORIGIN_STRICTEST);
        assert_int_equal(origin_ref(o).file, 1023);
        assert_int_equal(origin_ref(o).line, 262143);
        o = origin_pack(ORIGIN_RUNTIME, (PolicyRef){ 12, 345 });
        assert_int_equal(origin_kind(o), ORIGIN_RUNTIME);
        assert_int_equal(origin_ref(o).file, 12);
        assert_int_equal(origin_ref(o).line, 345);
        for (OriginKind k = 0; k < _ORIGIN_MAX; k++)
                assert_string_not_equal(origin_kind_to_string(k), "unknown");
        for (ShareState s = 0; s < _SHARE_MAX; s++)
                assert_string_not_equal(share_state_to_string(s), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_none),          cmocka_unit_test(test_one),
                cmocka_unit_test(test_water),         cmocka_unit_test(test_floors),
                cmocka_unit_test(test_steps),         cmocka_unit_test(test_rest),
                cmocka_unit_test(test_random),        cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_origin),        cmocka_unit_test(test_use),
                cmocka_unit_test(test_use_hard),      cmocka_unit_test(test_use_devices),
                cmocka_unit_test(test_settle),        cmocka_unit_test(test_settle_memory),
                cmocka_unit_test(test_wake),          cmocka_unit_test(test_calm),
                cmocka_unit_test(test_wake_series),   cmocka_unit_test(test_creep),
                cmocka_unit_test(test_settle_crumbs), cmocka_unit_test(test_play),
                cmocka_unit_test(test_orders),
        };

        seed_random();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
