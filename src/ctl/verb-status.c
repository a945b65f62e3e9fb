/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `status`: one screen that says what is in force on this host and what is not;
 * `status --check`: the same as one line and a code for Nagios and its kin.
 *
 * The check rates only what is wrong now and can be mended: a host without swap
 * is as it is (doctor says so), a policy that was refused an hour ago is not.
 */

#include <stdarg.h>
#include <stdio.h>

#include "ctl.h"
#include "screens.h"
#include "value.h"

/* ---- the screen ---- */

static void list(const View *v, const char *key, TextStyle style, const json_t *strings) {
        const json_t *s;
        size_t i;

        json_array_foreach(strings, i, s)
                say_field(v, i == 0 ? key : "", style, "%s", json_is_string(s) ? json_string_value(s) : "?");
}

/* A text of many lines below one key. */
static void lines(const View *v, const char *key, TextStyle style, const char *text) {
        while (text && *text) {
                size_t n = strcspn(text, "\n");

                if (n > 0)
                        say_field(v, key, style, "%.*s", (int)MIN_OF(n, (size_t)4096), text);
                key = "";
                text += n + (text[n] == '\n');
        }
}

static void mode(const json_t *status, const View *v) {
        const char *m = json_text(status, "mode"), *why = json_text(status, "mode_reason");
        bool holds = m && !STR_EQ(m, "off") && !STR_EQ(m, "observe");

        say_field(v, "Mode", holds ? STYLE_GOOD : STYLE_WARN, "%s%s%s%s%s", m ? m : "?",
                  holds ? "" : ", nothing is written", why ? " (" : "", why ? why : "", why ? ")" : "");
}

static void paused(const json_t *status, const View *v) {
        const json_t *p = json_member(status, "paused");
        const char *by = json_text(p, "by");
        char when[SAY_MAX];

        if (!json_is_object(p))
                return;
        if (by && STR_EQ(by, "release"))
                say_field(v, "Paused", STYLE_BAD,
                          "every ceiling was given back (release --ceilings); end it: bailiffctl resume");
        else
                say_field(v, "Paused", STYLE_BAD,
                          "%s%s, by %s: nothing is written; end it: bailiffctl resume",
                          json_has(p, "until") ? "until " : "until resumed",
                          json_has(p, "until") ? say_time(json_number(p, "until"), when) : "", by ? by : "?");
}

static void policy(const json_t *status, const View *v) {
        const json_t *p = json_member(status, "policy"), *files = json_member(p, "files");
        char when[SAY_MAX];

        if (json_flag(p, "ok"))
                say_field(v, "Policy", STYLE_GOOD, "ok, %zu files, loaded %s", json_array_size(files),
                          say_time(json_number(p, "loaded"), when));
        else if (json_flag(p, "last_good"))
                say_field(v, "Policy", STYLE_BAD,
                          "REFUSED; the last one that loaded is in force (see bailiffctl policy check)");
        else if (json_array_size(files) > 0)
                say_field(v, "Policy", STYLE_BAD,
                          "REFUSED; the one loaded %s stays in force (see bailiffctl policy check)",
                          say_time(json_number(p, "loaded"), when));
        else
                say_field(v, "Policy", STYLE_BAD,
                          "REFUSED and none is in force: nothing is held (see bailiffctl policy check)");
        list(v, "Files", STYLE_PLAIN, files);
        if (!json_flag(p, "ok"))
                lines(v, "Mistakes", STYLE_BAD, json_text(p, "report"));
        list(v, "Warnings", STYLE_WARN, json_member(p, "warnings"));
}

static unsigned long long count(const json_t *o, const char *key) {
        return (unsigned long long)json_number(o, key);
}

static void holding(const json_t *status, const View *v) {
        const json_t *c = json_member(status, "counts"), *d = json_member(status, "drift");
        unsigned long long drifted = count(c, "drifted");

        say_field(v, "Holding", STYLE_PLAIN,
                  "%llu of %llu containers, %llu tenants, %llu containers unassigned", count(c, "held"),
                  count(c, "containers"), count(c, "tenants"), count(c, "unassigned"));
        say_field(v, "Drift", drifted ? STYLE_WARN : STYLE_PLAIN,
                  "%llu drifted now; %llu found, %llu repaired, %llu fights since start", drifted,
                  count(d, "found"), count(d, "repaired"), count(d, "fights"));
        if (count(c, "holds") + count(c, "advisory") + count(c, "squeezing") > 0)
                say_field(v, "Exceptions", STYLE_WARN,
                          "%llu on hold, %llu tenants' sums advisory, %llu being squeezed", count(c, "holds"),
                          count(c, "advisory"), count(c, "squeezing"));
}

