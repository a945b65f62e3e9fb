/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the guard is asked on the bus and changes nothing. Bulk answers are JSON in a sealed memfd; where no fd can
 * travel the caller opens a page handle, of which there are few: the oldest goes for a new one.
 */

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus-internal.h"
#include "bus.h"
#include "fdio.h"
#include "json.h"
#include "num.h"

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

void bus_forget_pages(void) {
        for (size_t i = 0; i < PAGES_MAX; i++)
                page_deinit(&pages[i]);
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

char *bus_dump(json_t *j) {
        char *s = j ? json_dumps(j, JSON_COMPACT) : NULL;

        json_decref(j);
        return s;
}

int bus_invalid(sd_bus_error *e, const char *what) { return sd_bus_error_set(e, BUS_ERROR_INVALID, what); }

/* A NAME argument: bounded, no control characters (it is printed and logged). */
static int check_name(const char *name, sd_bus_error *e) {
        if (strlen(name) > BUS_NAME_ARG_MAX)
                return bus_invalid(e, "the name is longer than 4096 bytes");
        for (const char *p = name; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return bus_invalid(e, "the name contains control characters");
        if (name[0] != '/' && strchr(name, '/'))
                return bus_invalid(
                        e, "a name with a slash is no tenant or container; a cgroup path begins with '/'");
        return 0;
}

static int not_found(sd_bus_error *e, const char *name, const char *why) {
        return sd_bus_error_setf(
                e, strncmp(why, "ambiguous", 9) == 0 ? BUS_ERROR_AMBIGUOUS : BUS_ERROR_NO_SUCH_NAME,
                "%.200s: %s", name, why);
}

int bus_resolve(Guard *g, const char *name, sd_bus_error *e, Target **ret_target, Tenant **ret_tenant) {
        const char *why;
        int r = check_name(name, e);

        if (r < 0)
                return r;
        *ret_target = world_find(g, name, &why, ret_tenant);
        return *ret_target || *ret_tenant ? 0 : not_found(e, name, why);
}

int bus_resolve_one(Guard *g, const char *name, sd_bus_error *e, Target **ret) {
        Tenant *tenant;
        int r = bus_resolve(g, name, e, ret, &tenant);

        return r < 0 ? r : *ret ? 0 : bus_invalid(e, "that is a tenant: name one of its containers");
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
                return bus_invalid(e, "Why takes WHAT, a newline, FOR_TENANT");
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

                r = bus_resolve(g, argument, e, &t, &tenant);
                if (r < 0)
                        return r;
                j = render_show(g, t, tenant);
        } else if (STR_EQ(method, "ListEvents")) {
                uint64_t n[2] = {};

                if (scan_numbers(argument, n, ARRAY_SIZE(n)) < 0)
                        return bus_invalid(e, "ListEvents takes \"SINCE MAX\"");
                j = render_events(g, n[0], (uint32_t)MIN_OF(n[1], (uint64_t)EVENTS_MAX));
        } else if (STR_EQ(method, "Why")) {
                r = answer_why(g, argument, e, &j);
                if (r < 0)
                        return r;
        } else if (STR_EQ(method, "ListIncidents")) {
                uint64_t n = 0;

                if (scan_numbers(argument, &n, 1) < 0)
                        return bus_invalid(e, "ListIncidents takes a number");
                j = render_incidents(g, (uint32_t)MIN_OF(n, (uint64_t)INCIDENTS_MAX));
        } else if (STR_EQ(method, "ObserveReport"))
                j = render_observe_report(g);
        else if (STR_EQ(method, "GetUsage")) {
                if (*argument && !STR_EQ(argument, "tenant") && !STR_EQ(argument, "container"))
                        return bus_invalid(e, "GetUsage takes \"tenant\", \"container\" or nothing");
                render_books(g, argument, &b);
        } else if (STR_EQ(method, "GetHistory")) {
                uint64_t n[3] = {}; /* instance, cursor, since */

                if (scan_numbers(argument, n, ARRAY_SIZE(n)) < 0)
                        return bus_invalid(e, "GetHistory takes \"INSTANCE CURSOR SINCE\"");
                r = history_export(g->measure->history, n[0], n[1], n[2], clock_realtime(), clock_monotonic(),
                                   &b);
                if (r < 0)
                        return r;
        } else
                return bus_invalid(e, "no such reading method");
        if (!j && b.len == 0)
                return -ENOMEM;
        if (j) {
                *ret = bus_dump(j);
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

int bus_on_read(sd_bus_message *m, void *user, sd_bus_error *e) { return reply_answer(user, m, "", e); }

int bus_on_read_name(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : reply_answer(user, m, name, e);
}

int bus_on_list_events(sd_bus_message *m, void *user, sd_bus_error *e) {
        char argument[64];
        uint64_t since;
        uint32_t max;
        int r = sd_bus_message_read(m, "tu", &since, &max);

        if (r < 0)
                return r;
        (void)snprintf(argument, sizeof(argument), "%llu %u", (unsigned long long)since, max);
        return reply_answer(user, m, argument, e);
}

int bus_on_why(sd_bus_message *m, void *user, sd_bus_error *e) {
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

int bus_on_list_incidents(sd_bus_message *m, void *user, sd_bus_error *e) {
        char argument[16];
        uint32_t max;
        int r = sd_bus_message_read(m, "u", &max);

        if (r < 0)
                return r;
        (void)snprintf(argument, sizeof(argument), "%u", max);
        return reply_answer(user, m, argument, e);
}

int bus_on_get_history(sd_bus_message *m, void *user, sd_bus_error *e) {
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

int bus_reply_bulk(Guard *g, sd_bus_message *m, char *data) {
        int r;

        if (STR_EQ(sd_bus_message_get_member(m), "OpenPaged"))
                return reply_page(g, m, data, strlen(data));
        r = reply_memfd(m, data, strlen(data));
        free(data);
        return r;
}

/* ---- answered when others have answered ---- */

static void diff_done(Guard *g, void *user, int result, LoadedPolicy *loaded) {
        sd_bus_message *m = user;
        char *s = NULL;

        if (result >= 0)
                s = bus_dump(render_diff(g, loaded));
        if (result == -ECANCELED)
                (void)sd_bus_reply_method_errorf(m, BUS_ERROR_NOT_READY,
                                                 "a reload was asked for meanwhile; try again");
        else if (!s || bus_reply_bulk(g, m, s) < 0)
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

int bus_on_diff(sd_bus_message *m, void *user, sd_bus_error *e) { return start_diff(user, m, e); }

/* For what is answered when others have answered; user: the message. */
static void bulk_done(Guard *g, void *user, json_t *o) {
        sd_bus_message *m = user;
        char *s = bus_dump(json_incref(o));

        if (!s || bus_reply_bulk(g, m, s) < 0)
                (void)sd_bus_reply_method_errno(m, -ENOMEM, NULL);
        sd_bus_message_unref(m);
}

static int start_processes(Guard *g, sd_bus_message *m, const char *name, sd_bus_error *e) {
        Target *t;
        int r = bus_resolve_one(g, name, e, &t);

        if (r < 0)
                return r;
        r = processes_ask(g, t, NL_BY_CPU, PROCESSES_SPAN, bulk_done, sd_bus_message_ref(m));
        if (r < 0)
                sd_bus_message_unref(m);
        if (r == -EBUSY)
                return sd_bus_error_set(e, BUS_ERROR_NOT_READY, "others are asking; try again");
        return r < 0 ? r : 1;
}

int bus_on_processes(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : start_processes(user, m, name, e);
}

static int start_links(Guard *g, sd_bus_message *m, const char *name, sd_bus_error *e) {
        Target *t;
        int r = bus_resolve_one(g, name, e, &t);

        if (r < 0)
                return r;
        r = links_ask(g, t, bulk_done, sd_bus_message_ref(m));
        if (r < 0)
                sd_bus_message_unref(m);
        if (r == -EBUSY)
                return sd_bus_error_set(e, BUS_ERROR_NOT_READY, "others are asking; try again");
        return r < 0 ? r : 1;
}

int bus_on_links(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *name;
        int r = sd_bus_message_read(m, "s", &name);

        return r < 0 ? r : start_links(user, m, name, e);
}

/* ---- paged ---- */

int bus_on_open_paged(sd_bus_message *m, void *user, sd_bus_error *e) {
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
                return bus_with_caller(user, m, bus_do_release);
        r = answer(user, method, argument, e, &s, &len);
        return r < 0 ? r : reply_page(user, m, steal_ptr(s), len);
}

int bus_on_read_paged(sd_bus_message *m, void *user, sd_bus_error *e) {
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
                        return bus_invalid(e, "the offset is beyond the end");
                r = sd_bus_message_new_method_return(m, &reply);
                if (r >= 0)
                        r = sd_bus_message_append_array(
                                reply, 'y', p->data + offset,
                                MIN_OF((size_t)MIN_OF(length, (uint32_t)BUS_PAGE_MAX), p->len - offset));
                return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
        }
        return bus_invalid(e, "no such page handle (it lapses after 60 s and is its opener's own)");
}
