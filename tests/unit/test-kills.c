/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file of kills, opened again and again, by its layout (test-leases.c tries the file of slots itself): what was added is
 * there, in its order of time; what cannot be read is told, and written off once; a full one has room only for what is over.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"
#include "fdio.h"
#include "kills.h"

#define BOOT "0f3c5f5e-6a51-4b8e-9a0e-2f1d6f7a8b9c"
#define FILE_NAME "kills"
#define HEADER 4096
#define HEADER_KNOWN 112
#define COPY 128
#define FILE_BYTES (HEADER + 2 * KILLS_MAX * COPY)
#define SEC USEC_PER_SEC

#include "store-bed.h"

static Kills *open_boot(const char *boot) {
        Kills *k = NULL;

        assert_int_equal(kills_open(dir, boot, &k), 0);
        return k;
}

static void again(Kills **k) {
        *k = kills_free(*k);
        *k = open_boot(BOOT);
}

static void assert_stats(const Kills *k, unsigned n, unsigned n_damaged, bool set_aside) {
        KillsStats s;
        unsigned i = 0;

        kills_get_stats(k, &s);
        assert_int_equal(s.n, n);
        assert_int_equal(s.n_damaged, n_damaged);
        assert_int_equal(s.set_aside, set_aside);
        for (const Kill *x = NULL; (x = kills_next(k, x));)
                i++;
        assert_int_equal(i, n);
}

static uint8_t *file_read(void) {
        char *data = NULL;
        size_t n;

        assert_int_equal(fd_read_regular_at(dir_fd, FILE_NAME, 64 << 20, &data, &n, NULL, NULL), 0);
        assert_int_equal(n, FILE_BYTES);
        return (uint8_t *)data;
}

static void file_write(const void *data, size_t n) {
        assert_int_equal(fd_write_file_atomic(dir_fd, FILE_NAME, data, n, 0600, false), 0);
}

static void seal(uint8_t *at, size_t n) { bytes_put_le(at, 8, bytes_fnv1a(FNV_BASIS, at + 8, n - 8)); }

static Kill kill_at(uint64_t id, usec_t at) {
        Kill x = { .at = at, .until = at + 3600 * SEC, .cgroup_id = id };

        (void)snprintf(x.tenant, sizeof(x.tenant), "tenant-%u", (unsigned)(id % 3));
        return x;
}

static void add(Kills *k, uint64_t id, usec_t at) {
        const Kill x = kill_at(id, at);

        assert_int_equal(kills_add(k, &x), 0);
}

static void assert_kills(const Kills *k, const Kill *expected, size_t n) {
        const Kill *x = NULL;

        for (size_t i = 0; i < n; i++) {
                x = kills_next(k, x);
                assert_non_null(x);
                assert_true(x->at == expected[i].at && x->until == expected[i].until);
                assert_true(x->cgroup_id == expected[i].cgroup_id);
                assert_string_equal(x->tenant, expected[i].tenant);
        }
        assert_null(kills_next(k, x));
}

