/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How containers' main processes end, and what they execute.
 *
 * Which one is the main process the engine's state says; where it does not, it is the first of the cgroup. Only a process
 * that is in the cgroup right now is watched, and a container that is a second old, for until then an engine's own
 * helpers are in there, too.
 *
 * The word of the kernel comes through bailiff-netlink, within milliseconds; the cgroup may be gone before or after it. So what
 * is needed to tell the story is copied when the cgroup goes, and waits some seconds for the other half.
 *
 * Which executions are told, execs.h decides; here they are told with the beat, or at the latest right before the end.
 */

#include "act.h"
#include "execs.h"
#include "guard.h"
#include "json.h"
#include "num.h"

#include <jansson.h>

#define AGE_USEC USEC_PER_SEC
#define TRIES_MAX 10 /* a second apart: then it has none that could be found */
#define ASK_TRIES 3 /* until then the engine may not have written it down */
#define PER_BEAT 64 /* so many a beat: each takes a look into its cgroup */
#define WAIT_USEC (5 * USEC_PER_SEC)

typedef struct MainProcess {
        uint64_t id; /* of the cgroup */
        pid_t pid;
        usec_t until; /* its cgroup is gone: wait no longer; 0: it is there */
        bool headless; /* its leader has ended and left threads behind: the kernel says no more of it */
        bool known; /* how the leader ended, which is the process's word only if that ends with it */
        uint32_t code;
        char *tenant, *container, *cgroup; /* as of the end of the cgroup */
        Ending ending;
        Execs execs;
} MainProcess;

static MainProcess *main_free(MainProcess *m) {
        if (!m)
                return NULL;
        free(m->tenant);
        free(m->container);
        free(m->cgroup);
        free(m);
        return NULL;
}
DEFINE_CLEANUP(MainProcess *, main_free)

static bool within(usec_t at, usec_t now, usec_t span) { return at > 0 && now - MIN_OF(at, now) < span; }

static Ending ending_of(const Target *t, usec_t now) {
        return (Ending){
                .ours = within(t->heard.acted_at, now, ENDING_OURS_USEC),
                .oom = within(t->m.book.oom_at, now, ENDING_OOM_USEC),
        };
}

/* Whose it is. False: nobody knows any more. */
static bool subject_of(const Guard *g, const MainProcess *m, EventSubject *ret) {
        const Target *t = map_get_u64(&g->targets, m->id);

        if (m->until > 0)
                *ret = (EventSubject){ .tenant = m->tenant,
                                       .container = m->container,
                                       .cgroup = m->cgroup,
                                       .cgroup_id = m->id };
        else if (t && !t->leaving)
                *ret = (EventSubject){ .tenant = t->tenant ? t->tenant->name : POLICY_UNASSIGNED,
                                       .container = target_name(t),
                                       .cgroup = t->node->path,
                                       .cgroup_id = t->id };
        else
                return false;
        return true;
}

/* ---- executions ---- */

void deaths_execed(Guard *g, uint64_t id, pid_t pid, uint64_t n, const char *comm) {
        MainProcess *m = map_get_u64(&g->listening->mains, id);
        const Target *t = map_get_u64(&g->targets, id);

        if (!m || m->pid != pid)
                return;
        g->listening->n_execs = num_add_sat(g->listening->n_execs, n);
        execs_seen(&m->execs, n, comm, t && t->m.born, clock_monotonic());
}

static void tell_execs(Guard *g, MainProcess *m, bool ended) {
        _cleanup_buf_ Buf text = BUF_INIT;
        EventSubject who;
        ExecsTold told;

        if (!subject_of(g, m, &who) || !execs_take(&m->execs, ended, clock_monotonic(), &told))
                return;
        buf_printf(&text, "%s: its main process %ld ", who.container ? who.container : "?", (long)m->pid);
        execs_format(&told, &text);
        who.program = told.program[0] ? told.program : NULL;
        who.n_left_out = told.n_left_out;
        announce_about(g, ANNOUNCE_EXEC, &who, NULL, buf_str(&text));
}

void deaths_render(const Guard *g, const Target *t, json_t *o) {
        const MainProcess *m = map_get_u64(&g->listening->mains, t->id);

        if (t->heard.main_pid > 0)
                json_set_int(o, "main_pid", (uint64_t)t->heard.main_pid);
        if (!m || !m->execs.known)
                return;
        json_set_text(o, "main_program", m->execs.program[0] ? m->execs.program : NULL);
        json_set_int(o, "main_execs", m->execs.n_all);
        json_set_int(o, "main_execs_left_out", m->execs.n_left_out);
}

/* ---- threads without their leader ---- */

static bool lives(const Target *t, pid_t pid) { return act_find_main(t->node->fd, pid) == pid; }

static void keep_headless(MainProcess *m, uint32_t code, bool known) {
        if (m->headless)
                return;
        m->headless = true;
        m->code = code;
        m->known = known;
}

/* A process that is killed as a whole has its last threads end right after the leader; one that is still there a beat
 * later has another word to say at its end, which nobody hears. */
