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
 * Jobs have copies of all that they need, and what they find out comes back with them: a disk may take a minute for one, and
 * the loop goes on. What could not be written, or not even be handed over, is kept, one row to a subject: later rows are added to it,
 * so that a full or slow disk costs resolution and no sums. Tenants' rows are differences of the totals that the guard keeps, and the
 * total at the last row is in the history: what was used while nobody was here is in the first row after it.
 */

#include "bookmetrics.h"
#include "cgpath.h"
#include "collect.h"
#include "jsonget.h"
#include "num.h"

#define BATCH_MAX 1024 /* rows of a job */
#define SETTLED (100 * USEC_PER_MSEC) /* a last look so short before the end has seen all */
#define BACK_SEC 2400 /* the stream does not reach back further */
#define UNASSIGNED "unassigned"

int collect_new(const CollectOptions *o, Collect **ret) {
        Collect *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->o = *o;
        c->first = UINT64_MAX;
        c->reader = history_reader_new();
        if (!c->reader)
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

/* ---- rows on their way ---- */

/* A cgroup's names as they were when the job was made. */
typedef struct Names {
        HistoryCgroup g;
        char text[];
} Names;

typedef struct RowJob {
        HistoryJob job;
        Collect *collect;
        uint64_t generation;
        size_t n;
        struct JobRow {
                uint64_t cgroup_id;
                int64_t number; /* 0: the names tell */
                Names *names; /* NULL: the history has them */
                UsageRow row;
        } rows[BATCH_MAX];
} RowJob;

static const char *put_text(char **at, const char *text) {
        char *to = *at;

        if (!text)
                return NULL;
        *at = stpcpy(to, text) + 1;
        return to;
}

static size_t text_size(const char *text) { return text ? strlen(text) + 1 : 0; }

static Names *names_of(const Subject *s) {
        size_t size = text_size(s->tenant) + text_size(s->name) + text_size(s->cgroup) +
                      text_size(s->engine) + text_size(s->id) + text_size(s->image);
        Names *n = malloc(sizeof(*n) + size);
        char *at;

        if (!n)
                return NULL;
        at = n->text;
        n->g = (HistoryCgroup){
                .who = { s->kind, s->cgroup_id, s->since, put_text(&at, s->tenant), put_text(&at, s->name),
                         put_text(&at, s->cgroup) },
                .engine = put_text(&at, s->engine),
                .id = put_text(&at, s->id),
                .image = put_text(&at, s->image),
                .ended = s->ended,
                .end = s->end, /* a literal */
        };
        return n;
}

/* Once the file is open, which may be another one than that of which we know numbers. */
static int put_rows(RowJob *j, HistoryDb *db) {
        bool known = history_db_generation(db) == j->generation;
        int r = 0;

        for (size_t i = 0; i < j->n; i++)
                if (!known && !j->rows[i].names)
                        return HISTORY_DB_FAILED; /* once more, with names */
        for (size_t i = 0; i < j->n && r == 0; i++) {
                struct JobRow *x = &j->rows[i];

                if (x->names)
                        r = history_db_cgroup(db, &x->names->g, &x->number);
                if (r == 0)
                        r = history_db_put(db, HISTORY_OF_CGROUP, x->number, &x->row);
        }
        return r;
}

static int run_rows(HistoryJob *job, HistoryDb *db) {
        RowJob *j = (RowJob *)job;
        int r = history_db_begin(db), k;

        if (r == 0)
                r = put_rows(j, db);
        k = history_db_commit(db);
        j->generation = history_db_generation(db);
        return r != 0 ? r : k;
}

/* Numbers of a transaction that failed, or in another file, mean nothing. */
static void note_generation(Collect *c, uint64_t generation) {
        TenantState *t;
        size_t i = 0;
        Subject *s;

        if (c->generation == generation)
                return;
        c->generation = generation;
        while ((s = map_next(&c->by_cgroup, &i))) {
                s->number = 0;
                s->named = false;
        }
        for (i = 0; (t = map_next(&c->tenants, &i));)
                t->number = 0;
}

static void keep_row(Subject *s, const UsageRow *row) {
        if (s->has_pending)
                usage_row_merge(&s->pending, row);
        else
                s->pending = *row;
        s->has_pending = true;
}

static void done_rows(HistoryJob *job) {
        RowJob *j = (RowJob *)job;
        Collect *c = j->collect;

        note_generation(c, j->generation);
        for (size_t i = 0; i < j->n; i++) {
                struct JobRow *x = &j->rows[i];
                Subject *s =
                        map_get_u64(&c->by_cgroup, x->cgroup_id); /* it stays as long as this is under way */

                if (s) {
                        s->under_way--;
                        if (job->result == 0)
                                s->number = x->number;
                        else {
                                keep_row(s, &x->row);
                                s->named = s->named && !x->names; /* they are to be told again */
                        }
                }
                free(x->names);
        }
        free(j);
}

static void flush(Collect *c) {
        RowJob *j = steal_ptr(c->filling);

        if (j)
                c->o.jobs.submit(c->o.jobs.user, &j->job);
}

/* The job that takes one more row; NULL: none does. */
static RowJob *job_for_row(Collect *c) {
        RowJob *j;

        if (c->filling && c->filling->n == BATCH_MAX)
                flush(c);
        if (c->filling)
                return c->filling;
        c->crowded = c->crowded || !c->o.jobs.has_room(c->o.jobs.user);
        if (c->crowded)
                return NULL;
        j = malloc(sizeof(*j));
        if (!j)
                return NULL;
        j->job = (HistoryJob){ .run = run_rows, .done = done_rows };
        j->collect = c;
        j->generation = c->generation;
        j->n = 0;
        return c->filling = j;
}

static void add_row(Collect *c, Subject *s, const UsageRow *row) {
        RowJob *j = job_for_row(c);
        Names *names = NULL;
        struct JobRow *to;

        if (j && (s->number == 0 || !s->named) && !(names = names_of(s)))
                j = NULL;
        if (!j) {
                keep_row(s, row);
                return;
        }
        to = &j->rows[j->n++];
        *to = (struct JobRow){ s->cgroup_id, s->number, names, *row };
        if (s->has_pending) {
                to->row = s->pending;
                usage_row_merge(&to->row, row);
                usage_row_set_cpu(&to->row);
                s->has_pending = false;
        }
        s->named = true;
        s->under_way++;
}

/* Those that ended and have nothing to tell any more; the rest of them tries again with the next stream. */
static void drop_gone(Collect *c) {
        size_t i = 0;
        Subject *s;

        while ((s = map_next(&c->by_cgroup, &i)))
                if (s->gone && !s->has_pending && s->under_way == 0) {
                        (void)map_remove_u64(&c->by_cgroup, s->cgroup_id);
                        subject_free(s);
                }
}

static void tell_gone(Collect *c) {
        size_t i = 0;
        Subject *s;

        while ((s = map_next(&c->by_cgroup, &i)))
                if (s->gone && s->has_pending) {
                        UsageRow row = s->pending;

                        s->has_pending = false;
                        add_row(c, s, &row);
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

        if (!s) {
                s = subject_new(c, who);
                if (s && !c->answered)
                        s->tally.done = usagerow_slot_end(c->read_at / USEC_PER_SEC, USAGEROW_SLOT_SEC);
        }
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

/* What is not told again is as it was; but peaks are of the interval between two looks, and what was taken away is not had. */
static Sample with_known(const Sample *known, const Sample *s, SampleMask fields) {
        Sample merged = *known;

        sample_clear(&merged, SAMPLE_BIT(SAMPLE_MEMORY_PEAK) | SAMPLE_BIT(SAMPLE_SWAP_PEAK) |
                                      SAMPLE_BIT(SAMPLE_PEAK_KIND));
        sample_clear(&merged, fields & ~s->have);
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

        if (!s || s->gone)
                return;
        if (s->tally.last_at > 0 && realtime <= s->tally.last_at && sample->at <= s->tally.last.at)
                return; /* read before */
        born = s->tally.last_at == 0 && s->since > c->first;
        c->first = MIN_OF(c->first, realtime);
        merged = with_known(&s->tally.last, sample, fields);
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

/* What an exporter before this one wrote. */
typedef struct KnownJob {
        HistoryJob job;
        Collect *collect;
        uint64_t now; /* s */
        struct KnownRow {
                uint64_t cgroup_id, time;
        } * rows;
        size_t n, alloc;
        bool no_memory;
} KnownJob;

static void tell_known(void *user, uint64_t cgroup_id, uint64_t time) {
        KnownJob *j = user;

        if (GROW(j->rows, j->n, j->alloc) < 0)
                j->no_memory = true;
        else
                j->rows[j->n++] = (struct KnownRow){ cgroup_id, time };
}

static int run_known(HistoryJob *job, HistoryDb *db) {
        KnownJob *j = (KnownJob *)job;
        int r = history_db_begin(db), k = history_db_commit(db);

        if (r == 0 && k == 0)
                r = history_db_last_rows(db, j->now - MIN_OF(j->now, (uint64_t)BACK_SEC),
                                         j->now + USAGEROW_SLOT_SEC, tell_known, j);
        return r != 0 ? r : k != 0 ? k : j->no_memory ? HISTORY_DB_FAILED : 0;
}

/* Kinds and names are the stream's to tell. */
static void note_known(Collect *c, const struct KnownRow *row) {
        HistoryWho who = { .kind = HISTORY_CONTAINER, .cgroup_id = row->cgroup_id };
        Subject *s = map_get_u64(&c->by_cgroup, row->cgroup_id);

        if (!s)
                s = subject_new(c, &who);
        if (s && s->tally.last_at == 0)
                s->tally.done = row->time;
}

static void done_known(HistoryJob *job) {
        KnownJob *j = (KnownJob *)job;
        Collect *c = j->collect;

        c->asking = false;
        c->answered = true;
        c->begun = job->result == 0;
        for (size_t i = 0; i < j->n && c->begun; i++)
                note_known(c, &j->rows[i]);
        free(j->rows);
        free(j);
}

void collect_begin(Collect *c, uint64_t realtime) {
        KnownJob *j = c->begun || c->asking ? NULL : calloc(1, sizeof(*j));

        if (!j)
                return;
        j->job = (HistoryJob){ .run = run_known, .done = done_known };
        j->collect = c;
        j->now = realtime / USEC_PER_SEC;
        c->asking = true;
        c->o.jobs.submit(c->o.jobs.user, &j->job);
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

        collect_begin(c, realtime);
        c->read_at = realtime;
        c->crowded = false;
        c->error = 0;
        r = history_read(c->reader, data, len, &handler, &x.anew);
        /* Those that nobody told of any more ended while nobody listened. */
        if (r == 0 && c->error == 0 && x.anew && x.told)
                while ((s = map_next(&c->by_cgroup, &i)))
                        if (!s->seen && !s->gone)
                                end_subject(c, s, realtime, true);
        tell_gone(c);
        flush(c);
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
        while ((t = map_next(&c->tenants, &i))) {
                t->memory = t->working_set = t->swap = t->tasks = t->containers = 0;
                t->measured = c->read_at > 0;
                t->live = false;
        }
        for (i = 0; (s = map_next(&c->by_cgroup, &i));) {
                const Sample *now = &s->tally.last;
                uint64_t working = 0;

                if (s->gone || s->kind == HISTORY_HOST || !s->tenant || !s->cgroup)
                        continue;
                t = tenant_get(c, s->tenant);
                if (!t)
                        return -ENOMEM;
                t->measured = t->live = true;
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
        if (!t->measured)
                return row;
        usage_row_set_gauge(&row, USAGE_MEMORY, t->memory);
        usage_row_set_gauge(&row, USAGE_WORKING_SET, t->working_set);
        usage_row_set_gauge(&row, USAGE_SWAP, t->swap);
        usage_row_set_gauge(&row, USAGE_TASKS, t->tasks);
        return row;
}

/* What each of them had, copied: the job's own until it is done. */
typedef struct JobTenant {
        TenantState t;
        Book total;
        bool wrote;
} JobTenant;

typedef struct UsageJob {
        HistoryJob job;
        Collect *collect;
        uint64_t realtime, generation;
        bool usage_seen;
        size_t n;
        JobTenant tenants[];
} UsageJob;

/* The base is the history's, else what is now: what was used before anybody wrote is not in it. Who came since is told whole. */
static int find_base(const UsageJob *j, HistoryDb *db, TenantState *t, const Book *total) {
        int r = history_db_tenant(db, t->name, &t->number);

        if (r == 0 && !t->has_base)
                r = history_db_get_total(db, t->number, &t->base);
        if (r != 0)
                return r;
        if (!t->has_base && t->base.since_realtime == 0)
                t->base = j->usage_seen ? (Book){ .since_realtime = total->since_realtime } : *total;
        t->has_base = true;
        if (is_new_life(&t->base, total))
                t->base = (Book){ .since_realtime = total->since_realtime };
        return 0;
}

static int put_tenant(const UsageJob *j, HistoryDb *db, JobTenant *x) {
        uint64_t quiet = USAGEROW_QUIET_SEC * USEC_PER_SEC;
        TenantState *t = &x->t;
        UsageRow row;
        int r = find_base(j, db, t, &x->total);

        if (r != 0)
                return r;
        if (t->row_at > 0 && j->realtime >= t->row_at && j->realtime / quiet == t->row_at / quiet &&
            !grew(&t->base, &x->total))
                return 0;
        row = tenant_row(t, &x->total, j->realtime);
        r = history_db_put(db, HISTORY_OF_TENANT, t->number, &row);
        if (r == 0)
                r = history_db_put_total(db, t->number, &x->total);
        x->wrote = r == 0;
        return r;
}

static int run_usage(HistoryJob *job, HistoryDb *db) {
        UsageJob *j = (UsageJob *)job;
        int r = history_db_begin(db), k;

        for (size_t i = 0; i < j->n && r == 0; i++)
                r = put_tenant(j, db, &j->tenants[i]);
        k = history_db_commit(db);
        j->generation = history_db_generation(db);
        return r != 0 ? r : k;
}

/* Where it failed nothing is known that was not before. */
static void note_tenant(Collect *c, const JobTenant *x, uint64_t realtime) {
        TenantState *t = map_get_str(&c->tenants, x->t.name);

        if (!t)
                return;
        t->number = x->t.number;
        t->has_base = true;
        t->base = x->wrote ? x->total : x->t.base;
        if (x->wrote)
                t->row_at = realtime;
}

/* Templates make tenants without end. Who comes back is found in the history. */
static void drop_tenants(Collect *c) {
        TenantState *t;
        size_t i = 0;

        while ((t = map_next(&c->tenants, &i))) {
                if (t->live || t->listed == c->n_usage)
                        continue;
                (void)map_remove_str(&c->tenants, t->name);
                free(t->name);
                free(t);
        }
}

static void done_usage(HistoryJob *job) {
        UsageJob *j = (UsageJob *)job;
        Collect *c = j->collect;

        c->usage_under_way = false;
        note_generation(c, j->generation);
        if (job->result == 0)
                c->usage_seen = true;
        for (size_t i = 0; i < j->n; i++) {
                if (job->result == 0)
                        note_tenant(c, &j->tenants[i], j->realtime);
                free(j->tenants[i].t.name);
        }
        if (job->result == 0)
                drop_tenants(c);
        free(j);
}

static int add_tenant(Collect *c, UsageJob *j, const json_t *o) {
        const char *name = json_text(o, "name");
        TenantState *t = name ? tenant_get(c, name) : NULL;
        JobTenant *x = &j->tenants[j->n];
        uint64_t have;

        if (!name)
                return 0;
        if (!t)
                return -ENOMEM;
        t->measured = t->measured || c->read_at > 0;
        t->listed = c->n_usage;
        x->t = *t;
        x->t.name = strdup(name);
        if (!x->t.name)
                return -ENOMEM;
        j->n++;
        usage_book_read(json_member(o, "book"), &x->total, &have);
        x->total.since_realtime = json_number(o, "since");
        return 0;
}

int collect_usage(Collect *c, const json_t *usage, uint64_t realtime) {
        const json_t *list = json_member(usage, "tenants"), *o;
        int r = sum_tenants(c);
        UsageJob *j;
        size_t i;

        /* These are totals: the next ones tell what these would have. */
        if (r < 0 || c->usage_under_way)
                return r;
        j = calloc(1, sizeof(*j) + json_array_size(list) * sizeof(j->tenants[0]));
        if (!j)
                return -ENOMEM;
        j->job = (HistoryJob){ .run = run_usage, .done = done_usage };
        j->collect = c;
        j->realtime = realtime;
        j->usage_seen = c->usage_seen;
        c->n_usage++;
        json_array_foreach(list, i, o) if (r == 0) r = add_tenant(c, j, o);
        if (r < 0) {
                for (i = 0; i < j->n; i++)
                        free(j->tenants[i].t.name);
                free(j);
                return r;
        }
        c->usage_under_way = true;
        c->o.jobs.submit(c->o.jobs.user, &j->job);
        return 0;
}

/* ---- words ---- */

typedef struct WordsJob {
        HistoryJob job;
        Collect *collect;
        CollectWords what;
        uint64_t realtime; /* when it was asked for */
        json_t *list; /* of a policy that one; read only until it is done */
        size_t n;
        char *texts[];
} WordsJob;

static int put_word(const WordsJob *j, HistoryDb *db, const json_t *o, const char *text) {
        switch (j->what) {
        case COLLECT_EVENTS:
                return history_db_put_event(db, json_number(o, "time"), json_number(o, "id"),
                                            json_text(o, "kind"), json_text(o, "tenant"),
                                            json_text(o, "container"), json_number(o, "incident"), text);
        case COLLECT_INCIDENTS:
                return history_db_put_incident(db, json_number(o, "opened"), json_number(o, "id"),
                                               json_text(o, "tenant"), json_text(o, "container"),
                                               json_number(o, "closed"), text);
        default:
                return history_db_put_policy(db, j->realtime, text);
        }
}

static bool is_listed(void *user, uint64_t opened, uint64_t id) {
        const json_t *o;
        size_t i;

        json_array_foreach((json_t *)user, i, o) if (json_number(o, "opened") == opened &&
                                                     json_number(o, "id") == id) return true;
        return false;
}

static int run_words(HistoryJob *job, HistoryDb *db) {
        WordsJob *j = (WordsJob *)job;
        int r = history_db_begin(db), k;

        for (size_t i = 0; i < j->n && r == 0; i++)
                if (j->texts[i])
                        r = put_word(j, db, json_array_get(j->list, i), j->texts[i]);
        if (r == 0 && j->what == COLLECT_INCIDENTS)
                r = history_db_close_incidents(db, j->realtime, is_listed, j->list);
        k = history_db_commit(db);
        return r != 0 ? r : k;
}

static void done_words(HistoryJob *job) {
        WordsJob *j = (WordsJob *)job;
        Collect *c = j->collect;

        for (size_t i = 0; i < j->n; i++)
                free(j->texts[i]);
        json_decref(j->list);
        if (c->o.written)
                c->o.written(c->o.user, j->what, job->result == 0);
        free(j);
}

/* list is taken. What cannot be made a text is left out. That there is no incident says something, too. */
static void put_words(Collect *c, CollectWords what, json_t *list, uint64_t realtime) {
        size_t n = json_array_size(list);
        bool any = n > 0 || (what == COLLECT_INCIDENTS && json_is_array(list));
        WordsJob *j = any ? calloc(1, sizeof(*j) + n * sizeof(j->texts[0])) : NULL;

        if (!j) {
                json_decref(list);
                if (c->o.written)
                        c->o.written(c->o.user, what, !any);
                return;
        }
        j->job = (HistoryJob){ .run = run_words, .done = done_words };
        j->collect = c;
        j->what = what;
        j->realtime = realtime;
        j->list = list;
        for (j->n = 0; j->n < n; j->n++)
                j->texts[j->n] = json_dumps(json_array_get(list, j->n), JSON_COMPACT);
        c->o.jobs.submit(c->o.jobs.user, &j->job);
}

void collect_events(Collect *c, const json_t *events) {
        put_words(c, COLLECT_EVENTS, json_incref((json_t *)events), 0);
}

void collect_incidents(Collect *c, const json_t *incidents, uint64_t realtime) {
        put_words(c, COLLECT_INCIDENTS, json_incref((json_t *)incidents), realtime);
}

void collect_policy(Collect *c, const json_t *policy, uint64_t realtime) {
        put_words(c, COLLECT_POLICY, json_pack("[O]", policy), realtime);
}
