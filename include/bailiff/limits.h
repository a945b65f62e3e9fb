/* SPDX-License-Identifier: Apache-2.0 */

/*
 * This directory is on the include path, so <limits.h> finds this file before
 * the C library's: hand on first, on every inclusion (hence no #pragma once).
 */
#include_next <limits.h>

#ifndef BAILIFF_LIMITS_H
#define BAILIFF_LIMITS_H

/*
 * Resource limits as values (layer: model). One vocabulary for policy keys
 * (systemd.resource-control(5)), systemd's D-Bus properties
 * (org.freedesktop.systemd1(5)) and the kernel's files (Control Group v2,
 * Documentation/admin-guide/cgroup-v2.rst).
 *
 * Units: memory in bytes; CPU quota in microseconds of CPU per second of time
 * (1000000 = one CPU); CPU period and burst in microseconds; weights 1..10000;
 * tasks as a count; io in bytes or operations per second; io latency in
 * microseconds. LIMIT_INFINITY is "max", "infinity", not limited.
 */

#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "macro.h"

#define LIMIT_INFINITY UINT64_MAX

typedef enum Limit {
        LIMIT_MEMORY_MIN,
        LIMIT_MEMORY_LOW,
        LIMIT_MEMORY_HIGH,
        LIMIT_MEMORY_MAX,
        LIMIT_MEMORY_SWAP_MAX,
        LIMIT_CPU_QUOTA,
        LIMIT_CPU_PERIOD,
        LIMIT_CPU_BURST,
        LIMIT_CPU_WEIGHT,
        LIMIT_IO_WEIGHT,
        LIMIT_TASKS_MAX,
        /* from here on: one value per device */
        LIMIT_IO_READ_BANDWIDTH_MAX,
        LIMIT_IO_WRITE_BANDWIDTH_MAX,
        LIMIT_IO_READ_IOPS_MAX,
        LIMIT_IO_WRITE_IOPS_MAX,
        LIMIT_IO_DEVICE_LATENCY,
        _LIMIT_MAX,
        _LIMIT_INVALID = -EINVAL,
} Limit;

/* The kernel's files that hold them. */
typedef enum LimitFile {
        LIMIT_FILE_MEMORY_MIN,
        LIMIT_FILE_MEMORY_LOW,
        LIMIT_FILE_MEMORY_HIGH,
        LIMIT_FILE_MEMORY_MAX,
        LIMIT_FILE_MEMORY_SWAP_MAX,
        LIMIT_FILE_CPU_MAX, /* "QUOTA PERIOD": LIMIT_CPU_QUOTA and LIMIT_CPU_PERIOD */
        LIMIT_FILE_CPU_MAX_BURST,
        LIMIT_FILE_CPU_WEIGHT,
        LIMIT_FILE_IO_WEIGHT, /* "default N" line only */
        LIMIT_FILE_PIDS_MAX,
        LIMIT_FILE_IO_MAX, /* "MAJ:MIN rbps=… wbps=… riops=… wiops=…" */
        LIMIT_FILE_IO_LATENCY, /* "MAJ:MIN target=N" */
        _LIMIT_FILE_MAX,
        _LIMIT_FILE_INVALID = -EINVAL,
} LimitFile;

typedef enum LimitSense {
        LIMIT_CEILING, /* a smaller value is tighter */
        LIMIT_EXACT, /* protection or weight: only equal is right */
} LimitSense;

typedef struct LimitInfo {
        const char *key; /* policy and unit file: "MemoryMax", "CPUQuota" */
        const char *property; /* D-Bus: "MemoryMax", "CPUQuotaPerSecUSec"; NULL: systemd 252 has none */
        LimitFile file;
        LimitSense sense;
        bool per_device;
        bool is_memory; /* bytes of memory: the kernel rounds down to pages */
        uint64_t unset; /* what the kernel has where nobody set it (MAX: INFINITY, weight: 100, ..) */
} LimitInfo;

const LimitInfo *limit_info(Limit limit); /* limit must be valid */
const char *limit_file_name(LimitFile file); /* "memory.max" */
LimitFile limit_file_from_name(const char *name);
/* The controller that must be enabled: "memory", "cpu", "io", "pids". */
const char *limit_file_controller(LimitFile file);
/* By policy key, without the "Container" prefix: "MemoryMax". */
Limit limit_from_key(const char *key);

