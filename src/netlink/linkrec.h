/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Answers of rtnetlink about links and namespaces (rtnetlink(7), RTM_GETLINK, RTM_GETNSID; layer: netlink, no socket in
 * here): those links whose other end is in a certain namespace.
 */

#include "nlwire.h"

/* What LinkAnswer.want can be, other than the number that a namespace has in ours. */
#define LINK_WANT_NONE (-2)
#define LINK_WANT_ANY (-3)

typedef struct LinkAnswer {
        /* set before */
        uint32_t seq; /* of the request; other messages are passed over */
        int32_t want; /* links with the other end there */
        /* read */
        bool done; /* the answer is complete */
        bool changed; /* links came or went within it: some may be missing */
        int error; /* of the kernel, negative errno */
        int32_t nsid; /* of RTM_GETNSID; negative: the namespace has no number in ours (yet) */
        size_t n, n_all; /* n: those told, with the lowest indexes, in their order */
        uint32_t index[NLWIRE_LINKS_MAX];
        uint32_t master[NLWIRE_LINKS_MAX]; /* index; 0: none */
        NlLink links[NLWIRE_LINKS_MAX]; /* without the masters' names */
} LinkAnswer;

void linkrec_begin(LinkAnswer *a, int32_t want);
/* One datagram of it, aligned as an nlmsghdr. -EBADMSG. */
int linkrec_read(LinkAnswer *a, const void *data, size_t len);
