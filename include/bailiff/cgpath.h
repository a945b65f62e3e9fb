/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a cgroup path says about itself (layer: model). Paths are as in
 * /proc/PID/cgroup: absolute below the cgroup2 mount, "/tenant.slice/x.scope".
 */

#include <stdint.h>
#include <sys/types.h>

#include "macro.h"

typedef enum Engine {
        ENGINE_NONE, /* no container */
        ENGINE_DOCKER, /* docker-<id>.scope, …/<64 hex> under the cgroupfs driver */
        ENGINE_PODMAN, /* libpod-<id>.scope, libpod-payload-<id>, libpod-<id> (cgroupfs) */
        ENGINE_CONTAINERD, /* cri-containerd-<id>.scope, nerdctl-<id>.scope, or 64 hex below kubepods */
        ENGINE_CRIO, /* crio-<id>.scope, crio-<id> (cgroupfs) */
        ENGINE_NSPAWN, /* systemd-nspawn@<name>.service, and machine-<name>.scope unless a VM's */
        ENGINE_LXC, /* lxc.payload.<name>, lxc.payload/<name>, /lxc/<name>, libvirt's machine-lxc-… */
        ENGINE_BUILDKIT, /* …/buildkit/<id>: an image build */
        ENGINE_UNIT, /* a plain service or scope that policy names: set by the caller, never by cgpath_classify() */
        _ENGINE_MAX,
        _ENGINE_INVALID = -EINVAL,
} Engine;

const char *engine_to_string(Engine e); /* "docker", … ; NONE is "none" */
Engine engine_from_string(const char *s);

typedef enum CgKind {
        CG_INTERIOR, /* go on below it */
        CG_CONTAINER, /* a container: the unit; what nests inside is detail */
        CG_MACHINE_VM, /* machine-qemu* and its cousins (ch, vz, firecracker, Proxmox): never touched, not entered */
        CG_HELPER, /* an engine's own process (libpod-conmon-…, crio-conmon-…, lxc.monitor.…): not entered, never a container */
} CgKind;

typedef struct CgName {
        CgKind kind;
        Engine engine;
        bool kube; /* kubepods or below: kubelet owns it, reported and never reconciled */
        bool rootless; /* below a user manager, user@UID.service */
        uid_t uid; /* of the user-UID.slice that this is or that is above; (uid_t)-1: none */
        /* kube and uid believe only what has nothing but slices above it: below a
         * delegation anybody can make a directory of such a name. */
        /* id (container id, or decoded machine name), a part of the path's last component; "" when kind is not CG_CONTAINER */
        char id[256];
} CgName;

/*
 * Classifies by the last component and its ancestors; does not look whether an
 * ancestor is a container itself (whoever walks the tree stops there).
 * 0, or -EINVAL for a path that is not absolute and normal (no empty, "." or
 * ".." component, no trailing slash), -ENAMETOOLONG for a component beyond 255.
 */
int cgpath_classify(const char *path, CgName *ret);

/* Decodes the \xHH of systemd unit names; ret is size bytes. '-' stays (as %i, not
 * %I: machine names have no '/'). -EINVAL (also for \x00), -ENAMETOOLONG. */
int cgpath_unescape(const char *s, size_t len, char *ret, size_t size);
/* "/tenant.slice/tenant-a.slice" for "tenant-a.slice" (systemd.slice(5)), with the '_'
 * that systemd puts before "memory.slice" and the like; -EINVAL, -ENAMETOOLONG. */
int cgpath_of_slice(const char *slice, char *ret, size_t size);
/* Last component; borrowed. "/" gives "". */
const char *cgpath_basename(const char *path);
/* path is below or equal to ancestor. */
bool cgpath_below(const char *path, const char *ancestor);
/* Walks components, taking doubled slashes as one:
 * for (const char *c = NULL; cgpath_next(path, &c, &len);) */
bool cgpath_next(const char *path, const char **component, size_t *ret_len);
