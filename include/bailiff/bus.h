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
 *                                      and a container's "book", "main_pid", "main_program", "main_execs", "main_execs_left_out" (absent: not known), "forks_per_sec" (absent: not known) and "forks" (as far as they were counted), a tenant's "books" (tenant-book); looked at anew for the answer
 *   GetProcesses(s name)              "processes" below, of one container: those that use most CPU; takes half a second
 *   GetLinks(s name)                  "links" below, of one container
 *   ListEvents(t since_id, u max)     {"events": [event…], "next": id}     (ids grow; since_id 0: all that is kept)
 *   GetPolicy(s tenant)               {"tenants": [{"name","rule","plan", "values": [{"key","value","file","line"}…]}…],
 *                                      "host": {"values": […]}}            ("" : every tenant)
 *   DiffPolicy()                      {"ok": bool, "report": "FILE:LINE: …", "changes": [{"cgroup","container","tenant",
 *                                      "limit","device","from","from_text","to","to_text","mode","danger": text|null}…]}
 *                                      what the policy on disk would change, as compared with what is in force; with a mode below
 *                                      ceilings it would not be written. cgroup null: a tenant's sum that no slice carries
 *   GetUsage(s by)                    {"time": t,"tenants": [tenant-book…],"containers": [container-book…]}    by: "tenant",
 *                                      "container" (the other list is left out), or "" for both
 *   Why(s what, s for_tenant)         "why" below. what: a NAME, or the number of an event or "#N" of an incident, or "" for all that is open.
 *                                      for_tenant (or ""): parties of other tenants are told as {"name": null,"tenant": null}, and events and
 *                                      incidents that neither name it as culprit nor as victim are left out
 *   ListIncidents(u max)              {"incidents": [incident…]}, the newest first
 *   ObserveReport()                   {"since": t,"tenants": [{"name","mode","would": {"throttle": n,"freeze": n,"stop": n,"kill": n},
 *                                      "containers": [{"name","cgroup","would": {…},"worst": event}…]}…]}: what would have been done
 *   GetHistory(t instance, t cursor, t since) → h   no JSON: the stream of include/bailiff/history.h
 * Where no fd can travel (-H user@host): OpenPaged(s method, s argument) → (t handle, t size);
 *   ReadPaged(t handle, t offset, u length) → ay (at most 64 KiB). The handle is the caller's own and lapses after 60 s. The argument is the
 *   name, "SINCE MAX", or the tenant; of Why "WHAT\n" (a newline) "FOR_TENANT", of ListIncidents "MAX"; methods without argument take "". DiffPolicy and ReleaseCeilings (root only, as itself) too.
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
 *   Throttle(s name, s values, t usec) → s   values: "cpu=50% memory=512M pids=100 io=10M" (io: bytes a second each way on every disk that it uses),
 *                                      for so long (0 is refused): leases like the judge's; what was done as text
 *   Release(s name) → s               every lease and freeze on NAME (of a tenant: on all its containers) is given back, the judge's too
 *   Freeze(s name, t usec) → s        at most 600 s; Thaw(s name) → s
 *   Kill(s name, b tenant) → s        cgroup.kill of one container; of all a tenant has with tenant true
 *
 * SIGNALS: ActionTaken(t id, s kind, s tenant, s container, s text), DriftFound(t id, s tenant, s cgroup, s limit, s cause),
 *   PolicyLoaded(b ok, s text), IncidentOpened(t id, s tenant, s container, s resource, s text), IncidentClosed(t id, s tenant, s container, s text).
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
 *  usage:     {"memory_bytes","swap_bytes","tasks","cpu_usec","io_read_bytes","io_write_bytes","network_receive_bytes",
 *              "network_transmit_bytes"} (absent where not known)
 *  measured:  {"time": t of the last look,"tier": "hot"|"cold","tier_why","sample": {field: n…} (names of sample_info(); absent is not known),
 *              "working_set_bytes","peak_kind","rates": {"span_usec","cpu_permyriad" (10000 = one CPU),"throttled_permyriad",
 *              "cpu_some_permyriad","cpu_full_permyriad","memory_some_permyriad",…,"io_full_permyriad","irq_full_permyriad",
 *              "io_read_bytes","io_write_bytes","io_read_ops","io_write_ops","network_receive_bytes","network_receive_packets",
 *              "network_receive_errors","network_receive_packets_dropped","network_transmit_bytes",… (a second),
 *              "devices": [{"device","device_name","io_read_bytes","io_write_bytes","io_read_ops","io_write_ops"}…]},
 *              "baselines": {"cpu": permyriad|null,"memory","io","days": n},"trigger": bool,"network": network}
 *              (a list has of these: time, tier, tier_why, working_set_bytes, network, and rates without devices)
 *  network:   null (nobody has looked, or it is no container)|{"state": "own"|"host" (it uses the host's: nothing is counted for it)|"shared" (it is in
 *              another container's, and counted there)|"unknown" (no process of it can be asked),"counted_at": null|cgroup,"counted_at_name"}
 *  book:      {field: n…} (names of book_info(): counters, peaks), "peak_memory_kind": "reset"|"raised"|"sampled"|"none". A container's has no
 *              "network_…" where nothing is counted for it
 *  container-book: {"name","id","tenant","cgroup","cgroup_id","engine","since": t,"ended": null|t,"end": null|"read"|"unread"|…,"book": {},
 *              "network": network (of one that runs)}
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
 *              "policy"|"pause"|"resume"|"found"|"gone"|"contradiction"|"undo"|"release"|"degraded"|"start"|"exit" (of a main process; cause: ending_cause_to_string())|"exec" (likewise)|"lookup-failed"|"lookup-answered"|
 *              "notify"|"throttle"|"relax"|"unthrottle"|"freeze"|"thaw"|"stop"|"kill"|"alarm"|"thrash"|"storm" (these of the judge, or an operator's
 *              act of the same kind; with "judged" where the judge did it),"incident": n,"judged": judged,"tenant","container","cgroup",
 *              "cgroup_id","limit","device","saw_text","desired_text","cause","program" (of an exit, exec: what it ran, runs; printable),"left_out": n (of an exec: executions before it
 *              that were not told),"text","uid","pid"}  (members absent where they say nothing)
 *  judged:    {"act": act_kind_to_string(),"why": act_why_to_string(),"why_text","would": bool,"error": null|why it could not be done,"resource","lever",
 *              "culprit": null|{"name","tenant","cgroup","kind"},
 *              "values": [{"limit","device","device_name","from": n|null,"from_text","to": n|null,"to_text"}…],"span_usec",
 *              "effect": null|{"before_permyriad","now_permyriad","helped": bool} (the worst victim's stall, of the step before),
 *              "victims": [harm…],"victims_all": n,"candidates": [candidate…] (highest score first),"outcome": null|blame_why_to_string(),
 *              "thrash": null|{"hits_per_sec","refaults_per_sec","io_read_bytes_per_sec","memory_some_permyriad"}}
 *  harm:      {"name","tenant","cgroup","kind": party_kind_to_string(),"resource","class","why","why_text","share_permyriad","target_permyriad",
 *              "baseline_permyriad": n|null,"own_permyriad","confidence_percent","device": null|"254:0","device_name"}
 *  candidate: {"name","tenant","cgroup","kind","why","why_text","score_permyriad","used","entitled" (units by resource: cpu µs per s, memory bytes, io permyriad
 *              of the device, pids tasks),"growth_per_sec","grown" (bytes more than it had a minute ago),"refaults_per_sec","forks_per_sec" (absent: not counted),"priority"}
 *  processes: {"processes": [{"pid","comm","threads","cpu_usec" (of its life),"span_cpu_usec","rss_bytes","delays": null|{"cpu_usec","io_usec","swap_usec",
 *              "reclaim_usec","thrash_usec","compact_usec"} (waited for, within the span; null: kernel.task_delayacct is off)}…],"looked_at": n,"span_usec",
 *              "by": "cpu"|"memory"|"io" (what they are ordered by),"error": null|text}. judged has "processes" and "processes_span_usec" of these,
 *              half a second after the event of an incident's first act, or of a throttle
 *  links:     {"links": null|[{"name","master": of its bridge|null,"state": "unknown"|"notpresent"|"down"|"lowerlayerdown"|"testing"|"dormant"|"up",
 *              "to_container": {"bytes","packets","errors","dropped"},"from_container": {…}}…] (of the host, whose other end is in the container's
 *              network; eight at most, the oldest first; null: not known),"links_all": n,"links_error": text|null}
 *  lease:     {"cgroup","container","tenant","limit": "CPUQuota"…|"freeze","device","value","value_text","beneath","beneath_text","by": "judge"|"operator",
 *              "resource","reason","since": t|null (of the event),"until": t|null,"event": id}
 *  incident:  {"id" (that of its first event),"tenant","container","cgroup","cgroup_id","opened": t,"last": t,"closed": null|t,"resources": [s…],"acts": n,"would": n,"kills": n,"rung",
 *              "worst_permyriad","victims": [{"name","tenant"}…] (as far as kept),"text","events": [id…] (the last 64)}
 *  why:       {"time": t,"what","subject": null|{"kind": "container"|"tenant"|"event"|"incident","name","tenant","cgroup","mode","kill","priority"},
 *              "now": [{"container","tenant","harms": [harm…] (of every resource, none too),"thrash": bool,"leases": [lease…],"rungs": [{"resource","rung"}…],
 *                       "text": [sentence…] (judge_explain())}…],"incidents": [incident…],"events": [event…] (theirs, the oldest first)}
 *              containers and Show have "leases": [lease…] and "judged_now": {"rungs": […]} too
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
 *              "judge": {"steps","parties","rung_counts": {rung: n…},"incidents_open","kill_budget_left","in_storm": bool,"acts": {kind: n…},"would": {kind: n…},
 *              "reaction_usec": {"last","p50","p99","max"} (from the look that showed harm to the first write)},
 *              "leases": {"limits","frozen","damaged","error": null|s,"thaw_pid"},
 *              "loop": {"iterations","longest_usec","rss_bytes","cpu_usec","kernel_bytes" (of its cgroup; absent: not known),"beats",
 *              "late_usec": {"last","p50","p99","max"} (how late beats came)},
 *              "sampling": {"hot","cold","slices","looks","files","kept_fds","kept_cgroups","evictions","fd_failures","peaks": "reset"|"raised"|"sampled",
 *              "net_damaged","net_error": null|text,"psi": bool,"psi_error": null|text,"triggers": {"host","slices","containers","refused","lost","fired"},
 *              "history": {"bytes","chunks","subjects","first": t,"dropped"},"books": {"used","damaged","set_aside": bool,"writes","error": null|s}},
 *              "netlink": {"connected": bool,"wants": ["forks"|"mains"|"tasks"|"answers"…],"events_error": null|s,"tasks_error": null|s,
 *              "events","records" (read by bailiff-netlink since it began),"unknown" (nobody's),"rcvbuf","lost_events","lost_records",
 *              "forks_per_sec" (of the host, about),"watched","exits","execs","late_books","late_cpu_usec" (what only records of tasks told)}}
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
