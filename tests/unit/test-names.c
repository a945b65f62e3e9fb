/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Captured shapes of engines' state below a prefix, then what a tenant could
 * put in their place, then the helper around it. A helper that hangs is one
 * that was sent SIGSTOP: state files that never answer look the same from here.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "names-wire.h"
#include "state.h"

#define ID "4f1c0de0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c"
#define DOCKER "/var/lib/docker/containers/" ID
#define GRAPH "/var/lib/containers/storage/overlay-containers"
#define TASK "/run/containerd/io.containerd.runtime.v2.task"
#define MSEC USEC_PER_MSEC

static char root[64];
static NamesConfig config = { .root = root };

/* ---- a tree to read ---- */

static char *path_of(const char *path) {
        static char full[1024];

        (void)snprintf(full, sizeof(full), "%s%s", root, path);
        return full;
}

static void make_parents(const char *path) {
        char *full = path_of(path);

        for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
                *p = '\0';
                assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
}

static void put_bytes(const char *path, const void *data, size_t n) {
        _cleanup_fd_ int fd = -1;

        make_parents(path);
        (void)unlink(path_of(path));
        fd = open(path_of(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, data, n), 0);
}

static void put_file(const char *path, const char *text) { put_bytes(path, text, strlen(text)); }

static int remove_one(const char *path, const struct stat *st _unused_, int flag _unused_,
                      struct FTW *f _unused_) {
        return remove(path);
}

static int setup(void **state _unused_) {
        (void)snprintf(root, sizeof(root), "/tmp/test-names-XXXXXX");
        if (!mkdtemp(root))
                return -1;
        put_file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                                "alice:x:1000:1000:Alice:/home/alice:/bin/sh\n"
                                "bob:x:1001:1001::/home/bob:/bin/sh\n"
                                "nohome:x:1002:1002:::/bin/sh\n");
        put_file("/etc/group", "root:x:0:\nalice:x:1000:\nstaff:x:50:bob,alice\nother:x:51:bob\n");
        return 0;
}

