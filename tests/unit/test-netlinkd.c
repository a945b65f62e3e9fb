/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The service as it is, in a process of its own, on the kernel there is. Where that tells nothing (no CAP_NET_ADMIN,
 * a container), it must say so, and go on answering. Links are made in a network namespace of the test's own.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdio.h"
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

/* Waits, executes a program, and waits again, under that name. */
static pid_t executing(int *ret) {
        int go[2];
        pid_t pid;

        assert_int_equal(pipe(go), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                char c;

                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(go[1]);
                (void)!read(go[0], &c, 1);
                (void)execlp("sleep", "sleep", "1000", NULL);
                _exit(127);
        }
        (void)close(go[0]);
        *ret = go[1];
        return pid;
}

static void test_exec(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        int fd = join(), status, go;
        pid_t pid = executing(&go);
        NlWatch w = { .cookie = 9, .pid = (uint32_t)pid };
        NlPacket p;
        NlExec e;

        (void)unused;
        /* With forks the kernel is asked at once, and not with the first that is watched. */
        want(fd, NL_WANT_MAINS | NL_WANT_FORKS);
        if (hear_status(fd, NL_WANT_MAINS | NL_WANT_FORKS).events_error == 0) {
                say(fd, NLWIRE_WATCH, NULL, &w, 1);
                p = hear(fd, NLWIRE_EXECS);
                assert_int_equal(p.n, 1);
                nlwire_item(&p, 0, &e);
                assert_int_equal(e.cookie, 9);
                assert_int_equal(e.pid, pid);
                assert_int_equal(e.n, 0);
                assert_string_equal(e.comm, "test-netlinkd");
                assert_int_equal(write(go, "", 1), 1);
                p = hear(fd, NLWIRE_EXECS);
                nlwire_item(&p, 0, &e);
                assert_int_equal(e.cookie, 9);
                assert_int_equal(e.n, 1);
                assert_string_equal(e.comm, "sleep");
        }
        (void)close(go);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        (void)close(fd);
        stop(&f);
}

#define MANY 800 /* ends: more than the socket to a guard that does not read has room for */

/* A guard that is busy finds all of them when it reads again, though the kernel has nothing more to say by then. */
static void test_burst(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        int fd = join(), go[2], status;
        uint32_t wants = NL_WANT_MAINS | NL_WANT_FORKS;
        static pid_t pids[MANY];
        static bool ended[MANY];
        char c;

        (void)unused;
        assert_int_equal(pipe(go), 0);
        for (uint32_t i = 0; i < MANY; i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] == 0) {
                        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                        (void)close(go[1]);
                        (void)!read(go[0], &c, 1);
                        _exit(0);
                }
                ended[i] = false;
        }
        want(fd, wants);
        status = (int)hear_status(fd, wants).events_error;
        for (uint32_t i = 0; i < MANY && status == 0; i++) {
                NlWatch w = { .cookie = i, .pid = (uint32_t)pids[i] };

                say(fd, NLWIRE_WATCH, NULL, &w, 1);
        }
        want(fd, NL_WANT_MAINS);
        (void)hear_status(fd, NL_WANT_MAINS); /* they are all watched */
        (void)close(go[0]);
        (void)close(go[1]);
        for (uint32_t i = 0; i < MANY; i++)
                assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
        (void)usleep(500000); /* until there is no room any more */
        for (uint32_t n = 0; n < MANY && status == 0;) {
                NlPacket p = hear(fd, NLWIRE_EXITS);

                for (size_t i = 0; i < p.n; i++, n++) {
                        NlExit e;

                        nlwire_item(&p, i, &e);
                        assert_in_range(e.cookie, 0, MANY - 1);
                        assert_false(ended[e.cookie]);
                        ended[e.cookie] = true;
                        assert_int_equal(e.pid, pids[e.cookie]);
                }
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

/* ---- links ---- */

static struct nl_msg *link_message(int flags, unsigned index, unsigned change, const char *name) {
        const struct ifinfomsg head = { .ifi_index = (int)index, .ifi_flags = change, .ifi_change = change };
        struct nl_msg *m = nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | flags);

        assert_non_null(m);
        assert_int_equal(nlmsg_append(m, (void *)&head, sizeof(head), NLMSG_ALIGNTO), 0);
        if (name)
                assert_int_equal(nla_put_string(m, IFLA_IFNAME, name), 0);
        return m;
}

/* The kernel's answer, by libnl's number. */
static int transact(struct nl_msg *m) {
        struct nl_sock *sk = nl_socket_alloc();
        int r;

        assert_non_null(sk);
        assert_int_equal(nl_connect(sk, NETLINK_ROUTE), 0);
        r = nl_send_sync(sk, m);
        nl_socket_free(sk);
        return r;
}

