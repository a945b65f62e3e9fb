/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The two files with a line per device, io.stat and /proc/diskstats: sums for
 * the sample, and the devices themselves for who wants to know which.
 *
 * A sum that lacks a part is no sum: where a number on a whole line, or the end
 * of the text, cannot be believed, the sums that it belongs to are not had.
 * A device's own line is then left out, too.
 *
 * io.stat: "MAJ:MIN rbytes=… wbytes=… …", in whatever order the cgroup met its
 * disks. Some kernels print a device without statistics as "MAJ:MIN " without a
 * newline, so a device begins wherever a word is one. io.latency and io.cost
 * add words of their own, of which we take four.
 *
 * diskstats (Documentation/admin-guide/iostats.rst): a disk is followed by its
 * partitions, whose names are the disk's and a number (with a "p" between two
 * digits). Those are parts of it; and disks that are made of other disks
 * would count the same transfer once more.
 */

#include <sys/sysmacros.h>

#include "num.h"
#include "sample-internal.h"

#define SECTOR_BYTES 512

void sample_io_deinit(SampleIo *io) {
        free(io->devices);
        *io = (SampleIo){};
}

/* Where dev is, or where it belongs. */
static size_t position(const SampleIo *io, dev_t dev) {
        size_t lo = 0, hi = io->n;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;

                if (io->devices[mid].dev < dev)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        return lo;
}

const SampleDevice *sample_io_find(const SampleIo *io, dev_t dev) {
        size_t i = position(io, dev);

        return i < io->n && io->devices[i].dev == dev ? &io->devices[i] : NULL;
}

/* Where there is room for some only, for those of the lowest numbers: the same ones each time. */
static int add_device(SampleIo *io, const SampleDevice *d) {
        size_t i = position(io, d->dev);
        int r;

        if ((i < io->n && io->devices[i].dev == d->dev) || i == SAMPLE_DEVICES_MAX) {
                io->n_unlisted++;
                return 0;
        }
        if (io->n == SAMPLE_DEVICES_MAX) {
                io->n--;
                io->n_unlisted++;
        }
        r = GROW(io->devices, io->n, io->alloc);
        if (r < 0)
                return r;
        memmove(io->devices + i + 1, io->devices + i, (io->n - i) * sizeof(*io->devices));
        io->devices[i] = *d;
        io->n++;
        return 0;
}

/* As limits have them; 0:0 is none. */
static bool device_from_numbers(uint64_t major, uint64_t minor, dev_t *ret) {
        if (major > UINT32_MAX || minor > UINT32_MAX || (major == 0 && minor == 0))
                return false;
        *ret = makedev((unsigned)major, (unsigned)minor);
        return true;
}

/* ---- io.stat ---- */

/* In the order in which the kernel prints them; the first N_IO_FIELDS are the fields from SAMPLE_IO_RBYTES on. */
static const struct {
        const char *name;
        size_t len;
} words[] = {
#define WORD(w) \
        { w, sizeof(w) - 1 }
        WORD("rbytes="), WORD("wbytes="),     WORD("rios="),      WORD("wios="),        WORD("dbytes="),
        WORD("dios="),   WORD("cost.usage="), WORD("cost.wait="), WORD("cost.indebt="), WORD("cost.indelay="),
};
#define N_WORDS ARRAY_SIZE(words)
#define N_IO_PLAIN 6 /* of every kernel */
#define N_IO_FIELDS (SAMPLE_IO_COST_WAIT_USEC - SAMPLE_IO_RBYTES + 1)

typedef struct IoText {
        SampleIo *io;
        uint64_t sums[N_IO_FIELDS];
        uint64_t values[N_WORDS]; /* of the device that is being read */
        uint32_t said; /* words of that device, as bits */
        uint32_t any, bad; /* words that were said of some device; that cannot be believed */
        dev_t dev; /* 0: none yet */
        bool understood;
        int r;
} IoText;
#define BAD_ALL UINT32_MAX

static void end_device(IoText *t) {
        const uint64_t *v = t->values;
        SampleDevice d = {
                .dev = t->dev,
                .rbytes = v[0],
                .wbytes = v[1],
                .rios = v[2],
                .wios = v[3],
                .dbytes = v[4],
                .dios = v[5],
                .cost_usage_usec = v[6],
                .cost_wait_usec = v[7],
                .cost_indebt_usec = v[8],
                .cost_indelay_usec = v[9],
        };

        if (t->said) {
                for (size_t i = 0; i < N_IO_FIELDS; i++)
                        t->sums[i] = num_add_sat(t->sums[i], v[i]);
                if (t->io && t->r == 0)
                        t->r = add_device(t->io, &d);
        }
        t->any |= t->said;
        t->said = 0;
        t->dev = 0;
        memset(t->values, 0, sizeof(t->values));
}

