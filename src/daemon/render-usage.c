/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Measurements and books as JSON (include/bailiff/bus.h, "measured", "book", "sampling"). Only reads, and only memory:
 * what is shown was looked at by measure.c.
 */

#include <jansson.h>
#include <stdio.h>

#include "guard.h"
#include "json.h"

json_t *render_usage_of(const Sample *s) {
        static const struct {
                SampleField field;
                const char *key;
        } keys[] = {
                { SAMPLE_MEMORY, "memory_bytes" },
                { SAMPLE_SWAP, "swap_bytes" },
                { SAMPLE_PIDS, "tasks" },
                { SAMPLE_CPU_USAGE, "cpu_usec" },
                { SAMPLE_IO_RBYTES, "io_read_bytes" },
                { SAMPLE_IO_WBYTES, "io_write_bytes" },
                { SAMPLE_NET_RX_BYTES, "network_receive_bytes" },
                { SAMPLE_NET_TX_BYTES, "network_transmit_bytes" },
        };
        json_t *o = json_object();

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (sample_has(s, keys[i].field))
                        json_set_int(o, keys[i].key, s->v[keys[i].field]);
        return o;
}

/* ---- rates ---- */

static void set_device_rates(Guard *g, json_t *rates, const Measured *m) {
        usec_t span = m->io_before_at > 0 ? m->io_at - m->io_before_at : 0;
        json_t *a = json_array();

        for (size_t i = 0; span > 0 && i < m->meter.io.n; i++) {
                const SampleDevice *now = &m->meter.io.devices[i],
                                   *before = sample_io_find(&m->io_before, now->dev);
                static const SampleDevice none = {};
                json_t *o;

                if (!before)
                        before = &none;
                if (now->rbytes < before->rbytes || now->wbytes < before->wbytes ||
                    now->rios < before->rios || now->wios < before->wios)
                        continue;
                o = json_object();
                json_set_device(g, o, now->dev);
                json_set_int(o, "io_read_bytes", rate_per_sec(now->rbytes - before->rbytes, span));
                json_set_int(o, "io_write_bytes", rate_per_sec(now->wbytes - before->wbytes, span));
                json_set_int(o, "io_read_ops", rate_per_sec(now->rios - before->rios, span));
                json_set_int(o, "io_write_ops", rate_per_sec(now->wios - before->wios, span));
                (void)json_array_append_new(a, o);
        }
        (void)json_object_set_new(rates, "devices", a);
}

json_t *render_rates_of(const Rates *rates) {
        json_t *o = json_object();

        if (rates->span > 0)
                json_set_int(o, "span_usec", rates->span);
        for (Rate r = 0; r < _RATE_MAX; r++)
                if (rates->have >> r & 1)
                        json_set_int(o, rate_name(r), rates->v[r]);
        return o;
}

static json_t *render_rates(Guard *g, const Measured *m) {
        json_t *o = render_rates_of(&m->rates);

        set_device_rates(g, o, m);
        return o;
}

static json_t *render_baselines(const Measured *m) {
        unsigned permyriad, days = 0, most = 0;
        json_t *o = json_object();

        for (BaselineResource r = 0; r < _BASELINE_MAX; r++)
                if (baseline_get(&m->baseline, r, &permyriad, &days)) {
                        json_set_int(o, baseline_resource_to_string(r), permyriad);
                        most = MAX_OF(most, days);
                } else
                        json_set_null(o, baseline_resource_to_string(r));
        json_set_int(o, "days", most);
        return o;
}

static json_t *render_sample(const Sample *s) {
        json_t *o = json_object();

        for (SampleField f = 0; f < _SAMPLE_MAX; f++)
                if (sample_has(s, f) && f != SAMPLE_PEAK_KIND)
                        json_set_int(o, sample_info(f)->name, s->v[f]);
        return o;
}

/* Whose its network counters are; null: nobody has looked. */
static json_t *render_network(Guard *g, const Target *t) {
        const NetCg *net = &t->m.meter.net;
        const Target *with = net->state == NET_SHARED ? map_get_u64(&g->targets, net->counted_at) : NULL;
        json_t *o;

        if (!net->asked)
                return json_null();
        o = json_object();
        json_set_text(o, "state", net_state_to_string(net->state));
        json_set_text(o, "counted_at", with ? with->node->path : NULL);
        json_set_text(o, "counted_at_name", with ? target_name(with) : NULL);
        return o;
}

