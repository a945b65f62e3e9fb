/* SPDX-License-Identifier: Apache-2.0 */

/* Books from a history, and books as tables, CSV and OpenMetrics: numbers against ones that were worked out by hand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "history.h"
#include "openmetrics.h"
#include "screens.h"
#include "usage.h"

#define SEC USEC_PER_SEC
#define START (UINT64_C(1700000000) * SEC) /* realtime; monotonic then: 1000 s */
#define MIB (UINT64_C(1024) * 1024)

static json_t *fixture(const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        json_t *j;

        assert_non_null(copy);
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        j = json_loads(copy, 0, NULL);
        assert_non_null(j);
        return j;
}

static void has(const char *text, const char *part) {
        if (!strstr(text, part))
                print_error("no \"%s\" in:\n%s", part, text);
        assert_non_null(strstr(text, part));
}

static char *screen(const json_t *usage, UsageBy by, unsigned width) {
        char *text = NULL;
        size_t n;
        View v = { .utf8 = true, .width = width, .out = open_memstream(&text, &n) };

        assert_non_null(v.out);
        assert_int_equal(screen_usage(usage, by, &v), 0);
        assert_int_equal(fclose(v.out), 0);
        return text;
}

static const json_t *named(const json_t *list, const char *name) {
        const json_t *o;
        size_t i;

        json_array_foreach(list, i, o) if (STR_EQ(json_text(o, "name"), name)) return o;
        return NULL;
}

static uint64_t book(const json_t *o, const char *part, BookField f) {
        return json_number(json_member(o, part), book_info(f)->name);
}

/* ---- the history ---- */

typedef struct Story {
        History *h;
        uint32_t networked; /* index */
} Story;

static uint32_t subject(const Story *s, HistoryKind kind, uint64_t id, unsigned since, const char *tenant,
                        const char *name, const char *cgroup) {
        const HistoryWho who = { kind, id, START + since * SEC, tenant, name, cgroup };
        uint32_t index;

        assert_int_equal(history_add(s->h, &who, &index), 0);
        return index;
}

/* Somebody whose network is counted receives a byte for each ms of CPU time. */
static void look(const Story *s, uint32_t index, unsigned at, uint64_t cpu, uint64_t memory, uint64_t kills) {
        Sample sample = { .at = (1000 + at) * SEC };

        sample_put(&sample, SAMPLE_CPU_USAGE, cpu);
        sample_put(&sample, SAMPLE_MEMORY, memory);
        sample_put(&sample, SAMPLE_IO_RBYTES, cpu / 1000);
        if (index == s->networked)
                sample_put(&sample, SAMPLE_NET_RX_BYTES, cpu / 1000);
        sample_put(&sample, SAMPLE_EVENTS_OOM_KILL, kills);
        assert_int_equal(history_append(s->h, index, &sample, SAMPLE_ALL, START + at * SEC), 0);
}

static void gone(const Story *s, uint32_t index, unsigned at) {
        history_remove(s->h, index, (1000 + at) * SEC, START + at * SEC);
}

