/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What we took from others, so that it can be given back.
 *
 * The file is a log of lines, the last word about a knob counts:
 *
 *   bailiff-ceilings 1 BOOT-ID CHECKSUM
 *   put ID KEY MAJ:MIN WANT OURS FLAGS LAPSE TOLD UNIT PATH CHECKSUM
 *   del ID KEY MAJ:MIN CHECKSUM
 *
 * OURS is "VALUE/OTHER" while a write is under way,
 * WANT is "-" where nobody wanted anything, TOLD "-" without a property and "VALUE/BEFORE" while a call is under way, values are decimal or "max", FLAGS
 * letters of flags[] or "-", UNIT "-" where none owns the cgroup and "=" where it is
 * the last component of PATH (nearly always). Bytes that would tear a line (blanks, control, '%', beyond
 * ASCII) are %XX. KEY is the policy's name of the limit, for numbers of an enum
 * change. The checksum (FNV-1a, 64 bit, in hex) covers all before it: it finds the torn
 * line of a crash and the line of somebody's editor, no more is asked of it.
 *
 * A line goes out in one write(2) with O_APPEND to a tmpfs, so a crash of ours
 * never tears one; a full tmpfs does. Then the file is cut back to where it was,
 * the record stays marked as unsaved in memory, and the next line that
 * does fit takes the unsaved ones along. A removed record that the file still
 * knows is kept for the same reason, as dead and unsaved.
 *
 * Records of one cgroup share its path and unit; a group is found by id, a
 * record by walking its group (a dozen at most), all of them in an array.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "buf.h"
#include "bytes.h"
#include "fdio.h"
#include "ledger.h"
#include "map.h"
#include "num.h"

#define FILE_NAME "ceilings"
#define FILE_NAME_OLD "ceilings.old"
#define MAGIC "bailiff-ceilings"
#define VERSION "1"
#define COMPACT_MIN_LINES 64
#define N_PUT_WORDS 11
#define N_DEL_WORDS 4

typedef struct Group Group;

typedef struct Record {
        LedgerRecord pub;
        Group *group;
        struct Record *next; /* of the group */
        size_t index; /* in items */
        bool dead; /* removed, but the file does not know yet */
        bool unsaved;
} Record;

struct Group {
        uint64_t id;
        char *path, *unit;
        Record *records;
};

struct Ledger {
        int dirfd, fd; /* fd -1: read-only, or not to be opened */
        char *boot_id;
        bool read_only;
        bool torn; /* the file does not end with a newline */
        Map groups;
        Record **items;
        size_t n_items, items_alloc;
        size_t n_dead, n_unsaved;
        size_t n_lines; /* in the file, without header */
        size_t compact_at; /* not before so many lines: the last try failed */
        LedgerStats stats;
};

static const struct {
        char letter;
        size_t offset;
} flags[] = {
        { 'p', offsetof(LedgerRecord, property) },
        { 'f', offsetof(LedgerRecord, foreign_dropin) },
        { 's', offsetof(LedgerRecord, share) },
};

static bool *flag_of(LedgerRecord *r, size_t i) { return (bool *)((char *)r + flags[i].offset); }

/* ---- records in memory ---- */

static Record *find(const Ledger *l, uint64_t id, LimitKnob knob) {
        const Group *g = map_get_u64(&l->groups, id);

        for (Record *r = g ? g->records : NULL; r; r = r->next)
                if (limit_knob_cmp(r->pub.knob, knob) == 0)
                        return r;
        return NULL;
}

static void group_free(Group *g) {
        free(g->path);
        free(g->unit);
        free(g);
}

static void drop(Ledger *l, Record *r) {
        Group *g = r->group;

        for (Record **p = &g->records; *p; p = &(*p)->next)
                if (*p == r) {
                        *p = r->next;
                        break;
                }
        l->items[r->index] = l->items[--l->n_items];
        l->items[r->index]->index = r->index;
        l->n_dead -= r->dead;
        l->n_unsaved -= r->unsaved;
        free(r);
        if (!g->records) {
                (void)map_remove_u64(&l->groups, g->id);
                group_free(g);
        }
}

