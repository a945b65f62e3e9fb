/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard's end of bailiff-netlink, alone, for bench/events.sh: wants forks from the service at PATH, counts what it is told until
 * SIGTERM, and prints
 *
 *   events N lost N packets N
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "nlclient.h"
#include "num.h"

typedef struct Sums {
        uint64_t events, lost, packets;
} Sums;

static volatile sig_atomic_t over;

static void on_term(int sig) {
        (void)sig;
        over = 1;
}

static void on_status(void *user, const NlStatus *s) {
        (void)user;
        if (s->events_error)
                fprintf(stderr, "no process events: %s\n", strerror((int)s->events_error));
}

static void on_batch(void *user, bool tasks, const NlBatch *b) {
        Sums *sums = user;

        (void)tasks;
        sums->packets++;
        sums->lost = num_add_sat(sums->lost, b->lost);
}

static void on_counts(void *user, const char *path, const uint64_t n[_TALLY_COUNT_MAX]) {
        Sums *sums = user;

        (void)path;
        for (unsigned i = 0; i < _TALLY_COUNT_MAX; i++)
                sums->events = num_add_sat(sums->events, n[i]);
}

static void on_tasks(void *user, const char *path, const uint64_t n[_TALLY_TASK_MAX]) {
        (void)user;
        (void)path;
        (void)n;
}

static void on_exited(void *user, uint64_t cookie, uint32_t pid, uint32_t code, bool known) {
        (void)user;
        (void)cookie;
        (void)pid;
        (void)code;
        (void)known;
}

static void on_execed(void *user, uint64_t cookie, uint32_t pid, uint64_t n, const char *comm) {
        (void)user;
        (void)cookie;
        (void)pid;
        (void)n;
        (void)comm;
}

static void on_answer(void *user, const NlAsk *ask, const NlProcess *processes, size_t n) {
        (void)user;
        (void)ask;
        (void)processes;
        (void)n;
}

static void on_links(void *user, const NlLinksAsk *ask, const NlLink *links, size_t n) {
        (void)user;
        (void)ask;
        (void)links;
        (void)n;
}

static void on_link(void *user, const char *why) {
        (void)user;
        if (why)
                fprintf(stderr, "bailiff-netlink: %s\n", why);
}

static const NlClientOps ops = { on_status, on_batch,  on_counts, on_tasks, on_exited,
                                 on_execed, on_answer, on_links,  on_link };

int main(int argc, char *argv[]) {
        _cleanup_(cleanup_nlclient_free) NlClient *c = NULL;
        Sums sums = {};

        if (argc != 2 || nlclient_new(argv[1], &ops, &sums, &c) < 0)
                return 2;
        (void)signal(SIGTERM, on_term);
        nlclient_want(c, NL_WANT_FORKS);
        while (!over) {
                struct pollfd p = { .fd = nlclient_get_fd(c), .events = POLLIN };

                nlclient_dispatch(c, clock_monotonic());
                (void)poll(&p, 1, 1000);
        }
        printf("events %llu lost %llu packets %llu\n", (unsigned long long)sums.events,
               (unsigned long long)sums.lost, (unsigned long long)sums.packets);
        return EXIT_SUCCESS;
}
