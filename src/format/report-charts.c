/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The plots of the page, each with its scale, its times and its key in text around it.
 *
 * What of a ceiling lies far beyond use is not drawn, for then use would be a line at the bottom; the caption says where it is.
 * Incidents are marked where they were, at their culprit's curves and in the overview; what they were is in the list, and
 * under the pointer.
 */

#include <stdio.h>

#include "report-html-internal.h"

#define MARKS_MAX REPORT_INCIDENTS_MAX
#define CEILING_NEAR 3 /* times the highest use: drawn */

/* ---- frames ---- */

static double highest_of(const json_t *values) {
        const json_t *v;
        double most = 0;
        size_t i;

        json_array_foreach(values, i, v) most = MAX_OF(most, json_number_value(v));
        return most;
}

static void put_times(const Page *p, Buf *out) {
        uint64_t span = (uint64_t)p->points * p->step;
        PageTime how = span <= 2 * 86400 * USEC_PER_SEC ? PAGE_TIME_CLOCK : PAGE_TIME_DAY;

        buf_puts(out, "<div class=\"xs\" aria-hidden=\"true\">");
        for (unsigned i = 0; i < 5; i++) {
                buf_printf(out, "<span%s>", i % 2 ? " class=\"opt\"" : "");
                page_time(out, p->start + span / 4 * i, how);
                buf_puts(out, "</span>");
        }
        buf_puts(out, "</div>");
}

static void open_frame(Buf *out, double top, void (*say)(Buf *out, double v)) {
        buf_puts(out, "<div class=\"frame\"><div class=\"ys\" aria-hidden=\"true\"><span>");
        say(out, top);
        buf_puts(out, "</span><span>");
        say(out, top / 2);
        buf_puts(out, "</span><span>0</span></div>");
}

static void close_frame(const Page *p, Buf *out) {
        buf_puts(out, "</div>");
        put_times(p, out);
        buf_puts(out, "</figure>");
}

static void key_begin(Buf *out) { buf_puts(out, "<ul class=\"key\">"); }

static void key_entry(Buf *out, const char *class, bool line) {
        buf_printf(out, "<li><svg viewBox=\"0 0 20 10\" aria-hidden=\"true\">");
        if (line)
                buf_printf(out, "<path class=\"%s\" d=\"M0 5H20\"/></svg>", class);
        else
                buf_printf(out, "<rect class=\"%s\" width=\"20\" height=\"10\"/></svg>", class);
}

static void key_text(Buf *out, const char *class, bool line, const char *text) {
        key_entry(out, class, line);
        buf_printf(out, "%s</li>", text);
}

/* ---- incidents as marks ---- */

typedef struct Marks {
        PlotMark list[MARKS_MAX];
        char titles[MARKS_MAX][96];
        size_t n;
} Marks;

static bool is_of(const json_t *incident, const json_t *tenant) {
        const char *a = json_text(incident, "tenant"), *b = json_text(tenant, "name");

        return !tenant || (a && b && STR_EQ(a, b));
}

/* tenant NULL: all. */
static void find_marks(const Page *p, const json_t *tenant, Marks *m) {
        const json_t *o;
        size_t i;

        m->n = 0;
        json_array_foreach(json_member(p->report, "incidents"), i, o) {
                const char *rung = json_text(o, "rung");
                uint64_t opened = json_number(o, "opened"), closed = json_number(o, "closed");
                bool hard = rung && (STR_EQ(rung, "stop") || STR_EQ(rung, "kill"));

                if (!is_of(o, tenant) || m->n == MARKS_MAX)
                        continue;
                (void)snprintf(m->titles[m->n], sizeof(m->titles[0]), "incident %llu: %.20s",
                               (unsigned long long)json_number(o, "id"), rung ? rung : "");
                m->list[m->n] = (PlotMark){ .from = page_place(p, opened),
                                            .to = page_place(p, closed > 0 ? closed : p->to),
                                            .class = hard ? "hard" : "soft",
                                            .title = m->titles[m->n] };
                m->n++;
        }
}

