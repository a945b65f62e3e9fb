/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A report of the history.
 *
 * It is asked twice: first what each tenant used in all, which says who are the largest; then row by row, when only those have
 * curves, and all others have one together. So what is held in memory does not grow with the span, and little with the number of
 * tenants: of each row but the largest ones' no more is kept than what a percentile takes.
 *
 * What is known at all is what the host's rows cover, for it is never idle; where there are none, what those of the tenants do.
 * A total that was carried over a time in which no exporter ran is in the row after it: it is in the sums, but not in the curves,
 * which would show it as a burst.
 */

#include <stdio.h>
#include <time.h>

#include "bookmetrics.h"
#include "jsonget.h"
#include "map.h"
#include "num.h"
#include "openmetrics.h"
#include "report-model.h"
#include "report.h"
#include "value.h"

#define POLICIES_MAX 200
#define INCIDENTS_READ 20000

typedef struct Tenant {
        char *name;
        int64_t number;
        uint64_t first; /* s */
        UsageRow row; /* all that it used */
        Rollup rollup; /* of CPU and memory, for percentiles */
        ReportSeries series; /* of the largest */
        bool large, of_rule; /* the last policy that told of it has a section of its name */
        uint64_t told; /* µs: when that was */
        json_t *acts, *would, *ceilings;
} Tenant;

typedef struct Making {
        const ReportQuestion *q;
        HistoryReach reach;
        ReportAxis axis;
        Tenant **tenants;
        size_t n, alloc;
        Map by_number, by_name;
        ReportSeries host, others;
        ReportCover cover;
        bool cover_of_host;
        ReportHeat heat;
        uint64_t hour_of; /* s: that the last row with heat was of, and its hour */
        unsigned hour;
        json_t *incidents;
        size_t n_incidents;
        int error;
} Making;

static void making_deinit(Making *m) {
        for (size_t i = 0; i < m->n; i++) {
                Tenant *t = m->tenants[i];

                free(t->name);
                rollup_deinit(&t->rollup);
                report_series_deinit(&t->series);
                json_decref(t->acts);
                json_decref(t->would);
                json_decref(t->ceilings);
                free(t);
        }
        free(m->tenants);
        map_deinit(&m->by_number);
        map_deinit(&m->by_name);
        report_series_deinit(&m->host);
        report_series_deinit(&m->others);
        report_cover_deinit(&m->cover);
        json_decref(m->incidents);
}

static json_t *number(uint64_t v) { return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v); }

static json_t *text(const char *s) {
        _cleanup_free_ char *good = s ? metrics_text(s, 4096) : NULL;

        return good ? json_string(good) : json_null();
}

/* ---- what each used ---- */

static void take_usage(void *user, const HistoryUsage *u) {
        Making *m = user;
        Tenant *t = calloc(1, sizeof(*t));

        if (!t || !(t->name = strdup(u->cgroup.who.tenant)) || GROW(m->tenants, m->n, m->alloc) < 0) {
                if (t)
                        free(t->name);
                free(t);
                m->error = -ENOMEM;
                return;
        }
        t->number = u->number;
        t->first = u->first;
        t->row = u->row;
        t->acts = json_object();
        t->would = json_object();
        t->ceilings = json_array();
        m->tenants[m->n++] = t;
        if (map_put_u64(&m->by_number, (uint64_t)t->number, t) < 0 ||
            map_put_str(&m->by_name, t->name, t) < 0)
                m->error = -ENOMEM;
}

static int by_cpu(const void *a, const void *b) {
        const Tenant *x = *(Tenant *const *)a, *y = *(Tenant *const *)b;
        uint64_t cpu_x = x->row.counters[BOOK_CPU_USEC], cpu_y = y->row.counters[BOOK_CPU_USEC];

        return cpu_x > cpu_y ? -1 : cpu_x < cpu_y ? 1 : strcmp(x->name, y->name);
}