static void host(const json_t *status, const View *v) {
        const json_t *h = json_member(status, "host"), *s;
        char memory[VALUE_FORMAT_MAX], swap[VALUE_FORMAT_MAX];
        _cleanup_buf_ Buf controllers = BUF_INIT;
        size_t i;

        json_array_foreach(json_member(h, "controllers"), i, s)
                buf_printf(&controllers, " %s", json_is_string(s) ? json_string_value(s) : "?");
        say_field(v, "Host", STYLE_PLAIN, "%s memory, %s swap, %llu CPUs; controllers%s; PSI %s, systemd %s",
                  value_format_bytes(json_number(h, "memory_bytes"), memory, sizeof(memory)),
                  value_format_bytes(json_number(h, "swap_bytes"), swap, sizeof(swap)), count(h, "cpus"),
                  controllers.len ? buf_str(&controllers) : " none", json_flag(h, "psi") ? "yes" : "no",
                  json_flag(h, "systemd") ? "yes" : "no");
        list(v, "Missing", STYLE_WARN, json_member(status, "missing"));
        list(v, "Rivals", STYLE_WARN, json_member(status, "rivals"));
}

static const char *helper(const json_t *status, const char *key, char buf[static SAY_MAX]) {
        const json_t *h = json_member(status, key);

        if (json_number(h, "pid") == 0)
                (void)snprintf(buf, SAY_MAX, "%s not running", key);
        else
                (void)snprintf(buf, SAY_MAX, "%s pid %llu, %llu pending", key, count(h, "pid"),
                               count(h, "pending"));
        return buf;
}

static void health(const json_t *status, const View *v) {
        const json_t *loop = json_member(status, "loop"), *bus = json_member(status, "bus"),
                     *tree = json_member(status, "tree"), *journal = json_member(status, "journal"),
                     *ledger = json_member(status, "ledger");
        char a[SAY_MAX], b[SAY_MAX], rss[VALUE_FORMAT_MAX];
        const char *error = json_text(ledger, "error");
        bool bad;

        say_field(v, "Guard", STYLE_PLAIN, "memory %s, CPU %s, longest stall %s",
                  value_format_bytes(json_number(loop, "rss_bytes"), rss, sizeof(rss)),
                  say_span(json_number(loop, "cpu_usec"), a), say_span(json_number(loop, "longest_usec"), b));
        bad = !json_flag(bus, "systemd") || json_number(json_member(status, "writer"), "pid") == 0 ||
              json_number(json_member(status, "names"), "pid") == 0;
        say_field(v, "", bad ? STYLE_WARN : STYLE_PLAIN, "systemd %s; %s; %s",
                  json_flag(bus, "systemd") ? "connected" : "NOT connected", helper(status, "writer", a),
                  helper(status, "names", b));
        bad = json_number(tree, "watch_failures") > 0;
        say_field(v, "", bad ? STYLE_WARN : STYLE_PLAIN,
                  "%llu cgroups, %llu watches (%llu failed), %llu overflows, %llu rescans",
                  count(tree, "nodes"), count(tree, "watches"), count(tree, "watch_failures"),
                  count(tree, "overflows"), count(tree, "rescans"));
        bad = json_number(journal, "dropped") > 0 || json_number(journal, "queued") > 0;
        say_field(v, "", bad ? STYLE_WARN : STYLE_PLAIN, "journal %llu sent, %llu queued, %llu dropped",
                  count(journal, "sent"), count(journal, "queued"), count(journal, "dropped"));
        bad = error || json_number(ledger, "damaged") > 0;
        say_field(v, "", bad ? STYLE_BAD : STYLE_PLAIN, "ledger %llu records, %llu damaged%s%s",
                  count(ledger, "records"), count(ledger, "damaged"), error ? ", not written: " : "",
                  error ? error : "");
}

