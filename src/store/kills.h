/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file of kills (adapter: store): what the kill budgets have paid for, in /run/bailiff/kills. A kill is on file BEFORE it is
 * done, so that a guard that dies of it, or is restarted again and again, begins with the budgets that the one before left.
 *
 * A file of slots (slotfile.h): adding one allocates nothing and cannot fail for a full /run. When all slots are taken, those
 * that no budget counts any more make room, the oldest first; if there are none, there is no room, and nobody may be killed.
 */

#include "macro.h"

#define KILLS_MAX 1024
#define KILL_TENANT_MAX 63
#define KILLS_VERSION 1

typedef struct Kill {
        usec_t at; /* CLOCK_MONOTONIC; not 0 */
        usec_t until; /* then it was out of all windows that held it, as the policy was when it was done; USEC_INFINITY: never */
        uint64_t cgroup_id; /* 0: unknown, kills that nobody can read any more, however many these were */
        char tenant[KILL_TENANT_MAX + 1]; /* "": unknown */
} Kill;

typedef struct Kills Kills;

typedef struct KillsStats {
        unsigned n, n_damaged; /* slots of which neither copy could be read, not written off */
        bool set_aside; /* a file that could not be read is kills.old now */
} KillsStats;

/*
 * dir is /run/bailiff (must exist); boot_id of this boot: a file of another boot is kills.old after that, and no news.
 * Negative errno: -ENOSPC where the room cannot be had.
 */
int kills_open(const char *dir, const char *boot_id, Kills **ret);
Kills *kills_free(Kills *k);
DEFINE_CLEANUP(Kills *, kills_free)
/* One more may be added now. */
bool kills_has_room(const Kills *k, usec_t now);
/* -ENOSPC: no room, as of kill->at; -EINVAL: a nonsensical one. No allocation. */
int kills_add(Kills *k, const Kill *kill);
/* It was not done after all. Nothing to remove is fine. */
void kills_remove(Kills *k, uint64_t cgroup_id, usec_t at);
/* In their order of time: the first one after `last`, one that this gave before; NULL: the first. NULL: no more. */
const Kill *kills_next(const Kills *k, const Kill *last);
void kills_get_stats(const Kills *k, KillsStats *ret);
/* What could not be read counts as one unknown kill, which goes on file before the damaged slots are free. */
void kills_write_off(Kills *k, usec_t at);