static int by_memory(const void *a, const void *b) {
        const Tenant *x = *(Tenant *const *)a, *y = *(Tenant *const *)b;
        uint64_t kib_x = x->row.counters[BOOK_MEMORY_KIB_SECONDS],
                 kib_y = y->row.counters[BOOK_MEMORY_KIB_SECONDS];

        return kib_x > kib_y ? -1 : kib_x < kib_y ? 1 : strcmp(x->name, y->name);
}

static bool wanted(const Making *m, const Tenant *t) {
        return !m->q->tenant || STR_EQ(m->q->tenant, t->name);
}

static void mark_large(Making *m, int (*order)(const void *a, const void *b), size_t bound) {
        size_t marked = 0;

        if (m->n == 0)
                return;
        qsort(m->tenants, m->n, sizeof(*m->tenants), order);
        for (size_t i = 0; i < m->n; i++)
                marked += m->tenants[i]->large;
        for (size_t i = 0; i < m->n && marked < bound; i++)
                if (!m->tenants[i]->large && wanted(m, m->tenants[i])) {
                        m->tenants[i]->large = true;
                        marked++;
                }
}

/* Half of them by memory, for who uses most of that may hardly compute. Leaves all in order of CPU. */
static void choose_large(Making *m) {
        mark_large(m, by_memory, REPORT_TOP / 2);
        mark_large(m, by_cpu, REPORT_TOP);
}

/* ---- how it went ---- */

static const struct {
        ReportMeasure measure;
        BookField field;
} stalls[] = {
        { REPORT_CPU_STALL, BOOK_CPU_SOME_USEC },
        { REPORT_MEMORY_STALL, BOOK_MEMORY_SOME_USEC },
        { REPORT_IO_STALL, BOOK_IO_SOME_USEC },
};

static bool has(const UsageRow *row, UsageGauge g) { return row->have >> g & 1; }

/* Counters of a row that are of more than its own time: see above. */
static bool is_carried(const UsageRow *row) {
        uint64_t rate;

        if (row->span_msec == 0 || !has(row, USAGE_CPU_PERMYRIAD))
                return true;
        rate = num_muldiv(row->counters[BOOK_CPU_USEC], 10, row->span_msec);
        return rate > num_add_sat(row->gauges[USAGE_CPU_PERMYRIAD].mean * 2, 100);
}

static int add_row(ReportSeries *s, const ReportAxis *axis, const UsageRow *row) {
        double to = (double)row->time, from = to - (double)row->span_msec / 1000;
        int r = 0;

        if (has(row, USAGE_CPU_PERMYRIAD))
                r = report_series_add(s, axis, REPORT_CPU, from, to,
                                      (double)row->gauges[USAGE_CPU_PERMYRIAD].mean,
                                      (double)row->gauges[USAGE_CPU_PERMYRIAD].max);
        if (r == 0 && has(row, USAGE_MEMORY))
                r = report_series_add(s, axis, REPORT_MEMORY, from, to,
                                      (double)row->gauges[USAGE_MEMORY].mean,
                                      (double)row->gauges[USAGE_MEMORY].max);
        for (size_t i = 0; i < ARRAY_SIZE(stalls) && r == 0 && !is_carried(row); i++) {
                double share =
                        (double)row->counters[stalls[i].field] * 10 / (double)MAX_OF(row->span_msec, 1U);

                r = report_series_add(s, axis, stalls[i].measure, from, to, share, share);
        }
        return r;
}

static void take_host_row(void *user, int64_t subject, const UsageRow *row) {
        Making *m = user;

        (void)subject;
        report_cover_add(&m->cover, &m->axis, (double)row->time, (double)row->span_msec / 1000);
        if (m->error == 0)
                m->error = add_row(&m->host, &m->axis, row);
}

/* Rows of one time come one after another, mostly: their hour is not looked up for each. */
static void add_heat(Making *m, const UsageRow *row) {
        double span = (double)row->span_msec / 1000;
        uint64_t middle = row->time - MIN_OF(row->span_msec / 2000, row->time);

        if (middle != m->hour_of) {
                m->hour = report_hour_of_week(middle);
                m->hour_of = middle;
        }
        m->heat.cpu[m->hour] += (double)row->gauges[USAGE_CPU_PERMYRIAD].mean * span;
        m->heat.memory[m->hour] += (double)row->gauges[USAGE_MEMORY].mean * span;
}

