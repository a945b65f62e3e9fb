/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The pane of `top`: the processes of one container that stand out. Pure, `now` is monotonic µs. The order of
 * things:
 *
 *   top_pane_toggle()   the key
 *   top_pane_due()      then GetProcesses() of pane->cgroup is asked for, and told with top_pane_asked()
 *   top_pane_answer()   whatever came of it; some seconds later it is due again
 *
 * What was shown stays until there is an answer.
 */

#include <jansson.h>

#include "buf.h"
#include "top-model.h"

typedef struct TopPane {
        char *name; /* of the container, NULL: closed */
        char *cgroup;
        uint64_t cgroup_id;
        bool asked; /* the answer has not come yet */
        usec_t next; /* is due then */
        bool answered; /* since it was opened */
        json_t *answer; /* NULL: there is none, for `error` */
        Buf error;
} TopPane;

void top_pane_close(TopPane *pane); /* safe on a closed one, and the end of it */
/* Opens it for the container of that row, or closes it where it is that one's; of a tenant's row nothing happens. Nobody waits
 * for the answer to a former question then. -ENOMEM: it is closed. */
int top_pane_toggle(TopPane *pane, const TopRow *row);
bool top_pane_due(const TopPane *pane, usec_t now);
void top_pane_asked(TopPane *pane);
/* Takes the reference; NULL: none, and `error` says why. */
void top_pane_answer(TopPane *pane, json_t *answer, const char *error, usec_t now);

/* How many of the `page` lines between the first ones and the last it takes: one at least is left. */
size_t top_pane_lines(size_t page);
struct Painter;
void top_pane_paint(const TopPane *pane, struct Painter *p, size_t lines);
