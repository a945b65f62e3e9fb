/* SPDX-License-Identifier: Apache-2.0 */

/* `top` without a terminal: streams of a history in, rows and screens out. */

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "history.h"
#include "screens.h"
#include "top-screen.h"

#define SEC USEC_PER_SEC
#define START (UINT64_C(1700000000) * SEC)
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

/* ---- a guard ---- */

typedef struct Guard {
        History *h;
        uint64_t instance;
        unsigned now; /* s */
        uint32_t host, slice, web, db, shop;
} Guard;

static uint32_t subject(Guard *g, HistoryKind kind, uint64_t id, const char *tenant, const char *name,
                        const char *cgroup) {
        const HistoryWho who = { kind, id, START, tenant, name, cgroup };
        uint32_t index;

        assert_int_equal(history_add(g->h, &who, &index), 0);
        return index;
}

static void guard_open(Guard *g, uint64_t instance) {
        *g = (Guard){ .instance = instance };
        assert_int_equal(history_new(instance, HISTORY_BYTES_MAX, HISTORY_SPAN_USEC, &g->h), 0);
        g->host = subject(g, HISTORY_HOST, 1, "", "", "/");
        g->slice = subject(g, HISTORY_SLICE, 2, "acme", "", "/t.slice/t-acme.slice");
        g->web = subject(g, HISTORY_CONTAINER, 3, "acme", "web", "/t.slice/t-acme.slice/web.scope");
        g->db = subject(g, HISTORY_CONTAINER, 4, "acme", "db", "/t.slice/t-acme.slice/db.scope");
        g->shop = subject(g, HISTORY_CONTAINER, 5, "", "shop", "/system.slice/shop.scope");
}

typedef struct Use {
        uint64_t cpu, memory, read, write, cpu_some, memory_some, io_some, tasks;
} Use;

#define NOBODY UINT32_MAX

static void look(Guard *g, uint32_t index, const Use *u) {
        Sample s = { .at = (1000 + g->now) * SEC };

        if (index == NOBODY)
                return;
        sample_put(&s, SAMPLE_CPU_USAGE, u->cpu);
        sample_put(&s, SAMPLE_MEMORY, u->memory);
        sample_put(&s, SAMPLE_IO_RBYTES, u->read);
        sample_put(&s, SAMPLE_IO_WBYTES, u->write);
        sample_put(&s, SAMPLE_CPU_SOME, u->cpu_some);
        sample_put(&s, SAMPLE_MEMORY_SOME, u->memory_some);
        sample_put(&s, SAMPLE_IO_SOME, u->io_some);
        sample_put(&s, SAMPLE_PIDS, u->tasks);
        if (index == g->web) {
                sample_put(&s, SAMPLE_NET_RX_BYTES, g->now * MIB);
                sample_put(&s, SAMPLE_NET_TX_BYTES, g->now * 2 * MIB);
        }
        if (index == g->host) {
                sample_put(&s, SAMPLE_HOST_MEMORY_TOTAL, 16384 * MIB);
                sample_put(&s, SAMPLE_HOST_SWAP_TOTAL, 2048 * MIB);
                sample_put(&s, SAMPLE_SWAP, 512 * MIB);
        }
        assert_int_equal(history_append(g->h, index, &s, SAMPLE_ALL, START + g->now * SEC), 0);
}

/* A second of the same: web waits for IO, db uses half a CPU, shop nothing; the slice has 10 % more that is nobody's. */
static void second(Guard *g) {
        unsigned t = ++g->now;

        look(g, g->host,
             &(Use){ .cpu = t * SEC * 2,
                     .memory = 4096 * MIB,
                     .read = t * 10 * MIB,
                     .cpu_some = t * SEC / 8,
                     .io_some = t * SEC / 4 });
        look(g, g->slice,
             &(Use){ .cpu = t * SEC * 85 / 100,
                     .memory = 800 * MIB,
                     .read = t * 3 * MIB,
                     .cpu_some = t * SEC / 100,
                     .io_some = t * SEC / 5,
                     .tasks = 31 });
        look(g, g->web,
             &(Use){ .cpu = t * SEC / 4,
                     .memory = 256 * MIB,
                     .read = t * 3 * MIB,
                     .tasks = 10,
                     .cpu_some = t * SEC / 100,
                     .io_some = t * SEC * 45 / 100 });
        look(g, g->db, &(Use){ .cpu = t * SEC / 2, .memory = 512 * MIB, .tasks = 20 });
        look(g, g->shop, &(Use){ .memory = 64 * MIB, .tasks = 1 });
}

static void feed(const Guard *g, TopModel *m) {
        _cleanup_buf_ Buf data = BUF_INIT;

        assert_int_equal(history_export(g->h, top_model_instance(m), top_model_cursor(m), 1,
                                        START + g->now * SEC, (1000 + g->now) * SEC, &data),
                         0);
        assert_int_equal(top_model_feed(m, buf_str(&data), data.len), 0);
        assert_int_equal(top_model_refresh(m), 0);
}

static void end(Guard *g, uint32_t *index) {
        history_remove(g->h, *index, (1000 + g->now) * SEC, START + g->now * SEC);
        *index = NOBODY;
}

