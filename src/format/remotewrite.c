/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Prometheus remote-write 1.0 (https://prometheus.io/docs/specs/prw/remote_write_spec/): protobuf, in snappy's block format.
 *
 * Which series ended is known by comparing a round with the one before. Of that one are kept its requests, compressed as they were
 * sent (a tenth of the labels as text), and a hash of each series; only the request that somebody is missing from is unpacked
 * again. Two series with one hash of 64 bits would cost a stale marker, and no more.
 */

#include <snappy-c.h>

#include "bytes.h"
#include "remotewrite.h"
#include "remotewrite.pb-c.h"

#define LABELS_MAX 32
#define TEXT_MAX (1U << 20) /* of a request: names and values of labels */

typedef struct Packed { /* a request */
        char *data;
        size_t len;
        uint64_t *hashes; /* of its series, in their order; NULL: of stale markers */
        uint32_t n;
} Packed;

typedef struct PackedList {
        Packed *items;
        size_t n, alloc;
} PackedList;

typedef struct LabelAt { /* offsets into the text: pointers do not last while it grows */
        size_t name, value;
} LabelAt;

typedef struct Item {
        uint32_t n_labels;
        double value;
        uint64_t hash;
} Item;

struct RemoteWrite {
        Buf external; /* name NUL value NUL ... */
        int64_t time;
        /* The request that is being made. */
        Buf text;
        LabelAt *labels;
        Item *items;
        size_t n_labels, labels_alloc, n_items, items_alloc;
        PackedList now, before;
        int error;
};

static double from_bits(uint64_t bits) {
        double v;

        memcpy(&v, &bits, sizeof(v));
        return v;
}

/* ---- packing ---- */

static void list_deinit(PackedList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].data);
                free(l->items[i].hashes);
        }
        free(l->items);
        *l = (PackedList){};
}

/* What protobuf-c wants: structures that point at structures. */
typedef struct Tree {
        Prometheus__WriteRequest request;
        Prometheus__TimeSeries *series, **series_at;
        Prometheus__Sample *samples, **samples_at;
        Prometheus__Label *labels, **labels_at;
} Tree;

static void tree_deinit(Tree *t) {
        free(t->series);
        free(t->series_at);
        free(t->samples);
        free(t->samples_at);
        free(t->labels);
        free(t->labels_at);
}

static int tree_fill(const RemoteWrite *w, Tree *t) {
        char *text = w->text.data;
        size_t label = 0;

        t->series = calloc(w->n_items, sizeof(*t->series));
        t->series_at = calloc(w->n_items, sizeof(*t->series_at));
        t->samples = calloc(w->n_items, sizeof(*t->samples));
        t->samples_at = calloc(w->n_items, sizeof(*t->samples_at));
        t->labels = calloc(w->n_labels, sizeof(*t->labels));
        t->labels_at = calloc(w->n_labels, sizeof(*t->labels_at));
        if (!t->series || !t->series_at || !t->samples || !t->samples_at || !t->labels || !t->labels_at)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_labels; i++) {
                prometheus__label__init(&t->labels[i]);
                t->labels[i].name = text + w->labels[i].name;
                t->labels[i].value = text + w->labels[i].value;
                t->labels_at[i] = &t->labels[i];
        }
        for (size_t i = 0; i < w->n_items; i++) {
                prometheus__sample__init(&t->samples[i]);
                t->samples[i].value = w->items[i].value;
                t->samples[i].timestamp = w->time;
                t->samples_at[i] = &t->samples[i];
                prometheus__time_series__init(&t->series[i]);
                t->series[i].n_labels = w->items[i].n_labels;
                t->series[i].labels = &t->labels_at[label];
                t->series[i].n_samples = 1;
                t->series[i].samples = &t->samples_at[i];
                t->series_at[i] = &t->series[i];
                label += w->items[i].n_labels;
        }
        prometheus__write_request__init(&t->request);
        t->request.n_timeseries = w->n_items;
        t->request.timeseries = t->series_at;
        return 0;
}

