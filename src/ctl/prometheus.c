/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One connection of libcurl that is used again for each question. It goes where it was told to and nowhere else: no redirects, no
 * other protocols, an answer of no more than ANSWER_MAX, each within PATIENCE_SEC.
 *
 * What is wrong is said with the server's address and its own words, for it is another machine, and often another team's.
 */

#include <curl/curl.h>
#include <stdio.h>

#include "client.h"
#include "jsonget.h"
#include "prometheus.h"

#define ANSWER_MAX (64U << 20)
#define PATIENCE_SEC 120
#define WARNINGS_MAX 10

struct Prometheus {
        CURL *curl;
        char *url, *name;
        json_t *warnings;
        Buf answer;
        bool too_large;
        int failure;
};

static size_t on_data(char *data, size_t size, size_t n, void *user) {
        Prometheus *p = user;

        if (p->answer.len + size * n > ANSWER_MAX) {
                p->too_large = true;
                return 0;
        }
        buf_append(&p->answer, data, size * n);
        return buf_error(&p->answer) < 0 ? 0 : size * n;
}

/* "https://user:secret@host/" is shown as "https://host". */
static char *name_of(const char *url) {
        const char *host = strstr(url, "://"), *slash, *at = NULL;
        _cleanup_buf_ Buf b = BUF_INIT;

        host = host ? host + 3 : url;
        slash = strchrnul(host, '/');
        for (const char *p = host; p < slash; p++)
                if (*p == '@')
                        at = p;
        buf_append(&b, url, (size_t)(host - url));
        buf_puts(&b, at ? at + 1 : host);
        return buf_steal(&b);
}

static bool set_up(Prometheus *p) {
        return curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, (long)PATIENCE_SEC) == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT, 15L) == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "bailiffctl") == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
               curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, p) == CURLE_OK;
}

Prometheus *prometheus_new(const char *url, Buf *error) {
        size_t len = strlen(url);
        Prometheus *p;

        if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
            strpbrk(url, " \t\r\n?#")) {
                _cleanup_free_ char *name = name_of(url);

                buf_printf(error, "%s is no address of a server: expected http://HOST:PORT or https://HOST",
                           name ? name : "that");
                return NULL;
        }
        p = calloc(1, sizeof(*p));
        while (len > 0 && url[len - 1] == '/')
                len--;
        if (p && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (p->curl = curl_easy_init()) &&
            (p->url = strndup(url, len)) && (p->name = name_of(p->url)) && (p->warnings = json_array()) &&
            set_up(p))
                return p;
        buf_puts(error, "out of memory");
        return prometheus_free(p);
}

Prometheus *prometheus_free(Prometheus *p) {
        if (!p)
                return NULL;
        if (p->curl)
                curl_easy_cleanup(p->curl);
        curl_global_cleanup();
        buf_deinit(&p->answer);
        json_decref(p->warnings);
        free(p->url);
        free(p->name);
        free(p);
        return NULL;
}

const char *prometheus_name(const Prometheus *p) { return p->name; }
const json_t *prometheus_warnings(const Prometheus *p) { return p->warnings; }
int prometheus_failure(const Prometheus *p) { return p->failure; }

/* ---- answers ---- */

static void take_warnings(Prometheus *p, const json_t *answer) {
        const json_t *w, *known;
        size_t i, k;

        json_array_foreach(json_member(answer, "warnings"), i, w) {
                bool told = !json_is_string(w) || json_array_size(p->warnings) >= WARNINGS_MAX;

                json_array_foreach(p->warnings, k, known) told |= json_equal(w, known);
                if (!told)
                        (void)json_array_append(p->warnings, (json_t *)(uintptr_t)w);
        }
}

