/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Upkeep of the history: coarser rows, and giving up old ones.
 *
 * A slot is rolled up when it has been over for SETTLE_SEC, for rows of cgroups that nobody looks at often come late. It is
 * made from raw rows, the hour too, so that its percentile is exact; where raw rows of the hour had to be given up, from
 * those of five minutes (its percentile is then that of theirs). Rows and the mark how far it got are one
 * transaction: whatever ends the process, a slot is rolled up once. When rows come later than that (or the clock was set
 * back) the mark goes back with them, and their slots are made anew: replaced where everything that they are made of is
 * still there, added to where it is not.
 *
 * Giving up goes by small steps, the oldest first, somewhat faster than time. So it never holds the caller up, and a clock that
 * stands wrong for a while does not cost all of the history. Where the file is about to be larger than it may, the oldest
 * raw rows go, then events, then the oldest of the next grain. Nothing goes before it is in the next grain.
 */

#include <malloc.h>
#include <stdio.h>

#include "history-db-internal.h"
#include "map.h"

#define SETTLE_SEC 90
#define SLOTS_MAX 4 /* rolled up at a time */
#define EVENTS_DAYS 7 /* that are kept where there is no room */
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

static int gather(HistoryDb *db, HistoryOf of, HistoryGrain source, uint64_t from, uint64_t to, Map *groups) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_buf_ Buf sql = BUF_INIT;
        int r, k;

        buf_puts(&sql, "SELECT ");
        history_row_columns(of, source, &sql);
        buf_printf(&sql, " FROM %s_%s WHERE time > ?1 AND time <= ?2", history_of_name[of],
                   history_grain_name[source]);
        r = history_db_prepare(db, buf_str(&sql), &s, "roll up");
        if (r != 0)
                return r;
        history_bind(s, 1, from);
        history_bind(s, 2, to);
        while ((k = sqlite3_step(s)) == SQLITE_ROW) {
                Group *g = group_get(groups, sqlite3_column_int64(s, 1));
                UsageRow row;

                (void)history_row_read(s, 2, source, &row);
                if (!g || rollup_add(&g->rollup, &row) < 0)
                        return -ENOMEM;
        }
        return history_db_result(db, k, "roll up");
}

