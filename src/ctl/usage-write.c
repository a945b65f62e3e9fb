/* SPDX-License-Identifier: Apache-2.0 */

/* Books as CSV (RFC 4180), with every field that there is. As OpenMetrics: format/bookmetrics. */

#include <stdio.h>

#include "screens.h"
#include "usage.h"

/* Names belong to whoever called the engine: they are no commands to a terminal, nor formulas of a spreadsheet. */
void csv_text(Buf *out, const char *s) {
        _cleanup_buf_ Buf text = BUF_INIT;

        if (*s && strchr("=+-@", *s))
                buf_putc(&text, '\'');
        text_escape(&text, s, true, true);
        if (buf_error(&text) < 0)
                out->error = -ENOMEM;
        s = buf_str(&text);
        if (s[strcspn(s, "\",\r\n")] == '\0' && *s != ' ') {
                buf_puts(out, s);
                return;
        }
        buf_putc(out, '"');
        for (; *s; s++) {
                if (*s == '"')
                        buf_putc(out, '"');
                buf_putc(out, *s);
        }
        buf_putc(out, '"');
}

static void csv_value(Buf *out, const json_t *o, const char *key) {
        const json_t *v = json_member(o, key);

        if (json_is_string(v))
                csv_text(out, json_string_value(v));
        else if (json_is_integer(v))
                buf_printf(out, "%llu", (unsigned long long)json_number(o, key));
}

typedef struct CsvColumn {
        const char *header, *key;
} CsvColumn;

static const CsvColumn of_tenant[] = {
        { "tenant", "name" },
        { "since_usec", "since" },
        { "containers", "containers" },
        { "slices", "slices" },
}, of_container[] = {
        { "name", "name" },         { "id", "id" },
        { "tenant", "tenant" },     { "cgroup", "cgroup" },
        { "engine", "engine" },     { "since_usec", "since" },
        { "ended_usec", "ended" }, { "end", "end" },
};

int usage_csv(const json_t *usage, UsageBy by, Buf *out) {
        const CsvColumn *columns = by == USAGE_BY_TENANT ? of_tenant : of_container;
        size_t n_columns = by == USAGE_BY_TENANT ? ARRAY_SIZE(of_tenant) : ARRAY_SIZE(of_container), n;
        _cleanup_free_ const json_t **list = NULL;
        int r = usage_sorted(usage, by, &list, &n);

        if (r < 0)
                return r;
        for (size_t i = 0; i < n_columns; i++)
                buf_printf(out, "%s%s", i > 0 ? "," : "", columns[i].header);
        for (int f = 0; f < _BOOK_MAX; f++)
                buf_printf(out, ",%s", book_info((BookField)f)->name);
        buf_puts(out, "\r\n");
        for (size_t k = 0; k < n; k++) {
                for (size_t i = 0; i < n_columns; i++) {
                        buf_puts(out, i > 0 ? "," : "");
                        csv_value(out, list[k], columns[i].key);
                }
                for (int f = 0; f < _BOOK_MAX; f++) {
                        buf_putc(out, ',');
                        csv_value(out, json_member(list[k], "book"), book_info((BookField)f)->name);
                }
                buf_puts(out, "\r\n");
        }
        return buf_error(out);
}
