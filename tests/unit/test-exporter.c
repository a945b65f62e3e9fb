/* SPDX-License-Identifier: Apache-2.0 */

/* The exporter without bus and sockets: its configuration, what becomes of the guard's stream, pages and answers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bookmetrics.h"
#include "exporter.h"
#include "fdio.h"
#include "jsonget.h"
#include "openapi.h"
#include "../schema.h"
#include "report-model.h"
#include "report.h"

#define T0 (UINT64_C(1700006400) * USEC_PER_SEC)
#define SEC USEC_PER_SEC

static char dir[64], path[96], later[128];

static int setup(void **state) {
        (void)state;
        (void)snprintf(dir, sizeof(dir), "/dev/shm/test-exporter-XXXXXX");
        if (!mkdtemp(dir)) {
                (void)snprintf(dir, sizeof(dir), "/tmp/test-exporter-XXXXXX");
                if (!mkdtemp(dir))
                        return -1;
        }
        (void)snprintf(path, sizeof(path), "%s/history.db", dir);
        (void)snprintf(later, sizeof(later), "%s/later/history.db", dir);
        return 0;
}

static int clear(void **state) {
        char command[128];

        (void)state;
        (void)snprintf(command, sizeof(command), "cd %s && rm -rf ./*", dir);
        return system(command) == 0 ? 0 : -1;
}

static int teardown(void **state) { return clear(state) < 0 ? -1 : rmdir(dir); }

/* ---- configuration ---- */

static void test_settings(void **state) {
        static const struct {
                const char *text, *diagnostic; /* NULL: it is fine */
        } rows[] = {
                { "", NULL },
                { "[Exporter]\n", NULL },
                { "[Exporter]\nHistoryKeepRaw=1d\nHistoryMaxSize=512M\nDetail=tenant\nCadvisorNames=no\n",
                  NULL },
                { "[Exporter]\nListen=127.0.0.1:9477\nListen=[::1]:9477\n", NULL },
                { "[Exporter]\nListen=0.0.0.0:9477\nCertificate=/c\nKey=/k\nClientCA=/a\n", NULL },
                { "[Exporter]\nListen=0.0.0.0:9477\nListen=\n", NULL },
                { "[Exporter]\nListen=0.0.0.0:9477\n",
                  "f:2: [Exporter] Listen: an address that others reach needs TLS" },
                { "[Exporter]\nListen=127.0.0.1:1\nListen=[::]:9477\n",
                  "f:3: [Exporter] Listen: an address" },
                { "[Exporter]\nListen=10.0.0.1:1\nCertificate=/c\n",
                  "f:3: [Exporter] Certificate: without Key=" },
                { "[Exporter]\nKey=/c\n", "f:2: [Exporter] Key: without Certificate=" },
                { "[Exporter]\nClientCA=/c\n", "f:2: [Exporter] ClientCA: without" },
                { "[Exporter]\nCertificate=c.pem\n", "expected an absolute path" },
                { "[Exporter]\nListen=example.com:80\n",
                  "f:2: [Exporter] Listen=example.com:80: expected ADDRESS:PORT" },
                { "[Exporter]\nListen=1.1.1.1:1\nListen=1.1.1.1:2\nListen=1.1.1.1:3\nListen=1.1.1.1:"
                  "4\nListen=1.1.1.1:5\n"
                  "Listen=1.1.1.1:6\nListen=1.1.1.1:7\nListen=1.1.1.1:8\nListen=1.1.1.1:9\n",
                  "f:10: [Exporter] Listen=1.1.1.1:9: expected no more than 8" },
                { "[Exporter]\nHistoryKeepRaw=5min\n",
                  "f:2: [Exporter] HistoryKeepRaw=5min: expected a time span" },
                { "[Exporter]\nHistoryKeepRaw=infinity\n", "expected a time span" },
                { "[Exporter]\nHistoryMaxSize=1M\n", "expected a size of at least 16M" },
                { "[Exporter]\nHistoryMaxSise=1G\n", "no such key; did you mean HistoryMaxSize?" },
                { "[Exporter]\nDetail=all\n", "expected tenant or container" },
                { "[Exporter]\nCadvisorNames=maybe\n", "expected auto, yes or no" },
                { "[Exporter]\nTenantLabel=my-label\n", "expected the name of a label" },
                { "[Exporter]\nTenantLabel=id\n", "expected the name of a label" },
                { "[Exporter]\nTenantLabel=__x\n", "expected the name of a label" },
                { "[Exporter]\nTenantLabel=\n", "expected the name of a label" },
                { "[Exporter]\nMaxConnections=0\n", "a number from 1 to 1000" },
                { "[Exporter]\nMaxConnections=5-9\n", "a number from 1 to 1000" },
                { "[Exporters]\nDetail=all\n", "f:1: [Exporters]: expected [Exporter]" },
                { "[Exporter]\nRemoteWrite=https://metrics.example.com/api/v1/write\n"
                  "RemoteWriteCA=/ca\nRemoteWriteCertificate=/c\nRemoteWriteKey=/k\n"
                  "RemoteWriteUser=me\nRemoteWritePasswordFile=/p\nRemoteWriteInterval=1min\n"
                  "RemoteWriteBacklogMax=128M\nRemoteWriteLabels=host=web1 env=prod\n"
                  "RemoteWriteLabels=env= rack=7\nTextfileDirectory=/t\n",
                  NULL },
                { "[Exporter]\nRemoteWrite=http://127.0.0.1:8428/api/v1/write\n", NULL },
                { "[Exporter]\nRemoteWrite=http://localhost/w\n", NULL },
                { "[Exporter]\nRemoteWrite=http://[::1]:9090/w\n", NULL },
                { "[Exporter]\nRemoteWrite=http://10.0.0.9/w\nRemoteWriteInsecure=yes\n", NULL },
                { "[Exporter]\nRemoteWrite=http://10.0.0.9/w\nRemoteWrite=\n", NULL },
                { "[Exporter]\nRemoteWrite=http://10.0.0.9/w\n",
                  "f:2: [Exporter] RemoteWrite: to another host only over TLS" },
                { "[Exporter]\nRemoteWrite=http://localhost.example.com/w\n", "only over TLS" },
                { "[Exporter]\nRemoteWrite=http://127.0.0.1.example.com/w\n", "only over TLS" },
                { "[Exporter]\nRemoteWrite=http://localhost@example.com/w\n", "expected https://HOST" },
                { "[Exporter]\nRemoteWrite=https://me:secret@example.com/w\n", "expected https://HOST" },
                { "[Exporter]\nRemoteWrite=https://\n", "expected https://HOST" },
                { "[Exporter]\nRemoteWrite=https://[::1\n", "expected https://HOST" },
                { "[Exporter]\nRemoteWrite=ftp://example.com/\n", "expected https://HOST" },
                { "[Exporter]\nRemoteWrite=https://a b/\n", "expected https://HOST" },
                { "[Exporter]\nRemoteWriteTokenFile=/t\n",
                  "f:2: [Exporter] RemoteWrite: not set, expected a URL" },
                { "[Exporter]\nRemoteWrite=https://x/\nRemoteWriteUser=me\n",
                  "f:3: [Exporter] RemoteWriteUser, RemoteWritePasswordFile: expected both" },
                { "[Exporter]\nRemoteWrite=https://x/\nRemoteWriteUser=me\nRemoteWritePasswordFile=/p\n"
                  "RemoteWriteTokenFile=/t\n",
                  "f:5: [Exporter] RemoteWriteTokenFile: expected no RemoteWriteUser" },
                { "[Exporter]\nRemoteWrite=https://x/\nRemoteWriteKey=/k\n",
                  "f:3: [Exporter] RemoteWriteCertificate, RemoteWriteKey: expected both" },
                { "[Exporter]\nRemoteWriteUser=me:secret\n", "expected a name without a colon" },
                { "[Exporter]\nRemoteWriteCA=ca.pem\n", "expected an absolute path" },
                { "[Exporter]\nRemoteWriteInterval=1s\n", "expected a time span from 10s to 1h" },
                { "[Exporter]\nRemoteWriteInterval=infinity\n", "expected a time span from 10s to 1h" },
                { "[Exporter]\nRemoteWriteBacklogMax=1K\n", "expected a size from 1M to 1T" },
                { "[Exporter]\nRemoteWriteInsecure=maybe\n", "expected yes or no" },
                { "[Exporter]\nRemoteWriteLabels=host\n", "expected NAME=VALUE" },
                { "[Exporter]\nRemoteWriteLabels=my-host=x\n", "names of labels" },
                { "[Exporter]\nRemoteWriteLabels=__name__=x\n", "names of labels" },
                { "[Exporter]\nRemoteWriteLabels=a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9 j=10 k=11 l=12 m=13 "
                  "n=14 o=15 p=16 q=17\n",
                  "up to 16 names" },
                { "[Exporter]\nTextfileDirectory=here\n", "expected an absolute path" },
                { "Detail=tenant\n", "f:1: " },
                { "[Exporter]\n Detail=tenant\n", "f:2: " },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(config_deinit) Config c = {};
                _cleanup_buf_ Buf report = BUF_INIT;
                Diags d = {};

                assert_int_equal(config_parse("f", rows[i].text, strlen(rows[i].text), &c, &d), 0);
                assert_int_equal(diags_format(&d, &report), 0);
                if (diags_failed(&d) != (rows[i].diagnostic != NULL) ||
                    (rows[i].diagnostic && !strstr(buf_str(&report), rows[i].diagnostic)))
                        fail_msg("%s\n%s", rows[i].text, buf_str(&report));
                diags_deinit(&d);
        }
}

