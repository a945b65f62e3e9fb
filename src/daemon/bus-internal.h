/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the bus's files share. */

#include <jansson.h>

#include "guard.h"

typedef int BusHandler(sd_bus_message *m, void *user, sd_bus_error *e);
typedef int BusChange(Guard *g, sd_bus_message *m, const Caller *c, sd_bus_error *e);

/* bus-read.c */
BusHandler bus_on_read, bus_on_read_name, bus_on_list_events, bus_on_why, bus_on_list_incidents,
        bus_on_get_history, bus_on_diff, bus_on_processes, bus_on_links, bus_on_open_paged, bus_on_read_paged;
void bus_forget_pages(void);
/* A NAME that somebody sent: one of both; negative with e set. */
int bus_resolve(Guard *g, const char *name, sd_bus_error *e, Target **ret_target, Tenant **ret_tenant);
/* One container: a tenant's name is refused. */
int bus_resolve_one(Guard *g, const char *name, sd_bus_error *e, Target **ret);
int bus_invalid(sd_bus_error *e, const char *what);
/* Takes the reference of j. NULL: out of memory. */
char *bus_dump(json_t *j);
/* The same JSON both ways: in a memfd, or paged where the caller asked so. Takes data. */
int bus_reply_bulk(Guard *g, sd_bus_message *m, char *data);

/* bus-change.c */
BusHandler bus_on_reload, bus_on_pause, bus_on_resume, bus_on_hold, bus_on_unhold, bus_on_undo,
        bus_on_release, bus_on_throttle, bus_on_let_go, bus_on_freeze, bus_on_thaw, bus_on_kill;
/* Does it once the bus has said that root asks. */
int bus_with_caller(Guard *g, sd_bus_message *m, BusChange *change);
BusChange bus_do_release;
