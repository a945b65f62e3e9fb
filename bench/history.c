/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the history costs: generated rows of many containers, all of them busy, which is the worst case.
 *
 *   history [-c CONTAINERS] [-t TICKS] [-d DAYS] DIRECTORY
 *
 * CPU time of a tick (a row of each container, in one transaction, and upkeep) beside that of a bare fwrite() of
 * the same rows; bytes of the file to a row; the dearest tick, which is the one that makes the hour; then DAYS of hourly rows of
 * containers and as many tenants, and what it takes to ask for all of them, beside SQLite itself adding up two of their columns.
 */

#include <getopt.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "history-db.h"
#include "jsonget.h"
#include "num.h"
#include "report-html.h"
#include "report.h"

#define T0 UINT64_C(1700006400)

static uint64_t state = 88172645463325252ULL;

static uint64_t draw(uint64_t below) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % below;
}

static UsageRow busy_row(uint64_t time) {
        UsageRow row = { .time = time, .span_msec = 10000, .looks = 1 };

        for (int f = 0; f < _BOOK_COUNTERS; f++)
                row.counters[f] = f <= BOOK_IO_FULL_USEC ? draw(10000000) : draw(100);
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                usage_row_set_gauge(&row, g, draw(UINT64_C(1) << 32));
        usage_row_set_cpu(&row);
        return row;
}

static int tick(HistoryDb *db, const int64_t *ids, size_t n, uint64_t time) {
        if (history_db_begin(db) == 0)
                for (size_t i = 0; i < n; i++) {
                        UsageRow row = busy_row(time);

                        (void)history_db_put(db, HISTORY_OF_CGROUP, ids[i], &row);
                }
        return history_db_commit(db);
}

static void count(void *user, const HistoryUsage *u) {
        (void)u;
        (*(size_t *)user)++;
}

static int make_ids(HistoryDb *db, int64_t *ids, size_t n) {
        if (history_db_begin(db) == 0)
                for (size_t i = 0; i < n; i++) {
                        HistoryCgroup c = { .who = { HISTORY_CONTAINER, i + 1, T0, "acme", "web", "/a/b" },
                                            .engine = "docker",
                                            .id = "0123456789abcdef",
                                            .image = "nginx",
                                            .end = "" };

                        (void)history_db_cgroup(db, &c, &ids[i]);
                }
        return history_db_commit(db);
}

static uint64_t size_of(const char *path) {
        struct stat st;

        return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static uint64_t bare_write(const char *dir, size_t containers, size_t ticks) {
        _cleanup_free_ char *path = NULL;
        uint64_t spent = 0;
        FILE *f;

        if (asprintf(&path, "%s/bare", dir) < 0)
                abort();
        f = fopen(path, "we");
        for (size_t t = 0; f && t < ticks; t++) {
                uint64_t before = clock_usec(CLOCK_PROCESS_CPUTIME_ID);

                for (size_t i = 0; i < containers; i++) {
                        UsageRow row = busy_row(T0 + t * 10);

                        (void)fwrite(&row, sizeof(row), 1, f);
                }
                (void)fflush(f);
                spent += clock_usec(CLOCK_PROCESS_CPUTIME_ID) - before;
        }
        if (f)
                (void)fclose(f);
        (void)unlink(path);
        return spent / ticks;
}

static void ticks_of(HistoryDb *db, const char *dir, const char *path, const int64_t *ids, size_t n,
                     size_t ticks) {
        uint64_t spent = 0, dearest = 0, bare = bare_write(dir, n, MIN_OF(ticks, (size_t)60));
        HistoryDbStatus status;

        for (size_t t = 1; t <= ticks; t++) {
                uint64_t before = clock_usec(CLOCK_PROCESS_CPUTIME_ID), now = T0 + t * 10, took;

                if (tick(db, ids, n, now) != 0 || history_db_maintain(db, now, true) != 0) {
                        history_db_get_status(db, &status);
                        fprintf(stderr, "history: %s\n", status.text);
                        exit(EXIT_FAILURE);
                }
                took = clock_usec(CLOCK_PROCESS_CPUTIME_ID) - before;
                spent += took;
                dearest = MAX_OF(dearest, took);
        }
        printf("%zu containers, all busy: %.1f ms CPU a tick of 10 s (%.2f %% of a CPU), %.1f times a bare "
               "fwrite; the dearest %.0f ms\n",
               n, (double)spent / (double)ticks / 1000, (double)spent / (double)ticks / 100000,
               (double)spent / (double)ticks / (double)MAX_OF(bare, (uint64_t)1), (double)dearest / 1000);
        printf("%.0f bytes of file to a raw row, all grains counted\n",
               (double)size_of(path) / (double)(ticks * n));
}

/* The least that asking can cost: all rows are read, and next to nothing is done with them. */
static double bare_scan(const char *path, const char *table) {
        sqlite3_stmt *statement = NULL;
        sqlite3 *sqlite = NULL;
        char sql[128];
        uint64_t before = clock_usec(CLOCK_MONOTONIC);

        (void)snprintf(sql, sizeof(sql), "SELECT SUM(cpu_usec), SUM(oom_kills) FROM %s", table);
        if (sqlite3_open(path, &sqlite) != SQLITE_OK ||
            sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) != SQLITE_OK ||
            sqlite3_step(statement) != SQLITE_ROW)
                exit(EXIT_FAILURE);
        (void)sqlite3_finalize(statement);
        (void)sqlite3_close(sqlite);
        return (double)(clock_usec(CLOCK_MONOTONIC) - before) / 1000;
}