static int teardown(void **state _unused_) { return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static ContainerInfo *ask_as(Engine engine, const char *id, bool rootless, uid_t uid) {
        NamesQuery q = { .engine = engine, .id = id, .rootless = rootless, .uid = uid, .cgroup = "/x" };
        ContainerInfo *i = NULL;

        assert_int_equal(names_read(&config, &q, &i), 0);
        assert_non_null(i);
        assert_int_equal(i->engine, engine);
        return i;
}

static ContainerInfo *ask(Engine engine) { return ask_as(engine, ID, false, (uid_t)-1); }

#define NOT_ASKED (UINT64_MAX - 1)
static uint64_t limit_of(const ContainerInfo *i, Limit l, dev_t dev) {
        uint64_t v;

        return limit_set_get(&i->requested, (LimitKnob){ .limit = l, .dev = dev }, &v) ? v : NOT_ASKED;
}

static const char *label_of(const ContainerInfo *i, const char *key) {
        for (size_t k = 0; k < i->n_labels; k++)
                if (STR_EQ(i->labels[k].key, key))
                        return i->labels[k].value;
        return NULL;
}

#define _cleanup_info_ _cleanup_(cleanup_container_info_free)

/* ---- Docker ---- */

static const char docker_config[] =
        "{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Pid\":4242,\"Health\":null},\"ID\":\"" ID "\","
        "\"Config\":{\"Hostname\":\"h\",\"Image\":\"postgres:15\",\"Labels\":{\"com.example.tenant\":"
        "\"acme\","
        "\"com.docker.compose.project\":\"shop\",\"empty\":\"\",\"text\":\"two\\nlines\"},\"StopSignal\":"
        "\"SIGINT\","
        "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"pg_isready -U\\tpostgres\"]}},\"Name\":\"/db\"}";

static const char docker_hostconfig[] =
        "{\"Memory\":536870912,\"MemoryReservation\":268435456,\"MemorySwap\":805306368,\"NanoCpus\":"
        "1500000000,"
        "\"CpuShares\":512,\"PidsLimit\":100,\"BlkioWeight\":500,\"BlkioDeviceWriteBps\":"
        "[{\"Path\":\"/dev/vdz\",\"Rate\":5242880}]}";

static void test_docker(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;
        bool have_device;

        put_file(DOCKER "/config.v2.json", docker_config);
        put_file(DOCKER "/hostconfig.json", docker_hostconfig);
        make_parents("/dev/x");
        have_device = mknod(path_of("/dev/vdz"), S_IFBLK | 0600, makedev(252, 16)) == 0;
        i = ask_as(ENGINE_DOCKER, ID, false, 1000);
        assert_string_equal(i->name, "db");
        assert_string_equal(i->image, "postgres:15");
        assert_int_equal(i->n_labels, 4);
        assert_string_equal(label_of(i, "com.example.tenant"), "acme");
        assert_string_equal(label_of(i, "empty"), "");
        assert_string_equal(label_of(i, "text"), "two\nlines");
        assert_true(i->labels_in_files);
        assert_true(i->trusted);
        assert_string_equal(i->stop_signal, "SIGINT");
        assert_string_equal(i->health_check, "pg_isready -U postgres");
        assert_int_equal(i->main_pid, 4242);
        assert_string_equal(i->source, DOCKER "/config.v2.json");
        assert_string_equal(i->user_name, "alice");
        assert_string_equal(i->groups[0], "alice");
        assert_string_equal(i->groups[1], "staff");
        assert_null(i->groups[2]);
        assert_true(i->config_mtime_usec > 1500000000000000);
        assert_int_equal(limit_of(i, LIMIT_MEMORY_MAX, 0), 536870912);
        assert_int_equal(limit_of(i, LIMIT_MEMORY_LOW, 0), 268435456);
        assert_int_equal(limit_of(i, LIMIT_MEMORY_SWAP_MAX, 0), 268435456);
        assert_int_equal(limit_of(i, LIMIT_CPU_QUOTA, 0), 1500000);
        assert_int_equal(limit_of(i, LIMIT_CPU_PERIOD, 0), 100000);
        assert_int_equal(limit_of(i, LIMIT_CPU_WEIGHT, 0), 20);
        assert_int_equal(limit_of(i, LIMIT_TASKS_MAX, 0), 100);
        assert_int_equal(limit_of(i, LIMIT_IO_WEIGHT, 0), 4950);
        if (have_device) {
                assert_int_equal(limit_of(i, LIMIT_IO_WRITE_BANDWIDTH_MAX, makedev(252, 16)), 5242880);
                assert_null(i->problem);
        } else
                print_message("cannot make block devices here: device limits not tested\n");

        /* Somebody else may write on the way: all is read, nothing is trusted. */
        assert_int_equal(chmod(path_of("/var/lib/docker"), 0775), 0);
        i = container_info_free(i);
        i = ask(ENGINE_DOCKER);
        assert_string_equal(i->name, "db");
        assert_false(i->trusted);
        assert_null(i->user_name);
        assert_int_equal(chmod(path_of("/var/lib/docker"), 0755), 0);
        assert_int_equal(chmod(path_of(DOCKER "/hostconfig.json"), 0666), 0);
        i = container_info_free(i);
        i = ask(ENGINE_DOCKER);
        assert_false(i->trusted);
}

static void test_docker_limits(void **state _unused_) {
        static const struct {
                const char *json;
                Limit limit;
                uint64_t value;
        } table[] = {
                { "{}", LIMIT_MEMORY_MAX, NOT_ASKED },
                { "{\"Memory\":0,\"MemorySwap\":0}", LIMIT_MEMORY_SWAP_MAX, NOT_ASKED },
                { "{\"Memory\":-1}", LIMIT_MEMORY_MAX, LIMIT_INFINITY },
                { "{\"Memory\":9223372036854771712}", LIMIT_MEMORY_MAX, LIMIT_INFINITY },
                { "{\"Memory\":100,\"MemorySwap\":-1}", LIMIT_MEMORY_SWAP_MAX, LIMIT_INFINITY },
                { "{\"Memory\":100,\"MemorySwap\":100}", LIMIT_MEMORY_SWAP_MAX, 0 },
                { "{\"Memory\":100,\"MemorySwap\":50}", LIMIT_MEMORY_SWAP_MAX, NOT_ASKED },
                { "{\"Memory\":0,\"MemorySwap\":50}", LIMIT_MEMORY_SWAP_MAX, NOT_ASKED },
                { "{\"Memory\":\"100\"}", LIMIT_MEMORY_MAX, NOT_ASKED },
                { "{\"Memory\":[]}", LIMIT_MEMORY_MAX, NOT_ASKED },
                { "{\"Memory\":1e3}", LIMIT_MEMORY_MAX, 1000 },
                { "{\"Memory\":4096,\"x\":18446744073709551615}", LIMIT_MEMORY_MAX, 4096 },
                { "{\"PidsLimit\":null}", LIMIT_TASKS_MAX, NOT_ASKED },
                { "{\"PidsLimit\":0}", LIMIT_TASKS_MAX, LIMIT_INFINITY },
                { "{\"PidsLimit\":-1}", LIMIT_TASKS_MAX, LIMIT_INFINITY },
                { "{\"PidsLimit\":64}", LIMIT_TASKS_MAX, 64 },
                { "{\"NanoCpus\":500000000}", LIMIT_CPU_QUOTA, 500000 },
                { "{\"NanoCpus\":500000000}", LIMIT_CPU_PERIOD, 100000 },
                { "{\"NanoCpus\":123456789}", LIMIT_CPU_QUOTA, 123450 },
                { "{\"CpuQuota\":50000}", LIMIT_CPU_QUOTA, 500000 },
                { "{\"CpuQuota\":50000}", LIMIT_CPU_PERIOD, NOT_ASKED },
                { "{\"CpuQuota\":50000,\"CpuPeriod\":20000}", LIMIT_CPU_QUOTA, 2500000 },
                { "{\"CpuQuota\":-1}", LIMIT_CPU_QUOTA, LIMIT_INFINITY },
                { "{\"CpuPeriod\":50000}", LIMIT_CPU_PERIOD, 50000 },
                { "{\"CpuQuota\":9223372036854775807,\"CpuPeriod\":1}", LIMIT_CPU_PERIOD, 1 },
                { "{\"CpuShares\":0}", LIMIT_CPU_WEIGHT, NOT_ASKED },
                { "{\"CpuShares\":1}", LIMIT_CPU_WEIGHT, 1 },
                { "{\"CpuShares\":1024}", LIMIT_CPU_WEIGHT, 39 },
                { "{\"CpuShares\":262144}", LIMIT_CPU_WEIGHT, 10000 },
                { "{\"CpuShares\":9223372036854775807}", LIMIT_CPU_WEIGHT, 10000 },
                { "{\"BlkioWeight\":10}", LIMIT_IO_WEIGHT, 1 },
                { "{\"BlkioWeight\":1000}", LIMIT_IO_WEIGHT, 10000 },
                { "{\"BlkioWeight\":1}", LIMIT_IO_WEIGHT, 1 },
                { "{\"BlkioWeight\":-5}", LIMIT_IO_WEIGHT, NOT_ASKED },
                { "{\"MemoryReservation\":-1}", LIMIT_MEMORY_LOW, NOT_ASKED },
        };

        put_file(DOCKER "/config.v2.json", docker_config);
        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                _cleanup_info_ ContainerInfo *i = NULL;

                put_file(DOCKER "/hostconfig.json", table[k].json);
                i = ask(ENGINE_DOCKER);
                if (limit_of(i, table[k].limit, 0) != table[k].value)
                        fail_msg("%s: got %llu", table[k].json,
                                 (unsigned long long)limit_of(i, table[k].limit, 0));
                assert_null(i->problem);
        }
}

/* Tenant-named device paths that must not be followed. */
static void test_docker_devices(void **state _unused_) {
        static const char *const paths[] = {
                "/dev/../etc/passwd", "/dev/link", "/dev/plain", "/etc/passwd", "dev/vda", "/dev/",
                "/dev/none",          "/dev/fifo",
        };

        put_file(DOCKER "/config.v2.json", docker_config);
        make_parents("/dev/x");
        put_file("/dev/plain", "");
        assert_int_equal(symlink("/etc/passwd", path_of("/dev/link")), 0);
        assert_int_equal(mkfifo(path_of("/dev/fifo"), 0600), 0);
        for (size_t k = 0; k < ARRAY_SIZE(paths); k++) {
                _cleanup_info_ ContainerInfo *i = NULL;
                char json[256];

                (void)snprintf(json, sizeof(json),
                               "{\"Memory\":7,\"BlkioDeviceReadIOps\":[{\"Path\":\"%s\",\"Rate\":1}]}",
                               paths[k]);
                put_file(DOCKER "/hostconfig.json", json);
                i = ask(ENGINE_DOCKER);
                assert_int_equal(i->requested.n, 1);
                assert_non_null(i->problem);
        }
}

