/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The process connector's messages.
 *
 * A datagram is a netlink header, a connector header, and a struct proc_event
 * that later kernels may make longer. Everything is read where it must lie,
 * after its length was checked; the structures are not aligned in the buffer, so
 * they are copied out. What a message is not understood to be, is
 * refused: a count of those is a defect of ours, or somebody else's kernel.
 *
 * The filter. Kernels before 6.6 send every event to everybody who listens, and
 * also since then the kind is all that they can choose by. To learn of the
 * deaths and executions of a few hundred processes without waking for every other one, the
 * filter carries their pids as a binary search: ten comparisons for a thousand
 * of them, made in the context of whoever exits or executes. Conditional jumps of classic
 * BPF reach 255 instructions, so each node has a long jump to its upper half:
 *
 *         A >= middle ? next : skip one
 *         goto upper
 *         …lower half…
 *  upper: …upper half…
 *
 * Leaves compare up to eight pids, accept or drop. Loads are big-endian, whatever
 * the machine; constants are turned accordingly.
 */

#include <arpa/inet.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

#include "cnproc.h"

#define EVENT_OFFSET (NLMSG_HDRLEN + sizeof(struct cn_msg))
#define DATA_OFFSET (EVENT_OFFSET + offsetof(struct proc_event, event_data))
#define LEAF 8

/* The kernel's enum has values beyond int; as a mask they are plain numbers. */
#define EVENT_EXIT UINT32_C(0x80000000)

static uint32_t event_of(KinWhat w) {
        switch (w) {
        case KIN_FORK:
                return PROC_EVENT_FORK;
        case KIN_EXEC:
                return PROC_EVENT_EXEC;
        case KIN_UID:
                return PROC_EVENT_UID;
        case KIN_CORE:
                return PROC_EVENT_COREDUMP;
        case KIN_EXIT:
                return EVENT_EXIT;
        default:
                return 0;
        }
}

uint32_t cnproc_events(unsigned kinds) {
        uint32_t events = 0;

        for (KinWhat w = 0; w < _KIN_WHAT_MAX; w++)
                if (kinds & 1U << w)
                        events |= event_of(w);
        return events;
}

/* How much of event_data each kind has. */
static size_t data_size(uint32_t what) {
        const struct proc_event *e = NULL;

        switch (what) {
        case PROC_EVENT_NONE:
                return sizeof(e->event_data.ack);
        case PROC_EVENT_FORK:
                return sizeof(e->event_data.fork);
        case PROC_EVENT_EXEC:
                return sizeof(e->event_data.exec);
        case PROC_EVENT_UID:
                return sizeof(e->event_data.id);
        case PROC_EVENT_COREDUMP:
                return 2 * sizeof(__kernel_pid_t); /* the parent's came later */
        case EVENT_EXIT:
                return 4 * sizeof(uint32_t); /* likewise */
        default:
                return 0;
        }
}

static bool take(const struct proc_event *e, uint32_t what, KinEvent *ret) {
        switch (what) {
        case PROC_EVENT_FORK:
                *ret = (KinEvent){ .what = KIN_FORK,
                                   .pid = (uint32_t)e->event_data.fork.child_pid,
                                   .tgid = (uint32_t)e->event_data.fork.child_tgid,
                                   .parent = (uint32_t)e->event_data.fork.parent_tgid };
                break;
        case PROC_EVENT_EXEC:
                *ret = (KinEvent){ .what = KIN_EXEC,
                                   .pid = (uint32_t)e->event_data.exec.process_pid,
                                   .tgid = (uint32_t)e->event_data.exec.process_tgid };
                break;
        case PROC_EVENT_UID:
                *ret = (KinEvent){ .what = KIN_UID,
                                   .pid = (uint32_t)e->event_data.id.process_pid,
                                   .tgid = (uint32_t)e->event_data.id.process_tgid };
                break;
        case PROC_EVENT_COREDUMP:
                *ret = (KinEvent){ .what = KIN_CORE,
                                   .pid = (uint32_t)e->event_data.coredump.process_pid,
                                   .tgid = (uint32_t)e->event_data.coredump.process_tgid };
                break;
        case EVENT_EXIT:
                *ret = (KinEvent){ .what = KIN_EXIT,
                                   .pid = (uint32_t)e->event_data.exit.process_pid,
                                   .tgid = (uint32_t)e->event_data.exit.process_tgid,
                                   .code = e->event_data.exit.exit_code };
                break;
        default:
                return false;
        }
        return true;
}

/* Pids of the kernel are positive; that of a parent that is not in our pid namespace is 0. */
static bool sane(const KinEvent *e) {
        return e->pid - 1 < INT32_MAX && e->tgid - 1 < INT32_MAX && e->parent <= INT32_MAX;
}

