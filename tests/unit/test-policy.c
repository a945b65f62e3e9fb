/* SPDX-License-Identifier: Apache-2.0 */

/* Policy: what each key takes and refuses, how files merge, what contradicts what, which section has the say. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "policy.h"
#include "random.h"
#include "value.h"

#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)

/* Up to three files "a", "b", "c"; *ret_said is what diags_format() says. NULL: refused. */
static Policy *parse(const char *a, const char *b, const char *c, char **ret_said) {
        const PolicyText texts[] = {
                { "a", a, strlen(a) },
                { "b", b, b ? strlen(b) : 0 },
                { "c", c, c ? strlen(c) : 0 },
        };
        Diags diags = {};
        Policy *p = NULL;
        Buf out = BUF_INIT;
        int r;

        r = policy_parse(texts, c ? 3 : b ? 2 : 1, &diags, &p);
        assert_int_equal(r, diags.n_errors ? -EINVAL : 0);
        assert_int_equal(!p, r < 0);
        assert_int_equal(diags_format(&diags, &out), 0);
        diags_deinit(&diags);
        *ret_said = buf_steal(&out) ?: strdup("");
        return p;
}

/* Parses without a word of complaint. */
static Policy *good(const char *a, const char *b, const char *c) {
        _cleanup_free_ char *said = NULL;
        Policy *p = parse(a, b, c, &said);

        assert_string_equal(said, "");
        return p;
}

static void says(const char *a, const char *b, const char *want) {
        _cleanup_free_ char *said = NULL;

        policy_free(parse(a, b, NULL, &said));
        assert_string_equal(said, want);
}

static char *format_limit(const LimitExpr *e) {
        Buf b = BUF_INIT;

        assert_non_null(e);
        assert_int_equal(policy_limit_format(e, &b), 0);
        return buf_steal(&b) ?: strdup("");
}

/* ---- keys ---- */

