/* SPDX-License-Identifier: Apache-2.0 */

/* Policy text in, limits out; how numbers combine; what cannot bite here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysmacros.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "ceiling.h"
#include "num.h"
#include "random.h"

#define K (UINT64_C(1) << 10)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define INF LIMIT_INFINITY

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

static const HostFacts host = {
        .cgroup2 = true,
        .controllers = CONTROLLER_CPU | CONTROLLER_IO | CONTROLLER_MEMORY | CONTROLLER_PIDS,
        .controllers_enabled = CONTROLLER_CPU | CONTROLLER_IO | CONTROLLER_MEMORY | CONTROLLER_PIDS,
        .memory_bytes = 16 * G,
        .swap_bytes = 2 * G,
        .pid_max = 10000,
        .page_size = 4096,
        .n_cpus = 4,
        .io_cost = true,
        .io_latency = true,
        .user_io_delegated = true,
};

/* /dev/sda and what is on it; nothing else is a disk. */
static int device(void *user, const char *path, dev_t *ret) {
        (void)user;
        if (STR_EQ(path, "/dev/sda") || STR_EQ(path, "/srv"))
                *ret = makedev(8, 0);
        else if (STR_EQ(path, "/dev/sdb"))
                *ret = makedev(8, 16);
        else
                return STR_EQ(path, "/tmp") ? 1 : -ENODEV;
        return 0;
}

static const CeilingEnv env = { .host = &host, .device = device };

/* "MemoryMax=1073741824@3 "; the line is that of the origin, a letter its kind. */
static const char *show(const LimitSet *set, Buf *out) {
        buf_clear(out);
        for (size_t i = 0; i < set->n; i++) {
                const LimitEntry *e = &set->entries[i];

                if (i > 0) {
                        assert_true(limit_knob_cmp(set->entries[i - 1].knob, e->knob) < 0);
                        buf_putc(out, ' ');
                }
                buf_puts(out, limit_info(e->knob.limit)->key);
                if (e->knob.dev)
                        buf_printf(out, "[%u:%u]", major(e->knob.dev), minor(e->knob.dev));
                if (e->value == INF)
                        buf_puts(out, "=inf");
                else if (e->value && e->value % M == 0)
                        buf_printf(out, "=%lluM", (unsigned long long)(e->value / M));
                else
                        buf_printf(out, "=%llu", (unsigned long long)e->value);
                if (origin_kind(e->origin) != ORIGIN_POLICY)
                        buf_printf(out, "@%s", origin_kind_to_string(origin_kind(e->origin)));
                if (origin_ref(e->origin).line)
                        buf_printf(out, "@%u", origin_ref(e->origin).line);
        }
        return buf_str(out);
}

/* A tenant's or template's rule. */
static const PolicyTenant *rule_of(const Policy *p, const char *name) {
        for (size_t i = 0; name && i < p->n_templates; i++)
                if (STR_EQ(p->templates[i].name, name))
                        return &p->templates[i];
        return name ? policy_find_tenant(p, name) : NULL;
}

/* ---- settings ---- */

#define HOST(mode) "[Host]\nMode=" mode "\n"
#define ACME "[Tenant acme]\nMatch=name=a*\n"

static void test_mode(void **state) {
        static const struct {
                const char *policy, *rule, *tenant, *name;
                Mode mode;
                unsigned line;
        } rows[] = {
                { "", NULL, NULL, NULL, MODE_OBSERVE, 0 },
                { ACME, "acme", "acme", NULL, MODE_OBSERVE, 0 },
                { ACME "Mode=enforce\n", "acme", "acme", NULL, MODE_OBSERVE, 0 },
                { ACME "Mode=off\n", "acme", "acme", NULL, MODE_OFF, 3 },
                { HOST("enforce") ACME, "acme", "acme", NULL, MODE_ENFORCE, 2 },
                { HOST("enforce") ACME "Mode=ceilings\n", "acme", "acme", NULL, MODE_CEILINGS, 5 },
                { HOST("ceilings") ACME "Mode=enforce\n", "acme", "acme", NULL, MODE_CEILINGS, 2 },
                { HOST("ceilings") ACME "Mode=ceilings\n", "acme", "acme", NULL, MODE_CEILINGS, 5 },
                { HOST("off") ACME "Mode=enforce\n", "acme", "acme", NULL, MODE_OFF, 2 },
                { HOST("enforce") "[Defaults]\nMode=observe\n" ACME "Mode=enforce\n", "acme", "acme", NULL,
                  MODE_ENFORCE, 7 },
                { HOST("enforce") "[Defaults]\nMode=observe\n" ACME "Mode=enforce\n", NULL, "unassigned",
                  NULL, MODE_OBSERVE, 4 },
                { HOST("enforce") "[Defaults]\nMode=observe\n" ACME "Mode=\n", "acme", "acme", NULL,
                  MODE_ENFORCE, 2 },
                { HOST("enforce") "[Plan p]\nMode=throttle\n" ACME "Plan=p\n", "acme", "acme", NULL,
                  MODE_THROTTLE, 4 },
                { HOST("enforce") ACME "Mode=throttle\n[Container acme/db*]\nMode=ceilings\n", "acme", "acme",
                  "db1", MODE_CEILINGS, 7 },
                { HOST("enforce") ACME "Mode=throttle\n[Container acme/db*]\nMode=ceilings\n", "acme", "acme",
                  "web", MODE_THROTTLE, 5 },
                { HOST("enforce") ACME "Mode=throttle\n[Container acme/db*]\nMode=ceilings\n", "acme", "acme",
                  NULL, MODE_THROTTLE, 5 },
                { HOST("enforce") "[Container */db*]\nMode=observe\n[Container */*1]\nMode=throttle\n" ACME,
                  "acme", "acme", "db1", MODE_THROTTLE, 6 },
        };
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_policy_ Policy *p = parse(rows[i].policy);
                Settings s;

                ceiling_settings(p, rule_of(p, rows[i].rule), rows[i].tenant, rows[i].name, &s);
                if (s.mode != rows[i].mode || s.mode_ref.line != rows[i].line)
                        fail_msg("%zu: %s by line %u, expected %s by %u", i, mode_to_string(s.mode),
                                 s.mode_ref.line, mode_to_string(rows[i].mode), rows[i].line);
        }
}

