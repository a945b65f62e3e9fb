/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `usage`: the books. Without --since what was used since counting began, as the guard has it; with it
 * what was used in the last minutes, from the guard's history. The same for people, spreadsheets, programs, scrapers.
 */

#include <stdio.h>

#include "ctl.h"
#include "exporter-client.h"
#include "num.h"
#include "screens.h"
#include "usage.h"
#include "value.h"

/* ---- the table ---- */

static void cell_span(Table *t, uint64_t usec) {
        char text[SAY_MAX];

        table_cell(t, STYLE_PLAIN, usec > 0 ? say_span(usec, text) : "0");
}

static void cell_bytes(Table *t, uint64_t bytes) {
        char text[SAY_MAX];

        table_cell(t, STYLE_PLAIN, bytes > 0 ? say_size(bytes, text) : "0");
}

static void cell_count(Table *t, uint64_t n, TextStyle style) {
        table_cellf(t, n > 0 ? style : STYLE_PLAIN, "%llu", (unsigned long long)n);
}

/* Of one CPU, over a span. */
static void cell_mean(Table *t, uint64_t usec, usec_t span) {
        char text[SAY_MAX];

        table_cell(t, STYLE_PLAIN, span > 0 ? say_permyriad(num_muldiv(usec, 10000, span), text) : NULL);
}

static void cell_gib_hours(Table *t, uint64_t kib_seconds) {
        uint64_t hundredths = num_muldiv(kib_seconds, 100, UINT64_C(3600) * 1024 * 1024);

        table_cellf(t, STYLE_PLAIN, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                    (unsigned long long)(hundredths % 100));
}

static void cell_peak(Table *t, const json_t *book) {
        const char *kind = json_text(book, "peak_memory_kind");
        uint64_t peak = json_number(book, book_info(BOOK_PEAK_MEMORY)->name);
        char text[SAY_MAX];

        if (peak == 0)
                table_cell(t, STYLE_PLAIN, NULL);
        else /* what only samples saw may have been more */
                table_cellf(t, STYLE_PLAIN, "%s%s", kind && STR_EQ(kind, "sampled") ? ">" : "",
                            say_size(peak, text));
}

static void columns(Table *t, UsageBy by) {
        static const char *const numbers[] = { "CPU",       "CPU-STALL", "MEM-STALL", "IO-STALL",
                                               "THROTTLED", "HITS",      "OOM-KILLS" };

        table_column(t, by == USAGE_BY_TENANT ? "TENANT" : "NAME", TABLE_CUT);
        if (by == USAGE_BY_CONTAINER)
                table_column(t, "TENANT", TABLE_CUT);
        table_column(t, numbers[0], TABLE_RIGHT);
        table_column(t, "MEAN", TABLE_RIGHT);
        table_column(t, "GIB-HOURS", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "PEAK", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "READ", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "WRITTEN", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "RECEIVED", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "SENT", TABLE_RIGHT | TABLE_DROP_LATE);
        for (size_t i = 1; i < ARRAY_SIZE(numbers); i++)
                table_column(t, numbers[i], TABLE_RIGHT | TABLE_DROP);
        table_column(t, by == USAGE_BY_TENANT ? "STARTS/ENDS" : "END", TABLE_RIGHT | TABLE_DROP);
}

/* Nothing, where its network is not counted in it. */
static void cell_network(Table *t, const Book *b, uint64_t have, BookField f) {
        if (have >> f & 1)
                cell_bytes(t, b->v[f]);
        else
                table_cell(t, STYLE_PLAIN, NULL);
}

static void book_cells(Table *t, const json_t *json, const Book *b, uint64_t have, usec_t span) {
        cell_span(t, b->v[BOOK_CPU_USEC]);
        cell_mean(t, b->v[BOOK_CPU_USEC], span);
        cell_gib_hours(t, b->v[BOOK_MEMORY_KIB_SECONDS]);
        cell_peak(t, json);
        cell_bytes(t, b->v[BOOK_IO_RBYTES]);
        cell_bytes(t, b->v[BOOK_IO_WBYTES]);
        cell_network(t, b, have, BOOK_NET_RX_BYTES);
        cell_network(t, b, have, BOOK_NET_TX_BYTES);
        cell_span(t, b->v[BOOK_CPU_SOME_USEC]);
        cell_span(t, b->v[BOOK_MEMORY_SOME_USEC]);
        cell_span(t, b->v[BOOK_IO_SOME_USEC]);
        cell_span(t, b->v[BOOK_THROTTLED_USEC]);
        cell_count(t,
                   num_add_sat(num_add_sat(b->v[BOOK_HITS_MEMORY_HIGH], b->v[BOOK_HITS_MEMORY_MAX]),
                               b->v[BOOK_HITS_TASKS_MAX]),
                   STYLE_WARN);
        cell_count(t, b->v[BOOK_OOM_KILLS], STYLE_BAD);
}

