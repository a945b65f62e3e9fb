/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Holding back and giving back. A lease is on file before the kernel sees its value, and off file only
 * after the kernel has what lies beneath again; so whoever reads the file after us (the next guard, `bailiffd
 * --release-leases`) knows all that is to be given back. Writes go to the kernel's file at once: no bus, no PID 1, and,
 * but for memory.high, which reclaims in the writer's own time, no helper.
 *
 * Freezing is the thaw helper's; here is only the record of it. It goes when the helper, or whoever does its work, has said that the
 * cgroup is not frozen by us any more.
 *
 * Nothing in here needs memory to let go or to kill: sets and texts are kept from act to act.
 */

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "guard.h"
#include "num.h"

#define HIGH_DEADLINE \
        (10 * USEC_PER_SEC) /* of a memory.high that reclaims: the value stands at once, only the rest ends */
#define OVERLAY_MAX 16

/* ---- which ---- */

static const LimitKnob no_knob = { 0 };

Lever leasing_lever(const Lease *l) {
        if (l->kind == LEASE_FREEZE)
                return LEVER_FREEZE;
        switch (limit_info(l->knob.limit)->file) {
        case LIMIT_FILE_CPU_MAX:
                return LEVER_CPU;
        case LIMIT_FILE_IO_MAX:
                return LEVER_IO;
        case LIMIT_FILE_MEMORY_HIGH:
                return LEVER_MEMORY;
        case LIMIT_FILE_PIDS_MAX:
                return LEVER_PIDS;
        default:
                return _LEVER_INVALID;
        }
}

bool leasing_frozen(const Guard *g, const Target *t) {
        return g->judging->leases && t->n_leases > 0 &&
               leases_find(g->judging->leases, t->id, LEASE_FREEZE, no_knob);
}

bool leasing_has(const Guard *g, const Target *t, Lever lever) {
        const Lease *l;

        if (t->n_leases == 0 || !g->judging->leases)
                return false;
        for (size_t i = 0; (l = leases_next(g->judging->leases, &i));)
                if (l->cgroup_id == t->id && (lever == _LEVER_INVALID || leasing_lever(l) == lever))
                        return true;
        return false;
}

bool leasing_by_operator(const Guard *g, const Target *t) {
        const Lease *l;

        if (t->n_leases == 0 || !g->judging->leases)
                return false;
        for (size_t i = 0; (l = leases_next(g->judging->leases, &i));)
                if (l->cgroup_id == t->id && l->by_operator)
                        return true;
        return false;
}

static void forget(Guard *g, Target *t, LeaseKind kind, LimitKnob knob) {
        if (!leases_find(g->judging->leases, t->id, kind, knob))
                return;
        (void)leases_remove(g->judging->leases, t->id, kind, knob);
        t->n_leases -= t->n_leases > 0;
}

/* ---- the kernel's files ---- */

static bool give_back(Guard *g, Target *t, const Lease *l);

/* The writer is done with a memory.high: the last one says what the file holds now. */
static void high_written(void *user, uint64_t cookie, const WriterWrite *writes, size_t n) {
        const LimitKnob knob = { .limit = LIMIT_MEMORY_HIGH };
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, cookie);
        const Lease *l;

        if (!t || t->n_high_writes == 0 || --t->n_high_writes > 0)
                return;
        enforce_queue(g, t);
        if (!t->high_goes || !g->judging->leases)
                return;
        t->high_goes = false;
        l = leases_find(g->judging->leases, t->id, LEASE_LIMIT, knob);
        if (!l)
                return;
        if (n > 0 && writes[n - 1].result == 0)
                forget(g, t, LEASE_LIMIT, knob);
        else if (n > 0 &&
                 writes[n - 1].result != -ECANCELED) /* else the guard ends: the next one gives it back */
                (void)give_back(g, t, l);
}

