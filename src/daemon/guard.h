/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guard's state: one Guard, its Targets (cgroups that carry limits of
 * ours or are containers) and Tenants. Everything runs in one sd-event loop on
 * one thread; nothing in here blocks.
 *
 *   world.c     tree and names → targets
 *   tenant.c    tenants, and how their sum is held
 *   find.c      NAME → target or tenant
 *   enforce.c   one target: read, decide (core/reconcile), write, tell systemd
 *   loader.c    policy from disk, read and resolved in a child process; mounts.c  anew when mounts change
 *   measure.c   looks at cgroups, accounts what they use; ledgers.c, triggers.c (measure.h)
 *   judging.c   who suffers, who is to blame, what is done about it; bystander.c, leasing.c, incidents.c (judging.h)
 *   listening.c what the kernel says of processes; deaths.c, arrears.c, processes.c, links.c (listening.h)
 *   announce.c  what happened → ring, journal, D-Bus signal
 *   control.c   pause, holds, undo, release; their files in /run/bailiff; control-act.c  throttle, freeze, kill
 *   render.c, render-judge.c  state → JSON;  telling.c  verdicts as sentences;  bus.c  D-Bus;  guard.c  set-up, beats
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <sys/sysmacros.h>

#include "ceiling.h"
#include "cgfile.h"
#include "cgpath.h"
#include "child.h"
#include "clock.h"
#include "holds.h"
#include "hostfacts.h"
#include "journal.h"
#include "ledger.h"
#include "manager.h"
#include "map.h"
#include "names.h"
#include "policy.h"
#include "policyfiles.h"
#include "reconcile.h"
#include "share.h"
#include "tree.h"
#include "who.h"
#include "writer.h"

typedef struct Guard Guard;
typedef struct Tenant Tenant;
typedef struct Target Target;

#include "judging.h"
#include "listening.h"
#include "measure.h"

/* Where to look; all may be changed for tests. */
typedef struct GuardConfig {
        const char *cgroup_root; /* /sys/fs/cgroup */
        const char *run_dir; /* /run/bailiff */
        const char *state_dir; /* /var/lib/bailiff */
        const char *netlink_socket; /* /run/bailiff-netlink.sock */
        const char *journal_socket; /* /run/systemd/journal/socket */
        const char *names_root; /* "": engines' files and users of this host; else a prefix */
        const char *const *policy_dirs; /* policy_dirs_default */
        bool observe; /* --observe: never writes, whatever policy says */
        bool foreground; /* log to stderr too */
        bool no_bus; /* do not connect to D-Bus */
} GuardConfig;

typedef struct Hold {
        usec_t until; /* monotonic */
        uint64_t until_realtime;
        char *reason;
        uint32_t uid; /* who asked */
        bool give_back; /* `release NAME`: limits are given back while it lasts */
} Hold;

/* A block device of the policy, resolved at load by the loader's child. */
typedef struct PolicyDevice {
        char *path; /* as written in policy */
        int result; /* block_resolve() */
        dev_t dev;
        char name[64];
        bool writeback;
} PolicyDevice;

typedef struct LoadedPolicy {
        Policy *policy;
        PolicyFiles files;
        PolicyDevice *devices;
        size_t n_devices;
        char *report; /* diagnostics, "" when none */
        bool refused; /* policy is NULL: report says why */
} LoadedPolicy;
LoadedPolicy *loaded_policy_free(LoadedPolicy *l);
DEFINE_CLEANUP(LoadedPolicy *, loaded_policy_free)

typedef enum UnitState {
        TARGET_UNIT_UNKNOWN,
        TARGET_UNIT_ASKED,
        TARGET_UNIT_KNOWN,
        TARGET_UNIT_NONE
} UnitState;

typedef enum TargetBusy {
        TARGET_IDLE,
        TARGET_WRITING, /* the writer helper has it */
        TARGET_ASKING, /* properties (and names) are being read */
        TARGET_PUSHING, /* SetUnitProperties is under way */
} TargetBusy;

