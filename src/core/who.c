/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whose container is this?
 *
 * All matches of all tenants and templates are one list, ordered by trust:
 * class first, then file and line. The first that holds decides. Nothing is
 * sorted for that; one pass keeps the earliest that holds, and the earliest
 * that may still hold once names, groups or a user's name are known. Where the
 * latter comes before the former the answer is pending.
 *
 * What is matched must not be the tenant's own word. Whoever got a subtree
 * delegated names what he makes in it, so only the beginning of the path that
 * root named is looked at (View): a rootless user's "tenant-other.slice" is
 * no slice of that tenant, his "docker-<id>.scope" says nothing about names, and
 * the outermost user-UID.slice says whose he is, not the nearest. Labels and
 * names below a delegation do not even make a contradiction: that would be a
 * way to write other tenants' names into the journal.
 *
 * No memory is allocated here, so that this cannot fail: the part of the path
 * that is looked at is bounded (WHO_PATH_MAX, WHO_DEPTH_MAX). What is nested
 * deeper still has the ancestors that count.
 */

#include <stdio.h>

#include "num.h"
#include "value.h"
#include "who.h"

#define WHO_PATH_MAX 2048
#define WHO_DEPTH_MAX 64

typedef struct View {
        char path[WHO_PATH_MAX]; /* the part that root named */
        char text[WHO_PATH_MAX]; /* the same, cut into parts */
        const char *parts[WHO_DEPTH_MAX];
        size_t n_parts;
        size_t first_slice; /* parts from here on are looked at for slice matches, up to the first that is no slice */
        bool whole; /* that is all of the path */
        bool below_delegation; /* it is not, for the rest is below a delegation */
        uid_t uid;
        bool names_count;
} View;

typedef enum Verdict { NO, MAYBE, YES } Verdict;

/* What the '*' took, and the slice, of the match that decided. */
typedef struct Capture {
        bool have_star;
        char star[POLICY_NAME_MAX + 2]; /* one more than may be valid, so that cutting shows */
        const char *slice; /* borrowed from the View */
} Capture;

typedef struct Hit {
        const PolicyTenant *rule; /* NULL: none */
        const PolicyMatch *match;
} Hit;

static bool ends_with(const char *s, const char *tail) {
        size_t n = strlen(s), m = strlen(tail);

        return n > m && STR_EQ(s + n - m, tail);
}

static bool is_user_manager(const char *part) {
        return strncmp(part, "user@", 5) == 0 && ends_with(part, ".service");
}

/* "user-1000.slice" → 1000. */
static bool parse_user_slice(const char *part, uid_t *ret) {
        const char *p = part + 5, *end = part + strlen(part);
        uint64_t uid;

        if (strncmp(part, "user-", 5) != 0 || num_scan_u64(&p, end, &uid) < 0 || !STR_EQ(p, ".slice") ||
            uid > POLICY_UID_MAX)
                return false;
        *ret = (uid_t)uid;
        return true;
}

/* The uid that /user.slice/user-UID.slice belongs to, which no user can forge. */
static bool view_owner(const View *v, uid_t *ret) {
        return v->n_parts >= 2 && STR_EQ(v->parts[0], "user.slice") && parse_user_slice(v->parts[1], ret);
}

static void view_init(View *v, const char *path, size_t delegated_at) {
        const char *p = path ? path : "";
        size_t len = 0;

        v->n_parts = v->first_slice = 0;
        v->below_delegation = false;
        v->uid = (uid_t)-1;
        v->names_count = false;
        v->path[0] = '\0';
        while (*p == '/' && p[1]) {
                size_t n = strcspn(p + 1, "/");
                size_t end = len + 1 + n;

                if (n == 0 || end >= sizeof(v->path) || v->n_parts == WHO_DEPTH_MAX)
                        break;
                if ((delegated_at && end > delegated_at) ||
                    (v->n_parts > 0 && is_user_manager(v->parts[v->n_parts - 1]))) {
                        v->below_delegation = true;
                        break;
                }
                memcpy(v->path + len, p, 1 + n);
                memcpy(v->text + len, p, 1 + n);
                v->path[end] = v->text[end] = '\0';
                v->parts[v->n_parts++] = v->text + len + 1;
                len = end;
                p += 1 + n;
                if (v->n_parts > 1)
                        v->text[v->parts[v->n_parts - 1] - v->text - 1] = '\0';
        }
        v->whole = !*p || (p[0] == '/' && !p[1]);
}

