/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Somebody who serves steady requests, and measures how well: the one who is hurt.
 *
 *   victim [-s SECONDS] [-e EVERY] [-p PERCENT] [-m MB] [-t PAGES] [-f FILE] [-o OUT] cpu|memory|fsync|read|fork
 *
 *   cpu     a fixed amount of work, which takes -p percent of a CPU (20) when it has it: calibrated by CPU time at the
 *           start, so it is the same load on every machine
 *   memory  touches -t pages (128) at random of a working set of -m MB (64): anonymous memory, or with -f that file, mapped
 *   fsync   writes 4 KB somewhere in FILE, -m MB long, and fsyncs
 *   read    reads 4 KB somewhere in FILE, -m MB long, past the page cache
 *   fork    fork, exec of true, wait
 *
 *   -e  a request is due every so many milliseconds (20; fsync and read 100; fork 200)
 *   -s  ends after so many seconds (300), as it does on SIGTERM
 *
 * Requests come by the clock, whether or not the one before is done; a latency counts from when the request was due. Whoever
 * has waited PATIENCE goes away unserved: it was asked, not done, and waited for so long. So neither a slow
 * request hides those that piled up behind it, nor is there a debt to be paid off when it is over.
 *
 * Lines of OUT (stdout), latencies in µs:
 *
 *   ready
 *   second N asked N done N p50 N p99 N max N usec N    each second
 *   mark N asked N done N p50 N p99 N max N usec N      at SIGUSR1: since the mark before
 *   end N asked N done N p50 N p99 N max N usec N       at the end: all of it
 */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdio.h"
#include "load.h"
#include "num.h"

#define PATIENCE USEC_PER_SEC
#define PAGE 4096
/* A log histogram: 16 buckets to a doubling, 6 % exact; up to more than an hour. */
#define FINE_BITS 4
#define FINE (1u << FINE_BITS)
#define BUCKETS (32 * FINE)

typedef struct Tally {
        uint64_t asked, done;
        usec_t max, since;
        uint32_t buckets[BUCKETS];
} Tally;

typedef struct Victim Victim;
typedef struct Trade {
        const char *name;
        uint64_t every_ms;
        int (*prepare)(Victim *v);
        bool (*serve)(Victim *v); /* one request; false: it could not be done */
} Trade;

struct Victim {
        const Trade *trade;
        uint64_t seconds, every_ms, percent, mb, pages;
        const char *file;
        FILE *out;
        uint64_t turns; /* of a request */
        uint8_t *map;
        int fd;
        uint64_t dice;
        Tally second, mark, all;
};

static volatile sig_atomic_t enough, marks;

static void on_signal(int sig) {
        if (sig == SIGUSR1)
                marks++;
        else
                enough = 1;
}

/* ---- how well it went ---- */

static unsigned bucket_of(usec_t usec) {
        unsigned octave;

        if (usec < FINE)
                return (unsigned)usec;
        octave = 63u - (unsigned)__builtin_clzll(usec);
        return MIN_OF((octave - FINE_BITS + 1) * FINE + (unsigned)((usec >> (octave - FINE_BITS)) - FINE),
                      BUCKETS - 1);
}

/* The largest that is in it. */
static usec_t bucket_end(unsigned b) {
        if (b < FINE)
                return b;
        return ((usec_t)(FINE + b % FINE + 1) << (b / FINE - 1)) - 1;
}

static usec_t percentile(const Tally *t, unsigned percent) {
        uint64_t seen = 0;

        for (unsigned b = 0; b < BUCKETS; b++) {
                seen += t->buckets[b];
                if (t->asked > 0 && seen * 100 >= t->asked * percent)
                        return MIN_OF(bucket_end(b), t->max);
        }
        return 0;
}

static void count_one(Tally *t, bool done, usec_t latency) {
        t->asked++;
        t->done += done;
        t->max = MAX_OF(t->max, latency);
        t->buckets[bucket_of(latency)]++;
}

static void count(Victim *v, bool done, usec_t latency) {
        count_one(&v->second, done, latency);
        count_one(&v->mark, done, latency);
        count_one(&v->all, done, latency);
}

/* Prints it, and begins anew. */
static void report(Victim *v, const char *what, uint64_t n, Tally *t, usec_t now) {
        (void)fprintf(v->out, "%s %llu asked %llu done %llu p50 %llu p99 %llu max %llu usec %llu\n", what,
                      (unsigned long long)n, (unsigned long long)t->asked, (unsigned long long)t->done,
                      (unsigned long long)percentile(t, 50), (unsigned long long)percentile(t, 99),
                      (unsigned long long)t->max, (unsigned long long)(now - t->since));
        (void)fflush(v->out);
        *t = (Tally){ .since = now };
}

/* ---- what it does ---- */

static int prepare_cpu(Victim *v) {
        v->turns = load_calibrate(v->every_ms * USEC_PER_MSEC * v->percent / 100);
        return 0;
}

static bool serve_cpu(Victim *v) {
        load_work(v->turns);
        return true;
}

static int prepare_memory(Victim *v) {
        v->map = load_map(v->file, v->mb << 20);
        return v->map ? 0 : -errno;
}

static bool serve_memory(Victim *v) {
        uint64_t n = (v->mb << 20) / PAGE;

        for (uint64_t i = 0; i < v->pages; i++) {
                volatile uint8_t *page = v->map + load_random(&v->dice) % n * PAGE;

                if (v->file)
                        (void)*page;
                else
                        *page = (uint8_t)(*page + 2) | 1;
        }
        return true;
}

