/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers of rtnetlink: what a kernel said of two links (fixtures/netlink/links-…, the first datagram of a dump), and messages made
 * here: whose rx is whose tx, who is kept of many, names that are none, cut and bent ones.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fdio.h"
#include "linkrec.h"

#define SEQ 5

static _Alignas(8) char recorded[1 << 14], data[1 << 16];
static size_t n_recorded, n_data;

/* ---- a kernel's ---- */

static void test_recorded(void **unused) {
        LinkAnswer a;

        (void)unused;
        linkrec_begin(&a, 0);
        a.seq = SEQ;
        assert_int_equal(linkrec_read(&a, recorded, n_recorded), 0);
        assert_false(a.done || a.changed); /* its end is in the next datagram */
        assert_int_equal(a.n, 1);
        assert_int_equal(a.n_all, 1);
        assert_int_equal(a.index[0], 2);
        assert_int_equal(a.master[0], 3);
        assert_string_equal(a.links[0].name, "veth3f2a1b");
        assert_string_equal(a.links[0].master, "");
        assert_int_equal(a.links[0].state, NL_LINK_UP);
        assert_int_equal(a.links[0].to.packets, 2);
        assert_int_equal(a.links[0].to.bytes, 176);
        assert_int_equal(a.links[0].from.packets, 0);

        linkrec_begin(&a, LINK_WANT_ANY);
        a.seq = SEQ;
        assert_int_equal(linkrec_read(&a, recorded, n_recorded), 0);
        assert_int_equal(a.n_all, 2);
        assert_string_equal(a.links[0].name, "lo");
        assert_string_equal(a.links[1].name, "veth3f2a1b");

        /* Others' answers, and namespaces, are none of it. */
        for (int32_t want = LINK_WANT_ANY; want < 3; want++) {
                linkrec_begin(&a, want);
                a.seq = SEQ + (want == LINK_WANT_ANY || want == 0);
                assert_int_equal(linkrec_read(&a, recorded, n_recorded), 0);
                assert_int_equal(a.n_all, 0);
        }
}

/* ---- made here ---- */

typedef struct Made {
        uint16_t type, flags;
        int index;
        const char *name;
        size_t name_len; /* with what ends it; 0: as name has it */
        int32_t nsid; /* -1: not told */
        uint32_t master;
        int state; /* -1: not told */
        size_t stats_len; /* 0: all */
} Made;

static const struct rtnl_link_stats64 counters = {
        .rx_packets = 1,
        .tx_packets = 2,
        .rx_bytes = 3,
        .tx_bytes = 4,
        .rx_errors = 5,
        .tx_errors = 6,
        .rx_dropped = 7,
        .tx_dropped = 8,
};

static void append(struct nl_msg *m) {
        struct nlmsghdr *h = nlmsg_hdr(m);

        assert_true(n_data + h->nlmsg_len <= sizeof(data));
        memcpy(data + n_data, h, h->nlmsg_len);
        n_data += NLMSG_ALIGN(h->nlmsg_len);
        nlmsg_free(m);
}

static void append_link(const Made *l) {
        const struct ifinfomsg head = { .ifi_index = l->index };
        struct nl_msg *m = nlmsg_alloc();
        static const char zeros[sizeof(counters)];

        assert_non_null(nlmsg_put(m, 0, SEQ, l->type ?: RTM_NEWLINK, 0, l->flags));
        assert_int_equal(nlmsg_append(m, (void *)&head, sizeof(head), NLMSG_ALIGNTO), 0);
        if (l->name)
                assert_int_equal(nla_put(m, IFLA_IFNAME, (int)(l->name_len ?: strlen(l->name) + 1), l->name),
                                 0);
        if (l->nsid != -1)
                assert_int_equal(nla_put_u32(m, IFLA_LINK_NETNSID, (uint32_t)l->nsid), 0);
        if (l->master)
                assert_int_equal(nla_put_u32(m, IFLA_MASTER, l->master), 0);
        if (l->state >= 0)
                assert_int_equal(nla_put_u8(m, IFLA_OPERSTATE, (uint8_t)l->state), 0);
        assert_int_equal(nla_put(m, IFLA_STATS64, (int)(l->stats_len ?: sizeof(counters)),
                                 l->stats_len > sizeof(counters) ? zeros : (const char *)&counters),
                         0);
        append(m);
}

static void append_number(uint16_t type, int32_t number) {
        struct nl_msg *m = nlmsg_alloc();

        assert_non_null(nlmsg_put(m, 0, SEQ, type, 0, type == NLMSG_DONE ? NLM_F_MULTI : 0));
        assert_int_equal(nlmsg_append(m, &number, sizeof(number), NLMSG_ALIGNTO), 0);
        append(m);
}

static int read_data(LinkAnswer *a, int32_t want) {
        size_t len = n_data;

        n_data = 0;
        linkrec_begin(a, want);
        a->seq = SEQ;
        return linkrec_read(a, data, len);
}

