/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a container's main process runs, and which of its executions are told (layer: core, pure). */

#include "allowance.h"
#include "buf.h"
#include "macro.h"

#define EXECS_PROGRAM_MAX 64 /* with its end */

#define EXECS_CALM_USEC (2 * USEC_PER_SEC) /* nothing was executed for so long: it has settled */
#define EXECS_LONGEST_USEC (10 * USEC_PER_SEC) /* it does not settle: told all the same */
#define EXECS_BURST 5 /* so many are told, and after that */
#define EXECS_EACH_USEC (600 * USEC_PER_SEC) /* one each time that so much has gone by */

/* Of one main process; all zero: nothing is known of it. */
typedef struct Execs {
        char program[EXECS_PROGRAM_MAX]; /* what it runs, printable; "": not known */
        char told[EXECS_PROGRAM_MAX]; /* what it ran when that was last told, or as it was found */
        bool known; /* it was looked at */
        bool owed; /* something is to be told, */
        bool first; /* that is what it began with, */
        uint64_t n; /* after so many executions since then, */
        usec_t since, last; /* of which these are the first and the last */
        uint64_t n_all, n_left_out; /* executions; those of them that were never told by name */
        Allowance allowance;
} Execs;

typedef struct ExecsTold {
        bool first; /* what it began with; else it has executed it */
        char program[EXECS_PROGRAM_MAX], before[EXECS_PROGRAM_MAX];
        uint64_t n_left_out; /* executions before this one */
} ExecsTold;

/*
 * Somebody saw it, after n executions more (0: nothing but a look), when it called itself so (any bytes; "": it had gone by then).
 * fresh: its container has only just begun, so what it runs is news.
 */
void execs_seen(Execs *e, uint64_t n, const char *comm, bool fresh, usec_t now);
/* Something is to be told now; then it counts as told. ended: it is over, so nothing more is waited for. */
bool execs_take(Execs *e, bool ended, usec_t now, ExecsTold *ret);
/* "runs nginx", "has executed sh; before that it ran nginx": what follows "its main process ". */
void execs_format(const ExecsTold *t, Buf *b);
