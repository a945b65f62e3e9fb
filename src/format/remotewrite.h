/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Requests of Prometheus remote-write 1.0 (adapter: format; protobuf-c and snappy):
 *
 *   remotewrite_begin(w, time_ms);
 *   remotewrite_sample(w, name, labels, n, value, decimals);      each series, once
 *   r = remotewrite_end(w, keep, user);                            requests, each with some thousand samples
 *
 * A series that was in the round before and is in this one no more gets a stale marker, with this round's time.
 */

#include "openmetrics.h"

#define REMOTEWRITE_SAMPLES_MAX 4000 /* of a request */
#define REMOTEWRITE_STALE_BITS UINT64_C(0x7ff0000000000002) /* the NaN that says so */

typedef struct RemoteWrite RemoteWrite;

/* external: labels of every series that has none of that name itself; copied. */
int remotewrite_new(const MetricLabel *external, size_t n, RemoteWrite **ret);
RemoteWrite *remotewrite_free(RemoteWrite *w);
DEFINE_CLEANUP(RemoteWrite *, remotewrite_free)

void remotewrite_begin(RemoteWrite *w, int64_t time_ms);
/* Labels without a value are left out, as the specification wants it. value · 10^-decimals. */
void remotewrite_sample(RemoteWrite *w, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                        unsigned decimals);
/* take: the body of each request (Content-Encoding: snappy), borrowed. 0; -ENOMEM: nothing was taken, and the round before counts
 * on. */
int remotewrite_end(RemoteWrite *w, void (*take)(void *user, const void *data, size_t len, uint32_t samples),
                    void *user);