static void report_of(HistoryDb *db, const char *path, uint64_t from, uint64_t to) {
        const ReportQuestion q = { .from = from * USEC_PER_SEC, .to = to * USEC_PER_SEC, .host = "bench" };
        uint64_t before, made;
        double bare = bare_scan(path, "tenant_1h"), took;
        _cleanup_buf_ Buf page = BUF_INIT;
        json_t *report = NULL;

        before = clock_usec(CLOCK_MONOTONIC);
        if (report_from_history(db, &q, &report) != 0)
                exit(EXIT_FAILURE);
        made = clock_usec(CLOCK_MONOTONIC);
        if (report_html(report, &page) < 0)
                exit(EXIT_FAILURE);
        took = (double)(made - before) / 1000;
        printf("a report of %zu tenants: %.0f ms, %.1f times a bare scan (%.0f ms); its page: %.0f ms, %zu "
               "KiB\n",
               json_array_size(json_member(report, "tenants")), took, took / bare, bare,
               (double)(clock_usec(CLOCK_MONOTONIC) - made) / 1000, page.len / 1024);
        json_decref(report);
}

/* A row of each hour, as rolling up leaves them. */
static int hour(HistoryDb *db, const int64_t *ids, const int64_t *tenants, size_t n, uint64_t time) {
        if (history_db_begin(db) == 0)
                for (size_t i = 0; i < n; i++) {
                        UsageRow row = busy_row(time);

                        (void)history_db_put(db, HISTORY_OF_CGROUP, ids[i], &row);
                        (void)history_db_put(db, HISTORY_OF_TENANT, tenants[i], &row);
                }
        return history_db_commit(db);
}

static int make_tenants(HistoryDb *db, int64_t *ids, size_t n) {
        if (history_db_begin(db) == 0)
                for (size_t i = 0; i < n; i++) {
                        char name[32];

                        (void)snprintf(name, sizeof(name), "tenant-%zu", i);
                        (void)history_db_tenant(db, name, &ids[i]);
                }
        return history_db_commit(db);
}

static void days_of(HistoryDb *db, const char *path, const int64_t *ids, size_t n, uint64_t days,
                    uint64_t from) {
        _cleanup_free_ int64_t *tenants = calloc(n, sizeof(*tenants));
        uint64_t before, since, end = from + days * 86400;
        double bare, took;
        size_t found = 0;

        if (!tenants || make_tenants(db, tenants, n) != 0)
                exit(EXIT_FAILURE);
        for (uint64_t t = from + 10; t < end; t += 3600)
                if (hour(db, ids, tenants, n, t) != 0 || history_db_maintain(db, t + 120, true) != 0)
                        exit(EXIT_FAILURE);
        for (int i = 0; i < 8; i++)
                (void)history_db_maintain(db, end + 7200, false);
        bare = bare_scan(path, "cgroup_1h");
        before = clock_usec(CLOCK_MONOTONIC);
        if (history_db_usage(db, HISTORY_OF_CGROUP, from, end, count, &found, &since) != 0)
                exit(EXIT_FAILURE);
        took = (double)(clock_usec(CLOCK_MONOTONIC) - before) / 1000;
        printf("use of %zu containers in %llu days: %.0f ms, %.1f times a bare scan (%.0f ms)\n", found,
               (unsigned long long)days, took, took / bare, bare);
        report_of(db, path, from, end);
}

int main(int argc, char *argv[]) {
        uint64_t containers = 1000, ticks = 400, days = 0;
        _cleanup_(cleanup_history_db_free) HistoryDb *db = NULL;
        _cleanup_free_ int64_t *ids = NULL;
        _cleanup_free_ char *path = NULL;
        int o;

        while ((o = getopt(argc, argv, "c:t:d:")) >= 0)
                if (o == '?' || num_parse_u64(optarg, o == 'c' ? &containers : o == 't' ? &ticks : &days) < 0)
                        return 2;
        if (optind + 1 != argc || ticks == 0 || containers == 0 ||
            asprintf(&path, "%s/history.db", argv[optind]) < 0) {
                fprintf(stderr, "history [-c CONTAINERS] [-t TICKS] [-d DAYS] DIRECTORY\n");
                return 2;
        }
        ids = calloc(containers, sizeof(*ids));
        if (!ids ||
            history_db_new(&(HistoryDbOptions){ .path = path,
                                                .keep_sec = { 2 * 86400, 60 * 86400, 1000 * 86400 },
                                                .max_bytes = UINT64_C(8) << 30,
                                                .boot = 1 },
                           &db) < 0 ||
            make_ids(db, ids, containers) != 0)
                return EXIT_FAILURE;
        ticks_of(db, argv[optind], path, ids, containers, ticks);
        if (days > 0)
                days_of(db, path, ids, containers, days, T0 + 2 * 86400);
        return EXIT_SUCCESS;
}
