/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A growing, always NUL-terminated byte buffer. Errors stick: after a failed
 * append every later append is a no-op and buf_error() says -ENOMEM, so a
 * formatter checks once at its end.
 */

#include "macro.h"

typedef struct Buf {
        char *data; /* NULL while empty */
        size_t len;
        size_t alloc;
        int error;
} Buf;

#define BUF_INIT ((Buf){})

void buf_deinit(Buf *b); /* safe on BUF_INIT; leaves BUF_INIT */
void buf_clear(Buf *b);
int buf_error(const Buf *b); /* 0 or -ENOMEM */
/* Room for so many more bytes, none to spare where it was empty: appends up to there cannot fail. Other than
 * with an append, the error (-ENOMEM) does not stick. */
int buf_reserve(Buf *b, size_t more);
void buf_append(Buf *b, const void *data, size_t n);
void buf_puts(Buf *b, const char *s);
void buf_putc(Buf *b, char c);
void buf_printf(Buf *b, const char *format, ...) _printf_(2, 3);
/* "" when empty or failed. */
const char *buf_str(const Buf *b);
/* Hands the string to the caller (free()); NULL on error. */
char *buf_steal(Buf *b);

#define _cleanup_buf_ _cleanup_(buf_deinit)