static void test_settings(void **state) {
        _cleanup_policy_ Policy *p =
                parse("[Host]\nMode=enforce\nOperatorHoldSec=1min\n"
                      "[Defaults]\nPriority=7\nKill=prefer\nCPUGuarantee=50%\n"
                      "[Plan gold]\nKill=last\nEngineLimits=override\nSum=slice\nCPUGuarantee=150%\n" ACME
                      "Plan=gold\nThrottle=cpu freeze\nKillGraceSec=3s\nOperatorHoldSec=2min\n"
                      "[Container acme/db*]\nKill=never\nPriority=\nPressureTrigger=io "
                      "memory\nIOPressureTarget=5%\n"
                      "[Tenant unassigned]\nKill=last\nPriority=9\n");
        Settings s;
        (void)state;

        ceiling_settings(p, rule_of(p, "acme"), "acme", "web", &s);
        assert_int_equal(s.priority, 7);
        assert_int_equal(s.kill, KILL_LAST);
        assert_int_equal(s.throttle, THROTTLE_CPU | THROTTLE_FREEZE);
        assert_int_equal(s.kill_grace, 3 * USEC_PER_SEC);
        assert_true(s.engine_override);
        assert_int_equal(s.sum, SUM_SLICE);
        assert_int_equal(s.operator_hold, 120 * USEC_PER_SEC);
        assert_int_equal(s.cpu_guarantee, 1500000);
        assert_int_equal(s.pressure_trigger, 0);

        ceiling_settings(p, rule_of(p, "acme"), "acme", "db1", &s);
        assert_int_equal(s.kill, KILL_NEVER);
        assert_int_equal(s.priority, 100); /* reset: not what [Defaults] say */
        assert_int_equal(s.pressure_trigger, TRIGGER_IO | TRIGGER_MEMORY);
        assert_int_equal(s.pressure_target[0], 3000);
        assert_int_equal(s.pressure_target[1], 500); /* its own */
        assert_int_equal(s.pressure_target[2], 1000);

        ceiling_settings(p, NULL, "unassigned", "db1", &s);
        assert_int_equal(s.kill, KILL_NEVER); /* whatever anybody says */
        assert_int_equal(s.priority, 9);
        assert_int_equal(s.operator_hold, 60 * USEC_PER_SEC);
        assert_int_equal(s.cpu_guarantee, 0);
        assert_int_equal(s.throttle, THROTTLE_CPU | THROTTLE_IO | THROTTLE_MEMORY | THROTTLE_PIDS);
        ceiling_settings(p, rule_of(p, "unassigned"), "unassigned", NULL, &s);
        assert_int_equal(s.kill, KILL_NEVER);
        assert_int_equal(s.cpu_guarantee, 0);
}

/* ---- limits from sections ---- */

static void test_limits(void **state) {
        static const char text[] = /* lines are counted: they are the origins */
                "[Defaults]\n"
                "MemoryMax=1G\n"
                "ContainerTasksMax=100\n"
                "ContainerMemoryMax=50%\n" /* 4 */
                "ContainerIOReadBandwidthMax=/srv 1M\n"
                "[Plan gold]\n"
                "MemoryHigh=50% of MemoryMax\n" /* 7 */
                "ContainerMemoryHigh=25% of ContainerMemoryMax\n"
                "MemorySwapMax=50%\n"
                "[Tenant acme]\n"
                "Plan=gold\n"
                "Match=name=a*\n"
                "MemoryMax=4G\n" /* 13 */
                "TasksMax=10%\n"
                "IOReadBandwidthMax=/srv 2M\n" /* 15 */
                "IOReadBandwidthMax=/dev/sda 3M\n"
                "IOReadBandwidthMax=/dev/sdb 4M\n"
                "IOReadBandwidthMax=/dev/nodisk 5M\n"
                "IOReadBandwidthMax=/tmp 6M\n"
                "[Tenant beta]\n" /* 20 */
                "Match=name=b*\n"
                "MemoryMax=\n"
                "; a line\n"
                "MemoryLow=1G\n" /* 24 */
                "ContainerMemoryMax=infinity\n"
                "ContainerMemoryHigh=10% of ContainerMemoryMax\n"
                "ContainerMemoryMin=10% of ContainerMemoryMax\n"
                "ContainerIOReadBandwidthMax=\n"
                "ContainerIOReadBandwidthMax=/dev/sdb 7M\n" /* 29 */
                "[Container acme/db*]\n"
                "ContainerMemoryMax=6G\n" /* 31 */
                "ContainerTasksMax=\n"
                "[Container */*-big]\n"
                "ContainerMemoryMax=8G\n" /* 34 */
                "[Template compose]\n"
                "Match=label=p=*\n"
                "Tenant=compose-%v\n"
                "Plan=gold\n"
                "ContainerTasksMax=40\n" /* 39 */
                "MemoryMax=2G\n"
                "[Plan big]\n"
                "MemoryMax=3G\n" /* 42 */
                "[Tenant compose-shop]\n"
                "Match=name=shop\n"
                "Plan=big\n"
                "[Tenant compose-tiny]\n"
                "Match=name=tiny\n"
                "MemoryMax=1M\n"; /* 48 */
#define DEFAULT_CONTAINER "MemoryMax=8192M@4 TasksMax=100@3 IOReadBandwidthMax[8:0]=1000000@5"
        static const struct {
                const char *rule, *tenant, *name;
                bool sum;
                const char *limits;
        } rows[] = {
                { NULL, "unassigned", "x", false, DEFAULT_CONTAINER },
                { NULL, NULL, NULL, false, DEFAULT_CONTAINER },
                { NULL, "unassigned", NULL, true, "" },
                { NULL, "unassigned", "x-big", false,
                  "MemoryMax=8192M@34 TasksMax=100@3 IOReadBandwidthMax[8:0]=1000000@5" },
                { "acme", "acme", NULL, true,
                  "MemoryHigh=2048M@7 MemoryMax=4096M@13 MemorySwapMax=1024M@9 TasksMax=1000@14 "
                  "IOReadBandwidthMax[8:0]=2000000@15 IOReadBandwidthMax[8:16]=4000000@17" },
                { "acme", "acme", "web", false,
                  "MemoryHigh=2048M@8 MemoryMax=8192M@4 TasksMax=100@3 IOReadBandwidthMax[8:0]=1000000@5" },
                { "acme", "acme", "db", false,
                  "MemoryHigh=1536M@8 MemoryMax=6144M@31 IOReadBandwidthMax[8:0]=1000000@5" },
                { "acme", "acme", "db-big", false,
                  "MemoryHigh=2048M@8 MemoryMax=8192M@34 IOReadBandwidthMax[8:0]=1000000@5" },
                { "beta", "beta", NULL, true, "MemoryLow=1024M@24" },
                { "beta", "beta", "b", false,
                  "MemoryHigh=inf@26 MemoryMax=inf@25 TasksMax=100@3 IOReadBandwidthMax[8:16]=7000000@29" },
                { "compose", "compose-x", "x", false,
                  "MemoryHigh=2048M@8 MemoryMax=8192M@4 TasksMax=40@39 IOReadBandwidthMax[8:0]=1000000@5" },
                { "compose", NULL, NULL, true,
                  "MemoryHigh=1024M@7 MemoryMax=2048M@40 MemorySwapMax=1024M@9" },
                { "compose", "compose-shop", NULL, true,
                  "MemoryMax=3072M@42" }, /* its own plan beats the template */
                { "compose", "compose-tiny", NULL, true,
                  "MemoryHigh=524288@7 MemoryMax=1M@48 MemorySwapMax=1024M@9" },
        };
        _cleanup_policy_ Policy *p = parse(text);
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const PolicyTenant *rule = rule_of(p, rows[i].rule);
                int r = rows[i].sum ? ceiling_tenant(p, rule, rows[i].tenant, &env, &set)
                                    : ceiling_container(p, rule, rows[i].tenant, rows[i].name, &env, &set);

                assert_int_equal(r, 0);
                assert_true(!rows[i].rule || rule);
                if (!STR_EQ(show(&set, &out), rows[i].limits))
                        fail_msg("%zu %s/%s:\n%s\nexpected\n%s", i, rows[i].tenant ? rows[i].tenant : "-",
                                 rows[i].name ? rows[i].name : "-", buf_str(&out), rows[i].limits);
        }
}

