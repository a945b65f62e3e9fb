/* SPDX-License-Identifier: Apache-2.0 */

/*
 * org.bailiff.Guard1 (include/bailiff/bus.h documents it).
 *
 * No call in here waits: the connection, the name and the caller's credentials
 * (asked of the bus for each changing method, whatever the bus policy already said)
 * are all asynchronous. Bulk answers are JSON in a sealed memfd; where no fd can
 * travel the caller opens a page handle, of which each caller has few. A
 * lost bus is tried again each second; the guard goes on without.
 */

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus.h"
#include "fdio.h"
#include "guard.h"
#include "json.h"
#include "num.h"

#define RETRY_USEC USEC_PER_SEC
typedef int (*Change)(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e);

#define PROCESSES_SPAN (500 * USEC_PER_MSEC)
#define PAGES_MAX 16
#define PAGES_LIFE (60 * USEC_PER_SEC)

typedef struct Page {
        uint64_t handle;
        char *owner, *data;
        size_t len;
        usec_t until;
} Page;

static Page pages[PAGES_MAX];
static uint64_t last_handle;

static void page_deinit(Page *p) {
        free(p->owner);
        free(p->data);
        *p = (Page){};
}

/* ---- answers ---- */

static int reply_memfd(sd_bus_message *m, const char *data, size_t len) {
        _cleanup_fd_ int fd = memfd_create("bailiff", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, data, len);
        if (r < 0)
                return r;
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;
        return sd_bus_reply_method_return(m, "h", fd);
}

/* Takes the reference of j. NULL: out of memory. */
static char *dump(json_t *j) {
        char *s = j ? json_dumps(j, JSON_COMPACT) : NULL;

        json_decref(j);
        return s;
}

static int invalid(sd_bus_error *e, const char *what) { return sd_bus_error_set(e, BUS_ERROR_INVALID, what); }