static void test_docker_roots(void **state _unused_) {
        static const char *const extra[] = { "/srv/docker", NULL };
        _cleanup_info_ ContainerInfo *i = NULL;
        NamesConfig with = { .root = root, .docker_roots = extra };
        NamesQuery q = { .engine = ENGINE_DOCKER, .id = ID, .uid = (uid_t)-1 };

        i = ask(ENGINE_DOCKER);
        assert_null(i->name);
        assert_false(i->trusted);
        assert_non_null(strstr(i->problem, "/var/lib/docker"));

        put_file("/data/docker/containers/" ID "/config.v2.json", "{\"Name\":\"/moved\"}");
        put_file("/data/docker/containers/" ID "/hostconfig.json", "{}");
        put_file("/etc/docker/daemon.json", "{\"data-root\":\"/data/docker\"}");
        i = container_info_free(i);
        i = ask(ENGINE_DOCKER);
        assert_string_equal(i->name, "moved");
        put_file("/etc/docker/daemon.json", "{\"graph\":\"/data/docker\"}");
        i = container_info_free(i);
        i = ask(ENGINE_DOCKER);
        assert_string_equal(i->name, "moved");
        assert_true(i->trusted);
        /* Not root's word. */
        assert_int_equal(chmod(path_of("/etc/docker/daemon.json"), 0666), 0);
        i = container_info_free(i);
        i = ask(ENGINE_DOCKER);
        assert_null(i->name);

        put_file("/srv/docker/165536.165536/containers/" ID "/config.v2.json", "{\"Name\":\"/remapped\"}");
        put_file("/srv/docker/165536.165536/containers/" ID "/hostconfig.json", "{}");
        i = container_info_free(i);
        assert_int_equal(names_read(&with, &q, &i), 0);
        assert_string_equal(i->name, "remapped");

        if (geteuid() == 0) { /* /var/lib/docker → /data/docker, by root */
                make_parents("/var/lib/x");
                assert_int_equal(symlink("../../../../data/./docker", path_of("/var/lib/docker")), 0);
                i = container_info_free(i);
                i = ask(ENGINE_DOCKER);
                assert_string_equal(i->name, "moved");
                assert_true(i->trusted);
                assert_int_equal(unlink(path_of("/var/lib/docker")), 0);
                assert_int_equal(symlink("/data/docker", path_of("/var/lib/docker")), 0);
                assert_int_equal(lchown(path_of("/var/lib/docker"), 1000, 1000), 0);
                i = container_info_free(i);
                i = ask(ENGINE_DOCKER); /* by somebody else */
                assert_null(i->name);
                /* A loop ends. */
                assert_int_equal(unlink(path_of("/var/lib/docker")), 0);
                assert_int_equal(symlink("docker", path_of("/var/lib/docker")), 0);
                i = container_info_free(i);
                i = ask(ENGINE_DOCKER);
                assert_null(i->name);
        }
}

static void test_docker_bundle(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;

        put_file(DOCKER "/config.v2.json", docker_config);
        put_file(TASK "/moby/" ID "/config.json",
                 "{\"annotations\":{\"a\":\"b\"},\"linux\":{\"resources\":{\"memory\":{\"limit\":77}}}}");
        i = ask(ENGINE_DOCKER);
        assert_string_equal(i->name, "db");
        assert_int_equal(i->n_labels, 4);
        assert_int_equal(limit_of(i, LIMIT_MEMORY_MAX, 0), 77);
        assert_non_null(strstr(i->problem, "hostconfig.json: is not there"));
        assert_string_equal(i->source, DOCKER "/config.v2.json");
}

/* What a tenant, or a crash, can leave where config.v2.json should be. */
static void test_hostile(void **state _unused_) {
        static const char *const texts[] = {
                "",
                "{",
                "nonsense",
                "[]",
                "null",
                "\"x\"",
                "12",
                "{\"Name\":",
                "{\"Name\":{}}",
                "{\"Name\":[\"/x\"]}",
                "{\"Name\":7,\"Config\":[],\"State\":\"x\"}",
                "{\"Name\":\"\"}",
                "{\"Name\":\"/\"}",
                "{\"Name\":\"/a\\u0000b\"}",
                "{\"Name\":\"/a\\u001bb\"}",
                "{\"Name\":\"/a\\nb\"}",
                "{\"Name\":\"/\xff\xfe\"}",
                "{\"Config\":{\"Labels\":[1,2],\"Image\":{},\"StopSignal\":3}}",
                "{\"Config\":{\"Labels\":{\"a\":1,\"b\":null,\"c\":{}},\"Healthcheck\":{\"Test\":[1,2]}}}",
                "{\"Config\":{\"Healthcheck\":{\"Test\":[\"NONE\"]},\"StopSignal\":\"rm -rf /\"}}",
                "{\"Config\":{\"StopSignal\":\"9999\"},\"State\":{\"Pid\":-1}}",
                "{\"State\":{\"Pid\":99999999999}}",
                "{\"State\":{\"Pid\":1e300}}",
                "{\"x\":1e9999}",
        };
        static const size_t big = NAMES_FILE_MAX;
        _cleanup_free_ char *text = malloc(big + 2);

        assert_non_null(text);
        put_file(DOCKER "/hostconfig.json", "{\"Memory\":5}");
        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
                _cleanup_info_ ContainerInfo *i = NULL;

                put_file(DOCKER "/config.v2.json", texts[k]);
                i = ask(ENGINE_DOCKER);
                assert_null(i->name);
                assert_int_equal(i->n_labels, 0);
                assert_null(i->stop_signal);
                assert_int_equal(i->main_pid, 0);
                assert_int_equal(limit_of(i, LIMIT_MEMORY_MAX, 0), 5);
        }
        for (unsigned k = 0; k < 8; k++) {
                _cleanup_info_ ContainerInfo *i = NULL;
                const char *expected;

                (void)unlink(path_of(DOCKER "/config.v2.json"));
                switch (k) {
                case 0: /* full of objects: 300 MB as a tree */
                        for (size_t n = 0; n + 3 <= big; n += 3)
                                memcpy(text + n, n == 0 ? "[{}" : ",{}", 3);
                        text[big / 3 * 3] = ']';
                        put_bytes(DOCKER "/config.v2.json", text, big / 3 * 3 + 1);
                        expected = "memory";
                        break;
                case 1: /* deep */
                        memset(text, '[', big);
                        put_bytes(DOCKER "/config.v2.json", text, big);
                        expected = "content";
                        break;
                case 2:
                        memset(text, ' ', big + 1);
                        put_bytes(DOCKER "/config.v2.json", text, big + 1);
                        expected = "4 MiB";
                        break;
                case 3:
                        assert_int_equal(mkfifo(path_of(DOCKER "/config.v2.json"), 0644), 0);
                        expected = "regular";
                        break;
                case 4:
                        assert_int_equal(symlink("/etc/passwd", path_of(DOCKER "/config.v2.json")), 0);
                        expected = "symbolic link";
                        break;
                case 5:
                        assert_int_equal(mkdir(path_of(DOCKER "/config.v2.json"), 0755), 0);
                        expected = "regular";
                        break;
                case 6:
                        assert_int_equal(rmdir(path_of(DOCKER "/config.v2.json")), 0);
                        expected = "is not there";
                        break;
                default: /* a sparse terabyte */
                        put_file(DOCKER "/config.v2.json", "{");
                        assert_int_equal(truncate(path_of(DOCKER "/config.v2.json"), (off_t)1 << 40), 0);
                        expected = "4 MiB";
                }
                i = ask(ENGINE_DOCKER);
                assert_null(i->name);
                assert_non_null(i->problem);
                if (!strstr(i->problem, expected))
                        fail_msg("%u: %s", k, i->problem);
                assert_int_equal(limit_of(i, LIMIT_MEMORY_MAX, 0), 5);
        }
}

