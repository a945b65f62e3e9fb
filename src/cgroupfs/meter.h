/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reading samples from the kernel's files (adapter: cgroupfs). One interface,
 * so that another implementation (BPF) can stand behind it later; this is the
 * reference: files.
 *
 * A MeterCg belongs to one cgroup: its O_PATH directory fd (borrowed) and, while it is hot, kept read fds: a
 * pread costs a third of open, read, close, but a kept fd holds 5 KB of kernel memory, so there is a bound on how many
 * the Meter keeps (oldest use loses). Files that the cgroup does not have are remembered and asked for again only on a
 * full look (METER_PROBE_MISSING): a kernel without swap accounting costs nothing each second.
 *
 * No clock in here: now is a parameter. No allocation in a look but for a new disk in io.stat.
 */

#include "cgfile.h"
#include "sample.h"

typedef struct Meter Meter;

typedef struct MeterCg { /* embedded in whatever is measured */
        int dirfd; /* O_PATH, borrowed; -1: none */
        uint32_t missing; /* SAMPLE_FILE_BIT(): not there when last looked */
        int16_t slot; /* of kept fds in the Meter, -1: none */
        bool peak_resets; /* its peak fds are reset after each look */
        bool peaks_said; /* the lifetime peak below is known */
        uint64_t peak_ever, swap_peak_ever; /* of kernels that cannot reset */
        SampleIo io; /* per device, as of the last look that read io.stat */
} MeterCg;
#define METER_CG_INIT ((MeterCg){ .dirfd = -1, .slot = -1 })

typedef struct MeterStats {
        size_t n_kept_fds, n_kept_cgroups;
        uint64_t n_looks, n_files; /* cgroups looked at, files read */
        uint64_t n_evictions; /* kept fds given up for a hotter one, or because fds ran out */
        uint64_t n_fd_failures; /* EMFILE, ENFILE, ENOMEM at opening a file: that file was not read */
        bool peaks_reset; /* this kernel resets peaks per fd */
        int psi_error; /* EOPNOTSUPP: PSI is disabled; 0: fine, or not looked yet */
} MeterStats;

/* max_kept_cgroups: how many cgroups may have kept fds (0: none ever). proc: "/proc", or a captured one. */
int meter_new(const char *proc, size_t max_kept_cgroups, Meter **ret);
Meter *meter_free(Meter *m);
DEFINE_CLEANUP(Meter *, meter_free)

/*
 * One look: reads `files` (SAMPLE_FILE_BIT) of the cgroup into s, which keeps what it had for other files; s->at becomes
 * now. keep: keep fds open afterwards, for it is hot (best effort; opening keeps the last 64 fds below RLIMIT_NOFILE
 * free). Peaks, where `files` has them, are of the interval since the look before, with SAMPLE_PEAK_KIND: reset per fd
 * for kept ones where the kernel can; else the kernel's lifetime peak where it rose since; else the higher of s's memory
 * before and now.
 * 0, or CG_GONE: the cgroup went meanwhile (s then has what was read before, nothing is invented); -EMFILE, -ENFILE,
 * -ENOMEM: out of fds or memory for some file (counted; what could be read is in s, fields of the rest are cleared).
 */
int meter_look(Meter *m, MeterCg *cg, uint32_t files, bool keep, usec_t now, Sample *s);
#define METER_PROBE_MISSING (UINT32_C(1) << 31) /* with files: look for missing files again */

/* Closes kept fds (it went cold, or away); the rest stays. */
void meter_cool(Meter *m, MeterCg *cg);
/* It is gone, or not measured any more: closes and frees everything. */
void meter_cg_deinit(Meter *m, MeterCg *cg);

/* The host: all HostFiles of proc, and the root cgroup's cpu.stat for CPU time (rootfd: O_PATH). io may be NULL.
 * 0; files that are missing are just not had. -EMFILE… as above. */
int meter_look_host(Meter *m, int rootfd, usec_t now, Sample *s, SampleIo *io);

void meter_get_stats(const Meter *m, MeterStats *ret);
