/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The D-Bus side of bailiffctl.
 *
 * Bulk answers come as a memfd. Over ssh no fd can travel (though sshd's socket
 * pair makes the bus believe so), nor on a bus that did not negotiate it: there the
 * same answer is fetched in pages.
 *
 * No call starts the guard: an administrator who stopped it and then looks at
 * its status does not want it back. So a missing name is "not running", said with
 * how to start it. What a refusal means (which user, which group) only this
 * side can say, because the bus daemon answers it, not the guard.
 */

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "bus.h"
#include "client.h"
#include "clock.h"
#include "fdio.h"

#define ANSWER_MAX (256U * 1024 * 1024)
#define CALL_TIMEOUT (25 * USEC_PER_SEC) /* until client_set_patience() */

struct Client {
        char *host;
        sd_bus *bus;
        bool paged;
        bool watching; /* ActionTaken is matched on this connection */
        bool seen;
        bool not_ready; /* the last call: BUS_ERROR_NOT_READY */
        usec_t patience;
        usec_t began, waited; /* the last call, and how long it would have waited */
        struct {
                const char *method; /* NULL: nothing is asked */
                sd_bus_slot *slot; /* NULL: with the connection it is lost */
                sd_bus_message *reply;
                usec_t began;
        } asked;
        Buf error;
};

Client *client_new(const char *host) {
        Client *c = calloc(1, sizeof(*c));

        if (c && host && !(c->host = strdup(host))) {
                free(c);
                return NULL;
        }
        if (c)
                c->patience = CALL_TIMEOUT;
        return c;
}

void client_set_patience(Client *c, usec_t timeout) { c->patience = timeout; }

Client *client_free(Client *c) {
        if (!c)
                return NULL;
        client_forget(c);
        sd_bus_close_unref(c->bus);
        free(c->host);
        buf_deinit(&c->error);
        free(c);
        return NULL;
}

const char *client_error(const Client *c) { return c->error.len > 0 ? buf_str(&c->error) : "out of memory"; }

bool client_not_ready(const Client *c) { return c->not_ready; }

static int fail(Client *c, int status, const char *format, ...) _printf_(3, 4);
static int fail(Client *c, int status, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        c->not_ready = false;
        buf_deinit(&c->error);
        buf_puts(&c->error, text ? text : "out of memory");
        return status;
}

/* ---- what went wrong ---- */

static int fail_unreachable(Client *c, const char *why) {
        if (c->host)
                return fail(c, STATUS_UNREACHABLE,
                            "cannot reach bailiffd on %s: %s\n"
                            "It needs ssh, systemd-stdio-bridge there and a running guard: ssh %s systemctl "
                            "status "
                            "bailiffd.service",
                            c->host, why, c->host);
        return fail(c, STATUS_UNREACHABLE,
                    "cannot reach bailiffd: %s\n"
                    "Start it with: systemctl start bailiffd.service; why it stopped: journalctl -u "
                    "bailiffd.service",
                    why);
}

static int fail_refused(Client *c, bool changing) {
        if (c->host)
                return fail(
                        c, STATUS_REFUSED,
                        changing ? "access denied on %s: only root may change anything; use -H root@…"
                                 : "access denied on %s: reading needs root or a user in group bailiff there",
                        c->host);
        if (changing)
                return fail(c, STATUS_REFUSED,
                            "access denied: only root may change anything, and you are uid %u; use sudo",
                            getuid());
        return fail(c, STATUS_REFUSED,
                    "access denied: reading needs root or membership of group bailiff, and you are uid %u; "
                    "use sudo, "
                    "or once: adduser USER bailiff, then log in again",
                    getuid());
}

static void drop_question(Client *c) {
        c->asked.slot = sd_bus_slot_unref(c->asked.slot);
        c->asked.reply = sd_bus_message_unref(c->asked.reply);
}

static void disconnect(Client *c) {
        drop_question(c); /* it holds the connection */
        c->bus = sd_bus_close_unref(c->bus);
        c->watching = false;
}

static bool is_one_of(const char *name, const char *const *names) {
        for (; *names; names++)
                if (STR_EQ(name, *names))
                        return true;
        return false;
}

