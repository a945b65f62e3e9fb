/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The memory of a cgroup's limits, and what becomes of it when writes and
 * SetUnitProperties are answered. Three companions work on it:
 * recon-learn.c (what did others do?), recon-plan.c (what is to be written?)
 * and recon-property.c (what is PID 1 to be told?).
 *
 * The central distinction is who put the kernel's present value there. `holds`
 * says that it is ours; it becomes true by a write of ours that succeeded (or by seeing
 * the value of one whose outcome we were never told) and false as soon as the
 * file is seen to hold something else, or a value was given back. Only values
 * that are not ours can become wants, and only ours are given back.
 */

#include "reconcile.h"
#include "recon-internal.h"

/* As in cgroupfs/writer.h, which a pure layer does not include. */
enum { WRITE_GONE = 1, WRITE_ABOVE = 2, WRITE_TIMEOUT = 3, WRITE_SKIPPED = 4 };

const char *drift_cause_to_string(DriftCause c) {
        static const char *const names[_DRIFT_MAX] = {
                [DRIFT_RELOAD] = "reload", [DRIFT_ENGINE] = "engine",   [DRIFT_PROPERTY] = "property",
                [DRIFT_RAW] = "raw write", [DRIFT_UNKNOWN] = "unknown",
        };

        return (unsigned)c < _DRIFT_MAX ? names[c] : "unknown";
}

const char *knob_state_to_string(KnobState s) {
        static const char *const names[_KNOB_STATE_MAX] = {
                [KNOB_OK] = "ok",
                [KNOB_PENDING] = "pending",
                [KNOB_SQUEEZING] = "squeezing",
                [KNOB_KERNEL_ONLY] = "kernel-only",
                [KNOB_DRIFTED] = "drifted",
                [KNOB_HELD] = "held",
                [KNOB_OBSERVED] = "observed",
                [KNOB_UNWRITABLE] = "unwritable",
                [KNOB_RESTORING] = "restoring",
        };

        return (unsigned)s < _KNOB_STATE_MAX ? names[s] : "unknown";
}

const char *recon_event_to_string(ReconEventKind k) {
        static const char *const names[_RECON_EVENT_MAX] = {
                [RECON_DRIFT] = "drift",           [RECON_REPAIRED] = "repaired", [RECON_FIGHT] = "fight",
                [RECON_CAPPED] = "capped",         [RECON_HOLD] = "hold",         [RECON_SET] = "set",
                [RECON_GIVEN_BACK] = "given-back", [RECON_WOULD] = "would",       [RECON_SQUEEZE] = "squeeze",
                [RECON_REFUSED] = "refused",
        };

        return (unsigned)k < _RECON_EVENT_MAX ? names[k] : "unknown";
}

/* ---- knobs ---- */

