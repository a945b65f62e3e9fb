/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client of PID 1 that never waits.
 *
 * A request is an Op. It is either queued or in flight; in flight it has just
 * one bus call under way, and the reply either ends it or starts its next call:
 *
 *   get_unit    GetUnitByControlGroup → Get ControlGroup: is it ours? → Get InvocationID, …
 *   get_limits  GetAll
 *   set_limits  Get ControlGroup (GetAll where devices are named) → SetProperties
 *
 * A GetAll costs PID 1 six to twelve times what a Get does (it reads the
 * cgroup's counters for it), so get_unit asks for the few that it needs.
 *
 * op_end() is the only place that calls back: it takes the op off its list
 * first, so that a callback may do with the manager what it likes.
 *
 * Units are addressed by invocation id where they have one. PID 1 would load
 * a unit just because somebody names it, and SetUnitProperties() on the name
 * of a slice that is gone makes a drop-in and starts the slice (seen with 252).
 * There is no such unit by an id that is gone, so that no race is left between
 * the check and the call. The few units without an id are perpetual.
 *
 * The bus tells its own truth only about method replies. Signals may come from
 * anybody who is on the system bus, so a Reloading counts only from the unique
 * name that answered our Subscribe(), a NameOwnerChanged only from the bus.
 */

#include "manager.h"
#include "properties.h"

#define DESTINATION "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define UNIT_OBJECTS OBJECT "/unit"
#define INTERFACE_MANAGER DESTINATION ".Manager"
#define INTERFACE_UNIT DESTINATION ".Unit"
#define INTERFACE_PROPERTIES "org.freedesktop.DBus.Properties"

#define MATCH_RELOADING                                                                          \
        "type='signal',sender='" DESTINATION "',path='" OBJECT "',interface='" INTERFACE_MANAGER \
        "',member='Reloading'"
#define MATCH_OWNER                                                                 \
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus'," \
        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" DESTINATION "'"

typedef enum OpKind { OP_GET_UNIT, OP_GET_LIMITS, OP_SET_LIMITS } OpKind;

typedef struct Op {
        struct Op *next;
        Manager *manager;
        OpKind kind;
        uint64_t cookie;
        void *user;
        union {
                ManagerUnitDone unit;
                ManagerLimitsDone limits;
                ManagerSetDone set;
        } done;
        bool cancelled; /* in flight, but nobody wants to know */
        char *cgroup; /* get_unit */
        UnitProperties found; /* get_unit: so far */
        size_t n_found;
        UnitInfo unit; /* the others; in get_unit as far as known */
        LimitSet limits; /* set_limits */
        uint32_t reset;
        sd_bus_slot *slot; /* of the call under way */
} Op;

/* What op_end() hands to the callback; borrowed. */
typedef struct Outcome {
        const UnitInfo *unit;
        const LimitSet *limits;
        const char *control_group;
} Outcome;

struct Manager {
        ManagerOps ops;
        void *user;
        bool freeing;
        sd_bus *bus;
        sd_bus_slot *match_reloading, *match_owner, *subscribe;
        bool connected;
        bool reloading; /* as last told */
        char *owner; /* unique name of PID 1; NULL on a direct connection */
        Op *queue, **queue_tail;
        Op *in_flight;
        size_t n_queued, n_in_flight, n_cancelled;
};

static int op_step(Op *op);

static const struct {
        const char *suffix;
        UnitKind kind;
        const char *interface;
} kinds[] = {
        { ".scope", UNIT_SCOPE, DESTINATION ".Scope" },
        { ".slice", UNIT_SLICE, DESTINATION ".Slice" },
        { ".service", UNIT_SERVICE, DESTINATION ".Service" },
        { ".socket", UNIT_OTHER, DESTINATION ".Socket" },
        { ".mount", UNIT_OTHER, DESTINATION ".Mount" },
        { ".swap", UNIT_OTHER, DESTINATION ".Swap" },
};

static UnitKind kind_of(const char *name, const char **ret_interface) {
        const char *dot = strrchr(name, '.');

        for (size_t i = 0; dot && i < ARRAY_SIZE(kinds); i++)
                if (STR_EQ(dot, kinds[i].suffix)) {
                        *ret_interface = kinds[i].interface;
                        return kinds[i].kind;
                }
        *ret_interface = "";
        return UNIT_OTHER;
}

void unit_info_deinit(UnitInfo *u) {
        free(u->name);
        free(u->object);
        free(u->control_group);
        *u = (UnitInfo){};
}

static int unit_info_copy(UnitInfo *to, const UnitInfo *from) {
        UnitInfo u = *from;

        u.name = strdup(from->name);
        u.object = strdup(from->object);
        u.control_group = strdup(from->control_group);
        if (!u.name || !u.object || !u.control_group) {
                unit_info_deinit(&u);
                return -ENOMEM;
        }
        *to = u;
        return 0;
}

static Op *op_free(Op *op) {
        if (!op)
                return NULL;
        sd_bus_slot_unref(op->slot);
        free(op->cgroup);
        unit_info_deinit(&op->unit);
        unit_properties_deinit(&op->found);
        limit_set_deinit(&op->limits);
        free(op);
        return NULL;
}
DEFINE_CLEANUP(Op *, op_free)

/* The op is on no list any more. */
static void op_end(Op *op, int result, const Outcome *out) {
        static const Outcome none = {};

        if (!out || result != 0)
                out = &none;
        if (!op->cancelled)
                switch (op->kind) {
                case OP_GET_UNIT:
                        op->done.unit(op->user, op->cookie, result, out->unit);
                        break;
                case OP_GET_LIMITS:
                        op->done.limits(op->user, op->cookie, result, out->limits, out->control_group);
                        break;
                case OP_SET_LIMITS:
                        op->done.set(op->user, op->cookie, result);
                        break;
                }
        (void)op_free(op);
}

static void in_flight_add(Manager *m, Op *op) {
        op->next = m->in_flight;
        m->in_flight = op;
        m->n_in_flight++;
}

static void in_flight_remove(Manager *m, Op *op) {
        for (Op **p = &m->in_flight; *p; p = &(*p)->next)
                if (*p == op) {
                        *p = op->next;
                        op->next = NULL;
                        m->n_in_flight--;
                        m->n_cancelled -= op->cancelled;
                        return;
                }
}

static Op *queue_pop(Manager *m) {
        Op *op = m->queue;

        if (!op)
                return NULL;
        m->queue = op->next;
        if (!m->queue)
                m->queue_tail = &m->queue;
        op->next = NULL;
        m->n_queued--;
        return op;
}

static void dispatch(Manager *m) {
        while (m->n_in_flight < MANAGER_IN_FLIGHT) {
                Op *op = queue_pop(m);
                int r;

                if (!op)
                        return;
                r = op_step(op);
                if (r < 0)
                        op_end(op, r, NULL);
                else
                        in_flight_add(m, op);
        }
}

/* Ends an op in flight and lets the next one start. */
static void finish(Op *op, int result, const Outcome *out) {
        Manager *m = op->manager;

        in_flight_remove(m, op);
        op_end(op, result, out);
        dispatch(m);
}

static void fail_all(Manager *m, int result) {
        Op *op;

        while ((op = m->in_flight)) {
                in_flight_remove(m, op);
                op_end(op, result, NULL);
        }
        while ((op = queue_pop(m)))
                op_end(op, result, NULL);
}

/* 0: a reply. MANAGER_GONE, or negative errno. */
static int reply_result(Manager *m, sd_bus_message *reply) {
        static const char *const gone[] = {
                DESTINATION ".NoSuchUnit",
                DESTINATION ".NoUnitForInvocationID",
                SD_BUS_ERROR_UNKNOWN_OBJECT,
        };
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int r;

        if (!e)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
                if (sd_bus_error_has_name(e, gone[i]))
                        return MANAGER_GONE;
        /* A connection that ends answers all open calls with NoReply, which would read as a timeout. */
        if (!m->bus || sd_bus_is_open(m->bus) <= 0)
                return -ENOTCONN;
        r = sd_bus_error_get_errno(e);
        return r > 0 ? -r : -EIO;
}

static uint64_t call_timeout(sd_bus *bus) {
        uint64_t usec;

        if (sd_bus_get_method_call_timeout(bus, &usec) < 0)
                return MANAGER_CALL_TIMEOUT;
        return MIN_OF(usec, (uint64_t)MANAGER_CALL_TIMEOUT);
}

static int op_send(Op *op, sd_bus_message *call, sd_bus_message_handler_t on_reply) {
        sd_bus *bus = op->manager->bus;
        int r;

        op->slot = sd_bus_slot_unref(op->slot);
        if (!bus)
                return -ENOTCONN;
        r = sd_bus_call_async(bus, &op->slot, call, on_reply, op, call_timeout(bus));
        /* The call that finds out says ECONNRESET. */
        return r < 0 && sd_bus_is_open(bus) <= 0 ? -ENOTCONN : r;
}

static int op_get_all(Op *op, sd_bus_message_handler_t on_reply) {
        sd_bus_message *call = NULL;
        const char *interface;
        int r;

        (void)kind_of(op->unit.name, &interface);
        r = sd_bus_message_new_method_call(op->manager->bus, &call, DESTINATION, op->unit.object,
                                           INTERFACE_PROPERTIES, "GetAll");
        if (r >= 0)
                r = sd_bus_message_append_basic(call, 's', interface);
        if (r >= 0)
                r = op_send(op, call, on_reply);
        sd_bus_message_unref(call);
        return r;
}

static int op_get(Op *op, const char *interface, const char *property, sd_bus_message_handler_t on_reply) {
        sd_bus_message *call = NULL;
        int r;

        if (!interface)
                (void)kind_of(op->unit.name, &interface);
        r = sd_bus_message_new_method_call(op->manager->bus, &call, DESTINATION, op->unit.object,
                                           INTERFACE_PROPERTIES, "Get");
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", interface, property);
        if (r >= 0)
                r = op_send(op, call, on_reply);
        sd_bus_message_unref(call);
        return r;
}

static int properties_of_reply(Op *op, sd_bus_message *reply, UnitProperties *p) {
        Manager *m = op->manager;
        int r;

        r = reply_result(m, reply);
        if (r != 0)
                return r;
        r = unit_properties_read(reply, m->ops.resolve_device, m->user, p);
        if (r < 0)
                return r;
        /* A unit that is not running, or not even there, has all properties and no cgroup. */
        return p->control_group && p->control_group[0] ? 0 : MANAGER_GONE;
}

/* ---- get_unit ---- */

/* What makes a UnitInfo; interface NULL: that of the unit's kind. */
static const struct {
        const char *interface, *property;
} identity[] = {
        { NULL, "ControlGroup" }, { INTERFACE_UNIT, "InvocationID" }, { INTERFACE_UNIT, "Transient" },
        { NULL, "Delegate" },     { NULL, "ControlGroupId" },
};

/* The reply to identity[op->n_found]: into op->found. */
static int take_identity(Op *op, sd_bus_message *reply) {
        UnitProperties *found = &op->found;
        char *object;
        int r;

        r = reply_result(op->manager, reply);
        if (r < 0 && op->n_found > 0 && sd_bus_message_is_method_error(reply, SD_BUS_ERROR_UNKNOWN_PROPERTY))
                return 0; /* older systemd, other kinds of unit: not told */
        if (r != 0)
                return r;
        r = unit_property_read(reply, identity[op->n_found].property, NULL, NULL, found);
        if (r < 0)
                return r;
        if (!found->control_group || !STR_EQ(found->control_group, op->cgroup))
                return MANAGER_GONE; /* it is an ancestor that we were given */
        if (STR_EQ(identity[op->n_found].property, "InvocationID") && found->invocation_id[0]) {
                r = sd_bus_path_encode(UNIT_OBJECTS, found->invocation_id, &object);
                if (r < 0)
                        return r;
                free(op->unit.object);
                op->unit.object = object;
        }
        return 0;
}

static int on_identity(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Op *op = userdata;
        const char *interface;
        int r;

        (void)error;
        r = take_identity(op, reply);
        if (r == 0 && op->cancelled)
                r = -ECANCELED;
        op->n_found++;
        if (r == 0 && op->n_found < ARRAY_SIZE(identity)) {
                r = op_get(op, identity[op->n_found].interface, identity[op->n_found].property, on_identity);
                if (r >= 0)
                        return 1;
        } else if (r == 0) {
                op->unit.kind = kind_of(op->unit.name, &interface);
                op->unit.control_group = steal_ptr(op->found.control_group);
                op->unit.control_group_id = op->found.control_group_id;
                op->unit.transient = op->found.transient;
                op->unit.delegate = op->found.delegate;
        }
        finish(op, r, &(Outcome){ .unit = &op->unit });
        return 1;
}

/* The object path that PID 1 gave: on to its first property. */
static int take_object(Op *op, sd_bus_message *reply) {
        const char *object;
        int r;

        r = sd_bus_message_read_basic(reply, 'o', &object);
        if (r < 0)
                return r;
        r = sd_bus_path_decode(object, UNIT_OBJECTS, &op->unit.name);
        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG; /* no object of a unit */
        op->unit.object = strdup(object);
        if (!op->unit.object)
                return -ENOMEM;
        r = op_get(op, identity[0].interface, identity[0].property, on_identity);
        return r < 0 ? r : 0;
}

static int on_object(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Op *op = userdata;
        int r;

        (void)error;
        r = reply_result(op->manager, reply);
        if (r == 0)
                r = op->cancelled ? -ECANCELED : take_object(op, reply);
        if (r != 0)
                finish(op, r, NULL);
        return 1;
}

static int op_find_unit(Op *op) {
        sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(op->manager->bus, &call, DESTINATION, OBJECT, INTERFACE_MANAGER,
                                           "GetUnitByControlGroup");
        if (r >= 0)
                r = sd_bus_message_append_basic(call, 's', op->cgroup);
        if (r >= 0)
                r = op_send(op, call, on_object);
        sd_bus_message_unref(call);
        return r;
}

/* ---- get_limits ---- */

static int on_limits(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        _cleanup_(unit_properties_deinit) UnitProperties p = {};
        Op *op = userdata;
        int r;

        (void)error;
        r = properties_of_reply(op, reply, &p);
        finish(op, r, &(Outcome){ .limits = &p.limits, .control_group = p.control_group });
        return 1;
}

/* ---- set_limits ---- */

static bool names_devices(const Op *op) {
        if (op->reset != 0)
                return true;
        for (size_t i = 0; i < op->limits.n; i++)
                if (limit_info(op->limits.entries[i].knob.limit)->per_device)
                        return true;
        return false;
}

/* Is there anything in it that PID 1 has a property for? */
static bool names_property(const Op *op) {
        if (op->reset != 0)
                return true;
        for (size_t i = 0; i < op->limits.n; i++)
                if (limit_info(op->limits.entries[i].knob.limit)->property)
                        return true;
        return false;
}

static int on_set(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Op *op = userdata;

        (void)error;
        finish(op, reply_result(op->manager, reply), NULL);
        return 1;
}

static int op_set_properties(Op *op, const UnitProperties *now) {
        sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(op->manager->bus, &call, DESTINATION, op->unit.object,
                                           INTERFACE_UNIT, "SetProperties");
        if (r >= 0)
                r = sd_bus_message_append(call, "b", true); /* runtime */
        if (r >= 0)
                r = properties_append(call, &op->limits, op->reset, now);
        if (r >= 0)
                r = op_send(op, call, on_set);
        sd_bus_message_unref(call);
        return r < 0 ? r : 0;
}

/* The unit was looked at and has this ControlGroup (NULL: could not be told). */
static void op_checked(Op *op, int result, const char *control_group, const UnitProperties *now) {
        if (result == 0 && (!control_group || !STR_EQ(control_group, op->unit.control_group)))
                result = MANAGER_GONE;
        if (result == 0 && op->cancelled)
                result = -ECANCELED;
        if (result == 0 && names_property(op)) {
                result = op_set_properties(op, now);
                if (result == 0)
                        return;
        }
        finish(op, result, NULL);
}

static int on_checked_all(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        _cleanup_(unit_properties_deinit) UnitProperties p = {};
        Op *op = userdata;
        int r;

        (void)error;
        r = properties_of_reply(op, reply, &p);
        op_checked(op, r, p.control_group, &p);
        return 1;
}

static int on_checked(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Op *op = userdata;
        const char *control_group = NULL;
        int r;

        (void)error;
        r = reply_result(op->manager, reply);
        if (r == 0) {
                r = sd_bus_message_read(reply, "v", "s", &control_group);
                r = r < 0 ? r : 0;
        }
        op_checked(op, r, control_group, NULL);
        return 1;
}

static int op_check(Op *op) {
        if (names_devices(op))
                return op_get_all(op, on_checked_all);
        return op_get(op, NULL, "ControlGroup", on_checked);
}

/* ---- requests ---- */

/* Sends the op's first call. */
static int op_step(Op *op) {
        if (!op->manager->bus)
                return -ENOTCONN;
        switch (op->kind) {
        case OP_GET_UNIT:
                return op_find_unit(op);
        case OP_GET_LIMITS:
                return op_get_all(op, on_limits);
        case OP_SET_LIMITS:
                return op_check(op);
        }
        return -EINVAL;
}

/* Takes the op over when it returns 0. */
static int submit(Manager *m, Op *op) {
        int r;

        if (m->freeing)
                return -ECANCELED;
        if (!m->bus || sd_bus_is_open(m->bus) <= 0)
                return -ENOTCONN;
        op->manager = m;
        if (m->n_in_flight < MANAGER_IN_FLIGHT && !m->queue) {
                r = op_step(op);
                if (r < 0)
                        return r;
                in_flight_add(m, op);
                return 0;
        }
        if (m->n_queued >= MANAGER_QUEUE_MAX)
                return -ENOBUFS;
        *m->queue_tail = op;
        m->queue_tail = &op->next;
        m->n_queued++;
        return 0;
}

static int op_new(OpKind kind, void *user, uint64_t cookie, Op **ret) {
        Op *op;

        op = calloc(1, sizeof(*op));
        if (!op)
                return -ENOMEM;
        op->kind = kind;
        op->user = user;
        op->cookie = cookie;
        *ret = op;
        return 0;
}

int manager_get_unit(Manager *m, const char *cgroup, ManagerUnitDone done, void *user, uint64_t cookie) {
        _cleanup_(cleanup_op_free) Op *op = NULL;
        int r;

        if (cgroup[0] != '/')
                return -EINVAL;
        r = op_new(OP_GET_UNIT, user, cookie, &op);
        if (r < 0)
                return r;
        op->done.unit = done;
        op->cgroup = strdup(cgroup);
        if (!op->cgroup)
                return -ENOMEM;
        r = submit(m, op);
        if (r < 0)
                return r;
        (void)steal_ptr(op);
        return 0;
}

int manager_get_limits(Manager *m, const UnitInfo *u, ManagerLimitsDone done, void *user, uint64_t cookie) {
        _cleanup_(cleanup_op_free) Op *op = NULL;
        int r;

        r = op_new(OP_GET_LIMITS, user, cookie, &op);
        if (r < 0)
                return r;
        op->done.limits = done;
        r = unit_info_copy(&op->unit, u);
        if (r < 0)
                return r;
        r = submit(m, op);
        if (r < 0)
                return r;
        (void)steal_ptr(op);
        return 0;
}

int manager_set_limits(Manager *m, const UnitInfo *u, const LimitSet *limits, uint32_t reset,
                       ManagerSetDone done, void *user, uint64_t cookie) {
        _cleanup_(cleanup_op_free) Op *op = NULL;
        int r;

        r = properties_check(limits);
        if (r < 0)
                return r;
        r = op_new(OP_SET_LIMITS, user, cookie, &op);
        if (r < 0)
                return r;
        op->done.set = done;
        op->reset = reset;
        r = unit_info_copy(&op->unit, u);
        if (r < 0)
                return r;
        r = limit_set_copy(&op->limits, limits);
        if (r < 0)
                return r;
        r = submit(m, op);
        if (r < 0)
                return r;
        (void)steal_ptr(op);
        return 0;
}

void manager_cancel(Manager *m, uint64_t cookie) {
        /* Calls in flight go on, silently: PID 1 works on them all the same, and they count as its load. */
        for (Op *op = m->in_flight; op; op = op->next)
                if (op->cookie == cookie && !op->cancelled) {
                        op->cancelled = true;
                        m->n_cancelled++;
                }
        for (Op **p = &m->queue; *p;) {
                Op *op = *p;

                if (op->cookie != cookie) {
                        p = &op->next;
                        continue;
                }
                *p = op->next;
                if (!*p)
                        m->queue_tail = p;
                m->n_queued--;
                (void)op_free(op);
        }
}

size_t manager_n_pending(const Manager *m) { return m->n_queued + m->n_in_flight - m->n_cancelled; }

/* ---- the connection ---- */

static void set_owner(Manager *m, const char *name) {
        free(m->owner);
        m->owner = name ? strdup(name) : NULL;
}

static int on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        (void)error;
        m->subscribe = sd_bus_slot_unref(m->subscribe);
        /* After a reexec PID 1 may remember us. Any other failure: the next owner will be asked again, and
         * without Reloading the slow timer's look still finds all. */
        if (e && !sd_bus_error_has_name(e, DESTINATION ".AlreadySubscribed"))
                return 1;
        set_owner(m, sd_bus_message_get_sender(reply));
        m->connected = true;
        /* A daemon-reexec says Reloading(true), and then PID 1 is another one that never says false. */
        if (m->reloading) {
                m->reloading = false;
                if (m->ops.reloading)
                        m->ops.reloading(m->user, false);
        }
        if (m->ops.connected)
                m->ops.connected(m->user);
        return 1;
}

