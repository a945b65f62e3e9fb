/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The guard's state as JSON, in the schema that include/bailiff/bus.h
 * documents. Only reads. Everything that comes from a tenant (names, labels,
 * images) goes through json_set_text(), which replaces what is not UTF-8.
 */

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cgfile.h"
#include "config.h"
#include "fdio.h"
#include "guard.h"
#include "json.h"
#include "num.h"

static void set_ref(const Guard *g, json_t *o, PolicyRef ref) {
        const Policy *p = g->loaded->policy;

        if (ref.line > 0 && ref.file < p->n_files) {
                json_set_text(o, "file", p->files[ref.file]);
                json_set_int(o, "line", ref.line);
        } else
                json_set_null(o, "file");
}

/* What of policy, or who else, has said a number. */
static void set_layer(const Guard *g, json_t *o, uint32_t origin) {
        OriginKind kind = origin_kind(origin);

        json_set_text(o, "layer",
                      kind == ORIGIN_POLICY || kind == ORIGIN_STRICTEST
                              ? policy_layer_of(g->loaded->policy, origin_ref(origin))
                              : origin_kind_to_string(kind));
}

static json_t *render_knob(const Guard *g, const ReconKnob *k) {
        json_t *o = json_object();

        json_set_knob(g, o, k->knob);
        json_set_limit_value(o, "desired", k->knob, k->is_desired, k->desired);
        json_set_limit_value(o, "actual", k->knob, k->have_actual, k->actual);
        json_set_limit_value(o, "want", k->knob, k->have_want, k->want);
        json_set_text(o, "state", knob_state_to_string(k->state));
        json_set_text(o, "origin", k->is_desired ? origin_kind_to_string(origin_kind(k->origin)) : NULL);
        if (k->is_desired)
                set_layer(g, o, k->origin);
        else
                json_set_null(o, "layer");
        set_ref(g, o, k->is_desired ? origin_ref(k->origin) : (PolicyRef){});
        json_set_int(o, "drifts", k->n_drifts);
        json_set_int(o, "repairs", k->n_repairs);
        json_set_text(o, "cause", k->n_drifts > 0 ? drift_cause_to_string(k->cause) : NULL);
        json_set_text(o, "error", k->error < 0 ? strerror(-k->error) : NULL);
        return o;
}

static json_t *render_hold(const Target *t) {
        json_t *o;

        if (!t->hold)
                return json_null();
        o = json_object();
        json_set_int(o, "until", t->hold->until_realtime);
        json_set_text(o, "reason", t->hold->reason);
        json_set_int(o, "uid", t->hold->uid);
        return o;
}

static void add_note(void *user, LimitKnob knob, const char *sentence) {
        (void)knob;
        (void)json_array_append_new(user, json_text_or_null(sentence));
}

/* What a directory protects of its children, read once for all of them that stand in a row in an answer. */
typedef struct Protection {
        uint64_t id, bytes; /* id 0: none yet */
} Protection;

static uint64_t parent_protection(const TreeNode *parent, Protection *p) {
        LimitSet above = LIMIT_SET_INIT;
        uint64_t min = 0, low = 0;
        uint32_t have;

        if (p->id == parent->id)
                return p->bytes;
        *p = (Protection){ parent->id, UINT64_MAX };
        if (cg_read_limits(parent->fd, &above, &have) == 0) {
                (void)limit_set_get_scalar(&above, LIMIT_MEMORY_MIN, &min);
                (void)limit_set_get_scalar(&above, LIMIT_MEMORY_LOW, &low);
                p->bytes = MAX_OF(min, low);
        }
        limit_set_deinit(&above);
        return p->bytes;
}

static json_t *render_notes(Guard *g, Target *t, Protection *protection) {
        json_t *notes = json_array();
        BiteFacts f = {
                .host = &g->host,
                .have_files = t->have_files,
                .below_user_manager = t->cg.rootless,
                .parent_protection = UINT64_MAX,
                .device_writeback = world_device_writeback,
                .user = g,
        };

        if (!t->leaving && t->node->parent && t->node->parent->parent)
                f.parent_protection = parent_protection(t->node->parent, protection);
        if (t->reconciled)
                ceiling_cannot_bite(&t->desired, &f, add_note, notes);
        else if (t->not_reconciled_why)
                (void)json_array_append_new(notes, json_text_or_null(t->not_reconciled_why));
        return notes;
}

