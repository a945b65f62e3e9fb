/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tenants' books, and all books on file.
 *
 * What a container used is in its own book while it lives, and in its tenant's `ended` from then on; core/books says
 * what a total is made of. The file (store/bookfile) has a record for each container, slice and tenant, written when it
 * changes. A fold changes two of them, the tenant's first; the record of a container that its tenant has already taken in
 * is known by a token that the tenant's record carries, so a guard that dies between the two writes counts nothing twice.
 *
 * A container that goes to another tenant (its label became readable, the policy changed) leaves what it used so far
 * with the former one: totals never go back. Its own book begins anew, and says since when.
 */

#include <stdio.h>

#include "guard.h"

/* Of tenants that have nothing any more so many are known. */
#define LEDGERS_IDLE_MAX 4096

typedef struct Saved { /* of an earlier run, until its cgroup appears */
        BookRecord record;
        uint32_t slot;
} Saved;

/* Of a book's life; each segment between two moves has another. */
static uint64_t token_of(uint64_t cgroup_id, const Book *b) {
        return cgroup_id * UINT64_C(0x9e3779b97f4a7c15) ^ b->since_realtime;
}

/* Nobody is its tenant now, and no section of the policy says that somebody will be. */
static bool is_idle(const Guard *g, const TenantLedger *l) {
        return !map_get_str(&g->tenants, l->name) && !STR_EQ(l->name, POLICY_UNASSIGNED) &&
               !policy_find_tenant(guard_policy(g), l->name);
}

/* Templates make tenants without end, say one for each job of a CI. When something of one has ended: whoever only asks goes through
 * them all, and none goes under his eyes. */
static void drop_oldest(Guard *g) {
        Measure *m = g->measure;
        TenantLedger *l, *oldest = NULL;
        size_t i = 0, n = 0;

        if (!g->settled || m->ledgers.n <= LEDGERS_IDLE_MAX)
                return;
        while ((l = map_next(&m->ledgers, &i))) {
                if (!is_idle(g, l))
                        continue;
                n++;
                if (!oldest || l->folded < oldest->folded)
                        oldest = l;
        }
        if (n <= LEDGERS_IDLE_MAX)
                return;
        (void)bookfile_drop(m->books, &oldest->slot);
        m->n_unsaved -= oldest->unsaved;
        (void)map_remove_str(&m->ledgers, oldest->name);
        free(oldest);
}

static TenantLedger *ledger_get(Guard *g, const char *tenant) {
        TenantLedger *l = map_get_str(&g->measure->ledgers, tenant);

        if (l)
                return l;
        l = calloc(1, sizeof(*l));
        if (!l)
                return NULL;
        (void)snprintf(l->name, sizeof(l->name), "%s", tenant);
        l->slot = BOOKFILE_NO_SLOT;
        if (map_put_str(&g->measure->ledgers, l->name, l) < 0) {
                free(l);
                return NULL;
        }
        return l;
}

/* Others that can be written meanwhile, for they have their place, say nothing of those that cannot. */
static int put(Guard *g, uint32_t *slot, bool *unsaved, const BookRecord *record) {
        Measure *m = g->measure;
        int r = bookfile_put(m->books, slot, record);

        if (r < 0 && !*unsaved)
                m->n_unsaved++;
        else if (r >= 0 && *unsaved)
                m->n_unsaved--;
        *unsaved = r < 0;
        if (r < 0)
                m->unsaved_error = r;
        return r;
}

int ledgers_error(const Guard *g) {
        BookFileStats stats;

        if (g->measure->n_unsaved > 0)
                return g->measure->unsaved_error;
        bookfile_get_stats(g->measure->books, &stats);
        return stats.write_error;
}

static int save_tenant(Guard *g, TenantLedger *l) {
        BookRecord r = { .kind = BOOKFILE_TENANT };

        (void)snprintf(r.tenant, sizeof(r.tenant), "%s", l->name);
        r.sum.book = l->book;
        r.sum.ended_below = l->ended_below;
        return put(g, &l->slot, &l->unsaved, &r);
}