static void take_tenant_row(void *user, int64_t number, const UsageRow *row) {
        Making *m = user;
        Tenant *t = map_get_u64(&m->by_number, (uint64_t)number);

        if (!t || m->error < 0)
                return;
        if (!m->cover_of_host)
                report_cover_add(&m->cover, &m->axis, (double)row->time, (double)row->span_msec / 1000);
        m->error = rollup_add(&t->rollup, row);
        if (wanted(m, t))
                add_heat(m, row);
        if (m->error == 0 && (t->large || !m->q->tenant))
                m->error = add_row(t->large ? &t->series : &m->others, &m->axis, row);
}

static int read_rows(HistoryDb *db, Making *m) {
        uint64_t to = m->q->to / USEC_PER_SEC;
        int r;

        if (report_cover_init(&m->cover, &m->axis, (double)m->reach.from) < 0)
                return -ENOMEM;
        r = history_db_host_rows(db, m->reach.from, to, take_host_row, m);
        m->cover_of_host = m->cover.row_at > 0;
        if (r == 0)
                r = history_db_tenant_rows(db, m->reach.from, to, take_tenant_row, m);
        report_cover_finish(&m->cover, &m->axis, (double)to);
        return r;
}

/* ---- ceilings ---- */

typedef struct Ceilings {
        uint64_t cpu, memory; /* UINT64_MAX: none */
} Ceilings;

static Ceilings read_ceilings(const json_t *tenant) {
        Ceilings c = { UINT64_MAX, UINT64_MAX };
        const json_t *o;
        uint64_t v;
        size_t i;

        json_array_foreach(json_member(tenant, "values"), i, o) {
                const char *key = json_text(o, "key"), *value = json_text(o, "value");

                if (!key || !value)
                        continue;
                if (STR_EQ(key, "CPUQuota") && value_parse_permyriad(value, &v) == 0)
                        c.cpu = v;
                if ((STR_EQ(key, "MemoryMax") || STR_EQ(key, "MemoryHigh")) &&
                    value_parse_size(value, 1024, &v) == 0)
                        c.memory = MIN_OF(c.memory, v);
        }
        return c;
}

static json_t *or_null(uint64_t v) { return v == UINT64_MAX ? json_null() : number(v); }

/* Only where it changes. */
static void note_ceilings(Making *m, Tenant *t, uint64_t time, Ceilings c) {
        const json_t *last = json_array_get(t->ceilings, MAX_OF(json_array_size(t->ceilings), (size_t)1) - 1);
        json_t *o = json_pack("{s:o, s:o, s:o}", "time", number(MAX_OF(time, m->reach.from * USEC_PER_SEC)),
                              "cpu_permyriad", or_null(c.cpu), "memory_bytes", or_null(c.memory));

        if (!last && c.cpu == UINT64_MAX && c.memory == UINT64_MAX) {
                json_decref(o);
                return;
        }
        if (last && json_equal(json_member(last, "cpu_permyriad"), json_member(o, "cpu_permyriad")) &&
            json_equal(json_member(last, "memory_bytes"), json_member(o, "memory_bytes")))
                json_decref(o);
        else
                (void)json_array_append_new(t->ceilings, o);
}

static void take_policy(void *user, uint64_t time, const char *text_of_policy) {
        json_t *policy = json_loads(text_of_policy, 0, NULL), *o;
        Making *m = user;
        size_t i;

        json_array_foreach(json_object_get(policy, "tenants"), i, o) {
                const char *name = json_text(o, "name");
                Tenant *t = name ? map_get_str(&m->by_name, name) : NULL;

                if (t && wanted(m, t)) {
                        const char *rule = json_text(o, "rule");

                        t->told = time;
                        t->of_rule = rule && STR_EQ(rule, "tenant");
                        note_ceilings(m, t, time, read_ceilings(o));
                }
        }
        /* Whoever has lost his section has no ceilings of it. Tenants of a template are told only while they have containers. */
        for (i = 0; i < m->n; i++) {
                Tenant *t = m->tenants[i];

                if (t->of_rule && t->told != time && json_is_object(policy))
                        note_ceilings(m, t, time, (Ceilings){ UINT64_MAX, UINT64_MAX });
        }
        json_decref(policy);
}

