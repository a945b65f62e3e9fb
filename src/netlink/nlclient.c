/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard as a client of bailiff-netlink.
 *
 * The service is optional, so no call here fails for its sake: where it is
 * missing, refuses or talks nonsense, the connection is ended, tried again after a
 * second and then ever more seldom, up to a minute, and the guard is told once per
 * loss. A connection begins with all that is wanted; packets are small and few, so a socket
 * that does not take one at once belongs to a service that hangs, and is ended, too.
 *
 * What comes in is parsed by nlwire.c. Beyond that: groups have to have been announced
 * before they are used and are bounded in number, exits and executions must be of what is
 * watched. A service that breaks this is not asked again before the next try.
 */

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdio.h"
#include "nlclient.h"
#include "num.h"

#define BACKOFF_FIRST USEC_PER_SEC
#define BACKOFF_MAX (60 * USEC_PER_SEC)
#define PACKETS_PER_DISPATCH 256
#define WATCHES_MAX 16384
/* The service forgets groups as it makes others; both ends see it in the same order. */
#define GROUPS_MAX TALLY_GROUPS_MAX

struct NlClient {
        struct sockaddr_un address;
        const NlClientOps *ops;
        void *user;
        int epoll_fd, fd;
        uint32_t wants, told; /* told: what the service was asked for */
        Map groups; /* id → path */
        Map watches; /* cookie → NlWatch */
        usec_t again, backoff;
        const char *broken; /* why the connection is to be ended */
        NlOut out;
};

int nlclient_new(const char *path, const NlClientOps *ops, void *user, NlClient **ret) {
        _cleanup_(cleanup_nlclient_free) NlClient *c = NULL;

        if (strlen(path) >= sizeof(c->address.sun_path))
                return -EINVAL;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fd = c->epoll_fd = -1;
        c->ops = ops;
        c->user = user;
        c->backoff = BACKOFF_FIRST;
        c->address.sun_family = AF_UNIX;
        memcpy(c->address.sun_path, path, strlen(path) + 1);
        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (c->epoll_fd < 0)
                return -errno;
        *ret = steal_ptr(c);
        return 0;
}

static void forget_groups(NlClient *c) {
        char *path;

        for (size_t i = 0; (path = map_next(&c->groups, &i));)
                free(path);
        map_deinit(&c->groups);
}

static void disconnect(NlClient *c) {
        c->fd = fd_close(c->fd); /* which takes it out of the epoll set */
        c->told = 0;
        c->broken = NULL;
        forget_groups(c);
}

NlClient *nlclient_free(NlClient *c) {
        NlWatch *w;

        if (!c)
                return NULL;
        disconnect(c);
        for (size_t i = 0; (w = map_next(&c->watches, &i));)
                free(w);
        map_deinit(&c->watches);
        fd_close(c->epoll_fd);
        free(c);
        return NULL;
}

int nlclient_get_fd(const NlClient *c) { return c->epoll_fd; }

bool nlclient_connected(const NlClient *c) { return c->fd >= 0; }

uint32_t nlclient_wants(const NlClient *c) { return c->wants; }

/* ---- saying ---- */