/* ---- stacks ---- */

/* Of all that has no layer of its own. */
static json_t *rest_of(const Page *p, const char *key) {
        const json_t *others = json_member(json_member(json_member(p->report, "others"), "series"), key);
        json_t *a = json_array();

        for (size_t i = 0; i < p->points; i++) {
                const json_t *v = json_array_get(others, i);
                double sum = json_number_value(v);
                bool any = json_is_number(v);

                for (size_t k = 0; k < p->n_large; k++) {
                        bool layer = false;

                        for (size_t s = 0; s < p->n_stacked; s++)
                                layer |= p->stacked[s] == p->large[k];
                        v = json_array_get(json_member(json_member(p->large[k], "series"), key), i);
                        if (layer || !json_is_number(v))
                                continue;
                        sum += json_number_value(v);
                        any = true;
                }
                (void)json_array_append_new(a, any ? json_real(sum) : json_null());
        }
        return a;
}

static double capacity_of(const Page *p, const char *key) {
        const json_t *o;
        double sum = 0;
        size_t i;

        json_array_foreach(json_member(p->report, "hosts"), i, o) {
                if (json_number(o, key) == 0)
                        return 0;
                sum += (double)json_number(o, key);
        }
        return sum;
}

static void put_stack(const Page *p, Buf *out, const char *key, const char *what, double capacity,
                      double base, void (*say)(Buf *out, double v)) {
        static const char *const classes[] = { "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8" };
        PlotCurve curves[PAGE_STACKED + 1];
        json_t *rest = rest_of(p, key);
        double most = 0;
        Marks *marks = calloc(1, sizeof(*marks));
        Plot plot = { .title = what,
                      .description = "tenants upon each other over time",
                      .n = p->points,
                      .curves = curves,
                      .gaps = p->gaps,
                      .n_gaps = p->n_gaps };

        if (!marks || !rest) {
                out->error = -ENOMEM;
                free(marks);
                json_decref(rest);
                return;
        }
        for (size_t i = 0; i < p->n_stacked; i++)
                curves[plot.n_curves++] = (PlotCurve){ json_member(json_member(p->stacked[i], "series"), key),
                                                       classes[i], PLOT_AREA };
        curves[plot.n_curves++] = (PlotCurve){ rest, classes[PAGE_STACKED], PLOT_AREA };
        for (size_t i = 0; i < p->points; i++) {
                double sum = 0;

                for (size_t k = 0; k < plot.n_curves; k++)
                        sum += json_number_value(json_array_get(curves[k].values, i));
                most = MAX_OF(most, sum);
        }
        plot.top = plot_scale_top(
                MAX_OF(most, capacity > 0 && capacity <= most * CEILING_NEAR ? capacity : 0), base);
        find_marks(p, NULL, marks);
        plot.marks = marks->list;
        plot.n_marks = marks->n;
        buf_printf(out, "<figure><figcaption>%s; highest ", what);
        say(out, most);
        if (capacity > 0) {
                buf_puts(out, " of ");
                say(out, capacity);
        }
        buf_puts(out, "</figcaption>");
        open_frame(out, plot.top, say);
        plot_stack(out, &plot, capacity);
        close_frame(p, out);
        json_decref(rest);
        free(marks);
}

