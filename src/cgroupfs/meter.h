/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reading samples from the kernel's files (adapter: cgroupfs). One interface,
 * so that another implementation (BPF) can stand behind it later; this is the
 * reference: files.
 *
 * A MeterCg belongs to one cgroup: its O_PATH directory fd (borrowed) and, while it is hot, kept read fds: a
 * pread costs a third of open, read, close, but a kept fd holds 5 KB of kernel memory, so there is a bound on how many
 * the Meter keeps (oldest use loses, unless that was within METER_HOLD_USEC). Files that the cgroup does not have are remembered and asked for again only on a
 * full look (METER_PROBE_MISSING): a kernel without swap accounting costs nothing each second.
 *
 * SAMPLE_FILE_NET_DEV is no file of the cgroup but /proc/PID/net/dev of a process in it, for those that have an id in
 * net (netdev.h says whose counters are whose). Its fields only grow, as others do: where they could not (an interface
 * has gone), or were counted elsewhere until now, a look has none, and the next one goes on from there. A look that finds no process that
 * may be asked leaves them as they were. Until a namespace of its own is known, a first look has zeros. One that stays in the
 * host's is only asked again on a full look: a container that is just being made may be there for a moment, a service of the host for ever.
 *
 * No clock in here: now is a parameter. No allocation in a look but for a new disk in io.stat, or a new namespace.
 */

#include "cgfile.h"
#include "netdev.h"
#include "sample.h"

/* Of so late a use kept fds are not given up for another's: were more cgroups hot than may have fds, and each took them
 * from the one that is next, none would have any when its turn comes. */
#define METER_HOLD_USEC (3 * USEC_PER_SEC)

typedef struct Meter Meter;

/* What looks know of one peak. */
typedef struct MeterPeak {
        bool have_ever, have_seen;
        uint64_t ever; /* of its life, as of the last look that read it */
        uint64_t seen; /* the highest that looks saw since then, with what that look saw */
} MeterPeak;

typedef struct
        MeterCg { /* embedded in whatever is measured; must not move while slot is not -1, or net has an id */
        int dirfd; /* O_PATH, borrowed; -1: none */
        uint32_t missing; /* SAMPLE_FILE_BIT(): not there when last looked */
        int16_t slot; /* of kept fds in the Meter, -1: none */
        bool peak_resets; /* it has peak fds that are reset after each look */
        MeterPeak peaks[2]; /* of memory, of swap */
        SampleIo io; /* per device, as of the last look that read io.stat */
        NetCg net; /* id: set by whoever wants its network looked at */
} MeterCg;
#define METER_CG_INIT ((MeterCg){ .dirfd = -1, .slot = -1 })

typedef struct MeterStats {
        size_t n_kept_fds, n_kept_cgroups;
        uint64_t n_looks, n_files; /* cgroups looked at, files read */
        uint64_t n_evictions; /* of cgroups from kept fds: for a hotter one, or because fds ran out */
        uint64_t n_fd_failures; /* EMFILE, ENFILE, ENOMEM at opening a file: that file was not read */
        bool peaks_reset; /* this kernel resets peaks per fd */
        uint64_t n_net_damaged; /* net/dev that was too long or not well-formed: asked again on a full look */
        int net_error; /* negative errno: the host's network namespace cannot be told, so nobody's is; 0: fine, or not looked yet */
        int psi_error; /* -EOPNOTSUPP: PSI is disabled; 0: fine, or not looked yet */
} MeterStats;

/* max_kept_cgroups: how many cgroups may have kept fds (0: none ever). proc: "/proc", or a captured one. */
int meter_new(const char *proc, size_t max_kept_cgroups, Meter **ret);
/* Closes all it keeps; no MeterCg is looked at or cooled with it any more. */
Meter *meter_free(Meter *m);
DEFINE_CLEANUP(Meter *, meter_free)

/*
 * One look: reads `files` (SAMPLE_FILE_BIT) of the cgroup into s, which keeps what it had for other files; s->at becomes
 * now. keep: keep the fds of these files open afterwards, for it is hot (best effort; opening keeps the last 64 fds below
 * RLIMIT_NOFILE free). Those that are kept are used, whatever keep is.
 *
 * Peaks, where `files` has them, are of the interval since the look before that had them, with SAMPLE_PEAK_KIND (of two
 * peaks the less exact; a swap peak of 0 is not asked):
 *   PEAK_RESET    the kernel's peak since we reset it on this same fd, which must have been kept since that look
 *   PEAK_RAISED   else the lifetime peak, where it rose since that look, or where the next line reaches it
 *   PEAK_SAMPLED  else the highest memory that looks saw, from that one to this
 * A first look has none before it: its peak is what looks saw, whatever the lifetime peak is.
 *
 * 0, or CG_GONE: the cgroup went meanwhile (what was read before that is in s, the fields of the other files are as they
 * were, and so is s->at if nothing was read); -EMFILE, -ENFILE, -ENOMEM: out of fds or memory for some file (counted; what
 * could be read is in s, fields of the rest are cleared).
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
