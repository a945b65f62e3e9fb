/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard's half of the thaw helper; what freezes and thaws is thaw-helper.c. They meet at a SOCK_SEQPACKET pair.
 *
 * The guard has a table of pulses, of which each has a place, the same in the helper's table and in the memory that both see
 * (thaw-internal.h). A place is taken from thaw_begin() to the last answer, so the helper never has more than THAW_MAX, and never
 * more answers to give than it can keep.
 *
 * When a helper dies, the shared memory says which cgroups are frozen by us and not taken over. Those become orphans: their places stay
 * taken, and the next helper is handed their directory fds and thaws them; only then are their owners told, for what is on file of a
 * freeze must not go before the freeze does. Who wrote cgroup.freeze in
 * between is not overlooked: the inotify instance is ours, the helpers only have copies, so its queue outlives them.
 * Where no helper can be had for it any more (thaw_free(), none can be started, or it says that it cannot) we thaw ourselves.
 *
 * That memory is a file, for when guard and helper die together: thaw-past.c.
 *
 * A helper that is stuck (stopped by somebody, or in the kernel) is seen by a pulse that is not over a while after its time; it is
 * killed then. For that, deadlines are kept here, too, from the first dispatch after they began, since only dispatch knows the time.
 */

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cgfile.h"
#include "child.h"
#include "fdio.h"
#include "num.h"
#include "thaw-internal.h"

#define RESTART_INTERVAL USEC_PER_SEC
#define GRACE (3 * USEC_PER_SEC) /* longer than the helper tries */
#define DEATH_PATIENCE (10 * USEC_PER_MSEC)
#define END_PATIENCE (100 * USEC_PER_MSEC)
#define ANSWERS_PER_DISPATCH (4 * THAW_MAX)

typedef enum EntryState { ENTRY_FREE, ENTRY_ASKED, ENTRY_FROZEN, ENTRY_ORPHAN } EntryState;

typedef struct Entry {
        EntryState state;
        uint64_t id;
        int dirfd;
        usec_t span;
        usec_t overdue; /* 0: to be set by the next dispatch */
} Entry;

struct Thaw {
        ThawDone done;
        void *user;
        Child child;
        ChildGrave grave;
        int epoll_fd, inotify_fd;
        bool broken; /* the helper is dead, or is to die */
        usec_t next_start; /* not before */
        ThawShared *shared;
        Entry entries[THAW_MAX];
};

/* ---- sending ---- */

/* 0, or negative errno of sendmsg(). fd may be -1. */
static int send_ask(Thaw *t, const ThawAsk *m, int fd) {
        struct iovec iov = { .iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m) };
        union {
                char space[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (t->child.pid == 0 || t->broken)
                return -EAGAIN;
        if (fd >= 0) {
                struct cmsghdr *c;

                h.msg_control = &control;
                h.msg_controllen = sizeof(control.space);
                c = CMSG_FIRSTHDR(&h);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(c), &fd, sizeof(int));
        }
        if (sendmsg(t->child.fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                int r = -errno;

                if (r == -EPIPE || r == -ECONNRESET) {
                        t->broken = true;
                        r = -EAGAIN;
                }
                return r == -ENOBUFS ? -EAGAIN : r;
        }
        return 0;
}

static int start_helper(Thaw *t) {
        static const ChildOptions options = { .name = "bailiff-thaw",
                                              .lock_memory = true,
                                              .outlives_parent = true };
        struct epoll_event ev = { .events = EPOLLIN };
        int r;

        r = child_start(&t->child, &options, thaw_helper_main, t->shared);
        if (r < 0)
                return r;
        if (epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->child.fd, &ev) < 0)
                r = -errno;
        if (r == 0)
                r = send_ask(t, &(ThawAsk){ .kind = THAW_ASK_WATCH }, t->inotify_fd);
        for (uint32_t i = 0; i < THAW_MAX && r == 0; i++)
                if (t->entries[i].state == ENTRY_ORPHAN) {
                        r = send_ask(t,
                                     &(ThawAsk){ .kind = THAW_ASK_ADOPT, .place = i, .id = t->entries[i].id },
                                     t->entries[i].dirfd);
                        t->entries[i].overdue = 0;
                }
        if (r < 0)
                child_kill(&t->child, &t->grave);
        return r;
}

