/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A history as a month of a busy host leaves it, for the tests of reports and for looking at them: tenants with days, nights and
 * weekends, one that grows, one that runs into its ceiling, one that starts late, names that are an attack, incidents, a change of policy,
 * and a night in which nobody wrote.
 *
 *   make-history [-n TENANTS] [-d DAYS] [-s SEED] DIRECTORY
 *
 * It ends now. The same seed gives the same, but for the time.
 */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "history-db.h"
#include "num.h"

#define HOUR UINT64_C(3600)
#define DAY (24 * HOUR)
#define GIB (UINT64_C(1) << 30)

static uint64_t state = 88172645463325252ULL;

static uint64_t draw(uint64_t below) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state % below;
}

static const char *const names[] = {
        "acme",
        "globex",
        "initech",
        "umbrella",
        "<script>alert('tenant')</script>&\"",
        "hooli",
        "stark-industries",
        "wayne",
        "t\xc3\xa9l\xc3\xa9"
        "com-\xe6\x9d\xb1\xe4\xba\xac",
        "wonka",
        "\xe2\x80\xaegnp.exe\x1b[31m",
        "a-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-and-on-"
        "and-on-"
        "and-on",
};

static void name_of(uint64_t i, char buf[static 128]) {
        if (i < ARRAY_SIZE(names))
                (void)snprintf(buf, 128, "%s", names[i]);
        else
                (void)snprintf(buf, 128, "tenant-%llu", (unsigned long long)i);
}

/* CPU use of tenant i in permyriad: its size, the hour, the day, some noise, its growth. */
static uint64_t cpu_at(uint64_t i, uint64_t time, double done) {
        static const unsigned by_hour[] = { 20, 15, 12, 12, 15, 25, 40, 60, 85, 100, 100, 95,
                                            90, 95, 98, 95, 90, 80, 70, 65, 60, 50,  40,  30 };
        uint64_t size = 12000 / (i % 40 + 1) + 150, day = time / DAY, weekday = (day + 3) % 7;
        double load = by_hour[(time / HOUR + i % 5) % 24] / 100.0 * (weekday >= 5 ? 0.5 : 1);

        if (i % 7 == 2)
                load *= 0.4 + done * 1.3;
        return (uint64_t)((double)size * load) + draw(size / 5 + 1);
}

static UsageRow row_of(uint64_t i, uint64_t time, uint64_t span, double done) {
        UsageRow row = { .time = time, .span_msec = span * 1000, .looks = 1 };
        uint64_t cpu = cpu_at(i, time, done), memory = GIB / (i % 30 + 1) + cpu * 20000 + draw(GIB / 50);

        row.counters[BOOK_CPU_USEC] = cpu * span * 100;
        row.counters[BOOK_CPU_USER_USEC] = cpu * span * 70;
        row.counters[BOOK_CPU_SOME_USEC] = cpu * span * (5 + draw(10));
        row.counters[BOOK_CPU_FULL_USEC] = cpu * span;
        row.counters[BOOK_MEMORY_SOME_USEC] = draw(20) == 0 ? span * draw(200000) : 0;
        row.counters[BOOK_IO_SOME_USEC] = cpu * span * draw(4);
        row.counters[BOOK_IO_RBYTES] = cpu * span * draw(900);
        row.counters[BOOK_IO_WBYTES] = cpu * span * draw(2000);
        row.counters[BOOK_IO_RIOS] = cpu * span / 100;
        row.counters[BOOK_IO_WIOS] = cpu * span / 50;
        row.counters[BOOK_NET_RX_BYTES] = cpu * span * draw(3000);
        row.counters[BOOK_NET_TX_BYTES] = cpu * span * draw(9000);
        row.counters[BOOK_MEMORY_KIB_SECONDS] = memory / 1024 * span;
        row.counters[BOOK_MAJOR_FAULTS] = draw(50);
        row.counters[BOOK_OOM_KILLS] = i == 3 && draw(150) == 0;
        if (i % 4 == 1 && cpu > 4000)
                row.counters[BOOK_THROTTLED_USEC] = span * draw(100000);
        usage_row_set_gauge(&row, USAGE_MEMORY, memory);
        usage_row_set_gauge(&row, USAGE_WORKING_SET, memory / 2);
        usage_row_set_gauge(&row, USAGE_TASKS, 20 + cpu / 100);
        usage_row_set_cpu(&row);
        return row;
}

