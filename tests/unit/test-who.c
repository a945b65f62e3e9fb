/* SPDX-License-Identifier: Apache-2.0 */

/* Policy text and facts in, verdict out; with what a hostile tenant would try. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "who.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DOCKER "docker-" ID ".scope"
#define ALICE "/user.slice/user-1000.slice/user@1000.service"

static const char policy_text[] = "[Tenant acme]\n"
                                  "Match=slice=tenant-acme.slice\n"
                                  "Match=label=com.example.tenant=acme\n"
                                  "Match=name=acme-*\n"
                                  "[Tenant beta]\n"
                                  "Match=slice=tenant-beta*.slice\n"
                                  "Match=label=com.example.tenant=beta\n"
                                  "Match=path=/srv/beta\n"
                                  "Match=path=/lxc/b?\n"
                                  "[Tenant staff]\n"
                                  "Match=user=2000-2099\n"
                                  "Match=user=@staff\n"
                                  "Match=user=alice\n"
                                  "[Template compose]\n"
                                  "Match=label=com.docker.compose.project=*\n"
                                  "Tenant=compose-%v\n"
                                  "[Template people]\n"
                                  "Match=user=3000-3999\n"
                                  "Tenant=u-%u\n"
                                  "[Template slices]\n"
                                  "Match=slice=sold-*.slice\n"
                                  "Tenant=%s\n"
                                  "[Template paths]\n"
                                  "Match=path=/pool/*\n"
                                  "Tenant=pool-%v\n"
                                  "[Template minted]\n"
                                  "Match=label=mint=*\n"
                                  "Tenant=%v\n"
                                  "[Tenant rest]\n"
                                  "Match=name=*\n";

static Policy *parse(const char *text) {
        PolicyText t = { .file = "test.ini", .text = text, .len = strlen(text) };
        _cleanup_buf_ Buf out = BUF_INIT;
        Diags diags = {};
        Policy *p = NULL;

        if (policy_parse(&t, 1, &diags, &p) < 0) {
                diags_format(&diags, &out);
                fail_msg("%s", buf_str(&out));
        }
        diags_deinit(&diags);
        return p;
}

#define TRUSTED .names_known = true, .names_trusted = true
#define NOBODY .uid = (uid_t)-1
#define LABELS(...)                                  \
        .labels = (const WhoLabel[]){ __VA_ARGS__ }, \
        .n_labels = sizeof((const WhoLabel[]){ __VA_ARGS__ }) / sizeof(WhoLabel)
#define GROUPS(...) \
        .groups = (const char *const[]) { __VA_ARGS__, NULL }
#define X16 "xxxxxxxxxxxxxxxx"

typedef struct Case {
        const char *what;
        WhoFacts f;
        const char *tenant;
        unsigned line; /* of the Match that decided; 0: nothing did */
        bool pending, bad_name;
        const char *contradicted; /* NULL: none */
} Case;

