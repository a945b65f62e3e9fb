/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From "a path on a file system" to "the disk that io.max takes".
 *
 * Which device a file system is on: st_dev, where that is a device. btrfs,
 * overlayfs and others have an anonymous one (major 0); there the mount is
 * found by its id (statx) and its source says more: a device node, or for an
 * overlay the upper directory, which is looked up in turn.
 *
 * Which disk a device is on is sysfs's to say: /sys/dev/block/MAJ:MIN is a link
 * to the device's directory. It has a file "partition" if it is one (the disk
 * is the directory above), and "slaves/" where dm, md or bcache sit on others.
 * One below: go down. Several that end on one disk: that disk. Several disks:
 * the caller gets the device on top and is told.
 *
 * Device nodes are asked by stat(2) first. A guard with PrivateDevices= sees
 * few of them, so names are looked up in sysfs as well, also those of
 * /dev/mapper.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fdio.h"
#include "host.h"
#include "mountinfo.h"
#include "num.h"

#define STACK_DEPTH_MAX 16 /* dm on md on dm … */
#define DEVICES_MAX 512 /* looked at in all: a cross-linked stack must end */
#define OVERLAY_DEPTH_MAX 4

static void cleanup_dir(DIR **d) {
        if (*d)
                (void)closedir(*d);
}
#define _cleanup_dir_ _cleanup_(cleanup_dir)

static DIR *open_dir_at(int dirfd, const char *name) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);

        if (!d)
                (void)fd_close(fd);
        return d;
}

/* A device directory's "dev": "254:0\n". */
static bool read_dev(int dirfd, const char *name, dev_t *ret) {
        char text[32];
        const char *p = text, *end;
        uint64_t maj, min;
        ssize_t n;

        n = fd_read_at(dirfd, name, text, sizeof(text));
        if (n < 0)
                return false;
        end = text + n;
        if (num_scan_u64(&p, end, &maj) < 0 || p == end || *p++ != ':' || num_scan_u64(&p, end, &min) < 0 ||
            maj > UINT32_MAX || min > UINT32_MAX)
                return false;
        *ret = makedev((unsigned)maj, (unsigned)min);
        return true;
}

