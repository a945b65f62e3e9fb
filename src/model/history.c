/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The last half hour of samples: the writer.
 *
 * The stream lies in chunks, each a piece of memory of its own in a list. A
 * chunk needs nothing of those before it, so that the oldest can go at any
 * time; the price is that it repeats the values of everybody whom it tells of.
 * For each subject that lives the last values are kept, and a record has what
 * differs from them. They are forgotten lazily: a subject whose serial is
 * another than the newest chunk's has told nothing in this chunk yet.
 *
 * Subjects are an array ordered by index, which only grows at its end; a binary
 * search finds one. Their definitions are kept as they go over the wire. A dead
 * subject counts as part of the chunk that has its GONE, which is its last
 * record, and goes with it: a storm of containers that live for a moment fills
 * chunks with the dead as well as with records.
 *
 * A chunk grows by a sixteenth, and is cut to what it has when it ends, so that
 * only the newest has slack. Where memory cannot be had, a sample is dropped
 * and counted; an end is not dropped but told with the next record, for
 * whoever waits for it would wait for ever.
 */

#include "history-internal.h"

#define CHUNK_BYTES_MIN ((size_t)64 * 1024)
#define CHUNK_STEP_MIN ((size_t)8 * 1024)
#define CHUNK_FIRST_FACTOR 8
#define CHUNKS_PER_SPAN 6
#define CLOCK_SET_USEC ((int64_t)USEC_PER_SEC) /* so far apart, the realtime clock was set */
#define ITEMS_MIN ((size_t)64)
#define MALLOC_COST 16
/* Type, index, time, two masks, all values. */
#define RECORD_MAX \
        (1 + 2 * HISTORY_VARINT_MAX + 2 * HISTORY_MASK_MAX + _SAMPLE_MAX * (1 + HISTORY_VARINT_MAX))
_Static_assert(RECORD_MAX < CHUNK_STEP_MIN, "a step is enough for a record");

typedef struct Subject {
        uint64_t defined_at, gone_at; /* cursors; gone_at UINT64_MAX: not told yet */
        uint64_t serial; /* of the chunk that mask, have and last are of */
        SampleMask mask; /* of the last record */
        SampleMask have;
        uint64_t *last; /* [_SAMPLE_MAX]; NULL: it is dead */
        struct Subject *next; /* of those whose end is untold */
        uint8_t *definition;
        uint32_t definition_len;
        uint32_t index;
} Subject;

typedef struct Item {
        uint32_t index; /* here, too, for the search */
        Subject *subject;
} Item;

typedef struct Chunk {
        struct Chunk *next;
        uint64_t begin; /* cursor */
        uint64_t realtime;
        usec_t monotonic, latest; /* of its first record, of its last */
        uint8_t *data;
        size_t len, alloc;
        size_t first_bytes; /* of records with values that were not told before */
        size_t dead_bytes; /* subjects whose end it tells */
} Chunk;

struct History {
        uint64_t instance;
        size_t bytes_max;
        usec_t span;
        SampleMask paged; /* the fields of bytes of memory and disks */
        Chunk *oldest, *newest;
        size_t n_chunks;
        uint64_t serial; /* of the newest chunk; 0: none yet */
        uint64_t last_ms; /* since its base, of its last record */
        uint32_t last_index;
        uint32_t next_index;
        Item *items;
        size_t n_items, items_alloc;
        Subject *untold; /* dead, GONE not told yet */
        size_t chunk_bytes, living_bytes; /* the dead are in chunk_bytes */
        uint64_t n_dropped;
};

/* ---- encoding: p has room ---- */

static uint8_t *put_varint(uint8_t *p, uint64_t v) {
        while (v >= 0x80) {
                *p++ = (uint8_t)(v | 0x80);
                v >>= 7;
        }
        *p++ = (uint8_t)v;
        return p;
}

static uint8_t *put_delta(uint8_t *p, uint64_t v, uint64_t last) {
        return put_varint(p, history_zigzag(v - last));
}

/* Bytes mostly come in pages. */
static uint8_t *put_value(uint8_t *p, bool paged, uint64_t v, uint64_t last) {
        uint64_t delta = v - last;

        if (paged) {
                if (delta % HISTORY_PAGE == 0)
                        return put_varint(p, history_zigzag((uint64_t)((int64_t)delta / HISTORY_PAGE)) + 1);
                *p++ = 0;
        }
        return put_varint(p, history_zigzag(delta));
}

