/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bailiffctl(1): the table of verbs, options, and who gets the terminal.
 *
 * Options may stand anywhere; each verb says which of them it takes, so that
 * `hold web --since 1h` is an error instead of a hold without an end.
 */

#include <getopt.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config.h"
#include "ctl.h"
#include "num.h"
#include "value.h"

typedef struct Verb {
        const char *name, *sub; /* sub: `policy SUB` */
        size_t min, max; /* arguments behind it */
        uint32_t options;
        int (*run)(Ctl *c);
        bool local; /* needs files of this host: no -H */
        const char *usage, *help;
} Verb;

static const Verb verbs[] = {
        { "status", NULL, 0, 0, OPTION_CHECK, verb_status, false, "[--check]",
          "what is in force here; --check: one line, Nagios codes" },
        { "tenants", NULL, 0, 0, 0, verb_tenants, false, "", "tenants with use, ceilings and state" },
        { "containers", NULL, 0, 0, 0, verb_containers, false, "",
          "containers with use, ceilings and state" },
        { "show", NULL, 1, 1, 0, verb_show, false, "NAME", "all about a tenant or container" },
        { "processes", NULL, 1, 1, 0, verb_processes, false, "NAME",
          "which processes of a container use what" },
        { "why", NULL, 0, 1, OPTION_FOR, verb_why, false, "[NAME|EVENT|incident:N] [--for T]",
          "who was hurt, who was to blame, what was done; T: a tenant" },
        { "incidents", NULL, 0, 0, OPTION_LINES | OPTION_SINCE, verb_incidents, false, "[--since T] [-n N]",
          "when somebody was hurt by another, and how far it went" },
        { "observe-report", NULL, 0, 0, 0, verb_observe_report, false, "",
          "what would have been done, per tenant" },
        { "top", NULL, 0, 0, OPTION_DELAY | OPTION_BATCH, verb_top, false, "[--delay S] [--batch]",
          "live: who uses what, and waits for what" },
        { "usage", NULL, 0, 0, OPTION_BY | OPTION_SINCE | OPTION_FORMAT, verb_usage, false,
          "[--by B] [--since T] [--format F]",
          "the books; B: tenant, container; F: table, csv, json, openmetrics" },
        { "report", NULL, 0, 0,
          OPTION_SINCE | OPTION_TENANT | OPTION_FORMAT | OPTION_HTML | OPTION_PROMETHEUS, verb_report, false,
          "[--since T] [--html FILE]", "use, ceilings, acts; --tenant T, --format F, --prometheus URL" },
        { "events", NULL, 0, 0, OPTION_FOLLOW | OPTION_SINCE | OPTION_LINES, verb_events, false,
          "[-f] [--since T] [-n N]", "what was done and seen; T: 10min, 2h, or an event's id" },
        { "policy", "check", 0, SIZE_MAX, OPTION_OFFLINE, verb_policy_check, true, "[--offline] [FILE...]",
          "every mistake in the policy files" },
        { "policy", "show", 0, 1, 0, verb_policy_show, false, "[TENANT]",
          "effective values, each with file and line" },
        { "policy", "diff", 0, 0, 0, verb_policy_diff, false, "",
          "what a reload would change, and its dangers" },
        { "policy", "suggest", 0, 0, 0, verb_policy_suggest, false, "",
          "a first policy from what runs here" },
        { "reload", NULL, 0, 0, 0, verb_reload, false, "", "load the policy from disk" },
        { "pause", NULL, 0, 0, OPTION_FOR, verb_pause, false, "[--for 1h]",
          "write nothing on this host for a while" },
        { "resume", NULL, 0, 0, 0, verb_resume, false, "", "end a pause or a release of all ceilings" },
        { "hold", NULL, 1, 1, OPTION_FOR | OPTION_REASON, verb_hold, false, "NAME --for 1h [--reason TEXT]",
          "leave NAME alone for a while" },
        { "unhold", NULL, 1, 1, 0, verb_unhold, false, "NAME", "end a hold" },
        { "undo", NULL, 1, 1, 0, verb_undo, false, "EVENT",
          "give back what an event set or held, and hold its target" },
        { "throttle", NULL, 2, 5, OPTION_FOR, verb_throttle, false, "NAME cpu=50% [K=V...] --for 10m",
          "hold NAME back; K: cpu, memory, io, pids" },
        { "release", NULL, 0, 1, OPTION_CEILINGS, verb_release, false, "NAME | --ceilings [NAME]",
          "end throttles and freezes; or give ceilings back" },
        { "freeze", NULL, 1, 1, OPTION_FOR, verb_freeze, false, "NAME [--for 10s]",
          "stop NAME where it is, 10min at most" },
        { "thaw", NULL, 1, 1, 0, verb_thaw, false, "NAME", "end a freeze" },
        { "kill", NULL, 1, 1, OPTION_YES, verb_kill, false, "[container:|tenant:]NAME [--yes]",
          "end all processes of one, at once" },
        { "notify", NULL, 0, 1, 0, verb_notify, false, "[DIRECTORY]",
          "run hooks for each incident; for bailiff-notify.service" },
        { "doctor", NULL, 0, 0, 0, verb_doctor, false, "", "what keeps ceilings from biting here" },
};

