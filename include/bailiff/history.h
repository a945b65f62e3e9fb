/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The last half hour of samples (layer: model, pure): a bounded stream of
 * records that the guard appends to and hands out from a cursor, and that top,
 * usage and the exporter read.
 *
 * An export, version 2. Numbers are LEB128 varints unless said; "delta" is zigzag-coded:
 *
 *   header       HistoryHeader, 72 bytes, little-endian
 *   definitions  n_definitions times: index, kind, cgroup id, since realtime µs, tenant, name, cgroup path (each length +
 *                bytes): every subject that is new, or was renamed, since the cursor; all of them where records were lost.
 *                Not those that ended before begin
 *   records      to the end; one type byte, then
 *     1 CHUNK    base realtime µs, base monotonic µs, fields in pages (a mask): every index' last values and last mask
 *                are 0 from here on, nothing is had, and the first deltas of index and of time are against 0
 *     2 SAMPLE   delta of the index against the record before, delta of ms since base against the record before, fields
 *                that follow (a mask, XORed with the last one of this index), a delta for each against the last
 *                value of this index
 *     3 SAMPLE_LESS  as 2, then fields that are not had any more (a mask): their last value is 0
 *     4 GONE     deltas of index and ms as above: the cgroup ended
 *     ≥ 64       length, as many bytes: skipped by whoever does not know it
 *
 * A mask is a number that says which of its sixteen bytes are not 0 (lowest: bits 0 to 7), and those. Deltas are modulo
 * 2^64. That of a field in pages is 1 more than the zigzag-coded number of 4096 bytes, or, where it is no multiple
 * of those, a 0 and then as any other. Fields that a reader does not know it reads and leaves out.
 *
 * Version 1 had masks of eight bytes, and a whole byte where that number is now; it is read, too.
 *
 * An index is never used again in the life of a guard. A cursor is a position in the stream since the guard
 * started, always at the beginning of a record. An export begins right at the cursor asked for (the reader has the
 * values before it), else, where that is 0 or not kept any more, at the oldest CHUNK that is kept.
 */

#include "buf.h"
#include "sample.h"

#define HISTORY_MAGIC "bailhist"
#define HISTORY_VERSION 2
#define HISTORY_SPAN_USEC (30 * 60 * USEC_PER_SEC)
#define HISTORY_BYTES_MAX (8 * 1024 * 1024)
#define HISTORY_TEXT_MAX 4095 /* longer names are cut */

typedef enum HistoryKind { HISTORY_HOST = 1, HISTORY_SLICE, HISTORY_CONTAINER } HistoryKind;

typedef struct HistoryHeader {
        char magic[8];
        uint32_t version, header_bytes;
        uint64_t instance; /* of the guard: another one counts cursors and indices anew */
        uint64_t begin, end; /* cursors of the first record in here, and of what comes next */
        uint64_t lost; /* bytes of the stream since the cursor asked for (if any), not kept any more */
        uint64_t realtime, monotonic; /* µs, when it was handed out */
        uint64_t n_definitions;
} HistoryHeader;
_Static_assert(sizeof(HistoryHeader) == 72, "on the wire");

typedef struct HistoryWho {
        HistoryKind kind;
        uint64_t cgroup_id, since_realtime;
        const char *tenant, *name, *cgroup; /* "" where there is none; borrowed for the call */
} HistoryWho;

/* ---- the writer: the guard's ---- */

typedef struct History History;

/*
 * bytes_max bounds all that is kept, definitions too, and span its age: the oldest chunk goes first, with the
 * definitions of the dead whose last record was in it. On top come the last values of the living (half a KB each), and
 * the newest chunk's 64 KiB where the definitions of the living leave no room for it. A chunk ends when it has 64 KiB and
 * eight times what values took that it had not told before (repeating them costs an eighth), or half of the room, after
 * a sixth of the span, or when the realtime clock was set. Memory is taken as it is needed.
 */
int history_new(uint64_t instance, size_t bytes_max, usec_t span, History **ret);
History *history_free(History *h);
DEFINE_CLEANUP(History *, history_free)

/* A subject. -ENOMEM. */
int history_add(History *h, const HistoryWho *who, uint32_t *ret_index);
/* Its name or tenant became known, or is another. -ENOMEM: the old one stays; -ENOENT: no such index, or it ended. */
int history_rename(History *h, uint32_t index, const HistoryWho *who);
/*
 * Appends a sample: of `fields`, those that s has and whose value is another than in the last record of this index in this
 * chunk. Nothing changed is a few bytes and told all the same: "looked, the same". -ENOENT: no such index; -ENOMEM: not
 * recorded, counted. Both clocks at the time of the look: s->at and realtime.
 */
int history_append(History *h, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime);
/* It ended: a GONE record (told later where memory is short); no more of this index. */
void history_remove(History *h, uint32_t index, usec_t now, uint64_t realtime);

typedef struct HistoryStats {
        uint64_t first, next; /* cursors: of the oldest record kept, of the next one */
        uint64_t first_realtime; /* of the oldest chunk; 0: empty */
        size_t bytes, n_chunks, n_subjects; /* held; the dead whose records are kept included */
        uint64_t n_dropped; /* samples that could not be recorded */
} HistoryStats;
void history_get_stats(const History *h, HistoryStats *ret);

/*
 * Appends an export to out. instance: the reader's, 0 or another one: as with cursor 0. since_realtime > 0 with such a
 * cursor: begins at the last CHUNK that began at or before it. -ENOMEM, out as it was.
 */
int history_export(const History *h, uint64_t instance, uint64_t cursor, uint64_t since_realtime,
                   uint64_t realtime, usec_t now, Buf *out);

/* ---- the reader: total on any bytes ---- */

typedef struct HistoryReader HistoryReader;

typedef struct HistoryHandler {
        /* A subject is new or changed; the same may be told twice. Strings live until the next call of history_read() or
         * history_reader_free(). */
        void (*define)(void *user, uint32_t index, const HistoryWho *who);
        /* The whole sample as it is now, with fields carried over from earlier records of the chunk; s->at is monotonic
         * µs. fields: those that this very record gave, or took away: one of these that s has not is not had any more. Fields
         * had in an earlier chunk only are not had, and nothing is said of them. */
        void (*sample)(void *user, uint32_t index, const Sample *s, SampleMask fields, uint64_t realtime);
        void (*gone)(void *user, uint32_t index, uint64_t realtime);
        void *user;
} HistoryHandler;

/* Keeps what it knows between calls, so that a follower feeds it one export after the other. */
HistoryReader *history_reader_new(void); /* NULL: no memory */
HistoryReader *history_reader_free(HistoryReader *r);
DEFINE_CLEANUP(HistoryReader *, history_reader_free)
/*
 * Reads one export, asked for with the reader's instance and cursor. Of another instance than before, or where records
 * were lost: all is forgotten first, and *ret_anew is true (also at the first read); it is set before the handler is called.
 * 0; -EBADMSG: no such stream, or damaged (what was told before stands); -EPROTONOSUPPORT: of a later version; -ENOMEM. After
 * a failure the reader knows nothing: cursor 0, and the next read is anew. Memory is bounded by the input's size: a
 * subject takes half a KB.
 */
int history_read(HistoryReader *r, const void *data, size_t len, const HistoryHandler *h, bool *ret_anew);
uint64_t history_reader_cursor(const HistoryReader *r); /* 0 at first */
uint64_t history_reader_instance(const HistoryReader *r);
