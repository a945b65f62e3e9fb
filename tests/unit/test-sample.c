/* SPDX-License-Identifier: Apache-2.0 */

/* Texts as kernels 6.1 and 6.12 print them, and as they must never be believed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "buf.h"
#include "sample.h"

#define UNTOUCHED UINT64_C(0xdeadbeef)
#define N_FILES (_SAMPLE_FILE_MAX + _HOST_FILE_MAX)
#define HOST(f) (_SAMPLE_FILE_MAX + HOST_FILE_##f)
#define FILE_OF(f) SAMPLE_FILE_##f

/* Both kinds of files by one number: SampleFile, then HostFile. */
static int parse(int file, const char *text, size_t len, Sample *s, SampleIo *io) {
        return file < _SAMPLE_FILE_MAX
                       ? sample_parse((SampleFile)file, text, len, s, io)
                       : sample_parse_host((HostFile)(file - _SAMPLE_FILE_MAX), text, len, s, io);
}

static const char *name_of(int file) {
        return file < _SAMPLE_FILE_MAX ? sample_file_name((SampleFile)file)
                                       : host_file_name((HostFile)(file - _SAMPLE_FILE_MAX));
}

static SampleMask fields_of(int file) {
        return file < _SAMPLE_FILE_MAX ? sample_file_fields((SampleFile)file)
                                       : host_file_fields((HostFile)(file - _SAMPLE_FILE_MAX));
}

static const char cpu_stat_6_1[] = "usage_usec 1574042343\n"
                                   "user_usec 1380229568\n"
                                   "system_usec 193812775\n"
                                   "core_sched.force_idle_usec 5\n"
                                   "nr_periods 1200\n"
                                   "nr_throttled 17\n"
                                   "throttled_usec 123456\n"
                                   "nr_bursts 3\n"
                                   "burst_usec 2345\n";

static const char cpu_stat_6_12[] = "usage_usec 1574042343\n"
                                    "user_usec 1380229568\n"
                                    "system_usec 193812775\n"
                                    "nice_usec 12\n"
                                    "core_sched.force_idle_usec 5\n"
                                    "nr_periods 1200\n"
                                    "nr_throttled 17\n"
                                    "throttled_usec 123456\n"
                                    "nr_bursts 3\n"
                                    "burst_usec 2345\n";

#define MEMORY_STAT_HEAD              \
        "anon 52428800\n"             \
        "file 83886080\n"             \
        "kernel 3145728\n"            \
        "kernel_stack 196608\n"       \
        "pagetables 524288\n"         \
        "sec_pagetables 0\n"          \
        "percpu 2400\n"               \
        "sock 0\n"                    \
        "vmalloc 8192\n"              \
        "shmem 4096\n"                \
        "zswap 0\n"                   \
        "zswapped 0\n"                \
        "file_mapped 12582912\n"      \
        "file_dirty 135168\n"         \
        "file_writeback 8192\n"       \
        "swapcached 0\n"              \
        "anon_thp 0\n"                \
        "file_thp 0\n"                \
        "shmem_thp 0\n"               \
        "inactive_anon 52428800\n"    \
        "active_anon 4096\n"          \
        "inactive_file 41943040\n"    \
        "active_file 41943040\n"      \
        "unevictable 0\n"             \
        "slab_reclaimable 1048576\n"  \
        "slab_unreclaimable 524288\n" \
        "slab 1572864\n"              \
        "workingset_refault_anon 7\n" \
        "workingset_refault_file 18\n"

static const char memory_stat_6_1[] = MEMORY_STAT_HEAD "workingset_activate_anon 1\n"
                                                       "workingset_activate_file 3\n"
                                                       "workingset_restore_anon 0\n"
                                                       "workingset_restore_file 1\n"
                                                       "workingset_nodereclaim 0\n"
                                                       "pgscan 1234\n"
                                                       "pgsteal 1200\n"
                                                       "pgscan_kswapd 234\n"
                                                       "pgscan_direct 1000\n"
                                                       "pgsteal_kswapd 200\n"
                                                       "pgsteal_direct 1000\n"
                                                       "pgfault 987654\n"
                                                       "pgmajfault 321\n"
                                                       "pgrefill 77\n"
                                                       "pgactivate 4444\n"
                                                       "pgdeactivate 12\n"
                                                       "pglazyfree 0\n"
                                                       "pglazyfreed 0\n"
                                                       "thp_fault_alloc 0\n"
                                                       "thp_collapse_alloc 0\n";

static const char memory_stat_6_12[] = MEMORY_STAT_HEAD "workingset_activate_anon 1\n"
                                                        "workingset_activate_file 3\n"
                                                        "workingset_restore_anon 0\n"
                                                        "workingset_restore_file 1\n"
                                                        "workingset_nodereclaim 0\n"
                                                        "pgdemote_kswapd 0\n"
                                                        "pgdemote_direct 0\n"
                                                        "pgdemote_khugepaged 0\n"
                                                        "pgpromote_success 0\n"
                                                        "pgscan 1234\n"
                                                        "pgsteal 1200\n"
                                                        "pgscan_kswapd 234\n"
                                                        "pgscan_direct 1000\n"
                                                        "pgscan_khugepaged 0\n"
                                                        "pgsteal_kswapd 200\n"
                                                        "pgsteal_direct 1000\n"
                                                        "pgsteal_khugepaged 0\n"
                                                        "pgfault 987654\n"
                                                        "pgmajfault 321\n"
                                                        "pgrefill 77\n"
                                                        "swpin_zero 0\n"
                                                        "zswpwb 0\n"
                                                        "thp_swpout_fallback 0\n";

