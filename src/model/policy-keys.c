/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The vocabulary of policy: which sections there are, which keys, where each
 * may stand, what text each takes and what holds where nobody says anything.
 *
 * Keys that are not limits stand in one table; limits come from limit_info()
 * in two forms each, plain and with "Container" in front. bailiff-policy(5) is
 * written after these tables: change both.
 */

#include <stdio.h>

#include "num.h"
#include "policy-internal.h"
#include "value.h"

#define USEC_PER_MIN (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)

#define H SECTION_HOST
#define D SECTION_DEFAULTS
#define P SECTION_PLAN
#define X SECTION_TEMPLATE
#define T SECTION_TENANT
#define C SECTION_CONTAINER

static const char *const section_names[] = { "Host", "Defaults", "Plan", "Template", "Tenant", "Container" };

static const char *const mode_names[] = { "off", "observe", "ceilings", "throttle", "enforce" };
static const char *const kill_names[] = { "never", "last", "prefer" };
static const char *const sum_names[] = { "auto", "slice", "apportion" };
static const char *const engine_limits_names[] = { "respect", "override" };
static const char *const throttle_names[] = { "cpu", "io", "memory", "pids", "freeze" }; /* bit by bit */
static const char *const trigger_names[] = { "cpu", "io", "memory" };

typedef enum Form {
        FORM_WORD, /* one of words */
        FORM_WORDS, /* bits: some of words, or "none" */
        FORM_NUMBER,
        FORM_USEC,
        FORM_RATE, /* count/window */
        FORM_PERMYRIAD,
        FORM_PERMYRIAD_RATE, /* percent/window */
        FORM_CPU, /* percent of one CPU, kept as µs per second */
} Form;

typedef struct ValueInfo {
        const char *name;
        unsigned sections;
        Form form;
        const char *const *words;
        size_t n_words;
        uint64_t min, max; /* of u */
} ValueInfo;

#define WORDS(w) .words = (w), .n_words = ARRAY_SIZE(w)
#define WINDOW_MIN USEC_PER_SEC
#define WINDOW_MAX (30 * USEC_PER_DAY)

static const ValueInfo value_infos[_PK_MAX] = {
        [PK_MODE] = { "Mode", H | D | P | X | T | C, FORM_WORD, WORDS(mode_names) },
        [PK_PRIORITY] = { "Priority", D | P | X | T | C, FORM_NUMBER, .max = 1000 },
        [PK_THROTTLE] = { "Throttle", D | P | X | T | C, FORM_WORDS, WORDS(throttle_names) },
        [PK_KILL] = { "Kill", D | P | X | T | C, FORM_WORD, WORDS(kill_names) },
        [PK_KILL_GRACE_SEC] = { "KillGraceSec", D | P | X | T | C, FORM_USEC, .max = USEC_PER_HOUR },
        [PK_KILL_BUDGET] = { "KillBudget", H | D | P | X | T, FORM_RATE, .max = 1000000 },
        [PK_STORM_LIMIT] = { "StormLimit", H, FORM_PERMYRIAD_RATE, .min = 1, .max = 10000 },
        [PK_MAX_THROTTLED] = { "MaxThrottled", H, FORM_PERMYRIAD, .max = 10000 },
        [PK_STARTUP_GRACE_SEC] = { "StartupGraceSec", H | D | P | X | T | C, FORM_USEC, .max = USEC_PER_DAY },
        [PK_MEMORY_PRESSURE_TARGET] = { "MemoryPressureTarget", D | P | X | T | C, FORM_PERMYRIAD, .min = 1,
                                        .max = 10000 },
        [PK_IO_PRESSURE_TARGET] = { "IOPressureTarget", D | P | X | T | C, FORM_PERMYRIAD, .min = 1,
                                    .max = 10000 },
        [PK_CPU_PRESSURE_TARGET] = { "CPUPressureTarget", D | P | X | T | C, FORM_PERMYRIAD, .min = 1,
                                     .max = 10000 },
        [PK_PRESSURE_WINDOW_SEC] = { "PressureWindowSec", D | P | X | T | C, FORM_USEC, .min = USEC_PER_SEC,
                                     .max = USEC_PER_MIN },
        [PK_PRESSURE_TRIGGER] = { "PressureTrigger", D | P | X | T | C, FORM_WORDS, WORDS(trigger_names) },
        [PK_CPU_GUARANTEE] = { "CPUGuarantee", D | P | X | T, FORM_CPU, .min = 100,
                               .max = (uint64_t)INT32_MAX * 100 },
        [PK_SUM] = { "Sum", D | P | X | T, FORM_WORD, WORDS(sum_names) },
        [PK_ENGINE_LIMITS] = { "EngineLimits", D | P | X | T | C, FORM_WORD, WORDS(engine_limits_names) },
        [PK_OPERATOR_HOLD_SEC] = { "OperatorHoldSec", H | D | P | X | T, FORM_USEC,
                                   .max = 30 * USEC_PER_DAY },
};