static int roll_slot_of(HistoryDb *db, HistoryOf of, HistoryGrain grain, uint64_t end) {
        uint64_t begin = end - history_grain_sec[grain];
        bool raw_whole = begin >= db->kept_from[HISTORY_RAW],
             by_5min = !raw_whole && grain == HISTORY_1H && begin >= db->kept_from[HISTORY_5MIN];
        _cleanup_(groups_deinit) Map groups = MAP_INIT;
        int r = gather(db, of, by_5min ? HISTORY_5MIN : HISTORY_RAW, begin, end, &groups);
        size_t i = 0;
        Group *g;

        while (r == 0 && (g = map_next(&groups, &i))) {
                sqlite3_stmt *s = db->put[of][grain][!raw_whole && !by_5min];
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

                /* An hour whose raw rows are gone is in the five minutes still. */
                (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM %s_%s WHERE time > %llu",
                               history_of_name[of], history_grain_name[grain - 1],
                               (unsigned long long)db->rolled[grain]);
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

/* The end of the next slot that can be made; 0: none yet. An hour waits for its five minutes. */
static int next_complete(HistoryDb *db, HistoryGrain grain, uint64_t now, uint64_t *ret) {
        uint64_t end, finer = 0;
        int r = next_slot(db, grain, &end);

        if (r == 0 && grain == HISTORY_1H)
                r = next_slot(db, HISTORY_5MIN, &finer);
        if (r == 0)
                *ret = end + SETTLE_SEC > now || (finer > 0 && finer <= end) ? 0 : end;
        return r;
}

static int roll(HistoryDb *db, HistoryGrain grain, uint64_t now) {
        for (int i = 0; i < (grain == HISTORY_5MIN ? SLOTS_MAX : 1); i++) {
                uint64_t end;
                int r = next_complete(db, grain, now, &end);

                if (r != 0 || end == 0)
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

/* Up to there, but nothing that is not in the next grain yet. *ret_any: something may have gone. */
static int give_up(HistoryDb *db, HistoryGrain grain, uint64_t until, bool *ret_any) {
        static const char *const keys[] = { "raw_from", "5min_from" };
        uint64_t from = db->kept_from[grain];
        int r;

        if (grain < HISTORY_1H)
                until = MIN_OF(until, db->rolled[grain + 1]);
        *ret_any = false;
        if (until <= from && grain < HISTORY_1H)
                return 0;
        r = history_db_exec(db, "BEGIN IMMEDIATE", "begin");
        if (r != 0)
                return r;
        for (int of = 0; of < _HISTORY_OF_MAX && r == 0; of++) {
                char sql[96];

                (void)snprintf(sql, sizeof(sql), "DELETE FROM %s_%s WHERE time <= %llu", history_of_name[of],
                               history_grain_name[grain], (unsigned long long)until);
                r = history_db_exec(db, sql, "give up old rows");
        }
        if (r == 0 && grain < HISTORY_1H)
                r = history_meta_put(db, keys[grain], until);
        if (r == 0)
                r = history_db_exec(db, "COMMIT", "commit");
        if (r != 0)
                return rollback(db, r);
        if (grain < HISTORY_1H)
                db->kept_from[grain] = until;
        *ret_any = true;
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
                bool any;

                r = oldest(db, (HistoryGrain)g, &first);
                if (r != 0 || first == 0 || first > cut)
                        continue;
                r = give_up(db, (HistoryGrain)g, MIN_OF(cut, first + step_sec[g]), &any);
                if (r == 0 && g == HISTORY_1H)
                        r = give_up_words(db, MIN_OF(cut, first));
        }
        return r;
}

/* The oldest day of them, as long as they reach back further than EVENTS_DAYS. */
static int squeeze_events(HistoryDb *db, uint64_t now, bool *ret_any) {
        uint64_t first, day = UINT64_C(86400) * USEC_PER_SEC, until;
        char sql[96];
        int r = history_db_number(db, "SELECT MIN(time) FROM events", &first);

        *ret_any = r == 0 && first > 0 && now * USEC_PER_SEC > first + EVENTS_DAYS * day;
        if (!*ret_any)
                return r;
        until = first + day;
        (void)snprintf(sql, sizeof(sql), "DELETE FROM events WHERE time <= %llu", (unsigned long long)until);
        return history_db_exec(db, sql, "give up old events");
}

static int squeeze_rows(HistoryDb *db, HistoryGrain grain, bool *ret_any) {
        uint64_t first;
        int r = oldest(db, grain, &first);

        *ret_any = false;
        return r != 0 || first == 0 ? r : give_up(db, grain, first + squeeze_sec[grain], ret_any);
}

static int is_large(HistoryDb *db, bool *ret) {
        uint64_t pages, unused = 0, size = 0;
        int r = history_db_number(db, "PRAGMA page_count", &pages);

        if (r == 0)
                r = history_db_number(db, "PRAGMA freelist_count", &unused);
        if (r == 0)
                r = history_db_number(db, "PRAGMA page_size", &size);
        /* A twentieth below what the file may have: what is being written needs pages, too. */
        *ret = r == 0 && (pages - MIN_OF(pages, unused)) * size > db->o.max_bytes / 20 * 19;
        return r;
}

static int squeeze(HistoryDb *db, uint64_t now) {
        for (int i = 0; i < SQUEEZES_MAX; i++) {
                bool large, any = false;
                int r = is_large(db, &large);

                if (r != 0 || !large)
                        return r;
                r = squeeze_rows(db, HISTORY_RAW, &any);
                if (r == 0 && !any)
                        r = squeeze_events(db, now, &any);
                if (r == 0 && !any)
                        r = squeeze_rows(db, HISTORY_5MIN, &any);
                if (r == 0 && !any)
                        r = squeeze_rows(db, HISTORY_1H, &any);
                if (r != 0 || !any)
                        return r;
        }
        return 0;
}

int history_db_maintain(HistoryDb *db, uint64_t now, bool may_forget) {
        int r;

        if (!db->sqlite || db->in_transaction || db->status.state > HISTORY_DB_FULL)
                return db->status.state;
        r = squeeze(db, now); /* first: what follows needs the room */
        if (r == 0)
                r = roll(db, HISTORY_5MIN, now);
        if (r == 0)
                r = roll(db, HISTORY_1H, now);
        if (r == 0 && may_forget)
                r = forget(db, now);
        return r;
}
