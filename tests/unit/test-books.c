/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "books.h"
#include "num.h"

#define SEC USEC_PER_SEC

static Sample sample(usec_t at, SampleField f, uint64_t v) {
        Sample s = { .at = at };

        sample_put(&s, f, v);
        return s;
}

static void test_info(void **state) {
        static const BookField hierarchical[] = {
                BOOK_CPU_USEC,  BOOK_CPU_USER_USEC, BOOK_CPU_SYSTEM_USEC, BOOK_IO_RBYTES,
                BOOK_IO_WBYTES, BOOK_IO_RIOS,       BOOK_IO_WIOS,
        };
        SampleMask from = 0;

        (void)state;
        for (int f = 0; f < _BOOK_MAX; f++) {
                const BookInfo *i = book_info((BookField)f);
                bool expected = false;

                assert_non_null(i->name);
                assert_non_null(i->metric);
                assert_int_equal(book_field_from_name(i->name), f);
                for (int k = 0; k < f; k++)
                        assert_string_not_equal(i->metric, book_info((BookField)k)->metric);
                for (size_t k = 0; k < ARRAY_SIZE(hierarchical); k++)
                        expected |= hierarchical[k] == (BookField)f;
                assert_int_equal(i->hierarchical, expected);
                if (i->from < 0)
                        continue;
                /* Each sample field feeds one book field, and only a counter. */
                assert_true(f < _BOOK_COUNTERS && i->from < _SAMPLE_MAX);
                assert_false(from & SAMPLE_BIT(i->from));
                from |= SAMPLE_BIT(i->from);
        }
        assert_int_equal(book_field_from_name("nonsense"), _BOOK_INVALID);
        assert_int_equal(book_field_from_name(""), _BOOK_INVALID);
}

static void test_counters(void **state) {
        enum { NONE, MISSING, HAVE }; /* no sample; one without the field; with */
        static const struct {
                int before, now;
                uint64_t was, is;
                bool born;
                uint64_t start, counted, resets;
        } rows[] = {
                { HAVE, HAVE, 10, 15, false, 0, 5, 0 },
                { HAVE, HAVE, 10, 10, false, 7, 7, 0 },
                { HAVE, HAVE, 10, 3, false, 0, 3, 1 }, /* went back: what it counted since */
                { HAVE, HAVE, 10, 0, false, 1, 1, 1 },
                { HAVE, HAVE, 0, UINT64_MAX, false, 0, UINT64_MAX, 0 },
                { HAVE, HAVE, 0, 10, false, UINT64_MAX - 3, UINT64_MAX, 0 }, /* saturates */
                { HAVE, MISSING, 10, 0, false, 7, 7, 0 },
                { MISSING, HAVE, 0, 10, false, 7, 7, 0 },
                { MISSING, HAVE, 0, 10, true, 7, 7, 0 }, /* was born in an earlier call */
                { NONE, HAVE, 0, 10, true, 0, 10, 0 },
                { NONE, HAVE, 0, 10, false, 0, 0, 0 }, /* the past's */
                { NONE, MISSING, 0, 0, true, 0, 0, 0 },
        };

        (void)state;
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        SampleField from = book_info((BookField)f)->from;
                        Sample before = { .at = 5 }, now = { .at = 6 };
                        Book b = {};

                        if (f == BOOK_REFAULTS)
                                from = i % 2 ? SAMPLE_REFAULT_ANON : SAMPLE_REFAULT_FILE;
                        else if (from < 0)
                                continue;
                        b.v[f] = rows[i].start;
                        if (rows[i].before == HAVE)
                                sample_put(&before, from, rows[i].was);
                        if (rows[i].now == HAVE)
                                sample_put(&now, from, rows[i].is);
                        book_account(&b, rows[i].before == NONE ? NULL : &before, &now, rows[i].born);
                        if (b.v[f] != rows[i].counted || b.v[BOOK_RESETS] != rows[i].resets)
                                fail_msg("%s, row %zu: %llu, %llu resets", book_info((BookField)f)->name, i,
                                         (unsigned long long)b.v[f], (unsigned long long)b.v[BOOK_RESETS]);
                        assert_int_equal(b.v[BOOK_STARTS], rows[i].before == NONE && rows[i].born);
                        assert_int_equal(b.v[BOOK_LIFE_USEC], rows[i].before == NONE ? 0 : 1);
                        for (int k = 0; k < _BOOK_COUNTERS; k++)
                                if (k != f && k != BOOK_RESETS && k != BOOK_STARTS && k != BOOK_LIFE_USEC)
                                        assert_int_equal(b.v[k], 0);
                }
}

