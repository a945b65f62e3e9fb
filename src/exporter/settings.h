/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* exporter.conf: bailiff-exporter(8) says what the keys mean. Pure: from text to settings, with all mistakes in one go. */

#include "diag.h"
#include "server.h"

typedef enum CadvisorNames { CADVISOR_AUTO, CADVISOR_YES, CADVISOR_NO } CadvisorNames;

#define CONFIG_LISTEN_MAX 8
#define CONFIG_PATTERNS_MAX 64

typedef struct ConfigPatterns { /* globs of metrics' names */
        char *items[CONFIG_PATTERNS_MAX];
        size_t n;
} ConfigPatterns;

typedef struct ConfigLabel {
        char *name, *value;
} ConfigLabel;

#define CONFIG_LABELS_MAX 16

typedef struct ConfigPush { /* RemoteWrite…= */
        char *url; /* NULL: nobody is told; all else has no meaning then */
        char *ca, *certificate, *key, *user, *password_file, *token_file; /* NULL: not set */
        bool insecure; /* without TLS also to others than this host */
        uint64_t backlog_max_bytes, interval_sec;
        ConfigLabel labels[CONFIG_LABELS_MAX];
        size_t n_labels;
} ConfigPush;

typedef struct Config {
        uint64_t keep_raw_sec, keep_5min_sec, keep_1h_sec, history_max_bytes;
        CadvisorNames cadvisor_names;
        bool containers; /* Detail=container */
        char *tenant_label;
        ConfigPatterns allow, deny;
        HttpAddress listen[CONFIG_LISTEN_MAX];
        size_t n_listen;
        char *certificate, *key, *client_ca; /* paths; NULL: not set */
        uint64_t connections_max, connections_max_per_address;
        ConfigPush push;
        char *textfile_dir; /* NULL: none is written */
} Config;

/* Defaults where text is empty. 0 also where lines were wrong (diags knows, *c is to be freed all the same); -ENOMEM. */
int config_parse(const char *file, const char *text, size_t len, Config *c, Diags *diags);
void config_deinit(Config *c);
/* Allow= and Deny= of a metric's name as samples have it. */
bool config_wants(const Config *c, const char *name);
