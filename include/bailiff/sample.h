/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What one look at a cgroup (or at the host) says, as numbers (layer: model).
 * One vocabulary for the kernel's files (Control Group v2,
 * Documentation/admin-guide/cgroup-v2.rst; Documentation/accounting/psi.rst;
 * proc(5)), the books, the history and what users see.
 *
 * A Sample is a plain array and a mask: a field that the kernel did not give
 * is not in `have`, which is something else than zero. Counters only grow
 * while the cgroup lives; a counter that went back belongs to another life.
 */

#include <stdint.h>
#include <sys/types.h>

#include "macro.h"

typedef enum SampleField {
        /* cpu.stat, µs and counts; throttling is that of the cgroup itself, the rest of its subtree */
        SAMPLE_CPU_USAGE,
        SAMPLE_CPU_USER,
        SAMPLE_CPU_SYSTEM,
        SAMPLE_CPU_PERIODS,
        SAMPLE_CPU_THROTTLED, /* periods */
        SAMPLE_CPU_THROTTLED_USEC,
        SAMPLE_CPU_BURST_USEC,
        /* memory.current, memory.swap.current, memory.peak, memory.swap.peak: bytes */
        SAMPLE_MEMORY,
        SAMPLE_SWAP,
        SAMPLE_MEMORY_PEAK, /* highest in the interval since the sample before; how exact: SAMPLE_PEAK_KIND */
        SAMPLE_SWAP_PEAK,
        /* memory.stat: bytes, then counts of pages */
        SAMPLE_ANON,
        SAMPLE_FILE,
        SAMPLE_KERNEL,
        SAMPLE_SHMEM,
        SAMPLE_FILE_DIRTY,
        SAMPLE_FILE_WRITEBACK,
        SAMPLE_INACTIVE_FILE, /* working set = memory - inactive file, as cAdvisor and docker stats have it */
        SAMPLE_REFAULT_ANON,
        SAMPLE_REFAULT_FILE,
        SAMPLE_PGSCAN,
        SAMPLE_PGSTEAL,
        SAMPLE_PGFAULT,
        SAMPLE_PGMAJFAULT,
        /* memory.events: counts, of the subtree */
        SAMPLE_EVENTS_LOW,
        SAMPLE_EVENTS_HIGH,
        SAMPLE_EVENTS_MAX,
        SAMPLE_EVENTS_OOM,
        SAMPLE_EVENTS_OOM_KILL,
        /* io.stat, summed over devices: bytes, operations, µs */
        SAMPLE_IO_RBYTES,
        SAMPLE_IO_WBYTES,
        SAMPLE_IO_RIOS,
        SAMPLE_IO_WIOS,
        SAMPLE_IO_DBYTES,
        SAMPLE_IO_DIOS,
        SAMPLE_IO_COST_USAGE_USEC, /* cost.usage: device time, where io.cost runs */
        SAMPLE_IO_COST_WAIT_USEC,
        /* pids.current, pids.peak (ever; never resets), pids.events max */
        SAMPLE_PIDS,
        SAMPLE_PIDS_PEAK,
        SAMPLE_PIDS_EVENTS_MAX,
        /* *.pressure: total of stall in µs; irq has no some */
        SAMPLE_CPU_SOME,
        SAMPLE_CPU_FULL,
        SAMPLE_MEMORY_SOME,
        SAMPLE_MEMORY_FULL,
        SAMPLE_IO_SOME,
        SAMPLE_IO_FULL,
        SAMPLE_IRQ_FULL,
        /* cgroup.events: 0 or 1 */
        SAMPLE_POPULATED,
        SAMPLE_FROZEN,
        SAMPLE_PEAK_KIND, /* a PeakKind, for both peaks of this sample */
        /* of the host only: /proc/meminfo in bytes, /proc/diskstats in µs summed over whole disks. Its SAMPLE_MEMORY
         * is MemTotal - MemAvailable, SAMPLE_SWAP SwapTotal - SwapFree; faults and reclaim from /proc/vmstat. */
        SAMPLE_HOST_MEMORY_TOTAL,
        SAMPLE_HOST_MEMORY_FREE,
        SAMPLE_HOST_MEMORY_AVAILABLE,
        SAMPLE_HOST_SWAP_TOTAL,
        SAMPLE_HOST_SWAP_FREE,
        SAMPLE_HOST_DISK_BUSY_USEC, /* time that disks had anything to do (io_ticks) */
        SAMPLE_HOST_DISK_QUEUE_USEC, /* the same, times how much (weighted) */
        SAMPLE_HOST_ALLOCSTALL, /* /proc/vmstat: direct reclaims entered, all zones */
        /* Of a container: /proc/PID/net/dev of a process in it, summed over all interfaces but "lo", bytes and counts as
         * the container sees them. Not had where its network is the host's, or is counted at another container. */
        SAMPLE_NET_RX_BYTES,
        SAMPLE_NET_RX_PACKETS,
        SAMPLE_NET_RX_ERRORS,
        SAMPLE_NET_RX_DROPPED,
        SAMPLE_NET_TX_BYTES,
        SAMPLE_NET_TX_PACKETS,
        SAMPLE_NET_TX_ERRORS,
        SAMPLE_NET_TX_DROPPED,
        _SAMPLE_MAX,
        _SAMPLE_INVALID = -EINVAL,
} SampleField;
/* Fields, as bits. */
typedef unsigned __int128 SampleMask;
_Static_assert(_SAMPLE_MAX < 128, "a mask has a bit for each");

