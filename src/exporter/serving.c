/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "certificates.h"
#include "clock.h"
#include "fdio.h"
#include "run.h"
#include "serving.h"

#define LISTENERS_MAX (CONFIG_LISTEN_MAX + 4)

typedef struct Listener {
        HttpServer *server;
        sd_event_source *io, *timer;
        bool tls;
} Listener;

struct Serving {
        ServingOptions o;
        Listener listeners[LISTENERS_MAX];
        size_t n;
        Certificates certificates;
};

/* ---- HTTP ---- */

static void serve(Listener *l) {
        usec_t again;

        http_server_run(l->server, clock_monotonic(), &again);
        if (again == USEC_INFINITY) {
                (void)sd_event_source_set_enabled(l->timer, SD_EVENT_OFF);
                return;
        }
        (void)sd_event_source_set_time(l->timer, again);
        (void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *user) {
        (void)s;
        (void)fd;
        (void)events;
        serve(user);
        return 0;
}

static int on_timer(sd_event_source *s, uint64_t at, void *user) {
        (void)s;
        (void)at;
        serve(user);
        return 0;
}

/* ---- certificates ---- */

static void log_bad_certificate(void) {
        run_log(LOG_ERR,
                "Certificate=, Key= or ClientCA= is not what it should be: expected PEM, and a key that fits "
                "the certificate");
}

/* Others, for all addresses. What is wrong with them has been said. */
static void renew(Serving *s) {
        const Config *config = s->o.config;
        _cleanup_(certificates_deinit) Certificates new = {};
        int k = certificates_load(config, clock_realtime() / USEC_PER_SEC, true, &new);

        for (size_t i = 0; i < s->n && k >= 0; i++) {
                if (!s->listeners[i].tls)
                        continue;
                k = http_server_renew(s->listeners[i].server, new.certificate, new.key, new.client_ca);
                if (k < 0)
                        log_bad_certificate();
                (void)sd_event_source_set_time(s->listeners[i].timer, clock_monotonic());
                (void)sd_event_source_set_enabled(s->listeners[i].timer, SD_EVENT_ONESHOT);
        }
        if (k < 0) {
                certificates_give_up(config, &s->certificates);
                run_log(LOG_ERR, "certificates are not renewed: those from before go on");
                return;
        }
        certificates_deinit(&s->certificates);
        s->certificates = new;
        new = (Certificates){};
        run_log(LOG_NOTICE, "certificates are renewed");
}

void serving_look_at_certificates(Serving *s) {
        if (certificates_look(s->o.config, clock_realtime() / USEC_PER_SEC, &s->certificates))
                renew(s);
}

bool serving_renew(Serving *s) {
        if (!s->certificates.certificate)
                return false;
        renew(s);
        return true;
}

uint64_t serving_certificate_until(const Serving *s) { return s->certificates.until; }

/* ---- addresses ---- */

/* Takes fd. */
static int add_server(Serving *s, int fd, HttpKind kind, uint16_t port) {
        const Config *c = s->o.config;
        HttpOptions o = {
                .fd = fd,
                .kind = kind,
                .port = port,
                .connections_max = (unsigned)c->connections_max,
                .connections_max_per_address =
                        kind == HTTP_UNIX ? 0 : (unsigned)c->connections_max_per_address,
                .handle = s->o.handle,
                .user = s->o.user,
        };
        Listener *l = &s->listeners[s->n];
        int k;

        if (s->n == LISTENERS_MAX)
                return fd_close(fd), -E2BIG;
        l->tls = kind == HTTP_TLS;
        if (l->tls) {
                o.certificate = s->certificates.certificate;
                o.key = s->certificates.key;
                o.client_ca = s->certificates.client_ca;
        }
        k = http_server_new(&o, &l->server);
        if (k < 0)
                return k;
        s->n++;
        k = sd_event_add_io(s->o.event, &l->io, http_server_fd(l->server), EPOLLIN, on_io, l);
        if (k >= 0)
                k = sd_event_add_time(s->o.event, &l->timer, CLOCK_MONOTONIC, clock_monotonic(),
                                      10 * USEC_PER_MSEC, on_timer, l);
        return k;
}

static const char *address_text(const HttpAddress *a, char buf[static 80]) {
        (void)snprintf(buf, 80, "port %u%s", a->port, a->loopback ? " of the loopback address" : "");
        return buf;
}

/* config_parse() has seen to it that nothing but loopback is without TLS. */
static int listen_tcp(Serving *s) {
        const Config *c = s->o.config;
        int k = certificates_load(c, clock_realtime() / USEC_PER_SEC, false, &s->certificates);

        for (size_t i = 0; i < c->n_listen && k >= 0; i++) {
                int fd = http_address_listen(&c->listen[i]);
                char text[80];

                if (fd < 0) {
                        run_log(LOG_ERR, "cannot listen at %s: %s", address_text(&c->listen[i], text),
                                strerror(-fd));
                        return fd;
                }
                k = add_server(s, fd, s->certificates.certificate ? HTTP_TLS : HTTP_LOOPBACK,
                               c->listen[i].port);
                if (k == -EINVAL)
                        log_bad_certificate();
                else if (k < 0)
                        run_log(LOG_ERR, "cannot serve at %s: %s", address_text(&c->listen[i], text),
                                strerror(-k));
        }
        return k;
}

static int make_socket(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_fd_ int fd = -1;

        if (strlen(path) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        memcpy(a.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void)unlink(path);
        if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(path, 0660) < 0 || listen(fd, 64) < 0)
                return -errno;
        return steal_fd(&fd);
}

static int listen_unix(Serving *s) {
        int n = sd_listen_fds(true), k = 0;

        if (n < 0)
                return n;
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n && k >= 0; fd++) {
                if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0) {
                        run_log(LOG_ERR,
                                "systemd passed a socket that is no listening unix socket; addresses are "
                                "Listen= in exporter.conf, where TLS is seen to");
                        return -EINVAL;
                }
                (void)fcntl(fd, F_SETFL, O_NONBLOCK);
                k = add_server(s, fd, HTTP_UNIX, 0);
        }
        if (n == 0 && s->o.socket) {
                k = make_socket(s->o.socket);
                if (k < 0) {
                        run_log(LOG_ERR, "cannot listen at %s: %s", s->o.socket, strerror(-k));
                        return k;
                }
                k = add_server(s, k, HTTP_UNIX, 0);
        }
        return k;
}

/* ---- all of it ---- */

int serving_new(const ServingOptions *o, Serving **ret) {
        _cleanup_(cleanup_serving_free) Serving *s = calloc(1, sizeof(*s));
        int k;

        if (!s)
                return -ENOMEM;
        s->o = *o;
        k = listen_unix(s);
        if (k >= 0)
                k = listen_tcp(s);
        if (k < 0)
                return k;
        *ret = steal_ptr(s);
        return 0;
}

Serving *serving_free(Serving *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n; i++) {
                sd_event_source_disable_unref(s->listeners[i].io);
                sd_event_source_disable_unref(s->listeners[i].timer);
                http_server_free(s->listeners[i].server);
        }
        certificates_deinit(&s->certificates);
        free(s);
        return NULL;
}

void serving_run(Serving *s) {
        for (size_t i = 0; i < s->n; i++)
                serve(&s->listeners[i]);
}
