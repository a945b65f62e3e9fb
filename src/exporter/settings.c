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

static void take_count(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        uint64_t from, to;

        if (value_parse_range(value, &from, &to) < 0 || from != to || from < 1 || from > 1000)
                wrong(r, line, name, value, "a number from 1 to 1000");
        else
                *(uint64_t *)member(r, offset) = from;
}

static void take_path(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        char **to = member(r, offset);

        if (*value && *value != '/') {
                wrong(r, line, name, value, "an absolute path");
                return;
        }
        free(*to);
        *to = *value ? strdup(value) : NULL;
        r->oom |= *value && !*to;
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

static void take_label(Reading *r, unsigned line, const char *value, size_t offset, const char *name) {
        static const char *const taken[] = {
                "id", "image", "name", "cpu", "scope", "failure_type", "quantile"
        };
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
        bool good = *value && strlen(value) <= 64 && strchr(letters, *value) && strncmp(value, "__", 2) != 0;
        char *copy;

        (void)offset;
        for (const char *p = value; good && *p; p++)
                good = strchr(letters, *p) || strchr("0123456789", *p);
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
        };
        if (!c->tenant_label)
                return -ENOMEM;
        k = ini_read(file, text, len, &handler, diags);
        if (k < 0)
                return k;
        check(&r);
        return r.oom ? -ENOMEM : 0;
}

void config_deinit(Config *c) {
        patterns_deinit(&c->allow);
        patterns_deinit(&c->deny);
        free(c->tenant_label);
        free(c->certificate);
        free(c->key);
        free(c->client_ca);
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
