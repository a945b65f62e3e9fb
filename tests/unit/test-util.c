/* SPDX-License-Identifier: Apache-2.0 */

/* util: numbers, buffers, maps, file descriptors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "allowance.h"
#include "buf.h"
#include "bytes.h"
#include "fdio.h"
#include "loghist.h"
#include "map.h"
#include "num.h"
#include "random.h"

#define UNTOUCHED UINT64_C(0xdeadbeef)

/* ---- allowance ---- */

static void test_allowance(void **state) {
        Allowance a = {};

        (void)state;
        /* A burst at once, of costs that are not known before. */
        assert_true(allowance_has(&a, 1000000, 10, 200));
        allowance_spend(&a, 150);
        assert_true(allowance_has(&a, 1000000, 10, 200));
        allowance_spend(&a, 100);
        assert_false(allowance_has(&a, 1000000, 10, 200));
        /* 50 too many: paid back by the tenth part of time, however often one asks meanwhile */
        for (uint64_t now = 1000001; now <= 1000509; now++)
                assert_false(allowance_has(&a, now, 10, 200));
        assert_true(allowance_has(&a, 1000510, 10, 200));
        /* rest pays back all, but saves up nothing */
        assert_true(allowance_has(&a, 90000000, 10, 200));
        allowance_spend(&a, 199);
        assert_true(allowance_has(&a, 90000000, 10, 200));
        allowance_spend(&a, 1);
        assert_false(allowance_has(&a, 90000000, 10, 200));
        /* time that goes back pays nothing, costs that make no sense are a lot */
        assert_false(allowance_has(&a, 5, 10, 200));
        allowance_spend(&a, UINT64_MAX);
        allowance_spend(&a, UINT64_MAX);
        assert_false(allowance_has(&a, UINT64_MAX, 10, 200));
        assert_true(allowance_has(&a, UINT64_MAX, 1, UINT64_MAX));
}

/* Whatever the work costs, in the long run it takes its part of the time, and one burst and one cost at most beyond. */
static void test_allowance_random(void **state) {
        (void)state;
        seed_random();
        for (unsigned round = 0; round < 200; round++) {
                Allowance a = {};
                uint64_t now = next_random() % 1000, begin = now, used = 0, dearest = 0;
                unsigned part = 1 + (unsigned)(next_random() % 30);
                uint64_t burst = 1 + next_random() % 5000, top = 1 + next_random() % 20000;

                (void)allowance_has(&a, now, part, burst);
                for (unsigned i = 0; i < 2000; i++) {
                        uint64_t cost = next_random() % top;

                        now += next_random() % 3000;
                        if (!allowance_has(&a, now, part, burst))
                                continue;
                        allowance_spend(&a, cost);
                        used += cost;
                        dearest = cost > dearest ? cost : dearest;
                        assert_true(used <= (now - begin) / part + burst + dearest);
                }
                assert_true(used > 0 || top == 1);
        }
}

/* ---- num ---- */

