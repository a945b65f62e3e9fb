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

typedef struct Exchange {
        const char *request, *answer; /* request NULL: the last one was before */
} Exchange;

/* Answers connections, and says with its status whether the requests were those that are expected. */
static pid_t serve_these(const Exchange *e) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t pid;

        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
        (void)unlink(path);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 1), 0);
        pid = fork();
        if (pid == 0) {
                bool good = true;

                (void)alarm(60); /* nobody asks: the test failed */
                for (; e->request; e++) {
                        int c = accept(fd, NULL, NULL);
                        char got[512];
                        ssize_t n = read(c, got, sizeof(got) - 1);

                        got[n > 0 ? n : 0] = '\0';
                        if (!STR_EQ(got, e->request))
                                (void)fprintf(stderr, "got %swanted %s", got, e->request);
                        good &= STR_EQ(got, e->request);
                        (void)fd_write_all(c, e->answer, strlen(e->answer));
                        (void)close(c);
                }
                _exit(!good);
        }
        (void)close(fd);
        return pid;
}

static pid_t serve_once(const char *request, const char *answer) {
        const Exchange e[] = { { request, answer }, {} };

        return serve_these(e);
}

static void was_asked(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
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

#define ASKED(path) "GET /api/v1/" path " HTTP/1.0\r\nHost: localhost\r\n\r\n"
#define OK "HTTP/1.0 200 OK\r\n\r\n"
#define INCIDENT                                                                \
        "{\"id\":7,\"opened\":50000000,\"closed\":90000000,\"container\":\"we " \
        "b\",\"tenant\":\"acme\",\"cgroup\":\"/c\"}"

/* As the guard answers; of events of the same number those of another guard's incident are left out. */
static void test_why(void **state) {
        static const char events[] = OK "{\"events\":[{\"id\":1,\"time\":1000000,\"incident\":7},"
                                        "{\"id\":2,\"time\":60000000,\"incident\":7},"
                                        "{\"id\":3,\"time\":900000000,\"incident\":7}]}";
        static const char none[] = OK "{\"incidents\":[]}", one[] = OK "{\"incidents\":[" INCIDENT "]}";
        static const struct {
                const char *what;
                Exchange exchanges[4];
                const char *kind, *name; /* NULL: nothing is kept */
        } rows[] = {
                { "#7",
                  { { ASKED("incidents?since=10y&max=1&incident=7"), one },
                    { ASKED("events?since=10y&max=1000&incident=7"), events } },
                  "incident",
                  "we b" },
                { "#9", { { ASKED("incidents?since=10y&max=1&incident=9"), none } }, NULL, NULL },
                { "we b",
                  { { ASKED("incidents?since=10y&max=5&container=we%20b"), one },
                    { ASKED("events?since=10y&max=1000&incident=7"), events } },
                  "container",
                  "we b" },
                { "acme",
                  { { ASKED("incidents?since=10y&max=5&container=acme"), none },
                    { ASKED("incidents?since=10y&max=5&tenant=acme"), one },
                    { ASKED("events?since=10y&max=1000&incident=7"), events } },
                  "tenant",
                  "acme" },
                { "tenant:acme",
                  { { ASKED("incidents?since=10y&max=5&tenant=acme"), one },
                    { ASKED("events?since=10y&max=1000&incident=7"), events } },
                  "tenant",
                  "acme" },
                { "container:x&y",
                  { { ASKED("incidents?since=10y&max=5&container=x%26y"), none } },
                  NULL,
                  NULL },
                { "x",
                  { { ASKED("incidents?since=10y&max=5&container=x"), OK "{\"incidents\":5}" } },
                  NULL,
                  NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                pid_t pid = serve_these(rows[i].exchanges);
                _cleanup_buf_ Buf error = BUF_INIT;
                const json_t *subject, *list;
                json_t *j = NULL;
                int r = exporter_get_why(path, rows[i].what, 100, &j, &error);

                was_asked(pid);
                assert_int_equal(r, rows[i].kind ? STATUS_DONE : STATUS_FAILED);
                assert_int_equal(j != NULL, rows[i].kind != NULL);
                if (!rows[i].kind) {
                        assert_true(error.len > 0);
                        continue;
                }
                subject = json_object_get(j, "subject");
                assert_string_equal(json_string_value(json_object_get(subject, "kind")), rows[i].kind);
                assert_string_equal(json_string_value(json_object_get(subject, "name")), rows[i].name);
                assert_string_equal(json_string_value(json_object_get(j, "what")), rows[i].what);
                assert_true(json_is_null(json_object_get(j, "now")));
                assert_int_equal(json_array_size(json_object_get(j, "incidents")), 1);
                list = json_object_get(j, "events");
                assert_int_equal(json_array_size(list), 1);
                assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "id")), 2);
                json_decref(j);
        }
}

static void test_events(void **state) {
        static const struct {
                const char *events, *kept, *together;
        } rows[] = {
                { "[]", "[]", "[]" },
                { "[]", "[{\"time\":1},{\"time\":2}]", "[{\"time\":1},{\"time\":2}]" },
                { "[{\"time\":5}]", "[]", "[{\"time\":5}]" },
                { "[{\"time\":5},{\"time\":6}]", "[{\"time\":3},{\"time\":4},{\"time\":5},{\"time\":6}]",
                  "[{\"time\":3},{\"time\":4},{\"time\":5},{\"time\":6}]" },
        };
        _cleanup_buf_ Buf error = BUF_INIT;
        json_t *j = NULL;
        pid_t pid;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *events = json_loads(rows[i].events, 0, NULL),
                       *kept = json_loads(rows[i].kept, 0, NULL),
                       *together = json_loads(rows[i].together, 0, NULL);

                exporter_join_events(events, kept);
                assert_true(json_equal(events, together));
                json_decref(events);
                json_decref(kept);
                json_decref(together);
        }
        pid = serve_once(ASKED("events?since=604800s&max=10000"), OK "{\"events\":[]}");
        assert_int_equal(exporter_get_events(path, 7 * 86400 * USEC_PER_SEC, 0, &j, &error), STATUS_DONE);
        was_asked(pid);
        json_decref(j);
        pid = serve_once(ASKED("events?since=1s&max=20"), OK "{\"events\":[]}");
        assert_int_equal(exporter_get_events(path, 5, 20, &j, &error), STATUS_DONE);
        was_asked(pid);
        json_decref(j);
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
                cmocka_unit_test(test_why),
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_nobody),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