static void guard_close(Guard *g) { g->h = history_free(g->h); }

/* "acme web db shop": what the rows show, tenants with their colon. */
static void rows_are(const TopModel *m, const char *expected) {
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t n;
        const TopRow *rows = top_model_rows(m, &n);

        for (size_t i = 0; i < n; i++)
                buf_printf(&b, "%s%s%s", i > 0 ? " " : "", rows[i].name, rows[i].is_tenant ? ":" : "");
        assert_string_equal(buf_str(&b), expected);
}

static const TopRow *row(const TopModel *m, const char *name) {
        size_t n;
        const TopRow *rows = top_model_rows(m, &n);

        for (size_t i = 0; i < n; i++)
                if (STR_EQ(rows[i].name, name))
                        return &rows[i];
        fail_msg("no row %s", name);
        return NULL;
}

static TopModel *model(Guard *g) {
        TopModel *m = top_model_new();

        assert_non_null(m);
        guard_open(g, 7);
        for (int i = 0; i < 3; i++)
                second(g);
        feed(g, m);
        return m;
}

/* ---- numbers ---- */

static void test_numbers(void **state) {
        json_t *containers = fixture("[{'cgroup_id':3,'name':'web','tenant':'acme','cgroup':'/x','limits':["
                                     "{'limit':'CPUQuota','actual':500000},{'limit':'MemoryMax','actual':"
                                     "536870912},{'limit':'TasksMax','actual':null}]},"
                                     "{'cgroup_id':5,'name':'shop','tenant':'mall','cgroup':'/y','requested':"
                                     "[{'limit':'MemoryMax','value':67108864}]},7,{}]"),
               *tenants =
                       fixture("[{'name':'acme','limits':[{'limit':'MemoryMax','value':1073741824}]},{},3]"),
               *status = fixture("{'host':{'cpus':4},'sampling':{'hot':2,'cold':1}}");
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        const TopHost *host;
        const TopRow *r;
        Guard g;

        (void)state;
        m = model(&g);
        rows_are(m, "acme: db web unassigned: shop");
        r = row(m, "web");
        assert_int_equal(r->cgroup_id, 3);
        assert_int_equal(r->numbers.v[TOP_CPU], 2500);
        assert_int_equal(r->numbers.v[TOP_MEMORY], 256 * MIB);
        assert_int_equal(r->numbers.v[TOP_READ], 3 * MIB);
        assert_int_equal(r->numbers.v[TOP_IO_SOME], 4500);
        assert_int_equal(r->numbers.v[TOP_TASKS], 10);
        assert_false(top_has(&r->numbers, TOP_MEMORY_MAX));
        assert_false(top_has(&r->numbers, TOP_THROTTLED));
        /* The tenant: its slice, which has more than its containers; of waiting, its worst is its slice's. */
        r = row(m, "acme");
        assert_int_equal(r->n_containers, 2);
        assert_int_equal(r->numbers.v[TOP_CPU], 8500);
        assert_int_equal(r->numbers.v[TOP_MEMORY], 800 * MIB);
        assert_int_equal(r->numbers.v[TOP_IO_SOME], 2000);
        assert_int_equal(r->numbers.v[TOP_TASKS], 31);
        host = top_model_host(m);
        assert_int_equal(host->numbers.v[TOP_CPU], 20000);
        assert_int_equal(host->n_containers, 3);
        assert_int_equal(host->newest, START + 3 * SEC);

        assert_int_equal(top_model_set_objects(m, containers, tenants, status), 0);
        assert_int_equal(top_model_refresh(m), 0);
        rows_are(m, "acme: db web mall: shop"); /* the guard's word on whose it is */
        r = row(m, "web");
        assert_int_equal(r->numbers.v[TOP_CPU_MAX], 5000);
        assert_int_equal(r->numbers.v[TOP_MEMORY_MAX], 512 * MIB);
        assert_false(top_has(&r->numbers, TOP_TASKS_MAX));
        assert_int_equal(row(m, "shop")->numbers.v[TOP_MEMORY_MAX], 64 * MIB);
        assert_int_equal(row(m, "acme")->numbers.v[TOP_MEMORY_MAX], 1024 * MIB);
        assert_int_equal(host->numbers.v[TOP_CPU_MAX], 40000);
        assert_int_equal(host->hot, 2);
        guard_close(&g);
        json_decref(containers);
        json_decref(tenants);
        json_decref(status);
}

/*
 * A cold one's memory pressure is read once a minute, its CPU each ten seconds: a stall of 6 s in a minute is 10 %
 * and not the 60 % of the last ten seconds.
 */
