/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bookfile.h"
#include "buf.h"
#include "fdio.h"

#define BOOT "0f3c5f5e-6a51-4b8e-9a0e-2f1d6f7a8b9c"
#define FILE_NAME "books"
#define HEADER 4096
#define SLOT 1360
/* Of a slot: three in a page. */
#define AT(i) (HEADER + (size_t)(i) / 3 * 4096 + (size_t)(i) % 3 * SLOT)

#include "store-bed.h"

static BookFile *open_books(void) {
        BookFile *f = NULL;

        assert_int_equal(bookfile_open(dir, BOOT, &f), 0);
        return f;
}

static BookFileStats stats_of(const BookFile *f) {
        BookFileStats s;

        bookfile_get_stats(f, &s);
        return s;
}

/* noinline: gcc 12 takes what it returns for a pointer to its local variable (-Wdangling-pointer). */
__attribute__((__noinline__)) static uint8_t *read_all(const char *name, size_t *ret_len) {
        char *data = NULL;

        assert_int_equal(fd_read_regular_at(dir_fd, name, 128 << 20, &data, ret_len, NULL, NULL), 0);
        return (uint8_t *)data;
}

static void write_all(const void *data, size_t n) {
        assert_int_equal(fd_write_file_atomic(dir_fd, FILE_NAME, data, n, 0600, false), 0);
}

static bool exists(const char *name) { return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

/* The documented checksum, by our own hand. */
static void seal(uint8_t *slot) {
        uint64_t h = 0xcbf29ce484222325ULL;
        size_t n = slot[8] | (size_t)slot[9] << 8;

        for (size_t i = 8; i < 10 + n && i < SLOT; i++)
                h = (h ^ slot[i]) * 0x100000001b3ULL;
        for (size_t i = 0; i < 8; i++)
                slot[i] = (uint8_t)(h >> 8 * i);
}

/* ---- records ---- */

static const SampleField kept[] = {
        SAMPLE_CPU_USAGE,      SAMPLE_CPU_USER,       SAMPLE_CPU_SYSTEM,
        SAMPLE_CPU_PERIODS,    SAMPLE_CPU_THROTTLED,  SAMPLE_CPU_THROTTLED_USEC,
        SAMPLE_IO_RBYTES,      SAMPLE_IO_WBYTES,      SAMPLE_IO_RIOS,
        SAMPLE_IO_WIOS,        SAMPLE_CPU_SOME,       SAMPLE_CPU_FULL,
        SAMPLE_MEMORY_SOME,    SAMPLE_MEMORY_FULL,    SAMPLE_IO_SOME,
        SAMPLE_IO_FULL,        SAMPLE_IRQ_FULL,       SAMPLE_REFAULT_ANON,
        SAMPLE_REFAULT_FILE,   SAMPLE_PGMAJFAULT,     SAMPLE_EVENTS_HIGH,
        SAMPLE_EVENTS_MAX,     SAMPLE_EVENTS_OOM,     SAMPLE_EVENTS_OOM_KILL,
        SAMPLE_MEMORY,         SAMPLE_SWAP,           SAMPLE_PIDS_EVENTS_MAX,
        SAMPLE_FROZEN,         SAMPLE_NET_RX_BYTES,   SAMPLE_NET_RX_PACKETS,
        SAMPLE_NET_RX_ERRORS,  SAMPLE_NET_RX_DROPPED, SAMPLE_NET_TX_BYTES,
        SAMPLE_NET_TX_PACKETS, SAMPLE_NET_TX_ERRORS,  SAMPLE_NET_TX_DROPPED,
};

/* Numbers of all lengths. */
static uint64_t number(unsigned *seed) {
        uint64_t v = ((uint64_t)rand_r(seed) << 42) ^ ((uint64_t)rand_r(seed) << 21) ^ (uint64_t)rand_r(seed);
        unsigned bits = (unsigned)rand_r(seed) % 66;

        return bits == 65 ? UINT64_MAX : bits == 64 ? v : v & ((UINT64_C(1) << bits) - 1);
}

static void random_name(char *name, unsigned *seed) {
        size_t n = (size_t)rand_r(seed) % BOOKFILE_NAME_BYTES;

        for (size_t i = 0; i < n; i++)
                name[i] = (char)(1 + rand_r(seed) % 255);
}

static Book random_book(unsigned *seed) {
        Book b = { .since_realtime = number(seed),
                   .oom_at = number(seed),
                   .rest = { number(seed), number(seed) } };

        for (int f = 0; f < _BOOK_MAX; f++)
                b.v[f] = number(seed);
        return b;
}

static BookRecord random_record(BookKind kind, unsigned *seed) {
        BookRecord r = { .kind = kind, .id = number(seed), .below = rand_r(seed) % 2 };

        random_name(r.tenant, seed);
        random_name(r.name, seed);
        if (kind == BOOKFILE_TENANT) {
                r.sum.book.ended = random_book(seed);
                r.sum.book.floor = random_book(seed);
                r.sum.book.slices = random_book(seed);
                r.sum.book.last_fold = number(seed);
                r.sum.book.last_slice = number(seed);
                r.sum.ended_below = random_book(seed);
                return r;
        }
        r.cg.book = random_book(seed);
        r.cg.last.at = number(seed);
        for (int f = 0; f < _SAMPLE_MAX; f++)
                if (rand_r(seed) % 2)
                        sample_put(&r.cg.last, (SampleField)f, number(seed));
        r.cg.baseline.span = number(seed);
        r.cg.baseline.day = number(seed);
        r.cg.baseline.have = (uint32_t)rand_r(seed) % 8;
        for (int i = 0; i < _BASELINE_MAX; i++) {
                BaselineSeries *s = &r.cg.baseline.series[i];

                r.cg.baseline.stall[i] = number(seed);
                s->median = (uint32_t)number(seed);
                s->n = (uint32_t)number(seed);
                for (int d = 0; d < BASELINE_DAYS; d++)
                        s->days[d] = (uint16_t)number(seed);
                s->n_days = (uint8_t)(rand_r(seed) % (BASELINE_DAYS + 1));
                s->next_day = (uint8_t)(rand_r(seed) % BASELINE_DAYS);
        }
        return r;
}

static void keep_hierarchical(Book *b) {
        Book kept_of = {};

        for (int f = 0; f < _BOOK_MAX; f++)
                if (book_info((BookField)f)->hierarchical)
                        kept_of.v[f] = b->v[f];
        *b = kept_of;
}

/* What the header says that is kept of it. */
static BookRecord as_kept(const BookRecord *from) {
        BookRecord r = *from;

        if (r.kind == BOOKFILE_TENANT) {
                keep_hierarchical(&r.sum.book.slices);
                keep_hierarchical(&r.sum.ended_below);
                r.sum.book.floor.oom_at = r.sum.book.floor.rest[0] = r.sum.book.floor.rest[1] = 0;
                return r;
        }
        r.cg.last = (Sample){ .at = from->cg.last.at };
        for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                if (sample_has(&from->cg.last, kept[i]))
                        sample_put(&r.cg.last, kept[i], from->cg.last.v[kept[i]]);
        return r;
}

static void assert_record(const BookRecord *got, const BookRecord *put) {
        BookRecord expected = as_kept(put);

        assert_int_equal(got->kind, expected.kind);
        assert_int_equal(got->id, expected.id);
        assert_int_equal(got->below, expected.below);
        assert_string_equal(got->tenant, expected.tenant);
        assert_string_equal(got->name, expected.name);
        if (got->kind == BOOKFILE_TENANT) {
                assert_memory_equal(&got->sum, &expected.sum, sizeof(got->sum));
                return;
        }
        assert_memory_equal(&got->cg.book, &expected.cg.book, sizeof(Book));
        assert_memory_equal(&got->cg.last, &expected.cg.last, sizeof(Sample));
        assert_int_equal(got->cg.baseline.span, expected.cg.baseline.span);
        assert_int_equal(got->cg.baseline.day, expected.cg.baseline.day);
        assert_int_equal(got->cg.baseline.have, expected.cg.baseline.have);
        for (int i = 0; i < _BASELINE_MAX; i++) {
                const BaselineSeries *a = &got->cg.baseline.series[i], *b = &expected.cg.baseline.series[i];

                assert_int_equal(got->cg.baseline.stall[i], expected.cg.baseline.stall[i]);
                assert_true(a->median == b->median && a->n == b->n && a->n_days == b->n_days &&
                            a->next_day == b->next_day);
                assert_memory_equal(a->days, b->days, sizeof(a->days));
        }
}

static BookRecord record(uint64_t id) {
        BookRecord r = { .kind = BOOKFILE_CONTAINER, .id = id, .tenant = "t", .name = "c" };

        r.cg.book.v[BOOK_CPU_USEC] = id * 10;
        sample_put(&r.cg.last, SAMPLE_CPU_USAGE, id * 100);
        r.cg.baseline.have = 1; /* its last byte: a file that lost nothing but zeros has lost nothing */
        return r;
}

/* The record of that id, or none. */
static bool find(BookFile *f, uint64_t id, uint32_t *ret_slot, BookRecord *ret) {
        for (uint32_t i = 0; bookfile_next(f, &i, ret_slot, ret);)
                if (ret->id == id)
                        return true;
        return false;
}

static size_t count(BookFile *f) {
        BookRecord r;
        uint32_t slot;
        size_t n = 0;

        for (uint32_t i = 0; bookfile_next(f, &i, &slot, &r);)
                n++;
        return n;
}

static void put(BookFile *f, uint64_t id, int result) {
        uint32_t slot = BOOKFILE_NO_SLOT;
        BookRecord r = record(id);

        assert_int_equal(bookfile_put(f, &slot, &r), result);
        assert_int_equal(slot == BOOKFILE_NO_SLOT, result != 0);
}

static void make(unsigned n) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();

        for (unsigned id = 1; id <= n; id++)
                put(f, id, 0);
}

