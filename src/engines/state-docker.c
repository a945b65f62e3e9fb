/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Docker: DATA-ROOT/containers/ID/config.v2.json says who a container is,
 * hostconfig.json what was asked for it. The data root is what the caller
 * names, what /etc/docker/daemon.json says (if only root can write that), or
 * one of the usual places; with userns-remap it is DATA-ROOT/UID.GID. A
 * rootless daemon has its own under the user's home.
 *
 * Where hostconfig.json cannot be read, the runtime's bundle says the limits.
 */

#include <stdio.h>

#include "num.h"
#include "state.h"

#define HEALTH_MAX 200

/* ---- texts ---- */

/* ["CMD-SHELL", "curl localhost"] → the command, in one short line. */
static int set_health_check(State *s, const json_t *config) {
        json_t *test = state_json_array(state_json_object(config, "Healthcheck"), "Test"), *e;
        const char *kind = json_string_value(json_array_get(test, 0));
        _cleanup_buf_ Buf text = BUF_INIT;
        size_t i, cut;

        if (!kind || STR_EQ(kind, "NONE"))
                return 0;
        json_array_foreach(test, i, e) {
                const char *word = json_string_value(e);

                if (i == 0 || !word || text.len > HEALTH_MAX)
                        continue;
                if (text.len > 0)
                        buf_putc(&text, ' ');
                for (; *word && text.len <= HEALTH_MAX; word++)
                        buf_putc(&text, (unsigned char)*word < 0x20 || *word == 0x7f ? ' ' : *word);
        }
        if (buf_error(&text) < 0)
                return -ENOMEM;
        if (text.len == 0)
                buf_puts(&text, "yes");
        if (text.len > HEALTH_MAX) {
                /* Not in the middle of a character. */
                for (cut = HEALTH_MAX; cut > 0 && ((unsigned char)text.data[cut] & 0xc0) == 0x80; cut--)
                        ;
                text.data[cut] = '\0';
        }
        if (!state_text_valid(buf_str(&text), false))
                return state_set(s, &s->info->health_check, "yes");
        return state_set(s, &s->info->health_check, buf_str(&text));
}

int state_docker_parse_config(State *s, const char *data, size_t len) {
        _cleanup_json_ json_t *j = NULL;
        const json_t *config;
        const char *name;
        int64_t pid;
        int r;

        r = state_json_load(data, len, &j);
        if (r < 0)
                return r;
        if (!json_is_object(j))
                return -EINVAL;
        config = state_json_object(j, "Config");
        name = state_json_string(j, "Name");
        if (name && name[0] == '/')
                name++;
        r = state_set(s, &s->info->name, name);
        if (r >= 0)
                r = state_set(s, &s->info->image, state_json_string(config, "Image"));
        if (r >= 0)
                r = state_add_labels(s, state_json_object(config, "Labels"));
        if (r >= 0)
                r = set_health_check(s, config);
        if (r >= 0)
                r = state_set_signal(s, state_json_string(config, "StopSignal"));
        if (r < 0)
                return r;
        if (state_json_int(state_json_object(j, "State"), "Pid", &pid) && pid > 0 && pid <= INT32_MAX)
                s->info->main_pid = (pid_t)pid;
        return 0;
}

static int add_throttles(State *s, const json_t *host, const char *key, Limit limit) {
        json_t *list = state_json_array(host, key), *e;
        size_t i;

        json_array_foreach(list, i, e) {
                const char *path = state_json_string(e, "Path");
                int64_t rate;
                dev_t dev;
                int r;

                if (i >= NAMES_DEVICE_LIMITS_MAX)
                        break;
                if (!path || !state_json_int(e, "Rate", &rate) || state_stat_block(s, path, &dev) < 0) {
                        s->n_dropped++;
                        continue;
                }
                r = state_add_device_limit(s, limit, dev, rate);
                if (r < 0)
                        return r;
        }
        return 0;
}

