/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the guard's stream to rows.
 *
 * The stream (history.h) is asked for rather than lists: it costs the guard a copy of what changed, where lists of a thousand
 * containers are megabytes of JSON. It reaches back half an hour, so that an exporter that was away for less than that tells
 * everything; which rows are on file already is asked of the history once.
 *
 * A look gives only what was read, and a chunk of the stream forgets what earlier ones told. For what is
 * counted that would be a gap, so here the last known value of each field stays.
 *
 * What cannot be written is kept, one row to a subject: later rows are added to it, so that a full disk costs resolution and no
 * sums. Tenants' rows are differences of the totals that the guard keeps, and the total at the last row is in the history: what was
 * used while nobody was here is in the first row after it.
 */

#include "bookmetrics.h"
#include "cgpath.h"
#include "collect.h"
#include "jsonget.h"
#include "num.h"

#define BATCH_MAX 1024
#define SETTLED (100 * USEC_PER_MSEC) /* a last look so short before the end has seen all */
#define BACK_SEC 2400 /* the stream does not reach back further */
#define UNASSIGNED "unassigned"

int collect_new(HistoryDb *db, Collect **ret) {
        Collect *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->db = db;
        c->first = UINT64_MAX;
        c->reader = history_reader_new();
        c->batch = calloc(BATCH_MAX, sizeof(*c->batch));
        if (!c->reader || !c->batch)
                return collect_free(c), -ENOMEM;
        *ret = c;
        return 0;
}

static void subject_free(Subject *s) {
        free(s->tenant);
        free(s->name);
        free(s->cgroup);
        free(s->engine);
        free(s->id);
        free(s->image);
        ceilings_deinit(&s->ceilings);
        free(s);
}

Collect *collect_free(Collect *c) {
        TenantState *t;
        size_t i = 0;
        Subject *s;

        if (!c)
                return NULL;
        while ((s = map_next(&c->by_cgroup, &i)))
                subject_free(s);
        for (i = 0; (t = map_next(&c->tenants, &i)); free(t))
                free(t->name);
        map_deinit(&c->by_cgroup);
        map_deinit(&c->by_index);
        map_deinit(&c->tenants);
        history_reader_free(c->reader);
        free(c->batch);
        free(c);
        return NULL;
}

static bool replace(char **to, const char *text, bool *changed) {
        char *copy;

        if (*to && STR_EQ(*to, text))
                return true;
        copy = strdup(text);
        if (!copy)
                return false;
        free(*to);
        *to = copy;
        *changed = true;
        return true;
}

/* ---- writing ---- */

/* Numbers of a transaction that failed mean nothing. */
static void forget_numbers(Collect *c) {
        TenantState *t;
        size_t i = 0;
        Subject *s;

        while ((s = map_next(&c->by_cgroup, &i))) {
                s->number = 0;
                s->named = false;
        }
        for (i = 0; (t = map_next(&c->tenants, &i));)
                t->number = 0;
}

static int put_subject(Collect *c, Subject *s) {
        HistoryCgroup g = {
                .who = { s->kind, s->cgroup_id, s->since, s->tenant, s->name, s->cgroup },
                .engine = s->engine,
                .id = s->id,
                .image = s->image,
                .ended = s->ended,
                .end = s->end,
        };
        int r = history_db_cgroup(c->db, &g, &s->number);

        if (r == 0)
                s->named = true;
        return r;
}

static void write_batch(Collect *c) {
        int r = history_db_begin(c->db);

        for (size_t i = 0; i < c->n_batch && r == 0; i++) {
                Subject *s = c->batch[i].subject;

                if (s->number == 0 || !s->named)
                        r = put_subject(c, s);
                if (r == 0)
                        r = history_db_put(c->db, HISTORY_OF_CGROUP, s->number, &c->batch[i].row);
        }
        r = history_db_commit(c->db);
        for (size_t i = 0; i < c->n_batch && r != 0; i++) {
                Subject *s = c->batch[i].subject;

                if (s->has_pending)
                        usage_row_merge(&s->pending, &c->batch[i].row);
                else
                        s->pending = c->batch[i].row;
                s->has_pending = true;
        }
        if (r != 0)
                forget_numbers(c);
        c->n_batch = 0;
}

