/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The thaw helper (adapter: cgroupfs; DESIGN.md "Programs"): it freezes and thaws, and nothing that happens to the guard keeps a
 * container frozen beyond its pulse: guard killed (the socket's end), stopped, hung in a debugger (deadlines are the helper's own), /run
 * full (it needs no file), memory gone (its own is locked, nothing is allocated after start).
 *
 * It is forked early, keeps no capability (root is the owner of cgroup files), does not die with its parent: at the end of the socket it thaws
 * all and exits. It ignores all signals that can be ignored.
 *
 * An engine's own pause is neither undone nor mistaken for ours: who is frozen already (cgroup.freeze is 1) is not touched (THAW_FOREIGN), and the
 * helper watches cgroup.freeze (inotify) of all that it froze: whoever writes there afterwards takes it over, whatever he wrote;
 * the pulse is then over without a thaw (THAW_TAKEN).
 */

#include "macro.h"
#include <sys/types.h>

#define THAW_MAX 64 /* frozen at the same time */
#define THAW_SPAN_MAX (600 * USEC_PER_SEC)

typedef enum ThawNews {
        THAW_FROZEN, /* cgroup.freeze is 1 */
        THAW_OVER, /* thawed: the deadline, or thaw_end() */
        THAW_TAKEN, /* somebody else wrote cgroup.freeze meanwhile */
        THAW_FOREIGN, /* it was frozen before: not touched */
        THAW_GONE, /* the cgroup is gone */
        THAW_FAILED, /* error: negative errno */
        _THAW_NEWS_MAX,
} ThawNews;

typedef struct Thaw Thaw;
/* Exactly one of FROZEN, FOREIGN, GONE, FAILED per thaw_begin(), and one of OVER, TAKEN, GONE, FAILED after FROZEN. */
typedef void (*ThawDone)(void *user, uint64_t id, ThawNews news, int error);

/* dir: where the guard after this one reads how far pulses got, /run/bailiff; NULL: nowhere. Where no file can be made there is none. */
int thaw_new(const char *dir, ThawDone done, void *user, Thaw **ret);
/* Closes the socket: the helper thaws all and ends. Waits for that at most 100 ms. */
Thaw *thaw_free(Thaw *t);
DEFINE_CLEANUP(Thaw *, thaw_free)
int thaw_get_fd(Thaw *t); /* EPOLLIN; the same for the whole life */
/* Freeze the cgroup of that id for so long (at most THAW_SPAN_MAX, else -EINVAL). -EAGAIN: the helper does not keep up or is not there;
 * -EBUSY: THAW_MAX; -EEXIST: its pulse is not over. dirfd stays the caller's. */
int thaw_begin(Thaw *t, int dirfd, uint64_t id, usec_t span);
/* Now. Not frozen by us: 0. -EAGAIN: it ends by its deadline, unless this is called again. */
int thaw_end(Thaw *t, uint64_t id);
int thaw_end_all(Thaw *t); /* the same for all */
/* Reads answers, calls done() (which may begin and end pulses). A helper that died, or does not end a pulse 3 s after its time, is
 * started anew (at most once a second); what it had frozen is thawed by the new one (it is handed the fds again), or right here where
 * none can be started, and answered then. now: CLOCK_MONOTONIC. */
int thaw_dispatch(Thaw *t, usec_t now);
/* Restart of the helper, pulses that should be over, or USEC_INFINITY; 0 after each thaw_begin(), since only dispatch knows the
 * time. */
usec_t thaw_next_time(const Thaw *t);
pid_t thaw_pid(const Thaw *t); /* 0 while there is none */

/* Whose pulses were over, or taken over, when a guard before us had its end: if they are frozen now it is somebody else's doing. */
typedef struct ThawPast {
        size_t n;
        uint64_t ids[THAW_MAX];
} ThawPast;
/* Before thaw_new(), which begins the file anew. Without a file, or with one that cannot be read, nothing is known of anybody. */
void thaw_past_read(const char *dir, ThawPast *ret);
bool thaw_past_over(const ThawPast *p, uint64_t id);