json_t *render_measured(Guard *g, Target *t, bool whole) {
        const Measured *m = &t->m;
        json_t *o = json_object();
        bool trigger = false;
        uint64_t working;

        if (!m->attached || m->last.at == 0)
                return o;
        /* The clocks may have been set since: what matters is how long ago. */
        json_set_int(o, "time", clock_realtime() - (clock_monotonic() - m->last.at));
        json_set_text(o, "tier", tier_to_string(m->tier.level));
        json_set_text(o, "tier_why", tier_why_to_string(m->tier.why));
        if (sample_working_set(&m->last, &working))
                json_set_int(o, "working_set_bytes", working);
        (void)json_object_set_new(o, "rates", whole ? render_rates(g, m) : render_rates_of(&m->rates));
        if (t->container)
                (void)json_object_set_new(o, "network", render_network(g, t));
        if (!whole)
                return o;
        (void)json_object_set_new(o, "sample", render_sample(&m->last));
        if (sample_has(&m->last, SAMPLE_PEAK_KIND))
                json_set_text(o, "peak_kind", peak_kind_to_string((PeakKind)m->last.v[SAMPLE_PEAK_KIND]));
        (void)json_object_set_new(o, "baselines", render_baselines(m));
        for (PsiResource r = 0; r < _PSI_MAX; r++)
                trigger |= m->triggers[r].source != NULL;
        json_set_bool(o, "trigger", trigger);
        return o;
}

json_t *render_host_measured(Guard *g) {
        const Measure *m = g->measure;
        json_t *o = json_object();

        if (m->host.at == 0)
                return o;
        json_set_int(o, "time", clock_realtime() - (clock_monotonic() - m->host.at));
        (void)json_object_set_new(o, "sample", render_sample(&m->host));
        (void)json_object_set_new(o, "rates", render_rates_of(&m->host_rates));
        return o;
}

/* ---- books ---- */

static json_t *render_book(const Book *b) {
        json_t *o = json_object();

        for (BookField f = 0; f < _BOOK_MAX; f++) {
                if (f == BOOK_PEAK_MEMORY_KIND)
                        json_set_text(o, book_info(f)->name, peak_kind_to_string((PeakKind)b->v[f]));
                else
                        json_set_int(o, book_info(f)->name, b->v[f]);
        }
        return o;
}

/* What is counted elsewhere, or nowhere, is not told as none. */
json_t *render_container_book(const Book *b, bool network) {
        json_t *o = render_book(b);

        for (BookField f = BOOK_NET_RX_BYTES; f <= BOOK_NET_TX_DROPPED; f++)
                network |= b->v[f] > 0;
        for (BookField f = BOOK_NET_RX_BYTES; !network && f <= BOOK_NET_TX_DROPPED; f++)
                (void)json_object_del(o, book_info(f)->name);
        return o;
}

json_t *render_tenant_book(Guard *g, const char *name, const Tenant *tenant) {
        json_t *o = json_object();
        BookParts parts;

        json_set_text(o, "name", name);
        json_set_int(o, "containers", tenant ? tenant->n_members : 0);
        json_set_int(o, "slices", tenant ? tenant->n_slices : 0);
        if (ledgers_parts(g, name, tenant, &parts) < 0)
                return o;
        json_set_int(o, "since", parts.total.since_realtime);
        (void)json_object_set_new(o, "book", render_book(&parts.total));
        (void)json_object_set_new(o, "live", render_book(&parts.live));
        (void)json_object_set_new(o, "ended", render_book(&parts.ended));
        (void)json_object_set_new(o, "unseen", render_book(&parts.unseen));
        return o;
}

