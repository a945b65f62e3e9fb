/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The history. Data that begins with its magic is an export as it is; after an
 * 'r' come records, to which a header and three definitions are made that fit;
 * anything else is a script of calls of the writer. The reader must be total, and
 * say only what makes sense. A script's follower is told what was put in, and
 * who reads once at the end is told the same as far as it is kept.
 */

#include <endian.h>

#include "fuzz.h"
#include "history.h"

#define N_SUBJECTS 8
#define REAL UINT64_C(1700000000000000)

/* ---- what a reader is told ---- */

typedef struct Told {
        Buf events;
        uint64_t n_defined;
        const Sample *truth; /* of the last sample that was appended; NULL: not known */
        SampleMask looked;
        uint32_t index;
} Told;

static void on_define(void *user, uint32_t index, const HistoryWho *who) {
        Told *t = user;

        t->n_defined++;
        must(who->kind >= HISTORY_HOST && who->kind <= HISTORY_CONTAINER);
        must(strlen(who->tenant) <= HISTORY_TEXT_MAX && strlen(who->name) <= HISTORY_TEXT_MAX &&
             strlen(who->cgroup) <= HISTORY_TEXT_MAX);
        (void)index;
}

static void on_sample(void *user, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime) {
        Told *t = user;
        uint64_t h = 0;

        must((fields & ~SAMPLE_ALL) == 0);
        for (SampleField f = 0; f < _SAMPLE_MAX; f++) {
                must(sample_has(s, f) || s->v[f] == 0);
                h = (h ^ s->v[f]) * 0x100000001b3ULL;
        }
        must((s->have & ~SAMPLE_ALL) == 0);
        h = (h ^ (uint64_t)(fields >> 64)) * 0x100000001b3ULL ^ (uint64_t)(s->have >> 64);
        buf_printf(&t->events, "%u %llu %llu %llx %llx %llx\n", index, (unsigned long long)s->at,
                   (unsigned long long)realtime, (unsigned long long)fields, (unsigned long long)s->have,
                   (unsigned long long)h);
        if (!t->truth || t->index != index)
                return;
        /* What was looked at just now is as it is; the rest is as it was last told. */
        must(((s->have ^ t->truth->have) & t->looked) == 0);
        for (SampleField f = 0; f < _SAMPLE_MAX; f++)
                must(!sample_has(s, f) || !(t->looked & SAMPLE_BIT(f)) || s->v[f] == t->truth->v[f]);
}

static void on_gone(void *user, uint32_t index, uint64_t realtime) {
        Told *t = user;

        buf_printf(&t->events, "%u gone %llu\n", index, (unsigned long long)realtime);
}

static int read_all(HistoryReader *r, const void *data, size_t len, Told *t, bool *ret_anew) {
        const HistoryHandler h = { .define = on_define, .sample = on_sample, .gone = on_gone, .user = t };

        return history_read(r, data, len, &h, ret_anew);
}

/* ---- the reader, on anything ---- */

static void fuzz_reader(const void *data, size_t size) {
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        Told t = {};
        bool anew = false;
        int k;

        must(r != NULL);
        for (size_t i = 0; i < 2; i++) {
                k = read_all(r, data, size, &t, &anew);
                must(k == 0 || k == -EBADMSG || k == -EPROTONOSUPPORT);
                must(k == 0 || (history_reader_cursor(r) == 0 && history_reader_instance(r) == 0));
                must(k < 0 || anew || i == 1);
        }
        must(t.n_defined <= 2 * size);
        buf_deinit(&t.events);
}

static void fuzz_records(const uint8_t *data, size_t size) {
        static const char definitions[] = "\x01\x01\x07\x09\x00\x00\x00"
                                          "\x02\x02\x07\x09\x01t\x00\x02/s"
                                          "\x03\x03\x07\x09\x01t\x01n\x02/c";
        const HistoryHeader header = {
                .magic = HISTORY_MAGIC,
                .version = htole32(HISTORY_VERSION),
                .header_bytes = htole32(sizeof(header)),
                .instance = htole64(1),
                .end = htole64(size),
                .n_definitions = htole64(3),
        };
        _cleanup_buf_ Buf b = BUF_INIT;

        buf_append(&b, &header, sizeof(header));
        buf_append(&b, definitions, sizeof(definitions) - 1);
        buf_append(&b, data, size);
        must(buf_error(&b) == 0);
        fuzz_reader(b.data, b.len);
}