/* How often beats came late, and how much: what keeps a guard from acting in time. */
static void beats(const json_t *status, const View *v) {
        const json_t *loop = json_member(status, "loop"), *late = json_member(loop, "late_usec");
        char p50[SAY_MAX], p99[SAY_MAX], max[SAY_MAX], kernel[SAY_MAX];

        if (json_is_object(late))
                say_field(v, "", STYLE_PLAIN, "%llu beats, late by %s (half of them), %s (99%%), %s at most",
                          count(loop, "beats"), say_span(json_number(late, "p50"), p50),
                          say_span(json_number(late, "p99"), p99), say_span(json_number(late, "max"), max));
        if (json_has(loop, "kernel_bytes"))
                say_field(v, "", STYLE_PLAIN, "kernel memory %s",
                          say_size(json_number(loop, "kernel_bytes"), kernel));
}

static void triggers(const json_t *t, const View *v) {
        bool bad = json_number(t, "refused") + json_number(t, "lost") > 0;

        if (json_is_object(t))
                say_field(v, "Triggers", bad ? STYLE_WARN : STYLE_PLAIN,
                          "%llu on the host, %llu on slices, %llu on containers; %llu refused, %llu lost, "
                          "fired %llu times",
                          count(t, "host"), count(t, "slices"), count(t, "containers"), count(t, "refused"),
                          count(t, "lost"), count(t, "fired"));
}

static void sampling(const json_t *status, const View *v, uint64_t now) {
        const json_t *s = json_member(status, "sampling"), *history = json_member(s, "history"),
                     *books = json_member(s, "books");
        const char *peaks = json_text(s, "peaks"), *error = json_text(s, "psi_error"),
                   *unwritten = json_text(books, "error");
        uint64_t first = json_number(history, "first");
        char span[SAY_MAX], size[SAY_MAX];
        bool bad;

        if (!json_is_object(s))
                return;
        bad = json_number(s, "fd_failures") > 0;
        say_field(v, "Sampling", bad ? STYLE_WARN : STYLE_PLAIN,
                  "%llu hot, %llu cold containers, %llu slices; %llu looks, %llu files read", count(s, "hot"),
                  count(s, "cold"), count(s, "slices"), count(s, "looks"), count(s, "files"));
        say_field(v, "", bad ? STYLE_WARN : STYLE_PLAIN,
                  "%llu fds kept for %llu cgroups, %llu evictions, %llu failures; peaks %s",
                  count(s, "kept_fds"), count(s, "kept_cgroups"), count(s, "evictions"),
                  count(s, "fd_failures"), peaks ? peaks : "?");
        if (error || !json_flag(s, "psi"))
                say_field(v, "", STYLE_WARN, "no pressure%s%s: boot with psi=1", error ? ": " : "",
                          error ? error : "");
        error = json_text(s, "net_error");
        if (error)
                say_field(v, "", STYLE_WARN, "no network counters: the host's network cannot be told: %s",
                          error);
        if (json_number(s, "net_damaged") > 0)
                say_field(v, "", STYLE_WARN,
                          "%llu times a container's network counters could not be read for what they are",
                          count(s, "net_damaged"));
        triggers(json_member(s, "triggers"), v);
        if (json_is_object(history))
                say_field(v, "History", json_number(history, "dropped") > 0 ? STYLE_WARN : STYLE_PLAIN,
                          "%s back, %s in %llu chunks, %llu subjects, %llu samples dropped",
                          say_span(first > 0 && now > first ? now - first : 0, span),
                          say_size(json_number(history, "bytes"), size), count(history, "chunks"),
                          count(history, "subjects"), count(history, "dropped"));
        if (json_is_object(books))
                say_field(v, "Books",
                          unwritten || json_number(books, "damaged") > 0 || json_flag(books, "set_aside")
                                  ? STYLE_BAD
                                  : STYLE_PLAIN,
                          "%llu on file, %llu damaged, %llu writes%s%s%s", count(books, "used"),
                          count(books, "damaged"), count(books, "writes"),
                          json_flag(books, "set_aside") ? ", an older file was set aside" : "",
                          unwritten ? ", not written: " : "", unwritten ? unwritten : "");
}

