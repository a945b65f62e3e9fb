/* SPDX-License-Identifier: Apache-2.0 */
#include "num.h"

int num_scan_u64(const char **p, const char *end, uint64_t *ret) {
        const char *q = *p;
        uint64_t v = 0;

        if (q >= end || *q < '0' || *q > '9')
                return -EINVAL;
        for (; q < end && *q >= '0' && *q <= '9'; q++) {
                if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(*q - '0'), &v))
                        return -ERANGE;
        }
        *p = q;
        *ret = v;
        return 0;
}

int num_parse_u64(const char *s, uint64_t *ret) {
        const char *end = s + strlen(s);
        uint64_t v;
        int r;

        r = num_scan_u64(&s, end, &v);
        if (r < 0)
                return r;
        if (s != end)
                return -EINVAL;
        *ret = v;
        return 0;
}

int num_parse_u32(const char *s, uint32_t *ret) {
        uint64_t v;
        int r;

        r = num_parse_u64(s, &v);
        if (r < 0)
                return r;
        if (v > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t)v;
        return 0;
}

int num_parse_hex64(const char *s, uint64_t *ret) {
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                unsigned d;

                if (*s >= '0' && *s <= '9')
                        d = (unsigned)(*s - '0');
                else if (*s >= 'a' && *s <= 'f')
                        d = (unsigned)(*s - 'a') + 10;
                else if (*s >= 'A' && *s <= 'F')
                        d = (unsigned)(*s - 'A') + 10;
                else
                        return -EINVAL;
                if (v >> 60)
                        return -ERANGE;
                v = v << 4 | d;
        }
        *ret = v;
        return 0;
}

uint64_t num_muldiv(uint64_t a, uint64_t b, uint64_t c) {
        unsigned __int128 v = (unsigned __int128)a * b / c;

        return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

uint64_t num_add_sat(uint64_t a, uint64_t b) {
        uint64_t v;

        return __builtin_add_overflow(a, b, &v) ? UINT64_MAX : v;
}