/* The group of this id, with this path and unit; one without a record is the caller's to fill or free. */
static int group_get(Ledger *l, uint64_t id, const char *path, const char *unit, Group **ret) {
        _cleanup_free_ char *new_path = NULL, *new_unit = NULL;
        Group *g = map_get_u64(&l->groups, id);
        int r;

        if (g && STR_EQ(g->path, path) && STR_EQ(g->unit, unit)) {
                *ret = g;
                return 0;
        }
        new_path = strdup(path);
        new_unit = strdup(unit);
        if (!new_path || !new_unit)
                return -ENOMEM;
        if (!g) {
                g = calloc(1, sizeof(*g));
                if (!g)
                        return -ENOMEM;
                g->id = id;
                r = map_put_u64(&l->groups, id, g);
                if (r < 0) {
                        free(g);
                        return r;
                }
        }
        free(g->path);
        free(g->unit);
        g->path = steal_ptr(new_path);
        g->unit = steal_ptr(new_unit);
        for (Record *k = g->records; k; k = k->next) {
                k->pub.path = g->path;
                k->pub.unit = g->unit;
        }
        *ret = g;
        return 0;
}

static int record_new(Ledger *l, Group *g, Record **ret) {
        Record *r;

        if (GROW(l->items, l->n_items, l->items_alloc) < 0)
                return -ENOMEM;
        r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        r->group = g;
        r->next = g->records;
        g->records = r;
        r->index = l->n_items;
        l->items[l->n_items++] = r;
        *ret = r;
        return 0;
}

/* Into memory only. */
static int store(Ledger *l, const LedgerRecord *from, Record **ret) {
        Record *r = find(l, from->cgroup_id, from->knob);
        Group *g;
        int k;

        k = group_get(l, from->cgroup_id, from->path, from->unit, &g);
        if (k < 0)
                return k;
        if (!r) {
                k = record_new(l, g, &r);
                if (k < 0) {
                        if (!g->records) {
                                (void)map_remove_u64(&l->groups, g->id);
                                group_free(g);
                        }
                        return k;
                }
        }
        l->n_dead -= r->dead;
        r->dead = false;
        r->pub = *from;
        r->pub.path = g->path;
        r->pub.unit = g->unit;
        *ret = r;
        return 0;
}

static void set_unsaved(Ledger *l, Record *r, bool unsaved) {
        l->n_unsaved -= r->unsaved;
        l->n_unsaved += unsaved;
        r->unsaved = unsaved;
}

/* ---- lines ---- */

static void seal(Buf *b, size_t start) {
        if (buf_error(b) == 0)
                buf_printf(b, " %016llx\n",
                           (unsigned long long)bytes_fnv1a(FNV_BASIS, b->data + start, b->len - start));
}

static void put_escaped(Buf *b, const char *s) {
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;

                if (c <= ' ' || c >= 0x7f || c == '%')
                        buf_printf(b, "%%%02X", c);
                else
                        buf_putc(b, (char)c);
        }
}

static void put_value(Buf *b, uint64_t v) {
        if (v == LIMIT_INFINITY)
                buf_puts(b, "max");
        else
                buf_printf(b, "%llu", (unsigned long long)v);
}

static void put_knob(Buf *b, const char *verb, const LedgerRecord *r) {
        buf_printf(b, "%s %llu %s %u:%u", verb, (unsigned long long)r->cgroup_id,
                   limit_info(r->knob.limit)->key, major(r->knob.dev), minor(r->knob.dev));
}

