/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What can only be said about a policy once all files are merged: things that
 * refer to each other by name.
 *
 * Only what is wrong on every host belongs here. Whether memory suffices,
 * devices exist or controllers are enabled is core/ceiling's question.
 */

#include "policy-internal.h"
#include "value.h"

static const char *const unit_suffixes[] = { ".slice", ".service", ".scope", ".socket", ".mount", ".swap" };

static bool has_wildcard(const char *s) { return strpbrk(s, "*?[\\") != NULL; }

/* "compose-%v" as a glob for what it can become. A pattern against a pattern is not ours to decide: true. */
static bool template_may_make(const PolicyTenant *t, const char *pattern) {
        _cleanup_buf_ Buf glob = BUF_INIT;

        if (!t->tenant_format || has_wildcard(pattern))
                return true;
        for (const char *f = t->tenant_format; *f; f++)
                if (*f == '%' && f[1]) {
                        buf_putc(&glob, '*');
                        f++;
                } else
                        buf_putc(&glob, *f);
        return buf_error(&glob) < 0 || value_glob(buf_str(&glob), pattern);
}

/* May a tenant of this name (a glob) ever exist? */
static bool tenant_may_exist(const Policy *p, const char *pattern) {
        if (value_glob(pattern, POLICY_UNASSIGNED))
                return true;
        for (size_t i = 0; i < p->n_tenants; i++)
                if (value_glob(pattern, p->tenants[i].name))
                        return true;
        for (size_t i = 0; i < p->n_templates; i++)
                if (template_may_make(&p->templates[i], pattern))
                        return true;
        return false;
}

static int suggest_tenant(const Policy *p, const char *word, Buf *why) {
        _cleanup_free_ const char **names = NULL;

        names = calloc(p->n_tenants + 1, sizeof(*names));
        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_tenants; i++)
                names[i] = p->tenants[i].name;
        policy_suggest(why, word, names, p->n_tenants);
        return buf_error(why);
}

static int check_plan(const Policy *p, const PolicyTenant *t, const char *label, Diags *diags) {
        _cleanup_free_ const char **names = NULL;
        _cleanup_buf_ Buf why = BUF_INIT;
        char quoted[POLICY_QUOTE_MAX];

        if (!t->plan || policy_find_plan(p, t->plan))
                return 0;
        names = calloc(p->n_plans + 1, sizeof(*names));
        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < p->n_plans; i++)
                names[i] = p->plans[i].name;
        buf_printf(&why, "there is no plan %s", policy_quote(t->plan, quoted));
        if (value_suggest(t->plan, names, p->n_plans))
                policy_suggest(&why, t->plan, names, p->n_plans);
        else
                buf_puts(&why, ", expected the name of a [Plan] section");
        if (buf_error(&why) < 0)
                return -ENOMEM;
        policy_complain(p, diags, DIAG_ERROR, t->plan_ref, label, "Plan", "%s", buf_str(&why));
        return 0;
}