/* ---- places ---- */

static PulseState state_of(const Pulse *p) { return __atomic_load_n(&p->state, __ATOMIC_ACQUIRE); }

static bool is_frozen_by_us(const Pulse *p) {
        PulseState s = state_of(p);

        return s == PULSE_BEGINNING || s == PULSE_OURS;
}

/* Only of a place that no helper has to do with any more. */
static void forget_pulse(Thaw *t, Pulse *p, bool frozen) {
        if (state_of(p) != PULSE_NONE)
                (void)inotify_rm_watch(t->inotify_fd, p->wd);
        *p = (Pulse){ .id = frozen ? 0 : p->id };
}

/* What is to be told of it then; *ret: of FAILED. */
static ThawNews thaw_here(const Entry *e, const Pulse *p, int *ret) {
        int r;

        if (!is_frozen_by_us(p))
                return state_of(p) == PULSE_TAKEN ? THAW_TAKEN : THAW_OVER;
        r = fd_write_at(e->dirfd, "cgroup.freeze", "0");
        if (r == 0)
                return THAW_OVER;
        *ret = r;
        return cg_alive(e->dirfd) ? THAW_FAILED : THAW_GONE;
}

static void free_entry(Entry *e) {
        (void)fd_close(e->dirfd);
        *e = (Entry){ .dirfd = -1 };
}

static Entry *find(Thaw *t, uint64_t id) {
        for (size_t i = 0; i < THAW_MAX; i++)
                if (t->entries[i].state != ENTRY_FREE && t->entries[i].id == id)
                        return &t->entries[i];
        return NULL;
}

/* ---- life ---- */

int thaw_new(const char *dir, ThawDone done, void *user, Thaw **ret) {
        _cleanup_(cleanup_thaw_free) Thaw *t = NULL;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->done = done;
        t->user = user;
        t->child = CHILD_INIT;
        t->epoll_fd = t->inotify_fd = -1;
        for (size_t i = 0; i < THAW_MAX; i++)
                t->entries[i].dirfd = -1;
        r = thaw_shared_new(dir, &t->shared);
        if (r < 0)
                return r;
        t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll_fd < 0)
                return -errno;
        t->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (t->inotify_fd < 0)
                return -errno;
        r = start_helper(t);
        if (r < 0)
                return r;
        *ret = steal_ptr(t);
        return 0;
}

Thaw *thaw_free(Thaw *t) {
        if (!t)
                return NULL;
        /* It is not killed: it has something to do. */
        t->child.fd = fd_close(t->child.fd);
        if (t->child.pid != 0) {
                ChildGrave g = { .pids = { t->child.pid }, .n = 1 };

                child_grave_wait(&g, END_PATIENCE);
        }
        if (t->shared)
                thaw_read_events(t->inotify_fd, t->shared);
        for (size_t i = 0; i < THAW_MAX; i++)
                if (t->entries[i].state != ENTRY_FREE) {
                        Pulse *p = &t->shared->pulses[i];
                        int error;

                        forget_pulse(t, p, thaw_here(&t->entries[i], p, &error) == THAW_FAILED);
                        free_entry(&t->entries[i]);
                }
        child_grave_wait(&t->grave, 0);
        if (t->shared)
                (void)munmap(t->shared, sizeof(ThawShared));
        t->inotify_fd = fd_close(t->inotify_fd);
        t->epoll_fd = fd_close(t->epoll_fd);
        free(t);
        return NULL;
}

