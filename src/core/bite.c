/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a limit will do here, said before it is believed in: that it cannot bite
 * on this host or in this cgroup, that it promises more than there is, that it
 * hurts who is already above it. A limit that is written without an error
 * and does nothing is the worst kind: cgroup v2 has many (a MemoryMin below
 * a parent that protects nothing, a weight without io.cost, a bandwidth on a
 * file system whose write-back is charged to nobody).
 *
 * Sentences are made here and only here, so that load, `status`, `show` and
 * `policy diff` say the same. They begin with the key as policy has it.
 */

#include <stdarg.h>
#include <stdio.h>

#include "ceiling.h"
#include "num.h"
#include "value.h"

#define SENTENCE_MAX 256

static const struct {
        const char *name;
        uint32_t bit;
} controllers[] = {
        { "cpu", CONTROLLER_CPU },
        { "io", CONTROLLER_IO },
        { "memory", CONTROLLER_MEMORY },
        { "pids", CONTROLLER_PIDS },
};

static uint32_t controller_bit(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
                if (STR_EQ(controllers[i].name, name))
                        return controllers[i].bit;
        return 0;
}

typedef struct Teller {
        void (*each)(void *user, LimitKnob knob, const char *text);
        void *user;
} Teller;

/* "KEY: …" */
static void _printf_(3, 4) tell(const Teller *t, LimitKnob knob, const char *format, ...) {
        char text[SENTENCE_MAX];
        va_list ap;
        int n;

        n = snprintf(text, sizeof(text), "%s: ", limit_info(knob.limit)->key);
        va_start(ap, format);
        (void)vsnprintf(text + n, sizeof(text) - (size_t)n, format, ap);
        va_end(ap);
        t->each(t->user, knob, text);
}

/* Why the cgroup lacks the file. */
static void tell_missing(const Teller *t, LimitKnob knob, const BiteFacts *f) {
        LimitFile file = limit_info(knob.limit)->file;
        const char *controller = limit_file_controller(file);
        uint32_t bit = controller_bit(controller);

        if (!f->host->cgroup2)
                tell(t, knob, "no cgroup v2 is mounted on this host");
        else if (!(f->host->controllers & bit))
                tell(t, knob, "this host has no %s controller in cgroup v2%s", controller,
                     f->host->hybrid ? " (cgroup v1 holds it)" : "");
        else if (f->below_user_manager && bit == CONTROLLER_IO && !f->host->user_io_delegated)
                tell(t, knob, "io is not delegated to user managers");
        else if (!(f->host->controllers_enabled & bit))
                tell(t, knob, "%s controller is not enabled", controller);
        else if (knob.limit == LIMIT_CPU_BURST)
                tell(t, knob, "no %s here, this needs a kernel of 5.14 or later", limit_file_name(file));
        else if (knob.limit == LIMIT_MEMORY_SWAP_MAX)
                tell(t, knob, "no %s here, the kernel does not account for swap", limit_file_name(file));
        else if (knob.limit == LIMIT_IO_WEIGHT)
                tell(t, knob, "no io.cost and no bfq on this host");
        else if (knob.limit == LIMIT_IO_DEVICE_LATENCY && !f->host->io_latency)
                tell(t, knob, "this kernel has no io.latency");
        else
                tell(t, knob, "%s controller is not enabled for this cgroup", controller);
}

static void tell_protection(const Teller *t, const LimitEntry *e, const BiteFacts *f) {
        char have[VALUE_FORMAT_MAX], want[VALUE_FORMAT_MAX];

        if (e->value == 0 || f->parent_protection >= e->value)
                return;
        if (f->parent_protection == 0)
                tell(t, e->knob,
                     "inert, the parent protects nothing (neither MemoryMin nor MemoryLow there)");
        else
                tell(t, e->knob, "only %s of %s, the parent protects no more",
                     value_format_bytes(f->parent_protection, have, sizeof(have)),
                     value_format_bytes(e->value, want, sizeof(want)));
}

/* The file is there. */
static void tell_weak(const Teller *t, const LimitEntry *e, const BiteFacts *f) {
        switch (e->knob.limit) {
        case LIMIT_MEMORY_MIN:
        case LIMIT_MEMORY_LOW:
                tell_protection(t, e, f);
                break;
        case LIMIT_MEMORY_SWAP_MAX:
                if (f->host->swap_bytes == 0)
                        tell(t, e->knob, "no swap on this host, there is nothing to limit");
                break;
        case LIMIT_IO_WEIGHT:
                if (!f->host->io_cost && !f->host->io_bfq)
                        tell(t, e->knob, "no io.cost and no bfq on this host");
                break;
        case LIMIT_IO_DEVICE_LATENCY:
                if (!f->host->io_latency)
                        tell(t, e->knob, "this kernel has no io.latency");
                break;
        case LIMIT_IO_WRITE_BANDWIDTH_MAX:
        case LIMIT_IO_WRITE_IOPS_MAX:
                if (f->device_writeback && !f->device_writeback(f->user, e->knob.dev))
                        tell(t, e->knob,
                             "only direct writes, no file system on that disk charges buffered ones to "
                             "whoever wrote them (ext4, btrfs, f2fs and xfs do)");
                break;
        default:
                break;
        }
}

