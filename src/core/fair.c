/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Fair shares, as the kernel's schedulers would make them if everybody pulled as hard as he can.
 *
 * What a party may want at most (its demand) follows from what it used and how long it waited: when nobody in it waited
 * it had all it wanted; when somebody did, it may have wanted everything. So demand is use + stall · capacity. Who
 * does not wait leaves the rest to the others, who waits all the time wants all, and there is no threshold in between at
 * which entitlements would jump. Use is taken over the window or since the look before, whichever is more:
 * a hog that has just begun is seen as what it is, and one that has just been a victim is not taken for less than it got.
 *
 * From the leaves to the host demands (and guarantees) are added up, bounded by quotas; from the host to the leaves what a
 * level has is divided: all siblings rise on one level in proportion to their weights, none below its
 * guarantee, none above its demand, until it is used up (water-filling). Processes of a group itself, and what
 * is too quiet to be in the scene, take part as one sibling more: the difference of the group's use and what those below
 * explain, of default weight, for whom nothing is known but that.
 *
 * CPUGuarantee= is a tenant's. Its containers have parts of it in proportion to their demands, wherever they
 * are, so that a tenant within its guarantee is entitled to all that it wants.
 *
 * IO is divided in the same way on each disk that is the main one of somebody. An operation costs a disk time beside that for its bytes:
 * as much as some more bytes (OP_BYTES). That is between what it is on flash (4 KiB) and on spinning disks (1 MiB), and only
 * parts of one disk are ever compared; where io.cost runs, it knows better. io.max is no part of this: bytes are not device time.
 * Who waits and does nothing wants some of the busiest disk that is written to (fair_device_written()). What the host does
 * beyond its cgroups is one sibling more at the top; but for what the kernel writes on their behalf: to fsync one block it
 * may write a journal of three or four, in no cgroup. So writes up to JOURNALS times theirs are taken for that, once everybody has been
 * looked at: until then it may be a service's that has just begun, and somebody would be to blame for it who merely was looked at.
 *
 * All sums are integers and saturate; a level is found by bisection, so that the result does not depend on the order of siblings.
 */

#include "judge.h"
#include "num.h"

#define PERMYRIAD 10000
#define ACTIVE 100 /* permyriad: of the resource, or of the time waiting */
#define WEIGHT_DEFAULT 100
#define OP_BYTES (32 * UINT64_C(1024))
#define JOURNALS 4
#define LEVEL_SHIFT 20 /* fraction bits of a level */
#define TENANT_HASH_INIT UINT32_C(2166136261)
#define TENANT_HASH_STEP UINT32_C(16777619)
#define DISKS_MAX 64 /* of more, those with the lowest numbers have shares */
#define NONE UINT32_MAX /* end of a list */

static usec_t width_of(const Party *p) {
        return p->settings ? p->settings->pressure_window : HARM_WINDOW_DEFAULT;
}

static bool is_leaf(const FairShare *f) { return f->work.first == NONE; }

/* Of the parties' own kinds only these may want more than they use. */
static bool may_want(const Party *p, const FairShare *f) {
        return is_leaf(f) && (p->kind == PARTY_CONTAINER || p->kind == PARTY_SERVICE) &&
               !(p->now && p->now->v[SAMPLE_FROZEN] != 0);
}

static void link_children(const Scene *scene, FairShare *ret) {
        for (uint32_t i = 0; i < scene->n; i++)
                ret[i] = (FairShare){ .work = { NONE, NONE, NONE, NONE, 0, 0, 0, 0 } };
        for (uint32_t i = scene->n; i-- > 1;) {
                uint32_t above = party_above(scene, i);

                if (above == NO_PARTY)
                        continue;
                ret[i].work.next = ret[above].work.first;
                ret[above].work.first = i;
        }
}

/* ---- division of one level ---- */

static uint64_t at_level(uint64_t level, unsigned weight, uint64_t low, uint64_t high) {
        unsigned __int128 v = (unsigned __int128)level * weight >> LEVEL_SHIFT;

        return v >= high ? high : MAX_OF((uint64_t)v, low);
}

