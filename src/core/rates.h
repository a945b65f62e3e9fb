/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How fast, between two looks at a cgroup (layer: core, pure): what people and
 * the judge speak of. CPU and stalls in permyriad (of one CPU, of the time; 10000 is all of it), io and network a second.
 */

#include "sample.h"

typedef enum Rate {
        RATE_CPU,
        RATE_THROTTLED, /* of its periods */
        RATE_CPU_SOME,
        RATE_CPU_FULL,
        RATE_MEMORY_SOME,
        RATE_MEMORY_FULL,
        RATE_IO_SOME,
        RATE_IO_FULL,
        RATE_IRQ_FULL,
        RATE_IO_RBYTES,
        RATE_IO_WBYTES,
        RATE_IO_RIOS,
        RATE_IO_WIOS,
        RATE_NET_RX_BYTES,
        RATE_NET_RX_PACKETS,
        RATE_NET_RX_ERRORS,
        RATE_NET_RX_DROPPED,
        RATE_NET_TX_BYTES,
        RATE_NET_TX_PACKETS,
        RATE_NET_TX_ERRORS,
        RATE_NET_TX_DROPPED,
        _RATE_MAX,
} Rate;
const char *rate_name(Rate r); /* in JSON: "cpu_permyriad", "io_read_bytes"; stable */

/* Over less, a quota's period or one burst would be all that is seen. */
#define RATE_SPAN_MIN (USEC_PER_SEC / 2)

/* All zero is a fresh one. */
typedef struct Rates {
        usec_t span; /* of the last rates; 0: nothing is known yet */
        uint32_t have; /* 1 << Rate */
        uint64_t v[_RATE_MAX];
        /* what the next ones are from: when a probe's files (core/tier) and all others were read, and what they said */
        usec_t probe_at, rest_at;
        uint32_t known;
        uint64_t from[_RATE_MAX], periods;
} Rates;

/*
 * After each look: files (SAMPLE_FILE_BIT()) are what was read. Looks that come sooner than RATE_SPAN_MIN after the one
 * that rates are from change nothing. Of what a probe leaves out the rate is over the time since that was read;
 * a probe alone, which is all that a quiet cgroup gets, makes it 0. A counter that went back or is missing has no
 * rate.
 */
void rates_feed(Rates *r, const Sample *now, uint32_t files);
/* v a second, over span. */
uint64_t rate_per_sec(uint64_t v, usec_t span);
