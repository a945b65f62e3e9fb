/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The least that a guard can be: waits for the kernel to tell of a stall and writes one file. What bailiff takes
 * longer than this, it takes for judging. And a watcher, for both: when was a file written, and what does it say?
 *
 *   reflex [-s SECONDS] act PRESSURE STALL WINDOW FILE VALUE    a trigger of STALL in WINDOW (µs) on PRESSURE, a
 *                                                               *.pressure file; when it fires, writes VALUE to FILE
 *   reflex [-s SECONDS] watch FILE...                           a line for each write, by whomever
 *
 * On stdout "ready", then "USEC FILE VALUE" (CLOCK_MONOTONIC, as hog's "begin"; of several lines the first). Ends after so
 * many seconds (120); act, when it has acted.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "fdio.h"
#include "load.h"
#include "num.h"

#define WATCHES_MAX 256

static int fail(const char *what, int error) {
        (void)fprintf(stderr, "reflex: %s: %s\n", what, strerror(-error));
        return error;
}

/* Until it is ready, or the end: 0. */
static int wait_for(int fd, short events, usec_t end) {
        struct pollfd p = { .fd = fd, .events = events };
        usec_t now = load_clock();

        return now < end ? poll(&p, 1, (int)((end - now) / USEC_PER_MSEC) + 1) > 0 : 0;
}

static void say(usec_t when, const char *file) {
        char text[256];

        if (fd_read_at(AT_FDCWD, file, text, sizeof(text)) < 0)
                text[0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        (void)printf("%llu %s %s\n", (unsigned long long)when, file, text);
        (void)fflush(stdout);
}

static int act(char **argv, usec_t end) {
        _cleanup_fd_ int fd = open(argv[0], O_RDWR | O_CLOEXEC | O_NONBLOCK);
        char trigger[64];
        usec_t now;
        int n, r;

        if (fd < 0)
                return fail(argv[0], -errno);
        n = snprintf(trigger, sizeof(trigger), "some %s %s", argv[1], argv[2]);
        if (n < 0 || (size_t)n >= sizeof(trigger) || write(fd, trigger, (size_t)n + 1) < 0)
                return fail("the trigger", errno ? -errno : -EINVAL);
        (void)printf("ready\n");
        (void)fflush(stdout);
        if (!wait_for(fd, POLLPRI, end))
                return fail("no stall", -ETIMEDOUT);
        r = fd_write_at(AT_FDCWD, argv[3], argv[4]);
        now = load_clock();
        if (r < 0)
                return fail(argv[3], r);
        say(now, argv[3]);
        return 0;
}

static int watch(int argc, char **argv, usec_t end) {
        _cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        int names[WATCHES_MAX];

        if (fd < 0)
                return fail("inotify", -errno);
        for (int i = 0; i < argc; i++) {
                names[i] = inotify_add_watch(fd, argv[i], IN_MODIFY);
                if (names[i] < 0)
                        return fail(argv[i], -errno);
        }
        (void)printf("ready\n");
        (void)fflush(stdout);
        while (wait_for(fd, POLLIN, end)) {
                char buf[8192] __attribute__((__aligned__(8)));
                ssize_t n = read(fd, buf, sizeof(buf));
                usec_t now = load_clock();

                for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
                        struct inotify_event e;

                        memcpy(&e, buf + at, sizeof(e));
                        at += (ssize_t)(sizeof(e) + e.len);
                        for (int i = 0; i < argc; i++)
                                if (names[i] == e.wd && (e.mask & IN_MODIFY))
                                        say(now, argv[i]);
                }
        }
        return 0;
}

int main(int argc, char **argv) {
        uint64_t seconds = 120;
        int c;

        while ((c = getopt(argc, argv, "+s:")) >= 0)
                if (c != 's' || num_parse_u64(optarg, &seconds) < 0 || seconds > 86400)
                        seconds = 0;
        argc -= optind;
        argv += optind;
        if (seconds > 0 && argc == 6 && STR_EQ(argv[0], "act"))
                return act(argv + 1, load_clock() + seconds * USEC_PER_SEC) < 0;
        if (seconds > 0 && argc > 1 && argc <= WATCHES_MAX && STR_EQ(argv[0], "watch"))
                return watch(argc - 1, argv + 1, load_clock() + seconds * USEC_PER_SEC) < 0;
        (void)fprintf(stderr,
                      "usage: reflex [-s SECONDS] act PRESSURE STALL WINDOW FILE VALUE | watch FILE...\n");
        return 2;
}
