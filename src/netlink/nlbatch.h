/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading a netlink socket that the kernel fills (layer: netlink): many datagrams a call, and how many it dropped. */

#include <sys/types.h>

#include "macro.h"

#define NLBATCH_MESSAGE_MAX 4096

/* ok: false for what did not fit, or did not come from the kernel. */
typedef void (*NlbatchTake)(void *user, const void *data, size_t len, bool ok);

/* Reads until the socket is empty, or max datagrams were taken. How many there were; negative errno, not of overruns. */
ssize_t nlbatch_read(int fd, size_t max, NlbatchTake take, void *user);
/* Datagrams that the kernel dropped since *before was that count, for want of room. */
uint64_t nlbatch_drops(int fd, uint32_t *before);
/* The receive buffer, beyond the host's bound where we may; 0: as it is. What the kernel grants (twice that). */
unsigned nlbatch_set_buffer(int fd, unsigned bytes);
