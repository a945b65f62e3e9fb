/* SPDX-License-Identifier: Apache-2.0 */

/* Verdicts as sentences, and that no tenant reads of another: a table of objects, and all of it through a sieve. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
/* cmocka wants the above first */
#include <cmocka.h>
#include <jansson.h>

#include "telling.h"

#define DB                                                \
        "{'name':'db','tenant':'beta','cgroup':'/docker/" \
        "db','kind':'container','resource':'cpu','share_permyriad':4211}"
#define SHOP                                                 \
        "{'name':'shop','tenant':'gamma','cgroup':'/docker/" \
        "shop','kind':'container','resource':'cpu','share_permyriad':3000}"
#define HOST                                       \
        "{'name':'host','tenant':null,'cgroup':'/" \
        "','kind':'host','resource':'memory','share_permyriad':1250}"
#define OUT "{'name':'host','tenant':null,'cgroup':'/','kind':'host','resource':'memory','share_permyriad':0}"
#define TASKS \
        "{'name':'host','tenant':null,'cgroup':'/','kind':'host','resource':'pids','share_permyriad':8349}"
#define WEB "{'name':'web','tenant':'acme','cgroup':'/docker/web','kind':'container'}"
#define BACKUP                                                                                             \
        "{'name':'backup.service','tenant':null,'cgroup':'/system.slice/backup.service','kind':'service'," \
        "'why':'service','why_text':'it is the host\\u0027s own work'}"
#define QUOTA "{'limit':'CPUQuota','device':null,'from_text':'200%','to_text':'50%'}"
#define FREE "{'limit':'CPUQuota','device':null,'from_text':'50%','to_text':'infinity'}"
#define SAME "{'limit':'IOReadIOPSMax','device':'8:0','device_name':null,'from_text':'50/s','to_text':'50/s'}"
#define RBPS                                                                                             \
        "{'limit':'IOReadBandwidthMax','device':'254:0','device_name':'vda','from_text':'infinity','to_" \
        "text':'10M/s'}"
#define WBPS                                                                                 \
        "{'limit':'IOWriteBandwidthMax','device':'8:0','device_name':null,'from_text':'20M/" \
        "s','to_text':'10M/s'}"

/* With ' for ". */
static json_t *load(const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        json_t *o;

        assert_non_null(copy);
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        o = json_loads(copy, 0, NULL);
        if (!o)
                fail_msg("not JSON: %s", copy);
        return o;
}

