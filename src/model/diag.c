/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of what is wrong with a policy or configuration.
 *
 * A loader does not stop at the first mistake: whoever writes policy gets all
 * of them in one run. So mistakes are collected here, in whatever order they
 * are found (the checks across files come last), and put in order of file and
 * line when they are shown. The list is bounded; what does not fit is counted.
 * A mistake that cannot be recorded for want of memory still makes the load
 * fail: diags_failed() never forgets one.
 */

#include <stdarg.h>
#include <stdio.h>

#include "diag.h"

void diags_deinit(Diags *d) {
        if (!d)
                return;
        for (size_t i = 0; i < d->n; i++) {
                free(d->items[i].file);
                free(d->items[i].text);
        }
        free(d->items);
        *d = (Diags){};
}

static int record(Diags *d, DiagLevel level, const char *file, unsigned line, char **text) {
        _cleanup_free_ char *f = NULL;

        if (file && !(f = strdup(file)))
                return -ENOMEM;
        if (GROW(d->items, d->n, d->alloc) < 0)
                return -ENOMEM;
        d->items[d->n++] = (Diag){
                .level = level,
                .file = steal_ptr(f),
                .line = line,
                .text = steal_ptr(*text),
        };
        return 0;
}

void diags_add(Diags *d, DiagLevel level, const char *file, unsigned line, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        if (level == DIAG_ERROR)
                d->n_errors++;
        else
                d->n_warnings++;
        if (d->n >= DIAGS_MAX) {
                d->n_dropped++;
                return;
        }

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL; /* undefined after a failure */
                d->oom = true;
                return;
        }
        if (record(d, level, file, line, &text) < 0)
                d->oom = true;
}

bool diags_failed(const Diags *d) { return d->n_errors > 0 || d->oom; }

static int compare(const void *pa, const void *pb) {
        const Diag *a = *(const Diag *const *)pa, *b = *(const Diag *const *)pb;
        int r;

        if (!a->file != !b->file)
                return a->file ? 1 : -1;
        r = a->file ? strcmp(a->file, b->file) : 0;
        if (r != 0)
                return r;
        if (a->line != b->line)
                return a->line < b->line ? -1 : 1;
        /* Both are in one array: the one noted first comes first. */
        return a < b ? -1 : a > b;
}

int diags_format(const Diags *d, Buf *out) {
        const Diag *order[DIAGS_MAX];

        for (size_t i = 0; i < d->n; i++)
                order[i] = &d->items[i];
        qsort(order, d->n, sizeof(*order), compare);

        for (size_t i = 0; i < d->n; i++) {
                const Diag *g = order[i];

                if (g->file)
                        buf_printf(out, "%s:", g->file);
                if (g->file && g->line > 0)
                        buf_printf(out, "%u:", g->line);
                if (g->file)
                        buf_putc(out, ' ');
                if (g->level == DIAG_WARNING)
                        buf_puts(out, "warning: ");
                buf_puts(out, g->text);
                buf_putc(out, '\n');
        }
        if (d->n_dropped > 0)
                buf_printf(out, "%u more are not shown\n", d->n_dropped);
        if (d->oom)
                buf_puts(out, "out of memory: what is wrong is not completely listed\n");
        return buf_error(out);
}
