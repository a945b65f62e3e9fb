/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A PID 1 of our own on the other end of a socket pair, in the same process.
 * pump() lets both ends work until nothing moves. Held calls stand for a PID 1
 * that sits in reclaim.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "buf.h"
#include "manager.h"

#define PID1 ":1.1"
#define SYSTEMD "org.freedesktop.systemd1"
#define OBJECTS "/org/freedesktop/systemd1/unit/"
#define CG "/t.slice/a.scope"
#define BY_NAME OBJECTS "a_2escope"
#define BY_ID OBJECTS "_30123456789abcdef0123456789abcdef"
#define DEV_A makedev(4001, 0)
#define DEV_B makedev(4001, 16)
#define HELD_MAX 64
#define RESULTS_MAX 512

typedef struct Fake {
        sd_bus *server, *client;
        /* how it answers */
        const char *object; /* GetUnitByControlGroup; NULL: NoSuchUnit */
        const char *control_group;
        bool has_invocation_id;
        const char *fail_member, *fail_property, *fail_with; /* answer that with an error */
        const char *wrong_type_of; /* Get() of this property gives another type */
        int (*all)(sd_bus_message *reply); /* the a{sv} of GetAll; NULL: plain_all() */
        bool hold;
        sd_bus_message *held[HELD_MAX];
        size_t n_held;
        /* what it saw */
        Buf calls; /* "Member[ property] object\n" */
        Buf set; /* what SetProperties() was given */
} Fake;

typedef struct Result {
        uint64_t cookie;
        int result;
} Result;

typedef struct Test {
        Fake fake;
        Manager *manager;
        Result results[RESULTS_MAX];
        size_t n_results;
        Buf told; /* manager's signals */
        UnitInfo unit; /* last one found */
        LimitSet limits; /* last ones read */
        char control_group[128];
        bool again; /* a callback asks once more */
        bool drop_bus; /* a callback takes the bus away */
        int again_result;
        uint64_t cancel; /* a callback cancels */
} Test;

/* ---- PID 1 ---- */

static int append_variant_string(sd_bus_message *m, const char *name, const char *value) {
        return sd_bus_message_append(m, "{sv}", name, "s", value);
}

static int plain_all(sd_bus_message *m, const Fake *f) {
        int r = append_variant_string(m, "ControlGroup", f->control_group);

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "MemoryMax", "t", (uint64_t)1000);
        return r;
}

static int answer_get(Fake *f, sd_bus_message *call, sd_bus_message *reply, const char *property) {
        static const uint8_t id[16] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef };
        int r;

        (void)call;
        if (f->wrong_type_of && STR_EQ(f->wrong_type_of, property))
                return sd_bus_message_append(reply, "v", "(ias)", 7, 1, "x");
        if (STR_EQ(property, "ControlGroup"))
                return sd_bus_message_append(reply, "v", "s", f->control_group);
        if (STR_EQ(property, "Transient"))
                return sd_bus_message_append(reply, "v", "b", true);
        if (STR_EQ(property, "Delegate"))
                return sd_bus_message_append(reply, "v", "b", true);
        if (STR_EQ(property, "ControlGroupId"))
                return sd_bus_message_append(reply, "v", "t", (uint64_t)4711);
        assert_string_equal(property, "InvocationID");
        r = sd_bus_message_open_container(reply, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', id, f->has_invocation_id ? sizeof(id) : 0);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r;
}

static void note_set(Fake *f, sd_bus_message *call) {
        const char *name, *contents, *path;
        uint64_t v;
        int runtime;
        char type;

        assert_true(sd_bus_message_read(call, "b", &runtime) > 0);
        assert_true(runtime);
        assert_true(sd_bus_message_enter_container(call, 'a', "(sv)") > 0);
        while (sd_bus_message_enter_container(call, 'r', "sv") > 0) {
                assert_true(sd_bus_message_read(call, "s", &name) > 0);
                assert_true(sd_bus_message_peek_type(call, &type, &contents) > 0);
                if (STR_EQ(contents, "t")) {
                        assert_true(sd_bus_message_read(call, "v", "t", &v) > 0);
                        buf_printf(&f->set, "%s=%lld\n", name, (long long)v);
                } else {
                        assert_true(sd_bus_message_enter_container(call, 'v', "a(st)") > 0);
                        assert_true(sd_bus_message_enter_container(call, 'a', "(st)") > 0);
                        buf_printf(&f->set, "%s=[", name);
                        while (sd_bus_message_read(call, "(st)", &path, &v) > 0)
                                buf_printf(&f->set, "%s %lld,", path, (long long)v);
                        buf_puts(&f->set, "]\n");
                        assert_true(sd_bus_message_exit_container(call) >= 0);
                        assert_true(sd_bus_message_exit_container(call) >= 0);
                }
                assert_true(sd_bus_message_exit_container(call) >= 0);
        }
}

static void send_reply(Fake *f, sd_bus_message *reply) {
        assert_true(sd_bus_message_set_sender(reply, PID1) >= 0);
        assert_true(sd_bus_send(f->server, reply, NULL) >= 0);
        sd_bus_message_unref(reply);
}

