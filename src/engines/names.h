/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names, images, labels and requested limits of containers, from the engines'
 * own state files, never from a control socket (adapter: engines).
 *
 * names_new() forks the names helper: it alone parses tenant-owned input.
 * Requests and answers are small messages over a socketpair; each request has
 * a deadline after which the helper is killed and started anew (only that
 * container loses its name). Files: regular only, O_NOFOLLOW on the last
 * component and no symlinks below the state directory (above it only root's),
 * at most NAMES_FILE_MAX bytes, root's (or the rootless user's own, then trusted=false).
 */

#include <stdint.h>
#include <sys/types.h>

#include "cgpath.h"
#include "limits.h"
#include "macro.h"

#define NAMES_FILE_MAX (4 * 1024 * 1024)
#define NAMES_LABELS_MAX 256
#define NAMES_LABELS_BYTES_MAX (128 * 1024) /* of all keys and values together */
#define NAMES_STRING_MAX \
        1024 /* longer names, images, label keys and values: dropped and counted in `problem` */
#define NAMES_SOURCE_MAX 4096 /* bytes of `source` and `problem` */
#define NAMES_GROUPS_MAX 256
#define NAMES_DEVICE_LIMITS_MAX 256
#define NAMES_PENDING_MAX 8192

typedef struct Label {
        char *key;
        char *value;
} Label;

/* All strings are valid UTF-8; name, image, stop_signal, user_name and groups hold no control characters. */
typedef struct ContainerInfo {
        Engine engine;
        char *name; /* NULL: not known */
        char *image;
        Label *labels;
        size_t n_labels;
        bool labels_in_files; /* false: this engine keeps no labels in files (podman) */
        bool trusted; /* every file used is owned by root, in directories only root can write */
        bool is_vm; /* nspawn: systemd-machined registered it with CLASS=vm, so it is no container at all */
        /* What the engine was asked for, as kernel values; no entry: nothing asked. CPU and IO weights are
         * converted as runc up to 1.3 does; runc 1.4 and crun 1.23 use another curve for CPU shares. */
        LimitSet requested;
        uint64_t config_mtime_usec; /* newest file that `requested` was read from, realtime; 0: none */
        char *health_check; /* command summary, NULL: none */
        char *stop_signal; /* "SIGTERM", NULL: not stated */
        pid_t main_pid; /* as the engine's state says (a claim: check its cgroup), 0: unknown */
        char *source; /* the main file used, for people */
        char *problem; /* why something is missing, one sentence; NULL */
        char *user_name; /* of the uid asked about; NULL: it has none, or that is not known */
        char **groups; /* its groups, NULL-terminated, empty for a uid without a user; NULL: not known, or not asked */
} ContainerInfo;
ContainerInfo *container_info_free(ContainerInfo *i);
DEFINE_CLEANUP(ContainerInfo *, container_info_free)

typedef struct NamesQuery {
        Engine engine;
        const char *id; /* as in CgName */
        bool rootless;
        uid_t uid; /* rootless owner; (uid_t)-1: none. User name and groups are looked up for it (NSS) */
        const char *cgroup; /* path; may be NULL */
} NamesQuery;

typedef struct NamesConfig {
        const char
                *root; /* "" live; a prefix in tests (users then come from its /etc/passwd and /etc/group) */
        /* Data roots besides what is found (data-root of /etc/docker/daemon.json,
         * podman's storage.conf); NULL-terminated, may be NULL. */
        const char *const *docker_roots;
} NamesConfig;

/* Reads in this very process: what the helper does per request. Total on
 * hostile files. *ret is set on success; unreadable state gives an info with `problem`. */
int names_read(const NamesConfig *c, const NamesQuery *q, ContainerInfo **ret);

typedef struct Names Names;
/* info is NULL when the deadline passed or the helper died (why says which). The callee takes info.
 * May submit and cancel, but neither dispatch nor free. */
typedef void (*NamesDone)(void *user, uint64_t cookie, ContainerInfo *info, const char *why);

/* The helper copies what config points to. */
int names_new(const NamesConfig *c, Names **ret);
Names *names_free(Names *n); /* pending requests are forgotten: done() is not called */
DEFINE_CLEANUP(Names *, names_free)
int names_get_fd(Names *n); /* EPOLLIN; the same for the whole life of n, also when the helper is replaced */
/*
 * Queues; requests are served in order, root's containers before those of
 * rootless users. -EAGAIN beyond NAMES_PENDING_MAX waiting, -EINVAL: no id, or
 * id or cgroup too long. The timeout runs from the moment the request is handed
 * to the helper. A rootless user whose files made the helper hang or die is
 * answered NULL at once for NAMES_PENALTY_USEC.
 */
#define NAMES_PENALTY_USEC (30 * USEC_PER_SEC)
int names_submit(Names *n, const NamesQuery *q, usec_t now, usec_t timeout, NamesDone done, void *user,
                 uint64_t cookie);
/* Forget: done() will not be called any more for this cookie. */
void names_cancel(Names *n, uint64_t cookie);
/* 0, or why the helper could not be started again (tried again at names_next_time()). now: CLOCK_MONOTONIC. */
int names_dispatch(Names *n, usec_t now);
usec_t names_next_time(
        const Names *n); /* when to dispatch without input (deadline, restart), or USEC_INFINITY */
size_t names_n_pending(const Names *n);
pid_t names_pid(const Names *n); /* 0 while there is none */
unsigned names_n_restarts(const Names *n);