static int subscribe(Manager *m) {
        m->subscribe = sd_bus_slot_unref(m->subscribe);
        return sd_bus_call_method_async(m->bus, &m->subscribe, DESTINATION, OBJECT, INTERFACE_MANAGER,
                                        "Subscribe", on_subscribed, m, NULL);
}

static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        const char *sender = sd_bus_message_get_sender(signal), *name, *before, *after;

        (void)error;
        if (!sender || !STR_EQ(sender, "org.freedesktop.DBus"))
                return 0;
        if (sd_bus_message_read(signal, "sss", &name, &before, &after) < 0 || !STR_EQ(name, DESTINATION))
                return 0;
        m->connected = false;
        set_owner(m, NULL);
        /* daemon-reexec: PID 1 left the bus, and comes back under another unique name. */
        if (after[0])
                (void)subscribe(m);
        return 0;
}

static int on_reloading(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        const char *sender = sd_bus_message_get_sender(signal);
        int active;

        (void)error;
        if (!m->connected || !sender != !m->owner || (sender && !STR_EQ(sender, m->owner)))
                return 0;
        if (sd_bus_message_read(signal, "b", &active) < 0)
                return 0;
        m->reloading = active;
        if (m->ops.reloading)
                m->ops.reloading(m->user, active);
        return 0;
}

