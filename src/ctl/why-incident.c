/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One incident, for `why`: a summary (who was hurt, who was to blame and who was not, what was done, what it changed, when it
 * ended), and below it the same step by step, the time of the first one absolute and of the later ones relative to
 * it. A step names victim and culprit only where they are others than those told last.
 *
 * The guard keeps the last events of an incident. What is not among them any more is told as far as the incident itself
 * has counted it.
 */

#include <stdio.h>
#include <string.h>

#include "screens.h"
#include "why-internal.h"

#define RUNNERS_UP 3 /* told one by one */
#define KNOBS_MAX 16 /* of a summary */
#define STEP_INDENT 14

static bool is(const char *a, const char *b) { return a && STR_EQ(a, b); }

static bool is_party(const json_t *a, const json_t *b) {
        static const char *const keys[] = { "name", "tenant", "cgroup", "kind" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                const char *x = json_text(a, keys[i]), *y = json_text(b, keys[i]);

                if ((x || y) && (!x || !y || !STR_EQ(x, y)))
                        return false;
        }
        return true;
}

/* ---- the summary ---- */

typedef struct Knob {
        const json_t *first, *last; /* values of events: where it began, where it ended */
        unsigned steps;
} Knob;

typedef struct Story {
        const json_t *worst; /* harm */
        const json_t *blame; /* judged, of the first event that has candidates */
        const json_t *first_effect, *last_effect;
        const json_t *looked; /* judged, of the first event whose culprit's processes were looked at */
        const json_t *told; /* the last event that told why nothing more was done */
        uint64_t began, given_back; /* the first event; the last that gave all back, 0 */
        unsigned deeds[4], would; /* by the index in deeds */
        Knob knobs[KNOBS_MAX];
        size_t n_knobs;
} Story;

static const char *const deeds[] = { "throttle", "freeze", "stop", "kill" };

bool why_is_of(const json_t *incident, const json_t *event) {
        return json_has(event, "incident") && json_number(event, "incident") == json_number(incident, "id");
}

static void story_value(Story *s, const json_t *value) {
        const char *limit = json_text(value, "limit"), *device = json_text(value, "device");
        Knob *k = NULL;

        for (size_t i = 0; i < s->n_knobs && !k; i++) {
                const char *d = json_text(s->knobs[i].first, "device");

                if (is(limit, json_text(s->knobs[i].first, "limit")) && (device ? is(d, device) : !d))
                        k = &s->knobs[i];
        }
        if (!k) {
                if (!limit || s->n_knobs == KNOBS_MAX)
                        return;
                k = &s->knobs[s->n_knobs++];
                *k = (Knob){ .first = value };
        }
        k->last = value;
        k->steps++;
}

static void story_act(Story *s, const json_t *event) {
        const json_t *judged = json_member(event, "judged"), *value;
        const char *act = tell_act_kind(event);
        bool would = tell_is_would(event);
        size_t i;

        if (STR_EQ(act, "notify") || STR_EQ(act, "alarm") || would)
                s->told = event;
        if (tell_failed(event)) /* told step by step; nothing was done */
                return;
        for (i = 0; i < ARRAY_SIZE(deeds); i++)
                if (STR_EQ(deeds[i], act)) {
                        s->given_back = 0;
                        if (would)
                                s->would++;
                        else
                                s->deeds[i]++;
                }
        if (would)
                return;
        if (STR_EQ(act, "throttle"))
                json_array_foreach(json_member(judged, "values"), i, value) story_value(s, value);
        if (STR_EQ(act, "release") || STR_EQ(act, "thaw"))
                s->given_back = json_number(event, "time");
}

