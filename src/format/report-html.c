/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The page of a report: what is in the JSON, for people, printers and screen readers.
 *
 * It is one file that needs no other, and XHTML, so that any parser of XML takes it. There is no script, and it says itself that
 * none may run, also where it is opened as a file. What a tenant named goes through html_text(); all else is ours. It works at the width of a telephone: tables fold into one card a tenant, plots
 * take what width there is. Colours are told apart by who is colour-blind, and never say alone what is to be said.
 */

#include <stdio.h>
#include <time.h>

#include "bookmetrics.h"
#include "num.h"
#include "report-html-internal.h"
#include "report-html.h"
#include "table.h"
#include "value.h"

#define NAME_WIDTH 60
#define TEXT_WIDTH 400
#define TABLE_ROWS REPORT_TOP
#define INCIDENTS_SHOWN 60

/* ---- numbers ---- */

void page_cpus(Buf *out, double permyriad) {
        double v = permyriad / 10000;

        buf_printf(out, v > 0 && v < 0.1 ? "%.3f" : v < 10 ? "%.2f" : v < 100 ? "%.1f" : "%.0f", v);
}

void page_bytes(Buf *out, double bytes) {
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        size_t i = 0;

        for (; bytes >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
                bytes /= 1024;
        buf_printf(out, i == 0 || bytes >= 100 ? "%.0f" : bytes >= 10 ? "%.1f" : "%.2f", bytes);
        buf_printf(out, "\xc2\xa0%s", units[i]);
}

void page_percent(Buf *out, double permyriad) {
        double v = permyriad / 100;

        buf_printf(out, v > 0 && v < 10 ? "%.1f" : "%.0f", v);
        buf_puts(out, "\xc2\xa0%");
}

void page_hours(Buf *out, double usec) {
        double v = usec / 3.6e9;

        buf_printf(out, v > 0 && v < 10 ? "%.2f" : v > 0 && v < 1000 ? "%.1f" : "%.0f", v);
        buf_puts(out, "\xc2\xa0h");
}

void page_gib_hours(Buf *out, double kib_seconds) {
        double v = kib_seconds / 1048576 / 3600;

        buf_printf(out, v > 0 && v < 10 ? "%.2f" : v > 0 && v < 1000 ? "%.1f" : "%.0f", v);
        buf_puts(out, "\xc2\xa0GiB\xc2\xb7h");
}

void page_time(Buf *out, uint64_t usec, PageTime how) {
        time_t t = (time_t)(usec / USEC_PER_SEC);
        char text[64];
        struct tm tm;

        if (localtime_r(&t, &tm) && strftime(text, sizeof(text),
                                             how == PAGE_TIME         ? "%a %-d %b %Y, %H:%M"
                                             : how == PAGE_TIME_SHORT ? "%a %-d %b %H:%M"
                                             : how == PAGE_TIME_DAY   ? "%-d %b"
                                             : how == PAGE_TIME_ZONE  ? "%Z"
                                                                      : "%H:%M",
                                             &tm) > 0)
                buf_puts(out, text);
}

/* In days, for months differ. */
void page_span(Buf *out, uint64_t usec) {
        static const usec_t minute = 60 * USEC_PER_SEC, hour = 60 * minute, day = 24 * hour;
        char text[VALUE_FORMAT_MAX];

        usec -= usec % (usec >= day ? hour : usec >= hour ? minute : USEC_PER_SEC);
        if (usec >= day)
                buf_printf(out, "%llud%s", (unsigned long long)(usec / day), usec % day > 0 ? " " : "");
        if (usec < day || usec % day > 0)
                buf_puts(out, value_format_usec(usec % day, text, sizeof(text)));
}

void page_name(Buf *out, const char *name, size_t width) {
        _cleanup_buf_ Buf shown = BUF_INIT, cut = BUF_INIT;

        text_escape(&shown, name ? name : "", true, false);
        text_cut(&cut, buf_str(&shown), width, true, false);
        if (buf_error(&shown) < 0 || buf_error(&cut) < 0)
                out->error = -ENOMEM;
        html_text(out, cut.len > 0 ? buf_str(&cut) : "\xe2\x80\x93");
}

void page_tenant(const Page *p, Buf *out, const json_t *tenant) {
        page_name(out, json_text(tenant, "name"), NAME_WIDTH);
        if (p->many_hosts) {
                buf_puts(out, " on ");
                page_name(out, json_text(tenant, "host"), NAME_WIDTH);
        }
}

/* ---- what is looked at once ---- */

static double used_of_both(const json_t *t) {
        return (double)json_number(t, "cpu_share_permyriad") +
               (double)json_number(t, "memory_share_permyriad");
}

static void insert(const json_t **list, size_t *n, size_t max, const json_t *t) {
        size_t at = *n;

        while (at > 0 && used_of_both(list[at - 1]) < used_of_both(t))
                at--;
        if (at >= max)
                return;
        *n = MIN_OF(*n + 1, max);
        for (size_t i = *n - 1; i > at; i--)
                list[i] = list[i - 1];
        list[at] = t;
}

double page_place(const Page *p, uint64_t usec) {
        double span = (double)p->points * (double)p->step;
        double at = span > 0 ? ((double)usec - (double)p->start) / span : 0;

        return MIN_OF(MAX_OF(at, 0.0), 1.0);
}

void page_init(Page *p, const json_t *report) {
        const json_t *o, *hosts = json_member(report, "hosts");
        size_t i;

        *p = (Page){ .report = report,
                     .from = json_number(report, "from"),
                     .to = json_number(report, "to"),
                     .start = json_number(report, "start"),
                     .step = json_number(report, "step_sec") * USEC_PER_SEC,
                     .points = MIN_OF(json_number(report, "points"), (uint64_t)REPORT_POINTS_MAX),
                     .many_hosts = json_array_size(hosts) > 1 };
        json_array_foreach(json_member(report, "tenants"), i, o) {
                if (json_object_size(json_member(o, "series")) == 0)
                        continue;
                if (p->n_large < REPORT_TOP)
                        p->large[p->n_large++] = o;
                insert(p->stacked, &p->n_stacked, PAGE_STACKED, o);
        }
        /* Of many hosts a gap is one host's, and no band for all. */
        if (p->many_hosts)
                return;
        json_array_foreach(json_member(json_array_get(hosts, 0), "gaps"), i,
                           o) if (p->n_gaps < REPORT_GAPS_MAX) p->gaps[p->n_gaps++] =
                (PlotMark){ .from = page_place(p, json_number(o, "from")),
                            .to = page_place(p, json_number(o, "to")) };
}

/* ---- head ---- */

static const char style[] =
        ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d0d7de;--card:#f6f8fa;"
        "--bad:#b3261e;--gap:#e4e7ea;--heat:#0072b2;"
        "--c0:#0072b2;--c1:#e69f00;--c2:#009e73;--c3:#cc79a7;--c4:#56b4e9;--c5:#d55e00;--c6:#b8a900;--c7:#"
        "6a3d9a;"
        "--c8:#9aa4ae}"
        "@media(prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e6edf3;--dim:#9da7b1;--line:#30363d;"
        "--card:#161b22;--bad:#ff8a80;--gap:#2a3038;--heat:#56b4e9;--c0:#4ea3d8;--c2:#2fbf95;--c3:#d99bbd;"
        "--c4:#8fd0f5;--c5:#f08040;--c6:#f0e442;--c7:#b494e0;--c8:#6e7781}}"
        "@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--card:#fff;"
        "--bad:#b3261e;--gap:#ddd;--heat:#0072b2;--c0:#0072b2;--c1:#e69f00;--c2:#009e73;--c3:#cc79a7;"
        "--c4:#56b4e9;--c5:#d55e00;--c6:#b8a900;--c7:#6a3d9a;--c8:#9aa4ae}"
        "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}"
        ".card,figure,.tile,li,tr{break-inside:avoid}"
        "h2,h3,.key,caption{break-after:avoid}}"
        "@page{size:A4 landscape;margin:12mm}"
        "*{box-sizing:border-box}"
        "body{margin:0 auto;padding:1rem;max-width:84rem;background:var(--bg);color:var(--fg);"
        "font:15px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}"
        "h1{font-size:1.6em;margin:.2em 0}h2{font-size:1.25em;margin:2em 0 .6em;border-bottom:1px solid "
        "var(--line)}h3{font-size:1em;margin:0 0 .4em}p{margin:.4em 0}"
        ".dim,small,figcaption,.xs,.ys,th{color:var(--dim)}small{display:block}.bad{color:var(--bad);"
        "font-weight:600}"
        ".tiles,.cards,.two{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr))}"
        ".cards{grid-template-columns:repeat(auto-fill,minmax(min(100%,23rem),1fr))}"
        ".two{grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr))}"
        ".tile,.card{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.6rem "
        ".8rem;"
        "min-width:0}.tile b{display:block;font-size:1.25em;white-space:nowrap}"
        "figure{margin:0 0 .9rem;min-width:0}figcaption{font-size:.85em;margin-bottom:.25em}"
        ".frame{display:grid;grid-template-columns:4.6em minmax(0,1fr);column-gap:.4em}"
        ".ys{display:flex;flex-direction:column;justify-content:space-between;text-align:right;font-size:."
        "72em;"
        "line-height:1;white-space:nowrap}.ys.days{justify-content:space-around}"
        ".xs{display:flex;justify-content:space-between;margin-left:6.95em;font-size:.72em;gap:.4em;"
        "white-space:nowrap}"
        "svg{display:block;width:100%}svg.plot{height:11em}svg.small{height:5.5em}svg.bar{height:.7em}"
        "svg.heat{height:9.8em}svg *{vector-effect:non-scaling-stroke}"
        ".grid{fill:none;stroke:var(--line);stroke-width:1}.gap{fill:var(--gap)}"
        ".line{fill:none;stroke:var(--c0);stroke-width:1.5;stroke-linejoin:round}"
        ".l1{fill:none;stroke:var(--c0);stroke-width:1.5}.l2{fill:none;stroke:var(--c5);stroke-width:1.5;"
        "stroke-dasharray:6 2}.l3{fill:none;stroke:var(--c2);stroke-width:1.5;stroke-dasharray:2 2}"
        ".area{fill:var(--c0);opacity:.25}"
        ".ceiling{fill:none;stroke:var(--bad);stroke-width:1.5;stroke-dasharray:7 4}"
        ".soft{fill:var(--c1);opacity:.4}.hard{fill:var(--bad);opacity:.5}"
        ".c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}"
        ".c5{fill:var(--c5)}.c6{fill:var(--c6)}.c7{fill:var(--c7)}.c8{fill:var(--c8)}"
        ".track{fill:var(--line);opacity:.5}"
        ".h0{fill:var(--gap)}.h1,.h2,.h3,.h4,.h5,.h6,.h7,.h8,.h9{fill:var(--heat)}"
        ".h1{fill-opacity:.06}.h2{fill-opacity:.17}.h3{fill-opacity:.29}.h4{fill-opacity:.41}.h5{fill-"
        "opacity:."
        "53}"
        ".h6{fill-opacity:.65}.h7{fill-opacity:.77}.h8{fill-opacity:.89}"
        ".key{display:flex;flex-wrap:wrap;gap:.2em 1em;padding:0;margin:.3em 0 "
        ".8em;list-style:none;font-size:."
        "85em}"
        ".key svg{display:inline-block;width:1.1em;height:.8em;margin-right:.4em;vertical-align:baseline}"
        ".bars{display:grid;grid-template-columns:minmax(5em,12em) minmax(3em,1fr) max-content;gap:.25em "
        ".7em;"
        "align-items:center;margin:0}.bars dt,.bars dd{margin:0}"
        ".wide{overflow-x:auto}td{white-space:nowrap;overflow-wrap:normal}td:last-child{white-space:normal;"
        "min-width:7em}"
        "small.in{display:inline}tbody th{min-width:8em}"
        "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.8em}"
        "th,td{padding:.35em .5em;text-align:right;vertical-align:top;border-bottom:1px solid var(--line)}"
        "thead th{overflow-wrap:normal}th:first-child{text-align:left}tbody "
        "th{color:var(--fg)}caption{text-align:left;color:var(--dim);"
        "padding-bottom:.4em}"
        "ol.inc{padding:0;list-style:none;margin:0}ol.inc li{border-left:4px solid var(--c1);padding:.1em "
        ".8em;"
        "margin:0 0 .8em}ol.inc li.hard-edge{border-color:var(--bad)}"
        "@media(max-width:60rem){table,thead,tbody,tr,th,td,caption{display:block}thead{position:absolute;"
        "clip-path:inset(50%);width:1px;height:1px;overflow:hidden}"
        "tr{border:1px solid var(--line);border-radius:6px;margin-bottom:.7em;padding:.3em .6em;background:"
        "var(--card)}tbody th{font-size:1.1em;border:0}td{display:flex;justify-content:space-between;gap:1em;"
        "border:0;padding:.12em .5em}td::before{content:attr(data-label);color:var(--dim);text-align:left}"
        "td span{text-align:right;white-space:normal}.opt{display:none}}"
        "@media(max-width:30rem){.bars{grid-template-columns:minmax(0,1fr) max-content}.bars "
        "dt{grid-column:1/-1}}"
        "@media "
        "print{body{font-size:8.5pt;max-width:none;padding:0}.wide{overflow:visible}.two{grid-template-"
        "columns:1fr 1fr}"
        ".cards{grid-template-columns:repeat(3,1fr)}.tiles{grid-template-columns:repeat(7,auto)}h2{margin-"
        "top:1em}"
        "figure{margin-bottom:.4em}svg.plot{height:9em}svg.small{height:4.6em}table{display:table;font-size:"
        "7pt}caption{display:"
        "table-caption}"
        "thead{display:table-header-group;position:static;clip-path:none}tbody{display:table-row-group}"
        "tr{display:table-row;border:0;background:none}th,td{display:table-cell;padding:.2em .25em;"
        "border-bottom:1px solid var(--line)}td "
        "span{white-space:nowrap}td:last-child "
        "span{white-space:normal}td::before{content:none}.opt{display:inline}}";

static void put_head(const Page *p, Buf *out) {
        const json_t *hosts = json_member(p->report, "hosts");

        buf_puts(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\" "
                      "xml:lang=\"en\"><head><meta charset=\"utf-8\"/>"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
                      "<meta name=\"referrer\" content=\"no-referrer\"/>"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                      "'unsafe-inline'\"/>"
                      "<title>bailiff report: ");
        if (p->many_hosts)
                buf_printf(out, "%zu hosts", json_array_size(hosts));
        else
                page_name(out, json_text(json_array_get(hosts, 0), "name"), NAME_WIDTH);
        buf_puts(out, "</title><style>");
        buf_puts(out, style);
        buf_puts(out, "</style></head>\n<body><header><h1>Report of ");
        if (json_text(p->report, "tenant")) {
                page_name(out, json_text(p->report, "tenant"), NAME_WIDTH);
                buf_puts(out, " on ");
        }
        if (p->many_hosts)
                buf_printf(out, "%zu hosts", json_array_size(hosts));
        else
                page_name(out, json_text(json_array_get(hosts, 0), "name"), NAME_WIDTH);
        buf_puts(out, "</h1><p>");
        page_time(out, p->from, PAGE_TIME);
        buf_puts(out, " to ");
        page_time(out, p->to, PAGE_TIME);
        buf_puts(out, " ");
        /* Times are told in the zone of who makes the page, hours of the week in that of who made the report. */
        page_time(out, p->to, PAGE_TIME_ZONE);
        buf_puts(out, " (");
        page_span(out, p->to - MIN_OF(p->from, p->to));
        if (json_number(p->report, "asked") > p->to - p->from + p->step) {
                buf_puts(out, ", all that is kept of ");
                page_span(out, json_number(p->report, "asked"));
        }
        buf_puts(out, "). A point of a curve is ");
        page_span(out, p->step);
        buf_puts(out, ".</p>");
}

/* What was not seen is said before anything is shown. */
static void put_coverage(const Page *p, Buf *out) {
        const json_t *o;
        size_t i, told = 0;

        json_array_foreach(json_member(p->report, "hosts"), i, o) {
                uint64_t coverage = json_number(o, "coverage_permyriad"), gaps = json_number(o, "gaps_all");

                if (!json_has(o, "coverage_permyriad") || (coverage >= 9990 && gaps == 0))
                        continue;
                if (told++ >= 10)
                        continue;
                buf_puts(out, "<p>");
                if (p->many_hosts) {
                        page_name(out, json_text(o, "name"), NAME_WIDTH);
                        buf_puts(out, ": ");
                }
                page_percent(out, (double)MIN_OF(coverage, (uint64_t)10000));
                buf_printf(out, " of this time is known%s", gaps > 0 ? "; " : ".");
                if (gaps > 0)
                        buf_printf(out, "%llu gap%s, shown as bands without curves.",
                                   (unsigned long long)gaps, gaps == 1 ? "" : "s");
                buf_puts(out, "</p>");
        }
        if (told > 10)
                buf_printf(out, "<p>%zu further hosts have gaps.</p>", told - 10);
        json_array_foreach(json_member(p->report, "warnings"), i, o) {
                buf_puts(out, "<p class=\"bad\">");
                page_name(out, json_string_value(o), TEXT_WIDTH);
                buf_puts(out, "</p>");
        }
}

static void open_tile(Buf *out, const char *what) { buf_printf(out, "<div class=\"tile\">%s<b>", what); }
static void close_tile(Buf *out) { buf_puts(out, "</b></div>"); }

static uint64_t acts_of(const Page *p, const char *kind) {
        const json_t *o;
        uint64_t n = 0;
        size_t i;

        json_array_foreach(json_member(p->report, "tenants"), i, o) n +=
                json_number(json_member(o, "acts"), kind);
        return n;
}

static void put_tiles(const Page *p, Buf *out) {
        const json_t *tenants = json_member(p->report, "tenants"), *o;
        bool has_incidents = json_has(p->report, "incidents");
        uint64_t have, throttles = acts_of(p, "throttle"), kills = acts_of(p, "kill");
        Book sum = {}, b;
        size_t i;

        json_array_foreach(tenants, i, o) {
                usage_book_read(json_member(o, "book"), &b, &have);
                book_add(&sum, &b);
        }
        buf_puts(out, "<div class=\"tiles\">");
        open_tile(out, "Tenants");
        buf_printf(out, "%zu", json_array_size(tenants));
        close_tile(out);
        open_tile(out, "CPU time");
        page_hours(out, (double)sum.v[BOOK_CPU_USEC]);
        close_tile(out);
        open_tile(out, "Memory");
        page_gib_hours(out, (double)sum.v[BOOK_MEMORY_KIB_SECONDS]);
        close_tile(out);
        open_tile(out, "Read and written");
        page_bytes(out, (double)sum.v[BOOK_IO_RBYTES] + (double)sum.v[BOOK_IO_WBYTES]);
        close_tile(out);
        open_tile(out, "OOM kills");
        buf_printf(out, "%llu", (unsigned long long)sum.v[BOOK_OOM_KILLS]);
        close_tile(out);
        if (has_incidents) {
                open_tile(out, "Incidents");
                buf_printf(out, "%llu", (unsigned long long)json_number(p->report, "incidents_all"));
                close_tile(out);
                open_tile(out, "Throttled, killed");
                buf_printf(out, "%llu, %llu", (unsigned long long)throttles, (unsigned long long)kills);
                close_tile(out);
        }
        buf_puts(out, "</div></header>\n<main>");
}

/* ---- the table ---- */

static const char *const columns[] = {
        "CPU time",      "CPUs: p95, highest", "Memory",     "Memory: p95, highest",
        "Read, written", "Received, sent",     "Waited for", "Throttled",
        "Major faults",  "OOM kills",          "Acts"
};

static void open_cell(Buf *out, size_t *column) {
        buf_printf(out, "<td data-label=\"%s\"><span>", columns[(*column)++]);
}

static void close_cell(Buf *out) { buf_puts(out, "</span></td>"); }

static void put_pair(Buf *out, void (*put)(Buf *out, double v), const json_t *stat, double ceiling) {
        if (!json_is_object(stat)) {
                buf_puts(out, "\xe2\x80\x93");
                return;
        }
        put(out, (double)json_number(stat, "p95"));
        buf_puts(out, ", ");
        put(out, (double)json_number(stat, "max"));
        if (ceiling <= 0)
                return;
        buf_puts(out, "<small>");
        page_percent(out, (double)json_number(stat, "p95") / ceiling * 10000);
        buf_puts(out, ", ");
        page_percent(out, (double)json_number(stat, "max") / ceiling * 10000);
        buf_puts(out, " of ");
        put(out, ceiling);
        buf_puts(out, "</small>");
}

static double last_ceiling(const json_t *tenant, const char *key) {
        const json_t *list = json_member(tenant, "ceilings");
        size_t n = json_array_size(list);

        return n > 0 ? (double)json_number(json_array_get(list, n - 1), key) : 0;
}

static void put_stalls(Buf *out, const Book *b, size_t *column) {
        static const struct {
                const char *name;
                BookField some, full;
        } rows[] = { { "CPU", BOOK_CPU_SOME_USEC, BOOK_CPU_FULL_USEC },
                     { "memory", BOOK_MEMORY_SOME_USEC, BOOK_MEMORY_FULL_USEC },
                     { "IO", BOOK_IO_SOME_USEC, BOOK_IO_FULL_USEC } };

        open_cell(out, column);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                buf_printf(out, "%s%s\xc2\xa0", i > 0 ? "<br/>" : "", rows[i].name);
                page_hours(out, (double)b->v[rows[i].some]);
                if (b->v[rows[i].full] == 0)
                        continue;
                buf_puts(out, " <small class=\"in\">full ");
                page_hours(out, (double)b->v[rows[i].full]);
                buf_puts(out, "</small>");
        }
        close_cell(out);
}

