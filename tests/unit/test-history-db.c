/* SPDX-License-Identifier: Apache-2.0 */

/* The history on disk: what goes in comes out, exact sums in every grain, and a file that fails in every way it can. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "history-db.h"

#define T0 UINT64_C(1700006400) /* a whole day */
#define HOUR UINT64_C(3600)
#define DAY (24 * HOUR)

static uint64_t seed;
static char dir[64], path[96];

static uint64_t draw(uint64_t below) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % below;
}

/* ---- a bed ---- */

/* In the test's own directory. */
static void shell(const char *what) {
        char command[256];

        (void)snprintf(command, sizeof(command), "cd %s && %s", dir, what);
        assert_int_equal(system(command), 0);
}

static int setup(void **state) {
        (void)state;
        (void)snprintf(dir, sizeof(dir),
                       "/dev/shm/test-history-db-XXXXXX"); /* a slow disk is not what is tested */
        if (!mkdtemp(dir)) {
                (void)snprintf(dir, sizeof(dir), "/tmp/test-history-db-XXXXXX");
                if (!mkdtemp(dir))
                        return -1;
        }
        (void)snprintf(path, sizeof(path), "%s/history.db", dir);
        return 0;
}

static int clear(void **state) {
        (void)state;
        shell("rm -rf ./*");
        return 0;
}

static int teardown(void **state) { return clear(state) < 0 ? -1 : rmdir(dir); }

static HistoryDb *make(uint64_t max_bytes) {
        HistoryDbOptions o = { .path = path,
                               .keep_sec = { 2 * DAY, 60 * DAY, 1000 * DAY },
                               .max_bytes = max_bytes,
                               .boot = 42 };
        HistoryDb *db = NULL;

        assert_int_equal(history_db_new(&o, &db), 0);
        return db;
}

static HistoryCgroup cgroup(uint64_t id) {
        return (HistoryCgroup){ .who = { .kind = HISTORY_CONTAINER,
                                         .cgroup_id = id,
                                         .since_realtime = T0 * USEC_PER_SEC,
                                         .tenant = "acme",
                                         .name = "web",
                                         .cgroup = "/a/b" },
                                .engine = "docker",
                                .id = "0123456789ab",
                                .image = "nginx:1",
                                .end = "" };
}

static UsageRow row_at(uint64_t time, uint64_t cpu, uint64_t memory) {
        UsageRow row = { .time = time, .span_msec = 10000, .looks = 1 };

        row.counters[BOOK_CPU_USEC] = cpu;
        row.counters[BOOK_OOM_KILLS] = cpu % 3;
        usage_row_set_gauge(&row, USAGE_MEMORY, memory);
        usage_row_set_cpu(&row);
        return row;
}

static int put(HistoryDb *db, uint64_t id, const UsageRow *row) {
        HistoryCgroup c = cgroup(id);
        int64_t number;

        if (history_db_begin(db) == 0 && history_db_cgroup(db, &c, &number) == 0)
                (void)history_db_put(db, HISTORY_OF_CGROUP, number, row);
        return history_db_commit(db);
}

static int put_at(HistoryDb *db, uint64_t time, uint64_t cpu) {
        UsageRow row = row_at(time, cpu, 4096);

        return put(db, 7, &row);
}

static HistoryDbState state_of(HistoryDb *db) {
        HistoryDbStatus s;

        history_db_get_status(db, &s);
        return s.state;
}

static uint64_t ask(const char *sql) {
        sqlite3_stmt *s = NULL;
        sqlite3 *q = NULL;
        uint64_t v;

        assert_int_equal(sqlite3_open(path, &q), SQLITE_OK);
        if (sqlite3_prepare_v2(q, sql, -1, &s, NULL) != SQLITE_OK)
                fail_msg("%s: %s", sql, sqlite3_errmsg(q));
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        v = (uint64_t)sqlite3_column_int64(s, 0);
        (void)sqlite3_finalize(s);
        (void)sqlite3_close(q);
        return v;
}

static void change(const char *sql) {
        sqlite3 *q = NULL;

        assert_int_equal(sqlite3_open(path, &q), SQLITE_OK);
        if (sqlite3_exec(q, sql, NULL, NULL, NULL) != SQLITE_OK)
                fail_msg("%s: %s", sql, sqlite3_errmsg(q));
        (void)sqlite3_close(q);
}

typedef struct Found {
        size_t n;
        uint64_t cpu, oom, from, max;
        char name[64], id[64], text[4096];
} Found;

static void found_usage(void *user, const HistoryUsage *u) {
        Found *f = user;

        f->n++;
        f->cpu += u->row.counters[BOOK_CPU_USEC];
        f->oom += u->row.counters[BOOK_OOM_KILLS];
        f->max = MAX_OF(f->max, u->row.gauges[USAGE_MEMORY].max);
        (void)snprintf(f->name, sizeof(f->name), "%s/%s", u->cgroup.who.tenant, u->cgroup.who.name);
        (void)snprintf(f->id, sizeof(f->id), "%s", u->cgroup.id);
}

static Found usage(HistoryDb *db, HistoryOf of, uint64_t from, uint64_t to) {
        Found f = {};

        assert_int_equal(history_db_usage(db, of, from, to, found_usage, &f, &f.from), 0);
        return f;
}

static void found_text(void *user, const char *json) {
        Found *f = user;

        f->n++;
        (void)snprintf(f->text + strlen(f->text), sizeof(f->text) - strlen(f->text), "%s;", json);
}

/* ---- what it is for ---- */

