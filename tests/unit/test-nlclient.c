/* SPDX-License-Identifier: Apache-2.0 */

/* The guard's end, with a bailiff-netlink that is this test: what it is told, what it believes, how it comes back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "nlclient.h"

#define S USEC_PER_SEC

static char dir[] = "/tmp/bailiff-nlclient.XXXXXX", path[64];

typedef struct Log {
        Buf b;
        NlClient *client;
} Log;

static const char *name(const char *p) { return p ? p : "-"; }

static void on_status(void *user, const NlStatus *s) {
        buf_printf(&((Log *)user)->b, "status %u;", s->events_error);
}
static void on_batch(void *user, bool tasks, const NlBatch *b) {
        buf_printf(&((Log *)user)->b, "%s lost %u;", tasks ? "tasks" : "counts", (unsigned)b->lost);
}
static void on_counts(void *user, const char *p, const uint64_t n[_TALLY_COUNT_MAX]) {
        buf_printf(&((Log *)user)->b, "%s %u;", name(p), (unsigned)n[TALLY_FORKS]);
}
static void on_tasks(void *user, const char *p, const uint64_t n[_TALLY_TASK_MAX]) {
        buf_printf(&((Log *)user)->b, "%s %u;", name(p), (unsigned)n[TALLY_CPU_USEC]);
}
static void on_exited(void *user, uint64_t cookie, uint32_t pid, uint32_t code, bool known) {
        buf_printf(&((Log *)user)->b, "exit %u %u %u %d;", (unsigned)cookie, pid, code, known);
}
static void on_execed(void *user, uint64_t cookie, uint32_t pid, uint64_t n, const char *comm) {
        buf_printf(&((Log *)user)->b, "exec %u %u %u %s;", (unsigned)cookie, pid, (unsigned)n, comm);
}
static void on_answer(void *user, const NlAsk *ask, const NlProcess *all, size_t n) {
        buf_printf(&((Log *)user)->b, "answer %u %zu %s;", (unsigned)ask->seq, n, n ? all[0].comm : "");
}
static void on_links(void *user, const NlLinksAsk *ask, const NlLink *links, size_t n) {
        buf_printf(&((Log *)user)->b, "links %u %zu %s of %u;", (unsigned)ask->seq, n, n ? links[0].name : "",
                   (unsigned)ask->n_all);
}
static void on_link(void *user, const char *why) { buf_printf(&((Log *)user)->b, "%s;", why ? why : "here"); }

static const NlClientOps ops = { on_status, on_batch,  on_counts, on_tasks, on_exited,
                                 on_execed, on_answer, on_links,  on_link };

static void assert_log(Log *l, const char *expected) {
        assert_string_equal(buf_str(&l->b), expected);
        buf_clear(&l->b);
}

static int serve(void) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        (void)unlink(path);
        memcpy(a.sun_path, path, strlen(path) + 1);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 4), 0);
        return fd;
}

static NlPacket hear(int fd, uint8_t *buf) {
        NlPacket p = {};
        ssize_t n = recv(fd, buf, NLWIRE_PACKET_MAX, MSG_DONTWAIT);

        assert_true(n > 0);
        assert_int_equal(nlwire_parse(buf, (size_t)n, true, &p), 0);
        return p;
}

static void say(int fd, NlwireType type, const void *body, const void *item, size_t n) {
        static NlOut o;

        nlwire_begin(&o, type, body);
        for (size_t i = 0; i < n; i++)
                assert_true(nlwire_add(&o, item));
        assert_int_equal(send(fd, o.data, nlwire_end(&o), MSG_DONTWAIT), (ssize_t)o.len);
}

static void say_group(int fd, uint32_t id, const char *p) {
        static NlOut o;
        NlGroup g = { .id = id };

        nlwire_begin(&o, NLWIRE_GROUP, &g);
        for (; *p; p++)
                assert_true(nlwire_add(&o, p));
        assert_int_equal(send(fd, o.data, nlwire_end(&o), MSG_DONTWAIT), (ssize_t)o.len);
}

static void say_counts(int fd, uint32_t group, uint64_t forks, uint64_t lost) {
        NlBatch b = { .span_usec = 1, .lost = lost };
        NlCounts c = { .group = group, .n = { [TALLY_FORKS] = forks } };

        say(fd, NLWIRE_COUNTS, &b, &c, 1);
}

static Log *start(Log *l) {
        *l = (Log){};
        assert_int_equal(nlclient_new(path, &ops, l, &l->client), 0);
        return l;
}

static void stop(Log *l) {
        nlclient_free(l->client);
        buf_deinit(&l->b);
}

/* Connected, with what was said to the service at once already heard. */
static int connected(Log *l, int listener, uint32_t wants) {
        uint8_t buf[NLWIRE_PACKET_MAX];
        int fd;

        nlclient_want(l->client, wants);
        nlclient_dispatch(l->client, S);
        assert_log(l, "here;");
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(hear(fd, buf).want.wants, wants);
        return fd;
}

