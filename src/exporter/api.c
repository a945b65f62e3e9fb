/* SPDX-License-Identifier: Apache-2.0 */

/*
 * /api/v1: the guard's last answers as they came (bailiffd(8) has their schema) with the time that they are of, and what the
 * history says: usage, events, incidents.
 *
 * Parameters are few and strict; what is not understood is refused with the reason rather than ignored.
 *
 * What asks the history is only put down here (HistoryQuestion); it is answered by query_answer(), in another thread (queries.h) or
 * at once. What is written there must not touch the pages.
 */

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "bookmetrics.h"
#include "settings.h"
#include "exporter.h"
#include "jsonget.h"
#include "num.h"
#include "openapi.h"
#include "report-html.h"
#include "report.h"
#include "value.h"

#define API "/api/v1/"
#define EVENTS_MAX 10000
#define JSON_TYPE "application/json"
#define SINCE_DEFAULT (24 * 3600 * USEC_PER_SEC)

static const char text_type[] = "text/plain; charset=utf-8";

static void refuse(HttpAnswer *a, unsigned status, const char *format, ...) _printf_(3, 4);
static void refuse(HttpAnswer *a, unsigned status, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        json_t *o;
        va_list ap;
        char *s;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        buf_clear(&a->body);
        a->status = status;
        a->type = JSON_TYPE;
        o = json_pack("{s:s}", "error", text ? text : "out of memory");
        s = json_dumps(o, JSON_COMPACT);
        json_decref(o);
        if (s)
                buf_puts(&a->body, s);
        free(s);
}

static int append(const char *data, size_t n, void *user) {
        buf_append(user, data, n);
        return buf_error(user);
}

/* Takes the reference. */
static void send_json(HttpAnswer *a, json_t *o) {
        a->type = JSON_TYPE;
        if (!o || json_dump_callback(o, append, &a->body, JSON_COMPACT) < 0)
                a->body.error = -ENOMEM;
        json_decref(o);
}

/* {"time": …, and the members of an answer that is text. */
static void send_known(HttpAnswer *a, const Buf *text, uint64_t time) {
        if (text->len < 2) {
                refuse(a, 503, "the guard has not answered yet");
                return;
        }
        a->type = JSON_TYPE;
        buf_printf(&a->body, "{\"time\":%llu%s", (unsigned long long)time, text->len > 2 ? "," : "");
        buf_append(&a->body, text->data + 1, text->len - 1);
}

static json_t *number(uint64_t v) { return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v); }

static json_t *text(const char *s) {
        _cleanup_free_ char *good = metrics_text(s, 4096);

        return json_string(good ? good : "");
}

static json_t *text_or_null(const char *s) { return s && *s ? text(s) : json_null(); }

/* ---- status ---- */

static void send_status(Pages *p, HttpAnswer *a) {
        const ExporterStats *s = &p->stats;
        const HistoryDbStatus *h = &p->history;

        send_json(a,
                  json_pack("{s:O?, s:{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:{s:s, s:o, s:o, s:o, s:o, s:o, "
                            "s:o, s:o, s:o}}}",
                            "guard", s->connected ? p->status : NULL, "exporter", "started",
                            number(s->started), "guard_up", (int)s->connected, "guard_seen",
                            s->guard_seen > 0 ? number(s->guard_seen) : json_null(), "guard_error",
                            text_or_null(s->guard_error), "clock_jumps", number(s->clock_jumps),
                            "rounds_failed", number(s->rounds_failed), "push",
                            p->config->push.url ? push_status_to_json(&s->push) : json_null(), "history",
                            "state", history_db_state_to_string(s->history), "error",
                            text_or_null(s->history_error), "bytes", number(h->bytes), "used_bytes",
                            number(h->used_bytes), "failed", number(h->n_failed), "set_aside",
                            text_or_null(h->set_aside), "oldest_raw",
                            number(h->oldest[HISTORY_RAW] * USEC_PER_SEC), "oldest_5min",
                            number(h->oldest[HISTORY_5MIN] * USEC_PER_SEC), "oldest_1h",
                            number(h->oldest[HISTORY_1H] * USEC_PER_SEC)));
}

/* ---- what the history says ---- */

static int answer_usage(HistoryDb *db, const HistoryQuestion *q, HttpAnswer *a);
static int answer_words(HistoryDb *db, const HistoryQuestion *q, HttpAnswer *a);

static bool take_name(const char *value, const char *name, char to[static 256], HttpAnswer *a) {
        if (value && strlen(value) >= 256) {
                refuse(a, 400, "%s: expected a name of less than 256 bytes", name);
                return false;
        }
        (void)snprintf(to, 256, "%s", value ? value : "");
        return true;
}

