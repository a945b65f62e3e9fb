/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop of bailiff-netlink.
 *
 * One client, the guard; who comes later takes the place of who was there, for a
 * guard that was restarted is the one that counts. With nobody there, and a
 * while gone by, the service ends: its socket starts it again.
 *
 * The sockets of the kernel are not read as each message comes. A turn reads what
 * there is, up to a bound, and the next one has to wait for nine times the CPU
 * time that this one took, so a storm of forks costs a tenth of one CPU at most (the
 * unit's CPUQuota= stands behind that), and messages come in batches. What does not fit into the
 * socket's buffer meanwhile is lost, counted, and told. At rest the first message
 * is read at once.
 *
 * A turn reads records of tasks before events, and counts them after: whoever is
 * in a record had a fork event before, which the socket of events already had when
 * the record was read.
 *
 * After a loss nothing that lineage says holds: it begins anew, asking /proc
 * about whoever does something next, so many a turn. For records of tasks that is
 * too late, since the dead cannot be asked about; so when records are wanted, all
 * processes are met once at the beginning, and again when a loss has been over for a second.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fdio.h"
#include "num.h"
#include "procpid.h"
#include "service-internal.h"

#define EVENTS_PER_TURN 8192
#define LOOKS_PER_TURN 256
#define CENSUS_PER_TURN 512
#define PACKETS_PER_TURN 64
#define TURN_LEAST (10 * USEC_PER_MSEC)
#define TURN_MOST (200 * USEC_PER_MSEC)
#define TURN_REST 9 /* times what the turn took */
#define BATCH_USEC (200 * USEC_PER_MSEC)
#define CENSUS_AFTER_LOSS USEC_PER_SEC

/* ---- /proc ---- */

static KinPath path_of(void *user, uint32_t pid, char *path, size_t size) {
        Service *s = user;

        if (s->budget == 0)
                return KIN_PATH_LATER;
        s->budget--;
        return procpid_cgroup(s->proc, (pid_t)pid, path, size) == 0 ? KIN_PATH_FOUND : KIN_PATH_GONE;
}

static void census_end(Service *s) {
        if (s->census)
                (void)closedir(s->census);
        s->census = NULL;
        s->census_pid = 0;
        s->census_at = USEC_INFINITY;
}

static void census_begin(Service *s) {
        _cleanup_fd_ int fd = openat(s->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        census_end(s);
        s->census = fd >= 0 ? fdopendir(fd) : NULL;
        if (s->census)
                (void)steal_fd(&fd);
}

static void census_go_on(Service *s, usec_t now) {
        for (unsigned i = 0; i < CENSUS_PER_TURN; i++) {
                struct dirent *d;

                if (s->census_pid == 0) {
                        d = readdir(s->census);
                        if (!d) {
                                census_end(s);
                                return;
                        }
                        if (num_parse_u32(d->d_name, &s->census_pid) < 0) {
                                s->census_pid = 0;
                                continue;
                        }
                }
                if (!kin_meet(&s->kin, s->census_pid, now))
                        break;
                s->census_pid = 0;
        }
        s->hurry = true;
}

/* Only while their ends are listened to: else who is missing would be waited for in vain. */
static void check_watches(Service *s) {
        Watch *w;

        if (!s->watching)
                return;
        for (size_t i = 0, n = 0; n < LOOKS_PER_TURN && (w = watches_unchecked(&s->watches, &i)); n++) {
                ProcPid p;
                bool there =
                        procpid_read(s->proc, (pid_t)w->pid, &p) == 0 && p.state != 'Z' && p.state != 'X';

                if (there && w->start == 0)
                        w->start = p.start;
                watches_looked(&s->watches, w, there && p.start == w->start);
        }
        s->hurry = s->hurry || s->watches.n_unchecked > 0 || s->watches.n_missing > 0;
}

/* ---- listening ---- */

static unsigned wanted_kinds(uint32_t wants) {
        unsigned kinds = 0;

        if (wants & (NL_WANT_FORKS | NL_WANT_TASKS))
                kinds |= 1U << KIN_FORK | 1U << KIN_EXEC;
        if (wants & NL_WANT_FORKS)
                kinds |= 1U << KIN_EXIT | 1U << KIN_UID | 1U << KIN_CORE;
        return kinds;
}

uint32_t service_hears(const Service *s) {
        return (s->events.fd >= 0 ? NL_HEARS_EVENTS : 0) | (s->tasks.fd >= 0 ? NL_HEARS_RECORDS : 0);
}

static void listen_to_events(Service *s) {
        uint32_t pids[CNPROC_WATCHED_MAX];
        unsigned kinds = wanted_kinds(s->wants);
        bool lineage_began = kinds & ~s->kinds & 1U << KIN_FORK, gap = !s->watching || s->events.fd < 0;
        size_t n = watches_pids(&s->watches, pids, ARRAY_SIZE(pids));
        int r = 0;

        if (!(s->wants & NL_WANT_MAINS))
                n = 0;
        s->kinds = kinds;
        if (kinds == 0 && n == 0)
                cnsock_close(&s->events);
        else
                r = cnsock_listen(&s->events, kinds, pids, n, s->config.rcvbuf);
        if (r != s->events_error)
                s->status_due = true;
        s->events_error = r;
        s->watching = r >= 0 && n > 0;
        /* Who ended while nobody listened has no event. */
        if (s->watching && gap)
                watches_doubt(&s->watches);
        if (r < 0)
                s->kinds = 0;
        else if (lineage_began)
                kin_lost(&s->kin);
}

static void listen_to_tasks(Service *s, usec_t now) {
        int r = 0;

        if (!(s->wants & NL_WANT_TASKS)) {
                tasksock_deafen(&s->tasks);
                census_end(s);
        } else if (!s->tasks.exits) {
                /* Without lineage a record is nobody's. */
                r = s->events_error ?: tasksock_listen(&s->tasks, s->config.rcvbuf);
                if (r >= 0)
                        s->census_at = now;
        }
        if (r != s->tasks_error)
                s->status_due = true;
        s->tasks_error = r;
}

/* Who is watched is checked only from here on: what is missed now has an event. */
static void relisten(Service *s, usec_t now) {
        uint32_t heard = service_hears(s);

        /* A kernel that refused is asked again when the guard says so, not with every process. */
        if (!s->relisten && (!s->watches.changed || s->events_error))
                return;
        s->relisten = false;
        listen_to_events(s);
        listen_to_tasks(s, now);
        s->status_due = s->status_due || service_hears(s) != heard;
        s->turn_at = MIN_OF(s->turn_at, now + TURN_LEAST);
        s->hurry = true;
}

/* ---- a turn ---- */

static void on_event(void *user, const KinEvent *e) {
        Service *s = user;

        if (e->what == KIN_EXIT && e->pid == e->tgid)
                watches_exited(&s->watches, e->tgid, e->code);
        else if (e->what == KIN_EXEC)
                watches_execed(&s->watches, e->tgid);
        if (s->kinds)
                kin_event(&s->kin, e, s->told_at);
}

static void read_kernel(Service *s, usec_t now) {
        uint64_t lost;
        ssize_t n_records = 0, n = 0;

        if (s->tasks.fd >= 0) {
                n_records = tasksock_read(&s->tasks, s->records, RECORDS_PER_TURN, &lost);
                s->lost_records += lost;
                if (n_records < 0) {
                        s->tasks_error = (int)n_records;
                        tasksock_deafen(&s->tasks);
                        s->status_due = true;
                }
        }
        if (s->events.fd >= 0) {
                n = cnsock_read(&s->events, EVENTS_PER_TURN, on_event, s, &lost);
                if (n < 0) {
                        s->events_error = (int)n;
                        cnsock_close(&s->events);
                        s->watching = false;
                        s->kinds = 0;
                        s->status_due = true;
                }
                if (n < EVENTS_PER_TURN)
                        watches_settle(&s->watches);
                if (lost > 0) {
                        s->lost_events += lost;
                        kin_lost(&s->kin);
                        watches_doubt(&s->watches);
                        census_end(s);
                        if (s->wants & NL_WANT_TASKS)
                                s->census_at = now + CENSUS_AFTER_LOSS;
                }
                s->anew = s->anew || lost > 0;
        }
        for (ssize_t i = 0; i < n_records; i++)
                kin_record(&s->kin, &s->records[i], now);
        kin_turn(&s->kin);
        s->anew = s->anew || n > 0 || n_records > 0 || s->lost_records > 0;
}

static void turn(Service *s, usec_t now) {
        usec_t began = clock_usec(CLOCK_THREAD_CPUTIME_ID), took;

        s->budget = LOOKS_PER_TURN;
        s->hurry = false;
        read_kernel(s, now);
        relisten(s, now); /* who ended is not filtered for any more */
        check_watches(s);
        if (now >= s->census_at)
                census_begin(s);
        if (s->census)
                census_go_on(s, now);
        answers_exits(s);
        answers_execs(s, now);
        took = clock_usec(CLOCK_THREAD_CPUTIME_ID) - began;
        s->turn_at = now + MIN_OF(MAX_OF(took * TURN_REST, TURN_LEAST), TURN_MOST);
}

/* ---- the client ---- */

void service_drop_client(Service *s) {
        s->client = fd_close(s->client);
        s->wants = 0;
        watches_deinit(&s->watches);
        tally_restart(&s->kin.tally);
        s->lost_events = s->lost_records = 0;
        s->anew = false;
        s->forgotten = 0;
        s->blocked = false;
        s->execs_at = 0;
        question_init(s);
        links_init(s);
        s->relisten = true;
}

static void accept_client(Service *s) {
        _cleanup_fd_ int fd = accept4(s->config.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct ucred who;
        socklen_t len = sizeof(who);

        /* The socket is root's alone; this is in case it was made by hand. */
        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
            (who.uid != 0 && who.uid != geteuid()))
                return;
        service_drop_client(s);
        s->client = steal_fd(&fd);
}

static int obey(Service *s, const void *data, size_t len) {
        NlPacket p;
        int r = nlwire_parse(data, len, true, &p);

        if (r < 0)
                return r;
        switch (p.type) {
        case NLWIRE_WANT:
                /* Said again: what failed is tried again. */
                s->wants = p.want.wants;
                s->relisten = s->status_due = true;
                return 0;
        case NLWIRE_WATCH:
                for (size_t i = 0; i < p.n; i++) {
                        NlWatch w;

                        nlwire_item(&p, i, &w);
                        if (w.pid == 0)
                                watches_remove(&s->watches, w.cookie);
                        else
                                r = watches_add(&s->watches, w.cookie, w.pid, w.start);
                        if (r < 0)
                                return r;
                }
                return 0;
        case NLWIRE_ASK_LINKS:
                links_take(s, &p);
                return 0;
        default:
                question_take(s, &p, clock_usec(CLOCK_MONOTONIC));
                return 0;
        }
}

static void hear_client(Service *s) {
        uint8_t packet[NLWIRE_PACKET_MAX];

        for (unsigned i = 0; i < PACKETS_PER_TURN && s->client >= 0; i++) {
                ssize_t n = recv(s->client, packet, sizeof(packet), MSG_DONTWAIT | MSG_TRUNC);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0 || (size_t)n > sizeof(packet) || obey(s, packet, (size_t)n) < 0)
                        service_drop_client(s);
        }
}

/* ---- the loop ---- */

static int until(usec_t now, usec_t at) {
        if (at == USEC_INFINITY)
                return -1;
        return at <= now ? 0 : (int)MIN_OF((at - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (usec_t)INT32_MAX);
}

static usec_t execs_time(const Service *s) {
        return s->watches.n_news > 0 && !s->blocked ? MAX_OF(s->execs_at, s->turn_at) : USEC_INFINITY;
}

static int loop(Service *s) {
        usec_t idle_since = clock_usec(CLOCK_MONOTONIC);

        for (;;) {
                usec_t now = clock_usec(CLOCK_MONOTONIC), next = USEC_INFINITY;
                bool read_now =
                        now >= s->turn_at; /* room is waited for then, too: it may be memory that lacks */
                struct pollfd p[] = {
                        { .fd = s->config.listen_fd, .events = POLLIN },
                        { .fd = s->config.stop_fd, .events = POLLIN },
                        { .fd = s->client, .events = s->blocked && read_now ? POLLIN | POLLOUT : POLLIN },
                        { .fd = read_now ? s->events.fd : -1, .events = POLLIN },
                        { .fd = read_now ? s->tasks.fd : -1, .events = POLLIN },
                };

                if (s->client < 0)
                        next = idle_since + s->config.idle;
                if (!read_now || s->hurry)
                        next = MIN_OF(next, s->turn_at);
                next = MIN_OF(next, s->census_at);
                next = MIN_OF(next, execs_time(s));
                next = MIN_OF(next, question_next_time(s));
                next = MIN_OF(next, links_next_time(s));
                if (s->anew)
                        next = MIN_OF(next, s->told_at + BATCH_USEC);
                if (poll(p, ARRAY_SIZE(p), until(now, next)) < 0 && errno != EINTR)
                        return -errno;
                now = clock_usec(CLOCK_MONOTONIC);
                if (p[1].revents)
                        return 0;
                if (p[2].revents & POLLOUT) {
                        s->blocked = false;
                        s->hurry = s->anew = true;
                }
                if (p[2].revents)
                        hear_client(s);
                if (p[0].revents)
                        accept_client(s);
                relisten(s, now);
                if (p[3].revents || p[4].revents || (now >= s->turn_at && s->hurry) || now >= s->census_at ||
                    now >= execs_time(s))
                        turn(s, now);
                question_beat(s, now);
                links_beat(s, now);
                if (s->client >= 0) {
                        idle_since = now;
                        if (s->anew && now >= s->told_at + BATCH_USEC)
                                answers_batches(s, now);
                        answers_status(s, now);
                } else if (now >= idle_since + s->config.idle)
                        return 0;
        }
}

int service_run(const ServiceConfig *config) {
        Service *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        s->config = *config;
        s->client = -1;
        s->events = CNSOCK_INIT;
        s->tasks = TASKSOCK_INIT;
        s->census_at = USEC_INFINITY;
        question_init(s);
        s->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = s->proc < 0 ? -errno : kin_init(&s->kin, path_of, s);
        if (r >= 0)
                r = loop(s);
        service_drop_client(s);
        census_end(s);
        cnsock_close(&s->events);
        tasksock_close(&s->tasks);
        kin_deinit(&s->kin);
        fd_close(s->proc);
        free(s);
        return r;
}
