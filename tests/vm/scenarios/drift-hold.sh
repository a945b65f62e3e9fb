# shellcheck shell=bash disable=SC2154,SC2016,SC2086
# An operator's act is respected for a while. `systemctl set-property` by root on a slice or a plain
# service is an implicit hold for OperatorHoldSec, then policy holds again, also for systemd. `bailiffctl
# hold` and `unhold` do the same by name; a hold outlives a restart of the guard, follows what is made again by
# the same name, and ends by itself.
# `undo EVENT` gives the limit back and holds the target.
#
#   tenant.slice
#   └── tenant-a.slice      tenant a: MemoryMax=256M
#       ├── web.service     64 MB, 50 tasks by policy
#       └── job.scope       the same
#
# timeout: 180

MB=$((1 << 20))
slice=tenant.slice/tenant-a.slice
web=$slice/web.service
job=$slice/job.scope

holds() {  # PATH FILE VALUE
	cg_read REPLY "$1" "$2"
	[ "$REPLY" = "$3" ]
}
events() {  # FILTER: prints how many
	ctl events --json
	jq "[.events[] | select($1)] | length" <<<"$CTL_OUT"
}
about() {  # NAME FILTER
	ctl show "$1" --json
	jq -r "$2" <<<"$CTL_OUT"
}
property() { systemctl show --value --property="$2" "$1"; }

policy_set <<EOP
[Host]
Mode=ceilings
OperatorHoldSec=30s

[Tenant a]
Match=slice=tenant-a.slice
MemoryMax=256M
ContainerMemoryMax=64M
ContainerTasksMax=50
EOP
service web tenant-a.slice sleep 1000
scope job tenant-a.slice sleep 1000
guard_start
wait_for 20 "[ \"\$(property tenant-a.slice MemoryMax)\" = $((256 * MB)) ] && holds $slice memory.max $((256 * MB))" \
	"the slice is held, and systemd told"
wait_for 20 "[ \"\$(property web.service TasksMax)\" = 50 ] && holds $web memory.max $((64 * MB))" "web.service is"
wait_for 20 "[ \"\$(property job.scope TasksMax)\" = 50 ] && holds $job memory.max $((64 * MB))" "job.scope is"

# ---- systemctl set-property: an implicit hold

begin=$EPOCHREALTIME
systemctl set-property --runtime tenant-a.slice MemoryMax=400M
systemctl set-property --runtime web.service MemoryMax=100M TasksMax=20
wait_for 10 "[ \$(events '.kind == \"hold\" and .cgroup == \"/$slice\" and .limit == \"MemoryMax\"') = 1 ]" \
	"an event says that the operator's 400M on the slice is left alone"
wait_for 10 "[ \$(events '.kind == \"hold\" and .cgroup == \"/$web\" and .limit == \"MemoryMax\"') = 1 ]" \
	"another one says so of the service's 100M"

systemctl restart bailiffd.service
nap 4
is "$(cg "$slice" memory.max)" $((400 * MB)) "a restart of the guard does not end it"

# ---- bailiffctl hold, unhold, a hold that lapses (while that one runs)

ctl hold job.scope --for 1m --reason 'a look at it'
is "$CTL_STATUS" 0 "bailiffctl hold job.scope --for 1m"
is "$(about job.scope '.hold | "\(.reason) \(.uid)"')" "a look at it 0" "show: reason and uid of the hold"
echo max >"$CGROOT/$job/memory.max"
nap 2
is "$(cg "$job" memory.max)" max "on hold, a raw write of max stays"
is "$(about job.scope '.limits[] | select(.limit == "MemoryMax") | .state')" held "its state: held"
ctl status --json
is "$(jq .counts.holds <<<"$CTL_OUT")" 3 "status counts it, and the two implicit ones"
ctl unhold job.scope
wait_for 5 "holds $job memory.max $((64 * MB))" "bailiffctl unhold: repaired"
ctl hold job.scope --for 3s
echo max >"$CGROOT/$job/pids.max"
nap 1
is "$(cg "$job" pids.max)" max "on hold for 3 s: a raw write stays"
wait_for 10 "holds $job pids.max 50" "when those have passed it is repaired"
ctl hold nobody --for 1m
is "$CTL_STATUS" 1 "a hold on nobody is refused"

# ---- the implicit hold ends