#define SAMPLE_BIT(f) ((SampleMask)1 << (f))
#define SAMPLE_ALL (SAMPLE_BIT(_SAMPLE_MAX) - 1)
/* The lowest field of a mask that has one. */
static inline SampleField sample_first(SampleMask mask) {
        uint64_t low = (uint64_t)mask;

        return (SampleField)(low ? __builtin_ctzll(low) : 64 + __builtin_ctzll((uint64_t)(mask >> 64)));
}

/* How a peak of an interval was found. */
typedef enum PeakKind {
        PEAK_NONE,
        PEAK_SAMPLED, /* the highest of what samples saw: may be too low */
        PEAK_RAISED, /* the kernel's peak of the whole life rose in this interval: exact */
        PEAK_RESET, /* the kernel's own peak of the interval, reset per fd (6.12): exact */
        _PEAK_MAX,
} PeakKind;
const char *peak_kind_to_string(PeakKind k); /* "none" "sampled" "raised" "reset" */

typedef enum SampleKind {
        SAMPLE_COUNTER, /* grows while the cgroup lives */
        SAMPLE_GAUGE, /* what is now */
} SampleKind;

typedef enum SampleUnit { UNIT_COUNT, UNIT_USEC, UNIT_BYTES, UNIT_BOOL } SampleUnit;

/* The files, in the order in which a full look reads them. */
typedef enum SampleFile {
        SAMPLE_FILE_CPU_STAT,
        SAMPLE_FILE_MEMORY_CURRENT,
        SAMPLE_FILE_MEMORY_SWAP_CURRENT,
        SAMPLE_FILE_MEMORY_EVENTS,
        SAMPLE_FILE_MEMORY_STAT,
        SAMPLE_FILE_MEMORY_PEAK,
        SAMPLE_FILE_MEMORY_SWAP_PEAK,
        SAMPLE_FILE_IO_STAT,
        SAMPLE_FILE_PIDS_CURRENT,
        SAMPLE_FILE_PIDS_PEAK,
        SAMPLE_FILE_PIDS_EVENTS,
        SAMPLE_FILE_CPU_PRESSURE,
        SAMPLE_FILE_MEMORY_PRESSURE,
        SAMPLE_FILE_IO_PRESSURE,
        SAMPLE_FILE_IRQ_PRESSURE,
        SAMPLE_FILE_CGROUP_EVENTS,
        SAMPLE_FILE_NET_DEV, /* no file of the cgroup: of a process in it */
        _SAMPLE_FILE_MAX,
        _SAMPLE_FILE_INVALID = -EINVAL,
} SampleFile;
#define SAMPLE_FILE_BIT(f) (UINT32_C(1) << (f))
#define SAMPLE_FILES_ALL (SAMPLE_FILE_BIT(_SAMPLE_FILE_MAX) - 1)