static const struct {
        const char *judged, *all, *beta; /* the sentence; as the tenant beta may read it */
} rows[] = {
        { "{'act':'throttle','why':'harm','would':false,'culprit':" WEB ",'values':[" QUOTA "],'victims':[" DB
          "],'victims_all':1}",
          "throttled web (acme), CPUQuota from 200% to 50%: db (beta) waits for CPU 42% of the time",
          "throttled another tenant's container, CPUQuota from 200% to 50%: db (beta) waits for CPU 42% of "
          "the time" },
        { "{'act':'throttle','why':'harm','would':true,'culprit':" WEB ",'values':[" RBPS "," WBPS
          "],'victims':[" SHOP "," DB "],'victims_all':3}",
          "would throttle web (acme), IOReadBandwidthMax of vda from no limit to 10M/s, IOWriteBandwidthMax "
          "of 8:0 "
          "from 20M/s to 10M/s: shop (gamma) waits for CPU 30% of the time (and 2 more do)",
          "would throttle another tenant's container, IOReadBandwidthMax of vda from no limit to 10M/s, "
          "IOWriteBandwidthMax of 8:0 from 20M/s to 10M/s: another tenant's container waits for CPU 30% of "
          "the time "
          "(and 2 more do)" },
        { "{'act':'relax','why':'calm','why_text':'nobody is hurt any more','would':false,'culprit':" WEB
          ",'values':[" QUOTA "]}",
          "loosened web (acme), CPUQuota from 200% to 50%: nobody is hurt any more",
          "loosened another tenant's container, CPUQuota from 200% to 50%: nobody is hurt any more" },
        { "{'act':'relax','why':'calm','why_text':'nobody is hurt any more','culprit':" WEB ",'values':[" SAME
          "," QUOTA "]}",
          "loosened web (acme), CPUQuota from 200% to 50%: nobody is hurt any more",
          "loosened another tenant's container, CPUQuota from 200% to 50%: nobody is hurt any more" },
        { "{'act':'release','why':'calm','why_text':'nobody is hurt any more','culprit':" WEB
          ",'values':[" FREE "]}",
          "let go of web (acme), CPUQuota from 50% to no limit: nobody is hurt any more",
          "let go of another tenant's container, CPUQuota from 50% to no limit: nobody is hurt any more" },
        { "{'act':'release','why':'no-help','why_text':'it did not help','culprit':" WEB ",'values':[]}",
          "let go of web (acme): it did not help", "let go of another tenant's container: it did not help" },
        { "{'act':'freeze','why':'harm','culprit':" WEB ",'span_usec':2000000,'victims':[" HOST
          "],'victims_all':1}",
          "froze web (acme) for 2 s: the host waits for memory 13% of the time",
          "froze another tenant's container for 2 s: the host waits for memory 13% of the time" },
        { "{'act':'throttle','why':'harm','culprit':" WEB ",'values':[" QUOTA "],'victims':[" OUT
          "],'victims_all':2}",
          "throttled web (acme), CPUQuota from 200% to 50%: the host runs out of memory (and 1 more does)",
          "throttled another tenant's container, CPUQuota from 200% to 50%: the host runs out of memory "
          "(and 1 more does)" },
        { "{'act':'thaw','why':'policy','why_text':'a hold forbids it','culprit':" WEB "}",
          "thawed web (acme): a hold forbids it", "thawed another tenant's container: a hold forbids it" },
        { "{'act':'stop','why':'harm','culprit':" WEB ",'span_usec':1500000,'victims':[" DB
          "],'victims_all':2}",
          "told web (acme) to stop within 1500 ms: db (beta) waits for CPU 42% of the time (and 1 more does)",
          "told another tenant's container to stop within 1500 ms: db (beta) waits for CPU 42% of the time "
          "(and 1 more "
          "does)" },
        { "{'act':'kill','why':'harm','culprit':" WEB ",'victims':[" TASKS "],'victims_all':1}",
          "killed web (acme): the host has 83% of the tasks that it can have",
          "killed another tenant's container: the host has 83% of the tasks that it can have" },
        { "{'act':'kill','why':'harm','error':'its cgroup is gone','culprit':" WEB ",'victims':[" DB
          "],'victims_all':1}",
          "could not kill web (acme) (its cgroup is gone): db (beta) waits for CPU 42% of the time",
          "could not kill another tenant's container (its cgroup is gone): db (beta) waits for CPU 42% of "
          "the time" },
        { "{'act':'alarm','why':'budget','why_text':'the kill budget is spent','culprit':" WEB
          ",'victims':[" DB "],'victims_all':1}",
          "web (acme) should be held back further, but is not: the kill budget is spent; db (beta) waits for "
          "CPU 42% of "
          "the time",
          "another tenant's container should be held back further, but is not: the kill budget is spent; db "
          "(beta) "
          "waits for CPU 42% of the time" },
        { "{'act':'notify','why':'harm','why_text':'the harm goes on','would':true,'culprit':" WEB
          ",'victims':[" DB "],'victims_all':1}",
          "would tell: web (acme) takes more than its part: the harm goes on; db (beta) waits for CPU 42% of "
          "the time",
          "would tell: another tenant's container takes more than its part: the harm goes on; db (beta) "
          "waits for CPU "
          "42% of the time" },
        { "{'act':'notify','why':'thrash','why_text':'x','culprit':" WEB
          ",'thrash':{'hits_per_sec':12,'refaults_per_sec':3400}}",
          "web (acme) thrashes at its own memory limit: it hits it 12 times and reads 3400 pages again a "
          "second",
          "another tenant's container thrashes at its own memory limit: it hits it 12 times and reads 3400 "
          "pages again a "
          "second" },
        { "{'act':'notify','why':'out-of-reach','why_text':'the one to blame may not be "
          "touched','culprit':null,'victims':[" DB "],'victims_all':1,'candidates':[" WEB "," BACKUP
          "],'outcome':'service'}",
          "db (beta) waits for CPU 42% of the time, and nobody is held back for it: the one to blame may not "
          "be touched; "
          "of backup.service: it is the host's own work",
          "db (beta) waits for CPU 42% of the time, and nobody is held back for it: the one to blame may not "
          "be touched; "
          "of a service of the host: it is the host's own work" },
        { "{'act':'notify','why':'mixed','why_text':'not clear','culprit':null,'victims':[" SHOP
          "],'victims_all':1,'candidates':[" BACKUP "],'outcome':'service'}",
          "shop (gamma) waits for CPU 30% of the time, and nobody is held back for it: not clear",
          "another tenant's container waits for CPU 30% of the time, and nobody is held back for it: not "
          "clear" },
        { "{'act':'alarm','why':'storm','why_text':'too many died','culprit':null,'victims':[]}",
          "nobody is held back: too many died", "nobody is held back: too many died" },
        { "{'act':'notify','why':'out-of-reach','why_text':'out of reach','culprit':null,'victims':[" HOST
          "],'victims_all':1,'candidates':[{'name':'the "
          "kernel','tenant':null,'kind':'host','why':'kernel','why_text':'no "
          "cgroup explains it'}],'outcome':'kernel'}",
          "the host waits for memory 13% of the time, and nobody is held back for it: out of reach; of the "
          "kernel: no cgroup "
          "explains it",
          "the host waits for memory 13% of the time, and nobody is held back for it: out of reach; of the "
          "kernel: no cgroup "
          "explains it" },
        /* nonsense: nothing is said, nothing breaks */
        { "{}", "", NULL },
        { "{'act':'dance','culprit':" WEB "}", "", NULL },
        { "{'act':'throttle','victims':7,'values':{'a':1},'culprit':[],'span_usec':-1}",
          "throttled a service of the host", NULL },
        { "{'act':'kill','why':'harm','culprit':{},'victims':[null]}", "killed a service of the host", NULL },
};