static void put_amount(Buf *out, uint64_t n) {
        static const char units[] = " kMGTPE";
        double v = (double)n;
        size_t i = 0;

        for (; v >= 1000 && i + 2 < sizeof(units); i++)
                v /= 1000;
        buf_printf(out, i == 0 ? "%.0f" : v < 10 ? "%.1f\xc2\xa0" : "%.0f\xc2\xa0", v);
        if (i > 0)
                buf_putc(out, units[i]);
}

static void put_bytes_pair(Buf *out, const Book *b, uint64_t have, BookField in, BookField to,
                           size_t *column) {
        open_cell(out, column);
        if (have >> in & 1) {
                page_bytes(out, (double)b->v[in]);
                buf_puts(out, ", ");
                page_bytes(out, (double)b->v[to]);
        } else
                buf_puts(out, "\xe2\x80\x93");
        if (in == BOOK_IO_RBYTES) {
                buf_puts(out, "<small>");
                put_amount(out, b->v[BOOK_IO_RIOS]);
                buf_puts(out, ", ");
                put_amount(out, b->v[BOOK_IO_WIOS]);
                buf_puts(out, " operations");
                buf_puts(out, "</small>");
        }
        close_cell(out);
}

static void put_acts(Buf *out, const json_t *tenant, size_t *column) {
        static const char *const kinds[] = { "throttle", "freeze", "stop", "kill" }, *const done[] = {
                "throttled", "frozen", "stopped", "killed"
        };
        bool any = false;

        open_cell(out, column);
        for (int would = 0; would < 2; would++)
                for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                        uint64_t n = json_number(json_member(tenant, would ? "would" : "acts"), kinds[i]);

                        if (n == 0)
                                continue;
                        buf_printf(out, "%s%s%llu\xc3\x97 %s", any ? ", " : "",
                                   would ? "would have been " : "", (unsigned long long)n, done[i]);
                        any = true;
                }
        if (!any)
                buf_puts(out, json_has(tenant, "acts") ? "none" : "\xe2\x80\x93");
        close_cell(out);
}

