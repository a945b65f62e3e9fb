/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Limits as policy writes them: text to LimitExpr and back.
 *
 * What a value may be follows systemd.resource-control(5), as systemd 252
 * checks it: sizes base 1024 for memory and 1000 for io, percentages of the
 * host, no memory ceiling of 0, a CPU quota above 0. Where systemd would log
 * and go on (a weight out of range) or clamp in silence (the quota's period),
 * this is an error: a policy that is not in force must not look as if it were.
 * One thing systemd has not: "90% of MemoryMax".
 *
 * policy_limit_format() is exact, other than limit_format_value(), which is
 * for people: what it prints parses back to the same number, so that it can
 * stand in a patch for /etc.
 */

#include <stdio.h>

#include "num.h"
#include "policy-internal.h"
#include "value.h"

#define REFERENCE_MAX_PERMYRIAD 1000000 /* "10000% of MemoryLow" */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static const char *skip_blanks(const char *s) {
        while (is_blank(*s))
                s++;
        return s;
}

static int cannot(Buf *why, const char *text, const char *expected) {
        char quoted[POLICY_QUOTE_MAX];

        buf_printf(why, "cannot take %s, expected %s", policy_quote(text, quoted), expected);
        return -EINVAL;
}

/* "90% of MemoryMax"; *p behind the "of". */
static int parse_reference(LimitExpr *e, uint64_t permyriad, const char *key, Buf *why) {
        static const char prefix[] = "Container";
        bool container = strncmp(key, prefix, sizeof(prefix) - 1) == 0;
        Limit of = limit_from_key(container ? key + sizeof(prefix) - 1 : key);
        const char *form = e->container ? prefix : "";
        char quoted[POLICY_QUOTE_MAX];

        if (of < 0 || !limit_info(of)->is_memory) {
                buf_printf(why, "%s is no memory limit, expected one such as \"90%% of %sMemoryMax\"",
                           policy_quote(key, quoted), form);
                return -EINVAL;
        }
        if (container != e->container) {
                buf_printf(why, "refers to %s, which is a limit of %s; expected %s%s", key,
                           container ? "each container" : "the whole tenant", form, limit_info(of)->key);
                return -EINVAL;
        }
        if (of == e->limit) {
                buf_puts(why, "refers to itself, expected another memory limit");
                return -EINVAL;
        }
        if (permyriad == 0 || permyriad > REFERENCE_MAX_PERMYRIAD) {
                buf_puts(why, "the percentage is out of range, expected more than 0% and at most 10000%");
                return -EINVAL;
        }
        e->kind = LIMIT_EXPR_PERMYRIAD_OF_LIMIT;
        e->value = permyriad;
        e->of = of;
        return 0;
}

/* Anything with a '%' in it, for memory and tasks. */
static int parse_percent(LimitExpr *e, const char *text, const char *expected, Buf *why) {
        const char *rest = strchr(text, '%') + 1;
        char number[32];
        uint64_t permyriad;

        if ((size_t)(rest - text) >= sizeof(number))
                return cannot(why, text, expected);
        memcpy(number, text, (size_t)(rest - text));
        number[rest - text] = '\0';
        if (value_parse_permyriad(number, &permyriad) < 0)
                return cannot(why, text, expected);

        if (*rest) {
                const char *of = skip_blanks(rest);

                if (of == rest || strncmp(of, "of", 2) != 0 || !is_blank(of[2]))
                        return cannot(why, text, expected);
                if (!limit_info(e->limit)->is_memory) {
                        buf_puts(why,
                                 "refers to another limit, which only memory limits can; expected a number "
                                 "or a percentage alone");
                        return -EINVAL;
                }
                return parse_reference(e, permyriad, skip_blanks(of + 2), why);
        }
        if (permyriad > 10000) {
                buf_puts(why, "more than the host has, expected at most 100%");
                return -EINVAL;
        }
        e->kind = LIMIT_EXPR_PERMYRIAD_OF_HOST;
        e->value = permyriad;
        return 0;
}

static int parse_memory(LimitExpr *e, const char *text, Buf *why) {
        static const char expected[] =
                "a size such as 512M or 8G, a percentage of the host's, a percentage of another "
                "memory limit such as \"90% of MemoryMax\", or infinity";
        int r;

        if (STR_EQ(text, "infinity"))
                e->value = LIMIT_INFINITY;
        else if (strchr(text, '%')) {
                r = parse_percent(e, text, expected, why);
                if (r < 0)
                        return r;
        } else if (value_parse_size(text, 1024, &e->value) < 0)
                return cannot(why, text, expected);

        if (e->value == 0 && e->limit == LIMIT_MEMORY_MAX) {
                buf_puts(why, "0 would kill whatever starts there, expected a size above 0");
                return -EINVAL;
        }
        if (e->value == 0 && e->limit == LIMIT_MEMORY_HIGH) {
                buf_puts(why, "0 would bring whatever runs there to a standstill, expected a size above 0");
                return -EINVAL;
        }
        return 0;
}