/* 200 s of three tenants' lives. */
static void tell(Buf *out) {
        Story s = {};
        uint32_t host, slice, web, db, old, job;

        assert_int_equal(history_new(7, HISTORY_BYTES_MAX, HISTORY_SPAN_USEC, &s.h), 0);
        host = subject(&s, HISTORY_HOST, 1, 0, "", "", "/");
        slice = subject(&s, HISTORY_SLICE, 2, 0, "acme", "", "/tenant.slice/tenant-acme.slice");
        web = subject(&s, HISTORY_CONTAINER, 3, 0, "acme", "web",
                      "/tenant.slice/tenant-acme.slice/docker-"
                      "1111111111111111111111111111111111111111111111111111111111111111.scope");
        s.networked = web;
        db = subject(&s, HISTORY_CONTAINER, 4, 0, "", "db\xff", "/system.slice/db.service");
        old = subject(&s, HISTORY_CONTAINER, 5, 0, "acme", "old",
                      "/tenant.slice/tenant-acme.slice/old.scope");
        for (unsigned t = 0; t <= 200; t++) {
                if (t % 10 == 0) {
                        look(&s, host, t, 8 * t * SEC, 4096 * MIB, 0);
                        look(&s, slice, t, 9000 * SEC + t * SEC * 3 / 2, 2048 * MIB, 0);
                        look(&s, web, t, 5000 * SEC + t * SEC, 1024 * MIB, 3);
                }
                if (t == 0 || t == 60 || t == 115)
                        look(&s, db, t, 77 * SEC, 512 * MIB, 0);
                if (t == 0 || t == 49)
                        look(&s, old, t, t * SEC, 64 * MIB, 0);
                if (t == 50)
                        gone(&s, old, t);
                if (t == 120) {
                        job = subject(&s, HISTORY_CONTAINER, 6, t, "acme", "job",
                                      "/tenant.slice/tenant-acme.slice/job.scope");
                        look(&s, job, 121, SEC / 5, 100 * MIB, 0);
                        look(&s, job, 130, 5 * SEC, 100 * MIB, 2);
                        gone(&s, job, 131);
                }
        }
        assert_int_equal(history_export(s.h, 0, 0, 1, START + 200 * SEC, 1200 * SEC, out), 0);
        (void)history_free(s.h);
}

static void test_history(void **state) {
        _cleanup_buf_ Buf data = BUF_INIT;
        const json_t *tenants, *containers, *o;
        UsageReach reach = {};
        json_t *usage = NULL;

        (void)state;
        tell(&data);
        assert_int_equal(usage_from_history(buf_str(&data), data.len, 100 * SEC, &usage, &reach), 0);
        assert_int_equal(json_number(usage, "from"), START + 100 * SEC);
        assert_int_equal(json_number(usage, "to"), START + 200 * SEC);
        assert_int_equal(json_number(usage, "asked"), 100 * SEC);
        tenants = json_member(usage, "tenants");
        containers = json_member(usage, "containers");
        assert_int_equal(json_array_size(tenants), 2);
        assert_int_equal(json_array_size(containers), 3); /* old ended before */

        o = named(containers, "web");
        assert_int_equal(book(o, "book", BOOK_CPU_USEC), 100 * SEC);
        assert_int_equal(book(o, "book", BOOK_IO_RBYTES), 100 * SEC / 1000);
        assert_int_equal(book(o, "book", BOOK_NET_RX_BYTES), 100 * SEC / 1000);
        assert_int_equal(book(o, "book", BOOK_MEMORY_KIB_SECONDS), 1024 * 1024 * 100);
        assert_int_equal(book(o, "book", BOOK_LIFE_USEC), 100 * SEC);
        assert_int_equal(book(o, "book", BOOK_OOM_KILLS), 0); /* those were before */
        assert_int_equal(book(o, "book", BOOK_STARTS), 0);
        assert_int_equal(json_number(o, "since"), START + 100 * SEC);
        assert_string_equal(json_text(o, "engine"), "docker");
        assert_string_equal(json_text(o, "id"),
                            "1111111111111111111111111111111111111111111111111111111111111111");
        assert_true(json_is_null(json_member(o, "ended")));

        /* Nobody looked from 115 on: what it held it holds. */
        o = named(containers, "db?");
        assert_non_null(o);
        assert_string_equal(json_text(o, "tenant"), "unassigned");
        assert_int_equal(book(o, "book", BOOK_CPU_USEC), 0);
        assert_int_equal(book(o, "book", BOOK_MEMORY_KIB_SECONDS), 512 * 1024 * 100);

        /* Its network is not counted: that is not none. */
        assert_null(json_member(json_member(o, "book"), "network_receive_bytes"));

        /* Born in the window: all that it used is its own. */
        o = named(containers, "job");
        assert_int_equal(book(o, "book", BOOK_CPU_USEC), 5 * SEC);
        assert_int_equal(book(o, "book", BOOK_MEMORY_KIB_SECONDS), 100 * 1024 * 9);
        assert_int_equal(book(o, "book", BOOK_OOM_KILLS), 2);
        assert_int_equal(book(o, "book", BOOK_STARTS), 1);
        assert_int_equal(book(o, "book", BOOK_ENDS), 1);
        assert_int_equal(book(o, "book", BOOK_UNSEEN_USEC), SEC);
        assert_int_equal(json_number(o, "ended"), START + 131 * SEC);
        assert_string_equal(json_text(o, "end"), "oom");

        /* The slice counted 150 s; 45 of them nobody else saw. */
        o = named(tenants, "acme");
        assert_int_equal(book(o, "book", BOOK_CPU_USEC), 150 * SEC);
        assert_int_equal(book(o, "live", BOOK_CPU_USEC), 100 * SEC);
        assert_int_equal(book(o, "ended", BOOK_CPU_USEC), 5 * SEC);
        assert_int_equal(book(o, "unseen", BOOK_CPU_USEC), 45 * SEC);
        assert_int_equal(book(o, "book", BOOK_NET_RX_BYTES), 100 * SEC / 1000);
        assert_int_equal(book(o, "book", BOOK_OOM_KILLS), 2);
        assert_int_equal(book(o, "book", BOOK_MEMORY_KIB_SECONDS), 1024 * 1024 * 100 + 100 * 1024 * 9);
        assert_int_equal(json_number(o, "containers"), 1);
        assert_int_equal(json_number(o, "slices"), 1);
        o = named(tenants, "unassigned");
        assert_int_equal(book(o, "book", BOOK_MEMORY_KIB_SECONDS), 512 * 1024 * 100);
        json_decref(usage);
}

