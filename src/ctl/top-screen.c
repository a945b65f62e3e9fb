/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What `top` looks like:
 *
 *   who and how old         bailiff: 3 tenants, 12 containers (4 hot, 8 cold), data 1s old
 *   the host, four lines    CPU [||||      ] 34.0% of 8 CPUs, some 12.0%
 *   columns                 NAME ... the key's is marked
 *   rows
 *   the pane, where it is open: top-pane.c
 *   keys
 *
 * Small terminals lose the host first, columns next (each has a rank; the one that is sorted by stays), and
 * never the first and the last line. No line is wider than the screen: top-paint.c sees to that.
 */

#include <stdio.h>

#include "num.h"
#include "screens.h"
#include "top-paint.h"

void top_screen_deinit(TopScreen *s) {
        for (size_t i = 0; i < s->alloc && s->lines; i++) {
                buf_deinit(&s->lines[i].text);
                free(s->lines[i].pieces);
        }
        free(s->lines);
        *s = (TopScreen){};
}

/* ---- bars ---- */

static TextStyle use_style(uint64_t permyriad) {
        return permyriad >= 9000 ? STYLE_BAD : permyriad >= 7000 ? STYLE_WARN : STYLE_GOOD;
}

/* permyriad of `width` columns, to an eighth of one where the terminal can. */
static void bar(Painter *p, TextStyle style, uint64_t permyriad, size_t width) {
        static const char *const eighths[] = { "",       "\u258f", "\u258e", "\u258d",
                                               "\u258c", "\u258b", "\u258a", "\u2589" };
        uint64_t filled = num_muldiv(MIN_OF(permyriad, (uint64_t)10000), width * 8, 10000);
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t used = 0;

        if (permyriad > 0)
                filled = MAX_OF(filled, (uint64_t)1); /* a little is not nothing */
        for (; filled >= 8; filled -= 8, used++)
                buf_puts(&b, p->utf8 ? "\u2588" : "|");
        if (filled > 0 && (p->utf8 || filled >= 4 || used == 0)) {
                buf_puts(&b, p->utf8 ? eighths[filled] : "|");
                used++;
        }
        if (buf_error(&b) < 0)
                p->screen->error = -ENOMEM;
        if (used > 0)
                paint_text(p, style, buf_str(&b), used, false);
        buf_clear(&b);
        for (size_t i = used; i < width; i++)
                buf_puts(&b, p->utf8 ? "\u00b7" : ".");
        if (used < width)
                paint_text(p, STYLE_DIM, buf_str(&b), width - used, false);
}

/* ---- the first lines ---- */

static void title(Painter *p, const TopHost *h) {
        _cleanup_buf_ Buf host = BUF_INIT, why = BUF_INIT;
        char age[SAY_MAX];
        usec_t old = p->state->age;

        paint_line(p);
        text_escape(&host, p->state->host ? p->state->host : "", p->utf8, false);
        (void)say_span(old >= USEC_PER_SEC ? old : 0, age);
        if (p->state->away) {
                text_escape(&why, p->state->away, p->utf8, true);
                p->loud = true;
                paint_format(p, STYLE_BAD, "No guard%s%s, data %s old; trying again: %.*s",
                             host.len ? " on " : "", buf_str(&host), h->newest ? age : "none",
                             (int)strcspn(buf_str(&why), "\n"), buf_str(&why));
                p->loud = false;
                return;
        }
        paint_format(p, STYLE_BOLD, "bailiff%s%s: ", host.len ? " on " : "", buf_str(&host));
        paint_format(p, STYLE_PLAIN, "%zu tenants, %zu containers", h->n_tenants, h->n_containers);
        if (h->hot + h->cold > 0)
                paint_format(p, STYLE_PLAIN, " (%llu hot, %llu cold)", (unsigned long long)h->hot,
                             (unsigned long long)h->cold);
        if (h->newest > 0)
                paint_format(p, old > 5 * USEC_PER_SEC ? STYLE_WARN : STYLE_PLAIN, ", data %s old",
                             old >= USEC_PER_SEC ? age : "0s");
        else
                paint_text(p, STYLE_DIM, ", no data yet", 0, false);
}

