/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lets go of what a guard that is gone held back: one-shot programs over the file of leases. Frozen ones are thawed as
 * soon as the guard has stopped (the thaw helper has done so already, unless it was killed together with it); throttles when no
 * guard came back within LEASE_SPAN_USEC, and when the package goes.
 *
 * The cgroup must still be the one of the lease (id), and a file is only written while it holds the lease's value.
 */

#include <fcntl.h>
#include <stdio.h>

#include "fdio.h"
#include "guard.h"
#include "host.h"

typedef struct Unlease {
        HostFacts host;
        Leases *leases;
        int root;
        bool frozen_only;
        size_t n_given, n_failed;
} Unlease;

/* 1: it was written; 0: there was nothing to do. `to`, NULL: what it is again, for people. */
static int thaw(int fd, const Lease *l, Buf *to) {
        int r = act_thaw(fd, l->cgroup_id);

        buf_puts(to, "thawed");
        return r == ACT_THAWED ? 1 : r == CG_GONE ? 0 : r;
}

static int give_back(int fd, const Lease *l, uint64_t page_size, Buf *to) {
        _cleanup_(limit_set_deinit) LimitSet now = LIMIT_SET_INIT, set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf text = BUF_INIT;
        const OverlayLease o = { l->knob, l->value, l->beneath, l->period, l->beneath_period, false, false };
        LimitFile file = limit_info(l->knob.limit)->file;
        LimitEntry e;
        usec_t period;
        int r;

        r = cg_read_limit_file(fd, file, &now);
        if (r != 0 || !overlay_give_back(&o, &now, page_size, &e, &period))
                return r == CG_GONE ? 0 : r;
        r = limit_set_put(&set, e.knob, e.value, 0);
        if (r >= 0 && e.knob.limit == LIMIT_CPU_QUOTA)
                r = limit_set_put(&set, (LimitKnob){ LIMIT_CPU_PERIOD, 0 }, period, 0);
        if (r >= 0)
                r = limits_format_file(file, e.knob.dev, &set, &now, &text);
        if (r >= 0)
                r = act_write(fd, l->cgroup_id, limit_file_name(file), buf_str(&text));
        (void)limit_format_knob(e.knob, to);
        buf_puts(to, " is ");
        (void)limit_format_value(e.knob.limit, e.value, to);
        buf_puts(to, " again");
        return r == 0 ? 1 : r == CG_GONE ? 0 : r;
}

int unlease_one(int root, const Lease *l, uint64_t page_size, Buf *to) {
        _cleanup_fd_ int fd =
                openat(root, l->path[1] ? l->path + 1 : ".", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return l->kind == LEASE_FREEZE ? thaw(fd, l, to) : give_back(fd, l, page_size, to);
}

static void let_go(Unlease *u, const Lease *l) {
        _cleanup_buf_ Buf to = BUF_INIT;
        int r = unlease_one(u->root, l, u->host.page_size, &to);

        if (r < 0) {
                fprintf(stderr, "bailiffd: %s: could not be given back: %s\n", l->path, strerror(-r));
                u->n_failed++;
                return;
        }
        if (r > 0)
                printf("%s: %s\n", l->path, buf_str(&to));
        u->n_given++;
        (void)leases_remove(u->leases, l->cgroup_id, l->kind, l->knob);
}

void unlease_over(const ThawPast *past, Leases *leases) {
        const LimitKnob none = {};
        const Lease *l;

        for (size_t i = 0; (l = leases_next(leases, &i));)
                if (l->kind == LEASE_FREEZE && thaw_past_over(past, l->cgroup_id))
                        (void)leases_remove(leases, l->cgroup_id, LEASE_FREEZE, none);
}

int unlease(const GuardConfig *config, bool frozen_only) {
        Unlease u = { .root = -1, .frozen_only = frozen_only };
        ThawPast past;
        const Lease *l;
        int r;

        thaw_past_read(config->run_dir, &past);
        r = host_read(config->cgroup_root, "/proc", "/sys", &u.host);
        if (r >= 0)
                r = leases_open(config->run_dir, u.host.boot_id, false, &u.leases);
        if (r == -ENOENT)
                return 0;
        if (r >= 0 && (u.root = open(config->cgroup_root, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
                r = -errno;
        if (r < 0)
                fprintf(stderr, "bailiffd: the leases in %s cannot be read: %s\n", config->run_dir,
                        strerror(-r));
        if (r >= 0)
                unlease_over(&past, u.leases);
        for (size_t i = 0; r >= 0 && (l = leases_next(u.leases, &i));)
                if (!frozen_only || l->kind == LEASE_FREEZE)
                        let_go(&u, l);
        if (r >= 0 && (u.n_given > 0 || !frozen_only))
                printf("%zu leases given back%s\n", u.n_given,
                       u.n_failed ? ", some could not be: see above" : "");
        leases_free(u.leases);
        fd_close(u.root);
        return r < 0 ? r : u.n_failed ? -EIO : 0;
}

int unlease_alone(const GuardConfig *config, bool frozen_only) {
        _cleanup_fd_ int lock = guard_lock(config->run_dir);

        if (lock == -EALREADY) {
                puts("a guard runs: leases are its business");
                return 0;
        }
        return lock < 0 ? lock : unlease(config, frozen_only);
}
