/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel's limit files to and from sets. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysmacros.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "limits.h"
#include "random.h"

#define INF LIMIT_INFINITY
#define M (UINT64_C(1) << 20)
/* As makedev() has them, which is no constant expression. */
#define SDA ((dev_t)0x800) /* 8:0 */
#define SDB ((dev_t)0x810) /* 8:16 */
#define NVME ((dev_t)0x10303) /* 259:3 */

#define _cleanup_set_ _cleanup_(limit_set_deinit)

/* The text without its NUL, in memory of exactly its size: a reader beyond the end is caught. */
static int parse_exact(LimitFile file, const char *text, LimitSet *set) {
        size_t n = strlen(text);
        _cleanup_free_ char *copy = malloc(n);

        assert_true(copy || n == 0);
        if (n)
                memcpy(copy, text, n);
        return limits_parse_file(file, copy, n, set);
}

static void test_tables(void **state) {
        (void)state;
        assert_true(SDA == makedev(8, 0) && SDB == makedev(8, 16) && NVME == makedev(259, 3));
        for (Limit l = 0; l < _LIMIT_MAX; l++) {
                const LimitInfo *info = limit_info(l);

                assert_non_null(info->key);
                assert_int_equal(limit_from_key(info->key), l);
                assert_true(info->file >= 0 && info->file < _LIMIT_FILE_MAX);
                assert_int_equal(info->per_device, l >= LIMIT_IO_READ_BANDWIDTH_MAX);
                assert_int_equal(info->is_memory, l <= LIMIT_MEMORY_SWAP_MAX);
                assert_true(info->property || l == LIMIT_CPU_BURST);
        }
        for (LimitFile f = 0; f < _LIMIT_FILE_MAX; f++) {
                const char *name = limit_file_name(f), *controller = limit_file_controller(f);

                assert_int_equal(limit_file_from_name(name), f);
                assert_int_equal(strncmp(name, controller, strlen(controller)), 0);
        }
        assert_int_equal(limit_from_key("ContainerMemoryMax"), _LIMIT_INVALID);
        assert_int_equal(limit_from_key("memorymax"), _LIMIT_INVALID);
        assert_int_equal(limit_from_key(""), _LIMIT_INVALID);
        assert_int_equal(limit_file_from_name("memory.peak"), _LIMIT_FILE_INVALID);
}