static void test_rows(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        UsageRow row = row_at(T0 + 10, 1000, 5000);
        Found f;

        (void)state;
        assert_int_equal(put(db, 7, &row), 0);
        row = row_at(T0 + 20, 2000, 7000);
        assert_int_equal(put(db, 7, &row), 0);
        row = row_at(T0 + 20, 10, 6000); /* the same slot again: added to it */
        assert_int_equal(put(db, 7, &row), 0);
        f = usage(db, HISTORY_OF_CGROUP, T0, T0 + 100);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.cpu, 3010);
        assert_int_equal(f.from, T0);
        assert_string_equal(f.name, "acme/web");
        assert_string_equal(f.id, "0123456789ab");
        assert_int_equal(usage(db, HISTORY_OF_CGROUP, T0 + 10, T0 + 100).cpu, 2010);
        assert_int_equal(usage(db, HISTORY_OF_CGROUP, T0 + 100, T0 + 200).n, 0);
        assert_int_equal(ask("SELECT COUNT(*) FROM containers"), 1);
        assert_int_equal(ask("SELECT memory_bytes FROM cgroup_raw ORDER BY time DESC LIMIT 1"), 6000);
        assert_int_equal(ask("PRAGMA user_version"), HISTORY_DB_VERSION);
}

/* What a container is called becomes known later; what is known is not forgotten; a host's row is no container's. */
static void test_names(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        HistoryCgroup c = cgroup(9);
        UsageRow row = row_at(T0 + 10, 5, 5);
        int64_t a, b;

        (void)state;
        assert_int_equal(history_db_begin(db), 0);
        c.image = "";
        assert_int_equal(history_db_cgroup(db, &c, &a), 0);
        c.image = "redis";
        c.who.name = "it's \"quoted\"; DROP TABLE cgroups";
        assert_int_equal(history_db_cgroup(db, &c, &b), 0);
        assert_int_equal(a, b);
        c.image = "";
        c.ended = 77;
        c.end = "oom";
        assert_int_equal(history_db_cgroup(db, &c, &b), 0);
        c = cgroup(1);
        c.who.kind = HISTORY_HOST;
        assert_int_equal(history_db_cgroup(db, &c, &b), 0);
        assert_int_equal(history_db_put(db, HISTORY_OF_CGROUP, b, &row), 0);
        assert_int_equal(history_db_commit(db), 0);
        assert_int_equal(ask("SELECT image = 'redis' AND ended = 77 AND end = 'oom' AND name LIKE 'it''s%' "
                             "FROM cgroups WHERE cgroup_id = 9"),
                         1);
        assert_int_equal(usage(db, HISTORY_OF_CGROUP, T0, T0 + 100).n, 0);
}

static void test_words(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        Found f = {};

        (void)state;
        assert_int_equal(history_db_begin(db), 0);
        for (uint64_t i = 1; i <= 5; i++) {
                char json[32];

                (void)snprintf(json, sizeof(json), "{\"id\":%d}", (int)i);
                (void)history_db_put_event(db, T0 + i, i, "throttle", i % 2 ? "acme" : "b", "web",
                                           i > 3 ? 4 : 0, json);
                (void)history_db_put_event(db, T0 + i, i, "throttle", i % 2 ? "acme" : "b", "web",
                                           i > 3 ? 4 : 0, json); /* told again */
        }
        (void)history_db_put_incident(db, T0, 4, "acme", "web", 0, "open");
        (void)history_db_put_incident(db, T0, 4, "acme", "web", T0 + 50, "closed");
        (void)history_db_put_incident(db, T0 + 60, 9, "b", "x", 0, "other");
        (void)history_db_put_policy(db, T0, "one");
        (void)history_db_put_policy(db, T0 + 1, "one");
        (void)history_db_put_policy(db, T0 + 2, "two");
        assert_int_equal(history_db_commit(db), 0);
        assert_int_equal(history_db_words(db, HISTORY_EVENTS, &(HistoryChoice){ .to = UINT64_MAX, .max = 2 },
                                          found_text, &f),
                         0);
        assert_string_equal(f.text, "{\"id\":4};{\"id\":5};");
        f = (Found){};
        assert_int_equal(history_db_words(db, HISTORY_EVENTS,
                                          &(HistoryChoice){ .to = UINT64_MAX, .tenant = "acme", .max = 10 },
                                          found_text, &f),
                         0);
        assert_string_equal(f.text, "{\"id\":1};{\"id\":3};{\"id\":5};");
        f = (Found){};
        assert_int_equal(history_db_words(db, HISTORY_EVENTS,
                                          &(HistoryChoice){ .to = T0 + 4, .incident = 4, .max = 10 },
                                          found_text, &f),
                         0);
        assert_string_equal(f.text, "{\"id\":4};");
        f = (Found){};
        assert_int_equal(history_db_words(db, HISTORY_INCIDENTS,
                                          &(HistoryChoice){ .to = UINT64_MAX, .max = 10 }, found_text, &f),
                         0);
        assert_string_equal(f.text, "other;closed;");
        f = (Found){};
        assert_int_equal(history_db_words(db, HISTORY_INCIDENTS,
                                          &(HistoryChoice){ .from = T0 + 55, .to = UINT64_MAX, .max = 10 },
                                          found_text, &f),
                         0);
        assert_string_equal(f.text, "other;");
        assert_int_equal(ask("SELECT COUNT(*) FROM policies"), 2);
}

static bool is_seven(void *user, uint64_t opened, uint64_t id) {
        ++*(unsigned *)user;
        return opened == T0 + 7 && id == 7;
}

