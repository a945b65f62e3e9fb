/* SPDX-License-Identifier: Apache-2.0 */

/* bailiffd(8): options, limits of the process, and the guard. */

#include <getopt.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "config.h"
#include "guard.h"

enum {
        ARG_VERSION = 256,
        ARG_OBSERVE,
        ARG_FOREGROUND,
        ARG_LAPSE,
        ARG_RELEASE,
        ARG_RELEASE_LEASES,
        ARG_THAW,
        ARG_RUN_DIR,
        ARG_STATE_DIR,
        ARG_NO_BUS,
        ARG_NETLINK_SOCKET
};

static int help(void) {
        puts("bailiffd [OPTION…]\n"
             "\n"
             "Watches containers, holds every tenant to the ceilings of its policy. Started by\n"
             "bailiffd.service; see bailiffd(8), asked with bailiffctl(1).\n"
             "\n"
             "     --foreground         print messages on stderr too\n"
             "     --observe            never write a limit, whatever policy says\n"
             "     --no-bus             do not connect to D-Bus (systemd is not told, nobody can ask)\n"
             "     --run-dir=DIR        leases, ledger and pause file (/run/bailiff)\n"
             "     --netlink-socket=PATH  of bailiff-netlink (/run/bailiff-netlink.sock)\n"
             "     --state-dir=DIR      last good policy (/var/lib/bailiff)\n"
             "     --lapse              one-shot: give tenants' shares back, and thaw: the guard has gone\n"
             "     --thaw               one-shot: thaw what a guard that is gone froze\n"
             "     --release-leases     one-shot: the same, and give back what it throttled\n"
             "     --release-ceilings   one-shot, for package removal: give everything back and print it\n"
             "  -h --help               this text\n"
             "     --version            the version\n");
        return EXIT_SUCCESS;
}

/* A thousand containers are a thousand directory fds. */
static void raise_limits(void) {
        struct rlimit l;

        if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
                l.rlim_cur = l.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &l);
        }
        /* The guard must run while the host thrashes; pages lock as they are touched. */
        (void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* On a hybrid host the v2 hierarchy is beside the v1 controllers: containers can be seen there, not held. */
static const char *find_cgroup_root(void) {
        static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
        struct statfs fs;

        for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
                if (statfs(roots[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
                        return roots[i];
        return roots[0];
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "observe", no_argument, NULL, ARG_OBSERVE },
                { "foreground", no_argument, NULL, ARG_FOREGROUND },
                { "no-bus", no_argument, NULL, ARG_NO_BUS },
                { "lapse", no_argument, NULL, ARG_LAPSE },
                { "release-ceilings", no_argument, NULL, ARG_RELEASE },
                { "release-leases", no_argument, NULL, ARG_RELEASE_LEASES },
                { "thaw", no_argument, NULL, ARG_THAW },
                { "run-dir", required_argument, NULL, ARG_RUN_DIR },
                { "netlink-socket", required_argument, NULL, ARG_NETLINK_SOCKET },
                { "state-dir", required_argument, NULL, ARG_STATE_DIR },
                {},
        };
        GuardConfig config = {
                .cgroup_root = find_cgroup_root(),
                .run_dir = "/run/bailiff",
                .state_dir = "/var/lib/bailiff",
                .netlink_socket = "/run/bailiff-netlink.sock",
                .journal_socket = "/run/systemd/journal/socket",
                .names_root = "",
                .policy_dirs = policy_dirs_default,
        };
        _cleanup_(cleanup_guard_free) Guard *g = NULL;
        bool lapse = false, release = false, leases = false, thaw = false;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_VERSION:
                        puts("bailiffd " BAILIFF_VERSION);
                        return EXIT_SUCCESS;
                case ARG_OBSERVE:
                        config.observe = true;
                        break;
                case ARG_FOREGROUND:
                        config.foreground = true;
                        break;
                case ARG_NO_BUS:
                        config.no_bus = true;
                        break;
                case ARG_LAPSE:
                        lapse = true;
                        break;
                case ARG_RELEASE:
                        release = true;
                        break;
                case ARG_RELEASE_LEASES:
                        leases = true;
                        break;
                case ARG_THAW:
                        thaw = true;
                        break;
                case ARG_NETLINK_SOCKET:
                        config.netlink_socket = optarg;
                        break;
                case ARG_RUN_DIR:
                        config.run_dir = optarg;
                        break;
                case ARG_STATE_DIR:
                        config.state_dir = optarg;
                        break;
                default:
                        return 2;
                }
        if (optind < argc) {
                fprintf(stderr, "bailiffd: takes no arguments; see bailiffd --help\n");
                return 2;
        }
        if (geteuid() != 0) {
                fprintf(stderr, "bailiffd: must run as root\n");
                return 4;
        }
        if (leases || thaw)
                return unlease_alone(&config, !leases) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        if (lapse || release)
                return (lapse ? lapse_shares(&config) : lapse_release(&config)) < 0 ? EXIT_FAILURE
                                                                                    : EXIT_SUCCESS;
        raise_limits();
        r = guard_new(&config, &g);
        if (r >= 0)
                r = guard_run(g);
        if (r < 0) {
                fprintf(stderr, "bailiffd: cannot run: %s\n",
                        r == -EALREADY ? "another bailiffd runs on this host" : strerror(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