static void test_wants(void **state) {
        static const char text[] =
                "[Exporter]\nAllow=container_* bailiff_guard_*\nDeny=*_bytes\nDeny=container_oom*\n";
        static const struct {
                const char *name;
                bool wants;
        } rows[] = {
                { "container_threads", true },           { "container_memory_usage_bytes", false },
                { "container_oom_events_total", false }, { "bailiff_guard_beats_total", true },
                { "bailiff_tenant_ooms_total", false },
        };
        _cleanup_(config_deinit) Config c = {};
        Diags d = {};

        (void)state;
        assert_int_equal(config_parse("f", text, strlen(text), &c, &d), 0);
        assert_int_equal(d.n, 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(config_wants(&c, rows[i].name), rows[i].wants);
}

/* ---- the stream ---- */

typedef struct Bed {
        HistoryDb *db;
        Fifo jobs; /* that wait, where they are not done at once */
        Collect *collect;
        History *guard;
        uint32_t web;
        uint64_t cpu; /* that web used so far */
        uint64_t now; /* realtime; monotonic is 1000 s when it is T0 */
} Bed;

static HistoryDb *make_db(const char *where) {
        HistoryDbOptions o = { .path = where,
                               .keep_sec = { 2 * 86400, 60 * 86400, 900 * 86400 },
                               .max_bytes = 64 << 20,
                               .boot = 42 };
        HistoryDb *db = NULL;

        assert_int_equal(history_db_new(&o, &db), 0);
        return db;
}

static usec_t mono(const Bed *b) { return b->now - T0 + 1000 * SEC; }

static void look(Bed *b) {
        Sample s = { .at = mono(b) };

        sample_put(&s, SAMPLE_CPU_USAGE, b->cpu);
        sample_put(&s, SAMPLE_MEMORY, 8 << 20);
        sample_put(&s, SAMPLE_INACTIVE_FILE, 1 << 20);
        sample_put(&s, SAMPLE_PIDS, 4);
        assert_int_equal(history_append(b->guard, b->web, &s, s.have, b->now), 0);
}

static void guard_begin(Bed *b, uint64_t instance) {
        HistoryWho who = { HISTORY_CONTAINER, 7, b->now, "acme", "web", "/t.slice/web.scope" };

        history_free(b->guard);
        b->guard = NULL;
        assert_int_equal(history_new(instance, 8 << 20, HISTORY_SPAN_USEC, &b->guard), 0);
        assert_int_equal(history_add(b->guard, &who, &b->web), 0);
        look(b);
}

static void collect_at_once(Bed *b) {
        const CollectOptions o = { .jobs = history_jobs_at_once(b->db) };

        assert_int_equal(collect_new(&o, &b->collect), 0);
}

static void bed_begin(Bed *b, const char *where) {
        *b = (Bed){ .db = make_db(where), .now = T0, .cpu = 5000000 };
        collect_at_once(b);
        guard_begin(b, 1);
}

static void bed_end(Bed *b) {
        collect_free(b->collect);
        history_db_free(b->db);
        history_free(b->guard);
}

/* Another exporter with the same file. */
static void restart_exporter(Bed *b, const char *where) {
        collect_free(b->collect);
        b->collect = NULL;
        history_db_free(b->db);
        b->db = make_db(where);
        collect_at_once(b);
}

static void run_for(Bed *b, unsigned seconds) {
        for (unsigned i = 0; i < seconds; i++) {
                b->now += SEC;
                b->cpu += 1000 + i;
                look(b);
        }
}

static void fetch(Bed *b) {
        _cleanup_buf_ Buf out = BUF_INIT;
        HistoryReader *r = b->collect->reader;

        assert_int_equal(history_export(b->guard, history_reader_instance(r), history_reader_cursor(r), 0,
                                        b->now, mono(b), &out),
                         0);
        assert_int_equal(collect_stream(b->collect, out.data, out.len, b->now), 0);
}

static void add_cpu(void *user, const HistoryUsage *u) {
        *(uint64_t *)user += u->row.counters[BOOK_CPU_USEC];
        assert_string_equal(u->cgroup.who.name, "web");
        assert_string_equal(u->cgroup.who.tenant, "acme");
}

static uint64_t on_file(Bed *b) {
        uint64_t sum = 0, from = 0;

        assert_int_equal(
                history_db_usage(b->db, HISTORY_OF_CGROUP, 1, T0 / SEC + 86400, add_cpu, &sum, &from), 0);
        return sum;
}

static void add_received(void *user, const HistoryUsage *u) {
        *(uint64_t *)user += u->row.counters[BOOK_NET_RX_BYTES];
}

static uint64_t received_on_file(Bed *b) {
        uint64_t sum = 0, from = 0;

        assert_int_equal(
                history_db_usage(b->db, HISTORY_OF_CGROUP, 1, T0 / SEC + 86400, add_received, &sum, &from),
                0);
        return sum;
}

/* However the stream is cut into rounds, and whoever is restarted in between, each microsecond is on file once. */
static void test_stream(void **state) {
        static const unsigned rounds[] = { 10, 3, 27, 1, 60, 11 };

        for (int how = 0; how < 4; how++) {
                Bed b;

                bed_begin(&b, path);
                fetch(&b);
                for (size_t i = 0; i < ARRAY_SIZE(rounds); i++) {
                        run_for(&b, rounds[i]);
                        if (how == 1 || (how == 3 && i % 2))
                                restart_exporter(&b, path);
                        fetch(&b);
                        if (how == 2 || (how == 3 && i == 3))
                                guard_begin(&b, 2 + i);
                }
                history_remove(b.guard, b.web, mono(&b), b.now);
                fetch(&b);
                assert_int_equal(on_file(&b), b.cpu - 5000000);
                assert_int_equal(b.collect->by_cgroup.n, 0);
                bed_end(&b);
                assert_int_equal(clear(state), 0);
        }
}

/* Where nothing can be written sums wait, and are on file once it can. */
static void test_no_file(void **state) {
        char command[160];
        Bed b;

        (void)state;
        bed_begin(&b, later);
        for (int i = 0; i < 20; i++) {
                run_for(&b, 10);
                fetch(&b);
        }
        (void)snprintf(command, sizeof(command), "mkdir %s/later", dir);
        assert_int_equal(system(command), 0);
        run_for(&b, 10);
        fetch(&b);
        history_remove(b.guard, b.web, mono(&b), b.now);
        fetch(&b);
        assert_int_equal(on_file(&b), b.cpu - 5000000);
        bed_end(&b);
}

/* Networks that a container leaves take their counters along: no byte of the others is counted again. */
static void test_taken_away(void **state) {
        static const uint64_t received[] = { 100000, 101000, 0, 1500, 1700 }; /* 0: not had for one look */
        const Subject *s;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        fetch(&b);
        for (size_t i = 0; i < ARRAY_SIZE(received); i++) {
                Sample look = { .at = mono(&b) + SEC };

                b.now += SEC;
                sample_put(&look, SAMPLE_CPU_USAGE, b.cpu);
                if (received[i] > 0)
                        sample_put(&look, SAMPLE_NET_RX_BYTES, received[i]);
                assert_int_equal(history_append(b.guard, b.web, &look, SAMPLE_ALL, b.now), 0);
                fetch(&b);
                s = map_get_u64(&b.collect->by_cgroup, 7);
                assert_int_equal(sample_has(&s->tally.last, SAMPLE_NET_RX_BYTES), received[i] > 0);
        }
        assert_int_equal(s->tally.last.v[SAMPLE_NET_RX_BYTES], 1700);
        history_remove(b.guard, b.web, mono(&b), b.now);
        fetch(&b);
        assert_int_equal(received_on_file(&b), 1000 + 200);
        bed_end(&b);
}

static void test_hostile_stream(void **state) {
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 30);
        assert_int_equal(collect_stream(b.collect, "", 0, b.now), -EBADMSG);
        assert_int_equal(collect_stream(b.collect, "bailhist and then nothing of the kind", 37, b.now),
                         -EBADMSG);
        fetch(&b);
        run_for(&b, 30);
        fetch(&b);
        assert_true(on_file(&b) > 0);
        bed_end(&b);
}

