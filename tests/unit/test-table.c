/* SPDX-License-Identifier: Apache-2.0 */

/* Tables and escaped text: what a terminal is sent, byte by byte. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "table.h"

static void test_escape(void **state) {
        static const struct {
                const char *text, *utf8, *ascii;
        } rows[] = {
                { "web-1", "web-1", "web-1" },
                { "", "", "" },
                { "a\x1b[31mb", "a\\x1b[31mb", "a\\x1b[31mb" },
                { "a\nb\tc\r", "a\\x0ab\\x09c\\x0d", "a\\x0ab\\x09c\\x0d" },
                { "\x7f", "\\x7f", "\\x7f" },
                { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "gr??" },
                { "\xc2\x9b"
                  "31m",
                  "\\xc2\\x9b31m", "\\xc2\\x9b31m" }, /* C1: CSI in one character */
                { "\x9b"
                  "31m",
                  "\\x9b31m", "\\x9b31m" },
                { "a\xe2\x80\xae"
                  "b",
                  "a\\xe2\\x80\\xaeb", "a\\xe2\\x80\\xaeb" }, /* right-to-left override */
                { "a\xe2\x80\x8b"
                  "b",
                  "a\\xe2\\x80\\x8bb", "a\\xe2\\x80\\x8bb" }, /* zero width space */
                { "\xc0\x8a", "\\xc0\\x8a", "\\xc0\\x8a" }, /* overlong newline */
                { "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80" }, /* surrogate */
                { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\xf4\\x90\\x80\\x80" }, /* beyond Unicode */
                { "x\xe2\x82", "x\\xe2\\x82", "x\\xe2\\x82" }, /* cut short */
                { "\xf0\x9f\x90\xb3", "\xf0\x9f\x90\xb3", "?" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf utf8 = BUF_INIT, ascii = BUF_INIT;

                text_escape(&utf8, rows[i].text, true, false);
                text_escape(&ascii, rows[i].text, false, false);
                assert_string_equal(buf_str(&utf8), rows[i].utf8);
                assert_string_equal(buf_str(&ascii), rows[i].ascii);
        }
        _cleanup_buf_ Buf lines = BUF_INIT;
        text_escape(&lines, "a\nb\rc", true, true);
        assert_string_equal(buf_str(&lines), "a\nb\\x0dc");
}

/* Whatever bytes come in, only printable ones go out. */
static void test_escape_any(void **state) {
        uint32_t seed = 20261121;

        (void)state;
        print_message("seed %u\n", seed);
        for (unsigned round = 0; round < 20000; round++) {
                _cleanup_buf_ Buf b = BUF_INIT;
                char text[16] = "";

                for (size_t i = 0; i < sizeof(text) - 1; i++) {
                        seed = seed * 1664525U + 1013904223U;
                        text[i] = (char)(seed >> 24);
                }
                text_escape(&b, text, false, false);
                for (const char *p = buf_str(&b); *p; p++)
                        assert_in_range((unsigned char)*p, 0x20, 0x7e);
        }
}

