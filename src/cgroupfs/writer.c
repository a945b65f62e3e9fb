/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard's half of the writer, which never blocks; the helper's, which may,
 * is writer-helper.c. They meet at a SOCK_SEQPACKET pair.
 *
 * This half schedules. Requests of one cgroup form a lane, of which
 * only the head is ever with the helper: that keeps their order. Lanes whose
 * head is ready wait in one of two queues, quick or may-block, each with a
 * window of its own, so that eight blocked writes leave the quick ones their
 * way. What is with the helper therefore never waits there: it writes quick
 * requests on the spot and has a child to spare for each blocking one.
 *
 * Deadlines are kept twice. The helper kills a child at its deadline, with its
 * own clock. The guard lets requests that still wait expire, and kills the
 * helper when an answer is WRITER_GRACE_USEC late: that is a helper that is
 * itself stuck in a write nobody thought could block.
 *
 * A new helper starts only after the kernel said that the old one is dead: by
 * then its children were sent their parent-death SIGKILL, and a killed process
 * starts no other write, so an old value cannot land after a newer one. (An
 * old helper that does not die within CORPSE_PATIENCE is stuck in the kernel,
 * past the point where the value was set.)
 *
 * The fd that callers poll is an epoll instance around the current socket: it
 * stays the same when the helper is replaced.
 */

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "fdio.h"
#include "map.h"
#include "num.h"
#include "writer-internal.h"

#define QUICK_WINDOW 32
#define FLIGHT_MAX (QUICK_WINDOW + WRITER_CHILDS_MAX)
#define ANSWERS_PER_DISPATCH 256
#define RESTART_INTERVAL USEC_PER_SEC
#define CORPSE_INTERVAL (5 * USEC_PER_MSEC)
#define CORPSE_PATIENCE (5 * USEC_PER_SEC)

typedef struct Lane Lane;

typedef struct Request {
        struct Request *next; /* in its lane */
        struct Request *all_prev, *all_next; /* of the writer, in order of submission */
        Lane *lane;
        uint64_t seq;
        uint64_t cookie;
        WriterDone done;
        void *user;
        usec_t deadline;
        int dirfd; /* our copy; -1 once it is with the helper */
        bool may_block;
        bool in_flight;
        size_t n;
        WriterWrite writes[];
} Request;

struct Lane {
        uint64_t cgroup_id;
        Request *head, *tail;
        Lane *next_ready;
        bool ready; /* in one of the queues */
};

typedef struct ReadyQueue {
        Lane *head, *tail;
        size_t n_flight, window;
} ReadyQueue;

struct Writer {
        Child child;
        ChildGrave grave;
        int epoll_fd;
        bool broken; /* the helper is dead, or is to die */
        bool closing; /* in writer_free() */
        usec_t next_start; /* not before */
        usec_t corpse_since; /* 0: no old helper to wait for */
        usec_t now; /* of the last dispatch */
        unsigned n_restarts;

        Map lanes; /* by cgroup id */
        ReadyQueue quick, blocking;
        Request *first, *last; /* all */
        Request *flight[FLIGHT_MAX];
        size_t n_pending;
        uint64_t seq;
};

static int start_helper(Writer *w) {
        static const ChildOptions options = { .name = "bailiff-writer", .lock_memory = true };
        struct epoll_event ev = { .events = EPOLLIN };
        int r;

        r = child_start(&w->child, &options, writer_helper_main, NULL);
        if (r < 0)
                return r;
        if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->child.fd, &ev) < 0) {
                r = -errno;
                child_kill(&w->child, &w->grave);
                return r;
        }
        return 0;
}

int writer_new(Writer **ret) {
        _cleanup_(cleanup_writer_free) Writer *w = NULL;
        int r;

        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->child = CHILD_INIT;
        w->quick.window = QUICK_WINDOW;
        w->blocking.window = WRITER_CHILDS_MAX;
        w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (w->epoll_fd < 0)
                return -errno;
        r = start_helper(w);
        if (r < 0)
                return r;
        *ret = steal_ptr(w);
        return 0;
}

static ReadyQueue *queue_of(Writer *w, const Request *q) { return q->may_block ? &w->blocking : &w->quick; }

static void make_ready(Writer *w, Lane *l) {
        ReadyQueue *rq;

        if (l->ready || !l->head || l->head->in_flight)
                return;
        rq = queue_of(w, l->head);
        l->ready = true;
        l->next_ready = NULL;
        if (rq->tail)
                rq->tail->next_ready = l;
        else
                rq->head = l;
        rq->tail = l;
}

static void unready(Writer *w, Lane *l) {
        ReadyQueue *rq;
        Lane **p, *prev = NULL;

        if (!l->ready)
                return;
        rq = queue_of(w, l->head);
        for (p = &rq->head; *p != l; p = &(*p)->next_ready)
                prev = *p;
        *p = l->next_ready;
        if (rq->tail == l)
                rq->tail = prev;
        l->ready = false;
}