static void test_resets_once_a_call(void **state) {
        Sample before = { .at = 1 }, now = { .at = 2 };
        Book b = {};

        (void)state;
        for (int f = 0; f < _SAMPLE_MAX; f++) {
                sample_put(&before, (SampleField)f, 9);
                sample_put(&now, (SampleField)f, 4);
        }
        book_account(&b, &before, &now, false);
        assert_int_equal(b.v[BOOK_RESETS], 1);
        assert_int_equal(b.v[BOOK_REFAULTS], 8); /* anon and file */
        assert_int_equal(b.v[BOOK_CPU_USEC], 4);
        /* Time that runs backwards counts as none. */
        now.at = 0;
        book_account(&b, &before, &now, false);
        assert_int_equal(b.v[BOOK_LIFE_USEC], 1);
        assert_int_equal(b.v[BOOK_CPU_USEC], 8);
}

static void test_memory_seconds(void **state) {
        static const struct {
                bool have_was, have_is;
                uint64_t was, is, span, kib_seconds, rest;
        } rows[] = {
                { true, true, 4096, 4096, SEC, 4, 0 },
                { true, true, 0, 8192, SEC, 4, 0 },
                { true, true, 8192, 0, SEC, 4, 0 },
                { true, true, 1024, 1024, SEC - 1, 0, 2 * 1024 * (SEC - 1) },
                { true, true, 1, 2, 1, 0, 3 }, /* one byte and a half for a µs */
                { true, false, 4096, 0, SEC, 4, 0 }, /* before's where now has none */
                { false, true, 0, 4096, SEC, 0, 0 },
                { true, true, 4096, 4096, 0, 0, 0 },
                { true, true, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0 },
                { true, true, 1024 * SEC, 1024 * SEC, UINT64_MAX, UINT64_MAX, 0 }, /* the last that fits */
                { true, true, 1024 * SEC - 1, 1024 * SEC - 1, UINT64_MAX,
                  UINT64_MAX - UINT64_MAX / (1024 * SEC) - 1, 0 },
        };

        (void)state;
        for (int swap = 0; swap < 2; swap++)
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        SampleField f = swap ? SAMPLE_SWAP : SAMPLE_MEMORY;
                        Sample before = { .at = 0 }, now = { .at = rows[i].span };
                        Book b = {};

                        if (rows[i].have_was)
                                sample_put(&before, f, rows[i].was);
                        if (rows[i].have_is)
                                sample_put(&now, f, rows[i].is);
                        book_account(&b, &before, &now, false);
                        if (b.v[BOOK_MEMORY_KIB_SECONDS + swap] != rows[i].kib_seconds)
                                fail_msg("row %zu: %llu", i,
                                         (unsigned long long)b.v[BOOK_MEMORY_KIB_SECONDS + swap]);
                        if (rows[i].span < UINT64_MAX)
                                assert_int_equal(b.rest[swap], rows[i].rest);
                        assert_true(b.rest[swap] < 2 * 1024 * SEC);
                        assert_int_equal(b.v[BOOK_MEMORY_KIB_SECONDS + !swap], 0);
                        /* The first look has no span. */
                        b = (Book){};
                        book_account(&b, NULL, &now, true);
                        assert_int_equal(b.v[BOOK_MEMORY_KIB_SECONDS + swap], 0);
                }
}

/* Whatever the steps: the sum is that of one exact addition. */
static void test_memory_exact(void **state) {
        unsigned seed = (unsigned)getpid();
        unsigned __int128 truth = 0;
        Sample before = sample(77, SAMPLE_MEMORY, 12345);
        Book b = {};

        (void)state;
        print_message("seed %u\n", seed);
        for (int i = 0; i < 20000; i++) {
                Sample now = sample(before.at + (usec_t)rand_r(&seed) % (2 * SEC), SAMPLE_MEMORY,
                                    (uint64_t)rand_r(&seed) % ((uint64_t)1 << (10 + i % 31)));

                truth += ((unsigned __int128)before.v[SAMPLE_MEMORY] + now.v[SAMPLE_MEMORY]) *
                         (now.at - before.at);
                book_account(&b, &before, &now, false);
                before = now;
        }
        assert_true(b.v[BOOK_MEMORY_KIB_SECONDS] == (uint64_t)(truth / (2 * 1024 * SEC)));
        assert_true(b.rest[0] == (uint64_t)(truth % (2 * 1024 * SEC)));
}

