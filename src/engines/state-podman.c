/* SPDX-License-Identifier: Apache-2.0 */

/*
 * podman and CRI-O share containers/storage: below the graph root (kept) and
 * the run root (tmpfs) lies one directory per storage driver,
 *
 *   DRIVER-containers/containers.json            all containers: id, names, image
 *   DRIVER-containers/volatile-containers.json   those of `podman run --rm`
 *   DRIVER-containers/ID/userdata/config.json    the OCI bundle
 *   DRIVER-containers/ID/userdata/pidfile        (run root)
 *
 * Labels are in podman's database only (its own format, with locks we must not
 * take), so they are not known here. A CRI-O bundle holds names and labels as
 * annotations.
 *
 * containers.json is one file for all: it is parsed once per version of the
 * file (device, inode, size, mtime, ctime) and remembered, also when it did not
 * parse, so that 500 containers, or one hostile file, cost one parse.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "state.h"

/* ---- storage.conf ---- */

char *state_podman_parse_conf(const char *data, const char *key) {
        size_t key_len = strlen(key);
        bool in_storage = false;

        for (const char *line = data; *line;) {
                size_t len = strcspn(line, "\n");
                const char *p = line + strspn(line, " \t"), *end = line + len, *q;

                line += len + (line[len] == '\n');
                if (p < end && *p == '[') {
                        in_storage = end - p >= 9 && strncmp(p, "[storage]", 9) == 0;
                        continue;
                }
                if (!in_storage || (size_t)(end - p) <= key_len || strncmp(p, key, key_len) != 0)
                        continue;
                p += key_len;
                p += strspn(p, " \t");
                if (p >= end || *p != '=')
                        continue;
                p++;
                p += strspn(p, " \t");
                if (p >= end || (*p != '"' && *p != '\''))
                        continue;
                q = memchr(p + 1, *p, (size_t)(end - p - 1));
                if (q && q > p + 1)
                        return strndup(p + 1, (size_t)(q - p - 1));
        }
        return NULL;
}

/* ---- the table of containers.json ---- */

typedef struct TableEntry {
        char *id, *name, *image, *metadata;
} TableEntry;

typedef struct Table {
        bool used;
        uint64_t last_use;
        struct stat st; /* what it was made from */
        int error; /* it could not be: 0 or negative errno */
        TableEntry *entries; /* by id */
        size_t n;
} Table;

#define TABLES 4
static Table tables[TABLES];
static uint64_t table_clock;

static void table_deinit(Table *t) {
        for (size_t i = 0; i < t->n; i++) {
                free(t->entries[i].id);
                free(t->entries[i].name);
                free(t->entries[i].image);
                free(t->entries[i].metadata);
        }
        free(t->entries);
        *t = (Table){};
}

