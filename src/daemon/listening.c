/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is wanted of bailiff-netlink, and when.
 *
 * Each thing costs the kernel and the service something for every process of the host, so it is wanted only
 * while somebody needs it: ends of main processes while there are containers (that is filtered in the kernel, and
 * costs nothing for others), forks while process ids run short or are given away fast, records of tasks while
 * a container runs that no slice counts. Nothing is wanted: the connection ends, and with it the service.
 *
 * How fast ids are given away costs one line of /proc/loadavg a beat: its last word is the id given away last.
 */

#include <stdio.h>

#include "fdio.h"
#include "guard.h"
#include "json.h"
#include "num.h"
#include "refusal.h"

#include <jansson.h>

#define RETRY_USEC (60 * USEC_PER_SEC) /* what the kernel refused is asked for again */
#define AWAY_USEC (10 * USEC_PER_SEC)
#define STORM_FORKS 100 /* a second, of the whole host */
#define STORM_LINGER (30 * USEC_PER_SEC)
#define TASKS_LINGER (600 * USEC_PER_SEC) /* the next one may be short */
#define FORKS_AGE (2 * USEC_PER_SEC) /* a batch older than that says nothing of now */
#define LOST_TELL_USEC (600 * USEC_PER_SEC)

/* ---- what comes ---- */

static const char *without_events(void) {
        return "how containers' main processes end, who forks and what short lives used is not known";
}

static void on_status(void *user, const NlStatus *s) {
        Guard *g = user;
        Listening *l = g->listening;
        int events = (int)(s->events_error & 4095), records = (int)(s->tasks_error & 4095);

        /* Records have no error of their own where there are no events: without lineage they are nobody's. */
        if (refusal_look(&l->events_refusal, events, s->hears & NL_HEARS_EVENTS, clock_monotonic()))
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the kernel gives no process events (%s): %s; everything else works",
                         refusal_of_events(events), without_events());
        if (refusal_look(&l->records_refusal, events ? 0 : records, s->hears & NL_HEARS_RECORDS,
                         clock_monotonic()))
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the kernel gives no records of tasks that ended (taskstats: %s): what containers "
                         "without a slice of "
                         "their tenant's used between the last look and their end is not booked; everything "
                         "else works",
                         refusal_of_records(records));
        if ((s->events_error || s->tasks_error) && l->refused_at == 0)
                l->refused_at = clock_monotonic();
        else if (!s->events_error && !s->tasks_error)
                l->refused_at = 0;
        l->status = *s;
        l->have_status = true;
}

static void on_batch(void *user, bool tasks, const NlBatch *b) {
        Guard *g = user;
        Listening *l = g->listening;
        usec_t now = clock_monotonic();

        if (b->span_usec > 0)
                l->span = b->span_usec;
        if (b->lost == 0)
                return;
        if (tasks)
                l->n_lost_records = num_add_sat(l->n_lost_records, b->lost);
        else
                l->n_lost_events = num_add_sat(l->n_lost_events, b->lost);
        if (l->lost_told_at > 0 && now - l->lost_told_at < LOST_TELL_USEC)
                return;
        l->lost_told_at = now;
        announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                 "%llu %s came faster than they are read: they are counted, but whose they were is not "
                 "known. More "
                 "is in status --json; it is not told again for ten minutes",
                 (unsigned long long)b->lost, tasks ? "records of tasks" : "process events");
}

static Target *container_at(const Guard *g, const char *path) {
        TreeNode *n = path ? tree_find_path(g->tree, path) : NULL;
        Target *t = n ? n->user : NULL;

        return t && t->container ? t : NULL;
}

static void on_counts(void *user, const char *path, const uint64_t n[_TALLY_COUNT_MAX]) {
        Guard *g = user;
        Target *t = container_at(g, path);
        uint64_t forks;

        if (!t || g->listening->span == 0)
                return;
        forks = num_add_sat(n[TALLY_FORKS], n[TALLY_THREADS]);
        t->heard.n_forks = num_add_sat(t->heard.n_forks, forks);
        t->heard.forks_per_sec = num_muldiv(forks, USEC_PER_SEC, g->listening->span);
        t->heard.forks_at = clock_monotonic();
}

static void on_tasks(void *user, const char *path, const uint64_t n[_TALLY_TASK_MAX]) {
        if (path)
                arrears_told(user, path, n);
}

