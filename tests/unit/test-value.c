/* SPDX-License-Identifier: Apache-2.0 */

/* Policy values against what systemd 252 makes of the same text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "random.h"
#include "value.h"

#define K (UINT64_C(1) << 10)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define UNTOUCHED UINT64_C(0xdeadbeef)

static void check(const char *what, const char *text, int r, int want_r, uint64_t v, uint64_t want) {
        if (r != want_r || v != (want_r < 0 ? UNTOUCHED : want))
                fail_msg("%s \"%s\": %d, %llu; expected %d, %llu", what, text, r, (unsigned long long)v,
                         want_r, (unsigned long long)want);
}

static void test_size(void **state) {
        static const struct {
                const char *text;
                uint64_t base;
                int r;
                uint64_t v;
        } rows[] = {
                { "0", 1024, 0, 0 },
                { "1", 1024, 0, 1 },
                { "512M", 1024, 0, 512 * M },
                { "200M", 1000, 0, 200000000 },
                { "1.5G", 1024, 0, 3 * G / 2 },
                { "1.5", 1024, 0, 1 },
                { "1.5B", 1024, 0, 1 },
                { "10.M", 1024, 0, 10 * M },
                { "0.29K", 1000, 0, 290 },
                { "7.123456K", 1024, 0, 7294 },
                { "5B", 1000, 0, 5 },
                { "+5", 1024, 0, 5 },
                { "  5", 1024, 0, 5 },
                { "5  ", 1024, 0, 5 },
                { "5 K", 1024, 0, 5 * K },
                { "1G 500M", 1024, 0, G + 500 * M },
                { "1G500M", 1024, 0, G + 500 * M },
                { "1G 5", 1024, 0, G + 5 },
                { "15E", 1024, 0, UINT64_C(15) << 60 },
                { "14.5E", 1024, 0, UINT64_C(29) << 59 },
                { "15.5E", 1024, -ERANGE, 0 }, /* would fit; systemd is careful */
                { "15.99999999999999999E", 1024, -ERANGE, 0 }, /* fraction 1.0 in a double */
                { "18446744073709551614", 1024, 0, UINT64_MAX - 1 },
                { "infinity", 1024, 0, UINT64_MAX },
                { "18446744073709551615", 1024, -ERANGE, 0 },
                { "18446744073709551616", 1024, -ERANGE, 0 },
                { "18446744073709551615.5E", 1024, -ERANGE, 0 },
                { "16E", 1024, -ERANGE, 0 },
                { "15E 1024P", 1024, -ERANGE, 0 },
                { "1.333333333333333333333", 1024, -ERANGE, 0 },
                { "-5", 1024, -ERANGE, 0 },
                { "1G -5M", 1024, -ERANGE, 0 },
                { "", 1024, -EINVAL, 0 },
                { " ", 1024, -EINVAL, 0 },
                { "1G ", 1024, -EINVAL, 0 },
                { "1M 1G", 1024, -EINVAL, 0 },
                { "1M 1M", 1024, -EINVAL, 0 },
                { "1 1", 1024, -EINVAL, 0 },
                { "1k", 1024, -EINVAL, 0 },
                { "1KB", 1024, -EINVAL, 0 },
                { "1Ki", 1024, -EINVAL, 0 },
                { ".5G", 1024, -EINVAL, 0 },
                { "1,5G", 1024, -EINVAL, 0 },
                { "0x10", 1024, -EINVAL, 0 },
                { "-", 1024, -EINVAL, 0 },
                { "+-5", 1024, -EINVAL, 0 },
                { "\v5", 1024, -EINVAL, 0 },
                { "Infinity", 1024, -EINVAL, 0 },
                { "infinity ", 1024, -EINVAL, 0 },
                { "max", 1024, -EINVAL, 0 },
                { "1", 10, -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t v = UNTOUCHED;
                int r = value_parse_size(rows[i].text, rows[i].base, &v);

                check("size", rows[i].text, r, rows[i].r, v, rows[i].v);
        }
}

