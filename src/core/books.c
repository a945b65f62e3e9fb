/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Accounting: from samples to books, from books to tenants.
 *
 * A cgroup's book is a sum of differences between samples. That alone survives what happens
 * to counters: one that went back has begun anew, so its value is what it counted since; a
 * guard that restarts goes on from the last sample that it kept; the past before the first
 * sample is nobody's, unless the cgroup was born under our eyes.
 *
 * A tenant has two witnesses of the same use. Its containers' books know who used it, but
 * not what was used by a container too short-lived for a sample, after the last one, or by a
 * plain service beside the containers. Its slices' own counters know all of that, for the
 * kernel keeps what the dead used, but only for some fields, only inside of the slice, and
 * only up to the slice's last sample, which may be the older one. Each of them alone never
 * exceeds the truth and never goes back, so the higher one is told, and what the containers
 * cannot explain of it is the unseen part. The floor is for what is left: a guard that died
 * after it told a number and before it saved what the number was made of.
 *
 * Additions saturate: a sum that is stuck at the end is wrong by little, one that wrapped is
 * nonsense. Saturating sums of unsigned numbers do not depend on order, and neither do the
 * remainders, which are added exactly.
 */

#include "books.h"
#include "num.h"

#define REST_PER_KIB_SECOND (2 * 1024 * USEC_PER_SEC)

