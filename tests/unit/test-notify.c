/* SPDX-License-Identifier: Apache-2.0 */

/* Hooks for incidents: what is news, which files are hooks, and that none outlives its deadline. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "notify.h"

/* ---- news ---- */

static void note(void *user, const json_t *incident, const char *state) {
        buf_printf(user, "%lld%c ", (long long)json_integer_value(json_object_get(incident, "id")),
                   state[0] == 'o' ? '+' : '-');
}

static void test_news(void **state) {
        static const struct {
                const char *incidents, *news;
        } looks[] = {
                { "[{\"id\":2,\"closed\":null},{\"id\":1,\"closed\":9}]",
                  "" }, /* what is there at first is no news */
                { "[{\"id\":2,\"closed\":null},{\"id\":1,\"closed\":9}]", "" },
                { "[{\"id\":3,\"closed\":null},{\"id\":2,\"closed\":8},{\"id\":1,\"closed\":9}]", "2- 3+ " },
                /* came and went between two looks; came again; dropped from the list */
                { "[{\"id\":4,\"closed\":7},{\"id\":3,\"closed\":null},{\"id\":2}]", "2+ 4+ 4- " },
                { "[]", "" }, /* a new guard */
                { "[{\"id\":1004,\"closed\":null}]", "1004+ " },
                /* hostile */
                { "[{\"id\":0},{},7,null,{\"id\":\"x\"},{\"id\":1004,\"closed\":null},{\"id\":1004,"
                  "\"closed\":1}]",
                  "1004- " },
                { "{\"id\":5}", "" },
        };
        NotifyKnown known = {};

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
                json_t *j = json_loads(looks[i].incidents, 0, NULL);
                _cleanup_buf_ Buf b = BUF_INIT;

                assert_non_null(j);
                assert_int_equal(notify_look(&known, j, note, &b), 0);
                if (!STR_EQ(buf_str(&b), looks[i].news))
                        fail_msg("look %zu: %s", i, buf_str(&b));
                json_decref(j);
        }
        notify_known_deinit(&known);
}

/* ---- hooks ---- */

static char dir[64];

static int set_up(void **state) {
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/tmp/bailiff-test-XXXXXX");
        return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state) {
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof(command), "rm -r %s", dir);
        return system(command);
}

static void put(const char *name, const char *script, mode_t mode) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
        assert_true(fd >= 0);
        assert_true(fd_write_all(fd, script, strlen(script)) >= 0);
        assert_int_equal(fchmod(fd, mode), 0);
        fd_close(fd);
}

static char *got(const char *name) {
        char path[128];
        char *text = NULL;
        size_t len;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        return fd_read_regular_at(AT_FDCWD, path, 4096, &text, &len, NULL, NULL) >= 0 ? text : NULL;
}

static int run(usec_t deadline) {
        const NotifyHooks h = { .dir = dir, .owner = getuid(), .deadline = deadline };
        json_t *o = json_pack("{s:i, s:s}", "id", 17, "text", "web (acme) hurts db (beta)");
        int r = notify_run(&h, o, "opened");

        json_decref(o);
        return r;
}

#define PLENTY (50 * USEC_PER_SEC)

static void test_hook(void **state) {
        _cleanup_free_ char *said = NULL, *order = NULL;

        (void)state;
        put("20-b", "#!/bin/sh\necho b >>${0%/*}/order.txt\n", 0755);
        put("10-a",
            "#!/bin/sh\necho a >>${0%/*}/order.txt\n(echo \"$1 $BAILIFF_INCIDENT_STATE "
            "$BAILIFF_INCIDENT_ID\"; cat) "
            ">${0%/*}/said.txt\n",
            0700);
        put("30-c", "#!/bin/sh\nexit 3\n", 0755);
        assert_int_equal(run(PLENTY), 2);
        said = got("said.txt");
        order = got("order.txt");
        assert_non_null(said);
        assert_string_equal(said, "opened opened 17\n{\"id\":17,\"text\":\"web (acme) hurts db (beta)\"}\n");
        assert_non_null(order);
        assert_string_equal(order, "a\nb\n");
}

static void test_no_hooks(void **state) {
        static const struct {
                const char *name;
                mode_t mode;
        } files[] = {
                { "README", 0644 }, /* not executable */
                { "mail.dpkg-old", 0755 }, { "mail~", 0755 },
                { ".hidden", 0755 },       { "by-group", 0775 }, /* others could have written these */
                { "by-all", 0757 },
        };
        _cleanup_free_ char *ran = NULL;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                put(files[i].name, "#!/bin/sh\necho $0 >>${0%/*}/ran.txt\n", files[i].mode);
        assert_int_equal(run(PLENTY), 0);
        ran = got("ran.txt");
        assert_null(ran);
}

static void test_untrusted_dir(void **state) {
        const NotifyHooks none = { .dir = "/tmp/bailiff-test-is-not-there",
                                   .owner = getuid(),
                                   .deadline = PLENTY },
                          others = { .dir = dir, .owner = getuid() + 1, .deadline = PLENTY };
        json_t *o = json_object();

        (void)state;
        put("a", "#!/bin/sh\n", 0755);
        assert_int_equal(notify_run(&none, o, "opened"), 0);
        assert_int_equal(notify_run(&others, o, "opened"), -EPERM);
        assert_int_equal(chmod(dir, 0777), 0);
        assert_int_equal(run(PLENTY), -EPERM);
        assert_int_equal(chmod(dir, 0755), 0);
        assert_int_equal(run(PLENTY), 1);
        json_decref(o);
}

/* It ends, and with it what it waits for: else the pipe to the test's runner would stay open. */
static void test_deadline(void **state) {
        (void)state;
        put("10-never-ends", "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 100000\n", 0755);
        assert_int_equal(run(USEC_PER_SEC), 0);
}

static void test_failing(void **state) {
        (void)state;
        put("10-cannot-run", "#!/nonexistent/interpreter\n", 0755);
        put("20-dies", "#!/bin/sh\nkill -9 $$\n", 0755);
        put("30-goes-on", "#!/bin/sh\nexit 0\n", 0755);
        assert_int_equal(run(PLENTY), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_news),
                cmocka_unit_test_setup_teardown(test_hook, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_hooks, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_untrusted_dir, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_failing, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
