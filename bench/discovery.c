/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What bench/vm-discovery.sh runs: it makes containers, says how long each one
 * took to get its ceiling (TasksMax=, since pids.max is the cheapest file to
 * write), and knows how little work that can be.
 *
 *   containers FLOOR PARENT N TASKS SEED   cgroups as Docker's cgroupfs driver makes them, one after another
 *   burst FLOOR PARENT N TASKS SEED        the same, all at once
 *   scopes SLICE SLICE N TASKS SEED        scopes as Docker's systemd driver makes them, one after another
 *   floor-write FLOOR TASKS                holds whatever appears below FLOOR, until killed
 *   floor-set SLICE TASKS                  the same through systemd, for scopes with the floor's names
 *
 * The two floors are the least that anybody could do who does not know of a
 * container before its cgroup is there: one inotify watch, one write (or one
 * call) for each new directory; no names, no policy, no ledger, no look at
 * what was there. They run beside the guard, and every measurement is made
 * twice in turn, once for each of the two: what else the machine does meanwhile
 * (it is emulated, on a busy host) hits both alike, so that the ratio means
 * something. The guard does not see the floor's containers: they are below a
 * virtual machine's name, or have the name of an engine's helper.
 *
 * What is printed is microseconds, the floor's first, a line a pair: for
 * containers the time from calling mkdir() to the value being in pids.max; for
 * scopes from the cgroup appearing to the value being in pids.max, and to
 * systemd knowing it, which shows as the drop-in that it writes; for burst
 * from the first mkdir() to the last value. The engine's state files are there
 * before, as they are with Docker.
 */

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "num.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define DOCKER_STATE "/var/lib/docker/containers"
#define TRANSIENT "/run/systemd/transient"
#define ID_LEN 64
#define BURST_MAX 1000
#define PATIENCE (20 * USEC_PER_SEC)
/* Containers of a host do not come back to back: what a guard does behind its write is over by then. */
#define GAP (100 * USEC_PER_MSEC)
#define SCOPE_GAP (400 * USEC_PER_MSEC)
#define FLOOR_SCOPE "libpod-conmon-"
#define SCOPE "docker-"

static void nap(usec_t usec) {
        struct timespec ts = { .tv_sec = (time_t)(usec / USEC_PER_SEC),
                               .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000 };

        (void)nanosleep(&ts, NULL);
}

static int fail(const char *what, int error) {
        (void)fprintf(stderr, "discovery: %s: %s\n", what, strerror(-error));
        return error;
}

/* ---- what a container looks like ---- */

/* 64 hexadecimal digits, another one for each seed and number (splitmix64). */
static void make_id(uint64_t seed, size_t number, char ret[ID_LEN + 1]) {
        uint64_t x = seed * 1000003 + number;

        for (size_t i = 0; i < ID_LEN; i += 16) {
                uint64_t z = (x += 0x9e3779b97f4a7c15);

                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
                z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
                (void)snprintf(ret + i, 17, "%016llx", (unsigned long long)(z ^ (z >> 31)));
        }
}

/* As long as Docker's own for a small container, and with what a guard reads in it. */
static int write_state(const char *id, size_t number) {
        static const char host[] =
                "{\"Binds\":null,\"ContainerIDFile\":\"\",\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{}"
                "},"
                "\"NetworkMode\":\"none\",\"PortBindings\":{},\"RestartPolicy\":{\"Name\":\"no\","
                "\"MaximumRetryCount\":0},"
                "\"AutoRemove\":false,\"CapAdd\":null,\"CapDrop\":null,\"CgroupnsMode\":\"private\","
                "\"Privileged\":false,"
                "\"ShmSize\":67108864,\"Runtime\":\"runc\",\"Isolation\":\"\",\"CpuShares\":0,\"Memory\":0,"
                "\"NanoCpus\":0,"
                "\"CgroupParent\":\"\",\"BlkioWeight\":0,\"BlkioWeightDevice\":[],\"BlkioDeviceReadBps\":"
                "null,"
                "\"BlkioDeviceWriteBps\":null,\"CpuPeriod\":0,\"CpuQuota\":0,\"CpusetCpus\":\"\","
                "\"CpusetMems\":\"\","
                "\"Devices\":[],\"MemoryReservation\":0,\"MemorySwap\":0,\"PidsLimit\":null,\"Ulimits\":null,"
                "\"MaskedPaths\":[\"/proc/asound\",\"/proc/acpi\",\"/proc/kcore\",\"/proc/keys\"]}";
        _cleanup_free_ char *dir = NULL, *config = NULL;
        _cleanup_fd_ int fd = -1;
        int len, r;

        len = asprintf(
                &config,
                "{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Paused\":false,\"Restarting\":false,"
                "\"OOMKilled\":false,\"Pid\":0,\"ExitCode\":0,\"StartedAt\":\"2024-05-01T10:00:00Z\"},"
                "\"ID\":\"%s\",\"Created\":\"2024-05-01T10:00:00Z\",\"Managed\":false,\"Path\":\"sleep\","
                "\"Args\":[\"100000\"],\"Config\":{\"Hostname\":\"bench\",\"User\":\"\",\"Env\":["
                "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"],"
                "\"Cmd\":[\"sleep\",\"100000\"],\"Image\":\"bench:latest\",\"Labels\":{"
                "\"com.docker.compose.project\":\"shop\",\"com.docker.compose.service\":\"web\"}},"
                "\"Image\":\"sha256:%s\",\"Name\":\"/bench-%zu\",\"Driver\":\"overlay2\",\"OS\":\"linux\","
                "\"LogPath\":\"\",\"RestartCount\":0,\"HasBeenStartedBefore\":true}",
                id, id, number);
        if (len < 0) {
                config = NULL;
                return -ENOMEM;
        }
        if (asprintf(&dir, DOCKER_STATE "/%s", id) < 0) {
                dir = NULL;
                return -ENOMEM;
        }
        if (mkdir(dir, 0710) < 0 && errno != EEXIST)
                return -errno;
        fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = fd_write_file_atomic(fd, "config.v2.json", config, (size_t)len, 0600, false);
        return r < 0 ? r : fd_write_file_atomic(fd, "hostconfig.json", host, sizeof(host) - 1, 0600, false);
}

