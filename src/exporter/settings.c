/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One section, a table of keys. The rules about addresses are checked here, where the line is known: what is told over a network
 * is told over TLS, or not at all.
 */

#include <stdio.h>

#include "settings.h"
#include "policy.h"
#include "value.h"

#define SECTION "Exporter"
#define DAY_SEC UINT64_C(86400)

typedef struct Reading {
        const char *file;
        Config *c;
        Diags *diags;
        unsigned listen_lines[CONFIG_LISTEN_MAX], certificate_line, key_line, ca_line;
        unsigned push_line, push_tls_line, push_auth_line; /* the last of their keys */
        bool oom;
} Reading;

typedef struct Key {
        const char *name;
        void (*take)(Reading *r, unsigned line, const char *value, size_t offset, const char *name);
        size_t offset; /* in Config */
} Key;

static void wrong(Reading *r, unsigned line, const char *key, const char *value, const char *expected) {
        diags_add(r->diags, DIAG_ERROR, r->file, line, "[" SECTION "] %s=%.100s: expected %s", key, value,
                  expected);
}

static void *member(const Reading *r, size_t offset) { return (char *)r->c + offset; }

static void take_span(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        usec_t v;

        if (value_parse_usec(value, &v) < 0 || v == USEC_INFINITY || v < 600 * USEC_PER_SEC)
                wrong(r, line, name, value, "a time span of at least 10min, such as 2d or 60d");
        else
                *(uint64_t *)member(r, offset) = v / USEC_PER_SEC;
}

static void take_size(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        uint64_t v;

        if (value_parse_size(value, 1024, &v) < 0 || v == UINT64_MAX || v < UINT64_C(16) << 20)
                wrong(r, line, name, value, "a size of at least 16M, such as 2G");
        else
                *(uint64_t *)member(r, offset) = v;
}

static void take_backlog(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        uint64_t v;

        if (value_parse_size(value, 1024, &v) < 0 || v < UINT64_C(1) << 20 || v > UINT64_C(1) << 40)
                wrong(r, line, name, value, "a size from 1M to 1T, such as 64M");
        else
                *(uint64_t *)member(r, offset) = v;
}

static void take_interval(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        usec_t v;

        if (value_parse_usec(value, &v) < 0 || v < 10 * USEC_PER_SEC || v > 3600 * USEC_PER_SEC)
                wrong(r, line, name, value, "a time span from 10s to 1h, such as 30s");
        else
                *(uint64_t *)member(r, offset) = v / USEC_PER_SEC;
}

static void take_count(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        uint64_t from, to;

        if (value_parse_range(value, &from, &to) < 0 || from != to || from < 1 || from > 1000)
                wrong(r, line, name, value, "a number from 1 to 1000");
        else
                *(uint64_t *)member(r, offset) = from;
}

static void take_text(Reading *r, const char *value, char **to) {
        free(*to);
        *to = *value ? strdup(value) : NULL;
        r->oom |= *value && !*to;
}

static void take_path(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        char **to = member(r, offset);

        if (*value && *value != '/') {
                wrong(r, line, name, value, "an absolute path");
                return;
        }
        take_text(r, value, to);
        if (STR_EQ(name, "Certificate"))
                r->certificate_line = line;
        else if (STR_EQ(name, "Key"))
                r->key_line = line;
        else
                r->ca_line = line;
}

static void take_listen(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        Config *c = r->c;

        (void)offset;
        if (*value == '\0')
                c->n_listen = 0;
        else if (c->n_listen == CONFIG_LISTEN_MAX)
                wrong(r, line, name, value, "no more than 8 addresses");
        else if (http_address_parse(value, &c->listen[c->n_listen]) < 0)
                wrong(r, line, name, value, "ADDRESS:PORT, such as 127.0.0.1:9477 or [::1]:9477");
        else
                r->listen_lines[c->n_listen++] = line;
}

static void take_cadvisor(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        bool yes;

        (void)offset;
        if (STR_EQ(value, "auto"))
                r->c->cadvisor_names = CADVISOR_AUTO;
        else if (value_parse_boolean(value, &yes) >= 0)
                r->c->cadvisor_names = yes ? CADVISOR_YES : CADVISOR_NO;
        else
                wrong(r, line, name, value, "auto, yes or no");
}

