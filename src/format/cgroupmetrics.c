/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Names are those of cAdvisor's lib/metrics/prometheus.go. What it tells per device, per network interface or per state we tell as
 * one sum, without that label: sums over the label, which is what dashboards show, are the same. What it derives from the
 * hierarchy of cgroup v1 alone is not there.
 *
 * Of container_spec_… and container_threads_max it computes some from the files of cgroup v2, and so do we: 0 for no limit, shares
 * from cpu.weight, the reservation from memory.min.
 */

#include <stdio.h>

#include "cgroupmetrics.h"
#include "num.h"

enum {
        OF_WORKING_SET = _SAMPLE_MAX,
        OF_SPEC_PERIOD,
        OF_SPEC_QUOTA,
        OF_SPEC_SHARES,
        OF_SPEC_MEMORY,
        OF_SPEC_RESERVATION,
        OF_SPEC_SWAP,
        OF_TASKS_MAX,
        OF_SINCE,
        OF_SEEN,
        OF_CEILING, /* + index of its family */
};

typedef struct Row {
        const char *name;
        const char *unit;
        int from; /* SampleField, or OF_… */
        const char *help;
        MetricLabel more[2]; /* behind the labels of all */
} Row;

/* In the order of names; a family with several rows in the order of their labels' values. */
static const Row rows[] = {
        { "container_cpu_cfs_burst_seconds",
          "seconds",
          SAMPLE_CPU_BURST_USEC,
          "CPU time used beyond the quota by bursts (cpu.stat).",
          {} },
        { "container_cpu_cfs_periods",
          NULL,
          SAMPLE_CPU_PERIODS,
          "Periods in which a CPU quota was in force (cpu.stat).",
          {} },
        { "container_cpu_cfs_throttled_periods",
          NULL,
          SAMPLE_CPU_THROTTLED,
          "Periods in which it was throttled (cpu.stat).",
          {} },
        { "container_cpu_cfs_throttled_seconds",
          "seconds",
          SAMPLE_CPU_THROTTLED_USEC,
          "Time that it was throttled, summed over CPUs (cpu.stat).",
          {} },
        { "container_cpu_system_seconds",
          "seconds",
          SAMPLE_CPU_SYSTEM,
          "CPU time used in the kernel (cpu.stat).",
          {} },
        { "container_cpu_usage_seconds",
          "seconds",
          SAMPLE_CPU_USAGE,
          "CPU time used (cpu.stat).",
          { { "cpu", "total" } } },
        { "container_cpu_user_seconds",
          "seconds",
          SAMPLE_CPU_USER,
          "CPU time used in user mode (cpu.stat).",
          {} },
        { "container_fs_io_cost_usage_seconds",
          "seconds",
          SAMPLE_IO_COST_USAGE_USEC,
          "Device time used, where io.cost runs (io.stat).",
          {} },
        { "container_fs_reads", NULL, SAMPLE_IO_RIOS, "Read operations on block devices (io.stat).", {} },
        { "container_fs_reads_bytes",
          "bytes",
          SAMPLE_IO_RBYTES,
          "Bytes read from block devices (io.stat).",
          {} },
        { "container_fs_writes", NULL, SAMPLE_IO_WIOS, "Write operations on block devices (io.stat).", {} },
        { "container_fs_writes_bytes",
          "bytes",
          SAMPLE_IO_WBYTES,
          "Bytes written to block devices (io.stat).",
          {} },
        { "container_last_seen", NULL, OF_SEEN, "When it was last looked at, in seconds since 1970.", {} },
        { "container_memory_cache", NULL, SAMPLE_FILE, "Page cache, in bytes (memory.stat file).", {} },
        { "container_memory_events_high",
          NULL,
          SAMPLE_EVENTS_HIGH,
          "Times that use met memory.high (memory.events).",
          {} },
        { "container_memory_events_max",
          NULL,
          SAMPLE_EVENTS_MAX,
          "Times that use met memory.max (memory.events).",
          {} },
        { "container_memory_failures",
          NULL,
          SAMPLE_PGFAULT,
          "Page faults (memory.stat).",
          { { "failure_type", "pgfault" }, { "scope", "hierarchy" } } },
        { "container_memory_failures",
          NULL,
          SAMPLE_PGMAJFAULT,
          "Page faults (memory.stat).",
          { { "failure_type", "pgmajfault" }, { "scope", "hierarchy" } } },
        { "container_memory_kernel_usage",
          NULL,
          SAMPLE_KERNEL,
          "Kernel memory, in bytes (memory.stat kernel).",
          {} },
        { "container_memory_pgscan", NULL, SAMPLE_PGSCAN, "Pages that reclaim looked at (memory.stat).", {} },
        { "container_memory_pgsteal", NULL, SAMPLE_PGSTEAL, "Pages that were reclaimed (memory.stat).", {} },
        { "container_memory_rss", NULL, SAMPLE_ANON, "Anonymous memory, in bytes (memory.stat anon).", {} },
        { "container_memory_swap", NULL, SAMPLE_SWAP, "Swap used, in bytes (memory.swap.current).", {} },
        { "container_memory_usage_bytes",
          "bytes",
          SAMPLE_MEMORY,
          "Memory used, page cache included (memory.current).",
          {} },
        { "container_memory_working_set_bytes",
          "bytes",
          OF_WORKING_SET,
          "Memory used less idle file pages (memory.current, memory.stat inactive_file).",
          {} },
        { "container_memory_workingset_refault_anon",
          NULL,
          SAMPLE_REFAULT_ANON,
          "Anonymous pages that were needed again (memory.stat).",
          {} },
        { "container_memory_workingset_refault_file",
          NULL,
          SAMPLE_REFAULT_FILE,
          "File pages that were read again soon (memory.stat).",
          {} },
        { "container_network_receive_bytes",
          "bytes",
          SAMPLE_NET_RX_BYTES,
          "Bytes received (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_receive_errors",
          NULL,
          SAMPLE_NET_RX_ERRORS,
          "Errors while receiving (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_receive_packets",
          NULL,
          SAMPLE_NET_RX_PACKETS,
          "Packets received (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_receive_packets_dropped",
          NULL,
          SAMPLE_NET_RX_DROPPED,
          "Packets dropped while receiving (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_transmit_bytes",
          "bytes",
          SAMPLE_NET_TX_BYTES,
          "Bytes transmitted (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_transmit_errors",
          NULL,
          SAMPLE_NET_TX_ERRORS,
          "Errors while transmitting (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_transmit_packets",
          NULL,
          SAMPLE_NET_TX_PACKETS,
          "Packets transmitted (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_network_transmit_packets_dropped",
          NULL,
          SAMPLE_NET_TX_DROPPED,
          "Packets dropped while transmitting (net/dev of a process in it, all interfaces but lo).",
          {} },
        { "container_oom_events",
          NULL,
          SAMPLE_EVENTS_OOM_KILL,
          "Processes killed for want of memory (memory.events oom_kill).",
          {} },
        { "container_pressure_cpu_stalled_seconds",
          "seconds",
          SAMPLE_CPU_FULL,
          "Time in which all tasks waited for a CPU (cpu.pressure full).",
          {} },
        { "container_pressure_cpu_waiting_seconds",
          "seconds",
          SAMPLE_CPU_SOME,
          "Time in which some task waited for a CPU (cpu.pressure some).",
          {} },
        { "container_pressure_io_stalled_seconds",
          "seconds",
          SAMPLE_IO_FULL,
          "Time in which all tasks waited for IO (io.pressure full).",
          {} },
        { "container_pressure_io_waiting_seconds",
          "seconds",
          SAMPLE_IO_SOME,
          "Time in which some task waited for IO (io.pressure some).",
          {} },
        { "container_pressure_memory_stalled_seconds",
          "seconds",
          SAMPLE_MEMORY_FULL,
          "Time in which all tasks waited for memory (memory.pressure full).",
          {} },
        { "container_pressure_memory_waiting_seconds",
          "seconds",
          SAMPLE_MEMORY_SOME,
          "Time in which some task waited for memory (memory.pressure some).",
          {} },
        { "container_spec_cpu_period",
          NULL,
          OF_SPEC_PERIOD,
          "Period of the CPU quota, in microseconds (cpu.max).",
          {} },
        { "container_spec_cpu_quota",
          NULL,
          OF_SPEC_QUOTA,
          "CPU time that may be used in a period, in microseconds; absent: no limit (cpu.max).",
          {} },
        { "container_spec_cpu_shares", NULL, OF_SPEC_SHARES, "CPU shares of cgroup v1 (cpu.weight).", {} },
        { "container_spec_memory_limit_bytes",
          "bytes",
          OF_SPEC_MEMORY,
          "Memory that may be used; 0: no limit (memory.max).",
          {} },
        { "container_spec_memory_reservation_limit_bytes",
          "bytes",
          OF_SPEC_RESERVATION,
          "Memory that is kept for it (memory.min).",
          {} },
        { "container_spec_memory_swap_limit_bytes",
          "bytes",
          OF_SPEC_SWAP,
          "Swap that may be used; 0: none, or no limit (memory.swap.max).",
          {} },
        { "container_start_time_seconds", "seconds", OF_SINCE, "When the guard first saw it.", {} },
        { "container_threads", NULL, SAMPLE_PIDS, "Tasks (pids.current).", {} },
        { "container_threads_max",
          NULL,
          OF_TASKS_MAX,
          "Tasks that there may be; 0: no limit (pids.max).",
          {} },
};