/* What the kernel says of processes. It is optional, and so no fault where it is missing. */
static void heard(const json_t *status, const View *v) {
        const json_t *n = json_member(status, "netlink");
        const char *events = json_text(n, "events_error"), *records = json_text(n, "tasks_error");
        uint64_t lost = json_number(n, "lost_events") + json_number(n, "lost_records");
        bool wanted = json_array_size(json_member(n, "wants")) > 0;

        if (!json_is_object(n))
                return;
        if (wanted && !json_flag(n, "connected"))
                say_field(v, "Processes", STYLE_WARN,
                          "how they end and who forks is not known: bailiff-netlink is not there");
        else if (events)
                say_field(v, "Processes", STYLE_WARN, "how they end and who forks is not known: %s", events);
        else
                say_field(v, "Processes", lost > 0 ? STYLE_WARN : STYLE_PLAIN,
                          "%llu main processes watched, %llu have ended; %llu events lost",
                          count(n, "watched"), count(n, "exits"), (unsigned long long)lost);
        if (records && !events)
                say_field(v, "", STYLE_WARN, "what short lives used is not known: %s", records);
}

static void put_counts(Buf *b, const char *head, const json_t *counts) {
        const json_t *n;
        const char *key;

        json_object_foreach((json_t *)counts, key, n) if (json_number(counts, key) > 0) {
                buf_printf(b, "%s %s %llu", *head ? head : ",", key, count(counts, key));
                head = "";
        }
}

static void judging(const json_t *status, const View *v) {
        const json_t *j = json_member(status, "judge"), *reaction = json_member(j, "reaction_usec");
        unsigned long long open = count(j, "incidents_open");
        bool storm = json_flag(j, "in_storm");
        _cleanup_buf_ Buf b = BUF_INIT, done = BUF_INIT;
        char last[SAY_MAX], p50[SAY_MAX], p99[SAY_MAX], max[SAY_MAX];

        if (!json_is_object(j))
                return;
        buf_printf(&b, "%llu incidents open", open);
        put_counts(&b, ";", json_member(j, "rung_counts"));
        if (json_has(j, "kill_budget_left"))
                buf_printf(&b, "; kill budget left: %llu", count(j, "kill_budget_left"));
        if (storm)
                buf_puts(&b, "; STORM: too many containers ended at once, nobody is killed");
        say_field(v, "Judging", storm || open > 0 ? STYLE_WARN : STYLE_PLAIN, "%s%s", buf_str(&b),
                  open > 0 ? " (see bailiffctl why)" : "");
        put_counts(&done, ", did:", json_member(j, "acts"));
        put_counts(&done, "; would have:", json_member(j, "would"));
        say_field(v, "", STYLE_PLAIN, "%llu parties, %llu steps%s", count(j, "parties"), count(j, "steps"),
                  buf_str(&done));
        if (json_number(reaction, "max") > 0)
                say_field(v, "", STYLE_PLAIN,
                          "from harm seen to the first write: %s (half of them), %s (99%%), %s at most, %s "
                          "the last",
                          say_span(json_number(reaction, "p50"), p50),
                          say_span(json_number(reaction, "p99"), p99),
                          say_span(json_number(reaction, "max"), max),
                          say_span(json_number(reaction, "last"), last));
}

static void leases(const json_t *status, const View *v) {
        const json_t *l = json_member(status, "leases");
        const char *error = json_text(l, "error");
        char thaw[SAY_MAX];
        bool bad;

        if (!json_is_object(l))
                return;
        (void)snprintf(thaw, sizeof(thaw), "thaw pid %llu", count(l, "thaw_pid"));
        bad = error || json_number(l, "damaged") > 0;
        say_field(v, "Leases",
                  bad                                                       ? STYLE_BAD
                  : json_number(l, "limits") + json_number(l, "frozen") > 0 ? STYLE_WARN
                                                                            : STYLE_PLAIN,
                  "%llu limits held back, %llu frozen, %llu records damaged; %s%s%s", count(l, "limits"),
                  count(l, "frozen"), count(l, "damaged"),
                  json_number(l, "thaw_pid") > 0 ? thaw : "thaw not running", error ? "; not written: " : "",
                  error ? error : "");
}

