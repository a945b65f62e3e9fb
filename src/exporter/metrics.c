/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The page of metrics, made of what is in memory: no question is asked for a scrape. The guard's own numbers and the tenants' totals
 * are those of its last answer; where it does not answer, `bailiff_exporter_guard_up` says so, and containers are as they were seen
 * last (container_last_seen).
 */

#include <stdio.h>

#include "bookmetrics.h"
#include "cgroupmetrics.h"
#include "exporter.h"
#include "jsonget.h"

/* Paths into what exporter_json() makes, in the order of names. */
static const MetricOfStatus of_exporter[] = {
        { "certificate_until", "bailiff_exporter_certificate_expiry_timestamp_seconds", METRIC_GAUGE,
          "seconds", 0, "When the certificate that is served expires." },
        { "clock_jumps", "bailiff_exporter_clock_jumps", METRIC_COUNTER, NULL, 0,
          "Times that the clock of this host was set by more than five seconds." },
        { "cpu_usec", "bailiff_exporter_cpu_seconds", METRIC_COUNTER, "seconds", 6,
          "CPU time that the exporter used." },
        { "guard_seen", "bailiff_exporter_guard_last_answer_timestamp_seconds", METRIC_GAUGE, "seconds", 6,
          "When the guard answered last." },
        { "guard_up", "bailiff_exporter_guard_up", METRIC_GAUGE, NULL, 0, "1: the guard answers." },
        { "history.set_aside", "bailiff_exporter_history_damaged_files", METRIC_COUNTER, NULL, 0,
          "Damaged files of the history that were set aside." },
        { "history.failed", "bailiff_exporter_history_failures", METRIC_COUNTER, NULL, 0,
          "Writes to the history that failed." },
        { "history.ok", "bailiff_exporter_history_ok", METRIC_GAUGE, NULL, 0, "1: the history is written." },
        { "history.bytes", "bailiff_exporter_history_size_bytes", METRIC_GAUGE, "bytes", 0,
          "Size of the history's file." },
        { "requests", "bailiff_exporter_http_requests", METRIC_COUNTER, NULL, 0, "HTTP requests answered." },
        { "refused", "bailiff_exporter_http_requests_refused", METRIC_COUNTER, NULL, 0,
          "Those of them that were refused." },
        { "push.backlog_bytes", "bailiff_exporter_push_backlog_bytes", METRIC_GAUGE, "bytes", 0,
          "Size on disk of what waits to be pushed." },
        { "push.failures", "bailiff_exporter_push_failures", METRIC_COUNTER, NULL, 0,
          "Attempts to push that failed." },
        { "push.last_success", "bailiff_exporter_push_last_success_timestamp_seconds", METRIC_GAUGE,
          "seconds", 6, "When something was pushed last." },
        { "push.requests", "bailiff_exporter_push_requests", METRIC_COUNTER, NULL, 0,
          "Requests that the receiver took." },
        { "push.samples", "bailiff_exporter_push_samples", METRIC_COUNTER, NULL, 0,
          "Samples that the receiver took." },
        { "push.dropped", "bailiff_exporter_push_samples_dropped", METRIC_COUNTER, NULL, 0,
          "Samples that it refused, or that gave way in the backlog." },
        { "push.ok", "bailiff_exporter_push_up", METRIC_GAUGE, NULL, 0,
          "1: the receiver took what was pushed last." },
        { "rss_bytes", "bailiff_exporter_resident_memory_bytes", METRIC_GAUGE, "bytes", 0,
          "Memory of the exporter's process." },
        { "rounds", "bailiff_exporter_rounds", METRIC_COUNTER, NULL, 0, "Times that the guard was asked." },
        { "rounds_failed", "bailiff_exporter_rounds_failed", METRIC_COUNTER, NULL, 0,
          "Those of them that it did not answer." },
        { "rounds_skipped", "bailiff_exporter_rounds_skipped", METRIC_COUNTER, NULL, 0,
          "Times that it still answered the round before." },
        { "textfile_failures", "bailiff_exporter_textfile_failures", METRIC_COUNTER, NULL, 0,
          "Times that the file for node_exporter could not be written." },
};

static json_t *number(uint64_t v) { return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v); }

