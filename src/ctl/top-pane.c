/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the pane of `top` knows and how it looks:
 *
 *   whose, how many, or why not   Processes of web: 2 of 12, within 500ms
 *   columns                       PID COMMAND ...
 *   those that use most CPU
 *
 * The guard looks twice, half a second apart, and may have to wait for bailiff-netlink, so that an answer takes up to
 * some seconds; nobody waits for it here. It stays on the container that it was opened for, wherever the cursor goes:
 * each look costs the service something, and a hundred lines that are scrolled through would be a hundred looks.
 */

#include <stdio.h>

#include "screens.h"
#include "top-paint.h"

#define EVERY_USEC (3 * USEC_PER_SEC) /* from an answer to the next question */
#define HEAD_LINES 2
#define PROCESSES_MAX 8 /* the guard names no more */
#define NAME_WIDTH_MAX 40U

/* ---- what it knows ---- */

void top_pane_close(TopPane *pane) {
        free(pane->name);
        free(pane->cgroup);
        json_decref(pane->answer);
        buf_deinit(&pane->error);
        *pane = (TopPane){};
}

int top_pane_toggle(TopPane *pane, const TopRow *row) {
        bool same = pane->name && pane->cgroup_id == row->cgroup_id;

        if (row->is_tenant)
                return 0;
        top_pane_close(pane);
        if (same)
                return 0;
        pane->cgroup_id = row->cgroup_id;
        pane->cgroup = strdup(row->cgroup);
        pane->name = strdup(row->name);
        if (!pane->cgroup || !pane->name) {
                top_pane_close(pane);
                return -ENOMEM;
        }
        return 0;
}

bool top_pane_due(const TopPane *pane, usec_t now) { return pane->name && !pane->asked && now >= pane->next; }

void top_pane_asked(TopPane *pane) { pane->asked = true; }

void top_pane_answer(TopPane *pane, json_t *answer, const char *error, usec_t now) {
        if (!pane->name) {
                json_decref(answer);
                return;
        }
        json_decref(pane->answer);
        pane->answer = answer;
        buf_deinit(&pane->error);
        buf_puts(&pane->error, answer ? "" : error);
        pane->asked = false;
        pane->answered = true;
        pane->next = now + EVERY_USEC;
}

/* ---- how it looks ---- */

typedef enum Column {
        COLUMN_PID,
        COLUMN_COMMAND,
        COLUMN_CPU,
        COLUMN_MEMORY,
        COLUMN_THREADS,
        COLUMN_WAIT
} Column;

static const struct {
        const char *label;
        size_t width; /* 0: what is left */
        bool right;
        unsigned from; /* on a screen of so many columns */
} columns[] = {
        [COLUMN_PID] = { "PID", 8, true, 0 },          [COLUMN_COMMAND] = { "COMMAND", 16, false, 0 },
        [COLUMN_CPU] = { "CPU", 6, true, 0 },          [COLUMN_MEMORY] = { "MEMORY", 6, true, 0 },
        [COLUMN_THREADS] = { "THREADS", 7, true, 72 }, [COLUMN_WAIT] = { "WAITS MOST FOR", 0, false, 0 },
};

size_t top_pane_lines(size_t page) {
        size_t lines = MIN_OF(MAX_OF(page / 2, (size_t)HEAD_LINES + 1), (size_t)HEAD_LINES + PROCESSES_MAX);

        return MIN_OF(lines, page > 0 ? page - 1 : 0);
}

static void cell(Painter *p, size_t i, TextStyle style, const char *text) {
        if (p->width < columns[i].from || !p->line)
                return;
        if (i > 0)
                paint_blanks(p, 1);
        paint_text(p, style, text, columns[i].width, columns[i].right);
}

static void cell_escaped(Painter *p, size_t i, TextStyle style, const char *text) {
        _cleanup_buf_ Buf escaped = BUF_INIT;

        text_escape(&escaped, text, p->utf8, false);
        if (buf_error(&escaped) < 0)
                p->screen->error = -ENOMEM;
        cell(p, i, style, buf_str(&escaped));
}

