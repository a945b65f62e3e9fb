/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A record as bytes.
 *
 *   slot          checksum (8 bytes), length (2), so many bytes of record; what
 *                 follows is of earlier, longer records and means nothing. Checksum and
 *                 length 0: free, as a hole in the file is.
 *   record        kind, id, below, tenant, name, then a container's or slice's
 *                 book, last sample and baseline, or a tenant's books
 *
 * Fixed-size integers are little-endian. All numbers of a record are LEB128, but that the
 * ninth byte is a whole one, so that none takes more than nine: with that the worst case of
 * each kind fits a slot (static assertions below), and a usual one takes a quarter of it.
 * Fields have no numbers of their own, their order is the format, and its names are hashed
 * into the shape. Version 1 had no network counters, and is the same without them.
 * Checksums are those of bytes.h.
 */

#include "bookslot.h"
#include "bytes.h"

/* What is kept of a sample. */
static const SampleField kept[] = {
        SAMPLE_CPU_USAGE,       SAMPLE_CPU_USER,       SAMPLE_CPU_SYSTEM,
        SAMPLE_CPU_PERIODS,     SAMPLE_CPU_THROTTLED,  SAMPLE_CPU_THROTTLED_USEC,
        SAMPLE_IO_RBYTES,       SAMPLE_IO_WBYTES,      SAMPLE_IO_RIOS,
        SAMPLE_IO_WIOS,         SAMPLE_CPU_SOME,       SAMPLE_CPU_FULL,
        SAMPLE_MEMORY_SOME,     SAMPLE_MEMORY_FULL,    SAMPLE_IO_SOME,
        SAMPLE_IO_FULL,         SAMPLE_IRQ_FULL,       SAMPLE_REFAULT_ANON,
        SAMPLE_REFAULT_FILE,    SAMPLE_PGMAJFAULT,     SAMPLE_EVENTS_HIGH,
        SAMPLE_EVENTS_MAX,      SAMPLE_EVENTS_OOM,     SAMPLE_EVENTS_OOM_KILL,
        SAMPLE_PIDS_EVENTS_MAX, SAMPLE_MEMORY,         SAMPLE_SWAP,
        SAMPLE_FROZEN,          SAMPLE_NET_RX_BYTES,   SAMPLE_NET_RX_PACKETS,
        SAMPLE_NET_RX_ERRORS,   SAMPLE_NET_RX_DROPPED, SAMPLE_NET_TX_BYTES,
        SAMPLE_NET_TX_PACKETS,  SAMPLE_NET_TX_ERRORS,  SAMPLE_NET_TX_DROPPED,
};
_Static_assert(ARRAY_SIZE(kept) < 64, "a mask of 64 bits");

/* Those of book_info()->hierarchical: all that slices and ended_below are for. */
static const BookField hierarchical[] = { BOOK_CPU_USEC,  BOOK_CPU_USER_USEC, BOOK_CPU_SYSTEM_USEC,
                                          BOOK_IO_RBYTES, BOOK_IO_WBYTES,     BOOK_IO_RIOS,
                                          BOOK_IO_WIOS };

/* The worst case of each part. */
#define NUM_BYTES 9
#define NUM32_BYTES 5
#define NUM16_BYTES 3
#define NUM8_BYTES 2
#define WHO_BYTES (1 + NUM_BYTES + 1 + 2 * BOOKFILE_NAME_BYTES) /* a name: length and text without its NUL */
#define TOTALS_BYTES ((1 + _BOOK_MAX) * NUM_BYTES)
#define BOOK_BYTES (TOTALS_BYTES + 3 * NUM_BYTES)
#define SUMS_BYTES (ARRAY_SIZE(hierarchical) * NUM_BYTES)
#define SAMPLE_BYTES (2 * NUM_BYTES + ARRAY_SIZE(kept) * NUM_BYTES)
#define SERIES_BYTES (2 * NUM32_BYTES + BASELINE_DAYS * NUM16_BYTES + 2 * NUM8_BYTES)
#define BASELINE_BYTES (_BASELINE_MAX * (SERIES_BYTES + NUM_BYTES) + 2 * NUM_BYTES + NUM32_BYTES)
#define TENANT_BYTES (BOOK_BYTES + TOTALS_BYTES + 2 * SUMS_BYTES + 2 * NUM_BYTES)
_Static_assert(BOOKSLOT_HEAD + WHO_BYTES + BOOK_BYTES + SAMPLE_BYTES + BASELINE_BYTES <= BOOKSLOT_BYTES,
               "any container or slice fits");
