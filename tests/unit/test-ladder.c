/* SPDX-License-Identifier: Apache-2.0 */

/* How far somebody is held back: episodes as traces, and promises over random ones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "ladder-internal.h"
#include "random.h"

#define SEC USEC_PER_SEC
#define START (1000 * SEC)
#define MIB (UINT64_C(1) << 20)
#define DISK 0x800
#define ALL (THROTTLE_CPU | THROTTLE_IO | THROTTLE_MEMORY | THROTTLE_PIDS)

static LadderInput usual(Resource r) {
        return (LadderInput){
                .now = START,
                .resource = r,
                .mode = MODE_ENFORCE,
                .throttle = ALL,
                .kill = KILL_LAST,
                .kill_grace = 5 * SEC,
                .window = 2 * SEC,
                .may_throttle = true,
                .may_kill = ACT_WHY_HARM,
                .cpu_used = 2 * SEC,
                .cpu_entitled = SEC,
                .cpu_floor = LADDER_CPU_FLOOR,
                .memory = 800 * MIB,
                .memory_floor = LADDER_MEMORY_FLOOR,
                .tasks = 900,
                .dev = DISK,
                .io = { 0, 40000000, 0, 600 },
                .beneath = { LIMIT_INFINITY, LIMIT_INFINITY, LIMIT_INFINITY, LIMIT_INFINITY },
        };
}

/* ---- an episode: what was done, second by second, as text ---- */

typedef struct Episode {
        Ladder l;
        LadderInput in;
        char text[4096];
        unsigned n_acts;
        Act last;
} Episode;

static void note(Episode *e, const Act *a) {
        size_t n = strlen(e->text);

        e->n_acts++;
        e->last = *a;
        (void)snprintf(e->text + n, sizeof(e->text) - n, "%s%s%s", n > 0 ? " " : "", a->would ? "would-" : "",
                       act_kind_to_string(a->kind));
        n = strlen(e->text);
        if (a->lever >= 0 && a->kind != ACT_NOTIFY && a->kind != ACT_ALARM)
                (void)snprintf(e->text + n, sizeof(e->text) - n, ":%s", lever_to_string(a->lever));
        if (a->kind == ACT_ALARM)
                (void)snprintf(e->text + n, sizeof(e->text) - n, ":%s", act_why_to_string(a->why));
}

/* For so many seconds, half a second a step. */
static void run(Episode *e, unsigned seconds, unsigned share) {
        Act acts[LADDER_ACTS_MAX];

        for (unsigned i = 0; i < 2 * seconds; i++) {
                unsigned n;

                e->in.harmed = share > 0;
                e->in.calm = share == 0;
                e->in.share = share;
                n = ladder_step(&e->l, &e->in, acts);
                assert_true(n <= LADDER_ACTS_MAX);
                for (unsigned k = 0; k < n; k++) {
                        note(e, &acts[k]);
                        if (!acts[k].would)
                                ladder_acted(&e->l, &acts[k], 0, e->in.now);
                }
                e->in.now += SEC / 2;
        }
}

static void expect(Episode *e, const char *text) {
        assert_string_equal(e->text, text);
        e->text[0] = '\0';
}

static void helped_at_once(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        run(&e, 1, 5000);
        expect(&e, "notify throttle:cpu");
        /* Two CPUs are used, one is what it is entitled to. */
        assert_int_equal(e.last.values[0].value, SEC);
        assert_int_equal(e.last.values[0].knob.limit, LIMIT_CPU_QUOTA);
        e.in.cpu_used = SEC;
        run(&e, 7, 0);
        expect(&e, "");
        run(&e, 30, 0);
        assert_true(e.last.kind == ACT_RELEASE && e.last.have_effect && e.last.helped);
        assert_int_equal(e.last.share_before, 5000);
        assert_false(ladder_holds(&e.l));
        assert_int_equal(e.l.rung, RUNG_NONE);
}

static void cut_again(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        run(&e, 1, 8000);
        e.in.cpu_used = SEC;
        run(&e, 2, 6000); /* fell by a quarter: it helps, but not enough */
        expect(&e, "notify throttle:cpu throttle:cpu");
        assert_int_equal(e.last.values[0].value, SEC / 2);
        assert_true(e.last.have_effect && e.last.helped);
        /* Never below the floor, and nobody dies of a lever that helps before LADDER_LAST. */
        e.in.cpu_used = SEC / 2;
        e.in.cpu_floor = SEC / 3;
        run(&e, 20, 4000);
        assert_int_equal(e.l.levers[LEVER_CPU].values[0].value, SEC / 3);
}

static void next_lever(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };

        (void)state;
        e.in.kill = KILL_NEVER;
        run(&e, 30, 7000); /* nothing helps; the last one stands all the same */
        expect(&e, "notify throttle:io throttle:io throttle:io release:io throttle:cpu throttle:cpu "
                   "throttle:cpu alarm:floor");
        assert_true(ladder_holds(&e.l) && !e.l.levers[LEVER_IO].on);
        run(&e, 600, 7000);
        expect(&e, ""); /* told once, and stays */
        assert_true(ladder_holds(&e.l));
}

/* What it is guaranteed becomes more while it is held back. */
static void floor_rises(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };
        Episode memory = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        run(&e, 1, 5000);
        expect(&e, "notify throttle:cpu");
        e.in.cpu_used = SEC;
        e.in.cpu_floor = SEC * 3 / 2;
        run(&e, 1, 5000);
        expect(&e, "relax:cpu");
        assert_int_equal(e.last.values[0].value, SEC * 3 / 2);
        assert_int_equal(e.last.why, ACT_WHY_FLOOR);
        e.in.cpu_floor = SEC;
        run(&e, 1, 5000);
        expect(&e, ""); /* to be cut further, that must help first */
        e.in.beneath[LEVER_CPU] = SEC * 7 / 4;
        e.in.cpu_floor = SEC * 2; /* a quota holds it back more than we may */
        run(&e, 1, 5000);
        expect(&e, "release:cpu");
        assert_false(ladder_holds(&e.l));

        run(&memory, 2, 5000);
        expect(&memory, "notify throttle:memory");
        memory.in.memory_floor = 750 * MIB;
        run(&memory, 1, 0);
        expect(&memory, "relax:memory");
        assert_int_equal(memory.last.values[0].value, 750 * MIB);
}

/* Somebody gave it an io.max of its own that is tighter than our lease: that one is ours no more. */
static void io_beneath(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };
        _cleanup_(limit_set_deinit) LimitSet beneath = LIMIT_SET_INIT;

        (void)state;
        e.in.beneath_io = &beneath;
        e.in.io[3] = 6000;
        run(&e, 2, 8000);
        expect(&e, "notify throttle:io");
        assert_int_equal(e.last.n, 2);
        assert_int_equal(limit_set_put(&beneath, (LimitKnob){ LIMIT_IO_WRITE_IOPS_MAX, DISK }, 100, 0), 0);
        run(&e, 2, 6000);
        expect(&e, "throttle:io");
        assert_int_equal(e.last.n, LADDER_VALUES_MAX - 1); /* further cuts are of both directions */
        for (unsigned i = 0; i < e.last.n; i++)
                assert_true(e.last.values[i].knob.limit != LIMIT_IO_WRITE_IOPS_MAX);
}

