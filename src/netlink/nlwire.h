/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the guard and bailiff-netlink say to each other (layer: netlink, no socket in here): one packet of a
 * SOCK_SEQPACKET is a head, a body of its type, and items of one size. Both ends are of one machine, so numbers are as it
 * has them; but neither trusts the other.
 */

#include "tally.h"

#define NLWIRE_VERSION 3
#define NLWIRE_PACKET_MAX 16384
#define NLWIRE_ASK_MAX 512 /* processes in one question */
#define NLWIRE_ANSWER_MAX 8 /* in the answer: those that stand out */
#define NLWIRE_SPAN_MAX (5 * USEC_PER_SEC)
#define NLWIRE_COMM_MAX 64
#define NLWIRE_LINKS_MAX 8 /* of a container, in one answer */
#define NLWIRE_LINK_NAME_MAX 16 /* as IFNAMSIZ */

/* What the guard may want: bits. */
#define NL_WANT_FORKS 0x1u /* counts by cgroup: forks, threads, execs, exits, changes of user, core dumps */
#define NL_WANT_MAINS 0x2u /* how the processes on its list end, and what they execute */
#define NL_WANT_TASKS 0x4u /* what tasks that ended had used, by cgroup */
#define NL_WANT_ANSWERS 0x8u /* nothing of the kernel: only to ask */
#define NL_WANT_ALL 0xfu

/* What the service listens to: where a bit is not set it is not wanted now, or the kernel refused. */
#define NL_HEARS_EVENTS 0x1u
#define NL_HEARS_RECORDS 0x2u

typedef enum NlwireType {
        /* by the guard */
        NLWIRE_WANT = 1,
        NLWIRE_WATCH, /* items: NlWatch */
        NLWIRE_ASK, /* items: uint32_t, pids */
        NLWIRE_ASK_LINKS,
        /* by the service */
        NLWIRE_STATUS,
        NLWIRE_GROUP, /* items: bytes of the path; none: it is forgotten */
        NLWIRE_COUNTS, /* items: NlCounts */
        NLWIRE_TASKS, /* items: NlTasks */
        NLWIRE_EXITS, /* items: NlExit */
        NLWIRE_EXECS, /* items: NlExec */
        NLWIRE_ANSWER, /* items: NlProcess, what stands out first */
        NLWIRE_LINKS, /* items: NlLink, those with the lowest index */
        _NLWIRE_TYPE_MAX,
} NlwireType;

typedef struct NlWant {
        uint32_t wants;
        uint32_t rcvbuf; /* bytes of receive buffers, 0: as is usual */
} NlWant;

typedef struct NlWatch {
        uint64_t cookie; /* the guard's name for it; one pid a cookie */
        uint64_t start; /* as in /proc/PID/stat: clock ticks since boot; 0: whoever has that pid now */
        uint32_t pid; /* 0: not any more */
        uint32_t unused;
} NlWatch;

typedef enum NlBy { /* what to stand out by */
                    NL_BY_CPU,
                    NL_BY_MEMORY,
                    NL_BY_IO, /* time waited for it; else, CPU */
                    _NL_BY_MAX,
} NlBy;

typedef struct NlAsk { /* of the answer, too: span_usec as it was */
        uint64_t seq;
        uint64_t span_usec; /* look twice, so far apart; at most NLWIRE_SPAN_MAX */
        uint32_t by; /* NlBy */
        uint32_t delays_error; /* of the answer: why no delays are known (errno) */
} NlAsk;

typedef struct NlStatus {
        uint32_t events_error,
                tasks_error; /* why there are no events, no records (errno); 0: there are, or none is wanted */
        uint32_t wants; /* as is in force */
        uint32_t hears; /* NL_HEARS_… bits */
        uint32_t rcvbuf, unused;
        uint64_t n_events, n_records; /* read, since the service began */
        uint64_t lost_events, lost_records;
        uint64_t n_unknown; /* nobody's */
        uint64_t n_asked; /* looks into /proc */
} NlStatus;

typedef struct NlGroup {
        uint32_t id, unused;
} NlGroup;