static void test_bounds(void **state _unused_) {
        _cleanup_buf_ Buf b = BUF_INIT, wire = BUF_INIT;
        _cleanup_info_ ContainerInfo *i = NULL, *again = NULL;
        char name[NAMES_STRING_MAX + 2];

        memset(name, 'n', sizeof(name));
        name[NAMES_STRING_MAX] = '\0';
        buf_printf(&b, "{\"Name\":\"/%s\",\"Config\":{\"Image\":\"%sx\",\"Labels\":{", name, name);
        for (unsigned k = 0; k < 1000; k++)
                buf_printf(&b, "%s\"l%u\":\"%s\"", k ? "," : "", k, name);
        buf_printf(&b, ",\"%sx\":\"\"}}}", name);
        assert_int_equal(buf_error(&b), 0);
        put_file(DOCKER "/config.v2.json", buf_str(&b));
        put_file(DOCKER "/hostconfig.json", "{}");
        i = ask(ENGINE_DOCKER);
        assert_string_equal(i->name, name);
        assert_null(i->image);
        assert_true(i->n_labels > 100 && i->n_labels <= NAMES_LABELS_MAX);
        assert_non_null(strstr(i->problem, "left out"));
        assert_int_equal(names_encode(i, &wire), 0);
        assert_true(wire.len <= NAMES_ANSWER_MAX);
        assert_int_equal(names_decode(wire.data, wire.len, &again), 0);
        assert_int_equal(again->n_labels, i->n_labels);
}