is "$(cg $slice memory.max) $(cg $web memory.max)" "$((400 * MB)) $((100 * MB))" \
	"$(elapsed "$begin") s after set-property both values stand"
num "${begin%.*}" '>' $((EPOCHSECONDS - 30)) "(and the 30 s had not passed yet)"
wait_for 40 "holds $slice memory.max $((256 * MB)) && holds $web memory.max $((64 * MB))" "after the 30 s policy holds again"
num $((${EPOCHREALTIME/[.,]/} - ${begin/[.,]/})) '>=' 30000000 "not before"
is "$(cg "$web" pids.max)" 20 "the operator's tighter TasksMax=20 stands for good"
wait_for 20 "[ \"\$(property tenant-a.slice MemoryMax)\" = $((256 * MB)) ]" "systemd is told: no reload will bring the 400M back"
is "$(events ".kind == \"fight\" or (.kind == \"drift\" and .limit == \"TasksMax\" and .cgroup == \"/$web\")")" 0 \
	"no fight; the tighter value was no drift"

# ---- a hold outlives the guard

ctl hold web.service --for 10m
echo max >"$CGROOT/$web/memory.max"
systemctl restart bailiffd.service
wait_for 20 "[ \"\$(about web.service '.hold != null')\" = true ]" "a restarted guard knows the hold"
nap 3
is "$(cg "$web" memory.max)" max "and respects it"
ctl unhold web.service
wait_for 5 "holds $web memory.max $((64 * MB))" "until unhold"
systemctl restart bailiffd.service
wait_for 20 "[ \"\$(about web.service '.hold == null')\" = true ]" "which a restarted guard knows, too"

# ---- a hold follows a container that is made again

again() {  # a new web.service; the old one has gone
	service web tenant-a.slice sleep 1000
}
stop_web() {
	systemctl stop web.service
	until_true 20 "! cg_exists $web" || not_ok "web.service has stopped"
}
ctl hold web.service --for 10m --reason 'an update'
before=$(about web.service .hold.until)
stop_web
again
wait_for 20 "[ \"\$(about web.service '.hold | \"\\(.reason) \\(.until)\"')\" = \"an update $before\" ]" \
	"web.service is made again: it is on hold, until the same time"
is "$(events '.kind == "hold" and .cgroup == "/'$web'" and (.text | test("made again"))')" 1 "an event says so"
echo max >"$CGROOT/$web/memory.max"
nap 3
is "$(cg "$web" memory.max)" max "its limits are left alone"
stop_web
systemctl restart bailiffd.service
again
wait_for 20 "[ \"\$(about web.service .hold.until)\" = $before ]" "also when the guard was restarted between the two"
ctl unhold web.service
wait_for 20 "holds $web memory.max $((64 * MB))" "unhold: policy holds"
stop_web
again
wait_for 20 "holds $web memory.max $((64 * MB))" "and for the next one, too"
is "$(about web.service '.hold == null')" true "which is not on hold"
ctl hold web.service --for 5s
stop_web
nap 6
again
wait_for 20 "holds $web memory.max $((64 * MB))" "a hold that ended while it was gone is none"

# ---- undo

echo max >"$CGROOT/$job/memory.max"
wait_for 5 "holds $job memory.max $((64 * MB))" "a write to undo"
# a guard that has just started cannot tell whether its limit was taken away or never written
act='(.kind == "repaired" or .kind == "set") and .cgroup == "/'$job'" and .limit == "MemoryMax"'
wait_for 5 '[ $(events "$act") = 1 ]' "its event"
ctl events --json
ctl undo "$(jq "[.events[] | select($act)] | last.id" <<<"$CTL_OUT")"
is "$CTL_STATUS" 0 "bailiffctl undo EVENT"
wait_for 5 "holds $job memory.max max && [ \"\$(cg $job pids.max)\" != 50 ]" "job.scope has its limits back from before the guard"
is "$(events '.kind == "undo" and .uid == 0')" 1 "the event tells who"
is "$(about job.scope '.hold.until > (now + 3500) * 1000000')" true "it is on hold for an hour"
wait_for 20 "[ \"\$(property job.scope MemoryMax)\" = infinity ]" "systemd's property is given back as well"
ctl unhold job.scope
wait_for 10 "holds $job memory.max $((64 * MB)) && holds $job pids.max 50" "unhold: policy holds again"
done_testing
