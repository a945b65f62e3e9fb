# shellcheck shell=bash
# What the guard set is given back, all of it and nothing else: when policy drops a ceiling, on `bailiffctl
# release --ceilings`, and by `bailiffd --release-ceilings` when no guard runs. Stopping the guard is none
# of these: ceilings stay. A later edit of the unit file wins: no drop-in of ours is left over it.
#
#   tenant.slice
#   └── tenant-a.slice       a unit file of the admin's: 300M, CPUWeight 50; policy: 200M, half a CPU, 100 tasks
#       └── one.scope        started with 500 tasks at most; policy: 60, and MemoryHigh=100M
#   tenant.slice/tenant-b.slice
#   └── big.scope            48M, policy has 256M in place of it, and more than 48M are in use
#
# shape: plain
# timeout: 180

MB=$((1 << 20))
slice=tenant.slice/tenant-a.slice
cat >/etc/systemd/system/tenant-a.slice <<-EOF
	[Slice]
	MemoryMax=300M
	CPUWeight=50
EOF
systemctl daemon-reload
scope one tenant-a.slice -p TasksMax=500 sleep 100000
one=$CG

# Every limit of both: in the kernel, in systemd's memory, and the drop-ins that exist.
kernel() {
	local path file value
	for path in $slice "$one"; do
		for file in memory.min memory.low memory.high memory.max memory.swap.max memory.oom.group pids.max \
			cpu.max cpu.max.burst cpu.weight io.max; do
			cg_limit value "$path" $file
			echo "${path##*/} $file: $value"
		done
	done
}
systemd() {
	systemctl show --property=Id,MemoryMin,MemoryLow,MemoryHigh,MemoryMax,MemorySwapMax,TasksMax \
		--property=CPUQuotaPerSecUSec,CPUWeight,IOWeight,IOWriteBandwidthMax tenant-a.slice one.scope
	find /run/systemd/system.control /run/systemd/transient /etc/systemd/system.control \
		-name '*.conf' -path '*one.scope*' -o -name '*.conf' -path '*tenant-a.slice*' 2>/dev/null | sort || :
}
as_before() {  # TEXT
	wait_for 30 "[ \"\$(kernel)\" = \"\$kernel_before\" ]" "$1: every limit of the kernel is as before"
	wait_for 30 "[ \"\$(systemd)\" = \"\$systemd_before\" ]" "$1: and every property, and no drop-in is left"
	[ "$(kernel)$(systemd)" = "$kernel_before$systemd_before" ] ||
		diag "$(diff <(echo "$kernel_before$systemd_before") <(kernel; systemd))"
}
held() {  # the whole policy holds, and systemd knows
	[ "$(cg $slice memory.max)/$(cg $slice cpu.max)/$(cg $slice pids.max)" = "$((200 * MB))/50000 100000/100" ] &&
		[ "$(cg "$one" pids.max)/$(cg "$one" memory.high)" = "60/$((100 * MB))" ] &&
		[ "$(systemctl show --value --property=TasksMax tenant-a.slice)" = 100 ] &&
		[ "$(systemctl show --value --property=MemoryMax tenant-a.slice)" = $((200 * MB)) ] &&
		[ "$(systemctl show --value --property=TasksMax one.scope)" = 60 ]
}
policy() {  # the sum's MemoryMax line, or nothing
	policy_set <<-EOF
		[Host]
		Mode=ceilings

		[Tenant a]
		Match=slice=tenant-a.slice
		CPUQuota=50%
		TasksMax=100
		ContainerTasksMax=60
		ContainerMemoryHigh=100M
		$1
	EOF
}

kernel_before=$(kernel)
systemd_before=$(systemd)
policy MemoryMax=200M
guard_start
wait_for 30 held "policy holds, and systemd has been told"
isnt "$(systemd)" "$systemd_before" "that left traces there"

# ---- policy drops one

