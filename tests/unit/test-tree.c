/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plain temporary directories: inotify, O_PATH and inode numbers behave there
 * as on cgroupfs. Names say what classify() answers: "u-…" is a unit, "s-…" is
 * skipped, the rest is interior.
 *
 * With BAILIFF_TEST_CGROUP=/path/of/a/writable/cgroup2/directory the last test
 * runs on the kernel's own tree.
 */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "fdio.h"
#include "tree.h"

typedef struct Fixture {
        char root[64];
        Tree *tree;
        Buf log; /* "+/a/u-b ", "-/a/u-b ", "!/a/u-b " (missed), "~/a:memory.max " */
        bool keep_log, watch_units, reclassed;
        size_t n_overflowed, n_nodes;
        int busy_result;
} Fixture;

static TreeClass on_classify(void *user, const char *path, int fd, const TreeNode *parent) {
        Fixture *f = user;
        const char *name = strrchr(path, '/') + 1;
        struct stat st;

        assert_non_null(parent);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(S_ISDIR(st.st_mode));
        assert_string_not_equal(path, "/");
        if (f->reclassed && strncmp(name, "swap", 4) == 0)
                return TREE_UNIT;
        if (f->reclassed && strncmp(name, "s-", 2) == 0)
                return TREE_INTERIOR;
        return strncmp(name, "u-", 2) == 0   ? TREE_UNIT
               : strncmp(name, "s-", 2) == 0 ? TREE_SKIP
                                             : TREE_INTERIOR;
}

static void on_appeared(void *user, TreeNode *n) {
        Fixture *f = user;
        bool more;

        f->n_nodes++;
        assert_null(n->user);
        if (n->parent) {
                assert_ptr_equal(tree_find_id(f->tree, n->parent->id), n->parent);
                assert_ptr_equal(n->parent->user, f);
                assert_int_equal(n->parent->class, TREE_INTERIOR);
        } else
                assert_string_equal(n->path, "/");
        assert_ptr_equal(tree_find_path(f->tree, n->path), n);
        n->user = f;
        if (f->keep_log)
                buf_printf(&f->log, "+%s ", n->path);
        if (f->watch_units && n->class == TREE_UNIT)
                assert_int_equal(tree_watch_files(f->tree, n), 0);
        f->busy_result = tree_rescan(f->tree);
        assert_int_equal(tree_dispatch(f->tree, &more), -EBUSY);
}

static void on_gone(void *user, TreeNode *n) {
        Fixture *f = user;

        f->n_nodes--;
        assert_ptr_equal(n->user, f);
        assert_null(tree_find_id(f->tree, n->id));
        assert_null(tree_find_path(f->tree, n->path));
        assert_true(fcntl(n->fd, F_GETFD) >= 0);
        if (f->keep_log)
                buf_printf(&f->log, "-%s ", n->path);
}

static void on_missed(void *user, const char *path, const TreeNode *parent) {
        Fixture *f = user;

        assert_ptr_equal(parent->user, f);
        assert_null(tree_find_path(f->tree, path));
        if (f->keep_log)
                buf_printf(&f->log, "!%s ", path);
}

static void on_touched(void *user, TreeNode *n, const char *file) {
        Fixture *f = user;

        if (f->keep_log)
                buf_printf(&f->log, "~%s:%s ", n->path, file);
}

static void on_overflowed(void *user) { ((Fixture *)user)->n_overflowed++; }