/* A guard that begins anew knows nothing of what was open: it is closed, and says so itself. */
static void test_close(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        unsigned asked = 0;
        Found f = {};

        (void)state;
        assert_int_equal(history_db_begin(db), 0);
        (void)history_db_put_incident(db, T0 + 5, 5, "acme", "web", T0 + 6, "{\"id\":5}");
        (void)history_db_put_incident(db, T0 + 6, 6, "acme", "web", 0, "{\"id\":6,\"closed\":null}");
        (void)history_db_put_incident(db, T0 + 7, 7, "acme", "web", 0, "{\"id\":7,\"closed\":null}");
        (void)history_db_put_incident(db, T0 + 99, 8, "acme", "web", 0, "{\"id\":8}");
        assert_int_equal(history_db_close_incidents(db, T0 + 9, is_seven, &asked), 0);
        assert_int_equal(history_db_commit(db), 0);
        assert_int_equal(asked, 3);
        assert_int_equal(history_db_words(db, HISTORY_INCIDENTS,
                                          &(HistoryChoice){ .to = UINT64_MAX, .max = 10 }, found_text, &f),
                         0);
        assert_int_equal(ask("SELECT closed FROM incidents WHERE id = 5"), T0 + 6);
        assert_int_equal(ask("SELECT closed FROM incidents WHERE id = 6"), T0 + 9);
        assert_int_equal(ask("SELECT json_extract(json, '$.closed') FROM incidents WHERE id = 6"), T0 + 9);
        assert_int_equal(ask("SELECT COUNT(*) FROM incidents WHERE closed IS NULL"), 1);
        assert_int_equal(ask("SELECT closed FROM incidents WHERE id = 8"), T0 + 99);
}

static void test_totals(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        Book b = { .since_realtime = 99 }, got;
        int64_t id;

        (void)state;
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                b.v[f] = (uint64_t)f * 1000;
        assert_int_equal(history_db_begin(db), 0);
        assert_int_equal(history_db_tenant(db, "acme", &id), 0);
        assert_int_equal(history_db_get_total(db, id, &got), 0);
        assert_int_equal(got.since_realtime, 0);
        assert_int_equal(history_db_put_total(db, id, &b), 0);
        assert_int_equal(history_db_commit(db), 0);
        assert_int_equal(history_db_get_total(db, id, &got), 0);
        assert_memory_equal(&got, &b, sizeof(b));
}

/* ---- grains ---- */

/* All that can be done now. */
static int maintain(HistoryDb *db, uint64_t now) {
        int r;

        do
                r = history_db_maintain(db, now, true);
        while (r == 0 && history_db_wants_more(db));
        return r;
}

/* Property: whatever the span, the sum is that of the raw rows in it, as far as the span has whole slots; also when rolling up was
 * interrupted and begun again, and some rows came late. */
static void test_rollup(void **state) {
        uint64_t n = 0, cpu[3 * 360 + 30], end = T0 + sizeof(cpu) / sizeof(cpu[0]) * 10;
        HistoryDb *db = make(64 << 20);

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cpu); i++)
                cpu[i] = 1 + draw(100000);
        for (size_t i = 0; i < ARRAY_SIZE(cpu); i++) {
                uint64_t now = T0 + (i + 1) * 10;

                if (draw(20) == 0 && i + 40 < ARRAY_SIZE(cpu)) { /* comes with the next, two out of order */
                        assert_int_equal(put_at(db, now + 10, cpu[i + 1]), 0);
                        assert_int_equal(put_at(db, now, cpu[i]), 0);
                        i++;
                } else
                        assert_int_equal(put_at(db, now, cpu[i]), 0);
                if (draw(3) == 0)
                        assert_int_equal(history_db_maintain(db, now + 60, true), 0);
                if (draw(50) == 0) {
                        db = history_db_free(db);
                        db = make(64 << 20);
                }
        }
        for (int i = 0; i < 10; i++) {
                assert_int_equal(put_at(db, end, 0), 0);
                assert_int_equal(history_db_maintain(db, end + HOUR, true), 0);
        }
        assert_true(ask("SELECT COUNT(*) FROM cgroup_5min") >= 36);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_1h"), 4);
        for (size_t i = 0; i < ARRAY_SIZE(cpu); i++)
                n += cpu[i];
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_5min"), n);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h"), n);
        assert_int_equal(
                ask("SELECT COUNT(*) FROM cgroup_1h h WHERE cpu_permyriad_max != (SELECT "
                    "MAX(cpu_permyriad_max) FROM cgroup_5min f WHERE f.time > h.time - 3600 AND f.time <= "
                    "h.time)"),
                0);
        for (int round = 0; round < 50; round++) {
                size_t a = draw(ARRAY_SIZE(cpu) / 30) * 30, b = a + 30 + draw(ARRAY_SIZE(cpu) - a - 29);
                uint64_t sum = 0;

                b = MIN_OF(b, ARRAY_SIZE(cpu));
                for (size_t i = a; i < b; i++)
                        sum += cpu[i];
                assert_int_equal(usage(db, HISTORY_OF_CGROUP, T0 + a * 10, T0 + b * 10).cpu, sum);
        }
        history_db_free(db);
}