/* The text for one file (and device) that makes the kernel hold `set`, over what is there now. */
static int write_file(Guard *g, Target *t, LimitFile file, dev_t dev, const LimitSet *set,
                      const LimitSet *now, bool blocks) {
        Buf *text = &g->judging->text;
        int r;

        buf_clear(text);
        r = limits_format_file(file, dev, set, now, text);
        if (r < 0)
                return r;
        if (buf_error(text) < 0)
                return -ENOMEM;
        if (blocks) {
                WriterWrite w = {};

                if (text->len >= sizeof(w.text))
                        return -E2BIG;
                (void)snprintf(w.file, sizeof(w.file), "%s", limit_file_name(file));
                memcpy(w.text, buf_str(text), text->len + 1);
                r = writer_submit(g->writer, t->node->fd, t->id, &w, 1, true,
                                  clock_monotonic() + HIGH_DEADLINE, high_written, g, t->id);
                t->n_high_writes += r >= 0;
                return r;
        }
        return act_write(t->node->fd, t->id, limit_file_name(file), buf_str(text));
}

/* Would the kernel reclaim within this write? Not if what is in use fits. */
static bool may_block(const Target *t, LimitFile file, uint64_t value) {
        CgUsage use = {};

        /* Behind those that wait: the last one is to stand. */
        if (file == LIMIT_FILE_MEMORY_HIGH && t->n_high_writes > 0)
                return true;
        if (file != LIMIT_FILE_MEMORY_HIGH || value == LIMIT_INFINITY)
                return false;
        return cg_read_occupancy(t->node->fd, &use) != 0 || !use.have_memory || use.memory_bytes > value;
}

static uint64_t held(const LimitSet *set, LimitKnob knob) {
        uint64_t v = limit_info(knob.limit)->unset;

        (void)limit_set_get(set, knob, &v);
        return v;
}

static usec_t period_of(const LimitSet *set) {
        uint64_t v = 100000;

        (void)limit_set_get_scalar(set, LIMIT_CPU_PERIOD, &v);
        return v;
}

/* ---- giving back ---- */

static OverlayLease overlay_of(const Lease *l) {
        return (OverlayLease){
                .knob = l->knob,
                .value = l->value,
                .beneath = l->beneath,
                .period = l->period,
                .beneath_period = l->beneath_period,
        };
}

/* The kernel has again what lies beneath, or somebody else's value; then the lease goes off file. */
static bool give_back(Guard *g, Target *t, const Lease *l) {
        LimitFile file = limit_info(l->knob.limit)->file;
        OverlayLease o = overlay_of(l);
        LimitKnob knob = l->knob;
        Judging *j = g->judging;
        LimitEntry e;
        usec_t period;
        int r;

        limit_set_clear(&j->now);
        limit_set_clear(&j->scratch);
        r = cg_read_limit_file(t->node->fd, file, &j->now);
        if (r == 0 && file == LIMIT_FILE_MEMORY_HIGH && t->n_high_writes > 0) {
                /* What the file holds is not the last word: this is, and the lease goes when it was written. */
                if (t->high_goes)
                        return true;
                r = limit_set_put(&j->scratch, knob, l->beneath, 0);
                if (r >= 0)
                        r = write_file(g, t, file, 0, &j->scratch, &j->now, true);
                t->high_goes = r >= 0;
                return r >= 0;
        }
        if (r == 0 && overlay_give_back(&o, &j->now, g->host.page_size, &e, &period)) {
                r = limit_set_put(&j->scratch, e.knob, e.value, 0);
                if (r >= 0 && knob.limit == LIMIT_CPU_QUOTA)
                        r = limit_set_put(&j->scratch, (LimitKnob){ LIMIT_CPU_PERIOD, 0 }, period, 0);
                if (r >= 0)
                        r = write_file(g, t, file, limit_info(knob.limit)->per_device ? knob.dev : 0,
                                       &j->scratch, &j->now, may_block(t, file, e.value));
                t->high_goes = r >= 0 && t->n_high_writes > 0 && file == LIMIT_FILE_MEMORY_HIGH;
                if (t->high_goes)
                        return true;
        }
        if (r < 0 && r != -ENOENT)
                return false; /* the next beat tries again */
        forget(g, t, LEASE_LIMIT, knob);
        enforce_queue(g, t);
        return true;
}

/* ---- throttling ---- */

