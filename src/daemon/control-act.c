/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What an operator does to containers by hand: throttle, release, freeze, thaw, kill.
 *
 * By the judge's own means, leases on file first, and within the same bounds: what is protected or out of reach is not
 * touched, nor what is held, nor anything while the host is paused or only observes. Modes and budgets bound
 * the judge, not a person. Of a tenant all its containers are meant, never its plain services; one that refuses
 * does not keep the others, and the answer says so.
 *
 * Reasons of refusals are put together here; they stay until the next one.
 */

#include <stdarg.h>
#include <stdio.h>

#include "guard.h"
#include "num.h"
#include "value.h"

#define LISTED_MAX 20 /* containers of a tenant that the answer names */

static char reason[512];

static int refuse(const char **ret_error, int r, const char *format, ...) _printf_(3, 4);
static int refuse(const char **ret_error, int r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(reason, sizeof(reason), format, ap);
        va_end(ap);
        *ret_error = reason;
        return r;
}

/* An act that the kernel, or the file of leases, refused. */
static int failed(const char **ret_error, const Target *t, const char *what, int r) {
        if (r == CG_GONE)
                return refuse(ret_error, -ENOENT, "%.128s: its cgroup is gone", target_name(t));
        if (r == -ENOSPC)
                return refuse(ret_error, r, "%.128s: as many leases stand as there is room for",
                              target_name(t));
        return refuse(ret_error, r, "%.128s could not be %s: %s", target_name(t), what, strerror(-r));
}

static int may_act(Guard *g, const Target *t, const char **ret_error) {
        const char *why, *name = target_name(t);

        if (t->leaving)
                return refuse(ret_error, -ENOENT, "%.128s: its cgroup is gone", name);
        if (!t->container)
                return refuse(ret_error, -EINVAL, "%.128s is a slice: name its tenant, or a container in it",
                              name);
        if (t->protected_why)
                return refuse(ret_error, -EPERM, "%.128s is protected: %.256s", name, t->protected_why);
        if (!t->reconciled)
                return refuse(ret_error, -EPERM, "%.128s is out of reach: %.256s", name,
                              t->not_reconciled_why);
        if (g->paused)
                return refuse(ret_error, -EPERM,
                              "the host is paused, nothing may be written; end that with: bailiffctl resume");
        if (guard_host_mode(g, &why) < MODE_CEILINGS)
                return refuse(ret_error, -EPERM, "nothing is written on this host: %s", why);
        if (t->hold)
                return refuse(ret_error, -EPERM,
                              "%.128s is held (%.128s); end that with: bailiffctl unhold %.128s", name,
                              *t->hold->reason ? t->hold->reason : "no reason given", name);
        return 0;
}

/* ---- one container, or each of a tenant's ---- */

/* Appends what was done; negative errno with *ret_error. */
typedef int (*ActOnOne)(Guard *g, Target *t, const void *args, const Caller *c, Buf *text,
                        const char **ret_error);

static int act_on(Guard *g, Target *t, Tenant *tenant, ActOnOne one, const void *args, const Caller *c,
                  char **ret_text, const char **ret_error) {
        _cleanup_buf_ Buf text = BUF_INIT;
        size_t n_done = 0, n_listed = 0;
        int r = -ENOENT;

        if (t)
                r = one(g, t, args, c, &text, ret_error);
        else if (tenant->n_members == 0)
                r = refuse(ret_error, -ENOENT, "tenant %s has no container", tenant->name);
        for (size_t i = 0; !t && i < tenant->n_members; i++) {
                _cleanup_buf_ Buf line = BUF_INIT;
                int k = one(g, tenant->members[i], args, c, &line, ret_error);

                n_done += k >= 0;
                r = n_done > 0 ? 0 : k;
                if (n_listed++ < LISTED_MAX)
                        buf_printf(&text, "%s%s%s", text.len > 0 ? "\n" : "", k < 0 ? "not done: " : "",
                                   k < 0 ? *ret_error : buf_str(&line));
        }
        if (r < 0)
                return r;
        if (n_listed > LISTED_MAX)
                buf_printf(&text, "\nand so on: %zu of %zu containers of tenant %s", n_done, n_listed,
                           tenant->name);
        *ret_error = NULL;
        *ret_text = buf_steal(&text);
        return *ret_text ? 0 : -ENOMEM;
}

static void put_who(Buf *b, const Target *t) {
        buf_printf(b, "%s (%s)", target_name(t), t->tenant ? t->tenant->name : POLICY_UNASSIGNED);
}

/* ---- throttle ---- */