void ceiling_cannot_bite(const LimitSet *desired, const BiteFacts *f,
                         void (*each)(void *user, LimitKnob knob, const char *text), void *user) {
        Teller t = { .each = each, .user = user };
        Limit missing = _LIMIT_INVALID;

        for (size_t i = 0; i < desired->n; i++) {
                const LimitEntry *e = &desired->entries[i];
                const LimitInfo *info = limit_info(e->knob.limit);

                if (info->sense == LIMIT_CEILING && e->value == LIMIT_INFINITY)
                        continue; /* nothing is meant to bite */
                if (f->have_files & UINT32_C(1) << info->file)
                        tell_weak(&t, e, f);
                else if (missing != e->knob.limit) { /* once, not for each device */
                        tell_missing(&t, e->knob, f);
                        missing = e->knob.limit;
                }
        }
}

/* ---- a policy against this host ---- */

typedef struct Sums {
        uint64_t memory_min, memory_max, cpu_guarantee;
        bool template[3]; /* one of them is a template's: in this order */
} Sums;

static void sum_up(uint64_t *sum, bool *by_template, uint64_t v, const PolicyTenant *rule) {
        if (v == 0 || v == LIMIT_INFINITY)
                return;
        *sum = num_add_sat(*sum, v);
        if (rule->tenant_format)
                *by_template = true;
}

static int sum_rule(const Policy *p, const PolicyTenant *rule, const CeilingEnv *env, Sums *sums) {
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        uint64_t min = 0, max = 0;
        Settings s;
        int r;

        r = ceiling_tenant(p, rule, NULL, env, &set);
        if (r < 0)
                return r;
        ceiling_settings(p, rule, NULL, NULL, &s);
        (void)limit_set_get_scalar(&set, LIMIT_MEMORY_MIN, &min);
        (void)limit_set_get_scalar(&set, LIMIT_MEMORY_MAX, &max);
        sum_up(&sums->memory_min, &sums->template[0], min, rule);
        sum_up(&sums->memory_max, &sums->template[1], max, rule);
        sum_up(&sums->cpu_guarantee, &sums->template[2], s.cpu_guarantee, rule);
        return 0;
}

static void check_sums(const Sums *s, const HostFacts *host, Diags *diags) {
        static const char *const each[] = { "", " (counting one tenant of each template)" };
        char sum[VALUE_FORMAT_MAX], have[VALUE_FORMAT_MAX];
        uint64_t tenths, cpus = (uint64_t)host->n_cpus * USEC_PER_SEC;

        value_format_bytes(host->memory_bytes, have, sizeof(have));
        if (host->memory_bytes > 0 && s->memory_min > host->memory_bytes)
                diags_add(diags, DIAG_WARNING, NULL, 0,
                          "MemoryMin: the tenants' guarantees sum up to %s%s, more than this host's %s of "
                          "memory: they "
                          "cannot all be kept",
                          value_format_bytes(s->memory_min, sum, sizeof(sum)), each[s->template[0]], have);
        if (host->memory_bytes > 0 && s->memory_max > host->memory_bytes) {
                tenths = num_muldiv(s->memory_max, 10, host->memory_bytes);
                diags_add(diags, DIAG_WARNING, NULL, 0,
                          "MemoryMax: the tenants' ceilings sum up to %s%s, %llu.%llu times this host's %s "
                          "of memory "
                          "(overcommitted)",
                          value_format_bytes(s->memory_max, sum, sizeof(sum)), each[s->template[1]],
                          (unsigned long long)tenths / 10, (unsigned long long)tenths % 10, have);
        }
        if (cpus > 0 && s->cpu_guarantee > cpus)
                diags_add(diags, DIAG_WARNING, NULL, 0,
                          "CPUGuarantee: the tenants' guarantees sum up to %llu%%%s, more than the %llu%% of "
                          "this host's "
                          "%u CPUs: they cannot all be kept",
                          (unsigned long long)(s->cpu_guarantee / (USEC_PER_SEC / 100)), each[s->template[2]],
                          (unsigned long long)host->n_cpus * 100, host->n_cpus);
}

