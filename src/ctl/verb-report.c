/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `report`: what tenants used in a span of time, how that went, what was done; of this host from its exporter, or of many from a
 * Prometheus server. For people as a table or a page, for spreadsheets and programs as CSV and JSON.
 *
 * The page is written under another name and then takes the place of what was there, so that who serves or mails it
 * never finds half of one.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctl.h"
#include "exporter-client.h"
#include "fdio.h"
#include "num.h"
#include "report-fleet.h"
#include "report-html.h"
#include "screens.h"
#include "usage.h"
#include "value.h"

#define SINCE_DEFAULT (7 * 24 * 3600 * USEC_PER_SEC)
#define INCIDENTS_SHOWN 10

static const char *const kinds[] = { "throttle", "freeze", "stop", "kill" };

/* ---- the table ---- */

static const json_t *last_ceiling(const json_t *tenant) {
        const json_t *list = json_member(tenant, "ceilings");
        size_t n = json_array_size(list);

        return n > 0 ? json_array_get(list, n - 1) : NULL;
}

static void cell_hundredths(Table *t, double v) { table_cellf(t, STYLE_PLAIN, "%.2f", v); }

static void cell_size(Table *t, uint64_t bytes) {
        char text[SAY_MAX];

        table_cell(t, STYLE_PLAIN, bytes > 0 ? say_size(bytes, text) : "0");
}

static void cell_span(Table *t, uint64_t usec) {
        char text[SAY_MAX];

        table_cell(t, STYLE_PLAIN, usec > 0 ? say_span(usec, text) : "0");
}

static void cell_stat_cpu(Table *t, const json_t *stat) {
        if (!stat)
                table_cell(t, STYLE_PLAIN, NULL);
        else
                table_cellf(t, STYLE_PLAIN, "%.2f/%.2f", (double)json_number(stat, "p95") / 10000,
                            (double)json_number(stat, "max") / 10000);
}

static void cell_stat_memory(Table *t, const json_t *stat) {
        char p95[SAY_MAX], max[SAY_MAX];

        if (!stat)
                table_cell(t, STYLE_PLAIN, NULL);
        else
                table_cellf(t, STYLE_PLAIN, "%s/%s", say_size(json_number(stat, "p95"), p95),
                            say_size(json_number(stat, "max"), max));
}

static void cell_acts(Table *t, const json_t *tenant) {
        _cleanup_buf_ Buf b = BUF_INIT;

        for (int would = 0; would < 2; would++)
                for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                        uint64_t n = json_number(json_member(tenant, would ? "would" : "acts"), kinds[i]);

                        if (n > 0)
                                buf_printf(&b, "%s%s%s:%llu", b.len > 0 ? " " : "", would ? "would-" : "",
                                           kinds[i], (unsigned long long)n);
                }
        table_cell(t, STYLE_PLAIN, buf_str(&b));
}

static void columns(Table *t, bool many) {
        table_column(t, "TENANT", TABLE_CUT);
        if (many)
                table_column(t, "HOST", TABLE_CUT);
        table_column(t, "CPU-HOURS", TABLE_RIGHT);
        table_column(t, "SHARE", TABLE_RIGHT);
        table_column(t, "CPUS-P95/MAX", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "CEILING", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "GIB-HOURS", TABLE_RIGHT);
        table_column(t, "MEMORY-P95/MAX", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "CEILING", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "READ", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "WRITTEN", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "RECEIVED", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "SENT", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "CPU-STALL", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "MEM-STALL", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "IO-STALL", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "THROTTLED", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "FAULTS", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "OOM-KILLS", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "ACTS", TABLE_CUT | TABLE_DROP_LATE);
}

