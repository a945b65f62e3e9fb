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
#define HISTORY_MASK_MAX 9
#define HISTORY_PAGE 4096
#define HISTORY_FIELDS_ALL (UINT64_MAX >> (64 - _SAMPLE_MAX))

static inline uint64_t history_zigzag(uint64_t delta) { return delta << 1 ^ -(delta >> 63); }
static inline uint64_t history_unzigzag(uint64_t z) { return z >> 1 ^ -(z & 1); }

/* Takes the lowest bit out of *mask. */
static inline SampleField history_next_field(uint64_t *mask) {
        SampleField f = (SampleField)__builtin_ctzll(*mask);

        *mask &= *mask - 1;
        return f;
}