static void answer(Fake *f, sd_bus_message *call) {
        const char *member = sd_bus_message_get_member(call), *arg = "", *property = "";
        sd_bus_message *reply = NULL;
        int r = 0;

        assert_true(sd_bus_message_rewind(call, true) >= 0);
        if (STR_EQ(member, "Get"))
                assert_true(sd_bus_message_read(call, "ss", &arg, &property) > 0);
        else if (STR_EQ(member, "GetAll") || STR_EQ(member, "GetUnitByControlGroup"))
                assert_true(sd_bus_message_read(call, "s", &arg) > 0);
        if (f->fail_with && (!f->fail_member || STR_EQ(f->fail_member, member)) &&
            (!f->fail_property || STR_EQ(f->fail_property, property))) {
                sd_bus_error e = SD_BUS_ERROR_MAKE_CONST(f->fail_with, "as told");

                assert_true(sd_bus_message_new_method_error(call, &reply, &e) >= 0);
                send_reply(f, reply);
                return;
        }
        if (STR_EQ(member, "GetUnitByControlGroup") && !f->object) {
                sd_bus_error e = SD_BUS_ERROR_MAKE_CONST(SYSTEMD ".NoSuchUnit", "no");

                assert_true(sd_bus_message_new_method_error(call, &reply, &e) >= 0);
                send_reply(f, reply);
                return;
        }
        assert_true(sd_bus_message_new_method_return(call, &reply) >= 0);
        if (STR_EQ(member, "GetUnitByControlGroup"))
                r = sd_bus_message_append(reply, "o", f->object);
        else if (STR_EQ(member, "Get"))
                r = answer_get(f, call, reply, property);
        else if (STR_EQ(member, "GetAll")) {
                assert_string_equal(arg, SYSTEMD ".Scope");
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
                if (r >= 0)
                        r = f->all ? f->all(reply) : plain_all(reply, f);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        } else if (STR_EQ(member, "SetProperties"))
                note_set(f, call);
        assert_true(r >= 0);
        send_reply(f, reply);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Fake *f = userdata;
        const char *interface, *property;

        (void)error;
        if (!sd_bus_message_is_method_call(m, NULL, NULL))
                return 0;
        buf_puts(&f->calls, sd_bus_message_get_member(m));
        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "Get")) {
                assert_true(sd_bus_message_read(m, "ss", &interface, &property) > 0);
                buf_printf(&f->calls, " %s", property);
        }
        buf_printf(&f->calls, " %s\n", sd_bus_message_get_path(m));
        if (f->hold) {
                assert_true(f->n_held < HELD_MAX);
                f->held[f->n_held++] = sd_bus_message_ref(m);
        } else
                answer(f, m);
        return 1;
}

static void release(Fake *f, size_t i) {
        answer(f, f->held[i]);
        f->held[i] = sd_bus_message_unref(f->held[i]);
        memmove(f->held + i, f->held + i + 1, (f->n_held - i - 1) * sizeof(f->held[0]));
        f->n_held--;
}

static void pump(Test *t) {
        for (unsigned idle = 0; idle < 3;) {
                int a = t->fake.server ? sd_bus_process(t->fake.server, NULL) : 0;
                int b = t->fake.client ? sd_bus_process(t->fake.client, NULL) : 0;

                idle = a > 0 || b > 0 ? 0 : idle + 1;
        }
}

static void connect_pair(Test *t) {
        Fake *f = &t->fake;
        sd_id128_t id = {};
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(sd_id128_randomize(&id), 0);
        assert_true(sd_bus_new(&f->server) >= 0);
        assert_true(sd_bus_set_fd(f->server, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_set_server(f->server, true, id) >= 0);
        assert_true(sd_bus_add_filter(f->server, NULL, on_message, f) >= 0);
        assert_true(sd_bus_start(f->server) >= 0);
        assert_true(sd_bus_new(&f->client) >= 0);
        assert_true(sd_bus_set_fd(f->client, fds[1], fds[1]) >= 0);
        assert_true(sd_bus_start(f->client) >= 0);
}

static void drop_held(Fake *f) {
        while (f->n_held > 0)
                sd_bus_message_unref(f->held[--f->n_held]);
}

static void close_server(Test *t) {
        drop_held(&t->fake);
        t->fake.server = sd_bus_close_unref(t->fake.server);
}

static void send_signal(Test *t, const char *sender, const char *path, const char *interface,
                        const char *member, const char *types, ...) {
        sd_bus_message *m = NULL;
        va_list ap;

        assert_true(sd_bus_message_new_signal(t->fake.server, &m, path, interface, member) >= 0);
        va_start(ap, types);
        assert_true(sd_bus_message_appendv(m, types, ap) >= 0);
        va_end(ap);
        if (sender)
                assert_true(sd_bus_message_set_sender(m, sender) >= 0);
        assert_true(sd_bus_send(t->fake.server, m, NULL) >= 0);
        sd_bus_message_unref(m);
        pump(t);
}

static void send_reloading(Test *t, const char *sender, bool active) {
        send_signal(t, sender, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "Reloading", "b",
                    (int)active);
}

static void send_owner(Test *t, const char *sender, const char *before, const char *after) {
        send_signal(t, sender, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss",
                    SYSTEMD, before, after);
}

/* ---- our side ---- */

static void on_reloading(void *user, bool active) {
        Test *t = user;

        buf_printf(&t->told, "reloading %d\n", active);
}

static void on_connected(void *user) {
        Test *t = user;

        buf_puts(&t->told, "connected\n");
}

static int resolve_device(void *user, const char *path, dev_t *ret) {
        (void)user;
        if (!STR_EQ(path, "/var/lib/docker"))
                return 1;
        *ret = DEV_A;
        return 0;
}

static void on_limits(void *user, uint64_t cookie, int result, const LimitSet *limits,
                      const char *control_group);

static void note(Test *t, uint64_t cookie, int result) {
        assert_true(t->n_results < RESULTS_MAX);
        t->results[t->n_results++] = (Result){ cookie, result };
        if (t->again) {
                t->again = false;
                t->again_result = manager_get_limits(t->manager,
                                                     &(UnitInfo){ .name = (char *)"a.scope",
                                                                  .object = (char *)BY_ID,
                                                                  .control_group = (char *)CG },
                                                     on_limits, t, 1000);
        }
        if (t->cancel) {
                manager_cancel(t->manager, t->cancel);
                t->cancel = 0;
        }
        if (t->drop_bus) {
                t->drop_bus = false;
                assert_int_equal(manager_set_bus(t->manager, NULL), 0);
        }
}

static void on_unit(void *user, uint64_t cookie, int result, const UnitInfo *u) {
        Test *t = user;

        assert_int_equal(result == 0, u != NULL);
        unit_info_deinit(&t->unit);
        if (u) {
                t->unit = *u;
                t->unit.name = strdup(u->name);
                t->unit.object = strdup(u->object);
                t->unit.control_group = strdup(u->control_group);
        }
        note(t, cookie, result);
}

static void on_limits(void *user, uint64_t cookie, int result, const LimitSet *limits,
                      const char *control_group) {
        Test *t = user;

        assert_int_equal(result == 0, limits != NULL);
        assert_int_equal(result == 0, control_group != NULL);
        limit_set_clear(&t->limits);
        if (limits)
                assert_int_equal(limit_set_copy(&t->limits, limits), 0);
        (void)snprintf(t->control_group, sizeof(t->control_group), "%s", control_group ? control_group : "");
        note(t, cookie, result);
}

static void on_set(void *user, uint64_t cookie, int result) { note(user, cookie, result); }

static UnitInfo unit_by_id(void) {
        return (UnitInfo){ .name = (char *)"a.scope", .object = (char *)BY_ID, .control_group = (char *)CG };
}

static void ask_unit(Test *t, uint64_t cookie) {
        assert_int_equal(manager_get_unit(t->manager, CG, on_unit, t, cookie), 0);
}

static void ask_limits(Test *t, uint64_t cookie) {
        UnitInfo u = unit_by_id();

        assert_int_equal(manager_get_limits(t->manager, &u, on_limits, t, cookie), 0);
}

static void ask_set(Test *t, uint64_t cookie) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        UnitInfo u = unit_by_id();

        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_MEMORY_MAX, 0 }, 5000, 0), 0);
        assert_int_equal(manager_set_limits(t->manager, &u, &set, 0, on_set, t, cookie), 0);
}