static void put_count(Buf *out, uint64_t n, bool bad, size_t *column) {
        open_cell(out, column);
        buf_puts(out, bad && n > 0 ? "<span class=\"bad\">" : "<span>");
        put_amount(out, n);
        buf_puts(out, "</span>");
        close_cell(out);
}

/* tenant NULL: many, of which there are no percentiles. */
static void put_cells(Buf *out, const json_t *tenant, const Book *b, uint64_t have) {
        const json_t *stats = json_member(tenant, "stats");
        size_t column = 0;

        open_cell(out, &column);
        page_hours(out, (double)b->v[BOOK_CPU_USEC]);
        if (json_has(tenant, "cpu_share_permyriad")) {
                buf_puts(out, "<small>");
                page_percent(out, (double)json_number(tenant, "cpu_share_permyriad"));
                buf_puts(out, "</small>");
        }
        close_cell(out);
        open_cell(out, &column);
        put_pair(out, page_cpus, json_member(stats, "cpu_permyriad"), last_ceiling(tenant, "cpu_permyriad"));
        close_cell(out);
        open_cell(out, &column);
        page_gib_hours(out, (double)b->v[BOOK_MEMORY_KIB_SECONDS]);
        if (json_has(tenant, "memory_share_permyriad")) {
                buf_puts(out, "<small>");
                page_percent(out, (double)json_number(tenant, "memory_share_permyriad"));
                buf_puts(out, "</small>");
        }
        close_cell(out);
        open_cell(out, &column);
        put_pair(out, page_bytes, json_member(stats, "memory_bytes"), last_ceiling(tenant, "memory_bytes"));
        close_cell(out);
        put_bytes_pair(out, b, have, BOOK_IO_RBYTES, BOOK_IO_WBYTES, &column);
        put_bytes_pair(out, b, have, BOOK_NET_RX_BYTES, BOOK_NET_TX_BYTES, &column);
        put_stalls(out, b, &column);
        open_cell(out, &column);
        page_hours(out, (double)b->v[BOOK_THROTTLED_USEC]);
        close_cell(out);
        put_count(out, b->v[BOOK_MAJOR_FAULTS], false, &column);
        put_count(out, b->v[BOOK_OOM_KILLS], true, &column);
        put_acts(out, tenant, &column);
}

