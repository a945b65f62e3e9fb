/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The policy as an object: who owns what in it, how elements are added and
 * found, what a section may be called, and how a complaint about it reads.
 *
 * The way from text to here is policy-parse.c's, with policy-keys.c,
 * policy-limit.c and policy-match.c for the words; policy-check.c,
 * policy-check-limits.c look at the whole; policy-get.c reads effective values
 * out of it. Arrays are in order of file and line, and searched from front to
 * back: lookups by name happen per load and per question, not per sample.
 */

#include <stdarg.h>
#include <stdio.h>

#include "policy-internal.h"
#include "value.h"

#define CONTAINER_GLOB_MAX 255

static void section_deinit(PolicySection *s) {
        for (size_t i = 0; i < s->n_limits; i++)
                free(s->limits[i].device);
        for (size_t i = 0; i < s->n_container_limits; i++)
                free(s->container_limits[i].device);
        free(s->limits);
        free(s->container_limits);
        *s = (PolicySection){};
}

void policy_tenant_reset_matches(PolicyTenant *t) {
        for (size_t i = 0; i < t->n_matches; i++)
                policy_match_deinit(&t->matches[i]);
        t->n_matches = 0;
}

void policy_tenant_deinit(PolicyTenant *t) {
        policy_tenant_reset_matches(t);
        free(t->matches);
        free(t->name);
        free(t->plan);
        free(t->tenant_format);
        section_deinit(&t->section);
        *t = (PolicyTenant){};
}

void policy_protect_reset(Policy *p) {
        for (size_t i = 0; i < p->n_protect; i++)
                free(p->protect[i]);
        p->n_protect = 0;
}

Policy *policy_free(Policy *p) {
        if (!p)
                return NULL;
        for (size_t i = 0; i < p->n_files; i++)
                free(p->files[i]);
        free(p->files);
        section_deinit(&p->host);
        section_deinit(&p->defaults);
        policy_protect_reset(p);
        free(p->protect);
        for (size_t i = 0; i < p->n_plans; i++) {
                free(p->plans[i].name);
                section_deinit(&p->plans[i].section);
        }
        free(p->plans);
        for (size_t i = 0; i < p->n_templates; i++)
                policy_tenant_deinit(&p->templates[i]);
        free(p->templates);
        for (size_t i = 0; i < p->n_tenants; i++)
                policy_tenant_deinit(&p->tenants[i]);
        free(p->tenants);
        for (size_t i = 0; i < p->n_containers; i++) {
                free(p->containers[i].tenant);
                free(p->containers[i].name);
                section_deinit(&p->containers[i].section);
        }
        free(p->containers);
        free(p);
        return NULL;
}

const PolicyTenant *policy_find_tenant(const Policy *p, const char *name) {
        for (size_t i = 0; i < p->n_tenants; i++)
                if (STR_EQ(p->tenants[i].name, name))
                        return &p->tenants[i];
        return NULL;
}

const PolicyPlan *policy_find_plan(const Policy *p, const char *name) {
        for (size_t i = 0; i < p->n_plans; i++)
                if (STR_EQ(p->plans[i].name, name))
                        return &p->plans[i];
        return NULL;
}

/* ---- adding ---- */

int policy_add_tenant(PolicyTenant **tenants, size_t *n, size_t *alloc, const char *name, PolicyRef ref) {
        PolicyTenant t = { .ref = ref, .max_tenants = POLICY_MAX_TENANTS_DEFAULT };

        if (GROW(*tenants, *n, *alloc) < 0)
                return -ENOMEM;
        t.name = strdup(name);
        if (!t.name)
                return -ENOMEM;
        (*tenants)[(*n)++] = t;
        return 0;
}

int policy_add_plan(Policy *p, const char *name, PolicyRef ref) {
        PolicyPlan plan = { .ref = ref };

        if (GROW(p->plans, p->n_plans, p->plans_alloc) < 0)
                return -ENOMEM;
        plan.name = strdup(name);
        if (!plan.name)
                return -ENOMEM;
        p->plans[p->n_plans++] = plan;
        return 0;
}