/* ---- it works ---- */

static void test_empty(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        struct stat st;

        (void)state;
        assert_int_equal(count(f), 0);
        assert_int_equal(stats_of(f).n_slots, 0);
        assert_false(stats_of(f).set_aside);
        assert_int_equal(stats_of(f).write_error, 0);
        f = bookfile_free(f);
        assert_int_equal(fstatat(dir_fd, FILE_NAME, &st, 0), 0);
        assert_int_equal(st.st_size, HEADER);
        assert_int_equal(st.st_mode & 0777, 0600);
        f = open_books();
        assert_false(stats_of(f).set_aside);
}

static void test_round_trip(void **state) {
        enum { N = 300 };
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        static BookRecord put_as[N];
        unsigned seed = (unsigned)getpid();
        uint32_t slots[N], slot = 0, i = 0;
        BookRecord got;

        (void)state;
        print_message("seed %u\n", seed);
        f = open_books();
        for (int k = 0; k < N; k++) {
                put_as[k] = random_record(BOOKFILE_CONTAINER + (unsigned)k % 3, &seed);
                slots[k] = BOOKFILE_NO_SLOT;
                assert_int_equal(bookfile_put(f, &slots[k], &put_as[k]), 0);
                assert_int_equal(slots[k], k);
        }
        /* Each is written over with another one, longer or shorter. */
        for (int k = 0; k < N; k += 2) {
                put_as[k] = random_record(BOOKFILE_CONTAINER + (unsigned)k / 2 % 3, &seed);
                assert_int_equal(bookfile_put(f, &slots[k], &put_as[k]), 0);
                assert_int_equal(slots[k], k);
        }
        assert_int_equal(stats_of(f).n_writes, N + N / 2);
        /* Nobody said good-bye to it: another one reads it all the same. */
        {
                _cleanup_(cleanup_bookfile_free) BookFile *again = open_books();

                assert_int_equal(stats_of(again).n_used, N);
                assert_int_equal(stats_of(again).n_slots, N);
                assert_int_equal(stats_of(again).n_damaged, 0);
                for (int k = 0; k < N; k++) {
                        assert_true(bookfile_next(again, &i, &slot, &got));
                        assert_int_equal(slot, k);
                        assert_record(&got, &put_as[k]);
                }
                assert_false(bookfile_next(again, &i, &slot, &got));
                /* The slots stay theirs. */
                slot = BOOKFILE_NO_SLOT;
                assert_int_equal(bookfile_put(again, &slot, &put_as[0]), 0);
                assert_int_equal(slot, N);
        }
}

