/* SPDX-License-Identifier: Apache-2.0 */

/* Which cgroup is whose, where its use is booked, and what of it is told: world.c, tenant.c, ledgers.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include <jansson.h>

#include "guard-bed.h"

#define OUTER "/tenant.slice/tenant-acme.slice"
#define INNER OUTER "/tenant-acme-web.slice"

#define NOBODY "[Host]\nMode=observe\n"
#define BY_SLICE NOBODY "[Tenant acme]\nMatch=slice=tenant-acme.slice\n"
#define BY_LABEL NOBODY "[Tenant acme]\nMatch=label=project=acme\n"
#define BY_BOTH BY_SLICE "Match=label=project=acme\n"

/* ---- books ---- */

/* Who leaves together with the slice has used nothing beside it. */
static void test_leave_with_slice(void **state) {
        Bed *b = *state;
        char web[256];

        bed_mkcg(b, OUTER);
        bed_docker(b, OUTER, 1, "acme", web);
        bed_start(b, BY_SLICE);
        assert_string_equal(bed_tenant(b, web), "acme");
        assert_string_equal(bed_tenant(b, OUTER), "acme");
        bed_look(b);
        bed_cpu(b, web, 100);
        bed_cpu(b, OUTER, 120);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 120);

        bed_reload(b, NOBODY);
        assert_string_equal(bed_tenant(b, web), "unassigned");
        assert_int_equal(bed_total(b, "acme"), 120);
        assert_int_equal(bed_total(b, "unassigned"), 0);
}

/* Nor has who stays behind, by its label. */
static void test_stay_without_slice(void **state) {
        Bed *b = *state;
        char web[256];

        bed_mkcg(b, OUTER);
        bed_docker(b, OUTER, 1, "acme", web);
        bed_start(b, BY_BOTH);
        bed_look(b);
        bed_cpu(b, web, 100);
        bed_cpu(b, OUTER, 120);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 120);

        bed_reload(b, BY_LABEL);
        assert_string_equal(bed_tenant(b, web), "acme");
        assert_null(bed_target(b, OUTER));
        assert_int_equal(bed_total(b, "acme"), 120);
        bed_cpu(b, web, 130);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 150);

        /* And back: what it used until then was outside of the slice. */
        bed_cpu(b, OUTER, 160);
        bed_reload(b, BY_BOTH);
        bed_look(b);
        bed_cpu(b, web, 140);
        bed_cpu(b, OUTER, 190);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 150 + 30);
}

/* The same where the guard was away when the policy changed. */
static void test_leave_with_slice_over_restart(void **state) {
        Bed *b = *state;
        char web[256];

        bed_mkcg(b, OUTER);
        bed_docker(b, OUTER, 1, "acme", web);
        bed_start(b, BY_SLICE);
        bed_look(b);
        bed_cpu(b, web, 100);
        bed_cpu(b, OUTER, 120);
        bed_look(b);
        bed_stop(b);

        bed_start(b, NOBODY);
        assert_string_equal(bed_tenant(b, web), "unassigned");
        assert_int_equal(bed_total(b, "acme"), 120);
        assert_int_equal(bed_total(b, "unassigned"), 0);
}

/* A slice within a slice: each change of who carries the sum counts once. */
static void test_nested_slices(void **state) {
        Bed *b = *state;
        char web[256];

        bed_mkcg(b, INNER);
        bed_docker(b, INNER, 1, "acme", web);
        bed_start(b, NOBODY "[Tenant acme]\nMatch=slice=tenant-acme-web.slice\n");
        bed_look(b);
        bed_cpu(b, web, 100);
        bed_cpu(b, INNER, 100);
        bed_cpu(b, OUTER, 100);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 100);
        bed_reload(b, BY_SLICE "Match=slice=tenant-acme-web.slice\n");
        assert_string_equal(bed_tenant(b, OUTER), "acme");
        assert_null(bed_target(b, INNER));
        bed_look(b);
        bed_cpu(b, web, 150);
        bed_cpu(b, OUTER, 160);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 160);
        bed_reload(b, NOBODY);
        assert_int_equal(bed_total(b, "acme"), 160);
        assert_int_equal(bed_total(b, "unassigned"), 0);
}