static void test_unassigned_sums(void **state) {
        _cleanup_policy_ Policy *p = parse("[Defaults]\nMemoryMax=1G\n[Plan p]\nTasksMax=5\n"
                                           "[Tenant unassigned]\nPlan=p\nMemoryHigh=1G\nCPUQuota=10%\n");
        LimitExpr *high = &p->tenants[0].section.limits[0];
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        (void)state;

        /* "50% of MemoryMax", which only [Defaults] have: the parser refuses that */
        assert_int_equal(high->limit, LIMIT_MEMORY_HIGH);
        *high = (LimitExpr){ .limit = LIMIT_MEMORY_HIGH,
                             .kind = LIMIT_EXPR_PERMYRIAD_OF_LIMIT,
                             .value = 5000,
                             .of = LIMIT_MEMORY_MAX };
        assert_int_equal(ceiling_tenant(p, NULL, "unassigned", &env, &set), 0);
        assert_string_equal(show(&set, &out), "CPUQuota=100000@8 TasksMax=5@4");
        assert_int_equal(ceiling_tenant(p, rule_of(p, "unassigned"), "unassigned", &env, &set), 0);
        assert_string_equal(show(&set, &out), "CPUQuota=100000@8 TasksMax=5@4");
}

/* Several [Container] sections can make a circle that no single one has. */
static void test_circle(void **state) {
        _cleanup_policy_ Policy *p =
                parse(ACME "[Container acme/d*]\nContainerMemoryHigh=90% of ContainerMemoryMax\n"
                           "ContainerMemoryMax=1G\n"
                           "[Container acme/*b]\nContainerMemoryMax=110% of ContainerMemoryHigh\n"
                           "ContainerMemoryHigh=1G\n"
                           "[Container acme/d?b]\nContainerMemoryHigh=90% of ContainerMemoryMax\n"
                           "ContainerMemoryMin=1M\n"
                           "ContainerMemoryMax=2G\n[Container acme/dab]\n"
                           "ContainerMemoryMax=50% of ContainerMemoryHigh\n"
                           "ContainerMemoryHigh=1G\n[Container acme/da?]\n"
                           "ContainerMemoryHigh=50% of ContainerMemoryMin\n");
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        (void)state;

        assert_int_equal(ceiling_container(p, rule_of(p, "acme"), "acme", "dab", &env, &set), 0);
        assert_string_equal(show(&set, &out), "MemoryMin=1M@11 MemoryHigh=524288@17 MemoryMax=262144@14");
        /* by hand, as the parser sees through it where it can */
        for (size_t i = 0; i < p->n_containers; i++)
                for (size_t j = 0; j < p->containers[i].section.n_container_limits; j++) {
                        LimitExpr *e = &p->containers[i].section.container_limits[j];

                        e->kind = LIMIT_EXPR_PERMYRIAD_OF_LIMIT;
                        e->of = e->limit == LIMIT_MEMORY_MAX ? LIMIT_MEMORY_HIGH : LIMIT_MEMORY_MAX;
                }
        assert_int_equal(ceiling_container(p, rule_of(p, "acme"), "acme", "dab", &env, &set), 0);
        assert_int_equal(set.n, 0);
}

static void test_unknown_host(void **state) {
        _cleanup_policy_ Policy *p =
                parse(ACME "MemoryMax=50%\nTasksMax=50%\nMemorySwapMax=50%\nMemoryHigh=1G\n"
                           "IOReadBandwidthMax=/dev/sda 1M\n");
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        static const HostFacts empty;
        static const CeilingEnv envs[] = { { .host = &empty }, { .host = NULL } };
        (void)state;

        assert_int_equal(ceiling_tenant(p, rule_of(p, "acme"), "acme", &envs[0], &set), 0);
        assert_string_equal(show(&set, &out), "MemoryHigh=1024M@6 MemorySwapMax=0@5"); /* half of no swap */
        assert_int_equal(ceiling_tenant(p, rule_of(p, "acme"), "acme", &envs[1], &set), 0);
        assert_string_equal(show(&set, &out), "MemoryHigh=1024M@6");
}

/* ---- sets by hand ---- */

