/* SPDX-License-Identifier: Apache-2.0 */

/* Whose doing it is: scenes for each resource and each reason to leave somebody alone, random ones for the order. */

#include <stdio.h>
#include <time.h>

#include "random.h"
#include "scenekit.h"

#define RATE(x) ((SampleDevice){ .wbytes = (x), .wios = (x) / 4096 })

/* Half a minute passes, and somebody is hurt. */
static Blame blame(Kit *k, Resource r, uint32_t victim) {
        Harm harm = { .party = victim,
                      .id = k->parties[victim].id,
                      .resource = r,
                      .class = HARM_EXTERNAL,
                      .share = 5000,
                      .dev = r == RESOURCE_IO ? KIT_DISK : 0 };
        const Harm *const victims[] = { &harm };
        Blame b;

        for (unsigned i = 0; i < 30; i++) {
                kit_run(k, USEC_PER_SEC);
                fair_compute(&k->scene, k->fair);
        }
        blame_rank(&k->scene, k->fair, victims, 1, r, &b);
        return b;
}

static const Candidate *candidate(const Blame *b, uint32_t party) {
        for (unsigned i = 0; i < b->n; i++)
                if (b->candidates[i].party == party)
                        return &b->candidates[i];
        fail_msg("party %u is no candidate", party);
        return NULL;
}

/* Four CPUs, all of them used: by a hog most, by another one some, by the victim a little. */
static Kit *cpu_kit(uint32_t *ret_web, uint32_t *ret_hog, uint32_t *ret_other) {
        Kit *k = kit_new(4, 8 * KIT_G);

        *ret_web = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web");
        *ret_hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        *ret_other = kit_add(k, KIT_HOST, PARTY_CONTAINER, "other");
        kit_cpu(k, *ret_web, 400000);
        kit_cpu(k, *ret_hog, 2900000);
        kit_cpu(k, *ret_other, 700000);
        kit_stall(k, *ret_web, RESOURCE_CPU, 8000);
        kit_stall(k, *ret_hog, RESOURCE_CPU, 9000);
        return k;
}

static void test_cpu(void **state) {
        uint32_t web, hog, other;
        _cleanup_kit_ Kit *k = cpu_kit(&web, &hog, &other);
        Blame b = blame(k, RESOURCE_CPU, web);
        const Candidate *c = candidate(&b, hog);

        (void)state;
        assert_int_equal(b.outcome, BLAME_CULPRIT);
        assert_int_equal(b.culprit, hog);
        assert_true(c == &b.candidates[0]);
        assert_int_equal(c->why, BLAME_CULPRIT);
        assert_int_equal(c->used, 2900000);
        assert_int_equal(c->entitled, k->fair[hog].cpu_entitled);
        /* What it takes too much, of all CPUs. */
        assert_int_equal(c->score, (2900000 - c->entitled) * 10000 / 4000000);
        assert_int_equal(candidate(&b, other)->why, BLAME_ENTITLED);
        assert_int_equal(candidate(&b, web)->why, BLAME_VICTIM);
}

/*
 * Whom a quota holds takes no more than that, whatever one look says: where timers come late the kernel lets it have more
 * in one period and takes it back in the next ones. A lease of ours is none of these: what it used a moment ago counts.
 */
