/* SPDX-License-Identifier: Apache-2.0 */

/*
 * host_read(), block_resolve() and the mountinfo reader on hosts made up in a
 * temporary directory: ROOT/cg is the cgroup mount, ROOT/proc and ROOT/sys
 * what their names say.
 */

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "fdio.h"
#include "host.h"
#include "mountinfo.h"

typedef struct Fixture {
        char root[64], cg[80], proc[80], sys[80];
        int fd;
} Fixture;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

/* All directories above the last component. */
static void make_parents(int fd, const char *path) {
        char part[512];

        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
                (void)mkdirat(fd, part, 0755);
        }
}

static void put(const Fixture *f, const char *path, const char *text) {
        int fd;

        make_parents(f->fd, path);
        fd = openat(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        fd_close(fd);
}

static void put_link(const Fixture *f, const char *path, const char *target) {
        make_parents(f->fd, path);
        assert_int_equal(symlinkat(target, f->fd, path), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        *state = f;
        (void)snprintf(f->root, sizeof(f->root), "/tmp/bailiff-host-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        (void)snprintf(f->cg, sizeof(f->cg), "%s/cg", f->root);
        (void)snprintf(f->proc, sizeof(f->proc), "%s/proc", f->root);
        (void)snprintf(f->sys, sizeof(f->sys), "%s/sys", f->root);
        f->fd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        put(f, "sys/x", "");
        put(f, "proc/self/mountinfo", "");
        put(f, "proc/meminfo", "MemFree: 5 kB\nMemTotal:       16323732 kB\nSwapTotal:       1024 kB\n");
        put(f, "proc/sys/kernel/pid_max", "4194304\n");
        put(f, "proc/sys/kernel/threads-max", "127000\n");
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fd_close(f->fd);
        (void)nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static void test_mount_lines(void **state) {
        static const struct {
                const char *line;
                int result;
        } rows[] = {
                { "36 35 98:0 /r /mnt rw master:1 shared:2 - ext3 /dev/root rw,errors=continue\n", 0 },
                { "36 35 98:0 /r /mnt rw - ext3 /dev/root rw", 0 },
                { "36 35 98:0 /r /mnt rw - tmpfs  rw\n", 0 }, /* no source */
                { "", -EINVAL },
                { "\n", -EINVAL },
                { "36 35 98:0 /r /mnt rw ext3 /dev/root rw", -EINVAL },
                { "36 35 98:0 /r /mnt rw -", -EINVAL },
                { "36 35 98:0 /r /mnt rw - ext3 /dev/root", -EINVAL },
                { "x 35 98:0 /r /mnt rw - ext3 /dev/root rw", -EINVAL },
                { "36 35 98 /r /mnt rw - ext3 /dev/root rw", -EINVAL },
                { "36 35 98: /r /mnt rw - ext3 /dev/root rw", -EINVAL },
                { "36 35 98:99999999999 /r /mnt rw - ext3 /dev/root rw", -EINVAL },
        };
        char line[256];
        Mount m;
        char *s = NULL;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                (void)snprintf(line, sizeof(line), "%s", rows[i].line);
                if (mount_parse(line, &m) != rows[i].result)
                        fail_msg("\"%s\"", rows[i].line);
        }
        (void)snprintf(line, sizeof(line),
                       "1 2 3:4 / /a\\040b\\134c rw - overlay o\\011v "
                       "rw,upperdir=/x\\054y\\134\\054z,lower,workdir=,u\n");
        assert_int_equal(mount_parse(line, &m), 0);
        assert_string_equal(m.mount_point, "/a b\\c");
        assert_string_equal(m.source, "o\tv");
        assert_int_equal(m.dev, makedev(3, 4));
        assert_true(mount_has_option(&m, "rw") && mount_has_option(&m, "lower") && mount_has_option(&m, "u"));
        assert_true(mount_has_option(&m, "upperdir"));
        assert_false(mount_has_option(&m, "upper") || mount_has_option(&m, "z") || mount_has_option(&m, ""));
        assert_int_equal(mount_get_option(&m, "lower", &s), 0);
        assert_int_equal(mount_get_option(&m, "none", &s), 0);
        assert_null(s);
        assert_int_equal(mount_get_option(&m, "workdir", &s), 1);
        assert_string_equal(s, "");
        free(s);
        assert_int_equal(mount_get_option(&m, "upperdir", &s), 1);
        assert_string_equal(s, "/x,y,z");
        free(s);
}

static void test_full_host(void **state) {
        Fixture *f = *state;
        HostFacts h;
        char mounts[1024];

        (void)snprintf(mounts, sizeof(mounts),
                       "22 1 0:21 / /proc rw - proc proc rw\n"
                       "garbage\n"
                       "23 1 0:22 / %s/ rw shared:1 - tmpfs tmpfs rw\n"
                       "24 1 0:22 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
                       "25 1 0:23 / %s rw shared:1 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
                       f->cg, f->cg);
        put(f, "proc/self/mountinfo", mounts);
        put_link(f, "proc/self/ns/cgroup", "cgroup:[4026531835]");
        put(f, "proc/pressure/memory", "some avg10=0.00\n");
        put(f, "proc/pressure/cpu", "some avg10=0.00\n");
        put(f, "proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        put(f, "proc/sys/kernel/random/boot_id", "0f1e2d3c-1111-2222-3333-444455556666\n");
        put(f, "proc/cmdline", "BOOT_IMAGE=/vmlinuz bailiff.mode=off quiet bailiff.mode=observe\n");
        put(f, "cg/cgroup.controllers", "cpuset cpu io memory hugetlb pids rdma misc\n");
        put(f, "cg/cgroup.subtree_control", "cpu memory pids\n");
        put(f, "cg/io.cost.qos", "8:0 enable=0 ctrl=auto\n254:0 enable=1 ctrl=user rpct=0.00\n");
        put(f, "cg/init.scope/cgroup.procs", "1\n");
        put(f, "cg/system.slice/memory.pressure", "some avg10=0.00\n");
        put(f, "cg/system.slice/io.latency", "");
        put(f, "cg/user.slice/user-1000.slice/user@1000.service/cgroup.procs", "");
        put(f, "cg/user.slice/user-1000.slice/cgroup.subtree_control", "cpu memory pids\n");
        put(f, "sys/devices/system/cpu/online", "0-3,6,8-9\n");
        put(f, "sys/block/loop0/queue/scheduler", "none\n");
        put(f, "sys/block/vda/queue/scheduler", "mq-deadline none [bfq]\n");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
        assert_true(h.cgroup2 && h.nsdelegate && h.memory_recursiveprot);
        assert_false(h.hybrid || h.in_container);
        assert_int_equal(h.controllers, CONTROLLER_CPU | CONTROLLER_IO | CONTROLLER_MEMORY | CONTROLLER_PIDS);
        assert_int_equal(h.controllers_enabled, CONTROLLER_CPU | CONTROLLER_MEMORY | CONTROLLER_PIDS);
        assert_true(h.psi && h.psi_cgroup && h.io_cost && h.io_bfq && h.io_latency);
        assert_int_equal(h.memory_bytes, 16323732ull * 1024);
        assert_int_equal(h.swap_bytes, 1024 * 1024);
        assert_int_equal(h.pid_max, 127000);
        assert_int_equal(h.n_cpus, 7);
        assert_true(h.page_size >= 4096);
        assert_false(h.user_io_delegated);
        assert_string_equal(h.kernel, "6.1.0-18-amd64");
        assert_string_equal(h.boot_id, "0f1e2d3c-1111-2222-3333-444455556666");
        assert_true(h.cmdline_observe && !h.cmdline_off);

        /* A second user whose manager has it. */
        put(f, "cg/user.slice/user-1001.slice/user@1001.service/cgroup.procs", "");
        put(f, "cg/user.slice/user-1001.slice/cgroup.subtree_control", "io memory\n");
        /* And the other way round with the rest. */
        (void)snprintf(mounts + strlen(mounts), sizeof(mounts) - strlen(mounts),
                       "26 1 0:23 /../x %s rw - cgroup2 cgroup2 rw\n"
                       "27 1 0:24 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
                       f->cg);
        put(f, "proc/self/mountinfo", mounts);
        put(f, "proc/cmdline", "bailiff.mode=observe bailiff.mode=off");
        put(f, "cg/io.cost.qos", "8:0 enable=0 ctrl=auto\n");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
        assert_true(h.user_io_delegated && h.hybrid && h.in_container && h.cgroup2);
        assert_false(h.nsdelegate || h.io_cost);
        assert_true(h.cmdline_off && !h.cmdline_observe);
}

static void test_bare_host(void **state) {
        Fixture *f = *state;
        HostFacts h = { .n_cpus = 4711 };
        char cmdline[64];

        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
        assert_false(h.cgroup2 || h.hybrid || h.psi || h.psi_cgroup || h.io_cost || h.io_bfq || h.io_latency);
        assert_false(h.nsdelegate || h.in_container || h.cmdline_observe || h.cmdline_off);
        assert_true(h.user_io_delegated);
        assert_true(h.n_cpus >= 1 && h.n_cpus != 4711);
        assert_string_not_equal(h.kernel, "");
        assert_string_equal(h.boot_id, "");
        put_link(f, "proc/self/ns/cgroup", "cgroup:[4026532000]");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
        assert_true(h.in_container);

        static const struct {
                const char *text;
                bool observe, off;
        } rows[] = {
                { "bailiff.mode=", false, false },     { "bailiff.mode=enforce", false, false },
                { "xbailiff.mode=off", false, false }, { "bailiff.mode=offx", false, false },
                { "bailiff.mode=off\t", false, true }, { "a  bailiff.mode=observe", true, false },
        };
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                (void)snprintf(cmdline, sizeof(cmdline), "%s\n", rows[i].text);
                put(f, "proc/cmdline", cmdline);
                assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
                assert_int_equal(h.cmdline_observe, rows[i].observe);
                assert_int_equal(h.cmdline_off, rows[i].off);
        }
        static const char *const lists[] = { "", "x", "0-", "3-1", "0,", "0-1 ", "-1" };
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                put(f, "sys/devices/system/cpu/online", lists[i]);
                assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
                assert_int_equal(h.n_cpus, sysconf(_SC_NPROCESSORS_ONLN));
        }
}

/* What percentages are taken of must be there. */
static void test_no_sizes(void **state) {
        Fixture *f = *state;
        HostFacts h = { .n_cpus = 4711 };

        put(f, "proc/sys/kernel/threads-max", "x\n");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), 0);
        assert_int_equal(h.pid_max, 4194304);
        h.n_cpus = 4711;
        put(f, "proc/sys/kernel/pid_max", "\n");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), -ENODATA);
        put(f, "proc/sys/kernel/pid_max", "1000\n");
        put(f, "proc/meminfo", "MemTotalX: 5 kB\nMemTotal: kB\n");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), -ENODATA);
        put(f, "proc/meminfo", "MemTotal: 0 kB\n");
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), -ENODATA);
        assert_int_equal(unlinkat(f->fd, "proc/meminfo", 0), 0);
        assert_int_equal(host_read(f->cg, f->proc, f->sys, &h), -ENODATA);
        assert_int_equal(host_read(f->cg, "/nonexistent", f->sys, &h), -ENOENT);
        assert_int_equal(h.n_cpus, 4711);
}

