/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `policy suggest`: a first policy from what runs here.
 *
 * Who is a tenant is read off in the order in which policy trusts it: users
 * with rootless containers, slices that hold containers (the outermost that holds some
 * itself), compose projects. What is left is listed in comments. Ceilings are
 * generous on purpose: twice what is in use now, rounded up; a first policy is to be
 * observed, not to kill.
 *
 * Slices, labels and names are the tenants' text. What goes into a value is checked
 * to be nothing but a name; what goes into a comment is escaped, so that no
 * container's label can write a line of somebody's policy.
 */

#include <stdio.h>
#include <time.h>

#include "cgpath.h"
#include "ctl.h"
#include "num.h"
#include "policy.h"
#include "screens.h"
#include "value.h"

#define PROJECT_LABEL "com.docker.compose.project"
#define GROUPS_MAX 500
#define PROJECTS_SHOWN 100 /* sections of their own; beyond it the template alone */
#define MEMBERS_SHOWN 8
#define LOOK_SPAN USEC_PER_SEC
#define MIB (1024 * 1024ULL)

typedef enum GroupKind { GROUP_USER, GROUP_SLICE, GROUP_PROJECT, GROUP_NONE } GroupKind;

typedef struct Use {
        uint64_t memory, tasks, tasks_max_of_one;
        uint64_t cpu; /* µs per second */
} Use;

typedef struct Group {
        GroupKind kind;
        char key[256]; /* uid, slice, project */
        char name[POLICY_NAME_MAX + 1];
        Use use;
        size_t n;
        Buf members; /* for a comment */
} Group;

typedef struct Suggestion {
        Group *groups;
        size_t n, alloc;
        Group rest; /* nobody's */
        char (*holders)[256]; /* slices that hold containers themselves: their paths */
        size_t n_holders, holders_alloc;
        size_t n_kube, n_protected, n_odd;
        uint64_t host_memory, host_cpus;
        const json_t *second;
        usec_t span;
} Suggestion;

/* ---- who ---- */

static bool is_plain_slice(const char *name) {
        static const char *const engines[] = { "system.slice", "machine.slice", "user.slice",
                                               "-.slice",      "bailiff.slice", "init.scope" };
        size_t n = strlen(name);

        if (n < 7 || n >= 200 || !STR_EQ(name + n - 6, ".slice") || strncmp(name, "user-", 5) == 0)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
                if (STR_EQ(engines[i], name))
                        return false;
        return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\@-") == n;
}

/* The path of the slice that the cgroup lies in directly; false: it lies in no tenant's slice. */
static bool parent_slice(const char *cgroup, char ret[static 256]) {
        const char *end = strrchr(cgroup, '/');
        size_t n = end ? (size_t)(end - cgroup) : 0;

        if (n == 0 || n >= 256)
                return false;
        memcpy(ret, cgroup, n);
        ret[n] = '\0';
        return is_plain_slice(cgpath_basename(ret));
}

static int add_holder(Suggestion *s, const char *path) {
        int r;

        for (size_t i = 0; i < s->n_holders; i++)
                if (STR_EQ(s->holders[i], path))
                        return 0;
        r = GROW(s->holders, s->n_holders, s->holders_alloc);
        if (r < 0)
                return r;
        (void)snprintf(s->holders[s->n_holders++], sizeof(*s->holders), "%s", path);
        return 0;
}

/* Whoever has a slice has all below it. */
static const char *outermost_holder(const Suggestion *s, const char *path) {
        const char *best = path;

        for (size_t i = 0; i < s->n_holders; i++)
                if (strlen(s->holders[i]) < strlen(best) && cgpath_below(path, s->holders[i]))
                        best = s->holders[i];
        return best;
}

static bool uid_of(const char *cgroup, char ret[static 256]) {
        static const char prefix[] = "/user.slice/user-";
        size_t n;

        if (strncmp(cgroup, prefix, sizeof(prefix) - 1) != 0)
                return false;
        cgroup += sizeof(prefix) - 1;
        n = strspn(cgroup, "0123456789");
        if (n == 0 || n > 10 || strncmp(cgroup + n, ".slice", 6) != 0)
                return false;
        memcpy(ret, cgroup, n);
        ret[n] = '\0';
        return true;
}

