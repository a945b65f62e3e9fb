/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Books as CSV (RFC 4180) and as OpenMetrics, with every field that there is.
 *
 * Metrics are in base units: seconds and bytes. Of containers only those that
 * run have series: whoever scrapes has seen the others' end, and one that starts
 * again under its old id and name would be there twice. A tenant's series go on: they count the dead, too.
 *
 * What containers send and receive goes by the names that cAdvisor has given it, for dashboards know those. They have no
 * label "interface": told is the sum of all interfaces but loopback.
 */

#include <stdio.h>

#include "num.h"
#include "openmetrics.h"
#include "screens.h"
#include "usage.h"

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

/* ---- CSV ---- */

static void csv_text(Buf *out, const char *s) {
        if (s[strcspn(s, "\",\r\n")] == '\0' && *s != ' ') {
                buf_puts(out, s);
                return;
        }
        buf_putc(out, '"');
        for (; *s; s++) {
                if (*s == '"')
                        buf_putc(out, '"');
                buf_putc(out, *s);
        }
        buf_putc(out, '"');
}

static void csv_value(Buf *out, const json_t *o, const char *key) {
        const json_t *v = json_member(o, key);

        if (json_is_string(v))
                csv_text(out, json_string_value(v));
        else if (json_is_integer(v))
                buf_printf(out, "%llu", (unsigned long long)json_number(o, key));
}

typedef struct CsvColumn {
        const char *header, *key;
} CsvColumn;

static const CsvColumn of_tenant[] = {
        { "tenant", "name" },
        { "since_usec", "since" },
        { "containers", "containers" },
        { "slices", "slices" },
}, of_container[] = {
        { "name", "name" },         { "id", "id" },
        { "tenant", "tenant" },     { "cgroup", "cgroup" },
        { "engine", "engine" },     { "since_usec", "since" },
        { "ended_usec", "ended" }, { "end", "end" },
};

