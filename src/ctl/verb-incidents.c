/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `incidents`: one line each, the newest first; `why incident:N` has the story. `observe-report`: what would have been done, had
 * the mode allowed it, per tenant and container: what an operator reads before a tenant's mode is raised.
 */

#include <stdio.h>

#include "ctl.h"
#include "exporter-client.h"
#include "num.h"
#include "screens.h"
#include "value.h"

#define KEPT_MAX 10000 /* that the exporter tells at once */

static bool is(const char *a, const char *b) { return a && STR_EQ(a, b); }

/* ---- incidents ---- */

static void resources_cell(Table *t, const json_t *resources) {
        _cleanup_buf_ Buf b = BUF_INIT;
        const json_t *r;
        size_t i;

        json_array_foreach(resources, i, r) if (json_is_string(r))
                buf_printf(&b, "%s%s", b.len > 0 ? "," : "", json_string_value(r));
        table_cell(t, STYLE_PLAIN, buf_str(&b));
}

static TextStyle rung_style(const char *rung) {
        return is(rung, "kill") || is(rung, "stop")         ? STYLE_BAD
               : is(rung, "throttle") || is(rung, "freeze") ? STYLE_WARN
                                                            : STYLE_PLAIN;
}

static void count_cell(Table *t, TextStyle style, uint64_t n) {
        if (n > 0)
                table_cellf(t, style, "%llu", (unsigned long long)n);
        else
                table_cell(t, STYLE_PLAIN, NULL);
}

static void incident_row(Table *t, const json_t *o, uint64_t now) {
        uint64_t opened = json_number(o, "opened"), closed = json_number(o, "closed"),
                 end = closed > 0 ? closed : now;
        const char *container = json_text(o, "container"), *rung = json_text(o, "rung");
        char when[SAY_MAX], span[SAY_MAX];

        table_cellf(t, STYLE_BOLD, "%llu", (unsigned long long)json_number(o, "id"));
        table_cell(t, STYLE_PLAIN, say_time(opened, when));
        (void)say_span(opened > 0 && end > opened ? end - opened : 0, span);
        table_cellf(t, closed > 0 ? STYLE_PLAIN : STYLE_WARN, "%s%s", span, closed > 0 ? "" : ", open");
        table_cell(t, STYLE_PLAIN, json_text(o, "tenant"));
        table_cell(t, STYLE_PLAIN, container ? container : json_text(o, "cgroup"));
        resources_cell(t, json_member(o, "resources"));
        table_cell(t, rung_style(rung), rung);
        count_cell(t, STYLE_PLAIN, json_number(o, "acts"));
        count_cell(t, STYLE_DIM, json_number(o, "would"));
        count_cell(t, STYLE_BAD, json_number(o, "kills"));
        table_cell(t, STYLE_PLAIN, json_text(o, "text"));
}

int screen_incidents(const json_t *incidents, const View *v, uint64_t now) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *o;
        size_t i;

        if (!t)
                return -ENOMEM;
        table_column(t, "ID", TABLE_RIGHT);
        table_column(t, "OPENED", TABLE_DROP_LATE);
        table_column(t, "LASTED", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "TENANT", TABLE_CUT);
        table_column(t, "CONTAINER", TABLE_CUT_MIDDLE);
        table_column(t, "RESOURCES", TABLE_DROP_LATE);
        table_column(t, "RUNG", TABLE_DROP_LATE);
        table_column(t, "ACTS", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "WOULD", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "KILLS", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "TEXT", TABLE_CUT | TABLE_DROP);
        json_array_foreach(incidents, i, o) incident_row(t, o, now);
        if (table_rows(t) == 0) {
                say_line(v, STYLE_DIM, "no incidents: nobody was held back, and nobody had to be");
                return 0;
        }
        return say_left_out(v, table_print(t, v, 0));
}