static const PolicyValue defaults[_PK_MAX] = {
        [PK_MODE] = { .set = true, .u = MODE_OBSERVE },
        [PK_PRIORITY] = { .set = true, .u = 100 },
        [PK_THROTTLE] = { .set = true, .u = THROTTLE_CPU | THROTTLE_IO | THROTTLE_MEMORY | THROTTLE_PIDS },
        [PK_KILL] = { .set = true, .u = KILL_NEVER },
        [PK_KILL_GRACE_SEC] = { .set = true, .u = 10 * USEC_PER_SEC },
        [PK_KILL_BUDGET] = { .set = true, .u = 4, .u2 = USEC_PER_HOUR },
        [PK_STORM_LIMIT] = { .set = true, .u = 1000, .u2 = USEC_PER_MIN },
        [PK_MAX_THROTTLED] = { .set = true, .u = 2000 },
        [PK_STARTUP_GRACE_SEC] = { .set = true, .u = USEC_PER_MIN },
        [PK_MEMORY_PRESSURE_TARGET] = { .set = true, .u = 1000 },
        [PK_IO_PRESSURE_TARGET] = { .set = true, .u = 2000 },
        [PK_CPU_PRESSURE_TARGET] = { .set = true, .u = 3000 },
        [PK_PRESSURE_WINDOW_SEC] = { .set = true, .u = 10 * USEC_PER_SEC },
        [PK_PRESSURE_TRIGGER] = { .set = true, .u = 0 },
        [PK_SUM] = { .set = true, .u = SUM_AUTO },
        [PK_ENGINE_LIMITS] = { .set = true, .u = 0 },
        [PK_OPERATOR_HOLD_SEC] = { .set = true, .u = 15 * USEC_PER_MIN },
};

static const struct {
        const char *name;
        KeyKind kind;
        unsigned sections;
} other_keys[] = {
        { "Match", KEY_MATCH, X | T },        { "Plan", KEY_PLAN, X | T },   { "Tenant", KEY_TENANT, X },
        { "MaxTenants", KEY_MAX_TENANTS, X }, { "Protect", KEY_PROTECT, H },
};

#undef H
#undef D
#undef P
#undef X
#undef T
#undef C

#define SECTIONS_OF_LIMIT (SECTION_DEFAULTS | SECTION_PLAN | SECTION_TEMPLATE | SECTION_TENANT)
#define CONTAINER_PREFIX "Container"
#define KEY_NAME_MAX 48 /* "ContainerIODeviceLatencyTargetSec" and some */
#define N_KEYS_MAX (_PK_MAX + ARRAY_SIZE(other_keys) + 2 * _LIMIT_MAX)

/* ---- string tables ---- */

static const char *word(const char *const *words, size_t n, int i) {
        return i >= 0 && (size_t)i < n ? words[i] : NULL;
}

static int word_index(const char *const *words, size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (STR_EQ(words[i], s))
                        return (int)i;
        return -EINVAL;
}

const char *mode_to_string(Mode m) { return word(mode_names, ARRAY_SIZE(mode_names), (int)m); }
Mode mode_from_string(const char *s) { return (Mode)word_index(mode_names, ARRAY_SIZE(mode_names), s); }
const char *kill_to_string(KillWish k) { return word(kill_names, ARRAY_SIZE(kill_names), (int)k); }
KillWish kill_from_string(const char *s) {
        return (KillWish)word_index(kill_names, ARRAY_SIZE(kill_names), s);
}
const char *policy_key_name(PolicyKey k) { return k >= 0 && k < _PK_MAX ? value_infos[k].name : NULL; }

