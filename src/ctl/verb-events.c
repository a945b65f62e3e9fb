/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `events`: what the guard did and saw, from its own memory; where that does not reach back far enough, with what the exporter keeps
 * before it (the journal keeps more, too: journalctl -u bailiffd).
 *
 * Following asks for what came since the last id whenever the guard signals an
 * act (once a second at most, however many there are), and every few seconds without
 * one, so nothing depends on a signal that a bus policy may withhold. Ids begin anew with a new
 * guard: an id that went back means all of it is new. A guard that restarts is waited for, and told on stderr.
 * ^C is how following ends, and no failure.
 */

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "ctl.h"
#include "exporter-client.h"
#include "num.h"
#include "screens.h"
#include "value.h"

#define FOLLOW_LINES 10
#define FOLLOW_POLL (5 * USEC_PER_SEC)
#define FOLLOW_POLL_REMOTE (2 * USEC_PER_SEC)
#define FOLLOW_REST USEC_PER_SEC /* from one question to the next */

static TextStyle kind_style(const char *kind) {
        static const char *const bad[] = { "refused", "fight", "degraded", "stop", "kill", "storm", NULL },
                                 *const warn[] = { "drift",   "capped",        "squeeze",       "pause",
                                                   "release", "contradiction", "throttle",      "freeze",
                                                   "alarm",   "thrash",        "lookup-failed", NULL };

        for (size_t i = 0; bad[i]; i++)
                if (STR_EQ(bad[i], kind))
                        return STYLE_BAD;
        for (size_t i = 0; warn[i]; i++)
                if (STR_EQ(warn[i], kind))
                        return STYLE_WARN;
        return STYLE_PLAIN;
}

void screen_event(const json_t *event, const View *v) {
        const char *kind = json_text(event, "kind"), *text = json_text(event, "text"),
                   *tenant = json_text(event, "tenant");
        _cleanup_buf_ Buf b = BUF_INIT, who = BUF_INIT;
        TextStyle style = kind_style(kind ? kind : "");
        char when[SAY_MAX];

        text_escape(&who, tenant ? tenant : "-", v->utf8, false);
        text_escape(&b, text ? text : "", v->utf8, true);
        while (b.len > 0 && b.data[b.len - 1] == '\n')
                b.data[--b.len] = '\0';
        if (json_has(event, "uid"))
                buf_printf(&b, " (uid %llu, pid %llu)", (unsigned long long)json_number(event, "uid"),
                           (unsigned long long)json_number(event, "pid"));
        (void)fprintf(v->out, "%s %5llu %s%-13s%s %-12s ", say_time(json_number(event, "time"), when),
                      (unsigned long long)json_number(event, "id"), text_style_on(v, style),
                      kind ? kind : "?", text_style_off(v, style), buf_str(&who));
        for (const char *p = buf_str(&b); *p; p++) {
                (void)fputc(*p, v->out);
                if (*p == '\n')
                        (void)fputs("    ", v->out);
        }
        (void)fputc('\n', v->out);
}

typedef struct Range {
        uint64_t id; /* only later ones */
        uint64_t from; /* realtime; 0: any */
        uint32_t max; /* the newest; 0: all */
} Range;

/* All digits: an event's id; else a span back from now. */
static int parse_since(const Ctl *c, Range *r) {
        usec_t span;
        int k;

        if (!(c->given & OPTION_SINCE))
                return STATUS_DONE;
        if (*c->since && strspn(c->since, "0123456789") == strlen(c->since)) {
                if (num_parse_u64(c->since, &r->id) >= 0)
                        return STATUS_DONE;
        } else {
                k = value_parse_usec(c->since, &span);
                if (k >= 0) {
                        uint64_t now = clock_realtime();

                        r->from = span < now ? now - span : 0;
                        return STATUS_DONE;
                }
        }
        return ctl_fail(STATUS_USAGE,
                        "--since %s: expected a time span such as 10min or 2h, or the id of an event",
                        c->since);
}

static int parse_lines(const Ctl *c, Range *r) {
        if (c->given & OPTION_LINES) {
                if (num_parse_u32(c->lines, &r->max) < 0 || r->max == 0)
                        return ctl_fail(STATUS_USAGE, "--lines %s: expected a number of events above 0",
                                        c->lines);
        } else if ((c->given & OPTION_FOLLOW) && !(c->given & OPTION_SINCE))
                r->max = FOLLOW_LINES;
        return STATUS_DONE;
}

static void tell(const Ctl *c, const char *text) {
        if (!c->json)
                (void)fprintf(stderr, "-- %s --\n", text);
}

