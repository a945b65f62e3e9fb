/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One target at a time: read the kernel's files, let core/reconcile decide,
 * write through the writer helper, then tell systemd (DESIGN.md "Who writes
 * what"). A target is a little actor: while an answer is awaited (`busy`)
 * everything that happens to it only marks it dirty; when the answer came it
 * steps again. The order is always the same:
 *
 *   read files → learn wants → combine → step ─┬─ ledger, then kernel writes → outcome → step
 *                                              ├─ need evidence → ask PID 1 and the names helper → step
 *                                              └─ all in place → SetUnitProperties → read files again,
 *                                                 rewrite what the call wiped → step
 *
 * The ledger knows what was there before the kernel is written; when the ledger
 * cannot be written, nothing is.
 */

#include <stdio.h>

#include "buf.h"
#include "guard.h"

#define WORK_SLICE 32 /* targets stepped per turn of the loop */
#define WRITE_DEADLINE (10 * USEC_PER_SEC)
#define LEDGER_AGAIN (5 * USEC_PER_SEC)
#define BUSY_AGAIN (USEC_PER_SEC)
#define ENGINE_STARTS \
        (60 * USEC_PER_SEC) /* from its cgroup to the last limit that its engine writes: at most */

void enforce_queue(Guard *g, Target *t) {
        if (t->queued)
                return;
        if (GROW(g->queue, g->n_queue, g->queue_alloc) < 0) {
                t->next = 0; /* the next beat finds it */
                return;
        }
        t->queued = true;
        g->queue[g->n_queue++] = t;
        if (g->work)
                (void)sd_event_source_set_enabled(g->work, SD_EVENT_ONESHOT);
}

static int on_wake(sd_event_source *s, uint64_t usec, void *user) {
        Guard *g = user;

        (void)s;
        (void)usec;
        g->wake_at = USEC_INFINITY;
        enforce_beat(g, guard_now(g));
        return 0;
}

/* The slow beat looks at everybody each second; what is due earlier gets a timer. */
static void again_at(Target *t, usec_t when) {
        Guard *g = t->guard;

        t->next = MIN_OF(t->next, when);
        if (when >= g->wake_at || when >= guard_now(g) + GUARD_BEAT_USEC)
                return;
        if (!g->wake &&
            sd_event_add_time(g->event, &g->wake, CLOCK_MONOTONIC, when, USEC_PER_MSEC, on_wake, g) < 0)
                return;
        if (sd_event_source_set_time(g->wake, when) >= 0 &&
            sd_event_source_set_enabled(g->wake, SD_EVENT_ONESHOT) >= 0)
                g->wake_at = when;
}

/* What the kernel holds, but for the judge's leases: what lies beneath those is ours to reconcile. */
static int read_limits(Guard *g, Target *t, LimitSet *set, uint32_t *ret_have) {
        int r = cg_read_limits(t->node->fd, set, ret_have);

        if (r == 0)
                leasing_overlay(g, t, set);
        return r;
}

/* ---- what must hold ---- */

static bool gives_back(const Guard *g, const Target *t) {
        return t->leaving || (t->hold && t->hold->give_back) || g->released;
}

/* What must hold, and what would without an apportioned share. */
static int combine(Target *t, const ReconInput *in) {
        _cleanup_(limit_set_deinit) LimitSet wants = LIMIT_SET_INIT;
        int r;

        limit_set_clear(&t->desired);
        limit_set_clear(&t->unshared);
        if (in->release || !t->reconciled)
                return 0;
        r = recon_wants(&t->recon, in, &wants);
        if (r >= 0)
                r = ceiling_combine(&t->policy, t->have_share ? &t->share : NULL, &wants,
                                    t->settings.engine_override, &t->desired);
        if (r >= 0 && t->have_share && t->tenant)
                r = ceiling_combine(&t->policy, &t->tenant->sum, &wants, t->settings.engine_override,
                                    &t->unshared);
        return r;
}

static ReconInput input_of(Guard *g, Target *t, usec_t now) {
        const ContainerInfo *i = t->info;
        bool engine_made = t->container && t->engine != ENGINE_UNIT;

        return (ReconInput){
                .now = now,
                .desired = &t->desired,
                .unshared = t->have_share ? &t->unshared : NULL,
                .actual = &t->actual,
                .have_files = t->have_files,
                .properties = t->evidence && t->have_properties ? &t->properties : NULL,
                .properties_unavailable = t->unit_state == TARGET_UNIT_NONE ||
                                          !manager_is_connected(g->manager) ||
                                          (t->evidence && !t->have_properties),
                .has_unit = t->unit_state != TARGET_UNIT_NONE,
                .engine_made = engine_made,
                .engine_wants = i && i->requested.n > 0 ? &i->requested : NULL,
                .engine_fresh = t->evidence || !engine_made || t->leaving,
                .engine_config_newer = t->engine_asked_anew,
                .engine_override = t->settings.engine_override,
                .newborn = t->birth_due != 0 && now < t->birth_due + GUARD_NEWBORN_USEC,
                .release = gives_back(g, t),
                .last_reload = g->last_reload,
                .mode = MIN_OF(t->settings.mode, guard_host_mode(g, NULL)),
                .paused = g->paused,
                .held = t->hold && !t->hold->give_back,
                .operator_hold = t->settings.operator_hold,
                .memory_bytes = t->usage.have_memory ? t->usage.memory_bytes : UINT64_MAX,
                .page_size = g->host.page_size,
        };
}

/* ---- the ledger ---- */

static int note(Guard *g, const Target *t, const ReconPlan *plan) {
        for (size_t i = 0; i < plan->n_remember; i++) {
                const ReconMemory *m = &plan->remember[i];
                LedgerRecord r = {
                        .cgroup_id = t->id,
                        .path = t->node->path,
                        .unit = t->unit_state == TARGET_UNIT_KNOWN ? t->unit.name : "",
                        .knob = m->knob,
                        .have_want = m->have_want,
                        .want = m->want,
                        .ours = m->ours,
                        .have_other = m->have_other,
                        .other = m->other,
                        .property = m->property,
                        .told = m->told,
                        .told_before = m->told_before,
                        .foreign_dropin = m->property && t->foreign_dropins >> m->knob.limit & 1,
                        .share = m->share,
                        .lapse = m->lapse,
                };
                int k = ledger_put(g->ledger, &r);

                if (k < 0)
                        return k;
        }
        for (size_t i = 0; i < plan->n_forget; i++)
                (void)ledger_remove(g->ledger, t->id, &plan->forget[i]);
        return 0;
}

static void ledger_failed(Guard *g, Target *t, int error, usec_t now) {
        if (!g->ledger_trouble)
                announce(g, ANNOUNCE_DEGRADED, t, NULL, NULL,
                         "the ledger in %s cannot be written (%s): no limit is changed until it can",
                         g->config.run_dir, strerror(-error));
        g->ledger_trouble = true;
        again_at(t, now + LEDGER_AGAIN);
}

static void tell(Guard *g, Target *t, const ReconPlan *plan) {
        for (size_t i = 0; i < plan->n_events; i++) {
                announce_recon(g, t, &plan->events[i]);
                if (plan->events[i].kind == RECON_HOLD)
                        control_operator_hold(g, t, plan->events[i].until);
        }
}

/* ---- kernel writes ---- */

/* Tells the core how the writes [from, to) of the target went, and keeps what it wants remembered. */
static void outcome(Guard *g, Target *t, const ReconWrite *writes, size_t from, size_t to, int result,
                    usec_t now) {
        _cleanup_(recon_plan_deinit) ReconPlan out = {};
        int r;

        for (size_t i = from; i < to; i++)
                (void)recon_wrote(&t->recon, writes[i].knob, writes[i].value, writes[i].give_back, result,
                                  now, &out);
        r = note(g, t, &out);
        if (r < 0)
                ledger_failed(g, t, r, now);
        tell(g, t, &out);
}

static void written(void *user, uint64_t cookie, const WriterWrite *writes, size_t n) {
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, cookie);
        usec_t now = guard_now(g);
        size_t from = 0;

        if (!t || t->busy != TARGET_WRITING)
                return;
        t->busy = TARGET_IDLE;
        for (size_t k = 0; k < n && from < t->n_writing; k++) {
                size_t to = from + t->spans[k];

                outcome(g, t, t->writing, from, to, writes[k].result, now);
                from = to;
        }
        t->n_writing = 0;
        enforce_queue(g, t);
}

