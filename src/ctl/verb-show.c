/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `show NAME`: all there is to know about one container or tenant: who it is and
 * by which line of policy, every limit with what the kernel holds, what should be there
 * and who wanted what, what is in use beside it, what cannot bite, what happened lately.
 */

#include <stdio.h>

#include "ctl.h"
#include "num.h"
#include "screens.h"
#include "value.h"

/* ---- what is used of what a limit bounds ---- */

static const struct {
        const char *limit, *usage;
        bool bytes;
} bounded[] = {
        { "MemoryMin", "memory_bytes", true },   { "MemoryLow", "memory_bytes", true },
        { "MemoryHigh", "memory_bytes", true },  { "MemoryMax", "memory_bytes", true },
        { "MemorySwapMax", "swap_bytes", true }, { "TasksMax", "tasks", false },
};

static void use_text(Buf *b, uint64_t used, uint64_t bound, const char *text) {
        buf_puts(b, text);
        if (bound > 0)
                buf_printf(b, " (%llu%%)", (unsigned long long)num_muldiv(used, 100, bound));
}

static bool same_text(const char *a, const char *b) { return a && b && STR_EQ(a, b); }

/* Of the device that an io limit is for. */
static void io_use(const json_t *rates, const json_t *limit, Buf *b) {
        static const struct {
                const char *limit, *rate;
                bool bytes;
        } ios[] = {
                { "IOReadBandwidthMax", "io_read_bytes", true },
                { "IOWriteBandwidthMax", "io_write_bytes", true },
                { "IOReadIOPSMax", "io_read_ops", false },
                { "IOWriteIOPSMax", "io_write_ops", false },
        };
        const json_t *devices = json_member(rates, "devices"), *d;
        size_t k;

        for (size_t i = 0; i < ARRAY_SIZE(ios); i++) {
                if (!same_text(json_text(limit, "limit"), ios[i].limit))
                        continue;
                json_array_foreach(devices, k, d) {
                        uint64_t used = json_number(d, ios[i].rate);
                        char text[VALUE_FORMAT_MAX], with_unit[SAY_MAX * 2];

                        if (!same_text(json_text(d, "device"), json_text(limit, "device")))
                                continue;
                        if (ios[i].bytes) /* as the limit itself is written */
                                (void)value_format_size(used, 1000, text, sizeof(text));
                        else
                                (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)used);
                        (void)snprintf(with_unit, sizeof(with_unit), "%s/s", text);
                        use_text(b, used, json_number(limit, "actual"), with_unit);
                }
        }
}

/* What is used of what `limit` bounds; measured may be NULL. */
static void use_of(const json_t *usage, const json_t *measured, const json_t *limit, Buf *b) {
        const char *key = json_text(limit, "limit");
        const json_t *rates = json_member(measured, "rates");
        uint64_t bound = json_number(limit, "actual");
        char text[VALUE_FORMAT_MAX];

        for (size_t i = 0; key && i < ARRAY_SIZE(bounded); i++) {
                uint64_t used;

                if (!STR_EQ(bounded[i].limit, key) || !json_has(usage, bounded[i].usage))
                        continue;
                used = json_number(usage, bounded[i].usage);
                if (bounded[i].bytes)
                        (void)value_format_bytes(used, text, sizeof(text));
                else
                        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)used);
                use_text(b, used, bound, text);
        }
        if (same_text(key, "CPUQuota") && json_has(rates, "cpu_permyriad")) {
                uint64_t used = json_number(rates, "cpu_permyriad");

                /* The limit is in µs of CPU a second. */
                use_text(b, num_muldiv(used, 100, 1), bound, say_permyriad(used, text));
        }
        io_use(rates, limit, b);
}

static void knob(const json_t *limit, Buf *b) {
        const char *key = json_text(limit, "limit"), *device = json_text(limit, "device_name");

        if (!device)
                device = json_text(limit, "device");
        buf_printf(b, "%s%s%s", key ? key : "?", device ? " " : "", device ? device : "");
}

static void origin(const json_t *limit, Buf *b) {
        const char *o = json_text(limit, "origin");

        if (o)
                buf_puts(b, o);
        if (o && json_has(limit, "file"))
                buf_putc(b, ' ');
        say_where(b, limit);
}

