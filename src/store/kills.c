/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is in the slots of the file (slotfile.c): a kill each, in no order; an empty one is a copy whose kind is NONE. They are kept
 * decoded in memory, in the same order. A kill is one record, for its tenant's budget and the host's, so that no torn write
 * charges one of them only.
 *
 * How many there were is all that matters, so what is damaged is not free: it stays what it is until it is
 * written off.
 */

#include "bytes.h"
#include "kills.h"
#include "slotfile.h"

enum { ON_FILE_NONE, ON_FILE_KILL, ON_FILE_UNKNOWN };

typedef struct FileCopy {
        uint8_t checksum[8], seq[8];
        /* payload */
        uint8_t kind, reserved[7];
        uint8_t at[8], until[8], cgroup_id[8];
        char tenant[KILL_TENANT_MAX + 1];
} FileCopy;
_Static_assert(sizeof(FileCopy) == 112, "no padding on file");

static const SlotFormat format = {
        .name = "kills",
        .name_old = "kills.old",
        .name_new = "kills.new",
        .magic = "bailiff-kills",
        .version = KILLS_VERSION,
        .n_slots = KILLS_MAX,
        .known_bytes = sizeof(FileCopy),
        .copy_bytes = 128,
};

typedef enum SlotState { SLOT_FREE, SLOT_DAMAGED, SLOT_USED } SlotState;

typedef struct Slot {
        SlotState state;
        Kill kill;
} Slot;

struct Kills {
        SlotFile file;
        unsigned n, n_damaged;
        Slot slots[KILLS_MAX];
};

#define PUT(field, v) bytes_put_le((field), sizeof(field), (v))
#define GET(field) bytes_get_le((field), sizeof(field))

/* ---- one kill ---- */

static bool makes_sense(const Kill *x) {
        bool known = x->cgroup_id != 0;

        return x->at != 0 && x->until >= x->at && memchr(x->tenant, '\0', sizeof(x->tenant)) &&
               known == (x->tenant[0] != '\0');
}

static void encode(const Kill *x, FileCopy *c) {
        c->kind = x->cgroup_id != 0 ? ON_FILE_KILL : ON_FILE_UNKNOWN;
        PUT(c->at, x->at);
        PUT(c->until, x->until);
        PUT(c->cgroup_id, x->cgroup_id);
        memcpy(c->tenant, x->tenant, strlen(x->tenant));
}

/* 1, 0: an empty slot, -EBADMSG: none that we know, whatever its checksum says. */
static int decode(const FileCopy *c, Kill *ret) {
        Kill x = { .at = GET(c->at), .until = GET(c->until), .cgroup_id = GET(c->cgroup_id) };

        if (c->kind == ON_FILE_NONE)
                return 0;
        memcpy(x.tenant, c->tenant, sizeof(x.tenant));
        if ((c->kind != ON_FILE_KILL && c->kind != ON_FILE_UNKNOWN) || !makes_sense(&x) ||
            (c->kind == ON_FILE_KILL) != (x.cgroup_id != 0))
                return -EBADMSG;
        *ret = x;
        return 1;
}

/* ---- slots ---- */

static void load_slot(void *user, size_t slot, const void *copy) {
        Kills *k = user;
        Slot *s = &k->slots[slot];
        FileCopy c;
        int r = -EBADMSG;

        if (copy) {
                memcpy(&c, copy, sizeof(c));
                r = decode(&c, &s->kill);
        }
        s->state = r < 0 ? SLOT_DAMAGED : r > 0 ? SLOT_USED : SLOT_FREE;
        k->n_damaged += r < 0;
        k->n += r > 0;
}

static void write_slot(Kills *k, Slot *s, const FileCopy *c, SlotState state) {
        slotfile_write(&k->file, (size_t)(s - k->slots), c, false);
        k->n -= s->state == SLOT_USED;
        k->n_damaged -= s->state == SLOT_DAMAGED;
        k->n += state == SLOT_USED;
        s->state = state;
}

static void put(Kills *k, Slot *s, const Kill *kill) {
        FileCopy c = {};

        encode(kill, &c);
        write_slot(k, s, &c, SLOT_USED);
        s->kill = *kill;
}

static void empty_slot(Kills *k, Slot *s) { write_slot(k, s, &(FileCopy){}, SLOT_FREE); }

static bool is_over(const Slot *s, usec_t now) { return s->state == SLOT_USED && s->kill.until <= now; }

/* NULL: none. Rather one that was never used than one that is over. */
static Slot *find_room(const Kills *k, usec_t now) {
        const Slot *best = NULL;

        for (size_t i = 0; i < k->file.n_slots; i++) {
                const Slot *s = &k->slots[i];

                if (s->state == SLOT_FREE)
                        return (Slot *)(uintptr_t)s;
                if (is_over(s, now) && (!best || s->kill.at < best->kill.at))
                        best = s;
        }
        return (Slot *)(uintptr_t)best;
}

/* ---- public ---- */

int kills_open(const char *dir, const char *boot_id, Kills **ret) {
        _cleanup_(cleanup_kills_free) Kills *k = calloc(1, sizeof(*k));
        int r;

        if (!k)
                return -ENOMEM;
        r = slotfile_init(&k->file, &format, dir, boot_id, false, load_slot, k);
        if (r < 0)
                return r;
        *ret = steal_ptr(k);
        return 0;
}

Kills *kills_free(Kills *k) {
        if (k)
                slotfile_deinit(&k->file);
        free(k);
        return NULL;
}

bool kills_has_room(const Kills *k, usec_t now) { return find_room(k, now) != NULL; }

int kills_add(Kills *k, const Kill *kill) {
        Slot *s;

        if (!makes_sense(kill))
                return -EINVAL;
        s = find_room(k, kill->at);
        if (!s)
                return -ENOSPC;
        put(k, s, kill);
        return 0;
}

void kills_remove(Kills *k, uint64_t cgroup_id, usec_t at) {
        for (size_t i = 0; i < k->file.n_slots; i++) {
                Slot *s = &k->slots[i];

                if (s->state == SLOT_USED && s->kill.cgroup_id == cgroup_id && s->kill.at == at)
                        empty_slot(k, s);
        }
}

/* Of the same moment: by slot. */
const Kill *kills_next(const Kills *k, const Kill *last) {
        const Kill *next = NULL;

        for (size_t i = 0; i < k->file.n_slots; i++) {
                const Kill *x = &k->slots[i].kill;

                if (k->slots[i].state == SLOT_USED &&
                    (!last || x->at > last->at || (x->at == last->at && x > last)) &&
                    (!next || x->at < next->at))
                        next = x;
        }
        return next;
}

void kills_get_stats(const Kills *k, KillsStats *ret) {
        *ret = (KillsStats){
                .n = k->n,
                .n_damaged = k->n_damaged,
                .set_aside = k->file.aside == SLOT_ASIDE_UNREADABLE,
        };
}

void kills_write_off(Kills *k, usec_t at) {
        const Kill unknown = { .at = at, .until = USEC_INFINITY };
        Slot *room = find_room(k, at);

        for (size_t i = 0; !room && i < k->file.n_slots; i++)
                if (k->slots[i].state == SLOT_DAMAGED)
                        room = &k->slots[i];
        if (room)
                put(k, room, &unknown);
        for (size_t i = 0; i < k->file.n_slots; i++)
                if (k->slots[i].state == SLOT_DAMAGED)
                        empty_slot(k, &k->slots[i]);
}
