/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The words of judging (layer: core): what is harmed, who is a party, by which
 * lever somebody is held back, and how far it went. DESIGN.md "Harm, blame, ladder".
 */

#include <errno.h>

#include "limits.h"
#include "macro.h"

typedef enum Resource {
        RESOURCE_CPU,
        RESOURCE_MEMORY,
        RESOURCE_IO,
        RESOURCE_PIDS,
        _RESOURCE_MAX,
        _RESOURCE_INVALID = -EINVAL,
} Resource;
const char *resource_to_string(Resource r); /* "cpu" "memory" "io" "pids" */
Resource resource_from_string(const char *s);

typedef enum PartyKind {
        PARTY_HOST, /* the root of the tree; what its children do not explain is the kernel's */
        PARTY_GROUP, /* a slice or directory in between */
        PARTY_CONTAINER, /* may be a victim, and a culprit */
        PARTY_SERVICE, /* the host's own work: may be a victim; a culprit out of reach */
        _PARTY_MAX,
} PartyKind;
const char *party_kind_to_string(PartyKind k); /* "host" "group" "container" "service" */

typedef enum HarmClass {
        HARM_NONE,
        HARM_OWN, /* it does it to itself, or its own ceilings (or its tenant's, or ours) do */
        HARM_MIXED, /* both: told, never acted upon */
        HARM_EXTERNAL, /* somebody else does it */
        _HARM_MAX,
} HarmClass;
const char *harm_class_to_string(HarmClass c); /* "none" "own" "mixed" "external" */

/* What decided the class. Each has one sentence for people. */
typedef enum HarmWhy {
        HARM_WHY_UNKNOWN, /* not enough was seen */
        HARM_WHY_BELOW_TARGET,
        HARM_WHY_BASELINE, /* above the target, but it is like this in calm, too */
        HARM_WHY_START_UP, /* StartupGraceSec= */
        HARM_WHY_OWN_QUOTA, /* CPU: throttled by its own cpu.max */
        HARM_WHY_GROUP_QUOTA, /* by a cpu.max above it */
        HARM_WHY_OUR_LEASE, /* we hold it back ourselves */
        HARM_WHY_ENTITLED, /* it gets what it is entitled to, and wants more */
        HARM_WHY_CPU_IDLE, /* CPUs are idle: nobody keeps it from running */
        HARM_WHY_OWN_MEMORY, /* it hits its own memory.high or memory.max */
        HARM_WHY_GROUP_MEMORY, /* a group above it does */
        HARM_WHY_NO_RECLAIM, /* nobody else makes the kernel reclaim */
        HARM_WHY_OWN_IO, /* near its own io.max (or a group's above it) */
        HARM_WHY_DEVICE_IDLE, /* no device it uses is contended */
        HARM_WHY_OWN_DEVICE, /* it is itself the device's main user */
        HARM_WHY_FROZEN,
        HARM_WHY_CONTENDED, /* external: others take it */
        HARM_WHY_HOST, /* the host as a whole runs out */
        _HARM_WHY_MAX,
} HarmWhy;
const char *harm_why_to_string(HarmWhy w); /* "below-target" …: stable, for JSON */
const char *harm_why_text(HarmWhy w); /* a clause: "it is held back by its own CPU quota" */

/* Why a candidate is, or is not, the culprit. */
typedef enum BlameWhy {
        BLAME_CULPRIT,
        BLAME_LESS, /* another one's score is higher */
        BLAME_SMALL, /* below BLAME_MIN */
        BLAME_ENTITLED, /* it uses no more than it is entitled to */
        BLAME_PRIORITY, /* its priority is above the victim's: nobody stands in for it */
        BLAME_PROTECTED, /* out of reach: Protect= */
        BLAME_SERVICE, /* out of reach: the host's own work */
        BLAME_KERNEL, /* out of reach: what no cgroup explains */
        BLAME_MODE, /* its Mode= does not let us act: only told */
        BLAME_HELD, /* an operator's hold */
        BLAME_VICTIM, /* it is the victim itself */
        _BLAME_MAX,
} BlameWhy;
const char *blame_why_to_string(BlameWhy w); /* "culprit" "less" "small" … */
const char *blame_why_text(BlameWhy w);

typedef enum Lever {
        LEVER_CPU, /* cpu.max */
        LEVER_IO, /* io.max of the contended devices */
        LEVER_MEMORY, /* memory.high */
        LEVER_PIDS, /* pids.max */
        LEVER_FREEZE, /* cgroup.freeze, in pulses */
        LEVER_STOP, /* the container's own stop signal to its main process */
        LEVER_KILL, /* cgroup.kill */
        _LEVER_MAX,
        _LEVER_INVALID = -EINVAL,
} Lever;
const char *lever_to_string(Lever l); /* "cpu" "io" "memory" "pids" "freeze" "stop" "kill" */

typedef enum ActKind {
        ACT_NOTIFY, /* somebody is hurt and somebody is to blame; or: hurt, and nobody can be held back */
        ACT_THROTTLE, /* values: tighter than before */
        ACT_RELAX, /* values: a step back up */
        ACT_RELEASE, /* lever: given back whole */
        ACT_FREEZE, /* for `span` */
        ACT_THAW, /* before its time */
        ACT_STOP,
        ACT_KILL,
        ACT_ALARM, /* what should be done may not: budget spent, storm, floor reached */
        _ACT_MAX,
} ActKind;
const char *act_kind_to_string(
        ActKind k); /* "notify" "throttle" "relax" "release" "freeze" "thaw" "stop" "kill" "alarm" */

/* Why a step further is not taken (ACT_ALARM, ACT_NOTIFY), or why one is taken back. */
typedef enum ActWhy {
        ACT_WHY_HARM, /* the harm goes on */
        ACT_WHY_CALM,
        ACT_WHY_NO_HELP, /* the lever did not help: taken back */
        ACT_WHY_MODE, /* Mode= (observe: would; ceilings, throttle) */
        ACT_WHY_LEVERS, /* Throttle=, Kill= name no lever that is left */
        ACT_WHY_FLOOR, /* it is at its guarantee, or floor */
        ACT_WHY_MAX_THROTTLED,
        ACT_WHY_BUDGET, /* kill budget of the tenant or the host */
        ACT_WHY_SETTLING, /* another kill is not over yet */
        ACT_WHY_STORM, /* too many containers died lately, of whatever */
        ACT_WHY_PRIORITY,
        ACT_WHY_OUT_OF_REACH,
        ACT_WHY_MIXED, /* not clear enough whose doing it is */
        ACT_WHY_THRASH, /* it thrashes at its own ceiling */
        ACT_WHY_POLICY, /* the policy changed, a hold, a pause: given back */
        ACT_WHY_OPERATOR, /* somebody asked for it */
        ACT_WHY_UNAVAILABLE, /* the kernel refused, or has no such file here */
        _ACT_WHY_MAX,
} ActWhy;
const char *act_why_to_string(ActWhy w);
const char *act_why_text(ActWhy w);