/* One that helped once is left where it is when the next one is tried. */
static void stands(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };

        (void)state;
        e.in.kill = KILL_NEVER;
        run(&e, 2, 8000);
        run(&e, 2, 6000);
        run(&e, 20, 6000);
        expect(&e, "notify throttle:io throttle:io throttle:io throttle:io throttle:cpu throttle:cpu "
                   "throttle:cpu alarm:floor");
        assert_true(e.l.levers[LEVER_IO].on && e.l.levers[LEVER_CPU].on);
}

/* No lever at all: nothing is throttled; who may not be killed either is only told of. */
static void no_lever(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        e.in.throttle = THROTTLE_IO | THROTTLE_MEMORY;
        e.in.kill = KILL_NEVER;
        run(&e, 300, 7000);
        expect(&e, "notify alarm:levers");
        e.in.throttle = ALL;
        e.in.beneath[LEVER_CPU] = LADDER_CPU_FLOOR; /* as tight as it may be already */
        e.in.kill = KILL_LAST;
        e.in.mode = MODE_OBSERVE;
        run(&e, 300, 7000);
        assert_null(strstr(e.text, "throttle"));
}

/* While it gets worse the next cut need not wait for the window; below the entitlement it does. */
static void rising(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };
        Episode cpu = { .in = usual(RESOURCE_CPU) };

        (void)state;
        e.in.window = cpu.in.window = 10 * SEC;
        run(&e, 2, 2500);
        run(&e, 2, 4000);
        run(&e, 2, 6000);
        expect(&e, "notify throttle:io throttle:io throttle:io");
        assert_int_equal(e.last.values[1].value, 40000000 / 8);
        run(&e, 8, 7000); /* three cuts: whether they helped is told by a whole window */
        expect(&e, "");
        run(&e, 2, 7000);
        expect(&e, "release:io throttle:cpu");

        run(&cpu, 2, 2500);
        run(&cpu, 2, 4000);
        run(&cpu, 2, 6000);
        expect(&cpu, "notify throttle:cpu");
        run(&cpu, 6, 7000);
        expect(&cpu, "throttle:cpu");
        assert_int_equal(cpu.last.values[0].value, SEC / 2);
}

/* ---- what a lever holds ---- */

typedef struct CutRow {
        const char *what;
        Resource r;
        unsigned throttle;
        LadderInput in; /* what differs from usual(): uses and floors that are not 0 */
        uint64_t beneath; /* 0: none */
        uint64_t cuts[4]; /* the first value of each act, 0: no more of this lever */
} CutRow;

static const CutRow cut_rows[] = {
        { "straight to the entitlement, then halves",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = 4 * SEC, .cpu_entitled = SEC / 2 },
          0,
          { SEC / 2, SEC / 4, SEC / 8 } },
        { "who uses less than its part: half",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = SEC, .cpu_entitled = 2 * SEC },
          0,
          { SEC / 2, SEC / 4, SEC / 8 } },
        { "the guarantee is the end",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = 2 * SEC, .cpu_entitled = SEC, .cpu_floor = 800000 },
          0,
          { SEC, 800000 } },
        { "a guarantee above what is used",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = 2 * SEC, .cpu_entitled = SEC, .cpu_floor = 3 * SEC },
          0,
          {} },
        { "no floor said: that of everybody",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = 150000, .cpu_entitled = SEC },
          0,
          { LADDER_CPU_FLOOR } },
        { "a quota of its own is as tight",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = 2 * SEC, .cpu_entitled = SEC },
          SEC,
          {} },
        { "a quota of its own is less tight",
          RESOURCE_CPU,
          THROTTLE_CPU,
          { .cpu_used = 2 * SEC, .cpu_entitled = SEC },
          SEC + 1,
          { SEC, SEC / 2, SEC / 4 } },
        { "memory by eighths",
          RESOURCE_MEMORY,
          THROTTLE_MEMORY,
          { .memory = 800 * MIB },
          0,
          { 700 * MIB, 700 * MIB / 8 * 7, 642252800 / 8 * 7 } },
        { "a MiB at least",
          RESOURCE_MEMORY,
          THROTTLE_MEMORY,
          { .memory = 4 * MIB, .memory_floor = MIB },
          0,
          { 3 * MIB, 2 * MIB, MIB } },
        { "what is guaranteed of memory",
          RESOURCE_MEMORY,
          THROTTLE_MEMORY,
          { .memory = 800 * MIB, .memory_floor = 750 * MIB },
          0,
          { 750 * MIB } },
        { "memory: as tight already",
          RESOURCE_MEMORY,
          THROTTLE_MEMORY,
          { .memory = 800 * MIB },
          700 * MIB,
          {} },
        { "little memory", RESOURCE_MEMORY, THROTTLE_MEMORY, { .memory = 10 * MIB }, 0, {} },
        { "tasks: no more than there are, once", RESOURCE_PIDS, THROTTLE_PIDS, { .tasks = 77 }, 0, { 77 } },
        { "tasks: it is at its limit", RESOURCE_PIDS, THROTTLE_PIDS, { .tasks = 77 }, 77, {} },
        { "tasks: less what the host has too many",
          RESOURCE_PIDS,
          THROTTLE_PIDS,
          { .tasks = 77, .tasks_excess = 20 },
          0,
          { 57 } },
        { "tasks: but the half of them may stay",
          RESOURCE_PIDS,
          THROTTLE_PIDS,
          { .tasks = 77, .tasks_excess = 70 },
          0,
          { 39 } },
        { "tasks: a limit above that room",
          RESOURCE_PIDS,
          THROTTLE_PIDS,
          { .tasks = 77, .tasks_excess = 20 },
          77,
          { 57 } },
        { "tasks: cpu helps nobody who has no more of them",
          RESOURCE_PIDS,
          THROTTLE_PIDS | THROTTLE_CPU,
          { .tasks = 77, .cpu_used = 2 * SEC },
          0,
          { 77 } },
        { "cpu, without pids",
          RESOURCE_PIDS,
          THROTTLE_CPU,
          { .cpu_used = 2 * SEC },
          0,
          { SEC, SEC / 2, SEC / 4 } },
};

static void cuts(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cut_rows); i++) {
                const CutRow *row = &cut_rows[i];
                Ladder l = {};
                LadderInput in = usual(row->r);
                size_t n_cuts = 0;

                in.throttle = row->throttle;
                in.kill = KILL_NEVER;
                in.harmed = true;
                in.cpu_floor = row->in.cpu_floor;
                in.memory_floor = row->in.memory_floor;
                in.cpu_used = row->in.cpu_used ? row->in.cpu_used : in.cpu_used;
                in.cpu_entitled = row->in.cpu_entitled ? row->in.cpu_entitled : in.cpu_entitled;
                in.memory = row->in.memory ? row->in.memory : in.memory;
                in.tasks = row->in.tasks ? row->in.tasks : in.tasks;
                in.tasks_excess = row->in.tasks_excess;
                for (Lever k = 0; row->beneath > 0 && k <= LEVER_PIDS; k++)
                        in.beneath[k] = row->beneath;
                for (unsigned step = 0; step < 20; step++, in.now += 3 * SEC) {
                        Act acts[LADDER_ACTS_MAX];
                        unsigned n;

                        in.share = 9000;
                        n = ladder_step(&l, &in, acts);
                        for (unsigned k = 0; k < n; k++) {
                                if (acts[k].kind != ACT_THROTTLE)
                                        continue;
                                if (n_cuts >= ARRAY_SIZE(row->cuts) ||
                                    acts[k].values[0].value != row->cuts[n_cuts])
                                        fail_msg("%s: cut %zu is %llu", row->what, n_cuts,
                                                 (unsigned long long)acts[k].values[0].value);
                                assert_int_equal(acts[k].n, 1);
                                n_cuts++;
                        }
                }
                if (n_cuts < ARRAY_SIZE(row->cuts) && row->cuts[n_cuts] != 0 && n_cuts < 2)
                        fail_msg("%s: only %zu cuts", row->what, n_cuts);
                /* What cannot be pulled at all is not on. */
                assert_true((row->cuts[0] != 0) == ladder_holds(&l));
        }
}

