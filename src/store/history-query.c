/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asking the history.
 *
 * What somebody used in a span is a sum over rows, and each part of the span is taken from one grain only: what is rolled up into
 * hours from those, what is not yet from five minutes, the rest from raw rows. Of a span that begins where finer rows are still
 * kept the finer ones are taken, since they begin nearer to what was asked for. Where rows begin in truth is told.
 */

#include <stdio.h>

#include "history-db-internal.h"
#include "map.h"
#include "num.h"

/* ---- readers ---- */

#define STOP_STEPS 20000 /* of SQLite's machine, from one look to the next: some milliseconds */
#define READER_BUSY_MSEC 500

int history_db_new_reader(const char *path, HistoryDb **ret) {
        HistoryDb *db = calloc(1, sizeof(*db));

        if (!db)
                return -ENOMEM;
        db->reader = true;
        db->path = strdup(path);
        if (!db->path)
                return history_db_free(db), -ENOMEM;
        *ret = db;
        return 0;
}

void history_db_set_stop(HistoryDb *db, bool (*stop)(void *user), void *user) {
        db->stop = stop;
        db->stop_user = user;
}

static int on_steps(void *user) {
        HistoryDb *db = user;

        return db->stop(db->stop_user);
}

/* Another version's tables are not read: what is in them may mean something else. */
static int look_at_version(HistoryDb *db) {
        uint64_t version;
        int r = history_db_number(db, "PRAGMA user_version", &version);

        if (r != 0 || version == HISTORY_DB_VERSION)
                return r;
        db->status.state = version > HISTORY_DB_VERSION ? HISTORY_DB_LATER : HISTORY_DB_FAILED;
        (void)snprintf(db->status.text, sizeof(db->status.text), "it is of version %llu",
                       (unsigned long long)version);
        return db->status.state;
}

int history_db_read_begin(HistoryDb *db) {
        int k, r;

        db->status = (HistoryDbStatus){};
        k = sqlite3_open_v2(db->path, &db->sqlite, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
        r = history_db_result(db, k, "open it");
        if (r == 0) {
                (void)sqlite3_busy_timeout(db->sqlite, READER_BUSY_MSEC);
                if (db->stop)
                        sqlite3_progress_handler(db->sqlite, STOP_STEPS, on_steps, db);
                r = history_db_exec(db, "BEGIN", "begin");
        }
        if (r == 0)
                r = look_at_version(db);
        if (r == 0)
                r = history_db_read_marks(db);
        if (r != 0)
                history_db_close(db);
        return r;
}

void history_db_read_end(HistoryDb *db) {
        (void)sqlite3_exec(db->sqlite, "COMMIT", NULL, NULL, NULL);
        history_db_close(db);
}

int history_reads(HistoryDb *db) {
        return db->sqlite && !db->in_transaction && db->status.state != HISTORY_DB_DAMAGED
                       ? 0
                       : MAX_OF((int)db->status.state, (int)HISTORY_DB_FAILED);
}

/* ---- what was when somebody wrote last ---- */

int history_db_last_rows(HistoryDb *db, uint64_t since, uint64_t until,
                         void (*tell)(void *user, uint64_t cgroup_id, uint64_t time), void *user) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_reads(db), k;

        if (r != 0)
                return r;
        r = history_db_prepare(
                db,
                "SELECT c.cgroup_id, MAX(r.time) FROM cgroup_raw r JOIN cgroups c ON c.id = "
                "r.cgroup WHERE r.time > ?1 AND r.time <= ?3 AND c.boot = ?2 GROUP BY r.cgroup",
                &s, "read the last rows");
        if (r != 0)
                return r;
        history_bind(s, 1, since);
        (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)(db->o.boot & INT64_MAX));
        history_bind(s, 3, until);
        while ((k = sqlite3_step(s)) == SQLITE_ROW)
                tell(user, history_column(s, 0), history_column(s, 1));
        return history_db_result(db, k, "read the last rows");
}

/* "cpu_usec=5 io_read_bytes=7 ": what is not understood is 0. */
static void read_total(const char *text, Book *b) {
        while (*text) {
                const char *equals = strchr(text, '='), *p;
                char name[64];
                BookField f;
                uint64_t v;

                if (!equals || (size_t)(equals - text) >= sizeof(name))
                        return;
                memcpy(name, text, (size_t)(equals - text));
                name[equals - text] = '\0';
                p = equals + 1;
                if (num_scan_u64(&p, p + strlen(p), &v) < 0)
                        return;
                f = book_field_from_name(name);
                if (f >= 0 && f < _BOOK_COUNTERS)
                        b->v[f] = v;
                text = p + strspn(p, " ");
        }
}

