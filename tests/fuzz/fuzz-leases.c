/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file of leases, given anything. What begins with '#' is the file itself. Random bytes never get past a
 * checksum, so all else is copies, each with its length in two bytes before it (what is missing is zeros), which are
 * sealed and put behind a good header, two to a slot. Beyond not crashing: what is handed out makes sense and has
 * the right checksum on file, who only reads sees the same and changes nothing, and what was put again is
 * read again.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "bytes.h"
#include "fdio.h"
#include "leases.h"

#define BOOT "0f3c5f5e"
#define FILE_NAME "leases"
#define HEADER_BYTES 4096
#define COPY_BYTES 1024
#define FILE_BYTES (HEADER_BYTES + 2 * LEASES_MAX * COPY_BYTES)

#include "fuzz-store.h"

static Leases *open_leases(bool read_only) {
        Leases *l = NULL;

        must(leases_open(dir, BOOT, read_only, &l) == 0);
        return l;
}

static char *read_all(size_t *ret_len) {
        char *data = NULL;

        must(fd_read_regular_at(dir_fd, FILE_NAME, 16 << 20, &data, ret_len, NULL, NULL) == 0);
        return data;
}

static void make_file(const uint8_t *data, size_t size, Buf *b) {
        _cleanup_(cleanup_leases_free) Leases *l = NULL;
        _cleanup_free_ char *file = NULL;
        size_t len;

        if (size > 0 && *data == '#') {
                buf_append(b, data + 1, size - 1);
                return;
        }
        l = open_leases(false);
        file = read_all(&len);
        must(len == FILE_BYTES);
        for (size_t i = 0; size >= 2 && i < 2 * LEASES_MAX; i++) {
                size_t n = MIN_OF(MIN_OF(bytes_get_le(data, 2), size - 2), (size_t)COPY_BYTES - 8);
                uint8_t *copy = (uint8_t *)file + HEADER_BYTES + i * COPY_BYTES;

                memcpy(copy + 8, data + 2, n);
                bytes_put_le(copy, 8, bytes_fnv1a(FNV_BASIS, copy + 8, COPY_BYTES - 8));
                data += 2 + n;
                size -= 2 + n;
        }
        buf_append(b, file, len);
}

/* By the header's words, not by the code's. */
static void check_lease(const Lease *x) {
        must(x->cgroup_id != 0 && x->path[0] == '/' && memchr(x->path, '\0', sizeof(x->path)));
        must(memchr(x->reason, '\0', sizeof(x->reason)) && x->until <= x->end);
        must(x->kind == LEASE_LIMIT || x->kind == LEASE_FREEZE);
        if (x->kind == LEASE_FREEZE) {
                must(x->value == 1);
                return;
        }
        must(x->knob.limit >= 0 && x->knob.limit < _LIMIT_MAX);
        must(limit_info(x->knob.limit)->sense == LIMIT_CEILING && x->value != LIMIT_INFINITY);
        must(limit_info(x->knob.limit)->per_device == (x->knob.dev != 0));
        must((x->period != 0) == (x->knob.limit == LIMIT_CPU_QUOTA));
}

/* Somewhere on file there is a copy with this path and a checksum that is right. */
static void check_on_file(const Lease *x, const char *file, size_t len) {
        size_t path = strlen(x->path) + 1, copy_bytes = bytes_get_le((const uint8_t *)file + 36, 4);

        for (size_t at = bytes_get_le((const uint8_t *)file + 32, 4); at + copy_bytes <= len;
             at += copy_bytes) {
                const uint8_t *c = (const uint8_t *)file + at;

                if (bytes_get_le(c + 24, 8) == x->cgroup_id && memcmp(c + 224, x->path, path) == 0 &&
                    bytes_get_le(c, 8) == bytes_fnv1a(FNV_BASIS, c + 8, copy_bytes - 8))
                        return;
        }
        must(false);
}

static bool same(const Lease *a, const Lease *b) {
        return a->cgroup_id == b->cgroup_id && a->kind == b->kind && limit_knob_cmp(a->knob, b->knob) == 0 &&
               a->value == b->value && a->beneath == b->beneath && a->until == b->until && a->end == b->end &&
               a->event == b->event && strcmp(a->path, b->path) == 0 && strcmp(a->reason, b->reason) == 0;
}

static void check_same(const Leases *a, const Leases *b) {
        LeasesStats s, t;
        const Lease *x, *y;

        leases_get_stats(a, &s);
        leases_get_stats(b, &t);
        must(s.n == t.n && s.n <= LEASES_MAX && s.n + s.n_damaged <= LEASES_MAX);
        for (size_t i = 0; (x = leases_next(a, &i));) {
                y = leases_find(b, x->cgroup_id, x->kind, x->knob);
                must(y && same(x, y));
        }
}

static void check_dir(void) {
        _cleanup_(cleanup_leases_free) Leases *reader = NULL, *writer = NULL, *again = NULL;
        _cleanup_free_ char *before = NULL, *after = NULL;
        size_t len, len_after;
        const Lease *x;
        Lease copy, more = { .cgroup_id = 4711, .path = "/x", .kind = LEASE_FREEZE };
        LeasesStats s;
        int r;

        before = read_all(&len);
        reader = open_leases(true);
        after = read_all(&len_after);
        must(len == len_after && memcmp(before, after, len) == 0);
        for (size_t i = 0; (x = leases_next(reader, &i));) {
                check_lease(x);
                check_on_file(x, before, len);
        }
        writer = open_leases(false);
        check_same(reader, writer);
        for (size_t i = 0; (x = leases_next(writer, &i));) {
                copy = *x;
                must(leases_put(writer, &copy) == 0 && same(x, &copy));
        }
        again = open_leases(true);
        check_same(writer, again);
        leases_get_stats(writer, &s);
        r = leases_put(writer, &more);
        must(r == 0 || r == -ENOSPC);
        leases_extend(writer, 99999);
        again = leases_free(again);
        again = open_leases(true);
        check_same(writer, again);
        for (size_t i = 0; (x = leases_next(writer, &i));)
                must(leases_remove(writer, x->cgroup_id, x->kind, x->knob) == 0);
        must(!leases_find(writer, 4711, LEASE_FREEZE, (LimitKnob){}));
        leases_get_stats(writer, &s);
        must(s.n == 0);
}

int fuzz_one(const uint8_t *data, size_t size) { return fuzz_file(data, size, make_file, check_dir); }
