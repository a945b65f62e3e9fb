/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "ledger.h"

#define BOOT "0f3c5f5e-6a51-4b8e-9a0e-2f1d6f7a8b9c"
#define FILE_NAME "ceilings"

#include "store-bed.h"

static Ledger *open_ledger(void) {
        Ledger *l = NULL;

        assert_int_equal(ledger_open(dir, BOOT, false, &l), 0);
        return l;
}

/* noinline: gcc 12 takes what it returns for a pointer to its local variable (-Wdangling-pointer). */
__attribute__((__noinline__)) static char *read_all(size_t *ret_len) {
        char *text = NULL;
        size_t len;

        assert_int_equal(fd_read_regular_at(dir_fd, FILE_NAME, 64 << 20, &text, &len, NULL, NULL), 0);
        if (ret_len)
                *ret_len = len;
        return text;
}

static void write_all(const char *text, size_t len) {
        assert_int_equal(fd_write_file_atomic(dir_fd, FILE_NAME, text, len, 0600, false), 0);
}

static LedgerStats stats_of(const Ledger *l) {
        LedgerStats s;

        ledger_get_stats(l, &s);
        return s;
}

static size_t count_lines(void) {
        _cleanup_free_ char *text = read_all(NULL);
        size_t n = 0;

        for (const char *p = text; (p = strchr(p, '\n')); p++)
                n++;
        return n;
}

static LedgerRecord record(uint64_t id, Limit limit, uint64_t ours) {
        return (LedgerRecord){
                .cgroup_id = id,
                .path = "/tenant.slice/docker-1.scope",
                .unit = "docker-1.scope",
                .knob = { limit, 0 },
                .want = LIMIT_INFINITY,
                .have_want = true,
                .ours = ours,
        };
}

static void assert_record(const LedgerRecord *got, const LedgerRecord *want) {
        assert_non_null(got);
        assert_int_equal(got->cgroup_id, want->cgroup_id);
        assert_string_equal(got->path, want->path);
        assert_string_equal(got->unit, want->unit);
        assert_int_equal(limit_knob_cmp(got->knob, want->knob), 0);
        assert_int_equal(got->have_want, want->have_want);
        if (want->have_want)
                assert_int_equal(got->want, want->want);
        assert_int_equal(got->ours, want->ours);
        assert_int_equal(got->property, want->property);
        assert_int_equal(got->foreign_dropin, want->foreign_dropin);
        assert_int_equal(got->share, want->share);
        assert_int_equal(got->lapse, want->lapse);
        assert_int_equal(got->have_other, want->have_other);
        if (want->have_other)
                assert_int_equal(got->other, want->other);
        if (want->property) {
                assert_int_equal(got->told, want->told);
                assert_int_equal(got->told_before, want->told_before);
        }
}