static int parse_cpu(LimitExpr *e, const char *text, Buf *why) {
        static const char quota_expected[] =
                "a percentage of one CPU above 0, such as 50% or 400%, or infinity";
        static const char period_expected[] = "a time between 1ms and 1s";
        static const char burst_expected[] = "CPU time per period, such as 20ms, up to 1s";

        switch (e->limit) {
        case LIMIT_CPU_QUOTA:
                if (STR_EQ(text, "infinity"))
                        e->value = LIMIT_INFINITY;
                else if (value_parse_permyriad(text, &e->value) < 0 || e->value == 0 || e->value > INT32_MAX)
                        return cannot(why, text, quota_expected);
                else
                        e->value *= 100; /* µs per second */
                return 0;
        case LIMIT_CPU_PERIOD:
                if (value_parse_usec(text, &e->value) < 0 || e->value < USEC_PER_MSEC ||
                    e->value > USEC_PER_SEC)
                        return cannot(why, text, period_expected);
                return 0;
        default: /* LIMIT_CPU_BURST */
                /* The kernel takes no burst above the quota of a period, however many CPUs that is. */
                if (value_parse_usec(text, &e->value) < 0 || e->value > USEC_PER_SEC)
                        return cannot(why, text, burst_expected);
                return 0;
        }
}

static int parse_weight(LimitExpr *e, const char *text, Buf *why) {
        if (e->limit == LIMIT_CPU_WEIGHT && STR_EQ(text, "idle")) {
                buf_puts(why,
                         "idle would let every neighbour stall this one for good, with the locks it holds; "
                         "expected a weight between 1 and 10000");
                return -EINVAL;
        }
        if (num_parse_u64(text, &e->value) < 0 || e->value < 1 || e->value > 10000)
                return cannot(why, text, "a weight between 1 and 10000 (100 is what everybody has)");
        return 0;
}

static int parse_tasks(LimitExpr *e, const char *text, Buf *why) {
        static const char expected[] =
                "a whole number above 0, a percentage of the host's task maximum, or infinity";

        if (STR_EQ(text, "infinity")) {
                e->value = LIMIT_INFINITY;
                return 0;
        }
        if (strchr(text, '%')) {
                int r = parse_percent(e, text, expected, why);
                if (r < 0)
                        return r;
        } else if (num_parse_u64(text, &e->value) < 0 || e->value == LIMIT_INFINITY)
                return cannot(why, text, expected);
        if (e->value == 0) {
                buf_puts(why, "0 would let nothing start, expected a number above 0");
                return -EINVAL;
        }
        return 0;
}

/* "PATH VALUE": the path, without quotes and without '/' at its end; *text behind it. */
static int parse_device(const char **text, char **ret, Buf *why) {
        static const char expected[] = "PATH VALUE with an absolute path, such as \"/var/lib/docker 200M\"";
        const char *s = *text, *e;
        size_t len;

        if (*s == '"' || *s == '\'') {
                e = strchr(s + 1, *s);
                if (!e)
                        return cannot(why, s, "the quote to be closed");
                len = (size_t)(e - s) - 1;
                s++;
                e++;
        } else {
                len = strcspn(s, " \t");
                e = s + len;
                if (len != strcspn(s, " \t\"'\\"))
                        return cannot(why, s,
                                      "a path with quotes around it if it has quotes, '\\' or blanks in it");
        }
        if (*s != '/' || !is_blank(*e))
                return cannot(why, *text, expected);
        while (len > 1 && s[len - 1] == '/')
                len--;

        *ret = strndup(s, len);
        if (!*ret)
                return -ENOMEM;
        *text = skip_blanks(e);
        return 0;
}

static int parse_io(LimitExpr *e, const char *text, Buf *why) {
        bool iops = e->limit == LIMIT_IO_READ_IOPS_MAX || e->limit == LIMIT_IO_WRITE_IOPS_MAX;

        if (STR_EQ(text, "infinity")) {
                e->value = LIMIT_INFINITY;
                return 0;
        }
        if (e->limit == LIMIT_IO_DEVICE_LATENCY) {
                if (value_parse_usec(text, &e->value) < 0 || e->value == 0)
                        return cannot(why, text, "a time above 0 behind the path, such as 25ms, or infinity");
                return 0;
        }
        if (value_parse_size(text, 1000, &e->value) < 0 || e->value == 0)
                return cannot(
                        why, text,
                        iops ? "operations per second above 0 behind the path, such as 2000, or infinity"
                             : "bytes per second above 0 behind the path, such as 200M, or infinity");
        /* The kernel keeps 32 bits, all of them set meaning "max". */
        if (iops && e->value >= UINT32_MAX)
                return cannot(why, text, "at most 4294967294 operations per second, or infinity");
        return 0;
}

