/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The backlog: order through restarts, its bound, files that were cut, changed or put there by others, a full disk; and a property: of
 * what any order of adding, taking and restarting does, nothing comes twice, nothing out of order, and all is accounted for.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "backlog.h"
#include "fdio.h"

#define MIB (UINT64_C(1) << 20)
#define HEAD 24

static char dir[64], push[80];

static int setup(void **state) {
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/dev/shm/test-backlog-XXXXXX");
        if (!mkdtemp(dir)) {
                (void)snprintf(dir, sizeof(dir), "/tmp/test-backlog-XXXXXX");
                if (!mkdtemp(dir))
                        return -1;
        }
        (void)snprintf(push, sizeof(push), "%s/push", dir);
        return 0;
}

static int clear(void **state) {
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof(command), "rm -rf %s/push", dir);
        return system(command) == 0 ? 0 : -1;
}

static int teardown(void **state) { return clear(state) < 0 ? -1 : rmdir(dir); }

static Backlog *make(uint64_t max) {
        Backlog *b = NULL;

        assert_int_equal(backlog_new(push, max, &b), 0);
        return b;
}

static void add(Backlog *b, unsigned number) {
        char text[32];

        (void)snprintf(text, sizeof(text), "record %u", number);
        backlog_add(b, text, strlen(text), number);
}

/* Its number, which is also how many samples it says to hold; 0: none. */
static unsigned peek(Backlog *b) {
        const void *data;
        uint32_t samples;
        char want[32];
        size_t len;

        if (!backlog_peek(b, &data, &len, &samples))
                return 0;
        (void)snprintf(want, sizeof(want), "record %u", samples);
        assert_int_equal(len, strlen(want));
        assert_memory_equal(data, want, len);
        return samples;
}

static unsigned take(Backlog *b) {
        unsigned n = peek(b);

        backlog_done(b);
        return n;
}

static BacklogStatus status(const Backlog *b) {
        BacklogStatus s;

        backlog_get_status(b, &s);
        return s;
}

static size_t files(char (*ret_last)[352]) {
        size_t n = 0;
        DIR *d = opendir(push);
        struct dirent *e;

        while (d && (e = readdir(d)))
                if (e->d_name[0] != '.') {
                        if (ret_last)
                                (void)snprintf(*ret_last, sizeof(*ret_last), "%s/%s", push, e->d_name);
                        n++;
                }
        if (d)
                (void)closedir(d);
        return n;
}

static void test_order(void **state) {
        Backlog *b = make(MIB);

        (void)state;
        assert_int_equal(peek(b), 0);
        backlog_done(b);
        for (unsigned i = 1; i <= 10; i++)
                add(b, i);
        assert_int_equal(peek(b), 1);
        assert_int_equal(peek(b), 1);
        assert_int_equal(take(b), 1);
        assert_int_equal(take(b), 2);
        assert_int_equal(peek(b), 3); /* under way: it comes again */
        assert_int_equal(status(b).records, 8);
        b = backlog_free(b);

        b = make(MIB);
        assert_int_equal(peek(b), 3);
        add(b, 11);
        for (unsigned i = 3; i <= 11; i++)
                assert_int_equal(take(b), i);
        assert_int_equal(peek(b), 0);
        assert_int_equal(files(NULL), 0);
        assert_int_equal(status(b).bytes, 0);
        assert_int_equal(status(b).samples, 0);
        assert_int_equal(status(b).samples_dropped, 0);
        add(b, 12);
        assert_int_equal(take(b), 12);
        backlog_free(b);
}

static void test_arguments(void **state) {
        Backlog *b = NULL;

        (void)state;
        assert_int_equal(backlog_new(push, MIB - 1, &b), -EINVAL);
        assert_null(b);
        assert_null(backlog_free(NULL));
}

