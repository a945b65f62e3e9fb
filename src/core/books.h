/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The books: what a cgroup has used since somebody looks, and what a tenant
 * has, alive and dead (layer: core, pure). Counters only grow; through the
 * end of a container, a counter that the kernel resets, and a restart of the
 * guard (the caller keeps Book and the last Sample).
 *
 * A tenant's book is made of
 *
 *   live      the books of its containers that run
 *   ended     those of its dead, folded in when they ended
 *   unseen    what its own slices counted and neither of the above saw (short lives between two samples; plain
 *             services in the slice): only for what the kernel counts hierarchically (book_info()->hierarchical)
 *
 * and total = live + ended + unseen holds field by field, always. Without a slice there is nothing that would know
 * what nobody saw: then BOOK_ENDS_UNREAD and BOOK_UNSEEN_USEC say how much of its containers' lives went unread.
 */

#include "sample.h"

typedef enum BookField {
        /* counters, from Sample counters of the same meaning */
        BOOK_CPU_USEC,
        BOOK_CPU_USER_USEC,
        BOOK_CPU_SYSTEM_USEC,
        BOOK_PERIODS,
        BOOK_THROTTLED_PERIODS,
        BOOK_THROTTLED_USEC,
        BOOK_IO_RBYTES,
        BOOK_IO_WBYTES,
        BOOK_IO_RIOS,
        BOOK_IO_WIOS,
        BOOK_NET_RX_BYTES, /* of its network namespace, where that is counted here */
        BOOK_NET_RX_PACKETS,
        BOOK_NET_RX_ERRORS,
        BOOK_NET_RX_DROPPED,
        BOOK_NET_TX_BYTES,
        BOOK_NET_TX_PACKETS,
        BOOK_NET_TX_ERRORS,
        BOOK_NET_TX_DROPPED,
        BOOK_CPU_SOME_USEC,
        BOOK_CPU_FULL_USEC,
        BOOK_MEMORY_SOME_USEC,
        BOOK_MEMORY_FULL_USEC,
        BOOK_IO_SOME_USEC,
        BOOK_IO_FULL_USEC,
        BOOK_IRQ_FULL_USEC,
        BOOK_REFAULTS, /* pages, anon and file */
        BOOK_MAJOR_FAULTS,
        BOOK_HITS_MEMORY_HIGH, /* limit hits */
        BOOK_HITS_MEMORY_MAX,
        BOOK_HITS_TASKS_MAX,
        BOOK_OOMS,
        BOOK_OOM_KILLS,
        /* sums over time: KiB · s (rounded down; the remainder is kept) */
        BOOK_MEMORY_KIB_SECONDS,
        BOOK_SWAP_KIB_SECONDS,
        /* lives; all 0 or 1 for one container */
        BOOK_STARTS, /* began while we looked; one that was there before us is none */
        BOOK_ENDS,
        BOOK_ENDS_OOM, /* the kernel had killed in it for memory within its last BOOK_LAST_USEC */
        BOOK_ENDS_UNREAD, /* it was gone before the last look at it */
        BOOK_UNSEEN_USEC, /* time from the last sample to the end of those */
        BOOK_LIFE_USEC, /* time under our eyes */
        BOOK_RESETS, /* counters that went back while the cgroup lived */
        _BOOK_COUNTERS,
        /* peaks: the highest ever, of one cgroup (a tenant's: of all together, where its slice or a sum of samples
         * tells) */
        BOOK_PEAK_MEMORY = _BOOK_COUNTERS,
        BOOK_PEAK_SWAP,
        BOOK_PEAK_TASKS,
        BOOK_PEAK_MEMORY_KIND, /* PeakKind of the memory peak */
        _BOOK_MAX,
        _BOOK_INVALID = -EINVAL,
} BookField;

#define BOOK_LAST_USEC (10 * USEC_PER_SEC)