static void add_row(Collect *c, Subject *s, const UsageRow *row) {
        struct CollectRow *to;

        if (c->n_batch == BATCH_MAX)
                write_batch(c);
        to = &c->batch[c->n_batch++];
        *to = (struct CollectRow){ s, *row };
        if (s->has_pending) {
                to->row = s->pending;
                usage_row_merge(&to->row, row);
                usage_row_set_cpu(&to->row);
                s->has_pending = false;
        }
}

/* Those that ended and have nothing to tell any more; the rest of them tries again. */
static void drop_gone(Collect *c) {
        size_t i = 0;
        Subject *s;

        while ((s = map_next(&c->by_cgroup, &i))) {
                if (!s->gone)
                        continue;
                if (s->has_pending) {
                        UsageRow row = s->pending;

                        s->has_pending = false;
                        add_row(c, s, &row);
                }
        }
        write_batch(c);
        for (i = 0; (s = map_next(&c->by_cgroup, &i));)
                if (s->gone && !s->has_pending) {
                        (void)map_remove_u64(&c->by_cgroup, s->cgroup_id);
                        subject_free(s);
                }
}

/* ---- the stream ---- */

static Subject *subject_new(Collect *c, const HistoryWho *who) {
        Subject *s = calloc(1, sizeof(*s));

        if (!s || map_put_u64(&c->by_cgroup, who->cgroup_id, s) < 0) {
                free(s);
                c->error = -ENOMEM;
                return NULL;
        }
        s->kind = who->kind;
        s->cgroup_id = who->cgroup_id;
        s->end = "";
        return s;
}

static void on_define(void *user, uint32_t index, const HistoryWho *who) {
        Collect *c = user;
        Subject *s = map_get_u64(&c->by_cgroup, who->cgroup_id), *before = map_get_u64(&c->by_index, index);
        bool changed = false;

        if (!s)
                s = subject_new(c, who);
        if (!s)
                return;
        if (before != s) {
                (void)map_remove_u64(&c->by_index, index);
                if (map_put_u64(&c->by_index, index, s) < 0)
                        c->error = -ENOMEM;
        }
        s->seen = true;
        s->gone = false;
        if (s->since == 0)
                s->since = who->since_realtime;
        if (!replace(&s->tenant, *who->tenant || s->kind == HISTORY_HOST ? who->tenant : UNASSIGNED,
                     &changed) ||
            !replace(&s->name, who->name, &changed) || !replace(&s->cgroup, who->cgroup, &changed))
                c->error = -ENOMEM;
        if (changed) {
                s->named = false;
                c->wants_details |= s->kind == HISTORY_CONTAINER;
        }
}

/* What is not told again is as it was; but peaks are of the interval between two looks. */
static Sample with_known(const Sample *known, const Sample *s) {
        Sample merged = *known;

        sample_clear(&merged, SAMPLE_BIT(SAMPLE_MEMORY_PEAK) | SAMPLE_BIT(SAMPLE_SWAP_PEAK) |
                                      SAMPLE_BIT(SAMPLE_PEAK_KIND));
        for (SampleMask have = s->have; have; have &= have - 1) {
                SampleField f = sample_first(have);

                sample_put(&merged, f, s->v[f]);
        }
        merged.at = s->at;
        return merged;
}

static void on_sample(void *user, uint32_t index, const Sample *sample, SampleMask fields,
                      uint64_t realtime) {
        Collect *c = user;
        Subject *s = map_get_u64(&c->by_index, index);
        Sample merged;
        UsageRow row;
        bool born;

        (void)fields;
        if (!s || s->gone)
                return;
        if (s->tally.last_at > 0 && realtime <= s->tally.last_at && sample->at <= s->tally.last.at)
                return; /* read before */
        born = s->tally.last_at == 0 && s->since > c->first;
        c->first = MIN_OF(c->first, realtime);
        merged = with_known(&s->tally.last, sample);
        if (usagerow_look(&s->tally, &merged, realtime, born, &row))
                add_row(c, s, &row);
}