static int make_bridge(const char *name) {
        struct nl_msg *m = link_message(NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP, name);
        struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO);

        assert_int_equal(nla_put_string(m, IFLA_INFO_KIND, "bridge"), 0);
        assert_int_equal(nla_nest_end(m, info), 0);
        return transact(m);
}

/* `name` here, `peer` in the namespace of pid. */
static int make_wire(const char *name, const char *peer, pid_t pid) {
        const struct ifinfomsg head = {};
        struct nl_msg *m = link_message(NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP, name);
        struct nlattr *info = nla_nest_start(m, IFLA_LINKINFO), *kind, *other;

        assert_int_equal(nla_put_string(m, IFLA_INFO_KIND, "veth"), 0);
        kind = nla_nest_start(m, IFLA_INFO_DATA);
        other = nla_nest_start(m, VETH_INFO_PEER);
        assert_int_equal(nlmsg_append(m, (void *)&head, sizeof(head), NLMSG_ALIGNTO), 0);
        assert_int_equal(nla_put_string(m, IFLA_IFNAME, peer), 0);
        assert_int_equal(nla_put_u32(m, IFLA_NET_NS_PID, (uint32_t)pid), 0);
        assert_int_equal(nla_nest_end(m, other), 0);
        assert_int_equal(nla_nest_end(m, kind), 0);
        assert_int_equal(nla_nest_end(m, info), 0);
        return transact(m);
}

static void set_up(const char *name, const char *master) {
        struct nl_msg *m = link_message(0, if_nametoindex(name), IFF_UP, NULL);

        if (master)
                assert_int_equal(nla_put_u32(m, IFLA_MASTER, if_nametoindex(master)), 0);
        assert_int_equal(transact(m), 0);
}

/* Of links that are made in this namespace from here on; else the kernel says something on them by itself. */
static void keep_quiet(void) {
        _cleanup_fd_ int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

        if (fd >= 0)
                (void)!write(fd, "1", 1);
}

/* A process in a network namespace of its own, and an open fd of that. */
static pid_t in_own_network(int *ret) {
        char name[64];
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (unshare(CLONE_NEWNET) == 0) {
                        keep_quiet();
                        (void)raise(SIGSTOP);
                }
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        (void)snprintf(name, sizeof(name), "/proc/%d/ns/net", (int)pid);
        *ret = open(name, O_RDONLY | O_CLOEXEC);
        assert_true(*ret >= 0);
        return pid;
}

static void end(pid_t pid) {
        int status;

        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* From that link to whoever is at its other end. */
static void send_frames(const char *name, unsigned n) {
        static const char frame[1000] = { [12] = (char)0x88, (char)0xb5 }; /* a type for experiments */
        struct sockaddr_ll to = { .sll_family = AF_PACKET,
                                  .sll_ifindex = (int)if_nametoindex(name),
                                  .sll_halen = 6 };
        _cleanup_fd_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
                                 sizeof(frame));
}

static size_t ask_links(int fd, pid_t pid, NlLinksAsk *ret, NlLink links[static NLWIRE_LINKS_MAX]) {
        static uint64_t seq = 100;
        NlLinksAsk a = { .seq = ++seq, .pid = (uint32_t)pid };
        NlPacket p;

        say(fd, NLWIRE_ASK_LINKS, &a, NULL, 0);
        p = hear(fd, NLWIRE_LINKS);
        assert_int_equal(p.links.seq, seq);
        assert_int_equal(p.links.pid, pid);
        *ret = p.links;
        for (size_t i = 0; i < p.n; i++)
                nlwire_item(&p, i, &links[i]);
        return p.n;
}

#define N_TO 40
#define N_FROM 15

