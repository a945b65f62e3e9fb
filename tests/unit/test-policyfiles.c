/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "buf.h"
#include "policyfiles.h"

typedef struct Dirs {
        char root[64];
        char path[3][96]; /* etc, run, usr */
} Dirs;

static void put(const char *dir, const char *name, const char *text) {
        char path[256];
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
        static Dirs d;
        static const char *const names[] = { "etc", "run", "usr" };

        (void)snprintf(d.root, sizeof(d.root), "/tmp/bailiff-policyfiles.XXXXXX");
        assert_non_null(mkdtemp(d.root));
        for (size_t i = 0; i < 3; i++) {
                (void)snprintf(d.path[i], sizeof(d.path[i]), "%s/%s", d.root, names[i]);
                assert_int_equal(mkdir(d.path[i], 0755), 0);
        }
        *state = &d;
        return 0;
}

static int teardown(void **state) {
        Dirs *d = *state;
        char command[128];

        (void)snprintf(command, sizeof(command), "rm -rf %s", d->root);
        return system(command);
}

static char *names_of(const PolicyFiles *f) {
        Buf b = BUF_INIT;

        for (size_t i = 0; i < f->n; i++)
                buf_printf(&b, "%s%s", i ? " " : "", strrchr(f->texts[i].file, '/') + 1);
        return buf_steal(&b);
}

static void read_dirs(const Dirs *d, PolicyFiles *f, Diags *diags) {
        const char *list[] = { d->path[0], d->path[1], d->path[2], NULL };

        assert_int_equal(policy_files_read(list, f, diags), 0);
}

static void test_order_and_precedence(void **state) {
        const Dirs *d = *state;
        _cleanup_(policy_files_deinit) PolicyFiles f = {};
        _cleanup_(diags_deinit) Diags diags = {};
        _cleanup_free_ char *names = NULL;
        char path[256];

        put(d->path[2], "00-default.ini", "usr");
        put(d->path[2], "50-site.ini", "usr");
        put(d->path[2], "60-masked.ini", "usr");
        put(d->path[0], "50-site.ini", "etc");
        put(d->path[1], "40-run.ini", "run");
        put(d->path[1], "50-site.ini", "run");
        put(d->path[0], ".hidden.ini", "x");
        put(d->path[0], "70-backup.ini~", "x");
        put(d->path[0], "README", "x");
        put(d->path[0], ".ini", "x");
        (void)snprintf(path, sizeof(path), "%s/60-masked.ini", d->path[0]);
        assert_int_equal(symlink("/dev/null", path), 0);

        read_dirs(d, &f, &diags);
        assert_false(diags_failed(&diags));
        names = names_of(&f);
        assert_string_equal(names, "00-default.ini 40-run.ini 50-site.ini");
        assert_string_equal(f.texts[2].text, "etc"); /* the most important directory wins */
        assert_int_equal(f.texts[2].len, 3);
}

static void test_links_and_trouble(void **state) {
        const Dirs *d = *state;
        _cleanup_(policy_files_deinit) PolicyFiles f = {};
        _cleanup_(diags_deinit) Diags diags = {};
        _cleanup_buf_ Buf report = BUF_INIT;
        char path[256], target[256];

        put(d->root, "real", "[Host]\n");
        (void)snprintf(target, sizeof(target), "%s/real", d->root);
        (void)snprintf(path, sizeof(path), "%s/10-link.ini", d->path[0]);
        assert_int_equal(symlink(target, path), 0); /* a configuration manager's link */
        (void)snprintf(path, sizeof(path), "%s/20-dangling.ini", d->path[0]);
        assert_int_equal(symlink("/nonexistent/x", path), 0);
        (void)snprintf(path, sizeof(path), "%s/30-fifo.ini", d->path[0]);
        assert_int_equal(mkfifo(path, 0600), 0);
        (void)snprintf(path, sizeof(path), "%s/40-huge.ini", d->path[0]);
        put(d->path[0], "40-huge.ini", "");
        assert_int_equal(truncate(path, POLICY_FILE_MAX + 1), 0);

        read_dirs(d, &f, &diags);
        assert_int_equal(f.n, 1);
        assert_string_equal(f.texts[0].text, "[Host]\n");
        assert_int_equal(diags.n_errors, 3); /* all of them, in one go */
        assert_int_equal(diags_format(&diags, &report), 0);
        assert_non_null(strstr(buf_str(&report), "20-dangling.ini: cannot be read"));
        assert_non_null(strstr(buf_str(&report), "30-fifo.ini: is no regular file"));
        assert_non_null(strstr(buf_str(&report), "40-huge.ini: is larger than 1 MiB"));
}

static void test_missing_directories(void **state) {
        const char *none[] = { "/nonexistent/a", "/nonexistent/b", NULL };
        _cleanup_(policy_files_deinit) PolicyFiles f = {};
        _cleanup_(diags_deinit) Diags diags = {};

        (void)state;
        assert_int_equal(policy_files_read(none, &f, &diags), 0);
        assert_int_equal(f.n, 0);
        assert_false(diags_failed(&diags));
}

static void test_write_and_read_back(void **state) {
        const Dirs *d = *state;
        _cleanup_(diags_deinit) Diags diags = {};
        char dir[128];

        (void)snprintf(dir, sizeof(dir), "%s/last-good", d->root);
        put(d->path[0], "90-z.ini", "one");
        put(d->path[2], "10-a.ini", "two");
        for (int round = 0; round < 3; round++) {
                _cleanup_(policy_files_deinit) PolicyFiles f = {}, back = {};
                _cleanup_free_ char *names = NULL;
                const char *list[] = { dir, NULL };

                if (round == 2) { /* from the copy itself: no second prefix */
                        assert_int_equal(policy_files_read(list, &f, &diags), 0);
                } else
                        read_dirs(d, &f, &diags);
                assert_int_equal(policy_files_write(dir, &f), 0);
                assert_int_equal(policy_files_read(list, &back, &diags), 0);
                names = names_of(&back);
                assert_string_equal(names, "0000-10-a.ini 0001-90-z.ini");
                assert_string_equal(back.texts[1].text, "one");
        }
        assert_false(diags_failed(&diags));
        /* A smaller set leaves nothing of the larger one. */
        {
                _cleanup_(policy_files_deinit) PolicyFiles f = {}, back = {};
                const char *one[] = { NULL, NULL }, *list[] = { dir, NULL };
                char path[256];

                (void)snprintf(path, sizeof(path), "%s/90-z.ini", d->path[0]);
                one[0] = path;
                assert_int_equal(policy_files_read_list(one, &f, &diags), 0);
                assert_int_equal(policy_files_write(dir, &f), 0);
                assert_int_equal(policy_files_read(list, &back, &diags), 0);
                assert_int_equal(back.n, 1);
        }
}

static void test_write_refused(void **state) {
        PolicyText text = { .file = "/x/a.ini", .text = "x", .len = 1 };
        PolicyFiles f = { .texts = &text, .n = 1 };

        (void)state;
        assert_int_equal(policy_files_write("/nonexistent/dir/last-good", &f), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_order_and_precedence, setup, teardown),
                cmocka_unit_test_setup_teardown(test_links_and_trouble, setup, teardown),
                cmocka_unit_test(test_missing_directories),
                cmocka_unit_test_setup_teardown(test_write_and_read_back, setup, teardown),
                cmocka_unit_test(test_write_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
