/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One loop: a round of questions every ten seconds, and HTTP in between. The guard does not notice whether any of it works: it answers
 * when it is asked, and nobody is asked twice at once. Who scrapes does not wait for others: the history is written by a thread
 * (scribe.h) and read by others (queries.h), so the disk may be as slow as it likes. What is pushed to others is collected with the
 * rounds and sent when they take it; no receiver, however slow, holds up anything else.
 *
 * What goes wrong and stays wrong is logged once, when it begins, and once when it is over; bailiff_exporter_… and
 * /api/v1/status have it all the time.
 */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "exporter.h"
#include "fdio.h"
#include "guardlink.h"
#include "jsonget.h"
#include "num.h"
#include "push.h"
#include "run.h"
#include "serving.h"
#include "textfile.h"

#define ROUND_USEC (10 * USEC_PER_SEC)
#define DETAILS_USEC (60 * USEC_PER_SEC)
#define JUMP_USEC (5 * USEC_PER_SEC) /* that the clock may be off what went by before it was set */
#define TRUST_USEC (600 * USEC_PER_SEC) /* without a jump, before anything is given up for its age */
#define UPKEEP_REST (20 * USEC_PER_MSEC) /* between pieces, for the disk */
#define WRITES_MAX 4 /* that wait for the disk at once; a large one is about a megabyte */
#define ROOM_USEC (2 * USEC_PER_SEC) /* that is waited for one of them, once a round */
#define LATE_USEC (30 * USEC_PER_SEC) /* for one write: it is told of */
#define KNOWN_AT_ONCE_USEC (500 * USEC_PER_MSEC) /* that the first round waits for what is on file, and */
#define KNOWN_USEC (60 * USEC_PER_SEC) /* that the first stream does */
#define RIPE_USEC (2 * USEC_PER_SEC) /* what belongs to an event (processes) may come so much later */

typedef struct Pushing {
        Push *push; /* NULL: RemoteWrite= is not set */
        sd_event_source *io, *timer;
        usec_t collected; /* monotonic */
} Pushing;

/* A piece of upkeep: one at a time. */
typedef struct Upkeep {
        HistoryJob job;
        struct Run *run;
        bool under_way;
        bool round; /* of a round: also with nothing to write it is opened, and what was wrong with it may be over */
        bool round_waits; /* for the one under way */
        uint64_t now; /* s */
        bool may_forget, more;
        HistoryDbStatus status;
} Upkeep;

typedef struct Run {
        const RunOptions *o;
        sd_event *event;
        sd_event_source *round, *upkeep_timer, *answers, *written;
        GuardLink *link;
        Scribe *scribe;
        Upkeep upkeep;
        Queries *queries;
        Pages pages;
        Serving *serving;
        Pushing pushing;
        char host[HOST_NAME_MAX + 1];
        uint64_t events_next, policy_loaded, policy_asked; /* of the guard */
        uint64_t events_told; /* events_next once those that are on their way are on file; 0: none are */
        bool want_incidents, want_policy; /* the last ones could not be written */
        bool incidents_under_way, policy_under_way; /* to the history: no more of them until then */
        uint64_t offset; /* realtime − time since boot */
        usec_t begun, jumped, details_asked; /* monotonic */
        uint64_t told_aside, told_failed;
        bool waited; /* for room, in this round */
} Run;

void run_log(int priority, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        if (getenv("JOURNAL_STREAM"))
                (void)fprintf(stderr, "<%d>%s\n", priority, text ? text : "out of memory");
        else
                (void)fprintf(stderr, "bailiff-exporter: %s\n", text ? text : "out of memory");
}

/* ---- answers ---- */

static void keep_text(Buf *to, const Buf *data) {
        buf_deinit(to);
        buf_append(to, data->data, data->len);
        if (buf_error(to) < 0)
                buf_deinit(to);
}

static void keep_json(json_t **to, json_t *j) {
        json_decref(*to);
        *to = j;
}

