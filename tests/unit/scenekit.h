/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Scenes for tests of the judge, in a few lines. A kit holds a host with its
 * parties, their samples and what those grow by in a second; kit_tick() lets
 * time pass. CPU time and traffic given to a party are its ancestors' and the
 * host's, too, as in the kernel; stalls and everything else are its own.
 *
 *      _cleanup_kit_ Kit *k = kit_new(4, 8 * KIT_G);
 *      uint32_t tenant = kit_add(k, KIT_HOST, PARTY_GROUP, "tenant");
 *      uint32_t web = kit_add(k, tenant, PARTY_CONTAINER, "web");
 *
 *      kit_cpu(k, web, 500000);                        half a CPU
 *      kit_stall(k, web, RESOURCE_CPU, 4000);          waits 40 % of the time
 *      kit_run(k, 10 * USEC_PER_SEC);                  windows are fed each second
 *      fair_compute(&k->scene, k->fair);
 *
 * judge_step() feeds the windows itself: there kit_tick() and a step take turns.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "judge.h"
#include "num.h"

#define KIT_MAX 80
#define KIT_DEVICES 4
#define KIT_HOST 0
#define KIT_M (UINT64_C(1) << 20)
#define KIT_G (UINT64_C(1) << 30)
#define KIT_START (1000 * USEC_PER_SEC)
#define KIT_DISK 0x800 /* a dev_t: 8:0 */

typedef struct Kit {
        Scene scene;
        Party parties[KIT_MAX];
        PartyMemory memories[KIT_MAX];
        Settings settings[KIT_MAX]; /* of containers; built-in values at first */
        Sample samples[KIT_MAX];
        uint64_t rates[KIT_MAX][_SAMPLE_MAX]; /* a second */
        SampleIo io_before[KIT_MAX], io_now[KIT_MAX];
        SampleDevice before[KIT_MAX][KIT_DEVICES], now[KIT_MAX][KIT_DEVICES], flow[KIT_MAX][KIT_DEVICES];
        LimitSet io_limits[KIT_MAX];
        Baseline baselines[KIT_MAX];
        FairShare fair[KIT_MAX];
        Rest rest;
        uint64_t outside, outside_rate; /* bytes in no cgroup, more a second; 0: not known */
} Kit;

static inline uint32_t kit_add(Kit *k, uint32_t parent, PartyKind kind, const char *name) {
        uint32_t i = k->scene.n;

        assert_true(i < KIT_MAX && (i == 0 || parent < i));
        k->scene.n++;
        k->settings[i] = (Settings){
                .mode = MODE_ENFORCE,
                .priority = 100,
                .throttle = THROTTLE_CPU | THROTTLE_IO | THROTTLE_MEMORY,
                .kill = KILL_LAST,
                .kill_grace = 10 * USEC_PER_SEC,
                .pressure_target = { HARM_TARGET_DEFAULT_CPU, HARM_TARGET_DEFAULT_IO,
                                     HARM_TARGET_DEFAULT_MEMORY },
                .pressure_window = HARM_WINDOW_DEFAULT,
                .startup_grace = HARM_GRACE_DEFAULT,
                .kill_budget = UINT32_MAX,
        };
        k->io_before[i].devices = k->before[i];
        k->io_now[i].devices = k->now[i];
        k->samples[i].at = k->scene.now;
        k->parties[i] = (Party){
                .id = 1000 + i,
                .parent = i == 0 ? NO_PARTY : parent,
                .kind = kind,
                .name = name,
                .settings = kind == PARTY_CONTAINER ? &k->settings[i] : NULL,
                .limits = PARTY_LIMITS_NONE,
                .has_freeze = kind == PARTY_CONTAINER,
                .have_local = true,
                .now = &k->samples[i],
                .io_before = &k->io_before[i],
                .io_now = &k->io_now[i],
                .memory = &k->memories[i],
        };
        for (size_t l = 0; l < ARRAY_SIZE(k->parties[i].beneath); l++)
                k->parties[i].beneath[l] = LIMIT_INFINITY;
        if (kind == PARTY_CONTAINER)
                k->scene.n_containers++;
        return i;
}

