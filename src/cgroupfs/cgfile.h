/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reading and writing one cgroup's files through its directory fd (adapter:
 * cgroupfs). A cgroup that is gone is a condition, not an error: functions
 * return CG_GONE.
 */

#include <sys/types.h>

#include "limits.h"
#include "macro.h"

#define CG_GONE 1

/* Is this directory still in the tree: 1 yes, 0 gone. Works on O_PATH fds, on
 * cgroupfs and on plain directories (captured trees). */
int cg_alive(int dirfd);

/* Reads the limit files of the cgroup into set (replaced; empty where the answer is not 0).
 * *ret_have has bit (1 << LimitFile) for each file that exists and could be read and understood (no
 * controller: no file). io.max only holds what is not "max". 0, CG_GONE, negative errno. */
int cg_read_limits(int dirfd, LimitSet *set, uint32_t *ret_have);
/* One file only: its entries in set are replaced, the others stay; on failure all stay.
 * -ENOENT where the file is missing but the cgroup is there, CG_GONE. */
int cg_read_limit_file(int dirfd, LimitFile file, LimitSet *set);

typedef struct CgUsage {
        bool have_memory, have_swap, have_pids;
        uint64_t memory_bytes; /* memory.current */
        uint64_t swap_bytes;
        uint64_t tasks; /* pids.current */
} CgUsage;
/* Memory, swap and tasks: what it holds now, without making the kernel flush its statistics. More is meter.h's. 0 also
 * where the cgroup is gone: it has nothing then. -EMFILE, -ENFILE, -ENOMEM: out of fds or memory. */
int cg_read_occupancy(int dirfd, CgUsage *ret);
/* usage_usec of cpu.stat: of the whole subtree, its dead included. 0, CG_GONE, negative errno. */
int cg_read_cpu(int dirfd, uint64_t *ret_usec);

/* memory.events.local: how often memory.high and memory.max of this very cgroup were hit. 0, CG_GONE, -ENOENT where the file
 * is missing, -EINVAL, negative errno. */
int cg_read_events_local(int dirfd, uint64_t *ret_high, uint64_t *ret_max);
/* oom_kill of memory.events: of the whole subtree. 0, CG_GONE, -EBADMSG, negative errno. */
int cg_read_oom_kills(int dirfd, uint64_t *ret);

/* Writes one attribute. 0, CG_GONE, negative errno (-EINVAL, -EBUSY, -ENODEV device, ...). Can block in reclaim for
 * memory.high/memory.max: such writes belong to the writer helper. */
int cg_write(int dirfd, const char *file, const char *text);

/* Main pids: up to n from cgroup.procs, returns count. For explanations and uid lookups. -ENODEV:
 * the cgroup is gone, -EOPNOTSUPP: threaded. Processes of a pid namespace that we cannot see into
 * are left out. */
ssize_t cg_read_procs(int dirfd, pid_t *pids, size_t n);
/* The same without a bound, and without memory: each pid of cgroup.procs, or tid of cgroup.threads. False: that is enough. */
typedef bool (*CgPid)(void *user, pid_t pid);
int cg_each_pid(int dirfd, const char *file, CgPid f, void *user);

/* Ancestry and trust, for INTERFACES.md "Who is who". */
typedef struct CgTrust {
        uint64_t id; /* cgroup id of what the path led to: compare with the node's */
        uid_t owner; /* of the directory itself */
        bool root_owned; /* every ancestor below the root, up to but without the cgroup itself, is root's */
        bool delegated; /* one of those ancestors has user.delegate or trusted.delegate = 1 */
        /* Length of the part of the path that only root can have named: up to and with the first
         * ancestor that is delegated or not root's; 0: there is none. */
        size_t delegated_at;
} CgTrust;
/* rootfd: O_PATH of the mount; path: of the cgroup. 0, CG_GONE, -EINVAL: path is not absolute and
 * normal, -EXDEV, negative errno: nothing is known, so trust nothing. */
int cg_read_trust(int rootfd, const char *path, CgTrust *ret);
