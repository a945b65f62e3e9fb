/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Books and the guard's state as OpenMetrics.
 *
 * Metrics are in base units: seconds and bytes. Of containers only those that
 * run have series: whoever scrapes has seen the others' end, and one that starts
 * again under its old id and name would be there twice. A tenant's series go on: they count the dead, too.
 *
 * What containers send and receive goes by the names that cAdvisor has given it, for dashboards know those. They have no
 * label "interface": told is the sum of all interfaces but loopback.
 */

#include <stdio.h>

#include "bookmetrics.h"
#include "jsonget.h"
#include "num.h"

/* ---- books and lists ---- */

void usage_book_read(const json_t *o, Book *ret, uint64_t *ret_have) {
        *ret = (Book){};
        *ret_have = 0;
        for (int f = 0; f < _BOOK_MAX; f++) {
                const char *name = book_info((BookField)f)->name;

                if (!json_is_integer(json_member(o, name)))
                        continue;
                ret->v[f] = json_number(o, name);
                *ret_have |= UINT64_C(1) << f;
        }
}

json_t *usage_book_to_json(const Book *b) {
        json_t *o = json_object();

        for (int f = 0; f < _BOOK_MAX; f++) {
                uint64_t v = b->v[f];

                if (json_object_set_new(o, book_info((BookField)f)->name,
                                        f == BOOK_PEAK_MEMORY_KIND
                                                ? json_string(peak_kind_to_string((PeakKind)v))
                                                : json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v)) <
                    0) {
                        json_decref(o);
                        return NULL;
                }
        }
        return o;
}

static const char *text_of(const json_t *o, const char *key) {
        const char *s = json_text(o, key);

        return s ? s : "";
}

static int cmp(const void *pa, const void *pb) {
        static const char *const keys[] = { "tenant", "name", "id", "cgroup" };
        const json_t *a = *(const json_t *const *)pa, *b = *(const json_t *const *)pb;
        uint64_t ended_a = json_number(a, "ended"), ended_b = json_number(b, "ended");

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                int order = strcmp(text_of(a, keys[i]), text_of(b, keys[i]));

                if (order != 0)
                        return order;
        }
        return ended_a < ended_b ? -1 : ended_a > ended_b;
}

int usage_sorted(const json_t *usage, UsageBy by, const json_t ***ret, size_t *ret_n) {
        const json_t *list = json_member(usage, by == USAGE_BY_TENANT ? "tenants" : "containers"), *o;
        const json_t **a = calloc(json_array_size(list) + 1, sizeof(*a));
        size_t i, n = 0;

        if (!a)
                return -ENOMEM;
        json_array_foreach(list, i, o) if (json_is_object(o)) a[n++] = o;
        qsort(a, n, sizeof(*a), cmp);
        *ret = a;
        *ret_n = n;
        return 0;
}

/* ---- OpenMetrics: books ---- */

