/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading JSON objects (jansson); o may be NULL in all of them (adapter: format). */

#include <jansson.h>

#include "macro.h"

const char *json_text(const json_t *o, const char *key); /* NULL: absent, null or no string */
uint64_t json_number(const json_t *o, const char *key); /* 0: absent or negative */
bool json_has(const json_t *o, const char *key); /* there, and not null */
bool json_flag(const json_t *o, const char *key);
const json_t *json_member(const json_t *o, const char *key); /* NULL where o is NULL or has none */
