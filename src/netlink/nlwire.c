/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Packets between the guard and bailiff-netlink.
 *
 * One table says of each type who says it, and how long its body and its items are;
 * a packet's length must be exactly what follows from it and the number of items. Nothing
 * but numbers, one path, and names that are bounded comes over, and what the numbers mean is checked by
 * whoever uses them: a service that was taken over can lie about counts, and no
 * more.
 */

#include "cgpath.h"
#include "nlwire.h"

typedef struct Head {
        uint16_t version;
        uint16_t type;
        uint32_t n;
} Head;

typedef struct Form {
        bool by_guard;
        size_t body, item;
} Form;

static const Form forms[_NLWIRE_TYPE_MAX] = {
        [NLWIRE_WANT] = { true, sizeof(NlWant), 0 },
        [NLWIRE_WATCH] = { true, 0, sizeof(NlWatch) },
        [NLWIRE_ASK] = { true, sizeof(NlAsk), sizeof(uint32_t) },
        [NLWIRE_ASK_LINKS] = { true, sizeof(NlLinksAsk), 0 },
        [NLWIRE_STATUS] = { false, sizeof(NlStatus), 0 },
        [NLWIRE_GROUP] = { false, sizeof(NlGroup), 1 },
        [NLWIRE_COUNTS] = { false, sizeof(NlBatch), sizeof(NlCounts) },
        [NLWIRE_TASKS] = { false, sizeof(NlBatch), sizeof(NlTasks) },
        [NLWIRE_EXITS] = { false, 0, sizeof(NlExit) },
        [NLWIRE_EXECS] = { false, 0, sizeof(NlExec) },
        [NLWIRE_ANSWER] = { false, sizeof(NlAsk), sizeof(NlProcess) },
        [NLWIRE_LINKS] = { false, sizeof(NlLinksAsk), sizeof(NlLink) },
};

static bool path_valid(const uint8_t *p, size_t n) {
        char path[TALLY_PATH_MAX + 1];
        CgName name;

        if (n > TALLY_PATH_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (p[i] < ' ' || p[i] == 0x7f)
                        return false;
        memcpy(path, p, n);
        path[n] = '\0';
        return cgpath_classify(path, &name) >= 0;
}

static bool ask_valid(const NlAsk *a) { return a->by < _NL_BY_MAX && a->span_usec <= NLWIRE_SPAN_MAX; }

/* comm_offset: of the name within each item. */
static bool names_end(const NlPacket *p, size_t comm_offset) {
        for (size_t i = 0; i < p->n; i++)
                if (!memchr(p->items + i * p->item_size + comm_offset, '\0', NLWIRE_COMM_MAX))
                        return false;
        return true;
}

static bool link_name_valid(const char name[static NLWIRE_LINK_NAME_MAX]) {
        size_t len = strnlen(name, NLWIRE_LINK_NAME_MAX);

        if (len == NLWIRE_LINK_NAME_MAX)
                return false;
        for (size_t i = 0; i < NLWIRE_LINK_NAME_MAX; i++)
                if (i < len ? name[i] <= ' ' || name[i] > '~' : name[i] != '\0')
                        return false;
        return true;
}

static bool links_valid(const NlPacket *p) {
        if (p->n > NLWIRE_LINKS_MAX || p->n > p->links.n_all || (p->links.error != 0 && p->n > 0))
                return false;
        for (size_t i = 0; i < p->n; i++) {
                NlLink one;

                nlwire_item(p, i, &one);
                if (one.name[0] == '\0' || !link_name_valid(one.name) || !link_name_valid(one.master) ||
                    one.state >= _NL_LINK_STATE_MAX)
                        return false;
        }
        return true;
}

static bool contents_valid(const NlPacket *p) {
        switch (p->type) {
        case NLWIRE_WANT:
                return (p->want.wants & ~NL_WANT_ALL) == 0;
        case NLWIRE_ASK:
                return p->n <= NLWIRE_ASK_MAX && ask_valid(&p->ask);
        case NLWIRE_GROUP:
                return p->group.id != 0 && (p->n == 0 || path_valid(p->items, p->n));
        case NLWIRE_ANSWER:
                return p->n <= NLWIRE_ANSWER_MAX && ask_valid(&p->ask) &&
                       names_end(p, offsetof(NlProcess, comm));
        case NLWIRE_EXECS:
                return names_end(p, offsetof(NlExec, comm));
        case NLWIRE_ASK_LINKS:
                return p->links.pid - 1 < INT32_MAX;
        case NLWIRE_LINKS:
                return links_valid(p);
        default:
                return true;
        }
}

int nlwire_parse(const void *data, size_t len, bool by_guard, NlPacket *ret) {
        NlPacket p = {};
        const Form *f;
        Head h;

        if (len < sizeof(h) || len > NLWIRE_PACKET_MAX)
                return -EBADMSG;
        memcpy(&h, data, sizeof(h));
        if (h.version != NLWIRE_VERSION || h.type == 0 || h.type >= _NLWIRE_TYPE_MAX)
                return -EBADMSG;
        f = &forms[h.type];
        if (f->by_guard != by_guard || len < sizeof(h) + f->body || h.n > NLWIRE_PACKET_MAX ||
            len - sizeof(h) - f->body != h.n * f->item || (f->item == 0 && h.n != 0))
                return -EBADMSG;
        p.type = (NlwireType)h.type;
        memcpy(&p.want, (const uint8_t *)data + sizeof(h), f->body);
        p.n = h.n;
        p.item_size = f->item;
        p.items = (const uint8_t *)data + sizeof(h) + f->body;
        if (!contents_valid(&p))
                return -EBADMSG;
        *ret = p;
        return 0;
}

void nlwire_item(const NlPacket *p, size_t i, void *ret) {
        memcpy(ret, p->items + i * p->item_size, p->item_size);
}

void nlwire_begin(NlOut *o, NlwireType type, const void *body) {
        Head h = { .version = NLWIRE_VERSION, .type = (uint16_t)type };

        memcpy(o->data, &h, sizeof(h));
        if (forms[type].body > 0)
                memcpy(o->data + sizeof(h), body, forms[type].body);
        o->len = sizeof(h) + forms[type].body;
        o->item_size = forms[type].item;
        o->n = 0;
}

bool nlwire_add(NlOut *o, const void *item) {
        if (o->len + o->item_size > sizeof(o->data))
                return false;
        memcpy(o->data + o->len, item, o->item_size);
        o->len += o->item_size;
        o->n++;
        return true;
}

size_t nlwire_end(NlOut *o) {
        memcpy(o->data + offsetof(Head, n), &o->n, sizeof(o->n));
        return o->len;
}
