/* SPDX-License-Identifier: Apache-2.0 */

/* OpenMetrics text: exact pages, escaping, and that no wrong page is handed out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "openmetrics.h"

static void test_page(void **state) {
        static const MetricLabel a[] = { { "tenant", "acme" }, { "name", "web" } },
                                 b[] = { { "tenant", "acme" }, { "name", "web!" } },
                                 c[] = { { "tenant", "acme-2" }, { "name", "a" } };
        _cleanup_buf_ Buf out = BUF_INIT;
        Metrics m = METRICS_INIT(&out);

        (void)state;
        metrics_family(&m, "x_build_info", METRIC_GAUGE, NULL, "Who it is.");
        metrics_sample(&m, (MetricLabel[]){ { "version", "0.1.0" } }, 1, 1, 0);
        metrics_family(&m, "x_cpu_seconds", METRIC_COUNTER, "seconds", "CPU time.");
        metrics_sample(&m, a, 2, 1500000, 6);
        metrics_sample(&m, b, 2, 1, 6);
        metrics_sample(&m, c, 2, UINT64_MAX, 6);
        metrics_family(&m, "x_empty", METRIC_GAUGE, NULL, "Without a sample: not there.");
        metrics_family(&m, "x_late_seconds", METRIC_SUMMARY, "seconds", "How late.");
        metrics_sample(&m, (MetricLabel[]){ { "quantile", "0.5" } }, 1, 120, 6);
        metrics_sample(&m, (MetricLabel[]){ { "quantile", "0.99" } }, 1, 10000000, 6);
        metrics_family(&m, "x_memory_bytes", METRIC_GAUGE, "bytes", "Now.");
        metrics_sample(&m, NULL, 0, 4096, 0);
        assert_int_equal(metrics_end(&m), 0);
        assert_string_equal(buf_str(&out), "# TYPE x_build_info gauge\n"
                                           "# HELP x_build_info Who it is.\n"
                                           "x_build_info{version=\"0.1.0\"} 1\n"
                                           "# TYPE x_cpu_seconds counter\n"
                                           "# UNIT x_cpu_seconds seconds\n"
                                           "# HELP x_cpu_seconds CPU time.\n"
                                           "x_cpu_seconds_total{tenant=\"acme\",name=\"web\"} 1.5\n"
                                           "x_cpu_seconds_total{tenant=\"acme\",name=\"web!\"} 0.000001\n"
                                           "x_cpu_seconds_total{tenant=\"acme-2\",name=\"a\"} "
                                           "18446744073709.551615\n"
                                           "# TYPE x_late_seconds summary\n"
                                           "# UNIT x_late_seconds seconds\n"
                                           "# HELP x_late_seconds How late.\n"
                                           "x_late_seconds{quantile=\"0.5\"} 0.00012\n"
                                           "x_late_seconds{quantile=\"0.99\"} 10\n"
                                           "# TYPE x_memory_bytes gauge\n"
                                           "# UNIT x_memory_bytes bytes\n"
                                           "# HELP x_memory_bytes Now.\n"
                                           "x_memory_bytes 4096\n"
                                           "# EOF\n");
}

static void each(void *user, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                 unsigned decimals) {
        buf_printf(user, "%s %zu %s %llu %u\n", name, n, n > 0 ? labels[0].value : "-",
                   (unsigned long long)value, decimals);
}

static bool want_no_gauge(void *user, const char *name) {
        (void)user;
        return strstr(name, "gauge") == NULL;
}

/* The same families without text, under the same rules. */
static void test_each(void **state) {
        _cleanup_buf_ Buf got = BUF_INIT;
        Metrics m = METRICS_INIT(NULL);

        (void)state;
        m.each = each;
        m.want = want_no_gauge;
        m.user = &got;
        metrics_family(&m, "x_cpu_seconds", METRIC_COUNTER, "seconds", "CPU time.");
        metrics_sample(&m, (MetricLabel[]){ { "tenant", "a\"b" } }, 1, 1500000, 6);
        metrics_sample(&m, (MetricLabel[]){ { "tenant", "b" } }, 1, 1, 6);
        metrics_family(&m, "x_gauge", METRIC_GAUGE, NULL, "Left out.");
        metrics_sample(&m, NULL, 0, 1, 0);
        metrics_family(&m, "x_up", METRIC_GAUGE, NULL, "Whether.");
        metrics_sample(&m, NULL, 0, 1, 0);
        assert_int_equal(metrics_end(&m), 0);
        assert_string_equal(buf_str(&got), "x_cpu_seconds_total 1 a\"b 1500000 6\n"
                                           "x_cpu_seconds_total 1 b 1 6\n"
                                           "x_up 0 - 1 0\n");
        m = METRICS_INIT(NULL);
        m.each = each;
        m.user = &got;
        metrics_family(&m, "x_up", METRIC_GAUGE, NULL, "Twice.");
        metrics_sample(&m, NULL, 0, 1, 0);
        metrics_sample(&m, NULL, 0, 1, 0);
        assert_int_equal(metrics_end(&m), -EINVAL);
}

