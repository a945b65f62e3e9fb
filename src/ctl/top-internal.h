/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What top-model.c (what is measured) and top-rows.c (what is shown of it) share. */

#include "history.h"
#include "map.h"
#include "top-model.h"

/* A rate between the last two times that its counter is known to have been read. */
typedef struct TopRate {
        uint64_t was;
        usec_t at; /* 0: never */
        uint64_t per_sec; /* counter units a second */
        bool known;
} TopRate;

typedef enum TopCounter {
        TOP_COUNTER_CPU,
        TOP_COUNTER_READ,
        TOP_COUNTER_WRITE,
        TOP_COUNTER_RECEIVED,
        TOP_COUNTER_SENT,
        TOP_COUNTER_CPU_SOME,
        TOP_COUNTER_CPU_FULL,
        TOP_COUNTER_MEMORY_SOME,
        TOP_COUNTER_MEMORY_FULL,
        TOP_COUNTER_IO_SOME,
        TOP_COUNTER_IO_FULL,
        TOP_COUNTER_PERIODS,
        TOP_COUNTER_THROTTLED,
        _TOP_COUNTER_MAX,
} TopCounter;

typedef struct TopSubject { /* of the history */
        uint32_t index;
        HistoryKind kind;
        uint64_t cgroup_id;
        char *tenant, *name, *cgroup;
        usec_t at; /* monotonic µs of its last sample; 0: none yet */
        TopRate rates[_TOP_COUNTER_MAX];
        TopNumbers numbers; /* without ceilings */
} TopSubject;

typedef struct TopObject { /* of ListContainers and ListTenants */
        uint64_t cgroup_id;
        char *name; /* as people know it */
        char *tenant; /* of a container */
        TopNumbers ceilings;
        bool throttled, frozen; /* by a lease */
        TopNetwork network;
} TopObject;

typedef struct TopMember {
        const TopSubject *subject;
        TopRow row;
} TopMember;

typedef struct TopTenant {
        char *name;
        bool folded;
        TopNumbers numbers;
        TopMember *members;
        size_t n_members, alloc;
        const TopSubject **slices; /* its own */
        size_t n_slices, slices_alloc;
} TopTenant;

struct TopModel {
        HistoryReader *reader;
        Map subjects; /* TopSubject by index */
        Map containers; /* TopObject by cgroup id */
        Map tenant_objects; /* TopObject by name */
        Map tenants; /* TopTenant by name; of those that have nothing left only the folded ones */
        TopHost host;
        int error; /* of a handler */

        TopRow *rows;
        size_t n_rows, rows_alloc;
        TopSort sort;
        bool reverse;
        char *filter;
        size_t cursor;
        char *cursor_name; /* what it is on */
        uint64_t cursor_id;
};

TopObject *top_object_free(TopObject *o);
TopTenant *top_tenant_free(TopTenant *t);