static bool same_file(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
               a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
               a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int entry_cmp(const void *a, const void *b) {
        return strcmp(((const TableEntry *)a)->id, ((const TableEntry *)b)->id);
}

static int copy_string(char **to, const char *from) {
        if (!from)
                return 0;
        *to = strdup(from);
        return *to ? 0 : -ENOMEM;
}

static int table_parse(Table *t, const char *data, size_t len) {
        _cleanup_json_ json_t *j = NULL;
        json_t *e;
        size_t i;
        int r;

        r = state_json_load(data, len, &j);
        if (r < 0)
                return r;
        if (!json_is_array(j))
                return -EINVAL;
        t->entries = calloc(MAX_OF(json_array_size(j), (size_t)1), sizeof(TableEntry));
        if (!t->entries)
                return -ENOMEM;
        json_array_foreach(j, i, e) {
                const char *id = state_json_string(e, "id");
                TableEntry *x = &t->entries[t->n];

                if (!id || !state_id_valid(id))
                        continue;
                t->n++;
                r = copy_string(&x->id, id);
                if (r >= 0)
                        r = copy_string(&x->name,
                                        json_string_value(json_array_get(state_json_array(e, "names"), 0)));
                if (r >= 0)
                        r = copy_string(&x->image, state_json_string(e, "image"));
                if (r >= 0)
                        r = copy_string(&x->metadata, state_json_string(e, "metadata"));
                if (r < 0) {
                        if (!x->id)
                                t->n--;
                        return r;
                }
        }
        qsort(t->entries, t->n, sizeof(TableEntry), entry_cmp);
        return 0;
}

/* Borrowed until the next call. *f is loaded only where the cache does not know it. */
static int table_get(StateFile *f, const Table **ret) {
        Table *t = &tables[0];
        int r;

        for (size_t i = 0; i < TABLES; i++) {
                if (tables[i].used && same_file(&tables[i].st, &f->st)) {
                        tables[i].last_use = ++table_clock;
                        *ret = &tables[i];
                        return 0;
                }
                if (tables[i].last_use < t->last_use)
                        t = &tables[i];
        }
        table_deinit(t);
        r = state_file_load(f, NAMES_FILE_MAX);
        if (r >= 0)
                r = table_parse(t, f->data, f->len);
        if (r == -ENOMEM || r == -EAGAIN) {
                table_deinit(t);
                return r;
        }
        t->error = MIN_OF(r, 0);
        t->st = f->st;
        t->used = true;
        t->last_use = ++table_clock;
        *ret = t;
        return 0;
}

static int fill_from_entry(State *s, const TableEntry *x) {
        _cleanup_json_ json_t *metadata = NULL;
        const char *image = NULL, *name = x->name;
        int r;

        if (x->metadata && state_json_load(x->metadata, strlen(x->metadata), &metadata) == 0) {
                image = state_json_string(metadata, "image-name");
                if (!name)
                        name = state_json_string(metadata, "name");
        }
        if (!image || !*image)
                image = x->image;
        r = state_set(s, &s->info->name, name);
        if (r >= 0)
                r = state_set(s, &s->info->image, image);
        return r;
}

int state_podman_parse_table(State *s, const char *data, size_t len) {
        const TableEntry key = { .id = (char *)(uintptr_t)s->query->id }, *x = NULL;
        Table t = {};
        int r;

        r = table_parse(&t, data, len);
        if (r >= 0 && t.n > 0)
                x = bsearch(&key, t.entries, t.n, sizeof(TableEntry), entry_cmp);
        if (x)
                r = fill_from_entry(s, x);
        table_deinit(&t);
        return r;
}

/* ---- files ---- */

typedef struct Store {
        State *state;
        OciFlavor flavor;
        const char *shown; /* root being looked at */
        const StateDir *dir;
        bool found_name, found_bundle;
} Store;

static int read_table(Store *q, const StateDir *d, const char *driver, const char *file) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        _cleanup_free_ char *path = NULL;
        State *s = q->state;
        const TableEntry key = { .id = (char *)(uintptr_t)s->query->id }, *x = NULL;
        const Table *t;
        int r;

        if (asprintf(&path, "%s/%s/%s", q->shown, driver, file) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = state_open_file(s, d, file, &f);
        if (r >= 0)
                r = table_get(&f, &t);
        if (r == -ENOMEM)
                return r;
        if (r >= 0)
                r = t->error;
        if (r < 0) {
                if (r != -ENOENT)
                        state_problem_file(s, path, r);
                return 0;
        }
        if (t->n > 0)
                x = bsearch(&key, t->entries, t->n, sizeof(TableEntry), entry_cmp);
        if (!x)
                return 0;
        r = fill_from_entry(s, x);
        if (r < 0)
                return r;
        state_used(s, &f, false);
        q->found_name = true;
        return state_set_source(s, path);
}

static int read_userdata(Store *q, const StateDir *d, const char *driver) {
        _cleanup_state_dir_ StateDir userdata = STATE_DIR_INIT;
        _cleanup_free_ char *below = NULL, *shown = NULL;
        State *s = q->state;
        int r;

        if (asprintf(&below, "%s/userdata", s->query->id) < 0) {
                below = NULL;
                return -ENOMEM;
        }
        if (state_open_below(s, d, below, &userdata) < 0)
                return 0;
        if (asprintf(&shown, "%s/%s/%s", q->shown, driver, below) < 0) {
                shown = NULL;
                return -ENOMEM;
        }
        if (s->info->main_pid == 0) {
                r = state_read_pid(s, &userdata, "pidfile");
                if (r < 0)
                        return r;
        }
        if (q->found_bundle)
                return 0;
        /* The run root of podman has a userdata without it. */
        if (faccessat(userdata.fd, "config.json", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                return 0;
        return state_oci_read_bundle(s, q->flavor, &userdata, shown, &q->found_bundle);
}

static int try_driver(void *user, const char *name) {
        static const char suffix[] = "-containers";
        _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
        Store *q = user;
        size_t len = strlen(name);
        int r = 0;

        if (len < sizeof(suffix) || !STR_EQ(name + len - (sizeof(suffix) - 1), suffix))
                return 0;
        if (state_open_below(q->state, q->dir, name, &d) < 0)
                return 0;
        if (q->flavor == OCI_PODMAN && !q->found_name)
                r = read_table(q, &d, name, "containers.json");
        if (r >= 0 && q->flavor == OCI_PODMAN && !q->found_name)
                r = read_table(q, &d, name, "volatile-containers.json");
        if (r >= 0)
                r = read_userdata(q, &d, name);
        return r;
}

/* base: an absolute path; below: the rest of the way, without symlinks. */
static int read_store(Store *q, const char *base, const char *below) {
        _cleanup_state_dir_ StateDir d = STATE_DIR_INIT, root = STATE_DIR_INIT;
        _cleanup_free_ char *shown = NULL;
        int r;

        if (asprintf(&shown, "%s%s%s", base, *below ? "/" : "", below) < 0) {
                shown = NULL;
                return -ENOMEM;
        }
        r = state_open_dir(q->state, base, &root);
        if (r >= 0)
                r = state_open_below(q->state, &root, below, &d);
        if (r >= 0) {
                q->dir = &d;
                q->shown = shown;
                r = state_list_dir(&d, try_driver, q);
                q->dir = NULL;
                q->shown = NULL;
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT)
                state_problem_file(q->state, shown, r);
        return 0;
}

static int configured(State *s, char **ret_graph, char **ret_run) {
        static const char *const dirs[] = { "/etc/containers", "/usr/share/containers" };

        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
                _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
                _cleanup_state_file_ StateFile f = STATE_FILE_INIT;

                if (state_open_dir(s, dirs[i], &d) < 0 || state_read_file(s, &d, "storage.conf", &f) < 0)
                        continue;
                if (f.trusted) {
                        *ret_graph = state_podman_parse_conf(f.data, "graphroot");
                        *ret_run = state_podman_parse_conf(f.data, "runroot");
                }
                break; /* the first that exists is the one */
        }
        return 0;
}

static int read_rootful(Store *q) {
        static const char default_graph[] = "/var/lib/containers/storage";
        static const char default_run[] = "/run/containers/storage";
        _cleanup_free_ char *graph = NULL, *run = NULL;
        int r;

        r = configured(q->state, &graph, &run);
        if (r >= 0)
                r = read_store(q, graph && graph[0] == '/' ? graph : default_graph, "");
        if (r >= 0)
                r = read_store(q, run && run[0] == '/' ? run : default_run, "");
        /* Made under an older configuration. */
        if (r >= 0 && !q->found_bundle && graph && !STR_EQ(graph, default_graph))
                r = read_store(q, default_graph, "");
        if (r >= 0 && !q->found_bundle && run && !STR_EQ(run, default_run))
                r = read_store(q, default_run, "");
        return r;
}

static int read_rootless(Store *q) {
        char run[64];
        int r;

        r = read_store(q, q->state->home, ".local/share/containers/storage");
        if (r < 0)
                return r;
        (void)snprintf(run, sizeof(run), "%u/containers", q->state->query->uid);
        return read_store(q, "/run/user", run);
}

static int read_containers_storage(State *s, OciFlavor flavor) {
        Store q = { .state = s, .flavor = flavor };
        int r;

        r = s->query->rootless ? read_rootless(&q) : read_rootful(&q);
        if (r < 0)
                return r;
        if (!q.found_name && !q.found_bundle && s->problem.len == 0)
                state_problem(s, "no state of this container in containers/storage");
        return 0;
}

int state_podman_read(State *s) { return read_containers_storage(s, OCI_PODMAN); }

int state_crio_read(State *s) { return read_containers_storage(s, OCI_CRIO); }
