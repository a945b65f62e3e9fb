/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What taskstats says of a task.
 *
 * An exit record has the task's own numbers (AGGR_PID) and, with the last
 * thread of a process that had several, those of all its threads once more
 * (AGGR_TGID): sums over tasks take the first alone. An answer about a thread group
 * has the second alone.
 *
 * The structure is versioned by appending, and kernels send theirs whatever we
 * were built against. So each number is taken only if the attribute
 * is long enough to have it; ac_tgid (version 12, Linux 5.19) falls back to the task's own pid, which is the
 * same for everything that is not a thread.
 *
 * Times of accounting are µs, delays are ns; the kernel rounds bytes down to KiB. What the scheduler
 * counted is there where the kernel was built to tell (CONFIG_TASK_DELAY_ACCT; the sysctl does not matter for that).
 */

#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <netlink/attr.h>

#include "num.h"
#include "taskrec.h"

/* The first version's end. */
#define STATS_LEN_MIN offsetof(struct taskstats, ac_comm)

/* The number, where the structure is long enough to have it, else 0. */
#define FIELD(data, len, member)                                                                           \
        ({                                                                                                 \
                uint64_t v_ = 0;                                                                           \
                if ((len) >= offsetof(struct taskstats, member) + sizeof(((struct taskstats *)0)->member)) \
                        v_ = field((data), offsetof(struct taskstats, member),                             \
                                   sizeof(((struct taskstats *)0)->member));                               \
                v_;                                                                                        \
        })

static uint64_t field(const void *data, size_t offset, size_t size) {
        uint64_t v64;
        uint32_t v32;

        if (size == sizeof(v32)) {
                memcpy(&v32, (const char *)data + offset, sizeof(v32));
                return v32;
        }
        memcpy(&v64, (const char *)data + offset, sizeof(v64));
        return v64;
}

int taskrec_parse_stats(const void *data, size_t len, KinRecord *ret) {
        uint64_t pid, tgid;

        if (len < STATS_LEN_MIN)
                return -EBADMSG;
        pid = FIELD(data, len, ac_pid);
        tgid = FIELD(data, len, ac_tgid);
        *ret = (KinRecord){ .tgid = (uint32_t)(tgid ?: pid) };
        ret->tasks[TALLY_TASKS] = 1;
        ret->tasks[TALLY_CPU_USEC] = num_add_sat(FIELD(data, len, ac_utime), FIELD(data, len, ac_stime));
        ret->tasks[TALLY_RUN_USEC] = FIELD(data, len, cpu_run_virtual_total) / 1000;
        ret->tasks[TALLY_READ_BYTES] = FIELD(data, len, read_bytes);
        ret->tasks[TALLY_WRITE_BYTES] = FIELD(data, len, write_bytes);
        ret->tasks[TALLY_DELAY_CPU_USEC] = FIELD(data, len, cpu_delay_total) / 1000;
        ret->tasks[TALLY_DELAY_BLKIO_USEC] = FIELD(data, len, blkio_delay_total) / 1000;
        ret->tasks[TALLY_DELAY_SWAP_USEC] = FIELD(data, len, swapin_delay_total) / 1000;
        ret->tasks[TALLY_DELAY_RECLAIM_USEC] = FIELD(data, len, freepages_delay_total) / 1000;
        ret->tasks[TALLY_DELAY_THRASH_USEC] = FIELD(data, len, thrashing_delay_total) / 1000;
        ret->tasks[TALLY_DELAY_COMPACT_USEC] = FIELD(data, len, compact_delay_total) / 1000;
        return 0;
}

static int take_stats(const struct nlattr *nested, uint32_t pid_type, KinRecord *ret) {
        struct nlattr *inner[TASKSTATS_TYPE_MAX + 1] = {};
        const struct nlattr *stats, *pid;
        int r;

        if (nla_parse(inner, TASKSTATS_TYPE_MAX, nla_data(nested), nla_len(nested), NULL) < 0)
                return -EBADMSG;
        stats = inner[TASKSTATS_TYPE_STATS];
        pid = inner[pid_type];
        if (!stats || !pid || nla_len(pid) < (int)sizeof(uint32_t))
                return -EBADMSG;
        r = taskrec_parse_stats(nla_data(stats), (size_t)nla_len(stats), ret);
        if (r < 0)
                return r;
        /* The structure of a thread group names nobody. */
        if (ret->tgid == 0 || pid_type == TASKSTATS_TYPE_TGID)
                ret->tgid = nla_get_u32(pid);
        return ret->tgid - 1 < INT32_MAX ? 0 : -EBADMSG;
}

int taskrec_parse(const void *data, size_t len, uint16_t family, KinRecord *ret, uint32_t *ret_seq,
                  bool *ret_have) {
        struct nlattr *attrs[TASKSTATS_TYPE_MAX + 1] = {};
        const char *body = (const char *)data + NLMSG_HDRLEN + GENL_HDRLEN;
        struct nlmsghdr h;
        struct genlmsghdr g;
        KinRecord record;
        int r;

        *ret_have = false;
        if (len < NLMSG_HDRLEN)
                return -EBADMSG;
        memcpy(&h, data, sizeof(h));
        if (h.nlmsg_len > len || h.nlmsg_len < NLMSG_HDRLEN)
                return -EBADMSG;
        *ret_seq = h.nlmsg_seq;
        if (h.nlmsg_type == NLMSG_ERROR || h.nlmsg_type == NLMSG_DONE || h.nlmsg_type == NLMSG_NOOP)
                return 0;
        if (h.nlmsg_type != family || h.nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN)
                return -EBADMSG;
        memcpy(&g, (const char *)data + NLMSG_HDRLEN, sizeof(g));
        if (g.cmd != TASKSTATS_CMD_NEW)
                return 0;
        r = nla_parse(attrs, TASKSTATS_TYPE_MAX, (struct nlattr *)body,
                      (int)(h.nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN), NULL);
        if (r < 0)
                return -EBADMSG;
        if (attrs[TASKSTATS_TYPE_AGGR_PID])
                r = take_stats(attrs[TASKSTATS_TYPE_AGGR_PID], TASKSTATS_TYPE_PID, &record);
        else if (attrs[TASKSTATS_TYPE_AGGR_TGID])
                r = take_stats(attrs[TASKSTATS_TYPE_AGGR_TGID], TASKSTATS_TYPE_TGID, &record);
        else
                return 0;
        if (r < 0)
                return r;
        *ret = record;
        *ret_have = true;
        return 0;
}
