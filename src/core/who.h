/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Whose container is this? (layer: core, pure; INTERFACES.md "Who is who")
 *
 * Candidates in order of trust: user, slice, path, label, name; within a class
 * in order of file and line. Labels and names count only when they come from
 * state files that root owns and nothing above the cgroup is delegated or
 * another user's. Templates are candidates like tenants.
 */

#include <stdint.h>
#include <sys/types.h>

#include "cgpath.h"
#include "policy.h"

#define WHO_UNASSIGNED POLICY_UNASSIGNED

typedef struct WhoLabel {
        const char *key, *value;
} WhoLabel;

typedef struct WhoFacts { /* all borrowed */
        const char *cgroup; /* path */
        /* Length of the beginning of `cgroup` that only root can have named: up to and with the first cgroup
         * above the container that is delegated or not root's. 0: nothing of the kind is known. Components
         * behind it say nothing: whoever got the delegation may call them "tenant-other.slice". What lies
         * below a user manager (user@UID.service) is treated so in any case. */
        size_t delegated_at;
        bool names_known; /* the names helper has answered (even with nothing) */
        /* Its files are root's, and no ancestor is delegated or not root's. Before names_known: it may turn
         * out so. */
        bool names_trusted;
        const char *name; /* NULL: none */
        const WhoLabel *labels;
        size_t n_labels;
        uid_t uid; /* (uid_t)-1: root's, or unknown. /user.slice/user-UID.slice in the path has the last word */
        const char *user_name; /* NULL: not known (yet), or, where groups are, there is no such user */
        const char *const *groups; /* NULL-terminated; NULL: not known (yet) */
} WhoFacts;

typedef struct WhoResult {
        /* Tenant or template; NULL: nobody's, "unassigned". The name that a template makes may be that of a [Tenant]
         * section: then that, and class and ref say which match led there. */
        const PolicyTenant *rule;
        bool template;
        MatchClass class; /* _MATCH_INVALID: nothing matched */
        PolicyRef ref; /* of the Match line */
        char tenant[POLICY_NAME_MAX + 1]; /* "acme", "compose-shop", "unassigned" */
        /* Something not known yet (names, groups, a user's name) could still decide otherwise: hold by the
         * strictest candidate (ceiling_pending()). The rest says what holds as far as is known. */
        bool pending;
        /* A label or name names another tenant than the more trusted class did. */
        bool contradiction;
        char contradicted[POLICY_NAME_MAX + 1]; /* that other tenant */
        bool bad_name; /* a template matched but the name it makes is none (too long, wrong characters): unassigned */
        const PolicyTenant *bad_from; /* with bad_name: that template */
} WhoResult;

/* Never fails. MaxTenants= of a template is the caller's, who knows how many there are. */
void who_resolve(const Policy *p, const WhoFacts *f, WhoResult *ret);

/* All rules that might turn out to own this container, each once; NULL stands for nobody ("unassigned").
 * Where who_resolve() is not pending, the one that does. The caller holds the strictest. */
void who_candidates(const Policy *p, const WhoFacts *f, void (*each)(void *user, const PolicyTenant *rule),
                    void *user);

/*
 * Does this slice (f->cgroup is the path of a *.slice cgroup) belong to a tenant by a user or slice match:
 * the tenant's own slice, to carry its sum exactly? Only its own name counts, not those above: the outermost
 * such slice is the tenant's, the caller walks from the root. The uid of user-UID.slice is taken from the
 * path, names and labels are not looked at; user_name and groups (and names_known, when they will not come
 * any more) are of that uid. False with ret->pending: not known yet.
 */
bool who_owns_slice(const Policy *p, const WhoFacts *f, WhoResult *ret);

/* Two templates can make the same tenant. For what is the tenant's own (its sum, its settings) the first of them in order of file and
 * line decides, whoever of it came first. Either may be NULL: none. */
const PolicyTenant *who_first_rule(const PolicyTenant *a, const PolicyTenant *b);

/* Is this plain unit (a *.service or *.scope that no engine made) a container by policy: below a slice that
 * some tenant matches by slice=, or matched by path=? Never so are user managers (what runs below them is
 * found on its own) and what they made, virtual machines and engines' helpers. */
bool who_names_unit(const Policy *p, const char *path);

/*
 * Is a cgroup protected: by the list of Protect=, or the built-in list when there is none (or an empty one):
 * "user-0.slice", "system.slice" itself and every service below it. "init.scope" and "bailiff.slice" are
 * always. Entries of Protect= are globs of units and slices (then everything below too), "tenant:GLOB", or a
 * tenant's plain name. What is built in never shields what an engine made, wherever that was put: nobody
 * gets out of his ceilings by --cgroup-parent=bailiff.slice. engine NONE or UNIT: no engine made it. tenant
 * may be NULL. ret_why (may be NULL) is borrowed from p.
 */
bool who_protected(const Policy *p, const char *path, Engine engine, const char *tenant,
                   const char **ret_why);