static void check_links(pid_t box, int box_net, pid_t other, int here) {
        Fixture f = start(60 * USEC_PER_SEC);
        int fd = join();
        NlLink l[NLWIRE_LINKS_MAX];
        NlLinksAsk a;

        want(fd, NL_WANT_ANSWERS);
        assert_int_equal(ask_links(fd, box, &a, l), 2);
        assert_int_equal(a.error, 0);
        assert_int_equal(a.n_all, 2);
        assert_string_equal(l[0].name, "veth3f2a1b");
        assert_string_equal(l[0].master, "docker0");
        /* The kernel says so when it gets to it. */
        for (unsigned ms = 0; l[0].state != NL_LINK_UP && ms < PATIENCE_MS; ms += 20) {
                (void)poll(NULL, 0, 20);
                assert_int_equal(ask_links(fd, box, &a, l), 2);
        }
        assert_int_equal(l[0].state, NL_LINK_UP);
        assert_string_equal(l[1].name, "vethlone");
        assert_string_equal(l[1].master, "");
        assert_int_not_equal(l[1].state, NL_LINK_UP); /* its other end is down */

        send_frames("veth3f2a1b", N_TO);
        assert_int_equal(setns(box_net, CLONE_NEWNET), 0);
        send_frames("eth0", N_FROM);
        assert_int_equal(setns(here, CLONE_NEWNET), 0);
        assert_int_equal(ask_links(fd, box, &a, l), 2);
        /* Where it was not kept quiet the kernel says something there by itself; that is not much. */
        assert_in_range(l[0].to.packets, N_TO, N_TO + 12);
        assert_in_range(l[0].to.bytes, N_TO * 1000, N_TO * 1000 + 12 * 200);
        assert_in_range(l[0].from.packets, N_FROM, N_FROM + 12);
        assert_in_range(l[0].from.bytes, N_FROM * 1000, N_FROM * 1000 + 12 * 200);
        assert_int_equal(l[1].to.packets + l[1].from.packets, 0);

        assert_int_equal(ask_links(fd, other, &a, l), 0); /* no link leads there */
        assert_int_equal(a.error, 0);
        assert_int_equal(a.n_all, 0);
        assert_int_equal(ask_links(fd, getpid(), &a, l), 0); /* nor to where it is itself */
        assert_int_equal(a.error, 0);
        assert_int_equal(ask_links(fd, INT32_MAX, &a, l), 0);
        assert_int_equal(a.error, ESRCH);
        for (unsigned i = 0; i < 2 * NLWIRE_LINKS_MAX; i++) {
                char name[16];

                (void)snprintf(name, sizeof(name), "more%u", i);
                assert_int_equal(make_wire(name, name, box), 0);
        }
        assert_int_equal(ask_links(fd, box, &a, l), NLWIRE_LINKS_MAX);
        assert_int_equal(a.n_all, 2 + 2 * NLWIRE_LINKS_MAX);
        assert_string_equal(l[2].name, "more0");
        (void)close(fd);
        stop(&f);
}

static void test_links(void **unused) {
        _cleanup_fd_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), here = -1, box_net = -1,
                         other_net = -1;
        pid_t box, other;

        (void)unused;
        if (unshare(CLONE_NEWNET) < 0) {
                print_message("no network namespace of our own: %s\n", strerror(errno));
                skip();
        }
        keep_quiet();
        here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        assert_true(home >= 0 && here >= 0);
        box = in_own_network(&box_net);
        other = in_own_network(&other_net);
        if (make_bridge("docker0") < 0 || make_wire("veth3f2a1b", "eth0", box) < 0) {
                end(box);
                end(other);
                assert_int_equal(setns(home, CLONE_NEWNET), 0);
                print_message("the kernel has no bridges, or no pairs of links\n");
                skip();
        }
        set_up("veth3f2a1b", "docker0");
        assert_int_equal(make_wire("vethlone", "eth1", box), 0);
        assert_int_equal(setns(box_net, CLONE_NEWNET), 0);
        set_up("eth0", NULL);
        assert_int_equal(setns(here, CLONE_NEWNET), 0);
        check_links(box, box_net, other, here);
        end(box);
        end(other);
        assert_int_equal(setns(home, CLONE_NEWNET), 0);
}

/* More at once than it keeps: each is answered, or refused. */
static void test_links_row(void **unused) {
        Fixture f = start(60 * USEC_PER_SEC);
        NlLinksAsk a = { .pid = (uint32_t)getpid() };
        unsigned n_answered = 0;
        bool heard[100] = {};
        int fd = join();

        (void)unused;
        want(fd, NL_WANT_ANSWERS);
        (void)hear(fd, NLWIRE_STATUS);
        for (a.seq = 0; a.seq < ARRAY_SIZE(heard); a.seq++)
                say(fd, NLWIRE_ASK_LINKS, &a, NULL, 0);
        for (unsigned i = 0; i < ARRAY_SIZE(heard); i++) {
                NlPacket p = hear(fd, NLWIRE_LINKS);

                assert_true(p.links.seq < ARRAY_SIZE(heard) && !heard[p.links.seq]);
                assert_int_equal(p.n, 0);
                heard[p.links.seq] = true;
                n_answered += p.links.error != EBUSY;
        }
        assert_in_range(n_answered, 1, ARRAY_SIZE(heard));
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
                cmocka_unit_test(test_exec),
                cmocka_unit_test(test_burst),
                cmocka_unit_test(test_gone_before),
                cmocka_unit_test(test_counts),
                cmocka_unit_test(test_question),
                cmocka_unit_test(test_questions),
                cmocka_unit_test(test_clients),
                cmocka_unit_test(test_idle),
                cmocka_unit_test(test_links),
                cmocka_unit_test(test_links_row),
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