/* "8:16" at *p, up to the end of the word. */
static bool scan_device(const char **p, const char *end, dev_t *ret) {
        const char *q = *p;
        uint64_t major, minor;

        if (num_scan_u64(&q, end, &major) < 0 || q == end || *q++ != ':' ||
            num_scan_u64(&q, end, &minor) < 0 || (q < end && !is_blank(*q)) ||
            !device_from_numbers(major, minor, ret))
                return false;
        *p = q;
        return true;
}

/* One word from *p on, which begins with no blank. */
static void take_word(IoText *t, const char **p, const char *end, size_t *next) {
        const char *q = *p;

        for (size_t k = 0, i = *next; t->dev && k < N_WORDS; k++, i++) {
                if (i >= N_WORDS)
                        i = 0;
                if ((size_t)(end - q) <= words[i].len || memcmp(q, words[i].name, words[i].len) != 0)
                        continue;
                q += words[i].len;
                if (num_scan_u64(&q, end, &t->values[i]) < 0 || (q < end && !is_blank(*q)))
                        t->bad |= UINT32_C(1) << i;
                else
                        t->said |= UINT32_C(1) << i;
                *next = i + 1;
                break;
        }
        while (q < end && !is_blank(*q))
                q++;
        *p = q;
}

static void take_line(IoText *t, const char *p, const char *end) {
        size_t next = 0;

        while (p < end) {
                dev_t dev;

                if (is_blank(*p))
                        p++;
                else if (is_digit(*p) && scan_device(&p, end, &dev)) {
                        end_device(t);
                        t->dev = dev;
                        t->understood = true;
                        next = 0;
                } else
                        take_word(t, &p, end, &next);
        }
        end_device(t);
}

/* What follows the last newline: nothing, devices without statistics, or the sign of a cut. */
static void take_rest(IoText *t, const char *p, const char *end) {
        dev_t dev;

        if (p < end && !is_blank(end[-1]))
                t->bad = BAD_ALL;
        while (p < end && t->bad != BAD_ALL)
                if (is_blank(*p))
                        p++;
                else if (scan_device(&p, end, &dev))
                        t->understood = true;
                else
                        t->bad = BAD_ALL;
}

int sample_parse_io_stat(const char *text, size_t len, Sample *s, SampleIo *io, SampleMask *got,
                         bool *understood) {
        IoText t = { .io = io, .understood = len == 0 };
        const char *p = text, *end = text + len, *eol;

        if (io)
                io->n = io->n_unlisted = 0;
        for (; p < end && (eol = memchr(p, '\n', (size_t)(end - p))); p = eol + 1)
                take_line(&t, p, eol);
        take_rest(&t, p, end);
        *understood = t.understood;
        for (size_t i = 0; i < N_IO_FIELDS && t.understood; i++) {
                SampleField f = (SampleField)(SAMPLE_IO_RBYTES + i);

                if (t.bad & UINT32_C(1) << i || (i >= N_IO_PLAIN && !(t.any & UINT32_C(1) << i)))
                        continue;
                sample_put(s, f, t.sums[i]);
                *got |= SAMPLE_BIT(f);
        }
        return t.r;
}

/* ---- diskstats ---- */

/* Columns behind the name. */
enum {
        DISK_RIOS = 0,
        DISK_RSECTORS = 2,
        DISK_WIOS = 4,
        DISK_WSECTORS = 6,
        DISK_BUSY_MSEC = 9, /* this and the next are of 32 bits: they begin anew after 50 days */
        DISK_QUEUE_MSEC = 10,
        N_DISK_LEAST,
        DISK_DIOS = 11, /* since 4.18 */
        DISK_DSECTORS = 13,
        N_DISK_COLUMNS,
};

static bool skip_blanks(const char **p, const char *end) {
        while (*p < end && is_blank(**p))
                ++*p;
        return *p < end;
}

/* The next word, which must be a number. */
static bool next_number(const char **p, const char *end, uint64_t *ret) {
        const char *q = *p;

        if (!skip_blanks(&q, end) || num_scan_u64(&q, end, ret) < 0 || (q < end && !is_blank(*q)))
                return false;
        *p = q;
        return true;
}

/* A name in the text. */
typedef struct Name {
        const char *p;
        size_t len;
} Name;

static bool is_partition(Name disk, Name name) {
        size_t i = disk.len;

        if (disk.len == 0 || name.len <= disk.len || memcmp(name.p, disk.p, disk.len) != 0)
                return false;
        if (is_digit(disk.p[disk.len - 1]) && name.p[i++] != 'p')
                return false;
        if (i == name.len)
                return false;
        while (i < name.len && is_digit(name.p[i]))
                i++;
        return i == name.len;
}

