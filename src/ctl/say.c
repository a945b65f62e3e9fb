/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What every screen of bailiffctl needs: times, fields. An older or newer guard may leave members out
 * or add some: absent is never an error here, it is only not shown.
 */

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "cgpath.h"
#include "screens.h"
#include "value.h"

const char *say_time(uint64_t realtime, char buf[static SAY_MAX]) {
        time_t t = (time_t)(realtime / USEC_PER_SEC);
        struct tm tm;

        if (realtime == 0 || !localtime_r(&t, &tm) || strftime(buf, SAY_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                (void)snprintf(buf, SAY_MAX, "-");
        return buf;
}

const char *say_span(usec_t usec, char buf[static SAY_MAX]) {
        static const usec_t minute = 60 * USEC_PER_SEC, hour = 60 * minute, day = 24 * hour;

        if (usec != USEC_INFINITY)
                usec -= usec % (usec >= day            ? hour
                                : usec >= hour         ? minute
                                : usec >= USEC_PER_SEC ? USEC_PER_SEC
                                : usec >= 1000         ? 1000
                                                       : 1);
        return value_format_usec(usec, buf, SAY_MAX);
}

const char *say_size(uint64_t bytes, char buf[static SAY_MAX]) {
        static const char units[] = "BKMGTPE";
        uint64_t factor = 1;
        size_t i = 0;

        for (; bytes / factor >= 1024 && i + 2 < sizeof(units); i++)
                factor *= 1024;
        if (i > 0 && bytes / factor < 10)
                (void)snprintf(buf, SAY_MAX, "%llu.%llu%c", (unsigned long long)(bytes / factor),
                               (unsigned long long)(bytes % factor * 10 / factor), units[i]);
        else
                (void)snprintf(buf, SAY_MAX, "%llu%.1s", (unsigned long long)(bytes / factor),
                               bytes > 0 ? units + i : "");
        return buf;
}

const char *say_permyriad(uint64_t permyriad, char buf[static SAY_MAX]) {
        if (permyriad == 0 || permyriad >= 10000)
                (void)snprintf(buf, SAY_MAX, "%llu%%", (unsigned long long)(permyriad / 100));
        else
                (void)snprintf(buf, SAY_MAX, "%llu.%llu%%", (unsigned long long)(permyriad / 100),
                               (unsigned long long)(permyriad % 100 / 10));
        return buf;
}

static void put_styled(const View *v, TextStyle style, const char *text) {
        _cleanup_buf_ Buf b = BUF_INIT;

        text_escape(&b, text, v->utf8, false);
        (void)fprintf(v->out, "%s%s%s", text_style_on(v, style), buf_str(&b), text_style_off(v, style));
}

#define FIELD_WIDTH 10

void say_field(const View *v, const char *key, TextStyle style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        (void)fprintf(v->out, "%s%*s%s%s ", text_style_on(v, STYLE_BOLD), FIELD_WIDTH, key, *key ? ":" : " ",
                      text_style_off(v, STYLE_BOLD));
        put_styled(v, style, text ? text : "");
        (void)fputc('\n', v->out);
}

void say_line(const View *v, TextStyle style, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        put_styled(v, style, text ? text : "");
        (void)fputc('\n', v->out);
}

#define PROSE_MAX 100U /* longer lines are hard to read */
#define PROSE_MIN 8

/* How many bytes of escaped text take at most `room` columns; one character at least. */
static size_t fitting(const char *s, size_t n, size_t room) {
        size_t i = 0;

        while (i < n) {
                size_t k = i + 1;
                _cleanup_buf_ Buf head = BUF_INIT;

                while (k < n && ((unsigned char)s[k] & 0xc0) == 0x80)
                        k++;
                buf_append(&head, s, k);
                if (i > 0 && text_width(buf_str(&head)) > room)
                        break;
                i = k;
        }
        return i;
}

static size_t width_of(const char *s, size_t n) {
        _cleanup_buf_ Buf b = BUF_INIT;

        buf_append(&b, s, n);
        return text_width(buf_str(&b));
}

/* Text without newlines, already escaped; `used` columns of the first line are taken. */
static void fold(const View *v, const char *text, size_t used, unsigned indent, size_t width) {
        bool begins = true; /* of the line: no word on it yet */

        for (const char *p = text + strspn(text, " "); *p; p += strspn(p, " ")) {
                size_t n = strcspn(p, " "), columns = width_of(p, n);

                if (!begins && used + 1 + columns > width) {
                        (void)fprintf(v->out, "\n%*s", (int)indent, "");
                        used = indent;
                        begins = true;
                }
                if (!begins) {
                        (void)fputc(' ', v->out);
                        used++;
                }
                if (used + columns > width) {
                        n = fitting(p, n, width > used ? width - used : 1);
                        columns = width_of(p, n);
                }
                (void)fwrite(p, 1, n, v->out);
                used += columns;
                p += n;
                begins = false;
                if (*p && *p != ' ') { /* the rest of a broken word */
                        (void)fprintf(v->out, "\n%*s", (int)indent, "");
                        used = indent;
                        begins = true;
                }
        }
}

void say_prose(const View *v, const char *head, TextStyle head_style, unsigned indent, TextStyle style,
               const char *text) {
        _cleanup_buf_ Buf shown = BUF_INIT, label = BUF_INIT;
        size_t width = MIN_OF(v->width, PROSE_MAX), used;

        text_escape(&label, head, v->utf8, false);
        text_escape(&shown, text, v->utf8, false);
        used = text_width(buf_str(&label));
        (void)fprintf(v->out, "%s%s%s%*s%s", text_style_on(v, head_style), buf_str(&label),
                      text_style_off(v, head_style), used < indent ? (int)(indent - used) : used > 0, "",
                      text_style_on(v, style));
        used = used < indent ? indent : used + (used > 0);
        if (v->width == 0)
                (void)fputs(buf_str(&shown), v->out);
        else
                fold(v, buf_str(&shown), used, indent, MAX_OF(width, (size_t)indent + PROSE_MIN));
        (void)fprintf(v->out, "%s\n", text_style_off(v, style));
}

void say_prose_field(const View *v, const char *key, TextStyle style, const char *text) {
        char head[SAY_MAX];

        (void)snprintf(head, sizeof(head), "%*s%s", FIELD_WIDTH, key, *key ? ":" : " ");
        say_prose(v, head, STYLE_BOLD, SAY_FIELD_INDENT, style, text);
}

void say_where(Buf *b, const json_t *o) {
        const char *file = json_text(o, "file");

        if (file)
                buf_printf(b, "%s:%llu", file, (unsigned long long)json_number(o, "line"));
}

const char *say_container(const json_t *container, char buf[static SAY_MAX]) {
        const char *name = json_text(container, "name"), *engine = json_text(container, "engine"),
                   *cgroup = json_text(container, "cgroup"), *id = json_text(container, "id");

        if (name && *name)
                return name;
        if (engine && STR_EQ(engine, "unit") && cgroup)
                return cgpath_basename(cgroup);
        if (id && *id) {
                (void)snprintf(buf, SAY_MAX, "%.12s", id);
                return strlen(id) == 64 ? buf : id;
        }
        return cgroup ? cgroup : "-";
}

const json_t *limit_of(const json_t *limits, const char *key) {
        const json_t *l;
        size_t i;

        json_array_foreach(limits, i, l) {
                const char *k = json_text(l, "limit");

                if (k && STR_EQ(k, key))
                        return l;
        }
        return NULL;
}

/* What bounds it: our limit as the kernel has it, else what its engine asked for, else a tenant's sum. */
static const char *ceiling_text(const json_t *o, const char *key) {
        const json_t *l = limit_of(json_member(o, "limits"), key);
        const char *text = json_text(l, "actual_text");

        if (!text)
                text = json_text(l, "text"); /* of a tenant */
        if (!text)
                text = json_text(l, "value_text");
        if (!text && !l) {
                l = limit_of(json_member(o, "requested"), key);
                text = json_text(l, "text");
                if (!text)
                        text = json_text(l, "value_text");
        }
        return text && !STR_EQ(text, "infinity") ? text : NULL;
}

void say_use(Buf *b, const json_t *o, const char *usage, const char *limit) {
        const char *ceiling = ceiling_text(o, limit);
        const json_t *u = json_member(o, "usage");
        char size[VALUE_FORMAT_MAX];

        if (json_has(u, usage)) {
                uint64_t n = json_number(u, usage);

                if (strstr(usage, "bytes"))
                        buf_puts(b, value_format_bytes(n, size, sizeof(size)));
                else
                        buf_printf(b, "%llu", (unsigned long long)n);
        } else if (ceiling)
                buf_putc(b, '?');
        if (ceiling)
                buf_printf(b, "/%s", ceiling);
}

void say_cpu(Buf *b, const json_t *o) {
        const json_t *rates = json_member(json_member(o, "measured"), "rates");
        const char *ceiling = ceiling_text(o, "CPUQuota");
        char text[SAY_MAX];

        if (json_has(rates, "cpu_permyriad"))
                buf_puts(b, say_permyriad(json_number(rates, "cpu_permyriad"), text));
        else if (ceiling)
                buf_putc(b, '?');
        if (ceiling)
                buf_printf(b, "/%s", ceiling);
}

TextStyle pressure_style(uint64_t permyriad) {
        return permyriad >= 4000 ? STYLE_BAD : permyriad >= 1000 ? STYLE_WARN : STYLE_PLAIN;
}

TextStyle say_pressure(Buf *b, const json_t *o) {
        static const char *const resources[] = { "cpu", "memory", "io" };
        const json_t *rates = json_member(json_member(o, "measured"), "rates");
        const char *worst = NULL;
        uint64_t most = 0;
        bool known = false;
        char text[SAY_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
                char key[SAY_MAX];

                (void)snprintf(key, sizeof(key), "%s_some_permyriad", resources[i]);
                known |= json_has(rates, key);
                if (json_number(rates, key) > most) {
                        most = json_number(rates, key);
                        worst = resources[i];
                }
        }
        if (worst)
                buf_printf(b, "%s %s", STR_EQ(worst, "memory") ? "mem" : worst, say_permyriad(most, text));
        else if (known)
                buf_puts(b, "0%");
        return pressure_style(most);
}

int say_left_out(const View *v, int r) {
        if (r > 0)
                say_line(v, STYLE_DIM, "(%d more column%s with --full)", r, r > 1 ? "s" : "");
        return MIN_OF(r, 0);
}