typedef struct HostBite {
        const Policy *policy;
        Diags *diags;
        PolicyRef ref; /* of the line that is looked at */
        bool said[_LIMIT_MAX];
} HostBite;

static void host_bite_each(void *user, LimitKnob knob, const char *text) {
        HostBite *b = user;
        bool known = b->ref.line > 0 && b->ref.file < b->policy->n_files;
        const char *file = known ? b->policy->files[b->ref.file] : NULL;

        b->said[knob.limit] = true;
        diags_add(b->diags, DIAG_WARNING, file, b->ref.line, "%s", text);
}

/* What stands against a limit whatever the cgroup; each kind of limit is told of once. */
static void check_lines(HostBite *b, const BiteFacts *f, const LimitExpr *limits, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const LimitExpr *e = &limits[i];
                LimitEntry entry = { .knob = { .limit = e->limit }, .value = 1 };
                LimitSet one = { .entries = &entry, .n = 1 };

                if (b->said[e->limit] || e->kind == LIMIT_EXPR_RESET ||
                    (e->kind == LIMIT_EXPR_VALUE && e->value == LIMIT_INFINITY))
                        continue;
                b->ref = e->ref;
                ceiling_cannot_bite(&one, f, host_bite_each, b);
        }
}

static void check_section(HostBite *b, const BiteFacts *f, const PolicySection *s) {
        check_lines(b, f, s->limits, s->n_limits);
        check_lines(b, f, s->container_limits, s->n_container_limits);
}

/* A controller that is there but enabled nowhere is no obstacle: systemd enables it with the first unit that
 * needs it. */
static uint32_t files_possible(const HostFacts *host) {
        uint32_t files = 0;

        for (LimitFile file = 0; file < _LIMIT_FILE_MAX; file++)
                if (host->cgroup2 && (host->controllers & controller_bit(limit_file_controller(file))))
                        files |= UINT32_C(1) << file;
        return files;
}

void ceiling_check_host(const Policy *p, const CeilingEnv *env, Diags *diags) {
        HostBite b = { .policy = p, .diags = diags };
        BiteFacts f = { .host = env->host, .parent_protection = UINT64_MAX };
        Sums sums = {};
        int r = 0;

        if (!env->host)
                return;
        for (size_t i = 0; i < p->n_tenants && r == 0; i++)
                r = sum_rule(p, &p->tenants[i], env, &sums);
        for (size_t i = 0; i < p->n_templates && r == 0; i++)
                r = sum_rule(p, &p->templates[i], env, &sums);
        if (r < 0)
                diags->oom = true;
        check_sums(&sums, env->host, diags);

        f.have_files = files_possible(env->host);
        check_section(&b, &f, &p->defaults);
        for (size_t i = 0; i < p->n_plans; i++)
                check_section(&b, &f, &p->plans[i].section);
        for (size_t i = 0; i < p->n_templates; i++)
                check_section(&b, &f, &p->templates[i].section);
        for (size_t i = 0; i < p->n_tenants; i++)
                check_section(&b, &f, &p->tenants[i].section);
        for (size_t i = 0; i < p->n_containers; i++)
                check_section(&b, &f, &p->containers[i].section);
}

/* ---- danger ---- */

bool ceiling_danger(LimitKnob knob, uint64_t desired, const DangerUsage *u, Buf *out) {
        char now[VALUE_FORMAT_MAX], to[VALUE_FORMAT_MAX];

        value_format_bytes(desired, to, sizeof(to));
        switch (knob.limit) {
        case LIMIT_MEMORY_MAX:
                if (!u->have_memory || u->memory_bytes <= desired)
                        return false;
                buf_printf(out, "%s now, new max %s: would OOM",
                           value_format_bytes(u->memory_bytes, now, sizeof(now)), to);
                return true;
        case LIMIT_MEMORY_HIGH:
                if (!u->have_memory || u->memory_bytes <= desired)
                        return false;
                buf_printf(out, "squeezed from %s to %s by MemoryHigh",
                           value_format_bytes(u->memory_bytes, now, sizeof(now)), to);
                return true;
        case LIMIT_MEMORY_SWAP_MAX:
                if (!u->have_swap || u->swap_bytes <= desired)
                        return false;
                buf_printf(out, "%s of swap now, new max %s: nothing more can be swapped out",
                           value_format_bytes(u->swap_bytes, now, sizeof(now)), to);
                return true;
        case LIMIT_TASKS_MAX:
                if (!u->have_tasks || u->tasks <= desired)
                        return false;
                buf_printf(out, "%llu tasks now, new max %llu: forks will fail", (unsigned long long)u->tasks,
                           (unsigned long long)desired);
                return true;
        default:
                return false;
        }
}