int thaw_get_fd(Thaw *t) { return t->epoll_fd; }

pid_t thaw_pid(const Thaw *t) { return t->child.pid; }

/* ---- asking ---- */

int thaw_begin(Thaw *t, int dirfd, uint64_t id, usec_t span) {
        Entry *e = NULL;
        int copy, r;

        if (dirfd < 0 || span > THAW_SPAN_MAX)
                return -EINVAL;
        e = find(t, id);
        if (e)
                return e->state == ENTRY_ORPHAN ? -EAGAIN : -EEXIST;
        for (size_t i = 0; i < THAW_MAX && !e; i++)
                if (t->entries[i].state == ENTRY_FREE)
                        e = &t->entries[i];
        if (!e)
                return -EBUSY;
        copy = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return -errno;
        r = send_ask(
                t,
                &(ThawAsk){
                        .kind = THAW_ASK_BEGIN, .place = (uint32_t)(e - t->entries), .id = id, .span = span },
                copy);
        if (r < 0) {
                (void)fd_close(copy);
                return r;
        }
        *e = (Entry){ .state = ENTRY_ASKED, .id = id, .dirfd = copy, .span = span };
        return 0;
}

int thaw_end(Thaw *t, uint64_t id) {
        const Entry *e = find(t, id);

        if (!e || e->state == ENTRY_ORPHAN)
                return 0;
        return send_ask(t, &(ThawAsk){ .kind = THAW_ASK_END, .place = (uint32_t)(e - t->entries), .id = id },
                        -1);
}

int thaw_end_all(Thaw *t) { return send_ask(t, &(ThawAsk){ .kind = THAW_ASK_END_ALL }, -1); }

/* ---- answers ---- */

static bool is_expected(const Entry *e, const ThawAnswer *a) {
        switch (e->state) {
        case ENTRY_FREE:
                return false;
        case ENTRY_ASKED:
                return a->news == THAW_FROZEN || a->news == THAW_FOREIGN || a->news == THAW_GONE ||
                       a->news == THAW_FAILED;
        case ENTRY_FROZEN:
        case ENTRY_ORPHAN:
                return a->news == THAW_OVER || a->news == THAW_TAKEN || a->news == THAW_GONE ||
                       a->news == THAW_FAILED;
        }
        return false;
}

static void take_answer(Thaw *t, const ThawAnswer *a, usec_t now) {
        Entry *e = a->place < THAW_MAX ? &t->entries[a->place] : NULL;
        ThawNews news = (ThawNews)a->news;
        int error = a->error;

        if (!e || e->id != a->id || !is_expected(e, a)) {
                t->broken = true;
                return;
        }
        if (news == THAW_FROZEN) {
                e->state = ENTRY_FROZEN;
                e->overdue = now + e->span + GRACE;
        } else {
                Pulse *p = &t->shared->pulses[a->place];

                /* It cannot even begin to; NONE: it has tried for long enough. */
                if (e->state == ENTRY_ORPHAN && news == THAW_FAILED && state_of(p) != PULSE_NONE) {
                        news = thaw_here(e, p, &error);
                        forget_pulse(t, p, news == THAW_FAILED);
                }
                free_entry(e);
        }
        t->done(t->user, a->id, news, news == THAW_FAILED ? error : 0);
}

static void receive(Thaw *t, usec_t now) {
        for (unsigned i = 0; i < ANSWERS_PER_DISPATCH && !t->broken; i++) {
                ThawAnswer a;
                ssize_t n;

                n = recv(t->child.fd, &a, sizeof(a), MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n == (ssize_t)sizeof(a))
                        take_answer(t, &a, now);
                else
                        t->broken = true; /* end of file, or nonsense */
        }
}

static void watch_deadlines(Thaw *t, usec_t now) {
        for (size_t i = 0; i < THAW_MAX; i++) {
                Entry *e = &t->entries[i];

                if (e->state == ENTRY_FREE)
                        continue;
                if (e->overdue == 0)
                        e->overdue = now + e->span + GRACE;
                else if (now >= e->overdue)
                        t->broken = true;
        }
}