/* What the history has not is refused, or, where it is little, told. */
static void test_reach(void **state) {
        static const struct {
                unsigned span; /* s */
                int result;
                unsigned covered;
        } rows[] = { { 1, 0, 1 },     { 100, 0, 100 }, { 200, 0, 200 }, { 202, 0, 200 },
                     { 220, 0, 200 }, { 223, 1, 0 },   { 600, 1, 0 },   { UINT32_MAX, 1, 0 } };
        _cleanup_buf_ Buf data = BUF_INIT, empty = BUF_INIT;
        UsageReach reach = {};
        json_t *usage = NULL;
        History *h = NULL;

        (void)state;
        tell(&data);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(
                        usage_from_history(buf_str(&data), data.len, rows[i].span * SEC, &usage, &reach),
                        rows[i].result);
                assert_int_equal(reach.from, START);
                assert_int_equal(reach.to, START + 200 * SEC);
                if (rows[i].result != 0)
                        continue;
                assert_int_equal(json_number(usage, "to") - json_number(usage, "from"),
                                 rows[i].covered * SEC);
                json_decref(usage);
        }
        assert_int_equal(history_new(7, HISTORY_BYTES_MAX, HISTORY_SPAN_USEC, &h), 0);
        assert_int_equal(history_export(h, 0, 0, 1, START, 1000 * SEC, &empty), 0);
        (void)history_free(h);
        assert_int_equal(usage_from_history(buf_str(&empty), empty.len, SEC, &usage, &reach), 1);
        assert_int_equal(reach.from, 0);
}

/* Any bytes: an answer or a refusal, no harm. */
static void test_damaged(void **state) {
        const char *given = getenv("SEED");
        unsigned seed = given ? (unsigned)atoi(given) : 20261125;
        _cleanup_buf_ Buf data = BUF_INIT;
        UsageReach reach;

        (void)state;
        print_message("seed %u\n", seed);
        tell(&data);
        assert_int_equal(usage_from_history("", 0, SEC, &(json_t *){ NULL }, &reach), -EBADMSG);
        for (int i = 0; i < 300; i++) {
                size_t len = i % 3 == 0 ? (size_t)rand_r(&seed) % data.len : data.len;
                _cleanup_free_ char *copy = malloc(len + 1);
                json_t *usage = NULL;
                int r;

                assert_non_null(copy);
                memcpy(copy, buf_str(&data), len);
                for (int k = 0; k < 4 && len > 0; k++)
                        copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
                r = usage_from_history(copy, len, 100 * SEC, &usage, &reach);
                assert_true(r <= 1);
                if (r == 0)
                        json_decref(usage);
        }
}