static void test_nothing_wanted(void **unused) {
        int listener = serve();
        Log l;

        (void)unused;
        start(&l);
        assert_int_equal(nlclient_next_time(l.client), USEC_INFINITY);
        nlclient_dispatch(l.client, S);
        assert_false(nlclient_connected(l.client));
        assert_log(&l, "");
        stop(&l);
        fd_close(listener);
}

static void test_absent(void **unused) {
        static const usec_t waits[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
        usec_t now = S;
        int listener;
        Log l;

        (void)unused;
        (void)unlink(path);
        start(&l);
        nlclient_want(l.client, NL_WANT_FORKS);
        assert_int_equal(nlclient_next_time(l.client), 0);
        for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
                nlclient_dispatch(l.client, now);
                assert_log(&l, "bailiff-netlink.socket is not there;");
                assert_int_equal(nlclient_next_time(l.client), now + waits[i] * S);
                nlclient_dispatch(l.client, now + waits[i] * S - 1); /* not yet */
                assert_log(&l, "");
                now += waits[i] * S;
        }
        listener = serve();
        nlclient_dispatch(l.client, now);
        assert_log(&l, "here;");
        assert_true(nlclient_connected(l.client));
        stop(&l);
        fd_close(listener);
}

static void test_told(void **unused) {
        const uint32_t gone = 1;
        NlExit e = { .cookie = 7, .pid = 70, .code = 768, .known = 1 };
        NlExec exec = { .cookie = 7, .pid = 70, .n = 3, .comm = "sh" };
        NlStatus s = { .events_error = 1 };
        NlAsk a = { .seq = 5 };
        NlProcess p = { .pid = 1, .comm = "hog" };
        NlLinksAsk links = { .seq = 6, .pid = 1, .n_all = 9 };
        NlLink link = { .name = "veth0" };
        int listener = serve(), fd;
        Log l;

        (void)unused;
        start(&l);
        fd = connected(&l, listener, NL_WANT_ALL);
        say(fd, NLWIRE_STATUS, &s, NULL, 0);
        say_group(fd, 1, "/a");
        say_counts(fd, 1, 4, 0);
        say_counts(fd, 0, 9, 3);
        say_group(fd, gone, "");
        say(fd, NLWIRE_EXITS, NULL, &e, 1); /* nobody watches it */
        say(fd, NLWIRE_ANSWER, &a, &p, 1);
        say(fd, NLWIRE_LINKS, &links, &link, 2);
        nlclient_dispatch(l.client, S);
        assert_log(&l, "status 1;counts lost 0;/a 4;counts lost 3;- 9;answer 5 1 hog;links 6 2 veth0 of 9;");
        assert_int_equal(nlclient_watch(l.client, 7, 70, 0), 0);
        e.pid = exec.pid = 71; /* of a process that was watched under that name before */
        say(fd, NLWIRE_EXITS, NULL, &e, 1);
        say(fd, NLWIRE_EXECS, NULL, &exec, 1);
        e.pid = exec.pid = 70;
        say(fd, NLWIRE_EXECS, NULL, &exec, 2);
        say(fd, NLWIRE_EXITS, NULL, &e, 1);
        say(fd, NLWIRE_EXITS, NULL, &e, 1); /* once is enough */
        say(fd, NLWIRE_EXECS, NULL, &exec, 1); /* and after that there is nothing more */
        nlclient_dispatch(l.client, S);
        assert_log(&l, "exec 7 70 3 sh;exec 7 70 3 sh;exit 7 70 768 1;");
        stop(&l);
        fd_close(fd);
        fd_close(listener);
}

/* Whatever a service says that it cannot: the end of the connection, not of the guard. */
static void test_nonsense(void **unused) {
        static const char junk[NLWIRE_PACKET_MAX + 1];
        int listener = serve();

        (void)unused;
        for (unsigned i = 0; i < 6; i++) {
                NlWant w = {};
                int fd;
                Log l;

                start(&l);
                fd = connected(&l, listener, NL_WANT_FORKS);
                if (i == 0)
                        say_counts(fd, 1, 4, 0); /* a group that it never told of */
                else if (i == 1) {
                        say_group(fd, 1, "/a");
                        say_group(fd, 1, "");
                        say_counts(fd, 1, 4, 0);
                } else if (i == 2)
                        assert_int_equal(send(fd, junk, 5, 0), 5);
                else if (i == 3)
                        assert_int_equal(send(fd, junk, sizeof(junk), 0), sizeof(junk));
                else if (i == 4)
                        say(fd, NLWIRE_WANT, &w, NULL, 0); /* that is for us to say */
                else
                        for (uint32_t k = 1; k <= TALLY_GROUPS_MAX + 1; k++) {
                                say_group(fd, k, "/a");
                                if (k % 100 == 0)
                                        nlclient_dispatch(l.client, S);
                        }
                nlclient_dispatch(l.client, S);
                if (i < 2)
                        assert_log(&l, "counts lost 0;it sends nonsense;");
                else
                        assert_log(&l, "it sends nonsense;");
                assert_false(nlclient_connected(l.client));
                assert_int_equal(nlclient_next_time(l.client), 2 * S);
                stop(&l);
                fd_close(fd);
        }
        fd_close(listener);
}

