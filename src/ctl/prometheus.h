/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking a Prometheus server, or what speaks as one (VictoriaMetrics, Mimir, Thanos): its HTTP API, version 1. */

#include <jansson.h>

#include "buf.h"

typedef struct Prometheus Prometheus;

/* url: "http://host:9090", "https://user:password@host/prefix". NULL: it is none, or no memory; a sentence in error. */
Prometheus *prometheus_new(const char *url, Buf *error);
Prometheus *prometheus_free(Prometheus *p);
DEFINE_CLEANUP(Prometheus *, prometheus_free)
const char *prometheus_name(const Prometheus *p); /* its URL, without user and password */
const json_t *prometheus_warnings(const Prometheus *p); /* that came with answers: texts, each once */

/* The exit status (client.h) that says how the last question failed. */
int prometheus_failure(const Prometheus *p);

/* The "result" of an expression in PromQL: [{"metric": {…}, "value": [t, "v"]}…], or with "values". Times in s; the result is the
 * caller's. 0, or -EIO with a sentence in error. */
int prometheus_query(Prometheus *p, const char *query, uint64_t time, json_t **ret, Buf *error);
int prometheus_query_range(Prometheus *p, const char *query, uint64_t from, uint64_t to, uint64_t step,
                           json_t **ret, Buf *error);
/* A sample's value. False: it is none, not a number, or infinite. */
bool prometheus_value(const json_t *pair, double *ret);
/* Text within "…" of an expression; as a regular expression that matches just that. */
void prometheus_quote(Buf *out, const char *s);
void prometheus_quote_regex(Buf *out, const char *s);
