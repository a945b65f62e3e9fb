/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One record of the books as bytes (part of store's bookfile; pure). The layout is described in the .c file.
 */

#include "bookfile.h"

/* Of the file: what slots hold, and how many there are in a page. */
typedef enum BookVersion {
        BOOK_VERSION_1 = 1, /* without network counters */
        BOOK_VERSION_2,
} BookVersion;
#define BOOK_VERSION_NOW BOOK_VERSION_2

#define BOOKSLOT_BYTES 1360
#define BOOKSLOT_BYTES_1 1024
#define BOOKSLOT_HEAD 10 /* checksum and length; all zero: a free slot */

/* Any record fits. Returns how much of slot is to be written; the rest is left alone. */
size_t bookslot_encode(const BookRecord *record, uint8_t slot[static BOOKSLOT_BYTES]);
/* Of a slot as that version has them, of so many bytes: 1: a record. 0: free. -EBADMSG: damaged, whatever the bytes are;
 * *ret is untouched then. */
int bookslot_decode(BookVersion version, uint8_t *slot, size_t slot_bytes, BookRecord *ret);

/* A hash of what slots hold, by name and in order: two builds with one shape read each other's. */
uint64_t bookslot_shape(BookVersion version);
