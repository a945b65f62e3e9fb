/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asking bailiffd over D-Bus (include/bailiff/bus.h), here or on another host
 * through ssh. Synchronous, for bailiffctl does one thing at a time; but one question whose answer takes its time can be
 * under way meanwhile.
 *
 * Every call returns 0 or one of the exit statuses of bailiffctl(1), with a
 * message for people in client_error(): the callers decide whether that is the end
 * (most verbs) or an answer (status --check, doctor).
 */

#include <jansson.h>
#include <stdint.h>

#include "macro.h"

enum {
        STATUS_DONE = 0,
        STATUS_FAILED = 1,
        STATUS_USAGE = 2,
        STATUS_UNREACHABLE = 3,
        STATUS_REFUSED = 4,
        STATUS_FOUND = 5, /* doctor */
};

typedef struct Client Client;

/* host NULL: this one. Connects with the first call. NULL: out of memory. */
Client *client_new(const char *host);
Client *client_free(Client *c);
DEFINE_CLEANUP(Client *, client_free)

const char *client_error(const Client *c);
bool client_not_ready(const Client *c); /* STATUS_FAILED, and the same may be asked again */
/* How long a call waits for its answer from now on; 25 s at first. */
void client_set_patience(Client *c, usec_t timeout);

/* Reading methods that answer with JSON; argument NULL where the method has none. */
int client_get(Client *c, const char *method, const char *argument, json_t **ret);
/* The stream of include/bailiff/history.h: *ret is the caller's (free()), *ret_len bytes. */
int client_get_history(Client *c, uint64_t instance, uint64_t cursor, uint64_t since, void **ret,
                       size_t *ret_len);
int client_get_events(Client *c, uint64_t since, uint32_t max, json_t **ret);
/* what and for_tenant as in Why(); "" for none. */
int client_get_why(Client *c, const char *what, const char *for_tenant, json_t **ret);
/* The newest `max` incidents, 0: all. */
int client_get_incidents(Client *c, uint32_t max, json_t **ret);
/* Changing methods; types and arguments as in sd_bus_message_append(). ret_text may be NULL: no answer is expected. */
int client_change(Client *c, char **ret_text, const char *method, const char *types, ...);
/* ReleaseCeilings(): changes, and answers with JSON. */
int client_release(Client *c, const char *name, json_t **ret);
/*
 * A question with one argument to a reading method (a literal) that answers with JSON, without waiting for the answer; one
 * that is under way is forgotten. STATUS_DONE: it is under way, and client_answered() is asked now and then. False: there is no
 * answer yet, or no question. True: *ret_status is as of client_get(), and *ret set if that is STATUS_DONE. It
 * has at most 25 s, whatever the patience.
 */
int client_ask(Client *c, const char *method, const char *argument);
bool client_answered(Client *c, int *ret_status, json_t **ret);
void client_forget(Client *c); /* safe without one */
/* Until the guard signals that something happened, or this process gets a signal, at most `timeout`; never an error: whoever
 * asks again finds out. */
void client_wait(Client *c, usec_t timeout);
