/* SPDX-License-Identifier: Apache-2.0 */

/*
 * OCI runtime bundles: config.json (opencontainers/runtime-spec, config.md and
 * config-linux.md), and the two engines that keep nothing else on disk.
 *
 *   containerd  /run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID;
 *               what CRI knows of a container is in the annotations
 *   CRI-O       /run/containers/storage/overlay-containers/ID/userdata
 *
 * podman and Docker have such a bundle too; there it only says the limits.
 */

#include <stdio.h>
#include <sys/sysmacros.h>

#include "state.h"

static int64_t int_or_zero(const json_t *j, const char *key) {
        int64_t v = 0;

        (void)state_json_int(j, key, &v);
        return v;
}

static int add_throttles(State *s, const json_t *block, const char *key, Limit limit) {
        json_t *list = state_json_array(block, key), *e;
        size_t i;

        json_array_foreach(list, i, e) {
                int64_t major, minor, rate;
                int r;

                if (!state_json_int(e, "major", &major) || !state_json_int(e, "minor", &minor) ||
                    !state_json_int(e, "rate", &rate) || major < 0 || major > 0xfff || minor < 0 ||
                    minor > 0xfffff) {
                        s->n_dropped++;
                        continue;
                }
                r = state_add_device_limit(s, limit, makedev((unsigned)major, (unsigned)minor), rate);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_block_io(State *s, const json_t *block) {
        static const struct {
                const char *key;
                Limit limit;
        } throttles[] = {
                { "throttleReadBpsDevice", LIMIT_IO_READ_BANDWIDTH_MAX },
                { "throttleWriteBpsDevice", LIMIT_IO_WRITE_BANDWIDTH_MAX },
                { "throttleReadIOPSDevice", LIMIT_IO_READ_IOPS_MAX },
                { "throttleWriteIOPSDevice", LIMIT_IO_WRITE_IOPS_MAX },
        };

        for (size_t i = 0; i < ARRAY_SIZE(throttles); i++) {
                int r = add_throttles(s, block, throttles[i].key, throttles[i].limit);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_resources(State *s, const json_t *resources) {
        const json_t *memory = state_json_object(resources, "memory");
        const json_t *cpu = state_json_object(resources, "cpu");
        const json_t *block = state_json_object(resources, "blockIO");
        json_t *unified = state_json_object(resources, "unified"), *v;
        StateAsked a = {
                .memory = int_or_zero(memory, "limit"),
                .reservation = int_or_zero(memory, "reservation"),
                .memory_and_swap = int_or_zero(memory, "swap"),
                .quota = int_or_zero(cpu, "quota"),
                .period = int_or_zero(cpu, "period"),
                .burst = int_or_zero(cpu, "burst"),
                .shares = int_or_zero(cpu, "shares"),
                .pids = int_or_zero(state_json_object(resources, "pids"), "limit"),
                .blkio_weight = int_or_zero(block, "weight"),
        };
        const char *file;
        int r;

        r = state_add_asked(s, &a);
        if (r < 0)
                return r;
        r = add_block_io(s, block);
        if (r < 0)
                return r;
        /* Written by the runtime after all others, so they win. */
        json_object_foreach(unified, file, v) {
                if (!json_is_string(v))
                        continue;
                r = state_add_limit_file(s, file, json_string_value(v));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_containerd(State *s, const json_t *annotations) {
        const char *type = state_json_string(annotations, "io.kubernetes.cri.container-type");
        const char *name = state_json_string(annotations, "io.kubernetes.cri.container-name");
        const char *image = state_json_string(annotations, "io.kubernetes.cri.image-name");
        int r;

        if (!name && type && STR_EQ(type, "sandbox")) {
                name = state_json_string(annotations, "io.kubernetes.cri.sandbox-name");
                image = state_json_string(annotations, "io.kubernetes.cri.podsandbox.image-name");
        }
        if (!name)
                name = state_json_string(annotations, "nerdctl/name");
        r = state_set(s, &s->info->name, name);
        if (r >= 0)
                r = state_set(s, &s->info->image, image);
        if (r >= 0)
                r = state_add_labels(s, annotations);
        return r;
}

static int add_crio(State *s, const json_t *annotations) {
        const char *type = state_json_string(annotations, "io.kubernetes.cri-o.ContainerType");
        const char *name = state_json_string(annotations, "io.kubernetes.container.name");
        const char *text = state_json_string(annotations, "io.kubernetes.cri-o.Labels");
        _cleanup_json_ json_t *labels = NULL;
        int r;

        if (type && STR_EQ(type, "sandbox"))
                name = state_json_string(annotations, "io.kubernetes.pod.name");
        r = state_set(s, &s->info->name, name);
        if (r >= 0)
                r = state_set(s, &s->info->image,
                              state_json_string(annotations, "io.kubernetes.cri-o.ImageName"));
        if (r < 0 || !text)
                return r;
        if (state_json_load(text, strlen(text), &labels) < 0 || !json_is_object(labels)) {
                s->n_dropped++;
                return 0;
        }
        return state_add_labels(s, labels);
}

int state_oci_parse(State *s, OciFlavor flavor, const char *data, size_t len) {
        _cleanup_json_ json_t *j = NULL;
        const json_t *annotations;
        int r;

        r = state_json_load(data, len, &j);
        if (r < 0)
                return r;
        if (!json_is_object(j))
                return -EINVAL;
        r = add_resources(s, state_json_object(state_json_object(j, "linux"), "resources"));
        if (r < 0 || flavor == OCI_LIMITS_ONLY)
                return r;
        annotations = state_json_object(j, "annotations");
        r = state_set_signal(s, state_json_string(annotations, "org.opencontainers.image.stopSignal"));
        if (r < 0)
                return r;
        if (flavor == OCI_CONTAINERD)
                return add_containerd(s, annotations);
        if (flavor == OCI_CRIO)
                return add_crio(s, annotations);
        return 0;
}

int state_oci_read_bundle(State *s, OciFlavor flavor, const StateDir *d, const char *shown, bool *ret_found) {
        _cleanup_state_file_ StateFile f = STATE_FILE_INIT;
        _cleanup_free_ char *path = NULL;
        int r;

        if (asprintf(&path, "%s/config.json", shown) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        *ret_found = false;
        r = state_read_file(s, d, "config.json", &f);
        if (r >= 0) {
                r = state_oci_parse(s, flavor, f.data, f.len);
                if (r == -ENOMEM)
                        return r;
        }
        if (r < 0) {
                state_problem_file(s, path, r);
                return 0;
        }
        state_used(s, &f, true);
        *ret_found = true;
        return s->info->source ? 0 : state_set_source(s, path);
}

/* ---- containerd ---- */

static const char *const task_dirs[] = {
        "/run/containerd/io.containerd.runtime.v2.task",
        "/run/k3s/containerd/io.containerd.runtime.v2.task",
};

typedef struct TaskSearch {
        State *state;
        const StateDir *dir;
        const char *shown;
        OciFlavor flavor;
        bool found;
} TaskSearch;

/* 1: the container is of this namespace. */
static int try_namespace(void *user, const char *namespace) {
        TaskSearch *t = user;
        _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
        _cleanup_free_ char *below = NULL, *shown = NULL;
        int r;

        if (asprintf(&below, "%s/%s", namespace, t->state->query->id) < 0) {
                below = NULL;
                return -ENOMEM;
        }
        if (state_open_below(t->state, t->dir, below, &d) < 0)
                return 0;
        if (asprintf(&shown, "%s/%s", t->shown, below) < 0) {
                shown = NULL;
                return -ENOMEM;
        }
        r = state_oci_read_bundle(t->state, t->flavor, &d, shown, &t->found);
        if (r >= 0 && t->flavor != OCI_LIMITS_ONLY)
                r = state_read_pid(t->state, &d, "init.pid");
        return r < 0 ? r : 1;
}

/* namespace NULL: whichever has it. */
static int read_task(State *s, const char *namespace, OciFlavor flavor, bool *ret_found) {
        int r = 0;

        *ret_found = false;
        for (size_t i = 0; i < ARRAY_SIZE(task_dirs) && r == 0; i++) {
                _cleanup_state_dir_ StateDir d = STATE_DIR_INIT;
                TaskSearch t = { .state = s, .dir = &d, .shown = task_dirs[i], .flavor = flavor };

                if (state_open_dir(s, task_dirs[i], &d) < 0)
                        continue;
                r = namespace ? try_namespace(&t, namespace) : state_list_dir(&d, try_namespace, &t);
                if (r < 0 && r != -ENOMEM)
                        r = 0;
                *ret_found = t.found;
        }
        return r < 0 ? r : 0;
}

int state_containerd_read_limits(State *s, const char *namespace, bool *ret_found) {
        return read_task(s, namespace, OCI_LIMITS_ONLY, ret_found);
}

int state_containerd_read(State *s) {
        bool found;
        int r;

        if (s->query->rootless) {
                state_problem(s, "rootless containerd keeps its state inside a user namespace");
                return 0;
        }
        r = read_task(s, NULL, OCI_CONTAINERD, &found);
        if (r >= 0 && !found && s->problem.len == 0)
                state_problem(s, "no bundle of this container under %s", task_dirs[0]);
        return r;
}