/* What was before the guard's own memory. j NULL: it cannot be asked at all. */
static int add_kept(const Ctl *c, const Range *r, json_t **j) {
        const json_t *first = json_array_get(json_member(*j, "events"), 0);
        _cleanup_buf_ Buf error = BUF_INIT;
        uint64_t now = clock_realtime();
        json_t *kept = NULL;
        int k;

        if (r->from == 0 || c->host || (first && json_number(first, "time") <= r->from))
                return STATUS_DONE;
        k = exporter_get_events(EXPORTER_SOCKET, now - MIN_OF(now, r->from), r->max, &kept, &error);
        if (k == STATUS_DONE && *j)
                exporter_join_events(json_object_get(*j, "events"), json_member(kept, "events"));
        else if (k == STATUS_DONE)
                *j = json_incref(kept);
        else if (*j)
                tell(c, "the guard's own memory may not reach back so far, and bailiff-exporter, which keeps "
                        "more, "
                        "cannot be asked");
        json_decref(kept);
        return k;
}

/* Those of the range stay in j's array. */
static void narrow(json_t *j, const Range *r) {
        json_t *events = json_object_get(j, "events");

        while (json_array_size(events) > 0 && r->from > 0 &&
               json_number(json_array_get(events, 0), "time") < r->from)
                (void)json_array_remove(events, 0);
        while (r->max > 0 && json_array_size(events) > r->max)
                (void)json_array_remove(events, 0);
}

static void print_events(const Ctl *c, const json_t *j) {
        const json_t *e;
        size_t i;

        json_array_foreach(json_member(j, "events"), i, e) {
                if (c->json) {
                        (void)json_dumpf(e, c->view.out, JSON_COMPACT);
                        (void)fputc('\n', c->view.out);
                } else
                        screen_event(e, &c->view);
        }
        (void)fflush(c->view.out);
}

static volatile sig_atomic_t stopped;

static void on_interrupt(int signal) {
        (void)signal;
        stopped = 1;
}

/* Whatever waits comes back; a second ^C ends at once what does not (a guard that keeps its answer). */
static void catch_interrupt(void) {
        struct sigaction a = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };

        (void)sigemptyset(&a.sa_mask);
        (void)sigaction(SIGINT, &a, NULL);
}

/* Until it is time to ask again: news, but no sooner than FOLLOW_REST after the last question. */
static void wait_for_news(const Ctl *c, usec_t asked, bool lost) {
        usec_t poll = lost ? FOLLOW_REST : c->host ? FOLLOW_POLL_REMOTE : FOLLOW_POLL, now;

        client_wait(c->client, poll);
        now = clock_monotonic();
        if (!stopped && now < asked + FOLLOW_REST) {
                usec_t rest = asked + FOLLOW_REST - now;
                struct timespec ts = { .tv_sec = (time_t)(rest / USEC_PER_SEC),
                                       .tv_nsec = (long)(rest % USEC_PER_SEC) * 1000 };

                (void)nanosleep(&ts, NULL);
        }
}

static int follow(Ctl *c, uint64_t next) {
        usec_t asked = clock_monotonic();
        bool lost = false;

        while (!stopped && !ferror(c->view.out)) {
                json_t *j = NULL;
                int r;

                wait_for_news(c, asked, lost);
                if (stopped)
                        break;
                asked = clock_monotonic();
                r = client_get_events(c->client, next, 0, &j);
                if (stopped) {
                        json_decref(j);
                        break;
                }
                if (r == STATUS_UNREACHABLE) {
                        if (!lost)
                                tell(c, "bailiffd is gone; waiting for it");
                        lost = true;
                        continue;
                }
                if (r != STATUS_DONE)
                        return ctl_client_failed(c, r);
                if (json_number(j, "next") < next) {
                        /* A new guard counts from the beginning. */
                        tell(c, "a new bailiffd runs; its events begin anew");
                        json_decref(j);
                        next = 0;
                        lost = false;
                        continue;
                }
                if (lost)
                        tell(c, "bailiffd is back");
                lost = false;
                next = json_number(j, "next");
                print_events(c, j);
                json_decref(j);
        }
        return stopped ? STATUS_DONE : STATUS_FAILED;
}

int verb_events(Ctl *c) {
        Range range = {};
        json_t *j = NULL;
        uint64_t next;
        int r = parse_since(c, &range);

        if (r == STATUS_DONE)
                r = parse_lines(c, &range);
        if (r != STATUS_DONE)
                return r;
        if (c->given & OPTION_FOLLOW)
                catch_interrupt();
        /* The server's own limit counts before time: only ask for fewer where time does not narrow. */
        r = client_get_events(c->client, range.id, range.from > 0 ? 0 : range.max, &j);
        if (stopped) {
                json_decref(j);
                return STATUS_DONE;
        }
        /* It may be known without a guard, but not followed. */
        if (r == STATUS_UNREACHABLE && range.from > 0 && !(c->given & OPTION_FOLLOW) &&
            add_kept(c, &range, &j) == STATUS_DONE && j)
                r = STATUS_DONE;
        else if (r == STATUS_DONE)
                (void)add_kept(c, &range, &j);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        narrow(j, &range);
        next = json_number(j, "next");
        if (c->json && !(c->given & OPTION_FOLLOW))
                return ctl_print_json(c, j);
        if (!(c->given & OPTION_FOLLOW))
                ctl_page(c);
        print_events(c, j);
        json_decref(j);
        return c->given & OPTION_FOLLOW ? follow(c, next) : STATUS_DONE;
}