static void take_detail(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        (void)offset;
        if (!STR_EQ(value, "tenant") && !STR_EQ(value, "container"))
                wrong(r, line, name, value, "tenant or container");
        else
                r->c->containers = STR_EQ(value, "container");
}

static bool is_label(const char *name) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";

        if (!*name || strlen(name) > 64 || !strchr(letters, *name) || strncmp(name, "__", 2) == 0)
                return false;
        for (const char *p = name; *p; p++)
                if (!strchr(letters, *p) && !strchr("0123456789", *p))
                        return false;
        return true;
}

static void take_label(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        static const char *const taken[] = {
                "id", "image", "name", "cpu", "scope", "failure_type", "quantile"
        };
        bool good = is_label(value);
        char *copy;

        (void)offset;
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
                good = good && !STR_EQ(value, taken[i]);
        if (!good) {
                wrong(r, line, name, value, "the name of a label that nothing else has, such as tenant");
                return;
        }
        copy = strdup(value);
        r->oom |= !copy;
        if (copy) {
                free(r->c->tenant_label);
                r->c->tenant_label = copy;
        }
}

static void patterns_deinit(ConfigPatterns *p) {
        for (size_t i = 0; i < p->n; i++)
                free(p->items[i]);
        p->n = 0;
}

static void take_patterns(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        ConfigPatterns *p = member(r, offset);

        if (*value == '\0')
                patterns_deinit(p);
        while (*value) {
                size_t n = strcspn(value, " \t");

                if (p->n == CONFIG_PATTERNS_MAX) {
                        wrong(r, line, name, value, "no more than 64 patterns");
                        return;
                }
                p->items[p->n] = strndup(value, n);
                if (!p->items[p->n]) {
                        r->oom = true;
                        return;
                }
                p->n++;
                value += n;
                value += strspn(value, " \t");
        }
}

/* ---- who is told ---- */

/* A file that only the exporter's user needs to read, a directory; "" for none. */
static void take_file(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        if (*value && *value != '/') {
                wrong(r, line, name, value, "an absolute path");
                return;
        }
        take_text(r, value, member(r, offset));
        if (strncmp(name, "RemoteWrite", strlen("RemoteWrite")) != 0)
                return;
        if (offset >= offsetof(Config, push.user))
                r->push_auth_line = line;
        else
                r->push_tls_line = line;
}

static void take_user(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        if (strchr(value, ':')) {
                wrong(r, line, name, value,
                      "a name without a colon; the password is in RemoteWritePasswordFile=");
                return;
        }
        take_text(r, value, member(r, offset));
        r->push_auth_line = line;
}

/* The host of "http://HOST:PORT/…", as text; 0: it is no such URL. */
static size_t host_of(const char *url, const char **ret) {
        const char *p = strncmp(url, "https://", 8) == 0  ? url + 8
                        : strncmp(url, "http://", 7) == 0 ? url + 7
                                                          : NULL;
        size_t all, n;

        if (!p)
                return 0;
        for (const char *c = url; *c; c++)
                if (*c <= ' ' || *c > '~')
                        return 0;
        all = strcspn(p, "/?#");
        /* Words before the host would be a password in a file that anybody reads, and in the journal. */
        if (memchr(p, '@', all))
                return 0;
        n = *p == '[' ? strcspn(p, "]") + 1 : strcspn(p, ":/?#");
        *ret = p;
        return n <= all ? n : 0;
}

static bool is_loopback(const char *host, size_t n) {
        static const char *const names[] = { "localhost", "[::1]", "127.0.0.1" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strlen(names[i]) == n && strncmp(host, names[i], n) == 0)
                        return true;
        return false;
}

static void take_url(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        const char *host;

        if (*value && host_of(value, &host) == 0)
                wrong(r, line, name, value,
                      "https://HOST[:PORT]/PATH, such as https://metrics.example.com/api/v1/write");
        else
                take_text(r, value, member(r, offset));
        r->push_line = line;
}

static void take_boolean(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        if (value_parse_boolean(value, member(r, offset)) < 0)
                wrong(r, line, name, value, "yes or no");
}

static void labels_deinit(ConfigPush *p) {
        for (size_t i = 0; i < p->n_labels; i++) {
                free(p->labels[i].name);
                free(p->labels[i].value);
        }
        p->n_labels = 0;
}

