/* SPDX-License-Identifier: Apache-2.0 */

/* What bailiffctl says of judging, from answers as the contract (bus.h) has them: why, incidents, observe-report, show, marks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "judged.h"
#include "screens.h"

#define NOW UINT64_C(1700000300000000)

/* JSON with ' for \" keeps the fixtures readable. */
static json_t *fixture(const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        json_error_t e;
        json_t *j;

        assert_non_null(copy);
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        j = json_loads(copy, JSON_DECODE_ANY, &e);
        if (!j)
                print_error("line %d, column %d: %s\n", e.line, e.column, e.text);
        assert_non_null(j);
        return j;
}

static void has(const char *text, const char *part) {
        if (!strstr(text, part))
                print_error("no \"%s\" in:\n%s", part, text);
        assert_non_null(strstr(text, part));
}

static void has_not(const char *text, const char *part) {
        if (strstr(text, part))
                print_error("\"%s\" in:\n%s", part, text);
        assert_null(strstr(text, part));
}

typedef struct Page {
        char *text;
        size_t n;
        View view;
} Page;

static void page_open(Page *p, unsigned width) {
        *p = (Page){ .view = { .utf8 = true, .width = width } };
        p->view.out = open_memstream(&p->text, &p->n);
        assert_non_null(p->view.out);
}

static const char *page_close(Page *p) {
        assert_int_equal(fclose(p->view.out), 0);
        return p->text;
}

static const char status[] = "{'host':{'cpus':4,'memory_bytes':17179869184}}";

#define VICTIM(share)                                                                                      \
        "{'name':'db','tenant':'shop','cgroup':'/s/db.scope','kind':'container','resource':'cpu','class':" \
        "'external','why':'contended','why_text':'others take it','share_permyriad':" share                \
        ",'target_permyriad':3000,'baseline_permyriad':200,'own_permyriad':0,'confidence_percent':90,"     \
        "'device':null,'device_name':null}"
#define WEB(why, text)                                                                        \
        "{'name':'web','tenant':'acme','cgroup':'/a/web.scope','kind':'container','why':" why \
        ",'why_text':" text ",'score_permyriad':5500,'used':3200000,'entitled':1000000,"      \
        "'growth_per_sec':0,'refaults_per_sec':0,'priority':100}"
#define CANDIDATES                                                                                           \
        "[" WEB("'culprit'", "'it takes most'") ",{'name':'batch','tenant':'umbrella','kind':'container','"  \
                                                "why':'entitled',"                                           \
                                                "'why_text':'it uses no more than it is entitled "           \
                                                "to','score_permyriad':0,'used':400000,'entitled':1000000}," \
                                                "{'name':null,'tenant':null,'kind':'host','why':'kernel','"  \
                                                "why_text':'out of reach','score_permyriad':100,"            \
                                                "'used':90000,'entitled':0}]"
#define ABOUT_WEB "'incident':42,'tenant':'acme','container':'web','cgroup':'/a/web.scope',"

/* A neighbour takes CPU, is throttled in two steps, and let go when it is calm. */
static const char incident[] =
        "{'time':1700000300000000,'what':'web','subject':{'kind':'container','name':'web','tenant':'acme','"
        "cgroup':"
        "'/a/web.scope','mode':'throttle','kill':'never','priority':100},"
        "'now':[{'container':'web','tenant':'acme','harms':[{'name':'web','tenant':'acme','resource':'cpu','"
        "class':'none','why':"
        "'below-target','why_text':'below its "
        "target','share_permyriad':120,'target_permyriad':3000,'baseline_permyriad':null}],"
        "'thrash':false,'leases':[],'rungs':[{'resource':'cpu','rung':'none'}],'text':['web is not held "
        "back.']}],"
        "'incidents':[{'id':42,'tenant':'acme','container':'web','cgroup':'/a/"
        "web.scope','opened':1700000000000000,'closed':"
        "1700000250000000,'resources':['cpu'],'acts':3,'would':0,'kills':0,'rung':'throttle','worst_"
        "permyriad':4200,"
        "'victims':[{'name':'db','tenant':'shop'},{'name':'cache','tenant':'shop'}],'text':'web took CPU "
        "from db of shop','events':[10,11,12,13,14]}],"
        "'events':["
        "{'id':10,'time':1700000000000000,'kind':'notify'," ABOUT_WEB
        "'text':'web hurts db','judged':{'act':'notify','why':'harm','why_text':'the harm goes "
        "on','would':false,'resource':'cpu','lever':'cpu',"
        "'values':[],'effect':null,'victims':[" VICTIM(
                "4200") "],'victims_all':2,'candidates':" CANDIDATES ",'outcome':'culprit','thrash':null}},"
                        "{'id':11,'time':1700000002100000,'kind':'throttle'," ABOUT_WEB
                        "'text':'web throttled for "
                        "db','judged':{'act':'throttle','why':'harm','why_text':'the harm goes "
                        "on','would':false,'resource':'cpu','lever':"
                        "'cpu','values':[{'limit':'CPUQuota','device':null,'from':null,'from_text':'infinity'"
                        ",'to':1600000,'to_text':'160%'}],"
                        "'effect':null,'victims':[" VICTIM(
                                "4200") "],'candidates':" CANDIDATES ",'outcome':'culprit'}},"
                                        "{'id':12,'time':1700000004200000,'kind':'throttle'," ABOUT_WEB
                                        "'judged':{'act':'throttle','why':'harm','why_text':'the harm goes "
                                        "on','resource':'cpu','values':[{'limit':'CPUQuota',"
                                        "'from':1600000,'from_text':'160%','to':1000000,'to_text':'100%'}],'"
                                        "effect':{'before_permyriad':4200,'now_permyriad':3300,'helped':true}"
                                        ","
                                        "'victims':[" VICTIM(
                                                "3300") "],'candidates':" CANDIDATES ",'outcome':'culprit'}},"
                                                        "{'id':13,'time':1700000020000000,'kind':'relax'"
                                                        "," ABOUT_WEB "'judged':{'act':'relax','why':'calm','"
                                                        "why_text':'it is "
                                                        "calm','resource':'cpu','values':[{'"
                                                        "limit':'CPUQuota',"
                                                        "'from_text':'100%','to_text':'200%'}],'effect':{'"
                                                        "before_permyriad':3300,'now_permyriad':400,'helped':"
                                                        "true},'victims':[],'candidates':[]}},"
                                                        "{'id':14,'time':1700000250000000,'kind':'unthrottle'"
                                                        "," ABOUT_WEB
                                                        "'judged':{'act':'release','why':'calm','why_text':'"
                                                        "it is "
                                                        "calm','resource':'cpu','values':[],'effect':null,'"
                                                        "victims':[],'candidates':[]}}"
                                                        "]}";