SectionType section_type_from_string(const char *s) {
        int i = word_index(section_names, ARRAY_SIZE(section_names), s);

        return i < 0 ? 0 : (SectionType)(1U << i);
}

const char *section_type_to_string(SectionType t) {
        for (size_t i = 0; i < ARRAY_SIZE(section_names); i++)
                if (t == 1U << i)
                        return section_names[i];
        return NULL;
}

SectionType section_type_suggest(const char *s) {
        const char *near = value_suggest(s, section_names, ARRAY_SIZE(section_names));

        return near ? section_type_from_string(near) : 0;
}

/* ---- which key is meant, and where it may stand ---- */

bool policy_key_find(const char *name, Key *ret) {
        bool container = strncmp(name, CONTAINER_PREFIX, strlen(CONTAINER_PREFIX)) == 0;
        Limit limit;

        for (int k = 0; k < _PK_MAX; k++)
                if (STR_EQ(value_infos[k].name, name)) {
                        *ret = (Key){ .kind = KEY_VALUE, .sections = value_infos[k].sections, .value = k };
                        return true;
                }
        for (size_t i = 0; i < ARRAY_SIZE(other_keys); i++)
                if (STR_EQ(other_keys[i].name, name)) {
                        *ret = (Key){ .kind = other_keys[i].kind, .sections = other_keys[i].sections };
                        return true;
                }
        limit = limit_from_key(container ? name + strlen(CONTAINER_PREFIX) : name);
        if (limit < 0)
                return false;
        *ret = (Key){
                .kind = KEY_LIMIT,
                .sections = SECTIONS_OF_LIMIT | (container ? SECTION_CONTAINER : 0),
                .limit = limit,
                .container = container,
        };
        return true;
}

/* The sections, from the most special to the most general: people think of tenants first. */
static void list_sections(unsigned sections, Buf *why) {
        const char *sep = "";

        for (size_t i = ARRAY_SIZE(section_names) - 1; i-- > 0;)
                if (sections & 1U << i) {
                        buf_printf(why, "%s[%s]", sep, section_names[i]);
                        sep = ", ";
                }
        if (sections & SECTION_CONTAINER)
                buf_printf(why, "%s[Container]", sep);
}

/* The nearest key that may stand in one of the sections. */
static const char *suggest_key(const char *name, unsigned sections, char buf[static KEY_NAME_MAX]) {
        char container_keys[_LIMIT_MAX][KEY_NAME_MAX];
        const char *known[N_KEYS_MAX], *near;
        size_t n = 0;

        for (int k = 0; k < _PK_MAX; k++)
                if (value_infos[k].sections & sections)
                        known[n++] = value_infos[k].name;
        for (size_t i = 0; i < ARRAY_SIZE(other_keys); i++)
                if (other_keys[i].sections & sections)
                        known[n++] = other_keys[i].name;
        for (int l = 0; l < _LIMIT_MAX; l++) {
                if (SECTIONS_OF_LIMIT & sections)
                        known[n++] = limit_info(l)->key;
                if ((SECTIONS_OF_LIMIT | SECTION_CONTAINER) & sections) {
                        snprintf(container_keys[l], sizeof(container_keys[l]), CONTAINER_PREFIX "%s",
                                 limit_info(l)->key);
                        known[n++] = container_keys[l];
                }
        }
        near = value_suggest(name, known, n);
        if (!near)
                return NULL;
        snprintf(buf, KEY_NAME_MAX, "%s", near);
        return buf;
}

void policy_key_explain_unknown(const char *name, SectionType in, Buf *why) {
        char buf[KEY_NAME_MAX];
        const char *near;
        Key key;

        near = suggest_key(name, in, buf);
        if (near) {
                buf_printf(why, "unknown key, did you mean %s?", near);
                return;
        }
        near = suggest_key(name, ~0U, buf);
        if (near && policy_key_find(near, &key)) {
                buf_printf(why, "unknown key, did you mean %s? That one belongs to ", near);
                list_sections(key.sections, why);
                return;
        }
        buf_printf(why, "unknown key, expected a key of [%s], see bailiff-policy(5)",
                   section_type_to_string(in));
}

