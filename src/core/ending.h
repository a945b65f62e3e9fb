/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a container's main process ended, and by whom (layer: core, pure). */

#include "buf.h"
#include "macro.h"

typedef enum EndingCause {
        ENDING_UNKNOWN, /* the kernel's word of it was lost */
        ENDING_EXIT, /* by itself */
        ENDING_SIGNAL,
        ENDING_CORE, /* by a signal, and its memory was dumped */
        ENDING_OOM, /* the kernel killed it for memory */
        ENDING_OURS, /* the guard, or an operator through it */
        _ENDING_MAX,
} EndingCause;
const char *ending_cause_to_string(
        EndingCause c); /* "unknown", "exit", "signal", "core", "oom", "bailiff"; static */

typedef struct Ending {
        bool known; /* code is */
        uint32_t code; /* as of wait(2) */
        bool ours; /* a stop or kill by the guard reached its cgroup within its last ENDING_OURS_USEC */
        bool oom; /* the kernel had killed in its cgroup for memory within its last ENDING_OOM_USEC */
        bool unread; /* whether it had could not be read any more */
} Ending;
#define ENDING_OURS_USEC (60 * USEC_PER_SEC)
#define ENDING_OOM_USEC (3 * USEC_PER_SEC)

EndingCause ending_cause(const Ending *e);
/* "exit status 3", "SIGKILL, by the kernel, for memory"; what follows "ended: ". */
void ending_format(const Ending *e, Buf *b);
