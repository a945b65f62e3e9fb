/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The other side of benches on the test bed's shape "many": what its
 * containers do, and how many there are.
 *
 *   keep DIR N                       removes all but the first N
 *   busy DIR N EVERY DISK KIB MSEC   makes every EVERYth of the first N busy, until killed: each second a process in it
 *                                    reads KIB from DISK, past the page cache, and burns MSEC of CPU; says "ready"
 *
 * Reading is what makes a container busy here, for it is nearly free: 150 that use a few percent of a CPU each would be
 * more than the two CPUs of an emulated machine have, and what is measured needs some, too.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroups.h"
#include "clock.h"
#include "fdio.h"
#include "num.h"

#define REMOVE_TRIES 2000
#define DISK_SPAN ((uint64_t)256 << 20) /* of the disk, what is read over and over */
#define ALIGNMENT 4096 /* of reads past the page cache */

static int fail(const char *what, int error) { return bench_fail("many", what, error); }

static struct timespec to_timespec(usec_t usec) {
        return (struct timespec){ .tv_sec = (time_t)(usec / USEC_PER_SEC),
                                  .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000 };
}

/* ---- keep ---- */

static int keep(const char *dir, size_t n) {
        _cleanup_(cgroups_deinit) Cgroups c = {};
        const struct timespec moment = to_timespec(5 * USEC_PER_MSEC);
        int r = cgroups_open(dir, 0, &c);

        if (r < 0)
                return fail(dir, r);
        for (size_t i = n; i < c.n; i++) {
                r = fd_write_at(c.all[i].dirfd, "cgroup.kill", "1");
                if (r < 0)
                        return fail(c.all[i].path, r);
        }
        /* Killed is not gone yet; until then rmdir() says busy. */
        for (size_t i = n; i < c.n; i++)
                for (size_t tries = 0; rmdir(c.all[i].path) < 0; tries++) {
                        if (errno != EBUSY || tries == REMOVE_TRIES)
                                return fail(c.all[i].path, -errno);
                        (void)nanosleep(&moment, NULL);
                }
        return 0;
}

/* ---- busy ---- */

typedef struct Load {
        const char *disk;
        size_t bytes;
        usec_t burst;
} Load;

static int load_second(const Load *l, int disk, void *buf, uint64_t *offset) {
        usec_t end;

        if (pread(disk, buf, l->bytes, (off_t)*offset) < 0)
                return -errno;
        *offset = (*offset + l->bytes) % DISK_SPAN;
        end = clock_usec(CLOCK_PROCESS_CPUTIME_ID) + l->burst;
        while (clock_usec(CLOCK_PROCESS_CPUTIME_ID) < end)
                ;
        return 0;
}

/* Returns only on failure. phase: when in the second, so that not all work at once. */
static int load_run(const Load *l, usec_t phase) {
        _cleanup_free_ void *buf = aligned_alloc(ALIGNMENT, l->bytes);
        _cleanup_fd_ int disk = open(l->disk, O_RDONLY | O_DIRECT | O_CLOEXEC);
        usec_t next = clock_usec(CLOCK_MONOTONIC) + phase;
        uint64_t offset = 0;
        int r = 0;

        if (!buf)
                return -ENOMEM;
        if (disk < 0)
                return -errno;
        while (r >= 0) {
                const struct timespec until = to_timespec(next);

                (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
                r = load_second(l, disk, buf, &offset);
                /* A machine that cannot keep up leaves rests out rather than to put seconds together. */
                next = MAX_OF(next + USEC_PER_SEC, clock_usec(CLOCK_MONOTONIC));
        }
        return r;
}

static int load_start(const Cgroup *g, const Load *l, usec_t phase) {
        pid_t parent = getpid(), pid = fork();
        char text[16];
        int r;

        if (pid != 0)
                return pid < 0 ? -errno : 0;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(text, sizeof(text), "%d", (int)getpid());
        r = fd_write_at(g->dirfd, "cgroup.procs", text);
        if (r < 0)
                _exit(fail(g->path, r));
        if (getppid() != parent)
                _exit(1); /* it went before it was asked to take us with it */
        _exit(fail(l->disk, load_run(l, phase)));
}

static int busy(const char *dir, size_t n, size_t every, const Load *l) {
        _cleanup_(cgroups_deinit) Cgroups c = {};
        int r = cgroups_open(dir, n, &c), status;

        if (r < 0)
                return fail(dir, r);
        for (size_t i = 0; i < c.n; i += every) {
                r = load_start(&c.all[i], l, USEC_PER_SEC * i / c.n);
                if (r < 0)
                        return fail("fork", r);
        }
        (void)printf("ready\n");
        (void)fflush(stdout);
        (void)wait(&status); /* none ends by itself, but for a failure that it has told */
        return 1;
}

int main(int argc, char **argv) {
        uint64_t n, every, kib, msec;

        if (argc == 4 && STR_EQ(argv[1], "keep") && num_parse_u64(argv[3], &n) == 0)
                return keep(argv[2], n);
        if (argc == 8 && STR_EQ(argv[1], "busy") && num_parse_u64(argv[3], &n) == 0 &&
            num_parse_u64(argv[4], &every) == 0 && every > 0 && num_parse_u64(argv[6], &kib) == 0 &&
            kib * 1024 % ALIGNMENT == 0 && num_parse_u64(argv[7], &msec) == 0) {
                const Load l = { .disk = argv[5], .bytes = kib * 1024, .burst = msec * USEC_PER_MSEC };

                return busy(argv[2], n, every, &l);
        }
        (void)fprintf(stderr, "many: see the head of bench/many.c\n");
        return 2;
}