static void test_round_trip(void **state) {
        const LedgerRecord rows[] = {
                record(1, LIMIT_MEMORY_MAX, 1 << 30),
                { 2,
                  "/a b/c\td%\xc3\xa4",
                  "a\\x2db.slice",
                  { LIMIT_CPU_QUOTA, 0 },
                  5,
                  false,
                  155555,
                  true,
                  true,
                  true,
                  LIMIT_INFINITY,
                  true,
                  LIMIT_INFINITY,
                  150000,
                  LIMIT_INFINITY },
                { UINT64_MAX,
                  "/",
                  "",
                  { LIMIT_IO_READ_BANDWIDTH_MAX, makedev(254, 16) },
                  0,
                  true,
                  0,
                  false,
                  false,
                  true,
                  7,
                  false,
                  0,
                  0,
                  0 },
                { UINT64_MAX,
                  "/",
                  "",
                  { LIMIT_IO_READ_BANDWIDTH_MAX, makedev(4095, 1048575) },
                  9,
                  true,
                  LIMIT_INFINITY,
                  true,
                  false,
                  false,
                  0,
                  true,
                  5,
                  77,
                  77 },
                { 3,
                  "/x/-",
                  "-",
                  { LIMIT_TASKS_MAX, 0 },
                  0,
                  false,
                  1,
                  false,
                  true,
                  false,
                  0,
                  false,
                  0,
                  0,
                  0 },
                { 4,
                  "/x/y",
                  "=",
                  { LIMIT_TASKS_MAX, 0 },
                  0,
                  false,
                  1,
                  false,
                  true,
                  false,
                  0,
                  false,
                  0,
                  0,
                  0 },
                { 5,
                  "/x/=",
                  "=",
                  { LIMIT_TASKS_MAX, 0 },
                  0,
                  false,
                  1,
                  false,
                  true,
                  false,
                  0,
                  false,
                  0,
                  0,
                  0 },
                { 6, "/x/", "", { LIMIT_TASKS_MAX, 0 }, 0, false, 1, false, true, false, 0, false, 0, 0, 0 },
                { 7,
                  "/line\nbreak",
                  "line\nbreak",
                  { LIMIT_MEMORY_LOW, 0 },
                  0,
                  false,
                  1,
                  false,
                  true,
                  false,
                  0,
                  false,
                  0,
                  0,
                  0 },
        };

        (void)state;
        for (int reopened = 0; reopened < 3; reopened++) {
                _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
                size_t i = 0, n = 0;

                for (size_t k = 0; reopened == 0 && k < ARRAY_SIZE(rows); k++)
                        assert_int_equal(ledger_put(l, &rows[k]), 0);
                assert_int_equal(stats_of(l).n_records, ARRAY_SIZE(rows));
                assert_int_equal(stats_of(l).n_damaged, 0);
                assert_false(stats_of(l).set_aside);
                for (const LedgerRecord *r; (r = ledger_next(l, &i)); n++)
                        assert_record(r, &rows[n]);
                assert_int_equal(n, ARRAY_SIZE(rows));
                for (size_t k = 0; k < ARRAY_SIZE(rows); k++)
                        assert_record(ledger_find(l, rows[k].cgroup_id, rows[k].knob), &rows[k]);
                assert_null(ledger_find(l, 1, (LimitKnob){ LIMIT_TASKS_MAX, 0 }));
                assert_null(ledger_find(l, 99, (LimitKnob){ LIMIT_MEMORY_MAX, 0 }));
        }
}

static void test_all_limits(void **state) {
        (void)state;
        for (int reopened = 0; reopened < 2; reopened++) {
                _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();

                for (Limit k = 0; k < _LIMIT_MAX; k++) {
                        LedgerRecord r = record(8, k, (uint64_t)k + 100);

                        if (limit_info(k)->per_device)
                                r.knob.dev = makedev(8, 0);
                        if (reopened)
                                assert_record(ledger_find(l, 8, r.knob), &r);
                        else
                                assert_int_equal(ledger_put(l, &r), 0);
                }
        }
}

static void test_put_replaces(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
        LedgerRecord a = record(1, LIMIT_MEMORY_MAX, 100), b = record(1, LIMIT_TASKS_MAX, 5);
        size_t lines;

        (void)state;
        assert_int_equal(ledger_put(l, &a), 0);
        assert_int_equal(ledger_put(l, &b), 0);
        lines = count_lines();
        assert_int_equal(lines, 3);
        assert_int_equal(ledger_put(l, &a), 0);
        assert_int_equal(count_lines(), lines); /* nothing new: nothing written */
        a.ours = 200;
        a.path = "/moved";
        a.unit = "";
        assert_int_equal(ledger_put(l, &a), 0);
        assert_int_equal(stats_of(l).n_records, 2);
        assert_record(ledger_find(l, 1, a.knob), &a);
        assert_string_equal(ledger_find(l, 1, b.knob)->path, "/moved"); /* the cgroup's, not the knob's */
        /* A record of the ledger itself, changed. */
        a = *ledger_find(l, 1, a.knob);
        a.property = true;
        assert_int_equal(ledger_put(l, &a), 0);
        l = ledger_free(l);
        l = open_ledger();
        a.path = "/moved";
        a.unit = "";
        assert_record(ledger_find(l, 1, a.knob), &a);
}

