/* SPDX-License-Identifier: Apache-2.0 */

/*
 * /proc/PID, as far as anybody may read it.
 *
 * A process can call itself anything, so the name in `stat` ends at the last
 * closing parenthesis and not at the first. A hybrid host has a line per
 * hierarchy in `cgroup`; the unified one's begins with "0::", and its path may hold anything but a newline,
 * which the kernel writes as \012.
 */

#include <stdio.h>
#include <unistd.h>

#include "fdio.h"
#include "num.h"
#include "procpid.h"

#define FIELDS 24 /* of stat, up to rss */

static int number(const char *s, uint64_t *ret) {
        const char *end = s + strcspn(s, " \n");

        return num_scan_u64(&s, end, ret) < 0 || s != end ? -EBADMSG : 0;
}

int procpid_parse(const char *text, unsigned long ticks, unsigned long page, ProcPid *ret) {
        const char *open = strchr(text, '('), *close = strrchr(text, ')'), *f[FIELDS + 1] = {};
        uint64_t parent, user, system, threads, start, rss;
        ProcPid p = {};
        size_t len;

        if (!open || !close || close < open)
                return -EBADMSG;
        len = MIN_OF((size_t)(close - open - 1), sizeof(p.comm) - 1);
        memcpy(p.comm, open + 1, len);
        text = close + 1;
        for (unsigned i = 3; i <= FIELDS; i++) {
                if (*text != ' ')
                        return -EBADMSG;
                f[i] = ++text;
                text += strcspn(text, " \n");
        }
        /* rss of a kernel before 6.2 can be a little below zero. */
        if (number(f[4], &parent) < 0 || number(f[14], &user) < 0 || number(f[15], &system) < 0 ||
            number(f[20], &threads) < 0 || number(f[22], &start) < 0 || parent > INT32_MAX)
                return -EBADMSG;
        if (number(f[24], &rss) < 0)
                rss = 0;
        p.state = f[3][0];
        p.parent = (pid_t)parent;
        p.threads = (unsigned)MIN_OF(threads, (uint64_t)INT32_MAX);
        p.cpu_usec = num_muldiv(num_add_sat(user, system), USEC_PER_SEC, ticks);
        p.rss_bytes = num_muldiv(rss, page, 1);
        p.start = start;
        *ret = p;
        return 0;
}

/* Reads a file of one process. */
static int read_of(int procfd, pid_t pid, const char *file, char *buf, size_t size) {
        char name[64];
        ssize_t n;

        (void)snprintf(name, sizeof(name), "%ld/%s", (long)pid, file);
        n = fd_read_at(procfd, name, buf, size);
        if (n == -ENOENT || n == -ESRCH)
                return PROCPID_GONE;
        return n < 0 ? (int)n : 0;
}

int procpid_read(int procfd, pid_t pid, ProcPid *ret) {
        char text[1024];
        int r;

        r = read_of(procfd, pid, "stat", text, sizeof(text));
        if (r != 0)
                return r;
        return procpid_parse(text, (unsigned long)sysconf(_SC_CLK_TCK), (unsigned long)sysconf(_SC_PAGESIZE),
                             ret);
}

char *procpid_parse_cgroup(char *text) {
        for (char *line = text; *line; line++) {
                char *end = strchrnul(line, '\n');
                bool last = *end == '\0';

                *end = '\0';
                if (strncmp(line, "0::", 3) == 0)
                        return line + 3;
                if (last)
                        return NULL;
                line = end;
        }
        return NULL;
}

int procpid_cgroup(int procfd, pid_t pid, char *ret, size_t size) {
        char text[8192], *path;
        size_t len;
        int r;

        r = read_of(procfd, pid, "cgroup", text, sizeof(text));
        if (r != 0)
                return r;
        path = procpid_parse_cgroup(text);
        if (!path)
                return -ENODATA;
        len = strlen(path);
        if (len >= size)
                return -EFBIG;
        memcpy(ret, path, len + 1);
        return 0;
}
