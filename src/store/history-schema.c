/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tables of the history, and how a row lies in them.
 *
 * Names and numbers that say what is in the file come in steps: PRAGMA user_version is how many of them a file has, and each is
 * applied once. Columns of rows are not among them: they are those of the books and of the gauges, by name, so a file of
 * an earlier bailiff gets those that have been added since as columns that are NULL in what was written before, which reads as 0.
 *
 * Rows are ordered by time first: they come in that order, go in that order, and what is asked is what many used in some time.
 * WITHOUT ROWID because that order is then the table's own. A number that is 0 takes one byte.
 */

#include <stdio.h>

#include "history-db-internal.h"

const unsigned history_grain_sec[_HISTORY_GRAIN_MAX] = { RAW_SEC, 300, 3600 };
const char *const history_of_name[_HISTORY_OF_MAX] = { "cgroup", "tenant" };
const char *const history_grain_name[_HISTORY_GRAIN_MAX] = { "raw", "5min", "1h" };

static const char *const steps[] = {
        /* 1 */
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
        "CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE cgroups (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, cgroup_id INTEGER NOT NULL,"
        " kind TEXT NOT NULL, since INTEGER, tenant TEXT, name TEXT, cgroup TEXT, engine TEXT, engine_id "
        "TEXT,"
        " image TEXT, ended INTEGER, end TEXT, UNIQUE (boot, cgroup_id));"
        "CREATE TABLE totals (tenant INTEGER PRIMARY KEY, since INTEGER, book TEXT);"
        "CREATE TABLE events (time INTEGER, id INTEGER, kind TEXT, tenant TEXT, container TEXT,"
        " incident INTEGER, json TEXT, PRIMARY KEY (time, id)) WITHOUT ROWID;"
        "CREATE INDEX events_of_incidents ON events (incident) WHERE incident IS NOT NULL;"
        "CREATE TABLE incidents (opened INTEGER, id INTEGER, tenant TEXT, container TEXT, closed INTEGER,"
        " json TEXT, PRIMARY KEY (opened, id)) WITHOUT ROWID;"
        "CREATE TABLE policies (time INTEGER PRIMARY KEY, json TEXT);"
        "CREATE VIEW containers AS SELECT * FROM cgroups WHERE kind = 'container';",
};
_Static_assert(ARRAY_SIZE(steps) == HISTORY_DB_VERSION, "a step to each version");

/* ---- columns of rows ---- */

static const char *const stats[] = { "_min", "_mean", "_max", "_p95" };

static uint64_t *stat_of(UsageStat *s, size_t i) {
        uint64_t *const members[] = { &s->min, &s->mean, &s->max, &s->p95 };

        return members[i];
}

/* Calls for each column of a row behind time and subject, in their order. */
static void each_column(HistoryGrain grain, void (*call)(void *user, const char *name, bool counts),
                        void *user) {
        char name[96];

        call(user, "span_ms", true);
        if (grain != HISTORY_RAW)
                call(user, "looks", true);
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                for (size_t i = 0; i < (grain == HISTORY_RAW ? 1 : ARRAY_SIZE(stats)); i++) {
                        (void)snprintf(name, sizeof(name), "%s%s", usage_gauge_name(g),
                                       grain == HISTORY_RAW ? "" : stats[i]);
                        call(user, name, false);
                }
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                call(user, book_info((BookField)f)->name, true);
}

static void put_column(void *user, const char *name, bool counts) {
        (void)counts;
        buf_printf(user, ", %s", name);
}

void history_row_columns(HistoryOf of, HistoryGrain grain, Buf *out) {
        buf_printf(out, "time, %s", history_of_name[of]);
        each_column(grain, put_column, out);
}

int history_row_read(sqlite3_stmt *s, int first, HistoryGrain grain, UsageRow *ret) {
        int i = first;

        *ret = (UsageRow){ .looks = 1 };
        ret->span_msec = history_column(s, i++);
        if (grain != HISTORY_RAW)
                ret->looks = history_column(s, i++);
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                bool had = sqlite3_column_type(s, i) != SQLITE_NULL;

                if (grain == HISTORY_RAW && had)
                        usage_row_set_gauge(ret, g, history_column(s, i));
                for (size_t k = 0; k < ARRAY_SIZE(stats) && grain != HISTORY_RAW && had; k++) {
                        ret->have |= UINT32_C(1) << g;
                        *stat_of(&ret->gauges[g], k) = history_column(s, i + (int)k);
                }
                i += grain == HISTORY_RAW ? 1 : (int)ARRAY_SIZE(stats);
        }
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                ret->counters[f] = history_column(s, i++);
        return i;
}

