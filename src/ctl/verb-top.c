/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `top`: what runs here, live. The guard only hands out the samples that it has
 * taken anyway (GetHistory, from a cursor: a few hundred bytes a second), and everything else happens here:
 * rates, sums, order. Names and ceilings are asked for every five seconds, for those answers are large.
 *
 * A guard that goes away is waited for: what was there stays, in grey and with its age. When one answers again
 * the model finds out whether it is the same.
 *
 * The processes of a container are asked about without waiting for the answer, which takes its time: meanwhile the keys
 * are waited for in short steps, and whether it has come is looked at between two.
 *
 * Where there is no terminal, or --batch is given, one screen is printed after two looks; with --json one object.
 */

#include <curses.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "num.h"
#include "screens.h"
#include "top-screen.h"

#define PAST (30 * USEC_PER_SEC) /* what the first look asks for */
#define OBJECTS_USEC (5 * USEC_PER_SEC)
#define PATIENCE (3 * USEC_PER_SEC) /* the keys wait as long as a call does */
#define PATIENCE_REMOTE (10 * USEC_PER_SEC)
#define ANSWER_STEP (100 * USEC_PER_MSEC)
#define BATCH_WIDTH 132
#define FILTER_MAX 128
#define KEY_ESCAPE 27

typedef struct Top {
        Ctl *c;
        TopModel *model;
        usec_t delay;
        usec_t looked; /* monotonic: the last look that worked */
        usec_t objects_next;
        Buf away; /* why there is no guard */
        Buf typed; /* the filter */
        TopScreen screen;
        TopPane pane;
        size_t first;
        bool help, editing;
} Top;

static void top_deinit(Top *t) {
        top_screen_deinit(&t->screen);
        top_pane_close(&t->pane);
        buf_deinit(&t->away);
        buf_deinit(&t->typed);
        t->model = top_model_free(t->model);
}

/* ---- looking ---- */

static int get_objects(Top *t) {
        json_t *containers = NULL, *tenants = NULL, *status = NULL;
        int r = client_get(t->c->client, "ListContainers", NULL, &containers);

        if (r == STATUS_DONE)
                r = client_get(t->c->client, "ListTenants", NULL, &tenants);
        if (r == STATUS_DONE)
                r = client_get(t->c->client, "GetStatus", NULL, &status);
        if (r == STATUS_DONE && top_model_set_objects(t->model, json_member(containers, "containers"),
                                                      json_member(tenants, "tenants"), status) < 0)
                r = ctl_rendered(-ENOMEM);
        json_decref(containers);
        json_decref(tenants);
        json_decref(status);
        return r;
}

static void go_away(Top *t, const char *why) {
        buf_clear(&t->away);
        buf_puts(&t->away, why);
}

static int get_history(Top *t) {
        uint64_t now = clock_realtime();
        _cleanup_free_ void *data = NULL;
        size_t len;
        int r = client_get_history(t->c->client, top_model_instance(t->model), top_model_cursor(t->model),
                                   now > PAST ? now - PAST : 1, &data, &len);

        if (r != STATUS_DONE) {
                go_away(t, client_error(t->c->client));
                return r;
        }
        r = top_model_feed(t->model, data, len);
        if (r < 0) {
                go_away(t, r == -EPROTONOSUPPORT ? "its history is of a later version than this bailiffctl"
                           : r == -ENOMEM        ? "out of memory"
                                                 : "its history is damaged");
                return STATUS_FAILED;
        }
        return STATUS_DONE;
}

/* All that is asked for at a beat. STATUS_DONE, or why not is in t->away. */
static int look(Top *t) {
        usec_t now = clock_monotonic();
        int r = get_history(t);

        if (r == STATUS_DONE) {
                t->looked = now;
                buf_clear(&t->away);
                if (now >= t->objects_next) {
                        t->objects_next = now + OBJECTS_USEC;
                        r = get_objects(t);
                        if (r != STATUS_DONE)
                                go_away(t, client_error(t->c->client));
                }
        } else
                t->objects_next = 0; /* another guard may know other ceilings */
        if (top_model_refresh(t->model) < 0)
                return ctl_rendered(-ENOMEM);
        return r;
}

/* What the pane shows. Waits for no look; where there is no guard, what was there stays. */
static void look_at_processes(Top *t) {
        json_t *answer = NULL;
        int r;

        if (client_answered(t->c->client, &r, &answer))
                top_pane_answer(&t->pane, answer, client_error(t->c->client), clock_monotonic());
        if (t->away.len > 0 || !top_pane_due(&t->pane, clock_monotonic()))
                return;
        if (client_ask(t->c->client, "GetProcesses", t->pane.cgroup) == STATUS_DONE)
                top_pane_asked(&t->pane);
        else
                top_pane_answer(&t->pane, NULL, client_error(t->c->client), clock_monotonic());
}

/* When something is to be done if no key comes first. */
static usec_t wakes(const Top *t, usec_t now, usec_t next) {
        if (t->pane.asked)
                return MIN_OF(next, now + ANSWER_STEP);
        return t->pane.name && t->away.len == 0 ? MIN_OF(next, t->pane.next) : next;
}