/* More rows than are gathered at a time: in pieces, with rows of the next slot, a late one and another opening between them. */
static void test_pieces(void **state) {
        HistoryDb *db = make(256 << 20);
        uint64_t sum = 0, calls = 0;

        (void)state;
        for (uint64_t i = 1; i <= 360; i++) {
                assert_int_equal(history_db_begin(db), 0);
                for (uint64_t c = 1; c <= 50; c++) {
                        UsageRow row = row_at(T0 + i * 10, 1 + draw(100000), 4096);
                        HistoryCgroup who = cgroup(c);
                        int64_t id;

                        sum += row.counters[BOOK_CPU_USEC];
                        assert_int_equal(history_db_cgroup(db, &who, &id), 0);
                        assert_int_equal(history_db_put(db, HISTORY_OF_CGROUP, id, &row), 0);
                }
                assert_int_equal(history_db_commit(db), 0);
        }
        do {
                assert_int_equal(history_db_maintain(db, T0 + HOUR + 120, false), 0);
                calls++;
                if (calls == 2) { /* late: in the slot that is being made, or was */
                        assert_int_equal(put_at(db, T0 + 20, 7), 0);
                        sum += 7;
                }
                if (calls == 4) {
                        db = history_db_free(db);
                        db = make(256 << 20);
                        assert_int_equal(put_at(db, T0 + HOUR + 10, 1), 0);
                }
                if (calls > 5)
                        assert_int_equal(put_at(db, T0 + HOUR + 10, 1), 0);
        } while (calls == 4 || history_db_wants_more(db)); /* one that was just opened knows of nothing yet */
        assert_true(calls > 8);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_5min"), sum);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h"), sum);
        assert_true(ask("SELECT COUNT(*) FROM cgroup_1h") >= 50);
        history_db_free(db);
}

/* ---- readers ---- */

static bool at_once(void *user) {
        (*(unsigned *)user)++;
        return true;
}

/* Beside the writer, and in the middle of its transaction: what was committed; as it was when reading began. */
static void test_reader(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = NULL, *reader = NULL;
        UsageRow row = row_at(T0 + 20, 5, 4096);
        unsigned asked = 0;
        int64_t id;

        (void)state;
        assert_int_equal(history_db_new_reader(path, &reader), 0);
        assert_int_equal(history_db_read_begin(reader), HISTORY_DB_READ_ONLY); /* there is none yet */
        db = make(64 << 20);
        assert_int_equal(put_at(db, T0 + 10, 100), 0);
        assert_int_equal(history_db_read_begin(reader), 0);
        assert_int_equal(usage(reader, HISTORY_OF_CGROUP, T0, T0 + 100).cpu, 100);
        assert_int_equal(put_at(db, T0 + 20, 11), 0);
        assert_int_equal(usage(reader, HISTORY_OF_CGROUP, T0, T0 + 100).cpu, 100);
        history_db_read_end(reader);
        assert_int_equal(history_db_begin(db), 0);
        assert_int_equal(history_db_tenant(db, "acme", &id), 0);
        assert_int_equal(history_db_put(db, HISTORY_OF_TENANT, id, &row), 0);
        assert_int_equal(history_db_read_begin(reader), 0);
        assert_int_equal(usage(reader, HISTORY_OF_CGROUP, T0, T0 + 100).cpu, 111);
        assert_int_equal(usage(reader, HISTORY_OF_TENANT, T0, T0 + 100).n, 0);
        history_db_read_end(reader);
        assert_int_equal(history_db_commit(db), 0);

        /* One that is stopped says so, and nothing worse: the next one reads. */
        assert_int_equal(history_db_begin(db), 0);
        for (uint64_t i = 0; i < 30000; i++)
                (void)history_db_put_event(db, T0 + i, i, "found", "acme", NULL, 0, "{}");
        assert_int_equal(history_db_commit(db), 0);
        history_db_set_stop(reader, at_once, &asked);
        {
                Found f = {};
                int r = history_db_read_begin(reader);

                if (r == 0) {
                        r = history_db_words(
                                reader, HISTORY_EVENTS,
                                &(HistoryChoice){ .to = UINT64_MAX, .tenant = "nobody", .max = 10 },
                                found_text, &f);
                        history_db_read_end(reader);
                }
                assert_int_equal(r, HISTORY_DB_STOPPED);
                assert_true(asked > 0);
        }
        history_db_set_stop(reader, NULL, NULL);
        assert_int_equal(history_db_read_begin(reader), 0);
        assert_int_equal(usage(reader, HISTORY_OF_TENANT, T0, T0 + 100).cpu, 5);
        history_db_read_end(reader);
}

/* A late row for a slot that was rolled up is in it afterwards, whether its raw rows are still there or not. */
static void test_late(void **state) {
        for (int gone = 0; gone < 2; gone++) {
                _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);

                for (uint64_t i = 1; i <= 60; i++)
                        assert_int_equal(put_at(db, T0 + i * 10, 100), 0);
                assert_int_equal(history_db_maintain(db, T0 + 2 * HOUR, true), 0);
                assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h"), 6000);
                for (int i = 0; gone && i < 20; i++)
                        assert_int_equal(history_db_maintain(db, T0 + 3 * DAY, true), 0);
                assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_raw"), gone ? 0 : 60);
                assert_int_equal(put_at(db, T0 + 15, 7), 0);
                assert_int_equal(history_db_maintain(db, T0 + 2 * HOUR, true), 0);
                assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_5min"), 6007);
                assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h"), 6007);
                assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_1h"), 1);
                assert_int_equal(ask("SELECT memory_bytes_mean FROM cgroup_1h"), 4096);
                assert_int_equal(history_db_maintain(db, T0 + 2 * HOUR, true), 0);
                assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h"), 6007);
                db = history_db_free(db);
                (void)clear(state);
        }
}

/* A clock that stands years ahead for a minute costs little; one that may be wrong costs nothing. */
static void test_forget(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);

        (void)state;
        for (uint64_t i = 1; i <= 360; i++)
                assert_int_equal(put_at(db, T0 + i * 10, 1), 0);
        assert_int_equal(history_db_maintain(db, T0 + 4000 * DAY, false), 0);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_raw"), 360);
        for (int i = 0; i < 6; i++)
                assert_int_equal(history_db_maintain(db, T0 + 4000 * DAY, true), 0);
        assert_true(ask("SELECT COUNT(*) FROM cgroup_raw") >= 300);
        for (int i = 0; i < 100; i++)
                assert_int_equal(history_db_maintain(db, T0 + 4000 * DAY, true), 0);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_raw"), 0);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_5min"), 0);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_1h"), 0);
}

