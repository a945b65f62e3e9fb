/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One-shot programs that work from the ledger, with no guard running: shares
 * lapse when the guard has been gone for a minute (bailiff-lapse.timer), and
 * everything is given back when the package goes.
 *
 * The same care as in the guard: the cgroup must still be the one that the ledger
 * means (id), and a file is only written while it still holds our value; whatever somebody
 * else put there since is theirs. Then systemd is told, so that a
 * daemon-reload does not bring our value back, and our drop-ins are removed.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "guard.h"
#include "host.h"

#define BUS_PATIENCE (30 * USEC_PER_SEC)

typedef struct Key {
        uint64_t cgroup_id;
        LimitKnob knob;
        bool done;
} Key;

typedef struct Lapse {
        HostFacts host;
        Ledger *ledger;
        sd_event *event;
        sd_bus *bus;
        Manager *manager;
        int root;
        bool shares_only;
        size_t n_given, n_failed;
        Key *keys; /* of the records that are our business: the ledger changes while we go through it */
        size_t n_keys, keys_alloc;
        /* one unit at a time */
        LimitSet values;
        char unit[256];
        bool waiting, connected;
} Lapse;

static uint64_t value_of(const Lapse *l, const LedgerRecord *r) {
        if (l->shares_only)
                return r->lapse;
        return r->have_want ? r->want : limit_info(r->knob.limit)->unset;
}

/* Of a rewrite that the guard did not live to see done the ledger has both values. */
static bool is_ours(const Lapse *l, const LedgerRecord *r, uint64_t actual) {
        return limit_equal(r->knob.limit, actual, r->ours, l->host.page_size) ||
               (r->have_other && limit_equal(r->knob.limit, actual, r->other, l->host.page_size));
}

/* Where the engine's own limit is tighter than ours was: the kernel would kill at once. */
static bool would_kill(LimitKnob knob, uint64_t value, int fd) {
        CgUsage use = {};

        return knob.limit == LIMIT_MEMORY_MAX && value != LIMIT_INFINITY &&
               cg_read_occupancy(fd, &use) == 0 && use.have_memory && !RECON_FITS(use.memory_bytes, value);
}

/* 1: given back; 0: nothing to do; -EBUSY: more is in use; another negative errno. */
static int give_back(Lapse *l, const LedgerRecord *r, int fd) {
        const LimitInfo *info = limit_info(r->knob.limit);
        _cleanup_(limit_set_deinit) LimitSet now = LIMIT_SET_INIT, one = LIMIT_SET_INIT;
        _cleanup_buf_ Buf text = BUF_INIT, from = BUF_INIT, to = BUF_INIT, knob = BUF_INIT;
        uint64_t actual = LIMIT_INFINITY, value = value_of(l, r);
        int k;

        k = cg_read_limit_file(fd, info->file, &now);
        if (k != 0)
                return k == CG_GONE ? 0 : k;
        (void)limit_set_get(&now, r->knob, &actual);
        if (!is_ours(l, r, actual) || limit_equal(r->knob.limit, actual, value, l->host.page_size))
                return 0;
        if (would_kill(r->knob, value, fd))
                return -EBUSY;
        k = limit_set_put(&one, r->knob, value, 0);
        if (k >= 0)
                k = limits_format_file(info->file, r->knob.dev, &one, &now, &text);
        if (k >= 0)
                k = cg_write(fd, limit_file_name(info->file), buf_str(&text));
        if (k != 0)
                return k < 0 ? k : 0;
        (void)limit_format_knob(r->knob, &knob);
        (void)limit_format_value(r->knob.limit, actual, &from);
        (void)limit_format_value(r->knob.limit, value, &to);
        printf("%s: %s from %s to %s\n", r->path, buf_str(&knob), buf_str(&from), buf_str(&to));
        return 1;
}