int usage_csv(const json_t *usage, UsageBy by, Buf *out) {
        const CsvColumn *columns = by == USAGE_BY_TENANT ? of_tenant : of_container;
        size_t n_columns = by == USAGE_BY_TENANT ? ARRAY_SIZE(of_tenant) : ARRAY_SIZE(of_container), n;
        _cleanup_free_ const json_t **list = NULL;
        int r = usage_sorted(usage, by, &list, &n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n_columns; i++)
                buf_printf(out, "%s%s", i > 0 ? "," : "", columns[i].header);
        for (int f = 0; f < _BOOK_MAX; f++)
                buf_printf(out, ",%s", book_info((BookField)f)->name);
        buf_puts(out, "\r\n");
        for (size_t k = 0; k < n; k++) {
                for (size_t i = 0; i < n_columns; i++) {
                        buf_puts(out, i > 0 ? "," : "");
                        csv_value(out, list[k], columns[i].key);
                }
                for (int f = 0; f < _BOOK_MAX; f++) {
                        buf_putc(out, ',');
                        csv_value(out, json_member(list[k], "book"), book_info((BookField)f)->name);
                }
                buf_puts(out, "\r\n");
        }
        return buf_error(out);
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

/* Of which family a field is, in the order of their names. */
typedef enum Families { OF_CONTAINERS, OF_TENANTS, OF_CADVISOR } Families;

static const char *prefix_of(Families families) {
        static const char *const prefixes[] = {
                [OF_CONTAINERS] = "bailiff_container_",
                [OF_TENANTS] = "bailiff_tenant_",
                [OF_CADVISOR] = "container_",
        };

        return prefixes[families];
}

static void book_families(Metrics *m, Families families, const Series *series, size_t n) {
        UsageBy by = families == OF_TENANTS ? USAGE_BY_TENANT : USAGE_BY_CONTAINER;
        BookField order[_BOOK_MAX];

        for (int f = 0; f < _BOOK_MAX; f++)
                order[f] = (BookField)f;
        qsort_r(order, _BOOK_MAX, sizeof(*order), by_metric, &by);
        for (size_t i = 0; i < _BOOK_MAX; i++) {
                BookField f = order[i];
                _cleanup_buf_ Buf name = BUF_INIT;

                if (f == BOOK_PEAK_MEMORY_KIND)
                        continue; /* a word */
                if (families != OF_TENANTS && is_network(f) != (families == OF_CADVISOR))
                        continue;
                buf_printf(&name, "%s%s", prefix_of(families), metric_of(f, by));
                metrics_family(m, buf_str(&name), f < _BOOK_COUNTERS ? METRIC_COUNTER : METRIC_GAUGE,
                               unit_of(f), help[f]);
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

static int put_books(Metrics *m, const json_t *usage, Families families) {
        UsageBy by = families == OF_TENANTS ? USAGE_BY_TENANT : USAGE_BY_CONTAINER;
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
                        *s = (Series){ .labels = { { "tenant", text_of(list[i], "name") } }, .n_labels = 1 };
                else
                        *s = (Series){
                                .labels = { { "tenant", text_of(list[i], "tenant") },
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

static void one(Metrics *m, const json_t *o, const char *key, const char *name, MetricType type,
                const char *unit, unsigned decimals, const char *text) {
        if (!json_has(o, key))
                return;
        metrics_family(m, name, type, unit, text);
        metrics_sample(m, NULL, 0, json_number(o, key), decimals);
}

/* In the order of names. */
static void put_guard(Metrics *m, const json_t *status) {
        const json_t *loop = json_member(status, "loop"), *late = json_member(loop, "late_usec"),
                     *sampling = json_member(status, "sampling"), *history = json_member(sampling, "history"),
                     *books = json_member(sampling, "books");
        static const struct {
                const char *key, *quantile;
        } quantiles[] = { { "p50", "0.5" }, { "p99", "0.99" }, { "max", "1.0" } };
        const char *version = json_text(status, "version");

        metrics_family(m, "bailiff_guard_beat_lateness_seconds", METRIC_SUMMARY, "seconds",
                       "How late the guard's beats came.");
        for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
                if (json_has(late, quantiles[i].key))
                        metrics_sample(m, (MetricLabel[]){ { "quantile", quantiles[i].quantile } }, 1,
                                       json_number(late, quantiles[i].key), 6);
        one(m, loop, "beats", "bailiff_guard_beats", METRIC_COUNTER, NULL, 0,
            "Beats of the guard, one a second.");
        metrics_family(m, "bailiff_guard_build_info", METRIC_GAUGE, NULL, "The guard of this host.");
        metrics_sample(m, (MetricLabel[]){ { "version", version ? version : "" } }, 1, 1, 0);
        one(m, loop, "cpu_usec", "bailiff_guard_cpu_seconds", METRIC_COUNTER, "seconds", 6,
            "CPU time that the guard used.");
        one(m, books, "damaged", "bailiff_guard_damaged_books", METRIC_GAUGE, NULL, 0,
            "Books on file that were damaged when the guard started.");
        one(m, sampling, "fd_failures", "bailiff_guard_fd_failures", METRIC_COUNTER, NULL, 0,
            "Files that could not be opened for want of file descriptors.");
        one(m, history, "bytes", "bailiff_guard_history_bytes", METRIC_GAUGE, "bytes", 0,
            "Memory that the history of samples takes.");
        one(m, sampling, "kept_fds", "bailiff_guard_kept_fds", METRIC_GAUGE, NULL, 0,
            "File descriptors kept open for sampling.");
        one(m, loop, "kernel_bytes", "bailiff_guard_kernel_memory_bytes", METRIC_GAUGE, "bytes", 0,
            "Kernel memory charged to the guard.");
        one(m, loop, "rss_bytes", "bailiff_guard_resident_memory_bytes", METRIC_GAUGE, "bytes", 0,
            "Memory of the guard's process.");
        metrics_family(m, "bailiff_guard_sampled_containers", METRIC_GAUGE, NULL,
                       "Containers by how often they are looked at.");
        if (json_has(sampling, "cold"))
                metrics_sample(m, (MetricLabel[]){ { "tier", "cold" } }, 1, json_number(sampling, "cold"), 0);
        if (json_has(sampling, "hot"))
                metrics_sample(m, (MetricLabel[]){ { "tier", "hot" } }, 1, json_number(sampling, "hot"), 0);
}

int usage_openmetrics(const json_t *usage, const json_t *status, Buf *out) {
        Metrics m = METRICS_INIT(out);
        int r = put_books(&m, usage, OF_CONTAINERS), k;

        if (status)
                put_guard(&m, status);
        if (r >= 0)
                r = put_books(&m, usage, OF_TENANTS);
        if (r >= 0)
                r = put_books(&m, usage, OF_CADVISOR);
        k = metrics_end(&m);
        return r < 0 ? r : k;
}