#define LABELS 4
#define LABELS_OF(s) \
        { "id", (s)->id }, { "image", (s)->image }, { "name", (s)->name }, { tenant_label, (s)->tenant }

static MetricType type_of(int from) {
        return from < _SAMPLE_MAX && sample_info((SampleField)from)->kind == SAMPLE_COUNTER ? METRIC_COUNTER
                                                                                            : METRIC_GAUGE;
}

/* cgroup v2 has weights of 1 to 10000 where v1 had shares of 2 to 262144. */
static uint64_t shares_of(uint64_t weight) {
        return 2 + (MIN_OF(MAX_OF(weight, UINT64_C(1)), UINT64_C(10000)) - 1) * 262142 / 9999;
}

static bool spec_of(const Ceilings *c, int from, uint64_t *ret) {
        static const Limit limits[] = {
                [OF_SPEC_PERIOD - OF_SPEC_PERIOD] = LIMIT_CPU_PERIOD,
                [OF_SPEC_QUOTA - OF_SPEC_PERIOD] = LIMIT_CPU_QUOTA,
                [OF_SPEC_SHARES - OF_SPEC_PERIOD] = LIMIT_CPU_WEIGHT,
                [OF_SPEC_MEMORY - OF_SPEC_PERIOD] = LIMIT_MEMORY_MAX,
                [OF_SPEC_RESERVATION - OF_SPEC_PERIOD] = LIMIT_MEMORY_MIN,
                [OF_SPEC_SWAP - OF_SPEC_PERIOD] = LIMIT_MEMORY_SWAP_MAX,
                [OF_TASKS_MAX - OF_SPEC_PERIOD] = LIMIT_TASKS_MAX,
        };
        uint64_t v, period = 0;

        if (!c || !ceilings_get(c, limits[from - OF_SPEC_PERIOD], &v))
                return false;
        if (from == OF_SPEC_QUOTA) {
                if (v == LIMIT_INFINITY || !ceilings_get(c, LIMIT_CPU_PERIOD, &period))
                        return false;
                *ret = num_muldiv(v, period, 1000000);
                return true;
        }
        *ret = from == OF_SPEC_SHARES ? shares_of(v) : v == LIMIT_INFINITY ? 0 : v;
        return true;
}

