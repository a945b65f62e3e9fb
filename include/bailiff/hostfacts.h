/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A plain snapshot of what this host has, read by cgroupfs/host.c and used by
 * core to resolve percentages and to say what cannot bite here.
 */

#include <stdint.h>

#include "macro.h"

enum { /* cgroup controllers */
       CONTROLLER_CPU = 1,
       CONTROLLER_IO = 2,
       CONTROLLER_MEMORY = 4,
       CONTROLLER_PIDS = 8,
};

typedef struct HostFacts {
        bool cgroup2; /* cgroup2 is mounted at the root given */
        bool hybrid; /* v1 controllers are mounted beside it */
        uint32_t controllers; /* cgroup.controllers of the root: available at all */
        uint32_t controllers_enabled; /* cgroup.subtree_control of the root */
        bool nsdelegate, memory_recursiveprot; /* mount options */
        bool psi; /* /proc/pressure can be read */
        bool psi_cgroup; /* cgroup *.pressure exists and can be read */
        uint64_t memory_bytes, swap_bytes; /* MemTotal, SwapTotal */
        uint64_t pid_max; /* min of kernel.pid_max and threads-max */
        uint64_t page_size;
        unsigned n_cpus; /* online */
        bool io_cost; /* io.cost.qos enables at least one device */
        bool io_bfq; /* a disk runs the bfq scheduler: weights bite through io.bfq.weight only there */
        bool io_latency; /* io.latency exists */
        bool user_io_delegated; /* user@.service hands the io controller on (any user-*.slice's subtree_control has io; true when there is no user manager) */
        bool systemd_running;
        bool in_container; /* this very process sees a cgroup namespace that is not the host's */
        char kernel[65]; /* uname release */
        char boot_id[37];
        bool cmdline_observe; /* bailiff.mode=observe on the kernel command line */
        bool cmdline_off; /* bailiff.mode=off */
} HostFacts;
