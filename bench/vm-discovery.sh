#!/bin/bash
# How long a new container is without its ceiling, and what finding it costs: bailiffd beside the least
# that anybody could do (the floors of bench/discovery.c), container by container in turn, in one machine.
# The ratios are the result: absolute times are those of an emulated CPU on a busy host.
#
#   bench/<64 hex digits>                   as Docker's cgroupfs driver makes them: a direct write
#   bench.slice/docker-<id>.scope           as its systemd driver makes them: a write, and a call to systemd
#   machine-qemu-1-floor.scope/<64 hex>     the floor's, which the guard leaves alone: a virtual machine's
#   bench.slice/libpod-conmon-<id>.scope    the same: an engine's helper
#
# ./dev bench vm-discovery prints Markdown rows, for the README's "Measured".
#
# shape: plain
# timeout: 600
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/vm/lib.sh
trap - EXIT  # no points, no plan

BENCH=/usr/lib/bailiff/bench/discovery
TASKS=1234
COUNT=200   # containers, one after another
SCOPES=80
BURSTS=5
BURST=200   # containers at once
FLOOR=machine-qemu-1-floor.scope
RESULTS=$(mktemp -d)
seed=0

# ---- the contestants

floor_pid=''

floor_start() {  # floor-write|floor-set PARENT
	local line
	exec {floor_out}< <(in_cgroup bench-floor $BENCH "$1" "$2" $TASKS)
	floor_pid=$!
	read -r -u "$floor_out" line
	[ "$line" = ready ]
}

floor_stop() {
	kill "$floor_pid"
	exec {floor_out}<&-
	wait "$floor_pid" || :
}

# ---- measuring

cpu_usec() { cg_key "$1" cpu.stat usage_usec; }

# What both used is counted until all is quiet, for what a guard does behind its write is part of the
# price; its slow beat, which it has without any container, is taken off.
measure() {  # WHAT VERB FLOOR PARENT COUNT
	local start=$EPOCHREALTIME floor guard us
	seed=$((seed + 1))
	floor=$(cpu_usec bench-floor) guard=$(cpu_usec bailiff.slice)
	$BENCH "$2" "$3" "$4" "$5" $TASKS $seed >>"$RESULTS/$1"
	nap 1
	us=$((${EPOCHREALTIME/./} - ${start/./}))
	guard=$(($(cpu_usec bailiff.slice) - guard - us / 1000 * idle / 1000))
	floor=$(($(cpu_usec bench-floor) - floor))
	echo $((floor / $5)) $((guard / $5)) >>"$RESULTS/$1.cpu"
}

remove_containers() {
	find $CGROOT/bench $CGROOT/$FLOOR -mindepth 1 -depth -type d -exec rmdir {} +
	rm -rf /var/lib/docker/containers/*
}

# ---- the table

percentile() {  # FILE COLUMN PERCENT: nearest rank
	local -a values
	mapfile -t values < <(cut -d ' ' -f "$2" "$1" | sort -n)
	echo "${values[(${#values[@]} * $3 + 99) / 100 - 1]}"
}

ms() { printf '%d.%02d ms' $(($1 / 1000)) $(($1 / 10 % 100)); }

row() {  # TEXT NAME COLUMN PERCENT: the guard's column is behind the floor's
	local floor guard ratio
	floor=$(percentile "$RESULTS/$2" "$3" "$4")
	guard=$(percentile "$RESULTS/$2" $(($3 + 1)) "$4")
	ratio=$((guard * 10 / (floor > 0 ? floor : 1)))
	printf '| %s | %s | %s | %d.%d |\n' "$1" "$(ms "$floor")" "$(ms "$guard")" $((ratio / 10)) $((ratio % 10))
}

table() {
	local version
	read -r _ _ version _ </proc/version
	cat <<-EOF

	| kernel $version, emulated | floor | bailiffd | ratio |
	|---|---|---|---|
	EOF
	row "direct write: mkdir → ceiling in force, median of $COUNT" direct 1 50
	row "the same, p99" direct 1 99
	row "$BURST mkdirs at once → all held, median of $BURSTS" burst 1 50
	row "scope: its cgroup appears → ceiling in force, median of $SCOPES" scopes 1 50
	row "the same, p99" scopes 1 99
	row "scope: its cgroup appears → systemd knows the ceiling, median" scopes 3 50
	row "the same, p99" scopes 3 99
	row "CPU time a container, direct write" direct.cpu 1 50
	row "CPU time a container, in the burst" burst.cpu 1 50
	row "CPU time a scope (without PID 1's)" scopes.cpu 1 50
}

# ---- the run

[ -x $BENCH ] || { echo "vm-discovery: ./dev bench brings $BENCH" >&2; exit 1; }
policy_set <<EOF
[Host]
Mode=ceilings

[Defaults]
ContainerTasksMax=$TASKS
EOF
mkdir -p /var/lib/docker/containers /run/systemd/transient $CGROOT/{bench,bench-floor,$FLOOR}
for dir in bench $FLOOR; do echo "+cpu +memory +io +pids" >$CGROOT/$dir/cgroup.subtree_control; done
systemctl start dbus.service bench.slice bailiffd.service
nap 3  # the tree is read, what ran before is settled
idle=$(cpu_usec bailiff.slice) start=$EPOCHREALTIME
nap 5
idle=$((($(cpu_usec bailiff.slice) - idle) * 1000 / ((${EPOCHREALTIME/./} - ${start/./}) / 1000)))  # µs a second

floor_start floor-write /$FLOOR
echo "# $COUNT containers, one after another" >&2
measure direct containers /$FLOOR /bench $COUNT
remove_containers
for ((i = 1; i <= BURSTS; i++)); do
	echo "# burst $i of $BURSTS" >&2
	measure burst burst /$FLOOR /bench $BURST
	remove_containers
	nap 2
done
floor_stop
floor_start floor-set /bench.slice
echo "# $SCOPES scopes" >&2
measure scopes scopes bench.slice bench.slice $SCOPES
floor_stop
table