static const char pressure[] = "some avg10=0.00 avg60=0.32 avg300=2.72 total=409859760\n"
                               "full avg10=0.00 avg60=0.00 avg300=0.00 total=17\n";

static const char meminfo[] = "MemTotal:       24684084 kB\n"
                              "MemFree:        24170244 kB\n"
                              "MemAvailable:   24284672 kB\n"
                              "Buffers:            3856 kB\n"
                              "Cached:           304496 kB\n"
                              "SwapCached:            0 kB\n"
                              "Active(file):     139596 kB\n"
                              "SwapTotal:       2097148 kB\n"
                              "SwapFree:        2000000 kB\n"
                              "HugePages_Total:       0\n";

static const char vmstat_6_1[] = "nr_free_pages 6042561\n"
                                 "workingset_nodes 12\n"
                                 "workingset_refault_anon 4\n"
                                 "workingset_refault_file 521203\n"
                                 "workingset_activate_anon 0\n"
                                 "pgalloc_dma 0\n"
                                 "allocstall_dma 1\n"
                                 "allocstall_dma32 2\n"
                                 "allocstall_normal 30\n"
                                 "allocstall_movable 400\n"
                                 "pgskip_dma 0\n"
                                 "pgfault 14936269\n"
                                 "pgmajfault 3142\n"
                                 "pglazyfreed 0\n"
                                 "pgrefill 0\n"
                                 "pgreuse 1\n"
                                 "pgsteal_kswapd 10\n"
                                 "pgsteal_direct 20\n"
                                 "pgdemote_kswapd 0\n"
                                 "pgscan_kswapd 100\n"
                                 "pgscan_direct 200\n"
                                 "pgscan_direct_throttle 9000\n"
                                 "pgscan_anon 150\n"
                                 "pgscan_file 150\n"
                                 "pgsteal_anon 15\n"
                                 "pgsteal_file 15\n"
                                 "drop_pagecache 0\n"
                                 "oom_kill 2\n"
                                 "numa_hint_faults 0\n";

static const char vmstat_6_12[] = "workingset_refault_anon 4\n"
                                  "workingset_refault_file 521203\n"
                                  "allocstall_dma 1\n"
                                  "allocstall_dma32 2\n"
                                  "allocstall_normal 30\n"
                                  "allocstall_movable 400\n"
                                  "allocstall_device 5000\n"
                                  "pgfault 14936269\n"
                                  "pgmajfault 3142\n"
                                  "pgsteal_kswapd 10\n"
                                  "pgsteal_direct 20\n"
                                  "pgsteal_khugepaged 30\n"
                                  "pgscan_kswapd 100\n"
                                  "pgscan_direct 200\n"
                                  "pgscan_khugepaged 300\n"
                                  "pgscan_direct_throttle 9000\n"
                                  "pgscan_anon 300\n"
                                  "pgscan_file 300\n"
                                  "oom_kill 2\n";

static const char io_stat[] = "254:0 rbytes=100 wbytes=200 rios=3 wios=4 dbytes=50 dios=6\n"
                              "8:16 rbytes=1000 wbytes=2000 rios=30 wios=40 dbytes=0 dios=0 use_delay=2 "
                              "delay_nsec=11 cost.usage=77 cost.wait=88 cost.indebt=99 cost.indelay=111\n"
                              "7:0 \n"
                              "8:0 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n";

static const char diskstats[] = "   7       0 loop0 5 0 10 1 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
                                "   8       0 sda 100 9 1000 50 200 21 2000 47 1 190 999 7 0 70 22 13 471\n"
                                "   8       1 sda1 100 9 1000 50 200 21 2000 47 0 190 999 7 0 70 22 0 0\n"
                                "  65     160 sdaa 1 0 8 1 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
                                " 259       0 nvme0n1 10 0 80 5 20 0 160 4 0 9 9 0 0 0 0 2 2\n"
                                " 259       1 nvme0n1p1 10 0 80 5 20 0 160 4 0 9 9 0 0 0 0 0 0\n"
                                " 259       2 nvme0n1p12 10 0 80 5 20 0 160 4 0 9 9 0 0 0 0 0 0\n"
                                " 259       3 nvme0n11 1 0 8 1 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
                                " 253       1 dm-1 100 0 1000 50 0 0 0 0 0 190 999 0 0 0 0 0 0\n"
                                " 253      10 dm-10 100 0 1000 50 0 0 0 0 0 190 999 0 0 0 0 0 0\n"
                                "   9     127 md127 100 0 1000 50 0 0 0 0 0 190 999 0 0 0 0 0 0\n"
                                " 253       0 zram0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
                                "  11       0 sr0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