static void fill(const Guard *g, const Target *t, Lease *l, const LimitEntry *e, const LimitSet *now,
                 Resource r, bool by_operator, usec_t end, const char *reason) {
        const Lease *old = leases_find(g->judging->leases, t->id, LEASE_LIMIT, e->knob);

        *l = (Lease){
                .cgroup_id = t->id,
                .kind = LEASE_LIMIT,
                .knob = e->knob,
                .value = e->value,
                .beneath = old ? old->beneath : held(now, e->knob),
                .until = clock_monotonic() + LEASE_SPAN_USEC,
                .end = end,
                .resource = (uint8_t)r,
                .by_operator = by_operator,
        };
        (void)snprintf(l->path, sizeof(l->path), "%s", t->node->path);
        (void)snprintf(l->reason, sizeof(l->reason), "%s", reason);
        if (e->knob.limit == LIMIT_CPU_QUOTA) {
                l->beneath_period = old ? old->beneath_period : period_of(now);
                l->period = limit_cpu_period(e->value, period_of(now));
        }
}

/* What the lever held before and is not among its values any more. */
static void drop_others(Guard *g, Target *t, const LimitEntry *values, unsigned n) {
        Lever lever = _LEVER_INVALID;
        const Lease *l = leases_find(g->judging->leases, t->id, LEASE_LIMIT, values[0].knob);

        if (l)
                lever = leasing_lever(l);
        for (size_t i = 0; (l = leases_next(g->judging->leases, &i));) {
                bool stays = l->cgroup_id != t->id || l->by_operator || leasing_lever(l) != lever;

                for (unsigned k = 0; k < n; k++)
                        stays = stays || limit_knob_cmp(l->knob, values[k].knob) == 0;
                if (!stays)
                        (void)give_back(g, t, l);
        }
}

int leasing_throttle(Guard *g, Target *t, const LimitEntry *values, unsigned n, Resource res,
                     bool by_operator, usec_t end, const char *reason) {
        Judging *j = g->judging;
        Lease olds[LADDER_VALUES_MAX] = {};
        LimitFile file;
        int r;

        if (n == 0 || n > LADDER_VALUES_MAX)
                return -EINVAL;
        if (!j->leases)
                return j->leases_error;
        if (t->leaving || !t->reconciled || g->paused)
                return -EPERM;
        if (strlen(t->node->path) > LEASE_PATH_MAX)
                return -ENAMETOOLONG;
        file = limit_info(values[0].knob.limit)->file;
        if (file == LIMIT_FILE_MEMORY_HIGH)
                t->high_goes = false;
        limit_set_clear(&j->scratch);
        limit_set_clear(&j->now);
        r = cg_read_limit_file(t->node->fd, file, &j->now);
        if (r != 0)
                return r;
        for (unsigned i = 0; i < n; i++) {
                const Lease *old = leases_find(j->leases, t->id, LEASE_LIMIT, values[i].knob);

                if (old && old->by_operator && !by_operator)
                        return -EBUSY; /* a person has set it: his it is */
                if (values[i].value >= (old ? old->beneath : held(&j->now, values[i].knob)))
                        return -ERANGE; /* not tighter than what is there anyway */
        }
        /* All of them: where one fails each must be known for what it was. */
        for (unsigned i = 0; i < n; i++) {
                const Lease *old = leases_find(j->leases, t->id, LEASE_LIMIT, values[i].knob);

                if (old)
                        olds[i] = *old;
        }
        /* On file first. */
        for (unsigned i = 0; i < n; i++) {
                Lease l;

                fill(g, t, &l, &values[i], &j->now, res, by_operator, end, reason);
                r = leases_put(j->leases, &l);
                if (r >= 0)
                        r = limit_set_put(&j->scratch, values[i].knob, values[i].value, 0);
                if (r < 0)
                        goto fail;
                t->n_leases += olds[i].cgroup_id == 0;
        }
        r = write_file(g, t, file, limit_info(values[0].knob.limit)->per_device ? values[0].knob.dev : 0,
                       &j->scratch, &j->now, may_block(t, file, values[0].value));
        if (r == 0) {
                drop_others(g, t, values, n);
                return 0;
        }
fail:
        /* Nothing of it stands: what an earlier act holds there is given back. */
        for (unsigned i = 0; i < n; i++) {
                const Lease *l;

                if (olds[i].cgroup_id == 0)
                        forget(g, t, LEASE_LIMIT, values[i].knob);
                else if (leases_put(j->leases, &olds[i]) >= 0 &&
                         (l = leases_find(j->leases, t->id, LEASE_LIMIT, values[i].knob)))
                        (void)give_back(g, t, l);
        }
        if (r != CG_GONE)
                enforce_queue(g, t); /* whatever the kernel holds is what reconciliation must see */
        return r;
}

