/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The common ground of the loads that scenarios run: see load.h. Work is a chain
 * of dependent multiplications, so that a machine that is twice as fast does it in half
 * the time, and no compiler can leave it out.
 */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "load.h"

#define CALIBRATIONS 40
#define CALIBRATION (5 * USEC_PER_MSEC) /* CPU time of one, at least */
#define PAGE 4096
#define CHUNK ((size_t)1 << 20)

usec_t load_clock(void) { return clock_usec(CLOCK_MONOTONIC); }

usec_t load_cpu(void) { return clock_usec(CLOCK_THREAD_CPUTIME_ID); }

void load_nap_until(usec_t when) {
        struct timespec ts = { .tv_sec = (time_t)(when / USEC_PER_SEC),
                               .tv_nsec = (long)(when % USEC_PER_SEC) * 1000 };

        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

uint64_t load_random(uint64_t *state) {
        uint64_t z = (*state += 0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

void load_work(uint64_t turns) {
        static _Thread_local volatile uint64_t sink;
        uint64_t x = sink | 1;

        for (uint64_t i = 0; i < turns; i++)
                x = x * 6364136223846793005 + 1442695040888963407;
        sink = x;
}

/* The best of many short turns: where this machine is itself somebody's guest, what that host takes away counts as CPU time here. */
uint64_t load_calibrate(usec_t cpu) {
        uint64_t best = 1;

        for (unsigned i = 0; i < CALIBRATIONS; i++) {
                usec_t start = load_cpu(), used;
                uint64_t turns = 0;

                do {
                        load_work(1000);
                        turns += 1000;
                        used = load_cpu() - start;
                } while (used < CALIBRATION);
                best = MAX_OF(best, turns * cpu / used);
        }
        return best;
}

int load_file(const char *file, size_t bytes) {
        _cleanup_fd_ int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
        uint64_t dice = bytes;
        struct stat st;
        int r = 0;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!chunk)
                return -ENOMEM;
        if ((size_t)st.st_size >= bytes)
                return 0;
        for (size_t i = 0; i < CHUNK; i += sizeof(uint64_t)) {
                uint64_t x = load_random(&dice);

                memcpy(chunk + i, &x, sizeof(x));
        }
        for (size_t at = 0; r == 0 && at < bytes; at += CHUNK)
                r = fd_write_all(fd, chunk, MIN_OF(CHUNK, bytes - at));
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        return r;
}

uint8_t *load_map(const char *file, size_t bytes) {
        _cleanup_fd_ int fd = -1;
        uint8_t *map;

        if (file) {
                int r = load_file(file, bytes);

                if (r < 0) {
                        errno = -r;
                        return NULL;
                }
                fd = open(file, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        return NULL;
        }
        map = mmap(NULL, bytes, file ? PROT_READ : PROT_READ | PROT_WRITE,
                   file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
        if (map == MAP_FAILED)
                return NULL;
        (void)madvise(map, bytes, MADV_NOHUGEPAGE);
        (void)madvise(map, bytes, MADV_RANDOM); /* no readahead: each page is missed by itself */
        for (size_t at = 0; at < bytes; at += PAGE) {
                if (file)
                        (void)*(volatile uint8_t *)(map + at);
                else
                        map[at] = (uint8_t)(at / PAGE) | 1;
        }
        return map;
}
