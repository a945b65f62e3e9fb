/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Allocations that fail: what is pure grows with reallocarray(3) only. */

#include <stdint.h>
#include <stdlib.h>

static size_t allocations_left = SIZE_MAX; /* until the first that fails; SIZE_MAX: none does */

void *reallocarray(void *p, size_t n, size_t size) {
        size_t bytes;

        if (allocations_left == 0 || __builtin_mul_overflow(n, size, &bytes))
                return NULL;
        if (allocations_left != SIZE_MAX)
                allocations_left--;
        return realloc(p, bytes);
}
