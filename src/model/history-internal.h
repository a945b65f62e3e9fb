/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the history's writer and its reader share: the pieces of the wire
 * format that history.h describes.
 */

#include <endian.h>

#include "history.h"

typedef enum HistoryRecord {
        HISTORY_RECORD_CHUNK = 1,
        HISTORY_RECORD_SAMPLE,
        HISTORY_RECORD_SAMPLE_LESS,
        HISTORY_RECORD_GONE,
        HISTORY_RECORD_UNKNOWN = 64, /* and above */
} HistoryRecord;

#define HISTORY_VARINT_MAX 10
#define HISTORY_MASK_BYTES 16
#define HISTORY_MASK_MAX (3 + HISTORY_MASK_BYTES)
#define HISTORY_PAGE 4096

static inline uint64_t history_zigzag(uint64_t delta) { return delta << 1 ^ -(delta >> 63); }
static inline uint64_t history_unzigzag(uint64_t z) { return z >> 1 ^ -(z & 1); }

/* Takes the lowest bit out of *mask. */
static inline SampleField history_next_field(SampleMask *mask) {
        SampleField f = sample_first(*mask);

        *mask &= *mask - 1;
        return f;
}