#define STATS_LEN_MIN (8 * sizeof(uint64_t))

static void test_link(void **unused) {
        static const struct {
                Made made;
                int r;
                size_t n;
                const char *name;
                uint32_t state;
        } links[] = {
                { { .index = 9, .name = "veth0", .nsid = 4, .state = 6 }, 0, 1, "veth0", NL_LINK_UP },
                { { .index = 9, .name = "veth0", .nsid = 4, .state = 2 }, 0, 1, "veth0", NL_LINK_DOWN },
                { { .index = 9, .name = "veth0", .nsid = 4, .state = -1 }, 0, 1, "veth0", NL_LINK_UNKNOWN },
                { { .index = 9, .name = "veth0", .nsid = 4, .state = 7 }, 0, 1, "veth0", NL_LINK_UNKNOWN },
                { { .index = 9, .name = "fifteen-letters", .nsid = 4 }, 0, 1, "fifteen-letters", 0 },
                { { .index = 9, .name = "v\033\xc3\xa9 \x7f", .nsid = 4 }, 0, 1, "v?????", 0 },
                { { .index = 9, .name = "veth0", .nsid = 4, .stats_len = STATS_LEN_MIN }, 0, 1, "veth0", 0 },
                { { .index = 9, .name = "veth0", .nsid = 5 }, 0, 0, NULL, 0 },
                { { .index = 9, .name = "veth0", .nsid = -1 }, 0, 0, NULL, 0 },
                { { .index = 9, .name = "veth0", .nsid = -2 }, 0, 0, NULL, 0 },
                { { .index = 9, .name = "", .nsid = 5 }, 0, 0, NULL, 0 },
                { { .index = 0, .name = "veth0", .nsid = 4 }, -EBADMSG, 0, NULL, 0 },
                { { .index = -1, .name = "veth0", .nsid = 4 }, -EBADMSG, 0, NULL, 0 },
                { { .index = 9, .name = NULL, .nsid = 4 }, -EBADMSG, 0, NULL, 0 },
                { { .index = 9, .name = "", .nsid = 4 }, -EBADMSG, 0, NULL, 0 },
                { { .index = 9, .name = "sixteen--letters", .nsid = 4 }, -EBADMSG, 0, NULL, 0 },
                { { .index = 9, .name = "veth0", .name_len = 5, .nsid = 4 }, -EBADMSG, 0, NULL, 0 },
                { { .index = 9, .name = "veth0", .nsid = 4, .stats_len = STATS_LEN_MIN - 1 },
                  -EBADMSG,
                  0,
                  NULL,
                  0 },
                { { .index = 9, .type = RTM_DELLINK, .name = "veth0", .nsid = 4 }, 0, 0, NULL, 0 },
        };

        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
                LinkAnswer a;

                append_link(&links[i].made);
                assert_int_equal(read_data(&a, 4), links[i].r);
                assert_int_equal(a.n, links[i].n);
                assert_int_equal(a.n_all, links[i].n);
                if (a.n == 0)
                        continue;
                assert_string_equal(a.links[0].name, links[i].name);
                assert_int_equal(a.links[0].state, links[i].state);
                /* What the host's end receives comes from the container. */
                assert_int_equal(a.links[0].from.packets, counters.rx_packets);
                assert_int_equal(a.links[0].to.packets, counters.tx_packets);
                assert_int_equal(a.links[0].from.bytes, counters.rx_bytes);
                assert_int_equal(a.links[0].to.bytes, counters.tx_bytes);
                assert_int_equal(a.links[0].from.errors, counters.rx_errors);
                assert_int_equal(a.links[0].to.errors, counters.tx_errors);
                assert_int_equal(a.links[0].from.dropped, counters.rx_dropped);
                assert_int_equal(a.links[0].to.dropped, counters.tx_dropped);
        }
}

/* In any order: the same ones are kept. */
static void test_many(void **unused) {
        unsigned seed = (unsigned)time(NULL);
        int order[20];

        (void)unused;
        print_message("seed %u\n", seed);
        srand(seed);
        for (unsigned round = 0; round < 50; round++) {
                LinkAnswer a;
                char name[16];

                for (int i = 0; i < (int)ARRAY_SIZE(order); i++) {
                        int k = rand() % (i + 1);

                        order[i] = order[k];
                        order[k] = i + 1;
                }
                for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                        (void)snprintf(name, sizeof(name), "veth%d", order[i]);
                        append_link(&(Made){ .flags = NLM_F_MULTI,
                                             .index = order[i],
                                             .name = name,
                                             .nsid = order[i] % 2,
                                             .master = (uint32_t)order[i] + 100 });
                }
                append_number(NLMSG_DONE, 0);
                assert_int_equal(read_data(&a, 1), 0);
                assert_true(a.done && !a.changed);
                assert_int_equal(a.n_all, 10);
                assert_int_equal(a.n, NLWIRE_LINKS_MAX);
                for (size_t i = 0; i < a.n; i++) {
                        (void)snprintf(name, sizeof(name), "veth%zu", 2 * i + 1);
                        assert_string_equal(a.links[i].name, name);
                        assert_int_equal(a.index[i], 2 * i + 1);
                        assert_int_equal(a.master[i], 2 * i + 101);
                }
        }
}