static void take_stream(Run *r, const Buf *data) {
        Collect *c = r->pages.collect;
        int k = collect_stream(c, data->data, data->len, clock_realtime());

        if (k < 0)
                run_log(LOG_WARNING, "the guard's history cannot be read: %s",
                        k == -EPROTONOSUPPORT ? "it is of a later version" : strerror(-k));
        guardlink_set_stream(r->link, history_reader_instance(c->reader), history_reader_cursor(c->reader));
        if (c->wants_details)
                guardlink_add(r->link, UINT32_C(1) << ASK_CONTAINERS);
}

static void take_status(Run *r, json_t *status) {
        uint64_t loaded = json_number(json_member(status, "policy"), "loaded");

        if (loaded != r->policy_loaded || r->want_policy)
                guardlink_add(r->link, UINT32_C(1) << ASK_POLICY | UINT32_C(1) << ASK_TENANTS |
                                               UINT32_C(1) << ASK_CONTAINERS);
        r->policy_asked = loaded; /* it is had once that is answered */
        keep_json(&r->pages.status, json_incref(status));
}

/* Those that are whole; the others are left for the next round. *next: the first one that is not taken. */
static json_t *ripe(const json_t *events, uint64_t now, uint64_t *next) {
        json_t *list = json_array(), *o;
        size_t i;

        json_array_foreach((json_t *)events, i, o) {
                uint64_t time = json_number(o, "time");

                /* One of the future was made before the clock was set back. */
                if (time + RIPE_USEC > now && time <= now + RIPE_USEC) {
                        *next = json_number(o, "id");
                        break;
                }
                (void)json_array_append(list, o);
        }
        return list;
}

/* Ids begin anew where a guard lost them; then all that it has is asked for. */
static void take_events(Run *r, const json_t *j) {
        uint64_t next = json_number(j, "next");
        json_t *events;

        if (next < r->events_next) {
                r->events_next = 0;
                guardlink_set_events(r->link, 0);
                return;
        }
        if (r->events_told > 0)
                return;
        events = ripe(json_member(j, "events"), clock_realtime(), &next);
        if (json_array_size(events) > 0)
                guardlink_add(r->link, UINT32_C(1) << ASK_INCIDENTS);
        r->events_told = next;
        collect_events(r->pages.collect, events);
        json_decref(events);
}

/* While the disk hangs nothing piles up: what is newer by then is asked for then. */
static void take_incidents(Run *r, const json_t *j) {
        r->want_incidents = r->incidents_under_way;
        if (r->incidents_under_way)
                return;
        r->incidents_under_way = true;
        collect_incidents(r->pages.collect, json_member(j, "incidents"), clock_realtime());
}

static void take_policy(Run *r, const json_t *j) {
        r->want_policy = r->policy_under_way;
        if (r->policy_under_way)
                return;
        r->policy_under_way = true;
        r->policy_loaded = r->policy_asked;
        collect_policy(r->pages.collect, j, clock_realtime());
}

static void written(void *user, CollectWords what, bool ok) {
        Run *r = user;

        switch (what) {
        case COLLECT_EVENTS:
                if (ok) {
                        r->events_next = r->events_told;
                        guardlink_set_events(r->link, r->events_next);
                }
                r->events_told = 0;
                break;
        case COLLECT_INCIDENTS:
                r->incidents_under_way = false;
                r->want_incidents |= !ok;
                break;
        default:
                r->policy_under_way = false;
                r->want_policy |= !ok;
                break;
        }
}

static void take_containers(Run *r, const json_t *j) {
        collect_details(r->pages.collect, json_member(j, "containers"));
        r->pages.foreign_cadvisor = pages_find_cadvisor(r->pages.status, json_member(j, "containers"));
        r->pages.details_at = clock_realtime();
        r->details_asked = clock_monotonic();
}

