/* SPDX-License-Identifier: Apache-2.0 */

/* Executions of a main process: chains, loops, and names that want to be something else. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "execs.h"

#define S USEC_PER_SEC

/* What happens at a second: it is seen (n executions, comm), or has ended. What is told there: "" for nothing. */
typedef struct Step {
        unsigned at;
        int n; /* -1: it is not seen; -2: it has ended */
        const char *comm, *told;
} Step;

typedef struct Row {
        const char *what;
        bool fresh;
        Step steps[10]; /* told NULL: the end */
} Row;

static const Row rows[] = {
        { "a new one is told when it has settled",
          true,
          { { 100, 0, "nginx", "" },
            { 101, -1, NULL, "" },
            { 102, -1, NULL, "runs nginx" },
            { 900, -1, NULL, "" } } },
        { "one that was there before is not",
          false,
          { { 100, 0, "nginx", "" }, { 102, -1, NULL, "" }, { 900, -2, NULL, "" } } },
        { "the runtime's init is no news, what it executes is",
          true,
          { { 100, 0, "runc:[2:INIT]", "" },
            { 101, 1, "entry.sh", "" },
            { 102, 2, "app", "" },
            { 103, -1, NULL, "" },
            { 104, -1, NULL, "runs app (2 executions before that not told)" } } },
        { "it was not looked at before the first",
          true,
          { { 100, 1, "app", "" }, { 102, -1, NULL, "runs app" } } },
        { "likewise, of one that was there before",
          false,
          { { 100, 1, "app", "" }, { 102, -1, NULL, "has executed app" } } },
        { "later ones",
          false,
          { { 100, 0, "nginx", "" },
            { 200, 1, "sh", "" },
            { 202, -1, NULL, "has executed sh; before that it ran nginx" },
            { 300, 1, "sh", "" },
            { 302, -1, NULL, "has executed sh; before that it ran sh" },
            { 400, 2, "su", "" },
            { 402, -1, NULL,
              "has executed su; before that it ran sh (1 execution before that not told)" } } },
        { "it calls itself otherwise: that is no execution",
          false,
          { { 100, 0, "nginx", "" },
            { 200, 0, "master", "" },
            { 300, 1, "sh", "" },
            { 302, -1, NULL, "has executed sh; before that it ran nginx" } } },
        { "what ends is told at once",
          true,
          { { 100, 0, "true", "" }, { 100, -2, NULL, "runs true" }, { 100, -2, NULL, "" } } },
        { "it had gone when somebody looked",
          false,
          { { 100, 0, "sh", "" },
            { 200, 1, "", "" },
            { 201, -2, NULL, "has executed a program whose name nobody saw; before that it ran sh" } } },
        { "it does not settle",
          false,
          { { 100, 0, "a", "" },
            { 200, 9, "b", "" },
            { 201, 9, "b", "" },
            { 203, 9, "b", "" },
            { 204, 9, "b", "" },
            { 206, 9, "b", "" },
            { 207, 9, "b", "" },
            { 209, 9, "b", "" },
            { 210, 9, "c", "has executed c; before that it ran a (71 executions before that not told)" },
            { 211, -1, NULL, "" } } },
};

static void step(Execs *e, bool fresh, const Step *s, const char *what) {
        _cleanup_buf_ Buf b = BUF_INIT;
        ExecsTold told;

        if (s->n >= 0)
                execs_seen(e, (uint64_t)s->n, s->comm, fresh, s->at * S);
        if (execs_take(e, s->n == -2, s->at * S, &told))
                execs_format(&told, &b);
        if (!STR_EQ(buf_str(&b), s->told))
                fail_msg("%s, at %u: \"%s\"", what, s->at, buf_str(&b));
}

static void test_rows(void **unused) {
        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Execs e = {};

                for (size_t k = 0; k < ARRAY_SIZE(rows[i].steps) && rows[i].steps[k].told; k++)
                        step(&e, rows[i].fresh, &rows[i].steps[k], rows[i].what);
        }
}

static void test_names(void **unused) {
        static const struct {
                const char *comm, *program;
        } names[] = {
                { "nginx", "nginx" },
                { "a b", "a b" },
                { "~!\"(){}%s", "~!\"(){}%s" },
                { "\033[31mred", "\\x1b[31mred" },
                { "two\nlines", "two\\x0alines" },
                { "caf\xc3\xa9", "caf\\xc3\\xa9" },
                { "\xff\x7f\x01", "\\xff\\x7f\\x01" },
                { "a\\x0a", "a\\x5cx0a" },
        };
        char all[64];

        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                Execs e = {};

                execs_seen(&e, 0, names[i].comm, false, S);
                assert_string_equal(e.program, names[i].program);
        }
        /* The longest that a kernel has, and one that it cannot have, of the worst bytes. */
        for (size_t len = 15; len < sizeof(all); len++) {
                Execs e = {};

                memset(all, 0xff, len);
                all[len] = '\0';
                execs_seen(&e, 0, all, false, S);
                assert_int_equal(strlen(e.program), 15 * 4);
        }
}