_Static_assert(BOOKSLOT_HEAD + WHO_BYTES + TENANT_BYTES <= BOOKSLOT_BYTES, "any tenant fits");

/* ---- versions ---- */

static bool has_book_field(BookVersion version, size_t f) {
        return version >= BOOK_VERSION_2 || f < BOOK_NET_RX_BYTES || f > BOOK_NET_TX_DROPPED;
}

/* Those that came later are the last ones. */
static size_t n_kept(BookVersion version) {
        size_t n = ARRAY_SIZE(kept);

        while (version < BOOK_VERSION_2 && sample_info(kept[n - 1])->file == SAMPLE_FILE_NET_DEV)
                n--;
        return n;
}

/* ---- bytes ---- */

/*
 * A record being written into a slot, or read out of one: the same walk over its fields does both, so that they cannot
 * differ. Writing cannot fail (the assertions above); reading marks what is not well-formed as bad and gives zeros
 * from then on.
 */
typedef struct Codec {
        BookVersion version;
        uint8_t *p, *end;
        bool reading, bad;
} Codec;

static void code_bytes(Codec *c, void *data, size_t n) {
        if ((size_t)(c->end - c->p) < n)
                c->bad = true;
        if (c->bad) {
                memset(data, 0, n);
                return;
        }
        if (c->reading)
                memcpy(data, c->p, n);
        else
                memcpy(c->p, data, n);
        c->p += n;
}

static uint64_t read_num(Codec *c) {
        uint64_t v = 0;

        for (unsigned i = 0; i < NUM_BYTES; i++) {
                uint8_t byte = 0;

                code_bytes(c, &byte, 1);
                if (i == NUM_BYTES - 1)
                        return v | (uint64_t)byte << 7 * i;
                v |= (uint64_t)(byte & 0x7f) << 7 * i;
                if (byte < 0x80)
                        return v;
        }
        return v;
}

static void write_num(Codec *c, uint64_t v) {
        for (unsigned i = 0; i < NUM_BYTES - 1 && v >= 0x80; i++, v >>= 7)
                code_bytes(c, &(uint8_t){ (uint8_t)(v | 0x80) }, 1);
        code_bytes(c, &(uint8_t){ (uint8_t)v }, 1);
}

/* Returns what was written or read; a number above max is bad. */
static uint64_t code_num(Codec *c, uint64_t v, uint64_t max) {
        if (!c->reading) {
                write_num(c, v);
                return v;
        }
        v = read_num(c);
        if (v > max)
                c->bad = true;
        return c->bad ? 0 : v;
}

static void code_u64(Codec *c, uint64_t *v) { *v = code_num(c, *v, UINT64_MAX); }

static void code_name(Codec *c, char name[static BOOKFILE_NAME_BYTES]) {
        size_t n = code_num(c, strnlen(name, BOOKFILE_NAME_BYTES - 1), BOOKFILE_NAME_BYTES - 1);

        code_bytes(c, name, n);
        if (c->reading && memchr(name, '\0', n))
                c->bad = true;
}

/* ---- records ---- */

static void code_totals(Codec *c, Book *b) {
        code_u64(c, &b->since_realtime);
        for (size_t i = 0; i < _BOOK_MAX; i++)
                if (has_book_field(c->version, i))
                        code_u64(c, &b->v[i]);
}

static void code_book(Codec *c, Book *b) {
        code_totals(c, b);
        for (size_t i = 0; i < ARRAY_SIZE(b->rest); i++)
                code_u64(c, &b->rest[i]);
        code_u64(c, &b->oom_at);
}

static void code_sums(Codec *c, Book *b) {
        for (size_t i = 0; i < ARRAY_SIZE(hierarchical); i++)
                code_u64(c, &b->v[hierarchical[i]]);
}

static void code_sample(Codec *c, Sample *s) {
        size_t n = n_kept(c->version);
        uint64_t have = 0;

        code_u64(c, &s->at);
        for (size_t i = 0; i < n; i++)
                have |= (uint64_t)sample_has(s, kept[i]) << i;
        have = code_num(c, have, (UINT64_C(1) << n) - 1);
        for (size_t i = 0; i < n; i++)
                if (have >> i & 1)
                        sample_put(s, kept[i], code_num(c, s->v[kept[i]], UINT64_MAX));
}

