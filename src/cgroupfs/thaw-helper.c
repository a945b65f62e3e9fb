/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The helper's half: a table of pulses, a clock, a socket and an inotify queue; one thread, that does nothing but what is due.
 *
 * Beginning. The watch on cgroup.freeze is set first, then the file is read: 1 is somebody else's. Then it is written.
 * Our own write queues an event like anybody's, which is read away before the pulse counts as ours; from then on, until
 * it is over, we write nothing, so every event is somebody else. (Events that are alike are merged, so whoever writes between our reading the file
 * and our reading the event, which takes some microseconds, is not seen if he wrote 1, too. The same holds for the end.)
 *
 * Ending. cgroup.freeze has been open since the beginning: to thaw is one write, without a path, a new fd or memory. A write that fails
 * though the cgroup is there is tried again.
 *
 * What is known of a pulse is in memory that the guard sees (thaw-internal.h), and the inotify instance is the guard's, which we have
 * a copy of: a helper that is killed leaves both to the next one, the events that nobody read included.
 *
 * Deadlines come first in each turn, and a turn takes one message, so that no number of messages delays a thaw. Answers never block:
 * what does not fit waits in a queue, in which there is room for all that the guard's table allows.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cgfile.h"
#include "child.h"
#include "clock.h"
#include "fdio.h"
#include "num.h"
#include "thaw-internal.h"

#define RETRY_INTERVAL (20 * USEC_PER_MSEC)
#define RETRIES 100
#define ANSWERS_MAX (2 * THAW_MAX)

typedef struct Place {
        int fd; /* of cgroup.freeze; -1: free */
        uint64_t id;
        unsigned n_failed; /* writes */
} Place;

typedef struct Helper {
        int fd; /* -1: the guard is gone */
        int inotify_fd; /* -1: none */
        int watch_error;
        ThawShared *shared;
        Place places[THAW_MAX];
        ThawAnswer answers[ANSWERS_MAX]; /* a ring */
        size_t first, n_answers;
} Helper;

static PulseState get_state(const Pulse *p) { return __atomic_load_n(&p->state, __ATOMIC_ACQUIRE); }

static void set_state(Pulse *p, PulseState s) { __atomic_store_n(&p->state, s, __ATOMIC_RELEASE); }

/* ---- answers ---- */

static void end_all(Helper *h) {
        for (size_t i = 0; i < THAW_MAX; i++)
                if (h->places[i].fd >= 0)
                        h->shared->pulses[i].until = 0;
}

static void lose_guard(Helper *h) {
        h->fd = fd_close(h->fd);
        h->n_answers = 0;
        end_all(h);
}

