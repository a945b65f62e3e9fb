/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The judge at work: judging.c makes the scene and has it judged, bystander.c measures
 * what is no container (host services, and the groups between), leasing.c holds back and gives back, incidents.c tells what
 * happened and why. Included by guard.h.
 */

#include "act.h"
#include "allowance.h"
#include "budgets.h"
#include "incident.h"
#include "judge.h"
#include "leases.h"
#include "loghist.h"
#include "meter.h"
#include "overlay.h"
#include "thaw.h"

typedef struct Guard Guard;
typedef struct Target Target;
typedef struct Caller Caller;
typedef struct Event Event;

#define LEASE_SPAN_USEC (30 * USEC_PER_SEC) /* a guard that is gone for so long has let go */
#define LEVERS_LIMIT (LEVER_PIDS + 1) /* levers that are limits */
#define WOULD_MAX 4096 /* containers with a count of their own; what is beyond is counted together */

/* What the judge keeps of a container: only of those that did something. Owned by its Target. */
typedef struct Judged {
        PartyMemory memory;
        usec_t used_at; /* it was busy last */
        uint64_t local_high, local_max; /* of memory.events.local, as last read */
        bool local_known;
        LimitSet io_leased; /* io.max with our leases */
} Judged;

/* What is no container: a service of the host's or a user's, a virtual machine, or a group (slice, directory) above others. */
typedef struct Bystander {
        TreeNode *node;
        PartyKind kind;
        MeterCg meter;
        Sample last;
        SampleIo io_before;
        usec_t io_before_at, io_at;
        LimitSet limits; /* of the kernel's files, as of limits_at */
        usec_t limits_at;
        Baseline baseline; /* of a service */
        usec_t since; /* it exists; 0: longer than we look */
        bool active; /* it did something between the last two looks */
        Judged *judged; /* NULL: it never did anything */
        uint32_t scene_index;
        uint64_t scene_made; /* in which scene */
} Bystander;

/* The dead whose name may come again. */
typedef struct Record {
        char *key; /* "tenant/name" */
        PartyMemory memory;
} Record;

/* Of a container (by tenant/name) since the guard started: for `observe-report`. */
typedef struct WouldCount {
        char *key; /* "tenant/name" */
        char *tenant, *name, *cgroup;
        unsigned throttle, freeze, stop, kill;
        uint64_t worst_event;
        unsigned worst; /* permyriad */
} WouldCount;

typedef struct Judging {
        Judge *judge;
        Leases *leases; /* NULL: none may be taken (leases_error says why) */
        int leases_error;
        Thaw *thaw;
        sd_event_source *thaw_source;
        Map bystanders; /* cgroup id → Bystander */
        size_t n_services; /* of them */
        Map records; /* "tenant/name" → Record */
        Budgets budgets;
        usec_t step_at; /* the last step */
        /* The scene's arrays, kept from step to step. */
        Party *parties;
        Target **owners; /* of each party; NULL: a bystander, or the host */
        uint32_t n_parties, parties_alloc;
        uint64_t n_scenes;
        Scene scene; /* of the step under way, or the last one */
        PartyMemory host_memory;
        Rest rest; /* of the host: what no party takes */
        usec_t rest_at; /* its memory was measured */
        unsigned bystander_rounds; /* while anything stalls, 2 at most */
        usec_t bystanders_at, bystanders_took; /* they were looked at; what that cost of CPU time */
        Allowance steps;
        bool stepping;
        LimitSet scratch, now; /* preallocated: for acting without memory */
        Buf text;
        Incidents incidents;
        Map would; /* "tenant/name" → WouldCount */
        uint64_t n_acts[_ACT_MAX], n_would[_ACT_MAX];
        LogHist reaction; /* µs from the look that showed the harm to the first write */
} Judging;

