/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A freeze's lease stands until the cgroup is known not to be frozen by us any more: leasing.c, unlease.c. A directory in the place of
 * cgroup.freeze is what can be neither read nor written.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>

#include "guard-bed.h"
#include "host.h"

#define SLICE "/tenant.slice"
#define OBSERVE "[Host]\nMode=observe\n"
#define LONG (600 * USEC_PER_SEC)

static const LimitKnob no_knob = { 0 };

static void freeze_path(const Bed *b, const char *cgroup, char ret[512]) {
        (void)snprintf(ret, 512, "%s%s/cgroup.freeze", b->cgroup, cgroup);
}

static void put_freeze(const Bed *b, const char *cgroup, const char *text) {
        char path[512];

        freeze_path(b, cgroup, path);
        (void)rmdir(path);
        bed_write(path, text);
}

static void block_freeze(const Bed *b, const char *cgroup) {
        char path[512];

        freeze_path(b, cgroup, path);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0755), 0);
}

static bool is_frozen(const Bed *b, const char *cgroup) {
        char path[512], text[16];

        freeze_path(b, cgroup, path);
        assert_true(fd_read_at(AT_FDCWD, path, text, sizeof(text)) > 0);
        return text[0] == '1';
}

static void container(Bed *b, char ret[256]) {
        bed_mkcg(b, SLICE);
        bed_docker(b, SLICE, 1, "", ret);
        put_freeze(b, ret, "0\n");
}

static uint64_t id_of(const Bed *b, const char *cgroup) {
        char path[512];
        struct stat st;

        (void)snprintf(path, sizeof(path), "%s%s", b->cgroup, cgroup);
        assert_int_equal(stat(path, &st), 0);
        return st.st_ino;
}

static Target *freeze(Bed *b, const char *cgroup) {
        Target *t = bed_target(b, cgroup);

        assert_non_null(t);
        t->reconciled = true;
        assert_int_equal(leasing_freeze(b->g, t, LONG, true, "test"), 0);
        BED_UNTIL(b, t->thaw_due);
        assert_true(is_frozen(b, cgroup));
        return t;
}

static void beat(Bed *b) { leasing_beat(b->g, clock_monotonic()); }

/* ---- what guards leave behind ---- */

static Leases *open_leases(const Bed *b) {
        HostFacts host = {};
        Leases *l;

        assert_int_equal(host_read(b->cgroup, "/proc", "/sys", &host), 0);
        assert_int_equal(leases_open(b->run, host.boot_id, false, &l), 0);
        return l;
}

/* As of a guard that died, and its helper with it. */
static void leave_frozen(const Bed *b, const char *cgroup) {
        Lease x = { .cgroup_id = id_of(b, cgroup), .kind = LEASE_FREEZE, .until = 1, .end = 1 };
        Leases *l = open_leases(b);

        (void)snprintf(x.path, sizeof(x.path), "%s", cgroup);
        assert_int_equal(leases_put(l, &x), 0);
        leases_free(l);
        put_freeze(b, cgroup, "1\n");
}

static bool on_file(const Bed *b, const char *cgroup) {
        Leases *l = open_leases(b);
        bool there = leases_find(l, id_of(b, cgroup), LEASE_FREEZE, no_knob);

        leases_free(l);
        return there;
}

static void on_done(void *user, uint64_t id, ThawNews news, int error) {
        (void)id;
        (void)error;
        *(ThawNews *)user = news;
}

/* Somebody paused it in the middle of our pulse, which the guard's helper saw, and the guard no more. */
static void take_over(const Bed *b, const char *cgroup) {
        usec_t end = clock_monotonic() + BED_WAIT;
        ThawNews news = _THAW_NEWS_MAX;
        _cleanup_fd_ int fd = -1;
        char path[512];
        Thaw *t;

        (void)snprintf(path, sizeof(path), "%s%s", b->cgroup, cgroup);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        put_freeze(b, cgroup, "0\n");
        assert_int_equal(thaw_new(b->run, on_done, &news, &t), 0);
        assert_int_equal(thaw_begin(t, fd, id_of(b, cgroup), LONG), 0);
        while (news != THAW_TAKEN) {
                assert_true(clock_monotonic() < end);
                if (news == THAW_FROZEN)
                        put_freeze(b, cgroup, "1\n");
                (void)thaw_dispatch(t, clock_monotonic());
                (void)usleep(1000);
        }
        thaw_free(t);
        assert_true(is_frozen(b, cgroup));
}

static int thaw_alone(const Bed *b) {
        const GuardConfig config = { .cgroup_root = b->cgroup, .run_dir = b->run };

        return unlease_alone(&config, true);
}

/* ---- tests ---- */

