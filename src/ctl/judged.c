/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sentences about harm, blame and acts, for `why`, `show` and `incidents`.
 *
 * The guard hands over numbers and words (bus.h); here they become what a person reads who was asleep when it
 * happened. Units are human ones: CPUs, sizes, shares of the time. Clauses that the guard itself has
 * (why_text) are taken as they are, so that both say the same.
 *
 * What is told for one tenant is pasted to a customer. The guard leaves names of others out then; this side does not rely
 * on that: it names a party only if it is the tenant's own, and composes every sentence from members
 * instead of taking free text (of an event, an incident, a lease), into which a name may have found its way.
 */

#include <stdio.h>
#include <string.h>

#include "judged.h"
#include "num.h"
#include "screens.h"

static bool is(const char *a, const char *b) { return a && STR_EQ(a, b); }

/* ---- who ---- */

bool tell_may_name(const Teller *t, const json_t *party) {
        return !t->for_tenant || is(json_text(party, "tenant"), t->for_tenant);
}

static void put_party(Buf *b, const Teller *t, const char *name, const char *tenant) {
        buf_puts(b, name && *name ? name : "somebody");
        if (tenant && !t->for_tenant)
                buf_printf(b, " (tenant %s)", tenant);
}

void tell_party(Buf *b, const Teller *t, const json_t *party) {
        const char *name = json_text(party, "name"), *kind = json_text(party, "kind");

        if (!name || !*name)
                name = json_text(party, "cgroup");
        if (is(json_text(party, "why"), "kernel"))
                buf_puts(b, "the kernel itself");
        else if (is(kind, "host"))
                buf_puts(b, "the host as a whole");
        else if (is(kind, "service") && (t->for_tenant || !name))
                buf_puts(b, "a service of the host");
        else if (is(kind, "service"))
                buf_printf(b, "%s (a service of the host)", name);
        else if (!tell_may_name(t, party))
                buf_puts(b, "another tenant");
        else
                put_party(b, t, name, json_text(party, "tenant"));
}

void tell_culprit(Buf *b, const Teller *t, const json_t *o) {
        const char *name = json_text(o, "container");

        if (!name || !*name)
                name = json_text(o, "cgroup");
        if (tell_may_name(t, o))
                put_party(b, t, name, json_text(o, "tenant"));
        else
                buf_puts(b, "another tenant");
}

/* ---- harm ---- */

const char *tell_resource(const char *resource) {
        static const char *const words[][2] = {
                { "cpu", "CPU" }, { "memory", "memory" }, { "io", "IO" }, { "pids", "tasks" }
        };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (is(resource, words[i][0]))
                        return words[i][1];
        return resource ? resource : "something";
}

static const char *device_of(const json_t *o) {
        const char *name = json_text(o, "device_name");

        return name ? name : json_text(o, "device");
}

static void put_share(Buf *b, const json_t *o, const char *key) {
        char text[SAY_MAX];

        buf_puts(b, json_has(o, key) ? say_permyriad(json_number(o, key), text) : "an unknown share");
}

static void put_wait(Buf *b, const Teller *t, const json_t *harm) {
        const char *resource = json_text(harm, "resource"), *device = device_of(harm);

        if (is(resource, "pids")) { /* only ever of the host */
                buf_printf(b, " %s its table of tasks full to ", t->now ? "has" : "had");
                put_share(b, harm, "share_permyriad");
                return;
        }
        buf_printf(b, " %s for %s", t->now ? "waits" : "waited", tell_resource(resource));
        if (device)
                buf_printf(b, " on %s", device);
        buf_putc(b, ' ');
        put_share(b, harm, "share_permyriad");
        buf_puts(b, " of the time");
}

/* Whose doing it is. The clause behind the colon is the guard's. */
static void put_class(Buf *b, const Teller *t, const json_t *harm) {
        const char *class = json_text(harm, "class"), *text = json_text(harm, "why_text");

        if (!text)
                text = json_text(harm, "why");
        buf_printf(b, " It %s ", t->now ? "is" : "was");
        buf_puts(b, is(class, "external") ? "not its own doing"
                    : is(class, "own")    ? "its own doing"
                    : is(class, "mixed")  ? "partly its own doing, so nobody is held back for it"
                    : is(class, "none")   ? "no harm"
                                          : "not clear whose doing it is");
        if (text)
                buf_printf(b, ": %s", text);
        if (json_has(harm, "confidence_percent") && !is(class, "none"))
                buf_printf(b, " (%llu%% sure)", (unsigned long long)json_number(harm, "confidence_percent"));
        buf_putc(b, '.');
        if (json_number(harm, "own_permyriad") > 0 && is(class, "external")) {
                buf_puts(b, " Ceilings of its own explain ");
                put_share(b, harm, "own_permyriad");
                buf_puts(b, " of the wait.");
        }
}

