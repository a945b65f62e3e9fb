/* SPDX-License-Identifier: Apache-2.0 */

/* Who is harmed, by whom: scenes as hosts have them, what is missing in them, what is absurd; and the words for all of it. */

#include <stdio.h>
/* cmocka wants the above first */
#include "random.h"
#include "scenekit.h"

#define SEC USEC_PER_SEC

/* A tenant's slice with the one that is judged in it, and a neighbour outside: on 4 CPUs and one disk. */
typedef struct Host {
        Kit *k;
        uint32_t slice, web, hog;
} Host;

static Host host_new(void) {
        Host h = { .k = kit_new(4, 16 * KIT_G) };

        h.slice = kit_add(h.k, KIT_HOST, PARTY_GROUP, "tenant.slice");
        h.web = kit_add(h.k, h.slice, PARTY_CONTAINER, "web");
        h.hog = kit_add(h.k, KIT_HOST, PARTY_CONTAINER, "hog");
        kit_cpu(h.k, h.web, 300000);
        kit_cpu(h.k, h.hog, 100000);
        for (Resource r = RESOURCE_CPU; r <= RESOURCE_IO; r++) {
                kit_stall(h.k, h.web, r, 0);
                kit_stall(h.k, h.hog, r, 0);
        }
        kit_rate(h.k, KIT_HOST, SAMPLE_PGSCAN, 0);
        kit_rate(h.k, KIT_HOST, SAMPLE_HOST_ALLOCSTALL, 0);
        kit_rate(h.k, KIT_HOST, SAMPLE_MEMORY_FULL, 0);
        kit_set(h.k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE, 8 * KIT_G);
        kit_set(h.k, KIT_HOST, SAMPLE_HOST_SWAP_FREE, 0);
        kit_set(h.k, h.web, SAMPLE_MEMORY, KIT_G);
        kit_set(h.k, h.hog, SAMPLE_MEMORY, KIT_G);
        for (uint32_t p = h.slice; p <= h.web; p++) {
                kit_rate(h.k, p, SAMPLE_EVENTS_HIGH, 0);
                kit_rate(h.k, p, SAMPLE_EVENTS_MAX, 0);
                kit_rate(h.k, p, SAMPLE_EVENTS_OOM_KILL, 0);
        }
        kit_io(h.k, h.web, KIT_DISK, (SampleDevice){ .wbytes = 100000, .wios = 20 });
        kit_io(h.k, h.hog, KIT_DISK, (SampleDevice){ .wbytes = 100000, .wios = 20 });
        kit_busy(h.k, KIT_DISK, 100);
        return h;
}

static Harm judge(const Kit *k, uint32_t p, Resource r, const Harm *before) {
        static FairShare fair[KIT_MAX];
        Harm h;

        memset(&h, 0xff, sizeof(h));
        fair_compute(&k->scene, fair);
        harm_judge(&k->scene, fair, p, r, before, &h);
        assert_true(h.confidence <= 100 && h.own <= 10000 && h.share <= 10000);
        assert_int_equal(h.party, p);
        assert_true(h.class == HARM_NONE || !h.calm);
        return h;
}

/* ---- what makes rows ---- */

static void cpu_contended(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_CPU, 6000);
        kit_stall(h->k, h->hog, RESOURCE_CPU, 9000);
        kit_cpu(h->k, h->hog, 3500000);
}

static void cpu_idle(Host *h) { kit_stall(h->k, h->web, RESOURCE_CPU, 6000); }

static void cpu_below(Host *h) {
        cpu_contended(h);
        kit_stall(h->k, h->web, RESOURCE_CPU, 2900);
}

/* MEASURED: 30 % with 4 spinners: 4826 ms of stall in 5 s, throttled in every period. */
static void cpu_own_quota(Host *h) {
        cpu_contended(h);
        kit_stall(h->k, h->web, RESOURCE_CPU, 9652);
        h->k->parties[h->web].limits.cpu_quota = 300000;
        kit_throttled(h->k, h->web, 10000);
        kit_rate(h->k, h->web, SAMPLE_CPU_THROTTLED_USEC, 1756000);
}

/* The same quota on the slice above: the container's own counters of throttling stand still. */
static void cpu_group_quota(Host *h) {
        cpu_contended(h);
        kit_stall(h->k, h->web, RESOURCE_CPU, 10000);
        h->k->parties[h->slice].limits.cpu_quota = 300000;
        kit_throttled(h->k, h->slice, 10000);
        kit_throttled(h->k, h->web, 0);
        kit_rate(h->k, h->web, SAMPLE_CPU_THROTTLED_USEC, 0);
}

static void cpu_our_lease(Host *h) {
        cpu_own_quota(h);
        h->k->parties[h->web].leased[LEVER_CPU] = true;
}

static void cpu_our_lease_above(Host *h) {
        cpu_group_quota(h);
        h->k->parties[h->slice].leased[LEVER_CPU] = true;
}

/* Siblings fight over their group's quota: their tenant's doing, whatever goes on outside. */
static void cpu_group_contended(Host *h) {
        uint32_t sibling = kit_add(h->k, h->slice, PARTY_CONTAINER, "sibling");

        cpu_group_quota(h);
        kit_cpu(h->k, sibling, 600000);
        kit_stall(h->k, sibling, RESOURCE_CPU, 9000);
}

static void cpu_a_little_throttled(Host *h) {
        cpu_contended(h);
        h->k->parties[h->web].limits.cpu_quota = 2000000;
        kit_throttled(h->k, h->web, 2000); /* a third of 60 % */
}

/* Here and above, at different times. */
static void cpu_throttled_twice(Host *h) {
        cpu_a_little_throttled(h);
        h->k->parties[h->slice].limits.cpu_quota = 2000000;
        kit_throttled(h->k, h->slice, 2000);
}

