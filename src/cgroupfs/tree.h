/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The cgroup tree as it is (adapter: cgroupfs; cgroup-v2.rst, inotify(7)).
 *
 * Watches every interior directory for children that come and go, and on
 * request (tree_watch_files()) a node for writes to its files; does not enter
 * units nor what the caller skips. A node is an O_PATH directory fd and the
 * cgroup id (inode number); its path is only for people and for systemd.
 *
 * No event loop in here: poll tree_get_fd() for input, call tree_dispatch().
 */

#include <stdint.h>

#include "macro.h"

/* A directory whose path is longer is refused; systemd and the kernel's own
 * path files could not name it either. */
#define TREE_PATH_BYTES_MAX 4095
/* How many nodes below one foreign (neither root's nor our own) delegation are
 * kept: a tenant's mkdir loop costs the tenant its detail, nobody else a fd. */
#define TREE_FOREIGN_NODES_MAX 2048

typedef enum TreeClass {
        TREE_SKIP, /* not entered, not reported */
        TREE_INTERIOR, /* entered; reported too (slices carry ceilings) */
        TREE_UNIT, /* reported, not entered */
} TreeClass;

typedef struct TreeNode {
        uint64_t id; /* cgroup id = inode number of the directory */
        const char *path; /* "/tenant.slice/docker-….scope" below the root; never changes */
        int fd; /* O_PATH; owned by the tree, valid until gone() returns */
        TreeClass class;
        struct TreeNode *parent; /* NULL for the root itself ("/"), which is reported too */
        void *user; /* the caller's, NULL at first */
} TreeNode;

/*
 * Callbacks may look things up and call tree_watch_files(); they must not
 * free the tree, and rescan, reclassify and dispatch answer -EBUSY to them.
 */
typedef struct TreeOps {
        /* What is this directory? Called for each directory (but the root, which is always
         * interior) before appeared(), for a skipped one again on every rescan; parent is the
         * node above. fd is O_PATH and the tree's. */
        TreeClass (*classify)(void *user, const char *path, int fd, const TreeNode *parent);
        /* A new directory; parents come before children. */
        void (*appeared)(void *user, TreeNode *node);
        /* Gone from the tree (rmdir or rename over); children go before parents. The node is not found any more. */
        void (*gone)(void *user, TreeNode *node);
        /* A child of parent was made and removed again before it could be looked at. May be NULL. */
        void (*missed)(void *user, const char *path, const TreeNode *parent);
        /* Somebody wrote `file` ("memory.max") of a node watched with tree_watch_files(),
         * or the kernel notified it ("cgroup.events"). */
        void (*touched)(void *user, TreeNode *node, const char *file);
        /* The kernel dropped notifications; the tree has rescanned itself (counted in
         * TreeStats), the caller should look at every node's files again. */
        void (*overflowed)(void *user);
} TreeOps;

typedef struct TreeStats {
        uint64_t overflows, rescans, appeared, gone, missed;
        /* ENOSPC (max_user_watches), ENOMEM: what is below is only found by rescans, which try again. */
        uint64_t watch_failures;
        /* EMFILE, ENFILE, ENOMEM: a directory was not reported, or not entered; a rescan tries again. */
        uint64_t fd_failures;
        /* Beyond TREE_PATH_BYTES_MAX or TREE_FOREIGN_NODES_MAX, counted each time one is seen. */
        uint64_t refused;
        size_t n_nodes, n_watches;
} TreeStats;

typedef struct Tree Tree;

/* root: "/sys/fs/cgroup", or a captured tree in tests. Does not scan yet. The last few fds
 * below RLIMIT_NOFILE (as it is at each rescan) are left to the caller. */
int tree_new(const char *root, const TreeOps *ops, void *user, Tree **ret);
Tree *tree_free(Tree *t); /* without calling gone() */
DEFINE_CLEANUP(Tree *, tree_free)
int tree_get_fd(Tree *t); /* inotify fd, for EPOLLIN */
int tree_root_fd(Tree *t); /* O_PATH of the root */

/* First scan, or look at everything again (after an overflow it happens by
 * itself): missing nodes go, new ones appear, a re-created directory (same
 * path, other id) is gone and appeared. Directories with st_nlink == 2 are not read. Runs to its end.
 * -ENOENT: the root itself is gone (so is every node). Directories that could not be opened are
 * counted, not an error. */
int tree_rescan(Tree *t);
/* Ask classify() again for all nodes (the policy changed): nodes whose class
 * changed are gone and appear anew (with their subtree). Ends with a rescan. */
int tree_reclassify(Tree *t);
/* Reads pending notifications (bounded work per call: *ret_more true when
 * there is more to do, the fd then need not be readable), calls back. */
int tree_dispatch(Tree *t, bool *ret_more);
/* Report writes to this node's files through touched(). Idempotent. Read the files after this,
 * not before. Kernel notifications (cgroup.events, memory.events) are best effort: kernfs drops
 * them when memory pressure evicted the file's inode. -ENOSPC, -ENOMEM: no watch now (counted),
 * tried again by each rescan. */
int tree_watch_files(Tree *t, TreeNode *node);
TreeNode *tree_find_id(const Tree *t, uint64_t id);
TreeNode *tree_find_path(const Tree *t, const char *path);
TreeNode *tree_next(const Tree *t, size_t *i); /* any order; no changes meanwhile */
void tree_get_stats(const Tree *t, TreeStats *ret);

/* Is fd still the directory it was: 1 yes, 0 gone (cg_alive()). */
int tree_node_alive(const TreeNode *node);