struct Target {
        Guard *guard;
        TreeNode *node;
        uint64_t id; /* cgroup id; also the cookie of all requests */
        bool container; /* else a slice of a tenant's own */
        CgName cg;
        Engine engine;
        CgTrust trust;
        uint64_t since_realtime;

        ContainerInfo *info; /* NULL until the names helper answered */
        bool names_pending;
        unsigned names_tries;
        bool found; /* announced */
        bool bad_name_told; /* until it is settled otherwise */
        usec_t birth_due; /* PID 1 is still writing what the new unit asks for: not before then */
        usec_t names_due; /* until then a new container waits for its names, then the strictest candidate holds it */
        usec_t names_again; /* ask once more, USEC_INFINITY: not */

        WhoResult who;
        Tenant *tenant;
        Settings settings;
        const char *protected_why; /* NULL: not */
        bool reconciled; /* we may write here */
        const char *not_reconciled_why;

        LimitSet policy; /* Container…=, or the tenant's sum for its slice */
        LimitSet share;
        bool have_share; /* the share is apportioned, a lease */
        ShareMemory share_memory;
        bool lent; /* it has less than an equal share, for it did not use it: looked at sooner */
        LimitSet desired, unshared, actual, properties;
        uint32_t have_files;
        bool have_properties;
        Recon recon;
        CgUsage usage; /* as of the last step: for what may not be set below it */
        Measured m;
        Heard heard;

        UnitState unit_state;
        UnitInfo unit;
        TargetBusy busy;
        unsigned awaited; /* while ASKING: bits of Answer (enforce.c) */
        bool dirty; /* step again as soon as idle */
        bool queued;
        usec_t next; /* step at this time */
        bool evidence; /* properties and engine's file were just asked for: decide on them, with the files read before */
        bool dropins_looked; /* before our first push: whose runtime drop-ins are there */
        uint32_t foreign_dropins; /* bits 1 << Limit: somebody's before us, never removed */
        LimitSet before_push; /* the kernel's files before SetUnitProperties */
        LimitSet pushed;
        LimitSet give_back_property; /* to remove the drop-ins of, after a push */
        ReconWrite *writing; /* the writes under way, and how many of them share each kernel write */
        size_t n_writing, spans[WRITER_WRITES_MAX];
        bool leaving; /* not our care any more: give everything back, then forget */
        bool engine_asked_anew; /* the engine's file asks for other limits than when we last wrote */

        Judged *judged; /* NULL: it did nothing lately */
        uint32_t scene_index; /* in the scene scene_made */
        uint64_t scene_made;
        unsigned
                n_high_writes; /* of memory.high as a lease, that the writer has not done yet: until then the file may hold an older one */
        bool high_goes; /* that lease is being given back */
        bool thaw_due; /* it was frozen */
        bool thaw_failed; /* and could not be thawed */
        bool thaw_told; /* its freeze is being ended, and an event says so and why */
        unsigned n_leases; /* of ours that stand on it, freezes too */

        Hold *hold;
        uint64_t
                operator_until; /* realtime: an implicit hold, kept for a restart; the core has the live one */
};

struct Tenant {
        char name[POLICY_NAME_MAX + 1];
        const PolicyTenant *rule; /* NULL: unassigned */
        bool template;
        Settings settings;
        LimitSet sum;
        Target **members; /* its containers */
        size_t n_members, members_alloc;
        Target **slices; /* its own slices */
        size_t n_slices, slices_alloc;
        bool dirty; /* apportion again */
        bool has_sum;
        ShareResult share;
        usec_t next; /* apportion again while advisory */
};

