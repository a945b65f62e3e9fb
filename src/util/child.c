/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The steps between fork() and a helper's own code, in the order that leaves
 * no hole:
 *
 *  1. All signals are blocked around fork(), so that no handler of the parent
 *     runs in the helper; they are unblocked there only once every disposition
 *     is the default.
 *  2. PR_SET_PDEATHSIG, then getppid(): a parent that died before the prctl()
 *     would never send the signal, and then it is not our parent any more.
 *     (Set again after capabilities were given up: a change of credentials may
 *     clear it.) One that outlives its parent has neither; it sees end of file.
 *  3. The socket moves to fd 3, 0 and 1 become /dev/null and the kernel closes
 *     everything above in one call. A helper that kept a copy of the parent's
 *     inotify, epoll or D-Bus socket would keep it alive after the parent
 *     closed it, and one that kept the other end of its own socket pair would
 *     never see end of file.
 *  4. Capabilities: permitted = effective = what is to be kept, inheritable
 *     and ambient empty; no_new_privs sees to it that execve() cannot bring
 *     any back. Without CAP_DAC_OVERRIDE, root is just the owner of its files.
 *
 * OOMScoreAdjust, cgroup, nice level and I/O class are inherited on purpose.
 */

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "fdio.h"

#define CHILD_FD 3

static int follow_parent(pid_t parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return -errno;
        return getppid() == parent ? 0 : -ESRCH;
}

static void reset_signals(bool ignore) {
        struct sigaction sa = { .sa_handler = ignore ? SIG_IGN : SIG_DFL };
        sigset_t none;

        /* Not all numbers may be changed; those cannot be handled either. */
        for (int s = 1; s < NSIG; s++)
                (void)sigaction(s, &sa, NULL);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Leaves fds 0, 1, 2 and CHILD_FD. */
static int keep_only(int fd) {
        int high, null;

        /* Out of the way first: fd itself may be one of 0..3. */
        high = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FD + 1);
        if (high < 0)
                return -errno;
        null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
        if (null < 0)
                return -errno;
        if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
                return -errno;
        if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null, STDERR_FILENO) < 0)
                return -errno;
        if (dup3(high, CHILD_FD, O_CLOEXEC) < 0)
                return -errno;
        if (close_range(CHILD_FD + 1, ~0U, 0) < 0)
                return -errno;
        return 0;
}

static int keep_capabilities(uint64_t keep) {
        struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct d[2] = {};

        if (syscall(SYS_capget, &h, d) < 0)
                return -errno;
        for (size_t i = 0; i < 2; i++) {
                d[i].permitted &= (uint32_t)(keep >> (32 * i));
                d[i].effective = d[i].permitted;
                d[i].inheritable = 0;
        }
        if (syscall(SYS_capset, &h, d) < 0)
                return -errno;
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        return 0;
}

static int become_helper(int fd, pid_t parent, const ChildOptions *o) {
        int r;

        if (!o->outlives_parent) {
                r = follow_parent(parent);
                if (r < 0)
                        return r;
        }
        reset_signals(o->outlives_parent);
        (void)prctl(PR_SET_NAME, o->name);
        (void)setsid();
        if (chdir("/") < 0)
                return -errno;
        r = keep_only(fd);
        if (r < 0)
                return r;
        /* ON_FAULT: the parent's heap, which the helper never touches, is not copied for it. */
        if (o->lock_memory)
                (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        r = keep_capabilities(o->keep_capabilities);
        if (r < 0 || o->outlives_parent)
                return r;
        return follow_parent(parent);
}

static int fork_blocked(pid_t *ret, sigset_t *ret_old) {
        sigset_t all;
        pid_t pid;

        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, ret_old) < 0)
                return -errno;
        pid = fork();
        if (pid < 0) {
                int r = -errno;

                (void)sigprocmask(SIG_SETMASK, ret_old, NULL);
                return r;
        }
        if (pid > 0)
                (void)sigprocmask(SIG_SETMASK, ret_old, NULL);
        *ret = pid;
        return 0;
}

int child_start(Child *c, const ChildOptions *o, ChildMain main, void *user) {
        _cleanup_fd_ int ours = -1, theirs = -1;
        pid_t parent = getpid(), pid;
        sigset_t old;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = fork_blocked(&pid, &old);
        if (r < 0)
                return r;
        if (pid == 0) {
                if (become_helper(theirs, parent, o) < 0)
                        _exit(EXIT_FAILURE);
                _exit(main(CHILD_FD, user));
        }
        *c = (Child){ .pid = pid, .fd = steal_fd(&ours) };
        return 0;
}

int child_fork(pid_t *ret) {
        pid_t parent = getpid(), pid;
        sigset_t old;
        int r;

        r = fork_blocked(&pid, &old);
        if (r < 0)
                return r;
        if (pid == 0) {
                if (follow_parent(parent) < 0)
                        _exit(EXIT_FAILURE);
                (void)sigprocmask(SIG_SETMASK, &old, NULL);
        }
        *ret = pid;
        return 0;
}

/* Nobody else waits for these pids, so a pid that is not reaped is still the
 * same process. ECHILD: the parent ignores SIGCHLD and the kernel reaped it. */
static bool reap(pid_t pid) {
        pid_t p;

        do
                p = waitpid(pid, NULL, WNOHANG);
        while (p < 0 && errno == EINTR);
        return p != 0;
}

void child_kill(Child *c, ChildGrave *g) {
        c->fd = fd_close(c->fd);
        if (c->pid <= 0)
                return;
        /* A pid that the kernel reaped by itself may be somebody else's by now. */
        if (!reap(c->pid)) {
                (void)kill(c->pid, SIGKILL);
                if (g->n < CHILD_GRAVE_MAX)
                        g->pids[g->n++] = c->pid;
        }
        c->pid = 0;
}

size_t child_grave_reap(ChildGrave *g) {
        size_t n = 0;

        for (size_t i = 0; i < g->n; i++)
                if (!reap(g->pids[i]))
                        g->pids[n++] = g->pids[i];
        g->n = n;
        return n;
}

void child_grave_wait(ChildGrave *g, usec_t timeout) {
        const struct timespec step = { .tv_nsec = 2000000 };

        for (usec_t t = 0; child_grave_reap(g) > 0 && t < timeout; t += 2 * USEC_PER_MSEC)
                (void)nanosleep(&step, NULL);
}
