/* SPDX-License-Identifier: Apache-2.0 */

/* Fair shares: trees in tables, random trees for what must hold in any. */

#include <stdio.h>
/* cmocka wants the above first */
#include "random.h"
#include "scenekit.h"

#define CPU USEC_PER_SEC
#define INF LIMIT_INFINITY
#define ROWS 6

static void compute(Kit *k) { fair_compute(&k->scene, k->fair); }

/* Within n µs, for levels are whole numbers. */
static void check(const char *what, size_t party, uint64_t is, uint64_t wanted) {
        if (is > wanted + 8 || is + 8 < wanted)
                fail_msg("%s: party %zu: %llu, not %llu", what, party, (unsigned long long)is,
                         (unsigned long long)wanted);
}

typedef struct Row {
        uint32_t parent; /* 0: the host; else the row from 1 on */
        PartyKind kind;
        uint64_t used;
        unsigned some; /* permyriad */
        unsigned weight; /* 0: 100 */
        uint64_t quota, guarantee; /* 0: none */
        uint64_t entitled;
} Row;

static void test_cpu(void **state) {
        static const struct {
                const char *what;
                Row rows[ROWS];
        } tables[] = {
                { "two who want all share by halves",
                  { { .kind = PARTY_CONTAINER, .used = 3600000, .some = 9000, .entitled = 2 * CPU },
                    { .kind = PARTY_CONTAINER, .used = 400000, .some = 9000, .entitled = 2 * CPU } } },
                { "by weights",
                  { { .kind = PARTY_CONTAINER,
                      .used = 3600000,
                      .some = 9000,
                      .weight = 300,
                      .entitled = 3 * CPU },
                    { .kind = PARTY_SERVICE, .used = 400000, .some = 9000, .entitled = CPU } } },
                { "what one leaves unused is the other's",
                  { { .kind = PARTY_CONTAINER, .used = 3600000, .some = 9000, .entitled = 3500000 },
                    { .kind = PARTY_CONTAINER, .used = 500000, .entitled = 500000 } } },
                { "who waits a little may want a little more",
                  { { .kind = PARTY_CONTAINER, .used = 3600000, .some = 9000, .entitled = 3100000 },
                    { .kind = PARTY_CONTAINER, .used = 500000, .some = 1000, .entitled = 900000 } } },
                { "a quota caps",
                  { { .kind = PARTY_CONTAINER, .used = 3000000, .some = 9000, .entitled = 3500000 },
                    { .kind = PARTY_CONTAINER,
                      .used = 500000,
                      .some = 9000,
                      .quota = 500000,
                      .entitled = 500000 } } },
                { "a guarantee comes first",
                  { { .kind = PARTY_CONTAINER,
                      .used = 3600000,
                      .some = 9000,
                      .weight = 10000,
                      .entitled = CPU },
                    { .kind = PARTY_CONTAINER,
                      .used = 400000,
                      .some = 9000,
                      .guarantee = 3 * CPU,
                      .entitled = 3 * CPU } } },
                { "but nobody needs it who does not want it",
                  { { .kind = PARTY_CONTAINER, .used = 3600000, .some = 9000, .entitled = 3600000 },
                    { .kind = PARTY_CONTAINER, .used = 400000, .guarantee = 3 * CPU, .entitled = 400000 } } },
                { "more is guaranteed than there is",
                  { { .kind = PARTY_CONTAINER,
                      .used = 2000000,
                      .some = 9900,
                      .guarantee = 4 * CPU,
                      .entitled = 2 * CPU },
                    { .kind = PARTY_CONTAINER,
                      .used = 2000000,
                      .some = 9900,
                      .guarantee = 4 * CPU,
                      .entitled = 2 * CPU } } },
                { "a group divides what the group has",
                  { { .kind = PARTY_GROUP, .entitled = 2 * CPU },
                    { .parent = 1, .kind = PARTY_CONTAINER, .used = 1500000, .some = 9000, .entitled = CPU },
                    { .parent = 1, .kind = PARTY_CONTAINER, .used = 1500000, .some = 9000, .entitled = CPU },
                    { .kind = PARTY_CONTAINER, .used = 1000000, .some = 9000, .entitled = 2 * CPU } } },
                { "a group's quota is all that those in it have",
                  { { .kind = PARTY_GROUP, .quota = CPU, .entitled = CPU },
                    { .parent = 1,
                      .kind = PARTY_CONTAINER,
                      .used = 500000,
                      .some = 9000,
                      .entitled = 500000 },
                    { .parent = 1,
                      .kind = PARTY_CONTAINER,
                      .used = 500000,
                      .some = 9000,
                      .entitled = 500000 },
                    { .kind = PARTY_CONTAINER, .used = 3000000, .some = 9000, .entitled = 3 * CPU } } },
                { "a guarantee is worth something below a light group, too",
                  { { .kind = PARTY_GROUP, .weight = 1, .entitled = 3 * CPU },
                    { .parent = 1,
                      .kind = PARTY_CONTAINER,
                      .used = 400000,
                      .some = 9000,
                      .guarantee = 3 * CPU,
                      .entitled = 3 * CPU },
                    { .kind = PARTY_CONTAINER,
                      .used = 3600000,
                      .some = 9000,
                      .weight = 10000,
                      .entitled = CPU } } },
                { "a group's own processes are a sibling that wants what it uses",
                  { { .kind = PARTY_GROUP, .used = CPU, .entitled = 4 * CPU },
                    { .parent = 1,
                      .kind = PARTY_CONTAINER,
                      .used = 3000000,
                      .some = 9000,
                      .entitled = 3 * CPU } } },
                { "for which the group has room, too",
                  { { .kind = PARTY_GROUP, .used = CPU, .entitled = 1500000 },
                    { .parent = 1, .kind = PARTY_CONTAINER, .used = 500000, .entitled = 500000 },
                    { .kind = PARTY_CONTAINER, .used = 2500000, .some = 9000, .entitled = 2500000 } } },
                { "a group that nobody is in does not wait",
                  { { .kind = PARTY_GROUP, .used = CPU, .some = 9000, .entitled = CPU },
                    { .kind = PARTY_CONTAINER, .used = 3000000, .some = 9000, .entitled = 3 * CPU } } },
                { "an idle host",
                  { { .kind = PARTY_CONTAINER, .used = 100000, .entitled = 100000 },
                    { .kind = PARTY_CONTAINER, .used = 200000, .entitled = 200000 } } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
                static const char *const tenants[ROWS] = { "a", "b", "c", "d", "e", "f" };
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                size_t n = 0;

                kit_cpu(k, KIT_HOST, 0);
                for (; n < ROWS && tables[i].rows[n].kind != PARTY_HOST; n++) {
                        const Row *row = &tables[i].rows[n];
                        uint32_t p = kit_add(k, row->parent, row->kind, "x");

                        kit_cpu(k, p, row->used);
                        kit_stall(k, p, RESOURCE_CPU, row->some);
                        k->parties[p].tenant = tenants[n];
                        k->settings[p].cpu_guarantee = row->guarantee;
                        if (row->weight > 0)
                                k->parties[p].limits.cpu_weight = row->weight;
                        if (row->quota > 0)
                                k->parties[p].limits.cpu_quota = row->quota;
                }
                kit_run(k, 15 * USEC_PER_SEC);
                compute(k);
                check(tables[i].what, 0, k->fair[0].cpu_entitled, 4 * CPU);
                for (size_t p = 0; p < n; p++)
                        check(tables[i].what, p + 1, k->fair[p + 1].cpu_entitled, tables[i].rows[p].entitled);
        }
}

/* A tenant's guarantee is one for all its containers, wherever they are: by what they want. */
static void test_tenant(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t group = kit_add(k, KIT_HOST, PARTY_GROUP, "g"), hog;
        char name[] = "acme"; /* equal, not the same */

        (void)state;
        for (unsigned i = 0; i < 3; i++) {
                uint32_t p = kit_add(k, i == 0 ? group : KIT_HOST, PARTY_CONTAINER, "x");

                k->parties[p].tenant = i == 1 ? name : "acme";
                k->settings[p].cpu_guarantee = 3 * CPU;
                kit_cpu(k, p, 100000);
                kit_stall(k, p, RESOURCE_CPU, i < 2 ? 10000 : 0); /* 4.1, 4.1 and 0.1 */
        }
        hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        kit_cpu(k, hog, 3700000);
        kit_stall(k, hog, RESOURCE_CPU, 10000);
        k->parties[hog].limits.cpu_weight = 10000;
        k->parties[hog].tenant = "other";
        kit_run(k, 15 * USEC_PER_SEC);
        compute(k);
        check("tenant", 2, k->fair[2].cpu_entitled, 3 * CPU * 41 / 83);
        check("tenant", 3, k->fair[3].cpu_entitled, 3 * CPU * 41 / 83);
        assert_true(k->fair[4].cpu_entitled >= 3 * CPU / 83 - 8);
        /* within the guarantee: all that it wants */
        for (uint32_t p = 2; p <= 3; p++)
                kit_stall(k, p, RESOURCE_CPU, 1000);
        kit_run(k, 30 * USEC_PER_SEC);
        compute(k);
        check("tenant", 2, k->fair[2].cpu_entitled, 500000);
        check("tenant", 3, k->fair[3].cpu_entitled, 500000);
        check("tenant", 4, k->fair[4].cpu_entitled, 100000);
}

/* What is not measured is the sum of what is below; activity is, too. */
static void test_unmeasured(void **state) {
        _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
        uint32_t group = kit_add(k, KIT_HOST, PARTY_GROUP, "g");
        uint32_t idle = kit_add(k, KIT_HOST, PARTY_GROUP, "i");
        uint32_t a = kit_add(k, group, PARTY_CONTAINER, "a"), b = kit_add(k, group, PARTY_CONTAINER, "b");

        (void)state;
        kit_cpu(k, a, 300000);
        kit_cpu(k, b, 400000);
        kit_set(k, a, SAMPLE_MEMORY, 5 * KIT_M);
        kit_set(k, b, SAMPLE_MEMORY, 7 * KIT_M);
        k->parties[group].now = k->parties[idle].now = NULL;
        kit_run(k, 5 * USEC_PER_SEC);
        compute(k);
        assert_int_equal(k->fair[group].cpu_used, 700000);
        check("sum", group, k->fair[group].cpu_entitled, 700000);
        assert_int_equal(k->fair[group].memory, 12 * KIT_M);
        assert_true(k->fair[group].cpu_active && k->fair[KIT_HOST].cpu_active);
        assert_false(k->fair[idle].cpu_active);
        assert_false(k->fair[group].io_active);
}

/* Who has just begun is seen as what it is now. */
static void test_just_now(void **state) {
        _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
        uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        unsigned busy;

        (void)state;
        assert_false(fair_cpu_busy(&k->scene, k->fair, &busy));
        kit_cpu(k, hog, 0);
        kit_run(k, 20 * USEC_PER_SEC);
        assert_true(fair_cpu_busy(&k->scene, k->fair, &busy));
        assert_int_equal(busy, 0);
        kit_cpu(k, hog, 1900000);
        kit_run(k, USEC_PER_SEC);
        compute(k);
        assert_int_equal(k->fair[hog].cpu_used, 1900000);
        assert_true(fair_cpu_busy(&k->scene, k->fair, &busy));
        assert_int_equal(busy, 9500);
        k->scene.n_cpus = 0;
        assert_false(fair_cpu_busy(&k->scene, k->fair, &busy));
        compute(k);
        assert_int_equal(k->fair[hog].cpu_entitled, 0);
}

static void test_frozen(void **state) {
        _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
        uint32_t a = kit_add(k, KIT_HOST, PARTY_CONTAINER, "a");
        uint32_t b = kit_add(k, KIT_HOST, PARTY_CONTAINER, "b");

        (void)state;
        kit_cpu(k, a, 0);
        kit_stall(k, a, RESOURCE_CPU, 9000);
        kit_set(k, a, SAMPLE_FROZEN, 1);
        kit_cpu(k, b, 2000000);
        kit_stall(k, b, RESOURCE_CPU, 9000);
        kit_run(k, 15 * USEC_PER_SEC);
        compute(k);
        assert_int_equal(k->fair[a].cpu_entitled, 0);
        check("frozen", b, k->fair[b].cpu_entitled, 2 * CPU);
}

static void test_io(void **state) {
        _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
        uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        uint32_t group = kit_add(k, KIT_HOST, PARTY_GROUP, "g");
        uint32_t db = kit_add(k, group, PARTY_SERVICE, "db"), other = kit_add(k, group, PARTY_CONTAINER, "o");
        uint32_t idle = kit_add(k, group, PARTY_CONTAINER, "idle");
        unsigned busy;

        (void)state;
        assert_false(fair_device_busy(&k->scene, KIT_DISK, &busy));
        /* 1 MiB as bytes, and 32 operations of 32 KiB: as much */
        kit_io(k, hog, KIT_DISK, (SampleDevice){ .wbytes = 6 * KIT_M, .wios = 96, .dios = 32 });
        kit_io(k, db, KIT_DISK, (SampleDevice){ .rbytes = KIT_M, .rios = 64 });
        kit_io(k, other, KIT_DISK + 16, (SampleDevice){ .rbytes = 1000 });
        kit_busy(k, KIT_DISK, 9000);
        kit_stall(k, hog, RESOURCE_IO, 9000);
        kit_stall(k, db, RESOURCE_IO, 9000);
        kit_run(k, 15 * USEC_PER_SEC);
        compute(k);
        assert_true(fair_device_busy(&k->scene, KIT_DISK, &busy));
        assert_int_equal(busy, 9000);
        assert_true(fair_device_busy(&k->scene, KIT_DISK + 16, &busy));
        assert_int_equal(busy, 0);
        assert_false(fair_device_busy(&k->scene, KIT_DISK + 1, &busy));
        assert_int_equal(k->fair[hog].io_dev, KIT_DISK);
        assert_int_equal(k->fair[hog].io_part, 7692); /* 10 of 13 */
        assert_int_equal(k->fair[db].io_part, 2307);
        check("io", hog, k->fair[hog].io_entitled, 5000);
        check("io", db, k->fair[db].io_entitled, 5000);
        assert_int_equal(k->fair[group].io_part, 10000); /* of the other disk */
        assert_int_equal(k->fair[other].io_dev, KIT_DISK + 16);
        assert_int_equal(k->fair[other].io_part, 10000);
        assert_int_equal(k->fair[idle].io_dev, 0);
        assert_true(k->fair[db].io_active && k->fair[KIT_HOST].io_active);
        assert_false(k->fair[idle].io_active);
        assert_int_equal(fair_device_part(&k->scene, db, KIT_DISK), 2307);
        assert_int_equal(fair_device_part(&k->scene, other, KIT_DISK), 0);
        assert_int_equal(fair_device_part(&k->scene, hog, KIT_DISK + 1), 0);
        k->io_before[other].n = 0; /* its first traffic */
        assert_int_equal(fair_device_part(&k->scene, other, KIT_DISK + 16), 10000);
        /* weights */
        k->parties[hog].limits.io_weight = 50;
        k->parties[group].limits.io_weight = 200;
        compute(k);
        check("io", hog, k->fair[hog].io_entitled, 2000);
        check("io", db, k->fair[db].io_entitled, 8000);
        /* io.cost knows what it costs */
        kit_io(k, db, KIT_DISK, (SampleDevice){ .cost_usage_usec = 300000 });
        kit_io(k, hog, KIT_DISK, (SampleDevice){ .cost_usage_usec = 100000 });
        kit_run(k, USEC_PER_SEC);
        assert_int_equal(fair_device_part(&k->scene, db, KIT_DISK), 7500);
        compute(k);
        assert_int_equal(k->fair[db].io_part, 7500);
        /* not looked at twice yet */
        k->parties[db].io_span = 0;
        assert_int_equal(fair_device_part(&k->scene, db, KIT_DISK), 0);
        k->parties[KIT_HOST].io_before = NULL;
        assert_false(fair_device_busy(&k->scene, KIT_DISK, &busy));
}

/* Who only waits (for a journal, or for pages that the kernel puts down to a cgroup of the past) wants some of the busiest
 * disk that is written to; not of another, and not who has traffic of its own. */
static void test_waiter(void **state) {
        static const struct {
                SampleDevice hog, db; /* db's: on the other disk */
                unsigned stall, other_busy;
                uint64_t entitled; /* the hog's */
        } rows[] = {
                { { .wios = 100 }, {}, 3000, 0, 7000 },
                { { .wbytes = KIT_M }, {}, 9000, 0, 5000 },
                { { .wios = 100 }, {}, 0, 0, 10000 },
                { { .rios = 100, .rbytes = KIT_M }, {}, 3000, 0, 10000 },
                { { .wios = 100 }, { .wios = 1 }, 3000, 0, 10000 },
                { { .wios = 100 }, {}, 3000, 9500, 7000 }, /* busier, but nobody writes there */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
                uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
                unsigned busy;
                dev_t dev;

                assert_false(fair_device_written(&k->scene, &dev, &busy));
                kit_io(k, hog, KIT_DISK, rows[i].hog);
                if (rows[i].db.wios > 0)
                        kit_io(k, db, KIT_DISK + 16, rows[i].db);
                kit_busy(k, KIT_DISK, 9000);
                kit_busy(k, KIT_DISK + 32, rows[i].other_busy);
                kit_stall(k, hog, RESOURCE_IO, 9900);
                kit_stall(k, db, RESOURCE_IO, rows[i].stall);
                kit_run(k, 15 * USEC_PER_SEC);
                compute(k);
                assert_true(fair_device_written(&k->scene, &dev, &busy));
                assert_int_equal(dev, rows[i].hog.rios > 0 ? 0 : KIT_DISK);
                assert_int_equal(busy, rows[i].hog.rios > 0 ? 0 : 9000);
                check("waiter", (uint32_t)i, k->fair[hog].io_entitled, rows[i].entitled);
        }
}

/* Traffic of a container inside of a service is the service's, too: it counts once. */
static void test_nested(void **state) {
        _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
        uint32_t user = kit_add(k, KIT_HOST, PARTY_SERVICE, "user@1000");
        uint32_t in = kit_add(k, user, PARTY_CONTAINER, "in"),
                 out = kit_add(k, KIT_HOST, PARTY_CONTAINER, "out");

        (void)state;
        kit_io(k, in, KIT_DISK, (SampleDevice){ .rbytes = KIT_M });
        kit_io(k, out, KIT_DISK, (SampleDevice){ .rbytes = 3 * KIT_M });
        kit_run(k, 2 * USEC_PER_SEC);
        compute(k);
        assert_int_equal(k->fair[in].io_part, 2500);
        assert_int_equal(k->fair[user].io_part, 2500);
        assert_int_equal(k->fair[out].io_part, 7500);
}

static void test_memory(void **state) {
        _cleanup_kit_ Kit *k = kit_new(2, 8 * KIT_G);
        uint32_t bare = kit_add(k, KIT_HOST, PARTY_GROUP, "bare");
        uint32_t slice = kit_add(k, KIT_HOST, PARTY_GROUP, "slice");
        uint32_t a = kit_add(k, bare, PARTY_CONTAINER, "a"), b = kit_add(k, slice, PARTY_CONTAINER, "b");
        uint32_t c = kit_add(k, KIT_HOST, PARTY_CONTAINER, "c");

        (void)state;
        k->parties[a].limits.memory_protected = 300 * KIT_M; /* inert: nothing above it */
        k->parties[b].limits.memory_protected = 300 * KIT_M;
        k->parties[slice].limits.memory_protected = 200 * KIT_M;
        k->parties[c].limits.memory_protected = 100 * KIT_M;
        compute(k);
        assert_int_equal(k->fair[a].memory_entitled, 0);
        assert_int_equal(k->fair[b].memory_entitled, 200 * KIT_M);
        assert_int_equal(k->fair[c].memory_entitled, 100 * KIT_M);
}

/* ---- any tree ---- */

static void random_tree(Kit *k) {
        static const char *const tenants[] = { "a", "b", "c" };
        uint32_t n = 2 + (uint32_t)(next_random() % 30);

        for (uint32_t i = 1; i < n; i++) {
                uint32_t parent = (uint32_t)(next_random() % i), p;

                while (k->parties[parent].kind == PARTY_CONTAINER)
                        parent = k->parties[parent].parent;
                p = kit_add(k, parent, next_random() % 3 == 0 ? PARTY_GROUP : PARTY_CONTAINER, "x");
                k->parties[p].limits.cpu_weight = 1 + (unsigned)(next_random() % 10000);
                k->parties[p].limits.io_weight = 1 + (unsigned)(next_random() % 10000);
                if (next_random() % 4 == 0)
                        k->parties[p].limits.cpu_quota = next_random() % (4 * CPU);
                if (k->parties[p].kind == PARTY_GROUP)
                        continue;
                k->parties[p].tenant = tenants[next_random() % 3];
                k->settings[p].cpu_guarantee = next_random() % 4 == 0 ? next_random() % (2 * CPU) : 0;
                kit_cpu(k, p, next_random() % CPU);
                kit_stall(k, p, RESOURCE_CPU, (unsigned)(next_random() % 10001));
                kit_stall(k, p, RESOURCE_IO, (unsigned)(next_random() % 10001));
                kit_io(k, p, KIT_DISK + 16 * (next_random() % 3),
                       (SampleDevice){ .rbytes = next_random() % KIT_G });
        }
}

static bool is_leaf(const Kit *k, uint32_t p) {
        for (uint32_t i = p + 1; i < k->scene.n; i++)
                if (k->parties[i].parent == p)
                        return false;
        return true;
}

static uint64_t wants(const Kit *k, uint32_t p) {
        uint64_t all = 0;

        if (k->parties[p].kind == PARTY_CONTAINER)
                return MIN_OF(k->fair[p].cpu_used + k->rates[p][SAMPLE_CPU_SOME] * k->scene.n_cpus,
                              k->parties[p].limits.cpu_quota);
        for (uint32_t i = p + 1; i < k->scene.n; i++)
                if (k->parties[i].parent == p)
                        all += wants(k, i);
        return MIN_OF(all, k->parties[p].limits.cpu_quota);
}

static void check_tree(const Kit *k) {
        uint64_t capacity = k->scene.n_cpus * CPU, sum = 0, wanted = wants(k, KIT_HOST);

        for (uint32_t p = 1; p < k->scene.n; p++) {
                const FairShare *f = &k->fair[p];

                assert_true(f->cpu_entitled <= k->parties[p].limits.cpu_quota);
                assert_true(f->cpu_entitled <= k->fair[k->parties[p].parent].cpu_entitled);
                assert_true(f->io_entitled <= 10000 && f->io_part <= 10000);
                if (is_leaf(k, p))
                        sum += f->cpu_entitled;
        }
        assert_true(sum <= capacity);
        if (sum + 100 < MIN_OF(capacity, wanted))
                fail_msg("%llu of %llu wanted", (unsigned long long)sum, (unsigned long long)wanted);
}

/* Turns the tree around: siblings last come first. Parents stay before their children. */
static void mirror(const Kit *k, Kit *m, uint32_t *map) {
        uint32_t depth_of[KIT_MAX] = {}, deepest = 0, n = 1;

        for (uint32_t p = 1; p < k->scene.n; p++) {
                depth_of[p] = depth_of[k->parties[p].parent] + 1;
                deepest = MAX_OF(deepest, depth_of[p]);
        }
        map[0] = 0;
        for (uint32_t d = 1; d <= deepest; d++)
                for (uint32_t p = k->scene.n; p-- > 1;)
                        if (depth_of[p] == d)
                                map[p] = n++;
        m->scene = k->scene;
        m->scene.parties = m->parties;
        for (uint32_t p = 0; p < k->scene.n; p++) {
                m->parties[map[p]] = k->parties[p];
                if (p > 0)
                        m->parties[map[p]].parent = map[k->parties[p].parent];
        }
}

static void test_random(void **state) {
        (void)state;
        for (unsigned round = 0; round < 400; round++) {
                _cleanup_kit_ Kit *k = kit_new(1 + round % 8, 8 * KIT_G), *m = kit_new(1, KIT_G);
                uint32_t map[KIT_MAX];

                random_tree(k);
                kit_run(k, 12 * USEC_PER_SEC);
                compute(k);
                check_tree(k);
                /* the order of siblings does not matter */
                mirror(k, m, map);
                compute(m);
                for (uint32_t p = 0; p < k->scene.n; p++) {
                        const FairShare *a = &k->fair[p], *b = &m->fair[map[p]];

                        assert_int_equal(a->cpu_used, b->cpu_used);
                        assert_int_equal(a->cpu_entitled, b->cpu_entitled);
                        assert_int_equal(a->io_part, b->io_part);
                        assert_int_equal(a->io_entitled, b->io_entitled);
                        assert_int_equal(a->io_dev, b->io_dev);
                        assert_true(a->cpu_active == b->cpu_active && a->io_active == b->io_active);
                }
                /* who is given a tighter quota is entitled to no more */
                for (uint32_t p = 1; p < k->scene.n; p++) {
                        uint64_t before = k->fair[p].cpu_entitled, quota = k->parties[p].limits.cpu_quota;

                        k->parties[p].limits.cpu_quota = next_random() % (CPU / 2);
                        k->parties[p].limits.cpu_quota = MIN_OF(k->parties[p].limits.cpu_quota, quota);
                        fair_compute(&k->scene, m->fair);
                        assert_true(m->fair[p].cpu_entitled <= before);
                        k->parties[p].limits.cpu_quota = quota;
                }
        }
}

static void test_hostile(void **state) {
        _cleanup_kit_ Kit *k = kit_new(UINT32_MAX, UINT64_MAX);
        uint32_t p = KIT_HOST;

        (void)state;
        fair_compute(&(Scene){}, k->fair); /* nobody */
        for (unsigned i = 0; i < 64; i++) {
                p = kit_add(k, p, i == 63 ? PARTY_CONTAINER : PARTY_GROUP, "x");
                k->parties[p].limits.cpu_weight = i % 2 ? 0 : UINT32_MAX;
                k->parties[p].limits.memory_protected = UINT64_MAX;
                kit_set(k, p, SAMPLE_CPU_USAGE, 0);
                kit_set(k, p, SAMPLE_CPU_SOME, 0);
        }
        kit_io(k, p, KIT_DISK, (SampleDevice){ .rbytes = 1 });
        k->settings[p].cpu_guarantee = UINT64_MAX;
        k->parties[p].tenant = "";
        kit_run(k, USEC_PER_SEC);
        for (uint32_t i = 0; i < k->scene.n; i++) {
                k->samples[i].v[SAMPLE_CPU_USAGE] = UINT64_MAX;
                k->samples[i].v[SAMPLE_CPU_SOME] = UINT64_MAX;
        }
        kit_run(k, USEC_PER_SEC);
        memset(k->now[p], 0xff, sizeof(k->now[p][0]));
        k->now[p][0].dev = KIT_DISK;
        compute(k);
        assert_true(k->fair[p].cpu_used > UINT64_MAX / 2);
        assert_true(k->fair[p].cpu_entitled <= UINT32_MAX * CPU);
        assert_int_equal(k->fair[p].io_part, 10000);
        /* a party that nobody is above, and one that is its own child: left out */
        k->parties[2].parent = NO_PARTY;
        k->parties[3].parent = 3;
        compute(k);
        assert_int_equal(k->fair[2].cpu_entitled, 0);
        assert_int_equal(k->fair[3].cpu_entitled, 0);
}

/* More disks than are kept apart: those of the lowest numbers count, in whatever order they come. */
static void test_disks(void **state) {
        _cleanup_kit_ Kit *k = kit_new(1, KIT_G);

        (void)state;
        for (unsigned i = 0; i < 70; i++) {
                uint32_t p = kit_add(k, KIT_HOST, PARTY_CONTAINER, "x");

                k->io_now[p].n = k->io_before[p].n = 1;
                k->before[p][0].dev = k->now[p][0].dev = k->flow[p][0].dev = 1000 - i;
                k->flow[p][0].rbytes = 100;
        }
        kit_run(k, USEC_PER_SEC);
        compute(k);
        for (uint32_t p = 1; p <= 70; p++)
                assert_int_equal(k->fair[p].io_part, p > 6 ? 10000 : 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cpu),        cmocka_unit_test(test_tenant),
                cmocka_unit_test(test_unmeasured), cmocka_unit_test(test_just_now),
                cmocka_unit_test(test_frozen),     cmocka_unit_test(test_io),
                cmocka_unit_test(test_waiter),     cmocka_unit_test(test_nested),
                cmocka_unit_test(test_memory),     cmocka_unit_test(test_random),
                cmocka_unit_test(test_hostile),    cmocka_unit_test(test_disks),
        };

        seed_random();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
