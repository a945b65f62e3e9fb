/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The history: random streams against a model that knows what a reader must
 * be told, tables of damage, and the promises about memory, which are held
 * against what malloc() really gave: this test is linked with its own.
 */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "history.h"
#include "random.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define REAL UINT64_C(1700000000000000)
#define MONO UINT64_C(5000000000)
#define SEC USEC_PER_SEC
#define N_MAX 64
#define INDEX_MAX 4096

/* ---- memory: counted, and refused where a test says so ---- */

static size_t held;
static uint64_t n_allocations;
static uint64_t refuse_at, refuse_every; /* the n-th alone; each n-th */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void __wrap_free(void *p);

static bool refused(void) {
        n_allocations++;
        return n_allocations == refuse_at || (refuse_every > 0 && n_allocations % refuse_every == 0);
}

static void *count(void *p) {
        held += p ? malloc_usable_size(p) : 0;
        return p;
}

void *__wrap_malloc(size_t n) { return refused() ? NULL : count(__real_malloc(n)); }

void *__wrap_calloc(size_t n, size_t size) { return refused() ? NULL : count(__real_calloc(n, size)); }

void *__wrap_realloc(void *p, size_t n) {
        size_t before = p ? malloc_usable_size(p) : 0;
        void *q;

        if (refused())
                return NULL;
        q = __real_realloc(p, n);
        if (q)
                held += malloc_usable_size(q) - before;
        return q;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size) { return __wrap_realloc(p, n * size); }

void __wrap_free(void *p) {
        held -= p ? malloc_usable_size(p) : 0;
        __real_free(p);
}

static void refuse(uint64_t at, uint64_t every) {
        n_allocations = 0;
        refuse_at = at;
        refuse_every = every;
}

/* ---- what a reader is told, as text ---- */

typedef struct Told {
        Buf events; /* samples and ends */
        Buf definitions;
        uint64_t n_samples, n_gone, n_defined;
} Told;

static void told_deinit(Told *t) {
        buf_deinit(&t->events);
        buf_deinit(&t->definitions);
        *t = (Told){};
}

static void tell_definition(Buf *b, uint32_t index, const HistoryWho *who) {
        buf_printf(b, "%u %d %llu %llu %s|%s|%s\n", index, (int)who->kind, (unsigned long long)who->cgroup_id,
                   (unsigned long long)who->since_realtime, who->tenant, who->name, who->cgroup);
}

static void tell_mask(Buf *b, SampleMask mask) {
        if (mask >> 64)
                buf_printf(b, "%llx:", (unsigned long long)(mask >> 64));
        buf_printf(b, "%llx", (unsigned long long)mask);
}

/* Records of thousands of samples: a hash of the values is enough to compare. */
static void tell_sample(Buf *b, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime) {
        uint64_t h = 0xcbf29ce484222325ULL;

        for (int f = 0; f < _SAMPLE_MAX; f++) {
                if (!sample_has(s, (SampleField)f))
                        assert_int_equal(s->v[f], 0);
                h = (h ^ s->v[f]) * 0x100000001b3ULL;
        }
        buf_printf(b, "%u at %llu %llu fields ", index, (unsigned long long)s->at,
                   (unsigned long long)realtime);
        tell_mask(b, fields);
        buf_puts(b, " have ");
        tell_mask(b, s->have);
        buf_printf(b, " values %llx\n", (unsigned long long)h);
}

static void tell_gone(Buf *b, uint32_t index, uint64_t realtime) {
        buf_printf(b, "%u gone %llu\n", index, (unsigned long long)realtime);
}

static void on_define(void *user, uint32_t index, const HistoryWho *who) {
        Told *t = user;

        t->n_defined++;
        tell_definition(&t->definitions, index, who);
}

static void on_sample(void *user, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime) {
        Told *t = user;

        t->n_samples++;
        tell_sample(&t->events, index, s, fields, realtime);
}

static void on_gone(void *user, uint32_t index, uint64_t realtime) {
        Told *t = user;

        t->n_gone++;
        tell_gone(&t->events, index, realtime);
}

static int read_into(HistoryReader *r, const void *data, size_t len, Told *t, bool *ret_anew) {
        const HistoryHandler h = { .define = on_define, .sample = on_sample, .gone = on_gone, .user = t };

        return history_read(r, data, len, &h, ret_anew);
}

/* The reader asks for what is new and reads it. */
static bool follow(const History *h, HistoryReader *r, Told *t) {
        _cleanup_buf_ Buf b = BUF_INIT;
        HistoryStats stats;
        bool anew = false;

        assert_int_equal(
                history_export(h, history_reader_instance(r), history_reader_cursor(r), 0, REAL, MONO, &b),
                0);
        assert_int_equal(read_into(r, b.data, b.len, t, &anew), 0);
        history_get_stats(h, &stats);
        assert_int_equal(history_reader_cursor(r), stats.next);
        return anew;
}

static void read_once(const History *h, Told *t) {
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();

        assert_non_null(r);
        assert_true(follow(h, r, t));
}

static HistoryHeader export_header(const Buf *b) {
        HistoryHeader header;

        assert_true(b->len >= sizeof(header));
        memcpy(&header, b->data, sizeof(header));
        return header;
}

static bool ends_with(const char *s, const char *end) {
        return strlen(s) >= strlen(end) && STR_EQ(s + strlen(s) - strlen(end), end);
}

/* ---- random streams, and the model ---- */

static void seed(uint64_t s) {
        random_state = s * UINT64_C(0x9e3779b97f4a7c15) | 1;
        print_message("seed %llu\n", (unsigned long long)s);
}

/* Of fields that there are, and that there may be. */
static SampleMask random_mask(void) { return (SampleMask)next_random() << 64 | next_random(); }

/* One that a delta may stumble over, now and then. */
static uint64_t random_value(uint64_t before) {
        switch (random_below(8)) {
        case 0:
                return 0;
        case 1:
                return UINT64_MAX - random_below(2);
        case 2:
                return (UINT64_C(1) << 63) - random_below(2);
        case 3:
                return next_random();
        case 4:
                return before + 4096 * (random_below(64) - 32);
        default:
                return before + random_below(100000);
        }
}

typedef struct Subject {
        uint32_t index; /* 0: none */
        uint64_t id;
        Sample now; /* what its cgroup has */
        Sample told; /* what a reader has of it */
        char name[32];
} Subject;

typedef struct World {
        History *h;
        Subject subjects[N_MAX];
        SampleMask fields; /* those that vary */
        uint64_t realtime;
        usec_t now;
        uint64_t chunk_begin, chunk_realtime; /* as the model sees them: of the first record */
        usec_t chunk_monotonic;
        size_t n_chunks;
        Told want;
        char (*definitions)[96]; /* [INDEX_MAX], as last told */
} World;

static void world_init(World *w, size_t bytes_max, usec_t span) {
        *w = (World){ .realtime = REAL, .now = MONO, .fields = SAMPLE_ALL };
        w->definitions = calloc(INDEX_MAX, sizeof(*w->definitions));
        assert_non_null(w->definitions);
        assert_int_equal(history_new(42, bytes_max, span, &w->h), 0);
}