/* Takes the request out of everything; its lane goes on with the next. */
static void detach(Writer *w, Request *q) {
        Lane *l = q->lane;
        Request **p, *prev = NULL;

        if (l->head == q)
                unready(w, l);
        for (p = &l->head; *p != q; p = &(*p)->next)
                prev = *p;
        *p = q->next;
        if (l->tail == q)
                l->tail = prev;
        if (q->in_flight) {
                queue_of(w, q)->n_flight--;
                for (size_t i = 0; i < FLIGHT_MAX; i++)
                        if (w->flight[i] == q)
                                w->flight[i] = NULL;
        }
        if (q->all_prev)
                q->all_prev->all_next = q->all_next;
        else
                w->first = q->all_next;
        if (q->all_next)
                q->all_next->all_prev = q->all_prev;
        else
                w->last = q->all_prev;
        w->n_pending--;
        if (l->head)
                make_ready(w, l);
        else {
                (void)map_remove_u64(&w->lanes, l->cgroup_id);
                free(l);
        }
}

static Request *request_free(Request *q) {
        if (!q)
                return NULL;
        (void)fd_close(q->dirfd);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(Request *, request_free)

/* The callback may submit, so the request is out of all lists before. */
static void complete(Writer *w, Request *q) {
        detach(w, q);
        q->done(q->user, q->cookie, q->writes, q->n);
        request_free(q);
}

static void complete_all_with(Writer *w, Request *q, int first, int rest) {
        for (size_t i = 0; i < q->n; i++)
                q->writes[i].result = i == 0 ? first : rest;
        complete(w, q);
}

/* Everything that is pending now; what callbacks submit meanwhile stays. */
static void fail_pending(Writer *w, int result) {
        uint64_t until = w->seq;

        while (w->first && w->first->seq <= until)
                complete_all_with(w, w->first, result, result);
}

Writer *writer_free(Writer *w) {
        if (!w)
                return NULL;
        w->closing = true;
        child_kill(&w->child, &w->grave);
        fail_pending(w, -ECANCELED);
        child_grave_wait(&w->grave, USEC_PER_SEC);
        map_deinit(&w->lanes);
        fd_close(w->epoll_fd);
        free(w);
        return NULL;
}

int writer_get_fd(Writer *w) { return w->epoll_fd; }

size_t writer_n_pending(const Writer *w) { return w->n_pending; }

pid_t writer_pid(const Writer *w) { return w->child.pid; }

unsigned writer_n_restarts(const Writer *w) { return w->n_restarts; }

/* 0, or negative errno of sendmsg(). */
static int send_request(Writer *w, const Request *q) {
        AskMessage m = {
                .seq = q->seq,
                .cgroup_id = q->lane->cgroup_id,
                .deadline = q->deadline,
                .may_block = q->may_block,
                .n = (uint32_t)q->n,
        };
        struct iovec iov[] = {
                { .iov_base = &m, .iov_len = offsetof(AskMessage, writes) },
                { .iov_base = (void *)(uintptr_t)q->writes, .iov_len = q->n * sizeof(WriterWrite) },
        };
        union {
                char space[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = {};
        struct msghdr h = {
                .msg_iov = iov,
                .msg_iovlen = 2,
                .msg_control = &control,
                .msg_controllen = sizeof(control.space),
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &q->dirfd, sizeof(int));
        if (sendmsg(w->child.fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return -errno;
        return 0;
}

static void pump_queue(Writer *w, ReadyQueue *rq) {
        while (rq->head && rq->n_flight < rq->window) {
                Lane *l = rq->head;
                Request *q = l->head;
                size_t i = 0;
                int r;

                r = send_request(w, q);
                /* A full socket means that answers are due: they bring us back. */
                if (r == -EAGAIN && w->quick.n_flight + w->blocking.n_flight > 0)
                        return;
                if (r < 0) {
                        w->broken = true;
                        return;
                }
                unready(w, l);
                q->dirfd = fd_close(q->dirfd);
                q->in_flight = true;
                rq->n_flight++;
                while (w->flight[i])
                        i++;
                w->flight[i] = q;
        }
}

static void pump(Writer *w) {
        if (w->child.pid == 0 || w->broken)
                return;
        pump_queue(w, &w->quick);
        if (!w->broken)
                pump_queue(w, &w->blocking);
}

/* Names of kernel attributes, so no way out of the directory. */
static bool write_valid(const WriterWrite *x) {
        size_t len = strnlen(x->file, sizeof(x->file));

        if (len == 0 || len == sizeof(x->file) || x->file[0] == '.')
                return false;
        for (size_t i = 0; i < len; i++) {
                char c = x->file[i];

                if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_')
                        return false;
        }
        return strnlen(x->text, sizeof(x->text)) < sizeof(x->text);
}

static int enqueue(Writer *w, Request *q, uint64_t cgroup_id) {
        Lane *l = map_get_u64(&w->lanes, cgroup_id);

        if (!l) {
                int r;

                l = calloc(1, sizeof(*l));
                if (!l)
                        return -ENOMEM;
                l->cgroup_id = cgroup_id;
                r = map_put_u64(&w->lanes, cgroup_id, l);
                if (r < 0) {
                        free(l);
                        return r;
                }
        }
        q->lane = l;
        if (l->tail)
                l->tail->next = q;
        else
                l->head = q;
        l->tail = q;
        q->all_prev = w->last;
        if (w->last)
                w->last->all_next = q;
        else
                w->first = q;
        w->last = q;
        w->n_pending++;
        make_ready(w, l);
        return 0;
}

int writer_submit(Writer *w, int dirfd, uint64_t cgroup_id, const WriterWrite *writes, size_t n,
                  bool may_block, usec_t deadline, WriterDone done, void *user, uint64_t cookie) {
        _cleanup_(cleanup_request_free) Request *q = NULL;
        int r;

        if (n == 0 || n > WRITER_WRITES_MAX || dirfd < 0 || !done)
                return -EINVAL;
        for (size_t i = 0; i < n; i++)
                if (!write_valid(&writes[i]))
                        return -EINVAL;
        if (w->closing)
                return -ECANCELED;
        if (w->n_pending >= WRITER_PENDING_MAX)
                return -EAGAIN;
        q = calloc(1, sizeof(*q) + n * sizeof(WriterWrite));
        if (!q)
                return -ENOMEM;
        memcpy(q->writes, writes, n * sizeof(WriterWrite));
        q->n = n;
        q->may_block = may_block;
        q->deadline = deadline;
        q->done = done;
        q->user = user;
        q->cookie = cookie;
        q->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
        if (q->dirfd < 0)
                return -errno;
        q->seq = w->seq + 1;
        r = enqueue(w, q, cgroup_id);
        if (r < 0)
                return r;
        w->seq++;
        (void)steal_ptr(q);
        pump(w);
        return 0;
}

static Request *find_flight(const Writer *w, uint64_t seq) {
        for (size_t i = 0; i < FLIGHT_MAX; i++)
                if (w->flight[i] && w->flight[i]->seq == seq)
                        return w->flight[i];
        return NULL;
}

static void receive(Writer *w) {
        for (unsigned i = 0; i < ANSWERS_PER_DISPATCH; i++) {
                AnswerMessage m;
                Request *q;
                ssize_t n;

                n = recv(w->child.fd, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                q = n == (ssize_t)sizeof(m) ? find_flight(w, m.seq) : NULL;
                if (!q || q->n != m.n) {
                        w->broken = true; /* end of file, or nonsense */
                        return;
                }
                for (size_t k = 0; k < q->n; k++)
                        q->writes[k].result = MIN_OF(m.results[k], WRITER_SKIPPED);
                complete(w, q);
                /* A callback's own writer_submit() can find the helper dead. */
                if (w->broken)
                        return;
                pump(w);
        }
}

/*
 * Callbacks may submit but never detach, and only what was there at the start
 * matters now, so the successor taken before the callback stays in the list.
 */
static void expire(Writer *w, usec_t now) {
        uint64_t until = w->seq;
        Request *next;

        for (Request *q = w->first; q && q->seq <= until; q = next) {
                next = q->all_next;
                if (q->in_flight) {
                        if (num_add_sat(q->deadline, WRITER_GRACE_USEC) > now)
                                continue;
                        w->broken = true;
                } else if (q->deadline > now)
                        continue;
                complete_all_with(w, q, WRITER_TIMEOUT, WRITER_SKIPPED);
        }
}

static int restart(Writer *w, usec_t now) {
        int r;

        if (child_grave_reap(&w->grave) > 0 &&
            (w->grave.n == CHILD_GRAVE_MAX || now < num_add_sat(w->corpse_since, CORPSE_PATIENCE)))
                return 0;
        if (now < w->next_start)
                return 0;
        w->next_start = now + RESTART_INTERVAL;
        r = start_helper(w);
        if (r < 0)
                return r;
        w->n_restarts++;
        return 0;
}

int writer_dispatch(Writer *w, usec_t now) {
        int r = 0;

        w->now = now;
        if (w->child.pid != 0 && !w->broken)
                receive(w);
        expire(w, now);
        if (w->broken) {
                w->broken = false;
                w->corpse_since = now;
                if (w->child.fd >= 0)
                        (void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->child.fd, NULL);
                child_kill(&w->child, &w->grave);
                fail_pending(w, -ECONNRESET);
        }
        if (w->child.pid == 0)
                r = restart(w, now);
        pump(w);
        return r;
}

usec_t writer_next_time(const Writer *w) {
        usec_t t = USEC_INFINITY;

        if (w->broken)
                return 0;
        if (w->child.pid == 0) {
                t = w->next_start;
                if (w->grave.n > 0)
                        t = MAX_OF(t, w->now + CORPSE_INTERVAL);
        }
        for (const Request *q = w->first; q; q = q->all_next)
                t = MIN_OF(t, q->in_flight ? num_add_sat(q->deadline, WRITER_GRACE_USEC) : q->deadline);
        return t;
}