static void cpu_hardly_throttled(Host *h) {
        cpu_contended(h);
        kit_stall(h->k, h->web, RESOURCE_CPU, 9500);
        h->k->parties[h->web].limits.cpu_quota = 2000000;
        kit_rate(h->k, h->web, SAMPLE_CPU_PERIODS, 100);
        kit_rate(h->k, h->web, SAMPLE_CPU_THROTTLED, 5);
}

/* It has half the host, which is its share, and more threads than that. */
static void cpu_entitled(Host *h) {
        cpu_contended(h);
        kit_cpu(h->k, h->web, 1700000);
        kit_cpu(h->k, h->hog, (uint64_t)-1600000);
}

static void cpu_busy_unknown(Host *h) {
        cpu_contended(h);
        h->k->samples[KIT_HOST].have &= ~SAMPLE_BIT(SAMPLE_CPU_USAGE);
}

static void cpu_use_unknown(Host *h) {
        cpu_contended(h);
        h->k->samples[h->web].have &= ~SAMPLE_BIT(SAMPLE_CPU_USAGE);
}

/* A quota above, and nobody read how often it held something back. */
static void cpu_group_unmeasured(Host *h) {
        cpu_contended(h);
        h->k->parties[h->slice].now = NULL;
        h->k->parties[h->slice].limits.cpu_quota = 2000000;
}

static void cpu_stall_unknown(Host *h) {
        cpu_contended(h);
        h->k->samples[h->web].have &= ~SAMPLE_BIT(SAMPLE_CPU_SOME);
}

static void cpu_no_cpus(Host *h) {
        cpu_contended(h);
        h->k->scene.n_cpus = 0;
}

static void cpu_baseline(Host *h) {
        cpu_contended(h);
        kit_baseline(h->k, h->web, BASELINE_CPU, 4500); /* times 1.5 is more than 60 % */
}

static void cpu_above_baseline(Host *h) {
        cpu_contended(h);
        kit_baseline(h->k, h->web, BASELINE_CPU, 3000);
}

static void cpu_start_up(Host *h) {
        cpu_contended(h);
        h->k->parties[h->web].since = h->k->scene.now - 20 * SEC; /* and 15 more */
}

static void cpu_started(Host *h) {
        cpu_contended(h);
        h->k->parties[h->web].since = h->k->scene.now - 50 * SEC;
}

static void cpu_frozen(Host *h) {
        cpu_contended(h);
        kit_set(h->k, h->web, SAMPLE_FROZEN, 1);
}

static void cpu_service(Host *h) {
        cpu_contended(h);
        h->k->parties[h->web].kind = PARTY_SERVICE;
        h->k->parties[h->web].settings = NULL;
}

static void memory_reclaim(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_MEMORY, 3000);
        kit_rate(h->k, KIT_HOST, SAMPLE_PGSCAN, 50000);
        kit_rate(h->k, h->web, SAMPLE_REFAULT_FILE, 2000);
        kit_rate(h->k, h->hog, SAMPLE_MEMORY, 100 * KIT_M);
}

static void memory_allocstall(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_MEMORY, 3000);
        kit_rate(h->k, KIT_HOST, SAMPLE_HOST_ALLOCSTALL, 3);
}

static void memory_short(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_MEMORY, 3000);
        kit_set(h->k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE, KIT_G);
}

static void memory_calm_host(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_MEMORY, 3000);
        kit_rate(h->k, KIT_HOST, SAMPLE_PGSCAN, 20); /* kswapd, as on every host */
}

static void memory_nothing_known(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_MEMORY, 3000);
        h->k->samples[KIT_HOST].have = 0;
}

static void memory_own(Host *h) {
        memory_reclaim(h);
        h->k->parties[h->web].limits.memory_high = KIT_G;
        h->k->parties[h->web].local_high = true;
}

/* Its last hit is some seconds ago, but in the window. */
static void memory_own_before(Host *h) {
        memory_reclaim(h);
        h->k->parties[h->web].limits.memory_max = KIT_G;
        kit_rate(h->k, h->web, SAMPLE_EVENTS_MAX, 1);
}

static void memory_our_lease(Host *h) {
        memory_own(h);
        h->k->parties[h->web].leased[LEVER_MEMORY] = true;
}

static void memory_group(Host *h) {
        memory_reclaim(h);
        h->k->parties[h->slice].limits.memory_max = 2 * KIT_G;
        h->k->parties[h->slice].local_max = true;
}

static void memory_our_lease_above(Host *h) {
        memory_group(h);
        h->k->parties[h->slice].leased[LEVER_MEMORY] = true;
}

/* Only the subtree's events are known (old kernel), and there is a limit. */
static void memory_group_subtree(Host *h) {
        memory_reclaim(h);
        h->k->parties[h->slice].have_local = false;
        h->k->parties[h->slice].limits.memory_max = 2 * KIT_G;
        kit_rate(h->k, h->slice, SAMPLE_EVENTS_MAX, 4);
}

static void memory_group_no_limit(Host *h) {
        memory_group_subtree(h);
        h->k->parties[h->slice].limits.memory_max = LIMIT_INFINITY;
}

/* Somebody else in the slice hits a limit of its own. */
static void memory_sibling_hits(Host *h) {
        memory_reclaim(h);
        h->k->parties[h->slice].limits.memory_max = 2 * KIT_G;
        kit_rate(h->k, h->slice, SAMPLE_EVENTS_MAX, 4);
}

static void memory_events_unknown(Host *h) {
        memory_reclaim(h);
        h->k->parties[h->slice].have_local = false;
        h->k->parties[h->slice].limits.memory_max = 2 * KIT_G;
        h->k->samples[h->slice].have &= ~SAMPLE_BIT(SAMPLE_EVENTS_MAX);
}

static void memory_grows(Host *h) {
        memory_reclaim(h);
        kit_rate(h->k, h->web, SAMPLE_MEMORY, 300 * KIT_M);
}

static void memory_grows_a_little(Host *h) {
        memory_reclaim(h);
        kit_rate(h->k, h->web, SAMPLE_MEMORY, KIT_M / 8);
        kit_rate(h->k, h->hog, SAMPLE_MEMORY, 0);
}

