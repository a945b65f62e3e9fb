/* SPDX-License-Identifier: Apache-2.0 */

/*
 * /proc/PID/net/dev: what the network interfaces of one network namespace have
 * counted (net/core/net-procfs.c).
 *
 *   Inter-|   Receive                            …  |  Transmit
 *    face |bytes    packets errs drop fifo frame …|bytes    packets errs drop fifo colls carrier compressed
 *       lo:     840      10    0    0    0     0 …      840      10    0    0    0     0       0          0
 *     eth0: 1048576     742    0    3    0     0 …    52800     811    0    0    0     0       0          0
 *
 * Told is the sum over all interfaces but loopback, which goes by the name "lo"
 * in every namespace. What passes two interfaces of a namespace counts on both
 * (a container that runs a bridge for containers of its own): which of them leads outside the
 * text does not say, and names are whoever's who runs in there.
 *
 * Whoever runs in there may also have as many interfaces as he likes, with any
 * names that the kernel takes (up to 15 bytes, no blank, slash or colon). So a
 * name is what is before the first colon, and nothing is made of it. The sum is
 * had whole or not at all: a head line that says other columns, a line that is
 * none, a number beyond 64 bits or an end in the middle of a line, and there is
 * none.
 */

#include "num.h"
#include "sample-internal.h"

static const char head[] = "Inter-|   Receive                                                |  Transmit\n"
                           " face |bytes    packets errs drop fifo frame compressed multicast|"
                           "bytes    packets errs drop fifo colls carrier compressed\n";

/* Of the columns behind the name. */
enum {
        RX_BYTES,
        RX_PACKETS,
        RX_ERRORS,
        RX_DROPPED,
        TX_BYTES = 8,
        TX_PACKETS,
        TX_ERRORS,
        TX_DROPPED,
        N_COLUMNS = 16
};

static const struct {
        SampleField field;
        unsigned column;
} sums[] = {
        { SAMPLE_NET_RX_BYTES, RX_BYTES },   { SAMPLE_NET_RX_PACKETS, RX_PACKETS },
        { SAMPLE_NET_RX_ERRORS, RX_ERRORS }, { SAMPLE_NET_RX_DROPPED, RX_DROPPED },
        { SAMPLE_NET_TX_BYTES, TX_BYTES },   { SAMPLE_NET_TX_PACKETS, TX_PACKETS },
        { SAMPLE_NET_TX_ERRORS, TX_ERRORS }, { SAMPLE_NET_TX_DROPPED, TX_DROPPED },
};

static const char *skip_blanks(const char *p, const char *end) {
        while (p < end && is_blank(*p))
                p++;
        return p;
}

/* All columns and nothing else up to eol. */
static bool parse_columns(const char *p, const char *eol, uint64_t v[static N_COLUMNS]) {
        for (size_t i = 0; i < N_COLUMNS; i++) {
                p = skip_blanks(p, eol);
                if (num_scan_u64(&p, eol, &v[i]) < 0 || (p < eol && !is_blank(*p)))
                        return false;
        }
        return skip_blanks(p, eol) == eol;
}

static bool add_line(const char *line, const char *eol, uint64_t total[static N_COLUMNS]) {
        const char *name = skip_blanks(line, eol), *colon = memchr(name, ':', (size_t)(eol - name));
        uint64_t v[N_COLUMNS];

        if (!colon || colon == name || !parse_columns(colon + 1, eol, v))
                return false;
        if (colon - name == 2 && memcmp(name, "lo", 2) == 0)
                return true;
        for (size_t i = 0; i < N_COLUMNS; i++)
                total[i] = num_add_sat(total[i], v[i]);
        return true;
}

SampleMask sample_parse_net_dev(const char *text, size_t len, Sample *s) {
        const char *p = text + strlen(head), *end = text + len, *eol;
        uint64_t total[N_COLUMNS] = {};
        SampleMask got = 0;

        if (len < strlen(head) || memcmp(text, head, strlen(head)) != 0)
                return 0;
        for (; p < end; p = eol + 1) {
                eol = memchr(p, '\n', (size_t)(end - p));
                if (!eol || !add_line(p, eol, total))
                        return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
                sample_put(s, sums[i].field, total[sums[i].column]);
                got |= SAMPLE_BIT(sums[i].field);
        }
        return got;
}