static uint8_t *put_mask(uint8_t *p, SampleMask mask) {
        uint64_t which = 0;

        for (unsigned i = 0; i < HISTORY_MASK_BYTES; i++)
                which |= (uint64_t)((mask >> 8 * i & 0xff) != 0) << i;
        p = put_varint(p, which);
        for (; mask; mask >>= 8)
                if (mask & 0xff)
                        *p++ = (uint8_t)mask;
        return p;
}

/* Longer texts are cut, not inside of a character. */
static size_t text_len(const char *s) {
        size_t n = strnlen(s, HISTORY_TEXT_MAX + 1);

        if (n <= HISTORY_TEXT_MAX)
                return n;
        for (n = HISTORY_TEXT_MAX; n > HISTORY_TEXT_MAX - 3 && ((unsigned char)s[n] & 0xc0) == 0x80;)
                n--;
        return n;
}

static int encode_definition(uint32_t index, const HistoryWho *who, uint8_t **ret, size_t *ret_len) {
        const char *const texts[] = { who->tenant, who->name, who->cgroup };
        uint8_t *p, *d;
        size_t n[ARRAY_SIZE(texts)], sum = (size_t)(4 + ARRAY_SIZE(texts)) * HISTORY_VARINT_MAX;

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                sum += n[i] = text_len(texts[i]);
        d = malloc(sum);
        if (!d)
                return -ENOMEM;
        p = put_varint(d, index);
        p = put_varint(p, who->kind);
        p = put_varint(p, who->cgroup_id);
        p = put_varint(p, who->since_realtime);
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                p = put_varint(p, n[i]);
                memcpy(p, texts[i], n[i]);
                p += n[i];
        }
        *ret_len = (size_t)(p - d);
        *ret = realloc(d, *ret_len) ?: d;
        return 0;
}

/* ---- subjects ---- */

static size_t subject_bytes(const Subject *s) {
        return sizeof(*s) + s->definition_len + (size_t)2 * MALLOC_COST;
}

static void subject_free(Subject *s) {
        free(s->last);
        free(s->definition);
        free(s);
}

/* Of those that live. */
static Subject *find_living(const History *h, uint32_t index) {
        size_t low = 0, high = h->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (h->items[middle].index < index)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < h->n_items && h->items[low].index == index && h->items[low].subject->last
                       ? h->items[low].subject
                       : NULL;
}

/* Takes those out that nothing kept tells of any more: gone before the cursor. */
static void sweep_subjects(History *h, uint64_t before) {
        size_t n = 0;

        for (size_t i = 0; i < h->n_items; i++) {
                Subject *s = h->items[i].subject;

                if (!s->last && s->gone_at < before)
                        subject_free(s);
                else
                        h->items[n++] = h->items[i];
        }
        h->n_items = n;
        if (h->items_alloc > ITEMS_MIN && n < h->items_alloc / 4) {
                size_t alloc = MAX_OF(n * 2, ITEMS_MIN);
                Item *p = reallocarray(h->items, alloc, sizeof(*p));

                if (p) {
                        h->items = p;
                        h->items_alloc = alloc;
                }
        }
}

/* ---- chunks ---- */

static uint64_t cursor_first(const History *h) { return h->oldest ? h->oldest->begin : 0; }

static uint64_t cursor_next(const History *h) { return h->newest ? h->newest->begin + h->newest->len : 0; }

static size_t subjects_bytes(const History *h) { return h->living_bytes + h->items_alloc * sizeof(Item); }

static size_t bytes_held(const History *h) { return h->chunk_bytes + subjects_bytes(h); }

static Chunk *chunk_free(Chunk *c) {
        if (!c)
                return NULL;
        free(c->data);
        free(c);
        return NULL;
}

static size_t chunk_cost(const Chunk *c) {
        return sizeof(*c) + c->alloc + (size_t)2 * MALLOC_COST + c->dead_bytes;
}

static void drop_oldest(History *h) {
        Chunk *c = h->oldest;

        h->oldest = c->next;
        h->n_chunks--;
        h->chunk_bytes -= chunk_cost(c);
        if (c->dead_bytes)
                sweep_subjects(h, h->oldest->begin);
        (void)chunk_free(c);
}

