# shellcheck shell=bash
# Every kind of ceiling, written by the guard, bites: in real docker containers and in plain scopes.
# What runs into it is a load inside of the container; what it did is read from the kernel's counters.
#
#   tenant.slice
#   └── tenant-a.slice               policy names the four below, nobody else limits them
#       ├── docker-<id>.scope   box       memory 48M + 16M swap, half a CPU, 64 tasks
#       ├── docker-<id>.scope   disk      writes 5M/s, named by the path of a file system on a partition
#       ├── box.scope                     as box
#       ├── disk.scope                    writes 5M/s, named by the whole disk's node
#       └── neighbour.scope               no ceiling; must not notice
#
# shape: docker
# timeout: 300   kernels: 6.1 6.12

MB=$((1 << 20))
disk=$(readlink -f /dev/vm/disk1)
addpart "$disk" 1 2048 204800
mkfs.ext4 -q "${disk}1"
mkdir -p /mnt/data
mount "${disk}1" /mnt/data
read -r maj_min <"/sys/block/${disk##*/}/dev"
fallocate -l 254M /swap
chmod 600 /swap
mkswap -q /swap
swapon /swap

policy_set <<-EOF
	[Host]
	Mode=ceilings

	[Tenant a]
	Match=slice=tenant-a.slice

	[Container a/box*]
	ContainerMemoryMax=48M
	ContainerMemorySwapMax=16M
	ContainerCPUQuota=50%
	ContainerTasksMax=64

	[Container a/disk]
	ContainerIOWriteBandwidthMax=/mnt/data 5M

	[Container a/disk.scope]
	ContainerIOWriteBandwidthMax=/dev/vm/disk1 5M
EOF

# What runs in each: a shell that does what it is told through a fifo. The loads are its children, so
# they are the container's own processes. $D is the directory of the fifo.
SERVER='exec 3<>$D/cmd; while read -r line <&3; do sh -c "$line" >$D/out 2>&1; done'
declare -A server fifo  # by cgroup: the shell's pid, what it listens to
ctl_dir() {  # NAME
	mkdir -p "/run/$1"
	mkfifo "/run/$1/cmd" "/run/$1/hold"
}
inside() {  # NAME COMMAND: starts it there, in the background
	rm -f "/run/$1/out"
	timeout 20 bash -c 'echo "$1" >"$2"' - "$2" "/run/$1/cmd" || not_ok "$1 takes a command"
}
outcome() {  # NAME: prints what the load said last
	cat "/run/$1/out" 2>/dev/null || :
}
# A shell that waits for its fifo does not reap (in docker it is PID 1 of whatever is orphaned there);
# one that waits for a command does.
is_idle() {  # PATH
	[ "$(cg "$1" pids.current)" = 1 ] || {
		echo : >"${fifo[$1]}"
		[ "$(cg "$1" pids.current)" = 1 ]
	}
}
end_loads() {  # PATH: all but the shell
	local pid
	for pid in $(<"$CGROOT/$1/cgroup.procs"); do
		[ "$pid" = "${server[$1]}" ] || kill -9 "$pid" 2>/dev/null || :
	done
	until_true 30 "is_idle $1" || not_ok "$1 is idle again" "$(ps -eo pid,stat,args)"
}
start_docker_server() {  # NAME [OPTION...]
	local name=$1
	shift
	ctl_dir "docker-$name"
	docker_run "$name" tenant-a.slice -v "/run/docker-$name:/ctl" --env D=/ctl "$@" -- sh -c "$SERVER"
	read -r "server[$CG]" <"$CGROOT/$CG/cgroup.procs"
	fifo[$CG]=/run/docker-$name/cmd
}
start_scope_server() {  # NAME
	ctl_dir "scope-$1"
	D=/run/scope-$1 scope "$1" tenant-a.slice -p OOMPolicy=continue \
		env --default-signal=PIPE busybox sh -c "$SERVER"
	server[$CG]=$PID
	fifo[$CG]=/run/scope-$1/cmd
}

guard_start
start_docker_server box
docker_box=$CG
start_docker_server disk -v /mnt/data:/data
docker_disk=$CG
start_scope_server box
scope_box=$CG
start_scope_server disk
scope_disk=$CG
start_scope_server neighbour
neighbour=$CG
boxes=("docker-box $docker_box" "scope-box $scope_box")

for box in "${boxes[@]}"; do
	read -r name path <<<"$box"
	wait_for 30 "[ \"\$(cg $path memory.max)\" = $((48 * MB)) ] && [ \"\$(cg $path pids.max)\" = 64 ]" \
		"$name: its ceilings are in force"
	is "$(cg "$path" memory.swap.max)" $((16 * MB)) "$name: memory.swap.max"
	is "$(cg "$path" cpu.max)" "50000 100000" "$name: cpu.max"
done
for path in "$docker_disk" "$scope_disk"; do
	wait_for 30 "[[ \$(cg $path io.max) = '$maj_min '*wbps=5000000* ]]" "io.max of $path names the whole disk $maj_min"
done

# ---- disk and CPU, for as long as it takes, all at once: 20 s of writing, 10 s of them also spinning

io_written() {  # PATH: bytes written to the disk
	local line word
	while IFS= read -r line; do
		[[ $line = "$maj_min "* ]] || continue
		for word in $line; do [[ $word != wbytes=* ]] || echo "${word#wbytes=}"; done
	done <"$CGROOT/$1/io.stat"
}
now_us() { echo "${EPOCHREALTIME/[.,]/}"; }

