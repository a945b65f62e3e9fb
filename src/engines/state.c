/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One question answered from state files: chooses the engine's reader
 * (state-docker.c, state-podman.c, state-oci.c, state-machine.c).
 *
 * Nothing in a state file is fatal. What is missing, too long or absurd is left
 * out and said in `problem`; only want of memory is an error.
 */

#include <fcntl.h>

#include "fdio.h"
#include "state.h"

static int read_engine(State *s) {
        ContainerInfo *i = s->info;

        switch (s->query->engine) {
        case ENGINE_DOCKER:
                i->labels_in_files = true;
                return state_docker_read(s);
        case ENGINE_PODMAN:
                return state_podman_read(s);
        case ENGINE_CONTAINERD:
                i->labels_in_files = true;
                return state_containerd_read(s);
        case ENGINE_CRIO:
                i->labels_in_files = true;
                return state_crio_read(s);
        case ENGINE_NSPAWN:
                return state_machine_read(s);
        case ENGINE_LXC:
                return state_lxc_read(s);
        default:
                return 0; /* builds and plain units: no engine keeps state for them */
        }
}

/* Engines whose container is called as its cgroup says. */
static bool named_by_cgroup(Engine e) { return e == ENGINE_NSPAWN || e == ENGINE_LXC; }

static int read_in_state(State *s) {
        const NamesQuery *q = s->query;
        int r;

        if (q->rootless) {
                const StateUser *u;

                r = q->uid == (uid_t)-1 ? 0 : state_user_get(s->config->root, q->uid, &u);
                if (r < 0 && r != -EAGAIN)
                        return r;
                if (q->uid == (uid_t)-1 || !u || !u->home || u->home[0] != '/') {
                        state_problem(s, "uid %u has no home to look in", q->uid);
                        return 0;
                }
                s->home = strdup(u->home);
                if (!s->home)
                        return -ENOMEM;
        }
        return read_engine(s);
}

int state_init(State *s, const NamesConfig *c, const NamesQuery *q) {
        *s = (State){ .config = c, .query = q, .root_fd = -1 };
        s->info = calloc(1, sizeof(*s->info));
        if (!s->info)
                return -ENOMEM;
        s->info->engine = q->engine;
        s->root_fd = open(c->root && *c->root ? c->root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return s->root_fd < 0 ? -errno : 0;
}

void state_deinit(State *s) {
        s->info = container_info_free(s->info);
        s->root_fd = fd_close(s->root_fd);
        buf_deinit(&s->problem);
        free(s->home);
        s->home = NULL;
}

int state_read(const NamesConfig *c, const NamesQuery *q, ContainerInfo **ret) {
        _cleanup_state_ State s;
        ContainerInfo *i;
        int r;

        r = state_init(&s, c, q);
        if (r < 0)
                return r;
        i = s.info;
        if (!q->id || !state_id_valid(q->id))
                state_problem(&s, "the cgroup's name holds no usable id");
        else {
                if (named_by_cgroup(q->engine))
                        r = state_set(&s, &i->name, q->id);
                if (r >= 0)
                        r = read_in_state(&s);
                if (r < 0)
                        return r;
        }
        if (s.n_dropped > 0)
                state_problem(&s, "%u labels, names or limits left out: too long, too many or malformed",
                              s.n_dropped);
        i->trusted = !q->rootless && !s.untrusted && (s.n_used > 0 || named_by_cgroup(q->engine));
        if (s.problem.len > 0) {
                i->problem = buf_steal(&s.problem);
                if (!i->problem)
                        return -ENOMEM;
        }
        *ret = steal_ptr(s.info);
        return 0;
}

static int copy_groups(const StateUser *u, char ***ret) {
        char **groups;
        size_t n = 0;

        while (u->groups && u->groups[n])
                n++;
        groups = calloc(n + 1, sizeof(char *));
        if (!groups)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                groups[i] = strdup(u->groups[i]);
                if (!groups[i]) {
                        for (size_t k = 0; k < i; k++)
                                free(groups[k]);
                        free(groups);
                        return -ENOMEM;
                }
        }
        *ret = groups;
        return 0;
}

int state_read_user(const NamesConfig *c, uid_t uid, ContainerInfo *info) {
        _cleanup_free_ char *name = NULL;
        const StateUser *u;
        char **groups;
        int r;

        if (uid == (uid_t)-1)
                return 0;
        r = state_user_get(c->root, uid, &u);
        if (r < 0)
                return r == -EAGAIN ? 0 : r;
        if (r == 0) { /* no name, and in no group: that much is known */
                info->groups = calloc(1, sizeof(*info->groups));
                return info->groups ? 0 : -ENOMEM;
        }
        name = strdup(u->name);
        if (!name)
                return -ENOMEM;
        r = copy_groups(u, &groups);
        if (r < 0)
                return r;
        info->user_name = steal_ptr(name);
        info->groups = groups;
        return 0;
}

int names_read(const NamesConfig *c, const NamesQuery *q, ContainerInfo **ret) {
        _cleanup_(cleanup_container_info_free) ContainerInfo *info = NULL;
        int r;

        r = state_read(c, q, &info);
        if (r < 0)
                return r;
        r = state_read_user(c, q->uid, info);
        if (r < 0)
                return r;
        *ret = steal_ptr(info);
        return 0;
}
