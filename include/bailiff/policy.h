/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The policy, parsed (bailiff-policy(5)); layer: model. Reading files is the
 * daemon's and ctl's; here text becomes values. What needs the host (percent
 * of memory, device paths, groups) stays an expression and is resolved by
 * core/ceiling with host facts.
 */

#include <stdint.h>

#include "diag.h"
#include "limits.h"
#include "macro.h"

#define POLICY_NAME_MAX 63 /* characters of A-Za-z0-9._- in a tenant, plan or template */
#define POLICY_UNASSIGNED "unassigned" /* whatever no tenant matches; may be configured */
#define POLICY_UID_MAX ((uint64_t)UINT32_MAX - 1) /* (uid_t)-1 is nobody's */
#define POLICY_MAX_TENANTS_DEFAULT 1000 /* MaxTenants= of a template that does not say */
#define POLICY_FILES_MAX 1024

typedef enum Mode {
        MODE_OFF,
        MODE_OBSERVE, /* judges and reports, writes nothing */
        MODE_CEILINGS, /* holds static ceilings */
        MODE_THROTTLE, /* and leases (no kill) */
        MODE_ENFORCE, /* and kills */
        _MODE_MAX,
        _MODE_INVALID = -EINVAL,
} Mode;
const char *mode_to_string(Mode m);
Mode mode_from_string(const char *s);

typedef enum KillWish { KILL_NEVER, KILL_LAST, KILL_PREFER, _KILL_MAX, _KILL_INVALID = -EINVAL } KillWish;
const char *kill_to_string(KillWish k);
KillWish kill_from_string(const char *s);

typedef enum SumKind { SUM_AUTO, SUM_SLICE, SUM_APPORTION, _SUM_MAX, _SUM_INVALID = -EINVAL } SumKind;

enum { TRIGGER_CPU = 1, TRIGGER_IO = 2, TRIGGER_MEMORY = 4 };
enum { THROTTLE_CPU = 1, THROTTLE_IO = 2, THROTTLE_MEMORY = 4, THROTTLE_PIDS = 8, THROTTLE_FREEZE = 16 };

/* Where a value was written. */
typedef struct PolicyRef {
        uint32_t file; /* index into Policy.files */
        uint32_t line; /* from 1; 0: built in */
} PolicyRef;

/* Keys that are not limits. The comment says the sections that take it
 * (H host, D defaults, P plan, X template, T tenant, C container) and `u`. */
typedef enum PolicyKey {
        PK_MODE, /* HDPXTC: Mode */
        PK_PRIORITY, /* DPXTC: 0..1000 */
        PK_THROTTLE, /* DPXTC: bits THROTTLE_* */
        PK_KILL, /* DPXTC: KillWish */
        PK_KILL_GRACE_SEC, /* DPXTC: µs */
        PK_KILL_BUDGET, /* HDPXT: count; u2 window in µs */
        PK_STORM_LIMIT, /* H: permyriad of containers; u2 window in µs */
        PK_MAX_THROTTLED, /* H: permyriad of containers */
        PK_STARTUP_GRACE_SEC, /* HDPXTC: µs */
        PK_MEMORY_PRESSURE_TARGET, /* DPXTC: permyriad */
        PK_IO_PRESSURE_TARGET,
        PK_CPU_PRESSURE_TARGET,
        PK_PRESSURE_WINDOW_SEC, /* DPXTC: µs, 1s..60s */
        PK_PRESSURE_TRIGGER, /* DPXTC: bits TRIGGER_*: the kernel wakes us on stalls of each container */
        PK_CPU_GUARANTEE, /* DPXT: µs of CPU per second */
        PK_SUM, /* DPXT: SumKind (text: auto slice apportion) */
        PK_ENGINE_LIMITS, /* DPXTC: 0 respect, 1 override */
        PK_OPERATOR_HOLD_SEC, /* HDPXT: µs, default 15min */
        _PK_MAX,
} PolicyKey;
const char *policy_key_name(PolicyKey k); /* "Mode", … */

typedef struct PolicyValue {
        bool set;
        bool reset; /* "Key=": the built-in default holds, whatever a more general section says */
        PolicyRef ref;
        uint64_t u, u2;
} PolicyValue;

typedef enum LimitExprKind {
        LIMIT_EXPR_VALUE, /* value, LIMIT_INFINITY for "infinity"/"max" */
        /* of the host's memory (Memory…), swap (MemorySwapMax), or task maximum (TasksMax) */
        LIMIT_EXPR_PERMYRIAD_OF_HOST,
        /* "90% of MemoryMax": of another memory limit of the same level (a tenant's of the tenant's, a
         * container's of the container's). Not set where the other is not set; infinity of infinity.
         * policy_parse() refuses cycles within [Defaults], plan, tenant and any one [Container]; only several
         * [Container] sections that hold for one container can still make one, so whoever resolves these must
         * bound his steps. */
        LIMIT_EXPR_PERMYRIAD_OF_LIMIT,
        LIMIT_EXPR_RESET, /* "Key=": not set, whatever a more general section says */
} LimitExprKind;

