/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sender behind every log line of the daemon.
 *
 * An entry is built as one datagram in a buffer of its own, sent with
 * MSG_DONTWAIT to the socket's *path* (the socket is not connected: when
 * journald makes its socket anew there is nothing to reconnect), and when that
 * fails for any reason put behind the others into the ring. Once something
 * waits there, everything queues, so that order is kept; each send first tries
 * to empty the ring.
 *
 * The ring is one block of bytes, allocated at the start: [length][datagram]…,
 * wrapping around. There is no allocation later, for messages about memory
 * running out are the ones that matter.
 *
 * Datagrams: "NAME=value\n", or for a value with a newline "NAME\n", its length
 * as 64 bit little endian, the value, "\n".
 */

#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdio.h"
#include "journal.h"

#define FIELD_NAME_MAX 64 /* as journald */
#define DELAYED "BAILIFF_DELAYED=1\n"
#define STDERR_LINE_MAX 4096 /* what a pipe that polls writable takes at once */
/* A value is first cut to this, then to ever less, until the entry fits. */
#define VALUE_MAX_FIRST (48 * 1024)
#define VALUE_MAX_LAST 64

struct Journal {
        int fd;
        struct sockaddr_un address;
        socklen_t address_len;
        int stderr_fd; /* -1: not wanted */
        bool stderr_only; /* no journal here so far */
        char identifier[64];
        JournalStats stats;
        uint64_t n_untold; /* dropped, and nobody was told yet */
        size_t entry_len;
        char entry[JOURNAL_ENTRY_MAX];
        char note[512];
        size_t ring_start; /* of the oldest; length is stats.backlog_bytes */
        char ring[JOURNAL_BACKLOG_BYTES];
};

/* ---- the ring ---- */

static void ring_copy_in(Journal *j, size_t at, const void *data, size_t n) {
        size_t first;

        at %= sizeof(j->ring);
        first = MIN_OF(n, sizeof(j->ring) - at);
        memcpy(j->ring + at, data, first);
        memcpy(j->ring, (const char *)data + first, n - first);
}

static void ring_copy_out(const Journal *j, size_t at, void *data, size_t n) {
        size_t first;

        at %= sizeof(j->ring);
        first = MIN_OF(n, sizeof(j->ring) - at);
        memcpy(data, j->ring + at, first);
        memcpy((char *)data + first, j->ring, n - first);
}

static uint32_t ring_first_len(const Journal *j) {
        uint32_t len;

        ring_copy_out(j, j->ring_start, &len, sizeof(len));
        return len;
}

static void ring_pop(Journal *j) {
        size_t n = sizeof(uint32_t) + ring_first_len(j);

        j->ring_start = (j->ring_start + n) % sizeof(j->ring);
        j->stats.backlog_bytes -= n;
        j->stats.backlog_entries--;
}

static void count_dropped(Journal *j) {
        j->stats.dropped++;
        j->n_untold++;
}

static void ring_push(Journal *j, const void *data, size_t n) {
        uint32_t len = (uint32_t)n;
        size_t end;

        while (sizeof(j->ring) - j->stats.backlog_bytes < sizeof(len) + n) {
                ring_pop(j);
                count_dropped(j);
        }
        end = j->ring_start + j->stats.backlog_bytes;
        ring_copy_in(j, end, &len, sizeof(len));
        ring_copy_in(j, end + sizeof(len), data, n);
        j->stats.backlog_bytes += sizeof(len) + n;
        j->stats.backlog_entries++;
        j->stats.queued++;
}

/* ---- building ---- */

typedef struct Entry {
        char *data;
        size_t len, size;
        size_t value_max;
        bool overflow, shortened;
} Entry;

static void put(Entry *e, const void *data, size_t n) {
        if (e->size - e->len < n) {
                e->overflow = true;
                return;
        }
        memcpy(e->data + e->len, data, n);
        e->len += n;
}