static void world_deinit(World *w) {
        w->h = history_free(w->h);
        free(w->definitions);
        told_deinit(&w->want);
}

static HistoryWho who_of(const Subject *s) {
        return (HistoryWho){ .kind = HISTORY_CONTAINER,
                             .cgroup_id = s->id,
                             .since_realtime = REAL + s->id % 1000,
                             .tenant = "acme",
                             .name = s->name,
                             .cgroup = "/acme.slice/docker-x.scope" };
}

/* A record was added: was it the first of a chunk? Nothing may be dropped meanwhile. */
static void world_after_record(World *w) {
        HistoryStats stats;

        history_get_stats(w->h, &stats);
        if (stats.n_chunks == w->n_chunks)
                return;
        w->n_chunks = stats.n_chunks;
        w->chunk_realtime = w->realtime;
        w->chunk_monotonic = w->now;
        for (size_t i = 0; i < N_MAX; i++)
                w->subjects[i].told = (Sample){};
}

static usec_t since_chunk(const World *w) { return (w->now - w->chunk_monotonic) / 1000 * 1000; }

static void world_defined(World *w, const Subject *s, const HistoryWho *who) {
        _cleanup_buf_ Buf line = BUF_INIT;

        assert_true(s->index < INDEX_MAX);
        tell_definition(&line, s->index, who);
        (void)snprintf(w->definitions[s->index], sizeof(*w->definitions), "%s", buf_str(&line));
}

static void world_add(World *w, Subject *s) {
        HistoryWho who;

        *s = (Subject){ .id = next_random() };
        (void)snprintf(s->name, sizeof(s->name), "new-%llu", (unsigned long long)random_below(1000));
        who = who_of(s);
        assert_int_equal(history_add(w->h, &who, &s->index), 0);
        world_defined(w, s, &who);
        s->now.have = random_mask() & SAMPLE_ALL;
        for (int f = 0; f < _SAMPLE_MAX; f++)
                s->now.v[f] = sample_has(&s->now, (SampleField)f) ? random_value(0) : 0;
}

static void world_rename(World *w, Subject *s) {
        HistoryWho who;

        (void)snprintf(s->name, sizeof(s->name), "%llx", (unsigned long long)next_random());
        who = who_of(s);
        assert_int_equal(history_rename(w->h, s->index, &who), 0);
        world_defined(w, s, &who);
}

static void world_append(World *w, Subject *s) {
        SampleMask looked = w->fields | (random_mask() & ~SAMPLE_ALL), given = 0;

        for (int i = 0; i < _SAMPLE_MAX; i++) {
                SampleField f = (SampleField)i;

                if (!(w->fields & SAMPLE_BIT(f)) || random_below(3))
                        continue;
                if (random_below(12) == 0)
                        sample_clear(&s->now, SAMPLE_BIT(f));
                else
                        sample_put(&s->now, f, random_value(s->now.v[f]));
        }
        s->now.at = w->now;
        assert_int_equal(history_append(w->h, s->index, &s->now, looked, w->realtime), 0);
        world_after_record(w);
        for (SampleMask rest = looked & SAMPLE_ALL; rest; rest &= rest - 1) {
                SampleField f = sample_first(rest);

                if (!sample_has(&s->now, f)) {
                        given |= s->told.have & SAMPLE_BIT(f); /* it is taken away */
                        sample_clear(&s->told, SAMPLE_BIT(f));
                } else if (!sample_has(&s->told, f) || s->told.v[f] != s->now.v[f]) {
                        sample_put(&s->told, f, s->now.v[f]);
                        given |= SAMPLE_BIT(f);
                }
        }
        s->told.at = w->chunk_monotonic + since_chunk(w);
        tell_sample(&w->want.events, s->index, &s->told, given, w->chunk_realtime + since_chunk(w));
        w->want.n_samples++;
}

static void world_remove(World *w, Subject *s) {
        history_remove(w->h, s->index, w->now, w->realtime);
        world_after_record(w);
        tell_gone(&w->want.events, s->index, w->chunk_realtime + since_chunk(w));
        w->want.n_gone++;
        *s = (Subject){};
}

static void world_step(World *w) {
        Subject *s = &w->subjects[random_below(N_MAX)];

        if (random_below(4) == 0) {
                usec_t d = random_below(3) ? random_below(100000) : random_below(20 * SEC);

                w->now += d;
                w->realtime += d;
        }
        if (random_below(2000) == 0)
                w->realtime -= 3600 * SEC; /* the clock was set */
        if (s->index == 0)
                world_add(w, s);
        else if (random_below(100) == 0)
                world_remove(w, s);
        else if (random_below(50) == 0)
                world_rename(w, s);
        else
                world_append(w, s);
}

/* ---- round trips ---- */

/* Whoever reads once, and whoever follows, is told what was put in. */
static void test_round_trip(void **state) {
        uint64_t n_chunks = 0, n_gone = 0;

        (void)state;
        for (uint64_t k = 1; k <= 12; k++) {
                _cleanup_(cleanup_history_reader_free) HistoryReader *follower = history_reader_new();
                _cleanup_buf_ Buf definitions = BUF_INIT;
                Told once = {}, followed = {};
                bool begun = false;
                World w;

                assert_non_null(follower);
                seed(k);
                world_init(&w, 64 * MIB, 2 * 3600 * SEC);
                if (k % 2)
                        w.fields = random_mask() & random_mask() & SAMPLE_ALL;
                for (size_t i = 0; i < 6000; i++) {
                        world_step(&w);
                        if (random_below(40) == 0) {
                                assert_int_equal(follow(w.h, follower, &followed), !begun);
                                begun = true;
                        }
                }
                assert_false(follow(w.h, follower, &followed));
                read_once(w.h, &once);
                assert_string_equal(buf_str(&once.events), buf_str(&w.want.events));
                assert_string_equal(buf_str(&followed.events), buf_str(&w.want.events));
                for (size_t i = 0; i < INDEX_MAX; i++)
                        buf_puts(&definitions, w.definitions[i]);
                assert_string_equal(buf_str(&once.definitions), buf_str(&definitions));
                for (size_t i = 0; i < INDEX_MAX; i++)
                        assert_true(strstr(buf_str(&followed.definitions), w.definitions[i]) ||
                                    w.definitions[i][0] == '\0');
                n_chunks += w.n_chunks;
                n_gone += once.n_gone;
                told_deinit(&once);
                told_deinit(&followed);
                world_deinit(&w);
        }
        assert_true(n_chunks > 60 && n_gone > 300); /* that much was tried */
}

