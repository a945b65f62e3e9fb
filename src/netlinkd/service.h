/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * bailiff-netlink: listens to the kernel for the guard (nlwire.h), while the guard is connected and wants something.
 */

#include "macro.h"

typedef struct ServiceConfig {
        int listen_fd; /* SOCK_SEQPACKET, listening; the caller's */
        int stop_fd; /* readable: end; -1: none */
        usec_t idle; /* nobody connected for so long: end */
        unsigned rcvbuf; /* bytes of receive buffers */
} ServiceConfig;

#define SERVICE_RCVBUF (4u << 20)
#define SERVICE_IDLE_USEC (30 * USEC_PER_SEC)

/* Until it ends by itself. 0, negative errno. */
int service_run(const ServiceConfig *config);
