/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The history's file: opening it, transactions, and what becomes of it when something is wrong.
 *
 * Everything that can fail is expected to: disks fill, files are copied over by hand, an administrator holds a lock with sqlite3.
 * Whatever happens the transaction is rolled back and the caller keeps what it has for the next one. What does not mend itself
 * (a failing disk, a file that is not there any more) is tried anew by opening the file again.
 *
 * A damaged file is evidence and may be worth repairing: it is moved aside under a name that nothing has yet, with its
 * write-ahead log, and a new one begun. Damage is looked for when the file is opened for the first time (quick_check), and believed
 * wherever SQLite finds some.
 *
 * WAL and synchronous=NORMAL: a power failure may cost the last transactions, never the file.
 */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "history-db-internal.h"

#define BUSY_MSEC 100 /* that another's lock is waited for */
#define WAL_BYTES (4 << 20) /* that it is cut to */
#define PAGE_BYTES 4096
#define ASIDE_MAX 100

const char *history_db_state_to_string(HistoryDbState s) {
        static const char *const names[_HISTORY_DB_STATE_MAX] = {
                [HISTORY_DB_WELL] = "ok",
                [HISTORY_DB_FULL] = "full",
                [HISTORY_DB_READ_ONLY] = "read-only",
                [HISTORY_DB_LOCKED] = "locked",
                [HISTORY_DB_LATER] = "later",
                [HISTORY_DB_DAMAGED] = "damaged",
                [HISTORY_DB_FAILED] = "failed",
                [HISTORY_DB_STOPPED] = "stopped",
                [HISTORY_DB_SLOW] = "slow",
        };

        return (unsigned)s < _HISTORY_DB_STATE_MAX ? names[s] : "unknown";
}

/* ---- results ---- */

static HistoryDbState state_of(int result) {
        switch (result & 0xff) {
        case SQLITE_FULL:
                return HISTORY_DB_FULL;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_CANTOPEN:
                return HISTORY_DB_READ_ONLY;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return HISTORY_DB_LOCKED;
        case SQLITE_INTERRUPT:
                return HISTORY_DB_STOPPED;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return HISTORY_DB_DAMAGED;
        default:
                return HISTORY_DB_FAILED;
        }
}

int history_db_result(HistoryDb *db, int result, const char *doing) {
        if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE)
                return 0;
        db->status.state = state_of(result);
        (void)snprintf(db->status.text, sizeof(db->status.text), "cannot %s: %s", doing,
                       db->sqlite && sqlite3_errcode(db->sqlite) == (result & 0xff)
                               ? sqlite3_errmsg(db->sqlite)
                               : sqlite3_errstr(result));
        return db->status.state;
}

void history_db_count_failure(HistoryDb *db) {
        db->status.n_failed++;
        db->status.failed_state = db->status.state;
        memcpy(db->status.failed_text, db->status.text, sizeof(db->status.text));
}

int history_db_exec(HistoryDb *db, const char *sql, const char *doing) {
        return history_db_result(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL), doing);
}

int history_db_prepare(HistoryDb *db, const char *sql, sqlite3_stmt **ret, const char *doing) {
        return history_db_result(db, sqlite3_prepare_v2(db->sqlite, sql, -1, ret, NULL), doing);
}

int history_db_run(HistoryDb *db, sqlite3_stmt *s, const char *doing) {
        int r = history_db_result(db, sqlite3_step(s), doing);

        (void)sqlite3_reset(s);
        return r;
}

int history_db_number(HistoryDb *db, const char *sql, uint64_t *ret) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_db_prepare(db, sql, &s, "read"), k;

        if (r != 0)
                return r;
        k = sqlite3_step(s);
        *ret = k == SQLITE_ROW ? history_column(s, 0) : 0;
        return history_db_result(db, k, "read");
}

/* ---- opening ---- */

void history_db_close(HistoryDb *db) {
        history_rolling_drop(db);
        history_schema_finalize(db);
        (void)sqlite3_close_v2(db->sqlite);
        db->sqlite = NULL;
        db->in_transaction = false;
}

/* "PATH.damaged-N" and what follows; NULL: no memory. */
static char *aside_name(const HistoryDb *db, int n, const char *end) {
        char *name;

        return asprintf(&name, "%s.damaged-%d%s", db->path, n, end) < 0 ? NULL : name;
}

