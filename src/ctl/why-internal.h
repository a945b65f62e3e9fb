/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What verb-why.c (the page) and why-incident.c (one incident on it) share. */

#include "judged.h"
#include "table.h"

typedef struct WhyPage {
        const json_t *why, *events; /* events of why, an array or NULL */
        const View *view;
        Teller teller;
        uint64_t now;
        const char *asked; /* of one event: its id as text; else NULL */
} WhyPage;

/* All zero before the first one. */
typedef struct WhySteps {
        uint64_t began;
        const json_t *victim, *culprit; /* the last told */
} WhySteps;

/* As prose below a key, nothing where there is no text; text is emptied. */
void why_field(const WhyPage *p, const char *key, TextStyle style, Buf *text);
bool why_is_of(const json_t *incident, const json_t *event);
void why_incident(const WhyPage *p, const json_t *incident);
void why_step(const WhyPage *p, WhySteps *s, const json_t *event);