static const Case cases[] = {
        { "nothing at all", { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY }, "unassigned", .line = 0 },
        { "no path", { .cgroup = NULL, TRUSTED, NOBODY }, "unassigned", .line = 0 },

        /* slice */
        { "slice",
          { .cgroup = "/tenant.slice/tenant-acme.slice/" DOCKER, TRUSTED, NOBODY },
          "acme",
          .line = 2 },
        { "child slice",
          { .cgroup = "/tenant.slice/tenant-acme.slice/tenant-acme-web.slice/x.service", TRUSTED, NOBODY },
          "acme",
          .line = 2 },
        { "slice glob",
          { .cgroup = "/tenant.slice/tenant-beta1.slice/x.service", TRUSTED, NOBODY },
          "beta",
          .line = 6 },
        { "slice wants names of nobody",
          { .cgroup = "/tenant.slice/tenant-acme.slice/" DOCKER, .names_trusted = true, NOBODY },
          "acme",
          .line = 2 },
        { "a scope is no slice",
          { .cgroup = "/tenant-acme.slice.scope/x", TRUSTED, NOBODY },
          "unassigned",
          .line = 0 },

        /* path */
        { "path itself", { .cgroup = "/srv/beta", TRUSTED, NOBODY }, "beta", .line = 8 },
        { "below a path", { .cgroup = "/srv/beta/deep/er", TRUSTED, NOBODY }, "beta", .line = 8 },
        { "beside a path", { .cgroup = "/srv/beta2/x", TRUSTED, NOBODY }, "unassigned", .line = 0 },
        { "path glob", { .cgroup = "/lxc/b1", TRUSTED, NOBODY }, "beta", .line = 9 },

        /* label and name */
        { "label",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            .name = "acme-1",
            LABELS({ "a", "b" }, { "com.example.tenant", "beta" }) },
          "beta",
          .line = 7,
          .contradicted = "acme" },
        { "name",
          { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY, .name = "acme-1" },
          "acme",
          .line = 4 },
        { "last name glob",
          { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY, .name = "web" },
          "rest",
          .line = 30 },
        { "names not known",
          { .cgroup = "/system.slice/" DOCKER, .names_trusted = true, NOBODY },
          "unassigned",
          .pending = true },
        { "names known, none there",
          { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY },
          "unassigned",
          .line = 0 },
        { "names not trusted",
          { .cgroup = "/system.slice/" DOCKER,
            .names_known = true,
            NOBODY,
            .name = "acme-1",
            LABELS({ "com.example.tenant", "beta" }) },
          "unassigned",
          .line = 0 },
        { "names neither known nor to be trusted",
          { .cgroup = "/system.slice/" DOCKER, NOBODY },
          "unassigned",
          .line = 0 },

        /* contradictions */
        { "label of another inside a slice",
          { .cgroup = "/tenant.slice/tenant-acme.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.example.tenant", "beta" }) },
          "acme",
          .line = 2,
          .contradicted = "beta" },
        { "label before name is none, nor a second label",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "shop" }, { "com.example.tenant", "beta" }) },
          "beta",
          .line = 7 },
        { "what is not known comes later anyway",
          { .cgroup = "/tenant.slice/tenant-beta.slice/x.scope", .names_trusted = true, NOBODY },
          "beta",
          .line = 6 },
        { "label and slice agree",
          { .cgroup = "/tenant.slice/tenant-acme.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.example.tenant", "acme" }),
            .name = "web" },
          "acme",
          .line = 2 },
        { "name of another inside a slice",
          { .cgroup = "/tenant.slice/tenant-beta.slice/" DOCKER, TRUSTED, NOBODY, .name = "acme-9" },
          "beta",
          .line = 6,
          .contradicted = "acme" },
        { "name=* claims nobody",
          { .cgroup = "/tenant.slice/tenant-beta.slice/" DOCKER, TRUSTED, NOBODY, .name = "web" },
          "beta",
          .line = 6 },
        { "template's label inside a slice",
          { .cgroup = "/tenant.slice/tenant-acme.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "shop" }) },
          "acme",
          .line = 2,
          .contradicted = "compose-shop" },
        { "a label that names nobody is no contradiction",
          { .cgroup = "/tenant.slice/tenant-acme.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "s h" }) },
          "acme",
          .line = 2 },

        /* users */
        { "uid", { .cgroup = ALICE "/x", .uid = 2000, .names_known = true }, "unassigned", .pending = true },
        { "uid in range",
          { .cgroup = "/system.slice/bob.service", .uid = 2099, .user_name = "bob", GROUPS("bob") },
          "staff",
          .line = 11 },
        { "beyond the range",
          { .cgroup = "/system.slice/bob.service", .uid = 2100, .user_name = "bob", GROUPS("bob") },
          "unassigned",
          .line = 0 },
        { "group",
          { .cgroup = ALICE "/x", .uid = 1000, .user_name = "bob", GROUPS("users", "staff") },
          "staff",
          .line = 12 },
        { "user's name",
          { .cgroup = ALICE "/x", .uid = 1000, .user_name = "alice", GROUPS("users") },
          "staff",
          .line = 13 },
        { "neither",
          { .cgroup = ALICE "/x", .uid = 1000, .user_name = "bob", GROUPS("users") },
          "unassigned",
          .line = 0 },
        { "group not known",
          { .cgroup = ALICE "/x", .uid = 1000, .user_name = "bob" },
          "unassigned",
          .pending = true },
        { "a uid without a user has no name and is in no group",
          { .cgroup = ALICE "/x", .uid = 1000, GROUPS(NULL), .names_known = true },
          "unassigned",
          .line = 0 },
        { "group not known, range decides first",
          { .cgroup = "/x.service", .uid = 2001 },
          "staff",
          .line = 11 },
        { "group not known above a slice",
          { .cgroup = "/tenant.slice/tenant-acme.slice/x.service", .uid = 500 },
          "acme",
          .line = 2,
          .pending = true },
        { "no user at all", { .cgroup = "/x.service", NOBODY, GROUPS("staff") }, "unassigned", .line = 0 },
        { "user before slice",
          { .cgroup = "/tenant.slice/tenant-acme.slice/x.service", .uid = 2001 },
          "staff",
          .line = 11 },

        /* templates */
        { "compose project",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "shop" }) },
          "compose-shop",
          .line = 15 },
        { "a project's name with blanks",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "a b" }) },
          "unassigned",
          .line = 15,
          .bad_name = true },
        { "a project's name with a slash",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "../acme" }) },
          "unassigned",
          .line = 15,
          .bad_name = true },
        { "an empty project",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", "" }) },
          "unassigned",
          .line = 15,
          .bad_name = true },
        { "63 characters",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", X16 X16 X16 "yyyyyyy" }) },
          "compose-" X16 X16 X16 "yyyyyyy",
          .line = 15 },
        { "64 characters",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", X16 X16 X16 "yyyyyyyz" }) },
          "unassigned",
          .line = 15,
          .bad_name = true },
        { "long beyond all buffers",
          { .cgroup = "/system.slice/" DOCKER,
            TRUSTED,
            NOBODY,
            LABELS({ "com.docker.compose.project", X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 }) },
          "unassigned",
          .line = 15,
          .bad_name = true },
        { "user template",
          { .cgroup = "/x.service", .uid = 3001, .user_name = "carol", GROUPS("users"), .names_known = true },
          "u-carol",
          .line = 18 },
        { "user without a name",
          { .cgroup = "/x.service", .uid = 3001, GROUPS("users"), .names_known = true },
          "u-3001",
          .line = 18 },
        { "whether the user has a name cannot be told now",
          { .cgroup = "/x.service", .uid = 3001, .names_known = true },
          "unassigned",
          .line = 18,
          .pending = true },
        { "user's name not known yet",
          { .cgroup = "/x.service", .uid = 3001, GROUPS("users") },
          "unassigned",
          .line = 18,
          .pending = true },
        { "user's name with blanks",
          { .cgroup = "/x.service", .uid = 3001, .user_name = "c d", GROUPS("users") },
          "unassigned",
          .line = 18,
          .bad_name = true },
        { "slice template",
          { .cgroup = "/sold.slice/sold-a.slice/sold-a-b.slice/x.service", TRUSTED, NOBODY },
          "sold-a",
          .line = 21 },
        { "escaped slice",
          { .cgroup = "/sold.slice/sold-a\\x2db.slice/x.service", TRUSTED, NOBODY },
          "unassigned",
          .line = 21,
          .bad_name = true },
        { "path template takes the outermost",
          { .cgroup = "/pool/p1/x/y", TRUSTED, NOBODY },
          "pool-p1",
          .line = 24 },
        { "a template mints no unassigned",
          { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY, LABELS({ "mint", "unassigned" }) },
          "unassigned",
          .line = 27,
          .bad_name = true },
        { "nor a dot",
          { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY, LABELS({ "mint", ".." }) },
          "unassigned",
          .line = 27,
          .bad_name = true },

        /* hostile */
        { "rootless user forges a docker scope",
          { .cgroup = "/user.slice/user-2001.slice/user@2001.service/" DOCKER,
            TRUSTED,
            .uid = 2001,
            .name = "acme-1",
            LABELS({ "com.example.tenant", "acme" }) },
          "staff",
          .line = 11 },
        { "the same, nobody's user",
          { .cgroup = ALICE "/" DOCKER,
            TRUSTED,
            .uid = 1000,
            .user_name = "bob",
            GROUPS("users"),
            .name = "acme-1",
            LABELS({ "com.example.tenant", "acme" }) },
          "unassigned",
          .line = 0 },
        { "the same, names not known: nothing pending",
          { .cgroup = ALICE "/" DOCKER,
            .names_trusted = true,
            .uid = 1000,
            .user_name = "bob",
            GROUPS("users") },
          "unassigned",
          .line = 0 },
        { "a slice of another's name below a user manager",
          { .cgroup = ALICE "/tenant-acme.slice/" DOCKER,
            TRUSTED,
            .uid = 1000,
            .user_name = "bob",
            GROUPS("users") },
          "unassigned",
          .line = 0 },
        { "a user slice below a user manager",
          { .cgroup = ALICE "/user.slice/user-2001.slice/" DOCKER,
            TRUSTED,
            .uid = 2001,
            .user_name = "bob",
            GROUPS("users") },
          "unassigned",
          .line = 0 },
        { "a slice below a delegated service",
          { .cgroup = "/system.slice/ci.service/tenant-acme.slice/" DOCKER, TRUSTED, NOBODY },
          "unassigned",
          .line = 0 },
        { "a slice below a known delegation",
          { .cgroup = "/ci.slice/ci-run.slice/tenant-acme.slice/" DOCKER,
            .delegated_at = sizeof("/ci.slice/ci-run.slice") - 1,
            TRUSTED,
            NOBODY,
            .name = "acme-1" },
          "unassigned",
          .line = 0 },
        { "the container's own scope is no delegation above it",
          { .cgroup = "/system.slice/" DOCKER,
            .delegated_at = sizeof("/system.slice/" DOCKER) - 1,
            TRUSTED,
            NOBODY,
            .name = "acme-1" },
          "acme",
          .line = 4 },
        { "a name below a delegation in the own slice",
          { .cgroup = "/tenant.slice/tenant-beta.slice/ci.service/" DOCKER,
            .delegated_at = sizeof("/tenant.slice/tenant-beta.slice/ci.service") - 1,
            TRUSTED,
            NOBODY,
            .name = "acme-1" },
          "beta",
          .line = 6 },
        { "a trailing slash",
          { .cgroup = "/tenant.slice/tenant-acme.slice/", TRUSTED, NOBODY },
          "acme",
          .line = 2 },
        { "no absolute path", { .cgroup = "tenant-acme.slice/x", TRUSTED, NOBODY }, "unassigned", .line = 0 },
        { "empty parts", { .cgroup = "//tenant-acme.slice/x", TRUSTED, NOBODY }, "unassigned", .line = 0 },
};

