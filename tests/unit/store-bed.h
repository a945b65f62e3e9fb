/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A directory of one's own for one file of FILE_NAME, which is to be defined before; after cmocka.h. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fdio.h"

static char dir[] = "/tmp/test-" FILE_NAME "-XXXXXX";
static int dir_fd = -1;

static int setup_all(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return dir_fd < 0 ? -1 : 0;
}

/* All that the file may have left, directories in its place too. */
static int clear(void **state) {
        static const char *const names[] = { FILE_NAME, FILE_NAME ".old", FILE_NAME ".new",
                                             FILE_NAME ".tmp" };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (unlinkat(dir_fd, names[i], 0) < 0 && errno == EISDIR)
                        (void)unlinkat(dir_fd, names[i], AT_REMOVEDIR);
        return 0;
}

static int teardown_all(void **state) {
        (void)clear(state);
        dir_fd = fd_close(dir_fd);
        return rmdir(dir);
}
