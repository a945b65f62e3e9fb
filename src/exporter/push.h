/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Telling a Prometheus or VictoriaMetrics by remote-write, by RemoteWrite…= of exporter.conf. Driven by the caller's event loop,
 * without waiting for anything.
 */

#include <jansson.h>

#include "settings.h"

struct Pages;

typedef enum PushState {
        PUSH_WELL, /* also before the first attempt */
        PUSH_FAILING, /* the last attempt failed, and comes again */
        PUSH_REFUSED, /* the receiver did not want the last request, which was given up */
} PushState;

typedef struct PushStatus {
        PushState state;
        char error[320]; /* while it is not well */
        uint64_t samples, requests; /* that were taken */
        uint64_t failures; /* attempts that were not */
        uint64_t dropped; /* samples: refused, or given up in the backlog */
        uint64_t last_success; /* realtime µs; 0: none yet */
        uint64_t backlog_bytes, backlog_samples, backlog_damaged;
        int backlog_error; /* negative errno of the last write; 0: none */
} PushStatus;

typedef struct PushOptions {
        const Config *config; /* its push.url is set; lives as long */
        const char *dir; /* of the backlog */
        const char *host; /* label "instance", unless it is configured */
} PushOptions;

typedef struct Push Push;
int push_new(const PushOptions *o, Push **ret);
Push *push_free(Push *p);
DEFINE_CLEANUP(Push *, push_free)

/* Puts all series as they are now into the backlog. 0; -ENOMEM: none of them. */
int push_collect(Push *p, const struct Pages *pages, uint64_t realtime);
/* Whether the disk hangs: its backlog leaves it alone then. */
void push_set_slow(Push *p, bool slow);
int push_fd(const Push *p); /* readable: call run */
/* Sends what is due. *ret_again: when to call at the latest; USEC_INFINITY: after the next collect. now: monotonic. */
void push_run(Push *p, usec_t now, uint64_t realtime, usec_t *ret_again);
void push_get_status(const Push *p, PushStatus *ret);
/* For /api/v1/status and the metrics. */
json_t *push_status_to_json(const PushStatus *s);

/* ---- what becomes of an attempt ---- */

typedef enum PushVerdict { PUSH_SENT, PUSH_AGAIN, PUSH_GIVE_UP } PushVerdict;
/* status: of HTTP, 0: no answer. */
PushVerdict push_judge(unsigned status);
/* How long to wait after so many attempts in a row that failed (from 1 on); random: any number. */
usec_t push_wait(unsigned attempts, uint64_t retry_after_sec, uint64_t random);
