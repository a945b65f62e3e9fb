/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Set-up, the loop and its beats.
 *
 * Order at start: helpers first (they keep nothing of us), then host facts, ledger, policy,
 * the tree, the bus. Enforcement begins when names are known or two seconds have
 * passed (`settled`), so that a restart neither flaps shares nor holds by the strictest
 * candidate what the ledger already knows.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "config.h"
#include "fdio.h"
#include "guard.h"
#include "host.h"

Mode guard_host_mode(const Guard *g, const char **ret_reason) {
        const PolicyValue *v = g->loaded ? &g->loaded->policy->host.values[PK_MODE] : NULL;
        Mode m = v && v->set ? (Mode)v->u : MODE_OBSERVE;
        const char *why =
                v && v->set ? "[Host] Mode= of the policy" : "no [Host] Mode= in the policy: observe";

        if (g->config.observe && m > MODE_OBSERVE) {
                m = MODE_OBSERVE;
                why = "--observe";
        }
        if (g->host.cmdline_observe && m > MODE_OBSERVE) {
                m = MODE_OBSERVE;
                why = "bailiff.mode=observe on the kernel command line";
        }
        if (g->host.cmdline_off) {
                m = MODE_OFF;
                why = "bailiff.mode=off on the kernel command line";
        }
        if (!(g->host.cgroup2 && g->host.controllers) && m > MODE_OBSERVE) {
                m = MODE_OBSERVE;
                why = "this host has no cgroup v2 controllers";
        }
        if (ret_reason)
                *ret_reason = why;
        return m;
}

void guard_update_status(Guard *g) {
        size_t containers = 0, drifted = 0, i = 0;
        char line[sizeof(g->status_line)];
        Target *t;

        while ((t = map_next(&g->targets, &i))) {
                containers += t->container;
                for (size_t k = 0; k < t->recon.n; k++)
                        if (t->recon.knobs[k].state == KNOB_DRIFTED) {
                                drifted++;
                                break;
                        }
        }
        (void)snprintf(line, sizeof(line), "%s%s, mode %s; %zu containers of %zu tenants, %zu drifted",
                       g->paused ? "PAUSED; " : "",
                       g->policy_ok   ? "policy ok"
                       : g->last_good ? "POLICY REFUSED, last good one in force"
                                      : "POLICY REFUSED",
                       mode_to_string(guard_host_mode(g, NULL)), containers, g->tenants.n, drifted);
        if (STR_EQ(line, g->status_line))
                return;
        memcpy(g->status_line, line, sizeof(line));
        (void)sd_notifyf(0, "STATUS=%s", line);
}

/* ---- what this host lacks, and rivals ---- */

static int add_string(char ***list, size_t *n, const char *s) {
        char **grown = reallocarray(*list, *n + 1, sizeof(*grown)), *copy = strdup(s);

        if (grown)
                *list = grown;
        if (!grown || !copy) {
                free(copy);
                return -ENOMEM;
        }
        grown[(*n)++] = copy;
        return 0;
}