#define ALICE "/user.slice/user-1000.slice"
#define STAFF NOBODY "[Tenant staff]\nMatch=user=@staff\n"

static void groups(Bed *b, const char *text) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/etc/group", b->names);
        bed_write(path, text);
}

static Target *ask_again(Bed *b, const char *cgroup) {
        Target *t = bed_target(b, cgroup);

        assert_non_null(t);
        world_ask_names(b->g, t, clock_monotonic());
        bed_sync(b);
        return t;
}

/* Of a slice that may be somebody's nothing is in anybody's books until it is. */
static void test_pending_slice(void **state) {
        Bed *b = *state;
        uint64_t id;

        bed_users(b, NULL);
        groups(b, "staff:x:50:alice\n");
        bed_mkcg(b, ALICE);
        bed_start(b, STAFF);
        assert_string_equal(bed_tenant(b, ALICE), "-");
        bed_look(b);
        bed_cpu(b, ALICE, 100);
        bed_look(b);
        bed_rmcg(b, ALICE);
        bed_sync(b);
        assert_int_equal(bed_total(b, "unassigned"), 0);

        /* Nor over a restart. */
        bed_mkcg(b, ALICE);
        bed_sync(b);
        bed_look(b);
        bed_cpu(b, ALICE, 100);
        bed_look(b);
        bed_stop(b);
        bed_rmcg(b, ALICE);
        bed_start(b, STAFF);
        assert_int_equal(bed_total(b, "unassigned"), 0);

        /* Somebody's, and then anybody's again: what it used as a tenant's stays there. */
        bed_users(b, "alice:x:1000:1000::/:\n");
        bed_mkcg(b, ALICE);
        bed_sync(b);
        assert_string_equal(bed_tenant(b, ALICE), "staff");
        bed_look(b);
        bed_cpu(b, ALICE, 100);
        bed_look(b);
        assert_int_equal(bed_total(b, "staff"), 100);
        bed_users(b, NULL);
        id = bed_target(b, ALICE)->id;
        bed_reload(b, NOBODY);
        BED_UNTIL(b, !map_get_u64(&b->g->targets, id)); /* until then it is known who alice is */
        bed_reload(b, STAFF);
        assert_string_equal(bed_tenant(b, ALICE), "-");
        bed_look(b);
        bed_cpu(b, ALICE, 130);
        bed_look(b);
        bed_reload(b, NOBODY);
        assert_int_equal(bed_total(b, "staff"), 100);
        assert_int_equal(bed_total(b, "unassigned"), 0);
}

/* One whose tenant is not known any more takes nothing of that tenant's to the next. */
static void test_pending_again(void **state) {
        Bed *b = *state;
        Target *t;

        bed_users(b, NULL);
        bed_mkcg(b, ALICE);
        bed_start(b, NOBODY "[Tenant acme]\nMatch=user=1000\n");
        assert_string_equal(bed_tenant(b, ALICE), "acme");
        bed_look(b);
        bed_cpu(b, ALICE, 100);
        bed_look(b);
        bed_reload(b, STAFF);
        assert_string_equal(bed_tenant(b, ALICE), "-");
        assert_int_equal(bed_total(b, "acme"), 100);
        bed_cpu(b, ALICE, 120);
        bed_look(b);
        bed_users(b, "alice:x:1000:50::/:\n");
        groups(b, "staff:x:50:\n");
        t = ask_again(b, ALICE);
        assert_string_equal(t->tenant->name, "staff");
        assert_int_equal(bed_total(b, "acme"), 100);
        assert_int_equal(bed_total(b, "staff"), 20);
}

/* ---- beginnings ---- */

