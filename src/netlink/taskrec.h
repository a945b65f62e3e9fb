/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages of taskstats (Documentation/accounting/taskstats.rst, taskstats-struct.rst; layer: netlink, no
 * socket in here). The structure grew from kernel to kernel: what one does not have is 0.
 */

#include "kin.h"

#define TASKREC_MESSAGE_MAX 4096

/* A struct taskstats of any version from 1 on. -EBADMSG where it is too short for even that. */
int taskrec_parse_stats(const void *data, size_t len, KinRecord *ret);

/*
 * One datagram of the family: what a task that ended used, or the answer to a question. pid: of the question (a thread group
 * there), 0 in an exit record. False in *ret_have: something else, such as an error or an acknowledgement. -EBADMSG.
 */
int taskrec_parse(const void *data, size_t len, uint16_t family, KinRecord *ret, uint32_t *ret_seq,
                  bool *ret_have);
