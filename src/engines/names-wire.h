/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A ContainerInfo as bytes, from the names helper to the guard. */

#include "buf.h"
#include "names.h"

#define NAMES_ANSWER_MAX (256 * 1024)

/* Appends to out. 0, -ENOMEM. Stays below NAMES_ANSWER_MAX for what names_read() gives. */
int names_encode(const ContainerInfo *info, Buf *out);
/* Trusts nothing: -EBADMSG for whatever names_encode() could not have written; -ENOMEM. */
int names_decode(const void *data, size_t len, ContainerInfo **ret);