/* One that was made right before a reload has begun like any other. */
static void test_born_before_reload(void **state) {
        Bed *b = *state;
        char web[256], old[256];
        Target *t;

        bed_mkcg(b, "/docker");
        bed_docker(b, "/docker", 1, "acme", old);
        bed_mkcg(b, "/system.slice/shop.service");
        bed_start(b, BY_LABEL);
        /* Nobody has heard of it when the new policy comes. */
        (void)sd_event_source_set_enabled(b->g->tree_source, SD_EVENT_OFF);
        bed_docker(b, "/docker", 2, "acme", web);
        bed_cpu(b, web, 30);
        bed_reload(b, BY_LABEL "Match=path=/system.slice/shop.service\n");
        (void)sd_event_source_set_enabled(b->g->tree_source, SD_EVENT_ON);
        t = bed_target(b, web);
        assert_non_null(t);
        assert_true(t->birth_due > 0);
        assert_true(t->m.born);
        bed_look(b);
        assert_int_equal(bed_total(b, "acme"), 30);
        assert_int_equal(bed_starts(b, "acme"), 1);
        assert_int_equal(bed_target(b, old)->birth_due, 0);
        /* This one was there; only the policy makes it a container. */
        t = bed_target(b, "/system.slice/shop.service");
        assert_non_null(t);
        assert_int_equal(t->birth_due, 0);
        assert_false(t->m.born);
}

/* ---- templates ---- */

#define TEMPLATE                                             \
        NOBODY "[Template compose]\nMatch=label=project=*\n" \
               "Tenant=c-%v\nMaxTenants=1\nPriority=7\n"     \
               "[Tenant c-shop]\nMatch=slice=shop.slice\nPriority=9\n"

/* The section decides, though a container of the template's came first; and it is none of the template's tenants. */
static void test_template_first(void **state) {
        Bed *b = *state;
        char web[256], own[256], other[256];

        bed_mkcg(b, "/docker");
        bed_docker(b, "/docker", 1, "shop", web);
        bed_start(b, TEMPLATE);
        assert_string_equal(bed_tenant(b, web), "c-shop");
        assert_int_equal(bed_target(b, web)->tenant->settings.priority, 9);
        assert_int_equal(bed_target(b, web)->settings.priority, 9);
        assert_false(bed_target(b, web)->tenant->template);
        bed_docker(b, "/docker", 2, "other", other);
        bed_mkcg(b, "/shop.slice");
        bed_docker(b, "/shop.slice", 3, "other", own);
        bed_sync(b);
        assert_string_equal(bed_tenant(b, other), "c-other");
        assert_int_equal(bed_target(b, other)->settings.priority, 7);
        assert_string_equal(bed_tenant(b, own), "c-shop");
        assert_int_equal(bed_target(b, own)->settings.priority, 9);
        bed_reload(b, TEMPLATE "KillBudget=1/1h\n");
        assert_int_equal(bed_target(b, web)->tenant->settings.priority, 9);
        assert_int_equal(bed_target(b, web)->settings.priority, 9);
}

#define WIDE "[Template wide]\nMatch=label=project=*\nTenant=c-%v\nPriority=9\n"
#define SLICES "[Template slices]\nMatch=slice=c-*.slice\nTenant=c-%v\nPriority=3\n"

/* Two templates make one tenant: the first of them decides, and nobody takes turns. */
static void test_two_templates(void **state) {
        static const struct {
                const char *policy;
                int priority;
        } rows[] = { { NOBODY WIDE SLICES, 9 }, { NOBODY SLICES WIDE, 3 } };
        Bed *b = *state;
        char by_label[256], by_slice[256];

        bed_mkcg(b, "/docker");
        bed_mkcg(b, "/c-shop.slice");
        bed_docker(b, "/docker", 1, "shop", by_label);
        bed_docker(b, "/c-shop.slice", 2, "", by_slice);
        bed_start(b, NOBODY);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                bed_reload(b, rows[i].policy);
                for (unsigned again = 0; again < 2; again++) {
                        Target *first = bed_target(b, again ? by_slice : by_label),
                               *then = bed_target(b, again ? by_label : by_slice);

                        assert_string_equal(bed_tenant(b, by_label), "c-shop");
                        assert_string_equal(bed_tenant(b, by_slice), "c-shop");
                        world_recompute(b->g, first);
                        assert_int_equal(first->tenant->settings.priority, rows[i].priority);
                        world_recompute(b->g, then);
                        assert_int_equal(first->tenant->settings.priority, rows[i].priority);
                        assert_true(first->tenant->template);
                }
                assert_int_equal(bed_target(b, by_label)->settings.priority, 9);
                assert_int_equal(bed_target(b, by_slice)->settings.priority, 3);
        }
}

