/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Containers that come and go quickly, for scenarios: in an emulated machine a
 * shell makes a few a second, an engine one in five seconds, and a host that
 * runs jobs makes dozens.
 *
 *   storm [-n CONTAINERS] [-k AT-ONCE] [-l SHORTEST:LONGEST] [-b PERCENT] [-t TURN] [-s SEED] [-c] [-d] [-i] PARENT
 *
 *   -n   how many in all (100), -k how many at once (20)
 *   -l   how long they live, in milliseconds (50:5000): any time between, each doubling equally likely,
 *        so that there are as many of 50 to 100 ms as of 2.5 to 5 s
 *   -b   how much of a CPU each one burns while it lives (5)
 *   -t   in turns of so many milliseconds (20): at the beginning of each it burns, then it sleeps
 *   -s   seed (1): names, lives and their order follow from it alone
 *   -c   names as of an engine that makes cgroups itself, ID; else as of one that asks systemd for
 *        scopes, docker-ID.scope (no unit of systemd is made, though)
 *   -i   they are idle until they get SIGUSR1, and again from SIGUSR2 on
 *   -d   Docker's state files are there before the cgroup is, and go after it: names resolve to s0, s1 ...
 *
 * PARENT is the path of a cgroup below the root, as in /proc/PID/cgroup.
 *
 * A container is one process, made inside of its cgroup by clone3() where the
 * kernel can (since 5.7; else it moves itself), so that all that it ever uses is
 * counted there. When it has ended and the cgroup says "populated 0", the cgroup
 * is removed at once: what nobody read by then is gone, which is the point.
 *
 * SIGTERM: no new ones; those that live end as they would have. At the end one line says the truth:
 *
 *   made N removed N cpu_usec N user_usec N system_usec N usec N
 *
 * CPU is that of the children by wait4(), usec how long all took.
 */

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "num.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define DOCKER_STATE "/var/lib/docker/containers"
#define ID_LEN 64
#define AT_ONCE_MAX 4096
#define PATIENCE (30 * USEC_PER_SEC) /* for a cgroup to be empty */

typedef struct Container {
        char id[ID_LEN + 1];
        pid_t pid; /* 0: it has ended, its cgroup has not yet; the slot is free where id is "" */
        usec_t ended;
} Container;

typedef struct Storm {
        uint64_t n, at_once, shortest_ms, longest_ms, percent, turn_ms, seed;
        bool cgroupfs, state_files, idle;
        int parent; /* directory */
        int state; /* DOCKER_STATE, -1 without -d */
        Container *slots; /* at_once of them */
        uint64_t n_made, n_removed, n_alive;
        usec_t user, system;
} Storm;

static volatile sig_atomic_t enough;
static volatile sig_atomic_t idle; /* in a child */

static void on_term(int sig) {
        (void)sig;
        enough = 1;
}

static void on_usr(int sig) { idle = sig == SIGUSR2; }

/* Of this process: a share of a CPU is one also where others are in the way. */
static usec_t cpu_now(void) { return clock_usec(CLOCK_PROCESS_CPUTIME_ID); }

static void nap(usec_t usec) {
        struct timespec ts = { .tv_sec = (time_t)(usec / USEC_PER_SEC),
                               .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000 };

        (void)nanosleep(&ts, NULL);
}

static int fail(const char *what, int error) {
        (void)fprintf(stderr, "storm: %s: %s\n", what, strerror(-error));
        return error;
}

