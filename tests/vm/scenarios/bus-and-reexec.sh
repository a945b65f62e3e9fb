# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# The bus goes away and comes back, PID 1 re-executes itself: the guard goes on, without a restart. With
# no bus it still repairs raw writes; with the bus back it answers, notices what systemd does, and
# tells systemd what it had to keep to itself.
#
#   tenant.slice
#   └── tenant-a.slice     tenant a: MemoryMax=256M
#       ├── one.scope      64 MB, 50 tasks
#       └── late.scope     starts while there is no bus
#
# timeout: 150

MB=$((1 << 20))
a=tenant.slice/tenant-a.slice
one=$a/one.scope

holds() {  # PATH FILE VALUE
	cg_read REPLY "$1" "$2"
	[ "$REPLY" = "$3" ]
}
# (root's systemctl talks to PID 1 directly and needs no bus)
property() { systemctl show --value --property="$2" "$1"; }
main_pid() { property bailiffd.service MainPID; }
answers() {
	ctl status --json
	[ $CTL_STATUS = 0 ] && [ "$(jq -c '[.bus.connected, .bus.systemd]' <<<"$CTL_OUT")" = '[true,true]' ]
}
events() {  # FILTER: prints how many
	ctl events --json
	jq "[.events[] | select($1)] | length" <<<"$CTL_OUT"
}

policy_set <<EOP
[Host]
Mode=ceilings
OperatorHoldSec=0

[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=256M
ContainerMemoryMax=64M
ContainerTasksMax=50
EOP
scope one tenant-a.slice sleep 1000
guard_start
wait_for 30 "[ \"\$(property one.scope TasksMax)\" = 50 ] && holds $one memory.max $((64 * MB))" "one is held, systemd is told"
wait_for 20 answers "bailiffctl has its answer over the bus"
pid=$(main_pid)

# ---- dbus.service restarted

systemctl restart dbus.service
wait_for 30 answers "dbus.service restarted: bailiffctl works again"
is "$(main_pid)" "$pid" "the guard is the same process"
systemctl set-property --runtime one.scope MemoryMax=90M
wait_for 10 "holds $one memory.max $((64 * MB)) && [ \"\$(property one.scope MemoryMax)\" = $((64 * MB)) ]" \
	"a drift made through systemd is repaired, in the kernel and in systemd"
is "$(events '.kind == "drift" and .cause == "property"')" 1 "its cause is found: property"

# ---- dbus-daemon killed; then kept away

kill -9 "$(property dbus.service MainPID)"
wait_for 30 answers "dbus-daemon killed: bailiffctl works again"
is "$(main_pid)" "$pid" "the guard is the same process"
systemctl stop dbus.socket dbus.service 2>/dev/null || :
is "$(property dbus.service ActiveState)" inactive "the bus is gone for good"
ctl status --json
is "$CTL_STATUS" 3 "bailiffctl says so: exit status 3"
echo max >"$CGROOT/$one/pids.max"
wait_for 10 "holds $one pids.max 50" "without a bus a raw write is repaired"
scope late tenant-a.slice sleep 1000
wait_for 10 "holds $CG memory.max $((64 * MB))" "a scope that starts meanwhile is held"
is "$(property late.scope MemoryMax)" infinity "though systemd is not told"
systemctl start dbus.socket dbus.service
wait_for 30 answers "the bus is back: bailiffctl works"
is "$(main_pid)" "$pid" "the guard is still the same process"
wait_for 40 "[ \"\$(property late.scope MemoryMax)\" = $((64 * MB)) ]" "now systemd is told of what happened meanwhile"

# ---- systemctl daemon-reexec

systemctl daemon-reexec
wait_for 30 answers "daemon-reexec: bailiffctl works"
is "$(main_pid)" "$pid" "the same process once more"
is "$(cg "$one" memory.max) $(cg "$one" pids.max) $(cg $a memory.max)" "$((64 * MB)) 50 $((256 * MB))" "no ceiling was lost"
echo max >"$CGROOT/$one/memory.max"
wait_for 10 "holds $one memory.max $((64 * MB))" "a raw write afterwards is repaired"
systemctl set-property --runtime one.scope TasksMax=80
wait_for 10 "holds $one pids.max 50 && [ \"\$(property one.scope TasksMax)\" = 50 ]" "so is a property, in the kernel and in systemd"
scope new tenant-a.slice sleep 1000
wait_for 10 "holds $CG memory.max $((64 * MB)) && [ \"\$(property new.scope MemoryMax)\" = $((64 * MB)) ]" \
	"a new scope is held, and its property set"
is "$(events '.kind == "fight"')" 0 "none of it was a fight"
ctl status --json
is "$(jq -c '[.counts.drifted, .bus.pending]' <<<"$CTL_OUT")" '[0,0]' "in the end nothing is drifted, no call is left over"
done_testing
