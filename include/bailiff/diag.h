/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Diagnostics of policy and configuration files: all of them in one go, each
 * with file and line (layer: model).
 */

#include "buf.h"
#include "macro.h"

typedef enum DiagLevel { DIAG_WARNING, DIAG_ERROR } DiagLevel;

typedef struct Diag {
        DiagLevel level;
        char *file; /* may be NULL: the policy as a whole */
        unsigned line; /* 0: the file as a whole */
        char *text; /* "[Section] Key: what is wrong, what is expected" */
} Diag;

#define DIAGS_MAX 1000 /* beyond it they are only counted */

typedef struct Diags {
        Diag *items;
        size_t n, alloc;
        unsigned n_errors, n_warnings, n_dropped;
        bool oom; /* something could not be recorded for want of memory: treat as an error */
} Diags;

void diags_deinit(Diags *d);
void diags_add(Diags *d, DiagLevel level, const char *file, unsigned line, const char *format, ...)
        _printf_(5, 6);
/* An error, or out of memory while noting one. */
bool diags_failed(const Diags *d);
/* "FILE:LINE: text\n" (warnings: "FILE:LINE: warning: text\n") for each, in order of file and line. */
int diags_format(const Diags *d, Buf *out);