/* Hands the plan's writes to the helper; one kernel write per file and device. */
static void start_writes(Guard *g, Target *t, ReconPlan *plan, usec_t now) {
        WriterWrite writes[WRITER_WRITES_MAX];
        bool may_block = false;
        size_t n = 0, i = 0, span;
        int r = 0;

        for (; i < plan->n_writes && n < WRITER_WRITES_MAX; i += span, n++) {
                _cleanup_buf_ Buf text = BUF_INIT;

                span = recon_write_span(plan, i);
                r = recon_write_text(plan, i, &t->actual, &text);
                if (r < 0 || text.len >= WRITER_TEXT_MAX)
                        break;
                writes[n] = (WriterWrite){};
                for (size_t k = i; k < i + span; k++) {
                        writes[n].headroom_guard |= plan->writes[k].headroom_guard;
                        may_block |= plan->writes[k].may_block;
                }
                (void)snprintf(writes[n].file, sizeof(writes[n].file), "%s",
                               limit_file_name(limit_info(plan->writes[i].knob.limit)->file));
                memcpy(writes[n].text, buf_str(&text), text.len + 1);
                t->spans[n] = span;
        }
        if (n > 0)
                r = writer_submit(g->writer, t->node->fd, t->id, writes, n, may_block, now + WRITE_DEADLINE,
                                  written, g, t->id);
        if (n == 0 || r < 0) {
                outcome(g, t, plan->writes, 0, plan->n_writes, -ECANCELED, now);
                again_at(t, now + BUSY_AGAIN);
                return;
        }
        /* What did not fit comes with a later plan. */
        outcome(g, t, plan->writes, i, plan->n_writes, -ECANCELED, now);
        free(t->writing);
        t->writing = steal_ptr(plan->writes);
        t->n_writing = i;
        plan->n_writes = plan->writes_alloc = 0;
        t->busy = TARGET_WRITING;
        t->engine_asked_anew = false;
}