/* Memory, files, or other disks beneath. A digit follows, for "sdram" is a disk like others. */
static bool is_made_of_others(Name name) {
        static const char *const prefixes[] = {
                "loop", "ram", "zram", "dm-", "md", "md_d", "bcache", "drbd"
        };

        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
                size_t n = strlen(prefixes[i]);

                if (name.len > n && memcmp(name.p, prefixes[i], n) == 0 && is_digit(name.p[n]))
                        return true;
        }
        return false;
}

/* A line to a device; false: the numbers cannot be believed. */
static bool parse_columns(const char *p, const char *eol, SampleDevice *d) {
        uint64_t v[N_DISK_COLUMNS] = {};
        size_t n = 0;

        while (n < N_DISK_COLUMNS && next_number(&p, eol, &v[n]))
                n++;
        if (n < N_DISK_LEAST || (n < N_DISK_COLUMNS && skip_blanks(&p, eol)))
                return false;
        d->rios = v[DISK_RIOS];
        d->wios = v[DISK_WIOS];
        d->dios = v[DISK_DIOS];
        return !__builtin_mul_overflow(v[DISK_RSECTORS], SECTOR_BYTES, &d->rbytes) &&
               !__builtin_mul_overflow(v[DISK_WSECTORS], SECTOR_BYTES, &d->wbytes) &&
               !__builtin_mul_overflow(v[DISK_DSECTORS], SECTOR_BYTES, &d->dbytes) &&
               !__builtin_mul_overflow(v[DISK_BUSY_MSEC], USEC_PER_MSEC, &d->busy_usec) &&
               !__builtin_mul_overflow(v[DISK_QUEUE_MSEC], USEC_PER_MSEC, &d->queue_usec);
}

static void add_sums(SampleDevice *sum, const SampleDevice *d) {
        sum->rbytes = num_add_sat(sum->rbytes, d->rbytes);
        sum->wbytes = num_add_sat(sum->wbytes, d->wbytes);
        sum->rios = num_add_sat(sum->rios, d->rios);
        sum->wios = num_add_sat(sum->wios, d->wios);
        sum->dbytes = num_add_sat(sum->dbytes, d->dbytes);
        sum->dios = num_add_sat(sum->dios, d->dios);
        sum->busy_usec = num_add_sat(sum->busy_usec, d->busy_usec);
        sum->queue_usec = num_add_sat(sum->queue_usec, d->queue_usec);
}

static SampleMask put_disk_sums(Sample *s, const SampleDevice *sum) {
        const struct {
                SampleField field;
                uint64_t value;
        } rows[] = {
                { SAMPLE_IO_RBYTES, sum->rbytes },
                { SAMPLE_IO_WBYTES, sum->wbytes },
                { SAMPLE_IO_RIOS, sum->rios },
                { SAMPLE_IO_WIOS, sum->wios },
                { SAMPLE_IO_DBYTES, sum->dbytes },
                { SAMPLE_IO_DIOS, sum->dios },
                { SAMPLE_HOST_DISK_BUSY_USEC, sum->busy_usec },
                { SAMPLE_HOST_DISK_QUEUE_USEC, sum->queue_usec },
        };
        SampleMask got = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                sample_put(s, rows[i].field, rows[i].value);
                got |= SAMPLE_BIT(rows[i].field);
        }
        return got;
}

int sample_parse_diskstats(const char *text, size_t len, Sample *s, SampleIo *io, SampleMask *got,
                           bool *understood) {
        const char *p = text, *end = text + len, *eol;
        SampleDevice sum = {};
        Name disk = {};
        bool bad = false;
        int r = 0;

        *understood = len == 0;
        if (io)
                io->n = io->n_unlisted = 0;
        for (; p < end && (eol = memchr(p, '\n', (size_t)(end - p))); p = eol + 1) {
                SampleDevice d = {};
                uint64_t major, minor;
                const char *q = p;
                Name name;

                if (!next_number(&q, eol, &major) || !next_number(&q, eol, &minor) ||
                    !device_from_numbers(major, minor, &d.dev) || !skip_blanks(&q, eol))
                        continue;
                name.p = q;
                while (q < eol && !is_blank(*q))
                        q++;
                name.len = (size_t)(q - name.p);
                if (is_partition(disk, name))
                        continue;
                disk = name;
                if (!parse_columns(q, eol, &d)) {
                        bad = true;
                        continue;
                }
                *understood = true;
                if (!is_made_of_others(name))
                        add_sums(&sum, &d);
                if (io && r == 0 && (d.rios || d.wios || d.dios))
                        r = add_device(io, &d);
        }
        /* Without its last newline it is cut, and more may be missing. */
        if (*understood && !bad && p == end)
                *got = put_disk_sums(s, &sum);
        return r;
}
