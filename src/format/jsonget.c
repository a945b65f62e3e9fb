/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Members of JSON objects, without trusting that they are there or of what type: an older or newer guard may leave some out or
 * add some, and what is absent is never an error, only not shown.
 */

#include "jsonget.h"

const json_t *json_member(const json_t *o, const char *key) { return o ? json_object_get(o, key) : NULL; }

const char *json_text(const json_t *o, const char *key) { return json_string_value(json_member(o, key)); }

uint64_t json_number(const json_t *o, const char *key) {
        json_int_t v = json_integer_value(json_member(o, key));

        return v > 0 ? (uint64_t)v : 0;
}

bool json_has(const json_t *o, const char *key) {
        const json_t *m = json_member(o, key);

        return m && !json_is_null(m);
}

bool json_flag(const json_t *o, const char *key) { return json_is_true(json_member(o, key)); }