/* Where the oldest is dropped all the while: who keeps up misses nothing, and who comes late sees the end of it. */
static void test_dropped(void **state) {
        (void)state;
        for (uint64_t k = 1; k <= 4; k++) {
                _cleanup_(cleanup_history_reader_free) HistoryReader *follower = history_reader_new();
                Told once = {}, followed = {};
                HistoryStats stats;
                World w;

                assert_non_null(follower);
                seed(k);
                world_init(&w, 256 * KIB, HISTORY_SPAN_USEC);
                (void)follow(w.h, follower, &followed);
                for (size_t i = 0; i < 20000; i++) {
                        world_step(&w);
                        if (i % 100 == 0)
                                assert_false(follow(w.h, follower, &followed));
                        history_get_stats(w.h, &stats);
                        assert_true(stats.bytes <= 256 * KIB);
                }
                assert_false(follow(w.h, follower, &followed));
                read_once(w.h, &once);
                history_get_stats(w.h, &stats);
                assert_true(stats.first > 0 && stats.n_chunks > 1);
                assert_true(once.n_samples > 500 && followed.n_samples > 2 * once.n_samples);
                assert_true(ends_with(buf_str(&followed.events), buf_str(&once.events)));
                told_deinit(&once);
                told_deinit(&followed);
                world_deinit(&w);
        }
}

/* ---- cursors ---- */

static uint32_t add(History *h, const char *name) {
        const HistoryWho who = {
                .kind = HISTORY_CONTAINER, .cgroup_id = 7, .tenant = "t", .name = name, .cgroup = "/c"
        };
        uint32_t index;

        assert_int_equal(history_add(h, &who, &index), 0);
        return index;
}

static void append(History *h, uint32_t index, usec_t after, uint64_t memory) {
        Sample s = { .at = MONO + after };

        sample_put(&s, SAMPLE_MEMORY, memory);
        assert_int_equal(history_append(h, index, &s, s.have, REAL + after), 0);
}

/* Samples of a subject for a while, one each second. */
static void append_many(History *h, uint32_t index, usec_t from, usec_t to) {
        for (usec_t t = from; t < to; t += SEC)
                append(h, index, t, t);
}

static History *history_of(size_t bytes_max, usec_t span) {
        History *h;

        assert_int_equal(history_new(42, bytes_max, span, &h), 0);
        return h;
}

static void test_empty(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        HistoryStats stats;
        Told t = {};

        (void)state;
        assert_non_null(r);
        assert_int_equal(history_reader_cursor(r), 0);
        assert_true(follow(h, r, &t));
        assert_int_equal(history_reader_instance(r), 42);
        assert_int_equal(t.n_defined + t.n_samples + t.n_gone, 0);
        (void)add(h, "a");
        append(h, 1, 0, 0);
        assert_false(follow(h, r, &t));
        assert_int_equal(t.n_defined, 1);
        assert_int_equal(t.n_samples, 1);
        assert_int_equal(history_append(h, 2, &(Sample){}, 1, 0), -ENOENT);
        assert_int_equal(history_append(h, 0, &(Sample){}, 1, 0), -ENOENT);
        history_remove(h, 2, 0, 0);
        history_get_stats(h, &stats);
        assert_int_equal(stats.first_realtime, REAL);
        assert_int_equal(stats.n_subjects, 1);
        assert_int_equal(stats.n_chunks, 1);
        assert_int_equal(stats.n_dropped, 0);
        told_deinit(&t);
        assert_null(history_free(NULL));
        assert_null(history_reader_free(NULL));
}

static void test_lost(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, 60 * SEC), *other = NULL;
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        _cleanup_buf_ Buf b = BUF_INIT;
        Told late = {}, once = {};
        HistoryStats stats;
        HistoryHeader header;
        uint64_t cursor;

        (void)state;
        assert_non_null(r);
        (void)add(h, "a");
        (void)add(h, "b");
        append_many(h, 1, 0, 30 * SEC);
        assert_true(follow(h, r, &late));
        told_deinit(&late);
        cursor = history_reader_cursor(r);
        append_many(h, 2, 30 * SEC, 200 * SEC);
        history_get_stats(h, &stats);
        assert_true(stats.first > cursor);
        assert_int_equal(history_export(h, 42, cursor, 0, 11, 22, &b), 0);
        header = export_header(&b);
        assert_int_equal(header.lost, stats.first - cursor);
        assert_int_equal(header.begin, stats.first);
        assert_int_equal(header.realtime, 11);
        assert_int_equal(header.monotonic, 22);
        assert_true(follow(h, r, &late));
        read_once(h, &once);
        assert_string_equal(buf_str(&late.events), buf_str(&once.events));
        assert_string_equal(buf_str(&late.definitions), buf_str(&once.definitions));
        assert_false(follow(h, r, &late));
        told_deinit(&late);
        told_deinit(&once);

        /* A cursor of nobody's: beyond the end. */
        buf_clear(&b);
        assert_int_equal(history_export(h, 42, stats.next + 1, 0, 0, 0, &b), 0);
        header = export_header(&b);
        assert_int_equal(header.lost, 0);
        assert_int_equal(header.begin, stats.first);

        /* The guard is another one: the same cursor means nothing. */
        assert_int_equal(history_new(43, MIB, 60 * SEC, &other), 0);
        (void)add(other, "c");
        append_many(other, 1, 0, 400 * SEC);
        assert_true(follow(other, r, &late));
        assert_int_equal(history_reader_instance(r), 43);
        read_once(other, &once);
        assert_string_equal(buf_str(&late.events), buf_str(&once.events));
        assert_string_equal(buf_str(&late.definitions), buf_str(&once.definitions));
        told_deinit(&late);
        told_deinit(&once);
}

static void test_since(void **state) {
        static const struct {
                uint64_t since; /* after REAL */
                uint64_t cursor;
                size_t first; /* the first second that is told */
                size_t n_defined;
        } rows[] = {
                { 0, 0, 0, 3 }, /* at the first chunk's beginning */
                { 299 * SEC, 0, 0, 3 },
                { 300 * SEC, 0, 300, 2 }, /* chunks are of 300 s; the first subject ended before */
                { 601 * SEC, 0, 600, 2 },
                { 5000 * SEC, 0, 900, 2 },
                { 601 * SEC, UINT64_MAX, 600, 2 }, /* no such cursor */
        };
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);

        (void)state;
        (void)add(h, "a");
        (void)add(h, "b");
        append(h, 1, 0, 5);
        history_remove(h, 1, MONO, REAL);
        append_many(h, 2, 0, 1000 * SEC);
        (void)add(h, "c");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
                _cleanup_buf_ Buf b = BUF_INIT;
                Told t = {};
                bool anew = false;

                assert_non_null(r);
                assert_int_equal(history_export(h, 42, rows[i].cursor, REAL + rows[i].since, 0, 0, &b), 0);
                assert_int_equal(read_into(r, b.data, b.len, &t, &anew), 0);
                assert_true(anew);
                if (t.n_defined != rows[i].n_defined ||
                    t.n_samples != 1000 - rows[i].first + (rows[i].first == 0))
                        fail_msg("row %zu: %llu defined, %llu samples", i, (unsigned long long)t.n_defined,
                                 (unsigned long long)t.n_samples);
                assert_int_equal(t.n_gone, rows[i].first == 0);
                /* From there on it follows as anybody. */
                assert_false(follow(h, r, &t));
                told_deinit(&t);
        }
        {
                _cleanup_buf_ Buf b = BUF_INIT;
                HistoryStats stats;

                /* Who has a cursor gets what comes after it, whatever it says of a time. */
                history_get_stats(h, &stats);
                assert_int_equal(history_export(h, 42, stats.next, REAL + 300 * SEC, 0, 0, &b), 0);
                assert_int_equal(export_header(&b).begin, stats.next);
                /* Only the newest chunk has room to spare. */
                assert_int_equal(stats.n_chunks, 4);
                assert_true(stats.bytes < stats.next + 10 * KIB);
        }
}

