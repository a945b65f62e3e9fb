/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A captured cgroup in a temporary directory. What only a kernel does (ENODEV
 * on a removed cgroup, EOPNOTSUPP) is seen with BAILIFF_TEST_CGROUP=/path/of/a/writable/cgroup2/directory.
 */

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "cgfile.h"
#include "fdio.h"

#define BIT(f) (UINT32_C(1) << LIMIT_FILE_##f)

typedef struct Fixture {
        char root[64];
        int rootfd, fd; /* the root; the cgroup /t.slice/c */
} Fixture;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        *state = f;
        (void)snprintf(f->root, sizeof(f->root), "/tmp/bailiff-cgfile-XXXXXX");
        assert_non_null(mkdtemp(f->root));
        f->rootfd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(f->rootfd, "t.slice", 0755), 0);
        assert_int_equal(mkdirat(f->rootfd, "t.slice/c", 0755), 0);
        f->fd = openat(f->rootfd, "t.slice/c", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(f->fd >= 0);
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fd_close(f->fd);
        fd_close(f->rootfd);
        (void)nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

static void put(int dirfd, const char *name, const char *text) {
        int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        fd_close(fd);
}

static void remove_group(const Fixture *f) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/t.slice/c", f->root);
        assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void assert_limit(const LimitSet *set, Limit limit, dev_t dev, uint64_t value) {
        uint64_t v = 0;

        assert_true(limit_set_get(set, (LimitKnob){ limit, dev }, &v));
        assert_int_equal(v, value);
}

static void test_limits(void **state) {
        Fixture *f = *state;
        LimitSet set = LIMIT_SET_INIT;
        uint32_t have = 77;

        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_TASKS_MAX, 0 }, 1, 0), 0);
        assert_int_equal(cg_read_limits(f->fd, &set, &have), 0);
        assert_int_equal(have, 0);
        assert_int_equal(set.n, 0);

        put(f->fd, "memory.max", "104857600\n");
        put(f->fd, "memory.high", "max\n");
        put(f->fd, "cpu.max", "50000 100000\n");
        put(f->fd, "io.max", "254:0 rbps=max wbps=5000000 riops=max wiops=max\n");
        put(f->fd, "pids.max", "64\n");
        put(f->fd, "memory.low", "not a number\n"); /* of another kernel: not known, no harm to others */
        assert_int_equal(mkdirat(f->fd, "io.latency", 0755), 0); /* EISDIR */
        assert_int_equal(cg_read_limits(f->fd, &set, &have), 0);
        assert_int_equal(have,
                         BIT(MEMORY_MAX) | BIT(MEMORY_HIGH) | BIT(CPU_MAX) | BIT(IO_MAX) | BIT(PIDS_MAX));
        assert_limit(&set, LIMIT_MEMORY_MAX, 0, 104857600);
        assert_limit(&set, LIMIT_MEMORY_HIGH, 0, LIMIT_INFINITY);
        assert_limit(&set, LIMIT_CPU_QUOTA, 0, 500000);
        assert_limit(&set, LIMIT_TASKS_MAX, 0, 64);
        assert_limit(&set, LIMIT_IO_WRITE_BANDWIDTH_MAX, makedev(254, 0), 5000000);
        assert_false(limit_set_get(&set, (LimitKnob){ LIMIT_MEMORY_LOW, 0 }, &(uint64_t){ 0 }));

        /* In turn: all or nothing of one file. */
        put(f->fd, "io.max", "8:0 rbps=1 wbps=1 riops=max wiops=max\n???\n");
        (void)cg_read_limits(f->fd, &set, &have);
        if (!(have & BIT(IO_MAX)))
                assert_false(limit_set_get(&set, (LimitKnob){ LIMIT_IO_READ_BANDWIDTH_MAX, makedev(8, 0) },
                                           &(uint64_t){ 0 }));
        put(f->fd, "io.max", "8:0 rbps=1000000 wbps=max riops=max wiops=max\n");
        assert_int_equal(cg_read_limit_file(f->fd, LIMIT_FILE_IO_MAX, &set), 0);
        assert_false(limit_set_get(&set, (LimitKnob){ LIMIT_IO_WRITE_BANDWIDTH_MAX, makedev(254, 0) },
                                   &(uint64_t){ 0 }));
        assert_limit(&set, LIMIT_IO_READ_BANDWIDTH_MAX, makedev(8, 0), 1000000);
        assert_limit(&set, LIMIT_TASKS_MAX, 0, 64);
        put(f->fd, "pids.max", "many\n");
        assert_int_equal(cg_read_limit_file(f->fd, LIMIT_FILE_PIDS_MAX, &set), -EBADMSG);
        assert_limit(&set, LIMIT_TASKS_MAX, 0, 64);
        assert_int_equal(cg_read_limit_file(f->fd, LIMIT_FILE_MEMORY_MIN, &set), -ENOENT);

        remove_group(f);
        assert_int_equal(cg_alive(f->fd), 0);
        assert_int_equal(cg_read_limit_file(f->fd, LIMIT_FILE_PIDS_MAX, &set), CG_GONE);
        assert_limit(&set, LIMIT_TASKS_MAX, 0, 64);
        have = 77;
        assert_int_equal(cg_read_limits(f->fd, &set, &have), CG_GONE);
        assert_int_equal(have, 77);
        assert_int_equal(set.n, 0);
        limit_set_deinit(&set);
}

