/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages of the process connector (linux/connector.h, linux/cn_proc.h; layer: netlink, no socket in here), and
 * the classic BPF that keeps those away that nobody wants (socket(7) SO_ATTACH_FILTER).
 */

#include <linux/filter.h>

#include "kin.h"

#define CNPROC_MESSAGE_MAX 512 /* longer ones are none of the kernel's */

typedef enum CnprocKind {
        CNPROC_EVENT, /* *ret_event is set */
        CNPROC_ACK, /* to a request to listen: *ret_ack, *ret_error are */
        CNPROC_OTHER, /* an event that is of no use here */
} CnprocKind;

/* One datagram. -EBADMSG for what the kernel does not send. ret_error: positive errno. */
int cnproc_parse(const void *data, size_t len, CnprocKind *ret_kind, KinEvent *ret_event, uint32_t *ret_ack,
                 int *ret_error);

#define CNPROC_REQUEST_MAX 64
/* A request as the socket takes it; its length. listen: else, ignore. events: PROC_EVENT_… bits for kernels that filter
 * (6.6); 0: the old form, that every kernel knows and answers. */
size_t cnproc_request(void *buf, bool listen, uint32_t events, uint32_t ack, uint32_t port);
/* PROC_EVENT_… bits for bits 1 << KinWhat. */
uint32_t cnproc_events(unsigned kinds);

#define CNPROC_WATCHED_MAX 1024
/* What is told of single processes. */
#define CNPROC_WATCHED_KINDS (1U << KIN_EXIT | 1U << KIN_EXEC)
#define CNPROC_FILTER_MAX BPF_MAXINSNS

/*
 * A filter that lets acks through, events of these kinds (bits 1 << KinWhat), and those of CNPROC_WATCHED_KINDS of these
 * processes; pids are sorted, none twice, CNPROC_WATCHED_MAX at most. Number of instructions.
 */
size_t cnproc_filter(unsigned kinds, const uint32_t *pids, size_t n_pids,
                     struct sock_filter ret[CNPROC_FILTER_MAX]);