static void io_contended(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_IO, 7000);
        kit_io(h->k, h->hog, KIT_DISK, (SampleDevice){ .wbytes = 200 * KIT_M, .wios = 400 });
        kit_busy(h->k, KIT_DISK, 9800);
}

/* A database that syncs, and nobody else. */
static void io_alone(Host *h) {
        kit_stall(h->k, h->web, RESOURCE_IO, 7000);
        kit_io(h->k, h->web, KIT_DISK, (SampleDevice){ .wbytes = 4 * KIT_M, .wios = 800 });
        kit_busy(h->k, KIT_DISK, 9000);
}

static void io_idle(Host *h) { kit_stall(h->k, h->web, RESOURCE_IO, 7000); }

/* It waits for a journal; no byte is its own. */
static void io_waits(Host *h) {
        io_contended(h);
        h->k->io_now[h->web].n = h->k->io_before[h->web].n = 0;
}

static void io_waits_idle(Host *h) {
        io_idle(h);
        h->k->io_now[h->web].n = h->k->io_before[h->web].n = 0;
}

static void io_other_disk(Host *h) {
        io_contended(h);
        h->k->io_now[h->web].n = h->k->io_before[h->web].n = 0;
        kit_io(h->k, h->web, KIT_DISK + 16, (SampleDevice){ .rbytes = KIT_M });
        kit_busy(h->k, KIT_DISK + 16, 1000);
}

/* All alone on an idle disk, and one of many on the busy one. */
static void io_two_disks(Host *h) {
        io_contended(h);
        kit_io(h->k, h->web, KIT_DISK + 16, (SampleDevice){ .rbytes = KIT_M });
        kit_busy(h->k, KIT_DISK + 16, 1000);
}

static void io_two_busy_disks(Host *h) {
        io_two_disks(h);
        kit_busy(h->k, KIT_DISK + 16, 9000);
}

static void io_limit(Host *h) {
        io_contended(h);
        kit_limit_io(h->k, h->web, LIMIT_IO_WRITE_IOPS_MAX, KIT_DISK, 22);
}

static void io_limit_above(Host *h) {
        io_contended(h);
        kit_limit_io(h->k, h->slice, LIMIT_IO_WRITE_BANDWIDTH_MAX, KIT_DISK, 110000);
}

static void io_far_from_limit(Host *h) {
        io_contended(h);
        kit_limit_io(h->k, h->web, LIMIT_IO_WRITE_IOPS_MAX, KIT_DISK, 40);
        kit_limit_io(h->k, h->web, LIMIT_IO_READ_BANDWIDTH_MAX, KIT_DISK, 1000);
        kit_limit_io(h->k, h->web, LIMIT_IO_DEVICE_LATENCY, KIT_DISK, 1);
}

static void io_our_lease(Host *h) {
        io_limit(h);
        h->k->parties[h->web].leased[LEVER_IO] = true;
}

static void io_unknown(Host *h) {
        io_contended(h);
        h->k->parties[h->web].io_before = NULL;
}

static void io_no_span(Host *h) {
        io_contended(h);
        h->k->flow[h->web][0] = (SampleDevice){ .dev = KIT_DISK };
        h->k->parties[h->web].io_now = NULL;
}

static void io_disks_unknown(Host *h) {
        io_contended(h);
        h->k->parties[KIT_HOST].io_now = NULL;
}

static void io_limit_unknown(Host *h) {
        io_contended(h);
        kit_limit_io(h->k, h->slice, LIMIT_IO_WRITE_BANDWIDTH_MAX, KIT_DISK, 10000000);
        h->k->parties[h->slice].io_now = NULL;
}

/* Three alike: a third is all that anybody can have. */
static void io_entitled(Host *h) {
        uint32_t third = kit_add(h->k, KIT_HOST, PARTY_CONTAINER, "third");

        kit_io(h->k, h->web, KIT_DISK, (SampleDevice){ .wbytes = 20 * KIT_M });
        kit_io(h->k, h->hog, KIT_DISK, (SampleDevice){ .wbytes = 20 * KIT_M });
        kit_io(h->k, third, KIT_DISK, (SampleDevice){ .wbytes = 20 * KIT_M });
        kit_stall(h->k, h->web, RESOURCE_IO, 9000);
        kit_stall(h->k, h->hog, RESOURCE_IO, 9000);
        kit_stall(h->k, third, RESOURCE_IO, 9000);
        kit_busy(h->k, KIT_DISK, 9900);
}