/* ---- what was done ---- */

static void take_acts(void *user, const char *tenant, const char *kind, bool would, uint64_t n) {
        const Making *m = user;
        Tenant *t = map_get_str(&m->by_name, tenant);

        if (t)
                (void)json_object_set_new(would ? t->would : t->acts, kind, number(n));
}

static bool concerns(const json_t *incident, const char *tenant) {
        const char *culprit = json_text(incident, "tenant");
        const json_t *o;
        size_t i;

        if (!tenant || (culprit && STR_EQ(culprit, tenant)))
                return true;
        json_array_foreach(json_member(incident, "victims"), i, o) {
                const char *victim = json_text(o, "tenant");

                if (victim && STR_EQ(victim, tenant))
                        return true;
        }
        return false;
}

static void take_incident(void *user, const char *json) {
        json_t *o = json_loads(json, 0, NULL);
        Making *m = user;

        if (o && concerns(o, m->q->tenant)) {
                m->n_incidents++;
                if (json_array_size(m->incidents) < REPORT_INCIDENTS_MAX) {
                        (void)json_object_del(o, "events");
                        (void)json_array_append(m->incidents, o);
                }
        }
        json_decref(o);
}

/* ---- JSON ---- */

static json_t *book_json(const UsageRow *row) {
        Book b;

        usage_row_to_book(row, &b);
        return usage_book_to_json(&b);
}

static json_t *stats_json(Tenant *t) {
        static const UsageGauge told[] = { USAGE_CPU_PERMYRIAD, USAGE_MEMORY };
        json_t *o = json_object();
        UsageRow row;

        rollup_finish(&t->rollup, 0, &row);
        for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
                const UsageStat *s = &row.gauges[told[i]];

                if (has(&row, told[i]))
                        (void)json_object_set_new(o, usage_gauge_name(told[i]),
                                                  json_pack("{s:o, s:o, s:o}", "mean", number(s->mean), "p95",
                                                            number(s->p95), "max", number(s->max)));
        }
        return o;
}

static uint64_t share_of(uint64_t part, uint64_t whole) {
        return whole > 0 ? num_muldiv(part, 10000, whole) : 0;
}

static json_t *tenant_json(const Making *m, Tenant *t, const UsageRow *all) {
        json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:O, s:O}", "name", text(t->name),
                              "host", text(m->q->host), "since", number(t->first * USEC_PER_SEC), "book",
                              book_json(&t->row), "stats", stats_json(t), "cpu_share_permyriad",
                              number(share_of(t->row.counters[BOOK_CPU_USEC], all->counters[BOOK_CPU_USEC])),
                              "memory_share_permyriad",
                              number(share_of(t->row.counters[BOOK_MEMORY_KIB_SECONDS],
                                              all->counters[BOOK_MEMORY_KIB_SECONDS])),
                              "acts", t->acts, "would", t->would, "ceilings", t->ceilings);

        if (o && t->large)
                (void)json_object_set_new(o, "series", report_series_to_json(&t->series, &m->axis, NULL));
        return o;
}

static json_t *host_json(const Making *m) {
        uint64_t span = m->q->to / USEC_PER_SEC - m->reach.from;
        json_t *o = json_pack(
                "{s:o, s:o, s:o, s:I, s:o}", "name", text(m->q->host), "coverage_permyriad",
                number(share_of(MIN_OF((uint64_t)m->cover.seconds, span), MAX_OF(span, (uint64_t)1))), "gaps",
                report_gaps_to_json(&m->cover), "gaps_all", (json_int_t)m->cover.n_gaps, "series",
                report_series_to_json(&m->host, &m->axis, NULL));

        if (o && m->q->cpus > 0)
                (void)json_object_set_new(o, "cpus", number(m->q->cpus));
        if (o && m->q->memory_bytes > 0)
                (void)json_object_set_new(o, "memory_bytes", number(m->q->memory_bytes));
        return o;
}

