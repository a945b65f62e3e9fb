/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Match= and what templates make of it: text to PolicyMatch and back, and what
 * can be said about a match without a host.
 *
 * A match that can never hold is worse than none: somebody believes that the
 * tenant is taken care of. So each class refuses what no slice, path, label,
 * name or user can be, and policy_check_matches() those that an earlier
 * match leaves nothing to: within one class the order of file and line decides
 * (INTERFACES.md "Who is who"), so what is wholly covered by a match further up
 * never gets its turn. Covering is only claimed where it is certain: the same
 * text, a wider range of uids, a glob over a word without wildcards.
 */

#include <stdio.h>

#include "map.h"
#include "num.h"
#include "policy-internal.h"
#include "value.h"

static const char *const class_names[_MATCH_MAX] = {
        [MATCH_USER] = "user",   [MATCH_SLICE] = "slice", [MATCH_PATH] = "path",
        [MATCH_LABEL] = "label", [MATCH_NAME] = "name",
};

const char *match_class_to_string(MatchClass c) { return c >= 0 && c < _MATCH_MAX ? class_names[c] : NULL; }

bool policy_name_is_valid(const char *name) {
        size_t len = strlen(name);

        if (len == 0 || len > POLICY_NAME_MAX || STR_EQ(name, ".") || STR_EQ(name, ".."))
                return false;
        return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

void policy_match_deinit(PolicyMatch *m) {
        free(m->pattern);
        free(m->label);
        *m = (PolicyMatch){ .class = _MATCH_INVALID };
}

/* Behind the class whose '[' is at p, NULL where it is not closed; as value_glob() reads it. */
static const char *skip_class(const char *p) {
        p++;
        if (*p == '!' || *p == '^')
                p++;
        if (*p == ']')
                p++;
        for (; *p && *p != ']'; p++)
                if (*p == '\\' && p[1])
                        p++;
        return *p ? p + 1 : NULL;
}

int policy_glob_check(const char *pattern, size_t *ret_stars, bool *ret_literal, Buf *why) {
        size_t stars = 0;
        bool literal = true;

        for (const char *p = pattern; *p;) {
                switch (*p) {
                case '\\':
                        literal = false; /* not as text, that is */
                        if (!p[1]) {
                                buf_puts(why,
                                         "'\\' at the end of the pattern, expected a character behind it");
                                return -EINVAL;
                        }
                        p += 2;
                        break;
                case '[':
                        literal = false;
                        p = skip_class(p);
                        if (!p) {
                                buf_puts(why, "'[' without ']' in the pattern, expected \"[…]\" or \"\\[\"");
                                return -EINVAL;
                        }
                        break;
                case '*':
                        stars++;
                        literal = false;
                        p++;
                        break;
                case '?':
                        literal = false;
                        p++;
                        break;
                default:
                        p++;
                }
        }
        *ret_stars = stars;
        *ret_literal = literal;
        return 0;
}

static int never(Buf *why, const char *text, const char *expected) {
        char quoted[POLICY_QUOTE_MAX];

        buf_printf(why, "%s can never match, expected %s", policy_quote(text, quoted), expected);
        return -EINVAL;
}

static bool ends_with(const char *s, const char *tail) {
        size_t n = strlen(s), m = strlen(tail);

        return n >= m && STR_EQ(s + n - m, tail);
}

static bool looks_like_user_name(const char *s) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' || (unsigned char)*s >= 0x80))
                return false;
        return strlen(s) <= 255 && !strpbrk(s, " \t:/,*?[]\"'");
}

static int parse_user(const char *text, PolicyMatch *m, Buf *why) {
        static const char expected[] = "UID, FROM-TO, @GROUP or a user's name";
        char quoted[POLICY_QUOTE_MAX];
        const char *name = text + (*text == '@');
        uint64_t from, to;
        int r;

        if (*text >= '0' && *text <= '9') {
                r = value_parse_range(text, &from, &to);
                if (r < 0 && strspn(text, "0123456789-") == strlen(text) && r != -ERANGE)
                        return never(why, text, "UID or FROM-TO with FROM not above TO");
                if (r == -ERANGE || (r == 0 && to > POLICY_UID_MAX))
                        return never(why, text, "uids up to 4294967294");
                if (r < 0) {
                        buf_printf(why, "cannot take %s, expected %s", policy_quote(text, quoted), expected);
                        return -EINVAL;
                }
                m->uid_from = from;
                m->uid_to = to;
                return 0;
        }
        if (!looks_like_user_name(name)) {
                buf_printf(why, "cannot take %s, expected %s", policy_quote(text, quoted), expected);
                return -EINVAL;
        }
        m->pattern = strdup(text);
        return m->pattern ? 0 : -ENOMEM;
}