static GroupKind who(const Suggestion *s, const json_t *container, char key[static 256]) {
        const char *cgroup = json_text(container, "cgroup"), *project;
        char path[256];

        if (!cgroup)
                return GROUP_NONE;
        if (uid_of(cgroup, key))
                return STR_EQ(key, "0") ? GROUP_NONE : GROUP_USER;
        if (parent_slice(cgroup, path)) {
                (void)snprintf(key, 256, "%s", cgpath_basename(outermost_holder(s, path)));
                return GROUP_SLICE;
        }
        project = json_text(json_member(container, "labels"), PROJECT_LABEL);
        if (project && policy_name_is_valid(project) &&
            strlen(project) <= POLICY_NAME_MAX - strlen("compose-")) {
                (void)snprintf(key, 256, "%s", project);
                return GROUP_PROJECT;
        }
        return GROUP_NONE;
}

/* ---- a tenant's name for it ---- */

static bool taken(const Suggestion *s, const Group *self, const char *name) {
        if (STR_EQ(name, POLICY_UNASSIGNED))
                return true;
        for (size_t i = 0; i < s->n; i++)
                if (&s->groups[i] != self && STR_EQ(s->groups[i].name, name))
                        return true;
        return false;
}

static void name_group(const Suggestion *s, Group *g) {
        static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        const char *p = g->key;
        size_t n, base;

        if (g->kind == GROUP_SLICE && strncmp(p, "tenant-", 7) == 0)
                p += 7;
        (void)snprintf(g->name, sizeof(g->name), "%s%.55s",
                       g->kind == GROUP_USER      ? "user-"
                       : g->kind == GROUP_PROJECT ? "compose-"
                                                  : "",
                       p);
        n = strlen(g->name);
        if (g->kind == GROUP_SLICE && n > 6 && STR_EQ(g->name + n - 6, ".slice"))
                g->name[n -= 6] = '\0';
        for (size_t i = 0; i < n; i++)
                if (!strchr(allowed, g->name[i]))
                        g->name[i] = '_';
        base = MIN_OF(n, (size_t)POLICY_NAME_MAX - 5);
        for (unsigned k = 2; (taken(s, g, g->name) || !policy_name_is_valid(g->name)) && k < 10000; k++)
                (void)snprintf(g->name + base, sizeof(g->name) - base, "_%u", k);
}

static Group *group_of(Suggestion *s, GroupKind kind, const char *key) {
        Group *g;

        for (size_t i = 0; i < s->n; i++)
                if (s->groups[i].kind == kind && STR_EQ(s->groups[i].key, key))
                        return &s->groups[i];
        if (s->n >= GROUPS_MAX || GROW(s->groups, s->n, s->alloc) < 0)
                return NULL;
        g = &s->groups[s->n++];
        *g = (Group){ .kind = kind, .members = BUF_INIT };
        (void)snprintf(g->key, sizeof(g->key), "%s", key);
        name_group(s, g);
        return g;
}

/* ---- how much ---- */

static uint64_t cpu_rate(const Suggestion *s, const json_t *container) {
        uint64_t id = json_number(container, "cgroup_id"),
                 was = json_number(json_member(container, "usage"), "cpu_usec");
        const json_t *o;
        size_t i;

        json_array_foreach(s->second, i, o) {
                uint64_t is = json_number(json_member(o, "usage"), "cpu_usec");

                if (json_number(o, "cgroup_id") == id)
                        return is > was && s->span > 0 ? num_muldiv(is - was, USEC_PER_SEC, s->span) : 0;
        }
        return 0;
}