static int open_device(int sysfd, dev_t dev) {
        char link[64];

        (void)snprintf(link, sizeof(link), "dev/block/%u:%u", major(dev), minor(dev));
        return openat(sysfd, link, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void block_name(const char *sys, dev_t dev, char *ret, size_t size) {
        _cleanup_free_ char *link = NULL;
        char target[1024];
        const char *name = NULL;
        ssize_t n = -1;

        if (asprintf(&link, "%s/dev/block/%u:%u", sys, major(dev), minor(dev)) < 0)
                link = NULL;
        else
                n = readlink(link, target, sizeof(target) - 1);
        if (n > 0) {
                target[n] = '\0';
                name = strrchr(target, '/');
        }
        if (name && name[1])
                (void)snprintf(ret, size, "%s", name + 1);
        else
                (void)snprintf(ret, size, "%u:%u", major(dev), minor(dev));
        /* sysfs spells cciss/c0d0 with an exclamation mark. */
        for (char *p = ret; size > 0 && *p; p++)
                if (*p == '!')
                        *p = '/';
}

/* Down to the disk. */

typedef struct Search {
        dev_t bottom; /* 0: none yet */
        bool many;
        size_t n_devices;
} Search;

static int find_bottom(int take_fd, unsigned depth, Search *s);

/* How many slaves there are, each followed; negative errno. */
static int follow_slaves(int devfd, unsigned depth, Search *s) {
        _cleanup_dir_ DIR *d = open_dir_at(devfd, "slaves");
        const struct dirent *e;
        int n = 0, r;

        while (d && (e = readdir(d))) {
                int fd;

                if (e->d_name[0] == '.')
                        continue;
                fd = openat(dirfd(d), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0) /* unplugged meanwhile */
                        continue;
                n++;
                r = find_bottom(fd, depth, s);
                if (r < 0)
                        return r;
        }
        return n;
}

/* The disk of a device's directory: itself, or the one above a partition. */
static int open_whole(int take_fd) {
        _cleanup_fd_ int fd = take_fd;

        if (faccessat(fd, "partition", F_OK, 0) < 0)
                return steal_fd(&fd);
        return openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Recursive, but never deeper than STACK_DEPTH_MAX. */
static int find_bottom(int take_fd, unsigned depth, Search *s) {
        _cleanup_fd_ int fd = open_whole(take_fd);
        dev_t dev;
        int r;

        if (fd < 0)
                return -errno;
        if (depth >= STACK_DEPTH_MAX || ++s->n_devices > DEVICES_MAX)
                return -ELOOP;
        r = follow_slaves(fd, depth + 1, s);
        if (r != 0)
                return MIN_OF(r, 0);
        if (!read_dev(fd, "dev", &dev))
                return -ENODATA;
        if (s->bottom != 0 && s->bottom != dev)
                s->many = true;
        s->bottom = dev;
        return 0;
}

/* 0, BLOCK_NONE, BLOCK_MANY, negative errno. *ret_top: the whole device that dev is (part of). */
static int find_disk(int sysfd, dev_t dev, Search *s, dev_t *ret_top) {
        _cleanup_fd_ int fd = open_device(sysfd, dev);
        int r;

        if (fd < 0)
                return errno == ENOENT ? BLOCK_NONE : -errno;
        fd = open_whole(steal_fd(&fd));
        if (fd < 0)
                return -errno;
        if (!read_dev(fd, "dev", ret_top))
                return BLOCK_NONE;
        r = find_bottom(steal_fd(&fd), 0, s);
        if (r < 0)
                return r;
        return s->many ? BLOCK_MANY : 0;
}

/* From names to devices. */

/* /dev/mapper/NAME is a link that udev made; dm's own name for it is in sysfs. */
static bool find_mapper(int sysfd, const char *name, dev_t *ret) {
        _cleanup_dir_ DIR *d = open_dir_at(sysfd, "block");
        const struct dirent *e;

        while (d && (e = readdir(d))) {
                char file[sizeof(e->d_name) + sizeof("/dm/name")], text[256];

                if (strncmp(e->d_name, "dm-", strlen("dm-")) != 0)
                        continue;
                (void)snprintf(file, sizeof(file), "%s/dm/name", e->d_name);
                if (fd_read_at(dirfd(d), file, text, sizeof(text)) < 0)
                        continue;
                text[strcspn(text, "\n")] = '\0';
                (void)snprintf(file, sizeof(file), "%s/dev", e->d_name);
                if (STR_EQ(text, name))
                        return read_dev(dirfd(d), file, ret);
        }
        return false;
}

/* "/dev/vda1", "/dev/cciss/c0d0", "/dev/mapper/vg-root" without the node. */
static bool find_by_name(int sysfd, const char *path, dev_t *ret) {
        _cleanup_free_ char *file = NULL;
        const char *name = path + strlen("/dev/");

        if (strncmp(path, "/dev/", strlen("/dev/")) != 0 || *name == '\0' || *name == '.')
                return false;
        if (strncmp(name, "mapper/", strlen("mapper/")) == 0)
                return find_mapper(sysfd, name + strlen("mapper/"), ret);
        if (asprintf(&file, "class/block/%s/dev", name) < 0) {
                file = NULL;
                return false;
        }
        for (char *p = file + strlen("class/block/"), *end = p + strlen(name); p < end; p++)
                if (*p == '/')
                        *p = '!';
        return read_dev(sysfd, file, ret);
}

static bool find_node(int sysfd, const char *path, dev_t *ret) {
        struct stat st;

        if (stat(path, &st) == 0 && S_ISBLK(st.st_mode)) {
                *ret = st.st_rdev;
                return true;
        }
        return find_by_name(sysfd, path, ret);
}

/* From file systems to devices. */

static bool has_writeback(const char *fstype) {
        static const char *const table[] = { "ext2", "ext3", "ext4", "btrfs", "f2fs", "xfs" };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (STR_EQ(table[i], fstype))
                        return true;
        return false;
}

/* All disks of the btrfs that has the device: /sys/fs/btrfs/UUID/devices/NAME. */
static int find_btrfs(int sysfd, dev_t dev, Search *s) {
        _cleanup_dir_ DIR *all = open_dir_at(sysfd, "fs/btrfs");
        const struct dirent *e;
        int r;

        while (all && (e = readdir(all))) {
                char path[sizeof(e->d_name) + sizeof("/devices")];
                _cleanup_dir_ DIR *d = NULL;
                const struct dirent *k;
                bool ours = false;

                if (e->d_name[0] == '.')
                        continue;
                (void)snprintf(path, sizeof(path), "%s/devices", e->d_name);
                d = open_dir_at(dirfd(all), path);
                while (d && !ours && (k = readdir(d))) {
                        char file[sizeof(k->d_name) + sizeof("/dev")];
                        dev_t member;

                        (void)snprintf(file, sizeof(file), "%s/dev", k->d_name);
                        ours = k->d_name[0] != '.' && read_dev(dirfd(d), file, &member) && member == dev;
                }
                if (!ours)
                        continue;
                rewinddir(d);
                while ((k = readdir(d))) {
                        int fd;

                        if (k->d_name[0] == '.')
                                continue;
                        fd = openat(dirfd(d), k->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                        r = fd < 0 ? 0 : find_bottom(fd, 0, s);
                        if (r < 0)
                                return r;
                }
                return 0;
        }
        return 0;
}

typedef struct Place {
        char fstype[32];
        char *source, *upper; /* of the mount; upper only for an overlay */
} Place;

static void place_deinit(Place *p) {
        free(p->source);
        free(p->upper);
}

/* The mount a file is on. 1, 0: not in the list, negative errno. */
static int find_mount(const char *proc, const struct statx *stx, Place *ret) {
        _cleanup_(mount_reader_deinit) MountReader reader = {};
        dev_t dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
        Mount m;
        int r;

        r = mount_reader_init(&reader, proc);
        if (r < 0)
                return r;
        while ((r = mount_reader_next(&reader, &m)) > 0) {
                /* By device where the kernel (before 5.8) tells no id. */
                if (stx->stx_mask & STATX_MNT_ID ? m.id != stx->stx_mnt_id : m.dev != dev)
                        continue;
                (void)snprintf(ret->fstype, sizeof(ret->fstype), "%s", m.fstype);
                ret->source = strdup(m.source);
                if (!ret->source)
                        return -ENOMEM;
                if (STR_EQ(m.fstype, "overlay")) {
                        r = mount_get_option(&m, "upperdir", &ret->upper);
                        if (r < 0)
                                return r;
                }
                return 1;
        }
        return r;
}

static int set_disk(int sysfd, const char *sys, dev_t dev, bool btrfs, BlockDevice *b) {
        Search s = {};
        dev_t top;
        int r;

        r = find_disk(sysfd, dev, &s, &top);
        if (r < 0 || r == BLOCK_NONE)
                return r;
        b->dev = r == BLOCK_MANY ? top : s.bottom;
        if (btrfs && r == 0) {
                r = find_btrfs(sysfd, dev, &s);
                if (r < 0)
                        return r;
                r = s.many ? BLOCK_MANY : 0;
        }
        block_name(sys, b->dev, b->name, sizeof(b->name));
        return r;
}

/* Recursive for overlays, at most OVERLAY_DEPTH_MAX. */
static int resolve(const char *proc, const char *sys, int sysfd, const char *path, unsigned depth,
                   BlockDevice *b) {
        _cleanup_(place_deinit) Place place = {};
        struct statx stx;
        dev_t dev;
        int r;

        /* No automount for our sake, and no question to a file server. */
        if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &stx) <
            0) {
                if (errno != ENOENT && errno != ENOTDIR)
                        return -errno;
                return find_by_name(sysfd, path, &dev) ? set_disk(sysfd, sys, dev, false, b) : BLOCK_GONE;
        }
        if (S_ISBLK(stx.stx_mode))
                return set_disk(sysfd, sys, makedev(stx.stx_rdev_major, stx.stx_rdev_minor), false, b);
        r = find_mount(proc, &stx, &place);
        if (r < 0)
                return r;
        if (depth == 0)
                (void)snprintf(b->fstype, sizeof(b->fstype), "%s", place.fstype);
        b->writeback = has_writeback(place.fstype);
        if (place.upper)
                return depth < OVERLAY_DEPTH_MAX ? resolve(proc, sys, sysfd, place.upper, depth + 1, b)
                                                 : -ELOOP;
        if (stx.stx_dev_major != 0)
                dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
        else if (!place.source || !find_node(sysfd, place.source, &dev))
                return BLOCK_NONE;
        return set_disk(sysfd, sys, dev, STR_EQ(place.fstype, "btrfs"), b);
}

int block_resolve(const char *proc, const char *sys, const char *path, BlockDevice *ret) {
        _cleanup_fd_ int sysfd = open(sys, O_PATH | O_DIRECTORY | O_CLOEXEC);
        BlockDevice b = {};
        int r;

        if (sysfd < 0)
                return -errno;
        r = resolve(proc, sys, sysfd, path, 0, &b);
        if (r < 0)
                return r;
        /* An overlay whose upper directory is out of sight. */
        if (r == BLOCK_GONE && b.fstype[0])
                r = BLOCK_NONE;
        if (r != BLOCK_GONE)
                *ret = b;
        return r;
}