#define KB UINT64_C(1024)
#define V(f, v) \
        { SAMPLE_##f, v }
#define END \
        { _SAMPLE_INVALID, 0 }

typedef struct Row {
        int file;
        const char *text;
        int result;
        struct {
                int field;
                uint64_t v;
        } want[16]; /* all that is had; ends with END */
} Row;

#define WANT_CPU_STAT                                                                                      \
        V(CPU_USAGE, 1574042343), V(CPU_USER, 1380229568), V(CPU_SYSTEM, 193812775), V(CPU_PERIODS, 1200), \
                V(CPU_THROTTLED, 17), V(CPU_THROTTLED_USEC, 123456), V(CPU_BURST_USEC, 2345), END
#define WANT_MEMORY_STAT                                                                                 \
        V(ANON, 52428800), V(FILE, 83886080), V(KERNEL, 3145728), V(SHMEM, 4096), V(FILE_DIRTY, 135168), \
                V(FILE_WRITEBACK, 8192), V(INACTIVE_FILE, 41943040), V(REFAULT_ANON, 7),                 \
                V(REFAULT_FILE, 18), V(PGSCAN, 1234), V(PGSTEAL, 1200), V(PGFAULT, 987654),              \
                V(PGMAJFAULT, 321), END
#define WANT_IO_ZERO \
        V(IO_RBYTES, 0), V(IO_WBYTES, 0), V(IO_RIOS, 0), V(IO_WIOS, 0), V(IO_DBYTES, 0), V(IO_DIOS, 0)
#define WANT_DISKS_ZERO WANT_IO_ZERO, V(HOST_DISK_BUSY_USEC, 0), V(HOST_DISK_QUEUE_USEC, 0), END
#define TOO_LONG "18446744073709551616" /* 2^64 */
#define NET_HEAD                                                                              \
        "Inter-|   Receive                                                |  Transmit\n"      \
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets " \
        "errs drop fifo colls carrier compressed\n"
#define NET_LO                                                                                               \
        "    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0 " \
        "    0       0          0\n"
#define NET_ETH0                                                                                             \
        "  eth0: 1048576     742    1    3   11    12         13        14    52800     811    5    6   15 " \
        "   16      17         18\n"
#define WANT_NET(rb, rp, re, rd, tb, tp, te, td)                                                 \
        V(NET_RX_BYTES, rb), V(NET_RX_PACKETS, rp), V(NET_RX_ERRORS, re), V(NET_RX_DROPPED, rd), \
                V(NET_TX_BYTES, tb), V(NET_TX_PACKETS, tp), V(NET_TX_ERRORS, te), V(NET_TX_DROPPED, td), END
#define NINES " 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9"

static const Row rows[] = {
        { FILE_OF(CPU_STAT), cpu_stat_6_1, 0, { WANT_CPU_STAT } },
        { FILE_OF(CPU_STAT), cpu_stat_6_12, 0, { WANT_CPU_STAT } },
        { FILE_OF(MEMORY_STAT), memory_stat_6_1, 0, { WANT_MEMORY_STAT } },
        { FILE_OF(MEMORY_STAT), memory_stat_6_12, 0, { WANT_MEMORY_STAT } },
        { FILE_OF(MEMORY_CURRENT), "104857600\n", 0, { V(MEMORY, 104857600), END } },
        { FILE_OF(MEMORY_SWAP_CURRENT), "0\n", 0, { V(SWAP, 0), END } },
        { FILE_OF(MEMORY_PEAK), "104857600\n", 0, { V(MEMORY_PEAK, 104857600), END } },
        { FILE_OF(MEMORY_SWAP_PEAK), "4096\n", 0, { V(SWAP_PEAK, 4096), END } },
        { FILE_OF(PIDS_CURRENT), "3\n", 0, { V(PIDS, 3), END } },
        { FILE_OF(PIDS_PEAK), "30\n", 0, { V(PIDS_PEAK, 30), END } },
        { FILE_OF(PIDS_EVENTS), "max 5\n", 0, { V(PIDS_EVENTS_MAX, 5), END } },
        { FILE_OF(MEMORY_EVENTS),
          "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\nsock_throttled 7\n",
          0,
          { V(EVENTS_LOW, 1), V(EVENTS_HIGH, 2), V(EVENTS_MAX, 3), V(EVENTS_OOM, 4), V(EVENTS_OOM_KILL, 5),
            END } },
        { FILE_OF(CGROUP_EVENTS), "populated 1\nfrozen 0\n", 0, { V(POPULATED, 1), V(FROZEN, 0), END } },
        { FILE_OF(CGROUP_EVENTS), "populated 0\nfrozen 2\n", 0, { V(POPULATED, 0), V(FROZEN, 1), END } },
        { FILE_OF(CPU_PRESSURE), pressure, 0, { V(CPU_SOME, 409859760), V(CPU_FULL, 17), END } },
        { FILE_OF(MEMORY_PRESSURE), pressure, 0, { V(MEMORY_SOME, 409859760), V(MEMORY_FULL, 17), END } },
        { FILE_OF(IO_PRESSURE), pressure, 0, { V(IO_SOME, 409859760), V(IO_FULL, 17), END } },
        { FILE_OF(IRQ_PRESSURE),
          "full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
          0,
          { V(IRQ_FULL, 9), END } },
        { FILE_OF(IO_STAT),
          io_stat,
          0,
          { V(IO_RBYTES, 1100), V(IO_WBYTES, 2200), V(IO_RIOS, 33), V(IO_WIOS, 44), V(IO_DBYTES, 50),
            V(IO_DIOS, 6), V(IO_COST_USAGE_USEC, 77), V(IO_COST_WAIT_USEC, 88), END } },
        { HOST(MEMINFO),
          meminfo,
          0,
          { V(HOST_MEMORY_TOTAL, 24684084 * KB), V(HOST_MEMORY_FREE, 24170244 * KB),
            V(HOST_MEMORY_AVAILABLE, 24284672 * KB), V(HOST_SWAP_TOTAL, 2097148 * KB),
            V(HOST_SWAP_FREE, 2000000 * KB), V(MEMORY, (24684084 - 24284672) * KB),
            V(SWAP, (2097148 - 2000000) * KB), END } },
        { HOST(VMSTAT),
          vmstat_6_1,
          0,
          { V(REFAULT_ANON, 4), V(REFAULT_FILE, 521203), V(HOST_ALLOCSTALL, 433), V(PGFAULT, 14936269),
            V(PGMAJFAULT, 3142), V(PGSTEAL, 30), V(PGSCAN, 300), V(EVENTS_OOM_KILL, 2), END } },
        { HOST(VMSTAT),
          vmstat_6_12,
          0,
          { V(REFAULT_ANON, 4), V(REFAULT_FILE, 521203), V(HOST_ALLOCSTALL, 5433), V(PGFAULT, 14936269),
            V(PGMAJFAULT, 3142), V(PGSTEAL, 60), V(PGSCAN, 600), V(EVENTS_OOM_KILL, 2), END } },
        { HOST(DISKSTATS),
          diskstats,
          0,
          { V(IO_RBYTES, (1000 + 8 + 80 + 8) * 512), V(IO_WBYTES, (2000 + 160) * 512), V(IO_RIOS, 112),
            V(IO_WIOS, 220), V(IO_DBYTES, 70 * 512), V(IO_DIOS, 7), V(HOST_DISK_BUSY_USEC, 201000),
            V(HOST_DISK_QUEUE_USEC, 1010000), END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_LO NET_ETH0, 0, { WANT_NET(1048576, 742, 1, 3, 52800, 811, 5, 6) } },
        /* Its order is the kernel's affair; a bridge and its port count both; old kernels print no blank. */
        { FILE_OF(NET_DEV),
          NET_HEAD NET_ETH0 NET_LO " docker0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
          0,
          { WANT_NET(1048577, 744, 4, 7, 52809, 821, 16, 18) } },
        /* --network none; not even loopback. */
        { FILE_OF(NET_DEV), NET_HEAD NET_LO, 0, { WANT_NET(0, 0, 0, 0, 0, 0, 0, 0) } },
        { FILE_OF(NET_DEV), NET_HEAD, 0, { WANT_NET(0, 0, 0, 0, 0, 0, 0, 0) } },
        /* Names are whoever's; only the very one is loopback. */
        { FILE_OF(NET_DEV),
          NET_HEAD "lo0:" NINES "\nl:" NINES "\nlo.1:" NINES "\nLO:" NINES "\n \xff\x01|:" NINES "\n",
          0,
          { WANT_NET(45, 45, 45, 45, 45, 45, 45, 45) } },
        { FILE_OF(NET_DEV),
          NET_HEAD "0123456789012345678901234567890123456789:" NINES "\n",
          0,
          { WANT_NET(9, 9, 9, 9, 9, 9, 9, 9) } },
        /* The largest numbers do not add up to small ones. */
        { FILE_OF(NET_DEV),
          NET_HEAD "a: 18446744073709551615 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\nb:" NINES "\n",
          0,
          { WANT_NET(UINT64_MAX, 10, 10, 10, 10, 10, 10, 10) } },
        /* Of a sum that is not whole there is nothing. */
        { FILE_OF(NET_DEV), "", -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_ETH0, -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_LO "eth0:" NINES, -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_LO "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n", -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_LO "eth0:" NINES " 9\n", -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_LO "eth0:" NINES "x\n", -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_LO "eth0: -1 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9\n", -EINVAL, { END } },
        { FILE_OF(NET_DEV),
          NET_HEAD NET_ETH0 "a: " TOO_LONG " 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
          -EINVAL,
          { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_ETH0 ":" NINES "\n", -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_ETH0 "eth1" NINES "\n", -EINVAL, { END } },
        { FILE_OF(NET_DEV), NET_HEAD NET_ETH0 "\n", -EINVAL, { END } },
        /* Columns of a kernel to come. */
        { FILE_OF(NET_DEV),
          "Inter-|   Receive                                                |  Transmit\n"
          " face |bytes    packets errs late drop fifo frame compressed multicast|bytes    packets "
          "errs drop fifo colls carrier compressed\n" NET_ETH0,
          -EINVAL,
          { END } },
        { HOST(CPU_PRESSURE), pressure, 0, { V(CPU_SOME, 409859760), V(CPU_FULL, 17), END } },
        { HOST(CPU_PRESSURE),
          "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
          0,
          { V(CPU_SOME, 1), END } },
        { HOST(MEMORY_PRESSURE), pressure, 0, { V(MEMORY_SOME, 409859760), V(MEMORY_FULL, 17), END } },
        { HOST(IO_PRESSURE), pressure, 0, { V(IO_SOME, 409859760), V(IO_FULL, 17), END } },
        { HOST(IRQ_PRESSURE), pressure, 0, { V(IRQ_FULL, 17), END } },

        /* Without the CPU controller; in another order; of a kernel that has only this one. */
        { FILE_OF(CPU_STAT),
          "usage_usec 3\nuser_usec 2\nsystem_usec 1\n",
          0,
          { V(CPU_USAGE, 3), V(CPU_USER, 2), V(CPU_SYSTEM, 1), END } },
        { FILE_OF(MEMORY_EVENTS),
          "oom_kill 5\noom 4\nmax 3\nhigh 2\nlow 1\n",
          0,
          { V(EVENTS_LOW, 1), V(EVENTS_HIGH, 2), V(EVENTS_MAX, 3), V(EVENTS_OOM, 4), V(EVENTS_OOM_KILL, 5),
            END } },
        { FILE_OF(MEMORY_STAT), "new_one 3\npgmajfault 4\n", 0, { V(PGMAJFAULT, 4), END } },
        /* Lines, columns and words of kernels to come. */
        { FILE_OF(PIDS_EVENTS), "imposed 1\n\nmax 5 by 3\nmax_ever 6\n", 0, { V(PIDS_EVENTS_MAX, 5), END } },
        { FILE_OF(MEMORY_CURRENT), "7 bytes\nmore 8\n", 0, { V(MEMORY, 7), END } },
        { FILE_OF(IO_PRESSURE),
          "idle total=1\nsome total=5 avg10=0.00 x=6\nfull avg10=0.00 total=6 new=7\n",
          0,
          { V(IO_SOME, 5), V(IO_FULL, 6), END } },
        /* Once is enough. */
        { FILE_OF(PIDS_EVENTS), "max 5\nmax 6\n", 0, { V(PIDS_EVENTS_MAX, 5), END } },
        { FILE_OF(IO_PRESSURE), "full total=1\nfull total=2\n", 0, { V(IO_FULL, 1), END } },
        { HOST(VMSTAT), "pgscan_kswapd 5\npgscan_kswapd 6\n", 0, { V(PGSCAN, 5), END } },
        /* The largest number, and larger ones. */
        { FILE_OF(MEMORY_CURRENT), "18446744073709551615\n", 0, { V(MEMORY, UINT64_MAX), END } },
        { FILE_OF(MEMORY_CURRENT), TOO_LONG "\n", -EINVAL, { END } },
        { FILE_OF(CPU_STAT),
          "usage_usec 99999999999999999999999\nuser_usec 4\n",
          0,
          { V(CPU_USER, 4), END } },
        { FILE_OF(IO_PRESSURE), "some total=" TOO_LONG "\nfull total=2\n", 0, { V(IO_FULL, 2), END } },
        { HOST(MEMINFO),
          "MemTotal: 18014398509481984 kB\nMemFree: 1 kB\n",
          0,
          { V(HOST_MEMORY_FREE, 1024), END } },
        { HOST(VMSTAT),
          "pgscan_kswapd 5\npgscan_direct " TOO_LONG "\npgfault 1\n",
          0,
          { V(PGFAULT, 1), END } },
        { FILE_OF(IO_STAT),
          "8:0 rbytes=" TOO_LONG " wbytes=5 rios=1 wios=1\n8:16 rbytes=1 wbytes=2 rios=3 wios=4\n",
          0,
          { V(IO_WBYTES, 7), V(IO_RIOS, 4), V(IO_WIOS, 5), V(IO_DBYTES, 0), V(IO_DIOS, 0), END } },
        { HOST(DISKSTATS),
          "8 0 sda 1 2 18446744073709551615 4 5 6 7 8 9 10 11\n8 16 sdb 1 2 3 4 5 6 7 8 9 10 11\n",
          0,
          { END } },
        /* No numbers. */
        { FILE_OF(MEMORY_CURRENT), "max\n", -EINVAL, { END } },
        { FILE_OF(MEMORY_CURRENT), "-1\n", -EINVAL, { END } },
        { FILE_OF(MEMORY_CURRENT), " 1\n", -EINVAL, { END } },
        { FILE_OF(MEMORY_CURRENT), "1.5\n", -EINVAL, { END } },
        { FILE_OF(MEMORY_CURRENT), "\n1\n", -EINVAL, { END } },
        { FILE_OF(MEMORY_CURRENT), "0x10\n", -EINVAL, { END } },
        { FILE_OF(PIDS_EVENTS), "max\n", -EINVAL, { END } },
        { FILE_OF(PIDS_EVENTS), "max 1\r\n", -EINVAL, { END } },
        { FILE_OF(PIDS_EVENTS), " max 1\n", -EINVAL, { END } },
        { FILE_OF(IO_PRESSURE), "some avg10=0.00 total=\nfull total=-1\n", -EINVAL, { END } },
        { FILE_OF(IO_PRESSURE), "some subtotal=1\nfulltotal=2\n", -EINVAL, { END } },
        { FILE_OF(IRQ_PRESSURE), "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n", -EINVAL, { END } },
        { FILE_OF(IO_STAT),
          "8:0 rbytes=x wbytes=-1 rios= wios=1.5 dbytes=0 dios=1\n",
          0,
          { V(IO_DBYTES, 0), V(IO_DIOS, 1), END } },
        /* Nothing at all: only io.stat may be empty. */
        { FILE_OF(IO_STAT), "", 0, { WANT_IO_ZERO, END } },
        { FILE_OF(IO_STAT), "\n", -EINVAL, { END } },
        { FILE_OF(IO_STAT), "rbytes=1 wbytes=2\n", -EINVAL, { END } },
        { FILE_OF(IO_STAT), "0:0 rbytes=1\n4294967296:1 rbytes=1\n8 rbytes=1\n", -EINVAL, { END } },
        { HOST(DISKSTATS), "", 0, { WANT_DISKS_ZERO } },
        { HOST(DISKSTATS), "sda is a disk\n", -EINVAL, { END } },
        /* Devices without statistics, on lines of their own or not. */
        { FILE_OF(IO_STAT), "8:0\n8:16 \n", 0, { WANT_IO_ZERO, END } },
        { FILE_OF(IO_STAT), "8:0 8:16 ", 0, { WANT_IO_ZERO, END } },
        { FILE_OF(IO_STAT),
          "7:1 7:0 8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:2 ",
          0,
          { V(IO_RBYTES, 1), V(IO_WBYTES, 2), V(IO_RIOS, 3), V(IO_WIOS, 4), V(IO_DBYTES, 5), V(IO_DIOS, 6),
            END } },
        /* A sum without its last part is none. */
        { FILE_OF(IO_STAT), "8:0 rbytes=1\n8:16 rbytes=2", 0, { END } },
        { FILE_OF(IO_STAT), "8:0 rbytes=1\n8:1", 0, { END } },
        { HOST(DISKSTATS), "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sd", 0, { END } },
        { HOST(VMSTAT), "pgscan_kswapd 5\npgfault 6\npgscan_dir", 0, { V(PGFAULT, 6), END } },
        /* Kernels before discards; a line that is too short for any. */
        { HOST(DISKSTATS),
          "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n",
          0,
          { V(IO_RBYTES, 3 * 512), V(IO_WBYTES, 7 * 512), V(IO_RIOS, 1), V(IO_WIOS, 5), V(IO_DBYTES, 0),
            V(IO_DIOS, 0), V(HOST_DISK_BUSY_USEC, 10000), V(HOST_DISK_QUEUE_USEC, 11000), END } },
        { HOST(DISKSTATS), "8 0 sda 1 2 3 4 5 6 7 8 9 10\n8 16 sdb 1 2 3 4 5 6 7 8 9 10 11\n", 0, { END } },
        /* More was free than there is: two numbers of two moments. */
        { HOST(MEMINFO),
          "MemTotal: 1 kB\nMemAvailable: 2 kB\n",
          0,
          { V(HOST_MEMORY_TOTAL, 1024), V(HOST_MEMORY_AVAILABLE, 2048), V(MEMORY, 0), END } },
};

/* In memory of exactly its size, so that a sanitizer sees a read beyond the end. */
static int parse_exact(int file, const char *text, size_t len, Sample *s, SampleIo *io) {
        char *exact = malloc(len ?: 1);
        int r;

        assert_non_null(exact);
        memcpy(exact, text, len);
        r = parse(file, exact, len, s, io);
        free(exact);
        return r;
}

static void fill(Sample *s) {
        for (int f = 0; f < _SAMPLE_MAX; f++)
                sample_put(s, (SampleField)f, UNTOUCHED);
}

static void test_rows(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Row *row = &rows[i];
                SampleMask want = 0, fields = fields_of(row->file);
                SampleIo io = {};
                Sample s = {};
                int r;

                fill(&s); /* of a look before */
                r = parse_exact(row->file, row->text, strlen(row->text), &s, &io);
                if (r != row->result)
                        fail_msg("%s \"%s\": %d, not %d", name_of(row->file), row->text, r, row->result);
                for (size_t k = 0; row->want[k].field >= 0; k++) {
                        SampleField f = (SampleField)row->want[k].field;

                        want |= SAMPLE_BIT(f);
                        if (!sample_has(&s, f) || s.v[f] != row->want[k].v)
                                fail_msg("%s \"%s\": %s is %llu", name_of(row->file), row->text,
                                         sample_info(f)->name, (unsigned long long)s.v[f]);
                }
                if ((s.have & fields) != want)
                        fail_msg("%s \"%s\": has %llx:%llx", name_of(row->file), row->text,
                                 (unsigned long long)((s.have & fields) >> 64),
                                 (unsigned long long)(s.have & fields));
                for (int f = 0; f < _SAMPLE_MAX; f++)
                        if (!(fields & SAMPLE_BIT(f)))
                                assert_true(sample_has(&s, (SampleField)f) && s.v[f] == UNTOUCHED);
                        else if (!(want & SAMPLE_BIT(f)))
                                assert_int_equal(s.v[f], 0);
                sample_io_deinit(&io);
        }
}

/* Whatever the end of a text was, what is had is what its whole lines say. */
static void test_cut(void **state) {
        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Row *row = &rows[i];

                for (size_t cut = 0; cut < strlen(row->text); cut++) {
                        size_t whole = cut;
                        Sample s = {}, lines = {};
                        SampleIo io = {};

                        while (whole > 0 && row->text[whole - 1] != '\n')
                                whole--;
                        (void)parse_exact(row->file, row->text, cut, &s, &io);
                        (void)parse_exact(row->file, row->text, whole, &lines, NULL);
                        assert_int_equal(s.have & ~lines.have, 0);
                        for (int f = 0; f < _SAMPLE_MAX; f++)
                                if (sample_has(&s, (SampleField)f))
                                        assert_int_equal(s.v[f], lines.v[f]);
                        sample_io_deinit(&io);
                }
        }
}

/* A NUL (or any other byte) anywhere in place of another: nothing but that line may change, and nothing be invented. */
static void test_torn(void **state) {
        static const char bytes[] = { '\0', '\n', ' ', '9', '=', ':', '\xff' };

        (void)state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const Row *row = &rows[i];
                size_t len = strlen(row->text);

                for (size_t at = 0; at < len; at++)
                        for (size_t k = 0; k < ARRAY_SIZE(bytes); k++) {
                                char *text = strdup(row->text);
                                Sample s = {}, again = {};
                                SampleIo io = {};
                                int r;

                                assert_non_null(text);
                                text[at] = bytes[k];
                                r = parse_exact(row->file, text, len, &s, &io);
                                assert_true(r == 0 || r == -EINVAL);
                                assert_true((s.have & ~fields_of(row->file)) == 0);
                                assert_true(r == 0 || s.have == 0);
                                fill(&again);
                                sample_clear(&again, ~fields_of(row->file));
                                assert_int_equal(parse_exact(row->file, text, len, &again, &io), r);
                                assert_memory_equal(&s, &again, sizeof(s));
                                sample_io_deinit(&io);
                                free(text);
                        }
        }
        /* Where it tears a number, its field goes and the rest stays. */
        {
                static const char text[] = "usage_usec 12\0003\nuser_usec 4\n";
                Sample s = {};

                assert_int_equal(sample_parse(SAMPLE_FILE_CPU_STAT, text, sizeof(text) - 1, &s, NULL), 0);
                assert_true(s.have == SAMPLE_BIT(SAMPLE_CPU_USER));
                assert_int_equal(s.v[SAMPLE_CPU_USER], 4);
        }
}

