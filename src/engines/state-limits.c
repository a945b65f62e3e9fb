/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What people asked an engine for, as the kernel's values: the conversions
 * that dockerd, runc and crun make between cgroup v1 terms (shares, blkio
 * weight, memory and swap together) and cgroup v2.
 */

#include <stdio.h>

#include "num.h"
#include "state.h"

#define SHARES_MIN 2
#define SHARES_MAX 262144
#define BLKIO_WEIGHT_MIN 10
#define BLKIO_WEIGHT_MAX 1000
#define PERIOD_DEFAULT 100000
/* The kernel shows memory limits from here on as "max" (PAGE_COUNTER_MAX in bytes). */
#define MEMORY_UNLIMITED 0x7ffffffffffff000

static int put(State *s, Limit limit, uint64_t value) {
        return limit_set_put(&s->info->requested, (LimitKnob){ .limit = limit }, value, 0);
}

static uint64_t clamp(int64_t v, int64_t low, int64_t high) {
        return (uint64_t)(v < low ? low : v > high ? high : v);
}

/* 0: not asked, negative: unlimited. */
static int put_asked(State *s, Limit limit, int64_t asked) {
        uint64_t value = (uint64_t)asked;

        if (asked == 0)
                return 0;
        if (asked < 0 || (limit_info(limit)->is_memory && asked >= MEMORY_UNLIMITED))
                value = LIMIT_INFINITY;
        return put(s, limit, value);
}

/* Engines say memory and swap together, the kernel wants swap alone
 * (ConvertMemorySwapToCgroupV2Value of runc). */
static int put_swap(State *s, const StateAsked *a) {
        if (a->memory_and_swap < 0 || a->memory_and_swap >= MEMORY_UNLIMITED ||
            (a->memory < 0 && a->memory_and_swap == 0))
                return put(s, LIMIT_MEMORY_SWAP_MAX, LIMIT_INFINITY);
        if (a->memory_and_swap == 0 || a->memory <= 0 || a->memory_and_swap < a->memory)
                return 0;
        return put(s, LIMIT_MEMORY_SWAP_MAX, (uint64_t)(a->memory_and_swap - a->memory));
}

static int put_cpu(State *s, const StateAsked *a) {
        uint64_t period = a->period > 0 ? (uint64_t)a->period : PERIOD_DEFAULT;
        int r = 0;

        if (a->quota < 0)
                r = put(s, LIMIT_CPU_QUOTA, LIMIT_INFINITY);
        else if (a->quota > 0)
                r = put(s, LIMIT_CPU_QUOTA,
                        (uint64_t)(((unsigned __int128)(uint64_t)a->quota * 1000000 + period / 2) / period));
        if (r < 0)
                return r;
        if (a->period > 0) {
                r = put(s, LIMIT_CPU_PERIOD, period);
                if (r < 0)
                        return r;
        }
        if (a->burst > 0) {
                r = put(s, LIMIT_CPU_BURST, (uint64_t)a->burst);
                if (r < 0)
                        return r;
        }
        if (a->shares > 0) {
                uint64_t shares = clamp(a->shares, SHARES_MIN, SHARES_MAX);

                return put(s, LIMIT_CPU_WEIGHT, 1 + ((shares - 2) * 9999) / 262142);
        }
        return 0;
}

int state_add_asked(State *s, const StateAsked *a) {
        int r;

        r = put_asked(s, LIMIT_MEMORY_MAX, a->memory);
        if (r < 0)
                return r;
        if (a->reservation > 0) {
                r = put_asked(s, LIMIT_MEMORY_LOW, a->reservation);
                if (r < 0)
                        return r;
        }
        r = put_swap(s, a);
        if (r < 0)
                return r;
        r = put_cpu(s, a);
        if (r < 0)
                return r;
        r = put_asked(s, LIMIT_TASKS_MAX, a->pids);
        if (r < 0)
                return r;
        if (a->blkio_weight > 0) {
                uint64_t w = clamp(a->blkio_weight, BLKIO_WEIGHT_MIN, BLKIO_WEIGHT_MAX);

                r = put(s, LIMIT_IO_WEIGHT, 1 + (w - 10) * 9999 / 990);
        }
        return r;
}

int state_add_device_limit(State *s, Limit limit, dev_t dev, int64_t rate) {
        if (dev == 0 || rate <= 0 || s->info->requested.n >= NAMES_DEVICE_LIMITS_MAX) {
                s->n_dropped++;
                return 0;
        }
        return limit_set_put(&s->info->requested, (LimitKnob){ .limit = limit, .dev = dev }, (uint64_t)rate,
                             0);
}

/* "512M", as the kernel's memparse() takes it. */
static bool parse_suffixed(const char *text, uint64_t *ret) {
        static const char suffixes[] = "kKmMgGtT";
        const char *p = text, *end = text + strlen(text), *suffix;
        uint64_t v;

        if (num_scan_u64(&p, end, &v) < 0 || p + 1 != end)
                return false;
        suffix = strchr(suffixes, *p);
        if (!suffix || !*suffix)
                return false;
        for (ptrdiff_t i = 0; i <= (suffix - suffixes) / 2; i++)
                v = v > UINT64_MAX >> 10 ? UINT64_MAX : v << 10;
        *ret = v;
        return true;
}

int state_add_limit_file(State *s, const char *file, const char *text) {
        LimitFile f = limit_file_from_name(file);
        LimitSet parsed = LIMIT_SET_INIT;
        uint64_t bytes;
        char plain[24];
        int r;

        if (f < 0)
                return 0;
        if (f <= LIMIT_FILE_MEMORY_SWAP_MAX && parse_suffixed(text, &bytes)) {
                (void)snprintf(plain, sizeof(plain), "%llu", (unsigned long long)bytes);
                text = plain;
        }
        r = limits_parse_file(f, text, strlen(text), &parsed);
        if (r == -EINVAL || r == -ERANGE) {
                s->n_dropped++;
                r = 0;
        } else
                for (size_t i = 0; i < parsed.n && r >= 0; i++) {
                        const LimitEntry *e = &parsed.entries[i];

                        if (!limit_info(e->knob.limit)->per_device)
                                r = put(s, e->knob.limit, e->value);
                        else if (e->knob.dev == 0 || s->info->requested.n >= NAMES_DEVICE_LIMITS_MAX)
                                s->n_dropped++;
                        else
                                r = limit_set_put(&s->info->requested, e->knob, e->value, 0);
                }
        limit_set_deinit(&parsed);
        return MIN_OF(r, 0);
}