static void test_resolve(void **state) {
        _cleanup_policy_ Policy *p = parse(policy_text);
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const Case *c = &cases[i];
                WhoResult r;

                who_resolve(p, &c->f, &r);
                if (!STR_EQ(r.tenant, c->tenant) || r.ref.line != c->line || r.pending != c->pending ||
                    r.bad_name != c->bad_name || r.contradiction != !!c->contradicted ||
                    !STR_EQ(r.contradicted, c->contradicted ? c->contradicted : ""))
                        fail_msg("%s: %s by line %u%s%s, contradicts %s; expected %s by line %u", c->what,
                                 r.tenant, r.ref.line, r.pending ? ", pending" : "",
                                 r.bad_name ? ", bad name" : "", r.contradiction ? r.contradicted : "nobody",
                                 c->tenant, c->line);
                assert_true((r.class == _MATCH_INVALID) == (c->line == 0));
                assert_true((r.rule == NULL) == STR_EQ(c->tenant, "unassigned"));
        }
}

/* Depth is the tenant's choice: what lies beyond the buffers has the ancestors that count. */
static void test_deep(void **state) {
        _cleanup_policy_ Policy *p = parse(policy_text);
        _cleanup_buf_ Buf path = BUF_INIT;
        WhoFacts f = { TRUSTED, NOBODY };
        WhoResult r;
        (void)state;

        buf_puts(&path, "/tenant.slice/tenant-acme.slice");
        for (unsigned i = 0; i < 3000; i++) {
                buf_puts(&path, i % 2 ? "/x" : "/" X16 X16 X16);
                f.cgroup = buf_str(&path);
                who_resolve(p, &f, &r);
                assert_string_equal(r.tenant, "acme");
                if (i > 200)
                        i += 97;
        }
        assert_false(who_owns_slice(p, &f, &r));
        assert_false(who_names_unit(p, f.cgroup));
}

