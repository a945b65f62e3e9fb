/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From looks to rows, from rows to coarser ones.
 *
 * A row is made when the first look of a later slot comes: then, and not before, all looks of its slot are known. So rows depend
 * on the looks alone, not on when somebody fetched them, and a stream that is read again from further back gives the same ones.
 * What was used between the last look of one slot and the first of the next belongs to the later one: no interval
 * is cut, so sums are exact whatever the looks' rhythm.
 *
 * Most containers do nothing most of the time. They have no row until something changes, but one in each five minutes,
 * so that coarser rows know what they held. Memory over time and the time that they lived do not count as something: they
 * grow always.
 */

#include "num.h"
#include "usagerow.h"

static const struct {
        const char *name;
        SampleField from; /* _SAMPLE_INVALID: made by us */
} infos[_USAGE_GAUGE_MAX] = {
        [USAGE_CPU_PERMYRIAD] = { "cpu_permyriad", _SAMPLE_INVALID },
        [USAGE_MEMORY] = { "memory_bytes", SAMPLE_MEMORY },
        [USAGE_WORKING_SET] = { "working_set_bytes", _SAMPLE_INVALID },
        [USAGE_SWAP] = { "swap_bytes", SAMPLE_SWAP },
        [USAGE_TASKS] = { "tasks", SAMPLE_PIDS },
        [USAGE_MEMORY_PEAK] = { "memory_peak_bytes", _SAMPLE_INVALID },
};

const char *usage_gauge_name(UsageGauge g) { return infos[g].name; }

void usage_row_set_gauge(UsageRow *row, UsageGauge g, uint64_t v) {
        row->have |= UINT32_C(1) << g;
        row->gauges[g] = (UsageStat){ v, v, v, v };
}

void usage_row_set_cpu(UsageRow *row) {
        if (row->span_msec > 0)
                usage_row_set_gauge(row, USAGE_CPU_PERMYRIAD,
                                    num_muldiv(row->counters[BOOK_CPU_USEC], 10, row->span_msec));
}

static bool row_has(const UsageRow *row, UsageGauge g) { return row->have >> g & 1; }

static uint64_t mean_of(uint64_t a, uint64_t weight_a, uint64_t b, uint64_t weight_b) {
        unsigned __int128 weights = (unsigned __int128)weight_a + weight_b;

        return weights == 0 ? b
                            : (uint64_t)(((unsigned __int128)a * weight_a + (unsigned __int128)b * weight_b) /
                                         weights);
}

void usage_row_merge(UsageRow *to, const UsageRow *from) {
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                UsageStat *a = &to->gauges[g];
                const UsageStat *b = &from->gauges[g];

                if (!row_has(from, g))
                        continue;
                if (!row_has(to, g))
                        *a = *b;
                else
                        *a = (UsageStat){ MIN_OF(a->min, b->min),
                                          mean_of(a->mean, to->span_msec, b->mean, from->span_msec),
                                          MAX_OF(a->max, b->max), MAX_OF(a->p95, b->p95) };
                to->have |= UINT32_C(1) << g;
        }
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                to->counters[f] = num_add_sat(to->counters[f], from->counters[f]);
        to->span_msec = num_add_sat(to->span_msec, from->span_msec);
        to->looks = num_add_sat(to->looks, from->looks);
        to->time = MAX_OF(to->time, from->time);
}

void usage_row_to_book(const UsageRow *row, Book *ret) {
        *ret = (Book){};
        memcpy(ret->v, row->counters, sizeof(row->counters));
        ret->v[BOOK_PEAK_MEMORY] = MAX_OF(row->gauges[USAGE_MEMORY_PEAK].max, row->gauges[USAGE_MEMORY].max);
        ret->v[BOOK_PEAK_MEMORY_KIND] = PEAK_SAMPLED;
        ret->v[BOOK_PEAK_SWAP] = row->gauges[USAGE_SWAP].max;
        ret->v[BOOK_PEAK_TASKS] = row->gauges[USAGE_TASKS].max;
}

/* ---- looks ---- */

uint64_t usagerow_slot_end(uint64_t time, uint64_t sec) {
        return time == 0 ? sec : num_muldiv((time - 1) / sec + 1, sec, 1);
}

static void make_row(const UsageTally *t, UsageRow *row) {
        uint64_t working;

        *row = (UsageRow){ .time = t->slot, .looks = 1 };
        row->span_msec = t->last_at > t->row_from ? (t->last_at - t->row_from) / USEC_PER_MSEC : 0;
        memcpy(row->counters, t->book.v, sizeof(row->counters));
        usage_row_set_cpu(row);
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                if (infos[g].from >= 0 && sample_has(&t->last, infos[g].from))
                        usage_row_set_gauge(row, g, t->last.v[infos[g].from]);
        if (sample_working_set(&t->last, &working))
                usage_row_set_gauge(row, USAGE_WORKING_SET, working);
        if (t->book.v[BOOK_PEAK_MEMORY] > 0)
                usage_row_set_gauge(row, USAGE_MEMORY_PEAK, t->book.v[BOOK_PEAK_MEMORY]);
}