/* Under a name that nothing has yet. -EEXIST: something has it. */
static int rename_new(const char *from, const char *to) {
        if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        /* The file system does not know how; nobody else makes files of such a name. */
        if (access(to, F_OK) == 0)
                return -EEXIST;
        return rename(from, to) < 0 ? -errno : 0;
}

static int move_journal(const HistoryDb *db, int n) {
        _cleanup_free_ char *wal = NULL, *shm = NULL, *to = aside_name(db, n, "-wal");

        if (asprintf(&wal, "%s-wal", db->path) < 0 || asprintf(&shm, "%s-shm", db->path) < 0 || !to)
                return -ENOMEM;
        /* A journal of the old file must not be taken for one of the new. */
        if (access(wal, F_OK) == 0 && rename(wal, to) < 0 && unlink(wal) < 0)
                return -errno;
        (void)unlink(shm);
        return 0;
}

static int move_aside(HistoryDb *db) {
        for (int n = 1; n <= ASIDE_MAX; n++) {
                _cleanup_free_ char *to = aside_name(db, n, "");
                int r = to ? rename_new(db->path, to) : -ENOMEM;

                if (r == -EEXIST)
                        continue;
                if (r < 0)
                        return r;
                (void)snprintf(db->status.set_aside, sizeof(db->status.set_aside), "%.255s", to);
                db->status.n_set_aside++;
                return move_journal(db, n);
        }
        return -EEXIST;
}

static int quick_check(HistoryDb *db) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_db_prepare(db, "PRAGMA quick_check(1)", &s, "check"), k;

        if (r != 0)
                return r;
        k = sqlite3_step(s);
        if (k == SQLITE_ROW && !STR_EQ((const char *)sqlite3_column_text(s, 0), "ok"))
                return history_db_result(db, SQLITE_CORRUPT, "trust it");
        return history_db_result(db, k, "check");
}

static int settings(HistoryDb *db) {
        char sql[512];
        int r;

        (void)sqlite3_busy_timeout(db->sqlite, BUSY_MSEC);
        (void)snprintf(
                sql, sizeof(sql),
                "PRAGMA page_size = %d; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                "PRAGMA journal_size_limit = %d; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY;"
                "PRAGMA max_page_count = %llu",
                PAGE_BYTES, WAL_BYTES, (unsigned long long)(db->o.max_bytes / PAGE_BYTES));
        r = history_db_exec(db, sql, "open it");
        return r;
}

int history_db_read_marks(HistoryDb *db) {
        int r = history_meta_get(db, "rolled_5min", &db->rolled[HISTORY_5MIN]);

        if (r == 0)
                r = history_meta_get(db, "rolled_1h", &db->rolled[HISTORY_1H]);
        if (r == 0)
                r = history_meta_get(db, "raw_from", &db->kept_from[HISTORY_RAW]);
        return r == 0 ? history_meta_get(db, "5min_from", &db->kept_from[HISTORY_5MIN]) : r;
}

/* Nobody will tell the end of what ran when the host was booted; once, for it asks all names. */
static int end_earlier_boot(HistoryDb *db) {
        long long boot = (long long)(db->o.boot & INT64_MAX);
        uint64_t known = 0;
        char sql[256];
        int r = history_meta_get(db, "boot", &known);

        if (r != 0 || known == (uint64_t)boot)
                return r;
        (void)snprintf(sql, sizeof(sql),
                       "UPDATE cgroups SET ended = CAST(strftime('%%s', 'now') AS INTEGER) * 1000000, "
                       "end = 'unread' WHERE ended IS NULL AND boot <> %lld",
                       boot);
        r = history_db_exec(db, sql, "end what ran before the boot");
        return r == 0 ? history_meta_put(db, "boot", (uint64_t)boot) : r;
}

static int open_once(HistoryDb *db) {
        int k = sqlite3_open_v2(db->path, &db->sqlite,
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL),
            r = history_db_result(db, k, "open it");

        if (r == 0)
                r = settings(db);
        if (r == 0 && !db->checked)
                r = quick_check(db);
        db->checked |= r == 0;
        if (r == 0)
                r = history_db_exec(db, "BEGIN IMMEDIATE", "begin");
        if (r == 0)
                r = history_schema_apply(db);
        if (r == 0)
                r = history_db_exec(db, "COMMIT", "commit");
        if (r == 0)
                r = history_schema_prepare(db);
        if (r == 0)
                r = history_db_read_marks(db);
        if (r == 0)
                r = end_earlier_boot(db);
        if (r == 0 && sqlite3_db_readonly(db->sqlite, "main") == 1)
                r = history_db_result(db, SQLITE_READONLY, "write it");
        if (r != 0)
                history_db_close(db);
        return r;
}