typedef struct SampleInfo {
        const char *name; /* in JSON, with its unit: "cpu_usage_usec"; stable */
        SampleKind kind;
        SampleUnit unit;
        int file; /* SampleFile; -1: of the host, or made by us */
} SampleInfo;
const SampleInfo *sample_info(SampleField f); /* f must be valid */
SampleField sample_field_from_name(const char *name);
const char *sample_file_name(SampleFile f); /* "cpu.stat" */
/* The fields that a file gives, as bits. */
SampleMask sample_file_fields(SampleFile f);

typedef struct Sample {
        usec_t at; /* monotonic, when it was read */
        SampleMask have; /* SAMPLE_BIT() */
        uint64_t v[_SAMPLE_MAX]; /* 0 where not had */
} Sample;

static inline bool sample_has(const Sample *s, SampleField f) { return s->have & SAMPLE_BIT(f); }
static inline void sample_put(Sample *s, SampleField f, uint64_t v) {
        s->v[f] = v;
        s->have |= SAMPLE_BIT(f);
}
/* Takes bits of `fields` away again; their values become 0. */
void sample_clear(Sample *s, SampleMask fields);
/*
 * How much a counter grew from one sample to a later one. False: one of them does not have it, or it went back
 * (another life: the caller decides). *ret is untouched then.
 */
bool sample_delta(const Sample *before, const Sample *now, SampleField f, uint64_t *ret);
/* Memory without file pages that nobody used lately; false: not known. */
bool sample_working_set(const Sample *s, uint64_t *ret);

/* io.stat per device, and /proc/diskstats of whole disks for the host. */
typedef struct SampleDevice {
        dev_t dev;
        uint64_t rbytes, wbytes, rios, wios, dbytes, dios;
        uint64_t cost_usage_usec, cost_wait_usec, cost_indebt_usec, cost_indelay_usec; /* 0 without io.cost */
        uint64_t busy_usec, queue_usec; /* host only */
} SampleDevice;
#define SAMPLE_DEVICES_MAX 32 /* of one cgroup; more are summed but not listed, and counted */
typedef struct SampleIo {
        SampleDevice *devices; /* ordered by dev; owned */
        size_t n, alloc;
        size_t n_unlisted;
} SampleIo;
void sample_io_deinit(SampleIo *io);
const SampleDevice *sample_io_find(const SampleIo *io, dev_t dev); /* NULL: none */

/*
 * Puts what `text` (len bytes, any bytes, need not be NUL-terminated) of that file says into s. Total: whatever the
 * text, it ends, reads nothing beyond it, and puts only what a whole well-formed line said. Keys and lines that
 * newer kernels add are skipped; a number beyond 64 bits, a last line without its newline that could be cut off in
 * the middle of a number, are not believed. Fields of the file that the text does not give are cleared in s.
 * io (may be NULL) is for IO_STAT: its devices are replaced. Returns 0, -ENOMEM (io only; the sums are in s all the
 * same), -EINVAL: nothing of it was understood (an empty io.stat is understood: all zero). A sum is had whole or not
 * at all: not where a part of it cannot be believed.
 */
int sample_parse(SampleFile f, const char *text, size_t len, Sample *s, SampleIo *io);

/* Of the host. Each fills its fields only; contract as sample_parse(). */
typedef enum HostFile {
        HOST_FILE_CPU_PRESSURE, /* /proc/pressure/cpu */
        HOST_FILE_MEMORY_PRESSURE,
        HOST_FILE_IO_PRESSURE,
        HOST_FILE_IRQ_PRESSURE,
        HOST_FILE_MEMINFO,
        HOST_FILE_VMSTAT,
        /* Sums count whole disks that are not made of other disks of the list, as far as names tell: no partitions, no
         * loop, ram, zram, dm, md, bcache, drbd. io lists every whole disk with traffic. */
        HOST_FILE_DISKSTATS,
        _HOST_FILE_MAX,
} HostFile;
const char *host_file_name(HostFile f); /* below /proc: "pressure/cpu" */
SampleMask host_file_fields(HostFile f); /* that it gives, as bits */
int sample_parse_host(HostFile f, const char *text, size_t len, Sample *s, SampleIo *io);
