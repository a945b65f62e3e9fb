/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Texts of several files, in order, become one Policy.
 *
 * ini_read() hands over sections and entries, policy-keys.c says what a key is
 * and where it may stand, policy-limit.c and policy-match.c read its value. Here
 * all of that is put together and merged: a section of a later file adds to the
 * section of the same name. What can only be said when everything is known
 * (plans that do not exist, matches that can never hold, limits that refer to
 * each other) is policy-check.c's.
 *
 * Nothing stops at a mistake. A section with a bad name still has its keys
 * checked, in a scratch section that is thrown away; a limit with a bad value
 * stands in as "infinity", so that nobody complains about its absence. None of
 * that is ever seen: with one error in diags there is no Policy.
 */

#include <stdarg.h>
#include <stdio.h>

#include "map.h"
#include "policy-internal.h"
#include "value.h"

/* One section by type and name, with the file that named it last. */
typedef struct Seen {
        char *label; /* "Tenant acme" */
        SectionType type;
        size_t index; /* into the array of its type; SIZE_MAX: the scratch section */
        PolicyRef last;
} Seen;

typedef struct Parser {
        Policy *policy;
        Diags *diags;
        int error; /* -ENOMEM sticks */
        Map sections; /* label → Seen */
        Seen scratch_seen;
        PolicyTenant scratch;
        PolicyExtra extra;

        uint32_t file;
        Seen *current; /* NULL: unknown section, entries are skipped */
} Parser;

static void parser_deinit(Parser *a) {
        Seen *s;

        for (size_t i = 0; (s = map_next(&a->sections, &i));) {
                free(s->label);
                free(s);
        }
        map_deinit(&a->sections);
        free(a->scratch_seen.label);
        policy_tenant_deinit(&a->scratch);
        free(a->extra.protect);
        free(a->extra.tenant_broken);
        free(a->extra.template_broken);
        policy_free(a->policy);
}

/* ---- complaints ---- */

/* An error at a line of the current section, for the reason in why. */
static void refuse(Parser *a, PolicyRef ref, const char *key, const Buf *why) {
        if (buf_error(why) < 0)
                a->error = -ENOMEM;
        policy_complain(a->policy, a->diags, DIAG_ERROR, ref, a->current->label, key, "%s", buf_str(why));
}

/* The later of two in one section of one file holds; nobody writes both on purpose. */
static void warn_twice(Parser *a, PolicyRef ref, const char *key, PolicyRef first) {
        if (first.file == ref.file && first.line > 0)
                policy_complain(a->policy, a->diags, DIAG_WARNING, ref, a->current->label, key,
                                "given before in line %u, this one holds; expected it once", first.line);
}

/* ---- sections ---- */

/* A new element of the type's array; its index is in *ret. */
static int add_element(Parser *a, SectionType type, const char *name, PolicyRef ref, size_t *ret) {
        PolicyExtra *x = &a->extra;
        Policy *p = a->policy;

        switch (type) {
        case SECTION_PLAN:
                *ret = p->n_plans;
                return policy_add_plan(p, name, ref);
        case SECTION_TEMPLATE:
                *ret = p->n_templates;
                if (GROW(x->template_broken, p->n_templates, x->template_broken_alloc) < 0)
                        return -ENOMEM;
                x->template_broken[p->n_templates] = false;
                return policy_add_tenant(&p->templates, &p->n_templates, &p->templates_alloc, name, ref);
        case SECTION_TENANT:
                *ret = p->n_tenants;
                if (GROW(x->tenant_broken, p->n_tenants, x->tenant_broken_alloc) < 0)
                        return -ENOMEM;
                x->tenant_broken[p->n_tenants] = false;
                return policy_add_tenant(&p->tenants, &p->n_tenants, &p->tenants_alloc, name, ref);
        case SECTION_CONTAINER:
                *ret = p->n_containers;
                return policy_add_container(p, name, ref);
        default:
                *ret = 0;
                return 0;
        }
}

/* For the keys of a section that cannot be: they are checked all the same. Takes label. */
static void enter_scratch(Parser *a, SectionType type, char *label) {
        free(a->scratch_seen.label);
        a->scratch_seen = (Seen){ .label = label, .type = type, .index = SIZE_MAX };
        policy_tenant_deinit(&a->scratch);
        a->current = &a->scratch_seen;
}

