/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The verbs that change something: reload, pause, resume, hold, unhold, undo,
 * release (verb-act.c has those that do a judge's work by hand). Each says what is so now and how to end it. Names go to the guard as
 * they are: it knows what they mean and answers for them.
 */

#include <stdio.h>

#include "ctl.h"
#include "num.h"
#include "screens.h"
#include "value.h"

/* One that is read already, and then ours, each 20 s at most. */
#define RELOAD_PATIENCE (45 * USEC_PER_SEC)

int verb_reload(Ctl *c) {
        _cleanup_free_ char *warnings = NULL;
        int r;

        client_set_patience(c->client, RELOAD_PATIENCE);
        r = client_change(c->client, &warnings, "Reload", "");
        if (r == STATUS_FAILED && !client_not_ready(c->client))
                return ctl_fail(r, "policy refused, the one in force stays:\n%s", client_error(c->client));
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (*warnings && !c->json)
                (void)ctl_fail(STATUS_DONE, "warnings:\n%s", warnings);
        return ctl_done(c, json_pack("{s:b, s:s}", "ok", 1, "warnings", warnings), "policy loaded");
}

int verb_pause(Ctl *c) {
        char until[SAY_MAX];
        usec_t span = 0;
        int r = c->given & OPTION_FOR ? ctl_parse_span(c, &span) : STATUS_DONE;
        uint64_t end;

        if (r != STATUS_DONE)
                return r;
        if ((c->given & OPTION_FOR) && span == 0)
                return ctl_fail(STATUS_USAGE,
                                "--for %s: a pause of no length is none; without --for it lasts until resume",
                                c->span);
        if (span == USEC_INFINITY)
                span = 0;
        r = client_change(c->client, NULL, "Pause", "t", span);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        end = num_add_sat(clock_realtime(), span);
        return ctl_done(c,
                        span ? json_pack("{s:b, s:I}", "paused", 1, "until", (json_int_t)end)
                             : json_pack("{s:b, s:n}", "paused", 1, "until"),
                        "paused %s: nothing is written on this host; end it with: bailiffctl resume",
                        span ? say_time(end, until) : "until resumed");
}

int verb_resume(Ctl *c) {
        int r = client_change(c->client, NULL, "Resume", "");

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c, json_pack("{s:b}", "paused", 0), "resumed: policy holds again");
}

int verb_hold(Ctl *c) {
        const char *name = c->arguments[0], *reason = c->given & OPTION_REASON ? c->reason : "";
        char until[SAY_MAX];
        usec_t span;
        uint64_t end;
        int r;

        if (!(c->given & OPTION_FOR))
                return ctl_fail(STATUS_USAGE, "hold needs an end: bailiffctl hold NAME --for 1h");
        r = ctl_parse_span(c, &span);
        if (r != STATUS_DONE)
                return r;
        if (span == USEC_INFINITY)
                return ctl_fail(STATUS_USAGE, "--for %s: a hold needs an end", c->span);
        r = client_change(c->client, NULL, "Hold", "sts", name, span, reason);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        end = num_add_sat(clock_realtime(), span);
        return ctl_done(
                c, json_pack("{s:s, s:I, s:s}", "held", name, "until", (json_int_t)end, "reason", reason),
                "%s is left alone until %s (no repair, no throttle, no kill); end it with: bailiffctl "
                "unhold %s",
                name, say_time(end, until), name);
}

int verb_unhold(Ctl *c) {
        const char *name = c->arguments[0];
        int r = client_change(c->client, NULL, "Unhold", "s", name);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c, json_pack("{s:s}", "unheld", name), "%s: no hold, policy holds again", name);
}

int verb_undo(Ctl *c) {
        _cleanup_free_ char *text = NULL;
        uint64_t id;
        int r;

        if (num_parse_u64(c->arguments[0], &id) < 0)
                return ctl_fail(STATUS_USAGE, "undo %s: expected the id of an event (bailiffctl events)",
                                c->arguments[0]);
        r = client_change(c->client, &text, "Undo", "t", id);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c, json_pack("{s:I, s:s}", "undone", (json_int_t)id, "text", text), "%s", text);
}

int screen_released(const json_t *released, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *o;
        size_t i;
        int r;

        if (!t)
                return -ENOMEM;
        table_column(t, "CONTAINER", TABLE_CUT);
        table_column(t, "LIMIT", 0);
        table_column(t, "FROM", TABLE_RIGHT);
        table_column(t, "TO", TABLE_RIGHT);
        table_column(t, "CGROUP", TABLE_CUT_MIDDLE);
        json_array_foreach(json_member(released, "released"), i, o) {
                const char *limit = json_text(o, "limit"), *device = json_text(o, "device");

                table_cell(t, STYLE_PLAIN, json_text(o, "container"));
                table_cellf(t, STYLE_PLAIN, "%s%s%s", limit ? limit : "?", device ? " " : "",
                            device ? device : "");
                table_cell(t, STYLE_PLAIN, json_text(o, "from_text"));
                table_cell(t, STYLE_BOLD, json_text(o, "to_text"));
                table_cell(t, STYLE_DIM, json_text(o, "cgroup"));
        }
        if (table_rows(t) == 0) {
                say_line(v, STYLE_DIM, "no ceiling of ours was in force there");
                r = 0;
        } else
                r = table_print(t, v, 0);
        if (r >= 0 && json_flag(released, "paused"))
                say_line(v, STYLE_WARN, "the host is paused: nothing is held until bailiffctl resume");
        return r;
}

/* Throttles and freezes, whoever made them; the judge may begin anew, which hold prevents. */
static int release_leases(Ctl *c) {
        const char *name = c->arguments[0];
        _cleanup_free_ char *text = NULL;
        int r = client_change(c->client, &text, "Release", "s", name);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c, json_pack("{s:s, s:s}", "released", name, "text", text),
                        "%s\nit may be held back again; to prevent that: bailiffctl hold %s --for 1h", text,
                        name);
}

int verb_release(Ctl *c) {
        json_t *j = NULL;
        int r;

        if (!(c->given & OPTION_CEILINGS))
                return c->n_arguments > 0
                               ? release_leases(c)
                               : ctl_fail(STATUS_USAGE,
                                          "release what? bailiffctl release NAME ends its throttles and "
                                          "freezes, release --ceilings gives every ceiling back");
        r = client_release(c->client, c->n_arguments ? c->arguments[0] : "", &j);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (c->json)
                return ctl_print_json(c, j);
        r = screen_released(j, &c->view);
        if (r >= 0 && c->n_arguments > 0)
                say_line(&c->view, STYLE_DIM, "it is held from now on; end that with: bailiffctl unhold %s",
                         c->arguments[0]);
        json_decref(j);
        return ctl_rendered(r);
}
