/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a lever holds: how far the next cut goes, and the next step back. Nothing here knows of time or of rungs (ladder.c).
 *
 * A cut is tighter than what the lease holds and than what lies beneath it, and less than what is used; where that cannot
 * be had there is none, for a lease that nobody feels only looks as if something was done.
 */

#include "ladder-internal.h"
#include "num.h"

#define MEMORY_LEAST (UINT64_C(1) << 20)
#define IO_PARTS 10 /* a direction with less than such a part of the traffic is hardly used */
#define FELT_PART 32 /* who gets by less than such a part more or less does not notice */

static uint64_t or_else(uint64_t floor, uint64_t otherwise) { return floor > 0 ? floor : otherwise; }

/* What our lease holds, of a lever with one value. */
static uint64_t lease_of(const LeverState *v) {
        return v->on && v->n > 0 ? v->values[0].value : LIMIT_INFINITY;
}

static bool is_felt(uint64_t from, uint64_t to) {
        return (from > to ? from - to : to - from) >= MAX_OF(from / FELT_PART, (uint64_t)1);
}

/* ---- cuts ---- */

static bool cut_one(LeverState *v, Limit limit, uint64_t use, uint64_t value, uint64_t beneath) {
        if (value >= beneath || value >= lease_of(v))
                return false;
        /* Tasks are counted: one less is one less. */
        if (limit != LIMIT_TASKS_MAX && !is_felt(v->on ? lease_of(v) : use, value))
                return false;
        if (!v->on)
                v->begin[0] = use;
        v->values[0] = (LimitEntry){ { limit, 0 }, value, 0 };
        v->n = 1;
        return true;
}

bool lever_above_entitlement(const LadderInput *in, const LeverState *v, Lever lever) {
        uint64_t lease = lease_of(v);

        if (lever != LEVER_CPU || !v->on)
                return true;
        /* An entitlement moves a little from look to look: a cut by less than an eighth is none, but for one that takes back
         * what was just let go. */
        return (v->relaxed > 0 ? lease : lease - lease / 8) > in->cpu_entitled;
}

/* To its entitlement; under it only when that did not do. Not so far at once where it came back after it was let go: it may do with less. */
static bool cut_cpu(const LadderInput *in, LeverState *v, bool again) {
        uint64_t use = MIN_OF(in->cpu_used, lease_of(v)), value = use / 2;
        bool taken_back = v->on && v->relaxed > 0; /* whether it uses by now what it was let have or not */

        if (in->cpu_entitled > 0 && (in->cpu_entitled < use || taken_back) &&
            lever_above_entitlement(in, v, LEVER_CPU))
                value = again ? MAX_OF(value, in->cpu_entitled) : in->cpu_entitled;
        value = MAX_OF(value, or_else(in->cpu_floor, LADDER_CPU_FLOOR));
        return (value < use || taken_back) &&
               cut_one(v, LIMIT_CPU_QUOTA, in->cpu_used, value, in->beneath[LEVER_CPU]);
}

static bool cut_memory(const LadderInput *in, LeverState *v) {
        uint64_t use = MIN_OF(in->memory, lease_of(v)), part = MAX_OF(use / 8, MEMORY_LEAST);
        uint64_t value = MAX_OF(use - MIN_OF(use, part), or_else(in->memory_floor, LADDER_MEMORY_FLOOR));

        return value < use && cut_one(v, LIMIT_MEMORY_HIGH, in->memory, value, in->beneath[LEVER_MEMORY]);
}

/* No more than there are. Where the host has too many, who ends is not replaced either, until there is room again: a bomb
 * whose forks fail ends bit by bit, and others can fork then. */
static bool cut_pids(const LadderInput *in, LeverState *v) {
        uint64_t value = in->tasks - MIN_OF(in->tasks_excess, in->tasks / 2);

        return in->tasks > 0 && cut_one(v, LIMIT_TASKS_MAX, in->tasks, value, in->beneath[LEVER_PIDS]);
}

