/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a container's cgroup has is "kernel_limits", which the guard tells of every container that it looks after; whose word that is
 * stands beside each limit that policy names ("limits"). Where policy's number is not (or not yet ours to be) in the kernel, as
 * while the guard only observes, what holds is the engine's, or an operator's.
 *
 * Weights and protections are read, too, for cAdvisor's names; they are no ceilings, and have no series of ours.
 */

#include <stdio.h>
#include <string.h>

#include "ceilings.h"
#include "jsonget.h"

/* Ours, in the order of names: "ceiling_cpus" before "ceiling_info" and so on. */
static const CeilingFamily families[CEILING_FAMILIES] = {
        { "ceiling_cpus", NULL, "CPUs that may be used at once.", LIMIT_CPU_QUOTA },
        { "ceiling_info", NULL, "Where each ceiling comes from.", _LIMIT_INVALID },
        { "ceiling_io_read_bytes_per_second", NULL, "Bytes that may be read from a device in a second.",
          LIMIT_IO_READ_BANDWIDTH_MAX },
        { "ceiling_io_read_ops_per_second", NULL, "Read operations on a device that may be in a second.",
          LIMIT_IO_READ_IOPS_MAX },
        { "ceiling_io_write_bytes_per_second", NULL, "Bytes that may be written to a device in a second.",
          LIMIT_IO_WRITE_BANDWIDTH_MAX },
        { "ceiling_io_write_ops_per_second", NULL, "Write operations on a device that may be in a second.",
          LIMIT_IO_WRITE_IOPS_MAX },
        { "ceiling_memory_high_bytes", "bytes", "Memory above which reclaim holds it back.",
          LIMIT_MEMORY_HIGH },
        { "ceiling_memory_max_bytes", "bytes", "Memory that may be used.", LIMIT_MEMORY_MAX },
        { "ceiling_swap_bytes", "bytes", "Swap that may be used.", LIMIT_MEMORY_SWAP_MAX },
        { "ceiling_tasks", NULL, "Tasks that there may be.", LIMIT_TASKS_MAX },
};

const CeilingFamily *ceiling_families(void) { return families; }

void ceilings_deinit(Ceilings *c) {
        free(c->items);
        *c = (Ceilings){};
}

/* ---- reading ---- */

/* A word that lives for ever; what a later guard may say besides is "other". */
static const char *known_origin(const char *word) {
        static const char *const words[] = { "defaults",  "plan",   "template", "tenant",
                                             "container", "engine", "share",    "runtime" };

        for (size_t i = 0; word && i < ARRAY_SIZE(words); i++)
                if (STR_EQ(words[i], word))
                        return words[i];
        return "other";
}

static int by_place(const void *pa, const void *pb) {
        const Ceiling *a = pa, *b = pb;
        int r = strcmp(limit_info(a->limit)->key, limit_info(b->limit)->key);

        return r ? r : strcmp(a->device, b->device);
}

static bool is_same(const Ceiling *a, const json_t *limit) {
        const char *key = json_text(limit, "limit"), *device = json_text(limit, "device");

        return key && STR_EQ(key, limit_info(a->limit)->key) && STR_EQ(a->device, device ? device : "");
}

/* Policy's number is what the kernel has, or on its way there. */
static bool is_in_force(const json_t *limit) {
        static const char *const foreign[] = { "observed", "unwritable", "held", "restoring" };
        const char *state = json_text(limit, "state");

        for (size_t i = 0; state && i < ARRAY_SIZE(foreign); i++)
                if (STR_EQ(state, foreign[i]))
                        return false;
        return state && json_has(limit, "layer");
}

static const char *origin_of(const Ceiling *c, const json_t *limits) {
        const json_t *o;
        size_t i;

        json_array_foreach(limits, i, o) if (is_same(c, o)) return is_in_force(o)
                ? known_origin(json_text(o, "layer"))
                : "engine";
        return "engine";
}

/* value: a number, or null for none. */
static void add(Ceilings *c, const char *key, const char *device, const json_t *value) {
        Ceiling *to = &c->items[c->n];
        Limit limit = limit_from_key(key);
        json_int_t v = json_integer_value(value);

        if (limit < 0 || c->n == CEILINGS_MAX || strlen(device) >= sizeof(to->device) ||
            !(json_is_null(value) || (json_is_integer(value) && v >= 0)) ||
            limit_info(limit)->per_device != (*device != '\0'))
                return;
        *to = (Ceiling){ .limit = limit, .value = json_is_null(value) ? LIMIT_INFINITY : (uint64_t)v };
        memcpy(to->device, device, strlen(device) + 1);
        c->n++;
}

