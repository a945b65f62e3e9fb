#!/bin/bash
# What it costs to look at many containers: bailiff's way beside a floor and beside the usual way, for the
# first 100, 1,000 and all 3,000 of them; then the guard itself, with 3,000 and 1,000, 50 of them busy, on a calm host and
# on one whose CPUs are all taken, so that everybody waits and there is something to judge.
# The ratios are the result: absolute times are those of an emulated CPU on a busy host.
#
#   many.slice/docker-<64 hex>.scope    the containers, see tests/vm/prep/many.sh
#   bench                               who measures
#   bailiff.slice/bailiffd.service      the guard
#   spin                                who takes all CPUs
#
# ./dev bench vm-sampling prints Markdown rows, for the README's "Measured". What the modes are: bench/sampling.c.
#
# shape: many
# timeout: 1500
set -euo pipefail
# shellcheck source=/dev/null
. /mnt/share/bench/lib/many.sh

SIZES=(100 1000 3000)
declare -A PASSES=([100]=40 [1000]=12 [3000]=8)
EVERY=20    # of a sweep: so many are there for one that is busy, 5 %
SECONDS_OF_SWEEP=60
GUARD_BUSY=50
GUARD_SETTLES=30
GUARD_SECONDS=15  # so many times GUARD_ROUNDS; the cheapest counts, for what else the host does only adds
GUARD_ROUNDS=4
declare -A GOT  # "what-N": a number

measure() {  # VERB... : runs in the cgroup bench, its lines go into GOT
	local kind a b c d e f  # the fields of a line, as bench/sampling.c has them
	while read -r kind a b c d e f; do
		case $kind in
		pass) GOT[$a-$b]=$d ;;
		memory) GOT[$a-rss-$b]=$c GOT[$a-kernel-$b]=$d ;;
		sweep) GOT[beats-$a]=$c GOT[sweep-usual-$a]=$d GOT[sweep-hot-$a]=$e GOT[sweep-looks-$a]=$f GOT[sweep-seconds-$a]=$b ;;
		*) return 1 ;;
		esac
	done < <(in_cgroup bench $BIN/sampling "$@")
}

measure_guard_rounds() {  # WHAT
	local round cpu
	for ((round = 0; round < GUARD_ROUNDS; round++)); do
		cpu=$(cpu_usec bailiff.slice/bailiffd.service)
		nap $GUARD_SECONDS
		cpu=$(($(cpu_usec bailiff.slice/bailiffd.service) - cpu))
		((${GOT[$1]:-cpu} < cpu)) || GOT[$1]=$cpu
	done
}

measure_guard() {  # N: so many containers are there
	local pids=() i
	echo "# $1: bailiffd" >&2
	guard_start_settled
	busy_start "$1" $(($1 / GUARD_BUSY))
	nap $GUARD_SETTLES  # the new ones become cold, the busy ones hot
	measure_guard_rounds "guard-cpu-$1"
	for ((i = 0; i <= $(nproc); i++)); do
		in_cgroup spin timeout 300 bash -c 'while :; do :; done' &
		pids+=($!)
	done
	nap $GUARD_SETTLES
	measure_guard_rounds "guard-taken-$1"
	kill "${pids[@]}"
	wait "${pids[@]}" || :
	GOT[guard-rss-$1]=$(guard_rss)
	GOT[guard-kernel-$1]=$(cg_key bailiff.slice/bailiffd.service memory.stat kernel)
	busy_stop
	systemctl stop bailiffd.service
}

guard_rss() {  # of all its processes, bytes
	local pid key value sum=0
	while read -r pid; do
		while read -r key value _; do
			[ "$key" != VmRSS: ] || sum=$((sum + value * 1024))
		done <"/proc/$pid/status"
	done <$CGROOT/bailiff.slice/bailiffd.service/cgroup.procs
	echo $sum
}

# ---- the table