static const struct {
        uint32_t option;
        const char *name;
} option_names[] = {
        { OPTION_CHECK, "--check" },     { OPTION_FOLLOW, "--follow" },
        { OPTION_SINCE, "--since" },     { OPTION_LINES, "--lines" },
        { OPTION_OFFLINE, "--offline" }, { OPTION_FOR, "--for" },
        { OPTION_REASON, "--reason" },   { OPTION_CEILINGS, "--ceilings" },
        { OPTION_BY, "--by" },           { OPTION_FORMAT, "--format" },
        { OPTION_DELAY, "--delay" },     { OPTION_BATCH, "--batch" },
        { OPTION_YES, "--yes" },         { OPTION_TENANT, "--tenant" },
        { OPTION_HTML, "--html" },       { OPTION_PROMETHEUS, "--prometheus" },
};

/* ---- help ---- */

static const char *verb_line(const Verb *v, char *buf, size_t size) {
        (void)snprintf(buf, size, "%s%s%s%s%s", v->name, v->sub ? " " : "", v->sub ? v->sub : "",
                       *v->usage ? " " : "", v->usage);
        return buf;
}

static int help(void) {
        char line[128];

        puts("bailiffctl [OPTION...] VERB [ARGUMENT...]\n"
             "\n"
             "Asks bailiffd(8), the resource guard of this host, and tells it what to do.\n");
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                printf("  %-39s %s\n", verb_line(&verbs[i], line, sizeof(line)), verbs[i].help);
        puts("\n"
             "NAME is a tenant, a container's name, an engine's id (or the beginning of one), or\n"
             "a cgroup path; where both exist say tenant:NAME or container:NAME.\n"
             "\n"
             "     --json           for programs; the objects are documented in bailiffd(8)\n"
             "  -H --host=USER@HOST ask the guard of another host, through ssh\n"
             "  -l --full           cut nothing to the width of the terminal\n"
             "     --no-pager       do not page\n"
             "  -h --help           this text\n"
             "     --version        the version\n"
             "\n"
             "Exit status: 0 done, 1 failed, 2 usage, 3 bailiffd not reachable, 4 access denied,\n"
             "5 doctor found something; status --check: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n"
             "See bailiffctl(1).");
        return STATUS_DONE;
}

static int verb_help(const Verb *v) {
        char line[128];

        printf("bailiffctl %s\n\n  %s\n\nSee bailiffctl(1).\n", verb_line(v, line, sizeof(line)), v->help);
        return STATUS_DONE;
}

static int version(const Ctl *c) {
        if (c->json)
                return ctl_print_json(c, json_pack("{s:s}", "version", BAILIFF_VERSION));
        puts("bailiffctl " BAILIFF_VERSION);
        return STATUS_DONE;
}

/* ---- the command line ---- */

static int unknown(const char *word, const char *below) {
        const char *known[ARRAY_SIZE(verbs)], *near;
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (below ? verbs[i].sub && STR_EQ(verbs[i].name, below)
                          : !verbs[i].sub || STR_EQ(verbs[i].sub, "check"))
                        known[n++] = below ? verbs[i].sub : verbs[i].name;
        near = value_suggest(word, known, n);
        return ctl_fail(STATUS_USAGE, "unknown verb %s%s%.100s%s%s%s; see bailiffctl --help",
                        below ? below : "", below ? " " : "", word, near ? ", did you mean " : "",
                        near ? near : "", near ? "?" : "");
}