typedef struct Level {
        const Scene *scene;
        FairShare *all;
        uint32_t above;
        uint64_t own; /* use of the group itself */
        bool io;
} Level;

static unsigned weight_of(const Level *l, uint32_t i) {
        const PartyLimits *limits = &l->scene->parties[i].limits;

        return MAX_OF(l->io ? limits->io_weight : limits->cpu_weight, 1U);
}

static uint64_t filled(const Level *l, uint64_t level) {
        uint64_t sum = at_level(level, WEIGHT_DEFAULT, 0, l->own);

        for (uint32_t i = l->all[l->above].work.first; i != NONE; i = l->all[i].work.next)
                sum = num_add_sat(sum,
                                  at_level(level, weight_of(l, i), l->all[i].work.low, l->all[i].work.high));
        return sum;
}

static void divide_level(const Level *l, uint64_t total) {
        uint64_t low = filled(l, 0), level = 0, top;

        /* Nobody of weight 1 needs more than this to have all of it. */
        top = total > UINT64_MAX >> LEVEL_SHIFT ? UINT64_MAX : total << LEVEL_SHIFT;
        if (filled(l, top) <= total)
                level = top;
        while (level < top && low <= total) {
                uint64_t mid = top - (top - level) / 2;

                if (filled(l, mid) <= total)
                        level = mid;
                else
                        top = mid - 1;
        }
        for (uint32_t i = l->all[l->above].work.first; i != NONE; i = l->all[i].work.next) {
                FairShare *f = &l->all[i];

                /* More is guaranteed than there is: all get less alike. */
                f->work.share = low > total ? num_muldiv(f->work.low, total, low)
                                            : at_level(level, weight_of(l, i), f->work.low, f->work.high);
        }
}

/* From demands (work.used, .low and .high of the leaves, .used of groups or 0) to work.share of everybody. */
static void divide(const Scene *scene, FairShare *all, bool io, uint64_t capacity) {
        for (uint32_t i = scene->n; i-- > 0;) {
                uint64_t low = 0, high = 0, used = 0;
                FairShare *f = &all[i];

                if (!is_leaf(f)) {
                        for (uint32_t c = f->work.first; c != NONE; c = all[c].work.next) {
                                low = num_add_sat(low, all[c].work.low);
                                high = num_add_sat(high, all[c].work.high);
                                used = num_add_sat(used, all[c].work.used);
                        }
                        f->work.used = MAX_OF(f->work.used, used);
                        f->work.low = low;
                        f->work.high = num_add_sat(high, f->work.used - used);
                }
                if (!io)
                        f->work.high = MIN_OF(f->work.high, scene->parties[i].limits.cpu_quota);
                f->work.low = MIN_OF(f->work.low, f->work.high);
        }
        all[0].work.share = capacity;
        for (uint32_t i = 0; i < scene->n; i++) {
                uint64_t below = 0;

                if (is_leaf(&all[i]))
                        continue;
                for (uint32_t c = all[i].work.first; c != NONE; c = all[c].work.next)
                        below = num_add_sat(below, all[c].work.used);
                divide_level(&(Level){ scene, all, i, all[i].work.used - below, io }, all[i].work.share);
        }
}

/* ---- CPU ---- */

/* What it uses a second, over the window or just now. False: not known. */
static bool cpu_used(const Party *p, uint64_t *ret) {
        const Window *w = &p->memory->window;
        uint64_t v, recent;
        usec_t span;

        if (!window_delta(w, SAMPLE_CPU_USAGE, &v))
                return false;
        v = num_muldiv(v, USEC_PER_SEC, window_span(w));
        if (window_recent(w, SAMPLE_CPU_USAGE, &recent, &span))
                v = MAX_OF(v, num_muldiv(recent, USEC_PER_SEC, span));
        *ret = v;
        return true;
}

