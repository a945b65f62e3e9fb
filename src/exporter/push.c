/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All series of the page, every RemoteWriteInterval=, as requests into the backlog on disk; from there one request at a time, in
 * order, to the receiver. There is one way for all of it, whether the receiver is well or not: so what is told after a pause, or by
 * the next process, is what would have been told.
 *
 * An attempt without an answer, or with one that says "later" (5xx, 429), comes again, after a second at first and a minute at
 * last, or when the answer said (Retry-After). What the receiver refuses otherwise it would refuse for ever: the request is given up,
 * counted, and its reason told. Samples have the time at which they were collected, however late they arrive.
 *
 * Passwords and tokens are read anew for each attempt: those who change them restart nothing.
 */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#include "backlog.h"
#include "config.h"
#include "exporter.h"
#include "fdio.h"
#include "poster.h"
#include "remotewrite.h"

#define ATTEMPT_USEC (30 * USEC_PER_SEC)
#define WAIT_MIN_USEC USEC_PER_SEC
#define WAIT_MAX_USEC (60 * USEC_PER_SEC)
#define RETRY_AFTER_MAX_SEC 3600
#define SECRET_MAX 8192

struct Push {
        const ConfigPush *config;
        Backlog *backlog;
        RemoteWrite *writer;
        Poster *poster;
        uint32_t samples; /* of the request under way */
        unsigned attempts; /* in a row that failed */
        usec_t retry_at;
        PushStatus status; /* without what the backlog knows */
};

/* ---- what becomes of an attempt ---- */

PushVerdict push_judge(unsigned status) {
        if (status >= 200 && status < 300)
                return PUSH_SENT;
        return status == 0 || status == 429 || status >= 500 ? PUSH_AGAIN : PUSH_GIVE_UP;
}

usec_t push_wait(unsigned attempts, uint64_t retry_after_sec, uint64_t random) {
        usec_t wait = WAIT_MIN_USEC;

        for (unsigned i = 1; i < attempts && wait < WAIT_MAX_USEC; i++)
                wait *= 2;
        wait = MIN_OF(wait, WAIT_MAX_USEC);
        /* Not all of many hosts at the same moment. */
        wait = wait / 2 + random % (wait / 2 + 1);
        return MAX_OF(wait, MIN_OF(retry_after_sec, (uint64_t)RETRY_AFTER_MAX_SEC) * USEC_PER_SEC);
}

static uint64_t any_number(void) {
        uint64_t v = 0;

        return getrandom(&v, sizeof(v), GRND_NONBLOCK) < 0 ? 0 : v;
}

static void failed(Push *p, usec_t now, uint64_t retry_after_sec, const char *format, ...) _printf_(4, 5);
static void failed(Push *p, usec_t now, uint64_t retry_after_sec, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(p->status.error, sizeof(p->status.error), format, ap);
        va_end(ap);
        p->status.state = PUSH_FAILING;
        p->status.failures++;
        p->attempts++;
        p->retry_at = now + push_wait(p->attempts, retry_after_sec, any_number());
}

static void ended(Push *p, const PosterResult *res, usec_t now, uint64_t realtime) {
        PushStatus *s = &p->status;

        switch (push_judge(res->status)) {
        case PUSH_SENT:
                s->state = PUSH_WELL;
                s->error[0] = '\0';
                s->samples += p->samples;
                s->requests++;
                s->last_success = realtime;
                break;
        case PUSH_AGAIN:
                if (res->status == 0)
                        failed(p, now, 0, "%s", res->text);
                else
                        failed(p, now, res->retry_after_sec, "HTTP %u: %s", res->status, res->text);
                return;
        case PUSH_GIVE_UP:
                s->state = PUSH_REFUSED;
                (void)snprintf(s->error, sizeof(s->error), "HTTP %u: %s", res->status, res->text);
                s->failures++;
                s->dropped += p->samples;
                break;
        }
        p->attempts = 0;
        p->retry_at = 0;
        backlog_done(p->backlog);
}

/* ---- an attempt ---- */

/* Of a file the first word. NULL path: none. */
static int read_secret(const char *path, char **ret) {
        size_t len;
        int r;

        if (!path)
                return 0;
        r = fd_read_regular_at(AT_FDCWD, path, SECRET_MAX, ret, &len, NULL, NULL);
        if (r >= 0)
                (*ret)[strcspn(*ret, "\r\n")] = '\0';
        return r;
}

static bool start(Push *p, const void *body, size_t len, usec_t now) {
        const ConfigPush *c = p->config;
        _cleanup_free_ char *password = NULL, *token = NULL;
        PosterAuth auth = { .user = c->user };
        int r = read_secret(c->password_file, &password);

        if (r < 0) {
                failed(p, now, 0, "RemoteWritePasswordFile=%s: %s", c->password_file, strerror(-r));
                return false;
        }
        r = read_secret(c->token_file, &token);
        if (r < 0) {
                failed(p, now, 0, "RemoteWriteTokenFile=%s: %s", c->token_file, strerror(-r));
                return false;
        }
        auth.password = password;
        auth.token = token;
        r = poster_send(p->poster, body, len, &auth);
        if (r < 0)
                failed(p, now, 0, "%s", strerror(-r));
        return r >= 0;
}

