/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Plots of a page as SVG (adapter: format). Only what is drawn: labels of axes are text of the page, which keeps its size on a small
 * screen. */

#include <jansson.h>

#include "buf.h"

/* Text for HTML and SVG, in elements and in quoted attributes: whatever a tenant named, shown as text_escape() shows it. */
void html_text(Buf *out, const char *s);

typedef struct PlotCurve {
        const json_t *values; /* numbers and null; a null is a gap */
        const char *class;
        enum { PLOT_LINE, PLOT_AREA, PLOT_STEP } how; /* STEP: ceilings, where they hold */
} PlotCurve;
typedef struct PlotMark {
        double from, to; /* 0 to 1 of the width */
        const char *class, *title;
} PlotMark;
typedef struct Plot {
        const char *title, *description; /* for who cannot see it */
        double top; /* of the scale */
        size_t n; /* points */
        const PlotCurve *curves;
        size_t n_curves;
        const PlotMark *gaps, *marks; /* bands behind the curves, ticks before them */
        size_t n_gaps, n_marks;
        const char *class; /* of the svg */
} Plot;
void plot_curves(Buf *out, const Plot *p);
/* Areas upon each other, the first one lowest; class "cN". line (may be 0): a limit. */
void plot_stack(Buf *out, const Plot *p, double line);
/* A bar of `share` (0 to 1). */
void plot_bar(Buf *out, double share, const char *class);
/* 7 rows of 24; shades between the lowest and the highest. say: the text of a cell's value. */
void plot_heat(Buf *out, const char *title, const json_t *values, void (*say)(Buf *out, double v));
/* A round number from v on, for the top of a scale. base 1000 or 1024. */
double plot_scale_top(double v, double base);
