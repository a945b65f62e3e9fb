/* SPDX-License-Identifier: Apache-2.0 */

/*
 * As much of JSON Schema as openapi.json uses: $ref, anyOf, type, enum, minimum, required, properties, additionalProperties, items.
 * A keyword that it does not know is wrong: it would check nothing.
 */

#include <stdio.h>
#include <string.h>

#include "macro.h"
#include "schema.h"

#define DEPTH_MAX 40

typedef struct Check {
        const json_t *document;
        Buf *wrong;
        unsigned depth;
} Check;

static void check(Check *c, const json_t *schema, const json_t *value, const char *place);

static const json_t *follow(const json_t *document, const char *ref) {
        const json_t *o = document;

        if (strncmp(ref, "#/", 2) != 0)
                return NULL;
        for (ref += 2; o && *ref;) {
                size_t n = strcspn(ref, "/");
                char key[128];

                if (n >= sizeof(key))
                        return NULL;
                memcpy(key, ref, n);
                key[n] = '\0';
                o = json_object_get(o, key);
                ref += n + (ref[n] == '/');
        }
        return o;
}

static bool is_of_type(const json_t *value, const char *type) {
        return (STR_EQ(type, "null") && json_is_null(value)) ||
               (STR_EQ(type, "object") && json_is_object(value)) ||
               (STR_EQ(type, "array") && json_is_array(value)) ||
               (STR_EQ(type, "string") && json_is_string(value)) ||
               (STR_EQ(type, "integer") && json_is_integer(value)) ||
               (STR_EQ(type, "boolean") && json_is_boolean(value));
}

static bool fits_type(const json_t *type, const json_t *value) {
        const json_t *t;
        size_t i;

        if (json_is_string(type))
                return is_of_type(value, json_string_value(type));
        json_array_foreach(type, i, t) if (is_of_type(value, json_string_value(t))) return true;
        return false;
}

static bool is_in(const json_t *list, const json_t *value) {
        const json_t *v;
        size_t i;

        json_array_foreach(list, i, v) if (json_equal(v, value)) return true;
        return false;
}

static void check_any(Check *c, const json_t *list, const json_t *value, const char *place) {
        _cleanup_buf_ Buf all = BUF_INIT;
        const json_t *s;
        size_t i;

        json_array_foreach(list, i, s) {
                _cleanup_buf_ Buf wrong = BUF_INIT;
                Check one = { c->document, &wrong, c->depth };

                check(&one, s, value, place);
                if (wrong.len == 0)
                        return;
                buf_puts(&all, buf_str(&wrong));
        }
        buf_printf(c->wrong, "%s: none of what it may be:\n%s", place, buf_str(&all));
}

static void check_object(Check *c, const json_t *schema, const json_t *value, const char *place) {
        const json_t *properties = json_object_get(schema, "properties"),
                     *others = json_object_get(schema, "additionalProperties"), *name;
        json_t *v;
        const char *key;
        size_t i;

        json_array_foreach(json_object_get(schema, "required"), i,
                           name) if (!json_object_get(value, json_string_value(name)))
                buf_printf(c->wrong, "%s: no member %s\n", place, json_string_value(name));
        json_object_foreach((json_t *)(uintptr_t)value, key, v) {
                const json_t *s = json_object_get(properties, key);
                _cleanup_buf_ Buf where = BUF_INIT;

                buf_printf(&where, "%s.%s", place, key);
                if (s || others)
                        check(c, s ? s : others, v, buf_str(&where));
                else if (properties)
                        buf_printf(c->wrong, "%s: not described\n", buf_str(&where));
        }
}

static void check_keywords(Check *c, const json_t *schema, const char *place) {
        static const char *const known[] = { "$ref",    "anyOf",      "type",       "enum",
                                             "minimum", "required",   "properties", "additionalProperties",
                                             "items",   "description" };
        const char *key;
        json_t *v;

        json_object_foreach((json_t *)(uintptr_t)schema, key, v) {
                bool good = false;

                for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                        good |= STR_EQ(key, known[i]);
                if (!good)
                        buf_printf(c->wrong, "%s: nobody checks \"%s\"\n", place, key);
        }
}

static void check(Check *c, const json_t *schema, const json_t *value, const char *place) {
        const json_t *type = json_object_get(schema, "type"), *list = json_object_get(schema, "enum"),
                     *minimum = json_object_get(schema, "minimum"), *items = json_object_get(schema, "items"),
                     *v;
        const char *ref = json_string_value(json_object_get(schema, "$ref"));
        size_t i;

        if (!json_is_object(schema) || ++c->depth > DEPTH_MAX) {
                buf_printf(c->wrong, "%s: no schema\n", place);
                return;
        }
        check_keywords(c, schema, place);
        if (ref)
                check(c, follow(c->document, ref), value, place);
        if (json_object_get(schema, "anyOf"))
                check_any(c, json_object_get(schema, "anyOf"), value, place);
        if (type && !fits_type(type, value)) {
                _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

                buf_printf(c->wrong, "%s: %.80s is of another type\n", place, text ? text : "?");
        }
        if (list && !is_in(list, value))
                buf_printf(c->wrong, "%s: %s is none of the words\n", place,
                           json_is_string(value) ? json_string_value(value) : "it");
        if (minimum && json_is_integer(value) && json_integer_value(value) < json_integer_value(minimum))
                buf_printf(c->wrong, "%s: too small\n", place);
        if (json_is_object(value) && !ref)
                check_object(c, schema, value, place);
        json_array_foreach(value, i, v) {
                _cleanup_buf_ Buf where = BUF_INIT;

                buf_printf(&where, "%s[%zu]", place, i);
                if (items)
                        check(c, items, v, buf_str(&where));
        }
        c->depth--;
}

void schema_check(const json_t *document, const json_t *schema, const json_t *value, const char *place,
                  Buf *wrong) {
        Check c = { document, wrong, 0 };

        check(&c, schema, value, place);
}

const json_t *schema_of_path(const json_t *document, const char *path) {
        static const char *const keys[] = {
                "get", "responses", "200", "content", "application/json", "schema"
        };
        const json_t *o = json_object_get(json_object_get(document, "paths"), path);

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                o = json_object_get(o, keys[i]);
        return o;
}