static int take_answer(Prometheus *p, long status, json_t **ret, Buf *error) {
        json_t *answer = json_loadb(buf_str(&p->answer), p->answer.len, 0, NULL);
        json_t *result = json_object_get(json_object_get(answer, "data"), "result");
        const char *said = json_text(answer, "status"), *why = json_text(answer, "error"),
                   *type = json_text(answer, "errorType");
        int r = -EIO;

        if (said && STR_EQ(said, "error"))
                buf_printf(error, "%s refuses the question: %s%s%s", p->name, type ? type : "",
                           type ? ": " : "", why ? why : "it does not say why");
        else if (status == 401 || status == 403) {
                buf_printf(error, "%s does not let us in (HTTP %ld): https://USER:PASSWORD@HOST", p->name,
                           status);
                p->failure = STATUS_REFUSED;
        } else if (status != 200)
                buf_printf(error, "%s answers with HTTP %ld where a Prometheus server has its API", p->name,
                           status);
        else if (!said || !STR_EQ(said, "success") || !json_is_array(result))
                buf_printf(error, "%s does not answer as a Prometheus server does", p->name);
        else {
                take_warnings(p, answer);
                *ret = json_incref(result);
                r = 0;
        }
        json_decref(answer);
        return r;
}

static void put_parameter(Prometheus *p, Buf *url, const char *name, const char *value) {
        char *escaped = curl_easy_escape(p->curl, value, 0);

        if (!escaped)
                url->error = -ENOMEM;
        buf_printf(url, "%s=%s", name, escaped ? escaped : "");
        curl_free(escaped);
}

static int ask(Prometheus *p, const Buf *url, json_t **ret, Buf *error) {
        long status = 0;
        CURLcode c;

        buf_clear(&p->answer);
        p->too_large = false;
        p->failure = STATUS_FAILED;
        if (buf_error(url) < 0 || curl_easy_setopt(p->curl, CURLOPT_URL, buf_str(url)) != CURLE_OK) {
                buf_puts(error, "out of memory");
                return -EIO;
        }
        c = curl_easy_perform(p->curl);
        if (p->too_large)
                buf_printf(error, "%s answers with more than %u MiB", p->name, ANSWER_MAX >> 20);
        else if (c != CURLE_OK) {
                buf_printf(error, "%s cannot be asked: %s", p->name, curl_easy_strerror(c));
                p->failure = STATUS_UNREACHABLE;
        }
        if (p->too_large || c != CURLE_OK)
                return -EIO;
        (void)curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &status);
        return take_answer(p, status, ret, error);
}

int prometheus_query(Prometheus *p, const char *query, uint64_t time, json_t **ret, Buf *error) {
        _cleanup_buf_ Buf url = BUF_INIT;

        buf_printf(&url, "%s/api/v1/query?time=%llu&", p->url, (unsigned long long)time);
        put_parameter(p, &url, "query", query);
        return ask(p, &url, ret, error);
}

int prometheus_query_range(Prometheus *p, const char *query, uint64_t from, uint64_t to, uint64_t step,
                           json_t **ret, Buf *error) {
        _cleanup_buf_ Buf url = BUF_INIT;

        buf_printf(&url, "%s/api/v1/query_range?start=%llu&end=%llu&step=%llu&", p->url,
                   (unsigned long long)from, (unsigned long long)to, (unsigned long long)step);
        put_parameter(p, &url, "query", query);
        return ask(p, &url, ret, error);
}

bool prometheus_value(const json_t *pair, double *ret) {
        const char *text = json_string_value(json_array_get(pair, 1));
        /* jansson reads numbers as C does in its own locale, whatever the user's is. */
        json_t *v = text ? json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL) : NULL;
        bool is = json_is_number(v);

        if (is)
                *ret = json_number_value(v);
        json_decref(v);
        return is;
}

void prometheus_quote(Buf *out, const char *s) {
        for (; *s; s++)
                if (*s == '\n')
                        buf_puts(out, "\\n");
                else {
                        if (*s == '"' || *s == '\\')
                                buf_putc(out, '\\');
                        buf_putc(out, *s);
                }
}

void prometheus_quote_regex(Buf *out, const char *s) {
        _cleanup_buf_ Buf b = BUF_INIT;

        for (; *s; s++) {
                if (strchr("\\.+*?()|[]{}^$", *s))
                        buf_putc(&b, '\\');
                buf_putc(&b, *s);
        }
        if (buf_error(&b) < 0)
                out->error = -ENOMEM;
        prometheus_quote(out, buf_str(&b));
}