/* The order of tenants in memory never matters, class and line do. */
static void test_order(void **state) {
        static const char text[] = "[Tenant zoe]\n"
                                   "Match=name=a*\n"
                                   "[Tenant amy]\n"
                                   "Match=name=*b\n"
                                   "Match=label=k=v\n";
        _cleanup_policy_ Policy *p = parse(text);
        WhoFacts f = { .cgroup = "/x", TRUSTED, NOBODY, .name = "ab" };
        PolicyTenant swap;
        WhoResult r;
        (void)state;

        assert_int_equal(p->n_tenants, 2);
        for (int i = 0; i < 2; i++) {
                f.n_labels = 0;
                who_resolve(p, &f, &r);
                assert_string_equal(r.tenant, "zoe");
                f.labels = &(WhoLabel){ "k", "v" };
                f.n_labels = 1;
                who_resolve(p, &f, &r);
                assert_string_equal(r.tenant, "amy");
                swap = p->tenants[0];
                p->tenants[0] = p->tenants[1];
                p->tenants[1] = swap;
        }
}

static void collect(void *user, const PolicyTenant *rule) {
        buf_printf(user, "%s ", rule ? rule->name : "-");
}

static void test_candidates(void **state) {
        const struct {
                WhoFacts f;
                const char *rules;
        } rows[] = {
                { { .cgroup = "/system.slice/" DOCKER, .names_trusted = true, NOBODY },
                  "acme beta staff rest compose minted - " }, /* minted may mint any of them */
                { { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY, .name = "web" }, "rest " },
                { { .cgroup = "/system.slice/" DOCKER, TRUSTED, NOBODY }, "- " },
                { { .cgroup = "/tenant.slice/tenant-acme.slice/x", .names_trusted = true, NOBODY }, "acme " },
                { { .cgroup = "/tenant.slice/tenant-acme.slice/x", .names_trusted = true, .uid = 77 },
                  "staff acme " },
                { { .cgroup = ALICE "/" DOCKER, .names_trusted = true, .uid = 1000 }, "staff - " },
                { { .cgroup = "/x.service", .uid = 3001 }, "staff people " },
                { { .cgroup = "/x.service", .uid = 3001, .user_name = "c d", GROUPS("users") }, "- " },
        };
        _cleanup_policy_ Policy *p = parse(policy_text);
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;

                who_candidates(p, &rows[i].f, collect, &out);
                assert_string_equal(buf_str(&out), rows[i].rules);
        }
}

