/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What rtnetlink says of links.
 *
 * A link that is one end of a wire (veth, netkit…) has IFLA_LINK_NETNSID where the other end is in another
 * namespace: the number which that one has in the namespace of whom is asked. So the links that lead into
 * a container are those with the number that RTM_GETNSID tells of one of its processes.
 *
 * An answer comes as datagrams of several messages each, as many links as the host has. Kept are
 * the few with the lowest indexes, which are the oldest, whatever the order they come in; the rest is counted.
 *
 * The counters of a link are told from its own side. What the host's end sends is what the container is to
 * receive, so they are turned here, once, and called by where they lead from there on.
 *
 * A name can have any byte but a blank, '/' and ':'. It is for people to read: what is not printable becomes '?'.
 */

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include "linkrec.h"

/* Up to tx_dropped: as long as the structure has ever been. */
#define STATS_LEN_MIN (offsetof(struct rtnl_link_stats64, tx_dropped) + sizeof(uint64_t))

_Static_assert(NLWIRE_LINK_NAME_MAX == IFNAMSIZ, "names of links are as long as the kernel's");

void linkrec_begin(LinkAnswer *a, int32_t want) { *a = (LinkAnswer){ .want = want, .nsid = -1 }; }

static int take_name(const struct nlattr *attr, char ret[static NLWIRE_LINK_NAME_MAX]) {
        size_t size = attr ? (size_t)nla_len(attr) : 0, len = attr ? strnlen(nla_data(attr), size) : 0;
        const char *text;

        if (len == 0 || len == size || len >= NLWIRE_LINK_NAME_MAX)
                return -EBADMSG;
        text = nla_data(attr);
        for (size_t i = 0; i < len; i++)
                ret[i] = (char)(text[i] > ' ' && text[i] <= '~' ? text[i] : '?');
        return 0;
}

static int take_counters(const struct nlattr *attr, NlLink *l) {
        struct rtnl_link_stats64 s = {};

        if (!attr || (size_t)nla_len(attr) < STATS_LEN_MIN)
                return -EBADMSG;
        memcpy(&s, nla_data(attr), MIN_OF((size_t)nla_len(attr), sizeof(s)));
        l->to = (NlTraffic){ s.tx_bytes, s.tx_packets, s.tx_errors, s.tx_dropped };
        l->from = (NlTraffic){ s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_dropped };
        return 0;
}

static bool number(const struct nlattr *attr, uint32_t *ret) {
        if (!attr || nla_len(attr) < (int)sizeof(*ret))
                return false;
        memcpy(ret, nla_data(attr), sizeof(*ret));
        return true;
}

static void keep(LinkAnswer *a, uint32_t index, uint32_t master, const NlLink *l) {
        size_t i = a->n;

        a->n_all++;
        while (i > 0 && a->index[i - 1] > index)
                i--;
        if (i == NLWIRE_LINKS_MAX)
                return;
        a->n = MIN_OF(a->n + 1, (size_t)NLWIRE_LINKS_MAX);
        memmove(&a->index[i + 1], &a->index[i], (a->n - i - 1) * sizeof(*a->index));
        memmove(&a->master[i + 1], &a->master[i], (a->n - i - 1) * sizeof(*a->master));
        memmove(&a->links[i + 1], &a->links[i], (a->n - i - 1) * sizeof(*a->links));
        a->index[i] = index;
        a->master[i] = master;
        a->links[i] = *l;
}

static int take_link(LinkAnswer *a, const char *body, size_t len) {
        struct nlattr *attrs[IFLA_MAX + 1] = {};
        uint32_t nsid, master = 0;
        struct ifinfomsg head;
        NlLink l = {};
        int r;

        if (len < NLMSG_ALIGN(sizeof(head)))
                return -EBADMSG;
        memcpy(&head, body, sizeof(head));
        if (head.ifi_index <= 0 ||
            nla_parse(attrs, IFLA_MAX, (struct nlattr *)(body + NLMSG_ALIGN(sizeof(head))),
                      (int)(len - NLMSG_ALIGN(sizeof(head))), NULL) < 0)
                return -EBADMSG;
        if (a->want != LINK_WANT_ANY &&
            (!number(attrs[IFLA_LINK_NETNSID], &nsid) || (int32_t)nsid < 0 || (int32_t)nsid != a->want))
                return 0;
        r = take_name(attrs[IFLA_IFNAME], l.name);
        if (r >= 0)
                r = take_counters(attrs[IFLA_STATS64], &l);
        if (r < 0)
                return r;
        (void)number(attrs[IFLA_MASTER], &master);
        if (attrs[IFLA_OPERSTATE] && nla_len(attrs[IFLA_OPERSTATE]) >= 1 &&
            nla_get_u8(attrs[IFLA_OPERSTATE]) < _NL_LINK_STATE_MAX)
                l.state = nla_get_u8(attrs[IFLA_OPERSTATE]);
        keep(a, (uint32_t)head.ifi_index, master, &l);
        return 0;
}

static int take_nsid(LinkAnswer *a, const char *body, size_t len) {
        struct nlattr *attrs[NETNSA_MAX + 1] = {};
        size_t head = NLMSG_ALIGN(sizeof(struct rtgenmsg));
        uint32_t nsid;

        if (len < head ||
            nla_parse(attrs, NETNSA_MAX, (struct nlattr *)(body + head), (int)(len - head), NULL) < 0 ||
            !number(attrs[NETNSA_NSID], &nsid))
                return -EBADMSG;
        a->nsid = (int32_t)nsid;
        return 0;
}

/* Of an acknowledgement, or of the end of a dump. */
static int take_end(LinkAnswer *a, const char *body, size_t len) {
        int32_t error;

        if (len < sizeof(error))
                return -EBADMSG;
        memcpy(&error, body, sizeof(error));
        if (error > 0 || error < -4095)
                return -EBADMSG;
        a->error = error;
        return 0;
}

static int take(LinkAnswer *a, const struct nlmsghdr *h, const char *body, size_t len) {
        int r;

        if (h->nlmsg_flags & NLM_F_DUMP_INTR)
                a->changed = true;
        switch (h->nlmsg_type) {
        case RTM_NEWLINK:
                r = take_link(a, body, len);
                break;
        case RTM_NEWNSID:
                r = take_nsid(a, body, len);
                break;
        case NLMSG_DONE:
        case NLMSG_ERROR:
                a->done = true;
                return take_end(a, body, len);
        default:
                return 0;
        }
        a->done = a->done || !(h->nlmsg_flags & NLM_F_MULTI);
        return r;
}

int linkrec_read(LinkAnswer *a, const void *data, size_t len) {
        const char *p = data;

        while (len > 0 && !a->done) {
                struct nlmsghdr h;
                size_t step;
                int r;

                if (len < NLMSG_HDRLEN)
                        return -EBADMSG;
                memcpy(&h, p, sizeof(h));
                if (h.nlmsg_len < NLMSG_HDRLEN || h.nlmsg_len > len)
                        return -EBADMSG;
                r = h.nlmsg_seq == a->seq ? take(a, &h, p + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN) : 0;
                if (r < 0)
                        return r;
                step = MIN_OF((size_t)NLMSG_ALIGN(h.nlmsg_len), len);
                p += step;
                len -= step;
        }
        return 0;
}