static void end_subject(Collect *c, Subject *s, uint64_t realtime, bool unread) {
        uint64_t unseen = realtime > s->tally.last_at ? realtime - s->tally.last_at : 0;
        bool empty = sample_has(&s->tally.last, SAMPLE_POPULATED) && !s->tally.last.v[SAMPLE_POPULATED];
        BookEnd how = !unread && (empty || unseen <= SETTLED) ? BOOK_END_READ : BOOK_END_UNREAD;
        UsageRow row;

        s->gone = true;
        s->ended = realtime;
        s->end = how == BOOK_END_READ ? "read" : "unread";
        s->named = false;
        if (!usagerow_end(&s->tally, realtime, how, &row))
                return;
        if (row.counters[BOOK_ENDS_OOM] > 0)
                s->end = "oom";
        add_row(c, s, &row);
}

static void on_gone(void *user, uint32_t index, uint64_t realtime) {
        Collect *c = user;
        Subject *s = map_remove_u64(&c->by_index, index);

        if (s && !s->gone)
                end_subject(c, s, realtime, false);
}

static void known_row(void *user, uint64_t cgroup_id, uint64_t time) {
        HistoryWho who = { .kind = HISTORY_CONTAINER, .cgroup_id = cgroup_id };
        Collect *c = user;
        Subject *s = map_get_u64(&c->by_cgroup, cgroup_id);

        if (!s)
                s = subject_new(c, &who);
        if (!s)
                return;
        s->tally.done = time;
}

/* Once: what an exporter before this one wrote. Kinds and names are the stream's to tell. */
static void ask_history(Collect *c, uint64_t realtime) {
        uint64_t now = realtime / USEC_PER_SEC;

        if (c->begun || history_db_begin(c->db) != 0 || history_db_commit(c->db) != 0)
                return;
        if (history_db_last_rows(c->db, now - MIN_OF(now, (uint64_t)BACK_SEC), now + USAGEROW_SLOT_SEC,
                                 known_row, c) == 0)
                c->begun = true;
}

static void forget_index(Collect *c) {
        size_t i = 0;
        Subject *s;

        map_deinit(&c->by_index);
        c->by_index = MAP_INIT;
        while ((s = map_next(&c->by_cgroup, &i)))
                s->seen = false;
}

/* Whether it will begin anew is only known while it is read. */
typedef struct Stream {
        Collect *c;
        bool anew, told;
} Stream;

static void begin_stream(Stream *x) {
        if (x->anew && !x->told)
                forget_index(x->c);
        x->told = true;
}

static void stream_define(void *user, uint32_t index, const HistoryWho *who) {
        begin_stream(user);
        on_define(((Stream *)user)->c, index, who);
        if (((Stream *)user)->c->error == 0) {
                Subject *s = map_get_u64(&((Stream *)user)->c->by_index, index);

                if (s)
                        s->kind = who->kind;
        }
}

static void stream_sample(void *user, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime) {
        begin_stream(user);
        on_sample(((Stream *)user)->c, index, s, fields, realtime);
}

static void stream_gone(void *user, uint32_t index, uint64_t realtime) {
        begin_stream(user);
        on_gone(((Stream *)user)->c, index, realtime);
}

int collect_stream(Collect *c, const void *data, size_t len, uint64_t realtime) {
        Stream x = { .c = c };
        const HistoryHandler handler = { stream_define, stream_sample, stream_gone, &x };
        size_t i = 0;
        Subject *s;
        int r;

        ask_history(c, realtime);
        c->error = 0;
        r = history_read(c->reader, data, len, &handler, &x.anew);
        /* Those that nobody told of any more ended while nobody listened. */
        if (r == 0 && c->error == 0 && x.anew && x.told)
                while ((s = map_next(&c->by_cgroup, &i)))
                        if (!s->seen && !s->gone)
                                end_subject(c, s, realtime, true);
        drop_gone(c);
        return r < 0 ? r : c->error;
}

void collect_details(Collect *c, const json_t *containers) {
        const json_t *o;
        size_t i;

        c->wants_details = false;
        json_array_foreach(containers, i, o) {
                Subject *s = map_get_u64(&c->by_cgroup, json_number(o, "cgroup_id"));
                const char *engine = json_text(o, "engine"), *id = json_text(o, "id"),
                           *image = json_text(o, "image");
                bool changed = false;

                if (!s)
                        continue;
                if (engine)
                        (void)replace(&s->engine, engine, &changed);
                if (id)
                        (void)replace(&s->id, id, &changed);
                if (image)
                        (void)replace(&s->image, image, &changed);
                if (changed)
                        s->named = false;
                if (ceilings_of_container(o, &s->ceilings) < 0)
                        c->wants_details = true;
        }
}

