/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which executions of a main process are told?
 *
 * A container begins with a chain of them: the runtime's init executes the entry point, that a script, that a
 * wrapper, that at last what the container is there for. Only the last one of a chain says something, so executions are
 * told when there was none for a while, the last one by name and how many came before it. What a new container settles on is told so, too;
 * what one runs that was there before the guard is known, but no news.
 *
 * A tenant can have its main process execute programs in a loop. It never settles, so it is told after a while all the
 * same, and its container has a few of these and then one in ten minutes: what comes between is counted, and told with
 * the next one. What it runs is known all the time, and with its end the last one is named.
 *
 * A process calls itself what it likes. What is no printable ASCII is told as \xNN, a backslash too, so that
 * two names are never told alike.
 */

#include "execs.h"
#include "num.h"

static void set_program(Execs *e, const char *comm) {
        static const char digits[] = "0123456789abcdef";
        size_t n = 0;

        for (const unsigned char *p = (const unsigned char *)comm; *p && n + 4 < sizeof(e->program); p++) {
                if (*p >= ' ' && *p < 0x7f && *p != '\\') {
                        e->program[n++] = (char)*p;
                        continue;
                }
                e->program[n++] = '\\';
                e->program[n++] = 'x';
                e->program[n++] = digits[*p >> 4];
                e->program[n++] = digits[*p & 15];
        }
        e->program[n] = '\0';
}

static void copy(char to[static EXECS_PROGRAM_MAX], const char from[static EXECS_PROGRAM_MAX]) {
        memcpy(to, from, EXECS_PROGRAM_MAX);
}

static void owe(Execs *e, usec_t now) {
        if (!e->owed)
                e->since = now;
        e->owed = true;
        e->last = now;
}

void execs_seen(Execs *e, uint64_t n, const char *comm, bool fresh, usec_t now) {
        bool first = !e->known;

        set_program(e, comm);
        e->known = true;
        e->n = num_add_sat(e->n, n);
        e->n_all = num_add_sat(e->n_all, n);
        e->first = e->first || (first && fresh);
        if (n > 0 || (first && fresh))
                owe(e, now);
        else if (first)
                copy(e->told, e->program);
}

static bool is_due(Execs *e, bool ended, usec_t now) {
        if (!e->owed)
                return false;
        if (!ended && now < num_add_sat(e->last, EXECS_CALM_USEC) &&
            now < num_add_sat(e->since, EXECS_LONGEST_USEC))
                return false;
        return allowance_has(&e->allowance, now, 1, (EXECS_BURST - 1) * EXECS_EACH_USEC + 1);
}

bool execs_take(Execs *e, bool ended, usec_t now, ExecsTold *ret) {
        if (!is_due(e, ended, now))
                return false;
        allowance_spend(&e->allowance, EXECS_EACH_USEC);
        *ret = (ExecsTold){ .first = e->first, .n_left_out = e->n - MIN_OF(e->n, (uint64_t)1) };
        copy(ret->program, e->program);
        copy(ret->before, e->told);
        copy(e->told, e->program);
        e->n_left_out = num_add_sat(e->n_left_out, ret->n_left_out);
        e->n = 0;
        e->owed = e->first = false;
        return true;
}

void execs_format(const ExecsTold *t, Buf *b) {
        const char *program = t->program[0] ? t->program : "a program whose name nobody saw";

        buf_printf(b, t->first ? "runs %s" : "has executed %s", program);
        if (!t->first && t->before[0])
                buf_printf(b, "; before that it ran %s", t->before);
        if (t->n_left_out > 0)
                buf_printf(b, " (%llu execution%s before that not told)", (unsigned long long)t->n_left_out,
                           t->n_left_out == 1 ? "" : "s");
}