static int pack(const RemoteWrite *w, Packed *p) {
        _cleanup_(tree_deinit) Tree t = {};
        _cleanup_free_ uint8_t *plain = NULL;
        int r = tree_fill(w, &t);
        size_t n;
        void *fit;

        if (r < 0)
                return r;
        n = prometheus__write_request__get_packed_size(&t.request);
        plain = malloc(n);
        p->len = snappy_max_compressed_length(n);
        p->data = malloc(p->len);
        if (!plain || !p->data)
                return -ENOMEM;
        (void)prometheus__write_request__pack(&t.request, plain);
        if (snappy_compress((const char *)plain, n, p->data, &p->len) != SNAPPY_OK)
                return -ENOMEM;
        fit = realloc(p->data, p->len);
        p->data = fit ? fit : p->data;
        return 0;
}

static int hashes_of(const RemoteWrite *w, Packed *p) {
        p->hashes = calloc(w->n_items, sizeof(*p->hashes));
        if (!p->hashes)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_items; i++)
                p->hashes[i] = w->items[i].hash;
        return 0;
}

static int flush(RemoteWrite *w, PackedList *to, bool remember) {
        Packed p = { .n = (uint32_t)w->n_items };
        int r = 0;

        if (w->n_items == 0)
                return 0;
        if (GROW(to->items, to->n, to->alloc) < 0)
                return -ENOMEM;
        if (remember)
                r = hashes_of(w, &p);
        if (r >= 0)
                r = pack(w, &p);
        if (r < 0) {
                free(p.data);
                free(p.hashes);
                return r;
        }
        to->items[to->n++] = p;
        buf_clear(&w->text);
        w->n_items = w->n_labels = 0;
        return 0;
}

/* ---- series ---- */

static int by_name(const void *a, const void *b) {
        return strcmp(((const MetricLabel *)a)->name, ((const MetricLabel *)b)->name);
}

/* labels ascend by name. */
static int add(RemoteWrite *w, const MetricLabel *labels, size_t n, double value) {
        uint64_t hash = FNV_BASIS;

        if (GROW(w->items, w->n_items, w->items_alloc) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                size_t name = strlen(labels[i].name) + 1, len = strlen(labels[i].value) + 1;

                if (GROW(w->labels, w->n_labels, w->labels_alloc) < 0)
                        return -ENOMEM;
                w->labels[w->n_labels++] = (LabelAt){ w->text.len, w->text.len + name };
                buf_append(&w->text, labels[i].name, name);
                buf_append(&w->text, labels[i].value, len);
                hash = bytes_fnv1a(bytes_fnv1a(hash, labels[i].name, name), labels[i].value, len);
        }
        w->items[w->n_items++] = (Item){ (uint32_t)n, value, hash };
        return buf_error(&w->text);
}

static bool is_full(const RemoteWrite *w) {
        return w->n_items >= REMOTEWRITE_SAMPLES_MAX || w->text.len >= TEXT_MAX;
}

static bool has_label(const MetricLabel *labels, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (STR_EQ(labels[i].name, name))
                        return true;
        return false;
}

void remotewrite_sample(RemoteWrite *w, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                        unsigned decimals) {
        MetricLabel all[LABELS_MAX] = { { "__name__", name } };
        const char *end = buf_str(&w->external) + w->external.len;
        size_t k = 1;
        double scale = 1;

        for (size_t i = 0; i < n && k < LABELS_MAX; i++)
                if (*labels[i].value)
                        all[k++] = labels[i];
        for (const char *p = buf_str(&w->external); p < end && k < LABELS_MAX; p += strlen(p) + 1) {
                MetricLabel l = { p, p + strlen(p) + 1 };

                if (*l.value && !has_label(all, k, l.name))
                        all[k++] = l;
                p = l.value;
        }
        for (unsigned i = 0; i < decimals; i++)
                scale *= 10;
        qsort(all, k, sizeof(*all), by_name);
        if (w->error >= 0)
                w->error = add(w, all, k, (double)value / scale);
        if (w->error >= 0 && is_full(w))
                w->error = flush(w, &w->now, true);
}

/* ---- series that ended ---- */

static int by_hash(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

/* All of this round, sorted. */
static int gather(const PackedList *l, uint64_t **ret, size_t *ret_n) {
        uint64_t *all;
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++)
                n += l->items[i].n;
        all = calloc(n + 1, sizeof(*all));
        if (!all)
                return -ENOMEM;
        n = 0;
        for (size_t i = 0; i < l->n; i++) {
                memcpy(all + n, l->items[i].hashes, l->items[i].n * sizeof(*all));
                n += l->items[i].n;
        }
        qsort(all, n, sizeof(*all), by_hash);
        *ret = all;
        *ret_n = n;
        return 0;
}

