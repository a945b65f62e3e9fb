/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which limits hold for a container or a tenant, and where each number comes
 * from (layer: core, pure; INTERFACES.md "How numbers combine").
 */

#include <stdint.h>

#include "hostfacts.h"
#include "policy.h"
#include "who.h"

/* Who wants a number: LimitEntry.origin of the sets in here is an index into Origins. */
typedef enum OriginKind {
        ORIGIN_POLICY, /* a line of policy: ref */
        ORIGIN_ENGINE, /* the engine's or unit's own limit is tighter */
        ORIGIN_SHARE, /* the tenant's apportioned share */
        ORIGIN_STRICTEST, /* names pending: strictest candidate, ref of that line */
        ORIGIN_RUNTIME, /* bailiffctl set-property (later) */
        _ORIGIN_MAX,
} OriginKind;
const char *origin_kind_to_string(OriginKind k);
/* packed in LimitEntry.origin: kind in the top 4 bits, file 10 bits (POLICY_FILES_MAX), line 18 bits
 * (saturating) */
uint32_t origin_pack(OriginKind kind, PolicyRef ref);
OriginKind origin_kind(uint32_t origin);
PolicyRef origin_ref(uint32_t origin);

/* Devices are resolved by the caller: returns 0 and the whole disk for an absolute path. Negative or
 * positive: this limit cannot bite (reported by the caller elsewhere) and is left out. */
typedef int (*CeilingDevice)(void *user, const char *path, dev_t *ret);

typedef struct CeilingEnv {
        const HostFacts *host;
        CeilingDevice device;
        void *user;
} CeilingEnv;

/* Values other than limits, effective for one container (or a tenant, with name NULL), after bounding Mode
 * by the host's. */
typedef struct Settings {
        Mode mode;
        PolicyRef mode_ref; /* of the line that decided, [Host]'s where that is lower; line 0: nobody said */
        unsigned priority; /* 100 */
        unsigned throttle; /* THROTTLE_* */
        KillWish kill;
        usec_t kill_grace;
        bool engine_override;
        SumKind sum;
        usec_t operator_hold; /* 15 min */
        uint64_t cpu_guarantee; /* µs per second, 0: none */
        unsigned pressure_trigger; /* TRIGGER_* */
        unsigned pressure_target[3]; /* permyriad of the window: cpu, io, memory, in the order of TRIGGER_* */
        usec_t pressure_window;
        usec_t startup_grace; /* nobody is a victim for so long after its birth */
        unsigned kill_budget; /* of the tenant: kills in kill_window; UINT_MAX: only the host's bounds it */
        usec_t kill_window;
} Settings;

/*
 * Whose word holds, the most general first: [Defaults], plan, template, [Tenant], every [Container] that
 * matches. A tenant that a template made may have a [Tenant] section of its name; a Plan= in there replaces
 * the template's and beats the template's own keys. "unassigned" is a tenant like any other, but Kill=never.
 * rule NULL: unassigned. tenant: the name from WhoResult; NULL: not known (a template's). name: the
 * container's, for [Container]: only one from trusted state files, else its id; NULL: the tenant as such.
 */
void ceiling_settings(const Policy *p, const PolicyTenant *rule, const char *tenant, const char *name,
                      Settings *ret);

/* The Container…= limits for one container, resolved to kernel values (percent, "of"), origin packed; ret is
 * replaced. A percentage of what is not known or not set is no limit. Two paths on one disk: the tighter.
 * name NULL: no [Container] counts. -ENOMEM, ret untouched. */
int ceiling_container(const Policy *p, const PolicyTenant *rule, const char *tenant, const char *name,
                      const CeilingEnv *env, LimitSet *ret);
/* The tenant's sum; empty for unassigned (unless [Tenant unassigned] sets some). */
int ceiling_tenant(const Policy *p, const PolicyTenant *rule, const char *tenant, const CeilingEnv *env,
                   LimitSet *ret);
