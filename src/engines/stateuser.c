/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who a uid is: name, home and groups. Live answers come from NSS, which may
 * ask a directory server over the network: that is why it happens in the names
 * helper, and why an answer is remembered for a minute. Below a prefix
 * (tests, captured trees) they come from that tree's own passwd and group.
 */

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "state.h"

#define CACHE_SIZE 64
#define CACHE_USEC (60 * USEC_PER_SEC)
#define RETRY_USEC (2 * USEC_PER_SEC) /* after no answer */
#define NSS_BUFFER_MAX ((size_t)1024 * 1024)
#define FIELD_MAX 255

typedef struct CacheEntry {
        StateUser user;
        bool used, found;
        bool absent; /* there is no such user; else, if not found, nobody can tell now */
        usec_t until;
} CacheEntry;

static CacheEntry cache[CACHE_SIZE];
static CacheEntry uncached; /* below a prefix */

static void user_clear(StateUser *u) {
        free(u->name);
        free(u->home);
        for (char **g = u->groups; g && *g; g++)
                free(*g);
        free(u->groups);
        *u = (StateUser){};
}

static int user_init(StateUser *u, const struct passwd *pw) {
        if (!pw->pw_name || strlen(pw->pw_name) > FIELD_MAX || !state_text_valid(pw->pw_name, false))
                return 0;
        u->name = strdup(pw->pw_name);
        u->home = strdup(pw->pw_dir ? pw->pw_dir : "");
        u->groups = calloc(NAMES_GROUPS_MAX + 1, sizeof(char *));
        return u->name && u->home && u->groups ? 1 : -ENOMEM;
}

static int add_group(StateUser *u, size_t *n, const char *name) {
        if (*n >= NAMES_GROUPS_MAX || strlen(name) > FIELD_MAX || !state_text_valid(name, false))
                return 0;
        u->groups[*n] = strdup(name);
        if (!u->groups[*n])
                return -ENOMEM;
        (*n)++;
        return 0;
}

/* ---- live: NSS ---- */

static int add_live_groups(StateUser *u, gid_t gid) {
        gid_t gids[NAMES_GROUPS_MAX];
        int n = NAMES_GROUPS_MAX;
        size_t k = 0;

        /* -1: there are more; n is then their number, and the first ones are in place. */
        (void)getgrouplist(u->name, gid, gids, &n);
        n = MIN_OF(n, NAMES_GROUPS_MAX);
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *buffer = NULL;
                struct group gr, *found = NULL;
                size_t size = 4096;
                int r;

                do {
                        free(buffer);
                        size *= 2;
                        buffer = malloc(size);
                        if (!buffer)
                                return -ENOMEM;
                        r = getgrgid_r(gids[i], &gr, buffer, size, &found);
                } while (r == ERANGE && size < NSS_BUFFER_MAX);
                if (r != 0 || !found)
                        continue;
                r = add_group(u, &k, gr.gr_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* 1: found; 0: there is none; -EAGAIN: who knows does not answer. */
static int read_live(uid_t uid, StateUser *u) {
        _cleanup_free_ char *buffer = NULL;
        struct passwd pw, *found = NULL;
        size_t size = 2048;
        int r;

        do {
                free(buffer);
                size *= 2;
                buffer = malloc(size);
                if (!buffer)
                        return -ENOMEM;
                r = getpwuid_r(uid, &pw, buffer, size, &found);
        } while (r == ERANGE && size < NSS_BUFFER_MAX);
        if (!found)
                return r == 0 || r == ENOENT || r == ESRCH ? 0 : -EAGAIN;
        r = user_init(u, &pw);
        if (r <= 0)
                return r;
        r = add_live_groups(u, pw.pw_gid);
        return r < 0 ? r : 1;
}

/* ---- below a prefix: its files ---- */

/* *ret is NULL where there is no such file. -EAGAIN: it cannot be read, nobody can tell now. */
static int open_below(const char *root, const char *path, FILE **ret) {
        _cleanup_free_ char *full = NULL;

        if (asprintf(&full, "%s%s", root, path) < 0) {
                full = NULL;
                return -ENOMEM;
        }
        *ret = fopen(full, "re");
        return *ret || errno == ENOENT || errno == ENOTDIR ? 0 : -EAGAIN;
}

static int add_file_groups(const char *root, StateUser *u, gid_t gid) {
        char buffer[16384];
        struct group gr, *found;
        size_t k = 0;
        FILE *f;
        int r;

        r = open_below(root, "/etc/group", &f);
        if (r < 0 || !f)
                return r;
        while (r >= 0 && fgetgrent_r(f, &gr, buffer, sizeof(buffer), &found) == 0) {
                bool member = gr.gr_gid == gid;

                for (char **m = gr.gr_mem; m && *m && !member; m++)
                        member = STR_EQ(*m, u->name);
                if (member)
                        r = add_group(u, &k, gr.gr_name);
        }
        (void)fclose(f);
        return r;
}

static int read_files(const char *root, uid_t uid, StateUser *u) {
        char buffer[16384];
        struct passwd pw, *found;
        FILE *f;
        int r;

        r = open_below(root, "/etc/passwd", &f);
        if (r < 0 || !f)
                return r;
        while (r == 0 && fgetpwent_r(f, &pw, buffer, sizeof(buffer), &found) == 0)
                if (pw.pw_uid == uid) {
                        r = user_init(u, &pw);
                        break;
                }
        (void)fclose(f);
        if (r <= 0)
                return r;
        r = add_file_groups(root, u, pw.pw_gid);
        return r < 0 ? r : 1;
}

/* ---- */

static CacheEntry *cache_find(uid_t uid, usec_t now) {
        for (size_t i = 0; i < CACHE_SIZE; i++)
                if (cache[i].used && cache[i].user.uid == uid && cache[i].until > now)
                        return &cache[i];
        return NULL;
}

bool state_user_cached(const char *root, uid_t uid) {
        return (root && *root) || cache_find(uid, clock_monotonic());
}

int state_user_get(const char *root, uid_t uid, const StateUser **ret) {
        bool prefixed = root && *root;
        usec_t now = clock_monotonic();
        CacheEntry *e;
        int r;

        e = prefixed ? NULL : cache_find(uid, now);
        if (!e) {
                StateUser u = {};

                r = prefixed ? read_files(root, uid, &u) : read_live(uid, &u);
                if (r < 0 && r != -EAGAIN) {
                        user_clear(&u);
                        return r;
                }
                if (prefixed)
                        e = &uncached;
                else {
                        e = &cache[0]; /* free, or the oldest */
                        for (size_t i = 1; i < CACHE_SIZE && e->used; i++)
                                if (!cache[i].used || cache[i].until < e->until)
                                        e = &cache[i];
                }
                user_clear(&e->user);
                u.uid = uid;
                *e = (CacheEntry){ .user = u,
                                   .used = true,
                                   .found = r > 0,
                                   .absent = r == 0,
                                   .until = now + (r < 0 ? RETRY_USEC : CACHE_USEC) };
        }
        *ret = e->found ? &e->user : NULL;
        return e->found ? 1 : e->absent ? 0 : -EAGAIN;
}