static uint64_t io_value(const Act *a, Limit limit) {
        for (unsigned i = 0; i < a->n; i++)
                if (a->values[i].knob.limit == limit)
                        return a->values[i].value;
        return LIMIT_INFINITY;
}

static void io_values(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };

        (void)state;
        run(&e, 1, 7000);
        /* It writes: reading stays free. */
        assert_int_equal(e.last.n, 2);
        assert_int_equal(e.last.values[0].knob.limit, LIMIT_IO_WRITE_BANDWIDTH_MAX);
        assert_int_equal(e.last.values[0].knob.dev, DISK);
        assert_int_equal(e.last.values[0].value, 20000000);
        assert_int_equal(e.last.values[1].value, 300);
        /* The second pull takes reading, too; floors hold. */
        e.in.io[1] = 1500000;
        e.in.io[3] = 60;
        run(&e, 2, 7000);
        assert_int_equal(io_value(&e.last, LIMIT_IO_READ_BANDWIDTH_MAX), LADDER_IO_BYTES_FLOOR);
        assert_int_equal(io_value(&e.last, LIMIT_IO_WRITE_BANDWIDTH_MAX), LADDER_IO_BYTES_FLOOR);
        assert_int_equal(io_value(&e.last, LIMIT_IO_READ_IOPS_MAX), LADDER_IO_OPS_FLOOR);
        assert_int_equal(io_value(&e.last, LIMIT_IO_WRITE_IOPS_MAX), LADDER_IO_OPS_FLOOR);
}

static void io_odd(void **state) {
        LimitSet beneath = LIMIT_SET_INIT;
        Episode none = { .in = usual(RESOURCE_IO) }, reads = { .in = usual(RESOURCE_IO) };
        Episode held = { .in = usual(RESOURCE_IO) }, moved = { .in = usual(RESOURCE_IO) };
        Episode soon = { .in = usual(RESOURCE_IO) }, never = { .in = usual(RESOURCE_IO) };

        (void)state;
        none.in.dev = 0; /* it is not known which */
        run(&none, 1, 7000);
        expect(&none, "notify throttle:cpu");

        /* It has only just begun: its rates are of before. Where they stay so small there is nothing to cut. */
        memset(soon.in.io, 0, sizeof(soon.in.io));
        run(&soon, 1, 7000);
        expect(&soon, "notify");
        memcpy(soon.in.io, never.in.io, sizeof(soon.in.io));
        run(&soon, 1, 7000);
        expect(&soon, "throttle:io");
        memset(never.in.io, 0, sizeof(never.in.io));
        run(&never, 3, 7000);
        expect(&never, "notify throttle:cpu");

        /* It thrashes: only its reading. */
        reads.in.thrash = true;
        reads.in.io[0] = 90000000;
        reads.in.io[2] = 2000;
        run(&reads, 5, 7000);
        assert_int_equal(reads.last.lever, LEVER_IO);
        assert_int_equal(reads.last.why, ACT_WHY_THRASH);
        assert_int_equal(reads.last.n, 2);
        assert_int_equal(io_value(&reads.last, LIMIT_IO_READ_BANDWIDTH_MAX), 90000000 / 8);
        assert_int_equal(io_value(&reads.last, LIMIT_IO_READ_IOPS_MAX), 2000 / 8);

        /* An io.max of its own is tighter in bytes, not in operations. */
        assert_int_equal(
                limit_set_put(&beneath, (LimitKnob){ LIMIT_IO_WRITE_BANDWIDTH_MAX, DISK }, 5000000, 0), 0);
        held.in.beneath_io = &beneath;
        run(&held, 1, 7000);
        assert_int_equal(held.last.n, 1);
        assert_int_equal(io_value(&held.last, LIMIT_IO_WRITE_IOPS_MAX), 300);

        /* Another disk: a lease is of one, and this one stands. */
        run(&moved, 1, 7000);
        moved.in.dev = DISK + 16;
        run(&moved, 2, 2000);
        assert_int_equal(moved.l.levers[LEVER_IO].values[0].knob.dev, DISK);
        limit_set_deinit(&beneath);
}

/* What thrashes at its own ceiling is not given less memory. */
static void thrash(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        e.in.thrash = true;
        e.in.io[0] = 90000000;
        e.in.kill = KILL_NEVER;
        run(&e, 60, 7000);
        assert_non_null(strstr(e.text, "throttle:io"));
        assert_null(strstr(e.text, "throttle:memory"));
}

/* ---- and back ---- */

/* A fifth of what was cut off, five times: told by value and by time, however long calm must last. */
static void steps_back(void **state) {
        static const unsigned calm_spans[] = { 8, 16, 24, 24, 24 };
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        for (size_t round = 0; round < ARRAY_SIZE(calm_spans); round++) {
                usec_t began;

                run(&e, 1, 7000);
                assert_int_equal(e.last.values[0].value, SEC);
                assert_int_equal(e.l.calm_span, calm_spans[round] * SEC);
                e.text[0] = '\0';
                e.in.cpu_used = 0; /* the noise is over */
                began = e.in.now;
                run(&e, calm_spans[round], 0);
                expect(&e, "");
                for (unsigned i = 1; i < LADDER_STEPS; i++) {
                        run(&e, 4, 0);
                        expect(&e, "relax:cpu");
                        assert_int_equal(e.last.values[0].value, SEC + i * SEC / 5);
                }
                run(&e, 1, 0);
                expect(&e, "release:cpu");
                assert_int_equal(e.l.rung, RUNG_NONE);
                assert_true(e.in.now - began <= 55 * SEC);
                e.in.cpu_used = 2 * SEC;
        }
        run(&e, 61, 0);
        run(&e, 1, 7000);
        assert_int_equal(e.l.calm_span, LADDER_CALM); /* that was long ago */
}

/* A step that nobody would notice is none, neither back nor down. */
static void unfelt_back(void **state) {
        static const struct {
                uint64_t used;
                const char *text;
        } rows[] = {
                { 2 * SEC, "notify throttle:cpu relax:cpu relax:cpu relax:cpu relax:cpu release:cpu" },
                { SEC + SEC / 5, "notify throttle:cpu relax:cpu relax:cpu relax:cpu relax:cpu release:cpu" },
                { SEC + SEC / 10, "notify throttle:cpu release:cpu" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(RESOURCE_CPU) };

                e.in.cpu_used = rows[i].used;
                run(&e, 1, 7000);
                e.in.cpu_used = 0;
                run(&e, 40, 0);
                expect(&e, rows[i].text);
        }
}

