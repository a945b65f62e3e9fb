/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A ContainerInfo as bytes, from the helper to the guard. The helper has
 * parsed what tenants own, so the guard reads its answers as if a tenant had
 * written them: every length against what is left, every string for its NUL,
 * its bound and UTF-8, every number for its range, and nothing may be left over.
 *
 * Native byte order and no version: both ends are the same binary.
 *   u32 engine, flags, pid; u64 mtime;
 *   strings (u32 length or NONE, bytes, NUL) in fixed order;
 *   u32 count, label pairs; u32 count or NONE, groups; u32 count, limits.
 */

#include "names-wire.h"
#include "statetext.h"

#define NONE UINT32_MAX
#define LIMITS_MAX (NAMES_DEVICE_LIMITS_MAX + _LIMIT_MAX)

enum {
        FLAG_LABELS_IN_FILES = 1,
        FLAG_TRUSTED = 2,
        FLAG_IS_VM = 4,
        FLAGS_ALL = 7,
};

/* ---- encoding ---- */

static void put_u32(Buf *b, uint32_t v) { buf_append(b, &v, sizeof(v)); }

static void put_u64(Buf *b, uint64_t v) { buf_append(b, &v, sizeof(v)); }

static void put_string(Buf *b, const char *s) {
        size_t len;

        if (!s) {
                put_u32(b, NONE);
                return;
        }
        len = strlen(s);
        put_u32(b, (uint32_t)len);
        buf_append(b, s, len + 1);
}

int names_encode(const ContainerInfo *i, Buf *out) {
        uint32_t n = 0;

        put_u32(out, (uint32_t)i->engine);
        put_u32(out, (i->labels_in_files ? FLAG_LABELS_IN_FILES : 0) | (i->trusted ? FLAG_TRUSTED : 0) |
                             (i->is_vm ? FLAG_IS_VM : 0));
        put_u32(out, (uint32_t)i->main_pid);
        put_u64(out, i->config_mtime_usec);
        put_string(out, i->name);
        put_string(out, i->image);
        put_string(out, i->health_check);
        put_string(out, i->stop_signal);
        put_string(out, i->source);
        put_string(out, i->problem);
        put_string(out, i->user_name);
        put_u32(out, (uint32_t)i->n_labels);
        for (size_t k = 0; k < i->n_labels; k++) {
                put_string(out, i->labels[k].key);
                put_string(out, i->labels[k].value);
        }
        if (!i->groups)
                put_u32(out, NONE);
        else {
                while (i->groups[n])
                        n++;
                put_u32(out, n);
                for (uint32_t k = 0; k < n; k++)
                        put_string(out, i->groups[k]);
        }
        put_u32(out, (uint32_t)i->requested.n);
        for (size_t k = 0; k < i->requested.n; k++) {
                const LimitEntry *e = &i->requested.entries[k];

                put_u32(out, (uint32_t)e->knob.limit);
                put_u64(out, e->knob.dev);
                put_u64(out, e->value);
        }
        return buf_error(out);
}

/* ---- decoding ---- */

typedef struct Reader {
        const unsigned char *p;
        size_t left;
} Reader;

static int get_bytes(Reader *r, void *ret, size_t n) {
        if (r->left < n)
                return -EBADMSG;
        memcpy(ret, r->p, n);
        r->p += n;
        r->left -= n;
        return 0;
}

static int get_u32(Reader *r, uint32_t *ret) { return get_bytes(r, ret, sizeof(*ret)); }

static int get_u64(Reader *r, uint64_t *ret) { return get_bytes(r, ret, sizeof(*ret)); }

static int get_string(Reader *r, size_t max, bool control, char **ret) {
        uint32_t len;
        char *s;
        int k;

        k = get_u32(r, &len);
        if (k < 0 || len == NONE)
                return k;
        if (len > max || r->left < (size_t)len + 1 || memchr(r->p, '\0', (size_t)len + 1) != r->p + len ||
            !state_text_valid((const char *)r->p, control))
                return -EBADMSG;
        s = malloc((size_t)len + 1);
        if (!s)
                return -ENOMEM;
        (void)get_bytes(r, s, (size_t)len + 1);
        *ret = s;
        return 0;
}