static json_t *render_limits(Guard *g, Target *t) {
        json_t *a = json_array();

        for (size_t i = 0; i < t->recon.n; i++)
                if (t->recon.knobs[i].is_desired || t->recon.knobs[i].have_ours)
                        (void)json_array_append_new(a, render_knob(g, &t->recon.knobs[i]));
        return a;
}

/* What the kernel's files have, or null for no limit; our leases are not in it. {}: nobody has looked. */
static json_t *render_kernel_limits(const Target *t) {
        json_t *o = json_object();

        for (size_t i = 0; i < t->actual.n; i++) {
                const LimitEntry *e = &t->actual.entries[i];
                const LimitInfo *info = limit_info(e->knob.limit);
                json_t *to = o;
                const char *key = info->key;
                char device[32];

                if (info->per_device) {
                        to = json_object_get(o, key);
                        if (!to && json_object_set_new(o, key, to = json_object()) < 0)
                                continue;
                        (void)snprintf(device, sizeof(device), "%u:%u", major(e->knob.dev),
                                       minor(e->knob.dev));
                        key = device;
                }
                if (e->value == LIMIT_INFINITY)
                        json_set_null(to, key);
                else
                        json_set_int(to, key, e->value);
        }
        return o;
}

static json_t *render_container(Guard *g, Target *t, bool whole, Protection *protection) {
        const ContainerInfo *i = t->info;
        json_t *o = json_object(), *x;
        const char *boundary = t->node->path;
        char user_slice[64];

        if (t->m.last.at == 0)
                measure_ask(g, t); /* it came a moment ago */
        json_set_text(o, "cgroup", t->node->path);
        json_set_int(o, "cgroup_id", t->id);
        json_set_text(o, "engine", engine_to_string(t->engine));
        json_set_text(o, "id", t->cg.id);
        json_set_text(o, "name", i ? i->name : NULL);
        json_set_text(o, "image", i ? i->image : NULL);
        x = json_object();
        for (size_t k = 0; i && k < i->n_labels; k++) {
                json_t *v = json_text_or_null(i->labels[k].value);

                if (json_object_set_new(x, i->labels[k].key, v) < 0)
                        continue; /* a key that is no UTF-8 cannot be shown */
        }
        (void)json_object_set_new(o, "labels", x);
        json_set_bool(o, "labels_in_files", i && i->labels_in_files);
        json_set_text(o, "tenant", t->tenant ? t->tenant->name : "unassigned");
        if (t->who.rule) {
                x = json_object();
                json_set_text(x, "class", match_class_to_string(t->who.class));
                set_ref(g, x, t->who.ref);
                (void)json_object_set_new(o, "tenant_by", x);
        } else
                json_set_null(o, "tenant_by");
        json_set_bool(o, "pending", t->names_pending);
        json_set_text(o, "contradiction", t->who.contradiction ? t->who.contradicted : NULL);
        json_set_text(o, "unit", t->unit_state == TARGET_UNIT_KNOWN ? t->unit.name : NULL);
        json_set_bool(o, "kube", t->cg.kube);
        json_set_bool(o, "rootless", t->cg.rootless);
        if (t->cg.rootless && t->cg.uid != (uid_t)-1) {
                (void)snprintf(user_slice, sizeof(user_slice), "/user.slice/user-%u.slice", t->cg.uid);
                boundary = user_slice;
        }
        json_set_text(o, "held_at", boundary);
        json_set_text(o, "protected", t->protected_why);
        json_set_bool(o, "reconciled", t->reconciled);
        json_set_text(o, "mode", mode_to_string(MIN_OF(t->settings.mode, guard_host_mode(g, NULL))));
        json_set_text(o, "kill", kill_to_string(t->settings.kill));
        json_set_int(o, "priority", t->settings.priority);
        x = json_array();
        for (size_t k = 0; i && k < i->requested.n; k++) {
                json_t *e = json_object();

                json_set_knob(g, e, i->requested.entries[k].knob);
                json_set_limit_value(e, "value", i->requested.entries[k].knob, true,
                                     i->requested.entries[k].value);
                (void)json_array_append_new(x, e);
        }
        (void)json_object_set_new(o, "requested", x);
        json_set_text(o, "health_check", i ? i->health_check : NULL);
        json_set_text(o, "stop_signal", i ? i->stop_signal : NULL);
        json_set_text(o, "source", i ? i->source : NULL);
        json_set_text(o, "problem", i ? i->problem : NULL);
        json_set_int(o, "since", t->since_realtime);
        (void)json_object_set_new(o, "hold", render_hold(t));
        (void)json_object_set_new(o, "usage", render_usage_of(&t->m.last));
        (void)json_object_set_new(o, "measured", render_measured(g, t, whole));
        (void)json_object_set_new(o, "limits", render_limits(g, t));
        (void)json_object_set_new(o, "kernel_limits", render_kernel_limits(t));
        (void)json_object_set_new(o, "leases", render_leases_of(g, t));
        (void)json_object_set_new(o, "judged_now", render_judged_now(g, t));
        (void)json_object_set_new(o, "notes", render_notes(g, t, protection));
        return o;
}