static void limit_row(Table *t, const json_t *limit, const json_t *usage, const json_t *measured) {
        _cleanup_buf_ Buf name = BUF_INIT, from = BUF_INIT, use = BUF_INIT, state = BUF_INIT;
        const char *s = json_text(limit, "state"), *error = json_text(limit, "error"),
                   *cause = json_text(limit, "cause");
        uint64_t drifts = json_number(limit, "drifts");

        knob(limit, &name);
        origin(limit, &from);
        use_of(usage, measured, limit, &use);
        buf_puts(&state, s ? s : "?");
        if (drifts > 0)
                buf_printf(&state, " (%llu drifts, %llu repairs%s%s)", (unsigned long long)drifts,
                           (unsigned long long)json_number(limit, "repairs"), cause ? ", last: " : "",
                           cause ? cause : "");
        if (error)
                buf_printf(&state, ": %s", error);
        table_cell(t, STYLE_PLAIN, buf_str(&name));
        table_cell(t, STYLE_BOLD, json_text(limit, "actual_text"));
        table_cell(t, STYLE_PLAIN, json_text(limit, "desired_text"));
        table_cell(t, STYLE_PLAIN, json_text(limit, "want_text"));
        table_cell(t, STYLE_PLAIN, buf_str(&use));
        table_cell(t, state_style(s), buf_str(&state));
        table_cell(t, STYLE_DIM, buf_str(&from));
}

/* of: whose usage and measured are beside the limits; NULL: nobody's. */
static int limits_table(const json_t *limits, const json_t *of, const View *v) {
        const json_t *usage = json_member(of, "usage"), *measured = json_member(of, "measured");

        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *l;
        size_t i;

        if (!t)
                return -ENOMEM;
        table_column(t, "LIMIT", TABLE_CUT);
        table_column(t, "NOW-IN-KERNEL", TABLE_RIGHT);
        table_column(t, "DESIRED", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "WANTED-BY-OTHERS", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "USED", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "STATE", TABLE_CUT);
        table_column(t, "ORIGIN", TABLE_CUT_MIDDLE | TABLE_DROP);
        json_array_foreach(limits, i, l) limit_row(t, l, usage, measured);
        return table_rows(t) ? say_left_out(v, table_print(t, v, 2)) : 0;
}

/* ---- fields ---- */

static void field(const View *v, const char *key, const char *text) {
        if (text && *text)
                say_field(v, key, STYLE_PLAIN, "%s", text);
}

static void notes(const json_t *list, const View *v) {
        const json_t *n;
        size_t i;

        json_array_foreach(list, i, n) if (json_is_string(n))
                say_field(v, i == 0 ? "Notes" : "", STYLE_WARN, "%s", json_string_value(n));
}

static void hold(const json_t *o, const View *v) {
        const json_t *h = json_member(o, "hold");
        const char *reason = json_text(h, "reason");
        char when[SAY_MAX];

        if (json_is_object(h))
                say_field(v, "Hold", STYLE_WARN, "until %s, by uid %llu%s%s",
                          say_time(json_number(h, "until"), when), (unsigned long long)json_number(h, "uid"),
                          reason && *reason ? ": " : "", reason ? reason : "");
}

static void usage_line(const json_t *o, const View *v) {
        static const struct {
                const char *key, *text;
                enum { BYTES, COUNT, TIME } kind;
        } parts[] = {
                { "memory_bytes", "memory", BYTES },
                { "swap_bytes", "swap", BYTES },
                { "tasks", "tasks", COUNT },
                { "cpu_usec", "CPU time", TIME },
                { "io_read_bytes", "read", BYTES },
                { "io_write_bytes", "written", BYTES },
                { "network_receive_bytes", "received", BYTES },
                { "network_transmit_bytes", "sent", BYTES },
        };
        const json_t *u = json_member(o, "usage");
        _cleanup_buf_ Buf b = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                uint64_t n = json_number(u, parts[i].key);
                char text[VALUE_FORMAT_MAX];

                if (!json_has(u, parts[i].key))
                        continue;
                if (parts[i].kind == BYTES)
                        (void)value_format_bytes(n, text, sizeof(text));
                else if (parts[i].kind == TIME)
                        (void)say_span(n, text);
                else
                        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
                buf_printf(&b, "%s%s %s", b.len ? ", " : "", parts[i].text, text);
        }
        field(v, "Uses", buf_str(&b));
}

