/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The conversion between what PID 1 says about a unit and a LimitSet.
 *
 * Reading is tolerant: a unit has some two hundred properties, their number
 * and types change with systemd's version, and none of that may cost us the
 * few we know. Every variant is looked at by its signature first and skipped
 * where that is not the expected one.
 *
 * Devices are the hard part, for systemd keeps them by *path*, not by device
 * (seen with 252):
 *  - A list given to SetProperties() is merged into the unit's by path; only
 *    an empty list resets. To replace a list we send it twice in one call:
 *    empty, then ours. Both take effect before the kernel is written.
 *  - For every path in turn PID 1 writes one whole io.max line, with "max" for
 *    what this path does not limit. Two paths to one disk ("/dev/vda" of the
 *    admin, "/dev/block/254:0" of ours) thus undo each other, the later one
 *    wins. So a value goes to every path under which the unit already knows
 *    the disk; only where there is none do we add a spelling of our own.
 *  - "/dev/block/MAJ:MIN" is understood from its text, no node need exist.
 *  - A line whose path leads nowhere today (an unplugged disk) is somebody
 *    else's: a replaced list carries it along.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fdio.h"
#include "num.h"
#include "properties.h"

/* More lines than any sane unit has; the rest is left out. */
#define DEVICES_MAX 1024

/* The lowest quota that survives: PID 1 keeps whole percent in the drop-in, and "CPUQuota=0%" is refused at
 * the next reload, which would leave the unit without any quota. */
#define QUOTA_MIN_USEC 10000

void unit_properties_deinit(UnitProperties *p) {
        free(p->control_group);
        limit_set_deinit(&p->limits);
        for (size_t i = 0; i < p->n_devices; i++)
                free(p->devices[i].path);
        free(p->devices);
        *p = (UnitProperties){};
}

static int scan_devno(const char *s, dev_t *ret) {
        const char *end = s + strlen(s);
        uint64_t major, minor;

        if (num_scan_u64(&s, end, &major) < 0 || s == end || *s++ != ':' ||
            num_scan_u64(&s, end, &minor) < 0 || s != end || major > 0xfff || minor > 0xfffff)
                return -EINVAL;
        *ret = makedev((unsigned)major, (unsigned)minor);
        return 0;
}

static void whole_disk(dev_t *dev) {
        char path[64], text[32];
        dev_t parent;

        /* /sys/dev/block/8:1 links to …/sda/sda1; a partition has a file of that name. */
        (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(*dev), minor(*dev));
        if (fd_read_at(AT_FDCWD, path, text, sizeof(text)) < 0)
                return;
        (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(*dev), minor(*dev));
        if (fd_read_at(AT_FDCWD, path, text, sizeof(text)) < 0)
                return;
        text[strcspn(text, "\n")] = '\0';
        if (scan_devno(text, &parent) >= 0)
                *dev = parent;
}

int device_from_path(const char *path, dev_t *ret) {
        static const char by_number[] = "/dev/block/";
        struct stat st;
        dev_t dev;

        if (strncmp(path, by_number, strlen(by_number)) == 0 &&
            scan_devno(path + strlen(by_number), &dev) >= 0)
                ;
        else if (strncmp(path, "/dev/", 5) == 0) {
                /* devtmpfs only: a stat elsewhere could wait for a network or a FUSE server. */
                if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
                        return -ENXIO;
                dev = st.st_rdev;
        } else
                return -ENXIO;
        whole_disk(&dev);
        *ret = dev;
        return 0;
}

/* Enters the variant when it holds `contents`; otherwise skips it. 1 entered, 0 skipped. */
static int enter_variant(sd_bus_message *m, const char *contents) {
        const char *has;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &has);
        if (r < 0)
                return r;
        if (r == 0 || type != SD_BUS_TYPE_VARIANT)
                return -EBADMSG;
        if (!STR_EQ(has, contents)) {
                r = sd_bus_message_skip(m, "v");
                return r < 0 ? r : 0;
        }
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        return r < 0 ? r : 1;
}

