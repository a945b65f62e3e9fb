/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A fuzz target is one file with this function; fuzz-main.c feeds it. data is
 * exactly size bytes, so that a sanitizer sees a read beyond the end. The
 * target aborts where a promise is broken; its result is not looked at.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int fuzz_one(const uint8_t *data, size_t size);

/* A promise. */
static inline void must(bool ok) {
        if (!ok)
                abort();
}
