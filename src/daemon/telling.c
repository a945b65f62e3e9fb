/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A sentence is made of the "judged" object and of nothing else: so the one that a tenant may read is the
 * same sentence, made of the object with all other tenants taken out. No text that names somebody is ever cut
 * up to get at a version without.
 *
 * Somebody else's container is "another tenant's container"; of the host's own services is told that they are that, not
 * which; the host itself is nobody's secret.
 */

#include <jansson.h>

#include "telling.h"

#define NO_WAIT 100 /* permyriad: who runs out need not wait yet */

static const json_t *get(const json_t *o, const char *key) { return json_object_get(o, key); }

static const char *text(const json_t *o, const char *key) {
        const char *s = json_string_value(get(o, key));

        return s ? s : "";
}

static uint64_t number(const json_t *o, const char *key) {
        json_int_t v = json_integer_value(get(o, key));

        return v < 0 ? 0 : (uint64_t)v;
}

static bool is(const json_t *o, const char *key, const char *value) { return STR_EQ(text(o, key), value); }

/* ---- the sentence ---- */

static void put_party(Buf *b, const json_t *party) {
        const char *name = json_string_value(get(party, "name")),
                   *tenant = json_string_value(get(party, "tenant"));

        if (is(party, "kind", "host"))
                buf_puts(b, name && !STR_EQ(name, "host") ? name
                                                          : "the host"); /* else the kernel's rest of it */
        else if (!name)
                buf_puts(b, is(party, "kind", "container") ? "another tenant's container"
                                                           : "a service of the host");
        else if (tenant)
                buf_printf(b, "%s (%s)", name, tenant);
        else
                buf_puts(b, name);
}

static void put_percent(Buf *b, uint64_t permyriad) {
        buf_printf(b, "%llu%%", (unsigned long long)((permyriad + 50) / 100));
}

/* "db (beta) waits for CPU 42% of the time (and 2 more do)"; nothing where nobody is hurt. */
static bool put_harm(Buf *b, const json_t *judged) {
        const json_t *worst = json_array_get(get(judged, "victims"), 0);
        uint64_t all = number(judged, "victims_all"), share = number(worst, "share_permyriad");

        if (!json_is_object(worst))
                return false;
        put_party(b, worst);
        if (is(worst, "resource", "memory") && is(worst, "kind", "host") && share < NO_WAIT) {
                buf_puts(b, " runs out of memory");
        } else if (is(worst, "resource", "pids")) {
                buf_puts(b, " has ");
                put_percent(b, share);
                buf_puts(b, " of the tasks that it can have");
        } else {
                buf_printf(b, " waits for %s ",
                           is(worst, "resource", "cpu")  ? "CPU"
                           : is(worst, "resource", "io") ? "IO"
                                                         : "memory");
                put_percent(b, share);
                buf_puts(b, " of the time");
        }
        if (all > 1)
                buf_printf(b, " (and %llu more %s)", (unsigned long long)(all - 1), all == 2 ? "does" : "do");
        return true;
}

static const char *limit_text(const json_t *value, const char *key) {
        const char *s = text(value, key);

        return STR_EQ(s, "infinity") ? "no limit" : s;
}

/* ", CPUQuota from 200% to 50%, IOReadBandwidthMax of vda from no limit to 10M/s"; what stays as it is is no news. */
static void put_values(Buf *b, const json_t *judged) {
        const json_t *v;
        size_t i;

        json_array_foreach(get(judged, "values"), i, v) {
                const char *name = text(v, "device_name"), *device = *name ? name : text(v, "device");
                const char *from = limit_text(v, "from_text"), *to = limit_text(v, "to_text");

                if (!STR_EQ(from, to))
                        buf_printf(b, ", %s%s%s from %s to %s", text(v, "limit"), *device ? " of " : "",
                                   device, from, to);
        }
}

static void put_span(Buf *b, const json_t *judged) {
        uint64_t ms = number(judged, "span_usec") / 1000;

        if (ms == 0)
                return;
        buf_printf(b, is(judged, "act", "freeze") ? " for " : " within ");
        if (ms % 1000 == 0)
                buf_printf(b, "%llu s", (unsigned long long)(ms / 1000));
        else
                buf_printf(b, "%llu ms", (unsigned long long)ms);
}

static void put_why(Buf *b, const json_t *judged) {
        if (*text(judged, "why_text"))
                buf_printf(b, ": %s", text(judged, "why_text"));
}

/* ": db (beta) waits for …", and why the step is taken where that does not say it. */
static void put_reason(Buf *b, const json_t *judged) {
        _cleanup_buf_ Buf harm = BUF_INIT;

        if (is(judged, "why", "harm") && put_harm(&harm, judged))
                buf_printf(b, ": %s", buf_str(&harm));
        else
                put_why(b, judged);
}

static void put_thrash(Buf *b, const json_t *judged) {
        const json_t *t = get(judged, "thrash");

        put_party(b, get(judged, "culprit"));
        buf_printf(b,
                   " thrashes at its own memory limit: it hits it %llu times and reads %llu pages again a "
                   "second",
                   (unsigned long long)number(t, "hits_per_sec"),
                   (unsigned long long)number(t, "refaults_per_sec"));
}

