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
 * An hour of a thousand busy containers is 360,000 rows, and who calls has others to serve: rows are gathered some thousand a call,
 * in memory, and only when a slot is whole its rows are written at once. A row that comes late meanwhile, or a file that is
 * opened anew, has it begin again.
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
#define ROWS_MAX 4000 /* gathered at a time */
#define EVENTS_DAYS 7 /* that are kept where there is no room */

static const unsigned step_sec[_HISTORY_GRAIN_MAX] = { 60, 1800, 6 * 3600 }, /* for age */
        squeeze_sec[_HISTORY_GRAIN_MAX] = { 60, 3600, 6 * 3600 }; /* for room */

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

/* A slot on its way. */
typedef struct Rolling {
        HistoryGrain grain, source;
        uint64_t begin, end;
        bool add; /* not all that the slot's row is made of is there any more: it is added to */
        HistoryOf of; /* whose rows are being gathered */
        uint64_t at; /* time and subject of the last one that was */
        int64_t subject;
        Map groups[_HISTORY_OF_MAX];
} Rolling;

void history_rolling_drop(HistoryDb *db) {
        Rolling *r = db->rolling;

        if (!r)
                return;
        for (int of = 0; of < _HISTORY_OF_MAX; of++)
                groups_deinit(&r->groups[of]);
        free(r);
        db->rolling = NULL;
}

void history_rolling_late(HistoryDb *db, uint64_t time) {
        if (db->rolling && time <= db->rolling->end)
                history_rolling_drop(db);
}

static int begin_slot(HistoryDb *db, HistoryGrain grain, uint64_t end) {
        uint64_t begin = end - history_grain_sec[grain];
        bool raw_whole = begin >= db->kept_from[HISTORY_RAW],
             by_5min = !raw_whole && grain == HISTORY_1H && begin >= db->kept_from[HISTORY_5MIN];
        Rolling *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        *r = (Rolling){ .grain = grain,
                        .source = by_5min ? HISTORY_5MIN : HISTORY_RAW,
                        .begin = begin,
                        .end = end,
                        .add = !raw_whole && !by_5min,
                        .at = begin,
                        .subject = INT64_MAX };
        db->rolling = r;
        return 0;
}

/* Up to *rows more; what is left of them is how many more may be. *ret_all: there are no more. */
static int gather(HistoryDb *db, Rolling *to, uint32_t *rows, bool *ret_all) {
        const char *of = history_of_name[to->of];
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_buf_ Buf sql = BUF_INIT;
        uint32_t n = 0;
        int r, k;

        buf_puts(&sql, "SELECT ");
        history_row_columns(to->of, to->source, &sql);
        buf_printf(&sql, " FROM %s_%s WHERE (time, %s) > (?1, ?2) AND time <= ?3 ORDER BY time, %s LIMIT ?4",
                   of, history_grain_name[to->source], of, of);
        r = history_db_prepare(db, buf_str(&sql), &s, "roll up");
        if (r != 0)
                return r;
        history_bind(s, 1, to->at);
        (void)sqlite3_bind_int64(s, 2, to->subject);
        history_bind(s, 3, to->end);
        (void)sqlite3_bind_int64(s, 4, *rows);
        while ((k = sqlite3_step(s)) == SQLITE_ROW) {
                Group *g = group_get(&to->groups[to->of], sqlite3_column_int64(s, 1));
                UsageRow row;

                (void)history_row_read(s, 2, to->source, &row);
                if (!g || rollup_add(&g->rollup, &row) < 0)
                        return -ENOMEM;
                to->at = history_column(s, 0);
                to->subject = sqlite3_column_int64(s, 1);
                n++;
        }
        *ret_all = n < *rows;
        *rows -= n;
        return history_db_result(db, k, "roll up");
}

static int write_groups(HistoryDb *db, Rolling *from, HistoryOf of) {
        size_t i = 0;
        int r = 0;
        Group *g;

        while (r == 0 && (g = map_next(&from->groups[of], &i))) {
                sqlite3_stmt *s = db->put[of][from->grain][from->add];
                UsageRow row;

                rollup_finish(&g->rollup, from->end, &row);
                history_row_bind(s, from->grain, g->subject, &row);
                r = history_db_run(db, s, "add a row");
        }
        return r;
}

