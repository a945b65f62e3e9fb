/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables as people read them: columns as wide as what is in them, numbers to the
 * right, cut to the terminal where asked.
 *
 * Widths are columns of a terminal, not bytes. They come from two small tables of
 * our own instead of wcwidth(), which knows nothing under LANG=C, where the operator
 * of a broken host often is. Cells are kept as given and are escaped
 * when printed, so no caller can forget it.
 */

#include <stdarg.h>

#include "table.h"

#define GAP 2
#define CUT_MIN 8 /* no column is cut below this */

/* ---- characters ---- */

typedef struct Range {
        uint32_t from, to;
} Range;

static const Range wide[] = {
        { 0x1100, 0x115f },   { 0x2329, 0x232a },   { 0x2e80, 0x303e },   { 0x3041, 0xa4cf },
        { 0xa960, 0xa97c },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe30, 0xfe6f },
        { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f }, { 0x1f680, 0x1f6ff },
        { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
};

static const Range combining[] = {
        { 0x0300, 0x036f }, { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x0610, 0x061a }, { 0x064b, 0x065f },
        { 0x06d6, 0x06dc }, { 0x0e31, 0x0e31 }, { 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e }, { 0x1ab0, 0x1aff },
        { 0x1dc0, 0x1dff }, { 0x20d0, 0x20ff }, { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f }, { 0xe0100, 0xe01ef },
};

/* Marks that turn text around, hide in it or end a line somewhere else than we think. */
static const Range treacherous[] = {
        { 0x0000, 0x001f },   { 0x007f, 0x009f },    { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
        { 0x115f, 0x1160 },   { 0x180e, 0x180e },    { 0x200b, 0x200f }, { 0x2028, 0x202e },
        { 0x2060, 0x206f },   { 0xfeff, 0xfeff },    { 0xfff9, 0xfffb }, { 0xe000, 0xf8ff },
        { 0xe0000, 0xe007f }, { 0xf0000, 0x10ffff },
};

static bool within(const Range *r, size_t n, uint32_t c) {
        for (size_t i = 0; i < n; i++)
                if (c >= r[i].from && c <= r[i].to)
                        return true;
        return false;
}

/* Bytes of the character at s, 0 where it is not UTF-8 (overlong forms and surrogates are not). */
static size_t decode(const char *s, uint32_t *ret) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const unsigned char *p = (const unsigned char *)s;
        size_t n = p[0] < 0x80    ? 1
                   : p[0] >= 0xf8 ? 0
                   : p[0] >= 0xf0 ? 4
                   : p[0] >= 0xe0 ? 3
                   : p[0] >= 0xc0 ? 2
                                  : 0;
        uint32_t c = n == 1 ? p[0] : n > 0 ? p[0] & (0x7fU >> n) : 0;

        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (n == 0 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return n;
}

void text_escape(Buf *out, const char *s, bool utf8, bool newlines) {
        while (*s) {
                uint32_t c = 0;
                size_t n = decode(s, &c);

                if (n == 0 || (within(treacherous, ARRAY_SIZE(treacherous), c) && !(newlines && c == '\n')))
                        for (size_t i = 0; i < (n ? n : 1); i++)
                                buf_printf(out, "\\x%02x", (unsigned char)s[i]);
                else if (n > 1 && !utf8)
                        buf_putc(out, '?');
                else
                        buf_append(out, s, n);
                s += n ? n : 1;
        }
}

static size_t char_width(uint32_t c) {
        if (within(combining, ARRAY_SIZE(combining), c))
                return 0;
        return within(wide, ARRAY_SIZE(wide), c) ? 2 : 1;
}

size_t text_width(const char *s) {
        size_t w = 0;

        while (*s) {
                uint32_t c = 0;
                size_t n = decode(s, &c);

                w += n ? char_width(c) : 1;
                s += n ? n : 1;
        }
        return w;
}

/* Length in bytes of the longest beginning of at most `width` columns. */
static size_t head(const char *s, size_t width) {
        const char *p = s;

        while (*p) {
                uint32_t c = 0;
                size_t n = decode(p, &c), w = n ? char_width(c) : 1;

                if (w > width)
                        break;
                width -= w;
                p += n ? n : 1;
        }
        return (size_t)(p - s);
}

/* Where the last `width` columns begin. */
static const char *tail(const char *s, size_t width) {
        size_t skip = text_width(s), w = 0;

        skip = skip > width ? skip - width : 0;
        while (*s && w < skip) {
                uint32_t c = 0;
                size_t n = decode(s, &c);

                w += n ? char_width(c) : 1;
                s += n ? n : 1;
        }
        return s;
}

void text_cut(Buf *out, const char *s, size_t width, bool utf8, bool middle) {
        const char *ellipsis = utf8 ? "\xe2\x80\xa6" : "~";
        size_t left;

        if (text_width(s) <= width) {
                buf_puts(out, s);
                return;
        }
        if (width == 0)
                return;
        left = middle ? (width - 1) / 2 : width - 1;
        buf_append(out, s, head(s, left));
        buf_puts(out, ellipsis);
        if (middle)
                buf_puts(out, tail(s, width - 1 - left));
}

const char *text_style_on(const View *v, TextStyle style) {
        static const char *const sequences[_STYLE_MAX] = {
                [STYLE_PLAIN] = "",          [STYLE_BOLD] = "\x1b[1m",    [STYLE_DIM] = "\x1b[2m",
                [STYLE_GOOD] = "\x1b[0;32m", [STYLE_WARN] = "\x1b[0;33m", [STYLE_BAD] = "\x1b[0;1;31m",
        };

        return v->color ? sequences[style] : "";
}

const char *text_style_off(const View *v, TextStyle style) {
        return v->color && style != STYLE_PLAIN ? "\x1b[0m" : "";
}

/* ---- tables ---- */

typedef struct Column {
        const char *header;
        unsigned flags;
} Column;

typedef struct Cell {
        char *text; /* NULL: "-" */
        TextStyle style;
} Cell;

struct Table {
        Column columns[TABLE_COLUMNS_MAX];
        size_t n_columns;
        Cell *cells;
        size_t n_cells, alloc;
        int error;
};

Table *table_new(void) { return calloc(1, sizeof(Table)); }

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t);
        return NULL;
}