/* Its helper is killed: the lease stands until the next one has thawed. */
static void test_helper_dies(void **state) {
        Bed *b = *state;
        char web[256];
        Target *t;

        container(b, web);
        bed_start(b, OBSERVE);
        t = freeze(b, web);
        assert_int_equal(kill(thaw_pid(b->g->judging->thaw), SIGKILL), 0);
        while (is_frozen(b, web)) {
                assert_true(on_file(b, web));
                assert_true(sd_event_run(b->g->event, 1000) >= 0);
        }
        BED_UNTIL(b, !leasing_frozen(b->g, t));
        assert_false(on_file(b, web));
        assert_int_equal(t->n_leases, 0);
        assert_int_equal(bed_events(b, "thaw", "runs again", NULL), 1);
}

/* Neither the next helper nor the guard can thaw it: the lease stands, and each beat tries again. */
static void test_cannot_thaw(void **state) {
        Bed *b = *state;
        char web[256];

        container(b, web);
        bed_start(b, OBSERVE);
        for (unsigned by_hand = 0; by_hand < 2; by_hand++) {
                Target *t = freeze(b, web);

                block_freeze(b, web);
                assert_int_equal(kill(thaw_pid(b->g->judging->thaw), SIGKILL), 0);
                BED_UNTIL(b, t->thaw_failed);
                assert_int_equal(bed_events(b, "thaw", "could not be thawed", NULL), by_hand + 1);
                beat(b);
                assert_true(leasing_thaw(b->g, t) < 0);
                assert_int_equal(leasing_release(b->g, t, LEVER_FREEZE, true), 0);
                assert_int_equal(leasing_freeze(b->g, t, LONG, true, "test"), -EALREADY);
                assert_true(on_file(b, web));
                assert_int_equal(bed_events(b, "thaw", "could not be thawed", NULL), by_hand + 1);

                put_freeze(b, web, "1\n");
                if (by_hand)
                        assert_int_equal(leasing_release(b->g, t, LEVER_FREEZE, true), 1);
                else
                        beat(b);
                assert_false(is_frozen(b, web));
                assert_false(on_file(b, web));
                assert_int_equal(t->n_leases, 0);
                assert_int_equal(bed_events(b, "thaw", "runs again", NULL), 1);
        }
}

/* The guard after: it thaws by the lease, and goes on trying. */
static void test_adopt(void **state) {
        Bed *b = *state;
        char web[256];
        Target *t;

        container(b, web);
        leave_frozen(b, web);
        bed_start(b, OBSERVE);
        assert_false(is_frozen(b, web));
        assert_false(on_file(b, web));
        bed_stop(b);

        leave_frozen(b, web);
        block_freeze(b, web);
        bed_start(b, OBSERVE);
        t = bed_target(b, web);
        assert_true(t->thaw_failed);
        beat(b);
        assert_true(on_file(b, web));
        put_freeze(b, web, "1\n");
        beat(b);
        assert_false(is_frozen(b, web));
        assert_false(on_file(b, web));
        assert_int_equal(t->n_leases, 0);
}

/* The same by bailiffd --thaw, which is what runs when the unit stops. */
static void test_alone(void **state) {
        Bed *b = *state;
        char web[256];

        container(b, web);
        leave_frozen(b, web);
        block_freeze(b, web);
        assert_int_equal(thaw_alone(b), -EIO);
        assert_true(on_file(b, web));
        put_freeze(b, web, "1\n");
        assert_int_equal(thaw_alone(b), 0);
        assert_false(is_frozen(b, web));
        assert_false(on_file(b, web));

        /* Another one by that name, which is not ours. */
        leave_frozen(b, web);
        uint64_t id = id_of(b, web);
        char path[512], away[512];
        (void)snprintf(path, sizeof(path), "%s%s", b->cgroup, web);
        (void)snprintf(away, sizeof(away), "%s/away", b->root);
        assert_int_equal(rename(path, away), 0);
        bed_mkcg(b, web);
        put_freeze(b, web, "1\n");
        assert_true(id_of(b, web) != id);
        assert_int_equal(thaw_alone(b), 0);
        assert_true(is_frozen(b, web));
}

/* An engine's pause that took over our pulse is not undone, whoever comes first after a guard that died before it heard of it. */
static void test_taken_over(void **state) {
        Bed *b = *state;
        char web[256];

        container(b, web);
        take_over(b, web);
        leave_frozen(b, web);
        assert_int_equal(thaw_alone(b), 0);
        assert_true(is_frozen(b, web));
        assert_false(on_file(b, web));

        leave_frozen(b, web);
        bed_start(b, OBSERVE);
        assert_true(is_frozen(b, web));
        assert_false(on_file(b, web));
        assert_false(leasing_frozen(b->g, bed_target(b, web)));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_helper_dies, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_cannot_thaw, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_adopt, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_alone, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_taken_over, bed_setup, bed_teardown),
        };

        return geteuid() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