static void add_member(const Suggestion *s, Group *g, const json_t *container) {
        const json_t *usage = json_member(container, "usage");
        uint64_t tasks = json_number(usage, "tasks");
        char name[SAY_MAX];

        g->use.memory += json_number(usage, "memory_bytes");
        g->use.tasks += tasks;
        g->use.tasks_max_of_one = MAX_OF(g->use.tasks_max_of_one, tasks);
        g->use.cpu += cpu_rate(s, container);
        if (g->n < MEMBERS_SHOWN) {
                _cleanup_buf_ Buf escaped = BUF_INIT, cut = BUF_INIT;

                text_escape(&escaped, say_container(container, name), true, false);
                text_cut(&cut, buf_str(&escaped), 40, false, true);
                buf_printf(&g->members, "%s%s", g->n ? ", " : "", buf_str(&cut));
        } else if (g->n == MEMBERS_SHOWN)
                buf_puts(&g->members, ", ...");
        g->n++;
}

/* 256M, 384M, 512M, 768M, 1G, 1536M, 2G, 3G, ... */
static uint64_t generous_memory(uint64_t used) {
        uint64_t step = 256 * MIB, want = num_add_sat(used, used);

        while (step < want && step < (UINT64_MAX >> 2)) {
                if (step + step / 2 >= want)
                        return step + step / 2;
                step *= 2;
        }
        return step;
}

static uint64_t generous_tasks(uint64_t used) {
        uint64_t n = 256;

        while (n < (1U << 22) && n < num_muldiv(used, 4, 1))
                n *= 2;
        return n;
}

static void put_memory(const Suggestion *s, Buf *out, const char *key, uint64_t used) {
        uint64_t bytes = generous_memory(used);

        if (s->host_memory > 0 && bytes > s->host_memory / 10 * 9)
                buf_printf(out, "%s=90%%\n", key);
        else if (bytes % (1024 * MIB) == 0)
                buf_printf(out, "%s=%lluG\n", key, (unsigned long long)(bytes / (1024 * MIB)));
        else
                buf_printf(out, "%s=%lluM\n", key, (unsigned long long)(bytes / MIB));
}

static void put_ceilings(const Suggestion *s, Buf *out, const Use *u) {
        uint64_t percent = MAX_OF((uint64_t)100, (num_muldiv(u->cpu, 2, 10000) + 99) / 100 * 100);

        put_memory(s, out, "MemoryMax", u->memory);
        buf_puts(out, "MemoryHigh=90% of MemoryMax\n");
        if (s->host_cpus > 0)
                percent = MIN_OF(percent, s->host_cpus * 100);
        buf_printf(out, "CPUQuota=%llu%%\n", (unsigned long long)percent);
        buf_printf(out, "TasksMax=%llu\n", (unsigned long long)generous_tasks(u->tasks));
}

static void put_use(Buf *out, const Group *g) {
        char memory[VALUE_FORMAT_MAX];

        buf_printf(out,
                   "; now %s of memory (page cache included), %llu tasks, %llu%% of a CPU in %zu "
                   "container%s:\n;   %s\n",
                   value_format_bytes(g->use.memory, memory, sizeof(memory)),
                   (unsigned long long)g->use.tasks, (unsigned long long)(g->use.cpu / 10000), g->n,
                   g->n == 1 ? "" : "s", buf_str(&g->members));
}

/* ---- the text ---- */

/* A slice as a glob for itself alone: only '\' of the characters allowed in one means something there. */
static void put_slice_glob(Buf *out, const char *slice) {
        for (; *slice; slice++) {
                if (*slice == '\\')
                        buf_putc(out, '\\');
                buf_putc(out, *slice);
        }
}

static void put_tenant(const Suggestion *s, Buf *out, const Group *g) {
        buf_printf(out, "\n[Tenant %s]\n", g->name);
        put_use(out, g);
        if (g->kind == GROUP_USER)
                buf_printf(out, "Match=user=%s\n", g->key);
        else if (g->kind == GROUP_SLICE) {
                buf_puts(out, "Match=slice=");
                put_slice_glob(out, g->key);
                buf_putc(out, '\n');
        } else
                buf_printf(out, "Match=label=" PROJECT_LABEL "=%s\n", g->key);
        put_ceilings(s, out, &g->use);
}