typedef struct Throttle {
        LimitEntry entries[3]; /* cpu, memory, pids: as far as given */
        unsigned n;
        uint64_t io; /* bytes a second each way, on each disk; 0: not given */
        usec_t span;
} Throttle;

static int add_entry(Throttle *w, Limit limit, uint64_t value) {
        for (unsigned i = 0; i < w->n; i++)
                if (w->entries[i].knob.limit == limit)
                        return -EEXIST;
        w->entries[w->n++] = (LimitEntry){ { limit, 0 }, value, 0 };
        return 0;
}

/* "cpu=50%": 0, or negative errno: not such a word. */
static int parse_word(const char *word, Throttle *w) {
        const char *value = strchr(word, '=');
        uint64_t v;
        int r = -EINVAL;

        if (!value)
                return r;
        value++;
        if (strncmp(word, "cpu=", 4) == 0) {
                r = value_parse_permyriad(value, &v);
                /* The kernel's least is a millisecond a second. */
                return r < 0 ? r : v < 10 ? -ERANGE : add_entry(w, LIMIT_CPU_QUOTA, v * 100);
        }
        if (strncmp(word, "memory=", 7) == 0)
                r = value_parse_size(value, 1024, &v);
        else if (strncmp(word, "pids=", 5) == 0)
                r = num_parse_u64(value, &v);
        else if (strncmp(word, "io=", 3) == 0)
                r = value_parse_size(value, 1000, &v);
        if (r < 0)
                return r;
        if (v == 0 || v == LIMIT_INFINITY)
                return -ERANGE;
        if (word[0] == 'm')
                return add_entry(w, LIMIT_MEMORY_HIGH, v);
        if (word[0] == 'p')
                return add_entry(w, LIMIT_TASKS_MAX, v);
        if (w->io)
                return -EEXIST;
        w->io = v;
        return 0;
}

static int parse_values(const char *values, Throttle *w, const char **ret_error) {
        _cleanup_free_ char *copy = strdup(values);
        char *save = NULL;

        if (!copy)
                return -ENOMEM;
        for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
                if (parse_word(word, w) < 0)
                        return refuse(ret_error, -EINVAL,
                                      "%.64s: expected, each at most once and above 0: cpu=50%% memory=512M "
                                      "pids=100 "
                                      "io=10M",
                                      word);
        if (w->n == 0 && w->io == 0)
                return refuse(ret_error, -EINVAL,
                              "no value: expected some of cpu=50%% memory=512M pids=100 io=10M");
        return 0;
}

static Resource resource_of(Limit limit) {
        switch (limit_info(limit)->file) {
        case LIMIT_FILE_CPU_MAX:
                return RESOURCE_CPU;
        case LIMIT_FILE_MEMORY_HIGH:
                return RESOURCE_MEMORY;
        case LIMIT_FILE_PIDS_MAX:
                return RESOURCE_PIDS;
        default:
                return RESOURCE_IO;
        }
}

/* Tighter than what holds now? A throttle of an operator's own may be loosened, down to what lies beneath it. */
static int check_entry(Guard *g, Target *t, const LimitEntry *e, uint64_t *ret_now, const char **ret_error) {
        LimitFile file = limit_info(e->knob.limit)->file;
        _cleanup_buf_ Buf asked = BUF_INIT, held = BUF_INIT;
        uint64_t now = LIMIT_INFINITY;
        LimitSet set = LIMIT_SET_INIT;
        const Lease *l;
        int r;

        if (!g->judging->leases)
                return refuse(ret_error, g->judging->leases_error, "no lease may be taken: %s",
                              strerror(-g->judging->leases_error));
        r = cg_read_limit_file(t->node->fd, file, &set);
        if (r == 0)
                (void)limit_set_get(&set, e->knob, &now);
        limit_set_deinit(&set);
        if (r == -ENOENT)
                return refuse(ret_error, r, "%.128s has no %s here", target_name(t), limit_file_name(file));
        if (r != 0)
                return failed(ret_error, t, "looked at", r);
        l = leases_find(g->judging->leases, t->id, LEASE_LIMIT, e->knob);
        *ret_now = now;
        if (l && l->by_operator)
                now = l->beneath;
        if (e->value < now)
                return 0;
        (void)limit_format_value(e->knob.limit, e->value, &asked);
        (void)limit_format_value(e->knob.limit, now, &held);
        return refuse(ret_error, -ERANGE, "%.128s: %s %s is not tighter than what holds now: %s",
                      target_name(t), limit_info(e->knob.limit)->key, buf_str(&asked), buf_str(&held));
}