typedef struct Put {
        Limit limit;
        uint64_t value;
        unsigned minor; /* device 8:minor, for limits per device */
} Put;
#define PUTS_MAX 6

static void fill(LimitSet *set, const Put puts[static PUTS_MAX], OriginKind kind) {
        limit_set_clear(set);
        for (size_t i = 0; i < PUTS_MAX; i++) {
                LimitKnob knob = { puts[i].limit,
                                   limit_info(puts[i].limit)->per_device ? makedev(8, puts[i].minor) : 0 };

                if (puts[i].value) /* 0 ends nothing, it is no row */
                        assert_int_equal(
                                limit_set_put(
                                        set, knob, puts[i].value,
                                        origin_pack(kind, (PolicyRef){ .line = kind == ORIGIN_POLICY })),
                                0);
        }
}

#define MIN LIMIT_MEMORY_MIN
#define HIGH LIMIT_MEMORY_HIGH
#define MAX LIMIT_MEMORY_MAX
#define QUOTA LIMIT_CPU_QUOTA
#define PERIOD LIMIT_CPU_PERIOD
#define BURST LIMIT_CPU_BURST
#define WEIGHT LIMIT_CPU_WEIGHT
#define RBPS LIMIT_IO_READ_BANDWIDTH_MAX
#define LATENCY LIMIT_IO_DEVICE_LATENCY

static void test_combine(void **state) {
        static const struct {
                const char *what;
                Put policy[PUTS_MAX], share[PUTS_MAX], wants[PUTS_MAX];
                bool engine_override;
                const char *limits;
        } rows[] = {
                { "nothing", {}, {}, {}, false, "" },
                { "wants alone are nobody's business",
                  {},
                  {},
                  { { MAX, M, 0 }, { WEIGHT, 50, 0 } },
                  false,
                  "" },
                { "policy alone", { { MAX, 2 * M, 0 } }, {}, {}, false, "MemoryMax=2M@1" },
                { "an engine's lower",
                  { { MAX, 2 * M, 0 } },
                  {},
                  { { MAX, M, 0 } },
                  false,
                  "MemoryMax=1M@engine" },
                { "an engine's higher",
                  { { MAX, 2 * M, 0 } },
                  {},
                  { { MAX, 3 * M, 0 } },
                  false,
                  "MemoryMax=2M@1" },
                { "an engine's equal",
                  { { MAX, 2 * M, 0 } },
                  {},
                  { { MAX, 2 * M, 0 } },
                  false,
                  "MemoryMax=2M@1" },
                { "override", { { MAX, 2 * M, 0 } }, {}, { { MAX, M, 0 } }, true, "MemoryMax=2M@1" },
                { "a share is tighter",
                  { { MAX, 2 * M, 0 } },
                  { { MAX, M, 0 } },
                  {},
                  false,
                  "MemoryMax=1M@share" },
                { "a share is looser",
                  { { MAX, 2 * M, 0 } },
                  { { MAX, 3 * M, 0 } },
                  {},
                  false,
                  "MemoryMax=2M@1" },
                { "a share alone",
                  {},
                  { { MAX, 3 * M, 0 } },
                  { { MAX, 4 * M, 0 } },
                  false,
                  "MemoryMax=3M@share" },
                { "a share and an engine",
                  {},
                  { { MAX, 3 * M, 0 } },
                  { { MAX, M, 0 } },
                  false,
                  "MemoryMax=1M@engine" },
                { "a share and override",
                  { { MAX, 4 * M, 0 } },
                  { { MAX, 3 * M, 0 } },
                  { { MAX, M, 0 } },
                  true,
                  "MemoryMax=3M@share" },
                { "infinity is none of mine", { { MAX, INF, 0 } }, {}, { { MAX, M, 0 } }, false, "" },
                { "infinity lifts", { { MAX, INF, 0 } }, {}, { { MAX, M, 0 } }, true, "MemoryMax=inf@1" },
                { "infinity and a share",
                  { { MAX, INF, 0 } },
                  { { MAX, M, 0 } },
                  {},
                  false,
                  "MemoryMax=1M@share" },
                { "weights are policy's",
                  { { WEIGHT, 300, 0 } },
                  { { WEIGHT, 200, 0 } },
                  { { WEIGHT, 50, 0 } },
                  false,
                  "CPUWeight=300@1" },
                { "or the share's",
                  {},
                  { { WEIGHT, 200, 0 } },
                  { { WEIGHT, 50, 0 } },
                  false,
                  "CPUWeight=200@share" },
                { "protections too", { { MIN, 3 * M, 0 } }, {}, { { MIN, M, 0 } }, false, "MemoryMin=3M@1" },
                { "device by device",
                  { { RBPS, 5, 0 } },
                  { { RBPS, 7, 1 } },
                  { { RBPS, 3, 1 }, { RBPS, 9, 0 }, { RBPS, 1, 2 } },
                  false,
                  "IOReadBandwidthMax[8:0]=5@1 IOReadBandwidthMax[8:1]=3@engine" },
                { "high above max",
                  { { HIGH, 3 * M, 0 }, { MAX, 2 * M, 0 } },
                  {},
                  { { MAX, M, 0 } },
                  false,
                  "MemoryHigh=1M@engine MemoryMax=1M@engine" },
                { "min above max",
                  { { MIN, 3 * M, 0 }, { LIMIT_MEMORY_LOW, 4 * M, 0 }, { MAX, 2 * M, 0 } },
                  {},
                  {},
                  false,
                  "MemoryMin=2M@1 MemoryLow=2M@1 MemoryMax=2M@1" },
                { "period and burst are policy's",
                  { { PERIOD, 50000, 0 } },
                  { { PERIOD, 1000, 0 }, { BURST, 5, 0 } },
                  { { PERIOD, 20000, 0 }, { BURST, 1, 0 } },
                  false,
                  "CPUQuotaPeriodSec=50000@1" },
                { "burst within quota and default period",
                  { { QUOTA, 500000, 0 }, { BURST, 90000, 0 } },
                  {},
                  {},
                  false,
                  "CPUQuota=500000@1 CPUBurst=50000@1" },
                { "burst within quota and own period",
                  { { QUOTA, 500000, 0 }, { BURST, 90000, 0 }, { PERIOD, 10000, 0 } },
                  {},
                  {},
                  false,
                  "CPUQuota=500000@1 CPUQuotaPeriodSec=10000@1 CPUBurst=5000@1" },
                { "burst within quota and the engine's period",
                  { { QUOTA, 500000, 0 }, { BURST, 90000, 0 } },
                  {},
                  { { PERIOD, 20000, 0 } },
                  false,
                  "CPUQuota=500000@1 CPUBurst=10000@1" },
                { "burst within the engine's quota",
                  { { BURST, 90000, 0 } },
                  {},
                  { { QUOTA, 200000, 0 } },
                  false,
                  "CPUBurst=20000@1" },
                { "burst within the share's quota",
                  { { BURST, 90000, 0 } },
                  { { QUOTA, 100000, 0 } },
                  {},
                  false,
                  "CPUQuota=100000@share CPUBurst=10000@1" },
                { "burst without a quota", { { BURST, 90000, 0 } }, {}, {}, false, "CPUBurst=90000@1" },
                { "burst and a quota lifted",
                  { { BURST, 90000, 0 }, { QUOTA, INF, 0 } },
                  {},
                  { { QUOTA, 100000, 0 } },
                  true,
                  "CPUQuota=inf@1 CPUBurst=90000@1" },
        };
        _cleanup_(limit_set_deinit) LimitSet policy = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet share = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet wants = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                fill(&policy, rows[i].policy, ORIGIN_POLICY);
                fill(&share, rows[i].share, ORIGIN_SHARE);
                fill(&wants, rows[i].wants, ORIGIN_ENGINE);
                assert_int_equal(ceiling_combine(&policy, share.n ? &share : NULL, wants.n ? &wants : NULL,
                                                 rows[i].engine_override, &set),
                                 0);
                if (!STR_EQ(show(&set, &out), rows[i].limits))
                        fail_msg("%s:\n%s\nexpected\n%s", rows[i].what, buf_str(&out), rows[i].limits);
        }
        assert_int_equal(ceiling_combine(NULL, NULL, NULL, false, &set), 0);
        assert_int_equal(set.n, 0);
}

