/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Any bytes as policy: never a crash, a leak or a policy beside an error. What
 * is accepted must be consistent: every effective limit is the one found by its
 * name, and every value formats to text that parses back to it.
 *
 * A form feed splits the input into files, so that merging is reached too.
 */

#include "fuzz.h"
#include "policy.h"

#define FILES_MAX 8

/* No assert(): it would vanish with NDEBUG. */
static void check_limits(const PolicySection *const *chain, size_t n, bool container) {
        const LimitExpr *e;

        for (size_t i = 0; (e = policy_limits_next(chain, n, container, &i));) {
                _cleanup_buf_ Buf text = BUF_INIT;

                must(e->kind != LIMIT_EXPR_RESET && e->container == container);
                must(policy_limits_get(chain, n, container, e->limit, e->device) == e);
                must(policy_limit_format(e, &text) == 0 && text.len > 0);
        }
}

/* The values of one section as a policy of their own, which must come out the same. */
static void check_round_trip(const PolicySection *s) {
        _cleanup_buf_ Buf text = BUF_INIT;
        _cleanup_policy_ Policy *p = NULL;
        Diags diags = {};

        buf_puts(&text, "[Defaults]\n");
        for (size_t i = 0; i < s->n_limits; i++) {
                /* A reference may lack its other half here. */
                if (s->limits[i].kind == LIMIT_EXPR_PERMYRIAD_OF_LIMIT)
                        continue;
                buf_printf(&text, "%s=", limit_info(s->limits[i].limit)->key);
                must(policy_limit_format(&s->limits[i], &text) == 0);
                buf_putc(&text, '\n');
        }
        for (PolicyKey k = 0; k < _PK_MAX; k++)
                if (s->values[k].set && k != PK_STORM_LIMIT && k != PK_MAX_THROTTLED) {
                        buf_printf(&text, "%s=", policy_key_name(k));
                        must(policy_value_format(k, &s->values[k], &text) == 0);
                        buf_putc(&text, '\n');
                }
        /* A guarantee above the quota may meet here for the first time: an error, but no other. */
        if (policy_parse(&(PolicyText){ "x", buf_str(&text), text.len }, 1, &diags, &p) == 0)
                for (PolicyKey k = 0; k < _PK_MAX; k++)
                        if (p->defaults.values[k].set)
                                must(p->defaults.values[k].u == s->values[k].u &&
                                     p->defaults.values[k].u2 == s->values[k].u2);
        for (size_t i = 0; i < diags.n; i++)
                must(diags.items[i].level == DIAG_WARNING || strstr(diags.items[i].text, "CPUGuarantee") ||
                     strstr(diags.items[i].text, "CPUQuota"));
        diags_deinit(&diags);
}

int fuzz_one(const uint8_t *data, size_t size) {
        PolicyText texts[FILES_MAX];
        _cleanup_policy_ Policy *p = NULL;
        _cleanup_buf_ Buf said = BUF_INIT;
        const char *s = (const char *)data;
        const PolicySection *chain[3];
        Diags diags = {};
        size_t n = 0;
        int r;

        if (size > 65536)
                return 0;
        while (n < FILES_MAX) {
                const char *cut = n + 1 < FILES_MAX && size > 0 ? memchr(s, '\f', size) : NULL;
                size_t len = cut ? (size_t)(cut - s) : size;

                texts[n++] = (PolicyText){ .file = "f", .text = s, .len = len };
                if (!cut)
                        break;
                s += len + 1;
                size -= len + 1;
        }

        r = policy_parse(texts, n, &diags, &p);
        must((r == 0) == !!p && (r == 0) == !diags_failed(&diags));
        must(diags_format(&diags, &said) == 0);
        diags_deinit(&diags);
        if (!p)
                return 0;

        check_round_trip(&p->defaults);
        for (size_t i = 0; i <= p->n_tenants + p->n_templates; i++) {
                const PolicyTenant *t = i < p->n_tenants                    ? &p->tenants[i]
                                        : i < p->n_tenants + p->n_templates ? &p->templates[i - p->n_tenants]
                                                                            : NULL;
                size_t n_chain = policy_tenant_chain(p, t, false, chain);

                check_limits(chain, n_chain, false);
                check_limits(chain, n_chain, true);
                if (t)
                        check_round_trip(&t->section);
        }
        return 0;
}
