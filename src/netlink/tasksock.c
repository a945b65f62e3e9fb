/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asking taskstats, and being told.
 *
 * Who ends is told per CPU on which it ended, so the request to be told names all
 * CPUs that the kernel could have; it wants them as a list, and takes only such as are possible. The
 * kernel answers requests before the call that sends them returns, so nothing
 * here waits.
 *
 * How losses are counted: nlbatch.c.
 */

#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "fdio.h"
#include "nlbatch.h"
#include "tasksock.h"

static int from_nl(int r) {
        switch (-r) {
        case NLE_PERM:
        case NLE_NOACCESS:
                return -EPERM;
        case NLE_NOMEM:
                return -ENOMEM;
        case NLE_OBJ_NOTFOUND:
        case NLE_OPNOTSUPP:
                return -EOPNOTSUPP;
        case NLE_PROTO_MISMATCH:
                return -EPROTONOSUPPORT;
        case NLE_AF_NOSUPPORT:
                return -EAFNOSUPPORT;
        case NLE_INVAL:
                return -EINVAL;
        default:
                return r < 0 ? -EIO : 0;
        }
}

static int open_one(struct nl_sock **ret) {
        struct nl_sock *sk = nl_socket_alloc();
        int r;

        if (!sk)
                return -ENOMEM;
        nl_socket_disable_auto_ack(sk);
        r = from_nl(genl_connect(sk));
        if (r < 0) {
                nl_socket_free(sk);
                return r;
        }
        *ret = sk;
        return 0;
}

static int open_questions(Tasksock *s) {
        int r, family;

        if (s->questions)
                return 0;
        r = open_one(&s->questions);
        if (r < 0)
                return r;
        family = genl_ctrl_resolve(s->questions, TASKSTATS_GENL_NAME);
        if (family < 0) {
                nl_socket_free(steal_ptr(s->questions));
                return from_nl(family);
        }
        s->family = (uint16_t)family;
        if (nl_socket_set_nonblocking(s->questions) < 0) {
                nl_socket_free(steal_ptr(s->questions));
                return -EIO;
        }
        return 0;
}

static int send_message(struct nl_sock *sk, struct nl_msg *m) {
        int r = nl_send_auto(sk, m);

        nlmsg_free(m);
        return r < 0 ? from_nl(r) : 0;
}

/* One message with one attribute: a string, or a number. */
static int send_attr(struct nl_sock *sk, uint16_t family, int attr, const char *text, uint32_t number,
                     int flags) {
        struct nl_msg *m = nlmsg_alloc();
        int r;

        if (!m)
                return -ENOMEM;
        if (!genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, flags, TASKSTATS_CMD_GET,
                         TASKSTATS_GENL_VERSION))
                r = -ENOMEM;
        else
                r = text ? nla_put_string(m, attr, text) : nla_put_u32(m, attr, number);
        if (r < 0) {
                nlmsg_free(m);
                return -ENOMEM;
        }
        return send_message(sk, m);
}

/* The kernel's own answer: 0, or its error. */
static int acknowledged(int fd) {
        union {
                char bytes[TASKREC_MESSAGE_MAX];
                struct nlmsghdr h;
        } buf;

        for (;;) {
                ssize_t len = recv(fd, buf.bytes, sizeof(buf), MSG_DONTWAIT);
                struct nlmsgerr e;

                if (len < 0 && (errno == EINTR || errno == ENOBUFS))
                        continue;
                if (len < 0)
                        return errno == EAGAIN ? -EIO : -errno;
                if ((size_t)len < NLMSG_HDRLEN + sizeof(e) || buf.h.nlmsg_type != NLMSG_ERROR)
                        continue; /* records can come before it */
                memcpy(&e, buf.bytes + NLMSG_HDRLEN, sizeof(e));
                return e.error <= 0 && e.error >= -4095 ? e.error : -EIO;
        }
}

void tasksock_deafen(Tasksock *s) {
        if (s->exits)
                nl_socket_free(steal_ptr(s->exits));
        s->fd = -1;
        s->drops = 0;
}

void tasksock_close(Tasksock *s) {
        tasksock_deafen(s);
        if (s->questions)
                nl_socket_free(steal_ptr(s->questions));
}

int tasksock_listen(Tasksock *s, unsigned rcvbuf) {
        char cpus[4096];
        ssize_t len;
        int r;

        if (s->exits)
                return 0;
        len = fd_read_at(AT_FDCWD, "/sys/devices/system/cpu/possible", cpus, sizeof(cpus));
        if (len < 0)
                return (int)len;
        cpus[strcspn(cpus, "\n")] = '\0';
        r = open_questions(s);
        if (r >= 0)
                r = open_one(&s->exits);
        if (r < 0)
                return r;
        s->fd = nl_socket_get_fd(s->exits);
        (void)nlbatch_set_buffer(s->fd, rcvbuf);
        if (nl_socket_set_nonblocking(s->exits) < 0)
                r = -EIO;
        if (r >= 0)
                r = send_attr(s->exits, s->family, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, cpus, 0,
                              NLM_F_REQUEST | NLM_F_ACK);
        if (r >= 0)
                r = acknowledged(s->fd);
        if (r < 0) {
                tasksock_deafen(s);
                return r;
        }
        (void)nlbatch_drops(s->fd, &s->drops);
        return 0;
}

typedef struct Reading {
        Tasksock *s;
        KinRecord *records;
        size_t n;
} Reading;

static void take(void *user, const void *data, size_t len, bool ok) {
        Reading *r = user;
        uint32_t seq;
        bool have;

        if (!ok || taskrec_parse(data, len, r->s->family, &r->records[r->n], &seq, &have) < 0)
                r->s->n_bad++;
        else if (have)
                r->n++;
}

ssize_t tasksock_read(Tasksock *s, KinRecord *ret, size_t max, uint64_t *ret_lost) {
        Reading reading = { s, ret, 0 };
        ssize_t r = nlbatch_read(s->fd, max, take, &reading);

        *ret_lost = nlbatch_drops(s->fd, &s->drops);
        s->n_lost += *ret_lost;
        s->n_records += reading.n;
        return r < 0 ? r : (ssize_t)reading.n;
}

int tasksock_ask(Tasksock *s, uint32_t tgid, KinRecord *ret) {
        char buf[TASKREC_MESSAGE_MAX];
        bool have = false;
        uint32_t seq;
        int r;

        r = open_questions(s);
        if (r >= 0)
                r = send_attr(s->questions, s->family, TASKSTATS_CMD_ATTR_TGID, NULL, tgid, NLM_F_REQUEST);
        if (r < 0)
                return r;
        /* An error comes as a message of its own; either is there by now. */
        for (;;) {
                ssize_t len = recv(nl_socket_get_fd(s->questions), buf, sizeof(buf), MSG_DONTWAIT);

                if (len < 0 && errno == EINTR)
                        continue;
                if (len < 0)
                        return errno == EAGAIN ? -EIO : -errno;
                if (taskrec_parse(buf, (size_t)len, s->family, ret, &seq, &have) < 0)
                        return -EBADMSG;
                if (!have)
                        return -ESRCH;
                if (ret->tgid == tgid)
                        return 0;
        }
}