static bool value_of(const CgroupSeries *s, int from, uint64_t *ret) {
        switch (from) {
        case OF_SPEC_PERIOD ... OF_TASKS_MAX:
                return spec_of(s->ceilings, from, ret);
        case OF_WORKING_SET:
                return sample_working_set(s->sample, ret);
        case OF_SINCE:
        case OF_SEEN:
                *ret = from == OF_SINCE ? s->since : s->seen;
                return *ret > 0;
        default:
                *ret = s->sample->v[from];
                return sample_has(s->sample, (SampleField)from);
        }
}

static unsigned decimals_of(int from) {
        return from == OF_SINCE || from == OF_SEEN ||
                               (from < _SAMPLE_MAX && sample_info((SampleField)from)->unit == UNIT_USEC)
                       ? 6
                       : 0;
}

static void put(Metrics *m, const CgroupSeries *s, const char *tenant_label, int from,
                const MetricLabel *more) {
        MetricLabel labels[LABELS + 2] = { LABELS_OF(s) };
        size_t n = LABELS;
        uint64_t v;

        if (!value_of(s, from, &v))
                return;
        for (size_t i = 0; more && i < 2 && more[i].name; i++)
                labels[n++] = more[i];
        metrics_sample(m, labels, n, v, decimals_of(from));
}

static int by_id(const void *a, const void *b) {
        return strcmp(((const CgroupSeries *)a)->id, ((const CgroupSeries *)b)->id);
}