static bool parse(PagesParameter parameter, const void *user, uint64_t now, HttpAnswer *a,
                  HistoryQuestion *q) {
        const char *since = parameter(user, "since"), *id = parameter(user, "incident"),
                   *max = parameter(user, "max"), *by = parameter(user, "by");
        usec_t span = SINCE_DEFAULT;

        *q = (HistoryQuestion){ .to = now, .max = 1000 };
        if (since && (value_parse_usec(since, &span) < 0 || span == 0 || span == USEC_INFINITY)) {
                refuse(a, 400, "since: expected a time span such as 30d");
                return false;
        }
        q->from = now - MIN_OF(now, span);
        if (id && (num_parse_u64(id, &q->id) < 0 || q->id == 0)) {
                refuse(a, 400, "incident: expected a number");
                return false;
        }
        if (max && (num_parse_u32(max, &q->max) < 0 || q->max == 0 || q->max > EVENTS_MAX)) {
                refuse(a, 400, "max: expected a number from 1 to %d", EVENTS_MAX);
                return false;
        }
        if (by && !STR_EQ(by, "tenant") && !STR_EQ(by, "container")) {
                refuse(a, 400, "by: expected tenant or container");
                return false;
        }
        q->tenants = !by || STR_EQ(by, "tenant");
        q->containers = !by || STR_EQ(by, "container");
        return take_name(parameter(user, "tenant"), "tenant", q->tenant, a) &&
               take_name(parameter(user, "container"), "container", q->container, a);
}

void query_answer(HistoryDb *reader, const HistoryQuestion *q, bool (*stop)(void *user), void *user,
                  HttpAnswer *a) {
        HistoryDbStatus h = {};
        int r;

        history_db_set_stop(reader, stop, user);
        r = history_db_read_begin(reader);
        if (r == 0) {
                r = q->answer(reader, q, a);
                if (r > 0)
                        history_db_get_status(reader, &h);
                history_db_read_end(reader);
        } else
                history_db_get_status(reader, &h);
        if (r == -E2BIG)
                refuse(a, 503, "that is about more than %d: ask for a shorter time, or by=tenant",
                       HISTORY_SUBJECTS_MAX);
        else if (r < 0)
                a->body.error = r;
        else if (r == HISTORY_DB_STOPPED)
                refuse(a, 503, "that takes too long: ask for a shorter time, or by=tenant");
        else if (r > 0)
                refuse(a, 503, "the history cannot be read (%s)%s%s",
                       history_db_state_to_string((HistoryDbState)r), *h.text ? ": " : "", h.text);
}

static json_t *stats_json(const UsageRow *row) {
        json_t *o = json_object();

        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                const UsageStat *s = &row->gauges[g];

                if (row->have >> g & 1)
                        (void)json_object_set_new(o, usage_gauge_name(g),
                                                  json_pack("{s:o, s:o, s:o, s:o}", "min", number(s->min),
                                                            "mean", number(s->mean), "max", number(s->max),
                                                            "p95", number(s->p95)));
        }
        return o;
}

static json_t *book_json(const UsageRow *row) {
        Book b;

        usage_row_to_book(row, &b);
        return usage_book_to_json(&b);
}

/* An element of an array that is text: a list of thousands of objects would be much larger. Takes the reference. */
static void add_element(Buf *out, json_t *o) {
        if (buf_str(out)[MAX_OF(out->len, (size_t)1) - 1] != '[')
                buf_putc(out, ',');
        if (!o || json_dump_callback(o, append, out, JSON_COMPACT) < 0)
                out->error = -ENOMEM;
        json_decref(o);
}

static void tell_tenant(void *user, const HistoryUsage *u) {
        add_element(user, json_pack("{s:o, s:o, s:o, s:o}", "name", text(u->cgroup.who.tenant), "since",
                                    number(u->first * USEC_PER_SEC), "book", book_json(&u->row), "stats",
                                    stats_json(&u->row)));
}

static void tell_container(void *user, const HistoryUsage *u) {
        const HistoryCgroup *c = &u->cgroup;

        add_element(user,
                    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                              text(c->who.name), "id", text_or_null(c->id), "tenant", text(c->who.tenant),
                              "cgroup", text(c->who.cgroup), "cgroup_id", number(c->who.cgroup_id), "engine",
                              text_or_null(c->engine), "image", text_or_null(c->image), "since",
                              number(u->first * USEC_PER_SEC), "ended",
                              c->ended > 0 ? number(c->ended) : json_null(), "end", text_or_null(c->end),
                              "book", book_json(&u->row), "stats", stats_json(&u->row)));
}