static void unfelt_cut(void **state) {
        static const struct {
                uint64_t reads;
                unsigned cuts;
        } rows[] = {
                { LADDER_IO_BYTES_FLOOR + LADDER_IO_BYTES_FLOOR / 50, 0 },
                { LADDER_IO_BYTES_FLOOR + LADDER_IO_BYTES_FLOOR / 10, 1 },
                { 2 * LADDER_IO_BYTES_FLOOR, 1 },
                { 2 * (LADDER_IO_BYTES_FLOOR + LADDER_IO_BYTES_FLOOR / 50), 1 },
                { 2 * (LADDER_IO_BYTES_FLOOR + LADDER_IO_BYTES_FLOOR / 10), 2 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(RESOURCE_IO) };
                unsigned n = 0;

                memset(e.in.io, 0, sizeof(e.in.io));
                e.in.io[0] = rows[i].reads;
                e.in.throttle = THROTTLE_IO;
                e.in.kill = KILL_NEVER;
                for (unsigned s = 0; s < 40; s++) {
                        run(&e, 1, 7000);
                        if (e.l.levers[LEVER_IO].on)
                                e.in.io[0] = MIN_OF(e.in.io[0], e.l.levers[LEVER_IO].values[0].value);
                }
                for (const char *p = e.text; (p = strstr(p, "throttle:io")); p++)
                        n++;
                if (n != rows[i].cuts)
                        fail_msg("row %zu: %s", i, e.text);
        }
}

/* What lies beneath came down meanwhile: never above it. */
static void back_to_beneath(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        run(&e, 1, 7000);
        e.in.beneath[LEVER_CPU] = SEC * 13 / 10;
        e.in.cpu_used = 0;
        run(&e, 9, 0);
        assert_int_equal(e.last.values[0].value, SEC * 12 / 10);
        run(&e, 4, 0);
        assert_int_equal(e.last.kind, ACT_RELEASE);
        assert_int_equal(e.l.rung, RUNG_NONE);
}

/* What a disk has taken outlives a cut: while all that is left is used, the first step back takes longer. */
static void calm_of_disk(void **state) {
        static const unsigned first[] = { 8, 16 }; /* seconds */

        (void)state;
        for (unsigned pressed = 0; pressed < 2; pressed++) {
                Episode e = { .in = usual(RESOURCE_IO) };
                unsigned seconds = 0;

                /* Near the floor a lease that is used up tells nothing. */
                e.in.io[1] = pressed ? 40000000 : 3 * LADDER_IO_BYTES_FLOOR / 2;
                e.in.io[3] = 0;
                run(&e, 1, 5000);
                expect(&e, "notify throttle:io");
                for (; seconds < 60 && e.last.kind != ACT_RELAX; seconds++)
                        run(&e, 1, 0);
                assert_in_range(seconds, first[pressed], first[pressed] + 1);
        }
}

/* It comes back while it is let go: held again at once, and not as hard as at first. */
static void relapse(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };
        Episode pids = { .in = usual(RESOURCE_PIDS) };

        (void)state;
        run(&e, 1, 7000);
        run(&e, 16, 0);
        assert_int_equal(e.last.values[0].value, SEC * 14 / 10);
        e.text[0] = '\0';
        e.in.cpu_used = SEC * 14 / 10;
        e.in.cpu_entitled = SEC / 2;
        run(&e, 1, 4000);
        expect(&e, "throttle:cpu");
        assert_int_equal(e.last.values[0].value, SEC * 7 / 10);
        assert_false(e.last.have_effect);
        assert_int_equal(e.l.calm_span, 2 * LADDER_CALM);

        /* A cap has no steps back; it comes again at what there is by then. */
        pids.in.kill = KILL_NEVER;
        run(&pids, 1, 7000);
        pids.in.tasks = 500;
        run(&pids, 9, 0);
        pids.text[0] = '\0';
        run(&pids, 1, 7000);
        expect(&pids, "notify throttle:pids");
        assert_int_equal(pids.last.values[0].value, 500);
}

/* Between harm and calm nothing is done, and calm begins anew. */
static void between(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };
        Act acts[LADDER_ACTS_MAX];

        (void)state;
        run(&e, 1, 7000);
        e.text[0] = '\0';
        for (unsigned i = 0; i < 20; i++) {
                run(&e, 7, 0);
                e.in.calm = e.in.harmed = false;
                assert_int_equal(ladder_step(&e.l, &e.in, acts), 0);
        }
        expect(&e, "");
        assert_true(ladder_holds(&e.l));
}

/* ---- the last resort ---- */

/* For how long it must hurt, by what, before somebody is asked to end, and before he is killed. */
static void last_waits(void **state) {
        static const struct {
                Resource r;
                KillWish kill;
                usec_t grace;
                const char *end;
                unsigned from, to; /* seconds from the first act to the signal, or kill */
        } rows[] = {
                { RESOURCE_CPU, KILL_LAST, 5 * SEC, "stop:stop kill:kill", 64, 69 },
                { RESOURCE_CPU, KILL_PREFER, 5 * SEC, "stop:stop kill:kill", 19, 24 },
                { RESOURCE_IO, KILL_LAST, 0, "kill:kill", 70, 75 },
                { RESOURCE_MEMORY, KILL_LAST, 5 * SEC, "stop:stop kill:kill", 18, 26 },
                { RESOURCE_PIDS, KILL_PREFER, 5 * SEC, "stop:stop kill:kill", 3, 5 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(rows[i].r) };
                unsigned at = 0;

                e.in.kill = rows[i].kill;
                e.in.kill_grace = rows[i].grace;
                while (!strstr(e.text, "stop") && !strstr(e.text, "kill") && at < 200) {
                        run(&e, 1, 7000);
                        at++;
                }
                assert_in_range(at, rows[i].from, rows[i].to);
                run(&e, 10, 7000);
                if (!strstr(e.text, rows[i].end))
                        fail_msg("row %zu: %s", i, e.text);
        }
}

/*
 * The signal went out and it was calm; harm comes back. What led to the signal is to be done again: no kill rests on what was
 * before the calm.
 */
static void calm_before_the_kill(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        while (!strstr(e.text, "stop:stop"))
                run(&e, 1, 7000);
        e.text[0] = '\0';
        run(&e, 12, 0);
        assert_null(strstr(e.text, "kill"));
        assert_non_null(strstr(e.text, "relax:cpu"));
        e.text[0] = '\0';
        run(&e, 50, 7000);
        assert_null(strstr(e.text, "stop"));
        assert_null(strstr(e.text, "kill"));
        while (!strstr(e.text, "kill:kill"))
                run(&e, 1, 7000);
        assert_non_null(strstr(e.text, "stop:stop kill:kill"));
}