/* ---- tenants ---- */

static TenantState *tenant_get(Collect *c, const char *name) {
        TenantState *t = map_get_str(&c->tenants, name);

        if (t)
                return t;
        t = calloc(1, sizeof(*t));
        if (!t || !(t->name = strdup(name)) || map_put_str(&c->tenants, t->name, t) < 0) {
                if (t)
                        free(t->name);
                free(t);
                return NULL;
        }
        return t;
}

static bool below_own_slice(const Subject *s, Subject *const *slices, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (STR_EQ(slices[i]->tenant, s->tenant) && cgpath_below(s->cgroup, slices[i]->cgroup))
                        return true;
        return false;
}

/* The array is the caller's. */
static int find_slices(const Collect *c, Subject ***ret, size_t *ret_n) {
        Subject **list = calloc(c->by_cgroup.n + 1, sizeof(*list)), *s;
        size_t i = 0, n = 0;

        if (!list)
                return -ENOMEM;
        while ((s = map_next(&c->by_cgroup, &i)))
                if (s->kind == HISTORY_SLICE && !s->gone && s->tenant && s->cgroup)
                        list[n++] = s;
        *ret = list;
        *ret_n = n;
        return 0;
}

/* What tenants hold now: of cgroups that are not in each other. */
static int sum_tenants(Collect *c) {
        _cleanup_free_ Subject **slices = NULL;
        size_t i = 0, n;
        TenantState *t;
        Subject *s;
        int r = find_slices(c, &slices, &n);

        if (r < 0)
                return r;
        while ((t = map_next(&c->tenants, &i)))
                t->memory = t->working_set = t->swap = t->tasks = t->containers = 0;
        for (i = 0; (s = map_next(&c->by_cgroup, &i));) {
                const Sample *now = &s->tally.last;
                uint64_t working = 0;

                if (s->gone || s->kind == HISTORY_HOST || !s->tenant || !s->cgroup)
                        continue;
                t = tenant_get(c, s->tenant);
                if (!t)
                        return -ENOMEM;
                t->containers += s->kind == HISTORY_CONTAINER;
                if (s->kind == HISTORY_CONTAINER && below_own_slice(s, slices, n))
                        continue;
                (void)sample_working_set(now, &working);
                t->memory += now->v[SAMPLE_MEMORY];
                t->working_set += working;
                t->swap += now->v[SAMPLE_SWAP];
                t->tasks += now->v[SAMPLE_PIDS];
        }
        return 0;
}

static bool is_new_life(const Book *base, const Book *total) {
        if (total->since_realtime > base->since_realtime)
                return true;
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                if (total->v[f] < base->v[f])
                        return true;
        return false;
}

static bool grew(const Book *base, const Book *total) {
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                if (total->v[f] != base->v[f] && f != BOOK_MEMORY_KIB_SECONDS && f != BOOK_SWAP_KIB_SECONDS &&
                    f != BOOK_LIFE_USEC)
                        return true;
        return false;
}

static UsageRow tenant_row(const TenantState *t, const Book *total, uint64_t realtime) {
        UsageRow row = { .time = usagerow_slot_end(realtime / USEC_PER_SEC, USAGEROW_SLOT_SEC), .looks = 1 };

        for (int f = 0; f < _BOOK_COUNTERS; f++)
                row.counters[f] = total->v[f] - MIN_OF(total->v[f], t->base.v[f]);
        if (t->row_at > 0 && realtime > t->row_at) {
                row.span_msec = (realtime - t->row_at) / USEC_PER_MSEC;
                usage_row_set_cpu(&row);
        } else
                row.span_msec = USAGEROW_SLOT_SEC * 1000;
        usage_row_set_gauge(&row, USAGE_MEMORY, t->memory);
        usage_row_set_gauge(&row, USAGE_WORKING_SET, t->working_set);
        usage_row_set_gauge(&row, USAGE_SWAP, t->swap);
        usage_row_set_gauge(&row, USAGE_TASKS, t->tasks);
        return row;
}

