/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Acting on one cgroup (adapter: cgroupfs; cgroup-v2.rst "cgroup.kill", "cgroup.freeze"). The cgroup's identity is checked right
 * before: dirfd must still be in the tree and be the cgroup of that id, else CG_GONE. None of these allocates; each may be called
 * while memory is gone. None blocks (a kill by hand takes up to 64 ms): lowering memory.high, which reclaims, belongs to the
 * writer helper.
 */

#include <sys/types.h>

#include "cgfile.h"

/* Writes one limit file: text as limits_format_file() makes it. 0, CG_GONE, negative errno. */
int act_write(int dirfd, uint64_t id, const char *file, const char *text);
/* cgroup.kill. Where the kernel has none (before 5.14), or the cgroup is threaded, SIGKILL to each process, over and over, at most
 * 64 rounds, while it is frozen. 0: done, or nobody was there. The root of the tree: -EOPNOTSUPP. CG_GONE, negative errno. */
int act_kill(int dirfd, uint64_t id);
/*
 * `signal` to the main process: main_pid, if it is in the cgroup or below it, else the first one of cgroup.procs (or of one below,
 * where that is empty). By pidfd, and only if cgroup.procs still lists it after that was opened, so that a number that was given
 * anew is never hit. 0, CG_GONE,
 * -ESRCH: nobody is there, negative errno.
 */
int act_stop(int dirfd, uint64_t id, pid_t main_pid, int signal);
/* The pid that act_stop() would signal: main_pid if it is in the cgroup or below it, else the first one. 0: nobody is there. */
pid_t act_find_main(int dirfd, pid_t main_pid);
/* Each process of the cgroup and those below it, until f says that it is enough; of a threaded one, threads. */
void act_each_process(int dirfd, CgPid f, void *user);
/* Has it any process? 1, 0, CG_GONE is 0, negative errno. */
int act_populated(int dirfd);
/* What cgroup.freeze says: 0, 1; negative errno. */
int act_read_freeze(int dirfd);
/* 0: it is not frozen; ACT_THAWED: not any more; CG_GONE; negative errno: it may be frozen still. */
#define ACT_THAWED 2
int act_thaw(int dirfd, uint64_t id);