static void put_table(const Page *p, Buf *out) {
        const json_t *tenants = json_member(p->report, "tenants"), *o;
        Book others = {}, b;
        uint64_t have;
        size_t i, n = 0;

        buf_puts(out, "<section><h2>What each tenant used</h2>");
        if (json_array_size(tenants) == 0) {
                buf_puts(out, "<p>Nothing is known of any tenant in this time.</p></section>");
                return;
        }
        buf_puts(out, "<div class=\"wide\"><table><caption>In order of CPU time. Waiting is summed over "
                      "containers.</caption>"
                      "<thead><tr><th scope=\"col\">Tenant</th>");
        for (i = 0; i < ARRAY_SIZE(columns); i++)
                buf_printf(out, "<th scope=\"col\">%s</th>", columns[i]);
        buf_puts(out, "</tr></thead><tbody>\n");
        json_array_foreach(tenants, i, o) {
                usage_book_read(json_member(o, "book"), &b, &have);
                if (i >= TABLE_ROWS) {
                        book_add(&others, &b);
                        n++;
                        continue;
                }
                buf_puts(out, "<tr><th scope=\"row\">");
                page_tenant(p, out, o);
                buf_puts(out, "</th>");
                put_cells(out, o, &b, have);
                buf_puts(out, "</tr>\n");
        }
        if (n > 0) {
                buf_printf(out, "<tr><th scope=\"row\">%zu others</th>", n);
                put_cells(out, NULL, &others, UINT64_MAX);
                buf_puts(out, "</tr>\n");
        }
        buf_puts(out, "</tbody></table></div></section>\n");
}

