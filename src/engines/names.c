/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard's end of the names helper (the helper's own is names-helper.c).
 *
 * One request is with the helper at a time, the others wait here: when it
 * hangs (a home on FUSE, a directory server that does not answer) or dies over
 * a file, there is no doubt about which container it was, and nobody else
 * loses anything but the time. Rootless users' requests wait behind root's,
 * and one whose files just cost us a helper gets no other chance for half a
 * minute, so that a tenant cannot keep everybody nameless.
 *
 * An answer comes in two instalments when its user has to be looked up: what
 * the files say first, then the same with the user. If the second does not
 * come in time (NSS), the first serves.
 *
 * Messages are seqpackets. Answers can be longer than a socket buffer allows
 * one packet to be, so they come in chunks, each saying where it belongs:
 * chunks follow in order, and anything else is a helper gone wrong.
 *
 * The fd that callers poll is an epoll instance around the current socket.
 */

#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "fdio.h"
#include "names-internal.h"
#include "names-wire.h"
#include "num.h"

#define RESTART_INTERVAL USEC_PER_SEC
#define CORPSE_INTERVAL (500 * USEC_PER_MSEC)
#define PENALTIES 32
#define PACKETS_PER_DISPATCH 64

typedef struct Request {
        struct Request *next;
        uint64_t seq;
        NamesQuery query;
        char *id, *cgroup;
        usec_t timeout;
        NamesDone done; /* NULL: cancelled while with the helper */
        void *user;
        uint64_t cookie;
} Request;

typedef struct Queue {
        Request *head, **tail;
} Queue;

typedef struct Penalty {
        uid_t uid;
        usec_t until;
} Penalty;

struct Names {
        NamesConfig config; /* of the helper; what it points to is ours */
        char *root;
        char **docker_roots;

        Child child;
        ChildGrave grave;
        int epoll_fd;
        bool broken;
        usec_t next_start;
        usec_t now; /* latest the caller told us */
        unsigned n_restarts;

        Queue roots, users; /* rootless: users */
        Request *current; /* with the helper */
        usec_t deadline; /* of current */
        Buf chunks;
        uint32_t total, instalment;
        ContainerInfo *partial; /* first instalment */
        size_t n_pending;
        uint64_t seq;
        Penalty penalties[PENALTIES];
};

static int start_helper(Names *n) {
        static const ChildOptions options = {
                .name = "bailiff-names",
                /* Homes and engines' directories are closed to others. */
                .keep_capabilities = UINT64_C(1) << CAP_DAC_READ_SEARCH,
        };
        struct epoll_event ev = { .events = EPOLLIN };
        int r;

        r = child_start(&n->child, &options, names_helper_main, &n->config);
        if (r < 0)
                return r;
        if (epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, n->child.fd, &ev) < 0) {
                r = -errno;
                child_kill(&n->child, &n->grave);
                return r;
        }
        return 0;
}

static int copy_config(Names *n, const NamesConfig *c) {
        size_t k = 0;

        n->root = strdup(c->root ? c->root : "");
        if (!n->root)
                return -ENOMEM;
        n->config.root = n->root;
        while (c->docker_roots && c->docker_roots[k])
                k++;
        n->docker_roots = calloc(k + 1, sizeof(char *));
        if (!n->docker_roots)
                return -ENOMEM;
        for (size_t i = 0; i < k; i++) {
                n->docker_roots[i] = strdup(c->docker_roots[i]);
                if (!n->docker_roots[i])
                        return -ENOMEM;
        }
        n->config.docker_roots = (const char *const *)n->docker_roots;
        return 0;
}

int names_new(const NamesConfig *c, Names **ret) {
        _cleanup_(cleanup_names_free) Names *n = NULL;
        int r;

        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->child = CHILD_INIT;
        n->roots.tail = &n->roots.head;
        n->users.tail = &n->users.head;
        n->epoll_fd = -1;
        r = copy_config(n, c);
        if (r < 0)
                return r;
        n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (n->epoll_fd < 0)
                return -errno;
        r = start_helper(n);
        if (r < 0)
                return r;
        *ret = steal_ptr(n);
        return 0;
}