int screen_status(const json_t *status, const View *v, uint64_t now) {
        uint64_t started = json_number(status, "started");
        const char *version = json_text(status, "version"),
                   *kernel = json_text(json_member(status, "host"), "kernel");
        char when[SAY_MAX], age[SAY_MAX];

        say_line(v, STYLE_BOLD, "bailiffd %s on kernel %s, pid %llu, since %s (%s)", version ? version : "?",
                 kernel ? kernel : "?", count(status, "pid"), say_time(started, when),
                 say_span(now > started ? now - started : 0, age));
        mode(status, v);
        paused(status, v);
        policy(status, v);
        holding(status, v);
        judging(status, v);
        leases(status, v);
        host(status, v);
        sampling(status, v, now);
        heard(status, v);
        health(status, v);
        beats(status, v);
        return 0;
}

/* ---- the check ---- */

typedef struct Rating {
        int code;
        Buf reasons;
} Rating;

static void rate(Rating *r, bool wrong, int code, const char *format, ...) _printf_(4, 5);
static void rate(Rating *r, bool wrong, int code, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        if (!wrong)
                return;
        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        r->code = MAX_OF(r->code, code);
        buf_printf(&r->reasons, "%s%s", r->reasons.len ? ", " : "", text ? text : "?");
}

static void rate_all(const json_t *status, Rating *r) {
        const json_t *p = json_member(status, "policy"), *c = json_member(status, "counts"),
                     *paused = json_member(status, "paused"), *ledger = json_member(status, "ledger");
        bool ok = json_flag(p, "ok"), last_good = json_flag(p, "last_good");
        const char *error = json_text(ledger, "error"), *by = json_text(paused, "by");
        const char *m = json_text(status, "mode");

        rate(r, !ok && !last_good && json_array_size(json_member(p, "files")) == 0, 2,
             "no policy is in force");
        rate(r, !ok && last_good, 2, "policy refused, the last good one serves");
        rate(r, !ok && !last_good && json_array_size(json_member(p, "files")) > 0, 1,
             "policy refused, the earlier one stays in force");
        rate(r,
             m && !STR_EQ(m, "off") && !STR_EQ(m, "observe") &&
                     json_array_size(json_member(json_member(status, "host"), "controllers")) == 0,
             2, "no cgroup v2 controllers");
        rate(r, json_number(json_member(status, "writer"), "pid") == 0, 2, "the writer helper does not run");
        rate(r, error != NULL, 2, "the ledger cannot be written (%s)", error ? error : "");
        rate(r, json_is_object(paused), 1,
             by && STR_EQ(by, "release") ? "every ceiling was released" : "paused");
        rate(r, json_number(c, "drifted") > 0, 1, "%llu drifted", count(c, "drifted"));
        rate(r, json_number(c, "advisory") > 0, 1, "%llu sums advisory", count(c, "advisory"));
        rate(r,
             !json_flag(json_member(status, "bus"), "systemd") &&
                     json_flag(json_member(status, "host"), "systemd"),
             1, "systemd is not connected");
        rate(r, json_number(json_member(status, "names"), "pid") == 0, 1, "the names helper does not run");
        rate(r, json_number(json_member(status, "tree"), "watch_failures") > 0, 1,
             "some cgroups are not watched");
        rate(r, json_number(json_member(status, "tree"), "fd_failures") > 0, 1,
             "some cgroups were not found for want of file descriptors");
        rate(r, json_number(ledger, "damaged") > 0, 1, "%llu ledger records damaged",
             count(ledger, "damaged"));
}

/* Measuring goes on without these, but says less than it should. */
static void rate_sampling(const json_t *status, Rating *r) {
        const json_t *s = json_member(status, "sampling"), *books = json_member(s, "books");
        const char *psi = json_text(s, "psi_error"), *error = json_text(books, "error"),
                   *network = json_text(s, "net_error");

        rate(r, psi != NULL, 1, "no pressure can be read (%s)", psi ? psi : "");
        rate(r, network != NULL, 1, "no network counters can be told apart (%s)", network ? network : "");
        rate(r, json_number(s, "fd_failures") > 0, 1, "%llu files not opened for want of descriptors",
             count(s, "fd_failures"));
        rate(r, json_number(books, "damaged") > 0, 1, "%llu books damaged", count(books, "damaged"));
        rate(r, json_flag(books, "set_aside"), 1, "the books of an earlier guard could not be used");
        rate(r, error != NULL, 1, "the books cannot be written (%s)", error ? error : "");
}