static void test_limits(void **state) {
        static const struct {
                const char *key, *text;
                LimitExprKind kind;
                uint64_t value;
                const char *device, *back; /* back NULL: as text */
        } rows[] = {
                { "MemoryMax", "512M", LIMIT_EXPR_VALUE, 512 * M, NULL, NULL },
                { "MemoryMax", "1.5G", LIMIT_EXPR_VALUE, 1536 * M, NULL, "1536M" },
                { "MemoryMax", "1000000", LIMIT_EXPR_VALUE, 1000000, NULL, NULL },
                { "MemoryMax", "infinity", LIMIT_EXPR_VALUE, LIMIT_INFINITY, NULL, NULL },
                { "MemoryMax", "50%", LIMIT_EXPR_PERMYRIAD_OF_HOST, 5000, NULL, NULL },
                { "MemoryHigh", "12.5%", LIMIT_EXPR_PERMYRIAD_OF_HOST, 1250, NULL, NULL },
                { "MemoryHigh", "90% of MemoryMax", LIMIT_EXPR_PERMYRIAD_OF_LIMIT, 9000, NULL, NULL },
                { "MemoryHigh", "90%  of\tMemoryMax", LIMIT_EXPR_PERMYRIAD_OF_LIMIT, 9000, NULL,
                  "90% of MemoryMax" },
                { "ContainerMemoryHigh", "90% of ContainerMemoryMax", LIMIT_EXPR_PERMYRIAD_OF_LIMIT, 9000,
                  NULL, NULL },
                { "MemorySwapMax", "200% of MemoryMax", LIMIT_EXPR_PERMYRIAD_OF_LIMIT, 20000, NULL, NULL },
                { "MemorySwapMax", "0", LIMIT_EXPR_VALUE, 0, NULL, NULL },
                { "MemoryMin", "0", LIMIT_EXPR_VALUE, 0, NULL, NULL },
                { "MemoryLow", "1T", LIMIT_EXPR_VALUE, 1024 * G, NULL, NULL },
                { "CPUQuota", "400%", LIMIT_EXPR_VALUE, 4000000, NULL, NULL },
                { "CPUQuota", "0.5%", LIMIT_EXPR_VALUE, 5000, NULL, NULL },
                { "CPUQuota", "infinity", LIMIT_EXPR_VALUE, LIMIT_INFINITY, NULL, NULL },
                { "CPUQuotaPeriodSec", "1ms", LIMIT_EXPR_VALUE, 1000, NULL, NULL },
                { "CPUQuotaPeriodSec", "1", LIMIT_EXPR_VALUE, 1000000, NULL, "1s" },
                { "CPUBurst", "20ms", LIMIT_EXPR_VALUE, 20000, NULL, NULL },
                { "CPUWeight", "1", LIMIT_EXPR_VALUE, 1, NULL, NULL },
                { "IOWeight", "10000", LIMIT_EXPR_VALUE, 10000, NULL, NULL },
                { "TasksMax", "2048", LIMIT_EXPR_VALUE, 2048, NULL, NULL },
                { "TasksMax", "10%", LIMIT_EXPR_PERMYRIAD_OF_HOST, 1000, NULL, NULL },
                { "ContainerTasksMax", "infinity", LIMIT_EXPR_VALUE, LIMIT_INFINITY, NULL, NULL },
                { "IOReadBandwidthMax", "/var/lib/docker 200M", LIMIT_EXPR_VALUE, 200000000,
                  "/var/lib/docker", NULL },
                { "IOWriteBandwidthMax", "/dev/sda/  1024", LIMIT_EXPR_VALUE, 1024, "/dev/sda",
                  "/dev/sda 1024" },
                { "IOWriteBandwidthMax", "/ infinity", LIMIT_EXPR_VALUE, LIMIT_INFINITY, "/", NULL },
                { "IOReadIOPSMax", "\"/srv/a b\" 2K", LIMIT_EXPR_VALUE, 2000, "/srv/a b",
                  "\"/srv/a b\" 2000" },
                { "IOWriteIOPSMax", "'/srv/\"q\"' 1", LIMIT_EXPR_VALUE, 1, "/srv/\"q\"", NULL },
                { "ContainerIODeviceLatencyTargetSec", "/dev/sda 25ms", LIMIT_EXPR_VALUE, 25000, "/dev/sda",
                  NULL },
                { "MemoryMax", "", LIMIT_EXPR_RESET, 0, NULL, NULL },
                { "IOReadIOPSMax", "", LIMIT_EXPR_RESET, 0, NULL, NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *said = NULL, *back = NULL;
                _cleanup_policy_ Policy *p = NULL;
                bool container = strncmp(rows[i].key, "Container", 9) == 0;
                const PolicySection *s;
                const LimitExpr *e;
                char text[256];

                /* Something to refer to, in a file of its own. */
                snprintf(text, sizeof(text), "[Tenant t]\nMatch=name=x\n%s=%s\n", rows[i].key, rows[i].text);
                p = parse("[Defaults]\nMemoryMax=1G\nContainerMemoryMax=1G\n", text, NULL, &said);
                if (!p)
                        fail_msg("%s=%s: %s", rows[i].key, rows[i].text, said);
                s = &p->tenants[0].section;
                assert_int_equal(s->n_limits, !container);
                assert_int_equal(s->n_container_limits, container);
                e = container ? &s->container_limits[0] : &s->limits[0];
                back = format_limit(e);
                if (e->kind != rows[i].kind || e->value != rows[i].value || e->container != container ||
                    strcmp(e->device ?: "", rows[i].device ?: "") != 0 || e->ref.file != 1 ||
                    e->ref.line != 3 || !STR_EQ(back, rows[i].back ?: rows[i].text))
                        fail_msg("%s=%s: kind %d, value %llu, device %s, back as \"%s\"", rows[i].key,
                                 rows[i].text, e->kind, (unsigned long long)e->value, e->device, back);
        }
}

/* KEY=VALUE in [Tenant t] of which the complaint begins with "what". */
static void test_bad_values(void **state) {
        static const struct {
                const char *key, *text, *what;
        } rows[] = {
                { "MemoryMax", "0", "0 would kill whatever starts there, expected " },
                { "MemoryMax", "0%", "0 would kill" },
                { "MemoryHigh", "0", "0 would bring whatever runs there to a standstill" },
                { "MemoryMax", "x", "cannot take \"x\", expected a size such as 512M" },
                { "MemoryMax", "-1", "cannot take \"-1\", expected" },
                { "MemoryMax", "max", "cannot take \"max\", expected" },
                { "MemoryMax", "101%", "more than the host has, expected at most 100%" },
                { "MemoryMax", "5% off MemoryLow", "cannot take" },
                { "MemoryMax", "5%of MemoryLow", "cannot take" },
                { "MemoryMax", "5% of", "cannot take" },
                { "MemoryMax", "5% of MemoryMaxx", "\"MemoryMaxx\" is no memory limit, expected" },
                { "MemoryMax", "5% of TasksMax", "\"TasksMax\" is no memory limit, expected" },
                { "MemoryMax", "5% of MemoryMax", "refers to itself, expected" },
                { "MemoryMax", "0% of MemoryLow", "the percentage is out of range, expected" },
                { "MemoryHigh", "5% of ContainerMemoryMax",
                  "refers to ContainerMemoryMax, which is a limit of each container; expected MemoryMax" },
                { "ContainerMemoryHigh", "5% of MemoryMax",
                  "refers to MemoryMax, which is a limit of the whole tenant; expected ContainerMemoryMax" },
                { "TasksMax", "0", "0 would let nothing start, expected" },
                { "TasksMax", "0%", "0 would let nothing start, expected" },
                { "TasksMax", "4K", "cannot take \"4K\", expected a whole number" },
                { "TasksMax", "5% of MemoryMax",
                  "refers to another limit, which only memory limits can; expected" },
                { "CPUQuota", "0%", "cannot take \"0%\", expected a percentage of one CPU above 0" },
                { "CPUQuota", "2", "cannot take \"2\", expected" },
                { "CPUQuotaPeriodSec", "999us", "cannot take \"999us\", expected a time between 1ms and 1s" },
                { "CPUQuotaPeriodSec", "1001ms", "cannot take \"1001ms\", expected a time between" },
                { "CPUQuotaPeriodSec", "infinity", "cannot take \"infinity\", expected" },
                { "CPUBurst", "2s", "cannot take \"2s\", expected CPU time per period" },
                { "CPUWeight", "0", "cannot take \"0\", expected a weight between 1 and 10000" },
                { "CPUWeight", "10001", "cannot take \"10001\", expected a weight" },
                { "CPUWeight", "idle", "idle would let every neighbour stall this one for good" },
                { "IOWeight", "idle", "cannot take \"idle\", expected a weight" },
                { "IOReadBandwidthMax", "200M",
                  "cannot take \"200M\", expected PATH VALUE with an absolute path" },
                { "IOReadBandwidthMax", "/dev/sda", "cannot take \"/dev/sda\", expected PATH VALUE" },
                { "IOReadBandwidthMax", "sda 1M", "cannot take \"sda 1M\", expected PATH VALUE" },
                { "IOReadBandwidthMax", "/dev/sda 0",
                  "cannot take \"0\", expected bytes per second above 0" },
                { "IOReadBandwidthMax", "/dev/sda 10%", "cannot take \"10%\", expected bytes per second" },
                { "IOReadBandwidthMax", "\"/dev/sda 1M",
                  "cannot take \"\"/dev/sda 1M\", expected the quote to be closed" },
                { "IOReadBandwidthMax", "\"/dev/sda\"1M", "cannot take" },
                { "IOReadBandwidthMax", "/a\\ b 1M", "cannot take" },
                { "IOWriteIOPSMax", "/dev/sda x",
                  "cannot take \"x\", expected operations per second above 0" },
                { "IODeviceLatencyTargetSec", "/dev/sda 0", "cannot take \"0\", expected a time above 0" },
                { "Mode", "enforced",
                  "unknown word \"enforced\", expected one of off observe ceilings throttle enforce, "
                  "did you mean enforce?" },
                { "Priority", "1001",
                  "\"1001\" is out of range, expected a whole number between 0 and 1000" },
                { "Priority", "-1", "cannot parse \"-1\", expected a whole number" },
                { "Throttle", "cpu disk",
                  "unknown word \"disk\", expected any of cpu io memory pids freeze, or none" },
                { "Throttle", "cpu none", "none beside other words, expected none alone" },
                { "Kill", "yes", "unknown word \"yes\", expected one of never last prefer" },
                { "KillGraceSec", "infinity",
                  "\"infinity\" is out of range, expected a time span such as 10s" },
                { "KillGraceSec", "2h", "\"2h\" is out of range" },
                { "KillBudget", "4", "cannot parse \"4\", expected COUNT/TIME" },
                { "KillBudget", "4/10ms", "\"4/10ms\" is out of range" },
                { "MemoryPressureTarget", "0%",
                  "\"0%\" is out of range, expected a percentage between 0.01% and 100%" },
                { "IOPressureTarget", "100.01%", "\"100.01%\" is out of range" },
                { "CPUPressureTarget", "30", "cannot parse \"30\", expected a percentage" },
                { "PressureWindowSec", "500ms",
                  "\"500ms\" is out of range, expected a time span such as 10s or 1min 30s "
                  "between 1s and 1min" },
                { "PressureTrigger", "net", "unknown word \"net\", expected any of cpu io memory, or none" },
                { "PressureTrigger", "cpu none", "none beside other words, expected none alone" },
                { "CPUGuarantee", "0%", "\"0%\" is out of range, expected a percentage of one CPU" },
                { "Sum", "slices",
                  "unknown word \"slices\", expected one of auto slice apportion, did you mean slice?" },
                { "EngineLimits", "ignore", "unknown word \"ignore\", expected one of respect override" },
                { "OperatorHoldSec", "31d", "\"31d\" is out of range" },
                { "StormLimit", "10%/60s", "is not allowed in [Tenant], it belongs to [Host]\n" },
                { "MaxThrottled", "20%", "is not allowed in [Tenant], it belongs to [Host]\n" },
                { "Protect", "x.slice", "is not allowed in [Tenant], it belongs to [Host]\n" },
                { "MaxTenants", "5", "is not allowed in [Tenant], it belongs to [Template]\n" },
                { "Tenant", "x", "is not allowed in [Tenant], it belongs to [Template]\n" },
                { "CPUQota", "5%", "unknown key, did you mean CPUQuota?" },
                { "memorymax", "5%", "unknown key, did you mean MemoryMax?" },
                { "ContainerMemorymax", "5%", "unknown key, did you mean ContainerMemoryMax?" },
                { "StormLimits", "5%", "unknown key, did you mean StormLimit? That one belongs to [Host]" },
                { "Frobnicate", "5%", "unknown key, expected a key of [Tenant], see bailiff-policy(5)" },
                { "ContainerMode", "off", "unknown key, " },
                { "Match", "nome=x",
                  "no class of match in \"nome=x\", expected user=, slice=, path=, label= or name=, did "
                  "you mean name?" },
                { "Match", "acme", "no class of match in \"acme\"" },
                { "Match", "name=", "\"name=\" has an empty pattern and can never match" },
                { "Match", "name=a/b", "\"a/b\" can never match, expected a container's name" },
                { "Match", "name=a b", "\"a b\" can never match" },
                { "Match", "name=a[b", "'[' without ']' in the pattern" },
                { "Match", "slice=acme", "\"acme\" can never match, expected a pattern that ends in .slice" },
                { "Match", "slice=/a/acme.slice",
                  "\"/a/acme.slice\" can never match, expected the name of a slice" },
                { "Match", "path=acme/*", "\"acme/*\" can never match, expected a path of a cgroup" },
                { "Match", "path=/acme/",
                  "\"/acme/\" can never match, expected a path without '/' at its end" },
                { "Match", "path=/sys/fs/cgroup/acme", "\"/sys/fs/cgroup/acme\" can never match" },
                { "Match", "label=acme", "\"acme\" can never match, expected label=KEY=PATTERN" },
                { "Match", "label==acme", "\"=acme\" can never match, expected a label's key" },
                { "Match", "label=acme=", "\"acme=\" can never match, expected a pattern" },
                { "Match", "user=30-20", "\"30-20\" can never match" },
                { "Match", "user=4294967295",
                  "\"4294967295\" can never match, expected uids up to 4294967294" },
                { "Match", "user=99999999999999999999", "\"99999999999999999999\" can never match" },
                { "Match", "user=20x",
                  "cannot take \"20x\", expected UID, FROM-TO, @GROUP or a user's name" },
                { "Match", "user=@", "cannot take \"@\", expected UID" },
                { "Match", "user=@1000", "cannot take" },
                { "Match", "user=a*", "cannot take" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *said = NULL;
                char text[256], want[512];

                snprintf(text, sizeof(text), "[Tenant t]\nMatch=name=x\n%s=%s\n", rows[i].key, rows[i].text);
                policy_free(parse(text, NULL, NULL, &said));
                snprintf(want, sizeof(want), "a:3: [Tenant t] %s: %s", rows[i].key, rows[i].what);
                if (strncmp(said, want, strlen(want)) != 0 || strchr(said, '\n') != said + strlen(said) - 1)
                        fail_msg("%s=%s: got \"%s\", expected \"%s\"", rows[i].key, rows[i].text, said, want);
        }
}

static void test_values(void **state) {
        static const struct {
                PolicyKey key;
                const char *text;
                uint64_t u, u2;
                const char *back; /* NULL: as text */
        } rows[] = {
                { PK_MODE, "off", MODE_OFF, 0, NULL },
                { PK_MODE, "ceilings", MODE_CEILINGS, 0, NULL },
                { PK_PRIORITY, "0", 0, 0, NULL },
                { PK_PRIORITY, "1000", 1000, 0, NULL },
                { PK_THROTTLE, "none", 0, 0, NULL },
                { PK_THROTTLE, "io cpu  cpu", THROTTLE_CPU | THROTTLE_IO, 0, "cpu io" },
                { PK_THROTTLE, "cpu io memory pids freeze", 31, 0, NULL },
                { PK_KILL, "prefer", KILL_PREFER, 0, NULL },
                { PK_KILL_GRACE_SEC, "0", 0, 0, NULL },
                { PK_KILL_GRACE_SEC, "90", 90000000, 0, "1min 30s" },
                { PK_KILL_BUDGET, "4/1h", 4, 3600 * USEC_PER_SEC, NULL },
                { PK_KILL_BUDGET, "0/1min", 0, 60 * USEC_PER_SEC, NULL },
                { PK_STARTUP_GRACE_SEC, "1min", 60 * USEC_PER_SEC, 0, NULL },
                { PK_MEMORY_PRESSURE_TARGET, "10%", 1000, 0, NULL },
                { PK_IO_PRESSURE_TARGET, "0.05%", 5, 0, NULL },
                { PK_CPU_PRESSURE_TARGET, "12.5%", 1250, 0, NULL },
                { PK_PRESSURE_WINDOW_SEC, "1s", USEC_PER_SEC, 0, NULL },
                { PK_CPU_GUARANTEE, "150%", 1500000, 0, NULL },
                { PK_SUM, "apportion", SUM_APPORTION, 0, NULL },
                { PK_ENGINE_LIMITS, "override", 1, 0, NULL },
                { PK_OPERATOR_HOLD_SEC, "15min", 900 * USEC_PER_SEC, 0, NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_policy_ Policy *p = NULL;
                _cleanup_buf_ Buf back = BUF_INIT;
                const PolicyValue *v;
                char text[256];

                snprintf(text, sizeof(text), "[Tenant t]\nMatch=name=x\n%s=%s\n",
                         policy_key_name(rows[i].key), rows[i].text);
                p = good(text, NULL, NULL);
                v = &p->tenants[0].section.values[rows[i].key];
                assert_true(v->set);
                assert_int_equal(v->ref.line, 3);
                assert_int_equal(policy_value_format(rows[i].key, v, &back), 0);
                if (v->u != rows[i].u || v->u2 != rows[i].u2 ||
                    !STR_EQ(buf_str(&back), rows[i].back ?: rows[i].text))
                        fail_msg("%s: %llu %llu \"%s\"", text, (unsigned long long)v->u,
                                 (unsigned long long)v->u2, buf_str(&back));
        }

        for (PolicyKey k = 0; k < _PK_MAX; k++) {
                const PolicyValue *host = policy_key_default(k, true), *other = policy_key_default(k, false);

                assert_non_null(policy_key_name(k));
                assert_int_equal(host->set, k != PK_CPU_GUARANTEE);
                assert_int_equal(other->set, k != PK_CPU_GUARANTEE && k != PK_MODE && k != PK_KILL_BUDGET);
                assert_int_equal(host->ref.line, 0);
        }
        assert_int_equal(policy_key_default(PK_MODE, true)->u, MODE_OBSERVE);
        assert_int_equal(policy_key_default(PK_KILL, false)->u, KILL_NEVER);
}

static void test_matches(void **state) {
        static const struct {
                const char *text;
                MatchClass class;
                const char *pattern, *label;
                uint64_t from, to;
        } rows[] = {
                { "user=2000", MATCH_USER, NULL, NULL, 2000, 2000 },
                { "user=2000-2099", MATCH_USER, NULL, NULL, 2000, 2099 },
                { "user=0-4294967294", MATCH_USER, NULL, NULL, 0, POLICY_UID_MAX },
                { "user=@customers", MATCH_USER, "@customers", NULL, 0, 0 },
                { "user=alice", MATCH_USER, "alice", NULL, 0, 0 },
                { "slice=tenant-*.slice", MATCH_SLICE, "tenant-*.slice", NULL, 0, 0 },
                { "path=/docker/acme-*", MATCH_PATH, "/docker/acme-*", NULL, 0, 0 },
                { "label=com.example.tenant=acme", MATCH_LABEL, "acme", "com.example.tenant", 0, 0 },
                { "label=k=a=b *", MATCH_LABEL, "a=b *", "k", 0, 0 },
                { "name=acme-*", MATCH_NAME, "acme-*", NULL, 0, 0 },
                { "name=db[0-9]?", MATCH_NAME, "db[0-9]?", NULL, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_policy_ Policy *p = NULL;
                _cleanup_buf_ Buf back = BUF_INIT;
                const PolicyMatch *m;
                char text[256];

                snprintf(text, sizeof(text), "[Tenant t]\nMatch=%s\n", rows[i].text);
                p = good(text, NULL, NULL);
                assert_int_equal(p->tenants[0].n_matches, 1);
                m = &p->tenants[0].matches[0];
                assert_int_equal(m->class, rows[i].class);
                assert_string_equal(m->pattern ?: "-", rows[i].pattern ?: "-");
                assert_string_equal(m->label ?: "-", rows[i].label ?: "-");
                assert_int_equal(m->uid_from, rows[i].from);
                assert_int_equal(m->uid_to, rows[i].to);
                assert_int_equal(policy_match_format(m, &back), 0);
                assert_string_equal(buf_str(&back), rows[i].text);
        }
        assert_string_equal(match_class_to_string(MATCH_LABEL), "label");
        assert_null(match_class_to_string(_MATCH_INVALID));
}

/* ---- sections ---- */

static void test_sections(void **state) {
        static const char name63[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWX._-";
        char text[512], want[512];

        (void)state;
        assert_int_equal(strlen(name63), POLICY_NAME_MAX);
        snprintf(text, sizeof(text), "[Plan %s]\n[Tenant %s]\nPlan=%s\nMatch=name=x\n", name63, name63,
                 name63);
        policy_free(good(text, NULL, NULL));
        snprintf(text, sizeof(text), "[Tenant %sx]\nMatch=name=x\n", name63);
        snprintf(want, sizeof(want), "a:1: [Tenant %sx] the name has 64 characters, expected at most 63\n",
                 name63);
        says(text, NULL, want);

        policy_free(good("", NULL, NULL));
        policy_free(good("[Tenant unassigned]\nContainerMemoryMax=1G\n[Container unassigned/*]\nKill=never\n",
                         NULL, NULL));
        says("[Host x]\n", NULL, "a:1: [Host x] takes no name, expected the section's name alone\n");
        says("[Tenant]\n", NULL, "a:1: [Tenant] has no name, expected \"[Tenant NAME]\"\n");
        says("[Container]\n", NULL, "a:1: [Container] has no name, expected \"[Container TENANT/NAME]\"\n");
        says("[Tenant a/b]\n", NULL,
             "a:1: [Tenant a/b] bad name \"a/b\", expected characters of A-Za-z0-9._-\n");
        says("[Tenant a b]\n", NULL,
             "a:1: [Tenant a b] bad name \"a b\", expected characters of A-Za-z0-9._-\n");
        says("[Tenant ..]\n", NULL,
             "a:1: [Tenant ..] bad name \"..\", expected characters of A-Za-z0-9._-\n");
        /* the keys below are checked all the same */
        says("[Plan ..]\nMemoryMax=0\n", NULL,
             "a:1: [Plan ..] bad name \"..\", expected characters of A-Za-z0-9._-\n"
             "a:2: [Plan ..] MemoryMax: 0 would kill whatever starts there, expected a size above 0\n");
        says("[Tennant a]\nMatch=name=x\nMod=off\n", NULL,
             "a:1: [Tennant a]: unknown section \"Tennant\", did you mean [Tenant]?\n"
             "a:3: [Tenant a] Mod: unknown key, did you mean Mode?\n");
        says("[Frobnicate]\nX=1\n", NULL,
             "a:1: [Frobnicate]: unknown section \"Frobnicate\", expected Host, Defaults, Plan, Template, "
             "Tenant or "
             "Container\n");
        says("[Container a]\n", NULL,
             "a:1: [Container a] bad name \"a\", expected TENANT/NAME, both of them patterns without blanks "
             "and '/'\n");
        says("[Container unassigned/a/b]\n", NULL,
             "a:1: [Container unassigned/a/b] bad name \"unassigned/a/b\", expected TENANT/NAME, both of "
             "them patterns "
             "without blanks and '/'\n");
        says("[Container */db]\nMemoryMax=1G\n", NULL,
             "a:2: [Container */db] MemoryMax: is not allowed in [Container], expected ContainerMemoryMax, "
             "which holds for "
             "each container\n");
        says("[Host]\nMemoryMax=1G\n", NULL,
             "a:2: [Host] MemoryMax: is not allowed in [Host], it belongs to [Tenant], [Template], [Plan], "
             "[Defaults]\n");
        says("[Host]\nKill=last\n", NULL,
             "a:2: [Host] Kill: is not allowed in [Host], it belongs to [Tenant], [Template], [Plan], "
             "[Defaults], "
             "[Container]\n");
        says("[Tenant unassigned]\nMatch=name=x\n", NULL,
             "a:2: [Tenant unassigned] Match: is not allowed here, unassigned is whatever no tenant matches; "
             "expected "
             "another tenant's name\n");
}

static void test_twice(void **state) {
        (void)state;
        says("[Tenant a]\nMatch=name=x\n[Host]\n[Tenant a]\nPriority=1\n", NULL,
             "a:4: [Tenant a] is there twice, first in line 1; expected it once in a file\n");
        says("[Host]\n[Host]\n", NULL,
             "a:2: [Host] is there twice, first in line 1; expected it once in a file\n");
        says("[Container */a]\n[Container */a]\n", NULL,
             "a:2: [Container */a] is there twice, first in line 1; expected it once in a file\n");
        /* a tenant and a plan are two things */
        policy_free(good("[Tenant a]\nMatch=name=x\n[Plan a]\n[Template a]\nMatch=name=y*\nTenant=%v\n", NULL,
                         NULL));

        says("[Defaults]\nPriority=1\nPriority=2\n", NULL,
             "a:3: warning: [Defaults] Priority: given before in line 2, this one holds; expected it once\n");
        says("[Defaults]\nMemoryMax=1G\nMemoryMax=2G\n", NULL,
             "a:3: warning: [Defaults] MemoryMax: given before in line 2, this one holds; expected it "
             "once\n");
        says("[Defaults]\nIOReadIOPSMax=/a 1\nIOReadIOPSMax=/b 1\nIOReadIOPSMax=/a 2\n", NULL,
             "a:4: warning: [Defaults] IOReadIOPSMax: given before in line 2, this one holds; expected it "
             "once\n");
        says("[Plan a]\n[Tenant a]\nMatch=name=x\nPlan=a\nPlan=a\n", NULL,
             "a:5: warning: [Tenant a] Plan: given before in line 4, this one holds; expected it once\n");
        /* in another file, after a reset, or an identical match: no mistake */
        policy_free(good("[Defaults]\nPriority=1\n", "[Defaults]\nPriority=2\n", NULL));
        policy_free(good("[Defaults]\nMemoryMax=\nMemoryMax=1G\nPriority=\nPriority=1\n", NULL, NULL));
        policy_free(good("[Tenant a]\nMatch=name=x\n", "[Tenant a]\nMatch=name=x\n", NULL));
}

static void test_dropins(void **state) {
        _cleanup_policy_ Policy *p = NULL;
        const PolicyTenant *t;

        (void)state;
        p = good("[Tenant acme]\nPlan=gold\nMatch=name=a\nMatch=name=b\nPriority=1\nMemoryMax=1G\n[Plan "
                 "gold]\n",
                 "[Plan gold]\nTasksMax=5\n[Tenant acme]\nMatch=name=c\nMemoryMax=2G\n",
                 "[Tenant acme]\nMatch=\nMatch=name=d\nPlan=\nPriority=\n");
        assert_int_equal(p->n_tenants, 1);
        assert_int_equal(p->n_plans, 1);
        t = policy_find_tenant(p, "acme");
        assert_non_null(t);
        assert_null(policy_find_tenant(p, "acm"));
        assert_int_equal(t->ref.file, 0);
        assert_int_equal(t->n_matches, 1);
        assert_string_equal(t->matches[0].pattern, "d");
        assert_int_equal(t->matches[0].ref.file, 2);
        assert_int_equal(t->matches[0].ref.line, 3);
        assert_null(t->plan);
        assert_false(t->section.values[PK_PRIORITY].set);
        assert_true(t->section.values[PK_PRIORITY].reset);
        assert_int_equal(t->section.n_limits, 1);
        assert_int_equal(t->section.limits[0].value, 2 * G);
        assert_int_equal(t->section.limits[0].ref.file, 1);
        assert_int_equal(policy_find_plan(p, "gold")->section.n_limits, 1);
        assert_int_equal(p->n_files, 3);
        assert_string_equal(p->files[1], "b");
}

static void test_protect(void **state) {
        _cleanup_policy_ Policy *p = NULL, *q = NULL, *r = NULL;

        (void)state;
        p = good("[Host]\nProtect=init.scope a.slice\nProtect=b@*.service\n", "[Host]\nProtect=c*\n", NULL);
        assert_false(p->protect_emptied);
        assert_int_equal(p->n_protect, 4);
        assert_string_equal(p->protect[3], "c*");
        q = good("[Host]\nProtect=init.scope\n", "[Host]\nProtect=\n", NULL);
        assert_true(q->protect_emptied);
        assert_int_equal(q->n_protect, 0);
        r = good("[Host]\nMode=off\n", NULL, NULL);
        assert_false(r->protect_emptied);

        policy_free(good("[Host]\nProtect=acme tenant:acme\n[Tenant acme]\nMatch=name=x\n", NULL, NULL));
        policy_free(good("[Host]\nProtect=c-1\n[Template c]\nMatch=name=x*\nTenant=c-%v\n", NULL, NULL));
        says("[Host]\nProtect=init.scope docker\n[Tenant dcker]\nMatch=name=x\n", NULL,
             "a:2: [Host] Protect: \"docker\" is neither a unit nor a tenant of this policy, expected a name "
             "such as "
             "docker.service, tenant-acme.slice or that of a tenant, did you mean dcker?\n");
        says("[Host]\nProtect=/a\n", NULL,
             "a:2: [Host] Protect: \"/a\" is a path, expected names of units, slices or tenants\n");
}

/* ---- across sections ---- */

static void test_references(void **state) {
        (void)state;
        says("[Tenant a]\nPlan=glod\nMatch=name=x\n[Plan gold]\n", NULL,
             "a:2: [Tenant a] Plan: there is no plan \"glod\", did you mean gold?\n");
        says("[Tenant a]\nPlan=silver\nMatch=name=x\n", "[Plan gold]\n",
             "a:2: [Tenant a] Plan: there is no plan \"silver\", expected the name of a [Plan] section\n");
        policy_free(good("[Tenant a]\nPlan=gold\nMatch=name=x\n", "[Plan gold]\n", NULL));
        says("[Tenant a]\n", NULL,
             "a:1: [Tenant a] Match: is missing, so nothing would ever be this tenant's; expected at least "
             "one\n");
        /* only the match itself is complained about */
        says("[Tenant a]\nMatch=x\n", NULL,
             "a:2: [Tenant a] Match: no class of match in \"x\", expected user=, slice=, path=, label= or "
             "name=\n");
        says("[Container amce/db]\n[Tenant acme]\nMatch=name=x\n", NULL,
             "a:1: [Container amce/db] can never hold, there is no tenant \"amce\", expected one of a "
             "[Tenant] or [Template] "
             "section, did you mean acme?\n");
        policy_free(good("[Container ac*/db]\n[Tenant acme]\nMatch=name=x\n", NULL, NULL));
        policy_free(good("[Container c-shop/db]\n[Template c]\nMatch=name=x*\nTenant=c-%v\n", NULL, NULL));
        says("[Container d-shop/db]\n[Template c]\nMatch=name=x*\nTenant=c-%v\n", NULL,
             "a:1: [Container d-shop/db] can never hold, there is no tenant \"d-shop\", expected one of a "
             "[Tenant] or "
             "[Template] section\n");
}

static void test_templates(void **state) {
        _cleanup_policy_ Policy *p = NULL;

        (void)state;
        p = good("[Template c]\nMatch=label=com.docker.compose.project=*\nTenant=compose-%v\nMaxTenants=500\n"
                 "[Template u]\nMatch=user=@customers\nTenant=%u\n"
                 "[Template s]\nMatch=slice=tenant-?*.slice\nTenant=%s\n",
                 NULL, NULL);
        assert_int_equal(p->n_templates, 3);
        assert_string_equal(p->templates[0].tenant_format, "compose-%v");
        assert_int_equal(p->templates[0].tenant_format_ref.line, 3);
        assert_int_equal(p->templates[0].max_tenants, 500);
        assert_int_equal(p->templates[1].max_tenants, POLICY_MAX_TENANTS_DEFAULT);

#define TEMPLATE(match, tenant) "[Template t]\nMatch=" match "\nTenant=" tenant "\n"
        says(TEMPLATE("name=x*", "x"), NULL,
             "a:3: [Template t] Tenant: \"x\" is the same for all, expected a name with %v (what the '*' of "
             "Match= took), %u "
             "(user) or %s (slice) in it; for one tenant write [Tenant]\n");
        says(TEMPLATE("name=x*", "%w"), NULL,
             "a:3: [Template t] Tenant: unknown specifier in \"%w\", expected %v, %u or %s\n");
        says(TEMPLATE("name=x*", "%v%"), NULL,
             "a:3: [Template t] Tenant: unknown specifier in \"%v%\", expected %v, %u or %s\n");
        says(TEMPLATE("name=x*", "a b%v"), NULL,
             "a:3: [Template t] Tenant: \"a b%v\" makes names that no tenant can have, expected characters "
             "of A-Za-z0-9._- "
             "beside the specifiers\n");
        says(TEMPLATE("name=x*", "%u"), NULL,
             "a:3: [Template t] Tenant: has %u, which only a user= match gives; expected %v or %s\n");
        says(TEMPLATE("name=x*", "%s"), NULL,
             "a:3: [Template t] Tenant: has %s, which only a slice= match gives; expected %v or %u\n");
        says(TEMPLATE("user=1-5", "%v"), NULL,
             "a:3: [Template t] Tenant: has %v, but a user= match has no '*'; expected %u\n");
        says(TEMPLATE("name=x", "%v"), NULL,
             "a:3: [Template t] Tenant: has %v, but there are 0 '*' in the pattern of Match=; expected "
             "exactly one\n");
        says(TEMPLATE("name=*x*", "%v"), NULL,
             "a:3: [Template t] Tenant: has %v, but there are 2 '*' in the pattern of Match=; expected "
             "exactly one\n");
        says(TEMPLATE("name=x*\nMatch=name=y*", "%v"), NULL,
             "a:3: [Template t] Match: is there more than once, expected exactly one in a template\n");
        says("[Template t]\nTenant=%v\n", NULL,
             "a:1: [Template t] Match: is missing, expected exactly one in a template\n");
        says("[Template t]\nMatch=name=*\n", NULL,
             "a:1: [Template t] Tenant: is missing, expected a name with %v, %u or %s in it such as "
             "\"Tenant=t-%v\"\n");
        says(TEMPLATE("name=x*", "%v\nMaxTenants=0"), NULL,
             "a:4: [Template t] MaxTenants: cannot take \"0\", expected a whole number between 1 and "
             "100000\n");
        policy_free(good(TEMPLATE("name=[*]*", "%v"), NULL, NULL));
}

static void test_covered(void **state) {
        static const struct {
                const char *first, *second;
                bool covered;
        } rows[] = {
                { "name=x", "name=x", true },
                { "name=x*", "name=x1", true },
                { "name=x1", "name=x*", false },
                { "name=*", "name=x*", true },
                { "name=x*", "name=x?", false },
                { "name=x*", "name=\\x", false },
                { "user=5-9", "user=5-9", true },
                { "user=5-9", "user=6", true },
                { "user=5-9", "user=9-10", false },
                { "user=@g", "user=@g", true },
                { "user=@g", "user=g", false },
                { "user=5", "user=5-6", false },
                { "label=k=*", "label=k=v", true },
                { "label=k=*", "label=l=v", false },
                { "slice=*.slice", "slice=a.slice", true },
                { "slice=*.slice", "name=a.slice", false },
                { "path=/a/*", "path=/a/b/c", true },
                { "path=/a/*", "path=/a", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *said = NULL;
                char a[128], b[128];

                snprintf(a, sizeof(a), "[Tenant one]\nMatch=%s\n", rows[i].first);
                snprintf(b, sizeof(b), "[Tenant two]\nMatch=%s\n", rows[i].second);
                policy_free(parse(a, b, NULL, &said));
                if (rows[i].covered != (strstr(said, "b:2: [Tenant two] Match: can never hold, ") == said))
                        fail_msg("%s before %s: \"%s\"", rows[i].first, rows[i].second, said);
        }
        says("[Tenant one]\nMatch=name=x\n", "[Tenant two]\nMatch=name=x\n",
             "b:2: [Tenant two] Match: can never hold, \"name=x\" of [Tenant one] at a:2 comes first and "
             "takes it all; "
             "expected each match in one tenant only\n");
        /* templates are candidates like tenants, in order of file and line */
        says("[Template t]\nMatch=label=p=*\nTenant=%v\n", "[Tenant two]\nMatch=label=p=shop\n",
             "b:2: [Tenant two] Match: can never hold, \"label=p=*\" of [Template t] at a:2 comes first and "
             "takes it all; "
             "expected the narrower match in an earlier line or file\n");
        policy_free(good("[Tenant two]\nMatch=label=p=shop\n", "[Template t]\nMatch=label=p=*\nTenant=%v\n",
                         NULL));
        /* the tenant's own wider match is no mistake */
        policy_free(good("[Tenant one]\nMatch=name=x*\nMatch=name=x1\n", NULL, NULL));
}

static void test_contradictions(void **state) {
#define T "[Tenant t]\nMatch=name=x\n"
        (void)state;
        says(T "MemoryHigh=2G\nMemoryMax=1G\n", NULL,
             "a:4: warning: [Tenant t] MemoryMax: below MemoryHigh=2G of a:3, so it is never reached; "
             "expected less than the "
             "maximum\n");
        says("[Plan p]\nMemoryMax=1G\n" T "Plan=p\nMemoryHigh=2G\n", NULL,
             "a:6: warning: [Tenant t] MemoryHigh: above MemoryMax=1G of a:2, so it is never reached; "
             "expected less than "
             "the maximum\n");
        policy_free(good(T "MemoryHigh=infinity\nMemoryMax=1G\n", NULL, NULL));
        policy_free(good(T "MemoryHigh=50%\nMemoryMax=1G\n", NULL, NULL)); /* who knows */
        says(T "MemoryHigh=50%\nMemoryMax=40%\n", NULL,
             "a:4: warning: [Tenant t] MemoryMax: below MemoryHigh=50% of a:3, so it is never reached; "
             "expected less than "
             "the maximum\n");
        says(T "MemoryHigh=110% of MemoryMax\nMemoryMax=1G\n", NULL,
             "a:4: warning: [Tenant t] MemoryMax: below MemoryHigh=110% of MemoryMax of a:3, so it is never "
             "reached; expected "
             "less than the maximum\n");
        says(T "MemoryMin=2G\nMemoryLow=1G\n", NULL,
             "a:4: warning: [Tenant t] MemoryLow: below MemoryMin=2G of a:3, which then adds nothing; "
             "expected MemoryLow "
             "above MemoryMin\n");
        says(T "MemoryMax=1G\nContainerMemoryMax=2G\n", NULL,
             "a:4: warning: [Tenant t] ContainerMemoryMax: above MemoryMax=1G of a:3, so the tenant's limit "
             "comes first; "
             "expected no more than that\n");
        says(T "MemoryMax=1G\n[Container t/db]\nContainerMemoryMax=2G\n", NULL,
             "a:5: warning: [Container t/db] ContainerMemoryMax: above MemoryMax=1G of a:3, so the tenant's "
             "limit comes "
             "first; expected no more than that\n");
        says(T "CPUGuarantee=200%\nCPUQuota=100%\n", NULL,
             "a:4: [Tenant t] CPUQuota: below CPUGuarantee=200% of a:3, which could not be kept; expected at "
             "least as "
             "much\n");
        says("[Plan p]\nCPUQuota=100%\n" T "Plan=p\nCPUGuarantee=200%\n", NULL,
             "a:6: [Tenant t] CPUGuarantee: above CPUQuota=100% of a:2, so it could not be kept; expected at "
             "most as "
             "much\n");
        policy_free(good(T "CPUGuarantee=100%\nCPUQuota=100%\n", NULL, NULL));
        says(T "CPUQuota=50%\nCPUBurst=60ms\n", NULL,
             "a:4: warning: [Tenant t] CPUBurst: more than CPUQuota=50% of a:3 gives in one period, only "
             "50ms of it will "
             "hold; expected no more than that\n");
        policy_free(good(T "CPUQuota=50%\nCPUBurst=60ms\nCPUQuotaPeriodSec=500ms\n", NULL, NULL));
        /* once for the plan, not for each of its tenants */
        says("[Plan p]\nMemoryHigh=2G\nMemoryMax=1G\n" T "Plan=p\n[Tenant u]\nMatch=name=y\nPlan=p\n", NULL,
             "a:3: warning: [Plan p] MemoryMax: below MemoryHigh=2G of a:2, so it is never reached; expected "
             "less than the "
             "maximum\n");
        /* [Defaults] gives unassigned no sums */
        policy_free(
                good("[Defaults]\nMemoryMax=1G\n[Tenant unassigned]\nContainerMemoryMax=2G\n", NULL, NULL));
}

static void test_circles(void **state) {
        (void)state;
        says(T "MemoryHigh=90% of MemoryMax\n", NULL,
             "a:3: [Tenant t] MemoryHigh: refers to MemoryMax, which is not set where this holds; expected "
             "it there or in a "
             "more general section\n");
        policy_free(good("[Defaults]\nMemoryHigh=90% of MemoryMax\n" T "MemoryMax=1G\n", NULL, NULL));
        policy_free(good("[Plan p]\nMemoryHigh=90% of MemoryMax\n", NULL, NULL)); /* a tenant may come */
        /* one tenant of the plan has none: then it has no MemoryHigh either */
        policy_free(good("[Plan p]\nMemoryHigh=90% of MemoryMax\n" T
                         "Plan=p\nMemoryMax=1G\n[Tenant u]\nMatch=name=y\nPlan=p\n",
                         NULL, NULL));
        says("[Defaults]\nMemoryMax=1G\nMemoryHigh=90% of MemoryMax\n" T "MemoryMax=\n", NULL,
             "a:3: [Defaults] MemoryHigh: refers to MemoryMax, which is not set where this holds; expected "
             "it there or in a "
             "more general section\n");
        policy_free(good(
                T "ContainerMemoryHigh=90% of ContainerMemoryMax\n[Container t/db]\nContainerMemoryMax=1G\n",
                NULL, NULL));
        says(T "[Container t/db]\nContainerMemoryHigh=90% of ContainerMemoryMax\n", NULL,
             "a:4: [Container t/db] ContainerMemoryHigh: refers to ContainerMemoryMax, which is not set "
             "where this holds; "
             "expected it there or in a more general section\n");
        says("[Plan p]\nMemoryHigh=90% of MemoryMax\nMemoryMax=90% of MemoryHigh\n", NULL,
             "a:2: [Plan p] MemoryHigh: goes round in a circle: MemoryHigh of MemoryMax of MemoryHigh; "
             "expected a size in "
             "one of them\n");
        says("[Plan p]\nMemoryHigh=90% of MemoryMax\n" T
             "Plan=p\nMemoryMax=90% of MemoryLow\nMemoryLow=10% of MemoryHigh\n",
             NULL,
             "a:2: [Plan p] MemoryHigh: goes round in a circle: MemoryHigh of MemoryMax of MemoryLow of "
             "MemoryHigh; expected "
             "a size in one of them\n");
        says("[Defaults]\nContainerMemoryHigh=50% of ContainerMemoryMax\n[Container */db]\n"
             "ContainerMemoryMax=50% of ContainerMemoryHigh\n",
             NULL,
             "a:2: [Defaults] ContainerMemoryHigh: goes round in a circle: ContainerMemoryHigh of "
             "ContainerMemoryMax of "
             "ContainerMemoryHigh; expected a size in one of them\n");
}

/* ---- effective values ---- */

static void test_effective(void **state) {
        _cleanup_policy_ Policy *p = NULL;
        const PolicySection *chain[4];
        const LimitExpr *e;
        unsigned seen = 0;
        size_t n;

        (void)state;
        p = good("[Defaults]\nPriority=1\nKill=last\nMemoryMax=1G\nTasksMax=5\nIOReadIOPSMax=/a "
                 "1\nIOReadIOPSMax=/b 1\n"
                 "ContainerTasksMax=3\n"
                 "[Plan p]\nPriority=2\nMemoryMax=2G\nIOReadIOPSMax=/a 2\n"
                 "[Tenant t]\nMatch=name=x\nPlan=p\nKill=\nTasksMax=\nIOReadIOPSMax=/c 3\n"
                 "[Tenant u]\nMatch=name=y\nPlan=p\nIOReadIOPSMax=\nIOReadIOPSMax=/b 4\n"
                 "[Container t/d*]\nContainerTasksMax=4\n",
                 NULL, NULL);
        n = policy_tenant_chain(p, policy_find_tenant(p, "t"), true, chain);
        assert_int_equal(n, 3);
        assert_int_equal(policy_section_get(chain, n, PK_PRIORITY)->u, 2);
        assert_int_equal(policy_section_get(chain, n, PK_PRIORITY)->ref.line, 10);
        assert_null(policy_section_get(chain, n, PK_KILL)); /* reset: the built-in default */
        assert_null(policy_section_get(chain, n, PK_MODE));
        assert_int_equal(policy_limits_get(chain, n, false, LIMIT_MEMORY_MAX, NULL)->value, 2 * G);
        assert_null(policy_limits_get(chain, n, false, LIMIT_TASKS_MAX, NULL));
        assert_null(policy_limits_get(chain, n, true, LIMIT_MEMORY_MAX, NULL));
        assert_int_equal(policy_limits_get(chain, n, true, LIMIT_TASKS_MAX, NULL)->value, 3);
        assert_int_equal(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/a")->value, 2);
        assert_int_equal(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/b")->value, 1);
        assert_int_equal(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/c")->value, 3);
        assert_null(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/d"));
        assert_null(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, NULL));
        for (size_t i = 0; (e = policy_limits_next(chain, n, false, &i));) {
                assert_ptr_equal(e, policy_limits_get(chain, n, false, e->limit, e->device));
                seen++;
        }
        assert_int_equal(seen, 4); /* MemoryMax, /a /b /c */

        assert_string_equal(
                policy_layer_of(p, policy_limits_get(chain, n, false, LIMIT_MEMORY_MAX, NULL)->ref), "plan");
        assert_string_equal(policy_layer_of(p, policy_limits_get(chain, n, true, LIMIT_TASKS_MAX, NULL)->ref),
                            "defaults");
        assert_string_equal(
                policy_layer_of(p, policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/c")->ref),
                "tenant");
        assert_string_equal(policy_layer_of(p, p->containers[0].section.container_limits[0].ref),
                            "container");
        assert_null(policy_layer_of(p, (PolicyRef){}));
        assert_null(policy_layer_of(p, (PolicyRef){ .file = 0, .line = 10 })); /* a Priority= */

        chain[n] = &p->containers[0].section;
        assert_int_equal(policy_limits_get(chain, n + 1, true, LIMIT_TASKS_MAX, NULL)->value, 4);
        assert_true(policy_container_matches(&p->containers[0], "t", "db"));
        assert_false(policy_container_matches(&p->containers[0], "u", "db"));

        n = policy_tenant_chain(p, policy_find_tenant(p, "u"), true, chain);
        assert_null(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/a"));
        assert_int_equal(policy_limits_get(chain, n, false, LIMIT_IO_READ_IOPS_MAX, "/b")->value, 4);
        assert_int_equal(policy_limits_get(chain, n, false, LIMIT_TASKS_MAX, NULL)->value, 5);
        seen = 0;
        for (size_t i = 0; policy_limits_next(chain, n, false, &i);)
                seen++;
        assert_int_equal(seen, 3); /* MemoryMax, TasksMax, /b */

        /* unassigned: [Defaults] gives it no sums, only Container…= and values */
        n = policy_tenant_chain(p, NULL, true, chain);
        assert_int_equal(n, 0);
        assert_null(policy_limits_get(chain, n, false, LIMIT_MEMORY_MAX, NULL));
        n = policy_tenant_chain(p, NULL, false, chain);
        assert_int_equal(policy_limits_get(chain, n, true, LIMIT_TASKS_MAX, NULL)->value, 3);
        assert_int_equal(policy_section_get(chain, n, PK_PRIORITY)->u, 1);
        chain[n++] = NULL; /* no plan */
        assert_int_equal(policy_section_get(chain, n, PK_PRIORITY)->u, 1);
}

/* ---- the whole ---- */

/* Every mistake of every file in one run, in order of file and line. */
static void test_all_at_once(void **state) {
        (void)state;
        says("[Tenant a]\nMatch=name=x\nPlan=nix\nMemoryMax=0\n", "[Host]\nMod=off\n Mode=off\n",
             "a:3: [Tenant a] Plan: there is no plan \"nix\", expected the name of a [Plan] section\n"
             "a:4: [Tenant a] MemoryMax: 0 would kill whatever starts there, expected a size above 0\n"
             "b:2: [Host] Mod: unknown key, did you mean Mode?\n"
             "b:3: [Host] Mode: indented line: it would not be clear what it belongs to; remove the blanks "
             "in front\n");
}

/* What the caller could not read refuses the load too, and a warning alone does not. */
static void test_result(void **state) {
        const PolicyText text = { "a", "[Defaults]\nPriority=1\nPriority=2\n", 33 };
        Policy *p = NULL;
        Diags diags = {};

        (void)state;
        assert_int_equal(policy_parse(&text, 1, &diags, &p), 0);
        assert_int_equal(diags.n_warnings, 1);
        assert_int_equal(p->defaults.values[PK_PRIORITY].u, 2);
        p = policy_free(p);
        diags_add(&diags, DIAG_ERROR, "b", 0, "cannot be read");
        assert_int_equal(policy_parse(&text, 1, &diags, &p), -EINVAL);
        assert_null(p);
        diags_deinit(&diags);
        assert_int_equal(policy_parse(NULL, 0, &diags, &p), 0);
        p = policy_free(p);
        diags_deinit(&diags);
}

/* What is formatted parses back to the same, for any value that can be parsed. */
static void test_round_trip(void **state) {
        (void)state;
        seed_random();
        for (int round = 0; round < 2000; round++) {
                _cleanup_policy_ Policy *p = NULL, *q = NULL;
                _cleanup_buf_ Buf a = BUF_INIT, b = BUF_INIT;
                char text[512];

                snprintf(text, sizeof(text),
                         "[Defaults]\nMemoryLow=%llu\nMemoryMax=%llu%%\nMemoryHigh=%llu.%02llu%% of "
                         "MemoryMax\n"
                         "CPUQuota=%llu.%02llu%%\nCPUBurst=%lluus\nIOReadBandwidthMax=/dev/sda "
                         "%llu\nTasksMax=%llu\n"
                         "KillGraceSec=%llums\nKillBudget=%llu/%llus\nThrottle=none\n",
                         (unsigned long long)(random_below(1000) << random_below(40)),
                         (unsigned long long)random_below(100) + 1, (unsigned long long)random_below(100),
                         (unsigned long long)random_below(99) + 1, (unsigned long long)random_below(10000),
                         (unsigned long long)random_below(99) + 1, (unsigned long long)random_below(1000001),
                         (unsigned long long)random_below(UINT64_C(1) << random_below(60)) + 1,
                         (unsigned long long)random_below(1000000) + 1,
                         (unsigned long long)random_below(3600001), (unsigned long long)random_below(1000),
                         (unsigned long long)random_below(2592000) + 1);
                for (int pass = 0; pass < 2; pass++) {
                        _cleanup_free_ char *said = NULL;
                        Policy *x = parse(pass ? buf_str(&a) : text, NULL, NULL, &said);
                        Buf *out = pass ? &b : &a;

                        if (!x)
                                fail_msg("%s\n%s", pass ? buf_str(&a) : text, said);
                        buf_puts(out, "[Defaults]\n");
                        for (size_t i = 0; i < x->defaults.n_limits; i++) {
                                const LimitExpr *e = &x->defaults.limits[i];

                                if (pass)
                                        assert_int_equal(e->value, p->defaults.limits[i].value);
                                buf_printf(out, "%s=", limit_info(e->limit)->key);
                                policy_limit_format(e, out);
                                buf_putc(out, '\n');
                        }
                        for (PolicyKey k = 0; k < _PK_MAX; k++) {
                                const PolicyValue *v = &x->defaults.values[k];

                                if (!v->set)
                                        continue;
                                if (pass) {
                                        assert_int_equal(v->u, p->defaults.values[k].u);
                                        assert_int_equal(v->u2, p->defaults.values[k].u2);
                                }
                                buf_printf(out, "%s=", policy_key_name(k));
                                policy_value_format(k, v, out);
                                buf_putc(out, '\n');
                        }
                        *(pass ? &q : &p) = x;
                }
                assert_string_equal(buf_str(&a), buf_str(&b));
        }
}

/* Ten thousand tenants load in the blink of an eye, and are all there. */
static void test_many(void **state) {
        _cleanup_policy_ Policy *p = NULL;
        _cleanup_buf_ Buf text = BUF_INIT;

        (void)state;
        buf_puts(&text, "[Plan gold]\nMemoryMax=1G\nMemoryHigh=90% of MemoryMax\n");
        for (int i = 0; i < 10000; i++)
                buf_printf(&text, "[Tenant t%d]\nPlan=gold\nMatch=name=t%d-*\nMatch=user=%d-%d\n", i, i,
                           i * 10, i * 10 + 9);
        p = good(buf_str(&text), NULL, NULL);
        assert_int_equal(p->n_tenants, 10000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_limits),      cmocka_unit_test(test_bad_values),
                cmocka_unit_test(test_values),      cmocka_unit_test(test_matches),
                cmocka_unit_test(test_sections),    cmocka_unit_test(test_twice),
                cmocka_unit_test(test_dropins),     cmocka_unit_test(test_protect),
                cmocka_unit_test(test_references),  cmocka_unit_test(test_templates),
                cmocka_unit_test(test_covered),     cmocka_unit_test(test_contradictions),
                cmocka_unit_test(test_circles),     cmocka_unit_test(test_effective),
                cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_result),
                cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