/* Per knob the tightest of both: for ceilings the smaller; for protections, weights and bursts what claims
 * less, where not naming it means the kernel's default; the period goes with the quota. The origin goes with
 * the value, marked ORIGIN_STRICTEST when mark is set. To fold over candidates start with a copy of the
 * first one's. -ENOMEM, acc untouched. */
int ceiling_strictest(LimitSet *acc, const LimitSet *other, bool mark);

/*
 * What holds for a container while WhoResult.pending: limits are the strictest of all candidates and, as
 * long as name is NULL, of all [Container] sections that may match, origins marked ORIGIN_STRICTEST. Acts
 * are mild instead: settings are those of whoever it belongs to as far as is known (so a host that observes
 * by default goes on observing, and a tenant in Mode=off does not free the others), but Kill=never and no
 * EngineLimits=override. Candidates who would not be held themselves add nothing where others are. -ENOMEM.
 */
int ceiling_pending(const Policy *p, const WhoFacts *f, const char *name, const CeilingEnv *env,
                    Settings *ret_settings, LimitSet *ret);

/*
 * Combines what must hold on one cgroup: policy (Container…=), share (tenant's part, may be NULL), and wants
 * (what engine or admin asked for there: engine's state file, unit property or kernel value before our first
 * write, may be NULL). Ceilings: the tightest wins; with engine_override, policy beats wants. Protections
 * and weights: policy, else nothing (wants are left alone). Only knobs that policy or share name are in ret:
 * a want alone is nobody's business but the engine's. CPU_PERIOD and CPU_BURST follow policy alone. A burst
 * larger than the quota·period is bounded to it (the kernel refuses more). MemoryHigh above MemoryMax is
 * dropped to it; MemoryMin and MemoryLow above MemoryMax likewise. A ceiling of infinity says "none of
 * mine": it is left out, except with engine_override, where it lifts the engine's. ret is replaced; -ENOMEM,
 * ret untouched.
 */
int ceiling_combine(const LimitSet *policy, const LimitSet *share, const LimitSet *wants,
                    bool engine_override, LimitSet *ret);

/*
 * What cannot bite here: one sentence per reason, for load, `status` and `show`. each(user, knob, text): e.g.
 * "MemoryMin: inert, the parent protects nothing (…)", "IOWeight: no io.cost and no bfq on this host",
 * "CPUQuota: cpu controller is not enabled", "IOWeight: io is not delegated to user managers". Every text
 * begins with the key and is borrowed for the call.
 */
typedef struct BiteFacts {
        const HostFacts *host;
        uint32_t have_files; /* bits (1 << LimitFile) of what exists in the cgroup */
        bool below_user_manager;
        uint64_t
                parent_protection; /* max(memory.min, memory.low) effective of the parent; UINT64_MAX unknown */
        /* File systems on it charge buffered writes; NULL: unknown. */
        bool (*device_writeback)(void *user, dev_t dev);
        void *user;
} BiteFacts;
void ceiling_cannot_bite(const LimitSet *desired, const BiteFacts *f,
                         void (*each)(void *user, LimitKnob knob, const char *text), void *user);

/*
 * Warnings of a policy against this host, at load, into diags as DIAG_WARNING: sums of MemoryMin and
 * CPUGuarantee of tenants that the host does not have, sums of MemoryMax beyond it with the factor of
 * overcommitment (templates count once, "each"); and once per kind of limit why it cannot bite on this host
 * whatever the cgroup, at the first line that asks for it.
 */
void ceiling_check_host(const Policy *p, const CeilingEnv *env, Diags *diags);

/* The danger of putting `desired` in place of `now` where `usage` is what is in use: one sentence or false.
 * E.g. "3.1G now, new max 1G: would OOM", "120 tasks now, new max 64: forks will fail", "squeezed from 3.1G
 * to 1G by MemoryHigh". */
typedef struct DangerUsage {
        bool have_memory, have_tasks, have_swap;
        uint64_t memory_bytes, swap_bytes, tasks;
} DangerUsage;
bool ceiling_danger(LimitKnob knob, uint64_t desired, const DangerUsage *u, Buf *out);