/* ---- tenants ---- */

static json_t *usage_of(uint64_t since, uint64_t cpu) {
        return json_pack("{s:[{s:s, s:I, s:{s:I}}]}", "tenants", "name", "acme", "since", (json_int_t)since,
                         "book", "cpu_usec", (json_int_t)cpu);
}

static void tell_cpu(void *user, const HistoryUsage *u) {
        *(uint64_t *)user += u->row.counters[BOOK_CPU_USEC];
}

static uint64_t tenant_on_file(Bed *b) {
        uint64_t sum = 0, from = 0;

        assert_int_equal(
                history_db_usage(b->db, HISTORY_OF_TENANT, 1, T0 / SEC + 86400, tell_cpu, &sum, &from), 0);
        return sum;
}

/* Totals' differences: what was before is not told; what was used while nobody was here is; a total that begins anew is. */
static void test_tenants(void **state) {
        static const struct {
                uint64_t since, cpu, sum;
                bool restart;
        } rows[] = {
                { 5, 1000, 0, false },   { 5, 1500, 500, false },  { 5, 1500, 500, false },
                { 5, 2500, 1500, true }, { 5, 2600, 1600, false }, { 9, 40, 1640, false },
                { 9, 50, 1650, true },
        };
        Bed b;

        (void)state;
        bed_begin(&b, path);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *usage = usage_of(rows[i].since, rows[i].cpu);

                if (rows[i].restart)
                        restart_exporter(&b, path);
                b.now += 10 * SEC;
                assert_int_equal(collect_usage(b.collect, usage, b.now), 0);
                json_decref(usage);
                assert_int_equal(tenant_on_file(&b), rows[i].sum);
        }
        bed_end(&b);
}

static void tell_memory(void *user, const HistoryUsage *u) {
        *(bool *)user |= u->row.have >> USAGE_MEMORY & 1;
}

static void usage_at(Bed *b, const char *name, uint64_t cpu) {
        json_t *usage = json_pack("{s:[{s:s, s:i, s:{s:I}}]}", "tenants", "name", name, "since", 5, "book",
                                  "cpu_usec", (json_int_t)cpu);

        b->now += 10 * SEC;
        assert_int_equal(collect_usage(b->collect, usage, b->now), 0);
        json_decref(usage);
}

/* What a tenant holds is not known before a stream was read, which is no zero; who is gone is forgotten, and found again. */
static void test_tenants_come_and_go(void **state) {
        const TenantState *t;
        uint64_t from;
        bool any = false;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        usage_at(&b, "acme", 1000);
        t = map_get_str(&b.collect->tenants, "acme");
        assert_false(t->measured);
        assert_int_equal(
                history_db_usage(b.db, HISTORY_OF_TENANT, 1, T0 / SEC + 86400, tell_memory, &any, &from), 0);
        assert_false(any);
        fetch(&b);
        usage_at(&b, "acme", 1500);
        assert_true(t->measured);
        assert_int_equal(t->memory, 8 << 20);
        assert_int_equal(
                history_db_usage(b.db, HISTORY_OF_TENANT, 1, T0 / SEC + 86400, tell_memory, &any, &from), 0);
        assert_true(any);
        usage_at(&b, "other", 10);
        assert_ptr_equal(map_get_str(&b.collect->tenants, "acme"), t); /* its container is there */
        history_remove(b.guard, b.web, mono(&b), b.now);
        fetch(&b);
        usage_at(&b, "other", 20);
        assert_null(map_get_str(&b.collect->tenants, "acme"));
        assert_non_null(map_get_str(&b.collect->tenants, "other"));
        usage_at(&b, "acme", 1700);
        assert_null(map_get_str(&b.collect->tenants, "other"));
        assert_int_equal(tenant_on_file(&b), 700 + 20);
        bed_end(&b);
}

/* ---- jobs ---- */

static void submit_later(void *user, HistoryJob *j) { fifo_add(&((Bed *)user)->jobs, &j->item); }

static bool room_for_one(void *user) { return ((Bed *)user)->jobs.n == 0; }

static void collect_later(Bed *b) {
        const CollectOptions o = { .jobs = { submit_later, room_for_one, b } };

        assert_int_equal(collect_new(&o, &b->collect), 0);
}

/* Of those that wait the first n; those whose bit is set fail. */
static void do_jobs(Bed *b, unsigned n, unsigned fail) {
        HistoryJob *j;

        for (; n > 0 && (j = fifo_take(&b->jobs)); n--, fail >>= 1) {
                j->result = fail & 1 ? HISTORY_DB_FULL : j->run(j, b->db);
                j->done(j);
        }
}

static uint32_t chance(uint32_t *x) {
        *x ^= *x << 13;
        *x ^= *x >> 17;
        *x ^= *x << 5;
        return *x;
}

static void tell_ended(void *user, const HistoryUsage *u) { *(bool *)user &= u->cgroup.ended > 0; }

static bool all_ended(Bed *b) {
        uint64_t from = 0;
        bool all = true;

        assert_int_equal(
                history_db_usage(b->db, HISTORY_OF_CGROUP, 1, T0 / SEC + 86400, tell_ended, &all, &from), 0);
        return all;
}

/* However late the disk is, whatever it refuses, with another file under it or another exporter: nothing is lost, or told twice. */
static void test_slow(void **state) {
        for (uint32_t seed = 1; seed <= 20; seed++) {
                uint32_t x = seed * 2654435761U;
                Bed b;

                bed_begin(&b, path);
                collect_free(b.collect);
                collect_later(&b);
                collect_begin(b.collect, b.now);
                do_jobs(&b, 1, 0);
                for (int round = 0; round < 40; round++) {
                        run_for(&b, 1 + chance(&x) % 25);
                        if (chance(&x) % 8 == 0) {
                                do_jobs(&b, UINT_MAX, 0);
                                fetch(&b); /* what could not be written is in the guard's stream no more */
                                do_jobs(&b, UINT_MAX, 0);
                                run_for(&b, 20);
                                fetch(&b);
                                do_jobs(&b, UINT_MAX, 0);
                                collect_free(b.collect);
                                history_db_free(b.db);
                                b.db = make_db(path);
                                collect_later(&b);
                                collect_begin(b.collect, b.now);
                                do_jobs(&b, 1, 0);
                        }
                        fetch(&b);
                        do_jobs(&b, chance(&x) % 4, chance(&x) & chance(&x));
                }
                do_jobs(&b, UINT_MAX, 0);
                history_remove(b.guard, b.web, mono(&b), b.now);
                for (int i = 0; i < 3; i++) {
                        fetch(&b);
                        do_jobs(&b, UINT_MAX, i == 0); /* the end itself, too */
                }
                assert_int_equal(on_file(&b), b.cpu - 5000000);
                assert_true(all_ended(&b));
                assert_int_equal(b.collect->by_cgroup.n, 0);
                bed_end(&b);
                assert_int_equal(clear(state), 0);
        }
}