/* A service that comes back is told all again: what is wanted, who is watched. */
static void test_back(void **unused) {
        uint8_t buf[NLWIRE_PACKET_MAX];
        int listener = serve(), fd;
        size_t heard = 0;
        NlPacket p;
        Log l;

        (void)unused;
        start(&l);
        for (uint64_t i = 1; i <= 1500; i++)
                assert_int_equal(nlclient_watch(l.client, i, (uint32_t)i + 1, 0), 0);
        nlclient_unwatch(l.client, 1500);
        fd = connected(&l, listener, NL_WANT_MAINS);
        fd_close(fd);
        nlclient_dispatch(l.client, S);
        assert_log(&l, "it has ended;");
        nlclient_dispatch(l.client, 60 * S);
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(hear(fd, buf).type, NLWIRE_WANT);
        while (heard < 1499) {
                p = hear(fd, buf);
                assert_int_equal(p.type, NLWIRE_WATCH);
                heard += p.n;
        }
        assert_int_equal(heard, 1499);
        /* Nothing wanted any more: it hangs up. */
        nlclient_want(l.client, 0);
        nlclient_dispatch(l.client, 60 * S);
        assert_false(nlclient_connected(l.client));
        stop(&l);
        fd_close(fd);
        fd_close(listener);
}

static void test_want_again(void **unused) {
        uint8_t buf[NLWIRE_PACKET_MAX];
        int listener = serve(), fd;
        Log l;

        (void)unused;
        start(&l);
        fd = connected(&l, listener, NL_WANT_MAINS);
        nlclient_want(l.client, NL_WANT_MAINS);
        nlclient_dispatch(l.client, S);
        assert_true(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) < 0); /* it knows */
        nlclient_want_again(l.client);
        assert_int_equal(nlclient_next_time(l.client), 0);
        nlclient_dispatch(l.client, S);
        assert_int_equal(hear(fd, buf).want.wants, NL_WANT_MAINS);
        stop(&l);
        fd_close(fd);
        fd_close(listener);
}

/* One that does not read is not waited for. */
static void test_hangs(void **unused) {
        NlAsk a = { .seq = 1 };
        static const uint32_t pids[NLWIRE_ASK_MAX];
        const NlLinksAsk links = { .seq = 1, .pid = 70 };
        uint8_t buf[NLWIRE_PACKET_MAX];
        int listener = serve(), fd;
        Log l;

        (void)unused;
        start(&l);
        assert_int_equal(nlclient_ask(l.client, &a, pids, 1), -ENOTCONN);
        assert_int_equal(nlclient_ask_links(l.client, &links), -ENOTCONN);
        fd = connected(&l, listener, NL_WANT_ANSWERS);
        assert_int_equal(nlclient_ask_links(l.client, &links), 0);
        assert_int_equal(hear(fd, buf).links.pid, 70);
        assert_int_equal(nlclient_ask(l.client, &a, pids, NLWIRE_ASK_MAX + 1), -EINVAL);
        for (unsigned i = 0; i < 10000; i++)
                assert_int_equal(nlclient_ask(l.client, &a, pids, NLWIRE_ASK_MAX), 0);
        nlclient_dispatch(l.client, S);
        assert_log(&l, "it does not take what it is told;");
        stop(&l);
        fd_close(fd);
        fd_close(listener);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_wanted), cmocka_unit_test(test_absent),
                cmocka_unit_test(test_told),           cmocka_unit_test(test_nonsense),
                cmocka_unit_test(test_back),           cmocka_unit_test(test_want_again),
                cmocka_unit_test(test_hangs),
        };
        int r;

        if (!mkdtemp(dir))
                return 2;
        (void)snprintf(path, sizeof(path), "%s/sock", dir);
        r = cmocka_run_group_tests_name("nlclient", tests, NULL, NULL);
        (void)unlink(path);
        (void)rmdir(dir);
        return r;
}
