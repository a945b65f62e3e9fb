/* SPDX-License-Identifier: Apache-2.0 */

/* Reports: what rows become on an axis, what is a gap, and a page that stays whole whatever is in it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "jsonget.h"
#include "report-html.h"
#include "report-model.h"
#include "report-svg.h"

#define T0 UINT64_C(1700006400) /* a Wednesday, 0:00 UTC */
#define DAY UINT64_C(86400)

static uint64_t seed;

static uint64_t draw(uint64_t below) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % below;
}

static void assert_near(double got, double wanted) {
        double off = got > wanted ? got - wanted : wanted - got,
               most = wanted > 0 ? wanted * 1e-6 + 1e-6 : 1e-6;

        if (off > most)
                fail_msg("got %f, wanted %f", got, wanted);
}

/* ---- the model ---- */

static void test_axis(void **state) {
        static const struct {
                uint64_t span, least, step;
        } rows[] = {
                { 60, 1, 10 },
                { 3600, 10, 10 },
                { 3640, 10, 10 },
                { 3700, 10, 30 },
                { DAY, 10, 300 },
                { DAY, 3600, 3600 },
                { 7 * DAY, 10, 1800 },
                { 30 * DAY, 10, 7200 },
                { 30 * DAY, 60, 7200 },
                { 365 * DAY, 1, 604800 },
                { 3 * 365 * DAY, 1, 604800 },
                { 0, 1, 10 },
                { 20000 * DAY, 1, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t from = T0 + 1234, to = from + rows[i].span;
                ReportAxis a;

                report_axis(from, to, rows[i].least, &a);
                if ((rows[i].step > 0 && a.step != rows[i].step) || a.step < rows[i].least || a.n == 0 ||
                    a.n > REPORT_POINTS_MAX || a.from > from || a.from + a.n * a.step < to ||
                    (rows[i].span > 0 && a.from + (a.n - 1) * a.step >= to))
                        fail_msg("row %zu: %llu, step %llu, %zu points", i, (unsigned long long)a.from,
                                 (unsigned long long)a.step, a.n);
        }
}

/* However time is cut into rows, the curve has the mean of what was, and no more time than there was. */
static void test_series(void **state) {
        (void)state;
        for (int round = 0; round < 200; round++) {
                double area = 0, got = 0, seconds = 0, at = (double)T0,
                       end = (double)(T0 + 3000 + draw(100000));
                ReportSeries s = {};
                ReportAxis axis;

                report_axis(T0, (uint64_t)end, 10, &axis);
                while (at < end) {
                        double to = at + (double)(1 + draw(20000)) / 10, value = (double)draw(100000);

                        to = MIN_OF(to, end);
                        assert_int_equal(report_series_add(&s, &axis, REPORT_CPU, at, to, value, value), 0);
                        area += value * (to - at);
                        at = to;
                }
                /* Before, behind, backwards and of no length: nothing. */
                assert_int_equal(report_series_add(&s, &axis, REPORT_CPU, 0, (double)axis.from, 7, 7), 0);
                assert_int_equal(report_series_add(&s, &axis, REPORT_CPU, 1e11, 2e11, 7, 7), 0);
                assert_int_equal(report_series_add(&s, &axis, REPORT_CPU, end, end - 100, 7, 7), 0);
                assert_int_equal(report_series_add(&s, &axis, REPORT_CPU, end - 5, end - 5, 7, 7), 0);
                for (size_t i = 0; i < axis.n; i++) {
                        const ReportPoint *p = &s.points[REPORT_CPU][i];

                        got += p->sum;
                        seconds += p->weight;
                        assert_true(p->weight <= (double)axis.step + 1e-6);
                        assert_true(p->weight == 0 || p->max * p->weight >= p->sum - 1e-3);
                }
                assert_near(got, area);
                assert_near(seconds, end - (double)T0);
                report_series_deinit(&s);
        }
}

static void test_gaps(void **state) {
        static const struct {
                struct {
                        unsigned to, span;
                } rows[6]; /* s from the beginning */
                unsigned known, gaps;
        } cases[] = {
                { { { 100, 100 }, { 200, 100 } }, 200, 1 }, /* and then nothing more */
                { { { 100, 100 }, { 100, 50 }, { 100, 300 }, { 1000, 900 } }, 1000, 0 },
                { { { 300, 300 }, { 1000, 100 } }, 400, 1 },
                { { { 300, 300 }, { 1000, 690 } }, 990, 0 }, /* too short to speak of */
                { { { 300, 300 }, { 250, 300 }, { 1000, 2000 } },
                  1000,
                  0 }, /* more than there is; back in time */
                { { { 1000, 10 } }, 10, 1 }, /* nothing before the first */
                { { { 500, 390 }, { 1000, 10 } }, 400, 1 },
                { { { 0, 0 } }, 0, 1 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                ReportAxis axis;
                ReportCover c;
                double sum = 0;

                report_axis(T0, T0 + 1000, 10, &axis);
                assert_int_equal(report_cover_init(&c, &axis, T0), 0);
                for (size_t k = 0; k < ARRAY_SIZE(cases[i].rows) && cases[i].rows[k].to > 0; k++)
                        report_cover_add(&c, &axis, (double)(T0 + cases[i].rows[k].to),
                                         cases[i].rows[k].span);
                report_cover_finish(&c, &axis, (double)(T0 + 1000));
                for (size_t k = 0; k < axis.n; k++)
                        sum += c.points[k];
                if (c.seconds < cases[i].known || c.seconds > cases[i].known + 0.001 ||
                    c.n_gaps != cases[i].gaps)
                        fail_msg("case %zu: %f s, %zu gaps", i, c.seconds, c.n_gaps);
                assert_near(sum, c.seconds);
                report_cover_deinit(&c);
        }
}

static void test_many_gaps(void **state) {
        ReportAxis axis;
        ReportCover c;
        json_t *j;

        (void)state;
        report_axis(T0, T0 + 500 * 3600, 10, &axis);
        assert_int_equal(report_cover_init(&c, &axis, T0), 0);
        for (unsigned i = 1; i <= 500; i++)
                report_cover_add(&c, &axis, (double)(T0 + i * 3600), 10);
        report_cover_finish(&c, &axis, (double)(T0 + 500 * 3600));
        assert_int_equal(c.n_gaps, 500);
        j = report_gaps_to_json(&c);
        assert_int_equal(json_array_size(j), REPORT_GAPS_MAX);
        json_decref(j);
        report_cover_deinit(&c);
}

static void test_week(void **state) {
        static const struct {
                const char *zone;
                uint64_t time;
                unsigned hour;
        } rows[] = {
                { "UTC", T0, 48 },          { "UTC", T0 + 3599, 48 },         { "UTC", T0 + 3600, 49 },
                { "UTC", T0 - 2 * DAY, 0 }, { "UTC", T0 - 2 * DAY - 1, 167 }, { "EST5", T0, 43 },
                { "XXX-5:30", T0, 53 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                (void)setenv("TZ", rows[i].zone, 1);
                tzset();
                if (report_hour_of_week(rows[i].time) != rows[i].hour)
                        fail_msg("row %zu: hour %u", i, report_hour_of_week(rows[i].time));
        }
        (void)setenv("TZ", "UTC", 1);
        tzset();
}

/* ---- parts of the page ---- */

static void test_text(void **state) {
        static const struct {
                const char *text, *html;
        } rows[] = {
                { "acme", "acme" },
                { "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;" },
                { "\"><img src=x onerror='y'>", "&quot;&gt;&lt;img src=x onerror=&#39;y&#39;&gt;" },
                { "a&amp;b", "a&amp;amp;b" },
                { "\x1b[31m\n\r\t\x7f", "\\x1b[31m\\x0a\\x0d\\x09\\x7f" },
                { "\xff\xc0\x80", "\\xff\\xc0\\x80" },
                { "\xe2\x80\xae"
                  "exe",
                  "\\xe2\\x80\\xaeexe" }, /* turns the direction of text */
                { "\xef\xbf\xbe!\xef\xbf\xbf", "\xef\xbf\xbd!\xef\xbf\xbd" }, /* no characters of XML */
                { "\xe6\x9d\xb1", "\xe6\x9d\xb1" },
                { "]]>", "]]&gt;" },
                { "", "" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf b = BUF_INIT;

                html_text(&b, rows[i].text);
                assert_string_equal(buf_str(&b), rows[i].html);
        }
}

static void test_scale(void **state) {
        static const struct {
                double v, base, top;
        } rows[] = {
                { 0, 10000, 1 },      { 1, 10000, 1 },
                { 1.2, 10000, 1.5 },  { 7, 10000, 8 },
                { 950, 10000, 1000 }, { 12345, 10000, 15000 },
                { 1023, 1024, 1024 }, { 1024, 1024, 1024 },
                { 1500, 1024, 1536 }, { 700 * 1048576.0, 1024, 800 * 1048576.0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (plot_scale_top(rows[i].v, rows[i].base) != rows[i].top)
                        fail_msg("%f: %f", rows[i].v, plot_scale_top(rows[i].v, rows[i].base));
        for (int i = 0; i < 1000; i++) {
                double v = (double)draw(UINT64_C(1) << (1 + draw(50)));

                assert_true(plot_scale_top(v, 1024) >= v);
                assert_true(v < 1 || plot_scale_top(v, 1024) <= v * 2.1);
        }
}

static void test_paths(void **state) {
        static const struct {
                const char *values;
                int how;
                const char *path;
        } rows[] = {
                { "[0, 100, 100, 100]", PLOT_LINE, "d=\"M125 200L375 0H875\"" },
                { "[0, null, 100, 50]", PLOT_LINE, "d=\"M0 200H250M625 0L875 100\"" },
                { "[null, null, null, null]", PLOT_LINE, "d=\"\"" },
                { "[null, 50, 50, null]", PLOT_AREA, "d=\"M375 200V100H625V200Z\"" },
                { "[50, 50, 100, 100]", PLOT_STEP, "d=\"M0 100H500V0H1000\"" },
                { "[1e300, -5, \"x\", 50]", PLOT_LINE, "d=\"M125 0L375 200M750 100H1000\"" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *values = json_loads(rows[i].values, 0, NULL);
                const PlotCurve c = { values, "line", rows[i].how };
                const Plot p = {
                        .title = "t", .description = "d", .top = 100, .n = 4, .curves = &c, .n_curves = 1
                };
                _cleanup_buf_ Buf b = BUF_INIT;

                assert_non_null(values);
                plot_curves(&b, &p);
                if (!strstr(buf_str(&b), rows[i].path))
                        fail_msg("%s: %s", rows[i].values, buf_str(&b));
                json_decref(values);
        }
}

/* ---- the page ---- */

/* As much XML as the page has: every element closed in order, attributes quoted, no & or < that is not meant. */
static void check_whole(const char *page, const char *what) {
        const char *open[64];
        size_t lengths[64], depth = 0;

        assert_int_equal(strncmp(page, "<!DOCTYPE html>", 15), 0);
        for (const char *p = page + 15; *p; p++) {
                size_t n;

                if ((unsigned char)*p < 0x20 && *p != '\n')
                        fail_msg("%s: a control character", what);
                if (*p == '&' && strncmp(p, "&amp;", 5) != 0 && strncmp(p, "&lt;", 4) != 0 &&
                    strncmp(p, "&gt;", 4) != 0 && strncmp(p, "&quot;", 6) != 0 && strncmp(p, "&#39;", 5) != 0)
                        fail_msg("%s: %.40s", what, p);
                if (*p != '<')
                        continue;
                if (p[1] == '/') {
                        n = strcspn(p + 2, ">");
                        if (depth == 0 || lengths[depth - 1] != n || strncmp(open[depth - 1], p + 2, n) != 0)
                                fail_msg("%s: %.40s", what, p);
                        depth--;
                        p += n + 2;
                        continue;
                }
                n = strcspn(p + 1, " />");
                if (n == 0 || depth == ARRAY_SIZE(open))
                        fail_msg("%s: %.40s", what, p);
                open[depth] = p + 1;
                lengths[depth++] = n;
                for (p += n + 1; *p != '>'; p++) {
                        if (*p == '<' || *p == '\0')
                                fail_msg("%s: a tag without an end", what);
                        if (*p == '"')
                                for (p++; *p != '"'; p++)
                                        if (*p == '<' || *p == '\0')
                                                fail_msg("%s: an attribute without an end", what);
                        if (*p == '/' && p[1] == '>')
                                depth--;
                }
        }
        if (depth != 0)
                fail_msg("%s: %zu elements are not closed", what, depth);
}

static void check_page(const json_t *report, const char *what) {
        _cleanup_buf_ Buf b = BUF_INIT;

        assert_int_equal(report_html(report, &b), 0);
        check_whole(buf_str(&b), what);
        assert_null(strstr(buf_str(&b), "<script"));
        assert_null(strstr(buf_str(&b), "-nan"));
        assert_null(strstr(buf_str(&b), ">nan"));
        assert_true(b.len < 1U << 20);
}

static void test_strange(void **state) {
        static const char *const reports[] = {
                "{}",
                "[]",
                "{\"tenants\": 5, \"hosts\": {}, \"incidents\": {}, \"heat\": [], \"others\": 3, \"points\": "
                "-1}",
                "{\"points\": 9000000000000000000, \"step_sec\": 9000000000000000000, \"to\": "
                "9000000000000000000, "
                "\"start\": 9000000000000000000, \"tenants\": [{\"series\": {\"cpu_permyriad\": [1]}}]}",
                "{\"points\": 3, \"step_sec\": 0, \"tenants\": [null, 1, \"x\", {}, {\"name\": 5, \"book\": "
                "[], "
                "\"stats\": {\"cpu_permyriad\": 7}, \"ceilings\": [1, {}], \"series\": {\"cpu_permyriad\": "
                "{}, "
                "\"memory_bytes\": [null, \"x\", {}, 1e308, -1e308]}}]}",
                "{\"incidents\": [1, {}, {\"victims\": [1, {}], \"resources\": [1], \"id\": -1, \"opened\": "
                "\"x\"}], "
                "\"incidents_all\": 9000000000000000000}",
                "{\"hosts\": [1, {\"name\": 1, \"coverage_permyriad\": 9000000000000000000, \"gaps\": [1, "
                "{}, "
                "{\"from\": 9000000000000000000, \"to\": 1}], \"gaps_all\": 3, \"series\": "
                "{\"cpu_stall_permyriad\": []}}]}",
                "{\"heat\": {\"cpu_permyriad\": [1, null, \"x\", -5], \"memory_bytes\": 3}}",
                "{\"tenant\": \"</h1><script>\", \"timezone\": \"<b>\", \"warnings\": [\"<script>\", 5], "
                "\"hosts\": "
                "[{\"name\": \"</title><script>\"}, {\"name\": \"\\u202e\\u0007\"}], \"tenants\": "
                "[{\"name\": "
                "\"<script>\", \"host\": \"\\\"><script>\", \"series\": {\"cpu_permyriad\": [1]}}], "
                "\"incidents\": "
                "[{\"tenant\": \"<script>\", \"container\": \"<script>\", \"rung\": \"'><script>\", "
                "\"text\": "
                "\"<script>\", \"victims\": [{\"name\": \"<script>\", \"tenant\": \"<script>\"}], "
                "\"resources\": "
                "[\"<script>\"]}]}",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
                json_t *j = json_loads(reports[i], 0, NULL);

                if (!j)
                        fail_msg("no JSON: %s", reports[i]);
                check_page(j, reports[i]);
                json_decref(j);
        }
}

static json_t *curve(size_t n) {
        json_t *a = json_array();

        for (size_t i = 0; i < n; i++)
                (void)json_array_append_new(
                        a, draw(20) == 0 ? json_null() : json_integer((json_int_t)draw(UINT64_C(1) << 40)));
        return a;
}

/* As much as there can be: a page stays below a megabyte. */
static void test_large(void **state) {
        json_t *tenants = json_array(), *incidents = json_array(), *report;
        char name[201], text[4001];
        _cleanup_buf_ Buf b = BUF_INIT;

        (void)state;
        memset(name, '<', 200);
        memset(text, '&', 4000);
        name[200] = text[4000] = '\0';
        for (int i = 0; i < 1000; i++) {
                json_t *t;

                (void)snprintf(name, sizeof(name), "%03d%0197d", i, 0);
                memset(name + 3, '<', 197);
                t = json_pack("{s:s, s:s, s:{}}", "name", name, "host", "h", "book");

                if (i < REPORT_TOP)
                        (void)json_object_set_new(
                                t, "series",
                                json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cpu_permyriad",
                                          curve(REPORT_POINTS_MAX), "memory_bytes", curve(REPORT_POINTS_MAX),
                                          "cpu_max_permyriad", curve(REPORT_POINTS_MAX), "memory_max_bytes",
                                          curve(REPORT_POINTS_MAX), "cpu_stall_permyriad",
                                          curve(REPORT_POINTS_MAX), "memory_stall_permyriad",
                                          curve(REPORT_POINTS_MAX), "io_stall_permyriad",
                                          curve(REPORT_POINTS_MAX)));
                (void)json_array_append_new(tenants, t);
        }
        for (int i = 0; i < REPORT_INCIDENTS_MAX; i++) {
                (void)snprintf(name, sizeof(name), "%03d", i % 30);
                name[3] = '<';
                (void)json_array_append_new(incidents,
                                            json_pack("{s:i, s:s, s:s, s:s, s:s, s:I}", "id", i, "tenant",
                                                      name, "container", name, "rung", "kill", "text", text,
                                                      "opened", (json_int_t)(T0 * USEC_PER_SEC)));
        }
        report = json_pack("{s:o, s:o, s:i, s:i, s:i, s:I, s:I, s:I, s:[{s:s}]}", "tenants", tenants,
                           "incidents", incidents, "incidents_all", 5000, "points", REPORT_POINTS_MAX,
                           "step_sec", 7200, "start", (json_int_t)(T0 * USEC_PER_SEC), "from",
                           (json_int_t)(T0 * USEC_PER_SEC), "to",
                           (json_int_t)((T0 + 30 * DAY) * USEC_PER_SEC), "hosts", "name", name);
        assert_non_null(report);
        assert_int_equal(report_html(report, &b), 0);
        check_whole(buf_str(&b), "large");
        print_message("%zu bytes\n", b.len);
        assert_true(b.len < 1U << 20);
        json_decref(report);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_axis),    cmocka_unit_test(test_series),
                cmocka_unit_test(test_gaps),    cmocka_unit_test(test_many_gaps),
                cmocka_unit_test(test_week),    cmocka_unit_test(test_text),
                cmocka_unit_test(test_scale),   cmocka_unit_test(test_paths),
                cmocka_unit_test(test_strange), cmocka_unit_test(test_large),
        };

        (void)setenv("TZ", "UTC", 1);
        tzset();
        seed = (uint64_t)time(NULL) * 2654435761U | 1;
        print_message("seed %llu\n", (unsigned long long)seed);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
