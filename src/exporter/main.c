/* SPDX-License-Identifier: Apache-2.0 */

/* bailiff-exporter(8): options and configuration. */

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <syslog.h>

#include "config.h"
#include "exporter.h"
#include "fdio.h"
#include "run.h"
#include "settings.h"

enum { ARG_VERSION = 256, ARG_CONFIG, ARG_STATE_DIR, ARG_SOCKET, ARG_LIST_METRICS, ARG_CHECK };

#define CONFIG_MAX (1 << 20)

static int help(void) {
        puts("bailiff-exporter [OPTION…]\n"
             "\n"
             "Keeps the history of what containers and tenants use, and serves it over HTTP with metrics "
             "for\n"
             "Prometheus. Started by bailiff-exporter.service; see bailiff-exporter(8), bailiff-metrics(7).\n"
             "\n"
             "     --config=FILE       instead of " BAILIFF_SYSCONFDIR "/bailiff/exporter.conf\n"
             "     --check             read the configuration, say what is wrong with it, and end\n"
             "     --state-dir=DIR     where history.db is (/var/lib/bailiff/history)\n"
             "     --socket=PATH       listen there, where systemd passes no socket\n"
             "     --list-metrics      print every metric with its type and meaning, and end\n"
             "  -h --help              this text\n"
             "     --version           the version\n");
        return EXIT_SUCCESS;
}

static int list_metrics(void) {
        _cleanup_buf_ Buf out = BUF_INIT;

        if (pages_list_metrics(&out) < 0)
                return EXIT_FAILURE;
        fputs(buf_str(&out), stdout);
        return EXIT_SUCCESS;
}

/* No file is all defaults, unless it was asked for. */
static int load(const char *path, bool must, Config *c) {
        _cleanup_free_ char *text = NULL;
        _cleanup_buf_ Buf report = BUF_INIT;
        Diags diags = {};
        size_t len = 0;
        int r = fd_read_regular_at(AT_FDCWD, path, CONFIG_MAX, &text, &len, NULL, NULL);

        if (r == -ENOENT && !must)
                r = 0;
        if (r < 0) {
                run_log(LOG_ERR, "%s: %s", path, strerror(-r));
                return r;
        }
        r = config_parse(path, text ? text : "", len, c, &diags);
        if (diags.n > 0 && diags_format(&diags, &report) >= 0)
                fputs(buf_str(&report), stderr);
        if (r >= 0 && diags_failed(&diags))
                r = -EINVAL;
        diags_deinit(&diags);
        if (r == -EINVAL)
                run_log(LOG_ERR, "%s has mistakes (above): not started", path);
        return r;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "config", required_argument, NULL, ARG_CONFIG },
                { "state-dir", required_argument, NULL, ARG_STATE_DIR },
                { "socket", required_argument, NULL, ARG_SOCKET },
                { "list-metrics", no_argument, NULL, ARG_LIST_METRICS },
                { "check", no_argument, NULL, ARG_CHECK },
                {},
        };
        const char *config_file = NULL;
        _cleanup_(config_deinit) Config config = {};
        RunOptions o = { .config = &config, .state_dir = "/var/lib/bailiff/history" };
        bool check = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_VERSION:
                        puts("bailiff-exporter " BAILIFF_VERSION);
                        return EXIT_SUCCESS;
                case ARG_CONFIG:
                        config_file = optarg;
                        break;
                case ARG_STATE_DIR:
                        o.state_dir = optarg;
                        break;
                case ARG_SOCKET:
                        o.socket = optarg;
                        break;
                case ARG_LIST_METRICS:
                        return list_metrics();
                case ARG_CHECK:
                        check = true;
                        break;
                default:
                        return 2;
                }
        if (optind < argc) {
                fprintf(stderr, "bailiff-exporter: takes no arguments; see bailiff-exporter --help\n");
                return 2;
        }
        r = load(config_file ? config_file : BAILIFF_SYSCONFDIR "/bailiff/exporter.conf", config_file,
                 &config);
        if (r < 0 || check)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        r = run(&o);
        if (r < 0)
                run_log(LOG_ERR, "cannot run: %s", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