/* ---- screens ---- */

static const char books[] =
        "{'time':1700003600000000,'tenants':["
        "{'name':'zeta','since':1700000000000000,'containers':1,'slices':0,'book':{'cpu_usec':0}},"
        "{'name':'acme','since':1700000000000000,'containers':2,'slices':1,'book':{'cpu_usec':7200000000,"
        "'memory_kib_seconds':1887436800,'peak_memory_bytes':1610612736,'peak_memory_kind':'sampled',"
        "'io_read_bytes':1048576,'io_write_bytes':512,'network_receive_bytes':3145728,'network_transmit_"
        "bytes':0,"
        "'cpu_some_usec':61000000,'memory_some_usec':2000,"
        "'io_some_usec':0,'cpu_throttled_usec':3000000,'hits_memory_high':1,'hits_memory_max':2,"
        "'hits_tasks_max':3,'oom_kills':4,'starts':5,'ends':6},"
        "'live':{'cpu_usec':7199999999},'ended':{'cpu_usec':1},'unseen':{'cpu_usec':0}}],"
        "'containers':[{'name':'web','id':'1111','tenant':'acme','cgroup':'/"
        "a','cgroup_id':1,'engine':'docker',"
        "'since':1700000000000000,'ended':null,'end':null,'book':{'cpu_usec':900000000,'life_usec':"
        "1800000000,"
        "'peak_memory_bytes':1073741824,'peak_memory_kind':'reset','network_receive_bytes':7340032,"
        "'network_transmit_packets_dropped':3}},"
        "{'name':'plain','id':'2222','tenant':'acme','cgroup':'/c','cgroup_id':3,'engine':'docker',"
        "'since':1700000000000000,'ended':null,'end':null,'book':{'cpu_usec':1000000,'life_usec':1000000}},"
        "{'name':'evil\\u001b[2J,\\\"x\\ny','id':null,'tenant':'acme','cgroup':'/"
        "b','cgroup_id':2,'engine':'unit',"
        "'since':1700000000000000,'ended':1700000100000000,'end':'oom','book':{'cpu_usec':1,'life_usec':0}}]"
        "}";

static void test_screens(void **state) {
        json_t *usage = fixture(books);
        _cleanup_free_ char *tenants = screen(usage, USAGE_BY_TENANT, 0),
                            *containers = screen(usage, USAGE_BY_CONTAINER, 0);

        (void)state;
        assert_string_equal(tenants, "TENANT       CPU  MEAN  GIB-HOURS   PEAK  READ  WRITTEN  RECEIVED  "
                                     "SENT  CPU-STALL  MEM-STALL  IO-STALL  "
                                     "THROTTLED  HITS  OOM-KILLS  STARTS/ENDS\n"
                                     "acme          2h  200%       0.50  >1.5G  1.0M     512B      3.0M     "
                                     "0    1min 1s        2ms         0  "
                                     "       3s     6          4          5/6\n"
                                     "zeta           0    0%       0.00      -     0        0         -     "
                                     "-          0          0         0  "
                                     "        0     0          0          0/0\n"
                                     "all tenants   2h  200%       0.50      -  1.0M     512B      3.0M     "
                                     "0    1min 1s        2ms         0  "
                                     "       3s     6          4          5/6\n");
        has(containers,
            "NAME                 TENANT    CPU   MEAN  GIB-HOURS  PEAK  READ  WRITTEN  RECEIVED  SENT");
        has(containers, "OOM-KILLS  END\n");
        has(containers, "evil\\x1b[2J,\"x\\x0ay  acme      1us     0%");
        has(containers,
            "web                  acme    15min  50.0%       0.00  1.0G     0        0      7.0M     -");
        has(containers,
            "plain                acme       1s   100%       0.00     -     0        0         -     -");
        json_decref(usage);
}

