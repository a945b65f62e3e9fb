/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The vocabulary of samples: the one table that knows what a field is called,
 * what kind of number it is and which of the kernel's files gives it.
 *
 * The fields of one file stand next to each other in SampleField, so that a
 * file's fields are a range and its mask costs nothing. On the wire of the history a
 * field is its place in there: new ones go to the end. What the texts of these
 * files mean is sample-parse.c's business; disks are sample-io.c's, network
 * interfaces sample-net.c's.
 */

#include "sample.h"

#define OF(f) SAMPLE_FILE_##f
#define NO_FILE (-1)

static const SampleInfo infos[_SAMPLE_MAX] = {
        [SAMPLE_CPU_USAGE] = { "cpu_usage_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_STAT) },
        [SAMPLE_CPU_USER] = { "cpu_user_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_STAT) },
        [SAMPLE_CPU_SYSTEM] = { "cpu_system_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_STAT) },
        [SAMPLE_CPU_PERIODS] = { "cpu_periods", SAMPLE_COUNTER, UNIT_COUNT, OF(CPU_STAT) },
        [SAMPLE_CPU_THROTTLED] = { "cpu_throttled_periods", SAMPLE_COUNTER, UNIT_COUNT, OF(CPU_STAT) },
        [SAMPLE_CPU_THROTTLED_USEC] = { "cpu_throttled_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_STAT) },
        [SAMPLE_CPU_BURST_USEC] = { "cpu_burst_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_STAT) },
        [SAMPLE_MEMORY] = { "memory_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_CURRENT) },
        [SAMPLE_SWAP] = { "swap_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_SWAP_CURRENT) },
        [SAMPLE_MEMORY_PEAK] = { "memory_peak_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_PEAK) },
        [SAMPLE_SWAP_PEAK] = { "swap_peak_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_SWAP_PEAK) },
        [SAMPLE_ANON] = { "anon_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_FILE] = { "file_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_KERNEL] = { "kernel_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_SHMEM] = { "shmem_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_FILE_DIRTY] = { "file_dirty_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_FILE_WRITEBACK] = { "file_writeback_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_INACTIVE_FILE] = { "inactive_file_bytes", SAMPLE_GAUGE, UNIT_BYTES, OF(MEMORY_STAT) },
        [SAMPLE_REFAULT_ANON] = { "refault_anon", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_STAT) },
        [SAMPLE_REFAULT_FILE] = { "refault_file", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_STAT) },
        [SAMPLE_PGSCAN] = { "pgscan", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_STAT) },
        [SAMPLE_PGSTEAL] = { "pgsteal", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_STAT) },
        [SAMPLE_PGFAULT] = { "pgfault", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_STAT) },
        [SAMPLE_PGMAJFAULT] = { "pgmajfault", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_STAT) },
        [SAMPLE_EVENTS_LOW] = { "memory_events_low", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_EVENTS) },
        [SAMPLE_EVENTS_HIGH] = { "memory_events_high", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_EVENTS) },
        [SAMPLE_EVENTS_MAX] = { "memory_events_max", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_EVENTS) },
        [SAMPLE_EVENTS_OOM] = { "memory_events_oom", SAMPLE_COUNTER, UNIT_COUNT, OF(MEMORY_EVENTS) },
        [SAMPLE_EVENTS_OOM_KILL] = { "memory_events_oom_kill", SAMPLE_COUNTER, UNIT_COUNT,
                                     OF(MEMORY_EVENTS) },
        [SAMPLE_IO_RBYTES] = { "io_read_bytes", SAMPLE_COUNTER, UNIT_BYTES, OF(IO_STAT) },
        [SAMPLE_IO_WBYTES] = { "io_write_bytes", SAMPLE_COUNTER, UNIT_BYTES, OF(IO_STAT) },
        [SAMPLE_IO_RIOS] = { "io_read_ops", SAMPLE_COUNTER, UNIT_COUNT, OF(IO_STAT) },
        [SAMPLE_IO_WIOS] = { "io_write_ops", SAMPLE_COUNTER, UNIT_COUNT, OF(IO_STAT) },
        [SAMPLE_IO_DBYTES] = { "io_discard_bytes", SAMPLE_COUNTER, UNIT_BYTES, OF(IO_STAT) },
        [SAMPLE_IO_DIOS] = { "io_discard_ops", SAMPLE_COUNTER, UNIT_COUNT, OF(IO_STAT) },
        [SAMPLE_IO_COST_USAGE_USEC] = { "io_cost_usage_usec", SAMPLE_COUNTER, UNIT_USEC, OF(IO_STAT) },
        [SAMPLE_IO_COST_WAIT_USEC] = { "io_cost_wait_usec", SAMPLE_COUNTER, UNIT_USEC, OF(IO_STAT) },
        [SAMPLE_PIDS] = { "tasks", SAMPLE_GAUGE, UNIT_COUNT, OF(PIDS_CURRENT) },
        [SAMPLE_PIDS_PEAK] = { "tasks_peak", SAMPLE_GAUGE, UNIT_COUNT, OF(PIDS_PEAK) },
        [SAMPLE_PIDS_EVENTS_MAX] = { "tasks_events_max", SAMPLE_COUNTER, UNIT_COUNT, OF(PIDS_EVENTS) },
        [SAMPLE_CPU_SOME] = { "cpu_some_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_PRESSURE) },
        [SAMPLE_CPU_FULL] = { "cpu_full_usec", SAMPLE_COUNTER, UNIT_USEC, OF(CPU_PRESSURE) },
        [SAMPLE_MEMORY_SOME] = { "memory_some_usec", SAMPLE_COUNTER, UNIT_USEC, OF(MEMORY_PRESSURE) },
        [SAMPLE_MEMORY_FULL] = { "memory_full_usec", SAMPLE_COUNTER, UNIT_USEC, OF(MEMORY_PRESSURE) },
        [SAMPLE_IO_SOME] = { "io_some_usec", SAMPLE_COUNTER, UNIT_USEC, OF(IO_PRESSURE) },
        [SAMPLE_IO_FULL] = { "io_full_usec", SAMPLE_COUNTER, UNIT_USEC, OF(IO_PRESSURE) },
        [SAMPLE_IRQ_FULL] = { "irq_full_usec", SAMPLE_COUNTER, UNIT_USEC, OF(IRQ_PRESSURE) },
        [SAMPLE_POPULATED] = { "populated", SAMPLE_GAUGE, UNIT_BOOL, OF(CGROUP_EVENTS) },
        [SAMPLE_FROZEN] = { "frozen", SAMPLE_GAUGE, UNIT_BOOL, OF(CGROUP_EVENTS) },
        [SAMPLE_PEAK_KIND] = { "peak_kind", SAMPLE_GAUGE, UNIT_COUNT, NO_FILE },
        [SAMPLE_HOST_MEMORY_TOTAL] = { "host_memory_total_bytes", SAMPLE_GAUGE, UNIT_BYTES, NO_FILE },
        [SAMPLE_HOST_MEMORY_FREE] = { "host_memory_free_bytes", SAMPLE_GAUGE, UNIT_BYTES, NO_FILE },
        [SAMPLE_HOST_MEMORY_AVAILABLE] = { "host_memory_available_bytes", SAMPLE_GAUGE, UNIT_BYTES, NO_FILE },
        [SAMPLE_HOST_SWAP_TOTAL] = { "host_swap_total_bytes", SAMPLE_GAUGE, UNIT_BYTES, NO_FILE },
        [SAMPLE_HOST_SWAP_FREE] = { "host_swap_free_bytes", SAMPLE_GAUGE, UNIT_BYTES, NO_FILE },
        [SAMPLE_HOST_DISK_BUSY_USEC] = { "host_disk_busy_usec", SAMPLE_COUNTER, UNIT_USEC, NO_FILE },
        [SAMPLE_HOST_DISK_QUEUE_USEC] = { "host_disk_queue_usec", SAMPLE_COUNTER, UNIT_USEC, NO_FILE },
        [SAMPLE_HOST_ALLOCSTALL] = { "host_allocstall", SAMPLE_COUNTER, UNIT_COUNT, NO_FILE },
        [SAMPLE_NET_RX_BYTES] = { "network_receive_bytes", SAMPLE_COUNTER, UNIT_BYTES, OF(NET_DEV) },
        [SAMPLE_NET_RX_PACKETS] = { "network_receive_packets", SAMPLE_COUNTER, UNIT_COUNT, OF(NET_DEV) },
        [SAMPLE_NET_RX_ERRORS] = { "network_receive_errors", SAMPLE_COUNTER, UNIT_COUNT, OF(NET_DEV) },
        [SAMPLE_NET_RX_DROPPED] = { "network_receive_packets_dropped", SAMPLE_COUNTER, UNIT_COUNT,
                                    OF(NET_DEV) },
        [SAMPLE_NET_TX_BYTES] = { "network_transmit_bytes", SAMPLE_COUNTER, UNIT_BYTES, OF(NET_DEV) },
        [SAMPLE_NET_TX_PACKETS] = { "network_transmit_packets", SAMPLE_COUNTER, UNIT_COUNT, OF(NET_DEV) },
        [SAMPLE_NET_TX_ERRORS] = { "network_transmit_errors", SAMPLE_COUNTER, UNIT_COUNT, OF(NET_DEV) },
        [SAMPLE_NET_TX_DROPPED] = { "network_transmit_packets_dropped", SAMPLE_COUNTER, UNIT_COUNT,
                                    OF(NET_DEV) },
};

#define ONE(f) SAMPLE_BIT(f)
/* From first to last of them. */
#define RANGE(first, last) ((SAMPLE_BIT(last) << 1) - SAMPLE_BIT(first))

static const struct {
        const char *name;
        SampleMask fields;
} files[_SAMPLE_FILE_MAX] = {
        [SAMPLE_FILE_CPU_STAT] = { "cpu.stat", RANGE(SAMPLE_CPU_USAGE, SAMPLE_CPU_BURST_USEC) },
        [SAMPLE_FILE_MEMORY_CURRENT] = { "memory.current", ONE(SAMPLE_MEMORY) },
        [SAMPLE_FILE_MEMORY_SWAP_CURRENT] = { "memory.swap.current", ONE(SAMPLE_SWAP) },
        [SAMPLE_FILE_MEMORY_EVENTS] = { "memory.events", RANGE(SAMPLE_EVENTS_LOW, SAMPLE_EVENTS_OOM_KILL) },
        [SAMPLE_FILE_MEMORY_STAT] = { "memory.stat", RANGE(SAMPLE_ANON, SAMPLE_PGMAJFAULT) },
        [SAMPLE_FILE_MEMORY_PEAK] = { "memory.peak", ONE(SAMPLE_MEMORY_PEAK) },
        [SAMPLE_FILE_MEMORY_SWAP_PEAK] = { "memory.swap.peak", ONE(SAMPLE_SWAP_PEAK) },
        [SAMPLE_FILE_IO_STAT] = { "io.stat", RANGE(SAMPLE_IO_RBYTES, SAMPLE_IO_COST_WAIT_USEC) },
        [SAMPLE_FILE_PIDS_CURRENT] = { "pids.current", ONE(SAMPLE_PIDS) },
        [SAMPLE_FILE_PIDS_PEAK] = { "pids.peak", ONE(SAMPLE_PIDS_PEAK) },
        [SAMPLE_FILE_PIDS_EVENTS] = { "pids.events", ONE(SAMPLE_PIDS_EVENTS_MAX) },
        [SAMPLE_FILE_CPU_PRESSURE] = { "cpu.pressure", RANGE(SAMPLE_CPU_SOME, SAMPLE_CPU_FULL) },
        [SAMPLE_FILE_MEMORY_PRESSURE] = { "memory.pressure", RANGE(SAMPLE_MEMORY_SOME, SAMPLE_MEMORY_FULL) },
        [SAMPLE_FILE_IO_PRESSURE] = { "io.pressure", RANGE(SAMPLE_IO_SOME, SAMPLE_IO_FULL) },
        [SAMPLE_FILE_IRQ_PRESSURE] = { "irq.pressure", ONE(SAMPLE_IRQ_FULL) },
        [SAMPLE_FILE_CGROUP_EVENTS] = { "cgroup.events", RANGE(SAMPLE_POPULATED, SAMPLE_FROZEN) },
        [SAMPLE_FILE_NET_DEV] = { "net/dev", RANGE(SAMPLE_NET_RX_BYTES, SAMPLE_NET_TX_DROPPED) },
};

static const struct {
        const char *name;
        SampleMask fields;
} host_files[_HOST_FILE_MAX] = {
        [HOST_FILE_CPU_PRESSURE] = { "pressure/cpu", RANGE(SAMPLE_CPU_SOME, SAMPLE_CPU_FULL) },
        [HOST_FILE_MEMORY_PRESSURE] = { "pressure/memory", RANGE(SAMPLE_MEMORY_SOME, SAMPLE_MEMORY_FULL) },
        [HOST_FILE_IO_PRESSURE] = { "pressure/io", RANGE(SAMPLE_IO_SOME, SAMPLE_IO_FULL) },
        [HOST_FILE_IRQ_PRESSURE] = { "pressure/irq", ONE(SAMPLE_IRQ_FULL) },
        [HOST_FILE_MEMINFO] = { "meminfo", ONE(SAMPLE_MEMORY) | ONE(SAMPLE_SWAP) |
                                                   RANGE(SAMPLE_HOST_MEMORY_TOTAL, SAMPLE_HOST_SWAP_FREE) },
        [HOST_FILE_VMSTAT] = { "vmstat", RANGE(SAMPLE_REFAULT_ANON, SAMPLE_PGMAJFAULT) |
                                                 ONE(SAMPLE_EVENTS_OOM_KILL) | ONE(SAMPLE_HOST_ALLOCSTALL) },
        [HOST_FILE_DISKSTATS] = { "diskstats",
                                  RANGE(SAMPLE_IO_RBYTES, SAMPLE_IO_DIOS) |
                                          RANGE(SAMPLE_HOST_DISK_BUSY_USEC, SAMPLE_HOST_DISK_QUEUE_USEC) },
};

const char *peak_kind_to_string(PeakKind k) {
        static const char *const names[_PEAK_MAX] = {
                [PEAK_NONE] = "none",
                [PEAK_SAMPLED] = "sampled",
                [PEAK_RAISED] = "raised",
                [PEAK_RESET] = "reset",
        };

        return (unsigned)k < _PEAK_MAX ? names[k] : "unknown";
}

const SampleInfo *sample_info(SampleField f) { return &infos[f]; }

SampleField sample_field_from_name(const char *name) {
        for (int f = 0; f < _SAMPLE_MAX; f++)
                if (STR_EQ(infos[f].name, name))
                        return (SampleField)f;
        return _SAMPLE_INVALID;
}

const char *sample_file_name(SampleFile f) { return files[f].name; }

SampleMask sample_file_fields(SampleFile f) { return files[f].fields; }

const char *host_file_name(HostFile f) { return host_files[f].name; }

SampleMask host_file_fields(HostFile f) { return host_files[f].fields; }

void sample_clear(Sample *s, SampleMask fields) {
        fields &= s->have; /* what is not had is 0 already */
        s->have &= ~fields;
        for (; fields; fields &= fields - 1)
                s->v[sample_first(fields)] = 0;
}

bool sample_delta(const Sample *before, const Sample *now, SampleField f, uint64_t *ret) {
        if (!sample_has(before, f) || !sample_has(now, f) || now->v[f] < before->v[f])
                return false;
        *ret = now->v[f] - before->v[f];
        return true;
}

bool sample_working_set(const Sample *s, uint64_t *ret) {
        if (!sample_has(s, SAMPLE_MEMORY) || !sample_has(s, SAMPLE_INACTIVE_FILE))
                return false;
        /* Two files, read one after the other: the pages may be counted in one of them only. */
        *ret = s->v[SAMPLE_MEMORY] - MIN_OF(s->v[SAMPLE_MEMORY], s->v[SAMPLE_INACTIVE_FILE]);
        return true;
}
