/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A table of records in a file, written in place.
 *
 *   page 0        header: magic, version, size of a slot, shape, boot id
 *   from page 1   slots of BOOKSLOT_BYTES, three in a page; of version 1 four
 *
 * What a slot holds is bookslot.h's affair. A build that would read a slot otherwise has
 * another shape and sets the file aside, even if somebody forgot to count the version up. A
 * file of version 1 is written anew as one of this version when it is opened: an upgrade loses nothing.
 *
 * The file is the only copy. A put that failed leaves nothing behind but the error, because
 * the same record is put again with its next sample anyway; a drop that failed is
 * remembered, because nobody would do it again. A file that was unlinked while we have it
 * open is copied to its name again. A file that could not be opened at first was not taken
 * over by anybody, so when it can be opened later it is set aside: its slots are not known.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bookfile.h"
#include "bookslot.h"
#include "bytes.h"
#include "fdio.h"

#define FILE_NAME "books"
#define FILE_NAME_OLD "books.old"
#define FILE_NAME_NEW "books.new"
#define PAGE_BYTES 4096
#define HEADER_BYTES PAGE_BYTES

static const char magic[16] = "bailiff-books";

typedef struct Header {
        char magic[sizeof(magic)];
        uint8_t version[4], slot_bytes[4], shape[8];
        char boot_id[BOOKFILE_BOOT_ID_BYTES];
} Header;
_Static_assert(sizeof(Header) == 96 && sizeof(Header) <= HEADER_BYTES, "no padding on file");

typedef struct Bits {
        uint64_t words[BOOKFILE_SLOTS_MAX / 64];
} Bits;

struct BookFile {
        int dirfd, fd; /* fd -1: not on file */
        bool opened; /* bookfile_open() is over: a file found now is nobody's */
        char boot_id[BOOKFILE_BOOT_ID_BYTES];
        uint32_t first_free; /* none before it */
        Bits used;
        Bits stale; /* dropped, but the file does not know yet */
        size_t n_stale;
        BookFileStats stats;
};

static bool bit_get(const Bits *b, uint32_t i) { return b->words[i / 64] >> i % 64 & 1; }

static void bit_set(Bits *b, uint32_t i, bool on) {
        uint64_t bit = UINT64_C(1) << i % 64;

        b->words[i / 64] = on ? b->words[i / 64] | bit : b->words[i / 64] & ~bit;
}

/* ---- slots ---- */

/* None crosses a page. */
static off_t place(BookVersion version, uint32_t slot) {
        uint32_t bytes = version == BOOK_VERSION_1 ? BOOKSLOT_BYTES_1 : BOOKSLOT_BYTES,
                 in_page = PAGE_BYTES / bytes;

        return HEADER_BYTES + (off_t)(slot / in_page) * PAGE_BYTES + (off_t)(slot % in_page) * bytes;
}

static off_t slot_at(uint32_t slot) { return place(BOOK_VERSION_NOW, slot); }

/* As much as there is; the rest, as a hole, is zeros. */
static int read_at(int fd, void *data, size_t n, off_t at) {
        size_t have = 0;

        while (have < n) {
                ssize_t k = pread(fd, (char *)data + have, n - have, at + (off_t)have);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                have += (size_t)k;
        }
        memset((char *)data + have, 0, n - have);
        return 0;
}

/* In one piece, or not at all as far as a checksum can tell. */
static int write_at(int fd, const void *data, size_t n, off_t at) {
        ssize_t k;

        do
                k = pwrite(fd, data, n, at);
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return -errno;
        return (size_t)k == n ? 0 : -ENOSPC;
}

static int slot_read(const BookFile *f, uint32_t slot, BookRecord *ret) {
        uint8_t bytes[BOOKSLOT_BYTES];
        int r;

        r = read_at(f->fd, bytes, sizeof(bytes), slot_at(slot));
        return r < 0 ? r : bookslot_decode(BOOK_VERSION_NOW, bytes, sizeof(bytes), ret);
}

/* ---- the file ---- */

static void make_header(const BookFile *f, BookVersion version, Header *h) {
        *h = (Header){};
        memcpy(h->magic, magic, sizeof(magic));
        bytes_put_le(h->version, sizeof(h->version), version);
        bytes_put_le(h->slot_bytes, sizeof(h->slot_bytes),
                     version == BOOK_VERSION_1 ? BOOKSLOT_BYTES_1 : BOOKSLOT_BYTES);
        bytes_put_le(h->shape, sizeof(h->shape), bookslot_shape(version));
        memcpy(h->boot_id, f->boot_id, sizeof(h->boot_id));
}

/* The whole page at once: an empty file is empty, or has a header. */
static int write_header(const BookFile *f, int fd) {
        uint8_t page[HEADER_BYTES] = {};
        Header h;
        int r;

        make_header(f, BOOK_VERSION_NOW, &h);
        memcpy(page, &h, sizeof(h));
        r = write_at(fd, page, sizeof(page), 0);
        if (r < 0)
                (void)!ftruncate(fd, 0);
        return r;
}