/* After the signal it has its whole grace, but where it is urgent. */
static void grace(void **state) {
        static const struct {
                usec_t grace;
                bool urgent;
        } rows[] = { { 5 * SEC, false }, { 30 * SEC, false }, { 30 * SEC, true } };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(RESOURCE_MEMORY) };
                usec_t asked;

                e.in.kill_grace = rows[i].grace;
                while (!strstr(e.text, "stop:stop"))
                        run(&e, 1, 7000);
                assert_int_equal(e.last.span, rows[i].grace);
                asked = e.l.step_at;
                e.in.urgent = rows[i].urgent;
                while (!strstr(e.text, "kill:kill"))
                        run(&e, 1, 7000);
                if (rows[i].urgent)
                        assert_in_range(e.l.step_at - asked, SEC / 2, 2 * SEC);
                else
                        assert_int_equal(e.l.step_at - asked, rows[i].grace);
        }
}

/* A moment's calm each half minute: CPU and disk are never worth a life then. */
static void never_long_enough(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };

        (void)state;
        for (unsigned i = 0; i < 60; i++) {
                run(&e, 29, 7000);
                run(&e, 1, 0);
        }
        assert_null(strstr(e.text, "stop"));
        assert_null(strstr(e.text, "kill"));
}

static void killed_again(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        while (!strstr(e.text, "kill:kill"))
                run(&e, 1, 7000);
        e.text[0] = '\0';
        run(&e, 13, 7000);
        expect(&e, "");
        run(&e, 3, 7000);
        expect(&e, "kill:kill");
}

/* Nobody was there to take the signal. */
static void stop_refused(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };
        Act acts[LADDER_ACTS_MAX];
        unsigned n;

        (void)state;
        e.in.kill_grace = 600 * SEC;
        while (!strstr(e.text, "stop:stop"))
                run(&e, 1, 7000);
        ladder_acted(&e.l, &e.last, -ESRCH, e.in.now);
        n = ladder_step(&e.l, &e.in, acts);
        assert_true(n == 1 && acts[0].kind == ACT_KILL);
}

/* Below MODE_ENFORCE it is only told, each once; raised in the middle it is done, from the signal on. */
static void mode_throttle(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        e.in.mode = MODE_THROTTLE;
        run(&e, 600, 7000);
        assert_non_null(strstr(e.text, "would-stop:stop would-kill:kill"));
        assert_null(strstr(strstr(e.text, "would-kill") + 1, "kill:kill kill"));
        assert_true(ladder_holds(&e.l));
        for (const char *p = e.text; (p = strstr(p, "kill:")); p++)
                assert_true(p >= e.text + 6 && memcmp(p - 6, "would-", 6) == 0);
        e.text[0] = '\0';
        run(&e, 600, 7000);
        expect(&e, "");
        e.in.mode = MODE_ENFORCE;
        run(&e, 8, 7000);
        expect(&e, "stop:stop kill:kill");
}

/* Lowered to observing: what stands is given back, and the rest is on paper. */
static void mode_lowered(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        run(&e, 1, 7000);
        e.text[0] = '\0';
        e.in.mode = MODE_OBSERVE;
        run(&e, 1, 7000);
        expect(&e, "release:cpu would-notify would-throttle:cpu");
        assert_false(ladder_holds(&e.l));
        e.in.mode = MODE_ENFORCE;
        run(&e, 1, 7000);
        expect(&e, "notify throttle:cpu"); /* there was nothing to give back */
        e.in.mode = MODE_CEILINGS;
        run(&e, 1, 0); /* in calm, too */
        expect(&e, "release:cpu");
}

/* Each brake is told once, and when it lets go it is done. */
static void budget_back(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        e.in.may_kill = ACT_WHY_SETTLING;
        run(&e, 60, 7000);
        assert_null(strstr(e.text, "alarm"));
        e.text[0] = '\0';
        e.in.may_kill = ACT_WHY_BUDGET;
        run(&e, 60, 7000);
        expect(&e, "alarm:budget");
        assert_true(ladder_holds(&e.l));
        e.in.may_kill = ACT_WHY_STORM;
        run(&e, 60, 7000);
        expect(&e, "alarm:storm");
        e.in.may_kill = ACT_WHY_BUDGET;
        run(&e, 60, 7000);
        expect(&e, "");
        e.in.may_kill = ACT_WHY_HARM;
        run(&e, 8, 7000);
        expect(&e, "stop:stop kill:kill");
}

/* Pulses are as long as they should be, so far apart, and so many. */
static void pulses(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };
        usec_t at[LADDER_PULSES + 1];
        unsigned n = 0;

        (void)state;
        e.in.throttle = THROTTLE_FREEZE;
        e.in.kill = KILL_NEVER;
        for (unsigned i = 0; i < 120; i++) {
                Act acts[LADDER_ACTS_MAX];
                unsigned n_acts;

                e.in.harmed = true;
                e.in.share = 7000;
                n_acts = ladder_step(&e.l, &e.in, acts);
                for (unsigned k = 0; k < n_acts; k++)
                        if (acts[k].kind == ACT_FREEZE) {
                                assert_true(n < LADDER_PULSES);
                                assert_int_equal(acts[k].span, LADDER_PULSE);
                                at[n++] = e.in.now;
                        }
                e.in.now += SEC / 2;
        }
        assert_int_equal(n, LADDER_PULSES);
        for (unsigned i = 1; i < n; i++)
                assert_int_equal(at[i] - at[i - 1], LADDER_PULSE + LADDER_PULSE_REST);
        assert_false(ladder_holds(&e.l));
}

/* After a calm they begin anew: as many. */
static void pulses_again(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        e.in.throttle = THROTTLE_CPU | THROTTLE_FREEZE;
        e.in.kill = KILL_NEVER;
        while (!strstr(e.text, "alarm"))
                run(&e, 1, 7000);
        e.text[0] = '\0';
        e.in.cpu_used = 0;
        while (e.l.rung != RUNG_RELAX)
                run(&e, 1, 0);
        e.text[0] = '\0';
        run(&e, 60, 7000);
        assert_non_null(
                strstr(e.text, "freeze:freeze freeze:freeze freeze:freeze freeze:freeze freeze:freeze"));
        assert_null(strstr(e.text, "freeze:freeze freeze:freeze freeze:freeze freeze:freeze freeze:freeze "
                                   "freeze:freeze"));
}

/* The more it hurts, the sooner and the harder the first act; here: never later, never softer. */
static void more_is_not_softer(void **state) {
        (void)state;
        for (Resource r = 0; r < _RESOURCE_MAX; r++) {
                uint64_t before = LIMIT_INFINITY;

                for (unsigned share = 1; share <= 10000; share += 37) {
                        Episode e = { .in = usual(r) };

                        run(&e, 1, share);
                        assert_int_equal(e.last.kind, ACT_THROTTLE);
                        assert_true(e.last.values[0].value <= before);
                        before = e.last.values[0].value;
                }
        }
}

static void to_the_end(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        e.in.throttle = THROTTLE_MEMORY | THROTTLE_FREEZE;
        run(&e, 120, 7000);
        /* memory.high has its tries, and stays: it stops the growth; then pulses, the signal, the kill */
        assert_non_null(strstr(
                e.text, "freeze:freeze freeze:freeze freeze:freeze freeze:freeze freeze:freeze stop:stop "
                        "kill:kill"));
        assert_null(strstr(e.text, "release:memory"));
        assert_int_equal(e.l.rung, RUNG_KILL);
        e.text[0] = '\0';
        e.in.gone = true;
        run(&e, 2, 0);
        assert_int_equal(e.l.rung, RUNG_NONE);
}

