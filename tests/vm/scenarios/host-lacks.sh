# shellcheck shell=bash
# A host without PSI and without any cgroup v2 controller: the guard starts, says plainly what is
# missing, observes, and writes nothing. The same when systemd is not to be found, and with a rival.
#
#   system.slice/earlyoom.service   a rival
#   tenant.slice/tenant-a.slice     would be held, has no memory.max at all here
#
# append: psi=0 cgroup_disable=memory cgroup_disable=io cgroup_disable=cpu cgroup_disable=pids
# timeout: 120

policy_set <<'P'
[Host]
Mode=enforce
[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=100M
P
check "earlyoom runs" systemctl start earlyoom.service
scope s1 tenant-a.slice sleep 1000
guard_start
ctl status --json
is "$CTL_STATUS" 0 "status answers"
missing=$(jq -r '.missing[]' <<<"$CTL_OUT")
like "$missing" "no controllers" "says that there are no controllers"
like "$missing" "pressure information" "says that there is no PSI"
is "$(jq -r .mode <<<"$CTL_OUT")" observe "observes, whatever Mode= says"
like "$(jq -r .mode_reason <<<"$CTL_OUT")" "no cgroup v2 controllers" "and says why"
like "$(jq -r '.rivals[]' <<<"$CTL_OUT")" earlyoom "names the rival"
ctl status
like "$CTL_OUT" "no controllers" "the screen for people says it too"
ctl doctor
is "$CTL_STATUS" 5 "doctor found something"
like "$CTL_OUT" "earlyoom" "doctor names the rival"
like "$(guard_log)" "rival: earlyoom.service" "the journal names it at start"
is "$(cat $CGROOT/tenant.slice/tenant-a.slice/memory.max 2>/dev/null || echo none)" none "there is nothing to write"
guard_stop

# No systemd to be seen: /run/systemd/system is hidden from this one, as from a guard under another init.
unshare --mount bash -c '
	mount -t tmpfs none /run/systemd && mkdir /run/bailiff2
	timeout --preserve-status 6 bailiffd --foreground --no-bus --run-dir=/run/bailiff2 --state-dir=/run/bailiff2' >/run/out 2>&1
like "$(</run/out)" "systemd is not PID 1" "without systemd it starts and says so"
done_testing