static void test_num_parse(void **state) {
        static const struct {
                const char *text;
                int r64, r32;
                uint64_t v;
        } rows[] = {
                { "0", 0, 0, 0 },
                { "007", 0, 0, 7 },
                { "4294967295", 0, 0, UINT32_MAX },
                { "4294967296", 0, -ERANGE, UINT64_C(4294967296) },
                { "18446744073709551615", 0, -ERANGE, UINT64_MAX },
                { "18446744073709551616", -ERANGE, -ERANGE, 0 },
                { "18446744073709551620", -ERANGE, -ERANGE, 0 },
                { "99999999999999999999999", -ERANGE, -ERANGE, 0 },
                { "", -EINVAL, -EINVAL, 0 },
                { " 1", -EINVAL, -EINVAL, 0 },
                { "1 ", -EINVAL, -EINVAL, 0 },
                { "+1", -EINVAL, -EINVAL, 0 },
                { "-1", -EINVAL, -EINVAL, 0 },
                { "0x1", -EINVAL, -EINVAL, 0 },
                { "1a", -EINVAL, -EINVAL, 0 },
                { "1\n", -EINVAL, -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t v = UNTOUCHED;
                uint32_t w = (uint32_t)UNTOUCHED;

                assert_int_equal(num_parse_u64(rows[i].text, &v), rows[i].r64);
                assert_true(v == (rows[i].r64 < 0 ? UNTOUCHED : rows[i].v));
                assert_int_equal(num_parse_u32(rows[i].text, &w), rows[i].r32);
                assert_true(w == (uint32_t)(rows[i].r32 < 0 ? UNTOUCHED : rows[i].v));
        }
}

static void test_num_scan(void **state) {
        const char *text = "123 45", *p = text;
        uint64_t v = UNTOUCHED;

        (void)state;
        assert_int_equal(num_scan_u64(&p, text + 2, &v), 0); /* not beyond end */
        assert_int_equal(v, 12);
        assert_ptr_equal(p, text + 2);
        assert_int_equal(num_scan_u64(&p, text + 2, &v), -EINVAL);
        assert_int_equal(num_scan_u64(&p, text + 6, &v), 0);
        assert_int_equal(v, 3);
        assert_int_equal(num_scan_u64(&p, text + 6, &v), -EINVAL);
        assert_ptr_equal(p, text + 3);
        assert_int_equal(v, 3);
}

static void test_num_hex(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t v;
        } rows[] = {
                { "0", 0, 0 },
                { "dEaDbeef", 0, 0xdeadbeef },
                { "ffffffffffffffff", 0, UINT64_MAX },
                { "0000000000000000001", 0, 1 },
                { "10000000000000000", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "0x1", -EINVAL, 0 },
                { "g", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t v = UNTOUCHED + 1;

                assert_int_equal(num_parse_hex64(rows[i].text, &v), rows[i].r);
                assert_true(v == (rows[i].r < 0 ? UNTOUCHED + 1 : rows[i].v));
        }
}

static void test_num_arithmetic(void **state) {
        (void)state;
        assert_true(num_muldiv(UINT64_MAX, UINT64_MAX, UINT64_MAX) == UINT64_MAX);
        assert_true(num_muldiv(UINT64_MAX, 2, 1) == UINT64_MAX);
        assert_true(num_muldiv(UINT64_MAX, 1000, 1001) == UINT64_C(18428315757951600014));
        assert_true(num_muldiv(10, 1, 3) == 3);
        assert_true(num_muldiv(0, 5, 1) == 0);
        assert_true(num_add_sat(1, 2) == 3);
        assert_true(num_add_sat(UINT64_MAX, 0) == UINT64_MAX);
        assert_true(num_add_sat(UINT64_MAX, 1) == UINT64_MAX);
}

/* ---- buf ---- */

static void test_buf(void **state) {
        _cleanup_buf_ Buf b = BUF_INIT;
        _cleanup_free_ char *s = NULL, *empty = NULL;
        char big[300];

        (void)state;
        assert_string_equal(buf_str(&b), "");
        empty = buf_steal(&b);
        assert_non_null(empty);
        assert_string_equal(empty, "");
        buf_append(&b, "a\0b", 3);
        assert_int_equal(b.len, 3);
        assert_memory_equal(b.data, "a\0b", 4);
        buf_clear(&b);
        assert_string_equal(buf_str(&b), "");
        buf_append(&b, NULL, 0);
        buf_puts(&b, "x=");
        buf_printf(&b, "%d", 5);
        buf_putc(&b, ';');
        assert_string_equal(buf_str(&b), "x=5;");
        /* formats that just fit, and that do not */
        memset(big, 'y', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        for (int n = 0; n < 299; n++) {
                _cleanup_buf_ Buf c = BUF_INIT;

                buf_puts(&c, "abc");
                buf_printf(&c, "%.*s|", n, big);
                assert_int_equal(buf_error(&c), 0);
                assert_int_equal(c.len, (size_t)n + 4);
                assert_int_equal(strlen(buf_str(&c)), c.len);
                assert_int_equal(c.data[c.len - 1], '|');
                assert_true(c.len < c.alloc);
        }
        s = buf_steal(&b);
        assert_string_equal(s, "x=5;");
        assert_null(b.data);
        assert_int_equal(b.len + b.alloc, 0);
}

static void test_buf_error_sticks(void **state) {
        _cleanup_buf_ Buf b = BUF_INIT;

        (void)state;
        buf_puts(&b, "abc");
        buf_append(&b, "", SIZE_MAX); /* the sum overflows: nothing is read */
        assert_int_equal(buf_error(&b), -ENOMEM);
        buf_puts(&b, "def");
        buf_printf(&b, "%d", 1);
        assert_int_equal(b.len, 3);
        assert_string_equal(buf_str(&b), "");
        assert_null(buf_steal(&b));
        assert_int_equal(buf_error(&b), 0);
        assert_null(b.data);
        buf_append(&b, "", SIZE_MAX);
        buf_clear(&b);
        buf_puts(&b, "ghi");
        assert_string_equal(buf_str(&b), "ghi");
}

static void test_buf_reserve(void **state) {
        _cleanup_buf_ Buf b = BUF_INIT;
        const char *data;

        (void)state;
        assert_int_equal(buf_reserve(&b, 1000), 0);
        assert_string_equal(b.data, "");
        assert_int_equal(b.alloc, 1001);
        data = b.data;
        for (size_t i = 0; i < 1000; i++)
                buf_putc(&b, 'x');
        assert_ptr_equal(b.data, data);
        assert_int_equal(buf_reserve(&b, SIZE_MAX - 1000), -ENOMEM);
        assert_int_equal(buf_error(&b), 0); /* nothing was lost */
        assert_int_equal(strlen(buf_str(&b)), 1000);
        buf_append(&b, "", SIZE_MAX);
        assert_int_equal(buf_reserve(&b, 1), -ENOMEM);
}

static void test_buf_random(void **state) {
        static char model[200000];
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t len = 0;

        (void)state;
        seed_random();
        for (int i = 0; i < 20000 && len < sizeof(model) - 64; i++) {
                char piece[40];
                size_t n = next_random() % sizeof(piece);

                for (size_t k = 0; k < n; k++)
                        piece[k] = (char)('a' + next_random() % 26);
                switch (next_random() % 3) {
                case 0:
                        buf_append(&b, piece, n);
                        break;
                case 1:
                        buf_printf(&b, "%.*s", (int)n, piece);
                        break;
                default:
                        for (size_t k = 0; k < n; k++)
                                buf_putc(&b, piece[k]);
                }
                memcpy(model + len, piece, n);
                len += n;
                if (next_random() % 2000 == 0) {
                        buf_clear(&b);
                        len = 0;
                }
                assert_int_equal(b.len, len);
                assert_true(!b.data || b.data[len] == '\0');
        }
        assert_memory_equal(buf_str(&b), model, len);
}

/* ---- map ---- */

typedef struct Item {
        uint64_t key;
        char name[24];
        bool in, seen;
} Item;

enum { ITEMS = 400 };

static void check_iteration(const Map *m, Item *items) {
        size_t n = 0, i = 0, in = 0;
        Item *it;

        while ((it = map_next(m, &i))) {
                assert_true(it->in && !it->seen);
                it->seen = true;
                n++;
        }
        for (size_t k = 0; k < ITEMS; k++) {
                in += items[k].in;
                items[k].seen = false;
        }
        assert_int_equal(n, m->n);
        assert_int_equal(n, in);
        assert_true(m->n <= m->used && m->used < (m->size ?: 1));
}

static void run_map(bool strings) {
        static Item items[ITEMS];
        Map m = MAP_INIT;

        memset(items, 0, sizeof(items));
        for (size_t k = 0; k < ITEMS; k++) {
                /* keys that collide in their low bits, 0 and the largest included */
                items[k].key = k == 1 ? UINT64_MAX : (uint64_t)k << (k % 3 * 20);
                for (size_t j = 0; j < k; j++)
                        while (items[j].key == items[k].key) {
                                items[k].key += 1000003;
                                j = 0;
                        }
                snprintf(items[k].name, sizeof(items[k].name), "%zu", k);
        }
        items[0].name[0] = '\0';
        for (int round = 0; round < 60000; round++) {
                /* Phases of growth, of shrinking and of churn at one size. */
                unsigned put_share = (unsigned[]){ 80, 20, 50 }[round / 2000 % 3];
                Item *it = &items[next_random() % ITEMS];

                if (next_random() % 100 < put_share) {
                        int r = strings ? map_put_str(&m, it->name, it) : map_put_u64(&m, it->key, it);

                        assert_int_equal(r, it->in ? -EEXIST : 0);
                        it->in = true;
                } else {
                        void *v = strings ? map_remove_str(&m, it->name) : map_remove_u64(&m, it->key);

                        assert_ptr_equal(v, it->in ? it : NULL);
                        it->in = false;
                }
                it = &items[next_random() % ITEMS];
                assert_ptr_equal(strings ? map_get_str(&m, it->name) : map_get_u64(&m, it->key),
                                 it->in ? it : NULL);
                if (round % 500 == 0)
                        check_iteration(&m, items);
        }
        /* Removing what was just returned is allowed. */
        for (size_t i = 0, n = m.n; n > 0; n--) {
                Item *it = map_next(&m, &i);

                assert_non_null(it);
                it->in = false;
                assert_ptr_equal(strings ? map_remove_str(&m, it->name) : map_remove_u64(&m, it->key), it);
        }
        check_iteration(&m, items);
        map_deinit(&m);
        assert_null(m.slots);
}

static void test_map_u64(void **state) {
        (void)state;
        seed_random();
        run_map(false);
}

static void test_map_str(void **state) {
        char a[] = "same", b[] = "same";
        Map m = MAP_INIT;
        size_t i = 0;

        (void)state;
        seed_random();
        run_map(true);
        assert_null(map_get_str(&m, "x"));
        assert_null(map_remove_str(&m, "x"));
        assert_null(map_next(&m, &i));
        map_deinit(&m);
        /* by content, not by address */
        assert_int_equal(map_put_str(&m, a, a), 0);
        assert_ptr_equal(map_get_str(&m, b), a);
        assert_int_equal(map_put_str(&m, b, b), -EEXIST);
        map_deinit(&m);
}

/* Churn must not grow the table: tombs are swept. */
static void test_map_bounded(void **state) {
        Map m = MAP_INIT;
        int x;

        (void)state;
        for (uint64_t k = 0; k < 100000; k++) {
                assert_int_equal(map_put_u64(&m, k, &x), 0);
                if (k >= 10)
                        assert_ptr_equal(map_remove_u64(&m, k - 10), &x);
        }
        assert_int_equal(m.n, 10);
        assert_true(m.size <= 64);
        map_deinit(&m);
}

/* ---- fdio ---- */

typedef struct Dir {
        char path[32];
        int fd;
} Dir;

static int setup_dir(void **state) {
        Dir *d = calloc(1, sizeof(*d));

        if (!d)
                return -1;
        strcpy(d->path, "/tmp/test-util.XXXXXX");
        if (!mkdtemp(d->path)) {
                free(d);
                return -1;
        }
        d->fd = open(d->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        *state = d;
        return d->fd < 0 ? -1 : 0;
}

static int teardown_dir(void **state) {
        static const char *const names[] = { "file", "link", "fifo", "out", "out.tmp" };
        Dir *d = *state;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                (void)unlinkat(d->fd, names[i], 0);
        (void)unlinkat(d->fd, "dir", AT_REMOVEDIR);
        d->fd = fd_close(d->fd);
        (void)rmdir(d->path);
        free(d);
        return 0;
}

static void put_file(int dirfd, const char *name, const char *text, size_t n) {
        _cleanup_fd_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, n), 0);
}

static void test_fd_close(void **state) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), stolen;

        (void)state;
        errno = ENOTTY;
        assert_int_equal(fd_close(-1), -1);
        assert_int_equal(errno, ENOTTY);
        stolen = steal_fd(&fd);
        assert_int_equal(fd, -1);
        assert_int_equal(fd_close(stolen), -1);
        assert_int_equal(errno, ENOTTY);
        assert_int_equal(fcntl(stolen, F_GETFD), -1);
}

