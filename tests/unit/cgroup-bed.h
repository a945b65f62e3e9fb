/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A bed of real cgroups for tests: one directory below the test's own cgroup (or below
 * BAILIFF_TEST_CGROUP=/path/of/a/cgroup2/directory), and what a test makes in there. Nothing else is
 * touched. Where no cgroup can be made there is no bed, and the tests that need one skip.
 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "mountinfo.h"

typedef struct Cg {
        int fd;
        uint64_t id;
} Cg;

static char bed_path[512];
static int bed_fd = -1; /* -1: no bed */

static inline void bed_sleep(usec_t t) {
        const struct timespec ts = { (time_t)(t / USEC_PER_SEC), (long)(t % USEC_PER_SEC) * 1000 };

        (void)nanosleep(&ts, NULL);
}

/* Where cgroup2 is mounted as a whole. */
static inline int bed_mount(char *path, size_t size) {
        MountReader reader;
        Mount m;
        int r;

        r = mount_reader_init(&reader, "/proc");
        if (r < 0)
                return r;
        while ((r = mount_reader_next(&reader, &m)) > 0)
                if (strcmp(m.fstype, "cgroup2") == 0 && strcmp(m.root, "/") == 0) {
                        r = (size_t)snprintf(path, size, "%s", m.mount_point) < size ? 1 : -ENAMETOOLONG;
                        break;
                }
        mount_reader_deinit(&reader);
        return r > 0 ? 0 : r < 0 ? r : -ENOENT;
}

/* The test's own cgroup2, as a path in the file system. */
static inline int bed_base(char *path, size_t size) {
        const char *base = getenv("BAILIFF_TEST_CGROUP");
        char text[4096], *own;
        size_t n;

        if (base)
                return (size_t)snprintf(path, size, "%s", base) < size ? 0 : -ENAMETOOLONG;
        if (fd_read_at(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) < 0 || bed_mount(path, size) < 0)
                return -ENOENT;
        own = strstr(text, "0::/");
        if (!own)
                return -ENOENT;
        own += strlen("0::");
        own[strcspn(own, "\n")] = '\0';
        n = strlen(path);
        return (size_t)snprintf(path + n, size - n, "%s", own) < size - n ? 0 : -ENAMETOOLONG;
}

static inline int bed_setup(void **state) {
        char base[400];

        (void)state;
        if (bed_base(base, sizeof(base)) == 0) {
                (void)snprintf(bed_path, sizeof(bed_path), "%s/bailiff-test-%d", base, getpid());
                if (mkdir(bed_path, 0755) == 0)
                        bed_fd = open(bed_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (bed_fd < 0)
                print_message(
                        "no cgroup can be made here (BAILIFF_TEST_CGROUP=DIRECTORY): those tests skip\n");
        return 0;
}

/* Whatever a test left: killed, thawed, removed. */
static inline void bed_clear(int fd) {
        _cleanup_fd_ int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = copy < 0 ? NULL : fdopendir(copy);
        struct dirent *e;

        if (!d)
                return;
        copy = -1; /* closedir()'s */
        while ((e = readdir(d))) {
                _cleanup_fd_ int child = -1;

                if (e->d_type != DT_DIR || e->d_name[0] == '.')
                        continue;
                child = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                (void)fd_write_at(child, "cgroup.kill", "1");
                (void)fd_write_at(child, "cgroup.freeze", "0");
                bed_clear(child);
                for (unsigned i = 0; i < 5000 && unlinkat(fd, e->d_name, AT_REMOVEDIR) < 0 && errno == EBUSY;
                     i++) {
                        (void)waitpid(-1, NULL, WNOHANG);
                        bed_sleep(USEC_PER_MSEC);
                }
        }
        closedir(d);
}

static inline int bed_clear_all(void **state) {
        (void)state;
        if (bed_fd >= 0)
                bed_clear(bed_fd);
        return 0;
}

static inline int bed_teardown(void **state) {
        (void)bed_clear_all(state);
        if (bed_fd < 0)
                return 0;
        bed_fd = fd_close(bed_fd);
        return rmdir(bed_path);
}

static inline Cg cg_new(int parent, const char *name) {
        Cg g;
        struct stat st;

        assert_int_equal(mkdirat(parent, name, 0755), 0);
        g.fd = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(g.fd >= 0);
        assert_int_equal(fstat(g.fd, &st), 0);
        g.id = st.st_ino;
        return g;
}

static inline void cg_put(const Cg *g, const char *file, const char *text) {
        assert_int_equal(fd_write_at(g->fd, file, text), 0);
}

/* In the child, which is then in g. */
static inline pid_t cg_fork(const Cg *g) {
        int p[2];
        char c;
        pid_t pid;

        assert_int_equal(pipe2(p, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(p[0]);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody outlives a test that fails */
                if (fd_write_at(g->fd, "cgroup.procs", "0") < 0 || write(p[1], "x", 1) != 1)
                        _exit(99);
                (void)close(p[1]);
                return 0;
        }
        (void)close(p[1]);
        assert_int_equal(read(p[0], &c, 1), 1);
        (void)close(p[0]);
        return pid;
}

static inline pid_t cg_sleeper(const Cg *g) {
        pid_t pid = cg_fork(g);

        while (pid == 0)
                (void)pause();
        return pid;
}
