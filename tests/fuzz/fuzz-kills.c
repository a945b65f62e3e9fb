/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file of kills, given anything. What begins with '#' is the file itself. Random bytes never get past a checksum, so all
 * else is copies, each with its length in a byte before it (what is missing is zeros), which are sealed and put behind a good
 * header, two to a slot. Beyond not crashing: what is handed out makes sense, is in its order and is had again, nothing that
 * cannot be read is free, and a kill that was added is there.
 */

#include <stdio.h>

#include "bytes.h"
#include "kills.h"

#define BOOT "0f3c5f5e"
#define FILE_NAME "kills"
#define HEADER_BYTES 4096
#define COPY_BYTES 128
#define FILE_BYTES (HEADER_BYTES + 2 * KILLS_MAX * COPY_BYTES)

#include "fuzz-store.h"

static Kills *open_kills(void) {
        Kills *k = NULL;

        must(kills_open(dir, BOOT, &k) == 0);
        return k;
}

static void make_file(const uint8_t *data, size_t size, Buf *b) {
        _cleanup_(cleanup_kills_free) Kills *k = NULL;
        _cleanup_free_ char *file = NULL;
        size_t len;

        if (size > 0 && *data == '#') {
                buf_append(b, data + 1, size - 1);
                return;
        }
        k = open_kills();
        must(fd_read_regular_at(dir_fd, FILE_NAME, FILE_BYTES, &file, &len, NULL, NULL) == 0);
        must(len == FILE_BYTES);
        for (size_t i = 0; size >= 1 && i < 2 * KILLS_MAX; i++) {
                size_t n = MIN_OF(MIN_OF((size_t)data[0], size - 1), (size_t)COPY_BYTES - 8);
                uint8_t *copy = (uint8_t *)file + HEADER_BYTES + i * COPY_BYTES;

                memcpy(copy + 8, data + 1, n);
                bytes_put_le(copy, 8, bytes_fnv1a(FNV_BASIS, copy + 8, COPY_BYTES - 8));
                data += 1 + n;
                size -= 1 + n;
        }
        buf_append(b, file, len);
}

/* By the header's words, not by the code's. The latest time. */
static usec_t check_kills(const Kills *k) {
        const Kill *x = NULL;
        KillsStats s;
        unsigned n = 0;
        usec_t at = 0;

        kills_get_stats(k, &s);
        for (; (x = kills_next(k, x)); n++) {
                must(x->at != 0 && x->at >= at && x->until >= x->at);
                must(memchr(x->tenant, '\0', sizeof(x->tenant)));
                must((x->cgroup_id == 0) == (x->tenant[0] == '\0'));
                at = x->at;
        }
        must(n == s.n && s.n + s.n_damaged <= KILLS_MAX);
        return at;
}

static bool same(const Kill *a, const Kill *b) {
        return a->at == b->at && a->until == b->until && a->cgroup_id == b->cgroup_id &&
               strcmp(a->tenant, b->tenant) == 0;
}

static bool has(const Kills *k, const Kill *kill) {
        for (const Kill *x = NULL; (x = kills_next(k, x));)
                if (same(x, kill))
                        return true;
        return false;
}

static void check_same(const Kills *a, const Kills *b) {
        const Kill *x = NULL, *y = NULL;
        KillsStats s, t;

        kills_get_stats(a, &s);
        kills_get_stats(b, &t);
        must(s.n == t.n && s.n_damaged == t.n_damaged);
        while ((x = kills_next(a, x))) {
                y = kills_next(b, y);
                must(y && same(x, y));
        }
}

static void check_file(void) {
        _cleanup_(cleanup_kills_free) Kills *first = open_kills(), *again = NULL;
        Kill more = { .until = USEC_INFINITY, .cgroup_id = 4711, .tenant = "more" };
        KillsStats s;
        usec_t last;
        bool room;

        last = check_kills(first);
        again = open_kills();
        check_same(first, again);
        again = kills_free(again);

        more.at = last < USEC_INFINITY ? last + 1 : last;
        room = kills_has_room(first, more.at);
        must(kills_add(first, &more) == (room ? 0 : -ENOSPC) && has(first, &more) == room);
        again = open_kills();
        (void)check_kills(again);
        must(has(again, &more) == room);
        kills_remove(first, more.cgroup_id, more.at);
        must(!has(first, &more));
        kills_write_off(first, more.at);
        kills_get_stats(first, &s);
        must(s.n_damaged == 0);
        again = kills_free(again);
        again = open_kills();
        check_same(first, again);
}

int fuzz_one(const uint8_t *data, size_t size) { return fuzz_file(data, size, make_file, check_file); }
