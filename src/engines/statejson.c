/* SPDX-License-Identifier: Apache-2.0 */

/*
 * jansson with a bound on memory: a file of NAMES_FILE_MAX bytes full of "{},"
 * becomes a tree a hundred times its size. While a text is being parsed its
 * allocations are counted, and beyond TREE_MAX they fail: -E2BIG, a problem of
 * that text alone. Depth is bounded by jansson itself (2048).
 *
 * Numbers beyond 64 bits signed are an error to jansson, but OCI configs hold
 * them (rlimits of 18446744073709551615): such a text is parsed again with
 * numbers as doubles.
 */

#include <malloc.h>

#include "state.h"

#define TREE_MAX ((size_t)64 * 1024 * 1024)

static bool counting, failed; /* jansson does not always say that it was memory */
static size_t counted;

static void *counting_malloc(size_t size) {
        void *p = malloc(size);

        if (!counting)
                return p;
        if (!p) {
                failed = true;
                return NULL;
        }
        counted += malloc_usable_size(p);
        if (counted > TREE_MAX) {
                counted -= malloc_usable_size(p);
                free(p);
                failed = true;
                return NULL;
        }
        return p;
}

static void counting_free(void *p) {
        if (p && counting)
                counted -= MIN_OF(counted, malloc_usable_size(p));
        free(p);
}

int state_json_load(const char *data, size_t len, json_t **ret) {
        json_error_t e = {};
        json_t *j;

        json_set_alloc_funcs(counting_malloc, counting_free);
        counting = true;
        failed = false;
        counted = 0;
        j = json_loadb(data, len, 0, &e);
        if (!j && json_error_code(&e) == json_error_numeric_overflow) {
                counted = 0;
                j = json_loadb(data, len, JSON_DECODE_INT_AS_REAL, &e);
        }
        counting = false;
        if (!j)
                return failed ? -E2BIG : -EINVAL;
        *ret = j;
        return 0;
}

const char *state_json_string(const json_t *j, const char *key) {
        return json_string_value(json_object_get(j, key));
}

bool state_json_int(const json_t *j, const char *key, int64_t *ret) {
        const json_t *v = json_object_get(j, key);

        if (json_is_integer(v)) {
                *ret = json_integer_value(v);
                return true;
        }
        if (json_is_real(v)) {
                double d = json_real_value(v);

                /* 2^63 as a double; what lies beyond saturates. */
                if (d >= 9223372036854775808.0)
                        *ret = INT64_MAX;
                else if (d <= -9223372036854775808.0)
                        *ret = INT64_MIN;
                else
                        *ret = (int64_t)d;
                return true;
        }
        return false;
}

json_t *state_json_object(const json_t *j, const char *key) {
        json_t *v = json_object_get(j, key);

        return json_is_object(v) ? v : NULL;
}

json_t *state_json_array(const json_t *j, const char *key) {
        json_t *v = json_object_get(j, key);

        return json_is_array(v) ? v : NULL;
}
