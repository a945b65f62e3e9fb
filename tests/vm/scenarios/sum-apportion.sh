# shellcheck shell=bash disable=SC2154
# A tenant whose containers share no cgroup: its sum is apportioned. Shares follow as containers come and
# go; who uses more than a new share is squeezed, not killed; shares are leases, which a minute
# without the guard gives back, and a guard that dies and comes again does not let flap. All of them are at rest or
# want the same, so shares are equal; that they follow use is measure-share's.
#
#   batch.slice                 nobody's slice
#   ├── one.scope               all three: tenant batch, by path. Sum: 96M of memory, 90 % of a CPU,
#   ├── two.scope               300 tasks; ceiling of each container: 80M, which is policy and stays
#   └── three.scope
#
# shape: plain
# timeout: 300

MB=$((1 << 20))

policy_set <<-EOF
	[Host]
	Mode=ceilings

	[Tenant batch]
	Match=path=/batch.slice/*.scope
	Sum=apportion
	MemoryMax=96M
	CPUQuota=90%
	TasksMax=300
	ContainerMemoryMax=80M
EOF
# the real timer, sooner
mkdir -p /run/systemd/system/bailiff-lapse.timer.d
printf '[Timer]\nOnActiveSec=\nOnActiveSec=6s\n' >/run/systemd/system/bailiff-lapse.timer.d/50-test.conf
systemctl daemon-reload

holds() {  # PATH FILE VALUE
	cg_read REPLY "$1" "$2"
	[ "$REPLY" = "$3" ]
}
state() {
	ctl tenants --json
	jq -r '.tenants[] | select(.name == "batch") | .sum' <<<"$CTL_OUT"
}
shares() {  # MB CPU TASKS PATH...: all of them have that
	local path mb=$1 cpu=$2 tasks=$3
	shift 3
	for path; do
		holds "$path" memory.max $((mb * MB)) && holds "$path" cpu.max "$cpu 100000" &&
			holds "$path" pids.max "$tasks" || return 1
	done
}
shares_cpu() {  # CPU TASKS PATH...
	local path cpu=$1 tasks=$2
	shift 2
	for path; do holds "$path" cpu.max "$cpu 100000" && holds "$path" pids.max "$tasks" || return 1; done
}
seen() {  # PATH: what its files say, for the diagnostics
	diag "$1: memory $(cg "$1" memory.high) $(cg "$1" memory.max) use $(cg "$1" memory.current)" \
		"cpu $(cg "$1" cpu.max) tasks $(cg "$1" pids.max)"
}

guard_start

# ---- one: the whole sum, its own ceiling being tighter

# It can be told to use some memory, and to let go of it: a dd whose reader does not read.
mkfifo /run/size /run/hold
exec {size}<>/run/size
# CPUWeight: or systemd would not enable the cpu controller here
scope one batch.slice -p OOMPolicy=continue -p CPUWeight=100 \
	busybox sh -c 'while read -r mb <&'$size'; do dd if=/dev/zero of=/run/hold bs=${mb}M count=1; done'
one=$CG
pid=$PID
sleep 100000 <>/run/hold &
wait_for 30 "shares 80 90000 300 $one" "one alone has the whole sum, and of memory its own ceiling"
is "$(state)" exact "the sum is exact"
echo 60 >&$size
wait_for 60 "[[ \$(<\"/proc/\$(pgrep -x dd)/wchan\") = *pipe_w* ]] 2>/dev/null" "it has filled 60M and waits for its reader"
num "$(cg "$one" memory.current)" '>=' $((60 * MB)) "it uses 60M"

# ---- three: a third each; all use memory, and one more than its third

holder() {  # NAME: a scope that holds as many MB as it is told, until its dd is killed
	mkfifo "/run/size.$1" "/run/hold.$1"
	sleep 100000 <>"/run/hold.$1" &
	scope "$1" batch.slice -p OOMPolicy=continue \
		busybox sh -c "exec 3<>/run/size.$1; while read -r mb <&3; do dd if=/dev/zero of=/run/hold.$1 bs=\${mb}M count=1; done"
}
holder two
two=$CG
holder three
three=$CG
wait_rest "shares_cpu 30000 100 $one $two $three" "the two that came have a third each of CPU and tasks, one too: all are at rest" \
	"$one" "$two" "$three"
for name in two three; do echo 30 >"/run/size.$name"; done
wait_for 60 "[ \"\$(cg $two memory.current)\" -ge $((30 * MB)) ] && [ \"\$(cg $three memory.current)\" -ge $((30 * MB)) ]" "they use 30M each, which makes 120M of 96M"
wait_for 30 "holds $one memory.high $((32 * MB))" "all want memory: one's memory.high is its third"
num "$(cg "$one" memory.max)" '>' $((32 * MB)) "but not its memory.max: that would have killed it"
num "$(cg "$one" memory.max)" '<=' $((80 * MB)) "which is no more than its ceiling"
wait_for 30 "[ \"\$(state)\" = advisory ]" "without swap it cannot be squeezed: the sum is advisory, and says so"
seen "$one"
nap 3
is "$(cg_key "$one" memory.events oom_kill)" 0 "three seconds later nobody was killed"
num "$(cg "$one" memory.current)" '>' $((60 * MB)) "it still holds all of it"
# SIGKILL: whatever else it does above memory.high, the kernel makes it wait
pkill -9 -x dd
wait_rest "shares 32 30000 100 $one $two $three" "they let go: memory.max follows use, and at rest all have a third" \
	"$one" "$two" "$three"
wait_for 30 "[ \"\$(state)\" = apportioned ]" "the sum is apportioned, no longer advisory"

# ---- as they go

cg_kill "$three"
wait_rest "shares 48 45000 150 $one $two" "three went: a half each" "$one" "$two"

# ---- the guard dies and comes again at once

before=$(cg "$one" memory.high)/$(cg "$one" memory.max)/$(cg "$one" cpu.max)/$(cg "$one" pids.max)
main=$(systemctl show --value --property=MainPID bailiffd.service)
kill -9 "$main"
other='' samples=0
since=$EPOCHREALTIME
until [ $samples -ge 40 ] && [ "$(systemctl show --value --property=StatusText bailiffd.service)" ] &&
	((${EPOCHREALTIME/[.,]/} - ${since/[.,]/} > 8000000)); do
	now=''
	for file in memory.high memory.max cpu.max pids.max; do
		cg_read REPLY "$one" $file
		now+=${now:+/}$REPLY
	done
	[ "$now" = "$before" ] || other+="$now "
	samples=$((samples + 1))
	nap 0.02
done
isnt "$(systemctl show --value --property=MainPID bailiffd.service)" "$main" "the guard was killed and runs again"
is "$other" "" "no share flapped in $samples looks, nor when the timer of the dead guard went off"
wait_for 30 "[ \"\$(state)\" = apportioned ]" "the new guard knows the sum as apportioned"

# ---- the guard goes for good

guard_stop
check "the lapse timer runs" systemctl is-active bailiff-lapse.timer
is "$(cg "$one" cpu.max)" "45000 100000" "the shares are still there"
wait_for 40 "[ \"\$(systemctl show --value --property=ActiveState bailiff-lapse.timer bailiff-lapse.service | sort -u)\" = \$'\ninactive' ]" \
	"the timer went off, and its service is done"
for path in "$one" "$two"; do
	is "$(cg "$path" cpu.max)" "90000 100000" "the guard has gone: ${path##*/} has the tenant's whole CPU"
	is "$(cg "$path" memory.high)" max "no share of the memory"
	is "$(cg "$path" pids.max)" 300 "and all the tasks"
	is "$(cg "$path" memory.max)" $((80 * MB)) "but its own ceiling, which is policy, stays"
done
guard_start
wait_rest "shares 48 45000 150 $one $two" "the guard is back, and the shares" "$one" "$two"
cg_kill "$two"
wait_for 30 "shares 80 90000 300 $one && holds $one memory.high max" "the last one has it all"
is "$(state)" exact "exact again"
is "$(cg_key "$one" memory.events oom_kill)" 0 "in all this nobody was killed"
done_testing
