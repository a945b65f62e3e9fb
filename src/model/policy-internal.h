/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the files of the policy module share and nobody else sees. The parsers
 * of single values are total: 0 and *ret set, or -EINVAL and the reason put
 * into *why as "what is wrong, what is expected" (-ENOMEM sticks in the Buf).
 * They know nothing of sections and files.
 */

#include "policy.h"

typedef enum SectionType { /* a bit each, so that a key can say where it may stand */
                           SECTION_HOST = 1,
                           SECTION_DEFAULTS = 2,
                           SECTION_PLAN = 4,
                           SECTION_TEMPLATE = 8,
                           SECTION_TENANT = 16,
                           SECTION_CONTAINER = 32,
} SectionType;

/* "Host"; 0 if it is none. */
SectionType section_type_from_string(const char *s);
const char *section_type_to_string(SectionType t);
/* The section type meant by a misspelt one, 0 if none is near. */
SectionType section_type_suggest(const char *s);

typedef enum KeyKind {
        KEY_VALUE,
        KEY_LIMIT,
        KEY_MATCH,
        KEY_PLAN,
        KEY_TENANT,
        KEY_MAX_TENANTS,
        KEY_PROTECT
} KeyKind;

typedef struct Key {
        KeyKind kind;
        unsigned sections; /* of SectionType */
        PolicyKey value; /* KEY_VALUE */
        Limit limit; /* KEY_LIMIT */
        bool container; /* KEY_LIMIT: Container…= */
} Key;

/* False: there is no such key. */
bool policy_key_find(const char *name, Key *ret);
/* Why a name that policy_key_find() does not know, or that may not stand there, is wrong. */
void policy_key_explain_unknown(const char *name, SectionType in, Buf *why);
void policy_key_explain_misplaced(const char *name, const Key *key, SectionType in, Buf *why);

int policy_value_parse(PolicyKey key, const char *text, PolicyValue *ret, Buf *why);
/* ret->ref is the caller's to fill; ret->device is the caller's to free. */
int policy_limit_parse(Limit limit, bool container, const char *text, LimitExpr *ret, Buf *why);
int policy_match_parse(const char *text, PolicyMatch *ret, Buf *why);
int policy_max_tenants_parse(const char *text, uint64_t *ret, Buf *why);
/* "compose-%v" */
int policy_tenant_format_parse(const char *text, Buf *why);
/* Whether a template's match gives what its Tenant= asks for. */
int policy_template_check(const char *format, const PolicyMatch *m, Buf *why);

/* A glob that value_glob() takes as meant; *ret_stars: how many '*', *ret_literal: no wildcard at all. */
int policy_glob_check(const char *pattern, size_t *ret_stars, bool *ret_literal, Buf *why);

/* What a section of this type may be called. */
int policy_section_name_check(SectionType type, const char *name, Buf *why);

/* Elements of a Policy. -ENOMEM leaves the arrays as they were. policy_add_container() takes "TENANT/NAME". */
int policy_add_tenant(PolicyTenant **tenants, size_t *n, size_t *alloc, const char *name, PolicyRef ref);
int policy_add_plan(Policy *p, const char *name, PolicyRef ref);
int policy_add_container(Policy *p, const char *name, PolicyRef ref);
void policy_tenant_deinit(PolicyTenant *t);
void policy_tenant_reset_matches(PolicyTenant *t);
void policy_protect_reset(Policy *p);

void policy_match_deinit(PolicyMatch *m);
bool policy_match_equal(const PolicyMatch *a, const PolicyMatch *b);
/* Whatever `later` would take, `earlier` takes. Only what can be said for certain: a wider range
 * of uids, a glob over a word without wildcards. */
bool policy_match_covers(const PolicyMatch *earlier, const PolicyMatch *later);

/* A value from a file, cut to a length that fits into a message; quotes included. */
#define POLICY_QUOTE_MAX 72
const char *policy_quote(const char *text, char buf[static POLICY_QUOTE_MAX]);
/* "12.5%" */
void policy_format_permyriad(uint64_t permyriad, Buf *out);
/* Best of n known words for an unknown one: ", did you mean X?" or nothing. */
void policy_suggest(Buf *why, const char *word, const char *const *known, size_t n);

/* What policy_parse() knows beyond the Policy, for the checks after merging. */
typedef struct PolicyProtectRef {
        const char *word; /* borrowed from Policy.protect */
        PolicyRef ref;
} PolicyProtectRef;

typedef struct PolicyExtra {
        PolicyProtectRef *protect;
        size_t n_protect, protect_alloc;
        /* By index: tenants and templates with a Match= or Tenant= that was refused. No further complaint about its
         * absence. */
        bool *tenant_broken, *template_broken;
        size_t tenant_broken_alloc, template_broken_alloc;
} PolicyExtra;

/* Checks across sections and files, all into diags; -ENOMEM. */
int policy_check(const Policy *p, const PolicyExtra *extra, Diags *diags);
/* Who takes what, and matches that can never hold (part of it). */
int policy_check_matches(const Policy *p, Diags *diags);
/* Limits that contradict or refer to each other (part of it). */
int policy_check_limits(const Policy *p, Diags *diags);

_printf_(7, 8) void policy_complain(const Policy *p, Diags *diags, DiagLevel level, PolicyRef ref,
                                    const char *section, const char *key, const char *format, ...);
