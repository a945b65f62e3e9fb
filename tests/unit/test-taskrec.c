/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records of taskstats: structures as long as each version of the kernel's was, messages that a kernel sent
 * (fixtures/netlink/tasks-…, as length and bytes), cut and bent ones.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/taskstats.h>

#include "fdio.h"
#include "taskrec.h"

#define FAMILY 31 /* of the kernel that was recorded */

static uint8_t recorded[1 << 16];
static size_t n_recorded;

static struct taskstats full(void) {
        return (struct taskstats){
                .version = TASKSTATS_VERSION,
                .ac_pid = 70,
                .ac_utime = 3000,
                .ac_stime = 4000,
                .cpu_run_virtual_total = 5500000,
                .read_bytes = 1024,
                .write_bytes = 2048,
                .cpu_delay_total = 1000000,
                .blkio_delay_total = 2000000,
                .swapin_delay_total = 3000000,
                .freepages_delay_total = 4000000,
                .thrashing_delay_total = 5000000,
                .compact_delay_total = 6000000,
        };
}

static void test_versions(void **unused) {
        const struct taskstats s = full();
        static const struct {
                size_t len;
                uint64_t read, reclaim, thrash, compact;
        } rows[] = {
                { offsetof(struct taskstats, read_bytes), 0, 0, 0, 0 },
                { offsetof(struct taskstats, freepages_count), 1024, 0, 0, 0 },
                { offsetof(struct taskstats, thrashing_count), 1024, 4000, 0, 0 },
                { offsetof(struct taskstats, compact_count), 1024, 4000, 5000, 0 },
                { sizeof(struct taskstats), 1024, 4000, 5000, 6000 },
                /* half a field is none */
                { offsetof(struct taskstats, thrashing_delay_total) + 7, 1024, 4000, 0, 0 },
        };

        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ void *copy = malloc(rows[i].len);
                KinRecord r;

                assert_non_null(copy);
                memcpy(copy, &s, rows[i].len);
                assert_int_equal(taskrec_parse_stats(copy, rows[i].len, &r), 0);
                assert_int_equal(r.tgid, 70);
                assert_int_equal(r.tasks[TALLY_TASKS], 1);
                assert_int_equal(r.tasks[TALLY_CPU_USEC], 7000);
                assert_int_equal(r.tasks[TALLY_RUN_USEC], 5500);
                assert_int_equal(r.tasks[TALLY_DELAY_CPU_USEC], 1000);
                assert_int_equal(r.tasks[TALLY_READ_BYTES], rows[i].read);
                assert_int_equal(r.tasks[TALLY_DELAY_RECLAIM_USEC], rows[i].reclaim);
                assert_int_equal(r.tasks[TALLY_DELAY_THRASH_USEC], rows[i].thrash);
                assert_int_equal(r.tasks[TALLY_DELAY_COMPACT_USEC], rows[i].compact);
        }
}

static void test_cpu(void **unused) {
        struct taskstats s = full();
        KinRecord r;

        (void)unused;
        s.ac_utime = UINT64_MAX;
        assert_int_equal(taskrec_parse_stats(&s, sizeof(s), &r), 0);
        assert_int_equal(r.tasks[TALLY_CPU_USEC], UINT64_MAX);
        assert_int_equal(taskrec_parse_stats(&s, offsetof(struct taskstats, ac_comm) - 1, &r), -EBADMSG);
}

typedef struct Message {
        _Alignas(8) uint8_t data[4096];
        size_t len;
} Message;

static bool next_message(size_t *at, Message *m) {
        uint32_t len;

        if (*at == n_recorded)
                return false;
        memcpy(&len, recorded + *at, sizeof(len));
        assert_true(len <= sizeof(m->data) && *at + sizeof(len) + len <= n_recorded);
        memcpy(m->data, recorded + *at + sizeof(len), len);
        m->len = len;
        *at += sizeof(len) + len;
        return true;
}

static void test_recorded(void **unused) {
        uint64_t run = 0;
        unsigned n = 0;
        size_t at = 0;
        Message m;

        (void)unused;
        while (next_message(&at, &m)) {
                KinRecord r;
                uint32_t seq;
                bool have;

                assert_int_equal(taskrec_parse(m.data, m.len, FAMILY, &r, &seq, &have), 0);
                assert_true(have);
                assert_true(r.tgid > 1 && r.tgid < 1u << 22);
                assert_int_equal(r.tasks[TALLY_TASKS], 1);
                assert_true(r.tasks[TALLY_CPU_USEC] + r.tasks[TALLY_RUN_USEC] < USEC_PER_SEC);
                run += r.tasks[TALLY_RUN_USEC];
                n++;
                /* another family's */
                assert_int_equal(taskrec_parse(m.data, m.len, FAMILY + 1, &r, &seq, &have), -EBADMSG);
                assert_false(have);
        }
        assert_int_equal(n, 8);
        assert_int_equal(run, 905 + 1309 + 1117 +
                                      1271); /* of the four that ran long enough for the scheduler to look */
}

static void test_cut(void **unused) {
        size_t at = 0;
        Message m;

        (void)unused;
        while (next_message(&at, &m))
                for (size_t len = m.len; len-- > 0;) {
                        _cleanup_free_ void *copy = malloc(len + 1);
                        KinRecord r;
                        uint32_t seq;
                        bool have = true;

                        assert_non_null(copy);
                        memcpy(copy, m.data, len);
                        assert_int_equal(taskrec_parse(copy, len, FAMILY, &r, &seq, &have), -EBADMSG);
                        assert_false(have);
                }
}

static void test_others(void **unused) {
        struct {
                struct nlmsghdr h;
                struct genlmsghdr g;
        } m = { .h = { .nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = 7 } };
        KinRecord r;
        uint32_t seq;
        bool have;

        (void)unused;
        assert_int_equal(taskrec_parse(&m, sizeof(m), FAMILY, &r, &seq, &have), 0);
        assert_false(have);
        assert_int_equal(seq, 7);
        m.h.nlmsg_type = FAMILY;
        m.g.cmd = 77;
        assert_int_equal(taskrec_parse(&m, sizeof(m), FAMILY, &r, &seq, &have), 0);
        assert_false(have);
        m.g.cmd = TASKSTATS_CMD_NEW; /* with nothing in it */
        assert_int_equal(taskrec_parse(&m, sizeof(m), FAMILY, &r, &seq, &have), 0);
        assert_false(have);
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_versions), cmocka_unit_test(test_cpu),
                cmocka_unit_test(test_recorded), cmocka_unit_test(test_cut),
                cmocka_unit_test(test_others),
        };
        char path[4096];
        ssize_t n;

        if (argc != 2)
                return 2;
        (void)snprintf(path, sizeof(path), "%s/tasks-6.18", argv[1]);
        n = fd_read_at(AT_FDCWD, path, (char *)recorded, sizeof(recorded));
        if (n <= 0)
                return 2;
        n_recorded = (size_t)n;
        return cmocka_run_group_tests_name("taskrec", tests, NULL, NULL);
}
