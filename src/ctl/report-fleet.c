/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A report of many hosts, in PromQL.
 *
 * What each tenant used is the increase of its counters, as Prometheus reckons that (it fills up to the ends of the span, so a number may
 * be a little off where a series begins or ends). Curves are asked for of the largest only, and of all together: what is
 * transferred does not grow with the fleet. A host is what Prometheus calls "instance".
 *
 * What no metric tells is left out, and the page shows nothing of it: incidents, the pressure of hosts.
 */

#include <stdio.h>
#include <time.h>

#include "bookmetrics.h"
#include "jsonget.h"
#include "map.h"
#include "report-fleet.h"
#include "report-model.h"

#define TENANTS_MAX 20000
#define LEAST_STEP 60 /* s; scrapes are rarely closer */
#define HEAT_STEP 3600 /* hours of the week need no wider one */
#define RATE_LEAST 120 /* s: two scrapes at least */

enum { MEAN, P95, HIGHEST, _STATS };

typedef struct Tenant {
        char *key, *instance, *name;
        Book book;
        double cpu[_STATS], memory[_STATS]; /* permyriad, bytes */
        bool has_cpu, has_memory;
        double ceiling_cpu, ceiling_memory; /* 0: none */
        ReportSeries series;
        bool large;
} Tenant;

typedef struct Fleet {
        Prometheus *prometheus;
        const FleetQuestion *q;
        char *selector;
        Tenant **tenants;
        size_t n, alloc;
        Map by_key;
        json_t *hosts; /* name → share of the time that is known, permyriad */
        ReportAxis axis;
        ReportSeries all, others;
        ReportCover cover;
        ReportHeat heat;
        Buf *error;
} Fleet;

static void fleet_deinit(Fleet *f) {
        for (size_t i = 0; i < f->n; i++) {
                free(f->tenants[i]->key);
                free(f->tenants[i]->instance);
                free(f->tenants[i]->name);
                report_series_deinit(&f->tenants[i]->series);
                free(f->tenants[i]);
        }
        free(f->tenants);
        free(f->selector);
        map_deinit(&f->by_key);
        json_decref(f->hosts);
        report_series_deinit(&f->all);
        report_series_deinit(&f->others);
        report_cover_deinit(&f->cover);
}

/* ---- who ---- */

static Tenant *tenant_add(Fleet *f, const char *instance, const char *name) {
        Tenant *t = calloc(1, sizeof(*t));

        if (t && asprintf(&t->key, "%s\n%s", instance, name) < 0)
                t->key = NULL;
        if (!t || !t->key || !(t->instance = strdup(instance)) || !(t->name = strdup(name)) ||
            GROW(f->tenants, f->n, f->alloc) < 0 || map_put_str(&f->by_key, t->key, t) < 0) {
                if (t) {
                        free(t->key);
                        free(t->instance);
                        free(t->name);
                }
                free(t);
                return NULL;
        }
        f->tenants[f->n++] = t;
        return t;
}

static int tenant_of(Fleet *f, const json_t *metric, Tenant **ret) {
        const char *instance = json_text(metric, "instance"), *name = json_text(metric, "tenant");
        _cleanup_free_ char *key = NULL;

        if (asprintf(&key, "%s\n%s", instance ? instance : "", name ? name : "") < 0) {
                key = NULL;
                return -ENOMEM;
        }
        *ret = map_get_str(&f->by_key, key);
        if (!*ret && f->n >= TENANTS_MAX) {
                buf_printf(f->error, "%s knows more than %d tenants of hosts; choose with --host or --tenant",
                           prometheus_name(f->prometheus), TENANTS_MAX);
                return -EIO;
        }
        if (!*ret)
                *ret = tenant_add(f, instance ? instance : "", name ? name : "");
        return *ret ? 0 : -ENOMEM;
}

/* "{tenant="acme",instance=~"web7(:[0-9]+)?"}" */
static char *selector_of(const FleetQuestion *q) {
        _cleanup_buf_ Buf b = BUF_INIT;

        buf_putc(&b, '{');
        if (q->tenant) {
                buf_puts(&b, "tenant=\"");
                prometheus_quote(&b, q->tenant);
                buf_puts(&b, "\",");
        }
        if (q->host) {
                buf_puts(&b, "instance=~\"");
                prometheus_quote_regex(&b, q->host);
                buf_puts(&b, "(:[0-9]+)?\"");
        }
        buf_putc(&b, '}');
        return buf_steal(&b);
}