typedef struct NlBatch { /* of NLWIRE_COUNTS and NLWIRE_TASKS */
        uint64_t span_usec; /* since the batch before */
        uint64_t lost; /* events, records, within it: nobody knows whose */
} NlBatch;

typedef struct NlCounts {
        uint32_t group, unused; /* 0: nobody's */
        uint64_t n[_TALLY_COUNT_MAX];
} NlCounts;

typedef struct NlTasks {
        uint32_t group, unused;
        uint64_t n[_TALLY_TASK_MAX];
} NlTasks;

typedef struct NlExit {
        uint64_t cookie;
        uint32_t pid;
        uint32_t code; /* as of wait(2) */
        uint32_t known; /* 0: it has gone, and the event with it */
        uint32_t unused;
} NlExit;

typedef struct NlExec {
        uint64_t cookie;
        uint64_t
                n; /* programs that it executed since this was told last; 0: it was looked at for the first time */
        uint32_t pid;
        uint32_t unused;
        char comm[NLWIRE_COMM_MAX]; /* as it calls itself now, ended by NUL: any bytes; "": it had gone */
} NlExec;

typedef struct NlProcess { /* all its threads */
        uint32_t pid;
        uint32_t threads;
        uint64_t start; /* as NlWatch */
        uint64_t cpu_usec, rss_bytes; /* until now, now */
        uint64_t span[_TALLY_TASK_MAX]; /* within the span: CPU time and the delays */
        char comm[NLWIRE_COMM_MAX]; /* as it calls itself, ended by NUL: any bytes */
} NlProcess;

typedef struct NlLinksAsk { /* of the answer, too */
        uint64_t seq;
        uint32_t pid; /* into whose network namespace the links lead */
        uint32_t error; /* of the answer: why none is known (errno) */
        uint64_t n_all; /* of the answer: how many there are */
} NlLinksAsk;

typedef enum NlLinkState { /* IFLA_OPERSTATE (RFC 2863) */
                           NL_LINK_UNKNOWN,
                           NL_LINK_NOTPRESENT,
                           NL_LINK_DOWN,
                           NL_LINK_LOWERLAYERDOWN,
                           NL_LINK_TESTING,
                           NL_LINK_DORMANT,
                           NL_LINK_UP,
                           _NL_LINK_STATE_MAX,
} NlLinkState;

typedef struct NlTraffic {
        uint64_t bytes, packets, errors, dropped;
} NlTraffic;

typedef struct NlLink { /* of the host, and the other end is in the container */
        char name[NLWIRE_LINK_NAME_MAX]; /* printable, without blanks; filled up with NUL, one at least */
        char master[NLWIRE_LINK_NAME_MAX]; /* the bridge that it is part of; empty: none */
        uint32_t state, unused; /* NlLinkState */
        NlTraffic to, from; /* the container: what the link sends, and receives */
} NlLink;

typedef struct NlPacket {
        NlwireType type;
        union {
                NlWant want;
                NlAsk ask; /* of NLWIRE_ANSWER, too */
                NlLinksAsk links; /* of NLWIRE_LINKS, too */
                NlStatus status;
                NlGroup group;
                NlBatch batch;
        };
        size_t n; /* items */
        size_t item_size;
        const uint8_t *items; /* not aligned: nlwire_item() */
} NlPacket;

/* -EBADMSG for whatever the other end cannot have said; by_guard: who that is. Paths are checked: absolute, printable. */
int nlwire_parse(const void *data, size_t len, bool by_guard, NlPacket *ret);
/* i < p->n; ret is an item's size. */
void nlwire_item(const NlPacket *p, size_t i, void *ret);

/* Making one. */
typedef struct NlOut {
        uint8_t data[NLWIRE_PACKET_MAX];
        size_t len, item_size;
        uint32_t n;
} NlOut;
/* body: of the type's size. */
void nlwire_begin(NlOut *o, NlwireType type, const void *body);
/* False: the packet is full. */
bool nlwire_add(NlOut *o, const void *item);
/* Length of the packet in o->data. */
size_t nlwire_end(NlOut *o);
