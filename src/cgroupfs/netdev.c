/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose network counters are whose.
 *
 * /proc/PID/net/dev shows the namespace that PID is in, wherever the reader is,
 * and takes no capability. Which namespace that is, is what its link ns/net
 * says, but that may only be read by whom the kernel lets trace PID. So it is told by the inode of net/dev itself:
 * each namespace has files of its own below net, and procfs numbers them all apart
 * (fs/proc/proc_net.c, proc_register()). The number is free again when the namespace
 * has gone; its counters have gone, too, by then.
 *
 * A namespace that several containers are in (--network container:…, the
 * containers of a pod) is counted at one of them, the oldest: cgroup ids grow, so
 * everybody finds the same one, also after a restart. Who is met first counts
 * until an older one is met. Whoever takes over begins with the counters as they
 * are: what they say was counted at the one before. In the same way begins
 * who changed from one namespace to another. But one that was seen in the host's at
 * first is a container that is just being made, and what its own namespace has counted
 * is its own from the beginning.
 *
 * Processes may be in directories below the container's (a manager in it, or an
 * engine that puts them there). The oldest directory is where the first process
 * is, and that has the container's namespace; services of a manager may have
 * others. "supervisor" has none of the container's (systemd's CGROUP_DELEGATION: nspawn itself,
 * in the host's namespace).
 */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgfile.h"
#include "fdio.h"
#include "netdev.h"

#define DEPTH_MAX 4
#define DIRECTORIES_MAX 16 /* asked for processes in one search */
#define ENTRIES_MAX 512 /* of one directory */
#define CHILDREN_MAX 8 /* the oldest, of one directory */
#define PROCESSES_MAX 4 /* of one directory */

const char *net_state_to_string(NetState s) {
        static const char *const names[_NET_MAX] = {
                [NET_UNKNOWN] = "unknown",
                [NET_OWN] = "own",
                [NET_HOST] = "host",
                [NET_SHARED] = "shared",
        };

        return (unsigned)s < _NET_MAX ? names[s] : "unknown";
}

/* ---- which is counted where ---- */

void net_leave(NetSpaces *n, NetCg *cg) {
        if (cg->state == NET_OWN)
                (void)map_remove_u64(&n->owners, cg->space);
        cg->state = NET_UNKNOWN;
        cg->counted_at = 0;
}

static void share(NetCg *cg, const NetCg *with) {
        cg->state = NET_SHARED;
        cg->counted_at = with->id;
}

static int own(NetSpaces *n, NetCg *cg) {
        int r = map_put_u64(&n->owners, cg->space, cg);

        if (r >= 0)
                cg->state = NET_OWN;
        return r;
}

int net_settle(NetSpaces *n, NetCg *cg, uint64_t space) {
        uint64_t was = cg->space;
        bool shared = cg->state == NET_SHARED;
        NetCg *owner;
        int r;

        if (cg->state == NET_OWN && was == space)
                return NET_COUNT;
        net_leave(n, cg);
        cg->space = space;
        if (space == n->host) {
                cg->state = NET_HOST;
                return NET_LEAVE;
        }
        owner = map_get_u64(&n->owners, space);
        if (owner && owner->id < cg->id) {
                share(cg, owner);
                return NET_LEAVE;
        }
        if (owner)
                net_leave(n, owner);
        r = own(n, cg);
        if (r < 0)
                return r;
        if (owner)
                share(owner, cg);
        return owner || shared || (was != 0 && was != space && was != n->host) ? NET_BEGIN : NET_COUNT;
}

/* ---- a process ---- */

int net_space_of(int fd, uint64_t *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret = st.st_ino;
        return 0;
}

int net_find_host(NetSpaces *n, int procfd) {
        struct stat st;

        if (n->host != 0)
                return 0;
        if (fstatat(procfd, "1/net/dev", &st, 0) < 0)
                return -errno;
        n->host = st.st_ino;
        return 0;
}

static bool is_our_trouble(int e) { return e == EMFILE || e == ENFILE || e == ENOMEM; }

