/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes that begin and end, for scenarios: as many as are asked for, or as fast as the machine makes them.
 *
 *   forks [-n PROCESSES] [-s SECONDS] [-b MS]
 *
 *   -n   how many (without: as many as there is time for)
 *   -s   for how long (without: until all are made)
 *   -b   CPU time that each one uses, in milliseconds (0)
 *
 * One at a time: each has ended before the next one begins. They have no memory of their own, so that making and ending one costs
 * next to nothing beside what it does, in an emulated machine, too. At the end one line says the truth, CPU of the children by wait4():
 *
 *   made N cpu_usec N usec N did_usec N
 *
 * did_usec is what they and this program used until their last instruction, by their own clocks: without what the kernel does
 * when a process ends, which is charged to the cgroup, but to nobody's record.
 */

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "num.h"

static usec_t did; /* of all; there is one memory */

static int child(void *user) {
        usec_t cpu = *(usec_t *)user;

        if (cpu > 0)
                for (usec_t until = load_cpu() + cpu; load_cpu() < until;)
                        load_work(1000);
        did += load_cpu();
        _exit(EXIT_SUCCESS);
}

static int one(usec_t cpu) {
        static _Alignas(16) uint8_t stack[1 << 16];
        pid_t pid = clone(child, stack + sizeof(stack), CLONE_VM | SIGCHLD, &cpu);

        if (pid < 0)
                return -errno;
        while (waitpid(pid, NULL, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

int main(int argc, char *argv[]) {
        usec_t began = load_clock(), span = USEC_INFINITY, cpu = 0;
        uint64_t max = UINT64_MAX, made = 0, v;
        struct rusage u = {};
        int c;

        while ((c = getopt(argc, argv, "n:s:b:")) >= 0) {
                if (c == '?' || num_parse_u64(optarg, &v) < 0)
                        return 2;
                if (c == 'n')
                        max = v;
                else if (c == 's')
                        span = v * USEC_PER_SEC;
                else
                        cpu = v * USEC_PER_MSEC;
        }
        while (made < max && load_clock() - began < span) {
                if (one(cpu) < 0) {
                        perror("forks");
                        return EXIT_FAILURE;
                }
                made++;
        }
        (void)getrusage(RUSAGE_CHILDREN, &u);
        printf("made %llu cpu_usec %llu usec %llu did_usec %llu\n", (unsigned long long)made,
               (unsigned long long)((uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC +
                                    (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec)),
               (unsigned long long)(load_clock() - began), (unsigned long long)(did + load_cpu()));
        return EXIT_SUCCESS;
}
