/* SPDX-License-Identifier: Apache-2.0 */

/* bailiffctl's screens from canned answers of a guard, and what `policy suggest` writes, read back by the parser. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy.h"
#include "screens.h"

#define NOW UINT64_C(1700000000000000)

static json_t *load(const char *text) {
        json_error_t e;
        json_t *j = json_loads(text, 0, &e);

        if (!j)
                print_error("line %d: %s\n", e.line, e.text);
        assert_non_null(j);
        return j;
}

typedef struct Page {
        char *text;
        size_t n;
        View view;
} Page;

static void page_open(Page *p) {
        *p = (Page){ .view = { .utf8 = true } };
        p->view.out = open_memstream(&p->text, &p->n);
        assert_non_null(p->view.out);
}

static const char *page_close(Page *p) {
        assert_int_equal(fclose(p->view.out), 0);
        return p->text;
}

static void has(const char *text, const char *part) {
        if (!strstr(text, part))
                print_error("no \"%s\" in:\n%s", part, text);
        assert_non_null(strstr(text, part));
}

static void has_not(const char *text, const char *part) { assert_null(strstr(text, part)); }

/* ---- fixtures ---- */

static const char status_ok[] =
        "{'version':'0.1.0','pid':7,'started':1699999880000000,'mode':'ceilings','mode_reason':'[Host] Mode= "
        "of the policy',"
        "'paused':null,'policy':{'ok':true,'last_good':false,'loaded':1699999880000000,'files':['/etc/"
        "bailiff/policy.d/a.ini'],"
        "'report':'','warnings':['a.ini:3: warning: [Plan x] MemoryMin: inert']},"
        "'host':{'kernel':'6.1.0','memory_bytes':17179869184,'swap_bytes':0,'cpus':8,'controllers':['cpu','"
        "io','memory','pids'],"
        "'psi':true,'systemd':true},'missing':['no swap: MemorySwapMax has nothing to "
        "limit'],'rivals':['systemd-oomd.service'],"
        "'counts':{'containers':3,'held':2,'tenants':2,'unassigned':1,'drifted':0,'holds':0,'advisory':0,'"
        "squeezing':0},"
        "'drift':{'found':4,'repaired':4,'fights':0},'tree':{'nodes':9,'watches':5,'overflows':0,'rescans':0,"
        "'watch_failures':0},"
        "'bus':{'connected':true,'systemd':true,'pending':0},'journal':{'sent':1,'queued':0,'dropped':0,'"
        "backlog_bytes':0},"
        "'writer':{'pid':8,'pending':0},'names':{'pid':9,'pending':0},'ledger':{'records':2,'damaged':0,'"
        "error':null},"
        "'loop':{'iterations':5,'longest_usec':900,'rss_bytes':4194304,'cpu_usec':1000,'fds':20}}";

static const char containers[] =
        "{'containers':[{'cgroup':'/tenant.slice/tenant-acme.slice/"
        "docker-1111.scope','cgroup_id':11,'engine':'docker','id':'1111',"
        "'name':'web','image':'nginx','labels':{'com.docker.compose.project':'other'},'labels_in_files':true,"
        "'tenant':'acme',"
        "'tenant_by':{'class':'slice','file':'/etc/bailiff/policy.d/"
        "a.ini','line':9},'pending':false,'contradiction':null,'unit':null,"
        "'kube':false,'rootless':false,'held_at':'/tenant.slice/tenant-acme.slice/"
        "docker-1111.scope','protected':null,"
        "'mode':'ceilings','kill':'never','priority':100,'requested':[],'problem':null,'since':"
        "1699999880000000,'hold':null,"
        "'usage':{'memory_bytes':536870912,'tasks':20,'cpu_usec':1000000},"
        "'limits':[{'limit':'MemoryMax','device':null,'desired':1073741824,'desired_text':'1G','actual':"
        "1073741824,'actual_text':'1G',"
        "'want':2147483648,'want_text':'2G','state':'ok','origin':'policy','file':'/etc/bailiff/policy.d/"
        "a.ini','line':12,'drifts':2,"
        "'repairs':2,'cause':'reload','error':null},{'limit':'CPUQuota','device':null,'desired':500000,'"
        "desired_text':'50%',"
        "'actual':null,'actual_text':'infinity','want':null,'want_text':null,'state':'drifted','origin':'"
        "policy','file':null,"
        "'drifts':1,'repairs':0,'cause':'raw','error':null}],'notes':['IOWeight: no io.cost']},"
        "{'cgroup':'/system.slice/docker-2222.scope','cgroup_id':12,'engine':'docker',"
        "'id':'2222222222222222222222222222222222222222222222222222222222222222','name':'db\\u001b[31m','"
        "labels':"
        "{'com.docker.compose.project':'shop'},'tenant':'compose-shop','mode':'ceilings','kube':false,'hold':"
        "{'until':1700000600000000,"
        "'reason':'deploy','uid':0},'usage':{'memory_bytes':104857600,'tasks':3,'cpu_usec':0},"
        "'requested':[{'limit':'MemoryMax','device':null,'value':268435456,'text':'256M'}],'limits':[],'"
        "notes':['IOWeight: no io.cost']},"
        "{'cgroup':'/kubepods.slice/"
        "x','cgroup_id':13,'engine':'containerd','id':'3333','name':null,'tenant':'unassigned','kube':true,"
        "'mode':'ceilings','usage':{},'limits':[],'notes':[]}]}";