static void test_peaks(void **state) {
        static const struct {
                bool have_memory, have_peak, have_kind;
                uint64_t memory, peak, kind, was, was_kind, is, is_kind;
        } rows[] = {
                { true, false, false, 10, 0, 0, 0, 0, 10, PEAK_SAMPLED },
                { true, true, true, 10, 15, PEAK_RESET, 0, 0, 15, PEAK_RESET },
                { true, true, true, 10, 15, PEAK_RAISED, 15, PEAK_SAMPLED, 15, PEAK_RAISED },
                { true, true, true, 10, 15, PEAK_SAMPLED, 15, PEAK_RESET, 15, PEAK_RESET },
                { true, true, true, 10, 15, PEAK_RESET, 20, PEAK_SAMPLED, 20, PEAK_SAMPLED },
                { true, true, true, 16, 15, PEAK_RESET, 0, 0, 16, PEAK_SAMPLED },
                { false, true, false, 0, 15, 0, 0, 0, 15, PEAK_SAMPLED },
                { false, true, true, 0, 15, 1000, 0, 0, 15, PEAK_SAMPLED }, /* no such kind */
                { false, false, false, 0, 0, 0, 3, PEAK_RAISED, 3, PEAK_RAISED },
        };
        Sample before = { .at = 1 }, now = { .at = 2 };
        Book b = {};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Sample s = { .at = 2 };
                Book p = {};

                p.v[BOOK_PEAK_MEMORY] = rows[i].was;
                p.v[BOOK_PEAK_MEMORY_KIND] = rows[i].was_kind;
                if (rows[i].have_memory)
                        sample_put(&s, SAMPLE_MEMORY, rows[i].memory);
                if (rows[i].have_peak)
                        sample_put(&s, SAMPLE_MEMORY_PEAK, rows[i].peak);
                if (rows[i].have_kind)
                        sample_put(&s, SAMPLE_PEAK_KIND, rows[i].kind);
                book_account(&p, i % 2 ? &before : NULL, &s, false);
                if (p.v[BOOK_PEAK_MEMORY] != rows[i].is || p.v[BOOK_PEAK_MEMORY_KIND] != rows[i].is_kind)
                        fail_msg("row %zu", i);
        }
        sample_put(&now, SAMPLE_SWAP, 5);
        sample_put(&now, SAMPLE_PIDS, 6);
        book_account(&b, NULL, &now, false);
        assert_int_equal(b.v[BOOK_PEAK_SWAP], 5);
        assert_int_equal(b.v[BOOK_PEAK_TASKS], 6);
        sample_put(&now, SAMPLE_SWAP, 1);
        sample_put(&now, SAMPLE_SWAP_PEAK, 7);
        sample_put(&now, SAMPLE_PIDS_PEAK, 9);
        book_account(&b, &before, &now, false);
        assert_int_equal(b.v[BOOK_PEAK_SWAP], 7);
        assert_int_equal(b.v[BOOK_PEAK_TASKS], 9);
        book_account(&b, &now, &before, false);
        assert_int_equal(b.v[BOOK_PEAK_SWAP], 7);
}

static void test_end(void **state) {
        static const struct {
                usec_t killed_at, last_at, now; /* killed_at, last_at 0: never */
                BookEnd how;
                uint64_t oom, unread, unseen;
        } rows[] = {
                { 0, 50 * SEC, 51 * SEC, BOOK_END_READ, 0, 0, 0 },
                { 0, 50 * SEC, 51 * SEC, BOOK_END_UNREAD, 0, 1, SEC },
                { 0, 0, 51 * SEC, BOOK_END_UNREAD, 0, 1, 0 },
                { 50 * SEC, 50 * SEC, 50 * SEC, BOOK_END_READ, 1, 0, 0 },
                { 40 * SEC, 50 * SEC, 50 * SEC, BOOK_END_READ, 1, 0, 0 },
                { 40 * SEC - 1, 50 * SEC, 50 * SEC, BOOK_END_READ, 0, 0, 0 },
                { 50 * SEC, 50 * SEC, 49 * SEC, BOOK_END_UNREAD, 1, 1, 0 }, /* the clock of another place */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Sample before = sample(1, SAMPLE_EVENTS_OOM_KILL, 0), kill, last = { .at = rows[i].last_at };
                Book b = {};

                kill = sample(rows[i].killed_at, SAMPLE_EVENTS_OOM_KILL, 1);
                if (rows[i].killed_at > 0)
                        book_account(&b, &before, &kill, false);
                book_end(&b, rows[i].last_at ? &last : NULL, rows[i].now, rows[i].how);
                assert_int_equal(b.v[BOOK_ENDS], 1);
                if (b.v[BOOK_ENDS_OOM] != rows[i].oom || b.v[BOOK_ENDS_UNREAD] != rows[i].unread ||
                    b.v[BOOK_UNSEEN_USEC] != rows[i].unseen)
                        fail_msg("row %zu", i);
        }
        {
                /* Killed before the first look at it; that it was long ago is another matter. */
                Sample s = sample(0, SAMPLE_EVENTS_OOM_KILL, 3);
                Book b = {}, past = {};

                book_account(&b, NULL, &s, true);
                book_end(&b, &s, 1, BOOK_END_READ);
                assert_int_equal(b.v[BOOK_ENDS_OOM], 1);
                assert_int_equal(b.v[BOOK_OOM_KILLS], 3);
                book_account(&past, NULL, &s, false);
                book_end(&past, &s, 1, BOOK_END_READ);
                assert_int_equal(past.v[BOOK_ENDS_OOM], 0);
        }
}