/* Of one that no helper has to do with any more. 0: it runs. */
static int thaw_again(Guard *g, Target *t) {
        int r = act_thaw(t->node->fd, t->id);

        if (r < 0)
                return r;
        t->thaw_failed = t->thaw_due = t->thaw_told = false;
        forget(g, t, LEASE_FREEZE, no_knob);
        return 0;
}

unsigned leasing_release(Guard *g, Target *t, Lever lever, bool by_operator) {
        Judging *j = g->judging;
        unsigned n = 0;
        const Lease *l;

        if (t->n_leases == 0 || !j->leases)
                return 0;
        for (size_t i = 0; (l = leases_next(j->leases, &i));) {
                if (l->cgroup_id != t->id || (l->by_operator && !by_operator) ||
                    (lever != _LEVER_INVALID && leasing_lever(l) != lever))
                        continue;
                if (l->kind == LEASE_FREEZE) {
                        /* Its record goes when the helper says so. */
                        n += t->thaw_failed ? thaw_again(g, t) == 0 : thaw_end(j->thaw, t->id) >= 0;
                } else
                        n += give_back(g, t, l);
        }
        return n;
}

void leasing_forget(Guard *g, Target *t) {
        Judging *j = g->judging;
        const Lease *l;

        if (t->n_leases == 0 || !j->leases)
                return;
        for (size_t i = 0; (l = leases_next(j->leases, &i));)
                if (l->cgroup_id == t->id)
                        (void)leases_remove(j->leases, t->id, l->kind, l->knob);
        t->n_leases = 0;
}

/* ---- freezing ---- */

int leasing_freeze(Guard *g, Target *t, usec_t span, bool by_operator, const char *reason) {
        Judging *j = g->judging;
        Lease l;
        int r;

        if (!j->leases)
                return j->leases_error;
        if (t->leaving || !t->reconciled || g->paused)
                return -EPERM;
        if (leasing_frozen(g, t))
                return -EALREADY;
        span = MIN_OF(span, THAW_SPAN_MAX);
        l = (Lease){
                .cgroup_id = t->id,
                .kind = LEASE_FREEZE,
                .until = clock_monotonic() + span,
                .end = clock_monotonic() + span,
                .by_operator = by_operator,
        };
        if (strlen(t->node->path) > LEASE_PATH_MAX)
                return -ENAMETOOLONG;
        (void)snprintf(l.path, sizeof(l.path), "%s", t->node->path);
        (void)snprintf(l.reason, sizeof(l.reason), "%s", reason);
        r = leases_put(j->leases, &l);
        if (r < 0)
                return r;
        t->n_leases++;
        r = thaw_begin(j->thaw, t->node->fd, t->id, span);
        if (r < 0)
                forget(g, t, LEASE_FREEZE, no_knob);
        return r;
}

/* It is frozen, and no helper's business any more: its lease stands, and each beat tries again. */
static void thaw_failed(Guard *g, Target *t, int error) {
        t->thaw_failed = true;
        announce(g, ANNOUNCE_THAW, t, NULL, NULL,
                 "%s: could not be thawed (%s); it is tried again each second", target_name(t),
                 strerror(-error));
}

int leasing_thaw(Guard *g, Target *t) {
        int r;

        if (t->thaw_failed)
                return thaw_again(g, t);
        r = thaw_end(g->judging->thaw, t->id);
        t->thaw_told = r == 0 && leasing_frozen(g, t);
        return r;
}