static const char tenants[] =
        "{'tenants':[{'name':'acme','rule':'tenant','plan':'gold','file':'/etc/bailiff/policy.d/"
        "a.ini','line':7,'mode':'ceilings',"
        "'kill':'never','priority':100,'sum':'exact','containers':1,'slices':['/tenant.slice/"
        "tenant-acme.slice'],"
        "'usage':{'memory_bytes':536870912,'tasks':20},'limits':[{'limit':'MemoryMax','device':null,'value':"
        "8589934592,'text':'8G',"
        "'file':'/etc/bailiff/policy.d/a.ini','line':8,'advisory':false}],'slice_limits':[{'cgroup':'/"
        "tenant.slice/tenant-acme.slice',"
        "'limits':[{'limit':'MemoryMax','state':'ok','actual':8589934592,'actual_text':'8G','desired_text':'"
        "8G','origin':'policy'}],"
        "'hold':null,'notes':[]}],'notes':[]},"
        "{'name':'compose-shop','rule':'template','plan':null,'mode':'ceilings','kill':'never','priority':"
        "100,'sum':'advisory',"
        "'containers':1,'slices':[],'usage':{'memory_bytes':104857600},'limits':[],'slice_limits':[],"
        "'notes':['apportioned; exact with a slice of its own']}]}";

/* JSON with ' for \" keeps the fixtures readable. */
static json_t *fixture(const char *text) {
        _cleanup_free_ char *copy = strdup(text);

        assert_non_null(copy);
        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        return load(copy);
}

/* ---- screens ---- */