static void test_sentences(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf b = BUF_INIT;
                json_t *o = load(rows[i].judged);

                telling_sentence(o, &b);
                if (!STR_EQ(buf_str(&b), rows[i].all))
                        fail_msg("row %zu: %s", i, buf_str(&b));
                json_decref(o);
        }
}

static json_t *event_of(const char *text, const char *tenant, const char *container) {
        json_t *judged = load(text);

        /* The culprit's: its tenant's alone. */
        (void)json_object_set_new(judged, "processes",
                                  json_pack("[{s:i, s:s}]", "pid", 1, "comm", "acme-web"));
        return json_pack("{s:i, s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:o}", "id", 17, "incident", 16,
                         "kind", "throttle", "tenant", tenant, "container", container, "cgroup", "/docker/x",
                         "cgroup_id", 5, "uid", 1000, "pid", 4242, "text",
                         "names web (acme) and db (beta) and shop (gamma)", "judged", judged);
}

static void test_events(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *e = event_of(rows[i].judged, "acme", "web");
                const char *text;

                if (!rows[i].beta) {
                        json_decref(e);
                        continue;
                }
                telling_redact_event(e, "beta");
                text = json_string_value(json_object_get(e, "text"));
                if (!text || !STR_EQ(text, rows[i].beta))
                        fail_msg("row %zu: %s", i, text ? text : "no text");
                json_decref(e);
        }
}

