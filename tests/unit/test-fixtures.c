/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What real kernels said (tests/vm/capture-fixtures): a paused container, its slice and the host, each read through a
 * Meter, all files of it and then without each single one. The numbers wanted were read in those files by a person.
 *
 *   test-fixtures DIRECTORY      tests/fixtures
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "fdio.h"
#include "meter.h"

#define FILE_MAX 65536
#define NAME_MAX_BYTES 32

typedef struct Want {
        SampleField field;
        uint64_t value;
} Want;

typedef struct WantDevice {
        unsigned major, minor;
        SampleDevice device; /* but for dev */
} WantDevice;

typedef struct Capture {
        const char *path; /* below DIRECTORY; of the host: of what "proc" and "root" are in */
        bool host;
        uint32_t missing; /* SAMPLE_FILE_BIT() of what this kernel does not have */
        uint64_t peak_ever, swap_peak_ever; /* 0: the kernel has no such file */
        Want want[48];
        WantDevice devices[4];
} Capture;

static const Capture captures[] = {
        {
                .path = "kernel-6.1/container",
                .missing = SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_SWAP_PEAK) |
                           SAMPLE_FILE_BIT(SAMPLE_FILE_IRQ_PRESSURE),
                .peak_ever = 25165824,
                .want = {
                        { SAMPLE_CPU_USAGE, 9071807 },
                        { SAMPLE_CPU_USER, 1725064 },
                        { SAMPLE_CPU_SYSTEM, 7346743 },
                        { SAMPLE_CPU_PERIODS, 177 },
                        { SAMPLE_CPU_THROTTLED, 151 },
                        { SAMPLE_CPU_THROTTLED_USEC, 16362441 },
                        { SAMPLE_CPU_BURST_USEC, 0 },
                        { SAMPLE_MEMORY, 3002368 },
                        { SAMPLE_SWAP, 1789952 },
                        { SAMPLE_ANON, 245760 },
                        { SAMPLE_FILE, 1392640 },
                        { SAMPLE_KERNEL, 835584 },
                        { SAMPLE_SHMEM, 0 },
                        { SAMPLE_FILE_DIRTY, 0 },
                        { SAMPLE_FILE_WRITEBACK, 0 },
                        { SAMPLE_INACTIVE_FILE, 909312 },
                        { SAMPLE_REFAULT_ANON, 20672 },
                        { SAMPLE_REFAULT_FILE, 2915 },
                        { SAMPLE_PGSCAN, 90798 },
                        { SAMPLE_PGSTEAL, 34285 },
                        { SAMPLE_PGFAULT, 39458 },
                        { SAMPLE_PGMAJFAULT, 3237 },
                        { SAMPLE_EVENTS_LOW, 0 },
                        { SAMPLE_EVENTS_HIGH, 0 },
                        { SAMPLE_EVENTS_MAX, 712 },
                        { SAMPLE_EVENTS_OOM, 0 },
                        { SAMPLE_EVENTS_OOM_KILL, 0 },
                        { SAMPLE_IO_RBYTES, 5251072 + 104161280 },
                        { SAMPLE_IO_WBYTES, 15728640 + 99020800 },
                        { SAMPLE_IO_RIOS, 43 + 20985 },
                        { SAMPLE_IO_WIOS, 91 + 24175 },
                        { SAMPLE_IO_DBYTES, 0 },
                        { SAMPLE_IO_DIOS, 0 },
                        { SAMPLE_IO_COST_USAGE_USEC, 121177 },
                        { SAMPLE_PIDS, 36 },
                        { SAMPLE_PIDS_PEAK, 40 },
                        { SAMPLE_PIDS_EVENTS_MAX, 1 },
                        { SAMPLE_CPU_SOME, 11333543 },
                        { SAMPLE_CPU_FULL, 9597199 },
                        { SAMPLE_MEMORY_SOME, 5640698 },
                        { SAMPLE_MEMORY_FULL, 3662711 },
                        { SAMPLE_IO_SOME, 1109179 },
                        { SAMPLE_IO_FULL, 774789 },
                        { SAMPLE_POPULATED, 1 },
                        { SAMPLE_FROZEN, 1 },
                        { SAMPLE_MEMORY_PEAK, 3002368 }, /* the first look: of now */
                        { SAMPLE_PEAK_KIND, PEAK_SAMPLED },
                },
                .devices = {
                        { 254, 0, { .rbytes = 104161280, .wbytes = 99020800, .rios = 20985, .wios = 24175 } },
                        { 254, 32, { .rbytes = 5251072, .wbytes = 15728640, .rios = 43, .wios = 91,
                                     .cost_usage_usec = 121177 } },
                },
        },
        {
                .path = "kernel-6.1/slice",
                .missing = SAMPLE_FILE_BIT(SAMPLE_FILE_MEMORY_SWAP_PEAK) |
                           SAMPLE_FILE_BIT(SAMPLE_FILE_IRQ_PRESSURE),
                .peak_ever = 25178112,
                .want = {
                        { SAMPLE_CPU_USAGE, 9071807 },
                        { SAMPLE_CPU_PERIODS, 0 }, /* throttling is the container's own */
                        { SAMPLE_CPU_THROTTLED_USEC, 0 },
                        { SAMPLE_MEMORY, 3014656 },
                        { SAMPLE_SWAP, 1789952 },
                        { SAMPLE_KERNEL, 847872 },
                        { SAMPLE_PGSCAN, 90798 },
                        { SAMPLE_EVENTS_MAX, 712 },
                        { SAMPLE_IO_RBYTES, 109412352 },
                        { SAMPLE_PIDS, 36 },
                        { SAMPLE_PIDS_EVENTS_MAX, 0 }, /* of this kernel: the cgroup's own */
                        { SAMPLE_CPU_SOME, 11324493 },
                        { SAMPLE_MEMORY_FULL, 3654417 },
                        { SAMPLE_IO_FULL, 773300 },
                        { SAMPLE_POPULATED, 1 },
                        { SAMPLE_FROZEN, 0 },
                },
                .devices = {
                        { 254, 0, { .rbytes = 104161280, .wbytes = 99020800, .rios = 20985, .wios = 24175 } },
                        { 254, 32, { .rbytes = 5251072, .wbytes = 15728640, .rios = 43, .wios = 91,
                                     .cost_usage_usec = 121177 } },
                },
        },
        {
                .path = "kernel-6.12/container",
                .missing = SAMPLE_FILE_BIT(SAMPLE_FILE_IRQ_PRESSURE),
                .peak_ever = 25165824,
                .swap_peak_ever = 815104,
                .want = {
                        { SAMPLE_CPU_USAGE, 8506552 },
                        { SAMPLE_CPU_USER, 3185140 }, /* a line nice_usec is behind it */
                        { SAMPLE_CPU_SYSTEM, 5321411 },
                        { SAMPLE_CPU_PERIODS, 172 },
                        { SAMPLE_CPU_THROTTLED, 166 },
                        { SAMPLE_CPU_THROTTLED_USEC, 10735600 },
                        { SAMPLE_CPU_BURST_USEC, 0 },
                        { SAMPLE_MEMORY, 23588864 },
                        { SAMPLE_SWAP, 290816 },
                        { SAMPLE_SWAP_PEAK, 290816 },
                        { SAMPLE_ANON, 3653632 },
                        { SAMPLE_FILE, 18272256 },
                        { SAMPLE_KERNEL, 1556480 },
                        { SAMPLE_SHMEM, 2293760 },
                        { SAMPLE_FILE_DIRTY, 8192 },
                        { SAMPLE_FILE_WRITEBACK, 0 },
                        { SAMPLE_INACTIVE_FILE, 11173888 },
                        { SAMPLE_REFAULT_ANON, 83 },
                        { SAMPLE_REFAULT_FILE, 499 },
                        { SAMPLE_PGSCAN, 2921 },
                        { SAMPLE_PGSTEAL, 2595 },
                        { SAMPLE_PGFAULT, 8682 },
                        { SAMPLE_PGMAJFAULT, 119 },
                        { SAMPLE_EVENTS_MAX, 41 },
                        { SAMPLE_EVENTS_OOM_KILL, 0 },
                        { SAMPLE_IO_RBYTES, 5251072 + 10530816 },
                        { SAMPLE_IO_WBYTES, 15728640 + 815104 },
                        { SAMPLE_IO_RIOS, 43 + 222 },
                        { SAMPLE_IO_WIOS, 91 + 199 },
                        { SAMPLE_IO_COST_USAGE_USEC, 121178 },
                        { SAMPLE_PIDS, 40 },
                        { SAMPLE_PIDS_PEAK, 40 },
                        { SAMPLE_PIDS_EVENTS_MAX, 1078 },
                        { SAMPLE_CPU_SOME, 8081841 },
                        { SAMPLE_CPU_FULL, 7765861 },
                        { SAMPLE_MEMORY_SOME, 540980 },
                        { SAMPLE_MEMORY_FULL, 419048 },
                        { SAMPLE_IO_SOME, 108505 },
                        { SAMPLE_IO_FULL, 25029 },
                        { SAMPLE_POPULATED, 1 },
                        { SAMPLE_FROZEN, 1 },
                        { SAMPLE_MEMORY_PEAK, 23588864 },
                        { SAMPLE_PEAK_KIND, PEAK_SAMPLED },
                },
                .devices = {
                        { 254, 0, { .rbytes = 10530816, .wbytes = 815104, .rios = 222, .wios = 199 } },
                        { 254, 32, { .rbytes = 5251072, .wbytes = 15728640, .rios = 43, .wios = 91,
                                     .cost_usage_usec = 121178 } },
                },
        },
        {
                .path = "kernel-6.12/slice",
                .missing = SAMPLE_FILE_BIT(SAMPLE_FILE_IRQ_PRESSURE),
                .peak_ever = 25178112,
                .swap_peak_ever = 815104,
                .want = {
                        { SAMPLE_CPU_USAGE, 8506766 },
                        { SAMPLE_CPU_THROTTLED, 0 },
                        { SAMPLE_MEMORY, 23601152 },
                        { SAMPLE_SWAP, 290816 },
                        { SAMPLE_KERNEL, 1568768 },
                        { SAMPLE_SHMEM, 2293760 },
                        { SAMPLE_EVENTS_MAX, 41 },
                        { SAMPLE_IO_WBYTES, 16543744 },
                        { SAMPLE_PIDS, 40 },
                        { SAMPLE_PIDS_EVENTS_MAX, 1078 }, /* of this kernel: of the subtree */
                        { SAMPLE_CPU_FULL, 7766930 },
                        { SAMPLE_MEMORY_SOME, 544654 },
                        { SAMPLE_IO_SOME, 108771 },
                        { SAMPLE_POPULATED, 1 },
                        { SAMPLE_FROZEN, 0 },
                },
                .devices = {
                        { 254, 0, { .rbytes = 10530816, .wbytes = 815104, .rios = 222, .wios = 199 } },
                        { 254, 32, { .rbytes = 5251072, .wbytes = 15728640, .rios = 43, .wios = 91,
                                     .cost_usage_usec = 121178 } },
                },
        },
        {
                .path = "kernel-6.1",
                .host = true,
                .want = {
                        { SAMPLE_CPU_USAGE, 63356000 },
                        { SAMPLE_CPU_USER, 21532000 },
                        { SAMPLE_CPU_SYSTEM, 41824000 },
                        { SAMPLE_MEMORY, 283267072 }, /* (2027000 - 1750372) KiB */
                        { SAMPLE_SWAP, 2088960 }, /* (65532 - 63492) KiB */
                        { SAMPLE_HOST_MEMORY_TOTAL, 2075648000 },
                        { SAMPLE_HOST_MEMORY_FREE, 1724997632 },
                        { SAMPLE_HOST_MEMORY_AVAILABLE, 1792380928 },
                        { SAMPLE_HOST_SWAP_TOTAL, 67104768 },
                        { SAMPLE_HOST_SWAP_FREE, 65015808 },
                        { SAMPLE_REFAULT_ANON, 20672 },
                        { SAMPLE_REFAULT_FILE, 2915 },
                        { SAMPLE_PGFAULT, 115467 },
                        { SAMPLE_PGMAJFAULT, 4616 },
                        { SAMPLE_PGSCAN, 0 }, /* a cgroup's own reclaim is not the host's */
                        { SAMPLE_PGSTEAL, 0 },
                        { SAMPLE_HOST_ALLOCSTALL, 0 },
                        { SAMPLE_CPU_SOME, 20091026 },
                        { SAMPLE_CPU_FULL, 0 },
                        { SAMPLE_IO_SOME, 1521929 },
                        { SAMPLE_IO_FULL, 754257 },
                        { SAMPLE_MEMORY_SOME, 5605988 },
                        { SAMPLE_MEMORY_FULL, 3076991 },
                        { SAMPLE_IO_RIOS, 5733 + 12 + 104 },
                        { SAMPLE_IO_RBYTES, UINT64_C(512) * (574178 + 172 + 12474) },
                        { SAMPLE_IO_WIOS, 903 + 2 + 122 },
                        { SAMPLE_IO_WBYTES, UINT64_C(512) * (201712 + 10 + 80816) },
                        { SAMPLE_IO_DIOS, 2 },
                        { SAMPLE_IO_DBYTES, UINT64_C(512) * 1048584 },
                        { SAMPLE_HOST_DISK_BUSY_USEC, 1000 * (10220 + 16 + 308) },
                        { SAMPLE_HOST_DISK_QUEUE_USEC, 1000 * (14756 + 41 + 325) },
                },
                .devices = {
                        { 254, 0, { .rbytes = UINT64_C(512) * 574178, .wbytes = UINT64_C(512) * 201712, .rios = 5733,
                                    .wios = 903, .busy_usec = 10220000, .queue_usec = 14756000 } },
                        { 254, 16, { .rbytes = 512 * 172, .wbytes = 512 * 10, .rios = 12, .wios = 2,
                                     .busy_usec = 16000, .queue_usec = 41000 } },
                        { 254, 32, { .rbytes = 512 * 12474, .wbytes = 512 * 80816, .rios = 104, .wios = 122,
                                     .dbytes = UINT64_C(512) * 1048584, .dios = 2, .busy_usec = 308000,
                                     .queue_usec = 325000 } },
                },
        },
        {
                .path = "kernel-6.12",
                .host = true,
                .want = {
                        { SAMPLE_CPU_USAGE, 60060000 },
                        { SAMPLE_CPU_USER, 23352000 },
                        { SAMPLE_CPU_SYSTEM, 36708000 },
                        { SAMPLE_MEMORY, 276852736 }, /* (2021724 - 1751360) KiB */
                        { SAMPLE_SWAP, 536576 }, /* (65532 - 65008) KiB */
                        { SAMPLE_HOST_MEMORY_TOTAL, 2070245376 },
                        { SAMPLE_HOST_MEMORY_FREE, 1714388992 },
                        { SAMPLE_HOST_MEMORY_AVAILABLE, 1793392640 },
                        { SAMPLE_HOST_SWAP_TOTAL, 67104768 },
                        { SAMPLE_HOST_SWAP_FREE, 66568192 },
                        { SAMPLE_REFAULT_ANON, 83 },
                        { SAMPLE_REFAULT_FILE, 499 },
                        { SAMPLE_PGFAULT, 82503 },
                        { SAMPLE_PGMAJFAULT, 1531 },
                        { SAMPLE_PGSCAN, 0 },
                        { SAMPLE_PGSTEAL, 0 },
                        { SAMPLE_HOST_ALLOCSTALL, 0 },
                        { SAMPLE_CPU_SOME, 15471097 },
                        { SAMPLE_CPU_FULL, 0 },
                        { SAMPLE_IO_SOME, 733437 },
                        { SAMPLE_IO_FULL, 597489 },
                        { SAMPLE_MEMORY_SOME, 465486 },
                        { SAMPLE_MEMORY_FULL, 287748 },
                        { SAMPLE_IO_RIOS, 2420 + 12 + 104 },
                        { SAMPLE_IO_RBYTES, UINT64_C(512) * (393906 + 172 + 12474) },
                        { SAMPLE_IO_WIOS, 498 + 2 + 118 },
                        { SAMPLE_IO_WBYTES, UINT64_C(512) * (10248 + 10 + 80784) },
                        { SAMPLE_HOST_DISK_BUSY_USEC, 1000 * (2748 + 0 + 72) },
                        { SAMPLE_HOST_DISK_QUEUE_USEC, 1000 * (3111 + 19 + 187) },
                },
                .devices = {
                        { 254, 0, { .rbytes = UINT64_C(512) * 393906, .wbytes = UINT64_C(512) * 10248, .rios = 2420,
                                    .wios = 498, .busy_usec = 2748000, .queue_usec = 3111000 } },
                        { 254, 16, { .rbytes = 512 * 172, .wbytes = 512 * 10, .rios = 12, .wios = 2,
                                     .busy_usec = 0, .queue_usec = 19000 } },
                        { 254, 32, { .rbytes = 512 * 12474, .wbytes = 512 * 80784, .rios = 104, .wios = 118,
                                     .dbytes = UINT64_C(512) * 1048584, .dios = 2, .busy_usec = 72000,
                                     .queue_usec = 187000 } },
                },
        },
};