static void cpu_demand(const Scene *scene, uint32_t i, FairShare *f, uint64_t capacity) {
        const Party *p = &scene->parties[i];
        unsigned some = 0;

        f->work.used = f->work.low = 0;
        (void)cpu_used(p, &f->work.used);
        f->work.high = f->work.used;
        if (!may_want(p, f) || !window_share(&p->memory->window, SAMPLE_CPU_SOME, width_of(p), &some))
                some = 0;
        f->work.high =
                MIN_OF(num_add_sat(f->work.high, num_muldiv(capacity, some, PERMYRIAD)), p->limits.cpu_quota);
        f->cpu_active = f->work.used > capacity / (PERMYRIAD / ACTIVE) || some >= ACTIVE;
}

static bool has_guarantee(const Party *p, const FairShare *f) {
        return is_leaf(f) && p->kind == PARTY_CONTAINER && p->tenant && p->settings &&
               p->settings->cpu_guarantee > 0;
}

static uint32_t tenant_hash(const char *name) {
        uint32_t h = TENANT_HASH_INIT;

        for (; *name; name++)
                h = (h ^ (unsigned char)*name) * TENANT_HASH_STEP;
        return h;
}

/* Each container's part of its tenant's guarantee. Lists of containers by hash of the tenant's name, as it may be a thousand. */
static void cpu_guarantees(const Scene *scene, FairShare *all) {
        for (uint32_t i = 0; i < scene->n; i++) {
                const Party *p = &scene->parties[i];
                FairShare *head;

                if (!has_guarantee(p, &all[i]))
                        continue;
                head = &all[tenant_hash(p->tenant) % scene->n];
                all[i].work.peer = head->work.bucket;
                head->work.bucket = i;
        }
        for (uint32_t i = 0; i < scene->n; i++) {
                const Party *p = &scene->parties[i];
                uint64_t wanted = 0;

                if (!has_guarantee(p, &all[i]))
                        continue;
                for (uint32_t k = all[tenant_hash(p->tenant) % scene->n].work.bucket; k != NONE;
                     k = all[k].work.peer)
                        if (STR_EQ(scene->parties[k].tenant, p->tenant))
                                wanted = num_add_sat(wanted, all[k].work.high);
                all[i].work.low = all[i].work.high;
                if (wanted > p->settings->cpu_guarantee)
                        all[i].work.low = num_muldiv(all[i].work.high, p->settings->cpu_guarantee, wanted);
        }
}

static void cpu_quotas(const Scene *scene, FairShare *all) {
        for (uint32_t i = 0; i < scene->n; i++) {
                const Party *p = &scene->parties[i];
                uint32_t above = party_above(scene, i);

                all[i].cpu_quota = p->leased[LEVER_CPU] ? p->beneath[LEVER_CPU] : p->limits.cpu_quota;
                if (above != NO_PARTY)
                        all[i].cpu_quota = MIN_OF(all[i].cpu_quota, all[above].cpu_quota);
        }
}

static void fair_cpu(const Scene *scene, FairShare *all) {
        uint64_t capacity = scene->n_cpus * USEC_PER_SEC;

        cpu_quotas(scene, all);
        for (uint32_t i = 0; i < scene->n; i++)
                cpu_demand(scene, i, &all[i], capacity);
        cpu_guarantees(scene, all);
        divide(scene, all, false, capacity);
        for (uint32_t i = scene->n; i-- > 0;) {
                uint32_t above = party_above(scene, i);

                all[i].cpu_used = all[i].work.used;
                all[i].cpu_entitled = all[i].work.share;
                if (above != NO_PARTY && all[i].cpu_active)
                        all[above].cpu_active = true;
        }
}

bool fair_cpu_busy(const Scene *scene, const FairShare *fair, unsigned *ret_permyriad) {
        uint64_t used;

        if (scene->n == 0 || scene->n_cpus == 0 || !cpu_used(&scene->parties[0], &used))
                return false;
        used = MAX_OF(used, fair[0].cpu_used);
        *ret_permyriad = (unsigned)MIN_OF(num_muldiv(used, PERMYRIAD, scene->n_cpus * USEC_PER_SEC),
                                          (uint64_t)PERMYRIAD);
        return true;
}

