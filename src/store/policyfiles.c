/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which files make the policy, and the copy of the last one that loaded.
 *
 * The rules are those of systemd's drop-in directories, for these people know
 * them: one file name, the most important directory wins, order by file name
 * whatever the directory. The last-good copy keeps the order by a numeric
 * prefix, for its files come from different directories.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "fdio.h"
#include "policyfiles.h"

const char *const policy_dirs_default[] = {
        BAILIFF_SYSCONFDIR "/bailiff/policy.d",
        "/run/bailiff/policy.d",
        BAILIFF_PKGLIBDIR "/policy.d",
        NULL,
};

typedef struct Candidate {
        char *name; /* file name */
        char *path;
        bool masked;
} Candidate;

typedef struct Candidates {
        Candidate *items;
        size_t n, alloc;
} Candidates;

static void candidates_deinit(Candidates *c) {
        for (size_t i = 0; i < c->n; i++) {
                free(c->items[i].name);
                free(c->items[i].path);
        }
        free(c->items);
}

void policy_files_deinit(PolicyFiles *f) {
        for (size_t i = 0; i < f->n; i++) {
                free((char *)f->texts[i].file);
                free((char *)f->texts[i].text);
        }
        free(f->texts);
        *f = (PolicyFiles){};
}

/* Symlinks are the administrator's right here, unlike in engines' state. */
static int real_path(const char *path, char **ret) {
        char *p = realpath(path, NULL);

        if (!p)
                return -errno;
        *ret = p;
        return 0;
}

static int read_one(const char *path, PolicyFiles *f, Diags *diags) {
        _cleanup_free_ char *text = NULL, *name = NULL, *real = NULL;
        size_t len = 0;
        int r;

        if (f->n >= POLICY_FILES_MAX) {
                diags_add(diags, DIAG_ERROR, path, 0, "more than %d policy files, expected fewer",
                          POLICY_FILES_MAX);
                return 0;
        }
        r = real_path(path, &real);
        if (r >= 0)
                r = fd_read_regular_at(AT_FDCWD, real, POLICY_FILE_MAX, &text, &len, NULL, NULL);
        if (r == -ENOMEM)
                return r;
        if (r == -EFBIG)
                diags_add(diags, DIAG_ERROR, path, 0, "is larger than 1 MiB, expected a policy file");
        else if (r == -EINVAL)
                diags_add(diags, DIAG_ERROR, path, 0, "is no regular file");
        else if (r < 0)
                diags_add(diags, DIAG_ERROR, path, 0, "cannot be read: %s", strerror(-r));
        if (r < 0)
                return 0;
        name = strdup(path);
        if (!name)
                return -ENOMEM;
        r = GROW(f->texts, f->n, f->alloc);
        if (r < 0)
                return r;
        f->texts[f->n++] = (PolicyText){ .file = steal_ptr(name), .text = steal_ptr(text), .len = len };
        return 0;
}

static bool wanted(const char *name) {
        size_t n = strlen(name);

        return name[0] != '.' && n > 4 && STR_EQ(name + n - 4, ".ini");
}

static int collect(const char *dir, Candidates *c, Diags *diags) {
        DIR *d = opendir(dir);
        struct dirent *e;
        int r = 0;

        if (!d) {
                if (errno == ENOENT)
                        return 0;
                diags_add(diags, DIAG_ERROR, dir, 0, "cannot be read: %s", strerror(errno));
                return 0;
        }
        while (r >= 0 && (e = readdir(d))) {
                _cleanup_free_ char *name = NULL, *path = NULL;
                bool known = false;
                struct stat st;

                if (!wanted(e->d_name))
                        continue;
                for (size_t i = 0; i < c->n && !known; i++)
                        known = STR_EQ(c->items[i].name, e->d_name);
                if (known)
                        continue;
                name = strdup(e->d_name);
                if (!name || asprintf(&path, "%s/%s", dir, e->d_name) < 0) {
                        r = -ENOMEM;
                        break;
                }
                r = GROW(c->items, c->n, c->alloc);
                if (r < 0)
                        break;
                /* /dev/null or an empty link target masks the file of the same name below. */
                c->items[c->n] = (Candidate){ .masked = fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
                                                        S_ISCHR(st.st_mode) };
                c->items[c->n].name = steal_ptr(name);
                c->items[c->n++].path = steal_ptr(path);
        }
        (void)closedir(d);
        return r;
}

static int by_name(const void *a, const void *b) {
        return strcmp(((const Candidate *)a)->name, ((const Candidate *)b)->name);
}

int policy_files_read(const char *const *dirs, PolicyFiles *ret, Diags *diags) {
        _cleanup_(candidates_deinit) Candidates c = {};
        _cleanup_(policy_files_deinit) PolicyFiles f = {};
        int r;

        for (; *dirs; dirs++) {
                r = collect(*dirs, &c, diags);
                if (r < 0)
                        return r;
        }
        if (c.n > 0)
                qsort(c.items, c.n, sizeof(Candidate), by_name);
        for (size_t i = 0; i < c.n; i++) {
                if (c.items[i].masked)
                        continue;
                r = read_one(c.items[i].path, &f, diags);
                if (r < 0)
                        return r;
        }
        *ret = f;
        f = (PolicyFiles){};
        return 0;
}

int policy_files_read_list(const char *const *paths, PolicyFiles *ret, Diags *diags) {
        _cleanup_(policy_files_deinit) PolicyFiles f = {};
        int r;

        for (; *paths; paths++) {
                r = read_one(*paths, &f, diags);
                if (r < 0)
                        return r;
        }
        *ret = f;
        f = (PolicyFiles){};
        return 0;
}

static void remove_dir(const char *path) {
        DIR *d = opendir(path);
        struct dirent *e;

        if (!d)
                return;
        while ((e = readdir(d)))
                if (!STR_EQ(e->d_name, ".") && !STR_EQ(e->d_name, ".."))
                        (void)unlinkat(dirfd(d), e->d_name, 0);
        (void)closedir(d);
        (void)rmdir(path);
}

int policy_files_write(const char *dir, const PolicyFiles *f) {
        _cleanup_free_ char *fresh = NULL;
        _cleanup_fd_ int fd = -1;

        if (asprintf(&fresh, "%s.new", dir) < 0) {
                fresh = NULL;
                return -ENOMEM;
        }
        remove_dir(fresh);
        if (mkdir(fresh, 0755) < 0)
                return -errno;
        fd = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        for (size_t i = 0; i < f->n; i++) {
                _cleanup_free_ char *name = NULL;
                const char *base = strrchr(f->texts[i].file, '/');
                int r;

                base = base ? base + 1 : f->texts[i].file;
                /* A file that is itself from a last-good set keeps one prefix, not two. */
                if (strlen(base) > 5 && base[4] == '-' && strspn(base, "0123456789") == 4)
                        base += 5;
                if (asprintf(&name, "%04zu-%s", i, base) < 0) {
                        name = NULL;
                        return -ENOMEM;
                }
                r = fd_write_file_atomic(fd, name, f->texts[i].text, f->texts[i].len, 0644, true);
                if (r < 0)
                        return r;
        }
        (void)fsync(fd);
        /* Exchanged in one step: at no moment is there no set. */
        if (renameat2(AT_FDCWD, fresh, AT_FDCWD, dir, RENAME_EXCHANGE) == 0)
                remove_dir(fresh);
        else if (errno != ENOENT || rename(fresh, dir) < 0)
                return -errno;
        return 0;
}
