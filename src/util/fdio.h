/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * File descriptors: closing, bounded reading, whole writing. All return
 * negative errno; all fds are O_CLOEXEC.
 */

#include <sys/types.h>

#include "macro.h"

/* Returns -1, keeps errno. */
int fd_close(int fd);
static inline void cleanup_fd(int *fd) { fd_close(*fd); }
#define _cleanup_fd_ _cleanup_(cleanup_fd)

/* One pread from offset 0 of `name` under `dirfd` into buf (size ≥ 2), NUL
 * added. Returns the length; -EFBIG when it did not fit. For kernel files. */
ssize_t fd_read_at(int dirfd, const char *name, char *buf, size_t size);
/* One write(2), from offset 0, of a whole kernel attribute; a short write is -EIO. */
int fd_write_at(int dirfd, const char *name, const char *text);

/* Reads a regular file (O_NOFOLLOW|O_NONBLOCK, fstat checked) up to max bytes.
 * *ret is NUL-terminated and the caller's. -EFBIG when longer, -ELOOP for a
 * symlink, -EINVAL when it is no regular file. ret_mtime_usec, ret_uid may be
 * NULL. */
int fd_read_regular_at(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len,
                       uint64_t *ret_mtime_usec, uid_t *ret_uid);

/* Writes all of it, going on after EINTR and short writes. */
int fd_write_all(int fd, const void *data, size_t n);
/* Sibling temporary file, then rename; with sync: fdatasync before. */
int fd_write_file_atomic(int dirfd, const char *name, const void *data, size_t n, mode_t mode, bool sync);
