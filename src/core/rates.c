/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rates from two samples. One table says which counter each comes from and what it is relative to. Not all of a
 * sample was read at its time: of a cold cgroup only a probe's files were, for up to a minute, and what the others
 * then show has grown in all that time.
 */

#include "num.h"
#include "rates.h"
#include "tier.h"

static const struct {
        const char *name;
        SampleField from;
        uint64_t per_sec; /* what a second's worth of µs is in its unit; 1: the counter itself */
} infos[_RATE_MAX] = {
        [RATE_CPU] = { "cpu_permyriad", SAMPLE_CPU_USAGE, 100 },
        [RATE_THROTTLED] = { "throttled_permyriad", SAMPLE_CPU_THROTTLED, 0 },
        [RATE_CPU_SOME] = { "cpu_some_permyriad", SAMPLE_CPU_SOME, 100 },
        [RATE_CPU_FULL] = { "cpu_full_permyriad", SAMPLE_CPU_FULL, 100 },
        [RATE_MEMORY_SOME] = { "memory_some_permyriad", SAMPLE_MEMORY_SOME, 100 },
        [RATE_MEMORY_FULL] = { "memory_full_permyriad", SAMPLE_MEMORY_FULL, 100 },
        [RATE_IO_SOME] = { "io_some_permyriad", SAMPLE_IO_SOME, 100 },
        [RATE_IO_FULL] = { "io_full_permyriad", SAMPLE_IO_FULL, 100 },
        [RATE_IRQ_FULL] = { "irq_full_permyriad", SAMPLE_IRQ_FULL, 100 },
        [RATE_IO_RBYTES] = { "io_read_bytes", SAMPLE_IO_RBYTES, 1 },
        [RATE_IO_WBYTES] = { "io_write_bytes", SAMPLE_IO_WBYTES, 1 },
        [RATE_IO_RIOS] = { "io_read_ops", SAMPLE_IO_RIOS, 1 },
        [RATE_IO_WIOS] = { "io_write_ops", SAMPLE_IO_WIOS, 1 },
        [RATE_NET_RX_BYTES] = { "network_receive_bytes", SAMPLE_NET_RX_BYTES, 1 },
        [RATE_NET_RX_PACKETS] = { "network_receive_packets", SAMPLE_NET_RX_PACKETS, 1 },
        [RATE_NET_RX_ERRORS] = { "network_receive_errors", SAMPLE_NET_RX_ERRORS, 1 },
        [RATE_NET_RX_DROPPED] = { "network_receive_packets_dropped", SAMPLE_NET_RX_DROPPED, 1 },
        [RATE_NET_TX_BYTES] = { "network_transmit_bytes", SAMPLE_NET_TX_BYTES, 1 },
        [RATE_NET_TX_PACKETS] = { "network_transmit_packets", SAMPLE_NET_TX_PACKETS, 1 },
        [RATE_NET_TX_ERRORS] = { "network_transmit_errors", SAMPLE_NET_TX_ERRORS, 1 },
        [RATE_NET_TX_DROPPED] = { "network_transmit_packets_dropped", SAMPLE_NET_TX_DROPPED, 1 },
};

const char *rate_name(Rate r) { return infos[r].name; }

uint64_t rate_per_sec(uint64_t v, usec_t span) { return span > 0 ? num_muldiv(v, USEC_PER_SEC, span) : 0; }

static bool in_probe(SampleField f) {
        int file = sample_info(f)->file;

        return file >= 0 && tier_files_probe() & SAMPLE_FILE_BIT(file);
}

/* Since the one before: false: there is none, or it went back. */
static bool grew(const Rates *r, Rate i, const Sample *now, uint64_t *ret) {
        uint64_t v = now->v[infos[i].from];

        if (!sample_has(now, infos[i].from) || !(r->known >> i & 1) || v < r->from[i])
                return false;
        *ret = v - r->from[i];
        return true;
}

static bool rate(const Rates *r, Rate i, const Sample *now, usec_t span, uint64_t *ret) {
        uint64_t delta, periods = now->v[SAMPLE_CPU_PERIODS];

        if (!grew(r, i, now, &delta))
                return false;
        if (i != RATE_THROTTLED)
                *ret = rate_per_sec(delta, span) / infos[i].per_sec;
        else if (sample_has(now, SAMPLE_CPU_PERIODS) && periods > r->periods)
                *ret = MIN_OF(num_muldiv(delta, 10000, periods - r->periods), (uint64_t)10000);
        else
                *ret = 0;
        return true;
}

/* The rates of a probe's files, or of all others. *at: when these were read before. */
static void take(Rates *r, const Sample *now, bool probe, usec_t *at) {
        usec_t span = *at > 0 && now->at > *at ? now->at - *at : 0;

        if (*at > 0 && span < RATE_SPAN_MIN)
                return;
        for (Rate i = 0; i < _RATE_MAX; i++) {
                uint32_t bit = UINT32_C(1) << i;

                if (in_probe(infos[i].from) != probe)
                        continue;
                r->have &= ~bit;
                if (span > 0 && rate(r, i, now, span, &r->v[i]))
                        r->have |= bit;
                else
                        r->v[i] = 0;
                r->known = sample_has(now, infos[i].from) ? r->known | bit : r->known & ~bit;
                r->from[i] = now->v[infos[i].from];
        }
        if (probe) {
                r->periods = now->v[SAMPLE_CPU_PERIODS];
                r->span = span;
        }
        *at = now->at;
}

void rates_feed(Rates *r, const Sample *now, uint32_t files) {
        const uint32_t probe = tier_files_probe(), rest = tier_files_hot() & ~probe;
        bool whole = (files & rest) == rest;

        if ((files & probe) != probe)
                return;
        for (Rate i = 0; i < _RATE_MAX && !whole; i++)
                if (!in_probe(infos[i].from) && now->at >= r->rest_at + RATE_SPAN_MIN)
                        r->v[i] = 0;
        take(r, now, true, &r->probe_at);
        if (whole)
                take(r, now, false, &r->rest_at);
}
