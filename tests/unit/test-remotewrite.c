/* SPDX-License-Identifier: Apache-2.0 */

/* Remote-write requests, read back: labels in order and without empty ones, values, times, stale markers, large rounds. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <snappy-c.h>
#include <stdio.h>
#include <time.h>

#include "remotewrite.h"
#include "remotewrite.pb-c.h"

typedef struct Got {
        Buf lines; /* "{a="b",…} value time" */
        uint32_t requests, samples, stale;
} Got;

static void put(Got *g, const Prometheus__TimeSeries *s) {
        uint64_t bits;

        assert_int_equal(s->n_samples, 1);
        for (size_t i = 0; i < s->n_labels; i++) {
                assert_true(*s->labels[i]->value);
                if (i > 0)
                        assert_true(strcmp(s->labels[i - 1]->name, s->labels[i]->name) < 0);
                buf_printf(&g->lines, "%s=%s ", s->labels[i]->name, s->labels[i]->value);
        }
        memcpy(&bits, &s->samples[0]->value, sizeof(bits));
        if (bits == REMOTEWRITE_STALE_BITS) {
                buf_puts(&g->lines, "stale");
                g->stale++;
        } else
                buf_printf(&g->lines, "%.17g", s->samples[0]->value);
        buf_printf(&g->lines, " at %lld\n", (long long)s->samples[0]->timestamp);
}

static void take(void *user, const void *data, size_t len, uint32_t samples) {
        Prometheus__WriteRequest *request;
        Got *g = user;
        char *plain;
        size_t n;

        assert_int_equal(snappy_uncompressed_length(data, len, &n), SNAPPY_OK);
        plain = malloc(n + 1);
        assert_non_null(plain);
        assert_int_equal(snappy_uncompress(data, len, plain, &n), SNAPPY_OK);
        request = prometheus__write_request__unpack(NULL, n, (const uint8_t *)plain);
        assert_non_null(request);
        assert_int_equal(request->n_timeseries, samples);
        assert_true(samples > 0 && samples <= REMOTEWRITE_SAMPLES_MAX);
        for (size_t i = 0; i < request->n_timeseries; i++)
                put(g, request->timeseries[i]);
        prometheus__write_request__free_unpacked(request, NULL);
        free(plain);
        g->requests++;
        g->samples += samples;
}

static void is(RemoteWrite *w, const char *want) {
        Got g = {};

        assert_int_equal(remotewrite_end(w, take, &g), 0);
        assert_string_equal(buf_str(&g.lines), want);
        buf_deinit(&g.lines);
}

static void test_series(void **state) {
        static const MetricLabel external[] = {
                { "job", "bailiff" }, { "tenant", "never" }, { "empty", "" }, { "Zone", "a" }
        };
        _cleanup_(cleanup_remotewrite_free) RemoteWrite *w = NULL;

        (void)state;
        assert_int_equal(remotewrite_new(external, ARRAY_SIZE(external), &w), 0);
        remotewrite_begin(w, 1700000000123);
        remotewrite_sample(w, "x_seconds_total",
                           (MetricLabel[]){ { "tenant", "acme" }, { "name", "" }, { "id", "/a b\n\"\\" } }, 3,
                           1500001, 6);
        remotewrite_sample(w, "x_up", (MetricLabel[]){ { "tenant", "b" } }, 1, UINT64_C(1) << 53, 0);
        is(w, "Zone=a __name__=x_seconds_total id=/a b\n\"\\ job=bailiff tenant=acme 1.5000009999999999 at "
              "1700000000123\n"
              "Zone=a __name__=x_up job=bailiff tenant=b 9007199254740992 at 1700000000123\n");
}