/* ---- what is told ---- */

#define IS_NO_NAME "is no valid name: unassigned"

/* Once, when it is settled that nobody else has the say; and of what, by which line of which file. */
static void test_bad_name(void **state) {
        static const char template[] = "[Template compose]\nMatch=label=project=*\nTenant=c-%v\n";
        Bed *b = *state;
        _cleanup_buf_ Buf policy = BUF_INIT;
        const char *text = NULL;
        char web[256];

        bed_users(b, NULL);
        groups(b, "staff:x:50:\n");
        bed_docker(b, ALICE, 1, "no name", web);
        buf_printf(&policy, "%s%s", STAFF, template);
        bed_start(b, buf_str(&policy));
        assert_true(bed_target(b, web)->who.bad_name && bed_target(b, web)->who.pending);
        assert_int_equal(bed_events(b, "degraded", IS_NO_NAME, NULL), 0);
        bed_users(b, "alice:x:1000:1000::/:\n");
        (void)ask_again(b, web);
        assert_int_equal(bed_events(b, "degraded", IS_NO_NAME, &text), 1);
        assert_non_null(strstr(text, "c1: what Tenant= of [Template compose] ("));
        assert_non_null(strstr(text, "50-test.ini:7) makes of its label project is"));
        (void)ask_again(b, web);
        bed_reload(b, buf_str(&policy));
        assert_int_equal(bed_events(b, "degraded", IS_NO_NAME, NULL), 1);

        bed_docker(b, "/pool.slice/pool-a\\x2db.slice", 2, "x", web);
        bed_reload(b, NOBODY "[Template slices]\nMatch=slice=pool-*.slice\nTenant=%v\n");
        assert_int_equal(bed_events(b, "degraded", IS_NO_NAME, &text), 2);
        assert_non_null(strstr(text, "c2: what Tenant= of [Template slices] ("));
        assert_non_null(strstr(text, "50-test.ini:5) makes of its slice is"));
}

/* That users cannot be looked up is told once, and once that they can. */
static void test_lookup(void **state) {
        Bed *b = *state;
        char web[256];
        Target *t;

        bed_users(b, NULL);
        groups(b, "staff:x:50:alice\n");
        bed_docker(b, ALICE, 1, "x", web);
        bed_mkcg(b, "/user.slice/user-1001.slice");
        bed_start(b, NOBODY);
        assert_int_equal(bed_events(b, "lookup-failed", "", NULL), 0); /* nobody wants to know */
        bed_reload(b, STAFF);
        t = ask_again(b, web);
        assert_true(t->who.pending);
        assert_int_equal(bed_events(b, "lookup-failed", "who user 100", NULL), 1);
        t = ask_again(b, web);
        assert_true(t->names_again != USEC_INFINITY);
        assert_int_equal(bed_events(b, "lookup-failed", "", NULL), 1);

        bed_users(b, "alice:x:1000:1000::/:\n");
        (void)ask_again(b, web);
        assert_string_equal(bed_tenant(b, web), "staff");
        assert_int_equal(bed_events(b, "lookup-answered", "", NULL), 0); /* slices wait for it */
        (void)ask_again(b, ALICE);
        (void)ask_again(b, "/user.slice/user-1001.slice");
        assert_int_equal(bed_events(b, "lookup-answered", "user 1001 is without a name", NULL), 1);
        assert_int_equal(bed_events(b, "lookup-failed", "", NULL), 1);
        assert_null(bed_target(b, "/user.slice/user-1001.slice"));
}

/* ---- ends ---- */