/* Every number at its longest, names too. */
static void test_worst_case_fits(void **state) {
        (void)state;
        for (BookKind kind = BOOKFILE_CONTAINER; kind <= BOOKFILE_TENANT; kind++) {
                _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
                uint32_t slot = BOOKFILE_NO_SLOT;
                BookRecord r, got;

                memset(&r, 0xff, sizeof(r));
                r.kind = kind;
                r.below = true;
                r.tenant[BOOKFILE_NAME_BYTES - 1] = r.name[BOOKFILE_NAME_BYTES - 1] = '\0';
                if (kind != BOOKFILE_TENANT) {
                        r.cg.last.have = SAMPLE_ALL;
                        r.cg.baseline.have = (1U << _BASELINE_MAX) - 1;
                        for (int i = 0; i < _BASELINE_MAX; i++) {
                                r.cg.baseline.series[i].n_days = BASELINE_DAYS;
                                r.cg.baseline.series[i].next_day = BASELINE_DAYS - 1;
                        }
                } else
                        for (int i = 0; i < _BOOK_MAX; i++)
                                r.sum.book.slices.v[i] = r.sum.ended_below.v[i] = UINT64_MAX;
                assert_int_equal(bookfile_put(f, &slot, &r), 0);
                f = bookfile_free(f);
                f = open_books();
                assert_true(find(f, UINT64_MAX, &slot, &got));
                assert_record(&got, &r);
                (void)clear(NULL);
        }
}

/* Whatever the books count from, they go on from. */
static void test_keeps_what_books_need(void **state) {
        (void)state;
        for (int f = 0; f < _BOOK_MAX; f++) {
                SampleField from = book_info((BookField)f)->from;
                bool found = from < 0;

                for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
                        found |= kept[i] == from;
                assert_true(found);
        }
}

static void test_names_are_cut(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        uint32_t slot = BOOKFILE_NO_SLOT;
        BookRecord r = record(1), got;

        (void)state;
        memset(r.name, 'x', sizeof(r.name)); /* no NUL at all */
        assert_int_equal(bookfile_put(f, &slot, &r), 0);
        assert_true(find(f, 1, &slot, &got));
        assert_int_equal(strlen(got.name), BOOKFILE_NAME_BYTES - 1);
}

static void test_drop(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        uint32_t a = BOOKFILE_NO_SLOT, b = BOOKFILE_NO_SLOT, none = BOOKFILE_NO_SLOT, slot;
        BookRecord r = record(9), got;

        (void)state;
        make(5);
        f = open_books();
        assert_int_equal(bookfile_drop(f, &none), 0);
        assert_true(find(f, 2, &a, &got));
        assert_true(find(f, 4, &b, &got));
        assert_int_equal(bookfile_drop(f, &b), 0);
        assert_int_equal(b, BOOKFILE_NO_SLOT);
        assert_int_equal(bookfile_drop(f, &a), 0);
        assert_int_equal(stats_of(f).n_used, 3);
        /* Free ones are used again, the first one first. */
        assert_int_equal(bookfile_put(f, &a, &r), 0);
        assert_int_equal(a, 1);
        assert_int_equal(bookfile_drop(f, &a), 0);
        f = bookfile_free(f);
        f = open_books();
        assert_int_equal(count(f), 3);
        assert_int_equal(stats_of(f).n_slots, 5);
        assert_int_equal(stats_of(f).n_damaged, 0);
        assert_false(find(f, 2, &slot, &got));
        assert_false(find(f, 4, &slot, &got));
        assert_int_equal(bookfile_put(f, &a, &r), 0);
        assert_int_equal(bookfile_put(f, &b, &r), 0);
        assert_int_equal(a, 1);
        assert_int_equal(b, 3);
}

static void test_bad_arguments(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        BookFile *none = NULL;
        char boot_id[BOOKFILE_BOOT_ID_BYTES + 1] = {};
        uint32_t slot = BOOKFILE_NO_SLOT;
        BookRecord r = record(1);

        (void)state;
        memset(boot_id, 'b', BOOKFILE_BOOT_ID_BYTES);
        assert_int_equal(bookfile_open(dir, "", &none), -EINVAL);
        assert_int_equal(bookfile_open(dir, boot_id, &none), -EINVAL);
        assert_int_equal(bookfile_open("/nonexistent", BOOT, &none), -ENOENT);
        assert_int_equal(bookfile_open("/dev/null", BOOT, &none), -ENOTDIR);
        assert_null(none);
        boot_id[BOOKFILE_BOOT_ID_BYTES - 1] = '\0';
        assert_int_equal(bookfile_open(dir, boot_id, &f), 0);
        for (unsigned kind = 0; kind < 6; kind++) {
                r.kind = (BookKind)kind;
                assert_int_equal(bookfile_put(f, &slot, &r), kind >= 1 && kind <= 3 ? 0 : -EINVAL);
        }
        slot = 1;
        r = record(1);
        assert_int_equal(bookfile_put(f, &slot, &r), -EINVAL); /* nobody's */
        slot = BOOKFILE_SLOTS_MAX;
        assert_int_equal(bookfile_put(f, &slot, &r), -EINVAL);
        assert_int_equal(bookfile_drop(f, &slot), 0);
        assert_null(bookfile_free(NULL));
}

/* The tenant is saved, its container not forgotten yet, and there the guard dies. */
static void test_between_two_writes(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        BookRecord tenant = { .kind = BOOKFILE_TENANT, .tenant = "t" }, container = record(7), t, c;
        uint32_t tenant_slot = BOOKFILE_NO_SLOT, slot = BOOKFILE_NO_SLOT;

        (void)state;
        assert_int_equal(bookfile_put(f, &slot, &container), 0);
        book_end(&container.cg.book, &container.cg.last, 1, BOOK_END_READ);
        assert_true(book_tenant_fold(&tenant.sum.book, container.id, &container.cg.book));
        assert_int_equal(bookfile_put(f, &tenant_slot, &tenant), 0);
        f = bookfile_free(f);
        f = open_books();
        assert_true(find(f, 7, &slot, &c));
        assert_true(find(f, 0, &tenant_slot, &t));
        assert_false(book_tenant_fold(&t.sum.book, c.id, &c.cg.book));
        assert_int_equal(t.sum.book.ended.v[BOOK_CPU_USEC], 70);
        assert_int_equal(bookfile_drop(f, &slot), 0);
        f = bookfile_free(f);
        f = open_books();
        assert_int_equal(count(f), 1);
}

