/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fdio.h"

int fd_close(int fd) {
        if (fd >= 0) {
                int e = errno;

                (void)close(fd);
                errno = e;
        }
        return -1;
}

ssize_t fd_read_at(int dirfd, const char *name, char *buf, size_t size) {
        _cleanup_fd_ int fd = -1;
        ssize_t n;

        fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        do
                n = pread(fd, buf, size - 1, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if ((size_t)n == size - 1)
                return -EFBIG;
        buf[n] = '\0';
        return n;
}

int fd_write_at(int dirfd, const char *name, const char *text) {
        _cleanup_fd_ int fd = -1;
        size_t len = strlen(text);
        ssize_t n;

        fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        n = write(fd, text, len);
        if (n < 0)
                return -errno;
        return (size_t)n == len ? 0 : -EIO;
}

int fd_read_regular_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len,
                       uint64_t *ret_mtime_usec, uid_t *ret_uid) {
        _cleanup_fd_ int fd = -1;
        _cleanup_free_ char *data = NULL;
        struct stat st;
        size_t len = 0, size;

        fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size < 0 || (uint64_t)st.st_size > max)
                return -EFBIG;
        /* What it says of its size is a first guess: files of /proc and /sys say 0,
         * and others grow. One byte beyond max is asked for, to see a longer one. */
        max = MIN_OF(max, (size_t)SSIZE_MAX - 1);
        size = MIN_OF(st.st_size > 0 ? (size_t)st.st_size : (size_t)4096, max) + 1;
        data = malloc(size + 1);
        if (!data)
                return -ENOMEM;
        for (;;) {
                ssize_t n;

                if (len == size) {
                        char *p;

                        if (len > max)
                                return -EFBIG;
                        size = size > max / 2 ? max + 1 : size * 2;
                        p = realloc(data, size + 1);
                        if (!p)
                                return -ENOMEM;
                        data = p;
                }
                n = read(fd, data + len, size - len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
        }
        data[len] = '\0';
        *ret = steal_ptr(data);
        *ret_len = len;
        if (ret_mtime_usec)
                *ret_mtime_usec = (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000;
        if (ret_uid)
                *ret_uid = st.st_uid;
        return 0;
}

int fd_write_all(int fd, const void *data, size_t n) {
        const char *p = data;

        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

int fd_write_file_atomic(int dirfd, const char *name, const void *data, size_t n, mode_t mode, bool sync) {
        _cleanup_free_ char *tmp = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        if (asprintf(&tmp, "%s.tmp", name) < 0) {
                tmp = NULL;
                return -ENOMEM;
        }
        (void)unlinkat(dirfd, tmp, 0);
        fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, data, n);
        if (r >= 0 && sync && fdatasync(fd) < 0)
                r = -errno;
        if (r >= 0 && renameat(dirfd, tmp, dirfd, name) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(dirfd, tmp, 0);
        return r;
}