int history_db_get_total(HistoryDb *db, int64_t tenant, Book *ret) {
        int k, r;

        *ret = (Book){};
        if (db->pending != 0 || !db->sqlite)
                return db->pending;
        (void)sqlite3_bind_int64(db->get_total, 1, tenant);
        k = sqlite3_step(db->get_total);
        r = history_db_result(db, k, "read a total");
        if (k == SQLITE_ROW) {
                const char *text = (const char *)sqlite3_column_text(db->get_total, 1);

                ret->since_realtime = history_column(db->get_total, 0);
                read_total(text ? text : "", ret);
        }
        (void)sqlite3_reset(db->get_total);
        return r;
}

/* ---- use ---- */

int history_divide(HistoryDb *db, uint64_t from, uint64_t to, HistoryPart parts[static _HISTORY_GRAIN_MAX]) {
        HistoryGrain coarsest = _HISTORY_GRAIN_MAX - 1;
        uint64_t at = from;

        /* The coarsest grain whose slots are short beside the span; one that does not reach back so far is no help. */
        for (HistoryGrain g = 0; g < _HISTORY_GRAIN_MAX; g++) {
                uint64_t first;
                char sql[64];
                int r;

                (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM cgroup_%s", history_grain_name[g]);
                r = history_db_number(db, sql, &first);
                if (r != 0)
                        return r;
                if (first > 0 && first <= from + history_grain_sec[g] &&
                    (g == _HISTORY_GRAIN_MAX - 1 ||
                     to - from < (uint64_t)history_grain_sec[g] * (g == HISTORY_RAW ? 720 : 576))) {
                        coarsest = g;
                        break;
                }
        }
        for (int g = _HISTORY_GRAIN_MAX - 1; g >= 0; g--) {
                uint64_t until = g == HISTORY_RAW ? to : MIN_OF(db->rolled[g], to);

                parts[g] = (HistoryPart){ at, at };
                if (g > (int)coarsest || until <= at)
                        continue;
                if (g > HISTORY_RAW) /* whole slots */
                        until -= until % history_grain_sec[g];
                if (until <= at)
                        continue;
                parts[g].to = until;
                at = until;
        }
        return 0;
}

typedef struct Sum {
        int64_t subject;
        uint64_t first, last;
        UsageRow row;
} Sum;

static void sums_deinit(Map *sums) {
        size_t i = 0;
        Sum *s;

        while ((s = map_next(sums, &i)))
                free(s);
        map_deinit(sums);
}

static int add_sum(Map *sums, int64_t subject, uint64_t first, uint64_t last, const UsageRow *row) {
        Sum *s = map_get_u64(sums, (uint64_t)subject);

        if (!s) {
                if (sums->n >= HISTORY_SUBJECTS_MAX)
                        return -E2BIG;
                s = calloc(1, sizeof(*s));
                if (!s)
                        return -ENOMEM;
                *s = (Sum){ .subject = subject, .first = first };
                if (map_put_u64(sums, (uint64_t)subject, s) < 0) {
                        free(s);
                        return -ENOMEM;
                }
        }
        s->first = MIN_OF(s->first, first);
        s->last = MAX_OF(s->last, last);
        usage_row_merge(&s->row, row);
        return 0;
}

/* Added up here: to group rows that lie in order of time SQLite would sort them all. */
static int sum_part(HistoryDb *db, HistoryOf of, HistoryGrain grain, HistoryPart part, Map *sums) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_buf_ Buf sql = BUF_INIT;
        int r, k;

        if (part.from >= part.to)
                return 0;
        buf_puts(&sql, "SELECT ");
        history_row_columns(of, grain, &sql);
        buf_printf(&sql, " FROM %s_%s WHERE time > ?1 AND time <= ?2", history_of_name[of],
                   history_grain_name[grain]);
        r = history_db_prepare(db, buf_str(&sql), &s, "sum up");
        if (r != 0)
                return r;
        history_bind(s, 1, part.from);
        history_bind(s, 2, part.to);
        while ((k = sqlite3_step(s)) == SQLITE_ROW) {
                UsageRow row;

                (void)history_row_read(s, 2, grain, &row);
                row.time = history_column(s, 0);
                r = add_sum(sums, sqlite3_column_int64(s, 1),
                            row.time - MIN_OF(row.time, (uint64_t)history_grain_sec[grain]), row.time, &row);
                if (r < 0)
                        return r;
        }
        return history_db_result(db, k, "sum up");
}

static const char *text_of(sqlite3_stmt *s, int i) {
        const char *text = (const char *)sqlite3_column_text(s, i);

        return text ? text : "";
}

