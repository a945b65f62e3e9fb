/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A small world of one cgroup in simulated time: the kernel's files, a unit
 * with properties and drop-ins that PID 1 writes again at every opportunity, a
 * writer with delays and failures, a ledger, and people: an engine, an
 * operator, somebody with a shell. Promises that must always hold are
 * asserted where the world executes what recon asks for (kernel_write(),
 * push()); stories and random lives follow.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysmacros.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "ceiling.h"
#include "no-memory.h"
#include "num.h"
#include "random.h"
#include "reconcile.h"

#define PAGE UINT64_C(4096)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define INF LIMIT_INFINITY
#define S USEC_PER_SEC
#define TICK (S / 2)
#define DISK makedev(8, 0)
#define DISK2 makedev(8, 16)
#define ALL_FILES ((UINT32_C(1) << _LIMIT_FILE_MAX) - 1)
#define RECORDS_MAX 64

enum { GONE = 1, ABOVE = 2, TIMEOUT = 3, SKIPPED = 4 };

typedef struct World {
        usec_t now;
        LimitSet file, prop, dropin; /* dropin: runtime drop-ins that our calls made */
        LimitSet policy, share, whole, engine; /* whole: policy with the undivided sum */
        LimitSet desired, unshared;
        uint32_t have_files;
        bool unit, container, know_engine, engine_newer, bus_dead, override, newborn, paused, held, release;
        bool lazy_cpu; /* PID 1 enables the cpu controller for whoever has such a property */
        bool no_properties; /* they never answer, and do not say so */
        Mode mode;
        uint64_t use;
        usec_t last_reload, operator_hold;

        Recon r;
        ReconPlan plan;
        ReconMemory ledger[RECORDS_MAX];
        size_t n_ledger;

        /* the writer */
        ReconWrite pending[RECORDS_MAX];
        size_t n_pending;
        usec_t write_delay, done_at;
        int write_result; /* of the next batch */
        bool timeout_lands;
        bool squeezable; /* memory.high really brings use down, a bit per tick */

        unsigned n_writes[_LIMIT_MAX], n_all_writes, n_pushes, n_push_failures;
        int push_result;
        unsigned events[_RECON_EVENT_MAX];
        bool murky[_LIMIT_MAX]; /* random lives: nobody can say what others want there */
        ReconEvent last[_RECON_EVENT_MAX];
} World;

static LimitKnob knob(Limit l) { return (LimitKnob){ .limit = l }; }
static LimitKnob disk_knob(Limit l, dev_t dev) { return (LimitKnob){ l, dev }; }

static uint64_t in_set(const LimitSet *s, LimitKnob k) {
        uint64_t v = limit_info(k.limit)->unset;

        (void)limit_set_get(s, k, &v);
        return v;
}

static uint64_t file_of(const World *w, Limit l) { return in_set(&w->file, knob(l)); }
static uint64_t prop_of(const World *w, Limit l) { return in_set(&w->prop, knob(l)); }

static void put(LimitSet *s, LimitKnob k, uint64_t v) {
        assert_int_equal(limit_set_put(s, k, v, origin_pack(ORIGIN_POLICY, (PolicyRef){ 0, 1 })), 0);
}

static void policy(World *w, Limit l, uint64_t v) {
        put(&w->policy, knob(l), v);
        put(&w->whole, knob(l), v);
}

/* ---- the kernel ---- */

static void kernel_set(World *w, LimitKnob k, uint64_t v) {
        if (limit_info(k.limit)->is_memory && v != INF)
                v = v / PAGE * PAGE;
        if (limit_info(k.limit)->per_device && v == limit_info(k.limit)->unset)
                (void)limit_set_remove(&w->file, k);
        else
                put(&w->file, k, v);
}

static int kernel_write(World *w, const ReconWrite *a) {
        const ReconKnob *k = recon_find(&w->r, a->knob);

        w->n_writes[a->knob.limit]++;
        w->n_all_writes++;
        /* nothing but what policy names, what is given back and what these take along */
        if (!k && a->knob.limit != LIMIT_CPU_BURST)
                fail_msg("wrote limit %d that is nobody's business", a->knob.limit);
        if (a->knob.limit == LIMIT_MEMORY_MAX) {
                assert_true(a->headroom_guard);
                if (!RECON_FITS(w->use, a->value))
                        return ABOVE;
        }
        kernel_set(w, a->knob, a->value);
        return 0;
}

static void cpu_is_valid(const World *w) {
        uint64_t quota = file_of(w, LIMIT_CPU_QUOTA), period = file_of(w, LIMIT_CPU_PERIOD);

        if (quota == INF)
                return;
        assert_true(num_muldiv(quota, period, S) >= 1000);
        assert_true(num_muldiv(quota, period, S) >= file_of(w, LIMIT_CPU_BURST));
}

/* ---- PID 1 ---- */

static void apply(World *w) {
        LimitSet old = LIMIT_SET_INIT;

        assert_int_equal(limit_set_copy(&old, &w->file), 0);
        for (Limit l = 0; l < LIMIT_IO_READ_BANDWIDTH_MAX; l++)
                if (limit_info(l)->property)
                        kernel_set(w, knob(l), prop_of(w, l));
        for (size_t i = 0; i < old.n; i++)
                if (limit_info(old.entries[i].knob.limit)->per_device)
                        kernel_set(w, old.entries[i].knob, in_set(&w->prop, old.entries[i].knob));
        for (size_t i = 0; i < w->prop.n; i++)
                kernel_set(w, w->prop.entries[i].knob, w->prop.entries[i].value);
        limit_set_deinit(&old);
}

static void set_property(World *w, LimitKnob k, uint64_t v) {
        put(&w->prop, k, v);
        (void)limit_set_remove(&w->dropin, k); /* a drop-in of the same name, but theirs */
        apply(w);
}

static void reload(World *w) {
        w->last_reload = w->now;
        apply(w);
}

#define CPU_FILES                                                                      \
        ((uint32_t)1 << LIMIT_FILE_CPU_MAX | (uint32_t)1 << LIMIT_FILE_CPU_MAX_BURST | \
         (uint32_t)1 << LIMIT_FILE_CPU_WEIGHT)

/* Controllers come and go with the properties that need them. */
static void enable_controllers(World *w) {
        if (!w->lazy_cpu)
                return;
        if (prop_of(w, LIMIT_CPU_QUOTA) != INF || limit_set_find(&w->prop, knob(LIMIT_CPU_WEIGHT)))
                w->have_files |= CPU_FILES;
        else
                w->have_files &= ~CPU_FILES;
}

