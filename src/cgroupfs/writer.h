/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The writer helper (adapter: cgroupfs): kernel writes that can block, done by
 * another process under a deadline (DESIGN.md, "Programs").
 *
 * writer_new() forks it early; it keeps only what it needs (no capability at
 * all, so root is just the owner of root's files; no other fds, its own memory
 * locked where allowed, dies with its parent: PR_SET_PDEATHSIG).
 * A request carries the cgroup's directory fd (SCM_RIGHTS), the expected id
 * and up to WRITER_WRITES_MAX attributes, done in order. The helper answers
 * quick requests itself one after another, and forks a child for a request that
 * may block (lowering memory.high/max), at most WRITER_CHILDS_MAX at a time,
 * SIGKILLed at its deadline; the rest queue.
 * (The kernel sets memory.high before it reclaims, so the limit stands even then.)
 * Requests for one cgroup id are done in the order they were submitted;
 * a request that blocks holds up nobody else's quick ones.
 *
 * No event loop: poll writer_get_fd() for EPOLLIN, call writer_dispatch().
 * If the helper dies, writer_dispatch() fails all pending requests with
 * -ECONNRESET and restarts it (at most once a second, now is a parameter).
 * Every `now` and deadline is CLOCK_MONOTONIC: the helper reads the same clock.
 */

#include "limits.h"
#include "macro.h"

#define WRITER_WRITES_MAX 24
#define WRITER_TEXT_MAX 128
#define WRITER_CHILDS_MAX 8
#define WRITER_PENDING_MAX 4096
/* A helper that has not answered this long after a deadline is stuck itself (a
 * "quick" write that was none) and is killed; next_time() knows. */
#define WRITER_GRACE_USEC (2 * USEC_PER_SEC)

typedef struct WriterWrite {
        char file[32]; /* "memory.max" */
        char text[WRITER_TEXT_MAX];
        /*
         * memory.max is never set below what is in use: with headroom_guard the
         * helper reads memory.current right before the write and refuses with
         * WRITER_ABOVE when current > value - value/64. "max" always passes.
         */
        bool headroom_guard;
        int result; /* out: 0, negative errno, or WRITER_* */
} WriterWrite;

enum {
        WRITER_GONE = 1, /* the cgroup is gone or is another one */
        WRITER_ABOVE = 2, /* refused: usage above the value */
        WRITER_TIMEOUT = 3, /* the deadline passed; the kernel may or may not hold the value */
        WRITER_SKIPPED = 4, /* an earlier write ended with GONE or TIMEOUT (or killed its child) */
};

typedef struct Writer Writer;
/* May call writer_submit(), but neither writer_dispatch() nor writer_free(). */
typedef void (*WriterDone)(void *user, uint64_t cookie, const WriterWrite *writes, size_t n);

int writer_new(Writer **ret);
Writer *writer_free(Writer *w); /* ends the helper; pending requests are answered -ECANCELED */
DEFINE_CLEANUP(Writer *, writer_free)
int writer_get_fd(Writer *w); /* the same for the writer's whole life */
/*
 * Non-blocking; -EAGAIN when too many wait (WRITER_PENDING_MAX): the caller
 * keeps the work and tries after the next dispatch. done(user, cookie, …) is
 * called from writer_dispatch(). dirfd stays the caller's and may be closed at
 * once. -EINVAL: no or too many writes, or a name or text that is none. A
 * request whose deadline passes while it waits is answered WRITER_TIMEOUT
 * without a write; USEC_INFINITY: no deadline.
 */
int writer_submit(Writer *w, int dirfd, uint64_t cgroup_id, const WriterWrite *writes, size_t n,
                  bool may_block, usec_t deadline, WriterDone done, void *user, uint64_t cookie);
/* 0, or why the helper could not be started again (it will be tried again at writer_next_time()). */
int writer_dispatch(Writer *w, usec_t now);
/* When to dispatch without input (deadlines, restart of the helper), or USEC_INFINITY. */
usec_t writer_next_time(const Writer *w);
size_t writer_n_pending(const Writer *w);
pid_t writer_pid(const Writer *w); /* of the helper, for status; 0 while there is none */
unsigned writer_n_restarts(const Writer *w);
