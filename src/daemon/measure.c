/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Looking at cgroups and accounting what was seen.
 *
 * Each second a beat begins: the host and the directories that hold many containers are read, and
 * then, some a turn of the loop so that nobody waits for a thousand of them, every
 * container and tenant's slice that its tier (core/tier) says is due:
 *
 *   beat → containers that are due → cold ones whose directory used CPU that nobody explains → slices
 *
 * Slices come last: what a slice has counted then includes all that its containers were seen to use, and the rest
 * is what nobody saw.
 *
 * A look is accounted at once, in everything that wants to know (book, baseline, rates, tier, history, books' file). A
 * container whose last process has gone (cgroup.events, which the kernel tells through inotify as long as somebody holds
 * the file's inode: hence the pin) is read a last time while its directory is still there; when that goes, its
 * book is closed and folded into its tenant's (ledgers.c).
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fdio.h"
#include "guard.h"

#define LOOKS_PER_TURN 64
/* Containers with kept fds: about ten fds each, 5 KB of kernel memory each. */
#define KEPT_CGROUPS_MAX 128
/* A directory with fewer children is not worth a look of its own. */
#define PARENT_CHILDREN_MIN 8
#define SWEEP_PROBES 64
/* Looking out of turn is at most this part of the time, in the long run; CPU time, so that a busy host does not make us blind. */
#define SWEEPS_PART 20
#define SWEEPS_BURST (200 * USEC_PER_MSEC)
#define SWEEP_LEAST USEC_PER_MSEC
#define SWEEP_AGE (2 * USEC_PER_SEC)
/* Likewise looking at who hit a limit. */
#define HITS_PART 100
#define HITS_BURST (100 * USEC_PER_MSEC)
#define SEARCH_USEC (200 * USEC_PER_MSEC)
#define SWEEP_BACKOFF_MAX 16
#define OWN_USEC (10 * USEC_PER_SEC)
/* A cold one with a lent share is probed so often: it must be seen to wake. */
#define LENT_USEC (2 * USEC_PER_SEC - USEC_PER_SEC / 4)
#define CLOSE_FILES (SAMPLE_FILES_ALL & ~SAMPLE_FILE_BIT(SAMPLE_FILE_CGROUP_EVENTS))

enum { ROUND_CONTAINERS, ROUND_SWEEP, ROUND_SLICES, ROUND_DONE };

/* ---- said once ---- */

static void tell_troubles(Guard *g, int error) {
        Measure *m = g->measure;
        TreeStats tree = {};
        MeterStats stats;

        meter_get_stats(m->meter, &stats);
        if (stats.psi_error < 0 && g->host.psi && !m->psi_told) {
                m->psi_told = true;
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the kernel gives no pressure information (%s): sampling goes on without it; boot "
                         "with psi=1",
                         strerror(-stats.psi_error));
        }
        if (stats.net_error < 0 && !m->net_told) {
                m->net_told = true;
                announce(
                        g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                        "what containers send and receive is not counted: which network is the host's cannot "
                        "be told (%s)",
                        strerror(-stats.net_error));
        }
        tree_get_stats(g->tree, &tree);
        if (tree.fd_failures > 0 && !m->tree_told) {
                m->tree_told = true;
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "some cgroups are neither held nor measured: too few file descriptors; LimitNOFILE= "
                         "of "
                         "bailiffd.service bounds them, each container takes two");
        }
        if (error < 0 && !m->fds_told) {
                m->fds_told = true;
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "some containers are measured in part only: %s; LimitNOFILE= of bailiffd.service "
                         "bounds its file descriptors",
                         strerror(-error));
        }
}

/* ---- directories that hold containers ---- */

static Parent *parent_get(Guard *g, TreeNode *node) {
        Measure *m = g->measure;
        Parent *p;

        if (!node)
                return NULL;
        p = map_get_u64(&m->parents, node->id);
        if (p)
                return p;
        p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;
        p->node = node;
        if (map_put_u64(&m->parents, node->id, p) < 0) {
                free(p);
                return NULL;
        }
        return p;
}

static void parent_drop(Guard *g, Parent *p) {
        size_t i = 0;
        Target *t;

        while (p->n_children > 0 && (t = map_next(&g->targets, &i)))
                if (t->m.parent == p) {
                        t->m.parent = NULL;
                        p->n_children--;
                }
        (void)map_remove_u64(&g->measure->parents, p->node->id);
        free(p);
}

