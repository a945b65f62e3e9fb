/* SPDX-License-Identifier: Apache-2.0 */

/*
 * PSI triggers. The kernel is asked for what the caller wants within its
 * documented bounds; where it refuses (a window that is no multiple of 2 s needs
 * CAP_SYS_RESOURCE) it is asked once more, for the next multiple of 2 s. The
 * stall stays as it was: whatever stalls for so long in the short window does
 * in the longer one, so nothing is missed, though less may do. Older
 * kernels give nobody without that capability the file to write: -EPERM.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fdio.h"
#include "psi.h"

const char *psi_resource_to_string(PsiResource r) {
        static const char *const names[_PSI_MAX] = {
                [PSI_CPU] = "cpu",
                [PSI_MEMORY] = "memory",
                [PSI_IO] = "io",
        };

        return (unsigned)r < _PSI_MAX ? names[r] : "unknown";
}

void psi_trigger_bound(bool privileged, usec_t *stall, usec_t *window) {
        *window = MAX_OF(MIN_OF(*window, PSI_WINDOW_MAX), PSI_WINDOW_MIN);
        if (!privileged)
                *window = (*window + PSI_WINDOW_STEP - 1) / PSI_WINDOW_STEP * PSI_WINDOW_STEP;
        *stall = MAX_OF(MIN_OF(*stall, *window), (usec_t)1);
}

/* 0 or negative errno. */
static int write_trigger(int fd, usec_t stall, usec_t window) {
        char text[64];
        int n;

        n = snprintf(text, sizeof(text), "some %llu %llu", (unsigned long long)stall,
                     (unsigned long long)window);
        /* With its NUL: below /proc the kernel puts one over the last byte. */
        return write(fd, text, (size_t)n + 1) < 0 ? -errno : 0;
}

static int gone_or(int r, int dirfd, bool cgroup) {
        return cgroup && (r == -ENOENT || r == -ENODEV) && !cg_alive(dirfd) ? CG_GONE : r;
}

int psi_trigger_open(int dirfd, bool cgroup, PsiResource r, usec_t stall, usec_t window, int *ret_fd) {
        usec_t least = window;
        _cleanup_fd_ int fd = -1;
        char name[32];
        int k;

        (void)snprintf(name, sizeof(name), cgroup ? "%s.pressure" : "pressure/%s", psi_resource_to_string(r));
        fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return gone_or(-errno, dirfd, cgroup);
        psi_trigger_bound(true, &stall, &window);
        k = write_trigger(fd, stall, window);
        if (k == -EPERM || k == -EINVAL) {
                psi_trigger_bound(false, &stall, &least);
                k = write_trigger(fd, stall, least);
        }
        if (k < 0)
                return gone_or(k, dirfd, cgroup);
        *ret_fd = steal_fd(&fd);
        return 0;
}
