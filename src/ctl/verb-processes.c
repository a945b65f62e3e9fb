/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `processes NAME`: which processes of a container use what, and what they wait for. The same lines are in `show`, and, of the
 * moment of an act, in `why`.
 */

#include <stdio.h>

#include "ctl.h"
#include "num.h"
#include "screens.h"

void process_wait(Buf *b, const json_t *process, uint64_t span) {
        static const struct {
                const char *key, *text;
        } waits[] = {
                { "cpu_usec", "CPU" },
                { "io_usec", "IO" },
                { "swap_usec", "swap" },
                { "reclaim_usec", "memory to be freed" },
                { "thrash_usec", "pages thrown out just before" },
                { "compact_usec", "memory to be put in order" },
        };
        const json_t *delays = json_member(process, "delays");
        uint64_t most = 0;
        char part[SAY_MAX];
        size_t which = 0;

        for (size_t i = 0; i < ARRAY_SIZE(waits); i++)
                if (json_number(delays, waits[i].key) > most) {
                        most = json_number(delays, waits[i].key);
                        which = i;
                }
        if (span == 0 || most < span / 100)
                return;
        buf_printf(b, "%s %s", waits[which].text, say_permyriad(num_muldiv(most, 10000, span), part));
}

uint64_t process_cpu(const json_t *process, uint64_t span) {
        return span > 0 ? num_muldiv(json_number(process, "span_cpu_usec"), 10000, span) : 0;
}

int screen_processes(const json_t *answer, const View *v) {
        _cleanup_(cleanup_table_free) Table *t = table_new();
        const json_t *list = json_member(answer, "processes"), *p;
        uint64_t span = json_number(answer, "span_usec");
        const char *error = json_text(answer, "error");
        bool delays = false;
        size_t i;
        int r;

        if (!t)
                return -ENOMEM;
        if (error || json_array_size(list) == 0) {
                say_field(v, "Processes", error ? STYLE_WARN : STYLE_DIM, "%s%s",
                          error ? "not known: " : "none that could be seen", error ? error : "");
                return 0;
        }
        table_column(t, "PID", TABLE_RIGHT);
        table_column(t, "COMMAND", TABLE_CUT);
        table_column(t, "CPU", TABLE_RIGHT);
        table_column(t, "CPU TIME", TABLE_RIGHT | TABLE_DROP_LATE);
        table_column(t, "MEMORY", TABLE_RIGHT);
        table_column(t, "THREADS", TABLE_RIGHT | TABLE_DROP);
        table_column(t, "WAITS MOST FOR", TABLE_CUT | TABLE_DROP_LATE);
        json_array_foreach(list, i, p) {
                _cleanup_buf_ Buf wait = BUF_INIT;
                char text[SAY_MAX];

                delays |= json_has(p, "delays");
                process_wait(&wait, p, span);
                table_cellf(t, STYLE_PLAIN, "%llu", (unsigned long long)json_number(p, "pid"));
                table_cell(t, STYLE_BOLD, json_text(p, "comm"));
                table_cell(t, STYLE_PLAIN, say_permyriad(process_cpu(p, span), text));
                table_cell(t, STYLE_PLAIN, say_span(json_number(p, "cpu_usec"), text));
                table_cell(t, STYLE_PLAIN, say_size(json_number(p, "rss_bytes"), text));
                table_cellf(t, STYLE_PLAIN, "%llu", (unsigned long long)json_number(p, "threads"));
                table_cell(t, STYLE_PLAIN, buf_str(&wait));
        }
        r = say_left_out(v, table_print(t, v, 2));
        if (!delays)
                say_line(v, STYLE_DIM, "  What they wait for is not known: kernel.task_delayacct is 0.");
        return r;
}

void tell_processes(Buf *b, const json_t *judged) {
        const json_t *list = json_member(judged, "processes"), *p;
        uint64_t span = json_number(judged, "processes_span_usec");
        size_t i;

        json_array_foreach(list, i, p) {
                _cleanup_buf_ Buf wait = BUF_INIT;
                const char *comm = json_text(p, "comm");
                char cpu[SAY_MAX], rss[SAY_MAX];

                if (i == TOLD_PROCESSES_MAX)
                        break;
                process_wait(&wait, p, span);
                buf_printf(b, "%s%s (pid %llu) used %s CPU and %s of memory%s%s", i > 0 ? "; " : "",
                           comm ? comm : "?", (unsigned long long)json_number(p, "pid"),
                           say_permyriad(process_cpu(p, span), cpu),
                           say_size(json_number(p, "rss_bytes"), rss),
                           wait.len > 0 ? ", and waited for " : "", buf_str(&wait));
                if (wait.len > 0 && json_number(p, "threads") > 1)
                        buf_printf(b, " (its %llu threads together)",
                                   (unsigned long long)json_number(p, "threads"));
        }
        if (b->len > 0)
                buf_putc(b, '.');
}

int verb_processes(Ctl *c) {
        json_t *o = NULL;
        int r = client_get(c->client, "GetProcesses", c->arguments[0], &o);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        if (c->json)
                return ctl_print_json(c, o);
        r = screen_processes(o, &c->view);
        json_decref(o);
        return ctl_rendered(r);
}