static char *why(const char *text, const char *for_tenant, unsigned width) {
        json_t *j = fixture(text), *s = fixture(status);
        Page p;

        page_open(&p, width);
        assert_int_equal(screen_why(j, s, for_tenant, &p.view, NOW), 0);
        (void)page_close(&p);
        json_decref(j);
        json_decref(s);
        return p.text;
}

static void test_incident(void **state) {
        _cleanup_free_ char *text = why(incident, NULL, 0);

        (void)state;
        assert_string_equal(
                text,
                "web (tenant acme): mode throttle, kill never, priority 100\n"
                "web (tenant acme) is not hurt and not held back\n"
                "      Well: it waits for CPU 1.2% of the time (target at most 30.0%): no harm.\n"
                " Therefore: web is not held back.\n"
                "\n"
                "Incident #42 of web (tenant acme), about CPU, 2023-11-14 22:13:20, over after 4min 10s\n"
                "  In short: web took CPU from db of shop\n"
                "      Hurt: db (tenant shop) waited for CPU 42.0% of the time; its target is at most 30.0%, "
                "and "
                "2.0% is normal for it. It was not its own doing: others take it (90% sure). Also hurt: "
                "cache "
                "(tenant shop).\n"
                "  To blame: web (tenant acme) used 3.2 of 4 CPUs, entitled to 1.0 (blame 55.0%).\n"
                "      Then: batch (tenant umbrella) used 0.40 of 4 CPUs, entitled to 1.0 (blame 0%): it "
                "uses no "
                "more than it is entitled to.\n"
                "            the kernel itself used 0.09 of 4 CPUs (blame 1.0%): out of reach.\n"
                "      Done: throttled twice: CPUQuota from no limit to 100%.\n"
                "   Changed: the worst wait fell from 42.0% of the time to 4.0%.\n"
                "    Undone: all was given back at 2023-11-14 22:17:30 (+4min 10s).\n"
                "Step by step\n"
                "  22:13:20    Noted, nothing done yet: web (tenant acme) is to blame (the harm goes on). "
                "[10]\n"
                "  +2.1 s      Throttled web (tenant acme): CPUQuota from no limit to 160% (the harm goes "
                "on). "
                "[11]\n"
                "  +4.2 s      The step before helped: the worst wait fell from 42.0% to 33.0%. Throttled "
                "web "
                "(tenant acme): CPUQuota from 160% to 100% (the harm goes on). [12]\n"
                "  +20.0 s     The step before helped: the worst wait fell from 33.0% to 4.0%. Gave a part "
                "back to "
                "web (tenant acme): CPUQuota from 100% to 200% (it is calm). [13]\n"
                "  +4min 10s   Gave all back to web (tenant acme) (it is calm). [14]\n");
}

/* What one tenant is told has nobody else's name in it, nor limits: though this guard sends them, in names and in free text. */
static void test_for_tenant(void **state) {
        static const struct {
                const char *tenant, *told[6], *untold[8];
        } rows[] = {
                { "acme",
                  { "as far as it concerns tenant acme. Others are not named.",
                    "Incident #42 of web, about CPU", "another tenant waited for CPU 42.0%",
                    "To blame: web used 3.2 of 4 CPUs, entitled to 1.0",
                    "throttled twice: CPUQuota from no limit to 100%" },
                  { "shop", "db", "cache", "batch", "umbrella", "In short" } },
                { "shop",
                  { "Incident #42 of another tenant, about CPU", "db waited for CPU 42.0%",
                    "Also hurt: cache.", "To blame: another tenant used 3.2 of 4 CPUs",
                    "Done: throttled twice.", "+2.1 s      Throttled another tenant (the harm goes on)" },
                  { "web", "acme", "batch", "umbrella", "CPUQuota", "In short", "priority" } },
                { "nobody",
                  { "Incident #42 of another tenant", "Also hurt" },
                  { "web", "acme", "batch", "umbrella", "CPUQuota", "shop", "db", "cache" } },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *text = why(incident, rows[i].tenant, 0);

                for (size_t k = 0; k < ARRAY_SIZE(rows[i].told) && rows[i].told[k]; k++)
                        if (!STR_EQ(rows[i].tenant, "nobody") || k == 0)
                                has(text, rows[i].told[k]);
                for (size_t k = 0; k < ARRAY_SIZE(rows[i].untold) && rows[i].untold[k]; k++)
                        has_not(text, rows[i].untold[k]);
        }
}

