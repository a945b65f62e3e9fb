/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * PID 1 over D-Bus, asynchronously (adapter: systemd; org.freedesktop.systemd1(5)).
 *
 * No call blocks. A request that was taken (0) calls back exactly once, never
 * from within the requesting function; also on a dead bus (-ENOTCONN), a
 * timeout (-ETIMEDOUT; MANAGER_CALL_TIMEOUT, or the bus' own where that is
 * shorter) or manager_free() (-ECANCELED). A request that is refused (-ENOTCONN
 * without a bus, -ENOBUFS beyond MANAGER_QUEUE_MAX, -ENOMEM, …) does not call back. A callback
 * may make requests and cancel some, but not call manager_free().
 *
 * A unit that is gone is MANAGER_GONE, not an error. The bus connection is the
 * caller's sd_bus (also used for our own service); after it was lost and made anew, manager_set_bus()
 * again; it subscribes (Manager.Subscribe, match on Reloading, match on
 * NameOwnerChanged of org.freedesktop.systemd1 for daemon-reexec) asynchronously.
 * At most MANAGER_IN_FLIGHT calls are under way; the rest wait in order.
 */

#include <systemd/sd-bus.h>

#include "limits.h"
#include "macro.h"

enum { MANAGER_GONE = 1 };

#define MANAGER_IN_FLIGHT 8
#define MANAGER_QUEUE_MAX 16384
#define MANAGER_CALL_TIMEOUT (20 * USEC_PER_SEC)

typedef enum UnitKind { UNIT_SCOPE, UNIT_SLICE, UNIT_SERVICE, UNIT_OTHER } UnitKind;

typedef struct UnitInfo {
        char *name; /* "docker-….scope" */
        /* D-Bus object path; by invocation id where the unit has one (all but some perpetual slices): a unit
         * that ended, or was started anew under the same name, is then another object, and gone. */
        char *object;
        char *control_group; /* its ControlGroup property */
        uint64_t control_group_id; /* the cgroup's inode as PID 1 knows it; 0: not told */
        UnitKind kind;
        bool transient;
        bool delegate;
} UnitInfo;
void unit_info_deinit(UnitInfo *u);

typedef struct Manager Manager;

typedef struct ManagerOps {
        /* PID 1 said Reloading(active). After a daemon-reexec, which never says false, that is told right
         * before connected(). */
        void (*reloading)(void *user, bool active);
        /* Subscribed (again): look at everything once more. Calls that were under way while PID 1
         * re-executed have failed (-ETIMEDOUT). */
        void (*connected)(void *user);
        /* The whole disk below a path outside of /dev ("IOReadBandwidthMax=/var/lib/docker 1M"), for
         * adapters know nothing of each other. 0, anything else: none. May be NULL. */
        int (*resolve_device)(void *user, const char *path, dev_t *ret);
} ManagerOps;

int manager_new(const ManagerOps *ops, void *user, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free)
int manager_set_bus(Manager *m, sd_bus *bus); /* takes a reference; NULL: bus lost, pending calls fail */
bool manager_is_connected(const Manager *m);

/* The unit that owns this cgroup: only if its ControlGroup equals path, for
 * GetUnitByControlGroup answers with the nearest ancestor. MANAGER_GONE: no unit owns it (u is NULL
 * then). u is the callee's to read during the call. -EINVAL: path is not absolute. */
typedef void (*ManagerUnitDone)(void *user, uint64_t cookie, int result, const UnitInfo *u);
int manager_get_unit(Manager *m, const char *cgroup, ManagerUnitDone done, void *user, uint64_t cookie);

/* The limit properties of a unit, as LimitSet in kernel units (systemd's
 * "not set" (CPUWeight etc. UINT64_MAX) gives no entry; MemoryMax=infinity gives
 * LIMIT_INFINITY, CPUWeight=idle 0). Also tells ControlGroup again, so that the
 * caller sees a unit that moved; one that ended is MANAGER_GONE (both NULL).
 * IO…Max come back by device node: resolved to dev_t, those that lead nowhere are left out. */
typedef void (*ManagerLimitsDone)(void *user, uint64_t cookie, int result, const LimitSet *properties,
                                  const char *control_group);
int manager_get_limits(Manager *m, const UnitInfo *u, ManagerLimitsDone done, void *user, uint64_t cookie);

/*
 * SetProperties(runtime=true) in one call, for those limits that systemd has a
 * property for (others are skipped). Device limits replace the unit's whole
 * list of that kind: pass every device, one to be freed with LIMIT_INFINITY
 * (lines of devices that are not there today stay). An empty list is written
 * for kinds named in reset (bit 1<<Limit). LIMIT_INFINITY is "not set" for
 * weights, period and quota. A quota below one percent of a CPU becomes one
 * percent, for that is what a reload would make "none" of.
 *
 * MANAGER_GONE without calling when the unit u is no longer there or its
 * ControlGroup no longer equals what u says (a property of a vanished slice
 * would make a drop-in, and the slice): ask manager_get_unit() again if the cgroup still is.
 * -ERANGE, at once: a value that PID 1 refuses (MemoryHigh, MemoryMax, TasksMax,
 * CPUQuota of 0; weights out of range).
 */
typedef void (*ManagerSetDone)(void *user, uint64_t cookie, int result);
int manager_set_limits(Manager *m, const UnitInfo *u, const LimitSet *limits, uint32_t reset,
                       ManagerSetDone done, void *user, uint64_t cookie);
/* Callbacks of all requests with this cookie will not be called. What PID 1 was already asked it may
 * still do. */
void manager_cancel(Manager *m, uint64_t cookie);
size_t manager_n_pending(const Manager *m); /* callbacks still due */

/*
 * Our runtime drop-ins of a unit: /run/systemd/system.control/UNIT.d/50-KEY.conf
 * (transient units: /run/systemd/transient/UNIT.d/). limits holds what we set
 * *last* through manager_set_limits(): after giving back that is the value
 * given back, for PID 1 rewrites the drop-in each time.
 *
 * Removes those whose KEY is in `limits` and whose content is just the
 * assignment of that value (or within the rounding systemd does); leaves
 * every other. Lists per device: all lines must be in the set, and all finite
 * entries of the set in the list. root is a prefix for tests ("" live).
 * Returns how many were removed or negative errno (-EINVAL: no unit name).
 * Nothing is reloaded: in memory PID 1 already has the value that was given
 * back before (`systemctl status` advises a daemon-reload until the next one).
 */
int dropins_remove(const char *root, const char *unit, const LimitSet *limits);
/*
 * Which limits have a runtime drop-in now, as bits 1<<Limit: asked before the
 * first manager_set_limits(), it tells whose it is. PID 1 will overwrite it,
 * so give the value back but leave that drop-in: it is the only place that
 * holds `docker update` or `systemctl set-property --runtime`.
 */
int dropins_find(const char *root, const char *unit, uint32_t *ret);