static void test_ids(void **state _unused_) {
        static const char *const ids[] = { "", ".", "..", "a/b", "../../etc", ".hidden" };
        char longer[300];

        memset(longer, 'a', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        for (Engine e = ENGINE_NONE; e < _ENGINE_MAX; e++) {
                for (size_t k = 0; k <= ARRAY_SIZE(ids); k++) {
                        _cleanup_info_ ContainerInfo *i = NULL;

                        i = ask_as(e, k < ARRAY_SIZE(ids) ? ids[k] : longer, false, (uid_t)-1);
                        assert_null(i->name);
                        assert_non_null(i->problem);
                }
        }
}

/* ---- OCI ---- */

static void test_oci_limits(void **state _unused_) {
        static const struct {
                const char *resources;
                Limit limit;
                unsigned major, minor;
                uint64_t value;
        } table[] = {
                { "{}", LIMIT_MEMORY_MAX, 0, 0, NOT_ASKED },
                { "{\"memory\":{\"limit\":1048576,\"swap\":2097152,\"reservation\":65536}}",
                  LIMIT_MEMORY_SWAP_MAX, 0, 0, 1048576 },
                { "{\"memory\":{\"reservation\":65536}}", LIMIT_MEMORY_LOW, 0, 0, 65536 },
                { "{\"memory\":{\"limit\":-1}}", LIMIT_MEMORY_SWAP_MAX, 0, 0, LIMIT_INFINITY },
                { "{\"memory\":{\"limit\":10},\"unified\":{\"memory.max\":\"20\"}}", LIMIT_MEMORY_MAX, 0, 0,
                  20 },
                { "{\"unified\":{\"memory.high\":\"max\"}}", LIMIT_MEMORY_HIGH, 0, 0, LIMIT_INFINITY },
                { "{\"unified\":{\"memory.high\":\"junk\",\"hugetlb.1GB.max\":\"1\",\"pids.max\":3}}",
                  LIMIT_MEMORY_HIGH, 0, 0, NOT_ASKED },
                { "{\"unified\":{\"io.max\":\"8:16 rbps=5 wiops=7\"}}", LIMIT_IO_WRITE_IOPS_MAX, 8, 16, 7 },
                { "{\"cpu\":{\"quota\":20000,\"period\":100000,\"burst\":500}}", LIMIT_CPU_BURST, 0, 0, 500 },
                { "{\"cpu\":{\"quota\":20000,\"period\":100000}}", LIMIT_CPU_QUOTA, 0, 0, 200000 },
                { "{\"cpu\":{\"shares\":2}}", LIMIT_CPU_WEIGHT, 0, 0, 1 },
                { "{\"pids\":{\"limit\":0}}", LIMIT_TASKS_MAX, 0, 0, NOT_ASKED },
                { "{\"pids\":{\"limit\":-1}}", LIMIT_TASKS_MAX, 0, 0, LIMIT_INFINITY },
                { "{\"pids\":7}", LIMIT_TASKS_MAX, 0, 0, NOT_ASKED },
                { "{\"blockIO\":{\"weight\":100}}", LIMIT_IO_WEIGHT, 0, 0, 910 },
                { "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1000}]}}",
                  LIMIT_IO_READ_BANDWIDTH_MAX, 8, 0, 1000 },
                { "{\"blockIO\":{\"throttleWriteIOPSDevice\":[{},{\"major\":-8,\"minor\":0,\"rate\":1},"
                  "{\"major\":8,\"minor\":0,\"rate\":0},{\"major\":259,\"minor\":3,\"rate\":9}]}}",
                  LIMIT_IO_WRITE_IOPS_MAX, 259, 3, 9 },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                _cleanup_info_ ContainerInfo *i = NULL;
                char json[512];

                (void)snprintf(json, sizeof(json), "{\"linux\":{\"resources\":%s}}", table[k].resources);
                put_file(TASK "/k8s.io/" ID "/config.json", json);
                i = ask(ENGINE_CONTAINERD);
                if (limit_of(i, table[k].limit, makedev(table[k].major, table[k].minor)) != table[k].value)
                        fail_msg("%s", table[k].resources);
        }
}

static void test_containerd(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;

        i = ask(ENGINE_CONTAINERD);
        assert_non_null(i->problem);
        put_file(
                TASK "/k8s.io/" ID "/config.json",
                "{\"process\":{\"rlimits\":[{\"hard\":18446744073709551615}]},\"annotations\":{"
                "\"io.kubernetes.cri.container-name\":\"web\",\"io.kubernetes.cri.sandbox-name\":\"web-7d9\","
                "\"io.kubernetes.cri.image-name\":\"docker.io/library/nginx:1\","
                "\"io.kubernetes.cri.container-type\":\"container\","
                "\"org.opencontainers.image.stopSignal\":\"SIGQUIT\"}}");
        put_file(TASK "/k8s.io/" ID "/init.pid", "77");
        i = container_info_free(i);
        i = ask(ENGINE_CONTAINERD);
        assert_string_equal(i->name, "web");
        assert_string_equal(i->image, "docker.io/library/nginx:1");
        assert_string_equal(label_of(i, "io.kubernetes.cri.sandbox-name"), "web-7d9");
        assert_string_equal(i->stop_signal, "SIGQUIT");
        assert_int_equal(i->main_pid, 77);
        assert_true(i->trusted);
        assert_null(i->problem);

        /* Any namespace, a sandbox, and a pid file that is none. */
        (void)unlink(path_of(TASK "/k8s.io/" ID "/init.pid"));
        (void)unlink(path_of(TASK "/k8s.io/" ID "/config.json"));
        (void)rmdir(path_of(TASK "/k8s.io/" ID));
        put_file(TASK "/elsewhere/" ID "/config.json",
                 "{\"annotations\":{\"io.kubernetes.cri.sandbox-name\":\"pod\","
                 "\"io.kubernetes.cri.container-type\":\"sandbox\"}}");
        put_file(TASK "/elsewhere/" ID "/init.pid", "seven");
        i = container_info_free(i);
        i = ask(ENGINE_CONTAINERD);
        assert_string_equal(i->name, "pod");
        assert_int_equal(i->main_pid, 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_CONTAINERD, ID, true, 1000);
        assert_null(i->name);
}

static void test_crio(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;

        put_file("/run/containers/storage/overlay-containers/" ID "/userdata/config.json",
                 "{\"annotations\":{\"io.kubernetes.container.name\":\"app\",\"io.kubernetes.pod.name\":"
                 "\"app-0\","
                 "\"io.kubernetes.cri-o.ImageName\":\"quay.io/app:2\","
                 "\"io.kubernetes.cri-o.Labels\":\"{\\\"team\\\":\\\"blue\\\",\\\"n\\\":1}\"},"
                 "\"linux\":{\"resources\":{\"pids\":{\"limit\":12}}}}");
        i = ask(ENGINE_CRIO);
        assert_string_equal(i->name, "app");
        assert_string_equal(i->image, "quay.io/app:2");
        assert_int_equal(i->n_labels, 1);
        assert_string_equal(label_of(i, "team"), "blue");
        assert_int_equal(limit_of(i, LIMIT_TASKS_MAX, 0), 12);
        assert_null(i->problem);
}

/* ---- podman ---- */

static void test_podman(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;

        put_file(
                GRAPH "/containers.json",
                "[{\"id\":\"0000\",\"names\":[\"zero\"]},{\"names\":[\"no id\"]},7,{\"id\":\"" ID
                "\",\"names\":[\"web\"],\"image\":\"sha\",\"layer\":\"x\",\"metadata\":\"{\\\"image-name\\\":"
                "\\\"docker.io/library/alpine:latest\\\",\\\"name\\\":\\\"other\\\"}\"}]");
        put_file(GRAPH "/" ID "/userdata/config.json",
                 "{\"annotations\":{\"io.container.manager\":\"libpod\",\"org.opencontainers.image."
                 "stopSignal\":\"15\"},"
                 "\"linux\":{\"resources\":{\"memory\":{\"limit\":1000},\"cpu\":{\"quota\":50000,\"period\":"
                 "100000}}}}");
        put_file("/run/containers/storage/overlay-containers/" ID "/userdata/pidfile", "555\n");
        i = ask(ENGINE_PODMAN);
        assert_string_equal(i->name, "web");
        assert_string_equal(i->image, "docker.io/library/alpine:latest");
        assert_string_equal(i->stop_signal, "SIGTERM");
        assert_int_equal(i->main_pid, 555);
        assert_false(i->labels_in_files);
        assert_int_equal(i->n_labels, 0);
        assert_int_equal(limit_of(i, LIMIT_MEMORY_MAX, 0), 1000);
        assert_int_equal(limit_of(i, LIMIT_CPU_QUOTA, 0), 500000);
        assert_string_equal(i->source, GRAPH "/containers.json");
        assert_true(i->trusted);
        assert_null(i->problem);

        /* The file is replaced: the new one counts, at once. */
        put_file(GRAPH "/containers.json",
                 "[{\"id\":\"" ID "\",\"metadata\":\"{\\\"name\\\":\\\"meta\\\"}\"}]");
        i = container_info_free(i);
        i = ask(ENGINE_PODMAN);
        assert_string_equal(i->name, "meta");
        assert_null(i->image);

        /* podman run --rm, and another storage driver. */
        put_file(GRAPH "/containers.json", "[]");
        put_file(GRAPH "/volatile-containers.json",
                 "[{\"id\":\"" ID "\",\"names\":[\"brief\"],\"image\":\"sha\"}]");
        i = container_info_free(i);
        i = ask(ENGINE_PODMAN);
        assert_string_equal(i->name, "brief");
        assert_string_equal(i->image, "sha");
        (void)unlink(path_of(GRAPH "/volatile-containers.json"));
        put_file("/var/lib/containers/storage/vfs-containers/containers.json",
                 "[{\"id\":\"" ID "\",\"names\":[\"vfs\"]}]");
        i = container_info_free(i);
        i = ask(ENGINE_PODMAN);
        assert_string_equal(i->name, "vfs");
        /* A graph root of the admin's choice. */
        put_file("/etc/containers/storage.conf",
                 "[storage]\n driver = \"overlay\"\n# graphroot = \"/no\"\n"
                 "graphroot = \"/srv/pods\"\n[storage.options]\ngraphroot = \"/no\"\n");
        put_file("/srv/pods/overlay-containers/containers.json", "[{\"id\":\"" ID "\",\"names\":[\"srv\"]}]");
        i = container_info_free(i);
        i = ask(ENGINE_PODMAN);
        assert_string_equal(i->name, "srv");
}

static void test_podman_hostile(void **state _unused_) {
        static const char *const texts[] = {
                "",
                "{}",
                "[",
                "[[]]",
                "[{\"id\":7}]",
                "[{\"id\":\"../x\"}]",
                "[{\"id\":\"" ID "\",\"names\":{}}]",
                "[{\"id\":\"" ID "\",\"names\":[[]],\"metadata\":\"{\"}]",
                "[{\"id\":\"" ID "\",\"metadata\":\"[]\"}]",
        };

        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
                _cleanup_info_ ContainerInfo *i = NULL, *again = NULL;

                put_file(GRAPH "/containers.json", texts[k]);
                i = ask(ENGINE_PODMAN);
                assert_null(i->name);
                again = ask(ENGINE_PODMAN); /* from the cache, failures too */
                assert_null(again->name);
                if (i->problem)
                        assert_string_equal(i->problem, again->problem);
        }
}