static void code_series(Codec *c, BaselineSeries *s) {
        s->median = (uint32_t)code_num(c, s->median, UINT32_MAX);
        s->n = (uint32_t)code_num(c, s->n, UINT32_MAX);
        for (size_t i = 0; i < BASELINE_DAYS; i++)
                s->days[i] = (uint16_t)code_num(c, s->days[i], UINT16_MAX);
        s->n_days = (uint8_t)code_num(c, s->n_days, BASELINE_DAYS);
        s->next_day = (uint8_t)code_num(c, s->next_day, BASELINE_DAYS - 1);
}

static void code_baseline(Codec *c, Baseline *b) {
        for (size_t i = 0; i < _BASELINE_MAX; i++) {
                code_series(c, &b->series[i]);
                code_u64(c, &b->stall[i]);
        }
        code_u64(c, &b->span);
        code_u64(c, &b->day);
        b->have = (uint32_t)code_num(c, b->have, (1U << _BASELINE_MAX) - 1);
}

static void code_record(Codec *c, BookRecord *r) {
        r->kind = (BookKind)code_num(c, r->kind, BOOKFILE_TENANT);
        code_u64(c, &r->id);
        r->below = code_num(c, r->below, 1);
        code_name(c, r->tenant);
        code_name(c, r->name);
        switch (r->kind) {
        case BOOKFILE_CONTAINER:
        case BOOKFILE_SLICE:
                code_book(c, &r->cg.book);
                code_sample(c, &r->cg.last);
                code_baseline(c, &r->cg.baseline);
                break;
        case BOOKFILE_TENANT:
                code_book(c, &r->sum.book.ended);
                code_totals(c, &r->sum.book.floor);
                code_sums(c, &r->sum.book.slices);
                code_sums(c, &r->sum.ended_below);
                code_u64(c, &r->sum.book.last_fold);
                code_u64(c, &r->sum.book.last_slice);
                break;
        default:
                c->bad = true;
        }
}

/* ---- slots ---- */

size_t bookslot_encode(const BookRecord *record, uint8_t slot[static BOOKSLOT_BYTES]) {
        Codec c = { .version = BOOK_VERSION_NOW, .p = slot + BOOKSLOT_HEAD, .end = slot + BOOKSLOT_BYTES };
        BookRecord r = *record;
        size_t n;

        code_record(&c, &r);
        n = (size_t)(c.p - slot);
        bytes_put_le(slot + 8, 2, n - BOOKSLOT_HEAD);
        bytes_put_le(slot, 8, bytes_fnv1a(FNV_BASIS, slot + 8, n - 8));
        return n;
}

int bookslot_decode(BookVersion version, uint8_t *slot, size_t slot_bytes, BookRecord *ret) {
        static const uint8_t nothing[BOOKSLOT_HEAD];
        size_t n = bytes_get_le(slot + 8, 2);
        Codec c = { .version = version, .p = slot + BOOKSLOT_HEAD, .reading = true };
        BookRecord r = {};

        if (memcmp(slot, nothing, BOOKSLOT_HEAD) == 0)
                return 0;
        if (n > slot_bytes - BOOKSLOT_HEAD ||
            bytes_get_le(slot, 8) != bytes_fnv1a(FNV_BASIS, slot + 8, n + 2))
                return -EBADMSG;
        c.end = c.p + n;
        code_record(&c, &r);
        if (c.bad || c.p != c.end)
                return -EBADMSG;
        *ret = r;
        return 1;
}

uint64_t bookslot_shape(BookVersion version) {
        static const uint8_t sizes[] = { _BASELINE_MAX, BASELINE_DAYS, BOOKFILE_NAME_BYTES,
                                         ARRAY_SIZE(hierarchical) };
        uint64_t h = bytes_fnv1a(FNV_BASIS, sizes, sizeof(sizes));

        for (int f = 0; f < _BOOK_MAX; f++) {
                const char *name = book_info((BookField)f)->name;

                if (has_book_field(version, (size_t)f))
                        h = bytes_fnv1a(h, name, strlen(name) + 1);
        }
        for (size_t i = 0; i < n_kept(version); i++) {
                const char *name = sample_info(kept[i])->name;

                h = bytes_fnv1a(h, name, strlen(name) + 1);
        }
        return h;
}