int state_docker_parse_hostconfig(State *s, const char *data, size_t len) {
        static const struct {
                const char *key;
                Limit limit;
        } throttles[] = {
                { "BlkioDeviceReadBps", LIMIT_IO_READ_BANDWIDTH_MAX },
                { "BlkioDeviceWriteBps", LIMIT_IO_WRITE_BANDWIDTH_MAX },
                { "BlkioDeviceReadIOps", LIMIT_IO_READ_IOPS_MAX },
                { "BlkioDeviceWriteIOps", LIMIT_IO_WRITE_IOPS_MAX },
        };
        _cleanup_json_ json_t *j = NULL;
        StateAsked a = {};
        int64_t nano = 0;
        int r;

        r = state_json_load(data, len, &j);
        if (r < 0)
                return r;
        if (!json_is_object(j))
                return -EINVAL;
        (void)state_json_int(j, "Memory", &a.memory);
        (void)state_json_int(j, "MemoryReservation", &a.reservation);
        (void)state_json_int(j, "MemorySwap", &a.memory_and_swap);
        (void)state_json_int(j, "CpuQuota", &a.quota);
        (void)state_json_int(j, "CpuPeriod", &a.period);
        (void)state_json_int(j, "CpuShares", &a.shares);
        (void)state_json_int(j, "BlkioWeight", &a.blkio_weight);
        /* null: not asked; 0 and -1 both mean unlimited here, unlike in OCI. */
        if (state_json_int(j, "PidsLimit", &a.pids) && a.pids <= 0)
                a.pids = -1;
        if (state_json_int(j, "NanoCpus", &nano) && nano > 0) {
                /* --cpus, as dockerd turns it into a quota */
                a.period = 100000;
                a.quota = (int64_t)num_muldiv((uint64_t)nano, 100000, 1000000000);
        }
        r = state_add_asked(s, &a);
        for (size_t i = 0; i < ARRAY_SIZE(throttles) && r >= 0; i++)
                r = add_throttles(s, j, throttles[i].key, throttles[i].limit);
        return r;
}

int state_docker_parse_daemon(const char *data, size_t len, char **ret_data_root) {
        _cleanup_json_ json_t *j = NULL;
        const char *root;
        char *copy;
        int r;

        r = state_json_load(data, len, &j);
        if (r < 0)
                return r;
        root = state_json_string(j, "data-root");
        if (!root)
                root = state_json_string(j, "graph"); /* its name until 17.05 */
        if (!root || root[0] != '/')
                return -ENOENT;
        copy = strdup(root);
        if (!copy)
                return -ENOMEM;
        *ret_data_root = copy;
        return 0;
}

/* ---- files ---- */

static int read_hostconfig(State *s, const StateDir *d, const char *shown) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        _cleanup_free_ char *path = NULL;
        bool found = false;
        int r;

        r = state_read_file(s, d, "hostconfig.json", &f);
        if (r >= 0) {
                r = state_docker_parse_hostconfig(s, f.data, f.len);
                if (r == -ENOMEM)
                        return r;
        }
        if (r >= 0) {
                state_used(s, &f, true);
                return 0;
        }
        limit_set_clear(&s->info->requested);
        if (!s->query->rootless) {
                int q = state_containerd_read_limits(s, "moby", &found);

                if (q < 0)
                        return q;
        }
        if (asprintf(&path, "%s/hostconfig.json", shown) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        state_problem_file(s, path, r);
        if (found)
                state_problem(s, "limits are from the runtime's bundle");
        return 0;
}

static int read_container(State *s, const StateDir *d, const char *shown) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/config.v2.json", shown) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = state_read_file(s, d, "config.v2.json", &f);
        if (r >= 0) {
                r = state_docker_parse_config(s, f.data, f.len);
                if (r == -ENOMEM)
                        return r;
        }
        if (r < 0)
                state_problem_file(s, path, r);
        else {
                state_used(s, &f, false);
                r = state_set_source(s, path);
                if (r < 0)
                        return r;
                if (!s->info->name)
                        state_problem(s, "%s: gives no usable name", path);
        }
        return read_hostconfig(s, d, shown);
}