static int fail_call(Client *c, const char *method, bool changing, int r, const sd_bus_error *e) {
        static const char *const absent[] = { SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                              NULL };
        static const char *const silent[] = { SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT,
                                              "org.freedesktop.DBus.Error.TimedOut", NULL };
        static const char *const lost[] = { SD_BUS_ERROR_DISCONNECTED, SD_BUS_ERROR_NO_SERVER, NULL };
        static const char *const refused[] = { SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_AUTH_FAILED,
                                               SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, NULL };
        static const char *const older[] = { SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE,
                                             SD_BUS_ERROR_UNKNOWN_OBJECT, NULL };
        const char *name = e->name ? e->name : "", *message = e->message ? e->message : strerror(-r);

        if (is_one_of(name, absent))
                return fail_unreachable(c, "it is not running (nobody owns " BUS_NAME " on the system bus)");
        if (is_one_of(name, silent) || r == -ETIMEDOUT) {
                char why[64];

                /* The bus says so, too, of one that ended or was cut off before it answered. */
                if (clock_monotonic() - c->began < c->waited)
                        return fail_unreachable(c, "it went away before it answered");
                (void)snprintf(why, sizeof(why), "it did not answer within %llu s",
                               (unsigned long long)(c->waited / USEC_PER_SEC));
                return fail_unreachable(c, why);
        }
        if (is_one_of(name, refused))
                return fail_refused(c, changing);
        if (is_one_of(name, older))
                return fail(c, STATUS_FAILED,
                            "that bailiffd does not know %s: it is of another version than this bailiffctl",
                            method);
        if (is_one_of(name, lost) || r == -ENOTCONN || r == -ECONNRESET || r == -ESHUTDOWN || r == -EPIPE) {
                disconnect(c);
                return fail_unreachable(c, c->host ? "the connection was closed"
                                                   : "the system bus closed the connection");
        }
        (void)fail(c, STATUS_FAILED, "%s", message);
        c->not_ready = STR_EQ(name, BUS_ERROR_NOT_READY);
        return STATUS_FAILED;
}

/* ---- calls ---- */

static int connect_bus(Client *c) {
        int r;

        if (c->bus)
                return STATUS_DONE;
        r = c->host ? sd_bus_open_system_remote(&c->bus, c->host) : sd_bus_open_system(&c->bus);
        if (r == -EACCES || r == -EPERM)
                return fail_refused(c, false);
        if (r < 0)
                return fail_unreachable(c, r == -ENOENT || r == -ECONNREFUSED ? "there is no system bus"
                                                                              : strerror(-r));
        c->paged = true;
        if (c->host)
                return STATUS_DONE;
        r = sd_bus_can_send(c->bus, SD_BUS_TYPE_UNIX_FD);
        if (r < 0) {
                disconnect(c);
                return r == -EACCES || r == -EPERM ? fail_refused(c, false)
                                                   : fail_unreachable(c, strerror(-r));
        }
        c->paged = r == 0;
        return STATUS_DONE;
}

/* *ret has its arguments, and does not start the guard. */
static int new_call(Client *c, bool changing, sd_bus_message **ret, const char *method, const char *types,
                    va_list ap) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const sd_bus_error none = SD_BUS_ERROR_NULL;
        int r = connect_bus(c);

        if (r != STATUS_DONE)
                return r;
        r = sd_bus_message_new_method_call(c->bus, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE, method);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0 && *types)
                r = sd_bus_message_appendv(m, types, ap);
        if (r == -EINVAL) /* libsystemd refuses text that is not UTF-8 */
                return fail(c, STATUS_FAILED, "an argument is not valid UTF-8");
        if (r < 0)
                return fail_call(c, method, changing, r, &none);
        *ret = steal_ptr(m);
        return STATUS_DONE;
}

static int call_v(Client *c, bool changing, sd_bus_message **ret, const char *method, const char *types,
                  va_list ap) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        int r = new_call(c, changing, &m, method, types, ap);

        if (r != STATUS_DONE)
                return r;
        c->began = clock_monotonic();
        c->waited = c->patience;
        r = sd_bus_call(c->bus, m, c->patience, &e, ret);
        return r < 0 ? fail_call(c, method, changing, r, &e) : STATUS_DONE;
}

static int call(Client *c, bool changing, sd_bus_message **ret, const char *method, const char *types, ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = call_v(c, changing, ret, method, types, ap);
        va_end(ap);
        return r;
}

static int bad_answer(Client *c, const char *method) {
        return fail(c, STATUS_FAILED, "the answer to %s cannot be read: another version of bailiffd?",
                    method);
}

static int parse(Client *c, const char *method, const Buf *data, json_t **ret) {
        json_t *j = json_loadb(buf_str(data), data->len, 0, NULL);

        if (!j)
                return bad_answer(c, method);
        *ret = j;
        return STATUS_DONE;
}

/* The fd belongs to the message. */
static int read_memfd(Client *c, const char *method, sd_bus_message *reply, Buf *data) {
        char chunk[65536];
        struct stat st;
        int fd, r;

        r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0 || fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > (off_t)ANSWER_MAX)
                return bad_answer(c, method);
        while (data->len < (size_t)st.st_size) {
                ssize_t n = pread(fd, chunk, MIN_OF(sizeof(chunk), (size_t)st.st_size - data->len),
                                  (off_t)data->len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return bad_answer(c, method);
                buf_append(data, chunk, (size_t)n);
                if (buf_error(data) < 0)
                        return fail(c, STATUS_FAILED, "out of memory");
        }
        return STATUS_DONE;
}