static void test_party(void **state) {
        static const struct {
                void (*make)(Host *h);
                Resource resource;
                HarmClass class;
                HarmWhy why;
                bool names_slice; /* as why_party */
        } rows[] = {
#define ROW(make, resource, class, why) { make, RESOURCE_##resource, HARM_##class, HARM_WHY_##why, false }
#define ROW_ABOVE(make, resource, class, why) \
        { make, RESOURCE_##resource, HARM_##class, HARM_WHY_##why, true }
                ROW(cpu_contended, CPU, EXTERNAL, CONTENDED),
                ROW(cpu_service, CPU, EXTERNAL, CONTENDED),
                ROW(cpu_contended, MEMORY, NONE, BELOW_TARGET),
                ROW(cpu_contended, PIDS, NONE, UNKNOWN),
                ROW(cpu_idle, CPU, OWN, CPU_IDLE),
                ROW(cpu_below, CPU, NONE, BELOW_TARGET),
                ROW(cpu_own_quota, CPU, OWN, OWN_QUOTA),
                ROW_ABOVE(cpu_group_quota, CPU, OWN, GROUP_QUOTA),
                ROW_ABOVE(cpu_group_contended, CPU, OWN, GROUP_QUOTA),
                ROW(cpu_our_lease, CPU, OWN, OUR_LEASE),
                ROW(cpu_our_lease_above, CPU, OWN, OUR_LEASE),
                ROW(cpu_a_little_throttled, CPU, MIXED, OWN_QUOTA),
                ROW(cpu_throttled_twice, CPU, OWN, OWN_QUOTA),
                ROW(cpu_hardly_throttled, CPU, EXTERNAL, CONTENDED),
                ROW(cpu_entitled, CPU, OWN, ENTITLED),
                ROW(cpu_busy_unknown, CPU, MIXED, UNKNOWN),
                ROW(cpu_use_unknown, CPU, MIXED, UNKNOWN),
                ROW(cpu_group_unmeasured, CPU, MIXED, UNKNOWN),
                ROW(cpu_no_cpus, CPU, MIXED, UNKNOWN),
                ROW(cpu_stall_unknown, CPU, NONE, UNKNOWN),
                ROW(cpu_baseline, CPU, NONE, BASELINE),
                ROW(cpu_above_baseline, CPU, EXTERNAL, CONTENDED),
                ROW(cpu_start_up, CPU, NONE, START_UP),
                ROW(cpu_started, CPU, EXTERNAL, CONTENDED),
                ROW(cpu_frozen, CPU, NONE, FROZEN),
                ROW(memory_reclaim, MEMORY, EXTERNAL, CONTENDED),
                ROW(memory_allocstall, MEMORY, EXTERNAL, CONTENDED),
                ROW(memory_short, MEMORY, EXTERNAL, CONTENDED),
                ROW(memory_calm_host, MEMORY, OWN, NO_RECLAIM),
                ROW(memory_nothing_known, MEMORY, MIXED, UNKNOWN),
                ROW(memory_own, MEMORY, OWN, OWN_MEMORY),
                ROW(memory_own_before, MEMORY, OWN, OWN_MEMORY),
                ROW(memory_our_lease, MEMORY, OWN, OUR_LEASE),
                ROW_ABOVE(memory_group, MEMORY, OWN, GROUP_MEMORY),
                ROW(memory_our_lease_above, MEMORY, OWN, OUR_LEASE),
                ROW_ABOVE(memory_group_subtree, MEMORY, OWN, GROUP_MEMORY),
                ROW(memory_group_no_limit, MEMORY, EXTERNAL, CONTENDED),
                ROW(memory_sibling_hits, MEMORY, EXTERNAL, CONTENDED),
                ROW(memory_events_unknown, MEMORY, MIXED, UNKNOWN),
                ROW(memory_grows, MEMORY, OWN, NO_RECLAIM),
                ROW(memory_grows_a_little, MEMORY, EXTERNAL, CONTENDED),
                ROW(io_contended, IO, EXTERNAL, CONTENDED),
                ROW(io_alone, IO, OWN, OWN_DEVICE),
                ROW(io_idle, IO, OWN, DEVICE_IDLE),
                ROW(io_waits, IO, EXTERNAL, CONTENDED),
                ROW(io_waits_idle, IO, OWN, DEVICE_IDLE),
                ROW(io_other_disk, IO, OWN, DEVICE_IDLE),
                ROW(io_two_disks, IO, EXTERNAL, CONTENDED),
                ROW(io_two_busy_disks, IO, OWN, OWN_DEVICE),
                ROW(io_limit, IO, OWN, OWN_IO),
                ROW(io_limit_above, IO, OWN, OWN_IO),
                ROW(io_far_from_limit, IO, EXTERNAL, CONTENDED),
                ROW(io_our_lease, IO, OWN, OUR_LEASE),
                ROW(io_unknown, IO, MIXED, UNKNOWN),
                ROW(io_no_span, IO, MIXED, UNKNOWN),
                ROW(io_disks_unknown, IO, MIXED, UNKNOWN),
                ROW(io_limit_unknown, IO, MIXED, UNKNOWN),
                ROW(io_entitled, IO, OWN, ENTITLED),
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Host h = host_new();
                Harm harm;

                rows[i].make(&h);
                kit_run(h.k, 15 * SEC);
                harm = judge(h.k, h.web, rows[i].resource, NULL);
                if (harm.class != rows[i].class || harm.why != rows[i].why)
                        fail_msg("row %zu: %s, for %s", i, harm_class_to_string(harm.class),
                                 harm_why_text(harm.why));
                assert_int_equal(harm.why_party, rows[i].names_slice ? h.slice : NO_PARTY);
                if (harm.class == HARM_EXTERNAL) {
                        assert_int_equal(harm.dev, rows[i].resource == RESOURCE_IO ? KIT_DISK : 0);
                        assert_true(harm.confidence > 50);
                        assert_true(harm.own < HARM_OWN_OWN);
                }
                assert_false(harm.urgent);
                /* groups never are */
                assert_int_equal(judge(h.k, h.slice, rows[i].resource, NULL).class, HARM_NONE);
                (void)kit_free(h.k);
        }
}

/* With nobody told anything, nobody is harmed by another. */
static void test_no_samples(void **state) {
        (void)state;
        for (Resource r = 0; r < _RESOURCE_MAX; r++) {
                Host h = host_new();

                for (uint32_t p = 0; p < h.k->scene.n; p++) {
                        h.k->parties[p].now = NULL;
                        h.k->parties[p].io_now = h.k->parties[p].io_before = NULL;
                }
                h.k->scene.host_tasks = 0;
                kit_run(h.k, SEC);
                for (uint32_t p = 0; p < h.k->scene.n; p++) {
                        Harm harm = judge(h.k, p, r, NULL);

                        assert_int_equal(harm.class, HARM_NONE);
                        assert_true(harm.calm);
                }
                (void)kit_free(h.k);
        }
}

/* A second is enough for a window of a second; and 100 ms of ten seconds are nothing. */
static void test_at_once(void **state) {
        Host h = host_new();

        (void)state;
        h.k->settings[h.web].pressure_window = SEC;
        kit_run(h.k, 20 * SEC);
        cpu_contended(&h);
        kit_run(h.k, 600 * USEC_PER_MSEC); /* 360 ms of stall */
        assert_int_equal(judge(h.k, h.web, RESOURCE_CPU, NULL).class, HARM_EXTERNAL);
        h.k->settings[h.web].pressure_window = 10 * SEC;
        memset(h.k->memories, 0, sizeof(h.k->memories));
        kit_run(h.k, 200 * USEC_PER_MSEC);
        kit_stall(h.k, h.web, RESOURCE_CPU, 10000);
        kit_run(h.k, 100 * USEC_PER_MSEC);
        assert_int_equal(judge(h.k, h.web, RESOURCE_CPU, NULL).class, HARM_NONE);
        (void)kit_free(h.k);
}

/* Once harmed, until four fifths of the target. */
static void test_hysteresis(void **state) {
        Host h = host_new();
        Harm harm;

        (void)state;
        cpu_contended(&h);
        kit_stall(h.k, h.web, RESOURCE_CPU, 3100);
        kit_run(h.k, 30 * SEC);
        harm = judge(h.k, h.web, RESOURCE_CPU, NULL);
        assert_int_equal(harm.class, HARM_EXTERNAL);
        kit_stall(h.k, h.web, RESOURCE_CPU, 2500);
        kit_run(h.k, 30 * SEC);
        harm = judge(h.k, h.web, RESOURCE_CPU, &harm);
        assert_int_equal(harm.class, HARM_EXTERNAL);
        assert_false(harm.calm);
        assert_int_equal(judge(h.k, h.web, RESOURCE_CPU, NULL).class, HARM_NONE);
        assert_false(judge(h.k, h.web, RESOURCE_CPU, NULL).calm);
        kit_stall(h.k, h.web, RESOURCE_CPU, 2300);
        kit_run(h.k, 30 * SEC);
        harm = judge(h.k, h.web, RESOURCE_CPU, &harm);
        assert_int_equal(harm.class, HARM_NONE);
        assert_int_equal(harm.why, HARM_WHY_BELOW_TARGET);
        assert_true(harm.calm);
        /* and below that of what is normal */
        kit_baseline(h.k, h.web, BASELINE_CPU, 4000);
        kit_stall(h.k, h.web, RESOURCE_CPU, 4700);
        kit_run(h.k, 30 * SEC);
        harm.class = HARM_EXTERNAL;
        harm = judge(h.k, h.web, RESOURCE_CPU, &harm);
        assert_int_equal(harm.class, HARM_NONE);
        assert_int_equal(harm.why, HARM_WHY_BASELINE);
        assert_int_equal(harm.baseline, 4000);
        (void)kit_free(h.k);
}

/* A group's ceiling that was hit stays the reason for as long as the window knows of hits; nearness to io.max likewise. */
static void test_reasons_stay(void **state) {
        Host h = host_new();
        Harm harm;

        (void)state;
        memory_group(&h);
        kit_rate(h.k, h.slice, SAMPLE_EVENTS_MAX, 2);
        kit_run(h.k, 15 * SEC);
        harm = judge(h.k, h.web, RESOURCE_MEMORY, NULL);
        h.k->parties[h.slice].local_max = false;
        assert_int_equal(judge(h.k, h.web, RESOURCE_MEMORY, &harm).why, HARM_WHY_GROUP_MEMORY);
        kit_rate(h.k, h.slice, SAMPLE_EVENTS_MAX, 0);
        kit_run(h.k, 15 * SEC);
        assert_int_equal(judge(h.k, h.web, RESOURCE_MEMORY, &harm).class, HARM_EXTERNAL);
        (void)kit_free(h.k);

        h = host_new();
        io_limit(&h);
        kit_run(h.k, 15 * SEC);
        harm = judge(h.k, h.web, RESOURCE_IO, NULL);
        h.k->flow[h.web][0].wios = 16; /* 73 % */
        kit_run(h.k, SEC);
        assert_int_equal(judge(h.k, h.web, RESOURCE_IO, NULL).class, HARM_EXTERNAL);
        assert_int_equal(judge(h.k, h.web, RESOURCE_IO, &harm).why, HARM_WHY_OWN_IO);
        h.k->flow[h.web][0].wios = 10;
        kit_run(h.k, SEC);
        assert_int_equal(judge(h.k, h.web, RESOURCE_IO, &harm).class, HARM_EXTERNAL);
        (void)kit_free(h.k);
}

/* The surer the evidence and the longer it was seen, the more confident; never for what cannot be told. */
static void test_confidence(void **state) {
        Host h = host_new();
        unsigned early, late;

        (void)state;
        cpu_idle(&h); /* equally so all the time */
        h.k->settings[h.web].pressure_target[0] = 100;
        kit_run(h.k, 2 * SEC);
        assert_in_range(judge(h.k, h.web, RESOURCE_CPU, NULL).confidence, 55, 60);
        kit_run(h.k, 15 * SEC);
        assert_in_range(judge(h.k, h.web, RESOURCE_CPU, NULL).confidence, 90, 99);
        (void)kit_free(h.k);

        h = host_new();
        cpu_contended(&h);
        h.k->settings[h.web].pressure_target[0] = 100;
        kit_run(h.k, 2 * SEC);
        early = judge(h.k, h.web, RESOURCE_CPU, NULL).confidence;
        kit_run(h.k, 15 * SEC);
        late = judge(h.k, h.web, RESOURCE_CPU, NULL).confidence;
        assert_true(early > 50 && early < late);
        h.k->parties[h.slice].limits.cpu_quota = 2000000;
        h.k->parties[h.slice].now = NULL;
        memset(&h.k->memories[h.slice].window, 0, sizeof(Window));
        assert_int_equal(judge(h.k, h.web, RESOURCE_CPU, NULL).confidence, 0);
        (void)kit_free(h.k);
}

/* ---- the host ---- */

static void test_host_memory(void **state) {
        static const struct {
                const char *what;
                unsigned full;
                uint64_t swap, available, swap_free; /* at the end, MiB; of 16 GiB of memory */
                int64_t fall, swap_fall; /* MiB a second */
                bool harmed, urgent;
        } rows[] = {
                { "at rest", 0, 0, 8000, 0, 0, 0, false, false },
                { "everybody waits", 1500, 0, 8000, 0, 0, 0, true, true },
                { "somebody does", 900, 0, 8000, 0, 0, 0, false, false },
                { "falls, with plenty for long", 0, 0, 8000, 0, 300, 0, false, false },
                { "would be gone in eight seconds", 0, 0, 6000, 0, 750, 0, true, false },
                { "so would swap", 0, 32000, 6000, 3000, 0, 1000, true, false },
                { "and is short", 0, 0, 1200, 0, 750, 0, true, true },
                { "but there is swap", 0, 32000, 1200, 16000, 750, 0, false, false },
                { "which goes, too", 0, 32000, 700, 900, 0, 700, true, true },
                { "memory is full of what swap takes", 0, 32000, 300, 16000, 0, 700, false, false },
                { "the end, at rest", 0, 0, 500, 0, 0, 0, true, false },
                { "the end, falling", 0, 0, 500, 0, 20, 0, true, true },
                { "the end of memory, not of swap", 0, 32000, 500, 16000, 0, 0, false, false },
                { "the end of both", 0, 32000, 500, 1000, 1, 30, true, true },
                { "free swap of a host without swap is none", 0, 0, 500, 16000, 0, 0, true, false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Host h = host_new();
                Harm harm;

                h.k->scene.swap_bytes = rows[i].swap * KIT_M;
                kit_rate(h.k, KIT_HOST, SAMPLE_MEMORY_FULL, rows[i].full * 100);
                kit_set(h.k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE,
                        (rows[i].available + 5 * (uint64_t)rows[i].fall) * KIT_M);
                kit_set(h.k, KIT_HOST, SAMPLE_HOST_SWAP_FREE,
                        (rows[i].swap_free + 5 * (uint64_t)rows[i].swap_fall) * KIT_M);
                kit_run(h.k, 1);
                for (unsigned s = 0; s < 5; s++) {
                        h.k->samples[KIT_HOST].v[SAMPLE_HOST_MEMORY_AVAILABLE] -=
                                (uint64_t)rows[i].fall * KIT_M;
                        h.k->samples[KIT_HOST].v[SAMPLE_HOST_SWAP_FREE] -=
                                (uint64_t)rows[i].swap_fall * KIT_M;
                        kit_run(h.k, SEC);
                }
                harm = judge(h.k, KIT_HOST, RESOURCE_MEMORY, NULL);
                /* full needs its window: as much of it as was seen */
                if (rows[i].full > 0) {
                        kit_run(h.k, 10 * SEC);
                        harm = judge(h.k, KIT_HOST, RESOURCE_MEMORY, NULL);
                }
                if ((harm.class == HARM_EXTERNAL) != rows[i].harmed || harm.urgent != rows[i].urgent)
                        fail_msg("%s: %s%s", rows[i].what, harm_class_to_string(harm.class),
                                 harm.urgent ? ", urgent" : "");
                assert_int_equal(harm.why, rows[i].harmed ? HARM_WHY_HOST : HARM_WHY_BELOW_TARGET);
                assert_int_equal(judge(h.k, KIT_HOST, RESOURCE_CPU, NULL).class, HARM_NONE);
                assert_int_equal(judge(h.k, KIT_HOST, RESOURCE_IO, NULL).class, HARM_NONE);
                (void)kit_free(h.k);
        }
}

/* A fall of the last second, with a quiet window before: seen where little is left. */
static void test_host_sudden(void **state) {
        Host h = host_new();
        Harm harm;

        (void)state;
        kit_set(h.k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE, 1500 * KIT_M);
        kit_run(h.k, 30 * SEC);
        assert_int_equal(judge(h.k, KIT_HOST, RESOURCE_MEMORY, NULL).class, HARM_NONE);
        kit_set(h.k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE, 900 * KIT_M);
        kit_run(h.k, SEC);
        harm = judge(h.k, KIT_HOST, RESOURCE_MEMORY, NULL);
        assert_int_equal(harm.class, HARM_EXTERNAL);
        assert_true(harm.urgent);
        /* it stands at the end: harmed until a quarter more is there again */
        kit_set(h.k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE, 700 * KIT_M);
        kit_run(h.k, 30 * SEC);
        assert_int_equal(judge(h.k, KIT_HOST, RESOURCE_MEMORY, NULL).class, HARM_NONE);
        harm = judge(h.k, KIT_HOST, RESOURCE_MEMORY, &harm);
        assert_int_equal(harm.class, HARM_EXTERNAL);
        assert_false(harm.urgent);
        kit_set(h.k, KIT_HOST, SAMPLE_HOST_MEMORY_AVAILABLE, 900 * KIT_M);
        kit_run(h.k, 30 * SEC);
        harm = judge(h.k, KIT_HOST, RESOURCE_MEMORY, &harm);
        assert_int_equal(harm.class, HARM_NONE);
        assert_true(harm.calm);
        (void)kit_free(h.k);
}

static void test_host_tasks(void **state) {
        static const struct {
                uint64_t tasks, max, per_sec;
                HarmClass before, class;
                bool urgent;
        } rows[] = {
                { 200, 32768, 0, HARM_NONE, HARM_NONE, false },
                { 7999, 10000, 0, HARM_NONE, HARM_NONE, false },
                { 8000, 10000, 0, HARM_NONE, HARM_EXTERNAL, false },
                { 6500, 10000, 0, HARM_EXTERNAL, HARM_EXTERNAL, false },
                { 6300, 10000, 0, HARM_EXTERNAL, HARM_NONE, false },
                { 9499, 10000, 0, HARM_EXTERNAL, HARM_EXTERNAL, false },
                { 9500, 10000, 0, HARM_NONE, HARM_EXTERNAL, true },
                { 0, 10000, 0, HARM_EXTERNAL, HARM_NONE, false },
                { 5, 0, 0, HARM_NONE, HARM_NONE, false },
                { UINT64_MAX, 1, 0, HARM_NONE, HARM_EXTERNAL, true },
                /* they rise: full within two seconds, or later; from so few on that it may be a start */
                { 5000, 10000, 2501, HARM_NONE, HARM_EXTERNAL, false },
                { 5000, 10000, 2500, HARM_NONE, HARM_NONE, false },
                { 4999, 10000, 9000, HARM_NONE, HARM_NONE, false },
                { 5000, 10000, 2501, HARM_EXTERNAL, HARM_EXTERNAL, false },
                { 5000, 10000, UINT64_MAX, HARM_NONE, HARM_EXTERNAL, false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_kit_ Kit *k = kit_new(1, KIT_G);
                Harm before = { .class = rows[i].before }, harm;

                k->scene.host_tasks = rows[i].tasks;
                k->scene.pid_max = rows[i].max;
                k->scene.parties[KIT_HOST].memory->tasks_per_sec = rows[i].per_sec;
                harm = judge(k, KIT_HOST, RESOURCE_PIDS, &before);
                assert_int_equal(harm.class, rows[i].class);
                assert_int_equal(harm.urgent, rows[i].urgent);
                assert_false(harm.calm && harm.class == HARM_EXTERNAL);
        }
}

/* ---- thrash ---- */

static void test_thrash(void **state) {
        static const struct {
                uint64_t high, max, refaults, kills, reads;
                unsigned some, io_some;
                bool found;
        } rows[] = {
                { 3, 3, 5000, 0, 20 * KIT_M, 4000, 0, true },
                { 0, 5, 200, 0, KIT_M, 2000, 0, true },
                { 2, 2, 5000, 0, 20 * KIT_M, 4000, 0, false },
                { 3, 3, 100, 0, 20 * KIT_M, 4000, 0, false },
                { 3, 3, 5000, 1, 20 * KIT_M, 4000, 0, false },
                { 3, 3, 5000, 0, 0, 4000, 0, false },
                { 3, 3, 5000, 0, 20 * KIT_M, 1900, 0, false },
                /* it waits for the disk: for pages that it had, or for others; and at no limit of its own */
                { 3, 3, 5000, 0, 20 * KIT_M, 100, 8000, true },
                { 3, 3, 2000, 0, 20 * KIT_M, 100, 8000, false },
                { 3, 3, 5000, 0, 20 * KIT_M, 100, 1900, false },
                { 2, 2, 5000, 0, 20 * KIT_M, 100, 8000, false },
        };
        Thrash t;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Host h = host_new();

                kit_rate(h.k, h.web, SAMPLE_EVENTS_HIGH, rows[i].high);
                kit_rate(h.k, h.web, SAMPLE_EVENTS_MAX, rows[i].max);
                kit_rate(h.k, h.web, SAMPLE_EVENTS_OOM_KILL, rows[i].kills);
                kit_rate(h.k, h.web, SAMPLE_REFAULT_ANON, rows[i].refaults / 2);
                kit_rate(h.k, h.web, SAMPLE_REFAULT_FILE, rows[i].refaults / 2);
                kit_rate(h.k, h.web, SAMPLE_IO_RBYTES, rows[i].reads);
                kit_stall(h.k, h.web, RESOURCE_MEMORY, rows[i].some);
                kit_stall(h.k, h.web, RESOURCE_IO, rows[i].io_some);
                harm_thrash(&h.k->scene, h.web, &t); /* nothing is known yet */
                assert_false(t.found);
                kit_run(h.k, 20 * SEC);
                harm_thrash(&h.k->scene, h.web, &t);
                if (t.found != rows[i].found)
                        fail_msg("row %zu", i);
                assert_int_equal(t.hits, rows[i].high + rows[i].max);
                assert_int_equal(t.refaults, rows[i].refaults);
                assert_int_equal(t.read_bytes, rows[i].reads);
                assert_int_equal(t.memory_some, rows[i].some);
                h.k->parties[h.web].kind = PARTY_GROUP;
                harm_thrash(&h.k->scene, h.web, &t);
                assert_false(t.found);
                (void)kit_free(h.k);
        }
}

/* ---- anything ---- */

static void test_hostile(void **state) {
        _cleanup_kit_ Kit *k = kit_new(UINT32_MAX, 1);
        uint32_t p = KIT_HOST;
        Thrash t;

        (void)state;
        for (unsigned i = 0; i < 64; i++)
                p = kit_add(k, p, i == 63 ? PARTY_CONTAINER : PARTY_GROUP, "x");
        k->scene.swap_bytes = 1;
        for (unsigned round = 0; round < 4; round++) {
                for (uint32_t i = 0; i < k->scene.n; i++) {
                        k->samples[i].have = UINT64_MAX;
                        for (int f = 0; f < _SAMPLE_MAX; f++)
                                k->samples[i].v[f] = round < 2 ? round * UINT64_MAX : next_random();
                        k->samples[i].v[SAMPLE_FROZEN] = 0;
                        k->io_now[i].n = k->io_before[i].n = 1;
                        memset(k->now[i], (int)round * 85, sizeof(k->now[i][0]));
                        kit_limit_io(k, i, LIMIT_IO_READ_IOPS_MAX, k->now[i][0].dev, 0);
                }
                k->parties[p].settings = round % 2 ? NULL : &k->settings[p];
                k->settings[p].pressure_window = 0;
                kit_run(k, 1 + round);
                k->parties[p].io_span = round % 2 ? 0 : 1;
                k->parties[p].since = round % 2 ? USEC_INFINITY : 0;
                k->settings[p].startup_grace = USEC_INFINITY;
                for (Resource r = 0; r < _RESOURCE_MAX; r++) {
                        (void)judge(k, p, r, NULL);
                        (void)judge(k, KIT_HOST, r, NULL);
                }
                harm_thrash(&k->scene, p, &t);
        }
}

/* A party's harm does not become another's doing by a tighter quota of its own. */
static void test_own_quota(void **state) {
        (void)state;
        for (unsigned round = 0; round < 300; round++) {
                Host h = host_new();
                Harm before, after;

                kit_cpu(h.k, h.web, next_random() % 2000000);
                kit_cpu(h.k, h.hog, next_random() % 3000000);
                kit_stall(h.k, h.web, RESOURCE_CPU, (unsigned)(next_random() % 10001));
                kit_stall(h.k, h.hog, RESOURCE_CPU, (unsigned)(next_random() % 10001));
                kit_throttled(h.k, h.web, (unsigned)(next_random() % 3 * 1000));
                h.k->parties[h.web].limits.cpu_quota = 1 + next_random() % 4000000;
                kit_run(h.k, 12 * SEC);
                before = judge(h.k, h.web, RESOURCE_CPU, NULL);
                h.k->parties[h.web].limits.cpu_quota /= 1 + next_random() % 8;
                after = judge(h.k, h.web, RESOURCE_CPU, NULL);
                if (after.class == HARM_EXTERNAL)
                        assert_int_equal(before.class, HARM_EXTERNAL);
                (void)kit_free(h.k);
        }
}

/* Each thing that is not known can only take the blame off others. */
static void test_missing(void **state) {
        static void (*const makes[])(Host *) = {
                cpu_contended,    cpu_own_quota, cpu_group_quota, cpu_entitled, memory_reclaim, memory_own,
                memory_calm_host, io_contended,  io_alone,        io_limit,     io_idle,
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(makes); i++)
                for (int f = -1; f < _SAMPLE_MAX; f++)
                        for (uint32_t p = 0; p < 4; p++) {
                                static HarmClass whole[_RESOURCE_MAX];
                                Host h = host_new();

                                makes[i](&h);
                                if (f >= 0) {
                                        h.k->samples[p].have &= ~SAMPLE_BIT(f);
                                        h.k->samples[p].v[f] = h.k->rates[p][f] = 0;
                                }
                                kit_run(h.k, 12 * SEC);
                                for (Resource r = 0; r < _RESOURCE_MAX; r++) {
                                        HarmClass class = judge(h.k, h.web, r, NULL).class;

                                        if (f < 0)
                                                whole[r] = class;
                                        else if (class == HARM_EXTERNAL && whole[r] != HARM_EXTERNAL)
                                                fail_msg("scene %zu without %s of %u", i,
                                                         sample_info((SampleField)f)->name, p);
                                }
                                (void)kit_free(h.k);
                        }
}

/* ---- words ---- */

typedef const char *(*ToString)(int);

static void check_words(const char *what, ToString name, ToString text, int n) {
        for (int i = 0; i < n; i++) {
                assert_true(strlen(name(i)) > 1);
                assert_int_equal(strspn(name(i), "abcdefghijklmnopqrstuvwxyz-"), strlen(name(i)));
                for (int k = 0; k < i; k++)
                        if (STR_EQ(name(i), name(k)) || (text && STR_EQ(text(i), text(k))))
                                fail_msg("%s: %s twice", what, name(i));
                if (text) {
                        assert_non_null(strchr(text(i), ' '));
                        assert_true(text(i)[strlen(text(i)) - 1] != '.');
                }
        }
        if (strcmp(what, "HarmWhy") != 0) /* there is a value of that name */
                for (int k = 0; k < n; k++)
                        assert_string_not_equal(name(k), "unknown");
        assert_string_equal(name(n), "unknown");
        assert_string_equal(name(-1), "unknown");
        if (text)
                assert_non_null(text(n));
}

#define WORDS(T, f) \
        static const char *name_##T(int i) { return f##_to_string((T)i); }
#define TEXTS(T, f) \
        WORDS(T, f) \
        static const char *text_##T(int i) { return f##_text((T)i); }
WORDS(Resource, resource)
WORDS(PartyKind, party_kind)
WORDS(HarmClass, harm_class)
WORDS(Lever, lever)
WORDS(ActKind, act_kind)
TEXTS(HarmWhy, harm_why)
TEXTS(BlameWhy, blame_why)
TEXTS(ActWhy, act_why)

static void test_words(void **state) {
        (void)state;
        check_words("Resource", name_Resource, NULL, _RESOURCE_MAX);
        check_words("PartyKind", name_PartyKind, NULL, _PARTY_MAX);
        check_words("HarmClass", name_HarmClass, NULL, _HARM_MAX);
        check_words("Lever", name_Lever, NULL, _LEVER_MAX);
        check_words("ActKind", name_ActKind, NULL, _ACT_MAX);
        check_words("HarmWhy", name_HarmWhy, text_HarmWhy, _HARM_WHY_MAX);
        check_words("BlameWhy", name_BlameWhy, text_BlameWhy, _BLAME_MAX);
        check_words("ActWhy", name_ActWhy, text_ActWhy, _ACT_WHY_MAX);
        for (Resource r = 0; r < _RESOURCE_MAX; r++)
                assert_int_equal(resource_from_string(resource_to_string(r)), r);
        assert_int_equal(resource_from_string("unknown"), _RESOURCE_INVALID);
        assert_int_equal(resource_from_string(""), _RESOURCE_INVALID);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_party),        cmocka_unit_test(test_no_samples),
                cmocka_unit_test(test_at_once),      cmocka_unit_test(test_hysteresis),
                cmocka_unit_test(test_reasons_stay), cmocka_unit_test(test_confidence),
                cmocka_unit_test(test_host_memory),  cmocka_unit_test(test_host_sudden),
                cmocka_unit_test(test_host_tasks),   cmocka_unit_test(test_thrash),
                cmocka_unit_test(test_hostile),      cmocka_unit_test(test_own_quota),
                cmocka_unit_test(test_missing),      cmocka_unit_test(test_words),
        };

        seed_random();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
