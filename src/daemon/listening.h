/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the kernel says of processes, through bailiff-netlink(8): listening.c wants it, deaths.c says what main
 * processes execute and how they end, arrears.c books what nobody had seen, processes.c asks who stands out in a cgroup,
 * links.c which links of the host lead into it. All of it is
 * optional: without the service nothing of it is known, and the guard says so once. Included by guard.h.
 */

#include "ending.h"
#include "nlclient.h"
#include "refusal.h"

typedef struct Guard Guard;
typedef struct Target Target;
struct json_t;

typedef enum Used { /* what arrears.c books */
                    USED_CPU_USEC, /* as TALLY_CPU_USEC */
                    USED_RUN_USEC,
                    USED_READ_BYTES,
                    USED_WRITE_BYTES,
                    _USED_MAX,
} Used;

/* Of a container: embedded in its Target. */
typedef struct Heard {
        uint64_t n_forks; /* tasks that it started, as far as that was counted */
        uint64_t forks_per_sec; /* of the last batch that told of it, */
        usec_t forks_at; /* and when that came; 0: never */
        pid_t main_pid; /* watched; 0: not, or not any more */
        unsigned main_tries;
        bool main_done; /* no further try */
        usec_t acted_at; /* a stop or kill of ours reached it; 0: never */
        bool moved; /* from one tenant to another: its book began anew */
        uint64_t tasks[_USED_MAX]; /* of its tasks that ended */
} Heard;

typedef struct ProcessesAsk { /* one question under way */
        uint64_t seq; /* 0: free */
        NlAsk ask;
        uint32_t pids[NLWIRE_ASK_MAX];
        size_t n;
        usec_t until;
        void (*done)(Guard *g, void *user, struct json_t *answer);
        void *user;
} ProcessesAsk;
#define PROCESSES_ASKS_MAX 4

typedef struct LinksAsk { /* likewise */
        uint64_t seq; /* 0: free */
        uint64_t id; /* cgroup */
        uint32_t pid;
        usec_t until;
        void (*done)(Guard *g, void *user, struct json_t *answer);
        void *user;
} LinksAsk;
#define LINKS_ASKS_MAX 4

typedef struct Listening {
        NlClient *client;
        sd_event_source *source, *wake;
        NlStatus status;
        bool have_status; /* of the connection that there is */
        usec_t away_since; /* the service does not answer since then; 0: it does, or nothing is wanted of it */
        const char *away_why; /* static */
        bool link_told; /* said once, until it was well again */
        Refusal events_refusal, records_refusal;
        usec_t lost_told_at; /* 0: never */
        usec_t refused_at; /* the kernel refused something, or was asked again */
        uint64_t n_lost_events, n_lost_records; /* while we listened */
        usec_t storm_until; /* forks are wanted until then */
        uint64_t last_pid; /* of the host, as of the beat before */
        usec_t last_pid_at;
        uint64_t host_forks_per_sec; /* about, as pids were given away */
        usec_t span; /* of the batch that is being told */
        usec_t tasks_until; /* records of tasks are wanted until then */
        Map mains; /* cgroup id → main process that is watched */
        Map arrears; /* path → what is owed to its tenant */
        uint64_t n_exits, n_execs, n_arrears, arrears_usec;
        uint64_t last_seq;
        ProcessesAsk asks[PROCESSES_ASKS_MAX];
        LinksAsk links_asks[LINKS_ASKS_MAX];
} Listening;

/* ---- listening.c ---- */
int listening_new(Guard *g); /* into g->listening */
void listening_free(Guard *g);
void listening_beat(Guard *g, usec_t now);
/* Forks of a container are counted now: how many a second. False: they are not counted. */
bool listening_forks(const Guard *g, const Target *t, uint64_t *ret);
/* To be called where something was wanted, watched or asked outside of the beat. */
void listening_dispatch(Guard *g);
struct json_t *render_listening(const Guard *g);

/* ---- deaths.c ---- */
void deaths_beat(Guard *g, usec_t now); /* begins to watch main processes */
void deaths_check(Guard *g); /* nobody listened for a while */
void deaths_gone(Guard *g,
                 Target *t); /* its cgroup is gone; its death may still be told. Before measure_detach(). */
void deaths_exited(Guard *g, uint64_t id, pid_t pid, uint32_t code, bool known);
void deaths_execed(Guard *g, uint64_t id, pid_t pid, uint64_t n, const char *comm);
void deaths_render(const Guard *g, const Target *t, struct json_t *o); /* members "main_…" */
void deaths_free(Guard *g);

/* ---- arrears.c ---- */
bool arrears_wanted(const Guard *g); /* there is a container that no slice of its tenant counts */
void arrears_told(Guard *g, const char *path, const uint64_t n[_TALLY_TASK_MAX]);
void arrears_gone(Guard *g, Target *t); /* before measure_detach() */
/* One that came and went unseen. */
void arrears_missed(Guard *g, const char *path, const char *tenant, bool below);
void arrears_beat(Guard *g, usec_t now);
void arrears_free(Guard *g);

/* ---- processes.c ---- */
/*
 * Which processes of t stand out, by `by`, within span: done() is called once, soon or after some seconds, maybe before this
 * returns, with an object that is borrowed (bus.h, "processes"); NULL: no memory. Negative errno: it is not called.
 */
int processes_ask(Guard *g, const Target *t, NlBy by, usec_t span,
                  void (*done)(Guard *g, void *user, struct json_t *answer), void *user);
/* The same for the evidence of an event. */
void processes_explain(Guard *g, const Target *t, Resource resource, uint64_t event);
bool processes_pending(const Guard *g);
void processes_answered(Guard *g, const NlAsk *ask, const NlProcess *all, size_t n);
void processes_beat(Guard *g, usec_t now);
void processes_free(Guard *g);

/* ---- links.c ---- */
/* Which links of the host lead into t (bus.h, "links"): as processes_ask(). */
int links_ask(Guard *g, const Target *t, void (*done)(Guard *g, void *user, struct json_t *answer),
              void *user);
bool links_pending(const Guard *g);
void links_answered(Guard *g, const NlLinksAsk *answer, const NlLink *all, size_t n);
void links_beat(Guard *g, usec_t now);
void links_free(Guard *g);