static const char *thaw_text(ThawNews news) {
        switch (news) {
        case THAW_OVER:
                return "runs again after its pulse";
        case THAW_TAKEN:
                return "somebody else froze or thawed it meanwhile: left to him";
        case THAW_FOREIGN:
                return "is frozen already, by its engine or an operator: left alone";
        case THAW_GONE:
                return "is gone";
        default:
                return "could not be frozen";
        }
}

static void on_thaw_news(void *user, uint64_t id, ThawNews news, int error) {
        Guard *g = user;
        Target *t = map_get_u64(&g->targets, id);
        const Act frozen = { .kind = ACT_FREEZE, .lever = LEVER_FREEZE };

        if (!t) {
                /* Of one that may be frozen still the lease stands: let_go() thaws. */
                if (g->judging->leases && news != THAW_FROZEN && news != THAW_FAILED)
                        (void)leases_remove(g->judging->leases, id, LEASE_FREEZE, no_knob);
                return;
        }
        if (news == THAW_FROZEN) {
                t->thaw_due = true;
                return;
        }
        if (news == THAW_FAILED && t->thaw_due) {
                int r = act_thaw(t->node->fd, t->id);

                if (r < 0) {
                        thaw_failed(g, t, r);
                        return;
                }
                news = THAW_OVER;
        }
        if (news == THAW_FOREIGN || news == THAW_FAILED)
                judging_acted(g, t, &frozen, news == THAW_FOREIGN ? -EBUSY : error);
        /* Whoever ends a pulse tells it himself. */
        if (leasing_frozen(g, t) && !(news == THAW_OVER && t->thaw_told))
                announce(g, ANNOUNCE_THAW, t, NULL, NULL, "%s: %s", target_name(t), thaw_text(news));
        t->thaw_told = t->thaw_due = false;
        forget(g, t, LEASE_FREEZE, no_knob);
}

static int on_thaw(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Guard *g = user;

        (void)s;
        (void)fd;
        (void)revents;
        (void)thaw_dispatch(g->judging->thaw, guard_now(g));
        return 0;
}

/* ---- ending ---- */

/* "SIGTERM", "SIGRTMIN+3", as the engine's state has it. systemd in a container shuts down at the latter, which nspawn sends, too. */
static int signal_of(const Target *t) {
        const char *text = t->info ? t->info->stop_signal : NULL;
        uint64_t n;

        if (!text && t->engine == ENGINE_NSPAWN)
                return SIGRTMIN + 3;
        if (!text || strncmp(text, "SIG", 3) != 0)
                return SIGTERM;
        if (STR_EQ(text + 3, "RTMIN"))
                return SIGRTMIN;
        if (STR_EQ(text + 3, "RTMAX"))
                return SIGRTMAX;
        if (strncmp(text + 3, "RTMIN+", 6) == 0 && num_parse_u64(text + 9, &n) >= 0 &&
            n <= (uint64_t)(SIGRTMAX - SIGRTMIN))
                return SIGRTMIN + (int)n;
        if (strncmp(text + 3, "RTMAX-", 6) == 0 && num_parse_u64(text + 9, &n) >= 0 &&
            n <= (uint64_t)(SIGRTMAX - SIGRTMIN))
                return SIGRTMAX - (int)n;
        for (int s = 1; s < SIGRTMIN; s++) {
                const char *name = sigabbrev_np(s);

                if (name && STR_EQ(name, text + 3))
                        return s;
        }
        return SIGTERM;
}

int leasing_stop(Guard *g, Target *t) {
        if (t->leaving || !t->reconciled || g->paused)
                return -EPERM;
        t->heard.acted_at = clock_monotonic();
        return act_stop(t->node->fd, t->id, t->info ? t->info->main_pid : 0, signal_of(t));
}

int leasing_kill(Guard *g, Target *t) {
        if (t->leaving || !t->reconciled || g->paused)
                return -EPERM;
        t->heard.acted_at = clock_monotonic();
        return act_kill(t->node->fd, t->id);
}

/* ---- over and under reconciliation ---- */