typedef struct Search {
        State *state;
        const StateDir *root;
        const char *shown; /* of the data root */
} Search;

/* 1: found (and read, or its problem told). remap: "165536.165536", or NULL. */
static int try_root(const Search *q, const char *remap) {
        _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
        _cleanup_free_ char *below = NULL, *shown = NULL;
        int r;

        if (asprintf(&below, "%s%scontainers/%s", remap ? remap : "", remap ? "/" : "", q->state->query->id) <
            0) {
                below = NULL;
                return -ENOMEM;
        }
        if (asprintf(&shown, "%s/%s", q->shown, below) < 0) {
                shown = NULL;
                return -ENOMEM;
        }
        r = state_open_below(q->state, q->root, below, &d);
        if (r == -ENOENT)
                return 0;
        if (r < 0) {
                state_problem_file(q->state, shown, r);
                return 0;
        }
        r = read_container(q->state, &d, shown);
        return r < 0 ? r : 1;
}

static int try_remapped(void *user, const char *name) {
        const char *p = name, *end = name + strlen(name);
        uint64_t id;

        if (num_scan_u64(&p, end, &id) < 0 || *p != '.')
                return 0;
        p++;
        if (num_scan_u64(&p, end, &id) < 0 || p != end)
                return 0;
        return try_root(user, name);
}

/* 1: found. */
static int read_root(State *s, const StateDir *d, const char *shown) {
        Search q = { .state = s, .root = d, .shown = shown };
        int r;

        r = try_root(&q, NULL);
        if (r == 0)
                r = state_list_dir(d, try_remapped, &q);
        return r < 0 && r != -ENOMEM ? 0 : r;
}

/* NULL: it says none, or anybody but root could have written it. */
static int configured_root(State *s, char **ret) {
        _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        int r;

        *ret = NULL;
        if (state_open_dir(s, "/etc/docker", &d) < 0 || state_read_file(s, &d, "daemon.json", &f) < 0 ||
            !f.trusted)
                return 0;
        r = state_docker_parse_daemon(f.data, f.len, ret);
        return r == -ENOMEM ? r : 0;
}

static int read_rootful(State *s, const char *const *roots) {
        for (size_t i = 0; roots && roots[i]; i++) {
                _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
                int r;

                if (state_open_dir(s, roots[i], &d) < 0)
                        continue;
                r = read_root(s, &d, roots[i]);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int read_rootless(State *s) {
        static const char below[] = ".local/share/docker";
        _cleanup_state_dir_ StateDir home = STATE_DIR_INIT, d = STATE_DIR_INIT;
        _cleanup_free_ char *shown = NULL;
        int r;

        if (asprintf(&shown, "%s/%s", s->home, below) < 0) {
                shown = NULL;
                return -ENOMEM;
        }
        r = state_open_dir(s, s->home, &home);
        if (r >= 0)
                r = state_open_below(s, &home, below, &d);
        if (r < 0) {
                if (r != -ENOENT)
                        state_problem_file(s, shown, r);
                return 0;
        }
        return read_root(s, &d, shown);
}

int state_docker_read(State *s) {
        static const char *const usual[] = {
                "/var/lib/docker",
                "/var/snap/docker/common/var-lib-docker",
                NULL,
        };
        _cleanup_free_ char *configured = NULL;
        bool found;
        int r;

        if (s->query->rootless)
                r = read_rootless(s);
        else {
                r = configured_root(s, &configured);
                if (r < 0)
                        return r;
                r = read_rootful(s, s->config->docker_roots);
                if (r == 0)
                        r = read_rootful(s, (const char *const[]){ configured, NULL });
                if (r == 0)
                        r = read_rootful(s, usual);
        }
        if (r != 0)
                return r < 0 ? r : 0;
        if (!s->query->rootless) {
                r = state_containerd_read_limits(s, "moby", &found);
                if (r < 0)
                        return r;
        }
        if (s->problem.len == 0)
                state_problem(s, "no state of this container under %s",
                              configured ? configured
                              : s->home  ? s->home
                                         : usual[0]);
        return 0;
}