static void test_io_devices(void **state) {
        SampleIo io = {};
        Sample s = {};
        const SampleDevice *d;

        (void)state;
        assert_int_equal(sample_parse(SAMPLE_FILE_IO_STAT, io_stat, strlen(io_stat), &s, &io), 0);
        assert_int_equal(io.n, 3);
        assert_int_equal(io.n_unlisted, 0);
        assert_null(sample_io_find(&io, makedev(7, 0)));
        assert_non_null(sample_io_find(&io, makedev(8, 0)));
        d = sample_io_find(&io, makedev(8, 16));
        assert_non_null(d);
        assert_int_equal(d->rbytes, 1000);
        assert_int_equal(d->wbytes, 2000);
        assert_int_equal(d->rios, 30);
        assert_int_equal(d->wios, 40);
        assert_int_equal(d->cost_usage_usec, 77);
        assert_int_equal(d->cost_wait_usec, 88);
        assert_int_equal(d->cost_indebt_usec, 99);
        assert_int_equal(d->cost_indelay_usec, 111);
        d = sample_io_find(&io, makedev(254, 0));
        assert_non_null(d);
        assert_int_equal(d->dbytes, 50);
        assert_int_equal(d->dios, 6);
        /* Replaced, not added to; and another file leaves them alone. */
        assert_int_equal(sample_parse(SAMPLE_FILE_CPU_STAT, "usage_usec 1\n", 13, &s, &io), 0);
        assert_int_equal(io.n, 3);
        assert_int_equal(sample_parse(SAMPLE_FILE_IO_STAT, "8:0 rios=1\n", 11, &s, &io), 0);
        assert_int_equal(io.n, 1);
        assert_int_equal(io.devices[0].rios, 1);

        assert_int_equal(sample_parse_host(HOST_FILE_DISKSTATS, diskstats, strlen(diskstats), &s, &io), 0);
        assert_int_equal(io.n, 8); /* loop0 sda sdaa nvme0n1 nvme0n11 dm-1 dm-10 md127 */
        assert_null(sample_io_find(&io, makedev(8, 1)));
        assert_null(sample_io_find(&io, makedev(259, 2)));
        d = sample_io_find(&io, makedev(8, 0));
        assert_non_null(d);
        assert_int_equal(d->rbytes, 1000 * 512);
        assert_int_equal(d->dios, 7);
        assert_int_equal(d->busy_usec, 190000);
        assert_int_equal(d->queue_usec, 999000);
        sample_io_deinit(&io);
        assert_null(sample_io_find(&io, makedev(8, 0)));
}

