/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What `top` knows of cgroups: rates and gauges from the stream of samples,
 * names and ceilings from JSON.
 *
 * A record of the stream tells what changed, not what was read, and a cold
 * cgroup is read in part only: its CPU, its waiting for IO and its memory each ten seconds, the rest once a
 * minute. A stall of a minute must not be taken for one of ten seconds. So a counter's rate
 * is over the time since it was last known to have been read: when it changed, or was
 * in a look that reads nearly all (those come each second), or is one of the few that every look reads.
 */

#include <endian.h>

#include "num.h"
#include "screens.h"
#include "top-internal.h"

#define HOT_GAP (4 * USEC_PER_SEC) /* looks that are closer read nearly all */
/* Looks come closer, too, when something woke the guard; over so little a quota's period would be all that is seen. */
#define SPAN_MIN (USEC_PER_SEC / 2)

static const struct {
        SampleField from;
        bool always; /* every look reads it */
        TopField to;
        uint64_t per; /* what is one of the field's units */
} counters[_TOP_COUNTER_MAX] = {
        [TOP_COUNTER_CPU] = { SAMPLE_CPU_USAGE, true, TOP_CPU, 100 },
        [TOP_COUNTER_READ] = { SAMPLE_IO_RBYTES, false, TOP_READ, 1 },
        [TOP_COUNTER_WRITE] = { SAMPLE_IO_WBYTES, false, TOP_WRITE, 1 },
        [TOP_COUNTER_RECEIVED] = { SAMPLE_NET_RX_BYTES, false, TOP_RECEIVED, 1 },
        [TOP_COUNTER_SENT] = { SAMPLE_NET_TX_BYTES, false, TOP_SENT, 1 },
        [TOP_COUNTER_CPU_SOME] = { SAMPLE_CPU_SOME, false, TOP_CPU_SOME, 100 },
        [TOP_COUNTER_CPU_FULL] = { SAMPLE_CPU_FULL, false, TOP_CPU_FULL, 100 },
        [TOP_COUNTER_MEMORY_SOME] = { SAMPLE_MEMORY_SOME, false, TOP_MEMORY_SOME, 100 },
        [TOP_COUNTER_MEMORY_FULL] = { SAMPLE_MEMORY_FULL, false, TOP_MEMORY_FULL, 100 },
        [TOP_COUNTER_IO_SOME] = { SAMPLE_IO_SOME, true, TOP_IO_SOME, 100 },
        [TOP_COUNTER_IO_FULL] = { SAMPLE_IO_FULL, true, TOP_IO_FULL, 100 },
        [TOP_COUNTER_PERIODS] = { SAMPLE_CPU_PERIODS, true, _TOP_FIELD_MAX, 1 },
        [TOP_COUNTER_THROTTLED] = { SAMPLE_CPU_THROTTLED, true, _TOP_FIELD_MAX, 1 },
};

static const struct {
        SampleField from;
        TopField to;
} gauges[] = {
        { SAMPLE_MEMORY, TOP_MEMORY },
        { SAMPLE_SWAP, TOP_SWAP },
        { SAMPLE_PIDS, TOP_TASKS },
        { SAMPLE_HOST_MEMORY_TOTAL, TOP_MEMORY_MAX },
        { SAMPLE_HOST_SWAP_TOTAL, TOP_SWAP_MAX },
};

const char *top_field_name(TopField f) {
        static const char *const names[_TOP_FIELD_MAX] = {
                [TOP_CPU] = "cpu_permyriad",
                [TOP_CPU_MAX] = "cpu_max_permyriad",
                [TOP_THROTTLED] = "throttled_permyriad",
                [TOP_MEMORY] = "memory_bytes",
                [TOP_MEMORY_MAX] = "memory_max_bytes",
                [TOP_SWAP] = "swap_bytes",
                [TOP_SWAP_MAX] = "swap_max_bytes",
                [TOP_READ] = "io_read_bytes",
                [TOP_WRITE] = "io_write_bytes",
                [TOP_RECEIVED] = "network_receive_bytes",
                [TOP_SENT] = "network_transmit_bytes",
                [TOP_CPU_SOME] = "cpu_some_permyriad",
                [TOP_CPU_FULL] = "cpu_full_permyriad",
                [TOP_MEMORY_SOME] = "memory_some_permyriad",
                [TOP_MEMORY_FULL] = "memory_full_permyriad",
                [TOP_IO_SOME] = "io_some_permyriad",
                [TOP_IO_FULL] = "io_full_permyriad",
                [TOP_TASKS] = "tasks",
                [TOP_TASKS_MAX] = "tasks_max",
        };

        return names[f];
}

const char *top_network_name(TopNetwork n) {
        static const char *const names[_TOP_NETWORK_MAX] = {
                [TOP_NETWORK_UNKNOWN] = "unknown",
                [TOP_NETWORK_OWN] = "own",
                [TOP_NETWORK_HOST] = "host",
                [TOP_NETWORK_SHARED] = "shared",
        };

        return names[n];
}