static void story_event(Story *s, const json_t *event) {
        const json_t *judged = json_member(event, "judged"), *effect = json_member(judged, "effect"), *h;
        size_t i;

        if (s->began == 0)
                s->began = json_number(event, "time");
        json_array_foreach(json_member(judged, "victims"), i,
                           h) if (!s->worst || json_number(h, "share_permyriad") >
                                                       json_number(s->worst, "share_permyriad")) s->worst = h;
        if (!s->blame && json_array_size(json_member(judged, "candidates")) > 0)
                s->blame = judged;
        if (!s->looked && json_array_size(json_member(judged, "processes")) > 0)
                s->looked = judged;
        if (json_has(effect, "now_permyriad")) {
                s->first_effect = s->first_effect ? s->first_effect : effect;
                s->last_effect = effect;
        }
        story_act(s, event);
}

static void summary_hurt(const WhyPage *p, const Story *s, const json_t *incident) {
        const json_t *victims = json_member(incident, "victims"), *v;
        Buf b = BUF_INIT, also = BUF_INIT;
        bool others = false;
        size_t i;

        if (s->worst)
                tell_harm(&b, &p->teller, s->worst);
        json_array_foreach(victims, i, v) {
                if (s->worst && is(json_text(v, "name"), json_text(s->worst, "name")) &&
                    is(json_text(v, "tenant"), json_text(s->worst, "tenant")))
                        continue;
                if (!tell_may_name(&p->teller, v)) {
                        others |= !s->worst || tell_may_name(&p->teller, s->worst);
                        continue;
                }
                buf_puts(&also, also.len > 0 ? ", " : "");
                tell_party(&also, &p->teller, v);
        }
        if (others)
                buf_printf(&also, "%sanother tenant", also.len > 0 ? ", " : "");
        if (also.len > 0)
                buf_printf(&b, "%s%s.", s->worst ? " Also hurt: " : "", buf_str(&also));
        if (!s->worst && json_number(incident, "worst_permyriad") > 0) {
                char share[SAY_MAX];

                buf_printf(&b, "%sThe worst wait was %s of the time.", b.len > 0 ? " " : "",
                           say_permyriad(json_number(incident, "worst_permyriad"), share));
        }
        buf_deinit(&also);
        why_field(p, "Hurt", STYLE_PLAIN, &b);
}

static void summary_blame(const WhyPage *p, const Story *s) {
        const json_t *candidates = json_member(s->blame, "candidates"), *c;
        size_t i, n = json_array_size(candidates);

        json_array_foreach(candidates, i, c) {
                Buf b = BUF_INIT;

                if (i > RUNNERS_UP) {
                        buf_printf(&b, "%zu more with less.", n - i);
                        why_field(p, "", STYLE_PLAIN, &b);
                        break;
                }
                tell_candidate(&b, &p->teller, c, s->blame);
                buf_putc(&b, '.');
                why_field(p, i == 0 ? "To blame" : i == 1 ? "Then" : "", STYLE_PLAIN, &b);
        }
}

static void put_times(Buf *b, unsigned n, const char *what) {
        if (n == 0)
                return;
        buf_printf(b, "%s%s ", b->len > 0 ? ", " : "", what);
        if (n > 2)
                buf_printf(b, "%u times", n);
        else
                buf_puts(b, n == 1 ? "once" : "twice");
}

/* What no event is kept of any more the incident has still counted. */
static void put_counted(Buf *b, const json_t *incident) {
        put_times(b, (unsigned)json_number(incident, "acts"), "acted");
        put_times(b, (unsigned)json_number(incident, "kills"), "killed");
}

static void why_nothing(const Story *s, Buf *b) {
        const json_t *judged = json_member(s->told, "judged");
        const char *nobody = tell_why_nobody(judged), *text = json_text(judged, "why_text");

        buf_puts(b, s->would > 0 ? "nothing; it would have, but was only to watch" : "nothing");
        if (nobody || text)
                buf_printf(b, ": %s", nobody ? nobody : text);
}