static int write_states(size_t n, uint64_t seed) {
        for (size_t i = 0; i < n; i++) {
                char id[ID_LEN + 1];
                int r;

                make_id(seed, i, id);
                r = write_state(id, i);
                if (r < 0)
                        return fail(DOCKER_STATE, r);
        }
        return 0;
}

/* Below "PARENT/ID". */
static bool is_held(int parent, const char *name, uint64_t tasks) {
        char path[ID_LEN + 64], text[32];
        uint64_t value;

        (void)snprintf(path, sizeof(path), "%s/pids.max", name);
        if (fd_read_at(parent, path, text, sizeof(text)) < 0)
                return false;
        text[strcspn(text, "\n")] = '\0';
        return num_parse_u64(text, &value) == 0 && value == tasks;
}

/* Sleeps until one of the watches has news; what news is for the caller to see. */
static int wait_news(int inotify, usec_t deadline) {
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        struct pollfd p = { .fd = inotify, .events = POLLIN };
        usec_t now = clock_monotonic();

        if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000) + 1) == 0)
                return -ETIMEDOUT;
        while (read(inotify, events, sizeof(events)) > 0)
                ;
        return 0;
}

static int open_cgroup(const char *path) {
        _cleanup_free_ char *full = NULL;
        int fd;

        if (asprintf(&full, CGROUP_ROOT "%s", path) < 0) {
                full = NULL;
                return -ENOMEM;
        }
        fd = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int watch_at(int inotify, int dirfd, const char *name, uint32_t mask) {
        char path[256];

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
        return inotify_add_watch(inotify, path, mask) < 0 ? -errno : 0;
}

/* ---- containers ---- */

static int measure_container(int parent, const char *id, uint64_t tasks, usec_t *ret) {
        _cleanup_fd_ int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        char file[ID_LEN + 16];
        usec_t start;
        int r;

        if (inotify < 0)
                return -errno;
        (void)snprintf(file, sizeof(file), "%s/pids.max", id);
        start = clock_monotonic(); /* not later: whoever wakes up in mkdir() may be done before it returns */
        if (mkdirat(parent, id, 0755) < 0)
                return -errno;
        r = watch_at(inotify, parent, file, IN_MODIFY);
        while (r >= 0 && !is_held(parent, id, tasks))
                r = wait_news(inotify, start + PATIENCE);
        if (r < 0)
                return r;
        *ret = clock_monotonic() - start;
        nap(GAP);
        return 0;
}

static int containers(const char *floor_path, const char *path, size_t n, uint64_t tasks, uint64_t seed) {
        _cleanup_fd_ int floor = open_cgroup(floor_path), parent = open_cgroup(path);

        if (floor < 0 || parent < 0)
                return fail(path, MIN_OF(floor, parent));
        for (size_t i = 0; i < n; i++) {
                usec_t least = 0, guard = 0;
                char id[ID_LEN + 1];
                int r;

                make_id(seed, i, id);
                r = measure_container(floor, id, tasks, &least);
                if (r >= 0)
                        r = measure_container(parent, id, tasks, &guard);
                if (r < 0)
                        return fail(id, r);
                (void)printf("%llu %llu\n", (unsigned long long)least, (unsigned long long)guard);
        }
        return 0;
}

/* The last value is looked for with a look a millisecond: watches would be work between the mkdirs. */
static int measure_burst(const char *path, size_t n, uint64_t tasks, uint64_t seed, usec_t *ret) {
        static char ids[BURST_MAX][ID_LEN + 1];
        _cleanup_fd_ int parent = open_cgroup(path);
        usec_t start;

        if (parent < 0)
                return fail(path, parent);
        for (size_t i = 0; i < n; i++)
                make_id(seed, i, ids[i]);
        start = clock_monotonic();
        for (size_t i = 0; i < n; i++)
                if (mkdirat(parent, ids[i], 0755) < 0)
                        return fail(ids[i], -errno);
        for (size_t i = 0; i < n; i++)
                while (!is_held(parent, ids[i], tasks)) {
                        if (clock_monotonic() > start + PATIENCE)
                                return fail(ids[i], -ETIMEDOUT);
                        nap(USEC_PER_MSEC);
                }
        *ret = clock_monotonic() - start;
        return 0;
}

static int burst(const char *floor, const char *path, size_t n, uint64_t tasks, uint64_t seed) {
        usec_t least = 0, guard = 0;
        int r;

        r = measure_burst(floor, n, tasks, seed, &least);
        if (r >= 0)
                r = measure_burst(path, n, tasks, seed, &guard);
        if (r >= 0)
                (void)printf("%llu %llu\n", (unsigned long long)least, (unsigned long long)guard);
        return r;
}

/* ---- scopes ---- */

static int start_scope(sd_bus *bus, const char *name, const char *slice, pid_t pid) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                               "org.freedesktop.systemd1.Manager", "StartTransientUnit", &error, NULL,
                               "ssa(sv)a(sa(sv))", name, "fail", 3, "Slice", "s", slice, "PIDs", "au", 1, pid,
                               "CollectMode", "s", "inactive-or-failed", 0);
        return r < 0 ? r : 0;
}

