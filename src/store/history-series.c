/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How use went, row by row, for reports; and what was in force and what was done meanwhile.
 *
 * Rows of tenants are read in the order in which they lie. Those of the host lie between those of all its containers, one in a
 * thousand: each is looked up by its time, which is a multiple of its grain.
 */

#include <stdio.h>

#include "history-db-internal.h"

int history_db_reach(HistoryDb *db, uint64_t from, uint64_t to, HistoryReach *ret) {
        HistoryPart parts[_HISTORY_GRAIN_MAX];
        HistoryReach reach = {};
        int r = history_reads(db);

        /* Before the first row of all there is nothing: what is asked begins there, and may then be told by finer rows. */
        for (int g = 0; g < _HISTORY_GRAIN_MAX; g++)
                for (int of = 0; of < _HISTORY_OF_MAX && r == 0; of++) {
                        uint64_t sec = history_grain_sec[g], first;
                        char sql[96];

                        (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM %s_%s", history_of_name[of],
                                       history_grain_name[g]);
                        r = history_db_number(db, sql, &first);
                        if (r == 0 && first > 0 &&
                            (reach.from == 0 || first - MIN_OF(first, sec) < reach.from))
                                reach.from = MAX_OF(first - MIN_OF(first, sec), (uint64_t)1);
                }
        if (r != 0)
                return r;
        if (reach.from > 0 && reach.from < to) {
                reach.from = MAX_OF(reach.from, from);
                r = history_divide(db, reach.from, to, parts);
                for (int g = 0; g < _HISTORY_GRAIN_MAX && r == 0; g++)
                        if (parts[g].from < parts[g].to)
                                reach.grain_sec = history_grain_sec[g];
        } else
                reach.from = 0;
        if (r == 0)
                *ret = reach;
        return r;
}

/* What curves are made of, which is a fifth of a row: to take columns out of SQLite is most of the work. */
static const UsageGauge gauges[] = { USAGE_CPU_PERMYRIAD, USAGE_MEMORY };
static const BookField fields[] = { BOOK_CPU_USEC, BOOK_CPU_SOME_USEC, BOOK_MEMORY_SOME_USEC,
                                    BOOK_IO_SOME_USEC };

static void put_columns(HistoryOf of, HistoryGrain grain, Buf *out) {
        buf_printf(out, "time, %s, span_ms", history_of_name[of]);
        for (size_t i = 0; i < ARRAY_SIZE(gauges); i++) {
                const char *name = usage_gauge_name(gauges[i]);

                if (grain == HISTORY_RAW)
                        buf_printf(out, ", %s", name);
                else
                        buf_printf(out, ", %s_mean, %s_max, %s_p95", name, name, name);
        }
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                buf_printf(out, ", %s", book_info(fields[i])->name);
}

static void read_columns(sqlite3_stmt *s, HistoryGrain grain, UsageRow *ret) {
        int i = 3;

        *ret = (UsageRow){ .time = history_column(s, 0), .span_msec = history_column(s, 2) };
        for (size_t k = 0; k < ARRAY_SIZE(gauges); k++) {
                bool has = sqlite3_column_type(s, i) != SQLITE_NULL;

                if (has && grain == HISTORY_RAW)
                        usage_row_set_gauge(ret, gauges[k], history_column(s, i));
                else if (has) {
                        ret->have |= UINT32_C(1) << gauges[k];
                        ret->gauges[gauges[k]] = (UsageStat){ .mean = history_column(s, i),
                                                              .max = history_column(s, i + 1),
                                                              .p95 = history_column(s, i + 2) };
                }
                i += grain == HISTORY_RAW ? 1 : 3;
        }
        for (size_t k = 0; k < ARRAY_SIZE(fields); k++)
                ret->counters[fields[k]] = history_column(s, i++);
}

static int tell_rows(HistoryDb *db, sqlite3_stmt *s, HistoryGrain grain, bool of_host,
                     void (*tell)(void *user, int64_t subject, const UsageRow *row), void *user) {
        int k;

        while ((k = sqlite3_step(s)) == SQLITE_ROW) {
                UsageRow row;

                read_columns(s, grain, &row);
                tell(user, of_host ? 0 : sqlite3_column_int64(s, 1), &row);
        }
        return history_db_result(db, k, "read rows");
}

