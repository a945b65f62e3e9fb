/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A round is a set of questions, asked one after the other: never two at once, so that the guard's loop never has more than one
 * answer of ours to make. The bus is connected with the first round, and again with the next where it was lost. The guard is never
 * started by a question.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus.h"
#include "guardlink.h"

#define ANSWER_MAX (256U << 20)
#define ANSWER_USEC (20 * USEC_PER_SEC)

struct GuardLink {
        GuardLinkOptions o;
        sd_bus *bus;
        sd_bus_slot *slot;
        uint32_t left; /* questions of this round */
        GuardQuestion asked; /* _ASK_MAX: no round */
        uint64_t instance, cursor, since_id;
};

static void ask_next(GuardLink *g);

static void disconnect(GuardLink *g) {
        g->slot = sd_bus_slot_unref(g->slot);
        if (g->bus) {
                (void)sd_bus_detach_event(g->bus);
                g->bus = sd_bus_close_unref(g->bus);
        }
}

static void end_round(GuardLink *g) {
        g->asked = _ASK_MAX;
        g->left = 0;
        g->o.round_over(g->o.user);
}

static void failed(GuardLink *g, const char *error) {
        g->o.answered(g->o.user, g->asked, NULL, error);
        end_round(g);
}

static int read_all(int fd, Buf *data) {
        char chunk[65536];
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size < 0 || st.st_size > (off_t)ANSWER_MAX)
                return -EFBIG;
        if (buf_reserve(data, (size_t)st.st_size) < 0)
                return -ENOMEM;
        while (data->len < (size_t)st.st_size) {
                ssize_t n = pread(fd, chunk, sizeof(chunk), (off_t)data->len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                buf_append(data, chunk, (size_t)n);
        }
        return buf_error(data);
}

static int on_answer(sd_bus_message *m, void *user, sd_bus_error *e) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        _cleanup_buf_ Buf data = BUF_INIT;
        GuardLink *g = user;
        int fd, r;

        (void)e;
        g->slot = sd_bus_slot_unref(g->slot);
        if (error) {
                failed(g, error->message ? error->message : error->name);
                return 0;
        }
        r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0)
                r = read_all(fd, &data);
        if (r < 0) {
                failed(g, strerror(-r));
                return 0;
        }
        g->o.answered(g->o.user, g->asked, &data, NULL);
        ask_next(g);
        return 0;
}

static int append_arguments(const GuardLink *g, sd_bus_message *m) {
        switch (g->asked) {
        case ASK_STREAM:
                return sd_bus_message_append(m, "ttt", g->instance, g->cursor, UINT64_C(0));
        case ASK_USAGE:
                return sd_bus_message_append(m, "s", "tenant");
        case ASK_EVENTS:
                return sd_bus_message_append(m, "tu", g->since_id, UINT32_C(0));
        case ASK_INCIDENTS:
                return sd_bus_message_append(m, "u", UINT32_C(0));
        case ASK_POLICY:
                return sd_bus_message_append(m, "s", "");
        default:
                return 0;
        }
}

static int ask(GuardLink *g) {
        static const char *const methods[_ASK_MAX] = {
                [ASK_STREAM] = "GetHistory",       [ASK_USAGE] = "GetUsage",
                [ASK_STATUS] = "GetStatus",        [ASK_EVENTS] = "ListEvents",
                [ASK_INCIDENTS] = "ListIncidents", [ASK_CONTAINERS] = "ListContainers",
                [ASK_TENANTS] = "ListTenants",     [ASK_POLICY] = "GetPolicy",
                [ASK_OBSERVED] = "ObserveReport",
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(g->bus, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE,
                                               methods[g->asked]);

        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = append_arguments(g, m);
        if (r >= 0)
                r = sd_bus_call_async(g->bus, &g->slot, m, on_answer, g, ANSWER_USEC);
        return r;
}

static int connect_bus(GuardLink *g) {
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
        int r;

        if (g->bus && sd_bus_is_open(g->bus) > 0)
                return 0;
        disconnect(g);
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address ? address : "unix:path=/run/dbus/system_bus_socket");
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, false);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, g->o.event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        g->bus = steal_ptr(bus);
        return 0;
}

static void ask_next(GuardLink *g) {
        int r;

        if (g->left == 0) {
                end_round(g);
                return;
        }
        g->asked = (GuardQuestion)__builtin_ctz(g->left);
        g->left &= g->left - 1;
        r = ask(g);
        if (r < 0)
                failed(g, strerror(-r));
}

int guardlink_ask(GuardLink *g, uint32_t questions) {
        int r;

        if (g->asked != _ASK_MAX)
                return -EBUSY;
        if (questions == 0)
                return 0;
        g->left = questions;
        g->asked = (GuardQuestion)__builtin_ctz(questions);
        r = connect_bus(g);
        if (r < 0)
                failed(g, r == -ENOENT || r == -ECONNREFUSED ? "there is no system bus" : strerror(-r));
        else
                ask_next(g);
        return 0;
}

void guardlink_add(GuardLink *g, uint32_t questions) { g->left |= questions; }

void guardlink_set_stream(GuardLink *g, uint64_t instance, uint64_t cursor) {
        g->instance = instance;
        g->cursor = cursor;
}

void guardlink_set_events(GuardLink *g, uint64_t since_id) { g->since_id = since_id; }

int guardlink_new(const GuardLinkOptions *o, GuardLink **ret) {
        GuardLink *g = calloc(1, sizeof(*g));

        if (!g)
                return -ENOMEM;
        g->o = *o;
        g->asked = _ASK_MAX;
        *ret = g;
        return 0;
}

GuardLink *guardlink_free(GuardLink *g) {
        if (!g)
                return NULL;
        disconnect(g);
        free(g);
        return NULL;
}
