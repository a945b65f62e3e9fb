/* SPDX-License-Identifier: Apache-2.0 */

/*
 * jansson tells of missing memory where it is met, and whoever builds an object of fifty members does not ask fifty
 * times. So its allocations are watched instead; json_is_short() is asked once, at the end.
 */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "guard.h"
#include "json.h"

static bool is_short;

static void *watched_malloc(size_t size) {
        void *p = malloc(size);

        is_short = is_short || !p;
        return p;
}

void json_watch(void) {
        json_set_alloc_funcs(watched_malloc, free);
        is_short = false;
}

bool json_is_short(void) { return is_short; }

json_t *json_text_or_null(const char *s) {
        _cleanup_buf_ Buf b = BUF_INIT;
        json_t *j;

        if (!s)
                return json_null();
        j = json_string(s);
        if (j)
                return j;
        for (; *s; s++)
                buf_putc(&b, (unsigned char)*s < 0x80 ? *s : '?');
        j = json_string(buf_str(&b));
        return j ? j : json_null();
}

void json_set_text(json_t *o, const char *key, const char *s) {
        (void)json_object_set_new(o, key, json_text_or_null(s));
}

void json_set_int(json_t *o, const char *key, uint64_t v) {
        (void)json_object_set_new(o, key, json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v));
}

void json_set_bool(json_t *o, const char *key, bool v) { (void)json_object_set_new(o, key, json_boolean(v)); }

void json_set_null(json_t *o, const char *key) { (void)json_object_set_new(o, key, json_null()); }

static int append(const char *data, size_t n, void *user) {
        buf_append(user, data, n);
        return buf_error(user);
}

void json_append_text(Buf *out, bool first, json_t *o) {
        if (!first)
                buf_putc(out, ',');
        if (!o || json_dump_callback(o, append, out, JSON_COMPACT) < 0)
                out->error = -ENOMEM;
        json_decref(o);
}

const char *json_device_name(const Guard *g, dev_t dev) {
        for (size_t i = 0; i < g->loaded->n_devices; i++)
                if (g->loaded->devices[i].dev == dev && g->loaded->devices[i].name[0])
                        return g->loaded->devices[i].name;
        return NULL;
}

void json_set_device(const Guard *g, json_t *o, dev_t dev) {
        char text[32];

        (void)snprintf(text, sizeof(text), "%u:%u", major(dev), minor(dev));
        json_set_text(o, "device", text);
        json_set_text(o, "device_name", json_device_name(g, dev));
}

void json_set_limit_value(json_t *o, const char *key, LimitKnob knob, bool have, uint64_t v) {
        _cleanup_buf_ Buf b = BUF_INIT;
        char name[64];

        if (have && v != LIMIT_INFINITY)
                json_set_int(o, key, v);
        else
                json_set_null(o, key);
        (void)snprintf(name, sizeof(name), "%s_text", key);
        if (!have) {
                json_set_null(o, name);
                return;
        }
        is_short = limit_format_value(knob.limit, v, &b) < 0 || is_short;
        json_set_text(o, name, buf_str(&b));
}

void json_set_knob(const Guard *g, json_t *o, LimitKnob knob) {
        json_set_text(o, "limit", limit_info(knob.limit)->key);
        if (knob.dev == 0)
                json_set_null(o, "device");
        else
                json_set_device(g, o, knob.dev);
}