/* ---- one screen ---- */

static int paint(Top *t, unsigned width, unsigned height, bool keys) {
        const TopHost *h = top_model_host(t->model);
        usec_t at_look = h->handed_out > h->newest ? h->handed_out - h->newest : 0;
        const TopState state = {
                .host = t->c->host,
                .away = t->away.len > 0 ? buf_str(&t->away) : NULL,
                .age = at_look + (clock_monotonic() - t->looked),
                .no_keys = !keys,
                .help = t->help,
                .editing = t->editing,
                .pane = &t->pane,
        };

        return top_screen_render(&t->screen, t->model, &state, width, height, t->c->view.utf8, &t->first);
}

static void print_line(const View *v, const TopLine *l) {
        size_t end = l->text.len, at = 0;
        const char *text = buf_str(&l->text);

        while (end > 0 && text[end - 1] == ' ')
                end--;
        for (size_t i = 0; i < l->n && at < end; at += l->pieces[i++].len)
                (void)fprintf(v->out, "%s%.*s%s", text_style_on(v, l->pieces[i].style),
                              (int)MIN_OF(l->pieces[i].len, end - at), text + at,
                              text_style_off(v, l->pieces[i].style));
        (void)fputc('\n', v->out);
}

static int batch(Top *t) {
        struct timespec ts = { .tv_sec = (time_t)(t->delay / USEC_PER_SEC) };
        const View *v = &t->c->view;
        int r;

        (void)nanosleep(&ts, NULL);
        r = look(t);
        if (r != STATUS_DONE)
                return ctl_fail(r, "%s", t->away.len > 0 ? buf_str(&t->away) : "out of memory");
        if (t->c->json)
                return ctl_print_json(t->c, top_model_to_json(t->model));
        if (paint(t, v->width > 0 ? v->width : BATCH_WIDTH, 1, false) < 0)
                return ctl_rendered(-ENOMEM);
        for (size_t i = 0; i < t->screen.n; i++)
                print_line(v, &t->screen.lines[i]);
        return STATUS_DONE;
}

/* ---- the terminal ---- */

static attr_t attributes(const Top *t, const TopPiece *p) {
        static const attr_t plain[_STYLE_MAX] = {
                [STYLE_BOLD] = A_BOLD,
                [STYLE_DIM] = A_DIM,
                [STYLE_BAD] = A_BOLD,
        };
        attr_t a = plain[p->style];

        if (t->c->view.color && p->style >= STYLE_GOOD)
                a |= (attr_t)COLOR_PAIR(p->style);
        return p->inverse ? a | A_REVERSE : a;
}

static int draw(Top *t) {
        int height, width;

        getmaxyx(stdscr, height, width);
        if (paint(t, (unsigned)MAX_OF(width, 0), (unsigned)MAX_OF(height, 0), true) < 0)
                return -ENOMEM;
        (void)erase();
        for (size_t y = 0; y < t->screen.n; y++) {
                const TopLine *l = &t->screen.lines[y];
                const char *text = buf_str(&l->text);

                (void)move((int)y, 0);
                for (size_t i = 0; i < l->n; text += l->pieces[i++].len) {
                        (void)attrset((int)attributes(t, &l->pieces[i]));
                        (void)addnstr(text, (int)l->pieces[i].len); /* ERR behind the last cell of all */
                }
        }
        (void)attrset(A_NORMAL);
        (void)refresh();
        return 0;
}

/* False: no terminal that curses knows. */
static bool begin(Top *t) {
        SCREEN *s = newterm(NULL, stdout, stdin);

        if (!s)
                return false;
        (void)set_term(s);
        (void)cbreak();
        (void)noecho();
        (void)keypad(stdscr, TRUE);
        (void)set_escdelay(50);
        (void)curs_set(0);
        t->c->view.color = t->c->view.color && has_colors();
        if (t->c->view.color) {
                (void)start_color();
                (void)use_default_colors();
                (void)init_pair(STYLE_GOOD, COLOR_GREEN, -1);
                (void)init_pair(STYLE_WARN, COLOR_YELLOW, -1);
                (void)init_pair(STYLE_BAD, COLOR_RED, -1);
        }
        return true;
}

static void end(void) {
        SCREEN *s = set_term(NULL);

        (void)set_term(s);
        (void)endwin();
        delscreen(s);
}

/* ---- keys ---- */

static void take_back(Buf *b) {
        while (b->len > 0 && ((unsigned char)b->data[b->len - 1] & 0xc0) == 0x80)
                b->len--; /* the rest of a character of several bytes */
        if (b->len > 0)
                b->len--;
        if (b->data)
                b->data[b->len] = '\0';
}

static int edit(Top *t, int key) {
        switch (key) {
        case KEY_ESCAPE:
                buf_clear(&t->typed);
                t->editing = false;
                break;
        case '\n':
        case '\r':
        case KEY_ENTER:
                t->editing = false;
                break;
        case KEY_BACKSPACE:
        case '\b':
        case 0x7f:
                take_back(&t->typed);
                break;
        default:
                if (key >= ' ' && key <= 0xff && t->typed.len < FILTER_MAX)
                        buf_putc(&t->typed, (char)key);
        }
        return top_model_filter(t->model, buf_str(&t->typed));
}

