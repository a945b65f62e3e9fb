/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How collectors usually read a cgroup: nine files by path, each opened, read
 * by lines with stdio, taken apart with sscanf, and closed again.
 */

#include "macro.h"

typedef struct Usual {
        unsigned long long cpu[8]; /* usage, user, system, periods, throttled, ... in the file's order */
        unsigned long long memory, stat[64], events[8], io[6], tasks;
        unsigned long long stall[3][2]; /* cpu, memory, io; some, full */
        float average[3][2][3];
} Usual;

/* 0; negative errno of the first file that could not be opened, the others are read all the same. */
int usual_read(const char *cgroup, Usual *ret);