static void test_remove(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
        const LimitKnob max = { LIMIT_MEMORY_MAX, 0 };

        (void)state;
        for (uint64_t id = 1; id <= 3; id++)
                for (Limit k = LIMIT_MEMORY_MIN; k <= LIMIT_TASKS_MAX; k++) {
                        LedgerRecord r = record(id, k, 9);

                        assert_int_equal(ledger_put(l, &r), 0);
                }
        assert_int_equal(ledger_remove(l, 1, &max), 0);
        assert_int_equal(ledger_remove(l, 1, &max), 0);
        assert_int_equal(ledger_remove(l, 77, &max), 0);
        assert_int_equal(ledger_remove(l, 77, NULL), 0);
        assert_int_equal(ledger_remove(l, 2, NULL), 0);
        for (int reopened = 0; reopened < 2; reopened++) {
                assert_null(ledger_find(l, 1, max));
                assert_non_null(ledger_find(l, 1, (LimitKnob){ LIMIT_MEMORY_MIN, 0 }));
                assert_null(ledger_find(l, 2, max));
                assert_non_null(ledger_find(l, 3, max));
                assert_int_equal(stats_of(l).n_records, 10 + 11);
                l = ledger_free(l);
                l = open_ledger();
        }
        assert_int_equal(ledger_remove(l, 1, NULL), 0);
        assert_int_equal(ledger_remove(l, 3, NULL), 0);
        assert_int_equal(stats_of(l).n_records, 0);
}

static void test_bad_arguments(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        _cleanup_free_ char *name = NULL;
        LedgerRecord r = record(1, LIMIT_MEMORY_MAX, 1);

        (void)state;
        assert_int_equal(ledger_open("/nonexistent/dir", BOOT, false, &l), -ENOENT);
        assert_int_equal(ledger_open(dir, "", false, &l), -EINVAL);
        assert_int_equal(ledger_open(dir, "two words", false, &l), -EINVAL);
        assert_null(l);
        l = open_ledger();
        r.path = "relative";
        assert_int_equal(ledger_put(l, &r), -EINVAL);
        r = record(1, LIMIT_MEMORY_MAX, 1);
        r.knob.dev = makedev(8, 0);
        assert_int_equal(ledger_put(l, &r), -EINVAL);
        name = malloc(LEDGER_PATH_MAX + 2);
        assert_non_null(name);
        memset(name, ' ', LEDGER_PATH_MAX + 1);
        name[0] = '/';
        name[LEDGER_PATH_MAX + 1] = '\0';
        r = record(1, LIMIT_MEMORY_MAX, 1);
        r.path = name;
        assert_int_equal(ledger_put(l, &r), -ENAMETOOLONG);
        name[LEDGER_PATH_MAX] = '\0';
        assert_int_equal(ledger_put(l, &r), 0);
        l = ledger_free(l);
        l = open_ledger();
        assert_int_equal(stats_of(l).n_damaged, 0);
        assert_record(ledger_find(l, 1, r.knob), &r);
}

/* A file with three records, then `change`d. */
static void make_three(void) {
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();

        for (uint64_t id = 1; id <= 3; id++) {
                LedgerRecord r = record(id, LIMIT_MEMORY_MAX, 100 + id);

                assert_int_equal(ledger_put(l, &r), 0);
        }
}