void measure_parent_gone(Guard *g, const TreeNode *node) {
        Parent *p = map_get_u64(&g->measure->parents, node->id);

        if (p)
                parent_drop(g, p);
}

static void parent_leave(Guard *g, Target *t) {
        Parent *p = t->m.parent;

        t->m.parent = NULL;
        if (p && --p->n_children == 0)
                parent_drop(g, p);
}

/* What its subtree used since the last beat; nothing is known (have false) of those with few children. */
static void parent_look(Parent *p, usec_t now) {
        uint64_t before = p->usage;
        bool had = p->have;

        p->have = false;
        p->delta = p->explained = 0;
        p->sweep = 0;
        if (p->n_children < PARENT_CHILDREN_MIN || cg_read_cpu(p->node->fd, &p->usage) != 0)
                return;
        p->have = true;
        p->span = now - p->at;
        p->at = now;
        if (!had) {
                p->quiet_since = USEC_INFINITY;
                return;
        }
        p->delta = p->usage > before ? p->usage - before : 0;
        if (p->usage != before)
                p->quiet_since = USEC_INFINITY;
        else if (p->quiet_since == USEC_INFINITY)
                p->quiet_since = now - p->span;
}

/* ---- one look ---- */

/* Not worth a kept fd. */
#define RARE_FILES (SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_PIDS_PEAK))

static int look_at(Guard *g, Measured *m, uint32_t files, usec_t now) {
        uint32_t rare = files & RARE_FILES;
        int r;

        if (files & SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT)) {
                /* What a look reads replaces what is there; rates are from the one before, if that is long enough ago. */
                if (m->io_at > 0 && now - m->io_at >= RATE_SPAN_MIN) {
                        SampleIo was = m->meter.io;

                        m->meter.io = m->io_before;
                        m->io_before = was;
                        m->io_before_at = m->io_at;
                }
                m->io_at = now;
        }
        r = meter_look(g->measure->meter, &m->meter, files & ~rare, m->tier.level == TIER_HOT, now, &m->last);
        if (rare && r != CG_GONE) {
                int k = meter_look(g->measure->meter, &m->meter, rare | (files & METER_PROBE_MISSING), false,
                                   now, &m->last);

                r = k == CG_GONE || r == 0 ? k : r;
        }
        return r;
}

/* What is normal is learnt from looks that read the pressures themselves: one carried over would say calm. */
static void learn_calm(const Target *t, Measured *m, uint32_t files) {
        static const SampleField some[] = { SAMPLE_CPU_SOME, SAMPLE_MEMORY_SOME, SAMPLE_IO_SOME };
        const uint32_t pressures = SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_PRESSURE) |
                                   SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_PRESSURE) |
                                   SAMPLE_FILE_BIT(SAMPLE_FILE_IO_PRESSURE);
        Sample before = { .at = m->pressures_at };

        if ((files & pressures) != pressures)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(some); i++) {
                if (sample_has(&m->last, some[i]))
                        sample_put(&before, some[i], m->pressures[i]);
                m->pressures[i] = m->last.v[some[i]];
        }
        m->pressures_at = m->last.at;
        if (before.at > 0 && !judging_disturbs(t))
                baseline_feed(&m->baseline, &before, &m->last);
}

/* Everything that wants to know of a look. */
static void account(Guard *g, Target *t, const Sample *before, uint32_t files) {
        Measured *m = &t->m;
        bool first = before->at == 0;
        uint64_t delta;

        book_account(&m->book, first ? NULL : before, &m->last, m->born);
        if (!first && m->parent && sample_delta(before, &m->last, SAMPLE_CPU_USAGE, &delta))
                m->parent->explained += delta;
        rates_feed(&m->rates, &m->last, files);
        learn_calm(t, m, files);
        (void)demand_feed(&m->demand, &m->last, files, &m->meter.io);
        tier_step(&m->tier, first ? NULL : before, &m->last, files, t->id);
        if (m->tier.level == TIER_COLD)
                meter_cool(g->measure->meter, &m->meter);
        if (m->history != NO_HISTORY)
                (void)history_append(g->measure->history, m->history, &m->last, SAMPLE_ALL, clock_realtime());
        ledgers_save(g, t);
}

/* It went while it was read: what was read by then is all that will ever be known of it. */
static void account_gone(Guard *g, Target *t, const Sample *before, uint32_t files) {
        if (t->m.last.at != before->at)
                account(g, t, before, files);
}