static const BookInfo infos[_BOOK_MAX] = {
        [BOOK_CPU_USEC] = { "cpu_usec", "cpu_seconds", SAMPLE_CPU_USAGE, UNIT_USEC, true },
        [BOOK_CPU_USER_USEC] = { "cpu_user_usec", "cpu_user_seconds", SAMPLE_CPU_USER, UNIT_USEC, true },
        [BOOK_CPU_SYSTEM_USEC] = { "cpu_system_usec", "cpu_system_seconds", SAMPLE_CPU_SYSTEM, UNIT_USEC,
                                   true },
        [BOOK_PERIODS] = { "cpu_periods", "cpu_periods", SAMPLE_CPU_PERIODS, UNIT_COUNT, false },
        [BOOK_THROTTLED_PERIODS] = { "cpu_throttled_periods", "cpu_throttled_periods", SAMPLE_CPU_THROTTLED,
                                     UNIT_COUNT, false },
        [BOOK_THROTTLED_USEC] = { "cpu_throttled_usec", "cpu_throttled_seconds", SAMPLE_CPU_THROTTLED_USEC,
                                  UNIT_USEC, false },
        [BOOK_IO_RBYTES] = { "io_read_bytes", "io_read_bytes", SAMPLE_IO_RBYTES, UNIT_BYTES, true },
        [BOOK_IO_WBYTES] = { "io_write_bytes", "io_write_bytes", SAMPLE_IO_WBYTES, UNIT_BYTES, true },
        [BOOK_IO_RIOS] = { "io_read_ops", "io_read_ops", SAMPLE_IO_RIOS, UNIT_COUNT, true },
        [BOOK_IO_WIOS] = { "io_write_ops", "io_write_ops", SAMPLE_IO_WIOS, UNIT_COUNT, true },
        [BOOK_NET_RX_BYTES] = { "network_receive_bytes", "network_receive_bytes", SAMPLE_NET_RX_BYTES,
                                UNIT_BYTES, false },
        [BOOK_NET_RX_PACKETS] = { "network_receive_packets", "network_receive_packets", SAMPLE_NET_RX_PACKETS,
                                  UNIT_COUNT, false },
        [BOOK_NET_RX_ERRORS] = { "network_receive_errors", "network_receive_errors", SAMPLE_NET_RX_ERRORS,
                                 UNIT_COUNT, false },
        [BOOK_NET_RX_DROPPED] = { "network_receive_packets_dropped", "network_receive_packets_dropped",
                                  SAMPLE_NET_RX_DROPPED, UNIT_COUNT, false },
        [BOOK_NET_TX_BYTES] = { "network_transmit_bytes", "network_transmit_bytes", SAMPLE_NET_TX_BYTES,
                                UNIT_BYTES, false },
        [BOOK_NET_TX_PACKETS] = { "network_transmit_packets", "network_transmit_packets",
                                  SAMPLE_NET_TX_PACKETS, UNIT_COUNT, false },
        [BOOK_NET_TX_ERRORS] = { "network_transmit_errors", "network_transmit_errors", SAMPLE_NET_TX_ERRORS,
                                 UNIT_COUNT, false },
        [BOOK_NET_TX_DROPPED] = { "network_transmit_packets_dropped", "network_transmit_packets_dropped",
                                  SAMPLE_NET_TX_DROPPED, UNIT_COUNT, false },
        [BOOK_CPU_SOME_USEC] = { "cpu_some_usec", "cpu_some_seconds", SAMPLE_CPU_SOME, UNIT_USEC, false },
        [BOOK_CPU_FULL_USEC] = { "cpu_full_usec", "cpu_full_seconds", SAMPLE_CPU_FULL, UNIT_USEC, false },
        [BOOK_MEMORY_SOME_USEC] = { "memory_some_usec", "memory_some_seconds", SAMPLE_MEMORY_SOME, UNIT_USEC,
                                    false },
        [BOOK_MEMORY_FULL_USEC] = { "memory_full_usec", "memory_full_seconds", SAMPLE_MEMORY_FULL, UNIT_USEC,
                                    false },
        [BOOK_IO_SOME_USEC] = { "io_some_usec", "io_some_seconds", SAMPLE_IO_SOME, UNIT_USEC, false },
        [BOOK_IO_FULL_USEC] = { "io_full_usec", "io_full_seconds", SAMPLE_IO_FULL, UNIT_USEC, false },
        [BOOK_IRQ_FULL_USEC] = { "irq_full_usec", "irq_full_seconds", SAMPLE_IRQ_FULL, UNIT_USEC, false },
        [BOOK_REFAULTS] = { "refaults", "refaults", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_MAJOR_FAULTS] = { "major_faults", "major_faults", SAMPLE_PGMAJFAULT, UNIT_COUNT, false },
        [BOOK_HITS_MEMORY_HIGH] = { "hits_memory_high", "memory_high_hits", SAMPLE_EVENTS_HIGH, UNIT_COUNT,
                                    false },
        [BOOK_HITS_MEMORY_MAX] = { "hits_memory_max", "memory_max_hits", SAMPLE_EVENTS_MAX, UNIT_COUNT,
                                   false },
        [BOOK_HITS_TASKS_MAX] = { "hits_tasks_max", "tasks_max_hits", SAMPLE_PIDS_EVENTS_MAX, UNIT_COUNT,
                                  false },
        [BOOK_OOMS] = { "ooms", "ooms", SAMPLE_EVENTS_OOM, UNIT_COUNT, false },
        [BOOK_OOM_KILLS] = { "oom_kills", "oom_kills", SAMPLE_EVENTS_OOM_KILL, UNIT_COUNT, false },
        [BOOK_MEMORY_KIB_SECONDS] = { "memory_kib_seconds", "memory_kibibyte_seconds", _SAMPLE_INVALID,
                                      UNIT_COUNT, false },
        [BOOK_SWAP_KIB_SECONDS] = { "swap_kib_seconds", "swap_kibibyte_seconds", _SAMPLE_INVALID, UNIT_COUNT,
                                    false },
        [BOOK_STARTS] = { "starts", "container_starts", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_ENDS] = { "ends", "container_ends", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_ENDS_OOM] = { "ends_oom", "container_oom_ends", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_ENDS_UNREAD] = { "ends_unread", "container_unread_ends", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_UNSEEN_USEC] = { "unseen_usec", "container_unseen_seconds", _SAMPLE_INVALID, UNIT_USEC, false },
        [BOOK_LIFE_USEC] = { "life_usec", "container_life_seconds", _SAMPLE_INVALID, UNIT_USEC, false },
        [BOOK_RESETS] = { "resets", "counter_resets", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_PEAK_MEMORY] = { "peak_memory_bytes", "memory_peak_bytes", _SAMPLE_INVALID, UNIT_BYTES, false },
        [BOOK_PEAK_SWAP] = { "peak_swap_bytes", "swap_peak_bytes", _SAMPLE_INVALID, UNIT_BYTES, false },
        [BOOK_PEAK_TASKS] = { "peak_tasks", "tasks_peak", _SAMPLE_INVALID, UNIT_COUNT, false },
        [BOOK_PEAK_MEMORY_KIND] = { "peak_memory_kind", "memory_peak_kind", _SAMPLE_INVALID, UNIT_COUNT,
                                    false },
};

/* The fields that have a remainder, in the order of Book.rest. */
static const BookField with_rest[] = { BOOK_MEMORY_KIB_SECONDS, BOOK_SWAP_KIB_SECONDS };
_Static_assert(ARRAY_SIZE(with_rest) == ARRAY_SIZE(((Book *)NULL)->rest), "a rest each");

const BookInfo *book_info(BookField f) { return &infos[f]; }

