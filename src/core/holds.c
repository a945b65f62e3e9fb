/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A list, see holds.h: holds are made by hand, so there are few, or once many. Who looks for its own goes
 * through all of them.
 */

#include "holds.h"

void kept_hold_deinit(KeptHold *h) {
        free(h->cgroup);
        free(h->key);
        free(h->reason);
        *h = (KeptHold){};
}

void kept_holds_deinit(KeptHolds *k) {
        for (size_t i = 0; i < k->n; i++)
                kept_hold_deinit(&k->holds[i]);
        free(k->holds);
        *k = (KeptHolds){};
}

int kept_holds_add(KeptHolds *k, const KeptHold *h) {
        KeptHold copy = *h;

        copy.cgroup = strdup(h->cgroup);
        copy.key = h->key ? strdup(h->key) : NULL;
        copy.reason = strdup(h->reason);
        if (!copy.cgroup || (h->key && !copy.key) || !copy.reason || GROW(k->holds, k->n, k->alloc) < 0) {
                kept_hold_deinit(&copy);
                return -ENOMEM;
        }
        k->holds[k->n++] = copy;
        return 0;
}

/* The order is nobody's business. */
static void remove_at(KeptHolds *k, size_t i) { k->holds[i] = k->holds[--k->n]; }

static KeptHold *find(const KeptHolds *k, uint64_t cgroup_id, const char *cgroup, const char *key) {
        KeptHold *found = NULL;

        for (size_t i = 0; i < k->n; i++) {
                KeptHold *h = &k->holds[i];

                if (h->cgroup_id == cgroup_id && STR_EQ(h->cgroup, cgroup))
                        return h;
                if (key && h->key && STR_EQ(h->key, key))
                        found = h;
        }
        return found;
}

bool kept_holds_take(KeptHolds *k, uint64_t cgroup_id, const char *cgroup, const char *key, KeptHold *ret) {
        KeptHold *h = find(k, cgroup_id, cgroup, key);

        if (!h)
                return false;
        *ret = *h;
        remove_at(k, (size_t)(h - k->holds));
        return true;
}

bool kept_holds_expire(KeptHolds *k, uint64_t realtime) {
        size_t before = k->n;

        for (size_t i = k->n; i-- > 0;)
                if (k->holds[i].until <= realtime) {
                        kept_hold_deinit(&k->holds[i]);
                        remove_at(k, i);
                }
        return k->n < before;
}