static void flush_answers(Helper *h) {
        while (h->fd >= 0 && h->n_answers > 0) {
                const ThawAnswer *a = &h->answers[h->first];

                if (send(h->fd, a, sizeof(*a), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
                                lose_guard(h);
                        return;
                }
                h->first = (h->first + 1) % ANSWERS_MAX;
                h->n_answers--;
        }
}

static void answer(Helper *h, size_t place, uint64_t id, ThawNews news, int error) {
        if (h->fd < 0)
                return;
        /* A guard never has more with us than there is room for. */
        if (h->n_answers == ANSWERS_MAX) {
                lose_guard(h);
                return;
        }
        h->answers[(h->first + h->n_answers++) % ANSWERS_MAX] = (ThawAnswer){
                .place = (uint32_t)place,
                .news = news,
                .id = id,
                .error = error,
        };
        flush_answers(h);
}

/* ---- events ---- */

/* What somebody wrote until now; of a pulse that is BEGINNING it may have been us. */
void thaw_read_events(int inotify_fd, ThawShared *shared) {
        _Alignas(struct inotify_event) char buf[4096];
        ssize_t n;

        while (inotify_fd >= 0 && (n = read(inotify_fd, buf, sizeof(buf))) > 0)
                for (const char *p = buf; p < buf + n;) {
                        const struct inotify_event *e = (const void *)p;

                        p += sizeof(*e) + e->len;
                        if (!(e->mask & IN_MODIFY))
                                continue;
                        for (size_t i = 0; i < THAW_MAX; i++) {
                                Pulse *pulse = &shared->pulses[i];

                                if (get_state(pulse) == PULSE_OURS && pulse->wd == e->wd)
                                        set_state(pulse, PULSE_TAKEN);
                        }
                }
}

/* ---- cgroup.freeze ---- */

/* 0, 1, negative errno. */
static int read_freeze(int fd) {
        char c;
        ssize_t n = pread(fd, &c, 1, 0);

        return n < 0 ? -errno : n == 0 ? -EIO : c == '1';
}

static int write_freeze(int fd, char c) {
        ssize_t n = pwrite(fd, &c, 1, 0);

        return n < 0 ? -errno : n == 0 ? -EIO : 0;
}

static bool is_gone(int r) { return r == -ENODEV || r == -ENOENT; }

static int open_freeze(int dirfd, uint64_t id, int *ret) {
        struct stat st;
        int fd;

        if (fstat(dirfd, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode) || st.st_ino != id || !cg_alive(dirfd))
                return CG_GONE;
        fd = openat(dirfd, "cgroup.freeze", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return is_gone(-errno) && !cg_alive(dirfd) ? CG_GONE : -errno;
        *ret = fd;
        return 0;
}

static int add_watch(Helper *h, int fd) {
        char link[32];
        int wd;

        if (h->inotify_fd < 0)
                return h->watch_error;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        wd = inotify_add_watch(h->inotify_fd, link, IN_MODIFY);
        return wd < 0 ? -errno : wd;
}

/* ---- pulses ---- */

static void forget(Helper *h, size_t place) {
        Pulse *p = &h->shared->pulses[place];

        if (h->inotify_fd >= 0)
                (void)inotify_rm_watch(h->inotify_fd, p->wd);
        set_state(p, PULSE_NONE);
        h->places[place] = (Place){ .fd = fd_close(h->places[place].fd) };
}

static void finish(Helper *h, size_t place, ThawNews news, int error) {
        uint64_t id = h->places[place].id;

        if (news == THAW_FAILED)
                h->shared->pulses[place].id = 0;
        forget(h, place);
        answer(h, place, id, news, error);
}

static void name_pulse(Helper *h, Pulse *p, uint64_t id) {
        for (size_t i = 0; i < THAW_MAX; i++)
                if (h->shared->pulses[i].id == id)
                        h->shared->pulses[i].id = 0;
        p->id = id;
}

/* 0: frozen by us; *ret_news: why not; negative errno. */
static int freeze(Helper *h, Pulse *p, int fd, const ThawAsk *m, ThawNews *ret_news) {
        int r;

        r = add_watch(h, fd);
        if (r < 0)
                return r;
        p->wd = r;
        r = read_freeze(fd);
        if (r > 0) {
                *ret_news = THAW_FOREIGN;
                return 1;
        }
        name_pulse(h, p, m->id);
        p->until = num_add_sat(clock_monotonic(), MIN_OF(m->span, THAW_SPAN_MAX));
        set_state(p, PULSE_BEGINNING);
        if (r == 0)
                r = write_freeze(fd, '1');
        if (r < 0) {
                set_state(p, PULSE_NONE);
                if (!is_gone(r))
                        return r;
                *ret_news = THAW_GONE;
                return 1;
        }
        thaw_read_events(h->inotify_fd, h->shared);
        /* Somebody undid it at once: his word stands. */
        set_state(p, read_freeze(fd) == 0 ? PULSE_TAKEN : PULSE_OURS);
        return 0;
}

static void begin(Helper *h, const ThawAsk *m, int dirfd) {
        Pulse *p = &h->shared->pulses[m->place];
        _cleanup_fd_ int fd = -1;
        ThawNews news = THAW_GONE;
        int r;

        r = open_freeze(dirfd, m->id, &fd);
        if (r == 0) {
                p->wd = -1;
                r = freeze(h, p, fd, m, &news);
                if (r != 0 && p->wd >= 0)
                        (void)inotify_rm_watch(h->inotify_fd, p->wd);
        }
        if (r < 0)
                answer(h, m->place, m->id, THAW_FAILED, r);
        else if (r > 0)
                answer(h, m->place, m->id, news, 0);
        else {
                h->places[m->place] = (Place){ .fd = steal_fd(&fd), .id = m->id };
                answer(h, m->place, m->id, THAW_FROZEN, 0);
        }
}

/* An earlier helper's: it is over at once. */
static void adopt(Helper *h, const ThawAsk *m, int dirfd) {
        Place *place = &h->places[m->place];
        int r;

        r = open_freeze(dirfd, m->id, &place->fd);
        place->id = m->id;
        h->shared->pulses[m->place].until = 0;
        if (r > 0)
                finish(h, m->place, THAW_GONE, 0);
        else if (r < 0) /* the pulse is the guard's then */
                answer(h, m->place, m->id, THAW_FAILED, r);
}

static void thaw(Helper *h, size_t place) {
        Place *x = &h->places[place];
        Pulse *p = &h->shared->pulses[place];
        int r;

        r = write_freeze(x->fd, '0');
        if (r == 0)
                finish(h, place, THAW_OVER, 0);
        else if (is_gone(r))
                finish(h, place, THAW_GONE, 0);
        else if (++x->n_failed == RETRIES)
                finish(h, place, THAW_FAILED, r);
        else
                p->until = clock_monotonic() + RETRY_INTERVAL;
}

/* Ends what is due. */
static void tend_pulses(Helper *h) {
        thaw_read_events(h->inotify_fd, h->shared);
        for (size_t i = 0; i < THAW_MAX; i++) {
                Place *x = &h->places[i];
                Pulse *p = &h->shared->pulses[i];

                if (x->fd < 0)
                        continue;
                /* NONE: the guard could not wait for us and did it itself. */
                if (get_state(p) == PULSE_TAKEN || get_state(p) == PULSE_NONE)
                        finish(h, i, THAW_TAKEN, 0);
                else if (clock_monotonic() >= p->until)
                        thaw(h, i);
        }
}

static usec_t next_deadline(const Helper *h) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < THAW_MAX; i++)
                if (h->places[i].fd >= 0)
                        next = MIN_OF(next, h->shared->pulses[i].until);
        return next;
}