static size_t count_kind(const Suggestion *s, GroupKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < s->n; i++)
                n += s->groups[i].kind == kind;
        return n;
}

static void put_header(const Suggestion *s, Buf *out) {
        Use most = {};

        for (size_t i = 0; i < s->n; i++)
                most.tasks_max_of_one = MAX_OF(most.tasks_max_of_one, s->groups[i].use.tasks_max_of_one);
        most.tasks_max_of_one = MAX_OF(most.tasks_max_of_one, s->rest.use.tasks_max_of_one);
        buf_puts(out,
                 "; A first policy, suggested by `bailiffctl policy suggest` from what runs here.\n"
                 "; Ceilings are about twice what is in use right now, rounded up: look at them once,\n"
                 "; your customers' plans know better.\n"
                 ";\n"
                 ";   1. save as /etc/bailiff/policy.d/10-tenants.ini; bailiffctl policy check\n"
                 ";   2. bailiffctl reload; bailiffctl containers shows who is whose,\n"
                 ";      bailiffctl events what would have been set\n"
                 ";   3. when that is right: Mode=ceilings below, bailiffctl policy diff, bailiffctl reload\n"
                 ";\n"
                 "; Every key: bailiff-policy(5).\n"
                 "\n"
                 "[Host]\n"
                 "; judges and reports, writes nothing; next: ceilings\n"
                 "Mode=observe\n"
                 "\n"
                 "[Defaults]\n"
                 "; for every container, also those that are nobody's: stops fork bombs\n");
        buf_printf(out, "ContainerTasksMax=%llu\n",
                   (unsigned long long)MAX_OF((uint64_t)4096, generous_tasks(most.tasks_max_of_one)));
}

/* Projects of their own sizes, and a template for those that come later. */
static void put_projects(const Suggestion *s, Buf *out) {
        size_t n = count_kind(s, GROUP_PROJECT);
        Use most = {};

        if (n == 0)
                return;
        for (size_t i = 0; i < s->n; i++) {
                const Group *g = &s->groups[i];

                if (g->kind != GROUP_PROJECT)
                        continue;
                most.memory = MAX_OF(most.memory, g->use.memory);
                most.tasks = MAX_OF(most.tasks, g->use.tasks);
                most.cpu = MAX_OF(most.cpu, g->use.cpu);
                if (n <= PROJECTS_SHOWN)
                        put_tenant(s, out, g);
        }
        buf_puts(out, "\n[Plan compose]\n; as much as the largest project here\n");
        put_ceilings(s, out, &most);
        buf_printf(out,
                   "\n[Template compose]\n; %s compose projects, one tenant each\n"
                   "Match=label=" PROJECT_LABEL "=*\nTenant=compose-%%v\nPlan=compose\nMaxTenants=%zu\n",
                   n <= PROJECTS_SHOWN ? "later" : "all", MAX_OF((size_t)500, 2 * n));
}

static void put_rest(const Suggestion *s, Buf *out) {
        if (s->rest.n > 0) {
                buf_puts(out, "\n; Nobody's (tenant \"unassigned\"): no user, slice or compose project tells "
                              "whose they are. Start them\n"
                              "; with a cgroup_parent of the tenant's, or name them:\n"
                              ";   [Tenant acme]\n"
                              ";   Match=name=acme-*\n");
                put_use(out, &s->rest);
        }
        if (s->n_kube > 0)
                buf_printf(out, "\n; %zu containers belong to kubelet and are left alone.\n", s->n_kube);
        if (s->n_protected > 0)
                buf_printf(out, "\n; %zu containers are protected (Protect=) and are left alone.\n",
                           s->n_protected);
        if (s->n_odd > 0)
                buf_printf(out, "\n; %zu more containers are beyond %d tenants and not looked at.\n",
                           s->n_odd, GROUPS_MAX);
}

