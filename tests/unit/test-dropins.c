/* SPDX-License-Identifier: Apache-2.0 */

/* Drop-ins as systemd 252 writes them (copied from a running one), in a tree of our own. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fdio.h"
#include "manager.h"

#define HEAD                                                                                \
        "# This is a drop-in unit file extension, created via \"systemctl set-property\"\n" \
        "# or an equivalent operation. Do not edit.\n"
#define CONTROL "run/systemd/system.control/"
#define TRANSIENT "run/systemd/transient/"
#define SET_MAX 4

static char root[] = "/tmp/test-dropins-XXXXXX";
static int root_fd = -1;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        return ftw->level == 0 ? 0 : remove(path);
}

static int setup_all(void **state) {
        (void)state;
        if (!mkdtemp(root))
                return -1;
        root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return root_fd < 0 ? -1 : 0;
}

static int clear(void **state) {
        (void)state;
        return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int teardown_all(void **state) {
        (void)clear(state);
        root_fd = fd_close(root_fd);
        return rmdir(root);
}

static void make_dirs(const char *path) {
        char part[512];

        for (const char *p = path; (p = strchr(p, '/')); p++) {
                (void)snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
                assert_true(mkdirat(root_fd, part, 0755) == 0 || errno == EEXIST);
        }
}

static void write_file(const char *path, const char *text) {
        make_dirs(path);
        assert_int_equal(fd_write_file_atomic(root_fd, path, text, strlen(text), 0644, false), 0);
}

static bool exists(const char *path) { return faccessat(root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

typedef struct Row {
        const char *unit, *file, *text;
        struct {
                Limit limit;
                unsigned disk; /* 0: no limit per device */
                uint64_t value;
        } set[SET_MAX];
        size_t n;
        int expected;
} Row;

enum { VDA = 1, VDB }; /* 4001:0, 4001:16 */
#define NODE_A "/dev/block/4001:0"
#define NODE_B "/dev/block/4001:16"