static Request *request_free(Request *q) {
        if (!q)
                return NULL;
        free(q->id);
        free(q->cgroup);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(Request *, request_free)

static void queue_put(Queue *u, Request *q) {
        q->next = NULL;
        *u->tail = q;
        u->tail = &q->next;
}

static Request *queue_take(Queue *u) {
        Request *q = u->head;

        if (!q)
                return NULL;
        u->head = q->next;
        if (!u->head)
                u->tail = &u->head;
        return q;
}

static void queue_drop(Queue *u, uint64_t cookie, size_t *n_pending) {
        for (Request **p = &u->head; *p;) {
                Request *q = *p;

                if (q->cookie != cookie) {
                        p = &q->next;
                        continue;
                }
                *p = q->next;
                if (!q->next)
                        u->tail = p;
                request_free(q);
                (*n_pending)--;
        }
}

Names *names_free(Names *n) {
        Request *q;

        if (!n)
                return NULL;
        child_kill(&n->child, &n->grave);
        child_grave_wait(&n->grave, USEC_PER_SEC);
        while ((q = queue_take(&n->roots)) || (q = queue_take(&n->users)))
                request_free(q);
        request_free(n->current);
        container_info_free(n->partial);
        buf_deinit(&n->chunks);
        fd_close(n->epoll_fd);
        for (char **d = n->docker_roots; d && *d; d++)
                free(*d);
        free(n->docker_roots);
        free(n->root);
        free(n);
        return NULL;
}

int names_get_fd(Names *n) { return n->epoll_fd; }

size_t names_n_pending(const Names *n) { return n->n_pending; }

pid_t names_pid(const Names *n) { return n->child.pid; }

unsigned names_n_restarts(const Names *n) { return n->n_restarts; }

/* ---- penalties ---- */

static bool punished(const Names *n, const NamesQuery *q, usec_t now) {
        if (!q->rootless)
                return false;
        for (size_t i = 0; i < PENALTIES; i++)
                if (n->penalties[i].until > now && n->penalties[i].uid == q->uid)
                        return true;
        return false;
}

static void punish(Names *n, const NamesQuery *q, usec_t now) {
        Penalty *p = &n->penalties[0];

        if (!q->rootless)
                return;
        for (size_t i = 0; i < PENALTIES; i++) {
                if (n->penalties[i].uid == q->uid && n->penalties[i].until > 0) {
                        p = &n->penalties[i];
                        break;
                }
                if (n->penalties[i].until < p->until)
                        p = &n->penalties[i];
        }
        *p = (Penalty){ .uid = q->uid, .until = now + NAMES_PENALTY_USEC };
}

/* ---- the current request ---- */

static int send_current(Names *n) {
        const Request *q = n->current;
        NamesAsk h = {
                .seq = q->seq,
                .engine = (uint32_t)q->query.engine,
                .rootless = q->query.rootless,
                .uid = q->query.uid,
                .id_len = (uint32_t)strlen(q->id),
                .cgroup_len = (uint32_t)strlen(q->cgroup),
        };
        struct iovec iov[] = {
                { .iov_base = &h, .iov_len = sizeof(h) },
                { .iov_base = q->id, .iov_len = h.id_len + 1 },
                { .iov_base = q->cgroup, .iov_len = h.cgroup_len + 1 },
        };
        struct msghdr m = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };

        return sendmsg(n->child.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Hands the next request out, unless it is one that names_dispatch() will answer by itself.
 * The helper has nothing to do, so its socket takes it. */
static void pump(Names *n, usec_t now) {
        if (n->current || n->child.pid == 0 || n->broken)
                return;
        n->current = queue_take(&n->roots);
        if (!n->current && !(n->users.head && punished(n, &n->users.head->query, now)))
                n->current = queue_take(&n->users);
        if (!n->current)
                return;
        n->deadline = num_add_sat(now, n->current->timeout);
        buf_clear(&n->chunks);
        n->total = n->instalment = 0;
        if (send_current(n) < 0)
                n->broken = true;
}

/* Ends the current request. info is taken. */
static void finish(Names *n, ContainerInfo *info, const char *why) {
        Request *q = steal_ptr(n->current);

        n->partial = container_info_free(n->partial);
        n->n_pending--;
        if (q->done)
                q->done(q->user, q->cookie, info, info ? NULL : why);
        else
                container_info_free(info);
        request_free(q);
}

/* The helper is lost: what the files said serves, if that much came. */
static void abandon(Names *n, usec_t now, const char *why) {
        if (!n->current)
                return;
        if (n->partial) {
                static const char text[] = "the user lookup did not answer in time";
                ContainerInfo *info = steal_ptr(n->partial);

                if (!info->problem)
                        info->problem = strdup(text);
                finish(n, info, why);
                return;
        }
        punish(n, &n->current->query, now);
        finish(n, NULL, why);
}

/* False: nonsense. */
static bool take_info(Names *n) {
        _cleanup_(cleanup_container_info_free) ContainerInfo *info = NULL;
        const NamesQuery *q = &n->current->query;
        bool last = n->instalment == 1;

        if (names_decode(n->chunks.data, n->chunks.len, &info) < 0 || info->engine != q->engine)
                return false;
        if (q->rootless)
                info->trusted = false;
        buf_clear(&n->chunks);
        n->total = 0;
        if (!last) {
                n->partial = container_info_free(n->partial);
                n->partial = steal_ptr(info);
                n->instalment = 1;
                return true;
        }
        finish(n, steal_ptr(info), NULL);
        return true;
}

static bool take_chunk(Names *n, const char *packet, size_t len) {
        NamesChunk h;

        if (!n->current || len <= sizeof(h))
                return false;
        memcpy(&h, packet, sizeof(h));
        len -= sizeof(h);
        if (h.seq != n->current->seq || h.offset != n->chunks.len || h.instalment > 1 ||
            h.total > NAMES_ANSWER_MAX || len > h.total || h.offset > h.total - len)
                return false;
        if (h.offset == 0) {
                if (h.instalment < n->instalment)
                        return false;
                n->instalment = h.instalment;
                n->total = h.total;
        } else if (h.total != n->total || h.instalment != n->instalment)
                return false;
        buf_append(&n->chunks, packet + sizeof(h), len);
        if (buf_error(&n->chunks) < 0)
                return false;
        return n->chunks.len < n->total || take_info(n);
}

static void receive(Names *n, usec_t now) {
        char packet[sizeof(NamesChunk) + NAMES_CHUNK_MAX];

        for (unsigned i = 0; i < PACKETS_PER_DISPATCH && !n->broken; i++) {
                ssize_t len;

                len = recv(n->child.fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);
                if (len < 0 && errno == EINTR)
                        continue;
                if (len < 0 && errno == EAGAIN)
                        return;
                if (len <= 0 || (size_t)len > sizeof(packet) || !take_chunk(n, packet, (size_t)len))
                        n->broken = true;
                pump(n, now);
        }
}

static int restart(Names *n, usec_t now) {
        int r;

        if (child_grave_reap(&n->grave) == CHILD_GRAVE_MAX || now < n->next_start)
                return 0;
        n->next_start = now + RESTART_INTERVAL;
        r = start_helper(n);
        if (r < 0)
                return r;
        n->n_restarts++;
        return 0;
}

/* Requests that are not worth a helper are answered before they get to one. */
static void skip_punished(Names *n, usec_t now) {
        while (!n->current && n->users.head && punished(n, &n->users.head->query, now)) {
                n->current = queue_take(&n->users);
                finish(n, NULL, "this user's state files made the helper hang or die a moment ago");
        }
}

int names_dispatch(Names *n, usec_t now) {
        int r = 0;

        n->now = now;
        if (n->child.pid != 0 && !n->broken)
                receive(n, now);
        if (n->broken || (n->current && now >= n->deadline)) {
                const char *why = n->broken ? "the names helper died or sent nonsense"
                                            : "the state files did not answer in time";

                n->broken = false;
                if (n->child.fd >= 0)
                        (void)epoll_ctl(n->epoll_fd, EPOLL_CTL_DEL, n->child.fd, NULL);
                child_kill(&n->child, &n->grave);
                abandon(n, now, why);
        }
        if (n->child.pid == 0)
                r = restart(n, now);
        else
                (void)child_grave_reap(&n->grave);
        skip_punished(n, now);
        pump(n, now);
        return r;
}

usec_t names_next_time(const Names *n) {
        usec_t t = USEC_INFINITY;

        if (n->broken || (!n->current && n->users.head && punished(n, &n->users.head->query, n->now)))
                return 0;
        if (n->child.pid == 0)
                t = MAX_OF(n->next_start, n->grave.n == CHILD_GRAVE_MAX ? n->now + USEC_PER_SEC : 0);
        else if (n->grave.n > 0)
                t = n->now + CORPSE_INTERVAL;
        if (n->current)
                t = MIN_OF(t, n->deadline);
        return t;
}

int names_submit(Names *n, const NamesQuery *query, usec_t now, usec_t timeout, NamesDone done, void *user,
                 uint64_t cookie) {
        _cleanup_(cleanup_request_free) Request *q = NULL;
        const char *cgroup = query->cgroup ? query->cgroup : "";

        if (!query->id || strlen(query->id) > NAMES_ID_MAX || strlen(cgroup) > NAMES_CGROUP_MAX || !done)
                return -EINVAL;
        if (n->n_pending >= NAMES_PENDING_MAX)
                return -EAGAIN;
        q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->query = *query;
        q->query.id = q->query.cgroup = NULL;
        q->id = strdup(query->id);
        q->cgroup = strdup(cgroup);
        if (!q->id || !q->cgroup)
                return -ENOMEM;
        q->seq = ++n->seq;
        q->timeout = timeout;
        q->done = done;
        q->user = user;
        q->cookie = cookie;
        queue_put(query->rootless ? &n->users : &n->roots, steal_ptr(q));
        n->n_pending++;
        n->now = MAX_OF(n->now, now);
        pump(n, now);
        return 0;
}

void names_cancel(Names *n, uint64_t cookie) {
        queue_drop(&n->roots, cookie, &n->n_pending);
        queue_drop(&n->users, cookie, &n->n_pending);
        if (n->current && n->current->cookie == cookie)
                n->current->done = NULL;
}
