/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Looks. Texts are read with one pread into a buffer of the Meter, which grows
 * where a host has a great many disks; what they say is sample_parse()'s
 * business.
 *
 * Kept fds live in slots, one for a cgroup, made once: the bound is the size of
 * the table. Whoever is hot takes a free slot, else that of the oldest use; its
 * looks fill it with the files that they ask for. An fd whose number is among
 * the last below the limit is used and closed, for it shows that fds run out;
 * and when they have run out, slots are given up.
 *
 * A kept fd that says ENODEV is not believed, nor is ENOENT on opening: both also
 * happen when a controller is switched off. The file is opened anew by name, and
 * if that fails cg_alive() tells which it was.
 *
 * An open net/dev would keep its network namespace alive, so that is opened for each look. What is kept in its place is
 * the directory of the process, which keeps nothing but its number from being mistaken.
 *
 * Peaks: since 6.12 a write to memory.peak makes this one open file count from
 * now on. So the interval between two looks has an exact peak if the same
 * fd read and reset it at both ends (what happens between this read and this
 * write is lost to us, some microseconds). On the way in and on older kernels
 * there is the lifetime peak only, which is as exact when it rose. A captured
 * tree is never written to.
 */

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "fdio.h"
#include "meter.h"

#define TEXT_SIZE ((size_t)16 * 1024)
#define TEXT_SIZE_MAX ((size_t)1 << 20)
/* Of some five hundred interfaces: whoever runs in a container may make as many as he likes. */
#define NET_TEXT_SIZE_MAX ((size_t)64 * 1024)
/* fds left to others (a quarter of the limit where that is less). */
#define FD_RESERVE 64
#define OPEN_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)

#define PEAK_FILES (SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_PEAK) | SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_SWAP_PEAK))

/* The two that have a peak, as MeterCg has them. */
static const struct {
        SampleFile gauge_file, file;
        SampleField gauge, peak;
} peaks[] = {
        { SAMPLE_FILE_MEMORY_CURRENT, SAMPLE_FILE_MEMORY_PEAK, SAMPLE_MEMORY, SAMPLE_MEMORY_PEAK },
        { SAMPLE_FILE_MEMORY_SWAP_CURRENT, SAMPLE_FILE_MEMORY_SWAP_PEAK, SAMPLE_SWAP, SAMPLE_SWAP_PEAK },
};
#define N_PEAKS ARRAY_SIZE(peaks)

typedef struct Slot {
        TAILQ_ENTRY(Slot) link; /* of free ones, or of used ones with the oldest use first */
        MeterCg *cg;
        usec_t used;
        size_t n; /* fds */
        uint32_t writable; /* files whose fd can be written to */
        uint32_t reset; /* files whose fd was reset: it counts since then */
        int fds[_SAMPLE_FILE_MAX];
} Slot;
TAILQ_HEAD(SlotList, Slot);

struct Meter {
        int procfd;
        NetSpaces spaces;
        char *text;
        size_t alloc;
        Slot *slots;
        struct SlotList free, used;
        uint32_t cannot_reset; /* peak files that this kernel does not reset */
        MeterStats stats;
};

/* A look under way. */
typedef struct Look {
        Meter *m;
        MeterCg *cg;
        Slot *slot; /* NULL: none */
        bool keep;
        bool anew; /* METER_PROBE_MISSING */
        int fd_max; /* from here on fds are not kept; -1: not asked yet */
        bool alive; /* it was asked, in this look */
        uint32_t done; /* files that were read, or cannot be */
        uint32_t reset; /* files whose number counts since the look before */
        size_t n_read;
        Sample *s;
} Look;