void leasing_overlay(Guard *g, Target *t, LimitSet *actual) {
        OverlayLease over[OVERLAY_MAX];
        Lease leases[OVERLAY_MAX];
        Judging *j = g->judging;
        const Lease *l;
        size_t n = 0;

        if (t->n_leases == 0 || !j || !j->leases)
                return;
        for (size_t i = 0; n < OVERLAY_MAX && (l = leases_next(j->leases, &i));)
                if (l->cgroup_id == t->id && l->kind == LEASE_LIMIT) {
                        /* While a write waits, what the file holds is an older lease: nobody else's. */
                        if (l->knob.limit == LIMIT_MEMORY_HIGH && t->n_high_writes > 0) {
                                LimitEntry *e = limit_set_find(actual, l->knob);

                                if (e)
                                        e->value = l->beneath;
                                continue;
                        }
                        leases[n] = *l;
                        over[n++] = overlay_of(l);
                }
        if (overlay_read(over, n, actual, g->host.page_size) < 0)
                return;
        for (size_t i = 0; i < n; i++) {
                if (over[i].changed) {
                        leases[i].beneath = over[i].beneath;
                        leases[i].beneath_period = over[i].beneath_period;
                        (void)leases_put(j->leases, &leases[i]);
                }
                if (!over[i].rewrite)
                        continue;
                limit_set_clear(&j->scratch);
                limit_set_clear(&j->now);
                if (cg_read_limit_file(t->node->fd, limit_info(over[i].knob.limit)->file, &j->now) == 0 &&
                    limit_set_put(&j->scratch, over[i].knob, over[i].value, 0) >= 0)
                        (void)write_file(g, t, limit_info(over[i].knob.limit)->file,
                                         limit_info(over[i].knob.limit)->per_device ? over[i].knob.dev : 0,
                                         &j->scratch, &j->now,
                                         may_block(t, limit_info(over[i].knob.limit)->file, over[i].value));
        }
}

/* ---- over restarts ---- */

void leasing_adopt(Guard *g, Target *t) {
        LimitEntry values[_RESOURCE_MAX][LEVERS_LIMIT][LADDER_VALUES_MAX];
        unsigned n[_RESOURCE_MAX][LEVERS_LIMIT] = {};
        Judging *j = g->judging;
        usec_t now = clock_monotonic();
        Judged *judged = NULL;
        const Lease *l;

        if (!j || !j->leases || t->n_leases > 0)
                return;
        for (size_t i = 0; (l = leases_next(j->leases, &i));) {
                Lever lever = leasing_lever(l);

                if (l->cgroup_id != t->id || !STR_EQ(l->path, t->node->path))
                        continue;
                t->n_leases++;
                if (l->kind == LEASE_FREEZE) {
                        /* The helper of the guard before us has thawed it at its end; unless that was killed, too. */
                        int r = thaw_again(g, t);

                        if (r < 0)
                                thaw_failed(g, t, r);
                        continue;
                }
                if (l->by_operator || l->resource >= _RESOURCE_MAX || lever < 0 || lever >= LEVERS_LIMIT ||
                    n[l->resource][lever] >= LADDER_VALUES_MAX)
                        continue;
                values[l->resource][lever][n[l->resource][lever]++] = (LimitEntry){ l->knob, l->value, 0 };
        }
        if (t->n_leases > 0)
                judged = judging_of(g, t);
        for (Resource r = 0; judged && r < _RESOURCE_MAX; r++)
                for (Lever lever = 0; lever < LEVERS_LIMIT; lever++)
                        if (n[r][lever] > 0)
                                ladder_adopt(&judged->memory.ladders[r], r, lever, values[r][lever],
                                             n[r][lever], now);
        if (t->n_leases > 0 && !judged)
                (void)leasing_release(g, t, _LEVER_INVALID, true);
}

/* Some ladder of its stands on it. One that nobody remembers could not be given back when it was to be. */
static bool is_wanted(const Target *t, const Lease *l) {
        Lever lever = leasing_lever(l);

        for (Resource r = 0; t->judged && lever >= 0 && lever < LEVERS_LIMIT && r < _RESOURCE_MAX; r++)
                if (t->judged->memory.ladders[r].levers[lever].on)
                        return true;
        return false;
}