static void test_fd_read_at(void **state) {
        Dir *d = *state;
        char buf[9];

        put_file(d->fd, "file", "1234567", 7);
        assert_int_equal(fd_read_at(d->fd, "file", buf, sizeof(buf)), 7);
        assert_string_equal(buf, "1234567");
        assert_int_equal(fd_read_at(d->fd, "file", buf, 8), -EFBIG);
        assert_int_equal(fd_read_at(d->fd, "file", buf, 2), -EFBIG);
        put_file(d->fd, "file", "", 0);
        assert_int_equal(fd_read_at(d->fd, "file", buf, 2), 0);
        assert_string_equal(buf, "");
        assert_int_equal(fd_read_at(d->fd, "none", buf, sizeof(buf)), -ENOENT);
        assert_int_equal(fd_read_at(d->fd, ".", buf, sizeof(buf)), -EISDIR);
        assert_int_equal(symlinkat("file", d->fd, "link"), 0);
        assert_int_equal(fd_read_at(d->fd, "link", buf, sizeof(buf)), -ELOOP);
}

static void test_fd_write_at(void **state) {
        Dir *d = *state;
        char buf[9];

        put_file(d->fd, "file", "1234", 4);
        assert_int_equal(fd_write_at(d->fd, "file", "max"), 0);
        assert_int_equal(fd_read_at(d->fd, "file", buf, sizeof(buf)), 4);
        assert_string_equal(buf, "max4"); /* not truncated: kernel attributes need no O_TRUNC */
        assert_int_equal(fd_write_at(d->fd, "none", "x"), -ENOENT); /* and nothing is created */
        assert_int_equal(faccessat(d->fd, "none", F_OK, 0), -1);
}