void charts_overview(const Page *p, Buf *out) {
        static const char *const classes[] = { "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7" };
        double cpus = capacity_of(p, "cpus") * 10000, memory = capacity_of(p, "memory_bytes");

        if (p->n_large == 0)
                return;
        buf_puts(out, "<section><h2>Use over time</h2>");
        key_begin(out);
        for (size_t i = 0; i < p->n_stacked; i++) {
                key_entry(out, classes[i], false);
                page_tenant(p, out, p->stacked[i]);
                buf_puts(out, "</li>");
        }
        key_text(out, "c8", false, "others");
        if (cpus > 0 || memory > 0)
                key_text(out, "ceiling", true, "what there is");
        key_text(out, "soft", false, "incident");
        key_text(out, "hard", false, "incident: stopped or killed");
        buf_puts(out, "</ul><div class=\"two\">");
        put_stack(p, out, "cpu_permyriad", "CPUs", cpus, 10000, page_cpus);
        put_stack(p, out, "memory_bytes", "Memory", memory, 1024, page_bytes);
        buf_puts(out, "</div></section>\n");
}

/* ---- the largest ---- */

static double used(const json_t *tenant, const char *field) {
        return (double)json_number(json_member(tenant, "book"), field);
}

static void put_bars(const Page *p, Buf *out, const char *heading, const char *field, const char *class,
                     void (*say)(Buf *out, double v)) {
        const json_t *top[10] = {}, *tenants = json_member(p->report, "tenants"), *o;
        size_t n = 0, i;

        json_array_foreach(tenants, i, o) {
                size_t at = n;

                while (at > 0 && used(top[at - 1], field) < used(o, field))
                        at--;
                if (at >= ARRAY_SIZE(top))
                        continue;
                n = MIN_OF(n + 1, ARRAY_SIZE(top));
                for (size_t k = n - 1; k > at; k--)
                        top[k] = top[k - 1];
                top[at] = o;
        }
        buf_printf(out, "<div class=\"card\"><h3>%s</h3><dl class=\"bars\">", heading);
        for (i = 0; i < n; i++) {
                double most = used(top[0], field), v = used(top[i], field);

                buf_puts(out, "<dt>");
                page_tenant(p, out, top[i]);
                buf_puts(out, "</dt><dd>");
                plot_bar(out, most > 0 ? v / most : 0, class);
                buf_puts(out, "</dd><dd>");
                say(out, v);
                buf_puts(out, "</dd>");
        }
        buf_puts(out, "</dl></div>");
}

void charts_top(const Page *p, Buf *out) {
        if (json_array_size(json_member(p->report, "tenants")) == 0)
                return;
        buf_puts(out, "<section><h2>The largest</h2><div class=\"two\">");
        put_bars(p, out, "CPU hours", "cpu_usec", "c0", page_hours);
        put_bars(p, out, "GiB hours", "memory_kib_seconds", "c2", page_gib_hours);
        put_bars(p, out, "Written", "io_write_bytes", "c5", page_bytes);
        put_bars(p, out, "Waited for CPU, summed over containers", "cpu_some_usec", "c7", page_hours);
        buf_puts(out, "</div></section>\n");
}

/* ---- each tenant ---- */

/* What held at each point. */
static json_t *ceiling_curve(const Page *p, const json_t *tenant, const char *key) {
        const json_t *list = json_member(tenant, "ceilings");
        json_t *a = json_array();
        size_t at = 0, n = json_array_size(list);

        for (size_t i = 0; i < p->points; i++) {
                uint64_t end = p->start + (i + 1) * p->step;
                uint64_t v;

                while (at < n && json_number(json_array_get(list, at), "time") < end)
                        at++;
                v = at > 0 ? json_number(json_array_get(list, at - 1), key) : 0;
                (void)json_array_append_new(a, v > 0 ? json_integer((json_int_t)v) : json_null());
        }
        return a;
}