static void put_sum(const Suggestion *s, Buf *out) {
        char sum_text[VALUE_FORMAT_MAX], host_text[VALUE_FORMAT_MAX];
        uint64_t sum = 0;

        for (size_t i = 0; i < s->n; i++)
                sum = num_add_sat(sum, generous_memory(s->groups[i].use.memory));
        if (s->host_memory > 0 && sum > s->host_memory)
                buf_printf(out,
                           "\n; All MemoryMax together are %s on a host of %s: fine while not all are used "
                           "at once.\n",
                           value_format_bytes(sum, sum_text, sizeof(sum_text)),
                           value_format_bytes(s->host_memory, host_text, sizeof(host_text)));
}

static int collect(Suggestion *s, const json_t *containers) {
        const json_t *o;
        size_t i;
        int r;

        json_array_foreach(containers, i, o) {
                const char *cgroup = json_text(o, "cgroup");
                char path[256];

                if (!cgroup || json_flag(o, "kube") || !parent_slice(cgroup, path))
                        continue;
                r = add_holder(s, path);
                if (r < 0)
                        return r;
        }
        json_array_foreach(containers, i, o) {
                char key[256] = "";
                GroupKind kind;
                Group *g;

                if (json_flag(o, "kube") || json_has(o, "protected")) {
                        s->n_kube += json_flag(o, "kube");
                        s->n_protected += !json_flag(o, "kube");
                        continue;
                }
                kind = who(s, o, key);
                g = kind == GROUP_NONE ? &s->rest : group_of(s, kind, key);
                if (g)
                        add_member(s, g, o);
                else
                        s->n_odd++;
        }
        return 0;
}

int suggest_policy(const json_t *first, const json_t *second, usec_t span, const json_t *status, Buf *out) {
        const json_t *host = json_member(status, "host");
        Suggestion s = {
                .rest = { .kind = GROUP_NONE },
                .host_memory = json_number(host, "memory_bytes"),
                .host_cpus = json_number(host, "cpus"),
                .second = second,
                .span = span,
        };
        int r = collect(&s, first);

        if (r >= 0) {
                put_header(&s, out);
                for (GroupKind kind = GROUP_USER; kind < GROUP_PROJECT; kind++)
                        for (size_t i = 0; i < s.n; i++)
                                if (s.groups[i].kind == kind)
                                        put_tenant(&s, out, &s.groups[i]);
                put_projects(&s, out);
                put_rest(&s, out);
                put_sum(&s, out);
                r = buf_error(out);
        }
        for (size_t i = 0; i < s.n; i++)
                buf_deinit(&s.groups[i].members);
        buf_deinit(&s.rest.members);
        free(s.groups);
        free(s.holders);
        return r;
}

int verb_policy_suggest(Ctl *c) {
        json_t *status = NULL, *first = NULL, *second = NULL;
        struct timespec span = { .tv_sec = LOOK_SPAN / USEC_PER_SEC };
        _cleanup_buf_ Buf text = BUF_INIT;
        uint64_t began, ended;
        int r;

        r = client_get(c->client, "GetStatus", NULL, &status);
        if (r == STATUS_DONE)
                r = client_get(c->client, "ListContainers", NULL, &first);
        began = clock_realtime();
        if (r == STATUS_DONE) {
                (void)nanosleep(&span, NULL); /* for the rates of CPU use */
                r = client_get(c->client, "ListContainers", NULL, &second);
        }
        ended = clock_realtime();
        if (r == STATUS_DONE)
                r = ctl_rendered(suggest_policy(json_member(first, "containers"),
                                                json_member(second, "containers"),
                                                ended > began ? ended - began : LOOK_SPAN, status, &text));
        else
                (void)ctl_client_failed(c, r);
        json_decref(status);
        json_decref(first);
        json_decref(second);
        if (r != STATUS_DONE)
                return r;
        if (c->json)
                return ctl_print_json(c, json_pack("{s:s}", "policy", buf_str(&text)));
        (void)fputs(buf_str(&text), c->view.out);
        return STATUS_DONE;
}
