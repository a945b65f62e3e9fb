/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking rtnetlink (rtnetlink(7); layer: netlink). Takes no capability; tells of the network namespace that we are in. */

#include "linkrec.h"

/*
 * The links that lead from here into the network namespace of a process, with their masters' names. None: n_all is 0. Negative errno:
 * -ESRCH: it has gone; -EAGAIN: links come and go faster than they are told; what the kernel answers.
 */
int linksock_ask(uint32_t pid, LinkAnswer *ret);
