/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the two halves of the writer say to each other (writer.c, writer-helper.c).
 * Both ends are the same binary, so plain structures. */

#include "writer.h"

typedef struct AskMessage {
        uint64_t seq;
        uint64_t cgroup_id;
        usec_t deadline;
        uint32_t may_block;
        uint32_t n;
        WriterWrite writes[WRITER_WRITES_MAX]; /* only n are sent */
} AskMessage;
#define ASK_SIZE(n) (offsetof(AskMessage, writes) + (n) * sizeof(WriterWrite))

typedef struct AnswerMessage {
        uint64_t seq;
        uint32_t n;
        int32_t results[WRITER_WRITES_MAX];
} AnswerMessage;

/* The helper's main(), see child_start(). user is not used. */
int writer_helper_main(int fd, void *user);
