/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which processes of a container stand out.
 *
 * The guard itself sees nothing of them but their pids (its unit hides the processes of others from it), so it asks
 * bailiff-netlink, which looks at them twice. It is asked when somebody wants to see them, and for the evidence of an
 * event, so that `why` can name who it was. Of a container with more than NLWIRE_ASK_MAX processes the first ones are asked about.
 *
 * What processes call themselves is theirs: any bytes. It becomes text here, and is escaped by whoever prints it.
 */

#include <stdio.h>

#include "act.h"
#include "fdio.h"
#include "guard.h"
#include "json.h"
#include "num.h"

#include <jansson.h>

#define PATIENCE_USEC (4 * USEC_PER_SEC) /* beyond the span */
#define EXPLAIN_SPAN (500 * USEC_PER_MSEC)

/* ---- the answer ---- */

static json_t *render_delays(const NlProcess *p) {
        static const struct {
                TallyTask task;
                const char *name;
        } delays[] = {
                { TALLY_DELAY_CPU_USEC, "cpu_usec" },       { TALLY_DELAY_BLKIO_USEC, "io_usec" },
                { TALLY_DELAY_SWAP_USEC, "swap_usec" },     { TALLY_DELAY_RECLAIM_USEC, "reclaim_usec" },
                { TALLY_DELAY_THRASH_USEC, "thrash_usec" }, { TALLY_DELAY_COMPACT_USEC, "compact_usec" },
        };
        json_t *o = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(delays); i++)
                json_set_int(o, delays[i].name, p->span[delays[i].task]);
        return o;
}

static json_t *render_process(const NlProcess *p, bool delays) {
        json_t *o = json_object();

        json_set_int(o, "pid", p->pid);
        json_set_text(o, "comm", p->comm);
        json_set_int(o, "threads", p->threads);
        json_set_int(o, "cpu_usec", p->cpu_usec);
        json_set_int(o, "span_cpu_usec", p->span[TALLY_CPU_USEC]);
        json_set_int(o, "rss_bytes", p->rss_bytes);
        if (delays)
                (void)json_object_set_new(o, "delays", render_delays(p));
        else
                json_set_null(o, "delays");
        return o;
}

/* kernel.task_delayacct; where there is no such file (before 5.14) delays are counted always. */
static bool counts_delays(const Guard *g) {
        char text[16];

        return fd_read_at(g->measure->proc, "sys/kernel/task_delayacct", text, sizeof(text)) < 0 ||
               text[0] != '0';
}

/* Who asked may ask again in done(). */
static void finish(Guard *g, ProcessesAsk *a, const NlProcess *all, size_t n, usec_t span, bool delays,
                   const char *error) {
        static const char *const by[_NL_BY_MAX] = { "cpu", "memory", "io" };
        json_t *o = json_object(), *list = json_array();
        ProcessesAsk was = *a;

        for (size_t i = 0; i < n; i++)
                (void)json_array_append_new(list, render_process(&all[i], delays));
        (void)json_object_set_new(o, "processes", list);
        json_set_int(o, "looked_at", was.n);
        json_set_int(o, "span_usec", span);
        json_set_text(o, "by", by[was.ask.by]);
        json_set_text(o, "error", error);
        *a = (ProcessesAsk){};
        was.done(g, was.user, o);
        json_decref(o);
}

void processes_answered(Guard *g, const NlAsk *ask, const NlProcess *all, size_t n) {
        for (size_t i = 0; i < PROCESSES_ASKS_MAX; i++) {
                ProcessesAsk *a = &g->listening->asks[i];

                if (a->seq != 0 && a->seq == ask->seq) {
                        finish(g, a, all, n, ask->span_usec, ask->delays_error == 0 && counts_delays(g),
                               NULL);
                        return;
                }
        }
}

/* ---- the question ---- */

static bool add_pid(void *user, pid_t pid) {
        ProcessesAsk *a = user;

        if (pid > 0)
                a->pids[a->n++] = (uint32_t)pid;
        return a->n < NLWIRE_ASK_MAX;
}

int processes_ask(Guard *g, const Target *t, NlBy by, usec_t span,
                  void (*done)(Guard *g, void *user, json_t *answer), void *user) {
        Listening *l = g->listening;
        ProcessesAsk *a = NULL;

        for (size_t i = 0; i < PROCESSES_ASKS_MAX && !a; i++)
                if (l->asks[i].seq == 0)
                        a = &l->asks[i];
        if (!a)
                return -EBUSY;
        *a = (ProcessesAsk){
                .seq = ++l->last_seq,
                .ask = { .seq = l->last_seq, .span_usec = span, .by = by },
                .until = clock_monotonic() + span + PATIENCE_USEC,
                .done = done,
                .user = user,
        };
        act_each_process(t->node->fd, add_pid, a);
        nlclient_want(l->client, nlclient_wants(l->client) | NL_WANT_ANSWERS);
        listening_dispatch(g);
        if (nlclient_ask(l->client, &a->ask, a->pids, a->n) < 0)
                finish(g, a, NULL, 0, 0, false, "bailiff-netlink is not there");
        return 0;
}

bool processes_pending(const Guard *g) {
        for (size_t i = 0; i < PROCESSES_ASKS_MAX; i++)
                if (g->listening->asks[i].seq != 0)
                        return true;
        return false;
}

void processes_beat(Guard *g, usec_t now) {
        for (size_t i = 0; i < PROCESSES_ASKS_MAX; i++) {
                ProcessesAsk *a = &g->listening->asks[i];

                if (a->seq != 0 && now >= a->until)
                        finish(g, a, NULL, 0, 0, false, "bailiff-netlink does not answer");
        }
}

void processes_free(Guard *g) {
        for (size_t i = 0; i < PROCESSES_ASKS_MAX; i++)
                if (g->listening->asks[i].seq != 0)
                        finish(g, &g->listening->asks[i], NULL, 0, 0, false, "the guard ends");
}

/* ---- evidence ---- */

static void explained(Guard *g, void *user, json_t *answer) {
        _cleanup_free_ uint64_t *event = user;
        const Event *e = event_find(g, *event);
        json_t *judged;

        if (!e || !e->judged || json_array_size(json_object_get(answer, "processes")) == 0)
                return;
        judged = json_loads(e->judged, 0, NULL);
        if (!judged)
                return;
        (void)json_object_set(judged, "processes", json_object_get(answer, "processes"));
        (void)json_object_set(judged, "processes_span_usec", json_object_get(answer, "span_usec"));
        event_set_judged(g, *event, json_dumps(judged, JSON_COMPACT));
        json_decref(judged);
}

void processes_explain(Guard *g, const Target *t, Resource resource, uint64_t event) {
        uint64_t *copy = malloc(sizeof(*copy));

        if (!copy)
                return;
        *copy = event;
        if (processes_ask(g, t,
                          resource == RESOURCE_MEMORY ? NL_BY_MEMORY
                          : resource == RESOURCE_IO   ? NL_BY_IO
                                                      : NL_BY_CPU,
                          EXPLAIN_SPAN, explained, copy) < 0)
                free(copy);
}
