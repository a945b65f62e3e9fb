/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text as people write it in policy, and back.
 *
 * The people who write policy know systemd's unit files, so a text must mean
 * here what it means there, oddities included: "1G 512M" is a sum whose units
 * must shrink, "1.5G" is a fraction, "5 6" are eleven seconds, "5sec6" too.
 * The model is systemd 252: parse_size(), parse_permyriad_unbounded(),
 * parse_sec() and parse_boolean(), whose behaviour is documented in
 * systemd.syntax(7) and systemd.time(7) and was compared with the library
 * itself. Where systemd silently takes nonsense we refuse it: "-0.5%" (which
 * it reads as half a percent), a number that would equal "infinity", a wrapped
 * sum, vertical tabs between words.
 *
 * Everything is ASCII by hand: the daemon must read a file the same way in
 * every locale. The one place with floating point is the fraction of a size,
 * because a byte more or less than systemd sets would show up as drift.
 */

#include <stdio.h>

#include "num.h"
#include "value.h"

#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
#define USEC_PER_MONTH (2629800 * USEC_PER_SEC)
#define USEC_PER_YEAR (31557600 * USEC_PER_SEC)

/* Longest word that value_suggest() compares; longer ones are no near miss of anything. */
#define SUGGEST_MAX 64

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static char fold(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static const char *skip_blanks(const char *s) { return s + strspn(s, " \t\n\r"); }

/* What is behind prefix, or NULL. */
static const char *after(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/*
 * One decimal number at *p, with the sign that strtoull(3) would take: "+5" is
 * a number to systemd, "-5" is out of range.
 */
static int scan_signed(const char **p, uint64_t *ret) {
        const char *q = *p;
        int r;

        if (*q == '-')
                return is_digit(q[1]) ? -ERANGE : -EINVAL;
        if (*q == '+')
                q++;
        r = num_scan_u64(&q, q + strlen(q), ret);
        if (r < 0)
                return r;
        *p = q;
        return 0;
}

/* The digits at *p as a fraction below one; none are a fraction of zero ("10.M"). */
static int scan_fraction(const char **p, double *ret) {
        const char *digits = *p;
        uint64_t v;
        int r;

        *ret = 0;
        if (!is_digit(*digits))
                return 0;
        r = num_scan_u64(p, digits + strlen(digits), &v);
        if (r < 0)
                return r;
        *ret = (double)v;
        for (; digits < *p; digits++)
                *ret /= 10;
        return 0;
}

int value_parse_size(const char *s, uint64_t base, uint64_t *ret) {
        /* Descending; a sum goes on below the unit it last used. The empty
         * one is last and fits everything, so junk fails as a next number. */
        static const char units[] = { 'E', 'P', 'T', 'G', 'M', 'K', 'B', '\0' };
        size_t from = 0, i;
        uint64_t sum = 0;
        int r;

        if (base != 1000 && base != 1024)
                return -EINVAL;
        if (STR_EQ(s, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }
        do {
                uint64_t whole, factor = 1, v;
                double fraction = 0;

                s = skip_blanks(s);
                r = scan_signed(&s, &whole);
                if (r < 0)
                        return r;
                if (*s == '.') {
                        s++;
                        r = scan_fraction(&s, &fraction);
                        if (r < 0)
                                return r;
                }
                s = skip_blanks(s);
                for (i = from; i < ARRAY_SIZE(units); i++)
                        if (!units[i] || *s == units[i])
                                break;
                if (i == ARRAY_SIZE(units))
                        return -EINVAL;
                for (size_t k = i; k < 6; k++)
                        factor *= base;
                if (whole > UINT64_MAX / factor - (fraction > 0))
                        return -ERANGE;
                v = whole * factor + (uint64_t)(fraction * (double)factor);
                if (__builtin_add_overflow(sum, v, &sum))
                        return -ERANGE;
                if (units[i])
                        s++;
                from = i + 1;
        } while (*s);

        if (sum == UINT64_MAX)
                return -ERANGE;
        *ret = sum;
        return 0;
}

/*
 * An integer from 0 to INT32_MAX as systemd's safe_atoi() reads it, that is with
 * C's and Python's prefixes: 0x10, 010, 0o10 and 0b10. "010%" is eight percent
 * there, so it has to be here.
 */
static int parse_int(const char *s, const char *end, uint64_t *ret) {
        uint64_t v = 0;
        unsigned base = 10;
        bool any = false, negative = false;

        while (s < end && strchr(" \t\n\r", *s))
                s++;
        if (end - s >= 2 && s[0] == '0' && (s[1] == 'b' || s[1] == 'B')) {
                base = 2;
                s += 2;
        } else if (end - s >= 2 && s[0] == '0' && (s[1] == 'o' || s[1] == 'O')) {
                base = 8;
                s += 2;
        } else {
                if (s < end && (*s == '+' || *s == '-'))
                        negative = *s++ == '-';
                if (end - s >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
                        base = 16;
                        s += 2;
                } else if (s < end && *s == '0')
                        base = 8;
        }
        for (; s < end; s++) {
                unsigned d;
                char c = fold(*s);

                if (is_digit(c))
                        d = (unsigned)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        d = (unsigned)(c - 'a') + 10;
                else
                        return -EINVAL;
                if (d >= base)
                        return -EINVAL;
                v = MIN_OF(v * base + d, (uint64_t)INT32_MAX + 1);
                any = true;
        }
        if (!any)
                return -EINVAL;
        if (negative || v > INT32_MAX)
                return -ERANGE;
        *ret = v;
        return 0;
}

int value_parse_permyriad(const char *s, uint64_t *ret) {
        static const struct {
                const char *symbol;
                unsigned places; /* after the point; one of the symbol is 10^places permyriad */
        } symbols[] = { { "‱", 0 }, { "‰", 1 }, { "%", 2 } };
        size_t len = strlen(s);
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(symbols); i++) {
                size_t n = strlen(symbols[i].symbol);
                unsigned places = symbols[i].places;
                const char *end, *dot;
                uint64_t v, scale = 1, fraction = 0;

                if (len < n || !STR_EQ(s + len - n, symbols[i].symbol))
                        continue;
                end = s + len - n;
                dot = places ? memchr(s, '.', (size_t)(end - s)) : NULL;
                for (unsigned k = 0; k < places; k++)
                        scale *= 10;
                if (dot) {
                        uint64_t place = scale;

                        if (end - dot < 2 || end - dot - 1 > (ptrdiff_t)places)
                                return -EINVAL;
                        for (const char *p = dot + 1; p < end; p++) {
                                if (!is_digit(*p))
                                        return -EINVAL;
                                place /= 10;
                                fraction += (uint64_t)(*p - '0') * place;
                        }
                }
                r = parse_int(s, dot ? dot : end, &v);
                if (r < 0)
                        return r;
                v = v * scale + fraction;
                if (v > INT32_MAX)
                        return -ERANGE;
                *ret = v;
                return 0;
        }
        return -EINVAL;
}

static const struct {
        const char *suffix;
        usec_t usec;
} time_units[] = {
        /* A suffix that is the beginning of another one stands behind it. */
        { "seconds", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "sec", USEC_PER_SEC },
        { "s", USEC_PER_SEC },
        { "minutes", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE },
        { "min", USEC_PER_MINUTE },
        { "months", USEC_PER_MONTH },
        { "month", USEC_PER_MONTH },
        { "M", USEC_PER_MONTH },
        { "msec", USEC_PER_MSEC },
        { "ms", USEC_PER_MSEC },
        { "m", USEC_PER_MINUTE },
        { "hours", USEC_PER_HOUR },
        { "hour", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "h", USEC_PER_HOUR },
        { "days", USEC_PER_DAY },
        { "day", USEC_PER_DAY },
        { "d", USEC_PER_DAY },
        { "weeks", USEC_PER_WEEK },
        { "week", USEC_PER_WEEK },
        { "w", USEC_PER_WEEK },
        { "years", USEC_PER_YEAR },
        { "year", USEC_PER_YEAR },
        { "y", USEC_PER_YEAR },
        { "usec", 1 },
        { "us", 1 },
        { "\xce\xbcs", 1 }, /* U+03BC, Greek mu */
        { "\xc2\xb5s", 1 }, /* U+00B5, micro sign */
};

/* One "NUMBER[.FRACTION] [UNIT]" at *p, added to *sum. */
static int scan_span(const char **p, usec_t *sum) {
        const char *s = *p, *fraction = NULL, *unit;
        usec_t factor = USEC_PER_SEC, v = 0;
        int r;

        if (*s == '-')
                return -ERANGE;
        if (*s != '.') {
                r = scan_signed(&s, &v);
                if (r < 0)
                        return r;
                if (v > INT64_MAX)
                        return -ERANGE;
        }
        if (*s == '.') {
                fraction = ++s;
                while (is_digit(*s))
                        s++;
        }
        unit = skip_blanks(s);
        for (size_t i = 0; i < ARRAY_SIZE(time_units); i++) {
                const char *e = after(unit, time_units[i].suffix);

                if (e) {
                        factor = time_units[i].usec;
                        unit = e;
                        break;
                }
        }
        if (unit == s && *s) /* "12.34.56"; whereas "12.34 .56" is a sum */
                return -EINVAL;
        if (v >= USEC_INFINITY / factor || v * factor >= USEC_INFINITY - *sum)
                return -ERANGE;
        *sum += v * factor;
        if (fraction) {
                if (!is_digit(*fraction))
                        return -EINVAL;
                for (usec_t place = factor / 10; is_digit(*fraction); fraction++, place /= 10) {
                        v = (usec_t)(*fraction - '0') * place;
                        if (v >= USEC_INFINITY - *sum)
                                return -ERANGE;
                        *sum += v;
                }
        }
        *p = unit;
        return 0;
}

int value_parse_usec(const char *s, usec_t *ret) {
        const char *rest;
        usec_t sum = 0;
        int r;

        s = skip_blanks(s);
        rest = after(s, "infinity");
        if (rest) {
                if (*skip_blanks(rest))
                        return -EINVAL;
                *ret = USEC_INFINITY;
                return 0;
        }
        if (!*s)
                return -EINVAL;
        for (; *s; s = skip_blanks(s)) {
                r = scan_span(&s, &sum);
                if (r < 0)
                        return r;
        }
        *ret = sum;
        return 0;
}

static bool same_folded(const char *a, const char *b) {
        for (; fold(*a) == fold(*b); a++, b++)
                if (!*a)
                        return true;
        return false;
}

int value_parse_boolean(const char *s, bool *ret) {
        static const char *const words[][2] = {
                { "0", "1" }, { "no", "yes" },     { "n", "y" },
                { "f", "t" }, { "false", "true" }, { "off", "on" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                for (size_t k = 0; k < 2; k++)
                        if (same_folded(s, words[i][k])) {
                                *ret = k;
                                return 0;
                        }
        return -EINVAL;
}

int value_parse_rate(const char *s, uint64_t *ret_count, usec_t *ret_window) {
        uint64_t count;
        usec_t window;
        int r;

        r = num_scan_u64(&s, s + strlen(s), &count);
        if (r < 0)
                return r;
        s = skip_blanks(s);
        if (*s != '/')
                return -EINVAL;
        r = value_parse_usec(s + 1, &window);
        if (r < 0)
                return r;
        if (window == 0 || window == USEC_INFINITY)
                return -ERANGE;
        *ret_count = count;
        *ret_window = window;
        return 0;
}

int value_parse_range(const char *s, uint64_t *ret_from, uint64_t *ret_to) {
        uint64_t from, to;
        int r;

        r = num_scan_u64(&s, s + strlen(s), &from);
        if (r < 0)
                return r;
        to = from;
        if (*s == '-') {
                s++;
                r = num_scan_u64(&s, s + strlen(s), &to);
                if (r < 0)
                        return r;
        }
        if (*s || to < from)
                return -EINVAL;
        *ret_from = from;
        *ret_to = to;
        return 0;
}

const char *value_format_usec(usec_t usec, char *buf, size_t size) {
        static const struct {
                const char *suffix;
                usec_t usec;
        } units[] = {
                { "y", USEC_PER_YEAR }, { "month", USEC_PER_MONTH }, { "w", USEC_PER_WEEK },
                { "d", USEC_PER_DAY },  { "h", USEC_PER_HOUR },      { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC },  { "ms", USEC_PER_MSEC },     { "us", 1 },
        };
        size_t len = 0;

        if (usec == USEC_INFINITY || usec == 0) {
                (void)snprintf(buf, size, "%s", usec ? "infinity" : "0");
                return buf;
        }
        for (size_t i = 0; i < ARRAY_SIZE(units) && len < size; i++) {
                usec_t n = usec / units[i].usec;

                if (n == 0)
                        continue;
                usec %= units[i].usec;
                len += (size_t)snprintf(buf + len, size - len, "%s%llu%s", len ? " " : "",
                                        (unsigned long long)n, units[i].suffix);
        }
        return buf;
}

const char *value_format_size(uint64_t v, uint64_t base, char *buf, size_t size) {
        static const char units[] = "BKMGTPE";
        uint64_t factors[ARRAY_SIZE(units) - 1] = { 1 }, tenths;
        size_t i, top = 0;

        if (v == UINT64_MAX || v == 0) {
                (void)snprintf(buf, size, "%s", v ? "infinity" : "0");
                return buf;
        }
        for (i = 1; i < ARRAY_SIZE(factors); i++) {
                factors[i] = factors[i - 1] * base;
                if (v >= factors[i])
                        top = i;
        }
        /* The largest unit that says it exactly and stays readable .. */
        for (i = top; i > 0; i--)
                if (v % factors[i] * 10 % factors[i] == 0)
                        break;
        if (v / factors[i] < 10000)
                tenths = v / factors[i] * 10 + v % factors[i] * 10 / factors[i];
        else { /* .. else the largest one, rounded. */
                i = top;
                tenths = v / factors[i] * 10 + num_muldiv(v % factors[i], 20, factors[i]) / 2 +
                         num_muldiv(v % factors[i], 20, factors[i]) % 2;
                if (tenths >= base * 10 && i + 1 < ARRAY_SIZE(factors)) {
                        i++;
                        tenths = 10;
                }
        }
        if (tenths % 10)
                (void)snprintf(buf, size, "%llu.%llu%c", (unsigned long long)(tenths / 10),
                               (unsigned long long)(tenths % 10), units[i]);
        else
                (void)snprintf(buf, size, "%llu%c", (unsigned long long)(tenths / 10), units[i]);
        return buf;
}

const char *value_format_bytes(uint64_t bytes, char *buf, size_t size) {
        return value_format_size(bytes, 1024, buf, size);
}

/*
 * Globs. A pattern is a row of elements: '*', or one that stands for exactly
 * one byte ('?', a class, an escaped or a plain byte). With a single point to
 * go back to (the last '*': an earlier one never has to take more), the work
 * is bounded by pattern times text.
 */

/* The ']' that closes the class at p, NULL where there is none and '[' is a plain byte. */
static const char *class_end(const char *p) {
        p++;
        if (*p == '!' || *p == '^')
                p++;
        if (*p == ']')
                p++;
        for (; *p && *p != ']'; p++)
                if (*p == '\\' && p[1])
                        p++;
        return *p ? p : NULL;
}

static size_t element_length(const char *p) {
        const char *end;

        if (*p == '\\' && p[1])
                return 2;
        if (*p != '[')
                return 1;
        end = class_end(p);
        return end ? (size_t)(end - p) + 1 : 1;
}

static bool class_match(const char *p, const char *end, unsigned char c) {
        bool negate, found = false;

        p++;
        negate = *p == '!' || *p == '^';
        if (negate)
                p++;
        while (p < end) {
                unsigned char lo, hi;

                if (*p == '\\' && p + 1 < end)
                        p++;
                lo = hi = (unsigned char)*p++;
                if (*p == '-' && p + 1 < end) {
                        p++;
                        if (*p == '\\' && p + 1 < end)
                                p++;
                        hi = (unsigned char)*p++;
                }
                if (c >= lo && c <= hi)
                        found = true;
        }
        return found != negate;
}

static bool element_match(const char *p, size_t len, char c) {
        if (*p == '?')
                return true;
        if (*p == '[' && len > 1)
                return class_match(p, p + len - 1, (unsigned char)c);
        return p[len - 1] == c; /* plain, or behind its backslash */
}

bool value_glob(const char *pattern, const char *text) {
        const char *star = NULL, *mark = NULL;
        size_t n;

        while (*text) {
                if (*pattern == '*') {
                        star = ++pattern;
                        mark = text;
                        continue;
                }
                if (*pattern) {
                        n = element_length(pattern);
                        if (element_match(pattern, n, *text)) {
                                pattern += n;
                                text++;
                                continue;
                        }
                }
                if (!star)
                        return false;
                pattern = star;
                text = ++mark;
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}

bool value_glob_capture(const char *pattern, const char *text, size_t *ret_off, size_t *ret_len) {
        size_t head = 0, tail = 0, stars = 0, len = strlen(text), i = 0;

        for (const char *p = pattern; *p; p += element_length(p)) {
                if (*p == '*')
                        stars++;
                else if (stars)
                        tail++;
                else
                        head++;
        }
        if (stars != 1 || head + tail > len)
                return false;
        for (const char *p = pattern; *p; p += element_length(p)) {
                if (*p == '*') {
                        i = len - tail;
                        continue;
                }
                if (!element_match(p, element_length(p), text[i++]))
                        return false;
        }
        *ret_off = head;
        *ret_len = len - head - tail;
        return true;
}

/*
 * Damerau-Levenshtein (optimal string alignment): insertions, deletions,
 * substitutions and swaps of neighbours cost one. Letters are compared without
 * case, since a key in the wrong case is the nearest miss of all.
 */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
        size_t rows[3][SUGGEST_MAX + 1];
        size_t *before = rows[0], *last = rows[1], *row = rows[2], *spare;

        for (size_t j = 0; j <= m; j++)
                last[j] = j;
        for (size_t i = 1; i <= n; i++) {
                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        bool same = fold(a[i - 1]) == fold(b[j - 1]);
                        size_t d = last[j - 1] + !same;

                        d = MIN_OF(d, last[j] + 1);
                        d = MIN_OF(d, row[j - 1] + 1);
                        if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                            fold(a[i - 2]) == fold(b[j - 1]))
                                d = MIN_OF(d, before[j - 2] + 1);
                        row[j] = d;
                }
                spare = before;
                before = last;
                last = row;
                row = spare;
        }
        return last[m];
}

const char *value_suggest(const char *word, const char *const *known, size_t n) {
        size_t len = strlen(word), best;
        const char *found = NULL;

        if (len == 0 || len > SUGGEST_MAX)
                return NULL;
        best = MAX_OF(len / 3, (size_t)1) + 1; /* one beyond what counts as near */
        best = MIN_OF(best, len); /* a word with nothing in common is not near */
        for (size_t i = 0; i < n; i++) {
                size_t m = strlen(known[i]), d;

                if (m > SUGGEST_MAX)
                        continue;
                d = distance(word, len, known[i], m);
                if (d < best) {
                        best = d;
                        found = known[i];
                }
        }
        return found;
}