static void on_exited(void *user, uint64_t cookie, uint32_t pid, uint32_t code, bool known) {
        deaths_exited(user, cookie, (pid_t)pid, code, known);
}

static void on_execed(void *user, uint64_t cookie, uint32_t pid, uint64_t n, const char *comm) {
        deaths_execed(user, cookie, (pid_t)pid, n, comm);
}

static void on_answer(void *user, const NlAsk *ask, const NlProcess *all, size_t n) {
        processes_answered(user, ask, all, n);
}

static void on_links(void *user, const NlLinksAsk *ask, const NlLink *all, size_t n) {
        links_answered(user, ask, all, n);
}

static void on_link(void *user, const char *why) {
        Guard *g = user;
        Listening *l = g->listening;

        l->have_status = false;
        if (!why) {
                deaths_check(g);
                return;
        }
        l->away_why = why;
        if (l->away_since == 0)
                l->away_since = clock_monotonic();
}

/* A service that is started anew is no news. */
static void tell_away(Guard *g, usec_t now) {
        Listening *l = g->listening;

        if (l->link_told || l->away_since == 0 || now - MIN_OF(l->away_since, now) < AWAY_USEC)
                return;
        l->link_told = true;
        announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                 "bailiff-netlink is not there (%s): until it is, %s; everything else works", l->away_why,
                 without_events());
}

static const NlClientOps ops = {
        .status = on_status,
        .batch = on_batch,
        .counts = on_counts,
        .tasks = on_tasks,
        .exited = on_exited,
        .execed = on_execed,
        .answer = on_answer,
        .links = on_links,
        .link = on_link,
};

void listening_dispatch(Guard *g) {
        Listening *l = g->listening;
        usec_t at;

        nlclient_dispatch(l->client, clock_monotonic());
        /* It is there again, and says what it should; or nobody asks, and so nobody knows. */
        if (l->have_status && nlclient_connected(l->client)) {
                l->link_told = false;
                l->away_since = 0;
        } else if (nlclient_wants(l->client) == 0)
                l->away_since = 0;
        else if (l->away_since == 0) {
                /* systemd takes connections for a service that does not start, and never ends them. */
                l->away_since = clock_monotonic();
                l->away_why = "it does not answer";
        }
        at = nlclient_next_time(l->client);
        if (at == USEC_INFINITY)
                (void)sd_event_source_set_enabled(l->wake, SD_EVENT_OFF);
        else {
                (void)sd_event_source_set_time(l->wake, at);
                (void)sd_event_source_set_enabled(l->wake, SD_EVENT_ONESHOT);
        }
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *user) {
        (void)s;
        (void)fd;
        (void)revents;
        listening_dispatch(user);
        return 0;
}

static int on_wake(sd_event_source *s, uint64_t usec, void *user) {
        (void)s;
        (void)usec;
        listening_dispatch(user);
        return 0;
}

/* ---- what is wanted ---- */

/* "0.20 0.18 0.12 1/80 11206": tasks that exist, and the id given away last. */
static bool read_loadavg(const Guard *g, uint64_t *ret_tasks, uint64_t *ret_last) {
        char text[128];
        const char *p, *end;

        if (fd_read_at(g->measure->proc, "loadavg", text, sizeof(text)) < 0 || !(p = strchr(text, '/')))
                return false;
        p++;
        end = text + strlen(text);
        if (num_scan_u64(&p, end, ret_tasks) < 0 || *p != ' ')
                return false;
        p++;
        return num_scan_u64(&p, end, ret_last) >= 0;
}

static bool is_storm(Guard *g, usec_t now) {
        Listening *l = g->listening;
        uint64_t tasks, last;

        if (!read_loadavg(g, &tasks, &last))
                return false;
        l->host_forks_per_sec = 0;
        if (l->last_pid_at > 0 && now > l->last_pid_at) {
                /* Ids begin anew at the end of their range. */
                uint64_t given =
                        last >= l->last_pid ? last - l->last_pid : last + g->host.pid_max - l->last_pid;

                l->host_forks_per_sec = num_muldiv(given, USEC_PER_SEC, now - l->last_pid_at);
        }
        l->last_pid = last;
        l->last_pid_at = now;
        return l->host_forks_per_sec >= STORM_FORKS ||
               (g->host.pid_max > 0 && tasks >= g->host.pid_max / 2) ||
               g->judging->host_memory.harm[RESOURCE_PIDS].class == HARM_EXTERNAL;
}