int meter_new(const char *proc, size_t max_kept_cgroups, Meter **ret) {
        _cleanup_(cleanup_meter_free) Meter *m = NULL;
        size_t n = MIN_OF(max_kept_cgroups, (size_t)INT16_MAX);

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        m->procfd = -1;
        TAILQ_INIT(&m->free);
        TAILQ_INIT(&m->used);
        m->text = malloc(TEXT_SIZE);
        m->slots = calloc(n ?: 1, sizeof(*m->slots));
        if (!m->text || !m->slots)
                return -ENOMEM;
        m->alloc = TEXT_SIZE;
        for (size_t i = 0; i < n; i++) {
                memset(m->slots[i].fds, -1, sizeof(m->slots[i].fds));
                TAILQ_INSERT_TAIL(&m->free, &m->slots[i], link);
        }
        m->procfd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (m->procfd < 0)
                return -errno;
        *ret = steal_ptr(m);
        return 0;
}

/* ---- slots ---- */

static void slot_close(Meter *m, Slot *slot, SampleFile f) {
        if (slot->fds[f] < 0)
                return;
        slot->fds[f] = fd_close(slot->fds[f]);
        slot->writable &= ~SAMPLE_FILE_BIT(f);
        slot->reset &= ~SAMPLE_FILE_BIT(f);
        slot->n--;
        m->stats.n_kept_fds--;
}

static void slot_release(Meter *m, Slot *slot) {
        for (int f = 0; f < _SAMPLE_FILE_MAX; f++)
                slot_close(m, slot, (SampleFile)f);
        slot->cg = NULL;
        TAILQ_REMOVE(&m->used, slot, link);
        TAILQ_INSERT_HEAD(&m->free, slot, link);
        m->stats.n_kept_cgroups--;
}

static Slot *slot_of(Meter *m, const MeterCg *cg) { return cg->slot >= 0 ? &m->slots[cg->slot] : NULL; }

void meter_cool(Meter *m, MeterCg *cg) {
        Slot *slot = slot_of(m, cg);

        if (slot)
                slot_release(m, slot);
        cg->slot = -1;
        cg->peak_resets = false;
}

static void evict(Meter *m, Slot *slot) {
        meter_cool(m, slot->cg);
        m->stats.n_evictions++;
}

/* A slot for cg, which has none; NULL: all are in use. */
static Slot *slot_take(Meter *m, MeterCg *cg, usec_t now) {
        Slot *slot = TAILQ_FIRST(&m->used);

        if (TAILQ_EMPTY(&m->free) && slot && now >= slot->used && now - slot->used >= METER_HOLD_USEC)
                evict(m, slot);
        slot = TAILQ_FIRST(&m->free);
        if (!slot)
                return NULL;
        TAILQ_REMOVE(&m->free, slot, link);
        TAILQ_INSERT_TAIL(&m->used, slot, link);
        slot->cg = cg;
        cg->slot = (int16_t)(slot - m->slots);
        m->stats.n_kept_cgroups++;
        return slot;
}

static void slot_use(Meter *m, Slot *slot, usec_t now) {
        slot->used = now;
        TAILQ_REMOVE(&m->used, slot, link);
        TAILQ_INSERT_TAIL(&m->used, slot, link);
}

Meter *meter_free(Meter *m) {
        if (!m)
                return NULL;
        /* Whoever had the slots may be gone already. */
        while (!TAILQ_EMPTY(&m->used))
                slot_release(m, TAILQ_FIRST(&m->used));
        (void)fd_close(m->procfd);
        map_deinit(&m->spaces.owners);
        free(m->slots);
        free(m->text);
        free(m);
        return NULL;
}

void meter_cg_deinit(Meter *m, MeterCg *cg) {
        meter_cool(m, cg);
        net_leave(&m->spaces, &cg->net);
        sample_io_deinit(&cg->io);
        *cg = METER_CG_INIT;
}

/* ---- files ---- */

static bool is_our_trouble(int r) { return r == -EMFILE || r == -ENFILE || r == -ENOMEM; }

static bool is_pressure(SampleFile f) {
        return f >= SAMPLE_FILE_CPU_PRESSURE && f <= SAMPLE_FILE_IRQ_PRESSURE;
}

/* Gives up the oldest kept fds, but those of `but`; false: there are none. */
static bool evict_any(Meter *m, const Slot *but) {
        Slot *slot = TAILQ_FIRST(&m->used);

        if (slot == but && slot)
                slot = TAILQ_NEXT(slot, link);
        if (slot)
                evict(m, slot);
        return slot != NULL;
}