/* Who cannot be read has not said that there is no such user; one that is not there has. */
static void test_users_unreadable(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;

        assert_int_equal(unlink(path_of("/etc/group")), 0);
        i = ask_as(ENGINE_DOCKER, ID, false, 1000);
        assert_string_equal(i->user_name, "alice");
        assert_null(i->groups[0]);
        assert_int_equal(symlink("group", path_of("/etc/group")), 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_DOCKER, ID, false, 1000);
        assert_null(i->user_name);
        assert_null(i->groups);
        assert_int_equal(unlink(path_of("/etc/passwd")), 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_DOCKER, ID, false, 1000);
        assert_non_null(i->groups);
        assert_null(i->groups[0]);
        assert_int_equal(symlink("passwd", path_of("/etc/passwd")), 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_DOCKER, ID, false, 1000);
        assert_null(i->groups);
        i = container_info_free(i);
        i = ask_as(ENGINE_PODMAN, ID, true, 1000);
        assert_null(i->groups);
}

static void test_rootless(void **state _unused_) {
        static const char containers[] =
                "/home/alice/.local/share/containers/storage/overlay-containers/containers.json";
        static const char docker[] = "/home/alice/.local/share/docker/containers/" ID "/config.v2.json";
        _cleanup_info_ ContainerInfo *i = NULL;
        _cleanup_fd_ int at = -1;

        i = ask_as(ENGINE_PODMAN, ID, true, 1002);
        assert_null(i->name);
        assert_non_null(strstr(i->problem, "no home"));
        i = container_info_free(i);
        i = ask_as(ENGINE_PODMAN, ID, true, 4711);
        assert_null(i->user_name);
        assert_non_null(i->groups); /* there is no such user: that much is known */
        assert_null(i->groups[0]);
        i = container_info_free(i);
        i = ask_as(ENGINE_PODMAN, ID, true, (uid_t)-1);
        assert_non_null(i->problem);
        if (geteuid() != 0) {
                print_message("not root: rootless users' own files not tested\n");
                return;
        }
        put_file(containers, "[{\"id\":\"" ID "\",\"names\":[\"mine\"]}]");
        i = container_info_free(i);
        i = ask_as(ENGINE_PODMAN, ID, true, 1000);
        assert_null(i->name); /* root's file in alice's home: not hers to show */
        assert_non_null(strstr(i->problem, "another user"));
        assert_int_equal(chown(path_of(containers), 1000, 1000), 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_PODMAN, ID, true, 1000);
        assert_string_equal(i->name, "mine");
        assert_string_equal(i->user_name, "alice");
        assert_false(i->trusted);
        i = container_info_free(i);
        i = ask_as(ENGINE_PODMAN, ID, true, 1001);
        assert_null(i->name);
        assert_string_equal(i->user_name, "bob");

        put_file(docker, "{\"Name\":\"/d\"}");
        assert_int_equal(chown(path_of(docker), 1000, 1000), 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_DOCKER, ID, true, 1000);
        assert_string_equal(i->name, "d");
        assert_false(i->trusted);

        /* Any symlink below the home, whoever made it. */
        at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(renameat(at, "home/alice/.local/share/docker", at, "home/alice/other"), 0);
        assert_int_equal(symlink("../../other", path_of("/home/alice/.local/share/docker")), 0);
        i = container_info_free(i);
        i = ask_as(ENGINE_DOCKER, ID, true, 1000);
        assert_null(i->name);
        assert_non_null(strstr(i->problem, "symbolic link"));
}

/* ---- machines ---- */

static void test_machines(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL;

        i = ask_as(ENGINE_NSPAWN, "box", false, (uid_t)-1);
        assert_string_equal(i->name, "box");
        assert_null(i->problem);
        put_file("/run/systemd/machines/box",
                 "# This is private data. Do not parse.\nNAME=box\nSCOPE=machine-box.scope\n"
                 "SERVICE=systemd-nspawn\nROOT=/var/lib/machines/box\nLEADER=99\n"
                 "CLASS=container\nREALTIME=1\n");
        i = container_info_free(i);
        i = ask_as(ENGINE_NSPAWN, "box", false, (uid_t)-1);
        assert_string_equal(i->image, "/var/lib/machines/box");
        assert_int_equal(i->main_pid, 99);
        assert_false(i->is_vm);
        assert_true(i->trusted);
        put_file("/run/systemd/machines/box", "CLASS=vm");
        i = container_info_free(i);
        i = ask_as(ENGINE_NSPAWN, "box", false, (uid_t)-1);
        assert_true(i->is_vm);

        i = container_info_free(i);
        i = ask_as(ENGINE_LXC, "100", false, (uid_t)-1);
        assert_string_equal(i->name, "100");
        assert_null(i->problem);
        put_file("/var/lib/lxc/100/config",
                 "# a comment\n\nlxc.uts.name = web\n lxc.rootfs.path = dir:/srv/web \r\n"
                 "lxc.cgroup2.memory.max = 512M\nlxc.cgroup2.memory.high=junk\nlxc.cgroup2.cpu.max = 50000 "
                 "100000\n"
                 "lxc.cgroup2.memory.swap.max = 0\nlxc.cgroup2.devices.deny = a\nlxc.signal.halt = "
                 "SIGRTMIN+3\n"
                 "nonsense\n=\n[snap]\nlxc.cgroup2.pids.max = 5\n");
        i = container_info_free(i);
        i = ask_as(ENGINE_LXC, "100", false, (uid_t)-1);
        assert_string_equal(i->name, "100");
        assert_string_equal(i->image, "dir:/srv/web");
        assert_int_equal(limit_of(i, LIMIT_MEMORY_MAX, 0), 536870912);
        assert_int_equal(limit_of(i, LIMIT_MEMORY_SWAP_MAX, 0), 0);
        assert_int_equal(limit_of(i, LIMIT_CPU_QUOTA, 0), 500000);
        assert_int_equal(limit_of(i, LIMIT_TASKS_MAX, 0), NOT_ASKED);
        assert_string_equal(i->stop_signal, "SIGRTMIN+3");
        i = container_info_free(i);
        i = ask_as(ENGINE_BUILDKIT, "abc", false, (uid_t)-1);
        assert_null(i->name);
        assert_null(i->problem);
        i = container_info_free(i);
        i = ask_as(ENGINE_UNIT, "x.service", false, 1001);
        assert_string_equal(i->user_name, "bob");
        assert_false(i->trusted);
}

/* ---- the wire ---- */

