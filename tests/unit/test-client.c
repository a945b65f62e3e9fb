/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asking without waiting, against a bus with a guard on it in a process of its own. An answer that is held comes when something
 * else has been asked: so it is known, whatever the machine's speed, that the one went on without the other.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus.h"
#include "client.h"
#include "screens.h"

#define PROCESSES "{\"processes\":[{\"pid\":%u}],\"padding\":\"%0*d\"}"
#define PADDING (BUS_PAGE_MAX + 1000) /* more than a page */

/* ---- the other side ---- */

typedef struct Fake {
        char status[32], processes[PADDING + 100];
        sd_bus_message *held;
        bool gone;
} Fake;

enum { HANDLE_STATUS = 1, HANDLE_PROCESSES };

static int reply_text(sd_bus_message *m, const char *text, uint64_t handle) {
        size_t len = strlen(text);
        int fd, r;

        if (STR_EQ(sd_bus_message_get_member(m), "OpenPaged"))
                return sd_bus_reply_method_return(m, "tt", handle, (uint64_t)len);
        fd = memfd_create("answer", MFD_CLOEXEC);
        r = fd >= 0 && write(fd, text, len) == (ssize_t)len ? sd_bus_reply_method_return(m, "h", fd) : -EIO;
        (void)close(fd);
        return r;
}

static int reply_page(const Fake *f, sd_bus_message *m) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint64_t handle, offset;
        uint32_t length;
        const char *text;
        int r = sd_bus_message_read(m, "ttu", &handle, &offset, &length);

        if (r < 0)
                return r;
        text = handle == HANDLE_STATUS ? f->status : f->processes;
        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', text + offset,
                                                MIN_OF((size_t)length, strlen(text) - offset));
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int processes(Fake *f, sd_bus_message *m, const char *how) {
        static const struct {
                const char *how, *error;
        } errors[] = {
                { "refused", SD_BUS_ERROR_ACCESS_DENIED }, { "absent", SD_BUS_ERROR_SERVICE_UNKNOWN },
                { "silent", SD_BUS_ERROR_NO_REPLY },       { "unknown", SD_BUS_ERROR_INVALID_ARGS },
                { "busy", BUS_ERROR_NOT_READY },
        };

        for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
                if (STR_EQ(how, errors[i].how))
                        return sd_bus_reply_method_errorf(m, errors[i].error, "no container has that name");
        f->gone = STR_EQ(how, "gone");
        if (f->gone)
                return 1;
        if (STR_EQ(how, "garbage"))
                return sd_bus_reply_method_return(m, "s", "{");
        if (!STR_EQ(how, "held"))
                return reply_text(m, f->processes, HANDLE_PROCESSES);
        sd_bus_message_unref(f->held);
        f->held = sd_bus_message_ref(m);
        return 1;
}

static int on_message(sd_bus_message *m, void *user, sd_bus_error *e) {
        const char *method = sd_bus_message_get_member(m), *argument = "";
        Fake *f = user;
        int r = 0;

        (void)e;
        if (!method)
                return 0;
        if (STR_EQ(method, "Hello"))
                return sd_bus_reply_method_return(m, "s", ":1.7");
        if (STR_EQ(method, "ReadPaged"))
                return reply_page(f, m);
        if (STR_EQ(method, "OpenPaged"))
                r = sd_bus_message_read(m, "ss", &method, &argument);
        else if (STR_EQ(method, "GetProcesses"))
                r = sd_bus_message_read(m, "s", &argument);
        if (r < 0)
                return r;
        if (STR_EQ(method, "GetProcesses"))
                return processes(f, m, argument);
        r = reply_text(m, f->status, HANDLE_STATUS);
        if (r >= 0 && f->held) {
                r = reply_text(f->held, f->processes, HANDLE_PROCESSES);
                f->held = sd_bus_message_unref(f->held);
        }
        return r;
}

/* Until who asks goes. */
static void serve(int listening, bool fds) {
        const sd_id128_t id = SD_ID128_MAKE(01, 23, 45, 67, 89, ab, cd, ef, 01, 23, 45, 67, 89, ab, cd, ef);
        static Fake f;
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r = 0;
        sd_bus *bus = NULL;

        (void)snprintf(f.status, sizeof(f.status), "{\"host\":{}}");
        (void)snprintf(f.processes, sizeof(f.processes), PROCESSES, 1501U, (int)PADDING, 0);
        if (fd < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
            sd_bus_set_server(bus, true, id) < 0 || sd_bus_set_anonymous(bus, true) < 0 ||
            sd_bus_negotiate_fds(bus, fds) < 0 || sd_bus_add_filter(bus, NULL, on_message, &f) < 0 ||
            sd_bus_start(bus) < 0)
                _exit(1);
        while (r >= 0 && !f.gone) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        (void)sd_bus_flush(bus);
        _exit(0);
}

typedef struct Bus {
        char directory[32], path[48], address[64];
        pid_t pid;
        Client *client;
} Bus;

static void bus_open(Bus *b, bool fds) {
        struct sockaddr_un at = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(b->directory, sizeof(b->directory), "/tmp/test-client-XXXXXX");
        assert_non_null(mkdtemp(b->directory));
        (void)snprintf(b->path, sizeof(b->path), "%s/bus", b->directory);
        (void)snprintf(b->address, sizeof(b->address), "unix:path=%s", b->path);
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", b->path);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", b->address, 1), 0);
        b->pid = fork();
        assert_true(b->pid >= 0);
        if (b->pid == 0)
                serve(fd, fds);
        (void)close(fd);
        b->client = client_new(NULL);
        assert_non_null(b->client);
}

