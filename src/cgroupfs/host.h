/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What this host can do (adapter: cgroupfs): read once into a plain snapshot,
 * judged elsewhere. Roots are parameters so that captured trees can be tested.
 */

#include <stdint.h>
#include <sys/types.h>

#include "hostfacts.h"

/* cgroup_root "/sys/fs/cgroup", proc "/proc", sys "/sys"; fills all of HostFacts
 * except what only systemd knows (systemd_running is by /run/systemd/system).
 * What is absent is false, zero or "". -ENODATA: the memory's size or the
 * number of tasks could not be read: a percentage of nothing would be a
 * ceiling of nothing, so nobody may go on with that. *ret untouched on failure. */
int host_read(const char *cgroup_root, const char *proc, const char *sys, HostFacts *ret);

/*
 * The whole disk (what io.max takes) behind a device node, or behind the file
 * system of any path: through partitions, LVM, dm-crypt, md (one bottom device
 * only) to MAJ:MIN. Positive BLOCK_* conditions say why there is none.
 */
enum {
        BLOCK_NONE = 1, /* no block device below (tmpfs, overlay without one, zfs, network) */
        BLOCK_MANY =
                2, /* several disks (md, btrfs raid, lvm striping): ret has the top device, which the kernel accepts for bio-based dm/md too */
        BLOCK_GONE = 3, /* no such path */
};
typedef struct BlockDevice {
        dev_t dev;
        char name[64]; /* "vda" */
        char fstype[32]; /* of the path's file system, "" for a device node */
        /* That file system (the upper one of an overlay) charges buffered writes to
         * cgroups (ext2/3/4, btrfs, f2fs, xfs). */
        bool writeback;
} BlockDevice;
/* 0, BLOCK_*, negative errno. ret is set for 0 and BLOCK_MANY, fstype and writeback for BLOCK_NONE
 * too. For btrfs on several disks ret has one of them (there is no top device). Walking `path` can
 * block on a dead network mount. */
int block_resolve(const char *proc, const char *sys, const char *path, BlockDevice *ret);
/* "vda" for 254:0, or "254:0" where sysfs does not know it. */
void block_name(const char *sys, dev_t dev, char *ret, size_t size);

/* User name and groups are the names helper's business (NSS can block). */
