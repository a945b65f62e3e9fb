/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The last half hour of samples: the reader, total on any bytes.
 *
 * A cursor walks over the export; each piece is taken only where it is there
 * in full and makes sense. A record of a subject that was not defined or has
 * ended, or one before the first chunk, is damage and ends the reading. The
 * length of the records is known twice over (end less begin, and what is
 * there), so that a cut export is found out before one of its records is told.
 * Fields that only a later version knows are read and left out.
 *
 * After a failure part of an export has been applied, and reading it again
 * would apply that part twice: so the reader forgets everything, and the next
 * read, from cursor 0, is anew.
 *
 * Values of a subject take memory once it has a sample. The texts of
 * definitions stand in a list until the next read, whatever becomes of the
 * subject meanwhile.
 */

#include "history-internal.h"
#include "map.h"

typedef struct ReadSubject {
        uint32_t index;
        uint64_t serial; /* of the chunk that mask and sample are of */
        SampleMask mask; /* of the last record */
        Sample *sample; /* NULL: none yet */
} ReadSubject;

typedef struct Text { /* of one definition: three strings */
        struct Text *next;
        char s[];
} Text;

struct HistoryReader {
        bool begun;
        uint64_t instance, cursor;
        uint64_t serial; /* of the chunk; 0: none yet */
        uint64_t realtime; /* its base */
        usec_t monotonic;
        SampleMask paged; /* fields in pages */
        uint64_t last_ms, last_index;
        Map subjects;
        Text *texts;
};

typedef struct Input {
        const uint8_t *p, *end;
        uint32_t version;
} Input;

/* ---- pieces ---- */

static int take_varint(Input *in, uint64_t *ret) {
        uint64_t v = 0;

        for (unsigned shift = 0; in->p < in->end && shift < 64; shift += 7) {
                uint8_t b = *in->p++;

                if (shift == 63 && b > 1)
                        return -EBADMSG;
                v |= (uint64_t)(b & 0x7f) << shift;
                if (b < 0x80) {
                        *ret = v;
                        return 0;
                }
        }
        return -EBADMSG;
}

/* Changes *v by what is there. */
static int take_delta(Input *in, uint64_t *v) {
        uint64_t z;
        int r = take_varint(in, &z);

        if (r == 0)
                *v += history_unzigzag(z);
        return r;
}

static int take_value(Input *in, bool paged, uint64_t *v) {
        uint64_t pages;

        if (!paged)
                return take_delta(in, v);
        if (take_varint(in, &pages) < 0)
                return -EBADMSG;
        if (pages == 0)
                return take_delta(in, v);
        *v += history_unzigzag(pages - 1) * HISTORY_PAGE;
        return 0;
}

static int take_which(Input *in, uint64_t *ret) {
        if (in->version > 1)
                return take_varint(in, ret) < 0 || *ret >> HISTORY_MASK_BYTES ? -EBADMSG : 0;
        if (in->p == in->end)
                return -EBADMSG;
        *ret = *in->p++;
        return 0;
}

static int take_mask(Input *in, SampleMask *ret) {
        SampleMask mask = 0;
        uint64_t which;

        if (take_which(in, &which) < 0)
                return -EBADMSG;
        for (; which; which &= which - 1) {
                if (in->p == in->end)
                        return -EBADMSG;
                mask |= (SampleMask)*in->p++ << 8 * __builtin_ctzll(which);
        }
        *ret = mask;
        return 0;
}

/* Takes a text without its length and ends it in *to. */
static int take_text(Input *in, char **to) {
        uint64_t n;
        int r = take_varint(in, &n);

        if (r < 0 || n > HISTORY_TEXT_MAX || n > (size_t)(in->end - in->p) || memchr(in->p, '\0', n))
                return -EBADMSG;
        memcpy(*to, in->p, n);
        (*to)[n] = '\0';
        *to += n + 1;
        in->p += n;
        return 0;
}

/* ---- definitions ---- */

static void subject_free(ReadSubject *s) {
        free(s->sample);
        free(s);
}

/* The one of this index, made where it is new. */
static int subject_get(HistoryReader *r, uint32_t index) {
        _cleanup_free_ ReadSubject *s = NULL;
        int k;

        if (map_get_u64(&r->subjects, index))
                return 0;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->index = index;
        k = map_put_u64(&r->subjects, index, s);
        if (k < 0)
                return k;
        (void)steal_ptr(s);
        return 0;
}