static int enter(Parser *a, SectionType type, const char *name, PolicyRef ref) {
        _cleanup_free_ char *label = NULL;
        _cleanup_buf_ Buf why = BUF_INIT;
        Seen *s;
        int r;

        if (asprintf(&label, "%s%s%s", section_type_to_string(type), *name ? " " : "", name) < 0) {
                label = NULL;
                return -ENOMEM;
        }
        if (policy_section_name_check(type, name, &why) < 0) {
                enter_scratch(a, type, steal_ptr(label));
                refuse(a, ref, NULL, &why);
                return 0;
        }

        s = map_get_str(&a->sections, label);
        if (s && s->last.file == ref.file) {
                a->current = s;
                policy_complain(a->policy, a->diags, DIAG_ERROR, ref, label, NULL,
                                "is there twice, first in line %u; expected it once in a file", s->last.line);
                return 0;
        }
        if (s && type != SECTION_CONTAINER) {
                s->last = ref;
                a->current = s;
                return 0;
        }
        if (!s) {
                s = malloc(sizeof(*s));
                if (!s)
                        return -ENOMEM;
                *s = (Seen){ .label = steal_ptr(label), .type = type };
                r = map_put_str(&a->sections, s->label, s);
                if (r < 0) {
                        free(s->label);
                        free(s);
                        return r;
                }
        }
        s->last = ref;
        a->current = s;
        return add_element(a, type, name, ref, &s->index);
}

static void on_section(void *user, unsigned line, const char *type, const char *name) {
        Parser *a = user;
        PolicyRef ref = { .file = a->file, .line = line };
        SectionType t = section_type_from_string(type);
        char quoted[POLICY_QUOTE_MAX];
        int r;

        a->current = NULL;
        if (a->error < 0)
                return;
        if (t == 0) {
                t = section_type_suggest(type);
                diags_add(a->diags, DIAG_ERROR, a->policy->files[a->file], line,
                          "[%s%s%s]: unknown section %s, %s%s%s", type, *name ? " " : "", name,
                          policy_quote(type, quoted),
                          t ? "did you mean ["
                            : "expected Host, Defaults, Plan, Template, Tenant or Container",
                          t ? section_type_to_string(t) : "", t ? "]?" : "");
                if (t == 0)
                        return;
                /* Go on as if it had been meant: its keys are worth checking, and others may refer to it. */
        }
        r = enter(a, t, name, ref);
        if (r < 0)
                a->error = r;
}

/* What the current section is, whichever array it lives in. */
static PolicySection *current_section(Parser *a) {
        const Seen *s = a->current;

        if (s->index == SIZE_MAX)
                return &a->scratch.section;
        switch (s->type) {
        case SECTION_HOST:
                return &a->policy->host;
        case SECTION_DEFAULTS:
                return &a->policy->defaults;
        case SECTION_PLAN:
                return &a->policy->plans[s->index].section;
        case SECTION_TEMPLATE:
                return &a->policy->templates[s->index].section;
        case SECTION_TENANT:
                return &a->policy->tenants[s->index].section;
        case SECTION_CONTAINER:
                return &a->policy->containers[s->index].section;
        }
        return &a->scratch.section;
}

/* [Tenant] or [Template]; only their keys get here. */
static PolicyTenant *current_tenant(Parser *a) {
        const Seen *s = a->current;

        if (s->index == SIZE_MAX)
                return &a->scratch;
        return s->type == SECTION_TEMPLATE ? &a->policy->templates[s->index] : &a->policy->tenants[s->index];
}

static void mark_broken(Parser *a) {
        const Seen *s = a->current;

        if (s->index == SIZE_MAX)
                return;
        if (s->type == SECTION_TEMPLATE)
                a->extra.template_broken[s->index] = true;
        else
                a->extra.tenant_broken[s->index] = true;
}

/* ---- entries ---- */

/* Takes e's device. */
static int put_limit(Parser *a, PolicySection *s, const char *key, LimitExpr e) {
        LimitExpr **l = e.container ? &s->container_limits : &s->limits;
        size_t *n = e.container ? &s->n_container_limits : &s->n_limits;
        size_t *alloc = e.container ? &s->container_limits_alloc : &s->limits_alloc;
        size_t kept = 0;

        for (size_t i = 0; i < *n; i++) {
                LimitExpr *old = &(*l)[i];
                /* A reset empties the list for all devices; a value for one device leaves a reset before it. */
                bool replaced = old->limit == e.limit && (e.kind == LIMIT_EXPR_RESET || !e.device ||
                                                          (old->device && STR_EQ(old->device, e.device)));

                if (!replaced) {
                        (*l)[kept++] = *old;
                        continue;
                }
                if (e.kind != LIMIT_EXPR_RESET && old->kind != LIMIT_EXPR_RESET)
                        warn_twice(a, e.ref, key, old->ref);
                free(old->device);
        }
        *n = kept;
        if (GROW(*l, *n, *alloc) < 0) {
                free(e.device);
                return -ENOMEM;
        }
        (*l)[(*n)++] = e;
        return 0;
}

