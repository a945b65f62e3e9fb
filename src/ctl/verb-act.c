/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a judge does, by hand: throttle, freeze, thaw, kill. Each but a kill has an end, which the guard keeps whatever
 * becomes of the operator. Values are looked at here, so that a slip is told with what was expected
 * before anything is asked for; what NAME means only the guard knows.
 *
 * A kill of all that a tenant has is asked about once more on a terminal; a script has to say --yes.
 */

#include <stdio.h>
#include <unistd.h>

#include "ctl.h"
#include "num.h"
#include "screens.h"
#include "value.h"

#define FREEZE_USEC (10 * USEC_PER_SEC) /* without --for */
#define FREEZE_MAX_USEC (600 * USEC_PER_SEC)

/* ---- throttle ---- */

static int parse_percent(const char *s, uint64_t *ret) { return value_parse_permyriad(s, ret); }
static int parse_bytes(const char *s, uint64_t *ret) { return value_parse_size(s, 1024, ret); }
static int parse_rate(const char *s, uint64_t *ret) { return value_parse_size(s, 1000, ret); }

static const struct {
        const char *key;
        int (*parse)(const char *s, uint64_t *ret);
        const char *expected;
} levers[] = {
        { "cpu", parse_percent, "a share of one CPU above 0, such as 50% or 250%" },
        { "memory", parse_bytes, "a size above 0, such as 512M or 2G" },
        { "io", parse_rate, "bytes a second above 0, such as 10M" },
        { "pids", num_parse_u64, "a number of tasks above 0, such as 100" },
};

static int one_value(const char *word, unsigned *seen, Buf *error) {
        const char *equals = strchr(word, '='), *known[ARRAY_SIZE(levers)], *near;
        _cleanup_free_ char *key = strndup(word, equals ? (size_t)(equals - word) : strlen(word));

        if (!key)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(levers); i++) {
                uint64_t n = 0;

                known[i] = levers[i].key;
                if (!STR_EQ(levers[i].key, key))
                        continue;
                if (*seen & 1U << i) {
                        buf_printf(error, "%s= is given twice", key);
                        return -EINVAL;
                }
                *seen |= 1U << i;
                /* Blanks part one value from the next where the guard reads them. */
                if (equals && !strpbrk(equals, " \t\n") && levers[i].parse(equals + 1, &n) >= 0 && n > 0 &&
                    n != UINT64_MAX)
                        return 0;
                buf_printf(error, "%s: expected %s=, then %s", word, key, levers[i].expected);
                return -EINVAL;
        }
        near = value_suggest(key, known, ARRAY_SIZE(known));
        buf_printf(error, "%s: expected cpu=, memory=, io= or pids=%s%s%s", word,
                   near ? "; did you mean " : "", near ? near : "", near ? "=?" : "");
        return -EINVAL;
}

int throttle_values(char *const *words, size_t n, Buf *values, Buf *error) {
        unsigned seen = 0;

        for (size_t i = 0; i < n; i++) {
                int r = one_value(words[i], &seen, error);

                if (r < 0)
                        return r;
                buf_printf(values, "%s%s", i > 0 ? " " : "", words[i]);
        }
        return buf_error(values);
}

int verb_throttle(Ctl *c) {
        _cleanup_buf_ Buf values = BUF_INIT, error = BUF_INIT;
        const char *name = c->arguments[0];
        _cleanup_free_ char *text = NULL;
        usec_t span;
        int r = throttle_values(c->arguments + 1, c->n_arguments - 1, &values, &error);

        if (r == -EINVAL)
                return ctl_fail(STATUS_USAGE, "throttle: %s", buf_str(&error));
        if (r < 0)
                return ctl_rendered(r);
        if (!(c->given & OPTION_FOR))
                return ctl_fail(STATUS_USAGE,
                                "throttle needs an end: bailiffctl throttle NAME cpu=50%% --for 10m");
        r = ctl_parse_span(c, &span);
        if (r != STATUS_DONE)
                return r;
        if (span == 0 || span == USEC_INFINITY)
                return ctl_fail(STATUS_USAGE, "--for %s: a throttle needs an end, and a length", c->span);
        r = client_change(c->client, &text, "Throttle", "sst", name, buf_str(&values), span);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c,
                        json_pack("{s:s, s:s, s:I, s:s}", "throttled", name, "values", buf_str(&values),
                                  "until", (json_int_t)num_add_sat(clock_realtime(), span), "text", text),
                        "%s\nend it with: bailiffctl release %s", text, name);
}

