/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel refuses: said once, and in words. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "refusal.h"

/* A look each minute. '.': nothing is asked, so no error; 'w': it works; 'e': refused; 'f': refused with another error. What is
 * said: '!'. */
static void test_once(void **state) {
        static const struct {
                const char *looks, *said;
        } rows[] = {
                { "e", "!" },
                { "eeeeeeeeeeeeeeeeee", "!                 " },
                { "www", "   " },
                { "we", " !" },
                { "e.e.e.e.e.e.e", "!            " }, /* containers come and go: nothing is asked meanwhile */
                { "ewwwwwwwwwe", "!         !" }, /* it was well between */
                { "ewwwwe", "!     " }, /* too soon, */
                { "ewwwweeeeeee", "!         ! " }, /* and later it still is */
                { "ewewewewewewewewewewewe", "!         !         !  " }, /* by turns */
                { "ew..........e", "!           !" },
                { "ef", "! " }, /* another reason is no other fact */
                { "...", "   " },
                { ".e", " !" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Refusal r = {};

                assert_int_equal(strlen(rows[i].looks), strlen(rows[i].said));
                for (size_t k = 0; rows[i].looks[k]; k++) {
                        char look = rows[i].looks[k];
                        int error = look == 'e' ? EPERM : look == 'f' ? EINVAL : 0;

                        if (refusal_look(&r, error, look == 'w', k * 60 * USEC_PER_SEC) !=
                            (rows[i].said[k] == '!'))
                                fail_msg("%s: look %zu", rows[i].looks, k);
                }
        }
}

static void test_words(void **state) {
        static const struct {
                int error;
                const char *events, *records;
        } rows[] = {
                { EPERM, "CAP_NET_ADMIN", "CAP_NET_ADMIN" },
                { EACCES, "CAP_NET_ADMIN", "CAP_NET_ADMIN" },
                { ECONNREFUSED, "network namespace", "refused" },
                { EOPNOTSUPP, "CONFIG_PROC_EVENTS, or bailiff-netlink is not in the host's pid",
                  "CONFIG_TASKSTATS" },
                { EINVAL, "Invalid argument", "pid and user namespaces" },
                { EPROTONOSUPPORT, "CONFIG_CONNECTOR", "no generic netlink" },
                { EAFNOSUPPORT, "filter of system calls", "filter of system calls" },
                { ENOBUFS, "buffer", "buffer" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (!strstr(refusal_of_events(rows[i].error), rows[i].events))
                        fail_msg("%s", refusal_of_events(rows[i].error));
                if (!strstr(refusal_of_records(rows[i].error), rows[i].records))
                        fail_msg("%s", refusal_of_records(rows[i].error));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_once),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