static void take_json(Run *r, GuardQuestion q, json_t *j, const Buf *data) {
        switch (q) {
        case ASK_USAGE:
                if (collect_usage(r->pages.collect, j, clock_realtime()) < 0)
                        run_log(LOG_ERR, "out of memory");
                keep_json(&r->pages.usage, json_incref(j));
                break;
        case ASK_STATUS:
                take_status(r, j);
                break;
        case ASK_EVENTS:
                take_events(r, j);
                break;
        case ASK_INCIDENTS:
                take_incidents(r, j);
                break;
        case ASK_CONTAINERS:
                take_containers(r, j);
                keep_text(&r->pages.containers_text, data);
                break;
        case ASK_TENANTS:
                keep_text(&r->pages.tenants_text, data);
                keep_json(&r->pages.tenants, json_incref(json_object_get(j, "tenants")));
                break;
        case ASK_POLICY:
                take_policy(r, j);
                break;
        case ASK_OBSERVED:
                keep_json(&r->pages.observed, json_incref(json_object_get(j, "tenants")));
                break;
        default:
                break;
        }
}

static void answered(void *user, GuardQuestion q, const Buf *data, const char *error) {
        Run *r = user;
        ExporterStats *s = &r->pages.stats;
        json_t *j;

        if (!data) {
                if (s->connected || !*s->guard_error)
                        run_log(LOG_NOTICE, "the guard does not answer: %s; asking again every %llu s", error,
                                (unsigned long long)(ROUND_USEC / USEC_PER_SEC));
                s->connected = false;
                s->rounds_failed++;
                (void)snprintf(s->guard_error, sizeof(s->guard_error), "%s", error);
                return;
        }
        if (!s->connected)
                run_log(LOG_INFO, "the guard answers");
        s->connected = true;
        s->guard_error[0] = '\0';
        s->guard_seen = clock_realtime();
        if (q == ASK_STREAM) {
                take_stream(r, data);
                return;
        }
        j = json_loadb(buf_str(data), data->len, 0, NULL);
        if (j)
                take_json(r, q, j, data);
        else
                run_log(LOG_WARNING, "an answer of the guard is no JSON, or there is no memory for it");
        json_decref(j);
}

/* ---- rounds ---- */

static void say_history(Run *r, HistoryDbState state, const char *error) {
        ExporterStats *s = &r->pages.stats;
        HistoryDbState before = s->history;

        s->history = state;
        (void)snprintf(s->history_error, sizeof(s->history_error), "%s", error);
        if (state == before)
                return;
        if (state == HISTORY_DB_WELL)
                run_log(LOG_NOTICE, "the history is written again");
        else
                run_log(LOG_ERR, "the history is not written (%s): %s; serving goes on, trying again",
                        history_db_state_to_string(state), error);
}

/* What failed in a round holds for all of it, though a smaller transaction may have found room after it. */
static void tell_history(Run *r) {
        const HistoryDbStatus *h = &r->pages.history;
        bool failed = h->n_failed > r->told_failed;

        if (h->n_set_aside > r->told_aside)
                run_log(LOG_ERR, "the history was damaged: it was set aside as %s, and a new one begun",
                        h->set_aside);
        r->told_aside = h->n_set_aside;
        r->told_failed = h->n_failed;
        say_history(r, failed ? h->failed_state : HISTORY_DB_WELL, failed ? h->failed_text : "");
}

static void look_at_clock(Run *r, usec_t now) {
        /* A suspended host is no clock that was set. */
        uint64_t offset = clock_realtime() - clock_usec(CLOCK_BOOTTIME),
                 off = offset > r->offset ? offset - r->offset : r->offset - offset;

        if (off > JUMP_USEC && r->offset > 0) {
                run_log(LOG_NOTICE,
                        "the clock of this host was set %s by %llu s: the history goes on at the new time",
                        offset > r->offset ? "forward" : "back", (unsigned long long)(off / USEC_PER_SEC));
                r->pages.stats.clock_jumps++;
                r->jumped = now;
        }
        r->offset = offset;
}