static void test_this_host(void **state) {
        HostFacts h;

        (void)state;
        assert_int_equal(host_read("/sys/fs/cgroup", "/proc", "/sys", &h), 0);
        assert_true(h.memory_bytes > 0 && h.pid_max > 0 && h.n_cpus > 0);
        assert_int_equal(strlen(h.boot_id), 36);
        assert_string_not_equal(h.kernel, "");
        print_message(
                "cgroup2=%d hybrid=%d controllers=%x/%x psi=%d/%d bfq=%d cost=%d container=%d kernel=%s\n",
                h.cgroup2, h.hybrid, h.controllers, h.controllers_enabled, h.psi, h.psi_cgroup, h.io_bfq,
                h.io_cost, h.in_container, h.kernel);
}

/* A device in sysfs: sys/devices/PATH with dev/block and class/block links. */
static void put_device(const Fixture *f, const char *path, const char *dev, bool partition) {
        char name[256], target[256];

        (void)snprintf(name, sizeof(name), "sys/devices/%s/dev", path);
        (void)snprintf(target, sizeof(target), "%s\n", dev);
        put(f, name, target);
        if (partition) {
                (void)snprintf(name, sizeof(name), "sys/devices/%s/partition", path);
                put(f, name, "1\n");
        }
        (void)snprintf(target, sizeof(target), "../../devices/%s", path);
        (void)snprintf(name, sizeof(name), "sys/dev/block/%s", dev);
        put_link(f, name, target);
        (void)snprintf(name, sizeof(name), "sys/class/block/%s",
                       strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
        put_link(f, name, target);
        if (!partition) {
                (void)snprintf(name, sizeof(name), "sys/block/%s", path);
                (void)snprintf(target, sizeof(target), "../devices/%s", path);
                put_link(f, name, target);
        }
}

static void put_slave(const Fixture *f, const char *device, const char *slave) {
        char name[256], target[256];

        (void)snprintf(name, sizeof(name), "sys/devices/%s/slaves/%s", device,
                       strrchr(slave, '/') ? strrchr(slave, '/') + 1 : slave);
        (void)snprintf(target, sizeof(target), "../../%s", slave);
        put_link(f, name, target);
}

/*
 *   bfa ─ bfa1, bfa2        bfb ─ bfb1          bfc        cciss!c0d0
 *   dm-0 "crypt" on bfa2    dm-1 "vg-lv" on dm-0           (all on bfa)
 *   dm-2 "vg-span" on bfa1 + dm-0                          (one disk, twice)
 *   md0 on bfa1 + bfb1; md0p1 its partition; dm-3 "on-md" on md0
 *   dm-8 on dm-9 on dm-8                                   (a loop)
 */
static void put_block_host(const Fixture *f) {
        put_device(f, "bfa", "240:0", false);
        put_device(f, "bfa/bfa1", "240:1", true);
        put_device(f, "bfa/bfa2", "240:2", true);
        put_device(f, "bfb", "240:16", false);
        put_device(f, "bfb/bfb1", "240:17", true);
        put_device(f, "bfc", "240:32", false);
        put_device(f, "cciss!c0d0", "104:0", false);
        put_device(f, "dm-0", "253:0", false);
        put_slave(f, "dm-0", "bfa/bfa2");
        put(f, "sys/devices/dm-0/dm/name", "crypt\n");
        put_device(f, "dm-1", "253:1", false);
        put_slave(f, "dm-1", "dm-0");
        put(f, "sys/devices/dm-1/dm/name", "vg-lv\n");
        put_device(f, "dm-2", "253:2", false);
        put_slave(f, "dm-2", "bfa/bfa1");
        put_slave(f, "dm-2", "dm-0");
        put_device(f, "md0", "9:0", false);
        put_device(f, "md0/md0p1", "259:0", true);
        put_slave(f, "md0", "bfa/bfa1");
        put_slave(f, "md0", "bfb/bfb1");
        put_device(f, "dm-3", "253:3", false);
        put_slave(f, "dm-3", "md0");
        put(f, "sys/devices/dm-3/dm/name", "on-md\n");
        put_device(f, "dm-8", "253:8", false);
        put_device(f, "dm-9", "253:9", false);
        put_slave(f, "dm-8", "dm-9");
        put_slave(f, "dm-9", "dm-8");
}

static void test_block_stacks(void **state) {
        Fixture *f = *state;
        static const struct {
                const char *path;
                int result;
                unsigned maj, min;
                const char *name;
        } rows[] = {
                { "/dev/bfa", 0, 240, 0, "bfa" },
                { "/dev/bfa2", 0, 240, 0, "bfa" },
                { "/dev/bfc", 0, 240, 32, "bfc" },
                { "/dev/cciss/c0d0", 0, 104, 0, "cciss/c0d0" },
                { "/dev/dm-0", 0, 240, 0, "bfa" },
                { "/dev/mapper/crypt", 0, 240, 0, "bfa" },
                { "/dev/mapper/vg-lv", 0, 240, 0, "bfa" },
                { "/dev/dm-2", 0, 240, 0, "bfa" },
                { "/dev/md0", BLOCK_MANY, 9, 0, "md0" },
                { "/dev/md0p1", BLOCK_MANY, 9, 0, "md0" },
                { "/dev/mapper/on-md", BLOCK_MANY, 253, 3, "dm-3" },
                { "/dev/dm-8", -ELOOP, 0, 0, NULL },
                { "/dev/bfz", BLOCK_GONE, 0, 0, NULL },
                { "/dev/mapper/none", BLOCK_GONE, 0, 0, NULL },
                { "/dev/../dev/bfz", BLOCK_GONE, 0, 0, NULL },
                { "/nonexistent/x", BLOCK_GONE, 0, 0, NULL },
                { "/proc/version/x", BLOCK_GONE, 0, 0, NULL },
        };
        char name[16];

        put_block_host(f);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                BlockDevice b = { .name = "?" };
                int r = block_resolve(f->proc, f->sys, rows[i].path, &b);

                if (r != rows[i].result)
                        fail_msg("%s: %d, expected %d", rows[i].path, r, rows[i].result);
                if (!rows[i].name) {
                        assert_string_equal(b.name, "?");
                        continue;
                }
                assert_int_equal(b.dev, makedev(rows[i].maj, rows[i].min));
                assert_string_equal(b.name, rows[i].name);
                assert_string_equal(b.fstype, "");
                assert_false(b.writeback);
        }
        block_name(f->sys, makedev(240, 17), name, sizeof(name));
        assert_string_equal(name, "bfb1");
        block_name(f->sys, makedev(77, 5), name, sizeof(name));
        assert_string_equal(name, "77:5");
        block_name(f->sys, makedev(240, 17), name, 3);
        assert_string_equal(name, "bf");
        assert_int_equal(block_resolve(f->proc, "/nonexistent", "/", &(BlockDevice){ 0 }), -ENOENT);
}