# One line: TEXT, and for each size what the function prints.
row() {  # TEXT FUNCTION
	local n
	printf '| %s |' "$1"
	for n in "${SIZES[@]}"; do printf ' %s |' "$($2 "$n")"; done
	echo
}

hot_floor() { ratio "${GOT[hot-$1]}" "${GOT[floor-$1]}" 2; }
hot_usual() { ratio "${GOT[hot-$1]}" "${GOT[usual-$1]}" 3; }
full_usual() { ratio "${GOT[full-$1]}" "${GOT[usual-$1]}" 2; }
sweep_usual() { ratio "${GOT[beats-$1]}" $((${GOT[sweep-usual-$1]} * ${GOT[sweep-seconds-$1]})) 3; }
sweep_hot() { echo "${GOT[sweep-hot-$1]}, ${GOT[sweep-looks-$1]}"; }
each() { echo "$(ratio "${GOT[floor-$1]}" "$1" 0), $(ratio "${GOT[hot-$1]}" "$1" 0), $(ratio "${GOT[full-$1]}" "$1" 0), $(ratio "${GOT[usual-$1]}" "$1" 0) µs"; }
hot_memory() { echo "$(mib "${GOT[hot-rss-$1]}"), $(mib "${GOT[hot-kernel-$1]}") MiB"; }
sweep_memory() { echo "$(mib "${GOT[sweep-rss-$1]}"), $(mib "${GOT[sweep-kernel-$1]}") MiB"; }

# Its CPU time a second, beside what the usual way for all of them would take each second.
guard_usual() {
	[ -n "${GOT[guard-cpu-$1]:-}" ] || { echo -; return; }
	ratio "${GOT[guard-cpu-$1]}" $((${GOT[usual-$1]} * GUARD_SECONDS)) 3
}
percent() {  # WHAT: of one CPU
	[ -n "${GOT[$1]:-}" ] || { echo -; return; }
	echo "$(ratio $((${GOT[$1]} * 100)) $((GUARD_SECONDS * 1000000)) 1) %"
}
guard_percent() { percent "guard-cpu-$1"; }
taken_percent() { percent "guard-taken-$1"; }
guard_memory() {
	[ -n "${GOT[guard-rss-$1]:-}" ] || { echo -; return; }
	echo "$(mib "${GOT[guard-rss-$1]}"), $(mib "${GOT[guard-kernel-$1]}") MiB"
}

table() {
	cat <<-EOF

	| kernel $(kernel_version), emulated | 100 containers | 1,000 | 3,000 |
	|---|---|---|---|
	EOF
	row "hot set, kept fds, books and history / floor: the same files on kept fds, not looked at" hot_floor
	row "the same / nine files by path, stdio, sscanf" hot_usual
	row "all files, none kept / nine files by path" full_usual
	row "a second of the sweep, 5 % busy / nine files by path" sweep_usual
	row "of these hot in the mean, looks a second" sweep_hot
	row "a container: floor, hot set, all files, nine by path" each
	row "RSS and kernel memory: all of them hot" hot_memory
	row "the same: sweep" sweep_memory
	row "bailiffd, $GUARD_BUSY busy: CPU a second / nine files by path of all" guard_usual
	row "the same, of one emulated CPU" guard_percent
	row "the same, with all CPUs taken by others" taken_percent
	row "bailiffd: RSS and its service's kernel memory" guard_memory
}

# ---- the run

need_programs
mkdir $CGROOT/bench $CGROOT/spin
for n in "${SIZES[@]}"; do
	echo "# $n: floor, usual, hot, full" >&2
	measure compare $MANY "$n" "${PASSES[$n]}"
	echo "# $n: sweep" >&2
	busy_start "$n" $EVERY
	measure sweep $MANY "$n" $SECONDS_OF_SWEEP
	busy_stop
	measure one hot $MANY "$n" 2
done

systemctl start dbus.service
measure_guard 3000
$BIN/many keep $MANY 1000
measure_guard 1000
table