/* A value is the double that a scraper reads from our text: the nearest. */
static void test_values(void **state) {
        unsigned seed = (unsigned)time(NULL);
        _cleanup_(cleanup_remotewrite_free) RemoteWrite *w = NULL;

        (void)state;
        print_message("seed %u\n", seed);
        srandom(seed);
        assert_int_equal(remotewrite_new(NULL, 0, &w), 0);
        for (unsigned i = 0; i < 2000; i++) {
                uint64_t v = ((uint64_t)random() << 22 ^ (uint64_t)random()) >> random() % 50;
                char want[128], text[64];

                (void)snprintf(text, sizeof(text), "%llu.%06llu", (unsigned long long)(v / 1000000),
                               (unsigned long long)(v % 1000000));
                (void)snprintf(want, sizeof(want), "__name__=x %.17g at 1\n", strtod(text, NULL));
                remotewrite_begin(w, 1);
                remotewrite_sample(w, "x", NULL, 0, v, 6);
                is(w, want);
        }
}

static void round_of(RemoteWrite *w, int64_t time_ms, const char *names) {
        remotewrite_begin(w, time_ms);
        for (; *names; names++)
                remotewrite_sample(w, "x", (MetricLabel[]){ { "n", (char[]){ *names, '\0' } } }, 1,
                                   (uint64_t)*names, 0);
}

/* One marker when it ends, none after that; it may come back. */
static void test_stale(void **state) {
        static const MetricLabel external[] = { { "host", "h" } };
        _cleanup_(cleanup_remotewrite_free) RemoteWrite *w = NULL;

        (void)state;
        assert_int_equal(remotewrite_new(external, 1, &w), 0);
        round_of(w, 1, "ABC");
        is(w,
           "__name__=x host=h n=A 65 at 1\n__name__=x host=h n=B 66 at 1\n__name__=x host=h n=C 67 at 1\n");
        round_of(w, 2, "AC");
        is(w, "__name__=x host=h n=A 65 at 2\n__name__=x host=h n=C 67 at 2\n"
              "__name__=x host=h n=B stale at 2\n");
        round_of(w, 3, "AC");
        is(w, "__name__=x host=h n=A 65 at 3\n__name__=x host=h n=C 67 at 3\n");
        round_of(w, 4, "B");
        is(w, "__name__=x host=h n=B 66 at 4\n__name__=x host=h n=A stale at 4\n"
              "__name__=x host=h n=C stale at 4\n");
        round_of(w, 5, "");
        is(w, "__name__=x host=h n=B stale at 5\n");
        round_of(w, 6, "");
        is(w, "");
        /* A round that was begun and never ended is none. */
        round_of(w, 7, "A");
        is(w, "__name__=x host=h n=A 65 at 7\n");
        round_of(w, 8, "B");
        round_of(w, 9, "A");
        is(w, "__name__=x host=h n=A 65 at 9\n");
}

static void many(RemoteWrite *w, int64_t time_ms, unsigned from, unsigned to) {
        static char path[512];

        memset(path, 'p', sizeof(path) - 1);
        remotewrite_begin(w, time_ms);
        for (unsigned i = from; i < to; i++) {
                char n[16];

                (void)snprintf(n, sizeof(n), "%u", i);
                remotewrite_sample(w, "x", (MetricLabel[]){ { "n", n }, { "path", path } }, 2, i, 0);
        }
}

/* Large rounds are several requests, of stale markers, too. */
static void test_many(void **state) {
        _cleanup_(cleanup_remotewrite_free) RemoteWrite *w = NULL;
        Got g = {};

        (void)state;
        assert_int_equal(remotewrite_new(NULL, 0, &w), 0);
        many(w, 1, 0, 10000);
        assert_int_equal(remotewrite_end(w, take, &g), 0);
        assert_int_equal(g.samples, 10000);
        assert_true(g.requests > 4);
        buf_deinit(&g.lines);
        g = (Got){};
        many(w, 2, 5000, 5100);
        assert_int_equal(remotewrite_end(w, take, &g), 0);
        assert_int_equal(g.samples, 10000);
        assert_int_equal(g.stale, 9900);
        assert_null(strstr(buf_str(&g.lines), "n=5050 path=p stale"));
        buf_deinit(&g.lines);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_series),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_stale),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