static int answer_usage(HistoryDb *db, const HistoryQuestion *q, HttpAnswer *a) {
        static void (*const tells[])(void *user, const HistoryUsage *u) = {
                [HISTORY_OF_TENANT] = tell_tenant, [HISTORY_OF_CGROUP] = tell_container
        };
        static const char *const names[] = {
                [HISTORY_OF_TENANT] = "tenants", [HISTORY_OF_CGROUP] = "containers"
        };
        static const HistoryOf order[] = { HISTORY_OF_TENANT, HISTORY_OF_CGROUP };
        uint64_t begin = 0;

        a->type = JSON_TYPE;
        buf_printf(&a->body, "{\"time\":%llu,\"to\":%llu,\"asked\":%llu", (unsigned long long)q->to,
                   (unsigned long long)q->to, (unsigned long long)(q->to - q->from));
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                uint64_t first = 0;
                int r;

                if (order[i] == HISTORY_OF_TENANT ? !q->tenants : !q->containers)
                        continue;
                buf_printf(&a->body, ",\"%s\":[", names[order[i]]);
                if (buf_error(&a->body) < 0)
                        return -ENOMEM;
                r = history_db_usage(db, order[i], q->from / USEC_PER_SEC, q->to / USEC_PER_SEC,
                                     tells[order[i]], &a->body, &first);
                if (r != 0)
                        return r;
                buf_putc(&a->body, ']');
                begin = begin == 0 ? first : first == 0 ? begin : MIN_OF(begin, first);
        }
        buf_printf(&a->body, ",\"from\":%llu}", (unsigned long long)(begin * USEC_PER_SEC));
        return 0;
}

static void tell_json(void *user, const char *json) {
        Buf *out = user;

        if (buf_str(out)[MAX_OF(out->len, (size_t)1) - 1] != '[')
                buf_putc(out, ',');
        buf_puts(out, json);
}

static int answer_words(HistoryDb *db, const HistoryQuestion *q, HttpAnswer *a) {
        const HistoryChoice choice = { .from = q->from,
                                       .to = q->to,
                                       .tenant = *q->tenant ? q->tenant : NULL,
                                       .container = *q->container ? q->container : NULL,
                                       .incident = q->id,
                                       .max = q->max };
        int r;

        a->type = JSON_TYPE;
        buf_printf(&a->body, "{\"time\":%llu,\"%s\":[", (unsigned long long)q->to,
                   q->incidents ? "incidents" : "events");
        if (buf_error(&a->body) < 0)
                return -ENOMEM;
        r = history_db_words(db, q->incidents ? HISTORY_INCIDENTS : HISTORY_EVENTS, &choice, tell_json,
                             &a->body);
        buf_puts(&a->body, "]}");
        return r;
}

/* ---- reports ---- */

/* Its styles are in it, and nothing else may be used. */
#define PAGE_TYPE "text/html; charset=utf-8"
#define PAGE_POLICY "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

static int answer_report(HistoryDb *db, const HistoryQuestion *q, HttpAnswer *a) {
        const ReportQuestion rq = { .from = q->from,
                                    .to = q->to,
                                    .tenant = *q->tenant ? q->tenant : NULL,
                                    .cpus = q->cpus,
                                    .memory_bytes = q->memory_bytes,
                                    .host = q->host };
        json_t *report = NULL;
        int r = report_from_history(db, &rq, &report);

        if (r == 0 && q->page) {
                a->type = PAGE_TYPE;
                a->policy = PAGE_POLICY;
                r = report_html(report, &a->body);
        } else if (r == 0)
                send_json(a, json_incref(report));
        json_decref(report);
        return r;
}

static bool ask_report(const Pages *p, PagesParameter parameter, const void *user, HttpAnswer *a,
                       uint64_t now, HistoryQuestion *ret) {
        const json_t *has = json_member(p->status, "host");

        if (!parse(parameter, user, now, a, ret))
                return false;
        ret->answer = answer_report;
        ret->cpus = json_number(has, "cpus");
        ret->memory_bytes = json_number(has, "memory_bytes");
        (void)gethostname(ret->host, sizeof(ret->host) - 1);
        return true;
}

/* ---- who asks for what ---- */

/* What may be asked of each page: others are refused, for who misspells one would get another answer than asked for. */
static const struct {
        const char *path, *parameters; /* in " " */
} takes[] = {
        { "/", "" },
        { "/metrics", "" },
        { API "openapi.json", "" },
        { API "status", "" },
        { API "tenants", "" },
        { API "containers", "" },
        { API "usage", " since by " },
        { API "events", " since tenant container incident max " },
        { API "incidents", " since tenant container incident max " },
        { API "report", " since tenant " },
        { "/report", " since tenant " },
};

