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

void metrics_family(Metrics *m, const char *name, MetricType type, const char *unit, const char *help) {
        size_t n = strlen(name), k = unit ? strlen(unit) : 0;

        if (!is_name(name) || has_reserved_end(name) || strcmp(name, buf_str(&m->family)) <= 0 ||
            (unit && (k + 1 >= n || !ends_in(name, unit) || name[n - k - 1] != '_')))
                invalid(m);
        buf_clear(&m->family);
        buf_puts(&m->family, name);
        buf_clear(&m->head);
        buf_printf(&m->head, "# TYPE %s %s\n", name, types[type].type);
        if (unit)
                buf_printf(&m->head, "# UNIT %s %s\n", name, unit);
        buf_printf(&m->head, "# HELP %s ", name);
        put_escaped(&m->head, help);
        buf_putc(&m->head, '\n');
        m->type = type;
        m->any = false;
        if (buf_error(&m->family) < 0 || buf_error(&m->head) < 0)
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

void metrics_sample(Metrics *m, const MetricLabel *labels, size_t n, uint64_t value, unsigned decimals) {
        if (m->family.len == 0 || n > METRIC_LABELS_MAX || decimals > 18 ||
            (m->any && !is_behind(m, labels, n))) {
                invalid(m);
                return;
        }
        buf_clear(&m->last);
        if (!m->any)
                buf_append(m->out, buf_str(&m->head), m->head.len);
        m->any = true;
        buf_printf(m->out, "%s%s", buf_str(&m->family), types[m->type].suffix);
        for (size_t i = 0; i < n; i++) {
                if (!is_name(labels[i].name))
                        invalid(m);
                buf_printf(m->out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
                put_escaped(m->out, labels[i].value);
                buf_putc(m->out, '"');
                buf_append(&m->last, labels[i].value, strlen(labels[i].value) + 1);
        }
        buf_puts(m->out, n > 0 ? "} " : " ");
        put_value(m->out, value, decimals);
        buf_putc(m->out, '\n');
        if (buf_error(&m->last) < 0)
                m->error = -ENOMEM;
}

int metrics_end(Metrics *m) {
        int r = m->error;

        buf_puts(m->out, "# EOF\n");
        if (buf_error(m->out) < 0)
                r = -ENOMEM;
        buf_deinit(&m->family);
        buf_deinit(&m->head);
        buf_deinit(&m->last);
        return r;
}
