/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside of the adapter "engines": one question, the files that answer it, and
 * the readers per engine. Everything here may run in the names helper only
 * (and in tests): it parses what tenants own.
 */

#include <jansson.h>
#include <sys/stat.h>

#include "buf.h"
#include "names.h"
#include "statetext.h"

typedef struct State {
        const NamesConfig *config;
        const NamesQuery *query;
        ContainerInfo *info; /* being filled */
        int root_fd; /* O_PATH of the prefix */
        char *home; /* rootless: home of the uid */
        unsigned n_used;
        bool untrusted; /* some file used is not root's alone */
        unsigned n_dropped; /* strings, labels, devices that were too long or too many */
        size_t labels_bytes;
        Buf problem;
} State;

/* *s can be deinitialised whatever state_init() says. c and q are borrowed. */
int state_init(State *s, const NamesConfig *c, const NamesQuery *q);
void state_deinit(State *s);
#define _cleanup_state_ _cleanup_(state_deinit)

/* ---- statefs.c: directories and files with their trust ---- */

typedef struct StateDir {
        int fd; /* O_PATH */
        bool trusted; /* it and all above are root's, and nobody else can write there */
} StateDir;
#define STATE_DIR_INIT ((StateDir){ .fd = -1 })
void state_dir_deinit(StateDir *d);
#define _cleanup_state_dir_ _cleanup_(state_dir_deinit)

typedef struct StateFile {
        int fd;
        struct stat st;
        bool trusted;
        char *data; /* after state_file_load(): NUL-terminated */
        size_t len;
} StateFile;
#define STATE_FILE_INIT ((StateFile){ .fd = -1 })
void state_file_deinit(StateFile *f);
#define _cleanup_state_file_ _cleanup_(state_file_deinit)

/* An absolute path above tenants' reach; symlinks are followed where root owns them. */
int state_open_dir(State *s, const char *path, StateDir *ret);
/* Relative, any number of components, no symlink among them. "" is d itself. */
int state_open_below(State *s, const StateDir *d, const char *path, StateDir *ret);
/* A regular file right in d. A rootless user's must be his own: -EPERM. -ELOOP,
 * -EINVAL (not regular), -ENOENT, … */
int state_open_file(State *s, const StateDir *d, const char *name, StateFile *ret);
/* -EFBIG beyond max. */
int state_file_load(StateFile *f, size_t max);
/* Both; and the file counts as used (trust). */
int state_read_file(State *s, const StateDir *d, const char *name, StateFile *ret);
/* The file's content went into info; limits: also into info->requested. */
void state_used(State *s, const StateFile *f, bool limits);
/* Calls entry() for up to 4096 names in d until it returns non-zero, which is returned. */
int state_list_dir(const StateDir *d, int (*entry)(void *user, const char *name), void *user);
/* "/dev/sda" → device number of the block device, without leaving /dev. */
int state_stat_block(State *s, const char *path, dev_t *ret);

/* ---- statejson.c: jansson with bounds ---- */

/* 0; -EINVAL not JSON, -E2BIG when the text would take more than 64 MiB as a tree. */
int state_json_load(const char *data, size_t len, json_t **ret);
static inline void cleanup_json(json_t **j) { json_decref(*j); }
#define _cleanup_json_ _cleanup_(cleanup_json)
/* Member `key` when j is an object and it is a string / whole number / object / array; else NULL, false. */
const char *state_json_string(const json_t *j, const char *key);
bool state_json_int(const json_t *j, const char *key, int64_t *ret);
json_t *state_json_object(const json_t *j, const char *key);
json_t *state_json_array(const json_t *j, const char *key);

/* ---- state.c: the question ---- */

int state_read(const NamesConfig *c, const NamesQuery *q,
               ContainerInfo **ret); /* without user name and groups */
int state_read_user(const NamesConfig *c, uid_t uid, ContainerInfo *info); /* adds those; -ENOMEM, else 0 */
/* ---- state-info.c: filling info within bounds ---- */

/* Adds a clause to info->problem. */
void state_problem(State *s, const char *format, ...) _printf_(2, 3);
/* "PATH: what reading or parsing (result r) ran into". */
void state_problem_file(State *s, const char *path, int r);
/* Replaces *target by a copy, when it is short and clean; else counts it as dropped. NULL and "" do nothing. */
int state_set(State *s, char **target, const char *text);
/* info->source; a path that is no clean text leaves it as it is. */
int state_set_source(State *s, const char *path);
int state_add_label(State *s, const char *key, const char *value);
int state_add_labels(State *s, const json_t *object); /* all members that are strings */
int state_set_signal(State *s, const char *text); /* "SIGQUIT", "quit", "3" */
int state_read_pid(State *s, const StateDir *d,
                   const char *name); /* a pid file; what cannot be read is no problem */

/* ---- state-limits.c ---- */

/* What an engine was asked for, as OCI and Docker say it; 0 is "not asked", negative "unlimited". */
typedef struct StateAsked {
        int64_t memory, reservation, memory_and_swap;
        int64_t quota, period, burst, shares;
        int64_t pids;
        int64_t blkio_weight;
} StateAsked;
int state_add_asked(State *s, const StateAsked *a);
int state_add_device_limit(State *s, Limit limit, dev_t dev, int64_t rate);
/* A kernel file's content, as OCI's "unified" and LXC's lxc.cgroup2.* give it. Unknown ones are ignored. */
int state_add_limit_file(State *s, const char *file, const char *text);

/* ---- state-*.c: 0 also where nothing was found (problem says so); negative: out of memory ---- */

int state_docker_read(State *s);
int state_podman_read(State *s);
int state_crio_read(State *s);
int state_containerd_read(State *s);
int state_machine_read(State *s);
int state_lxc_read(State *s);

/* Texts alone, for tests and the fuzzer. */
int state_docker_parse_config(State *s, const char *data, size_t len);
int state_docker_parse_hostconfig(State *s, const char *data, size_t len);
int state_docker_parse_daemon(const char *data, size_t len, char **ret_data_root);
int state_machine_parse(State *s, char *data);
int state_lxc_parse(State *s, char *data);
/* containers.json: what it says of the container asked about. */
int state_podman_parse_table(State *s, const char *data, size_t len);
/* TOML enough for storage.conf: the string of `key` in [storage]. */
char *state_podman_parse_conf(const char *data, const char *key);

typedef enum OciFlavor { OCI_PODMAN, OCI_CRIO, OCI_CONTAINERD, OCI_LIMITS_ONLY } OciFlavor;
int state_oci_parse(State *s, OciFlavor flavor, const char *data, size_t len);
/* config.json of the runtime bundle in d; *ret_found says whether it gave anything. */
int state_oci_read_bundle(State *s, OciFlavor flavor, const StateDir *d, const char *shown, bool *ret_found);
int state_containerd_read_limits(State *s, const char *namespace, bool *ret_found);

/* ---- stateuser.c ---- */

typedef struct StateUser {
        uid_t uid;
        char *name, *home;
        char **groups; /* NULL-terminated */
} StateUser;
/* 1: *ret, borrowed until the next call. 0: there is no such user. -EAGAIN: nobody can tell now (a directory server that
 * does not answer). -ENOMEM. Live lookups are remembered for a minute. */
int state_user_get(const char *root, uid_t uid, const StateUser **ret);
bool state_user_cached(const char *root, uid_t uid);
