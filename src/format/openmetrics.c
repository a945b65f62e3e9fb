/* SPDX-License-Identifier: Apache-2.0 */

/*
 * OpenMetrics text, as
 * https://github.com/OpenObservability/OpenMetrics/blob/main/specification/OpenMetrics.md
 * has it, and by the names that Prometheus' own linter asks for: base units,
 * spelt out at the end of the name; "_total" behind counters and behind nothing else.
 *
 * There is no type "info": readers of the older text format, node_exporter's textfile collector among them, take all of
 * this but a type that they do not know. A gauge that is 1 says the same.
 *
 * What a caller gets wrong is an error and no page, for a scraper would reject
 * the page as well, only later and somewhere else. Names and help are ours and
 * are checked; label values are anybody's and are escaped.
 */

#include "openmetrics.h"

static const struct {
        const char *type, *suffix;
} types[_METRIC_TYPE_MAX] = {
        [METRIC_COUNTER] = { "counter", "_total" },
        [METRIC_GAUGE] = { "gauge", "" },
        [METRIC_SUMMARY] = { "summary", "" },
};

static void invalid(Metrics *m) {
        if (m->error == 0)
                m->error = -EINVAL;
}

static bool is_name(const char *s) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

        if (!*s || !strchr(letters, *s))
                return false;
        for (; *s; s++)
                if (!strchr(letters, *s) && !strchr("0123456789", *s))
                        return false;
        return true;
}

static bool ends_in(const char *s, const char *end) {
        size_t n = strlen(s), k = strlen(end);

        return n >= k && STR_EQ(s + n - k, end);
}

/* Suffixes that a reader would take for a part of another type. */
static bool has_reserved_end(const char *name) {
        static const char *const reserved[] = { "_total",   "_count",  "_sum", "_bucket",
                                                "_created", "_gcount", "_gsum" };

        for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
                if (ends_in(name, reserved[i]))
                        return true;
        return false;
}

static void put_escaped(Buf *out, const char *s) {
        for (; *s; s++)
                switch (*s) {
                case '\\':
                        buf_puts(out, "\\\\");
                        break;
                case '"':
                        buf_puts(out, "\\\"");
                        break;
                case '\n':
                        buf_puts(out, "\\n");
                        break;
                default:
                        buf_putc(out, *s);
                }
}

/* In the old format a counter's whole name has the type. */
static void put_head(Metrics *m, MetricType type, const char *unit, const char *help) {
        const char *name = buf_str(&m->family), *suffix = m->classic ? types[type].suffix : "";

        buf_clear(&m->head);
        buf_printf(&m->head, "# TYPE %s%s %s\n", name, suffix, types[type].type);
        if (unit && !m->classic)
                buf_printf(&m->head, "# UNIT %s %s\n", name, unit);
        buf_printf(&m->head, "# HELP %s%s ", name, suffix);
        put_escaped(&m->head, help);
        buf_putc(&m->head, '\n');
}

static void choose(Metrics *m, MetricType type, const char *help) {
        m->unwanted = false;
        if (!m->want && !m->tell && !m->each)
                return;
        buf_clear(&m->whole);
        buf_printf(&m->whole, "%s%s", buf_str(&m->family), types[type].suffix);
        m->unwanted = m->want && !m->want(m->user, buf_str(&m->whole));
        if (m->tell)
                m->tell(m->user, buf_str(&m->whole), types[type].type, help);
}

void metrics_family(Metrics *m, const char *name, MetricType type, const char *unit, const char *help) {
        size_t n = strlen(name), k = unit ? strlen(unit) : 0;

        if (!is_name(name) || has_reserved_end(name) || strcmp(name, buf_str(&m->family)) <= 0 ||
            (unit && (k + 1 >= n || !ends_in(name, unit) || name[n - k - 1] != '_')))
                invalid(m);
        buf_clear(&m->family);
        buf_puts(&m->family, name);
        choose(m, type, help);
        put_head(m, type, unit, help);
        m->type = type;
        m->any = false;
        if (buf_error(&m->family) < 0 || buf_error(&m->head) < 0 || buf_error(&m->whole) < 0)
                m->error = -ENOMEM;
}

/* Whether these come behind those of the last sample. */
static bool is_behind(const Metrics *m, const MetricLabel *labels, size_t n) {
        const char *p = buf_str(&m->last), *end = p + m->last.len;

        for (size_t i = 0; i < n && p < end; i++, p += strlen(p) + 1) {
                int order = strcmp(labels[i].value, p);

                if (order != 0)
                        return order > 0;
        }
        return false;
}