/* The fixture's own directory, said to be on this and that. */
static void test_block_mounts(void **state) {
        Fixture *f = *state;
        static const struct {
                const char *mount; /* fstype, source, options */
                int result;
                const char *name, *fstype;
                bool writeback;
        } rows[] = {
                { "btrfs /dev/bfa1 rw,subvol=/x", 0, "bfa", "btrfs", true },
                { "btrfs /dev/mapper/vg-lv rw", 0, "bfa", "btrfs", true },
                { "btrfs /dev/bfc rw", BLOCK_MANY, "bfc", "btrfs", true },
                { "btrfs /dev/none rw", BLOCK_NONE, "", "btrfs", true },
                { "bcachefs /dev/bfa:/dev/bfb rw", BLOCK_NONE, "", "bcachefs", false },
                { "tmpfs tmpfs rw", BLOCK_NONE, "", "tmpfs", false },
                { "zfs pool/x rw", BLOCK_NONE, "", "zfs", false },
                { "nfs4 10.0.0.1:/x rw", BLOCK_NONE, "", "nfs4", false },
                { "overlay overlay rw,lowerdir=/x", BLOCK_NONE, "", "overlay", false },
                { "overlay overlay rw,upperdir=/nonexistent/up", BLOCK_NONE, "", "overlay", false },
                { "overlay overlay rw,upperdir=/dev/shm/", -ELOOP, NULL, NULL, false }, /* itself, for ever */
        };
        char root[] = "/dev/shm/bailiff-host-XXXXXX";
        struct statx stx;

        put_block_host(f);
        put_link(f, "sys/fs/btrfs/1111/devices/bfa1", "../../../../devices/bfa/bfa1");
        put_link(f, "sys/fs/btrfs/2222/devices/bfb1", "../../../../devices/bfb/bfb1");
        put_link(f, "sys/fs/btrfs/2222/devices/bfc", "../../../../devices/bfc");
        /* A tmpfs has an anonymous device, as btrfs and overlays have. */
        if (!mkdtemp(root))
                skip();
        assert_int_equal(statx(AT_FDCWD, root, 0, STATX_MNT_ID, &stx), 0);
        assert_int_equal(rmdir(root), 0);
        if (stx.stx_dev_major != 0 || !(stx.stx_mask & STATX_MNT_ID))
                skip();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                BlockDevice b = {};
                char line[512];
                int r;

                (void)snprintf(line, sizeof(line),
                               "1 0 1:1 / / rw - ext4 /dev/bfb1 rw\n%llu 1 9:99 / /dev/shm rw - %s\n",
                               (unsigned long long)stx.stx_mnt_id, rows[i].mount);
                put(f, "proc/self/mountinfo", line);
                r = block_resolve(f->proc, f->sys, "/dev/shm", &b);
                if (r != rows[i].result)
                        fail_msg("%s: %d, expected %d", rows[i].mount, r, rows[i].result);
                if (!rows[i].name)
                        continue;
                assert_string_equal(b.name, rows[i].name);
                assert_string_equal(b.fstype, rows[i].fstype);
                assert_int_equal(b.writeback, rows[i].writeback);
        }
        /* Not in the list at all. */
        put(f, "proc/self/mountinfo", "");
        assert_int_equal(block_resolve(f->proc, f->sys, "/dev/shm", &(BlockDevice){ 0 }), BLOCK_NONE);
}

static void test_block_this_host(void **state) {
        static const char *const paths[] = { "/", "/tmp", "/proc", "/dev/null", "/dev/vda", "/dev/sda1" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                BlockDevice b = {};
                int r = block_resolve("/proc", "/sys", paths[i], &b);

                print_message("%s: %d %s %u:%u %s writeback=%d\n", paths[i], r, b.name, major(b.dev),
                              minor(b.dev), b.fstype, b.writeback);
                assert_int_equal(r == 0 || r == BLOCK_MANY, b.dev != 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mount_lines),
                cmocka_unit_test_setup_teardown(test_full_host, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bare_host, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_sizes, setup, teardown),
                cmocka_unit_test(test_this_host),
                cmocka_unit_test_setup_teardown(test_block_stacks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_block_mounts, setup, teardown),
                cmocka_unit_test(test_block_this_host),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