static void test_wire(void **state _unused_) {
        _cleanup_info_ ContainerInfo *i = NULL, *back = NULL;
        _cleanup_buf_ Buf b = BUF_INIT, c = BUF_INIT;
        unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();

        put_file(DOCKER "/config.v2.json", docker_config);
        put_file(DOCKER "/hostconfig.json", docker_hostconfig);
        i = ask_as(ENGINE_DOCKER, ID, false, 1000);
        assert_int_equal(names_encode(i, &b), 0);
        assert_int_equal(names_decode(b.data, b.len, &back), 0);
        assert_int_equal(names_encode(back, &c), 0);
        assert_int_equal(b.len, c.len);
        assert_memory_equal(b.data, c.data, b.len);
        assert_int_equal(back->requested.n, i->requested.n);
        assert_true(back->trusted);

        for (size_t len = 0; len < b.len; len++) {
                _cleanup_free_ char *cut = malloc(len + 1);
                ContainerInfo *none = NULL;

                memcpy(cut, b.data, len);
                assert_int_equal(names_decode(cut, len, &none), -EBADMSG);
                assert_null(none);
        }
        buf_putc(&c, 'x');
        back = container_info_free(back);
        assert_int_equal(names_decode(c.data, c.len, &back), -EBADMSG);

        print_message("seed %u\n", seed);
        srandom(seed);
        for (unsigned k = 0; k < 20000; k++) {
                _cleanup_info_ ContainerInfo *x = NULL;
                size_t at = (size_t)random() % b.len;
                char old = b.data[at];
                int r;

                b.data[at] = (char)random();
                r = names_decode(b.data, b.len, &x);
                assert_true(r == 0 || r == -EBADMSG);
                assert_true((r == 0) == (x != NULL));
                b.data[at] = old;
        }
}

/* ---- the helper ---- */

static unsigned count_fds(pid_t pid) {
        char path[64];
        unsigned n = 0;
        DIR *d;

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        d = opendir(path);
        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n - 2;
}

#define ANSWERS_MAX 1024
typedef struct Answer {
        uint64_t cookie;
        ContainerInfo *info;
        char why[128];
} Answer;
static Answer answers[ANSWERS_MAX];
static size_t n_answers;

static void on_done(void *user, uint64_t cookie, ContainerInfo *info, const char *why) {
        Answer *a = &answers[n_answers++];

        assert_ptr_equal(user, answers);
        assert_true(n_answers <= ANSWERS_MAX);
        assert_true((info != NULL) == (why == NULL));
        *a = (Answer){ .cookie = cookie, .info = info };
        (void)snprintf(a->why, sizeof(a->why), "%s", why ? why : "");
}

static void forget_answers(void) {
        for (size_t k = 0; k < n_answers; k++)
                container_info_free(answers[k].info);
        n_answers = 0;
}

static const Answer *answer_of(uint64_t cookie) {
        for (size_t k = 0; k < n_answers; k++)
                if (answers[k].cookie == cookie)
                        return &answers[k];
        return NULL;
}

static void run(Names *n, size_t answers_wanted, usec_t for_usec) {
        usec_t end = clock_monotonic() + for_usec;

        for (;;) {
                struct pollfd p = { .fd = names_get_fd(n), .events = POLLIN };
                usec_t now = clock_monotonic(), t;

                assert_int_equal(names_dispatch(n, now), 0);
                if ((answers_wanted > 0 && n_answers >= answers_wanted) || now >= end)
                        return;
                t = MIN_OF(names_next_time(n), end);
                t = t > now ? (t - now + 999) / 1000 : 0;
                (void)poll(&p, 1, (int)t);
        }
}

static void submit(Names *n, Engine e, const char *id, bool rootless, uid_t uid, usec_t timeout,
                   uint64_t cookie) {
        NamesQuery q = { .engine = e, .id = id, .rootless = rootless, .uid = uid, .cgroup = "/a/b" };

        assert_int_equal(names_submit(n, &q, clock_monotonic(), timeout, on_done, answers, cookie), 0);
}

static void test_helper(void **state _unused_) {
        static const char table[] =
                "/home/alice/.local/share/containers/storage/overlay-containers/containers.json";
        _cleanup_buf_ Buf b = BUF_INIT;
        unsigned before = count_fds(getpid());
        char path[64], text[4096];
        usec_t start;
        Names *n;
        int status;

        put_file(DOCKER "/config.v2.json", docker_config);
        put_file(DOCKER "/hostconfig.json", docker_hostconfig);
        buf_putc(&b, '[');
        for (unsigned k = 0; k < 500; k++)
                buf_printf(
                        &b,
                        "%s{\"id\":\"id%u\",\"names\":[\"name%u\"],\"metadata\":\"{}\",\"pad\":\"%01000u\"}",
                        k ? "," : "", k, k, k);
        buf_putc(&b, ']');
        put_file(GRAPH "/containers.json", buf_str(&b));

        assert_int_equal(names_new(&config, &n), 0);
        assert_int_equal(names_next_time(n), USEC_INFINITY);
        submit(n, ENGINE_DOCKER, ID, false, 1000, USEC_PER_SEC, 1000);
        start = clock_monotonic();
        for (unsigned k = 0; k < 500; k++) {
                char id[16];

                (void)snprintf(id, sizeof(id), "id%u", k);
                submit(n, ENGINE_PODMAN, id, false, (uid_t)-1, USEC_PER_SEC, k);
        }
        names_cancel(n, 17);
        assert_int_equal(names_n_pending(n), 500);
        run(n, 500, 5 * USEC_PER_SEC);
        print_message("500 containers in %llu us\n", (unsigned long long)(clock_monotonic() - start));
        assert_int_equal(n_answers, 500);
        assert_null(answer_of(17));
        assert_int_equal(answers[0].cookie, 1000);
        assert_string_equal(answers[0].info->name, "db");
        assert_string_equal(answers[0].info->user_name, "alice");
        assert_true(answers[0].info->trusted);
        for (unsigned k = 0; k < 500; k++) {
                char name[16];

                if (k == 17)
                        continue;
                (void)snprintf(name, sizeof(name), "name%u", k);
                assert_string_equal(answer_of(k)->info->name, name);
        }
        assert_int_equal(names_n_pending(n), 0);
        assert_int_equal(count_fds(names_pid(n)), 4);
        forget_answers();

        /* Of root's power it kept the one to read: homes are closed to others. */
        (void)snprintf(path, sizeof(path), "/proc/%d/status", names_pid(n));
        assert_true(fd_read_at(AT_FDCWD, path, text, sizeof(text)) > 0);
        assert_non_null(strstr(text, "Name:\tbailiff-names\n"));
        assert_non_null(
                strstr(text, geteuid() == 0 ? "CapEff:\t0000000000000004\n" : "CapEff:\t0000000000000000\n"));
        if (geteuid() == 0) {
                put_file(table, "[{\"id\":\"" ID "\",\"names\":[\"mine\"]}]");
                assert_int_equal(chown(path_of(table), 1000, 1000), 0);
                assert_int_equal(chmod(path_of(table), 0600), 0);
                assert_int_equal(chown(path_of("/home/alice"), 1000, 1000), 0);
                assert_int_equal(chmod(path_of("/home/alice"), 0700), 0);
                submit(n, ENGINE_PODMAN, ID, true, 1000, USEC_PER_SEC, 1);
                run(n, 1, USEC_PER_SEC);
                assert_string_equal(answers[0].info->name, "mine");
                assert_false(answers[0].info->trusted);
                forget_answers();
        }

        /* Died: only its container loses the name. */
        assert_int_equal(kill(names_pid(n), SIGSTOP), 0);
        submit(n, ENGINE_DOCKER, ID, false, 1000, 5 * USEC_PER_SEC, 1);
        submit(n, ENGINE_DOCKER, ID, false, 1000, 5 * USEC_PER_SEC, 2);
        assert_int_equal(kill(names_pid(n), SIGKILL), 0);
        run(n, 2, 2 * USEC_PER_SEC);
        assert_int_equal(n_answers, 2);
        assert_null(answer_of(1)->info);
        assert_non_null(strstr(answer_of(1)->why, "died"));
        assert_string_equal(answer_of(2)->info->name, "db");
        assert_int_equal(names_n_restarts(n), 1);
        forget_answers();

        /* In flight when freed: no call, no leak. */
        submit(n, ENGINE_DOCKER, ID, false, 1000, USEC_PER_SEC, 1);
        submit(n, ENGINE_DOCKER, ID, false, 1000, USEC_PER_SEC, 2);
        assert_null(names_free(n));
        assert_null(names_free(NULL));
        assert_int_equal(n_answers, 0);
        assert_int_equal(count_fds(getpid()), before);
        assert_int_equal(waitpid(-1, &status, WNOHANG), -1);
}