static void test_cold(void **state) {
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Use u = { .memory = MIB, .tasks = 1 };
        Guard g;

        (void)state;
        m = model(&g);
        for (int i = 0; i < 6; i++) {
                g.now += 10;
                u.cpu += SEC;
                if (i == 5)
                        u.memory_some = 6 * SEC;
                look(&g, g.shop, &u);
                feed(&g, m);
                assert_int_equal(row(m, "shop")->numbers.v[TOP_CPU], 1000);
                assert_int_equal(row(m, "shop")->numbers.v[TOP_MEMORY_SOME], i < 5 ? 0 : 1000);
        }
        /* hot again: the next second is a second */
        g.now += 1;
        u.memory_some += SEC / 2;
        look(&g, g.shop, &u);
        feed(&g, m);
        assert_int_equal(row(m, "shop")->numbers.v[TOP_MEMORY_SOME], 5000);
        /* a counter that went back has no rate until it is seen twice */
        g.now += 1;
        u.cpu = 5;
        look(&g, g.shop, &u);
        feed(&g, m);
        assert_false(top_has(&row(m, "shop")->numbers, TOP_CPU));
        guard_close(&g);
}

static void test_lives(void **state) {
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g, other;

        (void)state;
        m = model(&g);
        end(&g, &g.web);
        feed(&g, m);
        rows_are(m, "acme: db unassigned: shop");
        guard_close(&g);

        /* Another guard: indices are other ones'. */
        guard_open(&other, 8);
        other.now = 100;
        end(&other, &other.db);
        second(&other);
        feed(&other, m);
        rows_are(m, "acme: web unassigned: shop");
        assert_false(top_has(&row(m, "web")->numbers, TOP_CPU)); /* one look is no rate */
        assert_int_equal(top_model_instance(m), 8);

        /* What is no stream is refused, and all begins anew. */
        assert_int_equal(top_model_feed(m, "x", 1), -EBADMSG);
        assert_int_equal(top_model_refresh(m), 0);
        rows_are(m, "");
        assert_int_equal(top_model_cursor(m), 0);
        feed(&other, m);
        rows_are(m, "acme: web unassigned: shop");
        guard_close(&other);
}

/* Any bytes: rows or none, no harm, and the next good stream is read. */
static void test_damaged(void **state) {
        const char *given = getenv("SEED");
        unsigned seed = given ? (unsigned)atoi(given) : 20261125;
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        _cleanup_buf_ Buf data = BUF_INIT;
        Guard g;

        (void)state;
        print_message("seed %u\n", seed);
        m = model(&g);
        assert_int_equal(history_export(g.h, 0, 0, 1, START + 3 * SEC, 1003 * SEC, &data), 0);
        for (int i = 0; i < 300; i++) {
                size_t len = i % 3 == 0 ? (size_t)rand_r(&seed) % data.len : data.len;
                _cleanup_free_ char *copy = malloc(len + 1);

                assert_non_null(copy);
                memcpy(copy, buf_str(&data), len);
                for (int k = 0; k < 4 && len > 0; k++)
                        copy[(size_t)rand_r(&seed) % len] = (char)rand_r(&seed);
                if (top_model_feed(m, copy, len) < 0)
                        assert_int_equal(top_model_cursor(m), 0);
                assert_int_equal(top_model_refresh(m), 0);
                json_decref(top_model_to_json(m));
        }
        assert_int_equal(top_model_feed(m, "x", 1), -EBADMSG);
        feed(&g, m);
        rows_are(m, "acme: db web unassigned: shop");
        guard_close(&g);
}

/* ---- keys ---- */

static void test_sort(void **state) {
        static const struct {
                TopSort sort;
                const char *rows, *reversed;
        } rows[] = {
                { TOP_SORT_CPU, "acme: db web unassigned: shop", "unassigned: shop acme: web db" },
                { TOP_SORT_MEMORY, "acme: db web unassigned: shop", "unassigned: shop acme: web db" },
                { TOP_SORT_IO, "acme: web db unassigned: shop", "unassigned: shop acme: db web" },
                { TOP_SORT_PRESSURE, "acme: web db unassigned: shop", "unassigned: shop acme: db web" },
                { TOP_SORT_TASKS, "acme: db web unassigned: shop", "unassigned: shop acme: web db" },
                { TOP_SORT_NAME, "acme: db web unassigned: shop", "unassigned: shop acme: web db" },
        };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                top_model_sort(m, rows[i].sort);
                assert_int_equal(top_model_refresh(m), 0);
                rows_are(m, rows[i].rows);
                top_model_reverse(m);
                assert_int_equal(top_model_refresh(m), 0);
                rows_are(m, rows[i].reversed);
                top_model_reverse(m);
        }
        guard_close(&g);
}

static const char *under_cursor(const TopModel *m) {
        size_t n;
        const TopRow *rows = top_model_rows(m, &n);

        return n > 0 ? rows[top_model_cursor_row(m)].name : "";
}

static void test_cursor(void **state) {
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        assert_string_equal(under_cursor(m), "acme");
        top_model_move(m, -5);
        assert_string_equal(under_cursor(m), "acme");
        top_model_move(m, 2);
        assert_string_equal(under_cursor(m), "web");
        top_model_reverse(m); /* it stays on what it is on */
        assert_int_equal(top_model_refresh(m), 0);
        assert_string_equal(under_cursor(m), "web");
        assert_int_equal(top_model_cursor_row(m), 3);
        top_model_reverse(m);
        top_model_fold(m); /* of the tenant that it is in, and goes there */
        assert_int_equal(top_model_refresh(m), 0);
        rows_are(m, "acme: unassigned: shop");
        assert_string_equal(under_cursor(m), "acme");
        top_model_move(m, LONG_MAX);
        assert_string_equal(under_cursor(m), "shop");
        top_model_move(m, -LONG_MAX);
        second(&g);
        feed(&g, m); /* folded is folded */
        rows_are(m, "acme: unassigned: shop");
        top_model_fold(m);
        assert_int_equal(top_model_refresh(m), 0);
        rows_are(m, "acme: db web unassigned: shop");
        /* What it is on ends: it stays in its line. */
        top_model_move(m, 2);
        end(&g, &g.web);
        feed(&g, m);
        assert_string_equal(under_cursor(m), "unassigned");
        guard_close(&g);
}

