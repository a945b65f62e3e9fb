/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * bailiffctl: what its verbs share. A verb asks (client.h), and hands what it
 * got to a function that only renders: json_t in, View out. Those are declared
 * in screens.h and are what the unit tests call.
 */

#include "client.h"
#include "clock.h"
#include "table.h"

enum { /* options beyond the common ones; a verb names those it takes */
       OPTION_CHECK = 1 << 0,
       OPTION_FOLLOW = 1 << 1,
       OPTION_SINCE = 1 << 2,
       OPTION_LINES = 1 << 3,
       OPTION_OFFLINE = 1 << 4,
       OPTION_FOR = 1 << 5,
       OPTION_REASON = 1 << 6,
       OPTION_CEILINGS = 1 << 7,
       OPTION_BY = 1 << 8,
       OPTION_FORMAT = 1 << 9,
       OPTION_DELAY = 1 << 10,
       OPTION_BATCH = 1 << 11,
       OPTION_YES = 1 << 12,
       OPTION_TENANT = 1 << 13,
       OPTION_HTML = 1 << 14,
       OPTION_PROMETHEUS = 1 << 15,
};

typedef struct Ctl {
        Client *client;
        View view;
        bool json, no_pager, full;
        const char *host;
        uint32_t given; /* OPTION_* */
        const char *since, *span, *reason, *lines, *by, *format, *delay, *tenant, *html, *prometheus;
        char **arguments; /* behind the verb, NULL-terminated */
        size_t n_arguments;
} Ctl;

/* Prints "bailiffctl: text" on stderr, escaped; returns status. */
int ctl_fail(int status, const char *format, ...) _printf_(2, 3);
/* Likewise with what the client has to say. */
int ctl_client_failed(const Ctl *c, int status);
/* Prints JSON, as the server gave it; takes the reference. STATUS_DONE. */
int ctl_print_json(const Ctl *c, json_t *j);
/* What a verb that changes says: a sentence for people, j for programs; takes the reference. */
int ctl_done(const Ctl *c, json_t *j, const char *format, ...) _printf_(3, 4);
/* --for as a span. STATUS_DONE, or a message and STATUS_USAGE. */
int ctl_parse_span(const Ctl *c, usec_t *ret);
/* 0, or out of memory told. */
int ctl_rendered(int r);
/* What follows goes through the pager, if there is a terminal and nobody said --no-pager. */
void ctl_page(Ctl *c);
void ctl_set_locale(void); /* once, before anything is printed */
bool ctl_is_utf8(void);

/* pager.c */
void pager_open(void);
void pager_close(void); /* waits until the reader has gone; safe without one */

int verb_status(Ctl *c);
int verb_tenants(Ctl *c);
int verb_containers(Ctl *c);
int verb_show(Ctl *c);
int verb_processes(Ctl *c);
int verb_top(Ctl *c);
int verb_usage(Ctl *c);
int verb_report(Ctl *c);
int verb_events(Ctl *c);
int verb_policy_check(Ctl *c);
int verb_policy_show(Ctl *c);
int verb_policy_diff(Ctl *c);
int verb_policy_suggest(Ctl *c);
int verb_reload(Ctl *c);
int verb_pause(Ctl *c);
int verb_resume(Ctl *c);
int verb_hold(Ctl *c);
int verb_unhold(Ctl *c);
int verb_undo(Ctl *c);
int verb_release(Ctl *c);
int verb_notify(Ctl *c);
int verb_doctor(Ctl *c);
int verb_why(Ctl *c);
int verb_incidents(Ctl *c);
int verb_observe_report(Ctl *c);
int verb_throttle(Ctl *c);
int verb_freeze(Ctl *c);
int verb_thaw(Ctl *c);
int verb_kill(Ctl *c);