static int by_name(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Those that run, and those of which books are left. */
static void tenant_books(Guard *g, Buf *out) {
        _cleanup_free_ const char **names = calloc(g->tenants.n + g->measure->ledgers.n + 1, sizeof(*names));
        size_t n = 0, i = 0;
        TenantLedger *l;
        Tenant *t;

        while (names && (t = map_next(&g->tenants, &i)))
                names[n++] = t->name;
        i = 0;
        while (names && (l = map_next(&g->measure->ledgers, &i)))
                if (!map_get_str(&g->tenants, l->name))
                        names[n++] = l->name;
        if (n > 0)
                qsort(names, n, sizeof(*names), by_name);
        for (i = 0; i < n; i++)
                json_append_text(out, i == 0,
                                 render_tenant_book(g, names[i], map_get_str(&g->tenants, names[i])));
}

static json_t *container_book(const char *name, const char *id, const char *tenant, const char *cgroup,
                              uint64_t cgroup_id, Engine engine, const Book *b, bool network) {
        json_t *o = json_object();

        json_set_text(o, "name", name);
        json_set_text(o, "id", id);
        json_set_text(o, "tenant", tenant);
        json_set_text(o, "cgroup", cgroup);
        json_set_int(o, "cgroup_id", cgroup_id);
        json_set_text(o, "engine", engine_to_string(engine));
        json_set_int(o, "since", b->since_realtime);
        (void)json_object_set_new(o, "book", render_container_book(b, network));
        return o;
}

static void container_books(Guard *g, Buf *out) {
        bool first = true;
        size_t i = 0;
        json_t *o;
        Target *t;

        while ((t = map_next(&g->targets, &i))) {
                if (!t->container || t->leaving || !t->m.attached)
                        continue;
                o = container_book(target_name(t), t->cg.id, t->tenant ? t->tenant->name : POLICY_UNASSIGNED,
                                   t->node->path, t->id, t->engine, &t->m.book,
                                   t->m.meter.net.state == NET_OWN);
                (void)json_object_set_new(o, "network", render_network(g, t));
                json_set_null(o, "ended");
                json_set_null(o, "end");
                json_append_text(out, first, o);
                first = false;
        }
        for (i = 0; i < g->measure->n_ended; i++) {
                const Ended *e = &g->measure->ended[(g->measure->ended_head + i) % ENDED_MAX];

                o = container_book(e->name, e->id, e->tenant, e->cgroup, e->cgroup_id, e->engine, &e->book,
                                   e->network);
                json_set_int(o, "ended", e->ended_realtime);
                json_set_text(o, "end", e->book.v[BOOK_ENDS_OOM] ? "oom" : e->read ? "read" : "unread");
                json_append_text(out, first, o);
                first = false;
        }
}

void render_books(Guard *g, const char *by, Buf *out) {
        buf_printf(out, "{\"time\":%llu", (unsigned long long)clock_realtime());
        if (!STR_EQ(by, "container")) {
                buf_puts(out, ",\"tenants\":[");
                tenant_books(g, out);
                buf_putc(out, ']');
        }
        if (!STR_EQ(by, "tenant")) {
                buf_puts(out, ",\"containers\":[");
                container_books(g, out);
                buf_putc(out, ']');
        }
        buf_putc(out, '}');
}

/* ---- how the measuring itself does ---- */

json_t *render_sampling(Guard *g) {
        Measure *m = g->measure;
        size_t hot = 0, cold = 0, slices = 0, i = 0;
        json_t *o = json_object(), *x;
        HistoryStats history;
        int error = ledgers_error(g);
        BookFileStats books;
        MeterStats meter;
        Target *t;

        while ((t = map_next(&g->targets, &i))) {
                if (!t->m.attached)
                        continue;
                slices += !t->container;
                hot += t->container && t->m.tier.level == TIER_HOT;
                cold += t->container && t->m.tier.level == TIER_COLD;
        }
        meter_get_stats(m->meter, &meter);
        json_set_int(o, "hot", hot);
        json_set_int(o, "cold", cold);
        json_set_int(o, "slices", slices);
        json_set_int(o, "looks", meter.n_looks);
        json_set_int(o, "files", meter.n_files);
        json_set_int(o, "kept_fds", meter.n_kept_fds);
        json_set_int(o, "kept_cgroups", meter.n_kept_cgroups);
        json_set_int(o, "evictions", meter.n_evictions);
        json_set_int(o, "fd_failures", meter.n_fd_failures);
        json_set_text(o, "peaks", peak_kind_to_string(meter.peaks_reset ? PEAK_RESET : PEAK_RAISED));
        json_set_int(o, "net_damaged", meter.n_net_damaged);
        json_set_text(o, "net_error", meter.net_error < 0 ? strerror(-meter.net_error) : NULL);
        json_set_bool(o, "psi", g->host.psi && meter.psi_error == 0);
        json_set_text(o, "psi_error", meter.psi_error < 0 ? strerror(-meter.psi_error) : NULL);
        x = json_object();
        json_set_int(x, "host", m->stats.n_triggers[0]);
        json_set_int(x, "slices", m->stats.n_triggers[1]);
        json_set_int(x, "containers", m->stats.n_triggers[2]);
        json_set_int(x, "refused", m->stats.n_refused);
        json_set_int(x, "lost", m->stats.n_lost);
        json_set_int(x, "fired", m->stats.n_fired);
        (void)json_object_set_new(o, "triggers", x);
        history_get_stats(m->history, &history);
        x = json_object();
        json_set_int(x, "bytes", history.bytes);
        json_set_int(x, "chunks", history.n_chunks);
        json_set_int(x, "subjects", history.n_subjects);
        json_set_int(x, "first", history.first_realtime);
        json_set_int(x, "dropped", history.n_dropped);
        (void)json_object_set_new(o, "history", x);
        bookfile_get_stats(m->books, &books);
        x = json_object();
        json_set_int(x, "used", books.n_used);
        json_set_int(x, "damaged", books.n_damaged);
        json_set_bool(x, "set_aside", books.set_aside);
        json_set_int(x, "writes", books.n_writes);
        json_set_text(x, "error", error < 0 ? strerror(-error) : NULL);
        (void)json_object_set_new(o, "books", x);
        return o;
}