/* A leaving target with nothing left to give back is forgotten. */
static bool finished(Guard *g, Target *t) {
        if (!t->leaving || t->busy != TARGET_IDLE)
                return false;
        for (size_t i = 0; i < t->recon.n; i++)
                if (t->recon.knobs[i].have_ours || t->recon.knobs[i].ours_property)
                        return false;
        (void)ledger_remove(g->ledger, t->id, NULL);
        world_forget(g, t);
        return true;
}

/* ---- systemd ---- */

/* What ask() waits for. Others ask for names, too: their answer is none of PID 1's. */
typedef enum Answer {
        ANSWER_PROPERTIES = 1 << 0,
        ANSWER_NAMES = 1 << 1,
        ANSWER_ASKED = 1 << 2, /* all questions are out */
} Answer;

static void answered(Guard *g, Target *t, Answer what) {
        if (t->busy != TARGET_ASKING || !(t->awaited & what))
                return;
        t->awaited &= ~(unsigned)what;
        if (t->awaited)
                return;
        t->busy = TARGET_IDLE;
        t->evidence = true;
        enforce_queue(g, t);
}

void enforce_answered(Guard *g, Target *t) { answered(g, t, ANSWER_NAMES); }

static void got_limits(void *user, uint64_t cookie, int result, const LimitSet *properties,
                       const char *control_group) {
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, cookie);

        if (!t)
                return;
        t->have_properties = result == 0 && control_group && STR_EQ(control_group, t->node->path) &&
                             limit_set_copy(&t->properties, properties) >= 0;
        if (result == MANAGER_GONE)
                t->unit_state = TARGET_UNIT_UNKNOWN;
        answered(g, t, ANSWER_PROPERTIES);
}

static void got_unit(void *user, uint64_t cookie, int result, const UnitInfo *u) {
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, cookie);

        if (!t)
                return;
        t->unit_state = result == MANAGER_GONE ? TARGET_UNIT_NONE : TARGET_UNIT_UNKNOWN;
        if (result == 0) {
                unit_info_deinit(&t->unit);
                t->unit = (UnitInfo){
                        .name = strdup(u->name),
                        .object = strdup(u->object),
                        .control_group = strdup(u->control_group),
                        .kind = u->kind,
                        .transient = u->transient,
                        .delegate = u->delegate,
                };
                if (t->unit.name && t->unit.object && t->unit.control_group &&
                    (u->control_group_id == 0 || u->control_group_id == t->id)) {
                        t->unit_state = TARGET_UNIT_KNOWN;
                        if (manager_get_limits(g->manager, &t->unit, got_limits, g, t->id) >= 0)
                                return;
                }
        }
        answered(g, t, ANSWER_PROPERTIES);
}

