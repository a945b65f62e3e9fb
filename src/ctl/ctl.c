/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What all verbs say and print alike: errors on stderr, JSON, the pager.
 *
 * Messages carry names that tenants chose and text that another host's guard sent, so
 * they are escaped like tables.
 */

#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"
#include "value.h"

static bool utf8; /* what the terminal shows; stderr's, too */

void ctl_set_locale(void) {
        if (setlocale(LC_CTYPE, ""))
                utf8 = STR_EQ(nl_langinfo(CODESET), "UTF-8");
}

bool ctl_is_utf8(void) { return utf8; }

int ctl_fail(int status, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        _cleanup_buf_ Buf shown = BUF_INIT;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        text_escape(&shown, text ? text : "out of memory", utf8, true);
        while (shown.len > 0 && shown.data[shown.len - 1] == '\n')
                shown.data[--shown.len] = '\0';
        (void)fflush(stdout);
        (void)fprintf(stderr, "bailiffctl: %s\n", buf_str(&shown));
        return status;
}

int ctl_client_failed(const Ctl *c, int status) { return ctl_fail(status, "%s", client_error(c->client)); }

int ctl_rendered(int r) { return r < 0 ? ctl_fail(STATUS_FAILED, "%s", strerror(-r)) : STATUS_DONE; }

int ctl_print_json(const Ctl *c, json_t *j) {
        /* On a terminal nothing but ASCII: escaped text stays what it is. */
        size_t flags = JSON_INDENT(2) | (isatty(fileno(c->view.out)) ? JSON_ENSURE_ASCII : 0);
        int r;

        if (!j)
                return ctl_rendered(-ENOMEM);
        r = json_dumpf(j, c->view.out, flags);
        (void)fputc('\n', c->view.out);
        json_decref(j);
        return r < 0 && !ferror(c->view.out) ? ctl_rendered(-ENOMEM) : STATUS_DONE;
}

int ctl_done(const Ctl *c, json_t *j, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        _cleanup_buf_ Buf shown = BUF_INIT;
        va_list ap;
        int n;

        if (c->json)
                return ctl_print_json(c, j);
        json_decref(j);
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                return ctl_rendered(-ENOMEM);
        }
        text_escape(&shown, text, c->view.utf8, true);
        (void)fprintf(c->view.out, "%s\n", buf_str(&shown));
        return STATUS_DONE;
}

int ctl_parse_span(const Ctl *c, usec_t *ret) {
        if (value_parse_usec(c->span, ret) < 0)
                return ctl_fail(STATUS_USAGE, "--for %s: expected a time span such as 10min or 1h 30min",
                                c->span);
        return STATUS_DONE;
}

void ctl_page(Ctl *c) {
        if (!c->no_pager && !c->json)
                pager_open();
}