static void header(Painter *p) {
        paint_line(p);
        p->inverse = true;
        for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
                cell(p, i, STYLE_PLAIN, columns[i].label);
        if (p->line)
                paint_blanks(p, p->width - p->line->width);
        p->inverse = false;
}

static void process_line(Painter *p, const json_t *process, uint64_t span) {
        const char *comm = json_text(process, "comm");
        _cleanup_buf_ Buf wait = BUF_INIT;
        char text[SAY_MAX];

        process_wait(&wait, process, span);
        if (buf_error(&wait) < 0)
                p->screen->error = -ENOMEM;
        paint_line(p);
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)json_number(process, "pid"));
        cell(p, COLUMN_PID, STYLE_PLAIN, text);
        cell_escaped(p, COLUMN_COMMAND, STYLE_BOLD, comm ? comm : "?");
        cell(p, COLUMN_CPU, STYLE_PLAIN, say_permyriad(process_cpu(process, span), text));
        cell(p, COLUMN_MEMORY, STYLE_PLAIN, say_size(json_number(process, "rss_bytes"), text));
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)json_number(process, "threads"));
        cell(p, COLUMN_THREADS, STYLE_PLAIN, text);
        cell(p, COLUMN_WAIT, STYLE_PLAIN, buf_str(&wait));
}

static void name(Painter *p, const char *text) {
        _cleanup_buf_ Buf escaped = BUF_INIT, cut = BUF_INIT;

        text_escape(&escaped, text, p->utf8, false);
        text_cut(&cut, buf_str(&escaped), MIN_OF(MAX_OF(p->width / 2, 1U), NAME_WIDTH_MAX), p->utf8, false);
        if (buf_error(&escaped) < 0 || buf_error(&cut) < 0)
                p->screen->error = -ENOMEM;
        paint_format(p, STYLE_BOLD, "Processes of %s: ", buf_str(&cut));
}

static void why_not(Painter *p, const char *text) {
        _cleanup_buf_ Buf escaped = BUF_INIT;

        text_escape(&escaped, text, p->utf8, true);
        if (buf_error(&escaped) < 0)
                p->screen->error = -ENOMEM;
        paint_format(p, STYLE_WARN, "not known: %.*s", (int)strcspn(buf_str(&escaped), "\n"),
                     buf_str(&escaped));
}

void top_pane_paint(const TopPane *pane, Painter *p, size_t lines) {
        const json_t *list = json_member(pane->answer, "processes"), *process;
        const char *error = pane->answer ? json_text(pane->answer, "error") : buf_str(&pane->error);
        uint64_t span = json_number(pane->answer, "span_usec");
        size_t i, n = MIN_OF(json_array_size(list), lines > HEAD_LINES ? lines - HEAD_LINES : 0);
        char text[SAY_MAX];
        bool delays = false;

        if (lines == 0)
                return;
        paint_line(p);
        name(p, pane->name);
        if (!pane->answered) {
                if (p->state->away)
                        why_not(p, "no guard answers");
                else
                        paint_text(p, STYLE_DIM, "being looked at", 0, false);
                return;
        }
        if (error) {
                why_not(p, error);
                return;
        }
        if (json_array_size(list) == 0) {
                paint_text(p, STYLE_DIM, "none that could be seen", 0, false);
                return;
        }
        json_array_foreach(list, i, process) delays |= json_has(process, "delays");
        paint_format(p, STYLE_PLAIN, "%zu of %llu, within %s", n,
                     (unsigned long long)json_number(pane->answer, "looked_at"), say_span(span, text));
        if (!delays)
                paint_text(p, STYLE_DIM, "; no waits: task_delayacct is 0", 0, false);
        if (lines < HEAD_LINES)
                return;
        header(p);
        for (i = 0; i < n; i++)
                process_line(p, json_array_get(list, i), span);
}