static Book random_book(unsigned *seed) {
        Book b = { .since_realtime = (uint64_t)rand_r(seed) % 3, .oom_at = (uint64_t)rand_r(seed) };

        for (int f = 0; f < _BOOK_COUNTERS; f++)
                b.v[f] = rand_r(seed) % 16 ? (uint64_t)rand_r(seed) : UINT64_MAX - (uint64_t)rand_r(seed) % 9;
        for (size_t i = 0; i < 2; i++)
                b.rest[i] = (uint64_t)rand_r(seed) % (2 * 1024 * SEC);
        for (int f = BOOK_PEAK_MEMORY; f < _BOOK_MAX; f++)
                b.v[f] = (uint64_t)rand_r(seed) % 3;
        return b;
}

static void test_add(void **state) {
        unsigned seed = (unsigned)getpid();
        Book a = { .since_realtime = 50, .rest = { 2 * 1024 * SEC - 1, 5 } };
        Book b = { .since_realtime = 40, .rest = { 3, 6 } };

        (void)state;
        a.v[BOOK_PEAK_MEMORY] = 10;
        a.v[BOOK_PEAK_MEMORY_KIND] = PEAK_SAMPLED;
        b.v[BOOK_PEAK_MEMORY] = 9;
        b.v[BOOK_PEAK_MEMORY_KIND] = PEAK_RESET;
        a.v[BOOK_ENDS] = b.v[BOOK_ENDS] = 1;
        book_add(&a, &b);
        assert_int_equal(a.since_realtime, 40);
        assert_int_equal(a.v[BOOK_MEMORY_KIB_SECONDS], 1);
        assert_int_equal(a.rest[0], 2);
        assert_int_equal(a.rest[1], 11);
        assert_int_equal(a.v[BOOK_PEAK_MEMORY], 10);
        assert_int_equal(a.v[BOOK_PEAK_MEMORY_KIND], PEAK_SAMPLED);
        assert_int_equal(a.v[BOOK_ENDS], 2);
        b.since_realtime = 0;
        book_add(&a, &b);
        assert_int_equal(a.since_realtime, 40);

        print_message("seed %u\n", seed);
        for (int i = 0; i < 2000; i++) {
                Book x = random_book(&seed), y = random_book(&seed), z = random_book(&seed), xyz = x, zyx = z,
                     yz = y, other = x;

                book_add(&xyz, &y);
                book_add(&xyz, &z);
                book_add(&zyx, &y);
                book_add(&zyx, &x);
                book_add(&yz, &z);
                book_add(&other, &yz);
                assert_memory_equal(&xyz, &zyx, sizeof(xyz));
                assert_memory_equal(&xyz, &other, sizeof(xyz));
        }
}

static Book cpu(uint64_t usec) {
        Book b = {};

        b.v[BOOK_CPU_USEC] = b.v[BOOK_PERIODS] = usec;
        return b;
}

static void test_fold(void **state) {
        TenantBook t = {};
        Book a = cpu(5), b = cpu(7);

        (void)state;
        assert_true(book_tenant_fold(&t, 100, &a));
        assert_false(book_tenant_fold(&t, 100, &a));
        assert_int_equal(t.ended.v[BOOK_CPU_USEC], 5);
        assert_true(book_tenant_fold(&t, 101, &b));
        assert_false(book_tenant_fold(&t, 101, &b));
        assert_int_equal(t.ended.v[BOOK_CPU_USEC], 12);
        /* Slices are remembered apart. */
        assert_true(book_tenant_fold_slice(&t, 101, &b));
        assert_false(book_tenant_fold_slice(&t, 101, &b));
        assert_false(book_tenant_fold(&t, 101, &b));
        assert_int_equal(t.slices.v[BOOK_CPU_USEC], 7);
        assert_int_equal(t.ended.v[BOOK_CPU_USEC], 12);
}