static const Row rows[] = {
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=209715200\n",
          { { LIMIT_MEMORY_MAX, 0, 209715200 } },
          1,
          1 },
        { "t.slice",
          "50-MemoryHigh.conf",
          HEAD "[Slice]\nMemoryHigh=infinity\n",
          { { LIMIT_MEMORY_HIGH, 0, LIMIT_INFINITY } },
          1,
          1 },
        { "a.service",
          "50-MemoryMin.conf",
          HEAD "[Service]\nMemoryMin=0\n",
          { { LIMIT_MEMORY_MIN, 0, 0 } },
          1,
          1 },
        { "a.scope",
          "50-TasksMax.conf",
          HEAD "[Scope]\nTasksMax=99\n",
          { { LIMIT_TASKS_MAX, 0, 99 } },
          1,
          1 },
        { "a.scope",
          "50-MemorySwapMax.conf",
          HEAD "[Scope]\nMemorySwapMax=0\n",
          { { LIMIT_MEMORY_SWAP_MAX, 0, 0 } },
          1,
          1 },
        /* CPU in whole percent, cut; lifted to one */
        { "t.slice",
          "50-CPUQuota.conf",
          HEAD "[Slice]\nCPUQuota=15%\n",
          { { LIMIT_CPU_QUOTA, 0, 155555 } },
          1,
          1 },
        { "t.slice",
          "50-CPUQuota.conf",
          HEAD "[Slice]\nCPUQuota=15%\n",
          { { LIMIT_CPU_QUOTA, 0, 160000 } },
          1,
          0 },
        { "t.slice",
          "50-CPUQuota.conf",
          HEAD "[Slice]\nCPUQuota=15%\n",
          { { LIMIT_CPU_QUOTA, 0, 149999 } },
          1,
          0 },
        { "t.slice",
          "50-CPUQuota.conf",
          HEAD "[Slice]\nCPUQuota=1%\n",
          { { LIMIT_CPU_QUOTA, 0, 5000 } },
          1,
          1 },
        { "t.slice",
          "50-CPUQuota.conf",
          HEAD "[Slice]\nCPUQuota=\n",
          { { LIMIT_CPU_QUOTA, 0, LIMIT_INFINITY } },
          1,
          1 },
        { "t.slice",
          "50-CPUQuotaPeriodSec.conf",
          HEAD "[Slice]\nCPUQuotaPeriodSec=50ms\n",
          { { LIMIT_CPU_PERIOD, 0, 50000 } },
          1,
          1 },
        { "t.slice",
          "50-CPUQuotaPeriodSec.conf",
          HEAD "[Slice]\nCPUQuotaPeriodSec=1.234ms\n",
          { { LIMIT_CPU_PERIOD, 0, 1234 } },
          1,
          1 },
        { "t.slice",
          "50-CPUQuotaPeriodSec.conf",
          HEAD "[Slice]\nCPUQuotaPeriodSec=1us\n",
          { { LIMIT_CPU_PERIOD, 0, 1 } },
          1,
          1 },
        { "t.slice",
          "50-CPUQuotaPeriodSec.conf",
          HEAD "[Slice]\nCPUQuotaPeriodSec=\n",
          { { LIMIT_CPU_PERIOD, 0, LIMIT_INFINITY } },
          1,
          1 },
        { "t.slice",
          "50-CPUWeight.conf",
          HEAD "[Slice]\nCPUWeight=50\n",
          { { LIMIT_CPU_WEIGHT, 0, 50 } },
          1,
          1 },
        { "t.slice",
          "50-CPUWeight.conf",
          HEAD "[Slice]\nCPUWeight=idle\n",
          { { LIMIT_CPU_WEIGHT, 0, 0 } },
          1,
          1 },
        { "t.slice",
          "50-IOWeight.conf",
          HEAD "[Slice]\nIOWeight=\n",
          { { LIMIT_IO_WEIGHT, 0, LIMIT_INFINITY } },
          1,
          1 },
        /* lists */
        { "t.slice",
          "50-IOReadBandwidthMax.conf",
          HEAD "[Slice]\nIOReadBandwidthMax=\nIOReadBandwidthMax=" NODE_A
               " 5242880\nIOReadBandwidthMax=" NODE_B " 1000\n\n",
          { { LIMIT_IO_READ_BANDWIDTH_MAX, VDA, 5242880 }, { LIMIT_IO_READ_BANDWIDTH_MAX, VDB, 1000 } },
          2,
          1 },
        { "t.slice",
          "50-IOReadBandwidthMax.conf", /* one more than ours */
          HEAD "[Slice]\nIOReadBandwidthMax=\nIOReadBandwidthMax=" NODE_A
               " 5242880\nIOReadBandwidthMax=" NODE_B " 1000\n\n",
          { { LIMIT_IO_READ_BANDWIDTH_MAX, VDA, 5242880 } },
          1,
          0 },
        { "t.slice",
          "50-IOReadBandwidthMax.conf", /* one less */
          HEAD "[Slice]\nIOReadBandwidthMax=\nIOReadBandwidthMax=" NODE_A " 5242880\n\n",
          { { LIMIT_IO_READ_BANDWIDTH_MAX, VDA, 5242880 }, { LIMIT_IO_READ_BANDWIDTH_MAX, VDB, 1000 } },
          2,
          0 },
        { "t.slice",
          "50-IOReadBandwidthMax.conf", /* one was freed */
          HEAD "[Slice]\nIOReadBandwidthMax=\nIOReadBandwidthMax=" NODE_A " 5242880\n\n",
          { { LIMIT_IO_READ_BANDWIDTH_MAX, VDA, 5242880 },
            { LIMIT_IO_READ_BANDWIDTH_MAX, VDB, LIMIT_INFINITY } },
          2,
          1 },
        { "t.slice",
          "50-IOWriteIOPSMax.conf",
          HEAD "[Slice]\nIOWriteIOPSMax=\n\n",
          { { LIMIT_IO_WRITE_IOPS_MAX, VDA, LIMIT_INFINITY } },
          1,
          1 },
        { "t.slice",
          "50-IOWriteIOPSMax.conf",
          HEAD "[Slice]\nIOWriteIOPSMax=\nIOWriteIOPSMax=/dev/no/such 7\n\n",
          { { LIMIT_IO_WRITE_IOPS_MAX, VDA, 7 } },
          1,
          0 },
        { "t.slice",
          "50-IOWriteIOPSMax.conf",
          HEAD "[Slice]\nIOWriteIOPSMax=\nIOWriteIOPSMax=" NODE_A "\n\n",
          { { LIMIT_IO_WRITE_IOPS_MAX, VDA, 7 } },
          1,
          0 },
        { "t.slice",
          "50-IOWriteIOPSMax.conf",
          HEAD "[Slice]\nIOWriteIOPSMax=" NODE_A " 7\n\n", /* no reset */
          { { LIMIT_IO_WRITE_IOPS_MAX, VDA, 7 } },
          1,
          0 },
        { "t.slice",
          "50-IODeviceLatencyTargetUSec.conf",
          HEAD "[Slice]\nIODeviceLatencyTargetSec=\nIODeviceLatencyTargetSec=" NODE_A
               " 1d 1h 1min 1.000001s\n\n",
          { { LIMIT_IO_DEVICE_LATENCY, VDA, 90061000001 } },
          1,
          1 },
        { "t.slice",
          "50-IODeviceLatencyTargetUSec.conf",
          HEAD "[Slice]\nIODeviceLatencyTargetSec=\nIODeviceLatencyTargetSec=" NODE_A " infinity\n\n",
          { { LIMIT_IO_DEVICE_LATENCY, VDA, LIMIT_INFINITY } },
          1,
          1 },
        /* somebody else's */
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=209715200\n",
          { { LIMIT_MEMORY_MAX, 0, 1 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=209715200\n",
          { { LIMIT_TASKS_MAX, 0, 209715200 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=200M\n",
          { { LIMIT_MEMORY_MAX, 0, 209715200 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Scope]\nMemoryMax=2\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice", "50-MemoryMax.conf", HEAD "MemoryMax=2\n", { { LIMIT_MEMORY_MAX, 0, 2 } }, 1, 0 },
        { "t.slice", "50-MemoryMax.conf", HEAD "[Slice]\n", { { LIMIT_MEMORY_MAX, 0, 2 } }, 1, 0 },
        { "t.slice", "50-MemoryMax.conf", "[Slice]\nMemoryMax=2\n", { { LIMIT_MEMORY_MAX, 0, 2 } }, 1, 0 },
        { "t.slice",
          "50-MemoryMax.conf",
          "# by hand\n" HEAD "[Slice]\nMemoryMax=2\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=2\nMemoryMax=2\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=2\nTasksMax=3\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=2\n[Slice]\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Unit]\nDescription=x\n[Slice]\nMemoryMax=2\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\n MemoryMax=2\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice",
          "50-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=2 \n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice", "50-MemoryMax.conf", "", { { LIMIT_MEMORY_MAX, 0, 2 } }, 1, 0 },
        { "t.slice",
          "60-MemoryMax.conf",
          HEAD "[Slice]\nMemoryMax=2\n",
          { { LIMIT_MEMORY_MAX, 0, 2 } },
          1,
          0 },
        { "t.slice", "50-CPUBurst.conf", HEAD "[Slice]\nCPUBurst=2\n", { { LIMIT_CPU_BURST, 0, 2 } }, 1, 0 },
};

static void make_set(const Row *row, LimitSet *set) {
        for (size_t i = 0; i < row->n; i++) {
                unsigned disk = row->set[i].disk;
                LimitKnob knob = { row->set[i].limit, disk ? makedev(4001, (disk - 1) * 16) : 0 };

                assert_int_equal(limit_set_put(set, knob, row->set[i].value, 0), 0);
        }
}

static void test_rows(void **state) {
        static const char *const parents[] = { CONTROL, TRANSIENT };

        for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
                const Row *row = &rows[i / 2];
                _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
                char path[256], dir[256];
                int r;

                (void)clear(state);
                make_set(row, &set);
                (void)snprintf(path, sizeof(path), "%s%s.d/%s", parents[i % 2], row->unit, row->file);
                (void)snprintf(dir, sizeof(dir), "%s%s.d", parents[i % 2], row->unit);
                write_file(path, row->text);
                r = dropins_remove(root, row->unit, &set);
                if (r != row->expected)
                        print_error("row %zu: %s: %s\n", i / 2, row->file, row->text);
                assert_int_equal(r, row->expected);
                assert_int_equal(exists(path), !row->expected);
                assert_int_equal(exists(dir), !row->expected);
                assert_int_equal(dropins_remove(root, row->unit, &set), 0);
        }
}

/* Several at once; strangers beside them keep the directory. */
static void test_together(void **state) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        uint32_t found = 0;

        (void)state;
        write_file(CONTROL "t.slice.d/50-MemoryMax.conf", HEAD "[Slice]\nMemoryMax=1000\n");
        write_file(CONTROL "t.slice.d/50-TasksMax.conf", HEAD "[Slice]\nTasksMax=7\n");
        write_file(CONTROL "t.slice.d/50-CPUWeight.conf", HEAD "[Slice]\nCPUWeight=7\n");
        write_file(TRANSIENT "t.slice.d/50-IODeviceLatencyTargetUSec.conf", "x");
        write_file(CONTROL "t.slice.d/admin.conf", "[Slice]\nMemoryMax=5\n");
        write_file(CONTROL "u.slice.d/50-MemoryMax.conf", HEAD "[Slice]\nMemoryMax=1000\n");
        assert_int_equal(dropins_find(root, "t.slice", &found), 0);
        assert_int_equal(found, 1U << LIMIT_MEMORY_MAX | 1U << LIMIT_TASKS_MAX | 1U << LIMIT_CPU_WEIGHT |
                                        1U << LIMIT_IO_DEVICE_LATENCY);
        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_MEMORY_MAX, 0 }, 1000, 0), 0);
        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_TASKS_MAX, 0 }, 7, 0), 0);
        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_CPU_WEIGHT, 0 }, 100, 0), 0);
        assert_int_equal(dropins_remove(root, "t.slice", &set), 2);
        assert_false(exists(CONTROL "t.slice.d/50-MemoryMax.conf"));
        assert_true(exists(CONTROL "t.slice.d/50-CPUWeight.conf"));
        assert_true(exists(CONTROL "t.slice.d/admin.conf"));
        assert_true(exists(CONTROL "u.slice.d/50-MemoryMax.conf"));
}

