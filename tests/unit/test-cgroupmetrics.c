/* SPDX-License-Identifier: Apache-2.0 */

/* Pages of containers: cAdvisor's names with hand-made numbers, hostile names, allow and deny, both text formats, and
 * promtool's opinion where it is installed. */

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
                { "/b", "web", "nginx:1", "acme", 1700000000500000, 1700000001000000, &s },
                { "/a", "", "", "unassigned", 0, 0, &less },
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
        CgroupSeries series = { "/b", "web", "i", "t", 1, 1, &s };
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
        CgroupSeries series[] = { { "/a", "x", "", "t", 1, 1, &s }, { "/a", "y", "", "t", 1, 1, &s } };

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
        CgroupSeries series = { "/b", "web", "i", "t", 1, 1, &s };
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
        CgroupSeries series[] = { { "/b", evil, evil, "t", 1, 1, &s }, { "/c", "x", "", "t", 1, 1, &s } };
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
        status = access("/usr/bin/promtool", X_OK) == 0 ? system(command) : -1;
        (void)unlink(path);
        if (status < 0)
                skip(); /* Debian's package prometheus is not installed */
        assert_int_equal(status, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cadvisor), cmocka_unit_test(test_own_names),
                cmocka_unit_test(test_twice),    cmocka_unit_test(test_text),
                cmocka_unit_test(test_accept),   cmocka_unit_test(test_want),
                cmocka_unit_test(test_promtool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
