/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The ledger of ceilings (adapter: store): for each limit that we changed, what
 * somebody else wanted there before, and what we wrote; kept in
 * /run/bailiff/ceilings, so that a restarted guard flaps nothing and everything
 * can be given back. A line is appended BEFORE the kernel sees the first write;
 * the file is rewritten (atomically) when more than half of it is stale.
 *
 * Text, one record a line, each with a checksum at its end; first line a
 * header with format version and boot id. A damaged line is skipped and
 * counted; a ledger of another boot or version, or without a readable header,
 * is set aside as ceilings.old (renamed; the one called so before goes), never
 * read.
 */

#include "limits.h"
#include "macro.h"

#define LEDGER_PATH_MAX 4095 /* bytes; also of unit names */
#define LEDGER_FILE_MAX (64 * 1024 * 1024)

typedef struct LedgerRecord {
        uint64_t cgroup_id;
        const char *path; /* borrowed, of the cgroup */
        const char *unit; /* borrowed; "" when no unit owns it */
        LimitKnob knob;
        /* What engine or admin wanted when we last saw it (to be given back); LIMIT_INFINITY "max". */
        uint64_t want;
        bool have_want; /* false: the file held the kernel's default and nobody had set a property */
        uint64_t ours; /* what we wrote last */
        bool property; /* we set the unit's property too: a drop-in of ours exists */
        /* A runtime drop-in of somebody else's was there before (dropins_find()): give back, but leave it. */
        bool foreign_dropin;
        bool share; /* an apportioned share: a lease */
        uint64_t lapse; /* share only: the value to write when the guard has been gone for a minute */
        bool have_other; /* the outcome of a write is open: the kernel holds ours or this */
        uint64_t other;
        /* property only: what the unit's property holds by our hand; one of both while a call's outcome is not known */
        uint64_t told, told_before;
} LedgerRecord;

typedef struct Ledger Ledger;

typedef struct LedgerStats {
        size_t n_records;
        unsigned n_damaged; /* lines skipped at open */
        bool set_aside; /* the old file was of another boot or version */
        /* Last error of appending (ENOSPC …), 0: none; records are kept in memory and written again later. */
        int write_error;
} LedgerStats;

/*
 * dir is /run/bailiff (must exist). boot_id of this boot (no blanks).
 * read_only, for ctl-like use: nothing is created, renamed or repaired, changes
 * are -EROFS, a missing file is an empty ledger. An unwritable file is no error
 * here but in write_error. Negative errno of opening dir or reading the file.
 */
int ledger_open(const char *dir, const char *boot_id, bool read_only, Ledger **ret);
Ledger *ledger_free(Ledger *l);
DEFINE_CLEANUP(Ledger *, ledger_free)
/*
 * Adds or replaces the record of (cgroup_id, knob). -ENOSPC etc.: it is in
 * memory but not on file: the caller must not write the kernel. -EINVAL,
 * -ENAMETOOLONG, -ENOMEM: it is not even in memory. Putting what is there already writes nothing.
 */
int ledger_put(Ledger *l, const LedgerRecord *r);
/* Forgets one knob (given back), or with knob NULL all of the cgroup (it is gone). Nothing to forget is 0.
 * An error means that it is forgotten in memory only, and on file later. */
int ledger_remove(Ledger *l, uint64_t cgroup_id, const LimitKnob *knob);
const LedgerRecord *ledger_find(const Ledger *l, uint64_t cgroup_id,
                                LimitKnob knob); /* valid until the next change */
/* for (size_t i = 0; (r = ledger_next(l, &i));): in order of putting as long as nothing was removed. */
const LedgerRecord *ledger_next(const Ledger *l, size_t *i);
/* The records of one cgroup: after NULL for the first, else the one before; NULL at the end. No changes meanwhile. */
const LedgerRecord *ledger_next_of(const Ledger *l, uint64_t cgroup_id, const LedgerRecord *after);
void ledger_get_stats(const Ledger *l, LedgerStats *ret);