static const TreeOps ops = { on_classify, on_appeared, on_gone, on_missed, on_touched, on_overflowed };

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static void open_tree(Fixture *f) {
        f->keep_log = true;
        assert_int_equal(tree_new(f->root, &ops, f, &f->tree), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        *state = f;
        (void)snprintf(f->root, sizeof(f->root), "/dev/shm/bailiff-tree-XXXXXX"); /* much faster */
        if (getenv("BAILIFF_TEST_DISK") || !mkdtemp(f->root)) {
                (void)snprintf(f->root, sizeof(f->root), "/tmp/bailiff-tree-XXXXXX");
                assert_non_null(mkdtemp(f->root));
        }
        open_tree(f);
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        f->tree = tree_free(f->tree);
        (void)nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        buf_deinit(&f->log);
        free(f);
        return 0;
}

static char *full(const Fixture *f, const char *path) {
        static char buf[8192];

        (void)snprintf(buf, sizeof(buf), "%s%s", f->root, path);
        return buf;
}

static void make(const Fixture *f, const char *path) { assert_int_equal(mkdir(full(f, path), 0755), 0); }
static void unmake(const Fixture *f, const char *path) { assert_int_equal(rmdir(full(f, path)), 0); }

static void put(const Fixture *f, const char *path, const char *text) {
        int fd = open(full(f, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        fd_close(fd);
}

static void drain(Fixture *f) {
        bool more = true;

        while (more)
                assert_int_equal(tree_dispatch(f->tree, &more), 0);
}

#define assert_log(f, text)                                    \
        do {                                                   \
                assert_string_equal(buf_str(&(f)->log), text); \
                buf_clear(&(f)->log);                          \
        } while (0)

static bool logged(const Fixture *f, const char *s) { return strstr(buf_str(&f->log), s); }

static TreeStats stats_of(const Fixture *f) {
        TreeStats s;

        tree_get_stats(f->tree, &s);
        return s;
}

static size_t count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

/* The kernel's own count of our watches. */
static size_t count_watches(Tree *t) {
        char path[64], line[512];
        size_t n = 0;
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", tree_get_fd(t));
        file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                n += strncmp(line, "inotify wd:", 11) == 0;
        (void)fclose(file);
        return n;
}

/* The tree holds exactly what is on disk. */
static size_t compare_dir(Fixture *f, const char *path) {
        DIR *d = opendir(full(f, path));
        struct dirent *e;
        size_t n = 1;

        assert_non_null(d);
        while ((e = readdir(d))) {
                char child[4096];
                struct stat st;
                TreeNode *node;

                if (e->d_type != DT_DIR || e->d_name[0] == '.' || strncmp(e->d_name, "s-", 2) == 0)
                        continue;
                (void)snprintf(child, sizeof(child), "%s/%s", STR_EQ(path, "/") ? "" : path, e->d_name);
                assert_int_equal(stat(full(f, child), &st), 0);
                node = tree_find_path(f->tree, child);
                if (!node)
                        fail_msg("%s is not known", child);
                assert_int_equal(node->id, st.st_ino);
                assert_int_equal(fstat(node->fd, &st), 0);
                assert_int_equal(node->id, st.st_ino);
                assert_string_equal(node->parent->path, path);
                assert_int_equal(tree_node_alive(node), 1);
                n += node->class == TREE_INTERIOR ? compare_dir(f, child) : 1;
        }
        (void)closedir(d);
        return n;
}

static void compare(Fixture *f) {
        size_t n = compare_dir(f, "/"), seen = 0;
        TreeStats s = stats_of(f);

        assert_int_equal(s.n_nodes, n);
        assert_int_equal(f->n_nodes, n);
        assert_int_equal(s.n_watches, count_watches(f->tree));
        assert_int_equal(s.appeared - s.gone, n);
        for (size_t i = 0; tree_next(f->tree, &i);)
                seen++;
        assert_int_equal(seen, n);
}

static void test_first_scan(void **state) {
        Fixture *f = *state;

        make(f, "/a");
        make(f, "/a/u-1");
        make(f, "/a/u-1/inside");
        make(f, "/s-skip");
        make(f, "/s-skip/below");
        put(f, "/a/file", "x");
        assert_int_equal(symlink("a", full(f, "/link")), 0);
        assert_null(tree_find_path(f->tree, "/"));
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_log(f, "+/ +/a +/a/u-1 ");
        assert_int_equal(f->busy_result, -EBUSY);
        compare(f);
        assert_int_equal(stats_of(f).n_watches, 2); /* the unit needs none */
        assert_int_equal(tree_find_path(f->tree, "/a/u-1")->class, TREE_UNIT);
        assert_null(tree_find_path(f->tree, "/a/u-1/inside"));
        assert_null(tree_find_id(f->tree, 0));
        assert_int_equal(tree_rescan(f->tree), 0);
        drain(f);
        assert_log(f, "");
}

static void test_bad_roots(void **state) {
        Fixture *f = *state;
        Tree *t = NULL;

        assert_int_equal(tree_new(full(f, "/none"), &ops, f, &t), -ENOENT);
        put(f, "/file", "");
        assert_int_equal(tree_new(full(f, "/file"), &ops, f, &t), -ENOTDIR);
        assert_null(t);
        assert_null(tree_free(NULL));
}

static void test_events(void **state) {
        Fixture *f = *state;

        assert_int_equal(tree_rescan(f->tree), 0);
        buf_clear(&f->log);
        /* Children made before anybody could watch their parents. */
        make(f, "/a");
        make(f, "/a/b");
        make(f, "/a/b/u-c");
        drain(f);
        assert_log(f, "+/a +/a/b +/a/b/u-c ");
        make(f, "/a/b/u-d");
        put(f, "/a/b/file", "");
        make(f, "/s-x");
        drain(f);
        assert_log(f, "+/a/b/u-d ");
        unmake(f, "/a/b/u-d");
        drain(f);
        assert_log(f, "-/a/b/u-d ");
        /* Gone before it was looked at. */
        make(f, "/a/u-short");
        unmake(f, "/a/u-short");
        drain(f);
        assert_log(f, "!/a/u-short ");
        assert_int_equal(stats_of(f).missed, 1);
        /* Twice under one name, or with a second life: what is there now is what counts. */
        make(f, "/a/u-twice");
        unmake(f, "/a/u-twice");
        make(f, "/a/u-twice");
        drain(f);
        assert_log(f, "+/a/u-twice ");
        unmake(f, "/a/u-twice");
        drain(f);
        assert_log(f, "-/a/u-twice ");
        assert_int_equal(stats_of(f).missed, 1);
        /* Found by reading the directory, before its event: it was there, and is told as such. */
        make(f, "/n");
        make(f, "/n/u-read");
        assert_int_equal(tree_rescan(f->tree), 0);
        unmake(f, "/n/u-read");
        unmake(f, "/n");
        drain(f);
        assert_log(f, "+/n +/n/u-read -/n/u-read -/n ");
        assert_int_equal(stats_of(f).missed, 1);
        /* Moves; cgroup2 knows none, a captured tree may. */
        assert_int_equal(renameat2(tree_root_fd(f->tree), "a/b", tree_root_fd(f->tree), "z", 0), 0);
        drain(f);
        assert_log(f, "-/a/b/u-c -/a/b +/z +/z/u-c ");
        assert_int_equal(unlink(full(f, "/z/file")), 0);
        unmake(f, "/z/u-c");
        unmake(f, "/z");
        unmake(f, "/a");
        drain(f);
        assert_log(f, "-/z/u-c -/z -/a ");
        compare(f);
}

static void test_recreated(void **state) {
        Fixture *f = *state;
        uint64_t id;

        make(f, "/a");
        make(f, "/a/u-1");
        assert_int_equal(tree_rescan(f->tree), 0);
        id = tree_find_path(f->tree, "/a/u-1")->id;
        buf_clear(&f->log);
        unmake(f, "/a/u-1");
        make(f, "/a/u-1");
        drain(f);
        assert_log(f, "-/a/u-1 +/a/u-1 ");
        assert_int_not_equal(tree_find_path(f->tree, "/a/u-1")->id, id);
        /* A whole subtree, found by the rescan and not by events. */
        unmake(f, "/a/u-1");
        unmake(f, "/a");
        make(f, "/a");
        make(f, "/a/u-1");
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_log(f, "-/a/u-1 -/a +/a +/a/u-1 ");
        drain(f);
        assert_log(f, "");
        compare(f);
        /* Moved behind our back into a directory that is read first or last. */
        make(f, "/b");
        drain(f);
        buf_clear(&f->log);
        assert_int_equal(renameat2(tree_root_fd(f->tree), "a/u-1", tree_root_fd(f->tree), "b/u-1", 0), 0);
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_true(logged(f, "-/a/u-1 ") && logged(f, "+/b/u-1 "));
        drain(f);
        compare(f);
}

static void test_touched(void **state) {
        Fixture *f = *state;
        TreeNode *unit, *dir;

        make(f, "/a");
        make(f, "/a/u-1");
        put(f, "/a/u-1/memory.max", "max");
        put(f, "/a/cpu.max", "max");
        assert_int_equal(tree_rescan(f->tree), 0);
        buf_clear(&f->log);
        put(f, "/a/u-1/memory.max", "1");
        put(f, "/a/cpu.max", "1");
        drain(f);
        assert_log(f, "");
        unit = tree_find_path(f->tree, "/a/u-1");
        dir = tree_find_path(f->tree, "/a");
        for (int i = 0; i < 2; i++) {
                assert_int_equal(tree_watch_files(f->tree, unit), 0);
                assert_int_equal(tree_watch_files(f->tree, dir), 0);
        }
        assert_int_equal(count_watches(f->tree), 3);
        put(f, "/a/u-1/memory.max", "2");
        put(f, "/a/cpu.max", "2");
        make(f, "/a/u-1/inside");
        make(f, "/a/u-2");
        drain(f);
        assert_log(f, "~/a/u-1:memory.max ~/a:cpu.max +/a/u-2 ");
        /* Late events of a node that is gone hit nobody, not even its successor. */
        put(f, "/a/u-1/memory.max", "3");
        assert_int_equal(nftw(full(f, "/a/u-1"), remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        make(f, "/a/u-1");
        assert_int_equal(tree_rescan(f->tree), 0);
        buf_clear(&f->log);
        drain(f);
        assert_log(f, "");
        compare(f);
}

static void test_reclassify(void **state) {
        Fixture *f = *state;

        make(f, "/a");
        make(f, "/a/swap");
        make(f, "/a/swap/u-1");
        make(f, "/s-x");
        make(f, "/s-x/u-2");
        assert_int_equal(tree_rescan(f->tree), 0);
        buf_clear(&f->log);
        assert_int_equal(tree_reclassify(f->tree), 0);
        assert_log(f, "");
        f->reclassed = true;
        assert_int_equal(tree_reclassify(f->tree), 0);
        assert_true(strncmp(buf_str(&f->log), "-/a/swap/u-1 -/a/swap ", 22) == 0);
        assert_true(logged(f, "+/a/swap ") && logged(f, "+/s-x ") && logged(f, "+/s-x/u-2 "));
        assert_false(logged(f, "+/a/swap/u-1"));
        buf_clear(&f->log);
        f->reclassed = false;
        assert_int_equal(tree_reclassify(f->tree), 0);
        assert_true(logged(f, "-/s-x/u-2 -/s-x ") && logged(f, "+/a/swap/u-1 "));
        compare(f);
}

static void test_root_gone(void **state) {
        Fixture *f = *state;

        make(f, "/a");
        assert_int_equal(tree_rescan(f->tree), 0);
        buf_clear(&f->log);
        unmake(f, "/a");
        assert_int_equal(rmdir(f->root), 0);
        assert_int_equal(tree_rescan(f->tree), -ENOENT);
        assert_log(f, "-/a -/ ");
        drain(f);
        assert_int_equal(stats_of(f).n_nodes, 0);
        assert_int_equal(tree_rescan(f->tree), -ENOENT);
}

/* More than max_queued_events between two looks. */
static void test_overflow(void **state) {
        Fixture *f = *state;
        unsigned limit = 16384;
        int fds[2];
        FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
        char line[32];

        if (file && fgets(line, sizeof(line), file))
                limit = (unsigned)strtoul(line, NULL, 10);
        if (file)
                (void)fclose(file);
        if (limit > 100000)
                skip();
        make(f, "/a");
        make(f, "/a/u-old");
        make(f, "/a/u-again");
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_int_equal(tree_watch_files(f->tree, tree_find_path(f->tree, "/a")), 0);
        put(f, "/a/x", "");
        put(f, "/a/y", "");
        fds[0] = open(full(f, "/a/x"), O_WRONLY | O_CLOEXEC);
        fds[1] = open(full(f, "/a/y"), O_WRONLY | O_CLOEXEC);
        /* In turn: equal neighbours in the queue are merged. */
        for (unsigned i = 0; i < limit + 10; i++)
                assert_int_equal(pwrite(fds[i % 2], "z", 1, 0), 1);
        fd_close(fds[0]);
        fd_close(fds[1]);
        make(f, "/a/new");
        make(f, "/a/new/u-new");
        unmake(f, "/a/u-old");
        unmake(f, "/a/u-again");
        make(f, "/a/u-again");
        f->keep_log = false;
        drain(f);
        assert_int_equal(stats_of(f).overflows, 1);
        assert_int_equal(f->n_overflowed, 1);
        assert_int_equal(stats_of(f).rescans, 2);
        compare(f);
}

static void test_fd_limit(void **state) {
        Fixture *f = *state;
        struct rlimit old, low;
        TreeStats s;

        for (int i = 0; i < 60; i++) {
                char name[16];

                (void)snprintf(name, sizeof(name), "/u-%d", i);
                make(f, name);
        }
        make(f, "/a");
        make(f, "/a/b");
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        low = old;
        low.rlim_cur = 48;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(tree_rescan(f->tree), 0);
        s = stats_of(f);
        assert_true(s.fd_failures > 0);
        assert_true(s.n_nodes > 10 && s.n_nodes <= 36); /* a quarter stays free */
        make(f, "/u-late"); /* may take the fd that the directory was read with */
        make(f, "/u-later");
        drain(f);
        assert_true(stats_of(f).fd_failures > s.fd_failures);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_int_equal(stats_of(f).n_nodes, 65);
        compare(f);

        /* None at all, not even to read a directory with. */
        low.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        assert_int_equal(stats_of(f).n_nodes, 65);
}

/* A foreign owner's directories: its budget is spent, nobody else's. */
static void test_foreign_budget(void **state) {
        Fixture *f = *state;
        TreeStats s;

        if (geteuid() != 0)
                skip();
        f->keep_log = false;
        make(f, "/user");
        make(f, "/user/theirs");
        assert_int_equal(tree_rescan(f->tree), 0);
        /* Handed over after we have seen it, as systemd does. */
        assert_int_equal(chown(full(f, "/user/theirs"), 12345, 12345), 0);
        for (int i = 0; i < TREE_FOREIGN_NODES_MAX + 20; i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "/user/theirs/u-%d", i);
                make(f, name);
                /* Sub-uids do not help. */
                assert_int_equal(chown(full(f, name), (uid_t)(100000 + i % 1000), 1), 0);
        }
        make(f, "/user/u-ours");
        drain(f);
        s = stats_of(f);
        assert_int_equal(s.refused, 21);
        assert_int_equal(s.n_nodes, TREE_FOREIGN_NODES_MAX + 3);
        assert_non_null(tree_find_path(f->tree, "/user/u-ours"));
        for (int i = 0; i < 30; i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "/user/theirs/u-%d", i);
                unmake(f, name);
        }
        drain(f);
        assert_int_equal(tree_rescan(f->tree), 0);
        compare(f);
        assert_int_equal(nftw(full(f, "/user/theirs"), remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
        drain(f);
        compare(f);
}

/* nftw(3) of glibc aborts on such a depth. */
static void remove_chain(int dirfd) {
        int fd = openat(dirfd, "ddd", O_PATH | O_CLOEXEC);

        if (fd < 0)
                return;
        remove_chain(fd);
        fd_close(fd);
        assert_int_equal(unlinkat(dirfd, "ddd", AT_REMOVEDIR), 0);
}

/* Down to where paths end; no stack is used up by it, up or down. */
static void test_deep(void **state) {
        Fixture *f = *state;
        int fd = open(f->root, O_PATH | O_CLOEXEC);
        size_t before;
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < 4096)
                skip();
        f->keep_log = false;
        before = count_fds();
        for (int i = 0; i < 1100; i++) {
                int next;

                assert_int_equal(mkdirat(fd, "ddd", 0755), 0);
                next = openat(fd, "ddd", O_PATH | O_CLOEXEC);
                fd_close(fd);
                fd = next;
        }
        fd_close(fd);
        assert_int_equal(tree_rescan(f->tree), 0);
        assert_int_equal(stats_of(f).n_nodes, 1 + TREE_PATH_BYTES_MAX / 4);
        assert_int_equal(stats_of(f).refused, 1);
        remove_chain(tree_root_fd(f->tree));
        drain(f);
        compare(f);
        assert_true(count_fds() <= before);
}

static void make_units(const Fixture *f, const char *dir, int from, int to) {
        for (int i = from; i < to; i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "%s/u-%d", dir, i);
                make(f, name);
        }
}

/* 10,000 units: half found by the scan, half by events. */
static void test_wide(void **state) {
        Fixture *f = *state;
        struct rlimit limit;
        struct timespec a, b;
        size_t fds;
        int n = 10000;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < 12000)
                n = (int)limit.rlim_cur / 2;
        f->keep_log = false;
        f->watch_units = true;
        make(f, "/a");
        make_units(f, "/a", 0, n / 2);
        fds = count_fds();
        assert_int_equal(tree_rescan(f->tree), 0);
        make_units(f, "/a", n / 2, n);
        drain(f);
        assert_int_equal(stats_of(f).n_nodes, n + 2);
        assert_int_equal(stats_of(f).watch_failures, 0);
        assert_int_equal(count_watches(f->tree), n + 2);
        (void)clock_gettime(CLOCK_MONOTONIC, &a);
        assert_int_equal(tree_rescan(f->tree), 0);
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        print_message("rescan of %d unchanged units: %ld us\n", n,
                      (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
        for (int i = 0; i < n; i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "/a/u-%d", i);
                unmake(f, name);
        }
        drain(f);
        assert_int_equal(stats_of(f).n_nodes, 2);
        compare(f);
        assert_int_equal(count_fds(), fds + 2); /* "/" and "/a" */
}

static uint32_t next_random(uint64_t *seed) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(*seed >> 33);
}

/* mkdir, rmdir, rename at random, looked at at random: in the end the tree is
 * what is on disk, and nothing leaks. */
static void test_random(void **state) {
        static const char *const names[] = { "a", "b", "c", "u-x", "u-y", "s-z" };
        Fixture *f = *state;
        const char *given = getenv("SEED");
        uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
        size_t fds = count_fds();

        print_message("SEED=%llu\n", (unsigned long long)seed);
        f->keep_log = false;
        f->watch_units = true;
        assert_int_equal(tree_rescan(f->tree), 0);
        for (int i = 0; i < 4000; i++) {
                char path[2][128];
                uint32_t what = next_random(&seed) % 100;

                for (size_t k = 0; k < 2; k++) {
                        char *p = path[k] + snprintf(path[k], sizeof(path[k]), "%s", f->root);

                        for (uint32_t depth = 1 + next_random(&seed) % 4; depth > 0; depth--)
                                p += snprintf(p, sizeof(path[k]) - (size_t)(p - path[k]), "/%s",
                                              names[next_random(&seed) % ARRAY_SIZE(names)]);
                }
                if (what < 55)
                        (void)mkdir(path[0], 0755);
                else if (what < 75)
                        (void)rmdir(path[0]);
                else if (what < 80)
                        (void)rename(path[0], path[1]);
                else if (what < 82)
                        (void)nftw(path[0], remove_one, 16, FTW_DEPTH | FTW_PHYS);
                else if (what < 84)
                        assert_int_equal(tree_rescan(f->tree), 0);
                else if (what < 90) {
                        bool more;

                        assert_int_equal(tree_dispatch(f->tree, &more), 0);
                } else if (what < 92) {
                        drain(f);
                        compare(f);
                }
        }
        drain(f);
        compare(f);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                char path[64];

                (void)snprintf(path, sizeof(path), "/%s", names[i]);
                (void)nftw(full(f, path), remove_one, 16, FTW_DEPTH | FTW_PHYS);
        }
        drain(f);
        assert_int_equal(stats_of(f).n_nodes, 1);
        assert_int_equal(count_watches(f->tree), 1);
        assert_int_equal(count_fds(), fds + 1);
        assert_int_equal(stats_of(f).fd_failures + stats_of(f).watch_failures, 0);
}

static void test_cgroupfs(void **state) {
        const char *base = getenv("BAILIFF_TEST_CGROUP");
        Fixture *f = *state;
        TreeNode *unit;
        char pid[16];
        pid_t child;
        int fd;

        if (!base)
                skip();
        f->tree = tree_free(f->tree);
        assert_int_equal(rmdir(f->root), 0);
        assert_true((size_t)snprintf(f->root, sizeof(f->root), "%s/bailiff-test-%d", base, getpid()) <
                    sizeof(f->root));
        make(f, "");
        open_tree(f);
        assert_int_equal(tree_rescan(f->tree), 0);
        f->watch_units = true;
        make(f, "/t.slice");
        make(f, "/t.slice/u-1.scope");
        drain(f);
        assert_log(f, "+/ +/t.slice +/t.slice/u-1.scope ");
        compare(f);
        unit = tree_find_path(f->tree, "/t.slice/u-1.scope");
        assert_int_equal(fd_write_at(unit->fd, "cgroup.max.depth", "7"), 0);
        drain(f);
        assert_log(f, "~/t.slice/u-1.scope:cgroup.max.depth ");
        child = fork();
        if (child == 0) {
                for (;;)
                        (void)pause();
        }
        (void)snprintf(pid, sizeof(pid), "%d", child);
        fd = dup(unit->fd);
        assert_int_equal(fd_write_at(unit->fd, "cgroup.procs", pid), 0);
        (void)usleep(50000);
        drain(f);
        assert_true(logged(f, "~/t.slice/u-1.scope:cgroup.procs "));
        assert_true(logged(f, "~/t.slice/u-1.scope:cgroup.events "));
        buf_clear(&f->log);
        (void)kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        (void)usleep(50000);
        drain(f);
        assert_log(f, "~/t.slice/u-1.scope:cgroup.events ");
        assert_int_equal(tree_node_alive(unit), 1);
        unmake(f, "/t.slice/u-1.scope");
        assert_int_equal(tree_node_alive(unit), 0);
        make(f, "/t.slice/u-1.scope");
        drain(f);
        assert_log(f, "-/t.slice/u-1.scope +/t.slice/u-1.scope ");
        unit = &(TreeNode){ .fd = fd };
        assert_int_equal(tree_node_alive(unit), 0);
        fd_close(fd);
        f->keep_log = false;
        make_units(f, "/t.slice", 100, 600);
        drain(f);
        compare(f);
        for (int i = 100; i < 600; i++) {
                char name[64];

                (void)snprintf(name, sizeof(name), "/t.slice/u-%d", i);
                unmake(f, name);
        }
        unmake(f, "/t.slice/u-1.scope");
        unmake(f, "/t.slice");
        drain(f);
        compare(f);
        assert_int_equal(rmdir(f->root), 0);
        assert_int_equal(tree_rescan(f->tree), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_first_scan, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_roots, setup, teardown),
                cmocka_unit_test_setup_teardown(test_events, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recreated, setup, teardown),
                cmocka_unit_test_setup_teardown(test_touched, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reclassify, setup, teardown),
                cmocka_unit_test_setup_teardown(test_root_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
                cmocka_unit_test_setup_teardown(test_fd_limit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_foreign_budget, setup, teardown),
                cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
                cmocka_unit_test_setup_teardown(test_wide, setup, teardown),
                cmocka_unit_test_setup_teardown(test_random, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cgroupfs, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