/* ---- incidents ---- */

static void put_victims(Buf *out, const json_t *incident) {
        const json_t *victims = json_member(incident, "victims"), *o;
        size_t i;

        json_array_foreach(victims, i, o) {
                const char *tenant = json_text(o, "tenant");

                if (i >= 5) {
                        buf_printf(out, " and %zu more", json_array_size(victims) - i);
                        break;
                }
                buf_puts(out, i > 0 ? ", " : "");
                if (tenant && *tenant) {
                        page_name(out, tenant, NAME_WIDTH);
                        buf_putc(out, '/');
                }
                page_name(out, json_text(o, "name"), NAME_WIDTH);
        }
        if (json_array_size(victims) == 0)
                buf_puts(out, "nobody that was named");
}

static void put_incident(Buf *out, const json_t *o) {
        const char *rung = json_text(o, "rung");
        bool hard = rung && (STR_EQ(rung, "stop") || STR_EQ(rung, "kill"));
        uint64_t opened = json_number(o, "opened"), closed = json_number(o, "closed");
        const json_t *r;
        size_t i;

        buf_printf(out, "<li%s><strong>#%llu ", hard ? " class=\"hard-edge\"" : "",
                   (unsigned long long)json_number(o, "id"));
        page_name(out, json_text(o, "tenant"), NAME_WIDTH);
        buf_putc(out, '/');
        page_name(out, json_text(o, "container"), NAME_WIDTH);
        buf_puts(out, "</strong> <span class=\"dim\">");
        page_time(out, opened, PAGE_TIME_SHORT);
        if (closed > opened) {
                buf_puts(out, ", for ");
                page_span(out, closed - opened);
        } else if (closed == 0)
                buf_puts(out, ", open");
        buf_puts(out, "</span><br/>Hurt: ");
        put_victims(out, o);
        if (json_number(o, "worst_permyriad") > 0) {
                buf_puts(out, ", waiting up to ");
                page_percent(out, (double)json_number(o, "worst_permyriad"));
                buf_puts(out, " of the time");
        }
        json_array_foreach(json_member(o, "resources"), i, r) {
                const char *name = json_string_value(r);

                buf_puts(out, i == 0 ? " for " : ", ");
                page_name(out,
                          !name                 ? NULL
                          : STR_EQ(name, "cpu") ? "CPU"
                          : STR_EQ(name, "io")  ? "IO"
                                                : name,
                          20);
        }
        buf_puts(out, ". Went as far as: ");
        page_name(out, rung, 20);
        if (json_number(o, "acts") == 0 && json_number(o, "would") > 0)
                buf_puts(out, ", noted only, for the mode does not allow it");
        buf_puts(out, ".<br/>");
        page_name(out, json_text(o, "text"), TEXT_WIDTH);
        buf_puts(out, "</li>\n");
}