static void put_value(Buf *out, uint64_t value, unsigned decimals) {
        uint64_t scale = 1, part;

        for (unsigned i = 0; i < decimals; i++)
                scale *= 10;
        part = value % scale;
        buf_printf(out, "%llu", (unsigned long long)(value / scale));
        if (part == 0)
                return;
        for (; part % 10 == 0; decimals--)
                part /= 10;
        buf_printf(out, ".%0*llu", (int)decimals, (unsigned long long)part);
}

static void put_sample(Metrics *m, const MetricLabel *labels, size_t n, uint64_t value, unsigned decimals) {
        if (!m->any)
                buf_append(m->out, buf_str(&m->head), m->head.len);
        buf_printf(m->out, "%s%s", buf_str(&m->family), types[m->type].suffix);
        for (size_t i = 0; i < n; i++) {
                buf_printf(m->out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
                put_escaped(m->out, labels[i].value);
                buf_putc(m->out, '"');
        }
        buf_puts(m->out, n > 0 ? "} " : " ");
        put_value(m->out, value, decimals);
        buf_putc(m->out, '\n');
}

void metrics_sample(Metrics *m, const MetricLabel *labels, size_t n, uint64_t value, unsigned decimals) {
        if (m->family.len == 0 || n > METRIC_LABELS_MAX || decimals > 18 ||
            (m->any && !is_behind(m, labels, n))) {
                invalid(m);
                return;
        }
        if (m->unwanted)
                return;
        buf_clear(&m->last);
        for (size_t i = 0; i < n; i++) {
                if (!is_name(labels[i].name))
                        invalid(m);
                buf_append(&m->last, labels[i].value, strlen(labels[i].value) + 1);
        }
        if (m->each)
                m->each(m->user, buf_str(&m->whole), labels, n, value, decimals);
        else
                put_sample(m, labels, n, value, decimals);
        m->any = true;
        if (buf_error(&m->last) < 0)
                m->error = -ENOMEM;
}

int metrics_end(Metrics *m) {
        int r = m->error;

        if (!m->classic && !m->each)
                buf_puts(m->out, "# EOF\n");
        if (!m->each && buf_error(m->out) < 0)
                r = -ENOMEM;
        buf_deinit(&m->family);
        buf_deinit(&m->whole);
        buf_deinit(&m->head);
        buf_deinit(&m->last);
        return r;
}

/* ---- what scrapers ask for, and what containers are called ---- */

/* "q=0.5" of one element of an Accept header, in thousandths. */
static unsigned quality(const char *p, const char *end) {
        unsigned q = 1000, digit = 100;

        for (; p + 2 < end; p++) {
                if (p[0] != 'q' || p[1] != '=')
                        continue;
                q = p[2] == '1' ? 1000 : 0;
                p += 3;
                if (p < end && *p == '.')
                        for (p++; p < end && *p >= '0' && *p <= '9' && digit > 0; p++, digit /= 10)
                                q += (unsigned)(*p - '0') * digit;
                return MIN_OF(q, 1000U);
        }
        return q;
}

bool metrics_wants_openmetrics(const char *accept) {
        unsigned open = 0, plain = 0;

        while (accept && *accept) {
                static const char name[] = "application/openmetrics-text";
                const char *end = strchrnul(accept, ',');
                unsigned q;

                accept += strspn(accept, " ");
                q = quality(accept, end);
                if (strncmp(accept, name, strlen(name)) == 0)
                        open = MAX_OF(open, q);
                else if (strncmp(accept, "text/plain", strlen("text/plain")) == 0)
                        plain = MAX_OF(plain, q);
                accept = *end ? end + 1 : end;
        }
        return open > 0 && open >= plain;
}

/* Bytes of the well-formed character at s; 0: none. */
static size_t utf8_length(const unsigned char *s) {
        size_t n = s[0] < 0x80                    ? 1
                   : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
                   : (s[0] & 0xf0) == 0xe0        ? 3
                   : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                  : 0;

        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
            (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

char *metrics_text(const char *s, size_t max) {
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t n;

        for (; *s; s += MAX_OF(n, (size_t)1)) {
                n = utf8_length((const unsigned char *)s);
                if (b.len + MAX_OF(n, (size_t)1) > max)
                        break;
                buf_append(&b, n > 0 ? s : "?", MAX_OF(n, (size_t)1));
        }
        return b.len == 0 && buf_error(&b) == 0 ? strdup("") : buf_steal(&b);
}
