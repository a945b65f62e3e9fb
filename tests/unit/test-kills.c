/* SPDX-License-Identifier: Apache-2.0 */

/* The file of kills over restarts: what was charged is known again, of this boot only; what is damaged counts all the same. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "fdio.h"
#include "kills.h"

#define BOOT "0f3c5f5e-6a51-4b8e-9a0e-2f1d6f7a8b9c"
#define SEC USEC_PER_SEC
#define NOW (5000 * SEC)
#define HEADER 112
#define RECORD 88

static char dir[] = "/tmp/test-kills-XXXXXX";
static int dir_fd = -1;

static int setup_all(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return dir_fd < 0 ? -1 : 0;
}

static int clear(void **state) {
        (void)state;
        (void)unlinkat(dir_fd, "kills", 0);
        return 0;
}

static int teardown_all(void **state) {
        (void)clear(state);
        dir_fd = fd_close(dir_fd);
        return rmdir(dir);
}

static Kills *open_kills(const char *boot, unsigned damaged) {
        Kills *k = NULL;
        unsigned n = 0;

        assert_int_equal(kills_open(dir, boot, NOW, &k, &n), 0);
        assert_int_equal(n, damaged);
        return k;
}

static void assert_kill(const Kills *k, size_t i, const char *tenant, usec_t at) {
        Kill kill;

        assert_true(kills_get(k, i, &kill));
        assert_string_equal(kill.tenant, tenant);
        assert_int_equal(kill.at, at);
}

static void scribble(off_t at, uint8_t byte) {
        _cleanup_fd_ int fd = openat(dir_fd, "kills", O_RDWR | O_CLOEXEC);
        uint8_t was;

        assert_int_equal(pread(fd, &was, 1, at), 1);
        was ^= byte;
        assert_int_equal(pwrite(fd, &was, 1, at), 1);
}

static void test_kept(void **state) {
        Kills *k = open_kills(BOOT, 0);
        struct stat st;
        Kill kill;

        (void)state;
        assert_false(kills_get(k, 0, &kill));
        assert_int_equal(kills_add(k, "alpha", 10 * SEC), 0);
        assert_int_equal(kills_add(k, "beta", 20 * SEC), 0);
        kills_free(k);
        k = open_kills(BOOT, 0);
        assert_kill(k, 0, "alpha", 10 * SEC);
        assert_kill(k, 1, "beta", 20 * SEC);
        assert_false(kills_get(k, 2, &kill));
        assert_int_equal(kills_add(k, "alpha", 30 * SEC), 0);
        kills_free(k);
        k = open_kills(BOOT, 0);
        assert_kill(k, 2, "alpha", 30 * SEC);
        kills_free(k);
        assert_int_equal(fstatat(dir_fd, "kills", &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(st.st_size, HEADER + KILLS_MAX * RECORD);
        k = open_kills("another-boot", 0);
        assert_false(kills_get(k, 0, &kill));
        kills_free(k);
}

/* More than there is room for: the oldest go, and the file does not grow. */
static void test_ring(void **state) {
        Kills *k = NULL;
        Kill kill;

        (void)state;
        for (unsigned i = 1; i <= 3 * KILLS_MAX / 2; i++) {
                if (i % 100 == 1)
                        k = open_kills(BOOT, 0);
                assert_int_equal(kills_add(k, "alpha", i * SEC), 0);
                if (i % 100 == 0 || i == 3 * KILLS_MAX / 2)
                        k = kills_free(k);
        }
        k = open_kills(BOOT, 0);
        for (unsigned i = 0; i < KILLS_MAX; i++)
                assert_kill(k, i, "alpha", (KILLS_MAX / 2 + i + 1) * SEC);
        assert_false(kills_get(k, KILLS_MAX, &kill));
        kills_free(k);
}

static void test_damage(void **state) {
        Kills *k = open_kills(BOOT, 0);
        Kill kill;

        (void)state;
        for (unsigned i = 1; i <= 3; i++)
                assert_int_equal(kills_add(k, "alpha", i * SEC), 0);
        assert_int_equal(kills_add(k, "alpha", NOW + 1), 0); /* of a time that has not been yet */
        kills_free(k);
        scribble(HEADER + RECORD + 30, 1); /* torn in the middle of the second */
        k = open_kills(BOOT, 2);
        assert_kill(k, 0, "alpha", SEC);
        assert_kill(k, 1, "alpha", 3 * SEC);
        assert_false(kills_get(k, 2, &kill));
        /* What is damaged is written over first. */
        assert_int_equal(kills_add(k, "beta", 9 * SEC), 0);
        kills_free(k);
        k = open_kills(BOOT, 1);
        assert_kill(k, 2, "beta", 9 * SEC);
        kills_free(k);
        scribble(20, 1); /* the header */
        k = open_kills(BOOT, KILLS_MAX);
        assert_false(kills_get(k, 0, &kill));
        kills_free(k);
        kills_free(open_kills(BOOT, 0)); /* begun anew */
        assert_int_equal(unlinkat(dir_fd, "kills", 0), 0);
        assert_int_equal(fd_write_file_atomic(dir_fd, "kills", "x", 1, 0600, false), 0);
        kills_free(open_kills(BOOT, KILLS_MAX));
}

/* A later version has longer records and a longer header. */
static void test_later_version(void **state) {
        Kills *k = open_kills(BOOT, 0);
        uint8_t data[HEADER + 16 + 4 * (RECORD + 8)] = {}, head[HEADER];
        _cleanup_fd_ int fd = -1;

        (void)state;
        kills_free(k);
        fd = openat(dir_fd, "kills", O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
        bytes_put_le(head + 24, 4, 2);
        bytes_put_le(head + 32, 4, HEADER + 16);
        bytes_put_le(head + 36, 4, RECORD + 8);
        bytes_put_le(head + 40, 4, 4);
        bytes_put_le(head, 8, bytes_fnv1a(FNV_BASIS, head + 8, sizeof(head) - 8));
        memcpy(data, head, sizeof(head));
        assert_int_equal(fd_write_file_atomic(dir_fd, "kills", data, sizeof(data), 0600, false), 0);
        k = open_kills(BOOT, 0);
        for (unsigned i = 1; i <= 5; i++)
                assert_int_equal(kills_add(k, "alpha", i * SEC), 0);
        kills_free(k);
        k = open_kills(BOOT, 0);
        for (unsigned i = 0; i < 4; i++)
                assert_kill(k, i, "alpha", (i + 2) * SEC);
        kills_free(k);
}

static void test_cannot(void **state) {
        Kills *k = NULL;
        unsigned n;

        (void)state;
        assert_int_equal(kills_open("/nonexistent", BOOT, NOW, &k, &n), -ENOENT);
        assert_int_equal(kills_open(dir, "", NOW, &k, &n), -EINVAL);
        assert_null(k);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_kept, clear),
                cmocka_unit_test_teardown(test_ring, clear),
                cmocka_unit_test_teardown(test_damage, clear),
                cmocka_unit_test_teardown(test_later_version, clear),
                cmocka_unit_test_teardown(test_cannot, clear),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
