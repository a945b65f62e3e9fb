/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"

void bytes_put_le(uint8_t *to, size_t n, uint64_t v) {
        for (size_t i = 0; i < n; i++)
                to[i] = (uint8_t)(v >> 8 * i);
}

uint64_t bytes_get_le(const uint8_t *from, size_t n) {
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                v |= (uint64_t)from[i] << 8 * i;
        return v;
}

uint64_t bytes_fnv1a(uint64_t h, const void *data, size_t n) {
        const uint8_t *p = data;

        for (size_t i = 0; i < n; i++)
                h = (h ^ p[i]) * UINT64_C(0x100000001b3);
        return h;
}