/* What OpenPaged() answered, and then the bytes. */
static int read_opened(Client *c, bool changing, const char *method, sd_bus_message *opened, Buf *data) {
        uint64_t handle, size;

        if (sd_bus_message_read(opened, "tt", &handle, &size) < 0 || size > ANSWER_MAX)
                return bad_answer(c, method);
        while (data->len < size) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *page = NULL;
                const void *bytes;
                size_t n;
                int r = call(c, changing, &page, "ReadPaged", "ttu", handle, (uint64_t)data->len,
                             (uint32_t)BUS_PAGE_MAX);

                if (r != STATUS_DONE)
                        return r;
                if (sd_bus_message_read_array(page, 'y', &bytes, &n) < 0 || n == 0 || n > size - data->len)
                        return bad_answer(c, method);
                buf_append(data, bytes, n);
                if (buf_error(data) < 0)
                        return fail(c, STATUS_FAILED, "out of memory");
        }
        return STATUS_DONE;
}

static int read_pages(Client *c, bool changing, const char *method, const char *argument, Buf *data) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *opened = NULL;
        int r = call(c, changing, &opened, "OpenPaged", "ss", method, argument);

        return r == STATUS_DONE ? read_opened(c, changing, method, opened, data) : r;
}

/* The bytes of an answer: as a memfd, by a call with these arguments; or in pages, asked for with `argument`. */
static int fetch(Client *c, Buf *data, bool changing, const char *method, const char *argument,
                 const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r = connect_bus(c);
        va_list ap;

        if (r == STATUS_DONE && c->paged)
                return read_pages(c, changing, method, argument, data);
        if (r != STATUS_DONE)
                return r;
        va_start(ap, types);
        r = call_v(c, changing, &reply, method, types, ap);
        va_end(ap);
        return r == STATUS_DONE ? read_memfd(c, method, reply, data) : r;
}

int client_get(Client *c, const char *method, const char *argument, json_t **ret) {
        _cleanup_buf_ Buf data = BUF_INIT;
        int r = fetch(c, &data, false, method, argument ? argument : "", argument ? "s" : "", argument);

        return r == STATUS_DONE ? parse(c, method, &data, ret) : r;
}

int client_get_events(Client *c, uint64_t since, uint32_t max, json_t **ret) {
        _cleanup_buf_ Buf data = BUF_INIT;
        char argument[64];
        int r;

        (void)snprintf(argument, sizeof(argument), "%llu %u", (unsigned long long)since, max);
        r = fetch(c, &data, false, "ListEvents", argument, "tu", since, max);
        return r == STATUS_DONE ? parse(c, "ListEvents", &data, ret) : r;
}

int client_get_why(Client *c, const char *what, const char *for_tenant, json_t **ret) {
        _cleanup_buf_ Buf data = BUF_INIT, argument = BUF_INIT;
        int r;

        buf_printf(&argument, "%s\n%s", what, for_tenant);
        if (buf_error(&argument) < 0)
                return fail(c, STATUS_FAILED, "out of memory");
        r = fetch(c, &data, false, "Why", buf_str(&argument), "ss", what, for_tenant);
        return r == STATUS_DONE ? parse(c, "Why", &data, ret) : r;
}

int client_get_incidents(Client *c, uint32_t max, json_t **ret) {
        _cleanup_buf_ Buf data = BUF_INIT;
        char argument[16];
        int r;

        (void)snprintf(argument, sizeof(argument), "%u", max);
        r = fetch(c, &data, false, "ListIncidents", argument, "u", max);
        return r == STATUS_DONE ? parse(c, "ListIncidents", &data, ret) : r;
}

int client_get_history(Client *c, uint64_t instance, uint64_t cursor, uint64_t since, void **ret,
                       size_t *ret_len) {
        _cleanup_buf_ Buf data = BUF_INIT;
        char argument[80];
        int r;

        (void)snprintf(argument, sizeof(argument), "%llu %llu %llu", (unsigned long long)instance,
                       (unsigned long long)cursor, (unsigned long long)since);
        r = fetch(c, &data, false, "GetHistory", argument, "ttt", instance, cursor, since);
        if (r != STATUS_DONE)
                return r;
        *ret_len = data.len;
        *ret = buf_steal(&data);
        return *ret ? STATUS_DONE : fail(c, STATUS_FAILED, "out of memory");
}

