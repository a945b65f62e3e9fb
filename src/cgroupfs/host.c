/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What this host has, read once at start (and on reload) into a snapshot. All
 * of it comes from files below three roots, so that a captured host is a test.
 *
 * Absence is an answer, not an error: an old kernel, a missing controller and
 * PSI that is compiled in but off (its files exist and read EOPNOTSUPP) are
 * what the snapshot is for. The exceptions are the numbers that percentages
 * are taken of.
 *
 * Some facts show only below the root cgroup, which lacks most files. They are
 * looked for in its children, of which any will do.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fdio.h"
#include "host.h"
#include "mountinfo.h"
#include "num.h"

#define TEXT_SIZE 16384
/* Of a directory, when one example is looked for. */
#define ENTRIES_MAX 4096
/* Of the first cgroup namespace: PROC_CGROUP_INIT_INO, which linux/nsfs.h of
 * kernel 6.18 calls CGROUP_NS_INIT_INO. */
#define CGROUP_NS_INIT "cgroup:[4026531835]"

static void cleanup_dir(DIR **d) {
        if (*d)
                (void)closedir(*d);
}
#define _cleanup_dir_ _cleanup_(cleanup_dir)

static DIR *open_dir_at(int dirfd, const char *name) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);

        if (!d)
                (void)fd_close(fd);
        return d;
}

static bool is_readable(int dirfd, const char *name) {
        char text[TEXT_SIZE];

        return fd_read_at(dirfd, name, text, sizeof(text)) >= 0;
}

/* The first line, cut to size. */
static void read_line(int dirfd, const char *name, char *ret, size_t size) {
        char text[TEXT_SIZE];
        size_t len;

        if (fd_read_at(dirfd, name, text, sizeof(text)) < 0)
                return;
        len = MIN_OF(strcspn(text, "\n"), size - 1);
        memcpy(ret, text, len);
        ret[len] = '\0';
}

static bool read_number(int dirfd, const char *name, uint64_t *ret) {
        char text[32] = "";

        read_line(dirfd, name, text, sizeof(text));
        return num_parse_u64(text, ret) == 0;
}

/* The next word of *p, behind blanks; its length, 0 at the end. */
static size_t next_word(const char **p) {
        *p += strspn(*p, " \t\n");
        return strcspn(*p, " \t\n");
}

static bool word_is(const char *word, size_t len, const char *s) {
        return strlen(s) == len && memcmp(word, s, len) == 0;
}

static bool has_word(const char *text, const char *s) {
        size_t len;

        for (const char *p = text; (len = next_word(&p)); p += len)
                if (word_is(p, len, s))
                        return true;
        return false;
}

