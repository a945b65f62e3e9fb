/* SPDX-License-Identifier: Apache-2.0 */

/* Packets between the guard and bailiff-netlink: there and back, cut, bent, and said by the wrong one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "nlwire.h"

static const struct {
        NlwireType type;
        bool by_guard;
        size_t body;
} types[] = {
        { NLWIRE_WANT, true, sizeof(NlWant) },       { NLWIRE_WATCH, true, 0 },
        { NLWIRE_ASK, true, sizeof(NlAsk) },         { NLWIRE_STATUS, false, sizeof(NlStatus) },
        { NLWIRE_GROUP, false, sizeof(NlGroup) },    { NLWIRE_COUNTS, false, sizeof(NlBatch) },
        { NLWIRE_TASKS, false, sizeof(NlBatch) },    { NLWIRE_EXITS, false, 0 },
        { NLWIRE_ANSWER, false, sizeof(NlAsk) },     { NLWIRE_ASK_LINKS, true, sizeof(NlLinksAsk) },
        { NLWIRE_LINKS, false, sizeof(NlLinksAsk) }, { NLWIRE_EXECS, false, 0 },
};

static size_t make(NlOut *o, NlwireType type, const void *body, const void *item, size_t n) {
        nlwire_begin(o, type, body);
        for (size_t i = 0; i < n; i++)
                assert_true(nlwire_add(o, item));
        return nlwire_end(o);
}

/* A body and an item of zeros (a group's: id 1, a path; of links: a pid, a number, names) are valid in each type. */
static size_t make_valid(NlOut *o, size_t i, size_t n) {
        static const uint8_t zeros[1024];
        const NlGroup group = { .id = 1 };
        const NlLinksAsk links = { .pid = 1, .n_all = 3 };
        const NlLink link = { .name = "veth0" };

        if (types[i].type == NLWIRE_GROUP)
                return make(o, NLWIRE_GROUP, &group, "/", MIN_OF(n, (size_t)1));
        if (types[i].type == NLWIRE_ASK_LINKS)
                return make(o, NLWIRE_ASK_LINKS, &links, NULL, 0);
        if (types[i].type == NLWIRE_LINKS)
                return make(o, NLWIRE_LINKS, &links, &link, n);
        return make(o, types[i].type, zeros, zeros,
                    types[i].type == NLWIRE_WANT || types[i].type == NLWIRE_STATUS ? 0 : n);
}

static void test_types(void **unused) {
        static NlOut o;
        NlPacket p;

        (void)unused;
        assert_int_equal(ARRAY_SIZE(types) + 1, _NLWIRE_TYPE_MAX);
        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                size_t len = make_valid(&o, i, 3);

                assert_int_equal(nlwire_parse(o.data, len, types[i].by_guard, &p), 0);
                assert_int_equal(p.type, types[i].type);
                assert_int_equal(p.n, o.n);
                assert_int_equal(nlwire_parse(o.data, len, !types[i].by_guard, &p), -EBADMSG);
                /* No other length fits. */
                for (size_t cut = 0; cut < len; cut++) {
                        _cleanup_free_ uint8_t *copy = malloc(cut + 1);

                        memcpy(copy, o.data, cut);
                        assert_int_equal(nlwire_parse(copy, cut, types[i].by_guard, &p), -EBADMSG);
                }
                assert_int_equal(nlwire_parse(o.data, len + 1, types[i].by_guard, &p), -EBADMSG);
                o.data[0]++; /* another version */
                assert_int_equal(nlwire_parse(o.data, len, types[i].by_guard, &p), -EBADMSG);
        }
}

static void test_head(void **unused) {
        static NlOut o;
        NlPacket p;
        size_t len = make_valid(&o, 5, 2);

        (void)unused;
        for (unsigned type = 0; type < 256; type++) {
                o.data[2] = (uint8_t)type;
                if (type != NLWIRE_COUNTS)
                        assert_int_equal(nlwire_parse(o.data, len, false, &p), -EBADMSG);
        }
        o.data[2] = NLWIRE_COUNTS;
        for (unsigned n = 0; n < 256; n++) {
                o.data[4] = (uint8_t)n;
                assert_int_equal(nlwire_parse(o.data, len, false, &p), n == 2 ? 0 : -EBADMSG);
        }
        /* a number of items whose size wraps around */
        memset(o.data + 4, 0xff, 4);
        assert_int_equal(nlwire_parse(o.data, len, false, &p), -EBADMSG);
}

static void test_full(void **unused) {
        static NlOut o;
        const NlBatch b = { .lost = 4, .span_usec = 5 };
        NlCounts c = { .group = 9 };
        size_t n = 0, len;
        NlPacket p;

        (void)unused;
        nlwire_begin(&o, NLWIRE_COUNTS, &b);
        for (c.n[0] = 0; nlwire_add(&o, &c); c.n[0]++)
                n++;
        len = nlwire_end(&o);
        assert_true(len <= NLWIRE_PACKET_MAX && len + sizeof(c) > NLWIRE_PACKET_MAX);
        assert_int_equal(nlwire_parse(o.data, len, false, &p), 0);
        assert_int_equal(p.n, n);
        assert_int_equal(p.batch.lost, 4);
        for (size_t i = 0; i < n; i++) {
                nlwire_item(&p, i, &c);
                assert_int_equal(c.group, 9);
                assert_int_equal(c.n[0], i);
        }
}

static int parse_group(uint32_t id, const char *path) {
        static NlOut o;
        NlGroup g = { .id = id };
        NlPacket p;

        nlwire_begin(&o, NLWIRE_GROUP, &g);
        for (; *path; path++)
                (void)nlwire_add(&o, path);
        return nlwire_parse(o.data, nlwire_end(&o), false, &p);
}

