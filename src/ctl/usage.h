/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Books for people, spreadsheets and scrapers. Whatever they come from, they have the shape of GetUsage() in bus.h:
 * the guard's own, since counting began, or made here from the history of the last minutes, then with these members
 * more: "from", "to" (the span that the numbers cover, realtime µs) and "asked" (the span asked for, µs).
 */

#include <jansson.h>
#include <stdint.h>

#include "books.h"
#include "table.h"

typedef enum UsageBy { USAGE_BY_TENANT, USAGE_BY_CONTAINER } UsageBy;

/* A "book" object. Fields that it does not have are 0 and not in *ret_have (1 << BookField). */
void usage_book_read(const json_t *o, Book *ret, uint64_t *ret_have);
json_t *usage_book_to_json(const Book *b);
/* The array of usage, in the order in which it is shown: by tenant, name, id, cgroup. *ret is the caller's (free()), its
 * elements are borrowed. -ENOMEM. */
int usage_sorted(const json_t *usage, UsageBy by, const json_t ***ret, size_t *ret_n);

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

/* usage-write.c: appended to out; 0, -ENOMEM. */
int usage_csv(const json_t *usage, UsageBy by, Buf *out); /* RFC 4180, \r\n */
/* What usage has of both lists, and of status (may be NULL) how the guard does. */
int usage_openmetrics(const json_t *usage, const json_t *status, Buf *out);

/* verb-usage.c */
int screen_usage(const json_t *usage, UsageBy by, const View *v);