static void push(World *w, const ReconPlan *p) {
        const uint32_t had = w->have_files;
        LimitSet before = LIMIT_SET_INIT, all = LIMIT_SET_INIT;
        ReconPlan restore = {};
        int result = w->push_result;

        assert_int_equal(limit_set_copy(&before, &w->file), 0);
        assert_int_equal(limit_set_copy(&all, &p->property), 0);
        for (size_t i = 0; i < p->property_give_back.n; i++)
                put(&all, p->property_give_back.entries[i].knob, p->property_give_back.entries[i].value);
        w->n_pushes++;
        if (result < 0)
                w->n_push_failures++;
        for (size_t i = 0; i < all.n && result == 0; i++) {
                const LimitEntry *e = &all.entries[i];

                assert_non_null(limit_info(e->knob.limit)->property);
                if (e->knob.limit == LIMIT_MEMORY_HIGH || e->knob.limit == LIMIT_MEMORY_MAX)
                        assert_true(e->value >= w->use); /* PID 1 neither reclaims nor kills */
                put(&w->prop, e->knob, e->value);
                put(&w->dropin, e->knob, e->value);
        }
        if (result == 0) {
                apply(w);
                enable_controllers(w);
        }
        assert_true(result < 0 || file_of(w, LIMIT_MEMORY_HIGH) >= w->use);
        recon_property_done(&w->r, &all, result, w->now);
        assert_int_equal(recon_restore_foreign(&w->r, &before, &w->file, &restore), 0);
        for (size_t i = 0; i < restore.n_writes; i++)
                assert_int_equal(kernel_write(w, &restore.writes[i]), 0);
        /* the call has changed no file */
        for (size_t i = 0; i < before.n && result == 0; i++)
                if (had & (uint32_t)1 << limit_info(before.entries[i].knob.limit)->file &&
                    !limit_equal(before.entries[i].knob.limit, in_set(&w->file, before.entries[i].knob),
                                 before.entries[i].value, PAGE))
                        fail_msg("the push changed limit %d", before.entries[i].knob.limit);
        for (size_t i = 0; i < p->property_give_back.n && result == 0; i++)
                (void)limit_set_remove(&w->dropin, p->property_give_back.entries[i].knob);
        recon_plan_deinit(&restore);
        limit_set_deinit(&before);
        limit_set_deinit(&all);
}

/* ---- the ledger ---- */

static void forget(World *w, LimitKnob k) {
        for (size_t i = 0; i < w->n_ledger; i++)
                if (limit_knob_cmp(w->ledger[i].knob, k) == 0) {
                        w->ledger[i] = w->ledger[--w->n_ledger];
                        return;
                }
}

static void keep(World *w, const ReconPlan *p) {
        for (size_t i = 0; i < p->n_forget; i++)
                forget(w, p->forget[i]);
        for (size_t i = 0; i < p->n_remember; i++) {
                forget(w, p->remember[i].knob);
                assert_true(w->n_ledger < RECORDS_MAX);
                w->ledger[w->n_ledger++] = p->remember[i];
        }
}

static const ReconMemory *record(const World *w, LimitKnob k) {
        for (size_t i = 0; i < w->n_ledger; i++)
                if (limit_knob_cmp(w->ledger[i].knob, k) == 0)
                        return &w->ledger[i];
        return NULL;
}

/* ---- the guard's turn ---- */

static void combine(World *w, const LimitSet *p, const LimitSet *share, const LimitSet *wants,
                    LimitSet *ret) {
        limit_set_clear(ret);
        for (size_t i = 0; i < p->n; i++)
                assert_int_equal(
                        limit_set_put(ret, p->entries[i].knob, p->entries[i].value, p->entries[i].origin), 0);
        for (size_t i = 0; share && i < share->n; i++)
                if (in_set(ret, share->entries[i].knob) > share->entries[i].value ||
                    !limit_set_find(ret, share->entries[i].knob))
                        assert_int_equal(limit_set_put(ret, share->entries[i].knob, share->entries[i].value,
                                                       origin_pack(ORIGIN_SHARE, (PolicyRef){})),
                                         0);
        for (size_t i = 0; i < ret->n; i++) {
                LimitEntry *e = &ret->entries[i];
                uint64_t want;

                if (!w->override && limit_info(e->knob.limit)->sense == LIMIT_CEILING &&
                    e->knob.limit != LIMIT_CPU_BURST && limit_set_get(wants, e->knob, &want) &&
                    want < e->value) {
                        e->value = want;
                        e->origin = origin_pack(ORIGIN_ENGINE, (PolicyRef){});
                }
        }
}

static void hear(World *w, const ReconPlan *p) {
        for (size_t i = 0; i < p->n_events; i++) {
                w->events[p->events[i].kind]++;
                w->last[p->events[i].kind] = p->events[i];
        }
}

static void answer_writes(World *w) {
        ReconPlan out = {};
        int result = w->write_result;

        w->write_result = 0;
        for (size_t i = 0; i < w->n_pending; i++) {
                const ReconWrite *a = &w->pending[i];
                int r = result;

                if (r == 0 || (r == TIMEOUT && w->timeout_lands))
                        r = kernel_write(w, a);
                if (result == TIMEOUT)
                        r = TIMEOUT;
                assert_int_equal(recon_wrote(&w->r, a->knob, a->value, a->give_back, r, w->now, &out), 0);
        }
        w->n_pending = 0;
        cpu_is_valid(w);
        hear(w, &out);
        keep(w, &out);
        recon_plan_deinit(&out);
}

static ReconInput input_of(World *w, bool fresh) {
        return (ReconInput){
                .now = w->now,
                .desired = &w->desired,
                .unshared = &w->unshared,
                .actual = &w->file,
                .have_files = w->have_files,
                .properties = fresh && w->unit && !w->bus_dead && !w->no_properties ? &w->prop : NULL,
                .properties_unavailable = w->bus_dead || !w->unit,
                .has_unit = w->unit,
                .engine_made = w->container,
                .engine_wants = w->know_engine ? &w->engine : NULL,
                .engine_fresh = fresh,
                .engine_config_newer = w->engine_newer,
                .engine_override = w->override,
                .newborn = w->newborn,
                .release = w->release,
                .last_reload = w->last_reload,
                .mode = w->mode,
                .paused = w->paused,
                .held = w->held,
                .operator_hold = w->operator_hold,
                .memory_bytes = w->use,
                .page_size = PAGE,
        };
}

static void think(World *w, bool fresh) {
        LimitSet wants = LIMIT_SET_INIT;
        ReconInput in = input_of(w, fresh);

        recon_learn(&w->r, &in);
        assert_int_equal(recon_wants(&w->r, &in, &wants), 0);
        combine(w, &w->policy, &w->share, &wants, &w->desired);
        combine(w, &w->whole, NULL, &wants, &w->unshared);
        assert_int_equal(recon_step(&w->r, &in, &w->plan), 0);
        limit_set_deinit(&wants);
}

/* Into the writer's queue. */
static void submit(World *w) {
        for (size_t i = 0; i < w->plan.n_writes; i++) {
                const ReconWrite *a = &w->plan.writes[i];

                assert_true(w->n_pending < RECORDS_MAX);
                if (a->knob.limit == LIMIT_MEMORY_HIGH && a->value < w->use)
                        assert_true(a->may_block);
                if (w->paused || w->held || w->mode < MODE_CEILINGS)
                        assert_true(a->give_back || w->release);
                w->pending[w->n_pending++] = *a;
                w->done_at = w->now + w->write_delay;
        }
}

static void turn(World *w) {
        if (w->n_pending > 0 && w->now >= w->done_at)
                answer_writes(w);
        for (unsigned i = 0; i < 10; i++) {
                unsigned before = w->n_all_writes + w->n_pushes;

                think(w, false);
                if (w->plan.need_properties || w->plan.need_engine) {
                        hear(w, &w->plan);
                        keep(w, &w->plan);
                        submit(w); /* of other knobs */
                        think(w, true);
                }
                hear(w, &w->plan);
                keep(w, &w->plan);
                submit(w);
                if (w->plan.push_property)
                        push(w, &w->plan);
                if (w->n_pending > 0 && w->now >= w->done_at)
                        answer_writes(w);
                else if (before == w->n_all_writes + w->n_pushes)
                        break;
        }
}

static void tick(World *w) {
        w->now += TICK;
        if (w->squeezable && w->use > file_of(w, LIMIT_MEMORY_HIGH))
                w->use = MAX_OF(w->use - MIN_OF(w->use, 64 * M), file_of(w, LIMIT_MEMORY_HIGH));
        turn(w);
}

