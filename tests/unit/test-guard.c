/* SPDX-License-Identifier: Apache-2.0 */

/* Which cgroup is whose, where its use is booked, and what of it is told: world.c, tenant.c, ledgers.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "guard-bed.h"

#define OUTER "/tenant.slice/tenant-acme.slice"
#define INNER OUTER "/tenant-acme-web.slice"

#define NOBODY "[Host]\nMode=observe\n"
#define BY_SLICE NOBODY "[Tenant acme]\nMatch=slice=tenant-acme.slice\n"
#define BY_LABEL NOBODY "[Tenant acme]\nMatch=label=project=acme\n"
#define BY_BOTH BY_SLICE "Match=label=project=acme\n"

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

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_template_first, bed_setup, bed_teardown),
        };

        if (geteuid() != 0) {
                print_message("only root has files that are root's\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
