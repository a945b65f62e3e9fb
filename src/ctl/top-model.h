/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What `top` knows: samples and JSON in, rows out. Pure, no clock and no I/O. The order of things:
 *
 *   top_model_feed()          each export of the history (history.h), asked for with top_model_instance() and _cursor()
 *   top_model_set_objects()   now and then: names and ceilings
 *   top_model_refresh()       then the rows are those of the moment
 *
 * Rows are a tree of two levels in the order of the key: tenants, and below each, unless it is folded, its
 * containers. The cursor stays on what it is on, wherever that goes.
 */

#include <jansson.h>
#include <stdint.h>

#include "macro.h"

typedef enum TopField {
        TOP_CPU, /* permyriad of one CPU */
        TOP_CPU_MAX, /* likewise: the ceiling; the host's: all its CPUs */
        TOP_THROTTLED, /* permyriad of periods */
        TOP_MEMORY, /* bytes */
        TOP_MEMORY_MAX, /* the ceiling; the host's: all it has */
        TOP_SWAP,
        TOP_SWAP_MAX,
        TOP_READ, /* bytes a second */
        TOP_WRITE,
        TOP_RECEIVED, /* from the network, bytes a second */
        TOP_SENT,
        TOP_CPU_SOME, /* permyriad of the time */
        TOP_CPU_FULL,
        TOP_MEMORY_SOME,
        TOP_MEMORY_FULL,
        TOP_IO_SOME,
        TOP_IO_FULL,
        TOP_TASKS,
        TOP_TASKS_MAX,
        _TOP_FIELD_MAX,
} TopField;
const char *top_field_name(TopField f); /* in JSON */

typedef struct TopNumbers {
        uint32_t have; /* 1 << TopField */
        uint64_t v[_TOP_FIELD_MAX];
} TopNumbers;
static inline bool top_has(const TopNumbers *n, TopField f) { return n->have >> f & 1; }

typedef enum TopSort {
        TOP_SORT_CPU,
        TOP_SORT_MEMORY,
        TOP_SORT_IO,
        TOP_SORT_NETWORK,
        TOP_SORT_PRESSURE, /* the worst of cpu, memory and io */
        TOP_SORT_TASKS,
        TOP_SORT_NAME,
} TopSort;

typedef enum TopNetwork {
        TOP_NETWORK_UNKNOWN,
        TOP_NETWORK_OWN,
        TOP_NETWORK_HOST,
        TOP_NETWORK_SHARED,
        _TOP_NETWORK_MAX
} TopNetwork;
const char *top_network_name(TopNetwork n); /* as in bus.h: "own", "host", "shared", "unknown" */

typedef struct TopRow {
        bool is_tenant, folded;
        bool throttled, frozen; /* a container, by a lease */
        const char *name; /* as it is: not escaped */
        const char *cgroup; /* of a container: its path */
        uint64_t cgroup_id; /* of a container */
        size_t n_containers; /* of a tenant */
        TopNetwork network; /* of a container: whose it is; only its own is in its numbers */
        TopNumbers numbers;
} TopRow;

typedef struct TopHost {
        TopNumbers numbers;
        uint64_t cpus, hot, cold; /* 0: not known */
        size_t n_tenants, n_containers;
        uint64_t newest; /* realtime of the newest sample, 0: none */
        uint64_t handed_out; /* realtime, by the same clock, of the last export */
} TopHost;

typedef struct TopModel TopModel;
TopModel *top_model_new(void); /* NULL: out of memory */
TopModel *top_model_free(TopModel *m);
DEFINE_CLEANUP(TopModel *, top_model_free)

/* 0, -ENOMEM, -EBADMSG, -EPROTONOSUPPORT: then all of the history is forgotten, and the next feed begins anew. */
int top_model_feed(TopModel *m, const void *data, size_t len);
uint64_t top_model_instance(const TopModel *m);
uint64_t top_model_cursor(const TopModel *m);
/* Arrays of containers and tenants, and the status, of bus.h; NULL: what was known stays. -ENOMEM. */
int top_model_set_objects(TopModel *m, const json_t *containers, const json_t *tenants, const json_t *status);
/* -ENOMEM: there are no rows then, as behind a feed or a set_objects. */
int top_model_refresh(TopModel *m);

/* All until the next refresh or key. */
const TopRow *top_model_rows(const TopModel *m, size_t *ret_n);
const TopHost *top_model_host(const TopModel *m);
size_t top_model_cursor_row(const TopModel *m); /* 0 where there is none */

/* ---- keys; each is followed by top_model_refresh() ---- */
void top_model_sort(TopModel *m, TopSort sort);
TopSort top_model_get_sort(const TopModel *m, bool *ret_reverse);
void top_model_reverse(TopModel *m);
void top_model_move(TopModel *m, long rows); /* stops at both ends */
void top_model_fold(TopModel *m); /* the tenant that the cursor is on or in */
/* Only what has `text` in its name, upper and lower case the same; a tenant brings its containers, a container its
 * tenant. "": everything. -ENOMEM: the filter stays. */
int top_model_filter(TopModel *m, const char *text);
const char *top_model_get_filter(const TopModel *m);

/* The whole tree whatever is folded or filtered: {"time","host": {},"tenants": [{"name",…,"containers": [{"name",
 * "cgroup_id",…,"network": top_network_name(),"throttled": bool,"frozen": bool}…]}…]}. NULL: out of memory. */
json_t *top_model_to_json(TopModel *m);
