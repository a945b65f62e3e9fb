/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A unit's D-Bus properties ⇄ LimitSet (adapter: systemd; private to it).
 */

#include <systemd/sd-bus.h>

#include "limits.h"
#include "macro.h"

/* Turns a path that a unit names a device by into MAJ:MIN of the whole disk. 0 or negative errno. */
typedef int (*DeviceResolve)(void *user, const char *path, dev_t *ret);

/* One line of one IO…Max= or IODeviceLatencyTargetSec= list, as the unit spells it. */
typedef struct UnitDevice {
        Limit limit;
        char *path;
        uint64_t value;
        dev_t dev; /* 0: the path leads to no device today */
} UnitDevice;

/* What we read of a unit. */
typedef struct UnitProperties {
        char *control_group; /* NULL: not there */
        uint64_t control_group_id;
        char invocation_id[33]; /* "": has none */
        bool transient;
        bool delegate;
        LimitSet limits;
        UnitDevice *devices; /* in the unit's order */
        size_t n_devices, devices_alloc;
} UnitProperties;

void unit_properties_deinit(UnitProperties *p);
/*
 * Reads an a{sv} as GetAll() answers. Properties that are unknown, or known
 * but of another type than systemd gives them, are skipped; later duplicates
 * win. ret is BLANK on entry, to be deinitialised also after failure. 0,
 * -ENOMEM, or sd-bus' error for a message that is not a{sv}.
 */
int unit_properties_read(sd_bus_message *m, DeviceResolve resolve, void *user, UnitProperties *ret);

/* One of them: the variant that Get() answers for property `name`. */
int unit_property_read(sd_bus_message *m, const char *name, DeviceResolve resolve, void *user,
                       UnitProperties *p);

/* 0, or -ERANGE for a value that PID 1 refuses: one such value would lose the whole call. */
int properties_check(const LimitSet *limits);
/*
 * Appends the a(sv) of SetProperties(). now: the unit's devices as read right
 * before (NULL when set and reset name no limit per device).
 */
int properties_append(sd_bus_message *m, const LimitSet *limits, uint32_t reset, const UnitProperties *now);

/* "/dev/block/8:0" by its text, other nodes below /dev by stat; a partition gives its disk. -ENXIO
 * otherwise. */
int device_from_path(const char *path, dev_t *ret);