static void assert_last(const Test *t, uint64_t cookie, int result) {
        assert_true(t->n_results > 0);
        assert_int_equal(t->results[t->n_results - 1].cookie, cookie);
        assert_int_equal(t->results[t->n_results - 1].result, result);
}

static void take(Buf *b, const char *expected) {
        assert_string_equal(buf_str(b), expected);
        buf_clear(b);
}

static int setup_plain(void **state) {
        Test *t = calloc(1, sizeof(*t));
        const ManagerOps ops = {
                .reloading = on_reloading,
                .connected = on_connected,
                .resolve_device = resolve_device,
        };

        assert_non_null(t);
        t->fake.object = BY_NAME;
        t->fake.control_group = CG;
        t->fake.has_invocation_id = true;
        assert_int_equal(manager_new(&ops, t, &t->manager), 0);
        connect_pair(t);
        *state = t;
        return 0;
}

static int setup(void **state) {
        Test *t;

        (void)setup_plain(state);
        t = *state;
        assert_int_equal(manager_set_bus(t->manager, t->fake.client), 0);
        pump(t);
        take(&t->told, "connected\n");
        take(&t->fake.calls, "Subscribe /org/freedesktop/systemd1\n");
        return 0;
}

static int teardown(void **state) {
        Test *t = *state;

        (void)manager_free(t->manager);
        close_server(t);
        sd_bus_flush_close_unref(t->fake.client);
        buf_deinit(&t->fake.calls);
        buf_deinit(&t->fake.set);
        buf_deinit(&t->told);
        unit_info_deinit(&t->unit);
        limit_set_deinit(&t->limits);
        free(t);
        return 0;
}

/* ---- tests ---- */

static void test_subscribe(void **state) {
        Test *t = *state;

        assert_false(manager_is_connected(t->manager));
        t->fake.fail_member = "Subscribe";
        t->fake.fail_with = SYSTEMD ".AlreadySubscribed";
        assert_int_equal(manager_set_bus(t->manager, t->fake.client), 0);
        assert_false(manager_is_connected(t->manager));
        pump(t);
        assert_true(manager_is_connected(t->manager));
        take(&t->told, "connected\n");
        t->fake.fail_with = SD_BUS_ERROR_ACCESS_DENIED;
        assert_int_equal(manager_set_bus(t->manager, t->fake.client), 0);
        assert_false(manager_is_connected(t->manager));
        pump(t);
        assert_false(manager_is_connected(t->manager));
        take(&t->told, "");
        /* It works all the same, but for the signals. */
        send_reloading(t, PID1, true);
        take(&t->told, "");
        ask_limits(t, 1);
        pump(t);
        assert_last(t, 1, 0);
        assert_int_equal(manager_set_bus(t->manager, NULL), 0);
        assert_false(manager_is_connected(t->manager));
}

static void test_signals(void **state) {
        Test *t = *state;

        send_reloading(t, PID1, true);
        send_reloading(t, PID1, false);
        take(&t->told, "reloading 1\nreloading 0\n");
        /* From others on the bus, unicast to us. */
        send_reloading(t, ":1.77", true);
        send_owner(t, ":1.77", PID1, "");
        send_signal(t, PID1, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "Reloading", "s", "what");
        send_signal(t, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                    "NameOwnerChanged", "su", SYSTEMD, 3);
        take(&t->told, "");
        assert_true(manager_is_connected(t->manager));
        /* daemon-reexec */
        send_reloading(t, PID1, true);
        send_owner(t, "org.freedesktop.DBus", PID1, "");
        assert_false(manager_is_connected(t->manager));
        send_reloading(t, PID1, false); /* from the past */
        take(&t->told, "reloading 1\n");
        send_owner(t, "org.freedesktop.DBus", "", PID1);
        assert_true(manager_is_connected(t->manager));
        take(&t->told, "reloading 0\nconnected\n");
        take(&t->fake.calls, "Subscribe /org/freedesktop/systemd1\n");
}

