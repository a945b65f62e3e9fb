/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Putting text into the lines of a TopScreen, for the parts that it is made of. Out of memory stays in
 * screen->error, for whoever is done with all of it.
 */

#include "top-screen.h"

typedef struct Painter {
        TopScreen *screen;
        TopLine *line; /* NULL: none yet, or no memory for it */
        const TopState *state;
        unsigned width, height;
        bool utf8, inverse;
        bool loud; /* not grey, though the guard is away */
} Painter;

void paint_line(Painter *p); /* what follows is in a new one */
void paint_blanks(Painter *p, size_t n);
/* Text of our own or an escaped one in `width` columns (0: as many as it has), cut to what is left of the line. */
void paint_text(Painter *p, TextStyle style, const char *text, size_t width, bool right);
void paint_format(Painter *p, TextStyle style, const char *format, ...) _printf_(3, 4);
