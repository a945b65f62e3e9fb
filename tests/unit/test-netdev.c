/* SPDX-License-Identifier: Apache-2.0 */

/* Whose counters are whose: namespaces in tables and at random; processes in captured trees. */

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdio.h"
#include "netdev.h"
#include "random.h"

#define HOST 1
#define GOES UINT64_MAX
#define N_CGROUPS 8

/* ---- namespaces ---- */

static void test_names(void **state) {
        (void)state;
        assert_string_equal(net_state_to_string(NET_UNKNOWN), "unknown");
        assert_string_equal(net_state_to_string(NET_SHARED), "shared");
        assert_string_equal(net_state_to_string(_NET_MAX), "unknown");
}

static void test_settle(void **state) {
        enum { A, B, C, N };
        static const struct {
                const char *what;
                struct {
                        int who;
                        uint64_t space; /* GOES; 0: the end */
                        NetTurn turn;
                        NetState states[N]; /* of all, after it */
                } steps[9];
        } rows[] = {
                { "its own",
                  { { A, 5, NET_COUNT, { NET_OWN } },
                    { A, 5, NET_COUNT, { NET_OWN } },
                    { B, 6, NET_COUNT, { NET_OWN, NET_OWN } } } },
                { "the host's",
                  { { B, HOST, NET_LEAVE, { 0, NET_HOST } }, { B, HOST, NET_LEAVE, { 0, NET_HOST } } } },
                { "being made: the host's at first",
                  { { A, HOST, NET_LEAVE, { NET_HOST } }, { A, 5, NET_COUNT, { NET_OWN } } } },
                { "another namespace: what that one says was somebody's",
                  { { A, 5, NET_COUNT, { NET_OWN } },
                    { A, 6, NET_BEGIN, { NET_OWN } },
                    { A, 6, NET_COUNT, { NET_OWN } },
                    { A, HOST, NET_LEAVE, { NET_HOST } },
                    { B, 5, NET_COUNT, { NET_HOST, NET_OWN } } } },
                { "the older one counts, met first",
                  { { A, 5, NET_COUNT, { NET_OWN } },
                    { B, 5, NET_LEAVE, { NET_OWN, NET_SHARED } },
                    { A, 5, NET_COUNT, { NET_OWN, NET_SHARED } },
                    { B, 5, NET_LEAVE, { NET_OWN, NET_SHARED } } } },
                { "the older one counts, met last",
                  { { C, 5, NET_COUNT, { 0, 0, NET_OWN } },
                    { A, 5, NET_BEGIN, { NET_OWN, 0, NET_SHARED } },
                    { C, 5, NET_LEAVE, { NET_OWN, 0, NET_SHARED } },
                    { A, 5, NET_COUNT, { NET_OWN, 0, NET_SHARED } },
                    { B, 5, NET_LEAVE, { NET_OWN, NET_SHARED, NET_SHARED } } } },
                { "the oldest of who is left goes on",
                  { { A, 5, NET_COUNT, { NET_OWN } },
                    { C, 5, NET_LEAVE, { NET_OWN, 0, NET_SHARED } },
                    { B, 5, NET_LEAVE, { NET_OWN, NET_SHARED, NET_SHARED } },
                    { A, GOES, 0, { 0, NET_SHARED, NET_SHARED } },
                    { C, 5, NET_BEGIN, { 0, NET_SHARED, NET_OWN } },
                    { B, 5, NET_BEGIN, { 0, NET_OWN, NET_SHARED } },
                    { C, 5, NET_LEAVE, { 0, NET_OWN, NET_SHARED } },
                    { B, 5, NET_COUNT, { 0, NET_OWN, NET_SHARED } } } },
                { "one that shared has its own now",
                  { { A, 5, NET_COUNT, { NET_OWN } },
                    { B, 5, NET_LEAVE, { NET_OWN, NET_SHARED } },
                    { B, 6, NET_BEGIN, { NET_OWN, NET_OWN } },
                    { A, 5, NET_COUNT, { NET_OWN, NET_OWN } } } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                NetSpaces n = { .host = HOST };
                NetCg cgs[N] = { { .id = 10 }, { .id = 20 }, { .id = 30 } };

                for (size_t k = 0; rows[i].steps[k].space; k++) {
                        NetCg *cg = &cgs[rows[i].steps[k].who];
                        uint64_t space = rows[i].steps[k].space;
                        const NetCg *owner;

                        if (space == GOES)
                                net_leave(&n, cg);
                        else if (net_settle(&n, cg, space) != (int)rows[i].steps[k].turn)
                                fail_msg("%s, step %zu", rows[i].what, k);
                        for (int c = 0; c < N; c++)
                                if (cgs[c].state != rows[i].steps[k].states[c])
                                        fail_msg("%s, step %zu: %d is %s", rows[i].what, k, c,
                                                 net_state_to_string(cgs[c].state));
                        owner = map_get_u64(&n.owners, cg->space);
                        if (cg->state == NET_SHARED)
                                assert_int_equal(cg->counted_at, owner->id);
                        else
                                assert_int_equal(cg->counted_at, 0);
                }
                for (int c = 0; c < N; c++)
                        net_leave(&n, &cgs[c]);
                assert_int_equal(n.owners.n, 0);
                map_deinit(&n.owners);
        }
}

/* ---- at random: nothing is counted twice ---- */

typedef struct World {
        NetSpaces n;
        NetCg cgs[N_CGROUPS];
        uint64_t in[N_CGROUPS]; /* namespace that it is in */
        uint64_t base[N_CGROUPS]; /* as its book: a look without counters begins anew */
        bool have[N_CGROUPS];
        uint64_t next_id;
        uint64_t sent[6], counted[6]; /* by namespace */
} World;

static void world_begin(World *w, size_t i) {
        net_leave(&w->n, &w->cgs[i]);
        w->cgs[i] = (NetCg){ .id = w->next_id++ };
        w->in[i] = 1 + random_below(5);
        w->have[i] = false;
}

static void world_look(World *w, size_t i) {
        int turn = net_settle(&w->n, &w->cgs[i], w->in[i]);

        assert_true(turn >= 0);
        assert_int_equal(turn == NET_LEAVE, w->cgs[i].state != NET_OWN);
        assert_int_equal(w->cgs[i].state == NET_HOST, w->in[i] == HOST);
        if (turn != NET_COUNT) {
                w->have[i] = false;
                return;
        }
        if (w->have[i])
                w->counted[w->in[i]] += w->sent[w->in[i]] - w->base[i];
        w->base[i] = w->sent[w->in[i]];
        w->have[i] = true;
}

static void check_owners(const World *w) {
        size_t n_own = 0;

        for (size_t i = 0; i < N_CGROUPS; i++) {
                if (w->cgs[i].state != NET_OWN)
                        continue;
                n_own++;
                assert_ptr_equal(map_get_u64(&w->n.owners, w->cgs[i].space), &w->cgs[i]);
        }
        assert_int_equal(w->n.owners.n, n_own); /* one each */
}

static void test_random(void **state) {
        (void)state;
        for (uint64_t seed = 1; seed <= 200; seed++) {
                World w = { .n.host = HOST, .next_id = 1 };

                random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
                for (size_t i = 0; i < N_CGROUPS; i++)
                        world_begin(&w, i);
                for (size_t step = 0; step < 400; step++) {
                        size_t i = random_below(N_CGROUPS);

                        w.sent[1 + random_below(5)] += random_below(1000);
                        if (random_below(50) == 0)
                                world_begin(&w, i);
                        else if (random_below(50) == 0)
                                w.in[i] = 1 + random_below(5);
                        else
                                world_look(&w, i);
                        check_owners(&w);
                }
                for (size_t space = 1; space <= 5; space++)
                        if (w.counted[space] > w.sent[space] || (space == HOST && w.counted[space] > 0))
                                fail_msg("seed %llu: namespace %zu counted %llu of %llu",
                                         (unsigned long long)seed, space,
                                         (unsigned long long)w.counted[space],
                                         (unsigned long long)w.sent[space]);
                /* The oldest of each namespace counts, once everybody was looked at twice. */
                for (size_t i = 0; i < 2 * N_CGROUPS; i++)
                        world_look(&w, i % N_CGROUPS);
                for (size_t i = 0; i < N_CGROUPS; i++)
                        for (size_t k = 0; k < N_CGROUPS; k++)
                                if (w.cgs[i].state == NET_OWN && w.in[k] == w.in[i])
                                        assert_true(w.cgs[i].id <= w.cgs[k].id);
                for (size_t i = 0; i < N_CGROUPS; i++)
                        net_leave(&w.n, &w.cgs[i]);
                assert_int_equal(w.n.owners.n, 0);
                map_deinit(&w.n.owners);
        }
}

/* ---- processes ---- */

typedef struct Tree {
        char root[64];
        int rootfd, procfd;
} Tree;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static void put(const Tree *t, const char *name, const char *text) {
        int fd = openat(t->rootfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        fd_close(fd);
}

static void make(const Tree *t, const char *name) { assert_int_equal(mkdirat(t->rootfd, name, 0755), 0); }

static void process(const Tree *t, unsigned pid) {
        char name[64];

        (void)snprintf(name, sizeof(name), "proc/%u", pid);
        make(t, name);
        (void)snprintf(name, sizeof(name), "proc/%u/net", pid);
        make(t, name);
        (void)snprintf(name, sizeof(name), "proc/%u/net/dev", pid);
        put(t, name, "");
}

static uint64_t space_of(const Tree *t, unsigned pid) {
        struct stat st;
        char name[64];

        (void)snprintf(name, sizeof(name), "proc/%u/net/dev", pid);
        assert_int_equal(fstatat(t->rootfd, name, &st, 0), 0);
        return st.st_ino;
}

static int setup(void **state) {
        Tree *t = calloc(1, sizeof(*t));

        *state = t;
        (void)snprintf(t->root, sizeof(t->root), "/tmp/bailiff-netdev-XXXXXX");
        assert_non_null(mkdtemp(t->root));
        t->rootfd = open(t->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        make(t, "proc");
        make(t, "c");
        t->procfd = openat(t->rootfd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return 0;
}

static int teardown(void **state) {
        Tree *t = *state;

        fd_close(t->procfd);
        fd_close(t->rootfd);
        (void)nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(t);
        return 0;
}

/* The process that is found, by its namespace; 0: none. */
static uint64_t found(const Tree *t) {
        _cleanup_fd_ int dirfd = openat(t->rootfd, "c", O_PATH | O_DIRECTORY | O_CLOEXEC), process = -1,
                         fd = -1, again = -1;
        uint64_t space = 0, same = 0;
        pid_t pid = 0;
        char name[32];
        int r = net_find(t->procfd, dirfd, &pid, &process, &fd);

        if (r == NET_NOBODY) {
                assert_true(process == -1 && fd == -1);
                return 0;
        }
        assert_int_equal(r, 0);
        assert_int_equal(net_space_of(fd, &space), 0);
        again = openat(process, "net/dev", O_RDONLY | O_CLOEXEC);
        assert_int_equal(net_space_of(again, &same), 0);
        assert_int_equal(same, space);
        (void)snprintf(name, sizeof(name), "%d/net/dev", (int)pid);
        fd_close(again);
        again = openat(t->procfd, name, O_RDONLY | O_CLOEXEC);
        assert_int_equal(net_space_of(again, &same), 0);
        assert_int_equal(same, space);
        return space;
}

static void test_find(void **state) {
        const Tree *t = *state;

        assert_int_equal(found(t), 0); /* no cgroup.procs */
        put(t, "c/cgroup.procs", "");
        assert_int_equal(found(t), 0);
        put(t, "c/cgroup.procs", "7\n8\n9\n");
        assert_int_equal(found(t), 0); /* they have ended, or are hidden */
        process(t, 9);
        assert_int_equal(found(t), space_of(t, 9));
        process(t, 7);
        assert_int_equal(found(t), space_of(t, 7)); /* the first one */
        put(t, "c/cgroup.procs", "0\nnonsense\n8\n");
        assert_int_equal(found(t), 0);
        put(t, "c/cgroup.procs", "18446744073709551616\n7\n");
        assert_int_equal(found(t), space_of(t, 7));
}

static uint64_t dirent_of(const Tree *t, const char *dir, const char *name) {
        _cleanup_fd_ int fd = openat(t->rootfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fdopendir(fd);
        struct dirent *e;
        uint64_t id = 0;

        (void)steal_fd(&fd);
        while ((e = readdir(d)))
                if (STR_EQ(e->d_name, name))
                        id = e->d_ino;
        (void)closedir(d);
        return id;
}

static void test_find_below(void **state) {
        const Tree *t = *state;
        bool first;

        put(t, "c/cgroup.procs", "");
        make(t, "c/x");
        make(t, "c/y");
        make(t, "c/supervisor");
        put(t, "c/supervisor/cgroup.procs", "5\n");
        process(t, 5);
        assert_int_equal(found(t), 0); /* nspawn itself is in the host's */
        process(t, 10);
        process(t, 11);
        put(t, "c/x/cgroup.procs", "10\n");
        put(t, "c/y/cgroup.procs", "11\n");
        first = dirent_of(t, "c", "x") < dirent_of(t, "c", "y");
        assert_int_equal(found(t), space_of(t, first ? 10 : 11));
        /* The cgroup's own come first. */
        process(t, 12);
        put(t, "c/cgroup.procs", "12\n");
        assert_int_equal(found(t), space_of(t, 12));
        put(t, "c/cgroup.procs", "");
        put(t, "c/x/cgroup.procs", "");
        put(t, "c/y/cgroup.procs", "");
        /* Deep, but not endlessly so. */
        make(t, "c/x/a");
        make(t, "c/x/a/b");
        make(t, "c/x/a/b/c");
        put(t, "c/x/a/b/c/cgroup.procs", "12\n");
        assert_int_equal(found(t), space_of(t, 12));
        put(t, "c/x/a/b/c/cgroup.procs", "");
        make(t, "c/x/a/b/c/d");
        put(t, "c/x/a/b/c/d/cgroup.procs", "12\n");
        assert_int_equal(found(t), 0);
}

/* Thousands of directories below do not make a look a long one. */
static void test_find_bounded(void **state) {
        const Tree *t = *state;
        char name[64];

        process(t, 20);
        for (unsigned i = 0; i < 600; i++) {
                (void)snprintf(name, sizeof(name), "c/d%u", i);
                make(t, name);
                (void)snprintf(name, sizeof(name), "c/d%u/cgroup.procs", i);
                put(t, name, "");
        }
        assert_int_equal(found(t), 0);
        for (unsigned i = 0; i < 600; i++) {
                (void)snprintf(name, sizeof(name), "c/d%u/cgroup.procs", i);
                put(t, name, "20\n");
        }
        assert_int_equal(found(t), space_of(t, 20));
}

static void test_host(void **state) {
        const Tree *t = *state;
        NetSpaces n = {};

        assert_int_equal(net_find_host(&n, t->procfd), -ENOENT);
        assert_int_equal(n.host, 0);
        process(t, 1);
        assert_int_equal(net_find_host(&n, t->procfd), 0);
        assert_int_equal(n.host, space_of(t, 1));
        put(t, "proc/1/net/other", "");
        assert_int_equal(renameat(t->rootfd, "proc/1/net/other", t->rootfd, "proc/1/net/dev"), 0);
        assert_int_equal(net_find_host(&n, t->procfd), 0);
        assert_int_not_equal(n.host, space_of(t, 1)); /* PID 1 stays where it is: not asked again */
}

static void test_no_fds(void **state) {
        const Tree *t = *state;
        int dirfd = openat(t->rootfd, "c", O_PATH | O_DIRECTORY | O_CLOEXEC), a = -1, b = -1;
        struct rlimit old, none;
        pid_t pid;

        process(t, 7);
        put(t, "c/cgroup.procs", "7\n");
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        for (rlim_t more = 0; more < 3; more++) {
                none = (struct rlimit){ (rlim_t)dirfd + 1 + more, old.rlim_max };
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
                assert_int_equal(net_find(t->procfd, dirfd, &pid, &a, &b), more < 2 ? -EMFILE : NET_NOBODY);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
                assert_true(a == -1 && b == -1);
        }
        fd_close(dirfd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_settle),
                cmocka_unit_test(test_random),
                cmocka_unit_test_setup_teardown(test_find, setup, teardown),
                cmocka_unit_test_setup_teardown(test_find_below, setup, teardown),
                cmocka_unit_test_setup_teardown(test_find_bounded, setup, teardown),
                cmocka_unit_test_setup_teardown(test_host, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_fds, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
