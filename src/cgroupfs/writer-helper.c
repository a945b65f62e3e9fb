/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The writer's helper: writes quick requests on the spot and gives each one
 * that may block to a child of its own. A child notes its progress in shared
 * memory, so that what it got done is known even when it is killed at its
 * deadline. Children are watched through pidfds; a child that does not die of
 * SIGKILL sleeps uninterruptibly in the kernel, past the point where the value
 * was set: its request is answered without it, and its slot stays taken.
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "fdio.h"
#include "num.h"
#include "writer-internal.h"

/* One more than the guard ever asks for at once, and as many that were killed and do not die. */
#define SLOTS (2 * WRITER_CHILDS_MAX)

/* Shared with a child: what it got done is known even when it is killed. */
typedef struct Progress {
        uint32_t n_done;
        int32_t results[WRITER_WRITES_MAX];
} Progress;

typedef struct Slot {
        pid_t pid; /* 0: free */
        int pidfd; /* -1 where there is none: then waitpid() is polled */
        uint64_t seq; /* 0: answered, only waiting for it to die */
        uint32_t n;
        usec_t deadline;
        bool killed;
        Progress *progress;
} Slot;

typedef struct Helper {
        int fd;
        Slot slots[SLOTS];
} Helper;

/* One number of a kernel file; "max" is UINT64_MAX. */
static int read_number(int dirfd, const char *file, uint64_t *ret) {
        char text[32], *end;
        ssize_t n = fd_read_at(dirfd, file, text, sizeof(text));

        if (n < 0)
                return (int)n;
        end = strchr(text, '\n');
        if (end)
                *end = '\0';
        if (STR_EQ(text, "max")) {
                *ret = UINT64_MAX;
                return 0;
        }
        return num_parse_u64(text, ret);
}

/* Only a write that lowers memory.max can come down on what is in use. */
static int check_headroom(int dirfd, const char *text) {
        uint64_t used, value, now = UINT64_MAX;
        int r;

        if (STR_EQ(text, "max"))
                return 0;
        r = num_parse_u64(text, &value);
        if (r < 0)
                return r;
        r = read_number(dirfd, "memory.current", &used);
        if (r < 0)
                return r;
        if (read_number(dirfd, "memory.max", &now) == 0 && value >= now)
                return 0;
        return used > value - value / 64 ? WRITER_ABOVE : 0;
}

/*
 * ENOENT is a file of a controller that is not enabled or a cgroup that went
 * away, ENODEV is that too or a device that io.max does not know. cgroup.procs
 * is there as long as the cgroup is.
 */
static int classify(int dirfd, int r) {
        struct stat st;

        if (r != -ENOENT && r != -ENODEV)
                return r;
        if (fstatat(dirfd, "cgroup.procs", &st, AT_SYMLINK_NOFOLLOW) < 0 &&
            (errno == ENOENT || errno == ENODEV))
                return WRITER_GONE;
        return r;
}

static int do_write(int dirfd, uint64_t cgroup_id, usec_t deadline, const WriterWrite *x) {
        struct stat st;
        int r = 0;

        if (clock_monotonic() >= deadline)
                return WRITER_TIMEOUT;
        if (fstat(dirfd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode) || st.st_ino != cgroup_id)
                return WRITER_GONE;
        if (x->headroom_guard)
                r = check_headroom(dirfd, x->text);
        if (r == 0)
                r = fd_write_at(dirfd, x->file, x->text);
        return classify(dirfd, r);
}

static void do_writes(const AskMessage *m, int dirfd, Progress *p) {
        bool stop = false;

        for (uint32_t i = 0; i < m->n; i++) {
                int r = WRITER_SKIPPED;

                if (!stop) {
                        r = do_write(dirfd, m->cgroup_id, m->deadline, &m->writes[i]);
                        stop = r == WRITER_GONE || r == WRITER_TIMEOUT;
                }
                p->results[i] = r;
                __atomic_store_n(&p->n_done, i + 1, __ATOMIC_RELEASE);
        }
}

