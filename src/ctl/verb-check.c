/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `policy check`: the same reader and parser as the guard's, on files here,
 * without a guard. Every mistake in one run, as FILE:LINE: text.
 *
 * --offline looks at nothing but the files, for the repository or CI that a
 * policy comes from. Without it, this host is asked too: whether devices resolve
 * to something the kernel can limit, whether sums fit, what cannot bite here. That gives
 * warnings only: such a policy loads.
 */

#include <stdio.h>

#include "ceiling.h"
#include "ctl.h"
#include "host.h"
#include "policy.h"
#include "policyfiles.h"
#include "screens.h"

typedef struct Check {
        PolicyFiles files;
        Policy *policy;
        Diags diags;
} Check;

static void check_deinit(Check *k) {
        policy_free(k->policy);
        policy_files_deinit(&k->files);
        diags_deinit(&k->diags);
}

/* ---- this host ---- */

static void check_device(Check *k, const char *section, const char *name, const LimitExpr *e) {
        const char *key = limit_info(e->limit)->key, *file = k->policy->files[e->ref.file];
        bool writes = e->limit == LIMIT_IO_WRITE_BANDWIDTH_MAX || e->limit == LIMIT_IO_WRITE_IOPS_MAX;
        _cleanup_buf_ Buf why = BUF_INIT;
        BlockDevice d = {};
        int r;

        r = block_resolve("/proc", "/sys", e->device, &d);
        if (r == BLOCK_NONE)
                buf_printf(&why, "there is no block device below %s%s%s: the limit cannot bite", e->device,
                           d.fstype[0] ? ", which is on " : "", d.fstype);
        else if (r == BLOCK_GONE)
                buf_printf(&why, "%s does not exist on this host: the limit is left out", e->device);
        else if (r == BLOCK_MANY)
                buf_printf(&why, "%s lies on several disks; %s is limited as a whole", e->device, d.name);
        else if (r < 0)
                buf_printf(&why, "%s cannot be resolved to a disk: %s", e->device, strerror(-r));
        else if (writes && d.fstype[0] && !d.writeback)
                buf_printf(
                        &why,
                        "%s does not charge buffered writes to cgroups: only direct writes to %s are limited",
                        d.fstype, e->device);
        else
                return;
        diags_add(&k->diags, DIAG_WARNING, file, e->ref.line, "[%s%s%s] %s%s: %s", section, name ? " " : "",
                  name ? name : "", e->container ? "Container" : "", key, buf_str(&why));
}

static void check_section(Check *k, const char *section, const char *name, const PolicySection *s) {
        for (size_t i = 0; i < s->n_limits; i++)
                if (s->limits[i].device)
                        check_device(k, section, name, &s->limits[i]);
        for (size_t i = 0; i < s->n_container_limits; i++)
                if (s->container_limits[i].device)
                        check_device(k, section, name, &s->container_limits[i]);
}

static void check_devices(Check *k) {
        const Policy *p = k->policy;

        check_section(k, "Defaults", NULL, &p->defaults);
        for (size_t i = 0; i < p->n_plans; i++)
                check_section(k, "Plan", p->plans[i].name, &p->plans[i].section);
        for (size_t i = 0; i < p->n_templates; i++)
                check_section(k, "Template", p->templates[i].name, &p->templates[i].section);
        for (size_t i = 0; i < p->n_tenants; i++)
                check_section(k, "Tenant", p->tenants[i].name, &p->tenants[i].section);
        for (size_t i = 0; i < p->n_containers; i++) {
                _cleanup_free_ char *name = NULL;

                if (asprintf(&name, "%s/%s", p->containers[i].tenant, p->containers[i].name) < 0)
                        name = NULL;
                check_section(k, "Container", name, &p->containers[i].section);
        }
}

static int find_device(void *user, const char *path, dev_t *ret) {
        BlockDevice d = {};
        int r = block_resolve("/proc", "/sys", path, &d);

        (void)user;
        if (r == 0 || r == BLOCK_MANY) {
                *ret = d.dev;
                return 0;
        }
        return r;
}

static void check_host(Check *k) {
        HostFacts host = {};
        CeilingEnv env = { .host = &host, .device = find_device };
        int r = host_read("/sys/fs/cgroup", "/proc", "/sys", &host);

        check_devices(k);
        if (r < 0)
                diags_add(&k->diags, DIAG_WARNING, NULL, 0,
                          "this host cannot be looked at (%s): percentages and sums are not checked",
                          strerror(-r));
        else
                ceiling_check_host(k->policy, &env, &k->diags);
}