/* The newest always stays. */
static void trim_bytes(History *h) {
        while (h->oldest != h->newest && bytes_held(h) > h->bytes_max)
                drop_oldest(h);
}

static void trim_span(History *h, usec_t now) {
        while (h->oldest != h->newest && now > h->oldest->latest && now - h->oldest->latest >= h->span)
                drop_oldest(h);
}

static int chunk_resize(History *h, Chunk *c, size_t alloc) {
        uint8_t *p = realloc(c->data, alloc);

        if (!p)
                return -ENOMEM;
        h->chunk_bytes += alloc - c->alloc;
        c->data = p;
        c->alloc = alloc;
        return 0;
}

/*
 * Where there are too many subjects for chunks as long as they should be, two must fit all the same: one would
 * be the whole history, gone at once.
 */
static bool chunk_ends(const History *h, const Chunk *c, usec_t at, uint64_t realtime) {
        int64_t set = (int64_t)((realtime - c->realtime) - (at - c->monotonic));
        size_t weight = c->len + c->dead_bytes, low = MIN_OF(CHUNK_BYTES_MIN, h->bytes_max / 8), high, held;

        if (at > c->monotonic && at - c->monotonic >= h->span / CHUNKS_PER_SPAN)
                return true;
        if (set > CLOCK_SET_USEC || set < -CLOCK_SET_USEC)
                return true;
        held = subjects_bytes(h);
        high = held < h->bytes_max ? (h->bytes_max - held) / 2 : 0;
        return weight >= low && (weight >= high || weight >= c->first_bytes * CHUNK_FIRST_FACTOR);
}

static int chunk_begin(History *h, usec_t at, uint64_t realtime) {
        _cleanup_free_ Chunk *c = calloc(1, sizeof(*c));
        Chunk *before = h->newest;
        uint8_t *p;

        if (!c)
                return -ENOMEM;
        c->data = malloc(CHUNK_STEP_MIN);
        if (!c->data)
                return -ENOMEM;
        c->alloc = CHUNK_STEP_MIN;
        c->begin = cursor_next(h);
        c->realtime = realtime;
        c->monotonic = c->latest = at;
        p = c->data;
        *p++ = HISTORY_RECORD_CHUNK;
        p = put_varint(p, realtime);
        p = put_varint(p, at);
        p = put_mask(p, h->paged);
        c->len = (size_t)(p - c->data);
        h->chunk_bytes += chunk_cost(c);
        h->n_chunks++;
        h->serial++;
        h->last_ms = 0;
        h->last_index = 0;
        if (before) {
                before->next = c;
                (void)chunk_resize(h, before, before->len);
        } else
                h->oldest = c;
        h->newest = steal_ptr(c);
        trim_span(h, at);
        return 0;
}

/* Room for a record in the newest chunk, and its head: type, index, time. NULL: no memory. */
static uint8_t *record_begin(History *h, HistoryRecord type, uint32_t index, usec_t at, uint64_t realtime) {
        Chunk *c = h->newest;
        uint64_t ms;
        uint8_t *p;

        if (!c || chunk_ends(h, c, at, realtime)) {
                if (chunk_begin(h, at, realtime) < 0)
                        return NULL;
                c = h->newest;
        }
        if (c->alloc - c->len < RECORD_MAX &&
            chunk_resize(h, c, c->alloc + MAX_OF(CHUNK_STEP_MIN, c->alloc / 16)) < 0)
                return NULL;
        p = c->data + c->len;
        *p++ = (uint8_t)type;
        p = put_delta(p, index, h->last_index);
        /* A look may be a little older than the chunk. */
        ms = (uint64_t)((int64_t)(at - c->monotonic) / (int64_t)USEC_PER_MSEC);
        p = put_delta(p, ms, h->last_ms);
        h->last_ms = ms;
        h->last_index = index;
        c->latest = MAX_OF(c->latest, at);
        return p;
}

/* Returns its bytes. */
static size_t record_end(History *h, const uint8_t *p) {
        Chunk *c = h->newest;
        size_t n = (size_t)(p - c->data) - c->len;

        c->len += n;
        return n;
}