static void row(Table *t, const json_t *o, bool many) {
        const json_t *stats = json_member(o, "stats"), *ceiling = last_ceiling(o);
        uint64_t have;
        char text[SAY_MAX];
        Book b;

        usage_book_read(json_member(o, "book"), &b, &have);
        table_cell(t, STYLE_PLAIN, json_text(o, "name"));
        if (many)
                table_cell(t, STYLE_PLAIN, json_text(o, "host"));
        cell_hundredths(t, (double)b.v[BOOK_CPU_USEC] / 3.6e9);
        table_cell(t, STYLE_PLAIN, say_permyriad(json_number(o, "cpu_share_permyriad"), text));
        cell_stat_cpu(t, json_member(stats, "cpu_permyriad"));
        if (json_has(ceiling, "cpu_permyriad"))
                cell_hundredths(t, (double)json_number(ceiling, "cpu_permyriad") / 10000);
        else
                table_cell(t, STYLE_PLAIN, NULL);
        cell_hundredths(t, (double)b.v[BOOK_MEMORY_KIB_SECONDS] / 1048576 / 3600);
        cell_stat_memory(t, json_member(stats, "memory_bytes"));
        if (json_has(ceiling, "memory_bytes"))
                cell_size(t, json_number(ceiling, "memory_bytes"));
        else
                table_cell(t, STYLE_PLAIN, NULL);
        cell_size(t, b.v[BOOK_IO_RBYTES]);
        cell_size(t, b.v[BOOK_IO_WBYTES]);
        cell_size(t, b.v[BOOK_NET_RX_BYTES]);
        cell_size(t, b.v[BOOK_NET_TX_BYTES]);
        cell_span(t, b.v[BOOK_CPU_SOME_USEC]);
        cell_span(t, b.v[BOOK_MEMORY_SOME_USEC]);
        cell_span(t, b.v[BOOK_IO_SOME_USEC]);
        cell_span(t, b.v[BOOK_THROTTLED_USEC]);
        table_cellf(t, STYLE_PLAIN, "%llu", (unsigned long long)b.v[BOOK_MAJOR_FAULTS]);
        table_cellf(t, b.v[BOOK_OOM_KILLS] > 0 ? STYLE_BAD : STYLE_PLAIN, "%llu",
                    (unsigned long long)b.v[BOOK_OOM_KILLS]);
        cell_acts(t, o);
}

static void heading(const json_t *report, const View *v) {
        uint64_t from = json_number(report, "from"), to = json_number(report, "to"),
                 asked = json_number(report, "asked");
        const json_t *o;
        char a[SAY_MAX], b[SAY_MAX], span[SAY_MAX], wanted[SAY_MAX];
        size_t i;

        if (to >= from)
                say_line(v, STYLE_DIM, "%s to %s: %s%s%s", say_time(from, a), say_time(to, b),
                         say_span(to - from, span),
                         to - from + USEC_PER_SEC < asked ? ", all that is kept of " : "",
                         to - from + USEC_PER_SEC < asked ? say_span(asked, wanted) : "");
        json_array_foreach(json_member(report, "hosts"), i, o) {
                uint64_t known = json_number(o, "coverage_permyriad");
                const char *name = json_text(o, "name");

                if (json_has(o, "coverage_permyriad") && known < 9990)
                        say_line(v, STYLE_WARN, "%s: only %s of this time is known", name ? name : "-",
                                 say_permyriad(known, span));
        }
        json_array_foreach(json_member(report, "warnings"), i, o)
                say_line(v, STYLE_WARN, "%s", json_string_value(o) ? json_string_value(o) : "-");
}

static int incidents_below(const json_t *report, const View *v, uint64_t now) {
        const json_t *all = json_member(report, "incidents");
        uint64_t n = json_number(report, "incidents_all");
        json_t *some;
        int r;

        if (json_array_size(all) == 0)
                return 0;
        some = json_array();
        for (size_t i = 0; i < MIN_OF(json_array_size(all), (size_t)INCIDENTS_SHOWN); i++)
                (void)json_array_append(some, json_array_get(all, i));
        say_line(v, STYLE_PLAIN, "%s", "");
        r = screen_incidents(some, v, now);
        json_decref(some);
        if (r == 0 && n > INCIDENTS_SHOWN)
                say_line(v, STYLE_DIM, "and %llu before those: bailiffctl incidents --since",
                         (unsigned long long)(n - INCIDENTS_SHOWN));
        return r;
}