static int begin(Ceilings *c) {
        *c = (Ceilings){ .items = calloc(CEILINGS_MAX, sizeof(*c->items)) };
        return c->items ? 0 : -ENOMEM;
}

/* In their order, none twice, and no more memory than they need: there are a thousand of these. */
static void finish(Ceilings *c, Ceilings *ret) {
        Ceiling *less;
        size_t kept = 0;

        if (c->n > 0)
                qsort(c->items, c->n, sizeof(*c->items), by_place);
        for (size_t i = 0; i < c->n; i++)
                if (kept == 0 || by_place(&c->items[i], &c->items[kept - 1]) != 0)
                        c->items[kept++] = c->items[i];
        c->n = kept;
        less = realloc(c->items, MAX_OF(kept, (size_t)1) * sizeof(*c->items));
        if (less)
                c->items = less;
        ceilings_deinit(ret);
        *ret = *c;
}

int ceilings_of_container(const json_t *container, Ceilings *ret) {
        json_t *kernel = (json_t *)(uintptr_t)json_member(container, "kernel_limits"), *v, *of_device;
        const char *key, *device;
        Ceilings c;
        int r = begin(&c);

        if (r < 0)
                return r;
        json_object_foreach(kernel, key, v) {
                if (!json_is_object(v)) {
                        add(&c, key, "", v);
                        continue;
                }
                json_object_foreach(v, device, of_device) add(&c, key, device, of_device);
        }
        for (size_t i = 0; i < c.n; i++)
                c.items[i].origin = origin_of(&c.items[i], json_member(container, "limits"));
        finish(&c, ret);
        return 0;
}

int ceilings_of_tenant(const json_t *tenant, Ceilings *ret) {
        const json_t *o;
        Ceilings c;
        size_t i;
        int r = begin(&c);

        if (r < 0)
                return r;
        json_array_foreach(json_member(tenant, "limits"), i, o) {
                const char *key = json_text(o, "limit"), *device = json_text(o, "device");
                size_t n = c.n;

                if (key)
                        add(&c, key, device ? device : "", json_member(o, "value"));
                if (c.n == n)
                        continue;
                c.items[n].origin = known_origin(json_text(o, "layer"));
                c.items[n].advisory = json_flag(o, "advisory");
        }
        finish(&c, ret);
        return 0;
}

bool ceilings_get(const Ceilings *c, Limit limit, uint64_t *ret) {
        for (size_t i = 0; i < c->n; i++)
                if (c->items[i].limit == limit) {
                        *ret = c->items[i].value;
                        return true;
                }
        return false;
}

/* ---- series ---- */

static bool is_told(const Ceiling *c) {
        if (c->value == LIMIT_INFINITY)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(families); i++)
                if (families[i].limit == c->limit)
                        return true;
        return false;
}

void ceilings_put(Metrics *m, const CeilingFamily *f, const Ceilings *c, const MetricLabel *labels, size_t n,
                  bool of_tenant) {
        MetricLabel all[METRIC_LABELS_MAX];

        if (n > METRIC_LABELS_MAX - 4)
                return;
        for (size_t i = 0; i < n; i++)
                all[i] = labels[i];
        for (size_t i = 0; i < c->n; i++) {
                const Ceiling *x = &c->items[i];
                size_t k = n;

                if (!is_told(x) || (f->limit >= 0 && f->limit != x->limit))
                        continue;
                if (f->limit < 0)
                        all[k++] = (MetricLabel){ "limit", limit_info(x->limit)->key };
                if (f->limit < 0 || limit_info(f->limit)->per_device)
                        all[k++] = (MetricLabel){ "device", x->device };
                if (f->limit < 0)
                        all[k++] = (MetricLabel){ "origin", x->origin };
                if (f->limit < 0 && of_tenant)
                        all[k++] = (MetricLabel){ "advisory", x->advisory ? "1" : "0" };
                if (f->limit < 0)
                        metrics_sample(m, all, k, 1, 0);
                else
                        metrics_sample(m, all, k, x->value, f->limit == LIMIT_CPU_QUOTA ? 6 : 0);
        }
}