static int take_limit(Parser *a, PolicyRef ref, const char *name, const Key *key, const char *value) {
        _cleanup_buf_ Buf why = BUF_INIT;
        LimitExpr e;
        int r;

        r = policy_limit_parse(key->limit, key->container, value, &e, &why);
        if (r == -EINVAL) {
                refuse(a, ref, name, &why);
                if (limit_info(key->limit)->per_device)
                        return 0;
                e = (LimitExpr){ .limit = key->limit, .container = key->container, .value = LIMIT_INFINITY };
        } else if (r < 0)
                return r;
        e.ref = ref;
        return put_limit(a, current_section(a), name, e);
}

static int take_value(Parser *a, PolicyRef ref, const char *name, const Key *key, const char *value) {
        PolicyValue *old = &current_section(a)->values[key->value];
        _cleanup_buf_ Buf why = BUF_INIT;
        PolicyValue v;

        if (policy_value_parse(key->value, value, &v, &why) < 0) {
                refuse(a, ref, name, &why);
                return 0;
        }
        v.ref = ref;
        if (old->set && !v.reset)
                warn_twice(a, ref, name, old->ref);
        *old = v;
        return 0;
}

static int take_match(Parser *a, PolicyRef ref, const char *name, const char *value) {
        PolicyTenant *t = current_tenant(a);
        _cleanup_buf_ Buf why = BUF_INIT;
        PolicyMatch m;
        int r;

        if (!*value) {
                policy_tenant_reset_matches(t);
                return 0;
        }
        if (a->current->type == SECTION_TENANT && t->name && STR_EQ(t->name, POLICY_UNASSIGNED)) {
                buf_puts(&why,
                         "is not allowed here, " POLICY_UNASSIGNED " is whatever no tenant matches; expected "
                         "another tenant's name");
                refuse(a, ref, name, &why);
                return 0;
        }
        r = policy_match_parse(value, &m, &why);
        if (r == -EINVAL) {
                refuse(a, ref, name, &why);
                mark_broken(a);
                return 0;
        } else if (r < 0)
                return r;
        m.ref = ref;
        for (size_t i = 0; i < t->n_matches; i++)
                if (policy_match_equal(&t->matches[i], &m)) {
                        policy_match_deinit(&m); /* repeated by a drop-in */
                        return 0;
                }
        if (GROW(t->matches, t->n_matches, t->matches_alloc) < 0) {
                policy_match_deinit(&m);
                return -ENOMEM;
        }
        t->matches[t->n_matches++] = m;
        return 0;
}

/* Plan= and Tenant=: a word of its own with its line. */
static int take_word(Parser *a, PolicyRef ref, const char *name, const char *value, char **word,
                     PolicyRef *word_ref) {
        char *s = NULL;

        if (*value) {
                s = strdup(value);
                if (!s)
                        return -ENOMEM;
                if (*word)
                        warn_twice(a, ref, name, *word_ref);
        }
        free(*word);
        *word = s;
        *word_ref = ref;
        return 0;
}

static int take_tenant_format(Parser *a, PolicyRef ref, const char *name, const char *value) {
        PolicyTenant *t = current_tenant(a);
        _cleanup_buf_ Buf why = BUF_INIT;

        if (*value && policy_tenant_format_parse(value, &why) < 0) {
                refuse(a, ref, name, &why);
                mark_broken(a);
                return 0;
        }
        return take_word(a, ref, name, value, &t->tenant_format, &t->tenant_format_ref);
}

static int take_max_tenants(Parser *a, PolicyRef ref, const char *name, const char *value) {
        _cleanup_buf_ Buf why = BUF_INIT;

        if (policy_max_tenants_parse(value, &current_tenant(a)->max_tenants, &why) < 0)
                refuse(a, ref, name, &why);
        return 0;
}

