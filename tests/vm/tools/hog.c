/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Somebody who takes what he can get: the one who hurts others.
 *
 *   hog [-s SECONDS] [-i] [-c PERIOD] [-n N] [-m MB] [-r RATE] [-b KB] [-f FILE] [-o OUT]
 *       cpu|memory|direct|buffered|reread|fork
 *
 *   cpu       -n threads (4) that spin
 *   memory    grows by -r MB a second (100) up to -m MB (no end), and touches all that it has once a second
 *   direct    -n threads (4) write -b KB (64) at random into FILE, -m MB long, past the page cache; -r RATE bounds the
 *   buffered  writes a second of each (none), the latter through the page cache
 *   reread    -n threads read FILE, -m MB long, round and round, each from somewhere else on
 *   fork      a fork bomb, of -n processes at most (4): each forks whenever it can, and spins a little between
 *
 *   -s  ends after so many seconds (120), whatever happens, every thread and child of it
 *   -i  waits for SIGUSR1 to begin; SIGUSR2 makes it rest (and give its memory back), SIGUSR1 begin again
 *   -c  comes and goes: works and rests by turns, of -c milliseconds together
 *
 * FILE is made before it says "ready" in OUT (stdout); "begin USEC" and "rest USEC" (CLOCK_MONOTONIC) follow.
 */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fdio.h"
#include "load.h"
#include "num.h"

#define MB ((size_t)1 << 20)
#define PAGE 4096
#define ALIGNMENT 4096
#define N_MAX 20000
#define THREADS_MAX 256
#define FOREVER_MB 65536 /* "no end" */
#define WORK 20000 /* turns between two looks at the clock */
#define FORK_REST (5 * USEC_PER_MSEC)

/* Shared with the children of a fork bomb. */
typedef struct Shared {
        atomic_bool going;
        atomic_uint processes;
} Shared;

typedef struct Hog Hog;
typedef struct Trade {
        const char *name;
        bool wants_file, is_one; /* one thread, whatever -n */
        void (*work)(Hog *h, uint64_t seed); /* until it is to rest, or for ever */
} Trade;

struct Hog {
        const Trade *trade;
        uint64_t seconds, period_ms, n, mb, rate, kb;
        const char *file;
        bool idle;
        usec_t end;
        Shared *shared;
        pthread_mutex_t mutex;
        pthread_cond_t turn;
};

static bool going(const Hog *h) { return atomic_load(&h->shared->going) && load_clock() < h->end; }

/* ---- trades ---- */

static void work_cpu(Hog *h, _unused_ uint64_t seed) {
        while (going(h))
                load_work(WORK);
}

static void work_memory(Hog *h, uint64_t seed) {
        size_t most = h->mb << 20, have = 0;
        uint8_t *map =
                mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        usec_t start = load_clock(), pass = start;

        if (map == MAP_FAILED)
                _exit(1);
        (void)madvise(map, most, MADV_NOHUGEPAGE);
        while (going(h)) {
                size_t want = MIN_OF((size_t)((load_clock() - start) * h->rate / USEC_PER_SEC) * MB, most);

                for (; have < want && going(h); have += PAGE) {
                        uint64_t x = load_random(&seed);

                        memcpy(map + have, &x, sizeof(x));
                }
                if (load_clock() >= pass) {
                        for (size_t at = 0; at < have && going(h); at += PAGE)
                                map[at]++;
                        pass = load_clock() + USEC_PER_SEC;
                }
                load_nap_until(load_clock() + 10 * USEC_PER_MSEC);
        }
        (void)munmap(map, most);
}

static void work_write(Hog *h, uint64_t seed, int flags) {
        size_t block = (size_t)h->kb << 10, n = MAX_OF((h->mb << 20) / block, (uint64_t)1);
        _cleanup_fd_ int fd = open(h->file, O_WRONLY | O_CLOEXEC | flags);
        _cleanup_free_ uint8_t *data = aligned_alloc(ALIGNMENT, block);
        usec_t due = load_clock();

        if (fd < 0 || !data)
                _exit(1);
        memset(data, (int)seed, block);
        while (going(h)) {
                if (pwrite(fd, data, block, (off_t)(load_random(&seed) % n * block)) < 0)
                        _exit(1);
                if (h->rate == 0)
                        continue;
                due = MAX_OF(due + USEC_PER_SEC / h->rate,
                             load_clock()); /* who was kept waiting does not make up for it */
                load_nap_until(due);
        }
}