static int by_path(const void *a, const void *b) {
        const Target *x = *(Target *const *)a, *y = *(Target *const *)b;

        return strcmp(x->node->path, y->node->path);
}

/* Containers in order of path, so that two answers can be compared. */
static Target **sorted(const Guard *g, size_t *ret_n) {
        Target **list = calloc(g->targets.n + 1, sizeof(*list)), *t;
        size_t n = 0, i = 0;

        while (list && (t = map_next(&g->targets, &i)))
                if (t->container && !t->leaving)
                        list[n++] = t;
        if (list && n > 0)
                qsort(list, n, sizeof(*list), by_path);
        *ret_n = n;
        return list;
}

/* One at a time, for a thousand of them as objects are megabytes. */
void render_containers(Guard *g, Buf *out) {
        _cleanup_free_ Target **list = NULL;
        Protection protection = {};
        size_t n;

        list = sorted(g, &n);
        buf_puts(out, "{\"containers\":[");
        for (size_t i = 0; list && i < n; i++)
                json_append_text(out, i == 0, render_container(g, list[i], false, &protection));
        buf_puts(out, "]}");
}

static bool is_network(SampleField f) { return sample_info(f)->file == SAMPLE_FILE_NET_DEV; }

/* Of cgroups that are not in each other: rates add up, but waiting is told of whoever waits most. */
typedef struct Together {
        Sample sample;
        Rates rates;
} Together;

/* network: that, and nothing else: all else of it is in what its slice has counted. */
static void add_measured(Together *sum, const Measured *m, bool network) {
        static const SampleField fields[] = { SAMPLE_MEMORY,       SAMPLE_SWAP,        SAMPLE_PIDS,
                                              SAMPLE_CPU_USAGE,    SAMPLE_IO_RBYTES,   SAMPLE_IO_WBYTES,
                                              SAMPLE_NET_RX_BYTES, SAMPLE_NET_TX_BYTES };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (sample_has(&m->last, fields[i]) && (!network || is_network(fields[i])))
                        sample_put(&sum->sample, fields[i], sum->sample.v[fields[i]] + m->last.v[fields[i]]);
        for (Rate r = 0; r < _RATE_MAX; r++) {
                if (!(m->rates.have >> r & 1) || (network && r < RATE_NET_RX_BYTES))
                        continue;
                sum->rates.have |= UINT32_C(1) << r;
                if (r == RATE_CPU || r >= RATE_IO_RBYTES)
                        sum->rates.v[r] += m->rates.v[r];
                else
                        sum->rates.v[r] = MAX_OF(sum->rates.v[r], m->rates.v[r]);
        }
}

static const char *sum_state(const Tenant *t) {
        if (!t->has_sum || (t->n_slices == 0 && t->settings.sum == SUM_SLICE))
                return "none";
        return share_state_to_string(t->share.state);
}

/* A '-' would put the slice inside another tenant's (systemd.slice(5)). */
static const char *slice_name(const Tenant *t, char name[POLICY_NAME_MAX + 1]) {
        size_t i = 0;

        for (; t->name[i]; i++)
                name[i] = t->name[i] == '-' ? '_' : t->name[i];
        name[i] = '\0';
        return name;
}

