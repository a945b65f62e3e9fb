/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Setting members of JSON objects (jansson). Nothing fails: without memory a member is missing.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "limits.h"
#include "macro.h"

struct json_t;
typedef struct Guard Guard;

/* From here on: whether there was memory for all of it. For whom half an object would be another statement. */
void json_watch(void);
bool json_is_short(void);
/* A string; what is not UTF-8 in it becomes '?', for a name must never make an answer fail. NULL: null. */
struct json_t *json_text_or_null(const char *s);
void json_set_text(struct json_t *o, const char *key, const char *s);
void json_set_int(struct json_t *o, const char *key, uint64_t v); /* at most INT64_MAX */
void json_set_bool(struct json_t *o, const char *key, bool v);
void json_set_null(struct json_t *o, const char *key);
/* Appends an element of an array as text, a comma in front unless it is the first; takes the reference. */
void json_append_text(Buf *out, bool first, struct json_t *o);
/* The name of a disk of the policy; NULL: not known. */
const char *json_device_name(const Guard *g, dev_t dev);
/* "device": "254:0", "device_name": "vda" */
void json_set_device(const Guard *g, struct json_t *o, dev_t dev);
/* "KEY": n, "KEY_text": "512M"; null and "infinity" where there is no bound, null both where it is not known. */
void json_set_limit_value(struct json_t *o, const char *key, LimitKnob knob, bool have, uint64_t v);
/* "limit": "MemoryMax", and its device, or null */
void json_set_knob(const Guard *g, struct json_t *o, LimitKnob knob);