static void test_rename(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        _cleanup_free_ char *longer = malloc(HISTORY_TEXT_MAX + 2);
        HistoryWho who = { .kind = HISTORY_SLICE, .cgroup_id = 9, .tenant = "", .name = "n", .cgroup = "" };
        Told t = {};

        (void)state;
        assert_non_null(r);
        assert_non_null(longer);
        (void)add(h, "a");
        (void)add(h, "b");
        append(h, 1, 0, 1);
        append(h, 2, 0, 1);
        (void)follow(h, r, &t);
        told_deinit(&t);
        assert_int_equal(history_rename(h, 2, &who), 0);
        append(h, 2, SEC, 2);
        (void)follow(h, r, &t);
        assert_string_equal(buf_str(&t.definitions), "2 2 9 0 |n|\n");
        assert_int_equal(t.n_samples, 1);
        told_deinit(&t);
        /* The same again is nothing new. */
        assert_int_equal(history_rename(h, 2, &who), 0);
        (void)follow(h, r, &t);
        assert_int_equal(t.n_defined, 0);
        /* The longest, and a character that does not fit. */
        memset(longer, 'x', HISTORY_TEXT_MAX + 1);
        memcpy(longer + HISTORY_TEXT_MAX - 1, "\xc3\xa4", 3);
        who.name = longer;
        assert_int_equal(history_rename(h, 1, &who), 0);
        (void)follow(h, r, &t);
        assert_int_equal(t.definitions.len, strlen("1 2 9 0 ||\n") + HISTORY_TEXT_MAX - 1);
        told_deinit(&t);
        history_remove(h, 1, MONO + 2 * SEC, REAL);
        history_remove(h, 1, MONO + 3 * SEC, REAL);
        assert_int_equal(history_rename(h, 1, &who), -ENOENT);
        assert_int_equal(history_rename(h, 3, &who), -ENOENT);
        assert_int_equal(history_append(h, 1, &(Sample){}, 1, REAL), -ENOENT);
        (void)follow(h, r, &t);
        assert_int_equal(t.n_gone, 1);
        assert_int_equal(t.n_samples, 0);
        assert_int_equal(add(h, "c"), 3); /* never the same index again */
        told_deinit(&t);
}

/* ---- the bounds ---- */

static void test_span(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, 60 * SEC);
        HistoryStats stats;

        (void)state;
        (void)add(h, "a");
        for (usec_t t = 0; t < 1000 * SEC; t += 500000) {
                append(h, 1, t, t);
                history_get_stats(h, &stats);
                if (t > 60 * SEC)
                        assert_in_range(stats.first_realtime, REAL + t - 70 * SEC, REAL + t - 60 * SEC);
        }
        assert_in_range(stats.n_chunks, 6, 8);
        /* After a long silence nothing of before is left. */
        append(h, 1, 2000 * SEC, 0);
        history_get_stats(h, &stats);
        assert_int_equal(stats.first_realtime, REAL + 2000 * SEC);
        assert_int_equal(stats.n_chunks, 1);
}

/* Containers that live for a moment: with many samples, with one, with none. */
static void test_storm(void **state) {
        static const struct {
                size_t n, bytes_max, n_samples;
        } rows[] = {
                { 100000, MIB, 1 }, { 100000, HISTORY_BYTES_MAX, 0 }, { 20000, MIB, 0 },
                { 20000, MIB, 5 },  { 20000, 64 * KIB, 1 },
        };
        char cgroup[128];

        (void)state;
        (void)snprintf(cgroup, sizeof(cgroup), "/system.slice/docker-%064d.scope", 7);
        for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
                const HistoryWho who = {
                        .kind = HISTORY_CONTAINER, .tenant = "acme", .name = "job", .cgroup = cgroup
                };
                size_t before = held, most = 0, most_held = 0;
                HistoryStats stats;
                Told t = {};
                History *h;

                h = history_of(rows[k].bytes_max, HISTORY_SPAN_USEC);
                (void)add(h, "who stays");
                for (size_t i = 0; i < rows[k].n; i++) {
                        usec_t now = i * 1000;
                        uint32_t index;

                        assert_int_equal(history_add(h, &who, &index), 0);
                        for (size_t n = 0; n < rows[k].n_samples; n++)
                                append(h, index, now, i * 4096 + n);
                        history_remove(h, index, MONO + now, REAL + now);
                        if (i % 1000 == 0)
                                append(h, 1, now, i);
                        history_get_stats(h, &stats);
                        most = MAX_OF(most, stats.bytes);
                        most_held = MAX_OF(most_held, held - before);
                }
                print_message("at most %zu of %zu, %zu from malloc()\n", most, rows[k].bytes_max, most_held);
                assert_true(most <= rows[k].bytes_max);
                assert_true(most_held <= rows[k].bytes_max + 4 * KIB);
                assert_true(most >= rows[k].bytes_max / 3); /* the bound is used, too */
                assert_true(stats.n_subjects < rows[k].n);
                read_once(h, &t);
                assert_int_equal(t.n_defined, stats.n_subjects);
                assert_int_equal(t.n_gone, stats.n_subjects - 1);
                told_deinit(&t);
                (void)history_free(h);
                assert_int_equal(held, before);
        }
}

/* So many that their first values alone fill what there is; so many that their definitions do. */
static void test_crowd(void **state) {
        static const struct {
                size_t bytes_max, most;
                uint64_t n_samples;
        } rows[] = { { MIB, MIB, 300 }, { 64 * KIB, 700 * KIB, 1 } };

        (void)state;
        seed(9);
        for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
                _cleanup_(cleanup_history_free) History *h = history_of(rows[k].bytes_max, HISTORY_SPAN_USEC);
                HistoryStats stats;
                Told t = {};

                for (size_t i = 0; i < 3000; i++)
                        (void)add(h, "a");
                for (usec_t now = 0; now < 5 * SEC; now += SEC)
                        for (uint32_t i = 1; i <= 3000; i++) {
                                Sample s = { .at = MONO + now };

                                for (SampleField f = 0; f < _SAMPLE_MAX; f++)
                                        sample_put(&s, f, next_random());
                                assert_int_equal(history_append(h, i, &s, SAMPLE_ALL, REAL + now), 0);
                                history_get_stats(h, &stats);
                                assert_true(stats.bytes <= rows[k].most);
                        }
                assert_true(stats.n_chunks >= 1);
                assert_int_equal(stats.n_subjects, 3000);
                read_once(h, &t);
                assert_int_equal(t.n_defined, 3000);
                assert_true(t.n_samples >= rows[k].n_samples);
                told_deinit(&t);
        }
}

