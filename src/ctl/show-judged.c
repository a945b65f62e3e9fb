/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The judged part of `show`: what holds a container (or those of a tenant) back, until when and why, and what the
 * judge finds of each resource, a line each. Of a tenant it names its containers, and only those that are
 * hurt. `why` has the story.
 */

#include <stdio.h>

#include "judged.h"
#include "screens.h"

static bool is(const char *a, const char *b) { return a && STR_EQ(a, b); }

const char *held_back(const json_t *leases) {
        const json_t *l;
        size_t i;

        json_array_foreach(leases, i, l) if (is(json_text(l, "limit"), "freeze")) return "frozen";
        return json_array_size(leases) > 0 ? "throttled" : NULL;
}

/* ---- held back ---- */

static void lease_row(Table *t, const json_t *l, const char *container, uint64_t now) {
        uint64_t until = json_number(l, "until");
        const char *limit = json_text(l, "limit"), *by = json_text(l, "by"), *reason = json_text(l, "reason");
        _cleanup_buf_ Buf name = BUF_INIT;
        char left[SAY_MAX], when[SAY_MAX];
        bool freeze = is(limit, "freeze");

        tell_limit_name(&name, l);
        if (container)
                table_cell(t, STYLE_PLAIN, container);
        table_cell(t, STYLE_PLAIN, buf_str(&name));
        table_cell(t, STYLE_WARN, freeze ? "frozen" : tell_limit_text(l, "value_text", "value"));
        table_cell(t, STYLE_PLAIN, freeze ? NULL : tell_limit_text(l, "beneath_text", "beneath"));
        if (until > 0)
                table_cellf(t, STYLE_PLAIN, "%s (%s)", say_time(until, when),
                            say_span(until > now ? until - now : 0, left));
        else
                table_cell(t, STYLE_PLAIN, NULL);
        table_cell(t, STYLE_PLAIN, by);
        table_cell(t, STYLE_DIM, reason);
}

static Table *leases_new(bool of_tenant) {
        Table *t = table_new();

        if (!t)
                return NULL;
        if (of_tenant)
                table_column(t, "CONTAINER", TABLE_CUT);
        table_column(t, "LIMIT", TABLE_CUT);
        table_column(t, "HELD AT", TABLE_RIGHT);
        table_column(t, "WITHOUT US", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "UNTIL", TABLE_DROP_LATE);
        table_column(t, "BY", TABLE_DROP_LATE);
        table_column(t, "REASON", TABLE_CUT);
        return t;
}

static int held(const json_t *object, const json_t *now_of, bool of_tenant, const View *v, uint64_t now) {
        _cleanup_(cleanup_table_free) Table *t = leases_new(of_tenant);
        const json_t *o, *l;
        size_t i, k;

        if (!t)
                return -ENOMEM;
        if (!of_tenant)
                json_array_foreach(json_member(object, "leases"), i, l) lease_row(t, l, NULL, now);
        else
                json_array_foreach(now_of, i, o) {
                        const char *container = json_text(o, "container");

                        json_array_foreach(json_member(o, "leases"), k, l)
                                lease_row(t, l, container ? container : "-", now);
                }
        if (table_rows(t) == 0)
                return 0;
        say_line(v, STYLE_BOLD, "Held back");
        return say_left_out(v, table_print(t, v, 2));
}

/* ---- judged ---- */

static const char *rung_of(const json_t *rungs, const char *resource) {
        const json_t *o;
        size_t i;

        json_array_foreach(rungs, i, o) if (is(json_text(o, "resource"), resource)) {
                const char *rung = json_text(o, "rung");

                return is(rung, "none") ? NULL : rung;
        }
        return NULL;
}

static TextStyle class_style(const char *class) {
        return is(class, "external")                    ? STYLE_BAD
               : is(class, "mixed") || is(class, "own") ? STYLE_WARN
                                                        : STYLE_PLAIN;
}

static void harm_line(const json_t *h, const char *container, const char *rung, const View *v) {
        const char *class = json_text(h, "class"), *text = json_text(h, "why_text"),
                   *resource = json_text(h, "resource");
        char share[SAY_MAX];
        _cleanup_buf_ Buf b = BUF_INIT;

        if (container)
                buf_printf(&b, "%s, %s: ", container, resource ? resource : "?");
        if (json_has(h, "share_permyriad"))
                buf_printf(&b, "waits %s", say_permyriad(json_number(h, "share_permyriad"), share));
        else
                buf_puts(&b, "not known");
        if (json_has(h, "target_permyriad"))
                buf_printf(&b, ", target %s", say_permyriad(json_number(h, "target_permyriad"), share));
        if (json_has(h, "baseline_permyriad"))
                buf_printf(&b, ", normal %s", say_permyriad(json_number(h, "baseline_permyriad"), share));
        if (class && !STR_EQ(class, "none"))
                buf_printf(&b, "; %s harm", class);
        if (class && !STR_EQ(class, "none") && json_has(h, "confidence_percent"))
                buf_printf(&b, " (%llu%% sure)", (unsigned long long)json_number(h, "confidence_percent"));
        if (text)
                buf_printf(&b, ": %s", text);
        if (rung)
                buf_printf(&b, "; it is on rung %s itself", rung);
        say_field(v, container ? "" : resource ? resource : "?", class_style(class), "%s", buf_str(&b));
}

static bool is_hurt(const json_t *h) {
        const char *class = json_text(h, "class");

        return class && !STR_EQ(class, "none");
}

static void judged_of(const json_t *entry, bool of_tenant, bool *head, const View *v) {
        const char *container = json_text(entry, "container");
        const json_t *h;
        size_t i;

        json_array_foreach(json_member(entry, "harms"), i, h) {
                if (of_tenant && !is_hurt(h))
                        continue;
                if (!*head)
                        say_line(v, STYLE_BOLD, "Judged");
                *head = true;
                harm_line(h, of_tenant ? container ? container : "?" : NULL,
                          rung_of(json_member(entry, "rungs"), json_text(h, "resource")), v);
        }
        if (json_flag(entry, "thrash"))
                say_field(v, "Thrashing", STYLE_WARN, "%s%sat its own ceiling",
                          of_tenant && container ? container : "", of_tenant && container ? ", " : "");
}

/* Where `why` was not asked, or did not answer: at least how far it is held back. */
static void rungs_only(const json_t *rungs, const View *v) {
        const json_t *o;
        size_t i;

        json_array_foreach(rungs, i, o) {
                const char *resource = json_text(o, "resource"),
                           *rung = resource ? rung_of(rungs, resource) : NULL;

                if (rung)
                        say_field(v, "Rung", STYLE_WARN, "%s for %s", rung, tell_resource(resource));
        }
}

int screen_judged(const json_t *object, const View *v, uint64_t now) {
        const json_t *list = json_member(object, "why_now"), *o;
        bool of_tenant = !is(json_text(object, "kind"), "container"), head = false;
        int r = held(object, list, of_tenant, v, now);
        size_t i;

        if (r < 0)
                return r;
        json_array_foreach(list, i, o) judged_of(o, of_tenant, &head, v);
        if (!head)
                rungs_only(json_member(json_member(object, "judged_now"), "rungs"), v);
        return 0;
}