/* The history cannot be asked at first what is on file, and answers the next question late: what comes meanwhile waits. */
static void test_locked(void **state) {
        Bed b;

        (void)state;
        bed_begin(&b, path);
        collect_free(b.collect);
        collect_later(&b);
        collect_begin(b.collect, b.now);
        do_jobs(&b, 1, 1);
        for (int i = 0; i < 3; i++) {
                run_for(&b, 100);
                fetch(&b);
        }
        do_jobs(&b, UINT_MAX, 0);
        history_remove(b.guard, b.web, mono(&b), b.now);
        for (int i = 0; i < 3; i++) {
                fetch(&b);
                do_jobs(&b, UINT_MAX, 0);
        }
        assert_int_equal(on_file(&b), b.cpu - 5000000);
        bed_end(&b);
}

/* A history that somebody moved away while it was open: the new one has all names, and the rows since. */
static void test_moved(void **state) {
        char moved[128];
        const HistoryCgroup other = { .who = { HISTORY_CONTAINER, 99, T0, "acme", "other", "/o" },
                                      .end = "" };
        uint64_t before;
        int64_t number;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        assert_int_equal(history_db_begin(b.db), 0);
        assert_int_equal(history_db_cgroup(b.db, &other, &number), 0); /* so that numbers differ in the two */
        assert_int_equal(history_db_commit(b.db), 0);
        run_for(&b, 60);
        fetch(&b);
        before = on_file(&b);
        assert_true(before > 0);
        (void)snprintf(moved, sizeof(moved), "%s/moved.db", dir);
        assert_int_equal(rename(path, moved), 0);
        run_for(&b, 60);
        fetch(&b);
        run_for(&b, 60);
        fetch(&b);
        history_remove(b.guard, b.web, mono(&b), b.now);
        fetch(&b);
        assert_int_equal(on_file(&b), b.cpu - 5000000 - before);
        bed_end(&b);
}

/* The history does not answer in time what is on file: rows begin with the first stream, none is there twice. */
static void test_unanswered(void **state) {
        uint64_t before, cpu;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 100);
        fetch(&b);
        before = on_file(&b);
        collect_free(b.collect);
        collect_later(&b);
        collect_begin(b.collect, b.now);
        cpu = b.cpu;
        fetch(&b);
        run_for(&b, 100);
        fetch(&b);
        do_jobs(&b, UINT_MAX, 0);
        fetch(&b);
        history_remove(b.guard, b.web, mono(&b), b.now);
        for (int i = 0; i < 2; i++) {
                fetch(&b);
                do_jobs(&b, UINT_MAX, 0);
        }
        assert_true(on_file(&b) > before);
        assert_true(on_file(&b) - before <= b.cpu - cpu);
        bed_end(&b);
}

/* All that is told, with a real thread behind it: what a thread sanitizer looks at, too. */
static void submit_to_thread(void *user, HistoryJob *j) { scribe_submit(user, j); }
static bool thread_has_room(void *user) { return scribe_wait(user, 3, 60 * SEC); }

static void test_thread(void **state) {
        const HistoryDbOptions o = {
                .path = path, .keep_sec = { 86400, 86400, 86400 }, .max_bytes = 64 << 20, .boot = 42
        };
        json_t *words = json_pack("[{s:i, s:I, s:s}]", "id", 3, "time", (json_int_t)T0, "kind", "found");
        CollectOptions collect = { .jobs = { .submit = submit_to_thread, .has_room = thread_has_room } };
        Scribe *w = NULL;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        collect_free(b.collect);
        assert_int_equal(scribe_new(&o, &w), 0);
        collect.jobs.user = w;
        assert_int_equal(collect_new(&collect, &b.collect), 0);
        collect_begin(b.collect, b.now);
        assert_true(scribe_wait(w, 0, 60 * SEC));
        fetch(&b);
        for (uint64_t i = 1; i <= 40; i++) {
                json_t *usage = usage_of(5, 1000 * i);

                run_for(&b, 11);
                fetch(&b);
                assert_int_equal(collect_usage(b.collect, usage, b.now), 0);
                collect_events(b.collect, words);
                json_decref(usage);
                if (i % 3 == 0)
                        assert_true(scribe_wait(w, 0, 60 * SEC));
        }
        history_remove(b.guard, b.web, mono(&b), b.now);
        fetch(&b);
        scribe_free(w);
        json_decref(words);
        assert_int_equal(history_db_begin(b.db), 0); /* opens it */
        assert_int_equal(history_db_commit(b.db), 0);
        assert_int_equal(on_file(&b), b.cpu - 5000000);
        assert_int_equal(tenant_on_file(&b), 39000);
        bed_end(&b);
}

/* A job that takes its time: the loop goes on, is told since when, and at the end all is done. */
typedef struct SlowJob {
        HistoryJob job;
        int fd;
        unsigned *done;
} SlowJob;

static int run_slow(HistoryJob *j, HistoryDb *db) {
        char c;

        (void)db;
        return read(((SlowJob *)j)->fd, &c, 1) == 1 ? 0 : HISTORY_DB_FAILED;
}

static void done_slow(HistoryJob *j) {
        assert_int_equal(j->result, 0);
        ++*((SlowJob *)j)->done;
}

static void test_scribe(void **state) {
        const HistoryDbOptions o = { .path = path,
                                     .keep_sec = { 86400, 86400, 86400 },
                                     .max_bytes = 64 << 20 };
        SlowJob jobs[3];
        unsigned done = 0;
        Scribe *w = NULL;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(scribe_new(&o, &w), 0);
        assert_int_equal(scribe_since(w), 0);
        assert_true(scribe_wait(w, 0, 0));
        for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
                jobs[i] = (SlowJob){ { .run = run_slow, .done = done_slow }, fds[0], &done };
                scribe_submit(w, &jobs[i].job);
        }
        assert_false(scribe_wait(w, 2, 10 * USEC_PER_MSEC));
        assert_true(scribe_since(w) > 0);
        assert_int_equal(done, 0);
        assert_int_equal(write(fds[1], "1", 1), 1);
        assert_true(scribe_wait(w, 2, 60 * SEC));
        assert_int_equal(done, 1);
        assert_int_equal(write(fds[1], "23", 2), 2);
        scribe_free(w);
        assert_int_equal(done, 3);
        (void)fd_close(fds[0]);
        (void)fd_close(fds[1]);
}

/* ---- pages ---- */

static const char *no_parameter(const void *user, const char *name) {
        (void)user;
        (void)name;
        return NULL;
}

/* "name=value" */
static const char *one_parameter(const void *user, const char *name) {
        const char *text = user;
        size_t n = strlen(name);

        return strncmp(text, name, n) == 0 && text[n] == '=' ? text + n + 1 : NULL;
}

#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

/* As a thread would, with a reader of its own. */
static void answer_now(const HistoryQuestion *q, HttpAnswer *a) {
        _cleanup_(cleanup_history_db_free) HistoryDb *reader = NULL;

        assert_int_equal(history_db_new_reader(path, &reader), 0);
        query_answer(reader, q, NULL, NULL, a);
}

