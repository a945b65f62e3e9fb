/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking bailiffd on the system bus (bus.h), one question at a time, without waiting for anything. */

#include <systemd/sd-event.h>

#include "buf.h"

typedef enum GuardQuestion {
        ASK_STREAM, /* GetHistory() */
        ASK_USAGE,
        ASK_STATUS,
        ASK_EVENTS,
        ASK_INCIDENTS,
        ASK_CONTAINERS,
        ASK_TENANTS,
        ASK_POLICY,
        ASK_OBSERVED, /* ObserveReport() */
        _ASK_MAX,
} GuardQuestion;

typedef struct GuardLinkOptions {
        sd_event *event;
        /* data NULL: it could not be asked, and error says why; the rest of the round is not asked then. */
        void (*answered)(void *user, GuardQuestion q, const Buf *data, const char *error);
        void (*round_over)(void *user);
        void *user;
} GuardLinkOptions;

typedef struct GuardLink GuardLink;
int guardlink_new(const GuardLinkOptions *o, GuardLink **ret);
GuardLink *guardlink_free(GuardLink *g);
/* Asks these (bits, 1 << GuardQuestion) in their order; more may be added while they are answered. -EBUSY: a round is under way. */
int guardlink_ask(GuardLink *g, uint32_t questions);
void guardlink_add(GuardLink *g, uint32_t questions);
/* Where the next questions of these kinds go on. */
void guardlink_set_stream(GuardLink *g, uint64_t instance, uint64_t cursor);
void guardlink_set_events(GuardLink *g, uint64_t since_id);