static void put_use(const Page *p, Buf *out, const json_t *tenant, const Marks *marks, bool memory) {
        const json_t *series = json_member(tenant, "series"),
                     *mean = json_member(series, memory ? "memory_bytes" : "cpu_permyriad"),
                     *most = json_member(series, memory ? "memory_max_bytes" : "cpu_max_permyriad"),
                     *stats = json_member(json_member(tenant, "stats"),
                                          memory ? "memory_bytes" : "cpu_permyriad");
        json_t *ceiling = ceiling_curve(p, tenant, memory ? "memory_bytes" : "cpu_permyriad");
        double high = MAX_OF(highest_of(most), highest_of(mean)), bound = highest_of(ceiling),
               last = json_number_value(json_array_get(ceiling, MAX_OF(p->points, (size_t)1) - 1));
        void (*say)(Buf *, double) = memory ? page_bytes : page_cpus;
        PlotCurve curves[] = { { most, "area", PLOT_AREA },
                               { mean, "line", PLOT_LINE },
                               { ceiling, "ceiling", PLOT_STEP } };
        Plot plot = { .title = memory ? "Memory over time" : "CPUs over time",
                      .description = "mean and highest use, with the ceiling",
                      .class = "small",
                      .n = p->points,
                      .curves = curves,
                      .n_curves = ARRAY_SIZE(curves),
                      .gaps = p->gaps,
                      .n_gaps = p->n_gaps,
                      .marks = marks->list,
                      .n_marks = marks->n };
        bool near = bound > 0 && bound <= MAX_OF(high * CEILING_NEAR, 1.0);

        if (!near)
                plot.n_curves--;
        plot.top = plot_scale_top(MAX_OF(high, near ? bound * 1.02 : 1), memory ? 1024 : 10000);
        buf_printf(out, "<figure><figcaption>%s: mean ", memory ? "Memory" : "CPUs");
        say(out, (double)json_number(stats, "mean"));
        buf_puts(out, ", p95 ");
        say(out, (double)json_number(stats, "p95"));
        buf_puts(out, ", highest ");
        say(out, (double)json_number(stats, "max"));
        if (bound > 0) {
                buf_puts(out, ", ceiling ");
                if (last > 0)
                        say(out, last);
                else
                        buf_puts(out, "none");
                if (last < bound) {
                        buf_puts(out, ", before ");
                        say(out, bound);
                }
                buf_puts(out, near ? "" : " (beyond the scale)");
        }
        buf_puts(out, "</figcaption>");
        open_frame(out, plot.top, say);
        plot_curves(out, &plot);
        close_frame(p, out);
        json_decref(ceiling);
}

static void put_waiting(const Page *p, Buf *out, const json_t *series, const char *caption,
                        const char *class) {
        const PlotCurve curves[] = { { json_member(series, "cpu_stall_permyriad"), "l1", PLOT_LINE },
                                     { json_member(series, "memory_stall_permyriad"), "l2", PLOT_LINE },
                                     { json_member(series, "io_stall_permyriad"), "l3", PLOT_LINE } };
        double most = 100;
        Plot plot = { .title = "Waiting over time",
                      .description = "share of time in which something waited for CPU, memory and IO",
                      .class = class,
                      .n = p->points,
                      .curves = curves,
                      .n_curves = ARRAY_SIZE(curves),
                      .gaps = p->gaps,
                      .n_gaps = p->n_gaps };

        for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
                most = MAX_OF(most, highest_of(curves[i].values));
        plot.top = plot_scale_top(most, 10000);
        buf_printf(out, "<figure><figcaption>%s", caption);
        buf_puts(out, "</figcaption>");
        open_frame(out, plot.top, page_percent);
        plot_curves(out, &plot);
        close_frame(p, out);
}

static void key_of_waiting(Buf *out) {
        key_text(out, "l1", true, "waits for CPU");
        key_text(out, "l2", true, "for memory");
        key_text(out, "l3", true, "for IO");
}