static json_t *exporter_json(const Pages *p) {
        const ExporterStats *s = &p->stats;
        const HistoryDbStatus *h = &p->history;
        json_t *o = json_pack(
                "{s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:b, s:o, s:o, s:o}}",
                "certificate_until", s->certificate_until > 0 ? number(s->certificate_until) : json_null(),
                "clock_jumps", number(s->clock_jumps), "cpu_usec", number(s->cpu_usec), "guard_seen",
                s->guard_seen > 0 ? number(s->guard_seen) : json_null(), "guard_up", (int)s->connected,
                "requests", number(s->requests), "refused", number(s->refused), "rss_bytes",
                number(s->rss_bytes), "rounds", number(s->rounds), "rounds_failed", number(s->rounds_failed),
                "rounds_skipped", number(s->rounds_skipped), "history", "ok",
                (int)(s->history == HISTORY_DB_WELL), "bytes", number(h->bytes), "failed",
                number(h->n_failed), "set_aside", number(h->n_set_aside));
        if (p->config->push.url)
                (void)json_object_set_new(o, "push", push_status_to_json(&s->push));
        if (p->config->textfile_dir)
                (void)json_object_set_new(o, "textfile_failures", number(s->textfile_failures));
        return o;
}

/* ---- tenants, as they are now ---- */

static const struct {
        const char *name, *unit, *help;
        size_t offset;
} of_tenants[] = {
        { "bailiff_tenant_usage_containers", NULL, "Containers that run.",
          offsetof(TenantState, containers) },
        { "bailiff_tenant_usage_memory_bytes", "bytes", "Memory used now.", offsetof(TenantState, memory) },
        { "bailiff_tenant_usage_swap_bytes", "bytes", "Swap used now.", offsetof(TenantState, swap) },
        { "bailiff_tenant_usage_tasks", NULL, "Tasks now.", offsetof(TenantState, tasks) },
        { "bailiff_tenant_usage_working_set_bytes", "bytes", "Memory used now, less idle file pages.",
          offsetof(TenantState, working_set) },
};

static int by_tenant_name(const void *a, const void *b) {
        return strcmp((*(TenantState *const *)a)->name, (*(TenantState *const *)b)->name);
}

static int put_tenants(Metrics *m, const Pages *p, const char *label) {
        size_t n = 0, i = 0, all = p->collect ? p->collect->tenants.n : 0;
        _cleanup_free_ TenantState **list = calloc(all + 1, sizeof(*list));
        TenantState *t;

        if (!list)
                return -ENOMEM;
        while (p->collect && n < all && (t = map_next(&p->collect->tenants, &i)))
                if (t->measured)
                        list[n++] = t;
        qsort(list, n, sizeof(*list), by_tenant_name);
        for (size_t f = 0; f < ARRAY_SIZE(of_tenants); f++) {
                metrics_family(m, of_tenants[f].name, METRIC_GAUGE, of_tenants[f].unit, of_tenants[f].help);
                for (size_t k = 0; k < n; k++)
                        metrics_sample(m, (MetricLabel[]){ { label, list[k]->name } }, 1,
                                       *(const uint64_t *)((const char *)list[k] + of_tenants[f].offset), 0);
        }
        return 0;
}

static int by_json_name(const void *a, const void *b) {
        return strcmp(json_text(*(const json_t *const *)a, "name"),
                      json_text(*(const json_t *const *)b, "name"));
}

static const char *word(const json_t *o, const char *key) {
        const char *s = json_text(o, key);

        return s ? s : "";
}

/* The objects of an array that have a name, in the order of their names. */
static int by_their_names(const json_t *array, const json_t ***ret, size_t *ret_n) {
        const json_t **list = calloc(json_array_size(array) + 1, sizeof(*list)), *o;
        size_t i, n = 0;

        if (!list)
                return -ENOMEM;
        json_array_foreach(array, i, o) if (json_text(o, "name")) list[n++] = o;
        qsort(list, n, sizeof(*list), by_json_name);
        *ret = list;
        *ret_n = n;
        return 0;
}

typedef struct TenantCeilings {
        Ceilings *list;
        size_t n;
} TenantCeilings;

static void tenant_ceilings_deinit(TenantCeilings *t) {
        for (size_t i = 0; i < t->n; i++)
                ceilings_deinit(&t->list[i]);
        free(t->list);
}