static void test_filter(void **state) {
        static const struct {
                const char *text, *rows;
        } rows[] = {
                { "", "acme: db web unassigned: shop" },
                { "WEB", "acme: web" },
                { "acm", "acme: db web" },
                { "s", "unassigned: shop" },
                { "zzz", "" },
                { "\xff", "" },
        };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(top_model_filter(m, rows[i].text), 0);
                assert_int_equal(top_model_refresh(m), 0);
                rows_are(m, rows[i].rows);
                top_model_move(m, 3);
                top_model_fold(m);
                top_model_fold(m);
        }
        guard_close(&g);
}

static void test_json(void **state) {
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        const json_t *acme, *web;
        json_t *j;
        Guard g;

        (void)state;
        m = model(&g);
        assert_int_equal(top_model_filter(m, "shop"), 0); /* is for people */
        assert_int_equal(top_model_refresh(m), 0);
        j = top_model_to_json(m);
        assert_non_null(j);
        assert_int_equal(json_number(j, "time"), START + 3 * SEC);
        assert_int_equal(json_number(json_member(j, "host"), "cpu_permyriad"), 20000);
        acme = json_array_get(json_member(j, "tenants"), 0);
        assert_string_equal(json_text(acme, "name"), "acme");
        assert_int_equal(json_number(acme, "memory_bytes"), 800 * MIB);
        web = json_array_get(json_member(acme, "containers"), 1);
        assert_string_equal(json_text(web, "name"), "web");
        assert_int_equal(json_number(web, "io_some_permyriad"), 4500);
        assert_int_equal(json_number(web, "cgroup_id"), 3);
        assert_false(json_has(web, "memory_max_bytes"));
        json_decref(j);
        guard_close(&g);
}

/* ---- screens ---- */

/* Of GetProcesses(). */
#define ANSWER(rest)                                                                                    \
        "{'processes':[{'pid':1501,'comm':'hog','threads':16,'span_cpu_usec':250000,'rss_bytes':"       \
        "1048576,'delays':{'cpu_usec':500000}},{'pid':4194304,'comm':'a\\u001b[31m\u65e5\\n',"          \
        "'threads':1,'span_cpu_usec':0,'rss_bytes':0,'delays':{'io_usec':4000}}],'looked_at':12,'span_" \
        "usec':500000" rest "}"

/* All lines; each is checked to be as wide as it says, and no wider than the screen. */
static char *render(const TopModel *m, const TopState *state, unsigned width, unsigned height, bool utf8) {
        TopScreen s = {};
        Buf out = BUF_INIT;
        size_t first = 0;
        char *text;

        assert_int_equal(top_screen_render(&s, m, state, width, height, utf8, &first), 0);
        assert_true(state->no_keys || s.n <= height);
        for (size_t i = 0; i < s.n; i++) {
                const char *line = buf_str(&s.lines[i].text);
                size_t bytes = 0;

                for (size_t k = 0; k < s.lines[i].n; k++)
                        bytes += s.lines[i].pieces[k].len;
                assert_int_equal(bytes, s.lines[i].text.len);
                assert_int_equal(text_width(line), s.lines[i].width);
                assert_true(s.lines[i].width <= width);
                for (const char *c = line; *c; c++) {
                        assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
                        assert_true(utf8 || (unsigned char)*c < 0x80);
                }
                buf_puts(&out, line);
                while (out.len > 0 && out.data[out.len - 1] == ' ')
                        out.data[--out.len] = '\0';
                buf_putc(&out, '\n');
        }
        text = buf_steal(&out);
        top_screen_deinit(&s);
        return text ? text : strdup("");
}

