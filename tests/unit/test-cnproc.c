/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages of the process connector: those that a kernel sent (fixtures/netlink/events-…, as length and bytes), cut and bent
 * ones; and the filter, run here over the same messages by an interpreter of the few instructions that it has.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#include "cnproc.h"
#include "fdio.h"

#define EVENT (NLMSG_HDRLEN + sizeof(struct cn_msg))
#define HEAD offsetof(struct proc_event, event_data)

static uint8_t recorded[1 << 16];
static size_t n_recorded;

typedef struct Message {
        uint8_t data[256];
        size_t len;
} Message;

/* False: there are no more. */
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

static Message make(uint32_t what, const uint32_t *data, size_t n) {
        struct cn_msg cn = { .id = { CN_IDX_PROC, CN_VAL_PROC },
                             .len = (uint16_t)(HEAD + n * sizeof(*data)) };
        struct nlmsghdr h = { .nlmsg_len = (uint32_t)(EVENT + cn.len), .nlmsg_type = NLMSG_DONE };
        Message m = { .len = h.nlmsg_len };

        memcpy(m.data, &h, sizeof(h));
        memcpy(m.data + NLMSG_HDRLEN, &cn, sizeof(cn));
        memcpy(m.data + EVENT, &what, sizeof(what));
        memcpy(m.data + EVENT + HEAD, data, n * sizeof(*data));
        return m;
}

static int parse(const Message *m, CnprocKind *kind, KinEvent *e) {
        uint32_t ack = 0;
        int error = 0;

        return cnproc_parse(m->data, m->len, kind, e, &ack, &error);
}

static void test_recorded(void **unused) {
        unsigned n[_KIN_WHAT_MAX] = {}, threads = 0, acks = 0, cores = 0, status = 0;
        size_t at = 0;
        Message m;

        (void)unused;
        while (next_message(&at, &m)) {
                CnprocKind kind;
                KinEvent e;

                assert_int_equal(parse(&m, &kind, &e), 0);
                if (kind != CNPROC_EVENT) {
                        acks += kind == CNPROC_ACK;
                        continue;
                }
                n[e.what]++;
                threads += e.what == KIN_FORK && e.pid != e.tgid;
                cores += e.what == KIN_EXIT && e.code == (11 | 0x80);
                status += e.what == KIN_EXIT && e.code == 11 << 8;
        }
        assert_int_equal(acks, 1);
        assert_int_equal(n[KIN_FORK], 17);
        assert_int_equal(threads, 4);
        assert_int_equal(n[KIN_EXEC], 5);
        assert_int_equal(n[KIN_EXIT], 17);
        assert_int_equal(n[KIN_UID], 1);
        assert_int_equal(n[KIN_CORE], 1);
        assert_int_equal(cores, 1);
        assert_int_equal(status, 1);
}

/* No prefix of a message is one. */
static void test_cut(void **unused) {
        size_t at = 0;
        Message m;

        (void)unused;
        while (next_message(&at, &m))
                for (size_t len = m.len; len-- > 0;) {
                        _cleanup_free_ uint8_t *copy = malloc(len + 1);
                        CnprocKind kind;
                        KinEvent e;
                        uint32_t ack;
                        int error;

                        assert_non_null(copy);
                        memcpy(copy, m.data, len);
                        assert_int_equal(cnproc_parse(copy, len, &kind, &e, &ack, &error), -EBADMSG);
                }
}

typedef struct Row {
        const char *what;
        uint32_t event;
        uint32_t data[6];
        size_t n;
        int r;
        CnprocKind kind;
} Row;

