/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel's texts to samples. A guard does this some ten thousand times a
 * second, so it is written for what the kernel prints: one pass, no copy, and a
 * line that nobody wants costs a look for its end.
 *
 * Most files are lines of "key number". The keys that we want are listed in the
 * order in which kernels print them, and only the next one of the list is tried
 * on a line, so that one byte settles most. Where that did not find them
 * all (a kernel that does not have one, or prints it elsewhere), the text is
 * gone through again for the others in any order. Of two lines of one key
 * (no kernel prints such) one counts, and once all are there the rest of the
 * text is not read.
 *
 * What is believed: a number of at most 64 bits that ends where the line or a
 * blank does (so that newer kernels may add columns), on a line that has its
 * newline. All else is as if it were not there.
 */

#include "num.h"
#include "sample-internal.h"

typedef struct Key {
        const char *name; /* a blank follows in the text */
        uint8_t len;
        uint8_t field; /* several keys of one field are summed */
} Key;
#define KEY(name, field) \
        { name, sizeof(name) - 1, field }

static const Key cpu_stat_keys[] = {
        KEY("usage_usec", SAMPLE_CPU_USAGE),       KEY("user_usec", SAMPLE_CPU_USER),
        KEY("system_usec", SAMPLE_CPU_SYSTEM),     KEY("nr_periods", SAMPLE_CPU_PERIODS),
        KEY("nr_throttled", SAMPLE_CPU_THROTTLED), KEY("throttled_usec", SAMPLE_CPU_THROTTLED_USEC),
        KEY("burst_usec", SAMPLE_CPU_BURST_USEC),
};

static const Key memory_stat_keys[] = {
        KEY("anon", SAMPLE_ANON),
        KEY("file", SAMPLE_FILE),
        KEY("kernel", SAMPLE_KERNEL),
        KEY("shmem", SAMPLE_SHMEM),
        KEY("file_dirty", SAMPLE_FILE_DIRTY),
        KEY("file_writeback", SAMPLE_FILE_WRITEBACK),
        KEY("inactive_file", SAMPLE_INACTIVE_FILE),
        KEY("workingset_refault_anon", SAMPLE_REFAULT_ANON),
        KEY("workingset_refault_file", SAMPLE_REFAULT_FILE),
        KEY("pgscan", SAMPLE_PGSCAN),
        KEY("pgsteal", SAMPLE_PGSTEAL),
        KEY("pgfault", SAMPLE_PGFAULT),
        KEY("pgmajfault", SAMPLE_PGMAJFAULT),
};

static const Key memory_events_keys[] = {
        KEY("low", SAMPLE_EVENTS_LOW), KEY("high", SAMPLE_EVENTS_HIGH),         KEY("max", SAMPLE_EVENTS_MAX),
        KEY("oom", SAMPLE_EVENTS_OOM), KEY("oom_kill", SAMPLE_EVENTS_OOM_KILL),
};

static const Key pids_events_keys[] = {
        KEY("max", SAMPLE_PIDS_EVENTS_MAX),
};

static const Key cgroup_events_keys[] = {
        KEY("populated", SAMPLE_POPULATED),
        KEY("frozen", SAMPLE_FROZEN),
};

static const Key meminfo_keys[] = {
        KEY("MemTotal:", SAMPLE_HOST_MEMORY_TOTAL),
        KEY("MemFree:", SAMPLE_HOST_MEMORY_FREE),
        KEY("MemAvailable:", SAMPLE_HOST_MEMORY_AVAILABLE),
        KEY("SwapTotal:", SAMPLE_HOST_SWAP_TOTAL),
        KEY("SwapFree:", SAMPLE_HOST_SWAP_FREE),
};

/*
 * Reclaim is counted by who does it; those are summed, as memory.stat sums them for us. pgscan_anon and pgscan_file are
 * the same pages again, pgscan_direct_throttle counts something else. Kernels without pgscan_proactive count those as
 * pgscan_direct.
 */