/* More disks than are listed: the same ones in whatever order they come, and all of them in the sums. */
static void test_many_devices(void **state) {
        for (int order = 0; order < 3; order++) {
                enum { N = 3 * SAMPLE_DEVICES_MAX };
                _cleanup_buf_ Buf text = BUF_INIT;
                SampleIo io = {};
                Sample s = {};

                for (unsigned i = 0; i < N; i++) {
                        unsigned k = order == 0 ? i : order == 1 ? N - 1 - i : i * 7 % N;

                        buf_printf(&text, "8:%u rbytes=%u wbytes=1 rios=1 wios=1\n", k * 16, k);
                }
                assert_int_equal(sample_parse(SAMPLE_FILE_IO_STAT, text.data, text.len, &s, &io), 0);
                assert_int_equal(io.n, SAMPLE_DEVICES_MAX);
                assert_int_equal(io.n_unlisted, N - SAMPLE_DEVICES_MAX);
                for (unsigned i = 0; i < SAMPLE_DEVICES_MAX; i++) {
                        assert_int_equal(io.devices[i].dev, makedev(8, i * 16));
                        assert_int_equal(io.devices[i].rbytes, i);
                }
                assert_int_equal(s.v[SAMPLE_IO_WBYTES], N);
                assert_int_equal(s.v[SAMPLE_IO_RBYTES], N * (N - 1) / 2);
                sample_io_deinit(&io);
        }
        (void)state;
}

