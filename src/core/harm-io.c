/* SPDX-License-Identifier: Apache-2.0 */

/*
 * IO harm. Waits at io.max are exposed nowhere, so nearness to it is what counts. Which device a wait was for is not known
 * either: it is taken to be the busy one that the party does most of. Who does nothing but wait (a journal is
 * written on others' behalf) waits for the busiest that is written to.
 */

#include "harm-internal.h"
#include "num.h"

#define PERMYRIAD 10000

static bool io_rate(const Party *p, Limit limit, dev_t dev, uint64_t *ret) {
        static const SampleDevice none = {};
        const SampleDevice *before, *now;
        uint64_t a, b;

        if (!p->io_before || !p->io_now || p->io_span == 0)
                return false;
        before = sample_io_find(p->io_before, dev);
        now = sample_io_find(p->io_now, dev);
        before = before ? before : &none;
        now = now ? now : before;
        switch (limit) {
        case LIMIT_IO_READ_BANDWIDTH_MAX:
                a = before->rbytes;
                b = now->rbytes;
                break;
        case LIMIT_IO_WRITE_BANDWIDTH_MAX:
                a = before->wbytes;
                b = now->wbytes;
                break;
        case LIMIT_IO_READ_IOPS_MAX:
                a = before->rios;
                b = now->rios;
                break;
        case LIMIT_IO_WRITE_IOPS_MAX:
                a = before->wios;
                b = now->wios;
                break;
        default: /* no io.max */
                a = b = 0;
                break;
        }
        if (b < a)
                return false;
        *ret = num_muldiv(b - a, USEC_PER_SEC, p->io_span);
        return true;
}

static bool is_io_max(Limit limit) {
        return limit >= LIMIT_IO_READ_BANDWIDTH_MAX && limit <= LIMIT_IO_WRITE_IOPS_MAX;
}

/* The highest rate of this level in permyriad of its io.max. */
static uint64_t nearness(const Party *p, bool *unknown) {
        uint64_t most = 0;

        for (size_t i = 0; p->limits.io && i < p->limits.io->n; i++) {
                const LimitEntry *e = &p->limits.io->entries[i];
                uint64_t rate;

                if (!is_io_max(e->knob.limit) || e->value == LIMIT_INFINITY)
                        continue;
                if (!io_rate(p, e->knob.limit, e->knob.dev, &rate))
                        *unknown = true;
                else
                        most = MAX_OF(most, num_muldiv(rate, PERMYRIAD, MAX_OF(e->value, UINT64_C(1))));
        }
        return most;
}

/* Near an io.max of its own or above: the harm is set. */
static bool near_io_max(const HarmCase *c, bool *unknown) {
        uint64_t near = HARM_NEAR_LIMIT;

        if (harm_was(c, HARM_WHY_OWN_IO) || harm_was(c, HARM_WHY_OUR_LEASE))
                near = near * HARM_CALM / 100;
        for (uint32_t i = c->index; i != NO_PARTY; i = party_above(c->scene, i)) {
                uint64_t v = nearness(&c->scene->parties[i], unknown);

                if (v < near)
                        continue;
                harm_own(c, harm_ceiling_why(c, i, LEVER_IO, HARM_WHY_OWN_IO, HARM_WHY_OWN_IO), PERMYRIAD,
                         harm_margin(v, near, PERMYRIAD));
                return true;
        }
        return false;
}

static uint64_t traffic(const Party *p, dev_t dev) {
        uint64_t v, sum = 0;

        for (Limit l = LIMIT_IO_READ_BANDWIDTH_MAX; l <= LIMIT_IO_WRITE_IOPS_MAX; l++)
                if (io_rate(p, l, dev, &v))
                        sum = num_add_sat(sum, v);
        return sum;
}

/* Of the main one it is known already; else all parties have to be asked. */
static unsigned part_of(const HarmCase *c, dev_t dev) {
        const FairShare *f = &c->fair[c->index];

        return f->io_dev == dev ? f->io_part : fair_device_part(c->scene, c->index, dev);
}

typedef struct Device {
        dev_t dev; /* 0: none */
        unsigned busy, part;
} Device;

/*
 * The device that it waits for. Of the busy ones that it uses the one that it does most of; where it uses none, the
 * busiest that is written to. False: it is not known how busy those are.
 */
static bool find_device(const HarmCase *c, Device *ret) {
        bool uses = false, known = false;
        Device best = {};

        for (size_t i = 0; c->party->io_now && i < c->party->io_now->n; i++) {
                Device d = { .dev = c->party->io_now->devices[i].dev };

                if (traffic(c->party, d.dev) == 0)
                        continue;
                uses = true;
                if (!fair_device_busy(c->scene, d.dev, &d.busy))
                        continue;
                known = true;
                if (d.busy < HARM_DEVICE_BUSY) {
                        if (best.busy < HARM_DEVICE_BUSY && d.busy > best.busy)
                                best = d;
                        continue;
                }
                d.part = part_of(c, d.dev);
                if (best.busy < HARM_DEVICE_BUSY || d.part > best.part)
                        best = d;
        }
        if (!uses)
                known = fair_device_written(c->scene, &best.dev, &best.busy);
        *ret = best;
        return known;
}

void harm_judge_io(const HarmCase *c) {
        const FairShare *f = &c->fair[c->index];
        bool unknown = !c->party->io_before || !c->party->io_now || c->party->io_span == 0;
        uint64_t enough = num_muldiv(f->io_entitled, HARM_ENTITLED, PERMYRIAD);
        Device d = {};

        if (near_io_max(c, &unknown))
                return;
        if (unknown || !find_device(c, &d)) {
                harm_cannot_tell(c);
                return;
        }
        if (d.busy < HARM_DEVICE_BUSY) {
                harm_own(c, HARM_WHY_DEVICE_IDLE, PERMYRIAD, harm_margin(d.busy, HARM_DEVICE_BUSY, 0));
                return;
        }
        c->harm->dev = d.dev;
        if (d.part >= HARM_OWN_OWN) {
                harm_own(c, HARM_WHY_OWN_DEVICE, d.part, harm_margin(d.part, HARM_OWN_OWN, PERMYRIAD));
                return;
        }
        if (f->io_dev == d.dev && f->io_part > 0 && f->io_part >= enough) {
                harm_own(c, HARM_WHY_ENTITLED, d.part, harm_margin(f->io_part, enough, f->io_entitled));
                return;
        }
        c->harm->own = d.part;
        harm_set_class(c, HARM_EXTERNAL, HARM_WHY_CONTENDED,
                       MIN_OF(harm_margin(d.busy, HARM_DEVICE_BUSY, PERMYRIAD),
                              harm_margin(d.part, HARM_OWN_OWN, 0)));
}