static int protect_word(Parser *a, PolicyRef ref, const char *name, const char *word, size_t len) {
        Policy *p = a->policy;
        _cleanup_free_ char *w = strndup(word, len);
        _cleanup_buf_ Buf why = BUF_INIT;
        char quoted[POLICY_QUOTE_MAX];
        size_t stars;
        bool literal;

        if (!w)
                return -ENOMEM;
        if (strchr(w, '/'))
                buf_printf(&why, "%s is a path, expected names of units, slices or tenants",
                           policy_quote(w, quoted));
        if (strchr(w, '/') || policy_glob_check(w, &stars, &literal, &why) < 0) {
                refuse(a, ref, name, &why);
                return 0;
        }
        if (GROW(p->protect, p->n_protect, p->protect_alloc) < 0 ||
            GROW(a->extra.protect, a->extra.n_protect, a->extra.protect_alloc) < 0)
                return -ENOMEM;
        a->extra.protect[a->extra.n_protect++] = (PolicyProtectRef){ .word = w, .ref = ref };
        p->protect[p->n_protect++] = steal_ptr(w);
        return 0;
}

static int take_protect(Parser *a, PolicyRef ref, const char *name, const char *value) {
        Policy *p = a->policy;

        if (!*value) {
                p->protect_emptied = true;
                policy_protect_reset(p);
                a->extra.n_protect = 0;
                return 0;
        }
        while (*value) {
                size_t len = strcspn(value, " \t");
                int r = protect_word(a, ref, name, value, len);

                if (r < 0)
                        return r;
                value += len;
                value += strspn(value, " \t");
        }
        return 0;
}

static int take(Parser *a, PolicyRef ref, const char *name, const Key *key, const char *value) {
        switch (key->kind) {
        case KEY_VALUE:
                return take_value(a, ref, name, key, value);
        case KEY_LIMIT:
                return take_limit(a, ref, name, key, value);
        case KEY_MATCH:
                return take_match(a, ref, name, value);
        case KEY_PLAN: {
                PolicyTenant *t = current_tenant(a);

                return take_word(a, ref, name, value, &t->plan, &t->plan_ref);
        }
        case KEY_TENANT:
                return take_tenant_format(a, ref, name, value);
        case KEY_MAX_TENANTS:
                return take_max_tenants(a, ref, name, value);
        case KEY_PROTECT:
                return take_protect(a, ref, name, value);
        }
        return 0;
}

static void on_entry(void *user, unsigned line, const char *type, const char *section_name, const char *name,
                     const char *value) {
        Parser *a = user;
        PolicyRef ref = { .file = a->file, .line = line };
        _cleanup_buf_ Buf why = BUF_INIT;
        Key key;
        int r;

        (void)type;
        (void)section_name;
        if (!a->current || a->error < 0)
                return;
        if (!policy_key_find(name, &key)) {
                policy_key_explain_unknown(name, a->current->type, &why);
                refuse(a, ref, name, &why);
        } else if (!(key.sections & a->current->type)) {
                policy_key_explain_misplaced(name, &key, a->current->type, &why);
                refuse(a, ref, name, &why);
        } else {
                r = take(a, ref, name, &key, value);
                if (r < 0)
                        a->error = r;
        }
}

static int read_text(Parser *a, const PolicyText *t) {
        IniHandler h = { .section = on_section, .entry = on_entry, .user = a };
        Policy *p = a->policy;
        int r;

        p->files[p->n_files] = strdup(t->file);
        if (!p->files[p->n_files])
                return -ENOMEM;
        a->file = (uint32_t)p->n_files++;
        a->current = NULL;
        r = ini_read(t->file, t->text, t->len, &h, a->diags);
        if (r == -ENOMEM)
                return r;
        return a->error; /* what else ini_read() says is in diags */
}

int policy_parse(const PolicyText *texts, size_t n, Diags *diags, Policy **ret) {
        _cleanup_(parser_deinit) Parser a = { .diags = diags };
        int r;

        if (n > POLICY_FILES_MAX) {
                diags_add(diags, DIAG_ERROR, NULL, 0, "policy of %zu files, expected at most %d", n,
                          POLICY_FILES_MAX);
                return -EINVAL;
        }
        a.policy = calloc(1, sizeof(*a.policy));
        if (!a.policy)
                return -ENOMEM;
        a.policy->files = calloc(n + 1, sizeof(*a.policy->files));
        if (!a.policy->files)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = read_text(&a, &texts[i]);
                if (r < 0)
                        return r;
        }
        r = policy_check(a.policy, &a.extra, diags);
        if (r < 0)
                return r;
        if (diags_failed(diags))
                return diags->oom ? -ENOMEM : -EINVAL;
        *ret = steal_ptr(a.policy);
        return 0;
}