typedef struct Event {
        uint64_t id;
        uint64_t realtime;
        const char *kind; /* static */
        char *tenant, *container, *cgroup;
        uint64_t cgroup_id;
        bool have_knob;
        LimitKnob knob;
        bool have_saw;
        uint64_t saw, desired;
        bool have_desired;
        const char *cause; /* static, NULL */
        char *program; /* of a main process; NULL */
        uint64_t n_left_out; /* of its executions, before this one */
        char *text;
        uint64_t incident; /* 0: of none */
        char *judged; /* JSON: what a verdict rests on; NULL */
        uint32_t uid;
        pid_t pid;
        bool have_caller;
} Event;

#define EVENTS_MAX 4096
#define EVENTS_JUDGED_BYTES (4 << 20) /* of Event.judged; older ones are told without */
#define GUARD_BEAT_USEC USEC_PER_SEC
#define GUARD_RELOOK_USEC (30 * USEC_PER_SEC)
#define GUARD_RESCAN_USEC (60 * USEC_PER_SEC)
#define GUARD_NAMES_USEC (250 * USEC_PER_MSEC)
#define GUARD_BIRTH_USEC (100 * USEC_PER_MSEC)
#define GUARD_BIRTH_QUIET_USEC (20 * USEC_PER_MSEC)
/* On a host in trouble PID 1 may come later than that; it is not told as drift for so long. */
#define GUARD_NEWBORN_USEC (10 * USEC_PER_SEC)
#define GUARD_SETTLE_USEC (2 * USEC_PER_SEC)
/* After a start nobody's use is known yet: for so long shares stay what an earlier run gave. */
#define GUARD_SHARES_USEC (5 * USEC_PER_SEC)

struct Guard {
        GuardConfig config;
        sd_event *event;
        sd_bus *bus, *bus_dying;
        sd_event_source *beat, *work, *wake, *bus_retry;
        usec_t wake_at;
        sd_event_source *tree_source, *writer_source, *names_source, *pause_source;

        HostFacts host;
        Tree *tree;
        Writer *writer;
        Names *names;
        Manager *manager;
        Journal *journal;
        Ledger *ledger;
        Measure *measure;
        Judging *judging;
        Listening *listening;

        LoadedPolicy *loaded; /* the policy in force; never NULL after start */
        bool policy_ok; /* what lies on disk is what is in force */
        bool last_good;
        char *policy_report; /* why not, or warnings */
        uint64_t policy_loaded_realtime;
        struct Loader *loader;
        struct Reload *reloads; /* wait for the next load */
        sd_event_source *mounts_source, *mounts_timer;
        usec_t mounts_after; /* no look at the policy's devices before that */
        Child saver; /* writes the last good policy */
        ChildGrave grave;

        Map targets; /* cgroup id → Target */
        bool targets_missing; /* there was no memory for some */
        Map tenants; /* name → Tenant */
        Target **queue; /* to be stepped */
        size_t n_queue, queue_alloc;
        bool shares_due; /* a tenant's sum is to be divided anew in the next turn */

        KeptHolds kept_holds; /* until their targets appear */
        bool holds_changed; /* since they were saved */

        Event *events; /* ring */
        size_t events_head, n_events, judged_bytes;
        uint64_t next_event_id,
                reserved_event_id; /* ids go on over a restart: reserved in blocks, in run_dir */

        bool settled; /* after start: names known or given up on, enforcement may begin */
        bool reclassifying; /* another policy is put in force: what becomes a target now was there before */
        usec_t settle_until, shares_from;
        usec_t last_reload; /* of PID 1, Reloading(false) */
        bool pid1_reloading;
        bool paused;
        uint64_t paused_until_realtime; /* 0: until resume */
        bool released; /* `release --ceilings`: everything is given back until resume */
        bool paused_by_file; /* a file without our content: by hand */
        uint64_t n_drift_found, n_drift_repaired, n_fights;
        usec_t next_rescan, longest_stall;
        uint64_t n_iterations, started_realtime;
        int lock; /* held while we run: /run/bailiff/lock */
        int pause_watch; /* inotify fd on run_dir */
        char **missing; /* sentences: what this host lacks */
        size_t n_missing;
        char **rivals;
        size_t n_rivals;
        bool ledger_trouble; /* told once */
        bool lookup_trouble; /* told once: who a user is could not be looked up */
        char status_line[256];
};

