/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the guard knows in numbers of one cgroup, and of all: samples, tiers,
 * books, history. measure.c looks and accounts, triggers.c has itself woken,
 * ledgers.c keeps the tenants' books. Included by guard.h.
 */

#include "allowance.h"
#include "baseline.h"
#include "bookfile.h"
#include "demand.h"
#include "history.h"
#include "loghist.h"
#include "meter.h"
#include "psi.h"
#include "rates.h"
#include "tier.h"

typedef struct Guard Guard;
typedef struct Target Target;
typedef struct Tenant Tenant;
typedef struct Parent Parent;

#define NO_HISTORY UINT32_MAX

typedef struct Trigger {
        Guard *guard;
        Target *target; /* NULL: the host's */
        PsiResource resource;
        unsigned permyriad; /* of the window stalled: fires */
        sd_event_source *source; /* NULL: not set; owns the fd */
} Trigger;

/* Of a container, or of a slice of a tenant's own: embedded in its Target. */
typedef struct Measured {
        bool attached; /* is looked at */
        MeterCg meter;
        TierState tier;
        Sample last; /* `at` 0: never looked at */
        Rates rates;
        SampleIo io_before; /* devices at an earlier look, for rates by device */
        usec_t io_before_at, io_at; /* 0: never */
        Book book;
        Baseline baseline;
        usec_t pressures_at; /* all three were read then */
        uint64_t pressures[3];
        Demand demand;
        uint32_t history; /* NO_HISTORY: not in there */
        uint32_t slot; /* of the books' file */
        bool unsaved; /* its last record could not be written */
        bool born; /* it began under our eyes */
        bool read_out; /* it was empty when it was last looked at, in full: nothing can come after */
        char *was_tenant; /* whose an earlier run of the guard had it, until its tenant is known; NULL */
        bool was_below; /* and whether a slice of that tenant's counted it */
        int pin; /* O_PATH of cgroup.events, so that the kernel tells of it */
        Parent *parent;
        Trigger triggers[_PSI_MAX];
} Measured;

/* A directory that has containers in it, for its counters tell whether any of them did anything. */
struct Parent {
        TreeNode *node;
        bool have;
        uint64_t usage; /* CPU of the whole subtree, µs */
        uint64_t delta, explained; /* since the beat before; by children that were looked at */
        usec_t at, span, quiet_since; /* quiet_since: nothing ran since then; USEC_INFINITY: something did */
        size_t n_children;
        unsigned patience; /* beats until cold children are probed before their time again */
        unsigned backoff;
        unsigned sweep; /* probes granted in this beat */
};

/* A tenant's books outlive the tenant's last container. */
typedef struct TenantLedger {
        char name[POLICY_NAME_MAX + 1];
        TenantBook book;
        Book ended_below; /* of book.ended: what lived in its own slices */
        uint64_t folded; /* when something of it ended last: an order, no time */
        uint32_t slot;
        bool unsaved; /* its last record could not be written */
} TenantLedger;

/* The container that ended, for those who ask a moment later. */
typedef struct Ended {
        uint64_t cgroup_id, since_realtime, ended_realtime;
        char *name, *id, *tenant, *cgroup;
        Engine engine;
        bool read, network;
        Book book;
} Ended;
#define ENDED_MAX 256

typedef struct MeasureStats {
        uint64_t n_beats;
        uint64_t n_missed; /* containers that came and went unseen */
        uint64_t n_late; /* books that came after the end */
        size_t n_hot, n_cold, n_slices; /* as of the last beat */
        size_t n_triggers[3]; /* cgroups with triggers: host, slices, containers */
        uint64_t n_refused, n_lost,
                n_fired; /* triggers beyond the bound or the kernel's patience; of removed cgroups */
        LogHist late; /* µs that beats came late */
} MeasureStats;

typedef struct Measure {
        Meter *meter;
        Sample host;
        SampleIo host_io, host_io_before;
        usec_t host_io_at, host_io_before_at; /* 0: never */
        Rates host_rates;
        uint32_t host_history;
        Trigger host_triggers[_PSI_MAX];
        int proc; /* O_PATH of /proc */
        Map parents; /* cgroup id → Parent */
        Map ledgers; /* tenant's name → TenantLedger */
        uint64_t n_folds;
        Map saved; /* cgroup id → BookRecord of an earlier run, until it appears */
        BookFile *books;
        size_t n_unsaved; /* records that could not be written, */
        int unsaved_error; /* and why not */
        History *history;
        Ended *ended; /* ring */
        size_t ended_head, n_ended;
        MeterCg own; /* the guard's own cgroup */
        Sample own_last;
        int own_fd;
        usec_t own_next;
        sd_event_source *work; /* looks that are due, some a turn */
        size_t cursor; /* in targets */
        int round; /* of a beat */
        bool settled; /* what appears from now on was born under our eyes */
        bool psi_told, net_told, fds_told, tree_told, books_told, triggers_told; /* said once */
        /* Looks out of turn, at everybody hot: some at once when a stall begins, few while it lasts. */
        Allowance sweeps;
        Allowance hits; /* CPU time for what memory.events says between looks */
        bool swept; /* and looks since then are on its account */
        sd_event_source *follow; /* looks once more, soon after a trigger */
        unsigned follows;
        bool search; /* then at everybody */
        usec_t searched_at;
        MeasureStats stats;
} Measure;