/* One that came again under its name has a cgroup before there is anybody in it. */
static void not_there_yet(void **state) {
        static const struct {
                unsigned seconds;
                const char *text;
        } rows[] = {
                { 0, "throttle:cpu" },
                { 7, "throttle:cpu" },
                { 9, "notify throttle:cpu" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(RESOURCE_CPU) };

                e.l = (Ladder){ .rung = RUNG_NOTIFY, .calm_span = LADDER_CALM };
                e.in.gone = true;
                run(&e, rows[i].seconds, 0);
                expect(&e, "");
                e.in.gone = false;
                run(&e, 1, 7000);
                expect(&e, rows[i].text);
        }
}

static void urgent(void **state) {
        Episode e = { .in = usual(RESOURCE_MEMORY) };

        (void)state;
        e.in.urgent = true;
        run(&e, 15, 9000);
        assert_null(strstr(e.text, "stop"));
        assert_non_null(strstr(e.text, "throttle:memory"));
        assert_non_null(strstr(e.text, "kill:kill"));
}

static void brakes(void **state) {
        static const struct {
                KillWish kill;
                Mode mode;
                ActWhy may_kill;
                const char *alarm;
        } rows[] = {
                { KILL_NEVER, MODE_ENFORCE, ACT_WHY_HARM, "alarm:" },
                { KILL_LAST, MODE_ENFORCE, ACT_WHY_BUDGET, "alarm:budget" },
                { KILL_LAST, MODE_ENFORCE, ACT_WHY_STORM, "alarm:storm" },
                { KILL_PREFER, MODE_ENFORCE, ACT_WHY_BUDGET, "alarm:budget" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(RESOURCE_MEMORY) };

                e.in.kill = rows[i].kill;
                e.in.mode = rows[i].mode;
                e.in.may_kill = rows[i].may_kill;
                run(&e, 300, 7000);
                assert_null(strstr(e.text, "kill:kill"));
                assert_null(strstr(e.text, "stop:stop"));
                assert_non_null(strstr(e.text, rows[i].alarm));
                assert_null(strstr(strstr(e.text, "alarm") + 1, "alarm")); /* once */
                assert_true(ladder_holds(&e.l)); /* and it stays throttled */
        }
}

static void max_throttled(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        e.in.may_throttle = false;
        run(&e, 60, 7000);
        expect(&e, "notify alarm:max-throttled");
}

static void observe(void **state) {
        for (Resource r = 0; r < _RESOURCE_MAX; r++) {
                Episode e = { .in = usual(r) };

                (void)state;
                e.in.mode = MODE_OBSERVE;
                run(&e, 3600, 7000);
                for (const char *p = e.text; (p = strstr(p, "throttle:")); p++)
                        assert_true(p > e.text + 6 && strncmp(p - 6, "would-", 6) == 0);
                assert_null(strstr(e.text, "release"));
                assert_true(e.n_acts <= 8);
                assert_false(ladder_holds(&e.l));
                run(&e, 60, 0);
                assert_int_equal(e.l.rung, RUNG_NONE);
        }
}

/* Somebody forbids it on each rung: everything is off at once. */
static void forbidden(void **state) {
        (void)state;
        for (unsigned seconds = 1; seconds < 100; seconds++) {
                Episode e = { .in = usual(RESOURCE_MEMORY) };

                e.in.throttle |= THROTTLE_FREEZE;
                run(&e, seconds, 7000);
                e.in.forbidden = true;
                run(&e, 1, 7000);
                assert_int_equal(e.l.rung, RUNG_NONE);
                assert_false(ladder_holds(&e.l));
                e.text[0] = '\0';
                run(&e, 10, 7000);
                expect(&e, "");
        }
}

static void refused(void **state) {
        Episode e = { .in = usual(RESOURCE_IO) };
        Act acts[LADDER_ACTS_MAX];
        unsigned n;

        (void)state;
        e.in.harmed = true;
        e.in.share = 7000;
        n = ladder_step(&e.l, &e.in, acts);
        assert_int_equal(n, 2);
        ladder_acted(&e.l, &acts[1], -ENODEV, e.in.now);
        assert_false(ladder_holds(&e.l));
        e.in.now += SEC;
        n = ladder_step(&e.l, &e.in, acts);
        assert_true(n == 1 && acts[0].kind == ACT_THROTTLE && acts[0].lever == LEVER_CPU);
}

static void adopted(void **state) {
        const LimitEntry v = { { LIMIT_CPU_QUOTA, 0 }, SEC / 2, 0 };
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        ladder_adopt(&e.l, RESOURCE_CPU, LEVER_CPU, &v, 1, START);
        assert_true(ladder_holds(&e.l));
        run(&e, 50, 0);
        assert_int_equal(e.last.kind, ACT_RELEASE);
        assert_false(ladder_holds(&e.l));
}

/*
 * Noise of a 7 s period for an hour. While it is held to what it is entitled to nobody is hurt, but somewhat above it is
 * too much. Acts are bounded, it does no harm for most of the time, and within a minute of its end all is back.
 */
static void on_and_off(void **state) {
        static const struct {
                unsigned on, off, most;
        } rows[] = { { 7, 0, 40 }, { 3, 4, 40 }, { 4, 3, 40 }, { 7, 7, 40 }, { 30, 30, 600 } };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Episode e = { .in = usual(RESOURCE_CPU) };
                unsigned harmed = 0;
                usec_t quiet;

                for (unsigned t = 0; t < 2 * 3600; t++) {
                        const LeverState *v = &e.l.levers[LEVER_CPU];
                        bool on = t / 2 % (rows[i].on + rows[i].off) < rows[i].on;
                        uint64_t most = v->on ? MIN_OF(v->values[0].value, 2 * SEC) : 2 * SEC;
                        Act acts[LADDER_ACTS_MAX];

                        e.in.cpu_used = on ? most : 0;
                        e.in.harmed = on && most > SEC * 5 / 4;
                        e.in.calm = !e.in.harmed;
                        e.in.share = e.in.harmed ? 6000 : 0;
                        harmed += e.in.harmed;
                        e.n_acts += ladder_step(&e.l, &e.in, acts);
                        e.in.now += SEC / 2;
                }
                print_message("an hour of noise, %u s of each %u: %u acts\n", rows[i].on,
                              rows[i].on + rows[i].off, e.n_acts);
                assert_true(e.n_acts <= rows[i].most);
                assert_true(harmed < 7200 / 20);
                e.in.cpu_used = 0;
                quiet = e.in.now;
                while (ladder_holds(&e.l) || e.l.rung != RUNG_NONE) {
                        e.text[0] = '\0';
                        run(&e, 1, 0);
                        assert_true(e.in.now - quiet <= 60 * SEC);
                }
        }
}

