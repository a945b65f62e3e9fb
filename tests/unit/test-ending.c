/* SPDX-License-Identifier: Apache-2.0 */

/* How main processes end: wait statuses, and what is known beside them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "ending.h"

typedef struct Row {
        Ending e;
        EndingCause cause;
        const char *text;
} Row;

static const Row rows[] = {
        { { .known = true, .code = 0 }, ENDING_EXIT, "exit status 0" },
        { { .known = true, .code = 3 << 8 }, ENDING_EXIT, "exit status 3" },
        { { .known = true, .code = 15 }, ENDING_SIGNAL, "SIGTERM" },
        { { .known = true, .code = 9 },
          ENDING_SIGNAL,
          "SIGKILL, by somebody else than bailiff, not for memory" },
        { { .known = true, .code = 9, .unread = true },
          ENDING_SIGNAL,
          "SIGKILL, by somebody else than bailiff (whether by the kernel, for memory, could not be read any "
          "more)" },
        { { .known = true, .code = 9, .oom = true }, ENDING_OOM, "SIGKILL, by the kernel, for memory (OOM)" },
        /* a child was killed for memory, and the main process ended by itself, or of something else */
        { { .known = true, .code = 1 << 8, .oom = true }, ENDING_EXIT, "exit status 1" },
        { { .known = true, .code = 11, .oom = true }, ENDING_SIGNAL, "SIGSEGV" },
        { { .known = true, .code = 11 | 0x80 }, ENDING_CORE, "SIGSEGV, core dumped" },
        { { .known = true, .code = 9, .ours = true, .oom = true },
          ENDING_OURS,
          "SIGKILL, after bailiff had told it to" },
        { { .known = true, .code = 0, .ours = true },
          ENDING_OURS,
          "exit status 0, after bailiff had told it to" },
        { { .known = false, .code = 9, .oom = true },
          ENDING_UNKNOWN,
          "how is not known, for the kernel's word of it was lost" },
        { { .known = true, .code = 40 }, ENDING_SIGNAL, "signal 40" },
        { { .known = true, .code = UINT32_MAX }, ENDING_CORE, "signal 127, core dumped" },
};

static void test_rows(void **unused) {
        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf b = BUF_INIT;

                assert_int_equal(ending_cause(&rows[i].e), rows[i].cause);
                ending_format(&rows[i].e, &b);
                assert_string_equal(buf_str(&b), rows[i].text);
        }
}

static void test_names(void **unused) {
        (void)unused;
        for (EndingCause c = 0; c < _ENDING_MAX; c++) {
                assert_non_null(ending_cause_to_string(c));
                for (EndingCause d = 0; d < c; d++)
                        assert_string_not_equal(ending_cause_to_string(c), ending_cause_to_string(d));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_names) };

        return cmocka_run_group_tests_name("ending", tests, NULL, NULL);
}