/* The bytes of its three texts with a NUL each, without taking anything. */
static int texts_size(Input in, size_t *ret) {
        size_t size = 0;

        for (size_t i = 0; i < 3; i++) {
                uint64_t n;
                int r = take_varint(&in, &n);

                if (r < 0 || n > HISTORY_TEXT_MAX || n > (size_t)(in.end - in.p))
                        return -EBADMSG;
                in.p += n;
                size += n + 1;
        }
        *ret = size;
        return 0;
}

static int read_definition(HistoryReader *r, Input *in, const HistoryHandler *h) {
        HistoryWho who = {};
        uint64_t index, kind;
        size_t size;
        Text *t;
        char *to;
        int k;

        if (take_varint(in, &index) < 0 || take_varint(in, &kind) < 0 ||
            take_varint(in, &who.cgroup_id) < 0 || take_varint(in, &who.since_realtime) < 0)
                return -EBADMSG;
        if (index > UINT32_MAX || kind < HISTORY_HOST || kind > HISTORY_CONTAINER)
                return -EBADMSG;
        k = texts_size(*in, &size);
        if (k < 0)
                return k;
        t = malloc(sizeof(*t) + size);
        if (!t)
                return -ENOMEM;
        t->next = r->texts;
        r->texts = t;
        to = t->s;
        who.kind = (HistoryKind)kind;
        who.tenant = to;
        k = take_text(in, &to);
        who.name = to;
        k = k ?: take_text(in, &to);
        who.cgroup = to;
        k = k ?: take_text(in, &to) ?: subject_get(r, (uint32_t)index);
        if (k == 0 && h->define)
                h->define(h->user, (uint32_t)index, &who);
        return k;
}

/* ---- records ---- */

static int read_chunk(HistoryReader *r, Input *in) {
        if (take_varint(in, &r->realtime) < 0 || take_varint(in, &r->monotonic) < 0 ||
            take_mask(in, &r->paged) < 0)
                return -EBADMSG;
        r->serial++;
        r->last_ms = 0;
        r->last_index = 0;
        return 0;
}

/* The head of a record that is about a subject. */
static int read_subject(HistoryReader *r, Input *in, ReadSubject **ret) {
        if (r->serial == 0 || take_delta(in, &r->last_index) < 0 || take_delta(in, &r->last_ms) < 0)
                return -EBADMSG;
        *ret = map_get_u64(&r->subjects, r->last_index);
        return *ret ? 0 : -EBADMSG;
}

/* Overflow wraps: nothing sensible is lost by it. */
static uint64_t time_of(uint64_t base, uint64_t ms) { return base + ms * USEC_PER_MSEC; }

static int read_values(const HistoryReader *r, Input *in, SampleMask mask, Sample *s) {
        while (mask) {
                SampleField f = history_next_field(&mask);
                uint64_t unknown = 0;

                if (take_value(in, r->paged & SAMPLE_BIT(f), f < _SAMPLE_MAX ? &s->v[f] : &unknown) < 0)
                        return -EBADMSG;
                if (f < _SAMPLE_MAX)
                        s->have |= SAMPLE_BIT(f);
        }
        return 0;
}

static int read_sample(HistoryReader *r, Input *in, bool with_less, const HistoryHandler *h) {
        SampleMask mask, less = 0;
        ReadSubject *s;
        int k;

        k = read_subject(r, in, &s) ?: take_mask(in, &mask);
        if (k < 0)
                return k;
        if (!s->sample) {
                s->sample = calloc(1, sizeof(*s->sample));
                if (!s->sample)
                        return -ENOMEM;
        }
        if (s->serial != r->serial) {
                *s->sample = (Sample){};
                s->mask = 0;
                s->serial = r->serial;
        }
        s->mask ^= mask;
        k = read_values(r, in, s->mask, s->sample);
        if (k == 0 && with_less)
                k = take_mask(in, &less);
        if (k < 0)
                return k;
        less &= SAMPLE_ALL;
        sample_clear(s->sample, less);
        s->sample->at = time_of(r->monotonic, r->last_ms);
        if (h->sample)
                h->sample(h->user, s->index, s->sample, (s->mask & SAMPLE_ALL) | less,
                          time_of(r->realtime, r->last_ms));
        return 0;
}

