/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Certificates live for weeks, and whoever renews them (an ACME client, a cron job) knows nothing of us: so the files are looked at
 * with each round, which is three calls of stat(). What a new one has to be is decided before it is used: one that is expired or does
 * not fit its key never takes the place of one that serves.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>

#include "certificates.h"
#include "fdio.h"
#include "run.h"

#define PEM_MAX (1 << 20)

static const char *path_of(const Config *c, size_t i) {
        return i == 0 ? c->certificate : i == 1 ? c->key : c->client_ca;
}

/* Another file, or another content: another number. 0: there is none. ACME clients give links, and renew by changing where they go. */
static uint64_t mark_of(const char *path) {
        struct stat st;

        if (!path || stat(path, &st) < 0)
                return 0;
        return ((uint64_t)st.st_ino * 31 + (uint64_t)st.st_size) * 31 +
               (uint64_t)st.st_mtim.tv_sec * 1000003 + (uint64_t)st.st_mtim.tv_nsec +
               (uint64_t)st.st_ctim.tv_sec * 7 + (uint64_t)st.st_ctim.tv_nsec;
}

static int read_pem(const char *path, const char *key, char **ret) {
        _cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
        size_t len;
        int r;

        if (!path)
                return 0;
        r = real ? fd_read_regular_at(AT_FDCWD, real, PEM_MAX, ret, &len, NULL, NULL) : -errno;
        if (r < 0)
                run_log(LOG_ERR, "%s=%s: %s", key, path, strerror(-r));
        return r;
}

static const char *date(uint64_t at, char text[static 32]) {
        struct tm tm;
        time_t t = (time_t)at;

        if (!gmtime_r(&t, &tm) || strftime(text, 32, "%F %T UTC", &tm) == 0)
                (void)snprintf(text, 32, "%llu", (unsigned long long)at);
        return text;
}

static int check(const char *path, const char *pem, uint64_t now, bool renews, uint64_t *ret_until) {
        uint64_t from, until;
        char when[32];

        if (http_certificate_times(pem, &from, &until) < 0) {
                run_log(LOG_ERR, "Certificate=%s: expected PEM", path);
                return -EINVAL;
        }
        if (now >= until)
                run_log(LOG_ERR, "Certificate=%s expired at %s: %s", path, date(until, when),
                        renews ? "not taken" : "whoever verifies it will refuse to talk to us");
        else if (now < from)
                run_log(LOG_ERR, "Certificate=%s is valid from %s on, which is later: %s", path,
                        date(from, when),
                        renews ? "not taken" : "whoever verifies it will refuse to talk to us");
        *ret_until = until;
        return renews && (now >= until || now < from) ? -EINVAL : 0;
}

int certificates_load(const Config *config, uint64_t now, bool renews, Certificates *ret) {
        _cleanup_(certificates_deinit) Certificates c = {};
        int r;

        for (size_t i = 0; i < CERTIFICATE_FILES; i++)
                c.marks[i] = c.seen[i] = mark_of(path_of(config, i));
        r = read_pem(config->certificate, "Certificate", &c.certificate);
        if (r >= 0)
                r = read_pem(config->key, "Key", &c.key);
        if (r >= 0)
                r = read_pem(config->client_ca, "ClientCA", &c.client_ca);
        if (r >= 0 && c.certificate)
                r = check(config->certificate, c.certificate, now, renews, &c.until);
        if (r < 0)
                return r;
        c.told_end = c.until > 0 && now >= c.until;
        certificates_deinit(ret);
        *ret = c;
        c = (Certificates){};
        return 0;
}

void certificates_deinit(Certificates *c) {
        free(c->certificate);
        free(c->key);
        free(c->client_ca);
        *c = (Certificates){};
}

bool certificates_look(const Config *config, uint64_t now, Certificates *c) {
        bool differs = false, settled = true;
        char when[32];

        if (!c->certificate)
                return false;
        if (now >= c->until && !c->told_end) {
                run_log(LOG_ERR, "Certificate=%s expired at %s: whoever verifies it refuses to talk to us",
                        config->certificate, date(c->until, when));
                c->told_end = true;
        }
        for (size_t i = 0; i < CERTIFICATE_FILES; i++) {
                uint64_t mark = mark_of(path_of(config, i));

                differs |= mark != c->marks[i];
                settled &= mark == c->seen[i];
                c->seen[i] = mark;
        }
        return differs && settled;
}

void certificates_give_up(const Config *config, Certificates *c) {
        for (size_t i = 0; i < CERTIFICATE_FILES; i++)
                c->marks[i] = c->seen[i] = mark_of(path_of(config, i));
}