static void events(const json_t *o, const View *v) {
        const json_t *list = json_member(o, "events"), *e;
        size_t i;

        if (json_array_size(list) == 0)
                return;
        say_line(v, STYLE_BOLD, "Last events");
        json_array_foreach(list, i, e) {
                (void)fputs("  ", v->out);
                screen_event(e, v);
        }
}

static void tenant_by(const json_t *o, const View *v) {
        const json_t *by = json_member(o, "tenant_by");
        const char *tenant = json_text(o, "tenant"), *class = json_text(by, "class"),
                   *other = json_text(o, "contradiction");
        _cleanup_buf_ Buf where = BUF_INIT;

        say_where(&where, by);
        if (json_is_object(by))
                say_field(v, "Tenant", STYLE_BOLD, "%s, by its %s%s%s%s", tenant ? tenant : "?",
                          class ? class : "?", where.len ? " (" : "", buf_str(&where), where.len ? ")" : "");
        else
                say_field(v, "Tenant", STYLE_BOLD, "%s: no Match= of the policy holds for it",
                          tenant ? tenant : "?");
        if (json_flag(o, "pending"))
                say_field(v, "", STYLE_WARN, "its names are not read yet: the strictest candidate holds");
        if (other)
                say_field(v, "", STYLE_WARN,
                          "its label or name claims tenant %s, which counts less and was not believed",
                          other);
}

static void labels(const json_t *o, const View *v) {
        const json_t *l = json_member(o, "labels"), *value;
        const char *engine = json_text(o, "engine"), *key;
        bool first = true;

        json_object_foreach((json_t *)l, key, value) {
                say_field(v, first ? "Labels" : "", STYLE_PLAIN, "%s=%s", key,
                          json_is_string(value) ? json_string_value(value) : "?");
                first = false;
        }
        if (first && !json_flag(o, "labels_in_files") && json_has(o, "name"))
                say_field(v, "Labels", STYLE_DIM,
                          "not known: %s keeps none in files; match it by slice, user or name",
                          engine ? engine : "its engine");
}

static void requested(const json_t *o, const View *v) {
        _cleanup_buf_ Buf b = BUF_INIT;
        const json_t *r;
        size_t i;

        json_array_foreach(json_member(o, "requested"), i, r) {
                const char *text = json_text(r, "text");

                buf_puts(&b, b.len ? ", " : "");
                knob(r, &b);
                if (!text)
                        text = json_text(r, "value_text");
                buf_printf(&b, "=%s", text ? text : "?");
        }
        field(v, "Requested", buf_str(&b));
}

static void rules(const json_t *o, const View *v) {
        const char *mode = json_text(o, "mode"), *kill = json_text(o, "kill");

        say_field(v, "Mode", STYLE_PLAIN, "%s; kill %s; priority %llu", mode ? mode : "?", kill ? kill : "?",
                  (unsigned long long)json_number(o, "priority"));
}

/* What is watched to be told how it ends. */
static void main_process(const json_t *o, const View *v) {
        const char *program = json_text(o, "main_program");
        uint64_t n = json_number(o, "main_execs");
        _cleanup_buf_ Buf more = BUF_INIT;

        if (!json_has(o, "main_pid"))
                return;
        if (n > 0)
                buf_printf(&more, "; it has executed %llu program%s", (unsigned long long)n,
                           n == 1 ? "" : "s");
        say_field(v, "Main", STYLE_PLAIN, "pid %llu%s%s%s", (unsigned long long)json_number(o, "main_pid"),
                  program ? ", " : "", program ? program : "", buf_str(&more));
}