/* More disks than fit a page, and than fit at all. */
static void test_many_disks(void **state) {
        Fixture *f = *state;
        LimitSet set = LIMIT_SET_INIT;
        Buf b = BUF_INIT;
        uint32_t have;

        for (unsigned i = 0; i < 3000; i++)
                buf_printf(&b, "8:%u rbps=1048576 wbps=max riops=max wiops=max\n", i);
        put(f->fd, "io.max", buf_str(&b));
        assert_int_equal(cg_read_limits(f->fd, &set, &have), 0);
        assert_int_equal(have, BIT(IO_MAX));
        assert_int_equal(set.n, 3000);
        buf_deinit(&b);
        limit_set_deinit(&set);
}

static void test_usage(void **state) {
        Fixture *f = *state;
        uint64_t usec = 7;
        CgUsage u;

        assert_int_equal(cg_read_occupancy(f->fd, &u), 0);
        assert_false(u.have_memory || u.have_swap || u.have_pids);
        assert_int_equal(cg_read_cpu(f->fd, &usec), -ENOENT);
        put(f->fd, "memory.current", "4096\n");
        put(f->fd, "memory.swap.current", "0\n");
        put(f->fd, "pids.current", "3\n");
        put(f->fd, "cpu.stat", "nr_usage_usec 5\nuser_usec 1000\nsystem_usec 234\n");
        assert_int_equal(cg_read_cpu(f->fd, &usec), -EBADMSG);
        assert_int_equal(usec, 7);
        put(f->fd, "cpu.stat", "nr_usage_usec 5\nusage_usec 1234\nuser_usec 1000\nsystem_usec 234\n");
        assert_int_equal(cg_read_cpu(f->fd, &usec), 0);
        assert_int_equal(usec, 1234);
        assert_int_equal(cg_read_occupancy(f->fd, &u), 0);
        assert_true(u.have_memory && u.have_swap && u.have_pids);
        assert_int_equal(u.memory_bytes, 4096);
        assert_int_equal(u.swap_bytes, 0);
        assert_int_equal(u.tasks, 3);
        put(f->fd, "memory.current", "-1\n");
        assert_int_equal(cg_read_occupancy(f->fd, &u), 0);
        assert_true(!u.have_memory && u.have_pids);
        assert_int_equal(cg_read_oom_kills(f->fd, &usec), -ENOENT);
        put(f->fd, "memory.events", "low 0\nhigh 9\nmax 8\noom 3\noom_group_kill 7\n");
        assert_int_equal(cg_read_oom_kills(f->fd, &usec), -EBADMSG);
        assert_int_equal(usec, 1234);
        put(f->fd, "memory.events", "low 0\nhigh 9\nmax 8\noom 3\noom_kill 2\noom_group_kill 7\n");
        assert_int_equal(cg_read_oom_kills(f->fd, &usec), 0);
        assert_int_equal(usec, 2);
        remove_group(f);
        assert_int_equal(cg_read_oom_kills(f->fd, &usec), CG_GONE);
        assert_int_equal(cg_read_cpu(f->fd, &usec), CG_GONE);
        assert_int_equal(cg_read_occupancy(f->fd, &u), 0);
        assert_false(u.have_memory || u.have_swap || u.have_pids);
}

