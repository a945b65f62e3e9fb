/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A mountinfo line is
 *
 *   36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *
 * with any number of tags between the sixth word and the dash. Blanks and
 * backslashes within a word are octal escapes. Words are undone in place: an
 * unescaped word is never longer. Options are left as they are until one is
 * asked for, because overlayfs escapes commas within them a second time.
 *
 * Read line by line: a host with thousands of containers has megabytes of it.
 */

#include <sys/sysmacros.h>

#include "mountinfo.h"
#include "num.h"

/* Cuts the next word off at *p; NULL at the end of the line. */
static char *next_word(char **p) {
        char *word = *p, *end;

        if (*word == '\0')
                return NULL;
        end = strchrnul(word, ' ');
        *p = *end ? end + 1 : end;
        *end = '\0';
        return word;
}

static bool is_octal(char c) { return c >= '0' && c <= '7'; }

static void unescape(char *s) {
        char *to = s;

        for (; *s; s++)
                if (s[0] == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
                        *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
                        s += 3;
                } else
                        *to++ = *s;
        *to = '\0';
}

static int parse_dev(const char *s, dev_t *ret) {
        const char *end = s + strlen(s);
        uint64_t maj, min;

        if (num_scan_u64(&s, end, &maj) < 0 || s == end || *s++ != ':' || num_scan_u64(&s, end, &min) < 0 ||
            s != end || maj > UINT32_MAX || min > UINT32_MAX)
                return -EINVAL;
        *ret = makedev((unsigned)maj, (unsigned)min);
        return 0;
}

int mount_parse(char *line, Mount *ret) {
        char *words[6], *fstype, *source, *options, *tag, *p = line;
        Mount m;

        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                words[i] = next_word(&p);
                if (!words[i])
                        return -EINVAL;
        }
        do
                tag = next_word(&p);
        while (tag && !STR_EQ(tag, "-"));
        fstype = tag ? next_word(&p) : NULL;
        source = fstype ? next_word(&p) : NULL; /* may be empty */
        options = source ? next_word(&p) : NULL;
        if (!options || num_parse_u64(words[0], &m.id) < 0 || parse_dev(words[2], &m.dev) < 0)
                return -EINVAL;
        unescape(words[3]);
        unescape(words[4]);
        unescape(fstype);
        unescape(source);
        m.root = words[3];
        m.mount_point = words[4];
        m.fstype = fstype;
        m.source = source;
        m.super_options = options;
        *ret = m;
        return 0;
}

/* The end of the option at s: an unescaped comma, or the end. */
static const char *option_end(const char *s) {
        for (; *s && *s != ','; s++)
                if (s[0] == '\\' && s[1])
                        s++;
        return s;
}

/* Behind the name: "" or "=…"; NULL: not there. */
static const char *find_option(const Mount *m, const char *name, size_t *ret_len) {
        size_t n = strlen(name);

        for (const char *s = m->super_options, *end; *s; s = *end ? end + 1 : end) {
                end = option_end(s);
                if ((size_t)(end - s) >= n && memcmp(s, name, n) == 0 && (s + n == end || s[n] == '=')) {
                        *ret_len = (size_t)(end - s) - n;
                        return s + n;
                }
        }
        return NULL;
}

bool mount_has_option(const Mount *m, const char *name) {
        size_t len;

        return find_option(m, name, &len) != NULL;
}

int mount_get_option(const Mount *m, const char *name, char **ret) {
        const char *value;
        char *copy, *to;
        size_t len;

        value = find_option(m, name, &len);
        if (!value || len == 0)
                return 0;
        copy = strndup(value + 1, len - 1);
        if (!copy)
                return -ENOMEM;
        unescape(copy);
        to = copy;
        for (const char *s = copy; *s; s++) {
                if (s[0] == '\\' && s[1])
                        s++;
                *to++ = *s;
        }
        *to = '\0';
        *ret = copy;
        return 1;
}

int mount_reader_init(MountReader *r, const char *proc) {
        _cleanup_free_ char *path = NULL;

        *r = (MountReader){};
        if (asprintf(&path, "%s/self/mountinfo", proc) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r->file = fopen(path, "re");
        return r->file ? 0 : -errno;
}

void mount_reader_deinit(MountReader *r) {
        if (r->file)
                (void)fclose(r->file);
        free(r->line);
        *r = (MountReader){};
}

int mount_reader_next(MountReader *r, Mount *ret) {
        for (;;) {
                errno = 0;
                if (getline(&r->line, &r->alloc, r->file) < 0)
                        return feof(r->file) ? 0 : -(errno ?: EIO);
                if (mount_parse(r->line, ret) == 0)
                        return 1;
        }
}