static const char *const help[_BOOK_MAX] = {
        [BOOK_CPU_USEC] = "CPU time used.",
        [BOOK_CPU_USER_USEC] = "CPU time used in user mode.",
        [BOOK_CPU_SYSTEM_USEC] = "CPU time used in the kernel.",
        [BOOK_PERIODS] = "Periods in which a CPU quota was in force and something ran.",
        [BOOK_THROTTLED_PERIODS] = "Periods in which the CPU quota was used up.",
        [BOOK_THROTTLED_USEC] = "Time throttled by the CPU quota, summed over CPUs.",
        [BOOK_IO_RBYTES] = "Bytes read from block devices.",
        [BOOK_IO_WBYTES] = "Bytes written to block devices.",
        [BOOK_IO_RIOS] = "Read operations on block devices.",
        [BOOK_IO_WIOS] = "Write operations on block devices.",
        [BOOK_NET_RX_BYTES] = "Bytes received.",
        [BOOK_NET_RX_PACKETS] = "Packets received.",
        [BOOK_NET_RX_ERRORS] = "Errors while receiving.",
        [BOOK_NET_RX_DROPPED] = "Packets dropped while receiving.",
        [BOOK_NET_TX_BYTES] = "Bytes transmitted.",
        [BOOK_NET_TX_PACKETS] = "Packets transmitted.",
        [BOOK_NET_TX_ERRORS] = "Errors while transmitting.",
        [BOOK_NET_TX_DROPPED] = "Packets dropped while transmitting.",
        [BOOK_CPU_SOME_USEC] = "Time in which some task waited for a CPU.",
        [BOOK_CPU_FULL_USEC] = "Time in which all tasks waited for a CPU.",
        [BOOK_MEMORY_SOME_USEC] = "Time in which some task waited for memory.",
        [BOOK_MEMORY_FULL_USEC] = "Time in which all tasks waited for memory.",
        [BOOK_IO_SOME_USEC] = "Time in which some task waited for IO.",
        [BOOK_IO_FULL_USEC] = "Time in which all tasks waited for IO.",
        [BOOK_IRQ_FULL_USEC] = "Time in which interrupts kept all tasks from running.",
        [BOOK_REFAULTS] = "Pages that were read again soon after they had been reclaimed.",
        [BOOK_MAJOR_FAULTS] = "Page faults that needed IO.",
        [BOOK_HITS_MEMORY_HIGH] = "Times that use met memory.high.",
        [BOOK_HITS_MEMORY_MAX] = "Times that use met memory.max.",
        [BOOK_HITS_TASKS_MAX] = "Forks that pids.max refused.",
        [BOOK_OOMS] = "Times that memory.max could not be kept by reclaim.",
        [BOOK_OOM_KILLS] = "Processes that the kernel killed for want of memory.",
        [BOOK_MEMORY_KIB_SECONDS] = "Memory used, over time.",
        [BOOK_SWAP_KIB_SECONDS] = "Swap used, over time.",
        [BOOK_STARTS] = "Containers that started while the guard looked.",
        [BOOK_ENDS] = "Containers that ended.",
        [BOOK_ENDS_OOM] =
                "Containers that ended right after the kernel had killed in them for want of memory.",
        [BOOK_ENDS_UNREAD] = "Containers that were gone before the last look at them.",
        [BOOK_UNSEEN_USEC] = "Time from the last look to the end of those.",
        [BOOK_LIFE_USEC] = "Time lived under the guard's eyes.",
        [BOOK_RESETS] = "Times that a counter of the kernel went back.",
        [BOOK_PEAK_MEMORY] = "Most memory ever used.",
        [BOOK_PEAK_SWAP] = "Most swap ever used.",
        [BOOK_PEAK_TASKS] = "Most tasks ever.",
};

static const char *unit_of(BookField f) {
        switch (book_info(f)->unit) {
        case UNIT_USEC:
                return "seconds";
        case UNIT_BYTES:
                return "bytes";
        default:
                return NULL;
        }
}

/* Base units: what books keep in KiB · s is told in byte · s. What is a tenant's "container_starts" is a
 * container's "starts". */
static const char *metric_of(BookField f, UsageBy by) {
        static const char container[] = "container_";
        const char *metric = f == BOOK_MEMORY_KIB_SECONDS ? "memory_byte_seconds"
                             : f == BOOK_SWAP_KIB_SECONDS ? "swap_byte_seconds"
                                                          : book_info(f)->metric;

        if (by == USAGE_BY_CONTAINER && strncmp(metric, container, strlen(container)) == 0)
                metric += strlen(container);
        return metric;
}

static uint64_t value_of(const Book *b, BookField f) {
        return f == BOOK_MEMORY_KIB_SECONDS || f == BOOK_SWAP_KIB_SECONDS ? num_muldiv(b->v[f], 1024, 1)
                                                                          : b->v[f];
}

typedef struct Series {
        MetricLabel labels[3];
        size_t n_labels;
        Book book;
        uint64_t have;
} Series;

static int by_metric(const void *a, const void *b, void *by) {
        return strcmp(metric_of(*(const BookField *)a, *(UsageBy *)by),
                      metric_of(*(const BookField *)b, *(UsageBy *)by));
}

static bool is_network(BookField f) { return f >= BOOK_NET_RX_BYTES && f <= BOOK_NET_TX_DROPPED; }

static const char *prefix_of(BookFamilies families) {
        static const char *const prefixes[] = {
                [BOOKS_OF_CONTAINERS] = "bailiff_container_",
                [BOOKS_OF_TENANTS] = "bailiff_tenant_",
                [BOOKS_CADVISOR] = "container_",
        };

        return prefixes[families];
}

