/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The policy from disk.
 *
 * /etc may lie on the very disk that is being hogged, and a device path of the
 * policy on a dead network mount; so a child reads the files and resolves the devices, and sends
 * both through a socket; the loop only parses memory. At boot there is nothing to
 * stall yet and the same code runs in place.
 *
 * One load at a time. A reload goes before what only asks: it ends a diff that is
 * under way. One that comes while another reads waits for a load of its own, which
 * serves all that came meanwhile: the files may be others by now.
 *
 * A load that has an error changes nothing. At boot the last good copy serves
 * instead, loudly; without one the guard observes with an empty policy, which
 * holds nothing and so breaks nothing.
 */

#include <linux/capability.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "guard.h"
#include "host.h"

#define LOADER_DEADLINE (20 * USEC_PER_SEC)
#define LOADER_BYTES_MAX (256U * 1024 * 1024)

typedef struct Loader {
        Guard *guard;
        Child child;
        sd_event_source *source, *deadline;
        Buf data;
        ChildMain main;
        LoaderDone done;
        void *user;
} Loader;

LoadedPolicy *loaded_policy_free(LoadedPolicy *l) {
        if (!l)
                return NULL;
        policy_free(l->policy);
        policy_files_deinit(&l->files);
        for (size_t i = 0; i < l->n_devices; i++)
                free(l->devices[i].path);
        free(l->devices);
        free(l->report);
        free(l);
        return NULL;
}

/* ---- reading and resolving: may block, so in the child ---- */

static int add_device(LoadedPolicy *l, const char *path) {
        BlockDevice b = {};
        PolicyDevice *grown;
        char *copy;
        int r;

        for (size_t i = 0; i < l->n_devices; i++)
                if (STR_EQ(l->devices[i].path, path))
                        return 0;
        copy = strdup(path);
        grown = reallocarray(l->devices, l->n_devices + 1, sizeof(*grown));
        if (!copy || !grown) {
                free(copy);
                return -ENOMEM;
        }
        l->devices = grown;
        r = block_resolve("/proc", "/sys", path, &b);
        l->devices[l->n_devices] =
                (PolicyDevice){ .path = copy, .result = r, .dev = b.dev, .writeback = b.writeback };
        memcpy(l->devices[l->n_devices].name, b.name, sizeof(b.name));
        l->n_devices++;
        return 0;
}

static int add_section(LoadedPolicy *l, const PolicySection *s) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < s->n_limits; i++)
                if (s->limits[i].device)
                        r = add_device(l, s->limits[i].device);
        for (size_t i = 0; r >= 0 && i < s->n_container_limits; i++)
                if (s->container_limits[i].device)
                        r = add_device(l, s->container_limits[i].device);
        return r;
}

static int resolve(LoadedPolicy *l) {
        const Policy *p = l->policy;
        int r = add_section(l, &p->defaults);

        for (size_t i = 0; r >= 0 && i < p->n_plans; i++)
                r = add_section(l, &p->plans[i].section);
        for (size_t i = 0; r >= 0 && i < p->n_templates; i++)
                r = add_section(l, &p->templates[i].section);
        for (size_t i = 0; r >= 0 && i < p->n_tenants; i++)
                r = add_section(l, &p->tenants[i].section);
        for (size_t i = 0; r >= 0 && i < p->n_containers; i++)
                r = add_section(l, &p->containers[i].section);
        return r;
}

/* Parses l->files; the report says everything, files that could not be read included. */
static int parse(LoadedPolicy *l, Diags *diags) {
        _cleanup_buf_ Buf report = BUF_INIT;
        int r;

        r = policy_parse(l->files.texts, l->files.n, diags, &l->policy);
        if (r == -ENOMEM)
                return r;
        if (diags_failed(diags))
                l->policy = policy_free(l->policy);
        l->refused = !l->policy;
        r = diags_format(diags, &report);
        if (r < 0)
                return r;
        free(l->report);
        l->report = buf_steal(&report);
        return l->report ? 0 : -ENOMEM;
}

static int load_now(const char *const *dirs, LoadedPolicy **ret) {
        _cleanup_(cleanup_loaded_policy_free) LoadedPolicy *l = calloc(1, sizeof(*l));
        _cleanup_(diags_deinit) Diags diags = {};
        int r;

        if (!l)
                return -ENOMEM;
        r = policy_files_read(dirs, &l->files, &diags);
        if (r >= 0)
                r = parse(l, &diags);
        if (r >= 0 && l->policy)
                r = resolve(l);
        if (r < 0)
                return r;
        *ret = steal_ptr(l);
        return 0;
}