/* It never stops: a few are told, then one each ten minutes, and of the others it is known how many. */
static void test_loop(void **unused) {
        uint64_t n = 0, n_told = 0, n_left_out = 0, hours = 3;
        Execs e = {};
        ExecsTold told;

        (void)unused;
        execs_seen(&e, 0, "sh", true, S);
        for (usec_t now = 2 * S; now < hours * 3600 * S; now += S) {
                execs_seen(&e, 700, "sh", true, now);
                n += 700;
                if (execs_take(&e, false, now, &told)) {
                        n_told++;
                        n_left_out += told.n_left_out;
                }
        }
        assert_in_range(n_told, EXECS_BURST + hours * 6 - 2, EXECS_BURST + hours * 6);
        assert_int_equal(n_left_out, e.n_left_out);
        assert_int_equal(e.n_all, n);
        assert_int_equal(n_told + n_left_out + e.n, n);
}

/* Then it is calm: the last one is told in the end. */
static void test_after_loop(void **unused) {
        _cleanup_buf_ Buf b = BUF_INIT;
        usec_t now = S, until;
        unsigned n_told = 0;
        Execs e = {};
        ExecsTold told;

        (void)unused;
        execs_seen(&e, 0, "sh", false, now);
        for (; n_told < EXECS_BURST; now += S) {
                execs_seen(&e, 5, "sh", false, now);
                n_told += execs_take(&e, false, now, &told);
        }
        execs_seen(&e, 1, "evil", false, now);
        for (until = now + EXECS_EACH_USEC; now <= until && !execs_take(&e, false, now, &told); now += S)
                ;
        assert_true(now <= until);
        execs_format(&told, &b);
        assert_string_equal(buf_str(&b), "has executed evil; before that it ran sh");
        assert_false(execs_take(&e, true, now + 3600 * S, &told));
}

static uint64_t dice(uint64_t *state, uint64_t n) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state % n;
}

/* Whatever it does: never more are told than may be, none is lost, and what was told last is what it runs once it is calm. */
static void test_any(void **unused) {
        static const char *const comms[] = { "", "sh", "nginx", "\n", "\xff\xff\xff\xff" };
        uint64_t state = ((uint64_t)getpid() << 32) ^ 0x9e3779b97f4a7c15;

        (void)unused;
        print_message("seed %llx\n", (unsigned long long)state);
        for (unsigned run = 0; run < 300; run++) {
                bool fresh = dice(&state, 2), looked = false;
                usec_t now = dice(&state, 1000 * S), begin;
                uint64_t n = 0, n_told = 0, n_named = 0, n_left_out = 0;
                Execs e = {};
                ExecsTold told = {};

                begin = now;
                for (unsigned k = 0; k < 400; k++) {
                        uint64_t more = dice(&state, 3) ? dice(&state, 4) : 0;

                        now += dice(&state, 20) ? dice(&state, 4 * S) : dice(&state, 1200 * S);
                        if (dice(&state, 2)) {
                                execs_seen(&e, more, comms[dice(&state, ARRAY_SIZE(comms))], fresh, now);
                                n += more;
                                looked = true;
                        }
                        if (!execs_take(&e, dice(&state, 50) == 0, now, &told))
                                continue;
                        assert_true(looked);
                        assert_string_equal(told.program, e.program);
                        n_told++;
                        n_left_out += told.n_left_out;
                        n_named += !told.first || n > 0;
                        assert_true(n_told <= EXECS_BURST + (now - begin) / EXECS_EACH_USEC);
                        assert_true(!told.first || (fresh && n_told == 1));
                        assert_int_equal(n_named + n_left_out, n);
                }
                /* calm, and time for what is owed */
                now += EXECS_EACH_USEC * EXECS_BURST;
                if (execs_take(&e, false, now, &told))
                        assert_string_equal(told.program, e.program);
                assert_false(execs_take(&e, true, now + EXECS_EACH_USEC, &told));
                assert_int_equal(e.n, 0);
                assert_int_equal(e.n_all, n);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),       cmocka_unit_test(test_names), cmocka_unit_test(test_loop),
                cmocka_unit_test(test_after_loop), cmocka_unit_test(test_any),
        };

        return cmocka_run_group_tests_name("execs", tests, NULL, NULL);
}
