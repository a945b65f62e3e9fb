/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lines of the screen of `top`. What is put into one is cut at the right edge, so that no line is ever wider than
 * the screen, whatever names are in it.
 */

#include <stdarg.h>
#include <stdio.h>

#include "top-paint.h"

static void line_clear(TopLine *l) {
        buf_clear(&l->text);
        l->width = 0;
        l->n = 0;
}

/* Lines behind s->n keep their memory for the next time. */
void paint_line(Painter *p) {
        TopScreen *s = p->screen;

        if (s->n >= s->alloc) {
                size_t alloc = s->alloc ? s->alloc * 2 : 32;
                TopLine *lines = reallocarray(s->lines, alloc, sizeof(*lines));

                if (!lines) {
                        s->error = -ENOMEM;
                        p->line = NULL;
                        return;
                }
                memset(lines + s->alloc, 0, (alloc - s->alloc) * sizeof(*lines));
                s->lines = lines;
                s->alloc = alloc;
        }
        p->line = &s->lines[s->n++];
        line_clear(p->line);
}

static void piece(Painter *p, TextStyle style, const char *text, size_t width) {
        TopLine *l = p->line;

        if (p->state->away && !p->loud)
                style = STYLE_DIM;
        if (GROW(l->pieces, l->n, l->alloc) < 0) {
                p->screen->error = -ENOMEM;
                return;
        }
        l->pieces[l->n++] = (TopPiece){ strlen(text), style, p->inverse };
        buf_puts(&l->text, text);
        l->width += width;
}

void paint_blanks(Painter *p, size_t n) {
        static const char many[] = "                                                                ";

        while (p->line && (n = MIN_OF(n, p->width - p->line->width)) > 0) {
                size_t now = MIN_OF(n, sizeof(many) - 1);

                piece(p, STYLE_PLAIN, many + sizeof(many) - 1 - now, now);
                n -= now;
        }
}

void paint_text(Painter *p, TextStyle style, const char *text, size_t width, bool right) {
        _cleanup_buf_ Buf cut = BUF_INIT;
        size_t has;

        if (!p->line)
                return;
        has = text_width(text);
        width = MIN_OF(width > 0 ? width : has, p->width - p->line->width);
        text_cut(&cut, text, width, p->utf8, false);
        if (buf_error(&cut) < 0)
                p->screen->error = -ENOMEM;
        has = text_width(buf_str(&cut));
        if (right && has < width)
                paint_blanks(p, width - has);
        if (has > 0)
                piece(p, style, buf_str(&cut), has);
        if (!right && has < width)
                paint_blanks(p, width - has);
}

void paint_format(Painter *p, TextStyle style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0) {
                text = NULL;
                p->screen->error = -ENOMEM;
        }
        va_end(ap);
        paint_text(p, style, text ? text : "", 0, false);
}