static void fail(HistoryDb *db) {
        HistoryDbStatus s;

        history_db_get_status(db, &s);
        (void)fprintf(stderr, "make-history: %s\n", s.text);
        exit(EXIT_FAILURE);
}

static void put_tick(HistoryDb *db, uint64_t tenants, uint64_t time, uint64_t span, double done) {
        HistoryCgroup host = {
                .who = { HISTORY_HOST, 1, 1, "", "host", "/" }, .engine = "", .id = "", .image = "", .end = ""
        };
        UsageRow all = { .time = time };
        int64_t number;

        if (history_db_begin(db) == 0)
                for (uint64_t i = 0; i < tenants; i++) {
                        UsageRow row = row_of(i, time, span, done);
                        char name[128];

                        if (i % 9 == 8 && done < 0.4) /* it is not there yet */
                                continue;
                        name_of(i, name);
                        if (history_db_tenant(db, name, &number) == 0)
                                (void)history_db_put(db, HISTORY_OF_TENANT, number, &row);
                        for (int f = 0; f < _BOOK_COUNTERS; f++)
                                all.counters[f] += row.counters[f] / (f >= BOOK_CPU_SOME_USEC ? 8 : 1);
                        all.gauges[USAGE_MEMORY].mean += row.gauges[USAGE_MEMORY].mean;
                }
        all.span_msec = span * 1000;
        all.looks = 1;
        for (int f = BOOK_CPU_SOME_USEC; f <= BOOK_IRQ_FULL_USEC; f++)
                all.counters[f] = MIN_OF(all.counters[f], span * USEC_PER_SEC);
        usage_row_set_gauge(&all, USAGE_MEMORY, all.gauges[USAGE_MEMORY].mean);
        usage_row_set_cpu(&all);
        if (history_db_cgroup(db, &host, &number) == 0)
                (void)history_db_put(db, HISTORY_OF_CGROUP, number, &all);
        if (history_db_commit(db) != 0 || history_db_maintain(db, time + 120, false) != 0)
                fail(db);
}

static void put_policy(HistoryDb *db, uint64_t tenants, uint64_t time, unsigned generation) {
        json_t *list = json_array(), *policy;
        char *text;

        for (uint64_t i = 0; i < MIN_OF(tenants, UINT64_C(40)); i++) {
                json_t *values = json_array();
                char name[128], cpu[32], memory[32];

                name_of(i, name);
                (void)snprintf(cpu, sizeof(cpu), "%llu%%",
                               (unsigned long long)((12000 / (i % 40 + 1) * 13 / 10 + 150) / 100 *
                                                    (i == 2 ? generation : 1)));
                (void)snprintf(memory, sizeof(memory), "%lluM",
                               (unsigned long long)(1600 / (i % 30 + 1) + 300));
                if (i % 6 != 5)
                        (void)json_array_append_new(values, json_pack("{s:s, s:s}", "key", "CPUQuota",
                                                                      "value", i == 7 ? "6400%" : cpu));
                (void)json_array_append_new(values,
                                            json_pack("{s:s, s:s}", "key", "MemoryMax", "value", memory));
                (void)json_array_append_new(list, json_pack("{s:o, s:o}", "name",
                                                            json_stringn_nocheck(name, strlen(name)),
                                                            "values", values));
        }
        policy = json_pack("{s:o, s:{s:[]}}", "tenants", list, "host", "values");
        text = json_dumps(policy, JSON_COMPACT);
        if (history_db_begin(db) == 0)
                (void)history_db_put_policy(db, time * USEC_PER_SEC, text ? text : "{}");
        if (history_db_commit(db) != 0)
                fail(db);
        free(text);
        json_decref(policy);
}