void tell_harm(Buf *b, const Teller *t, const json_t *harm) {
        bool target = json_has(harm, "target_permyriad");

        tell_party(b, t, harm);
        put_wait(b, t, harm);
        if (target) {
                buf_puts(b, "; its target is at most ");
                put_share(b, harm, "target_permyriad");
        }
        if (json_has(harm, "baseline_permyriad")) {
                buf_puts(b, target ? ", and " : "; ");
                put_share(b, harm, "baseline_permyriad");
                buf_puts(b, " is normal for it");
        }
        buf_putc(b, '.');
        put_class(b, t, harm);
}

/* ---- blame ---- */

static void put_cpus(Buf *b, uint64_t usec_per_sec) {
        uint64_t hundredths = usec_per_sec / 10000;

        if (usec_per_sec == 0)
                buf_puts(b, "0");
        else if (hundredths >= 100)
                buf_printf(b, "%llu.%llu", (unsigned long long)(hundredths / 100),
                           (unsigned long long)(hundredths % 100 / 10));
        else
                buf_printf(b, "0.%02llu", (unsigned long long)hundredths);
}

static void put_amount(Buf *b, const json_t *c, const char *key, bool bytes, const char *before,
                       const char *behind) {
        uint64_t n = json_number(c, key);
        char text[SAY_MAX];

        if (n == 0)
                return;
        if (bytes)
                (void)say_size(n, text);
        else
                (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
        buf_printf(b, ", %s%s%s", before, text, behind);
}

static void put_cpu_terms(Buf *b, const Teller *t, const json_t *c) {
        buf_puts(b, " used ");
        put_cpus(b, json_number(c, "used"));
        if (t->cpus > 0)
                buf_printf(b, " of %llu CPU%s", (unsigned long long)t->cpus, t->cpus > 1 ? "s" : "");
        else
                buf_puts(b, " CPUs");
        if (json_number(c, "entitled") > 0) {
                buf_puts(b, ", entitled to ");
                put_cpus(b, json_number(c, "entitled"));
        }
}

static void put_memory_terms(Buf *b, const Teller *t, const json_t *c) {
        char used[SAY_MAX], all[SAY_MAX], entitled[SAY_MAX];

        buf_printf(b, " held %s", say_size(json_number(c, "used"), used));
        if (t->memory_bytes > 0)
                buf_printf(b, " of the host's %s memory", say_size(t->memory_bytes, all));
        else
                buf_puts(b, " of memory");
        if (json_has(c, "entitled"))
                buf_printf(
                        b, ", %s%s", json_number(c, "entitled") > 0 ? "entitled to " : "none of it promised",
                        json_number(c, "entitled") > 0 ? say_size(json_number(c, "entitled"), entitled) : "");
        put_amount(b, c, "grown", true, "", " more than it had a minute ago");
        put_amount(b, c, "growth_per_sec", true, "growing by ", " a second");
        put_amount(b, c, "refaults_per_sec", false, "", " pages a second reclaimed and read again");
}

static void put_io_terms(Buf *b, const json_t *c, const json_t *judged) {
        const char *device = device_of(json_array_get(json_member(judged, "victims"), 0));

        buf_puts(b, " did ");
        put_share(b, c, "used");
        buf_printf(b, " of the work of %s", device ? device : "the disk");
        if (json_has(c, "entitled")) {
                buf_puts(b, ", entitled to ");
                put_share(b, c, "entitled");
        }
}

static void put_task_terms(Buf *b, const json_t *c) {
        buf_printf(b, " had %llu tasks", (unsigned long long)json_number(c, "used"));
        if (json_number(c, "entitled") > 0)
                buf_printf(b, " of %llu allowed", (unsigned long long)json_number(c, "entitled"));
        put_amount(b, c, "growth_per_sec", false, "", " more each second");
        put_amount(b, c, "forks_per_sec", false, "starting ", " each second");
}

void tell_candidate(Buf *b, const Teller *t, const json_t *candidate, const json_t *judged) {
        const char *resource = json_text(judged, "resource"), *why = json_text(candidate, "why"),
                   *text = json_text(candidate, "why_text");

        tell_party(b, t, candidate);
        if (!json_has(candidate, "used"))
                buf_printf(b, " used %s", tell_resource(resource));
        else if (is(resource, "cpu"))
                put_cpu_terms(b, t, candidate);
        else if (is(resource, "memory"))
                put_memory_terms(b, t, candidate);
        else if (is(resource, "io"))
                put_io_terms(b, candidate, judged);
        else if (is(resource, "pids"))
                put_task_terms(b, candidate);
        if (json_has(candidate, "score_permyriad")) {
                buf_puts(b, " (blame ");
                put_share(b, candidate, "score_permyriad");
                buf_putc(b, ')');
        }
        if (why && !STR_EQ(why, "culprit"))
                buf_printf(b, ": %s", text ? text : why);
}

const char *tell_why_nobody(const json_t *judged) {
        static const char *const texts[][2] = {
                { "less", "no single one is to blame" },
                { "small", "nobody's part in it is large enough to be blamed for it" },
                { "entitled", "nobody uses more than it is entitled to" },
                { "priority", "the one to blame has a higher priority than those it hurts, and nobody stands "
                              "in for it" },
                { "protected", "the one to blame is protected by policy, and nobody stands in for it" },
                { "service",
                  "the one to blame is a service of the host, out of reach, and nobody stands in for it" },
                { "kernel", "it is the kernel's own work, out of reach, and nobody stands in for it" },
                { "mode", "the mode of the one to blame lets nothing be done" },
                { "held", "an operator holds the one to blame" },
                { "victim", "the only one to blame is the one that is hurt" },
        };
        const char *outcome = json_text(judged, "outcome");

        if (!outcome || STR_EQ(outcome, "culprit"))
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (STR_EQ(texts[i][0], outcome))
                        return texts[i][1];
        return outcome;
}

/* ---- acts ---- */

void tell_limit_name(Buf *b, const json_t *limit) {
        const char *name = json_text(limit, "limit"), *device = device_of(limit);

        buf_puts(b, name ? name : "a limit");
        if (device)
                buf_printf(b, " of %s", device);
}

const char *tell_limit_text(const json_t *o, const char *text, const char *number) {
        const char *s = json_text(o, text);

        if (s)
                return STR_EQ(s, "infinity") ? "no limit" : s;
        return json_member(o, number) && !json_has(o, number) ? "no limit" : "?";
}

void tell_values(Buf *b, const json_t *values) {
        const char *separator = "";
        const json_t *v;
        size_t i;

        json_array_foreach(values, i, v) {
                const char *from = tell_limit_text(v, "from_text", "from"),
                           *to = tell_limit_text(v, "to_text", "to");

                if (STR_EQ(from, to))
                        continue;
                buf_puts(b, separator);
                tell_limit_name(b, v);
                buf_printf(b, " from %s to %s", from, to);
                separator = ", ";
        }
}

void tell_effect(Buf *b, const json_t *effect) {
        bool helped = json_flag(effect, "helped");
        uint64_t before = json_number(effect, "before_permyriad"), now = json_number(effect, "now_permyriad");

        if (!json_has(effect, "before_permyriad") || !json_has(effect, "now_permyriad"))
                return;
        buf_printf(b, "The step before %s: the worst wait %s from ", helped ? "helped" : "did not help",
                   now < before   ? "fell"
                   : now > before ? "rose"
                                  : "stayed,");
        put_share(b, effect, "before_permyriad");
        buf_puts(b, " to ");
        put_share(b, effect, "now_permyriad");
        buf_putc(b, '.');
}

const char *tell_act_kind(const json_t *event) {
        const char *act = json_text(json_member(event, "judged"), "act"), *kind = json_text(event, "kind");

        if (!act)
                act = kind ? kind : "?";
        return STR_EQ(act, "unthrottle") ? "release" : act;
}

bool tell_is_would(const json_t *event) {
        return json_flag(json_member(event, "judged"), "would") || is(json_text(event, "kind"), "would");
}

bool tell_failed(const json_t *event) { return json_text(json_member(event, "judged"), "error") != NULL; }

static void put_thrash(Buf *b, const Teller *t, const json_t *event, const json_t *thrash) {
        char read[SAY_MAX];

        tell_culprit(b, t, event);
        buf_printf(b, " %s at its own ceiling", t->now ? "thrashes" : "thrashed");
        if (json_is_object(thrash)) {
                buf_printf(b,
                           ": it hit it %llu times a second and read %llu pages a second again, %s a second "
                           "from disk; it waited for memory ",
                           (unsigned long long)json_number(thrash, "hits_per_sec"),
                           (unsigned long long)json_number(thrash, "refaults_per_sec"),
                           say_size(json_number(thrash, "io_read_bytes_per_sec"), read));
                put_share(b, thrash, "memory_some_permyriad");
                buf_puts(b, " of the time");
        }
        buf_putc(b, '.');
}

/* Told, and nothing done. */
static void put_note(Buf *b, const Teller *t, const json_t *event, const json_t *judged) {
        const char *nobody = tell_why_nobody(judged), *why = json_text(judged, "why_text");

        if (nobody) {
                buf_printf(b, "Nothing was done: %s.", nobody);
                return;
        }
        buf_puts(b, "Noted, nothing done yet: ");
        tell_culprit(b, t, event);
        buf_puts(b, " is to blame");
        if (why)
                buf_printf(b, " (%s)", why);
        buf_putc(b, '.');
}

static const struct {
        const char *act, *did, *would, *could_not;
} verbs[] = {
        { "throttle", "Throttled ", "Would have throttled ", "Could not throttle " },
        { "relax", "Gave a part back to ", "Would have given a part back to ",
          "Could not give a part back to " },
        { "release", "Gave all back to ", "Would have given all back to ", "Could not give all back to " },
        { "freeze", "Froze ", "Would have frozen ", "Could not freeze " },
        { "thaw", "Thawed ", "Would have thawed ", "Could not thaw " },
        { "stop", "Sent its stop signal to ", "Would have sent its stop signal to ",
          "Could not send its stop signal to " },
        { "kill", "Killed ", "Would have killed ", "Could not kill " },
        { "alarm", "Could do no more about ", "Could do no more about ", "Could do no more about " },
};

static void put_deed(Buf *b, const Teller *t, const json_t *event, size_t verb) {
        const json_t *judged = json_member(event, "judged");
        const char *why = json_text(judged, "why_text");
        _cleanup_buf_ Buf values = BUF_INIT;
        char span[SAY_MAX];

        buf_puts(b, tell_is_would(event) ? verbs[verb].would
                    : tell_failed(event) ? verbs[verb].could_not
                                         : verbs[verb].did);
        tell_culprit(b, t, event);
        if (json_number(judged, "span_usec") > 0 && STR_EQ(verbs[verb].act, "freeze"))
                buf_printf(b, " for %s", say_span(json_number(judged, "span_usec"), span));
        if (tell_may_name(t, event)) /* another tenant's limits are its own matter */
                tell_values(&values, json_member(judged, "values"));
        if (values.len > 0)
                buf_printf(b, ": %s", buf_str(&values));
        if (tell_failed(event) && tell_may_name(t, event))
                buf_printf(b, ": %s", json_text(judged, "error"));
        if (why)
                buf_printf(b, " (%s)", why);
        buf_putc(b, '.');
}

/* What an operator did, or the guard says of itself. Its text names nobody but whom it is about. */
static bool put_text(Buf *b, const Teller *t, const json_t *event) {
        const char *text = json_text(event, "text");

        if (!text || !*text || !tell_may_name(t, event))
                return false;
        buf_puts(b, text);
        if (json_has(event, "uid"))
                buf_printf(b, " (asked for by uid %llu)", (unsigned long long)json_number(event, "uid"));
        return true;
}

void tell_act(Buf *b, const Teller *t, const json_t *event) {
        const json_t *judged = json_member(event, "judged");
        const char *act = tell_act_kind(event);
        bool of_judge = json_is_object(judged);

        if (!of_judge && !(t->for_tenant && json_has(event, "incident") && !json_has(event, "uid")) &&
            put_text(b, t, event))
                return;
        if (STR_EQ(act, "notify")) {
                if (is(json_text(judged, "why"), "thrash"))
                        put_thrash(b, t, event, json_member(judged, "thrash"));
                else
                        put_note(b, t, event, judged);
                return;
        }
        if (STR_EQ(act, "thrash")) {
                put_thrash(b, t, event, json_member(judged, "thrash"));
                return;
        }
        if (STR_EQ(act, "storm")) {
                buf_puts(b, "Too many containers ended at once, of whatever cause: nobody is killed until "
                            "that is over.");
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (STR_EQ(verbs[i].act, act)) {
                        put_deed(b, t, event, i);
                        return;
                }
        buf_printf(b, "%s: ", act);
        tell_culprit(b, t, event);
        buf_putc(b, '.');
}