static void test_get_unit(void **state) {
        Test *t = *state;

        ask_unit(t, 7);
        assert_int_equal(t->n_results, 0);
        assert_int_equal(manager_n_pending(t->manager), 1);
        pump(t);
        assert_last(t, 7, 0);
        assert_int_equal(manager_n_pending(t->manager), 0);
        assert_string_equal(t->unit.name, "a.scope");
        assert_string_equal(t->unit.object, BY_ID);
        assert_string_equal(t->unit.control_group, CG);
        assert_int_equal(t->unit.control_group_id, 4711);
        assert_int_equal(t->unit.kind, UNIT_SCOPE);
        assert_true(t->unit.transient);
        assert_true(t->unit.delegate);
        take(&t->fake.calls, "GetUnitByControlGroup /org/freedesktop/systemd1\n"
                             "Get ControlGroup " BY_NAME "\n"
                             "Get InvocationID " BY_NAME "\n"
                             "Get Transient " BY_ID "\n"
                             "Get Delegate " BY_ID "\n"
                             "Get ControlGroupId " BY_ID "\n");
        t->fake.has_invocation_id = false;
        ask_unit(t, 8);
        pump(t);
        assert_last(t, 8, 0);
        assert_string_equal(t->unit.object, BY_NAME);
        assert_int_equal(manager_get_unit(t->manager, "relative", on_unit, t, 9), -EINVAL);
        assert_int_equal(manager_get_unit(t->manager, "", on_unit, t, 9), -EINVAL);
}

static void test_unit_kinds(void **state) {
        static const struct {
                const char *object, *name;
                UnitKind kind;
        } rows[] = {
                { OBJECTS "a_2eslice", "a.slice", UNIT_SLICE },
                { OBJECTS "a_2eservice", "a.service", UNIT_SERVICE },
                { OBJECTS "a_5cx2db_2escope", "a\\x2db.scope", UNIT_SCOPE },
                { OBJECTS "a_2emount", "a.mount", UNIT_OTHER },
                { OBJECTS "a", "a", UNIT_OTHER },
        };
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                t->fake.object = rows[i].object;
                ask_unit(t, i);
                pump(t);
                assert_last(t, i, 0);
                assert_string_equal(t->unit.name, rows[i].name);
                assert_int_equal(t->unit.kind, rows[i].kind);
        }
}

static void test_not_owned(void **state) {
        Test *t = *state;

        /* The nearest ancestor, as PID 1 answers for a scope that is gone. */
        t->fake.object = OBJECTS "t_2eslice";
        t->fake.control_group = "/t.slice";
        ask_unit(t, 1);
        pump(t);
        assert_last(t, 1, MANAGER_GONE);
        take(&t->fake.calls, "GetUnitByControlGroup /org/freedesktop/systemd1\n"
                             "Get ControlGroup " OBJECTS "t_2eslice\n");
        t->fake.control_group = "";
        ask_unit(t, 2);
        pump(t);
        assert_last(t, 2, MANAGER_GONE);
        t->fake.control_group = CG "/below";
        ask_unit(t, 3);
        pump(t);
        assert_last(t, 3, MANAGER_GONE);
        t->fake.object = NULL;
        ask_unit(t, 4);
        pump(t);
        assert_last(t, 4, MANAGER_GONE);
        t->fake.object = "/org/freedesktop/somewhere/else";
        ask_unit(t, 5);
        pump(t);
        assert_last(t, 5, -EBADMSG);
}

static void test_errors(void **state) {
        static const struct {
                const char *name;
                int expected;
        } rows[] = {
                { SYSTEMD ".NoSuchUnit", MANAGER_GONE },
                { SYSTEMD ".NoUnitForInvocationID", MANAGER_GONE },
                { SD_BUS_ERROR_UNKNOWN_OBJECT, MANAGER_GONE },
                { SD_BUS_ERROR_ACCESS_DENIED, -EACCES },
                { SD_BUS_ERROR_UNKNOWN_METHOD, -EBADR },
                { SD_BUS_ERROR_INVALID_ARGS, -EINVAL },
                { SD_BUS_ERROR_NO_REPLY, -ETIMEDOUT },
                { SD_BUS_ERROR_NO_MEMORY, -ENOMEM },
                { "System.Error.EBUSY", -EBUSY },
                { "org.example.Surprise", -EIO },
        };
        static const char *const members[] = { "GetUnitByControlGroup", "Get", "GetAll", "SetProperties" };
        static const char *const identity[] = { "InvocationID", "Transient", "Delegate", "ControlGroupId" };
        Test *t = *state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                t->fake.fail_with = rows[i].name;
                for (size_t k = 0; k < ARRAY_SIZE(members); k++) {
                        t->fake.fail_member = members[k];
                        switch (k) {
                        case 0:
                        case 1:
                                ask_unit(t, i);
                                break;
                        case 2:
                                ask_limits(t, i);
                                break;
                        case 3:
                                ask_set(t, i);
                                break;
                        }
                        pump(t);
                        assert_last(t, i, rows[i].expected);
                }
                /* The check before a set. */
                t->fake.fail_member = "Get";
                buf_clear(&t->fake.calls);
                ask_set(t, i);
                pump(t);
                assert_last(t, i, rows[i].expected);
                take(&t->fake.calls, "Get ControlGroup " BY_ID "\n");
        }
        /* What an older systemd does not know is not told; anything else is an error. */
        t->fake.fail_member = "Get";
        for (size_t i = 0; i < ARRAY_SIZE(identity); i++) {
                t->fake.fail_property = identity[i];
                t->fake.fail_with = SD_BUS_ERROR_UNKNOWN_PROPERTY;
                ask_unit(t, 50 + i);
                pump(t);
                assert_last(t, 50 + i, 0);
                t->fake.fail_with = SD_BUS_ERROR_ACCESS_DENIED;
                ask_unit(t, 60 + i);
                pump(t);
                assert_last(t, 60 + i, -EACCES);
        }
        t->fake.fail_with = NULL;
        t->fake.wrong_type_of = "ControlGroup";
        ask_unit(t, 70);
        pump(t);
        assert_last(t, 70, MANAGER_GONE); /* not a string: cannot be ours */
        ask_set(t, 71);
        pump(t);
        assert_true(t->results[t->n_results - 1].result < 0);
        assert_string_equal(buf_str(&t->fake.set), "");
        for (size_t i = 0; i < ARRAY_SIZE(identity); i++) {
                t->fake.wrong_type_of = identity[i];
                ask_unit(t, 80 + i);
                pump(t);
                assert_last(t, 80 + i, 0);
        }
}

