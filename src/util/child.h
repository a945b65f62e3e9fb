/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Long-lived helper processes: one socket pair, one job, no inheritance.
 *
 * The helper that child_start() makes
 *   - has our end's peer as its only fd besides 0 and 1 (/dev/null) and 2 (as
 *     ours, for a last word of libc): event loops, signalfds, sockets and
 *     directory fds of the parent are closed before its code runs;
 *   - is killed by the kernel when the parent dies, however that happens
 *     (PR_SET_PDEATHSIG, the race with a parent that is already dead closed);
 *   - has default signal dispositions, nothing blocked, a session of its own
 *     (^C on the guard's terminal is the guard's business), no_new_privs, and
 *     of the parent's capabilities only those it is given.
 *
 * No SIGCHLD handler is needed or installed, and nothing here ever waits for a
 * helper that does not die: SIGKILL does not end a process that sleeps
 * uninterruptibly, so the dead are put into a grave and reaped when they are
 * ready (waitpid on their own pid, never on any).
 */

#include <sys/types.h>

#include "macro.h"

typedef struct Child {
        pid_t pid; /* 0: none */
        int fd; /* our end: SOCK_SEQPACKET, non-blocking, close-on-exec; -1: none */
} Child;
#define CHILD_INIT ((Child){ .fd = -1 })

/* Runs in the helper; fd is its blocking end. Its return value is the exit status (no atexit handlers). */
typedef int (*ChildMain)(int fd, void *user);

typedef struct ChildOptions {
        const char *name; /* for ps: up to 15 characters */
        uint64_t
                keep_capabilities; /* bit 1 << CAP_*: kept where the parent has them, all others are given up */
        bool lock_memory; /* keep what it touches in memory (best effort, pages lock as they are touched) */
        bool outlives_parent; /* to tidy up after it: no parent-death signal, and all signals that can be are ignored */
} ChildOptions;

/*
 * Forks. *c must be CHILD_INIT and is set on success. What follows fork() in
 * the helper and fails there (prctl, close_range) ends the helper, which the
 * parent sees as end of file on fd. Negative errno of socketpair() or fork().
 * The parent must be single-threaded: the helper goes on using libc.
 */
int child_start(Child *c, const ChildOptions *o, ChildMain main, void *user);

/*
 * For a helper's own short-lived children: fork() with the same
 * parent-death signal, nothing else changed. In the child *ret is 0.
 */
int child_fork(pid_t *ret);

#define CHILD_GRAVE_MAX 8
typedef struct ChildGrave {
        pid_t pids[CHILD_GRAVE_MAX];
        size_t n;
} ChildGrave;

/*
 * Ends the helper: closes our fd, SIGKILLs, and reaps it or puts it into the
 * grave. *c is CHILD_INIT afterwards (a Child without process is left alone).
 * Never blocks.
 */
void child_kill(Child *c, ChildGrave *g);
/* Reaps who is ready; returns how many are not yet. A helper may only be
 * started while the grave is not full. */
size_t child_grave_reap(ChildGrave *g);
/* Waits up to timeout for the last of them (for tear-down). */
void child_grave_wait(ChildGrave *g, usec_t timeout);