void history_row_bind(sqlite3_stmt *s, HistoryGrain grain, int64_t subject, const UsageRow *row) {
        int i = 1;

        history_bind(s, i++, row->time);
        (void)sqlite3_bind_int64(s, i++, subject);
        history_bind(s, i++, row->span_msec);
        if (grain != HISTORY_RAW)
                history_bind(s, i++, row->looks);
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                UsageStat stat = row->gauges[g];

                for (size_t k = 0; k < (grain == HISTORY_RAW ? 1 : ARRAY_SIZE(stats)); k++)
                        if (row->have >> g & 1)
                                history_bind(s, i++, *stat_of(&stat, grain == HISTORY_RAW ? 1 : k));
                        else
                                (void)sqlite3_bind_null(s, i++);
        }
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                history_bind(s, i++, row->counters[f]);
}

/* ---- making them ---- */

typedef struct Alter {
        HistoryDb *db;
        const char *table;
        int r;
} Alter;

static void add_column(void *user, const char *name, bool counts) {
        Alter *a = user;
        char sql[256];
        uint64_t n;

        (void)counts;
        (void)snprintf(sql, sizeof(sql), "SELECT COUNT(*) FROM pragma_table_info('%s') WHERE name = '%s'",
                       a->table, name);
        if (a->r == 0)
                a->r = history_db_number(a->db, sql, &n);
        if (a->r != 0 || n > 0)
                return;
        (void)snprintf(sql, sizeof(sql), "ALTER TABLE %s ADD COLUMN %s INTEGER", a->table, name);
        a->r = history_db_exec(a->db, sql, "add a column");
}

static int row_tables(HistoryDb *db) {
        for (int of = 0; of < _HISTORY_OF_MAX; of++)
                for (int grain = 0; grain < _HISTORY_GRAIN_MAX; grain++) {
                        char table[32], sql[256];
                        Alter a = { db, table, 0 };

                        (void)snprintf(table, sizeof(table), "%s_%s", history_of_name[of],
                                       history_grain_name[grain]);
                        (void)snprintf(sql, sizeof(sql),
                                       "CREATE TABLE IF NOT EXISTS %s (time INTEGER, %s INTEGER, "
                                       "PRIMARY KEY (time, %s)) WITHOUT ROWID",
                                       table, history_of_name[of], history_of_name[of]);
                        a.r = history_db_exec(db, sql, "make a table");
                        each_column((HistoryGrain)grain, add_column, &a);
                        if (a.r != 0)
                                return a.r;
                }
        return 0;
}

int history_schema_apply(HistoryDb *db) {
        uint64_t version;
        int r = history_db_number(db, "PRAGMA user_version", &version);

        if (r != 0)
                return r;
        if (version > HISTORY_DB_VERSION) {
                db->status.state = HISTORY_DB_LATER;
                (void)snprintf(db->status.text, sizeof(db->status.text),
                               "it is of version %llu, and this bailiff knows %d: it is left alone",
                               (unsigned long long)version, HISTORY_DB_VERSION);
                return HISTORY_DB_LATER;
        }
        for (; version < HISTORY_DB_VERSION && r == 0; version++) {
                char sql[64];

                r = history_db_exec(db, steps[version], "make the tables");
                (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %llu",
                               (unsigned long long)version + 1);
                if (r == 0)
                        r = history_db_exec(db, sql, "note the version");
        }
        return r == 0 ? row_tables(db) : r;
}

static void put_added(void *user, const char *name, bool counts) {
        if (counts)
                buf_printf(user, ", %s = MIN(IFNULL(%s, 0) + 1.0 * excluded.%s, 9e18)", name, name, name);
        else
                buf_printf(user, ", %s = IFNULL(excluded.%s, %s)", name, name, name);
}

/* Of coarser rows extremes and the mean are merged as usage_row_merge() does. */
static void put_merged(void *user, const char *name, bool counts) {
        size_t n = strlen(name);

        if (counts) {
                put_added(user, name, true);
                return;
        }
        buf_printf(user,
                   ", %s = CASE WHEN %s IS NULL THEN excluded.%s WHEN excluded.%s IS NULL THEN %s ELSE ",
                   name, name, name, name, name);
        if (n > 5 && STR_EQ(name + n - 5, "_mean"))
                buf_printf(user,
                           "CAST((1.0 * %s * span_ms + 1.0 * excluded.%s * excluded.span_ms) / "
                           "MAX(1, span_ms + excluded.span_ms) AS INTEGER) END",
                           name, name);
        else
                buf_printf(user, "%s(%s, excluded.%s) END",
                           n > 4 && STR_EQ(name + n - 4, "_min") ? "MIN" : "MAX", name, name);
}

