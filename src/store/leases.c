/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is in the slots of the file (slotfile.c): an empty one is a copy whose kind is NONE. A knob is on file by its policy
 * key, because the values of the enum are not for ever.
 *
 * The slots are kept decoded in memory, in the same order: to find one takes no decoding,
 * and what leases_find() lends does not change under its reader's hands. Slots of which
 * neither copy is any good are free, but the last ones to be taken, so that somebody
 * can still look at them.
 */

#include "bytes.h"
#include "leases.h"
#include "slotfile.h"

enum { ON_FILE_NONE, ON_FILE_LIMIT, ON_FILE_FREEZE };

typedef struct FileCopy {
        uint8_t checksum[8], seq[8];
        /* payload */
        uint8_t kind, resource, by_operator, reserved[5];
        uint8_t cgroup_id[8], dev[8], value[8], beneath[8], period[8], beneath_period[8], until[8], end[8],
                event[8];
        char key[32]; /* of the limit */
        char reason[LEASE_REASON_MAX + 1];
        char path[LEASE_PATH_MAX + 1];
} FileCopy;
_Static_assert(sizeof(FileCopy) == 992, "no padding on file");

static const SlotFormat format = {
        .name = "leases",
        .name_old = "leases.old",
        .name_new = "leases.new",
        .magic = "bailiff-leases",
        .version = LEASES_VERSION,
        .n_slots = LEASES_MAX,
        .known_bytes = sizeof(FileCopy),
        .copy_bytes = 1024,
};

typedef enum SlotState { SLOT_FREE, SLOT_DAMAGED, SLOT_USED } SlotState;

typedef struct Slot {
        SlotState state;
        Lease lease;
} Slot;

struct Leases {
        SlotFile file;
        size_t n;
        unsigned n_damaged;
        Slot slots[LEASES_MAX];
};

#define PUT(field, v) bytes_put_le((field), sizeof(field), (v))
#define GET(field) bytes_get_le((field), sizeof(field))

/* ---- one lease ---- */

static int check_limit(const Lease *x) {
        const LimitInfo *info;
        bool quota = x->knob.limit == LIMIT_CPU_QUOTA;

        if (x->knob.limit < 0 || x->knob.limit >= _LIMIT_MAX)
                return -EINVAL;
        info = limit_info(x->knob.limit);
        if (info->sense != LIMIT_CEILING || info->per_device != (x->knob.dev != 0))
                return -EINVAL;
        /* Who may have all is not held back. */
        if (x->value == LIMIT_INFINITY)
                return -EINVAL;
        return (x->period != 0) == quota && (x->beneath_period != 0) == quota ? 0 : -EINVAL;
}

static int check_lease(const Lease *x) {
        if (strnlen(x->path, sizeof(x->path)) == sizeof(x->path))
                return -ENAMETOOLONG;
        if (x->cgroup_id == 0 || x->path[0] != '/' ||
            strnlen(x->reason, sizeof(x->reason)) == sizeof(x->reason))
                return -EINVAL;
        switch (x->kind) {
        case LEASE_LIMIT:
                return check_limit(x);
        case LEASE_FREEZE:
                return 0;
        case _LEASE_KIND_MAX:
                break;
        }
        return -EINVAL;
}

/* What has no meaning for its kind is zero. */
static void normalize(Lease *x) {
        if (x->kind == LEASE_FREEZE) {
                x->knob = (LimitKnob){};
                x->value = 1;
                x->beneath = x->period = x->beneath_period = 0;
        }
        x->until = MIN_OF(x->until, x->end);
}

static void encode(const Lease *x, FileCopy *c) {
        c->kind = x->kind == LEASE_FREEZE ? ON_FILE_FREEZE : ON_FILE_LIMIT;
        c->resource = x->resource;
        c->by_operator = x->by_operator;
        PUT(c->cgroup_id, x->cgroup_id);
        PUT(c->dev, x->knob.dev);
        PUT(c->value, x->value);
        PUT(c->beneath, x->beneath);
        PUT(c->period, x->period);
        PUT(c->beneath_period, x->beneath_period);
        PUT(c->until, x->until);
        PUT(c->end, x->end);
        PUT(c->event, x->event);
        if (x->kind == LEASE_LIMIT)
                memcpy(c->key, limit_info(x->knob.limit)->key, strlen(limit_info(x->knob.limit)->key));
        memcpy(c->reason, x->reason, strlen(x->reason));
        memcpy(c->path, x->path, strlen(x->path));
}

/* 1, 0: an empty slot, -EBADMSG: no lease that we know, whatever its checksum says. */
static int decode(const FileCopy *c, Lease *ret) {
        Lease x = {
                .cgroup_id = GET(c->cgroup_id),
                .knob.dev = GET(c->dev),
                .value = GET(c->value),
                .beneath = GET(c->beneath),
                .period = GET(c->period),
                .beneath_period = GET(c->beneath_period),
                .until = GET(c->until),
                .end = GET(c->end),
                .event = GET(c->event),
                .resource = c->resource,
                .by_operator = c->by_operator,
        };

        switch (c->kind) {
        case ON_FILE_NONE:
                return 0;
        case ON_FILE_LIMIT:
                x.kind = LEASE_LIMIT;
                if (!memchr(c->key, '\0', sizeof(c->key)))
                        return -EBADMSG;
                x.knob.limit = limit_from_key(c->key);
                break;
        case ON_FILE_FREEZE:
                x.kind = LEASE_FREEZE;
                break;
        default:
                return -EBADMSG;
        }
        memcpy(x.reason, c->reason, sizeof(x.reason));
        memcpy(x.path, c->path, sizeof(x.path));
        if (check_lease(&x) < 0)
                return -EBADMSG;
        normalize(&x);
        *ret = x;
        return 1;
}

