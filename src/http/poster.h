/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sending bodies to one URL (adapter: http; libcurl), one at a time, driven by the caller's event loop: nothing here waits. Names
 * are resolved by libcurl, in a thread of its own.
 */

#include "macro.h"

typedef struct PosterOptions {
        const char *url;
        const char *ca, *certificate,
                *key; /* paths of PEM files; NULL: the system's authorities, no certificate */
        const char *const *headers; /* "Name: value"; NULL at the end */
        const char *agent; /* User-Agent */
        usec_t timeout; /* for all of one request */
} PosterOptions;

#define POSTER_TEXT_BYTES 256

typedef struct PosterResult {
        unsigned status; /* of the answer; 0: there was none */
        uint64_t retry_after_sec; /* as the answer asked for; 0: it did not */
        char text[POSTER_TEXT_BYTES]; /* the first line of its body, or why there is none; printable */
} PosterResult;

/* Who asks, with each request. */
typedef struct PosterAuth {
        const char *user, *password; /* Basic */
        const char *token; /* Bearer */
} PosterAuth;

typedef struct Poster Poster;
/* All is copied. -ENOMEM; -EINVAL: libcurl does not take an option; -errno. */
int poster_new(const PosterOptions *o, Poster **ret);
Poster *poster_free(Poster *p);
DEFINE_CLEANUP(Poster *, poster_free)
int poster_fd(const Poster *p); /* readable: call run */
/* body lives until the result. auth is copied, NULL: none. -EBUSY: one is under way. */
int poster_send(Poster *p, const void *body, size_t len, const PosterAuth *auth);
bool poster_busy(const Poster *p);
/* Does what is due. True: the request ended, *ret says how. *ret_again: when to call at the latest. now: monotonic. */
bool poster_run(Poster *p, usec_t now, PosterResult *ret, usec_t *ret_again);