int policy_add_container(Policy *p, const char *name, PolicyRef ref) {
        const char *slash = strchr(name, '/');
        PolicyContainer c = { .ref = ref };

        if (GROW(p->containers, p->n_containers, p->containers_alloc) < 0)
                return -ENOMEM;
        c.tenant = strndup(name, (size_t)(slash - name));
        c.name = strdup(slash + 1);
        if (!c.tenant || !c.name) {
                free(c.tenant);
                free(c.name);
                return -ENOMEM;
        }
        p->containers[p->n_containers++] = c;
        return 0;
}

/* ---- names and complaints ---- */

int policy_section_name_check(SectionType type, const char *name, Buf *why) {
        char quoted[POLICY_QUOTE_MAX];
        const char *slash;
        size_t stars;
        bool literal;

        if (type == SECTION_HOST || type == SECTION_DEFAULTS) {
                if (*name)
                        buf_puts(why, "takes no name, expected the section's name alone");
                return *name ? -EINVAL : 0;
        }
        if (!*name) {
                buf_printf(why, "has no name, expected \"[%s %s]\"", section_type_to_string(type),
                           type == SECTION_CONTAINER ? "TENANT/NAME" : "NAME");
                return -EINVAL;
        }
        if (type != SECTION_CONTAINER) {
                if (strlen(name) > POLICY_NAME_MAX)
                        buf_printf(why, "the name has %zu characters, expected at most %d", strlen(name),
                                   POLICY_NAME_MAX);
                else if (!policy_name_is_valid(name))
                        buf_printf(why, "bad name %s, expected characters of A-Za-z0-9._-",
                                   policy_quote(name, quoted));
                else
                        return 0;
                return -EINVAL;
        }

        slash = strchr(name, '/');
        if (!slash || slash == name || !slash[1] || strchr(slash + 1, '/') || strpbrk(name, " \t"))
                buf_printf(why,
                           "bad name %s, expected TENANT/NAME, both of them patterns without blanks and '/'",
                           policy_quote(name, quoted));
        else if (slash - name > CONTAINER_GLOB_MAX || strlen(slash + 1) > CONTAINER_GLOB_MAX)
                buf_printf(why,
                           "the name is too long, expected at most %d characters on either side of the '/'",
                           CONTAINER_GLOB_MAX);
        else
                return policy_glob_check(name, &stars, &literal, why);
        return -EINVAL;
}

void policy_complain(const Policy *p, Diags *diags, DiagLevel level, PolicyRef ref, const char *section,
                     const char *key, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                diags->oom = true;
                return;
        }
        diags_add(diags, level, p->files[ref.file], ref.line, "[%s] %s%s%s", section, key ? key : "",
                  key ? ": " : "", text);
}

const char *policy_quote(const char *text, char buf[static POLICY_QUOTE_MAX]) {
        size_t len = strlen(text), max = POLICY_QUOTE_MAX - 6; /* two quotes, three of "…", NUL */
        bool cut = len > max;

        if (cut)
                for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
                        len--; /* not in the middle of a character */
        snprintf(buf, POLICY_QUOTE_MAX, "\"%.*s%s\"", (int)len, text, cut ? "…" : "");
        return buf;
}

void policy_suggest(Buf *why, const char *unknown, const char *const *known, size_t n) {
        const char *near = value_suggest(unknown, known, n);

        if (near)
                buf_printf(why, ", did you mean %s?", near);
}

void policy_format_permyriad(uint64_t u, Buf *out) {
        unsigned rest = (unsigned)(u % 100);

        buf_printf(out, "%llu", (unsigned long long)(u / 100));
        if (rest % 10 != 0)
                buf_printf(out, ".%02u", rest);
        else if (rest != 0)
                buf_printf(out, ".%u", rest / 10);
        buf_putc(out, '%');
}