/* ---- reading limits ---- */

static int append_devices(sd_bus_message *m, const char *name, const char *path, uint64_t value,
                          const char *path2, uint64_t value2) {
        return sd_bus_message_append(m, "{sv}", name, "a(st)", 2, path, value, path2, value2);
}

static int all_known(sd_bus_message *m) {
        int r = append_variant_string(m, "ControlGroup", "/moved");

#define T(name, v) r = r < 0 ? r : sd_bus_message_append(m, "{sv}", name, "t", (uint64_t)(v))
        T("MemoryMin", 0);
        T("MemoryLow", 4096);
        T("MemoryHigh", UINT64_MAX);
        T("MemoryMax", 1 << 30);
        T("MemorySwapMax", 0);
        T("CPUQuotaPerSecUSec", 155555);
        T("CPUQuotaPeriodUSec", UINT64_MAX);
        T("CPUWeight", UINT64_MAX);
        T("IOWeight", 300);
        T("TasksMax", 1154);
        T("StartupCPUWeight", 77);
#undef T
        r = r < 0 ? r
                  : append_devices(m, "IOReadBandwidthMax", "/dev/block/4001:0", 5, "/dev/block/4001:16", 6);
        /* a path on a file system, an unplugged disk */
        r = r < 0 ? r : append_devices(m, "IOWriteIOPSMax", "/var/lib/docker", 7, "/dev/no/such", 8);
        /* two names of one disk: the later is what the kernel keeps */
        r = r < 0 ? r : append_devices(m, "IOReadIOPSMax", "/var/lib/docker", 9, "/dev/block/4001:0", 10);
        r = r < 0 ? r
                  : append_devices(m, "IODeviceLatencyTargetUSec", "/dev/block/4001:0", 25000,
                                   "/dev/block/4001:16", UINT64_MAX);
        return r;
}

static void test_get_limits(void **state) {
        static const struct {
                Limit limit;
                unsigned minor; /* 1: not per device */
                uint64_t value;
        } expected[] = {
                { LIMIT_MEMORY_MIN, 1, 0 },
                { LIMIT_MEMORY_LOW, 1, 4096 },
                { LIMIT_MEMORY_HIGH, 1, LIMIT_INFINITY },
                { LIMIT_MEMORY_MAX, 1, 1 << 30 },
                { LIMIT_MEMORY_SWAP_MAX, 1, 0 },
                { LIMIT_CPU_QUOTA, 1, 155555 },
                { LIMIT_IO_WEIGHT, 1, 300 },
                { LIMIT_TASKS_MAX, 1, 1154 },
                { LIMIT_IO_READ_BANDWIDTH_MAX, 0, 5 },
                { LIMIT_IO_READ_BANDWIDTH_MAX, 16, 6 },
                { LIMIT_IO_READ_IOPS_MAX, 0, 10 },
                { LIMIT_IO_WRITE_IOPS_MAX, 0, 7 },
                { LIMIT_IO_DEVICE_LATENCY, 0, 25000 },
        };
        Test *t = *state;

        t->fake.all = all_known;
        ask_limits(t, 3);
        pump(t);
        assert_last(t, 3, 0);
        assert_string_equal(t->control_group, "/moved");
        assert_int_equal(t->limits.n, ARRAY_SIZE(expected));
        for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
                const LimitEntry *e = &t->limits.entries[i];

                assert_int_equal(e->knob.limit, expected[i].limit);
                assert_int_equal(e->knob.dev, expected[i].minor == 1 ? 0 : makedev(4001, expected[i].minor));
                assert_int_equal(e->value, expected[i].value);
        }
        take(&t->fake.calls, "GetAll " BY_ID "\n");
}

/* Types that systemd never gives, twice the same, and more than we know. */
static int all_hostile(sd_bus_message *m) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < 50; i++)
                r = sd_bus_message_append(m, "{sv}", "Unknown", "a{s(vay)}", 1, "x", "ai", 2, 1, 2, 0);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "MemoryMax", "s", "lots");
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "MemoryHigh", "v", "t", (uint64_t)1);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "TasksMax", "u", 5);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "CPUWeight", "at", 1, (uint64_t)5);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "IOReadBandwidthMax", "a(ss)", 1, "/dev/vda", "5");
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "IOReadIOPSMax", "t", (uint64_t)5);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "IOWriteIOPSMax", "a(st)", 0);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "InvocationID", "ay", 3, 1, 2, 3);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "ControlGroup", "u", 5);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "MemoryLow", "t", (uint64_t)1);
        r = r < 0 ? r : sd_bus_message_append(m, "{sv}", "MemoryLow", "t", (uint64_t)2);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = append_variant_string(m, "ControlGroup", CG);
        return r;
}

static int all_devices(sd_bus_message *m) {
        int r = append_variant_string(m, "ControlGroup", CG);

        r = r < 0 ? r : sd_bus_message_open_container(m, 'e', "sv");
        r = r < 0 ? r : sd_bus_message_append(m, "s", "IOReadIOPSMax");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'v', "a(st)");
        r = r < 0 ? r : sd_bus_message_open_container(m, 'a', "(st)");
        for (unsigned i = 0; r >= 0 && i < 5000; i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/dev/block/4001:%u", i);
                r = sd_bus_message_append(m, "(st)", path, (uint64_t)i + 1);
        }
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static void test_hostile_limits(void **state) {
        Test *t = *state;
        uint64_t v;

        t->fake.all = all_hostile;
        ask_limits(t, 1);
        pump(t);
        assert_last(t, 1, 0);
        assert_int_equal(t->limits.n, 1);
        assert_true(limit_set_get_scalar(&t->limits, LIMIT_MEMORY_LOW, &v));
        assert_int_equal(v, 2);
        t->fake.all = all_devices;
        ask_limits(t, 2);
        pump(t);
        assert_last(t, 2, 0);
        assert_int_equal(t->limits.n, 1024);
        t->fake.all = NULL;
        t->fake.control_group = "";
        ask_limits(t, 3);
        pump(t);
        assert_last(t, 3, MANAGER_GONE);
}

