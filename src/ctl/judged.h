/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the judge found and did (bus.h: harm, candidate, judged, lease) as sentences. Pure; appends to a Buf that is
 * not escaped yet; absent members leave their part of the sentence out. Sentences end with a full stop, clauses do not.
 */

#include <jansson.h>
#include <stdint.h>

#include "buf.h"

/* For whom it is told, and what the host has. */
typedef struct Teller {
        const char
                *for_tenant; /* nobody else is named, nor any free text told that could; NULL: all is told */
        uint64_t cpus, memory_bytes; /* 0: not known */
        bool now; /* what is, instead of what was */
} Teller;

/* A party may be named to whom it is told. */
bool tell_may_name(const Teller *t, const json_t *party);
/* "web (tenant acme)", "another tenant", "a service of the host", "the host". */
void tell_party(Buf *b, const Teller *t, const json_t *party);
/* Of an event or incident: the one that it is about. */
void tell_culprit(Buf *b, const Teller *t, const json_t *o);
const char *tell_resource(const char *resource); /* "CPU", "memory", "IO", "tasks" */
/* "db (tenant shop) waited for CPU 42.0% of the time; its target is …. Not its own doing: … ." */
void tell_harm(Buf *b, const Teller *t, const json_t *harm);
/* A clause: "web (tenant acme) used 3.2 of 4 CPUs, entitled to 1.0 (blame 55.0%)"; why not, where it is not the culprit. */
void tell_candidate(Buf *b, const Teller *t, const json_t *candidate, const json_t *judged);
/* A clause: "CPUQuota from no limit to 50%, …"; "" where there are none that change. */
void tell_values(Buf *b, const json_t *values);
/* "IOReadBandwidthMax of vda" and "10M/s", "no limit" for infinity. */
void tell_limit_name(Buf *b, const json_t *limit);
const char *tell_limit_text(const json_t *o, const char *text, const char *number);
/* "The step before helped: the worst wait fell from 42.0% to 31.0%."; "" where it is not known. */
void tell_effect(Buf *b, const json_t *effect);
/* What an event did: "Throttled web: CPUQuota from … (why)." */
void tell_act(Buf *b, const Teller *t, const json_t *event);
/* A clause: why nobody is held back, of a judged event; NULL where somebody is. */
const char *tell_why_nobody(const json_t *judged);
/* Of judged.act where there is one, else of the event's kind: "throttle", "release" … */
const char *tell_act_kind(const json_t *event);
bool tell_is_would(const json_t *event);
/* It was tried, and the kernel refused. */
bool tell_failed(const json_t *event);