static void test_fd_read_regular(void **state) {
        Dir *d = *state;
        static char big[200000];
        uint64_t mtime = 0;
        uid_t uid = (uid_t)-1;
        size_t len = UNTOUCHED;
        char *s = NULL;

        memset(big, 'z', sizeof(big));
        put_file(d->fd, "file", big, sizeof(big));
        assert_int_equal(fd_read_regular_at(d->fd, "file", sizeof(big), &s, &len, &mtime, &uid), 0);
        assert_int_equal(len, sizeof(big));
        assert_memory_equal(s, big, sizeof(big));
        assert_int_equal(s[len], '\0');
        assert_int_equal(uid, getuid());
        assert_true(mtime > UINT64_C(1000000) * 1600000000);
        free(s);
        s = NULL;
        len = UNTOUCHED;
        assert_int_equal(fd_read_regular_at(d->fd, "file", sizeof(big) - 1, &s, &len, NULL, NULL), -EFBIG);
        assert_int_equal(fd_read_regular_at(d->fd, "none", 10, &s, &len, NULL, NULL), -ENOENT);
        assert_int_equal(symlinkat("file", d->fd, "link"), 0);
        assert_int_equal(fd_read_regular_at(d->fd, "link", 10, &s, &len, NULL, NULL), -ELOOP);
        assert_int_equal(mkfifoat(d->fd, "fifo", 0600), 0);
        assert_int_equal(fd_read_regular_at(d->fd, "fifo", 10, &s, &len, NULL, NULL), -EINVAL); /* at once */
        assert_int_equal(fd_read_regular_at(d->fd, ".", 10, &s, &len, NULL, NULL), -EINVAL);
        assert_int_equal(fd_read_regular_at(AT_FDCWD, "/dev/zero", 10, &s, &len, NULL, NULL), -EINVAL);
        assert_null(s);
        assert_int_equal(len, UNTOUCHED);

        put_file(d->fd, "file", "", 0);
        assert_int_equal(fd_read_regular_at(d->fd, "file", 0, &s, &len, NULL, NULL), 0);
        assert_int_equal(len, 0);
        assert_string_equal(s, "");
        free(s);
        put_file(d->fd, "file", "x", 1);
        assert_int_equal(fd_read_regular_at(d->fd, "file", 0, &s, &len, NULL, NULL), -EFBIG);
        assert_int_equal(fd_read_regular_at(d->fd, "file", SIZE_MAX, &s, &len, NULL, NULL), 0);
        assert_string_equal(s, "x");
        free(s);
}