static void run(World *w, usec_t duration) {
        for (usec_t end = w->now + duration; w->now < end;)
                tick(w);
}

static void quiet(World *w) {
        unsigned writes = w->n_all_writes, pushes = w->n_pushes;

        turn(w);
        turn(w);
        assert_int_equal(w->n_all_writes, writes);
        assert_int_equal(w->n_pushes, pushes);
}

static void forget_events(World *w) {
        memset(w->events, 0, sizeof(w->events));
        memset(w->n_writes, 0, sizeof(w->n_writes));
        w->n_all_writes = w->n_pushes = 0;
}

static World born(bool container) {
        World w = {
                .now = 1000 * S,
                .have_files = ALL_FILES,
                .unit = true,
                .container = container,
                .mode = MODE_CEILINGS,
                .use = 100 * M,
                .operator_hold = 900 * S,
        };

        for (Limit l = 0; l < LIMIT_IO_READ_BANDWIDTH_MAX; l++)
                kernel_set(&w, knob(l), limit_info(l)->unset);
        return w;
}

static void dead(World *w) {
        limit_set_deinit(&w->file);
        limit_set_deinit(&w->prop);
        limit_set_deinit(&w->dropin);
        limit_set_deinit(&w->policy);
        limit_set_deinit(&w->share);
        limit_set_deinit(&w->whole);
        limit_set_deinit(&w->engine);
        limit_set_deinit(&w->desired);
        limit_set_deinit(&w->unshared);
        recon_plan_deinit(&w->plan);
        recon_deinit(&w->r);
}

static void drop_policy(World *w) {
        limit_set_clear(&w->policy);
        limit_set_clear(&w->whole);
        limit_set_clear(&w->share);
}

static KnobState state_of(const World *w, Limit l) {
        const ReconKnob *k = recon_find(&w->r, knob(l));

        assert_non_null(k);
        return k->state;
}

/* ---- stories ---- */

/* docker run --memory 4g --memory-swap … --cpus 2 --blkio-weight --device-write-bps, and a policy of 1G */
static World docker(void) {
        World w = born(true);

        set_property(&w, knob(LIMIT_MEMORY_MAX), 4 * G);
        set_property(&w, knob(LIMIT_CPU_QUOTA), 2 * S);
        set_property(&w, knob(LIMIT_TASKS_MAX), 500);
        set_property(&w, disk_knob(LIMIT_IO_READ_IOPS_MAX, DISK2), 700);
        kernel_set(&w, knob(LIMIT_MEMORY_SWAP_MAX), 300 * M); /* raw, as the engines do */
        kernel_set(&w, knob(LIMIT_IO_WEIGHT), 300);
        kernel_set(&w, disk_knob(LIMIT_IO_WRITE_BANDWIDTH_MAX, DISK), 5000000);
        kernel_set(&w, knob(LIMIT_CPU_BURST), 10000);
        put(&w.engine, knob(LIMIT_MEMORY_MAX), 4 * G);
        put(&w.engine, knob(LIMIT_CPU_QUOTA), 2 * S);
        w.know_engine = true;
        return w;
}

static void test_first_write(void **state) {
        LimitSet before = LIMIT_SET_INIT;
        World w = docker();

        (void)state;
        assert_int_equal(limit_set_copy(&before, &w.file), 0);
        policy(&w, LIMIT_MEMORY_MAX, G + 123);
        policy(&w, LIMIT_CPU_WEIGHT, 50);
        put(&w.policy, disk_knob(LIMIT_IO_READ_IOPS_MAX, DISK), 1000);
        turn(&w);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_MAX), G + 123);
        assert_int_equal(in_set(&w.prop, disk_knob(LIMIT_IO_READ_IOPS_MAX, DISK)), 1000);
        assert_int_equal(in_set(&w.prop, disk_knob(LIMIT_IO_READ_IOPS_MAX, DISK2)), 700);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_SWAP_MAX), 300 * M); /* carried */
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_SWAP_MAX), 300 * M);
        assert_int_equal(file_of(&w, LIMIT_CPU_BURST), 10000);
        assert_int_equal(w.n_pushes, 1);
        assert_int_equal(w.events[RECON_SET], 3);
        assert_int_equal(w.events[RECON_DRIFT], 0);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_OK);
        assert_non_null(record(&w, knob(LIMIT_MEMORY_MAX)));
        assert_int_equal(record(&w, knob(LIMIT_MEMORY_MAX))->want, 4 * G);
        assert_true(record(&w, knob(LIMIT_MEMORY_MAX))->property);
        assert_non_null(record(&w, knob(LIMIT_IO_WEIGHT))); /* a drop-in of ours */
        quiet(&w);
        run(&w, 3600 * S);
        assert_int_equal(w.n_pushes, 1);

        drop_policy(&w);
        run(&w, 200 * S);
        assert_int_equal(w.file.n, before.n);
        for (size_t i = 0; i < before.n; i++)
                assert_int_equal(in_set(&w.file, before.entries[i].knob), before.entries[i].value);
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_int_equal(w.dropin.n, 0);
        assert_int_equal(w.n_ledger, 0);
        assert_int_equal(w.r.n, 0);
        assert_int_equal(w.events[RECON_GIVEN_BACK], 3);
        limit_set_deinit(&before);
        dead(&w);
}

typedef enum Who { WHO_RELOAD, WHO_ENGINE, WHO_PROPERTY, WHO_RAW, WHO_NOBODY } Who;