static const char *tenant_of(const Target *t) { return t->tenant ? t->tenant->name : POLICY_UNASSIGNED; }

/* Slices of its tenant count what it uses, too. */
static bool is_below(const Target *t) {
        for (size_t i = 0; t->tenant && i < t->tenant->n_slices; i++)
                if (cgpath_below(t->node->path, t->tenant->slices[i]->node->path))
                        return true;
        return false;
}

/* The same of whose book it is in. */
static bool counts_below(const Target *t) { return t->m.was_tenant ? t->m.was_below : is_below(t); }

/* One that may be somebody's, which is not known yet. What it counts its containers' books have, too. */
static bool is_nobodys_slice(const Target *t) { return !t->container && !t->tenant && !t->m.was_tenant; }

void ledgers_save(Guard *g, Target *t) {
        Measured *m = &t->m;
        BookRecord r = {
                .kind = t->container ? BOOKFILE_CONTAINER : BOOKFILE_SLICE,
                .id = t->id,
                .below = t->container && counts_below(t),
        };

        if (is_nobodys_slice(t))
                return;
        (void)snprintf(r.tenant, sizeof(r.tenant), "%s", m->was_tenant ? m->was_tenant : tenant_of(t));
        (void)snprintf(r.name, sizeof(r.name), "%s", target_name(t));
        r.cg.book = m->book;
        r.cg.last = m->last;
        r.cg.baseline = m->baseline;
        (void)put(g, &m->slot, &m->unsaved, &r); /* what fails is counted, and written by the next look */
}

/* ---- ends ---- */

static char *copy(const char *s) { return s ? strdup(s) : NULL; }

static void ended_deinit(Ended *e) {
        free(e->name);
        free(e->id);
        free(e->tenant);
        free(e->cgroup);
        *e = (Ended){};
}

static void remember(Guard *g, const Target *t, BookEnd how) {
        Measure *m = g->measure;
        Ended *e;

        if (m->n_ended == ENDED_MAX) {
                e = &m->ended[m->ended_head];
                m->ended_head = (m->ended_head + 1) % ENDED_MAX;
                ended_deinit(e);
        } else
                e = &m->ended[(m->ended_head + m->n_ended++) % ENDED_MAX];
        *e = (Ended){
                .cgroup_id = t->id,
                .since_realtime = t->m.book.since_realtime,
                .ended_realtime = clock_realtime(),
                .name = copy(target_name(t)),
                .id = copy(t->cg.id),
                .tenant = copy(tenant_of(t)),
                .cgroup = copy(t->node->path),
                .engine = t->engine,
                .read = how == BOOK_END_READ,
                .network = t->m.meter.net.state == NET_OWN,
                .book = t->m.book,
        };
}

/*
 * What `slot` has on file is in the tenant's record from now on. Where there is no room for that, it gets the room of what
 * it has taken in: two records of the same would count twice after a restart.
 */
static void save_fold(Guard *g, TenantLedger *l, uint32_t *slot) {
        int r = save_tenant(g, l);

        (void)bookfile_drop(g->measure->books, slot);
        if (r < 0)
                (void)save_tenant(g, l);
}

static void fold(Guard *g, const char *tenant, uint64_t cgroup_id, const Book *b, bool below,
                 uint32_t *slot) {
        TenantLedger *l = ledger_get(g, tenant);

        if (!l)
                return; /* no memory: it stays in its record on file, an orphan for the next guard */
        l->folded = ++g->measure->n_folds;
        if (book_tenant_fold(&l->book, token_of(cgroup_id, b), b) && below)
                book_add(&l->ended_below, b);
        save_fold(g, l, slot);
        drop_oldest(g);
}