static int container(const json_t *o, const View *v) {
        const char *engine = json_text(o, "engine"), *held_at = json_text(o, "held_at"),
                   *cgroup = json_text(o, "cgroup"), *why = json_text(o, "protected"),
                   *problem = json_text(o, "problem");
        char name[SAY_MAX], since[SAY_MAX];
        int r = 0;

        say_line(v, STYLE_BOLD, "%s (container%s%s)", say_container(o, name), engine ? ", " : "",
                 engine ? engine : "");
        tenant_by(o, v);
        field(v, "Id", json_text(o, "id"));
        field(v, "Image", json_text(o, "image"));
        labels(o, v);
        say_field(v, "Cgroup", STYLE_PLAIN, "%s (id %llu)", cgroup ? cgroup : "?",
                  (unsigned long long)json_number(o, "cgroup_id"));
        field(v, "Unit", json_text(o, "unit"));
        if (held_at && cgroup && !STR_EQ(held_at, cgroup))
                say_field(v, "Held at", STYLE_PLAIN, "%s, the boundary that is ours to write", held_at);
        say_field(v, "Since", STYLE_PLAIN, "%s", say_time(json_number(o, "since"), since));
        main_process(o, v);
        rules(o, v);
        if (json_flag(o, "kube"))
                say_field(v, "Kubelet", STYLE_WARN, "owns it: reported, never written");
        if (why)
                say_field(v, "Protected", STYLE_WARN, "by %s: never touched", why);
        hold(o, v);
        requested(o, v);
        field(v, "Health", json_text(o, "health_check"));
        field(v, "Stop", json_text(o, "stop_signal"));
        field(v, "Source", json_text(o, "source"));
        if (problem)
                say_field(v, "Problem", STYLE_BAD, "%s", problem);
        usage_line(o, v);
        screen_measured(o, v);
        notes(json_member(o, "notes"), v);
        if (json_array_size(json_member(o, "limits")) > 0) {
                say_line(v, STYLE_BOLD, "Limits");
                r = limits_table(json_member(o, "limits"), o, v);
        } else
                say_field(v, "Limits", STYLE_DIM, "none of the policy's");
        return r;
}

static int sums_table(const json_t *limits, bool observed, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *l;
        size_t i;

        if (!t)
                return -ENOMEM;
        table_column(t, "LIMIT", 0);
        table_column(t, "OF ALL TOGETHER", TABLE_RIGHT);
        table_column(t, "STATE", 0);
        table_column(t, "ORIGIN", TABLE_CUT_MIDDLE);
        json_array_foreach(limits, i, l) {
                _cleanup_buf_ Buf name = BUF_INIT, from = BUF_INIT;
                const char *text = json_text(l, "text");
                bool advisory = json_flag(l, "advisory");

                knob(l, &name);
                say_where(&from, l);
                table_cell(t, STYLE_PLAIN, buf_str(&name));
                table_cell(t, STYLE_BOLD, text ? text : json_text(l, "value_text"));
                table_cell(t, advisory ? STYLE_WARN : STYLE_PLAIN,
                           observed   ? "observed"
                           : advisory ? "advisory"
                                      : "in force");
                table_cell(t, STYLE_DIM, buf_str(&from));
        }
        return table_rows(t) ? table_print(t, v, 2) : 0;
}

static int tenant(const json_t *o, const View *v) {
        const char *name = json_text(o, "name"), *rule = json_text(o, "rule"), *sum = json_text(o, "sum"),
                   *mode = json_text(o, "mode");
        const json_t *slice;
        _cleanup_buf_ Buf where = BUF_INIT;
        size_t i;
        int r;

        say_where(&where, o);
        say_line(v, STYLE_BOLD, "%s (tenant)", name ? name : "?");
        if (rule && !STR_EQ(rule, "none"))
                say_field(v, "Made by", STYLE_PLAIN, "[%s] at %s",
                          STR_EQ(rule, "template") ? "Template" : "Tenant",
                          where.len ? buf_str(&where) : "?");
        field(v, "Plan", json_text(o, "plan"));
        rules(o, v);
        say_field(v, "Sum", sum && STR_EQ(sum, "advisory") ? STYLE_WARN : STYLE_PLAIN, "%s",
                  !sum                         ? "?"
                  : STR_EQ(sum, "exact")       ? "exact, by slices of its own"
                  : STR_EQ(sum, "apportioned") ? "apportioned among its containers"
                  : STR_EQ(sum, "advisory")    ? "advisory: more is in use than shares can take away without "
                                                 "killing; held again when use falls"
                                               : sum);
        say_field(v, "Containers", STYLE_PLAIN, "%llu", (unsigned long long)json_number(o, "containers"));
        json_array_foreach(json_member(o, "slices"), i, slice)
                say_field(v, i == 0 ? "Slices" : "", STYLE_PLAIN, "%s",
                          json_is_string(slice) ? json_string_value(slice) : "?");
        usage_line(o, v);
        screen_measured(o, v);
        notes(json_member(o, "notes"), v);
        r = sums_table(json_member(o, "limits"), mode && (STR_EQ(mode, "observe") || STR_EQ(mode, "off")), v);
        json_array_foreach(json_member(o, "slice_limits"), i, slice) {
                const char *cgroup = json_text(slice, "cgroup");

                if (r < 0)
                        return r;
                say_line(v, STYLE_BOLD, "Limits of %s", cgroup ? cgroup : "?");
                hold(slice, v);
                notes(json_member(slice, "notes"), v);
                r = limits_table(json_member(slice, "limits"),
                                 i == 0 && json_array_size(json_member(o, "slices")) == 1 ? o : NULL, v);
        }
        return r;
}