static bool takes_parameter(const char *path, const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(takes); i++) {
                _cleanup_buf_ Buf word = BUF_INIT;

                if (!STR_EQ(path, takes[i].path))
                        continue;
                buf_printf(&word, " %s ", name);
                return !strchr(name, ' ') && strstr(takes[i].parameters, buf_str(&word));
        }
        return true; /* there is no such page, which is said later */
}

bool pages_takes(const HttpRequest *r, HttpAnswer *a) {
        for (size_t i = 0; i < r->n_parameters; i++) {
                const char *name = r->parameters[i].name;
                _cleanup_free_ char *good = metrics_text(name, 64);

                if (!takes_parameter(r->path, name)) {
                        refuse(a, 400, "%s: there is no such parameter here", good ? good : "?");
                        return false;
                }
                for (size_t k = 0; k < i; k++)
                        if (STR_EQ(r->parameters[k].name, name)) {
                                refuse(a, 400, "%s: given twice", good ? good : "?");
                                return false;
                        }
        }
        return true;
}

bool pages_api(Pages *p, const char *what, PagesParameter parameter, const void *user, HttpAnswer *a,
               uint64_t now, HistoryQuestion *ret) {
        if (STR_EQ(what, "status"))
                send_status(p, a);
        else if (STR_EQ(what, "tenants"))
                send_known(a, &p->tenants_text, p->details_at);
        else if (STR_EQ(what, "containers"))
                send_known(a, &p->containers_text, p->details_at);
        else if (STR_EQ(what, "openapi.json")) {
                a->type = JSON_TYPE;
                buf_append(&a->body, openapi_text, openapi_len);
        } else if (STR_EQ(what, "usage") || STR_EQ(what, "events") || STR_EQ(what, "incidents")) {
                if (!parse(parameter, user, now, a, ret))
                        return false;
                ret->answer = STR_EQ(what, "usage") ? answer_usage : answer_words;
                ret->incidents = STR_EQ(what, "incidents");
                return true;
        } else if (STR_EQ(what, "report"))
                return ask_report(p, parameter, user, a, now, ret);
        else
                refuse(a, 404,
                       "expected one of status, tenants, containers, usage, events, incidents, report, "
                       "openapi.json");
        return false;
}

static void send_metrics(Pages *p, const char *accept, HttpAnswer *a) {
        bool open = metrics_wants_openmetrics(accept);
        int r = pages_metrics(p, !open, &a->body);

        a->type = open ? METRICS_OPENMETRICS_TYPE : METRICS_CLASSIC_TYPE;
        if (r >= 0)
                return;
        buf_clear(&a->body);
        a->status = r == -ENOMEM ? 503 : 500;
}

static const char *of_request(const void *user, const char *name) {
        return http_request_parameter(user, name);
}

/* True: *ret is to be asked of the history. */
static bool answer(Pages *p, const HttpRequest *r, HttpAnswer *a, uint64_t now, HistoryQuestion *ret) {
        if (STR_EQ(r->path, "/metrics")) {
                if (pages_takes(r, a))
                        send_metrics(p, r->accept, a);
        } else if (r->kind == HTTP_LOOPBACK)
                refuse(a, 404, "without TLS there is only /metrics here; the rest is at the unix socket");
        else if (!pages_takes(r, a))
                return false;
        else if (STR_EQ(r->path, "/")) {
                a->type = text_type;
                buf_puts(&a->body,
                         "/metrics\n/api/v1/status\n/api/v1/tenants\n/api/v1/containers\n"
                         "/api/v1/usage?since=30d&by=tenant\n/api/v1/events?since=1d\n"
                         "/api/v1/incidents?since=30d\n/api/v1/report?since=7d\n/api/v1/openapi.json\n"
                         "/report?since=7d\n");
        } else if (STR_EQ(r->path, "/report")) {
                if (!ask_report(p, of_request, r, a, now, ret))
                        return false;
                ret->page = true;
                return true;
        } else if (strncmp(r->path, API, strlen(API)) == 0)
                return pages_api(p, r->path + strlen(API), of_request, r, a, now, ret);
        else
                refuse(a, 404, "there is no such page");
        return false;
}

void pages_count(Pages *p, const HttpAnswer *a) {
        p->stats.requests++;
        p->stats.refused += a->status >= 400;
}

void pages_answer(Pages *p, const HttpRequest *r, HttpAnswer *a, uint64_t now) {
        HistoryQuestion q = {};

        if (answer(p, r, a, now, &q)) {
                int k = p->ask(p->ask_user, r, &q);

                if (k == 0)
                        return;
                if (k < 0)
                        refuse(a, 503,
                               "there are too many questions about the past at once: ask again later");
        }
        pages_count(p, a);
}