/* What each kind of change does: cause, want, and who wins. */
static void test_causes(void **state) {
        static const struct {
                const char *name;
                bool container, know_engine, bus_dead;
                Who who;
                uint64_t value;
                unsigned drifts, capped, holds;
                DriftCause cause;
                uint64_t file, want; /* after: in the file, and given back */
        } rows[] = {
                { "docker update, higher", true, true, false, WHO_ENGINE, 8 * G, 1, 1, 0, DRIFT_ENGINE, G,
                  8 * G },
                { "docker update, lower", true, true, false, WHO_ENGINE, G / 2, 0, 0, 0, 0, G / 2, G / 2 },
                { "engine's property, names unreadable", true, false, false, WHO_PROPERTY, 8 * G, 1, 1, 0,
                  DRIFT_PROPERTY, G, 8 * G },
                { "raw write", true, true, false, WHO_RAW, INF, 1, 0, 0, DRIFT_RAW, G, 4 * G },
                { "raw write, tighter", true, true, false, WHO_RAW, G / 4, 0, 0, 0, 0, G / 4, G / 4 },
                { "raw write, bus dead", true, true, true, WHO_RAW, INF, 1, 0, 0, DRIFT_UNKNOWN, G, 4 * G },
                { "set-property on a slice", false, false, false, WHO_PROPERTY, 8 * G, 0, 0, 1,
                  DRIFT_PROPERTY, 8 * G, 8 * G },
                { "set-property, tighter", false, false, false, WHO_PROPERTY, G / 2, 0, 0, 0, 0, G / 2,
                  G / 2 },
                { "edited unit file, reload", false, false, false, WHO_RELOAD, 6 * G, 1, 0, 0, DRIFT_RELOAD,
                  G, 6 * G },
                { "page rounding", true, true, false, WHO_RAW, G + 100, 0, 0, 0, 0, G, 4 * G },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                World w = docker();

                w.container = rows[i].container;
                w.know_engine = rows[i].know_engine;
                policy(&w, LIMIT_MEMORY_MAX, G);
                run(&w, 20 * S);
                forget_events(&w);
                w.bus_dead = rows[i].bus_dead;
                switch (rows[i].who) {
                case WHO_ENGINE:
                        put(&w.engine, knob(LIMIT_MEMORY_MAX), rows[i].value);
                        set_property(&w, knob(LIMIT_MEMORY_MAX), rows[i].value);
                        break;
                case WHO_PROPERTY:
                        set_property(&w, knob(LIMIT_MEMORY_MAX), rows[i].value);
                        break;
                case WHO_RELOAD:
                        put(&w.prop, knob(LIMIT_MEMORY_MAX), rows[i].value);
                        (void)limit_set_remove(&w.dropin, knob(LIMIT_MEMORY_MAX));
                        reload(&w);
                        break;
                case WHO_RAW:
                        kernel_set(&w, knob(LIMIT_MEMORY_MAX), rows[i].value);
                        break;
                case WHO_NOBODY:
                        break;
                }
                run(&w, 5 * S);
                if (w.events[RECON_DRIFT] != rows[i].drifts || w.events[RECON_CAPPED] != rows[i].capped ||
                    w.events[RECON_HOLD] != rows[i].holds || w.events[RECON_REPAIRED] != rows[i].drifts ||
                    file_of(&w, LIMIT_MEMORY_MAX) != rows[i].file)
                        fail_msg("%s: %u drifts, %u capped, %u holds, %u repaired, file %llu", rows[i].name,
                                 w.events[RECON_DRIFT], w.events[RECON_CAPPED], w.events[RECON_HOLD],
                                 w.events[RECON_REPAIRED], (unsigned long long)file_of(&w, LIMIT_MEMORY_MAX));
                if (rows[i].drifts)
                        assert_int_equal(w.last[RECON_DRIFT].cause, rows[i].cause);
                w.bus_dead = false;
                run(&w, 100 * S);
                quiet(&w);
                if (rows[i].holds) { /* and after the hold it is repaired */
                        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_HELD);
                        run(&w, 900 * S);
                        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
                        assert_int_equal(prop_of(&w, LIMIT_MEMORY_MAX), G);
                        assert_int_equal(w.events[RECON_HOLD], 1);
                        assert_int_equal(w.events[RECON_REPAIRED], 1);
                }
                drop_policy(&w);
                run(&w, 100 * S);
                if (file_of(&w, LIMIT_MEMORY_MAX) != rows[i].want)
                        fail_msg("%s: given back %llu", rows[i].name,
                                 (unsigned long long)file_of(&w, LIMIT_MEMORY_MAX));
                assert_int_equal(w.dropin.n, 0);
                assert_int_equal(w.n_ledger, 0);
                dead(&w);
        }
}

/* PID 1 writes an old property again because somebody set another one: no wish, no hold. */
static void test_side_effect(void **state) {
        World w = docker();

        (void)state;
        w.container = w.know_engine = false;
        policy(&w, LIMIT_MEMORY_MAX, G);
        w.bus_dead = true; /* kernel only */
        run(&w, 10 * S);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_KERNEL_ONLY);
        w.bus_dead = false;
        w.push_result = -EIO; /* and so it stays */
        run(&w, 10 * S);
        forget_events(&w);
        set_property(&w, knob(LIMIT_CPU_WEIGHT), 77);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        run(&w, 5 * S);
        assert_int_equal(w.events[RECON_HOLD], 0);
        assert_int_equal(w.last[RECON_DRIFT].cause, DRIFT_RELOAD);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        assert_int_equal(file_of(&w, LIMIT_CPU_WEIGHT), 77);
        dead(&w);
}

/*
 * PID 1 makes the cgroup of a starting unit first and realizes its properties after we wrote: no operator's wish,
 * nor, while it is new, anything to tell.
 */
static void test_realized_late(void **state) {
        (void)state;
        for (int newborn = 0; newborn <= 1; newborn++) {
                World w = docker();

                w.container = w.know_engine = false;
                w.newborn = newborn;
                put(&w.prop, knob(LIMIT_TASKS_MAX), 2362);
                put(&w.file, knob(LIMIT_TASKS_MAX), INF);
                policy(&w, LIMIT_TASKS_MAX, 64);
                w.bus_dead = true; /* PID 1 is busy starting it */
                tick(&w);
                assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 64);
                kernel_set(&w, knob(LIMIT_TASKS_MAX), 2362);
                w.bus_dead = false;
                run(&w, 10 * S);
                assert_int_equal(w.events[RECON_HOLD], 0);
                assert_int_equal(w.events[RECON_DRIFT], !newborn);
                assert_int_equal(w.events[RECON_REPAIRED], !newborn);
                assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 64);
                assert_int_equal(prop_of(&w, LIMIT_TASKS_MAX), 64);
                if (newborn) { /* what others do is told all the same */
                        kernel_set(&w, knob(LIMIT_TASKS_MAX), INF);
                        run(&w, 10 * S);
                        assert_int_equal(w.last[RECON_DRIFT].cause, DRIFT_RAW);
                        assert_int_equal(w.events[RECON_DRIFT], 1);
                        put(&w.prop, knob(LIMIT_TASKS_MAX), 2362);
                        reload(&w);
                        run(&w, 10 * S);
                        assert_int_equal(w.last[RECON_DRIFT].cause, DRIFT_RELOAD);
                        assert_int_equal(w.events[RECON_DRIFT], 2);
                        assert_int_equal(w.events[RECON_REPAIRED], 2);
                        assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 64);
                }
                drop_policy(&w);
                run(&w, 100 * S);
                assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 2362);
                dead(&w);
        }
}

/* No cpu controller in a slice until its unit has a property that needs one. */
static void test_absent(void **state) {
        World w = born(false);

        (void)state;
        w.lazy_cpu = true;
        w.have_files &= ~CPU_FILES;
        policy(&w, LIMIT_CPU_QUOTA, S / 2);
        policy(&w, LIMIT_TASKS_MAX, 64);
        w.push_result = -ETIMEDOUT;
        run(&w, 5 * S);
        assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 64);
        assert_true(w.n_pushes > 0 && w.n_pushes < 5); /* with back-off */
        assert_int_equal(prop_of(&w, LIMIT_CPU_QUOTA), INF);
        w.push_result = 0;
        run(&w, 90 * S);
        assert_int_equal(prop_of(&w, LIMIT_CPU_QUOTA), S / 2);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S / 2);
        assert_int_equal(state_of(&w, LIMIT_CPU_QUOTA), KNOB_OK);
        assert_int_equal(w.events[RECON_SET], 2);
        assert_int_equal(w.events[RECON_DRIFT], 0);
        assert_int_equal(record(&w, knob(LIMIT_CPU_QUOTA))->ours, S / 2);
        assert_false(record(&w, knob(LIMIT_CPU_QUOTA))->have_want);
        quiet(&w);

        /* drift of such a value is drift as any other */
        kernel_set(&w, knob(LIMIT_CPU_QUOTA), INF);
        run(&w, 5 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S / 2);
        assert_int_equal(w.events[RECON_DRIFT], 1);

        drop_policy(&w);
        run(&w, 200 * S);
        assert_int_equal(prop_of(&w, LIMIT_CPU_QUOTA), INF);
        assert_int_equal(w.have_files & CPU_FILES, 0);
        assert_int_equal(w.n_ledger, 0);
        assert_int_equal(w.r.n, 0);
        dead(&w);

        /* No unit: nobody can make the file. */
        w = born(false);
        w.unit = false;
        w.have_files &= ~CPU_FILES;
        policy(&w, LIMIT_CPU_QUOTA, S / 2);
        run(&w, 100 * S);
        assert_int_equal(state_of(&w, LIMIT_CPU_QUOTA), KNOB_UNWRITABLE);
        assert_int_equal(w.n_pushes, 0);
        dead(&w);

        /* A host without the controller: told once, and still said to be missing. */
        w = born(false);
        w.have_files &= ~CPU_FILES;
        policy(&w, LIMIT_CPU_QUOTA, S / 2);
        run(&w, 1000 * S);
        assert_int_equal(state_of(&w, LIMIT_CPU_QUOTA), KNOB_UNWRITABLE);
        assert_int_equal(w.n_pushes, 1);
        drop_policy(&w);
        run(&w, 200 * S);
        assert_int_equal(prop_of(&w, LIMIT_CPU_QUOTA), INF);
        assert_int_equal(w.n_ledger, 0);
        dead(&w);
}