static void put_change(Buf *b, bool first, const LimitEntry *e, uint64_t from) {
        _cleanup_buf_ Buf knob = BUF_INIT, a = BUF_INIT, z = BUF_INIT;

        (void)limit_format_knob(e->knob, &knob);
        (void)limit_format_value(e->knob.limit, from, &a);
        (void)limit_format_value(e->knob.limit, e->value, &z);
        buf_printf(b, "%s%s from %s to %s", first ? ": " : ", ", buf_str(&knob), buf_str(&a), buf_str(&z));
}

/* All that is asked of one container: one part for each file and disk. */
typedef struct Part {
        LimitEntry entries[2];
        uint64_t from[2];
        unsigned n;
} Part;

static int parts_of(const Target *t, const Throttle *w, Part **ret, size_t *ret_n, const char **ret_error) {
        const SampleIo *io = &t->m.meter.io;
        size_t n = 0, n_disks = w->io ? io->n : 0;
        Part *parts;

        if (w->io && n_disks == 0)
                return refuse(ret_error, -ENODEV, "%.128s has used no disk yet: there is none to limit",
                              target_name(t));
        parts = calloc(w->n + n_disks + 1, sizeof(*parts));
        if (!parts)
                return -ENOMEM;
        for (unsigned i = 0; i < w->n; i++)
                parts[n++] = (Part){ .entries = { w->entries[i] }, .n = 1 };
        for (size_t i = 0; i < n_disks; i++)
                parts[n++] = (Part){
                        .entries = { { { LIMIT_IO_READ_BANDWIDTH_MAX, io->devices[i].dev }, w->io, 0 },
                                     { { LIMIT_IO_WRITE_BANDWIDTH_MAX, io->devices[i].dev }, w->io, 0 } },
                        .n = 2,
                };
        *ret = parts;
        *ret_n = n;
        return 0;
}

static Lever lever_of(const Part *p) {
        static const Lever levers[_RESOURCE_MAX] = {
                [RESOURCE_CPU] = LEVER_CPU,
                [RESOURCE_MEMORY] = LEVER_MEMORY,
                [RESOURCE_IO] = LEVER_IO,
                [RESOURCE_PIDS] = LEVER_PIDS,
        };

        return levers[resource_of(p->entries[0].knob.limit)];
}

static int throttle_one(Guard *g, Target *t, const void *args, const Caller *c, Buf *text,
                        const char **ret_error) {
        const Throttle *w = args;
        _cleanup_free_ Part *parts = NULL;
        char span[VALUE_FORMAT_MAX];
        size_t n = 0;
        bool first = true;
        int r = may_act(g, t, ret_error);

        if (r < 0)
                return r;
        if (w->io)
                measure_ask(g, t);
        r = parts_of(t, w, &parts, &n, ret_error);
        for (size_t i = 0; r >= 0 && i < n; i++)
                for (unsigned k = 0; r >= 0 && k < parts[i].n; k++)
                        r = check_entry(g, t, &parts[i].entries[k], &parts[i].from[k], ret_error);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = leasing_throttle(g, t, parts[i].entries, parts[i].n,
                                     resource_of(parts[i].entries[0].knob.limit), true,
                                     num_add_sat(clock_monotonic(), w->span), "operator");
                if (r == 0)
                        continue;
                /* All of it or nothing. */
                for (size_t k = 0; k < i; k++)
                        (void)leasing_release(g, t, lever_of(&parts[k]), true);
                return failed(ret_error, t, "throttled", r);
        }
        if (r < 0)
                return r;
        buf_puts(text, "throttled ");
        put_who(text, t);
        buf_printf(text, " for %s", value_format_usec(w->span, span, sizeof(span)));
        for (size_t i = 0; i < n; i++)
                for (unsigned k = 0; k < parts[i].n; k++) {
                        put_change(text, first, &parts[i].entries[k], parts[i].from[k]);
                        first = false;
                }
        incidents_operator(g, t, ACT_THROTTLE, c, buf_str(text));
        return 0;
}

int control_throttle(Guard *g, Target *t, Tenant *tenant, const char *values, usec_t span, const Caller *c,
                     char **ret_text, const char **ret_error) {
        Throttle w = { .span = span };
        int r;

        *ret_error = NULL;
        if (span == 0)
                return refuse(ret_error, -EINVAL, "a throttle needs an end: say for how long");
        r = parse_values(values, &w, ret_error);
        return r < 0 ? r : act_on(g, t, tenant, throttle_one, &w, c, ret_text, ret_error);
}

/* ---- release ---- */

