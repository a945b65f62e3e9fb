/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Hooks for incidents: which are news, and running what an administrator put into a directory.
 */

#include <jansson.h>
#include <sys/types.h>

#include "macro.h"

typedef struct NotifyKnown { /* all zero: nothing was seen yet */
        struct NotifyIncident {
                uint64_t id;
                bool open;
        } * list;
        size_t n;
        bool begun;
} NotifyKnown;

void notify_known_deinit(NotifyKnown *k);
/* What is new since the last look, the oldest first; state: "opened" or "closed". What is there at the first look is
 * no news. incidents: as ListIncidents() gives them, the newest first. -ENOMEM: k is as it was, nothing was told. */
int notify_look(NotifyKnown *k, const json_t *incidents,
                void (*tell)(void *user, const json_t *incident, const char *state), void *user);

typedef struct NotifyHooks {
        const char *dir;
        uid_t owner; /* of the directory and the hooks: nobody else may be able to write them */
        usec_t deadline; /* of each hook */
} NotifyHooks;
/* Runs the hooks one after another, in order of name. How many ended well; negative errno: the directory cannot be read, or not be
 * trusted (-EPERM). No directory is no hooks. Says on stderr what went wrong. */
int notify_run(const NotifyHooks *h, const json_t *incident, const char *state);
