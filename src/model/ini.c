/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The raw reader of policy and configuration files.
 *
 * inih is a fine loop around a line buffer, but as Debian builds it it cuts
 * section names at 49 and lines at 199 characters without a word, takes an
 * indented `Key=` as a second value of the key above, starts a comment at " ;"
 * inside a value, accepts ':' for '=', and shows no empty section. In a file
 * that says who may be killed, "silently" is the wrong word. So every line is
 * seen here first, by the function that inih asks for lines:
 *
 *   - blank lines and comments never reach inih;
 *   - what inih would cut or misread, and what systemd.syntax(7) does not
 *     know, is an error with file and line, and does not reach it either;
 *   - of what is left inih gets a token: "[s]" for a header, "k=LINE" for an
 *     entry. Section, key and value stay here, whole, whatever their length.
 *
 * The handler checks that inih came back with the token of the line just
 * given. It always does; if some future inih did not, the file would be
 * refused instead of misread.
 *
 * A header that cannot be understood makes its entries nobody's: they are
 * checked as lines but not handed on, because blaming them on the section
 * before would only add noise.
 */

#include <ini.h>
#include <stdarg.h>
#include <stdio.h>

#include "num.h"
#include "policy.h"

#define TOKEN_MAX 32

typedef struct Reader {
        const char *file;
        const char *p, *end;
        const IniHandler *handler;
        Diags *diags;

        unsigned line;
        char section[INI_LINE_MAX + 1]; /* "Tenant\0acme" */
        const char *type, *name;
        bool in_section, lost; /* lost: below a header that is no header */
        char entry[INI_LINE_MAX + 1];
        const char *key, *value;

        bool pending; /* inih has the token of this line and has not come back yet */
        bool out_of_step;
        bool crlf_told;
} Reader;

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static void trim(const char **s, const char **e) {
        while (*s < *e && is_blank(**s))
                (*s)++;
        while (*e > *s && is_blank((*e)[-1]))
                (*e)--;
}

static bool is_key(const char *s, const char *e) {
        if (s == e)
                return false;
        for (; s < e; s++)
                if (!((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') ||
                      *s == '_' || *s == '-'))
                        return false;
        return true;
}

/* How much of a line of valid UTF-8 to show in a message, not cut within a character. */
static int shown(const char *s, const char *e) {
        if (e - s > 64)
                for (e = s + 64; ((unsigned char)*e & 0xc0) == 0x80; e--)
                        ;
        return (int)(e - s);
}

/* "[Section] Key: text"; the key is what stands before '=' or ':', if it looks like one. */
_printf_(4, 5) static void complain(Reader *r, const char *s, const char *e, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        const char *k = s;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0) {
                text = NULL;
                r->diags->oom = true;
                return;
        }

        while (k < e && *k != '=' && *k != ':')
                k++;
        if (k == e)
                k = s;
        trim(&s, &k);
        if (k - s > 64 || !is_key(s, k))
                k = s;
        diags_add(r->diags, DIAG_ERROR, r->file, r->line, "%s%s%s%s%s%.*s%s%s", r->in_section ? "[" : "",
                  r->in_section ? r->type : "", r->in_section && *r->name ? " " : "",
                  r->in_section ? r->name : "", r->in_section ? "] " : "", (int)(k - s), s, k > s ? ": " : "",
                  text);
}

