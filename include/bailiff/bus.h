/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * org.bailiff.Guard1: what bailiffd serves on the system bus and bailiffctl
 * asks. Reading: root and group bailiff; changing: root (bus policy in
 * conf/dbus; the guard checks the caller's uid again and logs it).
 *
 * READING, each answers with a sealed memfd (h) holding one JSON document:
 *   GetStatus()                       "status" below
 *   ListTenants()                     {"tenants": [tenant…]}
 *   ListContainers()                  {"containers": [container…]}
 *   Show(s name)                      {"kind": "tenant"|"container"|"slice", …that object…, "events": [event…]}
 *                                      and a container's "book", a tenant's "books" (tenant-book); looked at anew for the answer
 *   ListEvents(t since_id, u max)     {"events": [event…], "next": id}     (ids grow; since_id 0: all that is kept)
 *   GetPolicy(s tenant)               {"tenants": [{"name","rule","plan", "values": [{"key","value","file","line"}…]}…],
 *                                      "host": {"values": […]}}            ("" : every tenant)
 *   DiffPolicy()                      {"ok": bool, "report": "FILE:LINE: …", "changes": [{"cgroup","container","tenant",
 *                                      "limit","device","from","from_text","to","to_text","danger": text|null}…]}
 *                                      what the policy on disk would change
 *   GetUsage(s by)                    {"time": t,"tenants": [tenant-book…],"containers": [container-book…]}    by: "tenant",
 *                                      "container" (the other list is left out), or "" for both
 *   GetHistory(t instance, t cursor, t since) → h   no JSON: the stream of include/bailiff/history.h
 * Where no fd can travel (-H user@host): OpenPaged(s method, s argument) → (t handle, t size);
 *   ReadPaged(t handle, t offset, u length) → ay (at most 64 KiB). The handle is the caller's own and lapses after 60 s. The argument is the
 *   name, "SINCE MAX", or the tenant; methods without argument take "". DiffPolicy and ReleaseCeilings (root only, as itself) too.
 *
 * CHANGING (root only):
 *   Reload() → s                      warnings, one a line; error PolicyRefused carries all diagnostics
 *   Pause(t usec)                     0: until Resume
 *   Resume()
 *   Hold(s name, t usec, s reason)    no repair, no throttle, no kill on NAME; 0 is refused
 *   Unhold(s name)
 *   Undo(t event_id) → s              gives back what that event set, and holds the target for 1 h; what was done as text
 *   ReleaseCeilings(s name) → h       {"released": [{"cgroup","container","limit","device","from_text","to_text"}…], "paused": bool}
 *                                      "" : everything, and the host is paused until Resume
 *
 * SIGNALS: ActionTaken(t id, s kind, s tenant, s container, s text), DriftFound(t id, s tenant, s cgroup, s limit, s cause),
 *   PolicyLoaded(b ok, s text).
 *
 * NAME: a tenant, container name, engine id or prefix (at least 4 characters), or cgroup path (begins with '/');
 * "tenant:NAME" / "container:NAME" decide where both exist.
 *
 * JSON (stable; unknown members may be added). Times are realtime µs; a limit's "value" is null for infinity.
 *  limit:     {"limit": "MemoryMax", "device": null|"254:0", "device_name": null|"vda", "desired": n|null, "desired_text": "512M",
 *              "actual": n|null, "actual_text", "want": n|null (absent: nobody else wanted anything), "want_text",
 *              "state": "ok"|"pending"|"squeezing"|"kernel-only"|"drifted"|"held"|"observed"|"unwritable"|"restoring",
 *              "origin": "policy"|"engine"|"share"|"strictest", "file": path|null, "line": n,
 *              "drifts": n, "repairs": n, "cause": null|"reload"|…, "error": null|text}
 *  usage:     {"memory_bytes","swap_bytes","tasks","cpu_usec","io_read_bytes","io_write_bytes"} (absent where not known)
 *  measured:  {"time": t of the last look,"tier": "hot"|"cold","tier_why","sample": {field: n…} (names of sample_info(); absent is not known),
 *              "working_set_bytes","peak_kind","rates": {"span_usec","cpu_permyriad" (10000 = one CPU),"throttled_permyriad",
 *              "cpu_some_permyriad","cpu_full_permyriad","memory_some_permyriad",…,"io_full_permyriad","irq_full_permyriad",
 *              "io_read_bytes","io_write_bytes","io_read_ops","io_write_ops" (a second),
 *              "devices": [{"device","device_name","io_read_bytes","io_write_bytes","io_read_ops","io_write_ops"}…]},
 *              "baselines": {"cpu": permyriad|null,"memory","io","days": n},"trigger": bool}
 *              (a list has of these: time, tier, tier_why, working_set_bytes, and rates without devices)
 *  book:      {field: n…} (names of book_info(): counters, peaks), "peak_memory_kind": "reset"|"raised"|"sampled"|"none"
 *  container-book: {"name","id","tenant","cgroup","cgroup_id","engine","since": t,"ended": null|t,"end": null|"read"|"unread"|…,"book": {}}
 *  tenant-book: {"name","since": t,"containers": running,"slices": n,"book": {} (total),"live": {},"ended": {},"unseen": {}}
 *  container: {"cgroup","cgroup_id","engine","id","name": null|s,"image": null|s,"labels": {},"labels_in_files": bool,
 *              "tenant","tenant_by": null|{"class","file","line"},"pending": bool,"contradiction": null|s,
 *              "unit": null|s,"kube": bool,"rootless": bool,"held_at": cgroup whose limits hold it (itself, or user-UID.slice),
 *              "protected": null|why,"mode","kill","priority","requested": [{"limit","device","value","value_text"}…],
 *              "health_check": null|s,"stop_signal": null|s,"source": null|s,"problem": null|s,"since": t,
 *              "hold": null|{"until","reason","uid"},"usage": {},"measured": {},"limits": [limit…],"notes": [text…]}
 *  tenant:    {"name","rule": "tenant"|"template"|"none","plan": null|s,"file": null|s,"line": n,"mode","kill","priority",
 *              "sum": "exact"|"apportioned"|"advisory"|"none","containers": n,"slices": [cgroup…],"usage": {},
 *              "measured": {"rates": {}} (CPU and io of all together; of waiting the worst),
 *              "limits": [{"limit","device","device_name","value","value_text","file","line","advisory": bool}…],
 *              "slice_limits": [{"cgroup","limits": [limit…],"hold","notes"}…],"notes": [text…]}
 *  event:     {"id","time","kind": "set"|"drift"|"repaired"|"fight"|"capped"|"hold"|"unhold"|"given-back"|"would"|"squeeze"|"refused"|
 *              "policy"|"pause"|"resume"|"found"|"gone"|"contradiction"|"undo"|"release"|"degraded"|"start","tenant","container","cgroup",
 *              "cgroup_id","limit","device","saw_text","desired_text","cause","text","uid","pid"}  (members absent where they say nothing)
 *  status:    {"version","pid","started","mode" (effective host bound),"mode_reason","paused": null|{"until": t|null,"by"},
 *              "policy": {"ok": bool,"last_good": bool,"loaded","files": [s…],"report": s,"warnings": [s…]},
 *              "host": {"kernel","memory_bytes","swap_bytes","cpus","controllers": [s…],"psi": bool,"systemd": bool,
 *              "measured": {"time","sample","rates"} (as of the last beat)},
 *              "missing": [sentence…],"rivals": [s…],
 *              "counts": {"containers","held","tenants","unassigned","drifted","holds","advisory","squeezing"},
 *              "drift": {"found","repaired","fights"},
 *              "tree": {"nodes","watches","overflows","rescans","watch_failures","fd_failures","refused"},
 *              "bus": {"connected": bool,"systemd": bool,"pending"},"journal": {"sent","queued","dropped","backlog_bytes"},
 *              "writer": {"pid","pending"},"names": {"pid","pending"},"ledger": {"records","damaged","error": null|s},
 *              "loop": {"iterations","longest_usec","rss_bytes","cpu_usec","kernel_bytes" (of its cgroup; absent: not known),"beats",
 *              "late_usec": {"last","p50","p99","max"} (how late beats came)},
 *              "sampling": {"hot","cold","slices","looks","files","kept_fds","kept_cgroups","evictions","fd_failures","peaks": "reset"|"raised"|"sampled",
 *              "psi": bool,"psi_error": null|text,"triggers": {"host","slices","containers","refused","lost","fired"},
 *              "history": {"bytes","chunks","subjects","first": t,"dropped"},"books": {"used","damaged","set_aside": bool,"writes","error": null|s}}}
 */

#define BUS_NAME "org.bailiff.Guard1"
#define BUS_PATH "/org/bailiff/Guard1"
#define BUS_INTERFACE "org.bailiff.Guard1"

#define BUS_ERROR_NO_SUCH_NAME "org.bailiff.Error.NoSuchName"
#define BUS_ERROR_AMBIGUOUS "org.bailiff.Error.Ambiguous"
#define BUS_ERROR_INVALID "org.bailiff.Error.InvalidArgument"
#define BUS_ERROR_POLICY_REFUSED "org.bailiff.Error.PolicyRefused"
#define BUS_ERROR_NOT_READY "org.bailiff.Error.NotReady"
/* not permitted: org.freedesktop.DBus.Error.AccessDenied */

#define BUS_NAME_ARG_MAX 4096 /* longer names are refused */
#define BUS_PAGE_MAX 65536
