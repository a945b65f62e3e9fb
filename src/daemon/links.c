/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which links of the host lead into a container.
 *
 * The guard may have no netlink socket, so it asks bailiff-netlink, when somebody wants to see it. The question is about the process
 * by which the container's network counters are found (netdev.h). A process can end and its number be given to another one while
 * it is asked about, so it is found once more when the answer comes: it must still be the one by which that network is found, or
 * the answer is of somebody else.
 *
 * Of a container in the host's network nothing is asked: no link leads there.
 */

#include <stdio.h>

#include "fdio.h"
#include "guard.h"
#include "json.h"

#include <jansson.h>

#define PATIENCE_USEC (4 * USEC_PER_SEC)

/* ---- the answer ---- */

static json_t *render_traffic(const NlTraffic *t) {
        json_t *o = json_object();

        json_set_int(o, "bytes", t->bytes);
        json_set_int(o, "packets", t->packets);
        json_set_int(o, "errors", t->errors);
        json_set_int(o, "dropped", t->dropped);
        return o;
}

static json_t *render_link(const NlLink *l) {
        static const char *const states[_NL_LINK_STATE_MAX] = {
                [NL_LINK_UNKNOWN] = "unknown", [NL_LINK_NOTPRESENT] = "notpresent",
                [NL_LINK_DOWN] = "down",       [NL_LINK_LOWERLAYERDOWN] = "lowerlayerdown",
                [NL_LINK_TESTING] = "testing", [NL_LINK_DORMANT] = "dormant",
                [NL_LINK_UP] = "up",
        };
        json_t *o = json_object();

        json_set_text(o, "name", l->name);
        json_set_text(o, "master", l->master[0] ? l->master : NULL);
        json_set_text(o, "state", states[l->state]);
        (void)json_object_set_new(o, "to_container", render_traffic(&l->to));
        (void)json_object_set_new(o, "from_container", render_traffic(&l->from));
        return o;
}

/* error: why none is known. Who asked may ask again in done(). */
static void finish(Guard *g, LinksAsk *a, const NlLink *all, size_t n, uint64_t n_all, const char *error) {
        json_t *o = json_object(), *list = error ? json_null() : json_array();
        LinksAsk was = *a;

        for (size_t i = 0; i < n && !error; i++)
                (void)json_array_append_new(list, render_link(&all[i]));
        (void)json_object_set_new(o, "links", list);
        json_set_int(o, "links_all", error ? 0 : n_all);
        json_set_text(o, "links_error", error);
        *a = (LinksAsk){};
        was.done(g, was.user, o);
        json_decref(o);
}

/* By whom its network is found. NULL, or why there is nobody. */
static const char *find_process(const Guard *g, const Target *t, uint32_t *ret) {
        const NetCg *net = &t->m.meter.net;
        _cleanup_fd_ int process = -1, fd = -1;
        uint64_t space;
        pid_t pid;
        int r;

        if (!net->asked)
                return "which network it is in has not been looked at yet";
        r = net_find(g->measure->proc, t->node->fd, &pid, &process, &fd);
        if (r == 0)
                r = net_space_of(fd, &space);
        if (r == NET_NOBODY)
                return "it has no process that could be asked";
        if (r < 0)
                return strerror(-r);
        if (net->state == NET_UNKNOWN || space != net->space)
                return "its network has just changed; ask again";
        *ret = (uint32_t)pid;
        return NULL;
}

static const char *check(const Guard *g, const LinksAsk *a, const NlLinksAsk *answer) {
        const Target *t = map_get_u64(&g->targets, a->id);
        const char *why;
        uint32_t pid;

        if (!t || answer->pid != a->pid || answer->error == ESRCH)
                return "it ended while it was asked about";
        if (answer->error)
                return strerror((int)(answer->error & 4095));
        why = find_process(g, t, &pid);
        return why || pid == a->pid ? why : "its processes have just changed; ask again";
}

void links_answered(Guard *g, const NlLinksAsk *answer, const NlLink *all, size_t n) {
        for (size_t i = 0; i < LINKS_ASKS_MAX; i++) {
                LinksAsk *a = &g->listening->links_asks[i];

                if (a->seq != 0 && a->seq == answer->seq) {
                        finish(g, a, all, n, answer->n_all, check(g, a, answer));
                        return;
                }
        }
}

/* ---- the question ---- */

int links_ask(Guard *g, const Target *t, void (*done)(Guard *g, void *user, json_t *answer), void *user) {
        Listening *l = g->listening;
        LinksAsk *a = NULL;
        NlLinksAsk ask;
        const char *why;

        for (size_t i = 0; i < LINKS_ASKS_MAX && !a; i++)
                if (l->links_asks[i].seq == 0)
                        a = &l->links_asks[i];
        if (!a)
                return -EBUSY;
        *a = (LinksAsk){
                .seq = ++l->last_seq,
                .id = t->id,
                .until = clock_monotonic() + PATIENCE_USEC,
                .done = done,
                .user = user,
        };
        why = t->m.meter.net.state == NET_HOST ? NULL : find_process(g, t, &a->pid);
        if (why || t->m.meter.net.state == NET_HOST) {
                finish(g, a, NULL, 0, 0, why);
                return 0;
        }
        ask = (NlLinksAsk){ .seq = a->seq, .pid = a->pid };
        nlclient_want(l->client, nlclient_wants(l->client) | NL_WANT_ANSWERS);
        listening_dispatch(g);
        if (nlclient_ask_links(l->client, &ask) < 0)
                finish(g, a, NULL, 0, 0, "bailiff-netlink is not there");
        return 0;
}

bool links_pending(const Guard *g) {
        for (size_t i = 0; i < LINKS_ASKS_MAX; i++)
                if (g->listening->links_asks[i].seq != 0)
                        return true;
        return false;
}

void links_beat(Guard *g, usec_t now) {
        for (size_t i = 0; i < LINKS_ASKS_MAX; i++) {
                LinksAsk *a = &g->listening->links_asks[i];

                if (a->seq != 0 && now >= a->until)
                        finish(g, a, NULL, 0, 0, "bailiff-netlink does not answer");
        }
}

void links_free(Guard *g) {
        for (size_t i = 0; i < LINKS_ASKS_MAX; i++)
                if (g->listening->links_asks[i].seq != 0)
                        finish(g, &g->listening->links_asks[i], NULL, 0, 0, "the guard ends");
}
