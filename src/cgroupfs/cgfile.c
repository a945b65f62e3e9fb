/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A cgroup's files are small texts that the kernel makes up while we read: one
 * openat, one pread from the start, one close. No fd is kept (it would hold a
 * page of kernel memory each), and a file fits the stack buffer unless the
 * host has a great many disks.
 *
 * Telling "no such file" from "no such cgroup": a file below a removed
 * directory is ENOENT, one that was open before it went is ENODEV; both also
 * have harmless causes (controller not enabled; a device number that io.max
 * does not know). So neither is believed: cg_alive() looks at a file that
 * every cgroup has.
 *
 * Captured trees in tests have no such file. There the link count tells, which
 * kernfs never takes to zero.
 */

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cgfile.h"
#include "fdio.h"
#include "num.h"

#define TEXT_SIZE 4096
/* Of one directory, NAME_MAX of limits(5). */
#define NAME_BYTES_MAX 255
/* io.max and io.stat have a line per disk. */
#define TEXT_SIZE_MAX ((size_t)1 << 20)

int cg_alive(int dirfd) {
        struct statfs fs;
        struct stat st;

        if (faccessat(dirfd, "cgroup.controllers", F_OK, 0) == 0 || (errno != ENOENT && errno != ENODEV))
                return 1;
        if (fstatfs(dirfd, &fs) < 0 || fs.f_type == CGROUP2_SUPER_MAGIC)
                return 0;
        return fstat(dirfd, &st) == 0 && st.st_nlink > 0;
}

/* A file's text: in the stack buffer, or where that is too small in the heap. */
typedef struct Text {
        char stack[TEXT_SIZE];
        char *heap;
        const char *data;
        size_t len;
} Text;

static void text_deinit(Text *t) { free(t->heap); }
#define _cleanup_text_ _cleanup_(text_deinit)

static int text_read(Text *t, int dirfd, const char *name) {
        ssize_t n;

        n = fd_read_at(dirfd, name, t->stack, sizeof(t->stack));
        t->data = t->stack;
        for (size_t size = sizeof(t->stack) * 16; n == -EFBIG && size <= TEXT_SIZE_MAX; size *= 4) {
                free(t->heap);
                t->heap = malloc(size);
                if (!t->heap)
                        return -ENOMEM;
                n = fd_read_at(dirfd, name, t->heap, size);
                t->data = t->heap;
        }
        if (n < 0)
                return (int)n;
        t->len = (size_t)n;
        return 0;
}

/* What says something about us and not about the file. */
static bool is_our_trouble(int r) {
        return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EINTR || r == -EBADF;
}

/* Limits. */

/* 0, -EBADMSG where the kernel's text was not understood, other errno. */
static int read_limit_file(int dirfd, LimitFile file, LimitSet *set) {
        _cleanup_text_ Text text = { .heap = NULL };
        int r;

        r = text_read(&text, dirfd, limit_file_name(file));
        if (r < 0)
                return r;
        r = limits_parse_file(file, text.data, text.len, set);
        return r == -EINVAL ? -EBADMSG : r;
}

/* What was put before a later line was not understood. */
static void forget_file(LimitSet *set, LimitFile file) {
        for (size_t i = set->n; i-- > 0;)
                if (limit_info(set->entries[i].knob.limit)->file == file)
                        (void)limit_set_remove(set, set->entries[i].knob);
}

int cg_read_limits(int dirfd, LimitSet *set, uint32_t *ret_have) {
        uint32_t have = 0;
        bool missing = false;
        int r;

        limit_set_clear(set);
        for (int f = 0; f < _LIMIT_FILE_MAX; f++) {
                r = read_limit_file(dirfd, (LimitFile)f, set);
                if (r == 0)
                        have |= UINT32_C(1) << f;
                else if (is_our_trouble(r)) {
                        limit_set_clear(set);
                        return r;
                } else if (r == -ENOENT || r == -ENODEV)
                        missing = true;
                else /* The file is there and cannot tell us: not in have. */
                        forget_file(set, (LimitFile)f);
        }
        if (missing && !cg_alive(dirfd)) {
                limit_set_clear(set);
                return CG_GONE;
        }
        *ret_have = have;
        return 0;
}

static void limit_set_cleanup(LimitSet *set) { limit_set_deinit(set); }