static void test_parse_scalar(void **state) {
        static const struct {
                LimitFile file;
                const char *text;
                int r;
                Limit limit;
                uint64_t v;
        } rows[] = {
                { LIMIT_FILE_MEMORY_MAX, "max\n", 0, LIMIT_MEMORY_MAX, INF },
                { LIMIT_FILE_MEMORY_MAX, "536870912\n", 0, LIMIT_MEMORY_MAX, 512 * M },
                { LIMIT_FILE_MEMORY_MAX, "536870912", 0, LIMIT_MEMORY_MAX, 512 * M },
                { LIMIT_FILE_MEMORY_MIN, "0\n", 0, LIMIT_MEMORY_MIN, 0 },
                { LIMIT_FILE_MEMORY_LOW, "max\n", 0, LIMIT_MEMORY_LOW, INF },
                { LIMIT_FILE_MEMORY_HIGH, "4096 soft\n", 0, LIMIT_MEMORY_HIGH, 4096 },
                { LIMIT_FILE_MEMORY_SWAP_MAX, "0\nmore 1\n", 0, LIMIT_MEMORY_SWAP_MAX, 0 },
                { LIMIT_FILE_CPU_MAX_BURST, "0\n", 0, LIMIT_CPU_BURST, 0 },
                { LIMIT_FILE_CPU_WEIGHT, "100\n", 0, LIMIT_CPU_WEIGHT, 100 },
                { LIMIT_FILE_CPU_WEIGHT, "0\n", 0, LIMIT_CPU_WEIGHT, 0 }, /* cpu.idle */
                { LIMIT_FILE_PIDS_MAX, "4096\n", 0, LIMIT_TASKS_MAX, 4096 },
                { LIMIT_FILE_IO_WEIGHT, "default 100\n", 0, LIMIT_IO_WEIGHT, 100 },
                { LIMIT_FILE_IO_WEIGHT, "8:16 200\ndefault 50\n", 0, LIMIT_IO_WEIGHT, 50 },
                { LIMIT_FILE_IO_WEIGHT, "default 10 x", 0, LIMIT_IO_WEIGHT, 10 },
                { LIMIT_FILE_IO_WEIGHT, "100\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_IO_WEIGHT, "default\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_IO_WEIGHT, "default x\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_IO_WEIGHT, "defaults 1\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "\n5\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "maximum\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "ma", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "5x\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "-1\n", -EINVAL, 0, 0 },
                { LIMIT_FILE_MEMORY_MAX, "18446744073709551616\n", -EINVAL, 0, 0 },
                { _LIMIT_FILE_MAX, "5\n", -EINVAL, 0, 0 },
                { _LIMIT_FILE_INVALID, "5\n", -EINVAL, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_set_ LimitSet set = LIMIT_SET_INIT;
                uint64_t v = 0;
                int r = parse_exact(rows[i].file, rows[i].text, &set);

                if (r != rows[i].r || set.n != (r < 0 ? 0 : 1))
                        fail_msg("\"%s\": %d, %zu entries", rows[i].text, r, set.n);
                if (r < 0)
                        continue;
                assert_true(limit_set_get_scalar(&set, rows[i].limit, &v));
                assert_true(v == rows[i].v);
        }
}

static void test_parse_cpu_max(void **state) {
        static const struct {
                const char *text;
                int r;
                uint64_t quota, period;
        } rows[] = {
                { "max 100000\n", 0, INF, 100000 },
                { "50000 100000\n", 0, 500000, 100000 },
                { "100000 50000", 0, 2000000, 50000 },
                { "1000 3000\n", 0, 333334, 3000 }, /* rounded up */
                { "1000 1000000\n", 0, 1000, 1000000 },
                { "1000 100000 100\n", 0, 10000, 100000 },
                { "18446744073709551614 1\n", 0, INF - 1, 1 },
                { "max\n", -EINVAL, 0, 0 },
                { "50000\n", -EINVAL, 0, 0 },
                { "50000\n100000\n", -EINVAL, 0, 0 },
                { "50000 0\n", -EINVAL, 0, 0 },
                { "50000 max\n", -EINVAL, 0, 0 },
                { "50000 x\n", -EINVAL, 0, 0 },
                { "x 100000\n", -EINVAL, 0, 0 },
                { "", -EINVAL, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_set_ LimitSet set = LIMIT_SET_INIT;
                uint64_t quota = 0, period = 0;
                int r = parse_exact(LIMIT_FILE_CPU_MAX, rows[i].text, &set);

                if (r != rows[i].r || set.n != (r < 0 ? 0 : 2))
                        fail_msg("\"%s\": %d, %zu entries", rows[i].text, r, set.n);
                (void)limit_set_get_scalar(&set, LIMIT_CPU_QUOTA, &quota);
                (void)limit_set_get_scalar(&set, LIMIT_CPU_PERIOD, &period);
                if (quota != rows[i].quota || period != rows[i].period)
                        fail_msg("\"%s\": %llu %llu", rows[i].text, (unsigned long long)quota,
                                 (unsigned long long)period);
        }
}

static void test_parse_devices(void **state) {
        static const struct {
                LimitFile file;
                const char *text;
                int r;
                const char *dump;
        } rows[] = {
                { LIMIT_FILE_IO_MAX, "", 0, "" },
                { LIMIT_FILE_IO_MAX, "\n", 0, "" },
                { LIMIT_FILE_IO_MAX, "8:16 rbps=2097152 wbps=max riops=max wiops=120\n", 0,
                  "IOReadBandwidthMax 8:16=2097152 IOWriteIOPSMax 8:16=120 " },
                { LIMIT_FILE_IO_MAX, "8:16 wbps=2\n8:0 wbps=1", 0,
                  "IOWriteBandwidthMax 8:0=1 IOWriteBandwidthMax 8:16=2 " },
                { LIMIT_FILE_IO_MAX, "8:0 rbps=max wbps=max riops=max wiops=max\n", 0, "" },
                { LIMIT_FILE_IO_MAX, "8:0 dbps=7 rbps=1 discard\nnew 1\n", 0, "IOReadBandwidthMax 8:0=1 " },
                { LIMIT_FILE_IO_MAX, "0:45 rbps=1\n", 0, "IOReadBandwidthMax 0:45=1 " },
                { LIMIT_FILE_IO_MAX, "8:0 target=5\n", 0, "" },
                { LIMIT_FILE_IO_MAX, "8:0 rbps=x\n", -EINVAL, "" },
                { LIMIT_FILE_IO_MAX, "8:0 wbps=1 rbps=\n", -EINVAL, "IOWriteBandwidthMax 8:0=1 " },
                { LIMIT_FILE_IO_MAX, "hello\n", -EINVAL, "" },
                { LIMIT_FILE_IO_MAX, "8: rbps=1\n", -EINVAL, "" },
                { LIMIT_FILE_IO_MAX, "8 rbps=1\n", -EINVAL, "" },
                { LIMIT_FILE_IO_MAX, "0:0 rbps=1\n", -EINVAL, "" },
                { LIMIT_FILE_IO_MAX, "4294967296:0 rbps=1\n", -EINVAL, "" },
                { LIMIT_FILE_IO_MAX, ":", -EINVAL, "" },
                { LIMIT_FILE_IO_LATENCY, "8:0 target=10000\n", 0, "IODeviceLatencyTargetSec 8:0=10000 " },
                { LIMIT_FILE_IO_LATENCY, "8:0 target=max\n", 0, "" },
                { LIMIT_FILE_IO_LATENCY, "8:0 rbps=5\n", 0, "" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_set_ LimitSet set = LIMIT_SET_INIT;
                _cleanup_buf_ Buf dump = BUF_INIT;
                int r = parse_exact(rows[i].file, rows[i].text, &set);

                for (size_t k = 0; k < set.n; k++) {
                        limit_format_knob(set.entries[k].knob, &dump);
                        buf_printf(&dump, "=%llu ", (unsigned long long)set.entries[k].value);
                }
                if (r != rows[i].r || !STR_EQ(buf_str(&dump), rows[i].dump))
                        fail_msg("\"%s\": %d, %s", rows[i].text, r, buf_str(&dump));
        }
}

static void test_parse_adds(void **state) {
        _cleanup_set_ LimitSet set = LIMIT_SET_INIT;
        uint64_t v = 0;

        (void)state;
        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_MEMORY_MAX, 0 }, 1, 7), 0);
        assert_int_equal(limit_set_put(&set, (LimitKnob){ LIMIT_TASKS_MAX, 0 }, 2, 7), 0);
        assert_int_equal(parse_exact(LIMIT_FILE_MEMORY_MAX, "x", &set), -EINVAL);
        assert_true(limit_set_get_scalar(&set, LIMIT_MEMORY_MAX, &v) && v == 1);
        assert_int_equal(parse_exact(LIMIT_FILE_MEMORY_MAX, "5", &set), 0);
        assert_true(limit_set_get_scalar(&set, LIMIT_MEMORY_MAX, &v) && v == 5);
        assert_true(limit_set_get_scalar(&set, LIMIT_TASKS_MAX, &v) && v == 2);
        assert_int_equal(set.n, 2);
}

/* One row's sets in short: an array that ends with LIMIT_INVALID. */
typedef struct Row {
        Limit limit;
        dev_t dev;
        uint64_t v;
} Row;
#define END \
        { _LIMIT_INVALID, 0, 0 }

static void fill(LimitSet *set, const Row *rows) {
        for (; rows->limit >= 0; rows++)
                assert_int_equal(limit_set_put(set, (LimitKnob){ rows->limit, rows->dev }, rows->v, 0), 0);
}

static void test_format_file(void **state) {
        static const struct {
                LimitFile file;
                dev_t dev;
                Row set[4], now[4];
                const char *text; /* NULL: -ENOENT */
        } rows[] = {
                { LIMIT_FILE_MEMORY_MAX, 0, { { LIMIT_MEMORY_MAX, 0, 512 * M }, END }, { END }, "536870912" },
                { LIMIT_FILE_MEMORY_MAX, 0, { { LIMIT_MEMORY_MAX, 0, INF }, END }, { END }, "max" },
                { LIMIT_FILE_MEMORY_MAX,
                  0,
                  { { LIMIT_MEMORY_HIGH, 0, 1 }, END },
                  { { LIMIT_MEMORY_MAX, 0, 1 }, END },
                  NULL },
                { LIMIT_FILE_IO_WEIGHT, 0, { { LIMIT_IO_WEIGHT, 0, 300 }, END }, { END }, "default 300" },
                { LIMIT_FILE_PIDS_MAX, 0, { { LIMIT_TASKS_MAX, 0, 64 }, END }, { END }, "64" },
                /* cpu.max: the period stays, is the default, or is lengthened */
                { LIMIT_FILE_CPU_MAX, 0, { { LIMIT_CPU_QUOTA, 0, 500000 }, END }, { END }, "50000 100000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_QUOTA, 0, 500000 }, END },
                  { { LIMIT_CPU_QUOTA, 0, INF }, { LIMIT_CPU_PERIOD, 0, 20000 }, END },
                  "10000 20000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_QUOTA, 0, INF }, END },
                  { { LIMIT_CPU_QUOTA, 0, 1 }, { LIMIT_CPU_PERIOD, 0, 20000 }, END },
                  "max 20000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_PERIOD, 0, 10000 }, END },
                  { { LIMIT_CPU_QUOTA, 0, 2000000 }, { LIMIT_CPU_PERIOD, 0, 20000 }, END },
                  "20000 10000" },
                { LIMIT_FILE_CPU_MAX, 0, { { LIMIT_CPU_PERIOD, 0, 10000 }, END }, { END }, "max 10000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_QUOTA, 0, 500000 }, { LIMIT_CPU_PERIOD, 0, INF }, END },
                  { END },
                  "50000 100000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_QUOTA, 0, 10000 }, { LIMIT_CPU_PERIOD, 0, 10000 }, END },
                  { END },
                  "1000 100000" },
                { LIMIT_FILE_CPU_MAX, 0, { { LIMIT_CPU_QUOTA, 0, 5000 }, END }, { END }, "1000 200000" },
                { LIMIT_FILE_CPU_MAX, 0, { { LIMIT_CPU_QUOTA, 0, 3000 }, END }, { END }, "1000 333333" },
                { LIMIT_FILE_CPU_MAX, 0, { { LIMIT_CPU_QUOTA, 0, 500 }, END }, { END }, "1000 1000000" },
                { LIMIT_FILE_CPU_MAX, 0, { { LIMIT_CPU_QUOTA, 0, 0 }, END }, { END }, "1000 1000000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_QUOTA, 0, 500000 }, { LIMIT_CPU_PERIOD, 0, 1 }, END },
                  { END },
                  "1000 2000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_CPU_QUOTA, 0, 500000 }, { LIMIT_CPU_PERIOD, 0, 5000000 }, END },
                  { END },
                  "500000 1000000" },
                { LIMIT_FILE_CPU_MAX,
                  0,
                  { { LIMIT_TASKS_MAX, 0, 5 }, END },
                  { { LIMIT_CPU_QUOTA, 0, 5 }, END },
                  NULL },
                /* per device */
                { LIMIT_FILE_IO_MAX,
                  SDA,
                  { { LIMIT_IO_WRITE_BANDWIDTH_MAX, SDA, 5000000 }, { LIMIT_IO_READ_IOPS_MAX, SDB, 9 }, END },
                  { END },
                  "8:0 rbps=max wbps=5000000 riops=max wiops=max" },
                { LIMIT_FILE_IO_MAX,
                  SDA,
                  { { LIMIT_IO_WRITE_BANDWIDTH_MAX, SDA, INF }, END },
                  { { LIMIT_IO_READ_IOPS_MAX, SDA, 9 }, { LIMIT_IO_WRITE_BANDWIDTH_MAX, SDA, 7 }, END },
                  "8:0 rbps=max wbps=max riops=9 wiops=max" },
                { LIMIT_FILE_IO_MAX,
                  NVME,
                  { { LIMIT_IO_READ_IOPS_MAX, SDB, 9 }, END },
                  { { LIMIT_IO_READ_IOPS_MAX, NVME, 9 }, END },
                  NULL },
                { LIMIT_FILE_IO_LATENCY,
                  NVME,
                  { { LIMIT_IO_DEVICE_LATENCY, NVME, 10000 }, END },
                  { END },
                  "259:3 target=10000" },
                { LIMIT_FILE_IO_LATENCY,
                  NVME,
                  { { LIMIT_IO_DEVICE_LATENCY, NVME, INF }, END },
                  { END },
                  "259:3 target=max" },
        };
        _cleanup_buf_ Buf out = BUF_INIT;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_set_ LimitSet set = LIMIT_SET_INIT, now = LIMIT_SET_INIT;
                int r;

                fill(&set, rows[i].set);
                fill(&now, rows[i].now);
                buf_clear(&out);
                r = limits_format_file(rows[i].file, rows[i].dev, &set, now.n ? &now : NULL, &out);
                assert_int_equal(r, rows[i].text ? 0 : -ENOENT);
                assert_string_equal(buf_str(&out), rows[i].text ? rows[i].text : "");
        }
        assert_int_equal(limits_format_file(_LIMIT_FILE_MAX, 0, &LIMIT_SET_INIT, NULL, &out), -EINVAL);
        assert_int_equal(limits_format_file(_LIMIT_FILE_INVALID, 0, &LIMIT_SET_INIT, NULL, &out), -EINVAL);
}