static void test_write(void **state) {
        Fixture *f = *state;
        char text[16];

        assert_int_equal(cg_write(f->fd, "pids.max", "5"), -ENOENT);
        put(f->fd, "pids.max", "");
        assert_int_equal(cg_write(f->fd, "pids.max", "5"), 0);
        assert_int_equal(fd_read_at(f->fd, "pids.max", text, sizeof(text)), 1);
        remove_group(f);
        assert_int_equal(cg_write(f->fd, "pids.max", "5"), CG_GONE);
}

static void test_procs(void **state) {
        Fixture *f = *state;
        pid_t pids[2000];
        Buf b = BUF_INIT;

        assert_int_equal(cg_read_procs(f->fd, pids, 4), -ENOENT);
        put(f->fd, "cgroup.procs", "");
        assert_int_equal(cg_read_procs(f->fd, pids, 4), 0);
        put(f->fd, "cgroup.procs", "12\n0\n345\n99999999999\nx\n6\n");
        assert_int_equal(cg_read_procs(f->fd, pids, 4), 3);
        assert_int_equal(pids[0], 12);
        assert_int_equal(pids[1], 345);
        assert_int_equal(pids[2], 6);
        assert_int_equal(cg_read_procs(f->fd, pids, 2), 2);
        assert_int_equal(cg_read_procs(f->fd, pids, 0), 0);
        /* Lines across the borders of reads. */
        for (int i = 1; i <= 2500; i++)
                buf_printf(&b, "%d\n", i * 7);
        put(f->fd, "cgroup.procs", buf_str(&b));
        assert_int_equal(cg_read_procs(f->fd, pids, 2000), 2000);
        for (int i = 0; i < 2000; i++)
                assert_int_equal(pids[i], (i + 1) * 7);
        buf_clear(&b);
        for (int i = 0; i < 10000; i++)
                buf_putc(&b, '1');
        put(f->fd, "cgroup.procs", buf_str(&b));
        assert_int_equal(cg_read_procs(f->fd, pids, 4), -EBADMSG);
        buf_deinit(&b);
        remove_group(f);
        assert_int_equal(cg_read_procs(f->fd, pids, 4), -ENODEV);
}

static void test_trust_paths(void **state) {
        Fixture *f = *state;
        static const struct {
                const char *path;
                int result;
        } rows[] = {
                { "/", 0 },
                { "/t.slice", 0 },
                { "/t.slice/c", 0 },
                { "/none", CG_GONE },
                { "/t.slice/c/d", CG_GONE },
                { "", -EINVAL },
                { "t.slice", -EINVAL },
                { "//t.slice", -EINVAL },
                { "/t.slice/", -EINVAL },
                { "/t.slice//c", -EINVAL },
                { "/t.slice/../t.slice", -EINVAL },
                { "/./t.slice", -EINVAL },
                { "/link/c", -ENOTDIR },
                { "/t.slice/link", -ENOTDIR },
                { "/file", -ENOTDIR },
        };
        char name[400] = "/";

        assert_int_equal(symlinkat("t.slice", f->rootfd, "link"), 0);
        assert_int_equal(symlinkat("c", f->rootfd, "t.slice/link"), 0);
        put(f->rootfd, "file", "");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                CgTrust trust = { .owner = 4711 };
                int r = cg_read_trust(f->rootfd, rows[i].path, &trust);

                if (r != rows[i].result)
                        fail_msg("\"%s\": %d, expected %d", rows[i].path, r, rows[i].result);
                assert_int_equal(trust.owner == 4711, r != 0);
        }
        memset(name + 1, 'x', 300);
        assert_int_equal(cg_read_trust(f->rootfd, name, &(CgTrust){ 0 }), -EINVAL);
}

