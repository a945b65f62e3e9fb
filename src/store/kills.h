/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file of kills (adapter: store), /run/bailiff/kills: which kills were charged to the budgets, so that a guard that is
 * started anew, or again and again, does not begin with fresh ones.
 *
 * A ring of KILLS_MAX records of fixed size, each with a checksum and a number; the header as in leases.h: magic, version, boot id, sizes.
 * All room is taken when the file is made; a kill is one pwrite() into it, with no allocation. A later version may make records longer;
 * the known part in front stays what it is. Of another boot it is begun anew: nothing of what it says stands any more.
 */

#include "macro.h"
#include "policy.h"

#define KILLS_MAX 256
#define KILLS_VERSION 1

typedef struct Kill {
        usec_t at; /* CLOCK_MONOTONIC */
        char tenant[POLICY_NAME_MAX + 1];
} Kill;

typedef struct Kills Kills;

/*
 * dir is /run/bailiff (must exist). now: CLOCK_MONOTONIC; a kill later than that is damage. *ret_damaged: how many records there are
 * of which nothing can be said but that there was one: all of them where the file as a whole is unreadable, 0 where there is none, or one of
 * another boot. Negative errno: kills are not kept.
 */
int kills_open(const char *dir, const char *boot_id, usec_t now, Kills **ret, unsigned *ret_damaged);
Kills *kills_free(Kills *k);
DEFINE_CLEANUP(Kills *, kills_free)
/* The oldest one goes. Negative errno: it is not on file. */
int kills_add(Kills *k, const char *tenant, usec_t at);
/* i: 0, 1, …: those that were on file at open, the oldest first. False: there are no more. */
bool kills_get(const Kills *k, size_t i, Kill *ret);
