/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the two halves of the thaw helper share (thaw.c, thaw-helper.c). Both ends are the same binary, so plain structures. */

#include "thaw.h"

typedef enum PulseState {
        PULSE_NONE, /* cgroup.freeze is not our doing */
        PULSE_BEGINNING, /* we write 1: events that are seen now may be our own */
        PULSE_OURS,
        PULSE_TAKEN, /* somebody else wrote since */
} PulseState;

/*
 * One pulse, in memory that both halves see and that outlives a helper: written by the helper, read by the guard only once the helper is
 * dead, and by the next helper. The place is chosen by the guard.
 */
typedef struct Pulse {
        uint64_t id; /* of the cgroup, when the pulse is over, too (thaw-past.c); 0: unknown */
        uint32_t state; /* PulseState, atomically */
        int32_t wd; /* the watch of its cgroup.freeze; valid while it is not NONE */
        usec_t until;
} Pulse;

typedef struct ThawShared {
        char magic[8];
        Pulse pulses[THAW_MAX]; /* no two of the same id */
} ThawShared;

/* thaw-past.c: of a file in dir; where none can be made, memory without one. Negative errno: no memory. */
int thaw_shared_new(const char *dir, ThawShared **ret);
/* thaw-helper.c: whoever wrote cgroup.freeze of a pulse that is ours has taken it over. */
void thaw_read_events(int inotify_fd, ThawShared *shared);

typedef enum ThawAskKind {
        THAW_ASK_WATCH, /* comes first, with the inotify fd */
        THAW_ASK_BEGIN, /* with the cgroup's directory fd */
        THAW_ASK_ADOPT, /* the same, for a pulse that an earlier helper began: thaw */
        THAW_ASK_END,
        THAW_ASK_END_ALL,
} ThawAskKind;

typedef struct ThawAsk {
        uint32_t kind;
        uint32_t place;
        uint64_t id;
        usec_t span;
} ThawAsk;

typedef struct ThawAnswer {
        uint32_t place;
        uint32_t news;
        uint64_t id;
        int32_t error;
        uint32_t reserved;
} ThawAnswer;

/* The helper's main(), see child_start(). user is the ThawShared. */
int thaw_helper_main(int fd, void *user);
