/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bailiff.prom in TextfileDirectory=: Prometheus' older text format, which the collector wants, without times, which it refuses. It
 * reads files that end in .prom only, so the one that is being written is none to it.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exporter.h"
#include "fdio.h"
#include "textfile.h"

int textfile_write(const char *dir, const Pages *pages) {
        _cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_buf_ Buf page = BUF_INIT;
        mode_t mask;
        int r;

        if (fd < 0)
                return -errno;
        r = pages_metrics(pages, true, &page);
        if (r < 0)
                return r;
        /* The reader is another user. */
        mask = umask(0022);
        r = fd_write_file_atomic(fd, TEXTFILE_NAME, page.data, page.len, 0644, false);
        (void)umask(mask);
        return r;
}

void textfile_remove(const char *dir) {
        _cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0)
                (void)unlinkat(fd, TEXTFILE_NAME, 0);
}
