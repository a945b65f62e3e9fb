/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a guard and a thaw helper that died together knew of their pulses. A lease of a freeze says that we froze, not whether
 * it is over: an engine that paused the container meanwhile has taken it over, and the helper may have seen that when the guard
 * had no time to take the lease off the file any more (it hung, and was killed for it). The next one would thaw what is the engine's.
 *
 * So the memory that guard and helper share is a file. Its room is taken at the start: a full /run cannot hurt it later. It tells
 * only whose pulse is over; of all others the lease holds.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"
#include "thaw-internal.h"

#define FILE_NAME "pulses"
#define FILE_NAME_NEW "pulses.new"

/* Another layout is another magic: a file of another version is none. */
static const char magic[8] = "BLFPLS\0\1";

static int map(int fd, int flags, ThawShared **ret) {
        void *p = mmap(NULL, sizeof(ThawShared), PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);

        if (p == MAP_FAILED)
                return -errno;
        *ret = p;
        return 0;
}

static int make_file(int dirfd, ThawShared **ret) {
        _cleanup_fd_ int fd = -1;
        int r;

        (void)unlinkat(dirfd, FILE_NAME_NEW, 0);
        fd = openat(dirfd, FILE_NAME_NEW, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = fallocate(fd, 0, 0, sizeof(ThawShared)) < 0 ? -errno : fd_write_all(fd, magic, sizeof(magic));
        if (r >= 0)
                r = map(fd, 0, ret);
        if (r >= 0 && renameat(dirfd, FILE_NAME_NEW, dirfd, FILE_NAME) < 0) {
                r = -errno;
                (void)munmap(*ret, sizeof(ThawShared));
        }
        if (r < 0)
                (void)unlinkat(dirfd, FILE_NAME_NEW, 0);
        return r;
}

int thaw_shared_new(const char *dir, ThawShared **ret) {
        _cleanup_fd_ int dirfd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

        if (dirfd >= 0) {
                if (make_file(dirfd, ret) >= 0)
                        return 0;
                /* The one before says nothing of our pulses. */
                (void)unlinkat(dirfd, FILE_NAME, 0);
        }
        return map(-1, MAP_ANONYMOUS, ret);
}

static int read_file(const char *dir, ThawShared *ret) {
        _cleanup_fd_ int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_fd_ int fd =
                openat(dirfd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size != sizeof(*ret) ||
            pread(fd, ret, sizeof(*ret), 0) != sizeof(*ret) || memcmp(ret->magic, magic, sizeof(magic)) != 0)
                return -EBADMSG;
        return 0;
}

void thaw_past_read(const char *dir, ThawPast *ret) {
        ThawShared s;

        ret->n = 0;
        if (read_file(dir, &s) < 0)
                return;
        for (size_t i = 0; i < THAW_MAX; i++) {
                const Pulse *p = &s.pulses[i];

                if (p->id != 0 && (p->state == PULSE_NONE || p->state == PULSE_TAKEN))
                        ret->ids[ret->n++] = p->id;
        }
}

bool thaw_past_over(const ThawPast *p, uint64_t id) {
        for (size_t i = 0; i < p->n; i++)
                if (p->ids[i] == id)
                        return true;
        return false;
}