/* ---- one match ---- */

static void capture(Capture *c, const char *pattern, const char *text, const char *slice) {
        size_t off, len;

        if (!c)
                return;
        c->slice = slice;
        c->have_star = value_glob_capture(pattern, text, &off, &len);
        if (c->have_star) {
                len = MIN_OF(len, sizeof(c->star) - 1);
                memcpy(c->star, text + off, len);
                c->star[len] = '\0';
        }
}

static Verdict match_user(const PolicyMatch *m, const WhoFacts *f, const View *v) {
        if (v->uid == (uid_t)-1)
                return NO;
        if (!m->pattern)
                return m->uid_from <= v->uid && v->uid <= m->uid_to ? YES : NO;
        if (*m->pattern != '@' && f->user_name)
                return STR_EQ(m->pattern, f->user_name) ? YES : NO;
        if (!f->groups)
                return MAYBE;
        if (*m->pattern != '@')
                return NO;
        for (const char *const *g = f->groups; *g; g++)
                if (STR_EQ(m->pattern + 1, *g))
                        return YES;
        return NO;
}

/* The outermost slice first: what lies below belongs to the same tenant. systemd puts slices into slices
 * only; what is called so below anything else is somebody's invention. */
static Verdict match_slice(const PolicyMatch *m, const View *v, Capture *c) {
        for (size_t i = v->first_slice; i < v->n_parts && ends_with(v->parts[i], ".slice"); i++)
                if (value_glob(m->pattern, v->parts[i])) {
                        capture(c, m->pattern, v->parts[i], v->parts[i]);
                        return YES;
                }
        return NO;
}

/* The path or that of any ancestor, the outermost first. */
static bool path_matches(const char *pattern, View *v, Capture *c) {
        char *slash = v->path;

        if (v->n_parts == 0)
                return false;
        do {
                bool holds;

                slash = strchr(slash + 1, '/');
                if (slash)
                        *slash = '\0';
                holds = value_glob(pattern, v->path);
                if (holds)
                        capture(c, pattern, v->path, NULL);
                if (slash)
                        *slash = '/';
                if (holds)
                        return true;
        } while (slash);
        return false;
}

static Verdict match_label(const PolicyMatch *m, const WhoFacts *f, Capture *c) {
        for (size_t i = 0; i < f->n_labels; i++)
                if (STR_EQ(f->labels[i].key, m->label) && value_glob(m->pattern, f->labels[i].value)) {
                        capture(c, m->pattern, f->labels[i].value, NULL);
                        return YES;
                }
        return NO;
}

static Verdict match_eval(const PolicyMatch *m, const WhoFacts *f, View *v, Capture *c) {
        switch (m->class) {
        case MATCH_USER:
                return match_user(m, f, v);
        case MATCH_SLICE:
                return match_slice(m, v, c);
        case MATCH_PATH:
                return path_matches(m->pattern, v, c) ? YES : NO;
        case MATCH_LABEL:
        case MATCH_NAME:
                if (!v->names_count)
                        return NO;
                if (!f->names_known)
                        return MAYBE;
                if (m->class == MATCH_LABEL)
                        return match_label(m, f, c);
                if (!f->name || !value_glob(m->pattern, f->name))
                        return NO;
                capture(c, m->pattern, f->name, NULL);
                return YES;
        case _MATCH_MAX:
        case _MATCH_INVALID:
                break;
        }
        return NO;
}

static bool match_before(const PolicyMatch *a, const PolicyMatch *b) {
        if (a->class != b->class)
                return a->class < b->class;
        if (a->ref.file != b->ref.file)
                return a->ref.file < b->ref.file;
        return a->ref.line < b->ref.line;
}

/* ---- the name that a rule gives ---- */

