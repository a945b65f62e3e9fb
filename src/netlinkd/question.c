/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which processes stand out?
 *
 * The guard has pids of a cgroup; what they are called, use and wait for is to be seen in /proc, where the guard does not
 * look (it sees none of those that have more capabilities than itself), and in taskstats. They are looked at twice, and
 * ordered by what they did between, for who used most since it began need not be who uses it now.
 *
 * Some questions at a time: one more has the oldest answered at once, with as much of its span as went by.
 */

#include "procpid.h"
#include "service-internal.h"

static const TallyTask delays[] = { TALLY_DELAY_CPU_USEC,    TALLY_DELAY_BLKIO_USEC,
                                    TALLY_DELAY_SWAP_USEC,   TALLY_DELAY_RECLAIM_USEC,
                                    TALLY_DELAY_THRASH_USEC, TALLY_DELAY_COMPACT_USEC };

static uint64_t more(uint64_t now, uint64_t before) { return now - MIN_OF(now, before); }

static bool look(Service *s, Question *q, uint32_t pid, ProcPid *p, uint64_t ret_delays[_TALLY_TASK_MAX]) {
        KinRecord record = {};
        int r;

        if (procpid_read(s->proc, (pid_t)pid, p) != 0 || p->state == 'Z' || p->state == 'X')
                return false;
        if (q->ask.delays_error == 0) {
                r = tasksock_ask(&s->tasks, pid, &record);
                /* Who has gone meanwhile says nothing of the kernel. */
                if (r < 0 && r != -ESRCH)
                        q->ask.delays_error = (uint32_t)-r;
        }
        memcpy(ret_delays, record.tasks, sizeof(record.tasks));
        return true;
}

static uint64_t standing(const NlProcess *p, NlBy by) {
        switch (by) {
        case NL_BY_MEMORY:
                return p->rss_bytes;
        case NL_BY_IO:
                return p->span[TALLY_DELAY_BLKIO_USEC];
        default:
                return p->span[TALLY_CPU_USEC];
        }
}

static bool goes_before(const NlProcess *a, const NlProcess *b, NlBy by) {
        uint64_t x = standing(a, by), y = standing(b, by);

        if (x != y)
                return x > y;
        if (a->span[TALLY_CPU_USEC] != b->span[TALLY_CPU_USEC])
                return a->span[TALLY_CPU_USEC] > b->span[TALLY_CPU_USEC];
        return a->cpu_usec != b->cpu_usec ? a->cpu_usec > b->cpu_usec : a->pid < b->pid;
}

static size_t insert(NlProcess *top, size_t n, const NlProcess *p, NlBy by) {
        size_t i;

        if (n == NLWIRE_ANSWER_MAX) {
                if (!goes_before(p, &top[n - 1], by))
                        return n;
                n--;
        }
        for (i = n; i > 0 && goes_before(p, &top[i - 1], by); i--)
                top[i] = top[i - 1];
        top[i] = *p;
        return n + 1;
}

static void answer(Service *s, Question *q, usec_t now) {
        NlProcess top[NLWIRE_ANSWER_MAX];
        size_t n = 0;

        q->due = USEC_INFINITY;
        q->ask.span_usec = MIN_OF(now - q->asked, NLWIRE_SPAN_MAX);
        for (size_t i = 0; i < q->n; i++) {
                const Looked *l = &q->first[i];
                uint64_t then[_TALLY_TASK_MAX];
                NlProcess p;
                ProcPid proc;

                if (!l->there || !look(s, q, l->pid, &proc, then) || proc.start != l->start)
                        continue;
                p = (NlProcess){
                        .pid = l->pid,
                        .threads = proc.threads,
                        .start = proc.start,
                        .cpu_usec = proc.cpu_usec,
                        .rss_bytes = proc.rss_bytes,
                };
                p.span[TALLY_CPU_USEC] = more(proc.cpu_usec, l->cpu_usec);
                for (size_t k = 0; k < ARRAY_SIZE(delays); k++)
                        p.span[delays[k]] = more(then[delays[k]], l->delays[delays[k]]);
                memcpy(p.comm, proc.comm, sizeof(p.comm));
                n = insert(top, n, &p, (NlBy)q->ask.by);
        }
        nlwire_begin(&s->out, NLWIRE_ANSWER, &q->ask);
        for (size_t i = 0; i < n; i++)
                (void)nlwire_add(&s->out, &top[i]);
        (void)answers_send(s);
}

void question_init(Service *s) {
        for (size_t i = 0; i < QUESTIONS_MAX; i++)
                s->questions[i].due = USEC_INFINITY;
}

usec_t question_next_time(const Service *s) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < QUESTIONS_MAX; i++)
                next = MIN_OF(next, s->questions[i].due);
        return next;
}

void question_beat(Service *s, usec_t now) {
        for (size_t i = 0; i < QUESTIONS_MAX; i++)
                if (now >= s->questions[i].due)
                        answer(s, &s->questions[i], now);
}

void question_take(Service *s, const NlPacket *p, usec_t now) {
        Question *q = &s->questions[0];

        for (size_t i = 1; i < QUESTIONS_MAX && q->due != USEC_INFINITY; i++)
                if (s->questions[i].due == USEC_INFINITY || s->questions[i].asked < q->asked)
                        q = &s->questions[i];
        if (q->due != USEC_INFINITY)
                answer(s, q, now);
        q->ask = p->ask;
        q->ask.delays_error = 0;
        q->n = p->n;
        q->asked = now;
        q->due = now + q->ask.span_usec;
        for (size_t i = 0; i < q->n; i++) {
                Looked *l = &q->first[i];
                ProcPid proc;

                *l = (Looked){};
                nlwire_item(p, i, &l->pid);
                l->there = l->pid - 1 < INT32_MAX && look(s, q, l->pid, &proc, l->delays);
                if (!l->there)
                        continue;
                l->start = proc.start;
                l->cpu_usec = proc.cpu_usec;
        }
}