static void test_status(void **state) {
        json_t *j = fixture(status_ok);
        const char *text;
        Page p;

        (void)state;
        page_open(&p);
        assert_int_equal(screen_status(j, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "bailiffd 0.1.0 on kernel 6.1.0, pid 7");
        has(text, "(2min)\n");
        has(text, "      Mode: ceilings ([Host] Mode= of the policy)\n");
        has(text, "    Policy: ok, 1 files");
        has(text, "  Warnings: a.ini:3: warning: [Plan x] MemoryMin: inert\n");
        has(text, "   Holding: 2 of 3 containers, 2 tenants, 1 containers unassigned\n");
        has(text, "   Missing: no swap");
        has(text, "    Rivals: systemd-oomd.service\n");
        has_not(text, "Paused");
        free(p.text);
        json_decref(j);
}

/* No member is needed; none makes it crash. */
static void test_absent(void **state) {
        static const char *const odd[] = {
                "{}", "{'counts':[],'policy':7,'paused':{},'host':null,'tenants':{},'containers':3}"
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
                json_t *j = fixture(odd[i]),
                       *list = fixture(
                               "[{}, 7, null, {'limits':[{},1],'usage':3,'labels':[],'slice_limits':[{}]}]"),
                       *found;
                _cleanup_buf_ Buf b = BUF_INIT;
                const json_t *o;
                size_t k;
                Page p;

                page_open(&p);
                assert_int_equal(screen_status(j, &p.view, NOW), 0);
                assert_int_equal(screen_check(j, &b), 2);
                assert_int_equal(screen_containers(list, NULL, &p.view), 0);
                assert_int_equal(screen_tenants(list, &p.view), 0);
                json_array_foreach(list, k, o) {
                        assert_int_equal(screen_show(o, &p.view, NOW), 0);
                        screen_event(o, &p.view);
                }
                assert_int_equal(screen_policy(j, &p.view), 0);
                assert_int_equal(screen_diff(j, &p.view), 0);
                assert_int_equal(screen_released(j, &p.view), 0);
                found = doctor_find(j, list, list);
                assert_non_null(found);
                assert_int_equal(screen_findings(found, &p.view), 0);
                buf_clear(&b);
                assert_int_equal(suggest_policy(list, NULL, 0, j, &b), 0);
                (void)page_close(&p);
                free(p.text);
                json_decref(found);
                json_decref(list);
                json_decref(j);
        }
}

static void test_check(void **state) {
        static const struct {
                const char *change; /* merged over status_ok */
                int code;
                const char *line;
        } rows[] = {
                { "{}", 0,
                  "BAILIFF OK - mode ceilings, 2 of 3 containers held, 2 tenants | containers=3 held=2" },
                { "{'counts':{'drifted':2}}", 1, "BAILIFF WARNING - 2 drifted; mode" },
                { "{'counts':{'advisory':1}}", 1, "1 sums advisory" },
                { "{'paused':{'until':null,'by':'file'}}", 1, "BAILIFF WARNING - paused;" },
                { "{'paused':{'until':null,'by':'release'}}", 1, "every ceiling was released" },
                { "{'policy':{'ok':false,'files':['a']}}", 1,
                  "policy refused, the earlier one stays in force" },
                { "{'policy':{'ok':false,'last_good':true}}", 2,
                  "BAILIFF CRITICAL - policy refused, the last good one serves" },
                { "{'policy':{'ok':false}}", 2, "BAILIFF CRITICAL - no policy is in force" },
                { "{'writer':{'pid':0}}", 2, "the writer helper does not run" },
                { "{'ledger':{'error':'No space left\\non device'}}", 2, "(No space left\\x0aon device)" },
                { "{'bus':{'systemd':false}}", 1, "systemd is not connected" },
                { "{'tree':{'fd_failures':2}}", 1, "for want of file descriptors" },
                { "{'mode':'observe','host':{'controllers':[]}}", 0, "BAILIFF OK - mode observe" },
                { "{'host':{'controllers':[]}}", 2, "no cgroup v2 controllers" },
                { "{'sampling':{'psi':false,'psi_error':null}}", 0, "BAILIFF OK" }, /* none was built in */
                { "{'sampling':{'psi':false,'psi_error':'Operation not supported'}}", 1,
                  "WARNING - no pressure can be read (Operation not supported);" },
                { "{'sampling':{'fd_failures':3}}", 1, "3 files not opened for want of descriptors" },
                { "{'sampling':{'books':{'damaged':2}}}", 1, "2 books damaged" },
                { "{'sampling':{'books':{'set_aside':true}}}", 1,
                  "the books of an earlier guard could not be used" },
                { "{'sampling':{'books':{'error':'No space left on device'}}}", 1,
                  "the books cannot be written (No space left on device)" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *j = fixture(status_ok), *change = fixture(rows[i].change);
                _cleanup_buf_ Buf line = BUF_INIT;

                assert_int_equal(json_object_update(j, change), 0);
                if (json_object_get(change, "counts")) /* keep what the row does not name */
                        (void)json_object_set_new(json_object_get(j, "counts"), "containers",
                                                  json_integer(3));
                assert_int_equal(screen_check(j, &line), rows[i].code);
                has(buf_str(&line), rows[i].line);
                has_not(buf_str(&line), "\n");
                json_decref(change);
                json_decref(j);
        }
}

static void test_lists(void **state) {
        json_t *c = fixture(containers), *t = fixture(tenants);
        const char *text;
        Page p;

        (void)state;
        page_open(&p);
        assert_int_equal(screen_containers(json_object_get(c, "containers"), NULL, &p.view), 0);
        text = page_close(&p);
        has(text, "NAME        TENANT        ENGINE      MODE         MEMORY  CPU  PRESSURE  TASKS  STATE\n");
        has(text,
            "web         acme          docker      ceilings    512M/1G    -         -     20  drifted\n");
        has(text, "db\\x1b[31m  compose-shop  docker      ceilings  100M/256M    -         -      3  hold\n");
        has(text, "3333        unassigned    containerd  ceilings          -    -         -      -  kube\n");
        free(p.text);
        page_open(&p);
        assert_int_equal(screen_tenants(json_object_get(t, "tenants"), &p.view), 0);
        text = page_close(&p);
        has(text, "acme          gold  ceilings           1  exact     512M/8G    -         -     20  ok\n");
        has(text, "compose-shop  -     ceilings           1  advisory     100M    -         -      -  "
                  "advisory,notes\n");
        free(p.text);
        json_decref(c);
        json_decref(t);
}

static void test_processes(void **state) {
        static const char waits[] =
                "{'processes':[{'pid':1501,'comm':'hog','threads':16,'cpu_usec':2500000,"
                "'span_cpu_usec':250000,'rss_bytes':1048576,'delays':{'cpu_usec':500000,"
                "'io_usec':2000}},{'pid':1502,'comm':'a\\u001b[31m','threads':1,'cpu_usec':0,"
                "'span_cpu_usec':0,'rss_bytes':0,'delays':{'io_usec':4000}}],"
                "'looked_at':2,'span_usec':500000,'by':'cpu','error':null}";
        _cleanup_buf_ Buf told = BUF_INIT;
        const char *text;
        json_t *o;
        Page p;

        (void)state;
        o = fixture(waits);
        page_open(&p);
        assert_int_equal(screen_processes(o, &p.view), 0);
        text = page_close(&p);
        has(text, "1501  hog");
        has(text, "50.0%");
        has(text, "CPU 100%");
        assert_null(strchr(text, '\033')); /* what it calls itself is its own */
        assert_null(strstr(text, "IO")); /* less than a hundredth of the time is nothing */
        assert_null(strstr(text, "task_delayacct"));
        free(p.text);
        (void)json_object_set(o, "processes_span_usec", json_object_get(o, "span_usec"));
        tell_processes(&told, o);
        has(buf_str(&told),
            "hog (pid 1501) used 50.0% CPU and 1.0M of memory, and waited for CPU 100% (its 16 threads "
            "together); ");
        json_decref(o);

        o = fixture("{'processes':[{'pid':1,'comm':'sh','delays':null}],'span_usec':500000,'error':null}");
        page_open(&p);
        assert_int_equal(screen_processes(o, &p.view), 0);
        has(page_close(&p), "kernel.task_delayacct is 0");
        free(p.text);
        json_decref(o);

        o = fixture("{'processes':[],'span_usec':0,'error':'bailiff-netlink is not there'}");
        page_open(&p);
        assert_int_equal(screen_processes(o, &p.view), 0);
        has(page_close(&p), "not known: bailiff-netlink is not there");
        free(p.text);
        buf_clear(&told);
        tell_processes(&told, o);
        assert_string_equal(buf_str(&told), "");
        json_decref(o);
}

static void test_show(void **state) {
        json_t *c = fixture(containers), *t = fixture(tenants), *o;
        const char *text;
        Page p;

        (void)state;
        o = json_array_get(json_object_get(c, "containers"), 0);
        (void)json_object_set_new(o, "kind", json_string("container"));
        (void)json_object_set_new(o, "events",
                                  fixture("[{'id':5,'time':1700000000000000,'kind':'set','tenant':'acme',"
                                          "'text':'web: MemoryMax from 2G to 1G'}]"));
        page_open(&p);
        assert_int_equal(screen_show(o, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "web (container, docker)\n");
        has(text, "    Tenant: acme, by its slice (/etc/bailiff/policy.d/a.ini:9)\n");
        has(text, "    Labels: com.docker.compose.project=other\n");
        has(text, "      Uses: memory 512M, tasks 20, CPU time 1s\n");
        has(text, "  MemoryMax             1G       1G                2G  512M (50%)  ok (2 drifts, 2 "
                  "repairs, last: reload)    policy "
                  "/etc/bailiff/policy.d/a.ini:12\n");
        has(text, "  CPUQuota        infinity      50%                 -           -  drifted (1 drifts, 0 "
                  "repairs, last: raw)");
        has(text, "     5 set           acme         web: MemoryMax from 2G to 1G\n");
        free(p.text);

        o = json_array_get(json_object_get(t, "tenants"), 0);
        (void)json_object_set_new(o, "kind", json_string("tenant"));
        page_open(&p);
        assert_int_equal(screen_show(o, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "acme (tenant)\n");
        has(text, "       Sum: exact, by slices of its own\n");
        has(text, "  MemoryMax               8G  in force  /etc/bailiff/policy.d/a.ini:8\n");
        has(text, "Limits of /tenant.slice/tenant-acme.slice\n");
        free(p.text);
        json_decref(c);
        json_decref(t);
}

/* A container with all that a guard measures, as a member of acme. */
static const char measured[] =
        "{'cgroup':'/tenant.slice/tenant-acme.slice/docker-1111.scope','cgroup_id':11,'engine':'docker',"
        "'id':'1111','name':'web','tenant':'acme','mode':'ceilings','kind':'container','unit':'x.scope',"
        "'usage':{'memory_bytes':536870912,'swap_bytes':1048576,'tasks':20,'cpu_usec':1000000},"
        "'measured':{'time':1700000000000000,'tier':'hot','tier_why':'cpu','sample':{'cpu_throttled_usec':"
        "3000000,'memory_peak_bytes':805306368,'anon_bytes':104857600},'working_set_bytes':419430400,"
        "'peak_kind':'reset',"
        "'rates':{'span_usec':1000000,'cpu_permyriad':3750,'throttled_permyriad':1200,'cpu_some_permyriad':"
        "4520,'cpu_full_permyriad':0,'memory_some_permyriad':7,'memory_full_permyriad':0,"
        "'io_some_permyriad':250,'io_full_permyriad':100,'irq_full_permyriad':0,'io_read_bytes':2097152,"
        "'io_write_bytes':0,'io_read_ops':40,'io_write_ops':0,'network_receive_bytes':3145728,"
        "'network_receive_packets':2000,'network_transmit_bytes':1024,'network_transmit_packets':9,"
        "'network_receive_packets_dropped':5,'network_receive_errors':0,"
        "'devices':[{'device':'8:0','io_read_bytes':1},"
        "{'device':'254:0','device_name':'vda','io_read_bytes':5000000,'io_write_bytes':0,'io_read_ops':40,"
        "'io_write_ops':0}]},'network':{'state':'own'},'baselines':{'cpu':120,'memory':null,'io':90,'days':3}"
        ",'trigger':true},"
        "'book':{'cpu_usec':7200000000,'memory_kib_seconds':3774873600,'peak_memory_bytes':1073741824,"
        "'network_receive_bytes':2147483648,'network_receive_packets_dropped':77,'oom_kills':2},"
        "'limits':[{'limit':'MemoryMax','device':null,'actual':1073741824,'actual_text':'1G','state':'ok'},"
        "{'limit':'MemorySwapMax','device':null,'actual':0,'actual_text':'0','state':'ok'},"
        "{'limit':'CPUQuota','device':null,'actual':500000,'actual_text':'50%','state':'ok'},"
        "{'limit':'TasksMax','device':null,'actual':40,'actual_text':'40','state':'ok'},"
        "{'limit':'IOReadBandwidthMax','device':'254:0','device_name':'vda','actual':10000000,'actual_text':"
        "'10M','state':'ok'},"
        "{'limit':'IOReadIOPSMax','device':'254:0','device_name':'vda','actual':null,'actual_text':"
        "'infinity','state':'ok'},"
        "{'limit':'IOWriteIOPSMax','device':'254:16','actual':100,'actual_text':'100','state':'ok'}]}";

static void test_measured(void **state) {
        json_t *o = fixture(measured), *list = json_pack("[O]", o);
        const char *text;
        Page p;

        (void)state;
        page_open(&p);
        assert_int_equal(screen_show(o, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "Measured\n     Looks: each second (hot): it uses CPU; the last at ");
        has(text, "; the kernel wakes us when it stalls\n");
        has(text, "     Rates: CPU 37.5%, read 2.0M/s (40/s), written 0/s (0/s), over 1s\n");
        has(text, "  Pressure: cpu some 45.2% full 0%, in calm 1.2% (of 3 days)\n"
                  "            memory some 0.0% full 0%, in calm not known yet\n"
                  "            io some 2.5% full 1.0%, in calm 0.9% (of 3 days)\n");
        has_not(text, "irq");
        has(text, "    Memory: working set 400M, anonymous 100M, peak since the look before 768M (exact)\n");
        has(text, " Throttled: by its CPU quota: 12.0% of the periods now, 3s in all\n");
        has(text, "      Used: CPU 2h, memory 1.00 GiB hours, peak 1.0G, received 2.0G, "
                  "77 packets dropped on arrival, 2 OOM kills\n");
        has(text, "   Network: received 3.0M/s (2000 packets/s), sent 1.0K/s (9 packets/s), 5/s dropped on "
                  "arrival\n");
        has(text, "  MemoryMax                          1G        -                 -   512M (50%)  ok");
        has(text, "  MemorySwapMax                       0        -                 -           1M  ok");
        has(text, "  CPUQuota                          50%        -                 -  37.5% (75%)  ok");
        has(text, "  TasksMax                           40        -                 -     20 (50%)  ok");
        has(text, "  IOReadBandwidthMax vda            10M        -                 -   5M/s (50%)  ok");
        has(text, "  IOReadIOPSMax vda            infinity        -                 -         40/s  ok");
        has(text, "  IOWriteIOPSMax 254:16             100        -                 -            -  ok");
        free(p.text);

        page_open(&p);
        p.view.width = 80;
        assert_int_equal(screen_containers(list, NULL, &p.view), 0);
        text = page_close(&p);
        has(text, "MEMORY        CPU   PRESSURE  TASKS  STATE\n");
        has(text, "512M/1G  37.5%/50%  cpu 45.2%  20/40  ok\n");
        free(p.text);
        json_decref(list);
        json_decref(o);
}

static void test_networks(void **state) {
        static const struct {
                const char *measured, *line; /* NULL: none */
        } rows[] = {
                { "{'tier':'hot','network':null}", NULL },
                { "{'tier':'hot','network':{'state':'own'}}", NULL }, /* no rate yet */
                { "{'tier':'hot','network':7,'rates':3}", NULL },
                { "{'tier':'hot','network':{'state':'host'}}",
                  "the host's: what it sends and receives is not counted\n" },
                { "{'tier':'hot','network':{'state':'shared','counted_at':'/x','counted_at_name':'web'}}",
                  "that of web, and counted there\n" },
                { "{'tier':'hot','network':{'state':'shared','counted_at':null,'counted_at_name':null}}",
                  "that of another container, and counted there\n" },
                { "{'tier':'hot','network':{'state':'unknown'}}",
                  "not known: it has no process that could be asked\n" },
                /* of a tenant */
                { "{'rates':{'network_receive_bytes':0,'network_transmit_errors':2}}",
                  "received 0/s (0 packets/s), sent 0/s (0 packets/s), 2/s errors on sending\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *o = fixture("{'kind':'container','cgroup':'/x','engine':'docker'}");
                const char *text, *at;
                Page p;

                (void)json_object_set_new(o, "measured", fixture(rows[i].measured));
                page_open(&p);
                assert_int_equal(screen_show(o, &p.view, NOW), 0);
                text = page_close(&p);
                at = strstr(text, "   Network: ");
                if (!at != !rows[i].line || (at && strncmp(at + 12, rows[i].line, strlen(rows[i].line))))
                        fail_msg("row %zu: %s", i, text);
                free(p.text);
                json_decref(o);
        }
}

/* What is sent and received there is turned around: it is told by where it leads. */
static void test_links(void **state) {
        static const struct {
                const char *links, *text; /* NULL: no line */
        } rows[] = {
                { "{}", NULL }, /* a guard that does not tell */
                { "{'links':[],'links_all':0,'links_error':null}",
                  " Host side: no link of the host leads to it\n" },
                { "{'links':[],'measured':{'tier':'hot','network':{'state':'host'}}}", NULL },
                { "{'links':null,'links_all':0,'links_error':'bailiff-netlink is not there'}",
                  " Host side: not known: bailiff-netlink is not there\n" },
                { "{'links':[{'name':'veth3f2a1b','master':'docker0','state':'up','to_container':{'bytes':1,"
                  "'packets':2,'errors':0,'dropped':0},'from_container':{'bytes':3,'packets':4,'errors':0,"
                  "'dropped':12}}],'links_all':1,'links_error':null}",
                  " Host side: veth3f2a1b on docker0, 0 dropped towards it, 12 dropped from it\n" },
                { "{'links':[{'name':'veth0','master':null,'state':'lowerlayerdown','to_container':{'errors':"
                  "5,'dropped':7},'from_container':{'errors':6,'dropped':8}}],'links_all':1}",
                  " Host side: veth0 (lowerlayerdown), 7 dropped towards it, 8 dropped from it, 5 errors "
                  "towards "
                  "it, 6 errors from it\n" },
                { "{'links':[{'name':'veth0'},{'name':'veth1'}],'links_all':9}",
                  " Host side: veth0, 0 dropped towards it, 0 dropped from it\n"
                  "            veth1, 0 dropped towards it, 0 dropped from it\n"
                  "            and 7 more links\n" },
                { "{'links':[{'name':'veth\\u001b[31m'}],'links_all':1}", " Host side: veth\\x1b[31m, 0" },
                { "{'links':7,'links_all':'x','links_error':3}", NULL },
                { "{'links':[3]}", " Host side: ?, 0 dropped" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *o = fixture("{'kind':'container','cgroup':'/x','engine':'docker','measured':{'tier':"
                                    "'hot','network':{'state':'own'}}}"),
                       *links = fixture(rows[i].links);
                const char *text;
                Page p;

                (void)json_object_update(o, links);
                page_open(&p);
                assert_int_equal(screen_show(o, &p.view, NOW), 0);
                text = page_close(&p);
                if (rows[i].text)
                        has(text, rows[i].text);
                else
                        assert_null(strstr(text, "Host side"));
                assert_null(strchr(text, '\033'));
                free(p.text);
                json_decref(o);
                json_decref(links);
        }
}

/* A tenant's books have what its dead used, and what nobody saw. */
static void test_tenant_books(void **state) {
        json_t *o =
                fixture("{'kind':'tenant','name':'acme','sum':'exact','measured':{'rates':{'cpu_permyriad':"
                        "20000}},'books':{'name':'acme','since':1699999880000000,"
                        "'book':{'cpu_usec':3600000000},'live':{'cpu_usec':60000000},'ended':{'cpu_usec':"
                        "3540000000,'ends':7,'starts':6},'unseen':{}}}");
        const char *text;
        Page p;

        (void)state;
        page_open(&p);
        assert_int_equal(screen_show(o, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "     Rates: CPU 200%\n");
        has(text, "    In all: CPU 1h\n   Running: CPU 1min\n     Ended: CPU 59min, 6 starts, 7 ends\n"
                  "    Unseen: nothing\n");
        free(p.text);
        json_decref(o);
}

/* No table is wider than the view, whatever is in it. */
static void test_narrow(void **state) {
        static const unsigned widths[] = { 40, 80, 100, 200 };
        json_t *list = json_array();

        (void)state;
        for (int i = 0; i < 1000; i++) {
                json_t *o = fixture(measured);

                (void)json_object_set_new(o, "name", json_sprintf("a-long-name-of-a-container-%d\x1b[2J", i));
                (void)json_object_set_new(o, "tenant", json_sprintf("a-long-name-of-a-tenant-%d", i % 7));
                (void)json_object_set_new(o, "engine", json_string("containerd"));
                (void)json_array_append_new(list, o);
        }
        for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
                size_t lines = 0;
                Page p;

                page_open(&p);
                p.view.width = widths[i];
                assert_int_equal(screen_containers(list, NULL, &p.view), 0);
                assert_int_equal(screen_tenants(list, &p.view), 0);
                (void)page_close(&p);
                for (char *line = p.text; *line; line = strchr(line, '\n') + 1) {
                        *strchr(line, '\n') = '\0';
                        assert_true(text_width(line) <= widths[i]);
                        has_not(line, "\x1b");
                        line[strlen(line)] = '\n';
                        lines++;
                }
                /* and that columns were left out */
                assert_int_equal(lines, 2 * 1001 + (widths[i] < 97) + (widths[i] < 90));
                free(p.text);

                page_open(&p); /* fields are not cut, tables are */
                p.view.width = widths[i];
                assert_int_equal(screen_show(json_array_get(list, 0), &p.view, NOW), 0);
                (void)page_close(&p);
                for (char *line = strstr(p.text, "  LIMIT"); *line; line = strchr(line, '\n') + 1) {
                        *strchr(line, '\n') = '\0';
                        assert_true(text_width(line) <= widths[i]);
                        line[strlen(line)] = '\n';
                }
                free(p.text);
        }
        json_decref(list);
}

static const char sampling[] =
        "{'loop':{'rss_bytes':4194304,'cpu_usec':1000,'longest_usec':900,'kernel_bytes':2097152,'beats':77,"
        "'late_usec':{'last':1,'p50':120,'p99':2500,'max':40000}},"
        "'sampling':{'hot':2,'cold':5,'slices':1,'looks':900,'files':8000,'kept_fds':20,'kept_cgroups':2,"
        "'evictions':0,'fd_failures':0,'peaks':'reset','psi':true,'psi_error':null,'triggers':{'host':3,"
        "'slices':1,'containers':0,'refused':0,'lost':0,'fired':9},'history':{'bytes':1048576,'chunks':4,"
        "'subjects':8,'first':1699999940000000,'dropped':0},'books':{'used':8,'damaged':0,'set_aside':false,"
        "'writes':900,'error':null}}}";

static void test_sampling(void **state) {
        json_t *j = fixture(status_ok), *more = fixture(sampling);
        _cleanup_buf_ Buf line = BUF_INIT;
        const char *text;
        Page p;

        (void)state;
        assert_int_equal(json_object_update(j, more), 0);
        page_open(&p);
        assert_int_equal(screen_status(j, &p.view, NOW), 0);
        text = page_close(&p);
        has(text, "  Sampling: 2 hot, 5 cold containers, 1 slices; 900 looks, 8000 files read\n"
                  "            20 fds kept for 2 cgroups, 0 evictions, 0 failures; peaks reset\n");
        has(text,
            "  Triggers: 3 on the host, 1 on slices, 0 on containers; 0 refused, 0 lost, fired 9 times\n");
        has(text, "   History: 1min back, 1.0M in 4 chunks, 8 subjects, 0 samples dropped\n");
        has(text, "     Books: 8 on file, 0 damaged, 900 writes\n");
        has(text, "77 beats, late by 120us (half of them), 2ms (99%), 40ms at most\n");
        has(text, "kernel memory 2.0M\n");
        free(p.text);
        assert_int_equal(screen_check(j, &line), 0);
        has(buf_str(&line), " fights=0c hot=2 cold=5 late_p99=2500us");
        json_decref(more);
        json_decref(j);
}

/* What the kernel says of processes, and what it does not. */
static void test_heard(void **state) {
        static const struct {
                const char *netlink, *has;
        } rows[] = {
                { "{'netlink':{'connected':true,'wants':['mains'],'events_error':null,'tasks_error':null,'"
                  "watched':3,"
                  "'exits':2,'lost_events':0,'lost_records':0}}",
                  " Processes: 3 main processes watched, 2 have ended; 0 events lost\n" },
                { "{'netlink':{'connected':false,'wants':['mains'],'events_error':null,'tasks_error':null}}",
                  " Processes: how they end and who forks is not known: bailiff-netlink is not there\n" },
                { "{'netlink':{'connected':false,'wants':[],'events_error':null,'tasks_error':null}}",
                  " Processes: 0 main processes watched, 0 have ended; 0 events lost\n" },
                { "{'netlink':{'connected':true,'wants':['mains'],'events_error':'no "
                  "\\u001b','tasks_error':'not this'}}",
                  " Processes: how they end and who forks is not known: no \\x1b\n" },
                { "{'netlink':{'connected':true,'wants':['tasks'],'events_error':null,'tasks_error':'no "
                  "taskstats',"
                  "'lost_events':5,'lost_records':1}}",
                  "; 6 events lost\n            what short lives used is not known: no taskstats\n" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                json_t *j = fixture(status_ok), *more = fixture(rows[i].netlink);
                Page p;

                assert_int_equal(json_object_update(j, more), 0);
                page_open(&p);
                assert_int_equal(screen_status(j, &p.view, NOW), 0);
                has(page_close(&p), rows[i].has);
                free(p.text);
                json_decref(more);
                json_decref(j);
        }
}

static void test_diff(void **state) {
        json_t *j = fixture(
                "{'ok':true,'report':'','changes':[{'cgroup':'/"
                "x','container':'db','tenant':'acme','limit':'MemoryMax',"
                "'device':null,'from':null,'from_text':null,'to':1073741824,'to_text':'1G',"
                "'mode':'ceilings','danger':'3.1G now, new max 1G: would OOM'},"
                "{'cgroup':null,'container':null,'tenant':'zeta','limit':'TasksMax','device':null,"
                "'from':1000,'from_text':'1000','to':null,'to_text':null,'mode':'observe','danger':null}]}");
        const char *text;
        Page p;

        (void)state;
        page_open(&p);
        assert_int_equal(screen_diff(j, &p.view), 0);
        text = page_close(&p);
        has(text,
            "db         acme    MemoryMax  not set          1G  ceilings  3.1G now, new max 1G: would OOM\n");
        has(text, "(sum)      zeta    TasksMax      1000  given back  observe   -\n");
        has(text, "1 of these is not written: Mode=ceilings or enforce would\n");
        free(p.text);
        json_decref(j);
}

static void test_events(void **state) {
        json_t *j = fixture("{'id':1,'time':1700000000000000,'kind':'policy','text':'refused:\\na.ini:1: "
                            "x\\u001b[2J\\n','uid':0,'pid':9}");
        const char *text;
        Page p;

        (void)state;
        page_open(&p);
        screen_event(j, &p.view);
        text = page_close(&p);
        has(text, "refused:\n    a.ini:1: x\\x1b[2J (uid 0, pid 9)\n");
        free(p.text);
        json_decref(j);
}

static void test_doctor(void **state) {
        json_t *s = fixture(status_ok), *c = fixture(containers), *t = fixture(tenants), *found;
        const char *text;
        Page p;

        (void)state;
        found = doctor_find(s, json_object_get(c, "containers"), json_object_get(t, "tenants"));
        page_open(&p);
        assert_int_equal(screen_findings(found, &p.view), 0);
        text = page_close(&p);
        has(text, "host          no swap: MemorySwapMax has nothing to limit\n");
        has(text, "systemctl disable --now systemd-oomd.service\n");
        has(text, "ceiling       web, db\\x1b[31m: IOWeight: no io.cost\n"); /* one finding for both */
        has(text, "ceiling       web: CPUQuota is looser than policy says");
        has(text, "cgroup_parent: tenant-compose_shop.slice ");
        has(text, "hold          db\\x1b[31m: left alone until ");
        free(p.text);
        json_decref(found);

        found = doctor_find(NULL, NULL, NULL);
        assert_int_equal(json_array_size(found), 0);
        json_decref(found);
        json_decref(s);
        json_decref(c);
        json_decref(t);
}

/* ---- suggest ---- */

static Policy *parsed(const char *text) {
        PolicyText file = { "suggested.ini", text, strlen(text) };
        _cleanup_(diags_deinit) Diags diags = {};
        _cleanup_buf_ Buf report = BUF_INIT;
        Policy *p = NULL;

        (void)policy_parse(&file, 1, &diags, &p);
        (void)diags_format(&diags, &report);
        if (!p || diags.n_errors + diags.n_warnings > 0)
                print_error("%s\n%s", buf_str(&report), text);
        assert_int_equal(diags.n_errors + diags.n_warnings, 0);
        assert_non_null(p);
        return p;
}

static Policy *suggest(const char *list, Buf *text) {
        json_t *j = fixture(list), *s = fixture(status_ok);

        assert_int_equal(
                suggest_policy(json_is_array(j) ? j : json_object_get(j, "containers"), NULL, 0, s, text), 0);
        json_decref(j);
        json_decref(s);
        return parsed(buf_str(text));
}

static void test_suggest(void **state) {
        _cleanup_buf_ Buf text = BUF_INIT;
        _cleanup_policy_ Policy *p = suggest(containers, &text);
        const PolicyTenant *t;

        (void)state;
        assert_int_equal(p->host.values[PK_MODE].u, MODE_OBSERVE);
        t = policy_find_tenant(p, "acme");
        assert_non_null(t);
        assert_int_equal(t->matches[0].class, MATCH_SLICE);
        assert_string_equal(t->matches[0].pattern, "tenant-acme.slice");
        has(buf_str(&text), "MemoryMax=1G\n");
        assert_non_null(policy_find_tenant(p, "compose-shop"));
        assert_int_equal(p->n_templates, 1);
        has(buf_str(&text), "db\\x1b[31m");
        has(buf_str(&text), "; 1 containers belong to kubelet");
}

/* Whatever tenants call themselves, what comes out parses, and no line of it is theirs. */
static void test_suggest_hostile(void **state) {
        static const char *const lists[] = {
                "[]",
                "[{'cgroup':'/system.slice/"
                "docker-1.scope','name':'x\\n[Host]\\nMode=off','labels':{'com.docker.compose.project':"
                "'y\\n[Tenant evil]\\nMatch=name=*'}}]",
                "[{'cgroup':'/tenant-a\\\\x2db.slice/docker-1.scope'},{'cgroup':'/tenant-a-b.slice/"
                "docker-1.scope'},"
                "{'cgroup':'/unassigned.slice/docker-1.scope'},{'cgroup':'/a*.slice/docker-1.scope'},"
                "{'cgroup':'/a "
                "b.slice/docker-1.scope'},{'cgroup':'/.slice/docker-1.scope'},{'cgroup':'/-.slice/x.scope'}]",
                "[{'cgroup':'/t.slice/t-a.slice/t-a-b.slice/x.scope'},{'cgroup':'/t.slice/t-a.slice/"
                "y.scope'}]",
                "[{'cgroup':'/user.slice/user-1000.slice/user@1000.service/x.scope','rootless':true},"
                "{'cgroup':'/user.slice/user-0.slice/x.scope'},{'cgroup':'/user.slice/user-99999999999.slice/"
                "x.scope'}]",
                "[{'cgroup':'/system.slice/a.scope','labels':{'com.docker.compose.project':'..'}},"
                "{'cgroup':'/system.slice/b.scope','labels':{'com.docker.compose.project':'"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}},"
                "{'cgroup':'/system.slice/"
                "c.scope','labels':{'com.docker.compose.project':'ok'},'usage':{'memory_bytes':"
                "9223372036854775807,'tasks':9223372036854775807,'cpu_usec':1}}]",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                _cleanup_buf_ Buf text = BUF_INIT;
                _cleanup_policy_ Policy *p = suggest(lists[i], &text);

                assert_int_equal(p->host.values[PK_MODE].u, MODE_OBSERVE);
                assert_null(policy_find_tenant(p, "evil"));
                if (i == 3) { /* the outermost slice that holds some has them all */
                        assert_int_equal(p->n_tenants, 1);
                        assert_string_equal(p->tenants[0].name, "t-a");
                }
                if (i == 2) {
                        assert_non_null(policy_find_tenant(p, "a_x2db"));
                        assert_non_null(policy_find_tenant(p, "a-b"));
                }
                if (i == 4)
                        assert_int_equal(p->n_tenants, 1);
        }
}

/* 180 projects: a template alone is enough beyond a hundred. */
static void test_suggest_many(void **state) {
        _cleanup_buf_ Buf text = BUF_INIT;
        _cleanup_policy_ Policy *p = NULL;
        json_t *list = json_array();

        (void)state;
        for (int i = 0; i < 180; i++)
                (void)json_array_append_new(list, json_pack("{s:o, s:{s:o}}", "cgroup",
                                                            json_sprintf("/system.slice/docker-%d.scope", i),
                                                            "labels", "com.docker.compose.project",
                                                            json_sprintf("p%d", i)));
        assert_int_equal(suggest_policy(list, NULL, 0, NULL, &text), 0);
        p = parsed(buf_str(&text));
        assert_int_equal(p->n_tenants, 0);
        assert_int_equal(p->n_templates, 1);
        assert_int_equal(p->templates[0].max_tenants, 500);
        json_decref(list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status),       cmocka_unit_test(test_absent),
                cmocka_unit_test(test_check),        cmocka_unit_test(test_lists),
                cmocka_unit_test(test_processes),    cmocka_unit_test(test_show),
                cmocka_unit_test(test_heard),        cmocka_unit_test(test_diff),
                cmocka_unit_test(test_measured),     cmocka_unit_test(test_networks),
                cmocka_unit_test(test_links),        cmocka_unit_test(test_tenant_books),
                cmocka_unit_test(test_narrow),       cmocka_unit_test(test_sampling),
                cmocka_unit_test(test_events),       cmocka_unit_test(test_doctor),
                cmocka_unit_test(test_suggest),      cmocka_unit_test(test_suggest_hostile),
                cmocka_unit_test(test_suggest_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