size_t cgroup_series_sort(CgroupSeries *series, size_t n) {
        size_t kept = 0;

        qsort(series, n, sizeof(*series), by_id);
        for (size_t i = 0; i < n; i++)
                if (kept == 0 || !STR_EQ(series[i].id, series[kept - 1].id))
                        series[kept++] = series[i];
        return kept;
}

void metrics_cadvisor(Metrics *m, const CgroupSeries *series, size_t n, const char *tenant_label) {
        for (size_t i = 0, end; i < ARRAY_SIZE(rows); i = end) {
                for (end = i + 1; end < ARRAY_SIZE(rows) && STR_EQ(rows[end].name, rows[i].name);)
                        end++;
                metrics_family(m, rows[i].name, type_of(rows[i].from), rows[i].unit, rows[i].help);
                for (size_t k = 0; k < n; k++)
                        for (size_t j = i; j < end; j++)
                                put(m, &series[k], tenant_label, rows[j].from, rows[j].more);
        }
}

/* ---- our own names ---- */

typedef struct Own {
        char name[80];
        int from; /* SampleField, or OF_CEILING + … */
} Own;

static bool has_row(SampleField f) {
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (rows[i].from == (int)f)
                        return true;
        return false;
}

static bool is_of_cgroups(SampleField f) {
        return f != SAMPLE_PEAK_KIND && strncmp(sample_info(f)->name, "host_", 5) != 0;
}

/* In base units: "cpu_usage_usec" is told in seconds. */
static void name_of(SampleField f, Own *own) {
        const char *name = sample_info(f)->name;
        size_t n = strlen(name);
        bool usec = n > 5 && STR_EQ(name + n - 5, "_usec");

        *own = (Own){ .from = f };
        (void)snprintf(own->name, sizeof(own->name), "bailiff_container_%.*s%s", (int)(usec ? n - 5 : n),
                       name, usec ? "_seconds" : "");
}

static int by_name(const void *a, const void *b) {
        return strcmp(((const Own *)a)->name, ((const Own *)b)->name);
}

static void own_samples(Metrics *m, const Own *own, const CgroupSeries *series, size_t n,
                        const char *tenant_label) {
        const SampleInfo *info = sample_info((SampleField)own->from);
        char help[128];

        (void)snprintf(help, sizeof(help), "As the kernel has it (%s).",
                       info->file >= 0 ? sample_file_name((SampleFile)info->file) : info->name);
        metrics_family(m, own->name, type_of(own->from),
                       info->unit == UNIT_USEC    ? "seconds"
                       : info->unit == UNIT_BYTES ? "bytes"
                                                  : NULL,
                       help);
        for (size_t k = 0; k < n; k++)
                put(m, &series[k], tenant_label, own->from, NULL);
}

static void own_ceilings(Metrics *m, const Own *own, const CgroupSeries *series, size_t n,
                         const char *tenant_label) {
        const CeilingFamily *f = &ceiling_families()[own->from - OF_CEILING];

        metrics_family(m, own->name, METRIC_GAUGE, f->unit, f->help);
        for (size_t k = 0; k < n; k++)
                if (series[k].ceilings)
                        ceilings_put(m, f, series[k].ceilings, (MetricLabel[]){ LABELS_OF(&series[k]) },
                                     LABELS, false);
}

void metrics_cgroups(Metrics *m, const CgroupSeries *series, size_t n, const char *tenant_label, bool all) {
        Own own[_SAMPLE_MAX + CEILING_FAMILIES];
        size_t n_own = 0;

        for (int f = 0; f < _SAMPLE_MAX; f++)
                if (is_of_cgroups((SampleField)f) &&
                    (all || (!has_row((SampleField)f) && type_of(f) == METRIC_COUNTER)))
                        name_of((SampleField)f, &own[n_own++]);
        for (int i = 0; i < CEILING_FAMILIES; i++) {
                own[n_own].from = OF_CEILING + i;
                (void)snprintf(own[n_own].name, sizeof(own[n_own].name), "bailiff_container_%s",
                               ceiling_families()[i].name);
                n_own++;
        }
        qsort(own, n_own, sizeof(*own), by_name);
        for (size_t i = 0; i < n_own; i++)
                if (own[i].from < OF_CEILING)
                        own_samples(m, &own[i], series, n, tenant_label);
                else
                        own_ceilings(m, &own[i], series, n, tenant_label);
}