/* What the kernel holds and we read, we write back to the letter. */
static void test_cpu_max_round_trip(void **state) {
        _cleanup_buf_ Buf out = BUF_INIT;
        char text[64];

        (void)state;
        seed_random();
        for (int i = 0; i < 50000; i++) {
                _cleanup_set_ LimitSet set = LIMIT_SET_INIT;
                uint64_t period = 1000 + next_random() % 999001;
                uint64_t quota = 1000 + (next_random() >> (20 + next_random() % 44));

                snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)quota,
                         (unsigned long long)period);
                assert_int_equal(parse_exact(LIMIT_FILE_CPU_MAX, text, &set), 0);
                buf_clear(&out);
                assert_int_equal(limits_format_file(LIMIT_FILE_CPU_MAX, 0, &set, NULL, &out), 0);
                assert_string_equal(buf_str(&out), text);
        }
}

/* Any quota: at least 1 ms in 1 ms to 1 s, and no more CPU than asked for (but for the least). */
static void test_cpu_period(void **state) {
        (void)state;
        seed_random();
        for (int i = 0; i < 50000; i++) {
                uint64_t quota = next_random() >> (next_random() & 63);
                usec_t period = next_random() >> (next_random() & 63);
                usec_t p = limit_cpu_period(quota, period);

                assert_true(p >= 1000 && p <= 1000000);
                if (quota >= 1010 && quota <= 100 * USEC_PER_SEC)
                        assert_true(quota * p / USEC_PER_SEC >= 999);
        }
        assert_int_equal(limit_cpu_period(LIMIT_INFINITY, USEC_INFINITY), 100000);
        assert_int_equal(limit_cpu_period(LIMIT_INFINITY, 20000), 20000);
        assert_int_equal(limit_cpu_period(0, 20000), 1000000);
}