static void bus_close(Bus *b) {
        int status;

        b->client = client_free(b->client);
        assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        (void)unlink(b->path);
        (void)rmdir(b->directory);
}

/* ---- this side ---- */

static int answer(Client *c, json_t **ret) {
        int r;

        while (!client_answered(c, &r, ret)) /* the test's own time limit ends it */
                (void)usleep(1000);
        return r;
}

static void get_status(Client *c) {
        json_t *o = NULL;

        assert_int_equal(client_get(c, "GetStatus", NULL, &o), STATUS_DONE);
        assert_true(json_has(o, "host"));
        json_decref(o);
}

static void has_pid(json_t *o) {
        assert_int_equal(json_number(json_array_get(json_member(o, "processes"), 0), "pid"), 1501);
        json_decref(o);
}

static void test_meanwhile(void **state) {
        (void)state;
        for (int fds = 0; fds < 2; fds++) {
                json_t *o = NULL;
                Bus b;
                int r;

                bus_open(&b, fds);
                assert_false(client_answered(b.client, &r, &o)); /* nothing was asked */
                assert_int_equal(client_ask(b.client, "GetProcesses", "held"), STATUS_DONE);
                for (int i = 0; i < 3; i++)
                        assert_false(client_answered(b.client, &r, &o));
                get_status(b.client);
                assert_int_equal(answer(b.client, &o), STATUS_DONE);
                has_pid(o);
                assert_false(client_answered(b.client, &r, &o)); /* once */

                /* What is forgotten, or asked again, is not answered. */
                assert_int_equal(client_ask(b.client, "GetProcesses", "held"), STATUS_DONE);
                client_forget(b.client);
                get_status(b.client);
                assert_false(client_answered(b.client, &r, &o));
                assert_int_equal(client_ask(b.client, "GetProcesses", "held"), STATUS_DONE);
                assert_int_equal(client_ask(b.client, "GetProcesses", "unknown"), STATUS_DONE);
                get_status(b.client);
                assert_int_equal(answer(b.client, &o), STATUS_FAILED);
                /* And the end of it does no harm with a question under way. */
                assert_int_equal(client_ask(b.client, "GetProcesses", "held"), STATUS_DONE);
                bus_close(&b);
        }
}

static void test_errors(void **state) {
        static const struct {
                const char *how;
                int status;
                const char *part;
        } rows[] = {
                { "refused", STATUS_REFUSED, "access denied" },
                { "absent", STATUS_UNREACHABLE, "it is not running" },
                { "silent", STATUS_UNREACHABLE, "it went away before it answered" },
                { "unknown", STATUS_FAILED, "no container has that name" },
                { "busy", STATUS_FAILED, "no container has that name" },
                { "garbage", STATUS_FAILED, "the answer to GetProcesses cannot be read" },
                { "gone", STATUS_UNREACHABLE, "it went away before it answered" },
        };

        (void)state;
        for (int fds = 0; fds < 2; fds++)
                for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                        json_t *o = NULL;
                        Bus b;
                        int r;

                        bus_open(&b, fds);
                        client_set_patience(b.client, 20 * USEC_PER_SEC);
                        assert_int_equal(client_ask(b.client, "GetProcesses", rows[i].how), STATUS_DONE);
                        r = answer(b.client, &o);
                        print_message("%s: %s\n", rows[i].how, client_error(b.client));
                        assert_int_equal(r, rows[i].status);
                        assert_null(o);
                        assert_int_equal(client_not_ready(b.client), STR_EQ(rows[i].how, "busy"));
                        assert_non_null(strstr(client_error(b.client), rows[i].part));
                        assert_false(client_answered(b.client, &r, &o));
                        bus_close(&b);
                }
}

/* The connection goes in the middle of another call: the question goes with it. */
static void test_lost(void **state) {
        json_t *o = NULL;
        Bus b;
        int r;

        (void)state;
        bus_open(&b, true);
        client_set_patience(b.client, USEC_PER_SEC);
        assert_int_equal(client_get(b.client, "GetProcesses", "held", &o), STATUS_UNREACHABLE);
        assert_non_null(strstr(client_error(b.client), "did not answer within 1 s"));
        client_set_patience(b.client, 20 * USEC_PER_SEC);
        assert_int_equal(client_ask(b.client, "GetProcesses", "held"), STATUS_DONE);
        assert_int_equal(client_get(b.client, "GetProcesses", "gone", &o), STATUS_UNREACHABLE);
        assert_int_equal(answer(b.client, &o), STATUS_UNREACHABLE);
        assert_null(o);
        assert_false(client_answered(b.client, &r, &o));
        /* There is nobody to connect to. */
        assert_int_equal(client_ask(b.client, "GetProcesses", "held"), STATUS_UNREACHABLE);
        assert_false(client_answered(b.client, &r, &o));
        bus_close(&b);
}

static void test_arguments(void **state) {
        json_t *o = NULL;
        Bus b;
        int r;

        (void)state;
        bus_open(&b, true);
        assert_int_equal(client_ask(b.client, "GetProcesses", "/x/\xff"), STATUS_FAILED);
        assert_non_null(strstr(client_error(b.client), "UTF-8"));
        assert_false(client_answered(b.client, &r, &o));
        get_status(b.client);
        bus_close(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_meanwhile),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_lost),
                cmocka_unit_test(test_arguments),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
