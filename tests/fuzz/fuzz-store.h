/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What fuzz targets of a file in a directory share. FILE_NAME is to be defined before. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "fuzz.h"

static char dir[] = "/dev/shm/fuzz-" FILE_NAME "-XXXXXX"; /* nobody waits for a disk */
static int dir_fd = -1;

static inline void clear(void) {
        (void)unlinkat(dir_fd, FILE_NAME, 0);
        (void)unlinkat(dir_fd, FILE_NAME ".old", 0);
}

static inline void remove_dir(void) {
        clear();
        dir_fd = fd_close(dir_fd);
        (void)rmdir(dir);
}

/* make: the file's content of the data; check: what it is when it is there. */
static inline int fuzz_file(const uint8_t *data, size_t size, void (*make)(const uint8_t *, size_t, Buf *),
                            void (*check)(void)) {
        _cleanup_buf_ Buf b = BUF_INIT;

        if (dir_fd < 0) {
                must(mkdtemp(dir) != NULL);
                dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                must(dir_fd >= 0 && atexit(remove_dir) == 0);
        }
        make(data, size, &b);
        must(buf_error(&b) == 0 &&
             fd_write_file_atomic(dir_fd, FILE_NAME, buf_str(&b), b.len, 0600, false) == 0);
        check();
        clear();
        return 0;
}