/* What is seen of one scope; 0: not yet. */
typedef struct Seen {
        usec_t appeared, held, known;
} Seen;

static void look(int inotify, int parent, const char *name, uint64_t tasks, bool *dropin_watched, Seen *s) {
        char path[sizeof(TRANSIENT) + ID_LEN + 64], file[ID_LEN + 64];
        struct stat st;

        if (s->appeared == 0 && fstatat(parent, name, &st, 0) == 0) {
                s->appeared = clock_monotonic();
                (void)snprintf(file, sizeof(file), "%s/pids.max", name);
                (void)watch_at(inotify, parent, file, IN_MODIFY);
        }
        if (s->appeared != 0 && s->held == 0 && is_held(parent, name, tasks))
                s->held = clock_monotonic();
        (void)snprintf(path, sizeof(path), TRANSIENT "/%s.d", name);
        if (!*dropin_watched)
                *dropin_watched = inotify_add_watch(inotify, path, IN_MOVED_TO | IN_CREATE) >= 0;
        (void)snprintf(path, sizeof(path), TRANSIENT "/%s.d/50-TasksMax.conf", name);
        if (s->known == 0 && stat(path, &st) == 0)
                s->known = clock_monotonic();
}

static int measure_scope(sd_bus *bus, int parent, const char *slice, const char *name, uint64_t tasks,
                         Seen *ret) {
        _cleanup_fd_ int inotify = -1;
        usec_t deadline = clock_monotonic() + PATIENCE;
        bool dropin_watched = false;
        pid_t pid = fork();
        Seen s = {};
        int r;

        if (pid == 0) {
                (void)pause(); /* until the scope is killed */
                _exit(0);
        }
        inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); /* after fork(): the child would keep it */
        if (pid < 0 || inotify < 0 || inotify_add_watch(inotify, TRANSIENT, IN_CREATE) < 0)
                return fail(TRANSIENT, -errno);
        r = watch_at(inotify, parent, ".", IN_CREATE);
        if (r >= 0)
                r = start_scope(bus, name, slice, pid);
        while (r >= 0) {
                look(inotify, parent, name, tasks, &dropin_watched, &s);
                if (s.held != 0 && s.known != 0)
                        break;
                r = wait_news(inotify, deadline);
        }
        if (r < 0)
                return fail(name, r);
        nap(SCOPE_GAP);
        *ret = s;
        return 0;
}