static void test_screen(void **state) {
        json_t *containers = fixture("[{'cgroup_id':3,'name':'web','tenant':'acme','cgroup':'/x','limits':["
                                     "{'limit':'CPUQuota','actual':500000},{'limit':'MemoryMax','actual':"
                                     "536870912}]}]"),
               *status = fixture("{'host':{'cpus':4},'sampling':{'hot':2,'cold':1}}");
        const TopState now = { .age = 1200000 };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        _cleanup_free_ char *screen = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        assert_int_equal(top_model_set_objects(m, containers, NULL, status), 0);
        assert_int_equal(top_model_refresh(m), 0);
        screen = render(m, &now, 80, 24, false);
        assert_string_equal(
                screen, "bailiff: 2 tenants, 3 containers (2 hot, 1 cold), data 1s old\n"
                        "CPU  ||||||||||.......... 50.0% of 4 CPUs  waiting: some 12.5%\n"
                        "Mem  |||||............... 4.0G/16G  waiting: some 0%\n"
                        "Swap |||||............... 512M/2.0G\n"
                        "IO   |||||............... read 10M/s, written 0/s  waiting: some 25.0%\n"
                        "NAME                  CPUv          MEM         IO/S P-CPU  P-MEM  P-IO    TASKS\n"
                        "- acme          (2)  85.0% no max  800M no max  3.0M |..... ...... |.....     31\n"
                        "  db                 50.0% no max  512M no max     0 ...... ...... ......     20\n"
                        "  web                25.0% |||...  256M |||...  3.0M |..... ...... |||...     10\n"
                        "- unassigned    (1)     0% no max   64M no max     0 ...... ...... ......      1\n"
                        "  shop                  0% no max   64M no max     0 ...... ...... ......      1\n"
                        "\n\n\n\n\n\n\n\n\n\n\n\n"
                        "q quit  h help  c m i w p t n sort  space fold  enter processes  / filter\n");
        json_decref(containers);
        json_decref(status);
        guard_close(&g);
}

/* What stays on small ones: who it is, what it uses most, how to leave. */
static void test_sizes(void **state) {
        static const struct {
                unsigned width, height;
                const char *parts[4];
        } rows[] = {
                { 80,
                  24,
                  { "bailiff: 2 tenants, 3 containers, data 0s old\n", "P-IO", "TASKS",
                    "\nq quit  h help  " } },
                { 200, 60, { "READ  WRITE  NET/S   RECV   SENT", "THROTL", "TASKS   /MAX", "r reverse" } },
                { 80, 10, { "Mem 4.0G/16G IO waiting 25.0%\n", "\n- acme", "\n  shop", "q quit" } },
                { 40,
                  10,
                  { "bailiff: 2 tenants, 3 containers, data ~\n", " CPUv ", "TASKS\n", "c m i w p t n" } },
                { 20,
                  5,
                  { "bailiff: 2 tenants,~\nNAME ", "\n- acme    (2)  85.0%\n", "\nq quit  h help\n",
                    "CPUv\n" } },
                { 20, 3, { "bailiff: 2 tenants,~\n- acme    (2)  85.0%\n", "\nq quit", "", "" } },
                { 5, 2, { "bail~\n- ac", "", "", "" } },
                { 1, 1, { "~\n", "", "", "" } },
        };
        const TopState now = {};
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        _cleanup_(top_pane_close) TopPane pane = {};
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *text = render(m, &now, rows[i].width, rows[i].height, false);

                for (size_t k = 0; k < ARRAY_SIZE(rows[i].parts); k++)
                        has(text, rows[i].parts[k]);
        }
        assert_int_equal(top_pane_toggle(&pane, row(m, "web")), 0);
        top_pane_answer(&pane, fixture(ANSWER("")), NULL, SEC);
        for (unsigned w = 0; w <= 240; w += 1 + w / 16)
                for (unsigned h = 0; h <= 40; h += 1 + h / 8)
                        for (int k = 0; k < 16; k++) {
                                const TopState odd = { .pane = k & 8 ? &pane : NULL,
                                                       .help = k & 1,
                                                       .away = k & 2 ? "it is gone" : NULL,
                                                       .editing = k & 4 };

                                free(render(m, &odd, w, h, k & 1));
                        }
        guard_close(&g);
}

/* No slice counts what is sent and received: a tenant's is its containers', wherever they are. */
static void test_network(void **state) {
        json_t *containers = fixture(
                       "[{'cgroup_id':3,'name':'web','tenant':'acme','measured':{'network':{'state':'own'}}},"
                       "{'cgroup_id':4,'name':'db','tenant':'acme','measured':{'network':{'state':'shared'}}}"
                       ","
                       "{'cgroup_id':5,'name':'shop','measured':{'network':{'state':'host'}}}]"),
               *json;
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        const TopState now = {};
        _cleanup_free_ char *text = NULL;
        const json_t *c;
        Guard g;

        (void)state;
        m = model(&g);
        assert_int_equal(row(m, "web")->network, TOP_NETWORK_UNKNOWN);
        assert_int_equal(top_model_set_objects(m, containers, NULL, NULL), 0);
        assert_int_equal(top_model_refresh(m), 0);
        assert_int_equal(row(m, "web")->numbers.v[TOP_RECEIVED], MIB);
        assert_int_equal(row(m, "web")->numbers.v[TOP_SENT], 2 * MIB);
        assert_int_equal(row(m, "acme")->numbers.v[TOP_RECEIVED], MIB);
        assert_int_equal(row(m, "acme")->numbers.v[TOP_SENT], 2 * MIB);
        assert_int_equal(row(m, "acme")->numbers.v[TOP_MEMORY], 800 * MIB); /* its slice's, and that alone */
        assert_false(top_has(&row(m, "db")->numbers, TOP_SENT));
        assert_int_equal(row(m, "db")->network, TOP_NETWORK_SHARED);
        top_model_sort(m, TOP_SORT_NETWORK);
        assert_int_equal(top_model_refresh(m), 0);
        rows_are(m, "acme: web db unassigned: shop");
        text = render(m, &now, 80, 24, false);
        has(text, " NET/Sv");
        has(text, " shared ");
        has(text, " host ");
        has(text, "  3.0M ");
        json = top_model_to_json(m);
        assert_non_null(json);
        c = json_array_get(json_object_get(json_array_get(json_object_get(json, "tenants"), 0), "containers"),
                           0);
        assert_string_equal(json_string_value(json_object_get(c, "network")), "own");
        assert_int_equal(json_integer_value(json_object_get(c, "network_transmit_bytes")), 2 * MIB);
        json_decref(json);
        json_decref(containers);
        guard_close(&g);
}

