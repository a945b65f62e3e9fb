/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Books of the last minutes, made from the guard's history with the code that the guard keeps its own with
 * (core/books).
 *
 * The window ends when the history was handed out, and begins `span` before. A cgroup that was
 * looked at before the window begins it with what it had counted then, and one that was not looked at until its end has
 * used what it had in memory all the same: so the memory over time is that of the whole window, and what a cold
 * cgroup counted between its last look before and its first one within is counted in. (Hence the export should begin
 * a slow beat earlier, USAGE_EARLIER_USEC.) A container whose life began in the window, and after the history did, is
 * counted from zero.
 */

#include <endian.h>

#include "cgpath.h"
#include "history.h"
#include "map.h"
#include "num.h"
#include "usage.h"

#define UNASSIGNED "unassigned"
#define BEAT (2 * USEC_PER_SEC) /* so late may the first look within a window be */
#define SETTLED (100 * USEC_PER_MSEC) /* a last look so short before the end has seen all */

typedef struct Subject {
        HistoryKind kind;
        uint64_t cgroup_id, since;
        char *tenant, *name, *cgroup;
        Sample last;
        uint64_t last_at; /* realtime; 0: never looked at */
        Book book;
        uint64_t ended; /* realtime; 0: it lives */
        bool before; /* it ended before the window */
        BookEnd end;
} Subject;

typedef struct Sum { /* a tenant */
        char *name; /* borrowed of one of its subjects */
        TenantBook book;
        Book ended_below;
        const Book **live, **slices;
        bool *below;
        size_t n_live, n_slices, live_alloc, below_alloc, slices_alloc;
} Sum;

typedef struct Window {
        uint64_t from, to; /* realtime */
        uint64_t first; /* the earliest look at all */
        Map by_index; /* of Subject */
        Subject **subjects;
        size_t n, alloc;
        Map sums; /* by name */
        int error;
} Window;

static void window_deinit(Window *w) {
        size_t i = 0;
        Sum *s;

        while ((s = map_next(&w->sums, &i))) {
                free(s->live);
                free(s->below);
                free(s->slices);
                free(s);
        }
        map_deinit(&w->sums);
        for (i = 0; i < w->n; i++) {
                free(w->subjects[i]->tenant);
                free(w->subjects[i]->name);
                free(w->subjects[i]->cgroup);
                free(w->subjects[i]);
        }
        free(w->subjects);
        map_deinit(&w->by_index);
}

/* ---- from records to books ---- */

static bool replace(char **to, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return false;
        free(*to);
        *to = copy;
        return true;
}

static Subject *subject_new(Window *w, uint32_t index) {
        Subject *s = calloc(1, sizeof(*s));

        if (!s || GROW(w->subjects, w->n, w->alloc) < 0 || map_put_u64(&w->by_index, index, s) < 0) {
                free(s);
                w->error = -ENOMEM;
                return NULL;
        }
        w->subjects[w->n++] = s;
        return s;
}

static void on_define(void *user, uint32_t index, const HistoryWho *who) {
        Window *w = user;
        Subject *s = map_get_u64(&w->by_index, index);

        if (!s)
                s = subject_new(w, index);
        if (!s)
                return;
        s->kind = who->kind;
        s->cgroup_id = who->cgroup_id;
        s->since = who->since_realtime;
        if (!replace(&s->tenant, *who->tenant ? who->tenant : UNASSIGNED) || !replace(&s->name, who->name) ||
            !replace(&s->cgroup, who->cgroup))
                w->error = -ENOMEM;
}

static void on_sample(void *user, uint32_t index, const Sample *sample, SampleMask fields,
                      uint64_t realtime) {
        Window *w = user;
        Subject *s = map_get_u64(&w->by_index, index);
        bool born;

        (void)fields;
        if (!s)
                return;
        born = s->since > w->from && s->since > w->first;
        w->first = MIN_OF(w->first, realtime);
        if (realtime > w->from) {
                s->last.at = MIN_OF(s->last.at, sample->at);
                if (s->book.since_realtime == 0)
                        s->book.since_realtime = s->last_at > 0 ? w->from : born ? s->since : realtime;
                book_account(&s->book, s->last_at > 0 ? &s->last : NULL, sample, born);
        }
        s->last = *sample;
        s->last_at = realtime;
        /* What it used until then is not the window's, what it held from there on is. */
        if (realtime < w->from)
                s->last.at += w->from - realtime;
}