/* ---- the guard's words ---- */

/* False: that is not the guard. */
static bool obey(Helper *h, const ThawAsk *m, int *fd) {
        Place *place = m->place < THAW_MAX ? &h->places[m->place] : NULL;

        switch (m->kind) {
        case THAW_ASK_WATCH:
                h->inotify_fd = steal_fd(fd);
                h->watch_error = -EMFILE; /* dropped on the way: RLIMIT_NOFILE */
                return true;
        case THAW_ASK_BEGIN:
        case THAW_ASK_ADOPT:
                if (!place || place->fd >= 0)
                        return false;
                if (*fd < 0)
                        answer(h, m->place, m->id, THAW_FAILED, -EMFILE);
                else if (m->kind == THAW_ASK_BEGIN)
                        begin(h, m, *fd);
                else
                        adopt(h, m, *fd);
                return true;
        case THAW_ASK_END:
                if (!place)
                        return false;
                /* Its end may be on the way to the guard, and the place not even be taken any more. */
                if (place->fd >= 0 && place->id == m->id)
                        h->shared->pulses[m->place].until = 0;
                return true;
        case THAW_ASK_END_ALL:
                end_all(h);
                return true;
        default:
                return false;
        }
}

static void serve(Helper *h) {
        _cleanup_fd_ int fd = -1;
        ThawAsk m;
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
        struct cmsghdr *c;
        ssize_t n;

        n = recvmsg(h->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0) {
                if (errno != EINTR && errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS)
                        lose_guard(h);
                return;
        }
        c = CMSG_FIRSTHDR(&mh);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof(int)))
                memcpy(&fd, CMSG_DATA(c), sizeof(int));
        if (n != sizeof(m) || !obey(h, &m, &fd))
                lose_guard(h);
}

int thaw_helper_main(int fd, void *user) {
        Helper h = { .fd = fd, .inotify_fd = -1, .watch_error = -EBADF, .shared = user };

        for (size_t i = 0; i < THAW_MAX; i++)
                h.places[i].fd = -1;
        for (;;) {
                struct pollfd fds[2] = {};
                struct timespec ts = {};
                usec_t next, now;

                tend_pulses(&h);
                next = next_deadline(&h);
                if (h.fd < 0 && next == USEC_INFINITY)
                        return EXIT_SUCCESS;
                now = clock_monotonic();
                if (next != USEC_INFINITY && next > now) {
                        ts.tv_sec = (time_t)((next - now) / USEC_PER_SEC);
                        ts.tv_nsec = (long)((next - now) % USEC_PER_SEC) * 1000;
                }
                fds[0] = (struct pollfd){ .fd = h.fd, .events = POLLIN | (h.n_answers > 0 ? POLLOUT : 0) };
                fds[1] = (struct pollfd){ .fd = h.inotify_fd, .events = POLLIN };
                /* A failure (no memory) is as good as a wake-up: what is due is looked at. */
                (void)ppoll(fds, 2, next == USEC_INFINITY ? NULL : &ts, NULL);
                flush_answers(&h);
                if (h.fd >= 0 && fds[0].revents & (POLLIN | POLLHUP | POLLERR))
                        serve(&h);
        }
}
