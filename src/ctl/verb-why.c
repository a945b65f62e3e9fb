/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `why`: what was done, to whom, for whose sake, and what it changed; and where nothing was done, why not. It is read
 * the morning after, and pasted to customers (--for), so it is prose with the numbers in it.
 *
 * First what is so now, then each incident, the newest first (why-incident.c), then events that belong to none.
 */

#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "exporter-client.h"
#include "screens.h"
#include "why-internal.h"

static bool is(const char *a, const char *b) { return a && STR_EQ(a, b); }

void why_field(const WhyPage *p, const char *key, TextStyle style, Buf *text) {
        if (text->len > 0)
                say_prose_field(p->view, key, style, buf_str(text));
        buf_deinit(text);
}

static TextStyle class_style(const char *class) {
        return is(class, "external") ? STYLE_BAD : is(class, "mixed") ? STYLE_WARN : STYLE_PLAIN;
}

/* ---- what is so now ---- */

static bool is_hurt(const json_t *harm) {
        const char *class = json_text(harm, "class");

        return class && !STR_EQ(class, "none");
}

/* Resources that nobody has to care about, in one sentence. */
static void now_well(const WhyPage *p, const json_t *harms) {
        Buf b = BUF_INIT;
        bool first = true;
        const json_t *h;
        size_t i;

        json_array_foreach(harms, i, h) {
                char share[SAY_MAX], target[SAY_MAX];

                if (is_hurt(h) || !json_has(h, "share_permyriad") || is(json_text(h, "resource"), "pids"))
                        continue;
                buf_printf(&b, "%s for %s %s", first ? "it waits" : ",",
                           tell_resource(json_text(h, "resource")),
                           say_permyriad(json_number(h, "share_permyriad"), share));
                buf_puts(&b, first ? " of the time" : "");
                first = false;
                if (json_has(h, "target_permyriad"))
                        buf_printf(&b, " (target at most %s)",
                                   say_permyriad(json_number(h, "target_permyriad"), target));
        }
        if (b.len > 0)
                buf_puts(&b, ": no harm.");
        why_field(p, "Well", STYLE_PLAIN, &b);
}

static void now_leases(const WhyPage *p, const json_t *leases) {
        const json_t *l;
        size_t i;

        json_array_foreach(leases, i, l) {
                uint64_t until = json_number(l, "until");
                const char *reason = json_text(l, "reason"), *by = json_text(l, "by"),
                           *resource = json_text(l, "resource"), *limit = json_text(l, "limit");
                char since[SAY_MAX], left[SAY_MAX], when[SAY_MAX];
                Buf b = BUF_INIT;

                if (is(limit, "freeze"))
                        buf_puts(&b, "frozen");
                else {
                        tell_limit_name(&b, l);
                        buf_printf(&b, " is %s instead of %s", tell_limit_text(l, "value_text", "value"),
                                   tell_limit_text(l, "beneath_text", "beneath"));
                }
                if (json_number(l, "since") > 0)
                        buf_printf(&b, ", since %s", say_time(json_number(l, "since"), since));
                if (until > 0)
                        buf_printf(&b, ", until %s at the latest (%s from now)", say_time(until, when),
                                   say_span(until > p->now ? until - p->now : 0, left));
                if (is(by, "operator"))
                        buf_puts(&b, ", by an operator");
                else if (resource)
                        buf_printf(&b, ", for the sake of others' %s", tell_resource(resource));
                if (reason && *reason && !p->teller.for_tenant)
                        buf_printf(&b, ": %s", reason);
                buf_putc(&b, '.');
                why_field(p, i == 0 ? "Held back" : "", STYLE_WARN, &b);
        }
}

static void now_rungs(const WhyPage *p, const json_t *rungs) {
        Buf b = BUF_INIT;
        const json_t *o;
        size_t i;

        json_array_foreach(rungs, i, o) {
                const char *rung = json_text(o, "rung");

                if (rung && !STR_EQ(rung, "none"))
                        buf_printf(&b, "%s%s for %s", b.len > 0 ? ", " : "", rung,
                                   tell_resource(json_text(o, "resource")));
        }
        why_field(p, "Rung", STYLE_PLAIN, &b);
}