/* Files of /proc say that they have no size. kallsyms has megabytes. */
static void test_fd_read_sizeless(void **state) {
        struct stat st;
        size_t len = 0;
        char *s = NULL;

        (void)state;
        assert_int_equal(fd_read_regular_at(AT_FDCWD, "/proc/self/status", 65536, &s, &len, NULL, NULL), 0);
        assert_int_equal(len, strlen(s));
        free(s);
        if (stat("/proc/kallsyms", &st) < 0 || st.st_size > 0)
                skip();
        assert_int_equal(fd_read_regular_at(AT_FDCWD, "/proc/kallsyms", 100, &s, &len, NULL, NULL), -EFBIG);
        assert_int_equal(fd_read_regular_at(AT_FDCWD, "/proc/kallsyms", 100000, &s, &len, NULL, NULL),
                         -EFBIG);
        assert_int_equal(fd_read_regular_at(AT_FDCWD, "/proc/kallsyms", 1 << 26, &s, &len, NULL, NULL), 0);
        assert_true(len > 100000);
        free(s);
}

static void test_fd_write_all(void **state) {
        _cleanup_fd_ int in = -1, out = -1;
        int p[2];

        (void)state;
        assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
        in = p[0];
        out = p[1];
        assert_int_equal(fd_write_all(out, NULL, 0), 0);
        assert_int_equal(fd_write_all(out, "abc", 3), 0);
        assert_int_equal(fd_write_all(-1, "abc", 3), -EBADF);
}