static void list_missing(Guard *g) {
        const HostFacts *h = &g->host;
        const struct {
                bool missing;
                const char *text;
        } all[] = {
                { !h->cgroup2,
                  "no cgroup v2 hierarchy is mounted: containers can neither be found nor held" },
                { h->cgroup2 && h->controllers == 0, "the cgroup v2 hierarchy has no controllers (hybrid or "
                                                     "legacy boot): ceilings cannot be held; boot with "
                                                     "systemd.unified_cgroup_hierarchy=1" },
                { h->controllers && !(h->controllers & CONTROLLER_CPU),
                  "no cpu controller: CPUQuota, CPUWeight do not bite" },
                { h->controllers && !(h->controllers & CONTROLLER_MEMORY),
                  "no memory controller: memory ceilings do not bite" },
                { h->controllers && !(h->controllers & CONTROLLER_IO),
                  "no io controller: IO ceilings do not bite" },
                { h->controllers && !(h->controllers & CONTROLLER_PIDS),
                  "no pids controller: TasksMax does not bite" },
                { !h->psi, "no pressure information (PSI): boot with psi=1; ceilings work, pressure cannot "
                           "be judged" },
                { h->cgroup2 && !h->io_cost && !h->io_bfq,
                  "neither io.cost nor bfq is in use: IOWeight does not bite" },
                { h->swap_bytes == 0,
                  "no swap: MemorySwapMax has nothing to limit, MemoryHigh can only drop page cache" },
                { !h->user_io_delegated,
                  "io is not delegated to user managers: IO ceilings below them do not bite" },
                { !h->systemd_running,
                  "systemd is not PID 1: limits are written to the kernel's files only" },
                { h->in_container, "this guard runs in a container itself: it sees only a part of the host" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (all[i].missing)
                        (void)add_string(&g->missing, &g->n_missing, all[i].text);
}

static void list_rivals(Guard *g) {
        static const char *const names[] = {
                "systemd-oomd.service",   "oomd.service",    "earlyoom.service", "nohang.service",
                "nohang-desktop.service", "kubelet.service", "k3s.service",      "koordlet.service"
        };
        TreeNode *n;
        size_t i = 0;

        while ((n = tree_next(g->tree, &i)))
                for (size_t k = 0; k < ARRAY_SIZE(names); k++)
                        if (STR_EQ(cgpath_basename(n->path), names[k]))
                                (void)add_string(&g->rivals, &g->n_rivals, names[k]);
}

/* ---- event sources ---- */

static int on_tree(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Guard *g = user;
        bool more;

        (void)s;
        (void)fd;
        (void)revents;
        (void)tree_dispatch(g->tree, &more); /* level-triggered: what is left comes again */
        if (g->n_queue > 0)
                (void)sd_event_source_set_enabled(g->work, SD_EVENT_ONESHOT);
        return 0;
}

static int on_writer(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Guard *g = user;

        (void)s;
        (void)fd;
        (void)revents;
        (void)writer_dispatch(g->writer, guard_now(g));
        return 0;
}

static int on_names(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Guard *g = user;

        (void)s;
        (void)fd;
        (void)revents;
        (void)names_dispatch(g->names, guard_now(g));
        return 0;
}

static int on_run_dir(sd_event_source *s, int fd, uint32_t revents, void *user) {
        char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

        (void)s;
        (void)revents;
        while (read(fd, buf, sizeof(buf)) > 0)
                ;
        control_check_pause(user, NULL);
        return 0;
}

static int on_work(sd_event_source *s, void *user) {
        Guard *g = user;

        (void)s;
        enforce_work(g, guard_now(g));
        return 0;
}

static void settle(Guard *g, usec_t now) {
        size_t pending = names_n_pending(g->names);

        if (g->settled || (pending > 0 && now < g->settle_until))
                return;
        g->settled = true;
        (void)sd_event_source_set_enabled(g->work, SD_EVENT_ONESHOT);
}

/* It ends by itself when the last good policy is saved. */
static void reap_saver(Guard *g) {
        if (g->saver.pid <= 0 || waitpid(g->saver.pid, NULL, WNOHANG) != g->saver.pid)
                return;
        fd_close(g->saver.fd);
        g->saver = CHILD_INIT;
}

static int on_beat(sd_event_source *s, uint64_t due, void *user) {
        Guard *g = user;
        usec_t now = guard_now(g);

        /* Lateness of the beat is what a long turn of the loop costs everybody. */
        if (now > due && now - due > g->longest_stall)
                g->longest_stall = now - due;
        /* Deadlines and restarts of the helpers. */
        (void)writer_dispatch(g->writer, now);
        (void)names_dispatch(g->names, now);
        (void)child_grave_reap(&g->grave);
        reap_saver(g);
        control_beat(g, now);
        if (now >= g->next_rescan) {
                /* Finds what a full fd table or watch table had hidden. */
                g->next_rescan = now + GUARD_RESCAN_USEC;
                (void)tree_rescan(g->tree);
        }
        world_beat(g, now);
        listening_beat(g, now);
        judging_beat(g, now);
        measure_beat(g, now, now > due ? now - due : 0);
        settle(g, now);
        enforce_beat(g, now);
        (void)journal_flush(g->journal);
        guard_update_status(g);
        (void)sd_event_source_set_enabled(g->work, SD_EVENT_ONESHOT);
        (void)sd_event_source_set_time(s, now + GUARD_BEAT_USEC);
        (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

static int on_prepare(sd_event_source *s, void *user) {
        Guard *g = user;

        (void)s;
        g->n_iterations++;
        return 0;
}

static void hup_done(Guard *g, void *user, int result, const char *report) {
        (void)g;
        (void)user;
        (void)result;
        (void)report;
        (void)sd_notify(0, "READY=1");
}

static int on_hup(sd_event_source *s, const struct signalfd_siginfo *si, void *user) {
        Guard *g = user;

        (void)s;
        (void)si;
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_monotonic());
        loader_reload(g, hup_done, NULL, NULL);
        return 0;
}

static void on_reloading(void *user, bool active) {
        Guard *g = user;
        size_t i = 0;
        Target *t;

        if (active)
                return;
        g->last_reload = guard_now(g);
        while ((t = map_next(&g->targets, &i)))
                enforce_queue(g, t);
}

static void on_manager(void *user) {
        Guard *g = user;
        size_t i = 0;
        Target *t;

        /* A new PID 1 or a new bus: units are the same, what we knew of them may not be. */
        while ((t = map_next(&g->targets, &i))) {
                t->unit_state = TARGET_UNIT_UNKNOWN;
                enforce_queue(g, t);
        }
}

static int on_device(void *user, const char *path, dev_t *ret) { return world_device(user, path, ret); }

static const ManagerOps manager_ops = { .resolve_device = on_device,
                                        .reloading = on_reloading,
                                        .connected = on_manager };

static int add_sources(Guard *g) {
        sigset_t mask;
        int r;

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGTERM);
        (void)sigaddset(&mask, SIGINT);
        (void)sigaddset(&mask, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        r = sd_event_add_signal(g->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(g->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(g->event, NULL, SIGHUP, on_hup, g);
        if (r >= 0)
                r = sd_event_add_defer(g->event, &g->work, on_work, g);
        if (r >= 0)
                r = sd_event_source_set_enabled(g->work, SD_EVENT_OFF);
        /* Work yields to news: what came in since may change what is to be done. */
        if (r >= 0)
                r = sd_event_source_set_priority(g->work, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_add_time(g->event, &g->beat, CLOCK_MONOTONIC,
                                      clock_monotonic() + GUARD_BEAT_USEC, 20000, on_beat, g);
        if (r >= 0)
                r = sd_event_source_set_prepare(g->beat, on_prepare);
        if (r >= 0)
                r = sd_event_add_io(g->event, &g->tree_source, tree_get_fd(g->tree), EPOLLIN, on_tree, g);
        if (r >= 0)
                r = sd_event_add_io(g->event, &g->writer_source, writer_get_fd(g->writer), EPOLLIN, on_writer,
                                    g);
        if (r >= 0)
                r = sd_event_add_io(g->event, &g->names_source, names_get_fd(g->names), EPOLLIN, on_names, g);
        if (r >= 0 && g->pause_watch >= 0)
                r = sd_event_add_io(g->event, &g->pause_source, g->pause_watch, EPOLLIN, on_run_dir, g);
        return r;
}

int guard_lock(const char *run_dir) {
        _cleanup_fd_ int dir = -1, fd = -1;

        if (mkdir(run_dir, 0755) < 0 && errno != EEXIST)
                return -errno;
        dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EALREADY : -errno;
        return steal_fd(&fd);
}

static int open_ledger(Guard *g) {
        LedgerStats stats;
        int r;

        r = ledger_open(g->config.run_dir, g->host.boot_id, false, &g->ledger);
        if (r < 0)
                return r;
        ledger_get_stats(g->ledger, &stats);
        if (stats.n_damaged > 0 || stats.set_aside)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the ledger of ceilings in %s was %s; values that were there before us may be "
                         "unknown",
                         g->config.run_dir,
                         stats.set_aside ? "of another version and set aside" : "damaged in part");
        return 0;
}

int guard_new(const GuardConfig *config, Guard **ret) {
        _cleanup_(cleanup_guard_free) Guard *g = calloc(1, sizeof(*g));
        int r;

        if (!g)
                return -ENOMEM;
        g->config = *config;
        g->pause_watch = -1;
        g->wake_at = USEC_INFINITY;
        g->lock = -1;
        g->saver = CHILD_INIT;
        g->started_realtime = clock_realtime();
        g->events = calloc(EVENTS_MAX, sizeof(*g->events));
        if (!g->events)
                return -ENOMEM;
        g->lock = guard_lock(config->run_dir);
        if (g->lock < 0)
                return g->lock;
        /* Helpers before everything else: small, and nothing of ours to inherit. */
        r = names_new(&(NamesConfig){ .root = config->names_root }, &g->names);
        if (r >= 0)
                r = writer_new(&g->writer);
        if (r >= 0)
                r = journal_new(config->journal_socket, "bailiffd", config->foreground, &g->journal);
        if (r >= 0)
                r = sd_event_default(&g->event);
        if (r >= 0)
                r = host_read(config->cgroup_root, "/proc", "/sys", &g->host);
        if (r >= 0)
                r = manager_new(&manager_ops, g, &g->manager);
        if (r >= 0)
                r = tree_new(config->cgroup_root, &world_tree_ops, g, &g->tree);
        if (r >= 0)
                r = open_ledger(g);
        if (r >= 0)
                r = measure_new(g);
        if (r >= 0)
                r = judging_new(g);
        if (r >= 0)
                r = listening_new(g);
        if (r < 0)
                return r;
        list_missing(g);
        g->pause_watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (g->pause_watch >= 0)
                (void)inotify_add_watch(g->pause_watch, config->run_dir,
                                        IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_CLOSE_WRITE);
        r = add_sources(g);
        if (r < 0)
                return r;
        (void)control_load(g);
        r = mounts_start(g);
        if (r < 0)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "mounts cannot be watched (%s): IO limits of what is mounted later need a reload",
                         strerror(-r));
        r = loader_boot(g);
        if (r < 0)
                return r;
        g->settle_until = clock_monotonic() + GUARD_SETTLE_USEC;
        g->shares_from = clock_monotonic() + GUARD_SHARES_USEC;
        g->next_rescan = clock_monotonic() + GUARD_RESCAN_USEC;
        r = tree_rescan(g->tree);
        if (r < 0)
                return r;
        measure_settled(g);
        list_rivals(g);
        (void)bus_start(g);
        *ret = steal_ptr(g);
        return 0;
}

Guard *guard_free(Guard *g) {
        Tenant *tenant;
        size_t i = 0;
        Target *t;

        if (!g)
                return NULL;
        g->loader = loader_free(g->loader);
        child_kill(&g->saver, &g->grave);
        listening_free(g);
        bus_stop(g);
        manager_free(g->manager);
        names_free(g->names);
        writer_free(g->writer);
        while ((t = map_next(&g->targets, &i))) {
                if (g->measure)
                        measure_close(g, t);
                target_free(t);
        }
        judging_free(g);
        map_deinit(&g->targets);
        i = 0;
        while ((tenant = map_next(&g->tenants, &i)))
                tenant_free(tenant);
        map_deinit(&g->tenants);
        measure_free(g);
        tree_free(g->tree);
        ledger_free(g->ledger);
        loaded_policy_free(g->loaded);
        kept_holds_deinit(&g->kept_holds);
        for (i = 0; i < g->n_events; i++)
                event_deinit(&g->events[(g->events_head + i) % EVENTS_MAX]);
        free(g->events);
        for (i = 0; i < g->n_missing; i++)
                free(g->missing[i]);
        free(g->missing);
        for (i = 0; i < g->n_rivals; i++)
                free(g->rivals[i]);
        free(g->rivals);
        free(g->policy_report);
        free(g->queue);
        sd_event_source_disable_unref(g->beat);
        sd_event_source_disable_unref(g->work);
        sd_event_source_disable_unref(g->wake);
        sd_event_source_disable_unref(g->tree_source);
        sd_event_source_disable_unref(g->writer_source);
        sd_event_source_disable_unref(g->names_source);
        sd_event_source_disable_unref(g->pause_source);
        sd_event_source_disable_unref(g->mounts_source);
        sd_event_source_disable_unref(g->mounts_timer);
        fd_close(g->pause_watch);
        fd_close(g->lock);
        journal_free(g->journal);
        sd_event_unref(g->event);
        free(g);
        return NULL;
}

int guard_run(Guard *g) {
        _cleanup_buf_ Buf lacks = BUF_INIT;
        int r;

        for (size_t i = 0; i < g->n_missing; i++)
                buf_printf(&lacks, "\n  missing: %s", g->missing[i]);
        for (size_t i = 0; i < g->n_rivals; i++)
                buf_printf(&lacks, "\n  rival: %s runs on this host too; two guards act twice", g->rivals[i]);
        announce(g, ANNOUNCE_START, NULL, NULL, NULL, "bailiffd %s started on kernel %s, mode %s%s",
                 BAILIFF_VERSION, g->host.kernel, mode_to_string(guard_host_mode(g, NULL)), buf_str(&lacks));
        (void)sd_event_set_watchdog(g->event, true);
        (void)sd_notify(0, "READY=1");
        guard_update_status(g);
        r = sd_event_loop(g->event);
        (void)sd_notify(0, "STOPPING=1");
        return r;
}