static int check_tenants(const Policy *p, const PolicyExtra *extra, Diags *diags) {
        for (size_t i = 0; i < p->n_tenants; i++) {
                const PolicyTenant *t = &p->tenants[i];
                _cleanup_buf_ Buf label = BUF_INIT;
                int r;

                buf_printf(&label, "Tenant %s", t->name);
                if (buf_error(&label) < 0)
                        return -ENOMEM;
                if (t->n_matches == 0 && !extra->tenant_broken[i] && !STR_EQ(t->name, POLICY_UNASSIGNED))
                        policy_complain(
                                p, diags, DIAG_ERROR, t->ref, buf_str(&label), "Match",
                                "is missing, so nothing would ever be this tenant's; expected at least one");
                r = check_plan(p, t, buf_str(&label), diags);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_template(const Policy *p, const PolicyTenant *t, const char *label, Diags *diags) {
        _cleanup_buf_ Buf why = BUF_INIT;

        if (!t->tenant_format)
                policy_complain(
                        p, diags, DIAG_ERROR, t->ref, label, "Tenant",
                        "is missing, expected a name with %%v, %%u or %%s in it such as \"Tenant=%s-%%v\"",
                        t->name);
        if (t->n_matches != 1) {
                const PolicyMatch *m = t->n_matches > 1 ? &t->matches[1] : NULL;

                policy_complain(p, diags, DIAG_ERROR, m ? m->ref : t->ref, label, "Match",
                                "%s, expected exactly one in a template",
                                m ? "is there more than once" : "is missing");
                return 0;
        }
        if (t->tenant_format && policy_template_check(t->tenant_format, &t->matches[0], &why) < 0) {
                if (buf_error(&why) < 0)
                        return -ENOMEM;
                policy_complain(p, diags, DIAG_ERROR, t->tenant_format_ref, label, "Tenant", "%s",
                                buf_str(&why));
        }
        return 0;
}

static int check_templates(const Policy *p, const PolicyExtra *extra, Diags *diags) {
        for (size_t i = 0; i < p->n_templates; i++) {
                const PolicyTenant *t = &p->templates[i];
                _cleanup_buf_ Buf label = BUF_INIT;
                int r = 0;

                buf_printf(&label, "Template %s", t->name);
                if (buf_error(&label) < 0)
                        return -ENOMEM;
                if (!extra->template_broken[i])
                        r = check_template(p, t, buf_str(&label), diags);
                if (r == 0)
                        r = check_plan(p, t, buf_str(&label), diags);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A rule for a tenant that is misspelt would be silently void: `Kill=never` for nobody. */
static int check_containers(const Policy *p, Diags *diags) {
        for (size_t i = 0; i < p->n_containers; i++) {
                const PolicyContainer *c = &p->containers[i];
                _cleanup_buf_ Buf label = BUF_INIT, why = BUF_INIT;
                char quoted[POLICY_QUOTE_MAX];

                if (tenant_may_exist(p, c->tenant))
                        continue;
                buf_printf(&label, "Container %s/%s", c->tenant, c->name);
                buf_printf(&why,
                           "can never hold, there is no tenant %s, expected one of a [Tenant] or [Template] "
                           "section",
                           policy_quote(c->tenant, quoted));
                if (buf_error(&label) < 0 || suggest_tenant(p, c->tenant, &why) < 0)
                        return -ENOMEM;
                policy_complain(p, diags, DIAG_ERROR, c->ref, buf_str(&label), NULL, "%s", buf_str(&why));
        }
        return 0;
}

static bool is_unit(const char *word) {
        size_t len = strlen(word);

        for (size_t i = 0; i < ARRAY_SIZE(unit_suffixes); i++) {
                size_t n = strlen(unit_suffixes[i]);

                if (len > n && STR_EQ(word + len - n, unit_suffixes[i]))
                        return true;
        }
        return false;
}

/* `Protect=docker` would protect nothing while everybody believes it does. */
static int check_protect(const Policy *p, const PolicyExtra *extra, Diags *diags) {
        static const char tenant[] = "tenant:";

        for (size_t i = 0; i < extra->n_protect; i++) {
                const char *word = extra->protect[i].word;
                bool explicit = strncmp(word, tenant, sizeof(tenant) - 1) == 0;
                const char *name = explicit ? word + sizeof(tenant) - 1 : word;
                _cleanup_buf_ Buf why = BUF_INIT;
                char quoted[POLICY_QUOTE_MAX];

                if (!explicit && (is_unit(word) || has_wildcard(word)))
                        continue;
                if (tenant_may_exist(p, name))
                        continue;
                buf_printf(&why,
                           "%s is neither a unit nor a tenant of this policy, expected a name such as "
                           "docker.service, tenant-acme.slice or that of a tenant",
                           policy_quote(word, quoted));
                if (suggest_tenant(p, name, &why) < 0)
                        return -ENOMEM;
                policy_complain(p, diags, DIAG_ERROR, extra->protect[i].ref, "Host", "Protect", "%s",
                                buf_str(&why));
        }
        return 0;
}

int policy_check(const Policy *p, const PolicyExtra *extra, Diags *diags) {
        int r;

        r = check_tenants(p, extra, diags);
        if (r == 0)
                r = check_templates(p, extra, diags);
        if (r == 0)
                r = check_containers(p, diags);
        if (r == 0)
                r = check_protect(p, extra, diags);
        if (r == 0)
                r = policy_check_matches(p, diags);
        if (r == 0)
                r = policy_check_limits(p, diags);
        return r;
}