/* When this turn of the loop began; clock_monotonic() is really now. */
static inline usec_t guard_now(const Guard *g) {
        uint64_t n = 0;

        (void)sd_event_now(g->event, CLOCK_MONOTONIC, &n);
        return n;
}
static inline const Policy *guard_policy(const Guard *g) { return g->loaded->policy; }
CeilingEnv guard_env(Guard *g);

/* guard.c */
int guard_new(const GuardConfig *config, Guard **ret);
/* One guard a host: the lock's fd, or -EALREADY when another holds it. */
int guard_lock(const char *run_dir);
int guard_run(Guard *g); /* until SIGTERM */
Guard *guard_free(Guard *g);
DEFINE_CLEANUP(Guard *, guard_free)
Mode guard_host_mode(const Guard *g, const char **ret_reason); /* bound of everything now */
void guard_update_status(Guard *g);

/* world.c */
extern const TreeOps world_tree_ops;
void world_policy_changed(Guard *g); /* after g->loaded was replaced */
void world_beat(Guard *g, usec_t now);
void world_ask_names(Guard *g, Target *t, usec_t now);
Target *world_find(Guard *g, const char *name, const char **ret_error, Tenant **ret_tenant);
void world_recompute(Guard *g, Target *t); /* tenant, settings, limits of one target */
void tenant_leave(Target *t);
int tenant_join(Tenant *tenant, Target *t); /* -ENOMEM */
/* The tenant of that name, made when it is new; "unassigned" where a template's bound is reached. NULL: no memory. */
Tenant *tenant_get(Guard *g, const WhoResult *who);
void tenant_refresh(Guard *g, Tenant *t); /* settings and sum from the policy in force */
void target_drop_from(Target **list, size_t *n, const Target *t);
void world_apportion(Guard *g, Tenant *tenant, usec_t now);
/* An earlier run of the guard gave it that share. */
void tenant_adopt_share(Target *t, LimitKnob knob, uint64_t value);
Target *target_free(Target *t);
void world_forget(Guard *g, Target *t);
void tenant_free(Tenant *t);
int world_device(void *user, const char *path, dev_t *ret); /* CeilingDevice on g->loaded */
bool world_device_writeback(void *user, dev_t dev);
/* Whose that slice's sum is by its own name, under g->loaded as it is now; whether one above it carries that is not asked. */
bool world_owns_slice(Guard *g, const TreeNode *node, WhoResult *ret);
/* Whose a container is, likewise, with which settings and Container…=; changes nothing. */
int world_preview(Guard *g, Target *t, WhoResult *ret_who, Settings *ret_settings, LimitSet *ret);
const char *target_name(const Target *t); /* for people: name, else id, else path */
/* "TENANT/NAME", what is still so when a container was made again; -ENOENT: it has no such name, -ENAMETOOLONG. */
int target_key(const Target *t, char *key, size_t size);

/* enforce.c */
void enforce_queue(Guard *g, Target *t); /* step soon */
void enforce_work(Guard *g, usec_t now); /* bounded: steps queued targets */
void enforce_beat(Guard *g, usec_t now);
void enforce_leave(Guard *g, Target *t); /* give everything back */
void enforce_answered(Guard *g, Target *t); /* the names helper has answered an asking target */