/* splitmix64: the same numbers for the same seed, on every machine. */
static uint64_t next_random(uint64_t *x) {
        uint64_t z = (*x += 0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

/* The name and the life of container `number`, which depend on nothing else. */
static void cast_lots(const Storm *s, uint64_t number, char ret_id[ID_LEN + 1], usec_t *ret_life) {
        uint64_t x = s->seed * 1000003 + number, low = s->shortest_ms, doublings = 0;

        for (size_t i = 0; i < ID_LEN; i += 16)
                (void)snprintf(ret_id + i, 17, "%016llx", (unsigned long long)next_random(&x));
        while (s->shortest_ms << (doublings + 1) <= s->longest_ms)
                doublings++;
        low <<= next_random(&x) % (doublings + 1);
        *ret_life = MIN_OF(low + next_random(&x) % (low + 1), s->longest_ms) * USEC_PER_MSEC;
}

/* ---- one container ---- */

static void cgroup_name(const Storm *s, const char *id, char ret[ID_LEN + 32]) {
        (void)snprintf(ret, ID_LEN + 32, s->cgroupfs ? "%s" : "docker-%s.scope", id);
}

static _Noreturn void live(const Storm *s, usec_t life) {
        usec_t end = clock_monotonic() + life, now;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGTERM, SIG_DFL);
        idle = s->idle;
        (void)signal(SIGUSR1, on_usr);
        (void)signal(SIGUSR2, on_usr);
        while ((now = clock_monotonic()) < end) {
                usec_t turn = MIN_OF(s->turn_ms * USEC_PER_MSEC, end - now), share = turn * s->percent / 100,
                       burnt;

                if (idle) {
                        nap(end - now); /* a signal ends it */
                        continue;
                }
                burnt = cpu_now() + share;
                while (cpu_now() < burnt && clock_monotonic() < end && !idle)
                        ;
                nap(turn - share);
        }
        _exit(0);
}

/* A child inside of the cgroup from its first instruction. In the child: 0. */
static pid_t clone_into(int cgroup) {
        struct clone_args args = {
                .flags = CLONE_INTO_CGROUP,
                .exit_signal = SIGCHLD,
                .cgroup = (uint64_t)cgroup,
        };
        pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

        if (pid >= 0 || (errno != ENOSYS && errno != E2BIG && errno != EINVAL))
                return pid < 0 ? -errno : pid;
        pid = fork();
        if (pid == 0 && fd_write_at(cgroup, "cgroup.procs", "0") < 0)
                _exit(1);
        return pid < 0 ? -errno : pid;
}

/* What the guard needs to tell a name; a real one is longer. */
static int write_state(const Storm *s, const char *id, uint64_t number) {
        static const char host[] = "{\"Memory\":0,\"PidsLimit\":null,\"CgroupParent\":\"\"}";
        _cleanup_fd_ int dir = -1;
        char config[ID_LEN + 128];
        int len, r;

        if (mkdirat(s->state, id, 0710) < 0)
                return -errno;
        dir = openat(s->state, id, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        len = snprintf(config, sizeof(config),
                       "{\"ID\":\"%s\",\"Name\":\"/s%llu\",\"Config\":{\"Image\":\"bb\",\"Labels\":{}}}", id,
                       (unsigned long long)number);
        r = fd_write_file_atomic(dir, "config.v2.json", config, (size_t)len, 0600, false);
        return r < 0 ? r : fd_write_file_atomic(dir, "hostconfig.json", host, sizeof(host) - 1, 0600, false);
}

static void remove_state(const Storm *s, const char *id) {
        _cleanup_fd_ int dir = openat(s->state, id, O_PATH | O_DIRECTORY | O_CLOEXEC);

        (void)unlinkat(dir, "config.v2.json", 0);
        (void)unlinkat(dir, "hostconfig.json", 0);
        (void)unlinkat(s->state, id, AT_REMOVEDIR);
}

static int make(Storm *s, Container *c) {
        _cleanup_fd_ int cgroup = -1;
        char name[ID_LEN + 32];
        usec_t life;
        pid_t pid;
        int r;

        cast_lots(s, s->n_made, c->id, &life);
        cgroup_name(s, c->id, name);
        if (s->state_files) {
                r = write_state(s, c->id, s->n_made);
                if (r < 0)
                        return fail(DOCKER_STATE, r);
        }
        if (mkdirat(s->parent, name, 0755) < 0)
                return fail(name, -errno);
        cgroup = openat(s->parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cgroup < 0)
                return fail(name, -errno);
        pid = clone_into(cgroup);
        if (pid < 0)
                return fail("clone3", pid);
        if (pid == 0)
                live(s, life);
        c->pid = pid;
        s->n_made++;
        s->n_alive++;
        return 0;
}

static bool is_empty(const Storm *s, const char *name) {
        char path[ID_LEN + 64], text[128];

        (void)snprintf(path, sizeof(path), "%s/cgroup.events", name);
        return fd_read_at(s->parent, path, text, sizeof(text)) > 0 && strstr(text, "populated 0\n");
}

/* 1: removed; 0: not empty yet. */
static int try_remove(Storm *s, Container *c) {
        char name[ID_LEN + 32];

        cgroup_name(s, c->id, name);
        if (!is_empty(s, name) || unlinkat(s->parent, name, AT_REMOVEDIR) < 0) {
                if (clock_monotonic() - c->ended > PATIENCE)
                        return fail(name, -EBUSY);
                return 0;
        }
        if (s->state_files)
                remove_state(s, c->id);
        *c = (Container){};
        s->n_removed++;
        s->n_alive--;
        return 1;
}

/* ---- all of them ---- */

static usec_t timeval_usec(const struct timeval *tv) {
        return (usec_t)tv->tv_sec * USEC_PER_SEC + (usec_t)tv->tv_usec;
}

/* Takes note of those that ended. */
static int reap(Storm *s) {
        struct rusage usage;
        int status;
        pid_t pid;

        while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
                s->user += timeval_usec(&usage.ru_utime);
                s->system += timeval_usec(&usage.ru_stime);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        return fail("a child that did not end by itself", -ECHILD);
                for (size_t i = 0; i < s->at_once; i++)
                        if (s->slots[i].pid == pid) {
                                s->slots[i].pid = 0;
                                s->slots[i].ended = clock_monotonic();
                        }
        }
        return 0;
}

static int turn(Storm *s) {
        int r = reap(s);

        for (size_t i = 0; r >= 0 && i < s->at_once; i++) {
                Container *c = &s->slots[i];

                if (c->id[0] && c->pid == 0)
                        r = try_remove(s, c);
                if (r >= 0 && !c->id[0] && !enough && s->n_made < s->n)
                        r = make(s, c);
        }
        return r;
}

/* What lives still when it went wrong. */
static void kill_all(const Storm *s) {
        for (size_t i = 0; i < s->at_once; i++)
                if (s->slots[i].pid > 0)
                        (void)kill(s->slots[i].pid, SIGKILL);
}

static int run(Storm *s) {
        usec_t start = clock_monotonic();

        while (s->n_alive > 0 || (!enough && s->n_made < s->n)) {
                int r = turn(s);

                if (r < 0) {
                        kill_all(s);
                        return r;
                }
                nap(2 * USEC_PER_MSEC);
        }
        (void)printf("made %llu removed %llu cpu_usec %llu user_usec %llu system_usec %llu usec %llu\n",
                     (unsigned long long)s->n_made, (unsigned long long)s->n_removed,
                     (unsigned long long)(s->user + s->system), (unsigned long long)s->user,
                     (unsigned long long)s->system, (unsigned long long)(clock_monotonic() - start));
        return 0;
}

static int parse_lives(Storm *s, char *text) {
        char *colon = strchr(text, ':');

        if (!colon)
                return -EINVAL;
        *colon = '\0';
        if (num_parse_u64(text, &s->shortest_ms) < 0 || num_parse_u64(colon + 1, &s->longest_ms) < 0)
                return -EINVAL;
        return s->shortest_ms > 0 && s->shortest_ms <= s->longest_ms && s->longest_ms < UINT32_MAX ? 0
                                                                                                   : -EINVAL;
}

static int parse_arguments(Storm *s, int argc, char **argv, const char **ret_parent) {
        int c, r = 0;

        while (r == 0 && (c = getopt(argc, argv, "n:k:l:b:t:s:cdi")) >= 0) {
                switch (c) {
                case 'n':
                        r = num_parse_u64(optarg, &s->n);
                        break;
                case 'k':
                        r = num_parse_u64(optarg, &s->at_once);
                        break;
                case 'l':
                        r = parse_lives(s, optarg);
                        break;
                case 'b':
                        r = num_parse_u64(optarg, &s->percent);
                        break;
                case 't':
                        r = num_parse_u64(optarg, &s->turn_ms);
                        break;
                case 's':
                        r = num_parse_u64(optarg, &s->seed);
                        break;
                case 'c':
                        s->cgroupfs = true;
                        break;
                case 'd':
                        s->state_files = true;
                        break;
                case 'i':
                        s->idle = true;
                        break;
                default:
                        r = -EINVAL;
                }
        }
        if (r < 0 || optind != argc - 1 || s->percent > 100 || s->turn_ms == 0 || s->turn_ms > UINT32_MAX ||
            s->at_once == 0 || s->at_once > AT_ONCE_MAX)
                return -EINVAL;
        *ret_parent = argv[optind];
        return 0;
}

int main(int argc, char **argv) {
        Storm s = { .n = 100,
                    .at_once = 20,
                    .shortest_ms = 50,
                    .longest_ms = 5000,
                    .percent = 5,
                    .turn_ms = 20,
                    .seed = 1,
                    .parent = -1,
                    .state = -1 };
        _cleanup_free_ Container *slots = NULL;
        _cleanup_free_ char *path = NULL;
        const char *parent;

        if (parse_arguments(&s, argc, argv, &parent) < 0) {
                (void)fprintf(stderr,
                              "usage: storm [-n CONTAINERS] [-k AT-ONCE] [-l SHORTEST:LONGEST] [-b PERCENT] "
                              "[-t TURN] [-s SEED] [-c] [-d] [-i] PARENT\n");
                return 2;
        }
        slots = calloc(s.at_once, sizeof(*slots));
        if (!slots || asprintf(&path, CGROUP_ROOT "/%s", parent) < 0) {
                path = NULL;
                return 1;
        }
        s.slots = slots;
        s.parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s.parent < 0)
                return fail(path, -errno) < 0;
        if (s.state_files) {
                s.state = open(DOCKER_STATE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (s.state < 0)
                        return fail(DOCKER_STATE, -errno) < 0;
        }
        (void)signal(SIGTERM, on_term);
        (void)signal(SIGUSR1, SIG_IGN); /* until a child has its own */
        (void)signal(SIGUSR2, SIG_IGN);
        return run(&s) < 0;
}