static void on_gone(void *user, uint32_t index, uint64_t realtime) {
        Window *w = user;
        Subject *s = map_get_u64(&w->by_index, index);
        uint64_t unseen;

        if (!s)
                return;
        s->ended = realtime;
        s->before = realtime <= w->from;
        unseen = realtime > s->last_at ? realtime - s->last_at : 0;
        s->end =
                s->last_at > 0 && ((sample_has(&s->last, SAMPLE_POPULATED) && !s->last.v[SAMPLE_POPULATED]) ||
                                   unseen <= SETTLED)
                        ? BOOK_END_READ
                        : BOOK_END_UNREAD;
        book_end(&s->book, s->last_at > 0 ? &s->last : NULL, num_add_sat(s->last.at, unseen), s->end);
}

/* From its last look to the window's end nobody looked, for nothing moved: what it held it holds. */
static void account_rest(const Window *w, Subject *s) {
        uint64_t from = MAX_OF(s->last_at, w->from);
        Sample held = s->last;

        if (s->ended > 0 || s->last_at == 0 || from >= w->to)
                return;
        if (s->book.since_realtime == 0)
                s->book.since_realtime = w->from;
        held.at += w->to - from;
        book_account(&s->book, &s->last, &held, false);
}

/* ---- from books to tenants ---- */

static Sum *sum_get(Window *w, Subject *s) {
        Sum *sum = map_get_str(&w->sums, s->tenant);

        if (sum)
                return sum;
        sum = calloc(1, sizeof(*sum));
        if (!sum)
                return NULL;
        sum->name = s->tenant;
        if (map_put_str(&w->sums, sum->name, sum) < 0) {
                free(sum);
                return NULL;
        }
        return sum;
}

static bool is_below_slice(const Window *w, const Subject *s) {
        for (size_t i = 0; i < w->n; i++)
                if (w->subjects[i]->kind == HISTORY_SLICE && STR_EQ(w->subjects[i]->tenant, s->tenant) &&
                    cgpath_below(s->cgroup, w->subjects[i]->cgroup))
                        return true;
        return false;
}

static int add_to_sum(Window *w, Subject *s) {
        Sum *sum = sum_get(w, s);
        bool below;

        if (!sum)
                return -ENOMEM;
        if (s->kind == HISTORY_SLICE) {
                if (GROW(sum->slices, sum->n_slices, sum->slices_alloc) < 0)
                        return -ENOMEM;
                sum->slices[sum->n_slices++] = &s->book;
                return 0;
        }
        below = is_below_slice(w, s);
        if (s->ended > 0) {
                if (book_tenant_fold(&sum->book, s->cgroup_id, &s->book) && below)
                        book_add(&sum->ended_below, &s->book);
                return 0;
        }
        if (GROW(sum->live, sum->n_live, sum->live_alloc) < 0 ||
            GROW(sum->below, sum->n_live, sum->below_alloc) < 0)
                return -ENOMEM;
        sum->below[sum->n_live] = below;
        sum->live[sum->n_live++] = &s->book;
        return 0;
}

/* ---- JSON ---- */

static json_t *text(const char *s) {
        json_t *j = json_string(s);
        _cleanup_buf_ Buf b = BUF_INIT;

        if (j)
                return j;
        for (; *s; s++) /* no UTF-8 */
                buf_putc(&b, (unsigned char)*s < 0x80 ? *s : '?');
        return json_string(buf_str(&b));
}

static json_t *number(uint64_t v) { return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v); }

/* What is counted elsewhere, or nowhere, is not told as none. */
static json_t *container_book(const Subject *s) {
        json_t *o = usage_book_to_json(&s->book);

        for (BookField f = BOOK_NET_RX_BYTES; f <= BOOK_NET_TX_DROPPED; f++)
                if (!sample_has(&s->last, book_info(f)->from) && s->book.v[f] == 0)
                        (void)json_object_del(o, book_info(f)->name);
        return o;
}