/* announce.c */
typedef enum Announce {
        ANNOUNCE_START,
        ANNOUNCE_POLICY_LOADED,
        ANNOUNCE_POLICY_REFUSED,
        ANNOUNCE_SET,
        ANNOUNCE_DRIFT,
        ANNOUNCE_REPAIRED,
        ANNOUNCE_FIGHT,
        ANNOUNCE_CAPPED,
        ANNOUNCE_HOLD,
        ANNOUNCE_UNHOLD,
        ANNOUNCE_GIVEN_BACK,
        ANNOUNCE_WOULD,
        ANNOUNCE_SQUEEZE,
        ANNOUNCE_REFUSED,
        ANNOUNCE_PAUSE,
        ANNOUNCE_RESUME,
        ANNOUNCE_FOUND,
        ANNOUNCE_GONE,
        ANNOUNCE_CONTRADICTION,
        ANNOUNCE_UNDO,
        ANNOUNCE_RELEASE,
        ANNOUNCE_DEGRADED,
        ANNOUNCE_NOTIFY, /* of the judge */
        ANNOUNCE_THROTTLE,
        ANNOUNCE_RELAX,
        ANNOUNCE_UNTHROTTLE,
        ANNOUNCE_FREEZE,
        ANNOUNCE_THAW,
        ANNOUNCE_STOP,
        ANNOUNCE_KILL,
        ANNOUNCE_ALARM,
        ANNOUNCE_THRASH,
        ANNOUNCE_STORM,
        ANNOUNCE_EXIT, /* of a main process */
        ANNOUNCE_EXEC, /* likewise */
        ANNOUNCE_LOOKUP_FAILED, /* of users */
        ANNOUNCE_LOOKUP_ANSWERED,
        _ANNOUNCE_MAX,
} Announce;
typedef struct Caller { /* of a D-Bus call */
        bool known;
        uint32_t uid;
        pid_t pid;
} Caller;
/* t, e, c may be NULL. The text is one sentence. */
void announce(Guard *g, Announce what, const Target *t, const ReconEvent *e, const Caller *c,
              const char *format, ...) _printf_(6, 7);
void announce_tenant(Guard *g, Announce what, const char *tenant, const char *format, ...) _printf_(4, 5);
typedef struct Evidence { /* what an act of the judge rests on */
        char *judged; /* JSON; NULL: no memory */
        const char *resource, *harm, *blame; /* for the journal; NULL: none */
} Evidence;
/* Of the judge, or of an operator (evidence NULL). Takes evidence->judged; returns the event's id. t NULL: of no container. */
uint64_t announce_judged(Guard *g, Announce what, const Target *t, uint64_t incident,
                         const Evidence *evidence, const Caller *c, const char *text);
typedef struct EventSubject { /* a container that may be gone */
        const char *tenant, *container, *cgroup;
        uint64_t cgroup_id;
        const char *program; /* as Event.program, */
        uint64_t n_left_out; /* and its */
} EventSubject;
void announce_about(Guard *g, Announce what, const EventSubject *who, const char *cause,
                    const char *text); /* cause: static */
uint64_t announce_next_id(Guard *g); /* which the next event will have */
const Event *event_find(const Guard *g, uint64_t id); /* NULL: not kept */
void event_set_judged(Guard *g, uint64_t id, char *judged); /* takes it; NULL: nothing changes */
void announce_recon(Guard *g, const Target *t, const ReconEvent *e);
void event_deinit(Event *e);

/* control.c */
void control_reserve_events(Guard *g); /* the next block of event ids */
int control_load(Guard *g); /* holds of an earlier run; pause file */
void control_check_pause(Guard *g, const Caller *c);
int control_pause(Guard *g, usec_t span, const Caller *c);
int control_resume(Guard *g, const Caller *c);
int control_hold(Guard *g, Target *t, usec_t span, const char *reason, bool give_back, const Caller *c);
/* `systemctl set-property` by root was taken for a hold until then (monotonic): a restart must not forget it. */
void control_operator_hold(Guard *g, Target *t, usec_t until);
void control_unhold(Guard *g, Target *t, const Caller *c);
/* After one or more of these: an operator is only told "done" of what a restart will not forget. */
int control_save_holds(Guard *g);
/* One that waits for this cgroup, or for a container of its tenant and name: when it appears, and when it has a name. */
void control_adopt_hold(Guard *g, Target *t);
void control_keep_hold(Guard *g, const Target *t); /* it goes; its hold waits for who comes again */
void control_beat(Guard *g, usec_t now);
int control_undo(Guard *g, uint64_t event_id, const Caller *c, char **ret_text, const char **ret_error);
/* Verbs of operators that hold back, let go, kill (bus.h): *ret_text says what was done; negative errno with *ret_error. */
int control_throttle(Guard *g, Target *t, Tenant *tenant, const char *values, usec_t span, const Caller *c,
                     char **ret_text, const char **ret_error);