/* ---- numbers ---- */

static int each_value(Fleet *f, const Buf *query, int (*take)(Fleet *f, Tenant *t, double v, unsigned what),
                      unsigned what) {
        json_t *result = NULL, *o;
        size_t i;
        int r = buf_error(query);

        if (r == 0)
                r = prometheus_query(f->prometheus, buf_str(query), f->q->to, &result, f->error);
        json_array_foreach(result, i, o) {
                Tenant *t = NULL;
                double v;

                if (r == 0 && prometheus_value(json_member(o, "value"), &v))
                        r = tenant_of(f, json_member(o, "metric"), &t);
                if (r == 0 && t)
                        r = take(f, t, v, what);
        }
        json_decref(result);
        return r;
}

static uint64_t to_count(double v) {
        return v <= 0 ? 0 : v >= 9e18 ? UINT64_C(9000000000000000000) : (uint64_t)(v + 0.5);
}

static int take_counter(Fleet *f, Tenant *t, double v, unsigned field) {
        char metric[TENANT_METRIC_MAX];

        (void)f;
        t->book.v[field] = to_count(v * metrics_tenant_counter((BookField)field, metric));
        return 0;
}

static int ask_counters(Fleet *f) {
        uint64_t span = f->q->to - f->q->from;
        int r = 0;

        for (unsigned field = 0; field < _BOOK_COUNTERS && r == 0; field++) {
                char metric[TENANT_METRIC_MAX];
                _cleanup_buf_ Buf query = BUF_INIT;

                (void)metrics_tenant_counter((BookField)field, metric);
                buf_printf(&query, "sum by (instance, tenant) (increase(%s%s[%llus]))", metric, f->selector,
                           (unsigned long long)span);
                r = each_value(f, &query, take_counter, field);
                if (r == 0 && field == BOOK_CPU_USEC && f->n == 0) {
                        buf_printf(f->error,
                                   "%s has no %s%s in this time: does it scrape bailiff-exporter there "
                                   "(bailiff-metrics(7))?",
                                   prometheus_name(f->prometheus), metric, f->selector);
                        return -EIO;
                }
        }
        return r;
}

static int take_stat(Fleet *f, Tenant *t, double v, unsigned what) {
        (void)f;
        if (what < _STATS) {
                t->cpu[what] = v * 10000;
                t->has_cpu = true;
        } else {
                t->memory[what - _STATS] = v;
                t->has_memory = true;
        }
        return 0;
}

static int ask_stats(Fleet *f) {
        static const char *const over[] = { "avg_over_time(", "quantile_over_time(0.95, ", "max_over_time(" };
        uint64_t span = f->q->to - f->q->from;
        int r = 0;

        for (unsigned what = 0; what < 2 * _STATS && r == 0; what++) {
                _cleanup_buf_ Buf query = BUF_INIT;

                if (what < _STATS)
                        buf_printf(&query,
                                   "%ssum by (instance, tenant) "
                                   "(rate(bailiff_tenant_cpu_seconds_total%s[%llus]))"
                                   "[%llus:%llus])",
                                   over[what], f->selector,
                                   (unsigned long long)MAX_OF(f->axis.step, (uint64_t)RATE_LEAST),
                                   (unsigned long long)span, (unsigned long long)f->axis.step);
                else
                        buf_printf(
                                &query,
                                "sum by (instance, tenant) (%sbailiff_tenant_usage_memory_bytes%s[%llus]))",
                                over[what - _STATS], f->selector, (unsigned long long)span);
                r = each_value(f, &query, take_stat, what);
        }
        return r;
}

static int take_ceiling(Fleet *f, Tenant *t, double v, unsigned memory) {
        (void)f;
        if (memory)
                t->ceiling_memory = t->ceiling_memory > 0 ? MIN_OF(t->ceiling_memory, v) : v;
        else
                t->ceiling_cpu = v * 10000;
        return 0;
}

static int ask_ceilings(Fleet *f) {
        static const char *const metrics[] = { "bailiff_tenant_ceiling_cpus",
                                               "bailiff_tenant_ceiling_memory_max_bytes",
                                               "bailiff_tenant_ceiling_memory_high_bytes" };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(metrics) && r == 0; i++) {
                _cleanup_buf_ Buf query = BUF_INIT;

                buf_printf(&query, "min by (instance, tenant) (%s%s)", metrics[i], f->selector);
                r = each_value(f, &query, take_ceiling, i > 0);
        }
        return r;
}