void charts_tenants(const Page *p, Buf *out) {
        Marks *marks = calloc(1, sizeof(*marks));

        if (!marks) {
                out->error = -ENOMEM;
                return;
        }
        if (p->n_large > 0) {
                buf_puts(out, "<section><h2>Use against ceilings</h2>");
                key_begin(out);
                key_text(out, "line", true, "mean");
                key_text(out, "area", false, "highest");
                key_text(out, "ceiling", true, "ceiling");
                key_of_waiting(out);
                key_text(out, "soft", false, "was to blame in an incident");
                key_text(out, "hard", false, "was stopped or killed");
                buf_puts(out, "</ul><div class=\"cards\">\n");
        }
        for (size_t i = 0; i < p->n_large; i++) {
                find_marks(p, p->large[i], marks);
                buf_puts(out, "<article class=\"card\"><h3>");
                page_tenant(p, out, p->large[i]);
                buf_puts(out, "</h3>");
                put_use(p, out, p->large[i], marks, false);
                put_use(p, out, p->large[i], marks, true);
                put_waiting(p, out, json_member(p->large[i], "series"), "Waiting, summed over containers",
                            "small");
                buf_puts(out, "</article>\n");
        }
        if (p->n_large > 0)
                buf_puts(out, "</div></section>\n");
        free(marks);
}

/* ---- hosts ---- */

void charts_pressure(const Page *p, Buf *out) {
        const json_t *o;
        size_t i, n = 0;

        json_array_foreach(json_member(p->report, "hosts"), i, o) {
                const json_t *series = json_member(o, "series");

                if (!json_is_array(json_member(series, "cpu_stall_permyriad")) || n >= REPORT_TOP)
                        continue;
                if (n++ == 0) {
                        buf_puts(out, "<section><h2>Pressure of the host</h2>");
                        key_begin(out);
                        key_of_waiting(out);
                        buf_puts(out, "</ul>");
                }
                if (p->many_hosts) {
                        buf_puts(out, "<h3>");
                        page_name(out, json_text(o, "name"), 60);
                        buf_puts(out, "</h3>");
                }
                put_waiting(p, out, series, "Share of time in which something waited (PSI, some)", "plot");
        }
        buf_puts(out, n > 0 ? "</section>\n" : "");
}

/* ---- the week ---- */

static void put_week(Buf *out, const char *heading, const json_t *values, void (*say)(Buf *out, double v)) {
        static const char *const days[] = { "Mo", "Tu", "We", "Th", "Fr", "Sa", "Su" };
        const json_t *v;
        double low = 0, high = 0;
        bool any = false;
        size_t i;

        json_array_foreach(values, i, v) if (json_is_number(v)) {
                low = any ? MIN_OF(low, json_number_value(v)) : json_number_value(v);
                high = MAX_OF(high, json_number_value(v));
                any = true;
        }
        buf_printf(out, "<figure><figcaption>%s: ", heading);
        if (any) {
                say(out, low);
                buf_puts(out, " (light) to ");
                say(out, high);
                buf_puts(out, " (dark)");
        } else
                buf_puts(out, "not known");
        buf_puts(out, "</figcaption><div class=\"frame\"><div class=\"ys days\" aria-hidden=\"true\">");
        for (i = 0; i < ARRAY_SIZE(days); i++)
                buf_printf(out, "<span>%s</span>", days[i]);
        buf_puts(out, "</div>");
        plot_heat(out, heading, values, say);
        buf_puts(out, "</div><div class=\"xs\" aria-hidden=\"true\"><span>0:00</span><span>6:00</span>"
                      "<span>12:00</span><span>18:00</span><span>24:00</span></div></figure>");
}

void charts_week(const Page *p, Buf *out) {
        const json_t *heat = json_member(p->report, "heat");

        if (!json_is_object(heat))
                return;
        buf_puts(out,
                 "<section><h2>Hours of the week</h2><p class=\"dim\">Means of all together, local time (");
        page_name(out, json_text(p->report, "timezone"), 32);
        buf_puts(out, ").</p><div class=\"two\">");
        put_week(out, "CPUs", json_member(heat, "cpu_permyriad"), page_cpus);
        put_week(out, "Memory", json_member(heat, "memory_bytes"), page_bytes);
        buf_puts(out, "</div></section>\n");
}
