/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of history-db share. */

#include <sqlite3.h>

#include "history-db.h"

#define RAW_SEC USAGEROW_SLOT_SEC
extern const unsigned history_grain_sec[_HISTORY_GRAIN_MAX];
extern const char
        *const history_of_name[_HISTORY_OF_MAX]; /* "cgroup": the tables cgroup_raw, …, and their column */
extern const char *const history_grain_name[_HISTORY_GRAIN_MAX]; /* "raw" "5min" "1h" */

struct HistoryDb {
        HistoryDbOptions o;
        char *path;
        sqlite3 *sqlite; /* NULL: not open */
        bool reader; /* read-only, open while it reads */
        bool (*stop)(void *user);
        void *stop_user;
        bool in_transaction;
        int pending; /* HistoryDbState of the transaction: the first thing that failed */
        uint64_t late; /* s: the earliest row of the transaction; UINT64_MAX: none */
        HistoryDbStatus status;
        uint64_t generation;
        uint64_t rolled[_HISTORY_GRAIN_MAX]; /* s: rows up to there are made; not of raw */
        uint64_t kept_from
                [_HISTORY_GRAIN_MAX]; /* s: rows after this have not been given up; of raw and five minutes */
        struct Rolling *rolling; /* a slot that is being made; NULL: none */
        bool wants_more;
        bool checked; /* the file under this name is whole, as far as anybody knows */
        uint64_t pages_max;
        sqlite3_stmt *put[_HISTORY_OF_MAX][_HISTORY_GRAIN_MAX][2]; /* [1]: a row that is there is added to */
        sqlite3_stmt *find_cgroup, *add_cgroup, *name_cgroup, *find_tenant, *add_tenant, *put_total,
                *get_total, *put_event, *put_incident, *last_policy, *put_policy;
};

/* 0, or the HistoryDbState that a result of SQLite means, noted in the status with what was being done. A damaged file is set
 * aside with the next begin. */
int history_db_result(HistoryDb *db, int sqlite_result, const char *doing);
void history_db_count_failure(HistoryDb *db);
void history_db_close(HistoryDb *db);
/* How far rolling up stands in the file. */
int history_db_read_marks(HistoryDb *db);
/* A slot that is being made is begun anew. */
void history_rolling_drop(HistoryDb *db);
/* The same where a row of that time would be in it. */
void history_rolling_late(HistoryDb *db, uint64_t time);
/* Runs statements that give no rows. */
int history_db_exec(HistoryDb *db, const char *sql, const char *doing);
int history_db_prepare(HistoryDb *db, const char *sql, sqlite3_stmt **ret, const char *doing);
/* Once, and resets. */
int history_db_run(HistoryDb *db, sqlite3_stmt *statement, const char *doing);
/* The first column of the only row; 0 where there is none. */
int history_db_number(HistoryDb *db, const char *sql, uint64_t *ret);
static inline void cleanup_statement(sqlite3_stmt **s) { (void)sqlite3_finalize(*s); }
#define _cleanup_statement_ _cleanup_(cleanup_statement)

static inline void history_bind(sqlite3_stmt *s, int i, uint64_t v) {
        (void)sqlite3_bind_int64(s, i, v > INT64_MAX ? INT64_MAX : (sqlite3_int64)v);
}
static inline uint64_t history_column(sqlite3_stmt *s, int i) {
        sqlite3_int64 v = sqlite3_column_int64(s, i);

        return v < 0 ? 0 : (uint64_t)v;
}

/* ---- history-schema.c ---- */

/* Makes or brings up to date all tables, within the caller's transaction. */
int history_schema_apply(HistoryDb *db);
int history_schema_prepare(HistoryDb *db);
void history_schema_finalize(HistoryDb *db);
/* Of a grain's table, in the order of history_row_read(): "time, cgroup, span_ms, …". */
void history_row_columns(HistoryOf of, HistoryGrain grain, Buf *out);
/* Columns from `first` on, behind time and subject. Returns the next. */
int history_row_read(sqlite3_stmt *s, int first, HistoryGrain grain, UsageRow *ret);
void history_row_bind(sqlite3_stmt *s, HistoryGrain grain, int64_t subject, const UsageRow *row);
int history_meta_put(HistoryDb *db, const char *key, uint64_t v);
int history_meta_get(HistoryDb *db, const char *key, uint64_t *ret);

/* ---- history-query.c ---- */

typedef struct HistoryPart {
        uint64_t from, to; /* s, (from, to] */
} HistoryPart;
/* Of each grain the part of (from, to] that is asked of it. */
int history_divide(HistoryDb *db, uint64_t from, uint64_t to, HistoryPart parts[static _HISTORY_GRAIN_MAX]);
/* 0: it can be read now. */
int history_reads(HistoryDb *db);