/* How much of the time there are samples of each host. */
static int ask_coverage(Fleet *f) {
        uint64_t span = f->q->to - f->q->from;
        _cleanup_buf_ Buf query = BUF_INIT;
        json_t *result = NULL, *o;
        size_t i;
        int r;

        buf_printf(&query,
                   "count_over_time(count by (instance) (bailiff_tenant_cpu_seconds_total%s)[%llus:%llus]) * "
                   "%llu",
                   f->selector, (unsigned long long)span, (unsigned long long)f->axis.step,
                   (unsigned long long)f->axis.step);
        r = buf_error(&query);
        if (r == 0)
                r = prometheus_query(f->prometheus, buf_str(&query), f->q->to, &result, f->error);
        json_array_foreach(result, i, o) {
                const char *instance = json_text(json_member(o, "metric"), "instance");
                double v;

                if (prometheus_value(json_member(o, "value"), &v))
                        (void)json_object_set_new(
                                f->hosts, instance ? instance : "",
                                json_integer((json_int_t)MIN_OF(v / (double)MAX_OF(span, (uint64_t)1) * 10000,
                                                                10000.0)));
        }
        json_decref(result);
        return r;
}

/* ---- curves ---- */

static int by_cpu(const void *a, const void *b) {
        const Tenant *x = *(Tenant *const *)a, *y = *(Tenant *const *)b;
        uint64_t cpu_x = x->book.v[BOOK_CPU_USEC], cpu_y = y->book.v[BOOK_CPU_USEC];

        return cpu_x > cpu_y ? -1 : cpu_x < cpu_y ? 1 : strcmp(x->key, y->key);
}

static int by_memory(const void *a, const void *b) {
        const Tenant *x = *(Tenant *const *)a, *y = *(Tenant *const *)b;
        uint64_t kib_x = x->book.v[BOOK_MEMORY_KIB_SECONDS], kib_y = y->book.v[BOOK_MEMORY_KIB_SECONDS];

        return kib_x > kib_y ? -1 : kib_x < kib_y ? 1 : strcmp(x->key, y->key);
}

static void choose_large(Fleet *f) {
        size_t chosen = MIN_OF(f->n, (size_t)REPORT_TOP / 2);

        if (f->n == 0)
                return;
        qsort(f->tenants, f->n, sizeof(*f->tenants), by_memory);
        for (size_t i = 0; i < chosen; i++)
                f->tenants[i]->large = true;
        qsort(f->tenants, f->n, sizeof(*f->tenants), by_cpu);
        for (size_t i = 0; i < f->n && chosen < REPORT_TOP; i++)
                if (!f->tenants[i]->large) {
                        f->tenants[i]->large = true;
                        chosen++;
                }
}

typedef struct Curve {
        ReportMeasure measure;
        const char *begin, *metric, *end; /* around the selector and its window */
        double factor;
} Curve;

static const Curve curves[] = {
        { REPORT_CPU, "rate(", "bailiff_tenant_cpu_seconds_total", ")", 10000 },
        { REPORT_MEMORY, "avg_over_time(", "bailiff_tenant_usage_memory_bytes", ")", 1 },
        { REPORT_CPU_STALL, "rate(", "bailiff_tenant_cpu_some_seconds_total", ")", 10000 },
        { REPORT_MEMORY_STALL, "rate(", "bailiff_tenant_memory_some_seconds_total", ")", 10000 },
        { REPORT_IO_STALL, "rate(", "bailiff_tenant_io_some_seconds_total", ")", 10000 },
};

static uint64_t query_step(const Fleet *f) { return MIN_OF(f->axis.step, (uint64_t)HEAT_STEP); }

/* Of one tenant, or (NULL) of all together. */
static int ask_curve(Fleet *f, const Curve *c, const Tenant *t, json_t **ret) {
        uint64_t step = query_step(f), window = MAX_OF(step, (uint64_t)RATE_LEAST);
        _cleanup_buf_ Buf query = BUF_INIT;

        buf_printf(&query, "sum(%s%s", c->begin, c->metric);
        if (t) {
                buf_puts(&query, "{instance=\"");
                prometheus_quote(&query, t->instance);
                buf_puts(&query, "\",tenant=\"");
                prometheus_quote(&query, t->name);
                buf_puts(&query, "\"}");
        } else
                buf_puts(&query, f->selector);
        buf_printf(&query, "[%llus]%s)", (unsigned long long)window, c->end);
        if (buf_error(&query) < 0)
                return -ENOMEM;
        return prometheus_query_range(f->prometheus, buf_str(&query), f->axis.from + step, f->q->to, step,
                                      ret, f->error);
}