int control_let_go(Guard *g, Target *t, Tenant *tenant, const Caller *c, char **ret_text,
                   const char **ret_error);
int control_freeze(Guard *g, Target *t, usec_t span, const Caller *c, char **ret_text,
                   const char **ret_error);
int control_thaw(Guard *g, Target *t, const Caller *c, char **ret_text, const char **ret_error);
int control_kill(Guard *g, Target *t, Tenant *tenant, const Caller *c, char **ret_text,
                 const char **ret_error);
/* Gives ceilings back: all (t NULL, pauses the host) or one. */
int control_release(Guard *g, Target *t, const Caller *c);

/* loader.c */
/* For the candidate: done() gets the loaded policy (owned by the callee) or NULL with errno, -ECANCELED where
 * a reload took its place. -EBUSY: another load is under way, or too many earlier ones hang. */
typedef void (*LoaderDone)(Guard *g, void *user, int result, LoadedPolicy *loaded);
int loader_start(Guard *g, LoaderDone done, void *user);
int loader_boot(Guard *g); /* synchronous, with fallback to last good and to the built-in nothing */
/* done() is always called, once; -EBUSY: it could not be read, and nothing was decided about it. */
void loader_reload(Guard *g, void (*done)(Guard *g, void *user, int result, const char *report), void *user,
                   const Caller *c);
/* Looks up the devices of the policy in force anew; of what done() gets only these count. -EBUSY also while an earlier reader hangs. */
int loader_resolve(Guard *g, LoaderDone done, void *user);
void loader_take_devices(Guard *g, LoadedPolicy *from); /* into the policy in force, whose own go */
struct Loader *loader_free(struct Loader *l);

/* mounts.c */
int mounts_start(Guard *g);

/* bus.c */
int bus_start(Guard *g); /* connect, or retry later */
void bus_stop(Guard *g);
void bus_signal_action(Guard *g, const Event *e);
void bus_signal_incident(Guard *g, const Incident *i, bool opened);
void bus_signal_policy(Guard *g, bool ok, const char *text);

/* render.c (jansson) */
struct json_t;
struct json_t *render_status(Guard *g);
struct json_t *render_tenants(Guard *g);
void render_containers(Guard *g, Buf *out); /* the text of the answer */
struct json_t *render_show(Guard *g, Target *t, Tenant *tenant);
struct json_t *render_events(Guard *g, uint64_t since, uint32_t max);
struct json_t *render_event(const Guard *g, const Event *e);
struct json_t *render_policy(Guard *g, const char *tenant);

/* preview.c: what that policy would change; NULL: no memory */
struct json_t *render_diff(Guard *g, const LoadedPolicy *candidate);

/* lapse.c: one-shot programs that work from the ledger without a running guard */
int lapse_shares(const GuardConfig *config); /* the guard has been gone for a minute */
int lapse_release(const GuardConfig *config); /* uninstall: give back everything, print what */

/* unlease.c: the same for leases of the judge and of operators */
int unlease(const GuardConfig *config, bool frozen_only); /* the caller holds the lock */
int unlease_alone(const GuardConfig *config, bool frozen_only); /* does nothing while a guard runs */
/* Takes freezes off file that were over when the guard before us had its end: whoever is frozen now is somebody else's. */
void unlease_over(const ThawPast *past, Leases *leases);
/* One of whose cgroup only the path is known: 1: it is as before, `to` says what; 0: the cgroup is another one or gone, or somebody
 * else has written there; negative errno. root: of the cgroup file system. */
int unlease_one(int root, const Lease *l, uint64_t page_size, Buf *to);