/* Reads a variant of a basic type. 1 read, 0 skipped. */
static int read_basic(sd_bus_message *m, const char *contents, void *ret) {
        int r;

        r = enter_variant(m, contents);
        if (r <= 0)
                return r;
        r = sd_bus_message_read_basic(m, contents[0], ret);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int read_string(sd_bus_message *m, char **ret) {
        const char *s;
        char *copy;
        int r;

        r = read_basic(m, "s", &s);
        if (r <= 0)
                return r;
        copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        free(*ret);
        *ret = copy;
        return 0;
}

static int read_bool(sd_bus_message *m, bool *ret) {
        int v, r;

        r = read_basic(m, "b", &v);
        if (r > 0)
                *ret = v;
        return r < 0 ? r : 0;
}

static int read_invocation_id(sd_bus_message *m, char ret[static 33]) {
        const uint8_t *id;
        size_t n;
        int r;

        r = enter_variant(m, "ay");
        if (r <= 0)
                return r;
        r = sd_bus_message_read_array(m, 'y', (const void **)&id, &n);
        if (r < 0)
                return r;
        ret[0] = '\0';
        if (n == 16)
                for (size_t i = 0; i < n; i++)
                        (void)snprintf(ret + 2 * i, 3, "%02x", id[i]);
        return sd_bus_message_exit_container(m);
}

static int add_device(UnitProperties *p, Limit limit, const char *path, uint64_t value, DeviceResolve resolve,
                      void *user) {
        _cleanup_free_ char *copy = NULL;
        dev_t dev = 0;
        int r;

        if (p->n_devices >= DEVICES_MAX)
                return 0;
        r = device_from_path(path, &dev);
        if (r < 0 && resolve && resolve(user, path, &dev) != 0)
                dev = 0;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        r = GROW(p->devices, p->n_devices, p->devices_alloc);
        if (r < 0)
                return r;
        p->devices[p->n_devices++] = (UnitDevice){
                .limit = limit,
                .path = steal_ptr(copy),
                .value = value,
                .dev = dev,
        };
        /* Of two paths to one disk the later is the one that the kernel keeps. */
        if (dev != 0 && value != LIMIT_INFINITY)
                return limit_set_put(&p->limits, (LimitKnob){ limit, dev }, value, 0);
        return 0;
}

static int read_devices(sd_bus_message *m, Limit limit, DeviceResolve resolve, void *user,
                        UnitProperties *p) {
        const char *path;
        uint64_t value;
        int r;

        r = enter_variant(m, "a(st)");
        if (r <= 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', "(st)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(m, "(st)", &path, &value)) > 0) {
                r = add_device(p, limit, path, value, resolve, user);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int read_scalar(sd_bus_message *m, Limit limit, LimitSet *set) {
        uint64_t v;
        int r;

        r = read_basic(m, "t", &v);
        if (r <= 0)
                return r;
        /* For these the largest value says "not set"; for the others it is infinity. */
        if (v == UINT64_MAX &&
            (limit == LIMIT_CPU_PERIOD || limit == LIMIT_CPU_WEIGHT || limit == LIMIT_IO_WEIGHT))
                return 0;
        return limit_set_put(set, (LimitKnob){ limit, 0 }, v, 0);
}

static Limit limit_from_property(const char *name) {
        for (Limit l = 0; l < _LIMIT_MAX; l++) {
                const char *property = limit_info(l)->property;

                if (property && STR_EQ(property, name))
                        return l;
        }
        return _LIMIT_INVALID;
}

int unit_property_read(sd_bus_message *m, const char *name, DeviceResolve resolve, void *user,
                       UnitProperties *p) {
        Limit limit;
        int r;

        if (STR_EQ(name, "ControlGroup"))
                return read_string(m, &p->control_group);
        if (STR_EQ(name, "ControlGroupId")) {
                r = read_basic(m, "t", &p->control_group_id);
                return r < 0 ? r : 0;
        }
        if (STR_EQ(name, "InvocationID"))
                return read_invocation_id(m, p->invocation_id);
        if (STR_EQ(name, "Transient"))
                return read_bool(m, &p->transient);
        if (STR_EQ(name, "Delegate"))
                return read_bool(m, &p->delegate);
        limit = limit_from_property(name);
        if (limit < 0)
                return sd_bus_message_skip(m, "v");
        if (limit_info(limit)->per_device)
                return read_devices(m, limit, resolve, user, p);
        return read_scalar(m, limit, &p->limits);
}

int unit_properties_read(sd_bus_message *m, DeviceResolve resolve, void *user, UnitProperties *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name;

                r = sd_bus_message_read_basic(m, 's', &name);
                if (r < 0)
                        return r;
                r = unit_property_read(m, name, resolve, user, ret);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 0;
}

int properties_check(const LimitSet *limits) {
        for (size_t i = 0; i < limits->n; i++) {
                uint64_t v = limits->entries[i].value;

                switch (limits->entries[i].knob.limit) {
                case LIMIT_MEMORY_HIGH:
                case LIMIT_MEMORY_MAX:
                case LIMIT_CPU_QUOTA:
                case LIMIT_TASKS_MAX:
                        if (v == 0)
                                return -ERANGE;
                        break;
                case LIMIT_CPU_WEIGHT: /* 0 is "idle" */
                        if (v > 10000 && v != LIMIT_INFINITY)
                                return -ERANGE;
                        break;
                case LIMIT_IO_WEIGHT:
                        if ((v < 1 || v > 10000) && v != LIMIT_INFINITY)
                                return -ERANGE;
                        break;
                default:
                        break;
                }
        }
        return 0;
}

/* io.max' four lists share their paths inside PID 1, io.latency has its own. */
static bool same_list(Limit a, Limit b) {
        return (a == LIMIT_IO_DEVICE_LATENCY) == (b == LIMIT_IO_DEVICE_LATENCY);
}

static int append_device(sd_bus_message *m, const LimitEntry *e, const UnitProperties *now) {
        char path[64];
        bool known = false;
        int r;

        for (size_t i = 0; now && i < now->n_devices; i++) {
                const UnitDevice *d = &now->devices[i];
                bool again = false;

                if (d->dev != e->knob.dev || !same_list(d->limit, e->knob.limit))
                        continue;
                known = true;
                for (size_t k = 0; k < i && !again; k++)
                        again = same_list(now->devices[k].limit, d->limit) &&
                                STR_EQ(now->devices[k].path, d->path);
                if (again)
                        continue;
                r = sd_bus_message_append(m, "(st)", d->path, e->value);
                if (r < 0)
                        return r;
        }
        if (known)
                return 0;
        (void)snprintf(path, sizeof(path), "/dev/block/%u:%u", major(e->knob.dev), minor(e->knob.dev));
        return sd_bus_message_append(m, "(st)", path, e->value);
}

static int append_list(sd_bus_message *m, Limit limit, const LimitSet *limits, const UnitProperties *now) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(m, 's', limit_info(limit)->property);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'v', "a(st)");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(st)");
        if (r < 0)
                return r;
        for (size_t i = 0; now && i < now->n_devices; i++) {
                const UnitDevice *d = &now->devices[i];

                if (d->dev != 0 || d->limit != limit)
                        continue;
                r = sd_bus_message_append(m, "(st)", d->path, d->value);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < limits->n; i++) {
                if (limits->entries[i].knob.limit != limit)
                        continue;
                r = append_device(m, &limits->entries[i], now);
                if (r < 0)
                        return r;
        }
        for (unsigned i = 0; i < 3; i++) {
                r = sd_bus_message_close_container(m);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool names_limit(const LimitSet *limits, Limit limit) {
        for (size_t i = 0; i < limits->n; i++)
                if (limits->entries[i].knob.limit == limit)
                        return true;
        return false;
}

int properties_append(sd_bus_message *m, const LimitSet *limits, uint32_t reset, const UnitProperties *now) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r < 0)
                return r;
        for (size_t i = 0; i < limits->n; i++) {
                const LimitEntry *e = &limits->entries[i];
                const LimitInfo *info = limit_info(e->knob.limit);
                uint64_t v = e->value;

                if (!info->property || info->per_device)
                        continue;
                if (e->knob.limit == LIMIT_CPU_QUOTA)
                        v = MAX_OF(v, (uint64_t)QUOTA_MIN_USEC);
                r = sd_bus_message_append(m, "(sv)", info->property, "t", v);
                if (r < 0)
                        return r;
        }
        for (Limit l = 0; l < _LIMIT_MAX; l++) {
                bool named = names_limit(limits, l);

                if (!limit_info(l)->per_device || !limit_info(l)->property)
                        continue;
                if (!named && !(reset & (UINT32_C(1) << l)))
                        continue;
                r = sd_bus_message_append(m, "(sv)", limit_info(l)->property, "a(st)", 0);
                if (r < 0)
                        return r;
                r = append_list(m, l, limits, now);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}