/* Few distinct values, so that they are often equal, and the edges. */
static void random_set(LimitSet *set, OriginKind kind) {
        static const uint64_t values[] = { 0,       1, 100,   1000, 4096,    50000, 100000,
                                           1000000, M, 2 * M, G,    INF - 1, INF };

        limit_set_clear(set);
        for (Limit l = 0; l < _LIMIT_MAX; l++)
                for (unsigned d = 0; d < (limit_info(l)->per_device ? 3 : 1); d++) {
                        LimitKnob knob = { l, limit_info(l)->per_device ? makedev(8, d) : 0 };
                        uint64_t v = values[random_below(ARRAY_SIZE(values))];

                        if (l == PERIOD)
                                v = 1000 + random_below(999001);
                        if (random_below(2))
                                assert_int_equal(
                                        limit_set_put(set, knob, v, origin_pack(kind, (PolicyRef){})), 0);
                }
}

static bool sets_equal(const LimitSet *a, const LimitSet *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (limit_knob_cmp(a->entries[i].knob, b->entries[i].knob) ||
                    a->entries[i].value != b->entries[i].value)
                        return false;
        return true;
}

/* One of the several rules below was broken. */
static void check_combined(const LimitSet *policy, const LimitSet *share, const LimitSet *wants,
                           bool engine_override, const LimitSet *set) {
        uint64_t max = INF, burst, quota = INF, period = 100000, v;

        for (size_t i = 0; i < set->n; i++) {
                const LimitEntry *e = &set->entries[i];
                const LimitEntry *p = limit_set_find(policy, e->knob), *s = limit_set_find(share, e->knob);
                const LimitEntry *w = limit_set_find(wants, e->knob);
                bool follows_policy = e->knob.limit == PERIOD || e->knob.limit == BURST;

                assert_true(p || s); /* nothing that nobody named */
                if (i > 0)
                        assert_true(limit_knob_cmp(set->entries[i - 1].knob, e->knob) < 0);
                if (follows_policy) {
                        assert_true(p &&
                                    (e->knob.limit == BURST ? e->value <= p->value : e->value == p->value));
                        continue;
                }
                if (limit_info(e->knob.limit)->sense == LIMIT_EXACT) {
                        assert_true(e->value <= (p ? p : s)->value);
                        continue;
                }
                assert_true((!p || e->value <= p->value) && (!s || e->value <= s->value));
                assert_true(!w || engine_override ||
                            e->value <= w->value); /* nobody's limit is raised unasked */
        }
        /* Every ceiling that is named and no infinity is there. */
        for (size_t i = 0; i < policy->n; i++)
                if (policy->entries[i].value != INF || engine_override)
                        assert_non_null(limit_set_find(set, policy->entries[i].knob));
        for (size_t i = 0; i < share->n; i++)
                if (share->entries[i].value != INF && share->entries[i].knob.limit != PERIOD &&
                    share->entries[i].knob.limit != BURST)
                        assert_non_null(limit_set_find(set, share->entries[i].knob));

        if (limit_set_get_scalar(set, MAX, &max)) {
                if (limit_set_get_scalar(set, HIGH, &v))
                        assert_true(v <= max);
                if (limit_set_get_scalar(set, MIN, &v))
                        assert_true(v <= max);
        }
        if (limit_set_get_scalar(set, BURST, &burst)) {
                if (!limit_set_get_scalar(set, QUOTA, &quota))
                        (void)limit_set_get_scalar(wants, QUOTA, &quota);
                if (!limit_set_get_scalar(set, PERIOD, &period))
                        (void)limit_set_get_scalar(wants, PERIOD, &period);
                assert_true(quota == INF || burst <= num_muldiv(quota, period, USEC_PER_SEC));
        }
}