/* The verb at the beginning of words; *n_words says how many of them it took. */
static int find_verb(char *const *words, const Verb **ret, size_t *ret_taken) {
        bool group = false;

        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
                const Verb *v = &verbs[i];

                if (!STR_EQ(v->name, words[0]))
                        continue;
                group |= v->sub != NULL;
                if (v->sub && (!words[1] || !STR_EQ(v->sub, words[1])))
                        continue;
                *ret = v;
                *ret_taken = v->sub ? 2 : 1;
                return STATUS_DONE;
        }
        if (group && !words[1])
                return ctl_fail(STATUS_USAGE, "%s what? check, show, diff or suggest; see bailiffctl --help",
                                words[0]);
        return unknown(words[group ? 1 : 0], group ? words[0] : NULL);
}

static int check_usage(const Ctl *c, const Verb *v) {
        char line[128];

        for (size_t i = 0; i < ARRAY_SIZE(option_names); i++)
                if (c->given & ~v->options & option_names[i].option)
                        return ctl_fail(STATUS_USAGE, "%s takes no %s; usage: bailiffctl %s",
                                        v->sub ? v->sub : v->name, option_names[i].name,
                                        verb_line(v, line, sizeof(line)));
        if (c->n_arguments < v->min || c->n_arguments > v->max)
                return ctl_fail(STATUS_USAGE, "too %s arguments; usage: bailiffctl %s",
                                c->n_arguments < v->min ? "few" : "many", verb_line(v, line, sizeof(line)));
        if (v->local && c->host)
                return ctl_fail(
                        STATUS_USAGE,
                        "policy check reads the files here; on another host: ssh %s bailiffctl policy check",
                        c->host);
        /* What ssh would take for an option is no host. */
        if (c->host && (!*c->host || *c->host == '-' || strpbrk(c->host, " \t\n")))
                return ctl_fail(STATUS_USAGE, "-H %s: expected USER@HOST or HOST", c->host);
        return STATUS_DONE;
}

enum {
        ARG_VERSION = 256,
        ARG_JSON,
        ARG_NO_PAGER,
        ARG_CHECK,
        ARG_SINCE,
        ARG_OFFLINE,
        ARG_FOR,
        ARG_REASON,
        ARG_CEILINGS,
        ARG_BY,
        ARG_FORMAT,
        ARG_YES,
        ARG_TENANT,
        ARG_HTML,
        ARG_PROMETHEUS
};

