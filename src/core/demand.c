/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Demand: a decayed maximum of recent use.
 *
 * A maximum and not a mean, because a share must carry the load when it is
 * there: one that works three seconds of seven needs all of it for these. The
 * peak keeps its time and is halved by the age it has when somebody asks, so
 * that it does not matter how often the cgroup was looked at in between; use
 * that is above what is left of it becomes the new peak.
 *
 * Looks come at different times for different files: hot cgroups each second,
 * cold ones rarely and two files only. So the counters of cpu.stat and io.stat
 * have their own times here, and a rate is over the time since the same file
 * was read. CPU time and io of a cgroup that is not looked at fade, for a cold
 * one is one that does nothing; memory, swap and tasks stay what they were.
 *
 * A part that is held back uses less than it wants, and with few busy tasks
 * or short bursts it can be held back far below its quota. What the kernel
 * says of this (throttled periods, memory and pids events) is kept as a hit
 * for DEMAND_HIT_USEC: whoever was woken by one shall not be squeezed to the
 * same point again at once. io.max and the swap's limit have no such counter.
 */

#include "demand.h"
#include "num.h"
#include "share.h"

#define THROTTLED_PART 10 /* held back by its quota: one of so many periods was throttled */

static const Limit io_limits[] = { LIMIT_IO_READ_BANDWIDTH_MAX, LIMIT_IO_WRITE_BANDWIDTH_MAX,
                                   LIMIT_IO_READ_IOPS_MAX, LIMIT_IO_WRITE_IOPS_MAX };

void demand_deinit(Demand *d) {
        free(d->devices);
        *d = (Demand){};
}

/* Halved each half-life, on a straight line in between. */
static uint64_t decayed(const DemandValue *v, usec_t now) {
        usec_t age = now > v->peak_at ? now - v->peak_at : 0, halvings = age / DEMAND_HALF_LIFE_USEC;
        uint64_t left;

        if (halvings >= 64)
                return 0;
        left = v->peak >> halvings;
        return left - num_muldiv(left, age % DEMAND_HALF_LIFE_USEC, 2 * DEMAND_HALF_LIFE_USEC);
}

static void value_put(DemandValue *v, uint64_t use, usec_t now) {
        if (v->known && now < v->at)
                return;
        if (!v->known || use >= decayed(v, now)) {
                v->peak = use;
                v->peak_at = now;
        }
        v->last = use;
        v->at = now;
        v->known = true;
}

static bool value_get(const DemandValue *v, bool stays, usec_t now, uint64_t *ret) {
        if (!v->known || (now > v->at && now - v->at > DEMAND_STALE_USEC))
                return false;
        *ret = decayed(v, now);
        if (stays)
                *ret = MAX_OF(*ret, v->last);
        return true;
}

static bool was_read(const Sample *s, uint32_t files, SampleFile file, SampleField f) {
        return files & SAMPLE_FILE_BIT(file) && sample_has(s, f);
}

static void feed_gauge(DemandValue *v, const Sample *s, uint32_t files, SampleFile file, SampleField f) {
        if (was_read(s, files, file, f))
                value_put(v, s->v[f], s->at);
}

static void feed_cpu(Demand *d, const Sample *s, uint32_t files) {
        uint64_t usage = s->v[SAMPLE_CPU_USAGE], periods = s->v[SAMPLE_CPU_PERIODS],
                 throttled = s->v[SAMPLE_CPU_THROTTLED];
        usec_t span = s->at - d->cpu_at;

        if (!was_read(s, files, SAMPLE_FILE_CPU_STAT, SAMPLE_CPU_USAGE))
                return;
        if (d->cpu_at > 0 && usage >= d->cpu_count) {
                if (s->at < d->cpu_at || span < DEMAND_SPAN_MIN_USEC)
                        return;
                value_put(&d->cpu, num_muldiv(usage - d->cpu_count, USEC_PER_SEC, span), s->at);
                if (throttled > d->throttled && periods >= d->periods &&
                    throttled - d->throttled >= (periods - d->periods) / THROTTLED_PART)
                        d->hit_at[DEMAND_HIT_CPU] = s->at;
        }
        d->cpu_at = s->at;
        d->cpu_count = usage;
        d->periods = periods;
        d->throttled = throttled;
}

static void feed_events(Demand *d, DemandHit hit, uint64_t count, usec_t now) {
        if (d->have_hits[hit] && count > d->hits[hit])
                d->hit_at[hit] = now;
        d->have_hits[hit] = true;
        d->hits[hit] = count;
}

/* Makes the list that of io. What is gone is forgotten; what is new has counted from 0, unless it went unlisted. */
static int match_devices(Demand *d, const SampleIo *io) {
        size_t n = MIN_OF(io->n, (size_t)SAMPLE_DEVICES_MAX), k = 0;
        DemandDevice *fresh = NULL;

        if (n > 0) {
                fresh = reallocarray(NULL, n, sizeof(*fresh));
                if (!fresh)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++) {
                dev_t dev = io->devices[i].dev;

                while (k < d->n_devices && d->devices[k].dev < dev)
                        k++;
                fresh[i] = (DemandDevice){ .dev = dev };
                if (k < d->n_devices && d->devices[k].dev == dev)
                        fresh[i] = d->devices[k];
                else if (d->unlisted)
                        for (size_t c = 0; c < ARRAY_SIZE(fresh[i].count); c++)
                                fresh[i].count[c] = UINT64_MAX;
        }
        free(d->devices);
        d->devices = fresh;
        d->n_devices = n;
        return 0;
}