/* Whatever of it a tenant reads, no name, path or caller of somebody else's is in there. */
static void test_sieve(void **state) {
        static const struct {
                const char *tenant, *secrets[8];
        } readers[] = {
                { "beta", { "web", "acme", "shop", "gamma", "backup", "docker/web", "docker/x", "4242" } },
                { "acme", { "\"db", "beta", "shop", "gamma", "backup", "docker/db", "4242", "1000" } },
                { "delta", { "web", "acme", "\"db", "beta", "shop", "gamma", "backup", "docker" } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (size_t k = 0; k < ARRAY_SIZE(readers); k++) {
                        json_t *e = event_of(rows[i].judged, "acme", "web"), *newest = load(rows[i].judged),
                               *x = load("{'id':16,'tenant':'acme','container':'web','cgroup':'/docker/"
                                         "x','cgroup_id':5,"
                                         "'victims':[{'name':'db','tenant':'beta'},{'name':'shop','tenant':'"
                                         "gamma'}],"
                                         "'text':'names web (acme) and db (beta) and shop (gamma)'}");
                        _cleanup_free_ char *a = NULL, *b = NULL;

                        telling_redact_event(e, readers[k].tenant);
                        telling_redact_incident(x, newest, readers[k].tenant);
                        a = json_dumps(e, 0);
                        b = json_dumps(x, 0);
                        assert_non_null(a);
                        assert_non_null(b);
                        for (size_t s = 0; s < ARRAY_SIZE(readers[k].secrets); s++)
                                if (strstr(a, readers[k].secrets[s]) || strstr(b, readers[k].secrets[s]))
                                        fail_msg("row %zu, %s reads %s: %s %s", i, readers[k].tenant,
                                                 readers[k].secrets[s], a, b);
                        json_decref(e);
                        json_decref(x);
                        json_decref(newest);
                }
}

static void test_without_evidence(void **state) {
        static const struct {
                const char *event;
                bool keeps;
        } cases[] = {
                { "{'tenant':'acme','incident':3,'uid':0,'text':'throttled web (acme)'}",
                  true }, /* an operator's act on its own */
                /* the judge's, whose evidence was dropped */
                { "{'tenant':'acme','incident':3,'text':'throttled web (acme): db (beta) waits'}", false },
                { "{'tenant':'acme','uid':0,'text':'a label claims beta'}", false },
                { "{'tenant':'beta','incident':3,'uid':0,'text':'throttled db (beta)'}", false },
                { "{'text':'policy loaded'}", false },
        };
        json_t *x = load("{'tenant':'acme','victims':[],'text':'web (acme) and db (beta)'}");

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                json_t *e = load(cases[i].event);

                telling_redact_event(e, "acme");
                if (json_is_string(json_object_get(e, "text")) != cases[i].keeps)
                        fail_msg("case %zu", i);
                json_decref(e);
        }
        telling_redact_incident(x, NULL, "acme");
        assert_true(json_is_null(json_object_get(x, "text")));
        json_decref(x);
}

static void test_concerns(void **state) {
        static const struct {
                const char *object, *tenant;
                bool concerns;
        } cases[] = {
                { "{'tenant':'acme'}", "acme", true },
                { "{'tenant':'acme'}", "beta", false },
                { "{'tenant':'acme','victims':[{'tenant':null},{'tenant':'beta'}]}", "beta", true },
                { "{'tenant':'acme','judged':{'victims':[" DB "]}}", "beta", true },
                /* a candidate that was not to blame learns nothing of it */
                { "{'tenant':'acme','judged':{'victims':[],'candidates':[" DB "]}}", "beta", false },
                { "{}", "beta", false },
                { "{'victims':'beta'}", "beta", false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                json_t *o = load(cases[i].object);

                if (telling_concerns(o, cases[i].tenant) != cases[i].concerns)
                        fail_msg("case %zu", i);
                json_decref(o);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sentences), cmocka_unit_test(test_events),
                cmocka_unit_test(test_sieve),     cmocka_unit_test(test_without_evidence),
                cmocka_unit_test(test_concerns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