static const Key vmstat_keys[] = {
        KEY("workingset_refault_anon", SAMPLE_REFAULT_ANON),
        KEY("workingset_refault_file", SAMPLE_REFAULT_FILE),
        KEY("allocstall_dma", SAMPLE_HOST_ALLOCSTALL),
        KEY("allocstall_dma32", SAMPLE_HOST_ALLOCSTALL),
        KEY("allocstall_normal", SAMPLE_HOST_ALLOCSTALL),
        KEY("allocstall_high", SAMPLE_HOST_ALLOCSTALL),
        KEY("allocstall_movable", SAMPLE_HOST_ALLOCSTALL),
        KEY("allocstall_device", SAMPLE_HOST_ALLOCSTALL),
        KEY("pgfault", SAMPLE_PGFAULT),
        KEY("pgmajfault", SAMPLE_PGMAJFAULT),
        KEY("pgsteal_kswapd", SAMPLE_PGSTEAL),
        KEY("pgsteal_direct", SAMPLE_PGSTEAL),
        KEY("pgsteal_khugepaged", SAMPLE_PGSTEAL),
        KEY("pgsteal_proactive", SAMPLE_PGSTEAL),
        KEY("pgscan_kswapd", SAMPLE_PGSCAN),
        KEY("pgscan_direct", SAMPLE_PGSCAN),
        KEY("pgscan_khugepaged", SAMPLE_PGSCAN),
        KEY("pgscan_proactive", SAMPLE_PGSCAN),
        KEY("oom_kill", SAMPLE_EVENTS_OOM_KILL),
};

/* The keys of a file, and what was found of them so far. */
typedef struct Search {
        const Key *keys;
        size_t n;
        uint64_t unit; /* what one of the numbers is */
        uint64_t seen; /* keys, as bits */
        SampleMask got, lacking; /* fields: put, and those of which something cannot be believed */
} Search;

static inline bool begins_with(const Key *key, const char *p, size_t len) {
        return *p == key->name[0] && len > key->len && memcmp(p, key->name, key->len) == 0 &&
               is_blank(p[key->len]);
}

/* The number at *p behind blanks; *p is then behind it, at a blank or the end of the line. */
static bool scan_number(const char **p, const char *end, uint64_t *ret) {
        const char *q = *p;
        uint64_t v;

        while (q < end && is_blank(*q))
                q++;
        if (num_scan_u64(&q, end, &v) < 0 || q == end || (*q != '\n' && !is_blank(*q)))
                return false;
        *p = q;
        *ret = v;
        return true;
}

/* The line at p, which begins with that key; returns what follows it, NULL: its end is missing. */
static const char *take_line(Search *f, size_t i, const char *p, const char *end, Sample *s) {
        SampleField field = f->keys[i].field;
        const char *eol;
        uint64_t v = 0;
        bool ok;

        p += f->keys[i].len;
        ok = scan_number(&p, end, &v) && !__builtin_mul_overflow(v, f->unit, &v);
        eol = ok && *p == '\n' ? p : memchr(p, '\n', (size_t)(end - p));
        f->seen |= UINT64_C(1) << i;
        if (!ok || !eol)
                f->lacking |= SAMPLE_BIT(field);
        else {
                sample_put(s, field, f->got & SAMPLE_BIT(field) ? num_add_sat(s->v[field], v) : v);
                f->got |= SAMPLE_BIT(field);
        }
        return eol ? eol + 1 : NULL;
}

static const char *next_line(const char *p, const char *end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));

        return eol ? eol + 1 : NULL;
}

static void search_in_order(Search *f, const char *p, size_t len, Sample *s) {
        const char *end = p + len;

        for (size_t i = 0; i < f->n && p && p < end;)
                if (begins_with(&f->keys[i], p, (size_t)(end - p)))
                        p = take_line(f, i++, p, end, s);
                else
                        p = next_line(p, end);
}

static void search_others(Search *f, const char *p, size_t len, Sample *s) {
        const char *end = p + len;

        while (p && p < end) {
                size_t i = 0;

                while (i < f->n &&
                       (f->seen & UINT64_C(1) << i || !begins_with(&f->keys[i], p, (size_t)(end - p))))
                        i++;
                p = i < f->n ? take_line(f, i, p, end, s) : next_line(p, end);
        }
}