/* ---- what travels between child and loop ---- */

static void put_bytes(Buf *b, const void *p, size_t n) {
        uint64_t k = n;

        buf_append(b, &k, sizeof(k));
        buf_append(b, p, n);
}

static int encode(const LoadedPolicy *l, Buf *b) {
        uint64_t n = l->files.n;

        buf_putc(b, l->refused ? 'r' : 'a');
        put_bytes(b, l->report, strlen(l->report));
        buf_append(b, &n, sizeof(n));
        for (size_t i = 0; i < l->files.n; i++) {
                put_bytes(b, l->files.texts[i].file, strlen(l->files.texts[i].file));
                put_bytes(b, l->files.texts[i].text, l->files.texts[i].len);
        }
        n = l->n_devices;
        buf_append(b, &n, sizeof(n));
        for (size_t i = 0; i < l->n_devices; i++) {
                PolicyDevice d = l->devices[i];

                put_bytes(b, d.path, strlen(d.path));
                d.path = NULL;
                buf_append(b, &d, sizeof(d));
        }
        return buf_error(b);
}

typedef struct Reader {
        const char *p, *end;
} Reader;

static bool get(Reader *r, void *to, size_t n) {
        if ((size_t)(r->end - r->p) < n)
                return false;
        memcpy(to, r->p, n);
        r->p += n;
        return true;
}

static char *get_bytes(Reader *r, size_t *ret_len) {
        uint64_t n;
        char *s;

        if (!get(r, &n, sizeof(n)) || n > (uint64_t)(r->end - r->p))
                return NULL;
        s = malloc(n + 1);
        if (!s)
                return NULL;
        memcpy(s, r->p, n);
        s[n] = '\0';
        r->p += n;
        *ret_len = n;
        return s;
}

static int decode(const Buf *b, LoadedPolicy **ret) {
        _cleanup_(cleanup_loaded_policy_free) LoadedPolicy *l = calloc(1, sizeof(*l));
        _cleanup_(diags_deinit) Diags diags = {};
        _cleanup_free_ char *report = NULL;
        Reader r = { b->data, b->data + b->len };
        char refused;
        uint64_t n;
        size_t len;
        int k;

        if (!l || b->len == 0)
                return -EIO;
        if (!get(&r, &refused, 1))
                return -EIO;
        report = get_bytes(&r, &len);
        if (!report || !get(&r, &n, sizeof(n)) || n > POLICY_FILES_MAX)
                return -EIO;
        l->files.texts = calloc(n + 1, sizeof(*l->files.texts));
        if (!l->files.texts)
                return -ENOMEM;
        l->files.alloc = n + 1;
        for (uint64_t i = 0; i < n; i++) {
                PolicyText *t = &l->files.texts[l->files.n++];

                t->file = get_bytes(&r, &len);
                t->text = get_bytes(&r, &t->len);
                if (!t->file || !t->text)
                        return -EIO;
        }
        if (!get(&r, &n, sizeof(n)) || n > 100000)
                return -EIO;
        l->devices = calloc(n + 1, sizeof(*l->devices));
        if (!l->devices)
                return -ENOMEM;
        for (uint64_t i = 0; i < n; i++) {
                char *path = get_bytes(&r, &len);

                if (!path || !get(&r, &l->devices[i], sizeof(PolicyDevice))) {
                        free(path);
                        return -EIO;
                }
                l->devices[i].path = path;
                l->n_devices++;
        }
        k = parse(l, &diags);
        if (k < 0)
                return k;
        /* The child's report also has the files that it could not read. */
        free(l->report);
        l->report = steal_ptr(report);
        if (refused == 'r')
                l->policy = policy_free(l->policy);
        l->refused = !l->policy;
        *ret = steal_ptr(l);
        return 0;
}

/* ---- the child ---- */

#define CHUNK 32768

struct Loader *loader_free(Loader *l) {
        if (!l)
                return NULL;
        sd_event_source_disable_unref(l->source);
        sd_event_source_disable_unref(l->deadline);
        child_kill(&l->child, &l->guard->grave);
        buf_deinit(&l->data);
        free(l);
        return NULL;
}

static void begin_reload(Guard *g);