static void test_api(void **state) {
        static const struct {
                const char *what, *parameter;
                unsigned status;
                const char *has;
        } rows[] = {
                { "status", NULL, 200, "\"guard_up\":false" },
                { "usage", NULL, 200, "\"name\":\"web\"" },
                { "usage", "by=tenant", 200, "\"tenants\":[]" },
                { "openapi.json", NULL, 200, "\"openapi\":\"3.1.0\"" },
                { "events", "container=web", 200, "\"events\":[]" },
                { "events", "tenant=" LONG LONG LONG LONG, 400, "tenant: expected a name of less" },
                { "usage", "by=all", 400, "expected tenant or container" },
                { "usage", "since=30d", 200, "\"cpu_permyriad\":{\"min\"" },
                { "usage", "since=-1", 400, "expected a time span" },
                { "usage", "since=", 400, "expected a time span" },
                { "usage", "since=0", 400, "expected a time span" },
                { "usage", "since=infinity", 400, "expected a time span" },
                { "events", "max=0", 400, "expected a number" },
                { "events", "max=99999999999999999999", 400, "expected a number" },
                { "events", "incident=x", 400, "expected a number" },
                { "events", NULL, 200, "\"events\":[]" },
                { "incidents", "tenant='; DROP TABLE events; --", 200, "\"incidents\":[]" },
                { "report", NULL, 200, "\"source\":\"history\"" },
                { "report", "since=30d", 200, "\"tenants\":[]" },
                { "report", "since=never", 400, "expected a time span" },
                { "report", "tenant='; DROP TABLE events; --", 200, "\"tenants\":[]" },
                { "tenants", NULL, 503, "has not answered" },
                { "containers", NULL, 503, "has not answered" },
                { "", NULL, 404, "expected one of" },
                { "../metrics", NULL, 404, "expected one of" },
        };
        char label[] = "tenant";
        Config config = { .tenant_label = label, .containers = true };
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 60);
        fetch(&b);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Pages p = { .config = &config, .collect = b.collect };
                HttpAnswer a = { .status = 200 };
                HistoryQuestion q;
                json_t *j;

                if (pages_api(&p, rows[i].what, rows[i].parameter ? one_parameter : no_parameter,
                              rows[i].parameter, &a, b.now, &q))
                        answer_now(&q, &a);
                j = json_loadb(buf_str(&a.body), a.body.len, 0, NULL);
                if (a.status != rows[i].status || !strstr(buf_str(&a.body), rows[i].has) || !j)
                        fail_msg("%s %s: %u %s", rows[i].what, rows[i].parameter, a.status, buf_str(&a.body));
                json_decref(j);
                buf_deinit(&a.body);
        }
        bed_end(&b);
}

/* ---- the description ---- */

static int ask_now(void *user, const HttpRequest *r, const HistoryQuestion *q) {
        (void)r;
        answer_now(q, user);
        return 0;
}

static void request(Pages *p, const char *what, const HttpParameter *parameters, size_t n, HttpAnswer *a,
                    uint64_t now) {
        HttpRequest r = { .kind = HTTP_UNIX, .path = what, .n_parameters = n };

        for (size_t i = 0; i < n; i++)
                r.parameters[i] = parameters[i];
        *a = (HttpAnswer){ .status = 200, .type = "" };
        p->ask = ask_now;
        p->ask_user = a;
        pages_answer(p, &r, a, now);
}

static unsigned status_of(Pages *p, const char *what, const HttpParameter *parameters, size_t n,
                          uint64_t now) {
        HttpAnswer a;

        request(p, what, parameters, n, &a, now);
        buf_deinit(&a.body);
        return a.status;
}

/* One that the schema of a parameter allows. */
static const char *example(const json_t *parameter) {
        const json_t *schema = json_object_get(parameter, "schema"),
                     *word = json_array_get(json_object_get(schema, "enum"), 0);

        return word                                            ? json_string_value(word)
               : STR_EQ(json_text(schema, "type"), "integer")  ? "1"
               : STR_EQ(json_text(parameter, "name"), "since") ? "1h"
                                                               : "x";
}

static bool is_described(const json_t *parameters, const char *name) {
        const json_t *o;
        size_t i;

        json_array_foreach(parameters, i, o) if (STR_EQ(json_text(o, "name"), name)) return true;
        return false;
}

/* Every path that is served is described, and no other; its parameters are taken, and no others, and none twice. */
static void test_described(void **state) {
        static const char *const all[] = { "since",    "by",  "tenant",   "container",
                                           "incident", "max", "nonsense", "" };
        char label[] = "tenant";
        Config config = { .tenant_label = label, .containers = true };
        json_t *document = json_loadb(openapi_text, openapi_len, 0, NULL), *paths, *o;
        HttpAnswer index;
        size_t listed = 1; /* "/" does not list itself */
        const char *what;
        Bed b;

        (void)state;
        assert_non_null(document);
        paths = json_object_get(document, "paths");
        bed_begin(&b, path);
        fetch(&b);
        {
                Pages p = { .config = &config, .collect = b.collect };

                buf_puts(&p.tenants_text, "{\"tenants\":[]}");
                buf_puts(&p.containers_text, "{\"containers\":[]}");
                request(&p, "/", NULL, 0, &index, b.now);
                for (const char *line = buf_str(&index.body); *line; line = strchr(line, '\n') + 1) {
                        _cleanup_free_ char *one = strndup(line, strcspn(line, "?\n"));

                        if (!json_object_get(paths, one))
                                fail_msg("%s is not described", one);
                        listed++;
                }
                assert_int_equal(json_object_size(paths), listed);
                buf_deinit(&index.body);
                json_object_foreach(paths, what, o) {
                        const json_t *parameters = json_object_get(json_object_get(o, "get"), "parameters"),
                                     *one;
                        HttpParameter every[HTTP_PARAMETERS_MAX], twice[2];
                        size_t n = 0, i;

                        json_array_foreach(parameters, i, one) {
                                every[n++] = (HttpParameter){ json_text(one, "name"), example(one) };
                                twice[0] = twice[1] = every[n - 1];
                                assert_int_equal(status_of(&p, what, twice, 1, b.now), 200);
                                assert_int_equal(status_of(&p, what, twice, 2, b.now), 400);
                        }
                        if (status_of(&p, what, every, n, b.now) != 200)
                                fail_msg("%s with all of its parameters", what);
                        for (i = 0; i < ARRAY_SIZE(all); i++) {
                                const HttpParameter other = { all[i], "1" };

                                if (!is_described(parameters, all[i]) &&
                                    status_of(&p, what, &other, 1, b.now) != 400)
                                        fail_msg("%s takes %s", what, all[i]);
                        }
                }
                buf_deinit(&p.tenants_text);
                buf_deinit(&p.containers_text);
                assert_int_equal(status_of(&p, "/api/v1/nothing", NULL, 0, b.now), 404);
        }
        json_decref(document);
        bed_end(&b);
}

/* What the exporter makes itself is as described; what the guard makes is looked at in a scenario, where there is one. */
static void test_conforms(void **state) {
        static const char *const whats[] = { "status", "usage", "events", "incidents", "status", "report" };
        char label[] = "tenant", url[] = "http://127.0.0.1/";
        Config config = { .tenant_label = label, .containers = true };
        json_t *document = json_loadb(openapi_text, openapi_len, 0, NULL), *usage, *words;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 60);
        fetch(&b);
        for (uint64_t i = 1; i < 4; i++) {
                usage = usage_of(5, 1000 * i);
                b.now += 10 * SEC;
                assert_int_equal(collect_usage(b.collect, usage, b.now), 0);
                json_decref(usage);
        }
        words = json_pack("[{s:i, s:I, s:s, s:s}]", "id", 3, "time", (json_int_t)b.now - 5, "kind", "found",
                          "text", "it was found");
        collect_events(b.collect, words);
        json_decref(words);
        for (size_t i = 0; i < ARRAY_SIZE(whats); i++) {
                Pages p = { .config = &config, .collect = b.collect };
                _cleanup_buf_ Buf wrong = BUF_INIT;
                char what[64];
                HttpAnswer a;
                json_t *j;

                config.push.url = i == 4 ? url : NULL;
                (void)snprintf(what, sizeof(what), "/api/v1/%s", whats[i]);
                request(&p, what, NULL, 0, &a, b.now);
                assert_int_equal(a.status, 200);
                j = json_loadb(buf_str(&a.body), a.body.len, 0, NULL);
                assert_non_null(j);
                schema_check(document, schema_of_path(document, what), j, whats[i], &wrong);
                if (wrong.len > 0)
                        fail_msg("%s%s", buf_str(&wrong), buf_str(&a.body));
                if (i == 1)
                        assert_true(json_array_size(json_object_get(j, "tenants")) > 0 &&
                                    json_array_size(json_object_get(j, "containers")) > 0);
                if (i == 2) { /* and one that is not as described is found out */
                        (void)json_object_set_new(json_array_get(json_object_get(j, "events"), 0), "id",
                                                  json_string("3"));
                        (void)json_object_set_new(j, "more", json_true());
                        schema_check(document, schema_of_path(document, what), j, whats[i], &wrong);
                        assert_non_null(
                                strstr(buf_str(&wrong), "events.events[0].id: \"3\" is of another type"));
                        assert_non_null(strstr(buf_str(&wrong), "events.more: not described"));
                }
                json_decref(j);
                buf_deinit(&a.body);
        }
        json_decref(document);
        bed_end(&b);
}