static void add_heat(Fleet *f, ReportMeasure m, uint64_t to, double value) {
        double step = (double)query_step(f), *hours = m == REPORT_CPU ? f->heat.cpu : f->heat.memory;

        hours[report_hour_of_week(to - MIN_OF(query_step(f) / 2, to))] += value * step;
        if (m == REPORT_CPU)
                report_cover_add(&f->cover, &f->axis, (double)to, step);
}

/* Values into a tenant's curve, or of all together into f->all. */
static int take_curve(Fleet *f, const Curve *c, Tenant *t) {
        json_t *result = NULL, *pair;
        ReportSeries *series = t ? &t->series : &f->all;
        size_t i;
        int r = ask_curve(f, c, t, &result);

        json_array_foreach(json_member(json_array_get(result, 0), "values"), i, pair) {
                double at = json_number_value(json_array_get(pair, 0)), v;

                if (r < 0 || at < 1 || at > 1e11 || !prometheus_value(pair, &v))
                        continue;
                v = MAX_OF(v * c->factor, 0.0);
                r = report_series_add(series, &f->axis, c->measure, at - (double)query_step(f), at, v, v);
                if (!t && (c->measure == REPORT_CPU || c->measure == REPORT_MEMORY))
                        add_heat(f, c->measure, (uint64_t)at, v);
        }
        json_decref(result);
        return r;
}

