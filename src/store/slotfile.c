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
 * while another writes sees either state. Numbers are little-endian.
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
#include "slotfile.h"

/* More is nonsense. */
#define HEADER_BYTES_MAX 65536

typedef struct FileHeader {
        uint8_t checksum[8];
        char magic[16];
        uint8_t version[4], oldest_reader[4], header_bytes[4], copy_bytes[4], n_slots[4], reserved[4];
        char boot_id[SLOTFILE_BOOT_BYTES];
} FileHeader;
_Static_assert(sizeof(FileHeader) == 112, "no padding on file");
#define HEADER_BYTES 4096

#define SEQ_MAX (UINT64_MAX / 2) /* nobody counts that far, and there is always a next number */

#define PUT(field, v) bytes_put_le((field), sizeof(field), (v))
#define GET(field) bytes_get_le((field), sizeof(field))

static size_t file_bytes(const SlotFile *f) { return f->header_bytes + 2 * f->n_slots * f->copy_bytes; }

static size_t copy_at(const SlotFile *f, size_t slot, bool second) {
        return f->header_bytes + (2 * slot + second) * f->copy_bytes;
}

/* ---- slots ---- */

static uint64_t copy_checksum(const SlotFile *f, const uint8_t *copy) {
        return bytes_fnv1a(FNV_BASIS, copy + 8, f->copy_bytes - 8);
}

/* The number of a copy that can be read: 0: never written. */
static int copy_seq(const SlotFile *f, const uint8_t *copy, uint64_t *ret) {
        uint64_t checksum = bytes_get_le(copy, 8), seq = bytes_get_le(copy + 8, 8);

        if (checksum == 0 && seq == 0) {
                for (size_t i = SLOTFILE_HEAD; i < f->copy_bytes; i++)
                        if (copy[i])
                                return -EBADMSG;
                *ret = 0;
                return 0;
        }
        if (seq == 0 || seq > SEQ_MAX || checksum != copy_checksum(f, copy))
                return -EBADMSG;
        *ret = seq;
        return 0;
}

void slotfile_write(SlotFile *f, size_t slot, const void *known, bool keep_rest) {
        SlotHead *s = &f->heads[slot];
        uint8_t copy[SLOTFILE_COPY_MAX];
        uint8_t *to = f->map + copy_at(f, slot, !s->second);

        memset(copy, 0, f->copy_bytes);
        if (keep_rest)
                memcpy(copy, f->map + copy_at(f, slot, s->second), f->copy_bytes);
        memcpy(copy, known, f->format->known_bytes);
        bytes_put_le(copy + 8, 8, s->seq + 1);
        bytes_put_le(copy, 8, copy_checksum(f, copy));
        memcpy(to + SLOTFILE_HEAD, copy + SLOTFILE_HEAD, f->copy_bytes - SLOTFILE_HEAD);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        memcpy(to, copy, SLOTFILE_HEAD);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        s->second = !s->second;
        s->seq++;
}

/* Both copies in a row. */
static void load_slot(SlotFile *f, size_t slot, const uint8_t *copies, SlotLoad load, void *user) {
        SlotHead *s = &f->heads[slot];
        uint64_t seq[2];
        bool good[2];

        for (size_t i = 0; i < 2; i++)
                good[i] = copy_seq(f, copies + i * f->copy_bytes, &seq[i]) == 0;
        s->second = good[1] && (!good[0] || seq[1] > seq[0]);
        if (good[s->second])
                s->seq = seq[s->second];
        load(user, slot, good[s->second] ? copies + s->second * f->copy_bytes : NULL);
}

/* ---- the file ---- */

static void make_header(const SlotFile *f, FileHeader *h) {
        *h = (FileHeader){};
        memcpy(h->magic, f->format->magic, sizeof(h->magic));
        PUT(h->version, f->format->version);
        PUT(h->oldest_reader, f->format->version);
        PUT(h->header_bytes, HEADER_BYTES);
        PUT(h->copy_bytes, f->format->copy_bytes);
        PUT(h->n_slots, f->format->n_slots);
        memcpy(h->boot_id, f->boot_id, sizeof(h->boot_id));
        PUT(h->checksum, bytes_fnv1a(FNV_BASIS, h->magic, sizeof(*h) - sizeof(h->checksum)));
}

static SlotAside check_header(SlotFile *f, const FileHeader *h, uint64_t size) {
        if (memcmp(h->magic, f->format->magic, sizeof(h->magic)) != 0 ||
            GET(h->checksum) != bytes_fnv1a(FNV_BASIS, h->magic, sizeof(*h) - sizeof(h->checksum)))
                return SLOT_ASIDE_UNREADABLE;
        if (memcmp(h->boot_id, f->boot_id, sizeof(h->boot_id)) != 0)
                return SLOT_ASIDE_BOOT;
        f->header_bytes = GET(h->header_bytes);
        f->copy_bytes = GET(h->copy_bytes);
        f->n_slots = GET(h->n_slots);
        if (GET(h->oldest_reader) > f->format->version || f->header_bytes < sizeof(*h) ||
            f->header_bytes > HEADER_BYTES_MAX || f->copy_bytes < f->format->known_bytes ||
            f->copy_bytes > SLOTFILE_COPY_MAX || f->n_slots == 0 || f->n_slots > f->format->n_slots ||
            size < file_bytes(f))
                return SLOT_ASIDE_UNREADABLE;
        return SLOT_ASIDE_NONE;
}