static void cell_starts_ends(Table *t, const Book *b) {
        table_cellf(t, STYLE_PLAIN, "%llu/%llu", (unsigned long long)b->v[BOOK_STARTS],
                    (unsigned long long)b->v[BOOK_ENDS]);
}

/* The span that its numbers are of. */
static usec_t span_of(const json_t *o, const Book *b, UsageBy by, uint64_t now) {
        uint64_t since = json_number(o, "since");

        if (by == USAGE_BY_CONTAINER && b->v[BOOK_LIFE_USEC] > 0)
                return b->v[BOOK_LIFE_USEC];
        return since > 0 && now > since ? now - since : 0;
}

static void heading(const json_t *usage, const View *v) {
        uint64_t from = json_number(usage, "from"), to = json_number(usage, "to"),
                 asked = json_number(usage, "asked");
        char a[SAY_MAX], b[SAY_MAX], span[SAY_MAX], wanted[SAY_MAX];

        if (from > 0 && to >= from)
                say_line(v, STYLE_DIM, "%s to %s: %s%s%s", say_time(from, a), say_time(to, b),
                         say_span(to - from, span), to - from < asked ? ", all that is kept of " : "",
                         to - from < asked ? say_span(asked, wanted) : "");
}

int screen_usage(const json_t *usage, UsageBy by, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        _cleanup_free_ const json_t **list = NULL;
        uint64_t now = json_number(usage, "time");
        usec_t longest = 0;
        Book total = {};
        size_t n;
        int r = usage_sorted(usage, by, &list, &n);

        if (!t || r < 0)
                return -ENOMEM;
        heading(usage, v);
        columns(t, by);
        for (size_t i = 0; i < n; i++) {
                const json_t *book = json_member(list[i], "book");
                const char *end = json_text(list[i], "end");
                usec_t span;
                uint64_t have;
                Book b;

                usage_book_read(book, &b, &have);
                span = span_of(list[i], &b, by, now);
                longest = MAX_OF(longest, span);
                book_add(&total, &b);
                table_cell(t, end ? STYLE_DIM : STYLE_PLAIN, json_text(list[i], "name"));
                if (by == USAGE_BY_CONTAINER)
                        table_cell(t, STYLE_PLAIN, json_text(list[i], "tenant"));
                book_cells(t, book, &b, have, span);
                if (by == USAGE_BY_TENANT)
                        cell_starts_ends(t, &b);
                else
                        table_cell(t, end && STR_EQ(end, "oom") ? STYLE_BAD : STYLE_DIM, end);
        }
        if (n == 0) {
                say_line(v, STYLE_DIM,
                         by == USAGE_BY_TENANT ? "no tenant has books" : "no container has books");
                return 0;
        }
        if (by == USAGE_BY_TENANT) { /* a peak of all together is in nobody's book */
                table_cell(t, STYLE_BOLD, "all tenants");
                book_cells(t, NULL, &total, UINT64_MAX, longest);
                cell_starts_ends(t, &total);
        }
        r = table_print(t, v, 0);
        return say_left_out(v, r);
}

/* ---- the verb ---- */

typedef enum UsageFormat {
        FORMAT_TABLE,
        FORMAT_CSV,
        FORMAT_JSON,
        FORMAT_OPENMETRICS,
        _FORMAT_MAX
} UsageFormat;

typedef struct Question {
        UsageFormat format;
        UsageBy by;
        bool both; /* nobody said --by: whatever the format can show */
        usec_t span; /* 0: since counting began */
} Question;

static int ask_format(const Ctl *c, Question *q) {
        static const char *const names[_FORMAT_MAX] = { "table", "csv", "json", "openmetrics" };

        if (!(c->given & OPTION_FORMAT)) {
                q->format = c->json ? FORMAT_JSON : FORMAT_TABLE;
                return STATUS_DONE;
        }
        for (int i = 0; i < _FORMAT_MAX; i++)
                if (STR_EQ(names[i], c->format)) {
                        q->format = (UsageFormat)i;
                        if (c->json && i != FORMAT_JSON)
                                return ctl_fail(STATUS_USAGE, "--format %s and --json: one of both",
                                                c->format);
                        return STATUS_DONE;
                }
        return ctl_fail(STATUS_USAGE, "--format %s: expected table, csv, json or openmetrics", c->format);
}

static int parse(const Ctl *c, Question *q) {
        int r = ask_format(c, q);

        if (r != STATUS_DONE)
                return r;
        q->both = !(c->given & OPTION_BY) && q->format >= FORMAT_JSON;
        if (c->given & OPTION_BY) {
                if (!STR_EQ(c->by, "tenant") && !STR_EQ(c->by, "container"))
                        return ctl_fail(STATUS_USAGE, "--by %s: expected tenant or container", c->by);
                q->by = STR_EQ(c->by, "tenant") ? USAGE_BY_TENANT : USAGE_BY_CONTAINER;
        }
        if ((c->given & OPTION_SINCE) &&
            (value_parse_usec(c->since, &q->span) < 0 || q->span == 0 || q->span == USEC_INFINITY))
                return ctl_fail(STATUS_USAGE, "--since %s: expected a time span such as 10min, above 0",
                                c->since);
        return STATUS_DONE;
}