static void test_fight(void **state) {
        World w = docker();
        unsigned repairs;

        (void)state;
        policy(&w, LIMIT_MEMORY_MAX, G);
        run(&w, 20 * S);
        forget_events(&w);
        for (unsigned i = 0; i < 600; i++) {
                kernel_set(&w, knob(LIMIT_MEMORY_MAX), INF - i * M % (4 * G)); /* and never the same */
                run(&w, S);
        }
        repairs = w.n_writes[LIMIT_MEMORY_MAX];
        assert_in_range(repairs, 10, 18);
        assert_int_equal(w.events[RECON_FIGHT], 1);
        assert_in_range(w.events[RECON_DRIFT], 1, 6);
        assert_in_range(w.events[RECON_REPAIRED], 1, 5);
        assert_true(w.n_pushes <= repairs);
        run(&w, 61 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        run(&w, 605 * S);
        assert_false(recon_find(&w.r, knob(LIMIT_MEMORY_MAX))->fighting);
        kernel_set(&w, knob(LIMIT_MEMORY_MAX), INF);
        forget_events(&w);
        tick(&w);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        assert_int_equal(w.events[RECON_DRIFT], 1);
        drop_policy(&w);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        dead(&w);
}

static void test_squeeze(void **state) {
        World w = docker();

        (void)state;
        w.use = 3 * G;
        policy(&w, LIMIT_MEMORY_MAX, G);
        run(&w, 10 * S);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_SQUEEZING);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_true(file_of(&w, LIMIT_MEMORY_HIGH) < G);
        assert_int_equal(w.n_pushes, 0);
        assert_int_equal(w.events[RECON_SQUEEZE], 1);
        assert_true(record(&w, knob(LIMIT_MEMORY_HIGH))->share);
        assert_int_equal(record(&w, knob(LIMIT_MEMORY_HIGH))->lapse, INF);
        quiet(&w);
        w.paused = true; /* a squeeze is a lease */
        run(&w, S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), INF);
        w.paused = false;
        run(&w, S);
        assert_true(file_of(&w, LIMIT_MEMORY_HIGH) < G);
        w.squeezable = true;
        run(&w, 60 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), INF);
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_MAX), G);
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_HIGH), INF);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_OK);
        drop_policy(&w);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_int_equal(w.dropin.n + w.n_ledger, 0);
        dead(&w);
}

/* With EngineLimits=override ours is looser than the want: giving back must not kill either. */
static void test_override(void **state) {
        World w = docker();

        (void)state;
        w.override = true;
        policy(&w, LIMIT_MEMORY_MAX, 8 * G);
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 8 * G);
        w.use = 6 * G;
        drop_policy(&w);
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 8 * G);
        assert_true(file_of(&w, LIMIT_MEMORY_HIGH) < 4 * G);
        w.squeezable = true;
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), INF);
        assert_int_equal(w.n_ledger + w.dropin.n, 0);
        dead(&w);
}

static void test_push_waits(void **state) {
        World w = docker();

        (void)state;
        policy(&w, LIMIT_MEMORY_HIGH, G);
        policy(&w, LIMIT_TASKS_MAX, 100);
        w.use = G + 50 * M;
        run(&w, 300 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), G);
        assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 100);
        assert_int_equal(w.n_pushes, 0);
        assert_int_equal(state_of(&w, LIMIT_TASKS_MAX), KNOB_KERNEL_ONLY);
        w.use = G - 50 * M;
        run(&w, 20 * S);
        assert_int_equal(w.n_pushes, 1);
        assert_int_equal(state_of(&w, LIMIT_TASKS_MAX), KNOB_OK);
        dead(&w);
}

static void test_share(void **state) {
        World w = docker();

        (void)state;
        policy(&w, LIMIT_MEMORY_MAX, 3 * G);
        put(&w.whole, knob(LIMIT_CPU_QUOTA), 3 * S / 2);
        put(&w.whole, knob(LIMIT_MEMORY_HIGH), 2 * G);
        put(&w.share, knob(LIMIT_CPU_QUOTA), S / 2);
        put(&w.share, knob(LIMIT_MEMORY_HIGH), G);
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S / 2);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), G);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 3 * G);
        /* told: the ceiling. Not told: the leases, which the call did not lose either. */
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_MAX), 3 * G);
        assert_int_equal(prop_of(&w, LIMIT_CPU_QUOTA), 2 * S);
        assert_int_equal(prop_of(&w, LIMIT_MEMORY_HIGH), INF);
        assert_int_equal(state_of(&w, LIMIT_CPU_QUOTA), KNOB_KERNEL_ONLY);
        assert_int_equal(record(&w, knob(LIMIT_CPU_QUOTA))->lapse, 3 * S / 2);
        assert_int_equal(w.events[RECON_DRIFT], 0);
        quiet(&w);
        w.held = true;
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S / 2);
        w.held = false;
        for (unsigned pass = 0; pass < 2; pass++) {
                w.paused = pass == 0;
                w.mode = pass == 0 ? MODE_CEILINGS : MODE_OBSERVE;
                run(&w, S);
                assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), 3 * S / 2);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), 2 * G);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 3 * G);
                quiet(&w);
                w.paused = false;
                w.mode = MODE_CEILINGS;
                run(&w, S);
                assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S / 2);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), G);
        }
        put(&w.share, knob(LIMIT_CPU_QUOTA), S); /* a neighbour went */
        run(&w, S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S);
        w.paused = true; /* dropped while it was lifted: nothing is forgotten */
        run(&w, S);
        drop_policy(&w);
        run(&w, S);
        w.paused = false;
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), 2 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), INF);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_int_equal(w.n_ledger + w.dropin.n, 0);
        assert_int_equal(w.events[RECON_DRIFT], 0);
        dead(&w);
}

static void test_observe(void **state) {
        World w = docker();

        (void)state;
        w.mode = MODE_OBSERVE;
        policy(&w, LIMIT_MEMORY_MAX, G);
        policy(&w, LIMIT_CPU_QUOTA, 3 * S); /* looser than the engine's */
        run(&w, 60 * S);
        assert_int_equal(w.events[RECON_WOULD], 1);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_OBSERVED);
        assert_int_equal(state_of(&w, LIMIT_CPU_QUOTA), KNOB_OK);
        policy(&w, LIMIT_MEMORY_MAX, G / 2);
        kernel_set(&w, knob(LIMIT_MEMORY_MAX), 5 * G);
        reload(&w);
        run(&w, 60 * S);
        assert_int_equal(w.events[RECON_WOULD], 2);
        drop_policy(&w);
        run(&w, 60 * S);
        assert_int_equal(w.n_all_writes + w.n_pushes + w.n_ledger + w.r.n, 0);
        dead(&w);
}