void push_run(Push *p, usec_t now, uint64_t realtime, usec_t *ret_again) {
        PosterResult result;
        const void *body;
        usec_t again;
        size_t len;

        for (;;) {
                if (poster_run(p->poster, now, &result, &again))
                        ended(p, &result, now, realtime);
                if (poster_busy(p->poster) || now < p->retry_at ||
                    !backlog_peek(p->backlog, &body, &len, &p->samples) || !start(p, body, len, now))
                        break;
        }
        if (!poster_busy(p->poster) && p->retry_at > now)
                again = MIN_OF(again, p->retry_at);
        *ret_again = again;
}

void push_set_slow(Push *p, bool slow) { backlog_set_slow(p->backlog, slow); }

int push_fd(const Push *p) { return poster_fd(p->poster); }

/* ---- a round ---- */

static void each(void *user, const char *name, const MetricLabel *labels, size_t n, uint64_t value,
                 unsigned decimals) {
        remotewrite_sample(user, name, labels, n, value, decimals);
}

static void take(void *user, const void *data, size_t len, uint32_t samples) {
        backlog_add(user, data, len, samples);
}

int push_collect(Push *p, const Pages *pages, uint64_t realtime) {
        int r;

        remotewrite_begin(p->writer, (int64_t)(realtime / USEC_PER_MSEC));
        r = pages_each(pages, each, p->writer);
        return r < 0 ? r : remotewrite_end(p->writer, take, p->backlog);
}

/* ---- all of it ---- */

static int make_writer(Push *p, const char *host) {
        MetricLabel labels[CONFIG_LABELS_MAX + 2] = {};
        size_t n = 0;

        /* The first of one name counts, and one without a value is left out: so these can be switched off. */
        for (size_t i = 0; i < p->config->n_labels; i++)
                labels[n++] = (MetricLabel){ p->config->labels[i].name, p->config->labels[i].value };
        labels[n++] = (MetricLabel){ "instance", host };
        labels[n++] = (MetricLabel){ "job", "bailiff" };
        for (size_t i = p->config->n_labels; i < n; i++)
                for (size_t k = 0; k < p->config->n_labels; k++)
                        if (STR_EQ(labels[i].name, labels[k].name))
                                labels[i].value = "";
        return remotewrite_new(labels, n, &p->writer);
}

static int make_poster(Push *p) {
        static const char *const headers[] = { "Content-Encoding: snappy",
                                               "Content-Type: application/x-protobuf",
                                               "X-Prometheus-Remote-Write-Version: 0.1.0", NULL };
        const PosterOptions o = {
                .url = p->config->url,
                .ca = p->config->ca,
                .certificate = p->config->certificate,
                .key = p->config->key,
                .headers = headers,
                .agent = "bailiff-exporter/" BAILIFF_VERSION,
                .timeout = ATTEMPT_USEC,
        };

        return poster_new(&o, &p->poster);
}

int push_new(const PushOptions *o, Push **ret) {
        _cleanup_(cleanup_push_free) Push *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->config = &o->config->push;
        r = backlog_new(o->dir, p->config->backlog_max_bytes, &p->backlog);
        if (r >= 0)
                r = make_writer(p, o->host);
        if (r >= 0)
                r = make_poster(p);
        if (r < 0)
                return r;
        *ret = steal_ptr(p);
        return 0;
}

Push *push_free(Push *p) {
        if (!p)
                return NULL;
        poster_free(p->poster); /* before the body that it sends */
        remotewrite_free(p->writer);
        backlog_free(p->backlog);
        free(p);
        return NULL;
}

void push_get_status(const Push *p, PushStatus *ret) {
        BacklogStatus b;

        backlog_get_status(p->backlog, &b);
        *ret = p->status;
        ret->dropped += b.samples_dropped;
        ret->backlog_bytes = b.bytes;
        ret->backlog_samples = b.samples;
        ret->backlog_damaged = b.damaged;
        ret->backlog_error = b.error;
}

json_t *push_status_to_json(const PushStatus *s) {
        static const char *const states[] = { "ok", "failing", "refused" };

        return json_pack("{s:b, s:s, s:s?, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:s?}", "ok",
                         (int)(s->state == PUSH_WELL), "state", states[s->state], "error",
                         *s->error ? s->error : NULL, "samples", (json_int_t)s->samples, "requests",
                         (json_int_t)s->requests, "failures", (json_int_t)s->failures, "dropped",
                         (json_int_t)s->dropped, "last_success",
                         s->last_success > 0 ? json_integer((json_int_t)s->last_success) : json_null(),
                         "backlog_bytes", (json_int_t)s->backlog_bytes, "backlog_samples",
                         (json_int_t)s->backlog_samples, "backlog_damaged", (json_int_t)s->backlog_damaged,
                         "backlog_error", s->backlog_error < 0 ? strerror(-s->backlog_error) : NULL);
}