static void test_many(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        uint32_t slot = BOOKFILE_NO_SLOT;
        unsigned seed = 1;
        struct stat st;
        BookRecord r;

        (void)state;
        for (uint64_t id = 1; id <= BOOKFILE_SLOTS_MAX; id++) {
                /* A typical one, and a bigger one for the size. */
                r = id <= 10000 ? random_record(BOOKFILE_CONTAINER, &seed) : record(id);
                r.id = id;
                slot = BOOKFILE_NO_SLOT;
                assert_int_equal(bookfile_put(f, &slot, &r), 0);
                if (id == 10000) {
                        assert_int_equal(fstatat(dir_fd, FILE_NAME, &st, 0), 0);
                        assert_true(st.st_size <= 14 << 20);
                        assert_true(st.st_blocks * 512 <= 14 << 20);
                }
        }
        put(f, 1, -E2BIG);
        assert_int_equal(stats_of(f).n_used, BOOKFILE_SLOTS_MAX);
        f = bookfile_free(f);
        f = open_books();
        assert_false(stats_of(f).set_aside);
        assert_int_equal(stats_of(f).n_used, BOOKFILE_SLOTS_MAX);
        put(f, 1, -E2BIG);
        slot = 40000;
        assert_int_equal(bookfile_drop(f, &slot), 0);
        put(f, 1, 0);
        put(f, 1, -E2BIG);
        f = bookfile_free(f);
        {
                /* One slot more than there may be. */
                _cleanup_fd_ int fd = openat(dir_fd, FILE_NAME, O_WRONLY | O_CLOEXEC);

                assert_int_equal(ftruncate(fd, (off_t)AT(BOOKFILE_SLOTS_MAX + 2)), 0);
        }
        f = open_books();
        assert_true(stats_of(f).set_aside);
        assert_int_equal(stats_of(f).n_used, 0);
}