/* The last of one name counts. */
static void add_label(Reading *r, const char *name, const char *value, size_t n) {
        ConfigPush *p = &r->c->push;
        ConfigLabel *to = &p->labels[p->n_labels];

        for (size_t i = 0; i < p->n_labels; i++)
                if (STR_EQ(p->labels[i].name, name))
                        to = &p->labels[i];
        if (to == &p->labels[p->n_labels]) {
                to->name = strdup(name);
                to->value = NULL;
                p->n_labels++;
        }
        free(to->value);
        to->value = strndup(value, n);
        r->oom |= !to->name || !to->value;
}

static void take_labels(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        (void)offset;
        if (*value == '\0')
                labels_deinit(&r->c->push);
        while (*value && !r->oom) {
                size_t n = strcspn(value, " \t"), k = strcspn(value, "=");
                char label[65];

                if (k >= n || k >= sizeof(label)) {
                        wrong(r, line, name, value, "NAME=VALUE, separated by blanks, such as host=web1");
                        return;
                }
                memcpy(label, value, k);
                label[k] = '\0';
                if (!is_label(label) || r->c->push.n_labels == CONFIG_LABELS_MAX) {
                        wrong(r, line, name, value, "up to 16 names of labels, such as host=web1");
                        return;
                }
                add_label(r, label, value + k + 1, n - k - 1);
                value += n;
                value += strspn(value, " \t");
        }
}

#define AT(m) offsetof(Config, m)
static const Key keys[] = {
        { "HistoryKeepRaw", take_span, AT(keep_raw_sec) },
        { "HistoryKeep5min", take_span, AT(keep_5min_sec) },
        { "HistoryKeep1h", take_span, AT(keep_1h_sec) },
        { "HistoryMaxSize", take_size, AT(history_max_bytes) },
        { "CadvisorNames", take_cadvisor, 0 },
        { "Detail", take_detail, 0 },
        { "TenantLabel", take_label, 0 },
        { "Allow", take_patterns, AT(allow) },
        { "Deny", take_patterns, AT(deny) },
        { "Listen", take_listen, 0 },
        { "Certificate", take_path, AT(certificate) },
        { "Key", take_path, AT(key) },
        { "ClientCA", take_path, AT(client_ca) },
        { "MaxConnections", take_count, AT(connections_max) },
        { "MaxConnectionsPerAddress", take_count, AT(connections_max_per_address) },
        { "RemoteWrite", take_url, AT(push.url) },
        { "RemoteWriteCA", take_file, AT(push.ca) },
        { "RemoteWriteCertificate", take_file, AT(push.certificate) },
        { "RemoteWriteKey", take_file, AT(push.key) },
        { "RemoteWriteUser", take_user, AT(push.user) },
        { "RemoteWritePasswordFile", take_file, AT(push.password_file) },
        { "RemoteWriteTokenFile", take_file, AT(push.token_file) },
        { "RemoteWriteInsecure", take_boolean, AT(push.insecure) },
        { "RemoteWriteInterval", take_interval, AT(push.interval_sec) },
        { "RemoteWriteBacklogMax", take_backlog, AT(push.backlog_max_bytes) },
        { "RemoteWriteLabels", take_labels, 0 },
        { "TextfileDirectory", take_file, AT(textfile_dir) },
};

static void on_section(void *user, unsigned line, const char *type, const char *name) {
        Reading *r = user;

        if (!STR_EQ(type, SECTION) || *name)
                diags_add(r->diags, DIAG_ERROR, r->file, line, "[%.60s%s%.60s]: expected [" SECTION "]", type,
                          *name ? " " : "", name);
}