/* A namespace may have as many interfaces as somebody likes. */
static void test_many_interfaces(void **state) {
        enum { N = 10000 };
        _cleanup_buf_ Buf b = BUF_INIT;
        Sample s = {};

        (void)state;
        buf_puts(&b, NET_HEAD NET_LO);
        for (unsigned i = 0; i < N; i++)
                buf_printf(&b, "dummy%u: %u 1 0 2 0 0 0 0 3 %u 0 0 0 0 0 0\n", i, i, i);
        assert_int_equal(buf_error(&b), 0);
        assert_int_equal(sample_parse(SAMPLE_FILE_NET_DEV, b.data, b.len, &s, NULL), 0);
        assert_int_equal(s.v[SAMPLE_NET_RX_BYTES], N * (N - 1) / 2);
        assert_int_equal(s.v[SAMPLE_NET_RX_DROPPED], 2 * N);
        assert_int_equal(s.v[SAMPLE_NET_TX_BYTES], 3 * N);
        assert_int_equal(s.v[SAMPLE_NET_TX_PACKETS], N * (N - 1) / 2);
        for (size_t cut = 1; cut < 40; cut++) {
                assert_int_equal(sample_parse(SAMPLE_FILE_NET_DEV, b.data, b.len - cut, &s, NULL),
                                 b.data[b.len - cut - 1] == '\n' ? 0 : -EINVAL);
                assert_true(b.data[b.len - cut - 1] == '\n' || s.have == 0);
        }
}