/* measure.c */
int measure_new(Guard *g); /* into g->measure */
void measure_free(Guard *g);
void measure_close(Guard *g, Target *t); /* the guard ends, the cgroup does not */
/* The tree has been read for the first time: what an earlier run knew and nobody claimed has ended meanwhile. */
void measure_settled(Guard *g);
void measure_beat(Guard *g, usec_t now, usec_t late);
void measure_attach(Guard *g, Target *t);
/* Name, tenant or settings may have changed. */
void measure_changed(Guard *g, Target *t);
/* It leaves its tenant for another (NULL: not known): what it used until now stays the former's. */
void measure_move(Guard *g, Target *t);
/* It stays its tenant's, but a slice of that tenant's begins or ceases to count it: what it used until now was as it was. */
void measure_split(Guard *g, Target *t);
/* The cgroup is gone (or is not measured any more: alive). True: the kernel had just killed in it for memory. */
bool measure_detach(Guard *g, Target *t, bool alive);
void measure_parent_gone(Guard *g, const TreeNode *node);
/* The kernel notified cgroup.events. */
void measure_touched(Guard *g, Target *t);
/* Likewise memory.events: a limit was hit, or the kernel killed somebody for memory. */
void measure_hit(Guard *g, Target *t);
/* Looks now, at everything, for somebody asks. */
void measure_ask(Guard *g, Target *t);
void measure_wake(Guard *g, Target *t, TierWhy why);
/* Something stalls: who is hot is looked at now, and who is cold as far as that was not done lately. */
void measure_sweep(Guard *g);
/* The host runs out of something that nobody stalls for: everybody is looked at now, however lately that was done. */
void measure_search(Guard *g);
void measure_due_now(Guard *g);
/* The host anew, unless that was done within `age`. */
void measure_host(Guard *g, usec_t age);

/* ledgers.c */
int ledgers_open(Guard *g);
void ledgers_close(Guard *g);
/* A container ends (or, moves: goes on for another tenant, or unmeasured). */
void ledgers_fold(Guard *g, Target *t, BookEnd how, bool moves);
void ledgers_fold_slice(Guard *g, Target *t);
/* A container of that tenant that came and went before anybody could look: all that is known of it. below: as BookRecord has it. */
void ledgers_fold_missed(Guard *g, const char *tenant, bool below);
/* What only came out after a container of that tenant had ended. */
void ledgers_fold_late(Guard *g, const char *tenant, const Book *b);
void ledgers_save(Guard *g, Target *t);
/* Negative errno while something that should be on file is not. */
int ledgers_error(const Guard *g);
/* Goes on where an earlier run of the guard was with this cgroup; false: it knew nothing. */
bool ledgers_adopt(Guard *g, Target *t);
void ledgers_fold_orphans(Guard *g);
/* -ENOMEM. tenant: NULL where nothing of it runs. */
int ledgers_parts(Guard *g, const char *name, const Tenant *tenant, BookParts *ret);

/* triggers.c */
void triggers_start_host(Guard *g);
/* Looks at everybody some times, soon: measure_search(). */
void triggers_search(Guard *g);
void triggers_update(Guard *g, Target *t); /* after settings changed; slices have all */
void triggers_drop(Guard *g, Target *t);
void triggers_drop_host(Guard *g);

/* render-usage.c */
struct json_t;
struct json_t *render_measured(Guard *g, Target *t, bool whole); /* not: what lists show */
struct json_t *render_host_measured(Guard *g);
struct json_t *render_sampling(Guard *g);
struct json_t *render_usage_of(const Sample *s); /* "usage" */
struct json_t *render_rates_of(const Rates *rates);
struct json_t *render_container_book(const Book *b, bool network); /* whether its network is counted in it */
struct json_t *render_tenant_book(Guard *g, const char *name, const Tenant *tenant);
void render_books(Guard *g, const char *by, Buf *out); /* the text of the answer */