static void assert_left(uint64_t mask, unsigned n_damaged, bool set_aside) {
        for (int read_only = 1; read_only >= 0; read_only--) {
                _cleanup_(cleanup_ledger_free) Ledger *l = NULL;

                assert_int_equal(ledger_open(dir, BOOT, read_only, &l), 0);
                for (uint64_t id = 1; id <= 3; id++) {
                        const LedgerRecord *r = ledger_find(l, id, (LimitKnob){ LIMIT_MEMORY_MAX, 0 });

                        assert_int_equal(!!r, !!(mask & UINT64_C(1) << id));
                }
                assert_int_equal(stats_of(l).n_damaged, n_damaged);
                assert_int_equal(stats_of(l).set_aside, set_aside);
        }
}

static void test_torn_last_line(void **state) {
        _cleanup_free_ char *text = NULL;
        size_t len, last;

        make_three();
        text = read_all(&len);
        last = (size_t)((char *)memrchr(text, '\n', len - 1) - text) + 1;
        for (size_t cut = last; cut < len; cut++) {
                write_all(text, cut);
                /* All but the newline: the line is whole. Cut right behind the one before: nothing is torn. */
                assert_left(cut == len - 1 ? 0xe : 0x6, cut != len - 1 && cut != last, false);
                assert_left(cut == len - 1 ? 0xe : 0x6, 0, false); /* repaired */
                (void)clear(state);
        }
}

static void test_torn_and_not_repaired(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        _cleanup_free_ char *text = NULL;
        LedgerRecord r = record(4, LIMIT_MEMORY_MAX, 1);
        size_t len;

        (void)state;
        make_three();
        text = read_all(&len);
        write_all(text, len - 5);
        /* A directory of that name: it cannot be rewritten, only appended to. */
        assert_int_equal(mkdirat(dir_fd, FILE_NAME ".tmp", 0700), 0);
        l = open_ledger();
        assert_int_equal(stats_of(l).write_error, 0);
        assert_int_equal(ledger_put(l, &r), 0);
        l = ledger_free(l);
        assert_int_equal(unlinkat(dir_fd, FILE_NAME ".tmp", AT_REMOVEDIR), 0);
        assert_left(0x6, 1, false);
        l = open_ledger();
        assert_record(ledger_find(l, 4, r.knob), &r);
}

static void test_damaged_middle(void **state) {
        _cleanup_free_ char *text = NULL;
        size_t len, start, end;

        make_three();
        text = read_all(&len);
        start = (size_t)(strstr(text, "put 2") - text);
        end = (size_t)(strchr(text + start, '\n') - text);
        /* Every byte of the second record, made another. */
        for (size_t i = start; i < end; i++) {
                char was = text[i];

                text[i] = was == '\0' ? 'x' : (char)(was ^ 0x01);
                if (text[i] == '\n')
                        text[i] = 'x';
                write_all(text, len);
                assert_left(0xa, 1, false);
                text[i] = '\0';
                write_all(text, len);
                assert_left(0xa, 1, false);
                text[i] = was;
                (void)clear(state);
        }
}