static const char *directory;

/* ---- a copy, from which a file can be taken away ---- */

static void copy_file(const char *from, int to, const char *name) {
        static char text[FILE_MAX];
        char path[256];
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", from, name);
        n = fd_read_at(AT_FDCWD, path, text, sizeof(text));
        if (n == -ENOENT)
                return;
        assert_true(n > 0);
        fd = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, (size_t)n), 0);
        fd_close(fd);
}

typedef struct Copy {
        char path[64];
        int fd; /* of the cgroup; of the host's root cgroup */
} Copy;

static void make_copy(const Capture *c, Copy *ret) {
        char from[256], proc[96];
        int procfd;

        (void)snprintf(ret->path, sizeof(ret->path), "/tmp/bailiff-fixtures-XXXXXX");
        assert_non_null(mkdtemp(ret->path));
        ret->fd = open(ret->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(ret->fd >= 0);
        (void)snprintf(from, sizeof(from), "%s/%s%s", directory, c->path, c->host ? "/root" : "");
        for (SampleFile f = 0; f < (c->host ? SAMPLE_FILE_CPU_STAT + 1 : _SAMPLE_FILE_MAX); f++)
                copy_file(from, ret->fd, sample_file_name(f));
        if (!c->host)
                return;
        (void)snprintf(from, sizeof(from), "%s/%s/proc", directory, c->path);
        (void)snprintf(proc, sizeof(proc), "%s/proc", ret->path);
        assert_int_equal(mkdir(proc, 0755), 0);
        procfd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(procfd, "pressure", 0755), 0);
        for (HostFile f = 0; f < _HOST_FILE_MAX; f++)
                copy_file(from, procfd, host_file_name(f));
        fd_close(procfd);
}