/* Those whose end is not told yet. */
static int tell_gone(History *h, usec_t now, uint64_t realtime) {
        for (Subject *s; (s = h->untold);) {
                uint8_t *p = record_begin(h, HISTORY_RECORD_GONE, s->index, now, realtime);

                if (!p)
                        return -ENOMEM;
                s->gone_at = cursor_next(h);
                (void)record_end(h, p);
                h->newest->dead_bytes += subject_bytes(s);
                h->chunk_bytes += subject_bytes(s);
                h->living_bytes -= subject_bytes(s);
                h->untold = s->next;
        }
        return 0;
}

/* ---- the interface ---- */

int history_new(uint64_t instance, size_t bytes_max, usec_t span, History **ret) {
        History *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;
        h->instance = instance;
        h->bytes_max = bytes_max;
        h->span = span;
        h->next_index = 1;
        for (SampleField f = 0; f < _SAMPLE_MAX; f++)
                if (sample_info(f)->unit == UNIT_BYTES && sample_info(f)->file != SAMPLE_FILE_NET_DEV)
                        h->paged |= SAMPLE_BIT(f);
        *ret = h;
        return 0;
}

History *history_free(History *h) {
        if (!h)
                return NULL;
        for (size_t i = 0; i < h->n_items; i++)
                subject_free(h->items[i].subject);
        free(h->items);
        for (Chunk *c = h->oldest, *next; c; c = next) {
                next = c->next;
                (void)chunk_free(c);
        }
        free(h);
        return NULL;
}

int history_add(History *h, const HistoryWho *who, uint32_t *ret_index) {
        Subject *s;
        size_t len;
        int r;

        if (h->next_index == UINT32_MAX || GROW(h->items, h->n_items, h->items_alloc) < 0)
                return -ENOMEM;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->last = malloc(_SAMPLE_MAX * sizeof(*s->last));
        r = s->last ? encode_definition(h->next_index, who, &s->definition, &len) : -ENOMEM;
        if (r < 0) {
                subject_free(s);
                return r;
        }
        s->definition_len = (uint32_t)len;
        s->index = h->next_index++;
        s->defined_at = cursor_next(h);
        s->gone_at = UINT64_MAX;
        h->items[h->n_items++] = (Item){ .index = s->index, .subject = s };
        h->living_bytes += subject_bytes(s);
        trim_bytes(h);
        *ret_index = s->index;
        return 0;
}

int history_rename(History *h, uint32_t index, const HistoryWho *who) {
        Subject *s = find_living(h, index);
        _cleanup_free_ uint8_t *definition = NULL;
        size_t len;
        int r;

        if (!s)
                return -ENOENT;
        r = encode_definition(index, who, &definition, &len);
        if (r < 0)
                return r;
        if (len == s->definition_len && memcmp(definition, s->definition, len) == 0)
                return 0;
        h->living_bytes += len - s->definition_len;
        free(s->definition);
        s->definition = steal_ptr(definition);
        s->definition_len = (uint32_t)len;
        s->defined_at = cursor_next(h);
        trim_bytes(h);
        return 0;
}

/* Of `fields`, those to tell. */
static SampleMask changed_fields(const Subject *w, const Sample *s, SampleMask fields) {
        SampleMask changed = 0;

        for (SampleMask rest = fields & s->have; rest;) {
                SampleField f = history_next_field(&rest);

                if (!(w->have & SAMPLE_BIT(f)) || w->last[f] != s->v[f])
                        changed |= SAMPLE_BIT(f);
        }
        return changed;
}

static void append(History *h, Subject *w, uint8_t *p, const Sample *s, SampleMask fields) {
        SampleMask changed, less, new;
        size_t n;

        if (w->serial != h->serial) {
                memset(w->last, 0, _SAMPLE_MAX * sizeof(*w->last));
                w->have = w->mask = 0;
                w->serial = h->serial;
        }
        changed = changed_fields(w, s, fields);
        less = fields & w->have & ~s->have;
        new = changed & ~w->have;
        p = put_mask(p, changed ^ w->mask);
        for (SampleMask rest = changed; rest;) {
                SampleField f = history_next_field(&rest);

                p = put_value(p, h->paged & SAMPLE_BIT(f), s->v[f], w->last[f]);
                w->last[f] = s->v[f];
        }
        w->mask = changed;
        w->have = (w->have | changed) & ~less;
        if (less) {
                h->newest->data[h->newest->len] = HISTORY_RECORD_SAMPLE_LESS;
                p = put_mask(p, less);
                while (less)
                        w->last[history_next_field(&less)] = 0;
        }
        n = record_end(h, p);
        if (new)
                h->newest->first_bytes += n;
}