static void summary_done(const WhyPage *p, const Story *s, const json_t *incident) {
        static const char *const words[] = { "throttled", "frozen", "told to stop", "killed" };
        Buf b = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(deeds); i++)
                put_times(&b, s->deeds[i], words[i]);
        if (b.len == 0)
                put_counted(&b, incident);
        if (b.len == 0)
                why_nothing(s, &b);
        /* Another tenant's limits are its own matter. */
        for (size_t i = 0; i < s->n_knobs && tell_may_name(&p->teller, incident); i++) {
                const Knob *k = &s->knobs[i];

                buf_puts(&b, i == 0 ? ": " : ", ");
                tell_limit_name(&b, k->first);
                buf_printf(&b, " from %s to %s", tell_limit_text(k->first, "from_text", "from"),
                           tell_limit_text(k->last, "to_text", "to"));
        }
        buf_putc(&b, '.');
        why_field(p, "Done", STYLE_PLAIN, &b);
}

/* Another tenant's processes are its own matter. */
static void summary_processes(const WhyPage *p, const Story *s, const json_t *incident) {
        Buf b = BUF_INIT;

        if (tell_may_name(&p->teller, incident))
                tell_processes(&b, s->looked);
        why_field(p, "Processes", STYLE_PLAIN, &b);
}

static void summary_effect(const WhyPage *p, const Story *s) {
        uint64_t before = json_number(s->first_effect, "before_permyriad"),
                 now = json_number(s->last_effect, "now_permyriad");
        char a[SAY_MAX], z[SAY_MAX];
        Buf b = BUF_INIT;

        if (!s->last_effect)
                return;
        buf_printf(&b, "the worst wait %s from %s of the time to %s.",
                   now < before   ? "fell"
                   : now > before ? "rose all the same,"
                                  : "stayed as it was,",
                   say_permyriad(before, a), say_permyriad(now, z));
        why_field(p, "Changed", now < before ? STYLE_GOOD : STYLE_WARN, &b);
}

static void put_after(Buf *b, uint64_t began, uint64_t then) {
        uint64_t span = then > began ? then - began : 0;
        char text[SAY_MAX];

        if (span < 60 * USEC_PER_SEC)
                buf_printf(b, "+%llu.%llu s", (unsigned long long)(span / USEC_PER_SEC),
                           (unsigned long long)(span % USEC_PER_SEC / (USEC_PER_SEC / 10)));
        else
                buf_printf(b, "+%s", say_span(span, text));
}

static void summary_undone(const WhyPage *p, const Story *s, const json_t *incident) {
        bool acted = s->deeds[0] + s->deeds[1] > 0;
        char when[SAY_MAX];
        Buf b = BUF_INIT;

        if (s->given_back > 0) {
                buf_printf(&b, "all was given back at %s (", say_time(s->given_back, when));
                put_after(&b, s->began, s->given_back);
                buf_puts(&b, ").");
        } else if (acted)
                buf_puts(&b, json_has(incident, "closed")
                                     ? "with the end of the incident; no event of it is kept."
                                     : "not yet.");
        why_field(p, "Undone", STYLE_PLAIN, &b);
}

static void incident_title(const WhyPage *p, const json_t *incident) {
        uint64_t opened = json_number(incident, "opened"), closed = json_number(incident, "closed"),
                 end = closed > 0 ? closed : p->now;
        char when[SAY_MAX], span[SAY_MAX];
        const json_t *resources = json_member(incident, "resources"), *o;
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t i;

        buf_printf(&b, "Incident #%llu of ", (unsigned long long)json_number(incident, "id"));
        tell_culprit(&b, &p->teller, incident);
        json_array_foreach(resources, i, o)
                buf_printf(&b, "%s%s", i == 0 ? ", about " : " and ", tell_resource(json_string_value(o)));
        buf_printf(&b, ", %s, %s %s", say_time(opened, when), closed > 0 ? "over after" : "open for",
                   say_span(end > opened ? end - opened : 0, span));
        say_prose(p->view, "", STYLE_PLAIN, 0, STYLE_BOLD, buf_str(&b));
}

/* ---- step by step ---- */

