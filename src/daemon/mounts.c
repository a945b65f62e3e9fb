/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Disks that come later than the guard.
 *
 * An IO limit's path stands for the disk below it, looked up when policy is
 * loaded. Where a file system is mounted there later (nofail, network, by hand)
 * the limit would stay with the disk that the directory was on. So the kernel's
 * mount table is watched (proc(5): POLLPRI), and when it has changed the loader's
 * child looks the paths up anew. Hosts mount for each container: changes are
 * collected, and nothing is done unless a path leads to another disk now.
 */

#include <fcntl.h>

#include "fdio.h"
#include "guard.h"

#define MOUNTS_SETTLE (2 * USEC_PER_SEC) /* from a change to the look */
#define MOUNTS_APART (10 * USEC_PER_SEC) /* from one look to the next */

static void look_later(Guard *g) {
        int on = SD_EVENT_OFF;

        (void)sd_event_source_get_enabled(g->mounts_timer, &on);
        if (on != SD_EVENT_OFF)
                return;
        (void)sd_event_source_set_time(g->mounts_timer,
                                       MAX_OF(guard_now(g) + MOUNTS_SETTLE, g->mounts_after));
        (void)sd_event_source_set_enabled(g->mounts_timer, SD_EVENT_ONESHOT);
}

static bool same_disk(const PolicyDevice *a, const PolicyDevice *b) {
        return a->result == b->result && a->dev == b->dev && a->writeback == b->writeback &&
               STR_EQ(a->name, b->name);
}

/* Says what is another. Both are of one policy: the same paths in the same order. */
static bool tell_changes(Guard *g, const LoadedPolicy *now) {
        bool changed = false;

        for (size_t i = 0; i < now->n_devices && i < g->loaded->n_devices; i++) {
                const PolicyDevice *a = &g->loaded->devices[i], *b = &now->devices[i];

                if (same_disk(a, b))
                        continue;
                changed = true;
                announce(g, ANNOUNCE_POLICY_LOADED, NULL, NULL, NULL,
                         "mounts have changed: %s is on %s now, was on %s; its limits follow", a->path,
                         b->dev ? b->name : "no disk", a->dev ? a->name : "none");
        }
        return changed;
}

static void looked(Guard *g, void *user, int result, LoadedPolicy *now) {
        (void)user;
        /* Where it hung on a dead mount the next change is soon enough. */
        if (result == -ECANCELED)
                look_later(g);
        else if (result >= 0 && tell_changes(g, now))
                loader_take_devices(g, now);
        loaded_policy_free(now);
}

static int on_due(sd_event_source *s, uint64_t usec, void *user) {
        Guard *g = user;

        (void)s;
        (void)usec;
        g->mounts_after = guard_now(g) + MOUNTS_APART;
        if (loader_resolve(g, looked, NULL) < 0)
                look_later(g);
        return 0;
}

static int on_mounts(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Guard *g = user;

        (void)s;
        (void)fd;
        (void)revents;
        if (g->loaded && g->loaded->n_devices > 0)
                look_later(g);
        return 0;
}

/* Before policy is loaded: what is mounted from then on is seen. */
int mounts_start(Guard *g) {
        _cleanup_fd_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        r = sd_event_add_time(g->event, &g->mounts_timer, CLOCK_MONOTONIC, 0, 0, on_due, g);
        if (r >= 0)
                r = sd_event_source_set_enabled(g->mounts_timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(g->event, &g->mounts_source, fd, EPOLLPRI, on_mounts, g);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(g->mounts_source, true);
        if (r < 0)
                return r;
        (void)steal_fd(&fd);
        return 0;
}