BookField book_field_from_name(const char *name) {
        for (int f = 0; f < _BOOK_MAX; f++)
                if (STR_EQ(infos[f].name, name))
                        return (BookField)f;
        return _BOOK_INVALID;
}

static void add(Book *b, BookField f, uint64_t n) { b->v[f] = num_add_sat(b->v[f], n); }

/* ---- one cgroup ---- */

/* Returns by how much it grew. */
static uint64_t count(Book *b, BookField f, SampleField from, const Sample *before, const Sample *now,
                      bool *reset) {
        uint64_t was, is = now->v[from];

        if (!sample_has(now, from) || (before && !sample_has(before, from)))
                return 0;
        was = before ? before->v[from] : 0;
        if (is < was) {
                *reset = true;
                was = 0;
        }
        add(b, f, is - was);
        return is - was;
}

static void count_all(Book *b, const Sample *before, const Sample *now) {
        bool reset = false;

        for (int f = 0; f < _BOOK_COUNTERS; f++) {
                uint64_t n;

                if (infos[f].from < 0)
                        continue;
                n = count(b, (BookField)f, infos[f].from, before, now, &reset);
                if (f == BOOK_OOM_KILLS && n > 0)
                        b->oom_at = MAX_OF(now->at, (usec_t)1);
        }
        (void)count(b, BOOK_REFAULTS, SAMPLE_REFAULT_ANON, before, now, &reset);
        (void)count(b, BOOK_REFAULTS, SAMPLE_REFAULT_FILE, before, now, &reset);
        if (reset)
                add(b, BOOK_RESETS, 1);
}

/* Half of span at so many bytes. */
static void add_half_span(Book *b, size_t i, uint64_t bytes, usec_t span) {
        unsigned __int128 v = (unsigned __int128)bytes * span + b->rest[i], whole = v / REST_PER_KIB_SECOND;

        add(b, with_rest[i], whole > UINT64_MAX ? UINT64_MAX : (uint64_t)whole);
        b->rest[i] = (uint64_t)(v % REST_PER_KIB_SECOND);
}

static void add_span(Book *b, size_t i, SampleField from, const Sample *before, const Sample *now,
                     usec_t span) {
        if (!sample_has(before, from))
                return;
        add_half_span(b, i, before->v[from], span);
        add_half_span(b, i, sample_has(now, from) ? now->v[from] : before->v[from], span);
}

static void raise_peak(Book *b, BookField f, uint64_t v) { b->v[f] = MAX_OF(b->v[f], v); }

/* Of two equal ones the better known. */
static void raise_memory_peak(Book *b, uint64_t v, uint64_t kind) {
        if (v < b->v[BOOK_PEAK_MEMORY] ||
            (v == b->v[BOOK_PEAK_MEMORY] && kind <= b->v[BOOK_PEAK_MEMORY_KIND]))
                return;
        b->v[BOOK_PEAK_MEMORY] = v;
        b->v[BOOK_PEAK_MEMORY_KIND] = kind;
}

static void raise_peaks(Book *b, const Sample *now) {
        uint64_t kind = now->v[SAMPLE_PEAK_KIND];

        if (!sample_has(now, SAMPLE_PEAK_KIND) || kind >= _PEAK_MAX)
                kind = PEAK_SAMPLED;
        if (sample_has(now, SAMPLE_MEMORY_PEAK))
                raise_memory_peak(b, now->v[SAMPLE_MEMORY_PEAK], kind);
        /* Read a moment apart from the peak, which may have been reset in between. */
        if (sample_has(now, SAMPLE_MEMORY))
                raise_memory_peak(b, now->v[SAMPLE_MEMORY], PEAK_SAMPLED);
        /* Values that are not had are 0. */
        raise_peak(b, BOOK_PEAK_SWAP, MAX_OF(now->v[SAMPLE_SWAP], now->v[SAMPLE_SWAP_PEAK]));
        raise_peak(b, BOOK_PEAK_TASKS, MAX_OF(now->v[SAMPLE_PIDS], now->v[SAMPLE_PIDS_PEAK]));
}

void book_account(Book *b, const Sample *before, const Sample *now, bool born) {
        usec_t span;

        raise_peaks(b, now);
        if (!before) {
                if (!born)
                        return;
                b->v[BOOK_STARTS] = 1;
                count_all(b, NULL, now);
                return;
        }
        span = now->at > before->at ? now->at - before->at : 0;
        add(b, BOOK_LIFE_USEC, span);
        add_span(b, 0, SAMPLE_MEMORY, before, now, span);
        add_span(b, 1, SAMPLE_SWAP, before, now, span);
        count_all(b, before, now);
}

