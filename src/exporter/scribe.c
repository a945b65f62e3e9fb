/* SPDX-License-Identifier: Apache-2.0 */

/* A job belongs to whoever has it out of its list; the lists, and when the thread began with its job, are all that is shared. */

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fdio.h"
#include "scribe.h"

static void submit_at_once(void *user, HistoryJob *j) {
        j->result = j->run(j, user);
        j->done(j);
}

static bool always(void *user) {
        (void)user;
        return true;
}

HistoryJobs history_jobs_at_once(HistoryDb *db) { return (HistoryJobs){ submit_at_once, always, db }; }

struct Scribe {
        HistoryDb *db; /* the thread's */
        int fd;
        pthread_t thread;
        bool runs;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t come;
        Fifo waiting, done;
        unsigned left; /* submitted and not done */
        usec_t since;
        bool ends;
};

static HistoryJob *next_job(Scribe *w) {
        HistoryJob *j;

        (void)pthread_mutex_lock(&w->lock);
        while (!w->ends && !w->waiting.first)
                (void)pthread_cond_wait(&w->come, &w->lock);
        j = fifo_take(&w->waiting);
        w->since = j ? clock_monotonic() : 0;
        (void)pthread_mutex_unlock(&w->lock);
        return j;
}

static void *work(void *user) {
        static const uint64_t one = 1;
        Scribe *w = user;
        HistoryJob *j;

        while ((j = next_job(w))) {
                j->result = j->run(j, w->db);
                (void)pthread_mutex_lock(&w->lock);
                w->since = 0;
                w->left--;
                fifo_add(&w->done, &j->item);
                (void)pthread_mutex_unlock(&w->lock);
                (void)!write(w->fd, &one, sizeof(one)); /* it cannot be full: the loop reads it */
        }
        return NULL;
}

int scribe_new(const HistoryDbOptions *o, Scribe **ret) {
        Scribe *w = calloc(1, sizeof(*w));
        sigset_t all, before;
        int r;

        if (!w)
                return -ENOMEM;
        (void)pthread_mutex_init(&w->lock, NULL);
        (void)pthread_cond_init(&w->come, NULL);
        w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = w->fd < 0 ? -errno : history_db_new(o, &w->db);
        if (r < 0)
                return scribe_free(w), r;
        (void)sigfillset(&all); /* they are the loop's */
        (void)pthread_sigmask(SIG_BLOCK, &all, &before);
        r = pthread_create(&w->thread, NULL, work, w);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0)
                return scribe_free(w), -r;
        w->runs = true;
        *ret = w;
        return 0;
}

Scribe *scribe_free(Scribe *w) {
        if (!w)
                return NULL;
        (void)pthread_mutex_lock(&w->lock);
        w->ends = true;
        (void)pthread_cond_signal(&w->come);
        (void)pthread_mutex_unlock(&w->lock);
        if (w->runs)
                (void)pthread_join(w->thread, NULL);
        w->runs = false;
        scribe_collect(w);
        history_db_free(w->db);
        (void)pthread_cond_destroy(&w->come);
        (void)pthread_mutex_destroy(&w->lock);
        fd_close(w->fd);
        free(w);
        return NULL;
}

void scribe_submit(Scribe *w, HistoryJob *j) {
        if (!w->runs) {
                j->result = HISTORY_DB_STOPPED;
                j->done(j);
                return;
        }
        (void)pthread_mutex_lock(&w->lock);
        fifo_add(&w->waiting, &j->item);
        w->left++;
        (void)pthread_cond_signal(&w->come);
        (void)pthread_mutex_unlock(&w->lock);
}

int scribe_fd(const Scribe *w) { return w->fd; }

void scribe_collect(Scribe *w) {
        uint64_t n;

        (void)!read(w->fd, &n, sizeof(n));
        for (;;) {
                HistoryJob *j;

                (void)pthread_mutex_lock(&w->lock);
                j = fifo_take(&w->done);
                (void)pthread_mutex_unlock(&w->lock);
                if (!j)
                        return;
                j->done(j);
        }
}

static unsigned left(Scribe *w) {
        unsigned n;

        (void)pthread_mutex_lock(&w->lock);
        n = w->left;
        (void)pthread_mutex_unlock(&w->lock);
        return n;
}

bool scribe_wait(Scribe *w, unsigned n, usec_t usec) {
        usec_t now = clock_monotonic(), until = now + usec;

        for (;; now = clock_monotonic()) {
                struct pollfd p = { .fd = w->fd, .events = POLLIN };

                scribe_collect(w);
                if (left(w) <= n)
                        return true;
                if (now >= until)
                        return false;
                (void)poll(&p, 1, (int)((until - now) / USEC_PER_MSEC) + 1);
        }
}

usec_t scribe_since(Scribe *w) {
        usec_t since;

        (void)pthread_mutex_lock(&w->lock);
        since = w->since;
        (void)pthread_mutex_unlock(&w->lock);
        return since;
}