int policy_limit_parse(Limit limit, bool container, const char *text, LimitExpr *ret, Buf *why) {
        LimitExpr e = { .limit = limit, .container = container, .kind = LIMIT_EXPR_VALUE };
        _cleanup_free_ char *device = NULL;
        int r = -EINVAL;

        if (!*text) {
                e.kind = LIMIT_EXPR_RESET;
                *ret = e;
                return 0;
        }
        switch (limit) {
        case LIMIT_MEMORY_MIN:
        case LIMIT_MEMORY_LOW:
        case LIMIT_MEMORY_HIGH:
        case LIMIT_MEMORY_MAX:
        case LIMIT_MEMORY_SWAP_MAX:
                r = parse_memory(&e, text, why);
                break;
        case LIMIT_CPU_QUOTA:
        case LIMIT_CPU_PERIOD:
        case LIMIT_CPU_BURST:
                r = parse_cpu(&e, text, why);
                break;
        case LIMIT_CPU_WEIGHT:
        case LIMIT_IO_WEIGHT:
                r = parse_weight(&e, text, why);
                break;
        case LIMIT_TASKS_MAX:
                r = parse_tasks(&e, text, why);
                break;
        case LIMIT_IO_READ_BANDWIDTH_MAX:
        case LIMIT_IO_WRITE_BANDWIDTH_MAX:
        case LIMIT_IO_READ_IOPS_MAX:
        case LIMIT_IO_WRITE_IOPS_MAX:
        case LIMIT_IO_DEVICE_LATENCY:
                r = parse_device(&text, &device, why);
                if (r == 0)
                        r = parse_io(&e, text, why);
                break;
        case _LIMIT_MAX:
        case _LIMIT_INVALID:
                break;
        }
        if (r < 0)
                return r;
        e.device = steal_ptr(device);
        *ret = e;
        return 0;
}

/* ---- back to text ---- */

static void format_size(uint64_t v, uint64_t base, Buf *out) {
        static const char suffixes[] = "\0KMGTPE";
        size_t i = 0;

        while (v != 0 && v % base == 0 && i + 2 < sizeof(suffixes)) {
                v /= base;
                i++;
        }
        buf_printf(out, "%llu", (unsigned long long)v);
        if (i > 0)
                buf_putc(out, suffixes[i]);
}

static void format_device(const char *path, Buf *out) {
        const char *quote = strpbrk(path, " \t'\\") ? "\"" : "";

        if (strchr(path, '"'))
                quote = "'"; /* both kinds in one path cannot be written, so there is none */
        buf_printf(out, "%s%s%s ", quote, path, quote);
}

static void format_value(const LimitExpr *e, Buf *out) {
        char buf[128];

        if (e->value == LIMIT_INFINITY) {
                buf_puts(out, "infinity");
                return;
        }
        switch (e->limit) {
        case LIMIT_CPU_QUOTA:
                policy_format_permyriad(e->value / 100, out);
                return;
        case LIMIT_CPU_PERIOD:
        case LIMIT_CPU_BURST:
        case LIMIT_IO_DEVICE_LATENCY:
                buf_puts(out, value_format_usec(e->value, buf, sizeof(buf)));
                return;
        case LIMIT_IO_READ_BANDWIDTH_MAX:
        case LIMIT_IO_WRITE_BANDWIDTH_MAX:
                format_size(e->value, 1000, out);
                return;
        default:
                if (limit_info(e->limit)->is_memory)
                        format_size(e->value, 1024, out);
                else
                        buf_printf(out, "%llu", (unsigned long long)e->value);
        }
}

int policy_limit_format(const LimitExpr *e, Buf *out) {
        if (e->device && e->kind != LIMIT_EXPR_RESET)
                format_device(e->device, out);
        switch (e->kind) {
        case LIMIT_EXPR_VALUE:
                format_value(e, out);
                break;
        case LIMIT_EXPR_PERMYRIAD_OF_HOST:
                policy_format_permyriad(e->value, out);
                break;
        case LIMIT_EXPR_PERMYRIAD_OF_LIMIT:
                policy_format_permyriad(e->value, out);
                buf_printf(out, " of %s%s", e->container ? "Container" : "", limit_info(e->of)->key);
                break;
        case LIMIT_EXPR_RESET:
                break;
        }
        return buf_error(out);
}