static const char *last_component(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static void put_unit(Buf *b, const LedgerRecord *r) {
        if (!r->unit[0])
                buf_putc(b, '-');
        else if (STR_EQ(r->unit, last_component(r->path)))
                buf_putc(b, '=');
        else if (STR_EQ(r->unit, "-") || STR_EQ(r->unit, "="))
                buf_printf(b, "%%%02X", (unsigned char)r->unit[0]);
        else
                put_escaped(b, r->unit);
}

/* "-", "VALUE", or "VALUE/BEFORE" while the outcome of a call is not known. */
static void put_told(Buf *b, const LedgerRecord *r) {
        if (!r->property) {
                buf_putc(b, '-');
                return;
        }
        put_value(b, r->told);
        if (r->told_before == r->told)
                return;
        buf_putc(b, '/');
        put_value(b, r->told_before);
}

static void format_record(Buf *b, const Record *record) {
        LedgerRecord r = record->pub;
        size_t start = b->len;
        bool any = false;

        if (record->dead) {
                put_knob(b, "del", &r);
                seal(b, start);
                return;
        }
        put_knob(b, "put", &r);
        buf_putc(b, ' ');
        if (r.have_want)
                put_value(b, r.want);
        else
                buf_putc(b, '-');
        buf_putc(b, ' ');
        put_value(b, r.ours);
        if (r.have_other) {
                buf_putc(b, '/');
                put_value(b, r.other);
        }
        buf_putc(b, ' ');
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (*flag_of(&r, i)) {
                        buf_putc(b, flags[i].letter);
                        any = true;
                }
        if (!any)
                buf_putc(b, '-');
        buf_putc(b, ' ');
        put_value(b, r.lapse);
        buf_putc(b, ' ');
        put_told(b, &r);
        buf_putc(b, ' ');
        put_unit(b, &r);
        buf_putc(b, ' ');
        put_escaped(b, r.path);
        seal(b, start);
}

static void format_header(Buf *b, const char *boot_id) {
        size_t start = b->len;

        buf_printf(b, "%s %s %s", MAGIC, VERSION, boot_id);
        seal(b, start);
}

/* Takes the checksum off the line (NUL-terminated) when it is right. */
static bool unseal(char *line) {
        char *blank = strrchr(line, ' ');
        uint64_t sum;

        if (!blank || strlen(blank + 1) != 16 || num_parse_hex64(blank + 1, &sum) < 0 ||
            sum != bytes_fnv1a(FNV_BASIS, line, (size_t)(blank - line)))
                return false;
        *blank = '\0';
        return true;
}

/* Cuts the line at its blanks; false unless there are just n words. */
static bool split(char *line, char **words, size_t n) {
        for (size_t i = 0; i < n; i++) {
                words[i] = line;
                line = strchr(line, ' ');
                if (!line)
                        return i == n - 1;
                *line++ = '\0';
        }
        return false;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place; false for a bad escape, NUL, or too long. */
static bool unescape(char *s) {
        char *out = s;

        for (const char *p = s; *p; p++) {
                int high, low;

                if (*p != '%') {
                        *out++ = *p;
                        continue;
                }
                high = hex_digit(p[1]);
                low = high < 0 ? -1 : hex_digit(p[2]);
                if (low < 0 || high * 16 + low == 0)
                        return false;
                *out++ = (char)(high * 16 + low);
                p += 2;
        }
        *out = '\0';
        return out - s <= LEDGER_PATH_MAX;
}

static bool parse_value(const char *s, uint64_t *ret) {
        if (STR_EQ(s, "max")) {
                *ret = LIMIT_INFINITY;
                return true;
        }
        return num_parse_u64(s, ret) >= 0;
}

static bool parse_dev(const char *s, dev_t *ret) {
        const char *end = s + strlen(s);
        uint64_t major, minor;

        if (num_scan_u64(&s, end, &major) < 0 || s == end || *s++ != ':' ||
            num_scan_u64(&s, end, &minor) < 0 || s != end || major > UINT32_MAX || minor > UINT32_MAX)
                return false;
        *ret = makedev((unsigned)major, (unsigned)minor);
        return true;
}

/* words: ID KEY MAJ:MIN */
static bool parse_knob(char **words, LedgerRecord *r) {
        Limit limit = limit_from_key(words[1]);

        if (limit < 0 || num_parse_u64(words[0], &r->cgroup_id) < 0)
                return false;
        r->knob.limit = limit;
        return parse_dev(words[2], &r->knob.dev) && (r->knob.dev == 0 || limit_info(limit)->per_device);
}

static bool parse_flags(const char *s, LedgerRecord *r) {
        if (STR_EQ(s, "-"))
                return true;
        for (; *s; s++) {
                size_t i = 0;

                while (i < ARRAY_SIZE(flags) && flags[i].letter != *s)
                        i++;
                if (i == ARRAY_SIZE(flags))
                        return false;
                *flag_of(r, i) = true;
        }
        return true;
}

static bool parse_ours(char *s, LedgerRecord *r) {
        char *slash = strchr(s, '/');

        if (slash)
                *slash++ = '\0';
        r->have_other = slash;
        return parse_value(s, &r->ours) && (!slash || parse_value(slash, &r->other));
}

static bool parse_told(char *s, LedgerRecord *r) {
        char *slash;

        if (STR_EQ(s, "-"))
                return !r->property;
        slash = strchr(s, '/');
        if (slash)
                *slash++ = '\0';
        return r->property && parse_value(s, &r->told) && parse_value(slash ? slash : s, &r->told_before);
}

static bool parse_put(char **words, LedgerRecord *r) {
        char *unit = words[9], *path = words[10];

        r->have_want = !STR_EQ(words[4], "-");
        if (!parse_knob(words + 1, r) || (r->have_want && !parse_value(words[4], &r->want)) ||
            !parse_ours(words[5], r) || !parse_flags(words[6], r) || !parse_value(words[7], &r->lapse) ||
            !parse_told(words[8], r))
                return false;
        if (!unescape(path) || path[0] != '/')
                return false;
        r->path = path;
        if (STR_EQ(unit, "-"))
                r->unit = "";
        else if (STR_EQ(unit, "="))
                r->unit = last_component(path);
        else if (unescape(unit))
                r->unit = unit;
        else
                return false;
        return true;
}

/* ---- loading ---- */

static int load_line(Ledger *l, char *line) {
        char *words[N_PUT_WORDS];
        LedgerRecord parsed = {};
        Record *r;

        if (!unseal(line))
                goto damaged;
        if (strncmp(line, "put ", 4) == 0) {
                if (!split(line, words, N_PUT_WORDS) || !parse_put(words, &parsed))
                        goto damaged;
                return store(l, &parsed, &r);
        }
        if (!split(line, words, N_DEL_WORDS) || !STR_EQ(words[0], "del") || !parse_knob(words + 1, &parsed))
                goto damaged;
        r = find(l, parsed.cgroup_id, parsed.knob);
        if (r)
                drop(l, r);
        return 0;
damaged:
        l->stats.n_damaged++;
        return 0;
}

static bool header_is_ours(char *line, const char *boot_id) {
        char *words[3];

        return unseal(line) && split(line, words, ARRAY_SIZE(words)) && STR_EQ(words[0], MAGIC) &&
               STR_EQ(words[1], VERSION) && STR_EQ(words[2], boot_id);
}

/* Changes text. 0, or -ESTALE: not of this boot and version. */
static int load(Ledger *l, char *text, size_t len) {
        char *end = text + len;
        bool first = true;
        int r;

        while (text < end) {
                char *newline = memchr(text, '\n', (size_t)(end - text)), *stop = newline ? newline : end;

                *stop = '\0';
                if (strlen(text) != (size_t)(stop - text))
                        text[0] = '\0'; /* NUL within: damaged */
                if (first) {
                        if (!newline || !header_is_ours(text, l->boot_id))
                                return -ESTALE;
                        first = false;
                } else if (stop > text) {
                        l->n_lines++;
                        r = load_line(l, text);
                        if (r < 0)
                                return r;
                }
                l->torn = !newline;
                text = stop + 1;
        }
        return 0;
}

/* ---- the file ---- */

static int open_append(Ledger *l) {
        int fd;

        fd = openat(l->dirfd, FILE_NAME, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        fd_close(l->fd);
        l->fd = fd;
        return 0;
}

/* All live records into a new file. */
static int rewrite(Ledger *l) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        format_header(&b, l->boot_id);
        for (size_t i = 0; i < l->n_items; i++)
                if (!l->items[i]->dead)
                        format_record(&b, l->items[i]);
        r = buf_error(&b);
        if (r < 0)
                return r;
        r = fd_write_file_atomic(l->dirfd, FILE_NAME, b.data, b.len, 0600, false);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l->n_items;) {
                set_unsaved(l, l->items[i], false);
                if (l->items[i]->dead)
                        drop(l, l->items[i]);
                else
                        i++;
        }
        l->n_lines = l->n_items;
        l->compact_at = 0;
        l->torn = false;
        l->stats.write_error = 0;
        r = open_append(l);
        if (r < 0)
                l->fd = fd_close(l->fd); /* the old one writes into a file that nobody sees */
        return r;
}

static void maybe_compact(Ledger *l) {
        size_t live = l->n_items - l->n_dead;

        if (l->n_lines < COMPACT_MIN_LINES || l->n_lines / 2 <= live || l->n_lines < l->compact_at)
                return;
        if (rewrite(l) < 0)
                l->compact_at = l->n_lines * 2;
}

static int append_bytes(Ledger *l, const char *data, size_t n) {
        struct stat st;
        ssize_t k;

        if (fstat(l->fd, &st) < 0)
                return -errno;
        do
                k = write(l->fd, data, n);
        while (k < 0 && errno == EINTR);
        if (k == (ssize_t)n)
                return 0;
        if (k < 0)
                return -errno;
        /* Half a line is worse than none. */
        if (ftruncate(l->fd, st.st_size) < 0)
                l->torn = true;
        return -ENOSPC;
}

static int append_record(Ledger *l, const Record *record) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        if (l->torn)
                buf_putc(&b, '\n');
        format_record(&b, record);
        r = buf_error(&b);
        if (r < 0)
                return r;
        r = append_bytes(l, b.data, b.len);
        if (r < 0)
                return r;
        l->torn = false;
        l->n_lines++;
        return 0;
}