/* Its last process has gone: once more, while the directory is there; nothing can be added to it any more. */
static void look_last(Guard *g, Target *t) {
        Measured *m = &t->m;
        Sample before = m->last;

        if (m->read_out)
                return;
        if (look_at(g, m, CLOSE_FILES, clock_monotonic()) == CG_GONE) {
                account_gone(g, t, &before, CLOSE_FILES);
                return;
        }
        m->read_out = true;
        account(g, t, &before, CLOSE_FILES);
}

/*
 * A rate of io needs two looks that are RATE_SPAN_MIN apart. Were it read again sooner, and sooner again, there would never be two:
 * under a lasting stall looks come several times a second. Whoever asks for all of it has it as it is now.
 */
static uint32_t without_early_io(const Measured *m, uint32_t files, usec_t now) {
        bool early = m->io_at > 0 && now - m->io_at < RATE_SPAN_MIN;

        return early && !(files & METER_PROBE_MISSING) ? files & ~SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT)
                                                       : files;
}

static void look(Guard *g, Target *t, uint32_t files) {
        Measured *m = &t->m;
        Sample before = m->last;
        usec_t now = clock_monotonic();
        uint32_t more = 0;
        int r;

        if ((files & tier_files_all()) == tier_files_all())
                files |= METER_PROBE_MISSING; /* a controller may have been enabled since */
        files = without_early_io(m, files, now);
        r = look_at(g, m, files, now);
        if (r == CG_GONE) {
                account_gone(g, t, &before, files);
                return; /* the tree says so in a moment */
        }
        if (r < 0)
                tell_troubles(g, r);
        if (before.at > 0 && m->tier.level == TIER_COLD && tier_probe_moved(&before, &m->last))
                more = without_early_io(m, tier_files_hot() & ~files, now);
        if (before.at > 0 && !(files & SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT)) &&
            tier_wants_memory_stat(&before, &m->last))
                more |= SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT);
        if (more && look_at(g, m, more, now) == CG_GONE) {
                account_gone(g, t, &before, files | more);
                return;
        }
        account(g, t, &before, files | more);
        if (!sample_has(&m->last, SAMPLE_POPULATED) || m->last.v[SAMPLE_POPULATED])
                m->read_out = false;
        else if ((files | more) & SAMPLE_FILE_BIT(SAMPLE_FILE_CGROUP_EVENTS))
                look_last(g, t);
}

/* ---- a beat's rounds ---- */

static uint32_t due(const Measure *m, const Target *t, usec_t now) {
        const Measured *x = &t->m;
        uint32_t files;

        switch (m->round) {
        case ROUND_CONTAINERS:
                if (!t->container)
                        return 0;
                files = tier_due(&x->tier, now);
                return files == 0 && t->lent && now - x->last.at >= LENT_USEC ? tier_files_probe() : files;
        case ROUND_SWEEP:
                return t->container && x->tier.level == TIER_COLD && x->parent && x->parent->sweep > 0 &&
                                       now - x->last.at >= SWEEP_AGE
                               ? tier_files_probe()
                               : 0;
        case ROUND_SLICES:
                return t->container ? 0 : tier_due(&x->tier, now);
        default:
                return 0;
        }
}

/* Nothing ran anywhere in its directory since the last look at it. */
static bool idle_with_parent(const Target *t, uint32_t files) {
        const Parent *p = t->m.parent;

        return t->m.tier.level == TIER_COLD && files == tier_files_probe() && p && p->have &&
               p->quiet_since != USEC_INFINITY && t->m.last.at >= p->quiet_since && t->m.last.at > 0;
}

/* CPU that nobody explains was used by cold ones, or by what is no container: after sweeps that found nothing,
 * more patience. */
static void grant_sweeps(Guard *g) {
        size_t i = 0;
        Parent *p;

        while ((p = map_next(&g->measure->parents, &i))) {
                p->sweep = 0;
                if (!p->have || !tier_unexplained(p->delta, p->explained, p->span))
                        continue;
                if (p->patience > 0) {
                        p->patience--;
                        continue;
                }
                p->sweep = SWEEP_PROBES;
                p->backoff = MIN_OF(p->backoff * 2 + 1, (unsigned)SWEEP_BACKOFF_MAX);
                p->patience = p->backoff;
        }
}

static void next_round(Guard *g) {
        Measure *m = g->measure;

        m->round++;
        m->cursor = 0;
        if (m->round == ROUND_SWEEP)
                grant_sweeps(g);
}