/* Whoever it turns out to be was among the candidates while it was pending. */
static void test_candidates_hold_the_winner(void **state) {
        _cleanup_policy_ Policy *p = parse(policy_text);
        unsigned n_pending = 0;
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_buf_ Buf out = BUF_INIT, mark = BUF_INIT;
                WhoFacts f = cases[i].f;
                WhoResult then, now;

                who_resolve(p, &f, &now);
                f.names_known = false;
                f.user_name = NULL;
                f.groups = NULL;
                who_resolve(p, &f, &then);
                n_pending += then.pending;
                if (now.pending)
                        continue;
                who_candidates(p, &f, collect, &out);
                buf_printf(&mark, "%s ", now.rule ? now.rule->name : "-");
                /* A name that turns out bad makes it nobody's: told of by the rule that gave it. */
                if (!now.bad_name && !strstr(buf_str(&out), buf_str(&mark)))
                        fail_msg("%s: %s is not among %s", cases[i].what, buf_str(&mark), buf_str(&out));
                if (!then.pending && !STR_EQ(then.tenant, now.tenant))
                        fail_msg("%s: not pending, but changed", cases[i].what);
        }
        assert_true(n_pending > 10);
}

/* The name that a template makes is a tenant's with a section: that decides, whoever of it comes first. */
static void test_template_of_a_section(void **state) {
        static const char text[] = "[Template compose]\n"
                                   "Match=label=project=*\n"
                                   "Tenant=c-%v\n"
                                   "[Template people]\n"
                                   "Match=user=3000-3999\n"
                                   "Tenant=u-%u\n"
                                   "[Tenant c-shop]\n"
                                   "Match=slice=shop.slice\n"
                                   "[Tenant u-eve]\n"
                                   "Match=slice=eve.slice\n";
        static const WhoLabel shop = { "project", "shop" }, other = { "project", "other" };
        _cleanup_policy_ Policy *p = parse(text);
        WhoFacts f = { .cgroup = "/docker/x", TRUSTED, NOBODY, .labels = &shop, .n_labels = 1 };
        _cleanup_buf_ Buf pending = BUF_INIT, unnamed = BUF_INIT, known = BUF_INIT;
        WhoResult r;
        (void)state;

        who_resolve(p, &f, &r);
        assert_string_equal(r.tenant, "c-shop");
        assert_ptr_equal(r.rule, policy_find_tenant(p, "c-shop"));
        assert_false(r.template);
        assert_int_equal(r.class, MATCH_LABEL);
        assert_int_equal(r.ref.line, 2); /* it was the template's match that led there */
        who_candidates(p, &f, collect, &known);
        assert_string_equal(buf_str(&known), "c-shop ");
        f.labels = &other;
        who_resolve(p, &f, &r);
        assert_string_equal(r.rule->name, "compose");
        assert_true(r.template);

        /* While that is not known the section is one of those that may hold. */
        f.names_known = false;
        who_candidates(p, &f, collect, &pending);
        assert_string_equal(buf_str(&pending), "c-shop compose - ");
        f = (WhoFacts){ .cgroup = "/x.service", .uid = 3001 };
        who_candidates(p, &f, collect, &unnamed);
        assert_string_equal(buf_str(&unnamed), "u-eve people ");
}