static void stalls(Painter *p, const TopNumbers *n, TopField some, TopField full) {
        char text[SAY_MAX];

        if (!top_has(n, some))
                return;
        paint_format(p, STYLE_PLAIN, "  waiting: ");
        paint_format(p, pressure_style(n->v[some]), "some %s", say_permyriad(n->v[some], text));
        if (top_has(n, full))
                paint_format(p, pressure_style(n->v[full]), " full %s", say_permyriad(n->v[full], text));
}

static size_t bar_width(const Painter *p) { return MIN_OF(MAX_OF(p->width / 4, 4U), 30U); }

/* used of max; max 0: not known */
static void host_line(Painter *p, const char *label, bool known, uint64_t used, uint64_t max) {
        uint64_t share = max > 0 ? num_muldiv(used, 10000, max) : 0;

        paint_line(p);
        paint_text(p, STYLE_BOLD, label, 5, false);
        if (known)
                bar(p, use_style(share), share, bar_width(p));
        else
                paint_blanks(p, bar_width(p));
        paint_text(p, STYLE_PLAIN, " ", 1, false);
}

static void host(Painter *p, const TopHost *h) {
        const TopNumbers *n = &h->numbers;
        char a[SAY_MAX], b[SAY_MAX];

        host_line(p, "CPU", top_has(n, TOP_CPU) && top_has(n, TOP_CPU_MAX), n->v[TOP_CPU], n->v[TOP_CPU_MAX]);
        if (top_has(n, TOP_CPU) && top_has(n, TOP_CPU_MAX))
                paint_format(p, STYLE_PLAIN, "%s of %llu CPUs",
                             say_permyriad(num_muldiv(n->v[TOP_CPU], 10000, n->v[TOP_CPU_MAX]), a),
                             (unsigned long long)h->cpus);
        stalls(p, n, TOP_CPU_SOME, TOP_CPU_FULL);
        host_line(p, "Mem", top_has(n, TOP_MEMORY), n->v[TOP_MEMORY], n->v[TOP_MEMORY_MAX]);
        if (top_has(n, TOP_MEMORY))
                paint_format(p, STYLE_PLAIN, "%s/%s", say_size(n->v[TOP_MEMORY], a),
                             say_size(n->v[TOP_MEMORY_MAX], b));
        stalls(p, n, TOP_MEMORY_SOME, TOP_MEMORY_FULL);
        host_line(p, "Swap", top_has(n, TOP_SWAP), n->v[TOP_SWAP], n->v[TOP_SWAP_MAX]);
        if (top_has(n, TOP_SWAP))
                paint_format(p, STYLE_PLAIN, n->v[TOP_SWAP_MAX] > 0 ? "%s/%s" : "none",
                             say_size(n->v[TOP_SWAP], a), say_size(n->v[TOP_SWAP_MAX], b));
        host_line(p, "IO", top_has(n, TOP_IO_SOME), n->v[TOP_IO_SOME], 10000);
        if (top_has(n, TOP_READ) || top_has(n, TOP_WRITE))
                paint_format(p, STYLE_PLAIN, "read %s/s, written %s/s", say_size(n->v[TOP_READ], a),
                             say_size(n->v[TOP_WRITE], b));
        stalls(p, n, TOP_IO_SOME, TOP_IO_FULL);
}

/* In one line, where there is no room for four. */
static void host_short(Painter *p, const TopHost *h) {
        const TopNumbers *n = &h->numbers;
        char a[SAY_MAX], b[SAY_MAX];

        paint_line(p);
        if (top_has(n, TOP_CPU) && top_has(n, TOP_CPU_MAX))
                paint_format(p, STYLE_PLAIN, "CPU %s ",
                             say_permyriad(num_muldiv(n->v[TOP_CPU], 10000, n->v[TOP_CPU_MAX]), a));
        if (top_has(n, TOP_MEMORY))
                paint_format(p, STYLE_PLAIN, "Mem %s/%s ", say_size(n->v[TOP_MEMORY], a),
                             say_size(n->v[TOP_MEMORY_MAX], b));
        if (top_has(n, TOP_IO_SOME))
                paint_format(p, pressure_style(n->v[TOP_IO_SOME]), "IO waiting %s",
                             say_permyriad(n->v[TOP_IO_SOME], a));
}

