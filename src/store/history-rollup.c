/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Upkeep of the history: coarser rows, and giving up old ones.
 *
 * A slot is rolled up when it has been over for SETTLE_SEC, for rows of cgroups that nobody looks at often come late. It is
 * made from raw rows, the hour too, so that its percentile is exact. Rows and the mark how far it got are one
 * transaction: whatever ends the process, a slot is rolled up once. When rows come later than that (or the clock was set
 * back) the mark goes back with them, and their slots are made anew: replaced where all raw rows of the slot are still
 * there, added to where they are not.
 *
 * Giving up goes by small steps, the oldest first, somewhat faster than time. So it never holds the caller up, and a clock that
 * stands wrong for a while does not cost all of the history. Where the file is about to be larger than it may, the oldest
 * raw rows go, then the oldest of the next grain.
 */

#include <malloc.h>
#include <stdio.h>

#include "history-db-internal.h"
#include "map.h"

#define SETTLE_SEC 90
#define SLOTS_MAX 4 /* rolled up at a time */
#define SQUEEZES_MAX 8 /* steps of giving up for want of room, at a time */

static const unsigned step_sec[_HISTORY_GRAIN_MAX] = { 60, 1800, 6 * 3600 }, /* for age */
        squeeze_sec[_HISTORY_GRAIN_MAX] = { 600, 6 * 3600, 24 * 3600 }; /* for room */

/* ---- coarser rows ---- */

typedef struct Group {
        int64_t subject;
        Rollup rollup;
} Group;

static Group *group_get(Map *groups, int64_t subject) {
        Group *g = map_get_u64(groups, (uint64_t)subject);

        if (g)
                return g;
        g = calloc(1, sizeof(*g));
        if (!g)
                return NULL;
        g->subject = subject;
        if (map_put_u64(groups, (uint64_t)subject, g) < 0) {
                free(g);
                return NULL;
        }
        return g;
}

static void groups_deinit(Map *groups) {
        size_t i = 0;
        Group *g;

        while ((g = map_next(groups, &i))) {
                rollup_deinit(&g->rollup);
                free(g);
        }
        map_deinit(groups);
}

static int gather(HistoryDb *db, HistoryOf of, uint64_t from, uint64_t to, Map *groups) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_buf_ Buf sql = BUF_INIT;
        int r, k;

        buf_puts(&sql, "SELECT ");
        history_row_columns(of, HISTORY_RAW, &sql);
        buf_printf(&sql, " FROM %s_raw WHERE time > ?1 AND time <= ?2", history_of_name[of]);
        r = history_db_prepare(db, buf_str(&sql), &s, "roll up");
        if (r != 0)
                return r;
        history_bind(s, 1, from);
        history_bind(s, 2, to);
        while ((k = sqlite3_step(s)) == SQLITE_ROW) {
                Group *g = group_get(groups, sqlite3_column_int64(s, 1));
                UsageRow row;

                (void)history_row_read(s, 2, HISTORY_RAW, &row);
                if (!g || rollup_add(&g->rollup, &row) < 0)
                        return -ENOMEM;
        }
        return history_db_result(db, k, "roll up");
}

static int roll_slot_of(HistoryDb *db, HistoryOf of, HistoryGrain grain, uint64_t end) {
        uint64_t begin = end - history_grain_sec[grain];
        _cleanup_(groups_deinit) Map groups = MAP_INIT;
        int r = gather(db, of, begin, end, &groups);
        size_t i = 0;
        Group *g;

        while (r == 0 && (g = map_next(&groups, &i))) {
                sqlite3_stmt *s = db->put[of][grain][begin < db->raw_from];
                UsageRow row;

                rollup_finish(&g->rollup, end, &row);
                history_row_bind(s, grain, g->subject, &row);
                r = history_db_run(db, s, "add a row");
        }
        return r;
}

/* The end of the next slot that has rows; 0: none. */
static int next_slot(HistoryDb *db, HistoryGrain grain, uint64_t *ret) {
        uint64_t first = 0;

        for (int of = 0; of < _HISTORY_OF_MAX; of++) {
                uint64_t t;
                char sql[96];
                int r;

                (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM %s_raw WHERE time > %llu",
                               history_of_name[of], (unsigned long long)db->rolled[grain]);
                r = history_db_number(db, sql, &t);
                if (r != 0)
                        return r;
                if (t > 0 && (first == 0 || t < first))
                        first = t;
        }
        *ret = first > 0 ? usagerow_slot_end(first, history_grain_sec[grain]) : 0;
        return 0;
}