/* The oldest give way, those under way are not counted as lost, and what is larger than all of it never was there. */
static void test_bound(void **state) {
        static char large[100000];
        Backlog *b = make(MIB);
        uint64_t added = 0, came = 0;
        const void *data;
        uint32_t samples;
        size_t len;

        (void)state;
        for (unsigned i = 0; i < 50; i++) {
                backlog_add(b, large, sizeof(large), 3);
                added += 3;
                assert_true(status(b).bytes <= MIB);
        }
        assert_true(status(b).samples_dropped > 0);
        assert_int_equal(status(b).samples + status(b).samples_dropped, added);
        assert_true(backlog_peek(b, &data, &len, &samples));
        for (unsigned i = 0; i < 50; i++) {
                backlog_add(b, large, sizeof(large), 3);
                added += 3;
        }
        assert_memory_equal(data, large, sizeof(large)); /* it is still there for who sends it */
        do {
                came += samples;
                backlog_done(b);
        } while (backlog_peek(b, &data, &len, &samples));
        assert_int_equal(came + status(b).samples_dropped, added);
        assert_int_equal(status(b).bytes, 0);

        {
                _cleanup_free_ char *huge = calloc(1, 2 * MIB);

                assert_non_null(huge);
                backlog_add(b, huge, 2 * MIB, 7);
                assert_false(backlog_peek(b, &data, &len, &samples));
                assert_int_equal(came + status(b).samples_dropped, added + 7);
        }
        backlog_free(b);
}

static void change(const char *path, off_t at, const void *data, size_t n) {
        _cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, data, n, at), n);
}

/* Three records of one segment, "record 1" to "record 3", harmed in a way. */
static void test_damage(void **state) {
        static const off_t each = HEAD + 8;
        static const struct {
                const char *what;
                off_t cut; /* the file to; 0: not */
                off_t at; /* else: bytes there */
                unsigned came[4];
                uint64_t damaged, dropped;
        } rows[] = {
                { "the last is cut in its body", 3 * each - 1, 0, { 1, 2 }, 1, 0 },
                { "in its head", 2 * each + 5, 0, { 1, 2 }, 1, 0 },
                { "at its first byte", 2 * each + 1, 0, { 1, 2 }, 1, 0 },
                { "whole records are gone", 2 * each, 0, { 1, 2 }, 0, 0 },
                { "all of it", 1, 0, { 0 }, 1, 0 },
                { "a body in the middle", 0, each + HEAD, { 1, 3 }, 1, 2 },
                { "its magic", 0, each, { 1 }, 1, 0 },
                { "its state", 0, each + 4, { 1 }, 1, 0 },
                { "its length", 0, each + 8, { 1 }, 1, 0 },
                { "its number of samples", 0, each + 14, { 1, 3 }, 1, 0xffff0002 },
                { "its checksum", 0, each + 16, { 1, 3 }, 1, 2 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Backlog *b = make(MIB);
                char path[352];

                for (unsigned k = 1; k <= 3; k++)
                        add(b, k);
                b = backlog_free(b);
                assert_int_equal(files(&path), 1);
                if (rows[i].cut)
                        assert_int_equal(truncate(path, rows[i].cut), 0);
                else
                        change(path, rows[i].at, "\377\377", 2);
                b = make(MIB);
                for (size_t k = 0; rows[i].came[k]; k++)
                        if (take(b) != rows[i].came[k])
                                fail_msg("%s: record %zu", rows[i].what, k);
                if (peek(b) != 0 || status(b).damaged != rows[i].damaged ||
                    status(b).samples_dropped != rows[i].dropped)
                        fail_msg("%s: damaged %llu, dropped %llu", rows[i].what,
                                 (unsigned long long)status(b).damaged,
                                 (unsigned long long)status(b).samples_dropped);
                add(b, 4);
                assert_int_equal(take(b), 4);
                assert_int_equal(files(NULL), 0);
                backlog_free(b);
                assert_int_equal(clear(state), 0);
        }
}

/* What is no file of ours is left alone. */
static void test_strangers(void **state) {
        static const char *const names[] = { "notes", "0000000000000001.push.bak", "xyz.push",
                                             "000000000000000g.push" };
        char path[320];
        struct stat st;
        Backlog *b;

        (void)state;
        assert_int_equal(mkdir(push, 0700), 0);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s", push, names[i]);
                assert_int_equal(fd_write_file_atomic(AT_FDCWD, path, "x", 1, 0600, false), 0);
        }
        (void)snprintf(path, sizeof(path), "%s/0000000000000005.push", push);
        assert_int_equal(symlink("notes", path), 0);
        (void)snprintf(path, sizeof(path), "%s/0000000000000007.push", push);
        assert_int_equal(mkdir(path, 0700), 0);
        b = make(MIB);
        add(b, 1);
        assert_int_equal(status(b).error, 0);
        assert_int_equal(take(b), 1);
        backlog_free(b);
        assert_int_equal(files(NULL), ARRAY_SIZE(names) + 2);
        (void)snprintf(path, sizeof(path), "%s/notes", push);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, 1);
}