static int on_measure(sd_event_source *s, void *user) {
        Guard *g = user;
        Measure *m = g->measure;
        usec_t now = clock_monotonic(), cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        size_t looks = 0;
        Target *t;

        while (m->round < ROUND_DONE && looks < LOOKS_PER_TURN) {
                uint32_t files;

                t = map_next(&g->targets, &m->cursor);
                if (!t) {
                        next_round(g);
                        continue;
                }
                if (!t->m.attached || t->leaving)
                        continue;
                files = due(m, t, now);
                if (files == 0)
                        continue;
                if (idle_with_parent(t, files)) {
                        tier_skip(&t->m.tier, now, t->id);
                        continue;
                }
                if (m->round == ROUND_SWEEP)
                        t->m.parent->sweep--;
                look(g, t, files);
                if (m->round == ROUND_SWEEP && t->m.tier.level == TIER_HOT && t->m.parent)
                        t->m.parent->backoff = t->m.parent->patience = 0;
                looks++;
        }
        (void)sd_event_source_set_enabled(s, m->round < ROUND_DONE ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        if (m->swept)
                allowance_spend(&m->sweeps, clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu);
        if (m->round == ROUND_DONE) {
                m->swept = false;
                judging_step(g);
        }
        return 0;
}

void measure_due_now(Guard *g) {
        Measure *m = g->measure;

        if (m->round != ROUND_CONTAINERS) {
                m->round = ROUND_CONTAINERS;
                m->cursor = 0;
        }
        (void)sd_event_source_set_enabled(m->work, SD_EVENT_ONESHOT);
}

/* ---- the beat ---- */

static void look_at_host(Guard *g, usec_t now) {
        Measure *m = g->measure;
        bool early = m->host_io_at > 0 && now - m->host_io_at < RATE_SPAN_MIN; /* without_early_io() */

        if (m->host_io_at > 0 && !early) {
                SampleIo was = m->host_io;

                m->host_io = m->host_io_before;
                m->host_io_before = was;
                m->host_io_before_at = m->host_io_at;
        }
        if (!early)
                m->host_io_at = now;
        if (meter_look_host(m->meter, tree_root_fd(g->tree), now, &m->host, early ? NULL : &m->host_io) < 0)
                return;
        rates_feed(&m->host_rates, &m->host, SAMPLE_FILES_ALL);
        if (m->host_history != NO_HISTORY)
                (void)history_append(m->history, m->host_history, &m->host, SAMPLE_ALL, clock_realtime());
}

void measure_host(Guard *g, usec_t age) {
        usec_t now = clock_monotonic();

        if (now - g->measure->host.at >= age)
                look_at_host(g, now);
}

static void look_at_ourselves(Guard *g, usec_t now) {
        Measure *m = g->measure;

        if (m->own.dirfd < 0 || now < m->own_next)
                return;
        m->own_next = now + OWN_USEC;
        (void)meter_look(m->meter, &m->own,
                         SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_CURRENT) |
                                 SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_STAT),
                         false, now, &m->own_last);
}

void measure_beat(Guard *g, usec_t now, usec_t late) {
        Measure *m = g->measure;
        int books = ledgers_error(g);
        size_t i = 0;
        Parent *p;

        m->stats.n_beats++;
        loghist_add(&m->stats.late, late);
        look_at_host(g, now);
        look_at_ourselves(g, now);
        while ((p = map_next(&m->parents, &i)))
                parent_look(p, now);
        if (books < 0 && !m->books_told)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the books in %s cannot be written (%s): a restart of the guard would lose what was "
                         "counted since",
                         g->config.run_dir, strerror(-books));
        m->books_told = books < 0;
        tell_troubles(g, 0);
        measure_due_now(g);
}

void measure_wake(Guard *g, Target *t, TierWhy why) {
        if (!t->m.attached)
                return;
        tier_wake(&t->m.tier, clock_monotonic(), why);
        measure_due_now(g);
}

void measure_sweep(Guard *g) {
        Measure *measure = g->measure;
        usec_t now = clock_monotonic();
        size_t i = 0, probes = 0;
        Target *t;

        /* The kernel says again and again that somebody stalls; the beat looks at all who are hot anyway, once a second. */
        if (!allowance_has(&measure->sweeps, now, SWEEPS_PART, SWEEPS_BURST))
                return;
        allowance_spend(&measure->sweeps, SWEEP_LEAST);
        measure->swept = true;
        while ((t = map_next(&g->targets, &i))) {
                Measured *m = &t->m;

                if (!m->attached || !t->container)
                        continue;
                if (m->tier.level == TIER_COLD && (probes >= SWEEP_PROBES || now - m->last.at < SWEEP_AGE))
                        continue;
                probes += m->tier.level == TIER_COLD;
                m->tier.next = MIN_OF(m->tier.next, now);
        }
        measure_due_now(g);
}