static void procs(Bed *b, const char *cgroup, const char *pids) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s%s/cgroup.procs", b->cgroup, cgroup);
        bed_write(path, pids);
}

/* One whose main process is known; it is told as if the kernel had. */
static Target *with_main(Bed *b, unsigned n, char cgroup[256]) {
        Target *t;

        bed_docker(b, "/docker", n, "acme", cgroup);
        procs(b, cgroup, "4242\n");
        bed_sync(b);
        t = bed_target(b, cgroup);
        assert_non_null(t);
        t->since_realtime -= 2 * USEC_PER_SEC;
        for (unsigned i = 0; i < 5; i++) {
                deaths_beat(b->g, clock_monotonic());
                bed_sync(b);
        }
        assert_int_equal(t->heard.main_pid, 4242);
        return t;
}

/* A leader that ends before its threads is not the process's end; that is told when it comes. */
static void test_leader_ends_first(void **state) {
        Bed *b = *state;
        const char *text = NULL;
        char web[256];
        Target *t;

        bed_mkcg(b, "/docker");
        bed_start(b, NOBODY);

        /* All of them are killed: the last threads end a moment later. */
        t = with_main(b, 1, web);
        deaths_exited(b->g, t->id, 4242, 9, true);
        assert_int_equal(bed_events(b, "exit", "", NULL), 0);
        procs(b, web, "");
        deaths_beat(b->g, clock_monotonic());
        assert_int_equal(bed_events(b, "exit", "c1: its main process 4242 has ended: SIGKILL", NULL), 1);
        deaths_beat(b->g, clock_monotonic());
        assert_int_equal(bed_events(b, "exit", "", NULL), 1);

        /* They live on: how it ended then is not the leader's word. */
        t = with_main(b, 2, web);
        deaths_exited(b->g, t->id, 4242, 0, true);
        deaths_beat(b->g, clock_monotonic());
        deaths_beat(b->g, clock_monotonic());
        assert_int_equal(bed_events(b, "exit", "", NULL), 1);
        assert_int_equal(t->heard.main_pid, 4242);
        procs(b, web, "");
        deaths_beat(b->g, clock_monotonic());
        assert_int_equal(bed_events(b, "exit", "c2: ", &text), 1);
        assert_non_null(strstr(text, "how is not known"));
        assert_int_equal(t->heard.main_pid, 0);

        /* The cgroup goes with them. */
        t = with_main(b, 3, web);
        deaths_exited(b->g, t->id, 4242, 9, true);
        bed_rmcg(b, web);
        bed_sync(b);
        assert_int_equal(bed_events(b, "exit", "c3: its main process 4242 has ended: SIGKILL", NULL), 1);
}

/* ---- policy diff ---- */

#define CEILINGS "[Host]\nMode=ceilings\n"
#define ACME CEILINGS "[Tenant acme]\nTasksMax=100\nMatch=slice=tenant-acme"
#define BETA "[Tenant beta]\nTasksMax=50\nMatch=slice=tenant-acme"

static void on_candidate(Guard *g, void *user, int result, LoadedPolicy *loaded) {
        _cleanup_(cleanup_loaded_policy_free) LoadedPolicy *l = loaded;
        json_t **ret = user;

        assert_int_equal(result, 0);
        assert_false(l->refused);
        *ret = render_diff(g, l);
        assert_non_null(*ret);
}

