/* SPDX-License-Identifier: Apache-2.0 */

/* Asking the exporter: answers of a process that says what it is told to, whatever that is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "exporter-client.h"
#include "fdio.h"

static char dir[] = "/tmp/test-exporter-client-XXXXXX", path[64];

/* Answers one connection, and says with its status whether the request was the one that is expected. */
static pid_t serve_once(const char *request, const char *answer) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t pid;

        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
        (void)unlink(path);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 1), 0);
        pid = fork();
        if (pid == 0) {
                char got[512];
                ssize_t n;
                int c;

                (void)alarm(60); /* nobody asks: the test failed */
                c = accept(fd, NULL, NULL);
                n = read(c, got, sizeof(got) - 1);

                got[n > 0 ? n : 0] = '\0';
                (void)fd_write_all(c, answer, strlen(answer));
                _exit(!STR_EQ(got, request));
        }
        (void)close(fd);
        return pid;
}

static void test_answers(void **state) {
        static const struct {
                const char *answer;
                int status;
                const char *error;
        } rows[] = {
                { "HTTP/1.1 200 OK\r\nX: y\r\n\r\n{\"a\":1}", STATUS_DONE, NULL },
                { "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}", STATUS_DONE, NULL },
                { "HTTP/1.1 400 Bad\r\n\r\n{\"error\":\"since: no\"}", STATUS_FAILED,
                  "bailiff-exporter: since: no" },
                { "HTTP/1.1 503 X\r\n\r\n{}", STATUS_FAILED, "does not say why" },
                { "HTTP/1.1 200 OK\r\n\r\n", STATUS_FAILED, "cannot be read" },
                { "HTTP/1.1 200 OK\r\n\r\n{\"a\":", STATUS_FAILED, "cannot be read" },
                { "{\"a\":1}", STATUS_FAILED, "cannot be read" },
                { "\r\n\r\n{\"a\":1}", STATUS_FAILED, "bailiff-exporter: it refuses" },
                { "", STATUS_FAILED, "cannot be read" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                pid_t pid = serve_once("GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n", rows[i].answer);
                _cleanup_buf_ Buf error = BUF_INIT;
                json_t *j = NULL;
                int status;

                assert_int_equal(exporter_get(path, "/api", &j, &error), rows[i].status);
                assert_int_equal(j != NULL, rows[i].status == STATUS_DONE);
                if (rows[i].error && !strstr(buf_str(&error), rows[i].error))
                        fail_msg("%s: %s", rows[i].answer, buf_str(&error));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
                json_decref(j);
        }
}

static void test_nobody(void **state) {
        _cleanup_buf_ Buf error = BUF_INIT;
        json_t *j = NULL;

        (void)state;
        (void)unlink(path);
        assert_int_equal(exporter_get(path, "/", &j, &error), STATUS_UNREACHABLE);
        assert_non_null(strstr(buf_str(&error), "it does not run"));
        assert_non_null(strstr(buf_str(&error), "systemctl enable --now bailiff-exporter.socket"));
}

static int setup(void **state) {
        (void)state;
        if (!mkdtemp(dir))
                return -1;
        (void)snprintf(path, sizeof(path), "%s/socket", dir);
        return 0;
}

static int teardown(void **state) {
        (void)state;
        (void)unlink(path);
        return rmdir(dir);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_nobody),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