static void check_headless(Guard *g, MainProcess *m) {
        const Target *t = map_get_u64(&g->targets, m->id);

        if (!t || t->leaving)
                return;
        if (lives(t, m->pid))
                m->known = false;
        else
                deaths_exited(g, m->id, m->pid, m->code, m->known);
}

/* ---- watching ---- */

static void watch(Guard *g, Target *t) {
        Listening *l = g->listening;
        pid_t claimed = t->info ? t->info->main_pid : 0, pid;
        MainProcess *m;

        t->heard.main_tries++;
        /* Where its engine keeps files that could be read it may have been too early for the pid. */
        if (claimed == 0 && t->heard.main_tries <= ASK_TRIES && t->info && t->info->name) {
                world_ask_names(g, t, guard_now(g));
                return;
        }
        pid = act_find_main(t->node->fd, claimed);
        if (pid <= 1)
                return;
        m = calloc(1, sizeof(*m));
        if (!m)
                return;
        *m = (MainProcess){ .id = t->id, .pid = pid };
        if (map_put_u64(&l->mains, t->id, m) < 0) {
                main_free(m);
                return;
        }
        if (nlclient_watch(l->client, t->id, (uint32_t)pid, 0) < 0) {
                (void)map_remove_u64(&l->mains, t->id);
                main_free(m);
                return;
        }
        t->heard.main_pid = pid;
        t->heard.main_done = true;
}

void deaths_beat(Guard *g, usec_t now) {
        Listening *l = g->listening;
        uint64_t realtime = clock_realtime();
        unsigned n = 0;
        MainProcess *m;
        Target *t;

        for (size_t i = 0; n < PER_BEAT && (t = map_next(&g->targets, &i));) {
                if (!t->container || t->leaving || t->heard.main_done || !t->m.attached)
                        continue;
                if (realtime < t->since_realtime + AGE_USEC)
                        continue;
                if (t->heard.main_tries >= TRIES_MAX)
                        t->heard.main_done = true;
                else {
                        n++;
                        watch(g, t);
                }
        }
        for (size_t i = 0; (m = map_next(&l->mains, &i));)
                if (m->until == 0) {
                        tell_execs(g, m, false);
                        if (m->headless)
                                check_headless(g, m);
                } else if (now >= m->until) {
                        nlclient_unwatch(l->client, m->id);
                        (void)map_remove_u64(&l->mains, m->id);
                        main_free(m);
                }
}

void deaths_check(Guard *g) {
        MainProcess *m;

        for (size_t i = 0; (m = map_next(&g->listening->mains, &i));) {
                const Target *t = m->until == 0 ? map_get_u64(&g->targets, m->id) : NULL;

                if (!t || t->leaving || m->headless || lives(t, m->pid))
                        continue;
                nlclient_unwatch(g->listening->client, m->id);
                deaths_exited(g, m->id, m->pid, 0, false);
        }
}

void deaths_gone(Guard *g, Target *t) {
        MainProcess *m = map_get_u64(&g->listening->mains, t->id);

        if (!m || m->until > 0)
                return;
        if (m->headless) {
                deaths_exited(g, m->id, m->pid, m->code, m->known);
                return;
        }
        m->until = clock_monotonic() + WAIT_USEC;
        m->tenant = strdup(t->tenant ? t->tenant->name : POLICY_UNASSIGNED);
        m->container = strdup(target_name(t));
        m->cgroup = strdup(t->node->path);
        m->ending = ending_of(t, clock_monotonic());
        m->ending.unread = !t->m.read_out;
}

/* ---- telling ---- */

void deaths_exited(Guard *g, uint64_t id, pid_t pid, uint32_t code, bool known) {
        _cleanup_(cleanup_main_free) MainProcess *m = NULL;
        MainProcess *watched = map_get_u64(&g->listening->mains, id);
        Target *t = map_get_u64(&g->targets, id);
        _cleanup_buf_ Buf text = BUF_INIT;
        EventSubject who;
        Ending e;

        if (!watched)
                return;
        if (watched->until == 0 && t && !t->leaving && lives(t, pid)) {
                keep_headless(watched, code, known);
                return;
        }
        m = map_remove_u64(&g->listening->mains, id);
        g->listening->n_exits++;
        if (!subject_of(g, m, &who))
                return;
        if (m->until > 0)
                e = m->ending;
        else {
                t->heard.main_pid = 0;
                measure_ask(g, t); /* its memory.events, while that is there */
                e = ending_of(t, clock_monotonic());
                e.unread = !within(t->m.last.at, clock_monotonic(), USEC_PER_SEC);
        }
        tell_execs(g, m, true);
        e.known = known;
        e.code = code;
        who.program = m->execs.program[0] ? m->execs.program : NULL;
        buf_printf(&text, "%s: its main process %ld", who.container ? who.container : "?", (long)pid);
        if (who.program)
                buf_printf(&text, " (%s)", who.program);
        buf_puts(&text, " has ended: ");
        ending_format(&e, &text);
        announce_about(g, ANNOUNCE_EXIT, &who, ending_cause_to_string(ending_cause(&e)), buf_str(&text));
}

void deaths_free(Guard *g) {
        MainProcess *m;

        for (size_t i = 0; (m = map_next(&g->listening->mains, &i));)
                main_free(m);
        map_deinit(&g->listening->mains);
}
