/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a cgroup path says about itself.
 *
 * Engines and runtimes name the cgroups of their containers by habits that are
 * as good as interfaces, since kubelet, cAdvisor and others depend on them. A
 * path is read in one walk over its components, which collects what ancestors
 * say (a pod tree, a user's slice, a user manager), and then its last
 * component is held against the known names.
 *
 * Whom to believe: below a delegation (user@UID.service, or any service or
 * scope with Delegate=) everybody can make directories with any name. What
 * takes a cgroup out of our hands or gives it to somebody else, that is
 * "kubepods" and "user-UID.slice", therefore only counts where every component
 * above it is a slice: slices of the system manager are never delegated. A
 * name that makes a container can be forged freely; who forges one only gets
 * held. Helpers and machines are believed anywhere, because a virtual machine
 * is never to be touched and rootless engines have helpers too: who forges
 * those still stands under the sum of the slice he lives in.
 */

#include "cgpath.h"
#include "num.h"

#define COMPONENT_MAX 255 /* NAME_MAX of cgroupfs, and systemd's UNIT_NAME_MAX */

#define HEX "0123456789abcdef"
#define ALNUM "0123456789abcdefghijklmnopqrstuvwxyz"
#define ID_MIN 12 /* engines' short ids */
#define ID_MAX 64

typedef struct Component {
        const char *p;
        size_t len;
} Component;

static const char *const engine_names[_ENGINE_MAX] = {
        [ENGINE_NONE] = "none",     [ENGINE_DOCKER] = "docker",
        [ENGINE_PODMAN] = "podman", [ENGINE_CONTAINERD] = "containerd",
        [ENGINE_CRIO] = "crio",     [ENGINE_NSPAWN] = "nspawn",
        [ENGINE_LXC] = "lxc",       [ENGINE_BUILDKIT] = "buildkit",
        [ENGINE_UNIT] = "unit",
};

const char *engine_to_string(Engine e) { return e >= 0 && e < _ENGINE_MAX ? engine_names[e] : NULL; }

Engine engine_from_string(const char *s) {
        for (Engine e = 0; e < _ENGINE_MAX; e++)
                if (STR_EQ(engine_names[e], s))
                        return e;
        return _ENGINE_INVALID;
}

static bool is(Component c, const char *s) { return strlen(s) == c.len && memcmp(c.p, s, c.len) == 0; }

/* c is prefix, something, suffix: that something. */
static bool between(Component c, const char *prefix, const char *suffix, Component *ret) {
        size_t n = strlen(prefix), m = strlen(suffix);

        if (c.len <= n + m || memcmp(c.p, prefix, n) != 0 || memcmp(c.p + c.len - m, suffix, m) != 0)
                return false;
        *ret = (Component){ c.p + n, c.len - n - m };
        return true;
}

static bool starts(Component c, const char *prefix) {
        size_t n = strlen(prefix);

        return c.len >= n && memcmp(c.p, prefix, n) == 0;
}

static bool ends(Component c, const char *suffix) {
        size_t n = strlen(suffix);

        return c.len >= n && memcmp(c.p + c.len - n, suffix, n) == 0;
}

static bool made_of(Component c, const char *chars, size_t min, size_t max) {
        if (c.len < min || c.len > max)
                return false;
        for (size_t i = 0; i < c.len; i++)
                if (!c.p[i] || !strchr(chars, c.p[i]))
                        return false;
        return true;
}

/* As systemd writes a uid: decimal, no leading zero, not one of the two invalid ones. */
static bool parse_uid(Component c, uid_t *ret) {
        const char *p = c.p, *end = c.p + c.len;
        uint64_t v;

        if (num_scan_u64(&p, end, &v) < 0 || p != end || (c.len > 1 && c.p[0] == '0'))
                return false;
        if (v >= UINT32_MAX || v == UINT16_MAX)
                return false;
        *ret = (uid_t)v;
        return true;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* One byte of an escaped name at *p (before end), moving *p. -EINVAL; a NUL byte is none. */
static int next_byte(const char **p, const char *end) {
        const char *s = *p;
        int hi, lo;

        if (*s != '\\') {
                *p = s + 1;
                return (unsigned char)*s ?: -EINVAL;
        }
        if (end - s < 4 || s[1] != 'x')
                return -EINVAL;
        hi = hex_digit(s[2]);
        lo = hex_digit(s[3]);
        if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return -EINVAL;
        *p = s + 4;
        return hi << 4 | lo;
}

int cgpath_unescape(const char *s, size_t len, char *ret, size_t size) {
        const char *end = s + len;
        size_t need = 1;
        int c;

        /* Once to see that it is well-formed and fits: ret stays as it was if not. */
        for (const char *p = s; p < end; need++) {
                c = next_byte(&p, end);
                if (c < 0)
                        return c;
        }
        if (need > size)
                return -ENAMETOOLONG;
        for (const char *p = s; p < end;)
                *ret++ = (char)next_byte(&p, end);
        *ret = '\0';
        return 0;
}

/*
 * systemd puts '_' before a name that could be a kernel file's: one that
 * begins with '_', '.' or "cgroup.", and CONTROLLER.suffix.
 */
static bool needs_underscore(Component c) {
        static const char *const controllers[] = {
                "cpu",
                "cpuacct",
                "cpuset",
                "io",
                "blkio",
                "memory",
                "devices",
                "pids",
                "bpf-firewall",
                "bpf-devices",
                "bpf-foreign",
                "bpf-socket-bind",
                "bpf-restrict-network-interfaces",
        };
        Component stem;

        if (c.p[0] == '_' || c.p[0] == '.' || starts(c, "cgroup."))
                return true;
        if (!between(c, "", ".slice", &stem))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
                if (is(stem, controllers[i]))
                        return true;
        return false;
}

/* A unit name that is no template and no instance, and whose dashes part words. */
static bool slice_is_valid(Component slice, Component *ret_stem) {
        static const char more[] = ":_.\\-";

        if (slice.len > COMPONENT_MAX || !between(slice, "", ".slice", ret_stem))
                return false;
        for (size_t i = 0; i < ret_stem->len; i++) {
                char c = ret_stem->p[i];

                if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
                    !strchr(more, c))
                        return false;
                if (c == '-' && (i == 0 || i + 1 == ret_stem->len || ret_stem->p[i + 1] == '-'))
                        return false;
        }
        return true;
}

int cgpath_of_slice(const char *slice, char *ret, size_t size) {
        static const char suffix[] = ".slice";
        Component c = { slice, strlen(slice) }, stem;
        size_t len = 0;

        if (STR_EQ(slice, "-.slice")) {
                if (size < 2)
                        return -ENAMETOOLONG;
                memcpy(ret, "/", 2);
                return 0;
        }
        if (!slice_is_valid(c, &stem))
                return -EINVAL;
        /* "a-b.slice" lies in "a.slice": one component per dash and one for the whole.
         * The first round measures, the second writes. */
        for (int writing = 0; writing < 2; writing++) {
                len = 0;
                for (size_t i = 1; i <= stem.len; i++) {
                        char name[COMPONENT_MAX + 1];
                        Component part = { name, i + sizeof(suffix) - 1 };

                        if (i < stem.len && stem.p[i] != '-')
                                continue;
                        memcpy(name, stem.p, i);
                        memcpy(name + i, suffix, sizeof(suffix));
                        if (writing)
                                ret[len] = '/';
                        len++;
                        if (needs_underscore(part)) {
                                if (writing)
                                        ret[len] = '_';
                                len++;
                        }
                        if (writing)
                                memcpy(ret + len, name, part.len);
                        len += part.len;
                }
                if (len >= size)
                        return -ENAMETOOLONG;
        }
        ret[len] = '\0';
        return 0;
}

const char *cgpath_basename(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

bool cgpath_below(const char *path, const char *ancestor) {
        size_t n = strlen(ancestor);

        while (n > 0 && ancestor[n - 1] == '/') /* "/" is above all */
                n--;
        return strncmp(path, ancestor, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool cgpath_next(const char *path, const char **component, size_t *ret_len) {
        const char *p = *component ? *component + strcspn(*component, "/") : path;
        size_t len;

        p += strspn(p, "/");
        len = strcspn(p, "/");
        if (len == 0)
                return false;
        *component = p;
        *ret_len = len;
        return true;
}

/* ---- classification ---- */

/* The last component and what stands above it. */
typedef struct Place {
        Component last, parent; /* parent.len is 0 at the root */
        size_t depth; /* components, the last one included */
} Place;

static void set_container(CgName *name, Engine engine, Component id) {
        name->kind = CG_CONTAINER;
        name->engine = engine;
        memcpy(name->id, id.p, id.len); /* a part of a component: fits */
        name->id[id.len] = '\0';
}

/*
 * A machine name in plain, as machined and libvirt escape it. What is not
 * well-formed, or would be anything but one printable word, stays as it is.
 */
static Component machine_name(Component escaped, char buf[static COMPONENT_MAX + 1]) {
        if (cgpath_unescape(escaped.p, escaped.len, buf, COMPONENT_MAX + 1) < 0)
                return escaped;
        for (const char *p = buf; *p; p++)
                if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/')
                        return escaped;
        return (Component){ buf, strlen(buf) };
}

/* Engines' own processes. */
static bool classify_helper(const Place *at) {
        Component rest;

        if (between(at->last, "libpod-conmon-", ".scope", &rest) ||
            between(at->last, "crio-conmon-", ".scope", &rest))
                return true;
        if (is(at->parent, "libpod_parent") && is(at->last, "conmon"))
                return true; /* podman's cgroupfs driver */
        return is(at->last, "lxc.monitor") || starts(at->last, "lxc.monitor.") ||
               is(at->parent, "lxc.monitor") || is(at->last, "lxc.pivot");
}

/* Names that carry an id of a set form. */
static bool classify_id(const Place *at, CgName *name) {
        static const struct {
                const char *prefix, *suffix;
                const char *chars;
                Engine engine;
        } forms[] = {
                { "docker-", ".scope", ALNUM, ENGINE_DOCKER }, /* base 36: its builds */
                { "libpod-payload-", "", HEX, ENGINE_PODMAN },
                { "libpod-", ".scope", HEX, ENGINE_PODMAN },
                { "libpod-", "", HEX, ENGINE_PODMAN },
                { "cri-containerd-", ".scope", HEX, ENGINE_CONTAINERD },
                { "nerdctl-", ".scope", HEX, ENGINE_CONTAINERD },
                { "crio-", ".scope", HEX, ENGINE_CRIO },
                { "crio-", "", HEX, ENGINE_CRIO },
        };
        Component id;

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
                if (between(at->last, forms[i].prefix, forms[i].suffix, &id) &&
                    made_of(id, forms[i].chars, ID_MIN, ID_MAX)) {
                        set_container(name, forms[i].engine, id);
                        return true;
                }
        if (is(at->parent, "buildkit") && made_of(at->last, ALNUM, ID_MIN, ID_MAX)) {
                set_container(name, ENGINE_BUILDKIT, at->last);
                return true;
        }
        if (made_of(at->last, HEX, ID_MAX, ID_MAX)) {
                set_container(name, name->kube ? ENGINE_CONTAINERD : ENGINE_DOCKER, at->last);
                return true;
        }
        return false;
}

/* Machines: containers of systemd-nspawn, and what else registers or looks like one. */
static bool classify_machine(const Place *at, CgName *name) {
        char buf[COMPONENT_MAX + 1];
        Component id;

        if (between(at->last, "systemd-nspawn@", ".service", &id)) {
                set_container(name, ENGINE_NSPAWN, machine_name(id, buf));
                return true;
        }
        if (between(at->last, "machine-", ".scope", &id)) {
                id = machine_name(id, buf);
                /* libvirt: DRIVER-NUMBER-NAME */
                if (starts(id, "qemu") || starts(id, "firecracker") || starts(id, "ch-") || starts(id, "vz"))
                        name->kind = CG_MACHINE_VM;
                else
                        set_container(name, starts(id, "lxc-") ? ENGINE_LXC : ENGINE_NSPAWN, id);
                return true;
        }
        /* libvirt without machined; Proxmox */
        if (between(at->last, "", ".libvirt-qemu", &id) || between(at->last, "", ".libvirt-ch", &id) ||
            (is(at->parent, "qemu.slice") && ends(at->last, ".scope"))) {
                name->kind = CG_MACHINE_VM;
                return true;
        }
        if (between(at->last, "", ".libvirt-lxc", &id)) {
                set_container(name, ENGINE_LXC, id);
                return true;
        }
        return false;
}

static bool classify_lxc(const Place *at, CgName *name) {
        Component id;

        if (between(at->last, "lxc.payload.", "", &id)) {
                set_container(name, ENGINE_LXC, id);
                return true;
        }
        if (is(at->parent, "lxc.payload") || (is(at->parent, "lxc") && at->depth == 2)) {
                set_container(name, ENGINE_LXC, at->last);
                return true;
        }
        return false;
}

/* Takes one more component into account; slices: all above it are slices. */
static void note(Component c, bool slices, CgName *name) {
        Component uid;

        if (!slices)
                return;
        if (is(c, "kubepods") || is(c, "kubepods.slice") || ends(c, "-kubepods.slice"))
                name->kube = true;
        if (between(c, "user-", ".slice", &uid))
                (void)parse_uid(uid, &name->uid);
}

int cgpath_classify(const char *path, CgName *ret) {
        CgName name = { .kind = CG_INTERIOR, .engine = ENGINE_NONE, .uid = (uid_t)-1 };
        Place at = {};
        bool slices = true;

        if (path[0] != '/')
                return -EINVAL;
        /* Not with cgpath_next(), which forgives doubled and trailing slashes. */
        for (const char *p = path; *p && path[1]; p += at.last.len) {
                Component c, uid;

                p++;
                c = (Component){ p, strcspn(p, "/") };
                if (c.len == 0 || is(c, ".") || is(c, ".."))
                        return -EINVAL;
                if (c.len > COMPONENT_MAX)
                        return -ENAMETOOLONG;
                /* What was last is now known to be above. */
                if (between(at.last, "user@", ".service", &uid) && made_of(uid, "0123456789", 1, 10))
                        name.rootless = true;
                slices = slices && (at.depth == 0 || ends(at.last, ".slice"));
                note(c, slices, &name);
                at.parent = at.last;
                at.last = c;
                at.depth++;
        }
        if (at.depth > 0) {
                if (classify_helper(&at))
                        name.kind = CG_HELPER;
                else if (!classify_id(&at, &name) && !classify_machine(&at, &name))
                        (void)classify_lxc(&at, &name);
        }
        *ret = name;
        return 0;
}