/*
 * The price: 1,000 containers, 50 of them busy and looked at each second with some 20 fields that change, the others
 * each 10 s with few; each in full once a minute. Half an hour and the chunk that is on its way out take less
 * than HISTORY_BYTES_MAX, definitions included.
 */
static void bump(Sample *s, SampleField f, uint64_t by) { sample_put(s, f, s->v[f] + by); }

static uint64_t pages(uint64_t n) { return (random_below(2 * n + 1) - n) * 4096; }

static void live_hot(Sample *s) {
        uint64_t cpu = 50000 + random_below(500000);

        bump(s, SAMPLE_CPU_USAGE, cpu);
        bump(s, SAMPLE_CPU_USER, cpu * 7 / 10);
        bump(s, SAMPLE_CPU_SYSTEM, cpu - cpu * 7 / 10);
        bump(s, SAMPLE_CPU_PERIODS, 10);
        bump(s, SAMPLE_CPU_THROTTLED, random_below(3));
        bump(s, SAMPLE_CPU_THROTTLED_USEC, random_below(100000));
        bump(s, SAMPLE_MEMORY, pages(256));
        sample_put(s, SAMPLE_MEMORY_PEAK, s->v[SAMPLE_MEMORY] + 4096 * random_below(64));
        bump(s, SAMPLE_IO_RBYTES, 4096 * random_below(500));
        bump(s, SAMPLE_IO_WBYTES, 4096 * random_below(500));
        bump(s, SAMPLE_IO_RIOS, random_below(200));
        bump(s, SAMPLE_IO_WIOS, random_below(200));
        sample_put(s, SAMPLE_PIDS, 20 + random_below(5));
        for (SampleField f = SAMPLE_CPU_SOME; f <= SAMPLE_IO_FULL; f++)
                bump(s, f, random_below(50000));
}

static void live_cold(Sample *s) {
        uint64_t cpu = random_below(2) ? random_below(5000) : 0;

        bump(s, SAMPLE_CPU_USAGE, cpu);
        bump(s, SAMPLE_CPU_USER, cpu / 2);
        bump(s, SAMPLE_CPU_SYSTEM, cpu - cpu / 2);
        if (random_below(4) == 0)
                bump(s, SAMPLE_MEMORY, pages(8));
        if (random_below(20) == 0)
                bump(s, SAMPLE_IO_SOME, random_below(2000));
}

static void live_slow(Sample *s, bool is_hot) {
        for (SampleField f = SAMPLE_ANON; f <= SAMPLE_PGMAJFAULT; f++)
                if (is_hot || f == SAMPLE_ANON || f == SAMPLE_FILE || f == SAMPLE_PGFAULT)
                        bump(s, f, f <= SAMPLE_INACTIVE_FILE ? pages(16) : random_below(1000));
}

static void test_price(void **state) {
        enum { N = 1000, N_HOT = 50, MINUTES = 70 };
        const SampleMask all = (SAMPLE_BIT(SAMPLE_PEAK_KIND) << 1) - 1;
        const SampleMask probe = sample_file_fields(SAMPLE_FILE_CPU_STAT) |
                                 sample_file_fields(SAMPLE_FILE_IO_PRESSURE) |
                                 sample_file_fields(SAMPLE_FILE_MEMORY_CURRENT);
        const SampleMask hot = all & ~sample_file_fields(SAMPLE_FILE_MEMORY_STAT);
        _cleanup_(cleanup_history_free) History *h = history_of(HISTORY_BYTES_MAX, HISTORY_SPAN_USEC);
        _cleanup_free_ Sample *samples = calloc(N, sizeof(*samples));
        uint64_t shortest = UINT64_MAX, at_half_hour = 0;
        HistoryStats stats;

        (void)state;
        assert_non_null(samples);
        seed(1);
        for (size_t i = 0; i < N; i++) {
                char name[32], cgroup[128];
                HistoryWho who = {
                        .kind = HISTORY_CONTAINER,
                        .cgroup_id = 1000 + i,
                        .since_realtime = REAL,
                        .tenant = "acme",
                        .name = name,
                        .cgroup = cgroup,
                };
                uint32_t index;

                (void)snprintf(name, sizeof(name), "app-%zu", i);
                (void)snprintf(cgroup, sizeof(cgroup), "/system.slice/docker-%064zu.scope", i);
                assert_int_equal(history_add(h, &who, &index), 0);
                assert_int_equal(index, i + 1);
                for (SampleField f = 0; f <= SAMPLE_PEAK_KIND; f++)
                        if (sample_info(f)->unit == UNIT_BYTES)
                                sample_put(&samples[i], f, 4096 * random_below(1 << 18));
                        else
                                sample_put(&samples[i], f, next_random() >> (34 + random_below(30)));
        }
        for (size_t t = 0; t < (size_t)60 * MINUTES; t++) {
                uint64_t realtime = REAL + t * SEC;

                for (size_t i = 0; i < N; i++) {
                        bool is_hot = i < N_HOT, slow = (t + i) % 60 == 0;
                        Sample *s = &samples[i];

                        if (!is_hot && (t + i) % 10)
                                continue;
                        (is_hot ? live_hot : live_cold)(s);
                        if (slow)
                                live_slow(s, is_hot);
                        s->at = MONO + t * SEC + i * 20; /* a look takes 20 µs */
                        assert_int_equal(history_append(h, (uint32_t)i + 1, s,
                                                        slow     ? all
                                                        : is_hot ? hot
                                                                 : probe,
                                                        realtime + i * 20),
                                         0);
                }
                history_get_stats(h, &stats);
                assert_true(stats.bytes <= HISTORY_BYTES_MAX);
                if (t == 30 * 60)
                        at_half_hour = stats.bytes;
                if (t > 30 * 60)
                        shortest = MIN_OF(shortest, realtime - stats.first_realtime);
        }
        print_message("1,000 containers: %.2f MiB in half an hour; at least %.1f minutes were kept\n",
                      (double)at_half_hour / MIB, (double)shortest / 60e6);
        assert_true(at_half_hour < HISTORY_BYTES_MAX * 9 / 10);
        assert_true(shortest >= HISTORY_SPAN_USEC);
}

/* ---- no memory ---- */

