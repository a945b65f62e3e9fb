/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Which links of the host lead into a container?
 *
 * The kernel has to be asked for all links there are, so this costs more the more containers a host has. Questions wait in a row, and
 * the next one is answered nine times as long after the last as that took, as with everything here. One more than the row has
 * room for is refused at once.
 */

#include "linksock.h"
#include "service-internal.h"

#define REST 9 /* times what the answer took */

static void say(Service *s, const NlLinksAsk *a, const LinkAnswer *links) {
        nlwire_begin(&s->out, NLWIRE_LINKS, a);
        for (size_t i = 0; links && i < links->n; i++)
                (void)nlwire_add(&s->out, &links->links[i]);
        (void)answers_send(s);
}

void links_init(Service *s) { s->n_links_asks = 0; }

void links_take(Service *s, const NlPacket *p) {
        NlLinksAsk a = { .seq = p->links.seq, .pid = p->links.pid };

        if (s->n_links_asks < LINKS_ASKS_MAX) {
                s->links_asks[s->n_links_asks++] = a;
                return;
        }
        a.error = EBUSY;
        say(s, &a, NULL);
}

usec_t links_next_time(const Service *s) { return s->n_links_asks > 0 ? s->links_at : USEC_INFINITY; }

void links_beat(Service *s, usec_t now) {
        usec_t began = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        NlLinksAsk a = s->links_asks[0];
        LinkAnswer links;
        int r;

        if (s->n_links_asks == 0 || now < s->links_at)
                return;
        s->n_links_asks--;
        memmove(s->links_asks, s->links_asks + 1, s->n_links_asks * sizeof(*s->links_asks));
        r = linksock_ask(a.pid, &links);
        a.error = r < 0 ? (uint32_t)-r : 0;
        a.n_all = r < 0 ? 0 : links.n_all;
        say(s, &a, r < 0 ? NULL : &links);
        s->links_at = now + (clock_usec(CLOCK_THREAD_CPUTIME_ID) - began) * REST;
}