static void test_trust(void **state) {
        Fixture *f = *state;
        CgTrust t;
        struct stat st;
        char slice[128], c[160];

        (void)snprintf(slice, sizeof(slice), "%s/t.slice", f->root);
        (void)snprintf(c, sizeof(c), "%s/c", slice);
        assert_int_equal(fstat(f->fd, &st), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_int_equal(t.id, st.st_ino);
        assert_int_equal(t.owner, geteuid());
        assert_int_equal(t.root_owned, geteuid() == 0);
        assert_false(t.delegated);
        if (geteuid() != 0 || setxattr(c, "trusted.delegate", "1", 1, 0) < 0 ||
            setxattr(c, "user.delegate", "1", 1, 0) < 0)
                skip();
        /* Its own delegation is the container's affair … */
        assert_int_equal(chown(c, 1000, 1000), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_true(t.owner == 1000 && t.root_owned && !t.delegated);
        /* … that of an ancestor is not. */
        assert_int_equal(setxattr(slice, "user.delegate", "0", 1, 0), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_false(t.delegated);
        assert_int_equal(setxattr(slice, "user.delegate", "1", 1, 0), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_true(t.delegated);
        assert_int_equal(removexattr(slice, "user.delegate"), 0);
        assert_int_equal(setxattr(slice, "trusted.delegate", "1", 1, 0), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_true(t.delegated && t.root_owned);
        assert_int_equal(removexattr(slice, "trusted.delegate"), 0);
        assert_int_equal(chown(slice, 1000, 1000), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_false(t.root_owned);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice", &t), 0);
        assert_true(t.root_owned && t.owner == 1000);
        /* A value that is not what systemd writes, too long for us to read. */
        assert_int_equal(setxattr(slice, "user.delegate", "1 but much longer", 17, 0), 0);
        assert_int_equal(cg_read_trust(f->rootfd, "/t.slice/c", &t), 0);
        assert_true(t.delegated);
}

static void test_cgroupfs(void **state) {
        const char *base = getenv("BAILIFF_TEST_CGROUP");
        LimitSet set = LIMIT_SET_INIT;
        char path[256];
        uint32_t have;
        uint64_t usec;
        CgTrust t;
        pid_t pids[4];
        int fd, basefd;

        (void)state;
        if (!base)
                skip();
        basefd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(path, sizeof(path), "%s/bailiff-cgfile-%d", base, getpid());
        assert_int_equal(mkdir(path, 0755), 0);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(cg_alive(fd), 1);
        assert_int_equal(cg_read_limits(fd, &set, &have), 0);
        assert_int_equal(cg_read_cpu(fd, &usec), 0);
        assert_int_equal(cg_read_procs(fd, pids, 4), 0);
        assert_int_equal(cg_write(fd, "cgroup.max.depth", "3"), 0);
        assert_int_equal(cg_write(fd, "cgroup.max.depth", "x"), -EINVAL);
        assert_int_equal(cg_write(fd, "memory.none", "x"), -ENOENT);
        assert_int_equal(setxattr(path, "user.delegate", "1", 1, 0), 0);
        (void)snprintf(path, sizeof(path), "/bailiff-cgfile-%d", getpid());
        assert_int_equal(mkdirat(fd, "x", 0755), 0);
        assert_int_equal(cg_read_trust(basefd, path, &t), 0);
        assert_false(t.delegated);
        (void)snprintf(path, sizeof(path), "/bailiff-cgfile-%d/x", getpid());
        assert_int_equal(cg_read_trust(basefd, path, &t), 0);
        assert_true(t.delegated && t.root_owned);
        assert_int_equal(unlinkat(fd, "x", AT_REMOVEDIR), 0);
        (void)snprintf(path, sizeof(path), "%s/bailiff-cgfile-%d", base, getpid());
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(cg_alive(fd), 0);
        assert_int_equal(cg_read_limits(fd, &set, &have), CG_GONE);
        assert_int_equal(cg_read_limit_file(fd, LIMIT_FILE_CPU_MAX, &set), CG_GONE);
        assert_int_equal(cg_read_cpu(fd, &usec), CG_GONE);
        assert_int_equal(cg_read_procs(fd, pids, 4), -ENODEV);
        assert_int_equal(cg_write(fd, "cgroup.max.depth", "3"), CG_GONE);
        limit_set_deinit(&set);
        fd_close(fd);
        fd_close(basefd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_disks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
                cmocka_unit_test_setup_teardown(test_write, setup, teardown),
                cmocka_unit_test_setup_teardown(test_procs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_trust_paths, setup, teardown),
                cmocka_unit_test_setup_teardown(test_trust, setup, teardown),
                cmocka_unit_test(test_cgroupfs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