/* A NAME argument: bounded, no control characters (it is printed and logged). */
static int check_name(const char *name, sd_bus_error *e) {
        if (strlen(name) > BUS_NAME_ARG_MAX)
                return invalid(e, "the name is longer than 4096 bytes");
        for (const char *p = name; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return invalid(e, "the name contains control characters");
        if (name[0] != '/' && strchr(name, '/'))
                return invalid(
                        e, "a name with a slash is no tenant or container; a cgroup path begins with '/'");
        return 0;
}

static int not_found(sd_bus_error *e, const char *name, const char *why) {
        return sd_bus_error_setf(
                e, strncmp(why, "ambiguous", 9) == 0 ? BUS_ERROR_AMBIGUOUS : BUS_ERROR_NO_SUCH_NAME,
                "%.200s: %s", name, why);
}

static int resolve(Guard *g, const char *name, sd_bus_error *e, Target **ret_target, Tenant **ret_tenant) {
        const char *why;
        int r = check_name(name, e);

        if (r < 0)
                return r;
        *ret_target = world_find(g, name, &why, ret_tenant);
        return *ret_target || *ret_tenant ? 0 : not_found(e, name, why);
}

/* What is asked, a newline, the tenant that reads it; either may be nothing. */
static int answer_why(Guard *g, const char *argument, sd_bus_error *e, json_t **ret) {
        _cleanup_free_ char *what = strdup(argument);
        const char *why = NULL;
        char *tenant;
        int r;

        if (!what)
                return -ENOMEM;
        tenant = strchr(what, '\n');
        if (!tenant)
                return invalid(e, "Why takes WHAT, a newline, FOR_TENANT");
        *tenant++ = '\0';
        r = check_name(what, e);
        if (r >= 0)
                r = check_name(tenant, e);
        if (r < 0)
                return r;
        *ret = render_why(g, what, tenant, &why);
        return *ret ? 0 : why ? not_found(e, what, why) : -ENOMEM;
}

/* Up to n numbers with one blank between them; none at all is fine. */
static int scan_numbers(const char *text, uint64_t *numbers, size_t n) {
        const char *p = text, *end = text + strlen(text);

        for (size_t i = 0; *text && i < n; i++)
                if ((i > 0 && *p++ != ' ') || num_scan_u64(&p, end, &numbers[i]) < 0)
                        return -EINVAL;
        return p == end ? 0 : -EINVAL;
}

/* One reading method, by its name and one argument as text; *ret is JSON text, but for GetHistory. */
static int answer(Guard *g, const char *method, const char *argument, sd_bus_error *e, char **ret,
                  size_t *ret_len) {
        _cleanup_buf_ Buf b = BUF_INIT; /* what is no object */
        json_t *j = NULL;
        int r;

        if (STR_EQ(method, "GetStatus"))
                j = render_status(g);
        else if (STR_EQ(method, "ListTenants"))
                j = render_tenants(g);
        else if (STR_EQ(method, "ListContainers"))
                render_containers(g, &b);
        else if (STR_EQ(method, "GetPolicy")) {
                r = check_name(argument, e);
                if (r < 0)
                        return r;
                j = render_policy(g, argument);
                if (*argument && json_array_size(json_object_get(j, "tenants")) == 0) {
                        json_decref(j);
                        return sd_bus_error_setf(e, BUS_ERROR_NO_SUCH_NAME, "no such tenant: %.200s",
                                                 argument);
                }
        } else if (STR_EQ(method, "Show")) {
                Tenant *tenant;
                Target *t;

                r = resolve(g, argument, e, &t, &tenant);
                if (r < 0)
                        return r;
                j = render_show(g, t, tenant);
        } else if (STR_EQ(method, "ListEvents")) {
                uint64_t n[2] = {};

                if (scan_numbers(argument, n, ARRAY_SIZE(n)) < 0)
                        return invalid(e, "ListEvents takes \"SINCE MAX\"");
                j = render_events(g, n[0], (uint32_t)MIN_OF(n[1], (uint64_t)EVENTS_MAX));
        } else if (STR_EQ(method, "Why")) {
                r = answer_why(g, argument, e, &j);
                if (r < 0)
                        return r;
        } else if (STR_EQ(method, "ListIncidents")) {
                uint64_t n = 0;

                if (scan_numbers(argument, &n, 1) < 0)
                        return invalid(e, "ListIncidents takes a number");
                j = render_incidents(g, (uint32_t)MIN_OF(n, (uint64_t)INCIDENTS_MAX));
        } else if (STR_EQ(method, "ObserveReport"))
                j = render_observe_report(g);
        else if (STR_EQ(method, "GetUsage")) {
                if (*argument && !STR_EQ(argument, "tenant") && !STR_EQ(argument, "container"))
                        return invalid(e, "GetUsage takes \"tenant\", \"container\" or nothing");
                render_books(g, argument, &b);
        } else if (STR_EQ(method, "GetHistory")) {
                uint64_t n[3] = {}; /* instance, cursor, since */

                if (scan_numbers(argument, n, ARRAY_SIZE(n)) < 0)
                        return invalid(e, "GetHistory takes \"INSTANCE CURSOR SINCE\"");
                r = history_export(g->measure->history, n[0], n[1], n[2], guard_realtime(), guard_clock(),
                                   &b);
                if (r < 0)
                        return r;
        } else
                return invalid(e, "no such reading method");
        if (!j && b.len == 0)
                return -ENOMEM;
        if (j) {
                *ret = dump(j);
                *ret_len = *ret ? strlen(*ret) : 0;
        } else {
                *ret_len = b.len;
                *ret = buf_steal(&b);
        }
        return *ret ? 0 : -ENOMEM;
}

static int reply_answer(Guard *g, sd_bus_message *m, const char *argument, sd_bus_error *e) {
        _cleanup_free_ char *s = NULL;
        size_t len = 0;
        int r = answer(g, sd_bus_message_get_member(m), argument, e, &s, &len);

        return r < 0 ? r : reply_memfd(m, s, len);
}

static int on_read(sd_bus_message *m, void *user, sd_bus_error *e) { return reply_answer(user, m, "", e); }

static int on_read_name(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : reply_answer(user, m, name, e);
}

static int on_list_events(sd_bus_message *m, void *user, sd_bus_error *e) {
        char argument[64];
        uint64_t since;
        uint32_t max;
        int r = sd_bus_message_read(m, "tu", &since, &max);

        if (r < 0)
                return r;
        (void)snprintf(argument, sizeof(argument), "%llu %u", (unsigned long long)since, max);
        return reply_answer(user, m, argument, e);
}

static int on_why(sd_bus_message *m, void *user, sd_bus_error *e) {
        _cleanup_free_ char *argument = NULL;
        const char *what, *tenant;
        int r = sd_bus_message_read(m, "ss", &what, &tenant);

        if (r < 0)
                return r;
        if (asprintf(&argument, "%s\n%s", what, tenant) < 0) {
                argument = NULL;
                return -ENOMEM;
        }
        return reply_answer(user, m, argument, e);
}

static int on_list_incidents(sd_bus_message *m, void *user, sd_bus_error *e) {
        char argument[16];
        uint32_t max;
        int r = sd_bus_message_read(m, "u", &max);

        if (r < 0)
                return r;
        (void)snprintf(argument, sizeof(argument), "%u", max);
        return reply_answer(user, m, argument, e);
}

static int on_get_history(sd_bus_message *m, void *user, sd_bus_error *e) {
        uint64_t instance, cursor, since;
        char argument[80];
        int r = sd_bus_message_read(m, "ttt", &instance, &cursor, &since);

        if (r < 0)
                return r;
        (void)snprintf(argument, sizeof(argument), "%llu %llu %llu", (unsigned long long)instance,
                       (unsigned long long)cursor, (unsigned long long)since);
        return reply_answer(user, m, argument, e);
}

/* ---- pages, where no fd can travel ---- */

static void expire_pages(usec_t now) {
        for (size_t i = 0; i < PAGES_MAX; i++)
                if (pages[i].data && now >= pages[i].until)
                        page_deinit(&pages[i]);
}

static int keep_page(sd_bus_message *m, Guard *g, char *data, size_t len, uint64_t *ret) {
        usec_t now = guard_now(g);
        const char *sender = sd_bus_message_get_sender(m);
        Page *oldest = &pages[0], *p = NULL;

        expire_pages(now);
        for (size_t i = 0; i < PAGES_MAX && !p; i++) {
                if (!pages[i].data)
                        p = &pages[i];
                else if (pages[i].until < oldest->until)
                        oldest = &pages[i];
        }
        if (!p)
                page_deinit(p = oldest);
        *p = (Page){
                .handle = ++last_handle,
                .owner = strdup(sender ? sender : ""),
                .data = data,
                .len = len,
                .until = now + PAGES_LIFE,
        };
        if (!p->owner) {
                p->data = NULL;
                page_deinit(p);
                return -ENOMEM;
        }
        *ret = p->handle;
        return 0;
}

static int do_release(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e);
static int with_caller(Guard *g, sd_bus_message *m, Change change);
static int start_diff(Guard *g, sd_bus_message *m, sd_bus_error *e);
static int start_processes(Guard *g, sd_bus_message *m, const char *name, sd_bus_error *e);
static int start_links(Guard *g, sd_bus_message *m, const char *name, sd_bus_error *e);

/* Answers with a handle; takes data. */
static int reply_page(Guard *g, sd_bus_message *m, char *data, size_t len) {
        uint64_t handle, size = len;
        int r = keep_page(m, g, data, len, &handle);

        if (r < 0) {
                free(data);
                return r;
        }
        return sd_bus_reply_method_return(m, "tt", handle, size);
}

/* The same JSON both ways: in a memfd, or paged where the caller asked so. Takes data. */
static int reply_bulk(Guard *g, sd_bus_message *m, char *data) {
        int r;

        if (STR_EQ(sd_bus_message_get_member(m), "OpenPaged"))
                return reply_page(g, m, data, strlen(data));
        r = reply_memfd(m, data, strlen(data));
        free(data);
        return r;
}

static int on_open_paged(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *method, *argument;
        _cleanup_free_ char *s = NULL;
        size_t len = 0;
        int r = sd_bus_message_read(m, "ss", &method, &argument);

        if (r < 0)
                return r;
        if (STR_EQ(method, "DiffPolicy"))
                return start_diff(user, m, e);
        if (STR_EQ(method, "GetProcesses"))
                return start_processes(user, m, argument, e);
        if (STR_EQ(method, "GetLinks"))
                return start_links(user, m, argument, e);
        if (STR_EQ(method,
                   "ReleaseCeilings")) /* the one that changes something: as strict as the method itself */
                return with_caller(user, m, do_release);
        r = answer(user, method, argument, e, &s, &len);
        return r < 0 ? r : reply_page(user, m, steal_ptr(s), len);
}

static int on_read_paged(sd_bus_message *m, void *user, sd_bus_error *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *sender = sd_bus_message_get_sender(m);
        uint64_t handle, offset;
        uint32_t length;
        int r = sd_bus_message_read(m, "ttu", &handle, &offset, &length);

        if (r < 0)
                return r;
        expire_pages(guard_now(user));
        for (size_t i = 0; i < PAGES_MAX; i++) {
                Page *p = &pages[i];

                if (!p->data || p->handle != handle || !sender || !STR_EQ(p->owner, sender))
                        continue;
                if (offset > p->len)
                        return invalid(e, "the offset is beyond the end");
                r = sd_bus_message_new_method_return(m, &reply);
                if (r >= 0)
                        r = sd_bus_message_append_array(
                                reply, 'y', p->data + offset,
                                MIN_OF((size_t)MIN_OF(length, (uint32_t)BUS_PAGE_MAX), p->len - offset));
                return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
        }
        return invalid(e, "no such page handle (it lapses after 60 s and is its opener's own)");
}

/* ---- changing: first who asks ---- */

typedef struct Pending {
        Guard *guard;
        sd_bus_message *message;
        Change change;
} Pending;

static int on_credentials(sd_bus_message *reply, void *user, sd_bus_error *unused) {
        Pending *p = user;
        sd_bus_error e = SD_BUS_ERROR_NULL;
        Caller c = {};
        int r;

        (void)unused;
        if (sd_bus_message_is_method_error(reply, NULL))
                r = sd_bus_error_set(&e, SD_BUS_ERROR_ACCESS_DENIED,
                                     "the caller's identity could not be determined");
        else {
                r = sd_bus_message_enter_container(reply, 'a', "{sv}");
                while (r > 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                        const char *key;
                        uint32_t v = 0;

                        r = sd_bus_message_read(reply, "s", &key);
                        if (r < 0)
                                break;
                        if (STR_EQ(key, "UnixUserID") &&
                            (r = sd_bus_message_read(reply, "v", "u", &v)) >= 0) {
                                c.uid = v;
                                c.known = true;
                        } else if (STR_EQ(key, "ProcessID") &&
                                   (r = sd_bus_message_read(reply, "v", "u", &v)) >= 0)
                                c.pid = (pid_t)v;
                        else if (!STR_EQ(key, "UnixUserID") && !STR_EQ(key, "ProcessID"))
                                r = sd_bus_message_skip(reply, "v");
                        if (r < 0)
                                break;
                        r = sd_bus_message_exit_container(reply);
                }
                if (!c.known || c.uid != 0)
                        r = sd_bus_error_set(&e, SD_BUS_ERROR_ACCESS_DENIED,
                                             "only root may change anything here");
                else
                        r = p->change(p->guard, p->message, &c, &e);
        }
        if (r < 0)
                (void)sd_bus_reply_method_errno(p->message, r, &e);
        sd_bus_error_free(&e);
        sd_bus_message_unref(p->message);
        free(p);
        return 0;
}

static int with_caller(Guard *g, sd_bus_message *m, Change change) {
        Pending *p = malloc(sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        *p = (Pending){ g, sd_bus_message_ref(m), change };
        r = sd_bus_call_method_async(g->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetConnectionCredentials", on_credentials, p,
                                     "s", sd_bus_message_get_sender(m));
        if (r < 0) {
                sd_bus_message_unref(p->message);
                free(p);
                return r;
        }
        return 1;
}

static void reload_done(Guard *g, void *user, int result, const char *report) {
        sd_bus_message *m = user;
        sd_bus_error e = SD_BUS_ERROR_NULL;

        (void)g;
        if (result >= 0)
                (void)sd_bus_reply_method_return(m, "s", report ? report : "");
        else {
                (void)sd_bus_error_set(&e, result == -EBUSY ? BUS_ERROR_NOT_READY : BUS_ERROR_POLICY_REFUSED,
                                       report ? report : strerror(-result));
                (void)sd_bus_reply_method_error(m, &e);
                sd_bus_error_free(&e);
        }
        sd_bus_message_unref(m);
}

static int do_reload(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        (void)e;
        loader_reload(g, reload_done, sd_bus_message_ref(m), c);
        return 0;
}

static int do_pause(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        uint64_t span;
        int r = sd_bus_message_read(m, "t", &span);

        (void)e;
        if (r >= 0)
                r = control_pause(g, span, c);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int do_resume(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        int r = control_resume(g, c);

        (void)e;
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

/* A NAME that may also be a tenant: then each of its containers and slices is held, or no longer. */
static int each_target(Guard *g, const char *name, sd_bus_error *e, int (*f)(Guard *, Target *, void *),
                       void *user) {
        Tenant *tenant;
        Target *t;
        int r = resolve(g, name, e, &t, &tenant), saved;

        if (r < 0)
                return r;
        if (t)
                r = f(g, t, user);
        for (size_t i = 0; !t && r >= 0 && i < tenant->n_slices; i++)
                r = f(g, tenant->slices[i], user);
        for (size_t i = 0; !t && r >= 0 && i < tenant->n_members; i++)
                r = f(g, tenant->members[i], user);
        saved = control_save_holds(g);
        return r < 0 ? r : saved;
}

typedef struct HoldArgs {
        usec_t span;
        const char *reason;
        const Caller *caller;
        json_t *released;
} HoldArgs;

static int hold_one(Guard *g, Target *t, void *user) {
        HoldArgs *a = user;

        return control_hold(g, t, a->span, a->reason, false, a->caller);
}

static int do_hold(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        HoldArgs a = { .caller = c };
        const char *name;
        int r = sd_bus_message_read(m, "sts", &name, &a.span, &a.reason);

        if (r < 0)
                return r;
        if (a.span == 0)
                return invalid(e, "a hold needs an end: say for how long");
        for (const char *p = a.reason; *p; p++)
                if ((unsigned char)*p < 0x20)
                        return invalid(e, "the reason contains control characters");
        r = each_target(g, name, e, hold_one, &a);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int unhold_one(Guard *g, Target *t, void *user) {
        control_unhold(g, t, user);
        return 0;
}

static int do_unhold(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        if (r >= 0)
                r = each_target(g, name, e, unhold_one, (void *)c);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int do_undo(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *why = NULL;
        uint64_t id;
        int r = sd_bus_message_read(m, "t", &id);

        if (r < 0)
                return r;
        r = control_undo(g, id, c, &done, &why);
        if (r < 0 && why)
                return sd_bus_error_setf(e, r == -ENOENT ? BUS_ERROR_NO_SUCH_NAME : BUS_ERROR_INVALID, "%s",
                                         why);
        return r < 0 ? r : sd_bus_reply_method_return(m, "s", done);
}

/* ---- what an operator does to containers ---- */

/* The answer of an act: what was done, as far as the bus takes it for text. */
static int reply_done(sd_bus_message *m, int r, const char *done, const char *why, sd_bus_error *e) {
        json_t *text;

        if (r < 0 && why)
                return sd_bus_error_setf(e,
                                         r == -ENOENT  ? BUS_ERROR_NO_SUCH_NAME
                                         : r == -EPERM ? SD_BUS_ERROR_FAILED
                                                       : BUS_ERROR_INVALID,
                                         "%s", why);
        if (r < 0)
                return r;
        text = json_text_or_null(done);
        r = sd_bus_reply_method_return(m, "s", json_is_string(text) ? json_string_value(text) : "");
        json_decref(text);
        return r;
}

static int do_throttle(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *name, *values, *why = NULL;
        Tenant *tenant;
        uint64_t span;
        Target *t;
        int r = sd_bus_message_read(m, "sst", &name, &values, &span);

        if (r < 0)
                return r;
        if (strlen(values) > BUS_NAME_ARG_MAX)
                return invalid(e, "the values are longer than 4096 bytes");
        r = resolve(g, name, e, &t, &tenant);
        if (r < 0)
                return r;
        r = control_throttle(g, t, tenant, values, span, c, &done, &why);
        return reply_done(m, r, done, why, e);
}

static int do_let_go(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *name, *why = NULL;
        Tenant *tenant;
        Target *t;
        int r = sd_bus_message_read(m, "s", &name);

        if (r >= 0)
                r = resolve(g, name, e, &t, &tenant);
        if (r < 0)
                return r;
        r = control_let_go(g, t, tenant, c, &done, &why);
        return reply_done(m, r, done, why, e);
}

/* One container: a tenant's name is refused. */
static int resolve_one(Guard *g, const char *name, sd_bus_error *e, Target **ret) {
        Tenant *tenant;
        int r = resolve(g, name, e, ret, &tenant);

        return r < 0 ? r : *ret ? 0 : invalid(e, "that is a tenant: name one of its containers");
}

static int do_freeze(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *name, *why = NULL;
        uint64_t span;
        Target *t;
        int r = sd_bus_message_read(m, "st", &name, &span);

        if (r >= 0)
                r = resolve_one(g, name, e, &t);
        if (r < 0)
                return r;
        r = control_freeze(g, t, span, c, &done, &why);
        return reply_done(m, r, done, why, e);
}

static int do_thaw(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *name, *why = NULL;
        Target *t;
        int r = sd_bus_message_read(m, "s", &name);

        if (r >= 0)
                r = resolve_one(g, name, e, &t);
        if (r < 0)
                return r;
        r = control_thaw(g, t, c, &done, &why);
        return reply_done(m, r, done, why, e);
}

static int do_kill(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *name, *why = NULL;
        Tenant *tenant;
        int r, whole;
        Target *t;

        r = sd_bus_message_read(m, "sb", &name, &whole);
        if (r >= 0)
                r = resolve(g, name, e, &t, &tenant);
        if (r < 0)
                return r;
        /* Nobody kills a whole tenant for a name that is also one, nor the other way round. */
        if (!t && !whole)
                return invalid(e, "that is a tenant: say that all its containers are meant");
        if (t && whole)
                return invalid(e, "that is no tenant");
        r = control_kill(g, t, tenant, c, &done, &why);
        return reply_done(m, r, done, why, e);
}

/* What will be given back: said before it is done, for the writes are asynchronous. */
static void list_released(Guard *g, Target *t, json_t *a) {
        (void)g;
        for (size_t i = 0; i < t->recon.n; i++) {
                const ReconKnob *k = &t->recon.knobs[i];
                _cleanup_buf_ Buf from = BUF_INIT, to = BUF_INIT;
                char dev[32] = "";

                if (!k->have_ours)
                        continue;
                (void)limit_format_value(k->knob.limit, k->ours, &from);
                (void)limit_format_value(k->knob.limit,
                                         k->have_want ? k->want : limit_info(k->knob.limit)->unset, &to);
                if (k->knob.dev)
                        (void)snprintf(dev, sizeof(dev), "%u:%u", major(k->knob.dev), minor(k->knob.dev));
                (void)json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s}", "cgroup",
                                                         t->node->path, "container", target_name(t), "limit",
                                                         limit_info(k->knob.limit)->key, "device",
                                                         *dev ? dev : NULL, "from_text", buf_str(&from),
                                                         "to_text", buf_str(&to)));
        }
}

static int release_one(Guard *g, Target *t, void *user) {
        HoldArgs *a = user;

        list_released(g, t, a->released);
        return control_release(g, t, a->caller);
}

static int do_release(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        HoldArgs a = { .caller = c };
        const char *name, *method;
        char *s;
        int r;

        r = STR_EQ(sd_bus_message_get_member(m), "OpenPaged") ? sd_bus_message_rewind(m, true) : 0;
        if (r >= 0)
                r = STR_EQ(sd_bus_message_get_member(m), "OpenPaged")
                            ? sd_bus_message_read(m, "ss", &method, &name)
                            : sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        a.released = json_array();
        if (*name)
                r = each_target(g, name, e, release_one, &a);
        else {
                size_t i = 0;
                Target *t;

                while ((t = map_next(&g->targets, &i)))
                        list_released(g, t, a.released);
                r = control_release(g, NULL, c);
        }
        if (r < 0) {
                json_decref(a.released);
                return r;
        }
        s = dump(json_pack("{s:o, s:b}", "released", a.released, "paused", *name == '\0'));
        return s ? reply_bulk(g, m, s) : -ENOMEM;
}

#define CHANGE(method, change)                                              \
        static int method(sd_bus_message *m, void *user, sd_bus_error *e) { \
                (void)e;                                                    \
                return with_caller(user, m, change);                        \
        }
CHANGE(on_reload, do_reload)
CHANGE(on_pause, do_pause)
CHANGE(on_resume, do_resume)
CHANGE(on_hold, do_hold)
CHANGE(on_unhold, do_unhold)
CHANGE(on_undo, do_undo)
CHANGE(on_release, do_release)
CHANGE(on_throttle, do_throttle)
CHANGE(on_let_go, do_let_go)
CHANGE(on_freeze, do_freeze)
CHANGE(on_thaw, do_thaw)
CHANGE(on_kill, do_kill)

static void diff_done(Guard *g, void *user, int result, LoadedPolicy *loaded) {
        sd_bus_message *m = user;
        char *s = NULL;

        if (result >= 0)
                s = dump(render_diff(g, loaded));
        if (result == -ECANCELED)
                (void)sd_bus_reply_method_errorf(m, BUS_ERROR_NOT_READY,
                                                 "a reload was asked for meanwhile; try again");
        else if (!s || reply_bulk(g, m, s) < 0)
                (void)sd_bus_reply_method_errno(m, result < 0 ? result : -ENOMEM, NULL);
        loaded_policy_free(loaded);
        sd_bus_message_unref(m);
}

static int start_diff(Guard *g, sd_bus_message *m, sd_bus_error *e) {
        int r = loader_start(g, diff_done, sd_bus_message_ref(m));

        if (r < 0)
                sd_bus_message_unref(m);
        if (r == -EBUSY)
                return sd_bus_error_set(e, BUS_ERROR_NOT_READY,
                                        "the policy is being read already; try again");
        return r < 0 ? r : 1;
}

static int on_diff(sd_bus_message *m, void *user, sd_bus_error *e) { return start_diff(user, m, e); }

/* For what is answered when others have answered; user: the message. */
static void bulk_done(Guard *g, void *user, json_t *o) {
        sd_bus_message *m = user;
        char *s = dump(json_incref(o));

        if (!s || reply_bulk(g, m, s) < 0)
                (void)sd_bus_reply_method_errno(m, -ENOMEM, NULL);
        sd_bus_message_unref(m);
}

static int start_processes(Guard *g, sd_bus_message *m, const char *name, sd_bus_error *e) {
        Target *t;
        int r = resolve_one(g, name, e, &t);

        if (r < 0)
                return r;
        r = processes_ask(g, t, NL_BY_CPU, PROCESSES_SPAN, bulk_done, sd_bus_message_ref(m));
        if (r < 0)
                sd_bus_message_unref(m);
        if (r == -EBUSY)
                return sd_bus_error_set(e, BUS_ERROR_NOT_READY, "others are asking; try again");
        return r < 0 ? r : 1;
}

static int on_processes(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : start_processes(user, m, name, e);
}

static int start_links(Guard *g, sd_bus_message *m, const char *name, sd_bus_error *e) {
        Target *t;
        int r = resolve_one(g, name, e, &t);

        if (r < 0)
                return r;
        r = links_ask(g, t, bulk_done, sd_bus_message_ref(m));
        if (r < 0)
                sd_bus_message_unref(m);
        if (r == -EBUSY)
                return sd_bus_error_set(e, BUS_ERROR_NOT_READY, "others are asking; try again");
        return r < 0 ? r : 1;
}

static int on_links(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : start_links(user, m, name, e);
}

#define READ SD_BUS_VTABLE_UNPRIVILEGED /* the bus policy decides who */
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("ListTenants", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("ListContainers", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("Show", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json), on_read_name, READ),
        SD_BUS_METHOD_WITH_ARGS("GetProcesses", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json),
                                on_processes, READ),
        SD_BUS_METHOD_WITH_ARGS("GetLinks", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json), on_links, READ),
        SD_BUS_METHOD_WITH_ARGS("GetPolicy", SD_BUS_ARGS("s", tenant), SD_BUS_RESULT("h", json), on_read_name,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("ListEvents", SD_BUS_ARGS("t", since_id, "u", max), SD_BUS_RESULT("h", json),
                                on_list_events, READ),
        SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_ARGS("s", by), SD_BUS_RESULT("h", json), on_read_name,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("t", instance, "t", cursor, "t", since),
                                SD_BUS_RESULT("h", stream), on_get_history, READ),
        SD_BUS_METHOD_WITH_ARGS("Why", SD_BUS_ARGS("s", what, "s", for_tenant), SD_BUS_RESULT("h", json),
                                on_why, READ),
        SD_BUS_METHOD_WITH_ARGS("ListIncidents", SD_BUS_ARGS("u", max), SD_BUS_RESULT("h", json),
                                on_list_incidents, READ),
        SD_BUS_METHOD_WITH_ARGS("ObserveReport", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("DiffPolicy", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), on_diff, READ),
        SD_BUS_METHOD_WITH_ARGS("OpenPaged", SD_BUS_ARGS("s", method, "s", argument),
                                SD_BUS_RESULT("t", handle, "t", size), on_open_paged, READ),
        SD_BUS_METHOD_WITH_ARGS("ReadPaged", SD_BUS_ARGS("t", handle, "t", offset, "u", length),
                                SD_BUS_RESULT("ay", data), on_read_paged, READ),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", warnings), on_reload, READ),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_ARGS("t", usec), SD_BUS_NO_RESULT, on_pause, READ),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_resume, READ),
        SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_ARGS("s", name, "t", usec, "s", reason), SD_BUS_NO_RESULT,
                                on_hold, READ),
        SD_BUS_METHOD_WITH_ARGS("Unhold", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, on_unhold, READ),
        SD_BUS_METHOD_WITH_ARGS("Undo", SD_BUS_ARGS("t", event_id), SD_BUS_RESULT("s", done), on_undo, READ),
        SD_BUS_METHOD_WITH_ARGS("ReleaseCeilings", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json),
                                on_release, READ),
        SD_BUS_METHOD_WITH_ARGS("Throttle", SD_BUS_ARGS("s", name, "s", values, "t", usec),
                                SD_BUS_RESULT("s", done), on_throttle, READ),
        SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", done), on_let_go, READ),
        SD_BUS_METHOD_WITH_ARGS("Freeze", SD_BUS_ARGS("s", name, "t", usec), SD_BUS_RESULT("s", done),
                                on_freeze, READ),
        SD_BUS_METHOD_WITH_ARGS("Thaw", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", done), on_thaw, READ),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", name, "b", tenant), SD_BUS_RESULT("s", done),
                                on_kill, READ),
        SD_BUS_SIGNAL_WITH_ARGS("ActionTaken",
                                SD_BUS_ARGS("t", id, "s", kind, "s", tenant, "s", container, "s", text), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DriftFound",
                                SD_BUS_ARGS("t", id, "s", tenant, "s", cgroup, "s", limit, "s", cause), 0),
        SD_BUS_SIGNAL_WITH_ARGS("IncidentOpened",
                                SD_BUS_ARGS("t", id, "s", tenant, "s", container, "s", resource, "s", text),
                                0),
        SD_BUS_SIGNAL_WITH_ARGS("IncidentClosed",
                                SD_BUS_ARGS("t", id, "s", tenant, "s", container, "s", text), 0),
        SD_BUS_SIGNAL_WITH_ARGS("PolicyLoaded", SD_BUS_ARGS("b", ok, "s", text), 0),
        SD_BUS_VTABLE_END,
};