static const Row rows[] = {
        { "fork", PROC_EVENT_FORK, { 1, 1, 7, 7 }, 4, 0, CNPROC_EVENT },
        { "fork of a parent beyond our namespace", PROC_EVENT_FORK, { 0, 0, 7, 7 }, 4, 0, CNPROC_EVENT },
        { "fork of nobody", PROC_EVENT_FORK, { 1, 1, 0, 0 }, 4, -EBADMSG, 0 },
        { "a pid beyond all", PROC_EVENT_FORK, { 1, 1, 0x80000000, 7 }, 4, -EBADMSG, 0 },
        { "a short fork", PROC_EVENT_FORK, { 1, 1, 7 }, 3, -EBADMSG, 0 },
        { "an exit without a parent, of old", 0x80000000, { 7, 7, 0, 17 }, 4, 0, CNPROC_EVENT },
        { "a short exit", 0x80000000, { 7, 7, 0 }, 3, -EBADMSG, 0 },
        { "ptrace", PROC_EVENT_PTRACE, { 7, 7, 1, 1 }, 4, 0, CNPROC_OTHER },
        { "a kind of tomorrow", 0x00100000, { 7 }, 1, 0, CNPROC_OTHER },
        { "an answer", PROC_EVENT_NONE, { 1 }, 1, 0, CNPROC_ACK },
        { "an answer of no error there is", PROC_EVENT_NONE, { 4096 }, 1, -EBADMSG, 0 },
};

static void test_rows(void **unused) {
        (void)unused;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Message m = make(rows[i].event, rows[i].data, rows[i].n);
                CnprocKind kind = 99;
                KinEvent e;

                if (parse(&m, &kind, &e) != rows[i].r || (rows[i].r == 0 && kind != rows[i].kind))
                        fail_msg("%s", rows[i].what);
        }
}

static void test_strangers(void **unused) {
        Message m = make(PROC_EVENT_EXEC, (const uint32_t[]){ 7, 7 }, 2), bent;
        CnprocKind kind;
        KinEvent e;

        (void)unused;
        assert_int_equal(parse(&m, &kind, &e), 0);
        bent = m;
        bent.data[offsetof(struct nlmsghdr, nlmsg_type)] = NLMSG_ERROR;
        assert_int_equal(parse(&bent, &kind, &e), -EBADMSG);
        bent = m;
        bent.data[NLMSG_HDRLEN] = 9; /* another connector's */
        assert_int_equal(parse(&bent, &kind, &e), -EBADMSG);
        bent = m;
        bent.data[NLMSG_HDRLEN + offsetof(struct cn_msg, len) + 1] = 1; /* longer than the datagram */
        assert_int_equal(parse(&bent, &kind, &e), -EBADMSG);
        bent = m;
        bent.data[0] = 0xff;
        assert_int_equal(parse(&bent, &kind, &e), -EBADMSG);
}

static void test_request(void **unused) {
        char a[CNPROC_REQUEST_MAX], b[CNPROC_REQUEST_MAX];
        uint32_t op;

        (void)unused;
        assert_int_equal(cnproc_request(a, true, 0, 5, 9), EVENT + 4);
        assert_int_equal(cnproc_request(b, false, 0, 5, 9), EVENT + 4);
        memcpy(&op, a + EVENT, sizeof(op));
        assert_int_equal(op, PROC_CN_MCAST_LISTEN);
        memcpy(&op, b + EVENT, sizeof(op));
        assert_int_equal(op, PROC_CN_MCAST_IGNORE);
        assert_int_equal(cnproc_request(a, true, cnproc_events(1U << KIN_FORK | 1U << KIN_EXIT), 5, 9),
                         EVENT + 8);
        memcpy(&op, a + EVENT + 4, sizeof(op));
        assert_int_equal(op, 0x80000001);
}

/* ---- the filter ---- */

/* What a filter says of a message: the kernel's rules for the instructions that cnproc_filter() uses. */
static bool passes(const struct sock_filter *f, size_t n, const Message *m) {
        uint32_t a = 0;

        for (size_t i = 0, steps = 0; i < n; i++) {
                const struct sock_filter *s = &f[i];

                assert_true(++steps < 64); /* a search, not a walk */
                switch (s->code) {
                case BPF_LD | BPF_W | BPF_ABS:
                        if (s->k + 4 > m->len)
                                return false;
                        memcpy(&a, m->data + s->k, sizeof(a));
                        a = ntohl(a);
                        break;
                case BPF_JMP | BPF_JEQ | BPF_K:
                        i += a == s->k ? s->jt : s->jf;
                        break;
                case BPF_JMP | BPF_JGE | BPF_K:
                        i += a >= s->k ? s->jt : s->jf;
                        break;
                case BPF_JMP | BPF_JA:
                        i += s->k;
                        break;
                case BPF_RET | BPF_K:
                        return s->k != 0;
                default:
                        fail_msg("instruction %zu is of no known kind", i);
                }
        }
        fail_msg("ran off the end");
        return false;
}