inside docker-disk 'while dd if=/dev/zero of=/data/file bs=256k count=200 oflag=direct; do :; done'
inside scope-disk "while busybox dd if=/dev/zero of=$disk bs=256k count=200 seek=600 oflag=direct; do :; done"
for name in docker-box scope-box; do inside $name 'while :; do :; done'; done
for path in "$docker_disk" "$scope_disk"; do
	wait_for 20 "[ \"\$(io_written $path)\" -gt 0 ] 2>/dev/null" "$path writes"
done
for box in "${boxes[@]}"; do
	wait_for 20 "[ \"\$(cg_key ${box#* } cpu.stat nr_throttled)\" -gt 2 ]" "${box% *} spins into its quota"
done

# Where the host is busy, timers come late and a quota is not used up: of two windows
# the one that used more counts.
most=(0 0)
start=$(now_us)
io_before=("$(io_written "$docker_disk")" "$(io_written "$scope_disk")")
for _ in 1 2; do
	cpu_start=$(now_us)
	cpu_before=("$(cg_key "$docker_box" cpu.stat usage_usec)" "$(cg_key "$scope_box" cpu.stat usage_usec)")
	nap 10
	cpu_after=("$(cg_key "$docker_box" cpu.stat usage_usec)" "$(cg_key "$scope_box" cpu.stat usage_usec)")
	cpu_span=$(($(now_us) - cpu_start))
	for i in 0 1; do
		share=$(((cpu_after[i] - cpu_before[i]) * 1000 / cpu_span))
		((share <= most[i])) || most[i]=$share
	done
done
io_after=("$(io_written "$docker_disk")" "$(io_written "$scope_disk")")
span=$(($(now_us) - start))
for i in 0 1; do
	share=${most[i]}
	num "$share" '>=' 450 "${boxes[i]% *}: CPUQuota=50% for 10 s used $((share / 10)).$((share % 10)) %, at least 45"
	num "$share" '<=' 550 "${boxes[i]% *}: and at most 55"
done
kinds=("by the path of an ext4 on a partition" "by the node of the disk")
for i in 0 1; do
	rate=$(((io_after[i] - io_before[i]) * 1000 / (span / 1000)))
	num $rate '<=' 6000000 "IOWriteBandwidthMax=5M ${kinds[i]}: $((rate / 1000)) kB/s for $((span / 1000)) ms, at most 6M"
	num $rate '>=' 3000000 "and it does write: at least 3M/s"
done
cg_read alive "$neighbour" pids.current
num "$alive" '>=' 1 "the neighbour lives"
for path in "${!server[@]}"; do [ "$path" = "$neighbour" ] || end_loads "$path"; done

# ---- tasks

# The shell that starts them is one, the server another: the 63rd sleep would be the 65th task.
FORKS='i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i + 1)); done'
for box in "${boxes[@]}"; do
	read -r name path <<<"$box"
	inside "$name" "$FORKS"
	wait_for 60 "[ \"\$(cg_key $path pids.events max)\" -gt 0 ]" "$name: pids.events counts the fork that failed"
	wait_for 20 "[[ \$(outcome $name) = *[Cc]an*t\ fork* ]]" "$name: and the shell says so"
	diag "$(outcome "$name")"
	# the shell that failed to fork is gone; what it had started is there: 64 less that one
	is "$(cg "$path" pids.current)" 63 "$name: no more than 64 tasks there have been"
	end_loads "$path"
done

# ---- memory and swap

oom_kills() {
	local key value
	while read -r key value; do [ "$key" != oom_kill ] || echo "$value"; done </proc/vmstat
}
for box in "${boxes[@]}"; do
	read -r name path <<<"$box"
	host_before=$(oom_kills)
	# 54M are more than 48M and less than 48M + 16M: it lives, in swap, as long as nobody reads what it
	# writes; not zeros, which kernel 6.12 finds and drops
	exec {hold}<>"/run/$name/hold"
	inside "$name" 'yes $(printf %01000d 7) | dd of=$D/hold bs=54M count=1 iflag=fullblock'
	wait_for 60 "[ \"\$(cg $path memory.swap.current)\" -gt $((2 * MB)) ]" "$name: 54M fit into 48M and swap"
	num "$(cg "$path" memory.swap.current)" '<=' $((16 * MB)) "$name: with no more swap than its ceiling"
	is "$(cg_key "$path" memory.events oom_kill)" 0 "$name: nothing died of that"
	exec {hold}>&-
	wait_for 20 "is_idle $path" "$name: and it ends when it is let"
	inside "$name" 'yes $(printf %01000d 7) | dd of=/dev/null bs=200M count=1 iflag=fullblock; echo status $?'
	wait_for 60 "[[ \$(outcome $name) = *'status 137'* ]]" "$name: 200M are killed"
	num "$(cg_key "$path" memory.events oom_kill)" '>=' 1 "$name: by the OOM killer in its own cgroup"
	num "$(cg_key "$path" memory.swap.events fail)" '>=' 1 "$name: after swap was refused"
	is "$(cg_key "$path" memory.events oom_kill)" $(($(oom_kills) - host_before)) "$name: and nothing else on this host died"
done
is "$(cg_key "$neighbour" memory.events oom_kill)" 0 "the neighbour saw no OOM kill"
inside scope-neighbour 'echo alive'
wait_for 20 "[ \"\$(outcome scope-neighbour)\" = alive ]" "and it lives and answers"
done_testing