ReconKnob *recon_search(ReconKnob *knobs, size_t n, LimitKnob knob, size_t *ret_pos) {
        size_t lo = 0, hi = n;

        while (lo < hi) {
                size_t mid = lo + (hi - lo) / 2;
                int c = limit_knob_cmp(knobs[mid].knob, knob);

                if (c == 0)
                        return &knobs[mid];
                if (c < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        if (ret_pos)
                *ret_pos = lo;
        return NULL;
}

ReconKnob *recon_insert(ReconKnob **knobs, size_t *n, size_t *alloc, LimitKnob knob) {
        ReconKnob *k;
        size_t pos;

        k = recon_search(*knobs, *n, knob, &pos);
        if (k)
                return k;
        if (GROW(*knobs, *n, *alloc) < 0)
                return NULL;
        k = *knobs + pos;
        memmove(k + 1, k, (*n - pos) * sizeof(*k));
        (*n)++;
        *k = (ReconKnob){ .knob = knob };
        return k;
}

const ReconKnob *recon_find(const Recon *r, LimitKnob knob) {
        return recon_search(r->knobs, r->n, knob, NULL);
}

void recon_deinit(Recon *r) {
        free(r->knobs);
        *r = (Recon){};
}

void recon_unhold(Recon *r) {
        for (size_t i = 0; i < r->n; i++)
                r->knobs[i].held_until = 0;
}

int recon_adopt(Recon *r, const ReconMemory *m) {
        ReconKnob *k;

        k = recon_insert(&r->knobs, &r->n, &r->alloc, m->knob);
        if (!k)
                return -ENOMEM;
        *k = (ReconKnob){
                .knob = m->knob,
                .is_desired = true, /* until the first step knows better: a drift meanwhile is no wish */
                .desired = m->ours,
                .adopted = true,
                .have_ours = true,
                .holds = true,
                .ours = m->ours,
                .actual = m->ours,
                .have_actual = true,
                .have_attempt = m->have_other,
                .attempt = m->other,
                .share = m->share,
                .share_ours = m->share,
                .lapse = m->lapse,
                .ours_property = m->property,
                .told = m->told,
                .told_before = m->told_before,
                .remembered = 1, /* something, to be forgotten; and put again if it is not the same */
        };
        recon_set_want(k, m->have_want ? m->want : limit_info(m->knob.limit)->unset);
        /* A value that nobody wants otherwise was only carried in a push. */
        if (m->property && m->have_want && m->want == m->ours && m->told == m->ours &&
            m->told_before == m->ours) {
                k->carried = true;
                k->is_desired = k->have_ours = k->holds = false;
        }
        if (!m->share && (!m->property || m->told != m->ours))
                r->property_dirty = true;
        return 0;
}

/* ---- plans ---- */

void recon_plan_clear(ReconPlan *p) {
        p->n_writes = p->n_remember = p->n_forget = p->n_events = 0;
        p->need_properties = p->need_engine = p->push_property = false;
        limit_set_clear(&p->property);
        limit_set_clear(&p->property_give_back);
        p->next = USEC_INFINITY;
}

void recon_plan_deinit(ReconPlan *p) {
        free(p->writes);
        free(p->remember);
        free(p->forget);
        free(p->events);
        limit_set_deinit(&p->property);
        limit_set_deinit(&p->property_give_back);
        *p = (ReconPlan){};
}

size_t recon_write_span(const ReconPlan *p, size_t i) {
        const LimitKnob first = p->writes[i].knob;
        size_t n = 1;

        while (i + n < p->n_writes && p->writes[i + n].knob.dev == first.dev &&
               limit_info(p->writes[i + n].knob.limit)->file == limit_info(first.limit)->file)
                n++;
        return n;
}

int recon_write_text(const ReconPlan *p, size_t i, const LimitSet *actual, Buf *out) {
        LimitSet set = LIMIT_SET_INIT;
        const LimitKnob first = p->writes[i].knob;
        size_t n = recon_write_span(p, i);
        int r = 0;

        for (size_t j = i; j < i + n && r == 0; j++)
                r = limit_set_put(&set, p->writes[j].knob, p->writes[j].value, 0);
        if (r == 0)
                r = limits_format_file(limit_info(first.limit)->file, first.dev, &set, actual, out);
        limit_set_deinit(&set);
        return r;
}

int recon_event(ReconPlan *p, const ReconKnob *k, ReconEventKind kind, const uint64_t *saw, usec_t until) {
        if (GROW(p->events, p->n_events, p->events_alloc) < 0)
                return -ENOMEM;
        p->events[p->n_events++] = (ReconEvent){
                .kind = kind,
                .knob = k->knob,
                .saw = saw ? *saw : 0,
                .have_saw = saw != NULL,
                .desired = k->desired,
                .cause = k->cause,
                .origin = k->origin,
                .until = until,
                .error = k->error,
        };
        return 0;
}

usec_t recon_backoff(usec_t before) {
        return before == 0 ? USEC_PER_SEC : MIN_OF(before * 2, RECON_BACKOFF_MAX);
}

/* ---- the ledger's part ---- */

static uint64_t digest(const ReconMemory *m) {
        const uint64_t words[] = { m->want,
                                   m->ours,
                                   m->lapse,
                                   m->told,
                                   m->told_before,
                                   m->other,
                                   m->have_other << 3 | m->have_want | m->property << 1 | m->share << 2 };
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
                h ^= h >> 29;
        }
        return h | UINT64_C(1) << 63; /* never 0 ("nothing") nor 1 ("of an earlier guard") */
}

int recon_remember(ReconPlan *p, ReconKnob *k) {
        /* What is being given back stays ours until it is. */
        bool open = k->have_attempt && k->is_desired, both = open && k->have_ours && k->attempt != k->ours;
        ReconMemory m = {
                .knob = k->knob,
                .want = recon_want(k),
                .ours = k->have_ours ? k->ours
                        : open       ? k->attempt
                                     : k->told,
                .have_other = both,
                .other = both ? k->attempt : 0,
                .property = k->ours_property,
                .told = k->ours_property ? k->told : 0,
                .told_before = k->ours_property ? k->told_before : 0,
                .share = open ? k->share : k->share_ours,
        };

        if (both && (m.other < m.ours || recon_exact(k->knob.limit, false))) {
                m.other = m.ours;
                m.ours = k->attempt;
        }
        m.have_want = m.want != limit_info(k->knob.limit)->unset;
        if (m.share)
                m.lapse = k->lapse;
        if (k->remembered == digest(&m))
                return 0;
        if (GROW(p->remember, p->n_remember, p->remember_alloc) < 0)
                return -ENOMEM;
        p->remember[p->n_remember++] = m;
        k->remembered = digest(&m);
        return 0;
}

/* ---- outcomes ---- */

static int repaired(ReconKnob *k, uint64_t saw, usec_t now, ReconPlan *out) {
        int r = 0;

        recon_settle(k);
        k->n_repairs++;
        k->n_burst++;
        k->last_repair = now;
        k->backoff = recon_backoff(k->backoff);
        if (!k->fighting)
                r = recon_event(out, k, RECON_REPAIRED, &saw, 0);
        if (!k->fighting && k->n_burst >= RECON_FIGHT_REPAIRS) {
                k->fighting = true;
                if (r == 0)
                        r = recon_event(out, k, RECON_FIGHT, &saw, 0);
        }
        return r;
}

static int gave_back(ReconKnob *k, uint64_t value, ReconPlan *out) {
        uint64_t had = k->ours;
        int r;

        r = recon_event(out, k, RECON_GIVEN_BACK, &had, 0);
        if (r == 0)
                out->events[out->n_events - 1].desired = value;
        k->share_ours = false;
        k->actual = value;
        /* Without the share it may still be a ceiling of ours; or the want has changed meanwhile. */
        k->have_ours = k->holds = value != recon_want(k);
        if (k->holds)
                k->ours = value;
        return r;
}

static int succeeded(Recon *r, ReconKnob *k, uint64_t value, bool give_back, usec_t now, ReconPlan *out) {
        uint64_t saw = k->actual;
        bool have_saw = k->have_actual;
        int e;

        k->error = 0;
        k->retry_backoff = k->not_before = 0;
        k->have_attempt = false;
        k->squeezing = k->squeeze_told = false;
        if (give_back)
                return gave_back(k, value, out);
        k->ours = k->actual = value;
        k->have_ours = k->holds = k->have_actual = true;
        k->carried = k->adopted = false;
        k->share_ours = k->share;
        if (!k->share)
                r->property_dirty = true;
        if (k->drift_open)
                e = repaired(k, saw, now, out);
        else
                e = recon_event(out, k, RECON_SET, have_saw ? &saw : NULL, 0);
        if (e == 0)
                e = recon_remember(out, k);
        return e;
}

static int refused(ReconKnob *k, int error, usec_t now, ReconPlan *out) {
        bool told = k->error == error;

        k->retry_backoff = recon_backoff(k->retry_backoff);
        k->not_before = now + k->retry_backoff;
        k->remembered = 1; /* perhaps the ledger could not take it: say it again */
        switch (error) {
        case -ECANCELED:
        case -ECONNRESET:
        case -EAGAIN:
                return 0; /* never tried */
        default:
                k->error = error;
                return told ? 0 : recon_event(out, k, RECON_REFUSED, NULL, 0);
        }
}

int recon_wrote(Recon *r, LimitKnob knob, uint64_t value, bool give_back, int result, usec_t now,
                ReconPlan *out) {
        ReconKnob *k = recon_search(r->knobs, r->n, knob, NULL);

        /* A foreign value restored after a push, or an answer that came too late. */
        if (!k || !k->in_flight || k->attempt != value)
                return 0;
        k->in_flight = false;
        if (result == 0)
                return succeeded(r, k, value, give_back, now, out);
        if (result < 0) {
                k->have_attempt = false;
                return refused(k, result, now, out);
        }
        /*
         * After a timeout the kernel may hold the value: have_attempt stays and
         * recon_learn() will recognise it. The other results mean not written.
         */
        k->have_attempt = result == WRITE_TIMEOUT;
        k->squeezing = k->squeezing || result == WRITE_ABOVE;
        if (result != WRITE_GONE) {
                k->retry_backoff = recon_backoff(k->retry_backoff);
                k->not_before = now + k->retry_backoff;
        }
        return 0;
}

void recon_property_done(Recon *r, const LimitSet *values, int result, usec_t now) {
        const bool again = r->last_push != 0 && now - r->last_push <= r->push_backoff + RECON_FIGHT_WINDOW;

        if (r->property_in_flight) {
                if (result != -ECANCELED) { /* PID 1 was called */
                        /* It pays for each call: the second within a minute waits, and so on. */
                        r->push_backoff =
                                again || result < 0 ? recon_backoff(again ? r->push_backoff : 0) : 0;
                        r->push_not_before = now + r->push_backoff;
                        r->last_push = MAX_OF(now, (usec_t)1);
                }
                r->property_in_flight = false;
        }
        if (result < 0)
                r->property_dirty = true;
        for (size_t i = 0; i < r->n; i++) {
                ReconKnob *k = &r->knobs[i];
                uint64_t v;

                if (result > 0) {
                        k->ours_property = k->giving = k->have_property = false;
                        continue;
                }
                if (!limit_set_get(values, k->knob, &v))
                        continue;
                if (result == 0) {
                        k->told_before = k->told;
                        k->property = v;
                        k->have_property = true;
                        if (k->giving)
                                k->ours_property = k->carried = false;
                }
                k->giving = false;
        }
}

int recon_restore_foreign(const Recon *r, const LimitSet *before, const LimitSet *after, ReconPlan *plan) {
        for (size_t i = 0; i < before->n; i++) {
                const LimitEntry *e = &before->entries[i];
                const LimitInfo *info = limit_info(e->knob.limit);
                const ReconKnob *k = recon_find(r, e->knob);
                uint64_t now;
                bool lowers;

                /* What has a property was carried in the call; leases were not, on purpose. */
                if (info->property && !(k && k->holds && k->share_ours))
                        continue;
                if (k && k->in_flight)
                        continue;
                if (!limit_set_get(after, e->knob, &now))
                        now = info->unset;
                if (e->value == now)
                        continue;
                if (GROW(plan->writes, plan->n_writes, plan->writes_alloc) < 0)
                        return -ENOMEM;
                lowers = e->value < now;
                /* Not in flight: when it succeeds nothing has changed, when it fails it is drift. */
                plan->writes[plan->n_writes++] = (ReconWrite){
                        .knob = e->knob,
                        .value = e->value,
                        .may_block = lowers && e->knob.limit == LIMIT_MEMORY_HIGH,
                        .headroom_guard = e->knob.limit == LIMIT_MEMORY_MAX,
                };
        }
        return 0;
}

int recon_restore_requested(const Recon *r, const LimitSet *asked, const LimitSet *pushed,
                            const LimitSet *before, const LimitSet *after, ReconPlan *plan) {
        for (size_t i = 0; i < asked->n; i++) {
                const LimitEntry *e = &asked->entries[i];
                const LimitInfo *info = limit_info(e->knob.limit);
                const ReconKnob *k = recon_find(r, e->knob);
                uint64_t had = info->unset, has = info->unset, told;

                /* Only ceilings that PID 1 could have wiped, and that are nobody else's business. */
                if (!info->property || info->sense != LIMIT_CEILING || e->value == info->unset ||
                    e->knob.limit == LIMIT_CPU_PERIOD || e->knob.limit == LIMIT_CPU_BURST)
                        continue;
                if ((k && k->is_desired) || limit_set_get(pushed, e->knob, &told))
                        continue;
                (void)limit_set_get(before, e->knob, &had);
                (void)limit_set_get(after, e->knob, &has);
                if (had != info->unset || has != info->unset)
                        continue;
                if (GROW(plan->writes, plan->n_writes, plan->writes_alloc) < 0)
                        return -ENOMEM;
                plan->writes[plan->n_writes++] = (ReconWrite){
                        .knob = e->knob,
                        .value = e->value,
                        .headroom_guard = e->knob.limit == LIMIT_MEMORY_MAX,
                };
        }
        return 0;
}