static Message exit_of(uint32_t pid, uint32_t tgid) {
        return make(0x80000000, (const uint32_t[]){ pid, tgid, 0, 17 }, 4);
}

static Message exec_of(uint32_t pid) { return make(PROC_EVENT_EXEC, (const uint32_t[]){ pid, pid }, 2); }

static void test_filter_kinds(void **unused) {
        static struct sock_filter f[CNPROC_FILTER_MAX];

        (void)unused;
        for (unsigned kinds = 0; kinds < 1U << _KIN_WHAT_MAX; kinds++) {
                size_t n = cnproc_filter(kinds, NULL, 0, f), at = 0;
                Message m;

                assert_true(n <= CNPROC_FILTER_MAX);
                while (next_message(&at, &m)) {
                        CnprocKind kind;
                        KinEvent e;

                        assert_int_equal(parse(&m, &kind, &e), 0);
                        assert_int_equal(passes(f, n, &m), kind == CNPROC_ACK || (kind == CNPROC_EVENT &&
                                                                                  kinds & 1U << e.what));
                }
        }
}

/* pids: 2, 39, 76 … */
static void check_pids(unsigned kinds, const uint32_t *pids, size_t n_pids) {
        static struct sock_filter f[CNPROC_FILTER_MAX];
        size_t n = cnproc_filter(kinds, pids, n_pids, f);
        Message m;

        assert_true(n <= CNPROC_FILTER_MAX);
        for (uint32_t pid = 1; pid < pids[n_pids - 1] + 40; pid++) {
                bool watched = (pid - 2) % 37 == 0 && (pid - 2) / 37 < n_pids;

                m = exit_of(pid, pid);
                assert_int_equal(passes(f, n, &m), watched || kinds & 1U << KIN_EXIT);
                m = exec_of(pid);
                assert_int_equal(passes(f, n, &m), watched || kinds & 1U << KIN_EXEC);
                /* a thread of it is not it */
                m = exit_of(pid + 1000000, pid);
                assert_int_equal(passes(f, n, &m), !!(kinds & 1U << KIN_EXIT));
        }
        m = make(PROC_EVENT_FORK, (const uint32_t[]){ 1, 1, 2, 2 }, 4);
        assert_int_equal(passes(f, n, &m), !!(kinds & 1U << KIN_FORK));
        m = make(PROC_EVENT_UID, (const uint32_t[]){ 2, 2, 0, 0 }, 4);
        assert_false(passes(f, n, &m));
}

static void test_filter_pids(void **unused) {
        static const size_t sizes[] = { 1, 2, 7, 8, 9, 16, 17, 100, 255, 256, 257, 1000, CNPROC_WATCHED_MAX };
        static const unsigned kinds[] = { 0, 1U << KIN_EXEC, 1U << KIN_EXIT, 1U << KIN_FORK | 1U << KIN_EXEC,
                                          CNPROC_WATCHED_KINDS };
        static uint32_t pids[CNPROC_WATCHED_MAX];

        (void)unused;
        for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
                for (size_t i = 0; i < sizes[s]; i++)
                        pids[i] = (uint32_t)(2 + i * 37);
                for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
                        check_pids(kinds[k], pids, sizes[s]);
        }
}

int main(int argc, char *argv[]) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_recorded),    cmocka_unit_test(test_cut),
                cmocka_unit_test(test_rows),        cmocka_unit_test(test_strangers),
                cmocka_unit_test(test_request),     cmocka_unit_test(test_filter_kinds),
                cmocka_unit_test(test_filter_pids),
        };
        char path[4096];
        ssize_t n;

        if (argc != 2)
                return 2;
        (void)snprintf(path, sizeof(path), "%s/events-6.18", argv[1]);
        n = fd_read_at(AT_FDCWD, path, (char *)recorded, sizeof(recorded));
        if (n <= 0)
                return 2;
        n_recorded = (size_t)n;
        return cmocka_run_group_tests_name("cnproc", tests, NULL, NULL);
}