int screen_report(const json_t *report, const View *v, uint64_t now) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        bool many = json_array_size(json_member(report, "hosts")) > 1;
        const json_t *o;
        size_t i;
        int r;

        if (!t)
                return -ENOMEM;
        heading(report, v);
        columns(t, many);
        json_array_foreach(json_member(report, "tenants"), i, o) row(t, o, many);
        if (table_rows(t) == 0) {
                say_line(v, STYLE_DIM, "nothing is known of any tenant in this time");
                return 0;
        }
        r = say_left_out(v, table_print(t, v, 0));
        return r < 0 ? r : incidents_below(report, v, now);
}

/* ---- CSV ---- */

static void csv_number(Buf *out, const json_t *o, const char *key) {
        buf_putc(out, ',');
        if (json_has(o, key))
                buf_printf(out, "%llu", (unsigned long long)json_number(o, key));
}

static void csv_stats(Buf *out, const json_t *stats) {
        csv_number(out, stats, "mean");
        csv_number(out, stats, "p95");
        csv_number(out, stats, "max");
}

int report_csv(const json_t *report, Buf *out) {
        const json_t *o;
        size_t i;

        buf_puts(out, "host,tenant,from_usec,to_usec,cpu_share_permyriad,memory_share_permyriad,"
                      "cpu_permyriad_mean,cpu_permyriad_p95,cpu_permyriad_max,ceiling_cpu_permyriad,"
                      "memory_bytes_mean,memory_bytes_p95,memory_bytes_max,ceiling_memory_bytes");
        for (int would = 0; would < 2; would++)
                for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
                        buf_printf(out, ",%s_%s", would ? "would" : "acts", kinds[k]);
        for (int f = 0; f < _BOOK_MAX; f++)
                if (f != BOOK_PEAK_MEMORY_KIND)
                        buf_printf(out, ",%s", book_info((BookField)f)->name);
        buf_puts(out, "\r\n");
        json_array_foreach(json_member(report, "tenants"), i, o) {
                const char *host = json_text(o, "host"), *name = json_text(o, "name");
                const json_t *stats = json_member(o, "stats"), *ceiling = last_ceiling(o);

                csv_text(out, host ? host : "");
                buf_putc(out, ',');
                csv_text(out, name ? name : "");
                csv_number(out, report, "from");
                csv_number(out, report, "to");
                csv_number(out, o, "cpu_share_permyriad");
                csv_number(out, o, "memory_share_permyriad");
                csv_stats(out, json_member(stats, "cpu_permyriad"));
                csv_number(out, ceiling, "cpu_permyriad");
                csv_stats(out, json_member(stats, "memory_bytes"));
                csv_number(out, ceiling, "memory_bytes");
                for (int would = 0; would < 2; would++)
                        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
                                const json_t *acts = json_member(o, would ? "would" : "acts");

                                buf_putc(out, ',');
                                if (acts)
                                        buf_printf(out, "%llu",
                                                   (unsigned long long)json_number(acts, kinds[k]));
                        }
                for (int f = 0; f < _BOOK_MAX; f++)
                        if (f != BOOK_PEAK_MEMORY_KIND)
                                csv_number(out, json_member(o, "book"), book_info((BookField)f)->name);
                buf_puts(out, "\r\n");
        }
        return buf_error(out);
}

/* ---- the verb ---- */

typedef enum ReportFormat { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON, FORMAT_HTML } ReportFormat;

static int ask_format(const Ctl *c, ReportFormat *ret) {
        if (c->given & OPTION_HTML) {
                *ret = FORMAT_HTML;
                return c->json || (c->given & OPTION_FORMAT)
                               ? ctl_fail(STATUS_USAGE, "--html is a format: no --format or --json beside it")
                               : STATUS_DONE;
        }
        *ret = c->json ? FORMAT_JSON : FORMAT_TABLE;
        if (!(c->given & OPTION_FORMAT))
                return STATUS_DONE;
        *ret = STR_EQ(c->format, "csv") ? FORMAT_CSV : STR_EQ(c->format, "json") ? FORMAT_JSON : FORMAT_TABLE;
        if (*ret == FORMAT_TABLE && !STR_EQ(c->format, "table"))
                return ctl_fail(STATUS_USAGE, "--format %s: expected table, csv or json", c->format);
        if (c->json && *ret != FORMAT_JSON)
                return ctl_fail(STATUS_USAGE, "--format %s and --json: one of both", c->format);
        return STATUS_DONE;
}