static void send_out(NlClient *c) {
        size_t len = nlwire_end(&c->out);

        if (c->fd >= 0 && !c->broken &&
            send(c->fd, c->out.data, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
                c->broken = "it does not take what it is told";
}

static void send_watch(NlClient *c, const NlWatch *w) {
        nlwire_begin(&c->out, NLWIRE_WATCH, NULL);
        (void)nlwire_add(&c->out, w);
        send_out(c);
}

static void send_wants(NlClient *c) {
        NlWant w = { .wants = c->wants };

        nlwire_begin(&c->out, NLWIRE_WANT, &w);
        send_out(c);
        c->told = c->wants;
}

static void send_all(NlClient *c) {
        NlWatch *w;

        send_wants(c);
        nlwire_begin(&c->out, NLWIRE_WATCH, NULL);
        for (size_t i = 0; (w = map_next(&c->watches, &i));) {
                if (nlwire_add(&c->out, w))
                        continue;
                send_out(c);
                nlwire_begin(&c->out, NLWIRE_WATCH, NULL);
                (void)nlwire_add(&c->out, w);
        }
        if (c->out.n > 0)
                send_out(c);
}

void nlclient_want(NlClient *c, uint32_t wants) { c->wants = wants & NL_WANT_ALL; }

void nlclient_want_again(NlClient *c) { c->told = 0; }

int nlclient_watch(NlClient *c, uint64_t cookie, uint32_t pid, uint64_t start) {
        NlWatch *w = map_get_u64(&c->watches, cookie);
        int r;

        if (!w) {
                if (c->watches.n >= WATCHES_MAX)
                        return -ENOSPC;
                w = calloc(1, sizeof(*w));
                r = w ? map_put_u64(&c->watches, cookie, w) : -ENOMEM;
                if (r < 0) {
                        free(w);
                        return r;
                }
        }
        *w = (NlWatch){ .cookie = cookie, .pid = pid, .start = start };
        send_watch(c, w);
        return 0;
}

void nlclient_unwatch(NlClient *c, uint64_t cookie) {
        NlWatch *w = map_remove_u64(&c->watches, cookie), gone = { .cookie = cookie };

        if (!w)
                return;
        free(w);
        send_watch(c, &gone);
}

int nlclient_ask(NlClient *c, const NlAsk *ask, const uint32_t *pids, size_t n) {
        if (c->fd < 0)
                return -ENOTCONN;
        if (n > NLWIRE_ASK_MAX || ask->span_usec > NLWIRE_SPAN_MAX)
                return -EINVAL;
        nlwire_begin(&c->out, NLWIRE_ASK, ask);
        for (size_t i = 0; i < n; i++)
                (void)nlwire_add(&c->out, &pids[i]);
        send_out(c);
        return 0;
}

int nlclient_ask_links(NlClient *c, const NlLinksAsk *ask) {
        if (c->fd < 0)
                return -ENOTCONN;
        nlwire_begin(&c->out, NLWIRE_ASK_LINKS, ask);
        send_out(c);
        return 0;
}

/* ---- being told ---- */

static int take_group(NlClient *c, const NlPacket *p) {
        char *path;

        free(map_remove_u64(&c->groups, p->group.id));
        if (p->n == 0)
                return 0;
        if (c->groups.n >= GROUPS_MAX)
                return -EBADMSG;
        path = strndup((const char *)p->items, p->n);
        if (!path || map_put_u64(&c->groups, p->group.id, path) < 0) {
                free(path);
                return -ENOMEM;
        }
        return 0;
}

static int path_of(const NlClient *c, uint32_t group, const char **ret) {
        *ret = group ? map_get_u64(&c->groups, group) : NULL;
        return group && !*ret ? -EBADMSG : 0;
}

static int take_counts(NlClient *c, const NlPacket *p) {
        c->ops->batch(c->user, false, &p->batch);
        for (size_t i = 0; i < p->n; i++) {
                const char *path;
                NlCounts k;

                nlwire_item(p, i, &k);
                if (path_of(c, k.group, &path) < 0)
                        return -EBADMSG;
                c->ops->counts(c->user, path, k.n);
        }
        return 0;
}

static int take_tasks(NlClient *c, const NlPacket *p) {
        c->ops->batch(c->user, true, &p->batch);
        for (size_t i = 0; i < p->n; i++) {
                const char *path;
                NlTasks k;

                nlwire_item(p, i, &k);
                if (path_of(c, k.group, &path) < 0)
                        return -EBADMSG;
                c->ops->tasks(c->user, path, k.n);
        }
        return 0;
}

static void take_exits(NlClient *c, const NlPacket *p) {
        for (size_t i = 0; i < p->n; i++) {
                NlWatch *w;
                NlExit e;

                nlwire_item(p, i, &e);
                w = map_get_u64(&c->watches, e.cookie);
                /* Else it was said before the service knew that we lost interest. */
                if (!w || w->pid != e.pid)
                        continue;
                free(map_remove_u64(&c->watches, e.cookie));
                c->ops->exited(c->user, e.cookie, e.pid, e.code, e.known);
        }
}

static void take_execs(NlClient *c, const NlPacket *p) {
        for (size_t i = 0; i < p->n; i++) {
                const NlWatch *w;
                NlExec e;

                nlwire_item(p, i, &e);
                w = map_get_u64(&c->watches, e.cookie);
                if (w && w->pid == e.pid)
                        c->ops->execed(c->user, e.cookie, e.pid, e.n, e.comm);
        }
}

static void take_answer(NlClient *c, const NlPacket *p) {
        NlProcess all[NLWIRE_ANSWER_MAX];

        for (size_t i = 0; i < p->n; i++)
                nlwire_item(p, i, &all[i]);
        c->ops->answer(c->user, &p->ask, all, p->n);
}

static void take_links(NlClient *c, const NlPacket *p) {
        NlLink all[NLWIRE_LINKS_MAX];

        for (size_t i = 0; i < p->n; i++)
                nlwire_item(p, i, &all[i]);
        c->ops->links(c->user, &p->links, all, p->n);
}

static int take(NlClient *c, const void *data, size_t len) {
        NlPacket p;
        int r = nlwire_parse(data, len, false, &p);

        if (r < 0)
                return r;
        switch (p.type) {
        case NLWIRE_STATUS:
                c->ops->status(c->user, &p.status);
                return 0;
        case NLWIRE_GROUP:
                return take_group(c, &p);
        case NLWIRE_COUNTS:
                return take_counts(c, &p);
        case NLWIRE_TASKS:
                return take_tasks(c, &p);
        case NLWIRE_EXITS:
                take_exits(c, &p);
                return 0;
        case NLWIRE_EXECS:
                take_execs(c, &p);
                return 0;
        case NLWIRE_LINKS:
                take_links(c, &p);
                return 0;
        default:
                take_answer(c, &p);
                return 0;
        }
}

static void receive(NlClient *c) {
        uint8_t packet[NLWIRE_PACKET_MAX];

        for (unsigned i = 0; i < PACKETS_PER_DISPATCH && !c->broken; i++) {
                ssize_t n = recv(c->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0)
                        c->broken = "it has ended";
                else if ((size_t)n > sizeof(packet) || take(c, packet, (size_t)n) < 0)
                        c->broken = "it sends nonsense";
                else
                        c->backoff = BACKOFF_FIRST;
        }
}

static const char *connect_now(NlClient *c) {
        struct epoll_event ev = { .events = EPOLLIN };
        _cleanup_fd_ int fd = -1;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return "no socket can be had";
        if (connect(fd, (const struct sockaddr *)&c->address, sizeof(c->address)) < 0)
                return errno == ENOENT ? "bailiff-netlink.socket is not there"
                                       : "bailiff-netlink.socket does not take connections";
        if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
                return "it cannot be polled";
        c->fd = steal_fd(&fd);
        send_all(c);
        return NULL;
}

static void lose(NlClient *c, const char *why, usec_t now) {
        disconnect(c);
        c->again = num_add_sat(now, c->backoff);
        c->backoff = MIN_OF(c->backoff * 2, BACKOFF_MAX);
        c->ops->link(c->user, why);
}

void nlclient_dispatch(NlClient *c, usec_t now) {
        const char *why;

        if (c->fd >= 0 && !c->broken)
                receive(c);
        if (c->wants == 0) {
                disconnect(c);
                return;
        }
        if (c->fd >= 0 && !c->broken && c->told != c->wants)
                send_wants(c);
        if (c->broken) {
                lose(c, c->broken, now);
                return;
        }
        if (c->fd >= 0 || now < c->again)
                return;
        why = connect_now(c);
        if (why || c->broken)
                lose(c, why ?: c->broken, now);
        else
                c->ops->link(c->user, NULL);
}

usec_t nlclient_next_time(const NlClient *c) {
        if (c->broken || (c->fd >= 0 && c->told != c->wants))
                return 0;
        return c->fd < 0 && c->wants != 0 ? c->again : USEC_INFINITY;
}
