/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whose network counters are whose (adapter: cgroupfs, part of its meter).
 * Counters belong to a network namespace, not to a cgroup: this finds a process
 * of a container, tells which namespace it is in, and decides at which container that is counted.
 */

#include <sys/types.h>

#include "macro.h"
#include "map.h"

typedef enum NetState {
        NET_UNKNOWN, /* not looked at yet, or none of its processes can be asked */
        NET_OWN, /* counted here */
        NET_HOST, /* it uses the host's network: what is its own nobody can tell */
        NET_SHARED, /* it is in a namespace with an older container, where it is counted */
        _NET_MAX,
} NetState;
const char *net_state_to_string(NetState s); /* "unknown" "own" "host" "shared" */

/* Who was in the host's network so often stays there, as far as looks go that are none at everything. */
#define NET_HOST_LOOKS 10

typedef struct NetCg { /* of one container; must not move while it is OWN */
        uint64_t id; /* cgroup id, the lower the older; 0: its network is not looked at */
        uint64_t space; /* its namespace as of the last look; 0: not known yet */
        uint64_t counted_at; /* SHARED: the cgroup id of the one where it is */
        NetState state;
        bool asked; /* there was a look */
        uint8_t n_host; /* looks in a row that found it in the host's, up to NET_HOST_LOOKS */
} NetCg;

typedef struct NetSpaces {
        uint64_t host; /* the namespace of PID 1; 0: not known */
        Map owners; /* namespace → NetCg that it is counted at */
} NetSpaces;

typedef enum NetTurn {
        NET_COUNT, /* what the counters say is this container's */
        NET_BEGIN, /* it will be: what they say by now was counted elsewhere, or nowhere */
        NET_LEAVE, /* it is not */
        NET_NOBODY, /* no process, or none that we may see */
} NetTurn;

/*
 * A look has found cg in `space` (not 0): sets its state, and that of whom it takes over from, and says what to do with the
 * counters (NetTurn). Of several containers in one namespace the oldest counts; where it ends, the oldest of those that are looked at
 * next. Nothing is counted twice, and what happens between two owners' looks is nobody's. -ENOMEM: the state is unknown.
 */
int net_settle(NetSpaces *n, NetCg *cg, uint64_t space);
/* It is gone, or not looked at any more. */
void net_leave(NetSpaces *n, NetCg *cg);

/*
 * Opens /proc/PID of a process in the cgroup (O_PATH: it stays that process, whoever gets its number) and its net/dev, and says its
 * number. The oldest directory below that has a process counts, where the cgroup itself has none; bounded: some directories, some processes of each.
 * 0; NET_NOBODY; -EMFILE, -ENFILE, -ENOMEM.
 */
int net_find(int procfd, int dirfd, pid_t *ret_pid, int *ret_process, int *ret_fd);
/* The namespace that an open net/dev tells of; 0, negative errno. */
int net_space_of(int fd, uint64_t *ret);
/* n->host, where it is not known yet; what hinders it: negative errno. */
int net_find_host(NetSpaces *n, int procfd);
