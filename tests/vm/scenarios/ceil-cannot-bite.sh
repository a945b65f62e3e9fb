# shellcheck shell=bash
# A limit that is written without an error and does nothing is the worst kind. What cannot bite on this
# host or in this cgroup is said: when policy is loaded, in `status`, in `show`, by `doctor`. And no longer
# once it can: a limit by path follows what is mounted there, without a reload.
#
#   tenant.slice              protects nothing
#   └── tenant-a.slice        policy: MemoryMin=64M, MemorySwapMax, IOWeight, a write bandwidth on a tmpfs,
#       │                     a read bandwidth where a disk is mounted later
#       └── one.scope
#
# shape: plain
# timeout: 150   kernels: 6.1 6.12

policy_set <<-EOF
	[Host]
	Mode=ceilings

	[Tenant a]
	Match=slice=tenant-a.slice
	MemoryMin=64M
	MemorySwapMax=16M
	IOWeight=200
	IOWriteBandwidthMax=/run 5M
	IOReadBandwidthMax=/run/late 5M
	TasksMax=50
EOF
slice=tenant.slice/tenant-a.slice
mkdir -p /run/late
scope one tenant-a.slice sleep 100000
is "$(tail -n +2 /proc/swaps)" "" "this host has no swap"
isnt "$(cat /sys/fs/cgroup/io.cost.qos 2>/dev/null | grep -c enable=1)" 1 "and no io.cost"

guard_start
wait_for 30 "[ \"\$(cg $slice pids.max)\" = 50 ]" "what can bite does"

log=$(guard_log)
file=/etc/bailiff/policy.d/50-test.ini
like "$log" "$file:[0-9]+: .*MemorySwapMax: no swap" "load says: MemorySwapMax without swap, file and line"
like "$log" "$file:[0-9]+: .*IOWeight: no io.cost" "load says: IOWeight without io.cost, file and line"
like "$log" "$file:[0-9]+: .*IOWriteBandwidthMax: ?/run" "load says: IOWriteBandwidthMax on a tmpfs, file and line"

ctl status --json
status=$(jq -r '(.policy.warnings + .missing)[]' <<<"$CTL_OUT")
like "$status" "MemorySwapMax: no swap" "status: MemorySwapMax"
like "$status" "IOWeight: no io.cost" "status: IOWeight"
like "$status" "IOWriteBandwidthMax: ?/run" "status: IOWriteBandwidthMax"
ctl status
like "$CTL_OUT" "MemorySwapMax" "also in the table for people"

ctl show /$slice --json
notes=$(jq -r '.. | .notes? // empty | .[]' <<<"$CTL_OUT")
like "$notes" "MemoryMin: .*parent protects (nothing|no more)" "show: MemoryMin below a parent that protects nothing"
like "$notes" "MemorySwapMax: no swap" "show: MemorySwapMax"
like "$notes" "IOWeight: no io.cost" "show: IOWeight"
unlike "$notes" "TasksMax" "show has nothing to say against TasksMax"
diag "$notes"
ctl show tenant:a
like "$CTL_OUT" "MemoryMin: " "also by the tenant's name"

ctl doctor
is "$CTL_STATUS" 5 "doctor has found something"
for key in MemoryMin MemorySwapMax IOWeight IOWriteBandwidthMax; do
	like "$CTL_OUT" "$key" "doctor: $key"
done
diag "$CTL_OUT"

# ---- the parent protects now

systemctl set-property --runtime tenant.slice MemoryMin=64M
wait_for 40 "ctl show /$slice --json; ! [[ \$CTL_OUT = *'MemoryMin: '* ]]" "MemoryMin bites once the parent has it"

# ---- a disk is mounted where a limit is by path

warned() { ctl status --json && jq -r '.policy.warnings[]' <<<"$CTL_OUT" | grep -c IOReadBandwidthMax || :; }
is "$(warned)" 1 "status: IOReadBandwidthMax on a directory without a disk"
mkfs.ext4 -q /dev/vm/disk1
mount /dev/vm/disk1 /run/late
disk=$(mountpoint -x /dev/vm/disk1)
wait_for 40 "[[ \$(cg $slice io.max) = *\"$disk rbps=5\"* ]]" "a disk is mounted there: it is limited, without a reload"
is "$(warned)" 0 "and status has no warning any more"
ctl events --json
like "$(jq -r '.events[] | select(.kind == "policy") | .text' <<<"$CTL_OUT")" 'mounts have changed: /run/late is on ' "an event says so"
# mounts of others: nothing is looked at for long, and nothing changes
n=$(jq '[.events[] | select(.kind == "policy")] | length' <<<"$CTL_OUT")
mkdir -p /run/other
for _ in {1..20}; do mount -t tmpfs none /run/other && umount /run/other; done
nap 14
ctl events --json
is "$(jq '[.events[] | select(.kind == "policy")] | length' <<<"$CTL_OUT")" "$n" "other mounts are no news"
umount /run/late
wait_for 40 "[[ \$(cg $slice io.max) != *rbps=5* ]]" "unmounted: the disk is given back"
is "$(warned)" 1 "and status warns again"
done_testing
