/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One process as /proc/PID tells it to everybody (adapter: cgroupfs; proc(5)). procfd: O_PATH of /proc. */

#include <sys/types.h>

#include "macro.h"

#define PROCPID_GONE 1

typedef struct ProcPid {
        char comm[64]; /* as the process chose it: anything but NUL */
        char state; /* R S D Z X … */
        pid_t parent;
        uint64_t cpu_usec, rss_bytes;
        uint64_t start; /* clock ticks since boot: with the pid, its identity */
        unsigned threads;
} ProcPid;

/* The text of /proc/PID/stat; ticks a second, bytes a page. -EBADMSG. */
int procpid_parse(const char *text, unsigned long ticks, unsigned long page, ProcPid *ret);
/* 0, PROCPID_GONE, negative errno. One that has ended and was not reaped is there (state Z). */
int procpid_read(int procfd, pid_t pid, ProcPid *ret);
/* What stands behind "0::" in the text of /proc/PID/cgroup; NULL: nothing. Changes the text. */
char *procpid_parse_cgroup(char *text);
/* 0, PROCPID_GONE, -ENODATA: it has none here (cgroup v1 alone), -EFBIG; ret is size bytes. */
int procpid_cgroup(int procfd, pid_t pid, char *ret, size_t size);