/* No room: it waits in memory, in order, until there is; the directory may come later, too. */
static void test_full(void **state) {
        const struct rlimit small = { HEAD + 8, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
        Backlog *b = make(MIB);

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        for (unsigned i = 1; i <= 4; i++)
                add(b, i);
        assert_int_equal(status(b).error, -EFBIG);
        assert_int_equal(status(b).records, 4);
        assert_int_equal(take(b), 1);
        assert_int_equal(take(b), 2); /* from memory */
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
        add(b, 5);
        assert_int_equal(status(b).error, 0);
        assert_int_equal(status(b).records, 3);
        b = backlog_free(b);
        b = make(MIB);
        for (unsigned i = 3; i <= 5; i++)
                assert_int_equal(take(b), i);
        assert_int_equal(status(b).samples_dropped, 0);
        b = backlog_free(b);

        assert_int_equal(clear(state), 0);
        assert_int_equal(fd_write_file_atomic(AT_FDCWD, push, "", 0, 0600, false), 0);
        b = make(MIB);
        add(b, 1);
        assert_int_equal(status(b).error, -ENOTDIR);
        assert_int_equal(unlink(push), 0);
        add(b, 2);
        assert_int_equal(status(b).error, 0);
        assert_int_equal(take(b), 1);
        assert_int_equal(take(b), 2);
        backlog_free(b);
}

/* In memory there is a bound, too. */
static void test_full_for_long(void **state) {
        static char large[MIB];
        uint64_t added = 0, came = 0;
        const void *data;
        uint32_t samples;
        Backlog *b;
        size_t len;

        (void)state;
        assert_int_equal(fd_write_file_atomic(AT_FDCWD, push, "", 0, 0600, false), 0);
        b = make(16 * MIB);
        for (uint32_t i = 1; i <= 20; i++) {
                backlog_add(b, large, sizeof(large), i);
                added += i;
        }
        assert_int_equal(status(b).records, 4);
        for (uint32_t i = 17; backlog_peek(b, &data, &len, &samples); i++) {
                assert_int_equal(samples, i);
                came += samples;
                backlog_done(b);
        }
        assert_int_equal(came + status(b).samples_dropped, added);
        backlog_free(b);
}

/* While the disk hangs it is left alone: what comes is kept, and goes on if nothing on disk comes before it; then all is in order. */
static void test_slow(void **state) {
        Backlog *b = make(MIB);

        (void)state;
        add(b, 1);
        add(b, 2);
        assert_int_equal(peek(b), 1);
        backlog_set_slow(b, true);
        add(b, 3);
        assert_int_equal(status(b).records, 3);
        assert_int_equal(peek(b), 1); /* it was read already, */
        backlog_done(b);
        assert_int_equal(peek(b), 0); /* the next one was not */
        assert_int_equal(status(b).records, 2);
        assert_int_equal(status(b).samples, 5);
        backlog_set_slow(b, true);
        backlog_set_slow(b, false);
        for (unsigned i = 2; i <= 3; i++) {
                assert_int_equal(peek(b), i);
                backlog_done(b);
        }
        assert_int_equal(peek(b), 0);
        assert_int_equal(files(NULL), 0);
        backlog_set_slow(b, true);
        add(b, 4);
        assert_int_equal(peek(b), 4); /* nothing is on disk */
        backlog_done(b);
        add(b, 5);
        assert_int_equal(files(NULL), 0);
        assert_int_equal(status(b).bytes, 0);
        backlog_set_slow(b, false);
        add(b, 6);
        for (unsigned i = 5; i <= 6; i++) {
                assert_int_equal(peek(b), i);
                backlog_done(b);
        }
        assert_int_equal(status(b).samples_dropped, 0);
        assert_int_equal(files(NULL), 0);
        backlog_free(b);
}

/* Whatever the order of adding, taking and hanging. */
static void test_slow_property(void **state) {
        unsigned next = 1, last = 0, samples = 0;
        Backlog *b = make(16 * MIB);

        (void)state;
        srandom(7);
        for (unsigned i = 0; i < 5000; i++) {
                uint64_t bytes = status(b).bytes;
                long what = random() % 100;
                bool slow = (i / 50) % 2;

                backlog_set_slow(b, slow);
                if (!slow)
                        bytes = 0;
                if (what < 45)
                        add(b, next++);
                else if ((samples = peek(b)) > 0 && what < 95) {
                        assert_int_equal(samples, last + 1);
                        last = samples;
                        backlog_done(b);
                }
                if (slow)
                        assert_int_equal(status(b).bytes, bytes);
                assert_int_equal(status(b).records, next - 1 - last);
        }
        backlog_set_slow(b, false);
        while ((samples = peek(b)) > 0) {
                assert_int_equal(samples, ++last);
                backlog_done(b);
        }
        assert_int_equal(last, next - 1);
        assert_int_equal(files(NULL), 0);
        backlog_free(b);
}

static void test_property(void **state) {
        unsigned seed = (unsigned)time(NULL), next = 1, last = 0;
        uint64_t added = 0, came = 0, dropped = 0;
        Backlog *b = make(MIB);

        (void)state;
        print_message("seed %u\n", seed);
        srandom(seed);
        for (unsigned i = 0; i < 20000; i++) {
                long what = random() % 100;

                if (what < 55) {
                        static char text[65536];
                        size_t len = (size_t)random() % sizeof(text);

                        (void)snprintf(text, sizeof(text), "%u", next);
                        backlog_add(b, text, MAX_OF(len, (size_t)16), next);
                        added += next++;
                } else {
                        const void *data;
                        uint32_t samples;
                        size_t len;

                        if (!backlog_peek(b, &data, &len, &samples))
                                continue; /* nothing waits */
                        assert_true(samples > last);
                        assert_int_equal(strtoul(data, NULL, 10), samples);
                        /* Before a restart nothing is under way: its file may be gone, and it was in memory only. */
                        if (what < 80 || what >= 95) {
                                last = samples;
                                came += samples;
                                backlog_done(b);
                        }
                }
                if (what >= 95) {
                        dropped += status(b).samples_dropped;
                        backlog_free(b);
                        b = make(MIB);
                }
                assert_true(status(b).bytes <= MIB);
        }
        for (;;) {
                const void *data;
                uint32_t samples;
                size_t len;

                if (!backlog_peek(b, &data, &len, &samples))
                        break;
                assert_true(samples > last);
                last = samples;
                came += samples;
                backlog_done(b);
        }
        dropped += status(b).samples_dropped;
        assert_int_equal(came + dropped, added);
        assert_int_equal(files(NULL), 0);
        backlog_free(b);
}

int main(void) {
#define TEST(f) cmocka_unit_test_teardown(f, clear)
        const struct CMUnitTest tests[] = {
                TEST(test_order),     TEST(test_arguments),     TEST(test_bound),         TEST(test_damage),
                TEST(test_strangers), TEST(test_full),          TEST(test_full_for_long), TEST(test_property),
                TEST(test_slow),      TEST(test_slow_property),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
