/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting for processes to end.
 *
 * Each one is looked at in /proc after the kernel was asked to tell of its end,
 * for it may have ended before, and again whenever events were lost. Who is not there
 * any more may still have an event in the socket, which says how it
 * ended; so it counts as ended unseen only after that was read empty once more.
 *
 * Executions are counted, and told as a number: what the process calls itself is looked at when that is told.
 */

#include "watches.h"

void watches_deinit(Watches *w) {
        Watch *one;

        for (size_t i = 0; (one = map_next(&w->by_cookie, &i));)
                free(one);
        map_deinit(&w->by_cookie);
        map_deinit(&w->by_pid);
        *w = (Watches){};
}

static void leave_states(Watches *w, const Watch *one) {
        w->n_unchecked -= !one->checked && !one->ended;
        w->n_missing -= one->missing && !one->ended;
        w->n_ended -= one->ended;
}

static void set_ended(Watches *w, Watch *one, uint32_t code, bool known) {
        if (one->ended)
                return;
        leave_states(w, one);
        one->ended = true;
        one->known = known;
        one->code = code;
        w->n_ended++;
        (void)map_remove_u64(&w->by_pid, one->pid);
        w->changed = true;
}

static void set_news(Watches *w, Watch *one) {
        w->n_news += !one->news;
        one->news = true;
}

void watches_remove(Watches *w, uint64_t cookie) {
        Watch *one = map_remove_u64(&w->by_cookie, cookie);

        if (!one)
                return;
        watches_told(w, one);
        leave_states(w, one);
        if (!one->ended) {
                (void)map_remove_u64(&w->by_pid, one->pid);
                w->changed = true;
        }
        free(one);
}

int watches_add(Watches *w, uint64_t cookie, uint32_t pid, uint64_t start) {
        Watch *one, *before;
        int r;

        watches_remove(w, cookie);
        if (w->by_cookie.n >= WATCHES_MAX)
                return -ENOSPC;
        before = map_get_u64(&w->by_pid, pid);
        if (before)
                set_ended(w, before, 0, false);
        one = calloc(1, sizeof(*one));
        if (!one)
                return -ENOMEM;
        *one = (Watch){ .cookie = cookie, .pid = pid, .start = start };
        r = map_put_u64(&w->by_cookie, cookie, one);
        if (r >= 0) {
                r = map_put_u64(&w->by_pid, pid, one);
                if (r < 0)
                        (void)map_remove_u64(&w->by_cookie, cookie);
        }
        if (r < 0) {
                free(one);
                return r;
        }
        w->n_unchecked++;
        w->changed = true;
        return 0;
}

void watches_exited(Watches *w, uint32_t pid, uint32_t code) {
        Watch *one = map_get_u64(&w->by_pid, pid);

        if (one)
                set_ended(w, one, code, true);
}

void watches_execed(Watches *w, uint32_t pid) {
        Watch *one = map_get_u64(&w->by_pid, pid);

        if (!one)
                return;
        one->n_execs++;
        set_news(w, one);
}

void watches_doubt(Watches *w) {
        Watch *one;

        for (size_t i = 0; (one = map_next(&w->by_pid, &i));)
                if (one->checked) {
                        one->checked = false;
                        w->n_unchecked++;
                }
}

Watch *watches_unchecked(Watches *w, size_t *i) {
        Watch *one;

        if (w->n_unchecked == 0)
                return NULL;
        while ((one = map_next(&w->by_pid, i)))
                if (!one->checked)
                        return one;
        return NULL;
}

void watches_looked(Watches *w, Watch *one, bool there) {
        w->n_unchecked -= !one->checked;
        one->checked = true;
        if (there && !one->met) {
                one->met = true;
                set_news(w, one);
        }
        if (!there && !one->missing) {
                one->missing = true;
                w->n_missing++;
        }
}

void watches_settle(Watches *w) {
        Watch *one;

        if (w->n_missing == 0)
                return;
        for (size_t i = 0; (one = map_next(&w->by_pid, &i));)
                if (one->missing)
                        set_ended(w, one, 0, false);
}

Watch *watches_ended(Watches *w, size_t *i) {
        Watch *one;

        if (w->n_ended == 0)
                return NULL;
        while ((one = map_next(&w->by_cookie, i)))
                if (one->ended)
                        return one;
        return NULL;
}

Watch *watches_news(Watches *w, size_t *i) {
        Watch *one;

        if (w->n_news == 0)
                return NULL;
        while ((one = map_next(&w->by_cookie, i)))
                if (one->news)
                        return one;
        return NULL;
}

void watches_told(Watches *w, Watch *one) {
        w->n_news -= one->news;
        one->news = false;
        one->n_execs = 0;
}

static int pid_cmp(const void *a, const void *b) {
        uint32_t x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return x < y ? -1 : x > y;
}

size_t watches_pids(Watches *w, uint32_t *pids, size_t max) {
        Watch *one;
        size_t n = 0;

        for (size_t i = 0; n < max && (one = map_next(&w->by_pid, &i));)
                pids[n++] = one->pid;
        qsort(pids, n, sizeof(*pids), pid_cmp);
        w->changed = false;
        return w->by_pid.n;
}