static json_t *render_tenant(Guard *g, Tenant *t) {
        char name[POLICY_NAME_MAX + 1];
        json_t *o = json_object(), *a, *notes = json_array();
        Together sum = {};
        size_t unreachable = 0;

        json_set_text(o, "name", t->name);
        json_set_text(o, "rule", !t->rule ? "none" : t->template ? "template" : "tenant");
        json_set_text(o, "plan", t->rule ? t->rule->plan : NULL);
        set_ref(g, o, t->rule ? t->rule->ref : (PolicyRef){});
        json_set_text(o, "mode", mode_to_string(MIN_OF(t->settings.mode, guard_host_mode(g, NULL))));
        json_set_text(o, "kill", kill_to_string(t->settings.kill));
        json_set_int(o, "priority", t->settings.priority);
        json_set_text(o, "sum", sum_state(t));
        json_set_int(o, "containers", t->n_members);
        a = json_array();
        for (size_t i = 0; i < t->n_slices; i++) {
                (void)json_array_append_new(a, json_text_or_null(t->slices[i]->node->path));
                add_measured(&sum, &t->slices[i]->m, false);
        }
        (void)json_object_set_new(o, "slices", a);
        for (size_t i = 0; i < t->n_members; i++) {
                bool below = false;

                for (size_t k = 0; k < t->n_slices && !below; k++)
                        below = cgpath_below(t->members[i]->node->path, t->slices[k]->node->path);
                add_measured(&sum, &t->members[i]->m, below);
                unreachable += !below && !t->members[i]->reconciled;
        }
        (void)json_object_set_new(o, "usage", render_usage_of(&sum.sample));
        (void)json_object_set_new(o, "measured", json_pack("{s:o}", "rates", render_rates_of(&sum.rates)));
        a = json_array();
        for (size_t i = 0; i < t->sum.n; i++) {
                const LimitEntry *e = &t->sum.entries[i];
                json_t *x = json_object();

                json_set_knob(g, x, e->knob);
                json_set_limit_value(x, "value", e->knob, true, e->value);
                set_layer(g, x, e->origin);
                set_ref(g, x, origin_ref(e->origin));
                json_set_bool(x, "advisory", t->share.advisory[e->knob.limit]);
                (void)json_array_append_new(a, x);
        }
        (void)json_object_set_new(o, "limits", a);
        a = json_array();
        for (size_t i = 0; i < t->n_slices; i++) {
                json_t *x = json_object();

                json_set_text(x, "cgroup", t->slices[i]->node->path);
                (void)json_object_set_new(x, "limits", render_limits(g, t->slices[i]));
                (void)json_object_set_new(x, "hold", render_hold(t->slices[i]));
                (void)json_object_set_new(x, "notes", render_notes(g, t->slices[i], &(Protection){}));
                (void)json_array_append_new(a, x);
        }
        (void)json_object_set_new(o, "slice_limits", a);
        if (t->has_sum && t->settings.sum == SUM_SLICE && t->n_slices == 0)
                (void)json_array_append_new(
                        notes,
                        json_text_or_null(
                                "Sum=slice, but the tenant has no slice of its own: its sum is not held"));
        if (t->has_sum && unreachable > 0)
                (void)json_array_append_new(
                        notes,
                        json_sprintf("%zu of its containers cannot be written; the sum does not cover them",
                                     unreachable));
        if (t->n_slices == 0 && t->n_members > 1 && t->has_sum)
                (void)json_array_append_new(
                        notes,
                        json_sprintf("apportioned; exact with a slice of its own: start its containers with "
                                     "cgroup_parent: tenant-%s.slice and add Match=slice=tenant-%s.slice",
                                     slice_name(t, name), slice_name(t, name)));
        (void)json_object_set_new(o, "notes", notes);
        return o;
}

static int by_tenant_name(const void *a, const void *b) {
        const Tenant *x = *(Tenant *const *)a, *y = *(Tenant *const *)b;

        return strcmp(x->name, y->name);
}

json_t *render_tenants(Guard *g) {
        _cleanup_free_ Tenant **list = calloc(g->tenants.n + 1, sizeof(*list));
        json_t *a = json_array();
        size_t n = 0, i = 0;
        Tenant *t;

        while (list && (t = map_next(&g->tenants, &i)))
                list[n++] = t;
        if (list && n > 0)
                qsort(list, n, sizeof(*list), by_tenant_name);
        for (i = 0; i < n; i++)
                (void)json_array_append_new(a, render_tenant(g, list[i]));
        return json_pack("{s:o}", "tenants", a);
}

/* ---- events ---- */