static void test_compare(void **state) {
        static const struct {
                Limit limit;
                uint64_t actual, desired;
                bool equal, looser;
        } rows[] = {
                { LIMIT_MEMORY_MAX, 4096, 4096, true, false },
                { LIMIT_MEMORY_MAX, 4096, 8191, true, false },
                { LIMIT_MEMORY_MAX, 8192, 8191, false, true },
                { LIMIT_MEMORY_MAX, 4096, 8192, false, false },
                { LIMIT_MEMORY_MAX, INF, 8192, false, true },
                { LIMIT_MEMORY_MAX, 8192, INF, false, false },
                { LIMIT_MEMORY_MAX, INF, INF, true, false },
                { LIMIT_MEMORY_MAX, INF, UINT64_C(1) << 63, true, false }, /* reads back as max */
                { LIMIT_MEMORY_MAX, INF, UINT64_C(1) << 62, false, true },
                { LIMIT_MEMORY_MIN, 4096, 8192, false, true },
                { LIMIT_MEMORY_LOW, 8192, 4096, false, true },
                { LIMIT_CPU_QUOTA, 150000, 155555, true, false },
                { LIMIT_CPU_QUOTA, 510000, 500000, false, true },
                { LIMIT_CPU_QUOTA, 509999, 500000, true, false },
                { LIMIT_CPU_QUOTA, 490000, 500000, false, false },
                { LIMIT_CPU_QUOTA, INF, 500000, false, true },
                { LIMIT_CPU_QUOTA, INF, INF - 1, false, true },
                { LIMIT_CPU_QUOTA, 500000, INF, false, false },
                { LIMIT_CPU_PERIOD, 100000, 100001, false, true },
                { LIMIT_CPU_WEIGHT, 100, 100, true, false },
                { LIMIT_CPU_WEIGHT, 50, 100, false, true },
                { LIMIT_TASKS_MAX, 65, 64, false, true },
                { LIMIT_TASKS_MAX, 63, 64, false, false },
                { LIMIT_IO_READ_BANDWIDTH_MAX, 5000001, 5000000, false, true },
                { LIMIT_IO_DEVICE_LATENCY, 5, 10, false, true },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (limit_equal(rows[i].limit, rows[i].actual, rows[i].desired, 4096) != rows[i].equal ||
                    limit_equal(rows[i].limit, rows[i].desired, rows[i].actual, 4096) != rows[i].equal ||
                    limit_looser(rows[i].limit, rows[i].actual, rows[i].desired, 4096) != rows[i].looser)
                        fail_msg("row %zu", i);
        }
        assert_true(limit_equal(LIMIT_MEMORY_MAX, 5, 5, 0));
        assert_false(limit_equal(LIMIT_MEMORY_MAX, 5, 6, 0));
}