static void test_quota(void **state) {
        static const struct {
                bool own, above, leased;
                uint64_t quota, beneath;
                BlameWhy outcome;
        } rows[] = {
                { false, false, false, LIMIT_INFINITY, LIMIT_INFINITY, BLAME_CULPRIT },
                { true, false, false, 1500000, 1500000, BLAME_SMALL },
                { false, true, false, 1500000, LIMIT_INFINITY, BLAME_SMALL },
                { true, false, true, 1500000, LIMIT_INFINITY, BLAME_CULPRIT },
                { true, false, true, 1000000, 1500000, BLAME_CULPRIT },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                uint32_t slice = kit_add(k, KIT_HOST, PARTY_GROUP, "slice");
                uint32_t hog = kit_add(k, slice, PARTY_CONTAINER, "hog");
                uint32_t web = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web");
                Blame b;

                kit_cpu(k, web, 1700000);
                kit_cpu(k, hog, 2300000);
                kit_stall(k, web, RESOURCE_CPU, 9000);
                kit_stall(k, hog, RESOURCE_CPU, 9000);
                if (rows[i].own)
                        k->parties[hog].limits.cpu_quota = rows[i].quota;
                if (rows[i].above)
                        k->parties[slice].limits.cpu_quota = rows[i].quota;
                k->parties[hog].leased[LEVER_CPU] = rows[i].leased;
                k->parties[hog].beneath[LEVER_CPU] = rows[i].beneath;
                b = blame(k, RESOURCE_CPU, web);
                assert_int_equal(candidate(&b, hog)->used, 2300000);
                if (rows[i].outcome == BLAME_CULPRIT)
                        assert_int_equal(b.culprit, hog);
                else {
                        assert_int_equal(b.culprit, NO_PARTY);
                        assert_int_equal(candidate(&b, hog)->score, 0);
                        assert_int_equal(candidate(&b, hog)->why, rows[i].outcome);
                }
        }
}

