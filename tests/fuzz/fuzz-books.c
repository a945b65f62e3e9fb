/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The books' file, given anything. What begins with '#' is the file itself. Random bytes
 * never get past a checksum, so all else is records, each with its length in two bytes
 * before it, which are sealed and put behind a good header. Beyond not crashing: what is
 * read had the right checksum, all slots are either read, damaged or free, and what was
 * read, written and read again is the same to the byte.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bookfile.h"
#include "buf.h"
#include "fdio.h"

#define BOOT "0f3c5f5e"
#define FILE_NAME "books"
#define HEADER_BYTES 4096
#define PAGE_BYTES 4096
#define SLOT_BYTES 1360 /* three in a page */
#define SLOT_HEAD 10

#include "fuzz-store.h"

static uint64_t checksum(const uint8_t *slot, size_t n) {
        uint64_t h = 0xcbf29ce484222325ULL;

        for (size_t i = 8; i < SLOT_HEAD + n; i++)
                h = (h ^ slot[i]) * 0x100000001b3ULL;
        return h;
}

static void put_sealed(Buf *b, const uint8_t *record, size_t n) {
        static const uint8_t padding[PAGE_BYTES % SLOT_BYTES];
        uint8_t slot[SLOT_BYTES] = {};
        uint64_t h;

        slot[8] = (uint8_t)n;
        slot[9] = (uint8_t)(n >> 8);
        if (n > 0)
                memcpy(slot + SLOT_HEAD, record, n);
        h = checksum(slot, n);
        for (size_t i = 0; i < 8; i++)
                slot[i] = (uint8_t)(h >> 8 * i);
        if (b->len % PAGE_BYTES == 3 * SLOT_BYTES)
                buf_append(b, padding, sizeof(padding));
        buf_append(b, slot, sizeof(slot));
}

static BookFile *open_books(BookFileStats *ret) {
        BookFile *f = NULL;

        must(bookfile_open(dir, BOOT, &f) == 0);
        bookfile_get_stats(f, ret);
        must(ret->write_error == 0);
        return f;
}

static void put_header(Buf *b) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        _cleanup_free_ char *header = NULL;
        BookFileStats stats;
        size_t len;

        f = open_books(&stats);
        must(fd_read_regular_at(dir_fd, FILE_NAME, HEADER_BYTES, &header, &len, NULL, NULL) == 0);
        must(len == HEADER_BYTES);
        buf_append(b, header, len);
}

static void make_file(const uint8_t *data, size_t size, Buf *b) {
        if (size > 0 && *data == '#') {
                buf_append(b, data + 1, size - 1);
                return;
        }
        put_header(b);
        while (size >= 2) {
                size_t n = data[0] | (size_t)data[1] << 8;

                n = MIN_OF(MIN_OF(n, size - 2), (size_t)SLOT_BYTES - SLOT_HEAD);
                put_sealed(b, data + 2, n);
                data += 2 + n;
                size -= 2 + n;
        }
}

static void read_slot(uint32_t slot, uint8_t bytes[static SLOT_BYTES]) {
        _cleanup_fd_ int fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC);

        must(fd >= 0);
        memset(bytes, 0, SLOT_BYTES);
        must(pread(fd, bytes, SLOT_BYTES,
                   HEADER_BYTES + (off_t)(slot / 3) * PAGE_BYTES + (off_t)(slot % 3) * SLOT_BYTES) >
             SLOT_HEAD);
}

static void check_slot(uint32_t slot) {
        uint8_t bytes[SLOT_BYTES];
        size_t n;
        uint64_t h = 0;

        read_slot(slot, bytes);
        n = bytes[8] | (size_t)bytes[9] << 8;
        must(n <= SLOT_BYTES - SLOT_HEAD);
        for (size_t i = 0; i < 8; i++)
                h |= (uint64_t)bytes[i] << 8 * i;
        must(h == checksum(bytes, n));
}

static void check_record(const BookRecord *r) {
        must(r->kind >= BOOKFILE_CONTAINER && r->kind <= BOOKFILE_TENANT);
        must(memchr(r->tenant, '\0', sizeof(r->tenant)) && memchr(r->name, '\0', sizeof(r->name)));
        if (r->kind == BOOKFILE_TENANT)
                return;
        for (size_t i = 0; i < _SAMPLE_MAX; i++)
                must(sample_has(&r->cg.last, (SampleField)i) || r->cg.last.v[i] == 0);
        for (size_t i = 0; i < _BASELINE_MAX; i++)
                must(r->cg.baseline.series[i].n_days <= BASELINE_DAYS &&
                     r->cg.baseline.series[i].next_day < BASELINE_DAYS);
}

/* Reads all, puts each back to where it was, and appends what the slots are then. */
static void rewrite(Buf *b, BookFileStats *ret) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        _cleanup_free_ BookRecord *records = NULL;
        _cleanup_free_ uint32_t *slots = NULL;
        uint32_t i = 0;
        size_t n = 0;

        f = open_books(ret);
        records = calloc(ret->n_used + 1, sizeof(*records));
        slots = calloc(ret->n_used + 1, sizeof(*slots));
        must(records && slots && ret->n_used <= ret->n_slots);
        while (n <= ret->n_used && bookfile_next(f, &i, &slots[n], &records[n])) {
                check_slot(slots[n]);
                check_record(&records[n]);
                n++;
        }
        must(n == ret->n_used);
        for (size_t k = 0; k < n; k++) {
                uint8_t bytes[SLOT_BYTES];

                must(bookfile_put(f, &slots[k], &records[k]) == 0);
                read_slot(slots[k], bytes);
                buf_append(b, bytes, SLOT_HEAD + (bytes[8] | (size_t)bytes[9] << 8));
        }
}

static void check_dir(void) {
        _cleanup_buf_ Buf once = BUF_INIT, twice = BUF_INIT;
        BookFileStats stats, again;

        rewrite(&once, &stats);
        rewrite(&twice, &again);
        /* What was damaged in a file of an earlier version is not taken over. */
        must(!again.set_aside && again.n_used == stats.n_used && again.n_damaged <= stats.n_damaged);
        must(buf_error(&once) == 0 && buf_error(&twice) == 0);
        must(once.len == twice.len && memcmp(buf_str(&once), buf_str(&twice), once.len) == 0);
}

int fuzz_one(const uint8_t *data, size_t size) { return fuzz_file(data, size, make_file, check_dir); }