static void look_at_self(Run *r) {
        struct rusage u;
        char text[64];
        const char *p;
        uint64_t pages;

        if (getrusage(RUSAGE_SELF, &u) == 0)
                r->pages.stats.cpu_usec = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC +
                                          (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
        if (fd_read_at(AT_FDCWD, "/proc/self/statm", text, sizeof(text)) > 0 && (p = strchr(text, ' ')) &&
            (p++, num_scan_u64(&p, text + strlen(text), &pages) >= 0))
                r->pages.stats.rss_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        r->pages.stats.certificate_until = serving_certificate_until(r->serving);
}

/* ---- who is told ---- */

static void run_push(Run *r) {
        ExporterStats *s = &r->pages.stats;
        PushStatus before = s->push;
        usec_t again;

        push_run(r->pushing.push, clock_monotonic(), clock_realtime(), &again);
        (void)sd_event_source_set_time(r->pushing.timer, again);
        (void)sd_event_source_set_enabled(r->pushing.timer,
                                          again == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
        push_get_status(r->pushing.push, &s->push);
        if (s->push.state == before.state)
                return;
        if (s->push.state == PUSH_WELL)
                run_log(LOG_NOTICE, "what is pushed is taken again");
        else if (s->push.state == PUSH_FAILING)
                run_log(LOG_WARNING, "pushing fails (%s): it is kept, trying again", s->push.error);
        else
                run_log(LOG_ERR, "what is pushed is refused (%s): what was refused is given up",
                        s->push.error);
}

static int on_push_io(sd_event_source *s, int fd, uint32_t events, void *user) {
        (void)s;
        (void)fd;
        (void)events;
        run_push(user);
        return 0;
}

static int on_push_timer(sd_event_source *s, uint64_t at, void *user) {
        (void)s;
        (void)at;
        run_push(user);
        return 0;
}

/* With the rounds, whose answers are then the freshest: half a round early is in time. */
static void collect_push(Run *r, usec_t now) {
        usec_t interval = r->o->config->push.interval_sec * USEC_PER_SEC;
        int before = r->pages.stats.push.backlog_error, k;

        if (r->pushing.collected > 0 && now - r->pushing.collected + ROUND_USEC / 2 < interval)
                return;
        r->pushing.collected = now;
        k = push_collect(r->pushing.push, &r->pages, clock_realtime());
        if (k < 0)
                run_log(LOG_ERR, "this round is not pushed: %s", strerror(-k));
        run_push(r);
        if (r->pages.stats.push.backlog_error < 0 && before == 0)
                run_log(LOG_ERR, "the backlog cannot be written: %s; a little is kept in memory",
                        strerror(-r->pages.stats.push.backlog_error));
}

static void write_textfile(Run *r) {
        const char *dir = r->o->config->textfile_dir;
        ExporterStats *s = &r->pages.stats;
        int before = s->textfile_error;

        s->textfile_error = textfile_write(dir, &r->pages);
        s->textfile_failures += s->textfile_error < 0;
        if (s->textfile_error < 0 && before == 0)
                run_log(LOG_ERR, "TextfileDirectory=%s cannot be written: %s; trying again with each round",
                        dir, strerror(-s->textfile_error));
        else if (s->textfile_error == 0 && before < 0)
                run_log(LOG_NOTICE, "TextfileDirectory=%s is written again", dir);
}

static int start_push(Run *r, const char *dir) {
        const PushOptions o = { .config = r->o->config, .dir = dir, .host = r->host };
        int k = push_new(&o, &r->pushing.push);

        if (k < 0) {
                run_log(LOG_ERR, "RemoteWrite=: %s", strerror(-k));
                return k;
        }
        k = sd_event_add_io(r->event, &r->pushing.io, push_fd(r->pushing.push), EPOLLIN, on_push_io, r);
        if (k >= 0)
                k = sd_event_add_time(r->event, &r->pushing.timer, CLOCK_MONOTONIC, clock_monotonic(),
                                      10 * USEC_PER_MSEC, on_push_timer, r);
        return k;
}

/* ---- upkeep of the history ---- */

static int run_upkeep(HistoryJob *job, HistoryDb *db) {
        Upkeep *u = (Upkeep *)job;

        if (u->round) {
                (void)history_db_begin(db);
                (void)history_db_commit(db);
        }
        (void)history_db_maintain(db, u->now, u->may_forget);
        u->more = history_db_wants_more(db);
        history_db_get_status(db, &u->status);
        return 0;
}

static void upkeep(Run *r, bool round);
static void tell_others(Run *r, bool disk_hangs);

static void done_upkeep(HistoryJob *job) {
        Upkeep *u = (Upkeep *)job;
        Run *r = u->run;

        u->under_way = false;
        if (job->result != 0)
                return;
        r->pages.history = u->status;
        if (u->round) {
                tell_history(r);
                tell_others(r, false);
        }
        if (u->round_waits) {
                upkeep(r, true);
                return;
        }
        if (!u->more)
                return;
        (void)sd_event_source_set_time(r->upkeep_timer, clock_monotonic() + UPKEEP_REST);
        (void)sd_event_source_set_enabled(r->upkeep_timer, SD_EVENT_ONESHOT);
}

/* Behind all that is to be written; where a disk does not take it for long that is said. */
static void upkeep(Run *r, bool round) {
        usec_t now = clock_monotonic(), since = scribe_since(r->scribe);
        char text[64];

        if (since > 0 && now > since + LATE_USEC) {
                (void)snprintf(text, sizeof(text), "the disk has not taken a write for %llu s",
                               (unsigned long long)((now - since) / USEC_PER_SEC));
                say_history(r, HISTORY_DB_SLOW, text);
        }
        if (r->upkeep.under_way) {
                r->upkeep.round_waits |= round;
                return;
        }
        r->upkeep = (Upkeep){
                .job = { .run = run_upkeep, .done = done_upkeep },
                .run = r,
                .under_way = true,
                .round = round,
                .now = clock_realtime() / USEC_PER_SEC,
                .may_forget = now - r->jumped > TRUST_USEC,
        };
        scribe_submit(r->scribe, &r->upkeep.job);
}

static int on_upkeep(sd_event_source *s, uint64_t at, void *user) {
        (void)s;
        (void)at;
        upkeep(user, false);
        return 0;
}

static int on_written(sd_event_source *s, int fd, uint32_t events, void *user) {
        Run *r = user;

        (void)s;
        (void)fd;
        (void)events;
        scribe_collect(r->scribe);
        return 0;
}

static void submit(void *user, HistoryJob *j) {
        Run *r = user;

        scribe_submit(r->scribe, j);
}

/* A stream that reaches far back is many jobs, which a disk that is well does while it is waited for. */
static bool has_room(void *user) {
        Run *r = user;
        bool room = scribe_wait(r->scribe, WRITES_MAX - 1, r->waited ? 0 : ROOM_USEC);

        r->waited = !room;
        return room;
}

static int start_history(Run *r, const HistoryDbOptions *o) {
        const CollectOptions collect = {
                .jobs = { .submit = submit, .has_room = has_room, .user = r },
                .written = written,
                .user = r,
        };
        int k = scribe_new(o, &r->scribe);

        if (k >= 0)
                k = collect_new(&collect, &r->pages.collect);
        if (k >= 0)
                k = sd_event_add_io(r->event, &r->written, scribe_fd(r->scribe), EPOLLIN, on_written, r);
        if (k < 0)
                return k;
        collect_begin(r->pages.collect, clock_realtime());
        (void)scribe_wait(r->scribe, 0, KNOWN_AT_ONCE_USEC);
        return 0;
}

/* ---- the end of a round ---- */

/*
 * By way of files, too, but in the loop itself: so it is done right after the history's thread was done with a round, for then the disk
 * is taking writes. A round for which that is still under way is told to whoever needs no disk.
 */
static void tell_others(Run *r, bool disk_hangs) {
        if (r->pushing.push) {
                push_set_slow(r->pushing.push, disk_hangs);
                collect_push(r, clock_monotonic());
        }
        if (r->o->config->textfile_dir && !disk_hangs)
                write_textfile(r);
}

static void round_over(void *user) {
        Run *r = user;
        bool hangs = r->upkeep.under_way && r->upkeep.round;

        upkeep(r, true);
        serving_look_at_certificates(r->serving);
        look_at_self(r);
        if (hangs)
                tell_others(r, true);
        (void)sd_notify(false, "WATCHDOG=1");
}

static int on_round(sd_event_source *s, uint64_t at, void *user) {
        uint32_t questions = UINT32_C(1) << ASK_USAGE | UINT32_C(1) << ASK_STATUS | UINT32_C(1) << ASK_EVENTS;
        usec_t now = clock_monotonic();
        Run *r = user;

        (void)sd_event_source_set_time(s, MAX_OF(at + ROUND_USEC, now + USEC_PER_SEC));
        look_at_clock(r, now);
        r->waited = false;
        if (r->pages.collect->answered || now - r->begun > KNOWN_USEC)
                questions |= UINT32_C(1) << ASK_STREAM;
        if (r->details_asked == 0 || now - r->details_asked > DETAILS_USEC)
                questions |= UINT32_C(1) << ASK_CONTAINERS | UINT32_C(1) << ASK_TENANTS |
                             UINT32_C(1) << ASK_INCIDENTS | UINT32_C(1) << ASK_OBSERVED;
        if (r->want_incidents)
                questions |= UINT32_C(1) << ASK_INCIDENTS;
        if (guardlink_ask(r->link, questions) < 0)
                r->pages.stats.rounds_skipped++;
        else
                r->pages.stats.rounds++;
        (void)sd_notify(false, "WATCHDOG=1");
        return 0;
}

/* ---- whoever asks ---- */

static void handle(void *user, const HttpRequest *request, HttpAnswer *a) {
        Run *r = user;

        look_at_self(r);
        pages_answer(&r->pages, request, a, clock_realtime());
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *user) {
        Run *r = user;

        (void)s;
        (void)si;
        if (!serving_renew(r->serving))
                run_log(LOG_NOTICE,
                        "SIGHUP: there are no certificates to be read again; exporter.conf is read "
                        "with a restart only");
        return 0;
}

/* ---- questions to the history ---- */

static int ask_later(void *user, const HttpRequest *request, const HistoryQuestion *q) {
        HttpConnection *c = http_request_defer(request);
        Run *r = user;
        int k;

        if (!c)
                return -ENOMEM;
        k = queries_add(r->queries, q, c);
        if (k < 0)
                http_request_answer_now(request);
        return k;
}

static void answered_later(void *user, void *cookie, HttpAnswer *a) {
        Run *r = user;

        pages_count(&r->pages, a);
        http_answer(cookie, a);
}

static int on_answers(sd_event_source *s, int fd, uint32_t events, void *user) {
        Run *r = user;

        (void)s;
        (void)fd;
        (void)events;
        queries_collect(r->queries);
        serving_run(r->serving);
        return 0;
}

static int start_queries(Run *r, const char *path) {
        const QueriesOptions o = { .path = path, .answered = answered_later, .user = r };
        int k = queries_new(&o, &r->queries);

        if (k >= 0)
                k = sd_event_add_io(r->event, &r->answers, queries_fd(r->queries), EPOLLIN, on_answers, r);
        r->pages.ask = ask_later;
        r->pages.ask_user = r;
        return k;
}

/* ---- all of it ---- */

static void run_deinit(Run *r) {
        sd_event_source_disable_unref(r->answers);
        queries_free(r->queries); /* its answers are the servers' */
        serving_free(r->serving);
        sd_event_source_disable_unref(r->pushing.io);
        sd_event_source_disable_unref(r->pushing.timer);
        push_free(r->pushing.push);
        sd_event_source_disable_unref(r->round);
        sd_event_source_disable_unref(r->written);
        scribe_free(r->scribe); /* its jobs tell the others */
        sd_event_source_disable_unref(r->upkeep_timer);
        guardlink_free(r->link);
        collect_free(r->pages.collect);
        buf_deinit(&r->pages.tenants_text);
        buf_deinit(&r->pages.containers_text);
        json_decref(r->pages.status);
        json_decref(r->pages.usage);
        json_decref(r->pages.tenants);
        json_decref(r->pages.observed);
        sd_event_unref(r->event);
}

/* 64 bits of the boot id are enough to tell boots apart. */
static uint64_t read_boot(void) {
        uint64_t v = 0;
        char text[64];

        if (fd_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text)) < 36)
                return 0;
        for (size_t i = 0, n = 0; text[i] && n < 15; i++) {
                const char *digit = strchr("0123456789abcdef", text[i]);

                if (!digit)
                        continue;
                v = v << 4 | (uint64_t)(digit - "0123456789abcdef");
                n++;
        }
        return v;
}