/* The base is the history's, else what is now: what was used before anybody wrote is not in it. Who came since is told whole. */
static int find_base(Collect *c, TenantState *t, const Book *total) {
        int r = history_db_tenant(c->db, t->name, &t->number);

        if (r == 0 && !t->has_base)
                r = history_db_get_total(c->db, t->number, &t->base);
        if (r != 0)
                return r;
        if (!t->has_base && t->base.since_realtime == 0)
                t->base = c->usage_seen ? (Book){ .since_realtime = total->since_realtime } : *total;
        t->has_base = true;
        if (is_new_life(&t->base, total))
                t->base = (Book){ .since_realtime = total->since_realtime };
        return 0;
}

typedef struct Written {
        TenantState *tenant;
        Book total;
} Written;

static int put_tenant(Collect *c, const json_t *o, uint64_t realtime, Written *w, bool *ret_wrote) {
        const char *name = json_text(o, "name");
        uint64_t have, quiet = USAGEROW_QUIET_SEC * USEC_PER_SEC;
        TenantState *t = name ? tenant_get(c, name) : NULL;
        UsageRow row;
        int r;

        *ret_wrote = false;
        if (!name)
                return 0;
        if (!t)
                return -ENOMEM;
        usage_book_read(json_member(o, "book"), &w->total, &have);
        w->total.since_realtime = json_number(o, "since");
        w->tenant = t;
        r = find_base(c, t, &w->total);
        if (r != 0)
                return r;
        if (t->row_at > 0 && realtime >= t->row_at && realtime / quiet == t->row_at / quiet &&
            !grew(&t->base, &w->total))
                return 0;
        row = tenant_row(t, &w->total, realtime);
        r = history_db_put(c->db, HISTORY_OF_TENANT, t->number, &row);
        if (r == 0)
                r = history_db_put_total(c->db, t->number, &w->total);
        *ret_wrote = r == 0;
        return r;
}

int collect_usage(Collect *c, const json_t *usage, uint64_t realtime) {
        const json_t *list = json_member(usage, "tenants"), *o;
        _cleanup_free_ Written *written = calloc(json_array_size(list) + 1, sizeof(*written));
        size_t n = 0, i;
        int r = written ? sum_tenants(c) : -ENOMEM;

        if (r < 0)
                return r;
        r = history_db_begin(c->db);
        json_array_foreach(list, i, o) {
                bool wrote = false;

                if (r == 0)
                        r = put_tenant(c, o, realtime, &written[n], &wrote);
                n += wrote;
        }
        i = history_db_commit(c->db) == 0;
        if (r < 0)
                return r;
        if (!i) {
                forget_numbers(c);
                return 0;
        }
        c->usage_seen = true;
        while (n-- > 0) {
                written[n].tenant->base = written[n].total;
                written[n].tenant->row_at = realtime;
        }
        return 0;
}

/* ---- words ---- */

static int put_words(Collect *c, const json_t *list,
                     int (*put)(Collect *c, const json_t *o, const char *json)) {
        const json_t *o;
        size_t i;

        if (json_array_size(list) == 0)
                return 0;
        (void)history_db_begin(c->db);
        json_array_foreach(list, i, o) {
                char *text = json_dumps(o, JSON_COMPACT);
                int r = text ? put(c, o, text) : 0;

                free(text);
                if (r != 0)
                        break;
        }
        return history_db_commit(c->db);
}

static int put_event(Collect *c, const json_t *o, const char *json) {
        return history_db_put_event(c->db, json_number(o, "time"), json_number(o, "id"), json_text(o, "kind"),
                                    json_text(o, "tenant"), json_text(o, "container"),
                                    json_number(o, "incident"), json);
}

static int put_incident(Collect *c, const json_t *o, const char *json) {
        return history_db_put_incident(c->db, json_number(o, "opened"), json_number(o, "id"),
                                       json_text(o, "tenant"), json_text(o, "container"),
                                       json_number(o, "closed"), json);
}

int collect_events(Collect *c, const json_t *events) { return put_words(c, events, put_event); }

int collect_incidents(Collect *c, const json_t *incidents) { return put_words(c, incidents, put_incident); }

int collect_policy(Collect *c, const json_t *policy, uint64_t realtime) {
        char *text = json_dumps(policy, JSON_COMPACT);

        if (!text)
                return 0;
        if (history_db_begin(c->db) == 0)
                (void)history_db_put_policy(c->db, realtime, text);
        free(text);
        return history_db_commit(c->db);
}