static void limit_file_size(rlim_t max) {
        struct rlimit r = { max, RLIM_INFINITY };

        assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* ---- an earlier version ---- */

/* A file of version 1, as that wrote it: a container, and tenants that reach into the second page. */
static void make_version_1(uint8_t file[static HEADER + 5 * 1024]) {
        static const uint8_t header[] = {
                'b', 'a', 'i', 'l', 'i', 'f', 'f', '-', 'b', 'o', 'o', 'k', 's', 0, 0, 0,
                1, 0, 0, 0, 0, 4, 0, 0, 0xde, 0x97, 0x98, 0x27, 0xc8, 0x75, 0xc9, 0x9a,
        }, container[] = {
                1, 7, 1, 1, 't', 1, 'c', /* kind, id, below, names */
                0xe8, 7, 0xac, 2, 0, 0, 0, 0, 0, 0, 0, 0, 40, 50, /* since, CPU, ..., write operations, CPU stall */
                [45] = 60, /* tasks' peak */
                [50] = 77, 0x81, 0x80, 0x80, 0x50, 0x88, 0x27, 0x80, 0x20, 1, /* a sample: CPU 5000, memory 4096, frozen */
                [98] = 1, /* the baseline's resources */
        }, tenant[] = {
                3, 0, 0, 2, 't', '0', 0, 0, 0xa8, 0x46, /* ended: CPU 9000 */
                [83] = 11, [90] = 12, /* floor: peak of memory; slices: read */
                [94] = 13, [101] = 14, 15, /* below: CPU; last ones */
        };

        memset(file, 0, HEADER + 5 * 1024);
        memcpy(file, header, sizeof(header));
        memcpy(file + 32, BOOT, strlen(BOOT));
        for (size_t i = 0; i < 5; i++) {
                uint8_t *slot = file + HEADER + i * 1024;
                size_t n = i == 0 ? sizeof(container) : sizeof(tenant);

                memcpy(slot + 10, i == 0 ? container : tenant, n);
                if (i > 0) {
                        slot[15] = (uint8_t)('0' + i - 1);
                        slot[18] = (uint8_t)(0xa8 + i - 1);
                }
                slot[8] = (uint8_t)n;
                seal(slot);
        }
}

static void assert_version_1(BookFile *f) {
        uint32_t slot, i = 0;
        BookRecord r;

        for (unsigned k = 0; k < 5; k++) {
                const Book *ended = &r.sum.book.ended;

                assert_true(bookfile_next(f, &i, &slot, &r));
                assert_int_equal(slot, k);
                if (k == 0) {
                        assert_true(r.kind == BOOKFILE_CONTAINER && r.id == 7 && r.below);
                        assert_string_equal(r.tenant, "t");
                        assert_string_equal(r.name, "c");
                        assert_int_equal(r.cg.book.since_realtime, 1000);
                        assert_int_equal(r.cg.book.v[BOOK_CPU_USEC], 300);
                        assert_int_equal(r.cg.book.v[BOOK_IO_WIOS], 40);
                        assert_int_equal(r.cg.book.v[BOOK_NET_RX_BYTES], 0);
                        assert_int_equal(r.cg.book.v[BOOK_CPU_SOME_USEC], 50);
                        assert_int_equal(r.cg.book.v[BOOK_PEAK_TASKS], 60);
                        assert_int_equal(r.cg.last.at, 77);
                        assert_int_equal(r.cg.last.v[SAMPLE_CPU_USAGE], 5000);
                        assert_int_equal(r.cg.last.v[SAMPLE_MEMORY], 4096);
                        assert_true(sample_has(&r.cg.last, SAMPLE_FROZEN));
                        assert_false(sample_has(&r.cg.last, SAMPLE_NET_RX_BYTES));
                        assert_int_equal(r.cg.baseline.have, 1);
                        continue;
                }
                assert_int_equal(r.kind, BOOKFILE_TENANT);
                assert_int_equal(ended->v[BOOK_CPU_USEC], 9000 + k - 1);
                assert_int_equal(r.sum.book.floor.v[BOOK_PEAK_MEMORY], 11);
                assert_int_equal(r.sum.book.slices.v[BOOK_IO_RBYTES], 12);
                assert_int_equal(r.sum.ended_below.v[BOOK_CPU_USEC], 13);
                assert_int_equal(r.sum.book.last_fold, 14);
                assert_int_equal(r.sum.book.last_slice, 15);
        }
        assert_false(bookfile_next(f, &i, &slot, &r));
}

/* Taken over, and from then on a file of this version. */
static void test_version_1(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        uint8_t file[HEADER + 5 * 1024];
        uint32_t slot;
        BookRecord r;

        (void)state;
        make_version_1(file);
        write_all(file, sizeof(file));
        f = open_books();
        assert_int_equal(stats_of(f).n_used, 5);
        assert_int_equal(stats_of(f).n_damaged, 0);
        assert_false(stats_of(f).set_aside);
        assert_version_1(f);
        put(f, 9, 0);
        assert_true(find(f, 9, &slot, &r));
        assert_int_equal(slot, 5);
        f = bookfile_free(f);
        assert_false(exists(FILE_NAME ".new"));
        f = open_books();
        assert_int_equal(stats_of(f).n_used, 6);
        assert_true(find(f, 9, &slot, &r));
}

static void test_version_1_odd(void **state) {
        static const struct {
                const char *what;
                size_t at; /* a byte that is another */
                bool set_aside;
                size_t n_used;
                unsigned n_damaged;
        } rows[] = {
                { "a damaged record", HEADER + 1024 + 30, false, 4, 1 },
                { "a version that never was", 16, true, 0, 0 },
                { "another size of slots", 21, true, 0, 0 },
                { "another shape", 24, true, 0, 0 },
                { "another boot", 40, true, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
                uint8_t file[HEADER + 5 * 1024];

                make_version_1(file);
                file[rows[i].at] ^= 0x40;
                write_all(file, sizeof(file));
                f = open_books();
                if (stats_of(f).set_aside != rows[i].set_aside || stats_of(f).n_used != rows[i].n_used ||
                    stats_of(f).n_damaged != rows[i].n_damaged)
                        fail_msg("%s: %zu used, %u damaged", rows[i].what, stats_of(f).n_used,
                                 stats_of(f).n_damaged);
                (void)clear(NULL);
        }
}

/* No room for the new one: the old one is as it was, and the next start finds it. */
static void test_version_1_full(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        uint8_t file[HEADER + 5 * 1024];

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        make_version_1(file);
        for (size_t limit = 0; limit < AT(4); limit += 500) {
                write_all(file, sizeof(file));
                limit_file_size(limit);
                f = open_books();
                limit_file_size(RLIM_INFINITY);
                assert_true(stats_of(f).write_error < 0);
                assert_false(exists(FILE_NAME ".new"));
                f = bookfile_free(f);
        }
        f = open_books();
        assert_int_equal(stats_of(f).write_error, 0);
        assert_version_1(f);
}

/* ---- damage ---- */

static void assert_damaged(const char *what, size_t at) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        uint32_t slot;
        BookRecord r;

        if (stats_of(f).n_damaged != 1 || stats_of(f).n_used != 2 || find(f, 2, &slot, &r))
                fail_msg("%s %zu: %u damaged, %zu used", what, at, stats_of(f).n_damaged, stats_of(f).n_used);
        assert_true(find(f, 1, &slot, &r) && find(f, 3, &slot, &r));
        assert_false(stats_of(f).set_aside);
        /* Its slot is free. */
        put(f, 4, 0);
        assert_true(find(f, 4, &slot, &r));
        assert_int_equal(slot, 1);
}

static void test_any_byte_damaged(void **state) {
        _cleanup_free_ uint8_t *good = NULL, *bad = NULL;
        size_t len, n;

        (void)state;
        make(3);
        good = read_all(FILE_NAME, &len);
        bad = malloc(len);
        assert_non_null(bad);
        n = 10 + (size_t)(good[AT(1) + 8] | good[AT(1) + 9] << 8);
        for (size_t i = 0; i < n; i++)
                for (unsigned bit = 1; bit <= 0x80; bit *= 8) {
                        memcpy(bad, good, len);
                        bad[AT(1) + i] ^= (uint8_t)bit;
                        write_all(bad, len);
                        assert_damaged("byte", i);
                }
        {
                /* What follows means nothing. */
                _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;

                memcpy(bad, good, len);
                bad[AT(1) + n] = 0xff;
                write_all(bad, len);
                f = open_books();
                assert_int_equal(stats_of(f).n_damaged, 0);
                assert_int_equal(count(f), 3);
        }
}

/* A slot with a good checksum whose record is none: nobody wrote it, nobody reads it. */
static void test_sealed_nonsense(void **state) {
        static const struct {
                const char *what;
                size_t len;
                uint8_t bytes[32];
        } rows[] = {
                { "nothing in it", 0, {} },
                { "kind 0", 5, { 0, 2, 0, 0, 0 } },
                { "kind 4", 5, { 4, 2, 0, 0, 0 } },
                { "kind beyond 32 bits", 9, { 0x81, 0x80, 0x80, 0x80, 0x10, 2, 0, 0, 0 } },
                { "half inside", 5, { 1, 2, 2, 0, 0 } },
                { "a name longer than there may be", 5, { 1, 2, 0, 64, 0 } },
                { "a name longer than the slot", 6, { 1, 2, 0, 0, 60, 'a' } },
                { "a name with an end inside", 8, { 1, 2, 0, 0, 3, 'a', 0, 'b' } },
                { "nothing after the names", 5, { 1, 2, 0, 0, 0 } },
                { "a number without end", 3, { 1, 0x80, 0x80 } },
        };
        _cleanup_free_ uint8_t *good = NULL, *bad = NULL;
        uint8_t *slot;
        size_t len, n;

        (void)state;
        make(3);
        good = read_all(FILE_NAME, &len);
        bad = malloc(len + SLOT);
        assert_non_null(bad);
        slot = bad + AT(1);
        memcpy(bad, good, len);
        n = (size_t)(slot[8] | slot[9] << 8);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                memcpy(bad, good, len);
                slot[8] = (uint8_t)rows[i].len;
                slot[9] = 0;
                memcpy(slot + 10, rows[i].bytes, rows[i].len);
                seal(slot);
                write_all(bad, len);
                assert_damaged(rows[i].what, i);
        }
        /* Cut anywhere, and with something behind it. */
        for (size_t i = 0; i < n; i++) {
                memcpy(bad, good, len);
                slot[8] = (uint8_t)i;
                slot[9] = (uint8_t)(i >> 8);
                seal(slot);
                write_all(bad, len);
                assert_damaged("cut at", i);
        }
        memcpy(bad, good, len);
        slot[8] = (uint8_t)(n + 1);
        slot[9] = (uint8_t)((n + 1) >> 8);
        seal(slot);
        write_all(bad, len);
        assert_damaged("longer than its record", n + 1);
        /* Longer than the slot, whatever the checksum is over. */
        for (size_t k = SLOT - 9; k < 65536; k += 997) {
                memcpy(bad, good, len);
                slot[8] = (uint8_t)k;
                slot[9] = (uint8_t)(k >> 8);
                seal(slot);
                write_all(bad, len);
                assert_damaged("length", k);
        }
        /* The last number is the baseline's, of resources: more of them than there are. */
        memcpy(bad, good, len);
        slot[10 + n - 1] = 8;
        seal(slot);
        write_all(bad, len);
        assert_damaged("resources", n);
}

