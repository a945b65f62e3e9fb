/* SPDX-License-Identifier: Apache-2.0 */
#include "loghist.h"

/* 0..3 have a bucket each; above, the two bits behind the leading one choose among four. */
static unsigned bucket_of(uint64_t v) {
        unsigned top;

        if (v < 4)
                return (unsigned)v;
        top = 63 - (unsigned)__builtin_clzll(v);
        return (top - 1) * 4 + (unsigned)(v >> (top - 2) & 3);
}

static uint64_t bucket_start(unsigned b) {
        if (b < 4)
                return b;
        return (uint64_t)(4 + b % 4) << (b / 4 - 1);
}

void loghist_add(LogHist *h, uint64_t v) {
        unsigned b = bucket_of(v);

        if (h->buckets[b] < UINT32_MAX)
                h->buckets[b]++;
        h->n++;
        h->last = v;
        h->max = MAX_OF(h->max, v);
}

uint64_t loghist_quantile(const LogHist *h, unsigned permyriad) {
        uint64_t seen = 0, rank;

        if (h->n == 0)
                return 0;
        if (permyriad >= 10000)
                return h->max;
        rank = (h->n - 1) / 10000 * permyriad + (h->n - 1) % 10000 * permyriad / 10000;
        for (unsigned b = 0; b < LOGHIST_BUCKETS; b++) {
                uint64_t start = bucket_start(b);

                seen += h->buckets[b];
                if (seen <= rank)
                        continue;
                return MIN_OF(h->max, b < 4 ? start : start + (start >> 3));
        }
        return h->max;
}
