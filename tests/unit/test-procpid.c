/* SPDX-License-Identifier: Apache-2.0 */

/* /proc/PID: names that look like something else, hybrid hosts, and ourselves. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "fdio.h"
#include "procpid.h"

#define REST " S 5 6 6 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 777 1000000 25 18446744073709551615 1 1"

typedef struct Row {
        const char *text;
        int r;
        const char *comm;
} Row;

static const Row rows[] = {
        { "12 (cat)" REST, 0, "cat" },
        { "12 (a) b (c)" REST, 0, "a) b (c" },
        { "12 ()" REST, 0, "" },
        { "12 (\n\033[31m)" REST, 0, "\n\033[31m" },
        { "12 (cat) S 5", -EBADMSG, NULL },
        { "12 (cat", -EBADMSG, NULL },
        { "12 cat)" REST, -EBADMSG, NULL },
        { ")(", -EBADMSG, NULL },
        { "", -EBADMSG, NULL },
        { "12 (cat) S x 6 6 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 777 1000000 25 1", -EBADMSG, NULL },
};

static void test_stat(void **unused) {
        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                ProcPid p;

                assert_int_equal(procpid_parse(rows[i].text, 100, 4096, &p), rows[i].r);
                if (rows[i].r < 0)
                        continue;
                assert_string_equal(p.comm, rows[i].comm);
                assert_int_equal(p.state, 'S');
                assert_int_equal(p.parent, 5);
                assert_int_equal(p.cpu_usec, 2 * USEC_PER_SEC);
                assert_int_equal(p.threads, 3);
                assert_int_equal(p.start, 777);
                assert_int_equal(p.rss_bytes, 25 * 4096);
        }
}

static void test_cgroup(void **unused) {
        static const struct {
                const char *text, *path;
        } paths[] = {
                { "0::/a.slice/b.scope\n", "/a.slice/b.scope" },
                { "12:cpu:/x\n1:name=systemd:/y\n0::/z\n", "/z" },
                { "0::/", "/" },
                { "10::/x\n", NULL },
                { "12:cpu:0::/x\n", NULL },
                { "", NULL },
        };

        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                char text[128];
                const char *path;

                (void)snprintf(text, sizeof(text), "%s", paths[i].text);
                path = procpid_parse_cgroup(text);
                if (!paths[i].path)
                        assert_null(path);
                else
                        assert_string_equal(path, paths[i].path);
        }
}

static void test_ourselves(void **unused) {
        _cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        char path[4096];
        ProcPid p;

        (void)unused;
        assert_true(proc >= 0);
        assert_int_equal(procpid_read(proc, getpid(), &p), 0);
        assert_int_equal(p.parent, getppid());
        assert_int_equal(strncmp(p.comm, "test-procpid", 12), 0);
        assert_true(p.rss_bytes > 0);
        assert_int_equal(procpid_read(proc, INT32_MAX, &p), PROCPID_GONE);
        assert_int_equal(procpid_cgroup(proc, INT32_MAX, path, sizeof(path)), PROCPID_GONE);
        if (procpid_cgroup(proc, getpid(), path, sizeof(path)) == 0) { /* else: cgroup v1 alone */
                assert_int_equal(path[0], '/');
                assert_int_equal(procpid_cgroup(proc, getpid(), path, 1), -EFBIG);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stat),
                cmocka_unit_test(test_cgroup),
                cmocka_unit_test(test_ourselves),
        };

        return cmocka_run_group_tests_name("procpid", tests, NULL, NULL);
}