static json_t *others_json(const Making *m) {
        UsageRow sum = {};
        size_t n = 0;

        for (size_t i = 0; i < m->n; i++)
                if (!m->tenants[i]->large) {
                        usage_row_merge(&sum, &m->tenants[i]->row);
                        n++;
                }
        if (n == 0 || m->q->tenant)
                return json_null();
        return json_pack("{s:o, s:o, s:o}", "tenants", number(n), "book", book_json(&sum), "series",
                         report_series_to_json(&m->others, &m->axis, m->cover.points));
}

static const char *timezone_name(uint64_t time, char *buf, size_t size) {
        time_t t = (time_t)(time / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&t, &tm) || strftime(buf, size, "%Z", &tm) == 0)
                buf[0] = '\0';
        return buf;
}

static json_t *to_json(Making *m) {
        json_t *tenants = json_array();
        UsageRow all = {};
        char zone[64];

        for (size_t i = 0; i < m->n; i++)
                usage_row_merge(&all, &m->tenants[i]->row);
        for (size_t i = 0; i < m->n; i++)
                if (wanted(m, m->tenants[i]))
                        (void)json_array_append_new(tenants, tenant_json(m, m->tenants[i], &all));
        return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:[o], s:o, s:o, s:o, s:o, s:O, "
                         "s:I}",
                         "source", "history", "time", number(m->q->to), "from",
                         number(m->reach.from * USEC_PER_SEC), "to", number(m->q->to), "asked",
                         number(m->q->to - m->q->from), "tenant",
                         m->q->tenant ? text(m->q->tenant) : json_null(), "timezone",
                         timezone_name(m->q->to, zone, sizeof(zone)), "start",
                         number(m->axis.from * USEC_PER_SEC), "step_sec", (json_int_t)m->axis.step, "points",
                         (json_int_t)m->axis.n, "hosts", host_json(m), "total", book_json(&all), "tenants",
                         tenants, "others", others_json(m), "heat", report_heat_to_json(&m->heat, &m->cover),
                         "incidents", m->incidents, "incidents_all", (json_int_t)m->n_incidents);
}

/* ---- all of it ---- */

static int read_all(HistoryDb *db, Making *m) {
        uint64_t to = m->q->to / USEC_PER_SEC, first;
        HistoryChoice incidents = { .to = m->q->to, .max = INCIDENTS_READ };
        int r = history_db_reach(db, m->q->from / USEC_PER_SEC, to, &m->reach);

        if (r != 0)
                return r;
        if (m->reach.from == 0) /* there is nothing */
                m->reach = (HistoryReach){ MAX_OF(m->q->from / USEC_PER_SEC, (uint64_t)1), 1 };
        incidents.from = m->reach.from * USEC_PER_SEC;
        report_axis(m->reach.from, to, m->reach.grain_sec, &m->axis);
        r = history_db_usage(db, HISTORY_OF_TENANT, m->reach.from, to, take_usage, m, &first);
        choose_large(m);
        if (r == 0 && m->error == 0)
                r = read_rows(db, m);
        if (r == 0 && m->error == 0)
                r = history_db_policies(db, m->reach.from * USEC_PER_SEC, m->q->to, POLICIES_MAX, take_policy,
                                        m);
        if (r == 0 && m->error == 0)
                r = history_db_acts(db, m->reach.from * USEC_PER_SEC, m->q->to, take_acts, m);
        if (r == 0 && m->error == 0)
                r = history_db_words(db, HISTORY_INCIDENTS, &incidents, take_incident, m);
        return r != 0 ? r : m->error;
}

int report_from_history(HistoryDb *db, const ReportQuestion *q, json_t **ret) {
        _cleanup_(making_deinit) Making m = { .q = q, .incidents = json_array() };
        int r = read_all(db, &m);

        if (r != 0)
                return r;
        *ret = to_json(&m);
        return *ret ? 0 : -ENOMEM;
}