/* ---- threads ---- */

static size_t n_answers, n_refused;

static void count_answer(void *user, void *cookie, HttpAnswer *a) {
        (void)user;
        assert_ptr_equal(cookie, &n_answers);
        n_answers++;
        n_refused += a->status != 200;
}

/* As many at once as may wait, and no more; each is answered once, also when all ends before its turn. */
static void test_queries(void **state) {
        char label[] = "tenant";
        Config config = { .tenant_label = label, .containers = true };
        const QueriesOptions o = { .path = path, .answered = count_answer };
        HistoryQuestion q;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 60);
        fetch(&b);
        for (int how = 0; how < 2; how++) {
                Pages p = { .config = &config, .collect = b.collect };
                HttpAnswer a = { .status = 200 };
                Queries *queries = NULL;
                size_t added = 0;

                n_answers = n_refused = 0;
                assert_int_equal(queries_new(&o, &queries), 0);
                assert_true(pages_api(&p, "usage", no_parameter, NULL, &a, b.now, &q));
                for (int i = 0; i < 1000; i++) {
                        int r = queries_add(queries, &q, &n_answers);

                        assert_true(r == 0 || r == -EBUSY);
                        added += r == 0;
                }
                assert_true(added >= QUERIES_WAITING);
                for (int i = 0; how == 0 && n_answers < added && i < 6000; i++) {
                        queries_collect(queries);
                        (void)usleep(10000);
                }
                queries_free(queries);
                assert_int_equal(n_answers, added);
                if (how == 0)
                        assert_int_equal(n_refused, 0);
        }
        bed_end(&b);
}

/* ---- who scrapes does not wait ---- */

typedef struct Meanwhile {
        Pages pages;
        Queries *queries;
        uint64_t now;
} Meanwhile;

static int gate[2]; /* a question is not answered before there is something to be read */

static int answer_at_the_gate(HistoryDb *reader, const HistoryQuestion *q, HttpAnswer *a) {
        char c;

        (void)reader;
        (void)q;
        (void)!read(gate[0], &c, 1);
        buf_puts(&a->body, "through");
        return 0;
}

static int ask_at_the_gate(void *user, const HttpRequest *r, const HistoryQuestion *q) {
        HistoryQuestion slow = *q;
        Meanwhile *m = user;

        slow.answer = answer_at_the_gate;
        return queries_add(m->queries, &slow, http_request_defer(r));
}

static void handle_meanwhile(void *user, const HttpRequest *r, HttpAnswer *a) {
        Meanwhile *m = user;

        pages_answer(&m->pages, r, a, m->now);
}

static void answered_meanwhile(void *user, void *cookie, HttpAnswer *a) {
        (void)user;
        http_answer(cookie, a);
}

static HttpServer *serve_meanwhile(Meanwhile *m, struct sockaddr_un *ret) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        HttpOptions o = { .kind = HTTP_UNIX, .connections_max = 16, .handle = handle_meanwhile, .user = m };
        HttpServer *s = NULL;

        o.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(o.fd, (struct sockaddr *)&a, sizeof(a.sun_family)), 0); /* abstract */
        assert_int_equal(getsockname(o.fd, (struct sockaddr *)ret, &(socklen_t){ sizeof(*ret) }), 0);
        assert_int_equal(listen(o.fd, 16), 0);
        assert_int_equal(http_server_new(&o, &s), 0);
        return s;
}

static int dial_meanwhile(const struct sockaddr_un *a, const char *what) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        char text[128];

        assert_int_equal(connect(fd, (const struct sockaddr *)a, sizeof(a->sun_family) + 6), 0);
        (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", what);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        return fd;
}

/* What came so far; true: all of it, the connection has ended. */
static bool turn(Meanwhile *m, HttpServer *s, int fd, Buf *out) {
        char chunk[8192];
        usec_t again;
        ssize_t n;

        queries_collect(m->queries);
        http_server_run(s, USEC_PER_SEC, &again);
        n = read(fd, chunk, sizeof(chunk));
        if (n > 0)
                buf_append(out, chunk, (size_t)n);
        else if (n < 0)
                (void)usleep(1000);
        return n == 0;
}

/* As many questions as threads can have under way, none of which ends; a scrape is answered all the same. */
static void test_meanwhile(void **state) {
        char label[] = "tenant";
        Config config = { .tenant_label = label, .containers = true };
        const QueriesOptions o = { .path = path, .answered = answered_meanwhile };
        int slow[QUERIES_AT_ONCE + 3];
        struct sockaddr_un address;
        Meanwhile m = {};
        HttpServer *s;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 60);
        fetch(&b);
        assert_int_equal(pipe(gate), 0);
        m = (Meanwhile){ .now = b.now };
        m.pages = (Pages){ .config = &config, .collect = b.collect, .ask = ask_at_the_gate, .ask_user = &m };
        assert_int_equal(queries_new(&o, &m.queries), 0);
        s = serve_meanwhile(&m, &address);
        for (size_t i = 0; i < ARRAY_SIZE(slow); i++)
                slow[i] = dial_meanwhile(&address, "/api/v1/usage");
        for (int round = 0; round < 3; round++) {
                int fd = dial_meanwhile(&address, "/metrics");
                _cleanup_buf_ Buf out = BUF_INIT;

                for (int i = 0; i < 20000 && !turn(&m, s, fd, &out); i++)
                        ;
                assert_non_null(strstr(buf_str(&out), "HTTP/1.1 200"));
                assert_non_null(strstr(buf_str(&out), "container_threads{"));
                (void)fd_close(fd);
        }
        assert_int_equal(write(gate[1], "12345", ARRAY_SIZE(slow)), ARRAY_SIZE(slow));
        for (size_t k = 0; k < ARRAY_SIZE(slow); k++) {
                _cleanup_buf_ Buf out = BUF_INIT;

                for (int i = 0; i < 20000 && !turn(&m, s, slow[k], &out); i++)
                        ;
                assert_non_null(strstr(buf_str(&out), "\r\n\r\nthrough"));
                (void)fd_close(slow[k]);
        }
        queries_free(m.queries);
        http_server_free(s);
        (void)fd_close(gate[0]);
        (void)fd_close(gate[1]);
        bed_end(&b);
}

/* ---- reports ---- */

#define MANY 30

/* Tenant i uses i + 1 ms of CPU each second; the first is named so that it has to be quoted everywhere. */
static void tell_usage(Bed *b, uint64_t seconds) {
        json_t *tenants = json_array(), *usage;

        for (uint64_t i = 0; i < MANY; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), i == 0 ? "<a>'\"&" : "t%llu", (unsigned long long)i);
                (void)json_array_append_new(tenants,
                                            json_pack("{s:s, s:I, s:{s:I, s:I, s:I}}", "name", name, "since",
                                                      (json_int_t)5, "book", "cpu_usec",
                                                      (json_int_t)((i + 1) * seconds * 1000),
                                                      "memory_kib_seconds", (json_int_t)(seconds * 1024),
                                                      "cpu_some_usec", (json_int_t)(seconds * 100000)));
        }
        usage = json_pack("{s:o}", "tenants", tenants);
        assert_int_equal(collect_usage(b->collect, usage, T0 + seconds * SEC), 0);
        json_decref(usage);
}