/* Its cgroup went while no guard ran; or it is there, and the policy of this guard does not name it any more. */
static void let_go(Guard *g, const Lease *l) {
        _cleanup_buf_ Buf to = BUF_INIT;
        int r = unlease_one(tree_root_fd(g->tree), l, g->host.page_size, &to);

        if (r < 0)
                return; /* the next beat tries again */
        if (r > 0)
                announce(g, ANNOUNCE_UNTHROTTLE, NULL, NULL, NULL,
                         "%s: the policy does not name it any more: %s", l->path, buf_str(&to));
        (void)leases_remove(g->judging->leases, l->cgroup_id, l->kind, l->knob);
}

void leasing_beat(Guard *g, usec_t now) {
        Judging *j = g->judging;
        const Lease *l;

        (void)thaw_dispatch(j->thaw, now);
        if (!j->leases)
                return;
        for (size_t i = 0; (l = leases_next(j->leases, &i));) {
                Target *t = map_get_u64(&g->targets, l->cgroup_id);

                if (!t && g->settled) {
                        let_go(g, l);
                        continue;
                }
                if (t && l->kind == LEASE_FREEZE && t->thaw_failed && thaw_again(g, t) == 0)
                        announce(g, ANNOUNCE_THAW, t, NULL, NULL, "%s: runs again", target_name(t));
                if (!t || l->kind != LEASE_LIMIT)
                        continue;
                if (l->by_operator && now >= l->end) {
                        Lever lever = leasing_lever(l);

                        if (give_back(g, t, l))
                                announce(g, ANNOUNCE_UNTHROTTLE, t, NULL, NULL,
                                         "%s: the time of an operator's %s throttle is over: given back",
                                         target_name(t), lever_to_string(lever));
                } else if (!l->by_operator && (t->leaving || !is_wanted(t, l)))
                        (void)give_back(g, t, l);
        }
        leases_extend(j->leases, now + LEASE_SPAN_USEC);
}

int leasing_open(Guard *g) {
        Judging *j = g->judging;
        LeasesStats stats;
        ThawPast past;
        int r;

        r = leases_open(g->config.run_dir, g->host.boot_id, false, &j->leases);
        if (r < 0)
                j->leases_error = r;
        else {
                thaw_past_read(g->config.run_dir, &past);
                unlease_over(&past, j->leases);
        }
        /* It begins the file anew that was just read. */
        r = thaw_new(g->config.run_dir, on_thaw_news, g, &j->thaw);
        if (r < 0)
                return r;
        /* Room for what one act needs, so that acting needs no memory later. */
        r = buf_reserve(&j->text, 256);
        for (unsigned i = 0; r >= 0 && i < 32; i++)
                r = limit_set_put(&j->scratch, (LimitKnob){ LIMIT_IO_READ_BANDWIDTH_MAX, i + 1 }, 1, 0);
        if (r >= 0)
                r = limit_set_copy(&j->now, &j->scratch);
        if (r < 0)
                return r;
        limit_set_clear(&j->scratch);
        limit_set_clear(&j->now);
        r = sd_event_add_io(g->event, &j->thaw_source, thaw_get_fd(j->thaw), EPOLLIN, on_thaw, g);
        if (r < 0)
                return r;
        if (!j->leases) {
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL,
                         "there is no file for leases in %s (%s): nobody can be throttled or frozen",
                         g->config.run_dir, strerror(-j->leases_error));
                return 0;
        }
        leases_get_stats(j->leases, &stats);
        if (stats.n_damaged > 0 || stats.set_aside)
                announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL, "the file of leases in %s was %s",
                         g->config.run_dir,
                         stats.set_aside ? "unreadable, or of another boot or version, and is set aside"
                                         : "damaged in part: a throttle of an earlier run may still stand");
        return 0;
}

void leasing_close(Guard *g) {
        Judging *j = g->judging;

        sd_event_source_disable_unref(j->thaw_source);
        thaw_free(j->thaw);
        leases_free(j->leases);
        limit_set_deinit(&j->scratch);
        limit_set_deinit(&j->now);
        buf_deinit(&j->text);
}