int client_change(Client *c, char **ret_text, const char *method, const char *types, ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        va_list ap;
        int r;

        va_start(ap, types);
        r = call_v(c, true, &reply, method, types, ap);
        va_end(ap);
        if (r != STATUS_DONE || !ret_text)
                return r;
        if (sd_bus_message_read(reply, "s", &text) < 0)
                return bad_answer(c, method);
        *ret_text = strdup(text);
        return *ret_text ? STATUS_DONE : fail(c, STATUS_FAILED, "out of memory");
}

int client_release(Client *c, const char *name, json_t **ret) {
        _cleanup_buf_ Buf data = BUF_INIT;
        int r = fetch(c, &data, true, "ReleaseCeilings", name, "s", name);

        return r == STATUS_DONE ? parse(c, "ReleaseCeilings", &data, ret) : r;
}

/* ---- asking without waiting ---- */

static int on_reply(sd_bus_message *m, void *user, sd_bus_error *e) {
        Client *c = user;

        (void)e;
        c->asked.reply = sd_bus_message_ref(m);
        return 0;
}

static int new_question(Client *c, sd_bus_message **ret, const char *method, const char *types, ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = new_call(c, false, ret, method, types, ap);
        va_end(ap);
        return r;
}

int client_ask(Client *c, const char *method, const char *argument) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const sd_bus_error none = SD_BUS_ERROR_NULL;
        int r;

        client_forget(c);
        r = connect_bus(c); /* whether fds can travel is known behind that */
        if (r == STATUS_DONE)
                r = c->paged ? new_question(c, &m, "OpenPaged", "ss", method, argument)
                             : new_question(c, &m, method, "s", argument);
        if (r != STATUS_DONE)
                return r;
        c->asked.began = clock_monotonic();
        r = sd_bus_call_async(c->bus, &c->asked.slot, m, on_reply, c, CALL_TIMEOUT);
        if (r < 0)
                return fail_call(c, method, false, r, &none);
        c->asked.method = method;
        return STATUS_DONE;
}

void client_forget(Client *c) {
        drop_question(c);
        c->asked.method = NULL;
}

static int read_reply(Client *c, const char *method, sd_bus_message *reply, json_t **ret) {
        _cleanup_buf_ Buf data = BUF_INIT;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int r;

        c->began = c->asked.began;
        c->waited = CALL_TIMEOUT;
        if (e)
                return fail_call(c, method, false, -sd_bus_error_get_errno(e), e);
        r = c->paged ? read_opened(c, false, method, reply, &data) : read_memfd(c, method, reply, &data);
        return r == STATUS_DONE ? parse(c, method, &data, ret) : r;
}

bool client_answered(Client *c, int *ret_status, json_t **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *method = c->asked.method;
        int r = 1;

        if (!method)
                return false;
        while (c->asked.slot && !c->asked.reply && r > 0) {
                r = sd_bus_process(c->bus, NULL);
                if (r < 0)
                        disconnect(c);
        }
        if (c->asked.slot && !c->asked.reply)
                return false;
        reply = steal_ptr(c->asked.reply);
        client_forget(c);
        *ret_status =
                reply ? read_reply(c, method, reply, ret) : fail_unreachable(c, "the connection was closed");
        return true;
}

/* ---- waiting for news ---- */

static int on_action(sd_bus_message *m, void *user, sd_bus_error *e) {
        Client *c = user;

        (void)m;
        (void)e;
        c->seen = true;
        return 0;
}

static void nap(usec_t span) {
        struct timespec ts = { .tv_sec = (time_t)(span / USEC_PER_SEC),
                               .tv_nsec = (long)(span % USEC_PER_SEC) * 1000 };

        (void)nanosleep(&ts, NULL);
}

void client_wait(Client *c, usec_t timeout) {
        usec_t until = clock_monotonic() + timeout, now;

        c->seen = false;
        if (c->bus && !c->watching) {
                /* What happened before the match was in place is found by asking once more. */
                c->watching = sd_bus_match_signal(c->bus, NULL, BUS_NAME, BUS_PATH, BUS_INTERFACE,
                                                  "ActionTaken", on_action, c) >= 0;
                if (c->watching)
                        return;
        }
        while ((now = clock_monotonic()) < until) {
                int r = c->watching ? sd_bus_process(c->bus, NULL) : -ENOTCONN;

                if (r < 0) {
                        if (c->watching)
                                disconnect(c);
                        nap(until - now);
                        return;
                }
                if (r == 0 && c->seen)
                        return;
                r = r == 0 ? sd_bus_wait(c->bus, until - now) : 0;
                if (r == -EINTR)
                        return;
                if (r < 0)
                        disconnect(c);
        }
}
