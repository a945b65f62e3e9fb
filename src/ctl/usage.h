/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Books for people, spreadsheets and scrapers. Whatever they come from, they have the shape of GetUsage() in bus.h:
 * the guard's own, since counting began, or made here from the history of the last minutes, then with these members
 * more: "from", "to" (the span that the numbers cover, realtime µs) and "asked" (the span asked for, µs).
 */

#include <jansson.h>
#include <stdint.h>

#include "bookmetrics.h"
#include "books.h"
#include "table.h"

/* usage-history.c */
#define USAGE_EARLIER_USEC \
        (70 * USEC_PER_SEC) /* so much before the span the export should begin: a look at each */
typedef struct UsageReach { /* what the history has */
        uint64_t from, to; /* realtime µs; from 0: nothing at all */
} UsageReach;
/*
 * Accounts an export of the history (history.h) for the last `span` µs before it was handed out; a tenth less is taken
 * for it, and said. 0; 1: it does not reach back so far (only *ret_reach is set); -ENOMEM, -EBADMSG, -EPROTONOSUPPORT.
 */
int usage_from_history(const void *data, size_t len, usec_t span, json_t **ret, UsageReach *ret_reach);

/* usage-write.c: RFC 4180, \r\n; appended to out. 0, -ENOMEM. */
void csv_text(Buf *out, const char *s); /* a field, quoted where it has to be */
int usage_csv(const json_t *usage, UsageBy by, Buf *out);

/* verb-usage.c */
int screen_usage(const json_t *usage, UsageBy by, const View *v);