/* Without a handler of our own sd-bus would close the whole connection where a match is refused. */
static int on_match_installed(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        (void)reply;
        (void)userdata;
        (void)error;
        return 1;
}

static void detach(Manager *m, int result) {
        m->connected = false;
        set_owner(m, NULL);
        m->subscribe = sd_bus_slot_unref(m->subscribe);
        m->match_reloading = sd_bus_slot_unref(m->match_reloading);
        m->match_owner = sd_bus_slot_unref(m->match_owner);
        /* First, so that a callback that asks again is refused. */
        m->bus = sd_bus_unref(m->bus);
        fail_all(m, result);
}

int manager_new(const ManagerOps *ops, void *user, Manager **ret) {
        Manager *m;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->ops = *ops;
        m->user = user;
        m->queue_tail = &m->queue;
        *ret = m;
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        m->freeing = true;
        detach(m, -ECANCELED);
        free(m);
        return NULL;
}

int manager_set_bus(Manager *m, sd_bus *bus) {
        int r;

        detach(m, -ENOTCONN);
        if (!bus)
                return 0;
        m->bus = sd_bus_ref(bus);
        r = sd_bus_add_match_async(bus, &m->match_reloading, MATCH_RELOADING, on_reloading,
                                   on_match_installed, m);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &m->match_owner, MATCH_OWNER, on_owner, on_match_installed,
                                           m);
        if (r >= 0)
                r = subscribe(m);
        if (r < 0) {
                detach(m, -ENOTCONN);
                return r;
        }
        return 0;
}

bool manager_is_connected(const Manager *m) { return m->connected; }