/* A short life of everything; returns how many samples were dropped, all others were told. */
static uint64_t live_short(History *h, uint64_t *ret_appended, uint64_t *ret_removed) {
        uint64_t n_dropped = 0;

        *ret_appended = *ret_removed = 0;
        for (uint64_t i = 0; i < 400; i++) {
                const HistoryWho who = {
                        .kind = HISTORY_CONTAINER, .tenant = "t", .name = "before", .cgroup = "/c"
                };
                const HistoryWho renamed = {
                        .kind = HISTORY_CONTAINER, .tenant = "t", .name = "after", .cgroup = "/c"
                };
                Sample s = { .at = MONO + i * SEC };
                uint32_t index = 0;
                int r;

                r = history_add(h, &who, &index);
                assert_true(r == 0 || (r == -ENOMEM && index == 0));
                if (r < 0)
                        continue;
                r = history_rename(h, index, &renamed);
                assert_true(r == 0 || r == -ENOMEM);
                for (int f = 0; f < _SAMPLE_MAX; f++)
                        sample_put(&s, (SampleField)f, UINT64_MAX / 2 - i);
                for (size_t n = 0; n < 4; n++) {
                        s.v[0] = n;
                        r = history_append(h, index, &s, SAMPLE_ALL, REAL + i * SEC);
                        assert_true(r == 0 || r == -ENOMEM);
                        n_dropped += r < 0;
                        ++*ret_appended;
                }
                if (i % 2) {
                        history_remove(h, index, s.at, REAL + i * SEC);
                        ++*ret_removed;
                }
        }
        return n_dropped;
}

static void check_no_memory(uint64_t at, uint64_t every) {
        uint64_t n_dropped, n_appended, n_removed;
        size_t before = held;
        HistoryStats stats;
        History *h = NULL;
        Told t = {};
        int r;

        refuse(at, every);
        r = history_new(1, 64 * MIB, HISTORY_SPAN_USEC, &h);
        if (r < 0) {
                assert_int_equal(r, -ENOMEM);
                refuse(0, 0);
                return;
        }
        n_dropped = live_short(h, &n_appended, &n_removed);
        refuse(0, 0);
        /* With memory again, ends that could not be told are. */
        append(h, add(h, "last"), 1000 * SEC, 1);
        history_get_stats(h, &stats);
        assert_int_equal(stats.n_dropped, n_dropped);
        read_once(h, &t);
        assert_int_equal(t.n_samples, n_appended - n_dropped + 1);
        assert_int_equal(t.n_gone, n_removed);
        assert_int_equal(t.n_defined, stats.n_subjects);
        told_deinit(&t);
        (void)history_free(h);
        assert_int_equal(held, before);
}

static void test_no_memory_writer(void **state) {
        uint64_t n;

        (void)state;
        check_no_memory(0, 0);
        n = n_allocations;
        assert_true(n > 1000);
        for (uint64_t i = 1; i <= 60; i++)
                check_no_memory(i, 0);
        for (uint64_t i = 61; i <= n; i += 97)
                check_no_memory(i, 0);
        for (uint64_t every = 1; every <= 13; every++)
                check_no_memory(0, every);
}

/* None for long: many end meanwhile, and each end is told later. */
static void test_no_memory_gone(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        HistoryStats stats;
        Told t = {};

        (void)state;
        for (size_t i = 0; i < 3000; i++)
                append(h, add(h, "a"), 0, i);
        refuse(0, 1);
        for (uint32_t i = 1; i < 3000; i++)
                history_remove(h, i, MONO + i, REAL + i);
        refuse(0, 0);
        read_once(h, &t);
        assert_true(t.n_gone < 2990); /* a few had room */
        assert_int_equal(t.n_defined, 3000);
        told_deinit(&t);
        append(h, 3000, SEC, 1);
        read_once(h, &t);
        assert_int_equal(t.n_gone, 2999);
        history_get_stats(h, &stats);
        assert_int_equal(stats.n_dropped, 0);
        told_deinit(&t);
        /* They are in the stream now, and go with it. */
        append(h, 3000, 2 * HISTORY_SPAN_USEC, 1);
        history_get_stats(h, &stats);
        assert_int_equal(stats.n_subjects, 1);
        assert_true(stats.bytes < 20 * KIB);
}

static void test_no_memory_export(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        _cleanup_buf_ Buf b = BUF_INIT;

        (void)state;
        (void)add(h, "a");
        append_many(h, 1, 0, 2000 * SEC);
        buf_puts(&b, "before");
        refuse(1, 0);
        assert_int_equal(history_export(h, 0, 0, 0, 0, 0, &b), -ENOMEM);
        refuse(0, 0);
        assert_string_equal(buf_str(&b), "before");
        assert_int_equal(history_export(h, 0, 0, 0, 0, 0, &b), 0);
        assert_true(b.len > 2000);
        assert_memory_equal(b.data, "before" HISTORY_MAGIC, strlen("before" HISTORY_MAGIC));
        assert_true(b.alloc <= b.len + 64); /* eight MiB are not grown by doubling */
}

static void on_sample_quiet(void *user, _unused_ uint32_t index, _unused_ const Sample *s,
                            _unused_ SampleMask fields, _unused_ uint64_t realtime) {
        ++*(uint64_t *)user;
}

static void test_no_memory_reader(void **state) {
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = NULL;
        _cleanup_buf_ Buf b = BUF_INIT;
        uint64_t n_samples = 0, n_failed = 0;
        const HistoryHandler quiet = { .sample = on_sample_quiet, .user = &n_samples };

        (void)state;
        for (size_t i = 0; i < 40; i++)
                append(h, add(h, "a"), i * SEC, 1);
        assert_int_equal(history_export(h, 0, 0, 0, 0, 0, &b), 0);
        refuse(1, 0);
        assert_null(history_reader_new());
        refuse(0, 0);
        r = history_reader_new();
        assert_non_null(r);
        for (uint64_t i = 1;; i++) {
                bool anew = false;
                int k;

                refuse(i, 0);
                k = history_read(r, b.data, b.len, &quiet, &anew);
                refuse(0, 0);
                assert_true(anew);
                if (k == 0)
                        break;
                n_failed++;
                assert_int_equal(k, -ENOMEM);
                assert_int_equal(history_reader_cursor(r), 0);
                assert_int_equal(history_reader_instance(r), 0);
                n_samples = 0;
                assert_int_equal(history_read(r, b.data, b.len, &quiet, &anew), 0);
                assert_true(anew);
                assert_int_equal(n_samples, 40);
                r = history_reader_free(r);
                r = history_reader_new();
                assert_non_null(r);
        }
        assert_true(n_failed > 3 * 40);
}

