/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `notify`: waits for incidents and runs hooks, for bailiff-notify.service. The guard itself starts nobody: who is told, and
 * what that costs, is no business of a process that must not block.
 *
 * It looks at the list of incidents whenever the guard signals an act, and every few seconds: what a
 * hook that took its time made us miss is on the list still. A guard that restarts is waited for; it knows nothing of the
 * incidents of the one before, so their end is not told.
 */

#include <stdio.h>

#include "config.h"
#include "ctl.h"
#include "notify.h"

#define HOOKS_DIR BAILIFF_SYSCONFDIR "/bailiff/notify.d"
#define HOOK_DEADLINE (30 * USEC_PER_SEC)
#define POLL_USEC (5 * USEC_PER_SEC)

static void tell(void *user, const json_t *incident, const char *state) {
        const NotifyHooks *h = user;
        int r = notify_run(h, incident, state);

        if (r == -EPERM)
                (void)ctl_fail(
                        STATUS_FAILED,
                        "no hook in %s is run: the directory is not root's own, or others may write it",
                        h->dir);
        else if (r < 0)
                (void)ctl_fail(STATUS_FAILED, "%s: %s", h->dir, strerror(-r));
}

int verb_notify(Ctl *c) {
        NotifyHooks hooks = {
                .dir = c->n_arguments > 0 ? c->arguments[0] : HOOKS_DIR,
                .owner = 0,
                .deadline = HOOK_DEADLINE,
        };
        NotifyKnown known = {};
        bool lost = false;
        int r;

        for (;;) {
                json_t *j = NULL;

                r = client_get_incidents(c->client, 0, &j);
                if (r == STATUS_DONE) {
                        lost = false;
                        if (notify_look(&known, json_object_get(j, "incidents"), tell, &hooks) < 0)
                                (void)ctl_rendered(-ENOMEM);
                        json_decref(j);
                } else if (r == STATUS_UNREACHABLE) {
                        if (!lost)
                                (void)fprintf(stderr, "bailiffd is not there; waiting for it\n");
                        lost = true;
                } else
                        break;
                client_wait(c->client, POLL_USEC);
        }
        notify_known_deinit(&known);
        return ctl_client_failed(c, r);
}
