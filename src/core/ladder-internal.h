/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between ladder.c (when) and ladder-lever.c (how far). */

#include "ladder.h"

/* Puts what the lever should hold next into v. False: there is nothing tighter that may be, or would be felt; v is as it was.
 * again: harm came back after it was let go. */
bool lever_cut(const LadderInput *in, LeverState *v, Lever lever, bool again);
/* What it is guaranteed is more than it was: the lease is raised to that. False: it is not below. *ret_release: there is nothing left to
 * hold it back from. */
bool lever_lift(const LadderInput *in, LeverState *v, Lever lever, bool *ret_release);
/* One step up. True: it is where it began, and to be released. */
bool lever_relax(const LadderInput *in, LeverState *v, Lever lever);
/* All that the lease leaves it is used, which is what the others leave it, too: it would take more at once. */
bool lever_pressed(const LadderInput *in, const LeverState *v, Lever lever);
/* A further cut takes nothing that it is entitled to. */
bool lever_above_entitlement(const LadderInput *in, const LeverState *v, Lever lever);