static TopNetwork network_of(const json_t *o) {
        const char *state = json_text(json_member(json_member(o, "measured"), "network"), "state");

        for (int n = 0; state && n < _TOP_NETWORK_MAX; n++)
                if (STR_EQ(state, top_network_name((TopNetwork)n)))
                        return (TopNetwork)n;
        return TOP_NETWORK_UNKNOWN;
}

static void put(TopNumbers *n, TopField f, uint64_t v) {
        n->v[f] = v;
        n->have |= UINT32_C(1) << f;
}

/* ---- samples ---- */

static TopSubject *subject_free(TopSubject *s) {
        free(s->tenant);
        free(s->name);
        free(s->cgroup);
        free(s);
        return NULL;
}

static void forget(TopModel *m) {
        size_t i = 0;
        TopSubject *s;

        while ((s = map_next(&m->subjects, &i)))
                (void)subject_free(s);
        map_deinit(&m->subjects);
        m->host.numbers = (TopNumbers){};
        m->host.newest = 0;
}

static bool replace(char **to, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return false;
        free(*to);
        *to = copy;
        return true;
}

static void on_define(void *user, uint32_t index, const HistoryWho *who) {
        TopModel *m = user;
        TopSubject *s = map_get_u64(&m->subjects, index);

        if (!s) {
                s = calloc(1, sizeof(*s));
                if (!s || map_put_u64(&m->subjects, index, s) < 0) {
                        free(s);
                        m->error = -ENOMEM;
                        return;
                }
        }
        s->index = index;
        s->kind = who->kind;
        s->cgroup_id = who->cgroup_id;
        if (!replace(&s->tenant, *who->tenant ? who->tenant : "unassigned") ||
            !replace(&s->name, who->name) || !replace(&s->cgroup, who->cgroup))
                m->error = -ENOMEM;
}

static void rate_take(TopRate *r, const Sample *s, SampleField f, bool read) {
        uint64_t v = s->v[f];

        if (!sample_has(s, f)) {
                *r = (TopRate){};
                return;
        }
        if (r->at == 0 || v < r->was) /* the first one, or a counter that went back */
                *r = (TopRate){ .was = v, .at = s->at };
        if ((!read && v == r->was) || s->at < r->at + SPAN_MIN)
                return;
        r->per_sec = num_muldiv(v - r->was, USEC_PER_SEC, s->at - r->at);
        r->known = true;
        r->was = v;
        r->at = s->at;
}

static void on_sample(void *user, uint32_t index, const Sample *sample, SampleMask fields,
                      uint64_t realtime) {
        TopModel *m = user;
        TopSubject *s = map_get_u64(&m->subjects, index);
        const TopRate *periods, *throttled;
        TopNumbers n = {};
        bool hot;

        (void)fields;
        m->host.newest = MAX_OF(m->host.newest, realtime);
        if (!s)
                return;
        hot = s->at > 0 && sample->at > s->at && sample->at - s->at < HOT_GAP;
        for (size_t i = 0; i < _TOP_COUNTER_MAX; i++) {
                rate_take(&s->rates[i], sample, counters[i].from, counters[i].always || hot);
                if (s->rates[i].known && counters[i].to < _TOP_FIELD_MAX)
                        put(&n, counters[i].to, s->rates[i].per_sec / counters[i].per);
        }
        periods = &s->rates[TOP_COUNTER_PERIODS];
        throttled = &s->rates[TOP_COUNTER_THROTTLED];
        if (periods->known && throttled->known)
                put(&n, TOP_THROTTLED,
                    periods->per_sec > 0 ? num_muldiv(throttled->per_sec, 10000, periods->per_sec) : 0);
        for (size_t i = 0; i < ARRAY_SIZE(gauges); i++)
                if (sample_has(sample, gauges[i].from))
                        put(&n, gauges[i].to, sample->v[gauges[i].from]);
        s->numbers = n;
        s->at = sample->at;
        if (s->kind == HISTORY_HOST)
                m->host.numbers = n;
}

static void on_gone(void *user, uint32_t index, uint64_t realtime) {
        TopModel *m = user;
        TopSubject *s = map_remove_u64(&m->subjects, index);

        m->host.newest = MAX_OF(m->host.newest, realtime);
        if (s)
                (void)subject_free(s);
}

/* Another guard counts indices anew: what we have under them is somebody else's. */
static bool begins_anew(const TopModel *m, const HistoryHeader *h) {
        return le64toh(h->instance) != history_reader_instance(m->reader) || h->lost != 0;
}

int top_model_feed(TopModel *m, const void *data, size_t len) {
        const HistoryHandler handler = { on_define, on_sample, on_gone, m };
        HistoryHeader h;
        bool anew;
        int r;

        if (len >= sizeof(h)) {
                memcpy(&h, data, sizeof(h));
                if (begins_anew(m, &h))
                        forget(m);
        }
        m->error = 0;
        m->n_rows = 0;
        r = history_read(m->reader, data, len, &handler, &anew);
        if (r >= 0)
                r = m->error;
        if (r < 0) {
                forget(m); /* as the reader did */
                return r;
        }
        m->host.handed_out = le64toh(h.realtime);
        return 0;
}

