/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel gives process events and accounting to few: it has to be built for it, and who asks has to have a capability, and be in
 * the host's own namespaces. It says which of these is missing by an errno, or by no answer at all; an operator who reads
 * "Operation not supported" learns nothing, so here is what each of them means.
 *
 * cn_proc.c leaves who is in another pid or user namespace without an answer (EOPNOTSUPP is ours for that), in another network
 * namespace nobody listens (ECONNREFUSED); taskstats.c says EINVAL for the former, and is not there at all for the latter. A seccomp
 * filter or a kernel without it fails the socket itself.
 */

#include "refusal.h"

bool refusal_look(Refusal *r, int error, bool works, usec_t now) {
        if (works)
                r->told = false;
        if (error == 0 || r->told || (r->ever && now - MIN_OF(r->told_at, now) < REFUSAL_AGAIN_USEC))
                return false;
        *r = (Refusal){ .told = true, .ever = true, .told_at = now };
        return true;
}

static const char no_capability[] = "bailiff-netlink has no CAP_NET_ADMIN";

const char *refusal_of_events(int error) {
        switch (error) {
        case EPERM:
        case EACCES:
                return no_capability;
        case ECONNREFUSED:
                return "bailiff-netlink is not in the host's network namespace";
        case EOPNOTSUPP:
                return "no answer: the kernel has no CONFIG_PROC_EVENTS, or bailiff-netlink is not in the "
                       "host's pid and user "
                       "namespaces";
        case EPROTONOSUPPORT:
        case EAFNOSUPPORT:
                return "the kernel has no CONFIG_CONNECTOR, or a filter of system calls is in the way";
        default:
                return strerror(error);
        }
}

const char *refusal_of_records(int error) {
        switch (error) {
        case EPERM:
        case EACCES:
                return no_capability;
        case EINVAL:
                return "bailiff-netlink is not in the host's pid and user namespaces";
        case EOPNOTSUPP:
                return "the kernel has no CONFIG_TASKSTATS, or bailiff-netlink is not in the host's network "
                       "namespace";
        case EPROTONOSUPPORT:
        case EAFNOSUPPORT:
                return "there is no generic netlink, or a filter of system calls is in the way";
        default:
                return strerror(error);
        }
}