static void finish(Loader *l, int result) {
        Guard *g = l->guard;
        LoaderDone done = l->done;
        void *user = l->user;
        LoadedPolicy *loaded = NULL;

        if (result >= 0)
                result = decode(&l->data, &loaded);
        g->loader = loader_free(l);
        done(g, user, result, loaded);
        if (g->reloads)
                begin_reload(g);
}

static int on_data(sd_event_source *s, int fd, uint32_t revents, void *user) {
        Loader *l = user;
        char chunk[CHUNK];

        (void)s;
        (void)revents;
        for (;;) {
                ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);

                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n > 0)
                        buf_append(&l->data, chunk, (size_t)n);
                if (n <= 0 || l->data.len > LOADER_BYTES_MAX || buf_error(&l->data)) {
                        finish(l, n == 0 ? 0 : -EIO);
                        return 0;
                }
        }
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *user) {
        (void)s;
        (void)usec;
        finish(user, -ETIMEDOUT);
        return 0;
}

static int send_loaded(int fd, const LoadedPolicy *l) {
        _cleanup_buf_ Buf b = BUF_INIT;

        if (encode(l, &b) < 0)
                return 1;
        for (size_t at = 0; at < b.len;) {
                ssize_t n = send(fd, b.data + at, MIN_OF(b.len - at, (size_t)CHUNK), MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return 1;
                at += (size_t)n;
        }
        return 0;
}

static int read_main(int fd, void *user) {
        _cleanup_(cleanup_loaded_policy_free) LoadedPolicy *l = NULL;
        const Guard *g = user;

        return load_now(g->config.policy_dirs, &l) < 0 ? 1 : send_loaded(fd, l);
}

static int resolve_main(int fd, void *user) {
        const LoadedPolicy *of = user;
        LoadedPolicy l = { .report = (char *)"" };

        for (size_t i = 0; i < of->n_devices; i++)
                if (add_device(&l, of->devices[i].path) < 0)
                        return 1;
        return send_loaded(fd, &l);
}

static int start(Guard *g, ChildMain main, void *of, LoaderDone done, void *user) {
        static const ChildOptions options = { .name = "bailiff-policy",
                                              .keep_capabilities = 1ULL << CAP_DAC_READ_SEARCH };
        Loader *l;
        int r;

        if (g->loader && g->loader->main == resolve_main) /* nobody waits for that */
                finish(g->loader, -ECANCELED);
        if (g->loader || child_grave_reap(&g->grave) >= CHILD_GRAVE_MAX)
                return -EBUSY;
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        *l = (Loader){ .guard = g, .child = CHILD_INIT, .main = main, .done = done, .user = user };
        r = child_start(&l->child, &options, main, of);
        if (r >= 0)
                r = sd_event_add_io(g->event, &l->source, l->child.fd, EPOLLIN, on_data, l);
        if (r >= 0)
                r = sd_event_add_time_relative(g->event, &l->deadline, CLOCK_MONOTONIC, LOADER_DEADLINE, 0,
                                               on_deadline, l);
        if (r < 0) {
                (void)loader_free(l);
                return r;
        }
        g->loader = l;
        return 0;
}

int loader_start(Guard *g, LoaderDone done, void *user) { return start(g, read_main, g, done, user); }

int loader_resolve(Guard *g, LoaderDone done, void *user) {
        /* It goes by itself: never at the cost of who asks for a load. */
        if (child_grave_reap(&g->grave) > 0)
                return -EBUSY;
        return start(g, resolve_main, g->loaded, done, user);
}

/* ---- the copy for the next boot ---- */

static int save_main(int fd, void *user) {
        _cleanup_free_ char *dir = NULL;
        Guard *g = user;

        (void)fd;
        (void)mkdir(g->config.state_dir, 0755);
        if (asprintf(&dir, "%s/policy.last-good", g->config.state_dir) < 0)
                return 1;
        return policy_files_write(dir, &g->loaded->files) < 0 ? 1 : 0;
}

/* Nobody waits for the disk: the child has its own copy of the texts, and ends when it is done. */
static void save_last_good(Guard *g) {
        static const ChildOptions options = { .name = "bailiff-save",
                                              .keep_capabilities = 1ULL << CAP_DAC_OVERRIDE };

        child_kill(&g->saver, &g->grave);
        if (child_grave_reap(&g->grave) < CHILD_GRAVE_MAX)
                (void)child_start(&g->saver, &options, save_main, g);
}

/* ---- taking a load into force ---- */

/* What is to be said of a path that leads to no disk, or to several: its limit goes along, or nobody would know. */
static void say_device(Buf *b, const PolicyDevice *d) {
        if (d->result == BLOCK_NONE)
                buf_printf(b, "%s is on no block device: the limit cannot bite", d->path);
        else if (d->result == BLOCK_MANY)
                buf_printf(b, "%s lies on several disks: %s as a whole is limited", d->path,
                           d->dev ? d->name : "none of them");
        else if (d->result == BLOCK_GONE)
                buf_printf(b, "%s does not exist: the limit is left out", d->path);
        else
                buf_printf(b, "%s cannot be resolved to a disk: %s", d->path, strerror(-d->result));
}

/* section: as in its header, without brackets. */
static void warn_of_device(const LoadedPolicy *l, const char *section, const LimitExpr *e, Diags *diags) {
        const char *file = e->ref.file < l->policy->n_files ? l->policy->files[e->ref.file] : NULL;

        for (size_t i = 0; e->device && i < l->n_devices; i++) {
                _cleanup_buf_ Buf why = BUF_INIT;

                if (!STR_EQ(l->devices[i].path, e->device) || l->devices[i].result == 0)
                        continue;
                say_device(&why, &l->devices[i]);
                diags_add(diags, DIAG_WARNING, file, e->ref.line, "[%s] %s%s: %s", section,
                          e->container ? "Container" : "", limit_info(e->limit)->key, buf_str(&why));
        }
}

static void warn_of_devices(const LoadedPolicy *l, const char *type, const char *name, const PolicySection *s,
                            Diags *diags) {
        _cleanup_buf_ Buf section = BUF_INIT;

        buf_printf(&section, "%s%s%s", type, name ? " " : "", name ? name : "");
        for (size_t i = 0; i < s->n_limits; i++)
                warn_of_device(l, buf_str(&section), &s->limits[i], diags);
        for (size_t i = 0; i < s->n_container_limits; i++)
                warn_of_device(l, buf_str(&section), &s->container_limits[i], diags);
}

static void warn_of_all_devices(const LoadedPolicy *l, Diags *diags) {
        const Policy *p = l->policy;

        warn_of_devices(l, "Defaults", NULL, &p->defaults, diags);
        for (size_t i = 0; i < p->n_plans; i++)
                warn_of_devices(l, "Plan", p->plans[i].name, &p->plans[i].section, diags);
        for (size_t i = 0; i < p->n_templates; i++)
                warn_of_devices(l, "Template", p->templates[i].name, &p->templates[i].section, diags);
        for (size_t i = 0; i < p->n_tenants; i++)
                warn_of_devices(l, "Tenant", p->tenants[i].name, &p->tenants[i].section, diags);
        for (size_t i = 0; i < p->n_containers; i++) {
                _cleanup_buf_ Buf name = BUF_INIT;

                buf_printf(&name, "%s/%s", p->containers[i].tenant, p->containers[i].name);
                warn_of_devices(l, "Container", buf_str(&name), &p->containers[i].section, diags);
        }
}

static char *warnings_of(Guard *g, const char *report) {
        _cleanup_(diags_deinit) Diags diags = {};
        _cleanup_buf_ Buf b = BUF_INIT;
        CeilingEnv env = { .host = &g->host, .device = world_device, .user = g };

        buf_puts(&b, report);
        ceiling_check_host(g->loaded->policy, &env, &diags);
        warn_of_all_devices(g->loaded, &diags);
        (void)diags_format(&diags, &b);
        return buf_steal(&b);
}

static void take(Guard *g, LoadedPolicy *l) {
        LoadedPolicy *old = g->loaded;

        g->loaded = l;
        g->policy_ok = true;
        g->last_good = false;
        g->policy_loaded_realtime = clock_realtime();
        free(g->policy_report);
        g->policy_report = warnings_of(g, l->report);
        if (g->tree)
                world_policy_changed(g);
        /* Only now: until then tenants pointed into it. */
        loaded_policy_free(old);
        save_last_good(g);
        announce(g, ANNOUNCE_POLICY_LOADED, NULL, NULL, NULL,
                 "policy loaded: %zu files, %zu tenants, %zu templates, %zu plans%s%s", l->files.n,
                 l->policy->n_tenants, l->policy->n_templates, l->policy->n_plans,
                 g->policy_report && *g->policy_report ? "; warnings:\n" : "",
                 g->policy_report ? g->policy_report : "");
        bus_signal_policy(g, true, g->policy_report ? g->policy_report : "");
}

void loader_take_devices(Guard *g, LoadedPolicy *from) {
        LoadedPolicy *l = g->loaded;
        PolicyDevice *devices = l->devices;
        size_t n = l->n_devices;

        l->devices = from->devices;
        l->n_devices = from->n_devices;
        from->devices = devices;
        from->n_devices = n;
        if (g->policy_ok) {
                free(g->policy_report);
                g->policy_report = warnings_of(g, l->report);
        }
        world_policy_changed(g);
}

static void refuse(Guard *g, const char *report, const char *serves) {
        g->policy_ok = false;
        free(g->policy_report);
        g->policy_report = strdup(report);
        announce(g, ANNOUNCE_POLICY_REFUSED, NULL, NULL, NULL, "policy refused, %s:\n%s", serves, report);
        bus_signal_policy(g, false, report);
}

typedef struct Reload { /* who waits for one */
        struct Reload *next;
        void (*done)(Guard *g, void *user, int result, const char *report);
        void *user;
} Reload;

static void answer_all(Guard *g, Reload *waiting, int result, const char *report) {
        Reload *next;

        for (; waiting; waiting = next) {
                next = waiting->next;
                waiting->done(g, waiting->user, result, report);
                free(waiting);
        }
}

static void reloaded(Guard *g, void *user, int result, LoadedPolicy *loaded) {
        if (result < 0 || loaded->refused) {
                const char *why = result == -ETIMEDOUT ? "reading the policy took longer than 20 s"
                                  : result < 0         ? strerror(-result)
                                                       : loaded->report;

                refuse(g, why, "the policy in force stays");
                loaded_policy_free(loaded);
                result = result < 0 ? result : -EINVAL;
        } else
                take(g, loaded);
        answer_all(g, user, result, g->policy_report);
        guard_update_status(g);
}

static void begin_reload(Guard *g) {
        Reload *waiting = steal_ptr(g->reloads);
        const char *why;
        int r = loader_start(g, reloaded, waiting);

        if (r >= 0)
                return;
        why = r == -EBUSY ? "too many earlier readers of it hang; try again" : strerror(-r);
        /* SIGHUP has nobody who would hear it. */
        announce(g, ANNOUNCE_DEGRADED, NULL, NULL, NULL, "the policy could not be read anew: %s", why);
        answer_all(g, waiting, r, why);
}

void loader_reload(Guard *g, void (*done)(Guard *g, void *user, int result, const char *report), void *user,
                   const Caller *c) {
        Reload *r = calloc(1, sizeof(*r));

        (void)c;
        if (!r) {
                done(g, user, -ENOMEM, strerror(ENOMEM));
                return;
        }
        *r = (Reload){ steal_ptr(g->reloads), done, user };
        g->reloads = r;
        if (!g->loader)
                begin_reload(g);
        else if (g->loader->done != reloaded)
                finish(g->loader, -ECANCELED);
}

int loader_boot(Guard *g) {
        _cleanup_(cleanup_loaded_policy_free) LoadedPolicy *l = NULL, *good = NULL;
        _cleanup_free_ char *dir = NULL;
        int r;

        r = load_now(g->config.policy_dirs, &l);
        if (r < 0)
                return r;
        if (!l->refused) {
                take(g, steal_ptr(l));
                return 0;
        }
        if (asprintf(&dir, "%s/policy.last-good", g->config.state_dir) < 0) {
                dir = NULL;
                return -ENOMEM;
        }
        r = load_now((const char *[]){ dir, NULL }, &good);
        if (r >= 0 && !good->refused && good->files.n > 0) {
                g->loaded = steal_ptr(good);
                g->last_good = true;
                g->policy_loaded_realtime = clock_realtime();
                refuse(g, l->report, "the last one that loaded serves");
                return 0;
        }
        loaded_policy_free(good);
        good = calloc(1, sizeof(*good));
        if (!good)
                return -ENOMEM;
        r = parse(good, &(Diags){});
        if (r < 0)
                return r;
        g->loaded = steal_ptr(good);
        refuse(g, l->report, "and there is no earlier one: nothing is held until it is corrected");
        return 0;
}
