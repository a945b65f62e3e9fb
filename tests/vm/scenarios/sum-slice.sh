# shellcheck shell=bash
# A tenant with a slice of its own: its sum stands on the slice, to the byte, and nowhere else. What runs
# below has what its engine asked for; together they cannot get past the sum.
#
#   tenant.slice
#   ├── tenant-a.slice            sum: 100000000 bytes, 60 % of a CPU, 80 tasks, CPUWeight 300
#   │   ├── one.scope
#   │   ├── two.scope
#   │   └── docker-<id>.scope     docker: started with --memory 64m --cpus 0.5
#   └── tenant-b.slice
#       └── three.scope           nobody's tenant: unassigned, untouched
#
# shape: docker
# timeout: 120

MB=$((1 << 20))
SUM=$((100000000 / 4096 * 4096))
SPIN='while :; do :; done'
limits() {  # PATH: what the kernel does of each limit that the sum has
	local file text='' value
	for file in memory.max memory.high memory.swap.max cpu.max cpu.weight pids.max; do
		cg_limit value "$1" "$file"
		text+="$file=$value "
	done
	echo "$text"
}
tenant() {  # NAME FILTER
	ctl tenants --json
	jq -r ".tenants[] | select(.name == \"$1\") | $2" <<<"$CTL_OUT"
}

policy_set <<-EOF
	[Host]
	Mode=ceilings

	[Plan small]
	MemoryMax=100000000
	CPUQuota=60%
	TasksMax=80
	CPUWeight=300
	Sum=slice

	[Tenant a]
	Plan=small
	Match=slice=tenant-a.slice
EOF

slice=tenant.slice/tenant-a.slice
scope one tenant-a.slice busybox sh -c "$SPIN"
one=$CG
one_before=$(limits "$one")
guard_start
wait_for 30 "[ \"\$(cg $slice memory.max)\" = $SUM ]" "the slice has the tenant's sum, in whole pages"
is "$(cg $slice cpu.max)" "60000 100000" "CPUQuota of the sum"
is "$(cg $slice pids.max)" 80 "TasksMax of the sum"
is "$(cg $slice cpu.weight)" 300 "CPUWeight"

docker_run docker tenant-a.slice --memory 64m --cpus 0.5
docker=$CG
scope two tenant-a.slice busybox sh -c "$SPIN"
two=$CG
scope three tenant-b.slice sleep 1000
three=$CG
wait_for 30 "[ \"\$(tenant a .containers)\" = 3 ]" "the tenant has three containers"
is "$(tenant a .sum)" exact "its sum is exact"
is "$(tenant a '.slices | join(" ")')" /$slice "and stands on its slice"
is "$(limits "$one")" "$one_before" "nothing was written in a container that was there before the guard"
is "$(limits "$two")" "$one_before" "nor in one that came later"
is "$(cg "$docker" memory.max)" $((64 * MB)) "Docker's --memory is Docker's"
is "$(cg "$docker" cpu.max)" "50000 100000" "and its --cpus"
is "$(limits "$three")" "$one_before" "who belongs to nobody has no sum"
is "$(cg tenant.slice/tenant-b.slice memory.max)" max "nor his slice"
is "$(systemctl show --value --property=TasksMax tenant-a.slice)" 80 "systemd knows"

# ---- together they are held: two spin, the third forks

usage=$(cg_key $slice cpu.stat usage_usec)
start=${EPOCHREALTIME/[.,]/}
nap 6
span=$((${EPOCHREALTIME/[.,]/} - start))
share=$((($(cg_key $slice cpu.stat usage_usec) - usage) * 1000 / span))
num $share '<=' 650 "two that spin use $((share / 10)) % together, the sum is 60 %"
num $share '>=' 450 "and no less than that lets them"
cg_kill "$two" # the quota is for those who fork now
in_cgroup "$one" busybox sh -c 'i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i + 1)); done' 2>/run/forks || :
num "$(cg $slice pids.current)" '>=' 78 "forks until the sum"
num "$(cg $slice pids.current)" '<=' 80 "no more than 80 tasks"
like "$(</run/forks)" "can't fork" "a fork failed at the sum, though the scope itself may have more"
cg_kill "$one"

# ---- they come and go, the sum stays

wait_for 30 "[ \"\$(tenant a .containers)\" = 1 ]" "one is left"
is "$(cg $slice memory.max)" $SUM "the sum is the same with one"
is "$(cg "$docker" memory.max)" $((64 * MB)) "and so is what Docker asked for"
is "$(tenant a .sum)" exact "exact"
done_testing