static bool who_of(sqlite3_stmt *s, HistoryOf of, HistoryUsage *u) {
        if (of == HISTORY_OF_TENANT) {
                u->cgroup = (HistoryCgroup){ .who = { .tenant = text_of(s, 0), .name = "", .cgroup = "" },
                                             .engine = "",
                                             .id = "",
                                             .image = "",
                                             .end = "" };
                return true;
        }
        u->cgroup = (HistoryCgroup){
                .who = { .kind = HISTORY_CONTAINER,
                         .cgroup_id = history_column(s, 1),
                         .since_realtime = history_column(s, 2),
                         .tenant = text_of(s, 0),
                         .name = text_of(s, 3),
                         .cgroup = text_of(s, 4) },
                .engine = text_of(s, 5),
                .id = text_of(s, 6),
                .image = text_of(s, 7),
                .ended = history_column(s, 8),
                .end = text_of(s, 9),
        };
        return true;
}

static int tell_sums(HistoryDb *db, HistoryOf of, const Map *sums,
                     void (*tell)(void *user, const HistoryUsage *u), void *user, uint64_t *ret_from) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_db_prepare(db,
                                   of == HISTORY_OF_TENANT
                                           ? "SELECT name FROM tenants WHERE id = ?1"
                                           : "SELECT tenant, cgroup_id, since, name, cgroup, engine, "
                                             "engine_id, image, ended, end "
                                             "FROM cgroups WHERE id = ?1 AND kind = 'container'",
                                   &s, "read names");
        uint64_t from = 0;
        size_t i = 0;
        Sum *sum;

        while (r == 0 && (sum = map_next(sums, &i))) {
                HistoryUsage u = {
                        .number = sum->subject, .first = sum->first, .last = sum->last, .row = sum->row
                };
                int k;

                (void)sqlite3_bind_int64(s, 1, sum->subject);
                k = sqlite3_step(s);
                r = history_db_result(db, k, "read names");
                if (k == SQLITE_ROW && who_of(s, of, &u)) {
                        from = from == 0 ? u.first : MIN_OF(from, u.first);
                        tell(user, &u);
                }
                (void)sqlite3_reset(s);
        }
        if (r == 0)
                *ret_from = from;
        return r;
}

int history_db_usage(HistoryDb *db, HistoryOf of, uint64_t from, uint64_t to,
                     void (*tell)(void *user, const HistoryUsage *u), void *user, uint64_t *ret_from) {
        _cleanup_(sums_deinit) Map sums = MAP_INIT;
        HistoryPart parts[_HISTORY_GRAIN_MAX];
        int r = history_reads(db);

        if (r == 0)
                r = history_divide(db, from, to, parts);
        for (int g = 0; g < _HISTORY_GRAIN_MAX && r == 0; g++)
                r = sum_part(db, of, (HistoryGrain)g, parts[g], &sums);
        return r == 0 ? tell_sums(db, of, &sums, tell, user, ret_from) : r;
}

/* ---- words ---- */

int history_db_words(HistoryDb *db, HistoryWords words, const HistoryChoice *c,
                     void (*tell)(void *user, const char *json), void *user) {
        enum { OF_INCIDENT = _HISTORY_WORDS_MAX };
        static const char *const sql[] = {
                [HISTORY_EVENTS] = "SELECT json FROM (SELECT time, id, json FROM events WHERE time > ?1 AND "
                                   "time <= ?2 AND (?3 IS NULL OR tenant = ?3) "
                                   "AND (?6 IS NULL OR container = ?6) ORDER BY time DESC, id DESC LIMIT ?5) "
                                   "ORDER BY time, id",
                /* by the index of those that belong to one: a year of events may be gigabytes */
                [OF_INCIDENT] = "SELECT json FROM (SELECT time, id, json FROM events WHERE incident = ?4 AND "
                                "time > ?1 AND time <= ?2 AND (?3 IS NULL OR tenant = ?3) AND "
                                "(?6 IS NULL OR container = ?6) ORDER BY time DESC, id DESC LIMIT ?5) "
                                "ORDER BY time, id",
                [HISTORY_INCIDENTS] = "SELECT json FROM incidents WHERE opened <= ?2 AND "
                                      "(closed IS NULL OR closed >= ?1) AND (?3 IS NULL OR tenant = ?3) AND "
                                      "(?4 = 0 OR id = ?4) AND (?6 IS NULL OR container = ?6) "
                                      "ORDER BY opened DESC LIMIT ?5",
        };
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_reads(db), k;

        if (r == 0)
                r = history_db_prepare(db,
                                       sql[words == HISTORY_EVENTS && c->incident > 0 ? OF_INCIDENT : words],
                                       &s, "read events");
        if (r != 0)
                return r;
        history_bind(s, 1, c->from);
        history_bind(s, 2, c->to);
        if (c->tenant)
                (void)sqlite3_bind_text(s, 3, c->tenant, -1, SQLITE_STATIC);
        history_bind(s, 4, c->incident);
        (void)sqlite3_bind_int64(s, 5, c->max);
        if (c->container)
                (void)sqlite3_bind_text(s, 6, c->container, -1, SQLITE_STATIC);
        while ((k = sqlite3_step(s)) == SQLITE_ROW)
                tell(user, text_of(s, 0));
        return history_db_result(db, k, "read events");
}
