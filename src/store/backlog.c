/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A directory of segments, NUMBER.push, written one after the other and read in the same order; each is a row of records:
 *
 *      magic  state  length  samples  checksum | length bytes
 *
 * A record that was handed on is marked in place (state), so that nothing is handed on twice after a restart, and a full disk is no
 * hindrance; a segment goes when its last record did, and the directory is empty while nothing waits. The bound is on the sum of the
 * files: before it would be passed the oldest segment goes, whatever still waits in it.
 *
 * Nothing is synced: what a power cut takes is what a monitor has of that minute. What it leaves is checked when it is read: a
 * segment ends where its last whole record ends, and a record whose checksum is wrong is passed over.
 *
 * A disk that hangs is the caller's to notice (backlog_set_slow()): this is one thread, and it would hang with it.
 *
 * A write that fails is taken back (the file is cut to where it was), and its record waits in memory for the next one: then those
 * in memory are written first, so the order is kept.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backlog.h"
#include "bytes.h"
#include "fdio.h"
#include "num.h"

#define MAGIC UINT32_C(0x48505542) /* "BUPH" */
#define SUFFIX ".push"
#define NAME_DIGITS 16
#define HEAD_BYTES 24
#define RECORD_MAX (UINT32_C(16) << 20)
#define MAX_BYTES_MIN (UINT64_C(1) << 20)
#define SEGMENT_MAX (UINT64_C(4) << 20)
#define SEGMENTS_PER_MAX 16 /* of the bound, where that is small */
#define HELD_MAX (4U << 20)

enum { WAITS = 0, DONE = 1 };

typedef struct Head {
        uint32_t state, length, samples;
        uint64_t checksum;
} Head;

typedef struct Segment {
        uint64_t number, bytes;
        uint64_t records, samples; /* that wait */
} Segment;

typedef struct Held {
        void *data;
        size_t len;
        uint32_t samples;
} Held;

struct Backlog {
        char *dir;
        uint64_t max;
        bool begun; /* the directory was read */
        int dirfd, read_fd, write_fd; /* read_fd: of segments[0]; write_fd: of the last one */
        Segment *segments; /* oldest first */
        size_t n, alloc;
        uint64_t next_number, at; /* at: of the record that is read next, in segments[0] */
        Held *held; /* behind those on disk */
        size_t n_held, held_alloc, held_bytes;
        /* What was peeked at. */
        void *data;
        Head head;
        bool taken, from_memory;
        bool slow,
                mark_later; /* mark_later: what was peeked at was handed on, which the disk is still to be told */
        uint64_t dropped, damaged;
        int error;
};

/* ---- records ---- */

static uint64_t checksum(uint32_t length, uint32_t samples, const void *data) {
        uint8_t sizes[8];

        bytes_put_le(sizes, 4, length);
        bytes_put_le(sizes + 4, 4, samples);
        return bytes_fnv1a(bytes_fnv1a(FNV_BASIS, sizes, sizeof(sizes)), data, length);
}

static void head_put(uint8_t to[static HEAD_BYTES], const Head *h) {
        bytes_put_le(to, 4, MAGIC);
        bytes_put_le(to + 4, 4, h->state);
        bytes_put_le(to + 8, 4, h->length);
        bytes_put_le(to + 12, 4, h->samples);
        bytes_put_le(to + 16, 8, h->checksum);
}

/* False: there is none at that place of a file of so many bytes. */
static bool head_read(int fd, uint64_t at, uint64_t size, Head *ret) {
        uint8_t raw[HEAD_BYTES];
        Head h;

        if (at > size || size - at < HEAD_BYTES || pread(fd, raw, sizeof(raw), (off_t)at) != HEAD_BYTES ||
            bytes_get_le(raw, 4) != MAGIC)
                return false;
        h = (Head){ (uint32_t)bytes_get_le(raw + 4, 4), (uint32_t)bytes_get_le(raw + 8, 4),
                    (uint32_t)bytes_get_le(raw + 12, 4), bytes_get_le(raw + 16, 8) };
        if (h.state > DONE || h.length > RECORD_MAX || size - at - HEAD_BYTES < h.length)
                return false;
        *ret = h;
        return true;
}

/* ---- segments ---- */