static int read_part(HistoryDb *db, HistoryOf of, HistoryGrain grain, HistoryPart part,
                     void (*tell)(void *user, int64_t subject, const UsageRow *row), void *user) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_buf_ Buf sql = BUF_INIT;
        bool of_host = of == HISTORY_OF_CGROUP;
        int r;

        if (part.from >= part.to)
                return 0;
        if (of_host)
                buf_puts(&sql, "WITH RECURSIVE times(at) AS (SELECT ?3 UNION ALL SELECT at + ?4 FROM times "
                               "WHERE at + ?4 <= ?2), hosts(host) AS MATERIALIZED (SELECT id FROM cgroups "
                               "WHERE kind = 'host') ");
        buf_puts(&sql, "SELECT ");
        put_columns(of, grain, &sql);
        if (of_host)
                buf_printf(&sql,
                           " FROM times CROSS JOIN hosts CROSS JOIN cgroup_%s WHERE time = at AND cgroup = "
                           "host AND time <= ?2",
                           history_grain_name[grain]);
        else
                buf_printf(&sql, " FROM tenant_%s WHERE time > ?1 AND time <= ?2", history_grain_name[grain]);
        if (buf_error(&sql) < 0)
                return -ENOMEM;
        r = history_db_prepare(db, buf_str(&sql), &s, "read rows");
        if (r != 0)
                return r;
        history_bind(s, 2, part.to);
        if (!of_host)
                history_bind(s, 1, part.from);
        else {
                history_bind(s, 3, usagerow_slot_end(part.from + 1, history_grain_sec[grain]));
                history_bind(s, 4, history_grain_sec[grain]);
        }
        return tell_rows(db, s, grain, of_host, tell, user);
}

/* What lies further back is told by coarser rows: so they come first. */
static int read_all(HistoryDb *db, HistoryOf of, uint64_t from, uint64_t to,
                    void (*tell)(void *user, int64_t subject, const UsageRow *row), void *user) {
        HistoryPart parts[_HISTORY_GRAIN_MAX];
        int r = history_reads(db);

        if (r == 0)
                r = history_divide(db, from, to, parts);
        for (int g = _HISTORY_GRAIN_MAX - 1; g >= 0 && r == 0; g--)
                r = read_part(db, of, (HistoryGrain)g, parts[g], tell, user);
        return r;
}

int history_db_tenant_rows(HistoryDb *db, uint64_t from, uint64_t to,
                           void (*tell)(void *user, int64_t tenant, const UsageRow *row), void *user) {
        return read_all(db, HISTORY_OF_TENANT, from, to, tell, user);
}

int history_db_host_rows(HistoryDb *db, uint64_t from, uint64_t to,
                         void (*tell)(void *user, int64_t subject, const UsageRow *row), void *user) {
        return read_all(db, HISTORY_OF_CGROUP, from, to, tell, user);
}

static const char *text_of(sqlite3_stmt *s, int i) {
        const char *text = (const char *)sqlite3_column_text(s, i);

        return text ? text : "";
}

int history_db_policies(HistoryDb *db, uint64_t from, uint64_t to, uint32_t max,
                        void (*tell)(void *user, uint64_t time, const char *json), void *user) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_reads(db), k;

        if (r == 0)
                r = history_db_prepare(db,
                                       "SELECT time, json FROM (SELECT time, json FROM policies WHERE time "
                                       "<= ?2 AND time >= "
                                       "IFNULL((SELECT MAX(time) FROM policies WHERE time <= ?1), 0) "
                                       "ORDER BY time DESC LIMIT ?3) ORDER BY time",
                                       &s, "read policies");
        if (r != 0)
                return r;
        history_bind(s, 1, from);
        history_bind(s, 2, to);
        history_bind(s, 3, max);
        while ((k = sqlite3_step(s)) == SQLITE_ROW)
                tell(user, history_column(s, 0), text_of(s, 1));
        return history_db_result(db, k, "read policies");
}

int history_db_acts(HistoryDb *db, uint64_t from, uint64_t to,
                    void (*tell)(void *user, const char *tenant, const char *kind, bool would, uint64_t n),
                    void *user) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_reads(db), k;

        if (r == 0)
                r = history_db_prepare(
                        db,
                        "SELECT tenant, kind, CASE WHEN json_valid(json) THEN "
                        "IFNULL(json_extract(json, '$.judged.would'), 0) ELSE 0 END AS would, COUNT(*) "
                        "FROM events WHERE time > ?1 AND time <= ?2 AND kind IN ('notify', 'throttle', "
                        "'freeze', 'stop', 'kill') AND tenant IS NOT NULL GROUP BY tenant, kind, would",
                        &s, "count acts");
        if (r != 0)
                return r;
        history_bind(s, 1, from);
        history_bind(s, 2, to);
        while ((k = sqlite3_step(s)) == SQLITE_ROW)
                tell(user, text_of(s, 0), text_of(s, 1), sqlite3_column_int(s, 2) != 0, history_column(s, 3));
        return history_db_result(db, k, "count acts");
}