static void remove_copy(const Capture *c, Copy *copy) {
        char path[128];

        for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++)
                (void)unlinkat(copy->fd, sample_file_name(f), 0);
        for (HostFile f = 0; c->host && f < _HOST_FILE_MAX; f++) {
                (void)snprintf(path, sizeof(path), "proc/%s", host_file_name(f));
                (void)unlinkat(copy->fd, path, 0);
        }
        (void)unlinkat(copy->fd, "proc/pressure", AT_REMOVEDIR);
        (void)unlinkat(copy->fd, "proc", AT_REMOVEDIR);
        copy->fd = fd_close(copy->fd);
        assert_int_equal(rmdir(copy->path), 0);
}

/* ---- one look ---- */

typedef struct Look {
        Meter *meter;
        MeterCg cg;
        SampleIo host_io;
        Sample sample;
} Look;

static const SampleIo *io_of(const Capture *c, const Look *l) { return c->host ? &l->host_io : &l->cg.io; }

static void look(const Capture *c, const Copy *copy, Look *ret) {
        char proc[96];

        *ret = (Look){ .cg = METER_CG_INIT };
        (void)snprintf(proc, sizeof(proc), "%s%s", copy->path, c->host ? "/proc" : "");
        assert_int_equal(meter_new(proc, 0, &ret->meter), 0);
        ret->cg.dirfd = copy->fd;
        if (c->host)
                assert_int_equal(meter_look_host(ret->meter, copy->fd, 7, &ret->sample, &ret->host_io), 0);
        else
                assert_int_equal(meter_look(ret->meter, &ret->cg, SAMPLE_FILES_ALL, false, 7, &ret->sample),
                                 0);
        assert_int_equal(ret->sample.at, 7);
}