static void test_permyriad(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t v;
        } rows[] = {
                { "0%", 0, 0 },
                { "10%", 0, 1000 },
                { "12.5%", 0, 1250 },
                { "12.05%", 0, 1205 },
                { "0.01%", 0, 1 },
                { "400%", 0, 40000 },
                { " 5%", 0, 500 },
                { "+5%", 0, 500 },
                { "010%", 0, 800 },
                { "0x10%", 0, 1600 },
                { "0b10%", 0, 200 },
                { "125‰", 0, 1250 },
                { "12.5‰", 0, 125 },
                { "7‱", 0, 7 },
                { "21474836.47%", 0, INT32_MAX },
                { "21474836.48%", -ERANGE, 0 },
                { "99999999999999999999%", -ERANGE, 0 },
                { "-5%", -ERANGE, 0 },
                { "-0.5%", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "%", -EINVAL, 0 },
                { "10", -EINVAL, 0 },
                { "10 %", -EINVAL, 0 },
                { "10% ", -EINVAL, 0 },
                { "10%%", -EINVAL, 0 },
                { ".5%", -EINVAL, 0 },
                { "1.%", -EINVAL, 0 },
                { "1.234%", -EINVAL, 0 },
                { "1.x%", -EINVAL, 0 },
                { "1.23‰", -EINVAL, 0 },
                { "1.2‱", -EINVAL, 0 },
                { "08%", -EINVAL, 0 },
                { "0x%", -EINVAL, 0 },
                { "ten%", -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t v = UNTOUCHED;
                int r = value_parse_permyriad(rows[i].text, &v);

                check("permyriad", rows[i].text, r, rows[i].r, v, rows[i].v);
        }
}

static void test_usec(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t v;
        } rows[] = {
                /* all as systemd-analyze timespan has them */
                { "0", 0, 0 },
                { "5", 0, 5000000 },
                { "+5", 0, 5000000 },
                { "010", 0, 10000000 },
                { "5 6", 0, 11000000 },
                { "5s6", 0, 11000000 },
                { ".5s", 0, 500000 },
                { "1.5 .5", 0, 2000000 },
                { "infinity", 0, USEC_INFINITY },
                { " infinity ", 0, USEC_INFINITY },
                { "5us", 0, 5 },
                { "5\xc2\xb5s", 0, 5 },
                { "5\xce\xbcs", 0, 5 },
                { "1usec", 0, 1 },
                { "500ms", 0, 500000 },
                { "1msec", 0, 1000 },
                { "1sec", 0, 1000000 },
                { "2seconds", 0, 2000000 },
                { "1 s", 0, 1000000 },
                { "1m", 0, 60000000 },
                { "1min 30s", 0, 90000000 },
                { "2 minutes", 0, 120000000 },
                { "1min1min", 0, 120000000 },
                { "1h", 0, UINT64_C(3600000000) },
                { "1hr", 0, UINT64_C(3600000000) },
                { "2hours", 0, UINT64_C(7200000000) },
                { "1d", 0, UINT64_C(86400000000) },
                { "1w", 0, UINT64_C(604800000000) },
                { "1M", 0, UINT64_C(2629800000000) },
                { "2months", 0, UINT64_C(5259600000000) },
                { "3.1y", 0, UINT64_C(97828560000000) },
                { "1.23456789s", 0, 1234567 },
                { "0.0000001s", 0, 0 },
                { "9223372036854775807us", 0, INT64_MAX },
                { "9223372036854775808us", -ERANGE, 0 },
                { "584543y", -ERANGE, 0 },
                { "9223372036854775807us 9223372036854775807us 1us", -ERANGE, 0 },
                { "-5", -ERANGE, 0 },
                { "-0", -ERANGE, 0 },
                { "5s -1s", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { ".", -EINVAL, 0 },
                { "1.", -EINVAL, 0 },
                { "1.s", -EINVAL, 0 },
                { "+.5", -EINVAL, 0 },
                { "1.5.5", -EINVAL, 0 },
                { "1,5s", -EINVAL, 0 },
                { "5foo", -EINVAL, 0 },
                { "5 foo", -EINVAL, 0 },
                { "5sx", -EINVAL, 0 },
                { "5S", -EINVAL, 0 },
                { "1ns", -EINVAL, 0 },
                { "0x10", -EINVAL, 0 },
                { "infinitys", -EINVAL, 0 },
                { "5s infinity", -EINVAL, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t v = UNTOUCHED;
                int r = value_parse_usec(rows[i].text, &v);

                check("time", rows[i].text, r, rows[i].r, v, rows[i].v);
        }
}

static void test_boolean(void **state) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on", "YES", "On" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off", "No", "FALSE" };
        static const char *const bad[] = { "", "2", "yess", "ye", " yes", "yes ", "01", "\xd9" };
        bool v;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                v = false;
                assert_int_equal(value_parse_boolean(yes[i], &v), 0);
                assert_true(v);
                assert_int_equal(value_parse_boolean(no[i], &v), 0);
                assert_false(v);
                v = true;
                assert_int_equal(value_parse_boolean(bad[i], &v), -EINVAL);
                assert_true(v);
        }
}