static int parse_pattern(const char *text, PolicyMatch *m, Buf *why) {
        size_t stars;
        bool literal;
        int r;

        r = policy_glob_check(text, &stars, &literal, why);
        if (r < 0)
                return r;
        switch (m->class) {
        case MATCH_SLICE:
                if (strpbrk(text, "/ \t"))
                        return never(why, text,
                                     "the name of a slice such as tenant-acme.slice; paths go into path=");
                if (!ends_with(text, ".slice"))
                        return never(why, text, "a pattern that ends in .slice");
                break;
        case MATCH_PATH:
                if (*text != '/')
                        return never(why, text, "a path of a cgroup, which begins with '/'");
                if (strncmp(text, "/sys/fs/cgroup/", 15) == 0)
                        return never(why, text, "the path below /sys/fs/cgroup, such as /tenants/acme");
                if (ends_with(text, "/") || strstr(text, "//"))
                        return never(why, text, "a path without '/' at its end and without \"//\"");
                break;
        case MATCH_NAME:
                if (strpbrk(text, "/ \t"))
                        return never(why, text, "a container's name, which has neither '/' nor blanks");
                break;
        default:
                break;
        }
        m->pattern = strdup(text);
        return m->pattern ? 0 : -ENOMEM;
}

static int parse_label(const char *text, PolicyMatch *m, Buf *why) {
        const char *eq = strchr(text, '=');

        if (!eq)
                return never(why, text, "label=KEY=PATTERN; for any value label=KEY=*");
        if (eq == text)
                return never(why, text, "a label's key before the second '='");
        if (strcspn(text, " \t") < (size_t)(eq - text))
                return never(why, text, "a label's key without blanks");
        if (!eq[1])
                return never(why, text, "a pattern behind the label's key; for any value label=KEY=*");
        m->label = strndup(text, (size_t)(eq - text));
        if (!m->label)
                return -ENOMEM;
        return parse_pattern(eq + 1, m, why);
}

int policy_match_parse(const char *text, PolicyMatch *ret, Buf *why) {
        const char *eq = strchr(text, '=');
        PolicyMatch m = { .class = _MATCH_INVALID };
        char quoted[POLICY_QUOTE_MAX], word[16];
        int r;

        snprintf(word, sizeof(word), "%.*s", eq ? (int)MIN_OF(eq - text, (ptrdiff_t)15) : 15, text);
        for (int c = 0; eq && c < _MATCH_MAX; c++)
                if (strlen(class_names[c]) == (size_t)(eq - text) && STR_EQ(class_names[c], word))
                        m.class = c;
        if (m.class < 0) {
                buf_printf(why, "no class of match in %s, expected user=, slice=, path=, label= or name=",
                           policy_quote(text, quoted));
                policy_suggest(why, word, class_names, ARRAY_SIZE(class_names));
                return -EINVAL;
        }
        if (!eq[1]) {
                buf_printf(why, "%s has an empty pattern and can never match, expected one behind the '='",
                           policy_quote(text, quoted));
                return -EINVAL;
        }
        if (m.class == MATCH_USER)
                r = parse_user(eq + 1, &m, why);
        else if (m.class == MATCH_LABEL)
                r = parse_label(eq + 1, &m, why);
        else
                r = parse_pattern(eq + 1, &m, why);
        if (r < 0) {
                policy_match_deinit(&m);
                return r;
        }
        *ret = m;
        return 0;
}

int policy_match_format(const PolicyMatch *m, Buf *out) {
        buf_printf(out, "%s=", class_names[m->class]);
        if (m->class == MATCH_LABEL)
                buf_printf(out, "%s=", m->label);
        if (m->pattern)
                buf_puts(out, m->pattern);
        else if (m->uid_from == m->uid_to)
                buf_printf(out, "%llu", (unsigned long long)m->uid_from);
        else
                buf_printf(out, "%llu-%llu", (unsigned long long)m->uid_from, (unsigned long long)m->uid_to);
        return buf_error(out);
}

/* ---- templates ---- */