static void now_of(const WhyPage *p, const json_t *entry) {
        const json_t *harms = json_member(entry, "harms"), *leases = json_member(entry, "leases"), *h;
        Teller teller = p->teller;
        bool hurt = false;
        Buf head = BUF_INIT;
        size_t i;

        teller.now = true;
        tell_culprit(&head, &teller, entry);
        json_array_foreach(harms, i, h) hurt |= is_hurt(h);
        buf_printf(&head, "%s%s", hurt ? " is hurt" : " is not hurt",
                   json_array_size(leases) == 0 ? hurt ? "" : " and not held back"
                   : hurt                       ? ", and held back"
                                                : ", but held back");
        say_prose(p->view, "", STYLE_PLAIN, 0, STYLE_BOLD, buf_str(&head));
        buf_deinit(&head);
        json_array_foreach(harms, i, h) {
                Buf b = BUF_INIT;

                if (!is_hurt(h))
                        continue;
                tell_harm(&b, &teller, h);
                why_field(p, "Hurt", class_style(json_text(h, "class")), &b);
        }
        now_well(p, harms);
        if (json_flag(entry, "thrash"))
                say_prose_field(p->view, "Thrashing", STYLE_WARN,
                                "at its own ceiling: it reads again and again what was just reclaimed.");
        now_leases(p, leases);
        now_rungs(p, json_member(entry, "rungs"));
        /* The guard's sentences are about this one alone. */
        json_array_foreach(json_member(entry, "text"), i,
                           h) if (json_is_string(h) && tell_may_name(&p->teller, entry))
                say_prose_field(p->view, i == 0 ? "Therefore" : "", STYLE_PLAIN, json_string_value(h));
}

/* ---- incidents ---- */

static int newer(const void *a, const void *b) {
        uint64_t x = json_number(*(const json_t *const *)a, "opened"),
                 y = json_number(*(const json_t *const *)b, "opened");

        return x < y ? 1 : x > y ? -1 : 0;
}

static int all_incidents(const WhyPage *p, bool *separate) {
        const json_t *list = json_member(p->why, "incidents"), *o;
        size_t i, n = json_array_size(list);
        _cleanup_free_ const json_t **sorted = calloc(n + 1, sizeof(*sorted));

        if (!sorted)
                return -ENOMEM;
        json_array_foreach(list, i, o) sorted[i] = o;
        qsort(sorted, n, sizeof(*sorted), newer);
        for (i = 0; i < n; i++) {
                if (*separate)
                        (void)fputc('\n', p->view->out);
                why_incident(p, sorted[i]);
                *separate = true;
        }
        return 0;
}

/* ---- events of no incident ---- */

static bool has_incident(const WhyPage *p, const json_t *event) {
        const json_t *o;
        size_t i;

        json_array_foreach(json_member(p->why, "incidents"), i, o) if (why_is_of(o, event)) return true;
        return false;
}

/* In what is told for one tenant there is nothing that only another one is in. */
static bool concerns(const WhyPage *p, const json_t *event) {
        const json_t *h;
        size_t i;

        if (tell_may_name(&p->teller, event))
                return true;
        json_array_foreach(json_member(json_member(event, "judged"), "victims"), i,
                           h) if (tell_may_name(&p->teller, h)) return true;
        return false;
}

static void other_events(const WhyPage *p, bool separate) {
        WhySteps steps = {};
        const json_t *e;
        size_t i;

        json_array_foreach(p->events, i, e) {
                char when[SAY_MAX];

                if (has_incident(p, e) || !concerns(p, e))
                        continue;
                if (steps.began == 0) {
                        if (separate)
                                (void)fputc('\n', p->view->out);
                        say_line(p->view, STYLE_BOLD, "%s, %s", separate ? "Besides" : "What happened",
                                 say_time(json_number(e, "time"), when));
                }
                why_step(p, &steps, e);
        }
}

/* ---- the page ---- */