/* No wider than asked for; what is left out is said. */
static void test_widths(void **state) {
        static const struct {
                unsigned width;
                bool left_out;
        } rows[] = { { 40, true }, { 80, true }, { 200, false } };
        json_t *usage = fixture(books);

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (UsageBy by = USAGE_BY_TENANT; by <= USAGE_BY_CONTAINER; by++) {
                        _cleanup_free_ char *text = screen(usage, by, rows[i].width);

                        assert_int_equal(strstr(text, " more columns with --full)\n") != NULL,
                                         rows[i].left_out);
                        for (char *line = text, *next = text; *line; line = next) {
                                next = strchr(line, '\n') + 1;
                                next[-1] = '\0';
                                assert_true(text_width(line) <= rows[i].width);
                        }
                }
        json_decref(usage);
}

static void test_since(void **state) {
        json_t *usage = fixture("{'time':1700000200000000,'from':1700000000000000,'to':1700000200000000,"
                                "'asked':220000000,'tenants':[]}"),
               *odd = fixture("{'tenants':[{},7,null,{'book':3,'since':'x'}],'containers':3}");
        _cleanup_free_ char *text = screen(usage, USAGE_BY_TENANT, 0), *a = screen(odd, USAGE_BY_TENANT, 0),
                            *b = screen(odd, USAGE_BY_CONTAINER, 0);

        (void)state;
        has(text, ": 3min 20s, all that is kept of 3min 40s\n");
        has(text, "no tenant has books\n");
        has(a, "all tenants");
        assert_string_equal(b, "no container has books\n");
        json_decref(odd);
        json_decref(usage);
}

/* ---- CSV ---- */

static void test_csv(void **state) {
        json_t *usage = fixture(books);
        _cleanup_buf_ Buf t = BUF_INIT, c = BUF_INIT;
        size_t commas = 0;

        (void)state;
        assert_int_equal(usage_csv(usage, USAGE_BY_TENANT, &t), 0);
        has(buf_str(&t), "tenant,since_usec,containers,slices,cpu_usec,");
        has(buf_str(&t), ",peak_memory_bytes,");
        has(buf_str(&t), "\r\nacme,1700000000000000,2,1,7200000000,");
        has(buf_str(&t), ",sampled\r\nzeta,1700000000000000,1,0,0,,");
        for (const char *p = buf_str(&t); *p != '\r'; p++)
                commas += *p == ',';
        assert_int_equal(commas, 3 + _BOOK_MAX);

        assert_int_equal(usage_csv(usage, USAGE_BY_CONTAINER, &c), 0);
        has(buf_str(&c), "name,id,tenant,cgroup,engine,since_usec,ended_usec,end,cpu_usec,");
        has(buf_str(&c), "\r\nweb,1111,acme,/a,docker,1700000000000000,,,900000000,");
        has(buf_str(&c),
            "\r\n\"evil\\x1b[2J,\"\"x\ny\",,acme,/b,unit,1700000000000000,1700000100000000,oom,1,");
        json_decref(usage);
}