/* One limit of one cgroup; dev is 0 where the limit is not per device, else
 * makedev(MAJ, MIN) of the whole disk. */
typedef struct LimitKnob {
        Limit limit;
        dev_t dev;
} LimitKnob;

typedef struct LimitEntry {
        LimitKnob knob;
        uint64_t value;
        uint32_t origin; /* free for the owner of the set; kept by copies */
} LimitEntry;

/* Ordered by (limit, dev), no knob twice. */
typedef struct LimitSet {
        LimitEntry *entries;
        size_t n, alloc;
} LimitSet;

#define LIMIT_SET_INIT ((LimitSet){})

void limit_set_deinit(LimitSet *set);
void limit_set_clear(LimitSet *set); /* keeps the memory */
int limit_set_copy(LimitSet *to, const LimitSet *from); /* to is replaced; -ENOMEM leaves it as it was */
LimitEntry *limit_set_find(const LimitSet *set, LimitKnob knob); /* borrowed, NULL: not there */
bool limit_set_get(const LimitSet *set, LimitKnob knob, uint64_t *ret);
bool limit_set_get_scalar(const LimitSet *set, Limit limit, uint64_t *ret); /* dev 0 */
int limit_set_put(LimitSet *set, LimitKnob knob, uint64_t value, uint32_t origin); /* adds or replaces */
bool limit_set_remove(LimitSet *set, LimitKnob knob);
bool limit_set_same(const LimitSet *a, const LimitSet *b); /* knobs, values and origins */
int limit_knob_cmp(LimitKnob a, LimitKnob b);

/*
 * text (len bytes, need not be NUL-terminated) as read from the kernel's file:
 * adds what it holds to set, with origin 0. Unknown further words or lines are
 * skipped (newer kernels add some). -EINVAL: not such a file; set is then
 * unchanged but for entries already replaced. -ENOMEM.
 *   cpu.max gives CPU_QUOTA = quota·1s/period (rounded up, so that formatting
 *   gives the same text back) and CPU_PERIOD.
 *   io.max gives only what is not "max"; io.weight the "default" weight.
 */
int limits_parse_file(LimitFile file, const char *text, size_t len, LimitSet *set);

/*
 * The text to write for `file` so that the kernel holds the file's knobs as in
 * set. Knobs of the file that set lacks keep what `now` (the file's parsed
 * content, may be NULL) says (matters for cpu.max: writing a quota keeps the
 * period, default 100000), else the kernel's default. io.max and io.latency take one
 * device per write: dev selects it, otherwise pass 0. A quota below the
 * kernel's floor of 1000 µs per period lengthens the period as systemd does.
 * Appends to out, without a newline.
 * -ENOENT: set has no knob of this file (and device). -ENOMEM.
 */
int limits_format_file(LimitFile file, dev_t dev, const LimitSet *set, const LimitSet *now, Buf *out);

/* The period that limits_format_file() writes for this quota (infinity: the
 * default period), 1 ms to 1 s: what a period in the kernel is to be compared
 * with. The least quota is 1 ms per second. */
usec_t limit_cpu_period(uint64_t quota, usec_t period);

/*
 * Comparison with what a kernel file or property holds. Page rounding of
 * memory values, and CPU quotas within one percent of a CPU (systemd keeps
 * whole percent in drop-ins) count as equal.
 */
bool limit_equal(Limit limit, uint64_t a, uint64_t b, uint64_t page_size);
/* actual is looser than desired: above it for a ceiling, unequal for EXACT. */
bool limit_looser(Limit limit, uint64_t actual, uint64_t desired, uint64_t page_size);

/* For people: "512M", "50%", "200M/s", "2000/s" (operations), "infinity", "10s".
 * Sizes base 1024, bandwidth base 1000; values that do not come out even keep
 * up to one decimal. */
int limit_format_value(Limit limit, uint64_t value, Buf *out);
/* "MemoryMax" or "IOReadBandwidthMax 8:0". */
int limit_format_knob(LimitKnob knob, Buf *out);

#endif
