/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel wakes us when somebody stalls (PSI triggers), instead of being looked at
 * once a second: on the host, on tenants' slices, and on containers whose policy asks for it. Each cgroup with
 * triggers costs a kernel thread, so both have a bound.
 *
 * What a trigger does is to have those looked at that may be the cause or the sufferer; what it means is judged from
 * samples. The file of a removed cgroup signals an error for ever: its source is dropped at the first one.
 */

#include <unistd.h>

#include "guard.h"

#define SLICES_MAX 64
#define CONTAINERS_MAX 64
#define WINDOW PSI_WINDOW_MIN
#define STALL_PERMYRIAD_MIN 1000 /* less of half a second is noise */
#define HOST_STALL_PERMYRIAD 1000
/* The kernel fires once a window at most, and mostly before a stall is long enough to be harm: so after it has fired it is
 * looked once more, and again. */
#define FOLLOWS 6
#define FOLLOW_USEC (120 * USEC_PER_MSEC)

enum { OF_HOST, OF_SLICES, OF_CONTAINERS };

static const unsigned bits[_PSI_MAX] = {
        [PSI_CPU] = TRIGGER_CPU, [PSI_IO] = TRIGGER_IO, [PSI_MEMORY] = TRIGGER_MEMORY
};
static const unsigned targets_of[_PSI_MAX] = {
        [PSI_CPU] = 0, [PSI_IO] = 1, [PSI_MEMORY] = 2
}; /* in Settings */

static void drop(Trigger *t) { t->source = sd_event_source_disable_unref(t->source); }

static bool has_any(const Target *t) {
        for (PsiResource r = 0; r < _PSI_MAX; r++)
                if (t->m.triggers[r].source)
                        return true;
        return false;
}

static size_t *count_of(Guard *g, const Target *t) {
        return &g->measure->stats.n_triggers[t->container ? OF_CONTAINERS : OF_SLICES];
}

static int on_follow(sd_event_source *s, uint64_t due, void *user) {
        Guard *g = user;

        (void)due;
        if (g->measure->search)
                measure_search(g);
        else
                measure_sweep(g);
        if (g->measure->follows > 0 && --g->measure->follows > 0) {
                (void)sd_event_source_set_time(s, clock_monotonic() + FOLLOW_USEC);
                (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        } else
                g->measure->search = false;
        return 0;
}

static void follow(Guard *g) {
        Measure *m = g->measure;
        bool idle = m->follows == 0;
        usec_t when = clock_monotonic() + FOLLOW_USEC;

        m->follows = FOLLOWS;
        if (!idle)
                return;
        if (!m->follow)
                (void)sd_event_add_time(g->event, &m->follow, CLOCK_MONOTONIC, when, USEC_PER_MSEC, on_follow,
                                        g);
        else if (sd_event_source_set_time(m->follow, when) >= 0)
                (void)sd_event_source_set_enabled(m->follow, SD_EVENT_ONESHOT);
        if (!m->follow)
                m->follows = 0;
}

void triggers_search(Guard *g) {
        g->measure->search = true;
        follow(g);
}

static int on_trigger(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Trigger *trigger = user;
        Guard *g = trigger->guard;

        (void)s;
        (void)fd;
        if (psi_trigger_is_dead(revents)) {
                g->measure->stats.n_lost++;
                drop(trigger);
                if (trigger->target && !has_any(trigger->target))
                        (*count_of(g, trigger->target))--;
                return 0;
        }
        g->measure->stats.n_fired++;
        /* Who suffers is looked at, and so is everybody who may be to blame: the judge needs both as they are now. */
        if (trigger->target)
                measure_wake(g, trigger->target, TIER_WHY_TRIGGER);
        measure_sweep(g);
        follow(g);
        return 0;
}

/* 0; CG_GONE; negative errno. */
static int start(Guard *g, Trigger *trigger, Target *t, PsiResource r, int dirfd, unsigned permyriad) {
        int fd = -1, k;

        k = psi_trigger_open(dirfd, t != NULL, r, WINDOW * permyriad / 10000, WINDOW, &fd);
        if (k != 0)
                return k;
        *trigger = (Trigger){ .guard = g, .target = t, .resource = r, .permyriad = permyriad };
        k = sd_event_add_io(g->event, &trigger->source, fd, EPOLLPRI, on_trigger, trigger);
        if (k < 0) {
                (void)close(fd);
                return k;
        }
        (void)sd_event_source_set_io_fd_own(trigger->source, true);
        return 0;
}

static void failed(Guard *g, const Target *t, int error) {
        g->measure->stats.n_refused++;
        if (g->measure->triggers_told)
                return;
        g->measure->triggers_told = true;
        announce(g, ANNOUNCE_DEGRADED, t, NULL, NULL,
                 "%s: the kernel takes no pressure trigger (%s): stalls are seen by looking once a second",
                 t ? target_name(t) : "this host", strerror(-error));
}

void triggers_drop(Guard *g, Target *t) {
        if (has_any(t))
                (*count_of(g, t))--;
        for (PsiResource r = 0; r < _PSI_MAX; r++)
                drop(&t->m.triggers[r]);
}

void triggers_update(Guard *g, Target *t) {
        unsigned wanted =
                t->container ? t->settings.pressure_trigger : TRIGGER_CPU | TRIGGER_IO | TRIGGER_MEMORY;
        size_t *n = count_of(g, t);
        bool had = has_any(t), has;
        int k;

        if (!g->host.psi || t->settings.mode == MODE_OFF)
                wanted = 0;
        for (PsiResource r = 0; r < _PSI_MAX; r++) {
                unsigned permyriad =
                        MAX_OF(t->settings.pressure_target[targets_of[r]], (unsigned)STALL_PERMYRIAD_MIN);
                Trigger *trigger = &t->m.triggers[r];

                if (!(wanted & bits[r]) || trigger->permyriad != permyriad)
                        drop(trigger);
                if (!(wanted & bits[r]) || trigger->source)
                        continue;
                if (!had && *n >= (t->container ? CONTAINERS_MAX : SLICES_MAX)) {
                        g->measure->stats.n_refused++;
                        break;
                }
                k = start(g, trigger, t, r, t->node->fd, permyriad);
                if (k < 0)
                        failed(g, t, k);
        }
        has = has_any(t);
        if (has && !had)
                (*n)++;
        if (had && !has)
                (*n)--;
}

void triggers_start_host(Guard *g) {
        int k = 0;

        if (!g->host.psi)
                return;
        for (PsiResource r = 0; r < _PSI_MAX && k >= 0; r++) {
                k = start(g, &g->measure->host_triggers[r], NULL, r, g->measure->proc, HOST_STALL_PERMYRIAD);
                if (k < 0)
                        failed(g, NULL, k);
        }
        g->measure->stats.n_triggers[OF_HOST] = k >= 0;
}

void triggers_drop_host(Guard *g) {
        for (PsiResource r = 0; r < _PSI_MAX; r++)
                drop(&g->measure->host_triggers[r]);
}