static void work_direct(Hog *h, uint64_t seed) { work_write(h, seed, O_DIRECT); }

static void work_buffered(Hog *h, uint64_t seed) { work_write(h, seed, 0); }

static void work_reread(Hog *h, uint64_t seed) {
        size_t block = (size_t)h->kb << 10, n = MAX_OF((h->mb << 20) / block, (uint64_t)1);
        _cleanup_fd_ int fd = open(h->file, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ uint8_t *data = malloc(block);

        if (fd < 0 || !data || lseek(fd, (off_t)(load_random(&seed) % n * block), SEEK_SET) < 0)
                _exit(1);
        while (going(h)) {
                ssize_t got = read(fd, data, block);

                if (got < 0 || (got == 0 && lseek(fd, 0, SEEK_SET) < 0))
                        _exit(1);
        }
}

/* One process of a bomb: it makes others until there are enough, or it is over. */
static void multiply(Hog *h) {
        while (going(h)) {
                pid_t pid = -1;

                if (atomic_fetch_add(&h->shared->processes, 1) < h->n) {
                        pid = fork();
                        if (pid == 0)
                                continue;
                }
                if (pid < 0) {
                        atomic_fetch_sub(&h->shared->processes, 1);
                        load_nap_until(load_clock() + FORK_REST);
                }
                load_work(WORK);
        }
        _exit(0);
}

static void work_fork(Hog *h, _unused_ uint64_t seed) {
        pid_t pid;

        atomic_store(&h->shared->processes, 1);
        pid = fork();
        if (pid == 0)
                multiply(h);
        while (going(h))
                load_nap_until(load_clock() + 50 * USEC_PER_MSEC);
}

static const Trade trades[] = {
        { "cpu", false, false, work_cpu },      { "memory", false, true, work_memory },
        { "direct", true, false, work_direct }, { "buffered", true, false, work_buffered },
        { "reread", true, false, work_reread }, { "fork", false, true, work_fork },
};

/* ---- turns ---- */

static void *thread_main(void *user) {
        static atomic_uint n_threads;
        Hog *h = user;
        uint64_t seed = atomic_fetch_add(&n_threads, 1);

        for (;;) {
                (void)pthread_mutex_lock(&h->mutex);
                while (!atomic_load(&h->shared->going))
                        (void)pthread_cond_wait(&h->turn, &h->mutex);
                (void)pthread_mutex_unlock(&h->mutex);
                h->trade->work(h, seed);
        }
        return NULL;
}

static void set_going(Hog *h, bool go) {
        (void)pthread_mutex_lock(&h->mutex);
        if (go != atomic_load(&h->shared->going)) {
                (void)printf("%s %llu\n", go ? "begin" : "rest", (unsigned long long)load_clock());
                (void)fflush(stdout);
        }
        atomic_store(&h->shared->going, go);
        (void)pthread_cond_broadcast(&h->turn);
        (void)pthread_mutex_unlock(&h->mutex);
}

static void run(Hog *h, const sigset_t *signals) {
        usec_t next = USEC_INFINITY, now;
        bool wanted = !h->idle; /* with -c: by turns */

        set_going(h, wanted);
        if (h->period_ms > 0)
                next = load_clock() + h->period_ms * USEC_PER_MSEC / 2;
        while ((now = load_clock()) < h->end) {
                usec_t until = MIN_OF(next, h->end), span = until > now ? until - now : 0;
                struct timespec ts = { .tv_sec = (time_t)(span / USEC_PER_SEC),
                                       .tv_nsec = (long)(span % USEC_PER_SEC) * 1000 };
                int sig = sigtimedwait(signals, NULL, &ts);

                if (sig == SIGTERM)
                        break;
                if (sig == SIGUSR1 || sig == SIGUSR2)
                        set_going(h, wanted = sig == SIGUSR1);
                if (h->period_ms > 0 && load_clock() >= next) {
                        set_going(h, wanted && !atomic_load(&h->shared->going));
                        next += h->period_ms * USEC_PER_MSEC / 2;
                }
        }
        set_going(h, false); /* children of a bomb go, too */
}

static int start_threads(Hog *h) {
        for (uint64_t i = 0; i < (h->trade->is_one ? 1 : MIN_OF(h->n, (uint64_t)THREADS_MAX)); i++) {
                pthread_t thread;
                int r = pthread_create(&thread, NULL, thread_main, h);

                if (r != 0)
                        return -r;
        }
        return 0;
}

static int parse_arguments(Hog *h, int argc, char **argv) {
        int c, r = 0;

        while (r == 0 && (c = getopt(argc, argv, "s:ic:n:m:r:b:f:o:")) >= 0) {
                switch (c) {
                case 's':
                        r = num_parse_u64(optarg, &h->seconds);
                        break;
                case 'i':
                        h->idle = true;
                        break;
                case 'c':
                        r = num_parse_u64(optarg, &h->period_ms);
                        break;
                case 'n':
                        r = num_parse_u64(optarg, &h->n);
                        break;
                case 'm':
                        r = num_parse_u64(optarg, &h->mb);
                        break;
                case 'r':
                        r = num_parse_u64(optarg, &h->rate);
                        break;
                case 'b':
                        r = num_parse_u64(optarg, &h->kb);
                        break;
                case 'f':
                        h->file = optarg;
                        break;
                case 'o':
                        r = freopen(optarg, "we", stdout) ? 0 : -errno;
                        break;
                default:
                        r = -EINVAL;
                }
        }
        for (size_t i = 0; r == 0 && optind == argc - 1 && i < ARRAY_SIZE(trades); i++)
                if (STR_EQ(argv[optind], trades[i].name))
                        h->trade = &trades[i];
        if (r < 0 || !h->trade || h->seconds > 86400 || h->n == 0 || h->n > N_MAX || h->kb == 0 ||
            h->kb > 65536 || h->mb > FOREVER_MB || h->rate > USEC_PER_SEC)
                return -EINVAL;
        if (h->trade->wants_file && (!h->file || h->mb == 0))
                return -EINVAL;
        if (STR_EQ(h->trade->name, "memory")) {
                h->mb = h->mb ? h->mb : FOREVER_MB;
                h->rate = h->rate ? h->rate : 100;
        }
        return 0;
}

int main(int argc, char **argv) {
        static Hog h = { .seconds = 120,
                         .n = 4,
                         .kb = 64,
                         .mutex = PTHREAD_MUTEX_INITIALIZER,
                         .turn = PTHREAD_COND_INITIALIZER };
        sigset_t signals;
        int r = 0;

        if (parse_arguments(&h, argc, argv) < 0) {
                (void)fprintf(
                        stderr,
                        "usage: hog [-s SECONDS] [-i] [-c PERIOD] [-n N] [-m MB] [-r RATE] [-b KB] [-f FILE] "
                        "[-o OUT] cpu|memory|direct|buffered|reread|fork\n");
                return 2;
        }
        /* every thread and child inherits this: only run() takes signals */
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGUSR1);
        (void)sigaddset(&signals, SIGUSR2);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);
        (void)signal(SIGCHLD, SIG_IGN); /* nobody waits */
        h.shared = mmap(NULL, sizeof(*h.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (h.shared == MAP_FAILED)
                return 1;
        h.end = load_clock() + h.seconds * USEC_PER_SEC;
        if (h.trade->wants_file)
                r = load_file(h.file, h.mb << 20);
        if (r >= 0)
                r = start_threads(&h);
        if (r < 0) {
                (void)fprintf(stderr, "hog: %s: %s\n", h.trade->name, strerror(-r));
                return 1;
        }
        (void)printf("ready\n");
        (void)fflush(stdout);
        run(&h, &signals);
        _exit(0); /* its threads with it, wherever they wait */
}