/* ---- what goes wrong ---- */

/* The oldest raw rows make room; coarser ones stay. */
static void test_size(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(HISTORY_DB_SIZE_MIN);
        uint64_t hour = 0;
        struct stat st;

        (void)state;
        for (uint64_t i = 1; i <= 600; i++) {
                if (history_db_begin(db) == 0)
                        for (uint64_t c = 1; c <= 400; c++) {
                                UsageRow row =
                                        row_at(T0 + i * 10, 1 + draw(10000000), draw(UINT64_C(1) << 33));
                                HistoryCgroup who = cgroup(c);
                                int64_t id;

                                hour += i <= 360 ? row.counters[BOOK_CPU_USEC] : 0;
                                if (history_db_cgroup(db, &who, &id) == 0)
                                        (void)history_db_put(db, HISTORY_OF_CGROUP, id, &row);
                        }
                assert_int_equal(history_db_commit(db), 0);
                assert_int_equal(history_db_maintain(db, T0 + i * 10, true), 0);
        }
        assert_int_equal(stat(path, &st), 0);
        assert_true((uint64_t)st.st_size <= HISTORY_DB_SIZE_MIN);
        assert_true(ask("SELECT MIN(time) FROM cgroup_raw") > T0 + 10);
        assert_int_equal(ask("SELECT MAX(time) FROM cgroup_raw"), T0 + 6000);
        assert_int_equal(ask("SELECT MIN(time) FROM cgroup_5min"), T0 + 300);
        /* What was given up before the hour was over is in its row. */
        assert_true(ask("SELECT MIN(time) FROM cgroup_raw") > T0 + 3600);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h WHERE time = 1700010000"), hour);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_5min WHERE time <= 1700010000"), hour);
}

/* Events of long ago go before rows of use do. */
static void test_names_make_room(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(HISTORY_DB_SIZE_MIN);
        HistoryCgroup who = cgroup(1);
        int64_t id;

        (void)state;
        /* Years of containers that are no more, of which no row is left; and one that runs. */
        assert_int_equal(history_db_begin(db), 0);
        for (uint64_t c = 2; c <= 60000; c++) {
                HistoryCgroup gone = cgroup(c);

                gone.ended = (T0 + c) * USEC_PER_SEC;
                gone.end = "read";
                assert_int_equal(history_db_cgroup(db, &gone, &id), 0);
        }
        assert_int_equal(history_db_cgroup(db, &who, &id), 0);
        assert_int_equal(history_db_commit(db), 0);
        for (int i = 0; i < 10 && ask("SELECT COUNT(*) FROM cgroups") > 1; i++)
                for (uint64_t c = 60001; c <= 90000; c++) {
                        HistoryCgroup more = cgroup(c + 30000 * (uint64_t)i);

                        more.ended = (T0 + 2) * USEC_PER_SEC;
                        more.end = "read";
                        if (c % 1000 == 1)
                                assert_int_equal(history_db_begin(db), 0);
                        (void)history_db_cgroup(db, &more, &id);
                        if (c % 1000 == 0)
                                (void)history_db_commit(db);
                        if (c % 1000 == 0)
                                (void)history_db_maintain(db, T0 + DAY, true);
                }
        assert_in_range(ask("SELECT COUNT(*) FROM cgroups WHERE ended IS NULL"), 1, 1);
        assert_in_range(ask("SELECT COUNT(*) FROM cgroups"), 1, 80000);
        assert_int_equal(history_db_begin(db), 0);
        assert_int_equal(history_db_commit(db), 0); /* there is room */
}

/* What ran before a boot has ended; what runs since has not. */
static void test_boot(void **state) {
        HistoryDbOptions o = { .path = path, .max_bytes = 64 << 20, .boot = 1 };
        HistoryDb *db = NULL;

        (void)state;
        for (o.boot = 1; o.boot <= 2; o.boot++) {
                HistoryCgroup who = cgroup(7);
                int64_t id;

                assert_int_equal(history_db_new(&o, &db), 0);
                assert_int_equal(history_db_begin(db), 0);
                assert_int_equal(history_db_cgroup(db, &who, &id), 0);
                assert_int_equal(history_db_commit(db), 0);
                assert_int_equal(ask("SELECT COUNT(*) FROM cgroups"), o.boot);
                assert_int_equal(ask("SELECT COUNT(*) FROM cgroups WHERE ended IS NULL"), 1);
                db = history_db_free(db);
        }
        assert_int_equal(ask("SELECT boot FROM cgroups WHERE ended IS NULL"), 2);
}

static void test_many_events(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(HISTORY_DB_SIZE_MIN);
        char text[4096];

        (void)state;
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        for (uint64_t day = 0; day < 20; day++) {
                assert_int_equal(history_db_begin(db), 0);
                for (uint64_t i = 0; i < 100; i++)
                        (void)history_db_put_event(db, (T0 + day * DAY) * USEC_PER_SEC + i, i, "found", NULL,
                                                   NULL, 0, text);
                assert_int_equal(history_db_commit(db), 0);
                assert_int_equal(put_at(db, T0 + day * DAY + 10, 1), 0);
                assert_int_equal(maintain(db, T0 + day * DAY + 2 * HOUR), 0);
        }
        assert_true(ask("SELECT COUNT(*) FROM events") < 1900);
        assert_true(ask("SELECT COUNT(*) FROM events") >= 700);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_5min"), 20);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_1h"), 20);
}