/* What that policy would change: "CGROUP TENANT FROM→TO", outer and inner slice first. */
static void expect_diff(Bed *b, const char *policy, const char *expected) {
        _cleanup_buf_ Buf outer = BUF_INIT, inner = BUF_INIT, rest = BUF_INIT;
        json_t *diff = NULL, *row;
        size_t i;

        bed_put_policy(b, policy);
        assert_int_equal(loader_start(b->g, on_candidate, &diff), 0);
        BED_UNTIL(b, diff);
        json_array_foreach(json_object_get(diff, "changes"), i, row) {
                const char *cgroup = json_string_value(json_object_get(row, "cgroup")),
                           *from = json_string_value(json_object_get(row, "from_text")),
                           *to = json_string_value(json_object_get(row, "to_text"));
                Buf *out = cgroup && STR_EQ(cgroup, OUTER) ? &outer : cgroup ? &inner : &rest;

                assert_string_equal(json_string_value(json_object_get(row, "limit")), "TasksMax");
                buf_printf(out, "%s %s %s→%s; ", cgroup ? cgpath_basename(cgroup) : "-",
                           json_string_value(json_object_get(row, "tenant")), from ? from : "-",
                           to ? to : "-");
        }
        json_decref(diff);
        buf_puts(&outer, buf_str(&inner));
        buf_puts(&outer, buf_str(&rest));
        assert_string_equal(buf_str(&outer), expected);
}

/* Told is what a load then does: of slices within slices the outermost carries the sum. */
static void test_diff_of_nested_slices(void **state) {
        static const char inner[] = ACME "-web.slice\n",
                          both[] = ACME "-web.slice\nMatch=slice=tenant-acme.slice\n",
                          beta[] = ACME ".slice\n" BETA "-web.slice\n",
                          swapped[] = ACME "-web.slice\n" BETA ".slice\n";
        Bed *b = *state;

        bed_mkcg(b, INNER);
        bed_start(b, NOBODY);
        b->g->host.cgroup2 = true;
        b->g->host.controllers = CONTROLLER_PIDS;
        expect_diff(b, inner, "tenant-acme-web.slice acme -→100; ");
        expect_diff(b, both, "tenant-acme.slice acme -→100; ");
        bed_reload(b, inner);
        expect_diff(b, inner, "");
        expect_diff(b, both, "tenant-acme.slice acme -→100; tenant-acme-web.slice acme 100→-; ");
        bed_reload(b, both);
        assert_non_null(bed_target(b, OUTER));
        assert_null(bed_target(b, INNER));
        expect_diff(b, both, "");
        expect_diff(b, inner, "tenant-acme.slice acme 100→-; tenant-acme-web.slice acme -→100; ");
        expect_diff(b, beta, "tenant-acme-web.slice beta -→50; ");
        expect_diff(b, NOBODY, "tenant-acme.slice acme 100→-; ");
        bed_reload(b, beta);
        assert_string_equal(bed_tenant(b, INNER), "beta");
        expect_diff(b, both, "tenant-acme-web.slice beta 50→-; ");
        expect_diff(b, swapped, "tenant-acme.slice beta 100→50; tenant-acme-web.slice acme 50→100; ");
}

#define WIDE_50 "[Template wide]\nMatch=label=project=*\nTenant=c-%v\nTasksMax=50\n"
#define SLICES_100 "[Template slices]\nMatch=slice=c-*.slice\nTenant=c-%v\nTasksMax=100\n"

/* Of two templates that make one tenant the first decides, whoever of it is looked at first. */
static void test_diff_of_two_templates(void **state) {
        Bed *b = *state;
        char by_label[256];

        bed_mkcg(b, "/docker");
        bed_mkcg(b, "/c-shop.slice");
        bed_docker(b, "/docker", 1, "shop", by_label);
        bed_start(b, NOBODY);
        b->g->host.cgroup2 = true;
        b->g->host.controllers = CONTROLLER_PIDS;
        expect_diff(b, CEILINGS WIDE_50 SLICES_100, "c-shop.slice c-shop -→50; ");
        expect_diff(b, CEILINGS SLICES_100 WIDE_50, "c-shop.slice c-shop -→100; ");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_leave_with_slice, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_stay_without_slice, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_leave_with_slice_over_restart, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_nested_slices, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_pending_slice, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_pending_again, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_born_before_reload, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_template_first, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_two_templates, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_bad_name, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_lookup, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_leader_ends_first, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_diff_of_nested_slices, bed_setup, bed_teardown),
                cmocka_unit_test_setup_teardown(test_diff_of_two_templates, bed_setup, bed_teardown),
        };

        if (geteuid() != 0) {
                print_message("only root has files that are root's\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