/* YES: name is set. NO: it would not be valid. MAYBE: it takes a user's name that is not known yet. */
static Verdict rule_name(const Hit *hit, const WhoFacts *f, View *v, char name[static POLICY_NAME_MAX + 1]) {
        char out[POLICY_NAME_MAX + 1], number[16];
        Capture c = {};
        size_t len = 0;

        if (!hit->rule->tenant_format) {
                snprintf(name, POLICY_NAME_MAX + 1, "%s", hit->rule->name);
                return YES;
        }
        (void)match_eval(hit->match, f, v, &c);
        for (const char *p = hit->rule->tenant_format; *p; p++) {
                const char *piece = p;
                size_t n = 1;

                if (*p == '%') {
                        p++;
                        if (*p == 'v' && c.have_star)
                                piece = c.star;
                        else if (*p == 's' && c.slice)
                                piece = c.slice;
                        else if (*p == 'u' && v->uid != (uid_t)-1 && f->user_name)
                                piece = f->user_name;
                        else if (*p == 'u' && v->uid != (uid_t)-1) {
                                if (!f->names_known || !f->groups)
                                        return MAYBE;
                                snprintf(number, sizeof(number), "%u", (unsigned)v->uid);
                                piece = number;
                        } else
                                return NO;
                        n = strlen(piece);
                        if (*p == 's')
                                n -= strlen(".slice");
                        if (n == 0)
                                return NO; /* "compose-" would be everybody's who has none */
                }
                if (n > POLICY_NAME_MAX - len)
                        return NO;
                memcpy(out + len, piece, n);
                len += n;
        }
        out[len] = '\0';
        if (!policy_name_is_valid(out) || STR_EQ(out, WHO_UNASSIGNED))
                return NO;
        memcpy(name, out, len + 1);
        return YES;
}

/* ---- all of them ---- */

static size_t n_rules(const Policy *p) { return p->n_tenants + p->n_templates; }

static const PolicyTenant *rule_at(const Policy *p, size_t i) {
        return i < p->n_tenants ? &p->tenants[i] : &p->templates[i - p->n_tenants];
}

/* The first that holds, and the first that may hold. */
static void find(const Policy *p, const WhoFacts *f, View *v, MatchClass last, Hit *ret_best,
                 Hit *ret_maybe) {
        Hit best = {}, maybe = {};

        for (size_t i = 0; i < n_rules(p); i++) {
                const PolicyTenant *rule = rule_at(p, i);

                for (size_t j = 0; j < rule->n_matches; j++) {
                        const PolicyMatch *m = &rule->matches[j];

                        if (m->class > last || (best.match && !match_before(m, best.match)))
                                continue;
                        switch (match_eval(m, f, v, NULL)) {
                        case YES:
                                best = (Hit){ rule, m };
                                break;
                        case MAYBE:
                                if (!maybe.match || match_before(m, maybe.match))
                                        maybe = (Hit){ rule, m };
                                break;
                        case NO:
                                break;
                        }
                }
        }
        if (maybe.match && best.match && !match_before(maybe.match, best.match))
                maybe = (Hit){};
        *ret_best = best;
        *ret_maybe = maybe;
}

/* name=* takes in whoever is left over; it claims nobody. */
static bool claims(const PolicyMatch *m) {
        return m->class == MATCH_LABEL || (m->class == MATCH_NAME && m->pattern[strspn(m->pattern, "*")]);
}

static void find_contradiction(const Policy *p, const WhoFacts *f, View *v, WhoResult *ret) {
        char other[POLICY_NAME_MAX + 1];
        Hit first = {};

        for (size_t i = 0; i < n_rules(p); i++) {
                const PolicyTenant *rule = rule_at(p, i);

                for (size_t j = 0; j < rule->n_matches; j++) {
                        Hit hit = { rule, &rule->matches[j] };

                        if (hit.match->class <= ret->class || !claims(hit.match) ||
                            (first.match && !match_before(hit.match, first.match)) ||
                            match_eval(hit.match, f, v, NULL) != YES || rule_name(&hit, f, v, other) != YES ||
                            STR_EQ(other, ret->tenant))
                                continue;
                        first = hit;
                        ret->contradiction = true;
                        memcpy(ret->contradicted, other, sizeof(other));
                }
        }
}

