/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the exporter is asked: the sockets that systemd passes or one of our own, Listen=, and the certificates for that. */

#include <systemd/sd-event.h>

#include "server.h"
#include "settings.h"

typedef struct Serving Serving;

typedef struct ServingOptions { /* pointers stay the caller's, for as long as it serves */
        sd_event *event;
        const Config *config;
        const char *socket; /* to make and listen at where systemd passes none; NULL: none */
        void (*handle)(void *user, const HttpRequest *request, HttpAnswer *a);
        void *user;
} ServingOptions;

/* Negative errno, said in the log. */
int serving_new(const ServingOptions *o, Serving **ret);
/* Answers that are still to come are answered with 503. */
Serving *serving_free(Serving *s);
DEFINE_CLEANUP(Serving *, serving_free)

/* Answers that were deferred have come. */
void serving_run(Serving *s);
/* Now and then: certificates that are others are taken. */
void serving_look_at_certificates(Serving *s);
/* Now, as they are. What is wrong is logged, and those from before go on. False: there are none. */
bool serving_renew(Serving *s);
uint64_t serving_certificate_until(const Serving *s); /* s since 1970; 0: there is none */
