/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking bailiff-exporter(8) of this host for what the guard does not keep; over its unix socket. */

#include <jansson.h>

#include "buf.h"

#define EXPORTER_SOCKET "/run/bailiff-exporter/socket"

/* GET of a path with its parameters, which must be fit for a URL. STATUS_DONE, or an exit status with a sentence in error. */
int exporter_get(const char *socket_path, const char *path, json_t **ret, Buf *error);
/* As a parameter's value in a URL. */
void exporter_escape(Buf *b, const char *text);

/*
 * As Why() answers (bus.h) for what the guard does not know any more: "#N" the newest incident of that number, else a container's or a
 * tenant's last incidents ("container:NAME", "tenant:NAME", or a name of either). now: realtime µs. STATUS_DONE; STATUS_FAILED also
 * where nothing is kept of it. "now" is null: nobody knows.
 */
int exporter_get_why(const char *socket_path, const char *what, uint64_t now, json_t **ret, Buf *error);
/* {"events": [event...]}, the newest `max` (0: as many as it tells) since so long. */
int exporter_get_events(const char *socket_path, uint64_t since_usec, uint32_t max, json_t **ret, Buf *error);
/* Puts those of `kept` that are older than all of `events` (arrays) before them. */
void exporter_join_events(json_t *events, const json_t *kept);
