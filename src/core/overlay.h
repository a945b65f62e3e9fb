/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Leases lie over what reconciliation holds (layer: core, pure). Reconciliation (reconcile.h) must neither take a lease for somebody's
 * wish nor repair it away, and a lease must give back what is wanted when it ends, not what was wanted when it began. So files are read
 * through the overlay: where the kernel holds a lease's value, reconciliation sees what lies beneath; where it holds something else,
 * somebody (the engine, PID 1, reconciliation itself) wrote that: it is what lies beneath from now on, and the lease, if it is still
 * the tighter one, is written again.
 */

#include "limits.h"

typedef struct OverlayLease {
        LimitKnob knob; /* a ceiling */
        uint64_t value, beneath;
        usec_t period, beneath_period; /* LIMIT_CPU_QUOTA only */
        bool rewrite; /* out: the kernel does not hold it, and it would be tighter: write it again */
        bool changed; /* out: beneath is another: put it on file */
} OverlayLease;

/* After the files were read into `actual`: replaces there what leases wrote. A knob that is not in `actual` (io.max without an entry; no
 * such file) is "max". Comparison as limit_equal(): pages, whole percent. -ENOMEM: actual is as it was. */
int overlay_read(OverlayLease *leases, size_t n, LimitSet *actual, uint64_t page_size);
/* What to write to end it: the value beneath, or false: the kernel holds something else than the lease: nothing is to be written.
 * actual: as read, without overlay_read(). */
bool overlay_give_back(const OverlayLease *l, const LimitSet *actual, uint64_t page_size, LimitEntry *ret,
                       usec_t *ret_period);
