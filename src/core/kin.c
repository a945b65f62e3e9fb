/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose process is it?
 *
 * A child is where its parent is, until it is moved. Who moves processes
 * (service manager, runtimes) does so between fork and exec; so with exec one is looked for
 * anew, unless it is in a container already, for nobody is moved out of
 * these. That is one look into /proc for each program that starts on the host outside
 * of containers, and none for what containers do, however many processes they make.
 *
 * A process that nobody told of (it was there before, or events were lost) is
 * looked for when it does something. Where a turn has asked for too many already, or the
 * process has gone, its doing is counted for nobody: counted all the same.
 *
 * The kernel names the parent that will be told of the death, which with
 * CLONE_PARENT (and for threads) is not who called clone(). For threads the
 * process decides; the runtimes that use the other exec something later.
 */

#include "kin.h"

int kin_init(Kin *k, KinPathOf path_of, void *user) {
        *k = (Kin){ .path_of = path_of, .user = user };
        tally_init(&k->tally);
        return lineage_init(&k->lineage, LINEAGE_MAX);
}

void kin_deinit(Kin *k) {
        lineage_deinit(&k->lineage);
        tally_deinit(&k->tally);
}

/* NULL: not now. nobody: it has gone, or is where no group is. */
static TallyGroup *look(Kin *k, uint32_t pid, usec_t now) {
        char path[TALLY_PATH_MAX + 1];
        TallyGroup *g = &k->tally.nobody;

        k->n_asked++;
        switch (k->path_of(k->user, pid, path, sizeof(path))) {
        case KIN_PATH_FOUND:
                g = tally_group(&k->tally, path, now);
                break;
        case KIN_PATH_GONE:
                break;
        case KIN_PATH_LATER:
                k->n_later++;
                return NULL;
        }
        if (g->id != 0)
                lineage_put(&k->lineage, pid, g->id);
        return g;
}

static TallyGroup *known(Kin *k, uint32_t pid) {
        return tally_find(&k->tally, lineage_find(&k->lineage, pid));
}

/* Where pid is; else, where `instead` (0: nobody) is, which can have been found out by now. */
static TallyGroup *group_of(Kin *k, uint32_t pid, uint32_t instead, usec_t now) {
        TallyGroup *g = known(k, pid) ?: look(k, pid, now);

        if ((!g || g->id == 0) && instead != 0)
                g = known(k, instead) ?: look(k, instead, now);
        if (!g || g->id == 0) {
                k->n_unknown++;
                return &k->tally.nobody;
        }
        return g;
}

static void forked(Kin *k, const KinEvent *e, usec_t now) {
        TallyGroup *g;

        if (e->pid != e->tgid) {
                tally_count(group_of(k, e->tgid, 0, now), TALLY_THREADS, 1, now);
                return;
        }
        lineage_remove(&k->lineage, e->pid); /* another one's, until now */
        g = group_of(k, e->parent, e->pid, now);
        if (g->id != 0)
                lineage_put(&k->lineage, e->pid, g->id);
        tally_count(g, TALLY_FORKS, 1, now);
}

static void execed(Kin *k, const KinEvent *e, usec_t now) {
        TallyGroup *before = known(k, e->tgid), *g = before;

        if (!g || !g->container)
                g = look(k, e->tgid, now);
        if (!g || g->id == 0)
                g = before; /* it has gone again: as far as is known it was not moved */
        if (!g) {
                k->n_unknown++;
                g = &k->tally.nobody;
        }
        tally_count(g, TALLY_EXECS, 1, now);
}

/* Who has ended cannot be looked for. */
static TallyGroup *group_of_dead(Kin *k, uint32_t pid) {
        TallyGroup *g = known(k, pid);

        if (g)
                return g;
        k->n_unknown++;
        return &k->tally.nobody;
}

void kin_event(Kin *k, const KinEvent *e, usec_t now) {
        switch (e->what) {
        case KIN_FORK:
                forked(k, e, now);
                return;
        case KIN_EXEC:
                execed(k, e, now);
                return;
        case KIN_EXIT:
                if (e->pid != e->tgid)
                        return;
                tally_count(group_of_dead(k, e->tgid), TALLY_EXITS, 1, now);
                lineage_exit(&k->lineage, e->tgid);
                return;
        case KIN_UID:
                if (e->pid == e->tgid)
                        tally_count(group_of(k, e->tgid, 0, now), TALLY_UIDS, 1, now);
                return;
        case KIN_CORE:
                tally_count(group_of(k, e->tgid, 0, now), TALLY_CORES, 1, now);
                return;
        default:
                return;
        }
}

void kin_record(Kin *k, const KinRecord *r, usec_t now) {
        tally_record(group_of_dead(k, r->tgid), r->tasks, now);
}

bool kin_meet(Kin *k, uint32_t pid, usec_t now) { return known(k, pid) || look(k, pid, now); }

void kin_turn(Kin *k) { lineage_bury(&k->lineage); }

void kin_lost(Kin *k) { lineage_clear(&k->lineage); }