static void put_incidents(const Page *p, Buf *out) {
        const json_t *incidents = json_member(p->report, "incidents"), *o;
        uint64_t all = json_number(p->report, "incidents_all");
        size_t i;

        if (!json_is_array(incidents))
                return;
        buf_puts(out, "<section><h2>Incidents</h2>");
        if (json_array_size(incidents) == 0)
                buf_puts(out, "<p>None: nobody was held back, and nobody had to be.</p>");
        buf_puts(out, json_array_size(incidents) > 0 ? "<ol class=\"inc\">" : "");
        json_array_foreach(incidents, i, o) if (i < INCIDENTS_SHOWN) put_incident(out, o);
        buf_puts(out, json_array_size(incidents) > 0 ? "</ol>" : "");
        if (all > INCIDENTS_SHOWN)
                buf_printf(
                        out,
                        "<p class=\"dim\">%llu earlier ones are left out here; bailiffctl incidents --since "
                        "has them.</p>",
                        (unsigned long long)(all - INCIDENTS_SHOWN));
        buf_puts(out, "</section>");
}

/* ---- all of it ---- */

int report_html(const json_t *report, Buf *out) {
        Page p;

        page_init(&p, report);
        put_head(&p, out);
        put_coverage(&p, out);
        put_tiles(&p, out);
        charts_overview(&p, out);
        put_table(&p, out);
        charts_top(&p, out);
        charts_tenants(&p, out);
        charts_pressure(&p, out);
        charts_week(&p, out);
        put_incidents(&p, out);
        buf_puts(out,
                 "</main>\n<footer><p class=\"dim\">Made by bailiff. Means are over the time of a point; the "
                 "highest and p95 (not exceeded in 95\xc2\xa0% of the time) are of looks ten seconds apart "
                 "where "
                 "the history is this host\xe2\x80\x99s. Ceilings are those of "
                 "policy.</p></footer></body></html>\n");
        return buf_error(out);
}
