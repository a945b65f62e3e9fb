/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A journal sender that never blocks (adapter: systemd; the native protocol,
 * systemd.io/JOURNAL_NATIVE_PROTOCOL). sd_journal_sendv() blocks when journald
 * does not read; a guard that does so stalls exactly when it is needed. What
 * the socket does not take goes to a bounded backlog (JOURNAL_BACKLOG_BYTES,
 * allocated at the start, oldest dropped and counted), sent later in order by
 * journal_flush(), marked BAILIFF_DELAYED=1 (the journal's own time is that of
 * arrival: callers that care pass a field with theirs); a dropped count is
 * itself told (BAILIFF_DROPPED=N) once the way is free.
 * Where there is no journal socket, lines go to stderr (foreground, containers), unless that is not wanted.
 */

#include "macro.h"

#define JOURNAL_BACKLOG_BYTES (1024 * 1024)
#define JOURNAL_ENTRY_MAX \
        (64 * 1024) /* values of longer entries are shortened, and say so: BAILIFF_SHORTENED=1 */

typedef struct JournalField {
        const char *name; /* "BAILIFF_TENANT"; A-Z0-9_ */
        const char *value; /* NULL: field left out; may hold newlines */
} JournalField;

typedef struct JournalStats {
        uint64_t sent, queued, dropped;
        size_t backlog_bytes, backlog_entries;
} JournalStats;

typedef struct Journal Journal;

/* socket_path: "/run/systemd/journal/socket"; identifier: SYSLOG_IDENTIFIER. to_stderr: also (or only, when
 * there is no socket: then nothing is kept in the backlog) print MESSAGE lines, as far as stderr takes them
 * without blocking, control characters replaced. -ENAMETOOLONG, -ENOMEM, or negative errno of socket(2). */
int journal_new(const char *socket_path, const char *identifier, bool to_stderr, Journal **ret);
Journal *journal_free(Journal *j); /* tries to flush once, without blocking */
DEFINE_CLEANUP(Journal *, journal_free)
/* priority 0..7 (syslog(3)); message_id: 32 hex digits or NULL. Fields with a name that the journal would
 * refuse are left out. Never fails, never blocks, never allocates. */
void journal_send(Journal *j, int priority, const char *message_id, const char *message,
                  const JournalField *fields, size_t n);
/* Send what waits; call on a slow timer while it returns false. Returns true when nothing waits any more. */
bool journal_flush(Journal *j);
void journal_get_stats(const Journal *j, JournalStats *ret);