/* ---- columns ---- */

typedef enum Kind { KIND_NAME, KIND_SHARE, KIND_BYTES, KIND_COUNT, KIND_BAR, KIND_IO, KIND_NET } Kind;

static const struct {
        const char *label;
        Kind kind;
        TopField field, max; /* max: of a bar; _TOP_FIELD_MAX: the whole */
        size_t width;
        unsigned rank; /* the lowest ones are left when it is narrow */
        TopSort sort; /* the key that sorts by it */
} columns[] = {
        { "NAME", KIND_NAME, 0, 0, 12, 0, TOP_SORT_NAME },
        { "CPU", KIND_SHARE, TOP_CPU, 0, 6, 1, TOP_SORT_CPU },
        { "/MAX", KIND_SHARE, TOP_CPU_MAX, 0, 6, 9, TOP_SORT_CPU },
        { "", KIND_BAR, TOP_CPU, TOP_CPU_MAX, 6, 6, TOP_SORT_CPU },
        { "THROTL", KIND_SHARE, TOP_THROTTLED, 0, 6, 15, TOP_SORT_CPU },
        { "MEM", KIND_BYTES, TOP_MEMORY, 0, 5, 2, TOP_SORT_MEMORY },
        { "/MAX", KIND_BYTES, TOP_MEMORY_MAX, 0, 6, 10, TOP_SORT_MEMORY },
        { "", KIND_BAR, TOP_MEMORY, TOP_MEMORY_MAX, 6, 7, TOP_SORT_MEMORY },
        { "SWAP", KIND_BYTES, TOP_SWAP, 0, 6, 14, TOP_SORT_MEMORY },
        { "IO/S", KIND_IO, 0, 0, 5, 3, TOP_SORT_IO },
        { "READ", KIND_BYTES, TOP_READ, 0, 6, 17, TOP_SORT_IO },
        { "WRITE", KIND_BYTES, TOP_WRITE, 0, 6, 18, TOP_SORT_IO },
        { "NET/S", KIND_NET, 0, 0, 6, 9, TOP_SORT_NETWORK },
        { "RECV", KIND_BYTES, TOP_RECEIVED, 0, 6, 19, TOP_SORT_NETWORK },
        { "SENT", KIND_BYTES, TOP_SENT, 0, 6, 20, TOP_SORT_NETWORK },
        { "P-CPU", KIND_BAR, TOP_CPU_SOME, _TOP_FIELD_MAX, 6, 8, TOP_SORT_PRESSURE },
        { "%", KIND_SHARE, TOP_CPU_SOME, 0, 5, 11, TOP_SORT_PRESSURE },
        { "P-MEM", KIND_BAR, TOP_MEMORY_SOME, _TOP_FIELD_MAX, 6, 8, TOP_SORT_PRESSURE },
        { "%", KIND_SHARE, TOP_MEMORY_SOME, 0, 5, 12, TOP_SORT_PRESSURE },
        { "P-IO", KIND_BAR, TOP_IO_SOME, _TOP_FIELD_MAX, 6, 8, TOP_SORT_PRESSURE },
        { "%", KIND_SHARE, TOP_IO_SOME, 0, 5, 13, TOP_SORT_PRESSURE },
        { "TASKS", KIND_COUNT, TOP_TASKS, 0, 6, 5, TOP_SORT_TASKS },
        { "/MAX", KIND_COUNT, TOP_TASKS_MAX, 0, 6, 16, TOP_SORT_TASKS },
};
#define RANK_MAX 20
#define RANK_EXTRA 9 /* from here on only where there is room for names as well */
#define NAME_WIDTH_GOOD 24
#define NAME_WIDTH_MAX 60

typedef struct Layout {
        bool shown[ARRAY_SIZE(columns)];
        size_t name_width;
} Layout;