static void test_format_value(void **state) {
        static const struct {
                Limit limit;
                uint64_t v;
                const char *text;
        } rows[] = {
                { LIMIT_MEMORY_MAX, 512 * M, "512M" },
                { LIMIT_MEMORY_HIGH, 1536 * M, "1.5G" },
                { LIMIT_MEMORY_SWAP_MAX, 0, "0" },
                { LIMIT_MEMORY_MAX, INF, "infinity" },
                { LIMIT_CPU_QUOTA, 500000, "50%" },
                { LIMIT_CPU_QUOTA, 4000000, "400%" },
                { LIMIT_CPU_QUOTA, 155555, "15.6%" },
                { LIMIT_CPU_QUOTA, 999999, "100%" },
                { LIMIT_CPU_QUOTA, 100, "0.1%" },
                { LIMIT_CPU_QUOTA, INF, "infinity" },
                { LIMIT_CPU_PERIOD, 100000, "100ms" },
                { LIMIT_CPU_BURST, 0, "0" },
                { LIMIT_CPU_WEIGHT, 100, "100" },
                { LIMIT_TASKS_MAX, 4096, "4096" },
                { LIMIT_IO_READ_BANDWIDTH_MAX, 200000000, "200M/s" },
                { LIMIT_IO_WRITE_IOPS_MAX, 2000, "2000/s" },
                { LIMIT_IO_DEVICE_LATENCY, 10000000, "10s" },
        };
        _cleanup_buf_ Buf out = BUF_INIT;

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                buf_clear(&out);
                assert_int_equal(limit_format_value(rows[i].limit, rows[i].v, &out), 0);
                assert_string_equal(buf_str(&out), rows[i].text);
        }
        assert_int_equal(limit_format_value(_LIMIT_MAX, 1, &out), -EINVAL);
        buf_clear(&out);
        assert_int_equal(limit_format_knob((LimitKnob){ LIMIT_MEMORY_MAX, 0 }, &out), 0);
        assert_int_equal(limit_format_knob((LimitKnob){ LIMIT_IO_READ_BANDWIDTH_MAX, SDA }, &out), 0);
        assert_string_equal(buf_str(&out), "MemoryMaxIOReadBandwidthMax 8:0");
}