static void test_table(void **state) {
        SampleMask all = 0;

        (void)state;
        for (int f = 0; f < _SAMPLE_MAX; f++) {
                const SampleInfo *info = sample_info((SampleField)f);

                assert_non_null(info->name);
                assert_int_equal(sample_field_from_name(info->name), f); /* no name twice */
                for (int file = 0; file < _SAMPLE_FILE_MAX; file++)
                        assert_int_equal(!!(sample_file_fields((SampleFile)file) & SAMPLE_BIT(f)),
                                         info->file == file);
        }
        assert_int_equal(sample_field_from_name("memory"), _SAMPLE_INVALID);
        assert_int_equal(sample_field_from_name(""), _SAMPLE_INVALID);
        for (int file = 0; file < N_FILES; file++) {
                assert_non_null(name_of(file));
                assert_true(fields_of(file) != 0);
                all |= fields_of(file);
        }
        /* Every field comes from somewhere, but one. */
        assert_true(all == (SAMPLE_ALL & ~SAMPLE_BIT(SAMPLE_PEAK_KIND)));
        assert_string_equal(peak_kind_to_string(PEAK_RESET), "reset");
        assert_string_equal(peak_kind_to_string(_PEAK_MAX), "unknown");
}

static void test_arithmetic(void **state) {
        Sample before = {}, now = {};
        uint64_t v = UNTOUCHED;

        (void)state;
        assert_false(sample_delta(&before, &now, SAMPLE_CPU_USAGE, &v));
        sample_put(&now, SAMPLE_CPU_USAGE, 10);
        assert_false(sample_delta(&before, &now, SAMPLE_CPU_USAGE, &v));
        assert_false(sample_delta(&now, &before, SAMPLE_CPU_USAGE, &v));
        sample_put(&before, SAMPLE_CPU_USAGE, 11);
        assert_false(sample_delta(&before, &now, SAMPLE_CPU_USAGE, &v));
        assert_int_equal(v, UNTOUCHED);
        sample_put(&before, SAMPLE_CPU_USAGE, 10);
        assert_true(sample_delta(&before, &now, SAMPLE_CPU_USAGE, &v));
        assert_int_equal(v, 0);
        sample_put(&now, SAMPLE_CPU_USAGE, UINT64_MAX);
        assert_true(sample_delta(&before, &now, SAMPLE_CPU_USAGE, &v));
        assert_int_equal(v, UINT64_MAX - 10);

        v = UNTOUCHED;
        sample_put(&now, SAMPLE_MEMORY, 100);
        assert_false(sample_working_set(&now, &v));
        assert_int_equal(v, UNTOUCHED);
        sample_put(&now, SAMPLE_INACTIVE_FILE, 30);
        assert_true(sample_working_set(&now, &v));
        assert_int_equal(v, 70);
        sample_put(&now, SAMPLE_INACTIVE_FILE, 300);
        assert_true(sample_working_set(&now, &v));
        assert_int_equal(v, 0);

        sample_clear(&now, SAMPLE_BIT(SAMPLE_MEMORY) | SAMPLE_BIT(SAMPLE_CPU_USER));
        assert_false(sample_has(&now, SAMPLE_MEMORY));
        assert_int_equal(now.v[SAMPLE_MEMORY], 0);
        assert_true(sample_has(&now, SAMPLE_INACTIVE_FILE));
        assert_int_equal(now.v[SAMPLE_INACTIVE_FILE], 300);
        sample_clear(&now, SAMPLE_ALL);
        assert_true(now.have == 0);
        assert_memory_equal(&now, &(Sample){}, sizeof(now));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),         cmocka_unit_test(test_cut),
                cmocka_unit_test(test_torn),         cmocka_unit_test(test_io_devices),
                cmocka_unit_test(test_many_devices), cmocka_unit_test(test_many_interfaces),
                cmocka_unit_test(test_table),        cmocka_unit_test(test_arithmetic),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