static int read_gone(HistoryReader *r, Input *in, const HistoryHandler *h) {
        ReadSubject *s;
        int k = read_subject(r, in, &s);

        if (k < 0)
                return k;
        (void)map_remove_u64(&r->subjects, s->index);
        if (h->gone)
                h->gone(h->user, s->index, time_of(r->realtime, r->last_ms));
        subject_free(s);
        return 0;
}

static int read_record(HistoryReader *r, Input *in, const HistoryHandler *h) {
        uint8_t type = *in->p++;
        uint64_t n;

        switch (type) {
        case HISTORY_RECORD_CHUNK:
                return read_chunk(r, in);
        case HISTORY_RECORD_SAMPLE:
        case HISTORY_RECORD_SAMPLE_LESS:
                return read_sample(r, in, type == HISTORY_RECORD_SAMPLE_LESS, h);
        case HISTORY_RECORD_GONE:
                return read_gone(r, in, h);
        default:
                if (type < HISTORY_RECORD_UNKNOWN || take_varint(in, &n) < 0 || n > (size_t)(in->end - in->p))
                        return -EBADMSG;
                in->p += n;
                return 0;
        }
}

/* ---- the whole ---- */

static void forget_texts(HistoryReader *r) {
        for (Text *t; (t = r->texts);) {
                r->texts = t->next;
                free(t);
        }
}

/* But the texts, which the caller may still look at. */
static void forget(HistoryReader *r) {
        Text *texts = r->texts;
        ReadSubject *s;

        for (size_t i = 0; (s = map_next(&r->subjects, &i));)
                subject_free(s);
        map_deinit(&r->subjects);
        *r = (HistoryReader){ .texts = texts };
}

HistoryReader *history_reader_new(void) { return calloc(1, sizeof(HistoryReader)); }

HistoryReader *history_reader_free(HistoryReader *r) {
        if (!r)
                return NULL;
        forget(r);
        forget_texts(r);
        free(r);
        return NULL;
}

uint64_t history_reader_cursor(const HistoryReader *r) { return r->cursor; }

uint64_t history_reader_instance(const HistoryReader *r) { return r->instance; }

static int read_header(Input *in, HistoryHeader *ret) {
        HistoryHeader h;

        if ((size_t)(in->end - in->p) < sizeof(h))
                return -EBADMSG;
        memcpy(&h, in->p, sizeof(h));
        if (memcmp(h.magic, HISTORY_MAGIC, sizeof(h.magic)) != 0)
                return -EBADMSG;
        if (le32toh(h.version) > HISTORY_VERSION)
                return -EPROTONOSUPPORT;
        *ret = (HistoryHeader){
                .version = le32toh(h.version),
                .header_bytes = le32toh(h.header_bytes),
                .instance = le64toh(h.instance),
                .begin = le64toh(h.begin),
                .end = le64toh(h.end),
                .n_definitions = le64toh(h.n_definitions),
        };
        if (ret->version == 0 || ret->header_bytes < sizeof(h) ||
            ret->header_bytes > (size_t)(in->end - in->p) || ret->end < ret->begin)
                return -EBADMSG;
        in->p += ret->header_bytes;
        in->version = ret->version;
        return 0;
}

static int read_body(HistoryReader *r, const HistoryHeader *header, Input *in, const HistoryHandler *h) {
        int k = 0;

        for (uint64_t i = 0; i < header->n_definitions && k == 0; i++)
                k = read_definition(r, in, h);
        if (k == 0 && (size_t)(in->end - in->p) != header->end - header->begin)
                k = -EBADMSG;
        while (k == 0 && in->p < in->end)
                k = read_record(r, in, h);
        return k;
}

int history_read(HistoryReader *r, const void *data, size_t len, const HistoryHandler *h, bool *ret_anew) {
        Input in = { .p = data, .end = (const uint8_t *)data + len };
        HistoryHeader header;
        int k;

        forget_texts(r);
        k = read_header(&in, &header);
        if (k == 0) {
                *ret_anew = !r->begun || header.instance != r->instance || header.begin != r->cursor;
                if (*ret_anew)
                        forget(r);
                k = read_body(r, &header, &in, h);
        }
        if (k < 0) {
                forget(r);
                return k;
        }
        r->begun = true;
        r->instance = header.instance;
        r->cursor = header.end;
        return 0;
}