/* A set against an array indexed by knob. */
static void test_set_random(void **state) {
        enum { DEVS = 5 };
        _cleanup_set_ LimitSet set = LIMIT_SET_INIT, copy = LIMIT_SET_INIT;
        uint64_t model[_LIMIT_MAX][DEVS] = {}; /* 0: not there */

        (void)state;
        seed_random();
        for (int i = 0; i < 20000; i++) {
                Limit l = (Limit)(next_random() % _LIMIT_MAX);
                dev_t dev = next_random() % DEVS;
                LimitKnob knob = { l, dev };
                uint64_t v = next_random() | 1, got = 0;
                size_t n = 0;

                if (next_random() % 3) {
                        assert_int_equal(limit_set_put(&set, knob, v, (uint32_t)v), 0);
                        model[l][dev] = v;
                } else {
                        assert_int_equal(limit_set_remove(&set, knob), model[l][dev] != 0);
                        model[l][dev] = 0;
                }
                if (next_random() % 1000 == 0) {
                        limit_set_clear(&set);
                        memset(model, 0, sizeof(model));
                }
                for (size_t k = 0; k < set.n; k++) {
                        const LimitEntry *e = &set.entries[k];

                        assert_true(e->value == model[e->knob.limit][e->knob.dev]);
                        assert_int_equal(e->origin, (uint32_t)e->value);
                        if (k)
                                assert_true(limit_knob_cmp(e[-1].knob, e->knob) < 0);
                }
                for (size_t a = 0; a < _LIMIT_MAX; a++)
                        for (size_t b = 0; b < DEVS; b++)
                                n += model[a][b] != 0;
                assert_int_equal(set.n, n);
                assert_int_equal(limit_set_get(&set, knob, &got), model[l][dev] != 0);
                assert_true(got == model[l][dev]);
                if (i % 64 == 0) {
                        assert_int_equal(limit_set_copy(&copy, &set), 0);
                        assert_int_equal(limit_set_copy(&copy, &copy), 0);
                        assert_int_equal(copy.n, set.n);
                        if (set.n)
                                assert_memory_equal(copy.entries, set.entries, set.n * sizeof(*set.entries));
                }
        }
        limit_set_clear(&set);
        assert_int_equal(limit_set_copy(&copy, &set), 0);
        assert_int_equal(copy.n, 0);
        assert_null(limit_set_find(&copy, (LimitKnob){ LIMIT_MEMORY_MAX, 0 }));
}