static void test_csv_text(void **state) {
        static const struct {
                const char *text, *csv;
        } rows[] = {
                { "", "" },
                { "acme", "acme" },
                { "a-b+c=d@e", "a-b+c=d@e" },
                { " a", "\" a\"" },
                { "a,\"b\"", "\"a,\"\"b\"\"\"" },
                { "=1+1", "'=1+1" },
                { "+1", "'+1" },
                { "-1", "'-1" },
                { "@SUM(A1),2", "\"'@SUM(A1),2\"" },
                { "\t=1", "\\x09=1" },
                { "\x1b]0;x\x07", "\\x1b]0;x\\x07" },
                { "a\r\nb", "\"a\\x0d\nb\"" },
                { "\xff", "\\xff" },
                { "t\xc3\xa9l", "t\xc3\xa9l" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf b = BUF_INIT;

                csv_text(&b, rows[i].text);
                assert_string_equal(buf_str(&b), rows[i].csv);
        }
}

/* ---- OpenMetrics ---- */

/* What a scraper checks: TYPE before its samples and once, names in order, each sample of the family above it, the end. */
static void check_metrics(char *text, size_t *ret_samples) {
        char family[256] = "", type[32] = "", *line = text, *next = text;
        bool helped = false;

        *ret_samples = 0;
        for (; *line; line = next) {
                size_t n = strlen(family);
                const char *suffix;

                next = strchr(line, '\n');
                assert_non_null(next);
                *next++ = '\0';
                if (STR_EQ(line, "# EOF"))
                        break;
                if (strncmp(line, "# TYPE ", 7) == 0) {
                        char *space = strrchr(line, ' ');

                        *space = '\0';
                        assert_true(strcmp(line + 7, family) > 0);
                        (void)snprintf(family, sizeof(family), "%s", line + 7);
                        (void)snprintf(type, sizeof(type), "%s", space + 1);
                        helped = false;
                        continue;
                }
                if (strncmp(line, "# UNIT ", 7) == 0) {
                        assert_int_equal(strncmp(line + 7, family, n), 0);
                        assert_true(strlen(family) > strlen(line + 8 + n));
                        assert_string_equal(family + n - strlen(line + 8 + n), line + 8 + n);
                        continue;
                }
                if (strncmp(line, "# HELP ", 7) == 0) {
                        assert_int_equal(strncmp(line + 7, family, n), 0);
                        assert_true(strlen(line) > 9 + n);
                        helped = true;
                        continue;
                }
                assert_int_equal(strncmp(line, family, n), 0);
                suffix = STR_EQ(type, "counter") ? "_total" : "";
                assert_int_equal(strncmp(line + n, suffix, strlen(suffix)), 0);
                assert_true(line[n + strlen(suffix)] == '{' || line[n + strlen(suffix)] == ' ');
                assert_true(helped);
                (*ret_samples)++;
        }
        assert_string_equal(line, "# EOF");
        assert_int_equal(*next, '\0');
}

static const char status[] =
        "{'version':'0.1.0','loop':{'rss_bytes':4194304,'cpu_usec':1500000,'kernel_bytes':2097152,'beats':77,"
        "'late_usec':{'last':1,'p50':120,'p99':2500,'max':40000}},'sampling':{'hot':2,'cold':5,'kept_fds':20,"
        "'fd_failures':0,'history':{'bytes':1048576},'books':{'damaged':1}}}";

static void test_openmetrics(void **state) {
        json_t *usage = fixture(books), *s = fixture(status), *web;
        _cleanup_buf_ Buf out = BUF_INIT;
        size_t n;

        (void)state;
        /* one that ended under the same name: only who runs has series */
        web = json_deep_copy(json_array_get(json_object_get(usage, "containers"), 0));
        (void)json_object_set_new(web, "ended", json_integer(1700000000000001));
        (void)json_array_append_new(json_object_get(usage, "containers"), web);
        assert_int_equal(usage_openmetrics(usage, s, &out), 0);
        has(buf_str(&out), "# TYPE bailiff_tenant_cpu_seconds counter\n"
                           "# UNIT bailiff_tenant_cpu_seconds seconds\n"
                           "# HELP bailiff_tenant_cpu_seconds CPU time used.\n"
                           "bailiff_tenant_cpu_seconds_total{tenant=\"acme\"} 7200\n"
                           "bailiff_tenant_cpu_seconds_total{tenant=\"zeta\"} 0\n");
        has(buf_str(&out),
            "bailiff_container_cpu_seconds_total{tenant=\"acme\",name=\"web\",id=\"1111\"} 900\n");
        has(buf_str(&out), "# TYPE bailiff_tenant_memory_peak_bytes gauge\n"
                           "# UNIT bailiff_tenant_memory_peak_bytes bytes\n");
        has(buf_str(&out), "bailiff_tenant_memory_peak_bytes{tenant=\"acme\"} 1610612736\n");
        has(buf_str(&out), "bailiff_tenant_memory_byte_seconds_total{tenant=\"acme\"} 1932735283200\n");
        has(buf_str(&out),
            "# TYPE container_network_receive_bytes counter\n"
            "# UNIT container_network_receive_bytes bytes\n"
            "# HELP container_network_receive_bytes Bytes received.\n"
            "container_network_receive_bytes_total{tenant=\"acme\",name=\"web\",id=\"1111\"} 7340032\n");
        has(buf_str(&out),
            "container_network_transmit_packets_dropped_total{tenant=\"acme\",name=\"web\",id=\"1111\"} 3\n");
        has(buf_str(&out), "bailiff_tenant_network_receive_bytes_total{tenant=\"acme\"} 3145728\n");
        /* What is not counted has no series. */
        assert_null(strstr(buf_str(&out), "name=\"plain\",id=\"2222\"} 0"));
        assert_null(strstr(buf_str(&out), "container_network_receive_errors"));
        assert_null(strstr(buf_str(&out), "bailiff_container_network"));
        has(buf_str(&out), "bailiff_guard_build_info{version=\"0.1.0\"} 1\n");
        has(buf_str(&out), "# TYPE bailiff_guard_beat_lateness_seconds summary\n"
                           "# UNIT bailiff_guard_beat_lateness_seconds seconds\n"
                           "# HELP bailiff_guard_beat_lateness_seconds How late the guard's beats came.\n"
                           "bailiff_guard_beat_lateness_seconds{quantile=\"0.5\"} 0.00012\n"
                           "bailiff_guard_beat_lateness_seconds{quantile=\"0.99\"} 0.0025\n"
                           "bailiff_guard_beat_lateness_seconds{quantile=\"1.0\"} 0.04\n"
                           "# TYPE bailiff_guard_beats counter\n");
        has(buf_str(&out), "bailiff_guard_cpu_seconds_total 1.5\n");
        has(buf_str(&out), "bailiff_guard_damaged_books 1\n");
        has(buf_str(&out), "bailiff_guard_sampled_containers{tier=\"cold\"} 5\n"
                           "bailiff_guard_sampled_containers{tier=\"hot\"} 2\n");
        assert_null(strstr(buf_str(&out), "evil"));
        check_metrics(out.data, &n);
        assert_true(n > 30);
        json_decref(usage);
        json_decref(s);
}

/* A thousand with every field; names that want to be more than names; odd answers. */
static void test_openmetrics_many(void **state) {
        static const char *const odd[] = { "{}", "{'tenants':[7,{},{'name':3}],'containers':[{},null]}" };
        json_t *list = json_array(), *usage;
        _cleanup_buf_ Buf out = BUF_INIT;
        const Book b = {};
        size_t n;

        (void)state;
        for (int i = 0; i < 1000; i++)
                (void)json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o}", "name",
                                                            json_sprintf("c\n# EOF\n%d\"} 1", i % 100),
                                                            "tenant", json_sprintf("t-%d\\", i % 7), "cgroup",
                                                            json_sprintf("/x/%d", i), "book",
                                                            usage_book_to_json(&b)));
        usage = json_pack("{s:o}", "containers", list);
        assert_int_equal(usage_openmetrics(usage, NULL, &out), 0);
        check_metrics(out.data, &n);
        assert_int_equal(n, 1000 * (_BOOK_MAX - 1));
        json_decref(usage);
        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                _cleanup_buf_ Buf text = BUF_INIT, csv = BUF_INIT;
                json_t *j = fixture(odd[i]);

                assert_int_equal(usage_openmetrics(j, j, &text), 0);
                check_metrics(text.data, &n);
                assert_int_equal(usage_csv(j, USAGE_BY_CONTAINER, &csv), 0);
                json_decref(j);
        }
}