static int open_cgroup(Lapse *l, const LedgerRecord *r) {
        struct stat st;
        int fd = openat(l->root, r->path[1] ? r->path + 1 : ".",
                        O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -1;
        if (fstat(fd, &st) < 0 || st.st_ino != r->cgroup_id)
                return fd_close(fd);
        return fd;
}

static void set_done(void *user, uint64_t cookie, int result) {
        Lapse *l = user;

        l->waiting = false;
        if (result == 0 && !l->shares_only) {
                for (size_t i = l->values.n; i-- > 0;) {
                        LimitKnob knob = l->values.entries[i].knob;
                        const LedgerRecord *r = ledger_find(l->ledger, cookie, knob);

                        if (r && r->foreign_dropin)
                                (void)limit_set_remove(&l->values, knob);
                }
                (void)dropins_remove("", l->unit, &l->values);
        }
        l->n_failed += result < 0;
}

static void unit_done(void *user, uint64_t cookie, int result, const UnitInfo *u) {
        Lapse *l = user;

        /* A guard that was stopped soon may have had no time to learn the name for the ledger. */
        if (result == 0)
                (void)snprintf(l->unit, sizeof(l->unit), "%s", u->name);
        if (result != 0 || manager_set_limits(l->manager, u, &l->values, 0, set_done, l, cookie) < 0) {
                l->waiting = false;
                l->n_failed += result < 0;
        }
}

static void run_until(Lapse *l, const bool *flag, bool value) {
        usec_t end = clock_monotonic() + BUS_PATIENCE;

        while (*flag != value && clock_monotonic() < end)
                if (sd_event_run(l->event, 100 * USEC_PER_MSEC) < 0)
                        return;
}

/* On a host that is as busy as those where somebody was held back until a moment ago. */
static void connect_bus(Lapse *l) {
        if (sd_bus_open_system(&l->bus) < 0 || sd_bus_attach_event(l->bus, l->event, 0) < 0)
                return;
        (void)manager_set_bus(l->manager, l->bus);
        run_until(l, &l->connected, true);
        if (l->connected)
                return;
        fputs("bailiffd: systemd does not answer: a daemon-reload may bring limits back\n", stderr);
        l->n_failed++;
}

/* All knobs of one unit in one call. */
static void tell_systemd(Lapse *l, const LedgerRecord *first) {
        limit_set_clear(&l->values);
        for (size_t i = 0; i < l->n_keys; i++) {
                const LedgerRecord *r = l->keys[i].cgroup_id == first->cgroup_id
                                                ? ledger_find(l->ledger, first->cgroup_id, l->keys[i].knob)
                                                : NULL;

                if (r && r->property && l->keys[i].done)
                        (void)limit_set_put(&l->values, r->knob, value_of(l, r), 0);
        }
        if (l->values.n == 0 || !l->connected)
                return;
        l->waiting = true;
        if (manager_get_unit(l->manager, first->path, unit_done, l, first->cgroup_id) < 0) {
                l->waiting = false;
                l->n_failed++;
                return;
        }
        run_until(l, &l->waiting, false);
        l->n_failed += l->waiting;
}

static void on_connected(void *user) { ((Lapse *)user)->connected = true; }
static void on_reloading(void *user, bool active) {
        (void)user;
        (void)active;
}

static int collect(Lapse *l) {
        const LedgerRecord *r;
        size_t i = 0;

        while ((r = ledger_next(l->ledger, &i))) {
                if (l->shares_only && !r->share)
                        continue;
                if (GROW(l->keys, l->n_keys, l->keys_alloc) < 0)
                        return -ENOMEM;
                l->keys[l->n_keys++] = (Key){ .cgroup_id = r->cgroup_id, .knob = r->knob };
        }
        return 0;
}

static void kernel_back(Lapse *l, Key *key) {
        const LedgerRecord *r = ledger_find(l->ledger, key->cgroup_id, key->knob);
        _cleanup_fd_ int fd = r ? open_cgroup(l, r) : -1;
        int given;

        if (fd < 0) {
                key->done = true; /* the cgroup is gone, and the limit with it */
                return;
        }
        given = give_back(l, r, fd);
        l->n_given += given > 0;
        key->done = given >= 0;
        if (given < 0) {
                fprintf(stderr, "bailiffd: %s: %s cannot be given back: %s\n", r->path,
                        limit_info(key->knob.limit)->key,
                        given == -EBUSY ? "more than that is in use" : strerror(-given));
                l->n_failed++;
        }
}

/* What the next guard finds: a lapsed share is our value still, but no lease; what was released is nobody's. */
static void settle_record(Lapse *l, const Key *key) {
        const LedgerRecord *old = ledger_find(l->ledger, key->cgroup_id, key->knob);
        LedgerRecord r;

        if (!old || !key->done)
                return;
        if (!l->shares_only ||
            old->lapse == (old->have_want ? old->want : limit_info(key->knob.limit)->unset)) {
                (void)ledger_remove(l->ledger, key->cgroup_id, &key->knob);
                return;
        }
        r = *old;
        r.ours = r.lapse;
        r.share = false;
        (void)ledger_put(l->ledger, &r);
}

static int run(const GuardConfig *config, bool shares_only) {
        static const ManagerOps ops = { .connected = on_connected, .reloading = on_reloading };
        Lapse l = { .root = -1, .shares_only = shares_only };
        _cleanup_fd_ int lock = -1;
        uint64_t last = 0;
        int k;

        lock = guard_lock(config->run_dir);
        if (lock == -EALREADY) {
                puts(shares_only
                             ? "a guard runs: shares are its business"
                             : "a guard runs: stop it first, or ask it with: bailiffctl release --ceilings");
                return shares_only ? 0 : -EALREADY;
        }
        if (lock < 0)
                return lock;
        /* Leases lie over ceilings: off first. With shares only those that freeze, if any is left by now. */
        (void)unlease(config, shares_only);
        k = host_read(config->cgroup_root, "/proc", "/sys", &l.host);
        if (k >= 0)
                k = ledger_open(config->run_dir, l.host.boot_id, false, &l.ledger);
        if (k < 0) {
                if (k == -ENOENT) {
                        puts("nothing to give back: no ledger");
                        return 0;
                }
                fprintf(stderr, "bailiffd: the ledger in %s cannot be read: %s\n", config->run_dir,
                        strerror(-k));
                return k;
        }
        l.root = open(config->cgroup_root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (l.root < 0)
                k = -errno;
        if (k >= 0)
                k = sd_event_new(&l.event);
        if (k >= 0)
                k = manager_new(&ops, &l, &l.manager);
        if (k >= 0)
                k = collect(&l);
        /* The kernel first, all of it: that is what the tenants feel. */
        for (size_t i = 0; k >= 0 && i < l.n_keys; i++)
                kernel_back(&l, &l.keys[i]);
        if (k >= 0 && !shares_only && !config->no_bus && l.n_keys > 0)
                connect_bus(&l);
        /* Systemd was never told of a share; a call now would write the unit's properties over what is not in
         * them: the ceilings that were just given back. */
        for (size_t i = 0; k >= 0 && !shares_only && i < l.n_keys; i++) {
                const LedgerRecord *r = ledger_find(l.ledger, l.keys[i].cgroup_id, l.keys[i].knob);

                if (r && r->property && r->cgroup_id != last) {
                        last = r->cgroup_id;
                        tell_systemd(&l, r);
                }
        }
        for (size_t i = 0; k >= 0 && i < l.n_keys; i++)
                settle_record(&l, &l.keys[i]);
        if (k >= 0)
                printf("%zu limits given back%s\n", l.n_given,
                       l.n_failed ? ", some could not be: see above" : "");
        manager_free(l.manager);
        sd_bus_close_unref(l.bus);
        sd_event_unref(l.event);
        ledger_free(l.ledger);
        limit_set_deinit(&l.values);
        free(l.keys);
        fd_close(l.root);
        return k < 0 ? k : l.n_failed ? -EIO : 0;
}

int lapse_shares(const GuardConfig *config) { return run(config, true); }

int lapse_release(const GuardConfig *config) { return run(config, false); }