static int open_file(HistoryDb *db) {
        int r = open_once(db), k;

        db->generation++;
        if (r != HISTORY_DB_DAMAGED)
                return r;
        db->checked = false;
        k = move_aside(db);
        if (k < 0) {
                (void)snprintf(db->status.text, sizeof(db->status.text),
                               "it is damaged, and cannot be set aside: %s", strerror(-k));
                return HISTORY_DB_DAMAGED;
        }
        return open_once(db);
}

int history_db_new(const HistoryDbOptions *o, HistoryDb **ret) {
        HistoryDb *db = calloc(1, sizeof(*db));

        if (!db)
                return -ENOMEM;
        db->o = *o;
        db->o.max_bytes = MAX_OF(o->max_bytes, HISTORY_DB_SIZE_MIN);
        db->path = strdup(o->path);
        if (!db->path)
                return history_db_free(db), -ENOMEM;
        *ret = db;
        return 0;
}

HistoryDb *history_db_free(HistoryDb *db) {
        if (!db)
                return NULL;
        history_db_close(db);
        free(db->path);
        free(db);
        return NULL;
}

void history_db_get_status(HistoryDb *db, HistoryDbStatus *ret) {
        uint64_t pages = 0, unused = 0;

        if (db->sqlite && !db->in_transaction && db->status.state == HISTORY_DB_WELL) {
                if (history_db_number(db, "PRAGMA page_count", &pages) == 0 &&
                    history_db_number(db, "PRAGMA freelist_count", &unused) == 0) {
                        db->status.bytes = pages * PAGE_BYTES;
                        db->status.used_bytes = (pages - MIN_OF(pages, unused)) * PAGE_BYTES;
                }
                for (int g = 0; g < _HISTORY_GRAIN_MAX; g++) {
                        char sql[64];

                        (void)snprintf(sql, sizeof(sql), "SELECT MIN(time) FROM cgroup_%s",
                                       history_grain_name[g]);
                        (void)history_db_number(db, sql, &db->status.oldest[g]);
                }
        }
        *ret = db->status;
}

/* ---- transactions ---- */

/* What the file under its name is not any more, or may be open but dead, is opened anew. */
static bool must_reopen(const HistoryDb *db) {
        return db->sqlite && db->status.state != HISTORY_DB_WELL && db->status.state != HISTORY_DB_LOCKED &&
               db->status.state != HISTORY_DB_FULL;
}

static bool is_gone(const HistoryDb *db) {
        int moved = 0;

        return sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
               moved != 0;
}

int history_db_begin(HistoryDb *db) {
        bool damaged = db->status.state == HISTORY_DB_DAMAGED;
        int r = 0;

        db->late = UINT64_MAX;
        if (must_reopen(db) || (db->sqlite && is_gone(db))) {
                db->checked &= !damaged && !is_gone(db);
                history_db_close(db);
                /* Damage that was met in use need not be where quick_check looks. */
                if (damaged && move_aside(db) < 0)
                        damaged = false;
        }
        if (!db->sqlite)
                r = open_file(db);
        if (r == 0)
                r = history_db_exec(db, "BEGIN IMMEDIATE", "begin");
        db->in_transaction = r == 0;
        db->pending = r;
        return r;
}

/* Rows that come late, into slots that have been rolled up: those are made anew. */
static int note_late(HistoryDb *db, uint64_t rolled[static _HISTORY_GRAIN_MAX]) {
        static const char *const keys[] = { NULL, "rolled_5min", "rolled_1h" };
        int r = 0;

        for (int g = HISTORY_5MIN; g < _HISTORY_GRAIN_MAX && r == 0; g++) {
                rolled[g] = db->rolled[g];
                if (db->late > rolled[g])
                        continue;
                rolled[g] = usagerow_slot_end(db->late, history_grain_sec[g]) - history_grain_sec[g];
                r = history_meta_put(db, keys[g], rolled[g]);
        }
        return r;
}