/* The guard keeps half an hour; the exporter, where it runs, for years. Another host's cannot be asked. */
static int from_exporter(const Ctl *c, const Question *q, json_t **ret, Buf *error) {
        _cleanup_buf_ Buf path = BUF_INIT;

        if (c->host) {
                buf_puts(error, "more than that is kept by bailiff-exporter, which can be asked on its own "
                                "host only");
                return STATUS_FAILED;
        }
        buf_printf(&path, "/api/v1/usage?since=%llus",
                   (unsigned long long)MAX_OF(q->span / USEC_PER_SEC, (usec_t)1));
        if (!q->both)
                buf_printf(&path, "&by=%s", q->by == USAGE_BY_TENANT ? "tenant" : "container");
        return exporter_get(EXPORTER_SOCKET, buf_str(&path), ret, error);
}

static int too_far(const Question *q, const UsageReach *reach, const char *exporter) {
        char asked[SAY_MAX], span[SAY_MAX], when[SAY_MAX];

        if (reach->from == 0)
                return ctl_fail(STATUS_FAILED,
                                "the guard has no history yet; without --since: what was used since counting "
                                "began\n%s",
                                exporter);
        return ctl_fail(
                STATUS_FAILED,
                "--since %s: the guard's history reaches back %s only, to %s (it keeps half an hour); "
                "without --since: what was used since counting began\n%s",
                say_span(q->span, asked), say_span(reach->to - reach->from, span),
                say_time(reach->from, when), exporter);
}

static int from_history(Ctl *c, const Question *q, json_t **ret) {
        usec_t back = num_add_sat(q->span, USAGE_EARLIER_USEC);
        _cleanup_free_ void *data = NULL;
        _cleanup_buf_ Buf error = BUF_INIT;
        uint64_t now = clock_realtime();
        UsageReach reach = {};
        size_t len;
        int r = client_get_history(c->client, 0, 0, now > back ? now - back : 1, &data, &len);

        if (r == STATUS_UNREACHABLE && !c->host && from_exporter(c, q, ret, &error) == STATUS_DONE)
                return STATUS_DONE;
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        r = usage_from_history(data, len, q->span, ret, &reach);
        if (r > 0)
                return from_exporter(c, q, ret, &error) == STATUS_DONE ? STATUS_DONE
                                                                       : too_far(q, &reach, buf_str(&error));
        if (r == -ENOMEM)
                return ctl_rendered(r);
        return r < 0 ? ctl_fail(STATUS_FAILED, "the guard's history cannot be read: %s",
                                r == -EPROTONOSUPPORT ? "it is of a later version" : "it is damaged")
                     : STATUS_DONE;
}

static int get(Ctl *c, const Question *q, json_t **ret) {
        int r;

        if (q->span > 0) {
                r = from_history(c, q, ret);
                if (r == STATUS_DONE && !q->both)
                        (void)json_object_del(*ret, q->by == USAGE_BY_TENANT ? "containers" : "tenants");
                return r;
        }
        r = client_get(c->client, "GetUsage",
                       q->both                    ? ""
                       : q->by == USAGE_BY_TENANT ? "tenant"
                                                  : "container",
                       ret);
        return r == STATUS_DONE ? r : ctl_client_failed(c, r);
}

static int print(Ctl *c, const Question *q, const json_t *usage, const json_t *status) {
        _cleanup_buf_ Buf out = BUF_INIT;
        int r;

        if (q->format == FORMAT_TABLE) {
                ctl_page(c);
                return screen_usage(usage, q->by, &c->view);
        }
        r = q->format == FORMAT_CSV ? usage_csv(usage, q->by, &out) : usage_openmetrics(usage, status, &out);
        if (r >= 0)
                (void)fputs(buf_str(&out), c->view.out);
        return r;
}

int verb_usage(Ctl *c) {
        json_t *usage = NULL, *status = NULL;
        Question q = {};
        int r = parse(c, &q);

        if (r == STATUS_DONE)
                r = get(c, &q, &usage);
        if (r == STATUS_DONE && q.format == FORMAT_JSON)
                return ctl_print_json(c, usage);
        if (r == STATUS_DONE && q.format == FORMAT_OPENMETRICS) {
                r = client_get(c->client, "GetStatus", NULL, &status);
                if (r != STATUS_DONE)
                        (void)ctl_client_failed(c, r);
        }
        if (r == STATUS_DONE)
                r = ctl_rendered(print(c, &q, usage, status));
        json_decref(status);
        json_decref(usage);
        return r;
}
