/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where a limit's number comes from, packed into the 32 bits that a LimitEntry
 * carries along: 4 bits of kind, 10 of file, 18 of line. What does not fit
 * saturates: a policy of more than 1023 files or 262143 lines still holds,
 * only its messages point at the last place that can be named.
 */

#include "ceiling.h"

#define KIND_SHIFT 28
#define FILE_SHIFT 18
#define FILE_MASK UINT32_C(0x3ff)
#define LINE_MASK UINT32_C(0x3ffff)

const char *origin_kind_to_string(OriginKind k) {
        static const char *const names[_ORIGIN_MAX] = {
                [ORIGIN_POLICY] = "policy",       [ORIGIN_ENGINE] = "engine",   [ORIGIN_SHARE] = "share",
                [ORIGIN_STRICTEST] = "strictest", [ORIGIN_RUNTIME] = "runtime",
        };

        return (unsigned)k < _ORIGIN_MAX ? names[k] : "unknown";
}

uint32_t origin_pack(OriginKind kind, PolicyRef ref) {
        return (uint32_t)kind << KIND_SHIFT | MIN_OF(ref.file, FILE_MASK) << FILE_SHIFT |
               MIN_OF(ref.line, LINE_MASK);
}

OriginKind origin_kind(uint32_t origin) { return (OriginKind)(origin >> KIND_SHIFT); }

PolicyRef origin_ref(uint32_t origin) {
        return (PolicyRef){ .file = origin >> FILE_SHIFT & FILE_MASK, .line = origin & LINE_MASK };
}