typedef struct BookInfo {
        const char *name; /* in JSON: "cpu_usec"; stable */
        const char *metric; /* OpenMetrics, without "bailiff_tenant_": "cpu_seconds" */
        SampleField from; /* _SAMPLE_INVALID: made by us */
        SampleUnit unit;
        bool hierarchical; /* a slice's own counter covers its dead: CPU usage, user, system; io bytes and operations */
} BookInfo;
const BookInfo *book_info(BookField f);
BookField book_field_from_name(const char *name);

typedef struct Book {
        uint64_t since_realtime; /* µs: counting began; the caller's, for there is no clock in here */
        uint64_t v[_BOOK_MAX];
        uint64_t rest[2]; /* of the two KiB · s, in half byte · µs: the mean of two samples may be odd */
        uint64_t oom_at; /* monotonic µs when the last OOM kill was seen, 0: never */
} Book;

/*
 * Accounts the time between two samples of one cgroup. before NULL: the first look; `born` says that the cgroup began
 * under our eyes, so that its counters up to now are its own and count (else they are the past's and do not). A field missing on either side: nothing. A counter that went back: its new value counts from 0, BOOK_RESETS + 1
 * (once a call). Memory over time: the mean of both samples times the span (before's value where now has none).
 * Gauges and peaks: the highest. All additions saturate.
 */
void book_account(Book *b, const Sample *before, const Sample *now, bool born);

typedef enum BookEnd {
        BOOK_END_READ, /* the last sample was taken when it was empty, or less than a moment before */
        BOOK_END_UNREAD,
} BookEnd;
/* The cgroup ended at `now`; last: its last sample, NULL: there was none. Counts ENDS and its kinds. */
void book_end(Book *b, const Sample *last, usec_t now, BookEnd how);

/* Adds counters and rests of `from`; since becomes the earlier one (0 is none); peaks are the higher of both. */
void book_add(Book *to, const Book *from);

/* ---- a tenant ---- */

typedef struct TenantBook {
        Book ended; /* folded; kept over restarts */
        Book floor; /* total as it was last told: it never goes below; kept over restarts */
        uint64_t last_fold; /* cgroup id of the container folded last, see book_tenant_fold() */
        /* Books of its own slices that are gone (systemd removes an empty slice and makes a new one that counts from 0),
         * hierarchical fields; kept over restarts */
        Book slices;
        uint64_t last_slice;
} TenantBook;

/* One container's end, after book_end(). A second fold of the id folded last does nothing and returns false: so a guard
 * that dies between saving the tenant and forgetting the container counts nothing twice. So each fold is saved before
 * the next one, and a guard that starts folds, or forgets, the one that is last_fold before all others. */
bool book_tenant_fold(TenantBook *t, uint64_t cgroup_id, const Book *ended);
/* The same of one of the tenant's own slices: it is gone, or not the tenant's any more. */
bool book_tenant_fold_slice(TenantBook *t, uint64_t cgroup_id, const Book *slice);

typedef struct BookParts {
        Book live, ended, unseen, total;
} BookParts;
/*
 * live: books of the tenant's running containers, `below` telling for each whether it is in one of the tenant's own
 * slices. slices: books of those slices (disjoint). ended_below: what of t->ended lived in slices (the caller folds into
 * a TenantBook and into this; NULL: nothing). Hierarchical fields: total = Σ slices, alive and gone, + what lived outside
 * of them, but never less than live + ended; unseen is the difference. Others: total = live + ended, unseen 0. Then total
 * is raised to t->floor, the difference going to unseen, and t->floor becomes total. Order of the arrays does not matter.
 * Peaks are no sums: total's is the highest of its slices', its containers' and the floor's, unseen has none. Rests that
 * make a whole KiB · s together are told in live. Where a sum saturates, total is UINT64_MAX.
 */
void book_tenant_parts(TenantBook *t, const Book *const *live, const bool *below, size_t n_live,
                       const Book *const *slices, size_t n_slices, const Book *ended_below, BookParts *ret);