/* ---- freeze and thaw ---- */

int verb_freeze(Ctl *c) {
        const char *name = c->arguments[0];
        _cleanup_free_ char *text = NULL;
        usec_t span = FREEZE_USEC;
        int r = c->given & OPTION_FOR ? ctl_parse_span(c, &span) : STATUS_DONE;

        if (r != STATUS_DONE)
                return r;
        if (span == 0 || span > FREEZE_MAX_USEC)
                return ctl_fail(STATUS_USAGE, "--for %s: a freeze lasts above 0 and 10min at most", c->span);
        r = client_change(c->client, &text, "Freeze", "st", name, span);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c,
                        json_pack("{s:s, s:I, s:s}", "frozen", name, "until",
                                  (json_int_t)num_add_sat(clock_realtime(), span), "text", text),
                        "%s\nend it before its time with: bailiffctl thaw %s", text, name);
}

int verb_thaw(Ctl *c) {
        const char *name = c->arguments[0];
        _cleanup_free_ char *text = NULL;
        int r = client_change(c->client, &text, "Thaw", "s", name);

        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(c, json_pack("{s:s, s:s}", "thawed", name, "text", text), "%s", text);
}

/* ---- kill ---- */

int kill_target(const char *word, Buf *name, bool *ret_tenant) {
        bool tenant = strncmp(word, "tenant:", 7) == 0, container = strncmp(word, "container:", 10) == 0;

        if (!*word || (tenant && !word[7]) || (container && !word[10]))
                return -EINVAL;
        /* A bare name never means all that a tenant has, whoever is called so. */
        buf_printf(name, "%s%s", tenant || container || *word == '/' ? "" : "container:", word);
        *ret_tenant = tenant;
        return buf_error(name);
}

/* STATUS_DONE: go on. */
static int confirm(const Ctl *c, const char *name) {
        _cleanup_buf_ Buf shown = BUF_INIT;
        json_t *o = NULL;
        char answer[8];
        uint64_t n;
        int r;

        if (c->given & OPTION_YES)
                return STATUS_DONE;
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return ctl_fail(
                        STATUS_USAGE,
                        "kill %s ends every container of that tenant, and there is no terminal to ask: say "
                        "--yes",
                        name);
        r = client_get(c->client, "Show", name, &o);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        n = json_number(o, "containers");
        json_decref(o);
        text_escape(&shown, name + 7, ctl_is_utf8(), false);
        (void)fprintf(stderr, "Kill all %llu containers of tenant %s, at once and without grace? [yes/no] ",
                      (unsigned long long)n, buf_str(&shown));
        (void)fflush(stderr);
        if (!fgets(answer, sizeof(answer), stdin) || !STR_EQ(answer, "yes\n"))
                return ctl_fail(STATUS_FAILED, "nothing was killed: the answer was not yes");
        return STATUS_DONE;
}

int verb_kill(Ctl *c) {
        _cleanup_free_ char *text = NULL;
        _cleanup_buf_ Buf name = BUF_INIT;
        bool tenant = false;
        int r = kill_target(c->arguments[0], &name, &tenant);

        if (r == -EINVAL)
                return ctl_fail(STATUS_USAGE,
                                "kill %s: expected container:NAME, tenant:NAME, or the name of a container",
                                c->arguments[0]);
        if (r < 0)
                return ctl_rendered(r);
        r = tenant ? confirm(c, buf_str(&name)) : STATUS_DONE;
        if (r != STATUS_DONE)
                return r;
        r = client_change(c->client, &text, "Kill", "sb", buf_str(&name), (int)tenant);
        if (r != STATUS_DONE)
                return ctl_client_failed(c, r);
        return ctl_done(
                c,
                json_pack("{s:s, s:b, s:s}", "killed", c->arguments[0], "tenant", (int)tenant, "text", text),
                "%s", text);
}