/* The tenant that the cursor is on is folded; of a container come the processes. */
static int enter(Top *t) {
        size_t n, at = top_model_cursor_row(t->model);
        const TopRow *rows = top_model_rows(t->model, &n);

        if (at >= n)
                return 0;
        if (rows[at].is_tenant) {
                top_model_fold(t->model);
                return 0;
        }
        client_forget(t->c->client);
        return top_pane_toggle(&t->pane, &rows[at]);
}

static int escape(Top *t) {
        if (t->pane.name) {
                client_forget(t->c->client);
                top_pane_close(&t->pane);
                return 0;
        }
        buf_clear(&t->typed);
        return top_model_filter(t->model, "");
}

/* 1: quit. 0, -ENOMEM. */
static int press(Top *t, int key) {
        static const struct {
                int key;
                TopSort sort;
        } sorts[] = { { 'c', TOP_SORT_CPU },     { 'm', TOP_SORT_MEMORY },   { 'i', TOP_SORT_IO },
                      { 'w', TOP_SORT_NETWORK }, { 'p', TOP_SORT_PRESSURE }, { 't', TOP_SORT_TASKS },
                      { 'n', TOP_SORT_NAME } };
        long page = (long)top_screen_page((unsigned)MAX_OF(getmaxy(stdscr), 1), t->pane.name);

        if (t->editing)
                return edit(t, key);
        if (t->help) {
                t->help = false;
                return key == 'q';
        }
        for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
                if (key == sorts[i].key)
                        top_model_sort(t->model, sorts[i].sort);
        switch (key) {
        case 'q':
                return 1;
        case 'h':
        case '?':
                t->help = true;
                break;
        case 'r':
                top_model_reverse(t->model);
                break;
        case KEY_UP:
                top_model_move(t->model, -1);
                break;
        case KEY_DOWN:
                top_model_move(t->model, 1);
                break;
        case KEY_PPAGE:
                top_model_move(t->model, -page);
                break;
        case KEY_NPAGE:
                top_model_move(t->model, page);
                break;
        case KEY_HOME:
                top_model_move(t->model, -LONG_MAX);
                break;
        case KEY_END:
                top_model_move(t->model, LONG_MAX);
                break;
        case ' ':
                top_model_fold(t->model);
                break;
        case '\n':
        case '\r':
        case KEY_ENTER:
                return enter(t);
        case '/':
                t->editing = true;
                break;
        case KEY_ESCAPE:
                return escape(t);
        default:
                break;
        }
        return 0;
}

static int live(Top *t) {
        usec_t next = clock_monotonic() + t->delay;
        int r = draw(t);

        while (r == 0) {
                usec_t now = clock_monotonic(), until = wakes(t, now, next);
                int key;

                timeout(now < until ? (int)((until - now) / 1000 + 1) : 0);
                key = getch();
                if (key == KEY_RESIZE)
                        (void)clear();
                else if (key != ERR)
                        r = press(t, key);
                if (key != ERR && r == 0)
                        r = top_model_refresh(t->model);
                if (r == 0 && clock_monotonic() >= next) {
                        (void)look(t); /* why not is on the screen */
                        next = clock_monotonic() + t->delay;
                }
                if (r == 0) {
                        look_at_processes(t);
                        r = draw(t);
                }
        }
        return r;
}

/* ---- the verb ---- */

static int parse_delay(const Ctl *c, usec_t *ret) {
        uint32_t n = 1;

        if ((c->given & OPTION_DELAY) && (num_parse_u32(c->delay, &n) < 0 || n < 1 || n > 60))
                return ctl_fail(STATUS_USAGE, "--delay %s: expected seconds, 1 to 60", c->delay);
        *ret = n * USEC_PER_SEC;
        return STATUS_DONE;
}

static bool has_terminal(void) {
        const char *term = getenv("TERM");

        return isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && term && *term && !STR_EQ(term, "dumb");
}

int verb_top(Ctl *c) {
        _cleanup_(top_deinit) Top t = { .c = c, .model = top_model_new() };
        int r = parse_delay(c, &t.delay);

        if (r != STATUS_DONE)
                return r;
        if (!t.model)
                return ctl_rendered(-ENOMEM);
        /* Before the screen is taken: ssh may want a password, and who may not look is told so and can go. */
        r = look(&t);
        if (r != STATUS_DONE)
                return ctl_fail(r, "%s", t.away.len > 0 ? buf_str(&t.away) : "out of memory");
        if (c->json || (c->given & OPTION_BATCH) || !has_terminal())
                return batch(&t);
        client_set_patience(c->client, c->host ? PATIENCE_REMOTE : PATIENCE);
        if (!begin(&t))
                return ctl_fail(STATUS_FAILED,
                                "no terminal that is known as TERM=%s; without one: bailiffctl top "
                                "--batch",
                                getenv("TERM"));
        r = live(&t);
        end();
        return ctl_rendered(MIN_OF(r, 0));
}