static void test_fd_write_atomic(void **state) {
        Dir *d = *state;
        char buf[32];
        struct stat st;

        for (int sync = 0; sync < 2; sync++) {
                put_file(d->fd, "out.tmp", "left by a crash", 15);
                assert_int_equal(fd_write_file_atomic(d->fd, "out", "new", 3, 0640, sync), 0);
                assert_int_equal(fd_read_at(d->fd, "out", buf, sizeof(buf)), 3);
                assert_string_equal(buf, "new");
                assert_int_equal(fstatat(d->fd, "out.tmp", &st, 0), -1);
                assert_int_equal(fstatat(d->fd, "out", &st, 0), 0);
                assert_int_equal(st.st_mode & 0137, 0);
        }
        /* a symlink is replaced, not followed */
        put_file(d->fd, "file", "old", 3);
        assert_int_equal(unlinkat(d->fd, "out", 0), 0);
        assert_int_equal(symlinkat("file", d->fd, "out"), 0);
        assert_int_equal(fd_write_file_atomic(d->fd, "out", "", 0, 0600, false), 0);
        assert_int_equal(fd_read_at(d->fd, "out", buf, sizeof(buf)), 0);
        assert_int_equal(fd_read_at(d->fd, "file", buf, sizeof(buf)), 3);
        /* nothing is left behind where it fails */
        assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
        assert_int_equal(fd_write_file_atomic(d->fd, "dir", "x", 1, 0600, false), -EISDIR);
        assert_int_equal(fstatat(d->fd, "dir.tmp", &st, 0), -1);
        assert_int_equal(fd_write_file_atomic(d->fd, "no/out", "x", 1, 0600, false), -ENOENT);
}

/* ---- bytes ---- */