/* A [Tenant] section of the name that a template makes decides alone, whoever of that tenant came first. */
static const PolicyTenant *rule_of_name(const Policy *p, const PolicyTenant *rule, const char *name) {
        const PolicyTenant *own = rule->tenant_format ? policy_find_tenant(p, name) : NULL;

        return own ? own : rule;
}

const PolicyTenant *who_first_rule(const PolicyTenant *a, const PolicyTenant *b) {
        if (!a || !b)
                return a ? a : b;
        if (a->ref.file != b->ref.file)
                return a->ref.file < b->ref.file ? a : b;
        return a->ref.line <= b->ref.line ? a : b;
}

static void resolve(const Policy *p, const WhoFacts *f, View *v, MatchClass last, WhoResult *ret) {
        Hit best, maybe;

        find(p, f, v, last, &best, &maybe);
        *ret = (WhoResult){ .class = _MATCH_INVALID, .tenant = WHO_UNASSIGNED, .pending = maybe.match };
        if (!best.match)
                return;
        ret->class = best.match->class;
        ret->ref = best.match->ref;
        switch (rule_name(&best, f, v, ret->tenant)) {
        case YES:
                ret->rule = rule_of_name(p, best.rule, ret->tenant);
                ret->template = ret->rule->tenant_format;
                if (v->names_count && f->names_known && last == MATCH_NAME)
                        find_contradiction(p, f, v, ret);
                break;
        case MAYBE:
                ret->pending = true;
                break;
        case NO:
                ret->bad_name = true;
                ret->bad_from = best.rule;
                break;
        }
}

static void view_of_facts(View *v, const WhoFacts *f) {
        view_init(v, f->cgroup, f->delegated_at);
        v->names_count = f->names_trusted && !v->below_delegation;
        v->uid = f->uid;
        if (v->uid != (uid_t)-1)
                (void)view_owner(v, &v->uid);
}

void who_resolve(const Policy *p, const WhoFacts *f, WhoResult *ret) {
        View v;

        view_of_facts(&v, f);
        resolve(p, f, &v, MATCH_NAME, ret);
}

static bool may_hold(const PolicyTenant *rule, const WhoFacts *f, View *v, const Hit *best) {
        for (size_t j = 0; j < rule->n_matches; j++) {
                const PolicyMatch *m = &rule->matches[j];

                if ((!best->match || match_before(m, best->match)) && match_eval(m, f, v, NULL) == MAYBE)
                        return true;
        }
        return false;
}

/* Whether Tenant=format can make that name, of whatever text. */
static bool may_make(const char *format, const char *name) {
        char pattern[2 * POLICY_NAME_MAX + 1];
        size_t len = 0;

        for (const char *p = format; *p; p++) {
                if (len + 1 == sizeof(pattern))
                        return true;
                pattern[len++] = *p == '%' ? '*' : *p;
                p += *p == '%';
        }
        pattern[len] = '\0';
        return value_glob(pattern, name);
}

/* A template that may hold may make the name of a tenant that has a section, whose word it then is. */
static bool may_be_made(const Policy *p, const PolicyTenant *rule, const WhoFacts *f, View *v,
                        const Hit *best) {
        for (size_t i = 0; i < p->n_templates; i++)
                if (may_make(p->templates[i].tenant_format, rule->name) &&
                    may_hold(&p->templates[i], f, v, best))
                        return true;
        return false;
}

void who_candidates(const Policy *p, const WhoFacts *f, void (*each)(void *user, const PolicyTenant *rule),
                    void *user) {
        const PolicyTenant *decides = NULL, *unnamed = NULL;
        char name[POLICY_NAME_MAX + 1];
        Hit best, maybe;
        Verdict named;
        View v;

        view_of_facts(&v, f);
        find(p, f, &v, MATCH_NAME, &best, &maybe);
        named = best.match ? rule_name(&best, f, &v, name) : NO;
        if (named == YES)
                decides = rule_of_name(p, best.rule, name);
        else if (named == MAYBE)
                decides = unnamed = best.rule;
        for (size_t i = 0; i < n_rules(p); i++) {
                const PolicyTenant *rule = rule_at(p, i);
                bool own = !rule->tenant_format;

                if (rule == decides)
                        continue;
                if ((maybe.match &&
                     (may_hold(rule, f, &v, &best) || (own && may_be_made(p, rule, f, &v, &best)))) ||
                    (unnamed && own && may_make(unnamed->tenant_format, rule->name)))
                        each(user, rule);
        }
        each(user, decides);
}