static void look_deinit(Look *l) {
        meter_cg_deinit(l->meter, &l->cg);
        sample_io_deinit(&l->host_io);
        l->meter = meter_free(l->meter);
}

/* Fields that are not of the same value in both, or had in one only. */
static SampleMask differing(const Sample *a, const Sample *b) {
        SampleMask fields = a->have ^ b->have;

        for (SampleField f = 0; f < _SAMPLE_MAX; f++)
                if (a->v[f] != b->v[f])
                        fields |= SAMPLE_BIT(f);
        return fields;
}

/* ---- the tests ---- */

/* Beyond its own fields: a first look makes a peak of what is in use now, and says its kind where there is a peak. */
static SampleMask made_of(SampleFile f) {
        switch (f) {
        case SAMPLE_FILE_MEMORY_CURRENT:
        case SAMPLE_FILE_MEMORY_PEAK:
                return SAMPLE_BIT(SAMPLE_MEMORY_PEAK) | SAMPLE_BIT(SAMPLE_PEAK_KIND);
        case SAMPLE_FILE_MEMORY_SWAP_CURRENT:
        case SAMPLE_FILE_MEMORY_SWAP_PEAK:
                return SAMPLE_BIT(SAMPLE_SWAP_PEAK) | SAMPLE_BIT(SAMPLE_PEAK_KIND);
        default:
                return 0;
        }
}

