/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Messages of the kernel, packets of either end of bailiff-netlink, and files of /proc, given anything. Beyond not
 * crashing: what is accepted is within what the headers promise, and a packet that is made anew from what was understood is the
 * same packet.
 */

#include "cnproc.h"
#include "fuzz.h"
#include "linkrec.h"
#include "nlwire.h"
#include "taskrec.h"

static void fuzz_event(const uint8_t *data, size_t size) {
        CnprocKind kind;
        KinEvent e;
        uint32_t ack;
        int error = 0;

        if (cnproc_parse(data, size, &kind, &e, &ack, &error) < 0)
                return;
        if (kind == CNPROC_EVENT)
                must(e.what >= 0 && e.what < _KIN_WHAT_MAX && e.pid > 0 && e.pid <= INT32_MAX && e.tgid > 0 &&
                     e.tgid <= INT32_MAX && e.parent <= INT32_MAX);
        if (kind == CNPROC_ACK)
                must(error >= 0 && error <= 4095);
}

static void fuzz_record(const uint8_t *data, size_t size) {
        _Alignas(8) uint8_t copy[TASKREC_MESSAGE_MAX];
        uint16_t family = 31;
        KinRecord r;
        uint32_t seq;
        bool have = false;

        (void)taskrec_parse_stats(data, size, &r);
        if (size > sizeof(copy))
                return;
        memcpy(copy, data, size);
        if (taskrec_parse(copy, size, family, &r, &seq, &have) == 0 && have)
                must(r.tgid > 0 && r.tgid <= INT32_MAX && r.tasks[TALLY_TASKS] == 1);
}

/* What is told of goes into a packet as it is. */
static void fuzz_links(const uint8_t *data, size_t size, int32_t want) {
        _Alignas(8) uint8_t copy[4096];
        static NlOut o;
        NlLinksAsk ask = { .seq = 1, .pid = 1 };
        LinkAnswer a;
        NlPacket p;

        if (size > sizeof(copy))
                return;
        memcpy(copy, data, size);
        linkrec_begin(&a, want);
        a.seq = 5;
        (void)linkrec_read(&a, copy, size);
        must(a.n <= NLWIRE_LINKS_MAX && a.n <= a.n_all && a.error <= 0 && a.error >= -4095);
        ask.n_all = a.n_all;
        nlwire_begin(&o, NLWIRE_LINKS, &ask);
        for (size_t i = 0; i < a.n; i++) {
                must(a.index[i] > 0 && (i == 0 || a.index[i] >= a.index[i - 1]));
                must(nlwire_add(&o, &a.links[i]));
        }
        must(nlwire_parse(o.data, nlwire_end(&o), false, &p) == 0);
}

static void fuzz_packet(const uint8_t *data, size_t size, bool by_guard) {
        static NlOut o;
        uint8_t item[sizeof(NlProcess)];
        NlPacket p;

        if (nlwire_parse(data, size, by_guard, &p) < 0)
                return;
        must(p.type > 0 && p.type < _NLWIRE_TYPE_MAX && p.item_size <= sizeof(item));
        nlwire_begin(&o, p.type, &p.want);
        for (size_t i = 0; i < p.n; i++) {
                nlwire_item(&p, i, item);
                must(nlwire_add(&o, item));
        }
        must(nlwire_end(&o) == size && memcmp(o.data, data, size) == 0);
}

int fuzz_one(const uint8_t *data, size_t size) {
        fuzz_event(data, size);
        fuzz_record(data, size);
        fuzz_links(data, size, 0);
        fuzz_links(data, size, LINK_WANT_ANY);
        fuzz_packet(data, size, true);
        fuzz_packet(data, size, false);
        return 0;
}