void policy_key_explain_misplaced(const char *name, const Key *key, SectionType in, Buf *why) {
        buf_printf(why, "is not allowed in [%s], ", section_type_to_string(in));
        if (key->kind == KEY_LIMIT && in == SECTION_CONTAINER) {
                buf_printf(why, "expected " CONTAINER_PREFIX "%s, which holds for each container", name);
                return;
        }
        buf_puts(why, "it belongs to ");
        list_sections(key->sections, why);
}

/* ---- values ---- */

static void expect_words(const ValueInfo *v, const char *text, Buf *why) {
        char quoted[POLICY_QUOTE_MAX];

        buf_printf(why, "unknown word %s, expected %s", policy_quote(text, quoted),
                   v->form == FORM_WORDS ? "any of" : "one of");
        for (size_t i = 0; i < v->n_words; i++)
                buf_printf(why, " %s", v->words[i]);
        if (v->form == FORM_WORDS)
                buf_puts(why, ", or none");
        policy_suggest(why, text, v->words, v->n_words);
}

static int parse_words(const ValueInfo *v, const char *text, uint64_t *ret, Buf *why) {
        uint64_t bits = 0;
        bool none = false;

        while (*text) {
                size_t len = strcspn(text, " \t");
                char w[32];
                int i;

                snprintf(w, sizeof(w), "%.*s", (int)MIN_OF(len, sizeof(w)), text);
                text += len;
                text += strspn(text, " \t");
                if (STR_EQ(w, "none")) {
                        none = true;
                        continue;
                }
                i = word_index(v->words, v->n_words, w);
                if (i < 0) {
                        expect_words(v, w, why);
                        return -EINVAL;
                }
                bits |= UINT64_C(1) << i;
        }
        if (none && bits != 0) {
                buf_puts(why, "none beside other words, expected none alone");
                return -EINVAL;
        }
        *ret = bits;
        return 0;
}

/* "10%/60s": both halves. */
static int parse_permyriad_rate(const char *text, uint64_t *ret, usec_t *ret_window) {
        const char *slash = strchr(text, '/');
        char percent[32];
        int r;

        if (!slash || (size_t)(slash - text) >= sizeof(percent))
                return -EINVAL;
        memcpy(percent, text, (size_t)(slash - text));
        percent[slash - text] = '\0';
        r = value_parse_permyriad(percent, ret);
        return r < 0 ? r : value_parse_usec(slash + 1, ret_window);
}

static void format_u(const ValueInfo *v, uint64_t u, Buf *out);

static void expect(const ValueInfo *v, Buf *why) {
        static const char *const what[] = {
                [FORM_NUMBER] = "a whole number",
                [FORM_USEC] = "a time span such as 10s or 1min 30s",
                [FORM_RATE] = "COUNT/TIME such as 4/1h with a count",
                [FORM_PERMYRIAD] = "a percentage",
                [FORM_PERMYRIAD_RATE] = "PERCENT/TIME such as 10%/60s with a percentage",
                [FORM_CPU] = "a percentage of one CPU such as 150%",
        };

        buf_printf(why, ", expected %s", what[v->form]);
        if (v->form != FORM_CPU) {
                buf_puts(why, " between ");
                format_u(v, v->min, why);
                buf_puts(why, " and ");
                format_u(v, v->max, why);
        } else
                buf_puts(why, ", more than 0");
        if (v->form == FORM_RATE || v->form == FORM_PERMYRIAD_RATE)
                buf_puts(why, " and a time between 1s and 30d");
}

