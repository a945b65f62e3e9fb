/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The service as it is, in a process of its own, on the kernel there is. Where that tells nothing (no CAP_NET_ADMIN,
 * a container), it must say so, and go on answering.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nlwire.h"
#include "service.h"

#define PATIENCE_MS 20000

static char dir[] = "/tmp/bailiff-netlinkd.XXXXXX", path[64];

typedef struct Fixture {
        pid_t pid;
        int stop; /* closed: it ends */
} Fixture;

static int address(struct sockaddr_un *a) {
        *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
        memcpy(a->sun_path, path, strlen(path) + 1);
        return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static Fixture start(usec_t idle) {
        struct sockaddr_un a;
        int fd = address(&a), stop[2];
        Fixture f;

        (void)unlink(path);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 4), 0);
        assert_int_equal(pipe(stop), 0);
        f.pid = fork();
        assert_true(f.pid >= 0);
        if (f.pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(stop[1]);
                _exit(service_run(&(ServiceConfig){
                              .listen_fd = fd, .stop_fd = stop[0], .idle = idle, .rcvbuf = SERVICE_RCVBUF }) <
                      0);
        }
        (void)close(fd);
        (void)close(stop[0]);
        f.stop = stop[1];
        return f;
}

static void stop(Fixture *f) {
        int status;

        (void)close(f->stop);
        assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
        assert_int_equal(status, 0);
}

static int join(void) {
        struct sockaddr_un a;
        int fd = address(&a);

        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        return fd;
}

static void say(int fd, NlwireType type, const void *body, const void *item, size_t n) {
        static NlOut o;

        nlwire_begin(&o, type, body);
        for (size_t i = 0; i < n; i++)
                assert_true(nlwire_add(&o, item));
        assert_int_equal(send(fd, o.data, nlwire_end(&o), MSG_NOSIGNAL), (ssize_t)o.len);
}

static void want(int fd, uint32_t wants) {
        NlWant w = { .wants = wants };

        say(fd, NLWIRE_WANT, &w, NULL, 0);
}

/* The next packet of that type; others are passed over. */
static NlPacket hear(int fd, NlwireType type) {
        static uint8_t buf[NLWIRE_PACKET_MAX];

        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                NlPacket packet;
                ssize_t n;

                if (poll(&p, 1, PATIENCE_MS) <= 0)
                        fail_msg("no packet of type %d came", (int)type);
                n = recv(fd, buf, sizeof(buf), 0);
                assert_true(n > 0);
                assert_int_equal(nlwire_parse(buf, (size_t)n, false, &packet), 0);
                if (packet.type == type)
                        return packet;
        }
}

/* The status of since it knows what is wanted. */
static NlStatus hear_status(int fd, uint32_t wants) {
        for (;;) {
                NlPacket p = hear(fd, NLWIRE_STATUS);

                if (p.status.wants == wants)
                        return p.status;
        }
}

static pid_t sleeper(int status) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        (void)raise(SIGSTOP);
        _exit(status);
}

static void test_status_and_exit(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        int fd = join(), status;
        pid_t pid = sleeper(3);
        NlWatch w = { .cookie = 7, .pid = (uint32_t)pid };
        NlStatus s;
        NlPacket p;
        NlExit e;

        (void)unused;
        want(fd, NL_WANT_MAINS);
        say(fd, NLWIRE_WATCH, NULL, &w, 1);
        (void)hear_status(fd, NL_WANT_MAINS);
        /* It is watched by now: what the service is asked later it answers later. */
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        for (unsigned i = 0; i < 2; i++) {
                NlAsk a = { .seq = i };
                uint32_t self = (uint32_t)getpid();

                say(fd, NLWIRE_ASK, &a, &self, 1);
                (void)hear(fd, NLWIRE_ANSWER);
        }
        want(fd, NL_WANT_MAINS); /* said again: the kernel is asked again, if it refused */
        s = hear_status(fd, NL_WANT_MAINS);
        print_message("process events: %s\n", s.events_error ? strerror((int)s.events_error) : "yes");
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (s.events_error == 0) {
                p = hear(fd, NLWIRE_EXITS);
                assert_int_equal(p.n, 1);
                nlwire_item(&p, 0, &e);
                assert_int_equal(e.cookie, 7);
                assert_int_equal(e.pid, pid);
                assert_true(e.known);
                assert_int_equal(e.code, 3 << 8);
        }
        (void)close(fd);
        stop(&f);
}

/* One that has ended before it is watched is told of, too. */
static void test_gone_before(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        int fd = join();
        NlWatch w = { .cookie = 8, .pid = INT32_MAX };
        NlPacket p;
        NlExit e;

        (void)unused;
        want(fd, NL_WANT_MAINS);
        say(fd, NLWIRE_WATCH, NULL, &w, 1);
        if (hear_status(fd, NL_WANT_MAINS).events_error == 0) {
                p = hear(fd, NLWIRE_EXITS);
                nlwire_item(&p, 0, &e);
                assert_int_equal(e.cookie, 8);
                assert_false(e.known);
        }
        (void)close(fd);
        stop(&f);
}