static void test_release(void **state) {
        World w = docker();

        (void)state;
        policy(&w, LIMIT_MEMORY_MAX, G);
        run(&w, 10 * S);
        w.mode = MODE_OBSERVE;
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G); /* ceilings are no leases */
        w.paused = w.release = true;
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_int_equal(w.r.n + w.n_ledger + w.dropin.n, 0);
        dead(&w);
}

/* The kernel refuses a quota below the burst, and one below 1 ms per period. */
static void test_cpu(void **state) {
        World w = docker();

        (void)state;
        kernel_set(&w, knob(LIMIT_CPU_BURST), 90000);
        policy(&w, LIMIT_CPU_QUOTA, S / 2); /* 50 ms per period */
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), S / 2);
        assert_int_equal(file_of(&w, LIMIT_CPU_BURST), 50000);
        policy(&w, LIMIT_CPU_QUOTA, 5000);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_PERIOD), 200000);
        assert_int_equal(file_of(&w, LIMIT_CPU_BURST), 1000);
        quiet(&w);
        policy(&w, LIMIT_CPU_QUOTA, S);
        policy(&w, LIMIT_CPU_BURST, 100000);
        policy(&w, LIMIT_CPU_PERIOD, 50000);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_BURST), 50000);
        assert_int_equal(file_of(&w, LIMIT_CPU_PERIOD), 50000);
        quiet(&w);
        drop_policy(&w);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_QUOTA), 2 * S);
        assert_int_equal(file_of(&w, LIMIT_CPU_PERIOD), 100000);
        assert_int_equal(file_of(&w, LIMIT_CPU_BURST), 90000);
        assert_int_equal(w.events[RECON_DRIFT], 0);
        assert_int_equal(w.n_ledger + w.dropin.n, 0);
        dead(&w);
}

static void restart(World *w) {
        recon_deinit(&w->r);
        w->n_pending = 0;
        for (size_t i = 0; i < w->n_ledger; i++)
                assert_int_equal(recon_adopt(&w->r, &w->ledger[i]), 0);
}

static void test_restart(void **state) {
        World w = docker();

        (void)state;
        policy(&w, LIMIT_MEMORY_MAX, G);
        put(&w.share, knob(LIMIT_TASKS_MAX), 100);
        put(&w.whole, knob(LIMIT_TASKS_MAX), 200);
        run(&w, 10 * S);
        forget_events(&w);
        restart(&w);
        run(&w, 100 * S);
        assert_int_equal(w.n_all_writes + w.n_pushes, 0);
        for (unsigned i = 0; i < _RECON_EVENT_MAX; i++)
                assert_int_equal(w.events[i], 0);

        /* dies with a tightening on its way: in the ledger, not in the kernel; and a loosening the other way round */
        w.write_delay = 10 * S;
        policy(&w, LIMIT_MEMORY_MAX, G / 2);
        tick(&w);
        restart(&w);
        w.write_delay = 0;
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G / 2);
        w.write_delay = 10 * S;
        policy(&w, LIMIT_MEMORY_MAX, 2 * G);
        tick(&w);
        assert_int_equal(record(&w, knob(LIMIT_MEMORY_MAX))->ours, G / 2);
        restart(&w);
        w.write_delay = 0;
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 2 * G); /* G/2 was not taken for a want */

        /* drifted while nobody looked */
        restart(&w);
        kernel_set(&w, knob(LIMIT_MEMORY_MAX), INF);
        kernel_set(&w, knob(LIMIT_TASKS_MAX), 50);
        run(&w, 10 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 2 * G);
        assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 50);
        restart(&w);
        drop_policy(&w);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 4 * G);
        assert_int_equal(file_of(&w, LIMIT_TASKS_MAX), 50);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_SWAP_MAX), 300 * M);
        assert_int_equal(w.n_ledger + w.dropin.n, 0);
        dead(&w);
}

/* A write that timed out may have landed: its echo is no want. */
static void test_timeout(void **state) {
        (void)state;
        for (unsigned lands = 0; lands < 2; lands++) {
                World w = docker();

                policy(&w, LIMIT_MEMORY_HIGH, G);
                w.use = 2 * G;
                w.write_result = TIMEOUT;
                w.timeout_lands = lands;
                w.write_delay = 5 * S;
                run(&w, 30 * S);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), G);
                assert_true(recon_find(&w.r, knob(LIMIT_MEMORY_HIGH))->holds);
                drop_policy(&w);
                run(&w, 30 * S);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_HIGH), INF);
                dead(&w);
        }
}

static void test_failures(void **state) {
        World w = docker();

        (void)state;
        policy(&w, LIMIT_MEMORY_MAX, G);
        for (unsigned i = 0; i < 600; i++) {
                w.write_result = -EINVAL;
                run(&w, S);
        }
        assert_int_equal(w.events[RECON_REFUSED], 1);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_UNWRITABLE);
        w.write_result = 0;
        run(&w, 61 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        /* a write that nobody answers does not stay in flight for ever */
        policy(&w, LIMIT_MEMORY_MAX, G / 2);
        w.write_delay = 10000 * S;
        tick(&w);
        w.n_pending = 0;
        w.write_delay = 0;
        run(&w, 62 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G / 2);
        /* PID 1 that never answers is asked less and less */
        forget_events(&w);
        w.push_result = -ETIMEDOUT;
        policy(&w, LIMIT_MEMORY_MAX, G / 4);
        run(&w, 600 * S);
        assert_in_range(w.n_pushes, 10, 18);
        /* nor does it keep a repair waiting for evidence */
        w.no_properties = true;
        kernel_set(&w, knob(LIMIT_MEMORY_MAX), INF);
        run(&w, 4 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G / 4);
        assert_int_equal(w.last[RECON_DRIFT].cause, DRIFT_UNKNOWN);
        /* the controller goes away, and the unit */
        w.have_files = 0;
        w.unit = false;
        run(&w, 10 * S);
        assert_int_equal(state_of(&w, LIMIT_MEMORY_MAX), KNOB_UNWRITABLE);
        drop_policy(&w);
        run(&w, 10 * S);
        assert_int_equal(w.r.n + w.n_ledger, 0);
        dead(&w);
}

/*
 * What we wrote once comes back after somebody else's tighter value. Without a
 * unit it can only be that somebody's new wish; with one PID 1 does it at
 * every reload, from the property that is ours: the wish stays what it was.
 */
static void test_echo_of_ours(void **state) {
        (void)state;
        for (unsigned unit = 0; unit < 2; unit++) {
                World w = docker();

                w.know_engine = false;
                w.unit = unit;
                policy(&w, LIMIT_MEMORY_MAX, 2 * G);
                run(&w, 10 * S);
                kernel_set(&w, knob(LIMIT_MEMORY_MAX), G); /* tighter: respected */
                run(&w, 10 * S);
                if (unit)
                        reload(&w);
                else
                        kernel_set(&w, knob(LIMIT_MEMORY_MAX), 2 * G);
                run(&w, 10 * S);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), unit ? G : 2 * G);
                drop_policy(&w);
                run(&w, 100 * S);
                assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), unit ? G : 2 * G);
                assert_int_equal(w.n_ledger + w.dropin.n, 0);
                dead(&w);
        }
}