/* The others have gone: it may take what they leave, whatever came of it before. */
static void others_gone(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        for (unsigned i = 0; i < 4; i++) {
                run(&e, 1, 7000);
                for (unsigned k = 0; k < 700 && e.l.rung != RUNG_RELAX; k++) {
                        e.in.cpu_used = e.l.levers[LEVER_CPU].values[0].value;
                        e.text[0] = '\0';
                        run(&e, 1, 0);
                }
                assert_int_equal(e.l.rung, RUNG_RELAX);
        }
        run(&e, 1, 7000);
        e.in.cpu_used = e.l.levers[LEVER_CPU].values[0].value;
        run(&e, 60, 0);
        assert_true(ladder_holds(&e.l)); /* it would take more at once, and was let go in vain */
        e.in.cpu_entitled = 2 * SEC;
        e.text[0] = '\0';
        for (unsigned k = 0; k < 55; k++) {
                const LeverState *v = &e.l.levers[LEVER_CPU];

                e.in.cpu_used = v->on ? v->values[0].value : 2 * SEC;
                run(&e, 1, 0);
        }
        assert_false(ladder_holds(&e.l));
}

/* Near its floor its ordinary work uses the lease up: no reason to hold it for longer. */
static void ordinary_work(void **state) {
        Episode e = { .in = usual(RESOURCE_CPU) };

        (void)state;
        e.in.cpu_floor = SEC * 95 / 100;
        run(&e, 1, 7000);
        run(&e, 9, 0);
        run(&e, 1, 7000);
        assert_int_equal(e.l.relapses, 1);
        for (unsigned i = 0; i < 45; i++) {
                e.in.cpu_used = e.l.levers[LEVER_CPU].values[0].value;
                e.text[0] = '\0';
                run(&e, 1, 0);
        }
        assert_false(ladder_holds(&e.l));
}

/* What is in force by now, as who acts would know it. */
typedef struct Force {
        bool on[LEVER_PIDS + 1];
        LimitEntry values[LEVER_PIDS + 1][LADDER_VALUES_MAX];
        unsigned n[LEVER_PIDS + 1];
        usec_t frozen_until;
} Force;

static uint64_t floor_of(const LadderInput *in, Limit limit) {
        switch (limit) {
        case LIMIT_CPU_QUOTA:
                return in->cpu_floor;
        case LIMIT_MEMORY_HIGH:
                return in->memory_floor;
        case LIMIT_TASKS_MAX:
                return in->tasks;
        case LIMIT_IO_READ_BANDWIDTH_MAX:
        case LIMIT_IO_WRITE_BANDWIDTH_MAX:
                return LADDER_IO_BYTES_FLOOR;
        default:
                return LADDER_IO_OPS_FLOOR;
        }
}

static uint64_t held(const Force *f, Lever lever, LimitKnob knob) {
        for (unsigned i = 0; f->on[lever] && i < f->n[lever]; i++)
                if (limit_knob_cmp(f->values[lever][i].knob, knob) == 0)
                        return f->values[lever][i].value;
        return LIMIT_INFINITY;
}

static void check_values(const LadderInput *in, const Act *a, const Force *f) {
        bool tighter = false;

        assert_in_range(a->n, 1, LADDER_VALUES_MAX);
        for (unsigned i = 0; i < a->n; i++) {
                const LimitEntry *e = &a->values[i];
                uint64_t before = held(f, a->lever, e->knob);

                assert_true(e->value < LIMIT_INFINITY);
                tighter = tighter || e->value < before;
                if (a->kind == ACT_THROTTLE && !a->would) {
                        assert_true(e->value <= before);
                        /* What stood already may be below a floor that rose meanwhile. */
                        if (e->value < before)
                                assert_true(e->value >= floor_of(in, e->knob.limit));
                }
                if (a->kind == ACT_RELAX)
                        assert_true(e->value >= before || e->value + 1 == in->beneath[a->lever] ||
                                    in->beneath[a->lever] == 0);
                if (a->lever != LEVER_IO && in->beneath[a->lever] > 0)
                        assert_true(e->value < in->beneath[a->lever]);
        }
        if (a->kind == ACT_THROTTLE && !a->would)
                assert_true(tighter);
}

static void check_act(const LadderInput *in, const Act *a, Force *f) {
        if (a->would)
                assert_true(in->mode < MODE_ENFORCE);
        else if (a->kind != ACT_RELEASE && a->kind != ACT_THAW && a->kind != ACT_NOTIFY &&
                 a->kind != ACT_ALARM)
                assert_true(in->mode >= MODE_THROTTLE && !in->forbidden);
        if (a->kind == ACT_THROTTLE || a->kind == ACT_RELAX)
                check_values(in, a, f);
        if (a->kind == ACT_RELAX)
                assert_true(f->on[a->lever]);
        if (a->kind == ACT_STOP || a->kind == ACT_KILL) {
                assert_true(in->kill != KILL_NEVER && in->harmed);
                assert_true(a->would || (in->mode >= MODE_ENFORCE && in->may_kill == ACT_WHY_HARM));
        }
        if (a->kind == ACT_FREEZE) {
                assert_true(in->throttle & THROTTLE_FREEZE);
                assert_true(a->span <= LADDER_PULSE && (a->would || in->now >= f->frozen_until));
        }
        if (a->would)
                return;
        if (a->kind == ACT_FREEZE)
                f->frozen_until = in->now + a->span;
        if (a->kind == ACT_THAW)
                f->frozen_until = 0;
        if (a->kind == ACT_RELEASE) {
                assert_true(f->on[a->lever]); /* once */
                f->on[a->lever] = false;
        }
        if (a->kind == ACT_THROTTLE || a->kind == ACT_RELAX) {
                f->on[a->lever] = true;
                f->n[a->lever] = a->n;
                memcpy(f->values[a->lever], a->values, sizeof(a->values));
        }
}

static void check_force(const Ladder *l, const LadderInput *in, const Force *f) {
        bool any = f->frozen_until > in->now;

        for (Lever i = 0; i <= LEVER_PIDS; i++) {
                any = any || f->on[i];
                assert_true(l->dry || l->levers[i].on == f->on[i]);
        }
        assert_true(any == ladder_holds(l));
        if (in->forbidden || in->gone)
                assert_true(!any && (l->rung == RUNG_NONE || (l->rung == RUNG_NOTIFY && !in->forbidden)));
        if (in->mode < MODE_THROTTLE && l->rung != RUNG_NONE)
                assert_true(!any || !in->harmed);
}