static void test_helper_deadline(void **state _unused_) {
        pid_t first;
        Names *n;
        int fd;

        put_file(DOCKER "/config.v2.json", docker_config);
        put_file(DOCKER "/hostconfig.json", docker_hostconfig);
        assert_int_equal(names_new(&config, &n), 0);
        first = names_pid(n);
        fd = names_get_fd(n);
        assert_int_equal(kill(first, SIGSTOP), 0);
        submit(n, ENGINE_PODMAN, ID, true, 1000, 50 * MSEC, 1);
        submit(n, ENGINE_PODMAN, ID, true, 1000, 50 * MSEC, 2); /* the same user: not again */
        submit(n, ENGINE_PODMAN, ID, true, 1001, USEC_PER_SEC, 3);
        submit(n, ENGINE_DOCKER, ID, false, (uid_t)-1, USEC_PER_SEC, 4);
        run(n, 4, 3 * USEC_PER_SEC);
        assert_int_equal(n_answers, 4);
        assert_null(answer_of(1)->info);
        assert_non_null(strstr(answer_of(1)->why, "in time"));
        assert_null(answer_of(2)->info);
        assert_non_null(answer_of(3)->info);
        assert_string_equal(answer_of(4)->info->name, "db");
        assert_true(names_pid(n) != first);
        assert_int_equal(names_get_fd(n), fd);
        forget_answers();

        /* Cancelled while with the helper. */
        submit(n, ENGINE_DOCKER, ID, false, (uid_t)-1, USEC_PER_SEC, 5);
        submit(n, ENGINE_DOCKER, ID, false, (uid_t)-1, USEC_PER_SEC, 6);
        names_cancel(n, 5);
        run(n, 1, USEC_PER_SEC);
        assert_int_equal(n_answers, 1);
        assert_non_null(answer_of(6));
        forget_answers();

        /* Bounds of a request. */
        char longer[5000];
        NamesQuery q = { .engine = ENGINE_DOCKER, .id = longer, .uid = (uid_t)-1 };

        memset(longer, 'a', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        assert_int_equal(names_submit(n, &q, 0, 1, on_done, answers, 1), -EINVAL);
        q.id = NULL;
        assert_int_equal(names_submit(n, &q, 0, 1, on_done, answers, 1), -EINVAL);
        q.id = ID;
        q.cgroup = longer;
        assert_int_equal(names_submit(n, &q, 0, 1, on_done, answers, 1), -EINVAL);
        q.cgroup = NULL;
        for (unsigned k = 0; k < NAMES_PENDING_MAX; k++)
                assert_int_equal(names_submit(n, &q, clock_monotonic(), USEC_PER_SEC, on_done, answers, 9),
                                 0);
        assert_int_equal(names_submit(n, &q, clock_monotonic(), USEC_PER_SEC, on_done, answers, 9), -EAGAIN);
        names_cancel(n, 9);
        assert_int_equal(names_n_pending(n), 1);
        submit(n, ENGINE_DOCKER, ID, false, (uid_t)-1, USEC_PER_SEC, 10);
        run(n, 1, USEC_PER_SEC);
        assert_int_equal(n_answers, 1);
        assert_int_equal(answers[0].cookie, 10);
        forget_answers();
        names_free(n);
}

/* Users as the machine itself knows them. */
static void test_live_user(void **state _unused_) {
        NamesConfig live = { .root = "" };
        NamesQuery q = { .engine = ENGINE_UNIT, .id = "x.service", .uid = 0 };
        _cleanup_info_ ContainerInfo *i = NULL, *again = NULL;

        assert_int_equal(names_read(&live, &q, &i), 0);
        assert_string_equal(i->user_name, "root");
        assert_non_null(i->groups);
        assert_true(state_user_cached("", 0));
        assert_int_equal(names_read(&live, &q, &again), 0);
        assert_string_equal(again->user_name, "root");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_docker, setup, teardown),
                cmocka_unit_test_setup_teardown(test_docker_limits, setup, teardown),
                cmocka_unit_test_setup_teardown(test_docker_devices, setup, teardown),
                cmocka_unit_test_setup_teardown(test_docker_roots, setup, teardown),
                cmocka_unit_test_setup_teardown(test_docker_bundle, setup, teardown),
                cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
                cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
                cmocka_unit_test_setup_teardown(test_oci_limits, setup, teardown),
                cmocka_unit_test_setup_teardown(test_containerd, setup, teardown),
                cmocka_unit_test_setup_teardown(test_crio, setup, teardown),
                cmocka_unit_test_setup_teardown(test_podman, setup, teardown),
                cmocka_unit_test_setup_teardown(test_podman_hostile, setup, teardown),
                cmocka_unit_test_setup_teardown(test_users_unreadable, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rootless, setup, teardown),
                cmocka_unit_test_setup_teardown(test_machines, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wire, setup, teardown),
                cmocka_unit_test_setup_teardown(test_helper, setup, teardown),
                cmocka_unit_test_setup_teardown(test_helper_deadline, setup, teardown),
                cmocka_unit_test(test_live_user),
        };

        (void)umask(022);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