/* Fresh evidence for a decision: the unit's properties, and the engine's state file. */
static void ask(Guard *g, Target *t, usec_t now) {
        int r = 0;

        t->busy = TARGET_ASKING;
        t->awaited = ANSWER_ASKED;
        t->have_properties = false;
        if (manager_is_connected(g->manager) && t->unit_state != TARGET_UNIT_NONE) {
                t->awaited |= ANSWER_PROPERTIES;
                if (t->unit_state == TARGET_UNIT_KNOWN)
                        r = manager_get_limits(g->manager, &t->unit, got_limits, g, t->id);
                else
                        r = manager_get_unit(g->manager, t->node->path, got_unit, g, t->id);
                if (r < 0)
                        answered(g, t, ANSWER_PROPERTIES);
        }
        if (t->container && t->engine != ENGINE_UNIT && !t->leaving) {
                t->awaited |= ANSWER_NAMES;
                world_ask_names(g, t, now);
        }
        answered(g, t, ANSWER_ASKED);
}

/* Has nobody written what the call rewrites since the plan was made from `actual`? */
static bool still_as_planned(const Target *t) {
        const LimitSet *sets[] = { &t->before_push, &t->actual };

        for (size_t s = 0; s < ARRAY_SIZE(sets); s++)
                for (size_t i = 0; i < sets[s]->n; i++) {
                        const LimitEntry *e = &sets[s]->entries[i];
                        uint64_t other = limit_info(e->knob.limit)->unset;

                        (void)limit_set_get(sets[!s], e->knob, &other);
                        if (limit_info(e->knob.limit)->property && other != e->value)
                                return false;
                }
        return true;
}

/* An engine that is still starting its container may write between our reading and PID 1's rewriting. */
static int restore_requested(Target *t, const LimitSet *after, ReconPlan *plan) {
        if (!t->info || clock_realtime() - t->since_realtime > ENGINE_STARTS)
                return 0;
        return recon_restore_requested(&t->recon, &t->info->requested, &t->pushed, &t->before_push, after,
                                       plan);
}

static void pushed(void *user, uint64_t cookie, int result) {
        _cleanup_(limit_set_deinit) LimitSet after = LIMIT_SET_INIT;
        _cleanup_(recon_plan_deinit) ReconPlan plan = {};
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, cookie);
        usec_t now = guard_now(g);
        uint32_t have;
        int r;

        if (!t || t->busy != TARGET_PUSHING)
                return;
        t->busy = TARGET_IDLE;
        r = read_limits(g, t, &after, &have);
        recon_property_done(&t->recon, &t->pushed, result, now);
        if (result == MANAGER_GONE)
                t->unit_state = TARGET_UNIT_UNKNOWN;
        /* Our own drop-ins of what was given back go; PID 1 has the old value in memory already. */
        if (result == 0 && t->give_back_property.n > 0) {
                for (size_t i = t->give_back_property.n; i-- > 0;) {
                        LimitKnob k = t->give_back_property.entries[i].knob;

                        if (t->foreign_dropins >> k.limit & 1)
                                (void)limit_set_remove(&t->give_back_property, k);
                }
                (void)dropins_remove("", t->unit.name, &t->give_back_property);
        }
        limit_set_clear(&t->give_back_property);
        /* One SetUnitProperties rewrites nearly every limit: what it wiped goes back at once. */
        if (result == 0 && r == 0 && recon_restore_foreign(&t->recon, &t->before_push, &after, &plan) >= 0 &&
            restore_requested(t, &after, &plan) >= 0 && plan.n_writes > 0) {
                LimitSet before = t->actual;

                t->actual = after;
                after = before;
                start_writes(g, t, &plan, now);
                return;
        }
        enforce_queue(g, t);
}

static void push(Guard *g, Target *t, ReconPlan *plan, usec_t now) {
        int r = limit_set_copy(&t->pushed, &plan->property);

        if (!t->dropins_looked && r >= 0) {
                r = dropins_find("", t->unit.name, &t->foreign_dropins);
                if (r >= 0) /* once more, for the ledger learns whose they are before they are overwritten */
                        r = note(g, t, plan);
                t->dropins_looked = r >= 0;
        }
        for (size_t i = 0; r >= 0 && i < plan->property_give_back.n; i++) {
                const LimitEntry *e = &plan->property_give_back.entries[i];

                r = limit_set_put(&t->pushed, e->knob, e->value, 0);
        }
        if (r >= 0)
                r = limit_set_copy(&t->give_back_property, &plan->property_give_back);
        if (r >= 0)
                r = read_limits(g, t, &t->before_push, &t->have_files);
        if (r == 0 && !still_as_planned(t))
                r = -ECANCELED; /* somebody wrote meanwhile: plan anew, at once */
        if (r == 0)
                r = manager_set_limits(g->manager, &t->unit, &t->pushed, 0, pushed, g, t->id);
        if (r != 0) {
                recon_property_done(&t->recon, &t->pushed, r, now);
                if (r == -ECANCELED)
                        enforce_queue(g, t);
                else
                        again_at(t, now + BUSY_AGAIN);
                return;
        }
        t->busy = TARGET_PUSHING;
}