/* With --since they are the exporter's: it keeps them for years, the guard until it ends. */
static int get_kept(const Ctl *c, uint32_t max, json_t **ret) {
        _cleanup_buf_ Buf path = BUF_INIT, error = BUF_INIT;
        usec_t span;
        int r;

        if (value_parse_usec(c->since, &span) < 0 || span < USEC_PER_SEC || span == USEC_INFINITY)
                return ctl_fail(STATUS_USAGE,
                                "--since %s: expected a time span such as 30d, of a second at least",
                                c->since);
        if (c->host)
                return ctl_fail(STATUS_FAILED, "--since: bailiff-exporter can be asked on its own host only");
        buf_printf(&path, "/api/v1/incidents?since=%llus&max=%u", (unsigned long long)(span / USEC_PER_SEC),
                   max > 0 ? MIN_OF(max, (uint32_t)KEPT_MAX) : KEPT_MAX);
        r = exporter_get(EXPORTER_SOCKET, buf_str(&path), ret, &error);
        return r == STATUS_DONE ? r : ctl_fail(r, "%s", buf_str(&error));
}

int verb_incidents(Ctl *c) {
        json_t *j = NULL;
        uint32_t max = 0;
        int r;

        if ((c->given & OPTION_LINES) && (num_parse_u32(c->lines, &max) < 0 || max == 0))
                return ctl_fail(STATUS_USAGE, "--lines %s: expected a number of incidents above 0", c->lines);
        if (c->given & OPTION_SINCE) {
                r = get_kept(c, max, &j);
                if (r != STATUS_DONE)
                        return r;
        } else {
                r = client_get_incidents(c->client, max, &j);
                if (r != STATUS_DONE)
                        return ctl_client_failed(c, r);
        }
        if (c->json)
                return ctl_print_json(c, j);
        ctl_page(c);
        r = screen_incidents(json_member(j, "incidents"), &c->view, clock_realtime());
        json_decref(j);
        return ctl_rendered(r);
}

/* ---- observe-report ---- */

static void would_cells(Table *t, const json_t *o) {
        const json_t *would = json_member(o, "would");

        count_cell(t, STYLE_PLAIN, json_number(would, "throttle"));
        count_cell(t, STYLE_PLAIN, json_number(would, "freeze"));
        count_cell(t, STYLE_WARN, json_number(would, "stop"));
        count_cell(t, STYLE_BAD, json_number(would, "kill"));
}

static void observed_container(Table *t, const json_t *o) {
        const char *name = json_text(o, "name");
        const json_t *worst = json_member(o, "worst");

        table_cellf(t, STYLE_PLAIN, "  %s", name ? name : "-");
        table_cell(t, STYLE_PLAIN, NULL);
        would_cells(t, o);
        if (json_text(worst, "text"))
                table_cellf(t, STYLE_PLAIN, "[%llu] %s", (unsigned long long)json_number(worst, "id"),
                            json_text(worst, "text"));
        else
                table_cell(t, STYLE_PLAIN, NULL);
}

int screen_observed(const json_t *report, const View *v, uint64_t now) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        uint64_t since = json_number(report, "since");
        const json_t *o, *c;
        char when[SAY_MAX], span[SAY_MAX];
        size_t i, k;
        int r;

        if (!t)
                return -ENOMEM;
        table_column(t, "TENANT", TABLE_CUT);
        table_column(t, "MODE", TABLE_DROP);
        table_column(t, "THROTTLE", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "FREEZE", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "STOP", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "KILL", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "THE WORST", TABLE_CUT);
        json_array_foreach(json_member(report, "tenants"), i, o) {
                const json_t *containers = json_member(o, "containers");

                table_cell(t, STYLE_BOLD, json_text(o, "name"));
                table_cell(t, STYLE_PLAIN, json_text(o, "mode"));
                would_cells(t, o);
                table_cell(t, STYLE_PLAIN, NULL);
                json_array_foreach(containers, k, c) observed_container(t, c);
        }
        if (since > 0)
                say_line(v, STYLE_BOLD, "What would have been done since %s (%s), had the mode allowed it",
                         say_time(since, when), say_span(now > since ? now - since : 0, span));
        if (table_rows(t) == 0) {
                say_line(v, STYLE_GOOD, "nothing: nobody would have been held back");
                return 0;
        }
        r = say_left_out(v, table_print(t, v, 0));
        if (r >= 0)
                say_line(v, STYLE_DIM, "the story of one: bailiffctl why EVENT, the number in brackets");
        return r;
}

int verb_observe_report(Ctl *c) {
        json_t *j = NULL;
        int r = client_get(c->client, "ObserveReport", NULL, &j);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (c->json)
                return ctl_print_json(c, j);
        ctl_page(c);
        r = screen_observed(j, &c->view, clock_realtime());
        json_decref(j);
        return ctl_rendered(r);
}