/* ---- reports ---- */

static const char report[] =
        "{'from': 1700000000000000, 'to': 1700086400000000, 'asked': 604800000000, 'time': 1700086400000000,"
        " 'hosts': [{'name': 'web7', 'coverage_permyriad': 8000}], 'incidents_all': 31,"
        " 'incidents': [{'id': 7, 'opened': 1700000100000000, 'tenant': 'acme', 'container': 'web', 'rung': "
        "'kill'}],"
        " 'tenants': [{'name': 'acme,\\u001b[31m', 'host': 'web7', 'cpu_share_permyriad': 7500,"
        " 'memory_share_permyriad': 10, 'acts': {'throttle': 3, 'notify': 9}, 'would': {'kill': 1},"
        " 'book': {'cpu_usec': 5400000000, 'memory_kib_seconds': 7549747200, 'oom_kills': 2, "
        "'io_read_bytes': 2048},"
        " 'stats': {'cpu_permyriad': {'mean': 100, 'p95': 4000, 'max': 12500}, 'memory_bytes': {'mean': 1, "
        "'p95':"
        " 1048576, 'max': 2097152}}, 'ceilings': [{'time': 1, 'cpu_permyriad': 1, 'memory_bytes': 1}, "
        "{'time': 2,"
        " 'cpu_permyriad': 15000, 'memory_bytes': null}]}, {'name': 'bare'}, 5]}";