static void tell_words(Bed *b) {
        json_t *events = json_loads(
                       "[{\"id\":1,\"time\":1700006500000000,\"kind\":\"throttle\",\"tenant\":\"t29\","
                       "\"judged\":{\"would\":false}},"
                       "{\"id\":2,\"time\":1700006600000000,\"kind\":\"throttle\",\"tenant\":\"t29\"},"
                       "{\"id\":3,\"time\":1700006700000000,\"kind\":\"kill\",\"tenant\":\"t29\","
                       "\"judged\":{\"would\":true}},"
                       "{\"id\":4,\"time\":1700006700000000,\"kind\":\"found\",\"tenant\":\"t29\"}]",
                       0, NULL),
               *incidents =
                       json_loads("[{\"id\":1,\"opened\":1700006500000000,\"closed\":1700006600000000,"
                                  "\"tenant\":\"t29\",\"container\":\"web\",\"victims\":[{\"tenant\":\"t3\","
                                  "\"name\":\"db\"}],\"events\":[1,2,3]}]",
                                  0, NULL),
               *policies[] = {
                       json_loads(
                               "{\"tenants\":[{\"name\":\"t29\",\"values\":[{\"key\":\"CPUQuota\",\"value\":"
                               "\"50%\"},{\"key\":\"MemoryMax\",\"value\":\"2G\"},{\"key\":\"MemoryHigh\","
                               "\"value\":\"1G\"}]},{\"name\":\"t3\",\"values\":[{\"key\":\"CPUQuota\","
                               "\"value\":\"infinity\"}]},"
                               "{\"name\":\"t28\",\"rule\":\"tenant\",\"values\":[{\"key\":\"CPUQuota\","
                               "\"value\":\"50%\"}]},"
                               "{\"name\":\"t27\",\"rule\":\"template\",\"values\":[{\"key\":\"CPUQuota\","
                               "\"value\":\"50%\"}]}]}",
                               0, NULL),
                       json_loads(
                               "{\"tenants\":[{\"name\":\"t29\",\"values\":[{\"key\":\"CPUQuota\",\"value\":"
                               "\"80%\"}]},5,{\"name\":null}]}",
                               0, NULL),
               };

        collect_events(b->collect, events);
        collect_incidents(b->collect, incidents, T0);
        collect_policy(b->collect, policies[0], T0 - 100 * SEC);
        collect_policy(b->collect, policies[1], T0 + 1800 * SEC);
        json_decref(events);
        json_decref(incidents);
        json_decref(policies[0]);
        json_decref(policies[1]);
}

static const json_t *tenant_in(const json_t *report, const char *name) {
        const json_t *o;
        size_t i;

        json_array_foreach(json_member(report, "tenants"), i,
                           o) if (STR_EQ(json_text(o, "name"), name)) return o;
        return NULL;
}

static json_t *report_of(Bed *b, uint64_t span, const char *tenant) {
        const ReportQuestion q = {
                .from = b->now - span * SEC, .to = b->now, .tenant = tenant, .cpus = 4, .host = "h"
        };
        json_t *report = NULL;

        assert_int_equal(report_from_history(b->db, &q, &report), 0);
        return report;
}

static size_t count_null(const json_t *values) {
        const json_t *v;
        size_t i, n = 0;

        json_array_foreach(values, i, v) n += json_is_null(v);
        return n;
}

/* An hour of ticks, of which ten minutes are missing: what was used then is in the sums, and a gap in the curves. */
static void test_report(void **state) {
        const json_t *t, *host, *series, *list;
        json_t *report;
        uint64_t sum = 0;
        size_t large = 0;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        tell_usage(&b, 0);
        for (uint64_t s = 10; s <= 3000; s += 10) {
                if (s > 1200 && s < 1800)
                        continue;
                if (s == 1800) /* that is an exporter that was away */
                        restart_exporter(&b, path);
                tell_usage(&b, s);
        }
        tell_words(&b);
        b.now = T0 + 3000 * SEC;
        report = report_of(&b, 3600, NULL);
        assert_int_equal(json_number(report, "step_sec"), 10);
        assert_int_equal(json_array_size(json_member(report, "tenants")), MANY);
        for (size_t i = 0; i < MANY; i++) {
                t = json_array_get(json_member(report, "tenants"), i);
                sum += json_number(json_member(t, "book"), "cpu_usec");
                large += json_has(t, "series");
        }
        assert_int_equal(sum, (uint64_t)MANY * (MANY + 1) / 2 * 3000 * 1000);
        assert_int_equal(sum, json_number(json_member(report, "total"), "cpu_usec"));
        assert_int_equal(large, REPORT_TOP);
        assert_int_equal(json_number(json_member(report, "others"), "tenants"), MANY - REPORT_TOP);

        t = json_array_get(json_member(report, "tenants"), 0);
        assert_string_equal(json_text(t, "name"), "t29");
        assert_int_equal(json_number(json_member(t, "book"), "cpu_usec"), 30 * 3000 * 1000);
        assert_int_equal(json_number(t, "cpu_share_permyriad"), 30 * 10000 / (MANY * (MANY + 1) / 2));
        assert_int_equal(json_number(json_member(json_member(t, "stats"), "cpu_permyriad"), "p95"), 300);
        series = json_member(json_member(t, "series"), "cpu_permyriad");
        assert_int_equal(json_array_size(series), json_number(report, "points"));
        assert_int_equal(json_integer_value(json_array_get(series, 50)), 300);
        /* 590 s without any row, and the row after it, of which nobody knows when that was used. */
        assert_in_range(count_null(series), 59, 62);
        assert_int_equal(json_integer_value(json_array_get(
                                 json_member(json_member(t, "series"), "cpu_stall_permyriad"), 200)),
                         1000);
        assert_int_equal(json_number(json_member(t, "acts"), "throttle"), 2);
        assert_int_equal(json_number(json_member(t, "would"), "kill"), 1);
        assert_false(json_has(json_member(t, "acts"), "kill"));
        assert_int_equal(json_array_size(json_member(t, "ceilings")), 2);
        assert_int_equal(json_number(json_array_get(json_member(t, "ceilings"), 0), "cpu_permyriad"), 5000);
        assert_int_equal(json_number(json_array_get(json_member(t, "ceilings"), 0), "memory_bytes"),
                         1U << 30);
        assert_int_equal(json_number(json_array_get(json_member(t, "ceilings"), 1), "cpu_permyriad"), 8000);
        assert_false(json_has(json_array_get(json_member(t, "ceilings"), 1), "memory_bytes"));
        assert_int_equal(json_array_size(json_member(tenant_in(report, "t3"), "ceilings")), 0);
        list = json_member(tenant_in(report, "t28"), "ceilings"); /* it has lost its section */
        assert_int_equal(json_array_size(list), 2);
        assert_int_equal(json_number(json_array_get(list, 0), "cpu_permyriad"), 5000);
        assert_int_equal(json_number(json_array_get(list, 1), "time"), T0 + 1800 * SEC);
        assert_false(json_has(json_array_get(list, 1), "cpu_permyriad"));
        assert_int_equal(json_array_size(json_member(tenant_in(report, "t27"), "ceilings")), 1);
        assert_non_null(tenant_in(report, "<a>'\"&"));

        host = json_array_get(json_member(report, "hosts"), 0);
        assert_in_range(json_number(host, "coverage_permyriad"), 7900, 8100);
        assert_int_equal(json_number(host, "gaps_all"), 1);
        assert_int_equal(json_number(host, "cpus"), 4);
        assert_int_equal(json_number(report, "incidents_all"), 1);
        assert_false(json_has(json_array_get(json_member(report, "incidents"), 0), "events"));
        json_decref(report);

        report = report_of(&b, 600, "t3"); /* who was hurt by it, but not in the last minutes */
        assert_int_equal(json_array_size(json_member(report, "tenants")), 1);
        assert_int_equal(json_number(json_member(tenant_in(report, "t3"), "book"), "cpu_usec"),
                         4 * 600 * 1000);
        assert_int_equal(json_number(report, "incidents_all"), 0);
        json_decref(report);
        report = report_of(&b, 86400, "t3");
        assert_int_equal(json_number(report, "incidents_all"), 1);
        assert_int_equal(json_number(report, "from") / SEC, T0 / SEC - 10); /* the first row's slot */
        assert_true(json_is_null(json_member(report, "others")));
        json_decref(report);
        report = report_of(&b, 86400, "t4");
        assert_int_equal(json_number(report, "incidents_all"), 0);
        json_decref(report);
        bed_end(&b);
}

