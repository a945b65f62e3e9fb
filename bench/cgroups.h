/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The containers that a bench works with: the first n cgroups below a
 * directory that have Docker's scope names, in the order of their names.
 */

#include "macro.h"

typedef struct Cgroup {
        char *path;
        int dirfd; /* O_PATH */
} Cgroup;

typedef struct Cgroups {
        Cgroup *all;
        size_t n, alloc;
} Cgroups;

/* n: how many, 0: all that are there. 0; -ENOENT: there are fewer than n, or none; other errno. */
int cgroups_open(const char *dir, size_t n, Cgroups *ret);
void cgroups_deinit(Cgroups *c);

/* Verbs of a bench end with these: a message with the errno, and 1; or 0. */
int bench_fail(const char *program, const char *what, int error);
