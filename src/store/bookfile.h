/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The books on file (adapter: store): /run/bailiff/books, so that a restarted
 * guard goes on counting where the last one was when it died.
 *
 * Slots of one size, each written with one pwrite() to a tmpfs whenever its
 * cgroup was sampled: no snapshot to be late, no log to compact, and SIGKILL
 * between two writes loses nothing (a write never crosses a page, so that it is there
 * or not). Every slot has a checksum; the header names format version, sizes and boot id. A slot that is damaged is
 * skipped and counted; a file of another boot or shape, of a version that we do not know, or without a readable header, is
 * set aside as books.old (renamed; the one called so before goes) and a new one begun. One of an earlier version is taken over.
 */

#include "baseline.h"
#include "books.h"

#define BOOKFILE_NAME_BYTES 64 /* tenant's name, container's name or id: cut, NUL-terminated */
#define BOOKFILE_SLOTS_MAX 65536
#define BOOKFILE_BOOT_ID_BYTES 64

typedef enum BookKind { BOOKFILE_CONTAINER = 1, BOOKFILE_SLICE, BOOKFILE_TENANT } BookKind;

typedef struct BookRecord {
        BookKind kind;
        uint64_t id; /* cgroup id; 0 for a tenant */
        char tenant[BOOKFILE_NAME_BYTES];
        char name[BOOKFILE_NAME_BYTES];
        bool below; /* container: it lives in one of the tenant's own slices */
        union {
                struct { /* container, slice */
                        Book book;
                        /* Counters go on from here. Kept are `at`, what books and baselines count from, memory, swap and
                         * frozen; the rest is not had afterwards. */
                        Sample last;
                        Baseline baseline;
                } cg;
                struct
                { /* tenant: of book.slices and ended_below hierarchical fields are kept, of book.floor no rests */
                        TenantBook book;
                        Book ended_below;
                } sum;
        };
} BookRecord;

typedef struct BookFile BookFile;

typedef struct BookFileStats {
        size_t n_slots, n_used;
        unsigned n_damaged; /* slots skipped at open */
        bool set_aside;
        uint64_t n_writes;
        int write_error; /* of the last write, 0: none; what could not be written is written by its next put */
} BookFileStats;

/* dir must exist, boot_id be neither empty nor longer than BOOKFILE_BOOT_ID_BYTES - 1: -EINVAL. -ENOMEM, negative errno
 * of opening dir. A file that cannot be created or read is no error but in write_error: all works in memory then, and
 * each put tries again. */
int bookfile_open(const char *dir, const char *boot_id, BookFile **ret);
BookFile *bookfile_free(BookFile *f);
DEFINE_CLEANUP(BookFile *, bookfile_free)

/* What was found at open, to be taken over: for (uint32_t i = 0; bookfile_next(f, &i, &slot, &record);). The slots stay
 * theirs. Reads the file again, so only before the first put. */
bool bookfile_next(BookFile *f, uint32_t *i, uint32_t *ret_slot, BookRecord *ret);

#define BOOKFILE_NO_SLOT UINT32_MAX
/* Writes the record to *slot (BOOKFILE_NO_SLOT: a free one, which *slot is then). -ENOSPC … : not on file; *slot may
 * still be NO_SLOT. -E2BIG: BOOKFILE_SLOTS_MAX are used. -EINVAL: no kind, or a slot that nobody was given. */
int bookfile_put(BookFile *f, uint32_t *slot, const BookRecord *r);
/* Empties the slot; *slot becomes BOOKFILE_NO_SLOT whatever comes of it. Without one: 0. An error: it is still on file,
 * and the next put or drop tries again. */
int bookfile_drop(BookFile *f, uint32_t *slot);
void bookfile_get_stats(const BookFile *f, BookFileStats *ret);