/* ---- slots ---- */

static void write_slot(Leases *l, size_t slot, const Lease *lease, bool keep_rest) {
        FileCopy copy = {};

        if (lease)
                encode(lease, &copy);
        slotfile_write(&l->file, slot, &copy, keep_rest);
}

static void use_slot(Leases *l, Slot *s, const Lease *lease) {
        if (s->state != SLOT_USED)
                l->n++;
        s->state = SLOT_USED;
        s->lease = *lease;
}

static void empty_slot(Leases *l, Slot *s) {
        write_slot(l, (size_t)(s - l->slots), NULL, false);
        s->state = SLOT_FREE;
        l->n--;
}

static bool same_key(const Lease *x, uint64_t cgroup_id, LeaseKind kind, LimitKnob knob) {
        return x->cgroup_id == cgroup_id && x->kind == kind &&
               (kind == LEASE_FREEZE || limit_knob_cmp(x->knob, knob) == 0);
}

static Slot *find(const Leases *l, uint64_t cgroup_id, LeaseKind kind, LimitKnob knob) {
        for (size_t i = 0; i < LEASES_MAX; i++)
                if (l->slots[i].state == SLOT_USED && same_key(&l->slots[i].lease, cgroup_id, kind, knob))
                        return (Slot *)(uintptr_t)&l->slots[i];
        return NULL;
}

static void load_slot(void *user, size_t slot, const void *copy) {
        Leases *l = user;
        Lease lease;
        FileCopy c;
        int r = -EBADMSG;

        if (copy) {
                memcpy(&c, copy, sizeof(c));
                r = decode(&c, &lease);
        }
        /* No guard writes one twice. */
        if (r > 0 && find(l, lease.cgroup_id, lease.kind, lease.knob))
                r = -EBADMSG;
        if (r < 0) {
                l->slots[slot].state = SLOT_DAMAGED;
                l->n_damaged++;
        } else if (r > 0)
                use_slot(l, &l->slots[slot], &lease);
}

/* ---- public ---- */

int leases_open(const char *dir, const char *boot_id, bool read_only, Leases **ret) {
        _cleanup_(cleanup_leases_free) Leases *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        r = slotfile_init(&l->file, &format, dir, boot_id, read_only, load_slot, l);
        if (r < 0)
                return r;
        *ret = steal_ptr(l);
        return 0;
}

Leases *leases_free(Leases *l) {
        if (l)
                slotfile_deinit(&l->file);
        free(l);
        return NULL;
}

/* A good one before a damaged one. */
static Slot *find_room(Leases *l) {
        Slot *damaged = NULL;

        for (size_t i = 0; i < l->file.n_slots; i++) {
                if (l->slots[i].state == SLOT_FREE)
                        return &l->slots[i];
                if (l->slots[i].state == SLOT_DAMAGED && !damaged)
                        damaged = &l->slots[i];
        }
        return damaged;
}

int leases_put(Leases *l, const Lease *lease) {
        Lease x = *lease;
        Slot *s;
        int r;

        if (l->file.read_only)
                return -EROFS;
        r = check_lease(&x);
        if (r < 0)
                return r;
        normalize(&x);
        s = find(l, x.cgroup_id, x.kind, x.knob) ?: find_room(l);
        if (!s)
                return -ENOSPC;
        write_slot(l, (size_t)(s - l->slots), &x, false);
        use_slot(l, s, &x);
        return 0;
}

int leases_remove(Leases *l, uint64_t cgroup_id, LeaseKind kind, LimitKnob knob) {
        Slot *s;

        if (l->file.read_only)
                return -EROFS;
        s = find(l, cgroup_id, kind, knob);
        if (s)
                empty_slot(l, s);
        return 0;
}

const Lease *leases_find(const Leases *l, uint64_t cgroup_id, LeaseKind kind, LimitKnob knob) {
        const Slot *s = find(l, cgroup_id, kind, knob);

        return s ? &s->lease : NULL;
}

const Lease *leases_next(const Leases *l, size_t *i) {
        while (*i < LEASES_MAX) {
                const Slot *s = &l->slots[(*i)++];

                if (s->state == SLOT_USED)
                        return &s->lease;
        }
        return NULL;
}

void leases_extend(Leases *l, usec_t until) {
        if (l->file.read_only)
                return;
        for (size_t i = 0; i < l->file.n_slots; i++) {
                Slot *s = &l->slots[i];
                usec_t t = MIN_OF(until, s->lease.end);

                if (s->state != SLOT_USED || t <= s->lease.until)
                        continue;
                s->lease.until = t;
                write_slot(l, i, &s->lease, true);
        }
}

void leases_get_stats(const Leases *l, LeasesStats *ret) {
        *ret = (LeasesStats){
                .n = (unsigned)l->n,
                .n_damaged = l->n_damaged,
                .set_aside = l->file.aside != SLOT_ASIDE_NONE,
                .locked = l->file.locked,
        };
}