/* What has no name of its own begins a sentence with a capital. */
static void put_sentence(Buf *b, Buf *sentence) {
        static const char *const nameless[] = { "another tenant ", "a service of the host ", "the host as a ",
                                                "the kernel itself " };

        for (size_t i = 0; i < ARRAY_SIZE(nameless); i++)
                if (strncmp(buf_str(sentence), nameless[i], strlen(nameless[i])) == 0)
                        sentence->data[0] = (char)(sentence->data[0] - 'a' + 'A');
        if (sentence->len > 0)
                buf_printf(b, "%s%s", b->len > 0 ? " " : "", buf_str(sentence));
        buf_deinit(sentence);
}

/* Of a step: whom it was for and who is to blame, where that is news. */
static void put_cause(const WhyPage *p, WhySteps *s, const json_t *judged, Buf *b) {
        const json_t *victim = json_array_get(json_member(judged, "victims"), 0),
                     *culprit = json_array_get(json_member(judged, "candidates"), 0);
        Buf sentence = BUF_INIT;

        if (victim && (!s->victim || !is_party(victim, s->victim))) {
                tell_harm(&sentence, &p->teller, victim);
                put_sentence(b, &sentence);
                s->victim = victim;
        }
        if (culprit && (!s->culprit || !is_party(culprit, s->culprit))) {
                buf_puts(&sentence, "To blame: ");
                tell_candidate(&sentence, &p->teller, culprit, judged);
                buf_putc(&sentence, '.');
                put_sentence(b, &sentence);
                s->culprit = culprit;
        }
}

void why_step(const WhyPage *p, WhySteps *s, const json_t *event) {
        const json_t *judged = json_member(event, "judged");
        uint64_t at = json_number(event, "time");
        _cleanup_buf_ Buf b = BUF_INIT, head = BUF_INIT;
        Buf sentence = BUF_INIT;
        char when[SAY_MAX], id[SAY_MAX];
        bool asked;

        buf_puts(&head, "  ");
        if (s->began == 0) {
                const char *clock = strchr(say_time(at, when), ' ');

                s->began = at;
                buf_puts(&head, clock ? clock + 1 : when);
        } else
                put_after(&head, s->began, at);
        tell_effect(&sentence, json_member(judged, "effect"));
        put_sentence(&b, &sentence);
        put_cause(p, s, judged, &b);
        tell_act(&sentence, &p->teller, event);
        put_sentence(&b, &sentence);
        (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)json_number(event, "id"));
        asked = is(p->asked, id);
        buf_printf(&b, " [%s]", id);
        say_prose(p->view, buf_str(&head), STYLE_DIM, STEP_INDENT,
                  asked                  ? STYLE_BOLD
                  : tell_is_would(event) ? STYLE_DIM
                                         : STYLE_PLAIN,
                  buf_str(&b));
}

void why_incident(const WhyPage *p, const json_t *o) {
        const char *text = json_text(o, "text");
        Story story = {};
        WhySteps steps = {};
        const json_t *e;
        size_t i, n = 0;

        json_array_foreach(p->events, i, e) if (why_is_of(o, e)) {
                story_event(&story, e);
                n++;
        }
        incident_title(p, o);
        /* In a word; what it is composed of follows. */
        if (text && *text && !p->teller.for_tenant)
                say_prose_field(p->view, "In short", STYLE_PLAIN, text);
        summary_hurt(p, &story, o);
        summary_blame(p, &story);
        summary_processes(p, &story, o);
        summary_done(p, &story, o);
        summary_effect(p, &story);
        summary_undone(p, &story, o);
        if (n == 0) {
                say_prose_field(p->view, "Steps", STYLE_DIM,
                                "their events are not kept any more; the journal may have them: journalctl "
                                "-u bailiffd.service");
                return;
        }
        steps.victim = story.worst;
        steps.culprit = json_array_get(json_member(story.blame, "candidates"), 0);
        say_line(p->view, STYLE_BOLD, "Step by step");
        json_array_foreach(p->events, i, e) if (why_is_of(o, e)) why_step(p, &steps, e);
}