static void on_entry(void *user, unsigned line, const char *type, const char *section, const char *key,
                     const char *value) {
        const char *names[ARRAY_SIZE(keys)], *near;
        Reading *r = user;

        if (!STR_EQ(type, SECTION) || *section)
                return; /* said already */
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                names[i] = keys[i].name;
                if (STR_EQ(key, keys[i].name)) {
                        keys[i].take(r, line, value, keys[i].offset, key);
                        return;
                }
        }
        near = value_suggest(key, names, ARRAY_SIZE(keys));
        diags_add(r->diags, DIAG_ERROR, r->file, line, "[" SECTION "] %.60s: no such key%s%s%s", key,
                  near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static void check(Reading *r) {
        const Config *c = r->c;

        if (c->certificate && !c->key)
                diags_add(r->diags, DIAG_ERROR, r->file, r->certificate_line,
                          "[" SECTION "] Certificate: without Key=, expected both");
        if (c->key && !c->certificate)
                diags_add(r->diags, DIAG_ERROR, r->file, r->key_line,
                          "[" SECTION "] Key: without Certificate=, expected both");
        if (c->client_ca && !c->certificate)
                diags_add(r->diags, DIAG_ERROR, r->file, r->ca_line,
                          "[" SECTION
                          "] ClientCA: without Certificate= and Key= there is no TLS, and nobody is asked");
        for (size_t i = 0; i < c->n_listen; i++)
                if (!c->listen[i].loopback && !(c->certificate && c->key))
                        diags_add(r->diags, DIAG_ERROR, r->file, r->listen_lines[i],
                                  "[" SECTION "] Listen: an address that others reach needs TLS, expected "
                                  "Certificate= and Key= (and ClientCA=), or 127.0.0.1 or [::1]");
}

static void check_push(Reading *r) {
        const ConfigPush *p = &r->c->push;
        const char *host = NULL, *mistake = NULL;
        size_t n = p->url ? host_of(p->url, &host) : 0;

        if (n > 0 && strncmp(p->url, "https://", 8) != 0 && !p->insecure && !is_loopback(host, n))
                diags_add(r->diags, DIAG_ERROR, r->file, r->push_line,
                          "[" SECTION "] RemoteWrite: to another host only over TLS, expected https:// (or "
                          "RemoteWriteInsecure=yes, where a tunnel does it)");
        if (!p->url && (r->push_tls_line > 0 || r->push_auth_line > 0))
                diags_add(r->diags, DIAG_ERROR, r->file, MAX_OF(r->push_tls_line, r->push_auth_line),
                          "[" SECTION "] RemoteWrite: not set, expected a URL for the other keys of it");
        if (!p->certificate != !p->key)
                diags_add(r->diags, DIAG_ERROR, r->file, r->push_tls_line,
                          "[" SECTION "] RemoteWriteCertificate, RemoteWriteKey: expected both");
        if (!p->user != !p->password_file)
                mistake = "RemoteWriteUser, RemoteWritePasswordFile: expected both";
        else if (p->user && p->token_file)
                mistake = "RemoteWriteTokenFile: expected no RemoteWriteUser beside it";
        if (mistake)
                diags_add(r->diags, DIAG_ERROR, r->file, r->push_auth_line, "[" SECTION "] %s", mistake);
}

int config_parse(const char *file, const char *text, size_t len, Config *c, Diags *diags) {
        Reading r = { .file = file, .c = c, .diags = diags };
        const IniHandler handler = { on_section, on_entry, &r };
        int k;

        *c = (Config){
                .keep_raw_sec = 2 * DAY_SEC,
                .keep_5min_sec = 60 * DAY_SEC,
                .keep_1h_sec = 1096 * DAY_SEC,
                .history_max_bytes = UINT64_C(2) << 30,
                .containers = true,
                .tenant_label = strdup("tenant"),
                .connections_max = 64,
                .connections_max_per_address = 16,
                .push = { .backlog_max_bytes = UINT64_C(64) << 20, .interval_sec = 30 },
        };
        if (!c->tenant_label)
                return -ENOMEM;
        k = ini_read(file, text, len, &handler, diags);
        if (k < 0)
                return k;
        check(&r);
        check_push(&r);
        return r.oom ? -ENOMEM : 0;
}

void config_deinit(Config *c) {
        patterns_deinit(&c->allow);
        patterns_deinit(&c->deny);
        free(c->tenant_label);
        free(c->certificate);
        free(c->key);
        free(c->client_ca);
        free(c->push.url);
        free(c->push.ca);
        free(c->push.certificate);
        free(c->push.key);
        free(c->push.user);
        free(c->push.password_file);
        free(c->push.token_file);
        labels_deinit(&c->push);
        free(c->textfile_dir);
        *c = (Config){};
}

static bool matches(const ConfigPatterns *p, const char *name) {
        for (size_t i = 0; i < p->n; i++)
                if (value_glob(p->items[i], name))
                        return true;
        return false;
}

bool config_wants(const Config *c, const char *name) {
        return (c->allow.n == 0 || matches(&c->allow, name)) && !matches(&c->deny, name);
}
