/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Opening engines' files when parts of the way may belong to a tenant.
 *
 * Paths are walked component by component with O_PATH descriptors, so that
 * what was checked is what is used. Each directory passed is looked at: trust
 * means that uid 0 (or the uid this guard itself runs as, when it is rootless)
 * owns it and nobody else can write to it; it only ever goes from true to
 * false on the way. Data roots are often moved with a symlink
 * (/var/lib/docker → /srv/docker): down to the state directory symlinks of
 * root are followed, below it none.
 *
 * Files are opened without blocking and read only if they are regular. What
 * is left to a tenant is a file system that answers slowly or never (FUSE in a
 * home): that is what the helper's deadline is for.
 */

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fdio.h"
#include "state.h"

#define LINKS_MAX 16
#define PATH_BYTES_MAX 8192
#define LIST_MAX 4096

void state_dir_deinit(StateDir *d) { d->fd = fd_close(d->fd); }

void state_file_deinit(StateFile *f) {
        f->fd = fd_close(f->fd);
        free(f->data);
        f->data = NULL;
}

static bool ours_alone(const struct stat *st) {
        return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool is_root(const State *s, int fd) {
        struct stat a, b;

        return fstat(fd, &a) == 0 && fstat(s->root_fd, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

static int open_component(const State *s, int dirfd, const char *name, struct stat *st, int *ret) {
        _cleanup_fd_ int fd = -1;

        if (STR_EQ(name, "..") && is_root(s, dirfd))
                name = "."; /* as the kernel does, also where the root is a prefix */
        fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fstat(fd, st) < 0)
                return -errno;
        *ret = steal_fd(&fd);
        return 0;
}

/* What is still to be walked: the link's target, then the rest. */
static int expand_link(int link_fd, const char *rest, char **ret) {
        char target[4096];
        char *joined;
        ssize_t n;

        n = readlinkat(link_fd, "", target, sizeof(target));
        if (n < 0)
                return -errno;
        if (n == 0 || (size_t)n == sizeof(target) || (size_t)n + strlen(rest) + 2 > PATH_BYTES_MAX)
                return -ENAMETOOLONG;
        if (asprintf(&joined, "%.*s/%s", (int)n, target, rest) < 0)
                return -ENOMEM;
        *ret = joined;
        return 0;
}

static int walk(const State *s, int start, bool trusted, const char *path, bool follow, StateDir *ret) {
        _cleanup_free_ char *todo = NULL;
        _cleanup_fd_ int cur = -1;
        unsigned links = 0;
        char *p;
        int r;

        if (strlen(path) >= PATH_BYTES_MAX)
                return -ENAMETOOLONG;
        todo = strdup(path);
        if (!todo)
                return -ENOMEM;
        cur = fcntl(start, F_DUPFD_CLOEXEC, 3);
        if (cur < 0)
                return -errno;
        for (p = todo; *p;) {
                _cleanup_fd_ int fd = -1;
                size_t len = strcspn(p, "/");
                char *name = p;
                struct stat st;

                p += len;
                if (*p)
                        *p++ = '\0';
                if (len == 0 || STR_EQ(name, "."))
                        continue;
                r = open_component(s, cur, name, &st, &fd);
                if (r < 0)
                        return r;
                if (S_ISLNK(st.st_mode)) {
                        char *joined;

                        if (!follow || st.st_uid != 0 || ++links > LINKS_MAX)
                                return -ELOOP;
                        r = expand_link(fd, p, &joined);
                        if (r < 0)
                                return r;
                        free(todo);
                        p = todo = joined;
                        if (*p == '/') {
                                (void)fd_close(cur);
                                cur = fcntl(s->root_fd, F_DUPFD_CLOEXEC, 3);
                                if (cur < 0)
                                        return -errno;
                        }
                        continue;
                }
                if (!S_ISDIR(st.st_mode))
                        return -ENOTDIR;
                trusted = trusted && ours_alone(&st);
                (void)fd_close(cur);
                cur = steal_fd(&fd);
        }
        *ret = (StateDir){ .fd = steal_fd(&cur), .trusted = trusted };
        return 0;
}

int state_open_dir(State *s, const char *path, StateDir *ret) {
        struct stat st;

        if (path[0] != '/')
                return -EINVAL;
        if (fstat(s->root_fd, &st) < 0)
                return -errno;
        return walk(s, s->root_fd, ours_alone(&st), path, true, ret);
}

int state_open_below(State *s, const StateDir *d, const char *path, StateDir *ret) {
        return walk(s, d->fd, d->trusted, path, false, ret);
}

int state_open_file(State *s, const StateDir *d, const char *name, StateFile *ret) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;

        f.fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (f.fd < 0)
                return -errno;
        if (fstat(f.fd, &f.st) < 0)
                return -errno;
        if (!S_ISREG(f.st.st_mode))
                return -EINVAL;
        /* A hard link to somebody else's file is not the user's to show. */
        if (s->query->rootless && f.st.st_uid != s->query->uid)
                return -EPERM;
        f.trusted = d->trusted && ours_alone(&f.st);
        *ret = f;
        f = STATE_FILE_INIT;
        return 0;
}

int state_file_load(StateFile *f, size_t max) {
        _cleanup_free_ char *data = NULL;
        size_t len = 0, size;

        if (f->st.st_size < 0 || (uint64_t)f->st.st_size > max)
                return -EFBIG;
        /* One byte more than stated: a file that grew meanwhile is noticed. */
        size = (size_t)f->st.st_size + 1;
        data = malloc(size + 1);
        if (!data)
                return -ENOMEM;
        while (len < size) {
                ssize_t n = pread(f->fd, data + len, size - len, (off_t)len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
        }
        if (len == size)
                return -EAGAIN;
        data[len] = '\0';
        f->data = steal_ptr(data);
        f->len = len;
        return 0;
}

int state_read_file(State *s, const StateDir *d, const char *name, StateFile *ret) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        int r;

        /* Engines replace their files by rename; one that grew while we read is read once more. */
        for (unsigned i = 0; i < 2; i++) {
                state_file_deinit(&f);
                r = state_open_file(s, d, name, &f);
                if (r < 0)
                        return r;
                r = state_file_load(&f, NAMES_FILE_MAX);
                if (r != -EAGAIN)
                        break;
        }
        if (r < 0)
                return r;
        *ret = f;
        f = STATE_FILE_INIT;
        return 0;
}

void state_used(State *s, const StateFile *f, bool limits) {
        uint64_t mtime = 0;

        s->n_used++;
        if (!f->trusted)
                s->untrusted = true;
        if (!limits)
                return;
        if (f->st.st_mtim.tv_sec > 0 && (uint64_t)f->st.st_mtim.tv_sec < UINT64_MAX / 2000000)
                mtime = (uint64_t)f->st.st_mtim.tv_sec * 1000000 + (uint64_t)f->st.st_mtim.tv_nsec / 1000;
        s->info->config_mtime_usec = MAX_OF(s->info->config_mtime_usec, mtime);
}

int state_list_dir(const StateDir *d, int (*entry)(void *user, const char *name), void *user) {
        int fd, r = 0;
        DIR *dir;

        fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                fd_close(fd);
                return r;
        }
        for (unsigned i = 0; i < LIST_MAX && r == 0; i++) {
                struct dirent *e = readdir(dir);

                if (!e)
                        break;
                if (e->d_name[0] != '.')
                        r = entry(user, e->d_name);
        }
        (void)closedir(dir);
        return r;
}

int state_stat_block(State *s, const char *path, dev_t *ret) {
        /* /dev/disk/by-id and /dev/mapper are relative links within /dev; /dev/fd, /dev/shm and
         * the like lead away and are refused. O_PATH opens no device. */
        struct open_how how = {
                .flags = O_PATH | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
        };
        _cleanup_state_dir_ StateDir dev = STATE_DIR_INIT;
        _cleanup_fd_ int fd = -1;
        struct stat st;
        int r;

        if (strncmp(path, "/dev/", 5) != 0 || strlen(path) >= PATH_BYTES_MAX / 2)
                return -EINVAL;
        r = state_open_dir(s, "/dev", &dev);
        if (r < 0)
                return r;
        fd = (int)syscall(SYS_openat2, dev.fd, path + 5, &how, sizeof(how));
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISBLK(st.st_mode))
                return -ENOTBLK;
        *ret = st.st_rdev;
        return 0;
}