/* What is sorted by is there before anything else: its number, or, of pressure, the bars. */
static unsigned rank_of(size_t i, TopSort sort) {
        bool essential = columns[i].kind == KIND_BAR
                                 ? sort == TOP_SORT_PRESSURE
                                 : columns[i].rank < RANK_EXTRA || columns[i].kind == KIND_NET;

        return columns[i].sort == sort && essential ? 0 : columns[i].rank;
}

static void lay_out(Layout *l, unsigned width, TopSort sort) {
        size_t total = 0;

        *l = (Layout){};
        for (unsigned rank = 0; rank <= RANK_MAX; rank++)
                for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
                        size_t more = columns[i].width + (i > 0),
                               spare = rank >= RANK_EXTRA ? NAME_WIDTH_GOOD - columns[0].width : 0;

                        if (rank_of(i, sort) != rank || (i > 0 && total + more + spare > width))
                                continue;
                        l->shown[i] = true;
                        total += more;
                }
        l->name_width = columns[0].width;
        if (width > total)
                l->name_width = MIN_OF(l->name_width + (width - total), (size_t)NAME_WIDTH_MAX);
}

static void header(Painter *p, const Layout *l, const TopModel *m) {
        bool reverse, marked = false;
        TopSort sort = top_model_get_sort(m, &reverse);

        paint_line(p);
        p->inverse = true;
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
                bool mark = columns[i].sort == sort && !marked;
                char label[SAY_MAX];

                if (!l->shown[i])
                        continue;
                marked |= mark;
                /* What is highest comes first, names from a to z. */
                (void)snprintf(label, sizeof(label), "%s%s", columns[i].label,
                               !mark                                ? ""
                               : reverse != (sort == TOP_SORT_NAME) ? (p->utf8 ? "\u25b4" : "^")
                                                                    : (p->utf8 ? "\u25be" : "v"));
                if (i > 0)
                        paint_blanks(p, 1);
                paint_text(p, mark ? STYLE_BOLD : STYLE_PLAIN, label,
                           i > 0 ? columns[i].width : l->name_width,
                           columns[i].kind != KIND_NAME && columns[i].kind != KIND_BAR);
        }
        if (p->line)
                paint_blanks(p, p->width - p->line->width);
        p->inverse = false;
}

static void name_cell(Painter *p, const TopRow *row, size_t width) {
        const char *mark = row->folded ? (p->utf8 ? "\u25b8 " : "+ ") : (p->utf8 ? "\u25be " : "- ");
        _cleanup_buf_ Buf escaped = BUF_INIT, cut = BUF_INIT;
        char members[SAY_MAX] = "";
        size_t room;

        if (row->is_tenant)
                (void)snprintf(members, sizeof(members), " (%zu)", row->n_containers);
        room = width - MIN_OF(width, 2 + strlen(members));
        text_escape(&escaped, row->name, p->utf8, false);
        text_cut(&cut, buf_str(&escaped), room, p->utf8, false);
        if (buf_error(&cut) < 0 || buf_error(&escaped) < 0)
                p->screen->error = -ENOMEM;
        if (row->is_tenant)
                paint_text(p, STYLE_PLAIN, mark, 2, false);
        else
                paint_text(p, row->frozen ? STYLE_BAD : STYLE_WARN,
                           row->frozen      ? "F "
                           : row->throttled ? "T "
                                            : "  ",
                           2, false);
        room = MAX_OF(text_width(buf_str(&cut)), (size_t)1);
        paint_text(p, row->is_tenant ? STYLE_BOLD : STYLE_PLAIN, buf_str(&cut), room, false);
        paint_blanks(p, width - MIN_OF(width, 2 + room + strlen(members)));
        paint_text(p, STYLE_DIM, members, 0, false);
}

static void bar_cell(Painter *p, const TopNumbers *n, size_t i) {
        bool of_ceiling = columns[i].max < _TOP_FIELD_MAX;
        uint64_t v = n->v[columns[i].field], share = v;

        if (!top_has(n, columns[i].field)) {
                paint_text(p, STYLE_DIM, "-", columns[i].width, false);
                return;
        }
        if (of_ceiling && !top_has(n, columns[i].max)) {
                paint_text(p, STYLE_DIM, "no max", columns[i].width, false);
                return;
        }
        if (of_ceiling) {
                uint64_t max = n->v[columns[i].max];

                share = max > 0 ? num_muldiv(v, 10000, max) : v > 0 ? 10000 : 0;
        }
        bar(p, of_ceiling ? use_style(share) : pressure_style(share), share, columns[i].width);
}

