/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Resource limits as values: the one table that knows what a limit is called
 * in policy, on the bus and in the kernel, sets of limits, and the kernel's
 * text to and from such sets.
 *
 * The formats are those of Documentation/admin-guide/cgroup-v2.rst. Most files
 * hold one number or "max". Three do not: cpu.max holds a quota and a period,
 * which we keep as CPU time per second (as systemd's CPUQuotaPerSecUSec does)
 * and the period, so that quotas can be compared whatever their periods are;
 * io.max and io.latency hold a line per device with named fields. Reading
 * takes what it knows and skips the rest, since kernels add words and lines.
 *
 * A text that was read gives the same text when it is formatted again: the
 * quota per second is rounded up on reading and down on writing, and with
 * periods of at most a second these two cancel out. Giving back a limit relies
 * on it.
 */

#include <sys/sysmacros.h>

#include "limits.h"
#include "num.h"
#include "value.h"

#define CPU_PERIOD_DEFAULT_USEC (100 * USEC_PER_MSEC)
#define CPU_PERIOD_MIN_USEC USEC_PER_MSEC
#define CPU_PERIOD_MAX_USEC USEC_PER_SEC
#define CPU_QUOTA_MIN_USEC USEC_PER_MSEC /* per period */
#define CPU_QUOTA_TOLERANCE (USEC_PER_SEC / 100)

static const LimitInfo infos[_LIMIT_MAX] = {
        [LIMIT_MEMORY_MIN] = { "MemoryMin", "MemoryMin", LIMIT_FILE_MEMORY_MIN, LIMIT_EXACT,
                               .is_memory = true, .unset = 0 },
        [LIMIT_MEMORY_LOW] = { "MemoryLow", "MemoryLow", LIMIT_FILE_MEMORY_LOW, LIMIT_EXACT,
                               .is_memory = true, .unset = 0 },
        [LIMIT_MEMORY_HIGH] = { "MemoryHigh", "MemoryHigh", LIMIT_FILE_MEMORY_HIGH, LIMIT_CEILING,
                                .is_memory = true, .unset = LIMIT_INFINITY },
        [LIMIT_MEMORY_MAX] = { "MemoryMax", "MemoryMax", LIMIT_FILE_MEMORY_MAX, LIMIT_CEILING,
                               .is_memory = true, .unset = LIMIT_INFINITY },
        [LIMIT_MEMORY_SWAP_MAX] = { "MemorySwapMax", "MemorySwapMax", LIMIT_FILE_MEMORY_SWAP_MAX,
                                    LIMIT_CEILING, .is_memory = true, .unset = LIMIT_INFINITY },
        [LIMIT_CPU_QUOTA] = { "CPUQuota", "CPUQuotaPerSecUSec", LIMIT_FILE_CPU_MAX, LIMIT_CEILING,
                              .unset = LIMIT_INFINITY },
        [LIMIT_CPU_PERIOD] = { "CPUQuotaPeriodSec", "CPUQuotaPeriodUSec", LIMIT_FILE_CPU_MAX, LIMIT_EXACT,
                               .unset = CPU_PERIOD_DEFAULT_USEC },
        [LIMIT_CPU_BURST] = { "CPUBurst", NULL, LIMIT_FILE_CPU_MAX_BURST, LIMIT_CEILING, .unset = 0 },
        [LIMIT_CPU_WEIGHT] = { "CPUWeight", "CPUWeight", LIMIT_FILE_CPU_WEIGHT, LIMIT_EXACT, .unset = 100 },
        [LIMIT_IO_WEIGHT] = { "IOWeight", "IOWeight", LIMIT_FILE_IO_WEIGHT, LIMIT_EXACT, .unset = 100 },
        [LIMIT_TASKS_MAX] = { "TasksMax", "TasksMax", LIMIT_FILE_PIDS_MAX, LIMIT_CEILING,
                              .unset = LIMIT_INFINITY },
        [LIMIT_IO_READ_BANDWIDTH_MAX] = { "IOReadBandwidthMax", "IOReadBandwidthMax", LIMIT_FILE_IO_MAX,
                                          LIMIT_CEILING, .per_device = true, .unset = LIMIT_INFINITY },
        [LIMIT_IO_WRITE_BANDWIDTH_MAX] = { "IOWriteBandwidthMax", "IOWriteBandwidthMax", LIMIT_FILE_IO_MAX,
                                           LIMIT_CEILING, .per_device = true, .unset = LIMIT_INFINITY },
        [LIMIT_IO_READ_IOPS_MAX] = { "IOReadIOPSMax", "IOReadIOPSMax", LIMIT_FILE_IO_MAX, LIMIT_CEILING,
                                     .per_device = true, .unset = LIMIT_INFINITY },
        [LIMIT_IO_WRITE_IOPS_MAX] = { "IOWriteIOPSMax", "IOWriteIOPSMax", LIMIT_FILE_IO_MAX, LIMIT_CEILING,
                                      .per_device = true, .unset = LIMIT_INFINITY },
        [LIMIT_IO_DEVICE_LATENCY] = { "IODeviceLatencyTargetSec", "IODeviceLatencyTargetUSec",
                                      LIMIT_FILE_IO_LATENCY, LIMIT_EXACT, .per_device = true,
                                      .unset = LIMIT_INFINITY },
};

static const struct {
        const char *name;
        const char *controller;
} files[_LIMIT_FILE_MAX] = {
        [LIMIT_FILE_MEMORY_MIN] = { "memory.min", "memory" },
        [LIMIT_FILE_MEMORY_LOW] = { "memory.low", "memory" },
        [LIMIT_FILE_MEMORY_HIGH] = { "memory.high", "memory" },
        [LIMIT_FILE_MEMORY_MAX] = { "memory.max", "memory" },
        [LIMIT_FILE_MEMORY_SWAP_MAX] = { "memory.swap.max", "memory" },
        [LIMIT_FILE_CPU_MAX] = { "cpu.max", "cpu" },
        [LIMIT_FILE_CPU_MAX_BURST] = { "cpu.max.burst", "cpu" },
        [LIMIT_FILE_CPU_WEIGHT] = { "cpu.weight", "cpu" },
        [LIMIT_FILE_IO_WEIGHT] = { "io.weight", "io" },
        [LIMIT_FILE_PIDS_MAX] = { "pids.max", "pids" },
        [LIMIT_FILE_IO_MAX] = { "io.max", "io" },
        [LIMIT_FILE_IO_LATENCY] = { "io.latency", "io" },
};

/* The fields of a device's line, in the order in which the kernel prints them. */
static const struct {
        const char *name;
        LimitFile file;
        Limit limit;
} fields[] = {
        { "rbps=", LIMIT_FILE_IO_MAX, LIMIT_IO_READ_BANDWIDTH_MAX },
        { "wbps=", LIMIT_FILE_IO_MAX, LIMIT_IO_WRITE_BANDWIDTH_MAX },
        { "riops=", LIMIT_FILE_IO_MAX, LIMIT_IO_READ_IOPS_MAX },
        { "wiops=", LIMIT_FILE_IO_MAX, LIMIT_IO_WRITE_IOPS_MAX },
        { "target=", LIMIT_FILE_IO_LATENCY, LIMIT_IO_DEVICE_LATENCY },
};

const LimitInfo *limit_info(Limit limit) { return &infos[limit]; }

const char *limit_file_name(LimitFile file) { return files[file].name; }

const char *limit_file_controller(LimitFile file) { return files[file].controller; }

LimitFile limit_file_from_name(const char *name) {
        for (LimitFile f = 0; f < _LIMIT_FILE_MAX; f++)
                if (STR_EQ(files[f].name, name))
                        return f;
        return _LIMIT_FILE_INVALID;
}

Limit limit_from_key(const char *key) {
        for (Limit l = 0; l < _LIMIT_MAX; l++)
                if (STR_EQ(infos[l].key, key))
                        return l;
        return _LIMIT_INVALID;
}

/* The first limit that a file holds; the only one but for cpu.max and the files per device. */
static Limit limit_of_file(LimitFile file) {
        Limit l = 0;

        while (infos[l].file != file)
                l++;
        return l;
}

/* ---- sets ---- */

void limit_set_deinit(LimitSet *set) {
        free(set->entries);
        *set = LIMIT_SET_INIT;
}

void limit_set_clear(LimitSet *set) { set->n = 0; }

int limit_set_copy(LimitSet *to, const LimitSet *from) {
        if (to == from)
                return 0;
        if (from->n > to->alloc) {
                LimitEntry *p = reallocarray(to->entries, from->n, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                to->entries = p;
                to->alloc = from->n;
        }
        if (from->n)
                memcpy(to->entries, from->entries, from->n * sizeof(*from->entries));
        to->n = from->n;
        return 0;
}

int limit_knob_cmp(LimitKnob a, LimitKnob b) {
        if (a.limit != b.limit)
                return a.limit < b.limit ? -1 : 1;
        return a.dev < b.dev ? -1 : a.dev > b.dev;
}

/* Where knob is, or where it belongs. */
static size_t position(const LimitSet *set, LimitKnob knob) {
        size_t lo = 0, hi = set->n;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (limit_knob_cmp(set->entries[mid].knob, knob) < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

LimitEntry *limit_set_find(const LimitSet *set, LimitKnob knob) {
        size_t i = position(set, knob);

        if (i == set->n || limit_knob_cmp(set->entries[i].knob, knob) != 0)
                return NULL;
        return &set->entries[i];
}

bool limit_set_get(const LimitSet *set, LimitKnob knob, uint64_t *ret) {
        const LimitEntry *e = limit_set_find(set, knob);

        if (e)
                *ret = e->value;
        return e;
}

bool limit_set_get_scalar(const LimitSet *set, Limit limit, uint64_t *ret) {
        return limit_set_get(set, (LimitKnob){ .limit = limit }, ret);
}

int limit_set_put(LimitSet *set, LimitKnob knob, uint64_t value, uint32_t origin) {
        size_t i = position(set, knob);
        int r;

        if (i == set->n || limit_knob_cmp(set->entries[i].knob, knob) != 0) {
                r = GROW(set->entries, set->n, set->alloc);
                if (r < 0)
                        return r;
                memmove(set->entries + i + 1, set->entries + i, (set->n - i) * sizeof(*set->entries));
                set->n++;
        }
        set->entries[i] = (LimitEntry){ .knob = knob, .value = value, .origin = origin };
        return 0;
}

bool limit_set_same(const LimitSet *a, const LimitSet *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (limit_knob_cmp(a->entries[i].knob, b->entries[i].knob) != 0 ||
                    a->entries[i].value != b->entries[i].value ||
                    a->entries[i].origin != b->entries[i].origin)
                        return false;
        return true;
}

bool limit_set_remove(LimitSet *set, LimitKnob knob) {
        LimitEntry *e = limit_set_find(set, knob);

        if (!e)
                return false;
        set->n--;
        memmove(e, e + 1, (size_t)(set->entries + set->n - e) * sizeof(*e));
        return true;
}

/* ---- from the kernel's text ---- */

/* A part of the text; what is left of it while it is taken apart. */
typedef struct Span {
        const char *p, *end;
} Span;

static bool next_line(Span *text, Span *ret) {
        const char *e;

        if (text->p == text->end)
                return false;
        e = memchr(text->p, '\n', (size_t)(text->end - text->p));
        *ret = (Span){ text->p, e ? e : text->end };
        text->p = e ? e + 1 : text->end;
        return true;
}

static bool next_word(Span *line, Span *ret) {
        while (line->p < line->end && (*line->p == ' ' || *line->p == '\t'))
                line->p++;
        ret->p = line->p;
        while (line->p < line->end && *line->p != ' ' && *line->p != '\t')
                line->p++;
        ret->end = line->p;
        return ret->p < ret->end;
}

static bool span_is(Span s, const char *text) {
        size_t n = strlen(text);

        return (size_t)(s.end - s.p) == n && memcmp(s.p, text, n) == 0;
}

static bool span_skip(Span *s, const char *prefix) {
        size_t n = strlen(prefix);

        if ((size_t)(s->end - s->p) < n || memcmp(s->p, prefix, n) != 0)
                return false;
        s->p += n;
        return true;
}

/* A whole word: a number, or "max". */
static int parse_word(Span w, uint64_t *ret) {
        uint64_t v;

        if (span_is(w, "max"))
                v = LIMIT_INFINITY;
        else if (num_scan_u64(&w.p, w.end, &v) < 0 || w.p != w.end)
                return -EINVAL;
        *ret = v;
        return 0;
}

/* "8:16"; false for the words of other lines. 0:0 is no device, and would be
 * mistaken for "not per device". */
static bool parse_device(Span w, dev_t *ret) {
        uint64_t major, minor;

        if (num_scan_u64(&w.p, w.end, &major) < 0 || !span_skip(&w, ":") ||
            num_scan_u64(&w.p, w.end, &minor) < 0 || w.p != w.end)
                return false;
        if (major > UINT32_MAX || minor > UINT32_MAX || (major == 0 && minor == 0))
                return false;
        *ret = makedev((unsigned)major, (unsigned)minor);
        return true;
}

static int put_scalar(LimitSet *set, Limit limit, uint64_t value) {
        return limit_set_put(set, (LimitKnob){ .limit = limit }, value, 0);
}

static int parse_scalar(LimitFile file, Span text, LimitSet *set) {
        Span line, word;
        uint64_t v;
        int r;

        if (!next_line(&text, &line) || !next_word(&line, &word))
                return -EINVAL;
        r = parse_word(word, &v);
        if (r < 0)
                return r;
        return put_scalar(set, limit_of_file(file), v);
}

static int parse_cpu_max(Span text, LimitSet *set) {
        uint64_t quota, period;
        Span line, word;
        int r;

        if (!next_line(&text, &line) || !next_word(&line, &word))
                return -EINVAL;
        r = parse_word(word, &quota);
        if (r < 0)
                return r;
        if (!next_word(&line, &word))
                return -EINVAL;
        r = parse_word(word, &period);
        if (r < 0)
                return r;
        if (period == 0 || period == LIMIT_INFINITY)
                return -EINVAL;
        if (quota != LIMIT_INFINITY) {
                /* Rounded up, so that formatting gives the same text back. */
                unsigned __int128 per_sec = ((unsigned __int128)quota * USEC_PER_SEC + period - 1) / period;

                quota = per_sec < LIMIT_INFINITY ? (uint64_t)per_sec : LIMIT_INFINITY - 1;
        }
        r = put_scalar(set, LIMIT_CPU_QUOTA, quota);
        if (r < 0)
                return r;
        return put_scalar(set, LIMIT_CPU_PERIOD, period);
}

static int parse_io_weight(Span text, LimitSet *set) {
        Span line, word;
        uint64_t v;
        int r;

        while (next_line(&text, &line)) {
                if (!next_word(&line, &word) || !span_is(word, "default"))
                        continue;
                if (!next_word(&line, &word))
                        return -EINVAL;
                r = parse_word(word, &v);
                if (r < 0)
                        return r;
                return put_scalar(set, LIMIT_IO_WEIGHT, v);
        }
        return -EINVAL;
}

static int parse_fields(LimitFile file, dev_t dev, Span line, LimitSet *set) {
        Span word;
        uint64_t v;
        int r;

        while (next_word(&line, &word))
                for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                        if (fields[i].file != file || !span_skip(&word, fields[i].name))
                                continue;
                        r = parse_word(word, &v);
                        if (r < 0)
                                return r;
                        if (v == LIMIT_INFINITY)
                                break;
                        r = limit_set_put(set, (LimitKnob){ fields[i].limit, dev }, v, 0);
                        if (r < 0)
                                return r;
                        break;
                }
        return 0;
}

static int parse_devices(LimitFile file, Span text, LimitSet *set) {
        bool any = false, other = false;
        Span line, word;
        dev_t dev;
        int r;

        while (next_line(&text, &line)) {
                if (!next_word(&line, &word))
                        continue;
                if (!parse_device(word, &dev)) {
                        other = true;
                        continue;
                }
                any = true;
                r = parse_fields(file, dev, line, set);
                if (r < 0)
                        return r;
        }
        /* Empty is fine: no device has a limit. Text without a device is no such file. */
        return other && !any ? -EINVAL : 0;
}

int limits_parse_file(LimitFile file, const char *text, size_t len, LimitSet *set) {
        Span all = { text, text + len };

        switch (file) {
        case LIMIT_FILE_CPU_MAX:
                return parse_cpu_max(all, set);
        case LIMIT_FILE_IO_WEIGHT:
                return parse_io_weight(all, set);
        case LIMIT_FILE_IO_MAX:
        case LIMIT_FILE_IO_LATENCY:
                return parse_devices(file, all, set);
        case LIMIT_FILE_MEMORY_MIN:
        case LIMIT_FILE_MEMORY_LOW:
        case LIMIT_FILE_MEMORY_HIGH:
        case LIMIT_FILE_MEMORY_MAX:
        case LIMIT_FILE_MEMORY_SWAP_MAX:
        case LIMIT_FILE_CPU_MAX_BURST:
        case LIMIT_FILE_CPU_WEIGHT:
        case LIMIT_FILE_PIDS_MAX:
                return parse_scalar(file, all, set);
        case _LIMIT_FILE_MAX:
        case _LIMIT_FILE_INVALID:
                break;
        }
        return -EINVAL;
}

/* ---- to the kernel's text ---- */

static void put_word(Buf *out, const char *name, uint64_t v) {
        if (v == LIMIT_INFINITY)
                buf_printf(out, "%smax", name);
        else
                buf_printf(out, "%s%llu", name, (unsigned long long)v);
}

/* What the kernel should hold: set's value, else now's, else the default. True if set has it. */
static bool wanted(LimitKnob knob, const LimitSet *set, const LimitSet *now, uint64_t *ret) {
        if (limit_set_get(set, knob, ret))
                return true;
        if (!now || !limit_set_get(now, knob, ret))
                *ret = infos[knob.limit].unset;
        return false;
}

usec_t limit_cpu_period(uint64_t quota, usec_t period) {
        if (period == USEC_INFINITY)
                period = CPU_PERIOD_DEFAULT_USEC;
        period = MAX_OF(period, CPU_PERIOD_MIN_USEC);
        if (quota != LIMIT_INFINITY) {
                /* The period in which this quota amounts to the kernel's floor. */
                usec_t least = CPU_QUOTA_MIN_USEC * USEC_PER_SEC / MAX_OF(quota, (uint64_t)1);

                period = MAX_OF(period, least);
        }
        return MIN_OF(period, CPU_PERIOD_MAX_USEC);
}

static int format_cpu_max(const LimitSet *set, const LimitSet *now, Buf *out) {
        uint64_t quota, period;
        bool any;

        any = wanted((LimitKnob){ .limit = LIMIT_CPU_QUOTA }, set, now, &quota);
        any = wanted((LimitKnob){ .limit = LIMIT_CPU_PERIOD }, set, now, &period) || any;
        if (!any)
                return -ENOENT;
        period = limit_cpu_period(quota, period);
        if (quota != LIMIT_INFINITY) {
                quota = num_muldiv(quota, period, USEC_PER_SEC);
                quota = MAX_OF(quota, CPU_QUOTA_MIN_USEC);
        }
        put_word(out, "", quota);
        put_word(out, " ", period);
        return buf_error(out);
}

static int format_device(LimitFile file, dev_t dev, const LimitSet *set, const LimitSet *now, Buf *out) {
        uint64_t values[ARRAY_SIZE(fields)] = {};
        bool any = false;

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (fields[i].file == file &&
                    wanted((LimitKnob){ fields[i].limit, dev }, set, now, &values[i]))
                        any = true;
        if (!any)
                return -ENOENT;
        buf_printf(out, "%u:%u", major(dev), minor(dev));
        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                if (fields[i].file != file)
                        continue;
                buf_putc(out, ' ');
                put_word(out, fields[i].name, values[i]);
        }
        return buf_error(out);
}

int limits_format_file(LimitFile file, dev_t dev, const LimitSet *set, const LimitSet *now, Buf *out) {
        uint64_t v;

        if (file < 0 || file >= _LIMIT_FILE_MAX)
                return -EINVAL;
        if (file == LIMIT_FILE_IO_MAX || file == LIMIT_FILE_IO_LATENCY)
                return format_device(file, dev, set, now, out);
        if (file == LIMIT_FILE_CPU_MAX)
                return format_cpu_max(set, now, out);
        if (!limit_set_get_scalar(set, limit_of_file(file), &v))
                return -ENOENT;
        put_word(out, file == LIMIT_FILE_IO_WEIGHT ? "default " : "", v);
        return buf_error(out);
}

/* ---- comparison ---- */

/*
 * A memory value as the kernel keeps it: whole pages, and all from
 * PAGE_COUNTER_MAX on reads back as "max".
 */
static uint64_t to_pages(uint64_t bytes, uint64_t page_size) {
        uint64_t page = MAX_OF(page_size, (uint64_t)1);

        return bytes / page >= INT64_MAX / page ? LIMIT_INFINITY : bytes / page;
}

bool limit_equal(Limit limit, uint64_t a, uint64_t b, uint64_t page_size) {
        if (infos[limit].is_memory)
                return to_pages(a, page_size) == to_pages(b, page_size);
        if (limit == LIMIT_CPU_QUOTA && a != LIMIT_INFINITY && b != LIMIT_INFINITY)
                return (a < b ? b - a : a - b) < CPU_QUOTA_TOLERANCE;
        return a == b;
}

bool limit_looser(Limit limit, uint64_t actual, uint64_t desired, uint64_t page_size) {
        if (limit_equal(limit, actual, desired, page_size))
                return false;
        return infos[limit].sense == LIMIT_EXACT || actual > desired;
}

/* ---- for people ---- */

int limit_format_value(Limit limit, uint64_t value, Buf *out) {
        char text[VALUE_FORMAT_MAX];
        uint64_t tenths;

        if (value == LIMIT_INFINITY) {
                buf_puts(out, "infinity");
                return buf_error(out);
        }
        switch (limit) {
        case LIMIT_MEMORY_MIN:
        case LIMIT_MEMORY_LOW:
        case LIMIT_MEMORY_HIGH:
        case LIMIT_MEMORY_MAX:
        case LIMIT_MEMORY_SWAP_MAX:
                buf_puts(out, value_format_bytes(value, text, sizeof(text)));
                break;
        case LIMIT_CPU_QUOTA:
                tenths = value / 1000 + (value % 1000 >= 500);
                if (value > 0) /* a tiny quota is not none */
                        tenths = MAX_OF(tenths, (uint64_t)1);
                buf_printf(out, "%llu", (unsigned long long)(tenths / 10));
                if (tenths % 10)
                        buf_printf(out, ".%llu", (unsigned long long)(tenths % 10));
                buf_putc(out, '%');
                break;
        case LIMIT_CPU_PERIOD:
        case LIMIT_CPU_BURST:
        case LIMIT_IO_DEVICE_LATENCY:
                buf_puts(out, value_format_usec(value, text, sizeof(text)));
                break;
        case LIMIT_IO_READ_BANDWIDTH_MAX:
        case LIMIT_IO_WRITE_BANDWIDTH_MAX:
                buf_printf(out, "%s/s", value_format_size(value, 1000, text, sizeof(text)));
                break;
        case LIMIT_IO_READ_IOPS_MAX:
        case LIMIT_IO_WRITE_IOPS_MAX:
                buf_printf(out, "%llu/s", (unsigned long long)value);
                break;
        case LIMIT_CPU_WEIGHT:
        case LIMIT_IO_WEIGHT:
        case LIMIT_TASKS_MAX:
                buf_printf(out, "%llu", (unsigned long long)value);
                break;
        case _LIMIT_MAX:
        case _LIMIT_INVALID:
                return -EINVAL;
        }
        return buf_error(out);
}

int limit_format_knob(LimitKnob knob, Buf *out) {
        buf_puts(out, infos[knob.limit].key);
        if (infos[knob.limit].per_device)
                buf_printf(out, " %u:%u", major(knob.dev), minor(knob.dev));
        return buf_error(out);
}