static void test_contents(void **unused) {
        static char path[TALLY_PATH_MAX + 3];
        static NlOut o;
        NlWant w = { .wants = NL_WANT_ALL };
        NlAsk a = { .span_usec = NLWIRE_SPAN_MAX, .by = NL_BY_IO };
        NlProcess process = { .pid = 1 };
        NlExec exec = { .comm = "sh" };
        uint32_t pid = 5;
        NlPacket p;

        (void)unused;
        assert_int_equal(parse_group(1, "/a.slice"), 0);
        assert_int_equal(parse_group(1, ""), 0); /* it is forgotten */
        assert_int_equal(parse_group(0, "/a"), -EBADMSG);
        assert_int_equal(parse_group(1, "a"), -EBADMSG);
        assert_int_equal(parse_group(1, "/../a"), -EBADMSG);
        assert_int_equal(parse_group(1, "/a\033[31m"), -EBADMSG);
        memset(path, 'a', sizeof(path) - 1);
        path[0] = '/';
        assert_int_equal(parse_group(1, path), -EBADMSG);

        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_WANT, &w, NULL, 0), true, &p), 0);
        w.wants++;
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_WANT, &w, NULL, 0), true, &p), -EBADMSG);

        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_ASK, &a, &pid, NLWIRE_ASK_MAX), true, &p), 0);
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_ASK, &a, &pid, NLWIRE_ASK_MAX + 1), true, &p),
                         -EBADMSG);
        a.by = _NL_BY_MAX;
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_ASK, &a, &pid, 1), true, &p), -EBADMSG);
        a = (NlAsk){ .span_usec = NLWIRE_SPAN_MAX + 1 };
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_ASK, &a, &pid, 1), true, &p), -EBADMSG);

        a = (NlAsk){};
        assert_int_equal(
                nlwire_parse(o.data, make(&o, NLWIRE_ANSWER, &a, &process, NLWIRE_ANSWER_MAX), false, &p), 0);
        assert_int_equal(
                nlwire_parse(o.data, make(&o, NLWIRE_ANSWER, &a, &process, NLWIRE_ANSWER_MAX + 1), false, &p),
                -EBADMSG);
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_EXECS, NULL, &exec, 9), false, &p), 0);
        memset(exec.comm, 'x', sizeof(exec.comm)); /* no end */
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_EXECS, NULL, &exec, 1), false, &p), -EBADMSG);
        memset(process.comm, 'x', sizeof(process.comm));
        assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_ANSWER, &a, &process, 1), false, &p), -EBADMSG);
}

static int parse_links(const NlLinksAsk *a, const NlLink *l, size_t n) {
        static NlOut o;
        NlPacket p;

        return nlwire_parse(o.data, make(&o, NLWIRE_LINKS, a, l, n), false, &p);
}

static void test_links(void **unused) {
        static const struct {
                char name[NLWIRE_LINK_NAME_MAX], master[NLWIRE_LINK_NAME_MAX];
                uint32_t state;
                int r;
        } links[] = {
                { "veth3f2a1b", "docker0", NL_LINK_UP, 0 },
                { "veth3f2a1b", "", NL_LINK_UNKNOWN, 0 },
                { "fifteen-letters", "fifteen-letters", NL_LINK_DOWN, 0 },
                { "", "docker0", NL_LINK_UP, -EBADMSG },
                { "sixteen--letters", "docker0", NL_LINK_UP, -EBADMSG },
                { "veth0", "sixteen--letters", NL_LINK_UP, -EBADMSG },
                { "ve th0", "docker0", NL_LINK_UP, -EBADMSG },
                { "veth\033[31m", "docker0", NL_LINK_UP, -EBADMSG },
                { "veth0", "\x7f", NL_LINK_UP, -EBADMSG },
                { "v\xc3\xa9th", "docker0", NL_LINK_UP, -EBADMSG },
                { "veth0\0hidden", "docker0", NL_LINK_UP, -EBADMSG },
                { "veth0", "\0hidden", NL_LINK_UP, -EBADMSG },
                { "veth0", "docker0", _NL_LINK_STATE_MAX, -EBADMSG },
        };
        static NlOut o;
        NlLinksAsk a = { .seq = 1, .pid = 1, .n_all = 1 };
        NlLink l = { .name = "veth0" };
        NlPacket p;

        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
                NlLink one = { .state = links[i].state };

                memcpy(one.name, links[i].name, sizeof(one.name));
                memcpy(one.master, links[i].master, sizeof(one.master));
                assert_int_equal(parse_links(&a, &one, 1), links[i].r);
        }
        assert_int_equal(parse_links(&a, &l, 0), 0);
        assert_int_equal(parse_links(&a, &l, 2), -EBADMSG); /* more than all */
        a.n_all = 1000;
        assert_int_equal(parse_links(&a, &l, NLWIRE_LINKS_MAX), 0);
        assert_int_equal(parse_links(&a, &l, NLWIRE_LINKS_MAX + 1), -EBADMSG);
        a.error = EPERM;
        assert_int_equal(parse_links(&a, &l, 1), -EBADMSG); /* none is known, and one is told of */
        assert_int_equal(parse_links(&a, &l, 0), 0);
        for (uint32_t pid = 0; pid < 2; pid++) {
                a.pid = pid ? (uint32_t)INT32_MAX + 1 : 0;
                assert_int_equal(nlwire_parse(o.data, make(&o, NLWIRE_ASK_LINKS, &a, NULL, 0), true, &p),
                                 -EBADMSG);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_types),    cmocka_unit_test(test_head),  cmocka_unit_test(test_full),
                cmocka_unit_test(test_contents), cmocka_unit_test(test_links),
        };

        return cmocka_run_group_tests_name("nlwire", tests, NULL, NULL);
}