/* ---- one turn ---- */

static void step(Guard *g, Target *t, usec_t now) {
        _cleanup_(recon_plan_deinit) ReconPlan plan = {};
        bool evidence = t->evidence, again = evidence && t->dirty;
        ReconInput in;
        int r = 0;

        if (t->busy != TARGET_IDLE) {
                t->dirty = true;
                return;
        }
        t->dirty = false;
        t->next = now + GUARD_RELOOK_USEC;
        if (!t->reconciled && t->recon.n == 0)
                return;
        /* PID 1 makes the cgroup first and writes the unit's limits after: between the two we would only be overwritten. */
        if (now < t->birth_due) {
                again_at(t, t->birth_due);
                return;
        }
        /* Names mostly come within milliseconds; the strictest candidate's limits would only be written to be lifted again. */
        if (t->container && t->names_pending && now < t->names_due) {
                again_at(t, t->names_due);
                return;
        }
        /* Evidence speaks about the files as they were when it was asked for. */
        if (!t->evidence)
                r = read_limits(g, t, &t->actual, &t->have_files);
        if (r == CG_GONE && t->leaving) {
                (void)ledger_remove(g->ledger, t->id, NULL);
                world_forget(g, t);
                return;
        }
        if (r != 0) {
                t->evidence = false;
                return; /* gone: the tree says so in a moment */
        }
        (void)cg_read_occupancy(t->node->fd, &t->usage);
        if (t->have_share && t->tenant && t->tenant->share.unsettled)
                g->shares_due = t->tenant->dirty = true; /* what it let go is somebody's to grow into */
        in = input_of(g, t, now);
        recon_learn(&t->recon, &in);
        r = combine(t, &in);
        if (r >= 0)
                r = recon_step(&t->recon, &in, &plan);
        t->evidence = false;
        if (r < 0) {
                again_at(t, now + BUSY_AGAIN);
                return;
        }
        tell(g, t, &plan);
        again_at(t, plan.next);
        r = note(g, t, &plan);
        if (r < 0) {
                ledger_failed(g, t, r, now);
                outcome(g, t, plan.writes, 0, plan.n_writes, -ECANCELED, now);
                return;
        }
        g->ledger_trouble = false;
        if (plan.n_writes > 0)
                start_writes(g, t, &plan, now);
        else if (plan.need_properties || plan.need_engine ||
                 (plan.push_property && t->unit_state != TARGET_UNIT_KNOWN && !evidence))
                ask(g, t, now);
        else if (plan.push_property &&
                 t->unit_state != TARGET_UNIT_KNOWN) /* asked, and still nobody to tell */
                recon_property_done(&t->recon, &plan.property, -ENOTCONN, now);
        else if (plan.push_property)
                push(g, t, &plan, now);
        else if (finished(g, t))
                return;
        if (again) /* something was touched while the evidence was on its way: the files are to be read once more */
                enforce_queue(g, t);
}

void enforce_work(Guard *g, usec_t now) {
        Target *batch[WORK_SLICE];
        size_t i = 0, n;
        Tenant *tenant;

        if (!g->settled)
                return;
        g->shares_due = false;
        while ((tenant = map_next(&g->tenants, &i)))
                if (tenant->dirty)
                        world_apportion(g, tenant, now); /* queues whose share is another */
        /* Oldest first; a step may queue others (or itself again) behind. */
        n = MIN_OF(g->n_queue, ARRAY_SIZE(batch));
        if (n > 0) {
                memcpy(batch, g->queue, n * sizeof(*batch));
                g->n_queue -= n;
                memmove(g->queue, g->queue + n, g->n_queue * sizeof(*g->queue));
        }
        for (i = 0; i < n; i++)
                batch[i]->queued = false;
        for (i = 0; i < n; i++)
                step(g, batch[i], now); /* forgets nobody but its own target */
        (void)control_save_holds(g); /* an operator's that were just found */
        if (g->n_queue > 0 || g->shares_due)
                (void)sd_event_source_set_enabled(g->work, SD_EVENT_ONESHOT);
}

void enforce_beat(Guard *g, usec_t now) {
        size_t i = 0;
        Target *t;

        while ((t = map_next(&g->targets, &i)))
                if (now >= t->next || (t->dirty && t->busy == TARGET_IDLE))
                        enforce_queue(g, t);
}