static bool name_is_valid(const char *name) {
        size_t n = strlen(name);

        if (n == 0 || n > FIELD_NAME_MAX || name[0] == '_' || (name[0] >= '0' && name[0] <= '9'))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!(name[i] >= 'A' && name[i] <= 'Z') && !(name[i] >= '0' && name[i] <= '9') &&
                    name[i] != '_')
                        return false;
        return true;
}

static bool message_id_is_valid(const char *id) {
        return strlen(id) == 32 && strspn(id, "0123456789abcdefABCDEF") == 32;
}

/* Cut between characters, not within one. */
static size_t cut_utf8(const char *s, size_t max) {
        while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
                max--;
        return max;
}

static void put_field(Entry *e, const char *name, const char *value) {
        size_t n = strlen(value);
        uint64_t le;

        if (n > e->value_max) {
                n = cut_utf8(value, e->value_max);
                e->shortened = true;
        }
        put(e, name, strlen(name));
        if (memchr(value, '\n', n)) {
                le = htole64((uint64_t)n);
                put(e, "\n", 1);
                put(e, &le, sizeof(le));
        } else
                put(e, "=", 1);
        put(e, value, n);
        put(e, "\n", 1);
}

static void put_head(Entry *e, const Journal *j, int priority, const char *message) {
        char digit[2] = { priority < 0 ? '0' : priority > 7 ? '7' : (char)('0' + priority), '\0' };

        put_field(e, "PRIORITY", digit);
        put_field(e, "SYSLOG_IDENTIFIER", j->identifier);
        put_field(e, "MESSAGE", message);
}

/* Builds into j->entry, no value longer than value_max; false: still too long. Room for DELAYED is kept. */
static bool build(Journal *j, size_t value_max, int priority, const char *message_id, const char *message,
                  const JournalField *fields, size_t n) {
        Entry e = { .data = j->entry, .size = sizeof(j->entry) - strlen(DELAYED), .value_max = value_max };

        put_head(&e, j, priority, message);
        if (message_id && message_id_is_valid(message_id))
                put_field(&e, "MESSAGE_ID", message_id);
        for (size_t i = 0; i < n; i++)
                if (fields[i].value && name_is_valid(fields[i].name))
                        put_field(&e, fields[i].name, fields[i].value);
        if (e.shortened)
                put_field(&e, "BAILIFF_SHORTENED", "1");
        j->entry_len = e.len;
        return !e.overflow;
}

/* ---- sending ---- */

static int transmit(Journal *j, const void *data, size_t n) {
        ssize_t k;

        do
                k = sendto(j->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&j->address,
                           j->address_len);
        while (k < 0 && errno == EINTR);
        if (k < 0)
                return -errno;
        j->stats.sent++;
        return 0;
}

/* The lost ones were older than all that waits: tell before. */
static bool tell_dropped(Journal *j) {
        char text[96], count[24];
        Entry e = { .data = j->note, .size = sizeof(j->note), .value_max = sizeof(j->note) };

        if (j->n_untold == 0)
                return true;
        (void)snprintf(count, sizeof(count), "%llu", (unsigned long long)j->n_untold);
        (void)snprintf(text, sizeof(text),
                       "%s log messages were lost: the journal did not take them in time.", count);
        put_head(&e, j, 4, text);
        put_field(&e, "BAILIFF_DROPPED", count);
        if (transmit(j, e.data, e.len) < 0)
                return false;
        j->n_untold = 0;
        return true;
}

static int transmit_first(Journal *j, char *scratch) {
        uint32_t len = ring_first_len(j);

        ring_copy_out(j, j->ring_start + sizeof(len), scratch, len);
        return transmit(j, scratch, len);
}

/* Uses scratch (JOURNAL_ENTRY_MAX) for entries that wrap around. */
static bool flush(Journal *j, char *scratch) {
        int r;

        while (j->stats.backlog_entries > 0) {
                if (!tell_dropped(j))
                        return false;
                r = transmit_first(j, scratch);
                if (r < 0 && r != -EMSGSIZE)
                        return false;
                ring_pop(j);
                if (r < 0) /* it would stand in the way for ever */
                        count_dropped(j);
        }
        return tell_dropped(j);
}

