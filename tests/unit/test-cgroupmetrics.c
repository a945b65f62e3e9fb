/* SPDX-License-Identifier: Apache-2.0 */

/* Pages of containers: cAdvisor's names with hand-made numbers, hostile names, allow and deny, both text formats, ceilings as the
 * guard tells them; and promtool's opinion, when tests/promtool-pages asks for it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "cgroupmetrics.h"
#include "fdio.h"

static Sample full_sample(void) {
        Sample s = { .at = 1 };

        for (int f = 0; f < _SAMPLE_MAX; f++)
                sample_put(&s, (SampleField)f, (uint64_t)(f + 1) * 1000000);
        sample_put(&s, SAMPLE_CPU_USAGE, 1500000);
        sample_put(&s, SAMPLE_MEMORY, 8192);
        sample_put(&s, SAMPLE_INACTIVE_FILE, 4096);
        return s;
}

static bool has(const Buf *page, const char *line) { return strstr(buf_str(page), line) != NULL; }

static void test_cadvisor(void **state) {
        Sample s = full_sample(), less = { .at = 1 };
        CgroupSeries series[] = {
                { "/b", "web", "nginx:1", "acme", 1700000000500000, 1700000001000000, &s, NULL },
                { "/a", "", "", "unassigned", 0, 0, &less, NULL },
        };
        _cleanup_buf_ Buf page = BUF_INIT;
        Metrics m = METRICS_INIT(&page);

        (void)state;
        sample_put(&less, SAMPLE_PIDS, 0);
        assert_int_equal(cgroup_series_sort(series, 2), 2);
        metrics_cadvisor(&m, series, 2, "org_tenant");
        assert_int_equal(metrics_end(&m), 0);
        assert_true(has(&page,
                        "# TYPE container_cpu_usage_seconds counter\n# UNIT container_cpu_usage_seconds "
                        "seconds\n"));
        assert_true(has(&page, "container_cpu_usage_seconds_total{id=\"/b\",image=\"nginx:1\",name=\"web\","
                               "org_tenant=\"acme\",cpu=\"total\"} 1.5\n"));
        assert_true(has(&page, "container_memory_working_set_bytes{id=\"/b\",image=\"nginx:1\",name=\"web\","
                               "org_tenant=\"acme\"} 4096\n"));
        assert_true(has(&page, "failure_type=\"pgmajfault\",scope=\"hierarchy\"}"));
        assert_true(has(&page, "container_start_time_seconds{id=\"/b\",image=\"nginx:1\",name=\"web\","
                               "org_tenant=\"acme\"} 1700000000.5\n"));
        /* What is not known is not there, which is not the same as 0. */
        assert_true(has(&page,
                        "container_threads{id=\"/a\",image=\"\",name=\"\",org_tenant=\"unassigned\"} 0\n"));
        assert_false(has(&page, "container_memory_usage_bytes{id=\"/a\""));
}

/* Every field has a name of its own, and none is there under both. */
static void test_own_names(void **state) {
        Sample s = full_sample();
        CgroupSeries series = { "/b", "web", "i", "t", 1, 1, &s, NULL };
        _cleanup_buf_ Buf all = BUF_INIT, some = BUF_INIT;
        Metrics m = METRICS_INIT(&all);

        (void)state;
        metrics_cgroups(&m, &series, 1, "tenant", true);
        assert_int_equal(metrics_end(&m), 0);
        assert_true(has(&all, "bailiff_container_cpu_usage_seconds_total{id=\"/b\",image=\"i\",name=\"web\","
                              "tenant=\"t\"} 1.5\n"));
        assert_false(has(&all, "host_"));
        m = METRICS_INIT(&some);
        metrics_cgroups(&m, &series, 1, "tenant", false);
        metrics_cadvisor(&m, &series, 1, "tenant");
        assert_int_equal(metrics_end(&m), 0);
        assert_true(has(&some, "bailiff_container_irq_full_seconds_total"));
        assert_false(has(&some, "bailiff_container_cpu_usage_seconds_total"));
}

static void test_twice(void **state) {
        Sample s = full_sample();
        CgroupSeries series[] = { { "/a", "x", "", "t", 1, 1, &s, NULL },
                                  { "/a", "y", "", "t", 1, 1, &s, NULL } };

        (void)state;
        assert_int_equal(cgroup_series_sort(series, 2), 1);
        assert_int_equal(cgroup_series_sort(series, 0), 0);
}