/* ---- IO ---- */

enum { READS, WRITES, _WAYS };

typedef struct Cost { /* a second */
        uint64_t bytes[_WAYS], ops[_WAYS]; /* discards are operations that write */
        uint64_t device_usec; /* of io.cost */
} Cost;

/* Bytes, and what operations are worth in bytes. */
static uint64_t traffic_of(const Cost *c, int way) {
        return num_add_sat(c->bytes[way], num_muldiv(c->ops[way], OP_BYTES, 1));
}

static uint64_t traffic(const Cost *c) { return num_add_sat(traffic_of(c, READS), traffic_of(c, WRITES)); }

static bool is_none(const Cost *c) { return traffic(c) == 0 && c->device_usec == 0; }

static uint64_t grown(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

static Cost cost_on(const Party *p, dev_t dev) {
        static const SampleDevice none = {};
        const SampleDevice *before, *now = p->io_now ? sample_io_find(p->io_now, dev) : NULL;
        Cost c = {};

        if (!now || !p->io_before || p->io_span == 0)
                return c;
        before = sample_io_find(p->io_before, dev);
        if (!before) /* its first traffic there */
                before = &none;
#define A_SECOND(n) num_muldiv(n, USEC_PER_SEC, p->io_span)
        c.bytes[READS] = A_SECOND(grown(before->rbytes, now->rbytes));
        c.bytes[WRITES] = A_SECOND(grown(before->wbytes, now->wbytes));
        c.ops[READS] = A_SECOND(grown(before->rios, now->rios));
        c.ops[WRITES] = A_SECOND(num_add_sat(grown(before->wios, now->wios), grown(before->dios, now->dios)));
        c.device_usec = A_SECOND(grown(before->cost_usage_usec, now->cost_usage_usec));
#undef A_SECOND
        return c;
}

static void cost_add(Cost *sum, Cost c) {
        for (int way = 0; way < _WAYS; way++) {
                sum->bytes[way] = num_add_sat(sum->bytes[way], c.bytes[way]);
                sum->ops[way] = num_add_sat(sum->ops[way], c.ops[way]);
        }
        sum->device_usec = num_add_sat(sum->device_usec, c.device_usec);
}

/* Of all cgroups' and the rest's. Device time is known of cgroups only. */
static unsigned cost_part(Cost own, Cost all, uint64_t rest) {
        uint64_t a = all.device_usec > 0 ? own.device_usec : traffic(&own);
        uint64_t b = all.device_usec > 0 ? all.device_usec : num_add_sat(traffic(&all), rest);

        return b > 0 ? (unsigned)MIN_OF(num_muldiv(a, PERMYRIAD, b), (uint64_t)PERMYRIAD) : 0;
}

static unsigned rest_part(Cost all, uint64_t rest) {
        uint64_t sum = num_add_sat(traffic(&all), rest);

        return all.device_usec > 0 || sum == 0 ? 0 : (unsigned)num_muldiv(rest, PERMYRIAD, sum);
}

static bool is_worker(const Party *p) { return p->kind == PARTY_CONTAINER || p->kind == PARTY_SERVICE; }

/* The outermost containers and services: each traffic once. */
static bool counts(const Scene *scene, uint32_t party) {
        if (!is_worker(&scene->parties[party]))
                return false;
        for (uint32_t p = party_above(scene, party); p != NO_PARTY; p = party_above(scene, p))
                if (is_worker(&scene->parties[p]))
                        return false;
        return true;
}

static Cost cost_of_all(const Scene *scene, dev_t dev) {
        Cost all = {};

        for (uint32_t i = 0; i < scene->n; i++)
                if (counts(scene, i))
                        cost_add(&all, cost_on(&scene->parties[i], dev));
        return all;
}

/* Of one way: disks merge what cgroups count one by one, so bytes and operations are each compared with their own. */
static uint64_t beyond(const Cost *host, const Cost *all, int way) {
        Cost c = {};

        c.bytes[way] = host->bytes[way] - MIN_OF(host->bytes[way], all->bytes[way]);
        c.ops[way] = host->ops[way] - MIN_OF(host->ops[way], all->ops[way]);
        return traffic_of(&c, way);
}

/* Traffic of the rest of the host. */
static uint64_t rest_on(const Scene *scene, dev_t dev, const Cost *all) {
        Cost host = cost_on(&scene->parties[0], dev);
        uint64_t writes = beyond(&host, all, WRITES), journals = 0;

        if (scene->all_looked_at)
                journals = num_muldiv(traffic_of(all, WRITES), JOURNALS, 1);
        return num_add_sat(beyond(&host, all, READS), writes - MIN_OF(writes, journals));
}

unsigned fair_device_part(const Scene *scene, uint32_t party, dev_t dev) {
        Cost all = cost_of_all(scene, dev);

        return cost_part(cost_on(&scene->parties[party], dev), all, rest_on(scene, dev, &all));
}

unsigned fair_device_rest(const Scene *scene, dev_t dev) {
        Cost all = cost_of_all(scene, dev);

        return rest_part(all, rest_on(scene, dev, &all));
}

bool fair_device_busy(const Scene *scene, dev_t dev, unsigned *ret_permyriad) {
        const Party *host = scene->parties;
        const SampleDevice *before, *now;

        if (scene->n == 0 || !host->io_before || !host->io_now || host->io_span == 0)
                return false;
        before = sample_io_find(host->io_before, dev);
        now = sample_io_find(host->io_now, dev);
        if (!before || !now || now->busy_usec < before->busy_usec)
                return false;
        *ret_permyriad =
                (unsigned)MIN_OF(num_muldiv(now->busy_usec - before->busy_usec, PERMYRIAD, host->io_span),
                                 (uint64_t)PERMYRIAD);
        return true;
}

static bool is_written(const Party *p, dev_t dev) {
        const SampleDevice *before = sample_io_find(p->io_before, dev), *now = sample_io_find(p->io_now, dev);

        return before && now && (now->wbytes > before->wbytes || now->wios > before->wios);
}

bool fair_device_written(const Scene *scene, dev_t *ret_dev, unsigned *ret_permyriad) {
        const Party *host = scene->parties;
        bool known = false;
        unsigned busy;

        *ret_dev = 0;
        *ret_permyriad = 0;
        for (size_t i = 0; scene->n > 0 && host->io_now && i < host->io_now->n; i++) {
                dev_t dev = host->io_now->devices[i].dev;

                if (!fair_device_busy(scene, dev, &busy))
                        continue;
                known = true;
                if (busy <= *ret_permyriad || !is_written(host, dev))
                        continue;
                *ret_permyriad = busy;
                *ret_dev = dev;
        }
        return known;
}

static bool has_traffic(const Party *p) {
        for (size_t i = 0; p->io_now && i < p->io_now->n; i++) {
                Cost c = cost_on(p, p->io_now->devices[i].dev);

                if (!is_none(&c))
                        return true;
        }
        return false;
}

typedef struct Disk {
        dev_t dev;
        Cost all;
        uint64_t rest; /* traffic of the rest of the host */
} Disk;

/* Ordered by dev. NULL: no room. */
static Disk *disk_of(Disk *disks, size_t *n, dev_t dev) {
        size_t i = *n;

        while (i > 0 && disks[i - 1].dev > dev)
                i--;
        if (i > 0 && disks[i - 1].dev == dev)
                return &disks[i - 1];
        if (i == DISKS_MAX)
                return NULL;
        if (*n == DISKS_MAX)
                (*n)--;
        memmove(&disks[i + 1], &disks[i], (*n - i) * sizeof(*disks));
        disks[i] = (Disk){ .dev = dev };
        (*n)++;
        return &disks[i];
}

/* Which disks somebody uses, and how much all do together. */
static size_t collect_disks(const Scene *scene, Disk *disks) {
        size_t n = 0;

        for (uint32_t i = 0; i < scene->n; i++) {
                const Party *p = &scene->parties[i];

                for (size_t d = 0; p->io_now && d < p->io_now->n && counts(scene, i); d++) {
                        Cost c = cost_on(p, p->io_now->devices[d].dev);
                        Disk *disk;

                        if (is_none(&c))
                                continue;
                        disk = disk_of(disks, &n, p->io_now->devices[d].dev);
                        if (disk)
                                cost_add(&disk->all, c);
                }
        }
        return n;
}

/* written: for who only waits. */
static void fair_disk(const Scene *scene, FairShare *all, const Disk *disk, bool written) {
        for (uint32_t i = 0; i < scene->n; i++) {
                const Party *p = &scene->parties[i];
                FairShare *f = &all[i];
                unsigned some = 0;

                f->work.low = 0;
                f->work.used = 0;
                if (is_worker(p))
                        f->work.used = cost_part(cost_on(p, disk->dev), disk->all, disk->rest);
                else if (p->kind == PARTY_HOST && rest_part(disk->all, disk->rest) > 0)
                        f->work.used = PERMYRIAD; /* with what is nobody's */
                if (may_want(p, f) && (f->work.used > 0 || (written && !has_traffic(p))))
                        (void)window_share(&p->memory->window, SAMPLE_IO_SOME, width_of(p), &some);
                f->work.high = MIN_OF(f->work.used + some, (uint64_t)PERMYRIAD);
        }
        divide(scene, all, true, PERMYRIAD);
        for (uint32_t i = 0; i < scene->n; i++) {
                FairShare *f = &all[i];

                if (scene->parties[i].kind == PARTY_HOST || f->work.used <= f->io_part)
                        continue;
                f->io_part = (unsigned)MIN_OF(f->work.used, (uint64_t)PERMYRIAD);
                f->io_entitled = (unsigned)f->work.share;
                f->io_dev = disk->dev;
        }
}

static void fair_io(const Scene *scene, FairShare *all) {
        Disk disks[DISKS_MAX];
        size_t n = collect_disks(scene, disks);
        unsigned busy;
        dev_t written;

        (void)fair_device_written(scene, &written, &busy);
        for (size_t d = 0; d < n; d++) {
                disks[d].rest = rest_on(scene, disks[d].dev, &disks[d].all);
                fair_disk(scene, all, &disks[d], disks[d].dev == written);
        }
        for (uint32_t i = scene->n; i-- > 0;) {
                const Party *p = &scene->parties[i];
                uint32_t above = party_above(scene, i);
                unsigned some;

                if (all[i].io_part >= ACTIVE ||
                    (may_want(p, &all[i]) &&
                     window_share(&p->memory->window, SAMPLE_IO_SOME, width_of(p), &some) && some >= ACTIVE))
                        all[i].io_active = true;
                if (above != NO_PARTY && all[i].io_active)
                        all[above].io_active = true;
        }
}

/* ---- memory ---- */

static void fair_memory(const Scene *scene, FairShare *all) {
        for (uint32_t i = scene->n; i-- > 0;) {
                const Party *p = &scene->parties[i];
                FairShare *f = &all[i];

                if (p->now && sample_has(p->now, SAMPLE_MEMORY))
                        f->memory = p->now->v[SAMPLE_MEMORY];
                else
                        for (uint32_t c = f->work.first; c != NONE; c = all[c].work.next)
                                f->memory = num_add_sat(f->memory, all[c].memory);
        }
        /* Protection is worth what every group above has of it, too; the root needs none. */
        for (uint32_t i = 0; i < scene->n; i++) {
                uint32_t above = party_above(scene, i);

                all[i].memory_entitled = scene->parties[i].limits.memory_protected;
                if (above != NO_PARTY && scene->parties[above].kind != PARTY_HOST)
                        all[i].memory_entitled = MIN_OF(all[i].memory_entitled, all[above].memory_entitled);
        }
}

void fair_compute(const Scene *scene, FairShare *ret) {
        if (scene->n == 0)
                return;
        link_children(scene, ret);
        fair_cpu(scene, ret);
        fair_io(scene, ret);
        fair_memory(scene, ret);
}
