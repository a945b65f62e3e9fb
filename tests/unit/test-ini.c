/* SPDX-License-Identifier: Apache-2.0 */

/* The raw reader: what it hands on, and that it refuses what inih would cut or misread. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "policy.h"

static void on_section(void *user, unsigned line, const char *type, const char *name) {
        buf_printf(user, "%u[%s|%s]\n", line, type, name);
}

static void on_entry(void *user, unsigned line, const char *type, const char *name, const char *key,
                     const char *value) {
        buf_printf(user, "%u[%s|%s]%s=%s\n", line, type, name, key, value);
}

/* What was handed on, then what was complained about. */
static char *read_n(const char *text, size_t len) {
        Buf out = BUF_INIT;
        IniHandler h = { .section = on_section, .entry = on_entry, .user = &out };
        Diags diags = {};
        char *s;

        assert_int_equal(ini_read("t", text, len, &h, &diags), 0);
        assert_int_equal(diags_format(&diags, &out), 0);
        diags_deinit(&diags);
        s = buf_steal(&out);
        return s ?: strdup("");
}

static void check(const char *text, size_t len, const char *want) {
        _cleanup_free_ char *got = read_n(text, len);

        assert_string_equal(got, want);
}

static void test_good(void **state) {
        static const struct {
                const char *text, *want;
        } rows[] = {
                { "", "" },
                { "\n\n", "" },
                { "[Host]\n", "1[Host|]\n" },
                { "[Host]", "1[Host|]\n" },
                { "[Host]\n[Defaults]\nMode=off", "1[Host|]\n2[Defaults|]\n3[Defaults|]Mode=off\n" },
                { "[Tenant acme]\nPlan=gold\n", "1[Tenant|acme]\n2[Tenant|acme]Plan=gold\n" },
                { "[Tenant \t acme\t]  \n", "1[Tenant|acme]\n" },
                { "[Container a/b[0-9]]\n", "1[Container|a/b[0-9]]\n" },
                { "[Tenant a b]\n", "1[Tenant|a b]\n" },
                { "; x\n# y\n  ; z\n\t# w\n \t \n[Host]\n;Mode=off\n", "6[Host|]\n" },
                /* inih would start a comment at the " ;", take ':' for '=' and cut the rest */
                { "[Host]\nA=b ; c\nB = d#e \nC=\nD==\nE=f:g=h\nF=\"q \" \n",
                  "1[Host|]\n2[Host|]A=b ; c\n3[Host|]B=d#e\n4[Host|]C=\n5[Host|]D==\n6[Host|]E=f:g=h\n"
                  "7[Host|]F=\"q \"\n" },
                { "\xef\xbb\xbf[Host]\nA=1\n", "1[Host|]\n2[Host|]A=1\n" },
                { "[Host]\nA=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n",
                  "1[Host|]\n2[Host|]A=\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n" },
                { "[Host]\nA=a\tb\n", "1[Host|]\n2[Host|]A=a\tb\n" },
                { "[Host]\n; Latin-1 \xe4 and a bell \a in a comment\nA=\\x\n; ends in \\\n",
                  "1[Host|]\n3[Host|]A=\\x\n" },
                /* inih takes the second A for a new value of it, and so do we: two entries */
                { "[Host]\nA=1\nA=2\n", "1[Host|]\n2[Host|]A=1\n3[Host|]A=2\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                check(rows[i].text, strlen(rows[i].text), rows[i].want);
}

static void test_bad(void **state) {
        static const struct {
                const char *text, *want;
        } rows[] = {
                { "A=1\n",
                  "t:1: A: stands before any section, expected a header such as \"[Host]\" above it\n" },
                { "[Host]\n  A=1\nB=2\n", "1[Host|]\n3[Host|]B=2\nt:2: [Host] A: indented line: it would not "
                                          "be clear what it belongs to; remove "
                                          "the blanks in front\n" },
                { "[Host]\n\t[Defaults]\nA=1\n", "1[Host|]\nt:2: [Host] indented line: it would not be clear "
                                                 "what it belongs to; remove the blanks in "
                                                 "front\n" },
                { "[Tenant a]\nA:1\n", "1[Tenant|a]\nt:2: [Tenant a] A: ':' behind the key, expected '='\n" },
                { "[Tenant a]\nA : b=1\n",
                  "1[Tenant|a]\nt:2: [Tenant a] A: ':' behind the key, expected '='\n" },
                { "[Host]\nA\n", "1[Host|]\nt:2: [Host] no '=' in \"A\", expected Key=Value\n" },
                { "[Host]\n=1\n",
                  "1[Host|]\nt:2: [Host] malformed key \"\", expected letters and digits, then '='\n" },
                { "[Host]\nA b=1\n",
                  "1[Host|]\nt:2: [Host] malformed key \"A b\", expected letters and digits, then '='\n" },
                { "[Host]\nA=1\\\nB=2\n", "1[Host|]\n3[Host|]B=2\nt:2: [Host] A: '\\' at the end continues "
                                          "no line here, expected the whole value "
                                          "on one line\n" },
                { "[Host\nA=1\n[Defaults]\nB=2\n", "3[Defaults|]\n4[Defaults|]B=2\nt:1: malformed header "
                                                   "\"[Host\", expected \"[Section]\" or \"[Section "
                                                   "NAME]\" and nothing behind it\n" },
                { "[Host] ; x\n", "t:1: malformed header \"[Host] ; x\", expected \"[Section]\" or "
                                  "\"[Section NAME]\" and nothing behind "
                                  "it\n" },
                { "[]\n", "t:1: malformed header \"[]\", expected \"[Section]\" or \"[Section NAME]\"\n" },
                { "[ ]\n", "t:1: malformed header \"[ ]\", expected \"[Section]\" or \"[Section NAME]\"\n" },
                { "[H\xc3\xb6st]\n",
                  "t:1: malformed header \"[H\xc3\xb6st]\", expected \"[Section]\" or \"[Section NAME]\"\n" },
                { "[Host]\\\nA=1\n",
                  "t:1: '\\' at the end continues no line here, expected the whole value on one line\n" },
                /* once, not for every line; the lines are read all the same */
                { "[Host]\r\nA=1\r\n\r\n; x\r\n", "1[Host|]\n2[Host|]A=1\nt:1: the line ends in CR LF, "
                                                  "expected LF alone; convert the file, for instance "
                                                  "with dos2unix\n" },
                { "[Host]\nA=1\rB=2\n",
                  "1[Host|]\nt:2: [Host] control character U+000D at column 4, expected text; remove it\n" },
                { "[Host]\nA=\x1b[31m\n",
                  "1[Host|]\nt:2: [Host] control character U+001B at column 3, expected text; remove it\n" },
                { "[Host]\nA=\xc2\x85\n",
                  "1[Host|]\nt:2: [Host] control character U+0085 at column 3, expected text; remove it\n" },
                { "[Host]\nA=\xe4\n",
                  "1[Host|]\nt:2: [Host] byte 0xe4 at column 3 is not UTF-8, expected UTF-8 text\n" },
                { "[Host]\nA=\xc0\xaf\n",
                  "1[Host|]\nt:2: [Host] byte 0xc0 at column 3 is not UTF-8, expected UTF-8 text\n" },
                { "[Host]\nA=\xed\xa0\x80\n",
                  "1[Host|]\nt:2: [Host] byte 0xed at column 3 is not UTF-8, expected UTF-8 text\n" },
                { "[Host]\nA=\xf4\x90\x80\x80\n",
                  "1[Host|]\nt:2: [Host] byte 0xf4 at column 3 is not UTF-8, expected UTF-8 text\n" },
                { "[Host]\nA=\xe2\x82",
                  "1[Host|]\nt:2: [Host] byte 0xe2 at column 3 is not UTF-8, expected UTF-8 text\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                check(rows[i].text, strlen(rows[i].text), rows[i].want);
        check("[Host]\nA=1\0\nB=2", 15,
              "1[Host|]\n3[Host|]B=2\nt:2: [Host] NUL byte, expected text; the file is damaged\n");
        check("[Host]\n; \0\n", 11, "1[Host|]\nt:2: [Host] NUL byte, expected text; the file is damaged\n");
}

/* Lengths around what inih cuts (49, 199) and around our own bound. */
static void test_long(void **state) {
        static const size_t lengths[] = {
                48, 49, 50, 51, 62, 63, 64, 198, 199, 200, 201, 1000, INI_LINE_MAX - 9
        };
        _cleanup_free_ char *text = malloc(4 * INI_LINE_MAX), *want = malloc(4 * INI_LINE_MAX);

        (void)state;
        assert_non_null(text);
        assert_non_null(want);
        for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
                char x[INI_LINE_MAX + 1];
                size_t n = lengths[i];

                memset(x, 'x', n);
                x[n] = '\0';
                snprintf(text, 4 * INI_LINE_MAX, "[Tenant %s]\nA=%s\n", x, x);
                snprintf(want, 4 * INI_LINE_MAX, "1[Tenant|%s]\n2[Tenant|%s]A=%s\n", x, x, x);
                check(text, strlen(text), want);
        }

        memset(text, 'x', 4 * INI_LINE_MAX);
        memcpy(text, "[Host]\nA=", 9);
        text[7 + INI_LINE_MAX] = '\n';
        memcpy(text + 7 + INI_LINE_MAX + 1, "B=1", 3);
        snprintf(want, 4 * INI_LINE_MAX, "1[Host|]\n2[Host|]A=%.*s\n3[Host|]B=1\n", INI_LINE_MAX - 2,
                 text + 9);
        check(text, 7 + INI_LINE_MAX + 4, want);
        text[7 + INI_LINE_MAX] = 'x';
        text[7 + INI_LINE_MAX + 1] = '\n';
        memcpy(text + 7 + INI_LINE_MAX + 2, "B=1", 3);
        snprintf(want, 4 * INI_LINE_MAX,
                 "1[Host|]\n3[Host|]B=1\nt:2: [Host] over-long line of %d bytes, expected at most %d\n",
                 INI_LINE_MAX + 1, INI_LINE_MAX);
        check(text, 7 + INI_LINE_MAX + 5, want);
}

/* A message never ends in half a character, whatever is cut from it. */
static void test_message_is_utf8(void **state) {
        (void)state;
        for (size_t pad = 50; pad < 70; pad++) {
                char text[256], *want;
                _cleanup_free_ char *got = NULL;
                size_t n;

                snprintf(text, sizeof(text), "[Host]\n%.*s\xe2\x82\xac\xe2\x82\xac", (int)pad,
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
                got = read_n(text, strlen(text));
                want = strchr(got, '"');
                assert_non_null(want);
                n = strcspn(want + 1, "\"") - MIN_OF(pad, (size_t)64);
                assert_int_equal(n % 3, 0);
        }
}

static void test_diags(void **state) {
        Diags d = {};
        Buf out = BUF_INIT;

        (void)state;
        diags_add(&d, DIAG_WARNING, "b", 3, "w%d", 1);
        assert_false(diags_failed(&d));
        diags_add(&d, DIAG_ERROR, "b", 3, "e1");
        diags_add(&d, DIAG_ERROR, "b", 1, "e2");
        diags_add(&d, DIAG_ERROR, "a", 0, "e3");
        diags_add(&d, DIAG_ERROR, NULL, 0, "e4");
        assert_true(diags_failed(&d));
        assert_int_equal(diags_format(&d, &out), 0);
        assert_string_equal(buf_str(&out), "e4\na: e3\nb:1: e2\nb:3: warning: w1\nb:3: e1\n");
        buf_clear(&out);
        for (int i = 0; i < DIAGS_MAX; i++)
                diags_add(&d, DIAG_ERROR, "c", 1, "x");
        assert_int_equal(d.n, DIAGS_MAX);
        assert_int_equal(d.n_dropped, 5);
        assert_int_equal(d.n_errors, DIAGS_MAX + 4);
        assert_int_equal(diags_format(&d, &out), 0);
        assert_non_null(strstr(buf_str(&out), "\n5 more are not shown\n"));
        buf_deinit(&out);
        diags_deinit(&d);

        d.oom = true;
        assert_true(diags_failed(&d));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),
                cmocka_unit_test(test_long),  cmocka_unit_test(test_message_is_utf8),
                cmocka_unit_test(test_diags),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