void bus_signal_action(Guard *g, const Event *e) {
        if (!g->bus)
                return;
        (void)sd_bus_emit_signal(g->bus, BUS_PATH, BUS_INTERFACE, "ActionTaken", "tssss", e->id, e->kind,
                                 e->tenant ? e->tenant : "", e->container ? e->container : "",
                                 e->text ? e->text : "");
        if (STR_EQ(e->kind, "drift"))
                (void)sd_bus_emit_signal(g->bus, BUS_PATH, BUS_INTERFACE, "DriftFound", "tssss", e->id,
                                         e->tenant ? e->tenant : "", e->cgroup ? e->cgroup : "",
                                         limit_info(e->knob.limit)->key, e->cause ? e->cause : "unknown");
}

void bus_signal_incident(Guard *g, const Incident *i, bool opened) {
        _cleanup_buf_ Buf resources = BUF_INIT;
        const char *text = i->text ? i->text : "";

        if (!g->bus)
                return;
        for (Resource r = 0; r < _RESOURCE_MAX; r++)
                if (i->resources >> r & 1)
                        buf_printf(&resources, "%s%s", resources.len > 0 ? " " : "", resource_to_string(r));
        if (opened)
                (void)sd_bus_emit_signal(g->bus, BUS_PATH, BUS_INTERFACE, "IncidentOpened", "tssss", i->id,
                                         i->tenant, i->container, buf_str(&resources), text);
        else
                (void)sd_bus_emit_signal(g->bus, BUS_PATH, BUS_INTERFACE, "IncidentClosed", "tsss", i->id,
                                         i->tenant, i->container, text);
}