static void test_truncated(void **state) {
        _cleanup_free_ uint8_t *good = NULL;
        size_t len, whole[3];

        (void)state;
        make(3);
        good = read_all(FILE_NAME, &len);
        for (size_t i = 0; i < 3; i++) {
                const uint8_t *slot = good + AT(i);

                whole[i] = AT(i) + 10 + (size_t)(slot[8] | slot[9] << 8);
        }
        assert_int_equal(len, whole[2]);
        for (size_t cut = 0; cut <= len; cut++) {
                _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
                size_t n = 0, torn = 0;

                for (size_t i = 0; i < 3; i++) {
                        n += cut >= whole[i];
                        torn |= cut > AT(i) && cut < whole[i];
                }
                write_all(good, cut);
                f = open_books();
                if (cut > 0 && cut < HEADER) {
                        assert_true(stats_of(f).set_aside);
                        assert_int_equal(count(f), 0);
                        continue;
                }
                assert_false(stats_of(f).set_aside);
                assert_int_equal(count(f), n);
                assert_int_equal(stats_of(f).n_damaged, torn);
                if (cut % 100 == 0) {
                        put(f, 9, 0);
                        f = bookfile_free(f);
                        f = open_books();
                        assert_int_equal(count(f), n + 1);
                }
        }
}

static void check_set_aside(const uint8_t *data, size_t len, const char *what) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        _cleanup_free_ uint8_t *old = NULL;
        size_t old_len;

        write_all(data, len);
        f = open_books();
        if (!stats_of(f).set_aside || stats_of(f).n_used != 0 || stats_of(f).n_damaged != 0 ||
            stats_of(f).write_error != 0)
                fail_msg("%s: not set aside", what);
        old = read_all(FILE_NAME ".old", &old_len);
        assert_int_equal(old_len, len);
        assert_memory_equal(old, data, len);
        put(f, 5, 0);
        f = bookfile_free(f);
        f = open_books();
        assert_false(stats_of(f).set_aside);
        assert_int_equal(count(f), 1);
}

static void test_headers(void **state) {
        static const struct {
                const char *what;
                size_t at, n;
        } rows[] = {
                { "magic", 0, 16 }, { "version", 16, 4 },  { "size of a slot", 20, 4 },
                { "shape", 24, 8 }, { "boot id", 32, 64 },
        };
        _cleanup_free_ uint8_t *good = NULL, *bad = NULL;
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        size_t len;

        (void)state;
        make(3);
        good = read_all(FILE_NAME, &len);
        bad = malloc(len);
        assert_non_null(bad);
        assert_string_equal((const char *)good, "bailiff-books");
        assert_int_equal(good[16], 2);
        assert_string_equal((const char *)good + 32, BOOT);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (size_t k = 0; k < rows[i].n; k++)
                        for (int by = -1; by <= 1; by += 2) {
                                memcpy(bad, good, len);
                                bad[rows[i].at + k] = (uint8_t)(bad[rows[i].at + k] + by);
                                check_set_aside(bad, len, rows[i].what);
                        }
        memset(bad, 0, len);
        check_set_aside(bad, len, "zeros");
        memset(bad, 0xff, len);
        check_set_aside(bad, len, "ones");
        check_set_aside((const uint8_t *)"bailiff-ceilings 1 ", 19, "another's file");
        /* The rest of its page is for later versions. */
        memcpy(bad, good, len);
        bad[200] = 1;
        write_all(bad, len);
        f = open_books();
        assert_false(stats_of(f).set_aside);
        assert_int_equal(count(f), 3);
}

static void test_other_boot(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;

        (void)state;
        make(3);
        assert_int_equal(bookfile_open(dir, "another-boot", &f), 0);
        assert_true(stats_of(f).set_aside);
        assert_int_equal(count(f), 0);
        put(f, 1, 0);
        f = bookfile_free(f);
        f = open_books();
        assert_true(stats_of(f).set_aside);
        assert_int_equal(count(f), 0);
}

static void test_odd_files(void **state) {
        enum { EMPTY, LINK, FIFO, DIRECTORY, _ODD_MAX };

        for (int kind = 0; kind < _ODD_MAX; kind++) {
                _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;

                (void)clear(state);
                if (kind == EMPTY) /* made, and then the guard died */
                        write_all("", 0);
                else
                        assert_int_equal(kind == LINK   ? symlinkat("/etc/passwd", dir_fd, FILE_NAME)
                                         : kind == FIFO ? mkfifoat(dir_fd, FILE_NAME, 0600)
                                                        : mkdirat(dir_fd, FILE_NAME, 0700),
                                         0);
                f = open_books();
                assert_int_equal(stats_of(f).set_aside, kind != EMPTY);
                assert_int_equal(stats_of(f).write_error, 0);
                put(f, 1, 0);
                f = bookfile_free(f);
                f = open_books();
                assert_false(stats_of(f).set_aside);
                assert_int_equal(count(f), 1);
                assert_int_equal(exists(FILE_NAME ".old"), kind != EMPTY);
        }
}

/* ---- a place that does not take it ---- */

