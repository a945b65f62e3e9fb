/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What victim, hog and reflex share: clocks, naps, dice, and work that costs CPU time and nothing else. */

#include "macro.h"

usec_t load_clock(void); /* CLOCK_MONOTONIC */
usec_t load_cpu(void); /* CPU time of the calling thread */
/* Returns early when a signal came. */
void load_nap_until(usec_t when);
/* splitmix64: the same numbers for the same seed, on every machine. */
uint64_t load_random(uint64_t *state);
void load_work(uint64_t turns);
/* How many turns take `cpu` of CPU time on this machine, whatever else runs on it. */
uint64_t load_calibrate(usec_t cpu);
/* An anonymous mapping, or one of a file that is made if it is not that long; every page written once. NULL: errno says why. */
uint8_t *load_map(const char *file, size_t bytes);
/* Makes a file of that length with data in it, unless it is there. 0 or negative errno. */
int load_file(const char *file, size_t bytes);