void bus_signal_policy(Guard *g, bool ok, const char *text) {
        if (g->bus)
                (void)sd_bus_emit_signal(g->bus, BUS_PATH, BUS_INTERFACE, "PolicyLoaded", "bs", (int)ok,
                                         text);
}

/* ---- the connection ---- */

static int connect_bus(Guard *g);

static int on_retry(sd_event_source *s, uint64_t usec, void *user) {
        (void)s;
        (void)usec;
        (void)connect_bus(user);
        return 0;
}

static void retry_later(Guard *g) {
        if (g->bus_retry) {
                (void)sd_event_source_set_time_relative(g->bus_retry, RETRY_USEC);
                (void)sd_event_source_set_enabled(g->bus_retry, SD_EVENT_ONESHOT);
        } else
                (void)sd_event_add_time_relative(g->event, &g->bus_retry, CLOCK_MONOTONIC, RETRY_USEC, 0,
                                                 on_retry, g);
}

static int on_disconnected(sd_bus_message *m, void *user, sd_bus_error *e) {
        Guard *g = user;

        (void)m;
        (void)e;
        announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                 "the system bus is gone: limits are still held by the kernel's files; trying again");
        (void)manager_set_bus(g->manager, NULL);
        /* Freed outside of its own callback. */
        g->bus_dying = g->bus;
        g->bus = NULL;
        retry_later(g);
        return 0;
}