static int rollback(HistoryDb *db, int r) {
        (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
        if (r > 0)
                history_db_count_failure(db);
        return r;
}

static int roll_slot(HistoryDb *db, HistoryGrain grain, uint64_t end) {
        int r = history_db_exec(db, "BEGIN IMMEDIATE", "begin");

        if (r != 0)
                return r;
        for (int of = 0; of < _HISTORY_OF_MAX && r == 0; of++)
                r = roll_slot_of(db, (HistoryOf)of, grain, end);
        if (r == 0)
                r = history_meta_put(db, grain == HISTORY_5MIN ? "rolled_5min" : "rolled_1h", end);
        if (r == 0)
                r = history_db_exec(db, "COMMIT", "commit");
        if (r != 0)
                return rollback(db, r);
        db->rolled[grain] = end;
        return 0;
}

static int roll(HistoryDb *db, HistoryGrain grain, uint64_t now) {
        for (int i = 0; i < (grain == HISTORY_5MIN ? SLOTS_MAX : 1); i++) {
                uint64_t end;
                int r = next_slot(db, grain, &end);

                if (r != 0 || end == 0 || end + SETTLE_SEC > now)
                        return r;
                r = roll_slot(db, grain, end);
                if (r != 0)
                        return r;
                if (grain == HISTORY_1H)
                        (void)malloc_trim(0); /* it was a lot for a moment */
        }
        return 0;
}

/* ---- giving up ---- */

static int oldest(HistoryDb *db, HistoryGrain grain, uint64_t *ret) {
        uint64_t a, b;
        char sql[96];
        int r;

        (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM cgroup_%s", history_grain_name[grain]);
        r = history_db_number(db, sql, &a);
        (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM tenant_%s", history_grain_name[grain]);
        if (r == 0)
                r = history_db_number(db, sql, &b);
        if (r == 0)
                *ret = a == 0 ? b : b == 0 ? a : MIN_OF(a, b);
        return r;
}

static int give_up(HistoryDb *db, HistoryGrain grain, uint64_t until) {
        uint64_t raw_from = db->raw_from;
        int r = history_db_exec(db, "BEGIN IMMEDIATE", "begin");

        if (r != 0)
                return r;
        for (int of = 0; of < _HISTORY_OF_MAX && r == 0; of++) {
                char sql[96];

                (void)snprintf(sql, sizeof(sql), "DELETE FROM %s_%s WHERE time <= %llu", history_of_name[of],
                               history_grain_name[grain], (unsigned long long)until);
                r = history_db_exec(db, sql, "give up old rows");
        }
        if (r == 0 && grain == HISTORY_RAW && until > raw_from) {
                raw_from = until;
                r = history_meta_put(db, "raw_from", raw_from);
        }
        if (r == 0)
                r = history_db_exec(db, "COMMIT", "commit");
        if (r != 0)
                return rollback(db, r);
        db->raw_from = raw_from;
        return 0;
}

/* Words, once an hour's rows or so: whatever is older than the oldest row of use. */
static int give_up_words(HistoryDb *db, uint64_t cut) {
        unsigned long long usec = (unsigned long long)cut * USEC_PER_SEC;
        char sql[512];

        (void)snprintf(sql, sizeof(sql),
                       "DELETE FROM events WHERE time < %llu;"
                       "DELETE FROM incidents WHERE closed < %llu;"
                       "DELETE FROM policies WHERE time < %llu AND time < (SELECT MAX(time) FROM policies);"
                       "DELETE FROM cgroups WHERE ended < %llu",
                       usec, usec, usec, usec);
        return history_db_exec(db, sql, "give up old events");
}

static int forget(HistoryDb *db, uint64_t now) {
        int r = 0;

        for (int g = 0; g < _HISTORY_GRAIN_MAX && r == 0; g++) {
                uint64_t first, cut = now - MIN_OF(now, db->o.keep_sec[g]);

                r = oldest(db, (HistoryGrain)g, &first);
                if (r != 0 || first == 0 || first > cut)
                        continue;
                r = give_up(db, (HistoryGrain)g, MIN_OF(cut, first + step_sec[g]));
                if (r == 0 && g == HISTORY_1H)
                        r = give_up_words(db, MIN_OF(cut, first));
        }
        return r;
}

/* A twentieth below what the file may have: what is being written needs pages, too. */
static int squeeze(HistoryDb *db) {
        for (int i = 0; i < SQUEEZES_MAX; i++) {
                uint64_t pages, unused, size, first = 0;
                HistoryGrain g = HISTORY_RAW;
                int r = history_db_number(db, "PRAGMA page_count", &pages);

                if (r == 0)
                        r = history_db_number(db, "PRAGMA freelist_count", &unused);
                if (r == 0)
                        r = history_db_number(db, "PRAGMA page_size", &size);
                if (r != 0 || (pages - MIN_OF(pages, unused)) * size <= db->o.max_bytes / 20 * 19)
                        return r;
                for (; g < _HISTORY_GRAIN_MAX; g++) {
                        r = oldest(db, g, &first);
                        if (r != 0 || first > 0)
                                break;
                }
                if (r != 0 || first == 0)
                        return r;
                r = give_up(db, g, first + squeeze_sec[g]);
                if (r != 0)
                        return r;
        }
        return 0;
}

int history_db_maintain(HistoryDb *db, uint64_t now, bool may_forget) {
        int r;

        if (!db->sqlite || db->in_transaction || db->status.state > HISTORY_DB_FULL)
                return db->status.state;
        r = squeeze(db); /* first: what follows needs the room */
        if (r == 0)
                r = roll(db, HISTORY_5MIN, now);
        if (r == 0)
                r = roll(db, HISTORY_1H, now);
        if (r == 0 && may_forget)
                r = forget(db, now);
        return r;
}
