/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking bailiff-exporter(8) of this host for what the guard does not keep; over its unix socket. */

#include <jansson.h>

#include "buf.h"

#define EXPORTER_SOCKET "/run/bailiff-exporter/socket"

/* GET of a path with its parameters, which must be fit for a URL. STATUS_DONE, or an exit status with a sentence in error. */
int exporter_get(const char *socket_path, const char *path, json_t **ret, Buf *error);
