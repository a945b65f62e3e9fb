#!/bin/bash
# How long a new container is without its ceiling, and what finding it costs: bailiffd beside the least
# that anybody could do (the floors of bench/discovery.c), by turns, in one run of one machine. The
# ratios are the result: absolute times are those of an emulated CPU.
#
#   bench/<64 hex digits>              as Docker's cgroupfs driver makes them: a direct write
#   bench.slice/docker-<id>.scope      as its systemd driver makes them: a write, and a call to systemd
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
ROUNDS=3
COUNT=100  # containers a round
SCOPES=40
BURST=200
RESULTS=$(mktemp -d)
seed=0

# ---- the two contestants

floor_pid=''
CPU_OF=''  # cgroup whose CPU time counts

floor_start() {  # floor-write|floor-set PARENT
	local line
	mkdir -p $CGROOT/floor
	exec {floor_out}< <(in_cgroup floor $BENCH "$1" "$2" $TASKS)
	floor_pid=$!
	read -r -u "$floor_out" line
	[ "$line" = ready ]
	CPU_OF=floor
}

floor_stop() {
	kill "$floor_pid"
	exec {floor_out}<&-
	wait "$floor_pid" || :
}

bailiff_start() {
	systemctl start bailiffd.service
	until_true 20 'bailiffctl status >/dev/null 2>&1 || [ ! -x /usr/bin/bailiffctl ]'
	nap 2  # the tree is read, what ran before is settled
	CPU_OF=bailiff.slice
}

bailiff_stop() { systemctl stop bailiffd.service; }

# ---- measuring

cpu_usec() { cg_key "$1" cpu.stat usage_usec; }

# CPU time counts until all is quiet: what a guard does behind its write is part of the price.
measure() {  # WHO WHAT VERB PARENT COUNT
	local before systemd_before
	seed=$((seed + 1))
	before=$(cpu_usec $CPU_OF)
	systemd_before=$(cpu_usec init.scope)
	$BENCH "$3" "$4" "$5" $TASKS $seed >>"$RESULTS/$1.$2"
	nap 1
	echo $((($(cpu_usec $CPU_OF) - before) / $5)) >>"$RESULTS/$1.$2.cpu"
	echo $((($(cpu_usec init.scope) - systemd_before) / $5)) >>"$RESULTS/$1.$2.pid1"
}

remove_containers() {
	find $CGROOT/bench -mindepth 1 -depth -type d -exec rmdir {} +
	rm -rf /var/lib/docker/containers/*
}

remove_scopes() {
	echo 1 >$CGROOT/bench.slice/cgroup.kill
	until_true 60 "! compgen -G '$CGROOT/bench.slice/*.scope' >/dev/null"
	rm -rf /var/lib/docker/containers/*
}

direct_round() {  # WHO
	measure "$1" direct containers /bench $COUNT
	remove_containers
	measure "$1" burst burst /bench $BURST
	remove_containers
}

scopes_round() {  # WHO
	measure "$1" scopes scopes bench.slice "$SCOPES"
	cut -d ' ' -f 1 "$RESULTS/$1.scopes" >"$RESULTS/$1.kernel"
	cut -d ' ' -f 2 "$RESULTS/$1.scopes" >"$RESULTS/$1.systemd"
	remove_scopes
}

# ---- the table

percentile() {  # FILE PERCENT: nearest rank
	local -a values
	mapfile -t values < <(sort -n "$1")
	echo "${values[(${#values[@]} * $2 + 99) / 100 - 1]}"
}

ms() { printf '%d.%02d ms' $(($1 / 1000)) $(($1 / 10 % 100)); }

row() {  # TEXT NAME PERCENT
	local floor bailiff ratio
	floor=$(percentile "$RESULTS/floor.$2" "$3")
	bailiff=$(percentile "$RESULTS/bailiff.$2" "$3")
	ratio=$((bailiff * 10 / (floor > 0 ? floor : 1)))
	printf '| %s | %s | %s | %d.%d |\n' "$1" "$(ms "$floor")" "$(ms "$bailiff")" $((ratio / 10)) $((ratio % 10))
}

table() {
	local read_version
	read -r _ _ read_version _ </proc/version
	cat <<-EOF

	| kernel $read_version, emulated | floor | bailiffd | ratio |
	|---|---|---|---|
	EOF
	row "container's mkdir → ceiling in force, median of $((ROUNDS * COUNT))" direct 50
	row "the same, p99" direct 99
	row "$BURST mkdirs at once → all held, median of $ROUNDS" burst 50
	row "scope appears → ceiling in force, median of $((ROUNDS * SCOPES))" kernel 50
	row "the same, p99" kernel 99
	row "scope appears → systemd knows it, median" systemd 50
	row "the same, p99" systemd 99
	row "CPU time of the guard a container, direct" direct.cpu 50
	row "CPU time of the guard a container, in the burst" burst.cpu 50
	row "CPU time of the guard a scope" scopes.cpu 50
	row "CPU time of PID 1 a scope (starting it included)" scopes.pid1 50
}

# ---- the run

[ -x $BENCH ] || { echo "vm-discovery: ./dev bench brings $BENCH" >&2; exit 1; }
policy_set <<EOF
[Host]
Mode=ceilings

[Defaults]
ContainerTasksMax=$TASKS
EOF
mkdir -p /var/lib/docker/containers /run/systemd/transient $CGROOT/bench
echo "+cpu +memory +io +pids" >$CGROOT/bench/cgroup.subtree_control
systemctl start dbus.service bench.slice

for ((round = 1; round <= ROUNDS; round++)); do
	echo "# round $round of $ROUNDS" >&2
	floor_start floor-write /bench
	direct_round floor
	floor_stop
	floor_start floor-set /bench.slice
	scopes_round floor
	floor_stop
	bailiff_start
	direct_round bailiff
	scopes_round bailiff
	bailiff_stop
done
table
