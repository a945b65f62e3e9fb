# shellcheck shell=bash
# Lowering a container's memory far below its use, with a slow swap, puts whoever writes the limit into
# reclaim for minutes. That is neither the guard's loop nor PID 1: both go on answering (1 s; 3 s on an
# emulated machine), and 50 others are started and held meanwhile. And MemoryMax below use kills nobody:
# "squeezing", until use fits.
#
#   tenant.slice
#   ├── tenant-a.slice
#   │   └── hog.scope            200M in use, MemoryHigh=16M comes, then a MemoryMax of half of what it still uses
#   └── tenant-b.slice
#       └── b1 … b50.scope       33 tasks each
#
# shape: plain
# timeout: 300   kernels: 6.1 6.12
# disk-opts: throttling.bps-total=2097152

MB=$((1 << 20))
mkswap -q /dev/vm/disk1
swapon /dev/vm/disk1
policy() {  # LINE
	policy_set <<-EOF
		[Host]
		Mode=ceilings

		[Tenant a]
		Match=slice=tenant-a.slice
		$1

		[Tenant b]
		Match=slice=tenant-b.slice
		ContainerTasksMax=33
	EOF
}
ask() {  # COMMAND...: keeps the longest answer in WORST (ms) and what it was
	local start=${EPOCHREALTIME/[.,]/} ms
	"$@" >/dev/null 2>&1 || not_ok "answered: $*"
	ms=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	((ms <= WORST)) || WORST=$ms SLOWEST=$*
	asked=$((asked + 1))
}
ask_both() {
	ask busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnit s init.scope
	ask busctl call org.bailiff.Guard1 /org/bailiff/Guard1 org.bailiff.Guard1 GetStatus
}
hog_pid() {  # the one in the scope that has the buffer
	local pid
	for pid in $(<"$CGROOT/$hog/cgroup.procs"); do
		[[ $(tr '\0' ' ' <"/proc/$pid/cmdline") != 'busybox dd '* ]] || echo "$pid"
	done
}
state() {  # LIMIT
	ctl show hog.scope --json
	jq -r ".limits[] | select(.limit == \"$1\") | .state" <<<"$CTL_OUT"
}

mkfifo /run/hold
sleep 100000 <>/run/hold &
policy ''
guard_start
# pages that are not all zeros, in a buffer that is kept until somebody reads the fifo
scope hog tenant-a.slice -p OOMPolicy=continue busybox sh -c 'yes bailiff | busybox dd of=/run/hold bs=200M count=1 iflag=fullblock; sleep 100000'
hog=$CG
wait_for 60 "[ \$(cg $hog memory.current) -gt $((200 * MB)) ]" "the hog uses 200M"
declare -a sleepers=()
for _ in {1..50}; do
	sleep 100000 &
	sleepers+=($!)
done
WORST=0 asked=0
ask_both
diag "undisturbed: at most $WORST ms"

# ---- MemoryHigh far below use

WORST=0 asked=0
policy ContainerMemoryHigh=16M
ctl reload
start=$EPOCHREALTIME
wait_for 20 "[ \"\$(cg $hog memory.high)\" = $((16 * MB)) ]" "memory.high is set"
for i in {1..50}; do
	busctl call --quiet org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
		StartTransientUnit 'ssa(sv)a(sa(sv))' "b$i.scope" fail 2 PIDs au 1 "${sleepers[i - 1]}" Slice s tenant-b.slice 0
	((i % 5)) || ask_both
done
held_all() {
	local i
	for i in {1..50}; do
		cg_read REPLY "tenant.slice/tenant-b.slice/b$i.scope" pids.max
		[ "$REPLY" = 33 ] || return 1
	done
}
wait_for 30 held_all "50 scopes were started and are held"
for _ in 1 2 3 4 5; do ask_both; done
num "$(cg "$hog" memory.current)" '>' $((64 * MB)) "all the while the hog was far above ($(elapsed "$start") s, $(($(cg "$hog" memory.current) / MB))M left)"
num "$(cg "$hog" memory.swap.current)" '>' $((4 * MB)) "and reclaim was on, swapping"
num $WORST '<=' 3000 "PID 1 and the guard answered $asked times within $WORST ms, at most 3 s ($SLOWEST)"
ctl status --json
num "$(jq .loop.longest_usec <<<"$CTL_OUT")" '<=' 3000000 "the loop's longest turn"
is "$(systemctl show --value --property=NRestarts bailiffd.service)" 0 "no watchdog had to come"

# ---- MemoryMax below use

max=$(($(cg "$hog" memory.current) / MB / 2))
policy ContainerMemoryMax=${max}M
ctl reload
wait_for 30 "[ \"\$(state MemoryMax)\" = squeezing ]" "MemoryMax=${max}M below use: squeezing"
isnt "$(cg "$hog" memory.max)" $((max * MB)) "memory.max waits"
num "$(cg "$hog" memory.high)" '<' $((max * MB)) "memory.high goes below it meanwhile"
WORST=0
ask_both
num $WORST '<=' 3000 "PID 1 and the guard answer ($WORST ms)"
num "$(cg_key "$hog" memory.events oom_kill)" '==' 0 "nobody was killed"
kill -9 "$(hog_pid)"
wait_for 90 "[ \"\$(cg $hog memory.max)\" = $((max * MB)) ]" "use fell: memory.max is set"
wait_for 60 "[ \"\$(state MemoryMax)\" = ok ]" "the state is ok"
wait_for 30 "[ \"\$(cg $hog memory.high)\" = max ]" "memory.high is given back"
is "$(cg_key "$hog" memory.events oom_kill)" 0 "nobody was killed in all this"
done_testing
