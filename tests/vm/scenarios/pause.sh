# shellcheck shell=bash
# The whole host calmed: by command (with an end, and without), by a file without D-Bus. Paused, nothing
# is written and nothing repaired; shares are given back, ceilings stay; resumed, policy holds again.
#
#   tenant.slice/tenant-a.slice     100M
#   x.slice/p1.scope, y.slice/p2.scope      tenant p, 60M apportioned
#
# timeout: 150

policy_set <<'P'
[Host]
Mode=ceilings
[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=100M
[Tenant p]
Match=path=/x.slice/p1.scope
Match=path=/y.slice/p2.scope
TasksMax=1000
P
scope s1 tenant-a.slice sleep 1000
scope p1 x.slice sleep 1000
scope p2 y.slice sleep 1000
A=tenant.slice/tenant-a.slice
guard_start
wait_for 20 "[ \"\$(cg $A memory.max)\" = $((100 << 20)) ]" "the ceiling is in force"
wait_for 20 "[ \"\$(cg x.slice/p1.scope pids.max)\" = 500 ]" "the share is in force"
paused() {  # TEXT: what holds while paused
	wait_for 10 "[ \"\$(cg x.slice/p1.scope pids.max)\" = 1000 ]" "$1: the share is given back"
	is "$(cg $A memory.max)" $((100 << 20)) "$1: the ceiling stays"
	echo max >$CGROOT/$A/memory.max
	nap 4
	is "$(cg $A memory.max)" max "$1: a drift is not repaired"
	ctl status
	like "$CTL_OUT" "[Pp][Aa][Uu][Ss][Ee][Dd]" "$1: status says so"
}
resumed() {
	wait_for 20 "[ \"\$(cg $A memory.max) \$(cg x.slice/p1.scope pids.max)\" = \"$((100 << 20)) 500\" ]" "$1: policy holds again"
}
ctl pause
is "$CTL_STATUS" 0 "pause"
paused "by command"
systemctl restart bailiffd.service
nap 3
is "$(cg $A memory.max)" max "a restart does not forget the pause"
ctl resume
resumed "resume"

ctl pause --for 8s
wait_for 10 "[ \"\$(cg x.slice/p1.scope pids.max)\" = 1000 ]" "paused for 8 s"
wait_for 25 "[ \"\$(cg x.slice/p1.scope pids.max)\" = 500 ]" "it ends by itself"

systemctl stop dbus.socket dbus.service 2>/dev/null
touch /run/bailiff/pause
wait_for 10 "[ \"\$(cg x.slice/p1.scope pids.max)\" = 1000 ]" "by file, with no D-Bus at all"
rm /run/bailiff/pause
wait_for 20 "[ \"\$(cg x.slice/p1.scope pids.max)\" = 500 ]" "the file removed: policy holds again"
done_testing