void book_end(Book *b, const Sample *last, usec_t now, BookEnd how) {
        b->v[BOOK_ENDS] = 1;
        if (b->oom_at > 0 && (now <= b->oom_at || now - b->oom_at <= BOOK_LAST_USEC))
                b->v[BOOK_ENDS_OOM] = 1;
        if (how != BOOK_END_UNREAD)
                return;
        b->v[BOOK_ENDS_UNREAD] = 1;
        if (last && now > last->at)
                add(b, BOOK_UNSEEN_USEC, now - last->at);
}

static uint64_t earlier(uint64_t a, uint64_t b) { return a == 0 || b == 0 ? MAX_OF(a, b) : MIN_OF(a, b); }

static void add_peaks(Book *to, const Book *from) {
        raise_memory_peak(to, from->v[BOOK_PEAK_MEMORY], from->v[BOOK_PEAK_MEMORY_KIND]);
        raise_peak(to, BOOK_PEAK_SWAP, from->v[BOOK_PEAK_SWAP]);
        raise_peak(to, BOOK_PEAK_TASKS, from->v[BOOK_PEAK_TASKS]);
}

void book_add(Book *to, const Book *from) {
        to->since_realtime = earlier(to->since_realtime, from->since_realtime);
        to->oom_at = MAX_OF(to->oom_at, from->oom_at);
        for (int f = 0; f < _BOOK_COUNTERS; f++)
                add(to, (BookField)f, from->v[f]);
        for (size_t i = 0; i < ARRAY_SIZE(with_rest); i++) {
                uint64_t rest = num_add_sat(to->rest[i], from->rest[i]);

                add(to, with_rest[i], rest / REST_PER_KIB_SECOND);
                to->rest[i] = rest % REST_PER_KIB_SECOND;
        }
        add_peaks(to, from);
}

/* ---- a tenant ---- */

static bool fold(Book *to, uint64_t *last, uint64_t cgroup_id, const Book *from) {
        if (*last == cgroup_id)
                return false;
        book_add(to, from);
        *last = cgroup_id;
        return true;
}

bool book_tenant_fold(TenantBook *t, uint64_t cgroup_id, const Book *ended) {
        return fold(&t->ended, &t->last_fold, cgroup_id, ended);
}

bool book_tenant_fold_slice(TenantBook *t, uint64_t cgroup_id, const Book *slice) {
        return fold(&t->slices, &t->last_slice, cgroup_id, slice);
}

/* So that live + ended is total to the unit, although a whole unit may be made of both their rests. */
static void tell_rests_in_live(BookParts *p) {
        for (size_t i = 0; i < ARRAY_SIZE(with_rest); i++) {
                BookField f = with_rest[i];
                uint64_t rest = p->total.rest[i], ended = p->ended.rest[i];

                p->live.v[f] = p->total.v[f] - p->ended.v[f];
                p->live.rest[i] = rest > ended ? rest - ended : 0;
        }
}

void book_tenant_parts(TenantBook *t, const Book *const *live, const bool *below, size_t n_live,
                       const Book *const *slices, size_t n_slices, const Book *ended_below, BookParts *ret) {
        Book of_slices = t->slices, outside = {};
        BookParts p = { .ended = t->ended };

        for (size_t i = 0; i < n_live; i++) {
                book_add(&p.live, live[i]);
                if (!below[i])
                        book_add(&outside, live[i]);
        }
        for (size_t i = 0; i < n_slices; i++)
                book_add(&of_slices, slices[i]);

        p.total = p.live;
        book_add(&p.total, &p.ended);
        tell_rests_in_live(&p);
        for (int f = 0; f < _BOOK_COUNTERS; f++) {
                uint64_t seen = p.total.v[f], most = seen;

                if (infos[f].hierarchical) {
                        uint64_t dead = p.ended.v[f], inside = ended_below ? ended_below->v[f] : 0;

                        dead -= MIN_OF(dead, inside);
                        most = MAX_OF(most, num_add_sat(of_slices.v[f], num_add_sat(outside.v[f], dead)));
                }
                most = MAX_OF(most, t->floor.v[f]);
                p.total.v[f] = most;
                p.unseen.v[f] = most - seen;
        }
        add_peaks(&p.total, &of_slices);
        add_peaks(&p.total, &t->floor);
        p.total.since_realtime =
                earlier(p.total.since_realtime, earlier(of_slices.since_realtime, t->floor.since_realtime));
        p.unseen.since_realtime = p.total.since_realtime;
        t->floor = p.total;
        *ret = p;
}
