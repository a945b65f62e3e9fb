/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tree is kept by one idea: a notification is never believed, only looked
 * into. An event that names a child of a watched directory makes us compare
 * what we hold under that path with what is there now (settle_child()): same
 * inode: nothing to do; another: the old one is gone and a new one appeared;
 * none: gone. So doubled, late and reordered events are harmless, and a rescan
 * after an overflow is the same comparison for every directory.
 *
 * Identity is the inode number of a directory that we hold open (O_PATH). As
 * long as it is open the number cannot be given to another directory, neither
 * by kernfs (which numbers for ever) nor by a disk file system in tests.
 *
 * No child is missed between mkdir and watch: the watch is added first, then
 * the directory is read. What appears in between is seen twice and settles.
 * Watches are added through /proc/self/fd/N, so they are on the directory we
 * hold and not on what has its name by now. Only where /proc is missing is the
 * path used, under the guard of the id.
 *
 * Removal is reported by the parent's IN_DELETE. Our own O_PATH fd keeps the
 * dentry referenced, so the kernel would send IN_DELETE_SELF only after we let
 * go: units therefore need no watch at all unless their files are asked for.
 *
 * Work is a queue of directories to read, not a recursion: depth costs no
 * stack, and tree_dispatch() can stop in the middle of a large subtree, after a
 * whole directory. tree_rescan() drains the queue.
 *
 * A rescan compares getdents' inode numbers with the ids we hold and makes no
 * system call for a child that is unchanged.
 *
 * Users with a delegation can make directories in bulk. Nodes are charged to
 * the owner of the outermost foreign directory on their path (a user could
 * chown(2) to thousands of sub-uids, but not that one), each has
 * TREE_FOREIGN_NODES_MAX.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cgfile.h"
#include "fdio.h"
#include "map.h"
#include "tree.h"

#define MASK_CHILDREN (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define MASK_FILES IN_MODIFY

/* Per tree_dispatch(): after so many directories opened or read (~5 µs each) no
 * further one is begun. */
#define DISPATCH_BUDGET 512
/* fds kept free for the caller (a quarter of the limit where that is less). */
#define FD_RESERVE 64

typedef struct Account {
        uid_t uid;
        size_t n_nodes;
} Account;

typedef struct Node Node;
LIST_HEAD(NodeList, Node);
TAILQ_HEAD(NodeQueue, Node);

struct Node {
        TreeNode pub; /* first: a TreeNode * is a Node * */
        LIST_ENTRY(Node) siblings;
        struct NodeList children;
        TAILQ_ENTRY(Node) queue;
        Account *account; /* NULL: root's, our own */
        uint32_t mask; /* of the watch the kernel holds; 0: none */
        int wd;
        uint32_t generation; /* of the last rescan that queued it */
        uint32_t seen; /* serial of the last read of the parent that showed it */
        bool queued, files;
        char path[];
};

struct Tree {
        TreeOps ops;
        void *user;
        char *root_path;
        int root_fd, inotify_fd;
        dev_t dev;
        Node *root;
        struct NodeQueue queue; /* directories to read */
        Map by_id, by_path, by_wd, accounts;
        Buf scratch; /* of settle_child() only */
        uint32_t generation, serial;
        uint64_t fd_max; /* fds from here on are the caller's */
        bool overflowed; /* overflowed() is due when the queue is empty */
        bool busy;
        TreeStats stats;
        _Alignas(struct inotify_event) char events[16384];
        _Alignas(struct dirent64) char dirents[32768];
};

static const Node *node_of_const(const TreeNode *pub) { return (const Node *)pub; }
static Node *node_of(TreeNode *pub) { return (Node *)pub; }
static Node *parent_of(const Node *n) { return node_of(n->pub.parent); }

static const char *base_name(const Node *n) { return strrchr(n->path, '/') + 1; }

/* What says that a name is (no longer) no directory of ours. */
static bool errno_is_gone(int e) {
        return e == ENOENT || e == ENOTDIR || e == ELOOP || e == ENODEV || e == ESTALE;
}

static bool errno_is_exhaustion(int e) { return e == EMFILE || e == ENFILE || e == ENOMEM; }

static void enqueue(Tree *t, Node *n) {
        n->generation = t->generation;
        if (n->queued)
                return;
        n->queued = true;
        TAILQ_INSERT_TAIL(&t->queue, n, queue);
}