static void test_text(void **state) {
        static const struct {
                const char *from;
                size_t max;
                const char *to;
        } rows[] = {
                { "", 10, "" },
                { "web", 10, "web" },
                { "web", 2, "we" },
                { "\xc3\xa4x", 2, "\xc3\xa4" },
                { "\xc3\xa4", 1, "" },
                { "a\xff\xfe"
                  "b",
                  10, "a??b" },
                { "\xed\xa0\x80", 9, "???" },
                { "\xc0\x80", 9, "??" },
                { "\xf0\x9f\x90\xb3", 9, "\xf0\x9f\x90\xb3" },
                { "\xe2\x82", 9, "??" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *to = metrics_text(rows[i].from, rows[i].max);

                assert_non_null(to);
                assert_string_equal(to, rows[i].to);
        }
}

static void test_accept(void **state) {
        static const struct {
                const char *accept;
                bool open;
        } rows[] = {
                { NULL, false },
                { "", false },
                { "*/*", false },
                { "text/plain", false },
                { "application/openmetrics-text", true },
                { "application/openmetrics-text;version=1.0.0,application/"
                  "openmetrics-text;version=0.0.1;q=0.75,"
                  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                  true },
                { "text/plain, application/openmetrics-text;q=0.3", false },
                { "application/openmetrics-text;q=0", false },
                { "application/openmetrics-text;q=", true }, /* as if it said nothing */
                { ",,,;q=1,", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (metrics_wants_openmetrics(rows[i].accept) != rows[i].open)
                        fail_msg("row %zu: %s", i, rows[i].accept);
}

static bool want_threads(void *user, const char *name) {
        (*(size_t *)user)++;
        return STR_EQ(name, "container_threads") || STR_EQ(name, "container_oom_events_total");
}

static void test_want(void **state) {
        Sample s = full_sample();
        CgroupSeries series = { "/b", "web", "i", "t", 1, 1, &s, NULL };
        _cleanup_buf_ Buf page = BUF_INIT;
        Metrics m = METRICS_INIT(&page);
        size_t asked = 0;

        (void)state;
        m.want = want_threads;
        m.user = &asked;
        m.classic = true;
        metrics_cadvisor(&m, &series, 1, "tenant");
        assert_int_equal(metrics_end(&m), 0);
        assert_true(asked > 30);
        assert_string_equal(
                buf_str(&page),
                "# TYPE container_oom_events_total counter\n"
                "# HELP container_oom_events_total Processes killed for want of memory (memory.events "
                "oom_kill).\n"
                "container_oom_events_total{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 29000000\n"
                "# TYPE container_threads gauge\n# HELP container_threads Tasks (pids.current).\n"
                "container_threads{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 38000000\n");
}

/* What Prometheus' own tool says of a page, hostile names in it. */
static void test_promtool(void **state) {
        Sample s = full_sample();
        _cleanup_free_ char *evil = metrics_text("a\"b\\c\nd{}#\xff", METRIC_LABEL_BYTES);
        CgroupSeries series[] = { { "/b", evil, evil, "t", 1, 1, &s, NULL },
                                  { "/c", "x", "", "t", 1, 1, &s, NULL } };
        char path[] = "/tmp/test-promtool-XXXXXX", command[128];
        _cleanup_fd_ int fd = mkstemp(path);
        _cleanup_buf_ Buf page = BUF_INIT;
        Metrics m = METRICS_INIT(&page);
        int status;

        (void)state;
        assert_true(fd >= 0);
        m.classic = true; /* the format that it reads */
        metrics_cgroups(&m, series, 2, "tenant", false);
        metrics_cadvisor(&m, series, 2, "tenant");
        assert_int_equal(metrics_end(&m), 0);
        assert_int_equal(fd_write_all(fd, buf_str(&page), page.len), 0);
        (void)snprintf(command, sizeof(command), "promtool check metrics <%s", path);
        status = getenv("TEST_PROMTOOL") ? system(command) : 0;
        (void)unlink(path);
        assert_int_equal(status, 0);
}

/* ---- ceilings ---- */

static void read_container(const char *text, Ceilings *ret) {
        json_t *o = json_loads(text, 0, NULL);

        assert_non_null(o);
        assert_int_equal(ceilings_of_container(o, ret), 0);
        json_decref(o);
}

/* What the kernel has, and whose word it is: policy's only where its number is in force. */
static void test_ceilings(void **state) {
        static const char text[] =
                "{\"kernel_limits\":{\"TasksMax\":100,\"MemoryMax\":4096,\"MemoryHigh\":null,\"CPUQuota\":"
                "1500000,\"CPUQuotaPeriodSec\":50000,\"CPUWeight\":100,\"MemoryMin\":8192,"
                "\"MemorySwapMax\":null,\"IOReadBandwidthMax\":{\"8:16\":5,\"8:0\":7},\"Later\":1},"
                "\"limits\":["
                "{\"limit\":\"TasksMax\",\"device\":null,\"layer\":\"defaults\",\"state\":\"ok\"},"
                "{\"limit\":\"MemoryMax\",\"device\":null,\"layer\":\"plan\",\"state\":\"observed\"},"
                "{\"limit\":\"CPUQuota\",\"layer\":\"of later\",\"state\":\"squeezing\"},"
                "{\"limit\":\"IOReadBandwidthMax\",\"device\":\"8:16\",\"layer\":\"tenant\",\"state\":"
                "\"kernel-only\"}]}";
        static const char *const lines[] = {
                "bailiff_container_ceiling_cpus{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 1.5\n",
                "bailiff_container_ceiling_tasks{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 100\n",
                "tenant=\"t\",limit=\"TasksMax\",device=\"\",origin=\"defaults\"} 1\n",
                "tenant=\"t\",limit=\"MemoryMax\",device=\"\",origin=\"engine\"} 1\n",
                "tenant=\"t\",limit=\"CPUQuota\",device=\"\",origin=\"other\"} 1\n",
                "tenant=\"t\",limit=\"IOReadBandwidthMax\",device=\"8:0\",origin=\"engine\"} 1\n",
                "tenant=\"t\",limit=\"IOReadBandwidthMax\",device=\"8:16\",origin=\"tenant\"} 1\n",
                "_io_read_bytes_per_second{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\",device=\"8:0\"} "
                "7\n",
                /* as cAdvisor has them on cgroup v2 */
                "container_spec_cpu_period{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 50000\n",
                "container_spec_cpu_quota{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 75000\n",
                "container_spec_cpu_shares{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 2597\n",
                "container_spec_memory_limit_bytes{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 4096\n",
                "container_spec_memory_reservation_limit_bytes{id=\"/b\",image=\"i\",name=\"web\",tenant="
                "\"t\"} 8192\n",
                "container_spec_memory_swap_limit_bytes{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 0\n",
                "container_threads_max{id=\"/b\",image=\"i\",name=\"web\",tenant=\"t\"} 100\n",
        };
        _cleanup_(ceilings_deinit) Ceilings c = {};
        Sample s = full_sample();
        CgroupSeries series[] = { { "/b", "web", "i", "t", 1, 1, &s, &c },
                                  { "/c", "x", "i", "t", 1, 1, &s, NULL } };
        _cleanup_buf_ Buf page = BUF_INIT;
        Metrics m = METRICS_INIT(&page);

        (void)state;
        read_container(text, &c);
        metrics_cgroups(&m, series, 2, "tenant", false);
        metrics_cadvisor(&m, series, 2, "tenant");
        assert_int_equal(metrics_end(&m), 0);
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
                if (!has(&page, lines[i]))
                        fail_msg("not there: %s", lines[i]);
        /* No limit is no series; weights and protections are no ceilings; who is not known has none. */
        assert_false(has(&page, "ceiling_memory_high_bytes"));
        assert_false(has(&page, "limit=\"CPUWeight\""));
        assert_false(has(&page, "container_spec_cpu_period{id=\"/c\""));
        assert_false(has(&page, "Later"));
}

static void test_ceilings_hostile(void **state) {
        static const char *const rows[] = {
                "{}",
                "[]",
                "{\"kernel_limits\":5,\"limits\":5}",
                "{\"kernel_limits\":{\"MemoryMax\":-1,\"TasksMax\":\"5\",\"CPUQuota\":1.5,\"CPUWeight\":[]}}",
                "{\"kernel_limits\":{\"MemoryMax\":{\"8:0\":1},\"IOReadIOPSMax\":5}}",
                "{\"kernel_limits\":{\"IOReadIOPSMax\":{\"\":1,\"a device with much too long a name\":1}}}",
        };
        _cleanup_(ceilings_deinit) Ceilings many = {};
        _cleanup_buf_ Buf text = BUF_INIT;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_(ceilings_deinit) Ceilings c = {};

                read_container(rows[i], &c);
                assert_int_equal(c.n, 0);
        }
        buf_puts(&text, "{\"kernel_limits\":{\"IOReadIOPSMax\":{\"0:0\":1");
        for (int i = 1; i < 500; i++)
                buf_printf(&text, ",\"%d:0\":1", i);
        buf_puts(&text, "}}}");
        read_container(buf_str(&text), &many);
        assert_int_equal(many.n, CEILINGS_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cadvisor),
                cmocka_unit_test(test_own_names),
                cmocka_unit_test(test_twice),
                cmocka_unit_test(test_text),
                cmocka_unit_test(test_accept),
                cmocka_unit_test(test_want),
                cmocka_unit_test(test_promtool),
                cmocka_unit_test(test_ceilings),
                cmocka_unit_test(test_ceilings_hostile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