static void test_combine_properties(void **state) {
        _cleanup_(limit_set_deinit) LimitSet policy = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet share = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet wants = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet again = LIMIT_SET_INIT;
        (void)state;

        seed_random();
        for (unsigned i = 0; i < 5000; i++) {
                bool engine_override = random_below(2);

                random_set(&policy, ORIGIN_POLICY);
                random_set(&share, ORIGIN_SHARE);
                random_set(&wants, ORIGIN_ENGINE);
                assert_int_equal(ceiling_combine(&policy, &share, &wants, engine_override, &set), 0);
                check_combined(&policy, &share, &wants, engine_override, &set);
                /* Applied to its own result it changes nothing. */
                assert_int_equal(ceiling_combine(&set, NULL, &wants, engine_override, &again), 0);
                assert_true(sets_equal(&set, &again));
                /* Nor does what it says depend on where it is put. */
                assert_int_equal(ceiling_combine(&policy, &share, &wants, engine_override, &policy), 0);
                assert_true(sets_equal(&set, &policy));
        }
}

static void test_strictest(void **state) {
        static const struct {
                Put a[PUTS_MAX], b[PUTS_MAX];
                const char *limits;
        } rows[] = {
                { {}, {}, "" },
                { { { MAX, M, 0 } }, {}, "MemoryMax=1M@1" },
                { {}, { { MAX, M, 0 } }, "MemoryMax=1M@share" },
                { { { MAX, 2 * M, 0 } }, { { MAX, M, 0 } }, "MemoryMax=1M@share" },
                { { { MAX, M, 0 } }, { { MAX, M, 0 } }, "MemoryMax=1M@1" },
                { { { MAX, INF, 0 } }, {}, "" },
                { { { MIN, M, 0 } }, {}, "" }, /* nobody else protects it */
                { { { MIN, 2 * M, 0 } }, { { MIN, M, 0 } }, "MemoryMin=1M@share" },
                { { { WEIGHT, 200, 0 } }, {}, "" }, /* 100 is the kernel's */
                { { { WEIGHT, 50, 0 } }, {}, "CPUWeight=50@1" },
                { { { WEIGHT, 50, 0 } }, { { WEIGHT, 200, 0 } }, "CPUWeight=50@1" },
                { { { BURST, 500, 0 } }, {}, "" },
                { { { LATENCY, 500, 0 } }, {}, "" },
                { { { LATENCY, 500, 0 } },
                  { { LATENCY, 900, 0 } },
                  "IODeviceLatencyTargetSec[8:0]=900@share" },
                { { { QUOTA, 500, 0 }, { PERIOD, 1, 0 } },
                  { { QUOTA, 400, 0 }, { PERIOD, 2, 0 } },
                  "CPUQuota=400@share CPUQuotaPeriodSec=2@share" },
                { { { QUOTA, 500, 0 }, { PERIOD, 1, 0 } },
                  { { PERIOD, 2, 0 } },
                  "CPUQuota=500@1 CPUQuotaPeriodSec=1@1" },
                { { { QUOTA, 500, 0 }, { PERIOD, 1, 0 } }, { { QUOTA, 400, 0 } }, "CPUQuota=400@share" },
        };
        _cleanup_(limit_set_deinit) LimitSet a = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet b = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                fill(&a, rows[i].a, ORIGIN_POLICY);
                fill(&b, rows[i].b, ORIGIN_SHARE);
                assert_int_equal(ceiling_strictest(&a, &b, false), 0);
                if (!STR_EQ(show(&a, &out), rows[i].limits))
                        fail_msg("%zu:\n%s\nexpected\n%s", i, buf_str(&out), rows[i].limits);
        }
        fill(&a, (Put[PUTS_MAX]){ { MAX, 2 * M, 0 } }, ORIGIN_POLICY);
        assert_int_equal(ceiling_strictest(&a, &a, true), 0);
        assert_string_equal(show(&a, &out), "MemoryMax=2M@strictest@1");
}

/* ---- names not known yet ---- */

static const char pending_policy[] =
        "[Host]\nMode=enforce\n"
        "[Defaults]\nMode=ceilings\nContainerMemoryMax=2G\nContainerTasksMax=500\n" /* 6 */
        "[Tenant acme]\nMatch=label=t=acme\nContainerMemoryMax=4G\nContainerMemoryMin=1G\nKill=prefer\n" /* 11 */
        "[Tenant free]\nMatch=label=t=free\nMode=off\nContainerMemoryMax=1M\n" /* 15 */
        "[Tenant own]\nMatch=slice=own.slice\nContainerMemoryMax=8G\nEngineLimits=override\n" /* 19 */
        "[Tenant staff]\nMatch=user=@staff\nContainerTasksMax=200\nContainerMemoryMax=9G\n" /* 23 */
        "[Container acme/db*]\nContainerTasksMax=50\n" /* 25 */
        "[Container own/db*]\nContainerTasksMax=10\n"
        "[Template compose]\nMatch=label=compose=*\nTenant=c-%v\nContainerCPUQuota=100%\n" /* 31 */
        "[Container c-*/*]\nContainerCPUQuota=50%\n"; /* 33 */

static void test_pending(void **state) {
        static const struct {
                WhoFacts f;
                const char *name;
                Mode mode;
                bool engine_override;
                const char *limits;
        } rows[] = {
                /* any of acme, compose, nobody; free would not be held; own's sections do not count */
                { { .cgroup = "/system.slice/x.scope", .names_trusted = true, .uid = (uid_t)-1 },
                  NULL,
                  MODE_CEILINGS,
                  false,
                  "MemoryMax=2048M@strictest@5 CPUQuota=500000@strictest@33 TasksMax=50@strictest@25" },
                { { .cgroup = "/own.slice/x.scope", .names_trusted = true, .uid = 7 },
                  "web",
                  MODE_CEILINGS,
                  false,
                  "MemoryMax=8192M@strictest@18 TasksMax=200@strictest@22" },
                { { .cgroup = "/own.slice/x.scope", .names_trusted = true, .uid = 7 },
                  "db",
                  MODE_CEILINGS,
                  false,
                  "MemoryMax=8192M@strictest@18 TasksMax=10@strictest@27" },
        };
        _cleanup_policy_ Policy *p = parse(pending_policy);
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        Settings s;
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                assert_int_equal(ceiling_pending(p, &rows[i].f, rows[i].name, &env, &s, &set), 0);
                if (!STR_EQ(show(&set, &out), rows[i].limits) || s.mode != rows[i].mode)
                        fail_msg("%zu: %s\n%s\nexpected\n%s", i, mode_to_string(s.mode), buf_str(&out),
                                 rows[i].limits);
                assert_int_equal(s.kill, KILL_NEVER);
                assert_false(s.engine_override);
        }
}