void ledgers_fold(Guard *g, Target *t, BookEnd how, bool moves) {
        Measured *m = &t->m;

        if (!moves) {
                if (m->born && m->last.at == 0)
                        m->book.v[BOOK_STARTS] = 1; /* too short a life for one look */
                book_end(&m->book, m->last.at > 0 ? &m->last : NULL, clock_monotonic(), how);
                remember(g, t, how);
        }
        fold(g, m->was_tenant ? m->was_tenant : tenant_of(t), t->id, &m->book, counts_below(t), &m->slot);
        free(m->was_tenant);
        m->was_tenant = NULL;
}

void ledgers_fold_missed(Guard *g, const char *tenant, bool below) {
        uint32_t slot = BOOKFILE_NO_SLOT;
        Book b = { .since_realtime = clock_realtime() };

        b.v[BOOK_STARTS] = 1;
        book_end(&b, NULL, clock_monotonic(), BOOK_END_UNREAD);
        fold(g, tenant, UINT64_MAX - g->measure->stats.n_missed++, &b, below, &slot);
}

void ledgers_fold_late(Guard *g, const char *tenant, const Book *b) {
        uint32_t slot = BOOKFILE_NO_SLOT;

        fold(g, tenant, UINT64_MAX / 2 - g->measure->stats.n_late++, b, false, &slot);
}

static void fold_slice(Guard *g, const char *tenant, uint64_t cgroup_id, const Book *b, uint32_t *slot) {
        TenantLedger *l = ledger_get(g, tenant);

        if (!l)
                return;
        l->folded = ++g->measure->n_folds;
        (void)book_tenant_fold_slice(&l->book, token_of(cgroup_id, b), b);
        save_fold(g, l, slot);
}

void ledgers_fold_slice(Guard *g, Target *t) {
        if (is_nobodys_slice(t)) {
                (void)bookfile_drop(g->measure->books, &t->m.slot);
                return;
        }
        fold_slice(g, t->m.was_tenant ? t->m.was_tenant : tenant_of(t), t->id, &t->m.book, &t->m.slot);
        free(t->m.was_tenant);
        t->m.was_tenant = NULL;
}

/* ---- an earlier run ---- */

bool ledgers_adopt(Guard *g, Target *t) {
        Saved *s = map_remove_u64(&g->measure->saved, t->id);
        Measured *m = &t->m;
        bool same = s && s->record.kind == (t->container ? BOOKFILE_CONTAINER : BOOKFILE_SLICE);

        if (same) {
                m->slot = s->slot;
                m->book = s->record.cg.book;
                m->last = s->record.cg.last;
                m->baseline = s->record.cg.baseline;
                m->was_tenant = strdup(s->record.tenant);
                m->was_below = s->record.below;
        }
        free(s);
        return same;
}

/* What was known and nobody claimed has ended while nobody looked. */
void ledgers_fold_orphans(Guard *g) {
        Measure *m = g->measure;
        size_t i = 0;
        Saved *s;

        while ((s = map_next(&m->saved, &i))) {
                BookRecord *r = &s->record;

                if (r->kind == BOOKFILE_SLICE)
                        fold_slice(g, r->tenant, r->id, &r->cg.book, &s->slot);
                else {
                        book_end(&r->cg.book, r->cg.last.at > 0 ? &r->cg.last : NULL, clock_monotonic(),
                                 BOOK_END_UNREAD);
                        fold(g, r->tenant, r->id, &r->cg.book, r->below, &s->slot);
                }
                (void)map_remove_u64(&m->saved, r->id);
                free(s);
        }
}

/* The guard died between the two writes of a fold: the tenant has it already, and what is still to come of the cgroup
 * begins anew. Before any other fold, for only the last one is known. */
static void forget_folded(Guard *g) {
        Measure *m = g->measure;
        size_t i = 0;
        Saved *s;

        while ((s = map_next(&m->saved, &i))) {
                const TenantLedger *l = map_get_str(&m->ledgers, s->record.tenant);
                uint64_t token = token_of(s->record.id, &s->record.cg.book);

                if (!l ||
                    token != (s->record.kind == BOOKFILE_SLICE ? l->book.last_slice : l->book.last_fold))
                        continue;
                (void)bookfile_drop(m->books, &s->slot);
                (void)map_remove_u64(&m->saved, s->record.id);
                free(s);
        }
}

