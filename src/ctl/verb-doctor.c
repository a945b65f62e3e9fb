/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `doctor`: what stands between this host and ceilings that bite, each with
 * what to do about it. Asks the guard; where none answers, looks at the host itself
 * for what would keep one from working.
 *
 * The same sentence about five hundred containers is one finding that names some.
 */

#include <stdarg.h>
#include <stdio.h>

#include "ctl.h"
#include "host.h"
#include "screens.h"

#define NAMED_MAX 5

/* ---- collecting ---- */

static void find(json_t *list, const char *area, const char *subject, const char *text, const char *remedy) {
        (void)json_array_append_new(list, json_pack("{s:s, s:s?, s:s, s:s?}", "area", area, "subject",
                                                    subject, "text", text, "remedy", remedy));
}

static void findf(json_t *list, const char *area, const char *subject, const char *remedy, const char *format,
                  ...) _printf_(5, 6);
static void findf(json_t *list, const char *area, const char *subject, const char *remedy, const char *format,
                  ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        find(list, area, subject, text ? text : "?", remedy);
}

static bool begins(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

static void find_strings(json_t *list, const char *area, const json_t *strings, const char *remedy) {
        const json_t *s;
        size_t i;

        json_array_foreach(strings, i, s) if (json_is_string(s))
                find(list, area, NULL, json_string_value(s), remedy);
}

static void find_rivals(json_t *list, const json_t *rivals) {
        const json_t *s;
        size_t i;

        json_array_foreach(rivals, i, s) {
                const char *unit = json_string_value(s);
                _cleanup_free_ char *remedy = NULL;

                if (!unit)
                        continue;
                if (begins(unit, "kube") || begins(unit, "k3s") || begins(unit, "koordlet"))
                        findf(list, "rival", unit,
                              "keep policy to what is not kubelet's; kubepods are reported only",
                              "%s limits its own containers, which bailiff leaves alone", unit);
                else {
                        if (asprintf(&remedy,
                                     "decide for one of both; to keep bailiff: systemctl disable --now %s",
                                     unit) < 0)
                                remedy = NULL;
                        findf(list, "rival", unit, remedy, "%s kills on this host too: two guards act twice",
                              unit);
                }
        }
}

static void find_status(json_t *list, const json_t *status) {
        const json_t *policy = json_member(status, "policy"), *paused = json_member(status, "paused");
        const char *mode = json_text(status, "mode"), *why = json_text(status, "mode_reason"),
                   *report = json_text(policy, "report"),
                   *error = json_text(json_member(status, "ledger"), "error");

        find_strings(list, "host", json_member(status, "missing"), NULL);
        find_rivals(list, json_member(status, "rivals"));
        if (!json_flag(policy, "ok"))
                findf(list, "policy", NULL, "correct it, bailiffctl policy check, bailiffctl reload",
                      "the policy on disk was refused%s: %s",
                      json_flag(policy, "last_good") ? ", the last one that loaded is in force" : "",
                      report ? report : "?");
        find_strings(list, "policy", json_member(policy, "warnings"), NULL);
        if (mode && (STR_EQ(mode, "observe") || STR_EQ(mode, "off")))
                findf(list, "mode", NULL,
                      why && strstr(why, "[Host]") ? "[Host] Mode=ceilings in /etc/bailiff/policy.d, then "
                                                     "bailiffctl policy diff and reload"
                                                   : NULL,
                      "mode %s: no ceiling is written (%s)", mode, why ? why : "?");
        if (json_is_object(paused))
                find(list, "pause", NULL, "the host is paused: nothing is written", "bailiffctl resume");
        if (json_number(json_member(status, "counts"), "unassigned") > 0)
                findf(list, "tenant", "unassigned", "bailiffctl policy suggest",
                      "%llu containers are nobody's: no Match= holds for them",
                      (unsigned long long)json_number(json_member(status, "counts"), "unassigned"));
        if (json_number(json_member(status, "tree"), "watch_failures") > 0)
                find(list, "guard", NULL,
                     "some cgroups could not be watched: containers there are found late",
                     "raise fs.inotify.max_user_watches");
        if (json_flag(json_member(status, "host"), "systemd") &&
            !json_flag(json_member(status, "bus"), "systemd"))
                find(list, "guard", NULL,
                     "systemd does not answer: a daemon-reload may undo ceilings until it does", NULL);
        if (json_number(json_member(status, "writer"), "pid") == 0)
                find(list, "guard", NULL, "the writer helper does not run: no ceiling can be written",
                     "journalctl -u bailiffd.service");
        if (json_number(json_member(status, "names"), "pid") == 0)
                find(list, "guard", NULL, "the names helper does not run: new containers stay nameless",
                     "journalctl -u bailiffd.service");
        if (error)
                findf(list, "guard", NULL, "free space in /run/bailiff", "the ledger cannot be written: %s",
                      error);
}

/* What several containers have in common: text → their names. */
static int note(json_t *notes, const char *text, const char *who) {
        json_t *names = json_object_get(notes, text);

        if (!names) {
                names = json_array();
                if (json_object_set_new(notes, text, names) < 0)
                        return -ENOMEM;
        }
        return json_array_append_new(names, json_string(who));
}

static void note_limits(json_t *notes, const json_t *limits, const char *who, bool has_unit) {
        const json_t *l;
        size_t i;

        json_array_foreach(limits, i, l) {
                const char *state = json_text(l, "state"), *key = json_text(l, "limit"),
                           *error = json_text(l, "error");
                _cleanup_buf_ Buf b = BUF_INIT;

                if (!state || !key)
                        continue;
                if (STR_EQ(state, "unwritable"))
                        buf_printf(&b, "%s cannot be written here%s%s", key, error ? ": " : "",
                                   error ? error : "");
                else if (STR_EQ(state, "kernel-only") && has_unit &&
                         !STR_EQ(json_text(l, "origin") ?: "", "share"))
                        buf_printf(&b,
                                   "%s is in the kernel but systemd was not told: a daemon-reload may undo "
                                   "it for a moment",
                                   key);
                else if (STR_EQ(state, "drifted"))
                        buf_printf(&b, "%s is looser than policy says, repair is under way", key);
                else if (STR_EQ(state, "squeezing"))
                        buf_printf(&b,
                                   "%s is below what is in use: memory.high squeezes, the rest follows when "
                                   "use fits",
                                   key);
                if (b.len > 0)
                        (void)note(notes, buf_str(&b), who);
        }
}

static void note_all(json_t *notes, const json_t *list, const char *who) {
        const json_t *s;
        size_t i;

        json_array_foreach(list, i, s) if (json_is_string(s))(void) note(notes, json_string_value(s), who);
}

static void find_hold(json_t *list, const json_t *o, const char *who) {
        const json_t *h = json_member(o, "hold");
        const char *reason = json_text(h, "reason");
        _cleanup_free_ char *remedy = NULL;
        char until[SAY_MAX];

        if (!json_is_object(h))
                return;
        if (asprintf(&remedy, "bailiffctl unhold %s", who) < 0)
                remedy = NULL;
        findf(list, "hold", who, remedy, "left alone until %s by uid %llu%s%s",
              say_time(json_number(h, "until"), until), (unsigned long long)json_number(h, "uid"),
              reason && *reason ? ": " : "", reason ? reason : "");
}

static void find_containers(json_t *list, const json_t *containers) {
        json_t *notes = json_object(), *names;
        const char *text;
        const json_t *o;
        size_t i;

        json_array_foreach(containers, i, o) {
                char buf[SAY_MAX];
                const char *who = say_container(o, buf), *problem = json_text(o, "problem"),
                           *other = json_text(o, "contradiction");

                find_hold(list, o, who);
                note_all(notes, json_member(o, "notes"), who);
                note_limits(notes, json_member(o, "limits"), who, json_has(o, "unit"));
                if (problem)
                        (void)note(notes, problem, who);
                if (other)
                        findf(list, "contradiction", who, NULL,
                              "its label or name claims tenant %s, its slice or user says otherwise", other);
        }
        json_object_foreach(notes, text, names) {
                _cleanup_buf_ Buf who = BUF_INIT;
                size_t n = json_array_size(names);

                for (i = 0; i < n && i < NAMED_MAX; i++)
                        buf_printf(&who, "%s%s", i ? ", " : "", json_string_value(json_array_get(names, i)));
                if (n > NAMED_MAX)
                        buf_printf(&who, " and %zu more", n - NAMED_MAX);
                find(list, "ceiling", buf_str(&who), text, NULL);
        }
        json_decref(notes);
}

/* '-' nests slices: tenant-a-b.slice would lie in tenant-a's. */
static void slice_name(const char *tenant, Buf *b) {
        buf_puts(b, "tenant-");
        for (; *tenant; tenant++)
                buf_putc(b, *tenant == '-' ? '_' : *tenant);
        buf_puts(b, ".slice");
}

static void find_tenants(json_t *list, const json_t *tenants) {
        const json_t *o, *s;
        size_t i, k;

        json_array_foreach(tenants, i, o) {
                const char *name = json_text(o, "name"), *sum = json_text(o, "sum");
                _cleanup_buf_ Buf slice = BUF_INIT, remedy = BUF_INIT;
                bool advisory = sum && STR_EQ(sum, "advisory");

                if (!name)
                        continue;
                slice_name(name, &slice);
                buf_printf(&remedy,
                           "start its containers with cgroup_parent: %s (docker run --cgroup-parent=%s), add "
                           "Match=slice=%s to [Tenant %s]",
                           buf_str(&slice), buf_str(&slice), buf_str(&slice), name);
                if (advisory)
                        find(list, "sum", name,
                             "its sum is advisory: more is in use than shares can take away without killing",
                             buf_str(&remedy));
                else if (sum && STR_EQ(sum, "apportioned"))
                        find(list, "sum", name,
                             "its sum is apportioned among its containers; with a slice of its own it would "
                             "be exact",
                             buf_str(&remedy));
                json_array_foreach(json_member(o, "notes"), k,
                                   s) if (json_is_string(s) && !begins(json_string_value(s), "apportioned"))
                        find(list, "tenant", name, json_string_value(s), NULL);
                json_array_foreach(json_member(o, "slice_limits"), k, s) {
                        const char *cgroup = json_text(s, "cgroup");
                        const json_t *n;
                        size_t m;

                        find_hold(list, s, cgroup ? cgroup : name);
                        json_array_foreach(json_member(s, "notes"), m, n) if (json_is_string(n))
                                find(list, "ceiling", cgroup, json_string_value(n), NULL);
                }
        }
}

json_t *doctor_find(const json_t *status, const json_t *containers, const json_t *tenants) {
        json_t *list = json_array();

        if (!list)
                return NULL;
        if (status)
                find_status(list, status);
        find_tenants(list, tenants);
        find_containers(list, containers);
        return list;
}

int screen_findings(const json_t *findings, const View *v) {
        const json_t *f;
        size_t i;

        json_array_foreach(findings, i, f) {
                const char *area = json_text(f, "area"), *subject = json_text(f, "subject"),
                           *text = json_text(f, "text"), *remedy = json_text(f, "remedy");
                _cleanup_buf_ Buf head = BUF_INIT;

                text_escape(&head, area ? area : "?", v->utf8, false);
                (void)fprintf(v->out, "%s%-13s%s ", text_style_on(v, STYLE_BOLD), buf_str(&head),
                              text_style_off(v, STYLE_BOLD));
                while (text && *text) {
                        size_t n = strcspn(text, "\n");

                        say_line(v, STYLE_PLAIN, "%s%s%.*s", subject ? subject : "", subject ? ": " : "",
                                 (int)MIN_OF(n, (size_t)8192), text);
                        subject = NULL;
                        text += n;
                        text += strspn(text, "\n");
                        if (*text)
                                (void)fprintf(v->out, "%14s", "");
                }
                if (remedy) {
                        (void)fprintf(v->out, "%14s-> ", "");
                        say_line(v, STYLE_PLAIN, "%s", remedy);
                }
        }
        if (json_array_size(findings) == 0)
                say_line(v, STYLE_GOOD, "nothing found: every ceiling of the policy bites here");
        return 0;
}

/* ---- without a guard ---- */

static void find_on_host(json_t *list) {
        HostFacts h = {};

        if (host_read("/sys/fs/cgroup", "/proc", "/sys", &h) < 0) {
                find(list, "host", NULL, "/proc and /sys/fs/cgroup cannot be read", NULL);
                return;
        }
        if (!h.cgroup2)
                find(list, "host", NULL,
                     "no cgroup v2 hierarchy is mounted: containers can neither be found nor held",
                     "boot with systemd.unified_cgroup_hierarchy=1");
        else if (h.controllers == 0)
                find(list, "host", NULL,
                     "the cgroup v2 hierarchy has no controllers (hybrid or legacy boot): ceilings cannot be "
                     "held",
                     "boot with systemd.unified_cgroup_hierarchy=1");
        if (!h.psi)
                find(list, "host", NULL, "no pressure information (PSI)", "boot with psi=1");
        if (!h.systemd_running)
                find(list, "host", NULL,
                     "systemd is not PID 1: limits are written to the kernel's files only", NULL);
        if (h.in_container)
                find(list, "host", NULL, "this is inside of a container: only a part of the host can be seen",
                     NULL);
}

static int told(Ctl *c, json_t *findings, int status) {
        if (!findings)
                return ctl_rendered(-ENOMEM);
        if (status == STATUS_DONE && json_array_size(findings) > 0)
                status = STATUS_FOUND;
        if (c->json) {
                (void)ctl_print_json(
                        c, json_pack("{s:b, s:o}", "ok", status == STATUS_DONE, "findings", findings));
                return status;
        }
        ctl_page(c);
        (void)screen_findings(findings, &c->view);
        json_decref(findings);
        return status;
}

int verb_doctor(Ctl *c) {
        json_t *status = NULL, *containers = NULL, *tenants = NULL, *findings;
        int r = client_get(c->client, "GetStatus", NULL, &status);

        if (r == STATUS_DONE)
                r = client_get(c->client, "ListContainers", NULL, &containers);
        if (r == STATUS_DONE)
                r = client_get(c->client, "ListTenants", NULL, &tenants);
        if (r == STATUS_DONE)
                findings = doctor_find(status, json_member(containers, "containers"),
                                       json_member(tenants, "tenants"));
        else {
                (void)ctl_client_failed(c, r);
                findings = r == STATUS_UNREACHABLE && !c->host ? json_array() : NULL;
                if (findings) {
                        find(findings, "guard", NULL,
                             "bailiffd does not answer: nothing is watched or repaired; ceilings that were "
                             "set stay",
                             "systemctl start bailiffd.service");
                        find_on_host(findings);
                }
        }
        json_decref(status);
        json_decref(containers);
        json_decref(tenants);
        if (r != STATUS_DONE && !findings)
                return r;
        return told(c, findings, r);
}