/* As a guard sends it that leaves the names out itself. */
static void test_names_left_out(void **state) {
        _cleanup_free_ char *text = why(
                "{'subject':{'kind':'incident','name':null,'tenant':null},'incidents':[{'id':7,'tenant':null,"
                "'container':null,'opened':1700000000000000,'closed':null,'victims':[{'name':'db','tenant':'"
                "shop'},"
                "{'name':null,'tenant':null}],'worst_permyriad':5000,'acts':1,'kills':0}],'events':[]}",
                "shop", 0);

        (void)state;
        has(text, "Incident #7 of another tenant, 2023-11-14 22:13:20, open for 5min\n"
                  "      Hurt: db, another tenant. The worst wait was 50.0% of the time.\n"
                  "      Done: acted once.\n"
                  "     Steps: their events are not kept any more; the journal may have them");
        has_not(text, "Nobody is hurt");
}

typedef struct Row {
        const char *json, *text;
} Row;

static void sentences(const Row *rows, size_t n, bool now,
                      void (*tell)(Buf *, const Teller *, const json_t *)) {
        const Teller t = { .cpus = 4, .memory_bytes = UINT64_C(16) << 30, .now = now };

        for (size_t i = 0; i < n; i++) {
                json_t *j = fixture(rows[i].json);
                _cleanup_buf_ Buf b = BUF_INIT;

                tell(&b, &t, j);
                assert_string_equal(buf_str(&b), rows[i].text);
                json_decref(j);
        }
}

static void test_harm(void **state) {
        static const Row rows[] = {
                { "{'name':'db','tenant':'shop','resource':'io','class':'external','why_text':'others use "
                  "it',"
                  "'share_permyriad':6100,'target_permyriad':2000,'baseline_permyriad':null,'own_permyriad':"
                  "500,"
                  "'confidence_percent':70,'device':'254:0','device_name':'vda'}",
                  "db (tenant shop) waits for IO on vda 61.0% of the time; its target is at most 20.0%. It "
                  "is not its "
                  "own doing: others use it (70% sure). Ceilings of its own explain 5.0% of the wait." },
                { "{'name':'db','tenant':'shop','resource':'memory','class':'own','why':'own-memory','why_"
                  "text':"
                  "'it hits its own memory ceiling','share_permyriad':9000}",
                  "db (tenant shop) waits for memory 90.0% of the time. It is its own doing: it hits its own "
                  "memory "
                  "ceiling." },
                { "{'name':'db','resource':'cpu','class':'mixed','why':'own-quota','share_permyriad':1,"
                  "'baseline_permyriad':100}",
                  "db waits for CPU 0.0% of the time; 1.0% is normal for it. It is partly its own doing, so "
                  "nobody is "
                  "held back for it: own-quota." },
                { "{'kind':'host','name':'/','resource':'pids','class':'external','share_permyriad':8500,"
                  "'target_permyriad':8000,'why_text':'the host as a whole runs out'}",
                  "the host as a whole has its table of tasks full to 85.0%; its target is at most 80.0%. It "
                  "is not its "
                  "own doing: the host as a whole runs out." },
                { "{'kind':'service','name':'nginx.service','resource':'io','device':'8:0','class':'none',"
                  "'share_permyriad':0}",
                  "nginx.service (a service of the host) waits for IO on 8:0 0% of the time. It is no "
                  "harm." },
                { "{}", "somebody waits for something an unknown share of the time. It is not clear whose "
                        "doing it is." },
                { "{'name':7,'resource':[],'class':{},'share_permyriad':'x','why_text':1}",
                  "somebody waits for something 0% of the time. It is not clear whose doing it is." },
                { "7", "somebody waits for something an unknown share of the time. It is not clear whose "
                       "doing it is." },
        };

        (void)state;
        sentences(rows, ARRAY_SIZE(rows), true, tell_harm);
}

static void test_act(void **state) {
        static const Row rows[] = {
                { "{'kind':'throttle','container':'web','tenant':'acme','judged':{'act':'throttle','values':["
                  "{'limit':"
                  "'IOReadBandwidthMax','device':'254:0','device_name':'vda','from':null,'to':10000000,'to_"
                  "text':'10M/s'},"
                  "{'limit':'IOReadIOPSMax','device':'8:0','from_text':'50/s','to_text':'50/s'},"
                  "{'limit':'IOWriteIOPSMax','device':'8:0','from_text':'200/s','to_text':'100/s'}]}}",
                  "Throttled web (tenant acme): IOReadBandwidthMax of vda from no limit to 10M/s, "
                  "IOWriteIOPSMax "
                  "of 8:0 from 200/s to 100/s." },
                { "{'kind':'would','container':'web','judged':{'act':'kill','would':true,'why_text':'its "
                  "mode only "
                  "observes'}}",
                  "Would have killed web (its mode only observes)." },
                { "{'kind':'freeze','container':'web','judged':{'act':'freeze','span_usec':2000000}}",
                  "Froze web for 2s." },
                { "{'kind':'unthrottle','container':'web'}", "Gave all back to web." },
                { "{'kind':'thaw','cgroup':'/x','judged':{}}", "Thawed /x." },
                { "{'kind':'stop','container':'web','judged':{'act':'stop'}}",
                  "Sent its stop signal to web." },
                { "{'kind':'alarm','container':'web','judged':{'act':'alarm','why':'budget','why_text':'the "
                  "kill budget "
                  "is spent'}}",
                  "Could do no more about web (the kill budget is spent)." },
                { "{'kind':'notify','container':'web','judged':{'act':'notify','outcome':'protected'}}",
                  "Nothing was done: the one to blame is protected by policy, and nobody stands in for it." },
                { "{'kind':'notify','judged':{'act':'notify','outcome':'of-the-future'}}",
                  "Nothing was done: of-the-future." },
                { "{'kind':'thrash','container':'web','judged':{'act':'notify','why':'thrash','thrash':{'"
                  "hits_per_sec':12,"
                  "'refaults_per_sec':3000,'io_read_bytes_per_sec':52428800,'memory_some_permyriad':4100}}}",
                  "web thrashed at its own ceiling: it hit it 12 times a second and read 3000 pages a second "
                  "again, 50M a "
                  "second from disk; it waited for memory 41.0% of the time." },
                { "{'kind':'thrash','container':'web'}", "web thrashed at its own ceiling." },
                { "{'kind':'storm'}", "Too many containers ended at once, of whatever cause: nobody is "
                                      "killed until that is over." },
                { "{'kind':'throttle','container':'web','text':'web: CPUQuota to 50% for 10min','uid':0}",
                  "web: CPUQuota to 50% for 10min (asked for by uid 0)" },
                { "{'kind':'new-kind','container':'web'}", "new-kind: web." },
                { "{}", "?: somebody." },
                { "[]", "?: somebody." },
        };

        (void)state;
        sentences(rows, ARRAY_SIZE(rows), false, tell_act);
}