/* 0; NET_NOBODY: not this one. */
static int open_process(int procfd, pid_t pid, int *ret_process, int *ret_fd) {
        _cleanup_fd_ int process = -1, fd = -1;
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", (int)pid);
        process = openat(procfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (process >= 0)
                fd = openat(process, "net/dev", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return is_our_trouble(errno) ? -errno : NET_NOBODY;
        *ret_process = steal_fd(&process);
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* Whether that number is one of its processes' now: what was opened by it is then, too. */
static bool lists(int dirfd, pid_t pid) {
        pid_t pids[PROCESSES_MAX];
        ssize_t n = cg_read_procs(dirfd, pids, ARRAY_SIZE(pids));

        for (ssize_t i = 0; i < n; i++)
                if (pids[i] == pid)
                        return true;
        return false;
}

/* Of the processes of this very directory. */
static int find_here(int procfd, int dirfd, pid_t *ret_pid, int *ret_process, int *ret_fd) {
        pid_t pids[PROCESSES_MAX];
        ssize_t n = cg_read_procs(dirfd, pids, ARRAY_SIZE(pids));

        if (n < 0)
                return is_our_trouble((int)-n) ? (int)n : NET_NOBODY;
        for (ssize_t i = 0; i < n; i++) {
                _cleanup_fd_ int process = -1, fd = -1;
                int r = open_process(procfd, pids[i], &process, &fd);

                if (r < 0)
                        return r;
                if (r == NET_NOBODY || !lists(dirfd, pids[i]))
                        continue;
                *ret_pid = pids[i];
                *ret_process = steal_fd(&process);
                *ret_fd = steal_fd(&fd);
                return 0;
        }
        return NET_NOBODY;
}

typedef struct Child {
        uint64_t id;
        char name[NAME_MAX + 1];
} Child;

/* Keeps the oldest, in order. */
static void add_child(Child children[static CHILDREN_MAX], size_t *n, const struct dirent *e) {
        size_t i = *n;

        while (i > 0 && children[i - 1].id > e->d_ino)
                i--;
        if (i == CHILDREN_MAX)
                return;
        *n = MIN_OF(*n + 1, (size_t)CHILDREN_MAX);
        memmove(&children[i + 1], &children[i], (*n - i - 1) * sizeof(*children));
        children[i].id = e->d_ino;
        (void)snprintf(children[i].name, sizeof(children[i].name), "%s", e->d_name);
}

/* 0: *ret_n of them, -EMFILE…; a directory that cannot be read has none. */
static int list_children(int dirfd, Child children[static CHILDREN_MAX], size_t *ret_n) {
        _cleanup_fd_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent *e;
        size_t n = 0;
        DIR *d;

        *ret_n = 0;
        if (fd < 0)
                return is_our_trouble(errno) ? -errno : 0;
        d = fdopendir(fd);
        if (!d)
                return -ENOMEM;
        (void)steal_fd(&fd);
        for (size_t i = 0; i < ENTRIES_MAX && (e = readdir(d)); i++)
                if (e->d_type == DT_DIR && e->d_name[0] != '.' && !STR_EQ(e->d_name, "supervisor"))
                        add_child(children, &n, e);
        (void)closedir(d);
        *ret_n = n;
        return 0;
}

static int find_below(int procfd, int dirfd, unsigned depth, unsigned *directories, pid_t *ret_pid,
                      int *ret_process, int *ret_fd) {
        Child children[CHILDREN_MAX];
        size_t n;
        int r = find_here(procfd, dirfd, ret_pid, ret_process, ret_fd);

        if (r != NET_NOBODY || depth == DEPTH_MAX)
                return r;
        r = list_children(dirfd, children, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n && *directories < DIRECTORIES_MAX; i++) {
                _cleanup_fd_ int fd =
                        openat(dirfd, children[i].name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

                if (fd < 0 && is_our_trouble(errno))
                        return -errno;
                if (fd < 0)
                        continue;
                ++*directories;
                r = find_below(procfd, fd, depth + 1, directories, ret_pid, ret_process, ret_fd);
                if (r != NET_NOBODY)
                        return r;
        }
        return NET_NOBODY;
}

int net_find(int procfd, int dirfd, pid_t *ret_pid, int *ret_process, int *ret_fd) {
        unsigned directories = 0;

        return find_below(procfd, dirfd, 0, &directories, ret_pid, ret_process, ret_fd);
}