/* Which template it was is known to whoever tells of it. */
static void test_bad_name_of(void **state) {
        _cleanup_policy_ Policy *p = parse(policy_text);
        static const WhoLabel bad = { "com.docker.compose.project", "a b" };
        WhoFacts f = { .cgroup = "/docker/x", TRUSTED, .uid = 77, .labels = &bad, .n_labels = 1 };
        WhoResult r;
        (void)state;

        who_resolve(p, &f, &r);
        assert_true(r.bad_name && r.pending); /* user 77 may be of @staff */
        assert_string_equal(r.bad_from->name, "compose");
        f.groups = (const char *const[]){ NULL };
        who_resolve(p, &f, &r);
        assert_true(r.bad_name && !r.pending);
        assert_null(r.rule);
        assert_false(r.template);
}

static void test_owns_slice(void **state) {
        const struct {
                WhoFacts f;
                bool owns, pending;
                const char *tenant;
        } rows[] = {
                { { .cgroup = "/tenant.slice/tenant-acme.slice" }, true, false, "acme" },
                { { .cgroup = "/tenant.slice" }, false, false, "unassigned" },
                /* only its own name: the outermost is the tenant's, the caller walks */
                { { .cgroup = "/tenant.slice/tenant-acme.slice/tenant-acme-web.slice" },
                  false,
                  false,
                  "unassigned" },
                { { .cgroup = "/sold.slice/sold-a.slice" }, true, false, "sold-a" },
                { { .cgroup = "/sold.slice/sold-a.slice/sold-a-b.slice" }, true, false, "sold-a-b" },
                { { .cgroup = "/user.slice/user-2001.slice" }, true, false, "staff" },
                { { .cgroup = "/user.slice/user-2001.slice", .uid = 1 }, true, false, "staff" },
                { { .cgroup = "/user.slice/user-1000.slice" }, false, true, "unassigned" },
                { { .cgroup = "/user.slice/user-1000.slice", .user_name = "bob", GROUPS("staff") },
                  true,
                  false,
                  "staff" },
                { { .cgroup = "/user.slice/user-1000.slice", .user_name = "bob", GROUPS("bob") },
                  false,
                  false,
                  "unassigned" },
                { { .cgroup = "/user.slice/user-3000.slice", .user_name = "eve", GROUPS("eve") },
                  true,
                  false,
                  "u-eve" },
                { { .cgroup = "/user.slice/user-3000.slice", GROUPS("eve") }, false, true, "unassigned" },
                { { .cgroup = "/user.slice/user-2001.slice/user@2001.service" }, false, false, "unassigned" },
                { { .cgroup = "/user.slice/user-2001.slice/user@2001.service/app.slice" },
                  false,
                  false,
                  "unassigned" },
                { { .cgroup = ALICE "/tenant-acme.slice" }, false, false, "unassigned" },
                { { .cgroup = "/system.slice/ci.service/tenant-acme.slice" }, false, false, "unassigned" },
                { { .cgroup = "/user.slice/user-02001x.slice" }, false, false, "unassigned" },
                { { .cgroup = "/other.slice/user-2001.slice" }, false, false, "unassigned" },
                { { .cgroup = "/" }, false, false, "unassigned" },
        };
        _cleanup_policy_ Policy *p = parse(policy_text);
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                WhoResult r;

                if (who_owns_slice(p, &rows[i].f, &r) != rows[i].owns || r.pending != rows[i].pending ||
                    !STR_EQ(r.tenant, rows[i].tenant))
                        fail_msg("%s: %s%s, expected %s", rows[i].f.cgroup, r.tenant,
                                 r.pending ? ", pending" : "", rows[i].tenant);
        }
}