/* By whatever it is sorted, that number is there, on 40 columns too. */
static void test_sorted_column(void **state) {
        static const struct {
                TopSort sort;
                const char *mark;
        } rows[] = { { TOP_SORT_CPU, " CPUv" },     { TOP_SORT_MEMORY, " MEMv" },
                     { TOP_SORT_IO, " IO/Sv" },     { TOP_SORT_NETWORK, " NET/Sv" },
                     { TOP_SORT_TASKS, " TASKSv" }, { TOP_SORT_PRESSURE, " P-CPUv" },
                     { TOP_SORT_NAME, "NAME^" } };
        const TopState now = {};
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (unsigned width = 40; width <= 200; width += 20) {
                        _cleanup_free_ char *text = NULL;

                        top_model_sort(m, rows[i].sort);
                        assert_int_equal(top_model_refresh(m), 0);
                        text = render(m, &now, width, 24, false);
                        has(text, rows[i].mark);
                }
        guard_close(&g);
}

static void test_states(void **state) {
        const TopState away = { .away = "cannot reach bailiffd: it is not running\nStart it",
                                .age = 75 * SEC,
                                .host = "h\x1b[1m" },
                       old = { .age = 75 * SEC }, helped = { .help = true }, typing = { .editing = true };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL, *empty = top_model_new();
        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL, *e = NULL, *f = NULL;
        TopScreen s = {};
        size_t first = 0;
        Guard g;

        (void)state;
        m = model(&g);
        a = render(m, &away, 132, 24, true);
        has(a, "No guard on h\\x1b[1m, data 1min 15s old; trying again: cannot reach bailiffd: it is not "
               "running\n");
        has(a, "acme"); /* what was there is still there, but grey */
        assert_int_equal(top_screen_render(&s, m, &away, 80, 24, true, &first), 0);
        for (size_t i = 0; i < s.n; i++)
                for (size_t k = 0; k < s.lines[i].n; k++)
                        assert_true(s.lines[i].pieces[k].style == STYLE_DIM || (i == 0 && k == 0));
        top_screen_deinit(&s);
        b = render(m, &old, 80, 24, true);
        has(b, "data 1min 15s old");
        c = render(m, &helped, 80, 24, true);
        has(c, "fold or unfold a tenant");
        has(c, "100% is one CPU");
        assert_int_equal(top_model_filter(m, "we\x1b"), 0);
        assert_int_equal(top_model_refresh(m), 0);
        d = render(m, &typing, 80, 24, true);
        has(d, "nothing has that in its name");
        has(d, "\n/we\\x1b_  enter: keep, esc: drop\n");
        e = render(empty, &(TopState){}, 80, 24, true);
        has(e, "0 tenants, 0 containers, no data yet");
        has(e, "no containers run here");
        f = render(m, &(TopState){ .no_keys = true }, 132, 1, true);
        assert_null(strstr(f, "quit"));
        guard_close(&g);
}

/* ---- the pane ---- */

/* One second a step: what is done in it, and what is so behind it. */
static void test_pane_asks(void **state) {
        static const struct {
                const char *does; /* "toggle NAME", "asked", "answer", "error", "close", "" */
                const char *of; /* whose it is then, NULL: closed */
                bool due, answered;
        } steps[] = {
                { "", NULL, false, false },
                { "toggle acme", NULL, false, false }, /* a tenant has none */
                { "toggle web", "web", true, false },
                { "asked", "web", false, false },
                { "answer", "web", false, true },
                { "", "web", false, true },
                { "toggle acme", "web", false, true },
                { "", "web", true, true },
                { "asked", "web", false, true }, /* what was shown stays */
                { "error", "web", false, true },
                { "", "web", false, true },
                { "", "web", false, true },
                { "", "web", true, true },
                { "asked", "web", false, true },
                { "toggle db", "db", true, false }, /* another one: asked at once */
                { "asked", "db", false, false },
                { "toggle db", NULL, false, false },
                { "answer", NULL, false, false }, /* too late */
                { "toggle db", "db", true, false },
                { "close", NULL, false, false },
                { "close", NULL, false, false },
        };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        _cleanup_(top_pane_close) TopPane pane = {};
        usec_t now = 1000 * SEC;
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++, now += SEC) {
                const char *does = steps[i].does;

                if (strncmp(does, "toggle ", 7) == 0)
                        assert_int_equal(top_pane_toggle(&pane, row(m, does + 7)), 0);
                else if (STR_EQ(does, "asked"))
                        top_pane_asked(&pane);
                else if (STR_EQ(does, "answer"))
                        top_pane_answer(&pane, fixture("{}"), NULL, now);
                else if (STR_EQ(does, "error"))
                        top_pane_answer(&pane, NULL, "no", now);
                else if (STR_EQ(does, "close"))
                        top_pane_close(&pane);
                print_message("step %zu: %s\n", i, does);
                assert_int_equal(pane.name != NULL, steps[i].of != NULL);
                if (steps[i].of)
                        assert_string_equal(pane.name, steps[i].of);
                assert_int_equal(top_pane_due(&pane, now), steps[i].due);
                assert_int_equal(pane.answered, steps[i].answered);
        }
        assert_int_equal(top_pane_toggle(&pane, row(m, "web")), 0);
        assert_string_equal(pane.cgroup, "/t.slice/t-acme.slice/web.scope");
        guard_close(&g);
}

