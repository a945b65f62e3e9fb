/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The screen of `top` as lines of styled text, for any width and height. Pure: what draws it, or prints it, is
 * verb-top.c. Names are escaped here.
 */

#include "table.h"
#include "top-model.h"
#include "top-pane.h"

typedef struct TopPiece { /* of a line's text */
        size_t len; /* bytes */
        TextStyle style;
        bool inverse;
} TopPiece;

typedef struct TopLine {
        Buf text;
        size_t width; /* columns that are used */
        TopPiece *pieces;
        size_t n, alloc;
} TopLine;

typedef struct TopScreen {
        TopLine *lines;
        size_t n, alloc;
        int error;
} TopScreen;
void top_screen_deinit(TopScreen *s);

/* What is so apart from the numbers. */
typedef struct TopState {
        const char *host; /* asked through ssh; NULL: this one */
        const char *away; /* why no guard answers; NULL: it does */
        usec_t age; /* of the newest sample */
        bool no_keys; /* nobody can press one: no cursor, no last line, all rows */
        bool help; /* the keys, instead of the rows */
        bool editing; /* the filter is being typed */
        const TopPane *pane; /* below the rows; NULL, or closed: none */
} TopState;

/*
 * Replaces the lines of s: at most `height` of them (without keys: as many as it takes), none wider than `width`.
 * *first is the first row shown; it is moved so that the cursor is in sight. -ENOMEM.
 */
int top_screen_render(TopScreen *s, const TopModel *m, const TopState *state, unsigned width, unsigned height,
                      bool utf8, size_t *first);
/* How many rows a page has, with the pane or without it. */
size_t top_screen_page(unsigned height, bool pane);