static void test_names_unit(void **state) {
        static const char text[] = "[Tenant acme]\n"
                                   "Match=slice=tenant-acme.slice\n"
                                   "Match=slice=user-1000.slice\n"
                                   "Match=path=/system.slice/shop*.service\n"
                                   "Match=path=/machine.slice/*\n";
        static const struct {
                const char *path;
                bool unit;
        } rows[] = {
                { "/tenant.slice/tenant-acme.slice/web.service", true },
                { "/tenant.slice/tenant-acme.slice/run-1.scope", true },
                { "/tenant.slice/tenant-acme.slice/tenant-acme-a.slice/web.service", true },
                { "/tenant.slice/tenant-acme.slice/tenant-acme-a.slice", false },
                { "/tenant.slice/tenant-acme.slice/plain", false },
                { "/tenant.slice/web.service", false },
                { "/system.slice/shop-1.service", true },
                { "/system.slice/shop", false },
                { "/system.slice/ssh.service", false },
                { "/system.slice/ci.service/tenant-acme.slice/web.service", false },
                { "/tenant.slice/tenant-acme.slice/" DOCKER, false }, /* an engine's */
                { "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", false },
                { "/user.slice/user-1000.slice/session-1.scope", true },
                { ALICE, false }, /* what runs below it is found on its own */
                { ALICE "/app.slice/web.service", false },
        };
        _cleanup_policy_ Policy *p = parse(text);
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (who_names_unit(p, rows[i].path) != rows[i].unit)
                        fail_msg("%s: expected %d", rows[i].path, rows[i].unit);
}

