/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Shared by reconcile.c, recon-learn.c, recon-plan.c and recon-property.c only. */

#include "reconcile.h"

/* What one knob is to be brought to. */
typedef struct ReconTarget {
        LimitKnob knob;
        uint64_t value;
        uint32_t origin;
        bool lease; /* a share or a squeeze */
} ReconTarget;

/* One recon_step(): works on a copy of the knobs, so that failing leaves no trace. */
typedef struct ReconStep {
        const ReconInput *in;
        ReconPlan *plan;
        ReconKnob *knobs;
        size_t n, alloc;
        ReconTarget *targets;
        size_t n_targets, targets_alloc;
        bool writing; /* mode, pause and hold allow it */
        bool unsettled; /* some knob is on its way: do not call PID 1 now */
        bool property_dirty, property_in_flight; /* of the Recon, as they will be */
        usec_t push_not_before, push_since;
} ReconStep;

/* ---- reconcile.c ---- */

ReconKnob *recon_search(ReconKnob *knobs, size_t n, LimitKnob knob, size_t *ret_pos);
/* Finds or inserts; a pointer into the array, valid until the next insertion. NULL: no memory. */
ReconKnob *recon_insert(ReconKnob **knobs, size_t *n, size_t *alloc, LimitKnob knob);
int recon_event(ReconPlan *p, const ReconKnob *k, ReconEventKind kind, const uint64_t *saw, usec_t until);
int recon_remember(ReconPlan *p, ReconKnob *k);
usec_t recon_backoff(usec_t before); /* 0, 1 s, 2 s … RECON_BACKOFF_MAX */

/* ---- recon-learn.c ---- */

/* What the kernel holds; false: no such file here, or it could not be read. */
bool recon_actual(const ReconInput *in, LimitKnob knob, uint64_t *ret);
/* The unit's property where it is known; false: no unit, no such property, or not known now. */
bool recon_property(const ReconInput *in, LimitKnob knob, uint64_t *ret);
/* Every difference counts, not only what is looser. */
bool recon_exact(Limit limit, bool engine_override);
void recon_set_want(ReconKnob *k, uint64_t want);
/* What others want: to combine with, and to give back. */
uint64_t recon_want(const ReconKnob *k);
/* Is that what we told PID 1? */
bool recon_is_told(const ReconKnob *k, uint64_t value, uint64_t page_size);
/* The kernel holds it because PID 1 wrote what we told it: it is ours. */
void recon_take_echo(ReconKnob *k, uint64_t actual);
/* A knob seen for the first time: the kernel's value is the want. */
void recon_first_sight(ReconKnob *k, const ReconInput *in);
/* Names the cause of an open drift and what it means for the want, if there is enough evidence; else it stays unexplained. */
void recon_explain(ReconKnob *k, const ReconInput *in);
/* There is no drift (any more). */
void recon_settle(ReconKnob *k);

/* ---- recon-property.c ---- */

int recon_plan_property(ReconStep *s);
/* Its file is missing, and PID 1 could make it. */
bool recon_is_for_unit(const ReconKnob *k);
