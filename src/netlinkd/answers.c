/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What bailiff-netlink says to the guard.
 *
 * Nothing here waits for the guard. What it does not take now stays where it
 * is: counts as sums that go on growing, ends and executions of watched processes with their
 * watch, a loss as a number. So a guard that was stopped for an hour finds
 * one batch, and this process holds no more for it than before.
 *
 * Executions are told once a second at most, whatever a process does, with the name that it has by then. Those of one that
 * has ended are told right before its end.
 */

#include <sys/socket.h>

#include "procpid.h"
#include "service-internal.h"

#define EXECS_INTERVAL USEC_PER_SEC
#define STATUS_INTERVAL (10 * USEC_PER_SEC)

bool answers_send(Service *s) {
        size_t len = nlwire_end(&s->out);

        if (s->client < 0)
                return false;
        if (send(s->client, s->out.data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
                return true;
        if (errno == EAGAIN || errno == ENOBUFS)
                s->blocked = true;
        else if (errno != EINTR)
                service_drop_client(s);
        return false;
}

void answers_status(Service *s, usec_t now) {
        NlStatus st = {
                .events_error = (uint32_t)-s->events_error,
                .tasks_error = (uint32_t)-s->tasks_error,
                .wants = s->wants,
                .hears = service_hears(s),
                .rcvbuf = s->events.rcvbuf,
                .n_events = s->events.n_events,
                .n_records = s->tasks.n_records,
                .lost_events = s->events.n_lost,
                .lost_records = s->tasks.n_lost,
                .n_unknown = s->kin.n_unknown,
                .n_asked = s->kin.n_asked,
        };

        if (!s->status_due && now < s->status_at + STATUS_INTERVAL)
                return;
        nlwire_begin(&s->out, NLWIRE_STATUS, &st);
        if (answers_send(s)) {
                s->status_due = false;
                s->status_at = now;
        }
}

/* False: it has gone, and with it what it is called. */
static bool see(const Service *s, const Watch *w, NlExec *ret) {
        ProcPid p;
        bool there = procpid_read(s->proc, (pid_t)w->pid, &p) == 0 && p.start == w->start;

        *ret = (NlExec){ .cookie = w->cookie, .pid = w->pid, .n = w->n_execs };
        if (there)
                memcpy(ret->comm, p.comm, sizeof(ret->comm));
        return there;
}

void answers_execs(Service *s, usec_t now) {
        Watch *told[NLWIRE_PACKET_MAX / sizeof(NlExec)], *w;
        size_t n = 0;

        if (s->watches.n_news == 0 || now < s->execs_at)
                return;
        nlwire_begin(&s->out, NLWIRE_EXECS, NULL);
        for (size_t i = 0; n < ARRAY_SIZE(told) && (w = watches_news(&s->watches, &i));) {
                NlExec e;

                /* Who has gone has an end that will be read, and is told of with that. */
                if (w->ended || !see(s, w, &e))
                        continue;
                if (!nlwire_add(&s->out, &e))
                        break;
                told[n++] = w;
        }
        if (n > 0 && !answers_send(s))
                return;
        for (size_t i = 0; i < n; i++)
                watches_told(&s->watches, told[i]);
        s->execs_at = now + EXECS_INTERVAL;
}

static bool tell_last_execs(Service *s, Watch *w) {
        NlExec e;

        if (!w->news || (!see(s, w, &e) && w->n_execs == 0))
                return true;
        nlwire_begin(&s->out, NLWIRE_EXECS, NULL);
        (void)nlwire_add(&s->out, &e);
        if (!answers_send(s))
                return false;
        watches_told(&s->watches, w);
        return true;
}

void answers_exits(Service *s) {
        Watch *w;

        if (s->watches.n_ended == 0)
                return;
        for (size_t i = 0; (w = watches_ended(&s->watches, &i));) {
                NlExit e = { .cookie = w->cookie, .pid = w->pid, .code = w->code, .known = w->known };

                if (!tell_last_execs(s, w))
                        return;
                nlwire_begin(&s->out, NLWIRE_EXITS, NULL);
                (void)nlwire_add(&s->out, &e);
                if (!answers_send(s))
                        return;
                watches_remove(&s->watches, e.cookie);
        }
}

/* ---- batches ---- */

static bool tell_forgotten(Service *s) {
        NlGroup g = { .id = s->forgotten };

        if (s->forgotten == 0)
                return true;
        nlwire_begin(&s->out, NLWIRE_GROUP, &g);
        if (!answers_send(s))
                return false;
        s->forgotten = 0;
        return true;
}

static bool forget_idle(Service *s, usec_t now) {
        uint32_t id;
        bool told;

        while (tell_forgotten(s) && tally_expire(&s->kin.tally, now, &id, &told))
                if (told)
                        s->forgotten = id;
        return s->forgotten == 0;
}

static bool tell_group(Service *s, TallyGroup *g) {
        NlGroup head = { .id = g->id };

        if (g->id == 0 || g->told)
                return true;
        nlwire_begin(&s->out, NLWIRE_GROUP, &head);
        for (const char *p = g->path; *p; p++)
                (void)nlwire_add(&s->out, p);
        g->told = answers_send(s);
        return g->told;
}

static bool has(const TallyGroup *g, bool tasks) { return tasks ? g->recorded : g->counted; }

static bool put(Service *s, const TallyGroup *g, bool tasks) {
        NlCounts c = { .group = g->id };
        NlTasks t = { .group = g->id };

        memcpy(c.n, g->counts, sizeof(c.n));
        memcpy(t.n, g->tasks, sizeof(t.n));
        return nlwire_add(&s->out, tasks ? (const void *)&t : &c);
}

static void clear(TallyGroup *g, bool tasks) {
        if (tasks) {
                memset(g->tasks, 0, sizeof(g->tasks));
                g->recorded = false;
        } else {
                memset(g->counts, 0, sizeof(g->counts));
                g->counted = false;
        }
}

/* One packet with as many groups as fit into it. False: nothing more to say, or not now. */
static bool tell_some(Service *s, bool tasks, NlBatch *b) {
        TallyGroup *in[NLWIRE_PACKET_MAX / sizeof(NlCounts)], *g;
        size_t n = 0;

        /* Paths first: a packet is made one at a time. */
        for (size_t i = 0; (g = tally_next(&s->kin.tally, &i));)
                if (has(g, tasks) && !tell_group(s, g))
                        return false;
        nlwire_begin(&s->out, tasks ? NLWIRE_TASKS : NLWIRE_COUNTS, b);
        for (size_t i = 0; n < ARRAY_SIZE(in) && (g = tally_next(&s->kin.tally, &i));) {
                if (!has(g, tasks))
                        continue;
                if (!put(s, g, tasks))
                        break;
                in[n++] = g;
        }
        if ((n == 0 && b->lost == 0) || !answers_send(s))
                return false;
        for (size_t i = 0; i < n; i++)
                clear(in[i], tasks);
        b->lost = b->span_usec = 0;
        return n > 0;
}

static void tell_all(Service *s, bool tasks, uint64_t *lost, usec_t span) {
        NlBatch b = { .span_usec = span, .lost = *lost };

        while (tell_some(s, tasks, &b))
                ;
        *lost = b.lost;
}

/* What is counted for the sake of lineage alone nobody wants. */
static void drop_all(Service *s, bool tasks) {
        TallyGroup *g;

        for (size_t i = 0; (g = tally_next(&s->kin.tally, &i));)
                clear(g, tasks);
}

void answers_batches(Service *s, usec_t now) {
        if (!forget_idle(s, now))
                return;
        if (s->wants & NL_WANT_FORKS)
                tell_all(s, false, &s->lost_events, now - s->told_at);
        else
                drop_all(s, false);
        if (s->wants & NL_WANT_TASKS)
                tell_all(s, true, &s->lost_records, now - s->told_at);
        else
                drop_all(s, true);
        s->told_at = now;
        s->anew = false;
}