/* Nothing to give up, and no room: it says so, loses nothing that was there, and goes on when there is room. */
static void test_full(void **state) {
        HistoryDb *db = make(HISTORY_DB_SIZE_MIN);
        char *text = malloc(16 << 20);
        int r;

        (void)state;
        assert_non_null(text);
        memset(text, 'x', (16 << 20) - 1);
        text[(16 << 20) - 1] = '\0';
        assert_int_equal(put_at(db, T0 + 10, 5), 0);
        assert_int_equal(history_db_begin(db), 0);
        r = history_db_put_event(db, 1, 1, "k", NULL, NULL, 0, text);
        assert_int_equal(r, HISTORY_DB_FULL);
        assert_int_equal(history_db_commit(db), HISTORY_DB_FULL);
        assert_int_equal(state_of(db), HISTORY_DB_FULL);
        assert_int_equal(put_at(db, T0 + 20, 6), 0);
        assert_int_equal(state_of(db), HISTORY_DB_WELL);
        assert_int_equal(usage(db, HISTORY_OF_CGROUP, T0, T0 + 100).cpu, 11);
        free(text);
        history_db_free(db);
}

static void test_locked(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        sqlite3 *other = NULL;

        (void)state;
        assert_int_equal(put_at(db, T0 + 10, 5), 0);
        assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
        assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(put_at(db, T0 + 20, 6), HISTORY_DB_LOCKED);
        assert_int_equal(state_of(db), HISTORY_DB_LOCKED);
        assert_int_equal(usage(db, HISTORY_OF_CGROUP, T0, T0 + 100).cpu, 5); /* reading goes on */
        assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(put_at(db, T0 + 20, 6), 0);
        assert_int_equal(state_of(db), HISTORY_DB_WELL);
        (void)sqlite3_close(other);
}

static void write_garbage(off_t offset, size_t n) {
        int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT, 0600);
        char garbage[4096];

        assert_true(fd >= 0);
        memset(garbage, 0x5a, sizeof(garbage));
        for (; n > 0; n--, offset += (off_t)sizeof(garbage))
                assert_int_equal(pwrite(fd, garbage, sizeof(garbage), offset), sizeof(garbage));
        (void)close(fd);
}

static void fill(HistoryDb *db) {
        for (uint64_t i = 1; i <= 300; i++)
                assert_int_equal(put_at(db, T0 + i * 10, i), 0);
}

/* At the start: set aside whole, a new one begun, nothing overwritten the next time. */
static void test_damaged_at_start(void **state) {
        (void)state;
        for (int round = 1; round <= 3; round++) {
                _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
                HistoryDbStatus status;
                char aside[128];
                struct stat st;

                fill(db);
                db = history_db_free(db);
                if (round == 1)
                        write_garbage(0, 1); /* no SQLite file at all */
                else
                        write_garbage(8192, 8);
                db = make(64 << 20);
                assert_int_equal(put_at(db, T0 + 10, 1), 0);
                history_db_get_status(db, &status);
                assert_int_equal(status.n_set_aside, 1);
                (void)snprintf(aside, sizeof(aside), "%s.damaged-%d", path, round);
                assert_string_equal(status.set_aside, aside);
                assert_int_equal(stat(aside, &st), 0);
                assert_true(st.st_size > 3 * 4096);
                assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_raw"), 1);
        }
}

/* While it is in use: some transaction meets it; a few later all is well again. */
static void test_damaged_in_use(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        HistoryDbStatus status;
        int well = 0;

        (void)state;
        fill(db);
        change("PRAGMA wal_checkpoint(TRUNCATE)");
        write_garbage(4096, 20);
        change("PRAGMA user_version = 1"); /* another's write: what is in memory is not trusted any more */
        for (int i = 0; i < 5; i++)
                well += put_at(db, T0 + 4000 + (uint64_t)i * 10, 1) == 0;
        assert_in_range(well, 3, 4); /* the first one met it */
        history_db_get_status(db, &status);
        assert_int_equal(status.state, HISTORY_DB_WELL);
        assert_int_equal(status.n_set_aside, 1);
}

/* A file that was removed, or put in place by somebody, under its feet is noticed. */
static void test_removed(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);

        (void)state;
        assert_int_equal(put_at(db, T0 + 10, 1), 0);
        shell("rm -f history.db*");
        assert_int_equal(put_at(db, T0 + 20, 2), 0);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_raw"), 2);
}

static void test_no_directory(void **state) {
        char missing[128];
        HistoryDbOptions o = { .path = missing, .keep_sec = { DAY, DAY, DAY }, .max_bytes = 64 << 20 };
        _cleanup_(cleanup_history_db_free) HistoryDb *db = NULL;
        Found f = {};

        (void)state;
        (void)snprintf(missing, sizeof(missing), "%s/sub/history.db", dir);
        assert_int_equal(history_db_new(&o, &db), 0);
        assert_int_equal(put_at(db, T0 + 10, 1), HISTORY_DB_READ_ONLY);
        assert_int_equal(history_db_maintain(db, T0, true), HISTORY_DB_READ_ONLY);
        assert_true(history_db_usage(db, HISTORY_OF_CGROUP, 0, T0, found_usage, &f, &f.from) > 0);
        shell("mkdir sub");
        assert_int_equal(put_at(db, T0 + 10, 1), 0);
        assert_int_equal(state_of(db), HISTORY_DB_WELL);
}