static int save_one(Ledger *l, Record *record) {
        int r;

        r = append_record(l, record);
        if (r < 0) {
                l->stats.write_error = r;
                return r;
        }
        set_unsaved(l, record, false);
        if (record->dead)
                drop(l, record);
        return 0;
}

/* What an earlier failure left behind, as far as it goes now. */
static void save_rest(Ledger *l) {
        for (size_t i = 0; i < l->n_items && l->n_unsaved > 0;) {
                Record *r = l->items[i];
                bool dead = r->dead;

                if (!r->unsaved) {
                        i++;
                        continue;
                }
                if (save_one(l, r) < 0)
                        return;
                if (!dead)
                        i++;
        }
        l->stats.write_error = 0;
}

static int append_header(Ledger *l) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        format_header(&b, l->boot_id);
        r = buf_error(&b);
        return r < 0 ? r : append_bytes(l, b.data, b.len);
}

/* After this fd leads to the file of that name, with a header. */
static int ensure_file(Ledger *l) {
        struct stat st;
        int r;

        if (l->fd >= 0 && fstat(l->fd, &st) >= 0 && st.st_nlink == 0)
                return rewrite(l); /* somebody removed it */
        if (l->fd >= 0)
                return 0;
        r = open_append(l);
        if (r < 0)
                return r;
        if (fstat(l->fd, &st) < 0)
                return -errno;
        r = st.st_size > 0 ? 0 : append_header(l);
        if (r < 0)
                l->fd = fd_close(l->fd);
        return r;
}