static void name_of(uint64_t number, char to[static NAME_DIGITS + sizeof(SUFFIX)]) {
        (void)snprintf(to, NAME_DIGITS + sizeof(SUFFIX), "%016llx" SUFFIX, (unsigned long long)number);
}

static int segment_open(const Backlog *b, uint64_t number, int flags) {
        char name[NAME_DIGITS + sizeof(SUFFIX)];
        int fd;

        name_of(number, name);
        fd = openat(b->dirfd, name, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        return fd < 0 ? -errno : fd;
}

/* The oldest goes. */
static void segment_remove(Backlog *b) {
        char name[NAME_DIGITS + sizeof(SUFFIX)];

        name_of(b->segments[0].number, name);
        (void)unlinkat(b->dirfd, name, 0);
        b->read_fd = fd_close(b->read_fd);
        if (b->n == 1)
                b->write_fd = fd_close(b->write_fd);
        b->n--;
        memmove(b->segments, b->segments + 1, b->n * sizeof(*b->segments));
        b->at = 0;
}

/* What is being handed on right now is not lost with its file. */
static void segment_drop(Backlog *b) {
        bool taken = b->taken && !b->from_memory;

        b->dropped += b->segments[0].samples - (taken ? b->head.samples : 0);
        b->from_memory |= taken;
        segment_remove(b);
}

static uint64_t total(const Backlog *b) {
        uint64_t sum = 0;

        for (size_t i = 0; i < b->n; i++)
                sum += b->segments[i].bytes;
        return sum;
}

/* ---- the directory, as an earlier process left it ---- */

static int scan_segment(Backlog *b, uint64_t number) {
        _cleanup_fd_ int fd = segment_open(b, number, 0);
        Segment s = { .number = number };
        struct stat st;
        Head h;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        while (head_read(fd, s.bytes, (uint64_t)st.st_size, &h)) {
                s.bytes += HEAD_BYTES + h.length;
                s.records += h.state == WAITS;
                s.samples += h.state == WAITS ? h.samples : 0;
        }
        if (s.bytes < (uint64_t)st.st_size) {
                b->damaged++;
                if (ftruncate(fd, (off_t)s.bytes) < 0)
                        return -errno;
        }
        if (GROW(b->segments, b->n, b->alloc) < 0)
                return -ENOMEM;
        b->segments[b->n++] = s;
        return 0;
}

static int by_number(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

static bool is_name(const char *name, uint64_t *ret) {
        char digits[NAME_DIGITS + 1];

        if (strlen(name) != NAME_DIGITS + strlen(SUFFIX) || !STR_EQ(name + NAME_DIGITS, SUFFIX))
                return false;
        memcpy(digits, name, NAME_DIGITS);
        digits[NAME_DIGITS] = '\0';
        return num_parse_hex64(digits, ret) >= 0;
}

static void cleanup_dir(DIR **d) {
        if (*d)
                (void)closedir(*d);
}

static int scan(Backlog *b) {
        _cleanup_(cleanup_dir) DIR *d = NULL;
        _cleanup_free_ uint64_t *numbers = NULL;
        size_t n = 0, alloc = 0;
        struct dirent *e;
        int fd = openat(b->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        d = fdopendir(fd);
        if (!d) {
                fd_close(fd);
                return -errno;
        }
        while ((e = readdir(d))) {
                if (GROW(numbers, n, alloc) < 0)
                        return -ENOMEM;
                n += is_name(e->d_name, &numbers[n]);
        }
        if (n > 0)
                qsort(numbers, n, sizeof(*numbers), by_number);
        for (size_t i = 0; i < n; i++) {
                /* What is no file of ours stays, and its number is not used. */
                int r = scan_segment(b, numbers[i]);

                b->next_number = numbers[i] + 1;
                if (r == -ENOMEM)
                        return r;
        }
        while (b->n > 0 && b->segments[0].records == 0)
                segment_remove(b);
        return 0;
}

static int begin(Backlog *b) {
        int r;

        if (b->begun)
                return 0;
        if (mkdir(b->dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        b->dirfd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (b->dirfd < 0)
                return -errno;
        r = scan(b);
        if (r < 0) {
                b->n = 0;
                b->dirfd = fd_close(b->dirfd);
                return r;
        }
        b->begun = true;
        return 0;
}

/* ---- writing ---- */

static uint64_t segment_max(const Backlog *b) { return MIN_OF(SEGMENT_MAX, b->max / SEGMENTS_PER_MAX); }

static int writable(Backlog *b) {
        int fd;

        if (b->write_fd >= 0 && b->segments[b->n - 1].bytes < segment_max(b))
                return 0;
        if (GROW(b->segments, b->n, b->alloc) < 0)
                return -ENOMEM;
        fd = segment_open(b, b->next_number, O_CREAT | O_EXCL);
        if (fd < 0)
                return fd;
        fd_close(b->write_fd);
        b->write_fd = fd;
        b->segments[b->n++] = (Segment){ .number = b->next_number++ };
        return 0;
}

static int write_record(Backlog *b, const Held *h) {
        Head head = { WAITS, (uint32_t)h->len, h->samples, checksum((uint32_t)h->len, h->samples, h->data) };
        uint8_t raw[HEAD_BYTES];
        Segment *s;
        int r = begin(b);

        while (r >= 0 && b->n > 0 && total(b) + HEAD_BYTES + h->len > b->max)
                segment_drop(b);
        if (r >= 0)
                r = writable(b);
        if (r < 0)
                return r;
        s = &b->segments[b->n - 1];
        head_put(raw, &head);
        if (lseek(b->write_fd, (off_t)s->bytes, SEEK_SET) < 0)
                return -errno;
        r = fd_write_all(b->write_fd, raw, sizeof(raw));
        if (r >= 0)
                r = fd_write_all(b->write_fd, h->data, h->len);
        if (r < 0) {
                /* What stays behind is written over by the next one. */
                return ftruncate(b->write_fd, (off_t)s->bytes) < 0 ? -errno : r;
        }
        s->bytes += HEAD_BYTES + h->len;
        s->records++;
        s->samples += h->samples;
        return 0;
}

/* The oldest of them; its data is the caller's. */
static Held held_take(Backlog *b) {
        Held h = b->held[0];

        b->held_bytes -= h.len;
        b->n_held--;
        memmove(b->held, b->held + 1, b->n_held * sizeof(*b->held));
        return h;
}

static void held_remove(Backlog *b) {
        Held h = held_take(b);

        free(h.data);
}

static void hold(Backlog *b, const Held *h) {
        void *copy = NULL;

        while (b->n_held > 0 && b->held_bytes + h->len > HELD_MAX) {
                b->dropped += b->held[0].samples;
                held_remove(b);
        }
        if (h->len <= HELD_MAX && GROW(b->held, b->n_held, b->held_alloc) >= 0)
                copy = malloc(h->len + 1);
        if (!copy) {
                b->dropped += h->samples;
                return;
        }
        memcpy(copy, h->data, h->len);
        b->held[b->n_held++] = (Held){ copy, h->len, h->samples };
        b->held_bytes += h->len;
}

void backlog_add(Backlog *b, const void *data, size_t len, uint32_t samples) {
        const Held h = { (void *)(uintptr_t)data, len, samples };
        int r = 0;

        if (len > RECORD_MAX || HEAD_BYTES + len > b->max) {
                b->dropped += samples;
                return;
        }
        if (b->slow) {
                hold(b, &h);
                return;
        }
        while (r >= 0 && b->n_held > 0) {
                r = write_record(b, &b->held[0]);
                if (r >= 0)
                        held_remove(b);
        }
        if (r >= 0)
                r = write_record(b, &h);
        b->error = r;
        if (r < 0)
                hold(b, &h);
}

/* ---- reading ---- */

/* The rest of the oldest segment cannot be read. */
static void give_up_segment(Backlog *b) {
        b->damaged++;
        segment_drop(b);
}

static bool read_record(Backlog *b, const Head *h) {
        void *data = malloc((size_t)h->length + 1);

        if (!data)
                return false;
        if (pread(b->read_fd, data, h->length, (off_t)(b->at + HEAD_BYTES)) != (ssize_t)h->length ||
            checksum(h->length, h->samples, data) != h->checksum) {
                free(data);
                b->damaged++;
                b->dropped += h->samples;
                b->segments[0].records--;
                b->segments[0].samples -= MIN_OF(b->segments[0].samples, (uint64_t)h->samples);
                b->at += HEAD_BYTES + h->length;
                return true;
        }
        b->data = data;
        b->head = *h;
        b->taken = true;
        b->from_memory = false;
        return true;
}

/* False: no memory. Else something was taken, or the place moved on. */
static bool read_next(Backlog *b) {
        Segment *s = &b->segments[0];
        Head h;

        if (s->records == 0) {
                segment_remove(b);
                return true;
        }
        if (b->read_fd < 0)
                b->read_fd = segment_open(b, s->number, 0);
        if (b->read_fd < 0 || !head_read(b->read_fd, b->at, s->bytes, &h)) {
                give_up_segment(b);
                return true;
        }
        if (h.state == WAITS)
                return read_record(b, &h);
        b->at += HEAD_BYTES + h.length;
        return true;
}

static void take_held(Backlog *b) {
        Held h = held_take(b);

        b->data = h.data;
        b->head = (Head){ .length = (uint32_t)h.len, .samples = h.samples };
        b->taken = b->from_memory = true;
}

bool backlog_peek(Backlog *b, const void **ret, size_t *ret_len, uint32_t *ret_samples) {
        /* In their order: those on disk come before those in memory. */
        if (b->slow && !b->taken && (!b->begun || b->n > 0))
                return false;
        if (!b->taken)
                (void)begin(b);
        while (!b->taken && b->n > 0)
                if (!read_next(b))
                        return false;
        if (!b->taken && b->n_held > 0)
                take_held(b);
        if (!b->taken)
                return false;
        *ret = b->data;
        *ret_len = b->head.length;
        *ret_samples = b->head.samples;
        return true;
}

static void mark_done(Backlog *b) {
        Segment *s = &b->segments[0];
        uint8_t done[4];

        bytes_put_le(done, sizeof(done), DONE);
        /* Where that fails it comes once more after a restart. */
        if (pwrite(b->read_fd, done, sizeof(done), (off_t)b->at + 4) < 0)
                b->error = -errno;
        b->at += HEAD_BYTES + b->head.length;
        s->records--;
        s->samples -= MIN_OF(s->samples, (uint64_t)b->head.samples);
        if (s->records == 0)
                segment_remove(b);
}

void backlog_done(Backlog *b) {
        if (!b->taken)
                return;
        if (!b->from_memory && b->slow)
                b->mark_later = true;
        else if (!b->from_memory)
                mark_done(b);
        free(steal_ptr(b->data));
        b->taken = false;
}

void backlog_set_slow(Backlog *b, bool slow) {
        b->slow = slow;
        if (slow || !b->mark_later)
                return;
        b->mark_later = false;
        mark_done(b);
}

/* ---- all of it ---- */

int backlog_new(const char *dir, uint64_t max_bytes, Backlog **ret) {
        _cleanup_(cleanup_backlog_free) Backlog *b = NULL;

        if (max_bytes < MAX_BYTES_MIN)
                return -EINVAL;
        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->dirfd = b->read_fd = b->write_fd = -1;
        b->max = max_bytes;
        b->dir = strdup(dir);
        if (!b->dir)
                return -ENOMEM;
        *ret = steal_ptr(b);
        return 0;
}

Backlog *backlog_free(Backlog *b) {
        if (!b)
                return NULL;
        for (size_t i = 0; i < b->n_held; i++)
                free(b->held[i].data);
        free(b->held);
        free(b->segments);
        free(b->data);
        fd_close(b->read_fd);
        fd_close(b->write_fd);
        fd_close(b->dirfd);
        free(b->dir);
        free(b);
        return NULL;
}

void backlog_get_status(const Backlog *b, BacklogStatus *ret) {
        bool apart = b->taken && b->from_memory; /* of no file, and not among those held */

        *ret = (BacklogStatus){
                .bytes = total(b),
                .records = b->n_held + apart - b->mark_later,
                .samples = apart ? b->head.samples : 0,
                .samples_dropped = b->dropped,
                .damaged = b->damaged,
                .error = b->error,
        };
        for (size_t i = 0; i < b->n; i++) {
                ret->records += b->segments[i].records;
                ret->samples += b->segments[i].samples;
        }
        for (size_t i = 0; i < b->n_held; i++)
                ret->samples += b->held[i].samples;
        if (b->mark_later)
                ret->samples -= MIN_OF(ret->samples, (uint64_t)b->head.samples);
}