static void test_bytes(void **state) {
        static const struct {
                uint64_t v;
                size_t n;
                uint8_t bytes[8];
        } table[] = {
                { 0x0102030405060708, 8, { 8, 7, 6, 5, 4, 3, 2, 1 } },
                { 0x0102, 2, { 2, 1 } },
                { 0xff, 1, { 0xff } },
                { UINT64_MAX, 4, { 0xff, 0xff, 0xff, 0xff } }, /* what does not fit is cut */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                size_t n = table[i].n;
                uint8_t b[8] = {};

                bytes_put_le(b, n, table[i].v);
                assert_memory_equal(b, table[i].bytes, sizeof(b));
                assert_true(bytes_get_le(b, n) ==
                            (n < 8 ? table[i].v & ((UINT64_C(1) << 8 * n) - 1) : table[i].v));
        }
        /* Test vectors of draft-eastlake-fnv. */
        assert_true(bytes_fnv1a(FNV_BASIS, "", 0) == FNV_BASIS);
        assert_true(bytes_fnv1a(FNV_BASIS, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
        assert_true(bytes_fnv1a(FNV_BASIS, "foobar", 6) == UINT64_C(0x85944171f73967e8));
        assert_true(bytes_fnv1a(bytes_fnv1a(FNV_BASIS, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

/* ---- macro ---- */

/* ---- loghist ---- */

static void test_loghist(void **state) {
        LogHist h = {};
        (void)state;

        assert_int_equal(loghist_quantile(&h, 5000), 0);
        loghist_add(&h, 7);
        assert_int_equal(loghist_quantile(&h, 0), 7);
        assert_int_equal(loghist_quantile(&h, 9900), 7);
        h = (LogHist){};
        for (uint64_t v = 1; v <= 10000; v++)
                loghist_add(&h, v);
        for (unsigned q = 100; q <= 9900; q += 100) {
                uint64_t got = loghist_quantile(&h, q);

                assert_true(got * 8 >= q * 7 && got * 8 <= q * 9); /* an eighth */
        }
        assert_int_equal(loghist_quantile(&h, 10000), 10000);
        assert_int_equal(h.max, 10000);
        assert_int_equal(h.last, 10000);
        for (unsigned shift = 0; shift < 64; shift++)
                loghist_add(&h, UINT64_C(1) << shift);
        loghist_add(&h, UINT64_MAX);
        loghist_add(&h, 0);
        assert_int_equal(h.n, 10066);
        assert_int_equal(loghist_quantile(&h, 10000), UINT64_MAX);
        assert_true(loghist_quantile(&h, 9999) > UINT64_MAX / 16 * 3); /* 2^62 */
}

static void test_macros(void **state) {
        int *a = NULL, x = 1, *p = &x, *q;
        size_t n = 0, alloc = 0;

        (void)state;
        q = steal_ptr(p);
        assert_null(p);
        assert_ptr_equal(q, &x);
        for (; n < 1000; n++) {
                assert_int_equal(GROW(a, n, alloc), 0);
                assert_true(n < alloc);
                a[n] = (int)n;
        }
        for (size_t i = 0; i < n; i++)
                assert_int_equal(a[i], i);
        free(a);
        assert_int_equal(MIN_OF(1, 2), 1);
        assert_int_equal(MAX_OF(1, 2), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_allowance),
                cmocka_unit_test(test_allowance_random),
                cmocka_unit_test(test_num_parse),
                cmocka_unit_test(test_num_scan),
                cmocka_unit_test(test_num_hex),
                cmocka_unit_test(test_num_arithmetic),
                cmocka_unit_test(test_buf),
                cmocka_unit_test(test_buf_error_sticks),
                cmocka_unit_test(test_buf_reserve),
                cmocka_unit_test(test_buf_random),
                cmocka_unit_test(test_map_u64),
                cmocka_unit_test(test_map_str),
                cmocka_unit_test(test_map_bounded),
                cmocka_unit_test(test_fd_close),
                cmocka_unit_test_setup_teardown(test_fd_read_at, setup_dir, teardown_dir),
                cmocka_unit_test_setup_teardown(test_fd_write_at, setup_dir, teardown_dir),
                cmocka_unit_test_setup_teardown(test_fd_read_regular, setup_dir, teardown_dir),
                cmocka_unit_test(test_fd_read_sizeless),
                cmocka_unit_test(test_fd_write_all),
                cmocka_unit_test_setup_teardown(test_fd_write_atomic, setup_dir, teardown_dir),
                cmocka_unit_test(test_bytes),
                cmocka_unit_test(test_loghist),
                cmocka_unit_test(test_macros),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