static void sum_text(const TopNumbers *n, TopField a, TopField b, char text[static SAY_MAX]) {
        if (top_has(n, a) || top_has(n, b))
                (void)say_size(num_add_sat(n->v[a], n->v[b]), text);
}

static void number_cell(Painter *p, const TopRow *row, size_t i) {
        const TopNumbers *n = &row->numbers;
        uint64_t v = n->v[columns[i].field];
        TextStyle style = STYLE_PLAIN;
        char text[SAY_MAX] = "-";

        if (columns[i].kind == KIND_IO)
                sum_text(n, TOP_READ, TOP_WRITE, text);
        else if (columns[i].kind == KIND_NET && row->network >= TOP_NETWORK_HOST) {
                style = STYLE_DIM;
                (void)snprintf(text, sizeof(text), "%s", top_network_name(row->network));
        } else if (columns[i].kind == KIND_NET)
                sum_text(n, TOP_RECEIVED, TOP_SENT, text);
        else if (!top_has(n, columns[i].field))
                style = STYLE_DIM;
        else if (columns[i].kind == KIND_SHARE) {
                (void)say_permyriad(v, text);
                if (columns[i].field >= TOP_CPU_SOME)
                        style = pressure_style(v);
        } else if (columns[i].kind == KIND_BYTES)
                (void)say_size(v, text);
        else
                (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
        if (strlen(text) > columns[i].width) /* rather none than a wrong one */
                (void)snprintf(text, sizeof(text), ">%.*s", (int)columns[i].width - 1, "999999999999");
        paint_text(p, style, text, columns[i].width, true);
}

static void row_line(Painter *p, const Layout *l, const TopRow *row, bool selected) {
        paint_line(p);
        p->inverse = selected;
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
                if (!l->shown[i])
                        continue;
                if (i > 0)
                        paint_blanks(p, 1);
                if (columns[i].kind == KIND_NAME)
                        name_cell(p, row, l->name_width);
                else if (columns[i].kind == KIND_BAR)
                        bar_cell(p, &row->numbers, i);
                else
                        number_cell(p, row, i);
        }
        if (selected && p->line)
                paint_blanks(p, p->width - p->line->width);
        p->inverse = false;
}

/* ---- the last line, and help ---- */

static void keys(Painter *p, const TopModel *m) {
        static const struct {
                const char *key, *what;
        } all[] = { { "q", "quit" },     { "h", "help" },          { "c m i w p t n", "sort" },
                    { "space", "fold" }, { "enter", "processes" }, { "/", "filter" },
                    { "r", "reverse" } };
        _cleanup_buf_ Buf filter = BUF_INIT;

        paint_line(p);
        text_escape(&filter, top_model_get_filter(m), p->utf8, false);
        if (p->state->editing) {
                paint_format(p, STYLE_BOLD, "/%s_", buf_str(&filter));
                paint_text(p, STYLE_DIM, "  enter: keep, esc: drop", 0, false);
                return;
        }
        if (filter.len > 0)
                paint_format(p, STYLE_WARN, "/%s  ", buf_str(&filter));
        for (size_t i = 0; i < ARRAY_SIZE(all) && p->line; i++) {
                if (p->line->width + strlen(all[i].key) + strlen(all[i].what) + 1 > p->width)
                        break;
                paint_text(p, STYLE_BOLD, all[i].key, 0, false);
                paint_format(p, STYLE_PLAIN, " %s  ", all[i].what);
        }
}