/* ---- a helper's end ---- */

/* What is still to be told of a pulse whose helper is dead. Frozen: its end comes later. */
static ThawNews last_news(const Entry *e, const Pulse *p) {
        if (is_frozen_by_us(p))
                return THAW_FROZEN;
        if (e->state == ENTRY_ASKED)
                return THAW_FAILED;
        return state_of(p) == PULSE_TAKEN ? THAW_TAKEN : THAW_OVER;
}

/* Callbacks come last, and while there is no helper they cannot begin anything. */
static void bury_helper(Thaw *t) {
        bool told[THAW_MAX] = {};
        ThawNews news[THAW_MAX];
        uint64_t ids[THAW_MAX];

        if (t->child.fd >= 0)
                (void)epoll_ctl(t->epoll_fd, EPOLL_CTL_DEL, t->child.fd, NULL);
        child_kill(&t->child, &t->grave);
        /* What it is doing at this moment is done before we look at what it did. */
        child_grave_wait(&t->grave, DEATH_PATIENCE);
        t->broken = false;
        for (size_t i = 0; i < THAW_MAX; i++) {
                Pulse *p = &t->shared->pulses[i];
                Entry *e = &t->entries[i];

                if (e->state == ENTRY_FREE)
                        continue;
                news[i] = last_news(e, p);
                told[i] = news[i] != THAW_FROZEN || e->state == ENTRY_ASKED;
                ids[i] = e->id;
                if (news[i] == THAW_FROZEN) {
                        e->state = ENTRY_ORPHAN;
                        e->span = 0;
                        e->overdue = USEC_INFINITY; /* from when it is adopted */
                } else {
                        forget_pulse(t, p, false);
                        free_entry(e);
                }
        }
        for (size_t i = 0; i < THAW_MAX; i++)
                if (told[i])
                        t->done(t->user, ids[i], news[i], news[i] == THAW_FAILED ? -ECONNRESET : 0);
}

/* There is no helper to be had. Those that cannot be thawed wait for the next try. */
static void thaw_orphans(Thaw *t) {
        thaw_read_events(t->inotify_fd, t->shared);
        for (size_t i = 0; i < THAW_MAX; i++) {
                Pulse *p = &t->shared->pulses[i];
                Entry *e = &t->entries[i];
                uint64_t id = e->id;
                ThawNews news;
                int error;

                if (e->state != ENTRY_ORPHAN || (news = thaw_here(e, p, &error)) == THAW_FAILED)
                        continue;
                forget_pulse(t, p, false);
                free_entry(e);
                t->done(t->user, id, news, 0);
        }
}

int thaw_dispatch(Thaw *t, usec_t now) {
        int r = 0;

        if (t->child.pid != 0) {
                receive(t, now);
                watch_deadlines(t, now);
        }
        if (t->broken) {
                bury_helper(t);
                /* One that is not dead yet may be about to freeze. */
                if (t->grave.n > 0)
                        t->next_start = now + RESTART_INTERVAL;
        }
        if (t->child.pid == 0 && now >= t->next_start) {
                t->next_start = now + RESTART_INTERVAL;
                r = child_grave_reap(&t->grave) < CHILD_GRAVE_MAX ? start_helper(t) : -EAGAIN;
                if (t->child.pid == 0)
                        thaw_orphans(t);
        }
        return r;
}

usec_t thaw_next_time(const Thaw *t) {
        usec_t next = USEC_INFINITY;

        if (t->broken)
                return 0;
        if (t->child.pid == 0)
                return t->next_start;
        for (size_t i = 0; i < THAW_MAX; i++)
                if (t->entries[i].state != ENTRY_FREE)
                        next = MIN_OF(next, t->entries[i].overdue);
        return next;
}