int cnproc_parse(const void *data, size_t len, CnprocKind *ret_kind, KinEvent *ret_event, uint32_t *ret_ack,
                 int *ret_error) {
        struct nlmsghdr h;
        struct cn_msg cn;
        struct proc_event e = {};
        KinEvent event;
        uint32_t what;
        size_t need;

        if (len < EVENT_OFFSET + offsetof(struct proc_event, event_data))
                return -EBADMSG;
        memcpy(&h, data, sizeof(h));
        memcpy(&cn, (const char *)data + NLMSG_HDRLEN, sizeof(cn));
        if (h.nlmsg_len > len || h.nlmsg_len < EVENT_OFFSET || h.nlmsg_type != NLMSG_DONE ||
            cn.id.idx != CN_IDX_PROC || cn.id.val != CN_VAL_PROC || cn.len > h.nlmsg_len - EVENT_OFFSET)
                return -EBADMSG;
        memcpy(&e, (const char *)data + EVENT_OFFSET, MIN_OF((size_t)cn.len, sizeof(e)));
        what = (uint32_t)e.what;
        need = data_size(what);
        if (cn.len < offsetof(struct proc_event, event_data) + need)
                return -EBADMSG;
        if (what == PROC_EVENT_NONE) {
                if (e.event_data.ack.err > 4095)
                        return -EBADMSG;
                *ret_kind = CNPROC_ACK;
                *ret_ack = cn.ack;
                *ret_error = (int)e.event_data.ack.err;
                return 0;
        }
        if (!take(&e, what, &event)) {
                *ret_kind = CNPROC_OTHER;
                return 0;
        }
        if (!sane(&event))
                return -EBADMSG;
        *ret_kind = CNPROC_EVENT;
        *ret_event = event;
        return 0;
}

size_t cnproc_request(void *buf, bool listen, uint32_t events, uint32_t ack, uint32_t port) {
        uint32_t words[2] = { listen ? PROC_CN_MCAST_LISTEN : PROC_CN_MCAST_IGNORE, events };
        struct cn_msg cn = {
                .id = { .idx = CN_IDX_PROC, .val = CN_VAL_PROC },
                .ack = ack,
                .len = events ? sizeof(words) : sizeof(words[0]),
        };
        struct nlmsghdr h = {
                .nlmsg_len = (uint32_t)(EVENT_OFFSET + cn.len),
                .nlmsg_type = NLMSG_DONE,
                .nlmsg_pid = port,
        };

        memcpy(buf, &h, sizeof(h));
        memcpy((char *)buf + NLMSG_HDRLEN, &cn, sizeof(cn));
        memcpy((char *)buf + EVENT_OFFSET, words, cn.len);
        return h.nlmsg_len;
}

/* ---- the filter ---- */

static void emit(struct sock_filter *f, size_t *n, unsigned code, unsigned jt, unsigned jf, uint32_t k) {
        f[(*n)++] = (struct sock_filter){ (uint16_t)code, (uint8_t)jt, (uint8_t)jf, k };
}

/* A verdict is one instruction: with all of the message, or none of it. */
static void verdict(struct sock_filter *f, size_t *n, bool pass) {
        emit(f, n, BPF_RET | BPF_K, 0, 0, pass ? UINT32_MAX : 0);
}

/* A holds the pid as loaded. Ordered as loaded, too: the search only has to be the same on both sides. */
static void search(struct sock_filter *f, size_t *n, const uint32_t *keys, size_t n_keys) {
        size_t jump;

        if (n_keys <= LEAF) {
                for (size_t i = 0; i < n_keys; i++)
                        emit(f, n, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(n_keys - i), 0, keys[i]);
                verdict(f, n, false);
                verdict(f, n, true);
                return;
        }
        emit(f, n, BPF_JMP | BPF_JGE | BPF_K, 0, 1, keys[n_keys / 2]);
        jump = *n;
        emit(f, n, BPF_JMP | BPF_JA, 0, 0, 0);
        search(f, n, keys, n_keys / 2);
        f[jump].k = (uint32_t)(*n - jump - 1);
        search(f, n, keys + n_keys / 2, n_keys - n_keys / 2);
}

static int key_cmp(const void *a, const void *b) {
        uint32_t x, y;

        memcpy(&x, a, sizeof(x));
        memcpy(&y, b, sizeof(y));
        return x < y ? -1 : x > y;
}

size_t cnproc_filter(unsigned kinds, const uint32_t *pids, size_t n_pids,
                     struct sock_filter ret[CNPROC_FILTER_MAX]) {
        uint32_t keys[CNPROC_WATCHED_MAX];
        unsigned watched;
        size_t n = 0;

        emit(ret, &n, BPF_LD | BPF_W | BPF_ABS, 0, 0, EVENT_OFFSET + offsetof(struct proc_event, what));
        emit(ret, &n, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PROC_EVENT_NONE);
        verdict(ret, &n, true);
        for (KinWhat w = 0; w < _KIN_WHAT_MAX; w++)
                if (kinds & 1U << w) {
                        emit(ret, &n, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, htonl(event_of(w)));
                        verdict(ret, &n, true);
                }
        watched = n_pids > 0 ? CNPROC_WATCHED_KINDS & ~kinds : 0;
        if (watched == 0) {
                verdict(ret, &n, false);
                return n;
        }
        for (size_t i = 0; i < n_pids; i++)
                keys[i] = htonl(pids[i]);
        qsort(keys, n_pids, sizeof(*keys), key_cmp);
        for (KinWhat w = 0; w < _KIN_WHAT_MAX; w++)
                if (watched & 1U << w)
                        emit(ret, &n, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)__builtin_popcount(watched >> w),
                             0, htonl(event_of(w)));
        verdict(ret, &n, false);
        /* The leader's exit is the process's: pid, not tgid. Whoever executes is the leader from then on. */
        _Static_assert(offsetof(struct exit_proc_event, process_pid) ==
                               offsetof(struct exec_proc_event, process_pid),
                       "one load for both");
        emit(ret, &n, BPF_LD | BPF_W | BPF_ABS, 0, 0,
             DATA_OFFSET + offsetof(struct exit_proc_event, process_pid));
        search(ret, &n, keys, n_pids);
        return n;
}