static int start(Run *r, const char *path, const char *push_dir) {
        const Config *c = r->o->config;
        const HistoryDbOptions db = {
                .path = path,
                .keep_sec = { c->keep_raw_sec, c->keep_5min_sec, c->keep_1h_sec },
                .max_bytes = c->history_max_bytes,
                .boot = read_boot(),
        };
        const GuardLinkOptions link = { r->event, answered, round_over, r };
        const ServingOptions serving = { r->event, c, r->o->socket, handle, r };
        int k = guardlink_new(&link, &r->link);

        if (k >= 0)
                k = sd_event_add_time(r->event, &r->upkeep_timer, CLOCK_MONOTONIC, UINT64_MAX, USEC_PER_MSEC,
                                      on_upkeep, r);
        if (k >= 0)
                k = start_history(r, &db);
        if (k >= 0)
                k = start_queries(r, path);
        if (k >= 0)
                k = serving_new(&serving, &r->serving);
        if (k >= 0 && c->push.url)
                k = start_push(r, push_dir);
        if (k >= 0)
                k = sd_event_add_time(r->event, &r->round, CLOCK_MONOTONIC, clock_monotonic(), USEC_PER_MSEC,
                                      on_round, r);
        if (k >= 0)
                k = sd_event_source_set_enabled(r->round, SD_EVENT_ON);
        return k;
}