static int rollback(HistoryDb *db, int r) {
        (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
        if (r > 0)
                history_db_count_failure(db);
        return r;
}

static int write_slot(HistoryDb *db) {
        Rolling *rolling = db->rolling;
        int r = history_db_exec(db, "BEGIN IMMEDIATE", "begin");

        if (r != 0)
                return r;
        for (int of = 0; of < _HISTORY_OF_MAX && r == 0; of++)
                r = write_groups(db, rolling, (HistoryOf)of);
        if (r == 0)
                r = history_meta_put(db, rolling->grain == HISTORY_5MIN ? "rolled_5min" : "rolled_1h",
                                     rolling->end);
        if (r == 0)
                r = history_db_exec(db, "COMMIT", "commit");
        if (r != 0)
                return rollback(db, r);
        db->rolled[rolling->grain] = rolling->end;
        return 0;
}

/* Goes on with the slot under way. *rows 0 afterwards: it may not be done yet. */
static int go_on(HistoryDb *db, uint32_t *rows) {
        Rolling *rolling = db->rolling;
        bool all = true;
        int r = 0;

        while (r == 0 && *rows > 0 && all && rolling->of < _HISTORY_OF_MAX) {
                r = gather(db, rolling, rows, &all);
                if (r != 0 || !all)
                        break;
                rolling->of++;
                rolling->at = rolling->begin;
                rolling->subject = INT64_MAX;
        }
        if (r == 0 && rolling->of < _HISTORY_OF_MAX)
                return 0;
        if (r == 0)
                r = write_slot(db);
        history_rolling_drop(db);
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

static int roll(HistoryDb *db, HistoryGrain grain, uint64_t now, uint32_t *rows) {
        for (int i = 0; i < (grain == HISTORY_5MIN ? SLOTS_MAX : 1); i++) {
                uint64_t end;
                int r = 0;

                if (!db->rolling) {
                        r = next_complete(db, grain, now, &end);
                        if (r != 0 || end == 0)
                                return r;
                        r = begin_slot(db, grain, end);
                }
                if (r == 0)
                        r = go_on(db, rows);
                db->wants_more = r == 0;
                if (r != 0 || db->rolling)
                        return r;
                if (grain == HISTORY_1H)
                        (void)malloc_trim(0); /* it was a lot for a moment */
        }
        return 0;
}

/* One slot at a time is under way: that is gone on with first. */
static int roll_all(HistoryDb *db, uint64_t now) {
        uint32_t rows = ROWS_MAX;
        int r = 0;

        if (!db->rolling || db->rolling->grain == HISTORY_5MIN)
                r = roll(db, HISTORY_5MIN, now, &rows);
        if (r == 0 && rows > 0 && (!db->rolling || db->rolling->grain == HISTORY_1H))
                r = roll(db, HISTORY_1H, now, &rows);
        return r;
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

/* Names and other words that no row is left for. Where many come and go they are as large as the rows. */
static int squeeze_words(HistoryDb *db, uint64_t now, bool *ret_any) {
        uint64_t cut = now, before = 0, after = 0;
        unsigned long long usec;
        char sql[512];
        int r = history_db_number(db, "SELECT total_changes()", &before);

        for (int g = 0; g < _HISTORY_GRAIN_MAX && r == 0; g++) {
                uint64_t first = 0;

                r = oldest(db, (HistoryGrain)g, &first);
                if (first > 0)
                        cut = MIN_OF(cut, first);
        }
        usec = (unsigned long long)cut * USEC_PER_SEC;
        (void)snprintf(sql, sizeof(sql),
                       "DELETE FROM incidents WHERE closed < %llu;"
                       "DELETE FROM policies WHERE time < %llu AND time < (SELECT MAX(time) FROM policies);"
                       "DELETE FROM cgroups WHERE ended < %llu",
                       usec, usec, usec);
        if (r == 0)
                r = history_db_exec(db, sql, "give up old names");
        if (r == 0)
                r = history_db_number(db, "SELECT total_changes()", &after);
        *ret_any = r == 0 && after != before;
        return r;
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

/* *ret_large: it still is, and something was given up. */
static int squeeze(HistoryDb *db, uint64_t now, bool *ret_large) {
        bool any = false;
        int r = is_large(db, ret_large);

        if (r != 0 || !*ret_large)
                return r;
        r = squeeze_rows(db, HISTORY_RAW, &any);
        if (r == 0 && !any)
                r = squeeze_events(db, now, &any);
        if (r == 0 && !any)
                r = squeeze_rows(db, HISTORY_5MIN, &any);
        if (r == 0 && !any) {
                bool words = false;

                r = squeeze_rows(db, HISTORY_1H, &any);
                if (r == 0)
                        r = squeeze_words(db, now, &words);
                any |= words;
        }
        *ret_large = r == 0 && any;
        return r;
}

int history_db_maintain(HistoryDb *db, uint64_t now, bool may_forget) {
        bool large = false;
        int r;

        db->wants_more = false;
        if (!db->sqlite || db->in_transaction || db->status.state > HISTORY_DB_FULL)
                return db->status.state;
        r = squeeze(db, now, &large); /* first: what follows needs the room */
        if (r == 0)
                r = roll_all(db, now);
        if (r == 0 && may_forget && !db->rolling)
                r = forget(db, now);
        db->wants_more = r == 0 && (db->wants_more || large);
        return r;
}

bool history_db_wants_more(const HistoryDb *db) { return db->wants_more; }