/* Who stands first and may not be held back ends it: nobody stands in. */
static void test_out_of_reach(void **state) {
        static const struct {
                BlameWhy outcome;
                bool service, protected, held;
                unsigned priority;
        } rows[] = {
                { BLAME_CULPRIT, false, false, false, 100 },  { BLAME_CULPRIT, false, false, false, 50 },
                { BLAME_PRIORITY, false, false, false, 101 }, { BLAME_PROTECTED, false, true, false, 100 },
                { BLAME_HELD, false, false, true, 100 },      { BLAME_SERVICE, true, false, false, 100 },
                { BLAME_SERVICE, true, true, true, 1000 },    { BLAME_PROTECTED, false, true, true, 101 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint32_t web, hog, other;
                _cleanup_kit_ Kit *k = cpu_kit(&web, &hog, &other);
                Blame b;

                kit_cpu(k, other, 1100000); /* is to blame too, but less */
                kit_stall(k, other, RESOURCE_CPU, 9000);
                k->settings[hog].priority = rows[i].priority;
                if (rows[i].service) {
                        k->parties[hog].kind = PARTY_SERVICE;
                        k->parties[hog].settings = NULL;
                }
                k->parties[hog].protected_why = rows[i].protected ? "Protect=" : NULL;
                k->parties[hog].held = rows[i].held;
                b = blame(k, RESOURCE_CPU, web);
                assert_int_equal(b.candidates[0].party, hog);
                assert_int_equal(b.outcome, rows[i].outcome);
                assert_int_equal(b.candidates[0].why, rows[i].outcome);
                assert_int_equal(b.culprit, rows[i].outcome == BLAME_CULPRIT ? hog : NO_PARTY);
                assert_int_not_equal(candidate(&b, other)->why, BLAME_CULPRIT);
        }
}

/* One of those that it hurts is enough; services and the host are above everybody. */
static void test_priorities(void **state) {
        static const struct {
                unsigned culprit, victims[2];
                PartyKind kind; /* of the second */
                BlameWhy outcome;
        } rows[] = {
                { 100, { 50, 100 }, PARTY_CONTAINER, BLAME_CULPRIT },
                { 100, { 50, 99 }, PARTY_CONTAINER, BLAME_PRIORITY },
                { 1000, { 50, 50 }, PARTY_SERVICE, BLAME_CULPRIT },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint32_t web, hog, other;
                _cleanup_kit_ Kit *k = cpu_kit(&web, &hog, &other);
                Harm harms[2];
                const Harm *const victims[] = { &harms[0], &harms[1] };
                Blame b;

                k->settings[hog].priority = rows[i].culprit;
                k->settings[web].priority = rows[i].victims[0];
                k->settings[other].priority = rows[i].victims[1];
                k->parties[other].kind = rows[i].kind;
                harms[0] = (Harm){ .party = web, .id = k->parties[web].id, .resource = RESOURCE_CPU };
                harms[1] = (Harm){ .party = other, .id = k->parties[other].id, .resource = RESOURCE_CPU };
                kit_run(k, 30 * USEC_PER_SEC);
                fair_compute(&k->scene, k->fair);
                blame_rank(&k->scene, k->fair, victims, 2, RESOURCE_CPU, &b);
                assert_int_equal(b.outcome, rows[i].outcome);
        }
}

/* The victim's own use is above its part; that is no answer to who hurts it. The next one is. */
static void test_only_victim(void **state) {
        uint32_t web, hog, other;
        _cleanup_kit_ Kit *k = cpu_kit(&web, &hog, &other);
        Blame b = blame(k, RESOURCE_CPU, hog);

        (void)state;
        assert_int_equal(candidate(&b, hog)->why, BLAME_VICTIM);
        assert_int_not_equal(b.culprit, hog);
        assert_int_equal(b.culprit, NO_PARTY);
        kit_cpu(k, other, 2000000);
        kit_stall(k, other, RESOURCE_CPU, 9000);
        b = blame(k, RESOURCE_CPU, hog);
        assert_int_equal(b.culprit, other);
}

static void test_nobody(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t web = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web");
        Blame b;

        (void)state;
        kit_cpu(k, web, 400000);
        b = blame(k, RESOURCE_CPU, web);
        assert_int_equal(b.outcome, BLAME_VICTIM);
        assert_int_equal(b.culprit, NO_PARTY);
        (void)kit_add(k, KIT_HOST, PARTY_CONTAINER, "quiet");
        b = blame(k, RESOURCE_CPU, web);
        assert_int_equal(b.culprit, NO_PARTY);
        assert_int_equal(b.outcome, BLAME_ENTITLED);
}

/* What no cgroup explains. */
static void test_kernel(void **state) {
        uint32_t web, hog, other;
        _cleanup_kit_ Kit *k = cpu_kit(&web, &hog, &other);
        Blame b;

        (void)state;
        k->rates[hog][SAMPLE_CPU_USAGE] = 100000; /* the host's own is as it was */
        kit_stall(k, hog, RESOURCE_CPU, 0);
        b = blame(k, RESOURCE_CPU, web);
        assert_int_equal(b.outcome, BLAME_KERNEL);
        assert_int_equal(b.culprit, NO_PARTY);
        assert_int_equal(b.candidates[0].party, NO_PARTY);
        assert_int_equal(b.candidates[0].used, 2800000);
        assert_int_equal(b.candidates[0].score, 3500);
}

/* ---- memory ---- */

static void test_memory(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
        uint32_t big = kit_add(k, KIT_HOST, PARTY_CONTAINER, "big");
        uint32_t grows = kit_add(k, KIT_HOST, PARTY_CONTAINER, "grows");
        uint32_t within = kit_add(k, KIT_HOST, PARTY_CONTAINER, "within");
        Blame b;

        (void)state;
        kit_set(k, db, SAMPLE_MEMORY, KIT_G);
        kit_set(k, big, SAMPLE_MEMORY, 4 * KIT_G);
        kit_set(k, grows, SAMPLE_MEMORY, KIT_G);
        kit_set(k, within, SAMPLE_MEMORY, KIT_G);
        kit_rate(k, grows, SAMPLE_MEMORY, 20 * KIT_M); /* not a counter, but it grows like one */
        kit_rate(k, within, SAMPLE_MEMORY, 10 * KIT_M);
        k->parties[within].limits.memory_protected = 3 * KIT_G;
        k->parties[KIT_HOST].limits.memory_protected = 3 * KIT_G;
        kit_rate(k, db, SAMPLE_REFAULT_FILE, 3000);
        kit_rate(k, grows, SAMPLE_PGSCAN, 1000);
        b = blame(k, RESOURCE_MEMORY, db);
        assert_int_equal(b.culprit, grows);
        assert_int_equal(candidate(&b, grows)->growth, 20 * KIT_M);
        assert_in_range(candidate(&b, grows)->growth_part, 6665, 6667);
        assert_int_equal(candidate(&b, grows)->refault_part, 2500);
        assert_int_equal(candidate(&b, grows)->refaults, 1000);
        assert_int_equal(candidate(&b, big)->growth_part, 0);
        assert_int_equal(candidate(&b, big)->used_part, 5000);
        assert_int_equal(candidate(&b, big)->score, 5000 / 3);
        assert_int_equal(candidate(&b, big)->why, BLAME_LESS);
        /* Growing into what it was promised is nobody's fault. */
        assert_int_equal(candidate(&b, within)->score, 0);
        assert_int_equal(candidate(&b, within)->why, BLAME_ENTITLED);
}

/* Nobody grows: what there is counts for more. */
static void test_memory_still(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
        uint32_t big = kit_add(k, KIT_HOST, PARTY_CONTAINER, "big");
        uint32_t shrinks = kit_add(k, KIT_HOST, PARTY_CONTAINER, "shrinks");
        Blame b;

        (void)state;
        kit_set(k, db, SAMPLE_MEMORY, KIT_G);
        kit_set(k, big, SAMPLE_MEMORY, 4 * KIT_G);
        kit_set(k, shrinks, SAMPLE_MEMORY, 5 * KIT_G);
        kit_rate(k, shrinks, SAMPLE_MEMORY, (uint64_t)-100 * KIT_M);
        b = blame(k, RESOURCE_MEMORY, db);
        assert_int_equal(b.culprit, big);
        assert_int_equal(candidate(&b, big)->score, 5000 * 5 / 6);
        assert_int_equal(candidate(&b, shrinks)->growth, 0);
}

/* ---- disks and tasks ---- */

static void test_io(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
        uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
        uint32_t elsewhere = kit_add(k, KIT_HOST, PARTY_CONTAINER, "elsewhere");
        Blame b;

        (void)state;
        kit_io(k, db, KIT_DISK, RATE(4096000));
        kit_io(k, hog, KIT_DISK, RATE(81920000));
        kit_io(k, elsewhere, KIT_DISK + 16, RATE(819200000));
        kit_busy(k, KIT_DISK, 9900);
        kit_stall(k, db, RESOURCE_IO, 6000);
        kit_stall(k, hog, RESOURCE_IO, 9000);
        b = blame(k, RESOURCE_IO, db);
        assert_int_equal(b.dev, KIT_DISK);
        assert_int_equal(b.culprit, hog);
        assert_int_equal(candidate(&b, hog)->used, fair_device_part(&k->scene, hog, KIT_DISK));
        assert_int_equal(candidate(&b, hog)->score, candidate(&b, hog)->used - k->fair[hog].io_entitled);
        assert_int_equal(candidate(&b, elsewhere)->score, 0); /* that is another disk */
}

/* What no cgroup does on the disk: some of what it writes may be on their behalf. */
static void test_io_kernel(void **state) {
        static const struct {
                SampleDevice kernel; /* a second */
                BlameWhy outcome;
        } rows[] = {
                { {}, BLAME_CULPRIT },
                { RATE(43008000), BLAME_CULPRIT }, /* journals */
                { RATE(4 * 43008000), BLAME_CULPRIT },
                { RATE(14 * 43008000), BLAME_KERNEL }, /* a RAID that is rebuilt */
                { { .rbytes = 10 * 43008000, .rios = 10 * 10500 },
                  BLAME_KERNEL }, /* files that the kernel serves */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
                uint32_t hog = kit_add(k, KIT_HOST, PARTY_CONTAINER, "hog");
                Blame b;

                kit_io(k, db, KIT_DISK, RATE(2048000));
                kit_io(k, hog, KIT_DISK, RATE(40960000));
                kit_io(k, KIT_HOST, KIT_DISK, rows[i].kernel);
                kit_busy(k, KIT_DISK, 9900);
                kit_stall(k, db, RESOURCE_IO, 6000);
                kit_stall(k, hog, RESOURCE_IO, 9000);
                b = blame(k, RESOURCE_IO, db);
                assert_int_equal(b.outcome, rows[i].outcome);
                assert_int_equal(b.culprit, rows[i].outcome == BLAME_CULPRIT ? hog : NO_PARTY);
                if (rows[i].outcome != BLAME_KERNEL)
                        continue;
                assert_int_equal(b.candidates[0].party, NO_PARTY);
                assert_in_range(b.candidates[0].used, 9080, 9100); /* ten parts, theirs is one */
                assert_in_range(candidate(&b, hog)->used, 860, 870);
        }
}

/* A service has just begun, and nobody has looked at it: until then what it writes is no journal of those who were. */
static void test_io_unseen(void **state) {
        (void)state;
        for (unsigned all = 0; all < 2; all++) {
                _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                uint32_t web = kit_add(k, KIT_HOST, PARTY_CONTAINER, "web");
                uint32_t busy = kit_add(k, KIT_HOST, PARTY_CONTAINER, "busy");
                Blame b;

                k->scene.all_looked_at = all;
                kit_io(k, web, KIT_DISK, RATE(409600));
                kit_io(k, busy, KIT_DISK, RATE(4096000));
                kit_io(k, KIT_HOST, KIT_DISK, RATE(12288000));
                kit_busy(k, KIT_DISK, 9900);
                kit_stall(k, web, RESOURCE_IO, 4000);
                b = blame(k, RESOURCE_IO, web);
                assert_int_equal(b.outcome, all ? BLAME_CULPRIT : BLAME_KERNEL);
        }
}

/* Memory that is in no cgroup counts by what it becomes more, not by what it is. */
static void test_memory_kernel(void **state) {
        static const struct {
                uint64_t growth; /* bytes a second */
                BlameWhy outcome;
        } rows[] = {
                { 0, BLAME_CULPRIT },
                { KIT_M / 2, BLAME_CULPRIT },
                { 10 * KIT_M, BLAME_CULPRIT },
                { 300 * KIT_M, BLAME_KERNEL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_kit_ Kit *k = kit_new(4, 32 * KIT_G);
                uint32_t db = kit_add(k, KIT_HOST, PARTY_CONTAINER, "db");
                uint32_t grows = kit_add(k, KIT_HOST, PARTY_CONTAINER, "grows");
                Blame b;

                k->outside = 8 * KIT_G;
                k->outside_rate = rows[i].growth;
                kit_set(k, db, SAMPLE_MEMORY, KIT_G);
                kit_set(k, grows, SAMPLE_MEMORY, KIT_G);
                kit_rate(k, grows, SAMPLE_MEMORY, 20 * KIT_M);
                kit_rate(k, db, SAMPLE_REFAULT_FILE, 3000);
                b = blame(k, RESOURCE_MEMORY, db);
                assert_int_equal(b.outcome, rows[i].outcome);
                assert_int_equal(b.culprit, rows[i].outcome == BLAME_CULPRIT ? grows : NO_PARTY);
                if (rows[i].growth <= KIT_M / 2)
                        assert_in_range(candidate(&b, grows)->growth_part, 10000, 10000);
        }
}

static void test_pids(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t many = kit_add(k, KIT_HOST, PARTY_CONTAINER, "many");
        uint32_t bomb = kit_add(k, KIT_HOST, PARTY_CONTAINER, "bomb");
        uint32_t full = kit_add(k, KIT_HOST, PARTY_CONTAINER, "full");
        Blame b;

        (void)state;
        kit_set(k, many, SAMPLE_PIDS, 6000);
        kit_set(k, bomb, SAMPLE_PIDS, 100);
        kit_set(k, full, SAMPLE_PIDS, 500);
        kit_rate(k, bomb, SAMPLE_PIDS, 300);
        kit_rate(k, full, SAMPLE_PIDS_EVENTS_MAX, 100); /* it would, if it could */
        k->scene.host_tasks = 30000;
        b = blame(k, RESOURCE_PIDS, KIT_HOST);
        assert_int_equal(b.culprit, bomb);
        assert_int_equal(candidate(&b, bomb)->growth, 300);
        assert_int_equal(candidate(&b, bomb)->growth_part, 7500);
        assert_int_equal(candidate(&b, full)->growth_part, 2500);
        /* Of all tasks of the host, those of quiet ones too. */
        assert_int_equal(candidate(&b, many)->used_part, 2000);
        assert_int_equal(candidate(&b, many)->score, 1000);
        k->scene.host_tasks = 0; /* not known: of those that are */
        b = blame(k, RESOURCE_PIDS, KIT_HOST);
        assert_true(candidate(&b, many)->used_part > 2000);
}

/* Where forks are counted, who passes ids through takes a tenth of them; a rate that is not counted now counts nothing. */
static void test_forks(void **state) {
        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
        uint32_t churn = kit_add(k, KIT_HOST, PARTY_CONTAINER, "churn");
        uint32_t grows = kit_add(k, KIT_HOST, PARTY_CONTAINER, "grows");
        Blame b;

        (void)state;
        kit_set(k, churn, SAMPLE_PIDS, 50);
        kit_set(k, grows, SAMPLE_PIDS, 50);
        kit_rate(k, grows, SAMPLE_PIDS, 100);
        k->scene.host_tasks = 30000;
        k->parties[churn].forks_per_sec = 3000;
        b = blame(k, RESOURCE_PIDS, KIT_HOST);
        assert_int_equal(b.culprit, grows);
        assert_int_equal(candidate(&b, churn)->forks, 0);
        k->parties[churn].have_forks = true;
        b = blame(k, RESOURCE_PIDS, KIT_HOST);
        assert_int_equal(b.culprit, churn);
        assert_int_equal(candidate(&b, churn)->forks, 3000);
        assert_int_equal(candidate(&b, churn)->growth, 0);
        assert_int_equal(candidate(&b, churn)->growth_part, 7500);
        assert_int_equal(candidate(&b, grows)->growth_part, 2500);
}

/* ---- order ---- */

/* The highest ones are kept, in order, ties by id; whoever comes first in the scene has nothing from it. */
static void test_random(void **state) {
        uint64_t seed = (uint64_t)time(NULL);

        (void)state;
        print_message("seed %llu\n", (unsigned long long)seed);
        random_state = seed | 1;
        for (unsigned round = 0; round < 60; round++) {
                unsigned n = 2 + (unsigned)(next_random() % 30);
                uint64_t use[32];
                Blame b[2];

                for (unsigned i = 0; i < n; i++)
                        use[i] = next_random() % 4 * 250000;
                for (unsigned backwards = 0; backwards < 2; backwards++) {
                        _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
                        uint32_t victim = 0;

                        for (unsigned i = 0; i < n; i++) {
                                unsigned who = backwards ? n - 1 - i : i;
                                uint32_t p = kit_add(k, KIT_HOST, PARTY_CONTAINER, "x");

                                k->parties[p].id = 5000 + who;
                                kit_cpu(k, p, use[who]);
                                kit_stall(k, p, RESOURCE_CPU, use[who] > 500000 ? 9000 : 0);
                                if (who == 0)
                                        victim = p;
                        }
                        b[backwards] = blame(k, RESOURCE_CPU, victim);
                        for (unsigned i = 1; i < b[backwards].n; i++) {
                                const Candidate *before = &b[backwards].candidates[i - 1], *c = before + 1;

                                assert_true(before->score > c->score ||
                                            (before->score == c->score && before->id < c->id));
                        }
                        if (b[backwards].culprit != NO_PARTY)
                                b[backwards].culprit = (uint32_t)k->parties[b[backwards].culprit].id;
                }
                assert_int_equal(b[0].n, b[1].n);
                assert_in_range(b[0].n, 1, CANDIDATES_MAX);
                assert_int_equal(b[0].culprit, b[1].culprit);
                assert_int_equal(b[0].outcome, b[1].outcome);
                for (unsigned i = 0; i < b[0].n; i++) {
                        assert_int_equal(b[0].candidates[i].id, b[1].candidates[i].id);
                        assert_int_equal(b[0].candidates[i].score, b[1].candidates[i].score);
                        assert_int_equal(b[0].candidates[i].why, b[1].candidates[i].why);
                }
        }
}

/* Scores are of 10000 at most, whatever the numbers, and one culprit at most is named. */
static void test_hostile(void **state) {
        static const uint64_t odd[] = { 0, 1, INT64_MAX, UINT64_MAX - 1, UINT64_MAX, UINT64_MAX / 2 };
#define ODD (odd[next_random() % ARRAY_SIZE(odd)])

        (void)state;
        random_state = 20240601;
        for (unsigned round = 0; round < 400; round++) {
                _cleanup_kit_ Kit *k = kit_new((unsigned)(next_random() % 3), ODD);
                Resource r = (Resource)(next_random() % _RESOURCE_MAX);
                Harm harm = { .resource = r, .dev = KIT_DISK };
                const Harm *const victims[] = { &harm };
                unsigned culprits = 0;
                Blame b;

                for (unsigned i = 0; i < 12; i++) {
                        uint32_t p = kit_add(k, KIT_HOST, next_random() % 4 ? PARTY_CONTAINER : PARTY_SERVICE,
                                             "x");

                        kit_set(k, p, SAMPLE_MEMORY, ODD);
                        kit_set(k, p, SAMPLE_PIDS, ODD);
                        kit_rate(k, p, SAMPLE_REFAULT_ANON, ODD);
                        kit_rate(k, p, SAMPLE_REFAULT_FILE, ODD);
                        kit_rate(k, p, SAMPLE_PIDS_EVENTS_MAX, ODD);
                        kit_rate(k, p, SAMPLE_CPU_USAGE, ODD);
                        k->parties[p].limits.memory_protected = ODD;
                        if (next_random() % 4 == 0)
                                k->parties[p].now = NULL;
                }
                k->scene.host_tasks = ODD;
                kit_run(k, 12 * USEC_PER_SEC);
                fair_compute(&k->scene, k->fair);
                harm.party = (uint32_t)(next_random() % k->scene.n);
                harm.id = k->parties[harm.party].id;
                blame_rank(&k->scene, k->fair, victims, 1, r, &b);
                assert_in_range(b.n, 0, CANDIDATES_MAX);
                for (unsigned i = 0; i < b.n; i++) {
                        assert_in_range(b.candidates[i].score, 0, 10000);
                        culprits += b.candidates[i].why == BLAME_CULPRIT;
                }
                assert_int_equal(culprits, b.culprit != NO_PARTY);
                assert_true((b.outcome == BLAME_CULPRIT) == (b.culprit != NO_PARTY));
                if (b.culprit != NO_PARTY)
                        assert_int_equal(k->parties[b.culprit].kind, PARTY_CONTAINER);
        }
#undef ODD
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cpu),           cmocka_unit_test(test_quota),
                cmocka_unit_test(test_out_of_reach),  cmocka_unit_test(test_priorities),
                cmocka_unit_test(test_only_victim),   cmocka_unit_test(test_nobody),
                cmocka_unit_test(test_kernel),        cmocka_unit_test(test_memory),
                cmocka_unit_test(test_memory_still),  cmocka_unit_test(test_io),
                cmocka_unit_test(test_io_kernel),     cmocka_unit_test(test_io_unseen),
                cmocka_unit_test(test_memory_kernel), cmocka_unit_test(test_pids),
                cmocka_unit_test(test_forks),         cmocka_unit_test(test_random),
                cmocka_unit_test(test_hostile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