/* The smallest definitions and samples that there are: what is held is in proportion to the input. */
static void test_reader_memory(void **state) {
        static const char definition[] = "\x01\x03\x07\x09\x00\x00\x00";
        static const char sample[] = "\x02\x02\x00\x00";
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        HistoryHeader header = { .magic = HISTORY_MAGIC, .version = HISTORY_VERSION };
        _cleanup_buf_ Buf b = BUF_INIT;
        uint64_t n_samples = 0;
        const HistoryHandler quiet = { .sample = on_sample_quiet, .user = &n_samples };
        size_t before;
        bool anew;

        (void)state;
        assert_non_null(r);
        header.header_bytes = sizeof(header);
        header.n_definitions = 10000;
        header.end = 4 + header.n_definitions * (sizeof(sample) - 1);
        buf_append(&b, &header, sizeof(header));
        for (size_t i = 0; i < header.n_definitions; i++) {
                const char index[] = { (char)(i | 0x80), (char)(i >> 7 | 0x80), (char)(i >> 14) };

                buf_append(&b, index, sizeof(index));
                buf_append(&b, definition + 1, sizeof(definition) - 2);
        }
        buf_append(&b, "\x01\x00\x00\x00", 4);
        for (size_t i = 0; i < header.n_definitions; i++)
                buf_append(&b, sample, sizeof(sample) - 1);
        before = held;
        /* The first sample is of index 1, so the last one is of an index that is not defined. */
        assert_int_equal(history_read(r, b.data, b.len, &quiet, &anew), -EBADMSG);
        assert_int_equal(n_samples, header.n_definitions - 1);
        assert_true(held - before < 3 * b.len); /* the texts only: all else is forgotten */
        b.data[sizeof(header) + header.n_definitions * 9 + 4 + 1] = 0; /* from 0 on */
        assert_int_equal(history_read(r, b.data, b.len, &quiet, &anew), 0);
        assert_true(held - before < 60 * b.len);
}

/* ---- damage ---- */

static void test_cut(void **state) {
        Told full = {};
        _cleanup_buf_ Buf b = BUF_INIT;
        World w;

        (void)state;
        seed(5);
        world_init(&w, MIB, HISTORY_SPAN_USEC);
        for (size_t i = 0; i < 120; i++)
                world_step(&w);
        read_once(w.h, &full);
        assert_int_equal(history_export(w.h, 0, 0, 0, 0, 0, &b), 0);
        for (size_t n = 0; n < b.len; n++) {
                _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
                _cleanup_free_ char *exact = malloc(n ?: 1);
                Told t = {};
                bool anew;

                assert_non_null(r);
                assert_non_null(exact);
                memcpy(exact, b.data, n);
                assert_int_equal(read_into(r, exact, n, &t, &anew), -EBADMSG);
                assert_int_equal(t.n_samples + t.n_gone, 0);
                assert_memory_equal(buf_str(&t.definitions), buf_str(&full.definitions), t.definitions.len);
                told_deinit(&t);
        }
        told_deinit(&full);
        world_deinit(&w);
}

#define TEXT(s) (s), sizeof(s) - 1
#define DEFINITION "\x01\x03\x07\x09\x01t\x01n\x02/c"
#define CHUNK "\x01\x0a\x14\x00"

typedef struct Row {
        const char *what;
        uint64_t n_definitions;
        const char *definitions;
        size_t definitions_len;
        const char *records;
        size_t records_len;
        int result;
        const char *events;
} Row;

static void check_row(const Row *row, uint32_t version) {
        _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
        const HistoryHeader header = { .magic = HISTORY_MAGIC,
                                       .version = version,
                                       .header_bytes = sizeof(header),
                                       .instance = 1,
                                       .begin = 100,
                                       .end = 100 + row->records_len,
                                       .n_definitions = row->n_definitions };
        _cleanup_buf_ Buf b = BUF_INIT;
        Told t = {};
        bool anew;
        int k;

        assert_non_null(r);
        buf_append(&b, &header, sizeof(header));
        buf_append(&b, row->definitions, row->definitions_len);
        buf_append(&b, row->records, row->records_len);
        k = read_into(r, b.data, b.len, &t, &anew);
        if (k != row->result)
                fail_msg("%s: %d", row->what, k);
        if (row->events && strncmp(buf_str(&t.events), row->events, strlen(row->events)))
                fail_msg("%s: %s", row->what, buf_str(&t.events));
        assert_int_equal(history_reader_cursor(r), k < 0 ? 0 : header.end);
        assert_int_equal(history_reader_instance(r), k < 0 ? 0 : 1);
        told_deinit(&t);
}

