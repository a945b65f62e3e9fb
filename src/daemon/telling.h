/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What was judged as a sentence, and what of it one tenant may read. Works on the JSON of include/bailiff/bus.h alone
 * ("judged", "event", "incident"); never fails: what is missing is not told.
 */

#include "buf.h"
#include "macro.h"

struct json_t;

/* One sentence without a full stop; begins with "would" where nothing was done. */
void telling_sentence(const struct json_t *judged, Buf *out);

/* Is it of that tenant, or hurt it? Of an event or an incident. */
bool telling_concerns(const struct json_t *o, const char *tenant);
/* Names, cgroups and callers that are not the tenant's own are taken out, and sentences said anew without them. */
void telling_redact_event(struct json_t *event, const char *tenant);
/* newest: "judged" (redacted already or not) of its newest event that has any, for its sentence; NULL: none is kept. */
void telling_redact_incident(struct json_t *incident, const struct json_t *newest, const char *tenant);
