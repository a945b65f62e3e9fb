/* SPDX-License-Identifier: Apache-2.0 */

/* What cgroup paths of real hosts, and of hostile tenants, are taken for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "cgpath.h"
#include "random.h"

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID63 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define ID25 "x3k9z0q1m2n4b5v6c7l8j1h2g"
#define USER "/user.slice/user-1000.slice/user@1000.service"
#define POD "kubepods-burstable-pod12345678_1234_1234_1234_123456789abc.slice"
#define UNTOUCHED 'Q'

enum { KUBE = 1, ROOTLESS = 2 };
#define NOBODY ((uid_t)-1)

static void test_engine_names(void **state) {
        (void)state;
        for (Engine e = 0; e < _ENGINE_MAX; e++)
                assert_int_equal(engine_from_string(engine_to_string(e)), e);
        assert_string_equal(engine_to_string(ENGINE_NONE), "none");
        assert_int_equal(engine_from_string("Docker"), _ENGINE_INVALID);
        assert_int_equal(engine_from_string(""), _ENGINE_INVALID);
        assert_null(engine_to_string(_ENGINE_MAX));
        assert_null(engine_to_string(_ENGINE_INVALID));
}

static void test_classify(void **state) {
        static const struct {
                const char *path;
                CgKind kind;
                Engine engine;
                const char *id;
                int flags;
                uid_t uid;
        } rows[] = {
                { "/", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/ssh.service", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/init.scope", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                /* Docker */
                { "/system.slice/docker-" ID64 ".scope", CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/a.slice/a-b.slice/docker-" ID64 ".scope", CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/system.slice/docker-" ID25 ".scope", CG_CONTAINER, ENGINE_DOCKER, ID25, 0, NOBODY },
                { "/system.slice/docker-0123456789ab.scope", CG_CONTAINER, ENGINE_DOCKER, "0123456789ab", 0,
                  NOBODY },
                { "/system.slice/docker-0123456789a.scope", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/docker-" ID64 "0.scope", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/docker-" ID63 "F.scope", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/docker-.scope", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/docker.service", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/docker-" ID64 ".service", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/docker", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/docker/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/own/parent/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/docker/" ID63, CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/docker/" ID63 "g", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/docker/" ID64 "/init", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/docker/buildkit/" ID25, CG_CONTAINER, ENGINE_BUILDKIT, ID25, 0, NOBODY },
                { "/docker/buildkit/" ID64, CG_CONTAINER, ENGINE_BUILDKIT, ID64, 0, NOBODY },
                { "/docker/buildkit", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/docker/buildkit/init", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                /* podman */
                { "/machine.slice/libpod-" ID64 ".scope", CG_CONTAINER, ENGINE_PODMAN, ID64, 0, NOBODY },
                { "/machine.slice/libpod-conmon-" ID64 ".scope", CG_HELPER, ENGINE_NONE, "", 0, NOBODY },
                { "/libpod_parent/libpod-" ID64, CG_CONTAINER, ENGINE_PODMAN, ID64, 0, NOBODY },
                { "/libpod_parent/conmon", CG_HELPER, ENGINE_NONE, "", 0, NOBODY },
                { "/conmon", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/system.slice/web.service/libpod-payload-" ID64, CG_CONTAINER, ENGINE_PODMAN, ID64, 0,
                  NOBODY },
                { "/machine.slice/machine-libpod_pod_" ID64 ".slice", CG_INTERIOR, ENGINE_NONE, "", 0,
                  NOBODY },
                { USER "/user.slice/libpod-" ID64 ".scope", CG_CONTAINER, ENGINE_PODMAN, ID64, ROOTLESS,
                  1000 },
                { USER "/user.slice/libpod-conmon-1.scope", CG_HELPER, ENGINE_NONE, "", ROOTLESS, 1000 },
                { USER "/app.slice/docker-" ID64 ".scope", CG_CONTAINER, ENGINE_DOCKER, ID64, ROOTLESS,
                  1000 },
                /* users */
                { "/user.slice/user-1000.slice", CG_INTERIOR, ENGINE_NONE, "", 0, 1000 },
                { "/user.slice/user-0.slice/session-1.scope", CG_INTERIOR, ENGINE_NONE, "", 0, 0 },
                { USER, CG_INTERIOR, ENGINE_NONE, "", 0, 1000 },
                { USER "/init.scope", CG_INTERIOR, ENGINE_NONE, "", ROOTLESS, 1000 },
                { "/user.slice/user-.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/user.slice/user-bob.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/user.slice/user-01000.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/user.slice/user-65535.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/user.slice/user-4294967294.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, 4294967294u },
                { "/user.slice/user-4294967295.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/user.slice/user-99999999999999999999.slice/x", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/user.slice/user-1000.slice/user@.service/x", CG_INTERIOR, ENGINE_NONE, "", 0, 1000 },
                { "/user.slice/user-1000.slice/user@bob.service/x", CG_INTERIOR, ENGINE_NONE, "", 0, 1000 },
                /* below a delegation nobody becomes somebody else, nor kubelet's */
                { USER "/user-0.slice/docker-" ID64 ".scope", CG_CONTAINER, ENGINE_DOCKER, ID64, ROOTLESS,
                  1000 },
                { USER "/kubepods/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, ROOTLESS, 1000 },
                { USER "/kubepods.slice/" POD "/cri-containerd-" ID64 ".scope", CG_CONTAINER,
                  ENGINE_CONTAINERD, ID64, ROOTLESS, 1000 },
                { "/system.slice/x.service/kubepods/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/system.slice/x.service/user-7.slice/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, 0,
                  NOBODY },
                /* kubernetes */
                { "/kubepods.slice", CG_INTERIOR, ENGINE_NONE, "", KUBE, NOBODY },
                { "/kubepods.slice/kubepods-burstable.slice/" POD, CG_INTERIOR, ENGINE_NONE, "", KUBE,
                  NOBODY },
                { "/kubepods.slice/kubepods-burstable.slice/" POD "/cri-containerd-" ID64 ".scope",
                  CG_CONTAINER, ENGINE_CONTAINERD, ID64, KUBE, NOBODY },
                { "/kubepods.slice/" POD "/crio-" ID64 ".scope", CG_CONTAINER, ENGINE_CRIO, ID64, KUBE,
                  NOBODY },
                { "/kubepods.slice/" POD "/crio-conmon-" ID64 ".scope", CG_HELPER, ENGINE_NONE, "", KUBE,
                  NOBODY },
                { "/kubepods.slice/" POD "/docker-" ID64 ".scope", CG_CONTAINER, ENGINE_DOCKER, ID64, KUBE,
                  NOBODY },
                { "/kubepods", CG_INTERIOR, ENGINE_NONE, "", KUBE, NOBODY },
                { "/kubepods/besteffort/pod12345678-1234", CG_INTERIOR, ENGINE_NONE, "", KUBE, NOBODY },
                { "/kubepods/besteffort/pod12345678-1234/" ID64, CG_CONTAINER, ENGINE_CONTAINERD, ID64, KUBE,
                  NOBODY },
                { "/kubepods/pod1/crio-" ID64, CG_CONTAINER, ENGINE_CRIO, ID64, KUBE, NOBODY },
                { "/kubelet.slice/kubelet-kubepods.slice/" ID64, CG_CONTAINER, ENGINE_CONTAINERD, ID64, KUBE,
                  NOBODY },
                { "/kubepodsx/" ID64, CG_CONTAINER, ENGINE_DOCKER, ID64, 0, NOBODY },
                { "/system.slice/nerdctl-" ID64 ".scope", CG_CONTAINER, ENGINE_CONTAINERD, ID64, 0, NOBODY },
                /* machines */
                { "/machine.slice/machine-web.scope", CG_CONTAINER, ENGINE_NSPAWN, "web", 0, NOBODY },
                { "/machine.slice/machine-my\\x2dweb.scope", CG_CONTAINER, ENGINE_NSPAWN, "my-web", 0,
                  NOBODY },
                { "/machine.slice/machine-my-web.scope", CG_CONTAINER, ENGINE_NSPAWN, "my-web", 0, NOBODY },
                { "/machine.slice/machine-.scope", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/machine.slice/systemd-nspawn@web.service", CG_CONTAINER, ENGINE_NSPAWN, "web", 0,
                  NOBODY },
                { "/machine.slice/systemd-nspawn@my-web.service", CG_CONTAINER, ENGINE_NSPAWN, "my-web", 0,
                  NOBODY },
                { "/machine.slice/systemd-nspawn@.service", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/machine.slice/machine-qemu\\x2d1\\x2dfoo.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0,
                  NOBODY },
                { "/machine.slice/machine-qemu-1-foo.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0, NOBODY },
                { "/machine.slice/machine-qemu\\x2d1\\x2dbad\\x.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0,
                  NOBODY },
                { "/machine.slice/machine-ch\\x2d1\\x2dfoo.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0,
                  NOBODY },
                { "/machine.slice/machine-vz\\x2d1\\x2dfoo.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0,
                  NOBODY },
                { "/machine.slice/machine-firecracker\\x2d9.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0,
                  NOBODY },
                { "/machine.slice/machine-lxc\\x2d5\\x2dfoo.scope", CG_CONTAINER, ENGINE_LXC, "lxc-5-foo", 0,
                  NOBODY },
                { "/machine.slice/machine-chat.scope", CG_CONTAINER, ENGINE_NSPAWN, "chat", 0, NOBODY },
                { "/machine/qemu-1-foo.libvirt-qemu", CG_MACHINE_VM, ENGINE_NONE, "", 0, NOBODY },
                { "/machine/lxc-1-foo.libvirt-lxc", CG_CONTAINER, ENGINE_LXC, "lxc-1-foo", 0, NOBODY },
                { "/qemu.slice/100.scope", CG_MACHINE_VM, ENGINE_NONE, "", 0, NOBODY },
                { "/qemu.slice", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                /* LXC */
                { "/lxc", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/lxc/100", CG_CONTAINER, ENGINE_LXC, "100", 0, NOBODY },
                { "/x/lxc/100", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/lxc.payload.web", CG_CONTAINER, ENGINE_LXC, "web", 0, NOBODY },
                { "/x.slice/lxc.payload.a.b", CG_CONTAINER, ENGINE_LXC, "a.b", 0, NOBODY },
                { "/lxc.payload.", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/lxc.payload", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/lxc.payload/100", CG_CONTAINER, ENGINE_LXC, "100", 0, NOBODY },
                { "/lxc.monitor.web", CG_HELPER, ENGINE_NONE, "", 0, NOBODY },
                { "/lxc.monitor/100", CG_HELPER, ENGINE_NONE, "", 0, NOBODY },
                { "/lxc.pivot", CG_HELPER, ENGINE_NONE, "", 0, NOBODY },
                /* hostile */
                { "/machine.slice/machine-a\\.scope", CG_CONTAINER, ENGINE_NSPAWN, "a\\", 0, NOBODY },
                { "/machine.slice/machine-a\\x2.scope", CG_CONTAINER, ENGINE_NSPAWN, "a\\x2", 0, NOBODY },
                { "/machine.slice/machine-a\\x00b.scope", CG_CONTAINER, ENGINE_NSPAWN, "a\\x00b", 0, NOBODY },
                { "/machine.slice/machine-a\\x2fb.scope", CG_CONTAINER, ENGINE_NSPAWN, "a\\x2fb", 0, NOBODY },
                { "/machine.slice/machine-a\\x0ab.scope", CG_CONTAINER, ENGINE_NSPAWN, "a\\x0ab", 0, NOBODY },
                { "/machine.slice/machine-%n%s.scope", CG_CONTAINER, ENGINE_NSPAWN, "%n%s", 0, NOBODY },
                { "/...", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
                { "/\x01\x7f\xff", CG_INTERIOR, ENGINE_NONE, "", 0, NOBODY },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                CgName n;
                int r = cgpath_classify(rows[i].path, &n);

                if (r != 0 || n.kind != rows[i].kind || n.engine != rows[i].engine ||
                    !STR_EQ(n.id, rows[i].id) || n.kube != !!(rows[i].flags & KUBE) ||
                    n.rootless != !!(rows[i].flags & ROOTLESS) || n.uid != rows[i].uid)
                        fail_msg("%s: %d, kind %d, %s, id \"%s\", kube %d, rootless %d, uid %u", rows[i].path,
                                 r, n.kind, engine_to_string(n.engine), n.id, n.kube, n.rootless, n.uid);
        }
}

static void test_classify_bad(void **state) {
        static const char *const bad[] = { "",      "a",  "a/b", "//",     "//a",     "/a//b", "/a/",
                                           "/a/b/", "/.", "/..", "/a/./b", "/a/../b", "/a/.." };
        char path[600];
        CgName n;

        (void)state;
        memset(&n, UNTOUCHED, sizeof(n));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                if (cgpath_classify(bad[i], &n) != -EINVAL)
                        fail_msg("\"%s\"", bad[i]);
        memset(path, 'a', sizeof(path) - 1);
        path[0] = '/';
        path[sizeof(path) - 1] = '\0';
        assert_int_equal(cgpath_classify(path, &n), -ENAMETOOLONG);
        path[257] = '\0';
        assert_int_equal(cgpath_classify(path, &n), -ENAMETOOLONG);
        assert_int_equal(n.id[0], UNTOUCHED);
        path[256] = '\0';
        assert_int_equal(cgpath_classify(path, &n), 0);
        /* the longest id */
        memcpy(path, "/lxc/", 5);
        path[256] = path[257] = 'a';
        path[260] = '\0';
        assert_int_equal(cgpath_classify(path, &n), 0);
        assert_int_equal(strlen(n.id), 255);
}

/* Very deep, and not slow. */
static void test_classify_deep(void **state) {
        enum { DEPTH = 20000 };
        static char path[2 * DEPTH + 80];
        CgName n;

        (void)state;
        for (size_t i = 0; i < DEPTH; i++)
                memcpy(path + 2 * i, "/d", 2);
        strcpy(path + sizeof(path) - 80, "/docker-" ID64 ".scope");
        assert_int_equal(cgpath_classify(path, &n), 0);
        assert_int_equal(n.kind, CG_CONTAINER);
}

static void test_unescape(void **state) {
        static const struct {
                const char *text;
                int r;
                const char *plain;
        } rows[] = {
                { "", 0, "" },
                { "web", 0, "web" },
                { "a-b", 0, "a-b" },
                { "a\\x2db", 0, "a-b" },
                { "\\x2D\\x2d", 0, "--" },
                { "\\x5cx2d", 0, "\\x2d" },
                { "\\xff", 0, "\xff" },
                { "\\", -EINVAL, "" },
                { "a\\", -EINVAL, "" },
                { "a\\x", -EINVAL, "" },
                { "a\\x2", -EINVAL, "" },
                { "a\\x2g", -EINVAL, "" },
                { "a\\y2d", -EINVAL, "" },
                { "a\\x00", -EINVAL, "" },
                { "\\\\", -EINVAL, "" },
        };
        char buf[64];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                size_t n = strlen(rows[i].text), m = strlen(rows[i].plain);
                _cleanup_free_ char *exact = malloc(n ?: 1);
                int r;

                memcpy(exact, rows[i].text, n);
                memset(buf, UNTOUCHED, sizeof(buf));
                r = cgpath_unescape(exact, n, buf, sizeof(buf));
                assert_int_equal(r, rows[i].r);
                if (r < 0) {
                        assert_int_equal(buf[0], UNTOUCHED);
                        continue;
                }
                assert_string_equal(buf, rows[i].plain);
                memset(buf, UNTOUCHED, sizeof(buf));
                assert_int_equal(cgpath_unescape(exact, n, buf, m + 1), 0);
                assert_int_equal(buf[m + 1], UNTOUCHED);
                assert_int_equal(cgpath_unescape(exact, n, buf, m), -ENAMETOOLONG);
        }
        assert_int_equal(cgpath_unescape("a\0b", 3, buf, sizeof(buf)), -EINVAL);
        assert_int_equal(cgpath_unescape("", 0, buf, 0), -ENAMETOOLONG);
}

static void test_of_slice(void **state) {
        static const struct {
                const char *slice;
                int r;
                const char *path;
        } rows[] = {
                { "-.slice", 0, "/" },
                { "tenant.slice", 0, "/tenant.slice" },
                { "tenant-a.slice", 0, "/tenant.slice/tenant-a.slice" },
                { "a-b-c.slice", 0, "/a.slice/a-b.slice/a-b-c.slice" },
                { "user-1000.slice", 0, "/user.slice/user-1000.slice" },
                { "a\\x2db.slice", 0, "/a\\x2db.slice" },
                { "a.b.slice", 0, "/a.b.slice" },
                { "memory.slice", 0, "/_memory.slice" },
                { "cpu-x.slice", 0, "/_cpu.slice/cpu-x.slice" },
                { "bpf-firewall.slice", 0, "/bpf.slice/_bpf-firewall.slice" },
                { "memoryx.slice", 0, "/memoryx.slice" },
                { "_x.slice", 0, "/__x.slice" },
                { ".x.slice", 0, "/_.x.slice" },
                { "cgroup.slice", 0, "/_cgroup.slice" },
                { "", -EINVAL, NULL },
                { ".slice", -EINVAL, NULL },
                { "--.slice", -EINVAL, NULL },
                { "-a.slice", -EINVAL, NULL },
                { "a-.slice", -EINVAL, NULL },
                { "a--b.slice", -EINVAL, NULL },
                { "a/b.slice", -EINVAL, NULL },
                { "a@b.slice", -EINVAL, NULL },
                { "a b.slice", -EINVAL, NULL },
                { "a\x01.slice", -EINVAL, NULL },
                { "a\xc3\xa9.slice", -EINVAL, NULL },
                { "a.scope", -EINVAL, NULL },
                { "slice", -EINVAL, NULL },
                { "a.slice/", -EINVAL, NULL },
        };
        static char big[64 * 1024], name[300];
        char buf[128];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int r;

                memset(buf, UNTOUCHED, sizeof(buf));
                r = cgpath_of_slice(rows[i].slice, buf, sizeof(buf));
                if (r != rows[i].r)
                        fail_msg("\"%s\": %d", rows[i].slice, r);
                if (r < 0) {
                        assert_int_equal(buf[0], UNTOUCHED);
                        continue;
                }
                assert_string_equal(buf, rows[i].path);
                memset(buf, UNTOUCHED, sizeof(buf));
                assert_int_equal(cgpath_of_slice(rows[i].slice, buf, strlen(rows[i].path)), -ENAMETOOLONG);
                assert_int_equal(buf[0], UNTOUCHED);
                assert_int_equal(cgpath_of_slice(rows[i].slice, buf, strlen(rows[i].path) + 1), 0);
                assert_string_equal(buf, rows[i].path);
        }
        /* the longest name with the most dashes */
        for (size_t i = 0; i < 249; i++)
                name[i] = i % 2 ? '-' : 'a';
        strcpy(name + 249, ".slice");
        assert_int_equal(cgpath_of_slice(name, big, sizeof(big)), 0);
        assert_string_equal(cgpath_basename(big), name);
        strcpy(name + 249, "a.slice");
        assert_int_equal(cgpath_of_slice(name, big, sizeof(big)), -EINVAL);
}

static void test_paths(void **state) {
        static const struct {
                const char *path, *ancestor;
                bool below;
        } rows[] = {
                { "/a/b", "/a", true },  { "/a", "/a", true },    { "/ab", "/a", false },
                { "/a", "/a/b", false }, { "/a", "/", true },     { "/", "/", true },
                { "/", "/a", false },    { "/a/b", "/a/", true }, { "/b/a", "/a", false },
        };
        static const char *const parts[] = { "a", "bb", "c" };
        const char *c = NULL;
        size_t len = 0, n = 0;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (cgpath_below(rows[i].path, rows[i].ancestor) != rows[i].below)
                        fail_msg("%s below %s", rows[i].path, rows[i].ancestor);
        assert_string_equal(cgpath_basename("/"), "");
        assert_string_equal(cgpath_basename("/a/bb"), "bb");
        assert_string_equal(cgpath_basename("bb"), "bb");
        while (cgpath_next("/a//bb/c/", &c, &len)) {
                assert_true(n < 3);
                assert_int_equal(len, strlen(parts[n]));
                assert_memory_equal(c, parts[n], len);
                n++;
        }
        assert_int_equal(n, 3);
        c = NULL;
        assert_false(cgpath_next("/", &c, &len));
        assert_false(cgpath_next("", &c, &len));
}

/* Random paths out of what the names are made of: always an answer, and a bounded one. */
static void test_random(void **state) {
        static const char *const words[] = {
                "/",
                "docker-",
                "libpod-",
                "libpod-payload-",
                "libpod-conmon-",
                "cri-containerd-",
                "crio-",
                "machine-",
                "systemd-nspawn@",
                "lxc",
                ".payload",
                ".monitor",
                ".",
                "qemu",
                ".scope",
                ".service",
                ".slice",
                "user-",
                "user@",
                "1000",
                "kubepods",
                "buildkit",
                ID64,
                ID63,
                ID25,
                "\\",
                "\\x2d",
                "\\x",
                "x2",
                "%s",
                "\n",
                "\x01",
                "\xff",
                "-",
                "_",
                "..",
        };
        char path[4096];

        (void)state;
        seed_random();
        for (int i = 0; i < 100000; i++) {
                CgName n;
                size_t len = 1;
                int r;

                path[0] = '/';
                path[1] = '\0';
                for (uint64_t k = next_random() % 16; k > 0; k--) {
                        const char *w = words[next_random() % ARRAY_SIZE(words)];

                        strcpy(path + len, w);
                        len += strlen(w);
                }
                memset(&n, 0xff, sizeof(n));
                r = cgpath_classify(path, &n);
                if (r < 0) {
                        assert_true(r == -EINVAL || r == -ENAMETOOLONG);
                        continue;
                }
                assert_non_null(memchr(n.id, '\0', sizeof(n.id)));
                assert_int_equal(n.kind == CG_CONTAINER, n.id[0] != '\0');
                assert_int_equal(n.kind == CG_CONTAINER, n.engine != ENGINE_NONE);
                assert_true(strlen(n.id) <= strlen(cgpath_basename(path)));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_engine_names), cmocka_unit_test(test_classify),
                cmocka_unit_test(test_classify_bad), cmocka_unit_test(test_classify_deep),
                cmocka_unit_test(test_unescape),     cmocka_unit_test(test_of_slice),
                cmocka_unit_test(test_paths),        cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