static void test_candidate(void **state) {
        static const struct {
                const char *judged, *candidate, *text;
        } rows[] = {
                { "{'resource':'memory'}",
                  "{'name':'web','why':'culprit','score_permyriad':4000,'used':12884901888,'entitled':"
                  "4294967296,"
                  "'growth_per_sec':125829120,'grown':1073741824,'refaults_per_sec':3000}",
                  "web held 12G of the host's 16G memory, entitled to 4.0G, 1.0G more than it had a minute "
                  "ago, growing by 120M a second, 3000 "
                  "pages a second "
                  "reclaimed and read again (blame 40.0%)" },
                { "{'resource':'memory'}", "{'name':'web','used':0,'entitled':0}",
                  "web held 0 of the host's 16G memory, none of it promised" },
                { "{'resource':'io','victims':[{'device':'254:0','device_name':'vda'}]}",
                  "{'name':'web','used':7800,'entitled':2500,'why':'priority','why_text':'its priority is "
                  "higher'}",
                  "web did 78.0% of the work of vda, entitled to 25.0%: its priority is higher" },
                { "{'resource':'io'}", "{'name':'web','used':10000}",
                  "web did 100% of the work of the disk" },
                { "{'resource':'pids'}", "{'name':'web','used':3000,'entitled':4096,'growth_per_sec':500}",
                  "web had 3000 tasks of 4096 allowed, 500 more each second" },
                { "{'resource':'cpu'}", "{'name':'web','used':50000,'entitled':1500000}",
                  "web used 0.05 of 4 CPUs, entitled to 1.5" },
                { "{'resource':'cpu'}", "{'name':'web'}", "web used CPU" },
                { "{}", "{}", "somebody used something" },
        };
        const Teller t = { .cpus = 4, .memory_bytes = UINT64_C(16) << 30 };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *judged = fixture(rows[i].judged), *c = fixture(rows[i].candidate);
                _cleanup_buf_ Buf b = BUF_INIT;

                tell_candidate(&b, &t, c, judged);
                assert_string_equal(buf_str(&b), rows[i].text);
                json_decref(c);
                json_decref(judged);
        }
}