static void test_odd_files(void **state) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        static char big[70 * 1024];
        uint32_t found = 77;

        (void)state;
        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_MEMORY_MAX, 0 }, 1, 0), 0);
        assert_int_equal(dropins_remove(root, "t.slice", &set), 0); /* nothing there at all */
        assert_int_equal(dropins_find(root, "t.slice", &found), 0);
        assert_int_equal(found, 0);
        write_file("elsewhere/50-MemoryMax.conf", HEAD "[Slice]\nMemoryMax=1\n");
        make_dirs(CONTROL "t.slice.d/x");
        assert_int_equal(symlinkat("../../../../elsewhere/50-MemoryMax.conf", root_fd,
                                   CONTROL "t.slice.d/50-MemoryMax.conf"),
                         0);
        assert_int_equal(dropins_remove(root, "t.slice", &set), 0);
        assert_int_equal(unlinkat(root_fd, CONTROL "t.slice.d/50-MemoryMax.conf", 0), 0);
        assert_int_equal(mkfifoat(root_fd, CONTROL "t.slice.d/50-MemoryMax.conf", 0600), 0);
        assert_int_equal(dropins_remove(root, "t.slice", &set), 0);
        assert_int_equal(unlinkat(root_fd, CONTROL "t.slice.d/50-MemoryMax.conf", 0), 0);
        memset(big, '\n', sizeof(big) - 1);
        memcpy(big, HEAD "[Slice]\nMemoryMax=1\n", strlen(HEAD "[Slice]\nMemoryMax=1\n"));
        write_file(CONTROL "t.slice.d/50-MemoryMax.conf", big);
        assert_int_equal(dropins_remove(root, "t.slice", &set), 0);
        assert_true(exists("elsewhere/50-MemoryMax.conf"));
}

static void test_bad_names(void **state) {
        static const char *const names[] = { "", "t", "../t.slice", "a/b.slice", "t.target", "/etc/x.slice" };
        LimitSet set = LIMIT_SET_INIT;
        char long_name[300];
        uint32_t found;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                assert_int_equal(dropins_remove(root, names[i], &set), -EINVAL);
                assert_int_equal(dropins_find(root, names[i], &found), -EINVAL);
        }
        memset(long_name, 'x', sizeof(long_name));
        memcpy(long_name + sizeof(long_name) - 7, ".slice", 7);
        assert_int_equal(dropins_remove(root, long_name, &set), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_rows, clear, clear),
                cmocka_unit_test_setup_teardown(test_together, clear, clear),
                cmocka_unit_test_setup_teardown(test_odd_files, clear, clear),
                cmocka_unit_test_setup_teardown(test_bad_names, clear, clear),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
