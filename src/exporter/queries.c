/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A question about years can take seconds, and who scrapes must not wait for it. SQLite's WAL lets any number read while one
 * writes, so each thread has a reader, which sees the file as of the moment when it begins.
 *
 * A question goes from the loop to a thread and back as one object, which belongs to whoever has it out of its list; the lists are
 * all that is shared. An eventfd wakes the loop. Time is bounded by SQLite's progress handler, which also looks whether all is to end.
 */

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "fifo.h"
#include "queries.h"

#define BODY_TRIM (1 << 20) /* after an answer so large memory is given back */

typedef struct Query {
        FifoItem item;
        Queries *of;
        HistoryQuestion question;
        void *cookie;
        usec_t until; /* monotonic */
        HttpAnswer answer;
} Query;

typedef struct Worker {
        Queries *of;
        pthread_t thread;
        HistoryDb *reader;
} Worker;

struct Queries {
        QueriesOptions o;
        int fd;
        Worker workers[QUERIES_AT_ONCE];
        size_t n_workers;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t come;
        Fifo waiting, done;
        bool ends;
};

static bool ends(Queries *q) {
        bool yes;

        (void)pthread_mutex_lock(&q->lock);
        yes = q->ends;
        (void)pthread_mutex_unlock(&q->lock);
        return yes;
}

static bool must_stop(void *user) {
        Query *q = user;

        return clock_monotonic() >= q->until || ends(q->of);
}

static void *work(void *user) {
        Worker *w = user;
        Queries *of = w->of;

        for (;;) {
                static const uint64_t one = 1;
                bool large;
                Query *q;

                (void)pthread_mutex_lock(&of->lock);
                while (!of->ends && !of->waiting.first)
                        (void)pthread_cond_wait(&of->come, &of->lock);
                q = of->ends ? NULL : fifo_take(&of->waiting);
                (void)pthread_mutex_unlock(&of->lock);
                if (!q)
                        return NULL;
                query_answer(w->reader, &q->question, must_stop, q, &q->answer);
                large = q->answer.body.len >= BODY_TRIM;
                (void)pthread_mutex_lock(&of->lock);
                fifo_add(&of->done, &q->item);
                (void)pthread_mutex_unlock(&of->lock);
                (void)!write(of->fd, &one, sizeof(one)); /* it cannot be full: the loop reads it */
                if (large)
                        (void)malloc_trim(0);
        }
}

static int start_worker(Queries *q) {
        Worker *w = &q->workers[q->n_workers];
        sigset_t all, before;
        int r;

        *w = (Worker){ .of = q };
        r = history_db_new_reader(q->o.path, &w->reader);
        if (r < 0)
                return r;
        (void)sigfillset(&all); /* they are the loop's */
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        r = pthread_create(&w->thread, NULL, work, w);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0) {
                w->reader = history_db_free(w->reader);
                return -r;
        }
        q->n_workers++;
        return 0;
}

int queries_new(const QueriesOptions *o, Queries **ret) {
        Queries *q = calloc(1, sizeof(*q));
        int r = 0;

        if (!q)
                return -ENOMEM;
        q->o = *o;
        (void)pthread_mutex_init(&q->lock, NULL);
        (void)pthread_cond_init(&q->come, NULL);
        q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (q->fd < 0)
                r = -errno;
        for (size_t i = 0; i < QUERIES_AT_ONCE && r == 0; i++)
                r = start_worker(q);
        if (r < 0)
                return queries_free(q), r;
        *ret = q;
        return 0;
}

static void hand_over(Queries *q, Query *query) {
        q->o.answered(q->o.user, query->cookie, &query->answer);
        buf_deinit(&query->answer.body);
        free(query);
}

Queries *queries_free(Queries *q) {
        Query *query;

        if (!q)
                return NULL;
        (void)pthread_mutex_lock(&q->lock);
        q->ends = true;
        (void)pthread_cond_broadcast(&q->come);
        (void)pthread_mutex_unlock(&q->lock);
        for (size_t i = 0; i < q->n_workers; i++) {
                (void)pthread_join(q->workers[i].thread, NULL);
                history_db_free(q->workers[i].reader);
        }
        while ((query = fifo_take(&q->waiting))) {
                query->answer.status = 503;
                hand_over(q, query);
        }
        while ((query = fifo_take(&q->done)))
                hand_over(q, query);
        (void)pthread_cond_destroy(&q->come);
        (void)pthread_mutex_destroy(&q->lock);
        (void)fd_close(q->fd);
        free(q);
        return NULL;
}

int queries_add(Queries *q, const HistoryQuestion *question, void *cookie) {
        Query *query = calloc(1, sizeof(*query));
        bool full;

        if (!query)
                return -ENOMEM;
        *query = (Query){ .of = q,
                          .question = *question,
                          .cookie = cookie,
                          .until = clock_monotonic() + QUERY_USEC,
                          .answer = { .status = 200, .type = "text/plain; charset=utf-8" } };
        (void)pthread_mutex_lock(&q->lock);
        full = q->waiting.n >= QUERIES_WAITING;
        if (!full) {
                fifo_add(&q->waiting, &query->item);
                (void)pthread_cond_signal(&q->come);
        }
        (void)pthread_mutex_unlock(&q->lock);
        if (full)
                free(query);
        return full ? -EBUSY : 0;
}

int queries_fd(const Queries *q) { return q->fd; }

void queries_collect(Queries *q) {
        uint64_t n;

        (void)!read(q->fd, &n, sizeof(n));
        for (;;) {
                Query *query;

                (void)pthread_mutex_lock(&q->lock);
                query = fifo_take(&q->done);
                (void)pthread_mutex_unlock(&q->lock);
                if (!query)
                        return;
                hand_over(q, query);
        }
}