static const struct {
        Limit limit;
        uint64_t floor;
        bool reads;
} io_knobs[LADDER_VALUES_MAX] = {
        { LIMIT_IO_READ_BANDWIDTH_MAX, LADDER_IO_BYTES_FLOOR, true },
        { LIMIT_IO_WRITE_BANDWIDTH_MAX, LADDER_IO_BYTES_FLOOR, false },
        { LIMIT_IO_READ_IOPS_MAX, LADDER_IO_OPS_FLOOR, true },
        { LIMIT_IO_WRITE_IOPS_MAX, LADDER_IO_OPS_FLOOR, false },
};

static uint64_t beneath_io(const LadderInput *in, LimitKnob knob) {
        uint64_t v = LIMIT_INFINITY;

        if (in->beneath_io)
                (void)limit_set_get(in->beneath_io, knob, &v);
        return v;
}

/* Whether the direction of a knob carries some of the traffic, in bytes or in operations. */
static bool carries(const LadderInput *in, unsigned knob) {
        for (unsigned i = knob & 1; i < LADDER_VALUES_MAX; i += 2)
                if (in->io[i] > 0 && in->io[i] >= num_add_sat(in->io[i & 2], in->io[(i & 2) + 1]) / IO_PARTS)
                        return true;
        return false;
}

static int find_value(const LeverState *v, LimitKnob knob) {
        for (unsigned i = 0; v->on && i < v->n; i++)
                if (limit_knob_cmp(v->values[i].knob, knob) == 0)
                        return (int)i;
        return -1;
}

/* Both directions in bytes and operations; a direction that is hardly used stays free at the first cut. */
static bool cut_io(const LadderInput *in, LeverState *v) {
        LimitEntry values[LADDER_VALUES_MAX] = {};
        uint64_t begin[LADDER_VALUES_MAX] = {};
        bool felt = false;
        unsigned n = 0;

        /* A lease is of one device. */
        if (in->dev == 0 || (v->on && v->n > 0 && v->values[0].knob.dev != in->dev))
                return false;
        for (unsigned i = 0; i < LADDER_VALUES_MAX; i++) {
                LimitKnob knob = { io_knobs[i].limit, in->dev };
                int at = find_value(v, knob);
                uint64_t lease = at >= 0 ? v->values[at].value : LIMIT_INFINITY;
                uint64_t use = MIN_OF(in->io[i], lease), value = MAX_OF(use / 2, io_knobs[i].floor);

                if (at < 0 && ((in->thrash && !io_knobs[i].reads) || (!v->on && !carries(in, i))))
                        continue;
                value = MIN_OF(value, lease);
                if (in->thrash && !io_knobs[i].reads)
                        value = lease;
                if (value >= beneath_io(in, knob))
                        continue;
                felt = felt || (value < use && is_felt(at >= 0 ? lease : use, value));
                values[n] = (LimitEntry){ knob, value, 0 };
                begin[n++] = at >= 0 ? v->begin[at] : in->io[i];
        }
        if (!felt)
                return false;
        memcpy(v->values, values, sizeof(values));
        memcpy(v->begin, begin, sizeof(begin));
        v->n = n;
        return true;
}

bool lever_cut(const LadderInput *in, LeverState *v, Lever lever, bool again) {
        switch (lever) {
        case LEVER_CPU:
                return cut_cpu(in, v, again);
        case LEVER_MEMORY:
                return cut_memory(in, v);
        case LEVER_IO:
                return cut_io(in, v);
        case LEVER_PIDS:
                return cut_pids(in, v);
        default:
                return false;
        }
}

/* ---- and back ---- */