static int scopes(const char *slice, size_t n, uint64_t tasks, uint64_t seed) {
        static const char *const prefixes[] = { FLOOR_SCOPE, SCOPE };
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_fd_ int parent = -1;
        int r;

        if (asprintf(&path, "/%s", slice) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        parent = open_cgroup(path);
        if (parent < 0)
                return fail(path, parent);
        r = sd_bus_open_system(&bus);
        if (r < 0)
                return fail("system bus", r);
        for (size_t i = 0; i < n; i++) {
                Seen seen[ARRAY_SIZE(prefixes)] = {};
                char id[ID_LEN + 1], name[ID_LEN + 32];

                make_id(seed, i, id);
                for (size_t k = 0; k < ARRAY_SIZE(prefixes); k++) {
                        (void)snprintf(name, sizeof(name), "%s%s.scope", prefixes[k], id);
                        r = measure_scope(bus, parent, slice, name, tasks, &seen[k]);
                        if (r < 0)
                                return r;
                }
                (void)printf("%llu %llu %llu %llu\n", (unsigned long long)(seen[0].held - seen[0].appeared),
                             (unsigned long long)(seen[1].held - seen[1].appeared),
                             (unsigned long long)(seen[0].known - seen[0].appeared),
                             (unsigned long long)(seen[1].known - seen[1].appeared));
        }
        return 0;
}

/* ---- the floors ---- */

static int floor_write(int parent, const char *name, const char *tasks, sd_bus *bus _unused_) {
        char file[ID_LEN + 64];

        (void)snprintf(file, sizeof(file), "%s/pids.max", name);
        return fd_write_at(parent, file, tasks);
}

static int floor_set(int parent _unused_, const char *name, const char *tasks, sd_bus *bus) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t value;
        int r;

        if (strncmp(name, FLOOR_SCOPE, strlen(FLOOR_SCOPE)) != 0)
                return 0; /* the guard's */
        r = num_parse_u64(tasks, &value);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                       "org.freedesktop.systemd1.Manager", "SetUnitProperties", &error, NULL,
                                       "sba(sv)", name, true, 1, "TasksMax", "t", value);
        return r < 0 ? r : 0;
}

static int run_floor(const char *path, const char *tasks, bool through_systemd) {
        char events[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_fd_ int parent = open_cgroup(path), inotify = inotify_init1(IN_CLOEXEC);
        ssize_t len;
        int r;

        if (parent < 0 || inotify < 0)
                return fail(path, parent < 0 ? parent : -errno);
        r = through_systemd ? sd_bus_open_system(&bus) : 0;
        if (r >= 0)
                r = watch_at(inotify, parent, ".", IN_CREATE | IN_ONLYDIR);
        if (r < 0)
                return fail(path, r);
        (void)printf("ready\n");
        (void)fflush(stdout);
        while ((len = read(inotify, events, sizeof(events))) > 0)
                for (ssize_t i = 0; i < len;) {
                        const struct inotify_event *e =
                                (const struct inotify_event *)(const void *)(events + i);

                        i += (ssize_t)(sizeof(*e) + e->len);
                        if (!(e->mask & IN_ISDIR) || e->len == 0)
                                continue;
                        r = (through_systemd ? floor_set : floor_write)(parent, e->name, tasks, bus);
                        if (r < 0)
                                return fail(e->name, r);
                }
        return fail("inotify", -errno);
}

/* ---- */

int main(int argc, char **argv) {
        uint64_t n, tasks, seed;

        if (argc == 4 && (STR_EQ(argv[1], "floor-write") || STR_EQ(argv[1], "floor-set")))
                return run_floor(argv[2], argv[3], STR_EQ(argv[1], "floor-set")) < 0;
        if (argc != 7 || num_parse_u64(argv[4], &n) < 0 || num_parse_u64(argv[5], &tasks) < 0 ||
            num_parse_u64(argv[6], &seed) < 0 || n > BURST_MAX) {
                (void)fprintf(stderr, "discovery: see the head of bench/discovery.c\n");
                return 2;
        }
        if (write_states(n, seed) < 0)
                return 1;
        /* We mostly sleep; but when something happens, we must see it before those that it wakes. */
        if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK,
                               &(struct sched_param){ .sched_priority = 1 }) < 0)
                return fail("sched_setscheduler", -errno) < 0;
        if (STR_EQ(argv[1], "containers"))
                return containers(argv[2], argv[3], n, tasks, seed) < 0;
        if (STR_EQ(argv[1], "burst"))
                return burst(argv[2], argv[3], n, tasks, seed) < 0;
        if (STR_EQ(argv[1], "scopes"))
                return scopes(argv[3], n, tasks, seed) < 0;
        (void)fprintf(stderr, "discovery: unknown measurement %s\n", argv[1]);
        return 2;
}