static json_t *container_json(const Subject *s) {
        json_t *ended = s->ended > 0 ? number(s->ended) : json_null(), *end = json_null();
        CgName name = {};

        if (s->ended > 0)
                end = json_string(s->book.v[BOOK_ENDS_OOM]  ? "oom"
                                  : s->end == BOOK_END_READ ? "read"
                                                            : "unread");
        if (cgpath_classify(s->cgroup, &name) < 0)
                name = (CgName){};
        return json_pack("{s:o, s:o?, s:o, s:o, s:o, s:o?, s:o, s:o, s:o, s:o}", "name", text(s->name), "id",
                         name.id[0] ? text(name.id) : NULL, "tenant", text(s->tenant), "cgroup",
                         text(s->cgroup), "cgroup_id", number(s->cgroup_id), "engine",
                         name.id[0] ? json_string(engine_to_string(name.engine)) : NULL, "since",
                         number(s->book.since_realtime), "ended", ended, "end", end, "book",
                         container_book(s));
}

static json_t *tenant_json(Sum *sum) {
        BookParts parts;

        book_tenant_parts(&sum->book, sum->live, sum->below, sum->n_live, sum->slices, sum->n_slices,
                          &sum->ended_below, &parts);
        return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", text(sum->name), "since",
                         number(parts.total.since_realtime), "containers", number(sum->n_live), "slices",
                         number(sum->n_slices), "book", usage_book_to_json(&parts.total), "live",
                         usage_book_to_json(&parts.live), "ended", usage_book_to_json(&parts.ended), "unseen",
                         usage_book_to_json(&parts.unseen));
}

static int to_json(Window *w, usec_t asked, json_t **ret) {
        json_t *tenants = json_array(), *containers = json_array(), *j;
        size_t i = 0;
        Sum *sum;

        for (size_t k = 0; k < w->n; k++)
                if (w->subjects[k]->kind == HISTORY_CONTAINER && !w->subjects[k]->before &&
                    json_array_append_new(containers, container_json(w->subjects[k])) < 0)
                        w->error = -ENOMEM;
        while ((sum = map_next(&w->sums, &i)))
                if (json_array_append_new(tenants, tenant_json(sum)) < 0)
                        w->error = -ENOMEM;
        j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "time", number(w->to), "from", number(w->from), "to",
                      number(w->to), "asked", number(asked), "tenants", tenants, "containers", containers);
        if (!j || w->error < 0) {
                json_decref(j);
                return -ENOMEM;
        }
        *ret = j;
        return 0;
}

/* ---- all of it ---- */

/* Realtime at which an export was handed out; 0: no export. */
static uint64_t handed_out(const void *data, size_t len) {
        HistoryHeader h;

        if (len < sizeof(h))
                return 0;
        memcpy(&h, data, sizeof(h));
        return le64toh(h.realtime);
}

static int read_all(Window *w, const void *data, size_t len) {
        _cleanup_(cleanup_history_reader_free) HistoryReader *reader = history_reader_new();
        const HistoryHandler handler = { on_define, on_sample, on_gone, w };
        bool anew;
        int r;

        if (!reader)
                return -ENOMEM;
        r = history_read(reader, data, len, &handler, &anew);
        return r < 0 ? r : w->error;
}

int usage_from_history(const void *data, size_t len, usec_t span, json_t **ret, UsageReach *ret_reach) {
        _cleanup_(window_deinit) Window w = { .to = handed_out(data, len), .first = UINT64_MAX };
        int r;

        w.from = w.to > span ? w.to - span : 0;
        r = read_all(&w, data, len);
        if (r < 0)
                return r;
        *ret_reach = (UsageReach){ w.first == UINT64_MAX ? 0 : w.first, w.to };
        if (w.first > num_add_sat(w.from, MAX_OF(span / 10, (usec_t)BEAT)))
                return 1;
        w.from = MAX_OF(w.from, w.first);
        for (size_t i = 0; i < w.n; i++) {
                Subject *s = w.subjects[i];

                /* Nothing of it in here: it ended before the export begins. */
                s->before |= s->last_at == 0 && s->ended == 0;
                if (s->kind == HISTORY_HOST || s->before)
                        continue;
                account_rest(&w, s);
                r = add_to_sum(&w, s);
                if (r < 0)
                        return r;
        }
        return to_json(&w, span, ret);
}