/* ---- setting ---- */

static void put_limit(LimitSet *set, Limit limit, dev_t dev, uint64_t value) {
        assert_int_equal(limit_set_put(set, (LimitKnob){ limit, dev }, value, 0), 0);
}

static void do_set(Test *t, const LimitSet *set, uint32_t reset, int expected) {
        UnitInfo u = unit_by_id();

        buf_clear(&t->fake.calls);
        buf_clear(&t->fake.set);
        assert_int_equal(manager_set_limits(t->manager, &u, set, reset, on_set, t, 5), 0);
        pump(t);
        assert_last(t, 5, expected);
}

static void test_set_scalars(void **state) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        Test *t = *state;

        put_limit(&set, LIMIT_MEMORY_MIN, 0, 0);
        put_limit(&set, LIMIT_MEMORY_MAX, 0, 100);
        put_limit(&set, LIMIT_MEMORY_SWAP_MAX, 0, LIMIT_INFINITY);
        put_limit(&set, LIMIT_CPU_QUOTA, 0, 155555);
        put_limit(&set, LIMIT_CPU_PERIOD, 0, 50000);
        put_limit(&set, LIMIT_CPU_BURST, 0, 1000);
        put_limit(&set, LIMIT_CPU_WEIGHT, 0, LIMIT_INFINITY);
        put_limit(&set, LIMIT_TASKS_MAX, 0, 7);
        do_set(t, &set, 0, 0);
        take(&t->fake.set, "MemoryMin=0\nMemoryMax=100\nMemorySwapMax=-1\nCPUQuotaPerSecUSec=155555\n"
                           "CPUQuotaPeriodUSec=50000\nCPUWeight=-1\nTasksMax=7\n");
        take(&t->fake.calls, "Get ControlGroup " BY_ID "\nSetProperties " BY_ID "\n");
        /* Below one percent it would be gone with the next reload. */
        limit_set_clear(&set);
        put_limit(&set, LIMIT_CPU_QUOTA, 0, 5000);
        do_set(t, &set, 0, 0);
        take(&t->fake.set, "CPUQuotaPerSecUSec=10000\n");
        /* Nothing that PID 1 knows: it is not asked to set. */
        limit_set_clear(&set);
        put_limit(&set, LIMIT_CPU_BURST, 0, 5000);
        do_set(t, &set, 0, 0);
        take(&t->fake.calls, "Get ControlGroup " BY_ID "\n");
}

static void test_set_refused(void **state) {
        static const struct {
                Limit limit;
                uint64_t value;
                int expected;
        } rows[] = {
                { LIMIT_MEMORY_MAX, 0, -ERANGE },     { LIMIT_MEMORY_HIGH, 0, -ERANGE },
                { LIMIT_TASKS_MAX, 0, -ERANGE },      { LIMIT_CPU_QUOTA, 0, -ERANGE },
                { LIMIT_IO_WEIGHT, 0, -ERANGE },      { LIMIT_IO_WEIGHT, 10001, -ERANGE },
                { LIMIT_CPU_WEIGHT, 10001, -ERANGE }, { LIMIT_CPU_WEIGHT, 0, 0 },
                { LIMIT_CPU_WEIGHT, 10000, 0 },       { LIMIT_MEMORY_LOW, 0, 0 },
                { LIMIT_MEMORY_SWAP_MAX, 0, 0 },      { LIMIT_IO_WEIGHT, LIMIT_INFINITY, 0 },
        };
        Test *t = *state;
        UnitInfo u = unit_by_id();

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;

                put_limit(&set, rows[i].limit, 0, rows[i].value);
                assert_int_equal(manager_set_limits(t->manager, &u, &set, 0, on_set, t, i), rows[i].expected);
                pump(t);
                if (rows[i].expected == 0)
                        assert_last(t, i, 0);
        }
        assert_int_equal(t->n_results, 5);
}

static void test_set_gone(void **state) {
        static const char *const elsewhere[] = { "", "/t.slice", CG "/x", "/system.slice" };
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT, devices = LIMIT_SET_INIT;
        Test *t = *state;

        put_limit(&set, LIMIT_MEMORY_MAX, 0, 100);
        put_limit(&devices, LIMIT_IO_READ_IOPS_MAX, DEV_A, 100);
        for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
                t->fake.control_group = elsewhere[i];
                do_set(t, &set, 0, MANAGER_GONE);
                take(&t->fake.calls, "Get ControlGroup " BY_ID "\n");
                do_set(t, &devices, 0, MANAGER_GONE);
                take(&t->fake.calls, "GetAll " BY_ID "\n");
        }
        /* Gone between the check and the call. */
        t->fake.control_group = CG;
        t->fake.fail_member = "SetProperties";
        t->fake.fail_with = SYSTEMD ".NoUnitForInvocationID";
        do_set(t, &set, 0, MANAGER_GONE);
}

static int all_aliases(sd_bus_message *m) {
        int r = append_variant_string(m, "ControlGroup", CG);

        /* The admin's: two spellings of disk A, one disk that is not there. */
        r = r < 0 ? r : append_devices(m, "IOReadBandwidthMax", "/var/lib/docker", 5, "/dev/no/such", 6);
        r = r < 0 ? r : append_devices(m, "IOWriteIOPSMax", "/dev/block/4001:0", 7, "/var/lib/docker", 8);
        return r;
}