static void test_damage(void **state) {
        static const Row rows[] = {
                { "nothing", 0, TEXT(""), TEXT(""), 0, "" },
                { "a sample", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x02\x00\x01\x01\x0a"), 0,
                  "1 at 20 10 fields 1 have 1" },
                { "one that is less", 1, TEXT(DEFINITION), TEXT(CHUNK "\x03\x02\x00\x01\x03\x0a\x0a\x01\x01"),
                  0, "1 at 20 10 fields 3 have 2" },
                { "in pages", 1, TEXT(DEFINITION),
                  TEXT("\x01\x0a\x14\x01\x03\x02\x02\x04\x01\x03\x03\x00\x0a"), 0,
                  "1 at 2020 2010 fields 3 have 3" },
                { "an end", 1, TEXT(DEFINITION), TEXT(CHUNK "\x04\x02\x02"), 0, "1 gone 1010" },
                { "a field of later", 1, TEXT(DEFINITION),
                  TEXT(CHUNK "\x02\x02\x00\x81\x80\x02\x01\x80\x0a\xff\xff\x03"), 0,
                  "1 at 20 10 fields 1 have 1" },
                { "a mask of later", 1, TEXT(DEFINITION),
                  TEXT(CHUNK "\x02\x02\x00\x81\x80\x04\x01\x80\x0a\xff\xff\x03"), -EBADMSG, NULL },
                { "its mask is cut", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x02\x00\x81\x80"), -EBADMSG,
                  NULL },
                { "a record of later", 1, TEXT(DEFINITION), TEXT("\x40\x02xx" CHUNK "\xff\x00"), 0, "" },
                { "one that is cut", 1, TEXT(DEFINITION), TEXT(CHUNK "\x40\x02x"), -EBADMSG, NULL },
                { "one too long by far", 0, TEXT(""), TEXT("\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                  -EBADMSG, NULL },
                { "no such record", 1, TEXT(DEFINITION), TEXT(CHUNK "\x05\x00"), -EBADMSG, NULL },
                { "record 0", 1, TEXT(DEFINITION), TEXT("\x00"), -EBADMSG, NULL },
                { "before a chunk", 1, TEXT(DEFINITION), TEXT("\x02\x02\x00\x01\x01\x0a"), -EBADMSG, NULL },
                { "not defined", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x04\x00\x01\x01\x0a"), -EBADMSG,
                  NULL },
                { "after its end", 1, TEXT(DEFINITION), TEXT(CHUNK "\x04\x02\x00\x04\x00\x00"), -EBADMSG,
                  NULL },
                { "no deltas", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x02\x00\x01\x03\x0a"), -EBADMSG, NULL },
                { "no mask", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x02\x00\x03\x03"), -EBADMSG, NULL },
                { "no mask at all", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x02\x00"), -EBADMSG, NULL },
                { "no less", 1, TEXT(DEFINITION), TEXT(CHUNK "\x03\x02\x00\x01\x01\x0a"), -EBADMSG, NULL },
                { "no pages", 1, TEXT(DEFINITION), TEXT("\x01\x0a\x14\x01\x01\x02\x02\x00\x01\x01\x00"),
                  -EBADMSG, NULL },
                { "a number beyond 64 bits", 0, TEXT(""),
                  TEXT("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), -EBADMSG, NULL },
                { "a number of 11 bytes", 0, TEXT(""),
                  TEXT("\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00\x00"), -EBADMSG, NULL },
                { "the chunk is cut", 0, TEXT(""), TEXT("\x01\x0a"), -EBADMSG, NULL },
                { "an index beyond 32 bits", 1, TEXT("\x80\x80\x80\x80\x10\x03\x07\x09\x00\x00\x00"),
                  TEXT(""), -EBADMSG, NULL },
                { "kind 0", 1, TEXT("\x01\x00\x07\x09\x00\x00\x00"), TEXT(""), -EBADMSG, NULL },
                { "kind 4", 1, TEXT("\x01\x04\x07\x09\x00\x00\x00"), TEXT(""), -EBADMSG, NULL },
                { "a NUL in a name", 1, TEXT("\x01\x03\x07\x09\x00\x01\x00\x00"), TEXT(""), -EBADMSG, NULL },
                { "a text that is cut", 1, TEXT("\x01\x03\x07\x09\x00\x00\x05xx"), TEXT(""), -EBADMSG, NULL },
                { "more definitions than there are", UINT64_MAX, TEXT(DEFINITION), TEXT(""), -EBADMSG, NULL },
        }, version_1[] = {
                { "the last field that it can tell", 1, TEXT(DEFINITION),
                  TEXT(CHUNK "\x02\x02\x00\x81\x01\x80\x0a\xff\xff\x03"), 0,
                  "1 at 20 10 fields 8000000000000001 have 8000000000000001" },
                { "no mask at all", 1, TEXT(DEFINITION), TEXT(CHUNK "\x02\x02\x00"), -EBADMSG,
                  NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                check_row(&rows[i], HISTORY_VERSION);
        for (size_t i = 0; i < ARRAY_SIZE(version_1); i++)
                check_row(&version_1[i], 1);
}

static void test_header(void **state) {
        static const struct {
                size_t at;
                uint8_t value;
                int result;
        } rows[] = {
                { 0, 'b', 0 },
                { 0, 'B', -EBADMSG },
                { 7, 0, -EBADMSG },
                { offsetof(HistoryHeader, version), 0, -EBADMSG },
                { offsetof(HistoryHeader, version), HISTORY_VERSION + 1, -EPROTONOSUPPORT },
                { offsetof(HistoryHeader, version) + 3, 1, -EPROTONOSUPPORT },
                { offsetof(HistoryHeader, header_bytes), 71, -EBADMSG },
                { offsetof(HistoryHeader, header_bytes), 73, -EBADMSG }, /* then the rest is one short */
                { offsetof(HistoryHeader, header_bytes) + 3, 1, -EBADMSG },
                { offsetof(HistoryHeader, begin) + 7, 1, -EBADMSG },
                { offsetof(HistoryHeader, end), 0xff, -EBADMSG },
                { offsetof(HistoryHeader, n_definitions), 0, -EBADMSG },
                { offsetof(HistoryHeader, lost), 9, 0 },
        };
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        _cleanup_buf_ Buf b = BUF_INIT, longer = BUF_INIT;
        const uint32_t header_bytes = sizeof(HistoryHeader) + 8;
        Told t = {};
        bool anew;

        (void)state;
        (void)add(h, "a");
        append(h, 1, 0, 1);
        assert_int_equal(history_export(h, 0, 0, 0, 0, 0, &b), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();
                char before = b.data[rows[i].at];
                int k;

                assert_non_null(r);
                b.data[rows[i].at] = (char)rows[i].value;
                k = read_into(r, b.data, b.len, &t, &anew);
                if (k != rows[i].result)
                        fail_msg("row %zu: %d", i, k);
                b.data[rows[i].at] = before;
        }
        told_deinit(&t);
        /* A later one of this version may have more in its header. */
        {
                _cleanup_(cleanup_history_reader_free) HistoryReader *r = history_reader_new();

                assert_non_null(r);
                buf_append(&longer, b.data, sizeof(HistoryHeader));
                buf_append(&longer, "........", 8);
                buf_append(&longer, b.data + sizeof(HistoryHeader), b.len - sizeof(HistoryHeader));
                memcpy(longer.data + offsetof(HistoryHeader, header_bytes), &header_bytes, 4);
                assert_int_equal(read_into(r, longer.data, longer.len, &t, &anew), 0);
                assert_int_equal(t.n_samples, 1);
                told_deinit(&t);
        }
}

/* The bytes, as history.h has them: a guard and a reader of another build must agree. */
static void test_bytes(void **state) {
        static const char want[] =
                "\x01\x03\x07\x00\x01t\x01n\x02/c" /* the definition */
                "\x01\x90\x4e\xa0\x9c\x01" /* CHUNK: 10000, 20000 */
                "\x5f\x80\xff\x03\x60\x02\x7c" /* the fields in pages */
                "\x02\x02\x00\x01\x81\x06\x05" /* SAMPLE: CPU 3, memory 2 pages */
                "\x03\x00\x0a\x01\x01\x00\x01\x01\x01" /* SAMPLE_LESS: a byte less, no CPU */
                "\x04\x00\x0a" /* GONE */;
        _cleanup_(cleanup_history_free) History *h = history_of(MIB, HISTORY_SPAN_USEC);
        const HistoryWho who = {
                .kind = HISTORY_CONTAINER, .cgroup_id = 7, .tenant = "t", .name = "n", .cgroup = "/c"
        };
        _cleanup_buf_ Buf b = BUF_INIT;
        Sample s = { .at = 20000 };
        uint32_t index;

        (void)state;
        assert_int_equal(history_add(h, &who, &index), 0);
        sample_put(&s, SAMPLE_CPU_USAGE, 3);
        sample_put(&s, SAMPLE_MEMORY, 8192);
        assert_int_equal(history_append(h, index, &s, s.have, 10000), 0);
        s.at += 5000;
        sample_clear(&s, SAMPLE_BIT(SAMPLE_CPU_USAGE));
        sample_put(&s, SAMPLE_MEMORY, 8191);
        assert_int_equal(history_append(h, index, &s, SAMPLE_ALL, 15000), 0);
        history_remove(h, index, 30000, 20000);
        assert_int_equal(history_export(h, 0, 0, 0, 0, 0, &b), 0);
        assert_int_equal(b.len, sizeof(HistoryHeader) + sizeof(want) - 1);
        assert_memory_equal(b.data + sizeof(HistoryHeader), want, sizeof(want) - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_dropped),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_lost),
                cmocka_unit_test(test_since),
                cmocka_unit_test(test_rename),
                cmocka_unit_test(test_span),
                cmocka_unit_test(test_storm),
                cmocka_unit_test(test_crowd),
                cmocka_unit_test(test_price),
                cmocka_unit_test(test_no_memory_writer),
                cmocka_unit_test(test_no_memory_gone),
                cmocka_unit_test(test_no_memory_export),
                cmocka_unit_test(test_no_memory_reader),
                cmocka_unit_test(test_reader_memory),
                cmocka_unit_test(test_cut),
                cmocka_unit_test(test_damage),
                cmocka_unit_test(test_header),
                cmocka_unit_test(test_bytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
