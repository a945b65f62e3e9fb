/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What nobody saw becomes known: for containers that no slice of their tenant counts, what was used between the last look at
 * them and their end. The kernel sends a record of every task that ends, with all that it used in its life. Where all tasks
 * of a container are told so, from its birth to its end, their sum is what it used; what its own files had said when they were last
 * read is in the books already, and the rest is added to its tenant's.
 *
 * Records that were lost, or came before anybody listened, make the sum too small, never too large: what is missed then
 * stays missed, as the books say (BOOK_ENDS_UNREAD, BOOK_UNSEEN_USEC). Too large it would be for containers whose book does not begin
 * with their birth: those are left out; and for a process with a past of its own that is moved into one, which nobody but
 * runtimes does, right before they begin.
 *
 * Records come in batches and the cgroup goes in its own time, so what is owed is settled some seconds after the end. Of a
 * cgroup that came and went before anybody looked, records may be told before the tree tells that there was one.
 */

#include <stdio.h>

#include "guard.h"
#include "num.h"

#define SETTLE_USEC (3 * USEC_PER_SEC)
#define ARREARS_MAX 4096

typedef struct Arrear {
        char *path;
        char tenant[POLICY_NAME_MAX + 1];
        bool ended; /* the rest is known, only records are awaited */
        bool countable; /* its book began with its birth, and no slice has it */
        usec_t until;
        uint64_t tasks[_USED_MAX], booked[_USED_MAX];
} Arrear;

static const TallyTask of_tasks[_USED_MAX] = {
        [USED_CPU_USEC] = TALLY_CPU_USEC,
        [USED_RUN_USEC] = TALLY_RUN_USEC,
        [USED_READ_BYTES] = TALLY_READ_BYTES,
        [USED_WRITE_BYTES] = TALLY_WRITE_BYTES,
};
static const BookField of_book[_USED_MAX] = {
        [USED_CPU_USEC] = BOOK_CPU_USEC,
        [USED_RUN_USEC] = BOOK_CPU_USEC,
        [USED_READ_BYTES] = BOOK_IO_RBYTES,
        [USED_WRITE_BYTES] = BOOK_IO_WBYTES,
};

static Arrear *arrear_free(Arrear *a) {
        if (!a)
                return NULL;
        free(a->path);
        free(a);
        return NULL;
}

/* NULL: no memory, or enough of them. */
static Arrear *arrear_of(Guard *g, const char *path, usec_t now) {
        Listening *l = g->listening;
        Arrear *a = map_get_str(&l->arrears, path);

        if (a)
                return a;
        if (l->arrears.n >= ARREARS_MAX)
                return NULL;
        a = calloc(1, sizeof(*a));
        if (!a)
                return NULL;
        a->path = strdup(path);
        a->until = now + SETTLE_USEC;
        if (!a->path || map_put_str(&l->arrears, a->path, a) < 0)
                return arrear_free(a);
        return a;
}

static bool is_container(const char *path) {
        CgName name;

        return cgpath_classify(path, &name) >= 0 && name.kind == CG_CONTAINER;
}

static bool is_below(const Tenant *tenant, const char *path) {
        for (size_t i = 0; tenant && i < tenant->n_slices; i++)
                if (cgpath_below(path, tenant->slices[i]->node->path))
                        return true;
        return false;
}

bool arrears_wanted(const Guard *g) {
        Target *t;

        for (size_t i = 0; (t = map_next(&g->targets, &i));)
                if (t->container && !t->leaving && t->m.attached && !is_below(t->tenant, t->node->path))
                        return true;
        return false;
}

void arrears_told(Guard *g, const char *path, const uint64_t n[_TALLY_TASK_MAX]) {
        const TreeNode *node = tree_find_path(g->tree, path);
        Target *t = node ? node->user : NULL;
        uint64_t *sums;
        Arrear *a;

        if (t && t->container && !t->leaving)
                sums = t->heard.tasks;
        else {
                if (!is_container(path))
                        return;
                a = arrear_of(g, path, clock_monotonic());
                if (!a)
                        return;
                sums = a->tasks;
        }
        for (Used u = 0; u < _USED_MAX; u++)
                sums[u] = num_add_sat(sums[u], n[of_tasks[u]]);
}

void arrears_gone(Guard *g, Target *t) {
        usec_t now = clock_monotonic();
        Arrear *a;

        if (!t->m.attached || !t->container)
                return;
        a = arrear_of(g, t->node->path, now);
        if (!a)
                return;
        (void)snprintf(a->tenant, sizeof(a->tenant), "%s", t->tenant ? t->tenant->name : POLICY_UNASSIGNED);
        a->ended = true;
        a->countable = t->m.born && !t->heard.moved && !is_below(t->tenant, t->node->path);
        a->until = now + SETTLE_USEC;
        for (Used u = 0; u < _USED_MAX; u++) {
                a->tasks[u] = num_add_sat(a->tasks[u], t->heard.tasks[u]);
                a->booked[u] = t->m.book.v[of_book[u]];
        }
}

void arrears_missed(Guard *g, const char *path, const char *tenant, bool below) {
        usec_t now = clock_monotonic();
        Arrear *a;

        if (below)
                return;
        a = arrear_of(g, path, now);
        if (!a)
                return;
        (void)snprintf(a->tenant, sizeof(a->tenant), "%s", tenant);
        a->ended = a->countable = true;
        a->until = now + SETTLE_USEC;
}

/* ---- settling ---- */

static void settle(Guard *g, const Arrear *a) {
        Book b = { .since_realtime = clock_realtime() };
        bool any = false;

        /* Of CPU time there are two counts, neither of them too large on average. */
        for (Used u = 0; u < _USED_MAX; u++)
                if (a->tasks[u] > a->booked[u]) {
                        b.v[of_book[u]] = MAX_OF(b.v[of_book[u]], a->tasks[u] - a->booked[u]);
                        any = true;
                }
        if (!any)
                return;
        g->listening->n_arrears++;
        g->listening->arrears_usec = num_add_sat(g->listening->arrears_usec, b.v[BOOK_CPU_USEC]);
        ledgers_fold_late(g, a->tenant, &b);
}

void arrears_beat(Guard *g, usec_t now) {
        Arrear *a;

        for (size_t i = 0; (a = map_next(&g->listening->arrears, &i));) {
                if (now < a->until)
                        continue;
                if (a->ended && a->countable)
                        settle(g, a);
                (void)map_remove_str(&g->listening->arrears, a->path);
                arrear_free(a);
        }
}

void arrears_free(Guard *g) {
        Arrear *a;

        for (size_t i = 0; (a = map_next(&g->listening->arrears, &i));)
                arrear_free(a);
        map_deinit(&g->listening->arrears);
}