/* Returns the bits of the fields that were put. */
static SampleMask parse_keys(const Key *keys, size_t n, uint64_t unit, const char *p, size_t len, Sample *s) {
        Search f = { .keys = keys, .n = n, .unit = unit };

        search_in_order(&f, p, len, s);
        if (f.seen + 1 < UINT64_C(1) << n)
                search_others(&f, p, len, s);
        return f.got & ~f.lacking;
}

static SampleMask parse_number(SampleField f, const char *text, size_t len, Sample *s) {
        const char *end = text + len;
        uint64_t v;

        if (len == 0 || !is_digit(*text) || !scan_number(&text, end, &v) ||
            !memchr(text, '\n', (size_t)(end - text)))
                return 0;
        sample_put(s, f, v);
        return SAMPLE_BIT(f);
}

static SampleMask parse_flags(const char *text, size_t len, Sample *s) {
        SampleMask got = parse_keys(cgroup_events_keys, ARRAY_SIZE(cgroup_events_keys), 1, text, len, s);

        s->v[SAMPLE_POPULATED] = s->v[SAMPLE_POPULATED] != 0;
        s->v[SAMPLE_FROZEN] = s->v[SAMPLE_FROZEN] != 0;
        return got;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=123": total is the last word of every kernel so far. */
static bool find_total(const char *line, const char *eol, uint64_t *ret) {
        static const char word[] = " total=";
        const char *p = eol;

        while (p > line && is_digit(p[-1]))
                p--;
        if ((size_t)(p - line) < strlen(word) || memcmp(p - strlen(word), word, strlen(word)) != 0) {
                p = memmem(line, (size_t)(eol - line), word, strlen(word));
                if (!p)
                        return false;
                p += strlen(word);
        }
        return is_digit(*p) && scan_number(&p, eol + 1, ret);
}

/* some: _SAMPLE_INVALID where the file has none. */
static SampleMask parse_pressure(int some, SampleField full, const char *p, size_t len, Sample *s) {
        const char *end = p + len, *eol;
        SampleMask got = 0;
        uint64_t v;

        for (; p < end && (eol = memchr(p, '\n', (size_t)(end - p))); p = eol + 1) {
                int f = _SAMPLE_INVALID;

                if (eol - p > 5 && memcmp(p, "some ", 5) == 0)
                        f = some;
                else if (eol - p > 5 && memcmp(p, "full ", 5) == 0)
                        f = (int)full;
                if (f < 0 || got & SAMPLE_BIT(f) || !find_total(p + 4, eol, &v))
                        continue;
                sample_put(s, (SampleField)f, v);
                got |= SAMPLE_BIT(f);
        }
        return got;
}

#define KEYS(k) k, ARRAY_SIZE(k)

int sample_parse(SampleFile f, const char *text, size_t len, Sample *s, SampleIo *io) {
        bool understood = false;
        SampleMask got = 0;
        int r = 0;

        switch (f) {
        case SAMPLE_FILE_CPU_STAT:
                got = parse_keys(KEYS(cpu_stat_keys), 1, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_CURRENT:
                got = parse_number(SAMPLE_MEMORY, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_SWAP_CURRENT:
                got = parse_number(SAMPLE_SWAP, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_EVENTS:
                got = parse_keys(KEYS(memory_events_keys), 1, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_STAT:
                got = parse_keys(KEYS(memory_stat_keys), 1, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_PEAK:
                got = parse_number(SAMPLE_MEMORY_PEAK, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_SWAP_PEAK:
                got = parse_number(SAMPLE_SWAP_PEAK, text, len, s);
                break;
        case SAMPLE_FILE_IO_STAT:
                r = sample_parse_io_stat(text, len, s, io, &got, &understood);
                break;
        case SAMPLE_FILE_PIDS_CURRENT:
                got = parse_number(SAMPLE_PIDS, text, len, s);
                break;
        case SAMPLE_FILE_PIDS_PEAK:
                got = parse_number(SAMPLE_PIDS_PEAK, text, len, s);
                break;
        case SAMPLE_FILE_PIDS_EVENTS:
                got = parse_keys(KEYS(pids_events_keys), 1, text, len, s);
                break;
        case SAMPLE_FILE_CPU_PRESSURE:
                got = parse_pressure(SAMPLE_CPU_SOME, SAMPLE_CPU_FULL, text, len, s);
                break;
        case SAMPLE_FILE_MEMORY_PRESSURE:
                got = parse_pressure(SAMPLE_MEMORY_SOME, SAMPLE_MEMORY_FULL, text, len, s);
                break;
        case SAMPLE_FILE_IO_PRESSURE:
                got = parse_pressure(SAMPLE_IO_SOME, SAMPLE_IO_FULL, text, len, s);
                break;
        case SAMPLE_FILE_IRQ_PRESSURE:
                got = parse_pressure(_SAMPLE_INVALID, SAMPLE_IRQ_FULL, text, len, s);
                break;
        case SAMPLE_FILE_CGROUP_EVENTS:
                got = parse_flags(text, len, s);
                break;
        case SAMPLE_FILE_NET_DEV:
                got = sample_parse_net_dev(text, len, s);
                break;
        case _SAMPLE_FILE_MAX:
        case _SAMPLE_FILE_INVALID:
                return -EINVAL;
        }
        sample_clear(s, sample_file_fields(f) & ~got);
        return r < 0 ? r : got || understood ? 0 : -EINVAL;
}

/* The two that are made of others. */
static SampleMask put_used(Sample *s, SampleField f, SampleField total, SampleField rest, SampleMask got) {
        if (!(got & SAMPLE_BIT(total)) || !(got & SAMPLE_BIT(rest)))
                return 0;
        sample_put(s, f, s->v[total] - MIN_OF(s->v[total], s->v[rest]));
        return SAMPLE_BIT(f);
}

static SampleMask parse_meminfo(const char *text, size_t len, Sample *s) {
        SampleMask got = parse_keys(KEYS(meminfo_keys), 1024, text, len, s); /* its kB are KiB */

        got |= put_used(s, SAMPLE_MEMORY, SAMPLE_HOST_MEMORY_TOTAL, SAMPLE_HOST_MEMORY_AVAILABLE, got);
        got |= put_used(s, SAMPLE_SWAP, SAMPLE_HOST_SWAP_TOTAL, SAMPLE_HOST_SWAP_FREE, got);
        return got;
}

static SampleMask parse_vmstat(const char *text, size_t len, Sample *s) {
        SampleMask got = parse_keys(KEYS(vmstat_keys), 1, text, len, s);

        /* Of a text that is cut off the summands may be missing. */
        if (len > 0 && text[len - 1] != '\n')
                got &= ~(SAMPLE_BIT(SAMPLE_PGSCAN) | SAMPLE_BIT(SAMPLE_PGSTEAL) |
                         SAMPLE_BIT(SAMPLE_HOST_ALLOCSTALL));
        return got;
}

int sample_parse_host(HostFile f, const char *text, size_t len, Sample *s, SampleIo *io) {
        bool understood = false;
        SampleMask got = 0;
        int r = 0;

        switch (f) {
        case HOST_FILE_CPU_PRESSURE:
                got = parse_pressure(SAMPLE_CPU_SOME, SAMPLE_CPU_FULL, text, len, s);
                break;
        case HOST_FILE_MEMORY_PRESSURE:
                got = parse_pressure(SAMPLE_MEMORY_SOME, SAMPLE_MEMORY_FULL, text, len, s);
                break;
        case HOST_FILE_IO_PRESSURE:
                got = parse_pressure(SAMPLE_IO_SOME, SAMPLE_IO_FULL, text, len, s);
                break;
        case HOST_FILE_IRQ_PRESSURE:
                got = parse_pressure(_SAMPLE_INVALID, SAMPLE_IRQ_FULL, text, len, s);
                break;
        case HOST_FILE_MEMINFO:
                got = parse_meminfo(text, len, s);
                break;
        case HOST_FILE_VMSTAT:
                got = parse_vmstat(text, len, s);
                break;
        case HOST_FILE_DISKSTATS:
                r = sample_parse_diskstats(text, len, s, io, &got, &understood);
                break;
        case _HOST_FILE_MAX:
                return -EINVAL;
        }
        sample_clear(s, host_file_fields(f) & ~got);
        return r < 0 ? r : got || understood ? 0 : -EINVAL;
}