static inline Kit *kit_new(unsigned n_cpus, uint64_t memory_bytes) {
        Kit *k = calloc(1, sizeof(*k));

        assert_non_null(k);
        k->scene = (Scene){
                .now = KIT_START,
                .parties = k->parties,
                .n_cpus = n_cpus,
                .memory_bytes = memory_bytes,
                .pid_max = 32768,
                .host_tasks = 200,
                .rules = { .mode = MODE_ENFORCE,
                           .kill_budget = 4,
                           .kill_window = 3600 * USEC_PER_SEC,
                           .storm_permyriad = 1000,
                           .storm_window = 60 * USEC_PER_SEC,
                           .max_throttled = 2500 },
        };
        k->scene.rest = &k->rest;
        k->scene.all_looked_at = true;
        (void)kit_add(k, NO_PARTY, PARTY_HOST, "host");
        return k;
}

static inline Kit *kit_free(Kit *k) {
        for (size_t i = 0; k && i < KIT_MAX; i++)
                limit_set_deinit(&k->io_limits[i]);
        free(k);
        return NULL;
}
DEFINE_CLEANUP(Kit *, kit_free)
#define _cleanup_kit_ _cleanup_(cleanup_kit_free)

/* A gauge, or where a counter stands. */
static inline void kit_set(Kit *k, uint32_t p, SampleField f, uint64_t v) {
        sample_put(&k->samples[p], f, v);
}

/* A counter that grows by so much a second from now on; 0: it is had, and stands still. */
static inline void kit_rate(Kit *k, uint32_t p, SampleField f, uint64_t per_sec) {
        k->rates[p][f] = per_sec;
        k->samples[p].have |= SAMPLE_BIT(f);
}

static inline void kit_add_rate(Kit *k, uint32_t p, SampleField f, uint64_t per_sec) {
        for (; p != NO_PARTY; p = k->parties[p].parent)
                kit_rate(k, p, f, k->rates[p][f] + per_sec);
}

/* More CPU time for p (and those above), µs a second. */
static inline void kit_cpu(Kit *k, uint32_t p, uint64_t usec_per_sec) {
        kit_add_rate(k, p, SAMPLE_CPU_USAGE, usec_per_sec);
}

/* How much of the time p waits, permyriad. */
static inline void kit_stall(Kit *k, uint32_t p, Resource r, unsigned permyriad) {
        static const SampleField some[] = { SAMPLE_CPU_SOME, SAMPLE_MEMORY_SOME, SAMPLE_IO_SOME };

        assert_true((size_t)r < ARRAY_SIZE(some));
        kit_rate(k, p, some[r], (uint64_t)permyriad * 100);
}

/* Throttled in so much of its ten periods a second, permyriad. */
static inline void kit_throttled(Kit *k, uint32_t p, unsigned permyriad) {
        kit_rate(k, p, SAMPLE_CPU_PERIODS, 10);
        kit_rate(k, p, SAMPLE_CPU_THROTTLED, (permyriad + 500) / 1000);
}

static inline SampleDevice *kit_device(SampleDevice *devices, size_t *n, dev_t dev) {
        size_t i = 0;

        while (i < *n && devices[i].dev < dev)
                i++;
        if (i < *n && devices[i].dev == dev)
                return &devices[i];
        assert_true(*n < KIT_DEVICES);
        memmove(&devices[i + 1], &devices[i], (*n - i) * sizeof(*devices));
        devices[i] = (SampleDevice){ .dev = dev };
        (*n)++;
        return &devices[i];
}

static inline SampleDevice *kit_flow(Kit *k, uint32_t p, dev_t dev) {
        size_t n_flow = k->io_now[p].n, n_before = n_flow;

        (void)kit_device(k->now[p], &k->io_now[p].n, dev);
        (void)kit_device(k->before[p], &n_before, dev);
        k->io_before[p].n = n_before;
        return kit_device(k->flow[p], &n_flow, dev);
}