/* 0: ours to go on with. Positive, SlotAside: to be set aside. Negative errno: cannot be told. */
static int check_file(SlotFile *f, int fd) {
        struct stat st;
        FileHeader h;
        SlotAside aside;
        ssize_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return SLOT_ASIDE_UNREADABLE;
        n = pread(fd, &h, sizeof(h), 0);
        if (n < 0)
                return -errno;
        aside = n == sizeof(h) ? check_header(f, &h, (uint64_t)st.st_size) : SLOT_ASIDE_UNREADABLE;
        if (aside != SLOT_ASIDE_NONE)
                f->n_slots = 0;
        return (int)aside;
}

static int make_file(const SlotFile *f) {
        const SlotFormat *format = f->format;
        _cleanup_fd_ int fd = -1;
        FileHeader h;
        int r = 0;

        (void)unlinkat(f->dirfd, format->name_new, 0);
        fd = openat(f->dirfd, format->name_new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (fallocate(fd, 0, 0, (off_t)(HEADER_BYTES + 2 * format->n_slots * format->copy_bytes)) < 0)
                r = -errno;
        make_header(f, &h);
        if (r == 0)
                r = fd_write_all(fd, &h, sizeof(h));
        if (r == 0 && renameat(f->dirfd, format->name_new, f->dirfd, format->name) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(f->dirfd, format->name_new, 0);
        return r;
}

static int set_aside(SlotFile *f, SlotAside why) {
        if (renameat(f->dirfd, f->format->name, f->dirfd, f->format->name_old) < 0)
                return -errno;
        f->aside = MAX_OF(f->aside, why);
        return 0;
}

/* As check_file(). */
static int open_file(SlotFile *f, int *ret_fd) {
        const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
        _cleanup_fd_ int fd = openat(f->dirfd, f->format->name, flags | (f->read_only ? O_RDONLY : O_RDWR));
        int r;

        if (fd < 0) /* a directory, a link, a socket: no file of ours */
                return errno == EISDIR || errno == ELOOP || errno == ENXIO ? SLOT_ASIDE_UNREADABLE : -errno;
        r = check_file(f, fd);
        if (r == 0)
                *ret_fd = steal_fd(&fd);
        return r;
}

/* Whatever is there under that name, or nothing: afterwards fd is a file of ours. */
static int open_or_make(SlotFile *f, int *ret_fd) {
        for (unsigned tries = 0; tries < 3; tries++) {
                int r = open_file(f, ret_fd);

                if (r > 0)
                        r = set_aside(f, (SlotAside)r);
                else if (r == -ENOENT)
                        r = make_file(f);
                else
                        return r;
                if (r < 0)
                        return r;
        }
        return -EBUSY; /* somebody puts strange files there as fast as we set them aside */
}

static int map_file(SlotFile *f, int fd, SlotLoad load, void *user) {
        size_t size = file_bytes(f);
        void *p;

        if (fallocate(fd, 0, 0, (off_t)size) < 0)
                return -errno;
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
                return -errno;
        f->map = p;
        f->locked = mlock(p, size) == 0;
        for (size_t i = 0; i < f->n_slots; i++)
                load_slot(f, i, f->map + copy_at(f, i, false), load, user);
        return 0;
}

/* A slot that was cut off since the size was looked at is damaged: nobody knows what it held. */
static int read_file(SlotFile *f, int fd, SlotLoad load, void *user) {
        size_t size = 2 * f->copy_bytes;
        _cleanup_free_ uint8_t *copies = malloc(size);

        if (!copies)
                return -ENOMEM;
        for (size_t i = 0; i < f->n_slots; i++) {
                ssize_t n = pread(fd, copies, size, (off_t)copy_at(f, i, false));

                if (n < 0)
                        return -errno;
                if ((size_t)n == size)
                        load_slot(f, i, copies, load, user);
                else
                        load(user, i, NULL);
        }
        return 0;
}

/* ---- public ---- */

int slotfile_init(SlotFile *f, const SlotFormat *format, const char *dir, const char *boot_id, bool read_only,
                  SlotLoad load, void *user) {
        _cleanup_fd_ int fd = -1;
        int r;

        *f = (SlotFile){ .format = format, .dirfd = -1, .read_only = read_only };
        if (!boot_id[0] || strlen(boot_id) >= sizeof(f->boot_id))
                return -EINVAL;
        memcpy(f->boot_id, boot_id, strlen(boot_id));
        f->heads = calloc(format->n_slots, sizeof(*f->heads));
        if (!f->heads)
                return -ENOMEM;
        f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->dirfd < 0)
                return -errno;
        if (read_only) {
                r = open_file(f, &fd);
                if (r == 0)
                        return read_file(f, fd, load, user);
                return r > 0 || r == -ENOENT ? 0 : r;
        }
        r = open_or_make(f, &fd);
        return r < 0 ? r : map_file(f, fd, load, user);
}

void slotfile_deinit(SlotFile *f) {
        if (!f->format)
                return;
        if (f->map)
                (void)munmap(f->map, file_bytes(f));
        f->map = NULL;
        f->dirfd = fd_close(f->dirfd);
        free(f->heads);
        f->heads = NULL;
}
