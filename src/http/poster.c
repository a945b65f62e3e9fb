/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libcurl's multi interface behind an epoll of its own: the caller watches one fd and one time, whatever libcurl has open.
 *
 * TLS is 1.2 at least and always verified. Redirects are not followed: who is told is what was configured. Of an answer only the
 * first line is kept, for people.
 */

#include <curl/curl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fdio.h"
#include "poster.h"

#define CONNECT_MS 10000L
#define EVENTS_AT_ONCE 8

struct Poster {
        CURLM *multi;
        CURL *easy;
        struct curl_slist *headers;
        int epoll;
        bool busy, timer_set;
        long timer_ms; /* from the next run on, as libcurl asked */
        usec_t due; /* USEC_INFINITY: no timer */
        char text[POSTER_TEXT_BYTES];
        size_t text_len;
        bool text_over; /* its first line */
        char error[CURL_ERROR_SIZE];
};

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
        struct epoll_event e = { .events = (what & CURL_POLL_IN ? EPOLLIN : 0U) |
                                           (what & CURL_POLL_OUT ? EPOLLOUT : 0U),
                                 .data.fd = fd };
        Poster *p = user;

        (void)easy;
        (void)socket_user;
        if (what == CURL_POLL_REMOVE)
                (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, NULL);
        else if (epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &e) < 0)
                return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -1 : 0;
        return 0;
}

static int on_timer(CURLM *multi, long ms, void *user) {
        Poster *p = user;

        (void)multi;
        p->timer_ms = ms;
        p->timer_set = true;
        return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *user) {
        Poster *p = user;

        for (size_t i = 0; i < size * n && !p->text_over; i++) {
                p->text_over = data[i] == '\n' || data[i] == '\r' || p->text_len + 1 == sizeof(p->text);
                if (!p->text_over)
                        p->text[p->text_len++] = data[i] >= ' ' && data[i] <= '~' ? data[i] : '?';
        }
        return size * n;
}

int poster_send(Poster *p, const void *body, size_t len, const PosterAuth *auth) {
        CURL *e = p->easy;
        bool bearer = auth && auth->token, basic = auth && auth->user;
        CURLcode c;

        if (p->busy)
                return -EBUSY;
        memset(p->text, 0, sizeof(p->text));
        p->text_len = 0;
        p->text_over = false;
        p->error[0] = '\0';
        c = curl_easy_setopt(e, CURLOPT_HTTPAUTH,
                             bearer  ? (long)CURLAUTH_BEARER
                             : basic ? (long)CURLAUTH_BASIC
                                     : (long)CURLAUTH_NONE);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, bearer ? auth->token : NULL);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_USERNAME, basic ? auth->user : NULL);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_PASSWORD, basic ? auth->password : NULL);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_POSTFIELDS, body);
        if (c != CURLE_OK || curl_multi_add_handle(p->multi, e) != CURLM_OK)
                return -ENOMEM;
        p->busy = true;
        return 0;
}

bool poster_busy(const Poster *p) { return p->busy; }
int poster_fd(const Poster *p) { return p->epoll; }

/* Timers are kept as times, for the caller's clock is not ours. */
static void set_timer(Poster *p, usec_t now) {
        if (p->timer_set)
                p->due = p->timer_ms < 0 ? USEC_INFINITY : now + (usec_t)p->timer_ms * USEC_PER_MSEC;
        p->timer_set = false;
}

