# shellcheck shell=bash
# Others' limits survive ours. systemd rewrites nearly every limit of a unit when one property is set,
# and would wipe what Docker wrote past it; so after the guard's first write only what policy names has
# changed, in every file, also after a daemon-reload; and policy dropped, everything is exactly as it was.
#
#   tenant.slice
#   ├── tenant-a.slice            MemoryLow by the admin's set-property, CPUWeight by his drop-in;
#   │   │                         policy: MemoryMax=200M
#   │   └── docker-<id>.scope     every limit that docker run knows; policy: memory 48M, 40 tasks
#   └── tenant-b.slice
#       └── docker-<id>.scope     the same, not in policy: what systemd does to it by itself
#
# shape: docker
# timeout: 180

MB=$((1 << 20))
slice=tenant.slice/tenant-a.slice
fallocate -l 64M /swap
chmod 600 /swap
mkswap -q /swap
swapon /swap
mkdir -p /etc/systemd/system/tenant-a.slice.d
printf '[Slice]\nCPUWeight=77\n' >/etc/systemd/system/tenant-a.slice.d/10-admin.conf
systemctl daemon-reload

options=(--memory 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 100
	--device-write-bps /dev/vda:20mb --device-read-iops /dev/vda:900 --blkio-weight 300)
docker_run control tenant-b.slice "${options[@]}"
control=$CG
docker_run box tenant-a.slice "${options[@]}"
box=$CG
unit=${box##*/}
systemctl set-property --runtime tenant-a.slice MemoryLow=16M

# What may be limited in a cgroup, and what is.
limits() {  # PATH
	local file
	for file in "$CGROOT/$1"/{memory.{min,low,high,max,swap.max,swap.high,oom.group,zswap.max},cpu.{max,max.burst,weight,idle,uclamp.min,uclamp.max},io.{max,weight,bfq.weight,latency,prio.class},pids.max,cpuset.{cpus,mems},hugetlb.2MB.max}; do
		[ ! -e "$file" ] || echo "${file##*/}: $(<"$file")"
	done
}
dropins() {
	find /etc/systemd/system.control /etc/systemd/system /run/systemd/system.control /run/systemd/transient \
		\( -path "*$unit*" -o -path '*tenant-a.slice*' \) -name '*.conf' -exec cksum {} + 2>/dev/null | sort -k 3 || :
}
changed() {  # BEFORE AFTER: names of the files that differ
	diff <(echo "$1") <(echo "$2") | sed -n 's/^> \([^:]*\):.*/\1/p' | tr '\n' ' ' || :
}
policy() {  # LINE...
	{
		printf '[Host]\nMode=ceilings\n[Tenant a]\nMatch=slice=tenant-a.slice\n'
		[ $# = 0 ] || printf '%s\n' "$@"
	} | policy_set
}

box_before=$(limits "$box")
slice_before=$(limits $slice)
dropins_before=$(dropins)
diag "$box_before"
like "$box_before" 'io.max: [0-9:]+ .*riops=900.*|io.max: [0-9:]+ .*wbps=20971520' "Docker has set what systemd was not told of"
like "$box_before" "memory.swap.max: $((32 * MB))" "and swap"

policy ContainerMemoryMax=48M ContainerTasksMax=40 MemoryMax=200M
guard_start
told() {
	[ "$(systemctl show --value --property=MemoryMax "$unit")" = $((48 * MB)) ] &&
		[ "$(systemctl show --value --property=TasksMax "$unit")" = 40 ] &&
		[ "$(systemctl show --value --property=MemoryMax tenant-a.slice)" = $((200 * MB)) ]
}
wait_for 30 told "policy is in force, and systemd has been told"
nap 2
is "$(changed "$box_before" "$(limits "$box")")" "memory.max pids.max " "in the container only what policy names has changed"
is "$(changed "$slice_before" "$(limits $slice)")" "memory.max " "and in the slice"
is "$(cg "$box" memory.max)/$(cg "$box" pids.max)" "$((48 * MB))/40" "to what policy says"
systemctl daemon-reload
nap 3
is "$(changed "$box_before" "$(limits "$box")")" "memory.max pids.max " "so it is after a daemon-reload"
is "$(changed "$slice_before" "$(limits $slice)")" "memory.max " "in the slice, too"

# ---- another value: the second write is as careful

policy ContainerMemoryMax=40M ContainerTasksMax=40 MemoryMax=200M
ctl reload
wait_for 30 "[ \"\$(systemctl show --value --property=MemoryMax $unit)\" = $((40 * MB)) ]" "another value, and systemd told"
nap 1
is "$(changed "$box_before" "$(limits "$box")")" "memory.max pids.max " "and nothing else changed"

# ---- policy drops it all

policy
ctl reload
wait_for 30 "[ \"\$(limits $box)\" = \"\$box_before\" ]" "dropped: the container's files are exactly what they were"
wait_for 30 "[ \"\$(limits $slice)\" = \"\$slice_before\" ]" "and the slice's"
wait_for 30 "[ \"\$(dropins)\" = \"\$dropins_before\" ]" "our drop-ins are gone, the admin's and Docker's are untouched"
[ "$(dropins)" = "$dropins_before" ] || diag "$(diff <(echo "$dropins_before") <(dropins))"
systemctl daemon-reload
nap 1
# systemd 252 puts io.weight back to its default then, whether there is a guard or not
diag "what a daemon-reload by itself changes in a container: $(changed "$box_before" "$(limits "$control")")"
is "$(limits "$box")" "$(limits "$control")" "after a daemon-reload the container is like one that the guard never touched"
is "$(limits $slice)" "$slice_before" "and the slice"
done_testing
