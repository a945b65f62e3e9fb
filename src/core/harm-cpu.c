/* SPDX-License-Identifier: Apache-2.0 */

/*
 * CPU harm. Stall cannot be taken apart: the kernel counts threads that wait for a CPU and threads of a throttled cgroup alike,
 * and throttled_usec is a sum over CPUs. But a thread is held back by a quota in throttled periods only. So throttled periods
 * over all periods, at the party and each group above (whose throttling does not show in the party's own counters), is the
 * most that ceilings explain of its time; over the share of stall, of its stall. Below a tenth it is not the quota,
 * from a half on it is, and what lies between is mixed.
 */

#include "harm-internal.h"
#include "num.h"

#define PERMYRIAD 10000

typedef struct Throttling {
        uint64_t permyriad; /* of the time, all levels together */
        uint32_t level; /* where most of it is */
        bool unknown; /* there is a quota, and nobody knows how often it held something back */
} Throttling;

static Throttling throttling_of(const HarmCase *c) {
        Throttling t = { .level = c->index };
        uint64_t most = 0;

        for (uint32_t i = c->index; i != NO_PARTY; i = party_above(c->scene, i)) {
                const Party *p = &c->scene->parties[i];
                uint64_t periods, throttled, part = 0;

                if (p->kind == PARTY_HOST)
                        break;
                if (!window_delta(&p->memory->window, SAMPLE_CPU_PERIODS, &periods) ||
                    !window_delta(&p->memory->window, SAMPLE_CPU_THROTTLED, &throttled)) {
                        t.unknown = t.unknown || p->limits.cpu_quota != LIMIT_INFINITY;
                        continue;
                }
                if (periods > 0)
                        part = MIN_OF(num_muldiv(throttled, PERMYRIAD, periods), (uint64_t)PERMYRIAD);
                t.permyriad += part;
                if (part > most) {
                        most = part;
                        t.level = i;
                }
        }
        return t;
}

void harm_judge_cpu(const HarmCase *c) {
        const FairShare *f = &c->fair[c->index];
        uint64_t enough = num_muldiv(f->cpu_entitled, HARM_ENTITLED, PERMYRIAD), used;
        Throttling t = throttling_of(c);
        Harm *h = c->harm;
        HarmWhy why = harm_ceiling_why(c, t.level, LEVER_CPU, HARM_WHY_OWN_QUOTA, HARM_WHY_GROUP_QUOTA);
        unsigned busy, beyond;

        if (h->share > 0)
                h->own = (unsigned)MIN_OF(num_muldiv(t.permyriad, PERMYRIAD, h->share), (uint64_t)PERMYRIAD);
        if (h->own >= HARM_OWN_OWN) {
                harm_name_ceiling(c, t.level, why);
                harm_own(c, why, h->own, harm_margin(h->own, HARM_OWN_OWN, PERMYRIAD));
                return;
        }
        if (!window_delta(c->window, SAMPLE_CPU_USAGE, &used) || !fair_cpu_busy(c->scene, c->fair, &busy)) {
                harm_cannot_tell(c);
                return;
        }
        if (f->cpu_used >= enough) {
                harm_own(c, HARM_WHY_ENTITLED, PERMYRIAD, harm_margin(f->cpu_used, enough, f->cpu_entitled));
                return;
        }
        if (busy < HARM_CPU_BUSY) {
                harm_own(c, HARM_WHY_CPU_IDLE, PERMYRIAD, harm_margin(busy, HARM_CPU_BUSY, 0));
                return;
        }
        if (t.unknown) {
                harm_cannot_tell(c);
                return;
        }
        if (h->own >= HARM_MIXED_OWN) {
                harm_name_ceiling(c, t.level, why);
                harm_set_class(c, HARM_MIXED, why, 0);
                return;
        }
        beyond = harm_margin(f->cpu_used, enough, 0);
        beyond = MIN_OF(beyond, harm_margin(busy, HARM_CPU_BUSY, PERMYRIAD));
        beyond = MIN_OF(beyond, harm_margin(h->own, HARM_MIXED_OWN, 0));
        harm_set_class(c, HARM_EXTERNAL, HARM_WHY_CONTENDED, beyond);
}