/* Saves a record that was just changed; it is freed when it is dead and this went well. */
static int save(Ledger *l, Record *record) {
        int r;

        set_unsaved(l, record, true);
        r = ensure_file(l);
        if (r < 0) {
                l->stats.write_error = r;
                return r;
        }
        if (l->n_unsaved == 0) /* it was all written anew; the record may be gone */
                return 0;
        r = save_one(l, record);
        if (r < 0)
                return r;
        if (l->n_unsaved > 0)
                save_rest(l);
        else
                l->stats.write_error = 0;
        return 0;
}

/* ---- public ---- */

static void forget_all(Ledger *l) {
        while (l->n_items > 0)
                drop(l, l->items[0]);
}

static int read_file(Ledger *l) {
        _cleanup_free_ char *text = NULL;
        size_t len = 0;
        int r;

        r = fd_read_regular_at(l->dirfd, FILE_NAME, LEDGER_FILE_MAX, &text, &len, NULL, NULL);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = load(l, text, len);
        /* Too long, no regular file, of another boot: not ours to read. */
        if (r == -EFBIG || r == -EINVAL || r == -ELOOP || r == -ESTALE) {
                forget_all(l);
                l->n_lines = 0;
                l->stats.n_damaged = 0;
                l->stats.set_aside = true;
                return 0;
        }
        return r;
}

