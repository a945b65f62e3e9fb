/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The processes of whose end and executions the guard wants to know. Pure: who looks into /proc is service.c, and answers.c. */

#include "nlwire.h"

typedef struct Watch {
        uint64_t cookie, start;
        uint32_t pid, code;
        bool checked; /* that it is there, since it is listened to without a gap */
        bool missing; /* it was not there: its event is on its way, or lost */
        bool ended, known; /* to be told; with code */
        bool met; /* it was there when it was first looked at */
        bool news; /* that, or what it executed, is to be told */
        uint64_t n_execs; /* since that was told last */
} Watch;

typedef struct Watches {
        Map by_cookie, by_pid;
        bool changed; /* pids came or went since watches_pids() */
        size_t n_unchecked, n_missing, n_ended, n_news;
} Watches;

#define WATCHES_MAX 16384

void watches_deinit(Watches *w);
/* -ENOSPC, -ENOMEM. Whoever had that cookie or that pid before has ended or was given up. */
int watches_add(Watches *w, uint64_t cookie, uint32_t pid, uint64_t start);
void watches_remove(Watches *w, uint64_t cookie);
/* The leader of that process has ended; not watched: nothing. */
void watches_exited(Watches *w, uint32_t pid, uint32_t code);
/* It has executed a program; not watched: nothing. */
void watches_execed(Watches *w, uint32_t pid);
/* Events were lost: look at all of them again. */
void watches_doubt(Watches *w);
/* The next one that is to be looked at, *i 0 at first; NULL: none. Then watches_looked(). */
Watch *watches_unchecked(Watches *w, size_t *i);
void watches_looked(Watches *w, Watch *one, bool there);
/* All events that were on their way have been read: who is missing has ended without one. */
void watches_settle(Watches *w);
/* One that has ended, for telling; then watches_remove(). NULL: none. */
Watch *watches_ended(Watches *w, size_t *i);
/* One of which there is news, for telling; then watches_told(). NULL: none. */
Watch *watches_news(Watches *w, size_t *i);
void watches_told(Watches *w, Watch *one);
/* Pids of those that live, sorted; up to max. How many there are. */
size_t watches_pids(Watches *w, uint32_t *pids, size_t max);