static int get_labels(Reader *r, ContainerInfo *i) {
        uint32_t n;
        int k;

        k = get_u32(r, &n);
        if (k < 0)
                return k;
        if (n > NAMES_LABELS_MAX)
                return -EBADMSG;
        if (n == 0)
                return 0;
        i->labels = calloc(n, sizeof(Label));
        if (!i->labels)
                return -ENOMEM;
        for (uint32_t j = 0; j < n; j++) {
                Label *l = &i->labels[i->n_labels++];

                k = get_string(r, NAMES_STRING_MAX, false, &l->key);
                if (k >= 0)
                        k = get_string(r, NAMES_STRING_MAX, true, &l->value);
                if (k < 0)
                        return k;
                if (!l->key || !*l->key || !l->value)
                        return -EBADMSG;
        }
        return 0;
}

static int get_groups(Reader *r, ContainerInfo *i) {
        uint32_t n;
        int k;

        k = get_u32(r, &n);
        if (k < 0 || n == NONE)
                return k;
        if (n > NAMES_GROUPS_MAX)
                return -EBADMSG;
        i->groups = calloc((size_t)n + 1, sizeof(char *));
        if (!i->groups)
                return -ENOMEM;
        for (uint32_t j = 0; j < n; j++) {
                k = get_string(r, NAMES_STRING_MAX, false, &i->groups[j]);
                if (k < 0)
                        return k;
                if (!i->groups[j])
                        return -EBADMSG;
        }
        return 0;
}

static int get_limits(Reader *r, ContainerInfo *i) {
        uint32_t n;
        int k;

        k = get_u32(r, &n);
        if (k < 0)
                return k;
        if (n > LIMITS_MAX)
                return -EBADMSG;
        for (uint32_t j = 0; j < n; j++) {
                uint32_t limit = 0;
                uint64_t dev = 0, value = 0;

                k = get_u32(r, &limit);
                if (k >= 0)
                        k = get_u64(r, &dev);
                if (k >= 0)
                        k = get_u64(r, &value);
                if (k < 0)
                        return k;
                if (limit >= _LIMIT_MAX || limit_info((Limit)limit)->per_device != (dev != 0))
                        return -EBADMSG;
                k = limit_set_put(&i->requested, (LimitKnob){ .limit = (Limit)limit, .dev = dev }, value, 0);
                if (k < 0)
                        return k;
        }
        return 0;
}

static int get_info(Reader *r, ContainerInfo *i) {
        uint32_t engine = 0, flags = 0, pid = 0;
        const struct {
                char **to;
                size_t max;
        } strings[] = {
                { &i->name, NAMES_STRING_MAX },         { &i->image, NAMES_STRING_MAX },
                { &i->health_check, NAMES_STRING_MAX }, { &i->stop_signal, NAMES_STRING_MAX },
                { &i->source, NAMES_SOURCE_MAX },       { &i->problem, NAMES_SOURCE_MAX },
                { &i->user_name, NAMES_STRING_MAX },
        };
        int k;

        k = get_u32(r, &engine);
        if (k >= 0)
                k = get_u32(r, &flags);
        if (k >= 0)
                k = get_u32(r, &pid);
        if (k >= 0)
                k = get_u64(r, &i->config_mtime_usec);
        if (k < 0)
                return k;
        if (engine >= _ENGINE_MAX || flags & ~(uint32_t)FLAGS_ALL || pid > INT32_MAX)
                return -EBADMSG;
        i->engine = (Engine)engine;
        i->labels_in_files = flags & FLAG_LABELS_IN_FILES;
        i->trusted = flags & FLAG_TRUSTED;
        i->is_vm = flags & FLAG_IS_VM;
        i->main_pid = (pid_t)pid;
        for (size_t j = 0; j < ARRAY_SIZE(strings) && k >= 0; j++)
                k = get_string(r, strings[j].max, false, strings[j].to);
        if (k >= 0)
                k = get_labels(r, i);
        if (k >= 0)
                k = get_groups(r, i);
        if (k >= 0)
                k = get_limits(r, i);
        if (k >= 0 && r->left > 0)
                k = -EBADMSG;
        return k;
}

int names_decode(const void *data, size_t len, ContainerInfo **ret) {
        _cleanup_(cleanup_container_info_free) ContainerInfo *i = NULL;
        Reader r = { .p = data, .left = len };
        int k;

        if (len > NAMES_ANSWER_MAX)
                return -EBADMSG;
        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        k = get_info(&r, i);
        if (k < 0)
                return k;
        *ret = steal_ptr(i);
        return 0;
}