static void subject_line(const WhyPage *p, const json_t *subject) {
        const char *kind = json_text(subject, "kind"), *mode = json_text(subject, "mode"),
                   *kill = json_text(subject, "kill"), *name = json_text(subject, "name");
        _cleanup_buf_ Buf b = BUF_INIT;

        if (!json_is_object(subject))
                return;
        if (is(kind, "event"))
                buf_printf(&b, "Event %s, about ", p->asked ? p->asked : "?");
        if (is(kind, "tenant"))
                buf_printf(&b, "Tenant %s", name ? name : "?");
        else
                tell_party(&b, &p->teller,
                           subject); /* its kind is none of a party's: it is named, or another tenant */
        if (!tell_may_name(&p->teller, subject))
                mode = NULL;
        if (mode)
                buf_printf(&b, ": mode %s", mode);
        if (mode && kill)
                buf_printf(&b, ", kill %s", kill);
        if (mode && json_has(subject, "priority"))
                buf_printf(&b, ", priority %llu", (unsigned long long)json_number(subject, "priority"));
        say_prose(p->view, "", STYLE_PLAIN, 0, STYLE_PLAIN, buf_str(&b));
}

int screen_why(const json_t *why, const json_t *status, const char *for_tenant, const View *v, uint64_t now) {
        const json_t *host = json_member(status, "host"), *list = json_member(why, "now"), *o,
                     *subject = json_member(why, "subject");
        const char *what = json_text(why, "what");
        WhyPage p = { .why = why,
                      .events = json_member(why, "events"),
                      .view = v,
                      .now = now,
                      .asked = is(json_text(subject, "kind"), "event") ? what : NULL,
                      .teller = { .for_tenant = for_tenant,
                                  .cpus = json_number(host, "cpus"),
                                  .memory_bytes = json_number(host, "memory_bytes") } };
        bool separate = false;
        size_t i;
        int r;

        if (for_tenant) {
                _cleanup_buf_ Buf b = BUF_INIT;

                buf_printf(&b,
                           "What the resource guard of this host saw and did, as far as it concerns "
                           "tenant %s. Others are not named.",
                           for_tenant);
                say_prose(v, "", STYLE_PLAIN, 0, STYLE_PLAIN, buf_str(&b));
        }
        subject_line(&p, subject);
        json_array_foreach(list, i, o) {
                if (for_tenant && !tell_may_name(&p.teller, o))
                        continue;
                if (separate)
                        (void)fputc('\n', v->out);
                now_of(&p, o);
                separate = true;
        }
        if (!separate && list && !json_is_null(list) &&
            !(is(json_text(subject, "kind"), "event") || is(json_text(subject, "kind"), "incident"))) {
                say_prose(v, "", STYLE_PLAIN, 0, STYLE_GOOD, "Nobody is hurt now, and nobody is held back.");
                separate = true;
        }
        r = all_incidents(&p, &separate);
        if (r < 0)
                return r;
        other_events(&p, separate);
        return 0;
}

/* ---- the verb ---- */

int verb_why(Ctl *c) {
        const char *what = c->n_arguments > 0 ? c->arguments[0] : "",
                   *for_tenant = c->given & OPTION_FOR ? c->span : "";
        _cleanup_buf_ Buf incident = BUF_INIT, error = BUF_INIT;
        json_t *why = NULL, *status = NULL;
        int r;

        if ((c->given & OPTION_FOR) && !*for_tenant)
                return ctl_fail(STATUS_USAGE, "--for: expected the name of a tenant");
        if (strncmp(what, "incident:", 9) == 0) { /* '#' begins a comment in a shell */
                buf_printf(&incident, "#%s", what + 9);
                what = buf_str(&incident);
        }
        r = client_get_why(c->client, what, for_tenant, &why);
        /* What it does not know any more the exporter may; but what a tenant must not see only the guard leaves out. */
        if (r != STATUS_DONE && r != STATUS_REFUSED && *what && !c->host && !*for_tenant &&
            exporter_get_why(EXPORTER_SOCKET, what, clock_realtime(), &why, &error) == STATUS_DONE)
                r = STATUS_DONE;
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (c->json)
                return ctl_print_json(c, why);
        if (client_get(c->client, "GetStatus", NULL, &status) != STATUS_DONE)
                status = NULL; /* it only says how many CPUs there are */
        ctl_page(c);
        r = screen_why(why, status, *for_tenant ? for_tenant : NULL, &c->view, clock_realtime());
        json_decref(status);
        json_decref(why);
        return ctl_rendered(r);
}
