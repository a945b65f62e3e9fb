/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `policy show` and `policy diff`: the policy in force with the file and line of
 * every value, and what the files on disk would change of it, container by
 * container, with the danger named before it happens.
 */

#include <stdio.h>

#include "ctl.h"
#include "screens.h"

/* ---- show ---- */

static int values_table(const json_t *values, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *value;
        size_t i;

        if (!t)
                return -ENOMEM;
        table_column(t, "KEY", 0);
        table_column(t, "VALUE", TABLE_CUT);
        table_column(t, "FROM", TABLE_CUT_MIDDLE);
        json_array_foreach(values, i, value) {
                _cleanup_buf_ Buf where = BUF_INIT;

                say_where(&where, value);
                table_cell(t, STYLE_PLAIN, json_text(value, "key"));
                table_cell(t, STYLE_BOLD, json_text(value, "value"));
                table_cell(t, STYLE_DIM, where.len ? buf_str(&where) : "built in");
        }
        if (table_rows(t) == 0) {
                say_line(v, STYLE_DIM, "  nothing is set");
                return 0;
        }
        return table_print(t, v, 2);
}

int screen_policy(const json_t *policy, const View *v) {
        const json_t *tenant;
        size_t i;
        int r;

        say_line(v, STYLE_BOLD, "[Host]");
        r = values_table(json_member(json_member(policy, "host"), "values"), v);
        json_array_foreach(json_member(policy, "tenants"), i, tenant) {
                const char *name = json_text(tenant, "name"), *plan = json_text(tenant, "plan"),
                           *rule = json_text(tenant, "rule");

                if (r < 0)
                        return r;
                (void)fputc('\n', v->out);
                say_line(v, STYLE_BOLD, "[Tenant %s]%s%s%s", name ? name : "?",
                         rule && STR_EQ(rule, "template") ? " by template" : "", plan ? " plan " : "",
                         plan ? plan : "");
                r = values_table(json_member(tenant, "values"), v);
        }
        return r;
}

int verb_policy_show(Ctl *c) {
        json_t *j = NULL;
        int r = client_get(c->client, "GetPolicy", c->n_arguments > 0 ? c->arguments[0] : "", &j);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (c->json)
                return ctl_print_json(c, j);
        ctl_page(c);
        r = screen_policy(j, &c->view);
        json_decref(j);
        return ctl_rendered(r);
}

/* ---- diff ---- */

static bool mode_writes(const char *mode) {
        return !mode || STR_EQ(mode, "ceilings") || STR_EQ(mode, "enforce");
}

int screen_diff(const json_t *diff, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *change;
        size_t i, n_unwritten = 0;
        int r;

        if (!t)
                return -ENOMEM;
        table_column(t, "CONTAINER", TABLE_CUT);
        table_column(t, "TENANT", TABLE_CUT);
        table_column(t, "LIMIT", 0);
        table_column(t, "FROM", TABLE_RIGHT);
        table_column(t, "TO", TABLE_RIGHT);
        table_column(t, "MODE", 0);
        table_column(t, "DANGER", 0);
        json_array_foreach(json_member(diff, "changes"), i, change) {
                const char *name = json_text(change, "container"), *limit = json_text(change, "limit"),
                           *device = json_text(change, "device_name"), *danger = json_text(change, "danger"),
                           *from = json_text(change, "from_text"), *to = json_text(change, "to_text"),
                           *mode = json_text(change, "mode");

                if (!name)
                        name = json_text(change, "cgroup");
                table_cell(t, STYLE_PLAIN, name ? name : "(sum)");
                table_cell(t, STYLE_PLAIN, json_text(change, "tenant"));
                if (!device)
                        device = json_text(change, "device");
                table_cellf(t, STYLE_PLAIN, "%s%s%s", limit ? limit : "?", device ? " " : "",
                            device ? device : "");
                table_cell(t, STYLE_PLAIN, from ? from : "not set");
                table_cell(t, STYLE_BOLD, to ? to : "given back");
                table_cell(t, mode_writes(mode) ? STYLE_PLAIN : STYLE_DIM, mode);
                table_cell(t, STYLE_BAD, danger);
                n_unwritten += !mode_writes(mode);
        }
        if (table_rows(t) == 0) {
                say_line(v, STYLE_DIM, "the policy on disk would change no limit of what runs here");
                return 0;
        }
        r = table_print(t, v, 0);
        if (n_unwritten > 0)
                say_line(v, STYLE_DIM, "%zu of these %s not written: Mode=ceilings or enforce would",
                         n_unwritten, n_unwritten == 1 ? "is" : "are");
        return r;
}

int verb_policy_diff(Ctl *c) {
        json_t *j = NULL;
        const char *report;
        bool ok;
        int r = client_get(c->client, "DiffPolicy", NULL, &j);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        ok = json_flag(j, "ok");
        report = json_text(j, "report");
        if (!ok)
                r = ctl_fail(STATUS_FAILED, "the policy on disk has mistakes and would not be loaded:\n%s",
                             report ? report : "");
        else if (report && *report)
                (void)ctl_fail(STATUS_DONE, "warnings:\n%s", report);
        if (c->json) {
                (void)ctl_print_json(c, j);
                return r;
        }
        if (ok) {
                ctl_page(c);
                r = ctl_rendered(screen_diff(j, &c->view));
        }
        json_decref(j);
        return r;
}