int cg_read_limit_file(int dirfd, LimitFile file, LimitSet *set) {
        _cleanup_(limit_set_cleanup) LimitSet fresh = LIMIT_SET_INIT, merged = LIMIT_SET_INIT;
        int r;

        r = read_limit_file(dirfd, file, &fresh);
        if (r == -ENOENT || r == -ENODEV)
                return cg_alive(dirfd) ? r : CG_GONE;
        if (r < 0)
                return r;
        for (size_t i = 0; i < set->n; i++) {
                const LimitEntry *e = &set->entries[i];

                if (limit_info(e->knob.limit)->file == file)
                        continue;
                r = limit_set_put(&merged, e->knob, e->value, e->origin);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < fresh.n; i++) {
                const LimitEntry *e = &fresh.entries[i];

                r = limit_set_put(&merged, e->knob, e->value, e->origin);
                if (r < 0)
                        return r;
        }
        limit_set_deinit(set);
        *set = merged;
        merged = LIMIT_SET_INIT;
        return 0;
}

/* Usage. */

/* 0: *ret is set; 1: not there, or not to be read; negative: our trouble. */
static int read_u64(int dirfd, const char *name, uint64_t *ret) {
        char text[32];
        ssize_t n;

        n = fd_read_at(dirfd, name, text, sizeof(text));
        if (n < 0)
                return is_our_trouble((int)n) ? (int)n : 1;
        text[strcspn(text, "\n")] = '\0';
        return num_parse_u64(text, ret) < 0;
}

/* The number behind `key` and a blank, where a line begins with it. */
static bool find_key(const char *data, const char *end, const char *key, uint64_t *ret) {
        size_t n = strlen(key);

        for (const char *p = data; (size_t)(end - p) > n; p++) {
                const char *q = p + n + 1;

                if (memcmp(p, key, n) == 0 && p[n] == ' ' && num_scan_u64(&q, end, ret) == 0)
                        return true;
                p = memchr(p, '\n', (size_t)(end - p));
                if (!p)
                        break;
        }
        return false;
}

/* 0, CG_GONE, negative errno. */
static int text_of(Text *text, int dirfd, const char *file) {
        int r = text_read(text, dirfd, file);

        return (r == -ENOENT || r == -ENODEV) && !cg_alive(dirfd) ? CG_GONE : r;
}

int cg_read_events_local(int dirfd, uint64_t *ret_high, uint64_t *ret_max) {
        _cleanup_text_ Text text = { .heap = NULL };
        uint64_t high, max;
        int r = text_of(&text, dirfd, "memory.events.local");

        if (r != 0)
                return r;
        if (!find_key(text.data, text.data + text.len, "high", &high) ||
            !find_key(text.data, text.data + text.len, "max", &max))
                return -EINVAL;
        *ret_high = high;
        *ret_max = max;
        return 0;
}

int cg_read_oom_kills(int dirfd, uint64_t *ret) {
        _cleanup_text_ Text text = { .heap = NULL };
        int r = text_of(&text, dirfd, "memory.events");

        return r != 0 ? r : find_key(text.data, text.data + text.len, "oom_kill", ret) ? 0 : -EBADMSG;
}

int cg_read_cpu(int dirfd, uint64_t *ret_usec) {
        _cleanup_text_ Text text = { .heap = NULL };
        int r = text_of(&text, dirfd, "cpu.stat");

        return r != 0 ? r : find_key(text.data, text.data + text.len, "usage_usec", ret_usec) ? 0 : -EBADMSG;
}

int cg_read_occupancy(int dirfd, CgUsage *ret) {
        CgUsage u = {};
        int r;

        r = read_u64(dirfd, "memory.current", &u.memory_bytes);
        if (r < 0)
                return r;
        u.have_memory = r == 0;
        r = read_u64(dirfd, "memory.swap.current", &u.swap_bytes);
        if (r < 0)
                return r;
        u.have_swap = r == 0;
        r = read_u64(dirfd, "pids.current", &u.tasks);
        if (r < 0)
                return r;
        u.have_pids = r == 0;
        *ret = u;
        return 0;
}

/* Writing, processes. */

int cg_write(int dirfd, const char *file, const char *text) {
        int r;

        r = fd_write_at(dirfd, file, text);
        if ((r == -ENOENT || r == -ENODEV) && !cg_alive(dirfd))
                return CG_GONE;
        return r;
}

/* Hands on whole lines of buf, returns how many bytes of an unfinished one stay
 * at its beginning; *go is false once f had enough. */