uint64_t top_model_instance(const TopModel *m) { return history_reader_instance(m->reader); }

uint64_t top_model_cursor(const TopModel *m) { return history_reader_cursor(m->reader); }

/* ---- names and ceilings ---- */

TopObject *top_object_free(TopObject *o) {
        if (!o)
                return NULL;
        free(o->name);
        free(o->tenant);
        free(o);
        return NULL;
}
DEFINE_CLEANUP(TopObject *, top_object_free)

static void objects_deinit(Map *map) {
        TopObject *o;
        size_t i = 0;

        while ((o = map_next(map, &i)))
                (void)top_object_free(o);
        map_deinit(map);
}

/* The value of a limit in any of the shapes that limits have; false: none, or infinity. */
static bool ceiling_of(const json_t *o, const char *key, uint64_t *ret) {
        const json_t *l = limit_of(json_member(o, "limits"), key);
        const char *member = json_member(l, "actual") ? "actual" : "value";

        if (!l) {
                l = limit_of(json_member(o, "requested"), key);
                member = "value";
        }
        if (!json_is_integer(json_member(l, member)))
                return false;
        *ret = json_number(l, member);
        return true;
}

static TopObject *object_new(const json_t *o, const char *name) {
        const char *tenant = json_text(o, "tenant");
        _cleanup_(cleanup_top_object_free) TopObject *object = calloc(1, sizeof(*object));
        const char *back = held_back(json_member(o, "leases"));
        uint64_t v;

        if (!object)
                return NULL;
        object->frozen = back && STR_EQ(back, "frozen");
        object->throttled = back && !object->frozen;
        object->network = network_of(o);
        object->cgroup_id = json_number(o, "cgroup_id");
        object->name = strdup(name);
        object->tenant = strdup(tenant ? tenant : "");
        if (!object->name || !object->tenant)
                return NULL;
        if (ceiling_of(o, "CPUQuota", &v)) /* µs a second */
                put(&object->ceilings, TOP_CPU_MAX, v / 100);
        if (ceiling_of(o, "MemoryMax", &v))
                put(&object->ceilings, TOP_MEMORY_MAX, v);
        if (ceiling_of(o, "MemorySwapMax", &v))
                put(&object->ceilings, TOP_SWAP_MAX, v);
        if (ceiling_of(o, "TasksMax", &v))
                put(&object->ceilings, TOP_TASKS_MAX, v);
        return steal_ptr(object);
}

/* *to is replaced if all of it worked. */
static int objects_load(const json_t *list, bool tenants, Map *to) {
        Map fresh = MAP_INIT;
        const json_t *o;
        size_t i;

        json_array_foreach(list, i, o) {
                char buf[SAY_MAX];
                const char *name = tenants ? json_text(o, "name") : say_container(o, buf);
                TopObject *object;
                int r;

                if (!name)
                        continue;
                object = object_new(o, name);
                r = !object   ? -ENOMEM
                    : tenants ? map_put_str(&fresh, object->name, object)
                              : map_put_u64(&fresh, object->cgroup_id, object);
                if (r < 0)
                        (void)top_object_free(object);
                if (r == -ENOMEM) {
                        objects_deinit(&fresh);
                        return r;
                }
        }
        objects_deinit(to);
        *to = fresh;
        return 0;
}

int top_model_set_objects(TopModel *m, const json_t *containers, const json_t *tenants,
                          const json_t *status) {
        int r = 0;

        m->n_rows = 0;
        if (containers)
                r = objects_load(containers, false, &m->containers);
        if (r >= 0 && tenants)
                r = objects_load(tenants, true, &m->tenant_objects);
        if (status) {
                const json_t *sampling = json_member(status, "sampling");

                m->host.cpus = json_number(json_member(status, "host"), "cpus");
                m->host.hot = json_number(sampling, "hot");
                m->host.cold = json_number(sampling, "cold");
        }
        return r;
}

/* ---- the model ---- */

TopModel *top_model_new(void) {
        TopModel *m = calloc(1, sizeof(*m));

        if (!m)
                return NULL;
        m->reader = history_reader_new();
        m->filter = strdup("");
        m->cursor_name = strdup("");
        return m->reader && m->filter && m->cursor_name ? m : top_model_free(m);
}

TopModel *top_model_free(TopModel *m) {
        size_t i = 0;
        TopTenant *t;

        if (!m)
                return NULL;
        while ((t = map_next(&m->tenants, &i)))
                (void)top_tenant_free(t);
        map_deinit(&m->tenants);
        forget(m);
        objects_deinit(&m->containers);
        objects_deinit(&m->tenant_objects);
        (void)history_reader_free(m->reader);
        free(m->rows);
        free(m->filter);
        free(m->cursor_name);
        free(m);
        return NULL;
}

const TopHost *top_model_host(const TopModel *m) { return &m->host; }