static void test_ends(void **unused) {
        static const struct {
                uint16_t type;
                int32_t number;
                int r, error;
        } ends[] = {
                { NLMSG_DONE, 0, 0, 0 },          { NLMSG_DONE, -EAGAIN, 0, -EAGAIN },
                { NLMSG_ERROR, 0, 0, 0 },         { NLMSG_ERROR, -ESRCH, 0, -ESRCH },
                { NLMSG_ERROR, -4095, 0, -4095 }, { NLMSG_ERROR, -4096, -EBADMSG, 0 },
                { NLMSG_ERROR, 1, -EBADMSG, 0 },
        };
        const Made link = { .index = 9, .name = "veth0", .nsid = 1 };
        Made more = link;
        LinkAnswer a;

        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
                append_number(ends[i].type, ends[i].number);
                append_link(&link); /* what comes behind it is not read */
                assert_int_equal(read_data(&a, 1), ends[i].r);
                assert_int_equal(a.error, ends[i].error);
                assert_true(a.done);
                assert_int_equal(a.n_all, 0);
        }
        append_link(&link);
        assert_int_equal(read_data(&a, 1), 0);
        assert_true(a.done && !a.changed); /* one that was asked for alone */
        more.flags = NLM_F_MULTI;
        append_link(&more);
        assert_int_equal(read_data(&a, 1), 0);
        assert_false(a.done);
        more.flags |= NLM_F_DUMP_INTR;
        append_link(&more);
        assert_int_equal(read_data(&a, 1), 0);
        assert_true(a.changed);
}

static void test_nsid(void **unused) {
        static const int32_t ids[] = { 0, 7, INT32_MAX, -1 };
        const struct rtgenmsg head = {};
        LinkAnswer a;

        (void)unused;
        for (size_t i = 0; i <= ARRAY_SIZE(ids); i++) {
                struct nl_msg *m = nlmsg_alloc();
                bool told = i < ARRAY_SIZE(ids);

                assert_non_null(nlmsg_put(m, 0, SEQ, RTM_NEWNSID, 0, 0));
                assert_int_equal(nlmsg_append(m, (void *)&head, sizeof(head), NLMSG_ALIGNTO), 0);
                if (told)
                        assert_int_equal(nla_put_u32(m, NETNSA_NSID, (uint32_t)ids[i]), 0);
                append(m);
                assert_int_equal(read_data(&a, LINK_WANT_NONE), told ? 0 : -EBADMSG);
                assert_int_equal(a.nsid, told ? ids[i] : -1);
        }
}

/* No cut one is taken for whole, and none, however bent, is read beyond its end (that is for the sanitizers to see). */
static void test_damaged(void **unused) {
        unsigned seed = (unsigned)time(NULL);
        LinkAnswer a;

        (void)unused;
        for (size_t len = 1; len < n_recorded; len++) {
                _cleanup_free_ char *copy = malloc(len);
                int r;

                memcpy(copy, recorded, len);
                linkrec_begin(&a, LINK_WANT_ANY);
                a.seq = SEQ;
                r = linkrec_read(&a, copy, len);
                assert_true(r == -EBADMSG || (r == 0 && a.n_all < 2));
        }
        print_message("seed %u\n", seed);
        srand(seed);
        for (unsigned round = 0; round < 5000; round++) {
                _cleanup_free_ char *copy = malloc(n_recorded);

                memcpy(copy, recorded, n_recorded);
                for (int k = rand() % 8; k >= 0; k--)
                        copy[(size_t)rand() % n_recorded] = (char)rand();
                linkrec_begin(&a, rand() % 2 ? 0 : LINK_WANT_ANY);
                a.seq = SEQ;
                (void)linkrec_read(&a, copy, n_recorded);
                assert_true(a.n <= a.n_all && a.n <= NLWIRE_LINKS_MAX);
        }
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_recorded), cmocka_unit_test(test_link), cmocka_unit_test(test_many),
                cmocka_unit_test(test_ends),     cmocka_unit_test(test_nsid), cmocka_unit_test(test_damaged),
        };
        _cleanup_fd_ int dir = -1, fd = -1;
        ssize_t n;

        if (argc != 2)
                return 2;
        dir = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
        fd = openat(dir, "links-6.18", O_RDONLY | O_CLOEXEC);
        n = read(fd, recorded, sizeof(recorded));
        if (n <= 0)
                return 2;
        n_recorded = (size_t)n;
        return cmocka_run_group_tests_name("linkrec", tests, NULL, NULL);
}