int run(const RunOptions *o) {
        _cleanup_(run_deinit) Run r = { .o = o, .pages = { .config = o->config }, .jumped = 0 };
        _cleanup_free_ char *path = NULL, *push_dir = NULL;
        sigset_t mask;
        int k;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGTERM);
        (void)sigaddset(&mask, SIGINT);
        (void)sigaddset(&mask, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
        r.pages.stats.started = clock_realtime();
        r.begun = r.jumped = clock_monotonic();
        if (asprintf(&path, "%s/history.db", o->state_dir) < 0 ||
            asprintf(&push_dir, "%s/push", o->state_dir) < 0)
                return -ENOMEM;
        (void)gethostname(r.host, sizeof(r.host) - 1);
        k = sd_event_default(&r.event);
        if (k >= 0)
                k = sd_event_add_signal(r.event, NULL, SIGTERM, NULL, NULL);
        if (k >= 0)
                k = sd_event_add_signal(r.event, NULL, SIGINT, NULL, NULL);
        if (k >= 0)
                k = sd_event_add_signal(r.event, NULL, SIGHUP, on_hangup, &r);
        if (k >= 0)
                k = start(&r, path, push_dir);
        if (k < 0)
                return k;
        (void)sd_notify(false, "READY=1");
        k = sd_event_loop(r.event);
        (void)sd_notify(false, "STOPPING=1");
        if (o->config->textfile_dir)
                textfile_remove(o->config->textfile_dir);
        return k;
}