void table_column(Table *t, const char *header, unsigned flags) {
        if (t->n_columns >= TABLE_COLUMNS_MAX || t->n_cells > 0)
                t->error = -EINVAL;
        else
                t->columns[t->n_columns++] = (Column){ header, flags };
}

void table_cell(Table *t, TextStyle style, const char *text) {
        char *copy = NULL;

        if (t->error < 0)
                return;
        if (text && *text && !(copy = strdup(text))) {
                t->error = -ENOMEM;
                return;
        }
        t->error = GROW(t->cells, t->n_cells, t->alloc);
        if (t->error < 0)
                free(copy);
        else
                t->cells[t->n_cells++] = (Cell){ copy, style };
}

void table_cellf(Table *t, TextStyle style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                t->error = -ENOMEM;
                return;
        }
        table_cell(t, style, text);
}

size_t table_rows(const Table *t) { return t->n_columns ? t->n_cells / t->n_columns : 0; }

static bool may_cut(const Column *c) { return c->flags & (TABLE_CUT | TABLE_CUT_MIDDLE); }

#define LEFT_OUT SIZE_MAX

static size_t least_width(const Column *c, size_t width) {
        return may_cut(c) ? MIN_OF(width, MAX_OF(text_width(c->header), (size_t)CUT_MIN)) : width;
}

/* How wide all of them are, `least` as far as they can be cut. */
static size_t total_width(const Table *t, const size_t *widths, bool least) {
        size_t total = 0, n = 0;

        for (size_t i = 0; i < t->n_columns; i++)
                if (widths[i] != LEFT_OUT) {
                        total += least ? least_width(&t->columns[i], widths[i]) : widths[i];
                        n++;
                }
        return total + (n > 0 ? GAP * (n - 1) : 0);
}