static void book_families(Metrics *m, BookFamilies families, const Series *series, size_t n) {
        UsageBy by = families == BOOKS_OF_TENANTS ? USAGE_BY_TENANT : USAGE_BY_CONTAINER;
        BookField order[_BOOK_MAX];

        for (int f = 0; f < _BOOK_MAX; f++)
                order[f] = (BookField)f;
        qsort_r(order, _BOOK_MAX, sizeof(*order), by_metric, &by);
        for (size_t i = 0; i < _BOOK_MAX; i++) {
                BookField f = order[i];
                _cleanup_buf_ Buf name = BUF_INIT;

                if (f == BOOK_PEAK_MEMORY_KIND)
                        continue; /* a word */
                if (families != BOOKS_OF_TENANTS && is_network(f) != (families == BOOKS_CADVISOR))
                        continue;
                buf_printf(&name, "%s%s", prefix_of(families), metric_of(f, by));
                metrics_family(m, buf_str(&name), f < _BOOK_COUNTERS ? METRIC_COUNTER : METRIC_GAUGE,
                               unit_of(f), help[f] ? help[f] : "As counted in the books.");
                for (size_t k = 0; k < n; k++)
                        if (series[k].have >> f & 1)
                                metrics_sample(m, series[k].labels, series[k].n_labels,
                                               value_of(&series[k].book, f),
                                               book_info(f)->unit == UNIT_USEC ? 6 : 0);
        }
}

static bool same_labels(const Series *a, const Series *b) {
        for (size_t i = 0; i < a->n_labels; i++)
                if (!STR_EQ(a->labels[i].value, b->labels[i].value))
                        return false;
        return true;
}

int metrics_books(Metrics *m, const json_t *usage, BookFamilies families, const char *tenant_label) {
        UsageBy by = families == BOOKS_OF_TENANTS ? USAGE_BY_TENANT : USAGE_BY_CONTAINER;
        _cleanup_free_ const json_t **list = NULL;
        _cleanup_free_ Series *series = NULL;
        size_t n, kept = 0;
        int r = usage_sorted(usage, by, &list, &n);

        if (r < 0)
                return r;
        series = calloc(n + 1, sizeof(*series));
        if (!series)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                Series *s = &series[kept];

                if (by == USAGE_BY_CONTAINER && json_has(list[i], "ended"))
                        continue; /* a tenant's "ended" is a book */
                if (by == USAGE_BY_TENANT)
                        *s = (Series){ .labels = { { tenant_label, text_of(list[i], "name") } },
                                       .n_labels = 1 };
                else
                        *s = (Series){
                                .labels = { { tenant_label, text_of(list[i], "tenant") },
                                            { "name", text_of(list[i], "name") },
                                            { "id",
                                              text_of(list[i], json_has(list[i], "id") ? "id" : "cgroup") } },
                                .n_labels = 3
                        };
                usage_book_read(json_member(list[i], "book"), &s->book, &s->have);
                if (kept == 0 || !same_labels(s, s - 1))
                        kept++;
        }
        book_families(m, families, series, kept);
        return 0;
}

/* ---- OpenMetrics: the guard ---- */

#define STATUS_KEYS_MAX 32