static void test_width(void **state) {
        (void)state;
        assert_int_equal(text_width(""), 0);
        assert_int_equal(text_width("abc"), 3);
        assert_int_equal(text_width("gr\xc3\xbc\xc3\x9f"), 4);
        assert_int_equal(text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two wide ones */
        assert_int_equal(text_width("e\xcc\x81"), 1); /* e and a combining accent */
        assert_int_equal(text_width("\xf0\x9f\x90\xb3"), 2);
}

static void test_cut(void **state) {
        static const struct {
                const char *text;
                size_t width;
                bool middle;
                const char *expected;
        } rows[] = {
                { "abcdef", 6, false, "abcdef" },
                { "abcdef", 5, false, "abcd~" },
                { "abcdef", 1, false, "~" },
                { "abcdef", 0, false, "" },
                { "/a/b/c/d", 5, true, "/a~/d" },
                { "/a/b/c/d", 4, true, "/~/d" },
                { "\xe6\x97\xa5\xe6\x9c\xac", 3, false, "\xe6\x97\xa5~" },
                { "\xe6\x97\xa5\xe6\x9c\xac", 2, false, "~" }, /* half a character is none */
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf b = BUF_INIT;

                text_cut(&b, rows[i].text, rows[i].width, false, rows[i].middle);
                assert_string_equal(buf_str(&b), rows[i].expected);
        }
}

static char *print(const Table *t, View v, unsigned indent) {
        char *text = NULL;
        size_t n;

        v.out = open_memstream(&text, &n);
        assert_non_null(v.out);
        assert_int_equal(table_print(t, &v, indent), 0);
        assert_int_equal(fclose(v.out), 0);
        return text;
}

static Table *sample(void) {
        Table *t = table_new();

        assert_non_null(t);
        table_column(t, "NAME", TABLE_CUT);
        table_column(t, "MEMORY", TABLE_RIGHT);
        table_column(t, "STATE", 0);
        table_cell(t, STYLE_PLAIN, "web");
        table_cell(t, STYLE_PLAIN, "12M/1G");
        table_cell(t, STYLE_GOOD, "ok");
        table_cell(t, STYLE_PLAIN, "a-long-name-of-a-database");
        table_cellf(t, STYLE_PLAIN, "%dM", 7);
        table_cell(t, STYLE_BAD, NULL);
        return t;
}

static void test_table(void **state) {
        _cleanup_(cleanup_table_free) Table *t = sample();
        _cleanup_free_ char *wide = NULL, *narrow = NULL, *tiny = NULL, *color = NULL;

        (void)state;
        assert_int_equal(table_rows(t), 2);
        wide = print(t, (View){ .utf8 = true }, 0);
        assert_string_equal(wide, "NAME                       MEMORY  STATE\n"
                                  "web                        12M/1G  ok\n"
                                  "a-long-name-of-a-database      7M  -\n");
        narrow = print(t, (View){ .utf8 = true, .width = 32 }, 2);
        assert_string_equal(narrow, "  NAME             MEMORY  STATE\n"
                                    "  web              12M/1G  ok\n"
                                    "  a-long-name-of\xe2\x80\xa6      7M  -\n");
        /* What cannot give way does not. */
        tiny = print(t, (View){ .width = 10 }, 0);
        assert_string_equal(tiny, "NAME      MEMORY  STATE\n"
                                  "web       12M/1G  ok\n"
                                  "a-long-~      7M  -\n");
        color = print(t, (View){ .color = true }, 0);
        assert_non_null(strstr(color, "\x1b[0;32mok\x1b[0m\n"));
        assert_non_null(strstr(color, "\x1b[1mNAME\x1b[0m  "));
}

/* Whole columns give way where cutting is not enough, and it is told how many. */
static void test_left_out(void **state) {
        static const struct {
                unsigned width;
                int left_out;
                const char *header;
        } rows[] = {
                { 0, 0, "NAME                  ENGINE      MODE     MEMORY  STATE\n" },
                { 56, 0, "NAME                  ENGINE      MODE     MEMORY  STATE\n" },
                { 44, 0, "NAME      ENGINE      MODE     MEMORY  STATE\n" }, /* cut as far as it goes */
                { 43, 1, "NAME              ENGINE      MEMORY  STATE\n" },
                { 31, 2, "NAME              MEMORY  STATE\n" },
                { 20, 3, "NAME           STATE\n" },
                { 5, 3, "NAME      STATE\n" },
        };
        _cleanup_(cleanup_table_free) Table *t = table_new();

        (void)state;
        table_column(t, "NAME", TABLE_CUT);
        table_column(t, "ENGINE", TABLE_DROP);
        table_column(t, "MODE", TABLE_DROP);
        table_column(t, "MEMORY", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "STATE", 0);
        table_cell(t, STYLE_PLAIN, "a-database-of-theirs");
        table_cell(t, STYLE_PLAIN, "containerd");
        table_cell(t, STYLE_PLAIN, "observe");
        table_cell(t, STYLE_PLAIN, "7M");
        table_cell(t, STYLE_PLAIN, "ok");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                View v = { .width = rows[i].width };
                _cleanup_free_ char *text = NULL;
                size_t n;

                v.out = open_memstream(&text, &n);
                assert_non_null(v.out);
                assert_int_equal(table_print(t, &v, 0), rows[i].left_out);
                assert_int_equal(fclose(v.out), 0);
                *(strchr(text, '\n') + 1) = '\0';
                assert_string_equal(text, rows[i].header);
        }
}

static void test_hostile_cells(void **state) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        _cleanup_free_ char *text = NULL;

        (void)state;
        table_column(t, "A", 0);
        table_column(t, "B", 0);
        table_cell(t, STYLE_PLAIN, "x\x1b]0;evil\x07");
        table_cell(t, STYLE_PLAIN, "one\ntwo");
        text = print(t, (View){ .utf8 = true }, 0);
        assert_string_equal(text, "A                 B\nx\\x1b]0;evil\\x07  one\\x0atwo\n");
}

static void test_misuse(void **state) {
        _cleanup_(cleanup_table_free) Table *empty = table_new(), *many = table_new();
        _cleanup_free_ char *text = NULL;
        View v = { .out = stderr };

        (void)state;
        text = print(empty, (View){}, 0);
        assert_string_equal(text, "");
        for (size_t i = 0; i < TABLE_COLUMNS_MAX + 1; i++)
                table_column(many, "X", 0);
        assert_int_equal(table_print(many, &v, 0), -EINVAL);
        assert_null(table_free(NULL));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_escape), cmocka_unit_test(test_escape_any),
                cmocka_unit_test(test_width),  cmocka_unit_test(test_cut),
                cmocka_unit_test(test_table),  cmocka_unit_test(test_hostile_cells),
                cmocka_unit_test(test_misuse), cmocka_unit_test(test_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