static void test_values(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(captures); i++) {
                const Capture *c = &captures[i];
                size_t n_devices = 0;
                Copy copy;
                Look l;

                print_message("%s\n", c->path);
                make_copy(c, &copy);
                look(c, &copy, &l);
                for (size_t k = 0; k < ARRAY_SIZE(c->want); k++) {
                        const Want *w = &c->want[k];

                        if (k > 0 && w->field == 0)
                                break; /* the end: only the first may be field 0 */
                        if (!sample_has(&l.sample, w->field) || l.sample.v[w->field] != w->value)
                                print_error("%s: %s\n", c->path, sample_info(w->field)->name);
                        assert_true(sample_has(&l.sample, w->field));
                        assert_int_equal(l.sample.v[w->field], w->value);
                }
                for (const WantDevice *w = c->devices; w->major; w++) {
                        SampleDevice want = w->device;
                        const SampleDevice *d = sample_io_find(io_of(c, &l), makedev(w->major, w->minor));

                        want.dev = makedev(w->major, w->minor);
                        assert_non_null(d);
                        assert_memory_equal(d, &want, sizeof(want));
                        n_devices++;
                }
                assert_int_equal(io_of(c, &l)->n, n_devices);
                if (!c->host) {
                        assert_int_equal(l.cg.missing, c->missing);
                        assert_int_equal(l.cg.peaks[0].ever, c->peak_ever);
                        assert_int_equal(l.cg.peaks[1].ever, c->swap_peak_ever);
                        for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++)
                                if (c->missing & SAMPLE_FILE_BIT(f))
                                        assert_true((l.sample.have & sample_file_fields(f) & ~made_of(f)) ==
                                                    0);
                }
                look_deinit(&l);
                remove_copy(c, &copy);
        }
}