/* Gives up kept fds (but those of `but`) rather than not read. */
static int open_at(Meter *m, int dirfd, const char *name, int flags, const Slot *but) {
        int fd, r = 0;

        do {
                fd = openat(dirfd, name, flags | OPEN_FLAGS);
                if (fd < 0)
                        r = -errno;
        } while (fd < 0 && (r == -EMFILE || r == -ENFILE) && evict_any(m, but));
        return fd < 0 ? r : fd;
}

/*
 * The text of fd into m->text; its length, or -EFBIG: longer than max. A cgroup's file comes whole, one of /proc in pieces
 * of a page until there is no more.
 */
static ssize_t read_text(Meter *m, int fd, bool in_pieces, size_t max) {
        size_t len = 0;
        ssize_t n;

        do {
                if (len == m->alloc) {
                        char *p;

                        if (m->alloc >= max)
                                return -EFBIG;
                        p = realloc(m->text, m->alloc * 4);
                        if (!p)
                                return -ENOMEM;
                        m->text = p;
                        m->alloc *= 4;
                }
                do
                        n = pread(fd, m->text + len, m->alloc - len, (off_t)len);
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return -errno;
                len += (size_t)n;
                if (len > max)
                        return -EFBIG;
        } while (n > 0 && (in_pieces || len == m->alloc));
        return (ssize_t)len;
}

static bool may_keep(Look *l, int fd) {
        struct rlimit limit;

        if (!l->keep || !l->slot)
                return false;
        if (l->fd_max < 0) {
                l->fd_max = INT32_MAX;
                if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT32_MAX)
                        l->fd_max = (int)(limit.rlim_cur - MIN_OF((rlim_t)FD_RESERVE, limit.rlim_cur / 4));
        }
        return fd < l->fd_max;
}