/* With a right checksum, but a content that cannot be. */
static void test_sealed_nonsense(void **state) {
        static const char *const lines[] = {
                "put 1 MemoryMax 0:0 max 1 - 0 =",
                "put 1 MemoryMax 0:0 max 1 - 0 = /x y",
                "put 1 NoSuchKey 0:0 max 1 - 0 = /x",
                "put 1 MemoryMax 8:0 max 1 - 0 = /x",
                "put 1 MemoryMax 0 max 1 - 0 = /x",
                "put 1 MemoryMax 0:0x max 1 - 0 = /x",
                "put 1 MemoryMax 0:99999999999 max 1 - 0 = /x",
                "put -1 MemoryMax 0:0 max 1 - 0 = /x",
                "put 99999999999999999999 MemoryMax 0:0 max 1 - 0 = /x",
                "put 1 MemoryMax 0:0 much 1 - 0 = /x",
                "put 1 MemoryMax 0:0 max - - 0 = /x",
                "put 1 MemoryMax 0:0 max 1 q 0 = /x",
                "put 1 MemoryMax 0:0 max 1 - x = /x",
                "put 1 MemoryMax 0:0 max 1 - 0 = x",
                "put 1 MemoryMax 0:0 max 1 - 0 = /x%0",
                "put 1 MemoryMax 0:0 max 1 - 0 = /x%00",
                "put 1 MemoryMax 0:0 max 1 - 0 = /x%zz",
                "put 1 MemoryMax 0:0 max 1 - 0 %4 /x",
                "put  1 MemoryMax 0:0 max 1 - 0 = /x",
                "del 1 MemoryMax",
                "del 1 MemoryMax 0:0 more",
                "deal 1 MemoryMax 0:0",
                "what",
                "",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
                _cleanup_free_ char *text = NULL;
                _cleanup_buf_ Buf b = BUF_INIT;
                uint64_t h = 0xcbf29ce484222325ULL;

                make_three();
                text = read_all(NULL);
                for (const char *p = lines[i]; *p; p++)
                        h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
                buf_printf(&b, "%s%s %016llx\n", text, lines[i], (unsigned long long)h);
                write_all(b.data, b.len);
                l = open_ledger();
                if (stats_of(l).n_damaged != 1)
                        print_error("accepted: %s\n", lines[i]);
                assert_int_equal(stats_of(l).n_damaged, 1);
                assert_int_equal(stats_of(l).n_records, 3);
        }
}

static void check_header(void **state, const char *header, const char *boot, bool old) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        _cleanup_free_ char *text = NULL, *now = NULL;
        _cleanup_buf_ Buf b = BUF_INIT;
        uint64_t h = 0xcbf29ce484222325ULL;
        LedgerRecord r = record(9, LIMIT_TASKS_MAX, 3);
        size_t len;

        (void)clear(state);
        make_three();
        text = read_all(NULL);
        for (const char *p = header; *p; p++)
                h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
        buf_printf(&b, "%s %016llx\n%s", header, (unsigned long long)h, strchr(text, '\n') + 1);
        write_all(b.data, b.len);

        /* Looking only: nothing is renamed. */
        assert_int_equal(ledger_open(dir, boot, true, &l), 0);
        assert_int_equal(stats_of(l).set_aside, old);
        assert_int_equal(stats_of(l).n_records, old ? 0 : 3);
        l = ledger_free(l);
        assert_int_equal(faccessat(dir_fd, FILE_NAME ".old", F_OK, 0), -1);

        assert_int_equal(ledger_open(dir, boot, false, &l), 0);
        assert_int_equal(stats_of(l).set_aside, old);
        assert_int_equal(stats_of(l).n_damaged, 0);
        assert_int_equal(stats_of(l).n_records, old ? 0 : 3);
        assert_int_equal(ledger_put(l, &r), 0);
        if (!old) {
                assert_int_equal(faccessat(dir_fd, FILE_NAME ".old", F_OK, 0), -1);
                return;
        }
        assert_int_equal(fd_read_regular_at(dir_fd, FILE_NAME ".old", 1 << 20, &now, &len, NULL, NULL), 0);
        assert_string_equal(now, b.data);
        l = ledger_free(l);
        assert_int_equal(ledger_open(dir, boot, false, &l), 0);
        assert_false(stats_of(l).set_aside);
        assert_int_equal(stats_of(l).n_records, 1);
}