static void look_at_sockets(Poster *p) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int n = epoll_wait(p->epoll, events, EVENTS_AT_ONCE, 0), running;

        for (int i = 0; i < n; i++) {
                uint32_t e = events[i].events;
                int what = (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                           (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

                (void)curl_multi_socket_action(p->multi, events[i].data.fd, what, &running);
        }
}

static void tell(Poster *p, CURLcode code, PosterResult *ret) {
        curl_off_t after = 0;
        long status = 0;

        *ret = (PosterResult){};
        (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(p->easy, CURLINFO_RETRY_AFTER, &after);
        if (code == CURLE_OK) {
                ret->status = (unsigned)status;
                ret->retry_after_sec = after > 0 ? (uint64_t)after : 0;
                memcpy(ret->text, p->text, sizeof(ret->text));
        } else
                (void)snprintf(ret->text, sizeof(ret->text), "%s",
                               *p->error ? p->error : curl_easy_strerror(code));
}

static bool find_end(Poster *p, PosterResult *ret) {
        int left;
        CURLMsg *m;

        while ((m = curl_multi_info_read(p->multi, &left)))
                if (m->msg == CURLMSG_DONE) {
                        tell(p, m->data.result, ret);
                        (void)curl_multi_remove_handle(p->multi, p->easy);
                        p->busy = false;
                        return true;
                }
        return false;
}

bool poster_run(Poster *p, usec_t now, PosterResult *ret, usec_t *ret_again) {
        bool ended = false;
        int running;

        set_timer(p, now);
        look_at_sockets(p);
        set_timer(p, now);
        if (p->due <= now) {
                p->due = USEC_INFINITY;
                (void)curl_multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        if (p->busy)
                ended = find_end(p, ret);
        set_timer(p, now);
        *ret_again = p->due;
        return ended;
}

/* ---- making one ---- */

static CURLcode set_options(Poster *p, const PosterOptions *o) {
        const struct {
                CURLoption option;
                const char *text;
        } texts[] = {
                { CURLOPT_URL, o->url },    { CURLOPT_PROTOCOLS_STR, "http,https" },
                { CURLOPT_CAINFO, o->ca },  { CURLOPT_SSLCERT, o->certificate },
                { CURLOPT_SSLKEY, o->key }, { CURLOPT_USERAGENT, o->agent },
        };
        const struct {
                CURLoption option;
                long number;
        } numbers[] = {
                { CURLOPT_POST, 1 },
                { CURLOPT_NOSIGNAL, 1 },
                { CURLOPT_FOLLOWLOCATION, 0 },
                { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
                { CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS },
                { CURLOPT_TIMEOUT_MS, (long)(o->timeout / USEC_PER_MSEC) },
        };
        CURL *e = p->easy;
        CURLcode c = CURLE_OK;

        for (size_t i = 0; i < ARRAY_SIZE(texts) && c == CURLE_OK; i++)
                if (texts[i].text)
                        c = curl_easy_setopt(e, texts[i].option, texts[i].text);
        for (size_t i = 0; i < ARRAY_SIZE(numbers) && c == CURLE_OK; i++)
                c = curl_easy_setopt(e, numbers[i].option, numbers[i].number);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->headers);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->error);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        if (c == CURLE_OK)
                c = curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
        return c;
}

static int set_headers(Poster *p, const PosterOptions *o) {
        /* "Expect:" without a value: not to ask first whether a body may come. */
        struct curl_slist *all = curl_slist_append(NULL, "Expect:");

        for (size_t i = 0; all && o->headers[i]; i++) {
                p->headers = all;
                all = curl_slist_append(all, o->headers[i]);
        }
        if (all)
                p->headers = all;
        return all ? 0 : -ENOMEM;
}

int poster_new(const PosterOptions *o, Poster **ret) {
        _cleanup_(cleanup_poster_free) Poster *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        p->due = USEC_INFINITY;
        p->epoll = -1;
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        p->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll < 0)
                return -errno;
        p->multi = curl_multi_init();
        p->easy = curl_easy_init();
        if (!p->multi || !p->easy)
                return -ENOMEM;
        r = set_headers(p, o);
        if (r < 0)
                return r;
        if (curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
            curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p) != CURLM_OK ||
            curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
            curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p) != CURLM_OK || set_options(p, o) != CURLE_OK)
                return -EINVAL;
        *ret = steal_ptr(p);
        return 0;
}

Poster *poster_free(Poster *p) {
        if (!p)
                return NULL;
        if (p->busy)
                (void)curl_multi_remove_handle(p->multi, p->easy);
        curl_easy_cleanup(p->easy);
        (void)curl_multi_cleanup(p->multi);
        curl_slist_free_all(p->headers);
        fd_close(p->epoll);
        free(p);
        curl_global_cleanup();
        return NULL;
}