static int load(Guard *g) {
        Measure *m = g->measure;
        uint32_t i = 0, slot;
        BookRecord r;

        while (bookfile_next(m->books, &i, &slot, &r)) {
                Saved *s;

                if (r.kind == BOOKFILE_TENANT) {
                        TenantLedger *l = ledger_get(g, r.tenant);

                        if (!l)
                                return -ENOMEM;
                        l->book = r.sum.book;
                        l->ended_below = r.sum.ended_below;
                        l->slot = slot;
                        continue;
                }
                s = malloc(sizeof(*s));
                if (!s)
                        return -ENOMEM;
                *s = (Saved){ r, slot };
                if (map_put_u64(&m->saved, r.id, s) < 0)
                        free(s); /* twice the same id: the first one counts */
        }
        forget_folded(g);
        return 0;
}

int ledgers_open(Guard *g) {
        Measure *m = g->measure;
        BookFileStats stats;
        int r = bookfile_open(g->config.run_dir, g->host.boot_id, &m->books);

        if (r >= 0)
                r = load(g);
        if (r < 0)
                return r;
        bookfile_get_stats(m->books, &stats);
        if (stats.n_damaged > 0 || stats.set_aside)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "the books in %s were %s; counting goes on without %s", g->config.run_dir,
                         stats.set_aside ? "of another version, boot or shape, or not readable, and set "
                                           "aside as books.old"
                                         : "damaged in part",
                         stats.set_aside ? "them" : "those records");
        return 0;
}

void ledgers_close(Guard *g) {
        Measure *m = g->measure;
        TenantLedger *l;
        size_t i = 0;
        Saved *s;

        while ((l = map_next(&m->ledgers, &i)))
                free(l);
        map_deinit(&m->ledgers);
        i = 0;
        while ((s = map_next(&m->saved, &i)))
                free(s);
        map_deinit(&m->saved);
        for (i = 0; m->ended && i < m->n_ended; i++)
                ended_deinit(&m->ended[(m->ended_head + i) % ENDED_MAX]);
        free(m->ended);
        bookfile_free(m->books);
}

/* ---- totals ---- */

int ledgers_parts(Guard *g, const char *name, const Tenant *tenant, BookParts *ret) {
        _cleanup_free_ const Book **live = NULL, **slices = NULL;
        _cleanup_free_ bool *below = NULL;
        TenantLedger *l = ledger_get(g, name);
        size_t n_live = 0, n_slices = 0, max = tenant ? MAX_OF(tenant->n_members, tenant->n_slices) + 1 : 1;
        Book before;

        live = calloc(max, sizeof(*live));
        slices = calloc(max, sizeof(*slices));
        below = calloc(max, sizeof(*below));
        if (!l || !live || !slices || !below)
                return -ENOMEM;
        for (size_t i = 0; tenant && i < tenant->n_slices; i++)
                if (tenant->slices[i]->m.attached)
                        slices[n_slices++] = &tenant->slices[i]->m.book;
        for (size_t i = 0; tenant && i < tenant->n_members; i++) {
                const Target *t = tenant->members[i];

                /* Whose it is must be known: what has once been told as somebody's stays. */
                if (!t->m.attached || !t->found || t->m.was_tenant)
                        continue;
                below[n_live] = is_below(t);
                live[n_live++] = &t->m.book;
        }
        before = l->book.floor;
        book_tenant_parts(&l->book, live, below, n_live, slices, n_slices, &l->ended_below, ret);
        if (memcmp(&l->book.floor, &before, sizeof(before)) != 0 || l->slot == BOOKFILE_NO_SLOT)
                (void)save_tenant(g, l);
        return 0;
}
