/* SPDX-License-Identifier: Apache-2.0 */

/* bailiff-netlink(8): options, the socket from systemd or one of its own, and the service. */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "config.h"
#include "fdio.h"
#include "num.h"
#include "service.h"

enum { ARG_VERSION = 256, ARG_SOCKET, ARG_BUFFER, ARG_IDLE };

static int help(void) {
        puts("bailiff-netlink [OPTION…]\n"
             "\n"
             "Listens to the kernel's process events and accounting for bailiffd(8).\n"
             "Started by bailiff-netlink.socket; see bailiff-netlink(8).\n"
             "\n"
             "     --buffer=BYTES   receive buffer for events (4 MiB)\n"
             "     --idle=SECONDS   end when nobody is connected for so long (30)\n"
             "     --socket=PATH    make the socket, instead of taking systemd's\n"
             "  -h --help           this text\n"
             "     --version        the version\n");
        return EXIT_SUCCESS;
}

static int make_socket(const char *path, int *ret) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_fd_ int fd = -1;

        if (strlen(path) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        memcpy(a.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void)unlink(path);
        (void)umask(0177);
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0)
                return -errno;
        *ret = steal_fd(&fd);
        return 0;
}

static int get_socket(const char *path, int *ret) {
        int n;

        if (path)
                return make_socket(path, ret);
        n = sd_listen_fds(1);
        if (n < 0)
                return n;
        if (n != 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
                return -ENOTSOCK;
        *ret = SD_LISTEN_FDS_START;
        return 0;
}

static int stop_signals(int *ret) {
        sigset_t set;
        int fd;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "socket", required_argument, NULL, ARG_SOCKET },
                { "buffer", required_argument, NULL, ARG_BUFFER },
                { "idle", required_argument, NULL, ARG_IDLE },
                {},
        };
        ServiceConfig config = { .rcvbuf = SERVICE_RCVBUF, .idle = SERVICE_IDLE_USEC };
        _cleanup_fd_ int listen_fd = -1, stop_fd = -1;
        const char *path = NULL;
        uint32_t v;
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        return help();
                case ARG_VERSION:
                        puts("bailiff-netlink " BAILIFF_VERSION);
                        return EXIT_SUCCESS;
                case ARG_SOCKET:
                        path = optarg;
                        break;
                case ARG_BUFFER:
                case ARG_IDLE:
                        if (num_parse_u32(optarg, &v) < 0 || v == 0 || v > (1u << 30)) {
                                fprintf(stderr, "bailiff-netlink: not a number from 1 to 1073741824: %s\n",
                                        optarg);
                                return 2;
                        }
                        if (c == ARG_BUFFER)
                                config.rcvbuf = v;
                        else
                                config.idle = v * USEC_PER_SEC;
                        break;
                default:
                        return 2;
                }
        if (optind < argc) {
                fprintf(stderr, "bailiff-netlink: takes no arguments; see bailiff-netlink --help\n");
                return 2;
        }
        r = get_socket(path, &listen_fd);
        if (r < 0) {
                fprintf(stderr,
                        "bailiff-netlink: no socket to listen at (start bailiff-netlink.socket): %s\n",
                        strerror(-r));
                return EXIT_FAILURE;
        }
        r = stop_signals(&stop_fd);
        if (r >= 0) {
                config.listen_fd = listen_fd;
                config.stop_fd = stop_fd;
                r = service_run(&config);
        }
        if (path)
                (void)unlink(path);
        if (r < 0)
                fprintf(stderr, "bailiff-netlink: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