static void test_kept(void **state) {
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        Kill all[] = { kill_at(5, SEC), kill_at(7, 2 * SEC), kill_at(6, 3 * SEC), kill_at(5, 3 * SEC) };
        struct stat st;

        (void)state;
        memset(all[1].tenant, 't', KILL_TENANT_MAX);
        assert_int_equal(fstatat(dir_fd, FILE_NAME, &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(st.st_size, FILE_BYTES);
        assert_true(st.st_blocks * 512 >= FILE_BYTES); /* its room is taken */
        /* In their order of time, whatever their slots. */
        assert_int_equal(kills_add(k, &all[1]), 0);
        assert_int_equal(kills_add(k, &all[0]), 0);
        assert_int_equal(kills_add(k, &all[2]), 0);
        assert_int_equal(kills_add(k, &all[3]), 0);
        for (unsigned i = 0; i < 3; i++) {
                assert_stats(k, 4, 0, false);
                assert_kills(k, all, ARRAY_SIZE(all));
                again(&k);
        }
        /* Not done after all: that one only. */
        kills_remove(k, 5, 3 * SEC);
        kills_remove(k, 5, 4 * SEC);
        assert_kills(k, all, 3);
        again(&k);
        assert_kills(k, all, 3);
        assert_stats(k, 3, 0, false);
}

static void test_refused(void **state) {
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        Kill rows[] = { kill_at(1, 0), kill_at(0, SEC), kill_at(1, SEC), kill_at(1, SEC), kill_at(1, SEC) };

        (void)state;
        rows[2].until = SEC - 1;
        rows[3].tenant[0] = '\0';
        memset(rows[4].tenant, 't', sizeof(rows[4].tenant));
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (kills_add(k, &rows[i]) != -EINVAL)
                        fail_msg("row %zu", i);
        assert_stats(k, 0, 0, false);
}

/* Only what no budget counts makes room, the oldest first. */
static void test_full(void **state) {
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        const usec_t first = 1000 * SEC;
        const Kill late = kill_at(9999, first + 3600 * SEC - 1), later = kill_at(9999, first + 3600 * SEC);

        (void)state;
        for (unsigned i = 0; i < KILLS_MAX; i++) {
                assert_true(kills_has_room(k, first));
                add(k, 1 + i, first + (KILLS_MAX - 1 - i) * SEC);
        }
        for (unsigned i = 0; i < 2; i++) {
                assert_stats(k, KILLS_MAX, 0, false);
                assert_false(kills_has_room(k, late.at));
                assert_int_equal(kills_add(k, &late), -ENOSPC);
                assert_true(kills_has_room(k, later.at));
                again(&k);
        }
        assert_int_equal(kills_add(k, &later), 0);
        assert_false(kills_has_room(k, later.at));
        again(&k);
        assert_stats(k, KILLS_MAX, 0, false);
        assert_int_equal(kills_next(k, NULL)->at, first + SEC);
}

/* Each byte of a record, in a file where the older copy is none. */
static void test_flipped(void **state) {
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        _cleanup_free_ uint8_t *good = NULL;

        (void)state;
        for (unsigned i = 0; i < 3; i++)
                add(k, 1 + i, (1 + i) * SEC);
        good = file_read();
        for (size_t at = 0; at < COPY; at++) {
                uint8_t *copy = good + HEADER + (2 * 1 + 1) * COPY; /* the first write is the second copy */
                Kill rest[] = { kill_at(1, SEC),
                                kill_at(3, 3 * SEC),
                                { .at = 9 * SEC, .until = USEC_INFINITY } };

                copy[at] ^= 0x10;
                /* The empty copy in front of it is a good one: only where both are bad nobody knows. */
                good[HEADER + 2 * COPY + SEC % COPY] ^= 1;
                file_write(good, FILE_BYTES);
                good[HEADER + 2 * COPY + SEC % COPY] ^= 1;
                copy[at] ^= 0x10;
                again(&k);
                assert_stats(k, 2, 1, false);
                kills_write_off(k, 9 * SEC);
                assert_stats(k, 3, 0, false);
                assert_kills(k, rest, 3);
                /* Once: the next guard finds it counted. */
                again(&k);
                assert_stats(k, 3, 0, false);
                assert_kills(k, rest, 3);
        }
}

/* Whatever the checksum says. */
static void test_nonsense(void **state) {
        static const struct {
                size_t at;
                uint8_t byte;
                const char *what;
        } rows[] = {
                { 16, 3, "a kind that nobody knows" },
                { 16, 2, "an unknown one of a cgroup" },
                { 27, 1, "over before it was done" },
                { 48, 0, "no tenant" },
        };
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        _cleanup_free_ uint8_t *file = NULL;
        uint8_t *copy, was;

        (void)state;
        add(k, 1, SEC);
        file = file_read();
        copy = file + HEADER + COPY;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                was = copy[rows[i].at];
                if (rows[i].at == 27)
                        copy[31] = 1; /* `at`: far later than `until` */
                else
                        copy[rows[i].at] = rows[i].byte;
                seal(copy, COPY);
                file_write(file, FILE_BYTES);
                copy[31] = 0;
                copy[rows[i].at] = was;
                print_message("%s\n", rows[i].what);
                again(&k);
                assert_stats(k, 0, 1, false);
        }
}

/* All of it is damaged: it counts as unknown, and there is room. */
static void test_all_damaged(void **state) {
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        _cleanup_free_ uint8_t *file = file_read();

        (void)state;
        memset(file + HEADER, 0xff, FILE_BYTES - HEADER);
        file_write(file, FILE_BYTES);
        again(&k);
        assert_stats(k, 0, KILLS_MAX, false);
        assert_false(kills_has_room(k, SEC));
        kills_write_off(k, SEC);
        assert_stats(k, 1, 0, false);
        assert_true(kills_has_room(k, SEC));
        add(k, 1, 2 * SEC);
        again(&k);
        assert_stats(k, 2, 0, false);
        assert_int_equal(kills_next(k, NULL)->cgroup_id, 0);
}

/* Of another boot: no news. Unreadable, or by its own words not for us: nobody knows how many there were. */
static void test_header(void **state) {
        static const struct {
                size_t at, n;
                uint64_t value;
                bool sealed, news;
                const char *what;
        } rows[] = {
                { 48, 1, 'X', true, false, "another boot" },
                { 48, 1, 'X', false, true, "a boot id that fell over" },
                { 8, 1, 'X', true, true, "another's file" },
                { 28, 4, KILLS_VERSION + 1, true, true, "no reader that is as old as we are" },
                { 24, 4, KILLS_VERSION + 1, true, false, "a later version that we may read" },
                { 36, 4, 64, true, true, "records that are too short" },
                { 40, 4, KILLS_MAX + 1, true, true, "more than there may be" },
        };
        _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
        _cleanup_free_ uint8_t *good = NULL;

        (void)state;
        add(k, 1, SEC);
        good = file_read();
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint8_t header[HEADER_KNOWN];
                bool kept = rows[i].at == 24;

                memcpy(header, good, sizeof(header));
                bytes_put_le(good + rows[i].at, rows[i].n, rows[i].value);
                if (rows[i].sealed)
                        seal(good, HEADER_KNOWN);
                file_write(good, FILE_BYTES);
                memcpy(good, header, sizeof(header));
                print_message("%s\n", rows[i].what);
                again(&k);
                assert_stats(k, kept, 0, rows[i].news);
                assert_int_equal(faccessat(dir_fd, FILE_NAME ".old", F_OK, 0) == 0, !kept);
                (void)unlinkat(dir_fd, FILE_NAME ".old", 0);
                if (!rows[i].news)
                        continue;
                kills_write_off(k, 5 * SEC);
                again(&k);
                assert_stats(k, 1, 0, false);
                assert_int_equal(kills_next(k, NULL)->cgroup_id, 0);
        }
        file_write("", 0);
        again(&k);
        assert_stats(k, 0, 0, true);
}