int policy_value_parse(PolicyKey key, const char *text, PolicyValue *ret, Buf *why) {
        const ValueInfo *v = &value_infos[key];
        char quoted[POLICY_QUOTE_MAX];
        PolicyValue n = { .set = true };
        int r = -EINVAL;

        if (!*text) {
                *ret = (PolicyValue){ .reset = true };
                return 0;
        }
        switch (v->form) {
        case FORM_WORD:
                r = word_index(v->words, v->n_words, text);
                if (r < 0) {
                        expect_words(v, text, why);
                        return -EINVAL;
                }
                n.u = (uint64_t)r;
                *ret = n;
                return 0;
        case FORM_WORDS:
                r = parse_words(v, text, &n.u, why);
                if (r < 0)
                        return r;
                *ret = n;
                return 0;
        case FORM_NUMBER:
                r = num_parse_u64(text, &n.u);
                break;
        case FORM_USEC:
                r = value_parse_usec(text, &n.u);
                break;
        case FORM_RATE:
                r = value_parse_rate(text, &n.u, &n.u2);
                break;
        case FORM_PERMYRIAD:
                r = value_parse_permyriad(text, &n.u);
                break;
        case FORM_PERMYRIAD_RATE:
                r = parse_permyriad_rate(text, &n.u, &n.u2);
                break;
        case FORM_CPU:
                r = value_parse_permyriad(text, &n.u);
                if (r == 0 && __builtin_mul_overflow(n.u, 100, &n.u))
                        r = -ERANGE;
                break;
        }
        if (r == -EINVAL)
                buf_printf(why, "cannot parse %s", policy_quote(text, quoted));
        else if (r < 0 || n.u < v->min || n.u > v->max ||
                 ((v->form == FORM_RATE || v->form == FORM_PERMYRIAD_RATE) &&
                  (n.u2 < WINDOW_MIN || n.u2 > WINDOW_MAX))) {
                buf_printf(why, "%s is out of range", policy_quote(text, quoted));
                r = -EINVAL;
        }
        if (r < 0) {
                expect(v, why);
                return -EINVAL;
        }
        *ret = n;
        return 0;
}

int policy_max_tenants_parse(const char *text, uint64_t *ret, Buf *why) {
        char quoted[POLICY_QUOTE_MAX];
        uint64_t n;

        if (!*text) {
                *ret = POLICY_MAX_TENANTS_DEFAULT;
                return 0;
        }
        if (num_parse_u64(text, &n) < 0 || n == 0 || n > 100000) {
                buf_printf(why, "cannot take %s, expected a whole number between 1 and 100000",
                           policy_quote(text, quoted));
                return -EINVAL;
        }
        *ret = n;
        return 0;
}

const PolicyValue *policy_key_default(PolicyKey key, bool of_host) {
        static const PolicyValue none = {};

        /* Beside [Host] these are bounded by what [Host] says, and by nothing else. */
        if (!of_host && (key == PK_MODE || key == PK_KILL_BUDGET))
                return &none;
        return &defaults[key];
}

static void format_usec(usec_t usec, Buf *out) {
        char buf[128];

        buf_puts(out, value_format_usec(usec, buf, sizeof(buf)));
}

static void format_u(const ValueInfo *v, uint64_t u, Buf *out) {
        switch (v->form) {
        case FORM_WORD:
                buf_puts(out, u < v->n_words ? v->words[u] : "");
                break;
        case FORM_WORDS:
                for (size_t i = 0, n = 0; i < v->n_words; i++)
                        if (u & UINT64_C(1) << i)
                                buf_printf(out, "%s%s", n++ > 0 ? " " : "", v->words[i]);
                if (u == 0)
                        buf_puts(out, "none");
                break;
        case FORM_NUMBER:
        case FORM_RATE:
                buf_printf(out, "%llu", (unsigned long long)u);
                break;
        case FORM_USEC:
                format_usec(u, out);
                break;
        case FORM_PERMYRIAD:
        case FORM_PERMYRIAD_RATE:
                policy_format_permyriad(u, out);
                break;
        case FORM_CPU:
                policy_format_permyriad(u / 100, out);
                break;
        }
}

int policy_value_format(PolicyKey key, const PolicyValue *value, Buf *out) {
        const ValueInfo *v = &value_infos[key];

        if (value->set) {
                format_u(v, value->u, out);
                if (v->form == FORM_RATE || v->form == FORM_PERMYRIAD_RATE) {
                        buf_putc(out, '/');
                        format_usec(value->u2, out);
                }
        }
        return buf_error(out);
}
