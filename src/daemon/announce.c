/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What happened, told three times: into the ring that `bailiffctl events` and
 * `show` read, into the journal (structured, MESSAGE_ID with catalog text in
 * conf/bailiff.catalog), and as a D-Bus signal. None of the three can block;
 * losing one of them never loses the others.
 */

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "guard.h"

typedef struct AnnounceInfo {
        const char *kind;
        int priority;
        const char *message_id;
} AnnounceInfo;

static const AnnounceInfo infos[_ANNOUNCE_MAX] = {
        [ANNOUNCE_START] = { "start", 5, "dfffd334068d4cf18736ae505ad23a19" },
        [ANNOUNCE_POLICY_LOADED] = { "policy", 5, "892a13ded9694f298c26a55d0ec15291" },
        [ANNOUNCE_POLICY_REFUSED] = { "policy", 3, "1274f9c3f1f8482e8be97d0ee405b133" },
        [ANNOUNCE_SET] = { "set", 6, "07c32f58f69240398f9448447bf5da06" },
        [ANNOUNCE_DRIFT] = { "drift", 5, "eff380e00fae424987c2027dacc39e2e" },
        [ANNOUNCE_REPAIRED] = { "repaired", 5, "d3af91b3ffa3494f8b4d010a6653ec64" },
        [ANNOUNCE_FIGHT] = { "fight", 4, "2de88f504f444c2083f5f9962f6908c6" },
        [ANNOUNCE_CAPPED] = { "capped", 5, "fca6684f1d7646758e4f974e9ec73a58" },
        [ANNOUNCE_HOLD] = { "hold", 5, "ba7bac6781bd457c8b38a4f73f9873eb" },
        [ANNOUNCE_UNHOLD] = { "unhold", 5, "6f51b76452cd40288154c1a5c5fe99ae" },
        [ANNOUNCE_GIVEN_BACK] = { "given-back", 6, "c63cf04668fe4a918754ddb82f16d6ac" },
        [ANNOUNCE_WOULD] = { "would", 6, "3cdbc2983da4407b860b51dd8fc67569" },
        [ANNOUNCE_SQUEEZE] = { "squeeze", 4, "e1952a6ae853457882b385ff12faec6d" },
        [ANNOUNCE_REFUSED] = { "refused", 3, "3fa017dabca54e9084eed6e7dca08493" },
        [ANNOUNCE_PAUSE] = { "pause", 4, "cff4eaa2c04d4c2386b80ac08e375169" },
        [ANNOUNCE_RESUME] = { "resume", 5, "8c50a6cfb50f4ca6852e1957133e1754" },
        [ANNOUNCE_FOUND] = { "found", 6, "c75256219e32446781f009ca999e2740" },
        [ANNOUNCE_GONE] = { "gone", 6, "ac0d31b22cbb42908afb0dd5df507675" },
        [ANNOUNCE_CONTRADICTION] = { "contradiction", 4, "c1e0edd466804c778f7276b5a4674639" },
        [ANNOUNCE_UNDO] = { "undo", 5, "41fc8ce2e11b431382919e8a8ecc4a20" },
        [ANNOUNCE_RELEASE] = { "release", 4, "b76fed9beb4f47348a1ac8e9f5df6df1" },
        [ANNOUNCE_DEGRADED] = { "degraded", 3, "60def061395f45288d6968b8e19d24b4" },
        [ANNOUNCE_NOTIFY] = { "notify", 5, "9c2f0a2493f242f2bd3f67f56b1a68c3" },
        [ANNOUNCE_THROTTLE] = { "throttle", 4, "04e80f0b1ff5420d90a287fae44475ab" },
        [ANNOUNCE_RELAX] = { "relax", 6, "376eedfcb4fe4b1ab638e8923d185d2e" },
        [ANNOUNCE_UNTHROTTLE] = { "unthrottle", 5, "03e45904003e46869088659d4b41f506" },
        [ANNOUNCE_FREEZE] = { "freeze", 4, "e63f082c2b8f440ca49cc593e65c7b57" },
        [ANNOUNCE_THAW] = { "thaw", 5, "b78d5f8e930e48f2b4bf635bba0ffe7a" },
        [ANNOUNCE_STOP] = { "stop", 4, "4e3947cc54f04974a0c902972d15e939" },
        [ANNOUNCE_KILL] = { "kill", 3, "bd9ccce8dbfd402a933b614705282388" },
        [ANNOUNCE_ALARM] = { "alarm", 3, "eb211e88bea442a5a9b876b869c10f52" },
        [ANNOUNCE_THRASH] = { "thrash", 4, "b8f17803840f451e969102928f5e6140" },
        [ANNOUNCE_STORM] = { "storm", 2, "5563c8f3c88c4bfa8e539f2324a77ca6" },
        [ANNOUNCE_EXIT] = { "exit", 5, "1e6cfb8a41e94c3c9d0d35f4a3c2b7d8" },
        [ANNOUNCE_EXEC] = { "exec", 6, "aa3ee83405764f0797b30d75da09bba5" },
        [ANNOUNCE_LOOKUP_FAILED] = { "lookup-failed", 4, "e889d393a570426eb3086c368f459002" },
        [ANNOUNCE_LOOKUP_ANSWERED] = { "lookup-answered", 5, "f0c3b096a73942239b98be97d3edbd2b" },
};