int screen_show(const json_t *object, const View *v, uint64_t now) {
        const char *kind = json_text(object, "kind");
        int r = kind && STR_EQ(kind, "container") ? container(object, v) : tenant(object, v);

        if (r >= 0)
                r = screen_judged(object, v, now);
        if (r >= 0 && json_member(object, "processes_now")) {
                say_line(v, STYLE_BOLD, "Processes");
                r = screen_processes(json_member(object, "processes_now"), v);
        }
        if (r >= 0 && json_member(object, "members")) {
                say_line(v, STYLE_BOLD, "Containers");
                r = screen_containers(json_member(object, "members"), json_text(object, "name"), v);
        }
        if (r >= 0)
                events(object, v);
        return r;
}

/* What is found of it now is the judge's to say. Where it does not, the rest is still worth showing. */
static void add_judged(Ctl *c, json_t *o) {
        const char *kind = json_text(o, "kind"), *name = c->arguments[0];
        json_t *why = NULL;

        if (!kind || (!STR_EQ(kind, "container") && !STR_EQ(kind, "tenant")))
                return;
        if (client_get_why(c->client, name, "", &why) != STATUS_DONE)
                return;
        (void)json_object_set(o, "why_now", json_object_get(why, "now"));
        json_decref(why);
}

/* Of a container; where they cannot be had the rest is still worth showing. */
static void add_processes(Ctl *c, json_t *o) {
        const char *kind = json_text(o, "kind");
        json_t *answer = NULL;

        if (!kind || !STR_EQ(kind, "container") ||
            client_get(c->client, "GetProcesses", c->arguments[0], &answer) != STATUS_DONE)
                return;
        (void)json_object_set_new(o, "processes_now", answer);
}

/* Of a container: which links of the host lead into it, or why that is not known. */
static void add_links(Ctl *c, json_t *o) {
        const char *kind = json_text(o, "kind");
        json_t *answer = NULL;

        if (!kind || !STR_EQ(kind, "container"))
                return;
        if (client_get(c->client, "GetLinks", c->arguments[0], &answer) == STATUS_DONE)
                (void)json_object_update(o, answer);
        else {
                (void)json_object_set_new(o, "links", json_null());
                (void)json_object_set_new(o, "links_error", json_string("the guard does not tell"));
        }
        json_decref(answer);
}

int verb_show(Ctl *c) {
        json_t *o = NULL, *all = NULL;
        const char *kind;
        int r = client_get(c->client, "Show", c->arguments[0], &o);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        add_links(c, o);
        if (c->json)
                return ctl_print_json(c, o);
        kind = json_text(o, "kind");
        /* A tenant's own object counts its containers; people want to see them. */
        if (kind && STR_EQ(kind, "tenant") &&
            client_get(c->client, "ListContainers", NULL, &all) == STATUS_DONE) {
                (void)json_object_set(o, "members", json_object_get(all, "containers"));
                json_decref(all);
        }
        add_judged(c, o);
        add_processes(c, o);
        ctl_page(c);
        r = screen_show(o, &c->view, clock_realtime());
        json_decref(o);
        return ctl_rendered(r);
}
