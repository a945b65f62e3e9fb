/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Records that wait on disk until they are handed on (adapter: store), in the order in which they came, each at least once. Bounded: the
 * oldest give way. They outlive the process.
 */

#include "macro.h"

typedef struct BacklogStatus {
        uint64_t bytes; /* on disk */
        uint64_t records, samples; /* that wait, on disk and in memory */
        uint64_t samples_dropped; /* for want of room, or damaged */
        uint64_t damaged; /* records that were cut short or changed */
        int error; /* of the last write; 0: none */
} BacklogStatus;

typedef struct Backlog Backlog;

/* dir is made when it is needed, in a directory that is there; its name is copied. max_bytes: at least 1 MiB. -ENOMEM; -EINVAL. */
int backlog_new(const char *dir, uint64_t max_bytes, Backlog **ret);
Backlog *backlog_free(Backlog *b);
DEFINE_CLEANUP(Backlog *, backlog_free)

/* Puts it behind the others. What cannot be written is kept in memory, as long as that is little. samples: how many it holds. */
void backlog_add(Backlog *b, const void *data, size_t len, uint32_t samples);
/* The oldest, until backlog_done(); the same one when asked again. False: there is none (or no memory to read it). */
bool backlog_peek(Backlog *b, const void **ret, size_t *ret_len, uint32_t *ret_samples);
/* It was handed on, or given up. */
void backlog_done(Backlog *b);
/* While the disk hangs nothing here waits for it: what is added is kept in memory (as long as that is little), what is on disk is
 * neither read nor marked; what was handed on is marked afterwards, or comes once more after a restart. */
void backlog_set_slow(Backlog *b, bool slow);
void backlog_get_status(const Backlog *b, BacklogStatus *ret);