/* Of a later bailiff: not a byte of it is changed. */
static void test_later(void **state) {
        HistoryDb *db = make(64 << 20);

        (void)state;
        assert_int_equal(put_at(db, T0 + 10, 5), 0);
        db = history_db_free(db);
        change("PRAGMA user_version = 4711");
        db = make(64 << 20);
        assert_int_equal(put_at(db, T0 + 20, 6), HISTORY_DB_LATER);
        assert_int_equal(put_at(db, T0 + 20, 6), HISTORY_DB_LATER);
        assert_int_equal(ask("SELECT SUM(cpu_usec) FROM cgroup_raw"), 5);
        assert_int_equal(ask("PRAGMA user_version"), 4711);
        change("PRAGMA user_version = 1");
        assert_int_equal(put_at(db, T0 + 20, 6), 0);
        history_db_free(db);
}

/* A file of an earlier one, without fields that came since: they are 0 in what was, and are there from now on. */
static void test_new_fields(void **state) {
        HistoryDb *db = make(64 << 20);
        Found f;

        (void)state;
        assert_int_equal(put_at(db, T0 + 10, 5), 0);
        db = history_db_free(db);
        change("ALTER TABLE cgroup_raw DROP COLUMN oom_kills");
        change("ALTER TABLE cgroup_1h DROP COLUMN memory_bytes_p95");
        db = make(64 << 20);
        assert_int_equal(put_at(db, T0 + 20, 5), 0);
        f = usage(db, HISTORY_OF_CGROUP, T0, T0 + 100);
        assert_int_equal(f.cpu, 10);
        assert_int_equal(f.oom, 2);
        assert_int_equal(history_db_maintain(db, T0 + 2 * HOUR, true), 0);
        assert_int_equal(ask("SELECT memory_bytes_p95 FROM cgroup_1h"), 4096);
        history_db_free(db);
}

/* Nothing of a transaction that failed is there, and its ids do not count. */
static void test_all_or_nothing(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(HISTORY_DB_SIZE_MIN);
        HistoryCgroup c = cgroup(7);
        UsageRow row = row_at(T0 + 10, 5, 5);
        char *text = calloc(1, 16 << 20);
        int64_t id;

        (void)state;
        assert_non_null(text);
        memset(text, 'x', (16 << 20) - 1);
        assert_int_equal(history_db_begin(db), 0);
        assert_int_equal(history_db_cgroup(db, &c, &id), 0);
        assert_int_equal(history_db_put(db, HISTORY_OF_CGROUP, id, &row), 0);
        assert_int_equal(history_db_put_event(db, 1, 1, "k", NULL, NULL, 0, text), HISTORY_DB_FULL);
        assert_int_equal(history_db_put(db, HISTORY_OF_CGROUP, id, &row), HISTORY_DB_FULL);
        assert_int_equal(history_db_commit(db), HISTORY_DB_FULL);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroups"), 0);
        assert_int_equal(ask("SELECT COUNT(*) FROM cgroup_raw"), 0);
        free(text);
}

static void found_last(void *user, uint64_t cgroup_id, uint64_t time) {
        uint64_t *last = user;

        assert_int_equal(cgroup_id, 7);
        *last = time;
}

static void test_last_rows(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        uint64_t last = 0;

        (void)state;
        assert_int_equal(put_at(db, T0 + 10, 5), 0);
        assert_int_equal(put_at(db, T0 + 50, 5), 0);
        assert_int_equal(history_db_last_rows(db, T0, T0 + 100, found_last, &last), 0);
        assert_int_equal(last, T0 + 50);
        last = 0;
        assert_int_equal(history_db_last_rows(db, T0 + 50, T0 + 100, found_last, &last), 0);
        assert_int_equal(last, 0);
        /* The clock was set back: what is ahead of it was before. */
        assert_int_equal(history_db_last_rows(db, T0, T0 + 20, found_last, &last), 0);
        assert_int_equal(last, T0 + 10);
}

/* ---- how it went ---- */

typedef struct Told {
        uint64_t cpu, last, n;
} Told;

static void found_row(void *user, int64_t subject, const UsageRow *row) {
        Told *t = user;

        (void)subject;
        assert_true(row->time >= t->last); /* in order, whatever grain they are of */
        t->last = row->time;
        t->cpu += row->counters[BOOK_CPU_USEC];
        t->n++;
}

static void add_usage(void *user, const HistoryUsage *u) {
        assert_true(u->number > 0);
        *(uint64_t *)user += u->row.counters[BOOK_CPU_USEC];
}

static int put_of_all(HistoryDb *db, const UsageRow *row, unsigned boot) {
        HistoryCgroup host = cgroup(1000 + boot), container = cgroup(7);
        UsageRow of_host = *row, of_container = *row;
        int64_t number;

        host.who.kind = HISTORY_HOST;
        of_host.counters[BOOK_CPU_USEC] *= 10;
        of_container.counters[BOOK_CPU_USEC] *= 3;
        if (history_db_begin(db) == 0 && history_db_tenant(db, row->time % 20 ? "a" : "b", &number) == 0)
                (void)history_db_put(db, HISTORY_OF_TENANT, number, row);
        if (history_db_cgroup(db, &container, &number) == 0)
                (void)history_db_put(db, HISTORY_OF_CGROUP, number, &of_container);
        if (history_db_cgroup(db, &host, &number) == 0)
                (void)history_db_put(db, HISTORY_OF_CGROUP, number, &of_host);
        return history_db_commit(db);
}