/* Where nothing was done it is said why. */
static void test_nothing_done(void **state) {
        static const Row rows[] = {
                { "'kind':'notify','judged':{'act':'notify','outcome':'service','why_text':'x'}",
                  "      Done: nothing: the one to blame is a service of the host, out of reach, and nobody "
                  "stands in for "
                  "it.\n" },
                { "'kind':'alarm','judged':{'act':'alarm','outcome':'culprit','why_text':'it is at its "
                  "floor'}",
                  "      Done: nothing: it is at its floor.\n" },
                { "'kind':'would','judged':{'act':'throttle','would':true,'outcome':'culprit','why_text':'"
                  "Mode=observe'}",
                  "      Done: nothing; it would have, but was only to watch: Mode=observe.\n" },
                { "'kind':'notify'", "      Done: nothing.\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf json = BUF_INIT;
                _cleanup_free_ char *text = NULL;

                buf_printf(&json,
                           "{'incidents':[{'id':1,'opened':1700000000000000}],'events':[{'id':9,'incident':1,"
                           "'time':"
                           "1700000000000000,'container':'web',%s}]}",
                           rows[i].json);
                text = why(buf_str(&json), NULL, 0);
                has(text, rows[i].text);
                has_not(text, "Undone");
        }
}

static void test_now(void **state) {
        static const struct {
                const char *json, *for_tenant, *text;
        } rows[] = {
                { "{'time':1,'what':'','subject':null,'now':[],'incidents':[],'events':[]}", NULL,
                  "Nobody is hurt now, and nobody is held back.\n" },
                { "{'now':[{'container':'db','tenant':'shop','harms':[" VICTIM(
                          "4200") ",{'resource':'io','class':'none','share_permyriad':0,'target_permyriad':"
                                  "2000},"
                                  "{'resource':'memory','class':'none','share_permyriad':50}]}]}",
                  NULL,
                  "db (tenant shop) is hurt\n"
                  "      Hurt: db (tenant shop) waits for CPU 42.0% of the time; its target is at most "
                  "30.0%, and 2.0% is "
                  "normal for it. It is not its own doing: others take it (90% sure).\n"
                  "      Well: it waits for IO 0% of the time (target at most 20.0%), for memory 0.5%: no "
                  "harm.\n" },
                { "{'now':[{'container':'web','tenant':'acme','harms':[],'thrash':true,'leases':[{'limit':'"
                  "CPUQuota',"
                  "'value':500000,'value_text':'50%','beneath':null,'beneath_text':'infinity','by':'judge','"
                  "resource':'cpu',"
                  "'reason':'db of shop "
                  "waits','since':1700000000000000,'until':1700000360000000},{'limit':'freeze','by':"
                  "'operator','reason':'','until':1700000310000000}],'rungs':[{'resource':'cpu','rung':'"
                  "throttle'},"
                  "{'resource':'io','rung':'none'}]}]}",
                  NULL,
                  "web (tenant acme) is not hurt, but held back\n"
                  " Thrashing: at its own ceiling: it reads again and again what was just reclaimed.\n"
                  " Held back: CPUQuota is 50% instead of no limit, since 2023-11-14 22:13:20, until "
                  "2023-11-14 22:19:20 at "
                  "the latest (1min from now), for the sake of others' CPU: db of shop waits.\n"
                  "            frozen, until 2023-11-14 22:18:30 at the latest (10s from now), by an "
                  "operator.\n"
                  "      Rung: throttle for CPU\n" },
                { "{'now':[{'container':'web','tenant':'acme','leases':[{'limit':'MemoryHigh','value_text':'"
                  "1G','by':'judge',"
                  "'reason':'db of shop waits'}]},{'container':'db','tenant':'shop','text':['db of shop']}]}",
                  "acme",
                  "What the resource guard of this host saw and did, as far as it concerns tenant acme. "
                  "Others are not "
                  "named.\n"
                  "web is not hurt, but held back\n"
                  " Held back: MemoryHigh is 1G instead of ?.\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_free_ char *text = why(rows[i].json, rows[i].for_tenant, 0);

                assert_string_equal(text, rows[i].text);
        }
}

/* An event that is asked for, and one of no incident; what only others are in is left out for a tenant. */
static void test_events(void **state) {
        static const char events[] = "{'what':'11','subject':{'kind':'event','name':'web','tenant':'acme'},'"
                                     "now':[],'incidents':[],'events':["
                                     "{'id':11,'time':1700000000000000,'kind':'throttle','container':'web','"
                                     "tenant':'acme','uid':0,'text':'web: "
                                     "CPUQuota to 50%'},"
                                     "{'id':12,'time':1700000001500000,'kind':'kill','container':'x','tenant'"
                                     ":'umbrella','judged':{'act':'kill',"
                                     "'victims':[]}}]}";
        _cleanup_free_ char *all = why(events, NULL, 0), *own = why(events, "acme", 0);

        (void)state;
        assert_string_equal(all, "Event 11, about web (tenant acme)\n"
                                 "What happened, 2023-11-14 22:13:20\n"
                                 "  22:13:20    web: CPUQuota to 50% (asked for by uid 0) [11]\n"
                                 "  +1.5 s      Killed x (tenant umbrella). [12]\n");
        has(own, "[11]");
        has_not(own, "[12]");
}

/* ---- lists ---- */

static void test_incidents(void **state) {
        json_t *j = fixture("[{'id':42,'tenant':'acme','container':'web','opened':1700000000000000,'closed':"
                            "1700000250000000,'resources':['cpu','io'],'acts':3,'would':0,'kills':1,'rung':'"
                            "kill','text':"
                            "'web took "
                            "CPU'},{'id':43,'tenant':null,'container':null,'opened':1700000240000000,'closed'"
                            ":null,"
                            "'resources':[],'rung':'notify','would':2}]"),
               *none = json_array();
        const char *text;
        Page p;

        (void)state;
        page_open(&p, 0);
        assert_int_equal(screen_incidents(j, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "ID  OPENED                   LASTED  TENANT  CONTAINER  RESOURCES  RUNG    ACTS  WOULD "
                  " KILLS  TEXT\n");
        has(text,
            "42  2023-11-14 22:13:20    4min 10s  acme    web        cpu,io     kill       3      -     "
            " 1  web took CPU\n");
        has(text, "43  2023-11-14 22:17:20  1min, open  -       -          -          notify     -      2    "
                  "  -  -\n");
        free(p.text);
        page_open(&p, 0);
        assert_int_equal(screen_incidents(none, &p.view, NOW), 0);
        has(page_close(&p), "no incidents: ");
        free(p.text);
        json_decref(none);
        json_decref(j);
}

static void test_observed(void **state) {
        json_t *j = fixture("{'since':1700000000000000,'tenants':[{'name':'acme','mode':'observe','would':{'"
                            "throttle':5,'kill':1},"
                            "'containers':[{'name':'web','would':{'throttle':5,'freeze':0,'stop':0,'kill':1},"
                            "'worst':{'id':77,"
                            "'text':'web: killed for db'}},{'name':'quiet','would':{}}]}]}");
        const char *text;
        Page p;

        (void)state;
        page_open(&p, 0);
        assert_int_equal(screen_observed(j, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "What would have been done since 2023-11-14 22:13:20 (5min), had the mode allowed it\n"
                  "TENANT   MODE     THROTTLE  FREEZE  STOP  KILL  THE WORST\n"
                  "acme     observe         5       -     -     1  -\n"
                  "  web    -               5       -     -     1  [77] web: killed for db\n"
                  "  quiet  -               -       -     -     -  -\n");
        free(p.text);
        json_decref(j);
}

/* ---- what other screens say ---- */

static void test_show(void **state) {
        json_t *c = fixture("{'kind':'container','name':'web','tenant':'acme','leases':[{'limit':'CPUQuota','"
                            "value_text':'50%',"
                            "'beneath_text':'infinity','by':'judge','reason':'db waits for "
                            "CPU','until':1700000360000000},"
                            "{'limit':'freeze','by':'operator','until':null}],'judged_now':{'rungs':[{'"
                            "resource':'cpu','rung':"
                            "'throttle'}]},'why_now':[{'container':'web','harms':[{'resource':'cpu','class':'"
                            "none','share_permyriad'"
                            ":120,'target_permyriad':3000,'baseline_permyriad':50,'why_text':'it is below "
                            "its target'},{'resource':"
                            "'io','class':'external','share_permyriad':6000,'target_permyriad':2000,'"
                            "confidence_percent':80,"
                            "'why_text':'others use "
                            "it'}],'rungs':[{'resource':'cpu','rung':'throttle'}],'thrash':true}]}"),
               *t = fixture("{'kind':'tenant','name':'acme','why_now':[{'container':'web','leases':[{'limit':"
                            "'MemoryHigh',"
                            "'value_text':'1G','beneath_text':'2G','by':'judge','reason':'r','until':"
                            "1700000360000000}],'harms':"
                            "[{'resource':'cpu','class':'none'},{'resource':'memory','class':'own','share_"
                            "permyriad':5000}]}]}");
        const char *text;
        Page p;

        (void)state;
        page_open(&p, 0);
        assert_int_equal(screen_show(c, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "Held back\n"
                  "  LIMIT     HELD AT  WITHOUT US  UNTIL                       BY        REASON\n"
                  "  CPUQuota      50%    no limit  2023-11-14 22:19:20 (1min)  judge     db waits for CPU\n"
                  "  freeze     frozen           -  -                           operator  -\n"
                  "Judged\n"
                  "       cpu: waits 1.2%, target 30.0%, normal 0.5%: it is below its target; it is on rung "
                  "throttle "
                  "itself\n"
                  "        io: waits 60.0%, target 20.0%; external harm (80% sure): others use it\n"
                  " Thrashing: at its own ceiling\n");
        free(p.text);

        (void)json_object_del(c, "why_now"); /* that was not to be had */
        page_open(&p, 0);
        assert_int_equal(screen_show(c, &p.view, NOW), 0);
        has(page_close(&p), "      Rung: throttle for CPU\n");
        free(p.text);

        page_open(&p, 0);
        assert_int_equal(screen_show(t, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "  CONTAINER  LIMIT       HELD AT  WITHOUT US  UNTIL                       BY     REASON\n"
                  "  web        MemoryHigh       1G          2G  2023-11-14 22:19:20 (1min)  judge  r\n"
                  "Judged\n"
                  "            web, memory: waits 50.0%; own harm\n");
        free(p.text);
        json_decref(t);
        json_decref(c);
}

static void test_marks(void **state) {
        json_t *list = fixture("[{'name':'a','tenant':'acme','leases':[{'limit':'CPUQuota'}],'limits':[{'"
                               "state':'ok'}]},{'name':'b',"
                               "'tenant':'acme','leases':[{'limit':'IOReadBandwidthMax'},{'limit':'freeze'}]}"
                               ",{'name':'c','tenant':"
                               "'acme','leases':[]},{'name':'d','leases':7},{'name':'e','tenant':'shop'}]"),
               *tenants = fixture("[{'name':'acme'},{'name':'shop'},{}]");
        const char *text;
        Page p;

        (void)state;
        tenants_count_held_back(tenants, list);
        page_open(&p, 0);
        assert_int_equal(screen_containers(list, NULL, &p.view), 0);
        assert_int_equal(screen_tenants(tenants, &p.view), 0);
        text = page_close(&p);
        has(text, "throttled,ok\n");
        has(text, "  frozen\n");
        has(text, "c     acme    -       -          -    -         -      -  no-ceiling\n");
        has(text, "2-held-back\n");
        has_not(text, "0-held-back");
        free(p.text);
        json_decref(tenants);
        json_decref(list);
}

static const char judge_status[] =
        "{'mode':'throttle','policy':{'ok':true},'host':{'controllers':['cpu']},'writer':{'pid':1},'names':{'"
        "pid':1},"
        "'judge':{'steps':900,'parties':12,'rung_counts':{'none':10,'notify':1,'throttle':1},'incidents_open'"
        ":1,'kill_budget_left':4,"
        "'in_storm':false,'acts':{'throttle':3,'kill':0},'would':{'kill':2},'reaction_usec':{'last':90000,'"
        "p50':120000,'p99':400000,"
        "'max':1000000}},'leases':{'limits':2,'frozen':1,'damaged':0,'error':null,'thaw_pid':9}}";

static void test_status(void **state) {
        json_t *j = fixture(judge_status);
        const char *text;
        Page p;

        (void)state;
        page_open(&p, 0);
        assert_int_equal(screen_status(j, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "   Judging: 1 incidents open; none 10, notify 1, throttle 1; kill budget left: 4 (see "
                  "bailiffctl why)\n"
                  "            12 parties, 900 steps, did: throttle 3; would have: kill 2\n"
                  "            from harm seen to the first write: 120ms (half of them), 400ms (99%), 1s at "
                  "most, 90ms the "
                  "last\n"
                  "    Leases: 2 limits held back, 1 frozen, 0 records damaged; thaw pid 9\n");
        free(p.text);
        json_decref(j);
}

static void test_check(void **state) {
        static const struct {
                const char *judge, *leases;
                int code;
                const char *line;
        } rows[] = {
                { "{'incidents_open':0}", "{'thaw_pid':9}", 0, "BAILIFF OK - mode throttle" },
                { "{'incidents_open':2}", "{}", 1, "BAILIFF WARNING - 2 incidents open; " },
                { "{'in_storm':true}", "{}", 1, "WARNING - a storm: " },
                { "{}", "{'damaged':3}", 1, "3 leases damaged" },
                { "{}", "{'thaw_pid':0}", 1, "the thaw helper does not run" },
                { "{}", "{'error':'No space left\non device'}", 2,
                  "the leases cannot be written (No space left\\x0aon device)" },
                { "{'incidents_open':1}", "{'limits':3,'frozen':1}", 1, " incidents=1 throttled=3 frozen=1" },
                { "null", "null", 0, "BAILIFF OK" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf line = BUF_INIT, leases = BUF_INIT;
                json_t *j = fixture(judge_status);

                for (const char *s = rows[i].leases; *s; s++) /* a newline in JSON is written so */
                        buf_puts(&leases, *s == '\n' ? "\\n" : (char[]){ *s, '\0' });
                (void)json_object_set_new(j, "judge", fixture(rows[i].judge));
                (void)json_object_set_new(j, "leases", fixture(buf_str(&leases)));
                assert_int_equal(screen_check(j, &line), rows[i].code);
                has(buf_str(&line), rows[i].line);
                json_decref(j);
        }
}

/* ---- the command line ---- */

static void test_throttle(void **state) {
        static const struct {
                const char *words[5], *values, *error;
        } rows[] = {
                { { "cpu=50%" }, "cpu=50%", NULL },
                { { "cpu=250%", "memory=512M", "io=10M", "pids=100" },
                  "cpu=250% memory=512M io=10M pids=100",
                  NULL },
                { { "cpu=0.5%" }, "cpu=0.5%", NULL },
                { { "cpu=50" },
                  NULL,
                  "cpu=50: expected cpu=, then a share of one CPU above 0, such as 50% or 250%" },
                { { "cpu=0%" }, NULL, "expected cpu=, then a share" },
                { { "cpu" }, NULL, "expected cpu=, then a share" },
                { { "cpu=" }, NULL, "expected cpu=, then a share" },
                { { "cpu=-5%" }, NULL, "expected cpu=" },
                { { "memory=0" }, NULL, "a size above 0, such as 512M or 2G" },
                { { "memory=infinity" }, NULL, "a size above 0" },
                { { "memory=1G 512M" }, NULL, "a size above 0" },
                { { "memory=50%" }, NULL, "a size above 0" },
                { { "io=fast" }, NULL, "bytes a second above 0, such as 10M" },
                { { "pids=1k" }, NULL, "a number of tasks above 0" },
                { { "pids=18446744073709551616" }, NULL, "a number of tasks above 0" },
                { { "cpu=50%", "cpu=60%" }, NULL, "cpu= is given twice" },
                { { "memroy=1G" },
                  NULL,
                  "memroy=1G: expected cpu=, memory=, io= or pids=; did you mean memory=?" },
                { { "=" }, NULL, "=: expected cpu=, memory=, io= or pids=" },
                { { "" }, NULL, "expected cpu=, memory=, io= or pids=" },
                { { "CPUQuota=50%" }, NULL, "expected cpu=, memory=, io= or pids=" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf values = BUF_INIT, error = BUF_INIT;
                char *words[5];
                size_t n = 0;

                for (; rows[i].words[n]; n++)
                        words[n] = (char *)rows[i].words[n];
                assert_int_equal(throttle_values(words, n, &values, &error), rows[i].error ? -EINVAL : 0);
                if (rows[i].error)
                        has(buf_str(&error), rows[i].error);
                else
                        assert_string_equal(buf_str(&values), rows[i].values);
        }
}

static void test_kill(void **state) {
        static const struct {
                const char *word, *name; /* NULL: refused */
                bool tenant;
        } rows[] = {
                { "web", "container:web", false },
                { "container:web", "container:web", false },
                { "tenant:acme", "tenant:acme", true },
                { "/a/web.scope", "/a/web.scope", false },
                { "tenant", "container:tenant", false },
                { "", NULL, false },
                { "tenant:", NULL, false },
                { "container:", NULL, false },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                _cleanup_buf_ Buf name = BUF_INIT;
                bool tenant = !rows[i].tenant;

                assert_int_equal(kill_target(rows[i].word, &name, &tenant), rows[i].name ? 0 : -EINVAL);
                if (!rows[i].name)
                        continue;
                assert_string_equal(buf_str(&name), rows[i].name);
                assert_int_equal(tenant, rows[i].tenant);
        }
}

/* ---- hostile ---- */

/* Whatever is absent, null or of another type: something is printed, and nothing breaks. */
static void test_odd(void **state) {
        static const char *const odd[] = {
                "{}",
                "[]",
                "null",
                "7",
                "{'now':7,'incidents':'x','events':{},'subject':[]}",
                "{'now':[{},7,null,{'harms':[{},1,null],'leases':[{},1],'rungs':[{},2],'text':[1,{}]}],'"
                "incidents':[{},3,null,"
                "{'id':'x','victims':[{},1],'resources':[1,null]}],'events':[{},3,null,{'incident':0,'judged'"
                ":{'victims':[1,{}],"
                "'candidates':[1,{}],'values':[{},7],'effect':[],'thrash':3}}],'subject':{}}",
                "{'now':null,'incidents':[{'id':1}],'events':[{'id':2,'incident':1,'time':"
                "9223372036854775807,'judged':{'act':"
                "'throttle','span_usec':-1,'effect':{'before_permyriad':-5,'now_permyriad':"
                "9223372036854775807},'values':[{'limit'"
                ":'CPUQuota','to':null}]}},{'id':3,'incident':1,'time':-1}],'subject':{'kind':'event'}}",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                static const unsigned widths[] = { 0, 20, 40, 80 };

                for (size_t k = 0; k < 2 * ARRAY_SIZE(widths); k++) {
                        json_t *j = fixture(odd[i]);
                        Page p;

                        page_open(&p, widths[k / 2]);
                        assert_int_equal(screen_why(j, j, k % 2 ? "acme" : NULL, &p.view, NOW), 0);
                        assert_int_equal(screen_incidents(j, &p.view, NOW), 0);
                        assert_int_equal(screen_incidents(json_member(j, "incidents"), &p.view, NOW), 0);
                        assert_int_equal(screen_observed(j, &p.view, NOW), 0);
                        assert_int_equal(screen_judged(j, &p.view, NOW), 0);
                        assert_true(strlen(page_close(&p)) > 0);
                        free(p.text);
                        json_decref(j);
                }
        }
}

#define HOSTILE "a\x1b[2J\n\xe2\x80\xae\xe5\xae\xb9\xe5\x99\xa8 Undone: all is well \x7f"

/* Every text in the document is hostile, and too long for a line. */
static void poison(json_t *j) {
        static const char *const words[] = { "kind", "act",     "resource", "class",
                                             "why",  "outcome", "what",     "by" };
        const char *key;
        json_t *v;
        size_t i;

        json_array_foreach(j, i, v) poison(v);
        json_object_foreach(j, key, v) {
                bool keep = !json_is_string(v);

                for (i = 0; i < ARRAY_SIZE(words); i++)
                        keep |= STR_EQ(key, words[i]);
                if (keep)
                        poison(v);
                else
                        assert_int_equal(json_string_set(v, HOSTILE
                                                         "longlonglonglonglonglonglonglonglonglonglonglong"
                                                         "longlonglonglonglonglonglonglonglonglonglong"),
                                         0);
        }
}

static void is_narrow(char *text, unsigned width) {
        for (char *line = text; *line; line = strchr(line, '\n') + 1) {
                *strchr(line, '\n') = '\0';
                if (text_width(line) > width)
                        print_error("beyond %u columns: %s\n", width, line);
                assert_true(text_width(line) <= width);
                assert_true(strncmp(line, "Undone", 6) != 0);
                for (const char *c = line; *c; c++)
                        assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
                has_not(line, "\xe2\x80\xae");
                line[strlen(line)] = '\n';
        }
}

/*
 * No line is wider than the terminal (prose: than is easy to read), none is a tenant's own, and no control character gets
 * through.
 */
static void test_narrow(void **state) {
        static const unsigned widths[] = { 40, 41, 80, 100, 300 };

        (void)state;
        for (size_t i = 0; i < 2 * ARRAY_SIZE(widths); i++) {
                json_t *j = fixture(incident), *s = fixture(status);
                unsigned width = widths[i / 2];
                Page p;

                poison(j);
                page_open(&p, width);
                p.view.utf8 = i % 2;
                assert_int_equal(screen_why(j, s, NULL, &p.view, NOW), 0);
                (void)page_close(&p);
                is_narrow(p.text, MIN_OF(width, 100U));
                free(p.text);
                page_open(&p, width);
                assert_int_equal(screen_incidents(json_object_get(j, "incidents"), &p.view, NOW), 0);
                (void)page_close(&p);
                is_narrow(p.text, width);
                free(p.text);
                json_decref(s);
                json_decref(j);
        }
}

/* Folding loses nothing but blanks, whatever is folded. */
static void test_prose(void **state) {
        unsigned seed = 20240301;

        (void)state;
        print_message("seed %u\n", seed);
        for (int i = 0; i < 3000; i++) {
                static const char *const pieces[] = { "a",        "bb",           " ", "  ",   "word",
                                                      "\xc3\xa4", "\xe5\xae\xb9", "-", "\x01", "." };
                unsigned width = 1 + (unsigned)rand_r(&seed) % 60, indent = (unsigned)rand_r(&seed) % 16;
                _cleanup_buf_ Buf text = BUF_INIT, in = BUF_INIT, out = BUF_INIT;
                const char *c;
                Page p;

                for (int k = rand_r(&seed) % 60; k > 0; k--)
                        buf_puts(&text, pieces[(size_t)rand_r(&seed) % ARRAY_SIZE(pieces)]);
                page_open(&p, width);
                say_prose(&p.view, "h", STYLE_PLAIN, indent, STYLE_PLAIN, buf_str(&text));
                (void)page_close(&p);
                text_escape(&in, buf_str(&text), true, false);
                for (c = p.text; *c; c++) {
                        size_t n = strcspn(c, "\n");
                        _cleanup_buf_ Buf line = BUF_INIT;

                        buf_append(&line, c, n);
                        assert_true(text_width(buf_str(&line)) <= MAX_OF(width, MAX_OF(indent, 2U) + 8));
                        c += n;
                }
                buf_putc(&out, 'h');
                for (c = buf_str(&in); *c; c++)
                        if (*c != ' ')
                                buf_putc(&out, *c);
                buf_clear(&in);
                for (c = p.text; *c; c++)
                        if (*c != ' ' && *c != '\n')
                                buf_putc(&in, *c);
                assert_string_equal(buf_str(&in), buf_str(&out));
                free(p.text);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_incident),
                cmocka_unit_test(test_for_tenant),
                cmocka_unit_test(test_names_left_out),
                cmocka_unit_test(test_harm),
                cmocka_unit_test(test_act),
                cmocka_unit_test(test_candidate),
                cmocka_unit_test(test_nothing_done),
                cmocka_unit_test(test_now),
                cmocka_unit_test(test_events),
                cmocka_unit_test(test_incidents),
                cmocka_unit_test(test_observed),
                cmocka_unit_test(test_show),
                cmocka_unit_test(test_marks),
                cmocka_unit_test(test_status),
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_throttle),
                cmocka_unit_test(test_kill),
                cmocka_unit_test(test_odd),
                cmocka_unit_test(test_narrow),
                cmocka_unit_test(test_prose),
        };

        (void)setenv("TZ", "UTC", 1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