static int on_connected(sd_bus_message *m, void *user, sd_bus_error *e) {
        Guard *g = user;

        (void)m;
        (void)e;
        (void)manager_set_bus(g->manager, g->bus);
        return 0;
}

static int on_name(sd_bus_message *m, void *user, sd_bus_error *e) {
        Guard *g = user;

        (void)e;
        if (sd_bus_message_is_method_error(m, NULL))
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the bus does not let us be %s (%s): bailiffctl cannot reach this guard", BUS_NAME,
                         sd_bus_message_get_error(m)->message);
        return 0;
}

static int connect_bus(Guard *g) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        int r;

        if (g->bus_dying) {
                sd_bus_detach_event(g->bus_dying);
                sd_bus_close(g->bus_dying);
                g->bus_dying = sd_bus_unref(g->bus_dying);
        }
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address ? address : "unix:path=/run/dbus/system_bus_socket");
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_set_connected_signal(bus, true);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, false);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, BUS_PATH, BUS_INTERFACE, vtable, g);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                        "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, g);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local", NULL,
                                        "org.freedesktop.DBus.Local", "Connected", on_connected, g);
        if (r >= 0)
                r = sd_bus_attach_event(bus, g->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_request_name_async(bus, NULL, BUS_NAME, 0, on_name, g);
        if (r < 0) {
                retry_later(g);
                return r;
        }
        g->bus = steal_ptr(bus);
        return 0;
}

int bus_start(Guard *g) {
        if (g->config.no_bus)
                return 0;
        return connect_bus(g);
}

void bus_stop(Guard *g) {
        for (size_t i = 0; i < PAGES_MAX; i++)
                page_deinit(&pages[i]);
        sd_event_source_disable_unref(g->bus_retry);
        g->bus_retry = NULL;
        sd_bus_close_unref(g->bus_dying);
        sd_bus_close_unref(g->bus);
        g->bus = g->bus_dying = NULL;
}