/* What this very module packed; NULL: no memory. */
static Prometheus__WriteRequest *unpack(const Packed *p) {
        _cleanup_free_ char *plain = NULL;
        size_t n;

        if (snappy_uncompressed_length(p->data, p->len, &n) != SNAPPY_OK)
                return NULL;
        plain = malloc(n + 1);
        if (!plain || snappy_uncompress(p->data, p->len, plain, &n) != SNAPPY_OK)
                return NULL;
        return prometheus__write_request__unpack(NULL, n, (const uint8_t *)plain);
}

static int add_stale(RemoteWrite *w, const Prometheus__TimeSeries *s, PackedList *to) {
        MetricLabel labels[LABELS_MAX];
        size_t n = MIN_OF(s->n_labels, (size_t)LABELS_MAX);
        int r;

        for (size_t i = 0; i < n; i++)
                labels[i] = (MetricLabel){ s->labels[i]->name, s->labels[i]->value };
        r = add(w, labels, n, from_bits(REMOTEWRITE_STALE_BITS));
        return r < 0 || !is_full(w) ? r : flush(w, to, false);
}

static int find_ended(RemoteWrite *w, PackedList *to) {
        _cleanup_free_ uint64_t *all = NULL;
        size_t n;
        int r = gather(&w->now, &all, &n);

        for (size_t i = 0; i < w->before.n && r >= 0; i++) {
                const Packed *p = &w->before.items[i];
                Prometheus__WriteRequest *request = NULL;

                for (uint32_t k = 0; k < p->n && r >= 0; k++) {
                        if (bsearch(&p->hashes[k], all, n, sizeof(*all), by_hash))
                                continue;
                        if (!request)
                                request = unpack(p);
                        r = request ? add_stale(w, request->timeseries[k], to) : -ENOMEM;
                }
                if (request)
                        prometheus__write_request__free_unpacked(request, NULL);
        }
        return r < 0 ? r : flush(w, to, false);
}

/* ---- rounds ---- */

void remotewrite_begin(RemoteWrite *w, int64_t time_ms) {
        list_deinit(&w->now);
        buf_deinit(&w->text);
        w->n_items = w->n_labels = 0;
        w->time = time_ms;
        w->error = 0;
}

static void hand_on(const PackedList *l, void (*take)(void *, const void *, size_t, uint32_t), void *user) {
        for (size_t i = 0; i < l->n; i++)
                take(user, l->items[i].data, l->items[i].len, l->items[i].n);
}

int remotewrite_end(RemoteWrite *w, void (*take)(void *user, const void *data, size_t len, uint32_t samples),
                    void *user) {
        _cleanup_(list_deinit) PackedList ended = {};
        int r = w->error;

        if (r >= 0)
                r = flush(w, &w->now, true);
        if (r >= 0)
                r = find_ended(w, &ended);
        buf_deinit(&w->text);
        if (r < 0) {
                list_deinit(&w->now);
                return r;
        }
        hand_on(&w->now, take, user);
        hand_on(&ended, take, user);
        list_deinit(&w->before);
        w->before = w->now;
        w->now = (PackedList){};
        return 0;
}

int remotewrite_new(const MetricLabel *external, size_t n, RemoteWrite **ret) {
        _cleanup_(cleanup_remotewrite_free) RemoteWrite *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                buf_append(&w->external, external[i].name, strlen(external[i].name) + 1);
                buf_append(&w->external, external[i].value, strlen(external[i].value) + 1);
        }
        if (buf_error(&w->external) < 0)
                return -ENOMEM;
        *ret = steal_ptr(w);
        return 0;
}

RemoteWrite *remotewrite_free(RemoteWrite *w) {
        if (!w)
                return NULL;
        list_deinit(&w->now);
        list_deinit(&w->before);
        buf_deinit(&w->external);
        buf_deinit(&w->text);
        free(w->labels);
        free(w->items);
        free(w);
        return NULL;
}
