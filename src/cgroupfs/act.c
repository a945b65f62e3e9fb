/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Acting on one cgroup, with what is at hand when nothing else is left: no heap, buffers on the stack, an fd or two.
 *
 * The cgroup is the one that the directory fd leads to, whatever its path means by now; its inode number must be the id that
 * was decided upon, and it must still be in the tree.
 *
 * Where a kill has to be done by hand, new processes are the trouble: fork() is faster than a walk over
 * cgroup.procs. So the cgroup is frozen meanwhile (a frozen process dies of SIGKILL all the same, and is not
 * thawed for it), and walked until nobody is found. Who froze it before, an engine or a pulse of ours, finds it frozen
 * afterwards.
 *
 * A pid that is read from a file may be another process by the time it is signalled. A pidfd is not: whoever is still listed after
 * it was opened is who it stands for.
 */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "act.h"
#include "fdio.h"

#define KILL_ROUNDS 64
#define STOP_TRIES 8
/* The stack of a walk is bounded; what nests deeper is not reached by hand. */
#define ENTRIES_BYTES 2048
#define DEPTH_MAX 32

static bool is_cgroup(int dirfd, uint64_t id) {
        struct stat st;

        return fstat(dirfd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_ino == id && cg_alive(dirfd);
}

int act_write(int dirfd, uint64_t id, const char *file, const char *text) {
        return is_cgroup(dirfd, id) ? cg_write(dirfd, file, text) : CG_GONE;
}

int act_read_freeze(int dirfd) {
        char text[16];
        ssize_t n;

        n = fd_read_at(dirfd, "cgroup.freeze", text, sizeof(text));
        if (n < 0)
                return (int)n;
        if (STR_EQ(text, "0\n") || STR_EQ(text, "1\n"))
                return text[0] == '1';
        return -EBADMSG;
}

int act_thaw(int dirfd, uint64_t id) {
        int r;

        if (!is_cgroup(dirfd, id))
                return CG_GONE;
        r = act_read_freeze(dirfd);
        if (r == 1) {
                r = cg_write(dirfd, "cgroup.freeze", "0");
                return r == 0 ? ACT_THAWED : r;
        }
        return r < 0 && !cg_alive(dirfd) ? CG_GONE : r;
}

int act_populated(int dirfd) {
        static const char key[] = "populated ";
        char text[256];
        const char *p;
        ssize_t n;

        n = fd_read_at(dirfd, "cgroup.events", text, sizeof(text));
        if (n < 0)
                return (n == -ENOENT || n == -ENODEV) && !cg_alive(dirfd) ? 0 : (int)n;
        p = strstr(text, key);
        if (!p || (p != text && p[-1] != '\n') || (p[strlen(key)] != '0' && p[strlen(key)] != '1'))
                return -EBADMSG;
        return p[strlen(key)] == '1';
}

/* ---- the subtree ---- */

/* True: that is enough. */
typedef bool (*EachCgroup)(void *user, int dirfd);

static bool walk(int dirfd, unsigned depth, EachCgroup f, void *user) {
        _Alignas(struct dirent64) char entries[ENTRIES_BYTES]; /* readdir() would allocate */
        _cleanup_fd_ int fd = -1;
        ssize_t n;

        if (f(user, dirfd))
                return true;
        if (depth == DEPTH_MAX)
                return false;
        fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (fd >= 0 && (n = getdents64(fd, entries, sizeof(entries))) > 0)
                for (char *p = entries; p < entries + n;) {
                        const struct dirent64 *e = (const void *)p;
                        _cleanup_fd_ int child = -1;

                        p += e->d_reclen;
                        if (e->d_type != DT_DIR || STR_EQ(e->d_name, ".") || STR_EQ(e->d_name, ".."))
                                continue;
                        child = openat(fd, e->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        if (child >= 0 && walk(child, depth + 1, f, user))
                                return true;
                }
        return false;
}

/* Processes; of a threaded cgroup, whose cgroup.procs cannot be read, threads. */
static int each_task(int dirfd, CgPid f, void *user) {
        int r;

        r = cg_each_pid(dirfd, "cgroup.procs", f, user);
        return r == -EOPNOTSUPP ? cg_each_pid(dirfd, "cgroup.threads", f, user) : r;
}

typedef struct EachProcess {
        CgPid f;
        void *user;
        bool enough;
} EachProcess;

static bool one_process(void *user, pid_t pid) {
        EachProcess *e = user;

        e->enough = !e->f(e->user, pid);
        return !e->enough;
}

static bool processes_in(void *user, int dirfd) {
        EachProcess *e = user;

        (void)each_task(dirfd, one_process, e);
        return e->enough;
}

void act_each_process(int dirfd, CgPid f, void *user) {
        (void)walk(dirfd, 0, processes_in, &(EachProcess){ .f = f, .user = user });
}

/* ---- kill ---- */

typedef struct Killing {
        unsigned n; /* were there in this round */
        int error;
} Killing;

/* A thread's id reaches its process, too. Frozen, nobody leaves but by a SIGKILL, so a number is not given anew under our
 * hands unless others kill at the same time. */
static bool kill_one(void *user, pid_t pid) {
        Killing *k = user;

        if (pid == 1) /* nothing that anybody calls a container */
                return true;
        if (kill(pid, SIGKILL) == 0 || errno == ESRCH)
                k->n++;
        else
                k->error = -errno;
        return true;
}

static bool kill_in(void *user, int dirfd) {
        Killing *k = user;
        int r;

        r = each_task(dirfd, kill_one, k);
        if (r < 0 && r != -ENODEV && r != -ENOENT)
                k->error = r;
        return false;
}

static int kill_by_hand(int dirfd) {
        const struct timespec breath = { .tv_nsec = 1000000 };
        int frozen;
        Killing k;

        /* The root of the tree has neither file: by hand, that would be everybody. */
        frozen = act_read_freeze(dirfd);
        if (frozen < 0)
                return frozen == -ENOENT ? -EOPNOTSUPP : frozen;
        if (!frozen)
                (void)fd_write_at(dirfd, "cgroup.freeze", "1");
        for (unsigned i = 0; i < KILL_ROUNDS; i++) {
                k = (Killing){};
                (void)walk(dirfd, 0, kill_in, &k);
                if (k.n == 0)
                        break;
                (void)nanosleep(&breath, NULL); /* they need a CPU to die on */
        }
        if (!frozen)
                (void)fd_write_at(dirfd, "cgroup.freeze", "0");
        return k.error;
}

int act_kill(int dirfd, uint64_t id) {
        int r;

        if (!is_cgroup(dirfd, id))
                return CG_GONE;
        r = cg_write(dirfd, "cgroup.kill", "1");
        return r == -ENOENT || r == -EOPNOTSUPP ? kill_by_hand(dirfd) : r;
}

/* ---- stop ---- */

typedef struct Search {
        pid_t wanted; /* 0: the first one there is */
        pid_t found; /* 0: none */
} Search;

static bool match(void *user, pid_t pid) {
        Search *s = user;

        if (s->wanted == 0 || s->wanted == pid)
                s->found = pid;
        return s->found == 0;
}

static bool search_in(void *user, int dirfd) {
        Search *s = user;

        (void)cg_each_pid(dirfd, "cgroup.procs", match, s);
        return s->found != 0;
}

static pid_t search(int dirfd, pid_t wanted) {
        Search s = { .wanted = wanted };

        (void)walk(dirfd, 0, search_in, &s);
        return s.found;
}

pid_t act_find_main(int dirfd, pid_t main_pid) {
        return (main_pid > 0 ? search(dirfd, main_pid) : 0) ?: search(dirfd, 0);
}

/* -ESRCH: it is not in there, or not any more. */
static int signal_member(int dirfd, pid_t pid, int signal) {
        _cleanup_fd_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

        /* EINVAL: no process has that number, but maybe a thread. */
        if (fd < 0)
                return errno == EINVAL ? -ESRCH : -errno;
        if (search(dirfd, pid) != pid)
                return -ESRCH;
        return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}

int act_stop(int dirfd, uint64_t id, pid_t main_pid, int signal) {
        int r = -ESRCH;

        if (!is_cgroup(dirfd, id))
                return CG_GONE;
        if (main_pid > 0)
                r = signal_member(dirfd, main_pid, signal);
        /* Each turn's process may end before it is signalled. */
        for (unsigned i = 0; r == -ESRCH && i < STOP_TRIES; i++) {
                pid_t pid = search(dirfd, 0);

                if (pid == 0)
                        return cg_alive(dirfd) ? -ESRCH : CG_GONE;
                r = signal_member(dirfd, pid, signal);
        }
        return r;
}