typedef struct LimitExpr {
        Limit limit;
        bool container; /* written as Container…= */
        LimitExprKind kind;
        uint64_t value; /* or permyriad */
        Limit of;
        char *device; /* absolute path, for limits per device; NULL otherwise */
        PolicyRef ref;
} LimitExpr;

/* The values that one section gives; what it lacks comes from the more general one. */
typedef struct PolicySection {
        PolicyValue values[_PK_MAX];
        LimitExpr *limits; /* of the tenant as a whole */
        size_t n_limits, limits_alloc;
        LimitExpr *container_limits; /* Container…=: of each container */
        size_t n_container_limits, container_limits_alloc;
} PolicySection;

/* In order of trust, the most trusted first. */
typedef enum MatchClass {
        MATCH_USER,
        MATCH_SLICE,
        MATCH_PATH,
        MATCH_LABEL,
        MATCH_NAME,
        _MATCH_MAX,
        _MATCH_INVALID = -EINVAL,
} MatchClass;
const char *match_class_to_string(MatchClass c);

typedef struct PolicyMatch {
        MatchClass class;
        PolicyRef ref;
        /* slice, path, name: glob. label: glob of the value. user: "@group" or a user's name, to be looked up by
         * whoever has the host's user database; NULL for uids. */
        char *pattern;
        char *label; /* the label's key */
        uint64_t uid_from, uid_to; /* user with pattern NULL: inclusive, up to POLICY_UID_MAX */
} PolicyMatch;

typedef struct PolicyPlan {
        char *name;
        PolicyRef ref;
        PolicySection section;
} PolicyPlan;

typedef struct PolicyTenant { /* a tenant, or a template of tenants */
        char *name;
        PolicyRef ref;
        char *plan; /* NULL: none */
        PolicyRef plan_ref;
        PolicyMatch *matches;
        size_t n_matches, matches_alloc;
        PolicySection section;
        /* templates only */
        /* "compose-%v": %v what the '*' of the match took, %u user name or uid, %s slice without ".slice" */
        char *tenant_format;
        PolicyRef tenant_format_ref;
        uint64_t max_tenants; /* POLICY_MAX_TENANTS_DEFAULT unless given */
} PolicyTenant;

typedef struct PolicyContainer { /* [Container TENANT/NAME]: both globs */
        char *tenant;
        char *name;
        PolicyRef ref;
        PolicySection section;
} PolicyContainer;

typedef struct Policy {
        char **files; /* as named by the caller, in the order they were merged */
        size_t n_files;
        PolicySection host; /* only values, no limits */
        PolicySection defaults;
        char **protect; /* names of units, slices, tenants (globs) */
        size_t n_protect, protect_alloc;
        bool protect_emptied; /* an empty Protect= was given: the built-in list does not hold; otherwise it does, too */
        PolicyPlan *plans;
        size_t n_plans, plans_alloc;
        PolicyTenant *templates; /* in order of file and line */
        size_t n_templates, templates_alloc;
        PolicyTenant *tenants;
        size_t n_tenants, tenants_alloc;
        PolicyContainer *containers; /* in order; the last match wins key by key */
        size_t n_containers, containers_alloc;
} Policy;

typedef struct PolicyText {
        const char *file; /* as to be shown */
        const char *text; /* may hold NUL bytes: reported as an error */
        size_t len;
} PolicyText;

/*
 * Parses and merges the texts in the given order. Every mistake is put into
 * diags; *ret is set only when diags holds no error at the end, the caller's own
 * (a file that could not be read) included. Any section in a later file adds to
 * the earlier one (its keys win, `Match=` adds, `Match=` empty resets), twice in
 * one file is an error. [Container] sections are not merged: each is an entry of
 * its own, the later one wins key by key. Unknown plans, empty tenants and
 * matches that can never hold are errors too. Warnings do not refuse. 0, -EINVAL
 * (see diags), -ENOMEM.
 */
int policy_parse(const PolicyText *texts, size_t n, Diags *diags, Policy **ret);
Policy *policy_free(Policy *p);
DEFINE_CLEANUP(Policy *, policy_free)
#define _cleanup_policy_ _cleanup_(cleanup_policy_free)