/* CPU is hierarchical, periods are not. */
static void test_parts(void **state) {
        static const struct {
                const char *what;
                uint64_t in, out, dead_in, dead_out, slice, gone, floor; /* gone: of an earlier slice */
                uint64_t unseen, total, periods;
        } rows[] = {
                { "nothing", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
                { "no slice", 0, 5, 0, 7, 0, 0, 0, 0, 12, 12 },
                { "all explained", 5, 0, 7, 0, 12, 0, 0, 0, 12, 12 },
                { "short lives", 5, 0, 7, 0, 20, 0, 0, 8, 20, 12 },
                { "slice and outside", 5, 100, 7, 1000, 20, 0, 0, 8, 1120, 1112 },
                { "container read later", 15, 0, 7, 0, 20, 0, 0, 0, 22, 22 },
                { "slice made anew", 5, 0, 12, 0, 6, 20, 0, 9, 26, 17 },
                { "only the dead slice", 0, 0, 12, 0, 0, 20, 0, 8, 20, 12 },
                { "floor above", 5, 0, 7, 0, 20, 0, 30, 18, 30, 30 },
                { "floor below", 5, 0, 7, 0, 20, 0, 10, 8, 20, 12 },
                { "top", UINT64_MAX, 5, 5, 5, UINT64_MAX, 5, 0, 0, UINT64_MAX, UINT64_MAX },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Book in = cpu(rows[i].in), out = cpu(rows[i].out), slice = cpu(rows[i].slice);
                Book dead_in = cpu(rows[i].dead_in), dead_out = cpu(rows[i].dead_out);
                TenantBook t = { .ended = dead_in, .floor = cpu(rows[i].floor), .slices = cpu(rows[i].gone) };
                const Book *live[] = { &out, &in }, *slices[] = { &slice };
                const bool below[] = { false, true };
                BookParts p;

                book_add(&t.ended, &dead_out);
                book_tenant_parts(&t, live, below, 2, slices, 1, &dead_in, &p);
                if (p.total.v[BOOK_CPU_USEC] != rows[i].total || p.unseen.v[BOOK_CPU_USEC] != rows[i].unseen)
                        fail_msg("%s: %llu, %llu of it unseen", rows[i].what,
                                 (unsigned long long)p.total.v[BOOK_CPU_USEC],
                                 (unsigned long long)p.unseen.v[BOOK_CPU_USEC]);
                if (p.total.v[BOOK_PERIODS] != rows[i].periods)
                        fail_msg("%s: %llu periods", rows[i].what,
                                 (unsigned long long)p.total.v[BOOK_PERIODS]);
                assert_memory_equal(&t.floor, &p.total, sizeof(t.floor));
        }
        {
                TenantBook t = {};
                BookParts p;

                book_tenant_parts(&t, NULL, NULL, 0, NULL, 0, NULL, &p);
                assert_int_equal(p.total.v[BOOK_CPU_USEC], 0);
        }
}

static void test_parts_peaks_and_since(void **state) {
        Book in = { .since_realtime = 30 }, slice = { .since_realtime = 20 };
        TenantBook t = { .floor = { .since_realtime = 25 } };
        const Book *live[] = { &in }, *slices[] = { &slice };
        const bool below[] = { true };
        BookParts p;

        (void)state;
        in.v[BOOK_PEAK_MEMORY] = 10;
        in.v[BOOK_PEAK_MEMORY_KIND] = PEAK_RESET;
        slice.v[BOOK_PEAK_MEMORY] = 15;
        slice.v[BOOK_PEAK_MEMORY_KIND] = PEAK_SAMPLED;
        t.ended.v[BOOK_PEAK_TASKS] = 4;
        t.floor.v[BOOK_PEAK_SWAP] = 3;
        book_tenant_parts(&t, live, below, 1, slices, 1, NULL, &p);
        assert_int_equal(p.total.since_realtime, 20);
        assert_int_equal(p.total.v[BOOK_PEAK_MEMORY], 15);
        assert_int_equal(p.total.v[BOOK_PEAK_MEMORY_KIND], PEAK_SAMPLED);
        assert_int_equal(p.total.v[BOOK_PEAK_TASKS], 4);
        assert_int_equal(p.total.v[BOOK_PEAK_SWAP], 3);
        assert_int_equal(p.unseen.v[BOOK_PEAK_MEMORY], 0);
        assert_int_equal(p.live.v[BOOK_PEAK_MEMORY], 10);
        /* What the slice had stays when it is not asked any more. */
        book_tenant_parts(&t, live, below, 1, NULL, 0, NULL, &p);
        assert_int_equal(p.total.v[BOOK_PEAK_MEMORY], 15);
        assert_int_equal(p.total.since_realtime, 20);
}

/* Two halves of a KiB · s: alive, one of them dead, both dead. */
static void test_parts_rests(void **state) {
        Book a = { .rest = { 1024 * SEC, 0 } }, b = { .rest = { 1024 * SEC, 0 } };
        const Book *live[] = { &a, &b };
        const bool below[2] = {};
        TenantBook t = {};

        (void)state;
        for (size_t n = 2;; n--) {
                BookParts p;

                book_tenant_parts(&t, live, below, n, NULL, 0, NULL, &p);
                assert_int_equal(p.total.v[BOOK_MEMORY_KIB_SECONDS], 1);
                assert_int_equal(p.live.v[BOOK_MEMORY_KIB_SECONDS], n > 0);
                assert_int_equal(p.ended.v[BOOK_MEMORY_KIB_SECONDS], n == 0);
                assert_int_equal(p.unseen.v[BOOK_MEMORY_KIB_SECONDS], 0);
                if (n == 0)
                        break;
                assert_true(book_tenant_fold(&t, n, live[n - 1]));
        }
}

/*
 * A world with ground truth and a guard that looks at it now and then, loses its
 * memory at any point and goes on from what it has saved.
 */
enum { TENANTS = 3, GROUPS = 400, STEPS = 4000 };
enum { ALL_IN_SLICE, NO_SLICE, BOTH }; /* tenants */

typedef struct Group {
        bool slice, alive,
                settled; /* settled: its end is in the tenant's saved book, or nobody will ever know it */
        bool seen_born;
        int parent; /* the slice that it lives in, -1: none */
        unsigned tenant;
        uint64_t cpu, faults, memory;
} Group;

typedef struct Track {
        bool used, looked;
        Sample last;
        Book book;
} Track;

typedef struct TenantState {
        TenantBook book;
        Book ended_below;
} TenantState;

typedef struct Memory {
        Track tracks[GROUPS];
        TenantState tenants[TENANTS];
} Memory;

typedef struct World {
        unsigned seed;
        usec_t now;
        bool up; /* the guard runs */
        Group groups[GROUPS];
        int n;
        Memory guard, saved;
        uint64_t truth[TENANTS], faults[TENANTS];
        /* At most so much of CPU can never be known: it was used before the first or after the last look at the slice, or at
         * the container where there is no slice. */
        uint64_t lost[TENANTS];
        uint64_t ends[TENANTS];
        Book told[TENANTS];
        unsigned n_exact, n_crashes, n_unseen; /* that the test is one */
} World;

static unsigned pick(World *w, unsigned n) { return (unsigned)rand_r(&w->seed) % n; }

static uint64_t id_of(int i) { return 1000 + (uint64_t)i; }

static uint64_t unread(const Group *g, const Track *t) {
        uint64_t last = t->looked ? t->last.v[SAMPLE_CPU_USAGE] : 0;

        return g->cpu >= last ? g->cpu - last : g->cpu;
}

/* Nobody else will tell. */
static bool alone(const Group *g) { return g->slice || g->parent < 0; }

static void lose(World *w, const Group *g, uint64_t usec) {
        if (alone(g))
                w->lost[g->tenant] += usec;
}

static void look(World *w, int i) {
        Group *g = &w->groups[i];
        Track *t = &w->guard.tracks[i];
        Sample s = { .at = w->now };

        sample_put(&s, SAMPLE_CPU_USAGE, g->cpu);
        sample_put(&s, SAMPLE_PGMAJFAULT, g->faults);
        sample_put(&s, SAMPLE_MEMORY, g->memory);
        if (!t->looked && !g->seen_born)
                lose(w, g, g->cpu);
        book_account(&t->book, t->looked ? &t->last : NULL, &s, g->seen_born);
        t->looked = true;
        t->last = s;
        if (pick(w, 4) > 0)
                w->saved.tracks[i] = *t;
}

static int find(World *w, bool slice, unsigned tenant) {
        int found = -1, n = 0;

        for (int i = 0; i < w->n; i++)
                if (w->groups[i].alive && w->groups[i].slice == slice && w->groups[i].tenant == tenant &&
                    pick(w, (unsigned)++n) == 0)
                        found = i;
        return found;
}

static int add_group(World *w, bool slice, unsigned tenant, int parent) {
        if (w->n == GROUPS)
                return -1;
        w->groups[w->n] = (Group){ .slice = slice,
                                   .alive = true,
                                   .seen_born = w->up,
                                   .parent = parent,
                                   .tenant = tenant,
                                   .memory = (uint64_t)pick(w, 1U << 30) };
        w->guard.tracks[w->n] = (Track){ .used = w->up };
        return w->n++;
}

static void be_born(World *w, unsigned tenant) {
        int parent = -1;

        if (tenant == ALL_IN_SLICE || (tenant == BOTH && pick(w, 2))) {
                parent = find(w, true, tenant);
                if (parent < 0)
                        parent = add_group(w, true, tenant, -1);
                if (parent < 0)
                        return;
        }
        (void)add_group(w, false, tenant, parent);
}

static void use(World *w, int i) {
        Group *g = &w->groups[i];
        uint64_t usec = pick(w, 1000), faults = pick(w, 10);

        g->cpu += usec; /* of a slice: a plain service in it */
        g->faults += faults;
        g->memory = pick(w, 1U << 30);
        if (g->parent >= 0)
                w->groups[g->parent].cpu += usec;
        w->truth[g->tenant] += usec;
        w->faults[g->tenant] += faults;
}

static bool is_empty(const World *w, int slice) {
        for (int i = 0; i < w->n; i++)
                if (w->groups[i].alive && w->groups[i].parent == slice)
                        return false;
        return true;
}

static bool fold_in_memory(World *w, int i) {
        const Group *g = &w->groups[i];
        TenantState *t = &w->guard.tenants[g->tenant];

        if (g->slice)
                return book_tenant_fold_slice(&t->book, id_of(i), &w->guard.tracks[i].book);
        if (!book_tenant_fold(&t->book, id_of(i), &w->guard.tracks[i].book))
                return false;
        if (g->parent >= 0)
                book_add(&t->ended_below, &w->guard.tracks[i].book);
        return true;
}

/* Two writes: the tenant, then the container's slot. Returns false if the guard died between them (1) or before (0). */
static bool fold(World *w, int i, unsigned dies_at) {
        Group *g = &w->groups[i];
        bool anew = fold_in_memory(w, i);

        if (dies_at == 0)
                return false;
        w->saved.tenants[g->tenant] = w->guard.tenants[g->tenant];
        g->settled = true;
        if (anew && !g->slice)
                w->ends[g->tenant]++;
        if (dies_at == 1)
                return false;
        w->guard.tracks[i].used = w->saved.tracks[i].used = false;
        return true;
}

static void end_unread(World *w, int i) {
        lose(w, &w->groups[i], unread(&w->groups[i], &w->guard.tracks[i]));
        if (!w->groups[i].slice)
                book_end(&w->guard.tracks[i].book,
                         w->guard.tracks[i].looked ? &w->guard.tracks[i].last : NULL, w->now,
                         BOOK_END_UNREAD);
}

static void restart(World *w);

static void die(World *w, int i) {
        Group *g = &w->groups[i];

        if (g->slice && !is_empty(w, i))
                return;
        g->alive = false;
        if (!w->up)
                return;
        if (pick(w, 3) == 0)
                end_unread(w, i);
        else {
                look(w, i);
                if (!g->slice)
                        book_end(&w->guard.tracks[i].book, &w->guard.tracks[i].last, w->now, BOOK_END_READ);
        }
        if (!fold(w, i, pick(w, 20)))
                restart(w);
}

/* The kernel's counter begins anew. */
static void reset(World *w, int i) {
        lose(w, &w->groups[i], w->groups[i].cpu);
        w->groups[i].cpu = 0;
}

static void live_on(World *w) {
        unsigned tenant = pick(w, TENANTS);
        int i = find(w, pick(w, 4) == 0, tenant);

        w->now += 1 + pick(w, 2000000);
        switch (pick(w, 16)) {
        case 0:
                be_born(w, tenant);
                break;
        case 1:
                if (i >= 0)
                        die(w, i);
                break;
        case 2:
                if (i >= 0 && pick(w, 10) == 0)
                        reset(w, i);
                break;
        default:
                if (i >= 0)
                        use(w, i);
        }
}

static void restart(World *w) {
        w->up = false;
        w->n_crashes++;
        for (unsigned k = pick(w, 20); k > 0; k--)
                live_on(w);
        w->up = true;
        w->guard = w->saved;
        /* Who died between the two writes comes first, while the tenant still knows: nothing is counted twice. */
        for (int i = 0; i < w->n; i++) {
                const Group *g = &w->groups[i];
                const TenantBook *b = &w->guard.tenants[g->tenant].book;

                if (!w->guard.tracks[i].used || !g->settled)
                        continue;
                assert_int_equal(g->slice ? b->last_slice : b->last_fold, id_of(i));
                assert_true(fold(w, i, 2));
        }
        for (int i = 0; i < w->n; i++) {
                Group *g = &w->groups[i];
                Track *t = &w->guard.tracks[i];

                g->seen_born = g->seen_born && t->used && t->looked;
                if (g->alive) {
                        t->used = true;
                        continue;
                }
                if (!t->used) {
                        if (!g->settled)
                                lose(w, g, g->cpu);
                        g->settled = true;
                } else {
                        end_unread(w, i);
                        assert_true(fold(w, i, 2));
                }
        }
}

static void check_sums(const BookParts *p, const Book *before) {
        for (int f = 0; f < _BOOK_COUNTERS; f++) {
                assert_true(p->total.v[f] == p->live.v[f] + p->ended.v[f] + p->unseen.v[f]);
                if (p->total.v[f] < before->v[f])
                        fail_msg("%s went back: %llu, %llu", book_info((BookField)f)->name,
                                 (unsigned long long)before->v[f], (unsigned long long)p->total.v[f]);
        }
        for (int f = BOOK_PEAK_MEMORY; f < BOOK_PEAK_MEMORY_KIND; f++)
                assert_true(p->total.v[f] >= before->v[f]);
}

static void tell(World *w, unsigned tenant) {
        static const Book *live[GROUPS], *slices[GROUPS], *live_back[GROUPS];
        static bool below[GROUPS], below_back[GROUPS];
        TenantState *t = &w->guard.tenants[tenant];
        TenantBook copy = t->book;
        size_t n_live = 0, n_slices = 0;
        uint64_t unknown = w->lost[tenant];
        BookParts p, q;

        for (int i = 0; i < w->n; i++) {
                const Group *g = &w->groups[i];

                if (!w->guard.tracks[i].used || g->tenant != tenant)
                        continue;
                if (alone(g))
                        unknown += unread(g, &w->guard.tracks[i]);
                if (g->slice)
                        slices[n_slices++] = &w->guard.tracks[i].book;
                else {
                        below[n_live] = g->parent >= 0;
                        live[n_live++] = &w->guard.tracks[i].book;
                }
        }
        for (size_t i = 0; i < n_live; i++) {
                live_back[i] = live[n_live - 1 - i];
                below_back[i] = below[n_live - 1 - i];
        }
        book_tenant_parts(&copy, live_back, below_back, n_live, slices, n_slices, &t->ended_below, &q);
        book_tenant_parts(&t->book, live, below, n_live, slices, n_slices, &t->ended_below, &p);
        assert_memory_equal(&p, &q, sizeof(p));
        check_sums(&p, &w->told[tenant]);
        assert_in_range(p.total.v[BOOK_CPU_USEC], w->truth[tenant] - MIN_OF(w->truth[tenant], unknown),
                        w->truth[tenant]);
        assert_true(p.total.v[BOOK_MAJOR_FAULTS] <= w->faults[tenant]);
        assert_int_equal(p.total.v[BOOK_ENDS], w->ends[tenant]);
        assert_true(p.total.v[BOOK_ENDS_UNREAD] <= w->ends[tenant]);
        if (tenant == NO_SLICE && p.total.v[BOOK_ENDS_UNREAD] == 0 && w->n_crashes == 0)
                assert_int_equal(p.unseen.v[BOOK_CPU_USEC], 0);
        w->n_exact += unknown == 0;
        w->n_unseen += p.unseen.v[BOOK_CPU_USEC] > 0;
        w->told[tenant] = p.total;
        w->saved.tenants[tenant] = *t; /* what is told is saved */
}

static void test_world(void **state) {
        static World w;
        unsigned seed = (unsigned)getpid(), n_exact = 0, n_crashes = 0, n_unseen = 0;

        (void)state;
        print_message("seed %u\n", seed);
        for (unsigned run = 0; run < 40; run++) {
                w = (World){ .seed = seed + run, .up = true };
                for (unsigned step = 0; step < STEPS && w.n < GROUPS; step++) {
                        int i;

                        live_on(&w);
                        i = find(&w, pick(&w, 2), pick(&w, TENANTS));
                        if (i >= 0)
                                look(&w, i);
                        if (pick(&w, 200) == 0)
                                restart(&w);
                        tell(&w, pick(&w, TENANTS));
                        if (run % 4 == 0 && pick(&w, 10) == 0) {
                                /* Everything is read: nothing but the lost is unknown. */
                                for (i = 0; i < w.n; i++)
                                        if (w.groups[i].alive)
                                                look(&w, i);
                                tell(&w, pick(&w, TENANTS));
                        }
                }
                n_exact += w.n_exact;
                n_crashes += w.n_crashes;
                n_unseen += w.n_unseen;
        }
        print_message("%u crashes, %u times exact, %u times with something unseen\n", n_crashes, n_exact,
                      n_unseen);
        assert_true(n_exact > 0 && n_crashes > 0 && n_unseen > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_info),
                cmocka_unit_test(test_counters),
                cmocka_unit_test(test_resets_once_a_call),
                cmocka_unit_test(test_memory_seconds),
                cmocka_unit_test(test_memory_exact),
                cmocka_unit_test(test_peaks),
                cmocka_unit_test(test_end),
                cmocka_unit_test(test_add),
                cmocka_unit_test(test_fold),
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_parts_peaks_and_since),
                cmocka_unit_test(test_parts_rests),
                cmocka_unit_test(test_world),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