/* A peak file that is to be kept is opened for its reset, where that may be. */
static bool wants_reset(const Look *l, SampleFile f) {
        struct statfs fs;

        return SAMPLE_FILE_BIT(f) & PEAK_FILES & ~l->m->cannot_reset && l->keep && l->slot &&
               fstatfs(l->cg->dirfd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Opens and reads f, and keeps its fd if that is wanted and can be. As read_text(). */
static ssize_t read_by_name(Look *l, SampleFile f) {
        const char *name = sample_file_name(f);
        _cleanup_fd_ int fd = -1;
        bool writable = false;
        ssize_t n;

        if (wants_reset(l, f)) {
                fd = open_at(l->m, l->cg->dirfd, name, O_RDWR, l->slot);
                writable = fd >= 0;
        }
        if (fd < 0) /* it may be somebody else's, and ours to read only */
                fd = open_at(l->m, l->cg->dirfd, name, O_RDONLY, l->slot);
        if (fd < 0)
                return fd;
        n = read_text(l->m, fd, false, TEXT_SIZE_MAX);
        if (n >= 0 && may_keep(l, fd)) {
                l->slot->fds[f] = steal_fd(&fd);
                if (writable)
                        l->slot->writable |= SAMPLE_FILE_BIT(f);
                l->slot->n++;
                l->m->stats.n_kept_fds++;
        }
        return n;
}

static ssize_t read_file(Look *l, SampleFile f) {
        ssize_t n;

        if (l->slot && l->slot->fds[f] >= 0) {
                n = read_text(l->m, l->slot->fds[f], false, TEXT_SIZE_MAX);
                if (n >= 0) {
                        l->reset |= l->slot->reset & SAMPLE_FILE_BIT(f);
                        return n;
                }
                slot_close(l->m, l->slot, f);
                if (n != -ENODEV)
                        return n;
        }
        return read_by_name(l, f);
}

/* Its peak is read: from now on the fd counts anew. */
static void reset_peak(Look *l, SampleFile f) {
        static const char text[] = "reset\n";
        uint32_t bit = SAMPLE_FILE_BIT(f);

        if (!l->slot || !(l->slot->writable & bit))
                return;
        if (write(l->slot->fds[f], text, strlen(text)) > 0) {
                l->slot->reset |= bit;
                l->m->stats.peaks_reset = true;
                return;
        }
        if (errno == EINVAL || errno == EBADF)
                l->m->cannot_reset |= bit;
        /* One that was reset before would say next what is neither of this interval nor of the life. */
        if (l->slot->reset & bit)
                slot_close(l->m, l->slot, f);
        else
                l->slot->writable &= ~bit;
}

static void forget_file(Look *l, SampleFile f) {
        sample_clear(l->s, sample_file_fields(f));
        if (f == SAMPLE_FILE_IO_STAT)
                l->cg->io.n = l->cg->io.n_unlisted = 0;
}

/* ---- the network ---- */

#define NET_FIELDS sample_file_fields(SAMPLE_FILE_NET_DEV)

/* Its net/dev: of the process that is kept, else of one that is found. As net_find(). */
static int open_net(Look *l, int *ret) {
        int *kept = l->slot ? &l->slot->fds[SAMPLE_FILE_NET_DEV] : NULL, r;
        _cleanup_fd_ int process = -1;
        pid_t pid;

        if (kept && *kept >= 0 && !l->anew) {
                r = open_at(l->m, *kept, "net/dev", O_RDONLY, l->slot);
                if (r >= 0) {
                        *ret = r;
                        return 0;
                }
        }
        if (kept)
                slot_close(l->m, l->slot, SAMPLE_FILE_NET_DEV);
        do
                r = net_find(l->m->procfd, l->cg->dirfd, &pid, &process, ret);
        while ((r == -EMFILE || r == -ENFILE) && evict_any(l->m, l->slot));
        if (r == 0 && may_keep(l, process)) {
                *kept = steal_fd(&process);
                l->slot->n++;
                l->m->stats.n_kept_fds++;
        }
        return r;
}

static bool went_back(const Sample *before, const Sample *now) {
        for (SampleMask rest = before->have & NET_FIELDS; rest; rest &= rest - 1) {
                SampleField f = sample_first(rest);

                if (now->v[f] < before->v[f])
                        return true;
        }
        return false;
}

/* What an open net/dev says: a NetTurn, or negative errno; -EBADMSG: it cannot be believed. */
static int read_net(Look *l, int fd, Sample *ret) {
        Meter *m = l->m;
        uint64_t space;
        ssize_t n;
        int r;

        m->stats.net_error = net_find_host(&m->spaces, m->procfd);
        if (m->stats.net_error < 0)
                return NET_LEAVE;
        r = net_space_of(fd, &space);
        if (r >= 0)
                r = net_settle(&m->spaces, &l->cg->net, space);
        if (r != NET_COUNT)
                return r;
        n = read_text(m, fd, true, NET_TEXT_SIZE_MAX);
        if (n < 0)
                return n == -EFBIG ? -EBADMSG : (int)n;
        l->n_read++;
        m->stats.n_files++;
        if (sample_parse(SAMPLE_FILE_NET_DEV, m->text, (size_t)n, ret, NULL) < 0)
                return -EBADMSG;
        return went_back(l->s, ret) ? NET_BEGIN : NET_COUNT;
}

static void put_net(Look *l, const Sample *from) {
        for (SampleMask rest = NET_FIELDS; rest; rest &= rest - 1)
                sample_put(l->s, sample_first(rest), from->v[sample_first(rest)]);
}

/* As look_at_file(). */
static int look_at_net(Look *l) {
        NetCg *net = &l->cg->net;
        bool first = !net->asked && !(l->s->have & NET_FIELDS);
        _cleanup_fd_ int fd = -1;
        Sample now = {};
        int r;

        if (net->id == 0 || (net->n_host >= NET_HOST_LOOKS && !l->anew))
                return 0;
        net->asked = true;
        r = open_net(l, &fd);
        if (r == 0)
                r = read_net(l, fd, &now);
        net->n_host = net->state == NET_HOST ? (uint8_t)MIN_OF(net->n_host + 1, NET_HOST_LOOKS) : 0;
        if (is_our_trouble(r)) {
                l->m->stats.n_fd_failures++;
                return r;
        }
        if (r == NET_COUNT)
                put_net(l, &now);
        else if (r == NET_BEGIN || r == NET_LEAVE || r == -EBADMSG)
                sample_clear(l->s, NET_FIELDS);
        if (r == -EBADMSG) {
                l->m->stats.n_net_damaged++;
                l->cg->missing |= SAMPLE_FILE_BIT(SAMPLE_FILE_NET_DEV);
        }
        /* It is just being made: nothing was counted of its own yet. */
        if (first && (r == NET_NOBODY || net->state == NET_HOST))
                put_net(l, &now);
        return 0;
}

/* 0: read, or it cannot be had; CG_GONE; negative: our trouble. */
static int look_at_file(Look *l, SampleFile f) {
        ssize_t n;

        if (l->cg->missing & SAMPLE_FILE_BIT(f)) {
                forget_file(l, f);
                return 0;
        }
        if (f == SAMPLE_FILE_NET_DEV)
                return look_at_net(l);
        n = read_file(l, f);
        if ((n == -ENOENT || n == -ENODEV) && !l->alive) {
                if (!cg_alive(l->cg->dirfd))
                        return CG_GONE;
                l->alive = true;
        }
        if (n < 0) {
                forget_file(l, f);
                if (is_our_trouble((int)n)) {
                        l->m->stats.n_fd_failures++;
                        return (int)n;
                }
                if (n == -EOPNOTSUPP && is_pressure(f))
                        l->m->stats.psi_error = -EOPNOTSUPP;
                l->cg->missing |= SAMPLE_FILE_BIT(f);
                return 0;
        }
        l->n_read++;
        l->m->stats.n_files++;
        if (SAMPLE_FILE_BIT(f) & PEAK_FILES)
                reset_peak(l, f);
        return sample_parse(f, l->m->text, (size_t)n, l->s, &l->cg->io) == -ENOMEM ? -ENOMEM : 0;
}

/* ---- peaks ---- */

/* Makes what the peak's file said, if anything, that of the interval. */
static PeakKind settle_peak(Look *l, size_t i) {
        MeterPeak *p = &l->cg->peaks[i], old = *p;
        bool read = sample_has(l->s, peaks[i].peak);
        uint64_t v = l->s->v[peaks[i].peak];

        /* The next interval begins with what is now. */
        p->have_seen = sample_has(l->s, peaks[i].gauge);
        p->seen = l->s->v[peaks[i].gauge];
        if (read && l->reset & SAMPLE_FILE_BIT(peaks[i].file)) {
                p->ever = MAX_OF(p->ever, v);
                return PEAK_RESET;
        }
        if (read) {
                p->have_ever = true;
                p->ever = v;
        }
        if (read && old.have_ever && v > old.ever)
                return PEAK_RAISED;
        if (!old.have_seen) {
                sample_clear(l->s, SAMPLE_BIT(peaks[i].peak));
                return PEAK_NONE;
        }
        sample_put(l->s, peaks[i].peak, old.seen);
        return read && old.seen >= v ? PEAK_RAISED : PEAK_SAMPLED;
}

/* Of what this look read. */
static void settle_peaks(Look *l) {
        PeakKind kind = _PEAK_MAX;

        for (size_t i = 0; i < N_PEAKS; i++) {
                MeterPeak *p = &l->cg->peaks[i];
                PeakKind k;

                if (l->done & SAMPLE_FILE_BIT(peaks[i].gauge_file) && sample_has(l->s, peaks[i].gauge)) {
                        p->seen = MAX_OF(p->have_seen ? p->seen : 0, l->s->v[peaks[i].gauge]);
                        p->have_seen = true;
                }
                if (!(l->done & SAMPLE_FILE_BIT(peaks[i].file)))
                        continue;
                k = settle_peak(l, i);
                if (k == PEAK_NONE || (i > 0 && kind != _PEAK_MAX && l->s->v[peaks[i].peak] == 0))
                        continue;
                kind = MIN_OF(kind, k);
        }
        if (kind != _PEAK_MAX)
                sample_put(l->s, SAMPLE_PEAK_KIND, kind);
        else if (l->done & PEAK_FILES)
                sample_clear(l->s, SAMPLE_BIT(SAMPLE_PEAK_KIND));
}

/* ---- looks ---- */

int meter_look(Meter *m, MeterCg *cg, uint32_t files, bool keep, usec_t now, Sample *s) {
        Look l = { .m = m,
                   .cg = cg,
                   .slot = slot_of(m, cg),
                   .keep = keep,
                   .anew = files & METER_PROBE_MISSING,
                   .fd_max = -1,
                   .s = s };
        int result = 0;

        if (cg->dirfd < 0)
                return CG_GONE;
        if (files & METER_PROBE_MISSING)
                cg->missing &= ~files;
        files &= SAMPLE_FILES_ALL;
        m->stats.n_looks++;
        if (!l.slot && keep && files & ~cg->missing)
                l.slot = slot_take(m, cg, now);
        if (l.slot)
                slot_use(m, l.slot, now);
        for (uint32_t rest = files; rest && result != CG_GONE; rest &= rest - 1) {
                SampleFile f = (SampleFile)__builtin_ctz(rest);
                int r = look_at_file(&l, f);

                if (r != 0)
                        result = r;
                if (r != CG_GONE)
                        l.done |= SAMPLE_FILE_BIT(f);
        }
        /* All that was asked for may be missing since before it went. */
        if (result == 0 && l.n_read == 0 && !l.alive && !cg_alive(cg->dirfd))
                result = CG_GONE;
        settle_peaks(&l);
        if (result != CG_GONE || l.n_read > 0)
                s->at = now;
        if (l.slot && l.slot->n == 0)
                meter_cool(m, cg);
        cg->peak_resets = cg->slot >= 0 && l.slot->reset;
        return result;
}

/* io: for DISKSTATS. 0, or our trouble. */
static int look_at_host_file(Meter *m, HostFile f, Sample *s, SampleIo *io) {
        _cleanup_fd_ int fd = -1;
        ssize_t n;

        fd = open_at(m, m->procfd, host_file_name(f), O_RDONLY, NULL);
        n = fd < 0 ? fd : read_text(m, fd, true, TEXT_SIZE_MAX);
        if (n >= 0) {
                m->stats.n_files++;
                return sample_parse_host(f, m->text, (size_t)n, s, io) == -ENOMEM ? -ENOMEM : 0;
        }
        sample_clear(s, host_file_fields(f));
        if (f == HOST_FILE_DISKSTATS && io)
                io->n = io->n_unlisted = 0;
        if (n == -EOPNOTSUPP)
                m->stats.psi_error = -EOPNOTSUPP;
        if (!is_our_trouble((int)n))
                return 0;
        m->stats.n_fd_failures++;
        return (int)n;
}

int meter_look_host(Meter *m, int rootfd, usec_t now, Sample *s, SampleIo *io) {
        _cleanup_fd_ int fd = -1;
        int result = 0;
        ssize_t n;

        for (int f = 0; f < _HOST_FILE_MAX; f++) {
                int r = look_at_host_file(m, (HostFile)f, s, io);

                if (r < 0)
                        result = r;
        }
        fd = open_at(m, rootfd, sample_file_name(SAMPLE_FILE_CPU_STAT), O_RDONLY, NULL);
        n = fd < 0 ? fd : read_text(m, fd, false, TEXT_SIZE_MAX);
        if (n >= 0) {
                m->stats.n_files++;
                (void)sample_parse(SAMPLE_FILE_CPU_STAT, m->text, (size_t)n, s, NULL);
        } else {
                sample_clear(s, sample_file_fields(SAMPLE_FILE_CPU_STAT));
                if (is_our_trouble((int)n)) {
                        m->stats.n_fd_failures++;
                        result = (int)n;
                }
        }
        s->at = now;
        return result;
}

void meter_get_stats(const Meter *m, MeterStats *ret) { *ret = m->stats; }