static void test_rate(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t count;
                usec_t window;
        } rows[] = {
                { "4/1h", 0, 4, UINT64_C(3600000000) },
                { "0/1h", 0, 0, UINT64_C(3600000000) },
                { "10 / 1min 30s", 0, 10, 90000000 },
                { "4/5", 0, 4, 5000000 },
                { "4/0", -ERANGE, 0, 0 },
                { "4/infinity", -ERANGE, 0, 0 },
                { "4/", -EINVAL, 0, 0 },
                { "4", -EINVAL, 0, 0 },
                { "/1h", -EINVAL, 0, 0 },
                { "", -EINVAL, 0, 0 },
                { "-4/1h", -EINVAL, 0, 0 },
                { "4.5/1h", -EINVAL, 0, 0 },
                { "4/1h/1h", -EINVAL, 0, 0 },
                { "99999999999999999999/1h", -ERANGE, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t count = UNTOUCHED, window = UNTOUCHED;
                int r = value_parse_rate(rows[i].text, &count, &window);

                check("count", rows[i].text, r, rows[i].r, count, rows[i].count);
                check("window", rows[i].text, r, rows[i].r, window, rows[i].window);
        }
}

static void test_range(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t from, to;
        } rows[] = {
                { "2000", 0, 2000, 2000 },
                { "2000-2099", 0, 2000, 2099 },
                { "0-0", 0, 0, 0 },
                { "18446744073709551615", 0, UINT64_MAX, UINT64_MAX },
                { "2099-2000", -EINVAL, 0, 0 },
                { "2000-", -EINVAL, 0, 0 },
                { "-2000", -EINVAL, 0, 0 },
                { "2000 - 2099", -EINVAL, 0, 0 },
                { "2000-2099-", -EINVAL, 0, 0 },
                { "", -EINVAL, 0, 0 },
                { "1-99999999999999999999", -ERANGE, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t from = UNTOUCHED, to = UNTOUCHED;
                int r = value_parse_range(rows[i].text, &from, &to);

                check("from", rows[i].text, r, rows[i].r, from, rows[i].from);
                check("to", rows[i].text, r, rows[i].r, to, rows[i].to);
        }
}

static void test_format(void **state) {
        static const struct {
                uint64_t v, base; /* base 0: a time */
                const char *text;
        } rows[] = {
                { 0, 0, "0" },
                { 1, 0, "1us" },
                { 250000, 0, "250ms" },
                { 1500000, 0, "1s 500ms" },
                { 90000000, 0, "1min 30s" },
                { UINT64_C(3600000000), 0, "1h" },
                { UINT64_C(31557600000000), 0, "1y" },
                { USEC_INFINITY, 0, "infinity" },
                { 0, 1024, "0" },
                { 1, 1024, "1B" },
                { 1023, 1024, "1023B" },
                { 1500, 1024, "1500B" },
                { 10 * K, 1024, "10K" },
                { 512 * M, 1024, "512M" },
                { 3 * G / 2, 1024, "1.5G" },
                { 1100 * M, 1024, "1100M" },
                { 1000000, 1024, "976.6K" },
                { G - 1, 1024, "1G" },
                { 10 * G - 1, 1024, "10G" },
                { UINT64_C(1) << 60, 1024, "1E" },
                { UINT64_MAX - 1, 1024, "16E" },
                { 200000000, 1000, "200M" },
                { 5250000, 1000, "5250K" },
                { 999999999, 1000, "1G" },
                { UINT64_MAX, 1000, "infinity" },
        };
        char buf[VALUE_FORMAT_MAX];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *s = rows[i].base ? value_format_size(rows[i].v, rows[i].base, buf, sizeof(buf))
                                             : value_format_usec(rows[i].v, buf, sizeof(buf));

                assert_ptr_equal(s, buf);
                assert_string_equal(buf, rows[i].text);
        }
        assert_string_equal(value_format_bytes(3 * K, buf, sizeof(buf)), "3K");
        /* a short buffer cuts, and stays terminated */
        for (size_t n = 1; n < 12; n++) {
                memset(buf, 'x', sizeof(buf));
                assert_true(strlen(value_format_usec(90000001, buf, n)) < n);
                assert_int_equal(buf[n], 'x');
                assert_true(strlen(value_format_bytes(1000000, buf, n)) < n);
                assert_int_equal(buf[n], 'x');
        }
}