static char *report_screen(const json_t *j, unsigned width) {
        char *text = NULL;
        size_t n;
        View v = { .utf8 = true, .width = width, .out = open_memstream(&text, &n) };

        assert_non_null(v.out);
        assert_int_equal(screen_report(j, &v, 1700086400000000), 0);
        assert_int_equal(fclose(v.out), 0);
        return text;
}

static void test_report(void **state) {
        static const char *const shown[] = {
                "all that is kept of 1w",
                "web7: only 80.0% of this time is known",
                "acme,\\x1b[31m  ",
                "  1.50  75.0%     0.40/1.25     1.50       2.00       1.0M/2.0M        -  2.0K",
                "throttle:3 would-kill:1",
                "and 21 before those",
        };
        static const char *const narrow[] = { "TENANT", "CPU-HOURS", "columns" };
        json_t *j = fixture(report), *none = fixture("{'tenants': []}");
        _cleanup_free_ char *wide = report_screen(j, 0), *small = report_screen(j, 60),
                            *empty = report_screen(none, 80);
        _cleanup_buf_ Buf csv = BUF_INIT;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
                has(wide, shown[i]);
        for (size_t i = 0; i < ARRAY_SIZE(narrow); i++)
                has(small, narrow[i]);
        has(empty, "nothing is known of any tenant");
        assert_int_equal(report_csv(j, &csv), 0);
        has(buf_str(&csv), "host,tenant,from_usec,to_usec,");
        has(buf_str(&csv),
            "\r\nweb7,\"acme,\\x1b[31m\",1700000000000000,1700086400000000,7500,10,100,4000,12500,15000,1,"
            "1048576,2097152,,3,0,0,0,0,0,0,1,5400000000,");
        has(buf_str(&csv), "\r\n,bare,1700000000000000,1700086400000000,,,");
        /* As many fields in each line. */
        for (const char *p = buf_str(&csv); *p; p = strstr(p, "\r\n") + 2) {
                size_t n = 0;

                for (const char *q = p; *q != '\r'; q++)
                        n += *q == ',';
                assert_int_equal(n - (strncmp(p, "web7", 4) == 0), 21 + _BOOK_MAX - 1);
        }
        json_decref(j);
        json_decref(none);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_history),     cmocka_unit_test(test_reach),
                cmocka_unit_test(test_damaged),     cmocka_unit_test(test_screens),
                cmocka_unit_test(test_widths),      cmocka_unit_test(test_since),
                cmocka_unit_test(test_csv),         cmocka_unit_test(test_csv_text),
                cmocka_unit_test(test_openmetrics), cmocka_unit_test(test_openmetrics_many),
                cmocka_unit_test(test_report),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