/* The length of the well-formed UTF-8 sequence at s, 0 if there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s, const unsigned char *e, uint32_t *ret) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        uint32_t c;
        size_t n;

        if (*s < 0x80) {
                *ret = *s;
                return 1;
        } else if ((*s & 0xe0) == 0xc0) {
                n = 2;
                c = *s & 0x1f;
        } else if ((*s & 0xf0) == 0xe0) {
                n = 3;
                c = *s & 0x0f;
        } else if ((*s & 0xf8) == 0xf0) {
                n = 4;
                c = *s & 0x07;
        } else
                return 0;
        if ((size_t)(e - s) < n)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return 0;
        *ret = c;
        return n;
}

/* What is shown to people, logged and compared must be text. */
static bool check_text(Reader *r, const char *s, const char *e) {
        const unsigned char *p = (const unsigned char *)s, *end = (const unsigned char *)e;

        while (p < end) {
                uint32_t c;
                size_t n = utf8_length(p, end, &c);

                if (n == 0) {
                        complain(r, s, s, "byte 0x%02x at column %zu is not UTF-8, expected UTF-8 text", *p,
                                 (size_t)(p - (const unsigned char *)s) + 1);
                        return false;
                }
                if ((c < 0x20 && c != '\t') || (c >= 0x7f && c < 0xa0)) {
                        complain(r, s, s, "control character U+%04X at column %zu, expected text; remove it",
                                 (unsigned)c, (size_t)(p - (const unsigned char *)s) + 1);
                        return false;
                }
                p += n;
        }
        return true;
}

static bool read_header(Reader *r, const char *s, const char *e) {
        const char *blank, *hs = s, *he = e;

        r->in_section = false; /* the new header ends the old section, also when it is broken */
        r->lost = true;
        if (e[-1] != ']') {
                complain(r, s, s,
                         "malformed header \"%.*s\", expected \"[Section]\" or \"[Section NAME]\" and "
                         "nothing behind it",
                         shown(hs, he), hs);
                return false;
        }
        s++;
        e--;
        trim(&s, &e);
        blank = s;
        while (blank < e && !is_blank(*blank))
                blank++;
        if (!is_key(s, blank)) {
                complain(r, s, s, "malformed header \"%.*s\", expected \"[Section]\" or \"[Section NAME]\"",
                         shown(hs, he), hs);
                return false;
        }

        memcpy(r->section, s, (size_t)(e - s));
        r->section[e - s] = '\0';
        r->type = r->section;
        r->name = r->section + (blank - s);
        if (blank < e) {
                r->section[blank - s] = '\0';
                r->name++;
                while (is_blank(*r->name))
                        r->name++;
        }
        r->in_section = true;
        r->lost = false;
        return true;
}

static bool read_entry(Reader *r, const char *s, const char *e) {
        const char *eq, *colon, *ks = s, *ke, *vs, *ve = e;

        eq = memchr(s, '=', (size_t)(e - s));
        colon = memchr(s, ':', (size_t)((eq ? eq : e) - s));
        if (!eq || colon) {
                if (colon)
                        complain(r, s, e, "':' behind the key, expected '='");
                else
                        complain(r, s, s, "no '=' in \"%.*s\", expected Key=Value", shown(s, e), s);
                return false;
        }
        ke = eq;
        vs = eq + 1;
        trim(&ks, &ke);
        trim(&vs, &ve);
        if (!is_key(ks, ke)) {
                complain(r, s, s, "malformed key \"%.*s\", expected letters and digits, then '='",
                         shown(ks, ke), ks);
                return false;
        }
        if (r->lost)
                return false;
        if (!r->in_section) {
                complain(r, s, e, "stands before any section, expected a header such as \"[Host]\" above it");
                return false;
        }

        memcpy(r->entry, ks, (size_t)(ke - ks));
        r->key = r->entry;
        r->entry[ke - ks] = '\0';
        r->value = r->entry + (ke - ks) + 1; /* there is room: '=' was as long as the NUL */
        memcpy(r->entry + (ke - ks) + 1, vs, (size_t)(ve - vs));
        r->entry[(ke - ks) + 1 + (ve - vs)] = '\0';
        return true;
}

typedef enum LineKind { LINE_SKIP, LINE_HEADER, LINE_ENTRY } LineKind;

/* A line that is not handed on; what stands below a header lost this way is nobody's. */
static LineKind refuse(Reader *r, char first) {
        if (first == '[') {
                r->in_section = false;
                r->lost = true;
        }
        return LINE_SKIP;
}