/* Only the guard knows what runs and what it uses; without one nothing is said about that. */
static void check_use(Ctl *c, Check *k) {
        json_t *j = NULL;
        const json_t *o;
        size_t i;

        if (client_get(c->client, "DiffPolicy", NULL, &j) != STATUS_DONE)
                return;
        json_array_foreach(json_member(j, "changes"), i, o) {
                const char *danger = json_text(o, "danger"), *limit = json_text(o, "limit"),
                           *who = json_text(o, "container") ?: json_text(o, "cgroup");

                if (danger && limit && who)
                        diags_add(&k->diags, DIAG_WARNING, NULL, 0, "%s: %s: %s", who, limit, danger);
        }
        json_decref(j);
}

/* ---- what is told ---- */

json_t *check_to_json(const Diags *diags, json_t *files, size_t tenants, size_t templates, size_t plans,
                      size_t containers) {
        json_t *list = json_array();

        for (size_t i = 0; i < diags->n; i++) {
                const Diag *d = &diags->items[i];
                _cleanup_buf_ Buf text = BUF_INIT;

                text_escape(&text, d->text, true, false);
                (void)json_array_append_new(list, json_pack("{s:s, s:s?, s:I, s:s}", "level",
                                                            d->level == DIAG_ERROR ? "error" : "warning",
                                                            "file", d->file, "line", (json_int_t)d->line,
                                                            "text", buf_str(&text)));
        }
        return json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "ok", !diags_failed(diags), "files",
                         files, "tenants", (json_int_t)tenants, "templates", (json_int_t)templates, "plans",
                         (json_int_t)plans, "containers", (json_int_t)containers, "errors",
                         (json_int_t)diags->n_errors, "warnings", (json_int_t)diags->n_warnings,
                         "diagnostics", list);
}

static int print_json(Ctl *c, const Check *k) {
        const Policy *p = k->policy;
        json_t *files = json_array();

        for (size_t i = 0; i < k->files.n; i++)
                (void)json_array_append_new(files, json_string(k->files.texts[i].file));
        return ctl_print_json(c, check_to_json(&k->diags, files, p ? p->n_tenants : 0, p ? p->n_templates : 0,
                                               p ? p->n_plans : 0, p ? p->n_containers : 0));
}

static int report(Ctl *c, const Check *k) {
        _cleanup_buf_ Buf text = BUF_INIT, shown = BUF_INIT;
        const Policy *p = k->policy;
        bool failed = diags_failed(&k->diags);
        int r;

        r = diags_format(&k->diags, &text);
        if (r < 0)
                return ctl_rendered(r);
        text_escape(&shown, buf_str(&text), c->view.utf8, true);
        (void)fputs(buf_str(&shown), c->view.out);
        (void)fflush(c->view.out);
        if (failed || !p)
                return ctl_fail(STATUS_FAILED, "policy refused: %u errors, %u warnings in %zu files",
                                k->diags.n_errors, k->diags.n_warnings, k->files.n);
        (void)fprintf(c->view.out,
                      "policy ok: %zu files, %zu tenants, %zu templates, %zu plans, %zu container rules, %u "
                      "warnings\n",
                      k->files.n, p->n_tenants, p->n_templates, p->n_plans, p->n_containers,
                      k->diags.n_warnings);
        return STATUS_DONE;
}

int verb_policy_check(Ctl *c) {
        _cleanup_(check_deinit) Check k = {};
        int r;

        if (c->n_arguments > 0)
                r = policy_files_read_list((const char *const *)c->arguments, &k.files, &k.diags);
        else
                r = policy_files_read(policy_dirs_default, &k.files, &k.diags);
        if (r >= 0) {
                r = policy_parse(k.files.texts, k.files.n, &k.diags, &k.policy);
                if (r == -EINVAL)
                        r = 0; /* the diagnostics say it */
        }
        if (r < 0)
                return ctl_rendered(r);
        if (k.policy && !(c->given & OPTION_OFFLINE))
                check_host(&k);
        /* What the guard would read on a reload, not files that somebody names. */
        if (k.policy && !(c->given & OPTION_OFFLINE) && c->n_arguments == 0)
                check_use(c, &k);
        if (c->json) {
                (void)print_json(c, &k);
                return diags_failed(&k.diags) || !k.policy ? STATUS_FAILED : STATUS_DONE;
        }
        return report(c, &k);
}