json_t *render_event(const Guard *g, const Event *e) {
        json_t *o = json_object();

        json_set_int(o, "id", e->id);
        json_set_int(o, "time", e->realtime);
        json_set_text(o, "kind", e->kind);
        if (e->tenant)
                json_set_text(o, "tenant", e->tenant);
        if (e->container)
                json_set_text(o, "container", e->container);
        if (e->cgroup) {
                json_set_text(o, "cgroup", e->cgroup);
                json_set_int(o, "cgroup_id", e->cgroup_id);
        }
        if (e->have_knob) {
                json_set_knob(g, o, e->knob);
                if (e->have_saw)
                        json_set_limit_value(o, "saw", e->knob, true, e->saw);
                if (e->have_desired)
                        json_set_limit_value(o, "desired", e->knob, true, e->desired);
        }
        if (e->cause)
                json_set_text(o, "cause", e->cause);
        if (e->program)
                json_set_text(o, "program", e->program);
        if (e->n_left_out > 0)
                json_set_int(o, "left_out", e->n_left_out);
        json_set_text(o, "text", e->text);
        if (e->incident)
                json_set_int(o, "incident", e->incident);
        if (e->judged)
                (void)json_object_set_new(o, "judged", json_loads(e->judged, 0, NULL));
        if (e->have_caller) {
                json_set_int(o, "uid", e->uid);
                json_set_int(o, "pid", (uint64_t)e->pid);
        }
        return o;
}

static json_t *events_where(Guard *g, uint64_t since, uint32_t max, const Target *t, const Tenant *tenant) {
        json_t *a = json_array();
        size_t n = 0, first = 0;

        /* The newest `max` that match, in order of time. */
        for (size_t i = g->n_events; i-- > 0;) {
                const Event *e = &g->events[(g->events_head + i) % EVENTS_MAX];

                if (e->id <= since || (t && e->cgroup_id != t->id) ||
                    (tenant && (!e->tenant || !STR_EQ(e->tenant, tenant->name))))
                        continue;
                first = i;
                if (++n == max)
                        break;
        }
        for (size_t i = first; n > 0 && i < g->n_events; i++) {
                const Event *e = &g->events[(g->events_head + i) % EVENTS_MAX];

                if (e->id <= since || (t && e->cgroup_id != t->id) ||
                    (tenant && (!e->tenant || !STR_EQ(e->tenant, tenant->name))))
                        continue;
                (void)json_array_append_new(a, render_event(g, e));
        }
        return a;
}

json_t *render_events(Guard *g, uint64_t since, uint32_t max) {
        return json_pack("{s:o, s:I}", "events", events_where(g, since, max ? max : EVENTS_MAX, NULL, NULL),
                         "next", (json_int_t)g->next_event_id);
}

json_t *render_show(Guard *g, Target *t, Tenant *tenant) {
        uint64_t forks;
        json_t *o;

        if (t && t->container) {
                measure_ask(g, t);
                o = render_container(g, t, true, &(Protection){});
                (void)json_object_set_new(o, "book",
                                          render_container_book(&t->m.book, t->m.meter.net.state == NET_OWN));
                deaths_render(g, t, o);
                if (listening_forks(g, t, &forks))
                        json_set_int(o, "forks_per_sec", forks);
                json_set_int(o, "forks", t->heard.n_forks);
                json_set_text(o, "kind", "container");
        } else {
                if (!tenant)
                        tenant = t->tenant;
                for (size_t i = 0; tenant && i < tenant->n_slices; i++)
                        measure_ask(g, tenant->slices[i]);
                o = tenant ? render_tenant(g, tenant) : json_object();
                if (tenant)
                        (void)json_object_set_new(o, "books", render_tenant_book(g, tenant->name, tenant));
                json_set_text(o, "kind", "tenant");
                t = NULL;
        }
        (void)json_object_set_new(o, "events", events_where(g, 0, 20, t, t ? NULL : tenant));
        return o;
}

/* ---- status ---- */

