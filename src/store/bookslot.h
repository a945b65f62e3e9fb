/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One record of the books as bytes (part of store's bookfile; pure). The layout is described in the .c file.
 */

#include "bookfile.h"

#define BOOKSLOT_BYTES 1024
#define BOOKSLOT_HEAD 10 /* checksum and length; all zero: a free slot */

/* Any record fits. Returns how much of slot is to be written; the rest is left alone. */
size_t bookslot_encode(const BookRecord *record, uint8_t slot[static BOOKSLOT_BYTES]);
/* 1: a record. 0: free. -EBADMSG: damaged, whatever the bytes are; *ret is untouched then. */
int bookslot_decode(uint8_t slot[static BOOKSLOT_BYTES], BookRecord *ret);

/* A hash of what slots hold, by name and in order: two builds with one shape read each other's. */
uint64_t bookslot_shape(void);
