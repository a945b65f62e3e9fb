/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The drop-ins that PID 1 writes when a property is set at runtime.
 *
 * They would outlive what we gave back: in memory the property is the admin's
 * again, but the file stays and wins over every later edit of the unit. systemd
 * has no call that removes one (`systemctl revert` removes all of them, the
 * admin's too), so we do it ourselves, and only where the file says exactly
 * what we asked for. What systemd 252 writes:
 *
 *   # This is a drop-in unit file extension, created via "systemctl set-property"
 *   # or an equivalent operation. Do not edit.
 *   [Slice]
 *   CPUQuota=15%                     whole percent, cut; nothing behind '=' for "not set"
 *
 *   IOReadBandwidthMax=              lists: a reset, then a line per device
 *   IOReadBandwidthMax=/dev/vda 5242880
 *
 * The file is 50-KEY.conf, but 50-IODeviceLatencyTargetUSec.conf holds
 * IODeviceLatencyTargetSec=. Times are in words ("1min 500ms", "1.234567s").
 *
 * Whatever looks different in any way is somebody else's and stays.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fdio.h"
#include "manager.h"
#include "num.h"
#include "properties.h"
#include "value.h"

#define DROPIN_MAX_BYTES (64 * 1024)
#define UNIT_NAME_MAX 255

static const char comment_first[] = "# This is a drop-in unit file extension, created via ";

/* Runtime directories, units with a file of their own and transient ones. */
static const char *const parents[] = { "/run/systemd/system.control", "/run/systemd/transient" };

static const struct {
        const char *suffix, *section;
} sections[] = {
        { ".scope", "[Scope]" },   { ".slice", "[Slice]" }, { ".service", "[Service]" },
        { ".socket", "[Socket]" }, { ".mount", "[Mount]" }, { ".swap", "[Swap]" },
};

static const char *section_of(const char *unit) {
        const char *dot = strrchr(unit, '.');

        for (size_t i = 0; dot && i < ARRAY_SIZE(sections); i++)
                if (STR_EQ(dot, sections[i].suffix))
                        return sections[i].section;
        return NULL;
}

static bool unit_is_valid(const char *unit) {
        size_t n = strlen(unit);

        return n > 0 && n <= UNIT_NAME_MAX && !strchr(unit, '/') && section_of(unit);
}

static int open_dir(const char *root, const char *parent, const char *unit, int *ret) {
        _cleanup_free_ char *path = NULL;
        int fd;

        if (asprintf(&path, "%s%s/%s.d", root, parent, unit) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

/* "50-MemoryMax.conf"; false: PID 1 has no such property. */
static bool file_of(Limit limit, char *ret, size_t size) {
        const LimitInfo *info = limit_info(limit);

        if (!info->property)
                return false;
        (void)snprintf(ret, size, "50-%s.conf",
                       limit == LIMIT_IO_DEVICE_LATENCY ? info->property : info->key);
        return true;
}

/* Is `text` how PID 1 writes this value of a limit that is not per device? */
static bool same_value(Limit limit, const char *text, uint64_t value) {
        char expected[32];
        usec_t usec;

        switch (limit) {
        case LIMIT_CPU_QUOTA:
                if (value == LIMIT_INFINITY)
                        return STR_EQ(text, "");
                /* manager_set_limits() lifts what is below one percent. */
                (void)snprintf(expected, sizeof(expected), "%llu%%",
                               MAX_OF((unsigned long long)value / 10000, 1ULL));
                return STR_EQ(text, expected);
        case LIMIT_CPU_PERIOD:
                if (value == LIMIT_INFINITY)
                        return STR_EQ(text, "");
                return value_parse_usec(text, &usec) >= 0 && usec == value;
        case LIMIT_CPU_WEIGHT:
        case LIMIT_IO_WEIGHT:
                if (value == LIMIT_INFINITY)
                        return STR_EQ(text, "");
                if (value == 0)
                        return STR_EQ(text, "idle");
                break;
        default:
                if (value == LIMIT_INFINITY)
                        return STR_EQ(text, "infinity");
                break;
        }
        (void)snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        return STR_EQ(text, expected);
}

/* "/dev/vda 5242880" of a list; cuts text in place. */
static bool same_line(Limit limit, char *text, const LimitSet *limits, LimitKnob *ret_knob) {
        char *blank = strchr(text, ' ');
        uint64_t value, ours;
        LimitKnob knob = { limit, 0 };

        if (!blank)
                return false;
        *blank = '\0';
        if (device_from_path(text, &knob.dev) < 0)
                return false;
        if (limit == LIMIT_IO_DEVICE_LATENCY) {
                if (value_parse_usec(blank + 1, &value) < 0)
                        return false;
        } else if (num_parse_u64(blank + 1, &value) < 0)
                return false;
        if (!limit_set_get(limits, knob, &ours) || ours != value)
                return false;
        *ret_knob = knob;
        return true;
}

/* How many entries of this limit should have a line of their own? */
static size_t n_lines_of(Limit limit, const LimitSet *limits) {
        size_t n = 0;

        for (size_t i = 0; i < limits->n; i++)
                n += limits->entries[i].knob.limit == limit &&
                     (limit == LIMIT_IO_DEVICE_LATENCY || limits->entries[i].value != LIMIT_INFINITY);
        return n;
}

typedef struct Check {
        Limit limit;
        const LimitSet *limits;
        bool in_section, assigned;
        LimitSet seen; /* devices of a list */
} Check;

static bool check_assignment(Check *c, const char *key, char *value) {
        const LimitInfo *info = limit_info(c->limit);
        bool first = !c->assigned;
        LimitKnob knob;
        uint64_t ours;

        if (!c->in_section || !STR_EQ(key, info->key))
                return false;
        c->assigned = true;
        if (!info->per_device)
                return first && limit_set_get_scalar(c->limits, c->limit, &ours) &&
                       same_value(c->limit, value, ours);
        if (first)
                return !value[0];
        return same_line(c->limit, value, c->limits, &knob) && limit_set_put(&c->seen, knob, 0, 0) >= 0;
}

/* Changes text. */
static bool is_ours(char *text, size_t len, const char *unit, Limit limit, const LimitSet *limits) {
        Check c = { .limit = limit, .limits = limits };
        bool ok;

        ok = strlen(text) == len && strncmp(text, comment_first, strlen(comment_first)) == 0;
        for (char *line = text, *next; ok && line; line = next) {
                char *equal;

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (!line[0] || line[0] == '#')
                        continue;
                equal = strchr(line, '=');
                if (equal) {
                        *equal = '\0';
                        ok = check_assignment(&c, line, equal + 1);
                } else {
                        ok = !c.in_section && STR_EQ(line, section_of(unit));
                        c.in_section = true;
                }
        }
        ok = ok && c.assigned && (!limit_info(limit)->per_device || c.seen.n == n_lines_of(limit, limits));
        limit_set_deinit(&c.seen);
        return ok;
}

/* 1 removed, 0 not there or not ours. */
static int remove_one(int dirfd, const char *unit, Limit limit, const LimitSet *limits) {
        _cleanup_free_ char *text = NULL;
        char name[64];
        size_t len;
        int r;

        if (!file_of(limit, name, sizeof(name)))
                return 0;
        r = fd_read_regular_at(dirfd, name, DROPIN_MAX_BYTES, &text, &len, NULL, NULL);
        if (r == -ENOENT || r == -ELOOP || r == -EINVAL || r == -EFBIG)
                return 0;
        if (r < 0)
                return r;
        if (!is_ours(text, len, unit, limit, limits))
                return 0;
        if (unlinkat(dirfd, name, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return 1;
}

static int remove_below(const char *root, const char *parent, const char *unit, const LimitSet *limits) {
        _cleanup_free_ char *path = NULL;
        _cleanup_fd_ int fd = -1;
        int r, n = 0;

        r = open_dir(root, parent, unit, &fd);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        for (size_t i = 0; i < limits->n; i++) {
                Limit limit = limits->entries[i].knob.limit;

                if (i > 0 && limits->entries[i - 1].knob.limit == limit)
                        continue;
                r = remove_one(fd, unit, limit, limits);
                if (r < 0)
                        return r;
                n += r;
        }
        if (n == 0)
                return 0;
        /* PID 1 made the directory for the drop-ins; it goes when the last one has gone. */
        if (asprintf(&path, "%s%s/%s.d", root, parent, unit) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        (void)rmdir(path);
        return n;
}

int dropins_remove(const char *root, const char *unit, const LimitSet *limits) {
        int r, n = 0;

        if (!unit_is_valid(unit))
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
                r = remove_below(root, parents[i], unit, limits);
                if (r < 0)
                        return r;
                n += r;
        }
        return n;
}

int dropins_find(const char *root, const char *unit, uint32_t *ret) {
        uint32_t found = 0;

        if (!unit_is_valid(unit))
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
                _cleanup_fd_ int fd = -1;
                int r;

                r = open_dir(root, parents[i], unit, &fd);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;
                for (Limit l = 0; l < _LIMIT_MAX; l++) {
                        char name[64];

                        if (file_of(l, name, sizeof(name)) &&
                            faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                                found |= UINT32_C(1) << l;
                }
        }
        *ret = found;
        return 0;
}