/* A file that may not grow: the last write is short, then there is EFBIG. */
static void test_full(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        BookRecord r = record(2), got;
        uint32_t second, slot = BOOKFILE_NO_SLOT;

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        for (uint64_t id = 1; id <= 4; id++)
                put(f, id, 0);
        limit_file_size(AT(4) + 20);
        put(f, 5, -ENOSPC);
        limit_file_size(AT(4));
        put(f, 5, -EFBIG);
        assert_int_equal(stats_of(f).write_error, -EFBIG);
        assert_int_equal(stats_of(f).n_used, 4);
        /* Those that have a slot go on, and that is what the state says. */
        assert_true(find(f, 2, &second, &got));
        r.cg.book.v[BOOK_CPU_USEC] = 4711;
        assert_int_equal(bookfile_put(f, &second, &r), 0);
        assert_int_equal(stats_of(f).write_error, 0);
        /* A slot that is there and cannot be written keeps what it had. */
        limit_file_size(HEADER);
        r.cg.book.v[BOOK_CPU_USEC] = 4712;
        assert_int_equal(bookfile_put(f, &second, &r), -EFBIG);
        assert_int_equal(second, 1);
        limit_file_size(RLIM_INFINITY);
        {
                _cleanup_(cleanup_bookfile_free) BookFile *reader = open_books();

                assert_int_equal(count(reader), 4);
                assert_int_equal(stats_of(reader).n_damaged, 1); /* the torn one */
                assert_true(find(reader, 2, &slot, &got));
                assert_int_equal(got.cg.book.v[BOOK_CPU_USEC], 4711);
        }
        assert_int_equal(bookfile_put(f, &second, &r), 0);
        put(f, 5, 0);
        f = bookfile_free(f);
        f = open_books();
        assert_int_equal(count(f), 5);
        assert_int_equal(stats_of(f).n_damaged, 0);
        assert_true(find(f, 2, &slot, &got));
        assert_int_equal(got.cg.book.v[BOOK_CPU_USEC], 4712);
}

/* Dropped, but the file did not take it: the next one that goes well makes good for it. */
static void test_drop_fails(void **state) {
        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        for (int by_put = 0; by_put < 2; by_put++) {
                _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
                uint32_t two, three, four;
                BookRecord r;

                (void)clear(NULL);
                make(5);
                f = open_books();
                assert_true(find(f, 2, &two, &r) && find(f, 3, &three, &r) && find(f, 4, &four, &r));
                limit_file_size(HEADER);
                assert_int_equal(bookfile_drop(f, &two), -EFBIG);
                assert_int_equal(bookfile_drop(f, &three), -EFBIG);
                assert_int_equal(two, BOOKFILE_NO_SLOT);
                assert_int_equal(stats_of(f).n_used, 3);
                assert_int_equal(stats_of(f).write_error, -EFBIG);
                limit_file_size(RLIM_INFINITY);
                if (by_put)
                        put(f, 6, 0); /* into the slot of one of them */
                else
                        assert_int_equal(bookfile_drop(f, &four), 0);
                assert_int_equal(stats_of(f).write_error, 0);
                f = bookfile_free(f);
                f = open_books();
                assert_int_equal(count(f), by_put ? 4 : 2);
                assert_false(find(f, 2, &two, &r) || find(f, 3, &three, &r));
                assert_int_equal(stats_of(f).n_damaged, 0);
        }
}

/* Full from the beginning, and then not. */
static void test_full_at_open(void **state) {
        static const rlim_t limits[] = { 0, 10, HEADER - 1, HEADER };

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
                _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;

                (void)clear(NULL);
                limit_file_size(limits[i]);
                f = open_books();
                assert_int_equal(stats_of(f).write_error < 0, limits[i] < HEADER);
                for (int k = 0; k < 2; k++) {
                        uint32_t slot = BOOKFILE_NO_SLOT;
                        BookRecord r = record(1);

                        assert_true(bookfile_put(f, &slot, &r) < 0);
                        assert_int_equal(slot, BOOKFILE_NO_SLOT);
                        assert_true(stats_of(f).write_error < 0);
                }
                limit_file_size(RLIM_INFINITY);
                put(f, 1, 0);
                assert_int_equal(stats_of(f).write_error, 0);
                assert_false(stats_of(f).set_aside); /* half a header is none of anybody's */
                f = bookfile_free(f);
                f = open_books();
                assert_false(stats_of(f).set_aside);
                assert_int_equal(count(f), 1);
        }
}

/* The real thing: a tmpfs of four pages. Needs root, and leave to mount. */
static void test_full_tmpfs(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        uint32_t slots[64], n = 0, slot;
        BookRecord r;

        (void)state;
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", dir, "tmpfs", 0, "size=16k") < 0)
                skip();
        f = open_books();
        for (;; n++) {
                int k;

                assert_true(n < ARRAY_SIZE(slots));
                slots[n] = BOOKFILE_NO_SLOT;
                r = record(n + 1);
                k = bookfile_put(f, &slots[n], &r);
                if (k < 0) {
                        assert_int_equal(k, -ENOSPC);
                        break;
                }
        }
        assert_int_equal(n, 9); /* a page of header, three slots in each other one */
        assert_int_equal(slots[n], BOOKFILE_NO_SLOT);
        assert_int_equal(stats_of(f).write_error, -ENOSPC);
        /* Who has a slot has its place. */
        for (uint32_t i = 0; i < n; i++) {
                r = record(100 + i);
                assert_int_equal(bookfile_put(f, &slots[i], &r), 0);
        }
        assert_int_equal(bookfile_drop(f, &slots[3]), 0);
        put(f, 3, 0);
        put(f, 4, -ENOSPC);
        f = bookfile_free(f);
        f = open_books();
        assert_int_equal(count(f), 9);
        assert_int_equal(stats_of(f).n_damaged, 0);
        assert_false(find(f, 1, &slot, &r));
        assert_true(find(f, 108, &slot, &r));
        f = bookfile_free(f);
        assert_int_equal(umount(dir), 0);
}

