/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Holding one cgroup to its limits (layer: core, pure state machine, `now` is
 * a parameter; INTERFACES.md and DESIGN.md "Who writes what").
 *
 * A Recon is the memory of one cgroup: per knob what others want there (the
 * want, to be given back), what we wrote, repairs and their back-off. The
 * caller's turn, whenever a file changed, a write was answered or plan.next came:
 *
 *   read the kernel's files (and, when the last plan asked, the unit's properties and the
 *       engine's state file, both AFTER the files) into a ReconInput
 *   recon_learn()      what others did since: wants, causes of drift
 *   recon_wants()    → ceiling_combine(policy, share, wants) → in.desired,
 *                      ceiling_combine(policy ∧ whole sum, NULL, wants) → in.unshared
 *   recon_step()     → plan: remember/forget (ledger, first!), writes, property
 *   execute plan.writes in order; each is answered by recon_wrote(), in any later turn, also where
 *       it was never tried (-ECANCELED), and its `remember` goes to the ledger as well. Until
 *       then (at most RECON_FLIGHT_MAX) the knob is in flight and no later plan touches it.
 *   with plan.push_property: read files (before), SetUnitProperties(property ∪ property_give_back),
 *       read files (after), recon_property_done(), recon_restore_foreign(), remove the drop-ins
 *       of property_give_back.
 *
 * Rules:
 *  - Looser than desired is drift; tighter is not (a tighter foreign value becomes the want). Page rounding, whole-percent CPU,
 *    and our own echoes are not drift. CPU_BURST counts as exact here: smaller is not "tighter", and policy alone decides it.
 *    With engine_override every ceiling is exact.
 *  - Ledger before kernel: each write is remembered before it is done, beside the value that it replaces (ReconMemory.other). A guard
 *    that dies in between must take neither for somebody's wish. `ours` is the tighter of both: looser than ours is repaired, but
 *    tighter would be respected for ever.
 *  - Lowering memory.high/max blocks (may_block). memory.max is never set below what is in use (RECON_FITS): while usage is
 *    above, memory.high goes a little below the value first (RECON_SQUEEZE_HIGH, or use would settle right at the value and
 *    never fit), state KNOB_SQUEEZING; memory.max follows when use fits, and memory.high goes back. A squeezed memory.high is a lease like
 *    a share. All of this also where giving back lowers (engine_override).
 *  - Where a file is missing because its controller is not enabled, the value goes to the unit's property at once: PID 1 enables
 *    the controller and writes it. Without a unit (or property) it is KNOB_UNWRITABLE.
 *  - A quota below a foreign burst, or too small for the period, takes burst and period along (the kernel refuses the former,
 *    limits_format_file() lengthens the latter); both are given back with the quota.
 *  - After the kernel holds all values, plan.push_property asks for one SetUnitProperties with ALL our values that the
 *    unit's properties lack, plus every foreign value of the kernel's files that differs from the properties (carry; remembered as
 *    a drop-in of ours, given back with the last of our own). That call writes nearly every file of the unit again, so it is not made
 *    while any knob is unsettled, nor while use is above memory.high (PID 1 would sit in reclaim). Shares and squeezes are never
 *    told to systemd: recon_restore_foreign() puts them back. Where it cannot be told: KNOB_KERNEL_ONLY.
 *  - Drift gets a cause class by evidence: RELOAD (PID 1 wrote the unit's property again: property equals the value seen, and a
 *    Reloading(false) came within RECON_RELOAD_WINDOW or the property is the one we knew), ENGINE (the engine's requested value
 *    equals the value seen, or its config is newer than our write),
 *    PROPERTY (the unit's property equals the value seen and is new), RAW (property differs from the file), UNKNOWN.
 *    For evidence it needs fresh properties (plan.need_properties) and the engine's file (plan.need_engine); after
 *    RECON_EVIDENCE_WAIT it decides without.
 *  - A cause that is somebody's wish (ENGINE, PROPERTY, a changed property at RELOAD) makes the value the want; RAW does not.
 *  - PROPERTY on a target that is a slice or a plain unit (not an engine's): the operator's implicit hold for operator_hold: KNOB_HELD, no
 *    repair until then; a tighter one too is remembered as want.
 *  - ENGINE lower: respected (want falls). ENGINE higher: capped at policy, RECON_CAPPED event once per value.
 *  - Repairs of one knob: at once, then 1, 2, 4 … 60 s apart while drift comes again within RECON_FIGHT_WINDOW; from the fifth repair within
 *    it one RECON_FIGHT event (once per fight; DRIFT and REPAIRED are then only counted), back to calm after RECON_CALM without drift.
 *  - A knob that policy drops (not in desired any more): given back to the want if the kernel still holds ours; left alone otherwise.
 *    The property too, and its drop-in.
 *  - Mode below ceilings, paused, held: nothing is written; `observe` still reports what would be written (RECON_WOULD, once per value).
 *    pause or mode change to observe/off does not give ceilings back (ceilings are policy, not leases) but does give shares and
 *    squeezes back (to in.unshared, else the want). `held` keeps both.
 */

#include <stdint.h>

#include "limits.h"
#include "policy.h"

#define RECON_RELOAD_WINDOW (5 * USEC_PER_SEC)
#define RECON_FIGHT_WINDOW (60 * USEC_PER_SEC)
#define RECON_FIGHT_REPAIRS 5
#define RECON_BACKOFF_MAX (60 * USEC_PER_SEC)
#define RECON_CALM (600 * USEC_PER_SEC)
#define RECON_EVIDENCE_WAIT (3 * USEC_PER_SEC)
#define RECON_SQUEEZE_POLL (2 * USEC_PER_SEC)
#define RECON_FIT_POLL (10 * USEC_PER_SEC)
#define RECON_FLIGHT_MAX (60 * USEC_PER_SEC)

/* May memory.max be set to this value with so much in use? The writer helper asks the same right before the write. */
#define RECON_FITS(use, value) ((use) <= (value) - (value) / 64)
#define RECON_SQUEEZE_HIGH(value) ((value) - (value) / 32)

typedef enum DriftCause {
        DRIFT_RELOAD,
        DRIFT_ENGINE,
        DRIFT_PROPERTY,
        DRIFT_RAW,
        DRIFT_UNKNOWN,
        _DRIFT_MAX,
} DriftCause;
const char *drift_cause_to_string(DriftCause c); /* "reload", "engine", "property", "raw write", "unknown" */

typedef enum KnobState {
        KNOB_OK, /* the kernel holds it, or something tighter that others want */
        KNOB_PENDING, /* about to be written */
        KNOB_SQUEEZING, /* memory.max waits until use fits */
        KNOB_KERNEL_ONLY, /* the kernel holds it, systemd is not told (no property, no unit, a share, or use does not fit) */
        KNOB_DRIFTED, /* looser than desired, repair waits for evidence or its back-off */
        KNOB_HELD, /* an operator's hold */
        KNOB_OBSERVED, /* mode does not allow writing; the value would differ */
        KNOB_UNWRITABLE, /* no such file here (controller off) or the kernel refused: error says */
        KNOB_RESTORING, /* dropped by policy, being given back */
        _KNOB_STATE_MAX,
} KnobState;
/* "ok" "pending" "squeezing" "kernel-only" "drifted" "held" "observed" "unwritable" "restoring" */
const char *knob_state_to_string(KnobState s);

typedef struct ReconKnob {
        LimitKnob knob;
        KnobState state;
        DriftCause cause; /* of the last drift */
        DriftCause cause_reported;
        int error; /* last write's negative errno, 0 */
        uint32_t origin; /* of desired */
        uint32_t n_drifts, n_repairs;
        unsigned n_burst; /* repairs in a row without RECON_FIGHT_WINDOW of calm */

        bool is_desired : 1; /* false: only remembered to be given back */
        bool share : 1; /* desired is a lease: an apportioned share, a squeeze */
        bool have_want : 1; /* false: the kernel's default, nobody set it */
        bool have_engine : 1;
        bool have_ours : 1; /* we wrote it; to be given back while the kernel holds it */
        bool holds : 1; /* the kernel holds ours */
        bool share_ours : 1; /* ours was written as a lease */
        bool ours_property : 1; /* the unit's property was set by us, to `told` */
        bool carried : 1; /* not ours: a foreign value we passed along in a push */
        bool giving : 1; /* its property is being given back in the push under way */
        bool have_actual : 1;
        bool have_property : 1;
        bool have_reported : 1, have_would : 1;
        bool in_flight : 1, have_attempt : 1; /* `attempt` was planned; the kernel may or may not hold it */
        bool drift_open : 1, drift_new : 1, drift_again : 1, unexplained : 1, judge : 1;
        bool held_before : 1; /* the kernel held ours before it drifted */
        bool adopted : 1; /* from the ledger, not yet compared with the kernel */
        bool fighting : 1;
        bool absent : 1; /* no such file: its controller is not enabled here */
        bool squeezing : 1, squeeze_told : 1;

        uint64_t desired;
        uint64_t want; /* what others asked for in the file or property */
        uint64_t engine; /* what the engine's state file asks for */
        uint64_t ours;
        uint64_t told,
                told_before; /* in the property by our hand: one of both while a call's outcome is not known */
        uint64_t lapse; /* leases: what holds without the lease */
        uint64_t actual; /* as last seen, or written by us since */
        uint64_t property; /* of the unit, as last seen, or set by us since */
        uint64_t attempt;
        uint64_t reported, would; /* last value a CAPPED/WOULD event was sent for */
        uint64_t remembered; /* digest of what the ledger was told, 0: nothing */
        usec_t last_drift, last_repair, backoff;
        usec_t retry_backoff, not_before; /* after a failed write */
        usec_t held_until, evidence_since, flight_since;
} ReconKnob;

typedef struct Recon {
        ReconKnob *knobs; /* ordered by knob */
        size_t n, alloc;
        bool property_dirty; /* kernel values are in place that the unit's properties may lack */
        bool property_in_flight;
        usec_t last_push, push_backoff, push_not_before, push_since;
} Recon;

void recon_deinit(Recon *r);

typedef struct ReconInput {
        usec_t now; /* monotonic */
        const LimitSet *desired; /* from ceiling_combine(); may be NULL for recon_learn(), recon_wants() */
        const LimitSet
                *unshared; /* what desired would be without shares; NULL: shares are given back to the want */
        const LimitSet *actual; /* kernel's files, read now */
        uint32_t have_files; /* bits of LimitFile */
        const LimitSet
                *properties; /* read after `actual`; NULL: not known now. One that it lacks is "not set" */
        bool properties_unavailable; /* bus dead, or no unit owns the cgroup: do not wait for them */
        bool has_unit; /* a unit owns the cgroup, or may (not known yet); false ends our memory of its drop-ins */
        bool engine_made; /* a container by an engine (not a slice or plain unit) */
        const LimitSet *engine_wants; /* engine's state file, NULL: unknown */
        bool engine_fresh; /* it was looked at after `actual` was read (or cannot be) */
        bool engine_config_newer; /* it asks for other limits than when we last wrote */
        bool engine_override;
        bool newborn; /* its unit has just started: PID 1 may still be writing what the unit asks for, which is no drift */
        bool release; /* `release --ceilings`, or the target leaves our care: all is given back, whatever mode, pause and desired say */
        usec_t last_reload; /* when Reloading(false) came last; 0: never */
        Mode mode;
        bool paused, held; /* whole host; `bailiffctl hold` on this one */
        usec_t operator_hold;
        uint64_t memory_bytes; /* in use; UINT64_MAX when unknown: memory.max is not lowered then */
        uint64_t page_size;
} ReconInput;

typedef enum ReconEventKind {
        RECON_DRIFT, /* found: knob, saw, desired, cause */
        RECON_REPAIRED, /* sent with the write's success */
        RECON_FIGHT,
        RECON_CAPPED, /* somebody raised it beyond policy */
        RECON_HOLD, /* an operator's property: held until */
        RECON_SET, /* first write of a value: old (saw) → new (desired) */
        RECON_GIVEN_BACK, /* saw: what we had there, desired: what it is again */
        RECON_WOULD, /* observe: would write */
        RECON_SQUEEZE, /* memory.max waits for use to fall */
        RECON_REFUSED, /* the kernel refused: error */
        _RECON_EVENT_MAX,
} ReconEventKind;
/* "drift" "repaired" "fight" "capped" "hold" "set" "given-back" "would" "squeeze" "refused" */
const char *recon_event_to_string(ReconEventKind k);

typedef struct ReconEvent {
        ReconEventKind kind;
        LimitKnob knob;
        uint64_t saw, desired;
        bool have_saw;
        DriftCause cause;
        uint32_t origin;
        usec_t until;
        int error;
} ReconEvent;

typedef struct ReconWrite {
        LimitKnob knob;
        uint64_t value;
        bool may_block; /* lowers memory.high/max below or near use */
        bool headroom_guard; /* memory.max: see writer.h */
        bool give_back;
        uint8_t rank; /* for ordering */
} ReconWrite;

/* What the ledger keeps of a knob (store/ledger.h LedgerRecord). */
typedef struct ReconMemory {
        LimitKnob knob;
        bool have_want;
        uint64_t want;
        uint64_t ours;
        bool have_other; /* the outcome of a write is open: the kernel holds ours or this */
        uint64_t other;
        bool property;
        /* With property: what the unit's property holds by our hand. Not ours while a lease is on top or a push waits;
         * one of both while the outcome of a call is not known. */
        uint64_t told, told_before;
        bool share;
        uint64_t lapse;
} ReconMemory;

typedef struct ReconPlan {
        /* In order. Knobs of one file and device are neighbours and are one kernel write: recon_write_span(). */
        ReconWrite *writes;
        size_t n_writes, writes_alloc;
        ReconMemory *
                remember; /* into the ledger before any write; a write whose record cannot be kept must not be done */
        size_t n_remember, remember_alloc;
        LimitKnob *forget; /* records to be removed */
        size_t n_forget, forget_alloc;
        bool need_properties; /* read them and take the turn again */
        bool need_engine; /* look at the engine's state file and take the turn again */
        bool push_property;
        /* For one call. LIMIT_INFINITY on a device: no limit there. Per-device kinds name every device of that kind. */
        LimitSet property; /* ours and carried foreign values */
        LimitSet property_give_back; /* passed too; their drop-ins are removed after */
        usec_t next; /* take the turn again at this time at the latest; USEC_INFINITY: only when something happens */
        ReconEvent *events;
        size_t n_events, events_alloc;
} ReconPlan;
void recon_plan_deinit(ReconPlan *p);
void recon_plan_clear(ReconPlan *p); /* keeps the memory */
/* Number of writes from i on (at least 1) that go into the same file and device. */
size_t recon_write_span(const ReconPlan *p, size_t i);
/* The text for writes [i, i+span): limits_format_file() with their values over what the kernel holds. -ENOMEM. */
int recon_write_text(const ReconPlan *p, size_t i, const LimitSet *actual, Buf *out);

/* Takes note of what others did; needs everything of `in` but desired and unshared. Idempotent. */
void recon_learn(Recon *r, const ReconInput *in);
/* What others want now, for ceiling_combine(): of every knob the kernel, the engine or our memory knows. ret is replaced. -ENOMEM. */
int recon_wants(const Recon *r, const ReconInput *in, LimitSet *ret);
/* Decides; after recon_learn() with the same `in`. plan is replaced. 0 or -ENOMEM (state unchanged, plan empty).
 * Stepping twice with the same input and the writes done writes nothing. */
int recon_step(Recon *r, const ReconInput *in, ReconPlan *plan);
/* Outcome of one write: result as of WriterWrite (0, negative errno, WRITER_GONE/ABOVE/TIMEOUT/SKIPPED as in cgroupfs/writer.h: 1..4);
 * appends events (REPAIRED, FIGHT, SET, GIVEN_BACK, REFUSED) and remember to out. -ENOMEM: the outcome is noted, an event may be lost. */
int recon_wrote(Recon *r, LimitKnob knob, uint64_t value, bool give_back, int result, usec_t now,
                ReconPlan *out);
/* Outcome of SetUnitProperties: 0, negative errno (-ECANCELED: it was not called after all), or 1 (the unit is gone). values: both sets of the plan (or one after the other with
 * the same result and now). */
void recon_property_done(Recon *r, const LimitSet *values, int result, usec_t now);
/* After SetUnitProperties: values that it wiped although nobody meant to: those without a property, and our leases. before/after: kernel
 * files right before and after. Adds writes to plan (answered by recon_wrote() as any other). -ENOMEM. */
int recon_restore_foreign(const Recon *r, const LimitSet *before, const LimitSet *after, ReconPlan *plan);
/*
 * After SetUnitProperties, while an engine is still starting its container: a limit that it wrote between our reading (before)
 * and PID 1's rewriting is gone without a trace in either. What it was asked for is known: where neither before nor after has
 * any value, nor policy and the call named it, it is put (back). Adds writes to plan, answered as any other. -ENOMEM.
 */
int recon_restore_requested(const Recon *r, const LimitSet *asked, const LimitSet *pushed,
                            const LimitSet *before, const LimitSet *after, ReconPlan *plan);
/* From the ledger at start, so that nothing flaps. -ENOMEM. */
int recon_adopt(Recon *r, const ReconMemory *m);
/* An operator's `undo` or `unhold` ends implicit holds. */
void recon_unhold(Recon *r);
const ReconKnob *recon_find(const Recon *r, LimitKnob knob);