/* One raw line, without its end. */
static LineKind classify(Reader *r, const char *s, const char *e) {
        const char *t = s;

        if (memchr(s, '\0', (size_t)(e - s))) {
                complain(r, s, s, "NUL byte, expected text; the file is damaged");
                return LINE_SKIP;
        }
        if (e > s && e[-1] == '\r') {
                if (!r->crlf_told)
                        complain(r, s, s,
                                 "the line ends in CR LF, expected LF alone; convert the file, for "
                                 "instance with dos2unix");
                r->crlf_told = true; /* every other line has it too: once is enough */
                e--;
        }
        while (t < e && is_blank(*t))
                t++;
        if (t == e || *t == ';' || *t == '#')
                return LINE_SKIP;

        if (e - s > INI_LINE_MAX) {
                complain(r, s, s, "over-long line of %zu bytes, expected at most %d", (size_t)(e - s),
                         INI_LINE_MAX);
                return refuse(r, *s);
        }
        if (!check_text(r, s, e))
                return refuse(r, *t);
        if (e[-1] == '\\') {
                complain(r, t, e,
                         "'\\' at the end continues no line here, expected the whole value on one line");
                return refuse(r, *t);
        }
        if (t > s) {
                complain(r, t, e,
                         "indented line: it would not be clear what it belongs to; remove the blanks "
                         "in front");
                return refuse(r, *t);
        }
        while (is_blank(e[-1]))
                e--;
        if (*s == '[')
                return read_header(r, s, e) ? LINE_HEADER : LINE_SKIP;
        return read_entry(r, s, e) ? LINE_ENTRY : LINE_SKIP;
}

/* What inih takes for fgets(). */
static char *next_line(char *str, int size, void *stream) {
        Reader *r = stream;

        if (r->pending || size < TOKEN_MAX)
                r->out_of_step = true;
        while (r->p < r->end && !r->out_of_step) {
                const char *s = r->p, *e = memchr(s, '\n', (size_t)(r->end - s));

                if (!e)
                        e = r->end;
                r->p = e < r->end ? e + 1 : e;
                r->line++;
                switch (classify(r, s, e)) {
                case LINE_HEADER:
                        if (r->handler->section)
                                r->handler->section(r->handler->user, r->line, r->type, r->name);
                        snprintf(str, (size_t)size, "[s]\n");
                        return str;
                case LINE_ENTRY:
                        r->pending = true;
                        snprintf(str, (size_t)size, "k=%u\n", r->line);
                        return str;
                case LINE_SKIP:
                        break;
                }
        }
        return NULL;
}

static int on_entry(void *user, const char *section, const char *key, const char *value) {
        Reader *r = user;
        uint32_t line;

        if (!key) /* some builds of inih announce sections */
                return 1;
        if (!r->pending || !STR_EQ(section, "s") || !STR_EQ(key, "k") || !value ||
            num_parse_u32(value, &line) < 0 || line != r->line) {
                r->out_of_step = true;
                return 0;
        }
        r->pending = false;
        r->handler->entry(r->handler->user, r->line, r->type, r->name, r->key, r->value);
        return 1;
}

int ini_read(const char *file, const char *text, size_t len, const IniHandler *h, Diags *diags) {
        _cleanup_free_ Reader *r = NULL;
        int k;

        r = malloc(sizeof(*r));
        if (!r)
                return -ENOMEM;
        *r = (Reader){ .file = file, .p = text, .handler = h, .diags = diags, .type = "", .name = "" };
        if (len > 0)
                r->end = text + len;
        else
                r->end = r->p;
        if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                r->p += 3; /* a byte order mark, as Windows editors leave it */

        k = ini_parse_stream(next_line, r, on_entry, r);
        if (k == -2)
                return -ENOMEM;
        if (k != 0 || r->pending || r->out_of_step) {
                diags_add(diags, DIAG_ERROR, file, r->line,
                          "this build of inih reads the file differently than expected, which is inih 55's "
                          "way");
                return -EIO;
        }
        return 0;
}