/* What is left of all together when the largest are taken away. */
static int find_others(Fleet *f) {
        for (int m = 0; m < _REPORT_MEASURE_MAX; m++) {
                for (size_t i = 0; i < f->axis.n && f->all.points[m]; i++) {
                        double from = (double)(f->axis.from + i * f->axis.step),
                               rest = f->all.points[m][i].weight > 0
                                              ? f->all.points[m][i].sum / f->all.points[m][i].weight
                                              : -1;

                        if (rest < 0)
                                continue;
                        for (size_t k = 0; k < f->n; k++) {
                                const ReportPoint *p = f->tenants[k]->series.points[m];

                                if (p && p[i].weight > 0)
                                        rest -= p[i].sum / f->all.points[m][i].weight;
                        }
                        rest = MAX_OF(rest, 0.0);
                        if (report_series_add(&f->others, &f->axis, (ReportMeasure)m, from,
                                              from + (double)f->axis.step, rest, rest) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

static int ask_curves(Fleet *f) {
        int r = report_cover_init(&f->cover, &f->axis, (double)f->axis.from);

        for (size_t i = 0; i < ARRAY_SIZE(curves) && r == 0; i++) {
                r = take_curve(f, &curves[i], NULL);
                for (size_t k = 0; k < f->n && r == 0; k++)
                        if (f->tenants[k]->large)
                                r = take_curve(f, &curves[i], f->tenants[k]);
        }
        report_cover_finish(&f->cover, &f->axis, (double)f->q->to);
        return r == 0 ? find_others(f) : r;
}

/* ---- JSON ---- */

/* "web7:9477" is web7. */
static json_t *host_name(const char *instance) {
        const char *colon = strrchr(instance, ':');

        if (colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0')
                return json_stringn(instance, (size_t)(colon - instance));
        return json_string(instance);
}

static json_t *whole(double v) { return json_integer((json_int_t)to_count(v)); }

static json_t *stat_json(const double *stats) {
        return json_pack("{s:o, s:o, s:o}", "mean", whole(stats[MEAN]), "p95", whole(stats[P95]), "max",
                         whole(stats[HIGHEST]));
}

static json_t *share(uint64_t part, uint64_t all) {
        return whole(all > 0 ? (double)part / (double)all * 10000 : 0);
}

static json_t *tenant_json(const Fleet *f, const Tenant *t, const Book *all) {
        json_t *ceilings = json_array(), *stats = json_object(), *o;

        if (t->has_cpu)
                (void)json_object_set_new(stats, "cpu_permyriad", stat_json(t->cpu));
        if (t->has_memory)
                (void)json_object_set_new(stats, "memory_bytes", stat_json(t->memory));
        if (t->ceiling_cpu > 0 || t->ceiling_memory > 0)
                (void)json_array_append_new(
                        ceilings,
                        json_pack("{s:I, s:o, s:o}", "time", (json_int_t)(f->q->from * USEC_PER_SEC),
                                  "cpu_permyriad", t->ceiling_cpu > 0 ? whole(t->ceiling_cpu) : json_null(),
                                  "memory_bytes",
                                  t->ceiling_memory > 0 ? whole(t->ceiling_memory) : json_null()));
        o = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", t->name, "host", host_name(t->instance),
                      "book", usage_book_to_json(&t->book), "stats", stats, "cpu_share_permyriad",
                      share(t->book.v[BOOK_CPU_USEC], all->v[BOOK_CPU_USEC]), "memory_share_permyriad",
                      share(t->book.v[BOOK_MEMORY_KIB_SECONDS], all->v[BOOK_MEMORY_KIB_SECONDS]), "ceilings",
                      ceilings);
        if (o && t->large)
                (void)json_object_set_new(o, "series", report_series_to_json(&t->series, &f->axis, NULL));
        return o;
}

static json_t *others_json(const Fleet *f) {
        Book sum = {};
        size_t n = 0;

        for (size_t i = 0; i < f->n; i++)
                if (!f->tenants[i]->large) {
                        book_add(&sum, &f->tenants[i]->book);
                        n++;
                }
        if (n == 0)
                return json_null();
        return json_pack("{s:I, s:o, s:o}", "tenants", (json_int_t)n, "book", usage_book_to_json(&sum),
                         "series", report_series_to_json(&f->others, &f->axis, f->cover.points));
}

static json_t *hosts_json(const Fleet *f) {
        json_t *a = json_array(), *known;
        const char *instance;

        json_object_foreach(f->hosts, instance, known)(void) json_array_append_new(
                a, json_pack("{s:o, s:O}", "name", host_name(instance), "coverage_permyriad", known));
        return a;
}

static json_t *to_json(const Fleet *f) {
        json_t *tenants = json_array();
        time_t to = (time_t)f->q->to;
        char zone[64] = "";
        Book all = {};
        struct tm tm;

        if (localtime_r(&to, &tm))
                (void)strftime(zone, sizeof(zone), "%Z", &tm);
        for (size_t i = 0; i < f->n; i++)
                book_add(&all, &f->tenants[i]->book);
        for (size_t i = 0; i < f->n; i++)
                (void)json_array_append_new(tenants, tenant_json(f, f->tenants[i], &all));
        return json_pack(
                "{s:s, s:s, s:I, s:I, s:I, s:I, s:s?, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:O}",
                "source", "prometheus", "server", prometheus_name(f->prometheus), "time",
                (json_int_t)(f->q->to * USEC_PER_SEC), "from", (json_int_t)(f->q->from * USEC_PER_SEC), "to",
                (json_int_t)(f->q->to * USEC_PER_SEC), "asked",
                (json_int_t)((f->q->to - f->q->from) * USEC_PER_SEC), "tenant", f->q->tenant, "timezone",
                zone, "start", (json_int_t)(f->axis.from * USEC_PER_SEC), "step_sec",
                (json_int_t)f->axis.step, "points", (json_int_t)f->axis.n, "hosts", hosts_json(f), "total",
                usage_book_to_json(&all), "tenants", tenants, "others", others_json(f), "heat",
                report_heat_to_json(&f->heat, &f->cover), "warnings", prometheus_warnings(f->prometheus));
}

/* ---- all of it ---- */

int report_from_prometheus(Prometheus *p, const FleetQuestion *q, json_t **ret, Buf *error) {
        _cleanup_(fleet_deinit) Fleet f = {
                .prometheus = p, .q = q, .selector = selector_of(q), .hosts = json_object(), .error = error
        };
        int r = f.selector && f.hosts ? 0 : -ENOMEM;

        report_axis(q->from, q->to, LEAST_STEP, &f.axis);
        if (r == 0)
                r = ask_counters(&f);
        if (r == 0)
                r = ask_stats(&f);
        if (r == 0)
                r = ask_ceilings(&f);
        if (r == 0)
                r = ask_coverage(&f);
        choose_large(&f);
        if (r == 0)
                r = ask_curves(&f);
        if (r < 0)
                return r;
        *ret = to_json(&f);
        return *ret ? 0 : -ENOMEM;
}