bool lever_lift(const LadderInput *in, LeverState *v, Lever lever, bool *ret_release) {
        uint64_t lease = lease_of(v), floor = 0;

        if (lever == LEVER_CPU)
                floor = or_else(in->cpu_floor, LADDER_CPU_FLOOR);
        else if (lever == LEVER_MEMORY)
                floor = or_else(in->memory_floor, LADDER_MEMORY_FLOOR);
        if (!v->on || lease >= floor)
                return false;
        *ret_release = floor >= in->beneath[lever];
        v->values[0].value = floor;
        return true;
}

static bool nearly(uint64_t use, uint64_t lease) { return use >= lease - lease / 8; }

static uint64_t io_use(const LadderInput *in, LimitKnob knob) {
        for (unsigned i = 0; i < LADDER_VALUES_MAX && knob.dev == in->dev; i++)
                if (io_knobs[i].limit == knob.limit)
                        return in->io[i];
        return 0;
}

/*
 * Where relaxing ends. Who writes through the page cache is often cut when it has hardly begun; if it then takes all that it is
 * left, nobody knows what it would take, and it is not let go all at once.
 */
static uint64_t end_of(const LadderInput *in, const LeverState *v, unsigned i, Lever lever) {
        uint64_t value = v->values[i].value, begin = v->begin[i];

        if (lever == LEVER_IO && (begin <= value || !is_felt(value, begin)) &&
            nearly(io_use(in, v->values[i].knob), value))
                return num_add_sat(value, value);
        return begin;
}

/* A step that nobody would notice is not worth waiting for the next one: then all of it is let go. */
bool lever_relax(const LadderInput *in, LeverState *v, Lever lever) {
        bool done = true, felt = false;

        if (++v->relaxed >= LADDER_STEPS)
                return true;
        for (unsigned i = 0; i < MIN_OF(v->n, (unsigned)LADDER_VALUES_MAX); i++) {
                uint64_t *value = &v->values[i].value, begin = end_of(in, v, i, lever), before = *value;
                uint64_t beneath = lever == LEVER_IO ? beneath_io(in, v->values[i].knob) : in->beneath[lever];

                /* What is left of the way, over the steps that are left. */
                if (begin > *value)
                        *value += (begin - *value) / (LADDER_STEPS + 1 - v->relaxed);
                done = done && (*value >= begin || *value >= beneath);
                /* A lease is tighter than what is beneath. */
                if (*value >= beneath)
                        *value = beneath > 0 ? beneath - 1 : 0;
                felt = felt || is_felt(before, *value);
        }
        return done || !felt;
}

/* Near its floor everybody's ordinary work uses a lease up: that tells nothing. */
static bool used_up(uint64_t use, uint64_t lease, uint64_t floor) {
        return nearly(use, lease) && lease / 2 >= floor;
}

/* A direction that hardly carried anything when it was cut is not what the noise was. */
static bool was_noise(const LeverState *v, unsigned knob, dev_t dev) {
        int at = find_value(v, (LimitKnob){ io_knobs[knob].limit, dev });
        int other = find_value(v, (LimitKnob){ io_knobs[knob ^ 1].limit, dev });

        return other < 0 || v->begin[at] >= num_add_sat(v->begin[at], v->begin[other]) / IO_PARTS;
}

bool lever_pressed(const LadderInput *in, const LeverState *v, Lever lever) {
        uint64_t lease = lease_of(v);

        if (!v->on)
                return false;
        /* Entitled to more by a quarter: the others want it no more, and it may be let go. */
        if (lever == LEVER_CPU)
                return used_up(in->cpu_used, lease, or_else(in->cpu_floor, LADDER_CPU_FLOOR)) &&
                       !nearly(in->cpu_entitled, num_add_sat(lease, lease / 4));
        for (unsigned i = 0; lever == LEVER_IO && i < LADDER_VALUES_MAX; i++) {
                int at = find_value(v, (LimitKnob){ io_knobs[i].limit, in->dev });

                if (at >= 0 && was_noise(v, i, in->dev) &&
                    used_up(in->io[i], v->values[at].value, io_knobs[i].floor))
                        return true;
        }
        return false;
}
