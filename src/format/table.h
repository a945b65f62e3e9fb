/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Text and tables for people (adapter: format). Everything that is printed here
 * goes through text_escape() first: names, labels and images belong to
 * tenants, and a terminal obeys what it is sent.
 */

#include <stdio.h>

#include "buf.h"
#include "macro.h"

typedef enum TextStyle {
        STYLE_PLAIN,
        STYLE_BOLD,
        STYLE_DIM,
        STYLE_GOOD,
        STYLE_WARN,
        STYLE_BAD,
        _STYLE_MAX
} TextStyle;

/* Where it goes and what the reader can take. */
typedef struct View {
        FILE *out;
        bool color;
        bool utf8; /* else every character beyond ASCII becomes '?' */
        unsigned width; /* columns; 0: nothing is cut */
} View;

/*
 * Appends s with everything escaped that could make a terminal or a reader see
 * something else: control characters (C0, DEL, C1), direction and
 * zero-width marks as \xNN per byte, what is not UTF-8 likewise. newlines: '\n' stays.
 */
void text_escape(Buf *out, const char *s, bool utf8, bool newlines);
/* Columns of escaped text: wide characters take two, combining ones none. */
size_t text_width(const char *s);
/* The beginning of escaped text in at most `width` columns, an ellipsis at its end where it was cut;
 * middle: head and tail of it with the ellipsis between, for paths. */
void text_cut(Buf *out, const char *s, size_t width, bool utf8, bool middle);
/* The sequences that switch a style on and off; "" without colours. */
const char *text_style_on(const View *v, TextStyle style);
const char *text_style_off(const View *v, TextStyle style);

enum {
        TABLE_RIGHT = 1, /* numbers */
        TABLE_CUT = 2, /* gives way, widest first, where the table is wider than the view */
        TABLE_CUT_MIDDLE = 4, /* likewise, keeping both ends */
        TABLE_DROP = 8, /* is left out, the rightmost first, where cutting is not enough */
        TABLE_DROP_LATE = 16, /* likewise, after all those */
};

#define TABLE_COLUMNS_MAX 20

typedef struct Table Table;

Table *table_new(void); /* NULL: out of memory */
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free)
/* All columns before the first cell. header is borrowed. */
void table_column(Table *t, const char *header, unsigned flags);
/* Row by row, from left to right; NULL or "" shows as "-". Errors stick until table_print(). */
void table_cell(Table *t, TextStyle style, const char *text);
void table_cellf(Table *t, TextStyle style, const char *format, ...) _printf_(3, 4);
size_t table_rows(const Table *t);
/* Prints header and rows, each after `indent` blanks, no blanks at line ends. -ENOMEM (nothing printed), else how many
 * columns were left out. */
int table_print(const Table *t, const View *v, unsigned indent);