/* A BookVersion: ours to go on with. 0: empty. -ESTALE: to be set aside. Other errno: cannot be told. */
static int check_file(const BookFile *f, int fd) {
        struct stat st;
        Header found, expected;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ESTALE;
        if (st.st_size == 0)
                return 0;
        /* A file that was not there, or not readable, when records were taken over. */
        if (f->opened || st.st_size < HEADER_BYTES ||
            st.st_size >= slot_at(BOOKFILE_SLOTS_MAX - 1) + PAGE_BYTES)
                return -ESTALE;
        r = read_at(fd, &found, sizeof(found), 0);
        if (r < 0)
                return r;
        for (int v = BOOK_VERSION_NOW; v >= BOOK_VERSION_1; v--) {
                make_header(f, (BookVersion)v, &expected);
                if (memcmp(&found, &expected, sizeof(found)) == 0)
                        return v;
        }
        return -ESTALE;
}

/* ---- a file anew ---- */

static int begin_new(const BookFile *f) {
        int fd = openat(f->dirfd, FILE_NAME_NEW, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd < 0 ? -errno : fd;
}

/* r: of writing it. */
static int end_new(const BookFile *f, int r) {
        if (r == 0 && renameat(f->dirfd, FILE_NAME_NEW, f->dirfd, FILE_NAME) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(f->dirfd, FILE_NAME_NEW, 0);
        return r;
}

static int convert_slots(BookFile *f, int from, int to) {
        struct stat st;

        if (fstat(from, &st) < 0)
                return -errno;
        for (uint32_t i = 0; i < BOOKFILE_SLOTS_MAX && place(BOOK_VERSION_1, i) < st.st_size; i++) {
                uint8_t bytes[BOOKSLOT_BYTES];
                BookRecord record;
                int r = read_at(from, bytes, BOOKSLOT_BYTES_1, place(BOOK_VERSION_1, i)), k;

                if (r < 0)
                        return r;
                k = bookslot_decode(BOOK_VERSION_1, bytes, BOOKSLOT_BYTES_1, &record);
                f->stats.n_damaged += k < 0;
                if (k > 0)
                        r = write_at(to, bytes, bookslot_encode(&record, bytes), slot_at(i));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* From version 1 to this one; *fd becomes the new file's. */
static int convert(BookFile *f, int *fd) {
        _cleanup_fd_ int to = begin_new(f);
        int r;

        if (to < 0)
                return to;
        r = write_header(f, to);
        if (r == 0)
                r = convert_slots(f, *fd, to);
        r = end_new(f, r);
        if (r < 0)
                return r;
        fd_close(*fd);
        *fd = steal_fd(&to);
        return 0;
}

/* ---- the file's name ---- */

static int set_aside(BookFile *f) {
        if (renameat(f->dirfd, FILE_NAME, f->dirfd, FILE_NAME_OLD) < 0)
                return -errno;
        f->stats.set_aside = true;
        return 0;
}

/* The fd of a file with a good header and our slots in it, or none. */
static int open_file(BookFile *f) {
        const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

        for (unsigned tries = 0; tries < 2; tries++) {
                _cleanup_fd_ int fd = openat(f->dirfd, FILE_NAME, flags, 0600);
                int r;

                if (fd >= 0)
                        r = check_file(f, fd);
                else
                        /* A directory, a link, a socket. */
                        r = errno == EISDIR || errno == ELOOP || errno == ENXIO ? -ESTALE : -errno;
                if (r == 0)
                        r = write_header(f, fd);
                else if (r == BOOK_VERSION_1)
                        r = convert(f, &fd);
                if (r >= 0) {
                        f->fd = steal_fd(&fd);
                        return 0;
                }
                if (r != -ESTALE)
                        return r;
                r = set_aside(f);
                if (r < 0)
                        return r;
        }
        return -EBUSY; /* somebody puts strange files there as fast as we set them aside */
}

/* Somebody unlinked it: what we have open is all that there is. */
static int copy_file(BookFile *f) {
        _cleanup_fd_ int fd = -1;
        uint8_t chunk[HEADER_BYTES];
        struct stat st;
        int r;

        if (fstat(f->fd, &st) < 0)
                return -errno;
        fd = begin_new(f);
        if (fd < 0)
                return fd;
        r = 0;
        for (off_t at = 0; at < st.st_size && r == 0; at += (off_t)sizeof(chunk)) {
                r = read_at(f->fd, chunk, sizeof(chunk), at);
                if (r == 0)
                        r = write_at(fd, chunk, sizeof(chunk), at);
        }
        r = end_new(f, r);
        if (r < 0)
                return r;
        fd_close(f->fd);
        f->fd = steal_fd(&fd);
        return 0;
}

static void set_stale(BookFile *f, uint32_t slot, bool on) {
        if (bit_get(&f->stale, slot) == on)
                return;
        bit_set(&f->stale, slot, on);
        f->n_stale = on ? f->n_stale + 1 : f->n_stale - 1;
}

static int empty_slot(BookFile *f, uint32_t slot) {
        static const uint8_t nothing[BOOKSLOT_HEAD];
        int r;

        r = write_at(f->fd, nothing, sizeof(nothing), slot_at(slot));
        if (r == 0)
                set_stale(f, slot, false);
        return r;
}

/* What drops could not. */
static int empty_stale(BookFile *f) {
        int r = 0;

        for (uint32_t i = 0; f->n_stale > 0 && i < BOOKFILE_SLOTS_MAX && r == 0; i++)
                if (bit_get(&f->stale, i))
                        r = empty_slot(f, i);
        return r;
}

/* After this fd leads to the file of that name. */
static int ensure_file(BookFile *f) {
        struct stat st;

        if (f->fd < 0)
                return open_file(f);
        if (fstat(f->fd, &st) < 0)
                return -errno;
        return st.st_nlink == 0 ? copy_file(f) : 0;
}

/* ---- public ---- */

static void load(BookFile *f) {
        struct stat st;

        if (fstat(f->fd, &st) < 0)
                return;
        for (uint32_t i = 0; i < BOOKFILE_SLOTS_MAX && slot_at(i) < st.st_size; i++) {
                BookRecord record;
                int r;

                f->stats.n_slots = i + 1;
                r = slot_read(f, i, &record);
                if (r > 0) {
                        bit_set(&f->used, i, true);
                        f->stats.n_used++;
                } else if (r < 0)
                        f->stats.n_damaged++;
        }
}

int bookfile_open(const char *dir, const char *boot_id, BookFile **ret) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        int r;

        if (!boot_id[0] || strlen(boot_id) >= BOOKFILE_BOOT_ID_BYTES)
                return -EINVAL;
        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->fd = -1;
        f->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->dirfd < 0)
                return -errno;
        memcpy(f->boot_id, boot_id, strlen(boot_id));
        r = open_file(f);
        if (r < 0)
                f->stats.write_error = r;
        else
                load(f);
        f->opened = true;
        *ret = steal_ptr(f);
        return 0;
}

BookFile *bookfile_free(BookFile *f) {
        if (!f)
                return NULL;
        f->fd = fd_close(f->fd);
        f->dirfd = fd_close(f->dirfd);
        free(f);
        return NULL;
}

bool bookfile_next(BookFile *f, uint32_t *i, uint32_t *ret_slot, BookRecord *ret) {
        while (*i < BOOKFILE_SLOTS_MAX) {
                uint32_t slot = (*i)++;

                if (!bit_get(&f->used, slot) || slot_read(f, slot, ret) <= 0)
                        continue;
                *ret_slot = slot;
                return true;
        }
        return false;
}

static int find_free(const BookFile *f, uint32_t *ret) {
        for (uint32_t i = f->first_free; i < BOOKFILE_SLOTS_MAX; i++)
                if (!bit_get(&f->used, i)) {
                        *ret = i;
                        return 0;
                }
        return -E2BIG;
}

static int write_record(BookFile *f, uint32_t slot, const BookRecord *record) {
        uint8_t bytes[BOOKSLOT_BYTES];
        int r;

        r = ensure_file(f);
        if (r < 0)
                return r;
        r = write_at(f->fd, bytes, bookslot_encode(record, bytes), slot_at(slot));
        if (r < 0)
                return r;
        f->stats.n_writes++;
        set_stale(f, slot, false);
        return 0;
}

int bookfile_put(BookFile *f, uint32_t *slot, const BookRecord *record) {
        uint32_t to = *slot;
        int r;

        if (record->kind < BOOKFILE_CONTAINER || record->kind > BOOKFILE_TENANT)
                return -EINVAL;
        if (to == BOOKFILE_NO_SLOT) {
                r = find_free(f, &to);
                if (r < 0)
                        return r;
        } else if (to >= BOOKFILE_SLOTS_MAX || !bit_get(&f->used, to))
                return -EINVAL;
        r = write_record(f, to, record);
        f->stats.write_error = r ?: empty_stale(f);
        if (r < 0 || *slot != BOOKFILE_NO_SLOT)
                return r;
        bit_set(&f->used, to, true);
        f->first_free = to + 1;
        f->stats.n_used++;
        f->stats.n_slots = MAX_OF(f->stats.n_slots, (size_t)to + 1);
        *slot = to;
        return 0;
}

int bookfile_drop(BookFile *f, uint32_t *slot) {
        uint32_t from = *slot;
        int r;

        *slot = BOOKFILE_NO_SLOT;
        if (from >= BOOKFILE_SLOTS_MAX || !bit_get(&f->used, from))
                return 0;
        bit_set(&f->used, from, false);
        set_stale(f, from, true);
        f->first_free = MIN_OF(f->first_free, from);
        f->stats.n_used--;
        r = ensure_file(f);
        if (r == 0)
                r = empty_slot(f, from);
        f->stats.write_error = r ?: empty_stale(f);
        return r;
}

void bookfile_get_stats(const BookFile *f, BookFileStats *ret) { *ret = f->stats; }