static void test_protected(void **state) {
        static const char none[] = "[Host]\nMode=enforce\n", empty[] = "[Host]\nProtect=\n",
                          list[] = "[Host]\nProtect=db*.service backup.slice tenant:gold-* acme\n"
                                   "[Tenant acme]\nMatch=name=a\n[Tenant gold-1]\nMatch=name=g\n";
        static const struct {
                const char *policy, *path;
                Engine engine;
                const char *tenant;
                const char *why; /* NULL: not protected */
        } rows[] = {
                { none, "/", ENGINE_NONE, NULL, "the root of the tree" },
                { none, "/init.scope", ENGINE_NONE, NULL, "init.scope" },
                { none, "/bailiff.slice", ENGINE_NONE, NULL, "bailiff.slice" },
                { none, "/bailiff.slice/bailiffd.service", ENGINE_NONE, NULL, "bailiff.slice" },
                { none, "/user.slice/user-0.slice/session-1.scope", ENGINE_NONE, NULL, "user-0.slice" },
                { none, "/user.slice/user-1000.slice/session-1.scope", ENGINE_NONE, NULL, NULL },
                { none, "/system.slice", ENGINE_NONE, NULL, "system.slice" },
                { none, "/system.slice/ssh.service", ENGINE_NONE, NULL, "a service of the host" },
                { none, "/system.slice/ssh.service", ENGINE_UNIT, "acme", "a service of the host" },
                { none, "/system.slice/system-getty.slice/getty@tty1.service", ENGINE_NONE, NULL,
                  "a service of the host" },
                { none, "/system.slice/" DOCKER, ENGINE_DOCKER, NULL, NULL },
                { none, "/system.slice/docker.service/buildkit/x1", ENGINE_BUILDKIT, NULL, NULL },
                { none, "/system.slice/systemd-nspawn@x.service", ENGINE_NSPAWN, NULL, NULL },
                { none, "/system.slice/run-1.scope", ENGINE_NONE, NULL, NULL },
                { none, "/tenant.slice/tenant-acme.slice/web.service", ENGINE_UNIT, "acme", NULL },
                /* hiding behind a protected name */
                { none, "/bailiff.slice/" DOCKER, ENGINE_DOCKER, NULL, NULL },
                { none, "/user.slice/user-0.slice/" DOCKER, ENGINE_DOCKER, NULL, NULL },
                { none, ALICE "/init.scope", ENGINE_NONE, NULL, NULL },
                { none, ALICE "/bailiff.slice/x.service", ENGINE_NONE, NULL, NULL },

                { empty, "/system.slice/ssh.service", ENGINE_NONE, NULL, NULL },
                { empty, "/init.scope", ENGINE_NONE, NULL, "init.scope" },

                { list, "/init.scope", ENGINE_NONE, NULL, "init.scope" },
                { list, "/bailiff.slice/x", ENGINE_NONE, NULL, "bailiff.slice" },
                /* words add to the built-in list */
                { list, "/system.slice/ssh.service", ENGINE_NONE, NULL, "a service of the host" },
                { list, "/user.slice/user-0.slice", ENGINE_NONE, NULL, "user-0.slice" },
                { list, "/system.slice/db1.service", ENGINE_NONE, NULL, "db*.service" },
                { list, "/system.slice/db1.service/inner", ENGINE_NONE, NULL, "db*.service" },
                { list, "/backup.slice/" DOCKER, ENGINE_DOCKER, NULL,
                  "backup.slice" }, /* the operator's word holds for all */
                { list, "/x.slice/" DOCKER, ENGINE_DOCKER, "gold-1", "tenant:gold-*" },
                { list, "/x.slice/" DOCKER, ENGINE_DOCKER, "silver", NULL },
                { list, "/x.slice/" DOCKER, ENGINE_DOCKER, "acme", "acme" },
                { list, "/x.slice/" DOCKER, ENGINE_DOCKER, NULL, NULL },
                { list, ALICE "/backup.slice/x", ENGINE_NONE, NULL, NULL },
        };
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_policy_ Policy *p = parse(rows[i].policy);
                const char *why = NULL;
                bool is = who_protected(p, rows[i].path, rows[i].engine, rows[i].tenant, &why);

                if (is != !!rows[i].why || (is && !STR_EQ(why, rows[i].why)))
                        fail_msg("%s: %s, expected %s", rows[i].path, is ? why : "not protected",
                                 rows[i].why ? rows[i].why : "not protected");
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_resolve),
                cmocka_unit_test(test_deep),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_candidates),
                cmocka_unit_test(test_candidates_hold_the_winner),
                cmocka_unit_test(test_template_of_a_section),
                cmocka_unit_test(test_bad_name_of),
                cmocka_unit_test(test_owns_slice),
                cmocka_unit_test(test_names_unit),
                cmocka_unit_test(test_protected),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
