/* SPDX-License-Identifier: Apache-2.0 */

#include "allowance.h"
#include "macro.h"

bool allowance_has(Allowance *a, uint64_t now, unsigned part, uint64_t burst) {
        uint64_t paid = now > a->at ? (now - a->at) / part : 0;

        /* What is too little to count is not lost: it counts with the next. */
        if (paid > 0) {
                a->spent -= MIN_OF(a->spent, paid);
                a->at += paid * part;
        }
        return a->spent < burst;
}

void allowance_spend(Allowance *a, uint64_t cost) { a->spent += MIN_OF(cost, UINT64_MAX - a->spent); }