static void test_without_a_file(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(captures); i++) {
                const Capture *c = &captures[i];
                Look whole;
                Copy copy;

                if (c->host)
                        continue;
                make_copy(c, &copy);
                look(c, &copy, &whole);
                for (SampleFile f = 0; f < _SAMPLE_FILE_MAX; f++) {
                        char from[256];
                        Look l;

                        if (unlinkat(copy.fd, sample_file_name(f), 0) < 0)
                                continue; /* this kernel has none */
                        look(c, &copy, &l);
                        assert_int_equal(l.cg.missing, whole.cg.missing | SAMPLE_FILE_BIT(f));
                        assert_true((differing(&whole.sample, &l.sample) & ~sample_file_fields(f) &
                                     ~made_of(f)) == 0);
                        assert_true((l.sample.have & sample_file_fields(f) & ~made_of(f)) == 0);
                        look_deinit(&l);
                        (void)snprintf(from, sizeof(from), "%s/%s", directory, c->path);
                        copy_file(from, copy.fd, sample_file_name(f));
                }
                look_deinit(&whole);
                remove_copy(c, &copy);
        }
}

static void test_host_without_a_file(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(captures); i++) {
                const Capture *c = &captures[i];
                Look whole, l;
                Copy copy;

                if (!c->host)
                        continue;
                make_copy(c, &copy);
                look(c, &copy, &whole);
                for (HostFile f = 0; f < _HOST_FILE_MAX; f++) {
                        char path[NAME_MAX_BYTES], from[256];

                        (void)snprintf(path, sizeof(path), "proc/%s", host_file_name(f));
                        if (unlinkat(copy.fd, path, 0) < 0)
                                continue;
                        look(c, &copy, &l);
                        assert_true((differing(&whole.sample, &l.sample) & ~host_file_fields(f)) == 0);
                        assert_true((l.sample.have & host_file_fields(f)) == 0);
                        assert_true((whole.sample.have & host_file_fields(f)) == host_file_fields(f));
                        look_deinit(&l);
                        (void)snprintf(from, sizeof(from), "%s/%s", directory, c->path);
                        copy_file(from, copy.fd, path);
                }
                assert_int_equal(unlinkat(copy.fd, "cpu.stat", 0), 0);
                look(c, &copy, &l);
                assert_true((differing(&whole.sample, &l.sample) &
                             ~sample_file_fields(SAMPLE_FILE_CPU_STAT)) == 0);
                assert_false(sample_has(&l.sample, SAMPLE_CPU_USAGE));
                look_deinit(&l);
                look_deinit(&whole);
                remove_copy(c, &copy);
        }
}

int main(int argc, char **argv) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_without_a_file),
                cmocka_unit_test(test_host_without_a_file),
        };

        if (argc != 2) {
                (void)fprintf(stderr, "usage: test-fixtures DIRECTORY\n");
                return 2;
        }
        directory = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}