static void test_set_devices(void **state) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        Test *t = *state;

        put_limit(&set, LIMIT_IO_READ_BANDWIDTH_MAX, DEV_A, 100);
        put_limit(&set, LIMIT_IO_READ_BANDWIDTH_MAX, DEV_B, 200);
        put_limit(&set, LIMIT_MEMORY_MAX, 0, 1);
        do_set(t, &set, 0, 0);
        take(&t->fake.set, "MemoryMax=1\nIOReadBandwidthMax=[]\n"
                           "IOReadBandwidthMax=[/dev/block/4001:0 100,/dev/block/4001:16 200,]\n");
        t->fake.all = all_aliases;
        put_limit(&set, LIMIT_IO_READ_IOPS_MAX, DEV_A, 300);
        put_limit(&set, LIMIT_IO_DEVICE_LATENCY, DEV_A, 400);
        do_set(t, &set, 0, 0);
        take(&t->fake.set,
             "MemoryMax=1\nIOReadBandwidthMax=[]\n"
             "IOReadBandwidthMax=[/dev/no/such 6,/var/lib/docker 100,/dev/block/4001:0 100,"
             "/dev/block/4001:16 200,]\n"
             "IOReadIOPSMax=[]\nIOReadIOPSMax=[/var/lib/docker 300,/dev/block/4001:0 300,]\n"
             "IODeviceLatencyTargetUSec=[]\nIODeviceLatencyTargetUSec=[/dev/block/4001:0 400,]\n");
        limit_set_clear(&set);
        do_set(t, &set, UINT32_C(1) << LIMIT_IO_WRITE_BANDWIDTH_MAX | UINT32_C(1) << LIMIT_MEMORY_MAX, 0);
        take(&t->fake.set, "IOWriteBandwidthMax=[]\nIOWriteBandwidthMax=[]\n");
}

/* ---- order, bounds, ends ---- */

static void test_in_flight(void **state) {
        Test *t = *state;

        t->fake.hold = true;
        for (uint64_t i = 0; i < 30; i++)
                ask_limits(t, i);
        pump(t);
        assert_int_equal(t->fake.n_held, MANAGER_IN_FLIGHT);
        assert_int_equal(manager_n_pending(t->manager), 30);
        for (uint64_t i = 0; i < 30; i++) {
                release(&t->fake, 0);
                pump(t);
                assert_last(t, i, 0);
                assert_true(t->fake.n_held <= MANAGER_IN_FLIGHT);
                assert_int_equal(manager_n_pending(t->manager), 29 - i);
        }
        assert_int_equal(t->n_results, 30);
        /* Late and in another order: each gets its own. */
        for (uint64_t i = 0; i < 8; i++)
                ask_limits(t, 100 + i);
        pump(t);
        for (uint64_t i = 8; i > 0; i--) {
                release(&t->fake, i - 1);
                pump(t);
                assert_last(t, 100 + i - 1, 0);
        }
}

static void test_queue_bound(void **state) {
        Test *t = *state;
        UnitInfo u = unit_by_id();
        size_t n = 0;

        t->fake.hold = true;
        while (manager_get_limits(t->manager, &u, on_limits, t, 5) == 0)
                n++;
        assert_int_equal(n, MANAGER_IN_FLIGHT + MANAGER_QUEUE_MAX);
        assert_int_equal(manager_get_limits(t->manager, &u, on_limits, t, 5), -ENOBUFS);
        manager_cancel(t->manager, 5);
        assert_int_equal(manager_n_pending(t->manager), 0);
}

static void test_cancel(void **state) {
        Test *t = *state;

        t->fake.hold = true;
        for (uint64_t i = 0; i < 20; i++)
                ask_set(t, i % 10);
        pump(t);
        assert_int_equal(t->fake.n_held, MANAGER_IN_FLIGHT);
        manager_cancel(t->manager, 3); /* one in flight, one queued */
        manager_cancel(t->manager, 9); /* queued, the last one too */
        manager_cancel(t->manager, 3);
        manager_cancel(t->manager, 77);
        assert_int_equal(manager_n_pending(t->manager), 16);
        ask_set(t, 50); /* behind the end that was cancelled */
        pump(t);
        assert_int_equal(t->fake.n_held, MANAGER_IN_FLIGHT); /* PID 1's load is what it is */
        t->fake.hold = false;
        buf_clear(&t->fake.calls);
        while (t->fake.n_held > 0)
                release(&t->fake, 0);
        pump(t);
        assert_int_equal(t->n_results, 17);
        assert_last(t, 50, 0);
        for (size_t i = 0; i < t->n_results; i++) {
                assert_int_not_equal(t->results[i].cookie, 3);
                assert_int_not_equal(t->results[i].cookie, 9);
        }
        assert_int_equal(manager_n_pending(t->manager), 0);
        /* A set that was cancelled while it looked at the unit does not set. */
        t->fake.hold = true;
        ask_set(t, 60);
        pump(t);
        manager_cancel(t->manager, 60);
        t->fake.hold = false;
        buf_clear(&t->fake.calls);
        release(&t->fake, 0);
        pump(t);
        take(&t->fake.calls, "");
        assert_int_equal(t->n_results, 17);
}