static uint32_t read_controllers(int dirfd, const char *name) {
        static const struct {
                const char *name;
                uint32_t bit;
        } table[] = {
                { "cpu", CONTROLLER_CPU },
                { "io", CONTROLLER_IO },
                { "memory", CONTROLLER_MEMORY },
                { "pids", CONTROLLER_PIDS },
        };
        char text[TEXT_SIZE];
        uint32_t bits = 0;

        if (fd_read_at(dirfd, name, text, sizeof(text)) < 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (has_word(text, table[i].name))
                        bits |= table[i].bit;
        return bits;
}

/* A v1 hierarchy that holds a controller; systemd's named one holds none. */
static bool is_v1_controllers(const Mount *m) {
        static const char *const names[] = { "cpu",      "cpuacct",    "cpuset",  "memory",  "blkio",
                                             "pids",     "devices",    "freezer", "hugetlb", "net_cls",
                                             "net_prio", "perf_event", "rdma",    "misc",    "debug" };

        if (!STR_EQ(m->fstype, "cgroup"))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (mount_has_option(m, names[i]))
                        return true;
        return false;
}

/* Paths differ only in trailing slashes. */
static bool same_path(const char *a, const char *b) {
        size_t n = strlen(a), k = strlen(b);

        while (n > 1 && a[n - 1] == '/')
                n--;
        while (k > 1 && b[k - 1] == '/')
                k--;
        return n == k && memcmp(a, b, n) == 0;
}

#define _cleanup_mounts_ _cleanup_(mount_reader_deinit)

static int read_mounts(const char *proc, const char *cgroup_root, HostFacts *f) {
        _cleanup_mounts_ MountReader reader = {};
        Mount m;
        int r;

        r = mount_reader_init(&reader, proc);
        if (r < 0)
                return r;
        while ((r = mount_reader_next(&reader, &m)) > 0) {
                if (is_v1_controllers(&m))
                        f->hybrid = true;
                if (!same_path(m.mount_point, cgroup_root))
                        continue;
                /* The last mount on a path is the one to be seen. */
                f->cgroup2 = STR_EQ(m.fstype, "cgroup2");
                f->nsdelegate = f->cgroup2 && mount_has_option(&m, "nsdelegate");
                f->memory_recursiveprot = f->cgroup2 && mount_has_option(&m, "memory_recursiveprot");
                f->in_container = f->cgroup2 && !STR_EQ(m.root, "/");
        }
        return r;
}

static void read_namespace(int procfd, HostFacts *f) {
        char link[64];
        ssize_t n;

        n = readlinkat(procfd, "self/ns/cgroup", link, sizeof(link) - 1);
        if (n <= 0)
                return;
        link[n] = '\0';
        if (!STR_EQ(link, CGROUP_NS_INIT))
                f->in_container = true;
}

/* "MemTotal:       16323732 kB" */
static bool meminfo_find(const char *text, const char *key, uint64_t *ret_bytes) {
        size_t n = strlen(key);

        for (const char *p = text; p; p = strchr(p, '\n')) {
                uint64_t kib;
                const char *q;

                p += *p == '\n';
                if (strncmp(p, key, n) != 0 || p[n] != ':')
                        continue;
                q = p + n + 1;
                q += strspn(q, " \t");
                if (num_scan_u64(&q, text + strlen(text), &kib) < 0)
                        return false;
                *ret_bytes = num_muldiv(kib, 1024, 1);
                return true;
        }
        return false;
}

static int read_sizes(int procfd, HostFacts *f) {
        char text[TEXT_SIZE];
        uint64_t pid_max = UINT64_MAX, threads_max = UINT64_MAX;

        if (fd_read_at(procfd, "meminfo", text, sizeof(text)) < 0 ||
            !meminfo_find(text, "MemTotal", &f->memory_bytes) || f->memory_bytes == 0)
                return -ENODATA;
        (void)meminfo_find(text, "SwapTotal", &f->swap_bytes);
        (void)read_number(procfd, "sys/kernel/pid_max", &pid_max);
        (void)read_number(procfd, "sys/kernel/threads-max", &threads_max);
        f->pid_max = MIN_OF(pid_max, threads_max);
        if (f->pid_max == UINT64_MAX || f->pid_max == 0)
                return -ENODATA;
        return 0;
}

/* How many numbers "0-3,8,10-11" names; 0: not such a list. */
static unsigned count_list(const char *s) {
        const char *end = s + strlen(s);
        uint64_t n = 0;

        for (;; s++) {
                uint64_t a, b;

                if (num_scan_u64(&s, end, &a) < 0)
                        return 0;
                b = a;
                if (*s == '-') {
                        s++;
                        if (num_scan_u64(&s, end, &b) < 0 || b < a)
                                return 0;
                }
                n = num_add_sat(n, num_add_sat(b - a, 1));
                if (*s != ',')
                        break;
        }
        return *s == '\0' && n <= UINT32_MAX ? (unsigned)n : 0;
}

static void read_machine(int sysfd, HostFacts *f) {
        char list[1024] = "";
        long n;

        n = sysconf(_SC_PAGESIZE);
        f->page_size = n > 0 ? (uint64_t)n : 4096;
        read_line(sysfd, "devices/system/cpu/online", list, sizeof(list));
        f->n_cpus = count_list(list);
        if (f->n_cpus == 0) {
                n = sysconf(_SC_NPROCESSORS_ONLN);
                f->n_cpus = n > 0 ? (unsigned)n : 1;
        }
}

static void read_kernel(int procfd, HostFacts *f) {
        struct utsname uts;

        read_line(procfd, "sys/kernel/osrelease", f->kernel, sizeof(f->kernel));
        if (f->kernel[0] == '\0' && uname(&uts) == 0)
                (void)snprintf(f->kernel, sizeof(f->kernel), "%.*s", (int)sizeof(f->kernel) - 1, uts.release);
        read_line(procfd, "sys/kernel/random/boot_id", f->boot_id, sizeof(f->boot_id));
}

/* The last bailiff.mode= counts; only what calms is known there. */
static void read_cmdline(int procfd, HostFacts *f) {
        static const char key[] = "bailiff.mode=";
        char text[TEXT_SIZE];
        size_t len, n = strlen(key);

        if (fd_read_at(procfd, "cmdline", text, sizeof(text)) < 0)
                return;
        for (const char *p = text; (len = next_word(&p)); p += len) {
                if (len < n || memcmp(p, key, n) != 0)
                        continue;
                f->cmdline_observe = word_is(p + n, len - n, "observe");
                f->cmdline_off = word_is(p + n, len - n, "off");
        }
}

/* Is there a child cgroup that has `name`, and (read) can be read? */
static bool any_child_has(int cgfd, const char *name, bool read) {
        _cleanup_dir_ DIR *d = open_dir_at(cgfd, ".");
        const struct dirent *e;
        size_t n = 0;

        while (d && (e = readdir(d)) && n++ < ENTRIES_MAX) {
                _cleanup_fd_ int fd = -1;

                if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
                        continue;
                fd = openat(dirfd(d), e->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd < 0 || faccessat(fd, name, F_OK, 0) < 0)
                        continue;
                if (!read || is_readable(fd, name))
                        return true;
        }
        return false;
}

/* "254:0 enable=1 ctrl=auto …" per device that was ever configured. */
static bool read_io_cost(int cgfd) {
        char text[TEXT_SIZE];

        return fd_read_at(cgfd, "io.cost.qos", text, sizeof(text)) >= 0 && has_word(text, "enable=1");
}

static bool read_io_bfq(int sysfd) {
        _cleanup_dir_ DIR *d = open_dir_at(sysfd, "block");
        const struct dirent *e;
        size_t n = 0;

        while (d && (e = readdir(d)) && n++ < ENTRIES_MAX) {
                char name[sizeof(e->d_name) + sizeof("/queue/scheduler")];
                char schedulers[256] = "";

                if (e->d_name[0] == '.')
                        continue;
                (void)snprintf(name, sizeof(name), "%s/queue/scheduler", e->d_name);
                read_line(dirfd(d), name, schedulers, sizeof(schedulers));
                if (has_word(schedulers, "[bfq]"))
                        return true;
        }
        return false;
}

/* user.slice/user-1000.slice/user@1000.service can only have io where the
 * slice above it enables io. */
static bool read_user_io(int cgfd) {
        _cleanup_dir_ DIR *d = open_dir_at(cgfd, "user.slice");
        const struct dirent *e;
        size_t n = 0;
        bool manager = false;

        while (d && (e = readdir(d)) && n++ < ENTRIES_MAX) {
                char name[sizeof("user@4294967295.service")];
                _cleanup_fd_ int fd = -1;
                const char *p = e->d_name + strlen("user-"), *end;
                uint64_t uid;

                if (strncmp(e->d_name, "user-", strlen("user-")) != 0)
                        continue;
                end = p + strlen(p);
                if (num_scan_u64(&p, end, &uid) < 0 || !STR_EQ(p, ".slice") || uid > UINT32_MAX)
                        continue;
                fd = openat(dirfd(d), e->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                (void)snprintf(name, sizeof(name), "user@%u.service", (unsigned)uid);
                if (fd < 0 || faccessat(fd, name, F_OK, 0) < 0)
                        continue;
                manager = true;
                if (read_controllers(fd, "cgroup.subtree_control") & CONTROLLER_IO)
                        return true;
        }
        return !manager;
}

static void read_cgroup(const char *cgroup_root, int procfd, int sysfd, HostFacts *f) {
        _cleanup_fd_ int cgfd = open(cgroup_root, O_PATH | O_DIRECTORY | O_CLOEXEC);

        f->psi = is_readable(procfd, "pressure/memory") && is_readable(procfd, "pressure/cpu");
        f->io_bfq = read_io_bfq(sysfd);
        f->user_io_delegated = true;
        if (cgfd < 0)
                return;
        f->controllers = read_controllers(cgfd, "cgroup.controllers");
        f->controllers_enabled = read_controllers(cgfd, "cgroup.subtree_control");
        f->psi_cgroup = is_readable(cgfd, "memory.pressure") || any_child_has(cgfd, "memory.pressure", true);
        f->io_cost = read_io_cost(cgfd);
        f->io_latency = any_child_has(cgfd, "io.latency", false);
        f->user_io_delegated = read_user_io(cgfd);
}

int host_read(const char *cgroup_root, const char *proc, const char *sys, HostFacts *ret) {
        _cleanup_fd_ int procfd = -1, sysfd = -1;
        HostFacts f = {};
        int r;

        procfd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (procfd < 0)
                return -errno;
        sysfd = open(sys, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (sysfd < 0)
                return -errno;
        r = read_mounts(proc, cgroup_root, &f);
        if (r < 0)
                return r;
        r = read_sizes(procfd, &f);
        if (r < 0)
                return r;
        read_namespace(procfd, &f);
        read_machine(sysfd, &f);
        read_kernel(procfd, &f);
        read_cmdline(procfd, &f);
        read_cgroup(cgroup_root, procfd, sysfd, &f);
        f.systemd_running = access("/run/systemd/system", F_OK) == 0;
        *ret = f;
        return 0;
}
