/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The ledger's file, given anything. Random bytes never get past a checksum,
 * so unless the data begins with '#', each line is sealed with the right one
 * (the header's too). Beyond not crashing: what was read, written anew
 * and read again is the same, and nothing is damaged any more.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "fdio.h"
#include "ledger.h"

#define BOOT "0f3c5f5e"
#define FILE_NAME "ceilings"

#include "fuzz-store.h"

static void put_sealed(Buf *b, const char *line, size_t n) {
        uint64_t h = 0xcbf29ce484222325ULL;

        for (size_t i = 0; i < n; i++)
                h = (h ^ (unsigned char)line[i]) * 0x100000001b3ULL;
        buf_append(b, line, n);
        buf_printf(b, " %016llx\n", (unsigned long long)h);
}

static void make_file(const uint8_t *data, size_t size, Buf *b) {
        static const char header[] = "bailiff-ceilings 1 " BOOT;
        const char *p = (const char *)data, *end = p + size;

        if (size > 0 && *p == '#') {
                buf_append(b, p + 1, size - 1);
                return;
        }
        put_sealed(b, header, strlen(header));
        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;

                put_sealed(b, p, (size_t)(stop - p));
                p = stop + 1;
        }
}

/* Everything that a reader can see, as text. */
static void describe(const Ledger *l, Buf *b) {
        const LedgerRecord *r;

        for (size_t i = 0; (r = ledger_next(l, &i));) {
                must(r == ledger_find(l, r->cgroup_id, r->knob));
                must(r->path[0] == '/' && strlen(r->path) <= LEDGER_PATH_MAX &&
                     strlen(r->unit) <= LEDGER_PATH_MAX);
                must(r->knob.limit >= 0 && r->knob.limit < _LIMIT_MAX);
                buf_printf(b, "%llu %s %s %d %llu %d %llu %llu %d%d%d %llu %llu %llu %d %llu\n",
                           (unsigned long long)r->cgroup_id, r->path, r->unit, r->knob.limit,
                           (unsigned long long)r->knob.dev, r->have_want,
                           r->have_want ? (unsigned long long)r->want : 0, (unsigned long long)r->ours,
                           r->property, r->foreign_dropin, r->share, (unsigned long long)r->lapse,
                           (unsigned long long)r->told, (unsigned long long)r->told_before, r->have_other,
                           (unsigned long long)r->other);
        }
}

static void check_dir(void) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL, *again = NULL;
        _cleanup_buf_ Buf before = BUF_INIT, looked = BUF_INIT, after = BUF_INIT;
        LedgerStats stats;

        must(ledger_open(dir, BOOT, true, &l) == 0);
        describe(l, &looked);
        l = ledger_free(l);
        must(ledger_open(dir, BOOT, false, &l) == 0);
        describe(l, &before);
        must(STR_EQ(buf_str(&before), buf_str(&looked)));
        must(ledger_open(dir, BOOT, true, &again) == 0);
        describe(again, &after);
        ledger_get_stats(again, &stats);
        must(STR_EQ(buf_str(&before), buf_str(&after)));
        must(stats.n_damaged == 0 && !stats.set_aside);
}

int fuzz_one(const uint8_t *data, size_t size) { return fuzz_file(data, size, make_file, check_dir); }
