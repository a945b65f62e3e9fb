/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Plots as SVG inside of a page.
 *
 * An SVG is stretched to whatever width there is (preserveAspectRatio="none"), and its strokes are not
 * (vector-effect in the page's style). Text would be, so there is none in it: axes are labelled by the page. Coordinates are whole
 * numbers, and what does not move is one stroke, which is what keeps a page with hundreds of curves small. Colours are classes: the
 * page has them for light, dark and paper.
 */

#include <stdio.h>

#include "report-model.h"
#include "report-svg.h"
#include "table.h"

#define WIDTH 1000
#define HEIGHT 200

void html_text(Buf *out, const char *s) {
        _cleanup_buf_ Buf shown = BUF_INIT;

        text_escape(&shown, s ? s : "", true, false);
        if (buf_error(&shown) < 0)
                out->error = -ENOMEM;
        for (const char *p = buf_str(&shown); *p; p++)
                switch (*p) {
                case '&':
                        buf_puts(out, "&amp;");
                        break;
                case '<':
                        buf_puts(out, "&lt;");
                        break;
                case '>':
                        buf_puts(out, "&gt;");
                        break;
                case '"':
                        buf_puts(out, "&quot;");
                        break;
                case '\'':
                        buf_puts(out, "&#39;");
                        break;
                default:
                        /* U+FFFE and U+FFFF are no characters of XML. */
                        if (strncmp(p, "\xef\xbf\xbe", 3) == 0 || strncmp(p, "\xef\xbf\xbf", 3) == 0) {
                                buf_puts(out, "\xef\xbf\xbd");
                                p += 2;
                        } else
                                buf_putc(out, *p);
                }
}

double plot_scale_top(double v, double base) {
        static const double rounds[] = { 1, 1.5, 2, 3, 4, 5, 6, 8, 10 };
        double unit = 1;

        while (v >= unit * base)
                unit *= base;
        for (double tens = unit; tens < unit * base; tens *= 10)
                for (size_t i = 0; i < ARRAY_SIZE(rounds); i++)
                        if (rounds[i] * tens >= v && rounds[i] * tens <= unit * base)
                                return rounds[i] * tens;
        return unit * base;
}

static double value_of(const json_t *values, size_t i, double unknown) {
        const json_t *v = json_array_get(values, i);

        return json_is_number(v) ? json_number_value(v) : unknown;
}

static int y_of(double v, double top) {
        double y = top > 0 ? HEIGHT - v / top * HEIGHT : HEIGHT;

        return (int)(MIN_OF(MAX_OF(y, 0.0), (double)HEIGHT) + 0.5);
}

/* The middle of point i; with half 0 and 2 its left and right end. */
static int x_of(size_t i, size_t n, size_t half) {
        return (int)((2 * i + half) * WIDTH / (2 * MAX_OF(n, (size_t)1)));
}

static void open_svg(Buf *out, const Plot *p, int height) {
        buf_printf(
                out,
                "<svg class=\"%s\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\"><title>",
                p->class ? p->class : "plot", WIDTH, height);
        html_text(out, p->title);
        buf_puts(out, "</title><desc>");
        html_text(out, p->description);
        buf_puts(out, "</desc>");
        for (size_t i = 0; i < p->n_gaps; i++) {
                int from = (int)(p->gaps[i].from * WIDTH), to = (int)(p->gaps[i].to * WIDTH);

                buf_printf(out, "<rect class=\"gap\" x=\"%d\" y=\"0\" width=\"%d\" height=\"%d\"/>", from,
                           MAX_OF(to - from, 1), height);
        }
        buf_printf(out, "<path class=\"grid\" d=\"M0 %dH%dM0 %dH%dM0 %dH%d\"/>", height / 2, WIDTH,
                   height - 1, WIDTH, 1, WIDTH);
}

static void close_svg(Buf *out, const Plot *p) {
        for (size_t i = 0; i < p->n_marks; i++) {
                int from = (int)(p->marks[i].from * WIDTH), to = (int)(p->marks[i].to * WIDTH);

                buf_printf(out, "<rect class=\"%s\" x=\"%d\" y=\"0\" width=\"%d\" height=\"%d\"><title>",
                           p->marks[i].class, from, MAX_OF(to - from, 2), HEIGHT);
                html_text(out, p->marks[i].title);
                buf_puts(out, "</title></rect>");
        }
        buf_puts(out, "</svg>");
}

/* ---- paths ---- */

/* From one known point to the next; runs of the same height are one stroke. */
static void put_run(Buf *out, const Plot *p, const PlotCurve *c, size_t from, size_t to) {
        bool area = c->how == PLOT_AREA, step = c->how == PLOT_STEP, alone = to == from + 1;
        int y = y_of(value_of(c->values, from, 0), p->top), last = y,
            x = x_of(from, p->n, step || alone ? 0 : 1), at = x;

        if (area)
                buf_printf(out, "M%d %dV%d", x, HEIGHT, y);
        else
                buf_printf(out, "M%d %d", x, y);
        for (size_t i = from + 1; i < to; i++) {
                y = y_of(value_of(c->values, i, 0), p->top);
                x = x_of(i, p->n, step ? 0 : 1);
                if (y == last)
                        continue;
                if (step)
                        buf_printf(out, "H%dV%d", x, y);
                else {
                        int before = x_of(i - 1, p->n, 1);

                        if (before != at)
                                buf_printf(out, "H%d", before);
                        buf_printf(out, "L%d %d", x, y);
                }
                at = x;
                last = y;
        }
        x = x_of(to - 1, p->n, step || alone ? 2 : 1);
        if (x != at)
                buf_printf(out, "H%d", x);
        if (area)
                buf_printf(out, "V%dZ", HEIGHT);
}

static void put_curve(Buf *out, const Plot *p, const PlotCurve *c) {
        size_t i = 0;

        buf_printf(out, "<path class=\"%s\" d=\"", c->class);
        while (i < p->n) {
                size_t from = i;

                while (i < p->n && json_is_number(json_array_get(c->values, i)))
                        i++;
                if (i > from)
                        put_run(out, p, c, from, i);
                else
                        i++;
        }
        buf_puts(out, "\"/>");
}

void plot_curves(Buf *out, const Plot *p) {
        open_svg(out, p, HEIGHT);
        for (size_t i = 0; i < p->n_curves; i++)
                if (json_array_size(p->curves[i].values) > 0)
                        put_curve(out, p, &p->curves[i]);
        close_svg(out, p);
}

/* ---- stacks ---- */

static bool any_known(const Plot *p, size_t i) {
        for (size_t k = 0; k < p->n_curves; k++)
                if (json_is_number(json_array_get(p->curves[k].values, i)))
                        return true;
        return false;
}

static void put_layer(Buf *out, const Plot *p, const double *below, const double *above, const char *class) {
        size_t i = 0;

        buf_printf(out, "<path class=\"%s\" d=\"", class);
        while (i < p->n) {
                size_t from = i;
                int last = -1;

                while (i < p->n && any_known(p, i))
                        i++;
                if (i == from) {
                        i++;
                        continue;
                }
                for (size_t k = from; k < i; k++) {
                        int y = y_of(above[k], p->top);

                        if (k == from)
                                buf_printf(out, "M%d %d", x_of(k, p->n, 0), y);
                        else if (y != last)
                                buf_printf(out, "H%dL%d %d", x_of(k - 1, p->n, 1), x_of(k, p->n, 1), y);
                        last = y;
                }
                buf_printf(out, "H%d", x_of(i - 1, p->n, 2));
                last = -1;
                for (size_t k = i; k-- > from;) {
                        int y = y_of(below[k], p->top);

                        if (k == i - 1)
                                buf_printf(out, "V%d", y);
                        else if (y != last)
                                buf_printf(out, "H%dL%d %d", x_of(k + 1, p->n, 1), x_of(k, p->n, 1), y);
                        last = y;
                }
                buf_printf(out, "H%dZ", x_of(from, p->n, 0));
        }
        buf_puts(out, "\"/>");
}

void plot_stack(Buf *out, const Plot *p, double line) {
        _cleanup_free_ double *below = calloc(p->n + 1, sizeof(*below)),
                              *above = calloc(p->n + 1, sizeof(*above));

        if (!below || !above) {
                out->error = -ENOMEM;
                return;
        }
        open_svg(out, p, HEIGHT);
        for (size_t k = 0; k < p->n_curves; k++) {
                for (size_t i = 0; i < p->n; i++)
                        above[i] = below[i] + value_of(p->curves[k].values, i, 0);
                put_layer(out, p, below, above, p->curves[k].class);
                memcpy(below, above, p->n * sizeof(*below));
        }
        if (line > 0 && line <= p->top)
                buf_printf(out, "<path class=\"ceiling\" d=\"M0 %dH%d\"/>", y_of(line, p->top), WIDTH);
        close_svg(out, p);
}

/* ---- bars and the week ---- */

void plot_bar(Buf *out, double share, const char *class) {
        int width = (int)(MIN_OF(MAX_OF(share, 0.0), 1.0) * WIDTH + 0.5);

        buf_printf(
                out,
                "<svg class=\"bar\" viewBox=\"0 0 %d 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
                "<rect class=\"track\" width=\"%d\" height=\"10\"/><rect class=\"%s\" width=\"%d\" "
                "height=\"10\"/></svg>",
                WIDTH, WIDTH, class, width);
}

void plot_heat(Buf *out, const char *title, const json_t *values, void (*say)(Buf *out, double v)) {
        static const char *const days[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                            "Friday", "Saturday", "Sunday" };
        double low = 0, high = 0;
        bool any = false;

        for (size_t i = 0; i < REPORT_HOURS; i++) {
                double v = value_of(values, i, -1);

                if (v < 0)
                        continue;
                low = any ? MIN_OF(low, v) : v;
                high = any ? MAX_OF(high, v) : v;
                any = true;
        }
        buf_puts(out, "<svg class=\"heat\" viewBox=\"0 0 240 70\" preserveAspectRatio=\"none\" role=\"img\">"
                      "<title>");
        html_text(out, title);
        buf_puts(out, "</title><desc>");
        if (any) {
                buf_puts(out, "from ");
                say(out, low);
                buf_puts(out, " to ");
                say(out, high);
        } else
                buf_puts(out, "nothing is known");
        buf_puts(out, "</desc>");
        for (size_t i = 0; i < REPORT_HOURS; i++) {
                double v = value_of(values, i, -1);
                int shade = v < 0 ? 0 : high > low ? 1 + (int)((v - low) / (high - low) * 8 + 0.5) : 5;

                buf_printf(out,
                           "<rect class=\"h%d\" x=\"%zu\" y=\"%zu\" width=\"10\" height=\"10\"><title>%s "
                           "%zu:00: ",
                           shade, i % 24 * 10, i / 24 * 10, days[i / 24], i % 24);
                if (v < 0)
                        buf_puts(out, "not known");
                else
                        say(out, v);
                buf_puts(out, "</title></rect>");
        }
        buf_puts(out, "</svg>");
}