int ledger_open(const char *dir, const char *boot_id, bool read_only, Ledger **ret) {
        _cleanup_(cleanup_ledger_free) Ledger *l = NULL;
        int r;

        if (!boot_id[0] || strpbrk(boot_id, " \n"))
                return -EINVAL;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->fd = -1;
        l->read_only = read_only;
        l->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (l->dirfd < 0)
                return -errno;
        l->boot_id = strdup(boot_id);
        if (!l->boot_id)
                return -ENOMEM;
        r = read_file(l);
        if (r < 0)
                return r;
        if (!read_only) {
                if (l->stats.set_aside && renameat(l->dirfd, FILE_NAME, l->dirfd, FILE_NAME_OLD) < 0)
                        return -errno;
                /* No torn or damaged lines, nothing stale. Should that fail, the old file goes on. */
                r = rewrite(l);
                if (r < 0 && l->n_lines > 0)
                        r = open_append(l);
                if (r < 0)
                        l->stats.write_error = r;
        }
        *ret = steal_ptr(l);
        return 0;
}

Ledger *ledger_free(Ledger *l) {
        if (!l)
                return NULL;
        forget_all(l);
        free(l->items);
        map_deinit(&l->groups);
        free(l->boot_id);
        l->fd = fd_close(l->fd);
        l->dirfd = fd_close(l->dirfd);
        free(l);
        return NULL;
}

static bool same(const LedgerRecord *a, const LedgerRecord *b) {
        return a->have_want == b->have_want && (!a->have_want || a->want == b->want) && a->ours == b->ours &&
               a->have_other == b->have_other && (!a->have_other || a->other == b->other) &&
               a->property == b->property && a->foreign_dropin == b->foreign_dropin && a->share == b->share &&
               (!a->property || (a->told == b->told && a->told_before == b->told_before)) &&
               a->lapse == b->lapse && STR_EQ(a->path, b->path) && STR_EQ(a->unit, b->unit);
}

int ledger_put(Ledger *l, const LedgerRecord *from) {
        Record *r;
        int k;

        if (l->read_only)
                return -EROFS;
        if (from->path[0] != '/' || (from->knob.dev != 0 && !limit_info(from->knob.limit)->per_device))
                return -EINVAL;
        if (strlen(from->path) > LEDGER_PATH_MAX || strlen(from->unit) > LEDGER_PATH_MAX)
                return -ENAMETOOLONG;
        r = find(l, from->cgroup_id, from->knob);
        if (r && !r->dead && !r->unsaved && same(&r->pub, from))
                return 0;
        k = store(l, from, &r);
        if (k < 0)
                return k;
        k = save(l, r);
        maybe_compact(l);
        return k;
}

static int remove_one(Ledger *l, Record *r) {
        if (r->dead)
                return 0;
        r->dead = true;
        l->n_dead++;
        return save(l, r);
}

/* Any record of the cgroup that is not forgotten yet. */
static Record *find_any(const Ledger *l, uint64_t id) {
        const Group *g = map_get_u64(&l->groups, id);
        Record *r = g ? g->records : NULL;

        while (r && r->dead)
                r = r->next;
        return r;
}

int ledger_remove(Ledger *l, uint64_t cgroup_id, const LimitKnob *knob) {
        Record *r;
        int k, result = 0;

        if (l->read_only)
                return -EROFS;
        if (knob) {
                r = find(l, cgroup_id, *knob);
                result = r ? remove_one(l, r) : 0;
        } else
                /* From the start each time: saving one may also free others that were dead. */
                while ((r = find_any(l, cgroup_id))) {
                        k = remove_one(l, r);
                        if (k < 0)
                                result = k;
                }
        maybe_compact(l);
        return result;
}

const LedgerRecord *ledger_find(const Ledger *l, uint64_t cgroup_id, LimitKnob knob) {
        const Record *r = find(l, cgroup_id, knob);

        return r && !r->dead ? &r->pub : NULL;
}

const LedgerRecord *ledger_next(const Ledger *l, size_t *i) {
        while (*i < l->n_items) {
                const Record *r = l->items[(*i)++];

                if (!r->dead)
                        return &r->pub;
        }
        return NULL;
}

const LedgerRecord *ledger_next_of(const Ledger *l, uint64_t cgroup_id, const LedgerRecord *after) {
        const Group *g = map_get_u64(&l->groups, cgroup_id);
        const Record *r = !g ? NULL : after ? ((const Record *)after)->next : g->records;

        while (r && r->dead)
                r = r->next;
        return r ? &r->pub : NULL;
}

void ledger_get_stats(const Ledger *l, LedgerStats *ret) {
        *ret = l->stats;
        ret->n_records = l->n_items - l->n_dead;
}