/* A host that observes goes on observing until it is known that it is the canary. */
static void test_pending_canary(void **state) {
        _cleanup_policy_ Policy *p =
                parse("[Host]\nMode=enforce\n[Defaults]\nMode=observe\nContainerTasksMax=5\n"
                      "[Tenant canary]\nMatch=name=canary\nMode=enforce\nContainerTasksMax=9\n");
        WhoFacts f = { .cgroup = "/x.scope", .names_trusted = true, .uid = (uid_t)-1 };
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        _cleanup_buf_ Buf out = BUF_INIT;
        Settings s;
        (void)state;

        assert_int_equal(ceiling_pending(p, &f, NULL, &env, &s, &set), 0);
        assert_int_equal(s.mode, MODE_OBSERVE);
        assert_string_equal(show(&set, &out), "TasksMax=5@strictest@5");
}

/* Whatever turns out, it was not held more loosely before. */
static void test_pending_is_strict(void **state) {
        static const WhoLabel labels[] = {
                { "t", "acme" }, { "t", "free" }, { "compose", "x" }, { "t", "nobody" }
        };
        static const char *const names[] = { "db1", "web", "x" };
        static const char *const paths[] = { "/own.slice/x.scope", "/system.slice/x.scope" };
        static const char *const groups[] = { "staff", NULL };
        _cleanup_policy_ Policy *p = parse(pending_policy);
        _cleanup_(limit_set_deinit) LimitSet before = LIMIT_SET_INIT;
        _cleanup_(limit_set_deinit) LimitSet after = LIMIT_SET_INIT;
        (void)state;

        for (unsigned i = 0; i < ARRAY_SIZE(labels) * ARRAY_SIZE(names) * ARRAY_SIZE(paths) * 2; i++) {
                WhoFacts f = { .cgroup = paths[i % 2],
                               .names_trusted = true,
                               .uid = i / 2 % 2 ? 7 : (uid_t)-1 };
                const char *name = names[i / 4 % ARRAY_SIZE(names)];
                Settings s;
                WhoResult r;

                assert_int_equal(ceiling_pending(p, &f, NULL, &env, &s, &before), 0);
                f.names_known = true;
                f.name = name;
                f.labels = &labels[i / 12];
                f.n_labels = 1;
                f.groups = i % 3 ? groups : groups + 1;
                who_resolve(p, &f, &r);
                assert_false(r.pending);
                ceiling_settings(p, r.rule, r.tenant, name, &s);
                if (s.mode < MODE_CEILINGS)
                        continue; /* "free" is not held at all */
                assert_int_equal(ceiling_container(p, r.rule, r.tenant, name, &env, &after), 0);
                for (size_t j = 0; j < after.n; j++) {
                        const LimitEntry *e = &after.entries[j], *b = limit_set_find(&before, e->knob);

                        if (limit_info(e->knob.limit)->sense == LIMIT_CEILING)
                                assert_true(b && b->value <= e->value);
                }
                for (size_t j = 0; j < before.n; j++)
                        if (before.entries[j].knob.limit == MIN)
                                assert_non_null(limit_set_find(&after, before.entries[j].knob));
        }
}

/* ---- what cannot bite ---- */

static void put_text(void *user, LimitKnob knob, const char *text) {
        (void)knob;
        buf_printf(user, "%s|", text);
}

static bool no_writeback(void *user, dev_t dev) {
        (void)user;
        return dev != makedev(8, 0);
}

static void test_cannot_bite(void **state) {
        static const Put all[PUTS_MAX] = { { MIN, M, 0 },
                                           { LIMIT_MEMORY_SWAP_MAX, M, 0 },
                                           { LIMIT_IO_WEIGHT, 5, 0 },
                                           { LIMIT_IO_WRITE_BANDWIDTH_MAX, 5, 0 },
                                           { LIMIT_IO_WRITE_BANDWIDTH_MAX, 5, 1 },
                                           { BURST, 9, 0 } };
        _cleanup_(limit_set_deinit) LimitSet set = LIMIT_SET_INIT;
        HostFacts h = host;
        BiteFacts f = { .host = &h, .have_files = UINT32_MAX, .parent_protection = UINT64_MAX };
        _cleanup_buf_ Buf out = BUF_INIT;
        (void)state;

        fill(&set, all, ORIGIN_POLICY);
        ceiling_cannot_bite(&set, &f, put_text, &out);
        assert_string_equal(buf_str(&out), "");

        f.parent_protection = 0;
        f.device_writeback = no_writeback;
        h.swap_bytes = 0;
        h.io_cost = false;
        ceiling_cannot_bite(&set, &f, put_text, &out);
        assert_string_equal(
                buf_str(&out),
                "MemoryMin: inert, the parent protects nothing (neither MemoryMin nor MemoryLow there)|"
                "MemorySwapMax: no swap on this host, there is nothing to limit|"
                "IOWeight: no io.cost and no bfq on this host|"
                "IOWriteBandwidthMax: only direct writes, no file system on that disk charges buffered ones "
                "to "
                "whoever wrote them (ext4, btrfs, f2fs and xfs do)|");

        buf_clear(&out);
        h = host;
        f = (BiteFacts){ .host = &h, .have_files = UINT32_MAX, .parent_protection = K };
        h.io_bfq = true;
        h.io_cost = false;
        ceiling_cannot_bite(&set, &f, put_text, &out);
        assert_string_equal(buf_str(&out), "MemoryMin: only 1K of 1M, the parent protects no more|");

        buf_clear(&out);
        h = host;
        f = (BiteFacts){ .host = &h, .below_user_manager = true, .parent_protection = UINT64_MAX };
        h.user_io_delegated = false;
        h.controllers_enabled = CONTROLLER_IO | CONTROLLER_CPU;
        h.controllers &= ~(uint32_t)CONTROLLER_CPU;
        h.hybrid = true;
        ceiling_cannot_bite(&set, &f, put_text, &out);
        assert_string_equal(buf_str(&out),
                            "MemoryMin: memory controller is not enabled|"
                            "MemorySwapMax: memory controller is not enabled|"
                            "CPUBurst: this host has no cpu controller in cgroup v2 (cgroup v1 holds it)|"
                            "IOWeight: io is not delegated to user managers|"
                            "IOWriteBandwidthMax: io is not delegated to user managers|");

        buf_clear(&out);
        h = host;
        f = (BiteFacts){ .host = &h, .parent_protection = UINT64_MAX };
        ceiling_cannot_bite(&set, &f, put_text, &out);
        assert_string_equal(buf_str(&out),
                            "MemoryMin: memory controller is not enabled for this cgroup|"
                            "MemorySwapMax: no memory.swap.max here, the kernel does not account for swap|"
                            "CPUBurst: no cpu.max.burst here, this needs a kernel of 5.14 or later|"
                            "IOWeight: no io.cost and no bfq on this host|"
                            "IOWriteBandwidthMax: io controller is not enabled for this cgroup|");

        buf_clear(&out);
        h.cgroup2 = false;
        fill(&set, (Put[PUTS_MAX]){ { MAX, M, 0 }, { QUOTA, INF, 0 } }, ORIGIN_POLICY);
        ceiling_cannot_bite(&set, &f, put_text, &out);
        assert_string_equal(buf_str(&out), "MemoryMax: no cgroup v2 is mounted on this host|");
}