static void anything(void **state) {
        uint64_t seed = (uint64_t)time(NULL);

        (void)state;
        print_message("seed %llu\n", (unsigned long long)seed);
        random_state = seed | 1;
        for (unsigned round = 0; round < 2000; round++) {
                Episode e = { .in = usual((Resource)(next_random() % _RESOURCE_MAX)) };
                Force force = {};

                for (unsigned i = 0; i < 300; i++) {
                        Act acts[LADDER_ACTS_MAX];
                        LadderInput *in = &e.in;
                        unsigned n;

                        in->now += next_random() % (3 * SEC);
                        if (next_random() % 8 == 0) {
                                in->harmed = next_random() % 2;
                                in->calm = !in->harmed && next_random() % 2;
                        }
                        in->share = (unsigned)(next_random() % 10001);
                        in->urgent = next_random() % 10 == 0;
                        if (next_random() % 50 == 0) {
                                in->mode = (Mode)(next_random() % _MODE_MAX);
                                in->kill = (KillWish)(next_random() % _KILL_MAX);
                                in->throttle = (unsigned)(next_random() % 32);
                        }
                        in->may_throttle = next_random() % 10 > 0;
                        in->may_kill = next_random() % 3 ? ACT_WHY_HARM : ACT_WHY_BUDGET;
                        in->forbidden = next_random() % 60 == 0;
                        in->thrash = next_random() % 5 == 0;
                        in->cpu_used = next_random() % (8 * SEC);
                        in->cpu_entitled = next_random() % (4 * SEC);
                        in->memory = next_random() % (4096 * MIB);
                        in->tasks = next_random() % 5000;
                        in->beneath[LEVER_CPU] =
                                next_random() % 2 ? LIMIT_INFINITY : next_random() % (4 * SEC);
                        in->beneath[LEVER_MEMORY] =
                                next_random() % 2 ? LIMIT_INFINITY : next_random() % (2048 * MIB);
                        n = ladder_step(&e.l, in, acts);
                        assert_true(n <= LADDER_ACTS_MAX);
                        for (unsigned k = 0; k < n; k++) {
                                check_act(in, &acts[k], &force);
                                if (acts[k].would || next_random() % 20 != 0)
                                        continue;
                                ladder_acted(&e.l, &acts[k], -EIO, in->now);
                                if (acts[k].kind == ACT_FREEZE)
                                        force.frozen_until = 0;
                                if (acts[k].kind == ACT_THROTTLE || acts[k].kind == ACT_RELAX)
                                        force.on[acts[k].lever] = false;
                        }
                        check_force(&e.l, in, &force);
                }
        }
}

/* Numbers of no kernel: it ends, within its acts. */
static void hostile(void **state) {
        static const uint64_t odd[] = { 0, 1, 2, SEC, INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
#define ODD (odd[next_random() % ARRAY_SIZE(odd)])

        (void)state;
        random_state = 20240601;
        for (unsigned round = 0; round < 3000; round++) {
                Ladder l = {};

                for (unsigned i = 0; i < 60; i++) {
                        Act acts[LADDER_ACTS_MAX];
                        LadderInput in = { .now = ODD,
                                           .resource = (Resource)(next_random() % (_RESOURCE_MAX + 2)),
                                           .harmed = next_random() % 4 > 0,
                                           .calm = next_random() % 2,
                                           .share = (unsigned)ODD,
                                           .urgent = next_random() % 2,
                                           .mode = (Mode)(next_random() % _MODE_MAX),
                                           .throttle = (unsigned)ODD,
                                           .kill = (KillWish)(next_random() % _KILL_MAX),
                                           .kill_grace = ODD,
                                           .window = ODD,
                                           .may_throttle = next_random() % 2,
                                           .cpu_used = ODD,
                                           .cpu_entitled = ODD,
                                           .cpu_floor = ODD,
                                           .memory = ODD,
                                           .memory_floor = ODD,
                                           .tasks = ODD,
                                           .dev = next_random() % 3,
                                           .io = { ODD, ODD, ODD, ODD },
                                           .beneath = { ODD, ODD, ODD, ODD } };
                        LimitEntry adopted_value = { { LIMIT_CPU_QUOTA, 0 }, ODD, 0 };
                        unsigned n = ladder_step(&l, &in, acts);

                        assert_in_range(n, 0, LADDER_ACTS_MAX);
                        for (unsigned k = 0; k < n; k++)
                                if (next_random() % 4 == 0)
                                        ladder_acted(&l, &acts[k], -EIO, in.now);
                        if (next_random() % 10 == 0)
                                ladder_adopt(&l, RESOURCE_CPU, (Lever)((int)(next_random() % 10) - 2),
                                             &adopted_value, (unsigned)(next_random() % 2), in.now);
                }
        }
#undef ODD
}

static void names(void **state) {
        (void)state;
        assert_string_equal(ladder_rung_to_string(RUNG_NONE), "none");
        assert_string_equal(ladder_rung_to_string(RUNG_RELAX), "relax");
        for (int r = 0; r < _RUNG_MAX; r++)
                assert_string_not_equal(ladder_rung_to_string((LadderRung)r), "unknown");
        assert_string_equal(ladder_rung_to_string(_RUNG_MAX), "unknown");
}

/* Cut when it had hardly begun: who uses up what it is left is not let go at once, who does not is. */
static void relax_little(void **state) {
        static const struct {
                uint64_t begin, use;
                unsigned steps; /* until all is let go */
        } rows[] = {
                { 50, 50, LADDER_STEPS }, { 50, 45, LADDER_STEPS },  { 50, 10, 1 },
                { 40, 50, LADDER_STEPS }, { 100, 50, LADDER_STEPS },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                LeverState v = { .on = true,
                                 .n = 1,
                                 .values[0] = { .knob = { LIMIT_IO_WRITE_IOPS_MAX, 8 }, .value = 50 },
                                 .begin[0] = rows[i].begin };
                LadderInput in = { .dev = 8 };
                unsigned steps = 1;

                in.io[3] = rows[i].use;
                while (!lever_relax(&in, &v, LEVER_IO)) {
                        assert_true(v.values[0].value <= 50 + 50 * steps);
                        in.io[3] = rows[i].use < 45 ? rows[i].use : v.values[0].value;
                        steps++;
                }
                assert_int_equal(steps, rows[i].steps);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(relax_little),    cmocka_unit_test(helped_at_once),
                cmocka_unit_test(cut_again),       cmocka_unit_test(next_lever),
                cmocka_unit_test(floor_rises),     cmocka_unit_test(io_beneath),
                cmocka_unit_test(stands),          cmocka_unit_test(no_lever),
                cmocka_unit_test(rising),          cmocka_unit_test(cuts),
                cmocka_unit_test(io_values),       cmocka_unit_test(io_odd),
                cmocka_unit_test(thrash),          cmocka_unit_test(steps_back),
                cmocka_unit_test(unfelt_back),     cmocka_unit_test(unfelt_cut),
                cmocka_unit_test(back_to_beneath), cmocka_unit_test(calm_of_disk),
                cmocka_unit_test(relapse),         cmocka_unit_test(between),
                cmocka_unit_test(to_the_end),      cmocka_unit_test(not_there_yet),
                cmocka_unit_test(last_waits),      cmocka_unit_test(calm_before_the_kill),
                cmocka_unit_test(grace),           cmocka_unit_test(never_long_enough),
                cmocka_unit_test(killed_again),    cmocka_unit_test(stop_refused),
                cmocka_unit_test(urgent),          cmocka_unit_test(brakes),
                cmocka_unit_test(budget_back),     cmocka_unit_test(mode_throttle),
                cmocka_unit_test(mode_lowered),    cmocka_unit_test(max_throttled),
                cmocka_unit_test(pulses),          cmocka_unit_test(pulses_again),
                cmocka_unit_test(observe),         cmocka_unit_test(forbidden),
                cmocka_unit_test(refused),         cmocka_unit_test(adopted),
                cmocka_unit_test(on_and_off),      cmocka_unit_test(others_gone),
                cmocka_unit_test(ordinary_work),   cmocka_unit_test(more_is_not_softer),
                cmocka_unit_test(anything),        cmocka_unit_test(hostile),
                cmocka_unit_test(names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