static void test_no_dir(void **state) {
        Kills *k = NULL;

        (void)state;
        assert_int_equal(kills_open("/nonexistent", BOOT, &k), -ENOENT);
        assert_int_equal(kills_open(dir, "", &k), -EINVAL);
        assert_null(k);
        assert_null(kills_free(NULL));
}

/* A writer that is killed at any moment leaves what it had added, or all but the last. */
static void test_killed(void **state) {
        (void)state;
        for (unsigned round = 0; round < 20; round++) {
                _cleanup_(cleanup_kills_free) Kills *k = open_boot(BOOT);
                const Kill *x = NULL;
                uint64_t n = 0, told = 0, one;
                int pipes[2], status;
                pid_t pid;

                assert_int_equal(pipe(pipes), 0);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        for (uint64_t i = 1; i <= KILLS_MAX; i++) {
                                const Kill kill = kill_at(i, i);

                                if (kills_add(k, &kill) < 0 || write(pipes[1], &i, sizeof(i)) != sizeof(i))
                                        _exit(1);
                        }
                        _exit(0);
                }
                (void)close(pipes[1]);
                (void)usleep(round * 50);
                (void)kill(pid, SIGKILL);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                while (read(pipes[0], &one, sizeof(one)) == sizeof(one))
                        told = one;
                (void)close(pipes[0]);
                again(&k);
                while ((x = kills_next(k, x)))
                        assert_int_equal(x->cgroup_id, ++n);
                assert_in_range(n, told, told + 1);
                assert_stats(k, (unsigned)n, 0, false);
                (void)clear(NULL);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_kept, clear),
                cmocka_unit_test_teardown(test_refused, clear),
                cmocka_unit_test_teardown(test_full, clear),
                cmocka_unit_test_teardown(test_flipped, clear),
                cmocka_unit_test_teardown(test_nonsense, clear),
                cmocka_unit_test_teardown(test_all_damaged, clear),
                cmocka_unit_test_teardown(test_header, clear),
                cmocka_unit_test_teardown(test_no_dir, clear),
                cmocka_unit_test_teardown(test_killed, clear),
        };

        return cmocka_run_group_tests_name("kills", tests, setup_all, teardown_all);
}