/* The judge begins anew, rather than to go on from where it was. */
static void forget_ladders(Target *t) {
        for (Resource r = 0; t->judged && r < _RESOURCE_MAX; r++)
                if (!t->judged->memory.ladders[r].dry)
                        t->judged->memory.ladders[r] = (Ladder){};
}

static int let_go_one(Guard *g, Target *t, const void *args, const Caller *c, Buf *text,
                      const char **ret_error) {
        unsigned n;

        (void)args;
        if (t->leaving)
                return refuse(ret_error, -ENOENT, "%.128s: its cgroup is gone", target_name(t));
        n = leasing_release(g, t, _LEVER_INVALID, true);
        if (n == 0 && t->n_leases > 0)
                return refuse(
                        ret_error, -EIO,
                        "%.128s: the kernel does not take back what it was; it is tried again each second",
                        target_name(t));
        if (n == 0) {
                buf_puts(text, "nothing of ours stands on ");
                put_who(text, t);
                return 0;
        }
        forget_ladders(t);
        buf_puts(text, "let go of ");
        put_who(text, t);
        buf_printf(text, ": %u %s given back", n, n == 1 ? "lease is" : "leases are");
        incidents_operator(g, t, ACT_RELEASE, c, buf_str(text));
        return 0;
}

int control_let_go(Guard *g, Target *t, Tenant *tenant, const Caller *c, char **ret_text,
                   const char **ret_error) {
        *ret_error = NULL;
        return act_on(g, t, tenant, let_go_one, NULL, c, ret_text, ret_error);
}

/* ---- freeze, thaw ---- */

static int freeze_one(Guard *g, Target *t, const void *args, const Caller *c, Buf *text,
                      const char **ret_error) {
        const usec_t *span = args;
        char shown[VALUE_FORMAT_MAX];
        int r = may_act(g, t, ret_error);

        if (r < 0)
                return r;
        if (leasing_frozen(g, t))
                return refuse(ret_error, -EALREADY, "%.128s is frozen already, by the guard", target_name(t));
        if (act_read_freeze(t->node->fd) == 1)
                return refuse(ret_error, -EALREADY,
                              "%.128s is frozen already, by its engine or somebody else: left alone",
                              target_name(t));
        r = leasing_freeze(g, t, *span, true, "operator");
        if (r != 0)
                return failed(ret_error, t, "frozen", r);
        buf_puts(text, "froze ");
        put_who(text, t);
        buf_printf(text, " for %s", value_format_usec(*span, shown, sizeof(shown)));
        incidents_operator(g, t, ACT_FREEZE, c, buf_str(text));
        return 0;
}

int control_freeze(Guard *g, Target *t, usec_t span, const Caller *c, char **ret_text,
                   const char **ret_error) {
        *ret_error = NULL;
        if (span == 0 || span > THAW_SPAN_MAX)
                return refuse(ret_error, -EINVAL, "a freeze lasts above 0 and at most %u s",
                              (unsigned)(THAW_SPAN_MAX / USEC_PER_SEC));
        return act_on(g, t, NULL, freeze_one, &span, c, ret_text, ret_error);
}

static int thaw_one(Guard *g, Target *t, const void *args, const Caller *c, Buf *text,
                    const char **ret_error) {
        int r;

        (void)args;
        if (!leasing_frozen(g, t))
                return refuse(ret_error, -EINVAL, "%.128s is not frozen by the guard", target_name(t));
        r = leasing_thaw(g, t);
        if (r < 0)
                return failed(ret_error, t, "thawed", r);
        buf_puts(text, "thawed ");
        put_who(text, t);
        incidents_operator(g, t, ACT_THAW, c, buf_str(text));
        return 0;
}

int control_thaw(Guard *g, Target *t, const Caller *c, char **ret_text, const char **ret_error) {
        *ret_error = NULL;
        return act_on(g, t, NULL, thaw_one, NULL, c, ret_text, ret_error);
}

/* ---- kill ---- */

static int kill_one(Guard *g, Target *t, const void *args, const Caller *c, Buf *text,
                    const char **ret_error) {
        int r = may_act(g, t, ret_error);

        (void)args;
        if (r < 0)
                return r;
        r = leasing_kill(g, t);
        if (r != 0)
                return failed(ret_error, t, "killed", r);
        buf_puts(text, "killed ");
        put_who(text, t);
        incidents_operator(g, t, ACT_KILL, c, buf_str(text));
        return 0;
}

int control_kill(Guard *g, Target *t, Tenant *tenant, const Caller *c, char **ret_text,
                 const char **ret_error) {
        *ret_error = NULL;
        return act_on(g, t, tenant, kill_one, NULL, c, ret_text, ret_error);
}
