# shellcheck shell=bash
# journald is stopped while ceilings are set and repaired: a blocking sender would hang after 512
# messages. The loop goes on, the backlog is counted, and it arrives when journald goes on.
#
#   tenant.slice/tenant-a.slice
#   ├── s1 … s30.scope      each found and held: messages
#
# timeout: 200

policy_set <<'P'
[Host]
Mode=ceilings
[Tenant a]
Match=slice=tenant-a.slice
ContainerTasksMax=50
ContainerMemoryMax=200M
P
guard_start
for i in {1..30}; do scope s$i tenant-a.slice sleep 1000; done
A=$CGROOT/tenant.slice/tenant-a.slice
held() { local f v n=0; for f in "$A"/s*.scope/pids.max; do v=$(<"$f"); [ "$v" = 50 ] && n=$((n + 1)); done; [ $n = 30 ]; }
wait_for 60 held "30 scopes are held"

journald=$(systemctl show -P MainPID systemd-journald)
kill -STOP "$journald"
# Each raw write is a drift and a repair: two messages. All in all well over the 512 that a datagram socket takes.
for _ in 1 2 3 4; do
	for i in {1..30}; do echo 77 >"$A/s$i.scope/pids.max"; echo $((300 << 20)) >"$A/s$i.scope/memory.max"; done
	nap 3
	echo 1 >/dev/null
done
for _ in {1..12}; do
	bailiffctl pause >/dev/null; bailiffctl resume >/dev/null
done
for _ in {1..6}; do
	policy_set <<<$'[Host]\nMode=ceilings\n'; timeout 20 bailiffctl reload >/dev/null
	policy_set <<'P'
[Host]
Mode=ceilings
[Tenant a]
Match=slice=tenant-a.slice
ContainerTasksMax=50
ContainerMemoryMax=200M
P
	timeout 20 bailiffctl reload >/dev/null
	nap 2
done
wait_for 60 held "limits are held while journald is stopped"
start=$EPOCHREALTIME
ctl status --json
diag "status answered in $(elapsed "$start") s: $(jq -c '.journal, .loop' <<<"$CTL_OUT")"
is "$CTL_STATUS" 0 "the guard answers"
num "$(jq .journal.queued <<<"$CTL_OUT")" '>' 0 "the backlog is counted"
num "$(jq .journal.backlog_bytes <<<"$CTL_OUT")" '<=' 1048576 "and bounded"
events=$(jq .journal.sent <<<"$CTL_OUT")
kill -CONT "$journald"
wait_for 30 '[ "$(bailiffctl --json status | jq .journal.backlog_bytes)" = 0 ]' "the backlog is sent when journald goes on"
ctl status --json
num "$(jq .journal.sent <<<"$CTL_OUT")" '>' "$events" "messages arrived late instead of never"
done_testing