static int put_tenants_ceilings(Metrics *m, const json_t *tenants, const char *label) {
        _cleanup_(tenant_ceilings_deinit) TenantCeilings of = {};
        _cleanup_free_ const json_t **list = NULL;
        size_t n;
        int r = by_their_names(tenants, &list, &n);

        if (r < 0)
                return r;
        of.list = calloc(n + 1, sizeof(*of.list));
        if (!of.list)
                return -ENOMEM;
        for (of.n = 0; of.n < n; of.n++) {
                r = ceilings_of_tenant(list[of.n], &of.list[of.n]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < CEILING_FAMILIES; i++) {
                const CeilingFamily *f = &ceiling_families()[i];
                char name[96];

                (void)snprintf(name, sizeof(name), "bailiff_tenant_%s", f->name);
                metrics_family(m, name, METRIC_GAUGE, f->unit, f->help);
                for (size_t k = 0; k < n; k++)
                        ceilings_put(m, f, &of.list[k], (MetricLabel[]){ { label, word(list[k], "name") } },
                                     1, true);
        }
        return 0;
}

/* What would have been done to a tenant's containers, had its mode allowed it; since the guard started. */
static int put_observed(Metrics *m, const json_t *observed, const char *label) {
        static const char *const acts[] = { "freeze", "kill", "stop", "throttle" };
        _cleanup_free_ const json_t **list = NULL;
        size_t n;
        int r = by_their_names(observed, &list, &n);

        if (r < 0)
                return r;
        metrics_family(m, "bailiff_tenant_would_acts", METRIC_COUNTER, NULL,
                       "What would have been done to its containers, had the mode allowed it.");
        for (size_t k = 0; k < n; k++)
                for (size_t i = 0; i < ARRAY_SIZE(acts); i++)
                        metrics_sample(
                                m, (MetricLabel[]){ { label, word(list[k], "name") }, { "act", acts[i] } }, 2,
                                json_number(json_member(list[k], "would"), acts[i]), 0);
        return 0;
}

static int put_tenants_info(Metrics *m, const json_t *tenants, const char *label) {
        _cleanup_free_ const json_t **list = NULL;
        size_t n;
        int r = by_their_names(tenants, &list, &n);

        if (r < 0)
                return r;
        metrics_family(m, "bailiff_tenants_info", METRIC_GAUGE, NULL,
                       "Tenants: the mode in force, the plan, how exactly the sum is held.");
        for (size_t k = 0; k < n; k++)
                metrics_sample(m,
                               (MetricLabel[]){ { label, word(list[k], "name") },
                                                { "mode", word(list[k], "mode") },
                                                { "plan", word(list[k], "plan") },
                                                { "sum", word(list[k], "sum") } },
                               4, 1, 0);
        return 0;
}

/* ---- containers ---- */

bool pages_find_cadvisor(const json_t *status, const json_t *containers) {
        const json_t *o;
        size_t i;

        json_array_foreach(json_member(status, "rivals"), i, o) {
                const char *s = json_string_value(o);

                if (s && (strstr(s, "kubelet") || strstr(s, "cadvisor")))
                        return true;
        }
        json_array_foreach(containers, i, o) {
                if (strstr(word(o, "image"), "cadvisor") || strstr(word(o, "name"), "cadvisor"))
                        return true;
        }
        return false;
}

typedef struct Containers {
        CgroupSeries *series;
        size_t n;
} Containers;

static void containers_deinit(Containers *c) {
        for (size_t i = 0; i < c->n; i++) {
                free((char *)c->series[i].id);
                free((char *)c->series[i].name);
                free((char *)c->series[i].image);
                free((char *)c->series[i].tenant);
        }
        free(c->series);
}

#define ID_BYTES 1024 /* a path, by which series are told apart */

static int gather(const Pages *p, Containers *c) {
        size_t i = 0;
        Subject *s;

        if (!p->collect || !p->config->containers)
                return 0;
        c->series = calloc(p->collect->by_cgroup.n + 1, sizeof(*c->series));
        if (!c->series)
                return -ENOMEM;
        while ((s = map_next(&p->collect->by_cgroup, &i))) {
                CgroupSeries *to = &c->series[c->n];

                if (s->kind != HISTORY_CONTAINER || s->gone || s->tally.last_at == 0 || !s->cgroup)
                        continue;
                *to = (CgroupSeries){ .id = metrics_text(s->cgroup, ID_BYTES),
                                      .name = metrics_text(s->name ? s->name : "", METRIC_LABEL_BYTES),
                                      .image = metrics_text(s->image ? s->image : "", METRIC_LABEL_BYTES),
                                      .tenant = metrics_text(s->tenant ? s->tenant : "", METRIC_LABEL_BYTES),
                                      .since = s->since,
                                      .seen = s->tally.last_at,
                                      .sample = &s->tally.last,
                                      .ceilings = &s->ceilings };
                c->n++;
                if (!to->id || !to->name || !to->image || !to->tenant)
                        return -ENOMEM;
        }
        return 0;
}

/* ---- the page ---- */

static bool own_names(const Pages *p) {
        return p->config->cadvisor_names == CADVISOR_NO ||
               (p->config->cadvisor_names == CADVISOR_AUTO && p->foreign_cadvisor);
}

/* Families ascend: bailiff_container_, bailiff_exporter_, bailiff_guard_, bailiff_tenant_, bailiff_tenants_, container_. */
static int put_page(const Pages *p, Metrics *m, const CgroupSeries *series, size_t n) {
        const char *label = p->config->tenant_label;
        json_t *own = exporter_json(p);
        const MetricOfStatus *of_guard;
        size_t n_guard;
        int r;

        metrics_cgroups(m, series, n, label, own_names(p));
        metrics_status(m, of_exporter, ARRAY_SIZE(of_exporter), own);
        of_guard = metrics_of_guard(&n_guard);
        metrics_status(m, of_guard, n_guard, p->stats.connected ? p->status : NULL);
        r = put_tenants_ceilings(m, p->tenants, label);
        if (r >= 0)
                r = metrics_books(m, p->usage, BOOKS_OF_TENANTS, label);
        if (r >= 0)
                r = put_tenants(m, p, label);
        if (r >= 0)
                r = put_observed(m, p->stats.connected ? p->observed : NULL, label);
        if (r >= 0)
                r = put_tenants_info(m, p->tenants, label);
        if (!own_names(p))
                metrics_cadvisor(m, series, n, label);
        json_decref(own);
        return r;
}

typedef struct Walk {
        const Pages *pages;
        PagesEach each; /* NULL: to text */
        void *user;
} Walk;

static bool want(void *user, const char *name) { return config_wants(((Walk *)user)->pages->config, name); }

static void pass_on(void *user, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                    unsigned decimals) {
        Walk *w = user;

        w->each(w->user, name, labels, n, value, decimals);
}

static int walk(Walk *w, bool classic, Buf *out) {
        const Pages *p = w->pages;
        _cleanup_(containers_deinit) Containers c = {};
        Metrics m = METRICS_INIT(out);
        size_t n;
        int r = gather(p, &c), k;

        if (r < 0)
                return r;
        m.classic = classic;
        m.want = want;
        m.each = w->each ? pass_on : NULL;
        m.user = w;
        n = c.n;
        if (n > 0) {
                /* Sorted in a copy: what is left out there is freed all the same. */
                _cleanup_free_ CgroupSeries *sorted = malloc(n * sizeof(*sorted));

                if (!sorted)
                        return -ENOMEM;
                memcpy(sorted, c.series, n * sizeof(*sorted));
                r = put_page(p, &m, sorted, cgroup_series_sort(sorted, n));
        } else
                r = put_page(p, &m, NULL, 0);
        k = metrics_end(&m);
        return r < 0 ? r : k;
}

int pages_metrics(const Pages *p, bool classic, Buf *out) {
        Walk w = { .pages = p };

        return walk(&w, classic, out);
}

int pages_each(const Pages *p, PagesEach each, void *user) {
        Walk w = { p, each, user };

        return walk(&w, false, NULL);
}

static void tell(void *user, const char *name, const char *type, const char *help) {
        buf_printf(user, "%s\t%s\t%s\n", name, type, help);
}

int pages_list_metrics(Buf *out) {
        char label[] = "tenant";
        Config config = { .tenant_label = label };
        const Pages p = { .config = &config };
        _cleanup_buf_ Buf page = BUF_INIT;
        int r = 0;

        for (int own = 0; own < 2 && r >= 0; own++) {
                Metrics m = METRICS_INIT(&page);
                int k;

                config.cadvisor_names = own ? CADVISOR_YES : CADVISOR_NO;
                m.tell = tell;
                m.user = out;
                r = put_page(&p, &m, NULL, 0);
                k = metrics_end(&m);
                r = r < 0 ? r : k;
        }
        return r < 0 ? r : buf_error(out);
}