static void unqueue(Tree *t, Node *n) {
        if (!n->queued)
                return;
        n->queued = false;
        TAILQ_REMOVE(&t->queue, n, queue);
}

/* Watches. */

static uint32_t wanted_mask(const Node *n) {
        return (n->pub.class == TREE_INTERIOR ? (uint32_t)MASK_CHILDREN : 0) |
               (n->files ? (uint32_t)MASK_FILES : 0);
}

/* The path leads to this very directory, at this moment. */
static bool path_is_node(const char *path, const Tree *t, const Node *n) {
        struct stat st;

        return stat(path, &st) == 0 && st.st_ino == n->pub.id && st.st_dev == t->dev;
}

/* Without /proc: by path. A directory re-created between check and watch
 * would get it, so look again afterwards and take that one back. CREATE and ADD
 * see to it that another node's watch is not narrowed by mistake. */
static int add_watch_by_path(Tree *t, const Node *n, uint32_t mask) {
        _cleanup_free_ char *path = NULL;
        int wd;

        mask |= n->mask ? IN_MASK_ADD : IN_MASK_CREATE;
        if (asprintf(&path, "%s%s", t->root_path, n->path) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (!path_is_node(path, t, n))
                return -ENOENT;
        wd = inotify_add_watch(t->inotify_fd, path, mask);
        if (wd < 0)
                return -errno;
        if (n->mask ? wd == n->wd : path_is_node(path, t, n))
                return wd;
        if (!map_get_u64(&t->by_wd, (uint64_t)wd))
                (void)inotify_rm_watch(t->inotify_fd, wd);
        return -ENOENT;
}

/* Makes the kernel's watch what we want. 0, negative errno (counted where a
 * limit was hit; a directory that went away has its event on the way). */
static int update_watch(Tree *t, Node *n) {
        char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
        uint32_t mask = wanted_mask(n);
        int wd, r;

        if (mask == n->mask)
                return 0;
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", n->pub.fd);
        wd = inotify_add_watch(t->inotify_fd, link, mask | IN_ONLYDIR);
        if (wd < 0 && errno == ENOENT)
                wd = add_watch_by_path(t, n, mask | IN_ONLYDIR);
        else if (wd < 0)
                wd = -errno;
        if (wd < 0) {
                if (!errno_is_gone(-wd))
                        t->stats.watch_failures++;
                return wd;
        }
        if (n->mask && wd != n->wd)
                (void)map_remove_u64(&t->by_wd, (uint64_t)n->wd);
        if (!n->mask || wd != n->wd) {
                n->mask = 0;
                r = map_put_u64(&t->by_wd, (uint64_t)wd, n);
                if (r < 0) {
                        (void)inotify_rm_watch(t->inotify_fd, wd);
                        t->stats.watch_failures++;
                        return r;
                }
        }
        n->wd = wd;
        n->mask = mask;
        return 0;
}

/* Events of this wd that are still in the queue find nobody: the kernel does
 * not give the number out again before it has counted through all others. */
static void remove_watch(Tree *t, Node *n) {
        if (!n->mask)
                return;
        (void)map_remove_u64(&t->by_wd, (uint64_t)n->wd);
        (void)inotify_rm_watch(t->inotify_fd, n->wd);
        n->mask = 0;
}

/* Whose budget a new directory is charged to. */

static bool is_foreign(uid_t uid) { return uid != 0 && uid != geteuid(); }

static bool account_is_full(const Account *a) { return a && a->n_nodes >= TREE_FOREIGN_NODES_MAX; }

/* NULL: -ENOMEM. Not charged yet; account_release() where it will not be. */
static Account *account_get(Tree *t, uid_t uid) {
        Account *a = map_get_u64(&t->accounts, uid);

        if (a)
                return a;
        a = calloc(1, sizeof(*a));
        if (!a)
                return NULL;
        a->uid = uid;
        if (map_put_u64(&t->accounts, uid, a) < 0) {
                free(a);
                return NULL;
        }
        return a;
}

static void account_release(Tree *t, Account *a) {
        if (!a || a->n_nodes > 0)
                return;
        (void)map_remove_u64(&t->accounts, a->uid);
        free(a);
}

/* A directory may be handed over (chown) after it was made, as systemd does
 * with Delegate=: whoever owns it by now is charged for what is below. */
static void charge_owner(Tree *t, Node *n, uid_t uid) {
        if (n->account || !is_foreign(uid))
                return;
        n->account = account_get(t, uid);
        if (n->account)
                n->account->n_nodes++;
}

/* *ret is NULL for what is nobody's. 0 or -ENOMEM. */
static int find_account(Tree *t, Node *parent, uid_t uid, Account **ret) {
        struct stat st;

        if (!parent->account && is_foreign(uid) && fstat(parent->pub.fd, &st) == 0)
                charge_owner(t, parent, st.st_uid);
        *ret = parent->account;
        if (!*ret && is_foreign(uid)) {
                *ret = account_get(t, uid);
                if (!*ret)
                        return -ENOMEM;
        }
        return 0;
}

/* Nodes come and go. */

static Node *node_free(Node *n) {
        if (!n)
                return NULL;
        (void)fd_close(n->pub.fd);
        free(n);
        return NULL;
}
DEFINE_CLEANUP(Node *, node_free)

/* A node without children. */
static void drop_leaf(Tree *t, Node *n) {
        unqueue(t, n);
        if (n->pub.parent)
                LIST_REMOVE(n, siblings);
        else
                t->root = NULL;
        (void)map_remove_u64(&t->by_id, n->pub.id);
        (void)map_remove_str(&t->by_path, n->path);
        t->stats.gone++;
        t->ops.gone(t->user, &n->pub);
        /* After the call: it may have asked for a watch. */
        remove_watch(t, n);
        if (n->account) {
                n->account->n_nodes--;
                account_release(t, n->account);
        }
        (void)node_free(n);
}

/* Children before parents, without recursion. */
static void drop_subtree(Tree *t, Node *top) {
        Node *n = top, *up;
        bool last;

        do {
                while (!LIST_EMPTY(&n->children))
                        n = LIST_FIRST(&n->children);
                last = n == top;
                up = parent_of(n);
                drop_leaf(t, n);
                n = up;
        } while (!last);
}

static bool is_self_or_above(const Node *above, const Node *n) {
        for (; n; n = node_of_const(n->pub.parent))
                if (n == above)
                        return true;
        return false;
}

/* Is the node still what its parent has under that name? 1, 0, negative errno:
 * could not be told. Takes no fd. */
static int node_in_place(const Tree *t, const Node *n) {
        struct stat st;

        if (!n->pub.parent)
                return tree_node_alive(&n->pub);
        if (fstatat(n->pub.parent->fd, base_name(n), &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
                return errno_is_gone(errno) ? 0 : -errno;
        return S_ISDIR(st.st_mode) && st.st_ino == n->pub.id && st.st_dev == t->dev;
}

/* Another path holds this id: a directory was moved, and the event of its old
 * name is still to come. False: it is still there as well, keep to that. */
static bool release_id(Tree *t, const Node *parent, uint64_t id) {
        Node *old = map_get_u64(&t->by_id, id);

        if (!old)
                return true;
        if (is_self_or_above(old, parent) || node_in_place(t, old) != 0)
                return false;
        drop_subtree(t, old);
        return true;
}

/* Takes over fd; the node is in the tree and reported afterwards. */
static int adopt(Tree *t, Node *parent, const char *path, int take_fd, const struct stat *st, TreeClass class,
                 Account *account) {
        _cleanup_fd_ int fd = take_fd;
        _cleanup_(cleanup_node_free) Node *n = NULL;
        size_t len = strlen(path);
        int r;

        n = malloc(sizeof(*n) + len + 1);
        if (!n)
                return -ENOMEM;
        *n = (Node){ .pub.fd = -1, .wd = -1, .account = account };
        memcpy(n->path, path, len + 1);
        n->pub.id = st->st_ino;
        n->pub.path = n->path;
        n->pub.class = class;
        n->pub.parent = parent ? &parent->pub : NULL;
        n->generation = t->generation;
        n->seen = t->serial;
        LIST_INIT(&n->children);
        r = map_put_u64(&t->by_id, n->pub.id, n);
        if (r < 0)
                return r;
        r = map_put_str(&t->by_path, n->path, n);
        if (r < 0) {
                (void)map_remove_u64(&t->by_id, n->pub.id);
                return r;
        }
        n->pub.fd = steal_fd(&fd);
        if (account)
                account->n_nodes++;
        if (parent)
                LIST_INSERT_HEAD(&parent->children, n, siblings);
        else
                t->root = n;
        if (class == TREE_INTERIOR)
                enqueue(t, n);
        t->stats.appeared++;
        t->ops.appeared(t->user, &steal_ptr(n)->pub);
        return 0;
}

/* Opens `name` (path: its whole path below the root) and adopts it. 0 also
 * where it is not for us; -ENOENT: there is nothing (any more), -EMFILE, -ENFILE, -ENOMEM. */
static int add_child(Tree *t, Node *parent, const char *name, const char *path) {
        _cleanup_fd_ int fd = -1;
        Account *account = NULL;
        TreeClass class;
        struct stat st;
        int r;

        if (account_is_full(parent->account)) {
                t->stats.refused++;
                return 0;
        }
        fd = openat(parent->pub.fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return errno_is_exhaustion(errno) ? -errno : errno_is_gone(errno) ? -ENOENT : 0;
        if ((uint64_t)fd >= t->fd_max)
                return -EMFILE;
        if (fstat(fd, &st) < 0 || st.st_dev != t->dev)
                return 0;
        if (!release_id(t, parent, st.st_ino))
                return 0;
        class = t->ops.classify(t->user, path, fd, &parent->pub);
        if (class != TREE_INTERIOR && class != TREE_UNIT)
                return 0;
        r = find_account(t, parent, st.st_uid, &account);
        if (r < 0)
                return r;
        if (account_is_full(account)) {
                t->stats.refused++;
                return 0;
        }
        r = adopt(t, parent, path, steal_fd(&fd), &st, class, account);
        if (r < 0)
                account_release(t, account);
        return r;
}

/* A child that is still there: a rescan goes on below it, and tries again to
 * get what watch it lacks. */
static void confirm(Tree *t, const Node *parent, Node *n) {
        n->seen = t->serial;
        if (n->generation == parent->generation)
                return;
        n->generation = parent->generation;
        if (n->pub.class == TREE_INTERIOR)
                enqueue(t, n);
        else
                (void)update_watch(t, n);
}

/* Makes what we hold under parent/name what is there. d_ino: inode number that
 * getdents told, 0: not known; made: it was made a moment ago. Returns whether that took system calls. */
static bool settle_child(Tree *t, Node *parent, const char *name, uint64_t d_ino, bool made) {
        const char *path;
        bool had;
        Node *known;
        int r;

        buf_clear(&t->scratch);
        if (parent->pub.parent)
                buf_puts(&t->scratch, parent->path);
        buf_putc(&t->scratch, '/');
        buf_puts(&t->scratch, name);
        if (buf_error(&t->scratch) < 0) {
                t->stats.fd_failures++;
                return true;
        }
        if (t->scratch.len > TREE_PATH_BYTES_MAX) {
                t->stats.refused++;
                return false;
        }
        path = buf_str(&t->scratch);
        known = map_get_str(&t->by_path, path);
        if (known && (known->pub.id == d_ino || node_in_place(t, known) != 0)) {
                confirm(t, parent, known);
                return known->pub.id != d_ino;
        }
        had = known;
        if (known)
                drop_subtree(t, known);
        r = add_child(t, parent, name, path);
        if (r == -ENOENT && made && !had) {
                t->stats.missed++;
                if (t->ops.missed)
                        t->ops.missed(t->user, path, &parent->pub);
        }
        if (r < 0 && r != -ENOENT)
                t->stats.fd_failures++;
        return true;
}

/* Reading directories. */

/* Children that a complete read did not show: they are gone, or were
 * re-created behind the reader's back. */
static void sweep_unseen(Tree *t, Node *n) {
        bool again = false;

        for (Node *c = LIST_FIRST(&n->children), *next; c; c = next) {
                struct stat st;

                next = LIST_NEXT(c, siblings);
                if (c->seen == t->serial)
                        continue;
                if (node_in_place(t, c) != 0) {
                        confirm(t, n, c);
                        continue;
                }
                if (fstatat(n->pub.fd, base_name(c), &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0)
                        again = true;
                /* Only c's own subtree goes: next stays valid. */
                drop_subtree(t, c);
        }
        if (again)
                enqueue(t, n);
}

/* An error in the middle (removed under our hands, EIO) ends it like the end
 * of the directory: sweep_unseen() asks for each child that was not shown. */
static void read_entries(Tree *t, Node *n, int fd, size_t *budget) {
        ssize_t len;

        while ((len = getdents64(fd, t->dirents, sizeof(t->dirents))) > 0)
                for (ssize_t i = 0; i < len;) {
                        const struct dirent64 *d = (const struct dirent64 *)(const void *)(t->dirents + i);

                        i += d->d_reclen;
                        if ((d->d_type != DT_DIR && d->d_type != DT_UNKNOWN) || STR_EQ(d->d_name, ".") ||
                            STR_EQ(d->d_name, ".."))
                                continue;
                        if (settle_child(t, n, d->d_name, d->d_ino, false) && *budget > 0)
                                (*budget)--;
                }
}

/* One directory: watch first, then read. */
static void scan(Tree *t, Node *n, size_t *budget) {
        _cleanup_fd_ int fd = -1;
        struct stat st;

        (*budget)--;
        t->serial++;
        (void)update_watch(t, n);
        if (fstat(n->pub.fd, &st) < 0)
                return;
        charge_owner(t, n, st.st_uid);
        if (st.st_nlink != 2) {
                fd = openat(n->pub.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 && !errno_is_gone(errno)) {
                        t->stats.fd_failures++;
                        return;
                }
                if (fd >= 0)
                        read_entries(t, n, fd, budget);
        }
        sweep_unseen(t, n);
}

static void run_queue(Tree *t, size_t *budget) {
        Node *n;

        while (*budget > 0 && (n = TAILQ_FIRST(&t->queue))) {
                unqueue(t, n);
                scan(t, n, budget);
        }
}

/* Queues the root under a new generation; every directory follows from there. */
static int start_rescan(Tree *t) {
        _cleanup_fd_ int fd = -1;
        struct rlimit limit;
        struct stat st;

        t->stats.rescans++;
        t->generation++;
        t->fd_max = INT32_MAX;
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                t->fd_max = limit.rlim_cur - MIN_OF((rlim_t)FD_RESERVE, limit.rlim_cur / 4);
        if (!cg_alive(t->root_fd)) {
                if (t->root)
                        drop_subtree(t, t->root);
                return -ENOENT;
        }
        if (t->root) {
                enqueue(t, t->root);
                return 0;
        }
        fd = openat(t->root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        return adopt(t, NULL, "/", steal_fd(&fd), &st, TREE_INTERIOR, NULL);
}

static void finish_overflow(Tree *t) {
        if (!t->overflowed || !TAILQ_EMPTY(&t->queue))
                return;
        t->overflowed = false;
        t->ops.overflowed(t->user);
}

static int rescan(Tree *t) {
        size_t budget = SIZE_MAX;
        int r;

        r = start_rescan(t);
        if (r < 0)
                return r;
        run_queue(t, &budget);
        finish_overflow(t);
        return 0;
}

int tree_rescan(Tree *t) {
        int r;

        if (t->busy)
                return -EBUSY;
        t->busy = true;
        r = rescan(t);
        t->busy = false;
        return r;
}

/* The node behind n in an order where parents precede children; skip: not
 * into n's own children. */
static Node *walk_next(Node *n, bool skip) {
        if (!skip && !LIST_EMPTY(&n->children))
                return LIST_FIRST(&n->children);
        for (; n->pub.parent; n = parent_of(n))
                if (LIST_NEXT(n, siblings))
                        return LIST_NEXT(n, siblings);
        return NULL;
}

int tree_reclassify(Tree *t) {
        int r;

        if (t->busy)
                return -EBUSY;
        t->busy = true;
        for (Node *n = t->root, *next; n; n = next) {
                bool drop = n->pub.parent &&
                            t->ops.classify(t->user, n->path, n->pub.fd, n->pub.parent) != n->pub.class;

                next = walk_next(n, drop);
                if (drop)
                        drop_subtree(t, n);
        }
        r = rescan(t);
        t->busy = false;
        return r;
}

/* Notifications. */

static int handle_event(Tree *t, const struct inotify_event *e) {
        Node *n;

        if (e->mask & IN_Q_OVERFLOW) {
                t->stats.overflows++;
                t->overflowed = true;
                return start_rescan(t);
        }
        n = map_get_u64(&t->by_wd, (uint64_t)e->wd);
        if (!n) /* of a node that is gone */
                return 0;
        if (e->mask & IN_IGNORED) {
                /* The kernel took it back although the directory is ours to
                 * hold: a lazy unmount. The next rescan tries again. */
                (void)map_remove_u64(&t->by_wd, (uint64_t)n->wd);
                n->mask = 0;
                return 0;
        }
        if (e->len == 0)
                return 0;
        if (e->mask & IN_ISDIR) {
                if ((e->mask & MASK_CHILDREN) && n->pub.class == TREE_INTERIOR)
                        (void)settle_child(t, n, e->name, 0, e->mask & IN_CREATE);
        } else if ((e->mask & IN_MODIFY) && n->files)
                t->ops.touched(t->user, &n->pub, e->name);
        return 0;
}

static int dispatch(Tree *t, bool *ret_more) {
        size_t budget = DISPATCH_BUDGET;
        int pending = 0, r, result = 0;
        ssize_t len;

        run_queue(t, &budget);
        finish_overflow(t);
        if (budget > 0) {
                len = read(t->inotify_fd, t->events, sizeof(t->events));
                if (len < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                for (ssize_t i = 0; i < len;) {
                        const struct inotify_event *e =
                                (const struct inotify_event *)(const void *)(t->events + i);

                        i += (ssize_t)(sizeof(*e) + e->len);
                        r = handle_event(t, e);
                        if (r < 0)
                                result = r;
                }
                run_queue(t, &budget);
                finish_overflow(t);
        }
        if (result < 0)
                return result;
        *ret_more = !TAILQ_EMPTY(&t->queue) || (ioctl(t->inotify_fd, FIONREAD, &pending) == 0 && pending > 0);
        return 0;
}

int tree_dispatch(Tree *t, bool *ret_more) {
        int r;

        if (t->busy)
                return -EBUSY;
        t->busy = true;
        r = dispatch(t, ret_more);
        t->busy = false;
        return r;
}

int tree_watch_files(Tree *t, TreeNode *node) {
        Node *n = node_of(node);
        struct stat st;
        int r;

        if (n->files && n->mask == wanted_mask(n))
                return 0;
        n->files = true;
        r = update_watch(t, n);
        if (r < 0)
                return errno_is_gone(-r) ? 0 : r;
        /* kernfs_notify() only reaches files whose inode is in memory: look
         * them up once. */
        (void)fstatat(n->pub.fd, "cgroup.events", &st, AT_SYMLINK_NOFOLLOW);
        (void)fstatat(n->pub.fd, "memory.events", &st, AT_SYMLINK_NOFOLLOW);
        return 0;
}

/* Life and looks. */

int tree_new(const char *root, const TreeOps *ops, void *user, Tree **ret) {
        _cleanup_(cleanup_tree_free) Tree *t = NULL;
        struct stat st;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->ops = *ops;
        t->user = user;
        t->root_fd = t->inotify_fd = -1;
        TAILQ_INIT(&t->queue);
        t->root_path = strdup(root);
        if (!t->root_path)
                return -ENOMEM;
        t->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (t->root_fd < 0 || fstat(t->root_fd, &st) < 0)
                return -errno;
        t->dev = st.st_dev;
        t->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (t->inotify_fd < 0)
                return -errno;
        *ret = steal_ptr(t);
        return 0;
}

Tree *tree_free(Tree *t) {
        void *v;

        if (!t)
                return NULL;
        /* Takes all watches with it in one go. */
        (void)fd_close(t->inotify_fd);
        for (size_t i = 0; (v = map_next(&t->by_id, &i));)
                (void)node_free(v);
        for (size_t i = 0; (v = map_next(&t->accounts, &i));)
                free(v);
        map_deinit(&t->by_id);
        map_deinit(&t->by_path);
        map_deinit(&t->by_wd);
        map_deinit(&t->accounts);
        buf_deinit(&t->scratch);
        (void)fd_close(t->root_fd);
        free(t->root_path);
        free(t);
        return NULL;
}

int tree_get_fd(Tree *t) { return t->inotify_fd; }

int tree_root_fd(Tree *t) { return t->root_fd; }

TreeNode *tree_find_id(const Tree *t, uint64_t id) {
        Node *n = map_get_u64(&t->by_id, id);

        return n ? &n->pub : NULL;
}

TreeNode *tree_find_path(const Tree *t, const char *path) {
        Node *n = map_get_str(&t->by_path, path);

        return n ? &n->pub : NULL;
}

TreeNode *tree_next(const Tree *t, size_t *i) {
        Node *n = map_next(&t->by_id, i);

        return n ? &n->pub : NULL;
}

void tree_get_stats(const Tree *t, TreeStats *ret) {
        *ret = t->stats;
        ret->n_nodes = t->by_id.n;
        ret->n_watches = t->by_wd.n;
}

int tree_node_alive(const TreeNode *node) { return cg_alive(node->fd); }