static uint64_t own_rss(void) {
        char b[256];
        uint64_t pages = 0;
        const char *p, *end;
        ssize_t n = fd_read_at(AT_FDCWD, "/proc/self/statm", b, sizeof(b));

        if (n < 0)
                return 0;
        end = b + n;
        p = memchr(b, ' ', (size_t)n); /* size, then resident */
        if (!p)
                return 0;
        p++;
        if (num_scan_u64(&p, end, &pages) < 0)
                return 0;
        return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *strings(char *const *list, size_t n) {
        json_t *a = json_array();

        for (size_t i = 0; i < n; i++)
                (void)json_array_append_new(a, json_text_or_null(list[i]));
        return a;
}

static json_t *lines(const char *s) {
        json_t *a = json_array();

        while (s && *s) {
                size_t n = strcspn(s, "\n");

                if (n > 0)
                        (void)json_array_append_new(a, json_stringn(s, n));
                s += n + (s[n] == '\n');
        }
        return a;
}

static json_t *render_counts(Guard *g) {
        size_t containers = 0, held = 0, unassigned = 0, drifted = 0, holds = 0, advisory = 0, squeezing = 0,
               i = 0;
        json_t *o = json_object();
        Tenant *tenant;
        Target *t;

        while ((t = map_next(&g->targets, &i))) {
                bool d = false, s = false, ok = false;

                containers += t->container;
                unassigned += t->container && t->tenant && STR_EQ(t->tenant->name, "unassigned");
                for (size_t k = 0; k < t->recon.n; k++) {
                        KnobState st = t->recon.knobs[k].state;

                        d |= st == KNOB_DRIFTED;
                        s |= st == KNOB_SQUEEZING;
                        ok |= t->recon.knobs[k].is_desired && (st == KNOB_OK || st == KNOB_KERNEL_ONLY);
                        if (st == KNOB_HELD && !t->hold) {
                                holds++;
                                break;
                        }
                }
                held += ok && t->container;
                drifted += d;
                squeezing += s;
                holds += t->hold != NULL;
        }
        i = 0;
        while ((tenant = map_next(&g->tenants, &i)))
                advisory += tenant->share.state == SHARE_ADVISORY;
        json_set_int(o, "containers", containers);
        json_set_int(o, "held", held);
        json_set_int(o, "tenants", g->tenants.n);
        json_set_int(o, "unassigned", unassigned);
        json_set_int(o, "drifted", drifted);
        json_set_int(o, "holds", holds);
        json_set_int(o, "advisory", advisory);
        json_set_int(o, "squeezing", squeezing);
        return o;
}

static json_t *render_health(Guard *g) {
        const MeasureStats *stats = &g->measure->stats;
        struct rusage ru = {};
        json_t *o = json_object();

        (void)getrusage(RUSAGE_SELF, &ru);
        json_set_int(o, "iterations", g->n_iterations);
        json_set_int(o, "longest_usec", g->longest_stall);
        json_set_int(o, "rss_bytes", own_rss());
        json_set_int(o, "cpu_usec",
                     (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * USEC_PER_SEC +
                             (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec));
        if (sample_has(&g->measure->own_last, SAMPLE_KERNEL))
                json_set_int(o, "kernel_bytes", g->measure->own_last.v[SAMPLE_KERNEL]);
        json_set_int(o, "beats", stats->n_beats);
        (void)json_object_set_new(o, "late_usec",
                                  json_pack("{s:I, s:I, s:I, s:I}", "last", (json_int_t)stats->late.last,
                                            "p50", (json_int_t)loghist_quantile(&stats->late, 5000), "p99",
                                            (json_int_t)loghist_quantile(&stats->late, 9900), "max",
                                            (json_int_t)stats->late.max));
        return o;
}

static json_t *render_policy_state(Guard *g) {
        json_t *o = json_object();

        json_set_bool(o, "ok", g->policy_ok);
        json_set_bool(o, "last_good", g->last_good);
        json_set_int(o, "loaded", g->policy_loaded_realtime);
        (void)json_object_set_new(o, "files", strings(g->loaded->policy->files, g->loaded->policy->n_files));
        json_set_text(o, "report", g->policy_ok ? "" : g->policy_report);
        (void)json_object_set_new(o, "warnings", lines(g->policy_ok ? g->policy_report : NULL));
        return o;
}

static json_t *render_host(Guard *g) {
        static const struct {
                uint32_t bit;
                const char *name;
        } controllers[] = { { CONTROLLER_CPU, "cpu" },
                            { CONTROLLER_IO, "io" },
                            { CONTROLLER_MEMORY, "memory" },
                            { CONTROLLER_PIDS, "pids" } };
        json_t *o = json_object(), *a = json_array();

        json_set_text(o, "kernel", g->host.kernel);
        json_set_int(o, "memory_bytes", g->host.memory_bytes);
        json_set_int(o, "swap_bytes", g->host.swap_bytes);
        json_set_int(o, "cpus", g->host.n_cpus);
        for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
                if (g->host.controllers & controllers[i].bit)
                        (void)json_array_append_new(a, json_text_or_null(controllers[i].name));
        (void)json_object_set_new(o, "controllers", a);
        json_set_bool(o, "psi", g->host.psi);
        json_set_bool(o, "systemd", g->host.systemd_running);
        (void)json_object_set_new(o, "measured", render_host_measured(g));
        return o;
}

json_t *render_status(Guard *g) {
        json_t *o = json_object(), *x;
        TreeStats tree = {};
        JournalStats journal = {};
        LedgerStats ledger = {};
        const char *reason;

        json_set_text(o, "version", BAILIFF_VERSION);
        json_set_int(o, "pid", (uint64_t)getpid());
        json_set_int(o, "started", g->started_realtime);
        json_set_text(o, "mode", mode_to_string(guard_host_mode(g, &reason)));
        json_set_text(o, "mode_reason", reason);
        if (g->paused) {
                x = json_object();
                if (g->paused_until_realtime)
                        json_set_int(x, "until", g->paused_until_realtime);
                else
                        json_set_null(x, "until");
                json_set_text(x, "by", g->released ? "release" : g->paused_by_file ? "file" : "command");
                (void)json_object_set_new(o, "paused", x);
        } else
                json_set_null(o, "paused");
        (void)json_object_set_new(o, "policy", render_policy_state(g));
        (void)json_object_set_new(o, "host", render_host(g));
        (void)json_object_set_new(o, "missing", strings(g->missing, g->n_missing));
        (void)json_object_set_new(o, "rivals", strings(g->rivals, g->n_rivals));
        (void)json_object_set_new(o, "counts", render_counts(g));
        (void)json_object_set_new(o, "drift",
                                  json_pack("{s:I, s:I, s:I}", "found", (json_int_t)g->n_drift_found,
                                            "repaired", (json_int_t)g->n_drift_repaired, "fights",
                                            (json_int_t)g->n_fights));
        tree_get_stats(g->tree, &tree);
        (void)json_object_set_new(
                o, "tree",
                json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "nodes", (json_int_t)tree.n_nodes,
                          "watches", (json_int_t)tree.n_watches, "overflows", (json_int_t)tree.overflows,
                          "rescans", (json_int_t)tree.rescans, "missed", (json_int_t)tree.missed,
                          "watch_failures", (json_int_t)tree.watch_failures, "fd_failures",
                          (json_int_t)tree.fd_failures, "refused", (json_int_t)tree.refused));
        (void)json_object_set_new(o, "bus",
                                  json_pack("{s:b, s:b, s:I}", "connected", g->bus != NULL, "systemd",
                                            manager_is_connected(g->manager), "pending",
                                            (json_int_t)manager_n_pending(g->manager)));
        journal_get_stats(g->journal, &journal);
        (void)json_object_set_new(o, "journal",
                                  json_pack("{s:I, s:I, s:I, s:I}", "sent", (json_int_t)journal.sent,
                                            "queued", (json_int_t)journal.queued, "dropped",
                                            (json_int_t)journal.dropped, "backlog_bytes",
                                            (json_int_t)journal.backlog_bytes));
        (void)json_object_set_new(o, "writer",
                                  json_pack("{s:I, s:I}", "pid", (json_int_t)writer_pid(g->writer), "pending",
                                            (json_int_t)writer_n_pending(g->writer)));
        (void)json_object_set_new(o, "names",
                                  json_pack("{s:I, s:I}", "pid", (json_int_t)names_pid(g->names), "pending",
                                            (json_int_t)names_n_pending(g->names)));
        ledger_get_stats(g->ledger, &ledger);
        x = json_pack("{s:I, s:I}", "records", (json_int_t)ledger.n_records, "damaged",
                      (json_int_t)ledger.n_damaged);
        json_set_text(x, "error", ledger.write_error < 0 ? strerror(-ledger.write_error) : NULL);
        (void)json_object_set_new(o, "ledger", x);
        (void)json_object_set_new(o, "judge", render_judge_status(g));
        (void)json_object_set_new(o, "leases", render_leases_status(g));
        (void)json_object_set_new(o, "loop", render_health(g));
        (void)json_object_set_new(o, "sampling", render_sampling(g));
        (void)json_object_set_new(o, "netlink", render_listening(g));
        return o;
}

/* ---- policy ---- */

typedef struct Chain {
        const PolicySection *sections[4];
        size_t n;
} Chain;

static void push_section(Chain *c, const PolicySection *s) {
        if (s && c->n < ARRAY_SIZE(c->sections))
                c->sections[c->n++] = s;
}

static json_t *render_value(const Guard *g, const char *key, const char *value, PolicyRef ref) {
        json_t *o = json_object();

        json_set_text(o, "key", key);
        json_set_text(o, "value", value);
        set_ref(g, o, ref);
        return o;
}

static void add_limits(const Guard *g, json_t *a, const LimitSet *set, const char *prefix) {
        for (size_t i = 0; i < set->n; i++) {
                _cleanup_buf_ Buf value = BUF_INIT, key = BUF_INIT;
                const LimitEntry *e = &set->entries[i];

                buf_printf(&key, "%s%s", prefix, limit_info(e->knob.limit)->key);
                if (e->knob.dev) {
                        const char *name = json_device_name(g, e->knob.dev);

                        buf_printf(&value, "/dev/%s ", name ? name : "?");
                }
                (void)limit_format_value(e->knob.limit, e->value, &value);
                (void)json_array_append_new(
                        a, render_value(g, buf_str(&key), buf_str(&value), origin_ref(e->origin)));
        }
}

static void add_values(const Guard *g, json_t *a, const Chain *c) {
        for (PolicyKey k = 0; k < _PK_MAX; k++) {
                const PolicyValue *v = policy_section_get((const PolicySection **)c->sections, c->n, k);
                _cleanup_buf_ Buf b = BUF_INIT;

                if (!v || !v->set || policy_value_format(k, v, &b) < 0)
                        continue;
                (void)json_array_append_new(a, render_value(g, policy_key_name(k), buf_str(&b), v->ref));
        }
}

static json_t *render_tenant_policy(Guard *g, const char *name, const PolicyTenant *rule, const char *kind) {
        const Policy *p = g->loaded->policy;
        const PolicyPlan *plan = rule && rule->plan ? policy_find_plan(p, rule->plan) : NULL;
        CeilingEnv env = { .host = &g->host, .device = world_device, .user = g };
        LimitSet set = LIMIT_SET_INIT;
        json_t *o = json_object(), *a = json_array();
        Chain c = {};

        push_section(&c, &p->defaults);
        push_section(&c, plan ? &plan->section : NULL);
        push_section(&c, rule ? &rule->section : NULL);
        add_values(g, a, &c);
        if (ceiling_tenant(p, rule, name, &env, &set) >= 0)
                add_limits(g, a, &set, "");
        limit_set_clear(&set);
        if (ceiling_container(p, rule, name, NULL, &env, &set) >= 0)
                add_limits(g, a, &set, "Container");
        limit_set_deinit(&set);
        json_set_text(o, "name", name);
        json_set_text(o, "rule", kind);
        json_set_text(o, "plan", rule ? rule->plan : NULL);
        set_ref(g, o, rule ? rule->ref : (PolicyRef){});
        (void)json_object_set_new(o, "values", a);
        return o;
}

json_t *render_policy(Guard *g, const char *tenant) {
        const Policy *p = g->loaded->policy;
        json_t *tenants = json_array(), *values = json_array(), *host = json_object();
        Chain c = {};
        size_t i = 0;
        Tenant *live;

        for (size_t k = 0; k < p->n_tenants; k++)
                if (!*tenant || STR_EQ(p->tenants[k].name, tenant))
                        (void)json_array_append_new(tenants, render_tenant_policy(g, p->tenants[k].name,
                                                                                  &p->tenants[k], "tenant"));
        while ((live = map_next(&g->tenants, &i)))
                if (live->template && (!*tenant || STR_EQ(live->name, tenant)))
                        (void)json_array_append_new(
                                tenants, render_tenant_policy(g, live->name, live->rule, "template"));
        if ((!*tenant && !policy_find_tenant(p, "unassigned")) ||
            (STR_EQ(tenant, "unassigned") && !policy_find_tenant(p, tenant)))
                (void)json_array_append_new(tenants, render_tenant_policy(g, "unassigned", NULL, "none"));
        push_section(&c, &p->host);
        add_values(g, values, &c);
        (void)json_object_set_new(host, "values", values);
        return json_pack("{s:o, s:o}", "tenants", tenants, "host", host);
}