/* ---- judging.c ---- */
int judging_new(Guard *g); /* into g->judging */
void judging_free(Guard *g); /* leases stay for the next guard; frozen ones are thawed */
void judging_beat(Guard *g, usec_t now);
void judging_step(Guard *g); /* after a round of looks */
void judging_gone(Guard *g, Target *t, bool alive); /* its cgroup is gone, or no target any more */
void judging_top_gone(Guard *g, const TreeNode *node); /* of any node: it is gone */
void judging_changed(Guard *g, Target *t); /* its name or tenant became known */
Judged *judged_free(Judged *j);
bool judged_hurt(const Judged *j); /* others hurt it, or may; NULL: no */
/* Its memory, made where it has none. NULL: no memory. */
Judged *judging_of(Guard *g, Target *t);
/* How an act on it went, where that is known only later. */
void judging_acted(Guard *g, Target *t, const Act *a, int result);
/* Others hurt it, or may, or it is held back: how it is now says nothing of how it is in calm. */
bool judging_disturbs(const Target *t);
/* Everything back at once: pause, or a policy that forbids it. */
void judging_forbid(Guard *g);

/* ---- bystander.c ---- */
void bystander_appeared(Guard *g, TreeNode *node);
void bystander_gone(Guard *g, TreeNode *node);
void bystander_beat(Guard *g, usec_t now); /* looks at them, if anything stalls */
/* CPU time of the groups right below the root, so that it can be compared with the host's. */
void bystander_refresh(Guard *g, usec_t age);
Bystander *bystander_of(Guard *g, const TreeNode *node); /* NULL: none */
void bystander_free(Guard *g);

/* ---- leasing.c ---- */

/* The files were read into `actual`: shows what lies beneath our leases; has them written again where they were wiped. */
void leasing_overlay(Guard *g, Target *t, LimitSet *actual);
/* Takes or changes leases, writes the kernel. 0; negative errno, CG_GONE: nothing of it stands. reason: for the file. */
int leasing_throttle(Guard *g, Target *t, const LimitEntry *values, unsigned n, Resource r, bool by_operator,
                     usec_t end, const char *reason);
/* Gives back the leases of one lever, or of all (_LEVER_INVALID); of an operator's only with by_operator. How many. */
unsigned leasing_release(Guard *g, Target *t, Lever lever, bool by_operator);
int leasing_freeze(Guard *g, Target *t, usec_t span, bool by_operator, const char *reason);
int leasing_thaw(Guard *g, Target *t);
/* Signal to the main process, or cgroup.kill. 0, CG_GONE, negative errno. */
int leasing_stop(Guard *g, Target *t);
int leasing_kill(Guard *g, Target *t);
bool leasing_frozen(const Guard *g, const Target *t); /* by us */
bool leasing_has(const Guard *g, const Target *t,
                 Lever lever); /* a limit of ours stands; _LEVER_INVALID: of any lever, or a freeze */
bool leasing_by_operator(const Guard *g, const Target *t);
/* At start: goes on with what an earlier run holds t back by. */
void leasing_adopt(Guard *g, Target *t);
void leasing_beat(Guard *g, usec_t now); /* puts deadlines off; ends what is over */
Lever leasing_lever(const Lease *l);
/* Its cgroup is gone: nothing is to be given back. */
void leasing_forget(Guard *g, Target *t);
int leasing_open(Guard *g);
void leasing_close(Guard *g);

/* ---- incidents.c ---- */

/* A verdict of the last scene was carried out (result as of the act) or, would, was not: event, journal, signal, incident. */
void incidents_verdict(Guard *g, const Verdict *v, int result);
/* An operator's act on t, that was done. text: one sentence. It belongs to the incident on t, if there is one. */
void incidents_operator(Guard *g, Target *t, ActKind kind, const Caller *c, const char *text);
void incidents_beat(Guard *g, usec_t now); /* closes those that are over */
void incidents_free(Guard *g);

/* ---- render-judge.c ---- */
struct json_t;
struct json_t *render_why(Guard *g, const char *what, const char *for_tenant, const char **ret_error);
struct json_t *render_incidents(Guard *g, uint32_t max); /* 0: all that are kept */
struct json_t *render_observe_report(Guard *g);
struct json_t *render_leases_of(Guard *g, const Target *t); /* array */
struct json_t *render_judged_now(Guard *g, const Target *t); /* {"rungs": […]} */
struct json_t *render_judge_status(Guard *g);
struct json_t *render_leases_status(Guard *g);
/* "judged" of a verdict of the last scene, that went so; i: the incident on its culprit before, or NULL. NULL: no memory. */
struct json_t *render_judged(Guard *g, const Verdict *v, int result, const Incident *i);
