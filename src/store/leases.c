/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file, written through a shared mapping.
 *
 *   header        checksum (8 bytes) of the rest; magic, version, the oldest version
 *                 that can read it, bytes of header, bytes of one copy, number of
 *                 slots, boot id. What a later version adds is between our part and
 *                 the first slot, and not of our checksum's business.
 *   slots         two copies each: checksum (8 bytes) of the rest, sequence number (8),
 *                 payload. What a later version adds is behind our payload; the
 *                 checksum covers it. All zero: never written.
 *
 * Of a slot's two copies the one with the right checksum and the higher number
 * counts; a write goes over the other one, payload first. A writer that dies in
 * between has destroyed a copy that did not count any more, and whoever reads
 * while another writes sees either state. An empty slot is a copy whose kind is NONE.
 * Numbers are little-endian; a knob is on file by its policy key, because the values
 * of the enum are not for ever.
 *
 * The slots are kept decoded in memory, in the same order: to find one takes no decoding,
 * and what leases_find() lends does not change under its reader's hands. Slots of which
 * neither copy is any good are free, but the last ones to be taken, so that somebody
 * can still look at them.
 *
 * The file is made beside its name and renamed when it is complete: one that is there
 * has its room. Room is asked for again when a file is opened, since a store into a
 * hole of a full tmpfs is SIGBUS. Who only reads does not map anything: the file
 * could be cut meanwhile, and that is SIGBUS, too.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "fdio.h"
#include "leases.h"

#define FILE_NAME "leases"
#define FILE_NAME_OLD "leases.old"
#define FILE_NAME_NEW "leases.new"
#define BOOT_ID_BYTES 64
/* More is nonsense. */
#define HEADER_BYTES_MAX 65536
#define COPY_BYTES_MAX 8192

static const char magic[16] = "bailiff-leases";

typedef struct FileHeader {
        uint8_t checksum[8];
        char magic[sizeof(magic)];
        uint8_t version[4], oldest_reader[4], header_bytes[4], copy_bytes[4], n_slots[4], reserved[4];
        char boot_id[BOOT_ID_BYTES];
} FileHeader;
_Static_assert(sizeof(FileHeader) == 112, "no padding on file");
#define HEADER_BYTES 4096

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
#define COPY_BYTES 1024
#define SEQ_MAX (UINT64_MAX / 2) /* nobody counts that far, and there is always a next number */
#define SEQ_BYTES offsetof(FileCopy, kind) /* checksum and seq: written last */

typedef enum SlotState { SLOT_FREE, SLOT_DAMAGED, SLOT_USED } SlotState;

typedef struct Slot {
        SlotState state;
        bool second; /* the copy that counts */
        uint64_t seq; /* of it; 0: none */
        Lease lease;
} Slot;

typedef struct Shape {
        size_t header_bytes, copy_bytes, n_slots;
} Shape;

struct Leases {
        int dirfd;
        bool read_only;
        char boot_id[BOOT_ID_BYTES];
        Shape shape;
        uint8_t *map; /* NULL: read_only */
        size_t n;
        LeasesStats stats;
        Slot slots[LEASES_MAX];
};

static size_t file_bytes(const Shape *s) { return s->header_bytes + 2 * s->n_slots * s->copy_bytes; }

static size_t copy_at(const Shape *s, size_t slot, bool second) {
        return s->header_bytes + (2 * slot + second) * s->copy_bytes;
}

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

static uint64_t copy_checksum(const Shape *s, const uint8_t *copy) {
        return bytes_fnv1a(FNV_BASIS, copy + 8, s->copy_bytes - 8);
}

/* The number of a copy that can be read: 0: never written. */
static int copy_seq(const Shape *s, const uint8_t *copy, uint64_t *ret) {
        uint64_t checksum = bytes_get_le(copy, 8), seq = bytes_get_le(copy + 8, 8);

        if (checksum == 0 && seq == 0) {
                for (size_t i = SEQ_BYTES; i < s->copy_bytes; i++)
                        if (copy[i])
                                return -EBADMSG;
                *ret = 0;
                return 0;
        }
        if (seq == 0 || seq > SEQ_MAX || checksum != copy_checksum(s, copy))
                return -EBADMSG;
        *ret = seq;
        return 0;
}

/*
 * Writes over the copy that does not count. What a later version keeps behind our payload goes on (lease is the same
 * one, changed a bit) or is zero.
 */