static void test_read_only_directory(void **state) {
        bool root = geteuid() == 0;
        BookFile *f;
        int r;

        (void)state;
        assert_int_equal(fchmod(dir_fd, 0555), 0);
        /* Root may write anyway: be somebody else for a while. */
        if (root)
                assert_int_equal(seteuid(65534), 0);
        r = bookfile_open(dir, BOOT, &f);
        if (r == 0) {
                BookRecord record_ = record(1);
                uint32_t slot = BOOKFILE_NO_SLOT;

                r = stats_of(f).write_error;
                assert_int_equal(bookfile_put(f, &slot, &record_), -EACCES);
                assert_int_equal(bookfile_drop(f, &slot), 0);
                assert_int_equal(count(f), 0);
        }
        if (root)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(fchmod(dir_fd, 0755), 0);
        assert_int_equal(r, -EACCES);
        /* Each put tries again. */
        put(f, 1, 0);
        assert_int_equal(stats_of(f).write_error, 0);
        f = bookfile_free(f);
        f = open_books();
        assert_int_equal(count(f), 1);
        f = bookfile_free(f);
}

/* It could not be opened when records were taken over: what is in it is nobody's, and nothing of it may be mixed with ours. */
static void test_opened_late(void **state) {
        bool root = geteuid() == 0;
        BookFile *f = NULL;
        int r;

        (void)state;
        make(3);
        assert_int_equal(fchmodat(dir_fd, FILE_NAME, 0, 0), 0);
        if (root)
                assert_int_equal(seteuid(65534), 0);
        r = bookfile_open(dir, BOOT, &f);
        if (root)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, 0);
        assert_int_equal(stats_of(f).write_error, -EACCES);
        assert_int_equal(count(f), 0);
        assert_int_equal(fchmodat(dir_fd, FILE_NAME, 0600, 0), 0);
        put(f, 9, 0);
        assert_true(stats_of(f).set_aside);
        assert_int_equal(stats_of(f).write_error, 0);
        f = bookfile_free(f);
        f = open_books();
        assert_int_equal(count(f), 1);
        f = bookfile_free(f);
}

static void test_file_removed(void **state) {
        _cleanup_(cleanup_bookfile_free) BookFile *f = NULL;
        uint32_t slot;
        BookRecord r;

        make(3);
        f = open_books();
        /* Where it cannot be copied, it goes on without a name. */
        (void)clear(state);
        (void)signal(SIGXFSZ, SIG_IGN);
        limit_file_size(HEADER);
        put(f, 4, -EFBIG);
        limit_file_size(RLIM_INFINITY);
        assert_false(exists(FILE_NAME) || exists(FILE_NAME ".new"));
        put(f, 4, 0);
        assert_true(exists(FILE_NAME) && !exists(FILE_NAME ".new"));
        (void)clear(state);
        slot = 0;
        assert_int_equal(bookfile_drop(f, &slot), 0);
        assert_int_equal(stats_of(f).write_error, 0);
        f = bookfile_free(f);
        f = open_books();
        assert_false(stats_of(f).set_aside);
        assert_int_equal(stats_of(f).n_damaged, 0);
        assert_int_equal(count(f), 3);
        for (uint64_t id = 2; id <= 4; id++)
                assert_true(find(f, id, &slot, &r));
}

/* Against a plain table, through a full file, a removed one and restarts at any point. */
static void test_property(void **state) {
        enum { N = 24 };
        _cleanup_(cleanup_bookfile_free) BookFile *f = open_books();
        static BookRecord model[N]; /* as it is on file; id 0: it is not */
        uint32_t slots[N];
        unsigned seed = (unsigned)getpid(), n_failed = 0, n_restarts = 0;

        (void)signal(SIGXFSZ, SIG_IGN);
        print_message("seed %u\n", seed);
        memset(model, 0, sizeof(model));
        for (int i = 0; i < N; i++)
                slots[i] = BOOKFILE_NO_SLOT;
        for (unsigned step = 0; step < 6000; step++) {
                int i = rand_r(&seed) % N;
                BookRecord r;

                switch (rand_r(&seed) % 16) {
                case 0:
                case 1:
                case 2:
                        /* What a drop could not do, and no later put either, is there again after a restart. */
                        limit_file_size(RLIM_INFINITY);
                        assert_int_equal(bookfile_drop(f, &slots[i]), 0);
                        model[i].id = 0;
                        break;
                case 3:
                        limit_file_size(rand_r(&seed) % 3 ? RLIM_INFINITY : AT((unsigned)rand_r(&seed) % N));
                        break;
                case 4:
                        limit_file_size(RLIM_INFINITY);
                        if (rand_r(&seed) % 4 == 0) {
                                (void)clear(state);
                                r = record(1);
                                assert_int_equal(bookfile_put(f, &slots[0], &r), 0);
                                model[0] = r;
                        }
                        f = bookfile_free(f);
                        f = open_books();
                        n_restarts++;
                        assert_false(stats_of(f).set_aside);
                        {
                                size_t expected = 0;
                                uint32_t slot, at = 0;

                                for (int k = 0; k < N; k++)
                                        expected += model[k].id != 0;
                                while (bookfile_next(f, &at, &slot, &r)) {
                                        assert_in_range(r.id, 1, N);
                                        assert_record(&r, &model[r.id - 1]);
                                        assert_int_equal(slot, slots[r.id - 1]);
                                        expected--;
                                }
                                assert_int_equal(expected, 0);
                        }
                        break;
                default:
                        r = random_record(BOOKFILE_CONTAINER + (unsigned)rand_r(&seed) % 3, &seed);
                        r.id = (uint64_t)i + 1;
                        if (bookfile_put(f, &slots[i], &r) == 0)
                                model[i] = r;
                        else
                                n_failed++;
                }
        }
        limit_file_size(RLIM_INFINITY);
        assert_true(n_failed > 0 && n_restarts > 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, clear, clear)
        const struct CMUnitTest tests[] = {
                TEST(version_1),
                TEST(version_1_odd),
                TEST(version_1_full),
                TEST(empty),
                TEST(round_trip),
                TEST(worst_case_fits),
                TEST(keeps_what_books_need),
                TEST(names_are_cut),
                TEST(drop),
                TEST(bad_arguments),
                TEST(between_two_writes),
                TEST(many),
                TEST(any_byte_damaged),
                TEST(sealed_nonsense),
                TEST(truncated),
                TEST(headers),
                TEST(other_boot),
                TEST(odd_files),
                TEST(full),
                TEST(drop_fails),
                TEST(full_at_open),
                TEST(full_tmpfs),
                TEST(read_only_directory),
                TEST(opened_late),
                TEST(file_removed),
                TEST(property),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