/* podman --memory 32m, written just when PID 1 wrote everything else. */
static void test_requested(void **state) {
        LimitSet asked = LIMIT_SET_INIT, pushed = LIMIT_SET_INIT, before = LIMIT_SET_INIT,
                 after = LIMIT_SET_INIT;
        ReconPlan plan = {};
        World w = docker();

        (void)state;
        policy(&w, LIMIT_TASKS_MAX, 50);
        turn(&w);
        put(&asked, knob(LIMIT_MEMORY_MAX), 32 * M);
        put(&asked, knob(LIMIT_TASKS_MAX), 400); /* policy's own */
        put(&asked, knob(LIMIT_MEMORY_LOW), 16 * M); /* a protection */
        put(&asked, knob(LIMIT_MEMORY_SWAP_MAX), 8 * M); /* somebody has another value there */
        put(&asked, knob(LIMIT_CPU_QUOTA), S); /* part of the call */
        put(&asked, knob(LIMIT_MEMORY_HIGH), INF); /* asked for nothing */
        put(&pushed, knob(LIMIT_CPU_QUOTA), S / 2);
        put(&before, knob(LIMIT_MEMORY_MAX), INF);
        put(&after, knob(LIMIT_MEMORY_MAX), INF);
        put(&after, knob(LIMIT_MEMORY_SWAP_MAX), 9 * M);
        assert_int_equal(recon_restore_requested(&w.r, &asked, &pushed, &before, &after, &plan), 0);
        assert_int_equal(plan.n_writes, 1);
        assert_int_equal(plan.writes[0].knob.limit, LIMIT_MEMORY_MAX);
        assert_int_equal(plan.writes[0].value, 32 * M);
        assert_true(plan.writes[0].headroom_guard);

        /* It was there before, and is wiped: recon_restore_foreign()'s and the carried values' business. */
        recon_plan_clear(&plan);
        put(&before, knob(LIMIT_MEMORY_MAX), 32 * M);
        assert_int_equal(recon_restore_requested(&w.r, &asked, &pushed, &before, &after, &plan), 0);
        assert_int_equal(plan.n_writes, 0);
        recon_plan_deinit(&plan);
        limit_set_deinit(&asked);
        limit_set_deinit(&pushed);
        limit_set_deinit(&before);
        limit_set_deinit(&after);
        dead(&w);
}

static void test_unhold(void **state) {
        World w = docker();

        (void)state;
        w.container = w.know_engine = false;
        policy(&w, LIMIT_MEMORY_MAX, G);
        run(&w, 10 * S);
        set_property(&w, knob(LIMIT_MEMORY_MAX), 6 * G);
        run(&w, 100 * S);
        set_property(&w, knob(LIMIT_MEMORY_MAX), 7 * G); /* again: the hold starts anew */
        run(&w, 850 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 7 * G);
        assert_int_equal(w.events[RECON_HOLD], 2);
        recon_unhold(&w.r);
        run(&w, S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), G);
        drop_policy(&w);
        run(&w, 100 * S);
        assert_int_equal(file_of(&w, LIMIT_MEMORY_MAX), 7 * G);
        dead(&w);
}

static void test_order(void **state) {
        World w = docker();
        Buf text = BUF_INIT;
        size_t pos[_LIMIT_MAX] = {}, span = 0;

        (void)state;
        w.use = 600 * M;
        policy(&w, LIMIT_MEMORY_MAX, G);
        policy(&w, LIMIT_MEMORY_HIGH, 500 * M);
        policy(&w, LIMIT_CPU_QUOTA, S / 10);
        policy(&w, LIMIT_CPU_PERIOD, 20000);
        policy(&w, LIMIT_CPU_BURST, 2000);
        policy(&w, LIMIT_CPU_WEIGHT, 200);
        think(&w, true);
        for (size_t i = 0; i < w.plan.n_writes; i++)
                pos[w.plan.writes[i].knob.limit] = i;
        assert_int_equal(w.plan.n_writes, 6);
        assert_true(pos[LIMIT_CPU_BURST] < pos[LIMIT_CPU_QUOTA]);
        assert_int_equal(pos[LIMIT_CPU_PERIOD], pos[LIMIT_CPU_QUOTA] + 1);
        assert_true(pos[LIMIT_CPU_WEIGHT] < pos[LIMIT_MEMORY_MAX]);
        assert_int_equal(pos[LIMIT_MEMORY_HIGH], 5); /* blocks: last */
        span = recon_write_span(&w.plan, pos[LIMIT_CPU_QUOTA]);
        assert_int_equal(span, 2);
        assert_int_equal(recon_write_text(&w.plan, pos[LIMIT_CPU_QUOTA], &w.file, &text), 0);
        assert_string_equal(buf_str(&text), "2000 20000");
        buf_deinit(&text);
        dead(&w);
}

/* ---- without memory ---- */

static void test_no_memory(void **state) {
        World w = docker();
        LimitSet wants = LIMIT_SET_INIT;

        (void)state;
        w.use = 2 * G;
        policy(&w, LIMIT_MEMORY_MAX, G);
        policy(&w, LIMIT_TASKS_MAX, 10);
        policy(&w, LIMIT_CPU_QUOTA, 5000);
        for (unsigned phase = 0; phase < 3; phase++) {
                ReconInput in = input_of(&w, true);
                int r = -ENOMEM;
                size_t n;

                recon_learn(&w.r, &in);
                assert_int_equal(recon_wants(&w.r, &in, &wants), 0);
                combine(&w, &w.policy, NULL, &wants, &w.desired);
                for (n = 0; r == -ENOMEM; n++) {
                        Recon before = w.r;
                        ReconKnob *copy = malloc((w.r.n + 1) * sizeof(*copy));

                        assert_non_null(copy);
                        if (w.r.n > 0)
                                memcpy(copy, w.r.knobs, w.r.n * sizeof(*copy));
                        recon_plan_deinit(&w.plan);
                        allocations_left = n;
                        r = recon_step(&w.r, &in, &w.plan);
                        allocations_left = SIZE_MAX;
                        if (r < 0) {
                                assert_int_equal(r, -ENOMEM);
                                assert_memory_equal(&before, &w.r, sizeof(before));
                                if (before.n > 0)
                                        assert_memory_equal(copy, w.r.knobs, before.n * sizeof(*copy));
                                assert_int_equal(w.plan.n_writes + w.plan.n_events + w.plan.n_remember, 0);
                                assert_false(w.plan.push_property);
                        }
                        free(copy);
                }
                assert_in_range(n, phase == 0 ? 4 : 2, 60);
                /* go on to the next stage: squeezed, then pushed */
                hear(&w, &w.plan);
                keep(&w, &w.plan);
                for (size_t i = 0; i < w.plan.n_writes; i++)
                        w.pending[w.n_pending++] = w.plan.writes[i];
                answer_writes(&w);
                w.use = 500 * M;
        }
        limit_set_deinit(&wants);
        dead(&w);
}

/* ---- random lives ---- */

static const Limit random_limits[] = { LIMIT_MEMORY_HIGH, LIMIT_MEMORY_MAX, LIMIT_CPU_QUOTA,
                                       LIMIT_TASKS_MAX,   LIMIT_CPU_WEIGHT, LIMIT_MEMORY_SWAP_MAX };

static uint64_t random_value(Limit l) {
        uint64_t step = next_random() % 20 + 1;

        switch (l) {
        case LIMIT_CPU_QUOTA:
                return step * S / 10;
        case LIMIT_CPU_WEIGHT:
                return step * 10;
        case LIMIT_TASKS_MAX:
                return step * 50;
        default:
                return step * 128 * M;
        }
}