int history_db_commit(HistoryDb *db) {
        uint64_t rolled[_HISTORY_GRAIN_MAX] = {};
        int r = db->pending;

        if (r == 0)
                r = note_late(db, rolled);
        if (r == 0)
                r = history_db_exec(db, "COMMIT", "commit");
        if (r == 0) {
                /* What is being made may lack what has just come. */
                if (db->late != UINT64_MAX)
                        history_rolling_late(db, db->late);
                memcpy(db->rolled, rolled, sizeof(rolled));
                db->status.state = HISTORY_DB_WELL;
                db->status.text[0] = '\0';
        } else {
                if (db->in_transaction) {
                        (void)sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
                        db->generation++;
                }
                history_db_count_failure(db);
        }
        db->in_transaction = false;
        db->pending = 0;
        return r;
}

/* ---- what goes in ---- */

static int fail(HistoryDb *db, int r) {
        if (r != 0 && db->pending == 0)
                db->pending = r;
        return r;
}

/* Empty is NULL. */
static void bind_text(sqlite3_stmt *s, int i, const char *text) {
        if (text && *text)
                (void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
        else
                (void)sqlite3_bind_null(s, i);
}

static int find(HistoryDb *db, sqlite3_stmt *s, int64_t *ret) {
        int k = sqlite3_step(s), r = history_db_result(db, k, "look up a name");

        *ret = k == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
        (void)sqlite3_reset(s);
        return r;
}

uint64_t history_db_generation(const HistoryDb *db) { return db->generation; }

int history_db_cgroup(HistoryDb *db, const HistoryCgroup *c, int64_t *ret) {
        static const char *const kinds[] = {
                [HISTORY_HOST] = "host", [HISTORY_SLICE] = "slice", [HISTORY_CONTAINER] = "container"
        };
        int64_t id = 0;
        int r;

        if (db->pending != 0)
                return db->pending;
        (void)sqlite3_bind_int64(db->find_cgroup, 1, (sqlite3_int64)(db->o.boot & INT64_MAX));
        history_bind(db->find_cgroup, 2, c->who.cgroup_id);
        r = find(db, db->find_cgroup, &id);
        if (r == 0 && id == 0) {
                (void)sqlite3_bind_int64(db->add_cgroup, 1, (sqlite3_int64)(db->o.boot & INT64_MAX));
                history_bind(db->add_cgroup, 2, c->who.cgroup_id);
                bind_text(db->add_cgroup, 3,
                          c->who.kind >= HISTORY_HOST && c->who.kind <= HISTORY_CONTAINER ? kinds[c->who.kind]
                                                                                          : "other");
                history_bind(db->add_cgroup, 4, c->who.since_realtime);
                r = history_db_run(db, db->add_cgroup, "add a cgroup");
                id = sqlite3_last_insert_rowid(db->sqlite);
        }
        if (r == 0) {
                sqlite3_stmt *s = db->name_cgroup;

                (void)sqlite3_bind_int64(s, 1, id);
                bind_text(s, 2, c->who.tenant);
                bind_text(s, 3, c->who.name);
                bind_text(s, 4, c->who.cgroup);
                bind_text(s, 5, c->engine);
                bind_text(s, 6, c->id);
                bind_text(s, 7, c->image);
                if (c->ended > 0)
                        history_bind(s, 8, c->ended);
                else
                        (void)sqlite3_bind_null(s, 8);
                bind_text(s, 9, c->end);
                r = history_db_run(db, s, "name a cgroup");
        }
        if (r == 0)
                *ret = id;
        return fail(db, r);
}

int history_db_tenant(HistoryDb *db, const char *name, int64_t *ret) {
        int64_t id = 0;
        int r;

        if (db->pending != 0)
                return db->pending;
        (void)sqlite3_bind_text(db->find_tenant, 1, name, -1, SQLITE_STATIC);
        r = find(db, db->find_tenant, &id);
        if (r == 0 && id == 0) {
                (void)sqlite3_bind_text(db->add_tenant, 1, name, -1, SQLITE_STATIC);
                r = history_db_run(db, db->add_tenant, "add a tenant");
                id = sqlite3_last_insert_rowid(db->sqlite);
        }
        if (r == 0)
                *ret = id;
        return fail(db, r);
}

int history_db_put(HistoryDb *db, HistoryOf of, int64_t subject, const UsageRow *row) {
        sqlite3_stmt *s = db->put[of][HISTORY_RAW][1];

        if (db->pending != 0)
                return db->pending;
        history_row_bind(s, HISTORY_RAW, subject, row);
        db->late = MIN_OF(db->late, row->time);
        return fail(db, history_db_run(db, s, "add a row"));
}

int history_db_put_total(HistoryDb *db, int64_t tenant, const Book *total) {
        _cleanup_buf_ Buf text = BUF_INIT;

        if (db->pending != 0)
                return db->pending;
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                if (total->v[f] > 0)
                        buf_printf(&text, "%s=%llu ", book_info((BookField)f)->name,
                                   (unsigned long long)total->v[f]);
        if (buf_error(&text) < 0)
                return fail(db, HISTORY_DB_FAILED);
        (void)sqlite3_bind_int64(db->put_total, 1, tenant);
        history_bind(db->put_total, 2, total->since_realtime);
        (void)sqlite3_bind_text(db->put_total, 3, buf_str(&text), (int)text.len, SQLITE_TRANSIENT);
        return fail(db, history_db_run(db, db->put_total, "note a total"));
}

int history_db_put_event(HistoryDb *db, uint64_t time, uint64_t id, const char *kind, const char *tenant,
                         const char *container, uint64_t incident, const char *json) {
        sqlite3_stmt *s = db->put_event;

        if (db->pending != 0)
                return db->pending;
        history_bind(s, 1, time);
        history_bind(s, 2, id);
        bind_text(s, 3, kind);
        bind_text(s, 4, tenant);
        bind_text(s, 5, container);
        history_bind(s, 6, incident);
        bind_text(s, 7, json);
        return fail(db, history_db_run(db, s, "add an event"));
}

int history_db_put_incident(HistoryDb *db, uint64_t opened, uint64_t id, const char *tenant,
                            const char *container, uint64_t closed, const char *json) {
        sqlite3_stmt *s = db->put_incident;

        if (db->pending != 0)
                return db->pending;
        history_bind(s, 1, opened);
        history_bind(s, 2, id);
        bind_text(s, 3, tenant);
        bind_text(s, 4, container);
        history_bind(s, 5, closed);
        bind_text(s, 6, json);
        return fail(db, history_db_run(db, s, "add an incident"));
}

static int close_incident(HistoryDb *db, uint64_t opened, uint64_t id, uint64_t closed) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = history_db_prepare(db,
                                   "UPDATE incidents SET closed = MAX(opened, ?3), "
                                   "json = json_set(json, '$.closed', MAX(opened, ?3)) "
                                   "WHERE opened = ?1 AND id = ?2",
                                   &s, "close an incident");

        if (r != 0)
                return r;
        history_bind(s, 1, opened);
        history_bind(s, 2, id);
        history_bind(s, 3, closed);
        return history_db_run(db, s, "close an incident");
}