const PolicyTenant *policy_find_tenant(const Policy *p, const char *name);
const PolicyPlan *policy_find_plan(const Policy *p, const char *name);

/* 1..POLICY_NAME_MAX characters of A-Za-z0-9._-, neither "." nor "..": for names that templates make. */
bool policy_name_is_valid(const char *name);

/* ---- effective values: which section of a chain has the say ---- */

/*
 * A chain is an array of sections, the most general first, the most special
 * last; NULL entries are skipped. The usual one is [Defaults], plan, tenant or
 * template (policy_tenant_chain()), then every matching [Container] in the order
 * of Policy.containers. [Host] may stand in front of it for StartupGraceSec and
 * OperatorHoldSec, which inherit; Mode and KillBudget of [Host] are bounds
 * beside the chain, not a part of it.
 */

/*
 * The sections of one tenant or template, t NULL: of "unassigned" where no
 * [Tenant unassigned] exists. for_limits_of_tenant: the chain is to answer for
 * limits of the tenant as a whole; [Defaults] gives "unassigned" none of those, so
 * it is left out there (and only there). Returns how many were put into ret.
 */
size_t policy_tenant_chain(const Policy *p, const PolicyTenant *t, bool for_limits_of_tenant,
                           const PolicySection *ret[static 3]);
/* "defaults" "plan" "template" "tenant" "container": the kind of section that a limit's line is of. NULL: none of this policy. */
const char *policy_layer_of(const Policy *p, PolicyRef ref);
/* Whether this [Container] holds for a container of that tenant. */
bool policy_container_matches(const PolicyContainer *c, const char *tenant, const char *name);

/* The value that holds, borrowed from its section; NULL: nobody sets it, or the
 * most special section that names it resets it: policy_key_default() holds. */
const PolicyValue *policy_section_get(const PolicySection *const *chain, size_t n, PolicyKey key);
/*
 * What holds where nobody says anything; ref.line is 0. of_host: for [Host]
 * itself. !set: there is none (CPUGuarantee; KillBudget and Mode beside [Host]:
 * only its bound holds; what only [Host] takes).
 */
const PolicyValue *policy_key_default(PolicyKey key, bool of_host);

/*
 * The limit that holds, of the tenant as a whole or (container) of each
 * container; device NULL unless it is per device, compared as text. NULL: not
 * set. Never LIMIT_EXPR_RESET.
 */
const LimitExpr *policy_limits_get(const PolicySection *const *chain, size_t n, bool container, Limit limit,
                                   const char *device);
/* All that hold, one after the other: for (size_t i = 0; (e = policy_limits_next(chain, n, container, &i));).
 * No order is promised; every (limit, device) comes once. */
const LimitExpr *policy_limits_next(const PolicySection *const *chain, size_t n, bool container, size_t *i);

/* As policy text that parses back to the same value ("10%", "4/1h", "cpu io"); "" where it is not set. */
int policy_value_format(PolicyKey key, const PolicyValue *value, Buf *out);
/* Likewise, without the key: "8G", "90% of MemoryMax", "/dev/sda 200M"; "" for LIMIT_EXPR_RESET. */
int policy_limit_format(const LimitExpr *e, Buf *out);
/* Likewise: "slice=tenant-acme.slice", "user=2000-2099". */
int policy_match_format(const PolicyMatch *m, Buf *out);

/* ---- the raw reader below it (also used for bailiffd.conf) ---- */

/*
 * Calls entry() for each `Key=Value` (value trimmed, may be empty) and
 * section() at each header, also of empty sections. Based on
 * ini_parse_stream() with a line reader of our own, because inih alone cuts
 * section names at 49 and lines at 199 characters, takes an indented line as
 * a continuation, strips " ;…" from values and hides empty sections. Errors go
 * to diags: over-long lines (INI_LINE_MAX), indented lines, no '=' or ':' in its
 * place, continuation by '\\', CR LF, key before any section, NUL or control
 * bytes, malformed header, invalid UTF-8. In comments only NUL bytes and CR LF
 * count. Entries below a malformed header are not handed on. `type` and `name`
 * of "[Tenant acme]" are split at the first blank; name is "" where there is
 * none. Callbacks return void; they report through diags; section may be NULL.
 * 0 also when lines were wrong (diags knows), -ENOMEM, -EIO: inih is out of
 * step (noted in diags too).
 */
#define INI_LINE_MAX 4096
typedef struct IniHandler {
        void (*section)(void *user, unsigned line, const char *type, const char *name);
        void (*entry)(void *user, unsigned line, const char *type, const char *name, const char *key,
                      const char *value);
        void *user;
} IniHandler;
int ini_read(const char *file, const char *text, size_t len, const IniHandler *h, Diags *diags);
