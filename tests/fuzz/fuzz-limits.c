/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel's limit files and the value parsers of policy, given anything.
 * Beyond not crashing: a set stays ordered, what was read is written in a form
 * that reads back the same, a failed parser leaves its result alone, and what
 * a formatter says its parser understands.
 */

#include "fuzz.h"
#include "limits.h"
#include "value.h"

#define UNTOUCHED UINT64_C(0xdeadbeefcafe)

static void check_ordered(const LimitSet *set) {
        for (size_t i = 0; i < set->n; i++) {
                const LimitEntry *e = &set->entries[i];
                const LimitInfo *info = limit_info(e->knob.limit);

                must(i == 0 || limit_knob_cmp(e[-1].knob, e->knob) < 0);
                must(info->per_device == (e->knob.dev != 0));
        }
}

/* Each file's text from the set, parsed into another set, is the set's part of that file. */
static void check_round_trip(LimitFile file, const LimitSet *set) {
        for (size_t i = 0; i < set->n; i++) {
                _cleanup_(limit_set_deinit) LimitSet back = LIMIT_SET_INIT;
                _cleanup_buf_ Buf text = BUF_INIT, again = BUF_INIT;
                LimitKnob knob = set->entries[i].knob;
                uint64_t v = 0, got = LIMIT_INFINITY; /* io.max: what is max is not there */

                must(limits_format_file(file, knob.dev, set, NULL, &text) == 0);
                must(limits_parse_file(file, text.data, text.len, &back) == 0);
                check_ordered(&back);
                must(limit_set_get(set, knob, &v));
                must(limit_set_get(&back, knob, &got) || limit_info(knob.limit)->per_device);
                if (file != LIMIT_FILE_CPU_MAX) /* that one is brought into the kernel's range */
                        must(got == v);
                if (back.n) {
                        must(limits_format_file(file, knob.dev, &back, NULL, &again) == 0);
                        must(STR_EQ(buf_str(&text), buf_str(&again)));
                }
                must(limit_equal(knob.limit, v, v, 4096));
                must(!limit_looser(knob.limit, v, v, 4096));
                buf_clear(&text);
                must(limit_format_value(knob.limit, v, &text) == 0 && text.len > 0);
                must(limit_format_knob(knob, &text) == 0);
        }
}

static void fuzz_files(const char *text, size_t len) {
        for (LimitFile f = 0; f < _LIMIT_FILE_MAX; f++) {
                _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
                int r = limits_parse_file(f, text, len, &set);

                must(r == 0 || r == -EINVAL);
                check_ordered(&set);
                if (r == 0 && set.n <= 64) /* quadratic */
                        check_round_trip(f, &set);
        }
}

static void check_parser(int r, uint64_t v) {
        must(r == 0 || ((r == -EINVAL || r == -ERANGE) && v == UNTOUCHED));
}

static void fuzz_values(const char *s) {
        char buf[VALUE_FORMAT_MAX];
        uint64_t v, w, back;
        size_t off, n;
        bool b = false;
        int r;

        for (uint64_t base = 1000; base <= 1024; base += 24) {
                v = UNTOUCHED;
                check_parser(value_parse_size(s, base, &v), v);
                must(strlen(value_format_size(v, base, buf, sizeof(buf))) < sizeof(buf) - 1);
        }
        v = UNTOUCHED;
        check_parser(value_parse_permyriad(s, &v), v);
        v = UNTOUCHED;
        r = value_parse_usec(s, &v);
        check_parser(r, v);
        /* "584542y" is the last year that fits, and systemd refuses it. */
        must(r < 0 || v == USEC_INFINITY || v > INT64_MAX ||
             (value_parse_usec(value_format_usec(v, buf, sizeof(buf)), &back) == 0 && back == v));
        v = w = UNTOUCHED;
        r = value_parse_rate(s, &v, &w);
        check_parser(r, v);
        check_parser(r, w);
        v = w = UNTOUCHED;
        r = value_parse_range(s, &v, &w);
        check_parser(r, v);
        must(r < 0 || v <= w);
        r = value_parse_boolean(s, &b);
        must(r == 0 || (r == -EINVAL && !b));
        must(value_glob("*", s));
        (void)value_glob(s, s);
        (void)value_glob(s, "tenant-acme.slice");
        if (value_glob_capture(s, "tenant-acme.slice", &off, &n)) {
                must(value_glob(s, "tenant-acme.slice"));
                must(off + n <= strlen("tenant-acme.slice"));
        }
        (void)value_suggest(s, (const char *const[]){ "MemoryMax", "Kill" }, 2);
}

int fuzz_one(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = strndup(size ? (const char *)data : "", size);

        if (!text)
                return 0;
        fuzz_files((const char *)data, size);
        fuzz_values(text);
        /* Most corpus files are many lines; the value parsers want one. */
        text[strcspn(text, "\n")] = '\0';
        fuzz_values(text);
        return 0;
}