/* Of nothing, and where nothing can be read. */
static void test_report_empty(void **state) {
        const ReportQuestion q = { .from = T0 - 3600 * SEC, .to = T0, .host = "h" };
        json_t *report = NULL;
        HistoryDb *db = make_db(later);
        Bed b;

        (void)state;
        assert_true(report_from_history(db, &q, &report) > 0);
        assert_null(report);
        history_db_free(db);
        bed_begin(&b, path);
        fetch(&b);
        report = report_of(&b, 3600, NULL);
        assert_int_equal(json_array_size(json_member(report, "tenants")), 0);
        assert_int_equal(json_array_size(json_member(report, "hosts")), 1);
        json_decref(report);
        bed_end(&b);
}

static json_t *full_status(void) {
        const MetricOfStatus *rows;
        json_t *status = json_object();
        size_t n;

        rows = metrics_of_guard(&n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = strdup(rows[i].path);
                json_t *o = status;
                char *key = text, *dot;

                for (; (dot = strchr(key, '.')); key = dot + 1) {
                        *dot = '\0';
                        if (!json_object_get(o, key))
                                (void)json_object_set_new(o, key, json_object());
                        o = json_object_get(o, key);
                }
                if (strchr(key, '[')) {
                        *strchr(key, '[') = '\0';
                        (void)json_object_set_new(o, key, json_pack("{s:i, s:i}", "throttle", 3, "kill", 1));
                }
                key[strcspn(key, "?")] = '\0';
                if (!json_object_get(o, key))
                        (void)json_object_set_new(o, key, json_integer(1500000));
        }
        (void)json_object_set_new(status, "version", json_string("1"));
        (void)json_object_set_new(status, "mode", json_string("observe"));
        (void)json_object_set_new(status, "paused", json_null());
        return status;
}

/* A whole page, both formats, both sets of names: in order, and to promtool's taste when tests/promtool-pages asks for that. Of one that
 * went there are no series any more. */
static void test_page(void **state) {
        static const char *const lines[] = {
                "\nbailiff_guard_acts_total{act=\"kill\"} 1\nbailiff_guard_acts_total{act=\"throttle\"} 3\n",
                "\nbailiff_guard_would_acts_total{act=\"kill\"} 1\n",
                "\nbailiff_guard_mode_info{mode=\"observe\"} 1\n",
                "\nbailiff_guard_paused 0\n",
                "\nbailiff_tenant_ceiling_memory_max_bytes{org=\"b\"} 4096\n",
                ("\nbailiff_tenant_ceiling_info{org=\"b\",limit=\"MemoryMax\",device=\"\",origin=\"plan\","
                 "advisory=\"1\"} 1\n"),
                "\nbailiff_tenant_would_acts_total{org=\"b\",act=\"kill\"} 2\n",
        };
        char label[] = "org", file[128], command[192];
        Config config = { .tenant_label = label, .containers = true };
        json_t *told;
        Bed b;

        (void)state;
        bed_begin(&b, path);
        run_for(&b, 60);
        fetch(&b);
        told = usage_of(5, 77);
        assert_int_equal(collect_usage(b.collect, told, b.now), 0);
        json_decref(told);
        for (int own = 0; own < 2; own++)
                for (int classic = 0; classic < 2; classic++) {
                        json_t *status = full_status(), *usage = usage_of(5, 77);
                        json_t *tenants =
                                json_pack("[{s:s, s:s, s:[{s:s, s:n, s:i, s:s, s:b}]}, {s:s}]", "name", "b",
                                          "mode", "off", "limits", "limit", "MemoryMax", "device", "value",
                                          4096, "layer", "plan", "advisory", 1, "name", "a");
                        json_t *observed = json_pack("[{s:s, s:{s:i}}]", "name", "b", "would", "kill", 2);
                        Pages p = { .config = &config,
                                    .collect = b.collect,
                                    .status = status,
                                    .usage = usage,
                                    .tenants = tenants,
                                    .observed = observed,
                                    .stats = { .connected = true } };
                        _cleanup_buf_ Buf page = BUF_INIT;

                        config.cadvisor_names = own ? CADVISOR_NO : CADVISOR_AUTO;
                        assert_int_equal(pages_metrics(&p, classic, &page), 0);
                        assert_non_null(strstr(buf_str(&page),
                                               "bailiff_tenant_cpu_seconds_total{org=\"acme\"} 0.000077\n"));
                        assert_non_null(
                                strstr(buf_str(&page), "bailiff_tenant_usage_memory_bytes{org=\"acme\"}"));
                        assert_non_null(strstr(
                                buf_str(&page),
                                "bailiff_tenants_info{org=\"b\",mode=\"off\",plan=\"\",sum=\"\"} 1\n"));
                        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                                if (!strstr(buf_str(&page), lines[i]))
                                        fail_msg("not there: %s\n%s", lines[i], buf_str(&page));
                        assert_int_equal(strstr(buf_str(&page), "\ncontainer_threads{") != NULL, !own);
                        assert_int_equal(strstr(buf_str(&page), "\nbailiff_container_tasks{") != NULL, own);
                        (void)snprintf(file, sizeof(file), "%s/page", dir);
                        assert_int_equal(
                                fd_write_file_atomic(AT_FDCWD, file, page.data, page.len, 0600, false), 0);
                        (void)snprintf(command, sizeof(command), "promtool check metrics <%s", file);
                        if (classic && getenv("TEST_PROMTOOL"))
                                assert_int_equal(system(command), 0);
                        json_decref(status);
                        json_decref(usage);
                        json_decref(tenants);
                        json_decref(observed);
                }
        history_remove(b.guard, b.web, mono(&b), b.now);
        fetch(&b);
        {
                Pages p = { .config = &config, .collect = b.collect };
                _cleanup_buf_ Buf page = BUF_INIT;

                assert_int_equal(pages_metrics(&p, true, &page), 0);
                assert_null(strstr(buf_str(&page), "web.scope"));
        }
        bed_end(&b);
}

static void test_cadvisor_found(void **state) {
        static const struct {
                const char *status, *containers;
                bool found;
        } rows[] = {
                { "{}", "[]", false },
                { "{\"rivals\":[\"systemd-oomd.service\"]}", "[{\"image\":null,\"name\":\"web\"}]", false },
                { "{\"rivals\":[\"kubelet.service\"]}", "[]", true },
                { "{}", "[{\"image\":\"gcr.io/cadvisor/cadvisor:v0.47\"}]", true },
                { "{\"rivals\":5}", "{}", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *s = json_loads(rows[i].status, 0, NULL), *c = json_loads(rows[i].containers, 0, NULL);

                assert_int_equal(pages_find_cadvisor(s, c), rows[i].found);
                json_decref(s);
                json_decref(c);
        }
}

int main(void) {
#define TEST(f) cmocka_unit_test_teardown(f, clear)
        const struct CMUnitTest tests[] = {
                TEST(test_settings),
                TEST(test_wants),
                TEST(test_stream),
                TEST(test_no_file),
                TEST(test_taken_away),
                TEST(test_hostile_stream),
                TEST(test_tenants),
                TEST(test_tenants_come_and_go),
                TEST(test_api),
                TEST(test_page),
                TEST(test_cadvisor_found),
                TEST(test_described),
                TEST(test_conforms),
                TEST(test_queries),
                TEST(test_meanwhile),
                TEST(test_report),
                TEST(test_report_empty),
                TEST(test_slow),
                TEST(test_moved),
                TEST(test_locked),
                TEST(test_unanswered),
                TEST(test_scribe),
                TEST(test_thread),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