void event_deinit(Event *e) {
        free(e->tenant);
        free(e->container);
        free(e->cgroup);
        free(e->program);
        free(e->text);
        free(e->judged);
        *e = (Event){};
}

const Event *event_find(const Guard *g, uint64_t id) {
        size_t low = 0, high = g->n_events;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const Event *e = &g->events[(g->events_head + middle) % EVENTS_MAX];

                if (e->id == id)
                        return e;
                if (e->id < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

uint64_t announce_next_id(Guard *g) {
        if (g->next_event_id >= g->reserved_event_id)
                control_reserve_events(g);
        return g->next_event_id + 1;
}

static void drop_judged(Guard *g, Event *e) {
        if (!e->judged)
                return;
        g->judged_bytes -= strlen(e->judged) + 1;
        free(e->judged);
        e->judged = NULL;
}

/* Takes it; the oldest evidence makes room. */
static void keep_judged(Guard *g, Event *e, char *judged) {
        size_t need = judged ? strlen(judged) + 1 : 0;

        for (size_t i = 0; i < g->n_events && g->judged_bytes + need > EVENTS_JUDGED_BYTES; i++)
                drop_judged(g, &g->events[(g->events_head + i) % EVENTS_MAX]);
        e->judged = judged;
        g->judged_bytes += need;
}

void event_set_judged(Guard *g, uint64_t id, char *judged) {
        Event *e = (Event *)event_find(g, id);

        if (!judged)
                return;
        if (!e) {
                free(judged);
                return;
        }
        drop_judged(g, e);
        keep_judged(g, e, judged);
}

/* The slot of a new event: the oldest goes when the ring is full. */
static Event *push(Guard *g) {
        Event *e;

        if (g->n_events == EVENTS_MAX) {
                e = &g->events[g->events_head];
                g->events_head = (g->events_head + 1) % EVENTS_MAX;
                drop_judged(g, e);
                event_deinit(e);
        } else
                e = &g->events[(g->events_head + g->n_events++) % EVENTS_MAX];
        e->id = g->next_event_id = announce_next_id(g);
        e->realtime = clock_realtime();
        return e;
}

static char *copy(const char *s) { return s ? strdup(s) : NULL; }

static void send_journal(Guard *g, const AnnounceInfo *info, const Event *e, const Evidence *evidence) {
        char id[24], cgid[24], incident[24], uid[16], pid[16];
        _cleanup_buf_ Buf knob = BUF_INIT, saw = BUF_INIT, desired = BUF_INIT;

        (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)e->id);
        (void)snprintf(cgid, sizeof(cgid), "%llu", (unsigned long long)e->cgroup_id);
        (void)snprintf(incident, sizeof(incident), "%llu", (unsigned long long)e->incident);
        (void)snprintf(uid, sizeof(uid), "%u", e->uid);
        (void)snprintf(pid, sizeof(pid), "%d", (int)e->pid);
        if (e->have_knob)
                (void)limit_format_knob(e->knob, &knob);
        if (e->have_saw)
                (void)limit_format_value(e->knob.limit, e->saw, &saw);
        if (e->have_desired)
                (void)limit_format_value(e->knob.limit, e->desired, &desired);
        const JournalField fields[] = {
                { "BAILIFF_EVENT_ID", id },
                { "BAILIFF_ACTION", info->kind },
                { "BAILIFF_TENANT", e->tenant },
                { "BAILIFF_CONTAINER", e->container },
                { "BAILIFF_CGROUP", e->cgroup },
                { "BAILIFF_CGROUP_ID", e->cgroup_id ? cgid : NULL },
                { "BAILIFF_RESOURCE", e->have_knob ? buf_str(&knob)
                                      : evidence   ? evidence->resource
                                                   : NULL },
                { "BAILIFF_HARM", evidence ? evidence->harm : NULL },
                { "BAILIFF_BLAME", evidence ? evidence->blame : NULL },
                { "BAILIFF_INCIDENT_ID", e->incident ? incident : NULL },
                { "BAILIFF_SAW", e->have_saw ? buf_str(&saw) : NULL },
                { "BAILIFF_DESIRED", e->have_desired ? buf_str(&desired) : NULL },
                { "BAILIFF_CAUSE", e->cause },
                { "BAILIFF_PROGRAM", e->program },
                { "BAILIFF_CALLER_UID", e->have_caller ? uid : NULL },
                { "BAILIFF_CALLER_PID", e->have_caller ? pid : NULL },
        };

        journal_send(g->journal, info->priority, info->message_id, e->text ? e->text : info->kind, fields,
                     ARRAY_SIZE(fields));
}

static void publish(Guard *g, Announce what, Event *e, const Evidence *evidence) {
        e->kind = infos[what].kind;
        send_journal(g, &infos[what], e, evidence);
        bus_signal_action(g, e);
}

static void set_target(Event *e, const Target *t) {
        e->tenant = copy(t->tenant ? t->tenant->name : NULL);
        e->container = copy(t->container ? target_name(t) : NULL);
        e->cgroup = copy(t->node->path);
        e->cgroup_id = t->id;
}

static void set_caller(Event *e, const Caller *c) {
        if (!c || !c->known)
                return;
        e->have_caller = true;
        e->uid = c->uid;
        e->pid = c->pid;
}

void announce(Guard *g, Announce what, const Target *t, const ReconEvent *re, const Caller *c,
              const char *format, ...) {
        Event *e = push(g);
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        e->text = text;
        if (t)
                set_target(e, t);
        if (re) {
                e->have_knob = true;
                e->knob = re->knob;
                e->have_saw = re->have_saw;
                e->saw = re->saw;
                e->have_desired = true;
                e->desired = re->desired;
                if (re->kind == RECON_DRIFT || re->kind == RECON_FIGHT || re->kind == RECON_HOLD ||
                    re->kind == RECON_CAPPED)
                        e->cause = drift_cause_to_string(re->cause);
        }
        set_caller(e, c);
        publish(g, what, e, NULL);
}

uint64_t announce_judged(Guard *g, Announce what, const Target *t, uint64_t incident,
                         const Evidence *evidence, const Caller *c, const char *text) {
        Event *e = push(g);

        e->text = copy(text);
        e->incident = incident;
        if (evidence)
                keep_judged(g, e, evidence->judged);
        if (t)
                set_target(e, t);
        set_caller(e, c);
        publish(g, what, e, evidence);
        return e->id;
}

void announce_tenant(Guard *g, Announce what, const char *tenant, const char *format, ...) {
        Event *e = push(g);
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        e->text = text;
        e->tenant = copy(tenant);
        publish(g, what, e, NULL);
}

void announce_about(Guard *g, Announce what, const EventSubject *who, const char *cause, const char *text) {
        Event *e = push(g);

        e->text = copy(text);
        e->cause = cause;
        e->tenant = copy(who->tenant);
        e->container = copy(who->container);
        e->cgroup = copy(who->cgroup);
        e->cgroup_id = who->cgroup_id;
        e->program = copy(who->program);
        e->n_left_out = who->n_left_out;
        publish(g, what, e, NULL);
}

void announce_recon(Guard *g, const Target *t, const ReconEvent *e) {
        _cleanup_buf_ Buf knob = BUF_INIT, saw = BUF_INIT, want = BUF_INIT;
        const char *who = target_name(t), *k, *s, *d;

        (void)limit_format_knob(e->knob, &knob);
        if (e->have_saw)
                (void)limit_format_value(e->knob.limit, e->saw, &saw);
        (void)limit_format_value(e->knob.limit, e->desired, &want);
        k = buf_str(&knob);
        s = e->have_saw ? buf_str(&saw) : "unknown";
        d = buf_str(&want);

        switch (e->kind) {
        case RECON_DRIFT:
                g->n_drift_found++;
                announce(g, ANNOUNCE_DRIFT, t, e, NULL, "%s: %s was %s, policy holds %s; cause: %s", who, k,
                         s, d, drift_cause_to_string(e->cause));
                return;
        case RECON_REPAIRED:
                g->n_drift_repaired++;
                announce(g, ANNOUNCE_REPAIRED, t, e, NULL, "%s: %s is %s again", who, k, d);
                return;
        case RECON_FIGHT:
                g->n_fights++;
                announce(g, ANNOUNCE_FIGHT, t, e, NULL,
                         "%s: somebody keeps setting %s to %s (cause: %s); repairs of it back off to one a "
                         "minute. "
                         "Accept it with: bailiffctl hold %s --for 1h",
                         who, k, s, drift_cause_to_string(e->cause), who);
                return;
        case RECON_CAPPED:
                announce(g, ANNOUNCE_CAPPED, t, e, NULL,
                         "%s: %s was raised to %s, policy caps it at %s. To let it pass: bailiffctl hold %s "
                         "--for 1h",
                         who, k, s, d, who);
                return;
        case RECON_HOLD:
                announce(g, ANNOUNCE_HOLD, t, e, NULL,
                         "%s: an operator set %s to %s (policy says %s); left alone for a while", who, k, s,
                         d);
                return;
        case RECON_WOULD:
                announce(g, ANNOUNCE_WOULD, t, e, NULL, "%s: would set %s from %s to %s", who, k, s, d);
                return;
        case RECON_SQUEEZE:
                announce(g, ANNOUNCE_SQUEEZE, t, e, NULL,
                         "%s: uses more than its new %s %s; memory.high squeezes it, memory.max follows when "
                         "use fits",
                         who, k, d);
                return;
        case RECON_REFUSED:
                announce(g, ANNOUNCE_REFUSED, t, e, NULL, "%s: the kernel refused %s=%s: %s", who, k, d,
                         strerror(-e->error));
                return;
        case RECON_SET:
                announce(g, ANNOUNCE_SET, t, e, NULL, "%s: %s from %s to %s", who, k, s, d);
                return;
        case RECON_GIVEN_BACK:
                announce(g, ANNOUNCE_GIVEN_BACK, t, e, NULL, "%s: %s given back, from %s to %s", who, k, s,
                         d);
                return;
        case _RECON_EVENT_MAX:
                return;
        }
}