/* ---- scripts ---- */

typedef struct Script {
        const uint8_t *p, *end;
} Script;

static uint8_t next(Script *s) { return s->p < s->end ? *s->p++ : 0; }

static uint64_t next_u64(Script *s) {
        uint64_t v = 0;

        for (unsigned n = next(s) % 9; n > 0; n--)
                v = v << 8 | next(s);
        return v;
}

static void follow(const History *h, HistoryReader *r, uint64_t since_realtime, Told *t) {
        _cleanup_buf_ Buf b = BUF_INIT;
        HistoryStats stats;
        bool anew;

        history_get_stats(h, &stats);
        must(history_export(h, history_reader_instance(r), history_reader_cursor(r), since_realtime, REAL, 0,
                            &b) == 0);
        must(read_all(r, b.data, b.len, t, &anew) == 0);
        must(history_reader_cursor(r) == stats.next && history_reader_instance(r) == 5);
}

/* Without a follower's state: `since` begins where it may, the rest is as in the follower's end. */
static void check_once(const History *h, uint64_t since_realtime, const Told *followed) {
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        Told t = {};

        must(r != NULL);
        follow(h, r, since_realtime, &t);
        must(t.events.len <= followed->events.len);
        must(STR_EQ(buf_str(&t.events), buf_str(&followed->events) + followed->events.len - t.events.len));
        buf_deinit(&t.events);
}

static void change(Script *in, Sample *s) {
        for (unsigned n = next(in) % 16; n > 0; n--) {
                SampleField f = (SampleField)(next(in) % _SAMPLE_MAX);

                if (next(in) % 8 == 0)
                        sample_clear(s, SAMPLE_BIT(f));
                else
                        sample_put(s, f, s->v[f] + next_u64(in));
        }
}

static void fuzz_script(const uint8_t *data, size_t size) {
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        _cleanup_(cleanup_history_free) History *h = NULL;
        Script in = { .p = data, .end = data + size };
        uint32_t indices[N_SUBJECTS] = {};
        Sample samples[N_SUBJECTS] = {};
        uint64_t realtime = REAL;
        HistoryStats stats;
        Told t = {};
        usec_t now = 0;
        bool each;

        must(r != NULL && history_new(5, (size_t)1 << (10 + next(&in) % 8), HISTORY_SPAN_USEC, &h) == 0);
        each = next(&in) % 2;
        while (in.p < in.end) {
                uint8_t op = next(&in);
                size_t i = op % N_SUBJECTS;
                char name[8] = { (char)('a' + i), (char)(next(&in) | 1) };
                const HistoryWho who = { .kind = 1 + i % 3, .tenant = name, .name = name, .cgroup = "/" };

                t.truth = NULL;
                now += next_u64(&in) % HISTORY_SPAN_USEC;
                realtime += next_u64(&in) % HISTORY_SPAN_USEC;
                if (indices[i] == 0) {
                        must(history_add(h, &who, &indices[i]) == 0);
                        samples[i] = (Sample){};
                } else if (op < 8) {
                        history_remove(h, indices[i], now, realtime);
                        indices[i] = 0;
                } else if (op < 16)
                        must(history_rename(h, indices[i], &who) == 0);
                else {
                        t.looked = ~(SampleMask)next_u64(&in);
                        t.index = indices[i];
                        t.truth = each ? &samples[i] : NULL;
                        change(&in, &samples[i]);
                        samples[i].at = now;
                        must(history_append(h, indices[i], &samples[i], t.looked, realtime) == 0);
                }
                if (each || op % 16 == 15)
                        follow(h, r, 0, &t);
        }
        t.truth = NULL;
        follow(h, r, 0, &t);
        history_get_stats(h, &stats);
        /* A follower that reads each time loses nothing; others may have lost all but the end. */
        check_once(h, 0, &t);
        check_once(h, realtime, &t);
        must(stats.n_dropped == 0);
        buf_deinit(&t.events);
}

int fuzz_one(const uint8_t *data, size_t size) {
        if (size >= strlen(HISTORY_MAGIC) && memcmp(data, HISTORY_MAGIC, strlen(HISTORY_MAGIC)) == 0)
                fuzz_reader(data, size);
        else if (size > 0 && data[0] == 'r')
                fuzz_records(data + 1, size - 1);
        else
                fuzz_script(data, size);
        return 0;
}