static void test_set_aside(void **state) {
        static const struct {
                const char *header, *boot;
                bool old;
        } rows[] = {
                { "bailiff-ceilings 0 " BOOT, BOOT, true },
                { "bailiff-ceilings 2 " BOOT, BOOT, true },
                { "bailiff-ceilings 1 " BOOT, "another-boot", true },
                { "bailiff-ceilings 1", BOOT, true },
                { "something else", BOOT, true },
                { "bailiff-ceilings 1 " BOOT, BOOT, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                check_header(state, rows[i].header, rows[i].boot, rows[i].old);
}

static void test_odd_files(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;

        /* Created, and then the power went. */
        write_all("", 0);
        l = open_ledger();
        assert_false(stats_of(l).set_aside);
        l = ledger_free(l);
        /* A link is not followed. */
        (void)clear(state);
        assert_int_equal(symlinkat("/etc/passwd", dir_fd, FILE_NAME), 0);
        l = open_ledger();
        assert_true(stats_of(l).set_aside);
        l = ledger_free(l);
        (void)clear(state);
        assert_int_equal(mkfifoat(dir_fd, FILE_NAME, 0600), 0);
        l = open_ledger();
        assert_true(stats_of(l).set_aside);
        assert_int_equal(stats_of(l).write_error, 0);
}

static void test_read_only(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        LedgerRecord r = record(1, LIMIT_MEMORY_MAX, 1);
        struct stat a, b;

        (void)state;
        assert_int_equal(ledger_open(dir, BOOT, true, &l), 0);
        assert_int_equal(stats_of(l).n_records, 0);
        assert_int_equal(faccessat(dir_fd, FILE_NAME, F_OK, 0), -1);
        l = ledger_free(l);
        make_three();
        assert_int_equal(fstatat(dir_fd, FILE_NAME, &a, 0), 0);
        assert_int_equal(ledger_open(dir, BOOT, true, &l), 0);
        assert_int_equal(stats_of(l).n_records, 3);
        assert_int_equal(ledger_put(l, &r), -EROFS);
        assert_int_equal(ledger_remove(l, 1, NULL), -EROFS);
        assert_int_equal(stats_of(l).n_records, 3);
        assert_int_equal(fstatat(dir_fd, FILE_NAME, &b, 0), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(a.st_size, b.st_size);
}

static void limit_file_size(rlim_t max) {
        struct rlimit r = { max, RLIM_INFINITY };

        assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* A file that may not grow stands for a full tmpfs: the last write is short, then there is EFBIG. */
static void test_full(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
        const LimitKnob knob = { LIMIT_MEMORY_MAX, 0 };
        LedgerRecord r;
        struct stat st;

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        for (uint64_t id = 1; id <= 20; id++) {
                r = record(id, LIMIT_MEMORY_MAX, id);
                assert_int_equal(ledger_put(l, &r), 0);
        }
        assert_int_equal(fstatat(dir_fd, FILE_NAME, &st, 0), 0);
        limit_file_size((rlim_t)st.st_size + 20);
        for (uint64_t id = 21; id <= 30; id++) {
                r = record(id, LIMIT_MEMORY_MAX, id);
                assert_int_equal(ledger_put(l, &r), -ENOSPC);
                assert_record(ledger_find(l, id, knob), &r); /* in memory */
        }
        assert_int_equal(ledger_remove(l, 1, NULL), -ENOSPC);
        assert_int_equal(ledger_remove(l, 21, NULL), -ENOSPC);
        assert_null(ledger_find(l, 1, knob));
        r = record(2, LIMIT_MEMORY_MAX, 222);
        assert_int_equal(ledger_put(l, &r), -ENOSPC);
        assert_int_equal(stats_of(l).write_error, -ENOSPC);
        assert_int_equal(stats_of(l).n_records, 28);
        limit_file_size((rlim_t)st.st_size);
        r = record(50, LIMIT_MEMORY_MAX, 50);
        assert_int_equal(ledger_put(l, &r), -EFBIG);
        limit_file_size(RLIM_INFINITY);
        {
                /* The file is still whole, and as it was. */
                _cleanup_(cleanup_ledger_free) Ledger *reader = NULL;

                assert_int_equal(ledger_open(dir, BOOT, true, &reader), 0);
                assert_int_equal(stats_of(reader).n_damaged, 0);
                assert_int_equal(stats_of(reader).n_records, 20);
        }
        /* The next that fits takes all along. */
        r = record(60, LIMIT_MEMORY_MAX, 60);
        assert_int_equal(ledger_put(l, &r), 0);
        assert_int_equal(stats_of(l).write_error, 0);
        l = ledger_free(l);
        l = open_ledger();
        assert_int_equal(stats_of(l).n_damaged, 0);
        assert_int_equal(stats_of(l).n_records, 30);
        assert_null(ledger_find(l, 1, knob));
        assert_null(ledger_find(l, 21, knob));
        assert_int_equal(ledger_find(l, 2, knob)->ours, 222);
        assert_int_equal(ledger_find(l, 30, knob)->ours, 30);
        assert_int_equal(ledger_find(l, 50, knob)->ours, 50);
}

/* All of a cgroup is forgotten while a part of it was forgotten before, and could not be saved. */
static void test_full_remove_all(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
        const LimitKnob knob = { LIMIT_MEMORY_HIGH, 0 };

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        for (Limit k = LIMIT_MEMORY_MIN; k <= LIMIT_TASKS_MAX; k++) {
                LedgerRecord r = record(1, k, 1);

                assert_int_equal(ledger_put(l, &r), 0);
        }
        limit_file_size(1);
        assert_true(ledger_remove(l, 1, &knob) < 0);
        assert_true(ledger_remove(l, 1, &(LimitKnob){ LIMIT_TASKS_MAX, 0 }) < 0);
        limit_file_size(RLIM_INFINITY);
        assert_int_equal(ledger_remove(l, 1, NULL), 0);
        assert_int_equal(stats_of(l).n_records, 0);
        l = ledger_free(l);
        l = open_ledger();
        assert_int_equal(stats_of(l).n_records, 0);
        assert_int_equal(stats_of(l).n_damaged, 0);
}

/* Full from the beginning, and then not. */
static void test_full_at_open(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        LedgerRecord r = record(1, LIMIT_MEMORY_MAX, 1);

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        limit_file_size(10);
        l = open_ledger();
        assert_true(stats_of(l).write_error < 0);
        assert_true(ledger_put(l, &r) < 0);
        assert_true(ledger_put(l, &r) < 0);
        limit_file_size(RLIM_INFINITY);
        assert_int_equal(ledger_put(l, &r), 0);
        assert_int_equal(stats_of(l).write_error, 0);
        l = ledger_free(l);
        l = open_ledger();
        assert_false(stats_of(l).set_aside);
        assert_record(ledger_find(l, 1, r.knob), &r);
}

static void test_file_removed(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        LedgerRecord r = record(4, LIMIT_MEMORY_MAX, 1);

        make_three();
        l = open_ledger();
        (void)clear(state);
        assert_int_equal(ledger_put(l, &r), 0);
        l = ledger_free(l);
        l = open_ledger();
        assert_int_equal(stats_of(l).n_records, 4);
}

static void test_many(void **state) {
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
        const LimitKnob max = { LIMIT_MEMORY_MAX, 0 };
        size_t lines;
        char path[64];

        (void)state;
        for (uint64_t id = 1; id <= 10000; id++) {
                LedgerRecord r = record(id, LIMIT_MEMORY_MAX, id);

                (void)snprintf(path, sizeof(path), "/t.slice/%llu.scope", (unsigned long long)id);
                r.path = path;
                assert_int_equal(ledger_put(l, &r), 0);
        }
        assert_int_equal(count_lines(), 10001);
        /* The same 100 changed and changed again: the file stays within twice of what is live. */
        for (uint64_t i = 0; i < 25000; i++) {
                LedgerRecord r = *ledger_find(l, 1 + i % 100, max);

                r.ours = 1000000 + i;
                assert_int_equal(ledger_put(l, &r), 0);
        }
        lines = count_lines();
        assert_in_range(lines, 10001, 20003);
        l = ledger_free(l);
        l = open_ledger();
        assert_int_equal(count_lines(), 10001);
        assert_int_equal(stats_of(l).n_records, 10000);
        assert_int_equal(ledger_find(l, 100, max)->ours, 1024999);
        assert_string_equal(ledger_find(l, 9999, max)->path, "/t.slice/9999.scope");
        for (uint64_t id = 1; id <= 10000; id++)
                assert_int_equal(ledger_remove(l, id, NULL), 0);
        assert_int_equal(stats_of(l).n_records, 0);
        assert_in_range(count_lines(), 1, 70);
}

/* Against a plain table, through re-opening, a full file and compaction. */
static void test_property(void **state) {
        enum { IDS = 6, KNOBS = 4 };
        _cleanup_(cleanup_ledger_free) Ledger *l = open_ledger();
        uint64_t model[IDS][KNOBS] = {};
        unsigned seed = (unsigned)getpid();

        (void)state;
        (void)signal(SIGXFSZ, SIG_IGN);
        print_message("seed %u\n", seed);
        for (unsigned step = 0; step < 5000; step++) {
                unsigned id = (unsigned)rand_r(&seed) % IDS, k = (unsigned)rand_r(&seed) % KNOBS;
                LimitKnob knob = { (Limit)k, 0 };
                LedgerRecord r = record(id, (Limit)k, step + 1);

                switch (rand_r(&seed) % 8) {
                case 0:
                        (void)ledger_remove(l, id, NULL);
                        memset(model[id], 0, sizeof(model[id]));
                        break;
                case 1:
                        (void)ledger_remove(l, id, &knob);
                        model[id][k] = 0;
                        break;
                case 2:
                        limit_file_size(rand_r(&seed) % 3 ? RLIM_INFINITY : (rlim_t)(rand_r(&seed) % 4000));
                        break;
                case 3:
                        limit_file_size(RLIM_INFINITY);
                        r = record(1000, LIMIT_TASKS_MAX, step + 1);
                        assert_int_equal(ledger_put(l, &r), 0);
                        l = ledger_free(l);
                        l = open_ledger();
                        assert_int_equal(stats_of(l).n_damaged, 0);
                        assert_int_equal(stats_of(l).write_error, 0);
                        break;
                default:
                        (void)ledger_put(l, &r);
                        model[id][k] = step + 1;
                }
                for (unsigned i = 0; i < IDS; i++)
                        for (unsigned n = 0; n < KNOBS; n++) {
                                const LedgerRecord *got = ledger_find(l, i, (LimitKnob){ (Limit)n, 0 });

                                assert_int_equal(got ? got->ours : 0, model[i][n]);
                        }
        }
        limit_file_size(RLIM_INFINITY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_round_trip, clear, clear),
                cmocka_unit_test_setup_teardown(test_all_limits, clear, clear),
                cmocka_unit_test_setup_teardown(test_put_replaces, clear, clear),
                cmocka_unit_test_setup_teardown(test_remove, clear, clear),
                cmocka_unit_test_setup_teardown(test_bad_arguments, clear, clear),
                cmocka_unit_test_setup_teardown(test_torn_last_line, clear, clear),
                cmocka_unit_test_setup_teardown(test_torn_and_not_repaired, clear, clear),
                cmocka_unit_test_setup_teardown(test_damaged_middle, clear, clear),
                cmocka_unit_test_setup_teardown(test_sealed_nonsense, clear, clear),
                cmocka_unit_test_setup_teardown(test_set_aside, clear, clear),
                cmocka_unit_test_setup_teardown(test_odd_files, clear, clear),
                cmocka_unit_test_setup_teardown(test_read_only, clear, clear),
                cmocka_unit_test_setup_teardown(test_full, clear, clear),
                cmocka_unit_test_setup_teardown(test_full_remove_all, clear, clear),
                cmocka_unit_test_setup_teardown(test_full_at_open, clear, clear),
                cmocka_unit_test_setup_teardown(test_file_removed, clear, clear),
                cmocka_unit_test_setup_teardown(test_many, clear, clear),
                cmocka_unit_test_setup_teardown(test_property, clear, clear),
        };

        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