int policy_tenant_format_parse(const char *text, Buf *why) {
        char quoted[POLICY_QUOTE_MAX], rest[POLICY_NAME_MAX + 1];
        unsigned n_specifiers = 0;
        size_t n = 0;

        for (const char *p = text; *p; p++) {
                if (*p == '%') {
                        if (p[1] != 'v' && p[1] != 'u' && p[1] != 's') {
                                buf_printf(why, "unknown specifier in %s, expected %%v, %%u or %%s",
                                           policy_quote(text, quoted));
                                return -EINVAL;
                        }
                        n_specifiers++;
                        p++;
                        continue;
                }
                if (n == POLICY_NAME_MAX) {
                        buf_printf(why, "%s makes names of more than %d characters, expected a shorter one",
                                   policy_quote(text, quoted), POLICY_NAME_MAX);
                        return -EINVAL;
                }
                rest[n++] = *p;
        }
        rest[n] = '\0';
        if (n_specifiers == 0) {
                buf_printf(
                        why,
                        "%s is the same for all, expected a name with %%v (what the '*' of Match= took), %%u "
                        "(user) or %%s (slice) in it; for one tenant write [Tenant]",
                        policy_quote(text, quoted));
                return -EINVAL;
        }
        if (n > 0 && strspn(rest, ".") != n && !policy_name_is_valid(rest)) {
                buf_printf(
                        why,
                        "%s makes names that no tenant can have, expected characters of A-Za-z0-9._- beside "
                        "the specifiers",
                        policy_quote(text, quoted));
                return -EINVAL;
        }
        return 0;
}

int policy_template_check(const char *format, const PolicyMatch *m, Buf *why) {
        size_t stars = 0;
        bool literal;
        int r;

        if (strstr(format, "%u") && m->class != MATCH_USER) {
                buf_puts(why, "has %u, which only a user= match gives; expected %v or %s");
                return -EINVAL;
        }
        if (strstr(format, "%s") && m->class != MATCH_SLICE) {
                buf_puts(why, "has %s, which only a slice= match gives; expected %v or %u");
                return -EINVAL;
        }
        if (!strstr(format, "%v"))
                return 0;
        if (m->class == MATCH_USER) {
                buf_puts(why, "has %v, but a user= match has no '*'; expected %u");
                return -EINVAL;
        }
        r = policy_glob_check(m->pattern, &stars, &literal, why);
        if (r < 0)
                return r;
        if (stars != 1) {
                buf_printf(why,
                           "has %%v, but there are %zu '*' in the pattern of Match=; expected exactly one",
                           stars);
                return -EINVAL;
        }
        return 0;
}

/* ---- who takes what ---- */

static bool same(const char *a, const char *b) { return a == b || (a && b && STR_EQ(a, b)); }

bool policy_match_equal(const PolicyMatch *a, const PolicyMatch *b) {
        return a->class == b->class && same(a->label, b->label) && same(a->pattern, b->pattern) &&
               (a->pattern || (a->uid_from == b->uid_from && a->uid_to == b->uid_to));
}

static bool is_literal(const char *pattern) { return !strpbrk(pattern, "*?[\\"); }

bool policy_match_covers(const PolicyMatch *earlier, const PolicyMatch *later) {
        if (earlier->class != later->class)
                return false;
        if (earlier->class == MATCH_USER) {
                if (earlier->pattern || later->pattern)
                        return same(earlier->pattern, later->pattern);
                return earlier->uid_from <= later->uid_from && later->uid_to <= earlier->uid_to;
        }
        if (!same(earlier->label, later->label))
                return false;
        if (STR_EQ(earlier->pattern, later->pattern) || STR_EQ(earlier->pattern, "*"))
                return true;
        return is_literal(later->pattern) && value_glob(earlier->pattern, later->pattern);
}

/* One match of the whole policy, with its owner. */
typedef struct Claim {
        const PolicyMatch *match;
        const PolicyTenant *owner;
        const char *type; /* "Tenant", "Template" */
        size_t literal_len; /* of the pattern's beginning: what a covered word begins with too */
        bool wide; /* may cover others than its equals */
} Claim;

static void claim_all(const PolicyTenant *owners, size_t n, const char *type, Claim *claims,
                      size_t *n_claims) {
        for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < owners[i].n_matches; j++) {
                        const PolicyMatch *m = &owners[i].matches[j];

                        claims[(*n_claims)++] = (Claim){
                                .match = m,
                                .owner = &owners[i],
                                .type = type,
                                .literal_len = m->pattern ? strcspn(m->pattern, "*?[\\") : 0,
                                .wide = m->pattern ? m->class != MATCH_USER && !is_literal(m->pattern)
                                                   : m->uid_from < m->uid_to,
                        };
                }
}