static size_t take_pids(char *buf, size_t len, CgPid f, void *user, bool *go) {
        const char *p = buf, *end = buf + len, *eol;

        while (*go && (eol = memchr(p, '\n', (size_t)(end - p)))) {
                uint64_t pid;
                const char *q = p;

                /* 0: not to be seen from our pid namespace. */
                if (num_scan_u64(&q, eol, &pid) == 0 && pid > 0 && pid <= INT32_MAX)
                        *go = f(user, (pid_t)pid);
                p = eol + 1;
        }
        len = (size_t)(end - p);
        memmove(buf, p, len);
        return len;
}

int cg_each_pid(int dirfd, const char *file, CgPid f, void *user) {
        _cleanup_fd_ int fd = -1;
        char buf[TEXT_SIZE];
        size_t rest = 0;
        bool go = true;

        fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT && !cg_alive(dirfd) ? -ENODEV : -errno;
        while (go) {
                ssize_t len = read(fd, buf + rest, sizeof(buf) - rest);

                if (len < 0 && errno == EINTR)
                        continue;
                if (len < 0)
                        return -errno;
                if (len == 0)
                        break;
                rest = take_pids(buf, rest + (size_t)len, f, user, &go);
                if (rest == sizeof(buf)) /* no kernel writes such a line */
                        return -EBADMSG;
        }
        return 0;
}

typedef struct PidList {
        pid_t *pids;
        size_t n, size;
} PidList;

static bool list_pid(void *user, pid_t pid) {
        PidList *l = user;

        if (l->n < l->size)
                l->pids[l->n++] = pid;
        return l->n < l->size;
}

ssize_t cg_read_procs(int dirfd, pid_t *pids, size_t n) {
        PidList l = { .pids = pids, .size = n };
        int r;

        r = cg_each_pid(dirfd, "cgroup.procs", list_pid, &l);
        return r < 0 ? r : (ssize_t)l.n;
}

/* Trust. */

/*
 * systemd marks what it hands over with trusted.delegate, or user.delegate
 * where it may not write the former. Whoever owns a directory can remove its
 * user.* attribute, but then the owner is not root and is seen as such.
 */
static bool is_delegated(int fd, const char *name) {
        char value[8];
        ssize_t n;

        n = fgetxattr(fd, name, value, sizeof(value));
        if (n >= 0)
                return n == 1 && value[0] == '1';
        /* What cannot be asked must be feared, except where such an attribute cannot be. */
        return errno != ENODATA && errno != EOPNOTSUPP;
}

static int open_errno(void) { return errno == ENOENT || errno == ENODEV ? CG_GONE : -errno; }

int cg_read_trust(int rootfd, const char *path, CgTrust *ret) {
        CgTrust trust = { .root_owned = true };
        _cleanup_fd_ int fd = -1;
        struct stat st;
        dev_t dev;

        if (path[0] != '/')
                return -EINVAL;
        /* fgetxattr() takes no O_PATH fd, so ancestors are opened for reading. */
        fd = openat(rootfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return open_errno();
        dev = st.st_dev;
        for (const char *p = path + 1; *p;) {
                const char *end = strchrnul(p, '/');
                char name[NAME_BYTES_MAX + 1];
                int next;

                if (end == p || (size_t)(end - p) >= sizeof(name) || (*end && !end[1]))
                        return -EINVAL;
                memcpy(name, p, (size_t)(end - p));
                name[end - p] = '\0';
                if (STR_EQ(name, ".") || STR_EQ(name, ".."))
                        return -EINVAL;
                next = openat(fd, name, (*end ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (next < 0)
                        return open_errno();
                (void)fd_close(fd);
                fd = next;
                if (fstat(fd, &st) < 0)
                        return -errno;
                if (st.st_dev != dev)
                        return -EXDEV;
                if (!*end)
                        break;
                if (st.st_uid != 0)
                        trust.root_owned = false;
                if (is_delegated(fd, "trusted.delegate") || is_delegated(fd, "user.delegate"))
                        trust.delegated = true;
                if (trust.delegated_at == 0 && (!trust.root_owned || trust.delegated))
                        trust.delegated_at = (size_t)(end - path);
                p = end + 1;
        }
        trust.id = st.st_ino;
        trust.owner = st.st_uid;
        *ret = trust;
        return 0;
}