/* Leaves out what must be, then takes from the widest that gives way, until it fits or nothing more can give. */
static int shrink(const Table *t, size_t *widths, size_t available) {
        size_t total;
        int left_out = 0;

        for (unsigned flag = TABLE_DROP; flag <= TABLE_DROP_LATE; flag <<= 1)
                for (size_t i = t->n_columns; i-- > 0 && total_width(t, widths, true) > available;)
                        if (t->columns[i].flags & flag) {
                                widths[i] = LEFT_OUT;
                                left_out++;
                        }
        for (total = total_width(t, widths, false); total > available; total--) {
                size_t widest = SIZE_MAX;

                for (size_t i = 0; i < t->n_columns; i++)
                        if (widths[i] != LEFT_OUT && widths[i] > least_width(&t->columns[i], widths[i]) &&
                            (widest == SIZE_MAX || widths[i] > widths[widest]))
                                widest = i;
                if (widest == SIZE_MAX)
                        break;
                widths[widest]--;
        }
        return left_out;
}

/* `pending` are the blanks owed so far: they are paid before text only, so that no line ends in them. */
static void put_cell(const View *v, const Column *c, TextStyle style, const char *text, size_t width,
                     size_t *pending, Buf *out) {
        size_t w = text_width(text), pad = width > w ? width - w : 0;

        if (c->flags & TABLE_RIGHT)
                *pending += pad;
        for (; *text && *pending > 0; (*pending)--)
                buf_putc(out, ' ');
        buf_printf(out, "%s%s%s", text_style_on(v, style), text, text_style_off(v, style));
        if (!(c->flags & TABLE_RIGHT))
                *pending += pad;
        *pending += GAP;
}

static void put_row(const Table *t, const View *v, unsigned indent, const size_t *widths, const Cell *cells,
                    char *const *texts, Buf *out) {
        size_t pending = indent;

        for (size_t i = 0; i < t->n_columns; i++) {
                const Column *c = &t->columns[i];
                _cleanup_buf_ Buf cut = BUF_INIT;

                if (widths[i] == LEFT_OUT)
                        continue;
                text_cut(&cut, texts ? texts[i] : c->header, widths[i], v->utf8, c->flags & TABLE_CUT_MIDDLE);
                if (buf_error(&cut) < 0)
                        out->error = -ENOMEM;
                put_cell(v, c, cells ? cells[i].style : STYLE_BOLD, buf_str(&cut), widths[i], &pending, out);
        }
        buf_putc(out, '\n');
}

static char **escaped(const Table *t, const View *v) {
        char **texts = calloc(t->n_cells + 1, sizeof(*texts));

        for (size_t i = 0; texts && i < t->n_cells; i++) {
                Buf b = BUF_INIT;

                text_escape(&b, t->cells[i].text ? t->cells[i].text : "-", v->utf8, false);
                texts[i] = buf_steal(&b);
                buf_deinit(&b);
                if (texts[i])
                        continue;
                while (i-- > 0)
                        free(texts[i]);
                free(texts);
                return NULL;
        }
        return texts;
}

int table_print(const Table *t, const View *v, unsigned indent) {
        size_t widths[TABLE_COLUMNS_MAX] = {}, rows = table_rows(t);
        _cleanup_buf_ Buf out = BUF_INIT;
        int left_out = 0;
        char **texts;

        if (t->error < 0)
                return t->error;
        if (t->n_columns == 0)
                return 0;
        texts = escaped(t, v);
        if (!texts)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_columns; i++) {
                widths[i] = text_width(t->columns[i].header);
                for (size_t k = 0; k < rows; k++)
                        widths[i] = MAX_OF(widths[i], text_width(texts[k * t->n_columns + i]));
        }
        if (v->width > 0)
                left_out = shrink(t, widths, v->width > indent ? v->width - indent : 0);
        put_row(t, v, indent, widths, NULL, NULL, &out);
        for (size_t k = 0; k < rows; k++)
                put_row(t, v, indent, widths, &t->cells[k * t->n_columns], &texts[k * t->n_columns], &out);
        for (size_t i = 0; i < t->n_cells; i++)
                free(texts[i]);
        free(texts);
        if (buf_error(&out) < 0)
                return -ENOMEM;
        (void)fputs(buf_str(&out), v->out);
        return left_out;
}