static void test_same(void **state) {
        _cleanup_(limit_set_deinit) LimitSet a = LIMIT_SET_INIT, b = LIMIT_SET_INIT;
        const LimitKnob tasks = { .limit = LIMIT_TASKS_MAX };

        (void)state;
        assert_true(limit_set_same(&a, &b));
        assert_int_equal(limit_set_put(&a, tasks, 5, 1), 0);
        assert_false(limit_set_same(&a, &b));
        assert_int_equal(limit_set_put(&b, tasks, 5, 2), 0);
        assert_false(limit_set_same(&a, &b)); /* said elsewhere */
        assert_int_equal(limit_set_put(&b, tasks, 5, 1), 0);
        assert_true(limit_set_same(&a, &b));
        assert_int_equal(limit_set_put(&b, tasks, 6, 1), 0);
        assert_false(limit_set_same(&a, &b));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tables),
                cmocka_unit_test(test_parse_scalar),
                cmocka_unit_test(test_parse_cpu_max),
                cmocka_unit_test(test_parse_devices),
                cmocka_unit_test(test_parse_adds),
                cmocka_unit_test(test_format_file),
                cmocka_unit_test(test_cpu_max_round_trip),
                cmocka_unit_test(test_cpu_period),
                cmocka_unit_test(test_compare),
                cmocka_unit_test(test_format_value),
                cmocka_unit_test(test_set_random),
                cmocka_unit_test(test_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