void measure_search(Guard *g) {
        Measure *m = g->measure;
        usec_t now = clock_monotonic();
        size_t i = 0;
        Parent *p;
        Target *t;

        if (now - m->searched_at < SEARCH_USEC)
                return;
        m->searched_at = now;
        while ((p = map_next(&m->parents, &i)))
                parent_look(p, now);
        i = 0;
        while ((t = map_next(&g->targets, &i)))
                if (t->m.attached && t->container)
                        t->m.tier.next = MIN_OF(t->m.tier.next, now);
        measure_due_now(g);
}

/* ---- one cgroup comes and goes ---- */

static void describe(const Target *t, HistoryWho *who) {
        *who = (HistoryWho){
                .kind = t->container ? HISTORY_CONTAINER : HISTORY_SLICE,
                .cgroup_id = t->id,
                .since_realtime = t->since_realtime,
                .tenant = t->tenant ? t->tenant->name : "",
                .name = target_name(t),
                .cgroup = t->node->path,
        };
}

void measure_attach(Guard *g, Target *t) {
        Measured *m = &t->m;
        HistoryWho who;

        if (m->attached)
                return;
        *m = (Measured){
                .attached = true,
                .meter = METER_CG_INIT,
                .history = NO_HISTORY,
                .slot = BOOKFILE_NO_SLOT,
                .born = g->measure->settled && !g->reclassifying,
        };
        m->meter.dirfd = t->node->fd;
        if (t->container)
                m->meter.net.id = t->id; /* a slice has no processes of its own to ask */
        m->book.since_realtime = t->since_realtime;
        /* Of no use but that the kernel has the inode in memory: only then does it tell inotify of it. */
        m->pin = openat(t->node->fd, "cgroup.events", O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (t->container && (m->parent = parent_get(g, t->node->parent)))
                m->parent->n_children++;
        (void)ledgers_adopt(g, t);
        tier_init(&m->tier, clock_monotonic());
        describe(t, &who);
        if (history_add(g->measure->history, &who, &m->history) < 0)
                m->history = NO_HISTORY;
}

void measure_changed(Guard *g, Target *t) {
        Measured *m = &t->m;
        HistoryWho who;

        if (!m->attached)
                return;
        describe(t, &who);
        if (m->history != NO_HISTORY)
                (void)history_rename(g->measure->history, m->history, &who);
        else if (history_add(g->measure->history, &who, &m->history) < 0)
                m->history = NO_HISTORY;
        triggers_update(g, t);
        /* Whose an earlier run had it is only settled when it is known whose it is now. */
        if (!m->was_tenant || (t->container && !t->found))
                return;
        if (t->tenant && !STR_EQ(m->was_tenant, t->tenant->name))
                measure_move(g, t);
        free(m->was_tenant);
        m->was_tenant = NULL;
}

void measure_close(Guard *g, Target *t) {
        Measured *m = &t->m;

        if (!m->attached)
                return;
        triggers_drop(g, t);
        parent_leave(g, t);
        meter_cg_deinit(g->measure->meter, &m->meter);
        sample_io_deinit(&m->io_before);
        demand_deinit(&m->demand);
        fd_close(m->pin);
        free(m->was_tenant);
        g->measure->n_unsaved -= m->unsaved;
        *m = (Measured){ .pin = -1 };
}

bool measure_detach(Guard *g, Target *t, bool alive) {
        Measured *m = &t->m;
        bool oom;

        if (!m->attached)
                return false;
        if (t->container)
                ledgers_fold(g, t, m->read_out || alive ? BOOK_END_READ : BOOK_END_UNREAD, alive);
        else
                ledgers_fold_slice(g, t);
        oom = m->book.v[BOOK_ENDS_OOM] > 0;
        if (m->history != NO_HISTORY)
                history_remove(g->measure->history, m->history, clock_monotonic(), clock_realtime());
        measure_close(g, t);
        return oom;
}

void measure_move(Guard *g, Target *t) {
        if (!t->m.attached)
                return;
        if (t->container)
                ledgers_fold(g, t, BOOK_END_READ, true);
        else
                ledgers_fold_slice(g, t);
        t->m.book = (Book){ .since_realtime = clock_realtime() };
        t->heard.moved = true;
}

void measure_split(Guard *g, Target *t) {
        if (!t->m.attached)
                return;
        /* Not older than the slice's last look: what that has counted of it, it has had. */
        look(g, t, SAMPLE_FILE_BIT(SAMPLE_FILE_CPU_STAT) | SAMPLE_FILE_BIT(SAMPLE_FILE_IO_STAT));
        measure_move(g, t);
}

void measure_touched(Guard *g, Target *t) {
        Measured *m = &t->m;
        usec_t at = m->last.at;
        int r;

        if (!m->attached)
                return;
        r = look_at(g, m, SAMPLE_FILE_BIT(SAMPLE_FILE_CGROUP_EVENTS), clock_monotonic());
        m->last.at = at; /* nothing of it is accounted */
        if (r == CG_GONE)
                return;
        if (sample_has(&m->last, SAMPLE_POPULATED) && !m->last.v[SAMPLE_POPULATED])
                look_last(g, t);
        else
                m->read_out = false;
}

/*
 * Who was killed for memory is often gone before its next look, with all that tells of it: PID 1 removes a scope within
 * milliseconds of its last process. The kernel counts the kill before that process has ended. It says the same of every hit of
 * memory.high, up to a hundred times a second: hence the bound.
 */
void measure_hit(Guard *g, Target *t) {
        const Sample *last = &t->m.last;
        Allowance *hits = &g->measure->hits;
        usec_t cpu;
        uint64_t kills;

        if (!t->container || !t->m.attached || !allowance_has(hits, clock_monotonic(), HITS_PART, HITS_BURST))
                return;
        cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        if (cg_read_oom_kills(t->node->fd, &kills) == 0 &&
            kills > (sample_has(last, SAMPLE_EVENTS_OOM_KILL) ? last->v[SAMPLE_EVENTS_OOM_KILL] : 0))
                look(g, t, tier_files_all());
        allowance_spend(hits, clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu);
}

void measure_ask(Guard *g, Target *t) {
        if (!t->m.attached)
                return;
        look(g, t, tier_files_all());
}

/* ---- set-up ---- */

/* "0::/bailiff.slice/bailiffd.service" */
static void find_ourselves(Guard *g) {
        char text[4096], *path, *end;

        if (fd_read_at(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) < 0)
                return;
        path = strstr(text, "0::/");
        if (!path || (path > text && path[-1] != '\n'))
                return;
        path += 4;
        end = strchrnul(path, '\n');
        *end = '\0';
        g->measure->own_fd = openat(tree_root_fd(g->tree), *path ? path : ".",
                                    O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        g->measure->own.dirfd = g->measure->own_fd;
}

int measure_new(Guard *g) {
        const HistoryWho host = { .kind = HISTORY_HOST, .tenant = "", .name = "host", .cgroup = "/" };
        Measure *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        g->measure = m;
        m->host_history = NO_HISTORY;
        m->own = METER_CG_INIT;
        m->own_fd = -1;
        m->round = ROUND_DONE;
        m->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        m->ended = calloc(ENDED_MAX, sizeof(*m->ended));
        if (!m->ended)
                return -ENOMEM;
        r = meter_new("/proc", KEPT_CGROUPS_MAX, &m->meter);
        if (r >= 0)
                r = history_new(g->started_realtime, HISTORY_BYTES_MAX, HISTORY_SPAN_USEC, &m->history);
        if (r >= 0)
                r = ledgers_open(g);
        if (r >= 0)
                r = sd_event_add_defer(g->event, &m->work, on_measure, g);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->work, SD_EVENT_OFF);
        if (r < 0)
                return r;
        (void)history_add(m->history, &host, &m->host_history);
        find_ourselves(g);
        triggers_start_host(g);
        return 0;
}

void measure_settled(Guard *g) {
        ledgers_fold_orphans(g);
        g->measure->settled = true;
        measure_due_now(g);
}

void measure_free(Guard *g) {
        Measure *m = g->measure;
        size_t i = 0;
        Parent *p;

        if (!m)
                return;
        triggers_drop_host(g);
        sd_event_source_disable_unref(m->work);
        sd_event_source_disable_unref(m->follow);
        while ((p = map_next(&m->parents, &i)))
                free(p);
        map_deinit(&m->parents);
        ledgers_close(g);
        meter_cg_deinit(m->meter, &m->own);
        meter_free(m->meter);
        history_free(m->history);
        sample_io_deinit(&m->host_io);
        sample_io_deinit(&m->host_io_before);
        fd_close(m->own_fd);
        fd_close(m->proc);
        free(m);
        g->measure = NULL;
}