static int compare_claims(const void *pa, const void *pb) {
        const PolicyMatch *a = ((const Claim *)pa)->match, *b = ((const Claim *)pb)->match;

        if (a->class != b->class)
                return a->class < b->class ? -1 : 1;
        if (a->ref.file != b->ref.file)
                return a->ref.file < b->ref.file ? -1 : 1;
        return a->ref.line < b->ref.line ? -1 : a->ref.line > b->ref.line;
}

/* The first of the n claims before `later` that leaves nothing to it. */
static const Claim *find_cover(const Claim *claims, const size_t *wide, size_t n_wide, const Claim *equal,
                               const Claim *later) {
        for (size_t i = 0; i < n_wide; i++) {
                const Claim *c = &claims[wide[i]];

                if (equal && equal < c)
                        break;
                if (c->owner == later->owner)
                        continue;
                if (later->match->pattern && c->match->pattern &&
                    strncmp(c->match->pattern, later->match->pattern, c->literal_len) != 0)
                        continue; /* most are told apart here */
                if (policy_match_covers(c->match, later->match))
                        return c;
        }
        return equal;
}

static int report(const Policy *p, Diags *diags, const Claim *later, const Claim *earlier) {
        bool equal = policy_match_equal(earlier->match, later->match);
        _cleanup_buf_ Buf section = BUF_INIT, text = BUF_INIT;
        char quoted[POLICY_QUOTE_MAX];

        buf_printf(&section, "%s %s", later->type, later->owner->name);
        if (policy_match_format(earlier->match, &text) < 0 || buf_error(&section) < 0)
                return -ENOMEM;
        policy_complain(p, diags, DIAG_ERROR, later->match->ref, buf_str(&section), "Match",
                        "can never hold, %s of [%s %s] at %s:%u comes first and takes it all; expected %s",
                        policy_quote(buf_str(&text), quoted), earlier->type, earlier->owner->name,
                        p->files[earlier->match->ref.file], earlier->match->ref.line,
                        equal ? "each match in one tenant only"
                              : "the narrower match in an earlier line or file");
        return 0;
}

int policy_check_matches(const Policy *p, Diags *diags) {
        _cleanup_(map_deinit) Map seen = MAP_INIT;
        _cleanup_free_ Claim *claims = NULL;
        _cleanup_free_ size_t *wide = NULL;
        _cleanup_free_ char **texts = NULL;
        size_t n = 0, n_claims = 0, n_wide = 0;
        int r = 0;

        for (size_t i = 0; i < p->n_templates; i++)
                n += p->templates[i].n_matches;
        for (size_t i = 0; i < p->n_tenants; i++)
                n += p->tenants[i].n_matches;
        if (n == 0)
                return 0;
        claims = calloc(n, sizeof(*claims));
        wide = calloc(n, sizeof(*wide));
        texts = calloc(n, sizeof(*texts));
        if (!claims || !wide || !texts)
                return -ENOMEM;
        claim_all(p->templates, p->n_templates, "Template", claims, &n_claims);
        claim_all(p->tenants, p->n_tenants, "Tenant", claims, &n_claims);
        qsort(claims, n_claims, sizeof(*claims), compare_claims);

        for (size_t i = 0; i < n_claims; i++) {
                Claim *c = &claims[i], *equal;
                const Claim *earlier;
                _cleanup_buf_ Buf text = BUF_INIT;

                if (i > 0 && claims[i - 1].match->class != c->match->class)
                        n_wide = 0; /* classes do not meet */
                if (policy_match_format(c->match, &text) < 0 || !(texts[i] = buf_steal(&text))) {
                        r = -ENOMEM;
                        break;
                }
                equal = map_get_str(&seen, texts[i]);
                if (!equal) {
                        r = map_put_str(&seen, texts[i], c);
                        if (r < 0)
                                break;
                } else if (equal->owner == c->owner)
                        equal = NULL; /* a drop-in that repeats it: no harm */
                earlier = find_cover(claims, wide, n_wide, equal, c);
                r = earlier ? report(p, diags, c, earlier) : 0;
                if (r < 0)
                        break;
                if (c->wide)
                        wide[n_wide++] = i;
        }
        for (size_t i = 0; i < n; i++)
                free(texts[i]);
        return r;
}
