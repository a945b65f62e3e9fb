/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file of leases, opened again and again, by its layout: header, then slots of two copies, each with its
 * checksum in the first eight bytes and its number in the next eight.
 */

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
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "fdio.h"
#include "leases.h"

#define BOOT "0f3c5f5e-6a51-4b8e-9a0e-2f1d6f7a8b9c"
#define FILE_NAME "leases"
#define HEADER 4096
#define HEADER_KNOWN 112
#define COPY 1024
#define COPY_KNOWN 992
#define FILE_BYTES (HEADER + 2 * LEASES_MAX * COPY)

#include "store-bed.h"

static Leases *open_boot(const char *boot, bool read_only) {
        Leases *l = NULL;

        assert_int_equal(leases_open(dir, boot, read_only, &l), 0);
        return l;
}

static Leases *open_leases(void) { return open_boot(BOOT, false); }

static LeasesStats stats_of(const Leases *l) {
        LeasesStats s;

        leases_get_stats(l, &s);
        return s;
}

static bool exists(const char *name) { return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

static uint8_t *file_read(size_t *ret_len) {
        char *data = NULL;

        assert_int_equal(fd_read_regular_at(dir_fd, FILE_NAME, 64 << 20, &data, ret_len, NULL, NULL), 0);
        return (uint8_t *)data;
}

static void file_write(const void *data, size_t n) {
        assert_int_equal(fd_write_file_atomic(dir_fd, FILE_NAME, data, n, 0600, false), 0);
}

static Lease quota(uint64_t id) {
        Lease x = {
                .cgroup_id = id,
                .path = "/machine.slice/docker-1.scope",
                .kind = LEASE_LIMIT,
                .knob = { .limit = LIMIT_CPU_QUOTA },
                .value = 500000 + id,
                .beneath = LIMIT_INFINITY,
                .period = 100000,
                .beneath_period = 50000,
                .until = 1000,
                .end = USEC_INFINITY,
                .event = 77 + id,
                .resource = 2,
                .by_operator = true,
                .reason = "it hurts /a and /b",
        };

        return x;
}

static Lease freeze(uint64_t id) {
        Lease x = { .cgroup_id = id, .path = "/a", .kind = LEASE_FREEZE, .value = 1, .until = 5, .end = 9 };

        return x;
}

static Lease device(uint64_t id, dev_t dev) {
        Lease x = { .cgroup_id = id,
                    .path = "/a",
                    .kind = LEASE_LIMIT,
                    .knob = { LIMIT_IO_WRITE_BANDWIDTH_MAX, dev },
                    .value = 1000000,
                    .beneath = 5,
                    .end = USEC_INFINITY };

        return x;
}

static void assert_lease(const Lease *x, const Lease *expected) {
        assert_non_null(x);
        assert_true(x->cgroup_id == expected->cgroup_id && x->kind == expected->kind);
        assert_int_equal(limit_knob_cmp(x->knob, expected->knob), 0);
        assert_true(x->value == expected->value && x->beneath == expected->beneath);
        assert_true(x->period == expected->period && x->beneath_period == expected->beneath_period);
        assert_true(x->until == expected->until && x->end == expected->end && x->event == expected->event);
        assert_true(x->resource == expected->resource && x->by_operator == expected->by_operator);
        assert_string_equal(x->path, expected->path);
        assert_string_equal(x->reason, expected->reason);
}

static const Lease *find_like(const Leases *l, const Lease *x) {
        return leases_find(l, x->cgroup_id, x->kind, x->knob);
}

static unsigned count(const Leases *l) {
        unsigned n = 0;

        for (size_t i = 0; leases_next(l, &i);)
                n++;
        assert_int_equal(n, stats_of(l).n);
        return n;
}

static void put(Leases *l, const Lease *x) { assert_int_equal(leases_put(l, x), 0); }

static void test_kept(void **state) {
        const LimitKnob quota_knob = { .limit = LIMIT_CPU_QUOTA };
        Lease all[] = { quota(1), freeze(1), device(1, 2048), device(1, 2064), quota(2), device(2, 2048) };
        _cleanup_(cleanup_leases_free) Leases *l = NULL;
        struct stat st;

        (void)state;
        memset(all[4].path, 'p', LEASE_PATH_MAX);
        all[4].path[0] = '/';
        memset(all[4].reason, 'r', LEASE_REASON_MAX);
        l = open_leases();
        assert_int_equal(fstatat(dir_fd, FILE_NAME, &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(st.st_size, FILE_BYTES);
        assert_true(st.st_blocks * 512 >= FILE_BYTES); /* its room is taken */
        assert_false(exists(FILE_NAME ".new"));
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                put(l, &all[i]);
        for (unsigned round = 0; round < 3; round++) {
                assert_int_equal(count(l), ARRAY_SIZE(all));
                for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                        assert_lease(find_like(l, &all[i]), &all[i]);
                assert_false(stats_of(l).set_aside);
                assert_int_equal(stats_of(l).n_damaged, 0);
                l = leases_free(l);
                l = open_boot(BOOT, round == 1);
        }
        /* Replaced, and found by what it is and not by what it says. */
        all[0].value = 42;
        all[0].reason[0] = '\0';
        put(l, &all[0]);
        assert_int_equal(count(l), ARRAY_SIZE(all));
        assert_lease(find_like(l, &all[0]), &all[0]);
        assert_int_equal(leases_remove(l, 1, LEASE_LIMIT, quota_knob), 0);
        assert_int_equal(leases_remove(l, 1, LEASE_LIMIT, quota_knob), 0);
        assert_int_equal(leases_remove(l, 4711, LEASE_FREEZE, quota_knob), 0);
        assert_null(leases_find(l, 1, LEASE_LIMIT, quota_knob));
        /* Which knob a freeze is asked for with does not matter. */
        assert_lease(leases_find(l, 1, LEASE_FREEZE, quota_knob), &all[1]);
        l = leases_free(l);
        l = open_leases();
        assert_int_equal(count(l), ARRAY_SIZE(all) - 1);
        /* All removed while they are walked over. */
        const Lease *x;
        for (size_t i = 0; (x = leases_next(l, &i));)
                assert_int_equal(leases_remove(l, x->cgroup_id, x->kind, x->knob), 0);
        assert_int_equal(count(l), 0);
        l = leases_free(l);
        l = open_leases();
        assert_int_equal(count(l), 0);
}

static void test_refused(void **state) {
        static const struct {
                size_t at;
                size_t size;
                uint64_t value;
                int r;
        } rows[] = {
#define ROW(field, v, r) { offsetof(Lease, field), sizeof(((Lease *)0)->field), v, r }
                ROW(cgroup_id, 0, -EINVAL),
                ROW(path[0], 0, -EINVAL),
                ROW(path[0], 'a', -EINVAL),
                ROW(kind, _LEASE_KIND_MAX, -EINVAL),
                ROW(kind, UINT32_MAX, -EINVAL),
                ROW(knob.limit, _LIMIT_MAX, -EINVAL),
                ROW(knob.limit, UINT32_MAX, -EINVAL),
                ROW(knob.limit, LIMIT_CPU_WEIGHT, -EINVAL), /* no ceiling */
                ROW(knob.limit, LIMIT_MEMORY_MIN, -EINVAL),
                ROW(knob.limit, LIMIT_MEMORY_HIGH, -EINVAL), /* that has no period */
                ROW(knob.limit, LIMIT_IO_READ_IOPS_MAX, -EINVAL), /* of which device */
                ROW(knob.dev, 1, -EINVAL),
                ROW(value, LIMIT_INFINITY, -EINVAL),
                ROW(period, 0, -EINVAL),
                ROW(beneath_period, 0, -EINVAL),
                ROW(value, 0, 0),
                ROW(beneath, 0, 0),
                ROW(event, 0, 0),
        };
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        Lease x;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                x = quota(1);
                memcpy((char *)&x + rows[i].at, &rows[i].value, rows[i].size);
                if (leases_put(l, &x) != rows[i].r)
                        fail_msg("row %zu", i);
                assert_int_equal(count(l), rows[i].r == 0);
                assert_int_equal(leases_remove(l, 1, LEASE_LIMIT, x.knob), 0);
        }
        x = quota(1);
        memset(x.path, '/', sizeof(x.path));
        assert_int_equal(leases_put(l, &x), -ENAMETOOLONG);
        x = quota(1);
        memset(x.reason, 'r', sizeof(x.reason));
        assert_int_equal(leases_put(l, &x), -EINVAL);
        assert_int_equal(count(l), 0);
}

static void test_full(void **state) {
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        Lease x;

        (void)state;
        for (uint64_t i = 1; i <= LEASES_MAX; i++) {
                x = quota(i);
                put(l, &x);
        }
        x = quota(LEASES_MAX + 1);
        assert_int_equal(leases_put(l, &x), -ENOSPC);
        x = quota(7);
        x.value = 3;
        put(l, &x); /* one that stands can still be changed */
        assert_int_equal(leases_remove(l, 9, LEASE_LIMIT, x.knob), 0);
        x = quota(LEASES_MAX + 1);
        put(l, &x);
        l = leases_free(l);
        l = open_leases();
        assert_int_equal(count(l), LEASES_MAX);
        assert_lease(find_like(l, &x), &x);
        assert_null(leases_find(l, 9, LEASE_LIMIT, x.knob));
}

static void test_extend(void **state) {
        static const struct {
                usec_t until, end, by, expected;
        } rows[] = {
                { 1000, USEC_INFINITY, 2000, 2000 }, { 1000, USEC_INFINITY, 500, 1000 }, /* never earlier */
                { 1000, 1500, 2000, 1500 }, /* never past its end */
                { 1000, 1000, 2000, 1000 },          { 2000, 1500, 0, 1500 }, /* put beyond its end */
                { 1000, 1500, USEC_INFINITY, 1500 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(cleanup_leases_free) Leases *l = open_leases();
                Lease x = quota(1), y = freeze(2);

                x.until = y.until = rows[i].until;
                x.end = y.end = rows[i].end;
                put(l, &x);
                put(l, &y);
                y.value = 1;
                for (unsigned k = 0; k < 5; k++)
                        leases_extend(l, rows[i].by);
                x.until = y.until = rows[i].expected;
                for (unsigned k = 0; k < 2; k++) {
                        assert_lease(find_like(l, &x), &x);
                        assert_lease(find_like(l, &y), &y);
                        l = leases_free(l);
                        l = open_leases();
                }
                assert_int_equal(leases_remove(l, 1, LEASE_LIMIT, x.knob), 0);
                assert_int_equal(leases_remove(l, 2, LEASE_FREEZE, x.knob), 0);
        }
}

static void seal_copy(uint8_t *copy, size_t n) {
        bytes_put_le(copy, 8, bytes_fnv1a(FNV_BASIS, copy + 8, n - 8));
}

static void seal_header(uint8_t *h) { bytes_put_le(h, 8, bytes_fnv1a(FNV_BASIS, h + 8, HEADER_KNOWN - 8)); }

/*
 * A write that stopped anywhere: the new copy's payload up to a byte, then its number and checksum up to a byte. The
 * lease is what it was before, until the last byte that matters is there.
 */
static void test_torn(void **state) {
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        _cleanup_free_ uint8_t *before = NULL, *after = NULL, *torn = NULL;
        Lease old = quota(1), new = quota(1);
        size_t n, at = 0, order[COPY];

        (void)state;
        strcpy(new.path, "/another.slice/longer/docker-2.scope");
        new.value = 1;
        new.until = 12345678;
        put(l, &old);
        before = file_read(&n);
        put(l, &new);
        after = file_read(&n);
        torn = file_read(&n);
        assert_int_equal(n, FILE_BYTES);
        l = leases_free(l);
        /* Exactly one copy changed. */
        for (size_t i = 0; i < n; i++)
                if (before[i] != after[i]) {
                        at = at ?: (i - HEADER) / COPY * COPY + HEADER;
                        assert_true(i >= at && i < at + COPY);
                }
        assert_true(at > 0);
        for (size_t i = 0; i < COPY; i++)
                order[i] = (i + 16) % COPY; /* payload, checksum, number */
        for (size_t k = 0; k <= COPY; k++) {
                bool complete = true;

                memcpy(torn + at, before + at, COPY);
                for (size_t i = 0; i < k; i++)
                        torn[at + order[i]] = after[at + order[i]];
                complete = memcmp(torn + at, after + at, COPY) == 0;
                file_write(torn, n);
                for (unsigned read_only = 0; read_only < 2; read_only++) {
                        l = open_boot(BOOT, read_only);
                        assert_int_equal(count(l), 1);
                        assert_int_equal(stats_of(l).n_damaged, 0);
                        assert_lease(find_like(l, &old), complete ? &new : &old);
                        l = leases_free(l);
                }
                if (k % 97 != 0)
                        continue;
                /* And it goes on from there. */
                l = open_leases();
                put(l, &new);
                l = leases_free(l);
                l = open_leases();
                assert_lease(find_like(l, &new), &new);
                l = leases_free(l);
        }
}

/* Each byte of either copy, or of both, flipped. */
static void test_flipped(void **state) {
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        _cleanup_free_ uint8_t *file = NULL;
        Lease old = quota(1), new = quota(1), other = quota(2);
        size_t n, newer;

        (void)state;
        new.value = 1;
        put(l, &old);
        put(l, &new);
        put(l, &other);
        l = leases_free(l);
        file = file_read(&n);
        newer = bytes_get_le(file + HEADER + 8, 8) < bytes_get_le(file + HEADER + COPY + 8, 8);
        for (size_t i = 0; i < 3 * COPY; i++) {
                size_t a = i % COPY, which = i / COPY; /* 2: both */
                bool new_bad = which == newer || which == 2, old_bad = which == !newer || which == 2;

                for (size_t c = 0; c < 2; c++)
                        if (which == c || which == 2)
                                file[HEADER + c * COPY + a] ^= 0x10;
                file_write(file, n);
                l = open_boot(BOOT, i % 2);
                assert_lease(find_like(l, &other), &other);
                assert_int_equal(stats_of(l).n_damaged, new_bad && old_bad);
                if (new_bad && old_bad)
                        assert_null(find_like(l, &new));
                else
                        assert_lease(find_like(l, &new), new_bad ? &old : &new);
                l = leases_free(l);
                for (size_t c = 0; c < 2; c++)
                        if (which == c || which == 2)
                                file[HEADER + c * COPY + a] ^= 0x10;
        }
        /* A damaged slot is the last one that is taken. */
        memset(file + HEADER, 0xee, 2 * COPY);
        file_write(file, n);
        l = open_leases();
        assert_int_equal(stats_of(l).n_damaged, 1);
        for (uint64_t id = 100; id < 100 + LEASES_MAX - 1; id++) {
                Lease x = quota(id);
                uint8_t byte;
                _cleanup_fd_ int fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC);

                put(l, &x);
                assert_int_equal(pread(fd, &byte, 1, HEADER + 100), 1);
                assert_int_equal(pread(fd, &byte, 1, HEADER + COPY + 100), 1);
                assert_int_equal(byte == 0xee, id < 100 + LEASES_MAX - 2);
        }
        assert_int_equal(leases_put(l, &old), -ENOSPC);
        l = leases_free(l);
        l = open_leases();
        assert_int_equal(count(l), LEASES_MAX);
        assert_int_equal(stats_of(l).n_damaged, 0);
}

/* Right checksums, wrong content: nobody gets such a lease. */
static void test_nonsense(void **state) {
        static const struct {
                size_t at, n;
                uint64_t value;
        } rows[] = {
                { 16, 1, 3 }, /* kind */
                { 16, 1, 255 },        { 24, 8, 0 }, /* cgroup id */
                { 32, 8, 1 }, /* a device of a quota */
                { 40, 8, UINT64_MAX }, /* value */
                { 56, 8, 0 }, /* period */
                { 96, 1, 'X' }, /* key */
                { 96 + 8, 1, 'x' }, /* a longer one */
                { 128 + 96, 1, 0 }, /* path */
                { 128 + 96, 1, 'x' },  { 8, 8, UINT64_MAX }, /* number */
                { 8, 8, 0 },
        };
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        _cleanup_free_ uint8_t *good = NULL, *bad = NULL;
        uint8_t *copy;
        Lease x = quota(1);
        size_t n;

        (void)state;
        put(l, &x);
        l = leases_free(l);
        good = file_read(&n);
        bad = file_read(&n);
        copy = bad + HEADER + COPY; /* the first is never written */
        assert_int_equal(bytes_get_le(copy + 8, 8), 1);
        assert_memory_equal(copy + 96, "CPUQuota", 9);
        for (size_t i = 0; i < ARRAY_SIZE(rows) + 2; i++) {
                memcpy(bad, good, n);
                if (i < ARRAY_SIZE(rows))
                        bytes_put_le(copy + rows[i].at, rows[i].n, rows[i].value);
                else if (i == ARRAY_SIZE(rows)) /* texts without an end */
                        memset(copy + 128, 'r', 96);
                else
                        memset(copy + 128 + 96, '/', LEASE_PATH_MAX + 1);
                seal_copy(copy, COPY);
                file_write(bad, n);
                for (unsigned read_only = 0; read_only < 2; read_only++) {
                        l = open_boot(BOOT, read_only);
                        if (count(l) != 0)
                                fail_msg("row %zu", i);
                        l = leases_free(l);
                }
        }
        /* The same one twice. */
        memcpy(bad, good, n);
        memcpy(bad + HEADER + 2 * COPY, bad + HEADER, 2 * COPY);
        file_write(bad, n);
        l = open_leases();
        assert_int_equal(count(l), 1);
        assert_int_equal(stats_of(l).n_damaged, 1);
}

static void test_header(void **state) {
        static const struct {
                size_t at, n;
                uint64_t value;
                bool sealed, kept;
        } rows[] = {
                { 0, 1, 0, false, false }, /* checksum */
                { 8, 1, 'B', true, false }, /* magic */
                { 24, 4, LEASES_VERSION + 1, false, false },
                { 24, 4, LEASES_VERSION + 1, true, true }, /* newer, but we can read it */
                { 28, 4, LEASES_VERSION + 1, true, false }, /* we cannot */
                { 32, 4, HEADER_KNOWN - 1, true, false }, /* header, copy, slots */
                { 32, 4, HEADER + 8, true, false }, /* longer than the file is */
                { 32, 4, UINT32_MAX, true, false },
                { 36, 4, COPY_KNOWN - 1, true, false },
                { 36, 4, 0, true, false },
                { 36, 4, UINT32_MAX, true, false },
                { 40, 4, 0, true, false },
                { 40, 4, LEASES_MAX + 1, true, false },
                { 40, 4, LEASES_MAX - 1, true, true },
                { 48, 1, 'x', true, false }, /* boot */
        };
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        _cleanup_free_ uint8_t *good = NULL;
        Lease x = quota(1);
        size_t n;

        (void)state;
        put(l, &x);
        l = leases_free(l);
        good = file_read(&n);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ uint8_t *bad = file_read(&n), *now = NULL;

                memcpy(bad, good, n);
                bytes_put_le(bad + rows[i].at, rows[i].n, rows[i].value);
                if (rows[i].sealed)
                        seal_header(bad);
                file_write(bad, n);
                l = open_boot(BOOT, true);
                if (count(l) != rows[i].kept)
                        fail_msg("row %zu", i);
                l = leases_free(l);
                now = file_read(&n);
                assert_memory_equal(now, bad, n);
                assert_false(exists(FILE_NAME ".old"));
                l = open_leases();
                assert_int_equal(count(l), rows[i].kept);
                assert_int_equal(stats_of(l).set_aside, !rows[i].kept);
                assert_int_equal(exists(FILE_NAME ".old"), !rows[i].kept);
                put(l, &x);
                l = leases_free(l);
                (void)unlinkat(dir_fd, FILE_NAME ".old", 0);
                file_write(good, n);
        }
        /* Cut anywhere in the header, and somewhere behind it. */
        for (size_t k = 0; k < n; k += k < 128 ? 1 : 9973) {
                file_write(good, k);
                l = open_boot(BOOT, true);
                assert_int_equal(count(l), 0);
                l = leases_free(l);
                l = open_leases();
                assert_true(stats_of(l).set_aside);
                put(l, &x);
                l = leases_free(l);
        }
        /* Longer is fine. */
        {
                _cleanup_free_ uint8_t *more = calloc(1, n + 4096);

                assert_non_null(more);
                memcpy(more, good, n);
                file_write(more, n + 4096);
                l = open_leases();
                assert_int_equal(count(l), 1);
                assert_false(stats_of(l).set_aside);
        }
}

/* What the next version may write: longer header and copies. We read it, write it, and keep what it added. */
static void test_next_version(void **state) {
        enum { H = 8192, C = 2048, N = 200 };
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        _cleanup_free_ uint8_t *ours = NULL, *next = calloc(1, H + 2 * N * C), *now = NULL;
        Lease x = quota(1), y = quota(2);
        uint8_t *copy;
        size_t n;

        (void)state;
        assert_non_null(next);
        put(l, &x);
        l = leases_free(l);
        ours = file_read(&n);
        memcpy(next, ours, HEADER_KNOWN);
        memset(next + HEADER_KNOWN, 0xaa, H - HEADER_KNOWN);
        bytes_put_le(next + 24, 4, LEASES_VERSION + 1);
        bytes_put_le(next + 32, 4, H);
        bytes_put_le(next + 36, 4, C);
        bytes_put_le(next + 40, 4, N);
        seal_header(next);
        copy = next + H + C;
        memcpy(copy, ours + HEADER + COPY, COPY_KNOWN);
        memset(copy + COPY_KNOWN, 0xbb, C - COPY_KNOWN);
        seal_copy(copy, C);
        file_write(next, H + 2 * N * C);
        l = open_boot(BOOT, true);
        assert_lease(find_like(l, &x), &x);
        l = leases_free(l);
        l = open_leases();
        assert_false(stats_of(l).set_aside);
        assert_lease(find_like(l, &x), &x);
        put(l, &y);
        leases_extend(l, 99999);
        x.until = y.until = 99999;
        l = leases_free(l);
        l = open_leases();
        assert_lease(find_like(l, &x), &x);
        assert_lease(find_like(l, &y), &y);
        now = file_read(&n);
        assert_int_equal(n, H + 2 * N * C);
        assert_memory_equal(now, next, H);
        /* Extended: the other copy, with what was behind our part. Written new: nothing behind. */
        assert_int_equal(bytes_get_le(now + H + 8, 8), 2);
        for (size_t i = COPY_KNOWN; i < C; i++) {
                assert_int_equal(now[H + i], 0xbb);
                assert_int_equal(now[H + 2 * C + i] | now[H + 3 * C + i], 0);
        }
        for (uint64_t id = 3; id <= N; id++) {
                y = quota(id);
                put(l, &y);
        }
        y = quota(N + 1);
        assert_int_equal(leases_put(l, &y), -ENOSPC);
}

static void test_boot(void **state) {
        _cleanup_(cleanup_leases_free) Leases *l = open_leases();
        char boot[65];
        Lease x = quota(1);

        (void)state;
        put(l, &x);
        l = leases_free(l);
        l = open_boot("another", true);
        assert_int_equal(count(l), 0);
        assert_false(stats_of(l).set_aside || exists(FILE_NAME ".old"));
        l = leases_free(l);
        l = open_boot("another", false);
        assert_int_equal(count(l), 0);
        assert_true(stats_of(l).set_aside && exists(FILE_NAME ".old"));
        l = leases_free(l);
        memset(boot, 'b', 64);
        boot[64] = '\0';
        assert_int_equal(leases_open(dir, boot, false, &l), -EINVAL);
        assert_int_equal(leases_open(dir, "", true, &l), -EINVAL);
        assert_int_equal(leases_open("/nonexistent", BOOT, false, &l), -ENOENT);
        assert_null(l);
}

static void test_read_only(void **state) {
        _cleanup_(cleanup_leases_free) Leases *l = NULL, *writer = NULL;
        _cleanup_free_ uint8_t *before = NULL, *after = NULL;
        Lease x = quota(1), y = quota(2);
        size_t n, m;

        (void)state;
        l = open_boot(BOOT, true);
        assert_int_equal(count(l), 0);
        assert_false(exists(FILE_NAME) || exists(FILE_NAME ".new"));
        assert_int_equal(leases_put(l, &x), -EROFS);
        l = leases_free(l);
        writer = open_leases();
        put(writer, &x);
        before = file_read(&n);
        l = open_boot(BOOT, true);
        assert_int_equal(leases_put(l, &y), -EROFS);
        assert_int_equal(leases_remove(l, 1, LEASE_LIMIT, x.knob), -EROFS);
        leases_extend(l, USEC_INFINITY);
        assert_lease(find_like(l, &x), &x);
        assert_int_equal(count(l), 1);
        after = file_read(&m);
        assert_int_equal(m, n);
        assert_memory_equal(before, after, n);
        /* It is a snapshot: what becomes of the file does not matter. */
        file_write("", 0);
        assert_lease(find_like(l, &x), &x);
}

/* Directories, links, pipes: set aside, never followed. */
static void test_strange_files(void **state) {
        (void)state;
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_(cleanup_leases_free) Leases *l = NULL;
                struct stat st;

                switch (i) {
                case 0:
                        assert_int_equal(mkdirat(dir_fd, FILE_NAME, 0700), 0);
                        break;
                case 1:
                        assert_int_equal(symlinkat("/etc/hostname", dir_fd, FILE_NAME), 0);
                        break;
                case 2:
                        assert_int_equal(mkfifoat(dir_fd, FILE_NAME, 0600), 0);
                        break;
                default: /* a left-over of one who died while he made it */
                        assert_int_equal(symlinkat(FILE_NAME, dir_fd, FILE_NAME ".new"), 0);
                }
                l = open_boot(BOOT, true);
                assert_int_equal(count(l), 0);
                l = leases_free(l);
                l = open_leases();
                assert_int_equal(stats_of(l).set_aside, i < 3);
                assert_int_equal(fstatat(dir_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_true(S_ISREG(st.st_mode));
                assert_int_equal(exists(FILE_NAME ".old"), i < 3);
                (void)clear(NULL);
        }
}

/* No room: said at once, nothing left behind. */
static void test_no_room(void **state) {
        Leases *l = NULL;
        pid_t pid;
        int status;

        (void)state;
        pid = fork();
        if (pid == 0) {
                const struct rlimit small = { 65536, 65536 };

                (void)signal(SIGXFSZ, SIG_IGN);
                _exit(setrlimit(RLIMIT_FSIZE, &small) == 0 && leases_open(dir, BOOT, false, &l) == -EFBIG
                              ? 0
                              : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_false(exists(FILE_NAME) || exists(FILE_NAME ".new"));
}

/* In a child: its mount namespace goes with it. 77: may not mount here. */
static int on_small_tmpfs(void) {
        Leases *l = NULL;
        Lease x = quota(1);
        uint8_t fill[4096] = { 1 };
        int fd, r;

        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", dir, "tmpfs", 0, "size=256k") < 0)
                return 77;
        r = leases_open(dir, BOOT, false, &l);
        if (r != -ENOSPC || access(dir, F_OK) < 0)
                return 1;
        if (umount(dir) < 0 || mount("tmpfs", dir, "tmpfs", 0, "size=600k") < 0)
                return 2;
        if (leases_open(dir, BOOT, false, &l) < 0 || chdir(dir) < 0)
                return 3;
        fd = open("filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (write(fd, fill, sizeof(fill)) > 0)
                ;
        if (errno != ENOSPC)
                return 4;
        /* The room is there already. */
        for (uint64_t i = 1; i <= LEASES_MAX; i++) {
                x = quota(i);
                if (leases_put(l, &x) < 0)
                        return 5;
        }
        leases_extend(l, 99999);
        l = leases_free(l);
        if (leases_open(dir, BOOT, false, &l) < 0 || stats_of(l).n != LEASES_MAX || stats_of(l).set_aside)
                return 6;
        l = leases_free(l);
        /* A file with holes, which is none of ours: it must not be mapped. */
        fd = open(FILE_NAME, O_RDWR | O_CLOEXEC);
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HEADER, FILE_BYTES - HEADER) < 0)
                return 7;
        fd = open("filler2", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (write(fd, fill, sizeof(fill)) > 0)
                ;
        return leases_open(dir, BOOT, false, &l) == -ENOSPC ? 0 : 8;
}

static void test_full_tmpfs(void **state) {
        pid_t pid;
        int status;

        (void)state;
        pid = fork();
        if (pid == 0)
                _exit(on_small_tmpfs());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* A writer killed at any moment: who looks afterwards, or meanwhile, sees one of the states that it made, never a mixture. */
static void test_killed(void **state) {
        (void)state;
        for (unsigned round = 0; round < 20; round++) {
                _cleanup_(cleanup_leases_free) Leases *l = open_leases();
                Lease x = quota(1);
                pid_t pid;

                x.value = x.beneath = x.event = 0;
                put(l, &x);
                pid = fork();
                if (pid == 0)
                        for (uint64_t i = 1;; i++) {
                                x.value = x.beneath = x.event = i;
                                memset(x.reason, 'a' + (int)(i % 26), LEASE_REASON_MAX);
                                (void)leases_put(l, &x);
                        }
                for (unsigned i = 0; i < 40; i++) {
                        _cleanup_(cleanup_leases_free) Leases *r = NULL;
                        const Lease *y;

                        if (i == 39) {
                                assert_int_equal(kill(pid, SIGKILL), 0);
                                assert_int_equal(waitpid(pid, NULL, 0), pid);
                        }
                        r = open_boot(BOOT, true);
                        y = find_like(r, &x);
                        /* While it is written both copies can change under the reader: then it is none at all. */
                        if (!y) {
                                assert_int_not_equal(i, 39);
                                assert_int_equal(stats_of(r).n_damaged, 1);
                                continue;
                        }
                        assert_true(y->value == y->beneath && y->value == y->event);
                        for (size_t k = 0; y->value > 0 && k < LEASE_REASON_MAX; k++)
                                assert_int_equal(y->reason[k], 'a' + y->value % 26);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_kept, clear),
                cmocka_unit_test_teardown(test_refused, clear),
                cmocka_unit_test_teardown(test_full, clear),
                cmocka_unit_test_teardown(test_extend, clear),
                cmocka_unit_test_teardown(test_torn, clear),
                cmocka_unit_test_teardown(test_flipped, clear),
                cmocka_unit_test_teardown(test_nonsense, clear),
                cmocka_unit_test_teardown(test_header, clear),
                cmocka_unit_test_teardown(test_next_version, clear),
                cmocka_unit_test_teardown(test_boot, clear),
                cmocka_unit_test_teardown(test_read_only, clear),
                cmocka_unit_test_teardown(test_strange_files, clear),
                cmocka_unit_test_teardown(test_no_room, clear),
                cmocka_unit_test_teardown(test_full_tmpfs, clear),
                cmocka_unit_test_teardown(test_killed, clear),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