static bool devices_match(const Demand *d, const SampleIo *io) {
        if (d->n_devices != MIN_OF(io->n, (size_t)SAMPLE_DEVICES_MAX))
                return false;
        for (size_t i = 0; i < d->n_devices; i++)
                if (d->devices[i].dev != io->devices[i].dev)
                        return false;
        return true;
}

static int feed_io(Demand *d, const SampleIo *io, usec_t now) {
        usec_t span = now - d->io_at;
        int r;

        if (d->io_at > 0 && (now < d->io_at || span < DEMAND_SPAN_MIN_USEC))
                return 0;
        if (!devices_match(d, io)) {
                r = match_devices(d, io);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < d->n_devices; i++) {
                const SampleDevice *from = &io->devices[i];
                const uint64_t counts[] = { from->rbytes, from->wbytes, from->rios, from->wios };
                DemandDevice *to = &d->devices[i];

                for (size_t k = 0; k < ARRAY_SIZE(counts); k++) {
                        if (d->io_at > 0 && counts[k] >= to->count[k])
                                value_put(&to->rate[k],
                                          num_muldiv(counts[k] - to->count[k], USEC_PER_SEC, span), now);
                        to->count[k] = counts[k];
                }
        }
        d->unlisted = io->n_unlisted > 0;
        d->io_at = now;
        return 0;
}

int demand_feed(Demand *d, const Sample *s, uint32_t files, const SampleIo *io) {
        feed_cpu(d, s, files);
        feed_gauge(&d->memory, s, files, SAMPLE_FILE_MEMORY_CURRENT, SAMPLE_MEMORY);
        feed_gauge(&d->swap, s, files, SAMPLE_FILE_MEMORY_SWAP_CURRENT, SAMPLE_SWAP);
        feed_gauge(&d->tasks, s, files, SAMPLE_FILE_PIDS_CURRENT, SAMPLE_PIDS);
        if (was_read(s, files, SAMPLE_FILE_MEMORY_EVENTS, SAMPLE_EVENTS_MAX))
                feed_events(d, DEMAND_HIT_MEMORY,
                            num_add_sat(s->v[SAMPLE_EVENTS_HIGH], s->v[SAMPLE_EVENTS_MAX]), s->at);
        if (was_read(s, files, SAMPLE_FILE_PIDS_EVENTS, SAMPLE_PIDS_EVENTS_MAX))
                feed_events(d, DEMAND_HIT_TASKS, s->v[SAMPLE_PIDS_EVENTS_MAX], s->at);
        if (io && files & SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT) && sample_has(s, SAMPLE_IO_RBYTES))
                return feed_io(d, io, s->at);
        return 0;
}

static bool device_use(const Demand *d, LimitKnob knob, usec_t now, uint64_t *ret) {
        size_t k = 0;

        while (k < ARRAY_SIZE(io_limits) && io_limits[k] != knob.limit)
                k++;
        if (k == ARRAY_SIZE(io_limits) || d->io_at == 0)
                return false;
        for (size_t i = 0; i < d->n_devices; i++)
                if (d->devices[i].dev == knob.dev)
                        return value_get(&d->devices[i].rate[k], false, now, ret);
        *ret = 0;
        return !d->unlisted && (now <= d->io_at || now - d->io_at <= DEMAND_STALE_USEC);
}

static bool knob_use(const Demand *d, LimitKnob knob, usec_t now, uint64_t *ret, DemandHit *ret_hit) {
        switch (knob.limit) {
        case LIMIT_CPU_QUOTA:
                *ret_hit = DEMAND_HIT_CPU;
                return value_get(&d->cpu, false, now, ret);
        case LIMIT_MEMORY_HIGH:
        case LIMIT_MEMORY_MAX:
                *ret_hit = DEMAND_HIT_MEMORY;
                return value_get(&d->memory, true, now, ret);
        case LIMIT_MEMORY_SWAP_MAX:
                return value_get(&d->swap, true, now, ret);
        case LIMIT_TASKS_MAX:
                *ret_hit = DEMAND_HIT_TASKS;
                return value_get(&d->tasks, true, now, ret);
        default:
                return device_use(d, knob, now, ret);
        }
}

int demand_use(const Demand *d, const LimitSet *sum, usec_t now, LimitSet *ret) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;

        for (size_t i = 0; i < sum->n; i++) {
                DemandHit hit = _DEMAND_HIT_MAX;
                uint32_t origin = 0;
                uint64_t use;
                int r;

                if (!knob_use(d, sum->entries[i].knob, now, &use, &hit))
                        continue;
                if (hit < _DEMAND_HIT_MAX && d->hit_at[hit] > 0 &&
                    (now <= d->hit_at[hit] || now - d->hit_at[hit] <= DEMAND_HIT_USEC))
                        origin = SHARE_USE_HIT;
                r = limit_set_put(&set, sum->entries[i].knob, use, origin);
                if (r < 0)
                        return r;
        }
        limit_set_deinit(ret);
        *ret = set;
        set = LIMIT_SET_INIT;
        return 0;
}