/* More traffic of p (and those above) on a device, a second. */
static inline void kit_io(Kit *k, uint32_t p, dev_t dev, SampleDevice per_sec) {
        for (uint32_t a = p; a != NO_PARTY; a = k->parties[a].parent) {
                SampleDevice *f = kit_flow(k, a, dev);

                f->rbytes += per_sec.rbytes;
                f->wbytes += per_sec.wbytes;
                f->rios += per_sec.rios;
                f->wios += per_sec.wios;
                f->dbytes += per_sec.dbytes;
                f->dios += per_sec.dios;
                f->cost_usage_usec += per_sec.cost_usage_usec;
        }
        kit_add_rate(k, p, SAMPLE_IO_RBYTES, per_sec.rbytes);
        kit_add_rate(k, p, SAMPLE_IO_WBYTES, per_sec.wbytes);
        kit_add_rate(k, p, SAMPLE_IO_RIOS, per_sec.rios);
        kit_add_rate(k, p, SAMPLE_IO_WIOS, per_sec.wios);
}

/* How much of its time a device has something to do, permyriad. */
static inline void kit_busy(Kit *k, dev_t dev, unsigned permyriad) {
        kit_flow(k, KIT_HOST, dev)->busy_usec = (uint64_t)permyriad * 100;
}

static inline void kit_limit_io(Kit *k, uint32_t p, Limit limit, dev_t dev, uint64_t per_sec) {
        assert_int_equal(limit_set_put(&k->io_limits[p], (LimitKnob){ limit, dev }, per_sec, 0), 0);
        k->parties[p].limits.io = &k->io_limits[p];
}

/* So much stall is normal for p in calm, permyriad. */
static inline void kit_baseline(Kit *k, uint32_t p, BaselineResource r, unsigned permyriad) {
        BaselineSeries *s = &k->baselines[p].series[r];

        *s = (BaselineSeries){ .days = { (uint16_t)permyriad }, .n_days = 1, .next_day = 1 };
        k->parties[p].baseline = &k->baselines[p];
}

/* Time passes: counters grow, there is a new look at everybody. */
static inline void kit_tick(Kit *k, usec_t span) {
        k->scene.now += span;
        k->outside += num_muldiv(k->outside_rate, span, USEC_PER_SEC);
        if (k->outside > 0)
                rest_feed(&k->rest, k->outside, k->scene.now);
        for (uint32_t p = 0; p < k->scene.n; p++) {
                k->samples[p].at = k->scene.now;
                for (int f = 0; f < _SAMPLE_MAX; f++)
                        k->samples[p].v[f] += num_muldiv(k->rates[p][f], span, USEC_PER_SEC);
                k->parties[p].io_span = span;
                memcpy(k->before[p], k->now[p], sizeof(k->now[p]));
                for (size_t d = 0; d < k->io_now[p].n; d++) {
                        const SampleDevice *flow = &k->flow[p][d];
                        SampleDevice *now = &k->now[p][d];

#define KIT_GROW(x) now->x += num_muldiv(flow->x, span, USEC_PER_SEC)
                        KIT_GROW(rbytes);
                        KIT_GROW(wbytes);
                        KIT_GROW(rios);
                        KIT_GROW(wios);
                        KIT_GROW(dbytes);
                        KIT_GROW(dios);
                        KIT_GROW(cost_usage_usec);
                        KIT_GROW(busy_usec);
#undef KIT_GROW
                }
        }
}

/* The same, second by second, and the windows are fed. */
static inline void kit_run(Kit *k, usec_t span) {
        for (usec_t step; span > 0; span -= step) {
                step = MIN_OF(span, USEC_PER_SEC);
                kit_tick(k, step);
                for (uint32_t p = 0; p < k->scene.n; p++)
                        if (k->parties[p].now)
                                harm_feed(&k->parties[p]);
        }
}