static void test_counts(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        int fd = join(), status;
        uint64_t forks = 0, lost = 0;
        NlStatus s;

        (void)unused;
        want(fd, NL_WANT_FORKS);
        s = hear_status(fd, NL_WANT_FORKS);
        for (unsigned i = 0; i < 50; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        _exit(0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        while (s.events_error == 0 && forks + lost < 50) {
                NlPacket b = hear(fd, NLWIRE_COUNTS);

                lost += b.batch.lost;
                for (size_t i = 0; i < b.n; i++) {
                        NlCounts c;

                        nlwire_item(&b, i, &c);
                        forks += c.n[TALLY_FORKS];
                }
        }
        (void)close(fd);
        stop(&f);
}

static void test_question(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        const NlAsk a = { .seq = 9, .span_usec = 50 * USEC_PER_MSEC, .by = NL_BY_MEMORY };
        uint32_t pids[3] = { (uint32_t)getpid(), INT32_MAX, 0 };
        static NlOut o;
        int fd = join();
        NlProcess one;
        NlPacket p;

        (void)unused;
        want(fd, NL_WANT_ANSWERS);
        nlwire_begin(&o, NLWIRE_ASK, &a);
        for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
                assert_true(nlwire_add(&o, &pids[i]));
        assert_int_equal(send(fd, o.data, nlwire_end(&o), 0), (ssize_t)o.len);
        p = hear(fd, NLWIRE_ANSWER);
        assert_int_equal(p.ask.seq, 9);
        assert_true(p.ask.span_usec >= a.span_usec);
        assert_int_equal(p.n, 1); /* who is not there is not told of */
        nlwire_item(&p, 0, &one);
        assert_int_equal(one.pid, getpid());
        assert_string_equal(one.comm, "test-netlinkd");
        assert_true(one.rss_bytes > 0);
        (void)close(fd);
        stop(&f);
}

/* More questions than it keeps: all are answered. */
static void test_questions(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        uint32_t pid = (uint32_t)getpid();
        bool answered[10] = {};
        int fd = join();

        (void)unused;
        for (unsigned i = 0; i < ARRAY_SIZE(answered); i++) {
                NlAsk a = { .seq = i, .span_usec = 100 * USEC_PER_MSEC };

                say(fd, NLWIRE_ASK, &a, &pid, 1);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(answered); i++) {
                NlPacket p = hear(fd, NLWIRE_ANSWER);

                assert_true(p.ask.seq < ARRAY_SIZE(answered) && !answered[p.ask.seq]);
                answered[p.ask.seq] = true;
        }
        (void)close(fd);
        stop(&f);
}

/* What it cannot be told ends the connection, and nothing else; who comes later takes the place of who was there. */
static void test_clients(void **unused) {
        static const char junk[NLWIRE_PACKET_MAX + 1];
        Fixture f = start(60 * USEC_PER_SEC);
        const NlStatus s = {};
        char c;
        int a, b;

        (void)unused;
        for (unsigned i = 0; i < 4; i++) {
                a = join();
                if (i == 0)
                        assert_int_equal(send(a, junk, 3, 0), 3);
                else if (i == 1)
                        assert_int_equal(send(a, junk, sizeof(junk), 0), sizeof(junk));
                else if (i == 2)
                        say(a, NLWIRE_STATUS, &s, NULL, 0); /* its own word */
                else
                        want(a, NL_WANT_ALL), (void)send(a, "", 0, 0); /* an empty packet is the end */
                while (recv(a, &c, 1, 0) > 0)
                        ;
                (void)close(a);
        }
        a = join();
        want(a, NL_WANT_ANSWERS);
        (void)hear(a, NLWIRE_STATUS);
        b = join();
        want(b, NL_WANT_ANSWERS);
        (void)hear(b, NLWIRE_STATUS);
        while (recv(a, &c, 1, 0) > 0)
                ;
        (void)close(a);
        (void)close(b);
        stop(&f);
}

static void test_idle(void **unused) {
        Fixture f = start(100 * USEC_PER_MSEC);
        int status;

        (void)unused;
        assert_int_equal(waitpid(f.pid, &status, 0), f.pid);
        assert_int_equal(status, 0);
        (void)close(f.stop);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status_and_exit),
                cmocka_unit_test(test_gone_before),
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_question),
                cmocka_unit_test(test_questions),
                cmocka_unit_test(test_clients),
                cmocka_unit_test(test_idle),
        };
        int r;

        if (!mkdtemp(dir))
                return 2;
        (void)snprintf(path, sizeof(path), "%s/sock", dir);
        r = cmocka_run_group_tests_name("netlinkd", tests, NULL, NULL);
        (void)unlink(path);
        (void)rmdir(dir);
        return r;
}