static void test_pane_says(void **state) {
        static const struct {
                const char *answer, *error, *away;
                const char *part, *not_there;
        } rows[] = {
                { NULL, NULL, NULL, "\nProcesses of web: being looked at\n", "PID" },
                { NULL, NULL, "it is gone", "\nProcesses of web: not known: no guard answers\n", "PID" },
                { NULL, "cannot reach it\x1b[1m: gone\nStart it", NULL,
                  "\nProcesses of web: not known: cannot reach it\\x1b[1m: gone\n", "Start" },
                { "{'processes':[],'error':'bailiff-netlink is not there'}", NULL, NULL,
                  "\nProcesses of web: not known: bailiff-netlink is not there\n", "PID" },
                { "{'processes':[],'span_usec':500000,'error':null}", NULL, NULL,
                  "\nProcesses of web: none that could be seen\n", "PID" },
                { ANSWER(",'error':null"), NULL, NULL, "\nProcesses of web: 2 of 12, within 500ms\n",
                  "task_delayacct" },
                { ANSWER(""), NULL, "it is gone", "    1501 hog ", "not known" }, /* what was there stays */
                { "{'processes':[{'pid':7,'comm':'sh','delays':null}],'looked_at':1,'span_usec':500000}",
                  NULL, NULL, "\nProcesses of web: 1 of 1, within 500ms; no waits: task_delayacct is 0\n",
                  "not known" },
                { "{'processes':[{}]}", NULL, NULL, "\n       0 ? ", "not known" },
                { "{'processes':[7,null,'x',[]],'span_usec':-3,'looked_at':'x'}", NULL, NULL,
                  "\nProcesses of web: 4 of 0, within ", "not known" },
                { "{'processes':'x'}", NULL, NULL, "\nProcesses of web: none that could be seen\n", "PID" },
                { "[]", NULL, NULL, "\nProcesses of web: none that could be seen\n", "PID" },
        };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(top_pane_close) TopPane pane = {};
                const TopState now = { .pane = &pane, .away = rows[i].away };
                _cleanup_free_ char *text = NULL;

                assert_int_equal(top_pane_toggle(&pane, row(m, "web")), 0);
                if (rows[i].answer || rows[i].error)
                        top_pane_answer(&pane, rows[i].answer ? fixture(rows[i].answer) : NULL, rows[i].error,
                                        SEC);
                text = render(m, &now, 100, 24, false);
                has(text, rows[i].part);
                assert_null(strstr(text, rows[i].not_there));
                has(text, "  web ");
                has(text, "enter processes");
        }
        guard_close(&g);
}

static void test_pane_screen(void **state) {
        static const struct {
                unsigned width, height;
                const char *parts[3];
        } rows[] = {
                { 200, 60, { "THREADS WAITS MOST FOR\n", " 16 CPU 100%\n", "\nq quit" } },
                { 60, 24, { "MEMORY WAITS MOST FOR\n", " 1.0M CPU 100%\n", "\nq quit" } },
                { 30, 24, { "COMMAND", "    1501 hog ", "\nq quit" } },
                { 80, 12, { "\n- acme ", "    1501 hog ", "\nq quit" } },
                { 80, 8, { "\n- acme ", "\nProcesses of web: 1 of 12, within 500ms\n", "    1501 hog " } },
                { 80, 5, { "\n- acme ", "\nProcesses of web: 0 of 12", "\nq quit" } },
                { 80, 4, { "\n- acme ", "\nq quit", "" } }, /* no room for it */
        };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        _cleanup_(top_pane_close) TopPane pane = {};
        const TopState now = { .age = 1200000, .pane = &pane }, helped = { .help = true, .pane = &pane };
        _cleanup_free_ char *screen = NULL, *help = NULL, *last = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        assert_int_equal(top_pane_toggle(&pane, row(m, "web")), 0);
        top_pane_answer(&pane, fixture(ANSWER("")), NULL, SEC);
        screen = render(m, &now, 80, 24, false);
        has(screen, "  shop                  0% no max   64M no max     0 ...... ...... ......      1\n"
                    "\n\n\n\n"
                    "Processes of web: 2 of 12, within 500ms\n"
                    "     PID COMMAND             CPU MEMORY THREADS WAITS MOST FOR\n"
                    "    1501 hog               50.0%   1.0M      16 CPU 100%\n"
                    " 4194304 a\\x1b[31m?\\x0a       0%      0       1\n"
                    "\n\n\n\n"
                    "q quit  h help  c m i w p t n sort  space fold  enter processes  / filter\n");
        help = render(m, &helped, 80, 24, false);
        assert_null(strstr(help, "Processes of"));
        has(help, "on a container: its processes");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *text = render(m, &now, rows[i].width, rows[i].height, false);

                for (size_t k = 0; k < ARRAY_SIZE(rows[i].parts); k++)
                        has(text, rows[i].parts[k]);
        }
        /* The cursor is in sight above it. */
        top_model_move(m, LONG_MAX);
        last = render(m, &now, 80, 9, false);
        has(last, "\n  shop");
        has(last, "\nProcesses of web");
        guard_close(&g);
}