static int open_file(Victim *v, int flags) {
        int r;

        if (!v->file)
                return -EINVAL;
        r = load_file(v->file, v->mb << 20);
        if (r < 0)
                return r;
        v->fd = open(v->file, flags | O_CLOEXEC);
        return v->fd < 0 ? -errno : 0;
}

static int prepare_fsync(Victim *v) { return open_file(v, O_WRONLY); }

static bool serve_fsync(Victim *v) {
        uint8_t page[PAGE] = { 0 };
        uint64_t n = (v->mb << 20) / PAGE;

        memset(page, (int)(load_random(&v->dice) & 0xff), sizeof(page));
        return pwrite(v->fd, page, PAGE, (off_t)(load_random(&v->dice) % n * PAGE)) == PAGE &&
               fsync(v->fd) == 0;
}

static int prepare_read(Victim *v) { return open_file(v, O_RDONLY | O_DIRECT); }

static bool serve_read(Victim *v) {
        static uint8_t page[PAGE] __attribute__((__aligned__(PAGE)));
        uint64_t n = (v->mb << 20) / PAGE;

        return pread(v->fd, page, PAGE, (off_t)(load_random(&v->dice) % n * PAGE)) == PAGE;
}

static int prepare_fork(_unused_ Victim *v) { return 0; }

static bool serve_fork(_unused_ Victim *v) {
        char name[] = "true", *argv[] = { name, NULL }, *envp[] = { NULL };
        int status;
        pid_t pid;

        if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, envp) != 0)
                return false;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return false;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const Trade trades[] = {
        { "cpu", 20, prepare_cpu, serve_cpu },        { "memory", 20, prepare_memory, serve_memory },
        { "fsync", 100, prepare_fsync, serve_fsync }, { "read", 100, prepare_read, serve_read },
        { "fork", 200, prepare_fork, serve_fork },
};

static void run(Victim *v) {
        usec_t every = v->every_ms * USEC_PER_MSEC, now = load_clock(), due = now + every,
               second_end = now + USEC_PER_SEC, end = now + v->seconds * USEC_PER_SEC;
        uint64_t n_seconds = 0;
        sig_atomic_t marked = 0;

        v->second.since = v->mark.since = v->all.since = now;
        while (!enough && (now = load_clock()) < end) {
                if (now >= due + PATIENCE) {
                        count(v, false, now - due);
                        due += every;
                } else if (marked != marks)
                        report(v, "mark", (uint64_t)++marked, &v->mark, now);
                else if (now >= second_end) {
                        report(v, "second", ++n_seconds, &v->second, now);
                        second_end = now + USEC_PER_SEC;
                } else if (now >= due) {
                        bool done = v->trade->serve(v);

                        count(v, done, load_clock() - due);
                        due += every;
                } else
                        load_nap_until(MIN_OF(due, second_end));
        }
        report(v, "end", 0, &v->all, now);
}

static int parse_arguments(Victim *v, int argc, char **argv) {
        int c, r = 0;

        while (r == 0 && (c = getopt(argc, argv, "s:e:p:m:t:f:o:")) >= 0) {
                switch (c) {
                case 's':
                        r = num_parse_u64(optarg, &v->seconds);
                        break;
                case 'e':
                        r = num_parse_u64(optarg, &v->every_ms);
                        break;
                case 'p':
                        r = num_parse_u64(optarg, &v->percent);
                        break;
                case 'm':
                        r = num_parse_u64(optarg, &v->mb);
                        break;
                case 't':
                        r = num_parse_u64(optarg, &v->pages);
                        break;
                case 'f':
                        v->file = optarg;
                        break;
                case 'o':
                        v->out = fopen(optarg, "we");
                        r = v->out ? 0 : -errno;
                        break;
                default:
                        r = -EINVAL;
                }
        }
        for (size_t i = 0; r == 0 && optind == argc - 1 && i < ARRAY_SIZE(trades); i++)
                if (STR_EQ(argv[optind], trades[i].name))
                        v->trade = &trades[i];
        if (r < 0 || !v->trade || v->percent > 100 || v->mb == 0 || v->mb > 65536 || v->seconds > 86400)
                return -EINVAL;
        if (v->every_ms == 0)
                v->every_ms = v->trade->every_ms;
        return 0;
}

int main(int argc, char **argv) {
        static Victim v = { .seconds = 300, .percent = 20, .mb = 64, .pages = 128, .fd = -1 };
        struct sigaction act = { .sa_handler = on_signal };
        int r;

        v.out = stdout;
        if (parse_arguments(&v, argc, argv) < 0) {
                (void)fprintf(
                        stderr,
                        "usage: victim [-s SECONDS] [-e EVERY] [-p PERCENT] [-m MB] [-t PAGES] [-f FILE] "
                        "[-o OUT] cpu|memory|fsync|read|fork\n");
                return 2;
        }
        (void)sigaction(SIGUSR1, &act, NULL);
        (void)sigaction(SIGTERM, &act, NULL);
        r = v.trade->prepare(&v);
        if (r < 0) {
                (void)fprintf(stderr, "victim: %s: %s\n", v.trade->name, strerror(-r));
                return 1;
        }
        (void)fprintf(v.out, "ready\n");
        (void)fflush(v.out);
        run(&v);
        return 0;
}