/* An open incident wants a look, even if it is well in hand. */
static void rate_judge(const json_t *status, Rating *r) {
        const json_t *j = json_member(status, "judge"), *l = json_member(status, "leases");
        const char *error = json_text(l, "error");

        rate(r, json_number(j, "incidents_open") > 0, 1, "%llu incidents open", count(j, "incidents_open"));
        rate(r, json_flag(j, "in_storm"), 1, "a storm: too many containers ended at once");
        rate(r, error != NULL, 2, "the leases cannot be written (%s)", error ? error : "");
        rate(r, json_number(l, "damaged") > 0, 1, "%llu leases damaged", count(l, "damaged"));
        rate(r, json_has(l, "thaw_pid") && json_number(l, "thaw_pid") == 0, 1,
             "the thaw helper does not run");
}

static const char *const code_names[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };

int screen_check(const json_t *status, Buf *line) {
        const json_t *c = json_member(status, "counts"), *d = json_member(status, "drift");
        const json_t *sampling = json_member(status, "sampling"),
                     *late = json_member(json_member(status, "loop"), "late_usec");
        const char *m = json_text(status, "mode");
        Rating r = { .reasons = BUF_INIT };
        _cleanup_buf_ Buf text = BUF_INIT;

        rate_all(status, &r);
        rate_sampling(status, &r);
        rate_judge(status, &r);
        buf_printf(&text, "BAILIFF %s - ", code_names[r.code]);
        if (r.reasons.len > 0)
                buf_printf(&text, "%s; ", buf_str(&r.reasons));
        buf_printf(&text, "mode %s, %llu of %llu containers held, %llu tenants", m ? m : "?",
                   count(c, "held"), count(c, "containers"), count(c, "tenants"));
        buf_deinit(&r.reasons);
        text_escape(line, buf_str(&text), false, false);
        buf_printf(line,
                   " | containers=%llu held=%llu unassigned=%llu drifted=%llu holds=%llu advisory=%llu "
                   "squeezing=%llu "
                   "drift_found=%lluc drift_repaired=%lluc fights=%lluc",
                   count(c, "containers"), count(c, "held"), count(c, "unassigned"), count(c, "drifted"),
                   count(c, "holds"), count(c, "advisory"), count(c, "squeezing"), count(d, "found"),
                   count(d, "repaired"), count(d, "fights"));
        if (json_is_object(json_member(status, "judge")))
                buf_printf(line, " incidents=%llu throttled=%llu frozen=%llu",
                           count(json_member(status, "judge"), "incidents_open"),
                           count(json_member(status, "leases"), "limits"),
                           count(json_member(status, "leases"), "frozen"));
        if (json_is_object(sampling))
                buf_printf(line, " hot=%llu cold=%llu", count(sampling, "hot"), count(sampling, "cold"));
        if (json_has(late, "p99"))
                buf_printf(line, " late_p99=%lluus", count(late, "p99"));
        return r.code;
}

/* Nobody runs there: that is critical, for nothing is watched. Not being able to look is unknown. */
static int check(Ctl *c) {
        json_t *status = NULL;
        _cleanup_buf_ Buf line = BUF_INIT;
        int code, r = client_get(c->client, "GetStatus", NULL, &status);

        if (r == STATUS_DONE) {
                code = screen_check(status, &line);
                json_decref(status);
        } else {
                const char *why = client_error(c->client);

                code = r == STATUS_UNREACHABLE && !c->host ? 2 : 3;
                buf_printf(&line, "BAILIFF %s - %.*s", code_names[code], (int)strcspn(why, "\n"), why);
        }
        if (c->json)
                (void)ctl_print_json(c, json_pack("{s:i, s:s, s:s}", "code", code, "state", code_names[code],
                                                  "line", buf_str(&line)));
        else
                (void)fprintf(c->view.out, "%s\n", buf_str(&line));
        return code;
}

int verb_status(Ctl *c) {
        json_t *status = NULL;
        int r;

        if (c->given & OPTION_CHECK)
                return check(c);
        r = client_get(c->client, "GetStatus", NULL, &status);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (c->json)
                return ctl_print_json(c, status);
        ctl_page(c);
        r = screen_status(status, &c->view, clock_realtime());
        json_decref(status);
        return ctl_rendered(r);
}