static void test_check_host(void **state) {
        static const char text[] =
                "[Plan p]\nIOWeight=50\nMemorySwapMax=0\n" /* 3 */
                "[Tenant acme]\nMatch=name=a\nPlan=p\nMemoryMax=10G\nMemoryMin=10G\nCPUGuarantee=300%\n"
                "[Tenant beta]\nMatch=name=b\nPlan=p\nMemoryMax=10G\nMemoryMin=5G\nIOWeight=9\n"
                "[Tenant rest]\nMatch=name=c\nMemoryMax=infinity\nContainerIODeviceLatencyTargetSec=/dev/sda "
                "5ms\n" /* 19 */
                "[Template t]\nMatch=label=p=*\nTenant=t-%v\nMemoryMax=4G\nMemoryMin=2G\nCPUGuarantee=150%\n";
        _cleanup_policy_ Policy *p = parse(text);
        _cleanup_(diags_deinit) Diags diags = {};
        _cleanup_buf_ Buf out = BUF_INIT;
        HostFacts h = host;
        CeilingEnv e = { .host = &h, .device = device };
        (void)state;

        h.memory_bytes = 64 * G;
        h.n_cpus = 64;
        ceiling_check_host(p, &e, &diags);
        assert_int_equal(diags.n, 0);

        h.memory_bytes = 16 * G;
        h.n_cpus = 4;
        h.swap_bytes = 0;
        h.io_cost = false;
        h.io_latency = false;
        ceiling_check_host(p, &e, &diags);
        assert_int_equal(diags.n_errors, 0);
        assert_int_equal(diags_format(&diags, &out), 0);
        static const char *const want[] = {
                "MemoryMin: the tenants' guarantees sum up to 17G (counting one tenant of each template), "
                "more than this "
                "host's 16G of memory: they cannot all be kept\n",
                "MemoryMax: the tenants' ceilings sum up to 24G (counting one tenant of each template), 1.5 "
                "times this "
                "host's 16G of memory (overcommitted)\n",
                "CPUGuarantee: the tenants' guarantees sum up to 450% (counting one tenant of each "
                "template), more than "
                "the 400% of this host's 4 CPUs: they cannot all be kept\n",
                "test.ini:2: warning: IOWeight: no io.cost and no bfq on this host\n",
                "test.ini:3: warning: MemorySwapMax: no swap on this host, there is nothing to limit\n",
                "test.ini:19: warning: IODeviceLatencyTargetSec: this kernel has no io.latency\n",
        };
        for (size_t i = 0; i < ARRAY_SIZE(want); i++)
                if (!strstr(buf_str(&out), want[i]))
                        fail_msg("missing: %s in\n%s", want[i], buf_str(&out));
        assert_int_equal(diags.n, ARRAY_SIZE(want));

        /* Without a host there is nothing to say (policy check --offline). */
        e.host = NULL;
        ceiling_check_host(p, &e, &diags);
        assert_int_equal(diags.n, ARRAY_SIZE(want));
}

static void test_danger(void **state) {
        static const DangerUsage now = { .have_memory = true,
                                         .have_tasks = true,
                                         .have_swap = true,
                                         .memory_bytes = 3 * G + 100 * M + 4 * K,
                                         .swap_bytes = 512 * M,
                                         .tasks = 120 };
        static const DangerUsage unknown = { .memory_bytes = 3 * G, .swap_bytes = G, .tasks = 9 };
        static const struct {
                Limit limit;
                uint64_t desired;
                const char *text; /* NULL: no danger */
        } rows[] = {
                { MAX, G, "3.1G now, new max 1G: would OOM" },
                { MAX, 4 * G, NULL },
                { MAX, INF, NULL },
                { HIGH, G, "squeezed from 3.1G to 1G by MemoryHigh" },
                { LIMIT_MEMORY_SWAP_MAX, 0, "512M of swap now, new max 0: nothing more can be swapped out" },
                { LIMIT_TASKS_MAX, 64, "120 tasks now, new max 64: forks will fail" },
                { LIMIT_TASKS_MAX, 120, NULL },
                { QUOTA, 1, NULL },
        };
        (void)state;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf out = BUF_INIT;

                assert_int_equal(ceiling_danger((LimitKnob){ rows[i].limit, 0 }, rows[i].desired, &now, &out),
                                 !!rows[i].text);
                assert_string_equal(buf_str(&out), rows[i].text ? rows[i].text : "");
                assert_false(
                        ceiling_danger((LimitKnob){ rows[i].limit, 0 }, rows[i].desired, &unknown, &out));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mode),           cmocka_unit_test(test_settings),
                cmocka_unit_test(test_limits),         cmocka_unit_test(test_unassigned_sums),
                cmocka_unit_test(test_circle),         cmocka_unit_test(test_unknown_host),
                cmocka_unit_test(test_combine),        cmocka_unit_test(test_combine_properties),
                cmocka_unit_test(test_strictest),      cmocka_unit_test(test_pending),
                cmocka_unit_test(test_pending_canary), cmocka_unit_test(test_pending_is_strict),
                cmocka_unit_test(test_cannot_bite),    cmocka_unit_test(test_check_host),
                cmocka_unit_test(test_danger),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