/* Numbers of GetStatus() (bus.h), in the order of their names. Booleans are 1 or 0. */
static const MetricOfStatus of_guard[] = {
        { "judge.acts[act]", "bailiff_guard_acts", METRIC_COUNTER, NULL, 0, "What the judge did." },
        { "loop.late_usec", "bailiff_guard_beat_lateness_seconds", METRIC_SUMMARY, "seconds", 6,
          "How late the guard's beats came." },
        { "loop.beats", "bailiff_guard_beats", METRIC_COUNTER, NULL, 0, "Beats of the guard, one a second." },
        { "version", "bailiff_guard_build_info", METRIC_GAUGE, NULL, 0, "The guard of this host." },
        { "counts.containers", "bailiff_guard_containers", METRIC_GAUGE, NULL, 0, "Containers that run." },
        { "counts.held", "bailiff_guard_containers_held", METRIC_GAUGE, NULL, 0,
          "Containers that a ceiling of ours holds." },
        { "counts.unassigned", "bailiff_guard_containers_unassigned", METRIC_GAUGE, NULL, 0,
          "Containers that are no tenant's." },
        { "loop.cpu_usec", "bailiff_guard_cpu_seconds", METRIC_COUNTER, "seconds", 6,
          "CPU time that the guard used." },
        { "sampling.books.damaged", "bailiff_guard_damaged_books", METRIC_GAUGE, NULL, 0,
          "Books on file that were damaged when the guard started." },
        { "drift.fights", "bailiff_guard_drift_fights", METRIC_COUNTER, NULL, 0,
          "Limits that somebody else set again and again." },
        { "drift.found", "bailiff_guard_drifts", METRIC_COUNTER, NULL, 0,
          "Times that a limit was found looser than policy says." },
        { "drift.repaired", "bailiff_guard_drifts_repaired", METRIC_COUNTER, NULL, 0,
          "Limits that were set again after that." },
        { "sampling.fd_failures", "bailiff_guard_fd_failures", METRIC_COUNTER, NULL, 0,
          "Files that could not be opened for want of file descriptors." },
        { "leases.frozen", "bailiff_guard_frozen", METRIC_GAUGE, NULL, 0, "Containers that stand still." },
        { "sampling.history.bytes", "bailiff_guard_history_bytes", METRIC_GAUGE, "bytes", 0,
          "Memory that the history of samples takes." },
        { "counts.holds", "bailiff_guard_holds", METRIC_GAUGE, NULL, 0,
          "Containers and slices that an operator has taken in hand." },
        { "judge.incidents_open", "bailiff_guard_incidents_open", METRIC_GAUGE, NULL, 0,
          "Incidents that are not over." },
        { "sampling.kept_fds", "bailiff_guard_kept_fds", METRIC_GAUGE, NULL, 0,
          "File descriptors kept open for sampling." },
        { "loop.kernel_bytes", "bailiff_guard_kernel_memory_bytes", METRIC_GAUGE, "bytes", 0,
          "Kernel memory charged to the guard." },
        { "judge.kill_budget_left", "bailiff_guard_kill_budget_left", METRIC_GAUGE, NULL, 0,
          "Kills that the budget still allows." },
        { "leases.limits", "bailiff_guard_leases", METRIC_GAUGE, NULL, 0,
          "Limits that hold somebody back for a time." },
        { "mode", "bailiff_guard_mode_info", METRIC_GAUGE, NULL, 0, "The mode that bounds everybody's." },
        { "paused?", "bailiff_guard_paused", METRIC_GAUGE, NULL, 0, "1: nothing is written." },
        { "policy.last_good", "bailiff_guard_policy_last_good", METRIC_GAUGE, NULL, 0,
          "1: the policy on disk does not load, the last one that did serves." },
        { "policy.loaded", "bailiff_guard_policy_loaded_timestamp_seconds", METRIC_GAUGE, "seconds", 6,
          "When the policy in force was loaded." },
        { "policy.ok", "bailiff_guard_policy_ok", METRIC_GAUGE, NULL, 0,
          "1: the policy on disk is the one in force." },
        { "loop.rss_bytes", "bailiff_guard_resident_memory_bytes", METRIC_GAUGE, "bytes", 0,
          "Memory of the guard's process." },
        { "sampling", "bailiff_guard_sampled_containers", METRIC_GAUGE, NULL, 0,
          "Containers by how often they are looked at." },
        { "judge.in_storm", "bailiff_guard_storm", METRIC_GAUGE, NULL, 0,
          "1: too many containers died lately, none is killed." },
        { "counts.advisory", "bailiff_guard_tenants_advisory", METRIC_GAUGE, NULL, 0,
          "Tenants whose sum cannot be held yet." },
        { "judge.would[act]", "bailiff_guard_would_acts", METRIC_COUNTER, NULL, 0,
          "What the judge would have done, had the mode allowed it." },
};

const MetricOfStatus *metrics_of_guard(size_t *ret_n) {
        *ret_n = ARRAY_SIZE(of_guard);
        return of_guard;
}