/* Never what policy says: a wish for just what we wrote cannot be told from our own value. */
static uint64_t random_wish(Limit l) {
        switch (l) {
        case LIMIT_CPU_QUOTA:
                return random_value(l) + 30000;
        case LIMIT_CPU_WEIGHT:
        case LIMIT_TASKS_MAX:
                return random_value(l) + 5;
        default:
                return random_value(l) + M;
        }
}

/* Wishes are known to the world: what was last set by property or engine counts, raw loosening does not. */
static void random_event(World *w, LimitSet *wish) {
        Limit l = random_limits[next_random() % ARRAY_SIZE(random_limits)];
        uint64_t v = random_value(l);

        switch (next_random() % 16) {
        case 0:
        case 1: /* engine or operator, through PID 1 */
                if (!w->unit && !(w->know_engine && limit_info(l)->sense == LIMIT_CEILING))
                        break; /* a file alone does not show whose wish it is */
                v = random_wish(l);
                /* over it comes, in a moment, what we were writing: not all of that can be seen */
                for (size_t i = 0; i < w->n_pending; i++)
                        w->murky[l] = w->murky[l] || w->pending[i].knob.limit == l;
                if (w->container && w->know_engine && limit_info(l)->sense == LIMIT_CEILING)
                        put(&w->engine, knob(l), v);
                if (w->unit)
                        set_property(w, knob(l), v);
                else
                        kernel_set(w, knob(l), v);
                put(wish, knob(l), v);
                break;
        case 2:
                if (w->unit)
                        reload(w);
                break;
        case 3: /* somebody with a shell */
                if (limit_info(l)->sense == LIMIT_CEILING)
                        kernel_set(w, knob(l), INF);
                break;
        case 4:
        case 5:
                policy(w, l, v);
                break;
        case 6:
                (void)limit_set_remove(&w->policy, knob(l));
                (void)limit_set_remove(&w->whole, knob(l));
                break;
        case 7:
                if (limit_info(l)->sense == LIMIT_CEILING)
                        put(&w->share, knob(l), v);
                break;
        case 8:
                (void)limit_set_remove(&w->share, knob(l));
                break;
        case 9:
                w->paused = !w->paused;
                break;
        case 10:
                w->held = !w->held;
                break;
        case 11:
                w->mode = next_random() % 2 ? MODE_CEILINGS : MODE_OBSERVE;
                break;
        case 12:
                w->use = random_value(LIMIT_MEMORY_MAX);
                w->use = MIN_OF(w->use, file_of(w, LIMIT_MEMORY_MAX));
                break;
        case 13:
                w->write_result = (int)(next_random() % 5);
                if (w->write_result == GONE)
                        w->write_result = -EBUSY;
                w->timeout_lands = next_random() % 2;
                w->write_delay = next_random() % 4 == 0 ? next_random() % (20 * S) : 0;
                w->push_result = next_random() % 4 == 0 ? -EIO : 0;
                break;
        case 14: /* tighter by hand: a wish, or not, depending on what held just then */
                kernel_set(w, knob(l), v);
                w->murky[l] = true;
                break;
        case 15:
                if (next_random() % 4 == 0)
                        restart(w);
                break;
        }
        /* the kernel kills where others bring memory.max below use: it fits again */
        w->use = MIN_OF(w->use, file_of(w, LIMIT_MEMORY_MAX));
}

static void check_quiet_world(World *w) {
        for (size_t i = 0; i < w->desired.n; i++) {
                const LimitEntry *e = &w->desired.entries[i];

                if (limit_looser(e->knob.limit, in_set(&w->file, e->knob), e->value, PAGE))
                        fail_msg("limit %d: %llu is looser than %llu", e->knob.limit,
                                 (unsigned long long)in_set(&w->file, e->knob), (unsigned long long)e->value);
        }
}

static void live(uint64_t seed) {
        LimitSet wish = LIMIT_SET_INIT;
        World w = born(next_random() % 2);

        (void)seed;
        w.unit = next_random() % 4;
        w.operator_hold = 60 * S;
        w.know_engine = w.container && next_random() % 2;
        w.newborn = next_random() % 2;
        for (unsigned i = 0; i < 60; i++) {
                w.newborn = w.newborn && i < 20;
                random_event(&w, &wish);
                run(&w, next_random() % 4 == 0 ? next_random() % (90 * S) : TICK);
        }
        /* all calm down; holds end */
        w.paused = w.held = false;
        w.mode = MODE_CEILINGS;
        w.write_delay = 0;
        w.write_result = w.push_result = 0;
        w.use = 1 * M;
        run(&w, 300 * S);
        check_quiet_world(&w);
        quiet(&w);
        drop_policy(&w);
        run(&w, 300 * S);
        quiet(&w);
        if (w.r.n + w.n_ledger + w.dropin.n != 0)
                fail_msg("left behind: %zu knobs, %zu records, %zu drop-ins (limit %d)", w.r.n, w.n_ledger,
                         w.dropin.n, w.dropin.n > 0 ? (int)w.dropin.entries[0].knob.limit : -1);
        for (size_t i = 0; i < ARRAY_SIZE(random_limits); i++) {
                Limit l = random_limits[i];
                uint64_t have = file_of(&w, l), want = in_set(&wish, knob(l));

                /* a raw loosening that nobody's policy forbade may stand */
                if (!w.murky[l] && have != want && !(limit_info(l)->sense == LIMIT_CEILING && have == INF))
                        fail_msg("limit %d: given back %llu, wished %llu", l, (unsigned long long)have,
                                 (unsigned long long)want);
        }
        limit_set_deinit(&wish);
        dead(&w);
}

static void test_random(void **state) {
        (void)state;
        for (unsigned i = 0; i < 100; i++) {
                uint64_t seed = random_state;

                if (i == 0)
                        print_message("SEED=%llu\n", (unsigned long long)seed);
                live(seed);
        }
}

static void test_strings(void **state) {
        (void)state;
        for (DriftCause c = 0; c < DRIFT_UNKNOWN; c++)
                assert_string_not_equal(drift_cause_to_string(c), "unknown");
        for (KnobState s = 0; s < _KNOB_STATE_MAX; s++)
                assert_string_not_equal(knob_state_to_string(s), "unknown");
        for (ReconEventKind k = 0; k < _RECON_EVENT_MAX; k++)
                assert_string_not_equal(recon_event_to_string(k), "unknown");
        assert_string_equal(drift_cause_to_string(_DRIFT_MAX), "unknown");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first_write),  cmocka_unit_test(test_causes),
                cmocka_unit_test(test_side_effect),  cmocka_unit_test(test_realized_late),
                cmocka_unit_test(test_absent),       cmocka_unit_test(test_fight),
                cmocka_unit_test(test_squeeze),      cmocka_unit_test(test_override),
                cmocka_unit_test(test_push_waits),   cmocka_unit_test(test_share),
                cmocka_unit_test(test_observe),      cmocka_unit_test(test_release),
                cmocka_unit_test(test_cpu),          cmocka_unit_test(test_restart),
                cmocka_unit_test(test_timeout),      cmocka_unit_test(test_failures),
                cmocka_unit_test(test_echo_of_ours), cmocka_unit_test(test_requested),
                cmocka_unit_test(test_unhold),       cmocka_unit_test(test_order),
                cmocka_unit_test(test_no_memory),    cmocka_unit_test(test_random),
                cmocka_unit_test(test_strings),
        };

        seed_random();
        return cmocka_run_group_tests(tests, NULL, NULL);
}