static void want(Guard *g, usec_t now) {
        Listening *l = g->listening;
        uint32_t wants = 0;

        if (is_storm(g, now))
                l->storm_until = now + STORM_LINGER;
        if (now < l->storm_until)
                wants |= NL_WANT_FORKS;
        if (l->mains.n > 0)
                wants |= NL_WANT_MAINS;
        if (arrears_wanted(g))
                l->tasks_until = now + TASKS_LINGER;
        if (now < l->tasks_until)
                wants |= NL_WANT_TASKS;
        if (processes_pending(g) || links_pending(g))
                wants |= NL_WANT_ANSWERS;
        nlclient_want(l->client, wants);
        if (l->refused_at > 0 && now - MIN_OF(l->refused_at, now) > RETRY_USEC) {
                l->refused_at = now;
                nlclient_want_again(l->client);
        }
}

bool listening_forks(const Guard *g, const Target *t, uint64_t *ret) {
        const Listening *l = g->listening;
        usec_t now = clock_monotonic();

        if (!(nlclient_wants(l->client) & NL_WANT_FORKS) || !l->have_status || l->status.events_error)
                return false;
        *ret = t->heard.forks_at > 0 && now - t->heard.forks_at < FORKS_AGE ? t->heard.forks_per_sec : 0;
        return true;
}

void listening_beat(Guard *g, usec_t now) {
        deaths_beat(g, now);
        arrears_beat(g, now);
        processes_beat(g, now);
        links_beat(g, now);
        want(g, now);
        listening_dispatch(g);
        tell_away(g, now);
}

/* ---- set-up ---- */

int listening_new(Guard *g) {
        Listening *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        g->listening = l;
        l->tasks_until = clock_monotonic() + TASKS_LINGER;
        r = nlclient_new(g->config.netlink_socket, &ops, g, &l->client);
        if (r >= 0)
                r = sd_event_add_io(g->event, &l->source, nlclient_get_fd(l->client), EPOLLIN, on_io, g);
        if (r >= 0)
                r = sd_event_add_time(g->event, &l->wake, CLOCK_MONOTONIC, 0, 0, on_wake, g);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->wake, SD_EVENT_OFF);
        return r;
}

void listening_free(Guard *g) {
        Listening *l = g->listening;

        if (!l)
                return;
        processes_free(g);
        links_free(g);
        deaths_free(g);
        arrears_free(g);
        sd_event_source_disable_unref(l->source);
        sd_event_source_disable_unref(l->wake);
        nlclient_free(l->client);
        free(l);
        g->listening = NULL;
}

/* ---- telling ---- */

json_t *render_listening(const Guard *g) {
        static const char *const names[] = { "forks", "mains", "tasks", "answers" };
        const Listening *l = g->listening;
        json_t *o = json_object(), *a = json_array();
        uint32_t wants = nlclient_wants(l->client);
        int events = l->have_status ? (int)(l->status.events_error & 4095) : 0,
            records = l->have_status ? (int)(l->status.tasks_error & 4095) : 0;

        json_set_bool(o, "connected", nlclient_connected(l->client) && l->have_status);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (wants & 1U << i)
                        (void)json_array_append_new(a, json_text_or_null(names[i]));
        (void)json_object_set_new(o, "wants", a);
        json_set_text(o, "events_error", events ? refusal_of_events(events) : NULL);
        json_set_text(o, "tasks_error",
                      !records ? NULL
                      : events ? "without process events they are nobody's"
                               : refusal_of_records(records));
        json_set_int(o, "events", l->have_status ? l->status.n_events : 0);
        json_set_int(o, "records", l->have_status ? l->status.n_records : 0);
        json_set_int(o, "unknown", l->have_status ? l->status.n_unknown : 0);
        json_set_int(o, "rcvbuf", l->have_status ? l->status.rcvbuf : 0);
        json_set_int(o, "lost_events", l->n_lost_events);
        json_set_int(o, "lost_records", l->n_lost_records);
        json_set_int(o, "forks_per_sec", l->host_forks_per_sec);
        json_set_int(o, "watched", l->mains.n);
        json_set_int(o, "exits", l->n_exits);
        json_set_int(o, "execs", l->n_execs);
        json_set_int(o, "late_books", l->n_arrears);
        json_set_int(o, "late_cpu_usec", l->arrears_usec);
        return o;
}
