/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The running program: event loop, rounds, servers. */

#include "settings.h"

typedef struct RunOptions {
        const Config *config;
        const char *state_dir; /* of history.db */
        const char *socket; /* to make and listen at where systemd passes none; NULL: none */
} RunOptions;

/* Until SIGTERM or SIGINT. 0; negative errno, said on stderr. */
int run(const RunOptions *o);
/* A line on stderr that systemd knows the priority of (sd-daemon(3)). */
void run_log(int priority, const char *format, ...) _printf_(2, 3);
