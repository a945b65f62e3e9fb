/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Addresses to listen at, and what a request to the loopback address may call us.
 *
 * A page in somebody's browser can make requests to 127.0.0.1, and by a name of its own that resolves there even
 * read the answers. The browser says the name in Host; so only the names of this host itself are served.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "fdio.h"
#include "num.h"
#include "server.h"

#define BACKLOG 64

/* "ADDRESS:PORT", "[ADDRESS]:PORT" into both; the host without brackets. */
static int split(const char *text, char host[static INET6_ADDRSTRLEN], bool *ret_brackets,
                 uint16_t *ret_port) {
        bool brackets = *text == '[';
        const char *begin = text + brackets, *end = brackets ? strchr(begin, ']') : strchr(begin, ':');
        uint32_t port;

        if (!end || end == begin || (size_t)(end - begin) >= INET6_ADDRSTRLEN)
                return -EINVAL;
        if (brackets ? end[1] != ':' : strchr(end + 1, ':') != NULL)
                return -EINVAL;
        if (num_parse_u32(end + 1 + brackets, &port) < 0 || port == 0 || port > UINT16_MAX)
                return -EINVAL;
        memcpy(host, begin, (size_t)(end - begin));
        host[end - begin] = '\0';
        *ret_brackets = brackets;
        *ret_port = (uint16_t)port;
        return 0;
}

int http_address_parse(const char *text, HttpAddress *ret) {
        char host[INET6_ADDRSTRLEN];
        HttpAddress a = {};
        bool brackets;
        int r = split(text, host, &brackets, &a.port);

        if (r < 0)
                return r;
        if (brackets) {
                a.in6.sin6_family = AF_INET6;
                a.in6.sin6_port = htons(a.port);
                a.len = sizeof(a.in6);
                if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) != 1)
                        return -EINVAL;
                a.loopback = IN6_IS_ADDR_LOOPBACK(&a.in6.sin6_addr);
        } else {
                a.in.sin_family = AF_INET;
                a.in.sin_port = htons(a.port);
                a.len = sizeof(a.in);
                if (inet_pton(AF_INET, STR_EQ(host, "localhost") ? "127.0.0.1" : host, &a.in.sin_addr) != 1)
                        return -EINVAL;
                a.loopback = ntohl(a.in.sin_addr.s_addr) >> 24 == 127;
        }
        *ret = a;
        return 0;
}

int http_address_listen(const HttpAddress *a) {
        _cleanup_fd_ int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int on = 1;

        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
                return -errno;
        if (a->sa.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
                return -errno;
        if (bind(fd, &a->sa, a->len) < 0 || listen(fd, BACKLOG) < 0)
                return -errno;
        return steal_fd(&fd);
}

bool http_host_is_local(const char *host, uint16_t port) {
        static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

        for (size_t i = 0; host && i < ARRAY_SIZE(names); i++) {
                size_t n = strlen(names[i]);
                uint32_t p;

                if (strncasecmp(host, names[i], n) != 0)
                        continue;
                if (host[n] == '\0')
                        return true;
                return host[n] == ':' && num_parse_u32(host + n + 1, &p) >= 0 && p == port;
        }
        return false;
}
