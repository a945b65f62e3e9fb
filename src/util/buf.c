/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "buf.h"

void buf_deinit(Buf *b) {
        free(b->data);
        *b = BUF_INIT;
}

void buf_clear(Buf *b) {
        b->len = 0;
        b->error = 0;
        if (b->data)
                b->data[0] = '\0';
}

int buf_error(const Buf *b) { return b->error; }

static bool reserve(Buf *b, size_t more) {
        size_t need, want;
        char *p;

        if (b->error)
                return false;
        if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, 1, &need)) {
                b->error = -ENOMEM;
                return false;
        }
        if (need <= b->alloc)
                return true;
        want = MAX_OF(need, b->alloc * 2);
        want = MAX_OF(want, (size_t)64);
        p = realloc(b->data, want);
        if (!p) {
                b->error = -ENOMEM;
                return false;
        }
        b->data = p;
        b->alloc = want;
        return true;
}

int buf_reserve(Buf *b, size_t more) {
        if (b->error)
                return b->error;
        if (!reserve(b, more)) {
                b->error = 0;
                return -ENOMEM;
        }
        b->data[b->len] = '\0';
        return 0;
}

void buf_append(Buf *b, const void *data, size_t n) {
        if (!reserve(b, n))
                return;
        if (n)
                memcpy(b->data + b->len, data, n);
        b->len += n;
        b->data[b->len] = '\0';
}

void buf_puts(Buf *b, const char *s) { buf_append(b, s, strlen(s)); }

void buf_putc(Buf *b, char c) { buf_append(b, &c, 1); }

void buf_printf(Buf *b, const char *format, ...) {
        va_list ap;
        int n;

        if (!reserve(b, 0))
                return;
        va_start(ap, format);
        n = vsnprintf(b->data + b->len, b->alloc - b->len, format, ap);
        va_end(ap);
        if (n < 0) {
                b->error = -EINVAL;
                return;
        }
        if ((size_t)n >= b->alloc - b->len) {
                if (!reserve(b, (size_t)n))
                        return;
                va_start(ap, format);
                (void)vsnprintf(b->data + b->len, b->alloc - b->len, format, ap);
                va_end(ap);
        }
        b->len += (size_t)n;
}

const char *buf_str(const Buf *b) { return b->error || !b->data ? "" : b->data; }

char *buf_steal(Buf *b) {
        char *s;

        if (!b->data)
                buf_puts(b, "");
        if (b->error) {
                buf_deinit(b);
                return NULL;
        }
        s = b->data;
        *b = BUF_INIT;
        return s;
}