/* Names that want to be more than names, and a thousand of them. */
static void test_many(void **state) {
        static const char *const names[] = {
                "\x1b]0;evil\x07",   "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e-%s%n",
                "a\nb\tc",           "\xff\xfe",
                "\xe2\x80\xaeright", "a-name-that-is-much-longer-than-any-column-could-ever-want-to-be"
        };
        static const unsigned widths[] = { 20, 40, 80, 200 };
        const TopState now = {}, batch = { .no_keys = true };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        _cleanup_free_ char *last = NULL, *all = NULL;
        size_t n, lines = 0;
        Guard g;

        (void)state;
        m = model(&g);
        for (uint64_t i = 0; i < 1000; i++) {
                char tenant[32];
                uint32_t index;

                (void)snprintf(tenant, sizeof(tenant), "t-%llu\x1b", (unsigned long long)(i % 7));
                index = subject(&g, HISTORY_CONTAINER, 100 + i, tenant, names[i % ARRAY_SIZE(names)], "/x");
                look(&g, index, &(Use){ .cpu = UINT64_MAX - i, .memory = UINT64_MAX, .tasks = UINT64_MAX });
        }
        feed(&g, m);
        (void)top_model_rows(m, &n);
        assert_int_equal(n, 1000 + 7 + 3 + 2);
        for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
                free(render(m, &now, widths[i], 24, false));
                free(render(m, &now, widths[i], 24, true));
        }
        /* the cursor is in sight wherever it is */
        top_model_sort(m, TOP_SORT_NAME);
        assert_int_equal(top_model_refresh(m), 0);
        top_model_move(m, LONG_MAX);
        last = render(m, &now, 80, 24, true);
        has(last, "\n  shop");
        all = render(m, &batch, 80, 1, true);
        for (const char *p = all; *p; p++)
                lines += *p == '\n';
        assert_int_equal(lines, 1 + 4 + 1 + n);
        guard_close(&g);
}

/* Who is held back by a lease has a letter before the name, as long as the lease is there. */
static void test_held_back(void **state) {
        static const struct {
                const char *leases, *web, *member;
        } rows[] = {
                { "'leases':[{'limit':'CPUQuota'}],", "\nT web ", "\"throttled\":true,\"frozen\":false" },
                { "'leases':[{'limit':'CPUQuota'},{'limit':'freeze'}],", "\nF web ",
                  "\"throttled\":false,\"frozen\":true" },
                { "'leases':[],", "\n  web ", "\"throttled\":false,\"frozen\":false" },
                { "", "\n  web ", "\"throttled\":false,\"frozen\":false" },
        };
        const TopState now = { .age = SEC };
        _cleanup_(cleanup_top_model_free) TopModel *m = NULL;
        Guard g;

        (void)state;
        m = model(&g);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf text = BUF_INIT;
                _cleanup_free_ char *screen = NULL, *json = NULL;
                json_t *containers, *tree;

                buf_printf(&text, "[{'cgroup_id':3,%s'name':'web','tenant':'acme'}]", rows[i].leases);
                containers = fixture(buf_str(&text));
                assert_int_equal(top_model_set_objects(m, containers, NULL, NULL), 0);
                assert_int_equal(top_model_refresh(m), 0);
                screen = render(m, &now, 80, 24, false);
                has(screen, rows[i].web);
                has(screen, "\n  db ");
                tree = top_model_to_json(m);
                json = json_dumps(tree, JSON_COMPACT);
                has(json, rows[i].member);
                json_decref(tree);
                json_decref(containers);
        }
        guard_close(&g);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers),       cmocka_unit_test(test_network),
                cmocka_unit_test(test_cold),          cmocka_unit_test(test_lives),
                cmocka_unit_test(test_sort),          cmocka_unit_test(test_cursor),
                cmocka_unit_test(test_filter),        cmocka_unit_test(test_json),
                cmocka_unit_test(test_screen),        cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_sorted_column), cmocka_unit_test(test_states),
                cmocka_unit_test(test_many),          cmocka_unit_test(test_damaged),
                cmocka_unit_test(test_held_back),     cmocka_unit_test(test_pane_asks),
                cmocka_unit_test(test_pane_says),     cmocka_unit_test(test_pane_screen),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
