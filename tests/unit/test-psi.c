/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the kernel is asked for, seen in a captured file; what it says to that with
 * BAILIFF_TEST_CGROUP=/path/of/a/writable/cgroup2/directory.
 */

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdio.h"
#include "psi.h"

#define MS USEC_PER_MSEC
#define SEC USEC_PER_SEC

static void test_bound(void **state) {
        static const struct {
                bool privileged;
                usec_t stall, window, want_stall, want_window;
        } rows[] = {
                { true, 50 * MS, 500 * MS, 50 * MS, 500 * MS },
                { true, 50 * MS, 100 * MS, 50 * MS, 500 * MS },
                { true, 0, 0, 1, 500 * MS },
                { true, SEC, SEC, SEC, SEC },
                { true, SEC + 1, SEC, SEC, SEC },
                { true, USEC_INFINITY, USEC_INFINITY, 10 * SEC, 10 * SEC },
                { true, 10 * SEC, 10 * SEC + 1, 10 * SEC, 10 * SEC },
                { false, 50 * MS, 500 * MS, 50 * MS, 2 * SEC },
                { false, 0, 0, 1, 2 * SEC },
                { false, SEC, 2 * SEC, SEC, 2 * SEC },
                { false, SEC, 2 * SEC + 1, SEC, 4 * SEC },
                { false, 5 * SEC, 3 * SEC, 4 * SEC, 4 * SEC },
                { false, SEC, 9 * SEC, SEC, 10 * SEC },
                { false, USEC_INFINITY, USEC_INFINITY, 10 * SEC, 10 * SEC },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                usec_t stall = rows[i].stall, window = rows[i].window;

                psi_trigger_bound(rows[i].privileged, &stall, &window);
                if (stall != rows[i].want_stall || window != rows[i].want_window)
                        fail_msg("row %zu: %llu %llu", i, (unsigned long long)stall,
                                 (unsigned long long)window);
        }
}

static void test_names(void **state) {
        (void)state;
        assert_string_equal(psi_resource_to_string(PSI_CPU), "cpu");
        assert_string_equal(psi_resource_to_string(PSI_MEMORY), "memory");
        assert_string_equal(psi_resource_to_string(PSI_IO), "io");
        assert_string_equal(psi_resource_to_string(_PSI_MAX), "unknown");
        assert_true(psi_trigger_is_dead(EPOLLERR | EPOLLPRI));
        assert_false(psi_trigger_is_dead(EPOLLPRI));
}

static void test_captured(void **state) {
        char root[] = "/tmp/bailiff-psi-XXXXXX", text[64];
        int dirfd, fd = -7;

        (void)state;
        assert_non_null(mkdtemp(root));
        dirfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(psi_trigger_open(dirfd, true, PSI_IO, 50 * MS, SEC, &fd), -ENOENT);
        assert_int_equal(psi_trigger_open(dirfd, false, PSI_IO, 50 * MS, SEC, &fd), -ENOENT);
        assert_int_equal(fd, -7);
        fd_close(openat(dirfd, "io.pressure", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(psi_trigger_open(dirfd, true, PSI_IO, 50 * MS, SEC, &fd), 0);
        fd_close(fd);
        /* With its NUL, which the kernel wants below /proc. */
        assert_int_equal(fd_read_at(dirfd, "io.pressure", text, sizeof(text)), sizeof("some 50000 1000000"));
        assert_string_equal(text, "some 50000 1000000");
        assert_int_equal(mkdirat(dirfd, "pressure", 0755), 0);
        fd_close(openat(dirfd, "pressure/memory", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        assert_int_equal(psi_trigger_open(dirfd, false, PSI_MEMORY, 0, 0, &fd), 0);
        fd_close(fd);
        assert_true(fd_read_at(dirfd, "pressure/memory", text, sizeof(text)) > 0);
        assert_string_equal(text, "some 1 500000");
        assert_int_equal(unlinkat(dirfd, "io.pressure", 0), 0);
        assert_int_equal(unlinkat(dirfd, "pressure/memory", 0), 0);
        assert_int_equal(unlinkat(dirfd, "pressure", AT_REMOVEDIR), 0);
        assert_int_equal(rmdir(root), 0);
        fd = -7;
        assert_int_equal(psi_trigger_open(dirfd, true, PSI_IO, 50 * MS, SEC, &fd), CG_GONE);
        assert_int_equal(fd, -7);
        fd_close(dirfd);
}

static void test_cgroupfs(void **state) {
        const char *base = getenv("BAILIFF_TEST_CGROUP");
        struct pollfd p = { .fd = -1, .events = POLLPRI };
        char path[256];
        int dirfd, procfd, fd, r;

        (void)state;
        if (!base)
                skip();
        (void)snprintf(path, sizeof(path), "%s/bailiff-psi-%d", base, getpid());
        assert_int_equal(mkdir(path, 0755), 0);
        dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        /* Whether or not this process may have short windows. */
        r = psi_trigger_open(dirfd, true, PSI_MEMORY, 100 * MS, 500 * MS, &p.fd);
        if (r < 0) { /* no PSI, or an old kernel and no privilege */
                assert_true(r == -EOPNOTSUPP || r == -ENOENT || r == -EPERM);
                assert_int_equal(rmdir(path), 0);
                fd_close(dirfd);
                skip();
        }
        assert_int_equal(r, 0);
        assert_int_equal(poll(&p, 1, 0), 0);
        procfd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(psi_trigger_open(procfd, false, PSI_IO, 500 * MS, 3 * SEC, &fd), 0);
        fd_close(fd);
        fd_close(procfd);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_true(psi_trigger_is_dead((uint32_t)p.revents));
        assert_int_equal(poll(&p, 1, 0), 1); /* for ever */
        assert_int_equal(psi_trigger_open(dirfd, true, PSI_MEMORY, 100 * MS, 500 * MS, &fd), CG_GONE);
        fd_close(p.fd);
        fd_close(dirfd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_bound),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_captured),
                cmocka_unit_test(test_cgroupfs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