int history_db_close_incidents(HistoryDb *db, uint64_t closed,
                               bool (*is_listed)(void *user, uint64_t opened, uint64_t id), void *user) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int r = db->pending, k = SQLITE_DONE;

        if (r == 0)
                r = history_db_prepare(db, "SELECT opened, id FROM incidents WHERE closed IS NULL", &s,
                                       "read incidents");
        while (r == 0 && (k = sqlite3_step(s)) == SQLITE_ROW) {
                uint64_t opened = history_column(s, 0), id = history_column(s, 1);

                if (!is_listed(user, opened, id))
                        r = close_incident(db, opened, id, closed);
        }
        if (r == 0)
                r = history_db_result(db, k, "read incidents");
        return fail(db, r);
}

int history_db_put_policy(HistoryDb *db, uint64_t time, const char *json) {
        bool same;
        int k, r;

        if (db->pending != 0)
                return db->pending;
        k = sqlite3_step(db->last_policy);
        r = history_db_result(db, k, "read the policy");
        same = k == SQLITE_ROW && sqlite3_column_text(db->last_policy, 0) &&
               STR_EQ((const char *)sqlite3_column_text(db->last_policy, 0), json);
        (void)sqlite3_reset(db->last_policy);
        if (r == 0 && !same) {
                history_bind(db->put_policy, 1, time);
                bind_text(db->put_policy, 2, json);
                r = history_db_run(db, db->put_policy, "add a policy");
        }
        return fail(db, r);
}