/* < 0: go on; else the exit status. */
static int parse_options(Ctl *c, int argc, char *argv[], bool *ret_help, bool *ret_version) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "json", no_argument, NULL, ARG_JSON },
                { "host", required_argument, NULL, 'H' },
                { "no-pager", no_argument, NULL, ARG_NO_PAGER },
                { "full", no_argument, NULL, 'l' },
                { "check", no_argument, NULL, ARG_CHECK },
                { "follow", no_argument, NULL, 'f' },
                { "since", required_argument, NULL, ARG_SINCE },
                { "lines", required_argument, NULL, 'n' },
                { "offline", no_argument, NULL, ARG_OFFLINE },
                { "for", required_argument, NULL, ARG_FOR },
                { "reason", required_argument, NULL, ARG_REASON },
                { "ceilings", no_argument, NULL, ARG_CEILINGS },
                { "by", required_argument, NULL, ARG_BY },
                { "format", required_argument, NULL, ARG_FORMAT },
                { "delay", required_argument, NULL, 'd' },
                { "batch", no_argument, NULL, 'b' },
                { "yes", no_argument, NULL, ARG_YES },
                { "tenant", required_argument, NULL, ARG_TENANT },
                { "html", required_argument, NULL, ARG_HTML },
                { "prometheus", required_argument, NULL, ARG_PROMETHEUS },
                {},
        };
        int o;

        while ((o = getopt_long(argc, argv, "hH:lfn:d:b", options, NULL)) >= 0)
                switch (o) {
                case 'h':
                        *ret_help = true;
                        break;
                case ARG_VERSION:
                        *ret_version = true;
                        break;
                case ARG_JSON:
                        c->json = true;
                        break;
                case 'H':
                        c->host = optarg;
                        break;
                case ARG_NO_PAGER:
                        c->no_pager = true;
                        break;
                case 'l':
                        c->full = true;
                        break;
                case ARG_CHECK:
                        c->given |= OPTION_CHECK;
                        break;
                case 'f':
                        c->given |= OPTION_FOLLOW;
                        break;
                case ARG_SINCE:
                        c->given |= OPTION_SINCE;
                        c->since = optarg;
                        break;
                case 'n':
                        c->given |= OPTION_LINES;
                        c->lines = optarg;
                        break;
                case ARG_OFFLINE:
                        c->given |= OPTION_OFFLINE;
                        break;
                case ARG_FOR:
                        c->given |= OPTION_FOR;
                        c->span = optarg;
                        break;
                case ARG_REASON:
                        c->given |= OPTION_REASON;
                        c->reason = optarg;
                        break;
                case ARG_CEILINGS:
                        c->given |= OPTION_CEILINGS;
                        break;
                case ARG_BY:
                        c->given |= OPTION_BY;
                        c->by = optarg;
                        break;
                case ARG_FORMAT:
                        c->given |= OPTION_FORMAT;
                        c->format = optarg;
                        break;
                case 'd':
                        c->given |= OPTION_DELAY;
                        c->delay = optarg;
                        break;
                case 'b':
                        c->given |= OPTION_BATCH;
                        break;
                case ARG_YES:
                        c->given |= OPTION_YES;
                        break;
                case ARG_TENANT:
                        c->given |= OPTION_TENANT;
                        c->tenant = optarg;
                        break;
                case ARG_HTML:
                        c->given |= OPTION_HTML;
                        c->html = optarg;
                        break;
                case ARG_PROMETHEUS:
                        c->given |= OPTION_PROMETHEUS;
                        c->prometheus = optarg;
                        break;
                default:
                        return STATUS_USAGE; /* getopt has said it */
                }
        return -1;
}

/* $COLUMNS as the shell has it, else the terminal's own; 0: not a terminal, nothing is cut. */
static unsigned terminal_width(void) {
        const char *columns = getenv("COLUMNS");
        struct winsize ws = {};
        uint32_t n;

        if (!isatty(STDOUT_FILENO))
                return 0;
        if (columns && num_parse_u32(columns, &n) >= 0 && n >= 20 && n <= 10000)
                return n;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 20)
                return ws.ws_col;
        return 80;
}

static void set_view(Ctl *c) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
        bool terminal = isatty(STDOUT_FILENO);

        c->view = (View){
                .out = stdout,
                .color = terminal && !(no_color && *no_color) && term && *term && !STR_EQ(term, "dumb"),
                .utf8 = ctl_is_utf8() || !terminal,
                .width = c->full ? 0 : terminal_width(),
        };
}

static int run(Ctl *c, const Verb *v) {
        int r = check_usage(c, v);

        if (r != STATUS_DONE)
                return r;
        c->client = client_new(c->host);
        if (!c->client)
                return ctl_rendered(-ENOMEM);
        r = v->run(c);
        /* A full disk behind a redirection is no success; a pager that was quit is. */
        if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE && r == STATUS_DONE)
                r = ctl_fail(STATUS_FAILED, "cannot write the answer: %s", strerror(errno));
        pager_close();
        c->client = client_free(c->client);
        return r;
}

int main(int argc, char *argv[]) {
        bool want_help = false, want_version = false;
        const Verb *v = NULL;
        size_t taken = 0;
        Ctl c = {};
        int r;

        ctl_set_locale();
        r = parse_options(&c, argc, argv, &want_help, &want_version);
        if (r >= 0)
                return r;
        set_view(&c);
        if (want_version || (optind < argc && STR_EQ(argv[optind], "version")))
                return version(&c);
        if (optind >= argc || STR_EQ(argv[optind], "help")) {
                if (want_help || optind < argc)
                        return help();
                return ctl_fail(
                        STATUS_USAGE,
                        "what shall be done? Begin with: bailiffctl status; all verbs: bailiffctl --help");
        }
        r = find_verb(argv + optind, &v, &taken);
        if (r != STATUS_DONE)
                return r;
        if (want_help)
                return verb_help(v);
        c.arguments = argv + optind + taken;
        c.n_arguments = (size_t)(argc - optind) - taken;
        return run(&c, v);
}