/* Of this host. */
static int from_exporter(const Ctl *c, usec_t span, json_t **ret) {
        _cleanup_buf_ Buf path = BUF_INIT, error = BUF_INIT;
        int r;

        if (c->host)
                return ctl_fail(STATUS_FAILED,
                                "report: bailiff-exporter can be asked on its own host only; of many hosts: "
                                "--prometheus URL");
        buf_printf(&path, "/api/v1/report?since=%llus", (unsigned long long)(span / USEC_PER_SEC));
        if (c->given & OPTION_TENANT) {
                buf_puts(&path, "&tenant=");
                exporter_escape(&path, c->tenant);
        }
        if (buf_error(&path) < 0)
                return ctl_rendered(-ENOMEM);
        r = exporter_get(EXPORTER_SOCKET, buf_str(&path), ret, &error);
        return r == STATUS_DONE ? r : ctl_fail(r, "%s", buf_str(&error));
}

static int from_prometheus(const Ctl *c, usec_t span, json_t **ret) {
        uint64_t now = clock_realtime() / USEC_PER_SEC;
        const FleetQuestion q = { .from = now - MIN_OF(now, span / USEC_PER_SEC),
                                  .to = now,
                                  .tenant = c->tenant,
                                  .host = c->host };
        _cleanup_buf_ Buf error = BUF_INIT;
        _cleanup_(cleanup_prometheus_free) Prometheus *p = prometheus_new(c->prometheus, &error);
        int r;

        if (!p)
                return ctl_fail(STATUS_USAGE, "--prometheus: %s", buf_str(&error));
        r = report_from_prometheus(p, &q, ret, &error);
        if (r == -ENOMEM)
                return ctl_rendered(r);
        return r < 0 ? ctl_fail(prometheus_failure(p), "%s", buf_str(&error)) : STATUS_DONE;
}

static int write_page(const Ctl *c, const Buf *page) {
        struct stat st;
        int r;

        if (STR_EQ(c->html, "-")) {
                (void)fwrite(page->data, 1, page->len, c->view.out);
                return STATUS_DONE;
        }
        /* A device, or a link to one, is not to be replaced by a file. */
        if (lstat(c->html, &st) == 0 && !S_ISREG(st.st_mode))
                return ctl_fail(STATUS_FAILED, "%s is no regular file; --html - writes to standard output",
                                c->html);
        r = fd_write_file_atomic(AT_FDCWD, c->html, page->data, page->len, 0644, true);
        return r < 0 ? ctl_fail(STATUS_FAILED, "%s cannot be written: %s", c->html, strerror(-r))
                     : STATUS_DONE;
}

static int print(Ctl *c, const json_t *report, ReportFormat format) {
        _cleanup_buf_ Buf out = BUF_INIT;
        int r;

        if (format == FORMAT_TABLE) {
                ctl_page(c);
                return ctl_rendered(screen_report(report, &c->view, clock_realtime()));
        }
        r = format == FORMAT_CSV ? report_csv(report, &out) : report_html(report, &out);
        if (r < 0)
                return ctl_rendered(r);
        if (format == FORMAT_HTML)
                return write_page(c, &out);
        (void)fputs(buf_str(&out), c->view.out);
        return STATUS_DONE;
}

int verb_report(Ctl *c) {
        usec_t span = SINCE_DEFAULT;
        ReportFormat format;
        json_t *report = NULL;
        int r = ask_format(c, &format);

        if (r != STATUS_DONE)
                return r;
        if ((c->given & OPTION_SINCE) &&
            (value_parse_usec(c->since, &span) < 0 || span < 60 * USEC_PER_SEC || span == USEC_INFINITY))
                return ctl_fail(STATUS_USAGE,
                                "--since %s: expected a time span such as 30d, of a minute at least",
                                c->since);
        if ((c->given & OPTION_HTML) && !*c->html)
                return ctl_fail(STATUS_USAGE, "--html: expected the name of a file");
        r = c->given & OPTION_PROMETHEUS ? from_prometheus(c, span, &report)
                                         : from_exporter(c, span, &report);
        if (r != STATUS_DONE)
                return r;
        if (format == FORMAT_JSON)
                return ctl_print_json(c, report);
        r = print(c, report, format);
        json_decref(report);
        return r;
}
