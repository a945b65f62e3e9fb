/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guard's end of bailiff-netlink (layer: netlink). Connected only while something is wanted; what is wanted
 * and watched is kept here and said again whenever the other end comes back.
 */

#include "nlwire.h"

typedef struct NlClient NlClient;

/* Called by nlclient_dispatch() alone. They may want, watch and ask, not dispatch nor free. path NULL: nobody's. */
typedef struct NlClientOps {
        void (*status)(void *user, const NlStatus *s);
        /* A batch begins: over so much time, so many events (or records) lost in it. */
        void (*batch)(void *user, bool tasks, const NlBatch *b);
        void (*counts)(void *user, const char *path, const uint64_t n[_TALLY_COUNT_MAX]);
        void (*tasks)(void *user, const char *path, const uint64_t n[_TALLY_TASK_MAX]);
        /* A watched process has ended, and is not watched any more. code as of wait(2); known false: nobody saw how. */
        void (*exited)(void *user, uint64_t cookie, uint32_t pid, uint32_t code, bool known);
        /* One has executed n programs, or (n 0) was looked at for the first time; comm: as NlExec. */
        void (*execed)(void *user, uint64_t cookie, uint32_t pid, uint64_t n, const char *comm);
        void (*answer)(void *user, const NlAsk *ask, const NlProcess *processes, size_t n);
        void (*links)(void *user, const NlLinksAsk *ask, const NlLink *links, size_t n);
        /* The connection came (why NULL) or went: until it comes again nothing is counted. */
        void (*link)(void *user, const char *why);
} NlClientOps;

/* path of the socket. No connection yet. -ENOMEM, -EINVAL, negative errno of epoll. */
int nlclient_new(const char *path, const NlClientOps *ops, void *user, NlClient **ret);
NlClient *nlclient_free(NlClient *c);
DEFINE_CLEANUP(NlClient *, nlclient_free)
int nlclient_get_fd(const NlClient *c); /* EPOLLIN; the same for the whole life of c */
/* NL_WANT_… bits; 0 disconnects. Takes effect with the next dispatch. */
void nlclient_want(NlClient *c, uint32_t wants);
/* Says it once more: what the kernel refused is tried again. With the next dispatch, too. */
void nlclient_want_again(NlClient *c);
uint32_t nlclient_wants(const NlClient *c);
/* A cookie that is watched already is watched for that process from now on. -ENOMEM, -ENOSPC. */
int nlclient_watch(NlClient *c, uint64_t cookie, uint32_t pid, uint64_t start);
void nlclient_unwatch(NlClient *c, uint64_t cookie);
/* Which of up to NLWIRE_ASK_MAX processes stand out. -ENOTCONN, -EINVAL; whether an answer comes nobody knows. */
int nlclient_ask(NlClient *c, const NlAsk *ask, const uint32_t *pids, size_t n);
/* Which links of the host lead into the network namespace of a process. -ENOTCONN; likewise. */
int nlclient_ask_links(NlClient *c, const NlLinksAsk *ask);
void nlclient_dispatch(NlClient *c, usec_t now);
usec_t nlclient_next_time(const NlClient *c); /* when to dispatch without input, or USEC_INFINITY */
bool nlclient_connected(const NlClient *c);