int history_append(History *h, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime) {
        Subject *w = find_living(h, index);
        uint8_t *p;

        if (!w)
                return -ENOENT;
        p = tell_gone(h, s->at, realtime) < 0
                    ? NULL
                    : record_begin(h, HISTORY_RECORD_SAMPLE, index, s->at, realtime);
        if (!p) {
                h->n_dropped++;
                return -ENOMEM;
        }
        append(h, w, p, s, fields & SAMPLE_ALL);
        trim_bytes(h);
        return 0;
}

void history_remove(History *h, uint32_t index, usec_t now, uint64_t realtime) {
        Subject *s = find_living(h, index);

        if (!s)
                return;
        free(s->last);
        s->last = NULL;
        s->next = h->untold;
        h->untold = s;
        (void)tell_gone(h, now, realtime);
        trim_bytes(h);
}

void history_get_stats(const History *h, HistoryStats *ret) {
        *ret = (HistoryStats){
                .first = cursor_first(h),
                .next = cursor_next(h),
                .first_realtime = h->oldest ? h->oldest->realtime : 0,
                .bytes = bytes_held(h),
                .n_chunks = h->n_chunks,
                .n_subjects = h->n_items,
                .n_dropped = h->n_dropped,
        };
}

/* ---- the export ---- */

static const Chunk *chunk_since(const History *h, uint64_t since_realtime) {
        const Chunk *found = h->oldest;

        for (const Chunk *c = found; c; c = c->next)
                if (since_realtime > 0 && c->realtime <= since_realtime)
                        found = c;
        return found;
}

/* New to who has read up to the cursor, and told of from begin on. */
static bool is_wanted(const Subject *s, uint64_t cursor, uint64_t begin) {
        return s->defined_at >= cursor && s->gone_at >= begin;
}

static void export_records(const History *h, uint64_t begin, Buf *out) {
        for (const Chunk *c = h->oldest; c; c = c->next) {
                uint64_t skip = begin > c->begin ? begin - c->begin : 0;

                if (skip < c->len)
                        buf_append(out, c->data + skip, c->len - skip);
        }
}

int history_export(const History *h, uint64_t instance, uint64_t cursor, uint64_t since_realtime,
                   uint64_t realtime, usec_t now, Buf *out) {
        uint64_t first = cursor_first(h), next = cursor_next(h), begin, n = 0;
        bool ours = instance == h->instance && cursor > 0 && cursor <= next;
        HistoryHeader header;
        size_t len = 0;
        int r;

        if (ours && cursor >= first)
                begin = cursor;
        else {
                const Chunk *c = chunk_since(h, since_realtime);

                begin = c ? c->begin : 0;
        }
        header = (HistoryHeader){
                .magic = HISTORY_MAGIC,
                .version = htole32(HISTORY_VERSION),
                .header_bytes = htole32(sizeof(header)),
                .instance = htole64(h->instance),
                .begin = htole64(begin),
                .end = htole64(next),
                .lost = htole64(ours && cursor < first ? first - cursor : 0),
                .realtime = htole64(realtime),
                .monotonic = htole64(now),
        };
        if (!ours || cursor < first)
                cursor = 0;
        for (size_t i = 0; i < h->n_items; i++)
                if (is_wanted(h->items[i].subject, cursor, begin)) {
                        len += h->items[i].subject->definition_len;
                        n++;
                }
        header.n_definitions = htole64(n);
        r = buf_reserve(out, sizeof(header) + len + (next - begin));
        if (r < 0)
                return r;
        buf_append(out, &header, sizeof(header));
        for (size_t i = 0; i < h->n_items; i++)
                if (is_wanted(h->items[i].subject, cursor, begin))
                        buf_append(out, h->items[i].subject->definition, h->items[i].subject->definition_len);
        export_records(h, begin, out);
        return 0;
}