bool journal_flush(Journal *j) {
        /* Nobody is building an entry now. */
        return flush(j, j->entry);
}

/* ---- stderr ---- */

static void print(const Journal *j, const char *message) {
        char line[STDERR_LINE_MAX];
        struct pollfd p = { .fd = j->stderr_fd, .events = POLLOUT };
        size_t n = 0;

        if (j->stderr_fd < 0)
                return;
        for (; *message && n < sizeof(line) - 4; message++) {
                unsigned char c = (unsigned char)*message;

                /* Names of tenants end up here: nothing of theirs may steer a terminal, or look like a message. */
                if (c == '\n') {
                        memcpy(line + n, "\n  ", 3);
                        n += 3;
                } else
                        line[n++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
        }
        line[n++] = '\n';
        /* An error (reader gone) would be a SIGPIPE. What does not fit is lost here. */
        if (poll(&p, 1, 0) == 1 && p.revents == POLLOUT)
                (void)!write(j->stderr_fd, line, n);
}

static void open_stderr(Journal *j) {
        /* A description of our own: O_NONBLOCK on the inherited one would surprise all who share it. */
        j->stderr_fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (j->stderr_fd < 0) /* a socket: then poll() and the short line have to do */
                j->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* ---- public ---- */

int journal_new(const char *socket_path, const char *identifier, bool to_stderr, Journal **ret) {
        _cleanup_(cleanup_journal_free) Journal *j = NULL;

        if (strlen(socket_path) >= sizeof(j->address.sun_path))
                return -ENAMETOOLONG;
        j = calloc(1, sizeof(*j));
        if (!j)
                return -ENOMEM;
        j->fd = j->stderr_fd = -1;
        j->address.sun_family = AF_UNIX;
        memcpy(j->address.sun_path, socket_path, strlen(socket_path) + 1);
        j->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(socket_path) + 1);
        (void)snprintf(j->identifier, sizeof(j->identifier), "%s", identifier);
        j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (j->fd < 0)
                return -errno;
        if (to_stderr) {
                open_stderr(j);
                j->stderr_only = access(socket_path, F_OK) < 0;
        }
        *ret = steal_ptr(j);
        return 0;
}

Journal *journal_free(Journal *j) {
        if (!j)
                return NULL;
        if (j->fd >= 0)
                (void)journal_flush(j);
        j->fd = fd_close(j->fd);
        j->stderr_fd = fd_close(j->stderr_fd);
        free(j);
        return NULL;
}

void journal_send(Journal *j, int priority, const char *message_id, const char *message,
                  const JournalField *fields, size_t n) {
        size_t value_max = VALUE_MAX_FIRST;
        int r;

        print(j, message);
        (void)flush(j, j->entry);
        for (;;) {
                r = -EMSGSIZE;
                if (build(j, value_max, priority, message_id, message, fields, n))
                        r = j->stats.backlog_entries > 0 || j->n_untold > 0
                                    ? -EAGAIN
                                    : transmit(j, j->entry, j->entry_len);
                if (r != -EMSGSIZE || value_max <= VALUE_MAX_LAST)
                        break;
                value_max /= 4;
                /* The last try also does without the fields. */
                if (value_max <= VALUE_MAX_LAST)
                        n = MIN_OF(n, (size_t)16);
        }
        if (r == 0) {
                j->stderr_only = false;
                return;
        }
        if (j->stderr_only)
                return;
        if (r == -EMSGSIZE) {
                count_dropped(j);
                return;
        }
        memcpy(j->entry + j->entry_len, DELAYED, strlen(DELAYED));
        ring_push(j, j->entry, j->entry_len + strlen(DELAYED));
}

void journal_get_stats(const Journal *j, JournalStats *ret) { *ret = j->stats; }