/* Rows come to what their sum is, from wherever it is asked; those of the host, over several boots, are the host's only. */
static void test_series(void **state) {
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        uint64_t end = T0 + 5 * HOUR + 70;
        HistoryReach reach = { 1, 1 };

        (void)state;
        assert_int_equal(history_db_begin(db), 0);
        assert_int_equal(history_db_commit(db), 0);
        assert_int_equal(history_db_reach(db, 1, T0, &reach), 0);
        assert_int_equal(reach.from, 0);
        for (uint64_t t = T0 + 10; t <= end; t += 10) {
                UsageRow row = row_at(t, 1 + draw(1000), 4096);

                assert_int_equal(put_of_all(db, &row, t > T0 + 2 * HOUR), 0);
                if (t % 300 == 0)
                        assert_int_equal(history_db_maintain(db, t, true), 0);
        }
        for (int i = 0; i < 8; i++)
                assert_int_equal(history_db_maintain(db, end, true), 0);
        assert_int_equal(history_db_reach(db, 1, end, &reach), 0);
        assert_int_equal(reach.from, T0);
        assert_int_equal(history_db_reach(db, T0 + 4 * HOUR, end, &reach), 0);
        assert_int_equal(reach.from, T0 + 4 * HOUR);
        assert_int_equal(reach.grain_sec, 10);
        for (int i = 0; i < 100; i++) {
                uint64_t from = T0 + draw(5 * HOUR), to = from + draw(end - from + 1), sum = 0, begin;
                Told tenants = {}, host = {};

                assert_int_equal(history_db_usage(db, HISTORY_OF_TENANT, from, to, add_usage, &sum, &begin),
                                 0);
                assert_int_equal(history_db_tenant_rows(db, from, to, found_row, &tenants), 0);
                assert_int_equal(history_db_host_rows(db, from, to, found_row, &host), 0);
                assert_int_equal(tenants.cpu, sum);
                assert_int_equal(host.cpu, 10 * sum);
        }
}

typedef struct Policies {
        uint64_t times[8];
        size_t n;
} Policies;

static void found_policy(void *user, uint64_t time, const char *json) {
        Policies *p = user;

        assert_int_equal(json[0], '{');
        assert_true(p->n < ARRAY_SIZE(p->times));
        p->times[p->n++] = time;
}

static void found_acts(void *user, const char *tenant, const char *kind, bool would, uint64_t n) {
        Buf *b = user;

        buf_printf(b, "%s %s%s %llu;", tenant, would ? "would " : "", kind, (unsigned long long)n);
}

static void test_policies_and_acts(void **state) {
        static const struct {
                uint64_t from, to;
                uint32_t max;
                size_t n;
                uint64_t first;
        } rows[] = {
                { 50, 60, 9, 0, 0 },     { 50, 150, 9, 1, 100 },  { 100, 400, 9, 3, 100 },
                { 199, 400, 9, 3, 100 }, { 200, 400, 9, 2, 200 }, { 900, 999, 9, 1, 300 },
                { 50, 400, 2, 2, 200 },
        };
        _cleanup_(cleanup_history_db_free) HistoryDb *db = make(64 << 20);
        _cleanup_buf_ Buf acts = BUF_INIT;

        (void)state;
        assert_int_equal(history_db_begin(db), 0);
        for (uint64_t t = 100; t <= 300; t += 100) {
                char json[32];

                (void)snprintf(json, sizeof(json), "{\"n\":%llu}", (unsigned long long)t);
                assert_int_equal(history_db_put_policy(db, t, json), 0);
        }
        for (uint64_t i = 1; i <= 12; i++)
                assert_int_equal(history_db_put_event(db, i, i,
                                                      i % 6 == 0 ? "found"
                                                      : i % 2    ? "throttle"
                                                                 : "kill",
                                                      i % 4 == 3 ? NULL : "acme", "web", 0,
                                                      i % 3 == 0   ? "no JSON"
                                                      : i % 3 == 1 ? "{\"judged\":{\"would\":true}}"
                                                                   : "{}"),
                                 0);
        assert_int_equal(history_db_commit(db), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Policies p = {};

                assert_int_equal(
                        history_db_policies(db, rows[i].from, rows[i].to, rows[i].max, found_policy, &p), 0);
                assert_int_equal(p.n, rows[i].n);
                assert_int_equal(p.times[0], rows[i].first);
        }
        /* 2 4 8 10 kill (4 10 would), 1 5 9 throttle (1 would) */
        assert_int_equal(history_db_acts(db, 0, 100, found_acts, &acts), 0);
        assert_string_equal(buf_str(&acts),
                            "acme kill 2;acme would kill 2;acme throttle 2;acme would throttle 1;");
        buf_clear(&acts);
        assert_int_equal(history_db_acts(db, 1, 4, found_acts, &acts), 0);
        assert_string_equal(buf_str(&acts), "acme kill 1;acme would kill 1;");
}

int main(void) {
#define TEST(f) cmocka_unit_test_teardown(f, clear)
        const struct CMUnitTest tests[] = {
                TEST(test_rows),
                TEST(test_names),
                TEST(test_words),
                TEST(test_close),
                TEST(test_totals),
                TEST(test_rollup),
                TEST(test_pieces),
                TEST(test_reader),
                TEST(test_late),
                TEST(test_forget),
                TEST(test_size),
                TEST(test_names_make_room),
                TEST(test_boot),
                TEST(test_many_events),
                TEST(test_full),
                TEST(test_locked),
                TEST(test_damaged_at_start),
                TEST(test_damaged_in_use),
                TEST(test_removed),
                TEST(test_no_directory),
                TEST(test_later),
                TEST(test_new_fields),
                TEST(test_all_or_nothing),
                TEST(test_last_rows),
                TEST(test_series),
                TEST(test_policies_and_acts),
        };

        seed = (uint64_t)time(NULL) | 1;
        printf("# seed %llu\n", (unsigned long long)seed);
        return cmocka_run_group_tests(tests, setup, teardown);
}