static void help(Painter *p, size_t lines) {
        static const struct {
                const char *key, *what;
        } all[] = {
                { "q", "quit" },
                { "h ?", "this text; any key goes back" },
                { "up down", "move; PgUp PgDn Home End" },
                { "space enter", "fold or unfold a tenant" },
                { "enter", "on a container: its processes, and away with them; esc, too" },
                { "/", "filter by name; esc: all again" },
                { "c", "sort by CPU" },
                { "m", "by memory" },
                { "i", "by IO" },
                { "w", "by what is sent and received" },
                { "p", "by pressure, the worst of the three" },
                { "t", "by tasks" },
                { "n", "by name" },
                { "r", "the other way round" },
                { "", "" },
                { "CPU", "100% is one CPU; the bar is use of the ceiling /MAX" },
                { "NET/S", "host: it uses the host's network; shared: another container's" },
                { "P-CPU P-MEM P-IO", "share of time that some task waited for it" },
                { "tenant", "of its waiting: the worst of its containers" },
                { "T F", "before a name: throttled, or frozen, by a lease" },
                { "THROTL", "share of its periods in which CPU ran out" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all) && lines > 0; i++, lines--) {
                paint_line(p);
                paint_text(p, STYLE_BOLD, all[i].key, MIN_OF(18U, MAX_OF(p->width / 4, 2U)), false);
                paint_text(p, STYLE_PLAIN, all[i].what, 0, false);
        }
}

/* ---- all of it ---- */

#define HOST_LINES 4

/* Lines above the rows and below. */
static size_t lines_of_host(unsigned height) { return height >= 16 ? HOST_LINES : height >= 8 ? 1 : 0; }

static size_t lines_around(unsigned height) {
        return 1 + lines_of_host(height) + (height >= 4) + (height >= 3); /* title, host, header, keys */
}

size_t top_screen_page(unsigned height, bool pane) {
        size_t around = lines_around(height), page = height > around ? height - around : 1;

        return pane ? page - top_pane_lines(page) : page;
}

static size_t first_in_sight(size_t first, size_t cursor, size_t page, size_t n) {
        if (cursor < first)
                first = cursor;
        if (cursor >= first + page)
                first = cursor - page + 1;
        return MIN_OF(first, n > page ? n - page : 0);
}

int top_screen_render(TopScreen *s, const TopModel *m, const TopState *state, unsigned width, unsigned height,
                      bool utf8, size_t *first) {
        Painter p = { .screen = s, .state = state, .width = width, .height = height, .utf8 = utf8 };
        bool pane = state->pane && state->pane->name && !state->help && !state->no_keys;
        size_t n, page = state->no_keys ? SIZE_MAX : top_screen_page(height, pane);
        const TopRow *rows = top_model_rows(m, &n);
        bool reverse;
        Layout l;

        s->n = 0;
        s->error = 0;
        if (width == 0 || height == 0)
                return 0;
        title(&p, top_model_host(m));
        if (state->no_keys || lines_of_host(height) == HOST_LINES)
                host(&p, top_model_host(m));
        else if (lines_of_host(height) > 0)
                host_short(&p, top_model_host(m));
        lay_out(&l, width, top_model_get_sort(m, &reverse));
        if (state->help)
                help(&p, page + (height >= 4));
        else {
                if (state->no_keys || height >= 4)
                        header(&p, &l, m);
                if (state->no_keys)
                        *first = 0;
                else
                        *first = first_in_sight(*first, top_model_cursor_row(m), page, n);
                for (size_t i = *first; i < n && i - *first < page; i++)
                        row_line(&p, &l, &rows[i], !state->no_keys && i == top_model_cursor_row(m));
                if (n == 0)
                        paint_line(&p);
                if (n == 0)
                        paint_text(&p, STYLE_DIM,
                                   *top_model_get_filter(m) ? "nothing has that in its name"
                                                            : "no containers run here",
                                   0, false);
        }
        if (pane) {
                size_t lines = top_screen_page(height, false) - page;

                while (s->n + lines + (height >= 3) < height && s->error == 0)
                        paint_line(&p);
                top_pane_paint(state->pane, &p, lines);
        }
        if (!state->no_keys && height >= 3) {
                while (s->n > 0 && s->n + 1 < height && s->error == 0)
                        paint_line(&p);
                keys(&p, m);
        }
        s->n = MIN_OF(s->n, state->no_keys ? s->n : (size_t)height);
        for (size_t i = 0; i < s->n && s->error == 0; i++)
                if (buf_error(&s->lines[i].text) < 0)
                        s->error = -ENOMEM;
        return s->error;
}