policy ''
ctl reload
is "$CTL_STATUS" 0 "a policy without MemoryMax is loaded"
wait_for 30 "[ \"\$(cg $slice memory.max)\" = $((300 * MB)) ]" "memory.max is what the unit file says"
is "$(cg $slice pids.max)/$(cg $slice cpu.max)" "100/50000 100000" "what policy still names holds"
wait_for 30 "[[ \$(systemd) != *50-MemoryMax.conf* ]]" "our drop-in for it is gone"
like "$(systemd)" 50-TasksMax.conf "the others are there"
policy MemoryMax=200M
ctl reload
wait_for 30 held "and back again"

# ---- the guard stops

guard_stop
check "the guard is stopped: policy holds" held
systemctl daemon-reload
check "also after a daemon-reload" held

# ---- release, asked for

guard_start
ctl release --ceilings
is "$CTL_STATUS" 0 "bailiffctl release --ceilings"
like "$CTL_OUT" 'tenant-a.slice.*MemoryMax' "it prints what it gives back: MemoryMax of the slice"
like "$CTL_OUT" 'one.scope.*TasksMax' "and TasksMax of the scope"
diag "$CTL_OUT"
as_before "released"
nap 2
is "$(kernel)" "$kernel_before" "and so it stays"
ctl resume
is "$CTL_STATUS" 0 "bailiffctl resume"
wait_for 30 held "policy holds again"

# ---- release with no guard there

guard_stop
output=$(bailiffd --release-ceilings 2>&1) && status=0 || status=$?
is $status 0 "bailiffd --release-ceilings"
like "$output" '/tenant.slice/tenant-a.slice: MemoryMax from 200M to 300M' "it prints MemoryMax of the slice"
like "$output" 'one.scope: TasksMax from 60 to 500' "and TasksMax of the scope"
diag "$output"
as_before "released offline"
output=$(bailiffd --release-ceilings 2>&1) || :
like "$output" '0 limits|nothing' "the second time there is nothing to give back"

# ---- the unit file has the last word

sed -i 's/300M/250M/' /etc/systemd/system/tenant-a.slice
systemctl daemon-reload
is "$(systemctl show --value --property=MemoryMax tenant-a.slice)" $((250 * MB)) "an edit of the unit file wins"
wait_for 30 "[ \"\$(cg $slice memory.max)\" = $((250 * MB)) ]" "in the kernel, too"

# ---- more is in use than what would be given back

policy_set <<-'EOF'
	[Host]
	Mode=ceilings

	[Tenant b]
	Match=slice=tenant-b.slice
	EngineLimits=override
	ContainerMemoryMax=256M
EOF
mkfifo /run/more
exec {more}<>/run/more
scope big tenant-b.slice -p MemoryMax=48M \
	perl -e 'open my $in, "<", "/run/more" or die; my $mb = <$in>; my $x = "x" x ($mb << 20); sleep 1000'
big=$CG
guard_start
wait_for 30 "[ \"\$(cg $big memory.max)\" = $((256 * MB)) ]" "EngineLimits=override: 256M in place of the unit's 48M"
echo 100 >&$more
wait_for 30 "[ \"\$(cg $big memory.current)\" -gt $((100 * MB)) ]" "it uses more than 100M"
guard_stop
output=$(bailiffd --release-ceilings 2>&1) && status=0 || status=$?
isnt $status 0 "bailiffd --release-ceilings cannot give back all"
like "$output" 'big.scope: MemoryMax cannot be given back: more than that is in use' "and says why"
is "$(cg "$big" memory.max)" $((256 * MB)) "48M are not put below what is in use"
is "$(cg_key "$big" memory.events oom_kill)" 0 "so nobody is killed"
kill "$PID"
until_true 20 "! cg_exists $big" || not_ok "it is gone"
output=$(bailiffd --release-ceilings 2>&1) && status=0 || status=$?
is $status 0 "and then there is nothing to give back"
done_testing