/* Nobody is held back. */
static void put_nobody(Buf *b, const json_t *judged) {
        const json_t *c;
        size_t i;

        if (put_harm(b, judged))
                buf_puts(b, ", and nobody is held back for it");
        else
                buf_puts(b, "nobody is held back");
        put_why(b, judged);
        if (is(judged, "why", "mixed"))
                return;
        json_array_foreach(get(judged, "candidates"), i, c) if (is(c, "why", text(judged, "outcome"))) {
                buf_puts(b, "; of ");
                put_party(b, c);
                buf_printf(b, ": %s", text(c, "why_text"));
                return;
        }
}

static void put_told(Buf *b, const json_t *judged, bool alarm) {
        put_party(b, get(judged, "culprit"));
        if (alarm)
                buf_puts(b, " should be held back further, but is not");
        else
                buf_puts(b, " takes more than its part");
        put_why(b, judged);
        if (json_array_size(get(judged, "victims")) > 0) {
                buf_puts(b, "; ");
                (void)put_harm(b, judged);
        }
}

typedef struct Verb {
        const char *act, *now, *past, *after;
} Verb;

static const Verb verbs[] = {
        { "throttle", "throttle ", "throttled ", "" },
        { "relax", "loosen ", "loosened ", "" },
        { "release", "let go of ", "let go of ", "" },
        { "freeze", "freeze ", "froze ", "" },
        { "thaw", "thaw ", "thawed ", "" },
        { "stop", "tell ", "told ", " to stop" },
        { "kill", "kill ", "killed ", "" },
};

static void put_act(Buf *b, const json_t *judged, const Verb *v) {
        const char *error = json_string_value(get(judged, "error"));

        if (json_is_true(get(judged, "would")))
                buf_printf(b, "would %s", v->now);
        else if (error)
                buf_printf(b, "could not %s", v->now);
        else
                buf_puts(b, v->past);
        put_party(b, get(judged, "culprit"));
        buf_puts(b, v->after);
        put_values(b, judged);
        put_span(b, judged);
        if (error)
                buf_printf(b, " (%s)", error);
        put_reason(b, judged);
}

void telling_sentence(const json_t *judged, Buf *out) {
        bool alarm = is(judged, "act", "alarm");

        if (!alarm && !is(judged, "act", "notify")) {
                for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                        if (is(judged, "act", verbs[i].act))
                                put_act(out, judged, &verbs[i]);
                return;
        }
        if (json_is_true(get(judged, "would")))
                buf_puts(out, "would tell: ");
        if (!json_is_object(get(judged, "culprit")))
                put_nobody(out, judged);
        else if (!alarm && is(judged, "why", "thrash"))
                put_thrash(out, judged);
        else
                put_told(out, judged, alarm);
}

/* ---- what one tenant may read ---- */

static bool victims_have(const json_t *o, const char *tenant) {
        const json_t *v;
        size_t i;

        json_array_foreach(get(o, "victims"), i, v) if (is(v, "tenant", tenant)) return true;
        return false;
}

bool telling_concerns(const json_t *o, const char *tenant) {
        return is(o, "tenant", tenant) || victims_have(o, tenant) || victims_have(get(o, "judged"), tenant);
}

static void hide(json_t *o, const char *key) {
        if (get(o, key))
                (void)json_object_set_new(o, key, json_null());
}

static void redact_party(json_t *o, const char *tenant) {
        if (!json_is_object(o) || is(o, "tenant", tenant) || is(o, "kind", "host"))
                return;
        hide(o, "name");
        hide(o, "tenant");
        hide(o, "cgroup");
}

static void redact_all(json_t *list, const char *tenant) {
        json_t *o;
        size_t i;

        json_array_foreach(list, i, o) redact_party(o, tenant);
}

static void redact_judged(json_t *judged, const char *tenant) {
        if (!is(get(judged, "culprit"), "tenant", tenant))
                (void)json_object_del(judged, "processes");
        redact_party(json_object_get(judged, "culprit"), tenant);
        redact_all(json_object_get(judged, "victims"), tenant);
        redact_all(json_object_get(judged, "candidates"), tenant);
}

static void say_anew(json_t *o, const json_t *judged) {
        _cleanup_buf_ Buf b = BUF_INIT;

        telling_sentence(judged, &b);
        if (b.len > 0 && json_object_set_new(o, "text", json_string(buf_str(&b))) == 0)
                return;
        hide(o, "text");
}

void telling_redact_event(json_t *event, const char *tenant) {
        json_t *judged = json_object_get(event, "judged");
        bool own = is(event, "tenant", tenant), by_operator = get(event, "uid") != NULL;

        (void)json_object_del(event, "uid");
        (void)json_object_del(event, "pid");
        if (!own) {
                hide(event, "tenant");
                hide(event, "container");
                hide(event, "cgroup");
                (void)json_object_del(event, "cgroup_id");
        }
        if (judged) {
                redact_judged(judged, tenant);
                say_anew(event, judged);
        } else if (!own || !by_operator || number(event, "incident") == 0)
                hide(event, "text"); /* whom it names is not known; an operator's act names its own target */
}

void telling_redact_incident(json_t *incident, const json_t *newest, const char *tenant) {
        json_t *judged = newest ? json_deep_copy(newest) : NULL, *v;
        size_t i;

        if (!is(incident, "tenant", tenant)) {
                hide(incident, "tenant");
                hide(incident, "container");
                hide(incident, "cgroup");
                (void)json_object_del(incident, "cgroup_id");
        }
        json_array_foreach(json_object_get(incident, "victims"), i, v) redact_party(v, tenant);
        if (judged) {
                redact_judged(judged, tenant);
                say_anew(incident, judged);
        } else
                hide(incident, "text");
        json_decref(judged);
}