/* "loop.beats"; a "[…]" or "?" behind it is not part of it. */
static const json_t *find_path(const json_t *o, const char *path) {
        while (o && *path && *path != '[' && *path != '?') {
                size_t n = strcspn(path, ".[?");
                char key[32];

                if (n >= sizeof(key))
                        return NULL;
                memcpy(key, path, n);
                key[n] = '\0';
                o = json_member(o, key);
                path += n + (path[n] == '.');
        }
        return o;
}

static void put_members(Metrics *m, const json_t *o, const char *label, const char *const *keys,
                        const char *const *values, size_t n, unsigned decimals) {
        for (size_t i = 0; i < n; i++)
                if (json_has(o, keys[i]))
                        metrics_sample(m, (MetricLabel[]){ { label, values[i] } }, 1, json_number(o, keys[i]),
                                       decimals);
}

static int by_word(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All numbers of an object, in the order of their keys. */
static void put_numbers(Metrics *m, const MetricOfStatus *row, const char *bracket, const json_t *v) {
        _cleanup_free_ char *label = strndup(bracket + 1, strcspn(bracket + 1, "]"));
        json_t *o = (json_t *)(uintptr_t)v, *number;
        const char *keys[STATUS_KEYS_MAX], *key;
        size_t n = 0;

        json_object_foreach(o, key, number) if (json_is_integer(number) && n < STATUS_KEYS_MAX) keys[n++] =
                key;
        qsort(keys, n, sizeof(*keys), by_word);
        if (label)
                put_members(m, v, label, keys, keys, n, row->decimals);
        else
                m->error = -ENOMEM;
}

static void put_status(Metrics *m, const MetricOfStatus *row, const json_t *v) {
        static const char *const latest[] = { "p50", "p99", "max" },
                                 *const quantiles[] = { "0.5", "0.99", "1.0" },
                                 *const tiers[] = { "cold", "hot" };

        const char *bracket = strchr(row->path, '[');

        if (strchr(row->path, '?')) {
                if (v)
                        metrics_sample(m, NULL, 0, !json_is_null(v), 0);
        } else if (bracket && json_is_object(v))
                put_numbers(m, row, bracket, v);
        else if (row->type == METRIC_SUMMARY)
                put_members(m, v, "quantile", latest, quantiles, ARRAY_SIZE(latest), row->decimals);
        else if (json_is_object(v))
                put_members(m, v, "tier", tiers, tiers, ARRAY_SIZE(tiers), row->decimals);
        else if (json_is_string(v))
                metrics_sample(m, (MetricLabel[]){ { row->path, json_string_value(v) } }, 1, 1, 0);
        else if (json_is_boolean(v))
                metrics_sample(m, NULL, 0, json_is_true(v), 0);
        else if (json_is_integer(v))
                metrics_sample(m, NULL, 0, (uint64_t)MAX_OF(json_integer_value(v), (json_int_t)0),
                               row->decimals);
}

void metrics_status(Metrics *m, const MetricOfStatus *rows, size_t n, const json_t *status) {
        for (size_t i = 0; i < n; i++) {
                metrics_family(m, rows[i].name, rows[i].type, rows[i].unit, rows[i].help);
                put_status(m, &rows[i], find_path(status, rows[i].path));
        }
}

int usage_openmetrics(const json_t *usage, const json_t *status, Buf *out) {
        Metrics m = METRICS_INIT(out);
        int r = metrics_books(&m, usage, BOOKS_OF_CONTAINERS, "tenant"), k;

        if (status)
                metrics_status(&m, of_guard, ARRAY_SIZE(of_guard), status);
        if (r >= 0)
                r = metrics_books(&m, usage, BOOKS_OF_TENANTS, "tenant");
        if (r >= 0)
                r = metrics_books(&m, usage, BOOKS_CADVISOR, "tenant");
        k = metrics_end(&m);
        return r < 0 ? r : k;
}

double metrics_tenant_counter(BookField f, char buf[static TENANT_METRIC_MAX]) {
        (void)snprintf(buf, TENANT_METRIC_MAX, "bailiff_tenant_%s_total", metric_of(f, USAGE_BY_TENANT));
        if (f == BOOK_MEMORY_KIB_SECONDS || f == BOOK_SWAP_KIB_SECONDS)
                return 1.0 / 1024;
        return book_info(f)->unit == UNIT_USEC ? 1e6 : 1;
}