static int prepare_put(HistoryDb *db, HistoryOf of, HistoryGrain grain, bool add, sqlite3_stmt **ret) {
        _cleanup_buf_ Buf sql = BUF_INIT;
        int n = 1;

        buf_printf(&sql, "INSERT OR REPLACE INTO %s_%s (", history_of_name[of], history_grain_name[grain]);
        if (add) {
                buf_clear(&sql);
                buf_printf(&sql, "INSERT INTO %s_%s (", history_of_name[of], history_grain_name[grain]);
        }
        history_row_columns(of, grain, &sql);
        for (const char *p = buf_str(&sql); *p; p++)
                n += *p == ',';
        buf_puts(&sql, ") VALUES (?");
        for (int i = 1; i < n; i++)
                buf_puts(&sql, ", ?");
        buf_puts(&sql, ")");
        if (add) {
                buf_printf(&sql, " ON CONFLICT (time, %s) DO UPDATE SET time = time", history_of_name[of]);
                each_column(grain, grain == HISTORY_RAW ? put_added : put_merged, &sql);
        }
        if (buf_error(&sql) < 0)
                return -ENOMEM;
        return history_db_prepare(db, buf_str(&sql), ret, "prepare rows");
}

int history_schema_prepare(HistoryDb *db) {
        const struct {
                sqlite3_stmt **to;
                const char *sql;
        } statements[] = {
                { &db->find_cgroup, "SELECT id FROM cgroups WHERE boot = ?1 AND cgroup_id = ?2" },
                { &db->add_cgroup,
                  "INSERT INTO cgroups (boot, cgroup_id, kind, since) VALUES (?1, ?2, ?3, ?4)" },
                { &db->name_cgroup,
                  "UPDATE cgroups SET tenant = ?2, name = ?3, cgroup = ?4, engine = IFNULL(?5, engine),"
                  " engine_id = IFNULL(?6, engine_id), image = IFNULL(?7, image), ended = ?8, end = ?9 "
                  "WHERE id = ?1" },
                { &db->find_tenant, "SELECT id FROM tenants WHERE name = ?1" },
                { &db->add_tenant, "INSERT INTO tenants (name) VALUES (?1)" },
                { &db->put_total, "INSERT OR REPLACE INTO totals (tenant, since, book) VALUES (?1, ?2, ?3)" },
                { &db->get_total, "SELECT since, book FROM totals WHERE tenant = ?1" },
                { &db->put_event,
                  "INSERT OR REPLACE INTO events (time, id, kind, tenant, container, incident, json) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, NULLIF(?6, 0), ?7)" },
                { &db->put_incident,
                  "INSERT OR REPLACE INTO incidents (opened, id, tenant, container, closed, json) "
                  "VALUES (?1, ?2, ?3, ?4, NULLIF(?5, 0), ?6)" },
                { &db->last_policy, "SELECT json FROM policies ORDER BY time DESC LIMIT 1" },
                { &db->put_policy, "INSERT OR REPLACE INTO policies (time, json) VALUES (?1, ?2)" },
        };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(statements) && r == 0; i++)
                r = history_db_prepare(db, statements[i].sql, statements[i].to, "prepare");
        for (int of = 0; of < _HISTORY_OF_MAX; of++)
                for (int grain = 0; grain < _HISTORY_GRAIN_MAX; grain++)
                        for (int add = 0; add < 2 && r == 0; add++)
                                r = prepare_put(db, (HistoryOf)of, (HistoryGrain)grain, add,
                                                &db->put[of][grain][add]);
        return r;
}

void history_schema_finalize(HistoryDb *db) {
        sqlite3_stmt **const statements[] = {
                &db->find_cgroup,  &db->add_cgroup,  &db->name_cgroup, &db->find_tenant,
                &db->add_tenant,   &db->put_total,   &db->get_total,   &db->put_event,
                &db->put_incident, &db->last_policy, &db->put_policy,
        };

        for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
                (void)sqlite3_finalize(*statements[i]);
                *statements[i] = NULL;
        }
        for (int of = 0; of < _HISTORY_OF_MAX; of++)
                for (int grain = 0; grain < _HISTORY_GRAIN_MAX; grain++)
                        for (int add = 0; add < 2; add++) {
                                (void)sqlite3_finalize(db->put[of][grain][add]);
                                db->put[of][grain][add] = NULL;
                        }
}

/* ---- meta ---- */

int history_meta_put(HistoryDb *db, const char *key, uint64_t v) {
        char sql[128];

        (void)snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO meta (key, value) VALUES ('%s', %lld)", key,
                       (long long)MIN_OF(v, (uint64_t)INT64_MAX));
        return history_db_exec(db, sql, "note where it stands");
}

int history_meta_get(HistoryDb *db, const char *key, uint64_t *ret) {
        char sql[128];

        (void)snprintf(sql, sizeof(sql), "SELECT value FROM meta WHERE key = '%s'", key);
        return history_db_number(db, sql, ret);
}