static void answer(Helper *h, uint64_t seq, uint32_t n, const Progress *p) {
        AnswerMessage m = { .seq = seq, .n = n };

        memcpy(m.results, p->results, n * sizeof(m.results[0]));
        /* The guard has few requests with us, so this fits; without the guard we are dead already. */
        while (send(h->fd, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno == EINTR)
                ;
}

static void answer_all(Helper *h, const AskMessage *m, int result) {
        Progress p;

        for (uint32_t i = 0; i < m->n; i++)
                p.results[i] = result;
        answer(h, m->seq, m->n, &p);
}

/* The child is dead, or is past waiting for. */
static void answer_slot(Helper *h, Slot *s) {
        Progress p = *s->progress;
        uint32_t done = __atomic_load_n(&s->progress->n_done, __ATOMIC_ACQUIRE);

        for (uint32_t i = done; i < s->n; i++)
                p.results[i] = i > done ? WRITER_SKIPPED : s->killed ? WRITER_TIMEOUT : -EIO;
        answer(h, s->seq, s->n, &p);
        s->seq = 0;
}

static void start_child(Helper *h, const AskMessage *m, int dirfd) {
        Slot *s = NULL;
        pid_t pid;
        int r;

        for (size_t i = 0; i < SLOTS && !s; i++)
                if (h->slots[i].pid == 0)
                        s = &h->slots[i];
        if (!s) {
                answer_all(h, m, -EBUSY);
                return;
        }
        s->progress->n_done = 0;
        r = child_fork(&pid);
        if (r < 0) {
                answer_all(h, m, r);
                return;
        }
        if (pid == 0) {
                /* Else the guard would not see the helper's end while we block. */
                (void)close(h->fd);
                do_writes(m, dirfd, s->progress);
                _exit(0);
        }
        s->pid = pid;
        s->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        s->seq = m->seq;
        s->n = m->n;
        s->deadline = m->deadline;
        s->killed = false;
}

/* Time until something must be done without input, in ms for poll(). */
static int tend_children(Helper *h) {
        usec_t now = clock_monotonic(), next = USEC_INFINITY;

        for (size_t i = 0; i < SLOTS; i++) {
                Slot *s = &h->slots[i];

                if (s->pid == 0)
                        continue;
                if (waitpid(s->pid, NULL, WNOHANG) != 0) {
                        if (s->seq != 0)
                                answer_slot(h, s);
                        s->pidfd = fd_close(s->pidfd);
                        s->pid = 0;
                        continue;
                }
                if (!s->killed && now >= s->deadline) {
                        (void)kill(s->pid, SIGKILL);
                        s->killed = true;
                }
                /* It may be asleep uninterruptibly: after half the guard's grace
                 * the answer goes out without it. */
                if (s->killed && s->seq != 0 && now >= num_add_sat(s->deadline, WRITER_GRACE_USEC / 2))
                        answer_slot(h, s);
                if (!s->killed)
                        next = MIN_OF(next, s->deadline);
                else if (s->seq != 0)
                        next = MIN_OF(next, num_add_sat(s->deadline, WRITER_GRACE_USEC / 2));
                if (s->pidfd < 0)
                        next = MIN_OF(next, now + 20 * USEC_PER_MSEC);
        }
        if (next == USEC_INFINITY)
                return -1;
        if (next <= now)
                return 0;
        return (int)MIN_OF((next - now + 999) / 1000, (usec_t)3600 * 1000);
}

/* False: the guard is gone, or is not the guard. */
static bool serve(Helper *h) {
        _cleanup_fd_ int dirfd = -1;
        AskMessage m;
        struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
        union {
                char space[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        struct msghdr mh = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control.space),
        };
        Progress p = {};
        struct cmsghdr *c;
        ssize_t n;

        n = recvmsg(h->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN;
        c = CMSG_FIRSTHDR(&mh);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(&dirfd, CMSG_DATA(c), sizeof(int));
        if ((size_t)n < ASK_SIZE(1) || m.n == 0 || m.n > WRITER_WRITES_MAX || (size_t)n != ASK_SIZE(m.n))
                return false;
        if (dirfd < 0) /* dropped on the way: RLIMIT_NOFILE */
                answer_all(h, &m, -EMFILE);
        else if (m.may_block)
                start_child(h, &m, dirfd);
        else {
                do_writes(&m, dirfd, &p);
                dirfd = fd_close(dirfd); /* once answered, we hold nothing of the cgroup */
                answer(h, m.seq, m.n, &p);
        }
        return true;
}

int writer_helper_main(int fd, void *user _unused_) {
        Helper h = { .fd = fd };
        Progress *progress;

        progress = mmap(NULL, SLOTS * sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
        if (progress == MAP_FAILED)
                return EXIT_FAILURE;
        for (size_t i = 0; i < SLOTS; i++)
                h.slots[i] = (Slot){ .pidfd = -1, .progress = &progress[i] };
        for (;;) {
                struct pollfd fds[SLOTS + 1];
                int timeout = tend_children(&h);

                for (size_t i = 0; i < SLOTS; i++)
                        fds[i] = (struct pollfd){ .fd = h.slots[i].pidfd, .events = POLLIN };
                fds[SLOTS] = (struct pollfd){ .fd = fd, .events = POLLIN };
                if (poll(fds, SLOTS + 1, timeout) < 0 && errno != EINTR)
                        return EXIT_FAILURE;
                if (fds[SLOTS].revents && !serve(&h))
                        return EXIT_SUCCESS;
        }
}