static bool only_slices(const View *v) {
        for (size_t i = 0; i < v->n_parts; i++)
                if (!ends_with(v->parts[i], ".slice"))
                        return false;
        return v->whole && v->n_parts > 0;
}

bool who_owns_slice(const Policy *p, const WhoFacts *f, WhoResult *ret) {
        View v;

        view_init(&v, f->cgroup, f->delegated_at);
        if (!only_slices(&v)) {
                *ret = (WhoResult){ .class = _MATCH_INVALID, .tenant = WHO_UNASSIGNED };
                return false;
        }
        v.first_slice = v.n_parts - 1;
        if (v.n_parts == 2)
                (void)view_owner(&v, &v.uid);
        resolve(p, f, &v, MATCH_SLICE, ret);
        return ret->rule && !ret->pending;
}

bool who_names_unit(const Policy *p, const char *path) {
        const char *unit;
        CgName name;
        View v;

        view_init(&v, path, 0);
        if (!v.whole || v.n_parts == 0)
                return false;
        unit = v.parts[v.n_parts - 1];
        if ((!ends_with(unit, ".service") && !ends_with(unit, ".scope")) || is_user_manager(unit) ||
            cgpath_classify(path, &name) < 0 || name.kind != CG_INTERIOR)
                return false;
        for (size_t i = 0; i < n_rules(p); i++) {
                const PolicyTenant *rule = rule_at(p, i);

                for (size_t j = 0; j < rule->n_matches; j++) {
                        const PolicyMatch *m = &rule->matches[j];

                        if ((m->class == MATCH_SLICE && match_slice(m, &v, NULL) == YES) ||
                            (m->class == MATCH_PATH && path_matches(m->pattern, &v, NULL)))
                                return true;
                }
        }
        return false;
}

/* ---- what is never touched ---- */

static const char *find_part(const View *v, const char *pattern) {
        for (size_t i = 0; i < v->n_parts; i++)
                if (value_glob(pattern, v->parts[i]))
                        return v->parts[i];
        return NULL;
}

static bool protect_entry_holds(const char *entry, const View *v, const char *tenant) {
        static const char prefix[] = "tenant:";

        if (strncmp(entry, prefix, sizeof(prefix) - 1) == 0)
                return tenant && value_glob(entry + sizeof(prefix) - 1, tenant);
        return find_part(v, entry) || (tenant && STR_EQ(entry, tenant));
}

static const char *protected_by_default(const View *v) {
        if (find_part(v, "user-0.slice"))
                return "user-0.slice";
        if (!STR_EQ(v->parts[0], "system.slice"))
                return NULL;
        if (v->n_parts == 1 && v->whole)
                return "system.slice";
        for (size_t i = 1; i < v->n_parts; i++)
                if (ends_with(v->parts[i], ".service"))
                        return "a service of the host";
        return NULL;
}

static const char *why_protected(const Policy *p, const char *path, Engine engine, const char *tenant) {
        static const char *const always[] = { "init.scope", "bailiff.slice" };
        bool made_by_engine = engine != ENGINE_NONE && engine != ENGINE_UNIT;
        View v;

        view_init(&v, path, 0);
        if (v.n_parts == 0)
                return "the root of the tree"; /* or no path at all: nothing to be touched either */
        for (size_t i = 0; i < ARRAY_SIZE(always) && !made_by_engine; i++)
                if (find_part(&v, always[i]))
                        return always[i];
        for (size_t i = 0; i < p->n_protect; i++)
                if (protect_entry_holds(p->protect[i], &v, tenant))
                        return p->protect[i];
        return made_by_engine || p->protect_emptied ? NULL : protected_by_default(&v);
}

bool who_protected(const Policy *p, const char *path, Engine engine, const char *tenant,
                   const char **ret_why) {
        const char *why = why_protected(p, path, engine, tenant);

        if (why && ret_why)
                *ret_why = why;
        return why;
}
