/* SPDX-License-Identifier: Apache-2.0 */

/*
 * org.bailiff.Guard1 (include/bailiff/bus.h documents it): what it has, and the connection. No call waits, neither here
 * nor in bus-read.c and bus-change.c. A lost bus is tried again each second; the guard goes on without.
 */

#include "bus-internal.h"
#include "bus.h"

#define RETRY_USEC USEC_PER_SEC

#define READ SD_BUS_VTABLE_UNPRIVILEGED /* the bus policy decides who */
static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), bus_on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("ListTenants", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), bus_on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("ListContainers", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), bus_on_read,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("Show", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json), bus_on_read_name,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("GetProcesses", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json),
                                bus_on_processes, READ),
        SD_BUS_METHOD_WITH_ARGS("GetLinks", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json), bus_on_links,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("GetPolicy", SD_BUS_ARGS("s", tenant), SD_BUS_RESULT("h", json),
                                bus_on_read_name, READ),
        SD_BUS_METHOD_WITH_ARGS("ListEvents", SD_BUS_ARGS("t", since_id, "u", max), SD_BUS_RESULT("h", json),
                                bus_on_list_events, READ),
        SD_BUS_METHOD_WITH_ARGS("GetUsage", SD_BUS_ARGS("s", by), SD_BUS_RESULT("h", json), bus_on_read_name,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("t", instance, "t", cursor, "t", since),
                                SD_BUS_RESULT("h", stream), bus_on_get_history, READ),
        SD_BUS_METHOD_WITH_ARGS("Why", SD_BUS_ARGS("s", what, "s", for_tenant), SD_BUS_RESULT("h", json),
                                bus_on_why, READ),
        SD_BUS_METHOD_WITH_ARGS("ListIncidents", SD_BUS_ARGS("u", max), SD_BUS_RESULT("h", json),
                                bus_on_list_incidents, READ),
        SD_BUS_METHOD_WITH_ARGS("ObserveReport", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), bus_on_read, READ),
        SD_BUS_METHOD_WITH_ARGS("DiffPolicy", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", json), bus_on_diff, READ),
        SD_BUS_METHOD_WITH_ARGS("OpenPaged", SD_BUS_ARGS("s", method, "s", argument),
                                SD_BUS_RESULT("t", handle, "t", size), bus_on_open_paged, READ),
        SD_BUS_METHOD_WITH_ARGS("ReadPaged", SD_BUS_ARGS("t", handle, "t", offset, "u", length),
                                SD_BUS_RESULT("ay", data), bus_on_read_paged, READ),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", warnings), bus_on_reload, READ),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_ARGS("t", usec), SD_BUS_NO_RESULT, bus_on_pause, READ),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, bus_on_resume, READ),
        SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_ARGS("s", name, "t", usec, "s", reason), SD_BUS_NO_RESULT,
                                bus_on_hold, READ),
        SD_BUS_METHOD_WITH_ARGS("Unhold", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, bus_on_unhold, READ),
        SD_BUS_METHOD_WITH_ARGS("Undo", SD_BUS_ARGS("t", event_id), SD_BUS_RESULT("s", done), bus_on_undo,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("ReleaseCeilings", SD_BUS_ARGS("s", name), SD_BUS_RESULT("h", json),
                                bus_on_release, READ),
        SD_BUS_METHOD_WITH_ARGS("Throttle", SD_BUS_ARGS("s", name, "s", values, "t", usec),
                                SD_BUS_RESULT("s", done), bus_on_throttle, READ),
        SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", done), bus_on_let_go,
                                READ),
        SD_BUS_METHOD_WITH_ARGS("Freeze", SD_BUS_ARGS("s", name, "t", usec), SD_BUS_RESULT("s", done),
                                bus_on_freeze, READ),
        SD_BUS_METHOD_WITH_ARGS("Thaw", SD_BUS_ARGS("s", name), SD_BUS_RESULT("s", done), bus_on_thaw, READ),
        SD_BUS_METHOD_WITH_ARGS("Kill", SD_BUS_ARGS("s", name, "b", tenant), SD_BUS_RESULT("s", done),
                                bus_on_kill, READ),
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
        bus_forget_pages();
        sd_event_source_disable_unref(g->bus_retry);
        g->bus_retry = NULL;
        sd_bus_close_unref(g->bus_dying);
        sd_bus_close_unref(g->bus);
        g->bus = g->bus_dying = NULL;
}
