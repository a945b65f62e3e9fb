/* SPDX-License-Identifier: Apache-2.0 */

/* Tenants' sums divided: tables for the rules, random tenants for the promises. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "ceiling.h"
#include "share.h"

#define PAGE UINT64_C(4096)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define INF LIMIT_INFINITY
#define N_MAX 12

typedef struct World {
        LimitSet sum;
        LimitSet own[N_MAX], out[N_MAX];
        SharePart parts[N_MAX];
        size_t n;
        ShareResult result;
} World;

static uint64_t random_state;

static uint64_t next_random(void) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        return random_state ^= random_state << 17;
}

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
                limit_set_deinit(&w->out[i]);
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
                unsigned __int128 total = 0;
                bool floored = false;

                for (size_t i = 0; i < w->n; i++) {
                        uint64_t v = get(&w->out[i], e->knob.limit);

                        total += v;
                        floored = floored || v == PAGE || v == 10000 || v == 1;
                }
                if (e->knob.limit == LIMIT_MEMORY_HIGH || e->knob.limit == LIMIT_CPU_QUOTA) {
                        if (total > e->value && !floored)
                                fail_msg("limit %d: %zu parts exceed %llu", e->knob.limit, w->n,
                                         (unsigned long long)e->value);
                } else if (total > e->value)
                        assert_true(w->result.advisory[e->knob.limit]);
                if (w->result.advisory[e->knob.limit])
                        assert_true(total > e->value);
        }
        for (size_t i = 0; i < w->n; i++) {
                uint64_t use = w->parts[i].memory_bytes;

                if (limit_set_find(&w->out[i], knob(LIMIT_MEMORY_MAX)))
                        assert_true(get(&w->out[i], LIMIT_MEMORY_MAX) >= use + use / 10);
                if (limit_set_find(&w->out[i], knob(LIMIT_MEMORY_SWAP_MAX)))
                        assert_true(get(&w->out[i], LIMIT_MEMORY_SWAP_MAX) >= w->parts[i].swap_bytes);
                if (limit_set_find(&w->out[i], knob(LIMIT_TASKS_MAX)))
                        assert_true(get(&w->out[i], LIMIT_TASKS_MAX) >= w->parts[i].tasks + 64);
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

/* Without memory nothing changes. */
static size_t allocations_left = SIZE_MAX;

void *reallocarray(void *p, size_t n, size_t size) {
        size_t bytes;

        if (allocations_left == 0 || __builtin_mul_overflow(n, size, &bytes))
                return NULL;
        if (allocations_left != SIZE_MAX)
                allocations_left--;
        return realloc(p, bytes);
}

static void test_no_memory(void **state) {
        World w = {};
        int r = -ENOMEM;

        (void)state;
        put(&w.sum, LIMIT_MEMORY_MAX, 2 * G);
        put(&w.sum, LIMIT_CPU_QUOTA, 2000000);
        add(&w, 1, 0, 0);
        add(&w, 2, 0, 0);
        put(&w.out[0], LIMIT_IO_WEIGHT, 5);
        for (size_t n = 0; r == -ENOMEM; n++) {
                assert_true(n < 100);
                allocations_left = n;
                r = share_apportion(&w.sum, w.parts, w.n, PAGE, &w.result);
                allocations_left = SIZE_MAX;
                if (r < 0)
                        assert_int_equal(get(&w.out[0], LIMIT_IO_WEIGHT), 5);
        }
        assert_int_equal(r, 0);
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
        const char *s = getenv("SEED");
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_none),   cmocka_unit_test(test_one),
                cmocka_unit_test(test_water),  cmocka_unit_test(test_floors),
                cmocka_unit_test(test_steps),  cmocka_unit_test(test_rest),
                cmocka_unit_test(test_random), cmocka_unit_test(test_no_memory),
                cmocka_unit_test(test_origin),
        };

        random_state = s ? (uint64_t)atoll(s) : UINT64_C(0x2545f4914f6cdd1d);
        print_message("SEED=%llu\n", (unsigned long long)random_state);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
