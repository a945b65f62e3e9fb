/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the kernel does not tell of processes, why, and when that is said (layer: core, pure). */

#include "macro.h"

#define REFUSAL_AGAIN_USEC (600 * USEC_PER_SEC) /* what fails and works by turns is said so seldom */

/* All zero at the start. */
typedef struct Refusal {
        bool told, ever; /* told: and it has not worked since then */
        usec_t told_at; /* if ever */
} Refusal;

/*
 * The state of something that is asked of the kernel. error: positive errno, 0: none; works: it is seen to work now, which is more
 * than that there is no error, for there is none either where nothing is asked. True: it is to be said now, which is once until it
 * has worked again.
 */
bool refusal_look(Refusal *r, int error, bool works, usec_t now);

/* What is in the way, as far as an errno tells it: "bailiff-netlink has no CAP_NET_ADMIN". */
const char *refusal_of_events(int error); /* process connector */
const char *refusal_of_records(int error); /* taskstats */