static void test_disconnect(void **state) {
        Test *t = *state;
        UnitInfo u = unit_by_id();

        t->fake.hold = true;
        for (uint64_t i = 0; i < 30; i++)
                ask_limits(t, i);
        pump(t);
        release(&t->fake, 0);
        close_server(t);
        t->again = true; /* the first callback asks again */
        for (unsigned i = 0; i < 200; i++)
                (void)sd_bus_process(t->fake.client, NULL);
        assert_int_equal(t->n_results, t->again_result == 0 ? 31 : 30);
        for (size_t i = 0; i < t->n_results; i++) {
                assert_int_equal(t->results[i].result, t->results[i].cookie == 0 ? 0 : -ENOTCONN);
                for (size_t k = 0; k < i; k++)
                        assert_int_not_equal(t->results[i].cookie, t->results[k].cookie);
        }
        assert_int_equal(manager_n_pending(t->manager), 0);
        assert_int_equal(manager_get_limits(t->manager, &u, on_limits, t, 5), -ENOTCONN);
        assert_int_equal(manager_set_bus(t->manager, NULL), 0);
        assert_false(manager_is_connected(t->manager));
        assert_int_equal(manager_get_limits(t->manager, &u, on_limits, t, 5), -ENOTCONN);
        /* And made anew. */
        t->fake.hold = false;
        sd_bus_flush_close_unref(steal_ptr(t->fake.client));
        buf_clear(&t->told);
        connect_pair(t);
        assert_int_equal(manager_set_bus(t->manager, t->fake.client), 0);
        ask_limits(t, 77);
        pump(t);
        assert_last(t, 77, 0);
        take(&t->told, "connected\n");
}

static void test_bus_taken(void **state) {
        Test *t = *state;

        t->fake.hold = true;
        for (uint64_t i = 0; i < 12; i++)
                ask_unit(t, i);
        pump(t);
        t->again = true;
        assert_int_equal(manager_set_bus(t->manager, NULL), 0);
        assert_int_equal(t->again_result, -ENOTCONN);
        assert_int_equal(t->n_results, 12);
        for (size_t i = 0; i < 12; i++)
                assert_int_equal(t->results[i].result, -ENOTCONN);
        assert_int_equal(manager_n_pending(t->manager), 0);
        t->fake.hold = false;
        while (t->fake.n_held > 0)
                release(&t->fake, 0);
        pump(t); /* late replies: nobody is called again */
        assert_int_equal(t->n_results, 12);
}

/* What callbacks may do: ask, cancel, take the bus away. */
static void test_reentrance(void **state) {
        Test *t = *state;

        t->fake.hold = true;
        for (uint64_t i = 1; i <= 12; i++)
                ask_limits(t, i);
        pump(t);
        t->again = true;
        t->cancel = 12; /* queued */
        release(&t->fake, 0);
        pump(t);
        assert_int_equal(t->again_result, 0);
        assert_int_equal(manager_n_pending(t->manager), 11);
        t->cancel = 3; /* in flight */
        release(&t->fake, 0);
        pump(t);
        assert_int_equal(manager_n_pending(t->manager), 9);
        t->drop_bus = true;
        release(&t->fake, 1);
        pump(t);
        assert_int_equal(manager_n_pending(t->manager), 0);
        assert_int_equal(t->n_results, 2 + 1 + 8);
        for (size_t i = 3; i < t->n_results; i++)
                assert_int_equal(t->results[i].result, -ENOTCONN);
}

static void test_timeout(void **state) {
        Test *t = *state;

        assert_true(sd_bus_set_method_call_timeout(t->fake.client, 20 * USEC_PER_MSEC) >= 0);
        t->fake.hold = true;
        for (uint64_t i = 0; i < 10; i++)
                ask_set(t, i);
        for (unsigned i = 0; i < 200 && t->n_results < 10; i++) {
                pump(t);
                (void)sd_bus_wait(t->fake.client, 10 * USEC_PER_MSEC);
        }
        assert_int_equal(t->n_results, 10);
        for (uint64_t i = 0; i < 10; i++) {
                assert_int_equal(t->results[i].cookie, i);
                assert_int_equal(t->results[i].result, -ETIMEDOUT);
        }
        t->fake.hold = false;
        while (t->fake.n_held > 0)
                release(&t->fake, 0);
        pump(t);
        assert_int_equal(t->n_results, 10);
        assert_string_equal(buf_str(&t->fake.set), "");
}

static void test_freed_manager(void **state) {
        Test *t = *state;

        t->fake.hold = true;
        for (uint64_t i = 0; i < 12; i++)
                ask_set(t, i);
        pump(t);
        manager_cancel(t->manager, 4);
        manager_cancel(t->manager, 11);
        t->again = true;
        t->manager = manager_free(t->manager);
        assert_int_equal(t->n_results, 10);
        for (size_t i = 0; i < t->n_results; i++) {
                assert_int_equal(t->results[i].result, -ECANCELED);
                assert_int_not_equal(t->results[i].cookie, 4);
        }
        t->fake.hold = false;
        while (t->fake.n_held > 0)
                release(&t->fake, 0);
        pump(t);
        assert_int_equal(t->n_results, 10);
        assert_null(manager_free(NULL));
}

static void test_no_bus(void **state) {
        Test *t = *state;
        UnitInfo u = unit_by_id();
        LimitSet none = LIMIT_SET_INIT;

        assert_int_equal(manager_get_unit(t->manager, CG, on_unit, t, 1), -ENOTCONN);
        assert_int_equal(manager_get_limits(t->manager, &u, on_limits, t, 1), -ENOTCONN);
        assert_int_equal(manager_set_limits(t->manager, &u, &none, 0, on_set, t, 1), -ENOTCONN);
        manager_cancel(t->manager, 1);
        assert_int_equal(manager_n_pending(t->manager), 0);
        assert_int_equal(t->n_results, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_PLAIN(f) cmocka_unit_test_setup_teardown(f, setup_plain, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_PLAIN(test_subscribe), TEST(test_signals),        TEST(test_get_unit),
                TEST(test_unit_kinds),      TEST(test_not_owned),      TEST(test_errors),
                TEST(test_get_limits),      TEST(test_hostile_limits), TEST(test_set_scalars),
                TEST(test_set_refused),     TEST(test_set_gone),       TEST(test_set_devices),
                TEST(test_in_flight),       TEST(test_queue_bound),    TEST(test_cancel),
                TEST(test_disconnect),      TEST(test_bus_taken),      TEST(test_reentrance),
                TEST(test_timeout),         TEST(test_freed_manager),  TEST_PLAIN(test_no_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