static bool is_quiet(const UsageTally *t, const UsageRow *row) {
        if (row->have != t->gauges_have)
                return false;
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                if (row->gauges[g].max != t->gauges[g])
                        return false;
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                if (row->counters[f] > 0 && f != BOOK_MEMORY_KIB_SECONDS && f != BOOK_SWAP_KIB_SECONDS &&
                    f != BOOK_LIFE_USEC)
                        return false;
        return true;
}

static void begin_row(UsageTally *t) {
        uint64_t rest[ARRAY_SIZE(t->book.rest)], oom_at = t->book.oom_at;

        memcpy(rest, t->book.rest, sizeof(rest));
        t->book = (Book){ .oom_at = oom_at };
        memcpy(t->book.rest, rest, sizeof(rest));
        t->row_from = t->last_at;
}

static void close_row(UsageTally *t, const UsageRow *row) {
        t->gauges_have = row->have;
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                t->gauges[g] = row->gauges[g].max;
        begin_row(t);
}

static bool close_slot(UsageTally *t, uint64_t next, UsageRow *ret) {
        UsageRow row;

        make_row(t, &row);
        if (is_quiet(t, &row) &&
            usagerow_slot_end(t->slot, USAGEROW_QUIET_SEC) == usagerow_slot_end(next, USAGEROW_QUIET_SEC))
                return false;
        close_row(t, &row);
        *ret = row;
        return true;
}

bool usagerow_look(UsageTally *t, const Sample *s, uint64_t realtime, bool born, UsageRow *ret) {
        uint64_t slot = usagerow_slot_end((realtime + USEC_PER_SEC - 1) / USEC_PER_SEC, USAGEROW_SLOT_SEC);
        bool told = false;

        if (slot <= t->done) { /* on file */
                t->last = *s;
                t->last_at = t->row_from = realtime;
                t->slot = slot;
                return false;
        }
        t->done = 0;
        if (t->last_at > 0 && slot != t->slot && t->last_at > t->row_from)
                told = close_slot(t, slot, ret);
        book_account(&t->book, t->last_at > 0 ? &t->last : NULL, s, born);
        if (t->last_at == 0 || realtime < t->last_at) /* the clock was set back: spans begin anew */
                t->row_from = realtime - MIN_OF(realtime, t->book.v[BOOK_LIFE_USEC]);
        t->last = *s;
        t->last_at = realtime;
        t->slot = slot;
        return told;
}

bool usagerow_end(UsageTally *t, uint64_t realtime, BookEnd how, UsageRow *ret) {
        uint64_t unseen = realtime > t->last_at ? realtime - t->last_at : 0;

        if (t->last_at == 0 || t->done > 0)
                return false;
        book_end(&t->book, &t->last, num_add_sat(t->last.at, unseen), how);
        make_row(t, ret);
        close_row(t, ret);
        return true;
}

/* ---- many into one ---- */

void rollup_deinit(Rollup *r) {
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                free(r->values[g]);
        *r = (Rollup){};
}

int rollup_add(Rollup *r, const UsageRow *row) {
        uint64_t weight = MAX_OF(row->span_msec, (uint64_t)1);

        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++)
                if (row_has(row, g) && GROW(r->values[g], r->n[g], r->alloc[g]) < 0)
                        return -ENOMEM;
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                if (!row_has(row, g))
                        continue;
                r->values[g][r->n[g]++] = (RollupValue){ row->gauges[g].p95, weight };
                r->weighted[g] += (unsigned __int128)row->gauges[g].mean * weight;
                r->weights[g] += weight;
        }
        usage_row_merge(&r->sum, row);
        return 0;
}

static int by_value(const void *a, const void *b) {
        const RollupValue *x = a, *y = b;

        return x->v < y->v ? -1 : x->v > y->v;
}

static uint64_t percentile_95(RollupValue *values, size_t n, uint64_t weights) {
        unsigned __int128 below = 0;

        qsort(values, n, sizeof(*values), by_value);
        for (size_t i = 0; i < n; i++) {
                below += values[i].weight;
                if (below * 100 >= (unsigned __int128)weights * 95)
                        return values[i].v;
        }
        return n > 0 ? values[n - 1].v : 0;
}

void rollup_finish(Rollup *r, uint64_t time, UsageRow *ret) {
        for (UsageGauge g = 0; g < _USAGE_GAUGE_MAX; g++) {
                if (!row_has(&r->sum, g))
                        continue;
                r->sum.gauges[g].mean = (uint64_t)(r->weighted[g] / r->weights[g]);
                r->sum.gauges[g].p95 = percentile_95(r->values[g], r->n[g], r->weights[g]);
        }
        r->sum.time = time;
        *ret = r->sum;
}