static void put_incident(HistoryDb *db, uint64_t tenants, uint64_t id, uint64_t time) {
        static const char *const rungs[] = { "notify", "throttle", "throttle", "freeze", "kill" },
                                 *const resources[] = { "cpu", "memory", "io" };
        uint64_t culprit = draw(MIN_OF(tenants, UINT64_C(8))), rung = draw(ARRAY_SIZE(rungs)),
                 lasted = 60 + draw(3 * HOUR), opened = time * USEC_PER_SEC;
        char name[128], victim[128];
        json_t *o, *e;
        char *text;

        name_of(culprit, name);
        name_of((culprit + 1) % tenants, victim);
        o = json_pack(
                "{s:I, s:s, s:s, s:I, s:I, s:I, s:[s], s:I, s:I, s:I, s:s, s:I, s:[{s:s, s:s}], s:s}", "id",
                (json_int_t)id, "tenant", name, "container", "web-1", "opened", (json_int_t)opened, "last",
                (json_int_t)(opened + lasted * USEC_PER_SEC), "closed",
                (json_int_t)(opened + lasted * USEC_PER_SEC), "resources", resources[draw(3)], "acts",
                (json_int_t)(1 + draw(9)), "would", (json_int_t)0, "kills", (json_int_t)(rung == 4), "rung",
                rungs[rung], "worst_permyriad", (json_int_t)(2000 + draw(7000)), "victims", "name", "db",
                "tenant", victim, "text",
                "holds web-1 back to 50 % of a CPU, for db waited 43 % of the time for CPU, of which 30 % "
                "is normal for it; web-1 used 3.1 CPUs and is entitled to 1");
        e = json_pack("{s:I, s:I, s:s, s:s, s:s, s:{s:b}}", "id", (json_int_t)id, "time", (json_int_t)opened,
                      "kind", rungs[rung], "tenant", name, "container", "web-1", "judged", "would", 0);
        if (history_db_begin(db) == 0) {
                text = json_dumps(o, JSON_COMPACT);
                (void)history_db_put_incident(db, opened, id, name, "web-1", opened + lasted * USEC_PER_SEC,
                                              text ? text : "{}");
                free(text);
                text = json_dumps(e, JSON_COMPACT);
                (void)history_db_put_event(db, opened, id, rungs[rung], name, "web-1", id,
                                           text ? text : "{}");
                free(text);
        }
        if (history_db_commit(db) != 0)
                fail(db);
        json_decref(o);
        json_decref(e);
}

static void make(HistoryDb *db, uint64_t tenants, uint64_t days, uint64_t now) {
        uint64_t begin = now - days * DAY, fine = now - MIN_OF(2 * DAY, days * DAY), t;

        now -= now % 300;
        begin -= begin % HOUR;
        fine -= fine % HOUR;
        put_policy(db, tenants, begin, 1);
        for (t = begin + HOUR; t <= now; t += t < fine ? HOUR : 300) {
                double done = (double)(t - begin) / (double)(now - begin + 1);

                if (done > 0.62 && done < 0.65) /* nobody wrote */
                        continue;
                put_tick(db, tenants, t, t <= fine ? HOUR : 300, done);
                if (draw(20) == 0 && t < fine)
                        put_incident(db, tenants, t, t - draw(HOUR));
        }
        put_policy(db, tenants, begin + days * DAY * 6 / 10, 2);
        for (int i = 0; i < 40; i++)
                (void)history_db_maintain(db, now, false);
}

int main(int argc, char *argv[]) {
        uint64_t tenants = 30, days = 30, *to = NULL;
        _cleanup_(cleanup_history_db_free) HistoryDb *db = NULL;
        _cleanup_free_ char *path = NULL;
        int o;

        while ((o = getopt(argc, argv, "n:d:s:")) >= 0) {
                to = o == 'n' ? &tenants : o == 'd' ? &days : &state;
                if (o == '?' || num_parse_u64(optarg, to) < 0 || *to == 0)
                        return 2;
        }
        if (optind + 1 != argc || asprintf(&path, "%s/history.db", argv[optind]) < 0) {
                (void)fprintf(stderr, "make-history [-n TENANTS] [-d DAYS] [-s SEED] DIRECTORY\n");
                return 2;
        }
        if (history_db_new(&(HistoryDbOptions){ .path = path,
                                                .keep_sec = { 400 * DAY, 400 * DAY, 1000 * DAY },
                                                .max_bytes = UINT64_C(8) << 30,
                                                .boot = 1 },
                           &db) < 0)
                return EXIT_FAILURE;
        make(db, tenants, days, (uint64_t)time(NULL));
        return EXIT_SUCCESS;
}
