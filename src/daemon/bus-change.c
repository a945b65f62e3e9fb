/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What changes something. Who asks is asked of the bus first, for each call, whatever its policy already said; what is
 * done then is in control.c.
 */

#include <jansson.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include "bus-internal.h"
#include "bus.h"
#include "json.h"

/* ---- changing: first who asks ---- */

typedef struct Pending {
        Guard *guard;
        sd_bus_message *message;
        BusChange *change;
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

int bus_with_caller(Guard *g, sd_bus_message *m, BusChange *change) {
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
        int r = bus_resolve(g, name, e, &t, &tenant), saved;

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
                return bus_invalid(e, "a hold needs an end: say for how long");
        for (const char *p = a.reason; *p; p++)
                if ((unsigned char)*p < 0x20)
                        return bus_invalid(e, "the reason contains control characters");
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
                return bus_invalid(e, "the values are longer than 4096 bytes");
        r = bus_resolve(g, name, e, &t, &tenant);
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
                r = bus_resolve(g, name, e, &t, &tenant);
        if (r < 0)
                return r;
        r = control_let_go(g, t, tenant, c, &done, &why);
        return reply_done(m, r, done, why, e);
}

static int do_freeze(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
        _cleanup_free_ char *done = NULL;
        const char *name, *why = NULL;
        uint64_t span;
        Target *t;
        int r = sd_bus_message_read(m, "st", &name, &span);

        if (r >= 0)
                r = bus_resolve_one(g, name, e, &t);
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
                r = bus_resolve_one(g, name, e, &t);
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
                r = bus_resolve(g, name, e, &t, &tenant);
        if (r < 0)
                return r;
        /* Nobody kills a whole tenant for a name that is also one, nor the other way round. */
        if (!t && !whole)
                return bus_invalid(e, "that is a tenant: say that all its containers are meant");
        if (t && whole)
                return bus_invalid(e, "that is no tenant");
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

int bus_do_release(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e) {
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
        s = bus_dump(json_pack("{s:o, s:b}", "released", a.released, "paused", *name == '\0'));
        return s ? bus_reply_bulk(g, m, s) : -ENOMEM;
}

#define CHANGE(method, change)                                       \
        int method(sd_bus_message *m, void *user, sd_bus_error *e) { \
                (void)e;                                             \
                return bus_with_caller(user, m, change);             \
        }
CHANGE(bus_on_reload, do_reload)
CHANGE(bus_on_pause, do_pause)
CHANGE(bus_on_resume, do_resume)
CHANGE(bus_on_hold, do_hold)
CHANGE(bus_on_unhold, do_unhold)
CHANGE(bus_on_undo, do_undo)
CHANGE(bus_on_release, bus_do_release)
CHANGE(bus_on_throttle, do_throttle)
CHANGE(bus_on_let_go, do_let_go)
CHANGE(bus_on_freeze, do_freeze)
CHANGE(bus_on_thaw, do_thaw)
CHANGE(bus_on_kill, do_kill)