/* A label's value is anybody's: what it says stays one value of one line. */
static void test_escape(void **state) {
        static const struct {
                const char *value, *line;
        } rows[] = {
                { "", "x{name=\"\"} 0\n" },
                { "a\"} 9\nx{name=\"b", "x{name=\"a\\\"} 9\\nx{name=\\\"b\"} 0\n" },
                { "\\", "x{name=\"\\\\\"} 0\n" },
                { "\\n", "x{name=\"\\\\n\"} 0\n" },
                { "\n# EOF\n", "x{name=\"\\n# EOF\\n\"} 0\n" },
                { "B\xc3\xbcro", "x{name=\"B\xc3\xbcro\"} 0\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;
                Metrics m = METRICS_INIT(&out);

                metrics_family(&m, "x", METRIC_GAUGE, NULL, "a \\ and\na \"");
                metrics_sample(&m, (MetricLabel[]){ { "name", rows[i].value } }, 1, 0, 0);
                assert_int_equal(metrics_end(&m), 0);
                assert_non_null(strstr(buf_str(&out), "# HELP x a \\\\ and\\na \\\"\n"));
                assert_non_null(strstr(buf_str(&out), rows[i].line));
        }
}

static void test_wrong_families(void **state) {
        static const struct {
                const char *first, *second, *unit;
                int result;
        } rows[] = {
                { "a", "b", NULL, 0 },
                { "a", "a_seconds", "seconds", 0 },
                { "a", "a", NULL, -EINVAL }, /* twice */
                { "b", "a", NULL, -EINVAL }, /* out of order */
                { "a", "b_total", NULL, -EINVAL },
                { "a", "b_sum", NULL, -EINVAL },
                { "a", "b_count", NULL, -EINVAL },
                { "a", "b_created", NULL, -EINVAL },
                { "a", "b", "bytes", -EINVAL },
                { "a", "bytes", "bytes", -EINVAL },
                { "a", "bbytes", "bytes", -EINVAL },
                { "a", "_bytes", "bytes", -EINVAL },
                { "a", "b-c", NULL, -EINVAL },
                { "a", "b c", NULL, -EINVAL },
                { "1", "b", NULL, -EINVAL },
                { "", "b", NULL, -EINVAL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;
                Metrics m = METRICS_INIT(&out);

                metrics_family(&m, rows[i].first, METRIC_COUNTER, NULL, "");
                metrics_sample(&m, NULL, 0, 0, 0);
                metrics_family(&m, rows[i].second, METRIC_COUNTER, rows[i].unit, "");
                metrics_sample(&m, NULL, 0, 0, 0);
                assert_int_equal(metrics_end(&m), rows[i].result);
        }
}

static void test_wrong_samples(void **state) {
        static const struct {
                const char *name, *first, *second;
                int result;
        } rows[] = {
                { "n", "a", "b", 0 },         { "n", "", "a", 0 },       { "n", "a", "a", -EINVAL },
                { "n", "b", "a", -EINVAL },   { "n", "a", "", -EINVAL }, { "9", "a", "b", -EINVAL },
                { "a:b", "a", "b", -EINVAL },
        };
        _cleanup_buf_ Buf none = BUF_INIT;
        Metrics without = METRICS_INIT(&none);

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;
                Metrics m = METRICS_INIT(&out);

                metrics_family(&m, "x", METRIC_GAUGE, NULL, "");
                metrics_sample(&m, (MetricLabel[]){ { rows[i].name, rows[i].first } }, 1, 0, 0);
                metrics_sample(&m, (MetricLabel[]){ { rows[i].name, rows[i].second } }, 1, 0, 0);
                assert_int_equal(metrics_end(&m), rows[i].result);
        }
        metrics_sample(&without, NULL, 0, 0, 0); /* of no family */
        assert_int_equal(metrics_end(&without), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_page),          cmocka_unit_test(test_each),
                cmocka_unit_test(test_escape),        cmocka_unit_test(test_wrong_families),
                cmocka_unit_test(test_wrong_samples),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
