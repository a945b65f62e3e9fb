/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A histogram with four buckets to each doubling: quantiles of latencies that
 * are right to an eighth, in 1 KiB and without a sample kept.
 */

#include "macro.h"

#define LOGHIST_BUCKETS 256

typedef struct LogHist {
        uint32_t buckets[LOGHIST_BUCKETS];
        uint64_t n, max, last;
} LogHist;

void loghist_add(LogHist *h, uint64_t v);
/* The value below which `permyriad` of all lie (the middle of its bucket, never above the largest); 0: none yet. */
uint64_t loghist_quantile(const LogHist *h, unsigned permyriad);
