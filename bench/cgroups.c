/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sorted by name, so that every program of a bench means the same cgroups by
 * "the first hundred": ids are random numbers, hence so is this choice.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "cgroups.h"
#include "fdio.h"

#define PREFIX "docker-"

static int add(Cgroups *c, const char *dir, const char *name) {
        Cgroup g = { .dirfd = -1 };
        int r;

        if (asprintf(&g.path, "%s/%s", dir, name) < 0)
                return -ENOMEM;
        r = GROW(c->all, c->n, c->alloc);
        if (r < 0) {
                free(g.path);
                return r;
        }
        c->all[c->n++] = g;
        return 0;
}

static int compare(const void *a, const void *b) {
        return strcmp(((const Cgroup *)a)->path, ((const Cgroup *)b)->path);
}

static int list(const char *dir, Cgroups *c) {
        DIR *d = opendir(dir);
        struct dirent *entry;
        int r = 0;

        if (!d)
                return -errno;
        while (r >= 0 && (errno = 0, entry = readdir(d)))
                if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
                        r = add(c, dir, entry->d_name);
        if (r >= 0 && errno != 0)
                r = -errno;
        (void)closedir(d);
        return r;
}

int cgroups_open(const char *dir, size_t n, Cgroups *ret) {
        _cleanup_(cgroups_deinit) Cgroups c = {};
        int r = list(dir, &c);

        if (r < 0)
                return r;
        if (c.n == 0 || c.n < n)
                return -ENOENT;
        qsort(c.all, c.n, sizeof(*c.all), compare);
        for (; n > 0 && c.n > n; c.n--)
                free(c.all[c.n - 1].path);
        for (size_t i = 0; i < c.n; i++) {
                c.all[i].dirfd = open(c.all[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (c.all[i].dirfd < 0)
                        return -errno;
        }
        *ret = c;
        c = (Cgroups){};
        return 0;
}

void cgroups_deinit(Cgroups *c) {
        for (size_t i = 0; i < c->n; i++) {
                free(c->all[i].path);
                fd_close(c->all[i].dirfd);
        }
        free(c->all);
        *c = (Cgroups){};
}

int bench_fail(const char *program, const char *what, int error) {
        (void)fprintf(stderr, "%s: %s: %s\n", program, what, strerror(-error));
        return 1;
}