static void write_slot(Leases *l, size_t slot, const Lease *lease, bool keep_rest) {
        Slot *s = &l->slots[slot];
        uint8_t copy[COPY_BYTES_MAX];
        FileCopy known = {};
        uint8_t *to = l->map + copy_at(&l->shape, slot, !s->second);

        memset(copy, 0, l->shape.copy_bytes);
        if (keep_rest)
                memcpy(copy, l->map + copy_at(&l->shape, slot, s->second), l->shape.copy_bytes);
        if (lease)
                encode(lease, &known);
        PUT(known.seq, s->seq + 1);
        memcpy(copy, &known, sizeof(known));
        bytes_put_le(copy, 8, copy_checksum(&l->shape, copy));
        memcpy(to + SEQ_BYTES, copy + SEQ_BYTES, l->shape.copy_bytes - SEQ_BYTES);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        memcpy(to, copy, SEQ_BYTES);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        s->second = !s->second;
        s->seq++;
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

/* Both copies in a row. */
static void load_slot(Leases *l, size_t slot, const uint8_t *copies) {
        Slot *s = &l->slots[slot];
        uint64_t seq[2];
        bool good[2];
        FileCopy c;
        Lease lease;
        int r;

        for (size_t i = 0; i < 2; i++)
                good[i] = copy_seq(&l->shape, copies + i * l->shape.copy_bytes, &seq[i]) == 0;
        s->second = good[1] && (!good[0] || seq[1] > seq[0]);
        if (good[s->second])
                s->seq = seq[s->second];
        memcpy(&c, copies + s->second * l->shape.copy_bytes, sizeof(c));
        r = good[s->second] ? decode(&c, &lease) : -EBADMSG;
        /* No guard writes one twice. */
        if (r > 0 && find(l, lease.cgroup_id, lease.kind, lease.knob))
                r = -EBADMSG;
        if (r < 0) {
                s->state = SLOT_DAMAGED;
                l->stats.n_damaged++;
        } else if (r > 0)
                use_slot(l, s, &lease);
}

/* ---- the file ---- */

static void make_header(const Leases *l, FileHeader *h) {
        *h = (FileHeader){};
        memcpy(h->magic, magic, sizeof(magic));
        PUT(h->version, LEASES_VERSION);
        PUT(h->oldest_reader, LEASES_VERSION);
        PUT(h->header_bytes, HEADER_BYTES);
        PUT(h->copy_bytes, COPY_BYTES);
        PUT(h->n_slots, LEASES_MAX);
        memcpy(h->boot_id, l->boot_id, sizeof(h->boot_id));
        PUT(h->checksum, bytes_fnv1a(FNV_BASIS, h->magic, sizeof(*h) - sizeof(h->checksum)));
}

/* 0: ours to go on with. -ESTALE: to be set aside. Other errno: cannot be told. */
static int check_file(const Leases *l, int fd, Shape *ret) {
        struct stat st;
        FileHeader h;
        Shape s;
        ssize_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ESTALE;
        n = pread(fd, &h, sizeof(h), 0);
        if (n < 0)
                return -errno;
        if (n != sizeof(h) || memcmp(h.magic, magic, sizeof(magic)) != 0 ||
            GET(h.checksum) != bytes_fnv1a(FNV_BASIS, h.magic, sizeof(h) - sizeof(h.checksum)) ||
            memcmp(h.boot_id, l->boot_id, sizeof(h.boot_id)) != 0 || GET(h.oldest_reader) > LEASES_VERSION)
                return -ESTALE;
        s = (Shape){ GET(h.header_bytes), GET(h.copy_bytes), GET(h.n_slots) };
        if (s.header_bytes < sizeof(h) || s.header_bytes > HEADER_BYTES_MAX ||
            s.copy_bytes < sizeof(FileCopy) || s.copy_bytes > COPY_BYTES_MAX || s.n_slots == 0 ||
            s.n_slots > LEASES_MAX || (uint64_t)st.st_size < file_bytes(&s))
                return -ESTALE;
        *ret = s;
        return 0;
}

static int make_file(const Leases *l) {
        const Shape s = { HEADER_BYTES, COPY_BYTES, LEASES_MAX };
        _cleanup_fd_ int fd = -1;
        FileHeader h;
        int r = 0;

        (void)unlinkat(l->dirfd, FILE_NAME_NEW, 0);
        fd = openat(l->dirfd, FILE_NAME_NEW, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (fallocate(fd, 0, 0, (off_t)file_bytes(&s)) < 0)
                r = -errno;
        make_header(l, &h);
        if (r == 0)
                r = fd_write_all(fd, &h, sizeof(h));
        if (r == 0 && renameat(l->dirfd, FILE_NAME_NEW, l->dirfd, FILE_NAME) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(l->dirfd, FILE_NAME_NEW, 0);
        return r;
}

static int set_aside(Leases *l) {
        if (renameat(l->dirfd, FILE_NAME, l->dirfd, FILE_NAME_OLD) < 0)
                return -errno;
        l->stats.set_aside = true;
        return 0;
}

static int open_file(const Leases *l, int *ret_fd, Shape *ret) {
        const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
        _cleanup_fd_ int fd = openat(l->dirfd, FILE_NAME, flags | (l->read_only ? O_RDONLY : O_RDWR));
        int r;

        if (fd < 0) /* a directory, a link, a socket: no file of ours */
                return errno == EISDIR || errno == ELOOP || errno == ENXIO ? -ESTALE : -errno;
        r = check_file(l, fd, ret);
        if (r < 0)
                return r;
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* Whatever is there under that name, or nothing: afterwards fd is a file of ours. */
static int open_or_make(Leases *l, int *ret_fd) {
        for (unsigned tries = 0; tries < 3; tries++) {
                int r = open_file(l, ret_fd, &l->shape);

                if (r == -ESTALE)
                        r = set_aside(l);
                else if (r == -ENOENT)
                        r = make_file(l);
                else
                        return r;
                if (r < 0)
                        return r;
        }
        return -EBUSY; /* somebody puts strange files there as fast as we set them aside */
}

static int map_file(Leases *l, int fd) {
        size_t size = file_bytes(&l->shape);
        void *p;

        if (fallocate(fd, 0, 0, (off_t)size) < 0)
                return -errno;
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        l->map = p;
        l->stats.locked = mlock(p, size) == 0;
        for (size_t i = 0; i < l->shape.n_slots; i++)
                load_slot(l, i, l->map + copy_at(&l->shape, i, false));
        return 0;
}

/* A slot that was cut off since the size was looked at is damaged: nobody knows what it held. */
static int read_file(Leases *l, int fd) {
        size_t size = 2 * l->shape.copy_bytes;
        _cleanup_free_ uint8_t *copies = malloc(size);

        if (!copies)
                return -ENOMEM;
        for (size_t i = 0; i < l->shape.n_slots; i++) {
                ssize_t n = pread(fd, copies, size, (off_t)copy_at(&l->shape, i, false));

                if (n < 0)
                        return -errno;
                if ((size_t)n == size) {
                        load_slot(l, i, copies);
                        continue;
                }
                l->slots[i].state = SLOT_DAMAGED;
                l->stats.n_damaged++;
        }
        return 0;
}

/* ---- public ---- */

int leases_open(const char *dir, const char *boot_id, bool read_only, Leases **ret) {
        _cleanup_(cleanup_leases_free) Leases *l = NULL;
        _cleanup_fd_ int fd = -1;
        int r;

        if (!boot_id[0] || strlen(boot_id) >= BOOT_ID_BYTES)
                return -EINVAL;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->read_only = read_only;
        memcpy(l->boot_id, boot_id, strlen(boot_id));
        l->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->dirfd < 0)
                return -errno;
        if (read_only) {
                r = open_file(l, &fd, &l->shape);
                if (r == 0)
                        r = read_file(l, fd);
                else if (r == -ENOENT || r == -ESTALE)
                        r = 0;
        } else {
                r = open_or_make(l, &fd);
                if (r == 0)
                        r = map_file(l, fd);
        }
        if (r < 0)
                return r;
        *ret = steal_ptr(l);
        return 0;
}

Leases *leases_free(Leases *l) {
        if (!l)
                return NULL;
        if (l->map)
                (void)munmap(l->map, file_bytes(&l->shape));
        l->dirfd = fd_close(l->dirfd);
        free(l);
        return NULL;
}

/* A good one before a damaged one. */
static Slot *find_room(Leases *l) {
        Slot *damaged = NULL;

        for (size_t i = 0; i < l->shape.n_slots; i++) {
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

        if (l->read_only)
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

        if (l->read_only)
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
        if (l->read_only)
                return;
        for (size_t i = 0; i < l->shape.n_slots; i++) {
                Slot *s = &l->slots[i];
                usec_t t = MIN_OF(until, s->lease.end);

                if (s->state != SLOT_USED || t <= s->lease.until)
                        continue;
                s->lease.until = t;
                write_slot(l, i, &s->lease, true);
        }
}

void leases_get_stats(const Leases *l, LeasesStats *ret) {
        *ret = l->stats;
        ret->n = (unsigned)l->n;
}