static void test_format_round_trip(void **state) {
        char buf[VALUE_FORMAT_MAX];

        (void)state;
        seed_random();
        for (int i = 0; i < 20000; i++) {
                uint64_t v = next_random() >> (next_random() & 63), back;
                uint64_t base = i & 1 ? 1000 : 1024;

                if (v <= INT64_MAX) {
                        assert_int_equal(value_parse_usec(value_format_usec(v, buf, sizeof(buf)), &back), 0);
                        assert_true(back == v);
                }
                assert_true(strlen(value_format_usec(v, buf, sizeof(buf))) < sizeof(buf) - 1);
                /* sizes: within half a tenth of the unit, that is 5 % at most */
                value_format_size(v, base, buf, sizeof(buf));
                if (value_parse_size(buf, base, &back) == 0)
                        assert_true((back > v ? back - v : v - back) <= v / 20 + 1);
                else /* systemd takes no fraction there */
                        assert_true(v >= UINT64_C(15) << 60);
        }
        for (uint64_t v = 1; v < 10000; v++) {
                value_format_bytes(v * M, buf, sizeof(buf));
                assert_int_equal(value_parse_size(buf, 1024, &(uint64_t){ 0 }), 0);
        }
}

static void test_glob(void **state) {
        static const struct {
                const char *pattern, *text;
                bool match;
        } rows[] = {
                { "", "", true },
                { "", "a", false },
                { "*", "", true },
                { "**", "", true },
                { "*", "a/b", true },
                { "a", "a", true },
                { "a", "A", false },
                { "a*", "a", true },
                { "a*c", "abbc", true },
                { "a*c", "abbcd", false },
                { "*a*b*c*", "xxaxxbxxcxx", true },
                { "*a*b*c*", "xxaxxcxxbxx", false },
                { "*ab", "aab", true },
                { "a?c", "abc", true },
                { "a?c", "ac", false },
                { "?", "", false },
                { "*?", "", false },
                { "[abc]", "b", true },
                { "[abc]", "d", false },
                { "[a-c]x", "bx", true },
                { "[!a-c]", "d", true },
                { "[^a-c]", "b", false },
                { "[!a]", "", false },
                { "[]]", "]", true },
                { "[]-a]", "^", true },
                { "[!]]", "]", false },
                { "[a-]", "-", true },
                { "[c-a]", "b", false },
                { "[\\]]", "]", true },
                { "[a\\-z]", "-", true },
                { "[a\\-z]", "m", false },
                { "[", "[", true },
                { "[abc", "[abc", true },
                { "[]", "[]", true },
                { "a[", "a[", true },
                { "\\*", "*", true },
                { "\\*", "a", false },
                { "\\[a]", "[a]", true },
                { "a\\", "a\\", true },
                { "\\\\", "\\", true },
                { "[\x80-\xff]", "\xc3", true },
                { "tenant-*.slice", "tenant-acme.slice", true },
                { "acme-*", "other", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (value_glob(rows[i].pattern, rows[i].text) != rows[i].match)
                        fail_msg("\"%s\" on \"%s\"", rows[i].pattern, rows[i].text);
}

/* What a glob means, without a thought for its price. */
static bool naive_glob(const char *p, const char *t) {
        if (!*p)
                return !*t;
        if (*p == '*')
                return naive_glob(p + 1, t) || (*t && naive_glob(p, t + 1));
        return *t && (*p == '?' || *p == *t) && naive_glob(p + 1, t + 1);
}

static void test_glob_random(void **state) {
        static char text[20001], pattern[] = "*a*a*a*a*a*a*a*a*a*a*b";
        char p[9], t[11];

        (void)state;
        seed_random();
        for (int i = 0; i < 50000; i++) {
                size_t n = next_random() % sizeof(p), m = next_random() % sizeof(t);

                for (size_t k = 0; k < n; k++)
                        p[k] = "ab?**"[next_random() % 5];
                for (size_t k = 0; k < m; k++)
                        t[k] = "ab"[next_random() % 2];
                p[n] = t[m] = '\0';
                if (value_glob(p, t) != naive_glob(p, t))
                        fail_msg("\"%s\" on \"%s\"", p, t);
        }
        /* the classic bomb */
        memset(text, 'a', sizeof(text) - 1);
        assert_false(value_glob(pattern, text));
}

static void test_glob_capture(void **state) {
        static const struct {
                const char *pattern, *text, *part; /* NULL: no match */
        } rows[] = {
                { "*", "", "" },
                { "*", "abc", "abc" },
                { "tenant-*.slice", "tenant-acme.slice", "acme" },
                { "tenant-*.slice", "tenant-.slice", "" },
                { "tenant-*.slice", "tenant.slice", NULL },
                { "ab*ba", "aba", NULL }, /* head and tail may not share */
                { "a?*", "abc", "c" },
                { "[ab]*", "bcd", "cd" },
                { "*[0-9]", "x1", "x" },
                { "\\**", "*x", "x" },
                { "[*]*", "*x", "x" },
                { "**", "a", NULL },
                { "a", "a", NULL },
                { "", "", NULL },
                { "x*", "abc", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                size_t off = UNTOUCHED, len = UNTOUCHED;

                if (!value_glob_capture(rows[i].pattern, rows[i].text, &off, &len)) {
                        if (rows[i].part)
                                fail_msg("\"%s\" on \"%s\"", rows[i].pattern, rows[i].text);
                        assert_true(off == UNTOUCHED && len == UNTOUCHED);
                        continue;
                }
                assert_non_null(rows[i].part);
                assert_true(value_glob(rows[i].pattern, rows[i].text));
                assert_int_equal(len, strlen(rows[i].part));
                assert_memory_equal(rows[i].text + off, rows[i].part, len);
        }
}

static void test_suggest(void **state) {
        static const char *const keys[] = { "MemoryMax", "MemoryHigh", "MemoryMin", "CPUQuota",
                                            "Kill",      "Mode",       "TasksMax" };
        static const struct {
                const char *word, *near;
        } rows[] = {
                { "MemoryMax", "MemoryMax" },
                { "MemroyMax", "MemoryMax" },
                { "Memorymax", "MemoryMax" },
                { "cpuquota", "CPUQuota" },
                { "MemoryHihg", "MemoryHigh" },
                { "MemoryLimit", "MemoryMin" },
                { "TaskMax", "TasksMax" },
                { "Kil", "Kill" },
                { "Kl", NULL },
                { "Mdoe", "Mode" },
                { "Nod", NULL },
                { "x", NULL },
                { "", NULL },
                { "Restart", NULL },
        };
        char longest[300];

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *s = value_suggest(rows[i].word, keys, ARRAY_SIZE(keys));

                if (!s || !rows[i].near ? s != rows[i].near : !STR_EQ(s, rows[i].near))
                        fail_msg("\"%s\": \"%s\"", rows[i].word, s ? s : "(none)");
        }
        memset(longest, 'a', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        assert_null(value_suggest(longest, keys, ARRAY_SIZE(keys)));
        assert_null(value_suggest("aaaa", &(const char *){ longest }, 1));
        assert_null(value_suggest("Mode", NULL, 0));
        assert_null(value_suggest("x", &(const char *){ "y" }, 1)); /* nothing in common */
        /* 64 letters still fit */
        longest[64] = '\0';
        assert_non_null(value_suggest(longest, &(const char *){ longest }, 1));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_size),         cmocka_unit_test(test_permyriad),
                cmocka_unit_test(test_usec),         cmocka_unit_test(test_boolean),
                cmocka_unit_test(test_rate),         cmocka_unit_test(test_range),
                cmocka_unit_test(test_format),       cmocka_unit_test(test_format_round_trip),
                cmocka_unit_test(test_glob),         cmocka_unit_test(test_glob_random),
                cmocka_unit_test(test_glob_capture), cmocka_unit_test(test_suggest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
